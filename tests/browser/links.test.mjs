// The pages behind the links of mails, in a real browser, against a server of its own: by keyboard, on a phone,
// in three languages.
//
// Nothing here sleeps: every step waits for what it needs to see, up to LIMIT_MS.

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { createHmac } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, readFileSync, readdirSync, rmSync, watch } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, afterEach, before, test } from "node:test";
import { fileURLToPath } from "node:url";

import { chromium } from "playwright-core";

const BINARY = process.env.IASSISTANCE_BINARY ??
  fileURLToPath(new URL("../../target/release/iassistance", import.meta.url));
const LIMIT_MS = 30_000;
const PHONE = { viewport: { width: 360, height: 640 }, hasTouch: true, isMobile: true };
const PASSWORD = "correct horse battery staple 7";

let folder, settings, env, server, where, browser;
const contexts = [];

function run(...command) {
  return JSON.parse(execFileSync(BINARY, ["--json", ...settings, ...command], { env, encoding: "utf8" }));
}

before(async () => {
  folder = mkdtempSync(join(tmpdir(), "links-"));
  const ours = ([name]) => !/^(IASSISTANCE|OPENAI_API_KEY$|PORT$)/.test(name);
  env = Object.fromEntries(Object.entries(process.env).filter(ours));
  const values = {
    "server.port": "0", "log.filter": "info", "mail.transport": "log",
    "storage.path": join(folder, "store"), "vault.keyring_file": join(folder, "keyring.json"),
    "vault.root_key_file": join(folder, "root.key"), "media.folder": join(folder, "media"),
    "mail.folder": join(folder, "mail"), "identity.address_burst": "1000",
  };
  settings = Object.entries(values).flatMap(([key, value]) => ["--set", `${key}=${value}`]);
  const owner = run("account", "create-owner", "owner@example.com", "--name", "Olga");
  server = spawn(BINARY, ["--json", ...settings, "serve"], { env, stdio: ["ignore", "pipe", "pipe"] });
  server.log = "";
  server.stderr.on("data", (data) => { server.log += data; });
  const exit = once(server, "exit").then(([code]) => { throw new Error(`it ended with ${code}: ${server.log}`); });
  exit.catch(() => {});
  const [line] = await Promise.race([once(createInterface({ input: server.stdout }), "line"), exit]);
  where = { address: JSON.parse(line).listening, token: owner.token };
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
      "--disable-background-networking", "--disable-component-update", "--disable-sync"],
  });
}, { timeout: 2 * LIMIT_MS });

afterEach(() => Promise.all(contexts.splice(0).map((context) => context.close())));

after(async () => {
  await browser?.close();
  if (server?.exitCode === null) {
    const ended = once(server, "exit");
    server.kill("SIGTERM");
    await ended;
  }
  rmSync(folder, { recursive: true, force: true });
});

/** A page, with everything it complains of and every address that it asks for. */
async function open(path, options = {}) {
  const context = await browser.newContext({ locale: "en-US", ...options });
  contexts.push(context);
  const page = await context.newPage();
  page.setDefaultTimeout(LIMIT_MS);
  Object.assign(page, { complaints: [], asked: [] });
  await page.exposeFunction("complain", (complaint) => { page.complaints.push(complaint); });
  await page.addInitScript(() => {
    document.addEventListener("securitypolicyviolation", ({ violatedDirective, blockedURI }) =>
      window.complain(`policy: ${violatedDirective} ${blockedURI}`));
  });
  page.on("pageerror", (error) => page.complaints.push(`error: ${error.message}`));
  page.on("request", (request) => page.asked.push(`${request.method()} ${request.url()} ${request.headers().referer ?? ""}`));
  await page.goto(`${where.address}${path}`);
  return page;
}

function kept(page) {
  assert.deepEqual(page.complaints, []);
  assert.ok(!page.url().includes("token"), "the address does not keep the token");
}

async function post(path, body, cookies = "", csrf = "") {
  const headers = { "content-type": "application/json", origin: where.address, cookie: cookies, "x-csrf-token": csrf };
  const response = await fetch(`${where.address}/v1${path}`, { method: "POST", headers, body: JSON.stringify(body ?? {}) });
  const text = await response.text();
  return { status: response.status, body: text ? JSON.parse(text) : null, cookies: response.headers.getSetCookie() };
}

const signIn = (email, password) => post("/auth/sign-in", { email, password });

/** The code of an authenticator at this moment (RFC 6238). */
function totp(secret) {
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
  const bits = [...secret].map((letter) => alphabet.indexOf(letter).toString(2).padStart(5, "0")).join("");
  const key = Buffer.from(bits.match(/.{8}/g).map((byte) => Number.parseInt(byte, 2)));
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30_000)));
  const hash = createHmac("sha1", key).update(counter).digest();
  const offset = hash[19] & 15;
  return String((hash.readUInt32BE(offset) & 0x7fffffff) % 1_000_000).padStart(6, "0");
}

/** The token of the mail to somebody, once it is there. */
async function mailed(email, page) {
  const mail = join(folder, "mail");
  const link = new RegExp(`${page}#token=([0-9a-f]+)`);
  const look = () => {
    let names = [];
    try { names = readdirSync(mail); } catch { return null; }
    const texts = names.filter((name) => name.endsWith(".eml")).sort().reverse()
      .map((name) => readFileSync(join(mail, name), "utf8").replaceAll("=\r\n", "").replaceAll("=3D", "="));
    return texts.find((text) => text.includes(email) && link.test(text))?.match(link)[1] ?? null;
  };
  const until = Date.now() + LIMIT_MS;
  for (;;) {
    const found = look();
    if (found) return found;
    assert.ok(Date.now() < until, `no mail to ${email}`);
    // The folder comes with its first mail.
    const place = readdirSync(folder).includes("mail") ? mail : folder;
    const watcher = watch(place);
    await Promise.race([once(watcher, "change"), new Promise((done) => { AbortSignal.timeout(1_000).onabort = done; })]);
    watcher.close();
  }
}

test("a password is chosen by keyboard alone, and a weak one is refused in words", async () => {
  const page = await open(`/reset-password#token=${where.token}`);
  await page.getByRole("heading", { name: "Choose a new password" }).waitFor();
  kept(page);
  const field = page.getByLabel("New password");
  // Past the languages to the field, without a mouse.
  while (!(await field.evaluate((each) => each === document.activeElement))) await page.keyboard.press("Tab");
  await page.keyboard.type("password");
  await page.keyboard.press("Enter");
  await page.locator("#status:not(:empty)").waitFor();
  assert.equal(await field.getAttribute("aria-invalid"), "true");
  assert.ok(await field.evaluate((each) => each === document.activeElement), "the field that is wrong has the focus");
  await field.fill("");
  await page.keyboard.type(PASSWORD);
  await page.keyboard.press("Enter");
  await page.getByText("Your password is set.").waitFor();
  await page.getByRole("link", { name: "Sign in" }).waitFor();
  kept(page);
  assert.ok(page.asked.every((line) => !line.includes(where.token)), "no request line and no referrer has the token");
  assert.equal((await signIn("owner@example.com", PASSWORD)).status, 200);
  // Once.
  const again = await open(`/reset-password#token=${where.token}`);
  await again.getByLabel("New password").fill(PASSWORD);
  await again.getByRole("button", { name: "Set the password" }).click();
  await again.getByText("used already or is too old").waitFor();
});

test("who is invited chooses a password on a phone, in Spanish, and can sign in", async () => {
  const owner = await signIn("owner@example.com", PASSWORD);
  const cookies = owner.cookies.map((cookie) => cookie.split(";")[0]).join("; ");
  const csrf = owner.body.csrf_token;
  const { body: added } = await post("/auth/totp", {}, cookies, csrf);
  const confirmed = await post("/auth/totp/confirm", { code: totp(added.secret) }, cookies, csrf);
  assert.equal(confirmed.status, 200);
  const guest = { email: "eva@example.com", name: "Eva", language: "es" };
  const invited = await post("/owners/invitations", guest, cookies, csrf);
  assert.equal(invited.status, 201, JSON.stringify(invited.body));
  const token = await mailed(guest.email, "/invitation");
  const page = await open(`/invitation#token=${token}`, { ...PHONE, locale: "es-AR" });
  await page.getByRole("heading", { name: "Recibiste una invitación" }).waitFor();
  assert.equal(await page.getAttribute("html", "lang"), "es");
  const { overflow, small } = await page.evaluate(() => ({
    overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    small: [...document.querySelectorAll("button, input")].filter((each) => each.checkVisibility())
      .filter((each) => (each.closest(".check") ?? each).getBoundingClientRect().height < 43).map((each) => each.id),
  }));
  assert.deepEqual({ overflow, small }, { overflow: 0, small: [] });
  // Who has no account cannot accept with it.
  await page.getByRole("button", { name: "Ya tengo una cuenta" }).tap();
  await page.getByText("Todavía no hay una cuenta").waitFor();
  await page.getByLabel("Contraseña nueva").fill(PASSWORD);
  await page.getByLabel("Mostrar la contraseña").tap();
  assert.equal(await page.getByLabel("Contraseña nueva").getAttribute("type"), "text");
  await page.getByRole("button", { name: "Português" }).tap();
  await page.getByRole("button", { name: "Aceitar o convite" }).tap();
  await page.getByText("O convite foi aceito.").waitFor();
  assert.equal(await page.getByRole("link", { name: "Entrar" }).getAttribute("href"), "/sign-in");
  kept(page);
  assert.ok(page.asked.every((line) => !line.includes(token)));
  assert.equal((await signIn(guest.email, PASSWORD)).status, 200);
  assert.ok(!server.log.includes(token), "no log has it");
});

test("without its token a link says so, and a new one can be asked for", async () => {
  for (const path of ["/invitation", "/confirm-email"]) {
    const page = await open(path);
    await page.getByText("Part of the link is missing.").waitFor();
    assert.equal(await page.locator("form:visible").count(), 0);
    kept(page);
  }
  const page = await open("/reset-password");
  await page.getByLabel("E-mail address").fill("eva@example.com");
  await page.getByRole("button", { name: "Send the link" }).click();
  await page.getByText("If there is an account with that address").waitFor();
  assert.equal(await page.getByRole("link").count(), 0, "whoever waits for a mail is not sent away");
  const token = await mailed("eva@example.com", "/reset-password");
  const reset = await open(`/reset-password#token=${token}`, { locale: "pt-BR", colorScheme: "dark" });
  await reset.getByLabel("Nova senha").fill(`${PASSWORD} more`);
  await reset.getByRole("button", { name: "Salvar a senha" }).click();
  await reset.getByText("A senha foi salva.").waitFor();
  assert.equal((await signIn("eva@example.com", `${PASSWORD} more`)).status, 200);
  const wrong = await open("/confirm-email#token=00");
  await wrong.getByRole("button", { name: "Confirm the address" }).click();
  await wrong.getByText("used already or is too old").waitFor();
  kept(wrong);
});
