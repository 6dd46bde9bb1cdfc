import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { en } from "./en.ts";
import { es } from "./es.ts";
import { pt } from "./pt.ts";

const web = join(import.meta.dirname, "..");
const sources = readdirSync(web, { recursive: true, withFileTypes: true })
  .filter((file) => file.isFile() && /\.(svelte|ts)$/.test(file.name) && !/\.test\.ts$|schema\.d\.ts$/.test(file.name))
  .filter((file) => !file.parentPath.endsWith("i18n"))
  .map((file) => readFileSync(join(file.parentPath, file.name), "utf8"))
  .join("\n");
const keys = Object.keys(en);

describe("the words", () => {
  it("are there in every language, with the same places to fill", () => {
    const places = (text: string) => [...text.matchAll(/\{\w+\}/g)].map(String).sort();
    for (const words of [es, pt] as Record<string, string>[]) {
      expect(Object.keys(words)).toEqual(keys);
      for (const key of keys) expect(places(words[key] ?? ""), key).toEqual(places(en[key as keyof typeof en]));
    }
  });

  it("are there for every key that the pages name", () => {
    const named = [...sources.matchAll(/\bt\("([\w.-]+)"/g)].map((match) => match[1] ?? "");
    const counted = [...sources.matchAll(/\bmany\("([\w.-]+)"/g)].flatMap((match) => [`${match[1]}.one`, `${match[1]}.many`]);
    expect(named.length).toBeGreaterThan(300);
    expect([...named, ...counted].filter((key) => !keys.includes(key))).toEqual([]);
  });

  it("make no page of markup: what strangers write has no way into it", () => {
    expect(sources).not.toMatch(/\{@html|innerHTML|insertAdjacentHTML|document\.write|outerHTML/);
  });
});
