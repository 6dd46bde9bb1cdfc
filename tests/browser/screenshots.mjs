// Remakes the pictures of the README from a sandbox: `scripts/screenshots`.

import { mkdir } from "node:fs/promises";
import { fileURLToPath } from "node:url";

import { PHONE, context, launch, sandbox } from "./harness.mjs";

const FOLDER = fileURLToPath(new URL("../../docs/images/", import.meta.url));
await mkdir(FOLDER, { recursive: true });

const where = await sandbox();
const browser = await launch();

async function sim(path, body) {
  const options = body ? { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) } : {};
  const response = await fetch(new URL(path, where.phone), options);
  if (!response.ok) throw new Error(`${path}: ${await response.text()}`);
  return response.json();
}

async function api(path) {
  const response = await fetch(`${where.server}/v1/tenants/${where.tenant}${path}`, { headers: { authorization: `Bearer ${where.key}` } });
  return response.json();
}

try {
  const accounts = await sim("/sim/accounts");
  const of = (product) => accounts.find((each) => each.product === product).id;
  const say = async (name, product, text) => {
    const people = await sim("/sim/contacts");
    const contact = people.find((each) => each.name === name) ?? await sim("/sim/contacts", { name });
    await sim("/sim/act", { contact: contact.wa_id, account: of(product), act: { kind: "text", text } });
  };
  const signedIn = await context(browser, { viewport: { width: 1440, height: 900 } });
  const first = await signedIn.newPage();
  await first.goto(where.monitor);
  await first.getByRole("link", { name: "Live" }).waitFor();
  const storageState = await signedIn.storageState();

  await say("Lucía Fernández", "whatsapp", "Hola, ¿abren los domingos?");
  await say("João Pereira", "instagram", "Vocês têm o tênis azul no 42?");
  await say("Amira Haddad", "messenger", "My parcel is late, where is it?");
  await say("Kenji Watanabe", "whatsapp", "I want to talk to a human, please");
  await say("Noor", "instagram", "مرحبا، هل الشحن مجاني؟");
  await say("Sofia Rossi", "whatsapp", "How long can I return shoes?");
  // Everybody has their answer.
  const answered = async () => {
    const { items } = await api("/conversations?limit=50");
    return items.length === 6 && items.every((each) => each.last_message?.author.by === "assistant" && each.last_message.delivery?.status === "read");
  };
  while (!(await answered())) await first.evaluate(() => new Promise((done) => requestAnimationFrame(done)));

  const page = first;
  const shot = async (name, of = page) => {
    await of.evaluate(() => document.fonts.ready);
    await of.screenshot({ path: `${FOLDER}${name}.png`, animations: "disabled" });
  };
  await page.locator(".entry", { hasText: "Sofia Rossi" }).click();
  await page.locator(".line.bot .tick.read").first().waitFor();
  await page.keyboard.press("w");
  await page.locator(".side-panel li.tool").first().waitFor();
  await shot("monitor-live");

  const dark = await (await context(browser, { viewport: { width: 1440, height: 900 }, colorScheme: "dark", storageState })).newPage();
  await dark.goto(`${where.server}/t/${where.tenant}/live`);
  await dark.locator(".entry", { hasText: "Kenji" }).click();
  await dark.keyboard.press("t");
  await dark.locator(".holder", { hasText: "Sandbox owner" }).waitFor();
  await dark.getByLabel("Reply", { exact: true }).fill("Hello Kenji, this is Ada. What can I do for you?");
  await dark.keyboard.press("Enter");
  await dark.locator(".line.person .tick.read").waitFor();
  await shot("monitor-takeover", dark);

  await page.goto(`${where.server}/t/${where.tenant}/figures`);
  await page.locator(".charts canvas").nth(3).waitFor();
  await page.waitForFunction(() => !/^(0|–)$/.test(document.querySelector(".tiles li:nth-child(2) strong")?.textContent ?? "0"));
  await shot("monitor-figures");
  await page.goto(`${where.server}/t/${where.tenant}/assistant`);
  await page.getByLabel("Business task").waitFor();
  await shot("monitor-assistant");
  await page.goto(`${where.server}/set-up?tenant=${where.tenant}`);
  await page.getByRole("button", { name: "Channel" }).click();
  await page.getByRole("button", { name: "Test" }).first().click();
  await page.getByRole("list", { name: "What the test found" }).waitFor();
  await page.locator("button:disabled", { hasText: "Test" }).first().waitFor({ state: "detached" });
  await shot("monitor-set-up");

  const ask = async (path, body) => {
    const { status, data } = await page.evaluate(async ([path, body]) => {
      const me = await (await fetch("/v1/auth/me")).json();
      const headers = { "content-type": "application/json", "x-csrf-token": me.csrf_token };
      const answer = await fetch(`/v1${path}`, { method: "POST", headers, body: JSON.stringify(body) });
      return { status: answer.status, data: await answer.json() };
    }, [path, body]);
    if (status >= 300) throw new Error(`${path}: ${JSON.stringify(data)}`);
    return data;
  };
  const rights = `/tenants/${where.tenant}/rights`;
  const { items: people } = await api("/conversations?limit=50");
  const contact = (name) => people.find((each) => each.contact.profile_name === name).contact.id;
  const asked = {};
  for (const [name, right] of [["Sofia Rossi", "access"], ["Kenji Watanabe", "object"], ["Lucía Fernández", "rectify"]]) {
    asked[right] = await ask(rights, { contact: contact(name), right, how: "staff" });
  }
  await ask(`${rights}/${asked.rectify.id}/steps`, { step: "see_document", kind: "Passport" });
  await page.goto(`${where.server}/t/${where.tenant}/privacy/${asked.rectify.id}`);
  await page.getByRole("button", { name: "Correct it" }).waitFor();
  await shot("monitor-case");
  const HOUR_MS = 3_600_000;
  const now = Date.now();
  const { id: owner } = await page.evaluate(async () => (await fetch("/v1/auth/me")).json());
  const incident = await ask("/incidents", {
    title: "A laptop was stolen while it was signed in", known_at: now - 13 * HOUR_MS, from: now - 20 * HOUR_MS, until: now,
    suspects: [{ kind: "account", account: owner }], facts: { what_happened: "A bag with a laptop was taken on a train.", mitigation: "Its session was ended." },
  });
  await ask(`/incidents/${incident.id}/scope`);
  await ask(`/incidents/${incident.id}/told`, { party: "meta", proof: "Mail of 12:40, folder incidents/42." });
  await page.goto(`${where.server}/platform/incidents/${incident.id}`);
  await page.locator("summary").first().waitFor();
  await shot("monitor-incident");

  const small = await (await context(browser, { ...PHONE, deviceScaleFactor: 2, storageState })).newPage();
  await small.goto(`${where.server}/t/${where.tenant}/live`);
  await small.locator(".entry", { hasText: "Lucía" }).click();
  await small.locator(".line.bot").first().waitFor();
  await shot("monitor-small", small);

  const phone = await (await context(browser, { viewport: { width: 1100, height: 760 } })).newPage();
  await phone.goto(where.phone);
  await phone.locator("#contacts button", { hasText: "Sofia Rossi" }).click();
  await phone.locator(".bubble.theirs").first().waitFor();
  await shot("phone", phone);
  console.log(`The pictures are in ${FOLDER}`);
} finally {
  await browser.close();
  await where.stop();
}
