//! End users, as one tenant knows them.

use serde::{Deserialize, Serialize};

use crate::id::{ChannelId, ContactId, ConversationId};
use crate::{Pii, Timestamp};

/// What a webhook knows an end user by. At least one of the two is there, and neither is empty.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContactIdentity {
    /// The `WhatsApp` id, mostly a phone number without `+`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wa_id: Option<Pii<String>>,
    /// The business-scoped user id (`user_id`); the only one there is for people with a username.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<Pii<String>>,
}

impl ContactIdentity {
    /// An identity from what was said; `None` when nothing was, or only empty texts.
    pub fn new(wa_id: Option<String>, user_id: Option<String>) -> Option<Self> {
        let said = |text: Option<String>| text.filter(|text| !text.trim().is_empty()).map(Pii::new);
        let identity = Self { wa_id: said(wa_id), user_id: said(user_id) };
        (identity.wa_id.is_some() || identity.user_id.is_some()).then_some(identity)
    }

    /// Its parts with the names under which they are told apart.
    pub fn parts(&self) -> impl Iterator<Item = (&'static str, &Pii<String>)> {
        let wa_id = self.wa_id.as_ref().map(|id| ("wa_id", id));
        wa_id.into_iter().chain(self.user_id.as_ref().map(|id| ("user_id", id)))
    }
}

/// An end user of one tenant.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contact {
    /// Their identifier, random and of this tenant alone.
    pub id: ContactId,
    /// The channel on which they write.
    pub channel: ChannelId,
    /// Their conversation there.
    pub conversation: ConversationId,
    /// What they are known by.
    pub identity: ContactIdentity,
    /// The name that they gave themselves on the channel.
    pub profile_name: Option<Pii<String>>,
    /// When they first wrote.
    pub created_at: Timestamp,
}
