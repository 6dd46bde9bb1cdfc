//! What contacts and owners do on WhatsApp, as its webhooks tell it.
//!
//! Meta: Cloud API, messages webhook, by type; `smb_message_echoes` for what owners do on their phone.

use serde_json::{Map, Value, json};

use crate::act::{Act, GivenFile, OrderLine};
use crate::envelope::{self, seconds};
use crate::graph_error::GraphError;
use crate::scene::{NOT_HERE, Scene};
use crate::settings::SimulatorError;
use crate::shown::{Choice, ChoiceKind, MediaKind, Shown, ShownKind};
use crate::statuses::{self, Followed};
use crate::webhook;
use crate::world::{Author, Tick, TranscriptItem};

const EDIT_MS: u64 = 15 * 60_000;
const REVOKE_MS: u64 = 2 * 24 * 3_600_000;
const CATALOG: &str = "400000000000001";

type Made = Result<Option<String>, SimulatorError>;

pub(crate) fn play(scene: &Scene<'_>, act: Act) -> Made {
    match act {
        Act::Text { text } => Ok(Some(told(scene, "text", &json!({"body": text}), &text, Shown::default()))),
        Act::File(given) => file(scene, given),
        Act::Location { latitude, longitude, name, address } => {
            let place =
                json!({"latitude": latitude, "longitude": longitude, "name": name, "address": address});
            Ok(Some(location(scene, place, name.as_deref().unwrap_or_default())))
        }
        Act::Card { name, phone } => {
            let digits = crate::contacts::phone_digits(&phone);
            let card = json!([{"name": {"formatted_name": name, "first_name": name},
                               "phones": [{"phone": phone, "wa_id": digits, "type": "CELL"}]}]);
            Ok(Some(told(
                scene,
                "contacts",
                &card,
                &format!("{name} {phone}"),
                Shown::of(ShownKind::Contacts),
            )))
        }
        Act::React { to, emoji } => react(scene, &to, emoji),
        Act::Edit { of, text } => edit(scene, &of, &text),
        Act::TakeBack { of } => take_back(scene, &of),
        Act::Choose { of, choice, answers } => choose(scene, &of, &choice, answers.unwrap_or_default()),
        // The quick-reply button of a template that somebody else sent.
        Act::Postback { title, payload } => {
            let body = json!({"payload": payload, "text": title});
            Ok(Some(told(scene, "button", &body, &title, Shown::of(ShownKind::Chosen))))
        }
        Act::Order { items, text } => order(scene, &items, &text),
        Act::Unsupported => {
            let error = json!({"code": 131_051, "title": "Message type unknown", "message": "Message type unknown",
                               "error_data": {"details": "Message type is currently not supported."}});
            let item = scene.message(Author::Contact, "", Shown::of(ShownKind::Unsupported));
            let more = json!({"type": "unsupported", "errors": [error]});
            Ok(Some(emit(scene, item, more)))
        }
        Act::Marketing { wanted } => Ok(marketing(scene, wanted)),
        Act::Block { blocked } => {
            if let Some(pair) = scene.core.world().pair_mut(&scene.contact.wa_id, &scene.account) {
                pair.blocked = blocked;
            }
            Ok(None)
        }
        Act::NewNumber { number } => new_number(scene, &number),
        Act::Call => Ok(Some(call(scene))),
        Act::Read => Ok(read(scene)),
        Act::Status { of, status: word, code } => status(scene, &of, &word, code),
        Act::OwnerText { text } => {
            let item = scene.message(Author::Owner, &text, Shown::default());
            Ok(Some(echo(scene, item, &json!({"type": "text", "text": {"body": text}}))))
        }
        Act::OwnerFile(given) => owner_file(scene, given),
        Act::OwnerTakeBack { of } => {
            let target = scene.item(&of, |item| item.author != Author::Contact && !item.removed)?;
            if target.author == Author::Contact {
                return Err(SimulatorError::Act("the owner takes back what the business wrote"));
            }
            scene.remove(&target.wamid);
            let item = scene.message(Author::Owner, "", Shown::default());
            let revoke = json!({"type": "revoke", "revoke": {"original_message_id": target.wamid}});
            tell_echo(scene, &item, &revoke);
            Ok(Some(target.wamid))
        }
        _ => Err(NOT_HERE),
    }
}

/// A message of one type from the contact.
fn told(scene: &Scene<'_>, kind: &str, body: &Value, text: &str, shown: Shown) -> String {
    let item = scene.message(Author::Contact, text, shown);
    emit(scene, item, json!({"type": kind, kind: body}))
}

fn merge(into: &mut Value, more: Value) {
    if let (Some(into), Value::Object(more)) = (into.as_object_mut(), more) {
        into.extend(more);
    }
}

/// Keeps a message and tells of it; its wamid.
fn emit(scene: &Scene<'_>, item: TranscriptItem, more: Value) -> String {
    let mut message = envelope::from_contact(&scene.contact, &item.wamid, item.at);
    merge(&mut message, more);
    let mut context = Map::new();
    if let Some(quoting) = &item.quoting {
        context.insert("from".to_owned(), json!(scene.account.digits()));
        context.insert("id".to_owned(), json!(quoting));
    }
    if scene.forwarded {
        context.insert("forwarded".to_owned(), json!(true));
    }
    if !context.is_empty() {
        message["context"] = Value::Object(context);
    }
    if scene.came_from_ad {
        message["referral"] = json!({
            "source_url": "https://fb.me/example", "source_id": "500000000000001", "source_type": "ad",
            "headline": "A simulated ad", "body": "Write to us", "media_type": "image",
            "image_url": "https://example.com/ad.jpg", "ctwa_clid": scene.core.new_trace(),
            "welcome_message": {"text": "How can we help?"}});
    }
    scene.keep(&item);
    let value = json!({"contacts": [envelope::profile(&scene.contact)], "messages": [message]});
    tell(scene, "messages", &value, Some(item.wamid.clone()));
    item.wamid
}

/// A change of a field, about this number.
fn tell(scene: &Scene<'_>, field: &str, told: &Value, inbound: Option<String>) {
    let value = envelope::number_value(&scene.account, told);
    let whole = envelope::change(&scene.account, field, &value);
    webhook::emit(scene.core, &scene.account, &whole, inbound);
}

/// A message that changes another and is none of its own in the chat.
fn tell_about(scene: &Scene<'_>, more: Value) {
    let wamid = scene.message(Author::Contact, "", Shown::default()).wamid;
    let mut message = envelope::from_contact(&scene.contact, &wamid, scene.now);
    merge(&mut message, more);
    let value = json!({"contacts": [envelope::profile(&scene.contact)], "messages": [message]});
    tell(scene, "messages", &value, None);
}

/// The object of a file's type.
fn file_body(scene: &Scene<'_>, id: &str, stored: &crate::scene::StoredFile) -> Value {
    let mut body = scene.core.inbound_media(id, &stored.file);
    // What is said with a voice note is said in it.
    if !stored.caption.is_empty() && stored.file.kind != MediaKind::Voice {
        body["caption"] = json!(stored.caption);
    }
    match stored.file.kind {
        MediaKind::Document => body["filename"] = json!(stored.file.name),
        MediaKind::Voice => body["voice"] = json!(true),
        MediaKind::Audio => body["voice"] = json!(false),
        MediaKind::Sticker => body["animated"] = json!(false),
        MediaKind::Image | MediaKind::Video => {}
    }
    body
}

fn file(scene: &Scene<'_>, given: GivenFile) -> Made {
    let stored = scene.store(given)?;
    let body = file_body(scene, &stored.id, &stored);
    Ok(Some(told(scene, stored.file.kind.whatsapp(), &body, &stored.caption, stored.shown.clone())))
}

fn owner_file(scene: &Scene<'_>, given: GivenFile) -> Made {
    let stored = scene.store(given)?;
    let kind = stored.file.kind.whatsapp();
    let body = file_body(scene, &stored.id, &stored);
    let item = scene.message(Author::Owner, &stored.caption, stored.shown.clone());
    Ok(Some(echo(scene, item, &json!({"type": kind, kind: body}))))
}

fn location(scene: &Scene<'_>, mut place: Value, text: &str) -> String {
    if let Some(place) = place.as_object_mut() {
        place.retain(|_, value| !value.is_null());
    }
    let footer = Some(format!("{}, {}", place["latitude"], place["longitude"]));
    told(scene, "location", &place, text, Shown { footer, ..Shown::of(ShownKind::Location) })
}

fn react(scene: &Scene<'_>, to: &str, emoji: Option<String>) -> Made {
    let target =
        scene.item(to, |item| item.author != Author::Contact && item.shown.kind != ShownKind::Reaction)?;
    let emoji = emoji.filter(|emoji| !emoji.is_empty());
    // A reaction that is taken back has an empty emoji.
    let body = json!({"message_id": target.wamid, "emoji": emoji.as_deref().unwrap_or_default()});
    scene.change(&target.wamid, |item| item.contact_reaction = emoji);
    scene.open_window();
    tell_about(scene, json!({"type": "reaction", "reaction": body}));
    Ok(Some(target.wamid))
}

fn edit(scene: &Scene<'_>, of: &str, text: &str) -> Made {
    let own = scene.own(of)?;
    if scene.now.millis_since(own.at) > EDIT_MS {
        return Err(SimulatorError::Act("a message can be changed for 15 minutes"));
    }
    let mut message = json!({"type": "text", "text": {"body": text}});
    if let Some(quoting) = &own.quoting {
        message["context"] = json!({ "id": quoting });
    }
    scene.change(&own.wamid, |item| {
        text.clone_into(&mut item.text);
        item.edits += 1;
    });
    let edit = json!({"original_message_id": own.wamid, "message": message});
    tell_about(scene, json!({"type": "edit", "edit": edit}));
    Ok(Some(own.wamid))
}

fn take_back(scene: &Scene<'_>, of: &str) -> Made {
    let own = scene.own(of)?;
    if scene.now.millis_since(own.at) > REVOKE_MS {
        return Err(SimulatorError::Act("a message can be taken back for 2 days"));
    }
    scene.remove(&own.wamid);
    tell_about(scene, json!({"type": "revoke", "revoke": {"original_message_id": own.wamid}}));
    Ok(Some(own.wamid))
}

fn choose(scene: &Scene<'_>, of: &str, wanted: &str, answers: Map<String, Value>) -> Made {
    let (item, choice) = scene.offered(of, wanted)?;
    let answering = Scene {
        core: scene.core,
        account: scene.account.clone(),
        contact: scene.contact.clone(),
        quoting: Some(item.wamid),
        ..*scene
    };
    let shown = Shown::of(ShownKind::Chosen);
    let Choice { kind, id, title, description } = choice;
    match kind {
        ChoiceKind::Button => {
            let body = json!({"type": "button_reply", "button_reply": {"id": id, "title": title}});
            Ok(Some(told(&answering, "interactive", &body, &title, shown)))
        }
        ChoiceKind::Row => {
            let mut reply = json!({"id": id, "title": title});
            if let Some(description) = description {
                reply["description"] = json!(description);
            }
            Ok(Some(told(
                &answering,
                "interactive",
                &json!({"type": "list_reply", "list_reply": reply}),
                &title,
                shown,
            )))
        }
        ChoiceKind::TemplateButton => {
            Ok(Some(told(&answering, "button", &json!({"payload": id, "text": title}), &title, shown)))
        }
        ChoiceKind::Flow => {
            let mut answers = answers;
            answers.insert("flow_token".to_owned(), json!(id));
            // The answers are text inside the JSON.
            let reply =
                json!({"name": "flow", "body": "Sent", "response_json": Value::Object(answers).to_string()});
            Ok(Some(told(
                &answering,
                "interactive",
                &json!({"type": "nfm_reply", "nfm_reply": reply}),
                "Sent",
                shown,
            )))
        }
        ChoiceKind::Location => {
            Ok(Some(location(&answering, json!({"latitude": 52.2297, "longitude": 21.0122}), "")))
        }
        ChoiceKind::Link => Err(SimulatorError::Act("a link opens elsewhere and tells nobody")),
        ChoiceKind::QuickReply | ChoiceKind::Postback => Err(NOT_HERE),
    }
}

fn order(scene: &Scene<'_>, items: &[OrderLine], text: &str) -> Made {
    if items.is_empty() {
        return Err(SimulatorError::Act("an order has at least one line"));
    }
    let body = json!({"catalog_id": CATALOG, "text": text, "product_items": items});
    let lines: Vec<String> =
        items.iter().map(|line| format!("{} × {}", line.quantity, line.product_retailer_id)).collect();
    let shown = Shown { footer: Some(lines.join(", ")), ..Shown::of(ShownKind::Order) };
    Ok(Some(told(scene, "order", &body, text, shown)))
}

fn marketing(scene: &Scene<'_>, wanted: bool) -> Option<String> {
    if let Some(pair) = scene.core.world().pair_mut(&scene.contact.wa_id, &scene.account) {
        pair.no_marketing = !wanted;
    }
    let (value, detail) = if wanted {
        ("resume", "User requested to resume marketing messages")
    } else {
        ("stop", "User requested to stop marketing messages")
    };
    let mut preference = json!({"user_id": scene.contact.user_id, "detail": detail,
                                "category": "marketing_messages", "value": value,
                                "timestamp": scene.now.as_millis().div_euclid(1_000)});
    if !scene.contact.hides_number {
        preference["wa_id"] = json!(scene.contact.wa_id);
    }
    let told = json!({"contacts": [envelope::profile(&scene.contact)], "user_preferences": [preference]});
    tell(scene, "user_preferences", &told, None);
    None
}

fn new_number(scene: &Scene<'_>, number: &str) -> Made {
    let old = &scene.contact;
    let new = scene.core.renumber(&old.wa_id, number)?;
    let wamid = scene.core.new_wamid(old, crate::world::Direction::FromContact);
    let body = format!("User {} changed from {} to {}", old.name, old.wa_id, new.wa_id);
    let message = json!({"from": old.wa_id, "id": wamid, "timestamp": seconds(scene.now), "type": "system",
                         "system": {"body": body, "wa_id": new.wa_id, "type": "user_changed_number"}});
    tell(scene, "messages", &json!({"messages": [message]}), None);
    Ok(Some(wamid))
}

fn call(scene: &Scene<'_>) -> String {
    let item = scene.message(Author::Contact, "", Shown::of(ShownKind::Call));
    scene.keep(&item);
    let id = format!("wacid.{}", item.wamid.trim_start_matches("wamid."));
    let mut call = json!({"id": id, "to": scene.account.digits(), "event": "connect",
                          "timestamp": seconds(scene.now), "direction": "USER_INITIATED",
                          "session": {"sdp_type": "offer", "sdp": "v=0\r\n"}});
    if scene.contact.hides_number {
        call["from_user_id"] = json!(scene.contact.user_id);
    } else {
        call["from"] = json!(scene.contact.wa_id);
    }
    tell(scene, "calls", &json!({"contacts": [envelope::profile(&scene.contact)], "calls": [call]}), None);
    item.wamid
}

fn followed(scene: &Scene<'_>, item: TranscriptItem) -> Followed {
    Followed { account: scene.account.clone(), contact: scene.contact.clone(), item, category: "service" }
}

/// Everything that arrived and was not read yet is.
fn read(scene: &Scene<'_>) -> Option<String> {
    let unread = |item: &TranscriptItem| {
        item.author == Author::App && item.phone_number_id == scene.account.id() && item.tick < Tick::Read
    };
    let mut items = scene.core.world().transcript(&scene.contact.wa_id);
    items.retain(unread);
    for item in items {
        scene.change(&item.wamid, |item| item.tick = Tick::Read);
        statuses::emit_status(scene.core, &followed(scene, item), "read", None);
    }
    None
}

fn status(scene: &Scene<'_>, of: &str, word: &str, code: Option<u32>) -> Made {
    let sent = |item: &TranscriptItem| item.author == Author::App && item.shown.kind != ShownKind::Reaction;
    let item = scene.item(of, sent)?;
    let tick = match word {
        "sent" => Tick::Sent,
        "delivered" => Tick::Delivered,
        "failed" => Tick::Failed,
        _ => Tick::Read,
    };
    let error = (word == "failed").then(|| GraphError::in_status(code.unwrap_or(131_000), "[simulated]"));
    scene.change(&item.wamid, |item| {
        item.tick = item.tick.max(tick);
        item.error_code = item.error_code.or(code);
    });
    let wamid = item.wamid.clone();
    statuses::emit_status(scene.core, &followed(scene, item), word, error);
    Ok(Some(wamid))
}

/// The owner wrote on their phone: kept, and told as an echo.
fn echo(scene: &Scene<'_>, item: TranscriptItem, more: &Value) -> String {
    scene.keep(&item);
    tell_echo(scene, &item, more);
    item.wamid
}

fn tell_echo(scene: &Scene<'_>, item: &TranscriptItem, more: &Value) {
    let mut echo = json!({"from": scene.account.digits(), "to_user_id": scene.contact.user_id,
                          "id": item.wamid, "timestamp": seconds(item.at)});
    if !scene.contact.hides_number {
        echo["to"] = json!(scene.contact.wa_id);
    }
    merge(&mut echo, more.clone());
    tell(scene, "smb_message_echoes", &json!({"message_echoes": [echo]}), None);
}
