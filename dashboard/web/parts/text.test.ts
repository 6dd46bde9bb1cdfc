import { describe, expect, it } from "vitest";
import { oneLine, pieces } from "./text.ts";

describe("text of strangers", () => {
  it("loses nothing and gains nothing", () => {
    for (const text of ["", "abc", "<b>x</b>", "a\u202Egnp.exe\u202C b", "\u0000", "😀".repeat(4_096), "line\nline\ttab"]) {
      expect(pieces(text).map((piece) => piece.text).join("")).toBe(text);
    }
  });

  it("has names for what cannot be seen", () => {
    const named = pieces("a\u0000b\u202Ec\u2069d\u0085").map((piece) => piece.control).filter(Boolean);
    expect(named).toEqual(["NUL", "RLO", "PDI", "NEL"]);
    expect(pieces("plain\nwords").every((piece) => piece.control === null)).toBe(true);
  });

  it("is cut between characters and has no controls in a list", () => {
    expect(oneLine("😀".repeat(400), 10)).toBe(`${"😀".repeat(10)}…`);
    expect(oneLine("a\u202Eb\n\n c\u0000")).toBe("ab c");
  });
});
