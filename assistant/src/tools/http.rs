//! A tenant's own tools: one call over HTTPS, guarded by `egress`.
//!
//! A call has one deadline, whatever is tried within it. It is tried again only where the tenant says
//! that this does no harm. Its answer is text or JSON, bounded, and in the form that was agreed.

use std::sync::Arc;

use async_trait::async_trait;
use futures::StreamExt;
use iassistance_domain::tool::{HttpTool, ToolMethod, ToolOutcome, ToolSecret};
use iassistance_domain::{Clock, Entropy, Pii, Timestamp};
use iassistance_egress::{Destination, Egress, EgressError, NotPublic, not_public};
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{RequestBuilder, Response, StatusCode};
use serde_json::{Map, Value};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::schema::{BadSchema, Schema};

/// How often a call is made at most where that does no harm.
const TRIES_MAX: u32 = 3;
/// The pause before the second try, milliseconds; it doubles, with jitter.
const RETRY_MS: u64 = 200;
/// How long an address may be with the arguments in it, bytes.
const ADDRESS_BYTES_MAX: usize = 8_000;
/// Names a call by which a server can tell that it has had it.
const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// Headers that a secret may not stand in: they say how a request is to be read, or whose it is.
const NOT_FOR_SECRETS: [&str; 13] = [
    "accept",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    IDEMPOTENCY_KEY,
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
];

/// A call of a tenant's tool, its arguments checked.
#[derive(Clone, Copy)]
pub struct HttpCall<'a> {
    /// The tool.
    pub tool: &'a HttpTool,
    /// What it is given.
    pub arguments: &'a Map<String, Value>,
    /// The same whenever this very call is made again, and never for another.
    pub key: &'a str,
    /// How long the answer may be, bytes.
    pub answer_bytes_max: usize,
    /// Ends the call.
    pub cancel: &'a CancellationToken,
}

/// What came of a call.
#[derive(Clone)]
pub struct HttpCalled {
    /// How often it was sent; 0 where it was not.
    pub tries: u32,
    /// The answer, or why there is none.
    pub answer: Result<Pii<String>, HttpProblem>,
}

/// Why a tool gave no answer, in words for those who look after it. They hold nothing of the
/// arguments, of the answer or of a secret.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum HttpProblem {
    /// The address may not be called.
    #[error("{0}")]
    Refused(String),
    /// The arguments cannot be put into an address.
    #[error("the arguments do not fit into the tool's address: {0}")]
    Address(&'static str),
    /// The secret cannot be sent.
    #[error("the tool's secret cannot be sent in the header `{0}`: use another, or correct its value")]
    Secret(String),
    /// No answer came in time.
    #[error("the tool did not answer within {ms} ms (`timeout_ms` of the tool)")]
    TimedOut {
        /// The time that it had.
        ms: u64,
    },
    /// Its server could not be reached, or broke off.
    #[error(
        "the tool's server could not be reached, or broke off: check its address, certificate and network"
    )]
    Unreachable,
    /// Its server sends the caller elsewhere.
    #[error("the tool's server redirects (HTTP {status}), which is not followed: give the address itself")]
    Redirects {
        /// The HTTP status.
        status: u16,
    },
    /// Its server refused or failed.
    #[error("the tool's server answered with HTTP {status}")]
    Status {
        /// The HTTP status.
        status: u16,
    },
    /// The answer is too long.
    #[error("the tool's answer is longer than {bytes} bytes: have it answer with less")]
    TooLong {
        /// How long it may be.
        bytes: usize,
    },
    /// The answer is neither text nor JSON.
    #[error("the tool's answer is neither JSON nor text")]
    NotText,
    /// The answer is not as agreed.
    #[error("the tool's answer does not fit its schema at `{rule}`, so it was not read")]
    Misfit {
        /// The rule in the schema.
        rule: String,
    },
    /// The schema of the answer is none.
    #[error("the schema of the tool's answer {0}")]
    Schema(BadSchema),
    /// A rehearsal does not call what changes something.
    #[error("not called: this is a rehearsal, and the tool changes something")]
    Rehearsal,
    /// Nobody waits for the answer any more.
    #[error("cancelled")]
    Cancelled,
}

impl HttpProblem {
    /// How such a call is recorded.
    pub const fn outcome(&self) -> ToolOutcome {
        match self {
            Self::Refused(_) | Self::Rehearsal => ToolOutcome::Refused,
            Self::Address(_) => ToolOutcome::Invalid,
            Self::TimedOut { .. } => ToolOutcome::TimedOut,
            _ => ToolOutcome::Failed,
        }
    }

    /// What the model reads: what happened, and nothing of how the platform is set up.
    pub fn for_model(&self) -> String {
        match self {
            Self::Status { status: 404 | 410 } => "The tool found nothing (HTTP 404).".to_owned(),
            Self::Status { status } => format!("The tool answered with an error (HTTP {status})."),
            Self::TimedOut { .. } => "The tool did not answer in time.".to_owned(),
            Self::Address(why) => format!("The tool was not called: {why}."),
            Self::Rehearsal => {
                "This is a rehearsal: the tool was not called. Go on as if it had done what it was asked to."
                    .to_owned()
            }
            Self::TooLong { .. } => "The tool's answer was too long to be read: ask for less.".to_owned(),
            _ => "The tool could not be used just now.".to_owned(),
        }
    }

    /// Whether the same call may be answered a little later.
    const fn may_pass(&self) -> bool {
        matches!(self, Self::Unreachable | Self::Status { status: 408 | 425 | 429 | 500 | 502 | 503 | 504 })
    }
}

impl From<EgressError> for HttpProblem {
    fn from(error: EgressError) -> Self {
        Self::Refused(error.to_string())
    }
}

impl From<&NotPublic> for HttpProblem {
    fn from(refusal: &NotPublic) -> Self {
        Self::Refused(format!("the tool's host {refusal}"))
    }
}

/// Calls tenants' tools.
#[async_trait]
pub trait HttpCaller: Send + Sync {
    /// Makes a call, its answer checked. Dropping the future ends it.
    async fn call(&self, call: HttpCall<'_>) -> HttpCalled;
}

/// Calls tenants' tools over the network. Clones share their places.
#[derive(Clone)]
pub struct HttpTools {
    egress: Egress,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    places: Arc<Semaphore>,
}

impl HttpTools {
    /// Tools behind `egress`, at most `concurrency` of them called at once; who waits for a place
    /// waits within its own deadline.
    pub fn new(egress: Egress, concurrency: usize, clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Self {
        let places = Arc::new(Semaphore::new(concurrency.clamp(1, Semaphore::MAX_PERMITS)));
        Self { egress, clock, entropy, places }
    }

    async fn try_until_done(
        &self,
        call: &HttpCall<'_>,
        deadline: Timestamp,
        tries: &mut u32,
    ) -> Result<Pii<String>, HttpProblem> {
        let schema = call.tool.answer.as_ref().map(Schema::of_answer).transpose();
        let schema = schema.map_err(HttpProblem::Schema)?;
        let request = self.request(call)?;
        // Only a closed semaphore refuses, and nobody closes this one.
        let _place = self.places.acquire().await.ok();
        loop {
            *tries += 1;
            // A body of bytes can always be copied.
            let Some(attempt) = request.try_clone() else { return Err(HttpProblem::Unreachable) };
            let (problem, wanted_ms) = match once(attempt, call, schema.as_ref()).await {
                Ok(answer) => return Ok(answer),
                Err(failed) => failed,
            };
            if !call.tool.repeatable || !problem.may_pass() || *tries >= TRIES_MAX {
                return Err(problem);
            }
            let longest = RETRY_MS << (*tries - 1);
            let pause = longest / 2 + self.entropy.up_to(longest / 2);
            let until = self.clock.now().plus_millis(pause.saturating_add(wanted_ms.unwrap_or(0)));
            if until >= deadline {
                return Err(problem);
            }
            self.clock.sleep_until(until).await;
        }
    }

    fn request(&self, call: &HttpCall<'_>) -> Result<RequestBuilder, HttpProblem> {
        let tool = call.tool;
        let mut url = address(&tool.url)?;
        let http = self.egress.client_for(Destination::Tool, &url)?;
        let request = match tool.method {
            ToolMethod::Get => {
                add_query(&mut url, call.arguments)?;
                http.get(url)
            }
            ToolMethod::Post => http.post(url).header(IDEMPOTENCY_KEY, call.key).json(call.arguments),
        };
        let secret = tool.secret.as_ref().map(header).transpose()?;
        let headers: HeaderMap = secret.into_iter().collect();
        Ok(request.header(ACCEPT, "application/json, text/plain;q=0.9, text/*;q=0.8").headers(headers))
    }
}

#[async_trait]
impl HttpCaller for HttpTools {
    async fn call(&self, call: HttpCall<'_>) -> HttpCalled {
        let ms = call.tool.timeout_ms;
        let deadline = self.clock.now().plus_millis(ms);
        let mut tries = 0;
        let answer = tokio::select! {
            biased;
            () = call.cancel.cancelled() => Err(HttpProblem::Cancelled),
            answer = self.try_until_done(&call, deadline, &mut tries) => answer,
            () = self.clock.sleep_until(deadline) => Err(HttpProblem::TimedOut { ms }),
        };
        HttpCalled { tries, answer }
    }
}

/// Calls only what changes nothing; for rehearsals.
#[derive(Clone)]
pub struct Rehearsing(pub Arc<dyn HttpCaller>);

#[async_trait]
impl HttpCaller for Rehearsing {
    async fn call(&self, call: HttpCall<'_>) -> HttpCalled {
        if call.tool.side_effects {
            return HttpCalled { tries: 0, answer: Err(HttpProblem::Rehearsal) };
        }
        self.0.call(call).await
    }
}

/// Whether a tool can be used as the tenant describes it: its address, its header and its schemas.
pub(super) fn check(tool: &HttpTool, egress: &Egress) -> Result<(), HttpProblem> {
    egress.client_for(Destination::Tool, &address(&tool.url)?)?;
    tool.secret.as_ref().map(header).transpose()?;
    tool.answer.as_ref().map(Schema::of_answer).transpose().map_err(HttpProblem::Schema)?;
    Ok(())
}

fn address(text: &str) -> Result<Url, HttpProblem> {
    let mut url =
        Url::parse(text).map_err(|_| HttpProblem::Refused("the tool's address is none".to_owned()))?;
    url.set_fragment(None);
    Ok(url)
}

fn header(secret: &ToolSecret) -> Result<(HeaderName, HeaderValue), HttpProblem> {
    let bad = || HttpProblem::Secret(secret.header.chars().take(64).collect());
    let name = HeaderName::try_from(secret.header.as_str()).map_err(|_| bad())?;
    if NOT_FOR_SECRETS.contains(&name.as_str()) || name.as_str().starts_with("proxy-") {
        return Err(bad());
    }
    let mut value = HeaderValue::from_str(secret.value.expose()).map_err(|_| bad())?;
    value.set_sensitive(true);
    Ok((name, value))
}

/// Adds the arguments to an address. What the tenant's own address says already stays as it is: a
/// model does not override it.
fn add_query(url: &mut Url, arguments: &Map<String, Value>) -> Result<(), HttpProblem> {
    let taken = |name: &String| url.query_pairs().any(|(own, _)| own == name.as_str());
    if arguments.keys().any(taken) {
        return Err(HttpProblem::Address("an argument has the name of a fixed part of the address"));
    }
    if arguments.is_empty() {
        return Ok(());
    }
    {
        let mut query = url.query_pairs_mut();
        for (name, value) in arguments {
            match value {
                Value::Array(items) => items.iter().for_each(|item| {
                    query.append_pair(name, &plain(item));
                }),
                Value::Null => {}
                value => {
                    query.append_pair(name, &plain(value));
                }
            }
        }
    }
    if url.as_str().len() > ADDRESS_BYTES_MAX {
        return Err(HttpProblem::Address("they are too long"));
    }
    Ok(())
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Sends it once. A failure comes with when the server would take it again, if it says so.
async fn once(
    request: RequestBuilder,
    call: &HttpCall<'_>,
    schema: Option<&Schema>,
) -> Result<Pii<String>, (HttpProblem, Option<u64>)> {
    let response = request.send().await.map_err(|error| (unsent(&error), None))?;
    let status = response.status();
    if status.is_redirection() {
        return Err((HttpProblem::Redirects { status: status.as_u16() }, None));
    }
    if !status.is_success() {
        let after = retry_after_ms(response.headers());
        return Err((HttpProblem::Status { status: status.as_u16() }, after));
    }
    read(response, call.answer_bytes_max, schema).await.map_err(|problem| (problem, None))
}

fn unsent(error: &reqwest::Error) -> HttpProblem {
    not_public(error).map_or(HttpProblem::Unreachable, HttpProblem::from)
}

fn retry_after_ms(headers: &HeaderMap) -> Option<u64> {
    let seconds: u64 = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    seconds.checked_mul(1_000)
}

async fn read(
    response: Response,
    bytes_max: usize,
    schema: Option<&Schema>,
) -> Result<Pii<String>, HttpProblem> {
    let nothing = response.status() == StatusCode::NO_CONTENT;
    let kind = response.headers().get(CONTENT_TYPE).map(|value| value.to_str().unwrap_or("?").to_owned());
    let too_long = HttpProblem::TooLong { bytes: bytes_max };
    if response.content_length().is_some_and(|length| length > bytes_max as u64) {
        return Err(too_long);
    }
    let (mut body, mut parts) = (Vec::new(), response.bytes_stream());
    while let Some(part) = parts.next().await {
        let part = part.map_err(|error| unsent(&error))?;
        if body.len() + part.len() > bytes_max {
            return Err(too_long);
        }
        body.extend_from_slice(&part);
    }
    let is_json = is_json(kind.as_deref());
    if !(is_json || kind.as_deref().is_none_or(is_text) || body.is_empty()) {
        return Err(HttpProblem::NotText);
    }
    if let Some(schema) = schema {
        let value: Value = serde_json::from_slice(&body)
            .map_err(|_| HttpProblem::Misfit { rule: "(it is not JSON)".to_owned() })?;
        schema.check(&value).map_err(|misfit| HttpProblem::Misfit { rule: misfit.rule })?;
    } else if is_json && !nothing && !body.is_empty() {
        serde_json::from_slice::<serde::de::IgnoredAny>(&body).map_err(|_| HttpProblem::NotText)?;
    }
    if kind.is_none() && std::str::from_utf8(&body).is_err() {
        return Err(HttpProblem::NotText);
    }
    Ok(String::from_utf8_lossy(&body).into_owned().into())
}

fn is_json(kind: Option<&str>) -> bool {
    kind.map(essence).is_some_and(|kind| kind == "application/json" || kind.ends_with("+json"))
}

fn is_text(kind: &str) -> bool {
    essence(kind).starts_with("text/")
}

fn essence(kind: &str) -> String {
    kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

#[cfg(test)]
#[path = "http_tests/mod.rs"]
mod tests;
