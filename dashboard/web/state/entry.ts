// A conversation as a list shows it.

import type { Conversation } from "../api/types.ts";
import { PRODUCTS } from "../live/names.ts";
import { oneLine } from "../parts/text.ts";
import { previewOf } from "./preview.ts";

export interface Entry {
  conversation: Conversation;
  /** What people know them by. */
  name: string;
  /** What they are found by, in small letters. */
  found: string;
  /** When something was last said. */
  at: number;
  /** What was last said, in a line. */
  preview: string;
  /** Messages that came and were not looked at here. */
  unread: number;
}

/** What a list shows of a conversation. */
export function entryOf(conversation: Conversation, unread = 0): Entry {
  const contact = conversation.contact;
  const id = contact?.scoped_id ?? contact?.user_id;
  // Who gave no name is known by their number, or by the end of an id that nobody reads whole.
  const unnamed = contact?.wa_id ? `+${contact.wa_id}` : id ? `${PRODUCTS[conversation.kind] ?? ""} …${id.slice(-4)}` : "";
  const name = oneLine(contact?.profile_name ?? unnamed, 80);
  const preview = previewOf(conversation.last_message ?? null);
  const at = Math.max(conversation.last_message?.recorded_at ?? 0, conversation.last_inbound_at ?? 0, conversation.opened_at);
  const found = `${name} ${contact?.wa_id ?? ""} ${id ?? ""} ${preview}`.toLowerCase();
  return { conversation, name, found, at, preview, unread };
}
