import { describe, expect, it } from "vitest";
import type { LogEvent } from "../feed/frames.ts";
import { Figures, MINUTE_MS, spread } from "./figures.ts";

const NOW = 100 * MINUTE_MS;
const event = (seq: number, type: string, more: object = {}, at = NOW): LogEvent => ({ seq, at, type, conversation: "cnv_1", ...more });
const received = (seq: number) => event(seq, "message.received", { message: { content: { type: "text" } } });
const sum = (figures: Figures, channel = "") => figures.minutes(NOW, channel).reduce((total, minute) => total + minute.received, 0);

describe("figures", () => {
  it("count each number of the log once, live ones first and the older ones after", () => {
    const figures = new Figures();
    const channel = () => "chn_1";
    figures.count([received(8), received(9)], channel);
    figures.count([received(5), received(6), received(7), received(8)], channel);
    figures.count([received(9), received(10)], channel);
    expect([sum(figures), sum(figures, "chn_1"), sum(figures, "chn_2")]).toEqual([6, 6, 0]);
  });

  it("put what happened into its minute", () => {
    const figures = new Figures();
    figures.count([
      event(1, "turn.ended", { end: "answered", cost: 5, first_word_ms: 300 }, NOW - MINUTE_MS),
      event(2, "turn.ended", { end: "failed", cost: 1 }),
      event(3, "message.status_changed", { delivery: { status: "failed" } }),
    ], () => undefined);
    const [before, now] = figures.minutes(NOW).slice(-2);
    expect(before).toMatchObject({ answered: 1, cost: 5, firstWords: [300] });
    expect(now).toMatchObject({ unanswered: 1, failed: 1, cost: 1, firstWords: [] });
  });

  it("say what is usual and what is slow", () => {
    expect(spread([])).toEqual({ median: null, high: null });
    expect(spread(Array.from({ length: 100 }, (_, at) => at))).toEqual({ median: 50, high: 95 });
  });
});
