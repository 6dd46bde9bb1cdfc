// The API's words, as the OpenAPI document has them.

import type { components } from "../../schema.d.ts";

export type Schemas = components["schemas"];
export type Me = Schemas["Me"];
export type Tenant = Schemas["Tenant"];
export type Conversation = Schemas["Conversation"];
export type Contact = Schemas["Contact"];
export type Message = Schemas["Message"];
export type Content = Schemas["Content"];
export type Control = Schemas["Control"];
export type Author = Schemas["Author"];
export type Delivery = Schemas["Delivery"];
export type Turn = Schemas["Turn"];
export type Channel = Schemas["Channel"];
export type Check = Schemas["Check"];
export type DeadLetter = Schemas["DeadLetter"];
export type Settings = Schemas["Settings"];
export type Problem = Schemas["Problem"];
export type Media = Schemas["Media"];
export type MessageTemplate = Schemas["MessageTemplate"];

/** A part of a list, and where the next begins. */
export interface Page<T> {
  items: T[];
  next?: string | null;
}
