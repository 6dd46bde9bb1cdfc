//! From a verified webhook to what it says.
//!
//! Meta: Graph API webhooks, "Event notifications": `{object, entry: [{changes | messaging}]}`. One
//! body may carry up to a thousand elements of many tenants. Whatever is authentic comes out of
//! here, as an event or kept as it came; nothing is lost and nothing makes it fail.

use std::borrow::Cow;

use iassistance_domain::channel::ChannelAddress;
use iassistance_domain::contact::ContactIdentity;
use iassistance_domain::inbound::{InboundEvent, InboundKind};
use iassistance_domain::{Pii, Timestamp};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use crate::json::{List, Scalar, object, shape};
use crate::signature::Verified;
use crate::whatsapp;

/// How many events are read from one body, ten times what Meta sends. If there are more, the body
/// is kept whole besides.
pub const EVENTS_MAX: usize = 10_000;

/// The longest kind of a kept element, bytes.
const KIND_MAX: usize = 64;

/// One thing that a webhook says, and where it belongs.
#[derive(Clone)]
pub struct Parsed {
    /// The number or page that it came to; nothing for what concerns a whole account.
    pub address: Option<ChannelAddress>,
    /// What it says.
    pub event: InboundEvent,
}

shape! {
    /// Meta: `{object, entry}`.
    struct Envelope<'a> { object: Scalar<'a>, entry: List<'a> }
}

shape! {
    /// What an entry of a Page or an Instagram account holds.
    struct PageEntry<'a> { messaging: List<'a>, standby: List<'a>, changes: List<'a> }
}

/// Reads a webhook. `now` is the moment of arrival; it stands in where Meta names no usable one.
/// Takes time linear in the length of the body.
pub fn parse(verified: Verified, now: Timestamp) -> Vec<Parsed> {
    let body = verified.into_body();
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&body);
    let text = str::from_utf8(body).map_or_else(|_| String::from_utf8_lossy(body), Cow::Borrowed);
    let mut reading = Reading { now, events: Vec::new(), overflowed: false };
    if text.trim_start().starts_with('[') {
        envelopes(&mut reading, &text);
    } else if !whatsapp::parse::regular(&mut reading, &text) {
        envelope(&mut reading, &text);
    }
    reading.finish(&text)
}

/// Instagram's documentation prints the envelope inside a list.
fn envelopes(reading: &mut Reading, json: &str) {
    match serde_json::from_str(json) {
        Ok(List(Some(list))) => list.into_iter().for_each(|raw| envelope(reading, raw.get())),
        _ => reading.keep(None, "unreadable", None, json),
    }
}

fn envelope(reading: &mut Reading, json: &str) {
    let Some(Envelope { object: name, entry: List(Some(entries)) }) = object(json) else {
        return reading.keep(None, "unreadable", None, json);
    };
    let name = name.id();
    for entry in entries {
        match name.as_deref() {
            Some(whatsapp::OBJECT) | None => whatsapp::parse::entry(reading, entry),
            Some(other) => other_product(reading, other, entry),
        }
    }
}

/// An entry of a product that is not spoken here yet: each of its elements is kept.
fn other_product(reading: &mut Reading, product: &str, raw: &RawValue) {
    let entry: PageEntry<'_> = object(raw.get()).unwrap_or_default();
    let parts = [("messaging", &entry.messaging), ("standby", &entry.standby), ("changes", &entry.changes)];
    if parts.iter().all(|(_, list)| list.len() == 0) {
        return reading.keep(None, &format!("{product}.entry"), None, raw.get());
    }
    for (part, list) in parts {
        for element in list.iter() {
            reading.keep(None, &format!("{product}.{part}"), None, element.get());
        }
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
    /// Takes an event, as far as there is room.
    pub(crate) fn push(
        &mut self,
        address: Option<&ChannelAddress>,
        dedup: String,
        at: Timestamp,
        kind: InboundKind,
    ) {
        if self.events.len() == EVENTS_MAX {
            self.overflowed = true;
            return;
        }
        let event = InboundEvent { dedup: Pii::new(dedup), occurred_at: at, kind };
        self.events.push(Parsed { address: address.cloned(), event });
    }

    /// All events; where there was no room for some, the last one is the whole body.
    fn finish(mut self, body: &str) -> Vec<Parsed> {
        if self.overflowed {
            self.events.pop();
            self.keep(None, "overflow", None, body);
        }
        self.events
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
        let dedup = format!("k:{kind}:{}", hex::encode(Sha256::digest(raw.as_bytes())));
        self.push(address, dedup, self.now, kept(kind, contact, raw));
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

#[cfg(test)]
#[path = "parse_tests.rs"]
mod tests;
