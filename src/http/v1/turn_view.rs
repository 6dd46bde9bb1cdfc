//! Execution records as REST shows them: why each reply was what it was.

use serde::Serialize;
use utoipa::ToSchema;

use iassistance_domain::Timestamp;
use iassistance_domain::budget::Cost;
use iassistance_domain::id::{ConversationId, MessageId, TurnId};
use iassistance_domain::knowledge::Citation;
use iassistance_domain::pii::TenantView;
use iassistance_domain::tool::{ToolCallRecord, ToolOutcome};
use iassistance_domain::turn::{Attempt, Judgement, TurnEnd, TurnRecord, Usage, WindowEnd};

use super::view::ControlView;

/// Tokens that a model counted.
#[derive(Serialize, ToSchema)]
#[schema(as = Usage)]
pub struct UsageView {
    /// Tokens of the prompt.
    input_tokens: u64,
    /// Tokens of the answer.
    output_tokens: u64,
}

impl From<Usage> for UsageView {
    fn from(usage: Usage) -> Self {
        Self { input_tokens: usage.input_tokens, output_tokens: usage.output_tokens }
    }
}

/// One try of a turn to get an answer.
#[derive(Serialize, ToSchema)]
#[schema(as = Attempt)]
pub struct AttemptView {
    /// The model that was asked.
    model: String,
    /// In which round of the turn, from 1: a round ends with an answer or with calls of tools.
    round: u32,
    /// When it was asked.
    #[schema(value_type = i64)]
    started_at: Timestamp,
    /// Milliseconds to the first word, where one came.
    first_token_ms: Option<u64>,
    /// When it ended.
    #[schema(value_type = i64)]
    ended_at: Timestamp,
    /// What it used.
    usage: UsageView,
    /// What that costs by the price table, in millionths of its currency; `null` where the model has
    /// no price.
    cost: Option<Cost>,
    /// What went wrong; `null` where it went well.
    problem: Option<String>,
}

impl From<Attempt> for AttemptView {
    fn from(attempt: Attempt) -> Self {
        Self {
            model: attempt.model,
            round: attempt.round,
            started_at: attempt.started_at,
            first_token_ms: attempt.first_token_ms,
            ended_at: attempt.ended_at,
            usage: attempt.usage.into(),
            cost: attempt.cost,
            problem: attempt.problem,
        }
    }
}

/// One call of a tool.
#[derive(Serialize, ToSchema)]
#[schema(as = ToolCall)]
pub struct ToolCallView {
    /// The tool, as the model named it.
    name: String,
    /// In which round of the turn, from 1.
    round: u32,
    /// What it was given, as JSON text; at most 4,096 bytes of it.
    arguments: String,
    /// When it was called.
    #[schema(value_type = i64)]
    started_at: Timestamp,
    /// When it had ended.
    #[schema(value_type = i64)]
    ended_at: Timestamp,
    /// How often it was tried; 0 where nothing was sent.
    tries: u32,
    /// How it ended.
    outcome: ToolOutcome,
    /// What went wrong; `null` where it went well.
    problem: Option<String>,
    /// Bytes of its answer that the model was given.
    answer_bytes: usize,
}

impl From<ToolCallRecord> for ToolCallView {
    fn from(call: ToolCallRecord) -> Self {
        Self {
            name: call.name,
            round: call.round,
            arguments: call.arguments.into_inner(TenantView),
            started_at: call.started_at,
            ended_at: call.ended_at,
            tries: call.tries,
            outcome: call.outcome,
            problem: call.problem,
            answer_bytes: call.answer_bytes,
        }
    }
}

/// The explanation of a turn: why its reply was what it was.
#[derive(Serialize, ToSchema)]
#[schema(as = Turn)]
pub struct TurnView {
    /// Its id.
    #[schema(value_type = String, example = "trn_0199a8a2c4007b3e8f5d6c1b2a390817")]
    id: TurnId,
    /// The conversation.
    #[schema(value_type = String)]
    conversation: ConversationId,
    /// The epoch in which it ran: its words count only in that one.
    epoch: u64,
    /// The messages that it answers, in the order of their writing.
    #[schema(value_type = Vec<String>)]
    covers: Vec<MessageId>,
    /// When the collecting window before it opened.
    #[schema(value_type = i64)]
    window_opened_at: Timestamp,
    /// Why that window closed.
    window_end: WindowEnd,
    /// When it began.
    #[schema(value_type = i64)]
    started_at: Timestamp,
    /// The version of the assistant's settings.
    settings_version: u64,
    /// SHA-256 of the prompt, in hexadecimal; `null` where none was built.
    prompt_sha256: Option<String>,
    /// How many messages of history were in the prompt.
    history_messages: usize,
    /// The last message that the summary in the prompt covers, where there was one.
    #[schema(value_type = Option<String>)]
    summary_until: Option<MessageId>,
    /// How many pictures were in the prompt.
    images: usize,
    /// Each try.
    attempts: Vec<AttemptView>,
    /// Each call of a tool.
    tool_calls: Vec<ToolCallView>,
    /// What was looked up.
    citations: Vec<Citation>,
    /// What moderation said.
    judgements: Vec<Judgement>,
    /// Why a person was asked for, in the assistant's words.
    handover_reason: Option<String>,
    /// What went wrong, where the attempts do not say it.
    problem: Option<String>,
    /// What all tries used together.
    usage: UsageView,
    /// What they cost together, in millionths of the price table's currency; those without a price do
    /// not count.
    cost: Cost,
    /// When it ended; `null` while it runs.
    #[schema(value_type = Option<i64>)]
    ended_at: Option<Timestamp>,
    /// `answered`, `empty`, `superseded`, `taken_over`, `failed`, `window_closed`, `handed_over`,
    /// `over_budget`, `objected`, `closed` or `opted_out`; `null` while it runs.
    #[schema(value_type = Option<String>, example = "answered")]
    end: Option<TurnEnd>,
    /// Who had control when it had ended.
    control: Option<ControlView>,
    /// Whether it said that a machine speaks.
    disclosed: bool,
    /// What it sent.
    #[schema(value_type = Vec<String>)]
    sent: Vec<MessageId>,
}

impl From<TurnRecord> for TurnView {
    fn from(turn: TurnRecord) -> Self {
        let work = turn.work;
        Self {
            usage: work.usage().into(),
            cost: work.cost(),
            id: turn.id,
            conversation: turn.conversation,
            epoch: turn.epoch.0,
            covers: turn.covers,
            window_opened_at: turn.window_opened_at,
            window_end: turn.window_end,
            started_at: turn.started_at,
            settings_version: turn.settings_version,
            prompt_sha256: work.prompt_sha256,
            history_messages: work.history_messages,
            summary_until: work.summary_until,
            images: work.images,
            attempts: work.attempts.into_iter().map(AttemptView::from).collect(),
            tool_calls: work.tool_calls.into_iter().map(ToolCallView::from).collect(),
            citations: work.citations,
            judgements: work.judgements,
            handover_reason: work.handover_reason.map(|reason| reason.into_inner(TenantView)),
            problem: work.problem,
            ended_at: turn.ended_at,
            end: turn.end,
            control: turn.control.as_ref().map(ControlView::from),
            disclosed: turn.disclosed,
            sent: turn.sent,
        }
    }
}
