//! The composition root: opens the keys and the store, puts the rooms together, and closes them in
//! good order.

use std::path::Path;
use std::sync::Arc;

use iassistance_actors::kernel::{StillRunning, SystemClock};
use iassistance_actors::{Engine, EngineParts, EngineSettings};
use iassistance_assistant::generate::Generator;
use iassistance_assistant::openai::{ModelTimeouts, OpenAi};
use iassistance_assistant::services::Services;
use iassistance_assistant::tools::http::{HttpCaller, HttpTools};
use iassistance_channels::{GraphSender, GraphSettings, Sender};
use iassistance_config::{Backend, Secret, Settings};
use iassistance_domain::{Clock, Entropy};
use iassistance_egress::{Egress, EgressError, EgressSettings};
use iassistance_hooks::{HookCaller, HttpHooks};
use iassistance_storage::backup::BackupError;
use iassistance_storage::content::{ContentError, ContentStore};
use iassistance_storage::sled::disk::{Disk, SystemDisk};
use iassistance_storage::{Limits, MemoryStore, SledOptions, SledStore, StorageError, Store};
use iassistance_vault::{BadNote, Keyring, RootKey, SystemEntropy, VaultError};

use crate::access_log::AccessLog;
use crate::copies::Copies;
use crate::identity::{Identity, IdentityError};
use crate::incidents::Incidents;
use crate::keeping::{Keeper, KeepingError, KeyCopies};
use crate::notary::Notary;
use crate::orders::Orders;
use crate::rights::{LawError, Registrar};

/// How long a connection to a destination may take to come about, milliseconds.
const CONNECT_MS: u64 = 5_000;

/// Why the application could not be put together.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// Keys could not be had.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The store could not be opened.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The files of messages cannot be kept.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// The way out could not be made.
    #[error(transparent)]
    Egress(#[from] EgressError),
    /// The engine could not be started.
    #[error(transparent)]
    Engine(#[from] iassistance_actors::engine::EngineError),
    /// Nobody could sign in.
    #[error("nobody could sign in: {0}")]
    Identity(#[from] IdentityError),
    /// The audit log cannot be vouched for.
    #[error("the audit log cannot be vouched for: {0}")]
    Notary(#[from] BadNote),
    /// Backups cannot be made.
    #[error("backups cannot be made: {0}")]
    Backup(#[from] BackupError),
    /// Who was erased could not be erased again.
    #[error("who was erased could not be erased again, and nothing is served before that: {0}")]
    Keeping(#[from] KeepingError),
    /// The laws cannot be kept to.
    #[error(transparent)]
    Law(#[from] LawError),
    /// A folder could not be made.
    #[error("cannot create {path}: {source}")]
    Folder {
        /// The folder.
        path: std::path::PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The keyring is there and the root key is not.
    #[error(
        "there is a keyring at {keyring} but no root key: neither IASSISTANCE_ROOT_KEY is set nor is there a file \
         {root}. A new key would open nothing; put the old one back"
    )]
    RootKeyMissing {
        /// The keyring.
        keyring: std::path::PathBuf,
        /// Where the root key was looked for.
        root: std::path::PathBuf,
    },
}

/// Puts something around the store.
pub type WrapStore = Box<dyn FnOnce(Arc<dyn Store>) -> Arc<dyn Store>>;

/// The parts that are exchanged in tests and benches; the rest comes of the settings.
#[derive(Default)]
pub struct AppParts {
    /// Time; the machine's if not given.
    pub clock: Option<Arc<dyn Clock>>,
    /// Chance; the operating system's if not given.
    pub entropy: Option<Arc<dyn Entropy>>,
    /// The model; an OpenAI-compatible server if not given.
    pub generator: Option<Arc<dyn Generator>>,
    /// What the model's server does besides chatting; the same server if not given.
    pub services: Option<Arc<dyn Services>>,
    /// The way to the tools that tenants name; the guarded one if not given.
    pub http: Option<Arc<dyn HttpCaller>>,
    /// The way to the receivers of webhooks; the guarded one if not given.
    pub hooks: Option<Arc<dyn HookCaller>>,
    /// Wraps the store, to make it fail on purpose.
    pub wrap_store: Option<WrapStore>,
    /// The disk beneath the store; the machine's if not given.
    pub disk: Option<Arc<dyn Disk>>,
    /// The disk failed under the store: everything is written anew before anything is served.
    pub suspect: bool,
}

/// Keys and store, without anything running: what the administrative commands need.
pub struct Vaulted {
    /// The settings.
    pub settings: Arc<Settings>,
    /// The keys.
    pub keyring: Arc<Keyring>,
    /// The store.
    pub store: Arc<dyn Store>,
    /// The same where it is on disk, for backups.
    pub sled: Option<SledStore>,
    /// The files of messages.
    pub content: ContentStore,
    /// The way out.
    pub egress: Egress,
    /// The channels at its end.
    pub sender: Arc<dyn Sender>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub entropy: Arc<dyn Entropy>,
    /// Where a root key was created, if it was.
    pub root_key_created: Option<std::path::PathBuf>,
}

/// The running application.
#[derive(Clone)]
pub struct App {
    /// The settings.
    pub settings: Arc<Settings>,
    /// The keys.
    pub keyring: Arc<Keyring>,
    /// The store.
    pub store: Arc<dyn Store>,
    /// The actors.
    pub engine: Engine,
    /// The way out.
    pub egress: Egress,
    /// Backups, where they are made.
    pub copies: Option<Copies>,
    /// Erases, sweeps and ends tenants.
    pub keeper: Keeper,
    /// Serves what people ask about their own data.
    pub registrar: Registrar,
    /// Vouches for the audit log.
    pub notary: Notary,
    /// Keeps a record of each request.
    pub access: AccessLog,
    /// What signing in needs.
    pub identity: Arc<Identity>,
    /// Looks after incidents.
    pub incidents: Incidents,
    /// Answers orders of authorities.
    pub orders: Orders,
}

impl Vaulted {
    /// Opens the keyring and the store, and creates both where there is neither.
    pub fn open(
        settings: Settings,
        root_key: Option<&Secret>,
        parts: &mut AppParts,
    ) -> Result<Self, AppError> {
        let clock = parts.clock.take().unwrap_or_else(|| Arc::new(SystemClock));
        let entropy = parts.entropy.take().unwrap_or_else(|| Arc::new(SystemEntropy));
        let memory = settings.storage.backend == Backend::Memory;
        for file in [&settings.vault.keyring_file, &settings.vault.root_key_file] {
            if let Some(folder) = file.parent().filter(|folder| !folder.as_os_str().is_empty()) {
                create_folder(folder)?;
            }
        }
        let (root, root_key_created) = root_key_of(&settings, root_key, &*entropy)?;
        let store_exists = !memory && settings.storage.path.exists();
        let keyring = Keyring::open(&settings.vault.keyring_file, &root, store_exists, Arc::clone(&entropy))?;
        let keyring = Arc::new(keyring);
        if store_exists && iassistance_storage::sled::was_restored(&settings.storage.path) {
            KeyCopies::of(&settings.vault).readmit(&keyring);
        }
        let limits = Limits::from(&settings.storage);
        let (for_clock, for_entropy) = (Arc::clone(&clock), Arc::clone(&entropy));
        let (store, sled): (Arc<dyn Store>, _) = if memory {
            (Arc::new(MemoryStore::new(limits, for_clock, for_entropy)), None)
        } else {
            let disk = parts.disk.take().unwrap_or_else(|| Arc::new(SystemDisk));
            let path = settings.storage.path.clone();
            let options = SledOptions { path, limits, disk, suspect: parts.suspect };
            let sled = SledStore::open(options, Arc::clone(&keyring), for_clock, for_entropy)?;
            (Arc::new(sled.clone()), Some(sled))
        };
        let store = match parts.wrap_store.take() {
            Some(wrap) => wrap(store),
            None => store,
        };
        let (egress, sender) = way_out(&settings)?;
        let content = if memory {
            ContentStore::memory(settings.media.file_bytes_max, Arc::clone(&store))
        } else {
            ContentStore::open(&settings.media, &egress, Arc::clone(&store))?
        };
        let settings = Arc::new(settings);
        Ok(Self { settings, keyring, store, sled, content, egress, sender, clock, entropy, root_key_created })
    }
}

impl App {
    /// Puts everything together and takes up what was unfinished. Needs an actix system on this
    /// thread.
    pub async fn start(vaulted: &Vaulted, parts: AppParts) -> Result<Self, AppError> {
        let Vaulted { settings, keyring, store, egress, .. } = vaulted;
        // Before anything is woken, and long before the port opens: what a backup brought back.
        Keeper::new(vaulted, None).replay(None).await?;
        if let Some(sled) = &vaulted.sled
            && let Some(held) = sled.settle_restored().await?
        {
            tracing::warn!(
                held,
                "the store was restored: messages that waited to be sent may have left since, and are reconciled"
            );
        }
        let engine = engine(vaulted, parts)?;
        let keeper = Keeper::new(vaulted, Some(&engine));
        let copies = Copies::open(vaulted, &engine, &keeper)?;
        let identity = Identity::start(settings, keyring, store, egress, &vaulted.clock, &vaulted.entropy)?;
        let identity = Arc::new(identity);
        let registrar = Registrar::new(vaulted, &keeper, Some(&engine), Some(&identity))?;
        let notary = Notary::new(vaulted)?;
        let access = AccessLog::start(Arc::clone(store), Arc::clone(&vaulted.clock), &settings.access);
        let tenants = engine.recover(settings.storage.dedup_days).await?;
        tracing::info!(tenants, "the engine runs");
        if let Some(copies) = &copies {
            copies.run();
        }
        notary.run();
        keeper.run();
        registrar.run();
        let (clock, entropy) = (&vaulted.clock, &vaulted.entropy);
        let incidents = Incidents::new(store, clock, entropy, &settings.privacy);
        incidents.run(&identity);
        Ok(Self {
            settings: Arc::clone(settings),
            keyring: Arc::clone(keyring),
            store: Arc::clone(store),
            engine,
            egress: egress.clone(),
            copies,
            keeper,
            registrar,
            notary,
            access,
            identity,
            incidents,
            orders: Orders::new(store, clock, entropy),
        })
    }

    /// Stops the actors and closes the store. Work that is not finished goes on at the next start.
    ///
    /// # Errors
    /// [`StillRunning`]
    pub async fn stop(&self) -> Result<(), StillRunning> {
        // A stop begins with a drain, which may take the rest of the time.
        self.stop_within((self.settings.server.shutdown_ms / 4).max(1)).await
    }

    /// The same, where each part has so long to end, milliseconds; what takes longer is aborted.
    ///
    /// # Errors
    /// [`StillRunning`]
    pub async fn stop_within(&self, limit_ms: u64) -> Result<(), StillRunning> {
        // Whole, so that a part that is new is not forgotten.
        let Self {
            store,
            engine,
            copies,
            keeper,
            registrar,
            notary,
            access,
            identity,
            incidents,
            settings: _,
            keyring: _,
            egress: _,
            orders: _,
        } = self;
        let copied = match copies {
            Some(copies) => copies.stop(limit_ms).await,
            None => Ok(()),
        };
        let (erased, served) = futures::join!(keeper.stop(limit_ms), registrar.stop(limit_ms));
        let reminded = incidents.stop(limit_ms).await;
        let delivered = identity.stop(limit_ms).await;
        let (stopped, kept) = futures::join!(engine.stop(limit_ms), access.stop(limit_ms));
        // Nothing comes to the audit log any more.
        let vouched = notary.stop(limit_ms).await;
        store.close().await;
        stopped.and(copied).and(erased).and(served).and(reminded).and(delivered).and(vouched).and(kept)
    }
}

/// The engine, with nothing woken: it reads documents and rehearses, and answers nobody. Needs an actix
/// system on this thread.
pub fn engine(vaulted: &Vaulted, parts: AppParts) -> Result<Engine, AppError> {
    let Vaulted { settings, store, content, egress, sender, clock, entropy, .. } = vaulted;
    let model = &settings.model;
    let timeouts = ModelTimeouts { first_token_ms: model.first_token_ms, attempt_ms: model.attempt_ms };
    let server = Arc::new(OpenAi::new(egress.clone(), timeouts, Arc::clone(clock)));
    let hooks = &settings.hooks;
    let receivers = egress.with_hooks(&hooks.private_hosts)?;
    let parts = EngineParts {
        clock: Arc::clone(clock),
        entropy: Arc::clone(entropy),
        store: Arc::clone(store),
        content: content.clone(),
        sender: Arc::clone(sender),
        generator: parts.generator.unwrap_or_else(|| Arc::clone(&server) as Arc<dyn Generator>),
        services: parts.services.unwrap_or(server),
        http: parts.http.unwrap_or_else(|| {
            let at_once = settings.tools.concurrency;
            Arc::new(HttpTools::new(egress.clone(), at_once, Arc::clone(clock), Arc::clone(entropy)))
        }),
        hooks: parts.hooks.unwrap_or_else(|| {
            let (timeout_ms, bytes_max) = (hooks.timeout_ms, hooks.answer_bytes_max);
            Arc::new(HttpHooks::new(receivers, Arc::clone(clock), timeout_ms, bytes_max))
        }),
    };
    Ok(Engine::start(EngineSettings::from(&**settings), parts)?)
}

/// The way out of the process, and the channels at its end.
pub fn way_out(settings: &Settings) -> Result<(Egress, Arc<dyn Sender>), EgressError> {
    let (meta, media) = (&settings.meta, &settings.media);
    let egress = Egress::new(&EgressSettings {
        graph: meta.graph_base_url.clone(),
        instagram: meta.instagram_base_url.clone(),
        media_domains: meta.media_domains.clone(),
        model: settings.model.base_url.clone(),
        model_hosts: settings.model.hosts.clone(),
        tool_private_hosts: settings.tools.private_hosts.clone(),
        connect_timeout_ms: CONNECT_MS,
        // Above the deadlines of those who call, which say more precisely what took too long.
        read_timeout_ms: settings.model.attempt_ms.max(meta.send_timeout_ms).max(media.fetch_timeout_ms),
    })?;
    let sender = GraphSender::new(
        egress.clone(),
        GraphSettings {
            graph: meta.graph_base_url.clone(),
            instagram: meta.instagram_base_url.clone(),
            version: meta.graph_version.clone(),
            timeout_ms: meta.send_timeout_ms,
            media_timeout_ms: media.fetch_timeout_ms,
            file_bytes_max: media.file_bytes_max,
        },
    );
    Ok((egress, Arc::new(sender)))
}

fn create_folder(path: &Path) -> Result<(), AppError> {
    std::fs::create_dir_all(path).map_err(|source| AppError::Folder { path: path.to_path_buf(), source })
}

/// The root key from the environment, or from its file, which is created at the first start.
fn root_key_of(
    settings: &Settings,
    from_environment: Option<&Secret>,
    entropy: &dyn Entropy,
) -> Result<(RootKey, Option<std::path::PathBuf>), AppError> {
    if let Some(text) = from_environment {
        return Ok((RootKey::from_text(text.expose())?, None));
    }
    let (file, keyring) = (&settings.vault.root_key_file, &settings.vault.keyring_file);
    if keyring.exists() && !file.exists() {
        return Err(AppError::RootKeyMissing { keyring: keyring.clone(), root: file.clone() });
    }
    let (root, created) = RootKey::load_or_create_file(file, entropy)?;
    Ok((root, created.then(|| file.clone())))
}
