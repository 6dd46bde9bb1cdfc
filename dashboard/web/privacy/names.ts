// What the API calls what these pages show, in the order in which it is shown.

import type { Schemas } from "../api/types.ts";

export const RIGHTS: Schemas["RightKind"][] = ["access", "rectify", "update", "delete", "confidential", "object"];
export const STAGES = ["received", "verified", "answered", "refused", "withdrawn", "lapsed"];
export const DUE = ["open", "soon", "overdue", "over"];
export const GROUNDS: Schemas["RefusalGround"][] = ["identity", "duty_to_keep", "others_rights", "not_wrong", "nothing_held", "needed_for_service"];
/** Classes for which a tenant chooses a period, and that a hold may name. */
export const CLASSES: Schemas["Class"][] = ["contact", "message", "execution", "event", "webhook", "dead_letter"];
/** Classes that an authority may be handed. */
export const ORDER_CLASSES: Schemas["Class"][] = ["contact", "message", "execution", "event"];
export const ERASURE_STAGES = ["begun", "held", "erased", "final"];
export const FACTS = ["what_happened", "vulnerabilities", "mitigation", "measures", "consequences"] as const;

/** How what is so far looks. */
export const TONES: Record<string, string> = {
  received: "info", verified: "warn", answered: "go", refused: "bad", withdrawn: "", lapsed: "",
  begun: "info", held: "warn", erased: "go", final: "go",
};

/** Whether a case is not over. */
export const isOpen = (state: string): boolean => state === "received" || state === "verified";

/** The ids that somebody wrote one after another. */
export const idsIn = (text: string): string[] => [...new Set(text.split(/[\s,;]+/).filter(Boolean))];
