//! How far a message that goes out has got.

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// The stages of delivery, in the order in which they outrank each other. A status only moves
/// forward, so reports may arrive late, twice and in any order. A report that the message was
/// delivered or read is stronger evidence than one that it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
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

/// Why the channel refused or gave up a message, without anything personal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryProblem {
    /// Meta's error code, or 0 where there was none.
    pub code: i64,
    /// In words that can be shown: what it means and what to do.
    pub title: String,
}

/// How far a message got, and since when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// The stage.
    pub status: DeliveryStatus,
    /// When it was reached, as the channel says.
    pub at: Timestamp,
    /// What went wrong, where something did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<DeliveryProblem>,
}

impl Delivery {
    /// Waiting in the outbox since `at`.
    pub const fn queued(at: Timestamp) -> Self {
        Self { status: DeliveryStatus::Queued, at, problem: None }
    }

    /// Takes a report into account; says whether it moved anything.
    pub fn advance(&mut self, report: &Self) -> bool {
        let moves = report.status > self.status;
        if moves {
            self.clone_from(report);
        }
        moves
    }
}
