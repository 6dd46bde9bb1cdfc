// The live view in a real browser, against the binary and its sandbox.
//
// Nothing here sleeps but the test that cuts the network for ten seconds: every step waits for what it needs to see.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, afterEach, before, test } from "node:test";

import { Desk, PAGES, complaints, entry, noSidewaysScroll, open, until, visit } from "./desk.mjs";
import { LIMIT_MS, PHONE, door } from "./harness.mjs";

const CUT_MS = 10_000;

const desk = new Desk();

before(() => desk.open(), { timeout: 3 * LIMIT_MS });
afterEach(() => desk.tidy());
after(() => desk.close());

test("a link signs in, once; signing out ends it", async () => {
  const made = await desk.stranger();
  const page = await made.newPage();
  await page.goto(`${desk.where.server}/t/${desk.where.tenant}/live`);
  await page.getByRole("heading", { name: "Welcome back" }).waitFor();
  assert.match(page.url(), /\/sign-in\?to=/, "where they wanted to go is kept");
  await page.goto("about:blank");
  await page.goto(desk.where.monitor);
  await page.getByRole("alert").filter({ hasText: "used already" }).waitFor();
  assert.ok(!page.url().includes("token"), "the token does not stay in the address");
  assert.deepEqual(complaints(page).filter((each) => !/status of 403/.test(each)), []);
});

test("what somebody writes on the phone is seen live, with ticks and the words as they come", async () => {
  const made = await desk.owner();
  const page = await desk.live(made);
  const phone = await made.newPage();
  await phone.goto(desk.where.phone);
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
  assert.equal(await page.locator(".thread .bubble").count(), 2);
  // Why it was so, from the key.
  await page.keyboard.press("w");
  await page.getByRole("heading", { name: "Why this reply" }).waitFor();
  await page.locator(".side-panel .tag", { hasText: "Answered" }).waitFor();
  await page.locator(".side-panel li.attempt").first().waitFor();
  await page.locator(".side-panel li.tool", { hasText: "search_knowledge" }).first().waitFor();
  assert.deepEqual(complaints(page), []);
});

test("somebody takes over while the assistant writes, replies, and hands back", async () => {
  const page = await desk.live(await desk.owner());
  await desk.say("Bruno", "What are your opening hours?");
  await open(page, "Bruno");
  await page.locator(".draft").waitFor();
  await page.keyboard.press("t");
  await page.locator(".holder", { hasText: "Sandbox owner" }).waitFor();
  await page.getByLabel("Reply", { exact: true }).fill("I look after this myself.");
  await page.keyboard.press("Enter");
  await page.locator(".line.person", { hasText: "I look after this myself." }).locator(".tick.read").waitFor();
  assert.equal(await page.locator(".line.bot").count(), 0, "no word of the assistant left");
  const { items } = await desk.api("/conversations?limit=50");
  const { id } = items.find((each) => each.contact.profile_name === "Bruno");
  const turns = await desk.api(`/conversations/${id}/turns`);
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
  await desk.say("Bruno", "Thanks");
  await page.locator(".line.bot", { hasText: "Thanks" }).waitFor();
  assert.deepEqual(complaints(page), []);
});

test("ten seconds without a network: nothing is missing and nothing comes twice", async () => {
  const through = await door(desk.where.server);
  desk.finally(() => through.close());
  const page = await desk.live(await desk.owner(), "", through.url);
  await desk.say("Carla", "Before the cut");
  await open(page, "Carla");
  await page.locator(".line.bot").waitFor();
  await page.locator(".line.bot .tick.read").waitFor();
  const cut = Date.now();
  through.shut();
  await page.getByText("Offline. What happens meanwhile").waitFor();
  const said = Array.from({ length: 12 }, (_, at) => `During the cut, ${at + 1}.`);
  for (const text of said) await desk.say("Carla", text);
  await desk.say("Carlo", "I am new, and wrote during the cut");
  const { latest } = await desk.api("/events?after=0&limit=1");
  assert.ok(latest > 20);
  await new Promise((resolve) => setTimeout(resolve, Math.max(0, CUT_MS - (Date.now() - cut))));
  assert.equal(await page.locator(".line.in").count(), 1, "nothing came through");
  through.unshut();
  await page.locator(".line.in", { hasText: said.at(-1) }).waitFor();
  await entry(page, "Carlo").waitFor();
  const { items } = await desk.api("/conversations?limit=50");
  const { id } = items.find((each) => each.contact.profile_name === "Carla");
  // What stands there in the end is what the server has, each once and in its order.
  await assertEventually(page, async () => {
    const there = await desk.api(`/conversations/${id}/messages?limit=100`);
    const turns = await desk.api(`/conversations/${id}/turns?limit=1`);
    const shown = await page.locator(".thread .line").evaluateAll((lines) => lines.map((line) => line.dataset.id));
    const ordered = there.items.sort((a, b) => a.sent_at - b.sent_at || a.recorded_at - b.recorded_at || (a.id < b.id ? -1 : 1));
    return turns.items[0].ended_at && JSON.stringify(shown) === JSON.stringify(ordered.map((each) => each.id));
  }, "the thread is the server's");
  const shown = await page.locator(".line.in .words").allTextContents();
  // Meta's clock has seconds: within one they stand as they were recorded.
  assert.deepEqual(shown.sort(), ["Before the cut", ...said].sort());
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
  const through = await door(desk.where.server);
  desk.finally(() => through.close());
  const made = await desk.owner();
  const one = await desk.live(made, "", through.url);
  await desk.say("Dana", "Hello to all tabs");
  await entry(one, "Dana").waitFor();
  const other = await desk.live(made, "", through.url);
  await entry(other, "Dana").waitFor();
  await desk.say("Dora", "And another");
  await Promise.all([entry(one, "Dora").waitFor(), entry(other, "Dora").waitFor()]);
  assert.equal(through.sockets(), 1);
  await one.close();
  await desk.say("Dunja", "The other tab goes on");
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
    const page = await desk.live(await desk.owner());
    const name = `Eve ${what} <i>x</i>`;
    await desk.say(name, text);
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
  await desk.say("Fidel", "I want to talk to a human");
  const page = await desk.live(await desk.owner());
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

test("a conversation is opened by its address: beside its details its name is read, and nothing is asked for that is not there", async () => {
  // The longest words on the buttons, and the details beside it: there is the least room.
  const made = await desk.owner({ viewport: { width: 1280, height: 800 }, locale: "es-AR" });
  const page = await made.newPage();
  await desk.say("Magdalena Etcheverry", "Do you deliver to Tigre?");
  const { id } = await until(page, async () => {
    const { items } = await desk.api("/conversations?limit=50");
    return items.find((each) => each.contact.profile_name === "Magdalena Etcheverry");
  });
  const missing = [];
  page.on("response", (response) => { if (response.status() === 404) missing.push(new URL(response.url()).pathname); });
  await page.goto(`${desk.where.server}/t/${desk.where.tenant}/live/${id}`);
  await page.locator(".line.bot").waitFor();
  await page.locator(".side-panel .tag", { hasText: "Respondió" }).waitFor();
  const name = page.locator(".thread h2", { hasText: "Magdalena Etcheverry" });
  assert.ok(await name.evaluate((heading) => heading.scrollWidth <= heading.clientWidth), "the name is not cut");
  await page.getByRole("button", { name: "Tomar el control" }).waitFor();
  assert.deepEqual(missing, []);
  assert.deepEqual(complaints(page), []);
});

test("on a phone 390 pixels wide nothing scrolls sideways, and one thing is shown at a time", async () => {
  const page = await desk.live(await desk.owner(PHONE));
  const name = `Greta-${"x".repeat(56)}`;
  await desk.say(name, `https://example.org/${"a".repeat(400)} and words`);
  await entry(page, "Greta").waitFor();
  await noSidewaysScroll(page, "the list");
  await entry(page, "Greta").click();
  await page.locator(".line.bot").waitFor();
  await noSidewaysScroll(page, "a chat with a very long word");
  assert.ok(!(await page.getByRole("region", { name: "Conversations" }).isVisible()));
  await page.getByRole("link", { name: "Back to the conversations" }).click();
  await page.getByRole("region", { name: "Conversations" }).waitFor();
  for (const path of PAGES) {
    await visit(page, `${desk.where.server}/t/${desk.where.tenant}/${path}`);
    await noSidewaysScroll(page, path);
  }
  assert.equal(await page.evaluate(() => window.innerWidth), 390);
  assert.deepEqual(complaints(page), []);
});

/** Somebody does something on the demo shop's number; gives what came of it. */
async function act(name, what) {
  const contacts = await desk.sim("/sim/contacts");
  const account = (await desk.sim("/sim/accounts")).find((each) => each.product === "whatsapp");
  return desk.sim("/sim/act", { contact: contacts.find((each) => each.name === name).wa_id, account: account.id, act: what });
}

/** What stands on somebody's phone. */
async function transcript(name) {
  const contacts = await desk.sim("/sim/contacts");
  return desk.sim(`/sim/transcript?contact=${contacts.find((each) => each.name === name).wa_id}`);
}

test("pictures and files go both ways; what is changed, marked and taken back is shown so", async () => {
  const page = await desk.live(await desk.owner());
  await desk.say("Jana", "I send you a picture");
  await open(page, "Jana");
  await page.keyboard.press("t");
  await page.locator(".holder", { hasText: "Sandbox owner" }).waitFor();
  await act("Jana", { kind: "file", media: "image", caption: "The blue one" });
  const picture = page.locator(".line.in img.image");
  await picture.waitFor();
  await page.waitForFunction(() => document.querySelector(".line.in img.image")?.naturalWidth > 0);
  await page.locator(".line.in", { hasText: "The blue one" }).waitFor();
  // A file from here, with words.
  await page.getByLabel("Attach a file").last().setInputFiles({ name: "offer.pdf", mimeType: "application/pdf", buffer: Buffer.from("%PDF-1.4 an offer") });
  await page.getByLabel("Reply", { exact: true }).fill("Our offer");
  await page.keyboard.press("Enter");
  await page.locator(".line.person a.file", { hasText: "offer.pdf" }).waitFor();
  await page.locator(".line.person .tick.read").waitFor();
  const [download] = await Promise.all([page.waitForEvent("download"), page.locator(".line.person a.file").click()]);
  assert.equal(await readFile(await download.path(), "utf8"), "%PDF-1.4 an offer");
  // Their words change, get a sign and go.
  const [first] = await transcript("Jana");
  await act("Jana", { kind: "edit", of: first.wamid, text: "I sent you a picture" });
  await page.locator(".line.in", { hasText: "I sent you a picture" }).getByText("edited").waitFor();
  const ours = (await transcript("Jana")).find((each) => each.direction === "to_contact" && each.text.includes("Our offer"));
  await act("Jana", { kind: "react", to: ours.wamid, emoji: "👍" });
  await page.locator(".line.person .reactions", { hasText: "👍" }).waitFor();
  await act("Jana", { kind: "take_back", of: first.wamid });
  await page.locator(".line.in", { hasText: "Taken back by its writer" }).waitFor();
  assert.equal(await page.getByText("I sent you a picture").count(), 0, "nothing of it stays");
  assert.deepEqual(complaints(page), []);
});
