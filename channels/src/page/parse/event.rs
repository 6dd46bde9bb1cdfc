//! One event of a conversation: `{sender, recipient, timestamp, <kind>}`.

use std::borrow::Cow;

use iassistance_domain::channel::Notice;
use iassistance_domain::contact::ContactIdentity;
use iassistance_domain::delivery::{Delivery, DeliveryStatus};
use iassistance_domain::inbound::{Arrival, InboundKind, SeenMark, ThreadChange};
use iassistance_domain::{Pii, Timestamp};

use super::content::{Message, referral};
use super::{Entry, message};
use crate::json::{Cursor, Element, List, Object, Read, Scalar, Shape, shape};
use crate::moment::past;
use crate::parse::{Reading, dotted, hashed, pii};

/// The kinds that are known here, besides messages.
const KINDS: [&str; 17] = [
    "message_edit",
    "postback",
    "order",
    "read",
    "delivery",
    "reaction",
    "referral",
    "optin",
    "pass_thread_control",
    "take_thread_control",
    "request_thread_control",
    "app_roles",
    "policy_enforcement",
    "account_linking",
    "response_feedback",
    "messaging_feedback",
    "game_play",
];

shape! {
    struct Party<'a> { id: Scalar<'a>, user_ref: Scalar<'a> }
}

/// What every event has, and its kinds with what they say: mostly one, and mostly a message.
#[derive(Default)]
struct Fields<'a> {
    sender: Object<Party<'a>>,
    recipient: Object<Party<'a>>,
    timestamp: Scalar<'a>,
    message: Element<'a, Message<'a>>,
    /// The other kinds, by their place in [`KINDS`], in its order.
    others: Vec<(usize, Scalar<'a>)>,
    /// The name of a kind that is not known.
    unknown: Option<String>,
}

impl<'a> Shape<'a> for Fields<'a> {
    fn member(&mut self, name: &str, cursor: &mut Cursor<'a>) {
        match name {
            "sender" => self.sender.read(cursor),
            "recipient" => self.recipient.read(cursor),
            "timestamp" => self.timestamp.read(cursor),
            "message" => self.message.read(cursor),
            _ => match KINDS.iter().position(|kind| *kind == name) {
                Some(kind) => self.say(kind, cursor.value()),
                None => self.unknown = self.unknown.take().or_else(|| Some(name.to_owned())),
            },
        }
    }
}

impl<'a> Fields<'a> {
    fn say(&mut self, kind: usize, said: Scalar<'a>) {
        match self.others.binary_search_by_key(&kind, |(kind, _)| *kind) {
            Ok(place) => self.others[place].1 = said,
            Err(place) => self.others.insert(place, (kind, said)),
        }
    }

    fn kinds(&self) -> impl Iterator<Item = (&'static str, Scalar<'a>)> {
        let others = self.others.iter().map(|(kind, said)| (KINDS[*kind], *said));
        std::iter::once(("message", self.message.raw)).chain(others).filter(|(_, said)| said.is_some())
    }
}

/// An event, and who takes part in it.
pub(super) struct Event<'e, 'a> {
    pub(super) entry: &'e Entry<'a>,
    pub(super) arrival: Arrival,
    pub(super) at: Timestamp,
    pub(super) raw: Scalar<'a>,
    /// When it happened, as it is written.
    pub(super) timestamp: Scalar<'a>,
    sender: Option<Cow<'a, str>>,
    recipient: Option<Cow<'a, str>>,
    /// Whether only the plugin's reference is known, and not yet who it is.
    by_reference: bool,
}

impl Event<'_, '_> {
    /// Whether the page or account itself did it.
    pub(super) fn is_own(&self) -> bool {
        self.sender.as_deref().is_some_and(|id| self.entry.is_itself(id))
    }

    /// The end user: the one of the two who is not the page or account.
    pub(super) fn contact(&self) -> Option<ContactIdentity> {
        if self.is_own() { self.to() } else { scoped(self.sender.as_deref()) }
    }

    /// The end user of what is said to come from the business.
    pub(super) fn to(&self) -> Option<ContactIdentity> {
        let others = [&self.recipient, &self.sender].into_iter().flatten();
        scoped(others.map(|id| &**id).find(|id| !self.entry.is_itself(id)))
    }

    pub(super) fn push(&self, reading: &mut Reading, dedup: String, kind: InboundKind) {
        reading.push(self.entry.address.as_ref(), dedup, self.at, kind);
    }

    /// Keeps the event whole.
    pub(super) fn keep(&self, reading: &mut Reading, kind: &str) {
        reading.keep(self.entry.address.as_ref(), kind, self.contact(), self.raw.get());
    }

    /// A key for what Meta gives no id: who, when, of what kind, about what.
    pub(super) fn key(&self, kind: &str, about: &[Scalar<'_>]) -> String {
        let whom = [&self.sender, &self.recipient].map(|id| id.as_deref().unwrap_or_default());
        let mut parts = vec![whom[0], whom[1], self.timestamp.get()];
        parts.extend(about.iter().map(|part| part.get()));
        hashed(kind, &parts)
    }
}

fn scoped(id: Option<&str>) -> Option<ContactIdentity> {
    ContactIdentity::scoped(id.map(str::to_owned))
}

/// Whether a value of a change is an event.
pub(super) fn is_one(value: Scalar<'_>) -> bool {
    value.object::<Fields<'_>>().is_some_and(|fields| {
        let named = fields.sender.0.is_some() || fields.recipient.0.is_some();
        fields.kinds().any(|(name, said)| said.get().starts_with('{') && (named || name == "message_edit"))
    })
}

/// Reads one event: each kind that it holds.
pub(super) fn read<'a>(reading: &mut Reading, entry: &Entry<'a>, arrival: Arrival, cursor: &mut Cursor<'a>) {
    let mut element = Element::<Fields<'a>>::default();
    element.read(cursor);
    let raw = element.raw;
    let Some(fields) = element.object() else {
        return reading.keep(entry.address.as_ref(), &entry.kind("unreadable"), None, raw.get());
    };
    let event = Event {
        entry,
        arrival,
        at: entry.moment(fields.timestamp, reading.now),
        raw,
        timestamp: fields.timestamp,
        sender: fields.sender.0.as_ref().and_then(|party| party.id.id()),
        recipient: fields.recipient.0.as_ref().and_then(|party| party.id.id()),
        by_reference: fields.sender.0.as_ref().is_some_and(|party| party.user_ref.is_some()),
    };
    if fields.kinds().next().is_none() {
        let kind = entry.kind(fields.unknown.as_deref().unwrap_or("unreadable"));
        return event.keep(reading, &kind);
    }
    for (name, said) in fields.kinds() {
        let read = match name {
            "message" => fields.message.object().and_then(|said| message::read(reading, &event, said)),
            _ => one(reading, &event, name, said),
        };
        if read.is_none() {
            event.keep(reading, &format!("{name}.unreadable"));
        }
    }
}

fn one(reading: &mut Reading, event: &Event<'_, '_>, name: &str, said: Scalar<'_>) -> Option<()> {
    let contact = event.contact();
    match name {
        // These are about a message or the page, and need no sender.
        "message_edit" => return message::edited(reading, event, said, contact),
        "policy_enforcement" => return policy(reading, event, said),
        "app_roles" => {
            event.keep(reading, name);
            return Some(());
        }
        _ => {}
    }
    let Some(contact) = contact else {
        let by_reference = event.by_reference || said.member("user_ref").is_some();
        let why = if by_reference { "user_ref" } else { "no_sender" };
        event.keep(reading, &format!("{name}.{why}"));
        return Some(());
    };
    match name {
        "reaction" => reaction(reading, event, said, contact),
        "pass_thread_control" => thread(reading, event, name, ThreadChange::Passed, said, contact),
        "take_thread_control" => thread(reading, event, name, ThreadChange::Taken, said, contact),
        "request_thread_control" => thread(reading, event, name, ThreadChange::Requested, said, contact),
        // What follows is done by end users alone.
        _ if event.is_own() => {
            event.keep(reading, &format!("{name}.self"));
            Some(())
        }
        "postback" => message::postback(reading, event, said, contact),
        "order" => message::order(reading, event, said, contact),
        "read" => seen(reading, event, said, contact),
        "delivery" => delivered(reading, event, said, &contact),
        _ => act(reading, event, name, said, contact),
    }
}

/// What an end user does besides writing.
fn act(
    reading: &mut Reading,
    event: &Event<'_, '_>,
    name: &str,
    said: Scalar<'_>,
    contact: ContactIdentity,
) -> Option<()> {
    let came = if name == "referral" { Some(referral(said)?) } else { None };
    let (what, opens_window) = match name {
        "optin" => match said.member("type").id() {
            // A subscription to notifications is no act that may be answered; the plugin's is.
            Some(word) => (format!("optin.{word}"), false),
            None => (name.to_owned(), true),
        },
        "account_linking" => (format!("account.{}", said.member("status").id()?), false),
        "response_feedback" | "messaging_feedback" => ("feedback".to_owned(), false),
        _ => (name.to_owned(), name == "referral"),
    };
    let raw = came.is_none().then(|| Pii::new(event.raw.get().to_owned()));
    let kind = InboundKind::ContactActed {
        contact,
        profile_name: None,
        what: dotted(&what),
        referral: came,
        opens_window,
        raw,
    };
    event.push(reading, event.key(name, &[said]), kind);
    Some(())
}

fn thread(
    reading: &mut Reading,
    event: &Event<'_, '_>,
    name: &str,
    change: ThreadChange,
    said: Scalar<'_>,
    contact: ContactIdentity,
) -> Option<()> {
    if !said.get().starts_with('{') {
        return None;
    }
    let owner = match change {
        ThreadChange::Passed | ThreadChange::Taken => said.member("new_owner_app_id"),
        ThreadChange::Requested => said.member("requested_owner_app_id"),
    };
    let kind = InboundKind::ThreadControlChanged { contact, change, owner: owner.owned() };
    event.push(reading, event.key(name, &[owner]), kind);
    Some(())
}

shape! {
    struct Seen<'a> { mid: Scalar<'a>, watermark: Scalar<'a>, mids: List<'a> }
}

/// Messenger says until when; Instagram says up to which message.
fn seen(
    reading: &mut Reading,
    event: &Event<'_, '_>,
    said: Scalar<'_>,
    contact: ContactIdentity,
) -> Option<()> {
    let seen: Seen<'_> = said.object()?;
    let up_to = match pii(seen.mid) {
        Some(provider_id) => SeenMark::Message { provider_id },
        None => SeenMark::Moment { at: past(seen.watermark, reading.now)? },
    };
    let dedup = event.key("r", &[seen.mid, seen.watermark]);
    event.push(reading, dedup, InboundKind::SeenUpTo { contact, up_to, status: DeliveryStatus::Read });
    Some(())
}

fn delivered(
    reading: &mut Reading,
    event: &Event<'_, '_>,
    said: Scalar<'_>,
    contact: &ContactIdentity,
) -> Option<()> {
    let seen: Seen<'_> = said.object()?;
    let mut read = None;
    for mid in reading.each(&seen.mids).filter_map(|mid| mid.id()) {
        let kind = InboundKind::StatusChanged {
            provider_id: Pii::new(mid.clone().into_owned()),
            message: None,
            recipient: Some(contact.clone()),
            delivery: Delivery::new(DeliveryStatus::Delivered, event.at),
        };
        event.push(reading, ["s:", &mid, ":delivered"].concat(), kind);
        read = Some(());
    }
    if let Some(at) = past(seen.watermark, reading.now) {
        let up_to = SeenMark::Moment { at };
        let contact = contact.clone();
        let kind = InboundKind::SeenUpTo { contact, up_to, status: DeliveryStatus::Delivered };
        event.push(reading, event.key("d", &[seen.watermark]), kind);
        read = Some(());
    }
    read
}

shape! {
    struct Reaction<'a> { mid: Scalar<'a>, action: Scalar<'a>, reaction: Scalar<'a>, emoji: Scalar<'a> }
}

fn reaction(
    reading: &mut Reading,
    event: &Event<'_, '_>,
    said: Scalar<'_>,
    contact: ContactIdentity,
) -> Option<()> {
    let said: Reaction<'_> = said.object()?;
    let emoji =
        if said.action.is("unreact") { None } else { Some(pii(said.emoji).or_else(|| pii(said.reaction))?) };
    let by_business = event.is_own();
    let kind = InboundKind::Reacted { provider_id: pii(said.mid)?, contact, by_business, emoji };
    event.push(reading, event.key("x", &[said.mid, said.action, said.emoji, said.reaction]), kind);
    Some(())
}

/// It is about the page itself.
fn policy(reading: &mut Reading, event: &Event<'_, '_>, said: Scalar<'_>) -> Option<()> {
    let action = said.member("action").owned()?;
    let notice = Notice::Policy { action, reason: said.member("reason").owned() };
    event.push(reading, event.key("n:policy", &[said]), InboundKind::Noticed(notice));
    Some(())
}
