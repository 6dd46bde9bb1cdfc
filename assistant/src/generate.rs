//! What a model is asked, and what it says.

use bytes::Bytes;
use futures::stream::BoxStream;
use iassistance_domain::Pii;
use iassistance_domain::channel::StoredSecret;
use iassistance_domain::id::MessageId;
use iassistance_domain::pii::Reply;
use iassistance_domain::turn::Usage;
use serde::Serialize;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::error::GenerateError;
use crate::tools::{ToolCall, ToolSpec};

/// Which server is asked, and for which model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelServer {
    /// Where its API begins, for instance `https://api.openai.com/v1`.
    pub base_url: Url,
    /// The key for it; empty for a server that wants none.
    pub api_key: StoredSecret,
    /// The model, as the server names it.
    pub model: String,
    /// Whether phone numbers, cards and national ids are covered in what it reads.
    pub covers: bool,
}

impl ModelServer {
    /// The same server for another model.
    pub fn with_model(&self, model: &str) -> Self {
        Self { model: model.to_owned(), ..self.clone() }
    }
}

/// Who speaks, in the model's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The platform and the tenant: rules, task, instructions.
    System,
    /// The contact, and what the platform notes about them: nobody who gives orders.
    User,
    /// The business: its assistant, or a person there.
    Assistant,
    /// A tool, with what came of a call.
    Tool,
}

/// A part of a message.
#[derive(Clone, PartialEq, Eq)]
pub enum Part {
    /// Words.
    Text(Pii<String>),
    /// A picture.
    Image {
        /// Its type, such as `image/jpeg`.
        mime: String,
        /// The file.
        bytes: Bytes,
    },
}

/// One message as the model reads it.
#[derive(Clone, PartialEq, Eq)]
pub struct PromptMessage {
    /// Who speaks.
    pub role: Role,
    /// What they say and show.
    pub parts: Vec<Part>,
    /// The tools that the model called with it; only where it speaks itself.
    pub calls: Vec<ToolCall>,
    /// The call that it answers; only where a tool speaks.
    pub answers: Option<String>,
}

impl PromptMessage {
    /// A message of words.
    pub fn text(role: Role, text: impl Into<Pii<String>>) -> Self {
        Self { role, parts: vec![Part::Text(text.into())], calls: Vec::new(), answers: None }
    }

    /// Its words; a message has at most one part of them.
    pub fn words(&self) -> &str {
        let mut texts = self.parts.iter().filter_map(|part| match part {
            Part::Text(text) => Some(text.reveal(Reply).as_str()),
            Part::Image { .. } => None,
        });
        texts.next().unwrap_or_default()
    }

    /// How many pictures it has.
    pub fn images(&self) -> usize {
        self.parts.iter().filter(|part| matches!(part, Part::Image { .. })).count()
    }
}

/// What a model is to read, and how it is to answer.
#[derive(Clone, PartialEq)]
pub struct Prompt {
    /// The messages; the first is the system's.
    pub messages: Vec<PromptMessage>,
    /// The tools that the model is told of.
    pub tools: Vec<ToolSpec>,
    /// How many tokens all of it has, as we count.
    pub tokens: usize,
    /// How many tokens it may have while answers of tools are added to it.
    pub tokens_max: usize,
    /// Where the history begins among the messages.
    pub history_at: usize,
    /// How many of the messages are history.
    pub history_messages: usize,
    /// How many messages of history did not fit.
    pub history_left_out: usize,
    /// How many of the messages are to be answered: the last ones, as long as no tool has spoken.
    pub covered_messages: usize,
    /// The last message that the summary in it covers, where there is one.
    pub summary_until: Option<MessageId>,
    /// How many pictures are in it.
    pub images: usize,
    /// The longest answer, in tokens.
    pub output_tokens_max: u32,
    /// 0.0 to 2.0; nothing leaves it to the model.
    pub temperature: Option<f32>,
    /// What stands for the contact; at most 64 characters.
    pub safety_identifier: String,
}

/// Why a model stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FinishReason {
    /// It had said what it had to say.
    Stop,
    /// It wants tools to be called; they were told before.
    Calls,
    /// The answer had reached its limit.
    Length,
    /// The server withheld the rest.
    Filtered,
    /// Something else.
    Other,
}

/// A piece of an answer. Holds personal data, so it has no `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub enum Chunk {
    /// More of the text; never empty.
    Text(String),
    /// The tools that are to be called: once, whole and after all text.
    Calls(Vec<ToolCall>),
    /// The end.
    Finished {
        /// Why.
        reason: FinishReason,
        /// What was used, if the server says so.
        usage: Option<Usage>,
    },
    /// The end, without an answer; what came before is not to be sent.
    Failed(GenerateError),
}

/// Answers prompts.
pub trait Generator: Send + Sync + 'static {
    /// Asks once. The stream ends with [`Chunk::Finished`] or [`Chunk::Failed`], exactly one of
    /// them; nothing happens before it is polled. Dropping it ends the work on it at once, and so
    /// does `cancel`, with [`GenerateError::Cancelled`].
    fn generate(
        &self,
        server: &ModelServer,
        prompt: &Prompt,
        cancel: CancellationToken,
    ) -> BoxStream<'static, Chunk>;
}
