//! From a verified webhook to what it says.
//!
//! Meta: Graph API webhooks, "Event notifications": `{object, entry: [{changes | messaging}]}`. One
//! body may carry up to a thousand elements of many tenants. Whatever is authentic comes out of
//! here, as an event or kept as it came; nothing is lost and nothing makes it fail.

use std::borrow::Cow;

use iassistance_domain::channel::{ChannelAddress, ChannelKind};
use iassistance_domain::contact::ContactIdentity;
use iassistance_domain::inbound::{InboundEvent, InboundKind};
use iassistance_domain::{Pii, Timestamp};
use sha2::{Digest, Sha256};

use crate::json::{Cursor, ELEMENTS_MAX, List, Scalar, make_room};
use crate::signature::Verified;
use crate::{page, whatsapp};

/// How many events are read from one body, ten times what Meta sends. If there are more, the body
/// is kept whole besides.
pub const EVENTS_MAX: usize = ELEMENTS_MAX;

/// The longest kind of a kept element, bytes.
const KIND_MAX: usize = 64;

/// One thing that a webhook says, and where it belongs.
#[derive(Clone)]
pub struct Parsed {
    /// The number, page or business account that it came to, where that is said.
    pub address: Option<ChannelAddress>,
    /// What it says.
    pub event: InboundEvent,
}

/// Reads a webhook. `now` is the moment of arrival; it stands in where Meta names no usable one.
/// Takes time linear in the length of the body.
pub fn parse(verified: Verified, now: Timestamp) -> Vec<Parsed> {
    read(&verified.into_body(), now)
}

/// The same for a body of which nobody knows who sent it: for people who look at payloads, never for
/// what is accepted.
pub fn read(body: &[u8], now: Timestamp) -> Vec<Parsed> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let text = str::from_utf8(body).map_or_else(|_| String::from_utf8_lossy(body), Cow::Borrowed);
    let mut reading = Reading::new(now);
    let mut cursor = Cursor::new(&text);
    if text.trim_start().starts_with('[') {
        // Instagram's documentation prints the envelope inside a list.
        cursor.elements(|cursor| envelope(&mut reading, cursor, None));
    } else {
        envelope(&mut reading, &mut cursor, last_object(&text));
    }
    if !cursor.is_through() {
        // Who knows what was cut off: nothing of it counts.
        reading = Reading::new(now);
        reading.keep(None, "unreadable", None, &text);
    }
    reading.finish(&text)
}

/// Reads an envelope, of which `object` is known to be the object, or looked for.
fn envelope(reading: &mut Reading, cursor: &mut Cursor<'_>, object: Option<&str>) {
    let object = object.map(Cow::Borrowed).or_else(|| cursor.find("object").id());
    let (raw, is_one) = cursor.with_raw(|cursor| {
        let mut is_one = false;
        cursor.members(|name, cursor| {
            if name == "entry" {
                is_one |= cursor.elements(|cursor| entry(reading, object.as_deref(), cursor));
            }
        });
        is_one
    });
    if !is_one {
        reading.keep(None, "unreadable", None, raw.get());
    }
}

/// The object of an envelope that ends with it, as when its members are sorted: it is then not
/// looked for behind all entries.
fn last_object(envelope: &str) -> Option<&str> {
    let members = envelope.trim_end().strip_suffix('}')?.trim_end();
    let (rest, name) = members.strip_suffix('"')?.rsplit_once('"')?;
    let rest = rest.trim_end().strip_suffix(':')?.trim_end().strip_suffix("\"object\"")?;
    let plain = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    (plain && rest.ends_with(['{', ',', ' ', '\n'])).then_some(name)
}

fn entry(reading: &mut Reading, object: Option<&str>, cursor: &mut Cursor<'_>) {
    match object {
        Some(whatsapp::OBJECT) | None => whatsapp::parse::entry(reading, cursor),
        Some(page::PAGE) => page::parse::entry(reading, ChannelKind::Messenger, cursor),
        Some(page::INSTAGRAM) => page::parse::entry(reading, ChannelKind::Instagram, cursor),
        Some(other) => reading.keep(None, &format!("{other}.entry"), None, cursor.value().get()),
    }
}

/// What has been read of a body so far.
pub(crate) struct Reading {
    /// The moment of arrival.
    pub(crate) now: Timestamp,
    events: Vec<Parsed>,
    overflowed: bool,
}

impl Reading {
    const fn new(now: Timestamp) -> Self {
        Self { now, events: Vec::new(), overflowed: false }
    }

    /// The elements of a list. If it had too many, the body will be kept whole besides.
    pub(crate) fn each<'l, 'a, T>(
        &mut self,
        list: &'l List<'a, T>,
    ) -> impl Iterator<Item = &'l T> + use<'l, 'a, T> {
        self.overflowed |= list.cut;
        self.events.reserve(list.len().min(EVENTS_MAX - self.events.len()));
        list.iter()
    }

    /// Takes an event, as far as there is room.
    pub(crate) fn push(
        &mut self,
        address: Option<&ChannelAddress>,
        dedup: String,
        at: Timestamp,
        kind: InboundKind,
    ) {
        let address = address.cloned();
        if self.events.len() == EVENTS_MAX || !make_room(&mut self.events) {
            self.overflowed = true;
            return;
        }
        self.events
            .push(Parsed { address, event: InboundEvent { dedup: Pii::new(dedup), occurred_at: at, kind } });
    }

    /// Keeps an element as it came; it is the same again when its bytes are.
    pub(crate) fn keep(
        &mut self,
        address: Option<&ChannelAddress>,
        kind: &str,
        contact: Option<ContactIdentity>,
        raw: &str,
    ) {
        let kind = dotted(kind);
        let dedup = hashed(&format!("k:{kind}"), &[raw]);
        self.push(address, dedup, self.now, kept(kind, contact, raw));
    }

    /// All events; where there was no room for some, the last one is the whole body.
    fn finish(mut self, body: &str) -> Vec<Parsed> {
        if self.overflowed {
            self.events.truncate(EVENTS_MAX - 1);
            self.keep(None, "overflow", None, body);
        }
        self.events
    }
}

/// An element as it came.
pub(crate) fn kept(kind: String, contact: Option<ContactIdentity>, raw: &str) -> InboundKind {
    InboundKind::Kept { kind, contact, raw: Pii::new(raw.to_owned()) }
}

/// A kind in lower-case letters, digits, `_` and `.`, whatever Meta writes there.
pub(crate) fn dotted(kind: &str) -> String {
    let plain = |c: char| match c.to_ascii_lowercase() {
        c @ ('a'..='z' | '0'..='9' | '_' | '.') => c,
        _ => '_',
    };
    kind.chars().take(KIND_MAX).map(plain).collect()
}

/// A key of these two.
pub(crate) fn joined(kind: &str, id: &str) -> String {
    let mut key = String::with_capacity(kind.len() + id.len());
    key.push_str(kind);
    key.push_str(id);
    key
}

/// A key of `kind` and the hash of these parts, for what Meta gives no id.
pub(crate) fn hashed(kind: &str, parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.len().to_be_bytes());
        hash.update(part.as_bytes());
    }
    format!("{kind}:{}", hex::encode(hash.finalize()))
}

/// What Meta says, as something personal; nothing where there is nothing to see in it.
pub(crate) fn pii(said: Scalar<'_>) -> Option<Pii<String>> {
    said.owned().map(Pii::new)
}

#[cfg(test)]
#[path = "parse_tests/mod.rs"]
mod tests;
