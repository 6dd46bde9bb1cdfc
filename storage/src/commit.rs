//! What is written together.

use serde::{Deserialize, Serialize};

use iassistance_domain::Mapped;
use iassistance_domain::conversation::{Conversation, Epoch};
use iassistance_domain::delivery::Delivery;
use iassistance_domain::event::{DeadLetter, EventKind};
use iassistance_domain::id::{ConversationId, MessageId};
use iassistance_domain::inbound::InboundEvent;
use iassistance_domain::message::Message;
use iassistance_domain::outbox::{OutboxEntry, SendOutcome};
use iassistance_domain::summary::Summary;
use iassistance_domain::turn::TurnRecord;
use iassistance_domain::{Pii, Timestamp};

/// How a batch of inbound events was taken in. Durable when returned.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Accepted {
    /// For each event, in order: whether it was new. A duplicate is accepted and has no effect.
    pub new: Vec<bool>,
    /// The conversations that have new letters, each once.
    pub conversations: Vec<ConversationId>,
}

/// A letter in a conversation's inbox.
#[derive(Clone, PartialEq, Eq)]
pub struct InboxEntry {
    /// Its place in the tenant's inbox; acknowledged by it.
    pub seq: u64,
    /// When it was accepted.
    pub accepted_at: Timestamp,
    /// What it says.
    pub letter: Letter,
}

/// What a letter says.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[data(part)]
#[serde(tag = "letter", rename_all = "snake_case")]
#[expect(clippy::large_enum_variant, reason = "nearly all letters are of the large kind")]
pub enum Letter {
    /// A webhook said something about this conversation.
    Inbound {
        /// The message that this is or is about: for what was written, the id that it was given at
        /// accept; for what refers to a message, the id of that one, if it is known.
        #[data(id)]
        message: Option<MessageId>,
        /// What was said. A status has its own `message` filled in too, however it was found.
        #[data(parts)]
        event: InboundEvent,
    },
    /// Handing a message over ended.
    Dispatched(#[data(parts)] SendReport),
}

/// How handing a message over ended.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[data(part)]
pub struct SendReport {
    /// The message.
    #[data(id)]
    pub message: MessageId,
    /// When.
    #[data(operational)]
    pub at: Timestamp,
    /// How.
    #[data(parts)]
    pub outcome: SendOutcome,
}

/// What one step of a conversation writes, atomically.
#[derive(Clone)]
pub struct ConversationCommit {
    /// The new state.
    pub conversation: Conversation,
    /// The revision that was loaded: any other in the store makes this commit [`Stale`].
    ///
    /// [`Stale`]: crate::StorageError::Stale
    pub revision: u64,
    /// The letters that this step took into account; they are gone with this write.
    pub acknowledge: Vec<u64>,
    /// New messages, or present ones as they are now. Those with a `provider_id` can be found by it
    /// from now on.
    pub messages: Vec<Message>,
    /// Messages of ours that got further, with Meta's id where it became known.
    pub deliveries: Vec<(MessageId, Delivery, Option<Pii<String>>)>,
    /// New work on its way out, in order.
    pub outbox: Vec<OutboxEntry>,
    /// Outbox entries that a report settled and that leave the outbox (an unknown outcome that the
    /// channel's report decided, for instance).
    pub outbox_done: Vec<MessageId>,
    /// Execution records, new or changed. Of one whose turn began before a message was taken back, the
    /// words are left out.
    pub turns: Vec<TurnRecord>,
    /// Work that was given up, new or changed (by id).
    pub dead_letters: Vec<DeadLetter>,
    /// Facts about the contact, by name: those of a name that is known are replaced. At most 50 are
    /// kept; a new name beyond that is left out.
    pub attributes: Vec<(String, Pii<String>)>,
    /// What becomes of the conversation's summary.
    pub summary: Option<SummaryChange>,
    /// Facts for the tenant's log, in order.
    pub events: Vec<EventKind>,
}

/// What becomes of a conversation's summary.
#[derive(Clone, PartialEq, Eq)]
pub enum SummaryChange {
    /// This is it from now on; unless a message was taken back since what it is made of was read
    /// (`made_at`): then all stays as it is.
    Put(Summary),
    /// There is none from now on.
    Drop,
}

impl ConversationCommit {
    /// A commit of nothing but the state.
    pub fn new(conversation: Conversation, revision: u64) -> Self {
        Self {
            conversation,
            revision,
            acknowledge: Vec::new(),
            messages: Vec::new(),
            deliveries: Vec::new(),
            outbox: Vec::new(),
            outbox_done: Vec::new(),
            turns: Vec::new(),
            dead_letters: Vec::new(),
            attributes: Vec::new(),
            summary: None,
            events: Vec::new(),
        }
    }
}

/// The end of a turn: what a conversation writes, valid only in the turn's epoch.
#[derive(Clone)]
pub struct TurnCommit {
    /// The epoch of the turn: the stored conversation must still be in it, or the commit is refused
    /// as [`Stale`](crate::StorageError::Stale).
    pub epoch: Epoch,
    /// What is written.
    pub commit: ConversationCommit,
}
