// The app's words, in the language of who reads. English is at hand; the others come when they are needed.

import { en } from "./en.ts";

export type Words = Readonly<Record<string, string>>;
export const LANGUAGES = { en: "English", es: "Español", pt: "Português" } as const;
export type Code = keyof typeof LANGUAGES;

const KEY = "language";
let words = $state.raw<Words>(en);
let code = $state<Code>("en");

const isCode = (text: string): text is Code => Object.hasOwn(LANGUAGES, text);

/** Somebody's own choice here, if they made one. */
function chosen(): Code | null {
  const kept = localStorage.getItem(KEY) ?? "";
  return isCode(kept) ? kept : null;
}

async function use(wanted: Code): Promise<void> {
  if (wanted === "es") words = (await import("./es.ts")).es;
  else if (wanted === "pt") words = (await import("./pt.ts")).pt;
  else words = en;
  code = wanted;
  document.documentElement.lang = wanted;
}

/** Takes the language that was chosen, or that the browser asks for. */
export function begin(): Promise<void> {
  const asked = navigator.languages.map((tag) => tag.slice(0, 2)).find(isCode);
  return use(chosen() ?? asked ?? "en").catch(() => {});
}

/** The language of the account counts where nobody chose another here. */
export function useLanguage(wanted: string): void {
  if (!chosen() && isCode(wanted) && wanted !== code && wanted !== "en") void use(wanted).catch(() => {});
}

export function choose(wanted: Code): void {
  localStorage.setItem(KEY, wanted);
  void use(wanted).catch(() => {});
}

export const language = {
  get code(): Code {
    return code;
  },
};

/** The words under this key, with what they are about; `{n}` stands for it there. */
export function t(key: string, about?: Record<string, string | number>): string {
  const said = words[key] ?? en[key as keyof typeof en] ?? key;
  if (!about) return said;
  return said.replace(/\{(\w+)\}/g, (whole, name: string) => (name in about ? String(about[name]) : whole));
}

/** The words for a code of the API's; the code itself where there are none. */
export function coded(under: string, code: string | null | undefined): string {
  if (!code) return "–";
  const said = t(`${under}.${code}`);
  return said === `${under}.${code}` ? code : said;
}

/** What writes numbers and times is costly to make: it is kept, by language and form. */
const writers = new Map<string, unknown>();

function writer<T>(form: string, make: (code: Code) => T): T {
  const key = `${code} ${form}`;
  let known = writers.get(key) as T | undefined;
  if (known === undefined) writers.set(key, (known = make(code)));
  return known;
}

/** The words for a number of things: under `….one` or `….many`. */
export function many(key: string, n: number): string {
  const rules = writer("plural", (code) => new Intl.PluralRules(code));
  return t(`${key}.${rules.select(n) === "one" ? "one" : "many"}`, { n: number(n) });
}

export function number(value: number, digits = 0): string {
  return writer(`number ${digits}`, (code) => new Intl.NumberFormat(code, { maximumFractionDigits: digits })).format(value);
}

/** A time of day; with the day where it is another one. */
export function moment(at: number | null | undefined): string {
  if (!at) return "–";
  const date = new Date(at);
  const today = date.toDateString() === new Date().toDateString();
  const day = today ? {} : ({ day: "numeric", month: "short" } as const);
  const form = (code: Code) => new Intl.DateTimeFormat(code, { hour: "2-digit", minute: "2-digit", hourCycle: "h23", ...day });
  return writer(today ? "time" : "time and day", form).format(date);
}

/** The whole of it, to the second. */
export function exact(at: number | null | undefined): string {
  return at ? writer("exact", (code) => new Intl.DateTimeFormat(code, {
    day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23",
  })).format(new Date(at)) : "–";
}

export function day(at: number): string {
  return writer("day", (code) => new Intl.DateTimeFormat(code, { weekday: "long", day: "numeric", month: "long" })).format(new Date(at));
}

/** How long ago, in a few letters. */
export function ago(at: number, now: number): string {
  const minutes = Math.floor((now - at) / 60_000);
  if (minutes < 1) return t("now");
  if (minutes < 60) return t("ago.minutes", { n: minutes });
  if (minutes < 24 * 60) return t("ago.hours", { n: Math.floor(minutes / 60) });
  if (minutes < 7 * 24 * 60) return t("ago.days", { n: Math.floor(minutes / 1440) });
  return writer("date", (code) => new Intl.DateTimeFormat(code, { day: "numeric", month: "short" })).format(new Date(at));
}

/** A time that something took. */
export function took(ms: number | null | undefined): string {
  if (ms === null || ms === undefined) return "–";
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${number(ms / 1_000, 1)} s`;
  return `${Math.floor(ms / 60_000)} min ${Math.round((ms % 60_000) / 1_000)} s`;
}

/** Money, given in millionths. */
export function money(millionths: number | null | undefined, currency = "USD"): string {
  if (millionths === null || millionths === undefined) return "–";
  const value = millionths / 1e6;
  const digits = value !== 0 && Math.abs(value) < 0.1 ? 5 : 2;
  const form = (code: Code) => new Intl.NumberFormat(code, { style: "currency", currency, maximumFractionDigits: digits });
  return writer(`${currency} ${digits}`, form).format(value);
}
