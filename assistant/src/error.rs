//! Why an attempt brought no answer.

/// Why an attempt brought no answer, in words that can be shown: they hold nothing of the prompt, of
/// the answer or of a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GenerateError {
    /// The server is not one that may be called.
    #[error(
        "the model's server `{host}` may not be called: add it to `hosts` under [model], or change the assistant's `base_url`"
    )]
    Refused {
        /// Its host.
        host: String,
    },
    /// The server did not accept the key, or it cannot even be sent.
    #[error(
        "the model's server did not accept the key: check `api_key` under [model], or the assistant's own, and what it may do"
    )]
    Auth,
    /// The account behind the key has run out.
    #[error("the account at the model's server has no credit left: top it up, or raise its spending limit")]
    NoCredit,
    /// Too many requests or tokens per time.
    #[error("the model's server takes no more requests just now: if this lasts, have its rate limit raised")]
    RateLimited {
        /// When it would take one again, milliseconds from now, if it says so.
        retry_after_ms: Option<u64>,
    },
    /// The server is overloaded or has a fault.
    #[error(
        "the model's server has a fault or is overloaded (HTTP {status}): if this lasts, look at its status page"
    )]
    Server {
        /// The HTTP status; 200 when the fault came in the middle of an answer.
        status: u16,
        /// When to try again, milliseconds from now, if it says so.
        retry_after_ms: Option<u64>,
    },
    /// The server does not understand the request, or does not know the model.
    #[error(
        "the model's server refused the request (HTTP {status}, {}): check the model's name, and whether it takes these settings",
        code.as_deref().unwrap_or("no code")
    )]
    BadRequest {
        /// The HTTP status.
        status: u16,
        /// The server's word for what is wrong, such as `model_not_found`.
        code: Option<String>,
    },
    /// The server could not be reached, or went away before it answered.
    #[error("the model's server could not be reached: check `base_url` and the network")]
    Unreachable,
    /// No word came in time.
    #[error("the model did not begin to answer within {ms} ms (`first_token_ms` under [model])")]
    DeadlineFirstToken {
        /// The time that it had.
        ms: u64,
    },
    /// The answer was not complete in time.
    #[error("the model did not finish its answer within {ms} ms (`attempt_ms` under [model])")]
    DeadlineAttempt {
        /// The time that it had.
        ms: u64,
    },
    /// The stream ended in the middle of the answer.
    #[error("the model's server broke off in the middle of the answer")]
    Cut,
    /// What came is not a streamed chat completion.
    #[error(
        "the model's server does not answer as OpenAI's chat completions do: check that `base_url` names such a server"
    )]
    Garbage,
    /// The server withheld the answer.
    #[error("the model's server withheld the answer: its content filter found something in it")]
    Filtered,
    /// The server has failed so often that it is not asked for a while.
    #[error(
        "the model's server failed too often (`breaker_failures_max` under [model]): it is asked again in {ms} ms"
    )]
    Spared {
        /// For how long it is not asked, milliseconds.
        ms: u64,
    },
    /// The whole turn was not done in time.
    #[error("the turn was not done within {ms} ms (`turn_ms` under [model])")]
    DeadlineTurn {
        /// The time that it had.
        ms: u64,
    },
    /// The model called tools where it had none, and said nothing.
    #[error(
        "the model called tools although there were none left to call: raise `tool_rounds_max`, or say in the tools' descriptions when they are of no use"
    )]
    UnaskedCalls,
    /// The server takes nothing like this, so it was not asked.
    #[error("the model's server was not asked: {reason}")]
    NotAsked {
        /// Why.
        reason: &'static str,
    },
    /// Nobody waits for the answer any more.
    #[error("cancelled")]
    Cancelled,
}

impl GenerateError {
    /// Whether the same request may succeed a little later.
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::RateLimited { .. }
            | Self::Server { .. }
            | Self::Unreachable
            | Self::DeadlineFirstToken { .. }
            | Self::DeadlineAttempt { .. }
            | Self::Cut
            | Self::Garbage => true,
            Self::Refused { .. }
            | Self::Auth
            | Self::NoCredit
            | Self::BadRequest { .. }
            | Self::Filtered
            | Self::Spared { .. }
            | Self::DeadlineTurn { .. }
            | Self::UnaskedCalls
            | Self::NotAsked { .. }
            | Self::Cancelled => false,
        }
    }

    /// When the server would take a request again, milliseconds from now, if it says so.
    pub const fn retry_after_ms(&self) -> Option<u64> {
        match self {
            Self::RateLimited { retry_after_ms } | Self::Server { retry_after_ms, .. } => *retry_after_ms,
            _ => None,
        }
    }

    /// Whether the server may have been at work on the prompt, and so will charge for it.
    pub(crate) const fn may_have_cost(&self) -> bool {
        matches!(
            self,
            Self::DeadlineFirstToken { .. }
                | Self::DeadlineAttempt { .. }
                | Self::Cut
                | Self::Garbage
                | Self::Filtered
                | Self::DeadlineTurn { .. }
                | Self::UnaskedCalls
                | Self::Cancelled
        )
    }

    /// Whether the server itself failed: neither the request nor the key is to blame.
    pub(crate) const fn is_fault_of_server(&self) -> bool {
        matches!(
            self,
            Self::Server { .. }
                | Self::Unreachable
                | Self::DeadlineFirstToken { .. }
                | Self::DeadlineAttempt { .. }
                | Self::Cut
                | Self::Garbage
        )
    }

    /// Whether the server must have answered in its right mind to say this.
    pub(crate) const fn shows_server_alive(&self) -> bool {
        matches!(
            self,
            Self::Auth | Self::NoCredit | Self::BadRequest { .. } | Self::Filtered | Self::UnaskedCalls
        )
    }

    /// Whether another model may do better where this one could not.
    pub(crate) const fn leaves_other_models(&self) -> bool {
        !matches!(self, Self::Cancelled | Self::DeadlineTurn { .. } | Self::Refused { .. })
    }
}
