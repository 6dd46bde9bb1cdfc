// What people ask about their own data, orders of authorities and incidents, in a real browser.

import assert from "node:assert/strict";
import { createPublicKey, verify } from "node:crypto";
import { readFile } from "node:fs/promises";
import { after, afterEach, before, test } from "node:test";

import { Desk, complaints, entry, open, until } from "./desk.mjs";
import { LIMIT_MS } from "./harness.mjs";

const HOUR_MS = 3_600_000;
const desk = new Desk();

before(() => desk.open(), { timeout: 3 * LIMIT_MS });
afterEach(() => desk.tidy());
after(() => desk.close());

const at = (path) => `${desk.where.server}/t/${desk.where.tenant}/${path}`;
/** A moment as a field of a browser here takes it. */
const field = (moment) => new Date(moment - new Date(moment).getTimezoneOffset() * 60_000).toISOString().slice(0, 16);

/** Somebody wrote to the shop and was answered: their conversation. */
async function wrote(page, name, text) {
  await desk.say(name, text);
  return until(page, async () => {
    const { items } = await desk.api("/conversations?limit=200");
    return items.find((each) => each.contact.profile_name === name && each.last_message?.author.by === "assistant" && each.last_message.delivery?.status === "read");
  });
}

/** A context of the owner's, whose pages may read the clipboard. */
async function withClipboard() {
  const made = await desk.owner();
  await made.grantPermissions(["clipboard-read", "clipboard-write"], { origin: desk.where.server });
  return made;
}

const pasted = (page) => page.evaluate(() => navigator.clipboard.readText());

/** What a click has the browser keep. */
async function kept(page, button) {
  const [download] = await Promise.all([page.waitForEvent("download"), button.click()]);
  return { name: download.suggestedFilename(), text: await readFile(await download.path(), "utf8") };
}

/**
 * As it is once the proof of who somebody is has become ten minutes old, which is longer than a test may last: what the server says
 * then answers the act, until the server has taken a proof.
 */
async function proofIsOld(page, act) {
  const { paths, components } = await (await fetch(`${desk.where.server}/openapi.json`)).json();
  const refused = components.responses[paths[act].post.responses[403].$ref.split("/").at(-1)];
  const { value } = refused.content["application/problem+json"].examples.step_up_needed;
  let old = true;
  page.on("response", (response) => {
    if (new URL(response.url()).pathname === "/v1/auth/step-up" && response.ok()) old = false;
  });
  await page.route((url) => new RegExp(`^${act.replace(/\{\w+\}/g, "\\w+")}$`).test(url.pathname), (route) => (
    old && route.request().method() === "POST" ? route.fulfill({ status: value.status, contentType: "application/problem+json", json: value }) : route.continue()
  ));
}

/** Goes to an element by the Tab key alone. */
async function reach(page, wanted) {
  await wanted.waitFor();
  for (let tabs = 0; tabs < 100; tabs += 1) {
    if (await wanted.evaluate((element) => element === document.activeElement)) return;
    await page.keyboard.press("Tab");
  }
  assert.fail(`the Tab key never comes to ${wanted}`);
}

async function press(page, wanted) {
  await reach(page, wanted);
  await page.keyboard.press("Enter");
}

test("a request of the public page comes up, is proven by its code, done and answered, and its person reads the answer", async () => {
  const made = await desk.owner();
  const page = await made.newPage();
  await page.goto(at("privacy"));
  await page.getByText("No requests").waitFor();
  const conversation = await wrote(page, "Rita", "Hello, who are you?");
  const account = (await desk.sim("/sim/accounts")).find((each) => each.product === "whatsapp");

  const public_ = await (await desk.stranger()).newPage();
  await public_.goto(`${desk.where.server}/privacy/request?lang=en`);
  await public_.getByLabel("What you ask").selectOption("rectify");
  await public_.getByLabel("Where you write with the business").selectOption("whatsapp");
  await public_.getByLabel("The business", { exact: true }).fill(account.display_phone_number);
  await public_.getByLabel("You", { exact: true }).fill(`+${conversation.contact.wa_id}`);
  await public_.getByRole("button", { name: "Send" }).click();
  await public_.getByLabel("Code").waitFor();

  // Nobody looks at the list anew.
  const card = page.locator("a.card", { hasText: "Correction" });
  await card.waitFor();
  assert.match(await card.textContent(), /not proven who asks.*asked on the public page.*days? left/s);
  const clock = card.getByRole("meter", { name: "The law's time" });
  assert.ok(Number(await clock.getAttribute("aria-valuenow")) < 50);
  await page.getByLabel("How far it is").selectOption("verified");
  await page.getByText("No requests").waitFor();
  await page.getByLabel("How far it is").selectOption("received");
  await card.click();
  await page.getByText("Nothing is answered before it is proven who asks.").waitFor();
  assert.ok(await page.getByRole("button", { name: "Answer" }).isDisabled());

  const code = await until(page, async () => {
    const said = await desk.sim(`/sim/transcript?contact=${conversation.contact.wa_id}`);
    return said.map((each) => /(\d{6,}) is the code/.exec(each.text ?? "")?.[1]).find(Boolean);
  });
  await public_.getByLabel("Code").fill(code);
  await public_.getByRole("button", { name: "Prove it" }).click();
  await public_.getByText("Your identity is proven").waitFor();
  await public_.getByLabel("What you want to be done").fill("My name is Margarita.");
  await public_.getByRole("button", { name: "Send" }).click();
  await public_.getByText("Noted").waitFor();

  // It is marked wherever they are shown.
  await page.locator("header .tag", { hasText: "In dispute" }).waitFor();
  await page.getByText("By a code, on the page").waitFor();
  const watching = await desk.live(await desk.owner());
  await entry(watching, "Rita").locator(".tag", { hasText: "In dispute" }).waitFor();
  await open(watching, "Rita");
  await watching.locator(".strip .tag", { hasText: "In dispute" }).waitFor();
  await watching.locator(".line", { hasText: "My name is Margarita." }).waitFor();
  await page.getByRole("button", { name: "Blocked" }).click();
  await watching.locator(".strip .tag", { hasText: "Blocked" }).waitFor();
  await page.getByText("Hidden, as the marks above say").waitFor();
  assert.equal(await page.getByText("Rita").count(), 0);

  assert.ok(await page.getByRole("button", { name: "Answer" }).isDisabled(), "nothing was done yet");
  await page.getByLabel("What it is to say").fill("Margarita");
  await page.getByRole("button", { name: "Correct it" }).click();
  await page.getByText("It is corrected.").waitFor();
  const told = page.locator("section", { has: page.getByRole("heading", { name: "Who is told of it" }) });
  await told.getByRole("button", { name: "They were told" }).first().click();
  await told.getByLabel("What proves it").fill("Mail of 12:40.");
  await told.getByRole("button", { name: "Save" }).click();
  await told.getByText("Mail of 12:40.").waitFor();
  await page.getByLabel("What they are told").fill("You are Margarita from now on.");
  await page.getByRole("button", { name: "Answer" }).click();
  await page.locator("header .tag", { hasText: "answered" }).waitFor();
  await page.locator("header .tag", { hasText: "Blocked" }).waitFor({ state: "detached" });
  await entry(watching, "Margarita").waitFor();
  await watching.locator(".strip .tag", { hasText: "Blocked" }).waitFor({ state: "detached" });
  await public_.goto(public_.url().replace("/statement", ""));
  await public_.getByText("You are Margarita from now on.").waitFor();
  for (const each of [page, watching, public_]) assert.deepEqual(complaints(each), []);
});

test("a request is taken down beside a conversation: all that is held is handed out, then they are erased, with a receipt", async () => {
  const page = await desk.live(await desk.owner());
  const { contact } = await wrote(page, "Otto", "My size is 44.");
  await open(page, "Otto");
  await page.locator(".line.bot").first().waitFor();
  await page.getByRole("button", { name: "Details" }).click();
  const begin = async (right) => {
    await page.goto(at(`privacy?contact=${contact.id}`));
    await page.getByRole("dialog").getByLabel("What is asked").selectOption(right);
    await page.getByRole("button", { name: "Open it" }).click();
    await page.getByLabel("Document that was seen").fill("Passport");
    await page.getByRole("button", { name: "It proves who asks" }).click();
    await page.getByText("It is proven who asks.").waitFor();
  };
  assert.equal(await page.getByRole("link", { name: "New request" }).getAttribute("href"), `/t/${desk.where.tenant}/privacy?contact=${contact.id}`);
  await begin("access");
  const json = await kept(page, page.getByRole("button", { name: "For programs" }));
  assert.match(json.name, /^cas_[0-9a-f]{32}\.json$/);
  assert.ok(JSON.stringify(JSON.parse(json.text)).includes("My size is 44."));
  const html = await kept(page, page.getByRole("button", { name: "To be read" }));
  assert.ok(html.text.includes("My size is 44.") && html.text.includes("<html"));
  await page.getByRole("button", { name: "Answer" }).click();
  await page.locator("header .tag", { hasText: "answered" }).waitFor();

  await begin("delete");
  await page.getByRole("button", { name: "Erase them" }).click();
  await page.getByRole("dialog").getByText("There is no way back.").waitFor();
  await page.getByRole("dialog").getByRole("button", { name: "Erase them" }).click();
  await page.getByText("The erasure was carried out").first().waitFor();
  const receipt = page.getByRole("region", { name: "Erasure" });
  await receipt.getByRole("listitem").filter({ hasText: "Their key" }).waitFor();
  await receipt.getByText("The key's former wrapping", { exact: true }).waitFor();
  await page.getByRole("button", { name: "Answer" }).click();
  await page.locator("header .tag", { hasText: "answered" }).waitFor();
  await page.getByText("Not there any more").waitFor();
  await page.getByRole("link", { name: "All requests" }).click();
  await page.getByRole("button", { name: "Erasures" }).click();
  await page.getByRole("region", { name: "Erasure" }).first().waitFor();
  assert.deepEqual(complaints(page), []);
});

test("a hold is laid and released, and a period is chosen within its bounds", async () => {
  const page = await (await desk.owner()).newPage();
  await page.goto(at("privacy/holds"));
  await page.getByRole("button", { name: "Lay a hold" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Norm").fill("Ley 25.326 art. 16.5");
  await dialog.getByLabel("What proves it").fill("Court file 12/2026.");
  await dialog.getByLabel("Messages").check();
  await dialog.getByRole("button", { name: "Lay a hold" }).click();
  const card = page.locator("li.card", { hasText: "Court file 12/2026." });
  await card.getByText("in force").waitFor();
  await card.getByRole("button", { name: "Release" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Release" }).click();
  await card.locator(".tag", { hasText: "released" }).waitFor();

  await page.getByRole("button", { name: "Periods" }).click();
  const days = page.getByLabel("Messages: Days");
  const floor = Number(await days.getAttribute("min"));
  await days.fill(String(floor));
  await page.getByText("A shorter period").waitFor();
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByText("The periods count now.").waitFor();
  const { data } = await desk.ask(page, "GET", `/tenants/${desk.where.tenant}/retention`);
  assert.equal(data.chosen.find((each) => each.class === "message").days, floor);
  await days.fill("");
  await page.getByRole("button", { name: "Save" }).click();
  await until(page, async () => (await desk.ask(page, "GET", `/tenants/${desk.where.tenant}/retention`)).data.chosen.every((each) => each.chosen === null));
  assert.deepEqual(complaints(page), []);
});

test("why one thing is still there is told in words: its period, its hold, its erasure, a rule", async () => {
  const page = await (await desk.owner()).newPage();
  await page.goto(at("privacy/periods"));
  const { id: conversation, contact } = await wrote(page, "Uma", "Remember me.");
  const { items: [message] } = await desk.api(`/conversations/${conversation}/messages?limit=1`);
  const form = page.getByRole("region", { name: "Why is this still there?" });
  const told = form.getByRole("status");
  const ask = async (id) => {
    await form.getByLabel("Its id").fill(id);
    await form.getByRole("button", { name: "Tell me" }).click();
  };
  await ask(contact.id);
  await told.filter({ hasText: /A contact\s*It is kept for [\d,]+ days: nothing else was chosen\. They count from .*\. It goes with the next sweep after .*\. No legal hold keeps it\./ }).waitFor();

  const tenant = `/tenants/${desk.where.tenant}`;
  const hold = await desk.make(page, `${tenant}/holds`, { norm: "Ley 25.326 art. 16.5", proven_by: "Court file 13/2026.", contact: contact.id, classes: ["message"], review_at: Date.now() + HOUR_MS });
  await form.getByLabel("Its id").fill(message.id);
  // It is not told where nobody says in which conversation.
  await form.getByRole("button", { name: "Tell me" }).click();
  assert.ok(await form.getByLabel("The conversation it is in").evaluate((field) => field.matches(":invalid:focus")));
  await form.getByLabel("The conversation it is in").fill(conversation);
  await form.getByRole("button", { name: "Tell me" }).click();
  await told.filter({ hasText: /A message.*If nobody says anything more, all of its contact goes after .*Until it is released, it is kept by this hold:/s }).waitFor();
  assert.equal(await told.getByText("No legal hold").count(), 0);
  await told.getByRole("link", { name: hold.id }).waitFor();

  await ask(`acc_${"0".repeat(32)}`);
  await told.filter({ hasText: /Accounts\s*It is kept by a rule of the platform: as long as the account is there/ }).waitFor();
  await ask("nothing");
  await form.getByRole("alert").filter({ hasText: "There is no such thing here." }).waitFor();
  assert.equal(await told.textContent(), "", "nothing is told of what was asked before");

  assert.equal((await desk.ask(page, "DELETE", `${tenant}/holds/${hold.id}`)).status, 200);
  const erasure = await desk.make(page, `${tenant}/contacts/${contact.id}/erasure`, { ground: "They asked." });
  await ask(contact.id);
  await told.filter({ hasText: "It is not there any more: this erasure took it." }).getByRole("link", { name: erasure.id }).click();
  await page.getByRole("region", { name: "Erasure" }).filter({ hasText: contact.id }).waitFor();
  assert.deepEqual(complaints(page), []);
});

test("the notice for end users is drafted in the language that is chosen, of what counts now, and copied", async () => {
  const page = await (await withClipboard()).newPage();
  await page.goto(at("privacy/periods"));
  const notice = page.getByRole("region", { name: "Privacy notice for your end users" });
  await notice.locator("summary").press("Enter");
  await notice.locator("pre[lang=en]", { hasText: "Demo Shop" }).waitFor();
  for (const [language, words] of [["pt", "Aviso de privacidade"], ["es", "Aviso de privacidad"]]) {
    await notice.getByLabel("Language").selectOption(language);
    await notice.locator(`pre[lang=${language}]`, { hasText: words }).waitFor();
  }
  const days = page.getByLabel("Messages: Days");
  const chosen = Number(await days.getAttribute("min")) + 3;
  await days.fill(String(chosen));
  await page.getByRole("button", { name: "Save" }).click();
  await notice.locator("pre", { hasText: `${chosen} días` }).waitFor();
  await notice.getByRole("button", { name: "Copy" }).click();
  await notice.getByRole("button", { name: "Copied" }).waitFor();
  assert.equal(await pasted(page), await notice.locator("pre").textContent());
  await days.fill("");
  await page.getByRole("button", { name: "Save" }).click();
  await notice.locator("pre", { hasText: `${chosen} días` }).waitFor({ state: "detached" });
  assert.deepEqual(complaints(page), []);
});

test("an order is entered by one owner, approved by another, and no more than it covers is handed over", async () => {
  const page = await (await desk.owner()).newPage();
  await page.goto(at("orders"));
  const { contact } = await wrote(page, "Vito", "I was never there.");
  await page.getByRole("button", { name: "Enter an order" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Authority").fill("Juzgado Federal N° 3");
  await dialog.getByLabel("File, norm and date").fill("FRO 12345/2026");
  await dialog.getByLabel("The document").fill("Folder legal/2026/17.");
  await dialog.getByLabel("Whose data").fill(contact.id);
  await dialog.getByLabel("From").fill(field(Date.now() - HOUR_MS));
  await dialog.getByLabel("Until").fill(field(Date.now() + HOUR_MS));
  await dialog.getByRole("button", { name: "Enter it" }).click();
  const card = (of) => of.getByRole("listitem", { name: "FRO 12345/2026" });
  await card(page).getByText("Another owner must approve it.").waitFor();
  assert.equal(await card(page).getByRole("button", { name: "Approve" }).count(), 0);
  const [{ id }] = (await desk.ask(page, "GET", `/tenants/${desk.where.tenant}/orders`)).data;
  assert.equal((await desk.ask(page, "POST", `/tenants/${desk.where.tenant}/orders/${id}/approve`)).status, 409);

  const invited = await desk.ask(page, "POST", "/owners/invitations", { email: "second@example.com", name: "Olivia" });
  assert.equal(invited.status, 201);
  const other = await (await desk.stranger()).newPage();
  await desk.welcome(other, "second@example.com", "nine green lanterns");
  await other.goto(at("orders"));
  await card(other).getByRole("button", { name: "Approve" }).click();
  await card(other).getByText("client told").waitFor();

  // The first owner sees it by itself.
  await card(page).getByRole("button", { name: "Hand over" }).click();
  await dialog.getByLabel("Whose data").fill("");
  await dialog.getByRole("button", { name: "Hand it over" }).click();
  await dialog.getByText("goes beyond the order's scope").waitFor();
  await dialog.getByLabel("Whose data").fill(contact.id);
  const file = await kept(page, dialog.getByRole("button", { name: "Hand it over" }));
  assert.equal(file.name, `${id}.jsonl`);
  const lines = file.text.trim().split("\n").map((line) => JSON.parse(line));
  assert.ok(lines.length >= 2 && file.text.includes("I was never there."));
  await card(page).getByText(`${lines.length} records`).waitFor();
  assert.match(await card(page).textContent(), /SHA-256 [0-9a-f]{64}/);
  // An owner sees that something was asked, and acts on nothing.
  const { data: asked } = await desk.ask(page, "POST", `/tenants/${desk.where.tenant}/rights`, { contact: contact.id, right: "access", how: "staff" });
  await other.goto(at("privacy"));
  await other.locator(`a.card[href$="${asked.id}"]`).click();
  await other.getByText("Only the client's administrators act on requests.").waitFor();
  assert.equal(await other.getByText("Vito").count(), 0);
  assert.equal(await other.getByRole("button", { name: "Send a code" }).count(), 0);
  assert.deepEqual(complaints(page).filter((each) => !/status of (403|409)/.test(each)), []);
  assert.deepEqual(complaints(other).filter((each) => !/status of 403/.test(each)), []);
});

test("an incident's clocks run from when it was known; whose data was reached is found, everybody is told, and the file tells of it", async () => {
  const made = await desk.owner();
  const page = await desk.live(made);
  await wrote(page, "Nadia", "Is anybody there?");
  await entry(page, "Nadia").waitFor();
  const { data: me } = await desk.ask(page, "GET", "/auth/me");
  // The address that mails of its clocks lead to.
  await page.goto(`${desk.where.server}/platform/incidents`);
  await page.getByText("No incidents").waitFor();
  await page.getByRole("button", { name: "Open an incident" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("What it is called").fill("A laptop was stolen.");
  await dialog.getByLabel("When it was known").fill(field(Date.now() - 13 * HOUR_MS));
  await dialog.getByRole("button", { name: "Add" }).click();
  await dialog.getByLabel("Kind").selectOption("account");
  await dialog.getByLabel("Account").fill(me.id);
  await dialog.getByLabel("What happened").fill("It was signed in.");
  await dialog.getByRole("button", { name: "Open an incident" }).click();
  const party = (name) => page.getByRole("listitem", { name, exact: true });
  await party("Meta").locator(".tag", { hasText: "50 %" }).waitFor();
  await party("Meta").getByText("10 hours left").waitFor();
  await party("Authority").getByText("2 days left").waitFor();
  assert.equal(await party("Authority").locator(".tag").count(), 0, "no mark was passed");
  await page.getByRole("button", { name: "Look it up" }).click();
  await page.getByText("The logs were read.").waitFor();
  const people = Number(/(\d+) (?:person|people)/.exec(await page.locator("section", { has: page.getByRole("heading", { name: "Whose data was reached" }) }).textContent())[1]);
  assert.ok(people >= 1);
  await page.locator("summary", { hasText: "Authority" }).click();
  await page.getByText("We learned of a security incident").filter({ visible: true }).waitFor();
  await page.getByLabel("Language").last().selectOption("es");
  await page.getByText("Tomamos conocimiento de un incidente").filter({ visible: true }).waitFor();

  const close = page.getByRole("button", { name: "Close it" });
  assert.ok(await close.isDisabled(), "nobody was told");
  for (const name of ["Meta", "Clients", "Authority", "The people"]) {
    await party(name).getByRole("button", { name: "They were told" }).click();
    await party(name).getByLabel("What proves it").fill(`Mail to ${name}.`);
    await party(name).getByRole("button", { name: "Save" }).click();
    await party(name).getByText(`Mail to ${name}.`).waitFor();
  }
  const file = await kept(page, page.getByRole("button", { name: "File for the authority" }));
  const dossier = JSON.parse(file.text);
  assert.deepEqual([dossier.title, dossier.quantity.people, dossier.people_told], ["A laptop was stolen.", people, true]);
  assert.ok(dossier.parties.every((each) => each.in_time && each.proof.startsWith("Mail to ")));
  await close.click();
  await page.getByText("It is closed.").waitFor();
  await page.getByRole("link", { name: "All incidents" }).click();
  await page.locator("a.card", { hasText: "A laptop was stolen." }).locator(".tag", { hasText: "closed" }).waitFor();
  assert.deepEqual(complaints(page), []);
});

const PASSWORD = "five copper teapots";
const proofOf = (page) => page.getByRole("dialog", { name: "Prove that it is you" });

/** The sandbox's owner came by a link: now they have a password, too. */
async function withPassword() {
  const page = await (await desk.owner()).newPage();
  await page.goto(at("privacy"));
  const { data: me } = await desk.ask(page, "GET", "/auth/me");
  const { status } = await desk.ask(page, "PUT", "/auth/password", { new: PASSWORD, ...(me.factors.password && { current: PASSWORD }) });
  assert.equal(status, 204);
  return page;
}

test("what needs a proof anew asks for it: without one nothing is done, a wrong password is refused, the right one has it done; all by the keyboard", async () => {
  const page = await withPassword();
  const { contact } = await wrote(page, "Pilar", "Forget me.");
  const rights = `/tenants/${desk.where.tenant}/rights`;
  const { id } = await desk.make(page, rights, { contact: contact.id, right: "delete", how: "staff" });
  await desk.make(page, `${rights}/${id}/steps`, { step: "see_document", kind: "Passport" });
  await proofIsOld(page, "/v1/tenants/{tenant}/rights/{case}/steps");
  await page.goto(at(`privacy/${id}`));
  const proof = proofOf(page);
  const erase = async () => {
    await press(page, page.getByRole("button", { name: "Erase them" }));
    await press(page, page.getByRole("dialog", { name: "Erase them" }).getByRole("button", { name: "Erase them" }));
    await proof.waitFor();
  };
  await erase();
  await page.keyboard.press("Escape");
  await proof.waitFor({ state: "detached" });
  await page.getByRole("alert").filter({ hasText: "needs a proof anew" }).waitFor();
  assert.equal((await desk.ask(page, "GET", `${rights}/${id}`)).data.erasure ?? null, null);

  await erase();
  await reach(page, proof.getByLabel("Password"));
  await page.keyboard.type("six wrong teapots");
  await page.keyboard.press("Enter");
  await proof.getByRole("alert").filter({ hasText: "this is not your password" }).waitFor();
  assert.equal((await desk.ask(page, "GET", `${rights}/${id}`)).data.erasure ?? null, null);
  await page.keyboard.press("ControlOrMeta+a");
  await page.keyboard.type(PASSWORD);
  await page.keyboard.press("Enter");
  await proof.waitFor({ state: "detached" });
  await page.getByText("The erasure was carried out").first().waitFor();
  assert.ok((await desk.ask(page, "GET", `${rights}/${id}`)).data.erasure);
  assert.deepEqual(complaints(page).filter((each) => !/status of 403/.test(each)), []);
});

test("a proof anew is given over the form of an order and of an incident, and what was filled in is entered", async () => {
  const orders = await withPassword();
  const incidents = await (await desk.owner()).newPage();
  const prove = async (page) => {
    await page.keyboard.press("Enter");
    await reach(page, proofOf(page).getByLabel("Password"));
    await page.keyboard.type(PASSWORD);
    await page.keyboard.press("Enter");
    await page.getByRole("dialog").first().waitFor({ state: "detached" });
  };
  await proofIsOld(orders, "/v1/tenants/{tenant}/orders");
  await orders.goto(at("orders"));
  await press(orders, orders.getByRole("button", { name: "Enter an order" }));
  for (const [label, text] of [["Authority", "Juzgado Federal N° 5"], ["File, norm and date", "FRO 77/2026"], ["The document", "Folder legal/2026/18."]]) {
    await reach(orders, orders.getByRole("dialog").getByLabel(label));
    await orders.keyboard.type(text);
  }
  await orders.getByLabel("From").fill(field(Date.now() - HOUR_MS));
  await orders.getByLabel("Until").fill(field(Date.now() + HOUR_MS));
  await reach(orders, orders.getByRole("dialog").getByRole("button", { name: "Enter it" }));
  await prove(orders);
  await orders.getByRole("listitem", { name: "FRO 77/2026" }).waitFor();

  await proofIsOld(incidents, "/v1/incidents");
  await incidents.goto(`${desk.where.server}/platform/incidents`);
  await press(incidents, incidents.getByRole("button", { name: "Open an incident" }));
  await reach(incidents, incidents.getByRole("dialog").getByLabel("What it is called"));
  await incidents.keyboard.type("A key was in a photo.");
  await prove(incidents);
  await incidents.getByRole("heading", { name: "A key was in a photo." }).waitFor();
  for (const page of [orders, incidents]) assert.deepEqual(complaints(page).filter((each) => !/status of 403/.test(each)), []);
});

test("with something on them they are accessible, light and dark, and fit a phone", async () => {
  const first = await (await desk.owner()).newPage();
  await first.goto(at("privacy"));
  const { contact } = await wrote(first, "Wanda", "Hello");
  const make = (path, body) => desk.make(first, path, body);
  const tenant = `/tenants/${desk.where.tenant}`;
  const cases = {};
  for (const right of ["access", "rectify", "delete", "confidential"]) cases[right] = (await make(`${tenant}/rights`, { contact: contact.id, right, how: "staff" })).id;
  for (const right of ["access", "rectify"]) await make(`${tenant}/rights/${cases[right]}/steps`, { step: "see_document", kind: "Passport" });
  await make(`${tenant}/rights/${cases.rectify}/steps`, { step: "correct", fields: { city: "x".repeat(200) } });
  await make(`${tenant}/rights/${cases.confidential}/steps`, { step: "refuse", ground: "identity", text: "y".repeat(400) });
  await make(`${tenant}/holds`, { norm: "z".repeat(120), proven_by: "A file.", review_at: Date.now() + HOUR_MS });
  const scope = { classes: ["message", "contact"], from: Date.now() - HOUR_MS, until: Date.now() + HOUR_MS };
  await make(`${tenant}/orders`, { authority: "A".repeat(120), reference: "R".repeat(120), document: "A folder.", may_tell: false, scope });
  const suspects = [{ kind: "address", address: "203.0.113.7" }];
  const incident = await make("/incidents", { title: "T".repeat(150), known_at: Date.now() - 30 * HOUR_MS, from: scope.from, until: Date.now(), suspects });
  await make(`/incidents/${incident.id}/scope`);
  await desk.inEveryLook(async (page, check) => {
    await page.goto(at("privacy"));
    await page.locator("a.card").nth(2).waitFor();
    await check("requests");
    await page.getByRole("button", { name: "New request" }).click();
    await check("a request's form");
    for (const [right, shown] of Object.entries({ access: "All that is held about them", rectify: "What was corrected", delete: "Who asks", confidential: "What they were told" })) {
      await page.goto(at(`privacy/${cases[right]}`));
      await page.getByRole("heading", { name: shown, exact: true }).waitFor();
      await check(right);
    }
    await page.goto(at("privacy/erasures"));
    await page.getByRole("region", { name: "Erasure" }).or(page.getByText("Nobody was erased")).first().waitFor();
    await check("erasures");
    await page.goto(at("privacy/holds"));
    await page.locator("li.card", { hasText: "A file." }).waitFor();
    await check("holds");
    await page.getByRole("button", { name: "Lay a hold" }).click();
    await check("a hold's form");
    await page.goto(at("privacy/periods"));
    await page.getByLabel("Messages: Days").waitFor();
    await page.locator("details.rules > summary").click();
    await page.getByLabel("Its id").fill(`con_${"0".repeat(32)}`);
    await page.getByRole("button", { name: "Tell me" }).click();
    await page.getByText("There is no such thing here.").waitFor();
    await page.getByLabel("Its id").fill(contact.id);
    await page.getByRole("button", { name: "Tell me" }).click();
    await page.getByText("A contact", { exact: true }).waitFor();
    await page.getByText("Privacy notice for your end users").click();
    await page.locator("pre").waitFor();
    await check("periods");
    await page.goto(at("orders"));
    await page.getByText("A folder.").first().waitFor();
    await check("orders");
    await page.getByRole("button", { name: "Enter an order" }).click();
    await check("an order's form");
    await page.goto(`${desk.where.server}/platform/incidents`);
    await page.locator("a.card", { hasText: "TTT" }).waitFor();
    await check("incidents");
    await page.locator("a.card", { hasText: "TTT" }).click();
    await page.getByText("late").first().waitFor();
    for (const summary of await page.locator("summary").all()) await summary.click();
    await check("an incident");
    await page.getByRole("button", { name: "Change" }).click();
    await check("an incident's form");
  });
});

/** Whether a note is as the platform signed it: its last line is the signature of what stands above the empty line. */
function isAsSigned(note, key) {
  const [, , material] = /^([^+]+)\+[0-9a-f]{8}\+(.+)$/.exec(key);
  const x = Buffer.from(material, "base64").subarray(1).toString("base64url");
  const [, text, signature] = /^(.*\n)\n\u2014 iassistance (\S+)\n$/s.exec(note);
  return verify(null, Buffer.from(text), createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x }, format: "jwk" }), Buffer.from(signature, "base64").subarray(4));
}

// The last one: it starts the sandbox anew.
test("a client that was closed is destroyed, and its certificate shows a note that its key verifies", async () => {
  const before = await desk.owner();
  const first = await before.newPage();
  await first.goto(`${desk.where.server}/platform/certificates`);
  await first.getByText("No client was destroyed").waitFor();
  const { id } = await desk.make(first, "/tenants", { name: "Gone Shop" });
  await desk.make(first, `/tenants/${id}/close`);
  assert.deepEqual(complaints(first), []);
  await before.close();
  await desk.again(["retention.closed_days=0"]);

  const page = await (await withClipboard()).newPage();
  await page.goto(at("privacy"));
  await until(page, async () => (await desk.ask(page, "GET", "/certificates")).data.items[0]?.destroyed_at);
  await page.getByRole("link", { name: "Certificates" }).click();
  const card = page.getByRole("listitem", { name: id });
  await card.locator(".tag", { hasText: "destroyed" }).waitFor();
  await card.getByText("The platform", { exact: true }).waitFor();
  await card.locator("summary", { hasText: "Receipt" }).click();
  await card.getByRole("listitem").filter({ hasText: "Keys of the client" }).waitFor();
  await card.locator("summary", { hasText: "The signed note" }).click();
  await card.getByRole("button", { name: "Copy" }).click();
  await card.getByRole("button", { name: "Copied" }).waitFor();
  const note = await pasted(page);
  assert.equal(note, await card.locator("pre").textContent());
  await page.getByText("iassistance audit key").waitFor();
  // What that command prints stands in the audit log's export, too.
  const log = await page.evaluate(async (path) => (await fetch(path)).text(), `/v1/tenants/${desk.where.tenant}/audit/export`);
  const { key } = JSON.parse(log.slice(0, log.indexOf("\n")));
  assert.ok(note.includes(id) && isAsSigned(note, key));
  assert.ok(!isAsSigned(note.replace(id, desk.where.tenant), key), "another client's");
  assert.deepEqual(complaints(page), []);

  await desk.inEveryLook(async (looked, check) => {
    await looked.goto(`${desk.where.server}/platform/certificates`);
    await looked.locator("summary").first().waitFor();
    for (const summary of await looked.locator("summary").all()) await summary.click();
    await check("certificates");
  });
});
