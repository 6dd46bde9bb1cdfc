//! Knowledge: what a tenant gives its assistant to look things up in.

use serde::{Deserialize, Serialize};

use crate::Mapped;
use crate::Timestamp;
use crate::id::DocumentId;

/// How far a document is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[data(part)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum DocumentState {
    /// It is being read.
    Indexing,
    /// It can be found.
    Ready {
        /// In how many passages.
        #[data(setting)]
        passages: usize,
        /// Whether it can be found by meaning too, or by its words alone.
        #[data(setting)]
        by_meaning: bool,
    },
    /// It could not be read.
    Failed {
        /// Why, and what would do.
        #[data(setting)]
        reason: String,
    },
}

/// A document that the assistant may look things up in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[data(part)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Document {
    /// Its identifier.
    #[cfg_attr(feature = "schema", schema(value_type = String))]
    #[data(id)]
    pub id: DocumentId,
    /// What people call it.
    #[data(setting)]
    pub title: String,
    /// Its type: `text/plain`, `text/markdown`, `text/html` or `application/pdf`.
    #[data(setting)]
    pub mime: String,
    /// Its size, bytes.
    #[data(setting)]
    pub bytes: u64,
    /// SHA-256 of it, in hexadecimal.
    #[data(setting)]
    pub sha256: String,
    /// When it was given.
    #[cfg_attr(feature = "schema", schema(value_type = i64))]
    #[data(operational)]
    pub added_at: Timestamp,
    /// How far it is.
    #[serde(flatten)]
    #[data(parts)]
    pub state: DocumentState,
}

/// A piece of a document that can be found on its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Mapped)]
#[data(part)]
pub struct Passage {
    /// The document.
    #[data(id)]
    pub document: DocumentId,
    /// Its place in the document, from 0.
    #[data(setting)]
    pub place: u32,
    /// What it says.
    #[data(setting)]
    pub text: String,
    /// Where it points by its meaning; nothing where no server gives meanings.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[data(setting)]
    pub embedding: Vec<f32>,
    /// The model that gave it; embeddings of different models cannot be compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[data(setting)]
    pub embedding_model: Option<String>,
}

/// A passage that an answer was made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[data(part)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Citation {
    /// The document.
    #[cfg_attr(feature = "schema", schema(value_type = String))]
    #[data(id)]
    pub document: DocumentId,
    /// Its title then.
    #[data(operational)]
    pub title: String,
    /// The passage's place in it, from 0.
    #[data(operational)]
    pub place: u32,
}
