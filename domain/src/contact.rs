//! End users, as one tenant knows them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Mapped;
use crate::id::{ChannelId, ContactId, ConversationId};
use crate::privacy::rights::Standing;
use crate::{Pii, Timestamp};

/// What a webhook knows an end user by. At least one of them is there, and none is empty.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize, Mapped)]
#[data(part)]
pub struct ContactIdentity {
    /// The `WhatsApp` id, mostly a phone number without `+`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[data(identity)]
    pub wa_id: Option<Pii<String>>,
    /// `WhatsApp`'s business-scoped user id (`user_id`); the only one there is for people with a
    /// username.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[data(identity)]
    pub user_id: Option<Pii<String>>,
    /// Messenger's page-scoped id or Instagram's account-scoped id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[data(identity)]
    pub scoped_id: Option<Pii<String>>,
}

impl ContactIdentity {
    /// A `WhatsApp` identity from what was said; `None` when nothing was, or only empty texts.
    pub fn new(wa_id: Option<String>, user_id: Option<String>) -> Option<Self> {
        Self { wa_id: said(wa_id), user_id: said(user_id), scoped_id: None }.if_any()
    }

    /// A Messenger or Instagram identity; `None` for an empty text.
    pub fn scoped(id: Option<String>) -> Option<Self> {
        Self { scoped_id: said(id), ..Self::default() }.if_any()
    }

    fn if_any(self) -> Option<Self> {
        let any = self.parts().next().is_some();
        any.then_some(self)
    }

    /// Its parts with the names under which they are told apart.
    pub fn parts(&self) -> impl Iterator<Item = (&'static str, &Pii<String>)> {
        let parts = [("wa_id", &self.wa_id), ("user_id", &self.user_id), ("scoped_id", &self.scoped_id)];
        parts.into_iter().filter_map(|(name, part)| Some((name, part.as_ref()?)))
    }

    /// The part of this name, to be changed.
    pub fn part_mut(&mut self, name: &str) -> &mut Option<Pii<String>> {
        match name {
            "wa_id" => &mut self.wa_id,
            "user_id" => &mut self.user_id,
            _ => &mut self.scoped_id,
        }
    }
}

fn said(text: Option<String>) -> Option<Pii<String>> {
    text.filter(|text| !text.trim().is_empty()).map(Pii::new)
}

/// An end user of one tenant.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[data(purpose = "deliver", basis = "contract", keep = "contact")]
pub struct Contact {
    /// Their identifier, random and of this tenant alone.
    #[data(id)]
    pub id: ContactId,
    /// The channel on which they write.
    #[data(id)]
    pub channel: ChannelId,
    /// Their conversation there.
    #[data(id)]
    pub conversation: ConversationId,
    /// What they are known by.
    #[data(parts)]
    pub identity: ContactIdentity,
    /// The name that they gave themselves on the channel.
    #[data(identity)]
    pub profile_name: Option<Pii<String>>,
    /// Those who proved to be the same person; their conversations stay, and new messages come here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[data(id)]
    pub merged: Vec<ContactId>,
    /// Facts that the assistant noted about them, by name; at most 50.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[data(identity)]
    pub attributes: BTreeMap<String, Pii<String>>,
    /// How what is known of them stands: corrected, in dispute, for few.
    #[serde(default, skip_serializing_if = "Standing::is_plain")]
    #[data(parts)]
    pub standing: Standing,
    /// When they first wrote.
    #[data(operational)]
    pub created_at: Timestamp,
}
