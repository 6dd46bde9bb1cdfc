//! Who wants no messages: what is kept of it when everything else of them is gone.

use serde::{Deserialize, Serialize};

use crate::Mapped;
use crate::Timestamp;
use crate::conversation::Conversation;

/// That somebody who was erased had asked for silence, or refused advertising. It stands under a keyed hash of
/// their address, says nothing else of them, and is taken up by the conversation that they may have again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[data(purpose = "rights", basis = "obligation", keep = "proof")]
pub struct Suppression {
    /// When they were erased.
    #[data(operational)]
    pub at: Timestamp,
    /// Whether they had asked for silence, and written nothing since.
    #[data(operational)]
    pub silence: bool,
    /// Until when they had refused advertising, if they had.
    #[data(operational)]
    pub no_marketing_until: Option<Timestamp>,
}

impl Suppression {
    /// What is to be kept of a conversation that goes; nothing where they had refused nothing.
    pub fn of(conversation: &Conversation, now: Timestamp) -> Option<Self> {
        let refused = conversation.marketing_refused_until().filter(|until| *until > now);
        let silence = conversation.opted_out();
        (silence || refused.is_some()).then_some(Self { at: now, silence, no_marketing_until: refused })
    }

    /// What is known of one person from several places.
    pub fn together(known: impl IntoIterator<Item = Self>) -> Option<Self> {
        known.into_iter().reduce(|one, other| Self {
            at: one.at.max(other.at),
            silence: one.silence || other.silence,
            no_marketing_until: one.no_marketing_until.max(other.no_marketing_until),
        })
    }
}
