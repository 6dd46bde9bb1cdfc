// Puts what comes from several ways (the socket, the log, another tab's socket) into the order of the log: each
// number once, none left out. It decides only; whoever uses it reads the log.

import type { LogEvent } from "./frames.ts";

/** How many events may wait for a gap to be filled before it is filled anew from its beginning. */
export const WAITING_MAX = 10_000;

export class Sequence {
  /** The last number that is over. */
  #last: number;
  /** What came too early, by number. */
  #early = new Map<number, LogEvent>();
  /** The greatest number that there is known to be. */
  #known: number;

  constructor(after: number) {
    this.#last = after;
    this.#known = after;
  }

  get last(): number {
    return this.#last;
  }

  /** Whether there are events that did not come: they are to be read from the log, after `last`. */
  get gap(): boolean {
    return this.#known > this.#last;
  }

  /** The log is known to have this number: it was said without the event itself. */
  reaches(seq: number): void {
    this.#known = Math.max(this.#known, seq);
  }

  /** Takes events in any order; gives those whose turn it is, in order. */
  take(events: readonly LogEvent[]): LogEvent[] {
    for (const event of events) {
      this.reaches(event.seq);
      if (event.seq > this.#last) this.#early.set(event.seq, event);
    }
    const due: LogEvent[] = [];
    for (;;) {
      const next = this.#early.get(this.#last + 1);
      if (!next) break;
      this.#early.delete(next.seq);
      this.#last = next.seq;
      due.push(next);
    }
    // The log has what is thrown away here.
    if (this.#early.size > WAITING_MAX) this.#early.clear();
    return due;
  }
}
