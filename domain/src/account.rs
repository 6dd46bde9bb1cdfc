//! Accounts: the people who sign in, by what they prove who they are, and where they belong.

use std::fmt;

use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;

use crate::Mapped;
use crate::channel::StoredSecret;
use crate::id::{AccountId, AgencyId, PasskeyId, TenantId};
use crate::pii::SignIn;
use crate::{Pii, Timestamp};

/// Where an account may belong to, at most.
pub const MEMBERSHIPS_MAX: usize = 200;
/// Passkeys of an account.
pub const PASSKEYS_MAX: usize = 20;
/// Characters of an e-mail address (RFC 5321).
pub const EMAIL_CHARS_MAX: usize = 254;

/// A person who signs in.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[data(purpose = "sign_in", basis = "contract", keep = "account")]
pub struct Account {
    /// Its identifier.
    #[data(id)]
    pub id: AccountId,
    /// The address that they sign in with, as [`normalised_email`] gives it; no two accounts have the same.
    #[data(account)]
    pub email: Pii<String>,
    /// What they are called.
    #[data(account)]
    pub name: Pii<String>,
    /// Their password; without one they sign in by a passkey or through Supabase alone.
    #[serde(default)]
    #[data(account)]
    pub password: Option<PasswordHash>,
    /// What they prove who they are with beside it.
    #[serde(default)]
    #[data(parts)]
    pub second_factors: SecondFactors,
    /// Whether they own the platform.
    #[serde(default)]
    #[data(operational)]
    pub owner: bool,
    /// Where they belong, with which role; once for each place.
    #[serde(default)]
    #[data(parts)]
    pub memberships: Vec<Membership>,
    /// Who they are at Supabase Auth, if they ever came through it; no two accounts have the same.
    #[serde(default)]
    #[data(account)]
    pub supabase_subject: Option<String>,
    /// What they are written to in.
    #[serde(default)]
    #[data(account)]
    pub language: Language,
    /// Whether they may sign in.
    #[serde(default)]
    #[data(account)]
    pub state: AccountState,
    /// How often it was changed.
    #[serde(default)]
    #[data(operational)]
    pub revision: u64,
    /// When it was made.
    #[data(operational)]
    pub created_at: Timestamp,
    /// When they last signed in.
    #[serde(default)]
    #[data(operational)]
    pub signed_in_at: Option<Timestamp>,
}

impl Account {
    /// Whether they must have a second factor: without one they may do nothing but add it.
    pub fn needs_second_factor(&self) -> bool {
        let weighty = |role| matches!(role, Role::Agency | Role::TenantAdmin);
        self.owner || self.memberships.iter().any(|membership| weighty(membership.role))
    }

    /// What they are in one place.
    pub fn membership(&self, of: MemberOf) -> Option<&Membership> {
        self.memberships.iter().find(|membership| membership.of == of)
    }

    /// Whether they may sign in.
    pub const fn is_active(&self) -> bool {
        matches!(self.state, AccountState::Active)
    }

    /// Whether its rights are other than those of `before`: then sessions must be looked at anew.
    pub fn has_other_rights(&self, before: &Self) -> bool {
        (self.owner, self.state) != (before.owner, before.state) || self.memberships != before.memberships
    }
}

/// Whether an account may sign in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, Mapped)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum AccountState {
    /// It may.
    #[default]
    Active,
    /// It may not.
    Disabled,
}

/// What somebody is written to in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, Mapped)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Language {
    /// Spanish.
    Es,
    /// Portuguese.
    Pt,
    /// English.
    #[default]
    En,
}

impl Language {
    /// Its code, as in JSON.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Es => "es",
            Self::Pt => "pt",
            Self::En => "en",
        }
    }

    /// The one of that code.
    pub fn from_code(code: &str) -> Option<Self> {
        [Self::Es, Self::Pt, Self::En].into_iter().find(|language| language.code() == code)
    }
}

/// A password at rest: the PHC text of its hash. Never shown.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[serde(transparent)]
pub struct PasswordHash(String);

impl PasswordHash {
    /// Marks a PHC text as the hash of a password.
    pub const fn new(phc: String) -> Self {
        Self(phc)
    }

    /// The PHC text, for checking a password.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[password]")
    }
}

/// What somebody proves who they are with beside their password.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize, Mapped)]
#[data(part)]
#[serde(default)]
pub struct SecondFactors {
    /// Their authenticator.
    #[data(parts)]
    pub totp: Option<StoredTotp>,
    /// Hashes of the recovery codes that are left, in hexadecimal; each works once.
    #[data(credential)]
    pub recovery: Vec<String>,
    /// Their passkeys.
    #[data(parts)]
    pub passkeys: Vec<StoredPasskey>,
}

impl SecondFactors {
    /// Whether there is one that works. Recovery codes alone are none: they stand in for another.
    pub fn any(&self) -> bool {
        self.totp.as_ref().is_some_and(|totp| totp.confirmed_at.is_some()) || !self.passkeys.is_empty()
    }
}

/// An authenticator (RFC 6238).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[data(part)]
pub struct StoredTotp {
    /// Its secret, base32.
    #[data(credential)]
    pub secret: StoredSecret,
    /// The last time step whose code was taken: none of it or of an earlier one is taken again.
    #[data(credential)]
    pub last_step: u64,
    /// When a first code showed that it works; until then it does not count.
    #[data(operational)]
    pub confirmed_at: Option<Timestamp>,
}

/// A passkey (`WebAuthn`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[data(part)]
pub struct StoredPasskey {
    /// Its identifier.
    #[data(id)]
    pub id: PasskeyId,
    /// What its owner calls it.
    #[data(credential)]
    pub name: String,
    /// The credential as the library that checks it keeps it.
    #[data(credential)]
    pub credential: serde_json::Value,
    /// When it was added.
    #[data(operational)]
    pub added_at: Timestamp,
    /// When it was last used.
    #[data(operational)]
    pub used_at: Option<Timestamp>,
}

/// What somebody is in one place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[data(part)]
pub struct Membership {
    /// In which.
    #[data(parts)]
    pub of: MemberOf,
    /// As what.
    #[data(account)]
    pub role: Role,
    /// Operators and viewers: whether they see and act on conversations that are assigned to them alone.
    #[serde(default)]
    #[data(operational)]
    pub assigned_only: bool,
    /// Since when.
    #[data(operational)]
    pub since: Timestamp,
}

impl Membership {
    /// Whether the role fits the place: an agency's people have the role `agency`, and nobody else has it.
    pub const fn is_sound(&self) -> bool {
        matches!(self.of, MemberOf::Agency(_)) == matches!(self.role, Role::Agency)
    }
}

/// A place that people belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Mapped)]
#[data(part)]
#[serde(rename_all = "snake_case")]
pub enum MemberOf {
    /// An agency.
    Agency(#[data(id)] AgencyId),
    /// A tenant.
    Tenant(#[data(id)] TenantId),
}

/// What somebody is in a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Mapped)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// One of an agency's people.
    Agency,
    /// Administers a tenant.
    TenantAdmin,
    /// Talks to people in a tenant's name.
    Operator,
    /// Watches.
    Viewer,
}

impl Role {
    /// All there are.
    pub const ALL: [Self; 4] = [Self::Agency, Self::TenantAdmin, Self::Operator, Self::Viewer];

    /// Its name, as in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Agency => "agency",
            Self::TenantAdmin => "tenant_admin",
            Self::Operator => "operator",
            Self::Viewer => "viewer",
        }
    }

    /// The role of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }
}

/// A text that is no e-mail address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an e-mail address has one @ with something on either side, no blanks and at most 254 characters")]
pub struct BadEmail;

/// An e-mail address as accounts are known by: without blanks around it, in small letters, composed (NFC).
/// Whether it reaches somebody is seen by writing to it.
pub fn normalised_email(text: &str) -> Result<Pii<String>, BadEmail> {
    let email: String = text.trim().nfc().collect::<String>().to_lowercase().nfc().collect();
    let (local, host) = email.split_once('@').ok_or(BadEmail)?;
    let odd = |character: char| character.is_whitespace() || character.is_control();
    let bad = local.is_empty()
        || local.chars().count() > 64
        || host.is_empty()
        || host.contains('@')
        || host.starts_with('.')
        || host.ends_with('.')
        || email.chars().count() > EMAIL_CHARS_MAX
        || email.chars().any(odd)
        || email.contains(['<', '>', '"', ',', ';', '\\']);
    if bad { Err(BadEmail) } else { Ok(Pii::new(email)) }
}

/// An address that is shown to somebody who may know that there is one, but not which.
pub fn masked_email(email: &Pii<String>) -> String {
    let (local, host) = email.reveal(SignIn).split_once('@').unwrap_or_default();
    let first: String = local.chars().take(1).collect();
    format!("{first}…@{host}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_has_one_form() {
        let decomposed = "  Jose\u{301}@Example.COM ";
        let email = normalised_email(decomposed).unwrap();
        assert_eq!(email.reveal(SignIn), "jos\u{e9}@example.com");
        assert_eq!(masked_email(&email), "j…@example.com");
        assert!(normalised_email(email.reveal(SignIn)).unwrap() == email, "once more changes nothing");
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for bad in ["", "ada", "@x", "ada@", "a@b@c", "a b@c.d", "a\r\n@c.d", "Ada <a@c.d>", "a@.d", "a@d."] {
            assert!(normalised_email(bad).is_err(), "{bad:?}");
        }
        assert!(normalised_email(&format!("{}@example.com", "a".repeat(65))).is_err());
    }

    #[test]
    fn who_administers_needs_a_second_factor() {
        let account = |role, owner| Account {
            id: AccountId::from_bytes([1; 16]),
            email: normalised_email("ada@example.com").unwrap(),
            name: Pii::new("Ada".to_owned()),
            password: None,
            second_factors: SecondFactors::default(),
            owner,
            memberships: vec![Membership {
                of: MemberOf::Tenant(TenantId::from_bytes([2; 16])),
                role,
                assigned_only: false,
                since: Timestamp::EPOCH,
            }],
            supabase_subject: None,
            language: Language::Es,
            state: AccountState::Active,
            revision: 0,
            created_at: Timestamp::EPOCH,
            signed_in_at: None,
        };
        assert!(account(Role::TenantAdmin, false).needs_second_factor());
        assert!(account(Role::Viewer, true).needs_second_factor());
        assert!(!account(Role::Operator, false).needs_second_factor());
        let read: Account =
            serde_json::from_slice(&serde_json::to_vec(&account(Role::Operator, false)).unwrap()).unwrap();
        assert!(read == account(Role::Operator, false));
    }

    #[test]
    fn the_role_of_an_agency_is_for_agencies() {
        let of = |of, role| Membership { of, role, assigned_only: false, since: Timestamp::EPOCH }.is_sound();
        let (agency, tenant) = (
            MemberOf::Agency(AgencyId::from_bytes([1; 16])),
            MemberOf::Tenant(TenantId::from_bytes([1; 16])),
        );
        assert!(of(agency, Role::Agency) && of(tenant, Role::Viewer));
        assert!(!of(agency, Role::TenantAdmin) && !of(tenant, Role::Agency));
    }
}
