//! What the Graph API answers, and what that means for the call.

use iassistance_domain::Pii;
use iassistance_domain::content::Content;
use iassistance_domain::delivery::ProblemClass;
use iassistance_domain::outbox::OutboxEntry;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use serde_json::Value;

use crate::errors::{self, Action, Classified, Product, ThrottleScope, classify};
use crate::json::{List, Scalar, object, shape};
use crate::send::{SendError, Sent, uncoded};
use crate::usage::Usage;

/// The longest answer that is read, bytes. Those to sends are below one KiB; a page of templates is
/// some hundred.
pub(super) const ANSWER_BYTES_MAX: usize = 2 * 1_024 * 1_024;
/// The longest wait that is taken from a `Retry-After`, seconds.
const RETRY_AFTER_MAX_S: u64 = 24 * 60 * 60;
/// How often an error that may be our own fault is tried.
pub(super) const FEW: u32 = 3;
/// How often media that their server could not give are tried.
pub(super) const MEDIA_TRIES: u32 = 2;

shape! {
    struct Reply<'a> {
        error: Scalar<'a>,
        messages: List<'a>,
        success: Scalar<'a>,
        message_id: Scalar<'a>,
        recipient_id: Scalar<'a>,
        id: Scalar<'a>,
        attachment_id: Scalar<'a>,
    }
}

shape! {
    struct Accepted<'a> { id: Scalar<'a> }
}

shape! {
    struct Refusal<'a> {
        code: Scalar<'a>,
        error_subcode: Scalar<'a>,
        is_transient: Scalar<'a>,
        error_data: Scalar<'a>,
    }
}

shape! {
    struct RefusalData<'a> { details: Scalar<'a> }
}

/// What came back.
pub(super) struct Answer {
    status: u16,
    retry_after_ms: Option<u64>,
    /// How much of Meta's limits is used.
    pub(super) usage: Usage,
    /// Empty when it broke off or was too long.
    body: String,
}

impl Answer {
    pub(super) async fn read(mut response: reqwest::Response) -> Self {
        let status = response.status().as_u16();
        let retry_after_ms = retry_after_ms(response.headers());
        let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
        let usage = Usage::read(header("x-app-usage"), header("x-business-use-case-usage"));
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
        Self { status, retry_after_ms, usage, body }
    }

    /// The id under which the message was accepted.
    pub(super) fn sent(&self, product: Product, entry: &OutboxEntry) -> Result<Sent, SendError> {
        let reply = self.reply(product, entry.attempts)?;
        let first: Option<Accepted<'_>> = reply.messages.iter().next().and_then(|raw| object(raw.get()));
        let of_message = match product {
            Product::Whatsapp => first.and_then(|accepted| accepted.id.id()),
            Product::PageMessaging => reply.message_id.id(),
        };
        // A reaction on Messenger or Instagram is no message of its own, and gets no id.
        let reacted = matches!(entry.content, Content::Reaction { .. })
            && (reply.recipient_id.is_some() || reply.success.is("true"));
        match of_message {
            Some(id) => Ok(Sent { provider_id: Pii::new(id.into_owned()) }),
            None if reacted => Ok(Sent { provider_id: Pii::new(entry.message.to_string()) }),
            None => Err(self.without_error()),
        }
    }

    /// The id under which a file was taken.
    pub(super) fn file_id(&self, product: Product, attempts: u32) -> Result<String, SendError> {
        let reply = self.reply(product, attempts)?;
        let id = match product {
            Product::Whatsapp => reply.id,
            Product::PageMessaging => reply.attachment_id,
        };
        id.id().map(std::borrow::Cow::into_owned).ok_or_else(|| self.without_error())
    }

    /// Whether something that is no message was accepted.
    pub(super) fn accepted(&self, product: Product) -> Result<(), SendError> {
        let reply = self.reply(product, 0)?;
        let done = match product {
            Product::Whatsapp => reply.success.is("true"),
            Product::PageMessaging => reply.success.is("true") || reply.recipient_id.is_some(),
        };
        if done { Ok(()) } else { Err(self.without_error()) }
    }

    /// The whole of a reply that reports no error.
    pub(super) fn value(&self, product: Product) -> Result<Value, SendError> {
        self.reply(product, 0)?;
        serde_json::from_str(&self.body).map_err(|_| self.without_error())
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
        let details = refusal.error_data.object::<RefusalData<'_>>().and_then(|data| data.details.text());
        let said = classify(product, code, refusal.error_subcode.integer(), status);
        let Classified { problem, wait_ms: implied_ms } = said.with_details(details.as_deref());
        let told_ms = self.retry_after_ms.or(implied_ms);
        let tries = if code == errors::MEDIA_UPLOAD { MEDIA_TRIES } else { FEW };
        match errors::action(problem.class) {
            Action::RetryFew if attempts >= tries => SendError::Permanent { problem },
            Action::Retry | Action::RetryFew => SendError::Retryable { after_ms: told_ms, problem },
            Action::Wait(scope) => {
                let regain_ms = self.usage.regain_ms().filter(|_| scope != ThrottleScope::Pair);
                let told_ms = self.retry_after_ms.or(regain_ms).or(implied_ms);
                let wait_ms = told_ms.unwrap_or_else(|| wait_ms(scope, attempts));
                SendError::Throttled { scope, wait_ms, problem }
            }
            Action::GiveUp => SendError::Permanent { problem },
        }
    }

    /// What is known when the answer holds no error that can be read, and nothing usable either: it
    /// may then be a gateway's. Only an answer that says that nothing was done lets it be repeated.
    fn without_error(&self) -> SendError {
        let status = self.status;
        let problem =
            |class, what: &str| uncoded(class, format!("the Graph API answered HTTP {status}: {what}"));
        match status {
            429 => SendError::Throttled {
                scope: ThrottleScope::Number,
                wait_ms: self.retry_after_ms.unwrap_or_else(|| wait_ms(ThrottleScope::Number, 0)),
                problem: problem(ProblemClass::ThrottleSender, "too many calls; the number's sends wait"),
            },
            503 => SendError::Retryable {
                after_ms: self.retry_after_ms,
                problem: problem(
                    ProblemClass::Transient,
                    "it is unavailable for the moment; it is tried again",
                ),
            },
            200..=299 | 500.. => SendError::Unknown {
                problem: problem(
                    ProblemClass::Transient,
                    "what it says cannot be read, so the message may or may not have left",
                ),
            },
            401 | 403 => SendError::Permanent {
                problem: problem(
                    ProblemClass::Auth,
                    "check the access token, and that no proxy stands between",
                ),
            },
            300..=399 => SendError::Permanent {
                problem: problem(
                    ProblemClass::Request,
                    "it redirects, which is not followed; check its base address",
                ),
            },
            _ => SendError::Permanent {
                problem: problem(
                    ProblemClass::Request,
                    "it refuses without saying why; check its base address and version",
                ),
            },
        }
    }
}

/// How long a `Retry-After` asks to wait, milliseconds.
pub(super) fn retry_after_ms(headers: &HeaderMap) -> Option<u64> {
    let seconds: u64 = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(seconds.min(RETRY_AFTER_MAX_S) * 1_000)
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
