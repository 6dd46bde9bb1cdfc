// The phone page and the live socket in a real browser, against the release binary and its sandbox.
//
// Nothing here sleeps: every step waits for what it needs to see, up to LIMIT_MS.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { after, afterEach, before, test } from "node:test";

import { LIMIT_MS, PHONE, context, launch, sandbox } from "./harness.mjs";

const PROTOCOL = "iassistance.live.v1";

let where, browser;
const contexts = [];

before(async () => {
  where = await sandbox();
  browser = await launch();
}, { timeout: 2 * LIMIT_MS });

afterEach(() => Promise.all(contexts.splice(0).map((each) => each.close())));

after(async () => {
  await browser?.close();
  await where?.stop();
});

/** A page with everything it complains of in `page.complaints`. */
async function open(address, options = {}) {
  const made = await context(browser, options);
  contexts.push(made);
  const page = await made.newPage();
  await page.goto(address);
  return page;
}

/** The phone page, connected. */
async function phone(options) {
  const page = await open(where.phone, options);
  await page.locator("#number option").first().waitFor({ state: "attached" });
  return page;
}

async function add(page, name) {
  await page.getByLabel("Name of the new contact").fill(name);
  await page.getByRole("button", { name: "Add the contact" }).click();
  await page.locator("#who", { hasText: name }).waitFor();
}

async function write(page, text) {
  await page.getByLabel("Message", { exact: true }).fill(text);
  await page.getByRole("button", { name: "Send" }).click();
}

const reply = (page, text) => page.locator(".bubble.theirs", { hasText: text });

/** Resolves with the words of an element once they are all there. */
async function words(page, selector, expected) {
  await page.waitForFunction(
    ([selector, expected]) => [...document.querySelectorAll(selector)].some((each) => each.textContent === expected),
    [selector, expected],
  );
}

async function api(path, options = {}) {
  const headers = { authorization: `Bearer ${where.key}` };
  const response = await fetch(`${where.server}/v1/tenants/${where.tenant}${path}`, { ...options, headers });
  assert.ok(response.ok, `${path}: ${response.status}`);
  return response.json();
}

test("a message is answered, labelled as simulated, and its ticks turn to read", async () => {
  const page = await phone();
  await add(page, "Ana");
  await write(page, "Are you open on Sunday?");
  await reply(page, "[simulated] I looked it up: Monday to Friday").waitFor();
  await page.locator(".bubble.mine .tick.read").waitFor();
  assert.equal(await page.locator(".bubble.mine").count(), 1);
  assert.equal(await page.locator(".bubble.theirs:not(.typing)").count(), 1);
  await page.reload();
  await page.getByRole("button", { name: "Ana" }).click();
  await reply(page, "[simulated] I looked it up: Monday to Friday").waitFor();
  assert.deepEqual(page.complaints, []);
});

test("two people chat at once and each gets answers of their own", async () => {
  const pages = await Promise.all([phone(), phone()]);
  const [bruno, carla] = pages;
  await Promise.all([add(bruno, "Bruno"), add(carla, "Carla")]);
  await Promise.all([write(bruno, "I want the blue shoes"), write(carla, "My parcel is late")]);
  await Promise.all([
    reply(bruno, "[simulated] You said: I want the blue shoes").waitFor(),
    reply(carla, "[simulated] You said: My parcel is late").waitFor(),
  ]);
  for (const page of pages) {
    assert.equal(await page.locator(".bubble.theirs:not(.typing)").count(), 1, "no answer of the other's");
    assert.deepEqual(page.complaints, []);
  }
  // The list shows what came for the other, who is not open here.
  await bruno.locator("#contacts li", { hasText: "Carla" }).locator(".last", { hasText: "My parcel is late" }).waitFor();
});

const HOSTILE = {
  script: "<script>complain('it ran')</script><img src=x onerror=\"complain('it ran')\">",
  "a right-to-left override": "abc \u202Egnp.exe\u202C \u2066def\u2069 \u200F!",
  "4,096 emoji": "😀".repeat(4_096),
  "NUL and other controls": "a\u0000b\u0007c\u001Bd\u0085e",
};

for (const [name, text] of Object.entries(HOSTILE)) {
  test(`${name}: shown as text, and answered`, async () => {
    const page = await phone();
    const contact = `Dora ${name} <b>bold</b>`;
    await add(page, contact);
    // Not through the field, which would shorten it.
    const status = await page.evaluate(async ([contact, text]) => {
      const headers = { "content-type": "application/json" };
      return (await fetch("/sim/say", { method: "POST", headers, body: JSON.stringify({ contact, text }) })).status;
    }, [contact, text]);
    assert.equal(status, 200);
    await words(page, ".bubble.mine > span:first-child", text);
    // The answer repeats it. A long one comes in pieces and ends at the assistant's limit, between characters.
    await page.waitForFunction((whole) => {
      const pieces = [...document.querySelectorAll(".bubble.theirs:not(.typing) > span:first-child")];
      // The first answer begins with saying that a machine speaks.
      const said = pieces.map((piece) => piece.textContent).join("");
      const answer = said.includes("[simulated]") ? said.slice(said.indexOf("[simulated]")) : "";
      return whole.startsWith(answer) && answer.isWellFormed() && answer.length >= Math.min(whole.length, 6_000);
    }, `[simulated] You said: ${text}`);
    assert.equal(await page.locator("#phone script, #phone img, #phone b").count(), 0, "no markup came of it");
    const { overflow, wide } = await page.evaluate(() => ({
      overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
      wide: document.querySelector("#messages").scrollWidth - document.querySelector("#messages").clientWidth,
    }));
    assert.deepEqual([overflow, wide], [0, 0]);
    assert.deepEqual(page.complaints, []);
  });
}

test("on a phone 390 pixels wide nothing scrolls sideways", async () => {
  const page = await phone(PHONE);
  const fits = async (what) => {
    const sizes = await page.evaluate(() => [document.documentElement, document.body, document.querySelector("#messages")]
      .map((each) => each.scrollWidth - each.clientWidth));
    assert.deepEqual(sizes, [0, 0, 0], what);
    assert.equal(await page.evaluate(() => window.innerWidth), 390, what);
  };
  await fits("the list of chats");
  const name = `Eve-${"x".repeat(60)}`;
  await add(page, name);
  await fits("an empty chat");
  assert.ok(!(await page.locator("#people").isVisible()), "one thing at a time");
  await write(page, `https://example.org/${"a".repeat(400)} and words`);
  await reply(page, "[simulated] You said:").waitFor();
  await page.locator(".bubble.mine .tick.read").waitFor();
  await fits("a chat with a very long word");
  await page.getByRole("button", { name: "Back to the chats" }).click();
  await page.locator("#people").waitFor();
  await fits("the list with that chat");
  assert.deepEqual(page.complaints, []);
});

test("the page's policy is in force: what is put into it from outside does not run", async () => {
  const page = await phone();
  await assert.rejects(page.evaluate(() => {
    const script = document.createElement("script");
    script.textContent = "complain('it ran')";
    document.body.append(script);
  }), /requires 'TrustedScript'/);
  await assert.rejects(page.evaluate(() => fetch("http://127.0.0.1:1/")), /Failed to fetch/);
  await page.waitForFunction(() => window.violations.length === 2);
  assert.deepEqual(await page.evaluate(() => window.violations), ["require-trusted-types-for", "connect-src"]);
  assert.ok(page.complaints.length > 0, "the other tests would have seen it");
  assert.ok(!page.complaints.includes("it ran"));
});

/** Opens the live socket from the page; gives what it is told first, or "refused". */
function watch(page, ticket) {
  return page.evaluate(([url, protocol, ticket, tenant]) => new Promise((resolve) => {
    const socket = new WebSocket(url, [protocol, `ticket.${ticket}`]);
    socket.addEventListener("open", () => socket.send(JSON.stringify({ type: "subscribe", tenant, after_seq: 0 })));
    const frames = [];
    socket.addEventListener("message", ({ data }) => {
      frames.push(JSON.parse(data));
      if (frames.length === 3) {
        resolve({ protocol: socket.protocol, frames });
        socket.close();
      }
    });
    socket.addEventListener("close", () => resolve("refused"));
  }), [`${where.server.replace("http", "ws")}/v1/live`, PROTOCOL, ticket, where.tenant]);
}

test("the live socket opens for the server's own pages and for no others", async () => {
  const foreign = createServer((_, response) => response.setHeader("content-type", "text/html").end("<!doctype html>"));
  foreign.listen(0, "127.0.0.1");
  await once(foreign, "listening");
  try {
    const { ticket } = await api("/live-tickets", { method: "POST" });
    const elsewhere = await open(`http://127.0.0.1:${foreign.address().port}/`);
    assert.equal(await watch(elsewhere, ticket), "refused");
    // The server's pages allow themselves nothing; a page of ours would say more, so the policy is lifted here.
    const own = await open(`${where.server}/health/live`, { bypassCSP: true });
    const said = await fetch(new URL("/sim/say", where.phone), {
      method: "POST",
      body: JSON.stringify({ contact: "Flora", text: "Hello" }),
    });
    assert.equal(said.status, 200);
    // The same ticket: it was good, and the foreign page did not even use it up.
    const { protocol, frames } = await watch(own, ticket);
    assert.equal(protocol, PROTOCOL);
    assert.deepEqual(frames.map((frame) => frame.type), ["subscribed", "event", "event"]);
    assert.deepEqual(frames.slice(1).map((frame) => frame.seq), [1, 2]);
    assert.equal(await watch(own, ticket), "refused", "a ticket is good once");
  } finally {
    foreign.close();
  }
});
