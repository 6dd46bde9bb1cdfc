//! The access log: every request, with who, from where and how it ended.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::Mapped;
use crate::audit::Actor;
use crate::id::{AccessId, AccountId, ContactId, ConversationId, DeviceId, SessionId, TenantId};
use crate::pii::SignIn;
use crate::{Pii, Timestamp};

/// Addresses are kept whole for so many days, then shortened.
pub const WHOLE_DAYS: u64 = 30;
/// Records are kept for so many days, unless the settings say otherwise.
pub const KEPT_DAYS: u64 = 365;
/// Contacts, and conversations, that one record holds; who was shown more has several.
pub const READ_MAX: usize = 500;
/// Bits of an IPv4 and of an IPv6 address that are left of one that is shortened.
const SHORT_BITS: (u8, u8) = (24, 48);

/// One request.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[data(purpose = "sign_in", basis = "interest", keep = "access")]
pub struct AccessRecord {
    /// Its identifier, in the order of time.
    #[data(id)]
    pub id: AccessId,
    /// When it came.
    #[data(operational)]
    pub at: Timestamp,
    /// From which address; later, which network.
    #[data(technical)]
    pub address: Pii<String>,
    /// Browser and system, or program, as far as they were told.
    #[data(technical)]
    pub agent: String,
    /// The browser, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[data(id)]
    pub device: Option<DeviceId>,
    /// Who, where they proved it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[data(parts)]
    pub who: Option<Actor>,
    /// Their session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[data(id)]
    pub session: Option<SessionId>,
    /// Which tenant it was about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[data(id)]
    pub tenant: Option<TenantId>,
    /// Its method.
    #[data(operational)]
    pub method: String,
    /// The route's pattern, never what stood in its place.
    #[data(operational)]
    pub route: String,
    /// How it was answered.
    #[data(operational)]
    pub status: u16,
    /// How long that took, milliseconds.
    #[data(operational)]
    pub ms: u32,
    /// The contacts whose ids were in the answer: whose data was shown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[data(id)]
    pub contacts: Vec<ContactId>,
    /// The conversations, likewise.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[data(id)]
    pub conversations: Vec<ConversationId>,
    /// The request that this goes on with: what it showed had no room in one record, or was shown later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[data(id)]
    pub part_of: Option<AccessId>,
}

impl AccessRecord {
    /// Whose account it was, if it was one's.
    pub const fn account(&self) -> Option<AccountId> {
        match self.who {
            Some(Actor::Account { account } | Actor::BreakGlass { account, .. }) => Some(account),
            _ => None,
        }
    }

    /// It with its address shortened. One that is shortened already, and what is no address, stay.
    #[must_use]
    pub fn shortened(mut self) -> Self {
        if let Some(short) = shortened(self.address.reveal(SignIn)) {
            self.address = Pii::new(short);
        }
        self
    }
}

/// The network that an address belongs to (/24, /48), or nothing when the text is no address.
pub fn shortened(address: &str) -> Option<String> {
    let address = address.parse::<IpAddr>().ok()?.to_canonical();
    let bits = if address.is_ipv4() { SHORT_BITS.0 } else { SHORT_BITS.1 };
    IpNet::new(address, bits).ok().map(|network| network.trunc().to_string())
}

/// Whose requests are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccessOf {
    /// Everybody's.
    All,
    /// An account's.
    Account(AccountId),
    /// Those about a tenant.
    Tenant(TenantId),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shortened_once() {
        assert_eq!(shortened("203.0.113.77").as_deref(), Some("203.0.113.0/24"));
        assert_eq!(shortened("::ffff:203.0.113.77").as_deref(), Some("203.0.113.0/24"));
        assert_eq!(shortened("2001:db8:1:2::3").as_deref(), Some("2001:db8:1::/48"));
        assert_eq!(shortened("203.0.113.0/24"), None);
        assert_eq!(shortened("unknown"), None);
    }
}
