import { describe, expect, it } from "vitest";
import type { Shown } from "./reduce.ts";
import { isSame, signOf, signed } from "./signs.ts";

const said = (id: string, more: object = {}): Shown =>
  ({ id, conversation: "cnv_1", author: { by: "contact" }, content: { type: "text", body: id }, sent_at: 1, recorded_at: 1, provider_id: `wamid.${id}`, ...more }) as Shown;
const sign = (id: string, target: string, emoji: string | null, status = "sent"): Shown =>
  said(id, { author: { by: "operator", name: "Ada" }, content: { type: "reaction", target, emoji }, delivery: { status, at: 1 } });

describe("signs that we put", () => {
  it("stand on their messages, the last of them, beside the contact's", () => {
    const theirs = { by_contact: true, emoji: "🎉" };
    const thread = [said("a", { reactions: [theirs] }), said("b"), sign("s1", "wamid.a", "👍"), sign("s2", "wamid.a", "❤️")];
    const shown = signed(thread);
    expect(shown.map((each) => each.id)).toEqual(["a", "b"]);
    expect(shown[0]?.reactions).toEqual([theirs, { by_contact: false, emoji: "❤️" }]);
    expect(shown[1]).toBe(thread[1]);
  });

  it("are gone where they were taken off", () => {
    const shown = signed([said("a", { reactions: [{ by_contact: false, emoji: "👍" }] }), sign("s1", "wamid.a", "👍"), sign("s2", "wamid.a", null)]);
    expect(shown.map((each) => each.reactions)).toEqual([[]]);
  });

  it("are shown among the messages where they did not arrive, or theirs is further up", () => {
    const shown = signed([said("a"), sign("s1", "wamid.a", "👍", "failed"), sign("s2", "wamid.z", "👍")]);
    expect(shown.map((each) => each.id)).toEqual(["a", "s1", "s2"]);
    expect(shown[0]?.reactions).toBeUndefined();
  });

  it("are the same by name, by sign and by its form", () => {
    expect(signOf("love")).toBe("❤️");
    expect(signOf("🎉")).toBe("🎉");
    expect(isSame("love", "❤") && isSame("❤️", "❤") && !isSame("like", "❤")).toBe(true);
  });
});
