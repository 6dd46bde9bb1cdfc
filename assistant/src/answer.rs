//! The attempts of one turn.

use futures::StreamExt;
use iassistance_domain::turn::{Attempt, Usage};
use iassistance_domain::{Clock, Entropy, Timestamp};
use tokio_util::sync::CancellationToken;

use crate::error::GenerateError;
use crate::generate::{Chunk, FinishReason, Generator, ModelServer};
use crate::prompt::{HUMAN_PREFIX, Prompt};
use crate::tokens::TokenCounter;

/// The longest pause between two attempts, milliseconds: somebody is waiting for the answer. Where a
/// server asks for more, the turn gives up.
const PAUSE_MS_MAX: u64 = 30_000;
const CUT_PROBLEM: &str =
    "the answer was cut at its limit: raise `output_tokens_max`, or instruct the assistant to be brief";

/// How often a turn tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnswerPolicy {
    /// Attempts at most; at least one is made.
    pub attempts_max: u32,
    /// The pause before the second attempt, milliseconds; it doubles, with jitter, up to 30,000.
    pub retry_ms: u64,
}

/// What a turn's attempts came to. Holds personal data, so it has no `Debug`.
#[derive(Clone, PartialEq)]
pub struct Answer {
    /// What is to be said; nothing where the model had nothing to say, or where there is an error.
    pub text: Option<String>,
    /// Each attempt, also those that failed or were cancelled: what was used was paid for.
    pub attempts: Vec<Attempt>,
    /// Why there is no answer; nothing where the model answered, be it with nothing.
    pub error: Option<GenerateError>,
}

/// Asks until there is an answer: again after a pause where an error may pass, as often as `policy`
/// allows and not before the server would take it. Stops at once when `cancel` is.
///
/// `on_text` is told the text so far whenever there is more of it; it is shorter than before when
/// another attempt has begun.
#[expect(clippy::too_many_arguments, reason = "each is a thing of its own, and there is one caller")]
pub async fn answer(
    generator: &dyn Generator,
    server: &ModelServer,
    prompt: &Prompt,
    policy: AnswerPolicy,
    clock: &dyn Clock,
    entropy: &dyn Entropy,
    cancel: &CancellationToken,
    on_text: &mut (dyn FnMut(&str) + Send),
) -> Answer {
    let mut attempts = Vec::new();
    loop {
        if cancel.is_cancelled() {
            return Answer { text: None, attempts, error: Some(GenerateError::Cancelled) };
        }
        let (outcome, attempt) = try_once(generator, server, prompt, clock, cancel, on_text).await;
        attempts.push(attempt);
        let error = match outcome {
            Ok(text) => return Answer { text, attempts, error: None },
            Err(error) => error,
        };
        let Some(pause_ms) = pause(&error, attempts.len(), policy, entropy) else {
            return Answer { text: None, attempts, error: Some(error) };
        };
        tokio::select! {
            biased;
            () = cancel.cancelled() => {}
            () = clock.sleep_millis(pause_ms) => {}
        }
    }
}

/// How long to wait before the next attempt, milliseconds; nothing where there is to be none.
fn pause(error: &GenerateError, made: usize, policy: AnswerPolicy, entropy: &dyn Entropy) -> Option<u64> {
    if !error.is_retryable() || made >= policy.attempts_max as usize {
        return None;
    }
    let doubled = u32::try_from(made - 1).ok().and_then(|times| policy.retry_ms.checked_shl(times));
    let longest = doubled.unwrap_or(PAUSE_MS_MAX).min(PAUSE_MS_MAX);
    let pause = longest / 2 + entropy.up_to(longest - longest / 2);
    match error.retry_after_ms() {
        Some(wanted) if wanted > PAUSE_MS_MAX => None,
        // The jitter comes on top: those who were told the same must not come back together.
        Some(wanted) => Some(wanted.saturating_add(pause)),
        None => Some(pause),
    }
}

async fn try_once(
    generator: &dyn Generator,
    server: &ModelServer,
    prompt: &Prompt,
    clock: &dyn Clock,
    cancel: &CancellationToken,
    on_text: &mut (dyn FnMut(&str) + Send),
) -> (Result<Option<String>, GenerateError>, Attempt) {
    let started_at = clock.now();
    let mut first_token_at: Option<Timestamp> = None;
    let mut text = String::new();
    let mut chunks = generator.generate(server, prompt.clone(), cancel.clone());
    let end = loop {
        match chunks.next().await {
            Some(Chunk::Text(more)) => {
                first_token_at.get_or_insert_with(|| clock.now());
                text.push_str(&more);
                on_text(&text);
            }
            Some(Chunk::Finished { reason: FinishReason::Filtered, usage }) => {
                break (Err(GenerateError::Filtered), usage);
            }
            Some(Chunk::Finished { reason, usage }) => break (Ok(reason), usage),
            Some(Chunk::Failed(error)) => break (Err(error), None),
            None => break (Err(GenerateError::Cut), None),
        }
    };
    drop(chunks);
    let (outcome, reported) = end;
    let charged =
        first_token_at.is_some() || outcome.as_ref().map_or_else(GenerateError::may_have_cost, |_| true);
    let usage = reported.unwrap_or_else(|| if charged { counted(prompt, &text) } else { Usage::default() });
    let problem = match &outcome {
        Ok(FinishReason::Length) => Some(CUT_PROBLEM.to_owned()),
        Ok(_) => None,
        Err(error) => Some(error.to_string()),
    };
    let attempt = Attempt {
        model: server.model.clone(),
        started_at,
        first_token_ms: first_token_at.map(|at| at.millis_since(started_at)),
        ended_at: clock.now(),
        usage,
        cost: None,
        round: 1,
        problem,
    };
    (outcome.map(|_| spoken(&text)), attempt)
}

fn counted(prompt: &Prompt, text: &str) -> Usage {
    Usage { input_tokens: prompt.tokens as u64, output_tokens: TokenCounter::count(text) as u64 }
}

/// The text as it is to be said, if there is any. A model that has read a person's words may begin
/// like one: it must not pass for one.
fn spoken(text: &str) -> Option<String> {
    let mut text = text.trim();
    while let Some(rest) = text.strip_prefix(HUMAN_PREFIX.trim_end()) {
        text = rest.trim_start();
    }
    (!text.is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
#[path = "answer_tests.rs"]
mod tests;
