//! Messages: who wrote what, to whom, and what became of it.

use serde::{Deserialize, Serialize};

use crate::Mapped;
pub use crate::content::Content;
use crate::content::{Context, Referral};
use crate::delivery::Delivery;
use crate::id::{ConversationId, MessageId, TurnId};
use crate::{Pii, Timestamp};

/// Who wrote a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[data(part)]
#[serde(tag = "by", rename_all = "snake_case")]
pub enum Author {
    /// The end user.
    Contact,
    /// The assistant, in this turn.
    Assistant {
        /// The turn that wrote it.
        #[data(id)]
        turn: TurnId,
    },
    /// A person at the desk.
    Operator {
        /// Who, as the audit trail names them.
        #[data(account)]
        name: String,
    },
    /// The business, elsewhere: on its own phone, in Meta's inbox, through another app.
    Business {
        /// Where.
        #[data(parts)]
        through: Elsewhere,
    },
}

/// Where the business writes besides this platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[data(part)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(tag = "where", rename_all = "snake_case")]
pub enum Elsewhere {
    /// The owner's phone.
    Phone,
    /// Meta's own inbox.
    Inbox,
    /// Another app.
    App {
        /// Meta's id of it, where it is named.
        #[data(technical)]
        app_id: Option<String>,
    },
    /// Nobody says: Instagram's echoes name no app.
    Unnamed,
}

impl Elsewhere {
    /// As an operator's name, for the record of who has control.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Phone => "the owner's phone",
            Self::Inbox => "Meta's inbox",
            Self::App { .. } => "another app",
            Self::Unnamed => "the business",
        }
    }
}

/// A sign put on a message.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[data(part)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Reaction {
    /// Whether the end user put it there, or the business.
    #[data(operational)]
    pub by_contact: bool,
    /// The emoji, or the name of the reaction.
    #[data(content)]
    pub emoji: Pii<String>,
}

/// One message of a conversation.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[data(purpose = "deliver", basis = "contract", keep = "message")]
pub struct Message {
    /// Its identifier.
    #[data(id)]
    pub id: MessageId,
    /// The conversation that it belongs to.
    #[data(id)]
    pub conversation: ConversationId,
    /// Who wrote it.
    #[data(parts)]
    pub author: Author,
    /// What it says.
    #[data(parts)]
    pub content: Content,
    /// What it refers to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[data(parts)]
    pub context: Option<Box<Context>>,
    /// What brought its writer here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[data(parts)]
    pub referral: Option<Box<Referral>>,
    /// When it was written: Meta's time for what came in, ours for what goes out.
    #[data(operational)]
    pub sent_at: Timestamp,
    /// When it was recorded here.
    #[data(operational)]
    pub recorded_at: Timestamp,
    /// When it was last changed by its writer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[data(operational)]
    pub edited_at: Option<Timestamp>,
    /// When its writer took it back; its content is then [`Content::Removed`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[data(operational)]
    pub removed_at: Option<Timestamp>,
    /// The signs on it, one of each side at most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[data(parts)]
    pub reactions: Vec<Reaction>,
    /// Meta's id of it, once known. Personal: it may encode a phone number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[data(content)]
    pub provider_id: Option<Pii<String>>,
    /// How far it got; only for what goes out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[data(parts)]
    pub delivery: Option<Delivery>,
    /// How often it was sent again after the channel had accepted it and then reported that it did
    /// not arrive.
    #[serde(default, skip_serializing_if = "is_zero")]
    #[data(operational)]
    pub resent: u8,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out a reference")]
const fn is_zero(count: &u8) -> bool {
    *count == 0
}

impl Message {
    /// A message that was written at `at` and recorded at once; the rest is filled in where it
    /// differs.
    pub const fn new(
        id: MessageId,
        conversation: ConversationId,
        author: Author,
        content: Content,
        at: Timestamp,
    ) -> Self {
        Self {
            id,
            conversation,
            author,
            content,
            context: None,
            referral: None,
            sent_at: at,
            recorded_at: at,
            edited_at: None,
            removed_at: None,
            reactions: Vec::new(),
            provider_id: None,
            delivery: None,
            resent: 0,
        }
    }

    /// Whether the end user wrote it.
    pub fn is_inbound(&self) -> bool {
        self.author == Author::Contact
    }

    /// Puts a sign on it, or takes it off. Says whether that changed anything.
    pub fn react(&mut self, by_contact: bool, emoji: Option<Pii<String>>) -> bool {
        let before = self.reactions.clone();
        self.reactions.retain(|reaction| reaction.by_contact != by_contact);
        if self.removed_at.is_none() {
            self.reactions.extend(emoji.map(|emoji| Reaction { by_contact, emoji }));
        }
        self.reactions != before
    }

    /// Takes its content away, for good. Says whether there was any.
    pub fn remove(&mut self, at: Timestamp) -> bool {
        let had = self.removed_at.is_none();
        self.removed_at = self.removed_at.or(Some(at));
        self.content = Content::Removed;
        self.context = None;
        self.referral = None;
        self.reactions.clear();
        had
    }
}
