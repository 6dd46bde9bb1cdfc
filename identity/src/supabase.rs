//! Sign-in with the users of a Supabase project: its access tokens, checked against its public keys.
//!
//! A token says who somebody is there. Which address they have it says too, but not whether it is theirs:
//! what it calls `user_metadata` the user writes. So the address counts when the project itself says that
//! it is confirmed: in a claim that it signs, or when it is asked.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use iassistance_config::{IdentitySettings, Secret};
use iassistance_domain::account::normalised_email;
use iassistance_domain::{Clock, Pii, Timestamp};
use iassistance_egress::{Destination, Egress, EgressError};
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;
use tokio::sync::Mutex;
use url::Url;

/// Keys are asked for again after this long, milliseconds: one that the project took back goes then.
const FRESH_MS: u64 = 3_600_000;
/// And not used after this long without an answer.
const STALE_MS: u64 = 86_400_000;
/// The least time between two questions for keys, milliseconds.
const ASK_MS: u64 = 60_000;
/// How far the clocks may be apart, milliseconds.
const LEEWAY_MS: u64 = 30_000;
const TIMEOUT: Duration = Duration::from_secs(5);
const TOKEN_BYTES_MAX: usize = 8_192;
const ANSWER_BYTES_MAX: usize = 65_536;
const KEYS_MAX: usize = 32;
const SUBJECT_CHARS_MAX: usize = 128;

/// Why somebody was not let in by Supabase.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SupabaseError {
    /// The token is not one of the project's, or not for here.
    #[error("the token {0}")]
    BadToken(&'static str),
    /// It was good once.
    #[error("the token has expired: sign in with Supabase again")]
    Expired,
    /// The project does not say that the address is theirs.
    #[error("Supabase does not say that this e-mail address is confirmed: confirm it there, then try again")]
    NotConfirmed,
    /// The project did not answer.
    #[error("Supabase does not answer as it should ({0}): try again later")]
    Unavailable(&'static str),
}

/// Who somebody is at Supabase.
pub struct SupabaseUser {
    /// Their identifier there; it stays when their address changes.
    pub subject: String,
    /// Whether they gave a second factor there (`aal2`).
    pub second_factor: bool,
    token: Secret,
    /// The address that the project signs to be confirmed.
    signed: Option<Pii<String>>,
}

/// A Supabase project.
pub struct Supabase {
    egress: Egress,
    clock: Arc<dyn Clock>,
    issuer: String,
    audience: String,
    keys_url: Url,
    user_url: Url,
    publishable_key: Secret,
    keys: Mutex<Keys>,
}

#[derive(Default)]
struct Keys {
    by_id: HashMap<String, (Algorithm, DecodingKey)>,
    had_at: Option<Timestamp>,
    asked_at: Option<Timestamp>,
}

#[derive(Deserialize)]
struct Claims {
    sub: String,
    exp: i64,
    nbf: Option<i64>,
    iat: Option<i64>,
    role: Option<String>,
    aal: Option<String>,
    email: Option<String>,
    email_verified: Option<bool>,
    #[serde(default)]
    is_anonymous: bool,
}

#[derive(Deserialize)]
struct User {
    id: String,
    email: Option<String>,
    email_confirmed_at: Option<String>,
}

impl Supabase {
    /// The project of the settings; nothing if they name none.
    ///
    /// # Errors
    /// [`EgressError`] for an address that cannot be called.
    pub fn new(
        settings: &IdentitySettings,
        egress: &Egress,
        clock: Arc<dyn Clock>,
    ) -> Result<Option<Self>, EgressError> {
        let Some(project) = settings.supabase() else { return Ok(None) };
        let issuer = format!("{}/auth/v1", project.as_str().trim_end_matches('/'));
        let below = |path: &str| {
            let mut url = project.clone();
            url.set_path(&format!("{}/auth/v1/{path}", project.path().trim_end_matches('/')));
            url
        };
        Ok(Some(Self {
            egress: egress.with_auth(&project)?,
            clock,
            keys_url: below(".well-known/jwks.json"),
            user_url: below("user"),
            issuer,
            audience: settings.supabase_audience.clone(),
            publishable_key: settings.supabase_key.clone(),
            keys: Mutex::default(),
        }))
    }

    /// Who signed in there, by the access token that they got.
    ///
    /// # Errors
    /// [`SupabaseError`]
    pub async fn user(&self, token: &Secret) -> Result<SupabaseUser, SupabaseError> {
        let text = token.expose();
        if text.len() > TOKEN_BYTES_MAX {
            return Err(SupabaseError::BadToken("is too long"));
        }
        let header =
            jsonwebtoken::decode_header(text).map_err(|_| SupabaseError::BadToken("is not a JWT"))?;
        if !matches!(header.alg, Algorithm::RS256 | Algorithm::ES256) {
            return Err(SupabaseError::BadToken(
                "is not signed by RS256 or ES256: switch the project to asymmetric JWT signing keys",
            ));
        }
        let id = header.kid.ok_or(SupabaseError::BadToken("names no key"))?;
        let (algorithm, key) = self.key(&id).await?;
        if algorithm != header.alg {
            return Err(SupabaseError::BadToken("names a key of another kind"));
        }
        let claims = self.claims(text, algorithm, &key)?;
        self.check(&claims)?;
        let signed = claims.email.filter(|_| claims.email_verified == Some(true));
        Ok(SupabaseUser {
            subject: claims.sub,
            second_factor: claims.aal.as_deref() == Some("aal2"),
            token: token.clone(),
            signed: signed.and_then(|email| normalised_email(&email).ok()),
        })
    }

    /// Their address, if the project says that it is confirmed. Needed once: to find the account of
    /// somebody whose subject is not known yet.
    ///
    /// # Errors
    /// [`SupabaseError::NotConfirmed`], also where the project cannot be asked because its publishable key
    /// is not set; [`SupabaseError::Unavailable`].
    pub async fn confirmed_email(&self, user: &SupabaseUser) -> Result<Pii<String>, SupabaseError> {
        if let Some(email) = &user.signed {
            return Ok(email.clone());
        }
        if self.publishable_key.is_empty() {
            return Err(SupabaseError::NotConfirmed);
        }
        let request = self
            .client(&self.user_url)?
            .get(self.user_url.clone())
            .header("apikey", self.publishable_key.expose())
            .bearer_auth(user.token.expose());
        let told: User = read(request).await?;
        if told.id != user.subject {
            return Err(SupabaseError::Unavailable("it tells of somebody else"));
        }
        let email = told.email.filter(|_| told.email_confirmed_at.is_some_and(|at| !at.is_empty()));
        email.and_then(|email| normalised_email(&email).ok()).ok_or(SupabaseError::NotConfirmed)
    }

    /// The claims of a token whose signature, issuer and audience are right. Times are looked at by
    /// [`Self::check`], with our clock.
    fn claims(&self, token: &str, algorithm: Algorithm, key: &DecodingKey) -> Result<Claims, SupabaseError> {
        let mut validation = Validation::new(algorithm);
        validation.set_issuer(&[&self.issuer]);
        validation.set_audience(&[&self.audience]);
        validation.set_required_spec_claims(&["iss", "aud", "sub"]);
        validation.validate_exp = false;
        validation.validate_nbf = false;
        let decoded = jsonwebtoken::decode::<Claims>(token, key, &validation).map_err(|error| {
            use jsonwebtoken::errors::ErrorKind;
            SupabaseError::BadToken(match error.kind() {
                ErrorKind::InvalidSignature => "is not signed by the project",
                ErrorKind::InvalidIssuer => "is of another project",
                ErrorKind::InvalidAudience => "is for somebody else",
                _ => "lacks what it should say",
            })
        })?;
        Ok(decoded.claims)
    }

    fn check(&self, claims: &Claims) -> Result<(), SupabaseError> {
        let now = self.clock.now();
        let soon = now.plus_millis(LEEWAY_MS);
        let begins = claims.nbf.into_iter().chain(claims.iat).map(Timestamp::from_secs).max();
        if Timestamp::from_secs(claims.exp).plus_millis(LEEWAY_MS) <= now {
            return Err(SupabaseError::Expired);
        }
        if begins.is_some_and(|begin| begin > soon) {
            return Err(SupabaseError::BadToken("is of the future: is this server's clock right?"));
        }
        if claims.is_anonymous {
            return Err(SupabaseError::BadToken("is of an anonymous user"));
        }
        if claims.role.as_deref().is_some_and(|role| role != "authenticated") {
            return Err(SupabaseError::BadToken("is not of a user who signed in"));
        }
        if claims.sub.is_empty() || claims.sub.chars().count() > SUBJECT_CHARS_MAX {
            return Err(SupabaseError::BadToken("names nobody"));
        }
        Ok(())
    }

    /// The project's key of that id. Keys are asked for when one is not known or they are old, and not
    /// more often than once a minute, whatever tokens come.
    async fn key(&self, id: &str) -> Result<(Algorithm, DecodingKey), SupabaseError> {
        let mut keys = self.keys.lock().await;
        let now = self.clock.now();
        let age = keys.had_at.map_or(u64::MAX, |at| now.millis_since(at));
        let may_ask = keys.asked_at.is_none_or(|at| now.millis_since(at) >= ASK_MS);
        let mut problem = None;
        if may_ask && (age >= FRESH_MS || !keys.by_id.contains_key(id)) {
            keys.asked_at = Some(now);
            match self.fetch_keys().await {
                Ok(by_id) => (keys.by_id, keys.had_at) = (by_id, Some(now)),
                Err(error) => {
                    tracing::warn!(%error, "the keys of the Supabase project could not be had");
                    problem = Some(error);
                }
            }
        }
        if keys.had_at.is_none_or(|at| now.millis_since(at) >= STALE_MS) {
            return Err(problem.unwrap_or(SupabaseError::Unavailable("its keys are not known")));
        }
        keys.by_id
            .get(id)
            .cloned()
            .ok_or(SupabaseError::BadToken("names a key that the project does not have"))
    }

    async fn fetch_keys(&self) -> Result<HashMap<String, (Algorithm, DecodingKey)>, SupabaseError> {
        let request = self.client(&self.keys_url)?.get(self.keys_url.clone());
        // One key of a kind that is not known costs itself alone.
        let set: JwkSetOfAny = read(request).await?;
        let keys = set.keys.into_iter().filter_map(|key| serde_json::from_value(key).ok());
        let set = JwkSet { keys: keys.take(KEYS_MAX).collect() };
        Ok(set.keys.iter().filter_map(usable).collect())
    }

    fn client(&self, url: &Url) -> Result<&reqwest::Client, SupabaseError> {
        self.egress
            .client_for(Destination::Auth, url)
            .map_err(|_| SupabaseError::Unavailable("its address may not be called"))
    }
}

#[derive(Deserialize)]
struct JwkSetOfAny {
    keys: Vec<serde_json::Value>,
}

/// A key that signs, with its id and the one algorithm that it is for.
fn usable(key: &Jwk) -> Option<(String, (Algorithm, DecodingKey))> {
    if key.common.public_key_use.as_ref().is_some_and(|used| *used != PublicKeyUse::Signature) {
        return None;
    }
    let algorithm = match &key.algorithm {
        AlgorithmParameters::RSA(_) => Algorithm::RS256,
        AlgorithmParameters::EllipticCurve(curve) if curve.curve == EllipticCurve::P256 => Algorithm::ES256,
        _ => return None,
    };
    let id = key.common.key_id.clone()?;
    Some((id, (algorithm, DecodingKey::from_jwk(key).ok()?)))
}

async fn read<T: for<'de> Deserialize<'de>>(request: reqwest::RequestBuilder) -> Result<T, SupabaseError> {
    let no_answer = |_| SupabaseError::Unavailable("no answer");
    let mut response = request.timeout(TIMEOUT).send().await.map_err(no_answer)?;
    match response.status().as_u16() {
        200 => {}
        401 | 403 => return Err(SupabaseError::BadToken("is not accepted by the project any more")),
        _ => return Err(SupabaseError::Unavailable("an answer other than 200")),
    }
    let mut body = Vec::new();
    while let Some(part) = response.chunk().await.map_err(no_answer)? {
        if body.len() + part.len() > ANSWER_BYTES_MAX {
            return Err(SupabaseError::Unavailable("an answer that is too long"));
        }
        body.extend_from_slice(&part);
    }
    serde_json::from_slice(&body).map_err(|_| SupabaseError::Unavailable("an answer that cannot be read"))
}

#[cfg(test)]
#[path = "supabase_tests.rs"]
mod tests;
