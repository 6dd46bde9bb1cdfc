//! What `WhatsApp` webhooks say.
//!
//! Meta: Cloud API, webhooks, `{field, value: {metadata, contacts, messages | statuses | errors}}`.
//! Each change is routed by its own `metadata.phone_number_id`; what concerns the whole business
//! account has only the entry's id.

mod account;
mod acts;
mod content;
mod history;
mod message;
mod people;
mod status;

use std::borrow::Cow;
use std::cell::OnceCell;

use iassistance_domain::Timestamp;
use iassistance_domain::channel::{ChannelAddress, ChannelKind};
use iassistance_domain::contact::ContactIdentity;
use iassistance_domain::inbound::Arrival;
use iassistance_domain::message::Elsewhere;

use crate::json::{Cursor, Element, List, Object, Read, Scalar, shape};
use crate::moment::moment;
use crate::parse::Reading;
use message::Message;
use people::Person;
use status::Report;

/// An entry: a business account, and what all its changes share.
struct Entry<'a> {
    start: Cursor<'a>,
    account: OnceCell<Option<ChannelAddress>>,
    time: OnceCell<Scalar<'a>>,
}

impl<'a> Entry<'a> {
    /// The address of the account; messages do not need it.
    fn account(&self) -> Option<&ChannelAddress> {
        let find = || {
            let id = self.start.find("id").owned()?;
            Some(ChannelAddress::account(ChannelKind::Whatsapp, id))
        };
        self.account.get_or_init(find).as_ref()
    }

    /// Meta's time of it, as it is written.
    fn time(&self) -> Scalar<'a> {
        *self.time.get_or_init(|| self.start.find("time"))
    }

    fn moment(&self, now: Timestamp) -> Timestamp {
        moment(self.time(), now)
    }
}

shape! {
    struct Change<'a> { field: Scalar<'a>, value: Element<'a, Value<'a>> }
}

shape! {
    struct Value<'a> {
        metadata: Object<Metadata<'a>>,
        contacts: List<'a, Object<Person<'a>>>,
        messages: List<'a, Element<'a, Message<'a>>>,
        message_echoes: List<'a, Element<'a, Message<'a>>>,
        statuses: List<'a, Element<'a, Report<'a>>>,
        errors: List<'a>,
        history: List<'a>,
        calls: List<'a>,
        user_preferences: List<'a>,
        user_id_update: List<'a>,
        state_sync: List<'a>,
    }
}

shape! {
    struct Metadata<'a> { phone_number_id: Scalar<'a>, display_phone_number: Scalar<'a> }
}

impl Value<'_> {
    fn address(&self) -> Option<ChannelAddress> {
        let id = self.metadata.0.as_ref()?.phone_number_id.owned()?;
        Some(ChannelAddress::channel(ChannelKind::Whatsapp, id))
    }

    /// Whether this is the business's own number.
    fn is_own(&self, number: Scalar<'_>) -> bool {
        let own = self.metadata.0.as_ref().and_then(|metadata| metadata.display_phone_number.id());
        match (own, number.id()) {
            (Some(own), Some(number)) => digits(&own).eq(digits(&number)),
            _ => false,
        }
    }

    fn says_something(&self) -> bool {
        self.messages.len() + self.statuses.len() + self.errors.len() + self.message_echoes.len() > 0
    }
}

fn digits(number: &str) -> impl Iterator<Item = char> + '_ {
    number.chars().filter(char::is_ascii_digit)
}

/// Reads one entry: what a `WhatsApp` business account has to say.
pub(crate) fn entry(reading: &mut Reading, cursor: &mut Cursor<'_>) {
    let entry = Entry { start: *cursor, account: OnceCell::new(), time: OnceCell::new() };
    let (raw, is_one) = cursor.with_raw(|cursor| {
        let mut is_one = false;
        cursor.members(|name, cursor| {
            if name == "changes" {
                is_one |= cursor.elements(|cursor| change(reading, &entry, cursor));
            }
        });
        is_one
    });
    if !is_one {
        reading.keep(entry.account(), "entry.unreadable", None, raw.get());
    }
}

fn change<'a>(reading: &mut Reading, entry: &Entry<'a>, cursor: &mut Cursor<'a>) {
    let element = Element::<Change<'a>>::of(cursor);
    let raw = element.raw;
    let Some(change) = element.object() else {
        return reading.keep(entry.account(), "change.unreadable", None, raw.get());
    };
    let field = change.field.id().unwrap_or(Cow::Borrowed("messages"));
    let Some(value) = change.value.object() else {
        return reading.keep(entry.account(), &format!("{field}.unreadable"), None, raw.get());
    };
    let channel = value.address();
    let channel = channel.as_ref();
    match &*field {
        "messages" | "smb_message_echoes" if value.says_something() => {
            said(reading, channel, value, Arrival::Live);
        }
        // Meta: Cloud API, "Standby webhooks": another sender has the conversation.
        "standby" if value.says_something() => said(reading, channel, value, Arrival::Standby),
        "history" if value.history.len() + value.messages.len() > 0 => {
            history::read(reading, channel, value);
        }
        "calls" if value.calls.len() + value.statuses.len() + value.errors.len() > 0 => {
            acts::calls(reading, channel, value);
        }
        "user_preferences" if value.user_preferences.len() > 0 => {
            acts::preferences(reading, channel, value);
        }
        "user_id_update" if value.user_id_update.len() > 0 => acts::new_ids(reading, channel, value),
        "smb_app_state_sync" if value.state_sync.len() > 0 => acts::address_book(reading, channel, value),
        // Where a number is said to belong is for messages; without it nobody knows whose they are.
        "messages" | "standby" | "smb_message_echoes" | "history" => {
            reading.keep(channel, &field, None, raw.get());
        }
        _ => account::read(reading, entry, channel, &field, change.value.raw, raw),
    }
}

fn said(reading: &mut Reading, channel: Option<&ChannelAddress>, value: &Value<'_>, arrival: Arrival) {
    message::received(reading, channel, value, arrival);
    for report in reading.each(&value.statuses) {
        status::read(reading, channel, report);
    }
    for raw in reading.each(&value.errors) {
        reading.keep(channel, "value.errors", None, raw.get());
    }
    let through = match arrival {
        Arrival::Standby => Elsewhere::App { app_id: None },
        Arrival::Live | Arrival::Imported => Elsewhere::Phone,
    };
    for echo in reading.each(&value.message_echoes) {
        message::echo(reading, channel, echo, None, &through, arrival, "m:");
    }
}

fn identity(wa_id: Scalar<'_>, user_id: Scalar<'_>) -> Option<ContactIdentity> {
    ContactIdentity::new(wa_id.owned(), user_id.owned())
}
