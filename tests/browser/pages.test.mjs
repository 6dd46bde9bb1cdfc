// The monitor's other pages in a real browser: webhooks, looks inside, agencies, golden questions, tools; signs on messages,
// looking for people, notices.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { after, afterEach, before, test } from "node:test";

import { Desk, complaints, entry, open, until } from "./desk.mjs";
import { LIMIT_MS } from "./harness.mjs";

const desk = new Desk();

before(() => desk.open(['hooks.private_hosts=["127.0.0.1"]', "hooks.retry_ms=100"]), { timeout: 3 * LIMIT_MS });
afterEach(() => desk.tidy());
after(() => desk.close());

const at = (path) => `${desk.where.server}/t/${desk.where.tenant}/${path}`;

/** Somebody's own server that takes events, or refuses them. */
async function receiver() {
  const taken = { events: [], status: 204 };
  const server = createServer(async (request, response) => {
    let body = "";
    for await (const part of request) body += part;
    taken.events.push({ signed: request.headers["webhook-signature"], ...JSON.parse(body) });
    response.writeHead(taken.status).end();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  desk.finally(() => server.close());
  return Object.assign(taken, { url: `http://127.0.0.1:${server.address().port}/in` });
}

test("a webhook is made, tested, looked after and taken off", async () => {
  const shop = await receiver();
  const page = await (await desk.owner()).newPage();
  await page.goto(at("webhooks"));
  await page.getByRole("button", { name: "New webhook" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Address").fill(shop.url);
  await dialog.getByLabel("Name").fill("The shop");
  await dialog.getByLabel("Every kind").uncheck();
  assert.ok(await dialog.getByRole("button", { name: "Save" }).isDisabled(), "it must get something");
  await dialog.getByLabel("message.received").check();
  await dialog.getByRole("button", { name: "Save" }).click();
  await page.locator("code", { hasText: /^whsec_/ }).waitFor();
  await page.getByRole("button", { name: "Close" }).click();
  assert.equal(await page.getByText("whsec_").count(), 0, "the secret is shown once");
  const card = page.getByRole("listitem").filter({ hasText: "The shop" });
  await card.getByRole("button", { name: "Send a test event" }).click();
  await card.getByText("Taken: 204").waitFor();
  assert.ok(shop.events[0].signed.startsWith("v1,"));
  // It fails, and says so; then it arrives.
  shop.status = 500;
  await desk.say("Hanna", "Is my order on its way?");
  await card.getByRole("button", { name: "Deliveries" }).click();
  await look(card, () => card.locator("tbody tr", { hasText: "500" }));
  shop.status = 204;
  await look(card, () => card.locator("tbody .tag", { hasText: "arrived" }));
  const before = shop.events.length;
  await card.locator("tbody tr").first().getByRole("button", { name: "Try again" }).click();
  await card.getByText("1 is tried again.").waitFor();
  // Which of them arrived before is not seen: the shop knows.
  await until(page, () => shop.events.length > before);
  await card.getByRole("button", { name: "given up", exact: true }).click();
  await card.getByText("Nothing was sent so.").waitFor();
  await card.getByRole("button", { name: "Try all that was given up" }).click();
  await card.getByText("0 are tried again.").waitFor();
  // Two secrets, then one; a pause; the end.
  await card.getByRole("button", { name: "New secret" }).click();
  await page.locator("code", { hasText: /^whsec_/ }).waitFor();
  await card.getByRole("button", { name: "Drop the former secret" }).click();
  await card.getByRole("button", { name: "New secret" }).waitFor();
  await card.getByRole("button", { name: "Pause" }).click();
  await card.locator(".tag", { hasText: "paused" }).waitFor();
  await card.getByRole("button", { name: "Go on" }).click();
  await card.locator(".tag", { hasText: /^active/ }).waitFor();
  await card.getByRole("button", { name: "Remove" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Remove" }).click();
  await page.getByText("No webhooks yet").waitFor();
  assert.deepEqual(complaints(page), []);
});

/** Looks again at the deliveries until something is there. */
async function look(card, wanted) {
  const until = Date.now() + LIMIT_MS;
  while ((await wanted().count()) === 0) {
    assert.ok(Date.now() < until, "a delivery as it should be");
    await card.getByRole("button", { name: "Look again" }).click();
    await card.page().evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
  }
}

test("an owner looks inside with a reason and another owner's consent, until somebody ends it", async () => {
  const made = await desk.owner();
  const page = await made.newPage();
  // A client of which the owner is no part.
  await page.goto(`${desk.where.server}/set-up`);
  await page.getByLabel("Name of the business").fill("Closed Shop");
  await page.getByRole("button", { name: "Create" }).click();
  await page.waitForURL(/tenant=/);
  const client = new URL(page.url()).searchParams.get("tenant");
  await page.goto(`${desk.where.server}/t/${client}/live`);
  await page.getByText("not the platform's to read").waitFor();
  await page.getByRole("link", { name: "Looks inside" }).last().click();
  await page.getByRole("button", { name: "Ask to look" }).click();
  await page.getByLabel("Why").fill("Messages arrive twice.");
  await page.getByLabel("For how many minutes").fill("20");
  await page.getByRole("button", { name: "Ask", exact: true }).click();
  await page.getByText("Another owner must consent.").waitFor();
  await page.goto(`${desk.where.server}/t/${client}/live`);
  await page.getByText("not the platform's to read").waitFor();

  // Another owner, who is invited for it.
  const invited = await desk.ask(page, "POST", "/owners/invitations", { email: "second@example.com", name: "Olivia" });
  assert.equal(invited.status, 201);
  const other = await (await desk.stranger()).newPage();
  await desk.welcome(other, "second@example.com", "nine green lanterns");
  await other.goto(`${desk.where.server}/t/${client}/break-glass`);
  await other.getByText("Messages arrive twice.").waitFor();
  await other.getByRole("button", { name: "Consent" }).click();
  await other.getByText("open until").waitFor();
  assert.equal(await other.getByRole("link", { name: "Look at the conversations" }).count(), 0, "the look is the other's");

  await page.goto(`${desk.where.server}/t/${client}/break-glass`);
  await page.getByRole("link", { name: "Look at the conversations" }).click();
  await page.getByText("No conversations yet").waitFor();
  await other.getByRole("button", { name: "End it now" }).click();
  await other.locator(".tag", { hasText: "over" }).waitFor();
  // Nothing of it stays on the screen of whoever looked.
  await page.getByText("not the platform's to read").waitFor();
  assert.deepEqual(complaints(page).filter((each) => !/status of 403/.test(each)), []);
  assert.deepEqual(complaints(other).filter((each) => !/status of 403/.test(each)), []);
});

test("an agency is made, renamed and suspended; somebody is invited to it and uninvited", async () => {
  const page = await (await desk.owner()).newPage();
  await page.goto(`${desk.where.server}/platform/agencies`);
  await page.getByText("No agencies yet").waitFor();
  await page.getByLabel("Name of the agency").fill("Studio Ada");
  await page.keyboard.press("Enter");
  const card = page.locator("li.card");
  await card.getByText("Studio Ada").waitFor();
  // Its people are shown at once: there is nothing else to do with a new one.
  await card.getByLabel("E-mail").fill("ada@example.com");
  await card.getByLabel("Name", { exact: true }).fill("Ada");
  await card.getByRole("button", { name: "Send the invitation" }).click();
  await card.getByText("ada@example.com").waitFor();
  await card.getByRole("button", { name: "Take back" }).click();
  await card.getByText("ada@example.com").waitFor({ state: "detached" });
  await card.getByRole("button", { name: "Rename" }).click();
  await card.getByLabel("Name of the agency").fill("Studio Lovelace");
  await page.keyboard.press("Enter");
  await card.getByText("Studio Lovelace").waitFor();
  await card.getByRole("button", { name: "Suspend" }).click();
  await card.locator(".tag", { hasText: "suspended" }).waitFor();
  await card.getByRole("button", { name: "Let it go on" }).click();
  await card.locator(".tag", { hasText: /^active/ }).waitFor();
  // A client that it runs.
  await page.goto(`${desk.where.server}/set-up`);
  await page.getByLabel("Name of the business").fill("Bakery");
  await page.getByLabel("Agency").selectOption("Studio Lovelace");
  await page.getByRole("button", { name: "Create" }).click();
  await page.waitForURL(/tenant=/);
  await page.goto(`${desk.where.server}/platform/agencies`);
  await card.getByText("1 client").waitFor();
  await card.getByRole("link", { name: "Bakery" }).waitFor();
  // Whose people an agency looks after are not the platform's to see.
  assert.deepEqual(complaints(page).filter((each) => !/status of 403/.test(each)), []);
});

test("golden questions are asked, and say what an answer lacks", async () => {
  const page = await (await desk.owner()).newPage();
  await page.goto(at("golden"));
  const add = async (question, field, value) => {
    await page.getByRole("button", { name: "Add a question" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("Question").fill(question);
    assert.ok(await dialog.getByRole("button", { name: "Save" }).isDisabled(), "any answer would do");
    await dialog.getByLabel(field).fill(value);
    await dialog.getByRole("button", { name: "Save" }).click();
    await page.locator("li.card", { hasText: question }).waitFor();
  };
  await add("What are your opening hours?", "The answer says", "simulated");
  await add("How long can I return shoes?", "The answer says", "a word that nobody says");
  await page.getByRole("button", { name: "Ask all" }).click();
  await page.getByText("1 of 2 answered well").waitFor();
  await page.locator("li.card", { hasText: "opening hours" }).locator(".tag", { hasText: "answered well" }).waitFor();
  const failed = page.locator("li.card", { hasText: "return shoes" });
  await failed.locator("p.bad", { hasText: "a word that nobody says" }).waitFor();
  // Changed, it is met.
  await failed.getByRole("button", { name: "Change" }).click();
  await page.getByRole("dialog").getByLabel("The answer says").fill("simulated");
  await page.getByRole("dialog").getByRole("button", { name: "Save" }).click();
  await page.getByRole("dialog").waitFor({ state: "detached" });
  await failed.getByRole("button", { name: "Ask it" }).click();
  await failed.locator(".tag", { hasText: "answered well" }).waitFor();
  await failed.getByRole("button", { name: "Remove" }).click();
  await failed.waitFor({ state: "detached" });
  assert.deepEqual(complaints(page), []);
});

test("a tool is described, kept in the draft and changed there", async () => {
  const page = await (await desk.owner()).newPage();
  await page.goto(at("assistant"));
  const tools = page.locator("section.card", { has: page.getByRole("heading", { name: "Tools of your own" }) });
  await tools.getByRole("button", { name: "Add" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Name", { exact: false }).first().fill("order_status");
  await dialog.getByRole("textbox", { name: "Address" }).fill("https://api.shop.example/orders");
  await dialog.getByLabel("What it does").fill("Says how far an order is.");
  await dialog.getByLabel("Arguments (JSON").fill("{ not JSON");
  await dialog.getByText("The arguments must be a JSON object.").waitFor();
  assert.ok(await dialog.getByRole("button", { name: "Take it" }).isDisabled());
  await dialog.getByLabel("Arguments (JSON").fill('{ "type": "object", "properties": { "order": { "type": "string" } }, "required": ["order"] }');
  await dialog.getByLabel("Secret header").fill("Authorization");
  await dialog.getByLabel("Its value").fill("Bearer very-secret");
  await dialog.getByRole("button", { name: "Take it" }).click();
  await tools.getByText("order_status").waitFor();
  await page.getByRole("button", { name: "Save the draft" }).click();
  await page.getByText("The draft is saved.").waitFor();
  await tools.getByRole("button", { name: "Change" }).click();
  await page.getByRole("dialog").getByLabel("It changes something in the world").check();
  await page.getByRole("dialog").getByRole("button", { name: "Take it" }).click();
  await tools.getByText("changes something").waitFor();
  await page.getByRole("button", { name: "Save the draft" }).click();
  await page.getByText("The draft is saved.").waitFor();
  const { tools: [kept] } = await desk.api("/assistant/draft");
  assert.deepEqual([kept.name, kept.side_effects, kept.secret_header], ["order_status", true, "Authorization"], "the secret stays");
  await page.getByRole("button", { name: "Publish", exact: true }).click();
  await page.getByRole("dialog").getByText("tools").first().waitFor();
  assert.equal(await page.getByText("very-secret").count(), 0);
  await page.getByRole("dialog").getByRole("button", { name: "Cancel" }).click();
  await page.getByRole("button", { name: "Throw the draft away" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Throw the draft away" }).click();
  await page.getByText("The draft is gone.").waitFor();
  assert.deepEqual(complaints(page), []);
});

test("a sign is put on a message by the keyboard, changed and taken off, and stands on the phone", async () => {
  const page = await desk.live(await desk.owner());
  await desk.say("Silvia", "Thank you so much!");
  await open(page, "Silvia");
  await page.locator(".line.bot .tick.read").waitFor();
  const line = page.locator(".line.in", { hasText: "Thank you so much!" });
  const onPhone = async () => {
    const person = (await desk.sim("/sim/contacts")).find((each) => each.name === "Silvia");
    const said = await desk.sim(`/sim/transcript?contact=${person.wa_id}`);
    return said.find((each) => each.text === "Thank you so much!").business_reaction ?? null;
  };
  const put = async (sign) => {
    await page.keyboard.press("e");
    await line.getByRole("button", { name: sign }).press("Enter");
  };
  await page.keyboard.press("e");
  await line.getByRole("group", { name: "React" }).waitFor();
  await page.keyboard.press("Escape");
  await line.getByRole("group", { name: "React" }).waitFor({ state: "detached" });
  await put("👍");
  await line.locator(".reactions", { hasText: "👍" }).waitFor();
  await until(page, async () => (await onPhone()) === "👍");
  await put("❤️");
  await line.locator(".reactions", { hasText: "❤️" }).waitFor();
  assert.equal(await line.locator(".reactions span").count(), 1, "one sign of ours");
  await until(page, async () => (await onPhone()) === "❤️");
  await put("❤️");
  await line.locator(".reactions").waitFor({ state: "detached" });
  await until(page, async () => !(await onPhone()));
  assert.equal(await page.locator(".thread .line.person").count(), 0, "a sign is no message");
  assert.deepEqual(complaints(page), []);
});

test("who is not in the browser yet is found on the server, by name and by number", async () => {
  const page = await (await desk.owner()).newPage();
  await desk.say("Wenceslaus", "Long ago");
  let theirs;
  // Nothing more is to come of it: the feed would bring them.
  await until(page, async () => {
    const { items } = await desk.api("/conversations?limit=200");
    theirs = items.find((each) => each.contact.profile_name === "Wenceslaus");
    return theirs?.last_message?.author.by === "assistant" && theirs.last_message.delivery?.status === "read";
  });
  // The list ends before they come, as it does where there are more than a browser keeps.
  await page.route(/\/conversations\?/, async (route) => {
    if (new URL(route.request().url()).searchParams.has("cursor")) return route.abort();
    const answer = await route.fetch();
    const list = await answer.json();
    return route.fulfill({ response: answer, json: { items: list.items.filter((each) => each.id !== theirs.id), next: "more" } });
  });
  const asked = [];
  page.on("request", (request) => asked.push(request.url()));
  for (const words of ["wences", `+${theirs.contact.wa_id.slice(0, 3)} ${theirs.contact.wa_id.slice(3)}`]) {
    await page.goto(at("live"));
    await page.getByRole("region", { name: "Conversations" }).waitFor();
    await page.locator(".list footer", { hasText: "conversation" }).waitFor();
    assert.equal(await entry(page, "Wenceslaus").count(), 0);
    await page.keyboard.press("/");
    await page.keyboard.type(words);
    await entry(page, "Wenceslaus").waitFor();
    await page.keyboard.press("Enter");
    await page.locator(".thread h2", { hasText: "Wenceslaus" }).waitFor();
  }
  assert.ok(asked.every((url) => !/wences/i.test(url)), "nobody's name is in an address");
  assert.deepEqual(complaints(page).filter((each) => !/ERR_FAILED/.test(each)), []);
});

test("a notice tells who needs somebody, with permission, once, and never what was written", async () => {
  const made = await desk.owner();
  await made.grantPermissions(["notifications"], { origin: desk.where.server });
  // A page that is looked at needs no notice: these are not.
  await made.addInitScript(() => {
    window.notices = [];
    window.Notification = class extends Notification {
      constructor(title, options) {
        super(title, options);
        window.notices.push({ title, ...options });
      }
    };
    Object.defineProperty(document, "hidden", { get: () => window.away ?? false });
  });
  const [one, other] = [await desk.live(made), await desk.live(made)];
  const seen = async () => (await Promise.all([one, other].map((page) => page.evaluate(() => window.notices)))).flat();
  const away = (is) => Promise.all([one, other].map((page) => page.evaluate((is) => { window.away = is; }, is)));
  const wanted = one.getByRole("button", { name: "Notifications of this browser" });
  assert.equal(await wanted.getAttribute("aria-pressed"), "false", "nobody is told who did not ask for it");
  await away(true);
  await desk.say("Thea", "I want to talk to a human");
  await entry(one, "Thea").locator(".tag", { hasText: "Waiting" }).waitFor();
  await entry(other, "Thea").locator(".tag", { hasText: "Waiting" }).waitFor();
  assert.deepEqual(await seen(), []);
  await wanted.click();
  await one.locator("button[aria-pressed=true][aria-label='Notifications of this browser']").waitFor();
  await other.locator("button[aria-pressed=true][aria-label='Notifications of this browser']").waitFor();
  await desk.say("Tibor", "I want to talk to a human, my card is 4111");
  await entry(one, "Tibor").locator(".tag", { hasText: "Waiting" }).waitFor();
  await entry(other, "Tibor").locator(".tag", { hasText: "Waiting" }).waitFor();
  await until(one, async () => (await seen()).length > 0);
  const told = await seen();
  assert.equal(told.length, 1, "two tabs, one notice");
  assert.deepEqual([told[0].title, told[0].body], ["A conversation waits for a person", "Tibor"]);
  assert.ok(!JSON.stringify(told).includes("4111"));
  // Whoever looks is not told.
  await away(false);
  await desk.say("Tom", "I want to talk to a human");
  await entry(one, "Tom").locator(".tag", { hasText: "Waiting" }).waitFor();
  assert.equal((await seen()).length, 1);
  assert.deepEqual(complaints(one), []);
});

test("with something on them they are accessible, light and dark, and fit a phone", async () => {
  const shop = await receiver();
  shop.status = 500;
  const first = await (await desk.owner()).newPage();
  await first.goto(at("webhooks"));
  const make = (path, body) => desk.make(first, path, body);
  const tenant = `/tenants/${desk.where.tenant}`;
  await make(`${tenant}/webhooks`, { url: shop.url, kinds: ["message.received"], description: "Orders" });
  await make(`${tenant}/golden`, { question: "Are you open on Sunday?", expect: { contains: ["simulated"], lacks: ["sorry"], hands_over: false } });
  await make(`${tenant}/break-glass`, { reason: `A reason ${"x".repeat(200)}`, minutes: 5 });
  await make("/agencies", { name: `Agency ${"y".repeat(100)}` });
  await desk.say("Vera", "Hello");
  await desk.inEveryLook(async (page, check) => {
    await page.goto(at("webhooks"));
    const card = page.getByRole("listitem").filter({ hasText: "Orders" });
    await card.getByRole("button", { name: "Send a test event" }).click();
    await card.getByText("HTTP 500").first().waitFor();
    await card.getByRole("button", { name: "Deliveries" }).click();
    await look(card, () => card.locator("tbody tr"));
    await check("webhooks");
    await page.getByRole("button", { name: "New webhook" }).click();
    await page.getByRole("dialog").getByLabel("Every kind").uncheck();
    await check("a webhook's form");
    await page.goto(at("golden"));
    await page.getByRole("button", { name: "Ask all" }).click();
    await page.locator(".sum").waitFor();
    await check("golden questions");
    await page.getByRole("button", { name: "Add a question" }).click();
    await check("a golden question's form");
    await page.goto(at("break-glass"));
    await page.getByText("A reason").first().waitFor();
    await check("looks");
    await page.goto(`${desk.where.server}/platform/agencies`);
    await page.getByRole("button", { name: "People" }).last().click();
    await page.getByRole("button", { name: "Send the invitation" }).waitFor();
    await check("agencies");
    await page.goto(at("assistant"));
    await page.locator("section.card", { has: page.getByRole("heading", { name: "Tools of your own" }) }).getByRole("button", { name: "Add" }).click();
    await page.getByRole("dialog").waitFor();
    await check("a tool's form");
    await page.goto(at("live"));
    await entry(page, "Vera").click();
    await page.locator(".line.bot").first().waitFor();
    await page.locator(".line.in").getByRole("button", { name: "React" }).click();
    await page.locator(".signs").waitFor();
    await check("signs");
  });
});
