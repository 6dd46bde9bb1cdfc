// What a message says, in a line.

import type { Content, Message } from "../api/types.ts";
import { t } from "../i18n/index.svelte.ts";
import { oneLine } from "../parts/text.ts";
import { signOf } from "./signs.ts";

/** The words of a content that has some, without its form. */
export function wordsOf(content: Content): string {
  switch (content.type) {
    case "text":
    case "note":
    case "buttons":
    case "list":
    case "quick_replies":
    case "link":
    case "flow":
    case "location_request":
      return content.body;
    case "media":
      return content.caption ?? "";
    case "selection":
      return content.title;
    case "comment":
      return content.text;
    case "shared":
      return content.text ?? content.title ?? "";
    case "location":
      return content.name ?? content.address ?? "";
    case "order":
      return content.note ?? "";
    case "flow_response":
      return content.body ?? "";
    default:
      return "";
  }
}

export function previewOf(message: Message | null): string {
  if (!message) return "";
  const { content } = message;
  const words = oneLine(wordsOf(content));
  if (content.type === "media") {
    const kind = content.items[0]?.kind ?? "document";
    return words ? `${t(`media.${kind}`)}: ${words}` : t(`media.${kind}`);
  }
  if (content.type === "reaction") return content.emoji ? `${t("content.reaction")}: ${signOf(content.emoji)}` : t("reaction.off");
  if (content.type === "note") return `${t("note")}: ${words}`;
  if (content.type === "text") return words;
  const named = content.type === "template" ? `${t("content.template")}: ${content.name}` : t(`content.${content.type}`);
  return words || named;
}
