//! What is kept of how data goes: erasures, legal holds, periods, proofs of sweeps, certificates.

use async_trait::async_trait;

use iassistance_domain::id::{ErasureId, HoldId, TenantId};
use iassistance_domain::privacy::{
    Class, DestructionCertificate, Erasure, LegalHold, Retention, SweepRecord,
};
use iassistance_domain::tenant::TenantCtx;

use crate::error::StorageError;

type Result<T> = std::result::Result<T, StorageError>;

/// What is kept of how data goes. Every command is durable when it returns.
#[async_trait]
pub trait Keeping: Send + Sync {
    /// Creates or replaces an erasure.
    async fn put_erasure(&self, tenant: TenantCtx, erasure: Erasure) -> Result<()>;
    /// One erasure.
    async fn erasure(&self, tenant: TenantCtx, id: ErasureId) -> Result<Option<Erasure>>;
    /// Erasures, newest first, those before `before` (without itself).
    async fn erasures(
        &self,
        tenant: TenantCtx,
        before: Option<ErasureId>,
        limit: usize,
    ) -> Result<Vec<Erasure>>;
    /// Erasures that are not final, oldest first.
    async fn unfinished_erasures(&self, tenant: TenantCtx) -> Result<Vec<Erasure>>;

    /// Creates or replaces a legal hold. `Full` when there are 500 others in force.
    async fn put_hold(&self, tenant: TenantCtx, hold: LegalHold) -> Result<()>;
    /// One legal hold.
    async fn hold(&self, tenant: TenantCtx, id: HoldId) -> Result<Option<LegalHold>>;
    /// All legal holds, oldest first, also those that were released.
    async fn holds(&self, tenant: TenantCtx) -> Result<Vec<LegalHold>>;

    /// What the tenant chose; nothing chosen where it did not.
    async fn retention(&self, tenant: TenantCtx) -> Result<Retention>;
    /// Replaces what the tenant chose.
    async fn put_retention(&self, tenant: TenantCtx, retention: Retention) -> Result<()>;
    /// Keeps the proof of a sweep, in place of the one before of the same class.
    async fn put_sweep(&self, tenant: TenantCtx, sweep: SweepRecord) -> Result<()>;
    /// The latest sweep of each class.
    async fn sweeps(&self, tenant: TenantCtx) -> Result<Vec<SweepRecord>>;
    /// The latest sweep of a class.
    async fn sweep_of(&self, tenant: TenantCtx, class: Class) -> Result<Option<SweepRecord>> {
        Ok(self.sweeps(tenant).await?.into_iter().find(|sweep| sweep.class == class))
    }

    /// Keeps a certificate of destruction, in place of one of the same tenant.
    async fn put_certificate(&self, certificate: DestructionCertificate) -> Result<()>;
    /// The certificate of a tenant's destruction, also while that is under way.
    async fn certificate(&self, tenant: TenantId) -> Result<Option<DestructionCertificate>>;
    /// All certificates, by tenant.
    async fn certificates(&self) -> Result<Vec<DestructionCertificate>>;
}
