// The simulated phone. Everything shown goes through textContent; everything asked stays on this address.
"use strict";

const TYPING_MS = 25_000;
const TICKS = { accepted: "🕓", sent: "✓", delivered: "✓✓", read: "✓✓", failed: "!" };
const TICK_WORDS = { accepted: "accepted", sent: "sent", delivered: "delivered", read: "read", failed: "not delivered" };
const ORDER = ["accepted", "sent", "delivered", "read", "failed"];

const $ = (id) => document.getElementById(id);
const people = new Map(); // wa_id → {contact, messages: Map(wamid → message), unread, typing, loaded, drawn}
let accounts = [];
let open = null;
let busyWith = null; // the wamid whose actions are shown
let mode = null; // {edit: message} or {quote: message}

async function ask(path, body) {
  const options = body === undefined ? {} : { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
  const response = await fetch(path, options);
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error ?? `the simulator answered ${response.status}`);
  return answer;
}

function complain(error) {
  $("problem").hidden = !error;
  $("problem").textContent = error ? error.message : "";
}

function person(contact) {
  if (!people.has(contact.wa_id)) {
    people.set(contact.wa_id, { contact, messages: new Map(), unread: 0, typing: 0, loaded: false, drawn: new Map() });
  }
  return people.get(contact.wa_id);
}

const initial = (name) => (Array.from(name)[0] ?? "?").toUpperCase();
const clock = (at) => new Date(at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
const day = (at) => new Date(at).toLocaleDateString([], { weekday: "long", day: "numeric", month: "long" });
const PRODUCTS = { whatsapp: "WhatsApp", messenger: "Messenger", instagram: "Instagram" };
const account = () => accounts.find((each) => each.id === $("number").value) ?? accounts[0];
const accountName = (each) => accounts.length > 1
  ? `${PRODUCTS[each.product]}: ${each.name}${each.display_phone_number ? ` (${each.display_phone_number})` : ""}`
  : `${each.name} (${each.display_phone_number ?? PRODUCTS[each.product]})`;
const here = (message) => message.phone_number_id === account()?.id;
const said = (message) => message.removed ? "taken back" : message.text || KIND_WORDS[message.shown.kind]
  || message.shown.media?.map((media) => media.kind).join(", ") || message.shown.kind;

function drawPeople() {
  const list = $("contacts");
  const rows = [...people.values()].map((each) => {
    const last = [...each.messages.values()].filter((message) => message.shown.kind !== "reaction").at(-1);
    const row = make("li");
    const button = make("button");
    button.type = "button";
    button.setAttribute("aria-current", String(each.contact.wa_id === open));
    button.append(make("span", "face", initial(each.contact.name)));
    const words = make("span", "words");
    words.append(make("span", "name", each.contact.name));
    words.append(make("span", "last", each.typing ? "typing…" : (last ? said(last) : `+${each.contact.wa_id}`)));
    button.append(words);
    if (each.unread) button.append(make("span", "unread", String(each.unread)));
    button.addEventListener("click", () => choose(each.contact.wa_id));
    row.append(button);
    return { row, at: last?.at ?? 0 };
  });
  rows.sort((a, b) => b.at - a.at);
  list.replaceChildren(...rows.map(({ row }) => row));
  $("nobody").hidden = people.size > 0;
}

function bubble(message, messages) {
  const mine = message.direction === "from_contact";
  const owner = message.author === "owner";
  const item = make("li", `bubble ${mine ? "mine" : "theirs"}${owner ? " owner" : ""}${message.removed ? " removed" : ""}`);
  const quoted = message.quoting && messages.get(message.quoting);
  if (quoted) item.append(make("span", "quote", said(quoted)));
  // Cards say their titles themselves.
  const text = message.shown.kind === "cards" ? "" : message.text;
  const words = message.removed ? "This message was taken back" : text;
  item.append(make("span", "", words || (message.shown.media?.length ? "" : KIND_WORDS[message.shown.kind] ?? "")));
  item.append(...cards(message, (each) => act({ kind: "choose", of: message.wamid, choice: each.id || each.title })));
  const reactions = [message.contact_reaction, message.business_reaction].filter(Boolean).join(" ");
  if (reactions) {
    const badge = make("span", "reactions", reactions);
    badge.setAttribute("aria-label", `reactions: ${reactions}`);
    item.append(badge);
  }
  const parts = [clock(message.at)];
  if (message.text && KIND_WORDS[message.shown.kind]) parts.unshift(KIND_WORDS[message.shown.kind]);
  if (owner) parts.unshift("owner");
  if (message.edits) parts.push("edited");
  if (message.tick === "failed") parts.push(`not delivered${message.error_code ? ` (${message.error_code})` : ""}`);
  const meta = make("span", "meta", parts.join(" · "));
  if (mine || message.tick === "failed") {
    const tick = make("span", `tick ${message.tick}`, TICKS[message.tick]);
    tick.setAttribute("role", "img");
    tick.setAttribute("aria-label", TICK_WORDS[message.tick]);
    meta.append(tick);
  }
  if (!message.removed) {
    const shown = busyWith === message.wamid;
    const more = press("dots", "⋯", "What to do with this message", () => {
      busyWith = shown ? null : message.wamid;
      drawChat();
    });
    more.setAttribute("aria-expanded", String(shown));
    meta.append(more);
    item.append(meta);
    if (shown) item.append(actions(message, mine, { act, edit: (of) => setMode({ edit: of }), quote: (of) => setMode({ quote: of }) }));
  } else {
    item.append(meta);
  }
  return item;
}

/** The same element as long as nothing of a message changed: what plays goes on, what is open stays open. */
function bubbleOf(each, message) {
  const quoted = message.quoting && each.messages.get(message.quoting);
  const key = JSON.stringify([message, busyWith === message.wamid, quoted && said(quoted)]);
  const known = each.drawn.get(message.wamid);
  if (known?.key === key) return known.element;
  const element = bubble(message, each.messages);
  each.drawn.set(message.wamid, { key, element });
  return element;
}

function dayOf(each, words) {
  const known = each.drawn.get(words) ?? { element: make("li", "day", words) };
  each.drawn.set(words, known);
  return known.element;
}

/** Puts these elements into a list, and moves none that is in its place already. */
function fill(list, rows) {
  const wanted = new Set(rows);
  [...list.children].filter((row) => !wanted.has(row)).forEach((row) => row.remove());
  rows.forEach((row, place) => {
    if (list.children[place] !== row) list.insertBefore(row, list.children[place] ?? null);
  });
}

function drawChat() {
  const each = people.get(open);
  $("phone").classList.toggle("chatting", Boolean(each));
  if (!each) return;
  $("who").textContent = each.contact.name;
  $("face").textContent = initial(each.contact.name);
  $("about").textContent = each.contact.hides_number ? "number hidden, known by user id" : `+${each.contact.wa_id}`;
  for (const tool of document.querySelectorAll("[data-only]")) {
    tool.hidden = !tool.dataset.only.split(" ").includes(account()?.product);
  }
  const list = $("messages");
  const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 80;
  const rows = [];
  let lastDay = "";
  for (const message of each.messages.values()) {
    if (!here(message) || message.shown.kind === "reaction") continue;
    if (day(message.at) !== lastDay) {
      lastDay = day(message.at);
      rows.push(dayOf(each, lastDay));
    }
    rows.push(bubbleOf(each, message));
  }
  if (each.typing) {
    const typing = make("li", "bubble theirs typing");
    typing.setAttribute("aria-label", "typing");
    typing.append(make("i"), make("i"), make("i"));
    rows.push(typing);
  }
  fill(list, rows);
  if (atEnd) list.scrollTop = list.scrollHeight;
}

let drawing = false;
function draw() {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => {
    drawing = false;
    drawPeople();
    drawChat();
  });
}

function stopTyping(each) {
  clearTimeout(each.typing);
  each.typing = 0;
}

function merge(each, message) {
  const known = each.messages.get(message.wamid);
  if (known && ORDER.indexOf(known.tick) > ORDER.indexOf(message.tick)) message.tick = known.tick;
  each.messages.set(message.wamid, message);
}

async function load(wa_id) {
  const each = people.get(wa_id);
  if (!each) return;
  const items = await ask(`/sim/transcript?contact=${encodeURIComponent(wa_id)}`);
  const newer = [...each.messages.values()];
  each.messages = new Map(items.map((message) => [message.wamid, message]));
  newer.forEach((message) => merge(each, message));
  each.loaded = true;
  draw();
}

/** Something is done by the open contact, with the chosen account. */
function act(what, more = {}) {
  busyWith = null;
  if (!open) return Promise.resolve();
  return ask("/sim/act", { contact: open, account: account()?.id, act: what, ...more }).then(() => {
    complain(null);
    draw();
  }).catch(complain);
}

function setMode(wanted) {
  mode = wanted;
  busyWith = null;
  $("mode").hidden = !wanted;
  if (wanted) {
    const about = wanted.edit ?? wanted.quote;
    $("mode-words").textContent = `${wanted.edit ? "Changing" : "Answering"}: ${said(about)}`;
    if (wanted.edit) $("text").value = wanted.edit.text;
    $("text").focus();
  }
  draw();
}

function choose(wa_id) {
  open = wa_id;
  setMode(null);
  const each = people.get(wa_id);
  if (each) {
    each.unread = 0;
    // The account of their last words, unless they wrote with the chosen one too.
    const messages = [...each.messages.values()];
    if (messages.length && !messages.some(here)) $("number").value = messages.at(-1).phone_number_id;
  }
  complain(null);
  draw();
  if (each && !each.loaded) load(wa_id).catch(complain);
  requestAnimationFrame(() => {
    $("messages").scrollTop = $("messages").scrollHeight;
    if (each && matchMedia("(min-width: 760px)").matches) $("text").focus();
  });
}

function happened(event) {
  if (event.kind === "resync") {
    people.clear();
    return void start().catch(complain);
  }
  if (event.kind === "account") return void start().catch(complain);
  if (event.kind === "contact") {
    person(event.contact);
    return draw();
  }
  const each = people.get(event.contact);
  if (!each) return;
  if (event.kind === "message") {
    const before = each.messages.has(event.message.wamid);
    merge(each, event.message);
    if (event.message.direction === "to_contact") {
      stopTyping(each);
      if (event.contact !== open && !before) each.unread += 1;
    }
  } else if (event.kind === "tick") {
    const message = each.messages.get(event.wamid);
    if (message && ORDER.indexOf(event.tick) > ORDER.indexOf(message.tick)) message.tick = event.tick;
  } else if (event.kind === "typing") {
    stopTyping(each);
    if (event.on) each.typing = setTimeout(() => { each.typing = 0; draw(); }, TYPING_MS);
  }
  draw();
}

ask("/sim/monitor").then(({ url }) => {
  if (!url) return;
  $("monitor").href = url;
  $("monitor").hidden = false;
}).catch(complain);

async function start() {
  const [known, lines] = await Promise.all([ask("/sim/contacts"), ask("/sim/accounts")]);
  accounts = lines;
  const chosen = $("number").value;
  $("number").replaceChildren(...accounts.map((each) => {
    const option = make("option", "", accountName(each));
    option.value = each.id;
    return option;
  }));
  if (chosen) $("number").value = chosen;
  known.forEach(person);
  people.forEach((each) => { each.loaded = false; });
  draw();
  // Recent chats show their last words; the rest load when they are opened.
  const first = known.slice(-30).map((contact) => contact.wa_id);
  await Promise.all([...new Set([...first, ...(open ? [open] : [])])].map(load));
}

$("add").addEventListener("submit", (event) => {
  event.preventDefault();
  const name = $("name").value.trim();
  if (!name) return;
  ask("/sim/contacts", { name }).then((contact) => {
    person(contact).loaded = true;
    $("name").value = "";
    choose(contact.wa_id);
  }).catch((error) => alert(error.message));
});

$("compose").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = $("text").value;
  if (!text.trim() || !open) return;
  const owner = $("owner").checked;
  let what = { kind: owner ? "owner_text" : "text", text };
  const more = {};
  if (mode?.edit) what = { kind: "edit", of: mode.edit.wamid, text };
  if (mode?.quote) more.quoting = mode.quote.wamid;
  if ($("ad").checked && !owner) more.came_from_ad = true;
  ask("/sim/act", { contact: open, account: account()?.id, act: what, ...more }).then(() => {
    $("text").value = "";
    $("ad").checked = false;
    setMode(null);
    complain(null);
    $("messages").scrollTop = $("messages").scrollHeight;
  }).catch(complain);
});

$("text").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    $("compose").requestSubmit();
  }
});

$("number").addEventListener("change", () => setMode(null));
$("mode-end").addEventListener("click", () => setMode(null));
$("more").addEventListener("click", () => {
  $("tools").hidden = !$("tools").hidden;
  $("more").setAttribute("aria-expanded", String(!$("tools").hidden));
});

const words = (otherwise) => $("text").value.trim() || otherwise;
const fileAct = () => $("owner").checked ? "owner_file" : "file";
const sample = (media) => () => ({ kind: fileAct(), media, caption: $("text").value.trim() });
const TOOLS = {
  image: sample("image"), voice: sample("voice"), document: sample("document"), sticker: () => ({ kind: fileAct(), media: "sticker" }),
  location: () => ({ kind: "location", latitude: 52.2297, longitude: 21.0122, name: words("The shop") }),
  card: () => ({ kind: "card", name: words("Ada Example"), phone: "+1 555-010-0100" }),
  order: () => ({ kind: "order", text: $("text").value.trim(),
    items: [{ product_retailer_id: "sku1", quantity: 1, item_price: 10, currency: "USD" }] }),
  comment: () => ({ kind: "comment", text: words("How much is it?") }),
  story: () => ({ kind: "story_reply", text: words("Nice!") }),
  mention: () => ({ kind: "story_mention" }),
  link: () => ({ kind: "referral", reference: words("spring") }),
  start: () => ({ kind: "postback", title: "Get started", payload: "GET_STARTED" }),
  call: () => ({ kind: "call" }), read: () => ({ kind: "read" }),
  stop: () => ({ kind: "marketing", wanted: false }),
  block: () => ({ kind: "block", blocked: true }), unblock: () => ({ kind: "block", blocked: false }),
  take: () => ({ kind: "thread", control: "take" }), pass: () => ({ kind: "thread", control: "pass" }),
};

/** Does what a tool says; the words that were written go with it. */
function useTool(what) {
  const more = $("ad").checked && !$("owner").checked ? { came_from_ad: true } : {};
  act(what, more).then(() => {
    if (!$("problem").hidden) return;
    $("text").value = "";
    $("ad").checked = false;
  });
}

for (const button of document.querySelectorAll("[data-tool]")) {
  const { tool } = button.dataset;
  button.addEventListener("click", () => tool === "file" ? $("file").click() : useTool(TOOLS[tool]()));
}

$("file").addEventListener("change", () => {
  const [chosen] = $("file").files;
  if (!chosen) return;
  const kinds = { image: "image", video: "video", audio: "audio" };
  const media = kinds[chosen.type.split("/")[0]] ?? "document";
  const reader = new FileReader();
  reader.addEventListener("error", () => complain(new Error("the file cannot be read")));
  reader.addEventListener("load", () => {
    const bytes = reader.result.slice(reader.result.indexOf(",") + 1);
    const mime = chosen.type || "application/octet-stream";
    useTool({ kind: fileAct(), media, mime, name: chosen.name, bytes, caption: $("text").value.trim() });
    $("file").value = "";
  });
  reader.readAsDataURL(chosen);
});

$("back").addEventListener("click", () => choose(null));

const feed = new EventSource("/sim/events");
feed.addEventListener("open", () => {
  $("offline").hidden = true;
  start().catch(complain);
});
feed.addEventListener("error", () => { $("offline").hidden = false; });
feed.addEventListener("message", (event) => happened(JSON.parse(event.data)));
