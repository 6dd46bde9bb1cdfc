//! Durable work on its way out.

use serde::{Deserialize, Serialize};

use crate::Mapped;
use crate::contact::ContactIdentity;
use crate::conversation::Epoch;
use crate::delivery::DeliveryProblem;
use crate::id::{ChannelId, ContactId, ConversationId, MessageId};
use crate::message::Content;
use crate::{Pii, Timestamp};

/// What is to be said, and in answer to what.
#[derive(Clone, PartialEq, Eq)]
pub struct Draft {
    /// What is said.
    pub content: Content,
    /// What it answers, if it points at something.
    pub reply_to: Option<ReplyTo>,
}

impl From<Content> for Draft {
    fn from(content: Content) -> Self {
        Self { content, reply_to: None }
    }
}

/// What a message points at.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[data(part)]
#[serde(tag = "to", rename_all = "snake_case")]
pub enum ReplyTo {
    /// A message of the conversation.
    Message {
        /// Meta's id of it.
        #[data(content)]
        provider_id: Pii<String>,
    },
    /// A public comment, which gets one answer in private.
    Comment {
        /// Meta's id of it.
        #[data(content)]
        id: Pii<String>,
    },
}

/// A message that waits to be handed to its channel. It is known by its message's id, which also
/// travels with it as `biz_opaque_callback_data`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[data(purpose = "deliver", basis = "contract", keep = "message")]
pub struct OutboxEntry {
    /// The message.
    #[data(id)]
    pub message: MessageId,
    /// The conversation; its entries leave one at a time, in order.
    #[data(id)]
    pub conversation: ConversationId,
    /// Who gets it.
    #[data(id)]
    pub contact: ContactId,
    /// The channel that carries it.
    #[data(id)]
    pub channel: ChannelId,
    /// Their address there.
    #[data(parts)]
    pub to: ContactIdentity,
    /// What is sent.
    #[data(parts)]
    pub content: Content,
    /// What it points at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[data(parts)]
    pub reply_to: Option<ReplyTo>,
    /// For the assistant's words: the epoch in which they were committed. They leave only while
    /// that is not below the conversation's floor. A person's words have none.
    #[data(operational)]
    pub epoch: Option<Epoch>,
    /// Whether a person wrote it, who is not the assistant sent again by one: some channels let that
    /// leave for longer.
    #[serde(default)]
    #[data(operational)]
    pub by_person: bool,
    /// After this moment only what a person wrote may leave, marked as such.
    #[data(operational)]
    pub free_until: Timestamp,
    /// After this moment it may not leave: the channel's answering window has closed.
    #[data(operational)]
    pub window_until: Timestamp,
    /// How many times it was handed over.
    #[data(operational)]
    pub attempts: u32,
    /// Where it stands.
    #[data(parts)]
    pub state: OutboxState,
    /// When it was committed.
    #[data(operational)]
    pub queued_at: Timestamp,
}

/// Where an outbox entry stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[data(part)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum OutboxState {
    /// Waits; not before this moment.
    Waiting {
        /// When it may leave at the earliest.
        #[data(operational)]
        not_before: Timestamp,
    },
    /// It is being handed over, or was when the process ended: written down before the first byte
    /// leaves, so that a crash cannot make a send forgotten.
    Dispatching {
        /// Since when.
        #[data(operational)]
        since: Timestamp,
    },
    /// It was handed over and no answer came. It is reconciled by what the channel reports, and
    /// never repeated blindly.
    Unknown {
        /// Since when.
        #[data(operational)]
        since: Timestamp,
    },
}

/// How handing a message over ended.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[data(part)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum SendOutcome {
    /// The channel accepted it.
    Sent {
        /// Meta's id of it.
        #[data(content)]
        provider_id: Pii<String>,
    },
    /// It did not leave, and is tried again.
    Postponed {
        /// When.
        #[data(operational)]
        not_before: Timestamp,
        /// Whether that counts as a try: it does not while the whole channel is held.
        #[serde(default)]
        #[data(operational)]
        uncounted: bool,
        /// Why.
        #[data(parts)]
        problem: DeliveryProblem,
    },
    /// It did not leave and will not.
    Refused {
        /// Why.
        #[data(parts)]
        problem: DeliveryProblem,
    },
    /// No answer came: it may or may not have left.
    Unknown,
    /// It never left: control changed hands, or the window closed.
    Withdrawn {
        /// Why.
        #[data(operational)]
        reason: WithdrawnReason,
    },
}

/// Why a committed message was not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[serde(rename_all = "snake_case")]
pub enum WithdrawnReason {
    /// A person took the conversation over, or the contact opted out.
    ControlChanged,
    /// The channel's answering window closed.
    WindowClosed,
}
