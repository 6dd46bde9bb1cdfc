//! What is kept of data that leaves: who was handed what, orders of authorities, incidents.

use async_trait::async_trait;

use iassistance_domain::id::{ContactId, IncidentId, OrderId};
use iassistance_domain::privacy::{Disclosures, Handed, Incident, LegalOrder, Recipient};
use iassistance_domain::tenant::TenantCtx;

use crate::error::StorageError;

type Result<T> = std::result::Result<T, StorageError>;

/// Orders of authorities that one tenant may have.
pub const ORDERS_MAX: usize = 1_000;
/// Incidents of the platform.
pub const INCIDENTS_MAX: usize = 10_000;

/// What is kept of data that leaves. Every command is durable when it returns.
#[async_trait]
pub trait Leaving: Send + Sync {
    /// Writes down that something about a contact is about to be handed over. `NotFound` when there is no such
    /// contact. What goes to the contact's channel is written by
    /// [`begin_dispatch`](crate::TenantStore::begin_dispatch).
    async fn disclose(
        &self,
        tenant: TenantCtx,
        contact: ContactId,
        to: Recipient,
        what: Handed,
    ) -> Result<()>;
    /// Who was handed what about a contact; nobody, where nothing was or nobody is known.
    async fn disclosures(&self, tenant: TenantCtx, contact: ContactId) -> Result<Disclosures>;

    /// Creates or replaces an order of an authority. `Full` when there are 1,000 others.
    async fn put_order(&self, tenant: TenantCtx, order: LegalOrder) -> Result<()>;
    /// One order.
    async fn order(&self, tenant: TenantCtx, id: OrderId) -> Result<Option<LegalOrder>>;
    /// All orders about a tenant, oldest first.
    async fn orders(&self, tenant: TenantCtx) -> Result<Vec<LegalOrder>>;

    /// Creates or replaces an incident. `Full` when there are 10,000 others.
    async fn put_incident(&self, incident: Incident) -> Result<()>;
    /// One incident.
    async fn incident(&self, id: IncidentId) -> Result<Option<Incident>>;
    /// Incidents, newest first, those before `before` (without itself).
    async fn incidents(&self, before: Option<IncidentId>, limit: usize) -> Result<Vec<Incident>>;
}
