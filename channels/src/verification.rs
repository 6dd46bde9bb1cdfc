//! Meta's check that a webhook's address is ours.
//!
//! Meta: Graph API webhooks, "Verification requests": a GET with `hub.mode=subscribe`,
//! `hub.verify_token` and `hub.challenge`; the answer is the challenge as it came.

use iassistance_domain::channel::StoredSecret;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use url::form_urlencoded;

/// Why the address is not confirmed. For the operator's log; whoever asks gets 403 and no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unverified {
    /// It is not a verification: a health probe, or somebody looking around.
    #[error("not a verification by Meta: `hub.mode` is not `subscribe`")]
    NotSubscribe,
    /// A parameter stands twice, so it is not known which of them counts.
    #[error("a `hub.` parameter stands twice in the query")]
    Repeated,
    /// The token is not this app's, or this app has none.
    #[error("`hub.verify_token` is not this Meta app's: enter the same verify token on both sides")]
    WrongToken,
    /// There is nothing to answer with.
    #[error("`hub.challenge` is missing or empty")]
    NoChallenge,
}

/// Checks a verification by its raw query and gives back the challenge to answer with. It is
/// whatever the caller sent: answer it as `text/plain` with `X-Content-Type-Options: nosniff`.
/// Tokens are compared in constant time; an empty one never matches.
pub fn verify_address(verify_token: &StoredSecret, query: &str) -> Result<String, Unverified> {
    let (mut mode, mut token, mut challenge) = (None, None, None);
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let place = match &*name {
            "hub.mode" => &mut mode,
            "hub.verify_token" => &mut token,
            "hub.challenge" => &mut challenge,
            _ => continue,
        };
        if place.replace(value).is_some() {
            return Err(Unverified::Repeated);
        }
    }
    if mode.as_deref() != Some("subscribe") {
        return Err(Unverified::NotSubscribe);
    }
    let claimed = token.unwrap_or_default();
    let same = Sha256::digest(claimed.as_bytes()).ct_eq(&Sha256::digest(verify_token.expose().as_bytes()));
    if verify_token.is_empty() || !bool::from(same) {
        return Err(Unverified::WrongToken);
    }
    let challenge = challenge.filter(|challenge| !challenge.is_empty()).ok_or(Unverified::NoChallenge)?;
    Ok(challenge.into_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn every_vector_is_decided_as_it_says() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/signature/verification_get.json");
        let file: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        let token = StoredSecret::new(file["verify_token"].as_str().unwrap());
        let vectors = file["vectors"].as_array().unwrap();
        assert!(vectors.len() >= 10);
        for vector in vectors {
            let answer = verify_address(&token, vector["query"].as_str().unwrap()).ok();
            assert_eq!(answer.as_deref(), vector["body"].as_str(), "{}", vector["name"]);
            assert_eq!(answer.is_some(), vector["status"] == 200, "{}", vector["name"]);
        }
    }

    #[test]
    fn an_app_without_a_token_confirms_nothing() {
        let unset = StoredSecret::new("");
        for query in
            ["hub.mode=subscribe&hub.challenge=1&hub.verify_token=", "hub.mode=subscribe&hub.challenge=1"]
        {
            assert_eq!(verify_address(&unset, query), Err(Unverified::WrongToken));
        }
    }
}
