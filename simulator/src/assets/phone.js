// The simulated phone. Everything shown goes through textContent; everything asked stays on this address.
"use strict";

const TYPING_MS = 25_000;
const TICKS = { accepted: "🕓", sent: "✓", delivered: "✓✓", read: "✓✓", failed: "!" };
const TICK_WORDS = { accepted: "accepted", sent: "sent", delivered: "delivered", read: "read", failed: "not delivered" };
const ORDER = ["accepted", "sent", "delivered", "read", "failed"];

const $ = (id) => document.getElementById(id);
const people = new Map(); // wa_id → {contact, messages: Map(wamid → message), unread, typing, loaded}
let numbers = [];
let open = null;

function make(tag, className, text) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
}

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
    people.set(contact.wa_id, { contact, messages: new Map(), unread: 0, typing: 0, loaded: false });
  }
  return people.get(contact.wa_id);
}

const initial = (name) => (Array.from(name)[0] ?? "?").toUpperCase();
const clock = (at) => new Date(at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
const day = (at) => new Date(at).toLocaleDateString([], { weekday: "long", day: "numeric", month: "long" });
const numberName = (id) => numbers.find((number) => number.phone_number_id === id)?.verified_name ?? id;

function drawPeople() {
  const list = $("contacts");
  const rows = [...people.values()].map((each) => {
    const last = [...each.messages.values()].at(-1);
    const row = make("li");
    const button = make("button");
    button.type = "button";
    button.setAttribute("aria-current", String(each.contact.wa_id === open));
    button.append(make("span", "face", initial(each.contact.name)));
    const words = make("span", "words");
    words.append(make("span", "name", each.contact.name));
    words.append(make("span", "last", each.typing ? "typing…" : (last?.text ?? `+${each.contact.wa_id}`)));
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
  const item = make("li", `bubble ${mine ? "mine" : "theirs"}`);
  const quoted = message.quoting && messages.get(message.quoting);
  if (quoted) item.append(make("span", "quote", quoted.text));
  item.append(make("span", "", message.text));
  const parts = [clock(message.at)];
  if (!mine && numbers.length > 1) parts.unshift(numberName(message.phone_number_id));
  if (message.tick === "failed") parts.push(`not delivered${message.error_code ? ` (${message.error_code})` : ""}`);
  const meta = make("span", "meta", parts.join(" · "));
  if (mine || message.tick === "failed") {
    const tick = make("span", `tick ${message.tick}`, TICKS[message.tick]);
    tick.setAttribute("role", "img");
    tick.setAttribute("aria-label", TICK_WORDS[message.tick]);
    meta.append(tick);
  }
  item.append(meta);
  return item;
}

function drawChat() {
  const each = people.get(open);
  $("phone").classList.toggle("chatting", Boolean(each));
  if (!each) return;
  $("who").textContent = each.contact.name;
  $("face").textContent = initial(each.contact.name);
  $("about").textContent = each.contact.hides_number ? "number hidden, known by user id" : `+${each.contact.wa_id}`;
  const list = $("messages");
  const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 80;
  const rows = [];
  let lastDay = "";
  for (const message of each.messages.values()) {
    if (day(message.at) !== lastDay) {
      lastDay = day(message.at);
      rows.push(make("li", "day", lastDay));
    }
    rows.push(bubble(message, each.messages));
  }
  if (each.typing) {
    const typing = make("li", "bubble theirs typing");
    typing.setAttribute("aria-label", "typing");
    typing.append(make("i"), make("i"), make("i"));
    rows.push(typing);
  }
  list.replaceChildren(...rows);
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

function choose(wa_id) {
  open = wa_id;
  const each = people.get(wa_id);
  if (each) each.unread = 0;
  complain(null);
  draw();
  if (each && !each.loaded) load(wa_id).catch(complain);
  requestAnimationFrame(() => {
    $("messages").scrollTop = $("messages").scrollHeight;
    if (each && matchMedia("(min-width: 760px)").matches) $("text").focus();
  });
}

function happened(event) {
  if (event.kind === "resync") return void start().catch(complain);
  if (event.kind === "contact") {
    person(event.contact);
    return draw();
  }
  const each = people.get(event.contact);
  if (!each) return;
  if (event.kind === "message") {
    merge(each, event.message);
    if (event.message.direction === "to_contact") {
      stopTyping(each);
      if (event.contact !== open) each.unread += 1;
    }
  } else if (event.kind === "tick") {
    const message = each.messages.get(event.wamid);
    if (message && ORDER.indexOf(event.tick) > ORDER.indexOf(message.tick)) message.tick = event.tick;
  } else if (event.kind === "typing") {
    stopTyping(each);
    each.typing = setTimeout(() => { each.typing = 0; draw(); }, TYPING_MS);
  }
  draw();
}

async function start() {
  const [known, lines] = await Promise.all([ask("/sim/contacts"), ask("/sim/numbers")]);
  numbers = lines;
  const chosen = $("number").value;
  $("number").replaceChildren(...numbers.map((number) => {
    const option = make("option", "", `${number.verified_name} (${number.display_phone_number})`);
    option.value = number.phone_number_id;
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
  ask("/sim/say", { contact: open, text, number: $("number").value }).then(() => {
    $("text").value = "";
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

$("back").addEventListener("click", () => choose(null));

const feed = new EventSource("/sim/events");
feed.addEventListener("open", () => {
  $("offline").hidden = true;
  start().catch(complain);
});
feed.addEventListener("error", () => { $("offline").hidden = false; });
feed.addEventListener("message", (event) => happened(JSON.parse(event.data)));
