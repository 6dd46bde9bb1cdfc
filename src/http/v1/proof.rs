//! Proofs of who somebody is: what a second factor, a step-up and a sign-in have in common.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use iassistance_config::Secret;
use iassistance_domain::account::Account;
use iassistance_domain::id::DeviceId;
use iassistance_identity::codes::{self, BadCode};
use iassistance_identity::passkeys::{PasskeyError, Passkeys, Question};
use iassistance_identity::passwords::PasswordError;
use iassistance_identity::rate::Throttled;
use iassistance_identity::supabase::SupabaseError;

use crate::http::{Problem, State};

/// A second factor.
#[derive(Deserialize, ToSchema)]
#[serde(tag = "by", rename_all = "snake_case", deny_unknown_fields)]
pub enum Proof {
    /// The code that an authenticator shows.
    Totp {
        /// Six digits.
        #[schema(value_type = String, example = "123456")]
        code: Secret,
    },
    /// A code that stands in for a factor that was lost. It works once.
    RecoveryCode {
        /// As it was shown.
        #[schema(value_type = String, example = "abcde-12345")]
        code: Secret,
    },
    /// A browser's answer to the question of a passkey.
    Passkey {
        /// The id of the question.
        question: String,
        /// What `navigator.credentials.get` gave, as JSON.
        #[schema(value_type = Object)]
        answer: Value,
    },
}

/// What a browser is asked.
#[derive(Serialize, ToSchema)]
pub struct QuestionView {
    /// Its id: the answer names it.
    question: String,
    /// For `navigator.credentials.create` or `get`.
    #[schema(value_type = Object)]
    options: Value,
}

impl From<Question> for QuestionView {
    fn from(question: Question) -> Self {
        Self { question: question.id, options: question.options }
    }
}

/// Passkeys, where there are any.
pub(super) fn passkeys(state: &State) -> Result<&Passkeys, Problem> {
    state.app.identity.passkeys.as_ref().ok_or_else(|| PasskeyError::NoName.into())
}

/// By what an account can prove itself beside its password.
pub(super) fn ways(state: &State, account: &Account) -> Vec<&'static str> {
    let factors = &account.second_factors;
    let totp = factors.totp.as_ref().is_some_and(|totp| totp.confirmed_at.is_some());
    let passkey = !factors.passkeys.is_empty() && state.app.identity.passkeys.is_some();
    let ways = [("totp", totp), ("recovery_code", !factors.recovery.is_empty()), ("passkey", passkey)];
    ways.into_iter().filter(|(_, has)| *has).map(|(way, _)| way).collect()
}

/// Takes a second factor of `account`, and keeps what of it was used up. Throttled by account; a device on
/// which it has signed in before has tries of its own.
pub(super) async fn take(
    state: &State,
    account: &mut Account,
    known: Option<DeviceId>,
    proof: Proof,
) -> Result<(), Problem> {
    state.app.identity.throttles.second_factor(account.id, known).map_err(slower(state))?;
    match proof {
        Proof::Totp { code } => {
            let totp = account.second_factors.totp.as_mut().filter(|totp| totp.confirmed_at.is_some());
            let totp = totp.ok_or(BadCode::Wrong)?;
            codes::take_totp(totp, code.expose(), state.clock().now())?;
        }
        Proof::RecoveryCode { code } => {
            let left = &mut account.second_factors.recovery;
            codes::take_recovery_code(&state.app.keyring, account.id, left, code.expose())?;
        }
        Proof::Passkey { question, answer } => {
            passkeys(state)?.finish_proof(account, &question, answer)?;
        }
    }
    // Of two that use the same code at once, one is stale here.
    account.revision = state.app.store.people().put_account(account.clone(), account.revision).await?;
    Ok(())
}

impl From<BadCode> for Problem {
    fn from(error: BadCode) -> Self {
        Self::wrong_credentials(error.to_string())
    }
}

impl From<PasskeyError> for Problem {
    fn from(error: PasskeyError) -> Self {
        match error {
            PasskeyError::NoName | PasskeyError::None | PasskeyError::TooMany | PasskeyError::Known => {
                Self::conflict(error.to_string())
            }
            PasskeyError::Malformed => Self::invalid(error.to_string()),
            PasskeyError::Over | PasskeyError::Refused => Self::wrong_credentials(error.to_string()),
        }
    }
}

impl From<PasswordError> for Problem {
    fn from(error: PasswordError) -> Self {
        match error {
            PasswordError::Busy => Self::too_many(1, error.to_string()),
            PasswordError::Weak(weak) => Self::invalid(format!("`password`: {}", weak.advice.join(" "))),
            PasswordError::Damaged => {
                tracing::error!("a password that is kept cannot be read");
                Self::conflict(error.to_string())
            }
        }
    }
}

/// Tells somebody who tries too often when the next try is allowed.
pub(super) fn slower(state: &State) -> impl Fn(Throttled) -> Problem {
    let now = state.clock().now();
    move |throttled| {
        metrics::counter!("iassistance_limited_total", "limit" => "sign_in").increment(1);
        let wait_s = throttled.until.millis_since(now).div_ceil(1_000).max(1);
        Problem::too_many(u32::try_from(wait_s).unwrap_or(u32::MAX), throttled.to_string())
    }
}

impl From<SupabaseError> for Problem {
    fn from(error: SupabaseError) -> Self {
        match error {
            SupabaseError::Unavailable(_) => Self::unavailable(5, error.to_string()),
            _ => Self::wrong_credentials(error.to_string()),
        }
    }
}
