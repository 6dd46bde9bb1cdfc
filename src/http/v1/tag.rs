//! `ETag`, `If-Match` and `If-None-Match`: what is changed is what was seen, and what did not change is not sent
//! again.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::header::{ETAG, HeaderMap, HeaderValue, IF_MATCH, IF_NONE_MATCH};
use actix_web::{FromRequest, HttpRequest, HttpResponse};
use serde::Serialize;

use crate::http::{Problem, State};

/// A header that names tags has at most so many bytes.
pub const HEADER_BYTES_MAX: u16 = 1_024;

/// The tag of a record as it is now. Keyed, because there are secrets in some.
///
/// # Errors
/// [`Problem`] 500 where the record cannot be written as JSON.
pub fn of<T: Serialize>(state: &State, record: &T) -> Result<String, Problem> {
    let bytes = serde_json::to_vec(record).map_err(|error| {
        tracing::error!(%error, "a record could not be written as JSON");
        Problem::internal()
    })?;
    Ok(hex::encode(&state.app.keyring.hash_secret("tag", &bytes)[..12]))
}

/// What is shown, with a tag that begins with that of what people `set` of it: what changes by itself (when it
/// was last used, how it is) is in no change's way.
///
/// # Errors
/// [`Problem`] 500 where one cannot be written as JSON.
pub fn whole<T: Serialize>(state: &State, set: &impl Serialize, shown: T) -> Result<(String, T), Problem> {
    Ok((format!("{}-{}", of(state, set)?, of(state, &shown)?), shown))
}

/// The answer that shows something with its tag.
pub fn tagged<T: Serialize>(tag: &str, shown: &T) -> HttpResponse {
    HttpResponse::Ok().insert_header((ETAG, format!("\"{tag}\""))).json(shown)
}

/// `If-Match`: the change is made only if nothing changed since that tag was read.
pub struct IfMatch(Option<String>);

impl IfMatch {
    /// The tag, where one is given that is not `*`.
    pub fn tag(&self) -> Option<&str> {
        self.0.as_deref()
    }

    /// Refuses a change of what is not any more as it was seen.
    ///
    /// # Errors
    /// [`Problem`] 412.
    pub fn check(&self, now: &str) -> Result<(), Problem> {
        match self.tag() {
            Some(seen) if seen != now => {
                Err(Problem::precondition_failed("read it again and repeat the change"))
            }
            _ => Ok(()),
        }
    }

    /// The same for a tag of [`whole`]: only what people set counts.
    ///
    /// # Errors
    /// [`Problem`] 412, and 500 where it cannot be written as JSON.
    pub fn check_set<S: Serialize>(&self, state: &State, set: &S) -> Result<(), Problem> {
        let first = self.tag().map(|tag| tag.split('-').next().unwrap_or_default().to_owned());
        Self(first).check(&of(state, set)?)
    }

    /// The tag as a version counts.
    ///
    /// # Errors
    /// [`Problem`] 400 where it is none.
    pub fn version(&self) -> Result<Option<u64>, Problem> {
        self.tag().map(|tag| tag.parse().map_err(|_| bad_tag())).transpose()
    }
}

fn is_too_long(header: &HeaderValue) -> bool {
    header.len() > usize::from(HEADER_BYTES_MAX)
}

fn bad_tag() -> Problem {
    Problem::bad_request("If-Match must be the ETag as it was given, for instance \"3\"")
}

impl FromRequest for IfMatch {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(if_match(request.headers()).map(Self))
    }
}

fn if_match(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get(IF_MATCH) else { return Ok(None) };
    let text = value.to_str().unwrap_or_default().trim();
    if text == "*" {
        return Ok(None);
    }
    let tag = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    let sound = |tag: &&str| !tag.is_empty() && !is_too_long(value) && !tag.contains('"');
    tag.filter(sound).map(|tag| Some(tag.to_owned())).ok_or_else(bad_tag)
}

/// `If-None-Match`: what did not change since is not sent again. A header that cannot be read names nothing.
pub struct IfNoneMatch(String);

impl IfNoneMatch {
    /// What is shown, or 304 where that is what the asker has.
    pub fn show<T: Serialize>(&self, tag: &str, shown: &T) -> HttpResponse {
        if self.names(tag) { unchanged(tag) } else { tagged(tag, shown) }
    }

    /// Whether the asker has it already.
    pub fn names(&self, tag: &str) -> bool {
        let named = |part: &str| {
            let part = part.trim();
            let part = part.strip_prefix("W/").unwrap_or(part);
            part.strip_prefix('"').and_then(|part| part.strip_suffix('"')) == Some(tag)
        };
        self.0.trim() == "*" || self.0.split(',').any(named)
    }
}

/// 304: it is as it was.
pub fn unchanged(tag: &str) -> HttpResponse {
    HttpResponse::NotModified().insert_header((ETAG, format!("\"{tag}\""))).finish()
}

impl FromRequest for IfNoneMatch {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let Some(value) = request.headers().get(IF_NONE_MATCH) else { return ready(Ok(Self(String::new()))) };
        if is_too_long(value) {
            let most = format!("If-None-Match must have at most {HEADER_BYTES_MAX} bytes");
            return ready(Err(Problem::bad_request(most)));
        }
        ready(Ok(Self(value.to_str().unwrap_or_default().to_owned())))
    }
}

#[cfg(test)]
mod tests {
    use actix_web::ResponseError;
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn if_match_takes_what_etag_gave() {
        let read = |value: &str| {
            let request = TestRequest::default().insert_header((IF_MATCH, value)).to_http_request();
            let version = if_match(request.headers()).and_then(|tag| IfMatch(tag).version());
            version.map_err(|problem| problem.status_code().as_u16())
        };
        assert_eq!(read("\"3\""), Ok(Some(3)));
        assert_eq!(read("*"), Ok(None));
        for wrong in ["3", "\"\"", "W/\"3\"", "\"-1\"", "\"1\", \"2\""] {
            assert_eq!(read(wrong), Err(400), "{wrong}");
        }
        assert_eq!(if_match(TestRequest::default().to_http_request().headers()).ok(), Some(None));
    }

    #[test]
    fn what_changed_is_refused_and_what_did_not_is_not_sent_again() {
        let refused = IfMatch(Some("a".to_owned())).check("b").err();
        assert_eq!(refused.map(|problem| problem.status_code().as_u16()), Some(412));
        assert!(IfMatch(Some("a".to_owned())).check("a").is_ok() && IfMatch(None).check("a").is_ok());
        for (bytes, refused) in [(1_024, None), (1_025, Some(400))] {
            let tag = format!("\"{}\"", "x".repeat(bytes - 2));
            let asked = |name| TestRequest::default().insert_header((name, &*tag)).to_http_request();
            let status = |problem: Problem| problem.status_code().as_u16();
            let known = IfNoneMatch::from_request(&asked(IF_NONE_MATCH), &mut Payload::None).into_inner();
            assert_eq!(known.err().map(status), refused, "{bytes}");
            assert_eq!(if_match(asked(IF_MATCH).headers()).err().map(status), refused, "{bytes}");
        }
        for header in ["\"a\"", "W/\"a\"", "\"b\", W/\"a\"", "*"] {
            assert!(IfNoneMatch(header.to_owned()).names("a"), "{header}");
        }
        for header in ["", "a", "\"b\"", "\"ab\""] {
            assert!(!IfNoneMatch(header.to_owned()).names("a"), "{header}");
        }
    }
}
