//! `Idempotency-Key`: a request that creates something can be repeated without creating it twice.
//!
//! Before a request is carried out, the store notes that it is; afterwards, what was answered, sealed, for a day. So
//! both outlast a restart: what was answered is answered again, and what was broken off is not done twice. What is
//! under way is known in memory.

use std::future::{Ready, ready};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::web::Bytes;
use actix_web::{FromRequest, HttpRequest, HttpResponse};
use serde::Serialize;

use iassistance_domain::answer::{KEPT_MS, StoredAnswer};
use iassistance_domain::id::TenantId;
use iassistance_domain::pii::TenantView;
use iassistance_domain::tenant::TenantCtx;
use iassistance_domain::{Pii, Timestamp};

use super::principal::{Asker, Principal};
use super::recent::{Bounds, Recent};
use super::{Problem, State};

/// The header.
pub const HEADER: &str = "idempotency-key";
/// The longest key, in characters of visible ASCII.
pub const KEY_CHARS_MAX: usize = 255;
const REPLAYED: &str = "idempotency-replayed";
/// A longer answer is not kept for a repetition.
const ANSWER_BYTES_MAX: usize = 256 * 1_024;
const BOUNDS: Bounds = Bounds { keep_ms: KEPT_MS, entries_max: 10_000, per_owner_max: 1_000 };

type Key = (Asker, String);
type Fingerprint = [u8; 32];

/// Requests with a key that are under way.
#[derive(Clone)]
pub struct Idempotency(Arc<Mutex<Recent<Asker, Key, Entry>>>);

struct Entry {
    fingerprint: Fingerprint,
    stage: Stage,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    InFlight,
    /// It was broken off, or failed in a way that does not say whether it took effect.
    Unknown,
}

/// 201: something was created.
#[derive(Clone)]
pub struct Created {
    location: Option<String>,
    body: Bytes,
    shown_once: bool,
}

impl Created {
    /// The answer to a request that created something which is found at `location` from now on.
    pub fn at<T: Serialize>(location: impl Into<Option<String>>, value: &T) -> Result<Self, Problem> {
        let body = serde_json::to_vec(value).map_err(|error| {
            tracing::error!(%error, "an answer could not be written as JSON");
            Problem::internal()
        })?;
        Ok(Self { location: location.into(), body: Bytes::from(body), shown_once: false })
    }

    /// There is a secret in it: it is shown this once and not kept for a repetition.
    pub fn shown_once(mut self) -> Self {
        self.shown_once = true;
        self
    }

    fn respond(self, replayed: bool) -> HttpResponse {
        let mut response = HttpResponse::build(StatusCode::CREATED);
        if let Some(location) = self.location {
            response.insert_header((header::LOCATION, location));
        }
        if replayed {
            response.insert_header((REPLAYED, "true"));
        }
        response.content_type("application/json").body(self.body)
    }
}

impl Default for Idempotency {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Recent::new(BOUNDS))))
    }
}

impl Idempotency {
    /// Begins a request that nobody else carries out at this moment.
    fn begin(&self, key: Key, fingerprint: Fingerprint, now: Timestamp) -> Result<Claim<'_>, Problem> {
        let mut seen = self.lock();
        let Some(entry) = seen.get_mut(now, &key) else {
            seen.insert(now, key.0, key.clone(), Entry { fingerprint, stage: Stage::InFlight });
            return Ok(Claim { all: self, key: Some(key), now });
        };
        match entry {
            Entry { fingerprint: of, .. } if *of != fingerprint => Err(Problem::idempotency_mismatch()),
            Entry { stage: Stage::InFlight, .. } => Err(Problem::conflict(
                "the first request with this Idempotency-Key is still being carried out",
            )),
            Entry { stage: Stage::Unknown, .. } => Err(broken_off()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Recent<Asker, Key, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn broken_off() -> Problem {
    Problem::conflict(
        "the first request with this Idempotency-Key was broken off and may have taken effect: look, and repeat it \
         with a new one if it did not",
    )
}

/// The right to carry a request out. Dropped without a word (the caller hung up, the handler
/// failed), it leaves the key as one whose effect is not known.
struct Claim<'a> {
    all: &'a Idempotency,
    key: Option<Key>,
    now: Timestamp,
}

impl Claim<'_> {
    /// Nothing is under way any more: what there is to know is in the store.
    fn release(mut self) {
        if let Some(key) = self.key.take() {
            self.all.lock().take(self.now, &key);
        }
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        if let Some(key) = self.key.take()
            && let Some(entry) = self.all.lock().get_mut(self.now, &key)
        {
            entry.stage = Stage::Unknown;
        }
    }
}

/// What the store knows of a request: in a tenant's part of it, if its address is about one.
struct Kept<'a> {
    state: &'a State,
    of: Option<TenantCtx>,
    key: String,
    fingerprint: String,
    /// When the request came.
    at: Timestamp,
}

impl Kept<'_> {
    /// The answer to the first occurrence, if there was one.
    async fn find(&self) -> Result<Option<Created>, Problem> {
        let people = self.state.app.store.people();
        let Some(answer) = people.idempotent(self.of, &self.key).await? else { return Ok(None) };
        if answer.fingerprint != self.fingerprint {
            return Err(Problem::idempotency_mismatch());
        }
        match (answer.status, answer.body) {
            (0, _) => Err(broken_off()),
            (_, Some(body)) => {
                let body = Bytes::from(body.into_inner(TenantView));
                Ok(Some(Created { location: answer.location, body, shown_once: false }))
            }
            (_, None) => Err(Problem::conflict(
                "the first request with this Idempotency-Key was carried out; its secret is not shown again. If it \
                 was lost, revoke it and create another with a new Idempotency-Key",
            )),
        }
    }

    /// Notes that it is being carried out, or what it was answered.
    async fn put(&self, created: Option<&Created>) -> Result<(), Problem> {
        let kept = created.filter(|it| !it.shown_once && it.body.len() <= ANSWER_BYTES_MAX);
        let body = kept.and_then(|it| std::str::from_utf8(&it.body).ok());
        let answer = StoredAnswer {
            fingerprint: self.fingerprint.clone(),
            status: if created.is_some() { StatusCode::CREATED.as_u16() } else { 0 },
            location: created.and_then(|it| it.location.clone()),
            body: body.map(|text| Pii::new(text.to_owned())),
            at: self.at,
        };
        Ok(self.state.app.store.people().put_idempotent(self.of, &self.key, answer).await?)
    }

    /// Nothing happened: the request may be repeated with the same key.
    async fn forget(&self) -> Result<(), Problem> {
        self.state.app.store.people().remove_idempotent(self.of, &self.key).await?;
        Ok(())
    }
}

/// Carries a request that creates something out once per `Idempotency-Key`; without one, each time.
pub struct Once {
    key: Option<Key>,
    target: String,
    /// The tenant of the address, which the handler's permission was looked up for.
    tenant: Option<TenantId>,
}

impl Once {
    /// Does `work`, or answers what was answered to the same request before. `body` is the body as
    /// it came.
    pub async fn run(
        self,
        state: &State,
        body: &[u8],
        work: impl Future<Output = Result<Created, Problem>>,
    ) -> Result<HttpResponse, Problem> {
        let Some(key) = self.key else { return Ok(work.await?.respond(false)) };
        // Keyed, because bodies hold secrets; the target's length is where the body begins.
        let request = [&self.target.len().to_be_bytes(), self.target.as_bytes(), body].concat();
        let fingerprint = state.app.keyring.hash_secret("idempotency", &request);
        let now = state.clock().now();
        let kept = Kept {
            state,
            of: self.tenant.map(TenantCtx::authenticated),
            key: format!("{} {}", key.0, key.1),
            fingerprint: hex::encode(fingerprint),
            at: now,
        };
        let claim = state.idempotency.begin(key, fingerprint, now)?;
        let begun = match kept.find().await {
            Ok(None) => kept.put(None).await.map(|()| None),
            found => found,
        };
        match begun {
            Ok(None) => {}
            Ok(Some(created)) => {
                claim.release();
                return Ok(created.respond(true));
            }
            Err(problem) => {
                claim.release();
                return Err(problem);
            }
        }
        match work.await {
            Ok(created) => {
                // Whatever becomes of the note: it was created. A repetition is told that it may have been.
                if let Err(problem) = kept.put(Some(&created)).await {
                    tracing::warn!(%problem, "an answer could not be kept for a repetition");
                }
                claim.release();
                Ok(created.respond(false))
            }
            Err(problem) => {
                if !problem.is_uncertain() && kept.forget().await.is_ok() {
                    claim.release();
                }
                Err(problem)
            }
        }
    }
}

impl FromRequest for Once {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Principal::known(request).and_then(|principal| {
            let key = key_of(request)?.map(|key| (principal.asker(), key));
            let tenant = request.match_info().get("tenant").and_then(|id| id.parse().ok());
            Ok(Self { key, target: format!("{} {}", request.method(), request.path()), tenant })
        }))
    }
}

fn key_of(request: &HttpRequest) -> Result<Option<String>, Problem> {
    let mut values = request.headers().get_all(HEADER);
    let Some(value) = values.next() else { return Ok(None) };
    let text = value.to_str().unwrap_or_default();
    let visible =
        (1..=KEY_CHARS_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    if !visible || values.next().is_some() {
        return Err(Problem::bad_request(
            "Idempotency-Key must be given once: 1 to 255 visible ASCII characters",
        ));
    }
    Ok(Some(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    use iassistance_domain::id::ApiKeyId;

    const NOW: Timestamp = Timestamp::EPOCH;

    fn key(text: &str) -> Key {
        (Asker::Key(ApiKeyId::from_bytes([1; 16])), text.to_owned())
    }

    fn status<T>(begun: Result<T, Problem>) -> Option<u16> {
        begun.err().map(|problem| actix_web::ResponseError::status_code(&problem).as_u16())
    }

    #[test]
    fn what_is_under_way_or_broken_off_is_a_conflict() {
        let all = Idempotency::default();
        let claim = all.begin(key("a"), [1; 32], NOW).ok().unwrap();
        assert_eq!(status(all.begin(key("a"), [1; 32], NOW)), Some(409));
        assert_eq!(status(all.begin(key("a"), [2; 32], NOW)), Some(422), "another request with its key");
        drop(claim);
        assert_eq!(status(all.begin(key("a"), [1; 32], NOW)), Some(409));
        let day = NOW.plus_millis(KEPT_MS);
        assert!(all.begin(key("a"), [2; 32], day).is_ok(), "after a day it is forgotten");
    }

    #[test]
    fn what_is_over_is_asked_of_the_store_and_anothers_key_is_another() {
        let all = Idempotency::default();
        let claim = all.begin(key("a"), [1; 32], NOW).ok().unwrap();
        let theirs = (Asker::Key(ApiKeyId::from_bytes([2; 16])), "a".to_owned());
        assert!(all.begin(theirs, [2; 32], NOW).is_ok());
        claim.release();
        assert!(all.begin(key("a"), [2; 32], NOW).is_ok());
    }
}
