//! What is kept of data that leaves.

use async_trait::async_trait;

use iassistance_domain::Timestamp;
use iassistance_domain::id::{ContactId, IncidentId, OrderId};
use iassistance_domain::privacy::{Disclosures, Handed, Incident, LegalOrder, Recipient};
use iassistance_domain::tenant::TenantCtx;

use super::keys::{self, INCIDENT, ORDER};
use super::space::{Page, Read, Result};
use super::tx::{Owner, Tx};
use super::{SledStore, blocking};
use crate::error::StorageError;
use crate::leaving::{INCIDENTS_MAX, Leaving, ORDERS_MAX};

impl Tx<'_> {
    /// Notes in a contact's ledger that something is about to be handed over. A ledger that does not open is begun
    /// anew: nobody's messages wait for it.
    pub(super) fn disclose(
        &mut self,
        contact: ContactId,
        to: Recipient,
        what: Handed,
        at: Timestamp,
    ) -> Result<()> {
        let key = keys::disclosures(contact);
        let mut ledger: Disclosures = self.get_readable(&key)?.unwrap_or_default();
        ledger.note(to, what, at);
        self.put(&key, Owner::Contact(contact), &ledger)
    }
}

#[async_trait]
impl Leaving for SledStore {
    async fn disclose(
        &self,
        tenant: TenantCtx,
        contact: ContactId,
        to: Recipient,
        what: Handed,
    ) -> Result<()> {
        let space = self.0.space(tenant.tenant()).await?;
        let now = self.0.clock.now();
        let note = move |tx: &mut Tx<'_>| {
            if !tx.has(&keys::subject_key(contact))? {
                return Err(StorageError::NotFound("contact"));
            }
            tx.disclose(contact, to, what, now)
        };
        self.0.writer.write(&space, note).await
    }

    async fn disclosures(&self, tenant: TenantCtx, contact: ContactId) -> Result<Disclosures> {
        let space = self.0.space(tenant.tenant()).await?;
        Ok(space.get(&keys::disclosures(contact))?.unwrap_or_default())
    }

    async fn put_order(&self, tenant: TenantCtx, order: LegalOrder) -> Result<()> {
        let space = self.0.space(tenant.tenant()).await?;
        let put = move |tx: &mut Tx<'_>| {
            let key = keys::order(order.id);
            if !tx.has(&key)? && tx.rows(ORDER.key().bytes(), ORDERS_MAX)?.len() >= ORDERS_MAX {
                return Err(StorageError::Full { what: "orders of authorities", most: ORDERS_MAX });
            }
            tx.put(&key, Owner::Tenant, &order)
        };
        self.0.writer.write(&space, put).await
    }

    async fn order(&self, tenant: TenantCtx, id: OrderId) -> Result<Option<LegalOrder>> {
        self.0.space(tenant.tenant()).await?.get(&keys::order(id))
    }

    async fn orders(&self, tenant: TenantCtx) -> Result<Vec<LegalOrder>> {
        let space = self.0.space(tenant.tenant()).await?;
        blocking(move || {
            let found = space.list(&ORDER.key(), Page::First, ORDERS_MAX)?;
            Ok(found.into_iter().map(|(_, order)| order).collect())
        })
        .await
    }

    async fn put_incident(&self, incident: Incident) -> Result<()> {
        let put = move |tx: &mut Tx<'_>| {
            let key = keys::incident(incident.id);
            if !tx.has(&key)? && tx.rows(INCIDENT.key().bytes(), INCIDENTS_MAX)?.len() >= INCIDENTS_MAX {
                return Err(StorageError::Full { what: "incidents", most: INCIDENTS_MAX });
            }
            tx.put(&key, Owner::Tenant, &incident)
        };
        self.0.writer.write(&self.0.platform, put).await
    }

    async fn incident(&self, id: IncidentId) -> Result<Option<Incident>> {
        self.0.platform.get(&keys::incident(id))
    }

    async fn incidents(&self, before: Option<IncidentId>, limit: usize) -> Result<Vec<Incident>> {
        self.0
            .scan(move |space| {
                let before = before.map(keys::incident);
                let page = before.as_ref().map_or(Page::Last, |before| Page::Before(before.bytes()));
                let found = space.list(&INCIDENT.key(), page, limit)?;
                Ok(found.into_iter().map(|(_, incident)| incident).collect())
            })
            .await
    }
}
