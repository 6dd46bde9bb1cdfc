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
//! sled never gives the space of a deleted record back by itself: when the files have become much larger
//! than what is alive in them, the store is rewritten beside the traffic (`rewrite`).

mod accept;
mod access;
mod answers;
mod assistant;
mod audit;
mod changes;
mod channels;
mod check;
mod closing;
mod contacts;
mod conversation;
mod copy;
mod datamap;
mod destroying;
mod directory;
pub mod disk;
mod epoch;
mod erasing;
mod files;
mod generation;
mod hooks;
mod invitations;
mod keeping;
mod keys;
mod knowledge;
mod leaving;
mod line;
mod live;
mod mend;
pub(crate) mod moment;
mod money;
mod open;
mod outbox;
mod people;
mod platform;
mod provider;
mod quarantine;
pub(crate) mod replace;
mod rewrite;
mod rights;
mod room;
mod sessions;
mod space;
mod summary;
mod sweeping;
mod tenant;
mod tx;
mod upgrade;
mod verify;
mod writer;

use std::collections::{HashMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use tokio::sync::watch;

use iassistance_domain::channel::MetaApp;
use iassistance_domain::id::{MetaAppId, TenantId};
use iassistance_domain::tenant::Tenant;
use iassistance_domain::{Clock, Entropy};
use iassistance_vault::Keyring;

use crate::Limits;
use crate::error::{OpenProblem, StorageError};
use crate::limits::REVOCATIONS_MAX;
use changes::Changes;
use closing::Closings;
use directory::Directory;
use disk::{Disk, SystemDisk};
use generation::Home;
use keys::{META_APP, TENANT};
use line::LineLimits;
use live::Live;
use people::{KeyHomes, Revocations, load_key_homes, load_tenants};
use quarantine::watch_over;
use rewrite::Rewriter;
use room::Room;
use space::{AllLetters, KeyCache, PLATFORM, Page, Read, Result, Space, vault_error};
use writer::{Health, Writer};

pub use replace::was_restored;
pub use rewrite::Rewritten;

pub(crate) use changes::Taken;
pub(crate) use datamap::data_map;

/// How to open a store.
pub struct SledOptions {
    /// Its folder; created if it is not there. One process at a time has it open.
    pub path: PathBuf,
    /// What it may hold.
    pub limits: Limits,
    /// How data is made lasting.
    pub disk: Arc<dyn Disk>,
    /// A disk failed under it: what its files say may be in memory only, so everything is written anew
    /// before anything is served. (Where it could be noted in the folder, that is done anyway.)
    pub suspect: bool,
}

impl SledOptions {
    /// A store in `path` on the machine's own disk.
    pub fn new(path: impl Into<PathBuf>, limits: Limits) -> Self {
        Self { path: path.into(), limits, disk: Arc::new(SystemDisk), suspect: false }
    }
}

/// A store on sled. Clones are the same store. Its folder is free for another once it is closed, or
/// every clone and every tenant's store is dropped; reads that are under way are waited for.
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
    /// Whose the API keys are that open: another's is refused before it is read.
    key_homes: KeyHomes,
    revocations: Revocations,
    audited: watch::Sender<u64>,
    tenants: RwLock<HashMap<TenantId, Arc<Space>>>,
    opening: tokio::sync::Mutex<()>,
    trees: Arc<RwLock<HashSet<Vec<u8>>>>,
    contact_keys: Arc<KeyCache>,
    closings: Closings,
    live: Arc<Live>,
    room: Arc<Room>,
    rewriter: Arc<Rewriter>,
    home: Home,
    all_letters: AllLetters,
    changes: Arc<Changes>,
}

impl SledStore {
    /// Opens the store, or creates it. Blocks while the log is read: seconds for a large one.
    pub fn open(
        options: SledOptions,
        keyring: Arc<Keyring>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self> {
        let path = options.path.clone();
        // The database panics on some kinds of damage to its file.
        let opened = catch_unwind(AssertUnwindSafe(|| Self::open_files(options, keyring, clock, entropy)));
        opened.unwrap_or_else(|_| {
            let reason = "the database panicked".to_owned();
            Err(OpenProblem::Corrupt { path, reason }.into())
        })
    }

    fn open_files(
        options: SledOptions,
        keyring: Arc<Keyring>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self> {
        let SledOptions { path, limits, disk, suspect } = options;
        let home = Home { folder: path, disk };
        let live = Arc::new(Live::new(open::open(&home, limits.cache_bytes, suspect)?));
        let closings = Closings::open(home.clone());
        let contact_keys = Arc::new(KeyCache::new(limits.contact_keys_max));
        let all_letters = AllLetters::default();
        let platform = live.space(PLATFORM.as_bytes(), |tree| {
            let (keys, letters) = (Arc::clone(&contact_keys), Arc::clone(&all_letters));
            Space::open(None, tree, keyring.platform(), keys, letters)
        })?;
        let records = platform.rows(TENANT.key().bytes(), Page::First, usize::MAX)?.len();
        let tenant_records = load_tenants(&platform)?;
        if records > 0 && tenant_records.is_empty() {
            return Err(OpenProblem::WrongKeyring { path: home.folder, records }.into());
        }
        if closings.end_is_lost(&platform)? {
            tracing::error!(
                "the end of the database's log is lost: what was acknowledged last is not there; restore a backup, or \
                 have `iassistance doctor --repair` go on without it"
            );
        }
        let directory = channels::load_directory(&platform, &keyring)?;
        let meta_apps = platform.list(&META_APP.key(), Page::First, usize::MAX)?;
        let meta_apps = meta_apps.into_iter().map(|(_, app): (_, MetaApp)| (app.id, app)).collect();
        let key_homes = load_key_homes(&platform)?;
        let trees = copy::trees_of(&live.database()?.0).iter().map(|name| name.to_vec()).collect();
        let health = Arc::new(Health::new(home.clone()));
        let floor = limits.free_bytes_min;
        let room =
            Arc::new(Room::new(Arc::clone(&home.disk), Arc::clone(&clock), home.folder.clone(), floor));
        let rewriter = Arc::new(Rewriter::start(rewrite::Parts {
            live: Arc::clone(&live),
            home: home.clone(),
            health: Arc::clone(&health),
            room: Arc::clone(&room),
            limits: limits.clone(),
        })?);
        let changes = Arc::new(Changes::default());
        let parts = writer::Parts {
            live: Arc::clone(&live),
            home: home.clone(),
            health,
            room: Arc::clone(&room),
            rewriter: Arc::clone(&rewriter),
            changes: Arc::clone(&changes),
        };
        let line = LineLimits {
            length_max: limits.write_queue_max,
            share_max: limits.write_queue_per_tenant_max,
            group_max: limits.group_max,
        };
        let writer = Writer::start(parts, line)?;
        watch_over(&platform, writer.by_the_way(), &clock, &entropy);
        Ok(Self(Arc::new(Core {
            limits,
            clock,
            entropy,
            keyring,
            writer,
            platform,
            directory: Arc::new(RwLock::new(directory)),
            meta_apps: Arc::new(RwLock::new(meta_apps)),
            tenant_records: Arc::new(RwLock::new(tenant_records)),
            key_homes: Arc::new(RwLock::new(key_homes)),
            revocations: Revocations::new(REVOCATIONS_MAX),
            audited: watch::Sender::new(0),
            tenants: RwLock::default(),
            opening: tokio::sync::Mutex::default(),
            trees: Arc::new(RwLock::new(trees)),
            contact_keys,
            closings,
            live,
            room,
            rewriter,
            home,
            all_letters,
            changes,
        })))
    }

    /// Rewrites the files at once, as it happens by itself when they have become too large. The store is
    /// read and written meanwhile.
    pub async fn rewrite(&self) -> Result<Rewritten> {
        self.0.writer.health()?;
        self.0.rewriter.rewrite().await
    }

    /// The folder whose database is in use just now.
    pub fn database_folder(&self) -> Result<PathBuf> {
        let (_, number) = self.0.live.database()?;
        Ok(self.0.home.generation(number))
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
        let space = self.live.space(&name, |tree| {
            let (keys, letters) = (Arc::clone(&self.contact_keys), Arc::clone(&self.all_letters));
            Space::open(Some(tenant), tree, vault, keys, letters)
        })?;
        watch_over(&space, self.writer.by_the_way(), &self.clock, &self.entropy);
        Ok(space)
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
