//! What webhooks say, in the platform's words.

use serde::{Deserialize, Serialize};

use crate::contact::ContactIdentity;
use crate::delivery::Delivery;
use crate::id::MessageId;
use crate::message::Content;
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

/// What happened.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum InboundKind {
    /// An end user wrote.
    MessageReceived {
        /// Meta's id of the message.
        provider_id: Pii<String>,
        /// Who wrote.
        from: ContactIdentity,
        /// The name that they gave themselves.
        profile_name: Option<Pii<String>>,
        /// What they wrote.
        content: Content,
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
