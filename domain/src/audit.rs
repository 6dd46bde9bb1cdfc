//! The audit log: who did what that needs a right, in a chain that cannot be rewritten unseen.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Mapped;
use crate::id::{AccountId, ApiKeyId, BreakGlassId, TenantId};
use crate::{Pii, Timestamp};

/// Bytes of what an entry says of itself (`details`), names and values together.
pub const DETAILS_BYTES_MAX: usize = 4_096;

/// Who acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Mapped)]
#[data(part)]
#[serde(tag = "who", rename_all = "snake_case")]
pub enum Actor {
    /// A person who signed in.
    Account {
        /// Whose account.
        #[data(id)]
        account: AccountId,
    },
    /// A program.
    Key {
        /// Its key.
        #[data(id)]
        key: ApiKeyId,
    },
    /// Whoever sits at the machine.
    CommandLine,
    /// The platform by itself.
    Platform,
    /// The platform's owner, in a tenant's content.
    BreakGlass {
        /// Whose account.
        #[data(id)]
        account: AccountId,
        /// By which grant.
        #[data(id)]
        grant: BreakGlassId,
    },
}

/// How a privileged act ended, or that it was about to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum AuditResult {
    /// It was allowed: the entry stands before it was done.
    Allowed,
    /// It was refused.
    Refused,
    /// It was allowed and failed.
    Failed,
}

/// One privileged act. What it says is ids, versions and names of fields: never what somebody wrote.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[data(purpose = "operate", basis = "obligation", keep = "audit")]
pub struct AuditEntry {
    /// Its place in its chain, from 1; given when it is appended.
    #[data(operational)]
    pub seq: u64,
    /// When.
    #[data(operational)]
    pub at: Timestamp,
    /// Who.
    #[data(parts)]
    pub actor: Actor,
    /// What: a code that stays (`account.invited`, `key.created`, `tenant.suspended`, …).
    #[data(operational)]
    pub act: String,
    /// What it was done to: an id, never content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[data(id)]
    pub object: Option<String>,
    /// For which tenant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[data(id)]
    pub tenant: Option<TenantId>,
    /// From which address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[data(technical)]
    pub address: Option<Pii<String>>,
    /// How it ended.
    #[data(operational)]
    pub result: AuditResult,
    /// Why, in the words of who did it, where words are asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[data(account)]
    pub reason: Option<Pii<String>>,
    /// What else is to be known: ids, versions, names of fields.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[data(operational)]
    pub details: BTreeMap<String, String>,
}

impl AuditEntry {
    /// An act that is about to be done.
    pub fn new(at: Timestamp, actor: Actor, act: impl Into<String>) -> Self {
        Self {
            seq: 0,
            at,
            actor,
            act: act.into(),
            object: None,
            tenant: None,
            address: None,
            result: AuditResult::Allowed,
            reason: None,
            details: BTreeMap::new(),
        }
    }

    /// Whether what it tells of changes who may do what, or ends something for good: it is vouched for at
    /// once, and not a while later.
    pub fn is_weighty(&self) -> bool {
        const ALL: [&str; 9] = [
            "agency.",
            "break_glass.",
            "hold.",
            "incident.",
            "key.",
            "keys.",
            "member.",
            "order.",
            "subject.",
        ];
        const ONE: [&str; 17] = [
            "account.changed",
            "account.factor_removed",
            "account.invited",
            "account.linked",
            "account.email_changed",
            "account.password_changed",
            "account.password_reset",
            "audit.exported",
            "contact.erasure_asked",
            "invitation.accepted",
            "meta_app.changed",
            "retention.changed",
            "tenant.agency_reading",
            "tenant.closed",
            "tenant.restored",
            "tenant.resumed",
            "tenant.suspended",
        ];
        ALL.iter().any(|kind| self.act.starts_with(kind)) || ONE.contains(&self.act.as_str())
    }

    /// Done to this.
    #[must_use]
    pub fn on(mut self, object: &impl ToString) -> Self {
        self.object = Some(object.to_string());
        self
    }

    /// Done for this tenant.
    #[must_use]
    pub const fn of(mut self, tenant: TenantId) -> Self {
        self.tenant = Some(tenant);
        self
    }

    /// With this to be known.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: &impl ToString) -> Self {
        self.details.insert(name.into(), value.to_string());
        self
    }
}

/// An entry as the chain has it: what the hashes are made over, which needs no key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[data(purpose = "operate", basis = "obligation", keep = "audit")]
pub struct SealedAudit {
    /// Its place, from 1.
    #[data(operational)]
    pub seq: u64,
    /// The entry, sealed.
    #[serde(with = "base64_text")]
    #[data(technical, leaf)]
    pub sealed: Vec<u8>,
    /// The hash of the entry before; zeros for the first.
    #[serde(with = "hex_text")]
    #[data(technical, leaf)]
    pub previous: [u8; 32],
    /// The hash over the chain, the place, the hash before and what is sealed.
    #[serde(with = "hex_text")]
    #[data(technical, leaf)]
    pub hash: [u8; 32],
}

/// A place in a chain, vouched for by a signature that is kept elsewhere too: with it a chain that was
/// written anew from the beginning is told from the true one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[data(purpose = "operate", basis = "obligation", keep = "audit")]
pub struct Checkpoint {
    /// Whose chain; nothing for the platform's.
    #[data(id)]
    pub tenant: Option<TenantId>,
    /// The last entry that it vouches for.
    #[data(operational)]
    pub seq: u64,
    /// That entry's hash.
    #[serde(with = "hex_text")]
    #[data(technical, leaf)]
    pub hash: [u8; 32],
    /// When it was made.
    #[data(operational)]
    pub at: Timestamp,
    /// The signed note (C2SP) as it was exported: its text with the Ed25519 signature line.
    #[data(credential)]
    pub note: String,
    /// Which key signed it.
    #[data(technical)]
    pub key_id: String,
}

mod hex_text {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(bytes: &[u8; 32], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(bytes))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u8; 32], D::Error> {
        let text = String::deserialize(deserializer)?;
        let mut bytes = [0; 32];
        hex::decode_to_slice(&text, &mut bytes)
            .map_err(|_| D::Error::custom("a hash is 64 hexadecimal digits"))?;
        Ok(bytes)
    }
}

mod base64_text {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(deserializer)?;
        STANDARD.decode(text).map_err(|_| D::Error::custom("what is sealed is base64"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_rights_has_weight_and_daily_work_has_none() {
        let weighs = |act: &str| AuditEntry::new(Timestamp::EPOCH, Actor::Platform, act).is_weighty();
        for act in ["key.created", "break_glass.opened", "member.removed", "tenant.closed", "account.linked"]
        {
            assert!(weighs(act), "{act}");
        }
        for act in ["message.sent", "note.added", "session.began", "tenant.changed", "refused"] {
            assert!(!weighs(act), "{act}");
        }
    }

    #[test]
    fn an_entry_reads_back() {
        let entry = AuditEntry::new(Timestamp::from_secs(1), Actor::CommandLine, "key.created")
            .on(&ApiKeyId::from_bytes([1; 16]))
            .of(TenantId::from_bytes([2; 16]))
            .with("scopes", &"read");
        let read: AuditEntry = serde_json::from_slice(&serde_json::to_vec(&entry).unwrap()).unwrap();
        assert!(read == entry);
        let sealed = SealedAudit { seq: 1, sealed: vec![1, 2], previous: [0; 32], hash: [7; 32] };
        let json = serde_json::to_string(&sealed).unwrap();
        assert_eq!(serde_json::from_str::<SealedAudit>(&json).unwrap(), sealed);
    }
}
