import { describe, expect, it } from "vitest";
import { Rows, moved } from "./rows.ts";

const key = (item: string) => item;
const slots = (rows: Rows<string>, items: string[], from = 0, taken = -1) => rows.show(items, from, key, taken).map((row) => row.slot);

describe("the rows of a long list", () => {
  it("keep their elements while they stay, and leave them to those who come", () => {
    const rows = new Rows<string>();
    expect(slots(rows, ["a", "b", "c"])).toEqual([0, 1, 2]);
    expect(slots(rows, ["b", "c", "d"], 7)).toEqual([1, 2, 0]);
    expect(slots(rows, ["x", "y", "z"])).toEqual([1, 2, 0]);
  });

  it("have no element twice, whatever comes and goes", () => {
    const rows = new Rows<string>();
    let most = 0;
    for (let turn = 0; turn < 500; turn += 1) {
      const items = Array.from({ length: 1 + ((turn * 7) % 11) }, (_, at) => `${(at * 13 + turn * 29) % 97}`);
      const given = slots(rows, [...new Set(items)]);
      expect(new Set(given).size).toBe(given.length);
      most = Math.max(most, ...given);
    }
    expect(most).toBeLessThan(500 * 11);
  });

  it("are the same objects where nothing changed, and others where something did", () => {
    const rows = new Rows<{ id: string }>();
    const [a, b] = [{ id: "a" }, { id: "b" }];
    const before = rows.show([a, b], 4, (item) => item.id);
    const other = { id: "b" };
    const after = rows.show([a, other], 4, (item) => item.id);
    expect(after[0]).toBe(before[0]);
    expect(after[1]).toEqual({ item: other, at: 5, slot: before[1]?.slot });
  });

  it("give the element in which somebody is to nobody else", () => {
    const rows = new Rows<string>();
    slots(rows, ["a", "b"]);
    expect(slots(rows, ["c", "d"], 0, 0)).toEqual([1, 2]);
  });
});

describe("what is looked at", () => {
  it("is found where it is now, by the first of it that did not change", () => {
    expect(moved(["c", "d"], 2, ["x", "y", "a", "b", "c", "d"])).toBe(2);
    expect(moved(["c", "d"], 2, ["c", "x", "a", "b", "d"])).toBe(-2);
    expect(moved(["c'", "d"], 2, ["c", "a", "b", "d"])).toBe(0);
    expect(moved(["c"], 2, ["a", "b"])).toBe(0);
  });
});
