//! Turns and their execution records: why each reply was what it was.

use serde::{Deserialize, Serialize};

use crate::Mapped;
use crate::budget::Cost;
use crate::conversation::{Control, Epoch};
use crate::id::{ConversationId, MessageId, TurnId};
use crate::knowledge::Citation;
use crate::tool::ToolCallRecord;
use crate::{Pii, Timestamp};

/// Tokens that a model counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[data(part)]
pub struct Usage {
    /// Tokens of the prompt.
    #[data(operational)]
    pub input_tokens: u64,
    /// Tokens of the answer.
    #[data(operational)]
    pub output_tokens: u64,
}

impl Usage {
    /// Both together.
    pub const fn plus(self, other: Self) -> Self {
        Self {
            input_tokens: self.input_tokens.saturating_add(other.input_tokens),
            output_tokens: self.output_tokens.saturating_add(other.output_tokens),
        }
    }
}

/// One try of a turn to get an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[data(part)]
pub struct Attempt {
    /// The model that was asked.
    #[data(technical)]
    pub model: String,
    /// When it was asked.
    #[data(operational)]
    pub started_at: Timestamp,
    /// Milliseconds to the first word, where one came.
    #[data(operational)]
    pub first_token_ms: Option<u64>,
    /// When it ended.
    #[data(operational)]
    pub ended_at: Timestamp,
    /// What it used, as the model reports or, where it does not, as we count.
    #[data(parts)]
    pub usage: Usage,
    /// What that costs by the price table; nothing where the model has no price.
    #[serde(default)]
    #[data(money)]
    pub cost: Option<Cost>,
    /// In which round of the turn, from 1: a round ends with an answer or with calls of tools. 0 is the
    /// summary that was written after it.
    #[serde(default = "first")]
    #[data(operational)]
    pub round: u32,
    /// What went wrong, in words that can be shown; nothing where it went well.
    #[data(operational)]
    pub problem: Option<String>,
}

const fn first() -> u32 {
    1
}

/// Why the collecting window before a turn closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, Mapped)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum WindowEnd {
    /// The contact was quiet for long enough.
    #[default]
    Quiet,
    /// It had been open for as long as it may be.
    Cap,
    /// There is none.
    Off,
    /// Nobody wrote: the assistant comes back by itself.
    FollowUp,
}

/// What moderation said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[data(part)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Judgement {
    /// Whether it looked at the answer, or at what was asked.
    #[data(operational)]
    pub of_answer: bool,
    /// Whether it objects.
    #[data(operational)]
    pub objects: bool,
    /// To what: the server's own categories.
    #[data(operational)]
    pub categories: Vec<String>,
    /// Why it could not say, if it could not.
    #[data(operational)]
    pub problem: Option<String>,
}

/// Why a turn ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[serde(rename_all = "snake_case")]
pub enum TurnEnd {
    /// It answered.
    Answered,
    /// The model had nothing to say.
    Empty,
    /// A newer message cancelled it.
    Superseded,
    /// A person took over.
    TakenOver,
    /// No answer could be had.
    Failed,
    /// The time for a reply had passed.
    WindowClosed,
    /// It gave the conversation to a person.
    HandedOver,
    /// The money for it was spent.
    OverBudget,
    /// Moderation objected.
    Objected,
    /// Nobody is there, and the assistant does not answer then.
    Closed,
    /// The contact asked for silence.
    OptedOut,
}

impl TurnEnd {
    /// Its name in JSON and in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Empty => "empty",
            Self::Superseded => "superseded",
            Self::TakenOver => "taken_over",
            Self::Failed => "failed",
            Self::WindowClosed => "window_closed",
            Self::HandedOver => "handed_over",
            Self::OverBudget => "over_budget",
            Self::Objected => "objected",
            Self::Closed => "closed",
            Self::OptedOut => "opted_out",
        }
    }
}

/// What a turn did, as far as it is known when it ends.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize, Mapped)]
#[data(part)]
#[serde(default)]
pub struct TurnWork {
    /// SHA-256 of the prompt, in hexadecimal; nothing where none was built.
    #[data(technical)]
    pub prompt_sha256: Option<String>,
    /// How many messages of history were in the prompt.
    #[data(operational)]
    pub history_messages: usize,
    /// The last message that the summary in the prompt covers, where there was one.
    #[data(id)]
    pub summary_until: Option<MessageId>,
    /// How many pictures were in the prompt.
    #[data(operational)]
    pub images: usize,
    /// Each try.
    #[data(parts)]
    pub attempts: Vec<Attempt>,
    /// Each call of a tool.
    #[data(parts)]
    pub tool_calls: Vec<ToolCallRecord>,
    /// What was looked up.
    #[data(parts)]
    pub citations: Vec<Citation>,
    /// What moderation said.
    #[data(parts)]
    pub judgements: Vec<Judgement>,
    /// Why a person was asked for, in the assistant's words.
    #[data(content)]
    pub handover_reason: Option<Pii<String>>,
    /// What went wrong, in words that can be shown, where the attempts do not say it.
    #[data(operational)]
    pub problem: Option<String>,
}

impl TurnWork {
    /// What all its tries used together.
    pub fn usage(&self) -> Usage {
        self.attempts.iter().fold(Usage::default(), |sum, attempt| sum.plus(attempt.usage))
    }

    /// What all its tries cost together; those without a price do not count.
    pub fn cost(&self) -> Cost {
        self.attempts.iter().filter_map(|attempt| attempt.cost).fold(Cost::default(), Cost::plus)
    }

    /// Adds what another try of the same turn did.
    pub fn extend(&mut self, later: Self) {
        self.prompt_sha256 = later.prompt_sha256.or(self.prompt_sha256.take());
        self.history_messages = self.history_messages.max(later.history_messages);
        self.summary_until = later.summary_until.or(self.summary_until);
        self.images = self.images.max(later.images);
        self.attempts.extend(later.attempts);
        self.tool_calls.extend(later.tool_calls);
        self.citations.extend(later.citations);
        self.judgements.extend(later.judgements);
        self.handover_reason = later.handover_reason.or(self.handover_reason.take());
        self.problem = later.problem.or(self.problem.take());
    }
}

/// The stored explanation of a turn. Holds personal data, so it has no `Debug`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[data(purpose = "reply", basis = "contract", keep = "execution")]
pub struct TurnRecord {
    /// The turn.
    #[data(id)]
    pub id: TurnId,
    /// The conversation.
    #[data(id)]
    pub conversation: ConversationId,
    /// The epoch in which it ran; its words count only in that one.
    #[data(operational)]
    pub epoch: Epoch,
    /// The messages that it answers, in the order of their writing.
    #[data(id)]
    pub covers: Vec<MessageId>,
    /// When the first of them was applied: the beginning of the collecting window.
    #[data(operational)]
    pub window_opened_at: Timestamp,
    /// Why that window closed.
    #[serde(default)]
    #[data(operational)]
    pub window_end: WindowEnd,
    /// When the turn began.
    #[data(operational)]
    pub started_at: Timestamp,
    /// The version of the assistant's settings.
    #[data(operational)]
    pub settings_version: u64,
    /// What it did.
    #[serde(flatten)]
    #[data(parts)]
    pub work: TurnWork,
    /// When it ended; nothing while it runs.
    #[data(operational)]
    pub ended_at: Option<Timestamp>,
    /// Why it ended; nothing while it runs.
    #[data(operational)]
    pub end: Option<TurnEnd>,
    /// Who had control when it had ended.
    #[serde(default)]
    #[data(parts)]
    pub control: Option<Control>,
    /// Whether it said that a machine speaks.
    #[serde(default)]
    #[data(operational)]
    pub disclosed: bool,
    /// What it sent.
    #[data(id)]
    pub sent: Vec<MessageId>,
}

impl TurnRecord {
    /// Milliseconds from its beginning to the first word of its answer, which its last attempt gave; nothing
    /// where none came.
    pub fn first_word_ms(&self) -> Option<u64> {
        let answered = self.work.attempts.last().filter(|attempt| attempt.problem.is_none())?;
        let first = answered.started_at.plus_millis(answered.first_token_ms?);
        Some(first.millis_since(self.started_at))
    }
}
