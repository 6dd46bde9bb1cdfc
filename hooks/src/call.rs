//! One try to hand an event to its receiver.

use std::pin::pin;
use std::sync::Arc;

use async_trait::async_trait;
use futures::StreamExt;
use futures::future::{Either, select};
use iassistance_domain::channel::StoredSecret;
use iassistance_domain::{Clock, Timestamp};
use iassistance_egress::{Destination, Egress, not_public};
use reqwest::Response;
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use url::Url;

use crate::signature::{BadSecret, ID, SIGNATURE, TIMESTAMP, sign};

/// How long an address may be, bytes.
const ADDRESS_BYTES_MAX: usize = 2_048;

/// What is handed over.
#[derive(Clone, Copy)]
pub struct HookCall<'a> {
    /// To which address.
    pub url: &'a str,
    /// What signs it, newest first.
    pub secrets: &'a [StoredSecret],
    /// What it is named by: the same whenever it is sent again.
    pub id: &'a str,
    /// The body, JSON.
    pub body: &'a [u8],
}

/// Why a receiver does not have an event. In words for those who look after it, with nothing of the
/// address, of the body or of the answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HookProblem {
    /// The address may not be called.
    #[error("{0}")]
    Refused(String),
    /// It cannot be signed.
    #[error(transparent)]
    Secret(#[from] BadSecret),
    /// No answer came in time.
    #[error("the receiver did not answer within {ms} ms")]
    TimedOut {
        /// The time that it had.
        ms: u64,
    },
    /// It could not be reached, or broke off.
    #[error("the receiver could not be reached, or broke off: check its address, certificate and network")]
    Unreachable,
    /// It sends the caller elsewhere.
    #[error("the receiver redirects (HTTP {status}), which is not followed: give the address itself")]
    Redirects {
        /// The HTTP status.
        status: u16,
    },
    /// It wants no more of these.
    #[error("the receiver says that it is gone (HTTP 410)")]
    Gone,
    /// It refused or failed.
    #[error("the receiver answered with HTTP {status}")]
    Status {
        /// The HTTP status.
        status: u16,
        /// When it would take it again, if it says so, milliseconds from now.
        after_ms: Option<u64>,
    },
}

/// Hands events to receivers.
#[async_trait]
pub trait HookCaller: Send + Sync {
    /// Whether this address may be called at all.
    ///
    /// # Errors
    /// [`HookProblem::Refused`], with what would do.
    fn check(&self, url: &str) -> Result<(), HookProblem>;
    /// Hands one over; gives the HTTP status by which the receiver took it.
    async fn call(&self, call: HookCall<'_>) -> Result<u16, HookProblem>;
}

/// Hands nothing over: for an engine that has no receivers.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoHooks;

#[async_trait]
impl HookCaller for NoHooks {
    fn check(&self, _: &str) -> Result<(), HookProblem> {
        Err(HookProblem::Refused("no webhooks are sent here".to_owned()))
    }

    async fn call(&self, _: HookCall<'_>) -> Result<u16, HookProblem> {
        Err(HookProblem::Unreachable)
    }
}

/// Hands events over by HTTP.
#[derive(Clone)]
pub struct HttpHooks {
    egress: Egress,
    clock: Arc<dyn Clock>,
    timeout_ms: u64,
    answer_bytes_max: usize,
}

impl HttpHooks {
    /// Through `egress`, which must be [for webhooks](Egress::with_hooks). A receiver has `timeout_ms` for
    /// its answer, and of that `answer_bytes_max` bytes are read.
    pub fn new(egress: Egress, clock: Arc<dyn Clock>, timeout_ms: u64, answer_bytes_max: usize) -> Self {
        Self { egress, clock, timeout_ms, answer_bytes_max }
    }

    async fn send(&self, call: &HookCall<'_>, now: Timestamp) -> Result<u16, HookProblem> {
        let url = address(call.url)?;
        let client = self.egress.client_for(Destination::Hook, &url);
        let client = client.map_err(|error| HookProblem::Refused(error.to_string()))?;
        let timestamp_s = now.as_millis().div_euclid(1_000);
        let request = client
            .post(url)
            .header(CONTENT_TYPE, "application/json")
            .header(ID, call.id)
            .header(TIMESTAMP, timestamp_s)
            .header(SIGNATURE, sign(call.secrets, call.id, timestamp_s, call.body)?)
            .body(call.body.to_vec());
        let response = request.send().await.map_err(|error| unsent(&error))?;
        let answered = judge(&response);
        self.read(response).await;
        answered
    }

    /// Reads what is left of a short answer, so that the connection can be used again. What it says counts
    /// for nothing.
    async fn read(&self, response: Response) {
        let (mut left, mut parts) = (self.answer_bytes_max, response.bytes_stream());
        while let Some(Ok(part)) = parts.next().await
            && let Some(rest) = left.checked_sub(part.len())
        {
            left = rest;
        }
    }
}

#[async_trait]
impl HookCaller for HttpHooks {
    fn check(&self, url: &str) -> Result<(), HookProblem> {
        let client = self.egress.client_for(Destination::Hook, &address(url)?);
        client.map(drop).map_err(|error| HookProblem::Refused(error.to_string()))
    }

    async fn call(&self, call: HookCall<'_>) -> Result<u16, HookProblem> {
        let (now, ms) = (self.clock.now(), self.timeout_ms);
        first(self.send(&call, now), self.clock.sleep_until(now.plus_millis(ms)), ms).await
    }
}

/// What comes first: the answer, or the end of the time for it.
async fn first(
    answer: impl Future<Output = Result<u16, HookProblem>>,
    end: impl Future<Output = ()>,
    ms: u64,
) -> Result<u16, HookProblem> {
    let (answer, end) = (pin!(answer), pin!(end));
    match select(answer, end).await {
        Either::Left((answer, _)) => answer,
        Either::Right(_) => Err(HookProblem::TimedOut { ms }),
    }
}

fn address(text: &str) -> Result<Url, HookProblem> {
    let refused = |why: &str| HookProblem::Refused(why.to_owned());
    if text.len() > ADDRESS_BYTES_MAX {
        return Err(refused("the webhook's address is longer than 2048 bytes"));
    }
    let mut url = Url::parse(text).map_err(|_| refused("the webhook's address is no https address"))?;
    url.set_fragment(None);
    Ok(url)
}

fn judge(response: &Response) -> Result<u16, HookProblem> {
    let status = response.status();
    match status.as_u16() {
        taken if status.is_success() => Ok(taken),
        410 => Err(HookProblem::Gone),
        status if (300..400).contains(&status) => Err(HookProblem::Redirects { status }),
        status => Err(HookProblem::Status { status, after_ms: retry_after_ms(response) }),
    }
}

fn retry_after_ms(response: &Response) -> Option<u64> {
    let seconds: u64 = response.headers().get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    seconds.checked_mul(1_000)
}

fn unsent(error: &reqwest::Error) -> HookProblem {
    not_public(error).map_or(HookProblem::Unreachable, |refused| {
        HookProblem::Refused(format!("the webhook's host {refused}"))
    })
}
