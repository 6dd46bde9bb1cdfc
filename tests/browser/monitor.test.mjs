// The monitor in a real browser, against the binary and its sandbox.
//
// Nothing here sleeps but the test that cuts the network for ten seconds: every step waits for what it needs to see.

import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { mkdtemp, readFile, readdir, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, test } from "node:test";

import { LIMIT_MS, context, door, launch, sandbox } from "./harness.mjs";

const AXE = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const CUT_MS = 10_000;

let where, browser, folder, signedIn;
const ends = [];

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "monitor-"));
  where = await sandbox("--data", folder);
  browser = await launch();
  const made = await context(browser);
  const page = await made.newPage();
  await page.goto(where.monitor);
  await page.getByRole("link", { name: "Live" }).waitFor();
  signedIn = await made.storageState();
  await made.close();
}, { timeout: 2 * LIMIT_MS });

afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

after(async () => {
  await browser?.close();
  await where?.stop();
  if (folder) await rm(folder, { recursive: true, force: true });
});

/** A context whose pages are signed in as the sandbox's owner. */
async function owner(options = {}) {
  const made = await context(browser, { storageState: signedIn, ...options });
  ends.push(() => made.close());
  return made;
}

async function live(made, path = "", base = where.server) {
  const page = await made.newPage();
  await page.goto(`${base}/t/${where.tenant}/live${path}`);
  await page.getByRole("region", { name: "Conversations" }).waitFor();
  return page;
}

/** Somebody writes to a channel of the demo shop. */
async function say(contact, text) {
  const response = await fetch(new URL("/sim/say", where.phone), { method: "POST", body: JSON.stringify({ contact, text }) });
  assert.equal(response.status, 200, await response.text());
}

async function api(path, options = {}) {
  const headers = { authorization: `Bearer ${where.key}`, ...options.headers };
  const response = await fetch(`${where.server}/v1/tenants/${where.tenant}${path}`, { ...options, headers });
  assert.ok(response.ok, `${path}: ${response.status}`);
  return response.json();
}

const entry = (page, name) => page.locator(".entry").filter({ has: page.locator(".name", { hasText: name }) });
const bubbles = (page) => page.locator(".thread .bubble");

async function open(page, name) {
  await entry(page, name).click();
  await page.locator(".thread h2", { hasText: name }).waitFor();
}

/** Complaints, but for answers that say that there is none: those a browser notes by itself. */
const complaints = (page) => page.complaints.filter((each) => !/the server responded with a status of (401|404)/.test(each));

async function noSidewaysScroll(page, what) {
  const over = await page.evaluate(() => [document.documentElement, ...document.querySelectorAll(".box, .page")]
    .map((each) => each.scrollWidth - each.clientWidth));
  assert.ok(over.every((each) => each <= 0), `${what}: ${over}`);
}

test("a link signs in, once; signing out ends it", async () => {
  const made = await context(browser);
  ends.push(() => made.close());
  const page = await made.newPage();
  await page.goto(`${where.server}/t/${where.tenant}/live`);
  await page.getByRole("heading", { name: "Welcome back" }).waitFor();
  assert.match(page.url(), /\/sign-in\?to=/, "where they wanted to go is kept");
  await page.goto("about:blank");
  await page.goto(where.monitor);
  await page.getByRole("alert").filter({ hasText: "used already" }).waitFor();
  assert.ok(!page.url().includes("token"), "the token does not stay in the address");
  assert.deepEqual(complaints(page).filter((each) => !/status of 403/.test(each)), []);
});

test("what somebody writes on the phone is seen live, with ticks and the words as they come", async () => {
  const made = await owner();
  const page = await live(made);
  const phone = await made.newPage();
  await phone.goto(where.phone);
  await phone.getByLabel("Name of the new contact").fill("Ana");
  await phone.getByRole("button", { name: "Add the contact" }).click();
  await phone.locator("#who", { hasText: "Ana" }).waitFor();
  await phone.getByLabel("Message", { exact: true }).fill("Are you open on Sunday?");
  await phone.getByRole("button", { name: "Send" }).click();
  await entry(page, "Ana").waitFor();
  await open(page, "Ana");
  await page.locator(".draft").waitFor();
  await page.locator(".line.in", { hasText: "Are you open on Sunday?" }).waitFor();
  await page.locator(".line.bot", { hasText: "[simulated]" }).waitFor();
  await page.locator(".line.bot .tick.read").waitFor();
  await page.locator(".draft").waitFor({ state: "detached" });
  assert.equal(await bubbles(page).count(), 2);
  // Why it was so, from the key.
  await page.keyboard.press("w");
  await page.getByRole("heading", { name: "Why this reply" }).waitFor();
  await page.locator(".side-panel .tag", { hasText: "Answered" }).waitFor();
  await page.locator(".side-panel li.attempt").first().waitFor();
  await page.locator(".side-panel li.tool", { hasText: "search_knowledge" }).first().waitFor();
  assert.deepEqual(complaints(page), []);
});

test("somebody takes over while the assistant writes, replies, and hands back", async () => {
  const page = await live(await owner());
  await say("Bruno", "What are your opening hours?");
  await open(page, "Bruno");
  await page.locator(".draft").waitFor();
  await page.keyboard.press("t");
  await page.locator(".holder", { hasText: "Sandbox owner" }).waitFor();
  await page.getByLabel("Reply", { exact: true }).fill("I look after this myself.");
  await page.keyboard.press("Enter");
  await page.locator(".line.person", { hasText: "I look after this myself." }).locator(".tick.read").waitFor();
  assert.equal(await page.locator(".line.bot").count(), 0, "no word of the assistant left");
  const { items } = await api("/conversations?limit=50");
  const { id } = items.find((each) => each.contact.profile_name === "Bruno");
  const turns = await api(`/conversations/${id}/turns`);
  assert.deepEqual(turns.items.map((turn) => turn.end), ["taken_over"]);
  // A note is for people alone.
  await page.keyboard.press("Escape");
  await page.keyboard.press("n");
  await page.getByLabel("Note", { exact: true }).fill("A regular.");
  await page.keyboard.press("Enter");
  await page.locator(".line.note", { hasText: "A regular." }).waitFor();
  await page.keyboard.press("Escape");
  await page.keyboard.press("h");
  await page.locator(".holder", { hasText: "Assistant" }).waitFor();
  await say("Bruno", "Thanks");
  await page.locator(".line.bot", { hasText: "Thanks" }).waitFor();
  assert.deepEqual(complaints(page), []);
});

test("ten seconds without a network: nothing is missing and nothing comes twice", async () => {
  const through = await door(where.server);
  ends.push(() => through.close());
  const page = await live(await owner(), "", through.url);
  await say("Carla", "Before the cut");
  await open(page, "Carla");
  await page.locator(".line.bot").waitFor();
  await page.locator(".line.bot .tick.read").waitFor();
  const cut = Date.now();
  through.shut();
  await page.getByText("Offline. What happens meanwhile").waitFor();
  const said = Array.from({ length: 12 }, (_, at) => `During the cut, ${at + 1}.`);
  for (const text of said) await say("Carla", text);
  await say("Carlo", "I am new, and wrote during the cut");
  const { latest } = await api("/events?after=0&limit=1");
  assert.ok(latest > 20);
  await new Promise((resolve) => setTimeout(resolve, Math.max(0, CUT_MS - (Date.now() - cut))));
  assert.equal(await page.locator(".line.in").count(), 1, "nothing came through");
  through.unshut();
  await page.locator(".line.in", { hasText: said.at(-1) }).waitFor();
  await entry(page, "Carlo").waitFor();
  const { items } = await api("/conversations?limit=50");
  const { id } = items.find((each) => each.contact.profile_name === "Carla");
  // What stands there in the end is what the server has, each once and in its order.
  await assertEventually(page, async () => {
    const there = await api(`/conversations/${id}/messages?limit=100`);
    const turns = await api(`/conversations/${id}/turns?limit=1`);
    const shown = await page.locator(".thread .line").evaluateAll((lines) => lines.map((line) => line.dataset.id));
    const ordered = there.items.sort((a, b) => a.sent_at - b.sent_at || a.recorded_at - b.recorded_at || (a.id < b.id ? -1 : 1));
    return turns.items[0].ended_at && JSON.stringify(shown) === JSON.stringify(ordered.map((each) => each.id));
  }, "the thread is the server's");
  const shown = await page.locator(".line.in .words").allTextContents();
  assert.deepEqual(shown, ["Before the cut", ...said]);
  assert.deepEqual(complaints(page).filter((each) => !/WebSocket|ERR_|Failed to load/.test(each)), []);
});

/** Looks again with each change of the page until it is so. */
async function assertEventually(page, holds, what) {
  const until = Date.now() + LIMIT_MS;
  while (!(await holds())) {
    assert.ok(Date.now() < until, what);
    await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
  }
}

test("tabs share one connection, and each sees everything", async () => {
  const through = await door(where.server);
  ends.push(() => through.close());
  const made = await owner();
  const one = await live(made, "", through.url);
  await say("Dana", "Hello to all tabs");
  await entry(one, "Dana").waitFor();
  const other = await live(made, "", through.url);
  await entry(other, "Dana").waitFor();
  await say("Dora", "And another");
  await Promise.all([entry(one, "Dora").waitFor(), entry(other, "Dora").waitFor()]);
  assert.equal(through.sockets(), 1);
  await one.close();
  await say("Dunja", "The other tab goes on");
  await entry(other, "Dunja").waitFor();
  assert.equal(through.sockets(), 1);
  assert.deepEqual(complaints(other), []);
});

const HOSTILE = {
  "markup": { text: "<script>complain('it ran')</script><img src=x onerror=\"complain('it ran')\"><b>bold</b>", names: [] },
  "a right-to-left override": { text: "abc \u202Egnp.exe\u202C \u2066def\u2069 \u200F!", names: ["RLO", "PDF", "LRI", "PDI", "RLM"] },
  "4,096 emoji": { text: "😀".repeat(4_096), names: [] },
  "NUL and other controls": { text: "a\u0000b\u0007c\u001Bd\u0085e", names: ["NUL", "BEL", "ESC", "NEL"] },
};

for (const [what, { text, names }] of Object.entries(HOSTILE)) {
  test(`${what}: shown as text, and what cannot be seen is named`, async () => {
    const page = await live(await owner());
    const name = `Eve ${what} <i>x</i>`;
    await say(name, text);
    await open(page, name);
    const words = page.locator(".line.in .words").first();
    await words.waitFor();
    assert.deepEqual(await words.locator(".control").evaluateAll((all) => all.map((each) => each.title)), names);
    // Everything else stands there as it was written.
    const plain = await words.evaluate((element) => [...element.childNodes].filter((node) => node.nodeType === Node.TEXT_NODE).map((node) => node.data).join(""));
    assert.equal(plain, text.replace(/[\u0000-\u0008\u001b\u007f-\u009f\u200f\u202a-\u202e\u2066-\u2069]/g, ""));
    await page.locator(".line.bot").first().waitFor();
    assert.equal(await page.locator(".live script, .live img, .live b, .thread i:not(.dots i), .entry b").count(), 0, "no markup came of it");
    await noSidewaysScroll(page, what);
    assert.deepEqual(complaints(page), []);
  });
}

test("everything is done from the keyboard", async () => {
  await say("Fidel", "I want to talk to a human");
  const page = await live(await owner());
  await entry(page, "Fidel").locator(".tag", { hasText: "Waiting" }).waitFor();
  await page.keyboard.press("?");
  await page.getByRole("dialog", { name: "Keyboard" }).waitFor();
  await page.keyboard.press("Escape");
  await page.getByRole("dialog").waitFor({ state: "detached" });
  await page.keyboard.press("/");
  await page.keyboard.type("fidel");
  await page.keyboard.press("Enter");
  await page.locator(".thread h2", { hasText: "Fidel" }).waitFor();
  await page.keyboard.press("m");
  await page.locator(".thread header button[aria-pressed=true][title^='Assign']").waitFor();
  await page.keyboard.press("t");
  await page.locator(".holder", { hasText: "Sandbox owner" }).waitFor();
  await page.waitForFunction(() => document.activeElement?.tagName === "TEXTAREA");
  await page.keyboard.type("A human is here.");
  await page.keyboard.press("Enter");
  await page.locator(".line.person", { hasText: "A human is here." }).waitFor();
  await page.keyboard.press("Escape");
  await page.keyboard.press("h");
  await page.locator(".holder", { hasText: "Assistant" }).waitFor();
  await page.keyboard.press("Escape");
  await page.waitForURL(/\/live$/);
  await page.keyboard.press("g");
  await page.keyboard.press("f");
  await page.getByRole("heading", { name: "Figures" }).waitFor();
  assert.deepEqual(complaints(page), []);
});

test("on a phone 390 pixels wide nothing scrolls sideways, and one thing is shown at a time", async () => {
  const page = await live(await owner({ viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true }));
  const name = `Greta-${"x".repeat(56)}`;
  await say(name, `https://example.org/${"a".repeat(400)} and words`);
  await entry(page, "Greta").waitFor();
  await noSidewaysScroll(page, "the list");
  await entry(page, "Greta").click();
  await page.locator(".line.bot").waitFor();
  await noSidewaysScroll(page, "a chat with a very long word");
  assert.ok(!(await page.getByRole("region", { name: "Conversations" }).isVisible()));
  await page.getByRole("link", { name: "Back to the conversations" }).click();
  await page.getByRole("region", { name: "Conversations" }).waitFor();
  for (const path of ["figures", "channels", "dead-letters", "stream", "assistant", "playground", "knowledge", "team", "keys", "audit"]) {
    await page.goto(`${where.server}/t/${where.tenant}/${path}`);
    await page.locator("main h1").waitFor();
    await page.locator("[aria-busy]").first().waitFor({ state: "detached" });
    await noSidewaysScroll(page, path);
  }
  assert.equal(await page.evaluate(() => window.innerWidth), 390);
  assert.deepEqual(complaints(page), []);
});

test("accessibility: no serious violation on any page, light and dark", async () => {
  await say("Hugo", "Do you have this in blue?");
  for (const colorScheme of ["light", "dark"]) {
    const page = await live(await owner({ colorScheme, bypassCSP: true }));
    await open(page, "Hugo");
    await page.locator(".line.bot .tick").first().waitFor();
    await page.keyboard.press("w");
    await page.locator(".side-panel .tiles").waitFor();
    await check(page, `live, ${colorScheme}`);
    for (const path of ["figures", "channels", "dead-letters", "stream", "assistant", "playground", "knowledge", "team", "keys", "audit"]) {
      await page.goto(`${where.server}/t/${where.tenant}/${path}`);
      await page.locator("main h1").waitFor();
      await page.locator("[aria-busy]").first().waitFor({ state: "detached" });
      await check(page, `${path}, ${colorScheme}`);
    }
    for (const path of ["/set-up", "/account"]) {
      await page.goto(where.server + path);
      await page.locator("main h1").waitFor();
      await page.locator("[aria-busy]").first().waitFor({ state: "detached" });
      await check(page, `${path}, ${colorScheme}`);
    }
  }
});

async function check(page, what) {
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => window.axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"] }));
  const serious = violations.filter((each) => ["serious", "critical"].includes(each.impact));
  assert.deepEqual(serious.map((each) => `${each.id}: ${each.nodes.slice(0, 3).map((node) => node.html.slice(0, 160)).join(" | ")}`), [], what);
}

test("the first load is below 150 kB, comes from this server alone, and its policy is in force", async () => {
  const made = await context(browser);
  ends.push(() => made.close());
  const page = await made.newPage();
  const asked = [];
  page.on("request", (request) => asked.push(request.url()));
  await page.goto(`${where.server}/sign-in`);
  await page.getByRole("button", { name: "Sign in", exact: true }).waitFor();
  const loaded = await page.evaluate(() => performance.getEntriesByType("resource").concat(performance.getEntriesByType("navigation"))
    .map(({ name, encodedBodySize, decodedBodySize }) => ({ name, encodedBodySize, decodedBodySize })));
  const bytes = loaded.reduce((sum, each) => sum + each.encodedBodySize, 0);
  assert.ok(bytes > 20_000 && bytes < 150_000, `${bytes} bytes`);
  assert.ok(loaded.some((each) => each.encodedBodySize < each.decodedBodySize / 2), "it is compressed");
  assert.ok(asked.every((url) => url.startsWith(where.server)), asked.join("\n"));
  assert.deepEqual(complaints(page), []);
  // It would be noticed if something ran that is not of this server.
  await page.evaluate(() => {
    const script = document.createElement("script");
    try {
      script.textContent = "complain('it ran')";
    } catch {
      // Trusted types refuse it already.
    }
    document.body.append(script);
    document.body.append(Object.assign(document.createElement("style"), { textContent: "body { color: red }" }));
  });
  await assert.rejects(page.evaluate(() => fetch("http://127.0.0.1:1/")), /Failed to fetch/);
  await page.waitForFunction(() => window.violations.length >= 3);
  assert.ok(!page.complaints.includes("it ran"));
});

/** The link of the latest mail to somebody. */
async function mailedLink(to) {
  const mails = join(folder, "mail");
  const until = Date.now() + LIMIT_MS;
  for (;;) {
    for (const name of (await readdir(mails).catch(() => [])).sort().reverse()) {
      const text = (await readFile(join(mails, name), "utf8")).replace(/=\r?\n/g, "").replace(/=3D/g, "=");
      const link = text.match(/https?:\/\/[^\s"<>]+#token=[0-9a-f]{64}/);
      if (text.includes(to) && link) return new URL(link[0]);
    }
    assert.ok(Date.now() < until, `a mail to ${to}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** The six digits of an authenticator (RFC 6238). */
function totp(secret, at = Date.now()) {
  const bits = [...secret.replace(/\s/g, "")].map((letter) => "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".indexOf(letter).toString(2).padStart(5, "0")).join("");
  const key = Buffer.from(bits.match(/.{8}/g).map((byte) => Number.parseInt(byte, 2)));
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(Math.floor(at / 30_000)));
  const hash = createHmac("sha1", key).update(counter).digest();
  const place = hash[19] & 15;
  return String((hash.readUInt32BE(place) & 0x7fffffff) % 1_000_000).padStart(6, "0");
}

test("another client is set up, and its administrator sees nothing of this one", async () => {
  const made = await owner();
  const setUp = await made.newPage();
  await setUp.goto(`${where.server}/set-up`);
  await setUp.getByLabel("Name of the business").fill("Other Shop");
  await setUp.getByRole("button", { name: "Create" }).click();
  await setUp.locator("li.card", { hasText: "Administrator" }).getByLabel("E-mail").waitFor();
  const step = setUp.locator("li.card.open");
  await step.getByLabel("E-mail").fill("other@example.com");
  await step.getByLabel("Name").fill("Olga");
  await step.getByRole("button", { name: "Invite", exact: true }).click();
  await setUp.getByText("A mail went to other@example.com").waitFor();
  assert.deepEqual(complaints(setUp), []);

  // The invitation, a password, a second factor.
  const theirs = await context(browser);
  ends.push(() => theirs.close());
  const page = await theirs.newPage();
  const link = await mailedLink("other@example.com");
  await page.goto(where.server + link.pathname + link.hash);
  await page.getByLabel("Password").fill("eleven purple otters");
  await page.getByRole("button", { name: "Accept" }).click();
  await page.getByText("You belong to the team now").waitFor();
  await page.getByLabel("E-mail").fill("other@example.com");
  await page.getByLabel("Password").fill("eleven purple otters");
  await page.getByRole("button", { name: "Sign in", exact: true }).click();
  await page.getByText("Who administers has a second factor").waitFor();
  await page.getByRole("button", { name: "Add" }).first().click();
  const secret = await page.locator(".secret").textContent();
  await page.getByLabel("Authenticator code").fill(totp(secret));
  await page.getByRole("button", { name: "Confirm" }).click();
  await page.locator(".codes li").first().waitFor();

  // Nothing is there of the demo shop, whatever the address says.
  await page.goto(`${where.server}/`);
  await page.getByText("No conversations yet").waitFor();
  assert.deepEqual(await page.getByLabel("Choose a client").locator("option").allTextContents(), ["Other Shop"]);
  await say("Ida", "Only the demo shop reads this");
  const watching = await live(await owner());
  await entry(watching, "Ida").waitFor();
  assert.equal(await page.locator(".entry").count(), 0);
  const { items } = await api("/conversations?limit=1");
  await page.goto(`${where.server}/t/${where.tenant}/live/${items[0].id}`);
  await page.getByText("There is no such client").waitFor();
  const status = await page.evaluate(async (path) => (await fetch(path)).status, `/v1/tenants/${where.tenant}/conversations`);
  assert.equal(status, 404);
  assert.deepEqual(complaints(page).filter((each) => !/status of 403/.test(each)), []);

  // Signing in again asks for the second factor; the code of before does not work twice.
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByLabel("E-mail").fill("other@example.com");
  await page.getByLabel("Password").fill("eleven purple otters");
  await page.getByRole("button", { name: "Sign in", exact: true }).click();
  await page.getByRole("heading", { name: "Second factor" }).waitFor();
});

test("a client is set up step by step, from nothing to the first answered message", async () => {
  // A number that Meta has and nobody connected.
  const number = { kind: "whatsapp", phone_number_id: "200000000000777", waba_id: "100000000000777", display_phone_number: "+1 555-010-0777", name: "Fresh Shop", access_token: "fresh-access-token" };
  const added = await fetch(new URL("/sim/accounts", where.phone), { method: "POST", body: JSON.stringify(number) });
  assert.equal(added.status, 200, await added.text());
  const made = await owner();
  const page = await made.newPage();
  await page.goto(`${where.server}/set-up`);
  await page.getByLabel("Name of the business").fill("Fresh Shop");
  await page.getByRole("button", { name: "Create" }).click();
  // Owning the platform is not enough to read what people write: somebody administers the client.
  await page.getByRole("button", { name: "Invite me" }).click();
  await page.getByText("A mail went to owner@sandbox.example").waitFor();
  const setUp = page.url();
  const link = await mailedLink("owner@sandbox.example");
  await page.goto(where.server + link.pathname + link.hash);
  await page.getByRole("button", { name: "Accept" }).click();
  await page.getByRole("link", { name: "Live" }).waitFor();
  await page.goto(setUp);
  const step = page.locator("li.card.open");
  await step.getByLabel("Name", { exact: true }).fill("Fresh number");
  await step.getByLabel("Phone number ID").fill("200000000000777");
  await step.getByLabel("WhatsApp Business account ID").fill("100000000000777");
  // A token that is wrong is told in words, and mended.
  await step.getByLabel("Access token").fill("not-this-one");
  await step.getByRole("button", { name: "Connect and test" }).click();
  await step.getByRole("list", { name: "What the test found" }).locator("li:not(.ok)").first().waitFor();
  await step.getByRole("button", { name: "New token" }).click();
  await page.getByRole("dialog").getByLabel("Access token").fill("fresh-access-token");
  await page.getByRole("dialog").getByRole("button", { name: "Save" }).click();
  await page.waitForFunction(() => {
    const checks = [...document.querySelectorAll("li.card.open ul[aria-label] li")];
    return checks.length > 2 && checks.every((each) => each.classList.contains("ok"));
  });
  await page.getByRole("button", { name: "Assistant", exact: false }).last().click();
  await step.getByLabel("Business task").fill("Answer questions about the Fresh Shop.");
  await step.getByRole("button", { name: "Switch it on" }).click();
  await page.locator("li.card", { hasText: "OpenAI key" }).locator("button.head").click();
  await step.getByRole("button", { name: "Ask it" }).click();
  await step.locator(".said", { hasText: "[simulated]" }).waitFor();
  await page.locator("li.card", { hasText: "First message" }).locator("button.head").click();
  await step.getByText("Waiting for the first answer").waitFor();
  const contact = await (await fetch(new URL("/sim/contacts", where.phone), { method: "POST", body: JSON.stringify({ name: "First customer" }) })).json();
  const act = { contact: contact.wa_id, account: "200000000000777", act: { kind: "text", text: "Hello, are you there?" } };
  const said = await fetch(new URL("/sim/act", where.phone), { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(act) });
  assert.equal(said.status, 200, await said.text());
  await page.getByText("The first message is answered").waitFor();
  await page.getByText("7 of 7").waitFor();
  await page.getByRole("link", { name: "Open Live" }).click();
  await entry(page, "First customer").waitFor();
  assert.deepEqual(complaints(page), []);
});
