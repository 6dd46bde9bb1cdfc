//! How far a message that goes out has got.

use serde::{Deserialize, Serialize};

use crate::Mapped;
use crate::Timestamp;

/// The stages of delivery, in the order in which they outrank each other. A status only moves
/// forward, so reports may arrive late, twice and in any order. A report that the message was
/// delivered or read is stronger evidence than one that it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Mapped)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum DeliveryStatus {
    /// Committed to the outbox.
    Queued,
    /// Handed over, and no answer came: it may or may not have left.
    Unknown,
    /// The channel accepted it.
    Sent,
    /// It never left: control changed hands before, or its window closed.
    Withdrawn,
    /// The channel refused it, or gave it up.
    Failed,
    /// It reached the person's device.
    Delivered,
    /// The person opened it.
    Read,
}

/// What kind of trouble an error of a channel is, by what helps against it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, Mapped)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ProblemClass {
    /// Meta's side is down for a moment: try again.
    Transient,
    /// May be a moment's trouble or a bad request: try again a few times only.
    TransientBounded,
    /// The Meta app calls too often: all its calls wait.
    ThrottleApp,
    /// The business account calls too often: all its calls wait.
    ThrottleAccount,
    /// The number or page sends too fast.
    ThrottleSender,
    /// Too many messages to this one contact.
    ThrottlePair,
    /// The token or a permission is missing or over: no send works until a person mends it.
    Auth,
    /// The time for free answers is over; only the contact, or a template, opens it again.
    Window,
    /// This contact cannot be reached.
    Recipient,
    /// Another app has the conversation.
    ThreadControl,
    /// The account, number or page is blocked or not set up: a person must act.
    AccountBlock,
    /// The contact refuses advertising.
    OptOut,
    /// Meta chose not to deliver this one.
    Drop,
    /// The request itself is wrong: repeating it changes nothing.
    #[default]
    Request,
}

impl ProblemClass {
    /// Its name in metrics and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Transient => "transient",
            Self::TransientBounded => "transient_bounded",
            Self::ThrottleApp => "throttle_app",
            Self::ThrottleAccount => "throttle_account",
            Self::ThrottleSender => "throttle_sender",
            Self::ThrottlePair => "throttle_pair",
            Self::Auth => "auth",
            Self::Window => "window",
            Self::Recipient => "recipient",
            Self::ThreadControl => "thread_control",
            Self::AccountBlock => "account_block",
            Self::OptOut => "opt_out",
            Self::Drop => "drop",
            Self::Request => "request",
        }
    }
}

/// Why the channel refused or gave up a message, without anything personal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[data(part)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct DeliveryProblem {
    /// What kind of trouble it is.
    #[serde(default)]
    #[data(operational)]
    pub class: ProblemClass,
    /// Meta's error code, or 0 where there was none.
    #[data(operational)]
    pub code: i64,
    /// In words that can be shown: what it means and what to do.
    #[data(operational)]
    pub title: String,
}

/// What a message costs, as the channel says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[data(part)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Pricing {
    /// Whether it is charged.
    #[data(operational)]
    pub billable: bool,
    /// How it is charged: `PMP` is per message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[data(operational)]
    pub model: Option<String>,
    /// For what: `marketing`, `utility`, `authentication`, `service` and so on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[data(operational)]
    pub category: Option<String>,
    /// In which way: `regular`, `free_customer_service`, `free_entry_point`.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    #[data(operational)]
    pub kind: Option<String>,
}

/// How far a message got, and since when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[data(part)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Delivery {
    /// The stage.
    #[data(operational)]
    pub status: DeliveryStatus,
    /// When it was reached, as the channel says.
    #[data(operational)]
    pub at: Timestamp,
    /// What went wrong, where something did.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[data(parts)]
    pub problem: Option<DeliveryProblem>,
    /// What it costs, where the channel said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[data(parts)]
    pub pricing: Option<Pricing>,
}

impl Delivery {
    /// At this stage since `at`.
    pub const fn new(status: DeliveryStatus, at: Timestamp) -> Self {
        Self { status, at, problem: None, pricing: None }
    }

    /// Waiting in the outbox since `at`.
    pub const fn queued(at: Timestamp) -> Self {
        Self::new(DeliveryStatus::Queued, at)
    }

    /// Takes a report into account; says whether it moved anything.
    pub fn advance(&mut self, report: &Self) -> bool {
        let moves = report.status > self.status;
        if moves {
            let pricing = report.pricing.clone().or_else(|| self.pricing.take());
            *self = Self { pricing, ..report.clone() };
        }
        moves
    }
}
