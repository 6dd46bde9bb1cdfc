// What the tests in a real browser share: the sandbox, the browser, and pages that say what they complain of.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer, connect } from "node:net";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

import { chromium } from "playwright-core";

const BINARY = process.env.IASSISTANCE_BINARY ?? fileURLToPath(new URL("../../target/release/iassistance", import.meta.url));
export const LIMIT_MS = Number(process.env.LIMIT_MS ?? 30_000);

/** Starts the sandbox, with settings and arguments of its own; gives where it is, and what ends it. */
export async function sandbox(own = [], ...more) {
  // Settings and keys of whoever runs this must not change what is tested.
  const ours = ([name]) => !/^(IASSISTANCE|OPENAI_API_KEY$|PORT$)/.test(name);
  const env = Object.fromEntries(Object.entries(process.env).filter(ours));
  const settings = ["server.port=0", "log.filter=error", ...own].flatMap((setting) => ["--set", setting]);
  const stdio = ["ignore", "pipe", "inherit"];
  const child = spawn(BINARY, ["--json", ...settings, "sandbox", "--simulator-port", "0", ...more], { env, stdio });
  const lines = createInterface({ input: child.stdout });
  const exit = once(child, "exit").then(([code]) => { throw new Error(`the sandbox ended with ${code}`); });
  exit.catch(() => {});
  const [line] = await Promise.race([once(lines, "line"), exit]);
  const stop = async () => {
    if (child.exitCode !== null) return;
    const ended = once(child, "exit");
    child.kill("SIGTERM");
    const [code] = await ended;
    assert.equal(code, 0, "the sandbox stops in good order");
  };
  return { ...JSON.parse(line), stop };
}

/** A port that nobody listens at. */
export async function freePort() {
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}

/** A phone, as a context of the browser is made to be one. */
export const PHONE = { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true };

export function launch() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
      "--disable-background-networking", "--disable-component-update", "--disable-sync"],
  });
}

/** A context of the browser in which every page has what it complains of in `page.complaints`. */
export async function context(browser, options = {}) {
  const made = await browser.newContext({ viewport: { width: 1200, height: 800 }, ...options });
  made.setDefaultTimeout(LIMIT_MS);
  await made.exposeBinding("complain", ({ page }, complaint) => { page.complaints?.push(complaint); });
  await made.addInitScript(() => {
    window.violations = [];
    document.addEventListener("securitypolicyviolation", ({ violatedDirective, blockedURI }) => {
      window.violations.push(violatedDirective);
      window.complain(`policy: ${violatedDirective} ${blockedURI}`);
    });
  });
  made.on("page", (page) => {
    page.complaints = [];
    page.on("pageerror", (error) => page.complaints.push(`error: ${error.message}`));
    page.on("dialog", (dialog) => {
      page.complaints.push(`dialog: ${dialog.message()}`);
      return dialog.dismiss();
    });
    page.on("console", (message) => {
      if (["error", "warning"].includes(message.type())) page.complaints.push(`console: ${message.text()}`);
    });
  });
  return made;
}

/** A door before the server that can be shut: what goes through it is cut, and nobody gets in. */
export async function door(to) {
  const { hostname, port } = new URL(to);
  const open = new Set();
  let shut = false;
  let sockets = 0;
  const server = createServer((client) => {
    if (shut) return client.destroy();
    const upstream = connect(Number(port), hostname);
    for (const [one, other] of [[client, upstream], [upstream, client]]) {
      open.add(one);
      one.on("error", () => other.destroy());
      one.on("close", () => {
        open.delete(one);
        other.destroy();
      });
    }
    client.on("data", (data) => { sockets += data.toString("latin1").split("GET /v1/live ").length - 1; });
    client.pipe(upstream);
    upstream.pipe(client);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    /** How many live sockets were opened through it. */
    sockets: () => sockets,
    shut() {
      shut = true;
      for (const each of open) each.destroy();
    },
    unshut() { shut = false; },
    close() {
      this.shut();
      server.close();
    },
  };
}
