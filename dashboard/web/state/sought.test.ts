import { expect, it } from "vitest";
import { sought } from "./sought.ts";

it("what looks like a number is looked for as one, too", () => {
  expect(sought(" Ana ")).toEqual(["ana"]);
  expect(sought("+1 (555) 010-77")).toEqual(["+1 (555) 010-77", "155501077"]);
  expect(sought("1555")).toEqual(["1555"]);
  expect(sought("+1")).toEqual(["+1"]);
  expect(sought("")).toEqual([""]);
});
