//! What a model server does besides chatting: embeddings, transcription, moderation.

use async_trait::async_trait;
use bytes::Bytes;
use iassistance_domain::Pii;
use iassistance_domain::turn::Usage;

use crate::error::GenerateError;
use crate::generate::ModelServer;

/// Where texts point by their meaning.
#[derive(Clone, PartialEq)]
pub struct Embedded {
    /// One for each text, in order; all of one length.
    pub vectors: Vec<Vec<f32>>,
    /// What was used.
    pub usage: Usage,
}

/// Something spoken.
#[derive(Clone)]
pub struct Audio {
    /// Its type, such as `audio/ogg`.
    pub mime: String,
    /// The file.
    pub bytes: Bytes,
}

/// What moderation says of texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Whether it objects.
    pub objects: bool,
    /// To what: the server's own categories.
    pub categories: Vec<String>,
}

/// What a model server does besides chatting (OpenAI: API reference, embeddings, audio, moderations).
/// The server's `model` names the model of the service, not that of the chat.
#[async_trait]
pub trait Services: Send + Sync + 'static {
    /// Where each of these texts points.
    async fn embed(&self, server: &ModelServer, texts: Vec<Pii<String>>) -> Result<Embedded, GenerateError>;
    /// What is said in a recording.
    async fn transcribe(&self, server: &ModelServer, audio: Audio) -> Result<Pii<String>, GenerateError>;
    /// Whether anything in these texts is objectionable.
    async fn moderate(&self, server: &ModelServer, texts: Vec<Pii<String>>)
    -> Result<Verdict, GenerateError>;
}
