// What events make of what is shown. Pure: every event may come again, after what it tells of is known already.

import type { Content, Control, Conversation, Delivery, Message } from "../api/types.ts";
import type { LogEvent, Whisper } from "../feed/frames.ts";

/** Its place in this order is how far a message got: it only goes further. */
const STATUSES = ["queued", "unknown", "sent", "withdrawn", "failed", "delivered", "read"];

/** A message as it is shown: with what only the feed tells of it. */
export interface Shown extends Message {
  /** Until when its send is put off, and why. */
  postponed?: { until: number; reason: string };
}

export function further(a: Delivery | null | undefined, b: Delivery | null | undefined): Delivery | undefined {
  if (!a || !b) return a ?? b ?? undefined;
  return STATUSES.indexOf(b.status) > STATUSES.indexOf(a.status) ? { ...b, pricing: b.pricing ?? a.pricing } : a;
}

/** The message of an event that carries one. */
export function messageOf(event: LogEvent): Message | null {
  const message = event.message;
  return message && typeof message === "object" ? (message as Message) : null;
}

const CARRIES_NEW = ["message.received", "message.echoed", "message.queued", "note.added"];

/** Whether the event brings a message that was not there before. */
export function bringsMessage(event: LogEvent): boolean {
  return CARRIES_NEW.includes(event.type);
}

/** The messages of a conversation by id, after an event; the same map where nothing changed. */
export function threadAfter(thread: ReadonlyMap<string, Shown>, event: LogEvent): ReadonlyMap<string, Shown> {
  const whole = messageOf(event);
  if (whole) return withMessage(thread, whole);
  const id = typeof event.message === "string" ? event.message : null;
  const known = id ? thread.get(id) : undefined;
  if (!known) return thread;
  switch (event.type) {
    case "message.status_changed":
      return put(thread, { ...known, delivery: further(known.delivery, event.delivery as Delivery), postponed: undefined });
    case "message.withdrawn": {
      const withdrawn: Delivery = { status: "withdrawn", at: event.at };
      return put(thread, { ...known, delivery: further(known.delivery, withdrawn) });
    }
    case "message.postponed":
      return put(thread, { ...known, postponed: { until: Number(event.not_before), reason: String(event.reason) } });
    case "message.removed":
      return put(thread, { ...known, content: { type: "removed" } as Content, removed_at: event.at, reactions: [] });
    case "message.reacted": {
      const others = (known.reactions ?? []).filter((each) => each.by_contact !== event.by_contact);
      const emoji = event.emoji as string | null;
      const own = emoji ? [{ by_contact: Boolean(event.by_contact), emoji }] : [];
      return put(thread, { ...known, reactions: [...others, ...own] });
    }
    default:
      return thread;
  }
}

/** The same with this message in it, as far on as the two that are known of it. */
export function withMessage(thread: ReadonlyMap<string, Shown>, message: Message): ReadonlyMap<string, Shown> {
  const known = thread.get(message.id);
  // What was taken back does not come back.
  if (known?.removed_at && !message.removed_at) return thread;
  const newer = known && (known.edited_at ?? 0) > (message.edited_at ?? 0) ? known : message;
  return put(thread, { ...newer, delivery: further(known?.delivery, message.delivery) });
}

function put(thread: ReadonlyMap<string, Shown>, message: Shown): ReadonlyMap<string, Shown> {
  return new Map(thread).set(message.id, message);
}

/** The order in which messages are read: as they were written, and as they were recorded within a moment. */
export function ordered(thread: ReadonlyMap<string, Shown>): Shown[] {
  return [...thread.values()].sort((a, b) => a.sent_at - b.sent_at || a.recorded_at - b.recorded_at || (a.id < b.id ? -1 : 1));
}

/** Events after which a conversation is read anew: what they say is not all that changed. */
const READ_ANEW = new Set([
  "contact.acted", "contact.attributes_changed", "contact.identity_changed", "contact.merged",
  "contact.marketing_changed", "contact.reachability_changed", "contact.standing_changed", "conversation.released", "conversation.quarantined",
]);

/** The conversation after an event, and whether it is to be read anew. */
export function conversationAfter(known: Conversation, event: LogEvent): { conversation: Conversation; stale: boolean } {
  const stale = READ_ANEW.has(event.type);
  const change = changeOf(known, event);
  return { conversation: change ? { ...known, ...change } : known, stale };
}

function changeOf(known: Conversation, event: LogEvent): Partial<Conversation> | null {
  switch (event.type) {
    case "control.changed":
      return { control: event.control as Control, epoch: Number(event.epoch) };
    case "conversation.assigned":
      return { assigned: event.operator as string | null };
    case "turn.started":
      return { running_turn: String(event.turn) };
    case "turn.ended":
      return known.running_turn === event.turn ? { running_turn: null } : null;
    case "contact.opted_out":
      return { opted_out: true };
    case "follow_up.scheduled":
      return { follow_up_at: event.planned_at as number | null };
    case "message.received": {
      const message = messageOf(event);
      const at = Math.max(known.last_inbound_at ?? 0, message?.sent_at ?? 0);
      return { ...latest(known, message), last_inbound_at: at, opted_out: false };
    }
    case "message.echoed":
    case "message.queued":
    case "note.added":
      return latest(known, messageOf(event));
    case "message.edited":
    case "media.settled": {
      const message = messageOf(event);
      return message && known.last_message?.id === message.id ? { last_message: message } : null;
    }
    case "message.removed":
      if (known.last_message?.id !== event.message) return null;
      return { last_message: { ...known.last_message, content: { type: "removed" } as Content } as Message };
    case "message.status_changed":
      if (known.last_message?.id !== event.message) return null;
      return {
        last_message: {
          ...known.last_message,
          delivery: further(known.last_message?.delivery, event.delivery as Delivery),
        } as Message,
      };
    default:
      return null;
  }
}

function latest(known: Conversation, message: Message | null): Partial<Conversation> | null {
  if (!message || (known.last_message && known.last_message.recorded_at > message.recorded_at)) return null;
  return { last_message: message };
}

/** What the assistant is writing. */
export interface Draft {
  turn: string;
  text: string;
  /** The tool that it waits for. */
  tool: string | null;
}

/** The draft after a whisper. What is missing of it stays missing: the message comes whole. */
export function draftAfter(draft: Draft | undefined, whisper: Whisper): Draft {
  const own = draft?.turn === whisper.turn ? draft : { turn: whisper.turn, text: "", tool: null };
  if (whisper.type === "turn.tool") {
    return whisper.outcome ? { ...own, tool: null } : { ...own, text: "", tool: whisper.name };
  }
  const letters = Array.from(own.text);
  // A place that was not reached yet means that some was missed.
  const before = letters.length >= whisper.at ? letters.slice(0, whisper.at).join("") : `${own.text}…`;
  return { turn: whisper.turn, text: before + whisper.text, tool: null };
}

/** Whether the event ends what was being written. */
export function endsDraft(event: LogEvent, draft: Draft | undefined): boolean {
  if (!draft) return false;
  if (event.type === "turn.ended" || event.type === "turn.started") return event.turn !== draft.turn || event.type === "turn.ended";
  const author = messageOf(event)?.author;
  return event.type === "message.queued" && author?.by === "assistant" && author.turn === draft.turn;
}
