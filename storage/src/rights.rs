//! What people asked about their own data, how what is known of them stands, and what they agreed to.

use async_trait::async_trait;

use iassistance_domain::Timestamp;
use iassistance_domain::audit::Actor;
use iassistance_domain::contact::ContactIdentity;
use iassistance_domain::event::{EventKind, EventSeq};
use iassistance_domain::id::{CaseId, ChannelId, ContactId, IntakeId};
use iassistance_domain::privacy::rights::{Amendment, Consent, ContactVersion, Intake, RightsCase};
use iassistance_domain::tenant::TenantCtx;

use crate::error::StorageError;

type Result<T> = std::result::Result<T, StorageError>;

/// A change of a case, with what goes with it in the same write.
#[derive(Clone)]
pub struct CaseCommit {
    /// The case as it is from now on; its `revision` is that of the one that was read.
    pub case: RightsCase,
    /// What changes of what is known of the contact, and by whom.
    pub amendment: Option<(Amendment, Actor)>,
    /// Facts for the log, about the contact where they are still there.
    pub events: Vec<EventKind>,
}

impl CaseCommit {
    /// Of a case alone.
    pub const fn new(case: RightsCase) -> Self {
        Self { case, amendment: None, events: Vec::new() }
    }
}

/// What is kept of rights. Every command is durable when it returns.
#[async_trait]
pub trait Rights: Send + Sync {
    /// Writes a case, new or changed, with what goes with it. `Stale` when it was changed meanwhile; `NotFound`
    /// where what is known of a contact is to change who is not there. Gives the case as it is stored, and the place
    /// of the last event there is.
    async fn commit_case(&self, tenant: TenantCtx, commit: CaseCommit) -> Result<(RightsCase, EventSeq)>;
    /// One case.
    async fn case(&self, tenant: TenantCtx, id: CaseId) -> Result<Option<RightsCase>>;
    /// Cases, newest first, those before `before` (without itself).
    async fn cases(&self, tenant: TenantCtx, before: Option<CaseId>, limit: usize)
    -> Result<Vec<RightsCase>>;
    /// Who is known by any part of this on a channel, if anybody is: the one that came first.
    async fn contact_at(
        &self,
        tenant: TenantCtx,
        channel: ChannelId,
        identity: ContactIdentity,
    ) -> Result<Option<ContactId>>;
    /// What was corrected of a contact, oldest first.
    async fn contact_versions(&self, tenant: TenantCtx, contact: ContactId) -> Result<Vec<ContactVersion>>;
    /// What a contact agreed to or refused, oldest first.
    async fn consents(&self, tenant: TenantCtx, contact: ContactId) -> Result<Vec<Consent>>;

    /// Creates or replaces a request of the public page. How many there may be is the caller's to bound.
    async fn put_intake(&self, intake: Intake) -> Result<()>;
    /// One request of the public page.
    async fn intake(&self, id: IntakeId) -> Result<Option<Intake>>;
    /// Removes requests of the public page from before a moment, and those that nobody proved from before another
    /// one; how many.
    async fn forget_intakes(&self, before: Timestamp, unproven_before: Timestamp) -> Result<u64>;
}
