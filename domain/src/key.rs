//! API keys: what programs sign in with.

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::id::{ApiKeyId, TenantId};

/// What a key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Read conversations, messages, turns and events of its tenant, and watch them live.
    Read,
    /// Write as an operator of its tenant: take over, hand back, reply, replay dead letters.
    Operate,
    /// Change its tenant's channels, settings and keys.
    Manage,
    /// Administer the platform: tenants, Meta apps. Only for keys of no tenant.
    Platform,
}

impl Scope {
    /// Its name, as in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Operate => "operate",
            Self::Manage => "manage",
            Self::Platform => "platform",
        }
    }

    /// The scope of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Read, Self::Operate, Self::Manage, Self::Platform]
            .into_iter()
            .find(|scope| scope.name() == name)
    }
}

/// An API key at rest: what can be checked, not what was handed out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKey {
    /// Its identifier.
    pub id: ApiKeyId,
    /// What people call it.
    pub name: String,
    /// Whose it is; nothing for a key of the platform.
    pub tenant: Option<TenantId>,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// A keyed hash of the secret part, in hexadecimal.
    pub hash: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it stops working, if ever.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked, if it was.
    pub revoked_at: Option<Timestamp>,
}

impl ApiKey {
    /// Whether it works at `now`.
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|end| now < end)
    }
}
