// Counters and curves, made of the log: what happened in each minute, for each channel.

import type { LogEvent } from "../feed/frames.ts";
import { messageOf } from "./reduce.ts";

export const MINUTE_MS = 60_000;
/** How far back the curves go. */
export const MINUTES = 60;

export interface Minute {
  /** Messages of contacts. */
  received: number;
  /** Messages to contacts. */
  sent: number;
  /** Messages that did not arrive. */
  failed: number;
  /** Turns that ended without an answer. */
  unanswered: number;
  /** Turns that answered. */
  answered: number;
  /** What turns cost, in millionths. */
  cost: number;
  /** Milliseconds to the first word, of each answer. */
  firstWords: number[];
}

const none = (): Minute => ({ received: 0, sent: 0, failed: 0, unanswered: 0, answered: 0, cost: 0, firstWords: [] });

export const minuteOf = (at: number): number => Math.floor(at / MINUTE_MS);

/** For one channel, or for all. */
type Curve = Map<number, Minute>;

export class Figures {
  #curves = new Map<string, Curve>();
  /** The numbers of the log that were counted: each counts once. */
  #from = Infinity;
  #to = -Infinity;

  /** How far back it was counted, as a place in the log. */
  get from(): number {
    return this.#from;
  }

  /** Counts events, oldest first: those that come after all that was counted, and those before it. */
  count(events: readonly LogEvent[], channelOf: (conversation: string) => string | undefined): void {
    const [from, to] = [this.#from, this.#to];
    for (const event of events) {
      if (event.seq >= from && event.seq <= to) continue;
      this.#from = Math.min(this.#from, event.seq);
      this.#to = Math.max(this.#to, event.seq);
      const channel = event.conversation && channelOf(event.conversation);
      this.#add("", event);
      if (channel) this.#add(channel, event);
    }
  }

  /** The minutes up to `now`, oldest first, of a channel or of all (""). */
  minutes(now: number, channel = ""): Minute[] {
    const curve = this.#curves.get(channel);
    const last = minuteOf(now);
    return Array.from({ length: MINUTES }, (_, back) => curve?.get(last - MINUTES + 1 + back) ?? none());
  }

  #add(channel: string, event: LogEvent): void {
    let curve = this.#curves.get(channel);
    if (!curve) this.#curves.set(channel, (curve = new Map()));
    const number = minuteOf(event.at);
    let minute = curve.get(number);
    if (!minute) {
      curve.set(number, (minute = none()));
      for (const old of curve.keys()) if (old < number - 2 * MINUTES) curve.delete(old);
    }
    tally(minute, event);
  }
}

function tally(minute: Minute, event: LogEvent): void {
  switch (event.type) {
    case "message.received":
      minute.received += 1;
      break;
    case "message.queued":
      if (messageOf(event)?.content.type !== "note") minute.sent += 1;
      break;
    case "message.status_changed":
      if ((event.delivery as { status?: string } | undefined)?.status === "failed") minute.failed += 1;
      break;
    case "turn.ended":
      minute.cost += Number(event.cost ?? 0);
      if (event.end === "answered") minute.answered += 1;
      if (event.end === "failed" || event.end === "over_budget") minute.unanswered += 1;
      if (typeof event.first_word_ms === "number") minute.firstWords.push(event.first_word_ms);
      break;
    default:
  }
}

/** The middle one, and the one that 95 of 100 are below. */
export function spread(values: readonly number[]): { median: number | null; high: number | null } {
  if (values.length === 0) return { median: null, high: null };
  const sorted = [...values].sort((a, b) => a - b);
  const at = (part: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? null;
  return { median: at(0.5), high: at(0.95) };
}
