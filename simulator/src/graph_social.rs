//! Sends of Messenger and of Instagram, through a Page or by itself.

use std::sync::Arc;

use hyper::StatusCode;
use iassistance_domain::Timestamp;
use serde_json::{Value, json};

use crate::accounts::Account;
use crate::contacts::Contact;
use crate::core::{Core, FeedEvent};
use crate::graph::{refuse, send};
use crate::graph_error::GraphError;
use crate::media::{File, Origin};
use crate::moments::Happened;
use crate::server::{Reply, json_reply};
use crate::settings::OutsideWindow;
use crate::shown::{ShownKind, ShownMedia};
use crate::social_request::{Action, SocialMessage, SocialRequest, To, check_product, parse};
use crate::statuses::{self, Followed};
use crate::world::{Author, Tick, TranscriptItem, World};

const HOUR_MS: u64 = 3_600_000;
const WINDOW_MS: u64 = 24 * HOUR_MS;
/// For what a person wrote (`HUMAN_AGENT`), for a private answer to a comment, and after an ad.
pub(crate) const WEEK_MS: u64 = 7 * 24 * HOUR_MS;

/// `POST /{version}/{page or account}/messages`. A Page's token sends for its Messenger and for the Instagram
/// account that is linked to it: the recipient tells which.
pub(crate) fn messages(core: &Arc<Core>, senders: &[Arc<Account>], body: &[u8]) -> Reply {
    let asked = parse(body).and_then(|request| {
        let (account, contact) = meant(core, senders, &request.recipient)?;
        Ok((request, account, contact))
    });
    let (request, account, contact) = match asked {
        Ok(asked) => asked,
        Err(error) => return refuse(core, &error),
    };
    let SocialRequest { recipient, action, by_person, reply_to } = request;
    match action {
        Action::Message(message) => send(core, &account, |_| {
            accept(core, &account, contact, Sending { recipient, message: *message, by_person, reply_to })
        }),
        Action::Sender(word) => done(core, act(core, &account, &contact, word)),
        Action::React { to, emoji } => done(core, react(core, &account, &contact, &to, emoji)),
    }
}

fn done(core: &Core, result: Result<Value, GraphError>) -> Reply {
    match result {
        Ok(value) => json_reply(StatusCode::OK, &value),
        Err(error) => refuse(core, &error),
    }
}

fn unknown_person(instagram: bool) -> GraphError {
    if instagram {
        GraphError::social(100, Some(2_534_014), "The requested user cannot be found.")
    } else {
        GraphError::social(100, Some(2_018_001), "No matching user found")
    }
}

/// Which of the accounts is meant, and whom it writes to.
fn meant(core: &Core, senders: &[Arc<Account>], to: &To) -> Result<(Arc<Account>, Contact), GraphError> {
    let world = core.world();
    let all_instagram = senders.iter().all(|account| account.is_instagram());
    let unknown = || unknown_person(all_instagram);
    let (wa_id, account) = match to {
        To::Unknown => return Err(unknown()),
        To::Person(id) => {
            let wa_id = world.contacts.find(id).ok_or_else(unknown)?;
            let theirs = |account: &&Arc<Account>| {
                let pair = world.pair(&wa_id, account);
                pair.is_some_and(|pair| pair.scoped_id.as_deref() == Some(id))
            };
            let account = senders.iter().find(theirs).cloned().ok_or_else(unknown)?;
            (wa_id, account)
        }
        To::Comment(id) => {
            let none = || GraphError::unknown_object(id);
            let comment = world.comments.get(id).ok_or_else(none)?;
            let account = senders.iter().find(|account| account.id() == comment.account).cloned();
            (comment.wa_id.clone(), account.ok_or_else(none)?)
        }
    };
    let contact = world.contacts.get(&wa_id).map(|entry| entry.contact.clone()).ok_or_else(unknown)?;
    Ok((account, contact))
}

/// A message and how it may leave.
struct Sending {
    recipient: To,
    message: SocialMessage,
    by_person: bool,
    reply_to: Option<String>,
}

fn accept(
    core: &Arc<Core>,
    account: &Arc<Account>,
    contact: Contact,
    sending: Sending,
) -> Result<Value, GraphError> {
    let Sending { recipient, mut message, by_person, reply_to } = sending;
    if core.webhooks.is_full() {
        return Err(GraphError::social(2, None, "[simulated] too many webhooks wait for the callback"));
    }
    let now = core.clock.now();
    check_product(&message, account.is_instagram())?;
    check_files(core, account, &message.shown.media, now)?;
    let mut world = core.world();
    check_pair(&world, account, &contact)?;
    if let Some(mid) = &reply_to {
        check_target(&world, &contact, account, mid)?;
    }
    match &recipient {
        To::Comment(id) => take_comment(&mut world, id, now)?,
        _ => check_window(core, &world, account, &contact, by_person, now)?,
    }
    take_rate(core, &mut world, account, now)?;
    let scoped = world.scoped_id(&contact.wa_id, account).unwrap_or_default();
    if matches!(recipient, To::Comment(_)) {
        message.shown.kind = ShownKind::Comment;
    }
    let attachment =
        message.reusable.then(|| keep_attachment(core, account, &message.shown.media, now)).flatten();
    let item = TranscriptItem {
        wamid: core.new_mid(account),
        tick: Tick::Accepted,
        quoting: reply_to,
        opaque: message.metadata,
        shown: message.shown,
        ..TranscriptItem::new(account.id(), Author::App, now, message.text)
    };
    world.keep(&contact.wa_id, item.clone());
    drop(world);
    let accepted = || Happened::SendAccepted { to: contact.wa_id.clone(), text: item.text.clone() };
    core.moments.tell(accepted);
    core.publish(FeedEvent::Message { contact: contact.wa_id.clone(), message: Box::new(item.clone()) });
    let mut value = json!({"recipient_id": scoped, "message_id": item.wamid});
    if let Some(id) = attachment {
        value["attachment_id"] = json!(id);
    }
    statuses::follow(core, Followed { account: Arc::clone(account), contact, item, category: "" }, None);
    Ok(value)
}

/// Uploads that a send names must be this account's and of their kind.
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
        let file = file.ok_or_else(|| GraphError::social(100, None, "Invalid attachment_id"))?;
        if file.kind.social() != wanted.kind.social() {
            return Err(GraphError::social(
                100,
                Some(2_018_047),
                "Attachment type does not match the upload",
            ));
        }
    }
    Ok(())
}

fn keep_attachment(core: &Core, account: &Account, media: &[ShownMedia], now: Timestamp) -> Option<String> {
    let first = media.first()?;
    Some(core.files().keep(File {
        kind: first.kind,
        mime: String::new(),
        bytes: bytes::Bytes::new(),
        name: None,
        account: account.id().to_owned(),
        origin: Origin::Attachment,
        link: first.link.clone(),
        at: now,
    }))
}

/// Whether the conversation is the app's, and the contact wants to hear of the business.
fn check_pair(world: &World, account: &Account, contact: &Contact) -> Result<(), GraphError> {
    let Some(pair) = world.pair(&contact.wa_id, account) else { return Ok(()) };
    if pair.held_by.is_some() {
        return Err(if account.is_instagram() {
            GraphError::social(100, Some(2_534_037), "The app is not the thread owner")
        } else {
            GraphError::social(
                2_018_300,
                None,
                "Message failed to send because another app is controlling this thread now.",
            )
        });
    }
    if pair.blocked {
        return Err(if account.is_instagram() {
            GraphError::social(100, Some(2_534_029), "The person blocked the account")
        } else {
            GraphError::social(551, Some(1_545_041), "This person isn't available right now.")
        });
    }
    Ok(())
}

fn check_target(world: &World, contact: &Contact, account: &Account, mid: &str) -> Result<(), GraphError> {
    let target = world.find_message(&contact.wa_id, account.id(), mid, |_| false);
    match target {
        Some(target) if target.removed => Err(GraphError::social(9_000_001, None, "The message was deleted")),
        Some(_) => Ok(()),
        None => Err(GraphError::social(100, None, "Invalid message id")),
    }
}

/// One private answer per comment, within seven days.
fn take_comment(world: &mut World, id: &str, now: Timestamp) -> Result<(), GraphError> {
    let comment = world.comments.get_mut(id).ok_or_else(|| GraphError::unknown_object(id))?;
    if comment.answered {
        return Err(GraphError::social(10_900, None, "Activity already replied to"));
    }
    if now.millis_since(comment.at) >= WEEK_MS {
        return Err(GraphError::social(10_903, None, "This comment is too old to be replied to in private"));
    }
    comment.answered = true;
    Ok(())
}

fn check_window(
    core: &Core,
    world: &World,
    account: &Account,
    contact: &Contact,
    by_person: bool,
    now: Timestamp,
) -> Result<(), GraphError> {
    if core.settings.outside_window == OutsideWindow::Delivered {
        return Ok(());
    }
    let pair = world.pair(&contact.wa_id, account);
    let within =
        |millis| pair.and_then(|pair| pair.last_inbound).is_some_and(|last| now.millis_since(last) < millis);
    let by_ad = pair.and_then(|pair| pair.ad_until).is_some_and(|until| now < until);
    if within(if by_person { WEEK_MS } else { WINDOW_MS }) || by_ad {
        return Ok(());
    }
    let subcode = if account.is_instagram() { 2_534_022 } else { 2_018_278 };
    Err(GraphError::social(10, Some(subcode), "This message is sent outside of allowed window."))
}

fn take_rate(core: &Core, world: &mut World, account: &Account, now: Timestamp) -> Result<(), GraphError> {
    let per_second = core.settings.limits.page_per_second;
    let every_us = 1_000_000_u64.checked_div(per_second).unwrap_or(0);
    if world.number_rates.entry(account.id().to_owned()).or_default().take(now, every_us, per_second) {
        return Ok(());
    }
    let subcode = if account.is_instagram() { 2_534_040 } else { 1_893_016 };
    Err(GraphError::social(613, Some(subcode), "Calls to this api have exceeded the rate limit."))
}

/// Typing, and having seen.
fn act(core: &Core, account: &Account, contact: &Contact, word: &str) -> Result<Value, GraphError> {
    let mut world = core.world();
    check_pair(&world, account, contact)?;
    world.counters.sender_actions += 1;
    if word == "mark_seen" {
        let newest = |item: &TranscriptItem| item.author == Author::Contact;
        let newest = world.find_message(&contact.wa_id, account.id(), "last", newest);
        if let Some(mid) = newest.map(|item| item.wamid.clone()) {
            let turned = world.mark_read(account.id(), &mid).map(|(_, turned)| turned);
            for wamid in turned.unwrap_or_default() {
                core.publish(FeedEvent::Tick { contact: contact.wa_id.clone(), wamid, tick: Tick::Read });
            }
        }
    } else {
        let on = word == "typing_on";
        world.counters.typing_indicators += u64::from(on);
        core.publish(FeedEvent::Typing { contact: contact.wa_id.clone(), on });
    }
    let scoped = world.scoped_id(&contact.wa_id, account).unwrap_or_default();
    drop(world);
    core.changed();
    Ok(json!({ "recipient_id": scoped }))
}

fn react(
    core: &Core,
    account: &Account,
    contact: &Contact,
    target: &str,
    emoji: Option<String>,
) -> Result<Value, GraphError> {
    let mut world = core.world();
    check_pair(&world, account, contact)?;
    check_target(&world, contact, account, target)?;
    world.counters.sender_actions += 1;
    let scoped = world.scoped_id(&contact.wa_id, account).unwrap_or_default();
    if let Some(message) = world.message_mut(target) {
        message.item.business_reaction = emoji;
        let message = Box::new(message.item.clone());
        core.publish(FeedEvent::Message { contact: contact.wa_id.clone(), message });
    }
    Ok(json!({"recipient_id": scoped, "message_id": core.new_mid(account)}))
}
