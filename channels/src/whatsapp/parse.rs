//! What `WhatsApp` webhooks say.
//!
//! Meta: Cloud API, webhooks, `{field, value: {metadata, contacts, messages | statuses | errors}}`.
//! Each change is routed by its own `metadata.phone_number_id`.

use std::borrow::Cow;
use std::collections::HashMap;

use iassistance_domain::channel::{ChannelAddress, ChannelKind};
use iassistance_domain::contact::ContactIdentity;
use iassistance_domain::delivery::{Delivery, DeliveryProblem, DeliveryStatus};
use iassistance_domain::inbound::InboundKind;
use iassistance_domain::message::Content;
use iassistance_domain::{Pii, Timestamp};
use serde_json::value::RawValue;

use crate::errors::{Product, classify};
use crate::json::{List, Object, Objects, Scalar, object, shape};
use crate::moment::moment;
use crate::parse::{Reading, dotted, kept};
use crate::whatsapp::OBJECT;

shape! {
    struct RegularEnvelope<'a> { object: Scalar<'a>, entry: Objects<RegularEntry<'a>> }
}

shape! {
    struct RegularEntry<'a> { changes: Objects<Change<'a>> }
}

shape! {
    struct Entry<'a> { changes: List<'a> }
}

shape! {
    struct Change<'a> { field: Scalar<'a>, value: Object<Value<'a>> }
}

shape! {
    struct Value<'a> {
        metadata: Scalar<'a>,
        contacts: List<'a>,
        messages: List<'a>,
        statuses: List<'a>,
        errors: List<'a>,
        message_echoes: List<'a>,
        calls: List<'a>,
        user_preferences: List<'a>,
    }
}

shape! {
    struct Metadata<'a> { phone_number_id: Scalar<'a> }
}

shape! {
    struct Contact<'a> { wa_id: Scalar<'a>, user_id: Scalar<'a>, profile: Scalar<'a> }
}

shape! {
    struct Profile<'a> { name: Scalar<'a> }
}

shape! {
    struct Message<'a> {
        id: Scalar<'a>,
        from: Scalar<'a>,
        from_user_id: Scalar<'a>,
        timestamp: Scalar<'a>,
        kind as "type": Scalar<'a>,
        text: Scalar<'a>,
        group_id: Scalar<'a>,
    }
}

shape! {
    struct Text<'a> { body: Scalar<'a> }
}

shape! {
    struct Report<'a> {
        id: Scalar<'a>,
        status: Scalar<'a>,
        timestamp: Scalar<'a>,
        recipient_id: Scalar<'a>,
        recipient_user_id: Scalar<'a>,
        recipient_type: Scalar<'a>,
        recipient_participant_id: Scalar<'a>,
        biz_opaque_callback_data: Scalar<'a>,
        errors: List<'a>,
    }
}

shape! {
    struct Problem<'a> { code: Scalar<'a>, error_subcode: Scalar<'a> }
}

shape! {
    /// Whom an element of the other lists is about.
    struct Party<'a> {
        from: Scalar<'a>,
        from_user_id: Scalar<'a>,
        to: Scalar<'a>,
        to_user_id: Scalar<'a>,
        wa_id: Scalar<'a>,
        user_id: Scalar<'a>,
    }
}

/// Reads an envelope at one go, if all of it is messages and statuses: what Meta sends nearly
/// always. Otherwise it reads nothing and says so; the envelope is then taken apart with care, with
/// every part at hand as it came.
pub(crate) fn regular(reading: &mut Reading, json: &str) -> bool {
    let Some(RegularEnvelope { object: name, entry: Objects(Some(entries)) }) = object(json) else {
        return false;
    };
    if name.id().as_deref() != Some(OBJECT) {
        return false;
    }
    let mut values = Vec::with_capacity(entries.len());
    for entry in &entries {
        let Object(Some(RegularEntry { changes: Objects(Some(changes)) })) = entry else { return false };
        for change in changes {
            match change {
                Object(Some(Change { field, value: Object(Some(value)) }))
                    if field.id().as_deref() == Some("messages") && value.says_something() =>
                {
                    values.push(value);
                }
                _ => return false,
            }
        }
    }
    for value in values {
        said(reading, value);
    }
    true
}

/// Reads one entry: what a `WhatsApp` business account has to say.
pub(crate) fn entry(reading: &mut Reading, raw: &RawValue) {
    let Some(Entry { changes: List(Some(changes)) }) = object(raw.get()) else {
        return reading.keep(None, "entry.unreadable", None, raw.get());
    };
    for raw in changes {
        change(reading, raw);
    }
}

fn change(reading: &mut Reading, raw: &RawValue) {
    let Some(change) = object::<Change<'_>>(raw.get()) else {
        return reading.keep(None, "change.unreadable", None, raw.get());
    };
    let field = change.field.id().unwrap_or(Cow::Borrowed("messages"));
    let Some(value) = change.value.0 else {
        return reading.keep(None, &format!("{field}.unreadable"), None, raw.get());
    };
    let address = value.address();
    let address = address.as_ref();
    match &*field {
        "messages" if value.says_something() => said(reading, &value),
        "smb_message_echoes" if value.message_echoes.len() > 0 => {
            about(reading, address, &field, &value.message_echoes, |party| (party.to, party.to_user_id));
        }
        "calls" if value.calls.len() > 0 => {
            about(reading, address, &field, &value.calls, |party| (party.from, party.from_user_id));
        }
        "user_preferences" if value.user_preferences.len() > 0 => {
            about(reading, address, &field, &value.user_preferences, |party| (party.wa_id, party.user_id));
        }
        _ => reading.keep(address, &field, None, raw.get()),
    }
}

fn said(reading: &mut Reading, value: &Value<'_>) {
    let address = value.address();
    let address = address.as_ref();
    messages(reading, address, value);
    value.statuses.iter().for_each(|raw| status(reading, address, raw));
    value.errors.iter().for_each(|raw| reading.keep(address, "value.errors", None, raw.get()));
}

impl Value<'_> {
    fn address(&self) -> Option<ChannelAddress> {
        let external_id = self.metadata.object::<Metadata<'_>>()?.phone_number_id.id()?.into_owned();
        Some(ChannelAddress { kind: ChannelKind::Whatsapp, external_id })
    }

    fn says_something(&self) -> bool {
        self.messages.len() + self.statuses.len() + self.errors.len() > 0
    }
}

/// Keeps each element of a list with the contact whom it is about.
fn about<'a>(
    reading: &mut Reading,
    address: Option<&ChannelAddress>,
    kind: &str,
    list: &List<'a>,
    whom: impl Fn(&Party<'a>) -> (Scalar<'a>, Scalar<'a>),
) {
    for raw in list.iter() {
        let (wa_id, user_id) = object(raw.get()).map(|party| whom(&party)).unwrap_or_default();
        reading.keep(address, kind, identity(wa_id, user_id), raw.get());
    }
}

fn identity(wa_id: Scalar<'_>, user_id: Scalar<'_>) -> Option<ContactIdentity> {
    ContactIdentity::new(wa_id.id().map(Cow::into_owned), user_id.id().map(Cow::into_owned))
}

/// The people whom a change introduces, by each of their ids.
struct People<'a> {
    list: Vec<Contact<'a>>,
    by_id: HashMap<Cow<'a, str>, usize>,
}

impl<'a> People<'a> {
    fn of(value: &Value<'a>) -> Self {
        let list: Vec<Contact<'a>> = value.contacts.iter().filter_map(|raw| object(raw.get())).collect();
        let mut by_id = HashMap::with_capacity(list.len());
        for (index, contact) in list.iter().enumerate() {
            for id in [contact.wa_id.id(), contact.user_id.id()].into_iter().flatten() {
                by_id.entry(id).or_insert(index);
            }
        }
        Self { list, by_id }
    }

    /// The one with either id: their order says nothing.
    fn find(&self, message: &Message<'a>) -> Option<&Contact<'a>> {
        let by = |id: Scalar<'a>| self.by_id.get(&id.id()?).map(|index| &self.list[*index]);
        by(message.from).or_else(|| by(message.from_user_id))
    }
}

fn messages(reading: &mut Reading, address: Option<&ChannelAddress>, value: &Value<'_>) {
    let people = People::of(value);
    // Where there is but one of each they belong together, even if their ids differ: a wa_id may
    // be another form of the number in `from` (Brazil, Mexico).
    let alone = people.list.first().filter(|_| people.list.len() == 1 && value.messages.len() == 1);
    for raw in value.messages.iter() {
        let Some(message) = object::<Message<'_>>(raw.get()) else {
            reading.keep(address, "message.unreadable", None, raw.get());
            continue;
        };
        let contact = people.find(&message);
        let from = sender(&message, contact);
        let profile = contact.or(alone).and_then(|contact| contact.profile.object::<Profile<'_>>());
        let profile_name =
            profile.and_then(|profile| profile.name.id()).map(|name| Pii::new(name.into_owned()));
        match message.id.id() {
            None => reading.keep(address, "message.unreadable", from, raw.get()),
            Some(id) => {
                let kind = received(&message, &id, from, profile_name, raw);
                reading.push(address, format!("m:{id}"), moment(message.timestamp, reading.now), kind);
            }
        }
    }
}

/// Who wrote: what the message says, and what else is known of the same contact.
fn sender(message: &Message<'_>, contact: Option<&Contact<'_>>) -> Option<ContactIdentity> {
    let (wa_id, user_id) = contact.map(|contact| (contact.wa_id, contact.user_id)).unwrap_or_default();
    let first = |said: Scalar<'_>, known: Scalar<'_>| said.id().or_else(|| known.id()).map(Cow::into_owned);
    ContactIdentity::new(first(message.from, wa_id), first(message.from_user_id, user_id))
}

fn received(
    message: &Message<'_>,
    id: &str,
    from: Option<ContactIdentity>,
    profile_name: Option<Pii<String>>,
    raw: &RawValue,
) -> InboundKind {
    let word = message.kind.id();
    let keep = |kind: &str, contact| kept(dotted(kind), contact, raw.get());
    if message.group_id.is_some() {
        return keep("message.group", from);
    }
    let Some(from) = from else {
        return keep("message.no_sender", None);
    };
    match word.as_deref() {
        Some("text") => match message.text.object::<Text<'_>>().and_then(|text| text.body.text()) {
            Some(body) if body.trim().is_empty() => keep("message.text.empty", Some(from)),
            Some(body) => InboundKind::MessageReceived {
                provider_id: Pii::new(id.to_owned()),
                from,
                profile_name,
                content: Content::text(body),
            },
            None => keep("message.text.unreadable", Some(from)),
        },
        Some(word) => keep(&format!("message.{word}"), Some(from)),
        None => keep("message.untyped", Some(from)),
    }
}

fn status(reading: &mut Reading, address: Option<&ChannelAddress>, raw: &RawValue) {
    let Some(status) = object::<Report<'_>>(raw.get()) else {
        return reading.keep(address, "status.unreadable", None, raw.get());
    };
    let to_group = status.recipient_type.id().as_deref() == Some("group");
    // In a group the recipient is the group, and the contact is the participant.
    let wa_id = if to_group { status.recipient_participant_id } else { status.recipient_id };
    let recipient = identity(wa_id, status.recipient_user_id);
    let (Some(id), Some(word)) = (status.id.id(), status.status.id()) else {
        return reading.keep(address, "status.unreadable", recipient, raw.get());
    };
    let at = moment(status.timestamp, reading.now);
    let whom = wa_id.id().or_else(|| status.recipient_user_id.id()).unwrap_or_default();
    let dedup = format!("s:{id}:{word}:{whom}");
    let kind = match stage(&word).filter(|_| !to_group) {
        Some(stage) => InboundKind::StatusChanged {
            provider_id: Pii::new(id.into_owned()),
            message: status.biz_opaque_callback_data.text().and_then(|ours| ours.parse().ok()),
            recipient,
            delivery: delivery(stage, at, &status.errors),
        },
        None if to_group => kept("status.group".to_owned(), recipient, raw.get()),
        None => kept(dotted(&format!("status.{word}")), recipient, raw.get()),
    };
    reading.push(address, dedup, at, kind);
}

/// A voice message that was played was also read.
fn stage(word: &str) -> Option<DeliveryStatus> {
    match word {
        "sent" => Some(DeliveryStatus::Sent),
        "delivered" => Some(DeliveryStatus::Delivered),
        "read" | "played" => Some(DeliveryStatus::Read),
        "failed" => Some(DeliveryStatus::Failed),
        _ => None,
    }
}

fn delivery(status: DeliveryStatus, at: Timestamp, errors: &List<'_>) -> Delivery {
    let problem = (status == DeliveryStatus::Failed).then(|| problem(errors));
    Delivery { status, at, problem }
}

/// The first error that has a code, in our words.
fn problem(errors: &List<'_>) -> DeliveryProblem {
    let coded = errors.iter().filter_map(|raw| object::<Problem<'_>>(raw.get())).find_map(|error| {
        let code = error.code.integer()?;
        Some(classify(Product::Whatsapp, code, error.error_subcode.integer(), None).problem)
    });
    coded.unwrap_or_else(|| DeliveryProblem {
        code: 0,
        title: "WhatsApp gave the message up and does not say why: ask the contact, or send it again"
            .to_owned(),
    })
}
