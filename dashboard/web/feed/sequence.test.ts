import { describe, expect, it } from "vitest";
import type { LogEvent } from "./frames.ts";
import { Sequence, WAITING_MAX } from "./sequence.ts";

const event = (seq: number): LogEvent => ({ seq, at: seq, type: "message.received" });
const events = (...seqs: number[]) => seqs.map(event);
const seqs = (list: LogEvent[]) => list.map((each) => each.seq);

describe("a sequence", () => {
  it("hands on what comes in order", () => {
    const sequence = new Sequence(4);
    expect(seqs(sequence.take(events(5, 6)))).toEqual([5, 6]);
    expect([sequence.last, sequence.gap]).toEqual([6, false]);
  });

  it("leaves out what came already, by whichever way", () => {
    const sequence = new Sequence(4);
    sequence.take(events(5, 6));
    expect(seqs(sequence.take(events(3, 4, 5, 6, 7, 7)))).toEqual([7]);
  });

  it("holds what comes too early until what is missing was read from the log", () => {
    const sequence = new Sequence(4);
    expect(seqs(sequence.take(events(8, 7)))).toEqual([]);
    expect(sequence.gap).toBe(true);
    expect(seqs(sequence.take(events(5)))).toEqual([5]);
    expect(sequence.gap).toBe(true);
    expect(seqs(sequence.take(events(6, 7)))).toEqual([6, 7, 8]);
    expect(sequence.gap).toBe(false);
  });

  it("knows of a gap by being told how far the log goes: lagged, or another tab's place", () => {
    const sequence = new Sequence(4);
    sequence.reaches(4);
    expect(sequence.gap).toBe(false);
    sequence.reaches(9);
    expect(sequence.gap).toBe(true);
    expect(seqs(sequence.take(events(5, 6, 7, 8, 9)))).toEqual([5, 6, 7, 8, 9]);
    expect(sequence.gap).toBe(false);
  });

  it("gives every number once and in order, however the ways are mixed", () => {
    const sequence = new Sequence(0);
    let chance = 7;
    const random = (below: number) => (chance = (chance * 1_103_515_245 + 12_345) % 2_147_483_648) % below;
    const seen: number[] = [];
    while (sequence.last < 500) {
      const from = Math.max(1, sequence.last - 5 + random(15));
      const list = Array.from({ length: 1 + random(8) }, (_, at) => from + at).sort(() => random(3) - 1);
      seen.push(...seqs(sequence.take(events(...list))));
    }
    expect(seen).toEqual(Array.from(seen, (_, at) => at + 1));
  });

  it("does not grow without end while a gap stays", () => {
    const sequence = new Sequence(0);
    for (let from = 2; from < 3 * WAITING_MAX; from += 1_000) {
      sequence.take(Array.from({ length: 1_000 }, (_, at) => event(from + at)));
    }
    // All of it is to be read from the log then, and is not lost.
    expect([sequence.last, sequence.gap]).toEqual([0, true]);
    expect(sequence.take(events(1)).length).toBeLessThanOrEqual(WAITING_MAX);
  });
});
