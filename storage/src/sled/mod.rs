//! The default store: sled 0.34 with its guards (see the store's section in ARCHITECTURE.md).
//!
//! ```text
//! command ──▶ bounded queue ──▶ writing thread: run ▸ apply ▸ flush ▸ sync ──▶ answer
//! query   ──▶ tree (point reads and a few rows at once, other scans on the blocking pool)
//! ```
//!
//! Each tenant has a tree of its own, named by its id and reached only through a
//! [`TenantStore`]; the tree `platform` has what belongs to none, and the tenants' channels, sealed
//! with their tenants' keys, so that a channel and its address change in one write. A read may see
//! a write some milliseconds before it is durable, except in the event log; every later command is
//! written after it, so nothing that is acknowledged ever depends on what could still be lost.
//!
//! sled never gives the space of a deleted record back by itself while its timer is off: a store
//! that is overwritten heavily wants to be rewritten (backup, restore) now and then.

mod accept;
mod access;
mod answers;
mod assistant;
mod audit;
mod channels;
mod check;
mod contacts;
mod conversation;
mod directory;
pub mod disk;
mod hooks;
mod invitations;
mod keys;
mod knowledge;
mod line;
mod money;
mod open;
mod outbox;
mod people;
mod platform;
mod provider;
mod sessions;
mod space;
mod summary;
mod tenant;
mod tx;
mod writer;

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use ::sled::Db;

use iassistance_domain::channel::MetaApp;
use iassistance_domain::id::{MetaAppId, TenantId};
use iassistance_domain::tenant::Tenant;
use iassistance_domain::{Clock, Entropy};
use iassistance_vault::Keyring;

use crate::Limits;
use crate::error::StorageError;
use crate::limits::REVOCATIONS_MAX;
use directory::Directory;
use disk::{Disk, Files, SystemDisk};
use keys::{META_APP, TENANT};
use people::Revocations;
use space::{KeyCache, PLATFORM, Page, Read, Result, Space, broken, vault_error};
use writer::Writer;

/// How to open a store.
pub struct SledOptions {
    /// Its folder; created if it is not there. One process at a time has it open.
    pub path: PathBuf,
    /// What it may hold.
    pub limits: Limits,
    /// How data is made lasting.
    pub disk: Arc<dyn Disk>,
}

impl SledOptions {
    /// A store in `path` on the machine's own disk.
    pub fn new(path: impl Into<PathBuf>, limits: Limits) -> Self {
        Self { path: path.into(), limits, disk: Arc::new(SystemDisk) }
    }
}

/// A store on sled. Clones are the same store. Its folder is free for another once it is closed and
/// every clone and every tenant's store is dropped.
#[derive(Clone)]
pub struct SledStore(Arc<Core>);

struct Core {
    limits: Limits,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    keyring: Arc<Keyring>,
    writer: Writer,
    platform: Arc<Space>,
    directory: Arc<RwLock<Directory>>,
    /// All that open, as they are stored: one is asked for by every webhook.
    meta_apps: Arc<RwLock<HashMap<MetaAppId, MetaApp>>>,
    /// All tenants' records that open, as they are stored: one is asked for by every request.
    tenant_records: Arc<RwLock<HashMap<TenantId, Tenant>>>,
    revocations: Revocations,
    tenants: RwLock<HashMap<TenantId, Arc<Space>>>,
    opening: tokio::sync::Mutex<()>,
    trees: Arc<RwLock<HashSet<Vec<u8>>>>,
    contact_keys: Arc<KeyCache>,
    db: Db,
    _lock: File,
}

impl SledStore {
    /// Opens the store, or creates it. Blocks while the log is read: seconds for a large one.
    pub fn open(
        options: SledOptions,
        keyring: Arc<Keyring>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self> {
        let SledOptions { path, limits, disk } = options;
        let open::Opened { db, lock } = open::open(&path, limits.cache_bytes, &*disk)?;
        let tree = db.open_tree(PLATFORM).map_err(broken("opening the platform's tree"))?;
        db.flush().map_err(broken("opening the store"))?;
        let files = Files::open(disk, &path).map_err(open::failed("syncing the store that was opened"))?;
        let contact_keys = Arc::new(KeyCache::new(limits.contact_keys_max));
        let platform = Space::open(None, tree, keyring.platform(), Arc::clone(&contact_keys))?;
        let records = platform.rows(TENANT.key().bytes(), Page::First, usize::MAX)?.len();
        let tenant_records = platform.list(&TENANT.key(), Page::First, usize::MAX)?;
        let tenant_records: HashMap<_, _> =
            tenant_records.into_iter().map(|(_, tenant)| (tenant.id, tenant)).collect();
        if records > 0 && tenant_records.is_empty() {
            return Err(crate::error::OpenProblem::WrongKeyring { path, records }.into());
        }
        let directory = channels::load_directory(&platform, &keyring)?;
        let meta_apps = platform.list(&META_APP.key(), Page::First, usize::MAX)?;
        let meta_apps = meta_apps.into_iter().map(|(_, app): (_, MetaApp)| (app.id, app)).collect();
        let trees = db.tree_names().iter().map(|name| name.to_vec()).collect();
        let writer = Writer::start(db.clone(), files, limits.write_queue_max, limits.group_max)?;
        Ok(Self(Arc::new(Core {
            limits,
            clock,
            entropy,
            keyring,
            writer,
            platform: Arc::new(platform),
            directory: Arc::new(RwLock::new(directory)),
            meta_apps: Arc::new(RwLock::new(meta_apps)),
            tenant_records: Arc::new(RwLock::new(tenant_records)),
            revocations: Revocations::new(REVOCATIONS_MAX),
            tenants: RwLock::default(),
            opening: tokio::sync::Mutex::default(),
            trees: Arc::new(RwLock::new(trees)),
            contact_keys,
            db,
            _lock: lock,
        })))
    }
}

impl Core {
    /// A tenant's tree and keys, opened at first use and kept.
    async fn space(self: &Arc<Self>, tenant: TenantId) -> Result<Arc<Space>> {
        self.writer.health()?;
        if let Some(space) = self.opened(tenant) {
            return Ok(space);
        }
        // One at a time: two would count for themselves and give the same numbers away.
        let _turn = self.opening.lock().await;
        if let Some(space) = self.opened(tenant) {
            return Ok(space);
        }
        if !self.platform.has(&keys::tenant(tenant))? {
            return Err(StorageError::NoSuchTenant(tenant));
        }
        let core = Arc::clone(self);
        let space = blocking(move || core.open_space(tenant)).await?;
        self.tenants.write().unwrap_or_else(PoisonError::into_inner).insert(tenant, Arc::clone(&space));
        Ok(space)
    }

    fn directory(&self) -> RwLockReadGuard<'_, Directory> {
        self.directory.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn opened(&self, tenant: TenantId) -> Option<Arc<Space>> {
        self.tenants.read().unwrap_or_else(PoisonError::into_inner).get(&tenant).cloned()
    }

    fn open_space(&self, tenant: TenantId) -> Result<Arc<Space>> {
        let vault = self.keyring.tenant(tenant).map_err(vault_error)?;
        let name = tenant.to_bytes();
        // Opening a tree that is not there would create it, beside the writer and unsynced.
        if !self.trees.read().unwrap_or_else(PoisonError::into_inner).contains(&name[..]) {
            return Err(StorageError::Damaged { kind: "tenant's tree" });
        }
        let tree = self.db.open_tree(name).map_err(broken("opening a tenant's tree"))?;
        Space::open(Some(tenant), tree, vault, Arc::clone(&self.contact_keys)).map(Arc::new)
    }
}

/// Runs what may block on the pool for that.
async fn blocking<R: Send + 'static>(read: impl FnOnce() -> Result<R> + Send + 'static) -> Result<R> {
    tokio::task::spawn_blocking(read).await.unwrap_or_else(|_| {
        Err(StorageError::Disk {
            doing: "reading",
            reason: "the reading task panicked or was stopped".to_owned(),
        })
    })
}
