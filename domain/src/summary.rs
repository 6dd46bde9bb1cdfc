//! What a conversation was about, where it is too long to be read whole.

use serde::{Deserialize, Serialize};

use crate::Mapped;
use crate::id::MessageId;
use crate::{Pii, Timestamp};

/// The summary of everything up to a message. What it was made of may be taken back: it goes with it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[data(part)]
pub struct Summary {
    /// What was said, in a few sentences.
    #[data(content)]
    pub text: Pii<String>,
    /// The last message that it covers.
    #[data(id)]
    pub until: MessageId,
    /// How many messages it covers.
    #[data(operational)]
    pub messages: usize,
    /// The model that wrote it.
    #[data(technical)]
    pub model: String,
    /// When: the moment at which the messages that it is made of were read. It is not kept if one of
    /// them was taken back after that.
    #[data(operational)]
    pub made_at: Timestamp,
}
