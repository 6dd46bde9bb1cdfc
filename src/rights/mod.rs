//! The registrar: takes up what people ask about their own data, has who asks proven, does what was asked, tells who
//! got the data, and warns while the law's time passes.
//!
//! ```text
//! page ─▶ intake ─┐                    ┌─▶ corrected, restricted, erased ─▶ recipients told
//! staff ──────────┼─▶ received ─▶ verified ─▶ answered
//! noticed ────────┘       └─ refused, withdrawn, lapsed
//! ```
//!
//! What a case may go through decides [`RightsCase::take`]; all changes of cases come through here, one at a time.

mod act;
mod bundle;
mod page;
mod prove;
mod readable;
mod recipients;
mod round;
mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, PoisonError};

use tokio::sync::{Mutex, Notify};

use iassistance_actors::Engine;
use iassistance_actors::conversation::CommandError;
use iassistance_actors::kernel::{Background, StillRunning};
use iassistance_config::{LAW, RightsSettings};
use iassistance_domain::audit::{Actor, AuditEntry};
use iassistance_domain::event::{EventKind, EventSeq};
use iassistance_domain::id::{CaseId, ContactId, TenantId};
use iassistance_domain::privacy::law::{Law, LawProblem};
use iassistance_domain::privacy::rights::{
    Amendment, AmendmentProblem, CaseProblem, CaseState, Mark, Opened, RightKind, RightsCase,
};
use iassistance_domain::tenant::TenantCtx;
use iassistance_domain::{Clock, Entropy, Timestamp};
use iassistance_storage::content::{ContentError, ContentStore};
use iassistance_storage::rights::CaseCommit;
use iassistance_storage::{StorageError, Store};
use iassistance_vault::Keyring;

use crate::app::Vaulted;
use crate::identity::Identity;
use crate::keeping::{Keeper, KeepingError};

pub use act::Act;
pub use bundle::Bundle;
pub use page::{Asking, Door, Entered};
pub use readable::{Shown, readable};
pub use recipients::Recipient;
pub use words::ground;

const MINUTE_MS: u64 = 60 * 1_000;
const DAY_MS: u64 = 24 * 60 * MINUTE_MS;
/// Cases that are read at once.
const PAGE: usize = 200;

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
pub enum RightsError {
    /// The store refused.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A file could not be read.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// It could not be erased.
    #[error(transparent)]
    Keeping(#[from] KeepingError),
    /// The case does not allow it.
    #[error(transparent)]
    Case(#[from] CaseProblem),
    /// What is known of the contact cannot be changed so.
    #[error(transparent)]
    Amendment(#[from] AmendmentProblem),
    /// There is no such case.
    #[error("there is no such case")]
    NoSuchCase,
    /// There is nobody of that id.
    #[error("there is no such contact, or it was erased before")]
    NoSuchContact,
    /// Only a running server can.
    #[error("this needs the running server: send it by REST, or run it there")]
    Offline,
    /// The channel did not take it.
    #[error("the channel does not let it leave: {0}")]
    NotSent(CommandError),
    /// Too many codes.
    #[error("as many codes as may be were sent to them in a day: check a document, or wait")]
    Codes,
    /// No law gives more time.
    #[error("no law that is in force lets the time be made longer")]
    NoExtension,
    /// Nobody of that name is to be told.
    #[error("nobody of that name waits to be told: {0}")]
    NoSuchRecipient(String),
    /// A note says nothing, or too much.
    #[error("say how, in 1 to {max} characters")]
    Note {
        /// How many at most.
        max: usize,
    },
    /// What there is could not be written.
    #[error("what is held could not be written: {0}")]
    Write(String),
}

type Result<T> = std::result::Result<T, RightsError>;

/// Why the laws cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LawError {
    /// The file cannot be read.
    #[error("rights.law_file: cannot read {path}: {reason}")]
    Unreadable {
        /// The file.
        path: String,
        /// What the system says.
        reason: String,
    },
    /// It is no law.
    #[error("rights.law_file: {0}")]
    NotLaw(String),
    /// It cannot be kept to.
    #[error("rights.law: {0}")]
    Problem(#[from] LawProblem),
}

/// The laws that the settings name.
///
/// # Errors
/// [`LawError`]
pub fn law(settings: &RightsSettings) -> std::result::Result<Law, LawError> {
    let own = |path: &Path| {
        std::fs::read_to_string(path).map_err(|error| LawError::Unreadable {
            path: path.display().to_string(),
            reason: error.to_string(),
        })
    };
    let text =
        if settings.law_file.as_os_str().is_empty() { LAW.to_owned() } else { own(&settings.law_file)? };
    let law: Law = toml::from_str(&text).map_err(|error| LawError::NotLaw(error.to_string()))?;
    law.check(&settings.law)?;
    Ok(law)
}

/// The registrar. Clones are the same.
#[derive(Clone)]
pub struct Registrar(Arc<Inner>);

struct Inner {
    store: Arc<dyn Store>,
    content: ContentStore,
    keyring: Arc<Keyring>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    keeper: Keeper,
    engine: Option<Engine>,
    identity: Option<Arc<Identity>>,
    settings: RightsSettings,
    law: Law,
    door: Door,
    /// One change at a time: two answers to a code would each have all of its tries.
    changing: Mutex<()>,
    /// Likewise with the requests of the public page.
    trying: Mutex<()>,
    /// Cases that are not over, or whose recipients wait to be told.
    open: std::sync::Mutex<BTreeSet<(TenantId, CaseId)>>,
    /// Cases whose code may come back in the conversation. The codes themselves are kept with the cases.
    awaited: std::sync::Mutex<BTreeSet<(TenantId, CaseId)>>,
    /// When codes were sent to whom, in the last day.
    sent: std::sync::Mutex<BTreeMap<(TenantId, ContactId), Vec<Timestamp>>>,
    /// Something is awaited: the next look is not far.
    hurry: Notify,
    background: Background,
}

impl Registrar {
    /// Of an open store; with the engine and the mails where they run.
    ///
    /// # Errors
    /// [`LawError`] for laws that cannot be kept to.
    pub fn new(
        vaulted: &Vaulted,
        keeper: &Keeper,
        engine: Option<&Engine>,
        identity: Option<&Arc<Identity>>,
    ) -> std::result::Result<Self, LawError> {
        let settings = vaulted.settings.rights.clone();
        Ok(Self(Arc::new(Inner {
            store: Arc::clone(&vaulted.store),
            content: vaulted.content.clone(),
            keyring: Arc::clone(&vaulted.keyring),
            clock: Arc::clone(&vaulted.clock),
            entropy: Arc::clone(&vaulted.entropy),
            keeper: keeper.clone(),
            engine: engine.cloned(),
            identity: identity.cloned(),
            law: law(&settings)?,
            door: Door::new(&settings, &vaulted.clock),
            settings,
            changing: Mutex::new(()),
            trying: Mutex::new(()),
            open: std::sync::Mutex::default(),
            awaited: std::sync::Mutex::default(),
            sent: std::sync::Mutex::default(),
            hurry: Notify::new(),
            background: Background::new(),
        })))
    }

    /// Opens a case about a contact: the law's clock runs from now on.
    ///
    /// # Errors
    /// [`RightsError::NoSuchContact`], [`CaseProblem::NotNoticed`], and what the store says.
    pub async fn open(
        &self,
        tenant: TenantId,
        contact: ContactId,
        kind: RightKind,
        opened: Opened,
    ) -> Result<RightsCase> {
        let by = match opened {
            Opened::Page { .. } => Actor::Platform,
            Opened::Staff { by } | Opened::Noticed { by } => by,
        };
        self.audit(tenant, by, "rights.opened", &contact).await?;
        let _one = self.0.changing.lock().await;
        self.open_at(tenant, contact, kind, opened, self.now(), by).await
    }

    async fn open_at(
        &self,
        tenant: TenantId,
        contact: ContactId,
        kind: RightKind,
        opened: Opened,
        received_at: Timestamp,
        by: Actor,
    ) -> Result<RightsCase> {
        let noticed = matches!(opened, Opened::Noticed { .. });
        if noticed && !kind.may_be_noticed() {
            return Err(CaseProblem::NotNoticed.into());
        }
        let ctx = TenantCtx::platform(tenant);
        let known = self.0.store.tenant(ctx).await?.contact(contact).await?;
        let known = known.ok_or(RightsError::NoSuchContact)?;
        let due = self.0.law.due(&self.0.settings.law, kind, received_at);
        let mut case = RightsCase {
            id: CaseId::new(self.now(), &*self.0.entropy),
            revision: 0,
            kind,
            contact,
            conversation: known.conversation,
            opened,
            received_at,
            verified_at: None,
            proof: None,
            challenge: None,
            due_at: due.at,
            law: due.by,
            state: if noticed { CaseState::Verified } else { CaseState::Received },
            repeated: self.is_repetition(ctx, contact, kind).await?,
            erasure: None,
            told: Vec::new(),
            alerted: 0,
            steps: Vec::new(),
        };
        case.note(by, "opened", self.now());
        let (amendment, events) = Self::of_mark(&known, &case);
        self.commit(tenant, CaseCommit { case, amendment: amendment.map(|it| (it, by)), events })
            .await
            .map(|it| it.0)
    }

    /// One case.
    ///
    /// # Errors
    /// [`RightsError::NoSuchCase`], and what the store says.
    pub async fn case(&self, tenant: TenantId, id: CaseId) -> Result<RightsCase> {
        let found = self.0.store.rights().case(TenantCtx::platform(tenant), id).await?;
        found.ok_or(RightsError::NoSuchCase)
    }

    /// Whether the same was answered to the same person not long ago.
    async fn is_repetition(&self, ctx: TenantCtx, contact: ContactId, kind: RightKind) -> Result<bool> {
        let since = self.now().minus_millis(u64::from(self.0.settings.repeat_days) * DAY_MS);
        let mut before = None;
        loop {
            let cases = self.0.store.rights().cases(ctx, before, PAGE).await?;
            let Some(last) = cases.last() else { return Ok(false) };
            before = Some(last.id);
            let is_it = |case: &RightsCase| {
                let answered = matches!(case.state, CaseState::Answered { at, .. } if at >= since);
                case.contact == contact && case.kind == kind && answered
            };
            if cases.iter().any(is_it) {
                return Ok(true);
            }
            if cases.len() < PAGE || last.received_at < since {
                return Ok(false);
            }
        }
    }

    /// Writes a case down with what it is told by in the log; keeps in mind whether it is over.
    async fn commit(&self, tenant: TenantId, mut commit: CaseCommit) -> Result<(RightsCase, EventSeq)> {
        let (case, right) = (commit.case.id, commit.case.kind);
        let state = commit.case.state.name().to_owned();
        commit.events.push(EventKind::RightsChanged { case, right, state });
        self.keep(tenant, commit).await
    }

    /// The same where nothing about it is to be told.
    async fn keep(&self, tenant: TenantId, commit: CaseCommit) -> Result<(RightsCase, EventSeq)> {
        let kept = self.0.store.rights().commit_case(TenantCtx::platform(tenant), commit).await?;
        let case = &kept.0;
        let mut open = self.0.open.lock().unwrap_or_else(PoisonError::into_inner);
        if case.state.is_open() || case.untold().next().is_some() {
            open.insert((tenant, case.id));
        } else {
            open.remove(&(tenant, case.id));
        }
        Ok(kept)
    }

    /// The mark that a contact is to have by a case: in dispute while it is proven and not decided; none once it is.
    fn of_mark(
        known: &iassistance_domain::contact::Contact,
        case: &RightsCase,
    ) -> (Option<Amendment>, Vec<EventKind>) {
        let before = known.standing.mark;
        let mark = match (case.disputes(), before) {
            (true, None) => Some(Mark::UnderReview),
            (false, Some(_)) if case.kind.disputes() && !case.state.is_open() => None,
            _ => return (None, Vec::new()),
        };
        let mut standing = known.standing.clone();
        standing.mark = mark;
        let amendment = Amendment { mark: Some(mark), ..Amendment::default() };
        (Some(amendment), vec![EventKind::ContactStandingChanged { standing }])
    }

    async fn audit(&self, tenant: TenantId, by: Actor, act: &str, on: &(impl ToString + Sync)) -> Result<()> {
        let entry = AuditEntry::new(self.now(), by, act).on(on).of(tenant);
        self.0.store.trail().append_audit(Some(tenant), entry).await?;
        Ok(())
    }

    /// Begins nothing more, and waits for what is under way.
    ///
    /// # Errors
    /// [`StillRunning`]
    pub async fn stop(&self, limit_ms: u64) -> std::result::Result<(), StillRunning> {
        self.0.background.stop(&*self.0.clock, limit_ms).await
    }

    /// The laws, and those in force.
    pub fn law(&self) -> (&Law, &[String]) {
        (&self.0.law, &self.0.settings.law)
    }

    fn now(&self) -> Timestamp {
        self.0.clock.now()
    }
}
