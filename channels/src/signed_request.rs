//! The signed request with which Meta asks to delete somebody's data, or says that they took the
//! app's rights back.
//!
//! Meta: "Data Deletion Request Callback": a form field `signed_request`, which is
//! `<signature>.<payload>`, each in base64 for addresses. The signature is the HMAC-SHA256 of the
//! payload as it is encoded, under the app secret.

use base64::Engine as _;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use hmac::Mac as _;
use iassistance_domain::Timestamp;
use iassistance_domain::channel::StoredSecret;

use crate::json::{Scalar, object, shape};
use crate::moment;
use crate::signature::mac;

/// The form field that holds it.
pub const FIELD: &str = "signed_request";

const ALGORITHM: &str = "HMAC-SHA256";
/// Meta writes no padding, and says that there may be some.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A request that Meta signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedRequest {
    /// Whom it is about: the id that they have towards the Meta app. Never empty.
    pub user_id: StoredSecret,
    /// When it was made, where it says so.
    pub issued_at: Option<Timestamp>,
    /// Until when it counts, where it says so.
    pub expires: Option<Timestamp>,
}

/// Why a request was not let in. For the operator's log alone: the sender is told nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// It is not two parts in base64.
    #[error("the signed request is not a signature and a payload in base64, with a dot between")]
    Malformed,
    /// The app has no secret to check with.
    #[error("this Meta app has no app secret here: enter the one from its basic settings")]
    NoSecret,
    /// The signature is of another secret or another payload.
    #[error(
        "the signature of the request matches none of this Meta app's secrets: compare them with its basic settings"
    )]
    Mismatch,
    /// The payload does not say that it is signed as it must be.
    #[error("the signed request does not name HMAC-SHA256 as its algorithm")]
    Algorithm,
    /// The payload names nobody.
    #[error("the signed request names no user id")]
    Nobody,
}

shape! {
    struct Payload<'a> {
        algorithm: Scalar<'a>,
        user_id: Scalar<'a>,
        issued_at: Scalar<'a>,
        expires: Scalar<'a>,
    }
}

/// Checks the value of the form field against each of the app's secrets; several, so that one can
/// be rotated. Compares in constant time, and reads nothing of it before. An empty secret proves
/// nothing and never matches, so an app without secrets lets nothing in.
pub fn verify(secrets: &[StoredSecret], form_value: &str) -> Result<SignedRequest, Rejected> {
    let (signature, encoded) = form_value.trim().split_once('.').ok_or(Rejected::Malformed)?;
    let signature = BASE64.decode(signature).map_err(|_| Rejected::Malformed)?;
    let payload = BASE64.decode(encoded).map_err(|_| Rejected::Malformed)?;

    let mut usable = secrets.iter().filter(|secret| !secret.is_empty()).peekable();
    if usable.peek().is_none() {
        return Err(Rejected::NoSecret);
    }
    let signed = |secret: &StoredSecret| mac(secret.expose().as_bytes(), encoded.as_bytes());
    if !usable.any(|secret| signed(secret).verify_slice(&signature).is_ok()) {
        return Err(Rejected::Mismatch);
    }

    let payload: Payload<'_> = str::from_utf8(&payload).ok().and_then(object).ok_or(Rejected::Malformed)?;
    if !payload.algorithm.id().is_some_and(|algorithm| algorithm.eq_ignore_ascii_case(ALGORITHM)) {
        return Err(Rejected::Algorithm);
    }
    let user_id = payload.user_id.owned().map(StoredSecret::new).ok_or(Rejected::Nobody)?;
    // Meta writes 0 where it does not end.
    let expires = moment::any(payload.expires).filter(|expires| *expires > Timestamp::EPOCH);
    Ok(SignedRequest { user_id, issued_at: moment::any(payload.issued_at), expires })
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
    use serde_json::Value;

    use super::*;

    const SECRET: &str = "example-app-secret-not-real-0001";

    fn secrets(list: &[&str]) -> Vec<StoredSecret> {
        list.iter().copied().map(StoredSecret::new).collect()
    }

    fn signed(secret: &str, engine: &GeneralPurpose, payload: &str) -> String {
        let payload = engine.encode(payload);
        let signature = mac(secret.as_bytes(), payload.as_bytes()).finalize().into_bytes();
        format!("{}.{payload}", engine.encode(signature))
    }

    #[test]
    fn every_vector_is_decided_as_it_says() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/signature/signed_request.json");
        let file: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        let vectors = file["vectors"].as_array().unwrap();
        assert!(vectors.len() > 8);
        for vector in vectors {
            let form = vector["form"][FIELD].as_str().unwrap();
            let said = verify(&secrets(&[vector["secret"].as_str().unwrap()]), form);
            assert_eq!(said.is_ok(), vector["accept"].as_bool().unwrap(), "{}", vector["name"]);
            let user_id = said.ok().map(|request| request.user_id);
            assert_eq!(user_id, vector["user_id"].as_str().map(StoredSecret::new), "{}", vector["name"]);
        }
    }

    #[test]
    fn each_reason_to_refuse_is_told_apart() {
        let good = signed(SECRET, &URL_SAFE_NO_PAD, r#"{"algorithm":"HMAC-SHA256","user_id":"7"}"#);
        let with =
            |payload: &str| verify(&secrets(&[SECRET]), &signed(SECRET, &URL_SAFE_NO_PAD, payload)).err();
        assert_eq!(verify(&secrets(&["other"]), &good).err(), Some(Rejected::Mismatch));
        for list in [&[][..], &[""], &["", ""]] {
            assert_eq!(verify(&secrets(list), &good).err(), Some(Rejected::NoSecret));
        }
        for form in ["", ".", "a", "é.é", "++//.++//", &format!("{good}.x"), &format!("{good} x")] {
            let refused = verify(&secrets(&[SECRET]), form).err();
            assert!(matches!(refused, Some(Rejected::Malformed | Rejected::Mismatch)), "{form}");
        }
        assert_eq!(with("[]"), Some(Rejected::Malformed));
        assert_eq!(with("{"), Some(Rejected::Malformed));
        assert_eq!(with(r#"{"user_id":"7"}"#), Some(Rejected::Algorithm));
        assert_eq!(with(r#"{"algorithm":"none","user_id":"7"}"#), Some(Rejected::Algorithm));
        assert_eq!(with(r#"{"algorithm":"HMAC-SHA256","user_id":" "}"#), Some(Rejected::Nobody));
    }

    #[test]
    fn padding_numbers_and_other_secrets_of_the_list_are_taken() {
        let payload =
            r#"{"algorithm":"HMAC-SHA256","issued_at":1790000000,"expires":"1790003600","user_id":218471}"#;
        let expected = SignedRequest {
            user_id: StoredSecret::new("218471"),
            issued_at: Some(Timestamp::from_secs(1_790_000_000)),
            expires: Some(Timestamp::from_secs(1_790_003_600)),
        };
        for engine in [&URL_SAFE_NO_PAD, &URL_SAFE] {
            let said = verify(&secrets(&["old", SECRET]), &signed(SECRET, engine, payload));
            assert_eq!(said.as_ref(), Ok(&expected));
        }
        let endless = r#"{"algorithm":"HMAC-SHA256","expires":0,"user_id":"7"}"#;
        let said = verify(&secrets(&[SECRET]), &signed(SECRET, &URL_SAFE_NO_PAD, endless)).unwrap();
        assert_eq!((said.issued_at, said.expires), (None, None));
        // `>` and `?` are written with `+` and `/` in the other alphabet, which is not Meta's.
        let other = signed(SECRET, &STANDARD, r#"{"algorithm":"HMAC-SHA256","user_id":"7>>>???"}"#);
        assert_eq!(verify(&secrets(&[SECRET]), &other).err(), Some(Rejected::Malformed));
    }

    #[test]
    fn nothing_of_the_person_is_printed() {
        let request = SignedRequest { user_id: StoredSecret::new("218471"), issued_at: None, expires: None };
        assert!(!format!("{request:?}").contains("218471"));
    }
}
