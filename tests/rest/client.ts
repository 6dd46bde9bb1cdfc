// A program on the TypeScript client that was made of the OpenAPI document: what it says is checked by the compiler,
// what it does by the running server.
import assert from "node:assert/strict";
import createClient from "openapi-fetch";
import type { components, paths } from "./api.js";

const { REST_URL: baseUrl, REST_KEY: key, REST_TENANT: tenant, REST_SESSION: session } = process.env;
assert(baseUrl && key && tenant && session);

let checks = 0;
function check(holds: unknown, what: string): asserts holds {
  assert(holds, what);
  checks += 1;
}

const program = createClient<paths>({ baseUrl, headers: { authorization: `Bearer ${key}` } });
const person = createClient<paths>({ baseUrl, headers: JSON.parse(session) });

// Lists come in pages, and are filtered.
const path = { tenant };
const channels: components["schemas"]["Channel"][] = [];
for (let cursor: string | undefined; ; ) {
  const page = await program.GET("/v1/tenants/{tenant}/channels", { params: { path, query: { limit: 1, cursor } } });
  check(page.data, "a page of channels");
  channels.push(...page.data.items);
  if (!page.data.next) break;
  cursor = page.data.next;
}
check(channels.length === 4, "the demo shop has four channels");
const messenger = await program.GET("/v1/tenants/{tenant}/channels", { params: { path, query: { kind: "messenger" } } });
check(messenger.data?.items.every((channel) => channel.kind === "messenger"), "one product alone");

// What is created is created once.
const body = { question: "Is it open on Sunday?", expect: { contains: ["no"] } };
const header = { "Idempotency-Key": "typescript-1" };
const made = await program.POST("/v1/tenants/{tenant}/golden", { params: { path, header }, body });
check(made.response.status === 201 && made.data, "a golden question");
const again = await program.POST("/v1/tenants/{tenant}/golden", { params: { path, header }, body });
check(again.data?.id === made.data.id, "the same one");
check(again.response.headers.get("idempotency-replayed") === "true", "and it says so");

// What is changed is what was seen.
const golden = { ...path, golden: made.data.id };
const seen = await program.GET("/v1/tenants/{tenant}/golden/{golden}", { params: { path: golden } });
const tag = seen.response.headers.get("etag") ?? "";
check(tag, "it has a tag");
const changed = { question: "Is it open on Sundays?", expect: { contains: ["no"] } };
const first = await program.PUT("/v1/tenants/{tenant}/golden/{golden}", {
  params: { path: golden, header: { "If-Match": tag } },
  body: changed,
});
check(first.data?.question === changed.question, "it is changed");
const stale = await program.PUT("/v1/tenants/{tenant}/golden/{golden}", {
  params: { path: golden, header: { "If-Match": tag } },
  body: changed,
});
check(stale.response.status === 412 && stale.error?.code === "changed", "and not by who saw what was before");

// A problem is a problem.
const nothing = { ...path, conversation: `cnv_${"0".repeat(32)}` };
const missing = await program.GET("/v1/tenants/{tenant}/conversations/{conversation}", { params: { path: nothing } });
check(missing.response.status === 404 && missing.error?.code === "not_found", "what is not there");

// A person asks by their session.
const me = await person.GET("/v1/auth/me");
check(me.data?.email === "admin@example.com", "who is signed in");
const refused = await person.GET("/v1/accounts");
check(refused.response.status === 403 && refused.error?.code === "forbidden", "what an administrator may not");

console.log(`typescript: ${checks} checks passed`);
