// Which rows of a long list are in the page, and which element shows each: one that stays in view keeps its own, one that
// comes takes one that became free. So a list that moves changes words, and makes no elements.

/** A row in the page. The same object as before, where nothing of it changed. */
export interface Row<T> {
  item: T;
  /** Its place in the list. */
  at: number;
  /** Its element. */
  slot: number;
}

export class Rows<T> {
  #of = new Map<string, Row<T>>();
  #next = 0;

  /** The rows for these items, which begin at the place `from`. The element `taken` is given to nobody else: somebody is in it. */
  show(items: readonly T[], from: number, key: (item: T) => string, taken = -1): Row<T>[] {
    const keys = items.map(key);
    const stay = new Set(keys);
    const free = [...this.#of].filter(([id, row]) => !stay.has(id) && row.slot !== taken).map(([, row]) => row.slot);
    let used = 0;
    const rows = items.map((item, index) => {
      const at = from + index;
      const own = this.#of.get(keys[index] ?? "");
      if (own && own.item === item && own.at === at) return own;
      return { item, at, slot: own?.slot ?? free[used++] ?? this.#next++ };
    });
    this.#of = new Map(rows.map((row, index) => [keys[index] ?? "", row]));
    return rows;
  }
}

/** How far down what is looked at stands, in rows, after a list changed: the first of `seen` that is as it was, wherever it is now. */
export function moved<T>(seen: readonly T[], from: number, items: readonly T[]): number {
  for (const [index, item] of seen.entries()) {
    const now = items.indexOf(item);
    if (now >= 0) return now - from - index;
  }
  return 0;
}
