//! Invitations and other letters that let somebody in: each works once and not for long.

use serde::{Deserialize, Serialize};

use crate::Mapped;
use crate::account::{Language, Membership};
use crate::audit::Actor;
use crate::id::{AccountId, InvitationId};
use crate::{Pii, Timestamp};

/// An invitation can be taken up for so long.
pub const INVITATION_MS: u64 = 7 * 24 * 60 * 60 * 1_000;
/// A token can be used for so long.
pub const TOKEN_MS: u64 = 30 * 60 * 1_000;

/// An invitation to become an account, or to belong to more places.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[data(purpose = "sign_in", basis = "contract", keep = "account")]
pub struct Invitation {
    /// Its identifier, which lets nobody in.
    #[data(id)]
    pub id: InvitationId,
    /// Whom it was sent to.
    #[data(account)]
    pub email: Pii<String>,
    /// What they are called.
    #[data(account)]
    pub name: Pii<String>,
    /// What they are written to in.
    #[serde(default)]
    #[data(account)]
    pub language: Language,
    /// What they become, and where.
    #[data(parts)]
    pub memberships: Vec<Membership>,
    /// Whether they come to own the platform.
    #[serde(default)]
    #[data(operational)]
    pub owner: bool,
    /// The SHA-256 of the token in its link, in hexadecimal.
    #[data(credential)]
    pub hash: String,
    /// Who invited.
    #[data(parts)]
    pub by: Actor,
    /// When.
    #[data(operational)]
    pub created_at: Timestamp,
    /// Until when it can be taken up.
    #[data(operational)]
    pub expires_at: Timestamp,
    /// When it was taken up.
    #[serde(default)]
    #[data(operational)]
    pub accepted_at: Option<Timestamp>,
    /// When it was taken back.
    #[serde(default)]
    #[data(operational)]
    pub revoked_at: Option<Timestamp>,
}

impl Invitation {
    /// Whether it can be taken up at `now`.
    pub fn is_open(&self, now: Timestamp) -> bool {
        self.accepted_at.is_none() && self.revoked_at.is_none() && now < self.expires_at
    }
}

/// What a token is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[serde(rename_all = "snake_case")]
pub enum TokenKind {
    /// Setting a password anew.
    PasswordReset,
    /// Showing that a new address is theirs.
    EmailChange,
}

impl TokenKind {
    /// Its name, as in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::PasswordReset => "password_reset",
            Self::EmailChange => "email_change",
        }
    }
}

/// A proof that was sent by e-mail; it works once.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[data(purpose = "sign_in", basis = "contract", keep = "account")]
pub struct Token {
    /// What it is good for.
    #[data(account)]
    pub kind: TokenKind,
    /// Whose.
    #[data(id)]
    pub account: AccountId,
    /// The SHA-256 of it, in hexadecimal.
    #[data(credential)]
    pub hash: String,
    /// The new address, where one is to be shown to be theirs.
    #[serde(default)]
    #[data(account)]
    pub email: Option<Pii<String>>,
    /// When it was made.
    #[data(operational)]
    pub created_at: Timestamp,
    /// Until when it works.
    #[data(operational)]
    pub expires_at: Timestamp,
}
