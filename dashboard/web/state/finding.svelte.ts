// Looking for people on the server: those that the browser does not have.

import { post } from "../api/client.ts";
import type { Conversation, Page } from "../api/types.ts";
import { SOUGHT_MIN } from "./sought.ts";

/** Conversations that a search brings at most. */
const FOUND_MAX = 200;

export class Finding {
  /** The server is being asked. */
  asking = $state(false);
  #sought = "";

  /** Gives what is found to `keep`, page by page, until something else is looked for. */
  async find(tenant: string, words: string, keep: (found: readonly Conversation[]) => void): Promise<void> {
    this.#sought = words;
    this.asking = words.length >= SOUGHT_MIN;
    const current = () => words === this.#sought;
    let cursor: string | null = null;
    try {
      for (let found = 0; this.asking && found < FOUND_MAX; ) {
        const asked: object = { words, limit: 50, cursor };
        const page: Page<Conversation> = await post(`/tenants/${tenant}/conversations/search`, asked);
        if (!current()) return;
        keep(page.items);
        found += page.items.length;
        cursor = page.next ?? null;
        if (!cursor) break;
      }
    } catch {
      // What is here is shown; the next letter asks again.
    } finally {
      if (current()) this.asking = false;
    }
  }
}
