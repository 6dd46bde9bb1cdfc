//! Turns and their execution records: why each reply was what it was.

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::conversation::Epoch;
use crate::id::{ConversationId, MessageId, TurnId};

/// Tokens that a model counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens of the prompt.
    pub input_tokens: u64,
    /// Tokens of the answer.
    pub output_tokens: u64,
}

/// One try of a turn to get an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// The model that was asked.
    pub model: String,
    /// When it was asked.
    pub started_at: Timestamp,
    /// Milliseconds to the first word, where one came.
    pub first_token_ms: Option<u64>,
    /// When it ended.
    pub ended_at: Timestamp,
    /// What it used, as the model reports or, where it does not, as we count.
    pub usage: Usage,
    /// What went wrong, in words that can be shown; nothing where it went well.
    pub problem: Option<String>,
}

/// Why a turn ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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
}

/// The stored explanation of a turn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TurnRecord {
    /// The turn.
    pub id: TurnId,
    /// The conversation.
    pub conversation: ConversationId,
    /// The epoch in which it ran; its words count only in that one.
    pub epoch: Epoch,
    /// The messages that it answers, in the order of their writing.
    pub covers: Vec<MessageId>,
    /// When the first of them was applied: the beginning of the collecting window.
    pub window_opened_at: Timestamp,
    /// When the turn began.
    pub started_at: Timestamp,
    /// SHA-256 of the prompt, in hexadecimal; nothing where none was built.
    pub prompt_sha256: Option<String>,
    /// How many messages of history were in the prompt.
    pub history_messages: usize,
    /// The version of the assistant's settings.
    pub settings_version: u64,
    /// Each try.
    pub attempts: Vec<Attempt>,
    /// When it ended; nothing while it runs.
    pub ended_at: Option<Timestamp>,
    /// Why it ended; nothing while it runs.
    pub end: Option<TurnEnd>,
    /// What it sent.
    pub sent: Vec<MessageId>,
}

impl TurnRecord {
    /// What all its tries used together.
    pub fn usage(&self) -> Usage {
        self.attempts.iter().fold(Usage::default(), |sum, attempt| Usage {
            input_tokens: sum.input_tokens.saturating_add(attempt.usage.input_tokens),
            output_tokens: sum.output_tokens.saturating_add(attempt.usage.output_tokens),
        })
    }
}
