import { describe, expect, it } from "vitest";
import { dueOf, fieldOf, momentOf, spanOf } from "./due.ts";

const HOUR = 3_600_000;

describe("a clock", () => {
  it("is marked at half, at four fifths and at its end, and goes on", () => {
    const at = (percent: number) => dueOf(1_000, 2_000, 1_000 + percent * 10);
    expect([0, 49, 50, 79, 80, 99, 100, 250].map((percent) => at(percent).mark)).toEqual([0, 0, 50, 50, 80, 80, 100, 100]);
    expect(at(250).percent).toBe(250);
    expect(dueOf(2_000, 1_000, 0).percent).toBe(0);
    expect(dueOf(1_000, 1_000, 1_000).percent).toBe(0);
  });

  it("says what is left in the unit in which people say it", () => {
    expect(spanOf(10 * 24 * HOUR - 1)).toEqual({ unit: "days", n: 9 });
    expect(spanOf(48 * HOUR)).toEqual({ unit: "days", n: 2 });
    expect(spanOf(48 * HOUR - 1)).toEqual({ unit: "hours", n: 47 });
    expect(spanOf(HOUR)).toEqual({ unit: "hours", n: 1 });
    expect(spanOf(HOUR - 1)).toEqual({ unit: "minutes", n: 59 });
    expect(spanOf(0)).toEqual({ unit: "minutes", n: 0 });
  });

  it("stands in a field to the minute, and comes back out of it", () => {
    const at = 1_790_000_040_000;
    expect(momentOf(fieldOf(at))).toBe(at);
    expect(momentOf("")).toBeNull();
  });
});
