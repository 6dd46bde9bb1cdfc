//! Handing messages over to their channels, and what else is asked of Meta for a channel.

use async_trait::async_trait;
use bytes::Bytes;
use iassistance_domain::channel::{Channel, ChannelState, MessageTemplate, MetaApp, StoredSecret};
use iassistance_domain::contact::ContactIdentity;
use iassistance_domain::content::Media;
use iassistance_domain::delivery::{DeliveryProblem, ProblemClass};
use iassistance_domain::id::MediaId;
use iassistance_domain::outbox::OutboxEntry;
use iassistance_domain::{Pii, Timestamp};

use crate::errors::ThrottleScope;
use crate::usage::Usage;

/// Speaks to Meta for a channel.
#[async_trait]
pub trait Sender: Send + Sync + 'static {
    /// Hands over what `entry` holds, once, at `now`. [`SendError`] says whether it may be tried
    /// again; after [`SendError::Unknown`] it may not. Files in the content store are taken from
    /// `shelf` and uploaded first.
    async fn send(
        &self,
        channel: &Channel,
        entry: &OutboxEntry,
        now: Timestamp,
        shelf: &dyn MediaShelf,
    ) -> Attempt;

    /// Shows the contact that their message `provider_id`, and all before it, was read; with
    /// `typing`, also that an answer is on its way, until it comes or for some 20 seconds. Harmless
    /// when repeated, so every error of it may be passed over.
    async fn mark_read(
        &self,
        channel: &Channel,
        contact: &ContactIdentity,
        provider_id: &Pii<String>,
        typing: bool,
    ) -> Result<(), SendError>;

    /// Gets a file that came in from Meta. What it is held against: the kind of file it is said to
    /// be, its checksum where Meta gave one, and the largest length.
    async fn fetch(&self, channel: &Channel, media: &Media) -> Result<Fetched, FetchError>;

    /// Tests a channel with Meta: its token, permissions, address and subscription.
    async fn probe(&self, channel: &Channel, app: &MetaApp) -> ProbeReport;

    /// Has Meta send the channel's events to the app's webhook. Harmless when repeated.
    async fn subscribe(&self, channel: &Channel) -> Result<(), DeliveryProblem>;

    /// The templates of the channel's `WhatsApp` business account.
    async fn templates(&self, channel: &Channel) -> Result<Vec<MessageTemplate>, DeliveryProblem>;

    /// A new token for an account that is connected by Instagram Login; its own has to be a day old
    /// and still good.
    async fn refresh_token(&self, channel: &Channel) -> Result<FreshToken, DeliveryProblem>;
}

/// How one try of a send ended, and how much of Meta's limits is used.
#[derive(Clone, PartialEq, Eq)]
pub struct Attempt {
    /// How it ended.
    pub outcome: Result<Sent, SendError>,
    /// What the answer said about limits; nothing where there was none.
    pub usage: Usage,
}

impl From<Result<Sent, SendError>> for Attempt {
    fn from(outcome: Result<Sent, SendError>) -> Self {
        Self { outcome, usage: Usage::default() }
    }
}

/// The channel accepted a message. That is not yet delivered.
#[derive(Clone, PartialEq, Eq)]
pub struct Sent {
    /// Meta's id of it; our message's id where Meta gives none, as for a reaction. Never empty.
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
        /// Why; its class says what would help.
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
    pub const fn problem(&self) -> &DeliveryProblem {
        match self {
            Self::Retryable { problem, .. }
            | Self::Throttled { problem, .. }
            | Self::Permanent { problem }
            | Self::Unknown { problem } => problem,
        }
    }

    /// Why, taken out.
    pub fn into_problem(self) -> DeliveryProblem {
        match self {
            Self::Retryable { problem, .. }
            | Self::Throttled { problem, .. }
            | Self::Permanent { problem }
            | Self::Unknown { problem } => problem,
        }
    }

    /// For a call that does the same however often it is made, or that comes before the send: not
    /// knowing how it ended is no reason not to repeat it.
    pub(crate) fn repeatable(self) -> Self {
        match self {
            Self::Unknown { .. } => {
                let title =
                    "the Graph API did not answer, or not in words that can be read: it is asked again";
                Self::Retryable { after_ms: None, problem: uncoded(ProblemClass::Transient, title) }
            }
            other => other,
        }
    }

    /// A mistake that is found before anything is sent.
    pub(crate) fn refused(title: impl Into<String>) -> Self {
        Self::Permanent { problem: refused(title) }
    }
}

impl From<DeliveryProblem> for SendError {
    fn from(problem: DeliveryProblem) -> Self {
        Self::Permanent { problem }
    }
}

/// A problem that Meta gave no code for.
pub(crate) fn uncoded(class: ProblemClass, title: impl Into<String>) -> DeliveryProblem {
    DeliveryProblem { class, code: 0, title: title.into() }
}

/// What is wrong with a message that no channel would take so.
pub(crate) fn refused(title: impl Into<String>) -> DeliveryProblem {
    uncoded(ProblemClass::Request, title)
}

/// Where the files of messages that go out are taken from: one tenant's content store.
#[async_trait]
pub trait MediaShelf: Send + Sync {
    /// The file of this id.
    async fn open(&self, media: MediaId) -> Result<MediaBytes, ShelfError>;
}

/// A file from the content store.
#[derive(Clone, PartialEq, Eq)]
pub struct MediaBytes {
    /// Its type: `image/png`.
    pub mime: String,
    /// The name under which it is sent.
    pub filename: Option<Pii<String>>,
    /// What is in it.
    pub bytes: Bytes,
}

/// Why a stored file is not to be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ShelfError {
    /// It is not there (any more).
    #[error("the file is not stored any more: add it again")]
    Missing,
    /// The store does not answer for the moment.
    #[error("the content store does not answer: the file is read again later")]
    Unavailable,
}

/// A file that was fetched.
#[derive(Clone, PartialEq, Eq)]
pub struct Fetched {
    /// Its type, without parameters and in lower case: `image/jpeg`.
    pub mime: String,
    /// What is in it.
    pub bytes: Bytes,
    /// The name that its sender gave it. Never a path.
    pub filename: Option<Pii<String>>,
}

/// Why a file was not fetched. Names hosts and types, nothing personal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// Try again.
    #[error("{reason}")]
    Retryable {
        /// Not before this many milliseconds, where somebody said so.
        after_ms: Option<u64>,
        /// Why, in words that can be shown.
        reason: String,
    },
    /// Meta has it no more.
    #[error("{reason}")]
    Gone {
        /// Why, in words that can be shown.
        reason: String,
    },
    /// It is not taken, and trying again changes nothing.
    #[error("{reason}")]
    Refused {
        /// Why, in words that can be shown.
        reason: String,
    },
}

/// What a test of a channel found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProbeReport {
    /// What was looked at, in order.
    pub checks: Vec<Check>,
    /// How the channel is; nothing where Meta could not be asked, so that it stays as it was.
    pub state: Option<ChannelState>,
    /// When the token ends; nothing for one that does not, and where Meta does not say.
    pub token_expires_at: Option<Timestamp>,
    /// The app-scoped id of the person whose token it is.
    pub token_owner: Option<StoredSecret>,
    /// What Meta shows people: the number's verified name, the page's name, the account's.
    pub name: Option<String>,
    /// `WhatsApp`: the number as people dial it, digits only.
    pub number: Option<String>,
    /// `WhatsApp`: the business account, where the token names just one.
    pub account_id: Option<String>,
    /// Instagram Login: the app-scoped id, where it is another than the account's.
    pub user_id: Option<String>,
    /// How many messages a second it may send.
    pub sends_per_s: Option<u32>,
    /// `WhatsApp`: Meta's word for the number's quality: `GREEN`, `YELLOW`, `RED`.
    pub quality: Option<String>,
}

impl ProbeReport {
    /// What is wrong, in words that can be shown.
    pub fn reason(&self) -> Option<String> {
        let failed: Vec<&str> =
            self.checks.iter().filter(|check| !check.ok).map(|check| &*check.detail).collect();
        (!failed.is_empty()).then(|| failed.join("; "))
    }
}

/// One thing that a test looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// Which: `token`, `app`, `permissions`, `number`, `page`, `account` or `subscription`.
    pub name: &'static str,
    /// Whether nothing is wrong with it.
    pub ok: bool,
    /// What was found and, where something is wrong, what to do.
    pub detail: String,
}

/// A new access token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FreshToken {
    /// It.
    pub token: StoredSecret,
    /// How long it lives from now on, milliseconds.
    pub lives_ms: u64,
}
