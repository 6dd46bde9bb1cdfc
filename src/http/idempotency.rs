//! `Idempotency-Key`: a request that creates something can be repeated without creating it twice.
//!
//! What was answered is kept in memory for a day, for each person and API key. It does not survive a restart of the
//! server yet: a request that is repeated across one is carried out again.

use std::future::{Ready, ready};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::web::Bytes;
use actix_web::{FromRequest, HttpRequest, HttpResponse};
use serde::Serialize;

use iassistance_domain::Timestamp;

use super::principal::{Asker, Principal};
use super::recent::{Bounds, Recent};
use super::{Problem, State};

/// The header.
pub const HEADER: &str = "idempotency-key";
/// The longest key, in characters of visible ASCII.
pub const KEY_CHARS_MAX: usize = 255;
const REPLAYED: &str = "idempotency-replayed";
const BOUNDS: Bounds = Bounds { keep_ms: 24 * 60 * 60 * 1_000, entries_max: 10_000, per_owner_max: 1_000 };

type Key = (Asker, String);
type Fingerprint = [u8; 32];

/// What was answered to requests with a key.
#[derive(Clone)]
pub struct Idempotency(Arc<Mutex<Recent<Asker, Key, Entry>>>);

struct Entry {
    fingerprint: Fingerprint,
    stage: Stage,
}

#[derive(Clone)]
enum Stage {
    InFlight,
    /// It was broken off, or failed in a way that does not say whether it took effect.
    Unknown,
    Answered(Created),
    /// It created a secret, which was shown then and is not kept.
    ShownOnce,
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
    /// Begins a request, or gives the answer to its first occurrence.
    fn begin(&self, key: Key, fingerprint: Fingerprint, now: Timestamp) -> Result<Begun<'_>, Problem> {
        let mut seen = self.lock();
        let Some(entry) = seen.get_mut(now, &key) else {
            seen.insert(now, key.0, key.clone(), Entry { fingerprint, stage: Stage::InFlight });
            return Ok(Begun::First(Claim { all: self, key: Some(key), now }));
        };
        if entry.fingerprint != fingerprint {
            return Err(Problem::idempotency_mismatch());
        }
        match &entry.stage {
            Stage::Answered(created) => Ok(Begun::Again(created.clone())),
            Stage::InFlight => Err(Problem::conflict(
                "the first request with this Idempotency-Key is still being carried out",
            )),
            Stage::ShownOnce => Err(Problem::conflict(
                "the first request with this Idempotency-Key was carried out; its secret is not shown again. If it \
                 was lost, revoke it and create another with a new Idempotency-Key",
            )),
            Stage::Unknown => Err(Problem::conflict(
                "the first request with this Idempotency-Key was broken off and may have taken effect: look, and \
                 repeat it with a new one if it did not",
            )),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Recent<Asker, Key, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Begun<'a> {
    First(Claim<'a>),
    Again(Created),
}

/// The right to carry a request out. Dropped without a word (the caller hung up, the handler
/// failed), it leaves the key as one whose effect is not known.
struct Claim<'a> {
    all: &'a Idempotency,
    key: Option<Key>,
    now: Timestamp,
}

impl Claim<'_> {
    fn answer(mut self, created: &Created) {
        let stage = if created.shown_once { Stage::ShownOnce } else { Stage::Answered(created.clone()) };
        self.set(stage);
    }

    /// Nothing happened: the request may be repeated with the same key.
    fn release(mut self) {
        if let Some(key) = self.key.take() {
            self.all.lock().take(self.now, &key);
        }
    }

    fn set(&mut self, stage: Stage) {
        if let Some(key) = self.key.take()
            && let Some(entry) = self.all.lock().get_mut(self.now, &key)
        {
            entry.stage = stage;
        }
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.set(Stage::Unknown);
    }
}

/// Carries a request that creates something out once per `Idempotency-Key`; without one, each time.
pub struct Once {
    key: Option<Key>,
    target: String,
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
        let claim = match state.idempotency.begin(key, fingerprint, state.clock().now())? {
            Begun::Again(created) => return Ok(created.respond(true)),
            Begun::First(claim) => claim,
        };
        match work.await {
            Ok(created) => {
                claim.answer(&created);
                Ok(created.respond(false))
            }
            Err(problem) => {
                if !problem.is_uncertain() {
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
            Ok(Self { key, target: format!("{} {}", request.method(), request.path()) })
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

    fn created() -> Created {
        Created::at("/v1/things/1".to_owned(), &serde_json::json!({ "id": 1 })).unwrap()
    }

    fn first(begun: Result<Begun<'_>, Problem>) -> Option<Claim<'_>> {
        match begun {
            Ok(Begun::First(claim)) => Some(claim),
            _ => None,
        }
    }

    fn status(begun: Result<Begun<'_>, Problem>) -> Option<u16> {
        begun.err().map(|problem| actix_web::ResponseError::status_code(&problem).as_u16())
    }

    #[test]
    fn the_same_request_gets_the_first_answer() {
        let all = Idempotency::default();
        first(all.begin(key("a"), [1; 32], NOW)).unwrap().answer(&created());
        let again = all.begin(key("a"), [1; 32], NOW.plus_millis(1_000));
        assert!(matches!(again, Ok(Begun::Again(stored)) if stored.body == created().body));
    }

    #[test]
    fn another_request_with_the_same_key_is_refused() {
        let all = Idempotency::default();
        first(all.begin(key("a"), [1; 32], NOW)).unwrap().answer(&created());
        assert_eq!(status(all.begin(key("a"), [2; 32], NOW)), Some(422));
    }

    #[test]
    fn another_callers_key_is_another_key() {
        let all = Idempotency::default();
        first(all.begin(key("a"), [1; 32], NOW)).unwrap().answer(&created());
        let theirs = (Asker::Key(ApiKeyId::from_bytes([2; 16])), "a".to_owned());
        assert!(first(all.begin(theirs, [2; 32], NOW)).is_some());
    }

    #[test]
    fn what_is_under_way_broken_off_or_secret_is_a_conflict() {
        let all = Idempotency::default();
        let claim = first(all.begin(key("a"), [1; 32], NOW)).unwrap();
        assert_eq!(status(all.begin(key("a"), [1; 32], NOW)), Some(409));
        drop(claim);
        assert_eq!(status(all.begin(key("a"), [1; 32], NOW)), Some(409));
        first(all.begin(key("b"), [1; 32], NOW)).unwrap().answer(&created().shown_once());
        assert_eq!(status(all.begin(key("b"), [1; 32], NOW)), Some(409));
    }

    #[test]
    fn what_did_not_happen_may_be_tried_again() {
        let all = Idempotency::default();
        first(all.begin(key("a"), [1; 32], NOW)).unwrap().release();
        assert!(first(all.begin(key("a"), [1; 32], NOW)).is_some());
    }

    #[test]
    fn after_a_day_it_is_forgotten() {
        let all = Idempotency::default();
        first(all.begin(key("a"), [1; 32], NOW)).unwrap().answer(&created());
        assert!(first(all.begin(key("a"), [2; 32], NOW.plus_millis(24 * 60 * 60 * 1_000))).is_some());
    }
}
