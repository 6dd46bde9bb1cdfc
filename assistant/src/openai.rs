//! The generator that leaves the process: streamed chat completions of an OpenAI-compatible server.

use std::future::Future;
use std::sync::Arc;

use async_openai::Client;
use async_openai::error::OpenAIError;
use futures::future::{BoxFuture, TryFutureExt};
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use iassistance_domain::Clock;
use iassistance_domain::turn::Usage;
use iassistance_egress::{Destination, Egress};
use serde::Deserialize;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::deltas::{CallDelta, Calls};
use crate::error::GenerateError;
use crate::generate::{Chunk, FinishReason, Generator, ModelServer, Prompt};
use crate::pseudonyms::Pseudonyms;
use crate::request;
use crate::transport::{self, AnswerKind, ServerConfig};

/// The longest answer in bytes, per token that it may have: tokens of ordinary text have about four.
const OUTPUT_BYTES_PER_TOKEN: usize = 16;
/// The longest body in bytes, per token and besides: each token comes in an event of its own.
const BODY_BYTES_PER_TOKEN: usize = 1_024;
const BODY_BYTES_BESIDES: usize = 65_536;
/// How long the usage is waited for after the answer is complete, milliseconds.
const USAGE_MS: u64 = 1_000;

/// How long an attempt may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ModelTimeouts {
    /// Until its first word, milliseconds.
    pub first_token_ms: u64,
    /// In all, milliseconds.
    pub attempt_ms: u64,
}

/// Asks OpenAI, or a server that speaks like it.
pub struct OpenAi {
    egress: Egress,
    timeouts: ModelTimeouts,
    clock: Arc<dyn Clock>,
}

impl OpenAi {
    /// A generator whose requests leave through `egress` and are timed by `clock`.
    pub fn new(egress: Egress, timeouts: ModelTimeouts, clock: Arc<dyn Clock>) -> Self {
        Self { egress, timeouts, clock }
    }

    /// A client for one call of a server, whose answer is of this kind and has at most so many bytes.
    pub(crate) fn client(
        &self,
        server: &ModelServer,
        kind: AnswerKind,
        body_bytes_max: usize,
    ) -> Result<Client<ServerConfig>, GenerateError> {
        let http = self.egress.client_for(Destination::Model, &server.base_url).map_err(|_| {
            GenerateError::Refused { host: server.base_url.host_str().unwrap_or_default().to_owned() }
        })?;
        let config = ServerConfig::new(server.base_url.clone(), &server.api_key)?;
        let service = transport::once(http.clone(), kind, body_bytes_max);
        Ok(Client::build(http.clone(), config).with_http_service(service))
    }

    /// What comes of a call other than a streamed one, unless it takes longer than an attempt may.
    pub(crate) async fn in_time<T>(
        &self,
        call: impl Future<Output = Result<T, OpenAIError>>,
    ) -> Result<T, GenerateError> {
        let ms = self.timeouts.attempt_ms;
        tokio::select! {
            biased;
            answer = call => answer.map_err(transport::cause),
            () = self.clock.sleep_millis(ms) => Err(GenerateError::DeadlineAttempt { ms }),
        }
    }
}

impl Generator for OpenAi {
    fn generate(
        &self,
        server: &ModelServer,
        prompt: &Prompt,
        cancel: CancellationToken,
    ) -> BoxStream<'static, Chunk> {
        let body_bytes_max = prompt.output_tokens_max as usize * BODY_BYTES_PER_TOKEN + BODY_BYTES_BESIDES;
        let client = match self.client(server, AnswerKind::Events, body_bytes_max) {
            Ok(client) => client,
            Err(error) => return stream::iter([Chunk::Failed(error)]).boxed(),
        };
        let (request, covered) = if server.covers {
            let (prompt, covered) = Pseudonyms::cover_prompt(prompt);
            (request::chat(server.model.clone(), &prompt), Some(covered))
        } else {
            (request::chat(server.model.clone(), prompt), None)
        };
        let events = async move { client.chat().create_stream_byot::<_, Value>(request).await };
        let call = Call {
            events: events.try_flatten_stream().map_err(transport::cause).boxed(),
            first_token: self.clock.sleep_millis(self.timeouts.first_token_ms),
            deadline: self.clock.sleep_millis(self.timeouts.attempt_ms),
            clock: Arc::clone(&self.clock),
            timeouts: self.timeouts,
            cancel,
            bytes_left: prompt.output_tokens_max as usize * OUTPUT_BYTES_PER_TOKEN,
            calls: Calls::default(),
            begun: false,
            finished: None,
            usage: None,
        };
        let chunks = stream::unfold(Some(call), |call| async move {
            let (chunk, call) = call?.next().await;
            Some((chunk, call))
        })
        .boxed();
        match covered {
            Some(covered) => covered.restore_all(chunks),
            None => chunks,
        }
    }
}

/// One chunk of a streamed answer (OpenAI: chat completions, streaming), as far as it matters here.
/// Servers differ in everything else, so nothing else is insisted on.
#[derive(Deserialize)]
struct Event {
    #[serde(default)]
    choices: Option<Vec<Choice>>,
    #[serde(default)]
    usage: Option<ReportedUsage>,
    #[serde(default)]
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(default)]
    delta: Option<Delta>,
    #[serde(default)]
    finish_reason: Option<String>,
}

#[derive(Default, Deserialize)]
struct Delta {
    #[serde(default)]
    content: Option<String>,
    #[serde(default)]
    refusal: Option<String>,
    #[serde(default)]
    tool_calls: Option<Vec<CallDelta>>,
}

#[derive(Deserialize)]
struct ReportedUsage {
    prompt_tokens: u64,
    completion_tokens: u64,
}

/// A request under way.
struct Call {
    events: BoxStream<'static, Result<Value, GenerateError>>,
    first_token: BoxFuture<'static, ()>,
    deadline: BoxFuture<'static, ()>,
    clock: Arc<dyn Clock>,
    timeouts: ModelTimeouts,
    cancel: CancellationToken,
    bytes_left: usize,
    calls: Calls,
    begun: bool,
    finished: Option<FinishReason>,
    usage: Option<Usage>,
}

impl Call {
    /// The next chunk, and the call if there is more to come; without it the connection is closed.
    async fn next(mut self) -> (Chunk, Option<Self>) {
        loop {
            let event = match self.event().await {
                Ok(Some(event)) => event,
                Ok(None) => return (self.end(GenerateError::Cut), None),
                Err(error) => return (self.end(error), None),
            };
            let text = match self.take(event) {
                Ok(text) => text,
                Err(error) => return (Chunk::Failed(error), None),
            };
            if self.bytes_left == 0 && self.finished.is_none() {
                self.finished = Some(FinishReason::Length);
                self.calls = Calls::default();
                self.events = stream::empty().boxed();
            }
            if let Some(text) = text {
                return (Chunk::Text(text), Some(self));
            }
            if self.finished == Some(FinishReason::Calls) && !self.calls.is_empty() {
                let calls = std::mem::take(&mut self.calls).finish();
                return (Chunk::Calls(calls), Some(self));
            }
            if self.finished.is_some() && self.usage.is_some() {
                return (self.end(GenerateError::Cut), None);
            }
        }
    }

    async fn event(&mut self) -> Result<Option<Event>, GenerateError> {
        let value = tokio::select! {
            biased;
            () = self.cancel.cancelled() => return Err(GenerateError::Cancelled),
            () = &mut self.first_token, if !self.begun => {
                return Err(GenerateError::DeadlineFirstToken { ms: self.timeouts.first_token_ms });
            }
            () = &mut self.deadline => {
                return Err(GenerateError::DeadlineAttempt { ms: self.timeouts.attempt_ms });
            }
            value = self.events.try_next() => value?,
        };
        // The value is what the server sent; why it does not fit would quote it.
        value.map(|value| serde_json::from_value(value).map_err(|_| GenerateError::Garbage)).transpose()
    }

    /// Takes note of an event; gives its text, if it has any.
    fn take(&mut self, event: Event) -> Result<Option<String>, GenerateError> {
        if let Some(error) = event.error {
            return Err(fault(&error));
        }
        if let Some(usage) = event.usage {
            self.usage =
                Some(Usage { input_tokens: usage.prompt_tokens, output_tokens: usage.completion_tokens });
        }
        let Some(choice) = event.choices.into_iter().flatten().next() else { return Ok(None) };
        let Delta { content, refusal, tool_calls } = choice.delta.unwrap_or_default();
        for piece in tool_calls.into_iter().flatten() {
            self.begun = true;
            self.bytes_left = self.bytes_left.saturating_sub(piece.bytes());
            self.calls.take(piece);
        }
        let text = self.bounded(content.or(refusal).unwrap_or_default());
        if let Some(reason) = choice.finish_reason.as_deref().and_then(finish_reason) {
            self.finish(reason);
        }
        Ok(text)
    }

    /// Takes note of the end of the answer. Calls count only where it was not cut; servers that have
    /// any say so in different words.
    fn finish(&mut self, reason: FinishReason) {
        let whole = !matches!(reason, FinishReason::Length | FinishReason::Filtered);
        let called = whole && self.bytes_left > 0 && !self.calls.is_empty();
        self.begun = true;
        self.finished = Some(match reason {
            _ if called => FinishReason::Calls,
            _ if whole && !self.calls.is_empty() => FinishReason::Length,
            FinishReason::Calls => FinishReason::Other,
            reason => reason,
        });
        self.deadline = self.clock.sleep_millis(USAGE_MS);
    }

    fn bounded(&mut self, mut text: String) -> Option<String> {
        if text.len() > self.bytes_left {
            text.truncate(text.floor_char_boundary(self.bytes_left));
            self.bytes_left = 0;
        } else {
            self.bytes_left -= text.len();
        }
        self.begun |= !text.is_empty();
        (!text.is_empty()).then_some(text)
    }

    /// An answer that was complete stays so, whatever happens while its usage is waited for.
    fn end(&self, error: GenerateError) -> Chunk {
        match self.finished {
            Some(reason) if error != GenerateError::Cancelled => {
                Chunk::Finished { reason, usage: self.usage }
            }
            _ => Chunk::Failed(error),
        }
    }
}

fn finish_reason(reason: &str) -> Option<FinishReason> {
    match reason {
        "" => None,
        "stop" => Some(FinishReason::Stop),
        "tool_calls" | "function_call" => Some(FinishReason::Calls),
        "length" => Some(FinishReason::Length),
        "content_filter" => Some(FinishReason::Filtered),
        _ => Some(FinishReason::Other),
    }
}

/// A fault that is reported in the middle of an answer.
fn fault(error: &Value) -> GenerateError {
    let code = error.get("code").and_then(transport::word);
    match code.as_deref() {
        Some("rate_limit_exceeded") => GenerateError::RateLimited { retry_after_ms: None },
        Some("insufficient_quota") => GenerateError::NoCredit,
        Some("content_filter") => GenerateError::Filtered,
        _ => GenerateError::Server { status: 200, retry_after_ms: None },
    }
}

#[cfg(test)]
#[path = "openai_tests.rs"]
pub(crate) mod tests;
