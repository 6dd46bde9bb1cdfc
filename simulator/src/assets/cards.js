// What a message shows beside its words. Everything goes through textContent; files come from this address alone.
"use strict";

const REACTIONS = ["👍", "❤", "😂", "😮", "😢", "🙏"];
const KIND_WORDS = {
  location: "📍 Place", contacts: "👤 Card", order: "🛒 Order", comment: "💬 In public", story: "◔ Story",
  call: "📞 Call", unsupported: "Not passed on by the product", template: "Template", system: "System",
};

function make(tag, className, text) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
}

/** A button; what it is for is in its label. */
function press(className, text, label, work) {
  const button = make("button", className, text);
  button.type = "button";
  if (label) button.setAttribute("aria-label", label);
  button.addEventListener("click", work);
  return button;
}

/** A file that is here is shown; one that lies elsewhere is named and not fetched. */
function file(media) {
  if (!media.id) return make("span", "file", `${media.kind}: ${media.link ?? "?"}`);
  const source = `/sim/media/${encodeURIComponent(media.id)}`;
  if (media.kind === "image" || media.kind === "sticker") {
    const image = make("img", media.kind);
    image.src = source;
    image.alt = media.name ?? media.kind;
    image.loading = "lazy";
    return image;
  }
  if (media.kind === "video" || media.kind === "audio" || media.kind === "voice") {
    const player = make(media.kind === "video" ? "video" : "audio", media.kind);
    player.src = source;
    player.controls = true;
    player.preload = "none";
    player.setAttribute("aria-label", media.name ?? media.kind);
    return player;
  }
  const link = make("a", "file", `📄 ${media.name ?? "document"}`);
  link.href = source;
  link.download = media.name ?? "document";
  return link;
}

function choice(each, choose) {
  if (each.kind === "link") {
    const words = make("span", "choice link", `${each.title} ↗`);
    words.title = each.id;
    return words;
  }
  const button = press("choice", each.title, "", () => choose(each));
  if (each.description) button.append(make("small", "", each.description));
  return button;
}

function choices(list, shown, choose) {
  const box = make("div", "choices");
  box.append(...list.map((each) => choice(each, choose)));
  if (!shown.opens_list) return box;
  const details = make("details", "list");
  details.append(make("summary", "", shown.opens_list), box);
  return details;
}

/** The elements below a message's words. */
function cards(message, choose) {
  const { shown } = message;
  const parts = [];
  if (shown.header) parts.push(make("strong", "header", shown.header));
  parts.push(...(shown.media ?? []).map(file));
  if (shown.footer) parts.push(make("span", "footer", shown.footer));
  for (const each of shown.cards ?? []) {
    const card = make("div", "card");
    card.append(make("strong", "", each.title));
    if (each.subtitle) card.append(make("span", "footer", each.subtitle));
    card.append(choices(each.choices, {}, choose));
    parts.push(card);
  }
  if (shown.choices?.length) parts.push(choices(shown.choices, shown, choose));
  return parts;
}

/** What can be done with a message, shown when it is asked for. */
function actions(message, mine, doing) {
  const box = make("span", "actions");
  if (mine) {
    if (message.shown.kind === "text") box.append(press("", "Edit", "Edit this message", () => doing.edit(message)));
    box.append(press("", "Take back", "Take this message back", () => doing.act({ kind: "take_back", of: message.wamid })));
  } else {
    for (const emoji of REACTIONS) {
      box.append(press("", emoji, `React with ${emoji}`, () => doing.act({ kind: "react", to: message.wamid, emoji })));
    }
    if (message.contact_reaction) {
      box.append(press("", "No reaction", "Take the reaction back", () => doing.act({ kind: "react", to: message.wamid })));
    }
    box.append(press("", "Owner takes back", "The owner takes this message back",
      () => doing.act({ kind: "owner_take_back", of: message.wamid })));
  }
  box.append(press("", "Quote", "Quote this message", () => doing.quote(message)));
  return box;
}
