//! Passkeys (`WebAuthn`): adding one, signing in by one, and proving who one is.
//!
//! Each takes two steps with the browser between them. What was asked is remembered here, in memory and
//! for five minutes, and answered once; a restart in between means asking again.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use iassistance_domain::account::{Account, PASSKEYS_MAX, StoredPasskey};
use iassistance_domain::id::{AccountId, PasskeyId};
use iassistance_domain::pii::SignIn;
use iassistance_domain::{Clock, Entropy, Timestamp};
use serde_json::Value;
use url::Url;
use uuid::Uuid;
use webauthn_rs::prelude::{
    AuthenticationResult, CredentialID, DiscoverableAuthentication, DiscoverableKey, Passkey,
    PasskeyAuthentication, PasskeyRegistration, PublicKeyCredential, RegisterPublicKeyCredential,
};
use webauthn_rs::{Webauthn, WebauthnBuilder};

/// How long an answer is waited for, milliseconds.
const CEREMONY_MS: u64 = 300_000;
/// Answers that are waited for at once, of those who sign in and of those who have: each apart. The oldest
/// goes first, so that whoever asks for many keeps nobody from asking.
const CEREMONIES_MAX: usize = 20_000;
/// Characters of a passkey's name.
const NAME_CHARS_MAX: usize = 64;

/// Why a passkey was not added or did not prove anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasskeyError {
    /// This address cannot have any.
    #[error(
        "passkeys need a server with a name: set server.public_url to its https address (or http://localhost)"
    )]
    NoName,
    /// The account has no passkey.
    #[error("the account has no passkey")]
    None,
    /// It has as many as it may.
    #[error("an account has at most {PASSKEYS_MAX} passkeys: remove one first")]
    TooMany,
    /// It has this one already.
    #[error("this passkey is known already")]
    Known,
    /// Nothing was asked, it was answered already, or that is too long ago.
    #[error("this was not asked, or too long ago: start again")]
    Over,
    /// The browser's answer cannot be read.
    #[error("this is not what a browser answers")]
    Malformed,
    /// The answer proves nothing.
    #[error("the passkey does not prove who this is")]
    Refused,
}

/// What the browser is asked.
pub struct Question {
    /// By what the answer names it.
    pub id: String,
    /// For `navigator.credentials.create` or `get`, as JSON.
    pub options: Value,
}

/// What a browser answered to sign in.
pub struct SignInAnswer(PublicKeyCredential);

impl SignInAnswer {
    /// Reads it.
    ///
    /// # Errors
    /// [`PasskeyError::Malformed`]
    pub fn read(answer: Value) -> Result<Self, PasskeyError> {
        serde_json::from_value(answer).map(Self).map_err(|_| PasskeyError::Malformed)
    }

    /// Whose passkey it says it is; nothing is proven yet.
    pub fn account(&self) -> Option<AccountId> {
        let bytes = self.0.get_user_unique_id()?.try_into().ok()?;
        Some(AccountId::from_bytes(bytes))
    }
}

enum Pending {
    Adding(AccountId, Box<PasskeyRegistration>),
    Proving(AccountId, Box<PasskeyAuthentication>),
    SigningIn(Box<DiscoverableAuthentication>),
}

/// What is asked of browsers, and whether they answered it.
pub struct Passkeys {
    webauthn: Webauthn,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    /// Of those who are signed in.
    accounts: Mutex<Waiting>,
    /// Of anybody.
    anybody: Mutex<Waiting>,
}

impl Passkeys {
    /// Passkeys of the server that people reach at `public_url`: they are bound to its host. `platform` is
    /// what browsers call it.
    ///
    /// # Errors
    /// [`PasskeyError::NoName`]
    pub fn new(
        public_url: &Url,
        platform: &str,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, PasskeyError> {
        let host = public_url.domain().ok_or(PasskeyError::NoName)?;
        if public_url.scheme() != "https" && host != "localhost" {
            return Err(PasskeyError::NoName);
        }
        let webauthn = WebauthnBuilder::new(host, public_url)
            .map(|builder| builder.rp_name(platform))
            .and_then(WebauthnBuilder::build)
            .map_err(|_| PasskeyError::NoName)?;
        Ok(Self { webauthn, clock, entropy, accounts: Mutex::default(), anybody: Mutex::default() })
    }

    /// Asks for a new passkey of `account`.
    ///
    /// # Errors
    /// [`PasskeyError::TooMany`], [`PasskeyError::Refused`]
    pub fn start_adding(&self, account: &Account) -> Result<Question, PasskeyError> {
        let known = passkeys(account);
        if known.len() >= PASSKEYS_MAX {
            return Err(PasskeyError::TooMany);
        }
        let known: Vec<CredentialID> = known.iter().map(|passkey| passkey.cred_id().clone()).collect();
        let (email, name) = (account.email.reveal(SignIn), account.name.reveal(SignIn));
        let user = Uuid::from_bytes(account.id.to_bytes());
        let (challenge, state) = self
            .webauthn
            .start_passkey_registration(user, email, name, Some(known))
            .map_err(|_| PasskeyError::Refused)?;
        let mut options = serde_json::to_value(challenge).map_err(|_| PasskeyError::Refused)?;
        // Where it can, the device remembers whose it is, so that nobody needs to type an address.
        if let Some(selection) = options.pointer_mut("/publicKey/authenticatorSelection") {
            selection["residentKey"] = "preferred".into();
        }
        Ok(self.ask(&self.accounts, Pending::Adding(account.id, Box::new(state)), options))
    }

    /// The new passkey, from the browser's answer to the question of that id. It is to be added to the
    /// account that it was asked for.
    ///
    /// # Errors
    /// [`PasskeyError`]
    pub fn finish_adding(
        &self,
        account: &Account,
        question: &str,
        answer: Value,
        name: &str,
    ) -> Result<StoredPasskey, PasskeyError> {
        let answer: RegisterPublicKeyCredential =
            serde_json::from_value(answer).map_err(|_| PasskeyError::Malformed)?;
        let Some(Pending::Adding(of, state)) = self.take(&self.accounts, question) else {
            return Err(PasskeyError::Over);
        };
        if of != account.id {
            return Err(PasskeyError::Over);
        }
        if account.second_factors.passkeys.len() >= PASSKEYS_MAX {
            return Err(PasskeyError::TooMany);
        }
        let known = passkeys(account);
        let is_known = |id: &[u8]| known.iter().any(|passkey| passkey.cred_id().as_slice() == id);
        // Those that were known when it was asked are refused below, without saying why.
        if is_known(answer.raw_id.as_slice()) {
            return Err(PasskeyError::Known);
        }
        let passkey =
            self.webauthn.finish_passkey_registration(&answer, &state).map_err(|_| PasskeyError::Refused)?;
        if is_known(passkey.cred_id().as_slice()) {
            return Err(PasskeyError::Known);
        }
        let now = self.clock.now();
        Ok(StoredPasskey {
            id: PasskeyId::new(now, &*self.entropy),
            name: tidy(name),
            credential: serde_json::to_value(passkey).map_err(|_| PasskeyError::Malformed)?,
            added_at: now,
            used_at: None,
        })
    }

    /// Asks anybody to sign in by a passkey.
    ///
    /// # Errors
    /// [`PasskeyError::Refused`]
    pub fn start_sign_in(&self) -> Result<Question, PasskeyError> {
        let (challenge, state) =
            self.webauthn.start_discoverable_authentication().map_err(|_| PasskeyError::Refused)?;
        let mut options = serde_json::to_value(challenge).map_err(|_| PasskeyError::Refused)?;
        // Whether it shows among saved passwords or in a window of its own is the page's choice.
        if let Some(options) = options.as_object_mut() {
            options.remove("mediation");
        }
        Ok(self.ask(&self.anybody, Pending::SigningIn(Box::new(state)), options))
    }

    /// Signs in by the answer to the question of that id; `account` is the one that
    /// [`SignInAnswer::account`] names. It stands for both factors. What changed in the account is to be
    /// stored, with the revision that was read.
    ///
    /// # Errors
    /// [`PasskeyError`]; the account is as it was then.
    pub fn finish_sign_in(
        &self,
        account: &mut Account,
        question: &str,
        answer: &SignInAnswer,
    ) -> Result<(), PasskeyError> {
        let Some(Pending::SigningIn(state)) = self.take(&self.anybody, question) else {
            return Err(PasskeyError::Over);
        };
        if answer.account() != Some(account.id) {
            return Err(PasskeyError::Refused);
        }
        let known = passkeys(account);
        let named = answer.0.get_credential_id();
        let passkey = known.iter().find(|passkey| passkey.cred_id().as_slice() == named);
        let key = DiscoverableKey::from(passkey.ok_or(PasskeyError::Refused)?);
        let result = self
            .webauthn
            .finish_discoverable_authentication_v2(&answer.0, *state, &key)
            .map_err(|_| PasskeyError::Refused)?;
        self.note(account, &result)
    }

    /// Asks the person of `account` to prove that it is them: as a second factor, or before something
    /// sensitive.
    ///
    /// # Errors
    /// [`PasskeyError::None`], [`PasskeyError::Refused`]
    pub fn start_proof(&self, account: &Account) -> Result<Question, PasskeyError> {
        let known = passkeys(account);
        if known.is_empty() {
            return Err(PasskeyError::None);
        }
        let (challenge, state) =
            self.webauthn.start_passkey_authentication(&known).map_err(|_| PasskeyError::Refused)?;
        let options = serde_json::to_value(challenge).map_err(|_| PasskeyError::Refused)?;
        Ok(self.ask(&self.accounts, Pending::Proving(account.id, Box::new(state)), options))
    }

    /// Whether the answer to the question of that id proves it. What changed in the account is to be
    /// stored, with the revision that was read.
    ///
    /// # Errors
    /// [`PasskeyError`]; the account is as it was then.
    pub fn finish_proof(
        &self,
        account: &mut Account,
        question: &str,
        answer: Value,
    ) -> Result<(), PasskeyError> {
        let answer: PublicKeyCredential =
            serde_json::from_value(answer).map_err(|_| PasskeyError::Malformed)?;
        let Some(Pending::Proving(of, state)) = self.take(&self.accounts, question) else {
            return Err(PasskeyError::Over);
        };
        if of != account.id {
            return Err(PasskeyError::Over);
        }
        let result = self
            .webauthn
            .finish_passkey_authentication(&answer, &state)
            .map_err(|_| PasskeyError::Refused)?;
        self.note(account, &result)
    }

    /// Notes that a passkey was used. One that was removed meanwhile proves nothing; nor does one whose
    /// count did not go on: it was copied, or this answer is not its latest.
    fn note(&self, account: &mut Account, result: &AuthenticationResult) -> Result<(), PasskeyError> {
        if !result.user_verified() {
            return Err(PasskeyError::Refused);
        }
        for stored in &mut account.second_factors.passkeys {
            let Ok(mut passkey) = serde_json::from_value::<Passkey>(stored.credential.clone()) else {
                continue;
            };
            let Some(changed) = passkey.update_credential(result) else { continue };
            if result.counter() > 0 && !changed {
                return Err(PasskeyError::Refused);
            }
            if changed {
                stored.credential = serde_json::to_value(passkey).map_err(|_| PasskeyError::Refused)?;
            }
            stored.used_at = Some(self.clock.now());
            return Ok(());
        }
        Err(PasskeyError::Refused)
    }

    fn ask(&self, waiting: &Mutex<Waiting>, pending: Pending, options: Value) -> Question {
        let mut random = [0; 16];
        self.entropy.fill(&mut random);
        let until = self.clock.now().plus_millis(CEREMONY_MS);
        let id = lock(waiting).put(pending, until, &random);
        Question { id, options }
    }

    fn take(&self, waiting: &Mutex<Waiting>, question: &str) -> Option<Pending> {
        lock(waiting).take(question, self.clock.now())
    }
}

fn lock(waiting: &Mutex<Waiting>) -> MutexGuard<'_, Waiting> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What was asked and not answered yet, in the order of asking.
#[derive(Default)]
struct Waiting {
    asked: u64,
    by_id: BTreeMap<String, (Timestamp, Pending)>,
}

impl Waiting {
    fn put(&mut self, pending: Pending, until: Timestamp, random: &[u8]) -> String {
        while self.by_id.len() >= CEREMONIES_MAX {
            self.by_id.pop_first();
        }
        self.asked += 1;
        let id = format!("{:016x}{}", self.asked, hex::encode(random));
        self.by_id.insert(id.clone(), (until, pending));
        id
    }

    fn take(&mut self, id: &str, now: Timestamp) -> Option<Pending> {
        while self.by_id.first_key_value().is_some_and(|(_, (until, _))| *until <= now) {
            self.by_id.pop_first();
        }
        self.by_id.remove(id).map(|(_, pending)| pending)
    }
}

/// The account's passkeys. One that cannot be read is as good as none.
fn passkeys(account: &Account) -> Vec<Passkey> {
    let stored = account.second_factors.passkeys.iter();
    stored.filter_map(|stored| serde_json::from_value(stored.credential.clone()).ok()).collect()
}

fn tidy(name: &str) -> String {
    let name: String = name.trim().chars().filter(|character| !character.is_control()).collect();
    let name: String = name.chars().take(NAME_CHARS_MAX).collect();
    if name.is_empty() { "Passkey".to_owned() } else { name }
}

#[cfg(test)]
#[path = "../tests/support/authenticator.rs"]
mod authenticator;
#[cfg(test)]
#[path = "passkeys_tests.rs"]
mod tests;
