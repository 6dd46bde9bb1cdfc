//! Tools: what a model may do besides speaking, and what is recorded of it.

use serde::{Deserialize, Serialize};

use crate::Mapped;
use crate::channel::StoredSecret;
use crate::{Pii, Timestamp};

/// Which of the platform's own tools the assistant has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[data(part)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "each is a setting of its own")]
pub struct BuiltInTools {
    /// `handover_to_human`: give the conversation to a person.
    #[data(setting)]
    pub handover: bool,
    /// `search_knowledge`: look something up in the tenant's documents; only where there are some.
    #[data(setting)]
    pub knowledge: bool,
    /// `set_contact_attribute`: note a fact about the contact.
    #[data(setting)]
    pub attributes: bool,
    /// `send_buttons` and `send_list`: answer with a choice.
    #[data(setting)]
    pub choices: bool,
    /// `schedule_follow_up`: come back to the contact later, within the channel's window.
    #[data(setting)]
    pub follow_up: bool,
    /// Whether those that change something (`set_contact_attribute`, `schedule_follow_up`) may be
    /// called in a turn that has already read what an outside server said.
    #[data(setting)]
    pub after_untrusted: bool,
}

impl Default for BuiltInTools {
    fn default() -> Self {
        Self {
            handover: true,
            knowledge: true,
            attributes: false,
            choices: false,
            follow_up: false,
            after_untrusted: false,
        }
    }
}

/// How a tool is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, Mapped)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "UPPERCASE")]
pub enum ToolMethod {
    /// The arguments are the query.
    Get,
    /// The arguments are the body, as JSON.
    #[default]
    Post,
}

/// A header that proves to a tool's server who calls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[data(part)]
#[serde(deny_unknown_fields)]
pub struct ToolSecret {
    /// Its name: `Authorization`.
    #[data(credential)]
    pub header: String,
    /// Its value. Write-only: never shown again, never told to a model.
    #[data(credential)]
    pub value: StoredSecret,
}

/// A tool of the tenant's own: an HTTPS address that the model may have called.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Mapped)]
#[data(part)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "each is a setting of its own")]
pub struct HttpTool {
    /// What the model calls it by: 1 to 64 of `a-z`, `0-9` and `_`, and none of the platform's own.
    #[data(setting)]
    pub name: String,
    /// What it does and when to use it, for the model; at most 1,000 characters.
    #[data(setting)]
    pub description: String,
    /// How it is called.
    #[serde(default)]
    #[data(setting)]
    pub method: ToolMethod,
    /// Where: https, a public host, no user and no fragment.
    #[data(setting)]
    pub url: String,
    /// JSON Schema of its arguments: an object. What does not fit is not sent.
    #[data(setting)]
    pub parameters: serde_json::Value,
    /// JSON Schema of its answer, if that is to be checked. What does not fit is not read.
    #[serde(default)]
    #[data(setting)]
    pub answer: Option<serde_json::Value>,
    /// The header that proves who calls.
    #[serde(default)]
    #[data(parts)]
    pub secret: Option<ToolSecret>,
    /// How long a call may take, milliseconds, 100 to 60,000.
    #[data(setting)]
    pub timeout_ms: u64,
    /// Whether calling it twice does no harm: only then is it called again when an answer is missing.
    #[serde(default)]
    #[data(setting)]
    pub repeatable: bool,
    /// Whether a call changes something in the world.
    #[serde(default)]
    #[data(setting)]
    pub side_effects: bool,
    /// Whether it may be called with side effects in a turn that has already read what an outside
    /// server said: such words may try to give orders.
    #[serde(default)]
    #[data(setting)]
    pub after_untrusted: bool,
    /// Whether what it answers is written by the business itself, so that it can give no orders.
    #[serde(default)]
    #[data(setting)]
    pub trusted: bool,
}

/// How a call of a tool ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ToolOutcome {
    /// It answered.
    Done,
    /// There is no such tool, or its arguments do not fit.
    Invalid,
    /// It may not be called now: the rules or the tenant's settings say so.
    Refused,
    /// It did not answer in time.
    TimedOut,
    /// It failed.
    Failed,
}

/// One call of a tool, for the execution record.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[data(part)]
pub struct ToolCallRecord {
    /// The tool, as the model named it; at most 64 characters.
    #[data(operational)]
    pub name: String,
    /// In which round of the turn, from 1.
    #[data(operational)]
    pub round: u32,
    /// What it was given, as JSON text; at most 4,096 bytes of it.
    #[data(content)]
    pub arguments: Pii<String>,
    /// When it was called.
    #[data(operational)]
    pub started_at: Timestamp,
    /// When it had ended.
    #[data(operational)]
    pub ended_at: Timestamp,
    /// How often it was tried; 0 where nothing was sent.
    #[data(operational)]
    pub tries: u32,
    /// How it ended.
    #[data(operational)]
    pub outcome: ToolOutcome,
    /// What went wrong, in words that can be shown; nothing where it went well.
    #[data(operational)]
    pub problem: Option<String>,
    /// Bytes of its answer that the model was given.
    #[data(operational)]
    pub answer_bytes: usize,
}
