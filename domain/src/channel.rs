//! Meta apps, and the numbers and pages that tenants connect through them.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::id::{ChannelId, MetaAppId, TenantId};

/// Which of Meta's products a channel speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ChannelKind {
    /// `WhatsApp` Cloud API; its address is a phone number id.
    Whatsapp,
}

impl ChannelKind {
    /// Its name in JSON, metrics and storage keys.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Whatsapp => "whatsapp",
        }
    }
}

/// A secret at rest inside a sealed record: an app secret, a token. Never printed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StoredSecret(String);

impl StoredSecret {
    /// Marks a text as secret.
    pub fn new(secret: impl Into<String>) -> Self {
        Self(secret.into())
    }

    /// The secret, for the one call that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether there is nothing in it. An empty secret proves nothing and is never accepted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for StoredSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// A Meta app: what its webhooks are signed with and verified by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetaApp {
    /// Our identifier; it stands in the webhook's address.
    pub id: MetaAppId,
    /// What people call it.
    pub name: String,
    /// The secrets that may have signed a webhook, newest first: several, so that one can be
    /// rotated and because Instagram events may be signed with a secret of their own.
    pub secrets: Vec<StoredSecret>,
    /// What Meta repeats when it verifies the webhook's address.
    pub verify_token: StoredSecret,
    /// When it was created.
    pub created_at: Timestamp,
}

/// A tenant's connected number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Channel {
    /// Its identifier.
    pub id: ChannelId,
    /// Whose it is.
    pub tenant: TenantId,
    /// The Meta app whose webhooks carry its events.
    pub meta_app: MetaAppId,
    /// Which product it speaks.
    pub kind: ChannelKind,
    /// Meta's id of it (`WhatsApp`: `phone_number_id`); unique over all tenants.
    pub external_id: String,
    /// What people call it, for instance the number as displayed.
    pub name: String,
    /// The bearer token for its sends.
    pub access_token: StoredSecret,
    /// When it was connected.
    pub created_at: Timestamp,
}

/// Where a webhook element says that it belongs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChannelAddress {
    /// The product.
    pub kind: ChannelKind,
    /// Meta's id of the number or page; never empty.
    pub external_id: String,
}

/// What the channel directory answers for a [`ChannelAddress`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// Whose channel it is.
    pub tenant: TenantId,
    /// Which one.
    pub channel: ChannelId,
    /// The app through which it was connected: only that app's signature speaks for it.
    pub meta_app: MetaAppId,
}
