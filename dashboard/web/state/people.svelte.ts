// Who acted, by the name that whoever looks may know.

import { all } from "../api/client.ts";
import type { Schemas } from "../api/types.ts";
import { coded, t } from "../i18n/index.svelte.ts";
import { session } from "./session.svelte.ts";

class People {
  #names = $state.raw<ReadonlyMap<string, string>>(new Map());

  /** Reads the names of those who may have acted: the tenant's people, and for owners each other. */
  async read(tenant = ""): Promise<void> {
    const found: [string, string][] = [];
    // Without names there are ids.
    const read = async <T>(path: string, of: (each: T) => [string, string]) => {
      try {
        found.push(...(await all<T>(path)).map(of));
      } catch {}
    };
    if (tenant && session.administers) await read<Schemas["Member"]>(`/tenants/${tenant}/members`, (each) => [each.account, each.name]);
    if (session.me?.owner) await read<Schemas["Account"]>("/accounts", (each) => [each.id, each.name]);
    this.#names = new Map(found);
  }

  /** The one who acted. */
  named(actor: unknown): string {
    const { who, account, key } = (actor ?? {}) as { who?: string; account?: string | null; key?: string | null };
    if (account) return account === session.me?.id ? t("glass.you") : (this.#names.get(account) ?? account);
    return key ?? coded("actor", who);
  }
}

export const people = new People();
