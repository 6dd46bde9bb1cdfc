// How things are called where they are shown.

import type { Control, Turn } from "../api/types.ts";
import { t } from "../i18n/index.svelte.ts";

export const PRODUCTS: Record<string, string> = { whatsapp: "WhatsApp", messenger: "Messenger", instagram: "Instagram" };
export const SHORT: Record<string, string> = { whatsapp: "WA", messenger: "MS", instagram: "IG" };

/** Who answers, and how that looks. */
export function holderOf(control: Control): { words: string; tone: string; icon: string } {
  switch (control.holder) {
    case "assistant":
      return { words: t("holder.assistant"), tone: "go", icon: "bot" };
    case "operator":
      return { words: control.name, tone: "info", icon: "user" };
    case "waiting":
      return { words: t("holder.waiting"), tone: "warn", icon: "hand" };
    default:
      return { words: t("holder.other_app"), tone: "", icon: "plug" };
  }
}

export function endOf(turn: Pick<Turn, "end">): { words: string; tone: string } {
  const end = turn.end ?? "running";
  const tone = end === "answered" ? "go"
    : end === "running" ? "violet"
    : ["failed", "objected", "over_budget"].includes(end) ? "bad"
    : ["handed_over", "taken_over", "window_closed"].includes(end) ? "warn" : "";
  return { words: t(`end.${end}`), tone };
}
