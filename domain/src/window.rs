//! When a channel lets a business write.
//!
//! Meta: Cloud API, "Customer service windows"; Messenger Platform, "Policy" (24 hours, after a click
//! on an ad up to 7 days, with `HUMAN_AGENT` 7 days for what a person wrote).

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::channel::ChannelKind;

const HOUR_MS: u64 = 60 * 60 * 1_000;

/// How long after what a contact does a channel lets a business write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowPolicy {
    /// After a message or another act of theirs, milliseconds.
    pub free_ms: u64,
    /// After they came through an ad, milliseconds.
    pub ad_ms: u64,
    /// After a message of theirs, for what a person wrote and only that, milliseconds.
    pub human_ms: u64,
    /// After a public comment, for one private answer, milliseconds; 0 where there is none.
    pub comment_ms: u64,
}

impl WindowPolicy {
    /// What Meta's documents say for a product.
    pub const fn of(kind: ChannelKind) -> Self {
        match kind {
            ChannelKind::Whatsapp => {
                Self { free_ms: 24 * HOUR_MS, ad_ms: 24 * HOUR_MS, human_ms: 24 * HOUR_MS, comment_ms: 0 }
            }
            ChannelKind::Messenger | ChannelKind::Instagram => Self {
                free_ms: 24 * HOUR_MS,
                ad_ms: 7 * 24 * HOUR_MS,
                human_ms: 7 * 24 * HOUR_MS,
                comment_ms: 7 * 24 * HOUR_MS,
            },
        }
    }
}

impl Default for WindowPolicy {
    fn default() -> Self {
        Self::of(ChannelKind::Whatsapp)
    }
}

/// Until when a business may write to a contact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Window {
    /// Until when anything may leave.
    pub free_until: Timestamp,
    /// Until when a person's words may leave; never before `free_until`.
    pub human_until: Timestamp,
}

impl Window {
    /// Until when this may leave: what a person wrote, or what the assistant did.
    pub const fn until(&self, by_person: bool) -> Timestamp {
        if by_person { self.human_until } else { self.free_until }
    }
}

/// What an act of a contact opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Opening {
    /// Nothing: it is old, or no act towards the business.
    Nothing,
    /// The ordinary window.
    Ordinary,
    /// The longer window of an ad.
    Ad,
}
