import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { KINDS } from "../state/kinds.ts";

const read = (path: string) => readFileSync(join(import.meta.dirname, path), "utf8");
const { components } = JSON.parse(read("../../../src/http/openapi/docs/asyncapi.json"));
const names = (text: string) => [...text.matchAll(/type: "([\w.]+)"/g)].map((match) => match[1]);

describe("the feed", () => {
  it("is the one that the server describes", () => {
    const described = Object.keys(components.messages);
    expect([...new Set(names(read("frames.ts")))].sort()).toEqual(described.filter((each) => !["subscribe", "unsubscribe", "ping"].includes(each)).sort());
    expect([...new Set(names(read("line.ts")))].sort()).toEqual(["ping", "subscribe", "unsubscribe"]);
  });

  it("has the kinds of events that it is said to have", () => {
    expect(KINDS).toEqual(components.schemas.Event.properties.type.enum);
  });
});
