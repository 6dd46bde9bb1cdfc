//! One life of the server: from opening the folder to its end, good or bad.

use std::collections::BTreeSet;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;

use async_trait::async_trait;
use futures::future::{Either, select};
use iassistance_actors::conversation::{ConversationKey, Snapshot};
use iassistance_actors::{Engine, EngineParts, EngineSettings};
use iassistance_assistant::scripted::Scripted;
use iassistance_assistant::tools::http::{HttpCall, HttpCalled, HttpCaller, HttpProblem};
use iassistance_config::{Settings, Sources};
use iassistance_domain::id::{ConversationId, TenantId};
use iassistance_domain::tenant::TenantCtx;
use iassistance_domain::{ManualClock, SeededEntropy};
use iassistance_hooks::NoHooks;
use iassistance_storage::{ContentStore, Limits, SledOptions, SledStore, StorageError, Store, TenantStore};
use iassistance_vault::{Keyring, RootKey};

use crate::chance::Chance;
use crate::disk::{Ending, SimDisk};
use crate::faulty::{FaultyStore, Hook};
use crate::meta::{Line, World};

const STOP_MS: u64 = 30_000;
const DEDUP_DAYS: u32 = 8;
/// How often in a row nothing may be seen to happen before it is believed.
const STILL_ROUNDS: usize = 4;
/// How often it is seen to be still before what is waited for is taken to wait for time.
const LOOKS: usize = 3;
/// How many turns of the writer an actor has to answer in.
const ANSWER_ROUNDS: usize = 40;

/// Whether a machine is off, which is for ever.
#[derive(Default)]
pub struct Dead(AtomicBool);

impl Dead {
    pub fn die(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    pub fn is_dead(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// Counts what happens, to know when nothing does.
#[derive(Default)]
pub struct Activity {
    events: AtomicU64,
    under_way: AtomicU64,
}

impl Activity {
    pub fn note(&self) {
        self.events.fetch_add(1, Ordering::SeqCst);
    }

    fn hold(self: &Arc<Self>) -> UnderWay {
        self.note();
        self.under_way.fetch_add(1, Ordering::SeqCst);
        UnderWay(Arc::clone(self))
    }

    fn seen(&self) -> (u64, u64) {
        (self.under_way.load(Ordering::SeqCst), self.events.load(Ordering::SeqCst))
    }
}

struct UnderWay(Arc<Activity>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.note();
        self.0.under_way.fetch_sub(1, Ordering::SeqCst);
    }
}

/// What outlives the lives.
pub struct Surroundings {
    pub seed: u64,
    pub clock: ManualClock,
    pub world: Arc<World>,
    pub model: Scripted,
    pub tenants: [TenantId; 2],
    pub settings: Settings,
    /// Each life's keyring and store, in folders of their own.
    pub folder: tempfile::TempDir,
}

pub struct Life {
    pub engine: Engine,
    pub dead: Arc<Dead>,
    pub disk: Arc<SimDisk>,
    /// The store itself, without what counts.
    pub store: Arc<dyn Store>,
    activity: Arc<Activity>,
    path: PathBuf,
    tenants: Vec<Arc<dyn TenantStore>>,
    clock: ManualClock,
    conversations: Mutex<BTreeSet<(TenantId, ConversationId)>>,
}

/// There are no tools here.
struct NoTools;

#[async_trait]
impl HttpCaller for NoTools {
    async fn call(&self, _: HttpCall<'_>) -> HttpCalled {
        HttpCalled { tries: 0, answer: Err(HttpProblem::Refused("no tools here".into())) }
    }
}

/// The settings: limits so low that they are met.
pub fn settings(folder: &Path) -> Settings {
    let flags = vec![
        format!("storage.path={}", folder.join("store").display()),
        format!("vault.keyring_file={}", folder.join("keyring.json").display()),
        format!("vault.root_key_file={}", folder.join("root.key").display()),
        format!("media.folder={}", folder.join("media").display()),
        "storage.cache_bytes=4194304".to_owned(),
        "actors.arbiters=1".to_owned(),
        "actors.sweep_ms=3600000".to_owned(),
        "meta.channel_test_hours=0".to_owned(),
        "model.turns_max=4".to_owned(),
        "model.turns_per_tenant_max=2".to_owned(),
        "model.breaker_failures_max=1000".to_owned(),
        "dispatch.concurrency=3".to_owned(),
        "limits.pair_burst=4".to_owned(),
        "limits.pair_interval_ms=6000".to_owned(),
    ];
    Sources { file: None, flags, environment: Vec::new() }.settings().unwrap()
}

/// Opens a store in `path` with the keys of `around`.
pub fn open(around: &Surroundings, path: &Path, disk: Arc<SimDisk>, life: u64) -> Result<SledStore, String> {
    let entropy = Arc::new(SeededEntropy::new(around.seed.wrapping_mul(1_000).wrapping_add(life)));
    let root = RootKey::from_text(&("7c".repeat(31) + "01")).unwrap();
    let (keyring, path) = (path.join("keyring.json"), path.join("store"));
    let keyring = Keyring::open(&keyring, &root, path.exists(), Arc::clone(&entropy) as _)
        .map_err(|error| format!("the keyring does not open: {error}"))?;
    let options = SledOptions { path, limits: Limits::from(&around.settings.storage), disk, suspect: false };
    SledStore::open(options, Arc::new(keyring), Arc::new(around.clock.clone()), entropy)
        .map_err(|error| format!("the store does not open: {error}"))
}

impl Life {
    /// Opens the folder and takes up what was unfinished.
    pub async fn begin(
        around: &Surroundings,
        path: PathBuf,
        life: u64,
        disk: &Arc<SimDisk>,
        dead: &Arc<Dead>,
    ) -> Result<Self, String> {
        let (disk, dead) = (Arc::clone(disk), Arc::clone(dead));
        let store: Arc<dyn Store> = Arc::new(open(around, &path, Arc::clone(&disk), life)?);
        let failed = |error: &dyn std::fmt::Display| format!("life {life} does not begin: {error}");
        // Opened first: that is done on other threads, and not counted.
        let mut tenants = Vec::new();
        for tenant in around.tenants {
            let opened = store.tenant(TenantCtx::platform(tenant)).await;
            tenants.push(opened.map_err(|error| failed(&error))?);
        }
        let activity = Arc::new(Activity::default());
        let counting = Arc::clone(&activity);
        let hook: Hook = Arc::new(move |_| Ok(Some(Box::new(counting.hold()))));
        let counted: Arc<dyn Store> = Arc::new(FaultyStore { inner: Arc::clone(&store), hook });
        let line = Line::new(Arc::clone(&around.world), around.clock.clone(), &dead, &activity);
        let parts = EngineParts {
            clock: Arc::new(around.clock.clone()),
            entropy: Arc::new(SeededEntropy::new(around.seed.wrapping_add(life << 32))),
            store: Arc::clone(&counted),
            content: ContentStore::memory(1_000_000, Arc::clone(&counted)),
            sender: Arc::new(line),
            generator: Arc::new(around.model.clone()),
            services: Arc::new(around.model.clone()),
            http: Arc::new(NoTools),
            hooks: Arc::new(NoHooks),
        };
        let engine = Engine::start(EngineSettings::from(&around.settings), parts).map_err(|e| failed(&e))?;
        engine.recover(DEDUP_DAYS).await.map_err(|error| failed(&error))?;
        let (clock, conversations) = (around.clock.clone(), Mutex::default());
        Ok(Self { engine, dead, disk, store, activity, path, tenants, clock, conversations })
    }

    pub fn tenant(&self, tenant: usize) -> &Arc<dyn TenantStore> {
        &self.tenants[tenant]
    }

    pub fn is_dead(&self) -> bool {
        self.dead.is_dead()
    }

    /// A conversation whose actor is waited for, too, when it is to be still.
    pub fn know(&self, tenant: TenantId, conversation: ConversationId) {
        self.conversations.lock().unwrap().insert((tenant, conversation));
    }

    /// A turn of the writing thread; whether it is there.
    async fn turn_of_the_writer(&self) -> Result<(), StorageError> {
        for tenant in &self.tenants {
            // The writer may be faster than this thread, and then nobody else here had a turn.
            tokio::task::yield_now().await;
            tenant.append(None, Vec::new()).await?;
        }
        Ok(())
    }

    /// Resolves when nobody has anything to do before the clock moves on, or the machine is off.
    pub async fn still(&self) {
        let (mut rounds, mut before) = (0, (0, 0));
        while rounds < STILL_ROUNDS && !self.is_dead() {
            if self.turn_of_the_writer().await.is_err() {
                return;
            }
            let known: Vec<_> = self.conversations.lock().unwrap().iter().copied().collect();
            for (tenant, conversation) in known {
                let _shown = self.shown(ConversationKey { tenant, conversation }).await;
            }
            let seen = self.activity.seen();
            rounds = if seen == before && seen.0 == 0 { rounds + 1 } else { 0 };
            before = seen;
        }
    }

    /// What an actor shows, by way of its thread. One that waits for time to pass does not answer.
    pub async fn shown(&self, key: ConversationKey) -> Option<Option<Snapshot>> {
        let mut show = pin!(self.engine.show(key));
        for _ in 0..ANSWER_ROUNDS {
            if let Poll::Ready(shown) = futures::poll!(&mut show) {
                return Some(shown);
            }
            if self.turn_of_the_writer().await.is_err() {
                return None;
            }
        }
        None
    }

    /// Carries something out, with time passing if it takes that; nothing if the machine goes off.
    pub async fn carried_out<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        loop {
            for _ in 0..LOOKS {
                let still = pin!(self.still());
                if let Either::Left((done, _)) = select(&mut work, still).await {
                    return (!self.is_dead()).then_some(done);
                }
                if self.is_dead() {
                    return None;
                }
            }
            if let Some(due) = self.clock.next_due() {
                self.clock.advance_to(due);
            }
        }
    }

    /// Ends it well, as a signal does, and leaves what is there in `target`.
    pub async fn stop(self, target: &Path, chance: &Chance) {
        // A send that never ends is cut off at the limit.
        let _stopped = self.carried_out(self.engine.stop(STOP_MS)).await;
        self.store.close().await;
        self.disk.leave(&self.path, target, Ending::Kill, chance);
    }

    /// Ends it badly, and leaves in `target` what is found afterwards.
    pub async fn crash(self, target: &Path, ending: Ending, chance: &Chance) {
        self.dead.die();
        // Nothing becomes lasting any more: what stops now stops as if it were cut off.
        self.store.close().await;
        self.disk.leave(&self.path, target, ending, chance);
        let _aborted = self.engine.stop(0).await;
    }
}
