// The line of all tabs of this browser, in a worker that they share.

import type { Asked } from "./frames.ts";
import { Line, type User } from "./line.ts";

const scope = self as unknown as { onconnect: ((event: MessageEvent) => void) | null; location: Location };
const line = new Line(`${scope.location.origin.replace(/^http/, "ws")}/v1/live`);

scope.onconnect = ({ ports: [port] }) => {
  if (!port) return;
  const user: User = { tell: (told) => port.postMessage(told) };
  port.addEventListener("message", ({ data }: MessageEvent<Asked>) => line.ask(user, data));
  port.start();
  line.join(user);
};
