//! The notary: vouches for the audit log with signed checkpoints: a while after something came to it, at once
//! after something of weight, and when the server stops.
//!
//! Each is written to a file as well, where one is named, and told to the log: what is kept off this machine
//! cannot be rewritten with it.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::{Mutex, watch};

use iassistance_actors::kernel::{Background, StillRunning};
use iassistance_domain::Clock;
use iassistance_domain::audit::Checkpoint;
use iassistance_domain::id::TenantId;
use iassistance_storage::chain::checkpoint;
use iassistance_storage::{StorageError, Store};
use iassistance_vault::{BadNote, NoteSigner, NoteVerifier};

use crate::app::Vaulted;

/// So many chains wait at most to be vouched for at once; those that find no room wait for the next round.
const URGENT_MAX: usize = 64;

/// The notary of the running server. Clones are the same.
#[derive(Clone)]
pub struct Notary {
    store: Arc<dyn Store>,
    signer: Arc<NoteSigner>,
    clock: Arc<dyn Clock>,
    file: Option<PathBuf>,
    every_ms: u64,
    /// Held while one is made: the file has them in their order.
    making: Arc<Mutex<()>>,
    urgent: Sender<Option<TenantId>>,
    /// Taken by who vouches.
    told: Arc<Mutex<Receiver<Option<TenantId>>>>,
    background: Background,
}

impl Notary {
    /// Of an open store.
    ///
    /// # Errors
    /// [`BadNote::Cipher`]
    pub fn new(vaulted: &Vaulted) -> Result<Self, BadNote> {
        let settings = &vaulted.settings.audit;
        let (urgent, told) = channel(URGENT_MAX);
        let file = Some(settings.checkpoints_file.clone()).filter(|file| !file.as_os_str().is_empty());
        Ok(Self {
            store: Arc::clone(&vaulted.store),
            signer: Arc::new(vaulted.keyring.note_signer()?),
            clock: Arc::clone(&vaulted.clock),
            file,
            every_ms: settings.checkpoint_ms,
            making: Arc::default(),
            urgent,
            told: Arc::new(Mutex::new(told)),
            background: Background::new(),
        })
    }

    /// By which its checkpoints are checked.
    pub fn verifier(&self) -> &NoteVerifier {
        self.signer.verifier()
    }

    /// Vouches from now on: for what is there already at once, then so long after something came.
    pub fn run(&self) {
        let own = self.clone();
        self.background.run("audit.notary", async move {
            let mut audited = own.store.trail().audited();
            let mut told = own.told.lock().await;
            own.vouch_on(&mut audited, &mut told).await;
        });
    }

    async fn vouch_on(&self, audited: &mut watch::Receiver<u64>, told: &mut Receiver<Option<TenantId>>) {
        loop {
            audited.borrow_and_update();
            self.go_round().await;
            // Nothing new, nothing to do.
            let news = async {
                if audited.changed().await.is_ok() {
                    self.clock.sleep_millis(self.every_ms).await;
                } else {
                    std::future::pending::<()>().await;
                }
            };
            let mut news = std::pin::pin!(news);
            loop {
                tokio::select! {
                    () = &mut news => break,
                    Some(chain) = told.recv() => self.try_vouch(chain).await,
                }
            }
        }
    }

    /// Has a chain vouched for as soon as may be, and not a while later.
    pub fn hurry(&self, chain: Option<TenantId>) {
        if self.urgent.try_send(chain).is_err() {
            tracing::debug!(
                chain = name(chain),
                "many chains wait to be vouched for: it is done with the others"
            );
        }
    }

    /// Vouches for every chain that went on.
    async fn go_round(&self) {
        let tenants = match self.store.tenants().await {
            Ok(tenants) => tenants,
            Err(error) => {
                tracing::error!(%error, "the audit log is vouched for later: the tenants could not be read");
                return;
            }
        };
        let chains = std::iter::once(None).chain(tenants.iter().map(|tenant| Some(tenant.id)));
        for chain in chains {
            self.try_vouch(chain).await;
        }
    }

    async fn try_vouch(&self, chain: Option<TenantId>) {
        if let Err(error) = self.vouch(chain).await {
            let chain = name(chain);
            tracing::error!(chain, %error, "the audit log could not be vouched for; the next time covers it");
        }
    }

    /// Vouches for a chain as far as it goes now, if that was not done yet; nothing without entries.
    ///
    /// # Errors
    /// When the store could not be read or written.
    pub async fn vouch(&self, tenant: Option<TenantId>) -> Result<Option<Checkpoint>, StorageError> {
        let _one_at_a_time = self.making.lock().await;
        let trail = self.store.trail();
        let Some((seq, hash)) = trail.audit_head(tenant).await? else { return Ok(None) };
        let last = trail.checkpoints(tenant, None, 1).await?.pop();
        if let Some(last) = last.filter(|last| (last.seq, last.hash) == (seq, hash)) {
            return Ok(Some(last));
        }
        let made = checkpoint(&self.signer, tenant, (seq, hash), self.clock.now());
        // Off this machine first: what is vouched for there cannot be taken back.
        if let Err(error) = self.hand_out(&made).await {
            metrics::counter!("iassistance_checkpoints_unwritten_total").increment(1);
            let file = self.file.as_ref().map(|file| file.display().to_string());
            tracing::error!(file, %error, "a checkpoint could not be written to audit.checkpoints_file");
        }
        trail.put_checkpoint(made.clone()).await?;
        let hash = hex::encode(hash);
        tracing::info!(chain = name(tenant), seq, hash, key = made.key_id, "the audit log was vouched for");
        Ok(Some(made))
    }

    /// Appends it to the file, a line of JSON.
    async fn hand_out(&self, checkpoint: &Checkpoint) -> std::io::Result<()> {
        let Some(path) = &self.file else { return Ok(()) };
        let mut line = serde_json::to_vec(checkpoint)?;
        line.push(b'\n');
        let mut file = tokio::fs::OpenOptions::new().create(true).append(true).open(path).await?;
        file.write_all(&line).await?;
        file.sync_data().await
    }

    /// Vouches for what came since the last time, and ends: nothing is left that nobody vouches for. To be
    /// called when nothing comes any more.
    pub async fn stop(&self, limit_ms: u64) -> Result<(), StillRunning> {
        let stopped = self.background.stop(&*self.clock, limit_ms).await;
        let too_long = self.clock.sleep_millis(limit_ms);
        tokio::select! {
            biased;
            () = self.go_round() => {}
            () = too_long => tracing::warn!("not all of the audit log was vouched for; the next start does it"),
        }
        stopped
    }
}

fn name(chain: Option<TenantId>) -> String {
    chain.map_or_else(|| "platform".to_owned(), |tenant| tenant.to_string())
}
