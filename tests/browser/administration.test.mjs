// What is beside the live view: setting up, administering, what every page keeps to.

import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";

import { Desk, PAGES, accessible, complaints, entry, open, visit } from "./desk.mjs";
import { LIMIT_MS, freePort, sandbox } from "./harness.mjs";

const desk = new Desk();

before(() => desk.open(), { timeout: 3 * LIMIT_MS });
afterEach(() => desk.tidy());
after(() => desk.close());

test("accessibility: no serious violation on any page, light and dark", async () => {
  await desk.say("Hugo", "Do you have this in blue?");
  for (const colorScheme of ["light", "dark"]) {
    const page = await desk.live(await desk.owner({ colorScheme, bypassCSP: true }));
    await open(page, "Hugo");
    await page.locator(".line.bot .tick").first().waitFor();
    await page.keyboard.press("w");
    await page.locator(".side-panel .tiles").waitFor();
    await accessible(page, `live, ${colorScheme}`);
    for (const path of PAGES) {
      await visit(page, `${desk.where.server}/t/${desk.where.tenant}/${path}`);
      await accessible(page, `${path}, ${colorScheme}`);
    }
    for (const path of ["/set-up", "/platform/agencies", "/platform/incidents", "/platform/certificates", "/account"]) {
      await visit(page, desk.where.server + path);
      await accessible(page, `${path}, ${colorScheme}`);
    }
  }
});

test("the first load is below 150 kB, comes from this server alone, and its policy is in force", async () => {
  const made = await desk.stranger();
  const page = await made.newPage();
  const asked = [];
  page.on("request", (request) => asked.push(request.url()));
  await page.goto(`${desk.where.server}/sign-in`);
  await page.getByRole("button", { name: "Sign in", exact: true }).waitFor();
  const loaded = await page.evaluate(() => performance.getEntriesByType("resource").concat(performance.getEntriesByType("navigation"))
    .map(({ name, encodedBodySize, decodedBodySize }) => ({ name, encodedBodySize, decodedBodySize })));
  const bytes = loaded.reduce((sum, each) => sum + each.encodedBodySize, 0);
  assert.ok(bytes > 20_000 && bytes < 150_000, `${bytes} bytes`);
  assert.ok(loaded.some((each) => each.encodedBodySize < each.decodedBodySize / 2), "it is compressed");
  assert.ok(asked.every((url) => url.startsWith(desk.where.server)), asked.join("\n"));
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

test("another client is set up, and its administrator sees nothing of this one", async () => {
  const made = await desk.owner();
  const setUp = await made.newPage();
  await setUp.goto(`${desk.where.server}/set-up`);
  await setUp.getByLabel("Name of the business").fill("Other Shop");
  await setUp.getByRole("button", { name: "Create" }).click();
  await setUp.locator("li.card", { hasText: "Administrator" }).getByLabel("E-mail").waitFor();
  const step = setUp.locator("li.card.open");
  await step.getByLabel("E-mail").fill("other@example.com");
  await step.getByLabel("Name").fill("Olga");
  await step.getByRole("button", { name: "Invite", exact: true }).click();
  await setUp.getByText("A mail went to other@example.com").waitFor();
  assert.deepEqual(complaints(setUp), []);

  const page = await (await desk.stranger()).newPage();
  await desk.welcome(page, "other@example.com", "eleven purple otters");

  // Nothing is there of the demo shop, whatever the address says.
  await page.goto(`${desk.where.server}/`);
  await page.getByText("No conversations yet").waitFor();
  assert.deepEqual(await page.getByLabel("Choose a client").locator("option").allTextContents(), ["Other Shop"]);
  await desk.say("Ida", "Only the demo shop reads this");
  const watching = await desk.live(await desk.owner());
  await entry(watching, "Ida").waitFor();
  assert.equal(await page.locator(".entry").count(), 0);
  const { items } = await desk.api("/conversations?limit=1");
  await page.goto(`${desk.where.server}/t/${desk.where.tenant}/live/${items[0].id}`);
  await page.getByText("There is no such client").waitFor();
  const status = await page.evaluate(async (path) => (await fetch(path)).status, `/v1/tenants/${desk.where.tenant}/conversations`);
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
  await desk.sim("/sim/accounts", number);
  const made = await desk.owner();
  const page = await made.newPage();
  await page.goto(`${desk.where.server}/set-up`);
  await page.getByLabel("Name of the business").fill("Fresh Shop");
  await page.getByRole("button", { name: "Create" }).click();
  // Owning the platform is not enough to read what people write: somebody administers the client.
  await page.getByRole("button", { name: "Invite me" }).click();
  await page.getByText("A mail went to owner@sandbox.example").waitFor();
  const setUp = page.url();
  const link = await desk.mailedLink("owner@sandbox.example");
  await page.goto(desk.where.server + link.pathname + link.hash);
  await page.getByRole("button", { name: "I have an account already" }).click();
  await page.getByText("The invitation is accepted").waitFor();
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
  const contact = await desk.sim("/sim/contacts", { name: "First customer" });
  const act = { contact: contact.wa_id, account: "200000000000777", act: { kind: "text", text: "Hello, are you there?" } };
  await desk.sim("/sim/act", act);
  await page.getByText("The first message is answered").waitFor();
  await page.getByText("7 of 7").waitFor();
  await page.getByRole("link", { name: "Open Live" }).click();
  await entry(page, "First customer").waitFor();
  assert.deepEqual(complaints(page), []);
});

test("settings are drafted, compared and published; a canned reply is at hand then; a rehearsal changes nothing", async () => {
  const page = await (await desk.owner()).newPage();
  await page.goto(`${desk.where.server}/t/${desk.where.tenant}/assistant`);
  await page.locator("#canned").getByRole("button", { name: "Add" }).click();
  await page.locator("#canned").getByLabel("Name").fill("hours");
  await page.locator("#canned").getByLabel("What it says").fill("We open at nine.");
  await page.getByRole("button", { name: "Save the draft" }).click();
  await page.getByText("The draft is saved.").waitFor();
  await page.getByRole("button", { name: "Publish", exact: true }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByText("people.canned").waitFor();
  await dialog.getByRole("button", { name: "Publish" }).click();
  await page.getByText("Published: these settings count now.").waitFor();
  await page.getByText("version 2").first().waitFor();

  await desk.say("Karl", "I want to talk to a human");
  await page.goto(`${desk.where.server}/t/${desk.where.tenant}/live`);
  await entry(page, "Karl").locator(".tag", { hasText: "Waiting" }).waitFor();
  await open(page, "Karl");
  await page.keyboard.press("r");
  await page.keyboard.press(":");
  await page.getByRole("dialog", { name: "Canned replies" }).getByText("We open at nine.").waitFor();
  await page.keyboard.press("Enter");
  await page.getByRole("dialog").waitFor({ state: "detached" });
  assert.equal(await page.getByLabel("Reply", { exact: true }).inputValue(), "We open at nine.");

  await page.goto(`${desk.where.server}/t/${desk.where.tenant}/playground`);
  await page.getByLabel("Ask as a contact").fill("How long can I return shoes?");
  await page.keyboard.press("Enter");
  await page.locator(".outcome", { hasText: "[simulated]" }).waitFor();
  const { latest } = await desk.api("/events?after=0&limit=1");
  await page.getByRole("button", { name: "Take the latest conversations" }).click();
  await page.locator("li.card").nth(1).waitFor();
  await page.locator("li.card").nth(1).getByRole("button", { name: "Try" }).click();
  await page.locator("li.card").nth(1).locator(".outcome .words, .outcome .tag").first().waitFor();
  assert.equal((await desk.api("/events?after=0&limit=1")).latest, latest, "nothing happened by it");
  assert.deepEqual(complaints(page), []);
});

test("what was given up is listed with its reason, and tried again by a key", async () => {
  const page = await desk.live(await desk.owner());
  await desk.say("Lena", "I want to talk to a human");
  await entry(page, "Lena").locator(".tag", { hasText: "Waiting" }).waitFor();
  await open(page, "Lena");
  await page.locator(".line.bot .tick.read").waitFor();
  const faults = (sends) => desk.sim("/sim/faults", { sends });
  await faults([{ fault: { kind: "refuse", status: 400, code: 131008 }, next: 1 }]);
  await page.keyboard.press("r");
  await page.getByLabel("Reply", { exact: true }).fill("This one is refused at first.");
  await page.keyboard.press("Enter");
  const refused = page.locator(".line.person", { hasText: "refused at first" });
  await refused.locator(".tick.failed").waitFor();
  await refused.locator(".problem").waitFor();
  await faults([]);
  await page.goto(`${desk.where.server}/t/${desk.where.tenant}/dead-letters`);
  await page.getByRole("button", { name: "Try again" }).first().click();
  await page.getByRole("row").filter({ hasText: "tried again" }).or(page.getByText("Nothing was given up")).first().waitFor();
  await page.goto(`${desk.where.server}/t/${desk.where.tenant}/live`);
  await open(page, "Lena");
  await page.locator(".line.person", { hasText: "refused at first" }).locator(".tick.read").first().waitFor();
  assert.deepEqual(complaints(page), []);
});

test("a passkey is added, and signs in", async () => {
  // Passkeys belong to a name: the server is told its own.
  const port = await freePort();
  const named = await sandbox([`server.port=${port}`, `server.public_url=http://localhost:${port}`]);
  desk.finally(() => named.stop());
  const made = await desk.stranger();
  const page = await made.newPage();
  const cdp = await made.newCDPSession(page);
  await cdp.send("WebAuthn.enable");
  const options = { protocol: "ctap2", transport: "internal", hasResidentKey: true, hasUserVerification: true, isUserVerified: true, automaticPresenceSimulation: true };
  await cdp.send("WebAuthn.addVirtualAuthenticator", { options });
  await page.goto(named.monitor);
  await page.getByRole("link", { name: "Live" }).waitFor();
  await page.goto(`http://localhost:${port}/account`);
  await page.getByRole("button", { name: "Add" }).nth(1).click();
  await page.locator(".codes li").first().waitFor();
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByRole("button", { name: "Sign in with a passkey" }).click();
  await page.getByRole("link", { name: "Live" }).waitFor();
  assert.deepEqual(complaints(page), []);
});
