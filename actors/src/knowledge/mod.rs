//! What assistants look things up in: a tenant's documents are read in the background, by a pool of
//! their own, and held ready to be searched.

mod library;
mod reader;

use bytes::Bytes;

use iassistance_assistant::fingerprint::fingerprint;
use iassistance_assistant::knowledge::Found;
use iassistance_domain::id::{DocumentId, MediaId};
use iassistance_domain::knowledge::{Document, DocumentState};
use iassistance_domain::tenant::TenantCtx;
use iassistance_storage::StorageError;
use iassistance_storage::content::{ContentError, ContentOwner};

pub(crate) use library::Library;

use crate::engine::Engine;

/// The longest title, characters.
pub const TITLE_CHARACTERS_MAX: usize = 200;
/// The types of documents that can be read.
pub const DOCUMENT_TYPES: [&str; 4] = ["text/plain", "text/markdown", "text/html", "application/pdf"];

/// Why knowledge could not be changed or searched.
#[derive(Debug, thiserror::Error)]
pub enum KnowledgeError {
    /// The title says nothing, or too much.
    #[error("a document has a title of 1 to 200 characters")]
    BadTitle,
    /// It is of no type that can be read.
    #[error("a document is text/plain, text/markdown, text/html or application/pdf, not {0}")]
    BadType(String),
    /// It says nothing.
    #[error("the document is empty")]
    Empty,
    /// It is larger than it may be.
    #[error("the document has {bytes} bytes, more than {max} (`document_bytes_max` under [knowledge])")]
    TooLarge {
        /// How large it is.
        bytes: usize,
        /// How large it may be.
        max: usize,
    },
    /// There are as many as there may be.
    #[error("there are {0} documents, the limit (`documents_max` under [knowledge]): remove one first")]
    TooMany(usize),
    /// The same one is there.
    #[error("the same document is there already: {0}")]
    There(DocumentId),
    /// There is no such document.
    #[error("there is no such document")]
    NotFound,
    /// It could not be searched.
    #[error("{0}")]
    Search(String),
    /// The file could not be kept or removed.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// Storage refused.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// A document's file has its id.
pub(crate) const fn file_of(document: DocumentId) -> MediaId {
    MediaId::from_bytes(document.to_bytes())
}

impl Engine {
    /// Takes a document. When this returns it is on stable storage, and is being read: its state says
    /// how far it is.
    pub async fn add_document(
        &self,
        ctx: TenantCtx,
        title: &str,
        mime: &str,
        bytes: Bytes,
    ) -> Result<Document, KnowledgeError> {
        let (title, settings) = (title.trim(), &self.shared.settings.knowledge);
        if title.is_empty() || title.chars().nth(TITLE_CHARACTERS_MAX).is_some() {
            return Err(KnowledgeError::BadTitle);
        }
        let mime = mime.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        if !DOCUMENT_TYPES.contains(&mime.as_str()) {
            return Err(KnowledgeError::BadType(mime.chars().take(100).collect()));
        }
        if bytes.is_empty() {
            return Err(KnowledgeError::Empty);
        }
        let max = settings.document_bytes_max;
        if bytes.len() > max {
            return Err(KnowledgeError::TooLarge { bytes: bytes.len(), max });
        }
        let store = self.shared.parts.store.tenant(ctx).await?;
        let (documents, sha256) = (store.documents().await?, fingerprint(&bytes));
        if let Some(same) = documents.iter().find(|document| document.sha256 == sha256) {
            return Err(KnowledgeError::There(same.id));
        }
        if documents.len() >= settings.documents_max {
            return Err(KnowledgeError::TooMany(documents.len()));
        }
        let parts = &self.shared.parts;
        let now = parts.clock.now();
        let document = Document {
            id: DocumentId::new(now, &*parts.entropy),
            title: title.to_owned(),
            mime,
            bytes: bytes.len() as u64,
            sha256,
            added_at: now,
            state: DocumentState::Indexing,
        };
        let (file, owner) = (file_of(document.id), ContentOwner::Tenant);
        parts.content.put_bytes(ctx.tenant(), owner, file, &document.mime, None, bytes).await?;
        if let Err(error) = store.put_document(document.clone()).await {
            if let Err(error) = parts.content.delete(ctx.tenant(), file).await {
                tracing::warn!(tenant = %ctx.tenant(), %error, "the file of a document that was not taken is left behind");
            }
            return Err(error.into());
        }
        reader::start(&self.shared, ctx.tenant(), document.id);
        Ok(document)
    }

    /// Reads a document again: after its reading failed, or when another model says where texts point.
    pub async fn reindex_document(&self, ctx: TenantCtx, id: DocumentId) -> Result<Document, KnowledgeError> {
        let store = self.shared.parts.store.tenant(ctx).await?;
        let document = store.document(id).await?.ok_or(KnowledgeError::NotFound)?;
        let document = Document { state: DocumentState::Indexing, ..document };
        let _change = self.shared.library.change(ctx.tenant());
        store.put_document(document.clone()).await?;
        reader::start(&self.shared, ctx.tenant(), id);
        Ok(document)
    }

    /// Removes a document with everything that was made of it. Says whether it was there. When it fails
    /// it may be asked for again.
    pub async fn remove_document(&self, ctx: TenantCtx, id: DocumentId) -> Result<bool, KnowledgeError> {
        let store = self.shared.parts.store.tenant(ctx).await?;
        if store.document(id).await?.is_none() {
            return Ok(false);
        }
        let _change = self.shared.library.change(ctx.tenant());
        self.shared.parts.content.delete(ctx.tenant(), file_of(id)).await?;
        Ok(store.remove_document(id).await?)
    }

    /// What an assistant would find.
    pub async fn search_knowledge(
        &self,
        ctx: TenantCtx,
        query: &str,
        limit: usize,
    ) -> Result<Vec<Found>, KnowledgeError> {
        let store = self.shared.parts.store.tenant(ctx).await?;
        let assistant = self.shared.assistant(ctx.tenant(), &*store).await?;
        let library = &self.shared.library;
        match library.open(ctx.tenant(), &store, &assistant.settings).await? {
            Some(knowledge) => knowledge.search(query, limit).await.map_err(KnowledgeError::Search),
            None => Ok(Vec::new()),
        }
    }

    /// Goes on with documents whose reading the end of the process interrupted.
    pub(crate) fn resume_reading(&self) {
        reader::resume(&self.shared);
    }
}
