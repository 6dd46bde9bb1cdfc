//! What webhooks say, in the platform's words.

use serde::{Deserialize, Serialize};

use crate::channel::Notice;
use crate::contact::ContactIdentity;
use crate::content::{Content, Context, Referral};
use crate::delivery::{Delivery, DeliveryStatus};
use crate::id::MessageId;
use crate::message::Elsewhere;
use crate::{Pii, Timestamp};

/// One thing that a webhook says.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InboundEvent {
    /// What makes it the same event when it is delivered again, within its channel; never empty.
    /// Personal: Meta's message ids may encode a phone number.
    pub dedup: Pii<String>,
    /// When it happened, as Meta says; the moment of arrival where Meta says nothing usable.
    pub occurred_at: Timestamp,
    /// What happened.
    pub kind: InboundKind,
}

/// On what occasion a message came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arrival {
    /// It was written to us now.
    #[default]
    Live,
    /// Another app has the conversation, and we only listen: it is stored and not answered.
    Standby,
    /// It is old, and was handed over when the number was connected: stored, never answered.
    Imported,
}

/// What happened.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum InboundKind {
    /// An end user wrote, chose or commented.
    MessageReceived {
        /// Meta's id of the message.
        provider_id: Pii<String>,
        /// Who wrote.
        from: ContactIdentity,
        /// The name that they gave themselves.
        profile_name: Option<Pii<String>>,
        /// What they wrote.
        content: Content,
        /// What it refers to.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        context: Option<Box<Context>>,
        /// What brought them here.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        referral: Option<Box<Referral>>,
        /// On what occasion it came.
        #[serde(default)]
        arrival: Arrival,
    },
    /// The business wrote: through us, or elsewhere. What we sent ourselves confirms our message.
    EchoReceived {
        /// Meta's id of the message.
        provider_id: Pii<String>,
        /// To whom.
        to: ContactIdentity,
        /// Our own id of the message, where the channel gave it back (`metadata`).
        message: Option<MessageId>,
        /// What was written.
        content: Content,
        /// What it refers to.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        context: Option<Box<Context>>,
        /// Through what, as far as it is said.
        through: Elsewhere,
        /// On what occasion it came.
        #[serde(default)]
        arrival: Arrival,
    },
    /// A message was changed by its writer.
    MessageEdited {
        /// Meta's id of the message that was changed.
        provider_id: Pii<String>,
        /// The contact whose conversation it is in, where the webhook says so.
        contact: Option<ContactIdentity>,
        /// What it says now; nothing where the webhook does not say.
        content: Option<Content>,
    },
    /// A message was taken back by its writer. Nothing of it may be kept, also when it comes later.
    MessageRemoved {
        /// Meta's id of the message that was taken back.
        provider_id: Pii<String>,
        /// The contact whose conversation it is in, where the webhook says so.
        contact: Option<ContactIdentity>,
    },
    /// A sign was put on a message, or taken off.
    Reacted {
        /// Meta's id of the message.
        provider_id: Pii<String>,
        /// The end user; it is they who reacted unless `by_business`.
        contact: ContactIdentity,
        /// Whether the business did it, elsewhere.
        #[serde(default)]
        by_business: bool,
        /// The emoji, or the reaction's name; nothing when it was taken off.
        emoji: Option<Pii<String>>,
    },
    /// The channel reports how far a message of ours got.
    StatusChanged {
        /// Meta's id of our message.
        provider_id: Pii<String>,
        /// Our own id of it, where the channel gave it back (`biz_opaque_callback_data`).
        message: Option<MessageId>,
        /// To whom the message went, where the report says so.
        recipient: Option<ContactIdentity>,
        /// The report.
        delivery: Delivery,
    },
    /// The channel reports that everything up to here was delivered, or read.
    SeenUpTo {
        /// Who has it.
        contact: ContactIdentity,
        /// Up to where.
        up_to: SeenMark,
        /// Delivered or read.
        status: DeliveryStatus,
    },
    /// An end user did something that is no message: came through an ad, called, opted in.
    ContactActed {
        /// Who.
        contact: ContactIdentity,
        /// The name that they gave themselves.
        profile_name: Option<Pii<String>>,
        /// What, in dotted words: `referral`, `call`, `optin`, `feedback`.
        what: String,
        /// What brought them here.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        referral: Option<Box<Referral>>,
        /// Whether it lets the business write for a while.
        opens_window: bool,
        /// The element as it came, where it says more.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        raw: Option<Pii<String>>,
    },
    /// A contact allows or refuses advertising.
    MarketingChanged {
        /// Who.
        contact: ContactIdentity,
        /// Whether it is allowed from now on.
        allowed: bool,
    },
    /// A contact has another number or id from now on.
    IdentityChanged {
        /// What they were known by.
        from: ContactIdentity,
        /// What they are known by now.
        to: ContactIdentity,
    },
    /// Who answers on the channel changed between this app and others.
    ThreadControlChanged {
        /// In whose conversation.
        contact: ContactIdentity,
        /// What happened.
        change: ThreadChange,
        /// Meta's id of the app that has it now, where it is named.
        owner: Option<String>,
    },
    /// Meta says something about the number, the page or the business account.
    Noticed(Notice),
    /// Authentic, but not something that this version acts on: kept whole, and shown by its kind.
    Kept {
        /// What it is, in dotted words: `message.image`, `account_update`, `unreadable`.
        kind: String,
        /// The end user whom it is about, if one is named: it is then sealed and erased with them.
        contact: Option<ContactIdentity>,
        /// The element as it came.
        raw: Pii<String>,
    },
}

impl InboundKind {
    /// Its name, as in the `type` field.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::MessageReceived { .. } => "message_received",
            Self::EchoReceived { .. } => "echo_received",
            Self::MessageEdited { .. } => "message_edited",
            Self::MessageRemoved { .. } => "message_removed",
            Self::Reacted { .. } => "reacted",
            Self::StatusChanged { .. } => "status_changed",
            Self::SeenUpTo { .. } => "seen_up_to",
            Self::ContactActed { .. } => "contact_acted",
            Self::MarketingChanged { .. } => "marketing_changed",
            Self::IdentityChanged { .. } => "identity_changed",
            Self::ThreadControlChanged { .. } => "thread_control_changed",
            Self::Noticed(_) => "noticed",
            Self::Kept { .. } => "kept",
        }
    }
}

/// Up to where messages were seen.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "mark", rename_all = "snake_case")]
pub enum SeenMark {
    /// Everything that was sent until then.
    Moment {
        /// When.
        at: Timestamp,
    },
    /// This message and everything before it.
    Message {
        /// Meta's id of it.
        provider_id: Pii<String>,
    },
}

/// What happened to the control of a thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ThreadChange {
    /// It was passed on to the owner that is named.
    Passed,
    /// It was taken from us, by the owner that is named.
    Taken,
    /// Another app asks for it.
    Requested,
}
