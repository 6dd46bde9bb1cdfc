//! Sessions: one sign-in of an account each, known by a token that only its browser has.

use serde::{Deserialize, Serialize};

use crate::Mapped;
use crate::id::{AccountId, DeviceId, SessionId};
use crate::{Pii, Timestamp};

/// A session ends so long after it began, whatever is done with it.
pub const ABSOLUTE_MS: u64 = 12 * 60 * 60 * 1_000;
/// A session ends when nothing was done with it for so long.
pub const IDLE_MS: u64 = 30 * 60 * 1_000;
/// What needs a proof anew may be done so long after it.
pub const STEP_UP_MS: u64 = 10 * 60 * 1_000;
/// Sessions of an account; a further one ends the oldest.
pub const SESSIONS_MAX: usize = 50;

/// One sign-in of an account.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[data(purpose = "sign_in", basis = "contract", keep = "account")]
pub struct Session {
    /// Its identifier, which proves nothing.
    #[data(id)]
    pub id: SessionId,
    /// Whose.
    #[data(id)]
    pub account: AccountId,
    /// The SHA-256 of its token (256 bits of chance), in hexadecimal.
    #[data(credential)]
    pub hash: String,
    /// When it began.
    #[data(operational)]
    pub created_at: Timestamp,
    /// When something was last done with it, to the minute.
    #[data(operational)]
    pub seen_at: Timestamp,
    /// When it ends, whatever is done with it.
    #[data(operational)]
    pub expires_at: Timestamp,
    /// From which address it came last.
    #[data(technical)]
    pub address: Pii<String>,
    /// Browser and system, as far as they were told.
    #[data(technical)]
    pub agent: String,
    /// The browser, known again at its next sign-in.
    #[data(id)]
    pub device: DeviceId,
    /// Until when what needs a proof anew may be done.
    #[serde(default)]
    #[data(operational)]
    pub step_up_until: Option<Timestamp>,
    /// Whether a second factor was given.
    #[serde(default)]
    #[data(operational)]
    pub second_factor: bool,
    /// When it was ended, if somebody ended it.
    #[serde(default)]
    #[data(operational)]
    pub revoked_at: Option<Timestamp>,
}

impl Session {
    /// Whether it goes on at `now`.
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && now < self.expires_at && now < self.seen_at.plus_millis(IDLE_MS)
    }

    /// Whether what needs a proof anew may be done at `now`.
    pub fn is_stepped_up(&self, now: Timestamp) -> bool {
        self.step_up_until.is_some_and(|end| now < end)
    }
}
