// One websocket, for all who watch: it comes again after every break, and says where it stopped.

import type { Asked, LineState, LogEvent, ServerFrame, Told, Whisper } from "./frames.ts";

const PROTOCOL = "iassistance.live.v1";
const RETRY_FIRST_MS = 500;
const RETRY_MAX_MS = 8_000;
/** How often a line is asked whether it still stands, and how long its answer may take. */
const BEAT_MS = 10_000;
const ANSWER_MS = 5_000;
/** What comes within a moment is handed on together. */
const GATHER_MS = 16;

/** What the outside must give; a test gives its own. */
export interface Outside {
  open(url: string, protocol: string): WebSocket;
  now(): number;
  chance(): number;
  after(ms: number, work: () => void): () => void;
}

export const outside: Outside = {
  open: (url, protocol) => new WebSocket(url, protocol),
  now: () => Date.now(),
  chance: () => Math.random(),
  after: (ms, work) => {
    const timer = setTimeout(work, ms);
    return () => clearTimeout(timer);
  },
};

/** One who uses the line: a tab. */
export interface User {
  tell(told: Told): void;
}

interface Watch {
  /** The last number that was handed on. */
  last: number;
  users: Set<User>;
}

export class Line {
  #url: string;
  #outside: Outside;
  #users = new Set<User>();
  #watches = new Map<string, Watch>();
  #socket: WebSocket | null = null;
  #state: LineState = "offline";
  #tries = 0;
  #retryAt: number | null = null;
  #cancelRetry: (() => void) | null = null;
  #cancelBeat: (() => void) | null = null;
  #events = new Map<string, LogEvent[]>();
  #whispers = new Map<string, Whisper[]>();
  #gathering = false;

  constructor(url: string, parts: Outside = outside) {
    this.#url = url;
    this.#outside = parts;
  }

  /** Somebody begins to use the line. */
  join(user: User): void {
    this.#users.add(user);
    user.tell({ kind: "state", state: this.#state, retryAt: this.#retryAt });
  }

  /** What a user asks. */
  ask(user: User, asked: Asked): void {
    switch (asked.kind) {
      case "watch":
        return this.#watch(user, asked.tenant, asked.after);
      case "unwatch":
        return this.#unwatch(user, asked.tenant);
      case "wake":
        return this.#wake();
      case "renew":
        if (this.#socket) this.#lost();
        return this.#wake();
      case "leave":
        for (const tenant of [...this.#watches.keys()]) this.#unwatch(user, tenant);
        this.#users.delete(user);
        if (this.#users.size === 0) this.#close();
    }
  }

  #watch(user: User, tenant: string, after: number): void {
    const watch = this.#watches.get(tenant);
    if (watch) {
      watch.users.add(user);
      // They may stand further back: what they lack is in the log, and they know by this that they do.
      user.tell({ kind: "position", tenant, seq: watch.last });
      return;
    }
    this.#watches.set(tenant, { last: after, users: new Set([user]) });
    if (this.#state === "live") this.#subscribe(tenant);
    else this.#connect();
  }

  #unwatch(user: User, tenant: string): void {
    const watch = this.#watches.get(tenant);
    if (!watch?.users.delete(user) || watch.users.size > 0) return;
    this.#watches.delete(tenant);
    if (this.#state === "live") this.#send({ type: "unsubscribe", tenant });
  }

  #wake(): void {
    if (this.#state === "offline" && this.#watches.size > 0) this.#connect();
    else if (this.#state === "live") this.#beat();
  }

  #tell(told: Told): void {
    for (const user of this.#users) user.tell(told);
  }

  #turn(state: LineState, retryAt: number | null = null): void {
    this.#state = state;
    this.#retryAt = retryAt;
    this.#tell({ kind: "state", state, retryAt });
  }

  #connect(): void {
    if (this.#socket) return;
    this.#cancelRetry?.();
    this.#cancelRetry = null;
    this.#turn("connecting");
    const socket = this.#outside.open(this.#url, PROTOCOL);
    this.#socket = socket;
    const current = () => this.#socket === socket;
    socket.addEventListener("open", () => {
      if (!current()) return;
      this.#tries = 0;
      this.#turn("live");
      for (const tenant of this.#watches.keys()) this.#subscribe(tenant);
      this.#schedule();
    });
    socket.addEventListener("message", ({ data }) => {
      if (current() && typeof data === "string") this.#heard(JSON.parse(data) as ServerFrame);
    });
    socket.addEventListener("close", () => {
      if (current()) this.#lost();
    });
  }

  #close(): void {
    this.#cancelRetry?.();
    this.#cancelBeat?.();
    const socket = this.#socket;
    this.#socket = null;
    socket?.close();
    this.#state = "offline";
  }

  #lost(least = 0): void {
    this.#cancelBeat?.();
    const socket = this.#socket;
    this.#socket = null;
    socket?.close();
    if (this.#users.size === 0 || this.#watches.size === 0) return this.#turn("offline");
    const longest = Math.min(RETRY_MAX_MS, RETRY_FIRST_MS * 2 ** this.#tries);
    this.#tries += 1;
    const wait = Math.max(least, longest * (0.5 + this.#outside.chance() / 2));
    this.#turn("offline", this.#outside.now() + wait);
    this.#cancelRetry = this.#outside.after(wait, () => {
      this.#cancelRetry = null;
      this.#connect();
    });
  }

  #send(frame: object): void {
    this.#socket?.send(JSON.stringify(frame));
  }

  #subscribe(tenant: string): void {
    const watch = this.#watches.get(tenant);
    if (watch) this.#send({ type: "subscribe", tenant, after_seq: watch.last, tokens: true });
  }

  #schedule(): void {
    this.#cancelBeat?.();
    this.#cancelBeat = this.#outside.after(BEAT_MS, () => this.#beat());
  }

  /** Asks whether the line still stands: one that was cut without a word would look alive for minutes. */
  #beat(): void {
    this.#cancelBeat?.();
    this.#send({ type: "ping" });
    this.#cancelBeat = this.#outside.after(ANSWER_MS, () => this.#lost());
  }

  #heard(frame: ServerFrame): void {
    // Whatever is heard says that the line stands.
    this.#schedule();
    switch (frame.type) {
      case "event": {
        const watch = this.#watches.get(frame.tenant);
        if (!watch) return;
        watch.last = Math.max(watch.last, frame.seq);
        const gathered = this.#events.get(frame.tenant);
        if (gathered) gathered.push(frame.event);
        else this.#events.set(frame.tenant, [frame.event]);
        return this.#gather();
      }
      case "turn.token":
      case "turn.tool": {
        const gathered = this.#whispers.get(frame.tenant);
        if (gathered) gathered.push(frame);
        else this.#whispers.set(frame.tenant, [frame]);
        return this.#gather();
      }
      case "lagged":
        return this.#tellOf(frame.tenant, { kind: "lagged", tenant: frame.tenant, to: frame.to });
      case "error":
        return this.#tell({ kind: "refused", detail: frame.detail });
      case "bye":
        return this.#lost(frame.retry_ms);
      default:
    }
  }

  #tellOf(tenant: string, told: Told): void {
    for (const user of this.#watches.get(tenant)?.users ?? []) user.tell(told);
  }

  #gather(): void {
    if (this.#gathering) return;
    this.#gathering = true;
    this.#outside.after(GATHER_MS, () => {
      this.#gathering = false;
      const [whispers, events] = [this.#whispers, this.#events];
      this.#whispers = new Map();
      this.#events = new Map();
      // What was said while a turn was written comes before its end.
      for (const [tenant, said] of whispers) this.#tellOf(tenant, { kind: "whispers", tenant, whispers: said });
      for (const [tenant, facts] of events) this.#tellOf(tenant, { kind: "events", tenant, events: facts });
    });
  }
}
