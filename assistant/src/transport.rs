//! What stands below async-openai's client: one request for one call, and an answer made safe to
//! read.
//!
//! Left to itself the client repeats requests unseen, keeps `Retry-After` to itself, reads bodies of
//! any length and writes what it cannot parse, which here would be personal, to the log. So a
//! refusal is turned into a [`GenerateError`] before the client sees it, and of an answer it sees a
//! limited number of bytes, in whole lines of valid JSON.

use async_openai::config::Config;
use async_openai::error::OpenAIError;
use async_openai::middleware::HttpRequestFactory;
use futures::stream::{self, BoxStream, Stream, StreamExt};
use iassistance_domain::channel::StoredSecret;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Body, Response, StatusCode};
use secrecy::SecretString;
use serde_json::Value;
use tower::util::ServiceFn;
use url::Url;

use crate::error::GenerateError;
use crate::gate;

/// How much of a refusal is read, to find its code.
const REFUSAL_BYTES_MAX: usize = 16_384;
const CODE_CHARS_MAX: usize = 64;
/// What stands in for a line that is not JSON: no chunk of an answer looks like this.
const NO_CHUNK: &str = "null";

/// Where the requests go and how they are signed. async-openai's own configuration also reads the
/// environment, and panics on a key that cannot be a header.
pub(crate) struct ServerConfig {
    base: Url,
    headers: HeaderMap,
    no_key: SecretString,
}

impl ServerConfig {
    /// For the API at `base`; an empty key is not sent.
    pub(crate) fn new(base: Url, key: &StoredSecret) -> Result<Self, GenerateError> {
        let mut headers = HeaderMap::new();
        if !key.is_empty() {
            let mut bearer = HeaderValue::from_str(&format!("Bearer {}", key.expose()))
                .map_err(|_| GenerateError::Auth)?;
            bearer.set_sensitive(true);
            headers.insert(AUTHORIZATION, bearer);
        }
        Ok(Self { base, headers, no_key: SecretString::default() })
    }
}

impl Config for ServerConfig {
    fn headers(&self) -> HeaderMap {
        self.headers.clone()
    }

    fn url(&self, path: &str) -> String {
        let mut url = self.base.clone();
        url.set_path(&format!("{}{path}", self.base.path().trim_end_matches('/')));
        url.into()
    }

    fn query(&self) -> Vec<(&str, &str)> {
        Vec::new()
    }

    fn api_base(&self) -> &str {
        self.base.as_str()
    }

    fn api_key(&self) -> &SecretString {
        &self.no_key
    }
}

impl From<GenerateError> for OpenAIError {
    fn from(error: GenerateError) -> Self {
        Self::Boxed(Box::new(error))
    }
}

/// What went wrong, whoever noticed it.
pub(crate) fn cause(error: OpenAIError) -> GenerateError {
    match error {
        OpenAIError::Boxed(boxed) => boxed.downcast().map_or(GenerateError::Unreachable, |error| *error),
        OpenAIError::Reqwest(_) => GenerateError::Unreachable,
        OpenAIError::StreamError(_) => GenerateError::Cut,
        _ => GenerateError::Garbage,
    }
}

/// What a server answers with, if it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AnswerKind {
    /// Events, while they happen.
    Events,
    /// One piece of JSON.
    Json,
}

/// The service that carries out a request, once.
pub(crate) fn once(
    http: reqwest::Client,
    kind: AnswerKind,
    body_bytes_max: usize,
) -> ServiceFn<
    impl Fn(HttpRequestFactory) -> futures::future::BoxFuture<'static, Result<Response, OpenAIError>> + Clone,
> {
    tower::service_fn(move |factory: HttpRequestFactory| -> futures::future::BoxFuture<'static, _> {
        let http = http.clone();
        Box::pin(async move {
            let request = factory.build().await?;
            gate::check(request.url().path(), request.body().and_then(Body::as_bytes))?;
            let response = http.execute(request).await.map_err(OpenAIError::Reqwest)?;
            if !response.status().is_success() {
                return Err(refusal(response).await.into());
            }
            let body = match kind {
                AnswerKind::Json => Body::from(json(response, body_bytes_max).await?),
                AnswerKind::Events if is_event_stream(response.headers()) => {
                    Body::wrap_stream(lines(response.bytes_stream().boxed(), body_bytes_max))
                }
                AnswerKind::Events => return Err(GenerateError::Garbage.into()),
            };
            Ok(http::Response::new(body).into())
        })
    })
}

fn is_event_stream(headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    content_type.is_some_and(|value| value.trim_start().starts_with("text/event-stream"))
}

async fn refusal(response: Response) -> GenerateError {
    let status = response.status();
    let retry_after_ms = retry_after_ms(response.headers());
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => GenerateError::Auth,
        StatusCode::TOO_MANY_REQUESTS => match code(response).await.as_deref() {
            Some("insufficient_quota") => GenerateError::NoCredit,
            _ => GenerateError::RateLimited { retry_after_ms },
        },
        StatusCode::REQUEST_TIMEOUT | StatusCode::CONFLICT => {
            GenerateError::Server { status: status.as_u16(), retry_after_ms }
        }
        _ if status.is_server_error() => GenerateError::Server { status: status.as_u16(), retry_after_ms },
        _ => GenerateError::BadRequest { status: status.as_u16(), code: code(response).await },
    }
}

/// OpenAI: rate limits, headers: `retry-after-ms`, or as in HTTP `retry-after` in seconds. A date is
/// not understood.
fn retry_after_ms(headers: &HeaderMap) -> Option<u64> {
    let number = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse::<u64>().ok();
    number("retry-after-ms").or_else(|| Some(number("retry-after")?.saturating_mul(1_000)))
}

/// The code of a refusal (OpenAI: error codes), if it is one word; its text might quote the prompt.
async fn code(mut response: Response) -> Option<String> {
    let mut body = Vec::new();
    while let Ok(Some(bytes)) = response.chunk().await {
        body.extend_from_slice(&bytes);
        if body.len() > REFUSAL_BYTES_MAX {
            return None;
        }
    }
    let body: Value = serde_json::from_slice(&body).ok()?;
    word(body.pointer("/error/code")?)
}

/// A code, if it is one short word.
pub(crate) fn word(code: &Value) -> Option<String> {
    let code = code.as_str()?;
    let plain = |character: char| character.is_ascii_alphanumeric() || matches!(character, '_' | '-' | '.');
    (!code.is_empty() && code.len() <= CODE_CHARS_MAX && code.chars().all(plain)).then(|| code.to_owned())
}

/// The whole body, if it is JSON and no longer than it may be.
async fn json(mut response: Response, bytes_max: usize) -> Result<Vec<u8>, GenerateError> {
    let mut body = Vec::new();
    while let Some(bytes) = response.chunk().await.map_err(|_| GenerateError::Cut)? {
        if body.len() + bytes.len() > bytes_max {
            return Err(GenerateError::Garbage);
        }
        body.extend_from_slice(&bytes);
    }
    serde_json::from_slice::<serde::de::IgnoredAny>(&body).map_err(|_| GenerateError::Garbage)?;
    Ok(body)
}

/// The body as events of one `data` line each that is JSON for certain; it ends after `bytes_max`
/// bytes, and comments and other fields are left out. What is cut off within a line is dropped.
fn lines<B: AsRef<[u8]> + Send + 'static>(
    body: BoxStream<'static, reqwest::Result<B>>,
    bytes_max: usize,
) -> impl Stream<Item = reqwest::Result<String>> + Send + 'static {
    stream::unfold((body, Vec::new(), bytes_max), |(mut body, mut line, mut left)| async move {
        loop {
            let bytes = match body.next().await? {
                Ok(bytes) => bytes,
                Err(error) => return Some((Err(error), (stream::empty().boxed(), line, 0))),
            };
            left = left.checked_sub(bytes.as_ref().len())?;
            let mut events = String::new();
            for byte in bytes.as_ref() {
                if *byte == b'\n' {
                    events.extend(event(&line));
                    line.clear();
                } else {
                    line.push(*byte);
                }
            }
            if !events.is_empty() {
                return Some((Ok(events), (body, line, left)));
            }
        }
    })
}

/// WHATWG: HTML, server-sent events.
fn event(line: &[u8]) -> Option<String> {
    let data = line.strip_prefix(b"data:")?.trim_ascii();
    let whole = std::str::from_utf8(data).ok();
    let safe = whole.filter(|data| *data == "[DONE]" || serde_json::from_str::<Value>(data).is_ok());
    Some(format!("data: {}\n\n", safe.unwrap_or(NO_CHUNK)))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn through(parts: &[&'static [u8]], bytes_max: usize) -> String {
        let body = stream::iter(parts.to_vec()).map(Ok).boxed();
        lines(body, bytes_max).map(|events| events.unwrap()).collect().await
    }

    #[tokio::test]
    async fn lines_are_put_together_and_only_json_passes() {
        let parts: &[&[u8]] = &[
            b": hello\r\ndata: {\"a\"",
            b":1}\r\n\r\nevent: x\ndata:[DONE]\ndata: Ada, {\ndata: {\"cut",
            b" o",
        ];
        assert_eq!(through(parts, 1_000).await, "data: {\"a\":1}\n\ndata: [DONE]\n\ndata: null\n\n");
    }

    #[tokio::test]
    async fn a_body_ends_at_its_limit() {
        let parts: &[&[u8]] = &[b"data: 1\n", b"data: 2\n", b"data: 3\n"];
        assert_eq!(through(parts, 16).await, "data: 1\n\ndata: 2\n\n");
    }

    #[test]
    fn only_a_word_counts_as_a_code() {
        assert_eq!(word(&Value::from("model_not_found")).as_deref(), Some("model_not_found"));
        assert_eq!(word(&Value::from("you wrote: Ada")), None);
        assert_eq!(word(&Value::Null), None);
    }

    #[test]
    fn the_address_keeps_its_query_and_the_key_is_never_printed() {
        let base = Url::parse("https://example.org/openai/v1/?version=2").unwrap();
        let config = ServerConfig::new(base, &StoredSecret::new("sk-secret")).unwrap_or_else(|_| panic!());
        assert_eq!(
            config.url("/chat/completions"),
            "https://example.org/openai/v1/chat/completions?version=2"
        );
        assert!(!format!("{:?}", config.headers()).contains("sk-secret"));
        let bad = ServerConfig::new(Url::parse("https://example.org").unwrap(), &StoredSecret::new("sk\n"));
        assert!(bad.is_err_and(|error| error == GenerateError::Auth));
    }
}
