//! What a model is asked, and what it says.

use futures::stream::BoxStream;
use iassistance_domain::channel::StoredSecret;
use iassistance_domain::turn::Usage;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::error::GenerateError;
use crate::prompt::Prompt;

/// Which server is asked, and for which model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelServer {
    /// Where its API begins, for instance `https://api.openai.com/v1`.
    pub base_url: Url,
    /// The key for it; empty for a server that wants none.
    pub api_key: StoredSecret,
    /// The model, as the server names it.
    pub model: String,
}

/// Why a model stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FinishReason {
    /// It had said what it had to say.
    Stop,
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
        prompt: Prompt,
        cancel: CancellationToken,
    ) -> BoxStream<'static, Chunk>;
}
