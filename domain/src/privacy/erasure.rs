//! Erasures: who asked that somebody's data go, how far that is, and the receipt.

use serde::{Deserialize, Serialize};

use super::disclosure::Disclosures;
use super::retention::Class;
use super::suppression::Suppression;
use crate::Mapped;
use crate::Timestamp;
use crate::audit::Actor;
use crate::id::{ContactId, ConversationId, DeletionId, ErasureId, HoldId};

/// One person's data on its way out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[data(purpose = "rights", basis = "obligation", keep = "proof")]
pub struct Erasure {
    /// Its identifier.
    #[data(id)]
    pub id: ErasureId,
    /// Whom it was asked about.
    #[data(id)]
    pub contact: ContactId,
    /// All contacts who proved to be that person: all of them go.
    #[data(id)]
    pub contacts: Vec<ContactId>,
    /// Their conversations.
    #[serde(default)]
    #[data(id)]
    pub conversations: Vec<ConversationId>,
    /// Why.
    #[data(parts)]
    pub ground: ErasureGround,
    /// When it was asked for.
    #[data(operational)]
    pub asked_at: Timestamp,
    /// When the law wants it done: keys are final before that.
    #[data(operational)]
    pub due_at: Timestamp,
    /// What they had refused, if anything: it stays under a keyed hash of who they were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[data(parts)]
    pub refused: Option<Suppression>,
    /// How far it is.
    #[data(parts)]
    pub state: ErasureState,
    /// What was destroyed, and what remains.
    #[serde(default)]
    #[data(parts)]
    pub receipt: Receipt,
    /// Who had been handed what about them, as their ledger said when it went: they are told of the erasure.
    #[serde(default)]
    #[data(parts)]
    pub disclosures: Disclosures,
}

/// Why somebody's data goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[data(part)]
#[serde(tag = "why", rename_all = "snake_case")]
pub enum ErasureGround {
    /// The person asked for it, or the tenant did for them.
    Asked {
        /// Who took it up.
        #[data(parts)]
        by: Actor,
    },
    /// Meta passed it on.
    Meta {
        /// As this request.
        #[data(id)]
        deletion: DeletionId,
    },
    /// They have been silent for as long as the tenant keeps contacts.
    Retention,
    /// A backup brought them back after they were erased.
    Restored,
}

/// How far an erasure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[data(part)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum ErasureState {
    /// It is under way, and goes on at the next start if it is interrupted.
    Begun,
    /// All is gone that no legal hold keeps; the rest goes when that is released.
    Held {
        /// The hold.
        #[data(id)]
        hold: HoldId,
        /// Since when.
        #[data(operational)]
        since: Timestamp,
    },
    /// All is gone from what is served, with the key; the key's former wrapping is not destroyed yet.
    Erased {
        /// When.
        #[data(operational)]
        at: Timestamp,
    },
    /// The key that wrapped the person's key is destroyed too.
    Final {
        /// When it was erased.
        #[data(operational)]
        erased_at: Timestamp,
        /// When it became final.
        #[data(operational)]
        at: Timestamp,
        /// How final that is.
        #[data(operational)]
        finality: Finality,
    },
}

impl ErasureState {
    /// Its name, as in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Begun => "begun",
            Self::Held { .. } => "held",
            Self::Erased { .. } => "erased",
            Self::Final { .. } => "final",
        }
    }

    /// Whether nothing is left to be done.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Final { .. })
    }
}

/// How final the destruction of a key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Finality {
    /// The root key is on this machine: its medium may hold bytes of former keyrings, which only a change of
    /// the root key closes.
    Local,
    /// The root key is a key service's, which destroyed the version.
    Kms,
}

/// Where something was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Mapped)]
#[data(part)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(as = ErasurePlace))]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// The person's key.
    SubjectKey,
    /// Who they are, and the addresses that led to them.
    Contacts,
    /// Their conversations' states.
    Conversations,
    /// Messages in both directions, and the ids by which they are found.
    Messages,
    /// Files of messages.
    Files,
    /// Summaries.
    Summaries,
    /// Vectors made of what they wrote. None are made: only documents of the tenant are embedded.
    Embeddings,
    /// Execution records.
    Executions,
    /// Events of the log.
    Events,
    /// What waited to be read.
    Inbox,
    /// What waited to be sent.
    Outbox,
    /// Work that was given up.
    DeadLetters,
    /// Answers to requests that may be repeated.
    Answers,
    /// Copies of events on their way to the tenant's own systems.
    Webhooks,
    /// Reports that waited for a message.
    Parked,
    /// Records that were set aside because they did not open.
    Quarantine,
    /// Sums of money spent on them.
    Spending,
    /// The ledger of who was handed what.
    Disclosures,
    /// Webhooks for addresses that nobody connected.
    Unrouted,
    /// The access log.
    AccessLog,
    /// The audit log.
    AuditLog,
    /// How the tenant had set the platform up.
    Settings,
    /// The keys of a tenant.
    TenantKeys,
}

impl Place {
    /// All there are.
    pub const ALL: [Self; 23] = [
        Self::SubjectKey,
        Self::Contacts,
        Self::Conversations,
        Self::Messages,
        Self::Files,
        Self::Summaries,
        Self::Embeddings,
        Self::Executions,
        Self::Events,
        Self::Inbox,
        Self::Outbox,
        Self::DeadLetters,
        Self::Answers,
        Self::Webhooks,
        Self::Parked,
        Self::Quarantine,
        Self::Spending,
        Self::Disclosures,
        Self::Unrouted,
        Self::AccessLog,
        Self::AuditLog,
        Self::Settings,
        Self::TenantKeys,
    ];
}

/// How something was destroyed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// The record or file was removed, and what is left of its bytes does not open without the key.
    Removed,
    /// Its key was destroyed: its bytes may be there and do not open.
    Shredded,
}

/// What was destroyed at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[data(part)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Destroyed {
    /// Where.
    #[data(operational)]
    pub place: Place,
    /// How many.
    #[data(operational)]
    pub count: u64,
    /// How.
    #[data(operational)]
    pub how: How,
}

/// What remains of somebody, and until when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[data(part)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Remains {
    /// What.
    #[data(parts)]
    pub what: Remainder,
    /// Until when; nothing where no moment is set.
    #[cfg_attr(feature = "schema", schema(value_type = Option<i64>))]
    #[data(operational)]
    pub until: Option<Timestamp>,
}

/// What may remain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[data(part)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Remainder {
    /// A duty to keep.
    Hold {
        /// Which.
        #[cfg_attr(feature = "schema", schema(value_type = String))]
        #[data(id)]
        hold: HoldId,
        /// These classes; all, if none is named.
        #[data(operational)]
        classes: Vec<Class>,
    },
    /// Sealed records in backups, which are erased again before a restored store is served.
    Backups,
    /// Copies of the keyring from before, with which a backup from before could be opened.
    KeyCopies,
    /// The key's former wrapping: it goes with the tenant's key epoch.
    KeyEpoch,
    /// Random ids in the audit and access logs, without anything that was said.
    Ids,
    /// Keyed hashes that keep Meta's repetitions out.
    Marks,
    /// A keyed hash of who wants no messages, so that they are not written to first again.
    Suppression,
}

/// What was destroyed, and what remains.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, Mapped)]
#[data(part)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Receipt {
    /// Place by place.
    #[data(parts)]
    pub destroyed: Vec<Destroyed>,
    /// What is left.
    #[data(parts)]
    pub remains: Vec<Remains>,
}

impl Receipt {
    /// Adds to what was destroyed at a place.
    pub fn add(&mut self, place: Place, how: How, count: u64) {
        match self.destroyed.iter_mut().find(|known| known.place == place && known.how == how) {
            Some(known) => known.count += count,
            None => self.destroyed.push(Destroyed { place, count, how }),
        }
        self.destroyed.sort_by_key(|known| known.place);
    }

    /// How many were destroyed at a place.
    pub fn count(&self, place: Place) -> u64 {
        self.destroyed.iter().filter(|known| known.place == place).map(|known| known.count).sum()
    }
}
