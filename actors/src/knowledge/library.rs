//! The documents of tenants in memory, ready to be searched.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use async_trait::async_trait;
use dashmap::DashMap;
use tokio::sync::{Mutex, Semaphore};

use iassistance_assistant::generate::ModelServer;
use iassistance_assistant::knowledge::{Found, Index, Knowledge};
use iassistance_assistant::services::Services;
use iassistance_domain::assistant::AssistantSettings;
use iassistance_domain::id::TenantId;
use iassistance_domain::knowledge::DocumentState;
use iassistance_domain::{Clock, Pii};
use iassistance_storage::{StorageError, TenantStore};

use crate::settings::{EngineParts, EngineSettings};

/// How long a search waits to be told where a question points, milliseconds; after that the words alone
/// are searched for.
const MEANING_MS: u64 = 5_000;
/// How much memory all of them may take together, bytes; one alone may take more.
const BYTES_MAX: usize = 1 << 30;

/// All tenants' documents: those that were looked into last are in memory.
pub(crate) struct Library {
    settings: EngineSettings,
    services: Arc<dyn Services>,
    clock: Arc<dyn Clock>,
    shelves: DashMap<TenantId, Arc<Shelf>>,
    /// How many changes of a tenant's documents are being written: what is looked into meanwhile is not
    /// kept.
    changing: Arc<DashMap<TenantId, usize>>,
    uses: AtomicU64,
    /// How many documents are read at once.
    pub(super) readers: Semaphore,
}

/// One tenant's documents as they were when the shelf was put up: after a change there is another one.
#[derive(Default)]
struct Shelf {
    used: AtomicU64,
    /// Whether there is anything that can be found.
    holds_any: Mutex<Option<bool>>,
    index: Mutex<Option<Arc<Index>>>,
    bytes: AtomicUsize,
}

impl Library {
    pub(crate) fn new(settings: &EngineSettings, parts: &EngineParts) -> Self {
        Self {
            services: Arc::clone(&parts.services),
            clock: Arc::clone(&parts.clock),
            shelves: DashMap::new(),
            changing: Arc::default(),
            uses: AtomicU64::new(0),
            readers: Semaphore::new(settings.knowledge.concurrency.max(1)),
            settings: settings.clone(),
        }
    }

    /// Begins a change of a tenant's documents: whoever searches after it is written finds what it says.
    pub(crate) fn change(self: &Arc<Self>, tenant: TenantId) -> Change {
        *self.changing.entry(tenant).or_default() += 1;
        Change { library: Arc::clone(self), tenant }
    }

    /// Where an assistant looks things up; nothing where there is nothing to be found, or where it is
    /// not to look.
    pub(crate) async fn open(
        self: &Arc<Self>,
        tenant: TenantId,
        store: &Arc<dyn TenantStore>,
        assistant: &AssistantSettings,
    ) -> Result<Option<Arc<dyn Knowledge>>, StorageError> {
        self.open_by(Arc::clone(&self.services), tenant, store, assistant).await
    }

    /// The same, with a way of one's own to the server that says where a question points.
    pub(crate) async fn open_by(
        self: &Arc<Self>,
        services: Arc<dyn Services>,
        tenant: TenantId,
        store: &Arc<dyn TenantStore>,
        assistant: &AssistantSettings,
    ) -> Result<Option<Arc<dyn Knowledge>>, StorageError> {
        let shelf = self.shelf(tenant);
        let mut holds_any = shelf.holds_any.lock().await;
        let any = match *holds_any {
            Some(any) => any,
            None => {
                let documents = store.documents().await?;
                let is_ready = |state: &DocumentState| matches!(state, DocumentState::Ready { .. });
                documents.iter().any(|document| is_ready(&document.state))
            }
        };
        *holds_any = Some(any);
        drop(holds_any);
        if !any {
            return Ok(None);
        }
        Ok(Some(Arc::new(Opened {
            library: Arc::clone(self),
            services,
            tenant,
            shelf,
            store: Arc::clone(store),
            server: self.embedding_server(assistant),
        })))
    }

    /// The server that says where texts point by their meaning, if there is one.
    pub(super) fn embedding_server(&self, assistant: &AssistantSettings) -> Option<ModelServer> {
        self.settings.service_server(assistant, &self.settings.model.embedding_model)
    }

    fn shelf(&self, tenant: TenantId) -> Arc<Shelf> {
        if self.changing.contains_key(&tenant) {
            return Arc::default();
        }
        let shelf = Arc::clone(&self.shelves.entry(tenant).or_default());
        shelf.used.store(self.uses.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        self.make_room();
        shelf
    }

    /// Puts away those that were looked into longest ago, where there are too many.
    fn make_room(&self) {
        loop {
            let bytes: usize = self.shelves.iter().map(|shelf| shelf.bytes.load(Ordering::Relaxed)).sum();
            let count = self.shelves.len();
            if count <= 1 || (count <= self.settings.knowledge.indexes_max.max(1) && bytes <= BYTES_MAX) {
                return;
            }
            let oldest = self.shelves.iter().min_by_key(|shelf| shelf.used.load(Ordering::Relaxed));
            let Some(oldest) = oldest.map(|shelf| *shelf.key()) else { return };
            self.shelves.remove(&oldest);
        }
    }
}

/// A change of a tenant's documents, until this is dropped.
pub(crate) struct Change {
    library: Arc<Library>,
    tenant: TenantId,
}

impl Drop for Change {
    fn drop(&mut self) {
        // What was kept before is gone before anything is kept again.
        self.library.shelves.remove(&self.tenant);
        let ended = |_: &TenantId, changes: &mut usize| {
            *changes -= 1;
            *changes == 0
        };
        self.library.changing.remove_if_mut(&self.tenant, ended);
    }
}

/// One tenant's documents, for a turn.
struct Opened {
    library: Arc<Library>,
    services: Arc<dyn Services>,
    tenant: TenantId,
    shelf: Arc<Shelf>,
    store: Arc<dyn TenantStore>,
    server: Option<ModelServer>,
}

impl Opened {
    /// The index, which is made where it is not there yet: by one, while the others wait.
    async fn index(&self) -> Result<Arc<Index>, StorageError> {
        let mut index = self.shelf.index.lock().await;
        if let Some(index) = &*index {
            return Ok(Arc::clone(index));
        }
        let documents = self.store.documents().await?;
        let passages = self.store.passages().await?;
        let model = self.server.as_ref().map(|server| server.model.clone());
        let build = move || Index::new(&documents, passages, model.as_deref());
        let built = tokio::task::spawn_blocking(build).await.map_err(|_| StorageError::Closed)?;
        self.shelf.bytes.store(built.bytes(), Ordering::Relaxed);
        self.library.make_room();
        Ok(Arc::clone(index.insert(Arc::new(built))))
    }

    /// Where the question points; nothing where nobody says so in time.
    async fn meaning(&self, index: &Index, query: &str) -> Option<Vec<f32>> {
        let server = self.server.as_ref().filter(|_| index.by_meaning())?;
        let embed = self.services.embed(server, vec![Pii::new(query.to_owned())]);
        let embedded = tokio::select! {
            embedded = embed => embedded,
            () = self.library.clock.sleep_millis(MEANING_MS) => return None,
        };
        match embedded {
            Ok(mut embedded) => embedded.vectors.pop(),
            Err(error) => {
                tracing::warn!(tenant = %self.tenant, %error, "a question is looked up by its words alone");
                None
            }
        }
    }
}

#[async_trait]
impl Knowledge for Opened {
    async fn search(&self, query: &str, limit: usize) -> Result<Vec<Found>, String> {
        let limit = limit.min(self.library.settings.knowledge.found_max);
        let index = self.index().await.map_err(|error| {
            tracing::warn!(tenant = %self.tenant, %error, "the documents could not be read");
            "the documents cannot be read just now".to_owned()
        })?;
        let meaning = self.meaning(&index, query).await;
        let query = query.to_owned();
        let search = move || index.search(&query, meaning.as_deref(), limit);
        tokio::task::spawn_blocking(search).await.map_err(|_| "the search failed".to_owned())
    }
}
