//! Handing messages over to their channels.

use async_trait::async_trait;
use iassistance_domain::Pii;
use iassistance_domain::channel::Channel;
use iassistance_domain::delivery::DeliveryProblem;
use iassistance_domain::outbox::OutboxEntry;

use crate::errors::{ErrorClass, ThrottleScope};

/// Hands messages over.
#[async_trait]
pub trait Sender: Send + Sync + 'static {
    /// Hands over what `entry` holds, once. [`SendError`] says whether it may be tried again;
    /// after [`SendError::Unknown`] it may not.
    async fn send(&self, channel: &Channel, entry: &OutboxEntry) -> Result<Sent, SendError>;

    /// Shows the contact that their message `provider_id`, and all before it, was read; with
    /// `typing`, also that an answer is on its way, until it comes or for 25 seconds. Harmless
    /// when repeated, so every error of it may be passed over.
    async fn mark_read(
        &self,
        channel: &Channel,
        provider_id: &Pii<String>,
        typing: bool,
    ) -> Result<(), SendError>;
}

/// The channel accepted a message. That is not yet delivered.
#[derive(Clone, PartialEq, Eq)]
pub struct Sent {
    /// Meta's id of it; never empty.
    pub provider_id: Pii<String>,
}

/// How a send failed, by what may be done next. Holds nothing personal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// It was not sent; try again.
    #[error("not sent, to be tried again: {} (code {})", problem.title, problem.code)]
    Retryable {
        /// Not before this many milliseconds, where somebody said so.
        after_ms: Option<u64>,
        /// Why.
        problem: DeliveryProblem,
    },
    /// It was not sent, because a limit was hit; everything in `scope` waits.
    #[error("not sent, a limit was hit: {} (code {})", problem.title, problem.code)]
    Throttled {
        /// What waits.
        scope: ThrottleScope,
        /// How long, milliseconds.
        wait_ms: u64,
        /// Why.
        problem: DeliveryProblem,
    },
    /// It was not sent and repeating it changes nothing.
    #[error("not sent and not to be repeated: {} (code {})", problem.title, problem.code)]
    Permanent {
        /// What would help.
        class: ErrorClass,
        /// Why.
        problem: DeliveryProblem,
    },
    /// It may or may not have been sent: wait for the channel's reports, and never just repeat it.
    #[error("may or may not be sent: {} (code {})", problem.title, problem.code)]
    Unknown {
        /// What is known.
        problem: DeliveryProblem,
    },
}

impl SendError {
    /// Why.
    pub fn problem(&self) -> &DeliveryProblem {
        match self {
            Self::Retryable { problem, .. }
            | Self::Throttled { problem, .. }
            | Self::Permanent { problem, .. }
            | Self::Unknown { problem } => problem,
        }
    }

    /// A mistake that is found before anything is sent.
    pub(crate) fn refused(title: impl Into<String>) -> Self {
        Self::Permanent { class: ErrorClass::Request, problem: uncoded(title) }
    }
}

/// A problem that Meta gave no code for.
pub(crate) fn uncoded(title: impl Into<String>) -> DeliveryProblem {
    DeliveryProblem { code: 0, title: title.into() }
}
