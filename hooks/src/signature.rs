//! The signature: HMAC-SHA256 over `id.timestamp.body`, one for each secret.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use iassistance_domain::Entropy;
use iassistance_domain::channel::StoredSecret;
use sha2::Sha256;

/// The header that names the message: the same whenever it is sent again.
pub const ID: &str = "webhook-id";
/// The header that says when it was sent, seconds since the Unix epoch.
pub const TIMESTAMP: &str = "webhook-timestamp";
/// The header with the signatures.
pub const SIGNATURE: &str = "webhook-signature";

/// What a secret begins with; the key in base64 follows.
const PREFIX: &str = "whsec_";
const KEY_BYTES: usize = 32;

/// A stored secret that is none: the record was damaged, or written by something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the webhook has no secret to sign with: rotate it")]
pub struct BadSecret;

/// A new secret: `whsec_` and 32 random bytes in base64.
pub fn new_secret(entropy: &dyn Entropy) -> StoredSecret {
    let mut key = [0; KEY_BYTES];
    entropy.fill(&mut key);
    StoredSecret::new(format!("{PREFIX}{}", STANDARD.encode(key)))
}

/// The value of the signature header: `v1,` and base64 for each secret, newest first, with a space in
/// between. The receiver takes any that fits, so that one secret can take another's place.
///
/// # Errors
/// [`BadSecret`] when there is none, or one of them is none.
pub fn sign(secrets: &[StoredSecret], id: &str, timestamp_s: i64, body: &[u8]) -> Result<String, BadSecret> {
    if secrets.is_empty() {
        return Err(BadSecret);
    }
    let one = |secret: &StoredSecret| {
        let mut mac = Hmac::<Sha256>::new_from_slice(&key_of(secret)?).map_err(|_| BadSecret)?;
        for part in [id.as_bytes(), b".", timestamp_s.to_string().as_bytes(), b".", body] {
            mac.update(part);
        }
        Ok(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
    };
    let signatures: Result<Vec<_>, _> = secrets.iter().map(one).collect();
    signatures.map(|signatures| signatures.join(" "))
}

fn key_of(secret: &StoredSecret) -> Result<Vec<u8>, BadSecret> {
    let text = secret.expose().strip_prefix(PREFIX).ok_or(BadSecret)?;
    STANDARD.decode(text).ok().filter(|key| !key.is_empty()).ok_or(BadSecret)
}

#[cfg(test)]
mod tests {
    use iassistance_domain::SeededEntropy;

    use super::*;

    #[test]
    fn the_example_of_the_specification_is_signed_as_it_says() {
        // Standard Webhooks, "Symmetric": the values of its reference libraries' tests.
        let secret = StoredSecret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let signed =
            sign(&[secret], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        assert_eq!(signed.as_deref(), Ok("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="));
    }

    #[test]
    fn two_secrets_sign_while_one_takes_the_others_place() {
        let entropy = SeededEntropy::new(3);
        let secrets = [new_secret(&entropy), new_secret(&entropy)];
        assert_ne!(secrets[0].expose(), secrets[1].expose());
        let both = sign(&secrets, "dlv_1", 5, b"{}").unwrap();
        let each: Vec<_> =
            secrets.iter().map(|one| sign(std::slice::from_ref(one), "dlv_1", 5, b"{}").unwrap()).collect();
        assert_eq!(both, each.join(" "));
        for (id, at, body) in [("dlv_2", 5, "{}"), ("dlv_1", 6, "{}"), ("dlv_1", 5, "{ }")] {
            assert_ne!(sign(&secrets, id, at, body.as_bytes()).unwrap(), both);
        }
    }

    #[test]
    fn what_is_no_secret_signs_nothing() {
        for text in ["", "whsec_", "whsec_***", "c2VjcmV0"] {
            assert_eq!(sign(&[StoredSecret::new(text)], "dlv_1", 5, b"{}"), Err(BadSecret), "{text}");
        }
        assert_eq!(sign(&[], "dlv_1", 5, b"{}"), Err(BadSecret));
    }
}
