//! What webhooks say, in the platform's words.

use serde::{Deserialize, Serialize};

use crate::Mapped;
use crate::channel::Notice;
use crate::contact::ContactIdentity;
use crate::content::{Content, Context, Referral};
use crate::delivery::{Delivery, DeliveryStatus};
use crate::id::MessageId;
use crate::message::Elsewhere;
use crate::{Pii, Timestamp};

/// One thing that a webhook says.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[data(part)]
pub struct InboundEvent {
    /// What makes it the same event when it is delivered again, within its channel; never empty.
    /// Personal: Meta's message ids may encode a phone number.
    #[data(technical)]
    pub dedup: Pii<String>,
    /// When it happened, as Meta says; the moment of arrival where Meta says nothing usable.
    #[data(operational)]
    pub occurred_at: Timestamp,
    /// What happened.
    #[data(parts)]
    pub kind: InboundKind,
}

/// On what occasion a message came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, Mapped)]
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
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[data(part)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum InboundKind {
    /// An end user wrote, chose or commented.
    MessageReceived {
        /// Meta's id of the message.
        #[data(content)]
        provider_id: Pii<String>,
        /// Who wrote.
        #[data(parts)]
        from: ContactIdentity,
        /// The name that they gave themselves.
        #[data(content)]
        profile_name: Option<Pii<String>>,
        /// What they wrote.
        #[data(parts)]
        content: Content,
        /// What it refers to.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[data(parts)]
        context: Option<Box<Context>>,
        /// What brought them here.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[data(parts)]
        referral: Option<Box<Referral>>,
        /// On what occasion it came.
        #[serde(default)]
        #[data(operational)]
        arrival: Arrival,
    },
    /// The business wrote: through us, or elsewhere. What we sent ourselves confirms our message.
    EchoReceived {
        /// Meta's id of the message.
        #[data(content)]
        provider_id: Pii<String>,
        /// To whom.
        #[data(parts)]
        to: ContactIdentity,
        /// Our own id of the message, where the channel gave it back (`metadata`).
        #[data(id)]
        message: Option<MessageId>,
        /// What was written.
        #[data(parts)]
        content: Content,
        /// What it refers to.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[data(parts)]
        context: Option<Box<Context>>,
        /// Through what, as far as it is said.
        #[data(parts)]
        through: Elsewhere,
        /// On what occasion it came.
        #[serde(default)]
        #[data(operational)]
        arrival: Arrival,
    },
    /// A message was changed by its writer.
    MessageEdited {
        /// Meta's id of the message that was changed.
        #[data(content)]
        provider_id: Pii<String>,
        /// The contact whose conversation it is in, where the webhook says so.
        #[data(parts)]
        contact: Option<ContactIdentity>,
        /// What it says now; nothing where the webhook does not say.
        #[data(parts)]
        content: Option<Content>,
    },
    /// A message was taken back by its writer. Nothing of it may be kept, also when it comes later.
    MessageRemoved {
        /// Meta's id of the message that was taken back.
        #[data(content)]
        provider_id: Pii<String>,
        /// The contact whose conversation it is in, where the webhook says so.
        #[data(parts)]
        contact: Option<ContactIdentity>,
    },
    /// A sign was put on a message, or taken off.
    Reacted {
        /// Meta's id of the message.
        #[data(content)]
        provider_id: Pii<String>,
        /// The end user; it is they who reacted unless `by_business`.
        #[data(parts)]
        contact: ContactIdentity,
        /// Whether the business did it, elsewhere.
        #[serde(default)]
        #[data(operational)]
        by_business: bool,
        /// The emoji, or the reaction's name; nothing when it was taken off.
        #[data(content)]
        emoji: Option<Pii<String>>,
    },
    /// The channel reports how far a message of ours got.
    StatusChanged {
        /// Meta's id of our message.
        #[data(content)]
        provider_id: Pii<String>,
        /// Our own id of it, where the channel gave it back (`biz_opaque_callback_data`).
        #[data(id)]
        message: Option<MessageId>,
        /// To whom the message went, where the report says so.
        #[data(parts)]
        recipient: Option<ContactIdentity>,
        /// The report.
        #[data(parts)]
        delivery: Delivery,
    },
    /// The channel reports that everything up to here was delivered, or read.
    SeenUpTo {
        /// Who has it.
        #[data(parts)]
        contact: ContactIdentity,
        /// Up to where.
        #[data(parts)]
        up_to: SeenMark,
        /// Delivered or read.
        #[data(operational)]
        status: DeliveryStatus,
    },
    /// An end user did something that is no message: came through an ad, called, opted in.
    ContactActed {
        /// Who.
        #[data(parts)]
        contact: ContactIdentity,
        /// The name that they gave themselves.
        #[data(content)]
        profile_name: Option<Pii<String>>,
        /// What, in dotted words: `referral`, `call`, `optin`, `feedback`.
        #[data(operational)]
        what: String,
        /// What brought them here.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[data(parts)]
        referral: Option<Box<Referral>>,
        /// Whether it lets the business write for a while.
        #[data(operational)]
        opens_window: bool,
        /// The element as it came, where it says more.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[data(content)]
        raw: Option<Pii<String>>,
    },
    /// A contact allows or refuses advertising.
    MarketingChanged {
        /// Who.
        #[data(parts)]
        contact: ContactIdentity,
        /// Whether it is allowed from now on.
        #[data(operational)]
        allowed: bool,
    },
    /// A contact has another number or id from now on.
    IdentityChanged {
        /// What they were known by.
        #[data(parts)]
        from: ContactIdentity,
        /// What they are known by now.
        #[data(parts)]
        to: ContactIdentity,
    },
    /// Who answers on the channel changed between this app and others.
    ThreadControlChanged {
        /// In whose conversation.
        #[data(parts)]
        contact: ContactIdentity,
        /// What happened.
        #[data(operational)]
        change: ThreadChange,
        /// Meta's id of the app that has it now, where it is named.
        #[data(operational)]
        owner: Option<String>,
    },
    /// Meta says something about the number, the page or the business account.
    Noticed(#[data(parts)] Notice),
    /// Authentic, but not something that this version acts on: kept whole, and shown by its kind.
    Kept {
        /// What it is, in dotted words: `message.image`, `account_update`, `unreadable`.
        #[data(operational)]
        kind: String,
        /// The end user whom it is about, if one is named: it is then sealed and erased with them.
        #[data(parts)]
        contact: Option<ContactIdentity>,
        /// The element as it came.
        #[data(content)]
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
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[data(part)]
#[serde(tag = "mark", rename_all = "snake_case")]
pub enum SeenMark {
    /// Everything that was sent until then.
    Moment {
        /// When.
        #[data(operational)]
        at: Timestamp,
    },
    /// This message and everything before it.
    Message {
        /// Meta's id of it.
        #[data(content)]
        provider_id: Pii<String>,
    },
}

/// What happened to the control of a thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[serde(rename_all = "snake_case")]
pub enum ThreadChange {
    /// It was passed on to the owner that is named.
    Passed,
    /// It was taken from us, by the owner that is named.
    Taken,
    /// Another app asks for it.
    Requested,
}
