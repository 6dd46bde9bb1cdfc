//! The reading of documents: text, passages, where they point. In the background and a few at a time, so
//! that it holds up no reply.

use std::sync::Arc;

use iassistance_assistant::documents;
use iassistance_assistant::error::GenerateError;
use iassistance_assistant::generate::ModelServer;
use iassistance_assistant::knowledge::split_into;
use iassistance_domain::Pii;
use iassistance_domain::budget::{Cost, Day};
use iassistance_domain::id::{ContactId, ConversationId, DocumentId, TenantId};
use iassistance_domain::knowledge::{Document, DocumentState, Passage};
use iassistance_storage::{StorageError, TenantStore};

use super::file_of;
use crate::engine::Shared;

/// How many passages are asked about at once.
const EMBED_AT_ONCE: usize = 64;
/// How long the reading waits before it is tried again when the store or the files fail, milliseconds.
const RETRY_MS: u64 = 5_000;
const NOT_READ: &str = "it could not be read just now: have it read again";

/// Begins to read a document; it is done when its state says so.
pub(super) fn start(shared: &Arc<Shared>, tenant: TenantId, document: DocumentId) {
    let (weak, stopping) = (Arc::downgrade(shared), shared.dispatcher.stopping());
    shared.tasks.spawn("knowledge.read", async move {
        let Some(shared) = weak.upgrade() else { return };
        let reading = async {
            let _permit = shared.library.readers.acquire().await;
            Reader { shared: &shared, tenant, document }.run().await;
        };
        // What is not done goes on at the next start.
        let _stopped = stopping.run_until_cancelled(reading).await;
    });
}

/// Begins to read again what the end of the process interrupted.
pub(super) fn resume(shared: &Arc<Shared>) {
    let (weak, stopping) = (Arc::downgrade(shared), shared.dispatcher.stopping());
    shared.tasks.spawn("knowledge.resume", async move {
        let Some(shared) = weak.upgrade() else { return };
        let resuming = async {
            for tenant in shared.parts.store.tenants().await? {
                for document in shared.tenant_store(tenant.id).await?.documents().await? {
                    if document.state == DocumentState::Indexing {
                        start(&shared, tenant.id, document.id);
                    }
                }
            }
            Ok::<_, StorageError>(())
        };
        if let Some(Err(error)) = stopping.run_until_cancelled(resuming).await {
            tracing::warn!(%error, "documents whose reading was interrupted could not be looked up; they go on at the next start");
        }
    });
}

struct Reader<'a> {
    shared: &'a Arc<Shared>,
    tenant: TenantId,
    document: DocumentId,
}

/// Why there is nothing more to be done.
enum Stopped {
    /// The document was removed.
    Gone,
    /// Another try may succeed.
    ForNow(String),
    /// It cannot be read, and this is why.
    Unreadable(String),
}

impl From<StorageError> for Stopped {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::NotFound(_) => Self::Gone,
            StorageError::Full { .. } => Self::Unreadable(error.to_string()),
            error => Self::ForNow(error.to_string()),
        }
    }
}

impl Reader<'_> {
    async fn run(&self) {
        let attempts_max = self.shared.settings.model.attempts_max;
        for attempt in 1.. {
            let state = match self.read().await {
                Ok(state) => state,
                Err(Stopped::Gone) => break,
                Err(Stopped::Unreadable(reason)) => DocumentState::Failed { reason },
                Err(Stopped::ForNow(reason)) => {
                    tracing::warn!(tenant = %self.tenant, document = %self.document, reason, "a document could not be read");
                    if attempt < attempts_max {
                        self.shared.parts.clock.sleep_millis(RETRY_MS).await;
                        continue;
                    }
                    DocumentState::Failed { reason: NOT_READ.to_owned() }
                }
            };
            self.finish(state).await;
            break;
        }
    }

    async fn finish(&self, state: DocumentState) {
        let outcome = if matches!(state, DocumentState::Ready { .. }) { "ready" } else { "failed" };
        metrics::counter!("iassistance_documents_total", "outcome" => outcome).increment(1);
        let _change = self.shared.library.change(self.tenant);
        let finish = async {
            let store = self.store().await?;
            match store.document(self.document).await? {
                Some(document) => store.put_document(Document { state, ..document }).await,
                None => Ok(()),
            }
        };
        match finish.await {
            // Not found: it was removed just now.
            Ok(()) | Err(StorageError::NotFound(_) | StorageError::Closed) => {}
            Err(error) => {
                tracing::warn!(tenant = %self.tenant, document = %self.document, %error, "a document's state could not be written down; it is read again at the next start");
            }
        }
    }

    async fn store(&self) -> Result<Arc<dyn TenantStore>, StorageError> {
        self.shared.tenant_store(self.tenant).await
    }

    async fn read(&self) -> Result<DocumentState, Stopped> {
        let store = self.store().await?;
        let document = store.document(self.document).await?.ok_or(Stopped::Gone)?;
        let texts = self.texts(&document).await?;
        if texts.is_empty() {
            return Err(Stopped::Unreadable("there is no text in it".to_owned()));
        }
        let assistant = self.shared.assistant(self.tenant, &*store).await?;
        let server = self.shared.library.embedding_server(&assistant.settings);
        let embeddings = match &server {
            Some(server) => self.embeddings(&*store, server, &texts).await?,
            None => None,
        };
        let by_meaning = embeddings.is_some();
        let model = server.filter(|_| by_meaning).map(|server| server.model);
        let mut embeddings = embeddings.unwrap_or_default().into_iter();
        let passages: Vec<Passage> = (0..)
            .zip(texts)
            .map(|(place, text)| Passage {
                document: self.document,
                place,
                text,
                embedding: embeddings.next().unwrap_or_default(),
                embedding_model: model.clone(),
            })
            .collect();
        let count = passages.len();
        let _change = self.shared.library.change(self.tenant);
        store.put_passages(self.document, passages).await?;
        Ok(DocumentState::Ready { passages: count, by_meaning })
    }

    /// The document's passages.
    async fn texts(&self, document: &Document) -> Result<Vec<String>, Stopped> {
        let content = &self.shared.parts.content;
        let file = content.get(self.tenant, file_of(document.id)).await;
        let file = file.map_err(|error| Stopped::ForNow(error.to_string()))?;
        let file = file.ok_or_else(|| Stopped::Unreadable("its file is gone: give it again".to_owned()))?;
        let bytes = file.read().await.map_err(|error| Stopped::ForNow(error.to_string()))?;
        let (mime, settings) = (document.mime.clone(), &self.shared.settings.knowledge);
        let (characters_max, passage_tokens) = (settings.characters_max, settings.passage_tokens);
        let read = move || {
            let text = documents::text_of(&mime, &bytes, characters_max)?;
            Ok::<_, documents::Unreadable>(split_into(&text, passage_tokens))
        };
        match tokio::task::spawn_blocking(read).await {
            Ok(Ok(texts)) => Ok(texts),
            Ok(Err(unreadable)) => Err(Stopped::Unreadable(unreadable.to_string())),
            Err(_) => Err(Stopped::Unreadable("it breaks the program that reads it".to_owned())),
        }
    }

    /// Where the passages point; nothing where the server does not say: they are then found by their
    /// words alone.
    async fn embeddings(
        &self,
        store: &dyn TenantStore,
        server: &ModelServer,
        texts: &[String],
    ) -> Result<Option<Vec<Vec<f32>>>, Stopped> {
        let mut all = Vec::with_capacity(texts.len());
        for batch in texts.chunks(EMBED_AT_ONCE) {
            // Who removes a document need not pay for the rest of it.
            store.document(self.document).await?.ok_or(Stopped::Gone)?;
            let Some(vectors) = self.embed(store, server, batch).await else { return Ok(None) };
            all.extend(vectors);
        }
        Ok(Some(all))
    }

    async fn embed(
        &self,
        store: &dyn TenantStore,
        server: &ModelServer,
        batch: &[String],
    ) -> Option<Vec<Vec<f32>>> {
        let platform = &self.shared.settings.model;
        for attempt in 1.. {
            let texts = batch.iter().cloned().map(Pii::new).collect();
            let embedded = tokio::select! {
                embedded = self.shared.parts.services.embed(server, texts) => embedded,
                () = self.shared.parts.clock.sleep_millis(platform.attempt_ms) => {
                    Err(GenerateError::DeadlineAttempt { ms: platform.attempt_ms })
                }
            };
            let error = match embedded {
                Ok(embedded) => {
                    let cost = self.shared.prices.cost(&server.model, embedded.usage).unwrap_or_default();
                    self.spend(store, cost).await;
                    return (embedded.vectors.len() == batch.len()).then_some(embedded.vectors);
                }
                Err(error) if error.is_retryable() && attempt < platform.attempts_max => error,
                Err(error) => {
                    tracing::warn!(tenant = %self.tenant, document = %self.document, %error, "a document can be found by its words alone");
                    return None;
                }
            };
            let pause_ms = (platform.retry_ms << attempt.min(6)).max(error.retry_after_ms().unwrap_or(0));
            self.shared.parts.clock.sleep_millis(pause_ms).await;
        }
        None
    }

    /// Counts it as the tenant's: it was spent on nobody.
    async fn spend(&self, store: &dyn TenantStore, cost: Cost) {
        if cost == Cost::default() {
            return;
        }
        let day = Day::of(self.shared.parts.clock.now());
        let (nowhere, nobody) = (ConversationId::from_bytes([0; 16]), ContactId::from_bytes([0; 16]));
        if let Err(error) = store.spend(nowhere, nobody, day, cost).await {
            tracing::error!(tenant = %self.tenant, %error, "what the reading of a document cost could not be written down");
        }
    }
}
