//! The whole effort of one turn: rounds of tools, and in each of them models in order, attempts with
//! pauses between them, the money for each and a server that fails spared; moderation before and after.

use iassistance_domain::assistant::Moderation;
use iassistance_domain::budget::Cost;
use iassistance_domain::id::TenantId;
use iassistance_domain::pii::Reply;
use iassistance_domain::tool::{ToolCallRecord, ToolOutcome};
use iassistance_domain::turn::{Attempt, Judgement, TurnWork, Usage};
use iassistance_domain::{Clock, Entropy, Pii, Timestamp};
use tokio_util::sync::CancellationToken;

use crate::attempt::{Limits, Money, Said, Unsaid, attempt};
use crate::breaker::Breakers;
use crate::error::GenerateError;
use crate::generate::{Generator, ModelServer, Prompt};
use crate::money::{Prices, Purse};
use crate::prompt::HUMAN_PREFIX;
use crate::services::Services;
use crate::tools::{ToolCall, Tools};

/// The longest pause between two attempts, milliseconds: somebody is waiting for the answer. Where a
/// server asks for more, the next model is asked, or the turn gives up.
const PAUSE_MS_MAX: u64 = 30_000;
/// What is recorded of a call's name and arguments.
const NAME_BYTES_MAX: usize = 64;
const ARGUMENTS_BYTES_MAX: usize = 4_096;
const UNAFFORDABLE: &str = "there was not enough money left to ask a model";
/// The tools whose arguments the contact reads.
const SPEAKING_TOOLS: [&str; 2] = ["send_buttons", "send_list"];

/// How a turn tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnswerPolicy {
    /// Attempts at most for each model in each round; at least one is made.
    pub attempts_max: u32,
    /// The pause before the second attempt, milliseconds; it doubles, with jitter, up to 30,000.
    pub retry_ms: u64,
    /// How long the turn may take in all, milliseconds.
    pub turn_ms: u64,
    /// How many rounds may call tools; after them the model is asked once more without any.
    pub rounds_max: u32,
    /// What moderation looks at.
    pub moderation: Moderation,
    /// What the turn may cost.
    pub turn_budget: Option<Cost>,
}

/// Everything that a turn asks with.
pub struct Asking<'a> {
    /// Who answers.
    pub generator: &'a dyn Generator,
    /// Who moderates.
    pub services: &'a dyn Services,
    /// The server, and the model that is asked first.
    pub server: &'a ModelServer,
    /// The model that moderates.
    pub moderation_model: &'a str,
    /// Models of the same server that are asked, in order, where the one before gives no answer.
    pub fallback_models: &'a [String],
    /// How it tries.
    pub policy: AnswerPolicy,
    /// Who is spared.
    pub breakers: &'a Breakers,
    /// For whom it asks.
    pub tenant: TenantId,
    /// Where the money comes from.
    pub purse: &'a dyn Purse,
    /// What it costs.
    pub prices: &'a Prices,
    /// What may be done besides speaking.
    pub tools: &'a mut dyn Tools,
    /// What time it is.
    pub clock: &'a dyn Clock,
    /// Chance, for the pauses.
    pub entropy: &'a dyn Entropy,
    /// Ends it at once.
    pub cancel: &'a CancellationToken,
    /// Who hears how far it is.
    pub on_progress: &'a mut (dyn FnMut(Progress<'_>) + Send),
}

/// How far a turn is. Holds personal data, so it has no `Debug`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Progress<'a> {
    /// The text so far; shorter than before when another attempt or round has begun.
    Text(&'a str),
    /// A tool is called.
    ToolStarted {
        /// As the model named it.
        name: &'a str,
        /// In which round, from 1.
        round: u32,
    },
    /// A tool has ended.
    ToolEnded {
        /// As the model named it.
        name: &'a str,
        /// How.
        outcome: ToolOutcome,
    },
}

/// What a turn came to. Holds personal data, so it has no `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Answer {
    /// What was done, also where it came to nothing: what was used was paid for.
    pub work: TurnWork,
    /// How it ended.
    pub end: AnswerEnd,
}

/// How a turn ended. Holds personal data, so it has no `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub enum AnswerEnd {
    /// This is to be said.
    Said(String),
    /// The model had nothing to say.
    Nothing,
    /// A tool has said or done what there was.
    Ended,
    /// No answer could be had.
    Failed(GenerateError),
    /// There was no money for it, or it was spent before the answer was complete.
    OverBudget,
    /// Moderation objected.
    Objected {
        /// To the answer, or to what was asked.
        of_answer: bool,
    },
    /// Nobody waits for it any more.
    Cancelled,
}

/// Asks until there is an answer, or until it is certain that there will be none. Money is set aside
/// before each call and settled after it, whatever becomes of the call; only where this future is
/// dropped before its end is a reservation left open. Stops at once when `cancel` is.
pub async fn answer(asking: Asking<'_>, mut prompt: Prompt) -> Answer {
    let work = TurnWork {
        prompt_sha256: Some(prompt.sha256()),
        history_messages: prompt.history_messages,
        summary_until: prompt.summary_until,
        images: prompt.images,
        ..TurnWork::default()
    };
    let limits = Limits::new(asking.clock, asking.cancel, asking.policy.turn_ms);
    let money = Money::new(asking.purse, asking.prices, asking.policy.turn_budget);
    let mut turn = Turn { asking, limits, money, work, model: 0 };
    let end = turn.run(&mut prompt).await;
    Answer { work: turn.work, end: end.unwrap_or_else(|end| end) }
}

struct Turn<'a> {
    asking: Asking<'a>,
    limits: Limits<'a>,
    money: Money<'a>,
    work: TurnWork,
    /// Which model is asked: 0 is the server's own, then the others in order. A turn stays with the
    /// one that answered.
    model: usize,
}

impl From<GenerateError> for AnswerEnd {
    fn from(error: GenerateError) -> Self {
        if error == GenerateError::Cancelled { Self::Cancelled } else { Self::Failed(error) }
    }
}

impl Turn<'_> {
    /// The end is an error where nothing more is to be done, so that each step may leave by `?`.
    async fn run(&mut self, prompt: &mut Prompt) -> Result<AnswerEnd, AnswerEnd> {
        if self.limits.is_cancelled() {
            return Err(AnswerEnd::Cancelled);
        }
        let AnswerPolicy { moderation, rounds_max, .. } = self.asking.policy;
        if moderation.before && prompt.covered_messages > 0 {
            let asked = prompt.messages.iter().rev().take(prompt.covered_messages);
            let asked = asked.map(|message| message.words().to_owned().into()).collect();
            self.judge(asked, false).await?;
        }
        let (mut round, mut earlier) = (1, None);
        loop {
            if round > rounds_max {
                prompt.leave_out_tools();
            }
            let Said { text, calls } = self.round(prompt, round).await?;
            // A model that has said it all beside its calls may have nothing to add.
            earlier = spoken(&text).or(earlier);
            if calls.is_empty() {
                break;
            }
            let (answers, ended) = self.call_all(&calls, round).await?;
            if ended {
                if moderation.after {
                    self.judge_calls(&calls).await?;
                }
                return Ok(AnswerEnd::Ended);
            }
            prompt.add_round(text, calls, answers);
            round += 1;
        }
        let Some(text) = earlier else { return Ok(AnswerEnd::Nothing) };
        if moderation.after {
            self.judge(vec![text.clone().into()], true).await?;
        }
        Ok(AnswerEnd::Said(text))
    }

    /// Asks model after model.
    async fn round(&mut self, prompt: &mut Prompt, round: u32) -> Result<Said, AnswerEnd> {
        loop {
            let first = self.asking.server;
            let models = self.asking.fallback_models;
            let said = match self.model.checked_sub(1).and_then(|index| models.get(index)) {
                None => self.ask(first, prompt, round).await,
                Some(model) => self.ask(&first.with_model(model), prompt, round).await,
            };
            match said {
                Err(AnswerEnd::Failed(error)) if error.leaves_other_models() && self.model < models.len() => {
                    self.model += 1;
                }
                said => return said,
            }
        }
    }

    /// Asks one model: again after a pause where an error may pass, as often as the policy allows and
    /// not before the server would take it.
    async fn ask(
        &mut self,
        server: &ModelServer,
        prompt: &mut Prompt,
        round: u32,
    ) -> Result<Said, AnswerEnd> {
        let breakers = self.asking.breakers;
        let mut made = 0;
        loop {
            let pass = match breakers.enter(self.asking.tenant, server) {
                Ok(pass) => pass,
                Err(ms) => {
                    let error = GenerateError::Spared { ms };
                    self.work.attempts.push(self.unasked(server, round, &error));
                    return Err(error.into());
                }
            };
            let on_progress = &mut *self.asking.on_progress;
            let mut on_text = |text: &str| on_progress(Progress::Text(text));
            let asked = (self.asking.generator, server, round);
            let (outcome, record) =
                attempt(asked, prompt, &mut self.limits, &mut self.money, &mut on_text).await;
            self.work.attempts.extend(record);
            made += 1;
            let error = match outcome {
                Ok(said) => {
                    pass.report(None);
                    return Ok(said);
                }
                Err(Unsaid::Failed(error)) => error,
                Err(Unsaid::Spent) => {
                    pass.report(None);
                    return Err(AnswerEnd::OverBudget);
                }
                Err(Unsaid::Unaffordable) => {
                    self.work.problem = Some(UNAFFORDABLE.to_owned());
                    return Err(AnswerEnd::OverBudget);
                }
            };
            pass.report(Some(&error));
            self.rest(error, made).await?;
        }
    }

    /// The record of a call that was not made.
    fn unasked(&self, server: &ModelServer, round: u32, error: &GenerateError) -> Attempt {
        let now = self.limits.clock().now();
        Attempt {
            model: server.model.clone(),
            started_at: now,
            first_token_ms: None,
            ended_at: now,
            usage: Usage::default(),
            cost: None,
            round,
            problem: Some(error.to_string()),
        }
    }

    /// Waits until it may be tried again; the error itself where it is not to be.
    async fn rest(&mut self, error: GenerateError, made: u32) -> Result<(), GenerateError> {
        match pause(&error, made, self.asking.policy, self.asking.entropy) {
            Some(ms) if self.limits.leave(ms) => {
                let slept = self.limits.clock().sleep_millis(ms);
                self.limits.keep(slept).await
            }
            _ => Err(error),
        }
    }

    /// Carries out what the model asked for, in order, also what comes after a call that ends the
    /// turn. Gives what the model is to read of each, and whether one of them ends it.
    async fn call_all(
        &mut self,
        calls: &[ToolCall],
        round: u32,
    ) -> Result<(Vec<Pii<String>>, bool), AnswerEnd> {
        let (mut answers, mut ended) = (Vec::with_capacity(calls.len()), false);
        for call in calls {
            if self.limits.is_cancelled() {
                return Err(AnswerEnd::Cancelled);
            }
            let name = cut(&call.name, NAME_BYTES_MAX);
            let started_at = self.limits.clock().now();
            (self.asking.on_progress)(Progress::ToolStarted { name, round });
            let called = self.limits.keep(self.asking.tools.call(call, round)).await;
            let (record, left) = match called {
                Ok(called) => {
                    answers.push(called.answer);
                    self.work.citations.extend(called.citations);
                    ended |= called.ends_turn;
                    (called.record, None)
                }
                Err(error) => {
                    let ended_at = self.limits.clock().now();
                    (interrupted(call, round, (started_at, ended_at), &error), Some(error))
                }
            };
            (self.asking.on_progress)(Progress::ToolEnded { name, outcome: record.outcome });
            self.work.tool_calls.push(record);
            if let Some(error) = left {
                return Err(error.into());
            }
        }
        Ok((answers, ended))
    }

    /// Has the words judged that a tool says to the contact.
    async fn judge_calls(&mut self, calls: &[ToolCall]) -> Result<(), AnswerEnd> {
        let spoken = calls.iter().filter(|call| SPEAKING_TOOLS.contains(&call.name.as_str()));
        let spoken: Vec<_> = spoken.map(|call| call.arguments.clone()).collect();
        if spoken.is_empty() { Ok(()) } else { self.judge(spoken, true).await }
    }

    /// Has texts judged. Where moderation is wanted and cannot be had there is no answer either: what
    /// nobody looked at is not sent.
    async fn judge(&mut self, texts: Vec<Pii<String>>, of_answer: bool) -> Result<(), AnswerEnd> {
        let server = self.asking.server.with_model(self.asking.moderation_model);
        let services = self.asking.services;
        let mut made = 0;
        let error = loop {
            let judged = match self.limits.keep(services.moderate(&server, texts.clone())).await {
                Ok(judged) => judged,
                Err(error) => break error,
            };
            let error = match judged {
                Ok(verdict) => {
                    let objects = verdict.objects;
                    let categories = verdict.categories;
                    self.work.judgements.push(Judgement { of_answer, objects, categories, problem: None });
                    return if objects { Err(AnswerEnd::Objected { of_answer }) } else { Ok(()) };
                }
                Err(error) => error,
            };
            made += 1;
            if let Err(error) = self.rest(error, made).await {
                break error;
            }
        };
        let problem = Some(error.to_string());
        self.work.judgements.push(Judgement { of_answer, objects: false, categories: Vec::new(), problem });
        Err(error.into())
    }
}

/// How long to wait before the next attempt, milliseconds; nothing where there is to be none.
fn pause(error: &GenerateError, made: u32, policy: AnswerPolicy, entropy: &dyn Entropy) -> Option<u64> {
    if !error.is_retryable() || made >= policy.attempts_max {
        return None;
    }
    let times = 1_u64.checked_shl(made.saturating_sub(1)).unwrap_or(u64::MAX);
    let longest = policy.retry_ms.saturating_mul(times).min(PAUSE_MS_MAX);
    let pause = longest / 2 + entropy.up_to(longest - longest / 2);
    match error.retry_after_ms() {
        Some(wanted) if wanted > PAUSE_MS_MAX => None,
        // The jitter comes on top: those who were told the same must not come back together.
        Some(wanted) => Some(wanted.saturating_add(pause)),
        None => Some(pause),
    }
}

/// The record of a call that was under way when the turn ended.
fn interrupted(
    call: &ToolCall,
    round: u32,
    (started_at, ended_at): (Timestamp, Timestamp),
    error: &GenerateError,
) -> ToolCallRecord {
    let late = matches!(error, GenerateError::DeadlineTurn { .. });
    ToolCallRecord {
        name: cut(&call.name, NAME_BYTES_MAX).to_owned(),
        round,
        arguments: cut(call.arguments.reveal(Reply), ARGUMENTS_BYTES_MAX).to_owned().into(),
        started_at,
        ended_at,
        tries: 1,
        outcome: if late { ToolOutcome::TimedOut } else { ToolOutcome::Failed },
        problem: Some(format!(
            "the turn ended while it was called, whether or not it had an effect: {error}"
        )),
        answer_bytes: 0,
    }
}

fn cut(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}

/// The text as it is to be said, if there is any. A model that has read a person's words may begin
/// like one: it must not pass for one.
pub(crate) fn spoken(text: &str) -> Option<String> {
    let mut text = text.trim();
    while let Some(rest) = text.strip_prefix(HUMAN_PREFIX.trim_end()) {
        text = rest.trim_start();
    }
    (!text.is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
#[path = "answer_tests/mod.rs"]
mod tests;
