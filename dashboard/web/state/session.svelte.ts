// Who is signed in, and in which tenant they look.

import { ApiError, all, get, post, setCsrf, whenRefused } from "../api/client.ts";
import type { Me, Page, Schemas, Tenant } from "../api/types.ts";
import { useLanguage } from "../i18n/index.svelte.ts";
import { ticking } from "./clock.svelte.ts";
import { router } from "./router.svelte.ts";

export type Role = "owner" | "agency" | "tenant_admin" | "operator" | "viewer" | "none";

/** Where the tenant is kept in which somebody was last. */
const LAST = "tenant";

class Session {
  me = $state<Me | null>(null);
  tenants = $state<Tenant[]>([]);
  /** Whether it is known yet who this is. */
  known = $state(false);
  problem = $state<ApiError | null>(null);
  /** Until when an owner may look into what people write, by tenant. */
  looks = $state.raw<Readonly<Record<string, number>>>({});
  /** Somebody waits for a proof anew. */
  stepUp = $state<((given: boolean) => void) | null>(null);

  constructor() {
    whenRefused(
      () => this.#over(),
      () => new Promise((resolve) => (this.stepUp = resolve)),
    );
  }

  /** The tenant of the address. */
  get tenant(): Tenant | null {
    const [first, id] = router.parts;
    return first === "t" ? (this.tenants.find((each) => each.id === id) ?? null) : null;
  }

  /** The same, or the one where they were last. */
  get near(): Tenant | null {
    const last = localStorage.getItem(LAST);
    return this.tenant ?? this.tenants.find((each) => each.id === last) ?? null;
  }

  /** As what they are in the tenant of the address. */
  get role(): Role {
    return this.tenant ? this.roleIn(this.tenant.id) : "none";
  }

  roleIn(tenant: string): Role {
    const own = this.me?.memberships.find((each) => each.tenant === tenant);
    if (own) return own.role as Role;
    if (this.me?.memberships.some((each) => each.agency)) return "agency";
    return this.me?.owner ? "owner" : "none";
  }

  /** Whether they read what people write there: an owner only while a look is open. */
  readsIn(tenant: string): boolean {
    const role = this.roleIn(tenant);
    return role === "owner" ? (this.looks[tenant] ?? 0) > ticking.now : role !== "none";
  }

  /** Takes what is known of looks into a tenant: one's own that is open counts. */
  looked(tenant: string, looks: readonly Schemas["BreakGlass"][]): void {
    const own = looks.filter((look) => look.asked_by === this.me?.id && look.opened_at && !look.ended_at);
    const until = Math.max(0, ...own.map((look) => look.ends_at ?? 0));
    if ((this.looks[tenant] ?? 0) !== until) this.looks = { ...this.looks, [tenant]: until };
  }

  /** Reads which looks of an owner into a tenant are open. */
  async readLooks(tenant: string): Promise<void> {
    try {
      this.looked(tenant, (await get<Page<Schemas["BreakGlass"]>>(`/tenants/${tenant}/break-glass?over=false&limit=200`)).items);
    } catch {
      // Without knowing of one there is none.
    }
  }

  /** Keeps where they are. */
  remember(): void {
    if (this.tenant) localStorage.setItem(LAST, this.tenant.id);
  }

  /** Whether they administer the tenant of the address. */
  get administers(): boolean {
    return this.role === "tenant_admin" || this.role === "agency";
  }

  get sends(): boolean {
    return this.role === "tenant_admin" || this.role === "operator";
  }

  async load(): Promise<void> {
    try {
      await this.signedIn(await get<Me>("/auth/me", { open: true }));
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      if (error.status === 401) this.me = null;
      else this.problem = error;
    }
    this.known = true;
  }

  /** Somebody signed in: what they may see is read before they are anywhere. */
  async signedIn(me: Me): Promise<void> {
    setCsrf(me.csrf_token);
    await this.loadTenants(me);
    this.took(me);
    this.problem = null;
    this.known = true;
  }

  took(me: Me): void {
    setCsrf(me.csrf_token);
    this.me = me;
    useLanguage(me.language);
  }

  async loadTenants(me = this.me): Promise<void> {
    if (!me || me.must_add_second_factor) return;
    this.tenants = (await all<Tenant>("/tenants")).filter((tenant) => tenant.state !== "closed");
  }

  async signOut(): Promise<void> {
    await post("/auth/sign-out");
    this.#over();
  }

  #over(): void {
    setCsrf("");
    this.me = null;
    this.tenants = [];
    this.looks = {};
    this.stepUp = null;
  }
}

export const session = new Session();
