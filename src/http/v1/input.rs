//! What comes in: queries, JSON bodies and their values, checked before anything is done.

use std::future::{Ready, ready};
use std::ops::Deref;
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::{FromRequest, HttpRequest, web};
use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_path_to_error::Path;
use url::form_urlencoded;

use iassistance_domain::account::Language;
use iassistance_domain::channel::StoredSecret;

use crate::http::{Problem, State, body};

const NAME_CHARS_MAX: usize = 120;
const SECRET_CHARS_MAX: usize = 4_096;
/// What is said of where something is wrong: names come from outside.
const PLACE_CHARS_MAX: usize = 200;

/// What an address asks for behind its `?`; unknown parameters are refused by its type.
pub struct Query<T>(T);

impl<T> Query<T> {
    /// What it says.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> Deref for Query<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: DeserializeOwned> FromRequest for Query<T> {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let pairs = form_urlencoded::parse(request.query_string().as_bytes());
        let read = serde_path_to_error::deserialize(serde_urlencoded::Deserializer::new(pairs));
        ready(read.map(Self).map_err(|error| {
            Problem::bad_request(format!("the query {}", explain(error.path(), &error.inner().to_string())))
        }))
    }
}

/// A JSON body of at most `server.json_body_bytes_max` bytes; unknown fields are refused by its type.
pub struct Body<T> {
    /// What it says.
    pub value: T,
    /// The body as it came.
    pub raw: Bytes,
}

impl<T: DeserializeOwned + 'static> FromRequest for Body<T> {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, payload) = (request.clone(), web::Payload::from_request(request, payload));
        Box::pin(async move {
            let state = request.app_data::<web::Data<State>>().ok_or_else(Problem::internal)?;
            let payload = payload.await.map_err(|_| Problem::internal())?;
            if !is_json(&request) {
                return Err(Problem::not_json());
            }
            let server = &state.app.settings.server;
            let (bytes_max, deadline_ms) = (server.json_body_bytes_max, server.body_deadline_ms);
            let clock = state.clock();
            let (raw, _held) =
                body::read(&request, payload, &state.bodies, bytes_max, deadline_ms, &**clock).await?;
            Ok(Self { value: parse(&raw)?, raw })
        })
    }
}

fn is_json(request: &HttpRequest) -> bool {
    let value = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = value.split(';').next().unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("application/json")
}

fn parse<T: DeserializeOwned>(raw: &[u8]) -> Result<T, Problem> {
    if body::is_too_deep(raw) {
        return Err(Problem::too_deep(body::DEPTH_MAX));
    }
    let mut json = serde_json::Deserializer::from_slice(raw);
    let not_json = |error: &serde_json::Error| {
        let (line, column) = (error.line(), error.column());
        Problem::bad_request(format!("the body is not JSON: see line {line}, column {column}"))
    };
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        if error.inner().is_data() {
            Problem::invalid(format!("the body {}", explain(error.path(), &error.inner().to_string())))
        } else {
            not_json(error.inner())
        }
    })?;
    json.end().map_err(|error| not_json(&error))?;
    Ok(value)
}

/// Where it does not fit, and what serde says, without the value that it complains of: that may be a secret.
fn explain(path: &Path, error: &str) -> String {
    let place: String = path.to_string().chars().take(PLACE_CHARS_MAX).collect();
    let names_it = error.starts_with("unknown field") || error.starts_with("missing field");
    let wrong = error.rfind("expected ").filter(|_| !names_it).map_or(error, |start| &error[start..]);
    if place == "." {
        format!("does not fit: {wrong}")
    } else {
        format!("does not fit at `{place}`: {wrong}")
    }
}

/// A field that may be left out, be `null`, or have a value, and means something else each time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Given<T> {
    /// It was left out; needs `#[serde(default)]`.
    #[default]
    Absent,
    /// It is `null`.
    Null,
    /// It has this value.
    Value(T),
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Given<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Option::deserialize(deserializer)?.map_or(Self::Null, Self::Value))
    }
}

/// A name as people give it: 1 to 120 characters on one line.
pub fn name(field: &str, text: &str) -> Result<String, Problem> {
    let text = text.trim();
    let fits = (1..=NAME_CHARS_MAX).contains(&text.chars().count()) && !text.chars().any(char::is_control);
    if !fits {
        return Err(Problem::invalid(format!("`{field}` must have 1 to 120 characters, all on one line")));
    }
    Ok(text.to_owned())
}

/// An id of Meta's: 1 to 32 digits.
pub fn digits(field: &str, text: String) -> Result<String, Problem> {
    let fits = (1..=32).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    if fits { Ok(text) } else { Err(Problem::invalid(format!("`{field}` must have 1 to 32 digits"))) }
}

/// A secret as it stands in a header or a signature: visible ASCII, not empty.
pub fn secret(field: &str, text: String) -> Result<StoredSecret, Problem> {
    let fits =
        (1..=SECRET_CHARS_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    if !fits {
        let rule = "must have 1 to 4,096 visible ASCII characters and no spaces";
        return Err(Problem::invalid(format!("`{field}` {rule}")));
    }
    Ok(StoredSecret::new(text))
}

/// The language of a `lang=`; Spanish, as the law speaks, where none is named.
pub fn language(code: Option<&str>) -> Result<Language, Problem> {
    let Some(code) = code else { return Ok(Language::Es) };
    Language::from_code(code).ok_or_else(|| Problem::invalid("`lang` must be `es`, `pt` or `en`"))
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Form {
        #[serde(default)]
        key: Given<String>,
        #[serde(default)]
        count: u32,
    }

    fn refusal(body: &str) -> String {
        let problem = parse::<Form>(body.as_bytes()).err().unwrap();
        serde_json::to_string(&problem).unwrap()
    }

    #[test]
    fn absent_null_and_a_value_are_three_things() {
        let key = |body: &str| parse::<Form>(body.as_bytes()).map(|form| form.key).ok();
        assert_eq!(key("{}"), Some(Given::Absent));
        assert_eq!(key(r#"{"key":null}"#), Some(Given::Null));
        assert_eq!(key(r#"{"key":"k"}"#), Some(Given::Value("k".to_owned())));
        assert_eq!(parse::<Form>(br#"{"count":3}"#).map(|form| form.count).ok(), Some(3));
    }

    #[test]
    fn a_refusal_says_what_is_wrong_and_repeats_no_value() {
        assert!(refusal(r#"{"kee":1}"#).contains("unknown field `kee`"));
        assert!(refusal("{").contains("line 1, column 1"));
        let wrong = refusal(r#"{"count":"hush, expected x"}"#);
        assert!(wrong.contains("at `count`: expected u32") && !wrong.contains("hush"));
        assert!(refusal("{} {}").contains("not JSON: see line 1, column 4"));
        let asked = |query: &str| {
            let request = TestRequest::with_uri(&format!("/?{query}")).to_http_request();
            let read = Query::<Form>::from_request(&request, &mut Payload::None).into_inner();
            read.map(|form| form.count).map_err(|problem| serde_json::to_string(&problem).unwrap())
        };
        assert_eq!(asked("count=3"), Ok(3));
        assert!(asked("count=-3").is_err_and(|wrong| wrong.contains("the query does not fit at `count`: ")));
        assert!(asked("counts=3").is_err_and(|wrong| wrong.contains("unknown field `counts`")));
    }

    #[test]
    fn an_id_of_metas_is_digits() {
        assert_eq!(digits("id", "106540352242922".to_owned()).ok().as_deref(), Some("106540352242922"));
        for wrong in ["", "+49 170", "١٢٣", &"1".repeat(33)] {
            assert!(digits("id", wrong.to_owned()).is_err());
        }
    }

    #[test]
    fn names_and_secrets_are_bounded() {
        assert_eq!(name("name", " Ada ").ok().as_deref(), Some("Ada"));
        for wrong in ["", "  ", "a\nb", &"x".repeat(121)] {
            assert!(name("name", wrong).is_err());
        }
        for wrong in ["", "a b", "a\n", "é", &"x".repeat(4_097)] {
            assert!(secret("token", wrong.to_owned()).is_err());
        }
    }
}
