//! What is kept of how data goes: erasures, legal holds, periods, proofs of sweeps, certificates.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;

use iassistance_domain::Timestamp;
use iassistance_domain::id::{ContactId, ConversationId, ErasureId, HoldId, MediaId, TenantId};
use iassistance_domain::map::Line;
use iassistance_domain::privacy::{
    Class, DestructionCertificate, Erasure, LegalHold, Place, Retention, Suppression, SweepRecord,
};
use iassistance_domain::tenant::TenantCtx;

use crate::error::StorageError;

type Result<T> = std::result::Result<T, StorageError>;

/// All contacts who proved to be one person, with what is theirs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Person {
    /// The contacts.
    pub contacts: Vec<ContactId>,
    /// Their conversations.
    pub conversations: Vec<ConversationId>,
    /// The files of their messages.
    pub files: Vec<MediaId>,
    /// What is known of their refusing messages, beside what their conversations say.
    pub refused: Option<Suppression>,
}

/// Where a sweep goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SweptFrom {
    /// After this conversation.
    Conversation(Option<ConversationId>),
    /// After this event.
    Seq(u64),
    /// After this key.
    Key(Vec<u8>),
}

/// What came of one part of a sweep.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Swept {
    /// Records that went.
    pub removed: u64,
    /// Files that they named, which are to be removed.
    pub files: Vec<MediaId>,
    /// Records that were due and stay, for a legal hold.
    pub held: u64,
    /// Where it goes on; nothing when it is through.
    pub next: Option<SweptFrom>,
}

/// What a turn of the key epoch did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Turned {
    /// The epoch that counts now.
    pub epoch: u32,
    /// Keys that were wrapped anew.
    pub rewrapped: u64,
    /// Records that were sealed anew.
    pub resealed: u64,
    /// What erased contacts had left in the log and elsewhere, and is gone.
    pub removed: u64,
}

impl Turned {
    pub(crate) const fn add(&mut self, other: &Self) {
        self.rewrapped += other.rewrapped;
        self.resealed += other.resealed;
        self.removed += other.removed;
    }
}

/// A kind of record, and what the data map says of its fields.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct MappedKind {
    /// What it is called.
    pub kind: &'static str,
    /// Whose tree it is in: `tenant`, `platform`, `both` or `files`.
    pub tree: &'static str,
    /// Its fields.
    pub fields: Vec<Line>,
}

/// What the records that there are say of the data map.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize)]
pub struct MapScan {
    /// Records that were opened.
    pub records: u64,
    /// Those that did not open.
    pub unreadable: u64,
    /// Fields that a record has and the map does not know: `kind: path`.
    pub unknown: BTreeSet<String>,
    /// Fields that were found, as `kind: path`.
    pub seen: BTreeSet<String>,
    /// Kinds that were found, with how many records each.
    pub kinds: BTreeMap<&'static str, u64>,
}

/// The data map of this version: every kind of record that is stored, with all that is said of its fields.
pub fn data_map() -> Vec<MappedKind> {
    crate::sled::data_map()
}

/// What is kept of how data goes. Every command is durable when it returns.
#[async_trait]
pub trait Keeping: Send + Sync {
    /// Creates or replaces an erasure.
    async fn put_erasure(&self, tenant: TenantCtx, erasure: Erasure) -> Result<()>;
    /// One erasure.
    async fn erasure(&self, tenant: TenantCtx, id: ErasureId) -> Result<Option<Erasure>>;
    /// Erasures, newest first, those before `before` (without itself).
    async fn erasures(
        &self,
        tenant: TenantCtx,
        before: Option<ErasureId>,
        limit: usize,
    ) -> Result<Vec<Erasure>>;
    /// Erasures that are not final, oldest first.
    async fn unfinished_erasures(&self, tenant: TenantCtx) -> Result<Vec<Erasure>>;

    /// Creates or replaces a legal hold. `Full` when there are 500 others in force.
    async fn put_hold(&self, tenant: TenantCtx, hold: LegalHold) -> Result<()>;
    /// One legal hold.
    async fn hold(&self, tenant: TenantCtx, id: HoldId) -> Result<Option<LegalHold>>;
    /// All legal holds, oldest first, also those that were released.
    async fn holds(&self, tenant: TenantCtx) -> Result<Vec<LegalHold>>;

    /// What the tenant chose; nothing chosen where it did not.
    async fn retention(&self, tenant: TenantCtx) -> Result<Retention>;
    /// Replaces what the tenant chose.
    async fn put_retention(&self, tenant: TenantCtx, retention: Retention) -> Result<()>;
    /// Keeps the proof of a sweep, in place of the one before of the same class.
    async fn put_sweep(&self, tenant: TenantCtx, sweep: SweepRecord) -> Result<()>;
    /// The latest sweep of each class.
    async fn sweeps(&self, tenant: TenantCtx) -> Result<Vec<SweepRecord>>;
    /// The latest sweep of a class.
    async fn sweep_of(&self, tenant: TenantCtx, class: Class) -> Result<Option<SweepRecord>> {
        Ok(self.sweeps(tenant).await?.into_iter().find(|sweep| sweep.class == class))
    }

    /// All who proved to be the same person as this contact, with their conversations and files; nobody when
    /// nothing is there of them.
    async fn person(&self, tenant: TenantCtx, contact: ContactId) -> Result<Person>;
    /// Erases a person: every record of theirs, but for those of the classes to keep, a part at a time; where
    /// nothing is kept, their keys and what leads to them in the last write, with the event that tells of it,
    /// and a keyed hash of who refused messages. Their files are not touched. It may be interrupted anywhere and begun anew. How many records went, by
    /// place. Their conversations are not to run meanwhile.
    async fn erase(
        &self,
        tenant: TenantCtx,
        person: Person,
        keep: Vec<Class>,
    ) -> Result<BTreeMap<Place, u64>>;
    /// Turns the epoch of a tenant's keys: every key that lives is wrapped by a new one, the former ones are
    /// destroyed, and with them what was erased. `before_retiring` is asked just before that, in this thread. It
    /// may be interrupted anywhere and begun anew.
    async fn turn_epoch(
        &self,
        tenant: TenantCtx,
        before_retiring: &(dyn Fn() -> Result<()> + Sync),
    ) -> Result<Turned>;
    /// Whether the tenant's keys are of more than one epoch: a turn was interrupted, or a backup restored.
    async fn is_turning(&self, tenant: TenantCtx) -> Result<bool>;
    /// Removes what of a class is from before a moment and no hold covers, one part of it, from there on.
    async fn sweep(
        &self,
        tenant: TenantCtx,
        class: Class,
        before: Timestamp,
        holds: Vec<LegalHold>,
        from: Option<SweptFrom>,
    ) -> Result<Swept>;
    /// Contacts in whose conversation nothing was said since a moment, of the next `limit` conversations, and
    /// where it goes on.
    async fn silent_contacts(
        &self,
        tenant: TenantCtx,
        before: Timestamp,
        after: Option<ConversationId>,
        limit: usize,
    ) -> Result<(Vec<ContactId>, Option<ConversationId>)>;
    /// Destroys all that a tenant has, its keys with it; nothing of it opens any more, and there is no such
    /// tenant afterwards. How many records went, by place. It may be interrupted anywhere and begun anew.
    async fn destroy_tenant(&self, tenant: TenantId) -> Result<BTreeMap<Place, u64>>;

    /// Opens every record that there is and holds it against the data map.
    async fn scan_map(&self) -> Result<MapScan>;

    /// Keeps a certificate of destruction, in place of one of the same tenant.
    async fn put_certificate(&self, certificate: DestructionCertificate) -> Result<()>;
    /// The certificate of a tenant's destruction, also while that is under way.
    async fn certificate(&self, tenant: TenantId) -> Result<Option<DestructionCertificate>>;
    /// All certificates, by tenant.
    async fn certificates(&self) -> Result<Vec<DestructionCertificate>>;
}
