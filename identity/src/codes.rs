//! Codes: those of an authenticator (TOTP, RFC 6238), and those that stand in for one that is lost.

use iassistance_config::Secret;
use iassistance_domain::account::StoredTotp;
use iassistance_domain::channel::StoredSecret;
use iassistance_domain::id::AccountId;
use iassistance_domain::pii::SignIn;
use iassistance_domain::{Entropy, Pii, Timestamp};
use iassistance_vault::{Keyring, same};
use totp_rs::{Algorithm, Builder, Totp};
use zeroize::Zeroizing;

/// Seconds of one time step.
const STEP_S: u64 = 30;
/// Steps that a clock may be off.
const SKEW: u16 = 1;
const SECRET_BYTES: usize = 20;

/// Recovery codes of an account.
pub const RECOVERY_CODES: usize = 10;
const RECOVERY_DIGITS: usize = 10;
const RECOVERY_LABEL: &str = "recovery code";
/// Crockford's digits: without those that look like others.
const DIGITS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// A code that does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadCode {
    /// It is not the code.
    #[error("the code is wrong: codes change every 30 seconds, and the device's clock must be right")]
    Wrong,
    /// It was the code, and was used already.
    #[error("the code was used already: wait for the next one")]
    Used,
}

/// A new authenticator: what is kept, and what is shown once.
pub struct NewTotp {
    /// What is kept; it does not count before a first code was taken.
    pub stored: StoredTotp,
    /// The secret as people type it, base32.
    pub secret: Secret,
    /// The address for a QR code, `otpauth://totp/…`.
    pub uri: Secret,
}

/// Makes an authenticator's secret for the account of `email`, at the platform of that name.
pub fn new_totp(entropy: &dyn Entropy, platform: &str, email: &Pii<String>) -> NewTotp {
    let mut bytes = Zeroizing::new([0; SECRET_BYTES]);
    entropy.fill(bytes.as_mut_slice());
    let secret = totp_rs::Secret::new_stack(*bytes);
    let text = secret.to_base32();
    // A colon parts the platform from the account.
    let plain = |name: &str| name.replace(':', " ");
    let totp = builder(secret)
        .with_issuer(Some(plain(platform)))
        .with_account_name(plain(email.reveal(SignIn)))
        .build_noncompliant();
    NewTotp {
        stored: StoredTotp { secret: StoredSecret::new(text.clone()), last_step: 0, confirmed_at: None },
        secret: Secret::new(text),
        uri: Secret::new(totp.to_url().unwrap_or_default()),
    }
}

/// Takes a code: marks its step as used, and the authenticator as working. The change counts when it is
/// stored with the revision that was read: of two that take the same code at once one fails there.
///
/// # Errors
/// [`BadCode`]; nothing is changed then.
pub fn take_totp(stored: &mut StoredTotp, code: &str, now: Timestamp) -> Result<(), BadCode> {
    let secret = totp_rs::Secret::try_from_base32(stored.secret.expose()).map_err(|_| BadCode::Wrong)?;
    let code: String = code.chars().filter(|character| !character.is_whitespace()).take(7).collect();
    let seconds = now.as_millis().max(0).cast_unsigned() / 1_000;
    let step = totp(secret).check(&code, seconds).ok_or(BadCode::Wrong)?;
    if step <= stored.last_step {
        return Err(BadCode::Used);
    }
    stored.last_step = step;
    stored.confirmed_at.get_or_insert(now);
    Ok(())
}

fn builder(secret: totp_rs::Secret) -> Builder {
    // What every authenticator can do; others are often taken for this one.
    Builder::new()
        .with_algorithm(Algorithm::SHA1)
        .with_digits(6)
        .with_step_duration(STEP_S)
        .with_skew(SKEW)
        .with_secret(secret)
}

fn totp(secret: totp_rs::Secret) -> Totp {
    builder(secret).build_noncompliant()
}

/// New recovery codes for `account`: to be shown once, with the hashes that are kept. The former ones are
/// to be forgotten.
pub fn new_recovery_codes(
    keyring: &Keyring,
    entropy: &dyn Entropy,
    account: AccountId,
) -> (Vec<Secret>, Vec<String>) {
    let code = |_| {
        let mut bytes = Zeroizing::new([0; RECOVERY_DIGITS]);
        entropy.fill(bytes.as_mut_slice());
        let digits: Zeroizing<String> =
            Zeroizing::new(bytes.iter().map(|byte| char::from(DIGITS[usize::from(byte % 32)])).collect());
        let (first, second) = digits.split_at(RECOVERY_DIGITS / 2);
        let hash = recovery_hash(keyring, account, &digits);
        (Secret::new(format!("{first}-{second}")), hash)
    };
    (0..RECOVERY_CODES).map(code).unzip()
}

/// Takes a recovery code out of those that are left. As with [`take_totp`], storing decides.
///
/// # Errors
/// [`BadCode::Wrong`]; nothing is changed then.
pub fn take_recovery_code(
    keyring: &Keyring,
    account: AccountId,
    left: &mut Vec<String>,
    code: &str,
) -> Result<(), BadCode> {
    let digits: Zeroizing<String> = Zeroizing::new(code.chars().take(64).filter_map(digit).collect());
    let hash = recovery_hash(keyring, account, &digits);
    // Every one is looked at, so that time does not tell which it was.
    let is_it = |kept: &String| same(kept.as_bytes(), hash.as_bytes());
    let found =
        left.iter().enumerate().fold(None, |found, (at, kept)| if is_it(kept) { Some(at) } else { found });
    left.remove(found.ok_or(BadCode::Wrong)?);
    Ok(())
}

/// As people write them: in any case, with dashes and blanks, `o` for 0 and `l` for 1.
fn digit(character: char) -> Option<char> {
    match character.to_ascii_lowercase() {
        '-' | ' ' => None,
        'o' => Some('0'),
        'i' | 'l' => Some('1'),
        other => Some(other),
    }
}

fn recovery_hash(keyring: &Keyring, account: AccountId, digits: &str) -> String {
    let bytes = Zeroizing::new([&account.to_bytes()[..], digits.as_bytes()].concat());
    hex::encode(keyring.hash_secret(RECOVERY_LABEL, &bytes))
}

#[cfg(test)]
#[path = "codes_tests.rs"]
mod tests;
