//! Files: what contacts send, what the server uploads, and where both are handed out.
//!
//! Meta: Cloud API, media: an id leads to an address that lives five minutes and wants the token; Messenger and
//! Instagram hand attachments out by an address alone.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;
use iassistance_domain::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::shown::MediaKind;

const KB: usize = 1024;
const MB: usize = 1024 * KB;
/// The largest file of all (Meta: Cloud API, documents).
pub(crate) const FILE_BYTES_MAX: usize = 100 * MB;
/// All files together; the oldest go first.
const STORE_BYTES_MAX: usize = 256 * MB;
const FILES_MAX: u64 = 10_000;
const FIRST_ID: u64 = 300_000_000_000_001;
const DAY_MS: u64 = 24 * 3_600_000;
/// How long an address of a WhatsApp file lives (Meta: Cloud API, media).
pub(crate) const URL_MS: u64 = 5 * 60_000;
/// How long an address of an attachment lives; Meta does not say.
pub(crate) const ATTACHMENT_URL_MS: u64 = 7 * DAY_MS;
/// How long files live: uploads to WhatsApp, what contacts sent there, and attachments (Meta: media; attachments).
const UPLOAD_MS: u64 = 30 * DAY_MS;
const INBOUND_MS: u64 = 7 * DAY_MS;
const ATTACHMENT_MS: u64 = 90 * DAY_MS;

/// Where a file came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A contact sent it.
    Inbound,
    /// The server uploaded it to WhatsApp.
    Upload,
    /// The server uploaded it to Messenger or Instagram.
    Attachment,
}

/// A file, or an attachment of which only the link is known.
#[derive(Clone)]
pub(crate) struct File {
    pub kind: MediaKind,
    pub mime: String,
    pub bytes: Bytes,
    pub name: Option<String>,
    pub account: String,
    pub origin: Origin,
    /// Where an attachment lies that was given by its address; it is not fetched.
    pub link: Option<String>,
    pub at: Timestamp,
}

impl File {
    fn lives_until(&self) -> Timestamp {
        self.at.plus_millis(match self.origin {
            Origin::Inbound => INBOUND_MS,
            Origin::Upload => UPLOAD_MS,
            Origin::Attachment => ATTACHMENT_MS,
        })
    }

    pub fn sha256(&self) -> [u8; 32] {
        Sha256::digest(&self.bytes).into()
    }
}

/// All files.
#[derive(Default)]
pub(crate) struct Files {
    by_id: HashMap<String, File>,
    in_order: VecDeque<String>,
    bytes: usize,
    made: u64,
}

impl Files {
    /// Keeps a file; its id.
    pub fn keep(&mut self, file: File) -> String {
        let id = (FIRST_ID + self.made).to_string();
        self.made += 1;
        self.bytes += file.bytes.len();
        self.by_id.insert(id.clone(), file);
        self.in_order.push_back(id.clone());
        while self.bytes > STORE_BYTES_MAX || self.in_order.len() as u64 > FILES_MAX {
            let Some(oldest) = self.in_order.pop_front() else { break };
            self.remove(&oldest);
        }
        id
    }

    /// A file that is still alive.
    pub fn get(&self, id: &str, now: Timestamp) -> Option<&File> {
        self.by_id.get(id).filter(|file| now < file.lives_until())
    }

    pub fn remove(&mut self, id: &str) -> bool {
        let Some(file) = self.by_id.remove(id) else { return false };
        self.bytes -= file.bytes.len();
        true
    }
}

/// The query of an address that lives until then: only who was told it can make it.
pub(crate) fn ticket(id: &str, until: Timestamp, seed: u64) -> String {
    let ext = until.as_millis().div_euclid(1_000);
    format!("ext={ext}&hash={}", hash(id, ext, seed))
}

/// Whether an address is one that was told and still lives.
pub(crate) fn admits(id: &str, ext: &str, hash: &str, seed: u64, now: Timestamp) -> bool {
    ext.parse().is_ok_and(|ext: i64| self::hash(id, ext, seed) == hash && now < Timestamp::from_secs(ext))
}

fn hash(id: &str, ext: i64, seed: u64) -> String {
    let digest: [u8; 32] = Sha256::digest(format!("{id} {ext} {seed}").as_bytes()).into();
    hex::encode(&digest[..12])
}

/// What a product takes as a file of a kind.
pub(crate) struct Rule {
    pub kind: MediaKind,
    mimes: &'static [&'static str],
    pub bytes_max: usize,
}

/// Meta: Cloud API, media, supported types.
const WHATSAPP: [Rule; 5] = [
    Rule { kind: MediaKind::Image, mimes: &["image/jpeg", "image/png"], bytes_max: 5 * MB },
    Rule { kind: MediaKind::Sticker, mimes: &["image/webp"], bytes_max: 500 * KB },
    Rule {
        kind: MediaKind::Audio,
        mimes: &["audio/aac", "audio/amr", "audio/mpeg", "audio/mp4", "audio/ogg", "audio/opus"],
        bytes_max: 16 * MB,
    },
    Rule { kind: MediaKind::Video, mimes: &["video/mp4", "video/3gpp"], bytes_max: 16 * MB },
    Rule {
        kind: MediaKind::Document,
        mimes: &[
            "text/plain",
            "text/csv",
            "application/pdf",
            "application/msword",
            "application/vnd.ms-excel",
            "application/vnd.ms-powerpoint",
            "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
            "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
            "application/vnd.openxmlformats-officedocument.presentationml.presentation",
            "application/json",
            "application/zip",
        ],
        bytes_max: 100 * MB,
    },
];

/// The rule for an upload to WhatsApp of this MIME type, parameters aside.
pub(crate) fn whatsapp_rule(mime: &str) -> Option<&'static Rule> {
    let plain = mime.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    WHATSAPP.iter().find(|rule| rule.mimes.contains(&plain.as_str()))
}

/// The largest attachment of a kind, bytes (Meta: Messenger Platform, attachments; Instagram, send API).
pub(crate) const fn attachment_bytes_max(instagram: bool, kind: MediaKind) -> usize {
    if instagram && matches!(kind, MediaKind::Image) { 8 * MB } else { 25 * MB }
}

/// The kind that a MIME type belongs to.
pub(crate) fn kind_of(mime: &str) -> MediaKind {
    match mime.split('/').next().unwrap_or_default() {
        "image" if mime.starts_with("image/webp") => MediaKind::Sticker,
        "image" => MediaKind::Image,
        "video" => MediaKind::Video,
        "audio" => MediaKind::Audio,
        _ => MediaKind::Document,
    }
}

/// A file to send when none was chosen: its bytes, MIME type and name.
pub(crate) const fn sample(kind: MediaKind) -> (&'static [u8], &'static str, &'static str) {
    match kind {
        MediaKind::Image => (include_bytes!("assets/samples/image.png"), "image/png", "image.png"),
        MediaKind::Sticker => (include_bytes!("assets/samples/sticker.webp"), "image/webp", "sticker.webp"),
        MediaKind::Audio | MediaKind::Voice => {
            (include_bytes!("assets/samples/voice.ogg"), "audio/ogg; codecs=opus", "voice.ogg")
        }
        MediaKind::Video => (include_bytes!("assets/samples/video.mp4"), "video/mp4", "video.mp4"),
        MediaKind::Document => {
            (include_bytes!("assets/samples/document.pdf"), "application/pdf", "document.pdf")
        }
    }
}

/// What Graph says of a file.
#[derive(Serialize)]
pub(crate) struct Described {
    pub url: String,
    pub mime_type: String,
    pub sha256: String,
    pub file_size: usize,
}

impl Described {
    /// The answer to `GET /{media_id}` (Meta: Cloud API, media; the size was seen as a number and as text).
    pub fn answer(&self, id: &str) -> Value {
        json!({"messaging_product": "whatsapp", "url": self.url, "mime_type": self.mime_type,
               "sha256": self.sha256, "file_size": self.file_size.to_string(), "id": id})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(bytes: usize) -> File {
        File {
            kind: MediaKind::Document,
            mime: "text/plain".into(),
            bytes: Bytes::from(vec![b'x'; bytes]),
            name: None,
            account: "1".into(),
            origin: Origin::Upload,
            link: None,
            at: Timestamp::EPOCH,
        }
    }

    #[test]
    fn the_oldest_files_make_room_and_old_ones_are_gone() {
        let mut files = Files::default();
        let first = files.keep(file(200 * MB));
        let second = files.keep(file(100 * MB));
        assert!(files.get(&first, Timestamp::EPOCH).is_none());
        assert!(files.get(&second, Timestamp::EPOCH).is_some());
        assert!(files.get(&second, Timestamp::EPOCH.plus_millis(UPLOAD_MS)).is_none());
        assert!(files.remove(&second) && !files.remove(&second));
    }

    #[test]
    fn an_address_lives_until_its_end_and_cannot_be_stretched() {
        let until = Timestamp::from_secs(100);
        let query = ticket("3", until, 7);
        let hash = query.rsplit('=').next().unwrap();
        assert!(admits("3", "100", hash, 7, Timestamp::from_secs(99)));
        assert!(!admits("3", "100", hash, 7, Timestamp::from_secs(100)));
        assert!(!admits("3", "900", hash, 7, Timestamp::from_secs(99)));
        assert!(!admits("4", "100", hash, 7, Timestamp::from_secs(99)));
    }
}
