//! The signature on a webhook: proof that Meta sent these bytes.
//!
//! Meta: Graph API webhooks, "Validating payloads": `X-Hub-Signature-256: sha256=<hex>` is the
//! HMAC-SHA256 of the body under the app secret. It is taken over the bytes as they arrived: Meta
//! escapes its JSON in ways that no serialiser repeats. It proves Meta, not the tenant.

use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use iassistance_domain::channel::StoredSecret;
use sha2::Sha256;

/// The header that carries the signature.
pub const HEADER: &str = "x-hub-signature-256";

const SCHEME: &[u8] = b"sha256=";
const MAC_BYTES: usize = 32;

/// A body whose signature was checked. Only [`verify`] makes one, so what is parsed was verified.
#[derive(Clone)]
pub struct Verified {
    body: Bytes,
}

impl Verified {
    /// The bytes that were signed.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// The bytes that were signed, given up to be read.
    pub fn into_body(self) -> Bytes {
        self.body
    }
}

/// Why a webhook was not let in. For the operator's log alone: the sender is told nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// The header is not there.
    #[error(
        "the webhook has no X-Hub-Signature-256 header: it does not come from Meta, or a proxy dropped it"
    )]
    Missing,
    /// The header is not `sha256=` and 64 hexadecimal digits.
    #[error("the X-Hub-Signature-256 header is not `sha256=` and 64 hexadecimal digits")]
    Malformed,
    /// The app has no secret to check with.
    #[error("this Meta app has no app secret here: enter the one from its basic settings")]
    NoSecret,
    /// The signature is of another secret or another body.
    #[error(
        "the signature matches none of this Meta app's secrets: compare them with its basic settings, and let no proxy change the body"
    )]
    Mismatch,
}

/// The header value with which Meta would send `body`: `sha256=` and lower-case hexadecimal.
pub fn sign(secret: &[u8], body: &[u8]) -> String {
    format!("sha256={}", hex::encode(mac(secret, body).finalize().into_bytes()))
}

/// Checks `header` over `body` against each of the app's secrets; several, so that one can be
/// rotated. Compares decoded bytes in constant time. An empty secret proves nothing and never
/// matches, so an app without secrets lets nothing in.
pub fn verify(secrets: &[StoredSecret], header: Option<&[u8]>, body: Bytes) -> Result<Verified, Rejected> {
    let header = header.ok_or(Rejected::Missing)?;
    let digits = header.strip_prefix(SCHEME).ok_or(Rejected::Malformed)?;
    let mut claimed = [0; MAC_BYTES];
    hex::decode_to_slice(digits, &mut claimed).map_err(|_| Rejected::Malformed)?;

    let mut usable = secrets.iter().filter(|secret| !secret.is_empty()).peekable();
    if usable.peek().is_none() {
        return Err(Rejected::NoSecret);
    }
    if usable.any(|secret| mac(secret.expose().as_bytes(), &body).verify_slice(&claimed).is_ok()) {
        Ok(Verified { body })
    } else {
        Err(Rejected::Mismatch)
    }
}

#[expect(
    clippy::expect_used,
    reason = "HMAC takes keys of every length; the signature is of the cipher trait"
)]
pub(crate) fn mac(secret: &[u8], body: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes keys of every length");
    mac.update(body);
    mac
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn secrets(list: &[&str]) -> Vec<StoredSecret> {
        list.iter().copied().map(StoredSecret::new).collect()
    }

    fn base64(text: &str) -> Vec<u8> {
        const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let digits: Vec<u32> = text
            .bytes()
            .filter(|byte| *byte != b'=')
            .map(|byte| ALPHABET.iter().position(|digit| *digit == byte).unwrap().try_into().unwrap())
            .collect();
        let mut bytes = Vec::new();
        for group in digits.chunks(4) {
            let bits = group.iter().fold(0, |bits, digit| bits << 6 | digit) << (6 * (4 - group.len()));
            bytes.extend(&bits.to_be_bytes()[1..group.len()]);
        }
        bytes
    }

    #[test]
    fn every_vector_is_decided_as_it_says() {
        let file =
            concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/signature/x_hub_signature_256.json");
        let file: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        let vectors = file["vectors"].as_array().unwrap();
        assert!(vectors.len() > 10);
        for vector in vectors {
            let list: Vec<&str> =
                vector["secrets"].as_array().unwrap().iter().map(|secret| secret.as_str().unwrap()).collect();
            let body = Bytes::from(base64(vector["body_b64"].as_str().unwrap()));
            let header = vector["header"].as_str().map(str::as_bytes);
            let accepted = verify(&secrets(&list), header, body).is_ok();
            assert_eq!(accepted, vector["accept"].as_bool().unwrap(), "{}", vector["name"]);
        }
    }

    #[test]
    fn what_is_signed_is_verified_by_any_secret_of_the_list() {
        let body = Bytes::from_static(b"{\"object\":\"page\"}");
        let header = sign(b"new", &body);
        let verified = verify(&secrets(&["old", "", "new"]), Some(header.as_bytes()), body.clone());
        assert!(verified.is_ok_and(|verified| *verified.body() == body));
        let refused = verify(&secrets(&["old"]), Some(header.as_bytes()), body);
        assert_eq!(refused.err(), Some(Rejected::Mismatch));
    }

    #[test]
    fn no_secret_or_an_empty_one_lets_nothing_in() {
        let body = Bytes::from_static(b"{}");
        let forged = sign(b"", &body);
        for list in [&[][..], &[""], &["", ""]] {
            let refused = verify(&secrets(list), Some(forged.as_bytes()), body.clone());
            assert_eq!(refused.err(), Some(Rejected::NoSecret));
        }
        assert_eq!(verify(&secrets(&["s"]), None, body).err(), Some(Rejected::Missing));
    }
}
