import { describe, expect, it } from "vitest";
import type { Conversation, Message } from "../api/types.ts";
import type { LogEvent } from "../feed/frames.ts";
import { type Shown, conversationAfter, draftAfter, endsDraft, ordered, threadAfter } from "./reduce.ts";

const message = (id: string, more: Partial<Message> = {}): Message => ({
  id, conversation: "cnv_1", author: { by: "contact" }, content: { type: "text", body: id }, sent_at: 1, recorded_at: 1,
  ...more,
}) as Message;
const told = (type: string, more: object): LogEvent => ({ seq: 1, at: 9, type, conversation: "cnv_1", ...more });
const conversation = (more: Partial<Conversation> = {}): Conversation => ({
  id: "cnv_1", channel: "chn_1", kind: "whatsapp", control: { holder: "assistant" }, epoch: 1, opened_at: 0, opted_out: false,
  ...more,
}) as Conversation;
const status = (to: string) => told("message.status_changed", { message: "a", delivery: { status: to, at: 2 } });
const after = (events: LogEvent[], from: ReadonlyMap<string, Shown> = new Map()) => events.reduce(threadAfter, from);

describe("a thread", () => {
  it("has each message once, however often it is told of", () => {
    const received = told("message.received", { message: message("a") });
    expect(after([received, received, received]).size).toBe(1);
  });

  it("only goes further with a delivery, in whichever order reports come", () => {
    const queued = told("message.queued", { message: message("a", { delivery: { status: "queued", at: 1 } }) });
    for (const order of [["sent", "delivered", "read"], ["read", "sent", "delivered"], ["delivered", "read", "sent"]]) {
      expect(after([queued, ...order.map(status), queued]).get("a")?.delivery?.status).toBe("read");
    }
  });

  it("keeps nothing of what was taken back, even when it is told of again", () => {
    const received = told("message.received", { message: message("a") });
    const removed = told("message.removed", { message: "a" });
    const thread = after([received, removed, received]);
    expect(thread.get("a")?.content).toEqual({ type: "removed" });
  });

  it("shows the later of two edits", () => {
    const edited = (body: string, at: number) =>
      told("message.edited", { message: message("a", { content: { type: "text", body, preview: false }, edited_at: at } as Partial<Message>) });
    const thread = after([told("message.received", { message: message("a") }), edited("second", 20), edited("first", 10)]);
    expect(thread.get("a")?.content).toMatchObject({ body: "second" });
  });

  it("has one reaction of each side", () => {
    const react = (emoji: string | null, by_contact = true) => told("message.reacted", { message: "a", by_contact, emoji });
    const received = told("message.received", { message: message("a") });
    expect(after([received, react("👍"), react("❤"), react("🙏", false)]).get("a")?.reactions).toEqual([
      { by_contact: true, emoji: "❤" }, { by_contact: false, emoji: "🙏" }]);
    expect(after([received, react("👍"), react(null)]).get("a")?.reactions).toEqual([]);
  });

  it("is read in the order of writing", () => {
    const thread = after(["c", "a", "b"].map((id, at) => told("message.received", { message: message(id, { sent_at: 3 - at }) })));
    expect(ordered(thread).map((each) => each.id)).toEqual(["b", "a", "c"]);
  });
});

describe("a conversation", () => {
  it("changes hands", () => {
    const control = { holder: "operator", name: "Ada", since: 5 };
    const { conversation: next } = conversationAfter(conversation(), told("control.changed", { control, epoch: 2 }));
    expect([next.control, next.epoch]).toEqual([control, 2]);
  });

  it("shows its latest message, and none that is older than that", () => {
    const first = conversationAfter(conversation(), told("message.received", { message: message("new", { recorded_at: 9 }) }));
    const second = conversationAfter(first.conversation, told("message.received", { message: message("old", { recorded_at: 3 }) }));
    expect(second.conversation.last_message?.id).toBe("new");
  });

  it("does not forget a turn that runs when an earlier one ends", () => {
    const running = conversation({ running_turn: "trn_2" });
    expect(conversationAfter(running, told("turn.ended", { turn: "trn_1" })).conversation.running_turn).toBe("trn_2");
    expect(conversationAfter(running, told("turn.ended", { turn: "trn_2" })).conversation.running_turn).toBeNull();
  });

  it("is read anew after what says less than it changed", () => {
    expect(conversationAfter(conversation(), told("contact.merged", {})).stale).toBe(true);
    expect(conversationAfter(conversation(), told("message.received", { message: message("a") })).stale).toBe(false);
  });
});

describe("a draft", () => {
  const token = (at: number, text: string, turn = "trn_1") =>
    ({ type: "turn.token", tenant: "ten_1", conversation: "cnv_1", turn, at, text }) as const;

  it("grows by characters, not by halves of them", () => {
    expect(draftAfter(draftAfter(undefined, token(0, "😀😀")), token(2, "!")).text).toBe("😀😀!");
  });

  it("begins anew with another try and another turn", () => {
    const first = draftAfter(undefined, token(0, "abc"));
    expect(draftAfter(first, token(0, "x")).text).toBe("x");
    expect(draftAfter(first, token(0, "y", "trn_2"))).toMatchObject({ turn: "trn_2", text: "y" });
  });

  it("says that something is missing where it is", () => {
    expect(draftAfter(draftAfter(undefined, token(0, "ab")), token(9, "z")).text).toBe("ab…z");
  });

  it("ends with its turn, and with the message that came of it", () => {
    const draft = draftAfter(undefined, token(0, "ab"));
    expect(endsDraft(told("turn.ended", { turn: "trn_1" }), draft)).toBe(true);
    expect(endsDraft(told("message.queued", { message: message("a", { author: { by: "assistant", turn: "trn_1" } }) }), draft)).toBe(true);
    expect(endsDraft(told("message.queued", { message: message("a", { author: { by: "operator", name: "Ada" } }) }), draft)).toBe(false);
  });
});
