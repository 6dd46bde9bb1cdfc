//! What a turn says while it is being written, for those who watch.

use iassistance_assistant::answer::Progress;
use iassistance_domain::id::{ConversationId, TenantId, TurnId};
use iassistance_domain::tool::ToolOutcome;
use serde::Serialize;

use crate::conversation::ConversationKey;
use crate::hub::Hub;

/// The whispers of one turn.
pub(crate) struct Whispers<'a> {
    hub: &'a Hub,
    key: ConversationKey,
    turn: TurnId,
    /// The text that was whispered so far.
    told: String,
}

#[derive(Serialize)]
struct Wire<'a> {
    tenant: TenantId,
    conversation: ConversationId,
    turn: TurnId,
    #[serde(flatten)]
    what: What<'a>,
}

/// What is whispered.
#[derive(Serialize)]
#[serde(tag = "type")]
enum What<'a> {
    /// More of the text, which goes on at this character; at 0 it begins anew.
    #[serde(rename = "turn.token")]
    Token { at: usize, text: &'a str },
    /// A tool is called, or has answered.
    #[serde(rename = "turn.tool")]
    Tool {
        name: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        round: Option<u32>,
        /// Nothing while it is being called.
        outcome: Option<ToolOutcome>,
    },
}

impl<'a> Whispers<'a> {
    pub(crate) fn new(hub: &'a Hub, key: ConversationKey, turn: TurnId) -> Self {
        Self { hub, key, turn, told: String::new() }
    }

    pub(crate) fn tell(&mut self, progress: &Progress<'_>) {
        match progress {
            Progress::Text(text) => {
                let more = text.strip_prefix(self.told.as_str()).unwrap_or_else(|| {
                    // Another attempt has begun.
                    self.told.clear();
                    text
                });
                if !more.is_empty() {
                    self.whisper(What::Token { at: self.told.chars().count(), text: more });
                    self.told.push_str(more);
                }
            }
            Progress::ToolStarted { name, round } => {
                self.told.clear();
                self.whisper(What::Tool { name, round: Some(*round), outcome: None });
            }
            Progress::ToolEnded { name, outcome } => {
                self.whisper(What::Tool { name, round: None, outcome: Some(*outcome) });
            }
        }
    }

    fn whisper(&self, what: What<'_>) {
        let ConversationKey { tenant, conversation } = self.key;
        let wire = Wire { tenant, conversation, turn: self.turn, what };
        self.hub.whisper(tenant, conversation, || serde_json::to_string(&wire).ok());
    }
}
