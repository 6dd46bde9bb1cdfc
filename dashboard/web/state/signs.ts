// Signs on messages: which can be put, and where those stand that we put.

import type { Shown } from "./reduce.ts";

/** What every channel takes. Messenger and Instagram know each by its name. */
export const SIGNS: Readonly<Record<string, string>> = {
  like: "👍", love: "❤️", smile: "😆", wow: "😮", sad: "😢", angry: "😠", dislike: "👎",
};

/** The sign, where a channel said its name. */
export const signOf = (emoji: string): string => SIGNS[emoji] ?? emoji;

const bare = (emoji: string): string => signOf(emoji).replace(/\ufe0f$/, "");

/** Whether they are the same sign, however they are written. */
export const isSame = (a: string, b: string): boolean => bare(a) === bare(b);

/** The messages as they are shown: signs that we put stand on theirs and not among them, but for those that did not arrive. */
export function signed(thread: readonly Shown[]): Shown[] {
  const known = new Set(thread.map((message) => message.provider_id));
  const own = new Map<string, string | null>();
  const rest = thread.filter(({ content, delivery }) => {
    if (content.type !== "reaction" || !known.has(content.target)) return true;
    if (delivery?.status === "failed" || delivery?.status === "withdrawn") return true;
    own.set(content.target, content.emoji ?? null);
    return false;
  });
  if (own.size === 0) return rest;
  return rest.map((message) => {
    const emoji = own.get(message.provider_id ?? "");
    if (emoji === undefined || message.removed_at) return message;
    const theirs = (message.reactions ?? []).filter((each) => each.by_contact);
    return { ...message, reactions: emoji ? [...theirs, { by_contact: false, emoji }] : theirs };
  });
}
