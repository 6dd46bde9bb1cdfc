//! What the simulator tells of itself.

use serde::Serialize;

use crate::contacts::Contact;
use crate::core::Core;
use crate::model_record::ModelCounters;
use crate::tool_server::ToolCounters;
use crate::webhook::WebhookCounters;
use crate::world::{AcceptedSend, Counters};

/// What happened since the start.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct State {
    /// Messages and statuses.
    #[serde(flatten)]
    pub counters: Counters,
    /// Webhooks.
    pub webhooks: WebhookCounters,
    /// The model.
    pub model: ModelCounters,
    /// The tools.
    pub tools: ToolCounters,
    /// How many contacts there are.
    pub contacts: usize,
    /// How many messages are kept.
    pub messages_kept: usize,
    /// Where webhooks go.
    pub callback_url: Option<String>,
}

/// How often a text was accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TextCount {
    /// The contact's number.
    pub to: String,
    /// The text.
    pub text: String,
    /// How often.
    pub accepted: u64,
}

pub(crate) fn state(core: &Core) -> State {
    let world = core.world();
    State {
        counters: world.counters.clone(),
        contacts: world.contacts.len(),
        messages_kept: world.messages_kept(),
        webhooks: core.webhooks.counters(),
        model: core.model.counters(),
        tools: core.tools.counters(),
        callback_url: core.webhooks.callback(None).map(|callback| callback.as_str().to_owned()),
    }
}

pub(crate) fn contacts(core: &Core) -> Vec<Contact> {
    core.world().contacts.iter().map(|entry| entry.contact.clone()).collect()
}

/// How often each contact got each text, in the order of the first.
pub(crate) fn texts(sends: &[AcceptedSend]) -> Vec<TextCount> {
    let mut places = std::collections::HashMap::new();
    let mut counts: Vec<TextCount> = Vec::new();
    for send in sends {
        let place = *places.entry((&send.to, &send.text)).or_insert(counts.len());
        match counts.get_mut(place) {
            Some(count) => count.accepted += 1,
            None => counts.push(TextCount { to: send.to.clone(), text: send.text.clone(), accepted: 1 }),
        }
    }
    counts
}
