//! The keeper: erases people, sweeps what is over its period, makes erasures final, and ends tenants; by the
//! clock and when asked.
//!
//! ```text
//! asked ─▶ begun ─▶ list ─▶ conversations stand aside ─▶ files ─▶ records, key last ─▶ erased ─▶ epoch turned ─▶ final
//!                     └── from here on every start carries it out anew, also on a restored store ──┘
//! ```
//!
//! Nothing in it counts that is not in the store or on the list: whatever interrupts it, the next start or the
//! next round goes on.

mod close;
mod copies;
mod erase;
mod explain;
mod export;
mod replay;
mod sweep;

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::Mutex;

use iassistance_actors::Engine;
use iassistance_actors::kernel::{Background, StillRunning};
use iassistance_config::Settings;
use iassistance_domain::audit::{Actor, AuditEntry};
use iassistance_domain::id::{HoldId, TenantId};
use iassistance_domain::privacy::{
    Class, ClassBounds, Finality, HoldProblem, HoldRelease, LegalHold, Retention, RetentionProblem,
    RetentionRules,
};
use iassistance_domain::tenant::TenantCtx;
use iassistance_domain::{Clock, Entropy, Timestamp};
use iassistance_storage::content::{ContentError, ContentStore};
use iassistance_storage::{StorageError, Store};
use iassistance_vault::{BadNote, Keyring, VaultError};

use crate::app::Vaulted;
use crate::erasures::{ErasureError, ErasureList};

pub use copies::KeyCopies;
pub use explain::Explanation;
pub use export::Exported;

const DAY_MS: u64 = 24 * 60 * 60 * 1_000;
/// Five days, for what nobody asked for: no business day more than the law gives, whatever the calendar.
const DUE_MS: u64 = 5 * DAY_MS;
const MINUTE_MS: u64 = 60 * 1_000;
/// How often it is looked whether something is to be done, milliseconds.
const ROUND_MS: u64 = 15 * MINUTE_MS;

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
pub enum KeepingError {
    /// The store refused.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A file of a message could not be removed.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// The list of who was erased could not be used.
    #[error(transparent)]
    List(#[from] ErasureError),
    /// Keys could not be had.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The keyring could not be copied before keys were destroyed.
    #[error("cannot copy the keyring to {}: {reason}; no key was destroyed", path.display())]
    KeyCopy {
        /// Where to.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// There is nobody of that id.
    #[error("there is no such contact, or it was erased before")]
    NoSuchContact,
    /// Their conversations did not stand aside in time.
    #[error("the conversations did not stand aside in time: try again")]
    Busy,
    /// A period is not allowed.
    #[error(transparent)]
    Retention(#[from] RetentionProblem),
    /// A hold does not say what it must.
    #[error(transparent)]
    Hold(#[from] HoldProblem),
    /// There is no such hold.
    #[error("there is no such legal hold, or it was released before")]
    NoSuchHold,
    /// It is no id of anything that is kept.
    #[error("that is no id of anything that is kept: those begin with what they name, as `con_` or `msg_`")]
    NoSuchKind,
    /// It is looked up in a conversation.
    #[error("messages, turns and files are looked up in their conversation: name it (`conversation`)")]
    InWhich,
    /// A hold keeps all of it.
    #[error("the legal hold {0} keeps data of this tenant: release it first")]
    Held(HoldId),
    /// A certificate could not be signed.
    #[error("the certificate could not be signed: {0}")]
    Sign(#[from] BadNote),
    /// An export could not be written.
    #[error("the export could not be written: {0}")]
    Export(String),
}

type Result<T> = std::result::Result<T, KeepingError>;

/// The keeper. Clones are the same.
#[derive(Clone)]
pub struct Keeper(Arc<Inner>);

pub(crate) struct Inner {
    store: Arc<dyn Store>,
    content: ContentStore,
    keyring: Arc<Keyring>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    engine: Option<Engine>,
    list: ErasureList,
    copies: KeyCopies,
    rules: RetentionRules,
    finality: Finality,
    has_backups: bool,
    dedup_days: u64,
    closed_days: u64,
    sweep_ms: u64,
    turn_ms: u64,
    aside_ms: u64,
    /// One erasure of a person is written down, however often it is asked for.
    asking: Mutex<()>,
    /// One thing at a time: two erasures of one person would each count half of it.
    doing: Mutex<()>,
    background: Background,
}

/// The platform's bounds, from the settings.
pub fn rules(settings: &Settings) -> RetentionRules {
    let retention = &settings.retention;
    let bounds = |days: &iassistance_config::ClassDays| ClassBounds {
        floor: days.floor,
        ceiling: days.ceiling,
        default: days.default,
    };
    RetentionRules::new([
        (Class::Contact, bounds(&retention.contact)),
        (Class::Message, bounds(&retention.message)),
        (Class::Execution, bounds(&retention.execution)),
        (Class::Event, bounds(&retention.event)),
        (Class::Webhook, bounds(&retention.webhook)),
        (Class::DeadLetter, bounds(&retention.dead_letter)),
    ])
}

impl Keeper {
    /// Of an open store; with the engine where one runs, so that conversations stand aside.
    pub fn new(vaulted: &Vaulted, engine: Option<&Engine>) -> Self {
        let settings = &vaulted.settings;
        Self(Arc::new(Inner {
            store: Arc::clone(&vaulted.store),
            content: vaulted.content.clone(),
            keyring: Arc::clone(&vaulted.keyring),
            clock: Arc::clone(&vaulted.clock),
            entropy: Arc::clone(&vaulted.entropy),
            engine: engine.cloned(),
            list: ErasureList::beside(&settings.vault.keyring_file),
            copies: KeyCopies::of(&settings.vault),
            rules: rules(settings),
            finality: if settings.vault.root_in_kms { Finality::Kms } else { Finality::Local },
            has_backups: !settings.backup.to.is_empty(),
            dedup_days: u64::from(settings.storage.dedup_days),
            closed_days: u64::from(settings.retention.closed_days),
            sweep_ms: settings.retention.sweep_minutes.saturating_mul(MINUTE_MS),
            turn_ms: settings.retention.keys_turn_minutes.saturating_mul(MINUTE_MS),
            aside_ms: settings.server.shutdown_ms,
            asking: Mutex::new(()),
            doing: Mutex::new(()),
            background: Background::new(),
        }))
    }

    /// Goes on with what is under way, and then looks every quarter of an hour what is to be done.
    pub fn run(&self) {
        let own = self.clone();
        self.0.background.run("keeper.round", async move {
            loop {
                own.round().await;
                own.0.clock.sleep_millis(ROUND_MS).await;
            }
        });
    }

    /// Looks once what is to be done, and does it: erasures that were interrupted or whose hold was released,
    /// periods that are over, keys that are to be turned, tenants that were closed long ago. What fails is told
    /// and tried again in the next round.
    pub async fn round(&self) {
        let tenants = match self.0.store.tenants().await {
            Ok(tenants) => tenants,
            Err(StorageError::Closed) => return,
            Err(error) => {
                tracing::warn!(%error, "what is to be erased could not be looked up; the next round tries again");
                return;
            }
        };
        for tenant in tenants {
            let id = tenant.id;
            let done = async {
                self.go_on_with_erasures(id).await?;
                self.sweep(id).await?;
                self.turn_if_due(id).await?;
                self.destroy_if_due(&tenant).await
            };
            match done.await {
                Ok(()) | Err(KeepingError::Storage(StorageError::Closed)) => {}
                Err(error) => {
                    tracing::warn!(tenant = %id, %error, "what is to be erased was not; the next round tries again");
                }
            }
        }
        self.go_on_with_endings().await;
        self.0.copies.prune(self.now());
    }

    /// Begins nothing more, and waits for what is under way.
    pub async fn stop(&self, limit_ms: u64) -> std::result::Result<(), StillRunning> {
        self.0.background.stop(&*self.0.clock, limit_ms).await
    }

    /// Takes keys from before in again, for a backup from before.
    pub fn readmit_keys(&self) {
        self.0.copies.readmit(&self.0.keyring);
    }

    /// What the platform allows.
    pub fn rules(&self) -> &RetentionRules {
        &self.0.rules
    }

    /// Lays a hold on data of a tenant: it stays until the hold is released. Whoever asks puts it on the audit
    /// log first, as with what follows.
    ///
    /// # Errors
    /// [`KeepingError::Hold`], [`KeepingError::Storage`].
    pub async fn lay_hold(&self, tenant: TenantId, hold: LegalHold) -> Result<LegalHold> {
        hold.check(hold.document.reveal(iassistance_domain::pii::Rights).chars().count())?;
        self.0.store.keeping().put_hold(TenantCtx::platform(tenant), hold.clone()).await?;
        Ok(hold)
    }

    /// Releases a hold, and erases what it kept that somebody had asked to be erased.
    ///
    /// # Errors
    /// [`KeepingError::NoSuchHold`], [`KeepingError::Storage`].
    pub async fn release_hold(&self, tenant: TenantId, id: HoldId, by: Actor) -> Result<LegalHold> {
        let hold = self.end_hold(tenant, id, by).await?;
        self.go_on_with_erasures(tenant).await?;
        Ok(hold)
    }

    /// The same, without waiting for the erasures: these go on by themselves.
    ///
    /// # Errors
    /// As [`Self::release_hold`].
    pub async fn release_hold_soon(&self, tenant: TenantId, id: HoldId, by: Actor) -> Result<LegalHold> {
        let hold = self.end_hold(tenant, id, by).await?;
        let own = self.clone();
        self.0.background.spawn("keeper.released", async move {
            if let Err(error) = own.go_on_with_erasures(tenant).await {
                tracing::warn!(%tenant, %error, "what a hold kept was not erased; the next round tries again");
            }
        });
        Ok(hold)
    }

    async fn end_hold(&self, tenant: TenantId, id: HoldId, by: Actor) -> Result<LegalHold> {
        let (ctx, keeping) = (TenantCtx::platform(tenant), self.0.store.keeping());
        let held = keeping.hold(ctx, id).await?.filter(|hold| hold.released.is_none());
        let mut hold = held.ok_or(KeepingError::NoSuchHold)?;
        hold.released = Some(HoldRelease { at: self.now(), by });
        keeping.put_hold(ctx, hold.clone()).await?;
        Ok(hold)
    }

    /// Chooses periods for a tenant.
    ///
    /// # Errors
    /// [`KeepingError::Retention`], [`KeepingError::Storage`].
    pub async fn choose_periods(&self, tenant: TenantId, chosen: Retention) -> Result<()> {
        self.0.rules.check(&chosen)?;
        Ok(self.0.store.keeping().put_retention(TenantCtx::platform(tenant), chosen).await?)
    }

    async fn holds_in_force(&self, tenant: TenantId) -> Result<Vec<LegalHold>> {
        let mut holds = self.0.store.keeping().holds(TenantCtx::platform(tenant)).await?;
        holds.retain(|hold| hold.released.is_none());
        Ok(holds)
    }

    async fn audit(&self, tenant: TenantId, by: Actor, act: &str, on: &(impl ToString + Sync)) -> Result<()> {
        let entry = AuditEntry::new(self.now(), by, act).on(on).of(tenant);
        self.0.store.trail().append_audit(Some(tenant), entry).await?;
        Ok(())
    }

    fn now(&self) -> Timestamp {
        self.0.clock.now()
    }
}
