// A tenant's conversations as they are now: read once, then kept true by the feed.

import { ApiError, get } from "../api/client.ts";
import type { Channel, Conversation, Message, Page } from "../api/types.ts";
import { join } from "../feed/client.ts";
import type { LineState, LogEvent, Told, Whisper } from "../feed/frames.ts";
import { Sequence } from "../feed/sequence.ts";
import { type Entry, entryOf } from "./entry.ts";
import { Finding } from "./finding.svelte.ts";
import { Figures } from "./figures.ts";
import { type Draft, type Shown, conversationAfter, draftAfter, endsDraft, ordered, threadAfter, withMessage } from "./reduce.ts";
import { merged } from "./order.ts";
import { notify } from "./notify.svelte.ts";
import { signed } from "./signs.ts";

/** Conversations that are read at most; older ones are looked for, or found by their address. */
const KEPT_MAX = 10_000;
/** Events that the technical page keeps. */
const STREAM_MAX = 1_000;
/** Events of before that the curves are made of. */
const COUNTED_MAX = 4_000;
const POLL_MS = 5_000;
/** A long list is put in order again less often: by its length, and four times a second at least. */
const ENTRIES_PER_MS = 40;
const LIST_PAUSE_MAX_MS = 250;

export type Loading = "loading" | "ready" | "failed";

class Desk {
  tenant = $state("");
  loading = $state<Loading>("loading");
  problem = $state<unknown>(null);
  /** How the line to the server is. */
  line = $state<LineState>("connecting");
  retryAt = $state<number | null>(null);
  /** Reading what was missed. */
  catchingUp = $state(false);
  /** Who sees some conversations only has no feed: they are looked at again and again. */
  polling = $state(false);
  finding = new Finding();
  channels = $state.raw<Channel[]>([]);
  /** All of them, those with the latest words first. */
  entries = $state.raw<Entry[]>([]);
  /** The latest events, newest first. */
  stream = $state.raw<LogEvent[]>([]);
  figures = new Figures();
  /** The last number of the log that is shown. */
  latest = $state(0);
  /** Counts what was counted, for those who draw it. */
  counted = $state(0);
  /** The conversation that is open. */
  open = $state<string | null>(null);
  current = $state.raw<Entry | null>(null);
  thread = $state.raw<Shown[]>([]);
  threadLoading = $state<Loading>("loading");
  threadProblem = $state<unknown>(null);
  /** Where older messages go on. */
  older = $state<string | null>(null);
  drafts = $state.raw<ReadonlyMap<string, Draft>>(new Map());
  /** Which turns of the open conversation changed: for who shows them. */
  turnsChanged = $state(0);

  #byId = new Map<string, Entry>();
  #messages: ReadonlyMap<string, Shown> = new Map();
  #waiting: LogEvent[] | null = null;
  #sequence = new Sequence(0);
  #ask: ReturnType<typeof join> | null = null;
  #changed = new Set<string>();
  #dirty = false;
  #listAt = 0;
  #listWaits = false;
  #filling = false;
  #stale = new Set<string>();
  #run = 0;
  #poll = 0;
  /** Whether all that there are, are here. */
  #whole = false;

  channel(id: string): Channel | undefined {
    return this.channels.find((each) => each.id === id);
  }

  /** Begins to look at a tenant. */
  async begin(tenant: string): Promise<void> {
    if (this.tenant === tenant && this.loading !== "failed") return;
    this.leave();
    const run = ++this.#run;
    this.tenant = tenant;
    this.loading = "loading";
    this.problem = null;
    try {
      const [channels, latest] = await Promise.all([
        get<Page<Channel>>(`/tenants/${tenant}/channels?limit=200`),
        this.#latest(tenant),
      ]);
      const first = await get<Page<Conversation>>(`/tenants/${tenant}/conversations?limit=100`);
      if (run !== this.#run) return;
      this.channels = channels.items;
      this.#sequence = new Sequence(latest ?? 0);
      this.latest = latest ?? 0;
      this.#keep(first.items);
      this.loading = "ready";
      if (latest === null) this.#pollOn(run);
      else this.#watch(tenant, latest);
      void this.#rest(run, first.next ?? null);
      if (latest !== null) void this.#countBack(run, latest);
    } catch (error) {
      if (run !== this.#run) return;
      this.problem = error;
      this.loading = "failed";
    }
  }

  /** Stops looking. */
  leave(): void {
    this.#run += 1;
    clearTimeout(this.#poll);
    if (this.tenant) this.#ask?.ask({ kind: "unwatch", tenant: this.tenant });
    this.tenant = "";
    this.#byId.clear();
    this.#changed.clear();
    this.#messages = new Map();
    this.figures = new Figures();
    this.entries = [];
    this.stream = [];
    this.thread = [];
    this.drafts = new Map();
    this.open = null;
    this.current = null;
    this.polling = false;
    this.#whole = false;
    this.#stale.clear();
  }

  /** Tries the line at once. */
  wake(): void {
    this.#ask?.ask({ kind: "wake" });
  }

  /** Leaves the line: nobody is signed in. */
  drop(): void {
    this.leave();
    this.#ask?.leave();
    this.#ask = null;
  }

  /** Somebody signed in: a line of whoever was here before is not theirs. */
  renew(): void {
    this.#join().ask({ kind: "renew" });
  }

  async #latest(tenant: string): Promise<number | null> {
    try {
      const page = await get<{ latest: number }>(`/tenants/${tenant}/events?after=${Number.MAX_SAFE_INTEGER}&limit=1`);
      return page.latest;
    } catch (error) {
      if (error instanceof ApiError && error.code === "forbidden") return null;
      throw error;
    }
  }

  #join(): ReturnType<typeof join> {
    if (!this.#ask) {
      this.#ask = join((told) => this.#told(told));
      addEventListener("online", () => this.wake());
      addEventListener("offline", () => this.wake());
      document.addEventListener("visibilitychange", () => {
        if (!document.hidden) this.wake();
      });
    }
    return this.#ask;
  }

  #watch(tenant: string, after: number): void {
    this.#join().ask({ kind: "watch", tenant, after });
  }

  #told(told: Told): void {
    if (told.kind === "state") {
      this.line = told.state;
      this.retryAt = told.retryAt;
      return;
    }
    if (told.kind === "refused" || told.tenant !== this.tenant) return;
    switch (told.kind) {
      case "position":
        this.#sequence.reaches(told.seq);
        return void this.#fill();
      case "lagged":
        this.#sequence.reaches(told.to);
        return void this.#fill();
      case "events":
        this.#happened(this.#sequence.take(told.events));
        if (this.#sequence.gap) void this.#fill();
        return;
      case "whispers":
        return this.#whispered(told.whispers);
    }
  }

  /** Reads from the log what did not come. */
  async #fill(): Promise<void> {
    if (this.#filling || !this.#sequence.gap) return;
    this.#filling = true;
    this.catchingUp = true;
    const run = this.#run;
    try {
      while (run === this.#run && this.#sequence.gap) {
        const path = `/tenants/${this.tenant}/events?after=${this.#sequence.last}&limit=200`;
        const { items } = await get<{ items: LogEvent[] }>(path);
        if (run !== this.#run || items.length === 0) break;
        this.#happened(this.#sequence.take(items));
      }
    } catch {
      // The next event that comes shows the gap again.
    } finally {
      this.#filling = false;
      this.catchingUp = false;
    }
  }

  async #rest(run: number, next: string | null): Promise<void> {
    let cursor = next;
    try {
      while (cursor && run === this.#run && this.#byId.size < KEPT_MAX) {
        const path = `/tenants/${this.tenant}/conversations?limit=200&cursor=${encodeURIComponent(cursor)}`;
        const page: Page<Conversation> = await get(path);
        if (run !== this.#run) return;
        this.#keep(page.items.filter((each) => !this.#byId.has(each.id)));
        cursor = page.next ?? null;
      }
      if (run === this.#run) this.#whole = !cursor;
    } catch {
      // What is there is shown; the rest comes when it speaks, or is looked for.
    }
  }

  /** Looks on the server for those that are not here, by whom they are with. */
  async find(words: string): Promise<void> {
    const run = this.#run;
    const keep = (found: readonly Conversation[]) => {
      if (run === this.#run) this.#keep(found.filter((each) => !this.#byId.has(each.id)));
    };
    await this.finding.find(this.tenant, this.#whole ? "" : words, keep);
  }

  async #countBack(run: number, latest: number): Promise<void> {
    const from = Math.max(0, latest - COUNTED_MAX);
    const events: LogEvent[] = [];
    try {
      for (let after = from; after < latest; ) {
        const page = await get<{ items: LogEvent[] }>(`/tenants/${this.tenant}/events?after=${after}&limit=200`);
        const last = page.items.at(-1);
        if (run !== this.#run || !last) break;
        events.push(...page.items.filter((event) => event.seq <= latest));
        after = last.seq;
      }
    } catch {
      // The curves begin later then.
    }
    if (run !== this.#run) return;
    this.figures.count(events, this.#channelOf);
    this.stream = [...this.stream, ...events.slice(-STREAM_MAX).reverse()].slice(0, STREAM_MAX);
    this.counted += 1;
  }

  #channelOf = (conversation: string): string | undefined => this.#byId.get(conversation)?.conversation.channel;

  /** Who has no feed looks again and again. */
  #pollOn(run: number): void {
    this.polling = true;
    this.#poll = window.setTimeout(async () => {
      try {
        const page = await get<Page<Conversation>>(`/tenants/${this.tenant}/conversations?limit=100`);
        if (run !== this.#run) return;
        this.#keep(page.items);
        this.line = "live";
        if (this.open) await this.#readThread(this.open);
      } catch {
        this.line = "offline";
      }
      if (run === this.#run) this.#pollOn(run);
    }, POLL_MS);
  }

  #put(entry: Entry): void {
    this.#byId.set(entry.conversation.id, entry);
    this.#changed.add(entry.conversation.id);
  }

  #keep(conversations: readonly Conversation[]): void {
    for (const conversation of conversations) {
      this.#put(entryOf(conversation, this.#byId.get(conversation.id)?.unread));
    }
    this.#draw();
  }

  /** Shows what changed: the open conversation with the next frame, the list as often as its length allows. */
  #draw(): void {
    if (this.#dirty) return;
    this.#dirty = true;
    const draw = () => {
      if (!this.#dirty) return;
      this.#dirty = false;
      this.thread = signed(ordered(this.#messages));
      this.current = this.open ? (this.#byId.get(this.open) ?? null) : null;
      this.#drawList();
    };
    // A page that is not seen has no frames.
    if (document.hidden) setTimeout(draw, 50);
    else requestAnimationFrame(draw);
  }

  #drawList(): void {
    if (this.#listWaits) return;
    const pause = Math.min(LIST_PAUSE_MAX_MS, this.#byId.size / ENTRIES_PER_MS);
    const wait = this.#listAt + pause - performance.now();
    const draw = () => {
      this.#listWaits = false;
      this.#listAt = performance.now();
      // What did not change is in order already: only what did is put in its place.
      const changed = [...this.#changed].flatMap((id) => this.#byId.get(id) ?? []);
      this.entries = merged(this.entries, changed, this.#changed);
      this.#changed = new Set();
    };
    if (wait <= 0) return draw();
    this.#listWaits = true;
    setTimeout(draw, wait);
  }

  #happened(events: readonly LogEvent[]): void {
    if (events.length === 0) return;
    let drafts = this.drafts;
    for (const event of events) {
      const id = event.conversation;
      if (!id) {
        if (event.type.startsWith("channel.")) void this.#readChannels();
        continue;
      }
      const entry = this.#byId.get(id);
      if (entry) this.#advance(entry, event);
      else this.#readLater(id);
      if (endsDraft(event, drafts.get(id))) {
        drafts = new Map(drafts);
        (drafts as Map<string, Draft>).delete(id);
      }
      if (id === this.open) {
        if (this.#waiting) this.#waiting.push(event);
        else this.#messages = threadAfter(this.#messages, event);
        if (event.type.startsWith("turn.")) this.turnsChanged += 1;
      }
    }
    this.drafts = drafts;
    this.latest = this.#sequence.last;
    this.stream = [...[...events].reverse(), ...this.stream].slice(0, STREAM_MAX);
    this.figures.count(events, this.#channelOf);
    this.counted += 1;
    this.#draw();
  }

  #advance(entry: Entry, event: LogEvent): void {
    const id = entry.conversation.id;
    const { conversation, stale } = conversationAfter(entry.conversation, event);
    if (stale) this.#readLater(id);
    const looked = id === this.open && !document.hidden;
    const unread = event.type === "message.received" && !looked ? entry.unread + 1 : looked ? 0 : entry.unread;
    if (conversation === entry.conversation && unread === entry.unread) return;
    const next = entryOf(conversation, unread);
    this.#put(next);
    notify(next, event);
  }

  #whispered(whispers: readonly Whisper[]): void {
    const drafts = new Map(this.drafts);
    for (const whisper of whispers) {
      drafts.set(whisper.conversation, draftAfter(drafts.get(whisper.conversation), whisper));
    }
    this.drafts = drafts;
  }

  /** Reads conversations that changed in ways that the feed does not say, a few at once. */
  #readLater(id: string): void {
    const first = this.#stale.size === 0;
    this.#stale.add(id);
    if (!first) return;
    const run = this.#run;
    setTimeout(async () => {
      const ids = [...this.#stale];
      this.#stale.clear();
      for (const each of ids) {
        try {
          const conversation = await get<Conversation>(`/tenants/${this.tenant}/conversations/${each}`);
          if (run !== this.#run) return;
          this.#keep([conversation]);
          if (each !== this.open && !this.#byId.has(each)) continue;
        } catch {
          // It is read again with its next event.
        }
      }
    }, 120);
  }

  async #readChannels(): Promise<void> {
    const tenant = this.tenant;
    try {
      const page = await get<Page<Channel>>(`/tenants/${tenant}/channels?limit=200`);
      if (tenant === this.tenant) this.channels = page.items;
    } catch {
      // The next change reads them again.
    }
  }

  readChannels(): Promise<void> {
    return this.#readChannels();
  }

  /** Opens a conversation, or none. */
  async openThread(id: string | null): Promise<void> {
    if (this.open === id) return;
    this.open = id;
    this.current = id ? (this.#byId.get(id) ?? null) : null;
    this.#messages = new Map();
    this.thread = [];
    this.older = null;
    this.threadProblem = null;
    if (!id) return;
    this.look();
    await this.#readThread(id);
  }

  /** What came to the open conversation was seen. */
  look(): void {
    const entry = this.open && this.#byId.get(this.open);
    if (!entry || entry.unread === 0) return;
    this.#put({ ...entry, unread: 0 });
    this.#draw();
  }

  async #readThread(id: string): Promise<void> {
    const first = this.#messages.size === 0;
    if (first) this.threadLoading = "loading";
    this.#waiting = [];
    try {
      const path = `/tenants/${this.tenant}/conversations/${id}`;
      const known = this.#byId.has(id) ? null : get<Conversation>(path);
      const page = await get<Page<Message>>(`${path}/messages?limit=60`);
      if (known) this.#keep([await known]);
      if (this.open !== id) return;
      let messages = this.#messages;
      for (const message of page.items) messages = withMessage(messages, message);
      for (const event of this.#waiting ?? []) messages = threadAfter(messages, event);
      this.#messages = messages;
      if (first) this.older = page.next ?? null;
      this.threadLoading = "ready";
      // Shown at once, so that who opens it sees its end without a flicker.
      this.thread = signed(ordered(messages));
      this.current = this.#byId.get(id) ?? null;
    } catch (error) {
      if (this.open !== id || !first) return;
      this.threadProblem = error;
      this.threadLoading = "failed";
    } finally {
      if (this.open === id) this.#waiting = null;
    }
  }

  async readOlder(): Promise<void> {
    const [id, cursor] = [this.open, this.older];
    if (!id || !cursor) return;
    this.older = null;
    try {
      const path = `/tenants/${this.tenant}/conversations/${id}/messages?limit=60&cursor=${encodeURIComponent(cursor)}`;
      const page = await get<Page<Message>>(path);
      if (this.open !== id) return;
      let messages = this.#messages;
      for (const message of page.items) if (!messages.has(message.id)) messages = withMessage(messages, message);
      this.#messages = messages;
      this.older = page.next ?? null;
      this.thread = signed(ordered(messages));
    } catch {
      if (this.open === id) this.older = cursor;
    }
  }

  /** What an act answered: it need not wait for the feed. */
  acted(control: Conversation["control"], epoch: number): void {
    const entry = this.open ? this.#byId.get(this.open) : null;
    if (!entry || epoch < entry.conversation.epoch) return;
    this.#put(entryOf({ ...entry.conversation, control, epoch }, entry.unread));
    this.#draw();
  }
}

export const desk = new Desk();
