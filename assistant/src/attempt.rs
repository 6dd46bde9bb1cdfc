//! One attempt: money set aside, a stream read, and what was used settled.

use std::future::Future;

use futures::StreamExt;
use iassistance_domain::budget::{Cost, Price};
use iassistance_domain::clock::BoxFuture;
use iassistance_domain::turn::{Attempt, Usage};
use iassistance_domain::{Clock, Timestamp};
use tokio_util::sync::CancellationToken;

use crate::error::GenerateError;
use crate::generate::{Chunk, FinishReason, Generator, ModelServer, Prompt};
use crate::money::{Prices, Purse};
use crate::tokens::{RunningCount, TokenCounter};
use crate::tools::ToolCall;

const CUT_PROBLEM: &str =
    "the answer was cut at its limit: raise `output_tokens_max`, or instruct the assistant to be brief";
const BUDGET_PROBLEM: &str = "the answer was stopped where the money for it was spent";
/// No call is made for an answer shorter than this, in tokens, unless no longer one is wanted: there
/// would be a prompt to pay for and nothing to send.
const OUTPUT_TOKENS_LEAST: u32 = 32;
/// How much more is set aside than the answer may have, in tokens: a server that does not keep to the
/// limit is found out by its next chunk, which is paid for, and many streams may be at that at once.
const CHUNK_TOKENS: u32 = 16;

/// When a turn must be done, and whether it is still wanted.
pub(crate) struct Limits<'a> {
    clock: &'a dyn Clock,
    cancel: &'a CancellationToken,
    deadline: BoxFuture<'static, ()>,
    until: Timestamp,
    turn_ms: u64,
}

impl<'a> Limits<'a> {
    /// `turn_ms` from now.
    pub(crate) fn new(clock: &'a dyn Clock, cancel: &'a CancellationToken, turn_ms: u64) -> Self {
        let until = clock.now().plus_millis(turn_ms);
        Self { clock, cancel, deadline: clock.sleep_until(until), until, turn_ms }
    }

    pub(crate) fn clock(&self) -> &'a dyn Clock {
        self.clock
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancel.is_cancelled()
    }

    /// Whether the turn lasts so much longer.
    pub(crate) fn leave(&self, ms: u64) -> bool {
        self.clock.now().plus_millis(ms) < self.until
    }

    /// What comes of `work`, unless the turn ends before.
    pub(crate) async fn keep<T>(&mut self, work: impl Future<Output = T>) -> Result<T, GenerateError> {
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err(GenerateError::Cancelled),
            value = work => Ok(value),
            () = &mut self.deadline => Err(GenerateError::DeadlineTurn { ms: self.turn_ms }),
        }
    }
}

/// The money of a turn.
pub(crate) struct Money<'a> {
    purse: &'a dyn Purse,
    prices: &'a Prices,
    /// What the turn may still spend, where that is limited.
    left: Option<Cost>,
}

/// What one call may use.
struct Allowance {
    price: Option<Price>,
    output_tokens_max: u32,
    /// Whether tokens are to be counted while they come.
    counted: bool,
    /// Whether it is money that limits the answer.
    tight: bool,
    reserved: bool,
}

impl<'a> Money<'a> {
    pub(crate) const fn new(purse: &'a dyn Purse, prices: &'a Prices, turn_budget: Option<Cost>) -> Self {
        Self { purse, prices, left: turn_budget }
    }

    /// Sets money aside for a call; nothing where there is not enough for the prompt and a few words.
    /// A model without a price is as good as free.
    async fn reserve(&self, model: &str, prompt: &Prompt) -> Option<Allowance> {
        let price = self.prices.of(model);
        let wanted = prompt.output_tokens_max;
        let free =
            Allowance { price, output_tokens_max: wanted, counted: false, tight: false, reserved: false };
        let limited = self.left.is_some() || !self.purse.is_unlimited();
        let Some(of) = price.filter(|_| limited) else { return Some(free) };
        let cost = |output: u32| {
            let output_tokens = u64::from(output) + u64::from(CHUNK_TOKENS);
            of.of(Usage { input_tokens: prompt.tokens as u64, output_tokens })
        };
        let least = cost(wanted.min(OUTPUT_TOKENS_LEAST));
        let most = self.left.map_or(Cost::MAX, |left| left).min(cost(wanted));
        if most < least {
            return None;
        }
        let reserved = !self.purse.is_unlimited();
        let granted = if reserved { self.purse.reserve(least, most).await? } else { most };
        let affordable = affordable(of, prompt.tokens as u64, granted).saturating_sub(CHUNK_TOKENS);
        let output_tokens_max = affordable.min(wanted);
        Some(Allowance {
            price,
            output_tokens_max,
            counted: true,
            tight: output_tokens_max < wanted,
            reserved,
        })
    }

    async fn settle(&mut self, allowance: &Allowance, usage: Usage) -> Option<Cost> {
        let cost = allowance.price.map(|price| price.of(usage));
        if let (Some(left), Some(cost)) = (&mut self.left, cost) {
            *left = left.minus(cost);
        }
        if allowance.reserved {
            self.purse.settle(cost.unwrap_or_default()).await;
        }
        cost
    }
}

/// How many tokens of an answer so much money is enough for.
fn affordable(price: Price, input_tokens: u64, granted: Cost) -> u32 {
    let thousandths = granted.0.saturating_mul(1_000);
    let left = thousandths.saturating_sub(price.input.saturating_mul(input_tokens));
    left.checked_div(price.output).map_or(u32::MAX, |tokens| u32::try_from(tokens).unwrap_or(u32::MAX))
}

/// What a model said and asked for.
pub(crate) struct Said {
    pub(crate) text: String,
    pub(crate) calls: Vec<ToolCall>,
}

/// How an attempt ended without an answer.
pub(crate) enum Unsaid {
    Failed(GenerateError),
    /// There was not enough money to begin.
    Unaffordable,
    /// The money was spent before the answer was complete.
    Spent,
}

/// Asks once. There is no record where it was not even asked.
pub(crate) async fn attempt(
    (generator, server, round): (&dyn Generator, &ModelServer, u32),
    prompt: &mut Prompt,
    limits: &mut Limits<'_>,
    money: &mut Money<'_>,
    on_text: &mut (dyn FnMut(&str) + Send),
) -> (Result<Said, Unsaid>, Option<Attempt>) {
    let Some(allowance) = money.reserve(&server.model, prompt).await else {
        return (Err(Unsaid::Unaffordable), None);
    };
    if limits.is_cancelled() {
        money.settle(&allowance, Usage::default()).await;
        return (Err(Unsaid::Failed(GenerateError::Cancelled)), None);
    }
    let wanted = std::mem::replace(&mut prompt.output_tokens_max, allowance.output_tokens_max);
    let started_at = limits.clock.now();
    let mut reading = Reading::default();
    let End { outcome, usage: reported, stopped } =
        reading.read(generator, server, prompt, &allowance, limits, on_text).await;
    prompt.output_tokens_max = wanted;

    // Where the server stops at the limit, it is the money that has set it.
    let spent = stopped || (allowance.tight && outcome == Ok(FinishReason::Length));
    let charged = reading.first_token_at.is_some()
        || outcome.as_ref().map_or_else(GenerateError::may_have_cost, |_| true);
    let usage = reported.unwrap_or_else(|| if charged { reading.counted(prompt) } else { Usage::default() });
    let cost = money.settle(&allowance, usage).await;
    let outcome = outcome.and_then(|reason| reading.without_unasked_calls(prompt).map(|()| reason));
    let problem = match &outcome {
        _ if spent => Some(BUDGET_PROBLEM.to_owned()),
        Ok(FinishReason::Length) => Some(CUT_PROBLEM.to_owned()),
        Ok(_) => None,
        Err(error) => Some(error.to_string()),
    };
    let record = Attempt {
        model: server.model.clone(),
        started_at,
        first_token_ms: reading.first_token_at.map(|at| at.millis_since(started_at)),
        ended_at: limits.clock.now(),
        usage,
        cost,
        round,
        problem,
    };
    let outcome = match outcome {
        _ if spent => Err(Unsaid::Spent),
        Ok(_) => Ok(Said { text: reading.text, calls: reading.calls }),
        Err(error) => Err(Unsaid::Failed(error)),
    };
    (outcome, Some(record))
}

/// How a stream ended.
struct End {
    outcome: Result<FinishReason, GenerateError>,
    usage: Option<Usage>,
    /// Whether it was stopped here because the money was spent.
    stopped: bool,
}

impl End {
    const fn failed(error: GenerateError) -> Self {
        Self { outcome: Err(error), usage: None, stopped: false }
    }
}

/// What has been read of a stream.
#[derive(Default)]
struct Reading {
    text: String,
    calls: Vec<ToolCall>,
    first_token_at: Option<Timestamp>,
}

impl Reading {
    async fn read(
        &mut self,
        generator: &dyn Generator,
        server: &ModelServer,
        prompt: &Prompt,
        allowance: &Allowance,
        limits: &mut Limits<'_>,
        on_text: &mut (dyn FnMut(&str) + Send),
    ) -> End {
        let (clock, turn_ms) = (limits.clock, limits.turn_ms);
        let mut chunks = generator.generate(server, prompt, limits.cancel.clone());
        let mut counter = RunningCount::default();
        loop {
            // The stream looks for a cancellation itself.
            let chunk = tokio::select! {
                biased;
                chunk = chunks.next() => chunk,
                () = &mut limits.deadline => return End::failed(GenerateError::DeadlineTurn { ms: turn_ms }),
            };
            match chunk {
                Some(Chunk::Text(more)) => {
                    self.first_token_at.get_or_insert_with(|| clock.now());
                    self.text.push_str(&more);
                    on_text(&self.text);
                    if let Some(end) = stopped(&mut counter, &self.text, allowance) {
                        return end;
                    }
                }
                Some(Chunk::Calls(calls)) => {
                    self.first_token_at.get_or_insert_with(|| clock.now());
                    self.calls = calls;
                    if let Some(end) = overcalled(&mut counter, self, allowance) {
                        return end;
                    }
                }
                Some(Chunk::Finished { reason, usage }) => {
                    let filtered = reason == FinishReason::Filtered;
                    let outcome = if filtered { Err(GenerateError::Filtered) } else { Ok(reason) };
                    return End { outcome, usage, stopped: false };
                }
                Some(Chunk::Failed(error)) => return End::failed(error),
                None => return End::failed(GenerateError::Cut),
            }
        }
    }

    /// Calls where the model was told of no tools are not carried out; what it said beside them counts.
    fn without_unasked_calls(&mut self, prompt: &Prompt) -> Result<(), GenerateError> {
        if !prompt.tools.is_empty() || self.calls.is_empty() {
            return Ok(());
        }
        self.calls.clear();
        if self.text.trim().is_empty() { Err(GenerateError::UnaskedCalls) } else { Ok(()) }
    }

    fn counted(&self, prompt: &Prompt) -> Usage {
        let calls = self.calls.iter().map(ToolCall::tokens).sum::<usize>();
        let output = TokenCounter::count(&self.text) + calls;
        Usage { input_tokens: prompt.tokens as u64, output_tokens: output as u64 }
    }
}

/// How a stream ends that has come to its limit by our own count. A server that keeps to the limit
/// ends it itself; one that does not has said too much as soon as there is more.
fn stopped(counter: &mut RunningCount, text: &str, allowance: &Allowance) -> Option<End> {
    let max = allowance.output_tokens_max as usize;
    // No token is shorter than a byte: a short answer need not be counted.
    if !allowance.counted || text.len() < max {
        return None;
    }
    let tokens = counter.count(text);
    let over = if allowance.tight { tokens >= max } else { tokens > max };
    over.then_some(End { outcome: Ok(FinishReason::Length), usage: None, stopped: allowance.tight })
}

/// The same where tools are to be called, which is known only when all of it has come: what goes beyond
/// the money is paid for, but not carried out.
fn overcalled(counter: &mut RunningCount, read: &Reading, allowance: &Allowance) -> Option<End> {
    if !allowance.tight {
        return None;
    }
    let calls = read.calls.iter().map(ToolCall::tokens).sum::<usize>();
    let tokens = counter.count(&read.text) + calls;
    let over = tokens > allowance.output_tokens_max as usize;
    over.then_some(End { outcome: Ok(FinishReason::Length), usage: None, stopped: true })
}
