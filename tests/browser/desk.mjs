// What the tests of the monitor share: a sandbox with its owner signed in, people who write to it, and what to look at.

import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { mkdtemp, readFile, readdir, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { LIMIT_MS, PHONE, context, launch, sandbox } from "./harness.mjs";

const AXE = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** A sandbox and a browser, with a session of the owner. */
export class Desk {
  #ends = [];

  /** Starts it, with settings of its own. */
  async open(own = []) {
    this.folder = await mkdtemp(join(tmpdir(), "monitor-"));
    await this.#start(own);
    this.browser = await launch();
    const made = await context(this.browser);
    const page = await made.newPage();
    await page.goto(this.where.monitor);
    await page.getByRole("link", { name: "Live" }).waitFor();
    this.signedIn = await made.storageState();
    await made.close();
  }

  async #start(own) {
    // Everybody here comes from one address, and signs in more often than people do.
    this.where = await sandbox(["identity.address_burst=100", ...own], "--data", this.folder);
  }

  /** Stops the sandbox and starts it on the same data, with settings of its own. Who was signed in still is. */
  async again(own = []) {
    await this.where.stop();
    await this.#start(own);
  }

  /** Has something ended after the test. */
  finally(end) {
    this.#ends.push(end);
  }

  async tidy() {
    for (const end of this.#ends.splice(0).reverse()) await end();
  }

  async close() {
    await this.browser?.close();
    await this.where?.stop();
    if (this.folder) await rm(this.folder, { recursive: true, force: true });
  }

  /** A context in which nobody is signed in. */
  async stranger(options = {}) {
    const made = await context(this.browser, options);
    this.finally(() => made.close());
    return made;
  }

  /** A context whose pages are signed in as the sandbox's owner. */
  owner(options = {}) {
    return this.stranger({ storageState: this.signedIn, ...options });
  }

  /**
   * Walks through pages as the sandbox's owner: light, dark and on a phone. `walk` gets the page, and what checks by a name
   * that what is shown there is accessible and fits.
   */
  async inEveryLook(walk) {
    for (const [look, options] of Object.entries({ light: {}, dark: { colorScheme: "dark" }, phone: PHONE })) {
      const page = await (await this.owner({ ...options, bypassCSP: true })).newPage();
      await walk(page, async (what) => {
        await accessible(page, `${what}, ${look}`);
        await noSidewaysScroll(page, `${what}, ${look}`);
      });
    }
  }

  async live(made, path = "", base = this.where.server) {
    const page = await made.newPage();
    await page.goto(`${base}/t/${this.where.tenant}/live${path}`);
    await page.getByRole("region", { name: "Conversations" }).waitFor();
    return page;
  }

  /** Asks the simulated Meta, or tells it something. */
  async sim(path, body) {
    const options = body ? { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) } : {};
    const response = await fetch(new URL(path, this.where.phone), options);
    assert.equal(response.status, 200, `${path}: ${await response.clone().text()}`);
    return response.json();
  }

  /** Somebody writes to the demo shop. */
  say(contact, text) {
    return this.sim("/sim/say", { contact, text });
  }

  /** Asks as the person whose page it is. */
  ask(page, method, path, body) {
    return page.evaluate(async ([method, path, body]) => {
      const me = await (await fetch("/v1/auth/me")).json();
      const headers = { "content-type": "application/json", "x-csrf-token": me.csrf_token };
      const answer = await fetch(`/v1${path}`, { method, headers, body: body && JSON.stringify(body) });
      return { status: answer.status, data: await answer.json().catch(() => null) };
    }, [method, path, body]);
  }

  /** Makes something as the person whose page it is; gives what was made. */
  async make(page, path, body) {
    const { status, data } = await this.ask(page, "POST", path, body);
    assert.ok(status < 300, `${path}: ${JSON.stringify(data)}`);
    return data;
  }

  async api(path, options = {}) {
    const headers = { authorization: `Bearer ${this.where.key}`, ...options.headers };
    const response = await fetch(`${this.where.server}/v1/tenants/${this.where.tenant}${path}`, { ...options, headers });
    assert.ok(response.ok, `${path}: ${response.status}`);
    return response.json();
  }

  /** Somebody who was invited takes it up: a password, signing in, a second factor. */
  async welcome(page, email, password) {
    const link = await this.mailedLink(email);
    await page.goto(this.where.server + link.pathname + link.hash);
    await page.getByLabel("New password").fill(password);
    await page.getByRole("button", { name: "Accept the invitation" }).click();
    await page.getByText("The invitation is accepted").waitFor();
    await page.getByRole("link", { name: "Sign in" }).click();
    await page.getByLabel("E-mail").fill(email);
    await page.getByLabel("Password").fill(password);
    await page.getByRole("button", { name: "Sign in", exact: true }).click();
    await page.getByText("Who administers has a second factor").waitFor();
    await page.getByRole("button", { name: "Add" }).first().click();
    const secret = await page.locator(".secret").textContent();
    await page.getByLabel("Authenticator code").fill(totp(secret));
    await page.getByRole("button", { name: "Confirm" }).click();
    await page.locator(".codes li").first().waitFor();
  }

  /** The link of the latest mail to somebody. */
  async mailedLink(to) {
    const mails = join(this.folder, "mail");
    const until = Date.now() + LIMIT_MS;
    for (;;) {
      for (const name of (await readdir(mails).catch(() => [])).sort().reverse()) {
        const text = (await readFile(join(mails, name), "utf8")).replace(/=\r?\n/g, "").replace(/=3D/g, "=");
        const link = text.match(/https?:\/\/[^\s"<>]+#token=[0-9a-f]{64}/);
        if (new RegExp(`^To:.*${to}`, "m").test(text) && link) return new URL(link[0]);
      }
      assert.ok(Date.now() < until, `a mail to ${to}`);
      await new Promise((resolve) => setImmediate(resolve));
    }
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

export const entry = (page, name) => page.locator(".entry").filter({ has: page.locator(".name", { hasText: name }) });

export async function open(page, name) {
  await entry(page, name).click();
  await page.locator(".thread h2", { hasText: name }).waitFor();
}

/** Looks again with each frame of the page until it is so; gives what it is. */
export async function until(page, holds) {
  const end = Date.now() + LIMIT_MS;
  for (;;) {
    const held = await holds();
    if (held) return held;
    assert.ok(Date.now() < end, String(holds));
    await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
  }
}

/** Complaints, but for answers that say that there is none: those a browser notes by itself. */
export const complaints = (page) => page.complaints.filter((each) => !/the server responded with a status of (401|404)/.test(each));

export async function noSidewaysScroll(page, what) {
  const over = await page.evaluate(() => [document.documentElement, ...document.querySelectorAll(".box, .page")]
    .map((each) => each.scrollWidth - each.clientWidth));
  assert.ok(over.every((each) => each <= 0), `${what}: ${over}`);
}

/** The pages of a tenant, beside the live one. */
export const PAGES = ["figures", "channels", "dead-letters", "stream", "assistant", "playground", "knowledge", "golden", "team", "keys", "webhooks", "audit", "privacy", "orders", "break-glass"];

/** Goes to a page and waits until it has what it shows. */
export async function visit(page, address) {
  await page.goto(address);
  await page.locator("main h1").waitFor();
  await page.locator("[aria-busy]").first().waitFor({ state: "detached" });
}

/** Refuses what axe-core calls serious. The page's policy must be passed by (`bypassCSP`). */
export async function accessible(page, what) {
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => window.axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"] }));
  const serious = violations.filter((each) => ["serious", "critical"].includes(each.impact));
  assert.deepEqual(serious.map((each) => `${each.id}: ${each.nodes.slice(0, 3).map((node) => node.html.slice(0, 160)).join(" | ")}`), [], what);
}
