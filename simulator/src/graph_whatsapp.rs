//! Sends of WhatsApp's Cloud API.

use std::sync::Arc;

use hyper::StatusCode;
use iassistance_domain::Timestamp;
use serde_json::{Value, json};

use crate::accounts::Account;
use crate::contacts::Contact;
use crate::core::{Core, FeedEvent};
use crate::graph::{refuse, send};
use crate::graph_error::GraphError;
use crate::graph_request::{GraphRequest, Outbound, Recipient, SendMessage, parse};
use crate::moments::Happened;
use crate::server::{Reply, json_reply};
use crate::settings::OutsideWindow;
use crate::shown::{Shown, ShownKind, ShownMedia};
use crate::statuses::{self, Failure, Followed};
use crate::templates::{self, TemplateCall};
use crate::world::{Author, Direction, Tick, TranscriptItem, World};

/// How long after a contact's last message anything but a template may be sent (Meta: "customer service window").
const WINDOW_MS: u64 = 24 * 3_600_000;
/// How old a message may be that is reacted to (Meta: Cloud API, reaction messages).
const REACTION_MS: u64 = 30 * 24 * 3_600_000;
const WINDOW: Failure = Failure {
    code: 131_047,
    details: "Message failed to send because more than 24 hours have passed since the customer last replied to this number.",
};
const BLOCKED: Failure = Failure { code: 131_026, details: "Message Undeliverable." };
const NO_MARKETING: Failure =
    Failure { code: 131_050, details: "User has stopped marketing messages from this business." };

/// `POST /{version}/{phone_number_id}/messages`.
pub(crate) fn messages(core: &Arc<Core>, account: &Arc<Account>, body: &[u8]) -> Reply {
    match parse(body) {
        Ok(GraphRequest::Read { message_id, typing }) => {
            match mark_read(core, account, &message_id, typing) {
                Ok(value) => json_reply(StatusCode::OK, &value),
                Err(error) => refuse(core, &error),
            }
        }
        Ok(GraphRequest::Send(message)) => {
            send(core, account, |failure| accept(core, account, *message, failure))
        }
        Err(error) => refuse(core, &error),
    }
}

fn mark_read(core: &Core, account: &Account, message_id: &str, typing: bool) -> Result<Value, GraphError> {
    let mut world = core.world();
    let (contact, turned) = world.mark_read(account.id(), message_id).ok_or_else(|| {
        GraphError::bad_value("Param message_id is not a message that this number received.")
    })?;
    for wamid in turned {
        core.publish(FeedEvent::Tick { contact: contact.clone(), wamid, tick: Tick::Read });
    }
    if typing {
        world.counters.typing_indicators += 1;
        core.publish(FeedEvent::Typing { contact, on: true });
    }
    Ok(json!({"success": true}))
}

/// What a send comes to once everything that it names was looked up.
struct Resolved {
    text: String,
    shown: Shown,
    /// A template's category; nothing for any other message.
    template: Option<String>,
    /// The message that it reacts to.
    reacts_to: Option<String>,
}

/// Accepts a send and lets its statuses follow.
fn accept(
    core: &Arc<Core>,
    account: &Arc<Account>,
    send: SendMessage,
    failure: Option<Failure>,
) -> Result<Value, GraphError> {
    if core.webhooks.is_full() {
        return Err(GraphError::coded(131_016, "[simulated] too many webhooks wait for the callback"));
    }
    let now = core.clock.now();
    let resolved = resolve(core, account, send.content, now)?;
    let mut world = core.world();
    let contact = recipient(core, &mut world, account, &send.recipient)?;
    take_rates(core, &mut world, account, &contact, now)?;
    let failure = failure.or_else(|| fate(core, &world, account, &contact, &resolved, now));
    let strict = core.settings.outside_window == OutsideWindow::RefusedAtOnce;
    if let Some(window) = failure.filter(|failure| strict && failure.code == WINDOW.code) {
        return Err(GraphError::coded(window.code, window.details));
    }
    if let Some(target) = &resolved.reacts_to {
        react(core, &mut world, &contact, account, target, &resolved.text, now)?;
    }
    let item = TranscriptItem {
        wamid: core.new_wamid(&contact, Direction::ToContact),
        tick: Tick::Accepted,
        quoting: send.quoting.or(resolved.reacts_to),
        opaque: send.opaque,
        shown: resolved.shown,
        ..TranscriptItem::new(account.id(), Author::App, now, resolved.text)
    };
    world.keep(&contact.wa_id, item.clone());
    drop(world);
    let accepted = || Happened::SendAccepted { to: contact.wa_id.clone(), text: item.text.clone() };
    core.moments.tell(accepted);
    core.publish(FeedEvent::Message { contact: contact.wa_id.clone(), message: Box::new(item.clone()) });
    let answered = match send.recipient {
        Recipient::Phone { input, .. } => json!({"input": input, "wa_id": contact.wa_id}),
        Recipient::User(user) => json!({"input": user, "user_id": contact.user_id}),
    };
    let mut message = json!({"id": item.wamid});
    let category = match resolved.template.as_deref() {
        None => "service",
        Some("MARKETING") => "marketing",
        Some("AUTHENTICATION") => "authentication",
        Some(_) => "utility",
    };
    if resolved.template.is_some() {
        message["message_status"] = json!("accepted");
    }
    let value = json!({"messaging_product": "whatsapp", "contacts": [answered], "messages": [message]});
    statuses::follow(core, Followed { account: Arc::clone(account), contact, item, category }, failure);
    Ok(value)
}

fn resolve(
    core: &Core,
    account: &Account,
    content: Outbound,
    now: Timestamp,
) -> Result<Resolved, GraphError> {
    match content {
        Outbound::Message { text, shown } => {
            check_files(core, account, &shown.media, now)?;
            Ok(Resolved { text, shown, template: None, reacts_to: None })
        }
        Outbound::Reaction { to, emoji } => {
            let text = emoji.unwrap_or_default();
            Ok(Resolved { text, shown: Shown::of(ShownKind::Reaction), template: None, reacts_to: Some(to) })
        }
        Outbound::Template(call) => {
            let files: Vec<ShownMedia> = call.media().cloned().collect();
            check_files(core, account, &files, now)?;
            template(core, account, &call)
        }
    }
}

fn template(core: &Core, account: &Account, call: &TemplateCall) -> Result<Resolved, GraphError> {
    core.with_templates(account.waba_id().unwrap_or_default(), |all| {
        let found = all.iter().find(|one| one.name == call.name && one.language == call.language);
        let found = found.ok_or_else(|| templates::unknown(&call.name, &call.language))?;
        let (text, shown) = found.render(call)?;
        Ok(Resolved { text, shown, template: Some(found.category.clone()), reacts_to: None })
    })
}

/// Files that a send names by id must be this number's and of their kind.
fn check_files(
    core: &Core,
    account: &Account,
    media: &[ShownMedia],
    now: Timestamp,
) -> Result<(), GraphError> {
    let files = core.files();
    for wanted in media {
        let Some(id) = &wanted.id else { continue };
        let file = files.get(id, now).filter(|file| file.account == account.id());
        let file = file.ok_or_else(|| {
            GraphError::bad_value("Param id is not a media id of this phone number, or it has expired.")
        })?;
        if file.kind.whatsapp() != wanted.kind.whatsapp() {
            let details = format!("Media {id} is of type {}, not {}.", file.mime, wanted.kind.whatsapp());
            return Err(GraphError::coded(131_053, &details));
        }
    }
    Ok(())
}

/// Why an accepted message will not arrive, if it will not.
fn fate(
    core: &Core,
    world: &World,
    account: &Account,
    contact: &Contact,
    message: &Resolved,
    now: Timestamp,
) -> Option<Failure> {
    let pair = world.pair(&contact.wa_id, account);
    if pair.is_some_and(|pair| pair.blocked) {
        return Some(BLOCKED);
    }
    if let Some(category) = &message.template {
        let unwanted = category == "MARKETING" && pair.is_some_and(|pair| pair.no_marketing);
        return unwanted.then_some(NO_MARKETING);
    }
    if core.settings.outside_window == OutsideWindow::Delivered {
        return None;
    }
    let last = pair.and_then(|pair| pair.last_inbound);
    let open = last.is_some_and(|last| now.millis_since(last) < WINDOW_MS);
    (!open).then_some(WINDOW)
}

fn react(
    core: &Core,
    world: &mut World,
    contact: &Contact,
    account: &Account,
    target: &str,
    emoji: &str,
    now: Timestamp,
) -> Result<(), GraphError> {
    let known = world.find_message(&contact.wa_id, account.id(), target, |_| false);
    if known.is_none_or(|item| now.millis_since(item.at) >= REACTION_MS) {
        return Err(GraphError::bad_value(
            "Param reaction['message_id'] is not a message of this conversation of the last 30 days.",
        ));
    }
    if let Some(message) = world.message_mut(target) {
        message.item.business_reaction = (!emoji.is_empty()).then(|| emoji.to_owned());
        let message = Box::new(message.item.clone());
        core.publish(FeedEvent::Message { contact: contact.wa_id.clone(), message });
    }
    Ok(())
}

/// The contact that a send is for. A number that never wrote becomes one, so that the phone page shows it.
fn recipient(
    core: &Core,
    world: &mut World,
    account: &Account,
    to: &Recipient,
) -> Result<Contact, GraphError> {
    let unknown = || GraphError::bad_value("Param recipient is not a user of this business portfolio.");
    let wa_id = match to {
        Recipient::User(user) => world.contacts.find(user).ok_or_else(unknown)?,
        Recipient::Phone { digits, .. } => {
            if account.digits().as_ref() == Some(digits) {
                return Err(GraphError::coded(131_021, "The sender and the recipient are the same number."));
            }
            let full = |_| GraphError::coded(131_016, "[simulated] no room for another contact");
            let (wa_id, added) = world.find_or_add(digits).map_err(full)?;
            if let Some(entry) = world.contacts.get(&wa_id).filter(|_| added) {
                core.publish(FeedEvent::Contact { contact: entry.contact.clone() });
            }
            wa_id
        }
    };
    world.contacts.get(&wa_id).map(|entry| entry.contact.clone()).ok_or_else(unknown)
}

fn take_rates(
    core: &Core,
    world: &mut World,
    account: &Account,
    contact: &Contact,
    now: Timestamp,
) -> Result<(), GraphError> {
    let limits = core.settings.limits;
    let every_us = 1_000_000_u64.checked_div(limits.number_per_second).unwrap_or(0);
    let rate = world.number_rates.entry(account.id().to_owned()).or_default();
    if !rate.take(now, every_us, limits.number_per_second) {
        return Err(GraphError::coded(130_429, "Cloud API message throughput has been reached."));
    }
    let Some(pair) = world.pair_mut(&contact.wa_id, account) else { return Ok(()) };
    if !pair.take(now, limits) {
        let details =
            "Too many messages sent from this phone number to the same phone number in a short period.";
        return Err(GraphError::coded(131_056, details));
    }
    Ok(())
}
