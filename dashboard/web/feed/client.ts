// A tab's end of the line: through the worker that tabs share, or a line of its own where there is none.

import workerUrl from "./worker.ts?sharedworker&url";
import type { Asked, Told } from "./frames.ts";
import { Line } from "./line.ts";

interface TrustedTypes {
  createPolicy(name: string, rules: { createScriptURL(url: string): string }): { createScriptURL(url: string): string };
}

/** Joins the line; `told` hears of it. */
export function join(told: (told: Told) => void): { ask: (asked: Asked) => void; leave: () => void } {
  const shared = shares(told);
  if (shared) return shared;
  const line = new Line(`${location.origin.replace(/^http/, "ws")}/v1/live`);
  const user = { tell: told };
  line.join(user);
  return { ask: (asked) => line.ask(user, asked), leave: () => line.ask(user, { kind: "leave" }) };
}

let policy: { createScriptURL(url: string): string } | null = null;

function trusted(url: string): string {
  const types = (globalThis as { trustedTypes?: TrustedTypes }).trustedTypes;
  // The one script address that is not written in the page.
  policy ??= types?.createPolicy("monitor-worker", { createScriptURL: (given) => (given === workerUrl ? given : "") })
    ?? { createScriptURL: (given) => given };
  return policy.createScriptURL(url);
}

function shares(told: (told: Told) => void) {
  if (typeof SharedWorker === "undefined") return null;
  try {
    const { port } = new SharedWorker(trusted(workerUrl), { type: "module", name: "live" });
    port.addEventListener("message", ({ data }: MessageEvent<Told>) => told(data));
    port.start();
    const leave = () => port.postMessage({ kind: "leave" } satisfies Asked);
    addEventListener("pagehide", leave, { once: true });
    return { ask: (asked: Asked) => port.postMessage(asked), leave };
  } catch {
    return null;
  }
}
