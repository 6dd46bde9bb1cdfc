//! What a backup consists of. Written last: a backup that has a manifest is whole and was read back.
//!
//! It is readable without an identity, so that the server can list, continue and remove backups: it
//! holds ids, counts, sizes and hashes, and nothing that a tenant or a contact said.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use iassistance_domain::Timestamp;
use iassistance_domain::id::{BackupId, TenantId};

use super::error::BackupError;

/// It goes up when an earlier version could not read it.
pub(super) const FORMAT: u32 = 1;

/// Whether a backup is whole in itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BackupKind {
    /// It is.
    Base,
    /// It holds what changed since the one before.
    Increment,
}

/// A file of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupFile {
    /// Its name.
    pub file: String,
    /// How long it is.
    pub bytes: u64,
    /// SHA-256 of it as it lies there, in hexadecimal digits.
    pub sha256: String,
    /// How many records, or names of files, are in it.
    pub entries: u64,
}

/// The backup before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// Which.
    pub id: BackupId,
    /// SHA-256 of its manifest.
    pub sha256: String,
}

/// What a backup consists of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The format of it all.
    pub format: u32,
    /// Its id.
    pub id: BackupId,
    /// Whether it is whole in itself.
    pub kind: BackupKind,
    /// The base that it goes back to; itself, if it is one.
    pub base: BackupId,
    /// The one before, without which an increment is of no use.
    pub previous: Option<Link>,
    /// Whose records alone are in it; all, if nobody's.
    pub tenant: Option<TenantId>,
    /// The moment whose state it is.
    pub at: Timestamp,
    /// The files of records, in order. Later ones replace what is in earlier ones.
    pub chunks: Vec<BackupFile>,
    /// The list of the files of messages that came with it.
    pub media: Option<BackupFile>,
    /// How long those are together, as they lie there.
    pub media_bytes: u64,
    /// For whom its files are sealed.
    pub recipients: Vec<String>,
    /// When all of it was read back and compared.
    pub verified_at: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct Envelope<'a> {
    sha256: String,
    #[serde(borrow)]
    manifest: &'a RawValue,
}

/// What every format says, also a later one.
#[derive(Deserialize)]
struct Head {
    format: u32,
    id: BackupId,
}

impl Manifest {
    /// What its files take, without files of messages that an earlier one brought.
    pub fn bytes(&self) -> u64 {
        let files = self.chunks.iter().chain(&self.media).map(|file| file.bytes);
        files.sum::<u64>() + self.media_bytes
    }

    /// Records in it, and marks of those that are gone.
    pub fn records(&self) -> u64 {
        self.chunks.iter().map(|chunk| chunk.entries).sum()
    }

    /// Its file, with a hash of itself.
    pub(super) fn write(&self) -> Result<Vec<u8>, BackupError> {
        let failed = |error: serde_json::Error| BackupError::Place {
            doing: "writing a manifest",
            reason: error.to_string(),
        };
        let text = serde_json::to_string(self).map_err(failed)?;
        let manifest: &RawValue = serde_json::from_str(&text).map_err(failed)?;
        serde_json::to_vec(&Envelope { sha256: sha256(text.as_bytes()), manifest }).map_err(failed)
    }

    /// Reads its file, called `name` in errors; with the hash that a later one names it by.
    pub(super) fn read(name: &str, bytes: &[u8]) -> Result<(Self, String), BackupError> {
        let damaged =
            |reason: &str| BackupError::Damaged { file: name.to_owned(), reason: reason.to_owned() };
        let envelope: Envelope<'_> =
            serde_json::from_slice(bytes).map_err(|_| damaged("is no manifest, or was cut short"))?;
        let text = envelope.manifest.get();
        if sha256(text.as_bytes()) != envelope.sha256 {
            return Err(damaged("was altered"));
        }
        let head: Head = serde_json::from_str(text).map_err(|_| damaged("is no manifest"))?;
        if head.format > FORMAT {
            return Err(BackupError::Newer { id: head.id, found: head.format, known: FORMAT });
        }
        let manifest: Self = serde_json::from_str(text).map_err(|_| damaged("lacks what it must say"))?;
        if file_of(manifest.id) != name {
            return Err(damaged("is the manifest of another backup"));
        }
        Ok((manifest, envelope.sha256))
    }
}

/// SHA-256 in hexadecimal digits.
pub(super) fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// The folder of the manifests.
pub(super) const FOLDER: &str = "backups";

/// What the manifest of a backup is called.
pub(super) fn file_of(id: BackupId) -> String {
    format!("{FOLDER}/{id}.json")
}
