//! Invitations and other letters that let somebody in: each works once and not for long.

use serde::{Deserialize, Serialize};

use crate::account::{Language, Membership};
use crate::audit::Actor;
use crate::id::{AccountId, InvitationId};
use crate::{Pii, Timestamp};

/// An invitation can be taken up for so long.
pub const INVITATION_MS: u64 = 7 * 24 * 60 * 60 * 1_000;
/// A token can be used for so long.
pub const TOKEN_MS: u64 = 30 * 60 * 1_000;

/// An invitation to become an account, or to belong to more places.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invitation {
    /// Its identifier, which lets nobody in.
    pub id: InvitationId,
    /// Whom it was sent to.
    pub email: Pii<String>,
    /// What they are called.
    pub name: Pii<String>,
    /// What they are written to in.
    #[serde(default)]
    pub language: Language,
    /// What they become, and where.
    pub memberships: Vec<Membership>,
    /// Whether they come to own the platform.
    #[serde(default)]
    pub owner: bool,
    /// The SHA-256 of the token in its link, in hexadecimal.
    pub hash: String,
    /// Who invited.
    pub by: Actor,
    /// When.
    pub created_at: Timestamp,
    /// Until when it can be taken up.
    pub expires_at: Timestamp,
    /// When it was taken up.
    #[serde(default)]
    pub accepted_at: Option<Timestamp>,
    /// When it was taken back.
    #[serde(default)]
    pub revoked_at: Option<Timestamp>,
}

impl Invitation {
    /// Whether it can be taken up at `now`.
    pub fn is_open(&self, now: Timestamp) -> bool {
        self.accepted_at.is_none() && self.revoked_at.is_none() && now < self.expires_at
    }
}

/// What a token is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// What it is good for.
    pub kind: TokenKind,
    /// Whose.
    pub account: AccountId,
    /// The SHA-256 of it, in hexadecimal.
    pub hash: String,
    /// The new address, where one is to be shown to be theirs.
    #[serde(default)]
    pub email: Option<Pii<String>>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Until when it works.
    pub expires_at: Timestamp,
}
