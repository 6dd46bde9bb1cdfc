//! Passwords: argon2id over a peppered hash, in a pool of few.
//!
//! A password is composed (NFC), hashed with a key of the keyring (the pepper: without it a stolen store
//! cannot be tried out), and that is hashed slowly with a salt. The slow hash takes memory and time on
//! purpose, so only so many are made at once and only so many wait; more are told to try again.

use std::sync::Arc;

use argon2::password_hash::{self, phc};
use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};
use iassistance_config::{IdentitySettings, Secret};
use iassistance_domain::account::{Language, PasswordHash};
use iassistance_domain::pii::SignIn;
use iassistance_domain::{Entropy, Pii};
use iassistance_vault::Keyring;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError};
use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

use crate::strength::{self, Weak};

const PEPPER_LABEL: &str = "password";
const DUMMY_LABEL: &str = "password of nobody";
const SALT_BYTES: usize = 16;
/// Of 256 addresses without an account, how many take as long as an owner's.
const DUMMY_OWNERS: u8 = 32;

/// How slowly a password is hashed: its memory in KiB and its passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cost {
    /// 19 MiB, two passes: some 30 ms.
    Everyone,
    /// 64 MiB, three passes: some 140 ms. For owners of the platform.
    Owner,
}

impl Cost {
    /// What the password of an account costs.
    pub const fn of(owner: bool) -> Self {
        if owner { Self::Owner } else { Self::Everyone }
    }

    const fn kib_and_passes(self) -> (u32, u32) {
        match self {
            Self::Everyone => (19 * 1_024, 2),
            Self::Owner => (64 * 1_024, 3),
        }
    }
}

/// Against what a password is checked.
#[derive(Clone, Copy)]
pub enum Candidate<'a> {
    /// An account that has one.
    Account {
        /// The hash that is kept.
        kept: &'a PasswordHash,
        /// What it should cost by now.
        cost: Cost,
    },
    /// No account, or one without a password. It takes as long as one that has, and is wrong.
    Nobody {
        /// The address that was given.
        email: &'a Pii<String>,
    },
}

/// What came of a check.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is not the password.
    Wrong,
    /// It is.
    Right {
        /// The hash to keep from now on, where the kept one costs another sum than it should.
        rehashed: Option<PasswordHash>,
    },
}

/// Why nothing was hashed.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    /// As many as may wait do.
    #[error("too many passwords are being checked: try again in a moment")]
    Busy,
    /// The new password is too easily guessed.
    #[error("the password is too easily guessed")]
    Weak(Weak),
    /// What is kept cannot be read.
    #[error("the password that is kept cannot be read: set it anew")]
    Damaged,
}

/// The pool in which passwords are hashed.
pub struct Passwords {
    keyring: Arc<Keyring>,
    entropy: Arc<dyn Entropy>,
    /// One for each that is hashed or waits.
    waiting: Arc<Semaphore>,
    /// One for each that is hashed.
    hashing: Arc<Semaphore>,
}

impl Passwords {
    /// A pool of the size that the settings say.
    pub fn new(settings: &IdentitySettings, keyring: Arc<Keyring>, entropy: Arc<dyn Entropy>) -> Self {
        let (at_once, queue) = (settings.hash_concurrency, settings.hash_queue_max);
        Self {
            keyring,
            entropy,
            waiting: Arc::new(Semaphore::new(at_once + queue)),
            hashing: Arc::new(Semaphore::new(at_once)),
        }
    }

    /// The hash of a new password, if it is hard enough to guess. `personal` are texts that its owner is
    /// known by: address, name.
    ///
    /// # Errors
    /// [`PasswordError::Weak`] with what would help, in `language`; [`PasswordError::Busy`].
    pub async fn create(
        &self,
        password: &Secret,
        cost: Cost,
        personal: &[&Pii<String>],
        language: Language,
    ) -> Result<PasswordHash, PasswordError> {
        let text = composed(password);
        let personal: Vec<_> = personal.iter().map(|text| text.reveal(SignIn).clone()).collect();
        let peppered = self.peppered(&text);
        let salt = self.salt();
        self.in_pool(move || {
            strength::check(&text, &personal, language).map_err(PasswordError::Weak)?;
            hash(&peppered, &salt, cost)
        })
        .await
    }

    /// Whether `password` is that of the candidate.
    ///
    /// # Errors
    /// [`PasswordError::Busy`], [`PasswordError::Damaged`].
    pub async fn check(&self, password: &Secret, candidate: Candidate<'_>) -> Result<Verdict, PasswordError> {
        let peppered = self.peppered(&composed(password));
        let salt = self.salt();
        match candidate {
            Candidate::Account { kept, cost } => {
                let kept = phc::PasswordHash::new(kept.expose()).map_err(|_| PasswordError::Damaged)?;
                // A text without a salt or a hash reads well, and no password would ever be right.
                if kept.salt.is_none() || kept.hash.is_none() {
                    return Err(PasswordError::Damaged);
                }
                self.in_pool(move || {
                    match Argon2::default().verify_password(peppered.as_slice(), &kept) {
                        Ok(()) => {}
                        Err(password_hash::Error::PasswordInvalid) => return Ok(Verdict::Wrong),
                        Err(_) => return Err(PasswordError::Damaged),
                    }
                    let stays = costs(&kept, cost);
                    let rehashed = if stays { None } else { Some(hash(&peppered, &salt, cost)?) };
                    Ok(Verdict::Right { rehashed })
                })
                .await
            }
            Candidate::Nobody { email } => {
                let cost = self.cost_of_nobody(email);
                self.in_pool(move || hash(&peppered, &salt, cost)).await?;
                Ok(Verdict::Wrong)
            }
        }
    }

    /// Of addresses without an account some take as long as owners, always the same ones: so that the
    /// time tells of no address that it has an account.
    fn cost_of_nobody(&self, email: &Pii<String>) -> Cost {
        let [first, ..] = self.keyring.hash_secret(DUMMY_LABEL, email.reveal(SignIn).as_bytes());
        Cost::of(first < DUMMY_OWNERS)
    }

    fn peppered(&self, text: &str) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.keyring.hash_secret(PEPPER_LABEL, text.as_bytes()))
    }

    fn salt(&self) -> [u8; SALT_BYTES] {
        let mut salt = [0; SALT_BYTES];
        self.entropy.fill(&mut salt);
        salt
    }

    /// Does `work` when its turn comes. Who asked may go away: the work in hand keeps its place.
    async fn in_pool<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, PasswordError> + Send + 'static,
    ) -> Result<T, PasswordError> {
        let waiting = self.place().map_err(|_| PasswordError::Busy)?;
        let hashing = Arc::clone(&self.hashing).acquire_owned().await.map_err(|_| PasswordError::Busy)?;
        let done = tokio::task::spawn_blocking(move || {
            let done = work();
            drop((waiting, hashing));
            done
        });
        done.await.map_err(|_| PasswordError::Busy)?
    }

    fn place(&self) -> Result<OwnedSemaphorePermit, TryAcquireError> {
        Arc::clone(&self.waiting).try_acquire_owned()
    }
}

/// One text for what looks the same, however it was typed.
fn composed(password: &Secret) -> Zeroizing<String> {
    Zeroizing::new(password.expose().nfc().collect())
}

fn hash(peppered: &[u8; 32], salt: &[u8], cost: Cost) -> Result<PasswordHash, PasswordError> {
    let (kib, passes) = cost.kib_and_passes();
    let params = Params::new(kib, passes, 1, None).map_err(|_| PasswordError::Damaged)?;
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let hash = argon2.hash_password_with_salt(peppered, salt).map_err(|_| PasswordError::Damaged)?;
    Ok(PasswordHash::new(hash.to_string()))
}

/// Whether a hash was made at that cost.
fn costs(kept: &phc::PasswordHash, cost: Cost) -> bool {
    let (kib, passes) = cost.kib_and_passes();
    let number = |name: &str| kept.params.get_decimal(name);
    kept.algorithm.as_str() == "argon2id"
        && kept.version == Some(Version::V0x13.into())
        && (number("m"), number("t"), number("p")) == (Some(kib), Some(passes), Some(1))
}

#[cfg(test)]
#[path = "passwords_tests.rs"]
mod tests;
