//! API keys: what programs sign in with.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::Mapped;
use crate::Timestamp;
use crate::id::{ApiKeyId, TenantId};
use crate::permission::Act;

/// What a key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Mapped)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Read conversations, messages, turns and events of its tenant, and watch them live.
    Read,
    /// Write as an operator of its tenant: take over, hand back, reply, replay dead letters.
    Operate,
    /// Change its tenant's assistant, knowledge and outgoing webhooks. Channels, people and keys are for
    /// people alone.
    Manage,
    /// Export and erase what is stored about a person, at their request.
    Dsar,
    /// Read its tenant's audit log and access log.
    Audit,
    /// Administer the platform: tenants, Meta apps. Only for keys of no tenant.
    Platform,
}

impl Scope {
    /// All there are.
    pub const ALL: [Self; 6] =
        [Self::Read, Self::Operate, Self::Manage, Self::Dsar, Self::Audit, Self::Platform];

    /// Its name, as in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Operate => "operate",
            Self::Manage => "manage",
            Self::Dsar => "dsar",
            Self::Audit => "audit",
            Self::Platform => "platform",
        }
    }

    /// The act that it stands for most; it may open others too.
    pub const fn act(self) -> Act {
        match self {
            Self::Read => Act::ReadContent,
            Self::Operate => Act::Send,
            Self::Manage => Act::EditAssistant,
            Self::Dsar => Act::EraseSubject,
            Self::Audit => Act::ReadAudit,
            Self::Platform => Act::OperatePlatform,
        }
    }

    /// The scope of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.name() == name)
    }
}

/// An API key at rest: what can be checked, not what was handed out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[data(purpose = "sign_in", basis = "contract", keep = "setting")]
pub struct ApiKey {
    /// Its identifier.
    #[data(id)]
    pub id: ApiKeyId,
    /// What people call it.
    #[data(account)]
    pub name: String,
    /// Whose it is; nothing for a key of the platform.
    #[data(id)]
    pub tenant: Option<TenantId>,
    /// What it may do.
    #[data(account)]
    pub scopes: Vec<Scope>,
    /// A keyed hash of the secret part, in hexadecimal.
    #[data(credential)]
    pub hash: String,
    /// When it was made.
    #[data(operational)]
    pub created_at: Timestamp,
    /// When it stops working, if ever.
    #[data(operational)]
    pub expires_at: Option<Timestamp>,
    /// When it was revoked, if it was.
    #[data(operational)]
    pub revoked_at: Option<Timestamp>,
    /// From where it may be used; from anywhere when there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[data(account)]
    pub networks: Vec<IpNet>,
    /// When it was last used, to the minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[data(operational)]
    pub last_used_at: Option<Timestamp>,
    /// From which address that was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[data(account)]
    pub last_used_from: Option<IpAddr>,
    /// The key that takes its place, once it is rotated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[data(id)]
    pub rotated_to: Option<ApiKeyId>,
    /// Until when it works beside that one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[data(operational)]
    pub overlap_until: Option<Timestamp>,
}

/// So many networks a key may be bound to.
pub const NETWORKS_MAX: usize = 50;

impl ApiKey {
    /// One that never ends by itself and may be used from anywhere.
    pub const fn new(
        id: ApiKeyId,
        name: String,
        tenant: Option<TenantId>,
        scopes: Vec<Scope>,
        hash: String,
        created_at: Timestamp,
    ) -> Self {
        Self {
            id,
            name,
            tenant,
            scopes,
            hash,
            created_at,
            expires_at: None,
            revoked_at: None,
            networks: Vec::new(),
            last_used_at: None,
            last_used_from: None,
            rotated_to: None,
            overlap_until: None,
        }
    }

    /// Whether it gives other rights than `before` did: then what it opened must be looked at anew.
    pub fn has_other_rights(&self, before: &Self) -> bool {
        let ends = |key: &Self| (key.revoked_at, key.expires_at, key.overlap_until);
        ends(self) != ends(before) || self.scopes != before.scopes || self.networks != before.networks
    }

    /// Whether it works at `now`.
    pub fn is_live(&self, now: Timestamp) -> bool {
        let before = |end: Option<Timestamp>| end.is_none_or(|end| now < end);
        self.revoked_at.is_none() && before(self.expires_at) && before(self.overlap_until)
    }

    /// Whether it may be used from this address. An IPv4 address that comes as an IPv6 one is the same.
    pub fn may_come_from(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.networks.is_empty() || self.networks.iter().any(|network| network.contains(&address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> ApiKey {
        let old = serde_json::json!({
            "id": ApiKeyId::from_bytes([1; 16]), "name": "ci", "tenant": null, "scopes": ["platform"],
            "hash": "00", "created_at": 0, "expires_at": null, "revoked_at": null,
        });
        serde_json::from_value(old).unwrap()
    }

    #[test]
    fn a_key_of_before_works_from_anywhere() {
        let key = key();
        assert!(key.may_come_from("203.0.113.9".parse().unwrap()) && key.is_live(Timestamp::from_secs(1)));
    }

    #[test]
    fn a_key_works_from_its_networks_alone() {
        let networks = ["203.0.113.0/24".parse().unwrap(), "2001:db8::/32".parse().unwrap()];
        let key = ApiKey { networks: networks.to_vec(), ..key() };
        for (address, may) in [
            ("203.0.113.9", true),
            ("203.0.114.9", false),
            ("::ffff:203.0.113.9", true),
            ("2001:db8::1", true),
            ("2001:db9::1", false),
        ] {
            assert_eq!(key.may_come_from(address.parse().unwrap()), may, "{address}");
        }
    }

    #[test]
    fn a_rotated_key_works_until_the_overlap_ends() {
        let key = ApiKey { overlap_until: Some(Timestamp::from_secs(10)), ..key() };
        assert!(key.is_live(Timestamp::from_secs(9)) && !key.is_live(Timestamp::from_secs(10)));
    }
}
