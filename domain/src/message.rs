//! Messages and what is in them.

use serde::{Deserialize, Serialize};

use crate::delivery::Delivery;
use crate::id::{ConversationId, MessageId, TurnId};
use crate::{Pii, Timestamp};

/// What a message says.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Content {
    /// Plain text.
    Text {
        /// The text, as it was written.
        body: Pii<String>,
    },
}

impl Content {
    /// Plain text.
    pub fn text(body: impl Into<String>) -> Self {
        Self::Text { body: Pii::new(body.into()) }
    }
}

/// Who wrote a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "snake_case")]
pub enum Author {
    /// The end user.
    Contact,
    /// The assistant, in this turn.
    Assistant {
        /// The turn that wrote it.
        turn: TurnId,
    },
    /// A person at the desk.
    Operator {
        /// Who, as the audit trail names them.
        name: String,
    },
}

/// One message of a conversation.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Its identifier.
    pub id: MessageId,
    /// The conversation that it belongs to.
    pub conversation: ConversationId,
    /// Who wrote it.
    pub author: Author,
    /// What it says.
    pub content: Content,
    /// When it was written: Meta's time for what came in, ours for what goes out.
    pub sent_at: Timestamp,
    /// When it was recorded here.
    pub recorded_at: Timestamp,
    /// Meta's id of it, once known. Personal: it may encode a phone number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider_id: Option<Pii<String>>,
    /// How far it got; only for what goes out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivery: Option<Delivery>,
}

impl Message {
    /// Whether the end user wrote it.
    pub fn is_inbound(&self) -> bool {
        self.author == Author::Contact
    }
}
