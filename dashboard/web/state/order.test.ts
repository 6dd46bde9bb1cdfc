import { expect, it } from "vitest";
import { type Placed, merged } from "./order.ts";

const placed = (id: string, at: number): Placed => ({ conversation: { id }, at });

it("has everything once and in order, whatever changed", () => {
  let chance = 3;
  const random = (below: number) => (chance = (chance * 1_103_515_245 + 12_345) % 2_147_483_648) % below;
  const all = new Map<string, Placed>();
  let list: Placed[] = [];
  for (let round = 0; round < 300; round += 1) {
    const ids = new Set(Array.from({ length: random(6) }, () => `cnv_${random(60)}`));
    for (const id of ids) all.set(id, placed(id, random(1_000)));
    list = merged(list, [...ids].map((id) => all.get(id) as Placed), ids);
    expect(list.length).toBe(all.size);
    expect(new Set(list)).toEqual(new Set(all.values()));
    expect(list.map((each) => each.at)).toEqual(list.map((each) => each.at).sort((a, b) => b - a));
  }
});
