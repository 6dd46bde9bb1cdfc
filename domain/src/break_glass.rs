//! Break-glass: the platform's owner reads a tenant's content, with a reason, a second person's consent and
//! an end, and the tenant sees it at once. There is no other way for them to read it.

use serde::{Deserialize, Serialize};

use crate::Mapped;
use crate::id::{AccountId, BreakGlassId, TenantId};
use crate::{Pii, Timestamp};

/// The longest that a grant is open, minutes.
pub const MINUTES_MAX: u32 = 60;
/// A request that nobody consented to ends after so long.
pub const ASKED_MS: u64 = 24 * 60 * 60 * 1_000;
/// Characters of a reason.
pub const REASON_CHARS_MAX: usize = 1_000;

/// A look of the platform's owner into a tenant's content.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[data(purpose = "tenant_view", basis = "obligation", keep = "audit")]
pub struct BreakGlass {
    /// Its identifier.
    #[data(id)]
    pub id: BreakGlassId,
    /// Whose content.
    #[data(id)]
    pub tenant: TenantId,
    /// Who wants to look.
    #[data(id)]
    pub asked_by: AccountId,
    /// Why.
    #[data(account)]
    pub reason: Pii<String>,
    /// When they asked.
    #[data(operational)]
    pub asked_at: Timestamp,
    /// Who consented: another owner.
    #[data(id)]
    pub approved_by: Option<AccountId>,
    /// For how many minutes, 1 to [`MINUTES_MAX`].
    #[data(operational)]
    pub minutes: u32,
    /// When it was opened: when the second person consented.
    #[data(operational)]
    pub opened_at: Option<Timestamp>,
    /// When it ends by itself.
    #[data(operational)]
    pub ends_at: Option<Timestamp>,
    /// When it was ended, if somebody did before, or refused it.
    #[data(operational)]
    pub ended_at: Option<Timestamp>,
}

impl BreakGlass {
    /// Whether `account` may look at `now`.
    pub fn is_open(&self, account: AccountId, now: Timestamp) -> bool {
        let consented = self.approved_by.is_some_and(|other| other != self.asked_by);
        let within =
            self.opened_at.is_some_and(|from| from <= now) && self.ends_at.is_some_and(|end| now < end);
        self.asked_by == account && consented && within && self.ended_at.is_none()
    }

    /// Whether somebody may still consent to it at `now`.
    pub fn is_asked(&self, now: Timestamp) -> bool {
        self.opened_at.is_none() && self.ended_at.is_none() && now < self.asked_at.plus_millis(ASKED_MS)
    }

    /// Opens it: `approver` consents at `now`. Nothing when they may not, or it is too late.
    #[must_use]
    pub fn opened(mut self, approver: AccountId, now: Timestamp) -> Option<Self> {
        if approver == self.asked_by || !self.is_asked(now) {
            return None;
        }
        let minutes = self.minutes.clamp(1, MINUTES_MAX);
        self.approved_by = Some(approver);
        self.opened_at = Some(now);
        self.ends_at = Some(now.plus_millis(u64::from(minutes) * 60_000));
        Some(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked() -> BreakGlass {
        BreakGlass {
            id: BreakGlassId::from_bytes([1; 16]),
            tenant: TenantId::from_bytes([2; 16]),
            asked_by: account(1),
            reason: Pii::new("an incident".to_owned()),
            asked_at: Timestamp::EPOCH,
            approved_by: None,
            minutes: 600,
            opened_at: None,
            ends_at: None,
            ended_at: None,
        }
    }

    fn account(number: u8) -> AccountId {
        AccountId::from_bytes([number; 16])
    }

    #[test]
    fn it_takes_two_and_ends() {
        let now = Timestamp::from_secs(60);
        assert!(!asked().is_open(account(1), now), "nobody consented");
        assert!(asked().opened(account(1), now).is_none(), "nobody consents for themselves");
        assert!(asked().opened(account(2), Timestamp::EPOCH.plus_millis(ASKED_MS)).is_none(), "too late");
        let open = asked().opened(account(2), now).unwrap();
        assert!(open.is_open(account(1), now) && !open.is_open(account(2), now));
        assert!(open.is_open(account(1), now.plus_millis(3_600_000 - 1)));
        assert!(!open.is_open(account(1), now.plus_millis(3_600_000)), "an hour at most");
        let ended = BreakGlass { ended_at: Some(now), ..open };
        assert!(!ended.is_open(account(1), now));
    }
}
