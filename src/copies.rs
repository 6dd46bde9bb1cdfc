//! Backups of the running server: made by the clock or when asked for; and one tenant restored from them.

use std::path::Path;
use std::sync::Arc;

use iassistance_actors::Engine;
use iassistance_actors::kernel::{Background, StillRunning};
use iassistance_config::BackupSettings;
use iassistance_domain::Clock;
use iassistance_domain::id::TenantId;
use iassistance_storage::backup::{
    BackupError, Backups, Identity, Manifest, Parts, Place, Replaced, Source, Which,
};
use iassistance_storage::{ContentStore, SledStore};
use tokio::sync::oneshot;

use crate::app::Vaulted;
use crate::keeping::Keeper;

const MINUTE_MS: u64 = 60_000;

/// The backups of the running server. Clones are the same.
#[derive(Clone)]
pub struct Copies {
    backups: Backups,
    store: SledStore,
    content: ContentStore,
    settings: BackupSettings,
    engine: Engine,
    keeper: Keeper,
    clock: Arc<dyn Clock>,
    background: Background,
    /// How long conversations may take to stand aside, milliseconds.
    aside_ms: u64,
}

/// One tenant that was restored.
#[derive(Debug, Clone, Copy)]
pub struct TenantRestored {
    /// From which backup.
    pub backup: iassistance_domain::id::BackupId,
    /// The moment whose state it is.
    pub at: iassistance_domain::Timestamp,
    /// What came of it.
    pub replaced: Replaced,
    /// Files of messages that were missing.
    pub media: u64,
}

impl Copies {
    /// The backups that the settings want; nothing where there is no place for them or nothing on disk.
    ///
    /// # Errors
    /// [`BackupError::Settings`], [`BackupError::Folder`].
    pub fn open(vaulted: &Vaulted, engine: &Engine, keeper: &Keeper) -> Result<Option<Self>, BackupError> {
        let settings = &vaulted.settings.backup;
        let store = match &vaulted.sled {
            Some(store) if !settings.to.is_empty() => store.clone(),
            _ => return Ok(None),
        };
        let place = Place::open(&settings.to, settings, &vaulted.egress)?;
        Ok(Some(Self {
            backups: backups(vaulted, place, &store, settings)?,
            store,
            content: vaulted.content.clone(),
            settings: settings.clone(),
            engine: engine.clone(),
            keeper: keeper.clone(),
            clock: Arc::clone(&vaulted.clock),
            background: Background::new(),
            aside_ms: vaulted.settings.server.shutdown_ms,
        }))
    }

    /// Makes backups from now on, every `backup.every_minutes`; none if that is 0.
    pub fn run(&self) {
        let every_ms = self.settings.every_minutes.saturating_mul(MINUTE_MS);
        if every_ms == 0 {
            return;
        }
        let own = self.clone();
        self.background.run("backup.clock", async move {
            loop {
                // Not at once: a server that starts again and again would make nothing but bases.
                own.clock.sleep_millis(every_ms).await;
                own.make().await;
            }
        });
    }

    async fn make(&self) {
        match self.backups.make().await {
            Ok(manifest) => told(&manifest),
            // Somebody asked for one just now.
            Err(BackupError::Busy) => {}
            Err(error) => tracing::error!(%error, "a backup failed; those that are there are as they were"),
        }
    }

    /// Begins to make one, which goes on when nobody waits for it.
    ///
    /// # Errors
    /// [`BackupError::Busy`].
    pub fn begin(&self) -> Result<(), BackupError> {
        if self.backups.is_busy() {
            return Err(BackupError::Busy);
        }
        let own = self.clone();
        // Stopped half-way, nothing of it is listed.
        self.background.run("backup.asked", async move { own.make().await });
        Ok(())
    }

    /// Backups themselves: to list them.
    pub fn backups(&self) -> &Backups {
        &self.backups
    }

    /// Replaces all that a tenant has by what it had in a backup. Its conversations stand aside meanwhile
    /// and go on from there. `identity_file` is on this machine; without it that of the settings is read.
    /// Goes on when nobody waits for it any more.
    ///
    /// # Errors
    /// What is wrong with the backup, the identity or the tenant. Nothing was changed then, unless the
    /// store or a file of a message failed in the end: then it can be repeated.
    pub async fn restore_tenant(
        &self,
        tenant: TenantId,
        which: Which,
        identity_file: Option<&Path>,
    ) -> Result<TenantRestored, BackupError> {
        let file = identity_file.unwrap_or(&self.settings.identity_file);
        if file.as_os_str().is_empty() {
            let text = "name the file of the age identity on the server, or set backup.identity_file";
            return Err(BackupError::Settings(text.to_owned()));
        }
        let identity = Identity::load(file)?;
        let (answer, answered) = oneshot::channel();
        let own = self.clone();
        self.background.spawn("backup.restore", async move {
            let done = own.put_back(tenant, which, &identity).await;
            if let Err(error) = &done {
                tracing::warn!(%tenant, %error, "a tenant was not restored");
            }
            // Whoever asked may have gone.
            drop(answer.send(done));
        });
        answered.await.unwrap_or(Err(BackupError::Busy))
    }

    async fn put_back(
        &self,
        tenant: TenantId,
        which: Which,
        identity: &Identity,
    ) -> Result<TenantRestored, BackupError> {
        let source = Source::new(self.backups.place().clone());
        let chain = source.chain(which, Some(tenant)).await?;
        let mut held = None;
        let ready = async {
            held = self.engine.hold_tenant(tenant, self.aside_ms).await;
            if held.is_some() { Ok(()) } else { Err(BackupError::Running(tenant)) }
        };
        let to = (&self.store, &self.content);
        let size = (tenant, self.settings.tenant_bytes_max);
        self.keeper.readmit_keys();
        let mut done = source.restore_tenant(&chain, identity, to, size, ready).await;
        if done.is_ok()
            && let Err(error) = self.keeper.replay(Some(tenant)).await
        {
            let reason = format!("who was erased could not be erased again ({error}): restore it once more");
            done = Err(BackupError::Settings(reason));
        }
        // They go on, on what is stored now.
        drop(held);
        let (replaced, media) = done?;
        let tip = chain.tip().ok_or_else(|| BackupError::NotFound("it is empty".to_owned()))?;
        tracing::warn!(%tenant, backup = %tip.id, records = replaced.records, "a tenant was restored from a backup");
        Ok(TenantRestored { backup: tip.id, at: tip.at, replaced, media })
    }

    /// Begins nothing more and waits for a restore that is under way.
    pub async fn stop(&self, limit_ms: u64) -> Result<(), StillRunning> {
        self.background.stop(&*self.clock, limit_ms).await
    }
}

/// What makes backups of an open store.
pub fn backups(
    vaulted: &Vaulted,
    place: Place,
    store: &SledStore,
    settings: &BackupSettings,
) -> Result<Backups, BackupError> {
    let parts = Parts {
        store: store.clone(),
        content: vaulted.content.clone(),
        clock: Arc::clone(&vaulted.clock),
        entropy: Arc::clone(&vaulted.entropy),
    };
    Backups::new(parts, place, settings)
}

fn told(manifest: &Manifest) {
    let (id, records, bytes) = (manifest.id, manifest.records(), manifest.bytes());
    tracing::info!(backup = %id, kind = ?manifest.kind, records, bytes, "a backup was made");
}
