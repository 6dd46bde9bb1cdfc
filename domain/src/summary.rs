//! What a conversation was about, where it is too long to be read whole.

use serde::{Deserialize, Serialize};

use crate::id::MessageId;
use crate::{Pii, Timestamp};

/// The summary of everything up to a message. What it was made of may be taken back: it goes with it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// What was said, in a few sentences.
    pub text: Pii<String>,
    /// The last message that it covers.
    pub until: MessageId,
    /// How many messages it covers.
    pub messages: usize,
    /// The model that wrote it.
    pub model: String,
    /// When: the moment at which the messages that it is made of were read. It is not kept if one of
    /// them was taken back after that.
    pub made_at: Timestamp,
}
