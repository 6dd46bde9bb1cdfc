//! What goes wrong on purpose with the model.

use serde::{Deserialize, Serialize};

use crate::model_record::ModelEndpoint;

/// What goes wrong with a well-formed request to the model: with a chat, unless it is [`ModelFault::Of`] something else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum ModelFault {
    /// Refused with an OpenAI error.
    Refuse {
        /// The HTTP status, 400 to 599.
        status: u16,
        /// The `Retry-After` header, in seconds.
        #[serde(default)]
        retry_after_s: Option<u64>,
    },
    /// Refused with 429, because there is no credit left.
    NoCredit,
    /// The answer begins but its first token never comes.
    Hang,
    /// The connection is closed after this many tokens.
    Cut {
        /// How many tokens come first.
        #[serde(default)]
        after_tokens: usize,
    },
    /// After this many tokens an error comes as an event, and then nothing more.
    Error {
        /// How many tokens come first.
        #[serde(default)]
        after_tokens: usize,
        /// OpenAI's code, such as `server_error` or `rate_limit_exceeded`.
        code: String,
    },
    /// After this many tokens the answer hangs.
    Stall {
        /// How many tokens come first.
        #[serde(default)]
        after_tokens: usize,
    },
    /// A 200 that is not what was promised.
    Garbage,
    /// The answer ends with the finish reason `content_filter`.
    Filter,
    /// The answer is as it should be, but its usage never comes.
    NoUsage,
    /// The tokens come this far apart.
    Slow {
        /// Between two tokens.
        token_ms: u64,
    },
    /// An answer of so many tokens, whatever was allowed.
    Long {
        /// How many; at most 100,000.
        tokens: usize,
    },
    /// A tool is called that was not offered.
    UnknownTool {
        /// Which.
        #[serde(default = "no_such_tool")]
        name: String,
    },
    /// The first tool that is offered is called with arguments that are no JSON.
    BadArguments,
    /// The first tool that is offered is called, whatever was answered before; in words once none is offered.
    ToolsForEver,
    /// A fault of certain requests alone.
    Of {
        /// The model that is asked; any if none is named.
        #[serde(default)]
        model: Option<String>,
        /// The service that is asked.
        #[serde(default)]
        at: ModelEndpoint,
        /// What goes wrong. Services besides chat know `refuse`, `no_credit`, `hang`, `cut` and `garbage`.
        fault: Box<ModelFault>,
    },
}

const LONG_TOKENS_MAX: usize = 100_000;

fn no_such_tool() -> String {
    "no_such_tool".to_owned()
}

impl ModelFault {
    /// The same, of one model alone.
    pub fn of_model(self, model: &str) -> Self {
        Self::Of { model: Some(model.to_owned()), at: ModelEndpoint::Chat, fault: Box::new(self) }
    }

    /// The same, of another service.
    pub fn at(self, at: ModelEndpoint) -> Self {
        Self::Of { model: None, at, fault: Box::new(self) }
    }

    /// Whether it is meant for a request of this model to this service.
    pub(crate) fn is_for(&self, endpoint: ModelEndpoint, asked: &str) -> bool {
        match self {
            Self::Of { model, at, .. } => {
                *at == endpoint && model.as_ref().is_none_or(|model| model == asked)
            }
            _ => endpoint == ModelEndpoint::Chat,
        }
    }

    /// What goes wrong, whoever it is for.
    pub(crate) fn itself(self) -> Self {
        match self {
            Self::Of { fault, .. } => *fault,
            fault => fault,
        }
    }

    /// The status that it refuses with.
    pub(crate) fn status(&self) -> Option<u16> {
        match self {
            Self::Refuse { status, .. } => Some(*status),
            Self::Of { fault, .. } => fault.status(),
            _ => None,
        }
    }

    /// Whether it can be.
    pub(crate) fn fits(&self) -> bool {
        match self {
            Self::Of { at, fault, .. } => {
                let simple = matches!(
                    **fault,
                    Self::Refuse { .. } | Self::NoCredit | Self::Hang | Self::Cut { .. } | Self::Garbage
                );
                let nested = matches!(**fault, Self::Of { .. });
                !nested && (simple || *at == ModelEndpoint::Chat) && fault.fits()
            }
            Self::Long { tokens } => *tokens <= LONG_TOKENS_MAX,
            _ => true,
        }
    }
}
