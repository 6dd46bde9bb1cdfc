// What the live socket says, as `/asyncapi.json` describes it.

/** A fact of a tenant's log. What belongs to its type stands beside these. */
export interface LogEvent {
  seq: number;
  at: number;
  type: string;
  conversation?: string;
  contact?: string;
  [more: string]: unknown;
}

/** More of what a turn writes, from the character `at` on. */
export interface TokenWhisper {
  type: "turn.token";
  tenant: string;
  conversation: string;
  turn: string;
  at: number;
  text: string;
}

/** A turn calls a tool, or has its answer. */
export interface ToolWhisper {
  type: "turn.tool";
  tenant: string;
  conversation: string;
  turn: string;
  name: string;
  outcome: string | null;
}

export type Whisper = TokenWhisper | ToolWhisper;

export type ServerFrame =
  | { type: "event"; seq: number; tenant: string; event: LogEvent }
  | { type: "subscribed"; tenant: string; conversation: string | null; after_seq: number }
  | { type: "unsubscribed"; tenant: string; conversation: string | null }
  | { type: "lagged"; tenant: string; from: number; to: number }
  | { type: "pong" }
  | { type: "error"; code: string; detail: string }
  | { type: "bye"; reason: string; retry_ms?: number }
  | Whisper;

/** How the line to the server is. */
export type LineState = "connecting" | "live" | "offline";

/** What the line tells those who use it. */
export type Told =
  | { kind: "state"; state: LineState; retryAt: number | null }
  | { kind: "position"; tenant: string; seq: number }
  | { kind: "events"; tenant: string; events: LogEvent[] }
  | { kind: "lagged"; tenant: string; to: number }
  | { kind: "whispers"; tenant: string; whispers: Whisper[] }
  | { kind: "refused"; detail: string };

/** What those who use the line ask of it. */
export type Asked =
  | { kind: "watch"; tenant: string; after: number }
  | { kind: "unwatch"; tenant: string }
  | { kind: "wake" }
  /** Somebody else signed in: what was opened for who was here before is closed. */
  | { kind: "renew" }
  | { kind: "leave" };
