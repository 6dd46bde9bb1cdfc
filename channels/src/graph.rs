//! The Graph API over HTTP: one call, and what is known after it.
//!
//! Meta: Graph API, "Handling errors": `{error: {message, type, code, error_subcode, is_transient}}`.
//! There is no idempotency key, so everything turns on one question: can the message have left?

use std::time::Duration;

use async_trait::async_trait;
use iassistance_domain::Pii;
use iassistance_domain::channel::{Channel, ChannelKind};
use iassistance_domain::outbox::OutboxEntry;
use iassistance_egress::{Destination, Egress};
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use url::Url;

use crate::errors::{Action, ErrorClass, Product, ThrottleScope, classify};
use crate::json::{List, Scalar, object, shape};
use crate::send::{SendError, Sender, Sent, uncoded};
use crate::whatsapp;

/// The longest answer that is read, bytes. Meta's are below one KiB.
const ANSWER_BYTES_MAX: usize = 256 * 1024;
/// The longest wait that is taken from a `Retry-After`, seconds.
const RETRY_AFTER_MAX_S: u64 = 24 * 60 * 60;
/// How often an error that may be our own fault is tried.
const FEW: u32 = 3;

/// Sends through the Graph API.
#[derive(Clone)]
pub struct GraphSender {
    egress: Egress,
    graph: Url,
    version: String,
    timeout: Duration,
}

impl GraphSender {
    /// A sender that calls `graph` in this version, `v24.0` for instance. A call takes at most
    /// `timeout_ms` milliseconds, which should be more than the time that `egress` has to connect.
    pub fn new(egress: Egress, graph: Url, version: String, timeout_ms: u64) -> Self {
        Self { egress, graph, version, timeout: Duration::from_millis(timeout_ms) }
    }

    /// `POST /{version}/{external id}/messages`.
    async fn post(&self, channel: &Channel, body: String) -> Result<Answer, SendError> {
        let url = self.messages_url(channel)?;
        let client = self
            .egress
            .client_for(Destination::Graph, &url)
            .map_err(|error| SendError::refused(error.to_string()))?;
        if channel.access_token.is_empty() {
            let problem = uncoded("the channel has no access token: enter one");
            return Err(SendError::Permanent { class: ErrorClass::Auth, problem });
        }
        let request = client
            .post(url)
            .timeout(self.timeout)
            .bearer_auth(channel.access_token.expose())
            .header(CONTENT_TYPE, "application/json")
            .body(body);
        let response = request.send().await.map_err(|error| without_answer(&error))?;
        Ok(Answer::read(response).await)
    }

    fn messages_url(&self, channel: &Channel) -> Result<Url, SendError> {
        let id = &channel.external_id;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        if id.is_empty() || !id.bytes().all(plain) {
            return Err(SendError::refused(
                "the channel's id at Meta is not one: copy it from Meta's dashboard again",
            ));
        }
        let mut url = self.graph.clone();
        match url.path_segments_mut() {
            Ok(mut path) => path.pop_if_empty().extend([&*self.version, id, "messages"]),
            Err(()) => {
                return Err(SendError::refused("the Graph API's base address takes no path: correct it"));
            }
        };
        Ok(url)
    }
}

#[async_trait]
impl Sender for GraphSender {
    async fn send(&self, channel: &Channel, entry: &OutboxEntry) -> Result<Sent, SendError> {
        match channel.kind {
            ChannelKind::Whatsapp => {
                let answer = self.post(channel, whatsapp::send::message(entry)?).await?;
                answer.sent(channel.kind.into(), entry.attempts)
            }
            _ => Err(SendError::refused("this version cannot send on this product: update it")),
        }
    }

    async fn mark_read(
        &self,
        channel: &Channel,
        provider_id: &Pii<String>,
        typing: bool,
    ) -> Result<(), SendError> {
        match channel.kind {
            ChannelKind::Whatsapp => {
                let answer = self.post(channel, whatsapp::send::read_mark(provider_id, typing)).await?;
                answer.accepted(channel.kind.into())
            }
            _ => Err(SendError::refused("this version cannot mark messages of this product: update it")),
        }
    }
}

/// What is known when there is no answer at all.
fn without_answer(error: &reqwest::Error) -> SendError {
    if error.is_builder() {
        return SendError::refused(
            "the send cannot be put together: check the access token for stray characters",
        );
    }
    if error.is_connect() {
        let problem =
            uncoded("no connection to the Graph API: check this server's network and name resolution");
        return SendError::Retryable { after_ms: None, problem };
    }
    let problem = uncoded("the Graph API did not answer: the message may or may not have left");
    SendError::Unknown { problem }
}

shape! {
    struct Reply<'a> { error: Scalar<'a>, messages: List<'a>, success: Scalar<'a> }
}

shape! {
    struct Accepted<'a> { id: Scalar<'a> }
}

shape! {
    struct Refusal<'a> { code: Scalar<'a>, error_subcode: Scalar<'a>, is_transient: Scalar<'a> }
}

/// What came back.
struct Answer {
    status: u16,
    retry_after_ms: Option<u64>,
    /// Empty when it broke off or was too long.
    body: String,
}

impl Answer {
    async fn read(mut response: reqwest::Response) -> Self {
        let status = response.status().as_u16();
        let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let seconds = retry_after.and_then(|value| value.trim().parse::<u64>().ok());
        let retry_after_ms = seconds.map(|seconds| seconds.min(RETRY_AFTER_MAX_S) * 1_000);
        let mut body = Vec::new();
        let whole = loop {
            match response.chunk().await {
                Ok(Some(part)) if body.len() + part.len() <= ANSWER_BYTES_MAX => {
                    body.extend_from_slice(&part);
                }
                Ok(None) => break true,
                Ok(Some(_)) | Err(_) => break false,
            }
        };
        let body = if whole { String::from_utf8_lossy(&body).into_owned() } else { String::new() };
        Self { status, retry_after_ms, body }
    }

    /// The id under which the message was accepted.
    fn sent(&self, product: Product, attempts: u32) -> Result<Sent, SendError> {
        let reply = self.reply(product, attempts)?;
        let first: Option<Accepted<'_>> = reply.messages.iter().next().and_then(|raw| object(raw.get()));
        match first.and_then(|accepted| accepted.id.id()) {
            Some(id) => Ok(Sent { provider_id: Pii::new(id.into_owned()) }),
            None => Err(self.without_error()),
        }
    }

    /// Whether something that is no message was accepted.
    fn accepted(&self, product: Product) -> Result<(), SendError> {
        let reply = self.reply(product, 0)?;
        if reply.success.is("true") { Ok(()) } else { Err(self.without_error()) }
    }

    /// A reply that reports no error. An error counts whatever the HTTP status says.
    fn reply(&self, product: Product, attempts: u32) -> Result<Reply<'_>, SendError> {
        let reply: Reply<'_> = object(&self.body).ok_or_else(|| self.without_error())?;
        if let Some(refusal) = reply.error.object::<Refusal<'_>>()
            && let Some(code) = refusal.code.integer()
        {
            return Err(self.refusal(product, code, &refusal, attempts));
        }
        if reply.error.is_some() || !(200..300).contains(&self.status) {
            return Err(self.without_error());
        }
        Ok(reply)
    }

    fn refusal(&self, product: Product, code: i64, refusal: &Refusal<'_>, attempts: u32) -> SendError {
        // Where Meta says that an unknown error passes, the HTTP status is not asked.
        let status = (!refusal.is_transient.is("true")).then_some(self.status);
        let said = classify(product, code, refusal.error_subcode.integer(), status);
        let (class, problem) = (said.class, said.problem);
        let told_ms = self.retry_after_ms.or(said.wait_ms);
        match class.action() {
            Action::RetryFew if attempts >= FEW => SendError::Permanent { class, problem },
            Action::Retry | Action::RetryFew => SendError::Retryable { after_ms: told_ms, problem },
            Action::Wait(scope) => {
                let wait_ms = told_ms.unwrap_or_else(|| wait_ms(scope, attempts));
                SendError::Throttled { scope, wait_ms, problem }
            }
            Action::GiveUp => SendError::Permanent { class, problem },
        }
    }

    /// What is known when the answer holds no error that can be read, and nothing usable either: it
    /// may then be a gateway's. Only an answer that says that nothing was done lets it be repeated.
    fn without_error(&self) -> SendError {
        let status = self.status;
        let problem = |what: &str| uncoded(format!("the Graph API answered HTTP {status}: {what}"));
        match status {
            429 => SendError::Throttled {
                scope: ThrottleScope::Number,
                wait_ms: self.retry_after_ms.unwrap_or_else(|| wait_ms(ThrottleScope::Number, 0)),
                problem: problem("too many calls; the number's sends wait"),
            },
            503 => SendError::Retryable {
                after_ms: self.retry_after_ms,
                problem: problem("it is unavailable for the moment; it is tried again"),
            },
            200..=299 | 500.. => SendError::Unknown {
                problem: problem("what it says cannot be read, so the message may or may not have left"),
            },
            401 | 403 => SendError::Permanent {
                class: ErrorClass::Auth,
                problem: problem("check the access token, and that no proxy stands between"),
            },
            300..=399 => SendError::Permanent {
                class: ErrorClass::Request,
                problem: problem("it redirects, which is not followed; check its base address"),
            },
            _ => SendError::Permanent {
                class: ErrorClass::Request,
                problem: problem("it refuses without saying why; check its base address and version"),
            },
        }
    }
}

/// How long to wait where nobody says, after `attempts` tries. For a pair Meta advises 4ⁿ seconds,
/// and it lets one message through in six (Meta: Cloud API, "Pair rate limits").
fn wait_ms(scope: ThrottleScope, attempts: u32) -> u64 {
    match scope {
        ThrottleScope::Pair => (1_000 << (2 * attempts.min(5))).max(6_000),
        ThrottleScope::Number => 1_000 << attempts.min(6),
        ThrottleScope::Account | ThrottleScope::App => 60_000 << attempts.min(5),
    }
}

#[cfg(test)]
#[path = "graph_tests.rs"]
mod tests;
