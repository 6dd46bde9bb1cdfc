//! What is remembered of the requests to the model: counts, the newest chats, and the streams that were cut.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use iassistance_domain::Timestamp;
use serde::Serialize;
use serde_json::Value;

use crate::core::{Core, lock};
use crate::model_script::{ModelScript, ModelSettings};
use crate::moments::Happened;

/// How many chats are remembered, and how many bytes of them.
const CHATS_KEPT_MAX: usize = 1_000;
const CHAT_BYTES_KEPT_MAX: usize = 32 * 1024 * 1024;
/// How many cuts are remembered.
const CUTS_KEPT_MAX: usize = 10_000;

/// What was counted of the model since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct ModelCounters {
    /// Requests for chat completions, refused ones too.
    pub requests: u64,
    /// Requests for embeddings, refused ones too.
    pub embeddings: u64,
    /// Requests for transcriptions, refused ones too.
    pub transcriptions: u64,
    /// Requests for moderation, refused ones too.
    pub moderations: u64,
    /// Requests of any kind that were refused, on purpose or for what they asked.
    pub refused: u64,
    /// Chats that the client let go before the answer was complete.
    pub streams_cut_by_client: u64,
    /// Chats whose answer is on its way now.
    pub streams_open: u64,
    /// The highest number of chats that were on their way at once.
    pub streams_open_max: u64,
    /// Calls of tools in the answers.
    pub tool_calls: u64,
    /// Image parts in the requests.
    pub images: u64,
}

/// A chat completion that was asked for, well-formed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ChatSeen {
    /// Counted from 1, over all well-formed ones.
    pub number: u64,
    /// When.
    pub at: Timestamp,
    /// The model that was asked.
    pub model: String,
    /// What the user said since the assistant's last answer, line by line.
    pub said: String,
    /// The tools that were offered.
    pub tools: Vec<String>,
    /// What tools answered since the assistant's last answer.
    pub results: Vec<String>,
    /// How many image parts there were.
    pub images: usize,
    /// The whole request, without the bytes of images.
    pub body: Value,
}

/// A chat that the client let go before the answer was complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct StreamCut {
    /// The [`ChatSeen::number`] of the chat.
    pub chat: u64,
    /// When, by the simulator's clock.
    pub at: Timestamp,
    /// When, by a clock that nobody moves.
    #[serde(skip)]
    pub instant: Instant,
    /// The same, in microseconds since the simulator was started.
    pub after_us: u64,
    /// How many events of the stream had been sent.
    pub events: usize,
}

/// Which service of the model is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelEndpoint {
    /// Chat completions.
    #[default]
    Chat,
    /// Embeddings.
    Embeddings,
    /// Transcriptions.
    Transcriptions,
    /// Moderation.
    Moderations,
}

#[derive(Default)]
struct Record {
    counters: ModelCounters,
    chats_seen: u64,
    chats: VecDeque<(ChatSeen, usize)>,
    chat_bytes: usize,
    cuts: VecDeque<StreamCut>,
}

/// What the model was told, and what is remembered of it.
pub(crate) struct Model {
    record: Mutex<Record>,
    script: Mutex<Arc<ModelScript>>,
    started: Instant,
}

impl Model {
    pub fn new(settings: &ModelSettings) -> Self {
        let script = Mutex::new(Arc::new(ModelScript::from(settings)));
        Self { record: Mutex::default(), script, started: Instant::now() }
    }

    pub fn script(&self) -> Arc<ModelScript> {
        Arc::clone(&lock(&self.script))
    }

    pub fn change_script(&self, change: impl FnOnce(&mut ModelScript)) {
        change(Arc::make_mut(&mut lock(&self.script)));
    }

    pub fn counters(&self) -> ModelCounters {
        lock(&self.record).counters
    }

    pub fn chats(&self) -> Vec<ChatSeen> {
        lock(&self.record).chats.iter().map(|(chat, _)| chat.clone()).collect()
    }

    pub fn cuts(&self) -> Vec<StreamCut> {
        lock(&self.record).cuts.iter().copied().collect()
    }

    /// Counts a request.
    pub fn asked(&self, endpoint: ModelEndpoint) {
        let counters = &mut lock(&self.record).counters;
        *match endpoint {
            ModelEndpoint::Chat => &mut counters.requests,
            ModelEndpoint::Embeddings => &mut counters.embeddings,
            ModelEndpoint::Transcriptions => &mut counters.transcriptions,
            ModelEndpoint::Moderations => &mut counters.moderations,
        } += 1;
    }

    pub fn refused(&self) {
        lock(&self.record).counters.refused += 1;
    }

    pub fn called_tools(&self, calls: usize) {
        lock(&self.record).counters.tool_calls += calls as u64;
    }

    /// Remembers a chat of so many bytes; its number. The oldest go when there are too many.
    pub fn saw(&self, mut chat: ChatSeen, bytes: usize) -> u64 {
        let record = &mut *lock(&self.record);
        record.chats_seen += 1;
        record.counters.images += chat.images as u64;
        chat.number = record.chats_seen;
        record.chats.push_back((chat, bytes));
        record.chat_bytes += bytes;
        while record.chats.len() > CHATS_KEPT_MAX
            || (record.chat_bytes > CHAT_BYTES_KEPT_MAX && record.chats.len() > 1)
        {
            let Some((_, bytes)) = record.chats.pop_front() else { break };
            record.chat_bytes -= bytes;
        }
        record.chats_seen
    }
}

/// An answer on its way: counted for as long as it lives.
pub(crate) struct OpenStream {
    core: Arc<Core>,
    chat: u64,
}

impl OpenStream {
    pub fn begin(core: &Arc<Core>, chat: u64) -> Self {
        {
            let counters = &mut lock(&core.model.record).counters;
            counters.streams_open += 1;
            counters.streams_open_max = counters.streams_open_max.max(counters.streams_open);
        }
        core.changed();
        Self { core: Arc::clone(core), chat }
    }

    /// The client let it go after so many events.
    pub fn cut(self, events: usize) {
        if self.core.tasks.stop.is_cancelled() {
            return;
        }
        let instant = Instant::now();
        let model = &self.core.model;
        let since = instant.saturating_duration_since(model.started).as_micros();
        let after_us = u64::try_from(since).unwrap_or(u64::MAX);
        let cut = StreamCut { chat: self.chat, at: self.core.clock.now(), instant, after_us, events };
        let record = &mut *lock(&model.record);
        record.counters.streams_cut_by_client += 1;
        record.cuts.push_back(cut);
        if record.cuts.len() > CUTS_KEPT_MAX {
            record.cuts.pop_front();
        }
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        lock(&self.core.model.record).counters.streams_open -= 1;
        self.core.moments.tell(|| Happened::ChatEnded { chat: self.chat });
        self.core.changed();
    }
}
