//! What the tests of this room send, and where.

use iassistance_domain::channel::{Channel, ChannelHealth, ChannelKind, Connection, StoredSecret};
use iassistance_domain::contact::ContactIdentity;
use iassistance_domain::content::{Choice, Content, Frame, Media, MediaKind, MediaSource};
use iassistance_domain::conversation::Epoch;
use iassistance_domain::id::{ChannelId, ContactId, ConversationId, MediaId, MessageId, MetaAppId, TenantId};
use iassistance_domain::outbox::{OutboxEntry, OutboxState};
use iassistance_domain::{Pii, Timestamp};
use serde_json::Value;

/// When everything is sent: within the time for free answers.
pub(crate) const NOW: Timestamp = Timestamp::from_secs(1_790_000_000);
/// After it.
pub(crate) const LATER: Timestamp = Timestamp::from_secs(1_790_000_001);
pub(crate) const OUR_ID: [u8; 16] =
    [1, 0x99, 0xa1, 0xb2, 0xc3, 0xd4, 0x70, 0xf6, 0x87, 0x18, 0x29, 0x3a, 0x4b, 0x5c, 0x6d, 0x7e];

pub(crate) fn number() -> Connection {
    Connection::CloudApi { account_id: Some("100000000000001".to_owned()), number: None }
}

pub(crate) fn channel(connection: Connection) -> Channel {
    Channel {
        id: ChannelId::from_bytes([1; 16]),
        tenant: TenantId::from_bytes([2; 16]),
        meta_app: MetaAppId::from_bytes([3; 16]),
        connection,
        external_id: "200000000000001".to_owned(),
        name: "Shop".to_owned(),
        access_token: StoredSecret::new("token"),
        token_owner: None,
        health: ChannelHealth::connecting(Timestamp::EPOCH),
        created_at: Timestamp::EPOCH,
    }
}

/// A person's words to the contact of Meta's samples.
pub(crate) fn entry(kind: ChannelKind, content: Content) -> OutboxEntry {
    let to = match kind {
        ChannelKind::Whatsapp => ContactIdentity::new(Some("15550199001".to_owned()), None),
        ChannelKind::Messenger => ContactIdentity::scoped(Some("910000000000001".to_owned())),
        ChannelKind::Instagram => ContactIdentity::scoped(Some("920000000000001".to_owned())),
    };
    OutboxEntry {
        message: MessageId::from_bytes(OUR_ID),
        conversation: ConversationId::from_bytes([4; 16]),
        contact: ContactId::from_bytes([5; 16]),
        channel: ChannelId::from_bytes([1; 16]),
        to: to.unwrap(),
        content,
        reply_to: None,
        epoch: None,
        by_person: true,
        free_until: NOW,
        window_until: LATER,
        attempts: 1,
        state: OutboxState::Waiting { not_before: Timestamp::EPOCH },
        queued_at: Timestamp::EPOCH,
    }
}

/// The same as the assistant's words.
pub(crate) fn by_assistant(entry: OutboxEntry) -> OutboxEntry {
    OutboxEntry { epoch: Some(Epoch::default()), by_person: false, ..entry }
}

pub(crate) fn pii(text: &str) -> Pii<String> {
    Pii::new(text.to_owned())
}

pub(crate) fn at(kind: MediaKind, source: MediaSource) -> Media {
    Media { kind, mime: None, filename: None, sha256: None, source, text: None }
}

pub(crate) fn link(kind: MediaKind, url: &str) -> Media {
    at(kind, MediaSource::Link { url: pii(url) })
}

pub(crate) fn at_meta(kind: MediaKind, id: &str) -> Media {
    at(kind, MediaSource::Meta { id: Some(pii(id)), url: None })
}

pub(crate) fn stored(kind: MediaKind, bytes: u64) -> Media {
    at(kind, MediaSource::Stored { id: MediaId::from_bytes([6; 16]), bytes })
}

pub(crate) fn files_of(items: Vec<Media>) -> Content {
    Content::Media { items, caption: None }
}

pub(crate) fn choice(id: &str, title: &str) -> Choice {
    Choice { id: id.to_owned(), title: title.to_owned(), description: None }
}

/// So many, all different.
pub(crate) fn choices(number: usize) -> Vec<Choice> {
    (0..number).map(|at| choice(&format!("id{at}"), &format!("title{at}"))).collect()
}

pub(crate) fn buttons(body: &str, buttons: Vec<Choice>) -> Content {
    Content::Buttons { frame: Frame::default(), body: pii(body), buttons }
}

/// One of Meta's samples of what goes out.
pub(crate) fn fixture(name: &str) -> Value {
    let file = format!("{}/../tests/fixtures/outbound/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
}
