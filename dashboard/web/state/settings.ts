// The assistant's settings as they are edited: without what the server adds when it shows them.

import type { Schemas, Settings } from "../api/types.ts";

type Whole = Pick<Settings, "people" | "budgets" | "disclosure" | "context" | "built_in" | "moderation">;
export type Form = Schemas["NewAssistant"] & Whole;

/** What can be sent back of what was shown. Secrets that are left out stay as they are. */
export function formOf(shown: Settings & Record<string, unknown>): Form {
  const { has_api_key: _, version: _v, published_at: _p, rolled_back_to: _r, based_on: _b, saved_at: _s, tools, ...rest } = shown;
  const bare = tools.map(({ secret_header: _h, ...tool }) => tool);
  return structuredClone({ ...rest, tools: bare }) as unknown as Form;
}

/** Paths whose values differ, with both. */
export function differences(before: unknown, after: unknown, path = ""): { path: string; before: unknown; after: unknown }[] {
  if (JSON.stringify(before) === JSON.stringify(after)) return [];
  const both = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null && !Array.isArray(value);
  if (!both(before) || !both(after)) return [{ path, before, after }];
  return [...new Set([...Object.keys(before), ...Object.keys(after)])].flatMap((name) =>
    differences(before[name], after[name], path ? `${path}.${name}` : name));
}
