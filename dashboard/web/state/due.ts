// Clocks: how far the time that somebody has for something is gone, and how much of it is left.

/** Shares of a clock at which somebody is told that it passes, percent. */
export const MARKS = [50, 80, 100] as const;

export interface Due {
  /** How much of the time is gone, percent; more than 100 when it is over. */
  percent: number;
  /** The last mark that was passed. */
  mark: 0 | (typeof MARKS)[number];
}

export function dueOf(from: number, until: number, now: number): Due {
  const percent = Math.max(0, ((now - from) / Math.max(1, until - from)) * 100);
  return { percent, mark: MARKS.findLast((mark) => percent >= mark) ?? 0 };
}

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

/** A time in the unit in which people say it; whole units that are full. */
export function spanOf(ms: number): { unit: "days" | "hours" | "minutes"; n: number } {
  if (ms >= 48 * HOUR) return { unit: "days", n: Math.floor(ms / (24 * HOUR)) };
  if (ms >= HOUR) return { unit: "hours", n: Math.floor(ms / HOUR) };
  return { unit: "minutes", n: Math.floor(ms / MINUTE) };
}

/** A moment as a field for a day and a time takes it: on the clock of whoever sits there. */
export function fieldOf(at: number): string {
  const date = new Date(at);
  return new Date(at - date.getTimezoneOffset() * MINUTE).toISOString().slice(0, 16);
}

/** The moment in such a field; nothing where it is empty. */
export function momentOf(field: string): number | null {
  const at = new Date(field).getTime();
  return Number.isNaN(at) ? null : at;
}
