import { describe, expect, it } from "vitest";
import type { Told } from "./frames.ts";
import { Line, type Outside } from "./line.ts";

/** A socket in the hands of the test. */
class Wire extends EventTarget {
  sent: Record<string, unknown>[] = [];
  closed = false;
  send(text: string) {
    this.sent.push(JSON.parse(text));
  }
  close() {
    if (this.closed) return;
    this.closed = true;
    this.dispatchEvent(new Event("close"));
  }
  opens() {
    this.dispatchEvent(new Event("open"));
  }
  says(frame: object) {
    this.dispatchEvent(new MessageEvent("message", { data: JSON.stringify(frame) }));
  }
}

/** A clock that moves when it is told. */
function world() {
  let now = 0;
  let timers: { at: number; work: () => void }[] = [];
  const wires: Wire[] = [];
  const parts: Outside = {
    open: () => {
      const wire = new Wire();
      wires.push(wire);
      return wire as unknown as WebSocket;
    },
    now: () => now,
    chance: () => 1,
    after: (ms, work) => {
      const timer = { at: now + ms, work };
      timers.push(timer);
      return () => (timers = timers.filter((each) => each !== timer));
    },
  };
  const advance = (ms: number) => {
    const until = now + ms;
    for (;;) {
      const [next] = timers.filter((each) => each.at <= until).sort((a, b) => a.at - b.at);
      if (!next) break;
      timers = timers.filter((each) => each !== next);
      now = next.at;
      next.work();
    }
    now = until;
  };
  return { line: new Line("ws://here/v1/live", parts), wires, advance };
}

function user(line: Line) {
  const told: Told[] = [];
  const own = { tell: (each: Told) => void told.push(each) };
  line.join(own);
  const seqs = () => told.flatMap((each) => (each.kind === "events" ? each.events.map((event) => event.seq) : []));
  const states = () => told.flatMap((each) => (each.kind === "state" ? [each.state] : []));
  return { own, told, seqs, states };
}

const event = (seq: number, tenant = "ten_1") => ({ type: "event", seq, tenant, event: { seq, at: 0, type: "x" } });

describe("the line", () => {
  it("is opened when somebody watches, and begins where they stand", () => {
    const { line, wires } = world();
    const ada = user(line);
    expect(wires).toHaveLength(0);
    line.ask(ada.own, { kind: "watch", tenant: "ten_1", after: 7 });
    wires[0]?.opens();
    expect(wires[0]?.sent).toEqual([{ type: "subscribe", tenant: "ten_1", after_seq: 7, tokens: true }]);
    expect(ada.states()).toEqual(["offline", "connecting", "live"]);
  });

  it("is one for all tabs, and tells who joins later where it stands", () => {
    const { line, wires, advance } = world();
    const [one, other] = [user(line), user(line)];
    line.ask(one.own, { kind: "watch", tenant: "ten_1", after: 0 });
    wires[0]?.opens();
    wires[0]?.says(event(1));
    wires[0]?.says(event(2));
    advance(20);
    line.ask(other.own, { kind: "watch", tenant: "ten_1", after: 1 });
    expect(other.told.at(-1)).toEqual({ kind: "position", tenant: "ten_1", seq: 2 });
    wires[0]?.says(event(3));
    advance(20);
    expect([one.seqs(), other.seqs(), wires.length]).toEqual([[1, 2, 3], [3], 1]);
  });

  it("comes again after a break and goes on after the last number", () => {
    const { line, wires, advance } = world();
    const ada = user(line);
    line.ask(ada.own, { kind: "watch", tenant: "ten_1", after: 0 });
    wires[0]?.opens();
    wires[0]?.says(event(1));
    wires[0]?.close();
    expect(ada.states().at(-1)).toBe("offline");
    advance(600);
    wires[1]?.opens();
    expect(wires[1]?.sent).toEqual([{ type: "subscribe", tenant: "ten_1", after_seq: 1, tokens: true }]);
    advance(20);
    expect(ada.seqs()).toEqual([1]);
  });

  it("waits longer after each try in vain, eight seconds at most, and comes at once when it is woken", () => {
    const { line, wires, advance } = world();
    const ada = user(line);
    line.ask(ada.own, { kind: "watch", tenant: "ten_1", after: 0 });
    const waits = [500, 1_000, 2_000, 4_000, 8_000, 8_000];
    for (const [at, wait] of waits.entries()) {
      wires[at]?.close();
      advance(wait - 1);
      expect(wires).toHaveLength(at + 1);
      advance(1);
      expect(wires).toHaveLength(at + 2);
    }
    wires.at(-1)?.close();
    line.ask(ada.own, { kind: "wake" });
    expect(wires).toHaveLength(waits.length + 2);
  });

  it("notices a line that was cut without a word", () => {
    const { line, wires, advance } = world();
    const ada = user(line);
    line.ask(ada.own, { kind: "watch", tenant: "ten_1", after: 0 });
    wires[0]?.opens();
    advance(10_000);
    expect(wires[0]?.sent.at(-1)).toEqual({ type: "ping" });
    wires[0]?.says({ type: "pong" });
    advance(14_999);
    expect(ada.states().at(-1)).toBe("live");
    advance(1);
    expect([ada.states().at(-1), wires[0]?.closed]).toEqual(["offline", true]);
  });

  it("goes where the server says and when: it stops and comes again", () => {
    const { line, wires, advance } = world();
    const ada = user(line);
    line.ask(ada.own, { kind: "watch", tenant: "ten_1", after: 0 });
    wires[0]?.opens();
    wires[0]?.says({ type: "bye", reason: "the server is stopping", retry_ms: 3_000 });
    advance(2_999);
    expect(wires).toHaveLength(1);
    advance(1);
    expect(wires).toHaveLength(2);
  });

  it("tells of what lagged to who watches that tenant alone", () => {
    const { line, wires } = world();
    const [ada, bob] = [user(line), user(line)];
    line.ask(ada.own, { kind: "watch", tenant: "ten_1", after: 0 });
    line.ask(bob.own, { kind: "watch", tenant: "ten_2", after: 0 });
    wires[0]?.opens();
    wires[0]?.says({ type: "lagged", tenant: "ten_1", from: 3, to: 9 });
    expect(ada.told.at(-1)).toEqual({ kind: "lagged", tenant: "ten_1", to: 9 });
    expect(bob.told.some((each) => each.kind === "lagged")).toBe(false);
  });

  it("unsubscribes when the last one leaves a tenant, and closes when the last tab goes", () => {
    const { line, wires } = world();
    const [ada, bob] = [user(line), user(line)];
    for (const each of [ada, bob]) line.ask(each.own, { kind: "watch", tenant: "ten_1", after: 0 });
    wires[0]?.opens();
    line.ask(ada.own, { kind: "unwatch", tenant: "ten_1" });
    expect(wires[0]?.sent.at(-1)).toMatchObject({ type: "subscribe" });
    line.ask(bob.own, { kind: "unwatch", tenant: "ten_1" });
    expect(wires[0]?.sent.at(-1)).toEqual({ type: "unsubscribe", tenant: "ten_1" });
    line.ask(ada.own, { kind: "leave" });
    expect(wires[0]?.closed).toBe(false);
    line.ask(bob.own, { kind: "leave" });
    expect(wires[0]?.closed).toBe(true);
  });

  it("is opened anew for who signs in after somebody else", () => {
    const { line, wires } = world();
    const ada = user(line);
    line.ask(ada.own, { kind: "watch", tenant: "ten_1", after: 0 });
    wires[0]?.opens();
    line.ask(ada.own, { kind: "renew" });
    expect([wires[0]?.closed, wires.length]).toEqual([true, 2]);
  });
});
