//! What is kept of data that leaves.

use std::collections::BTreeMap;

use async_trait::async_trait;

use iassistance_domain::id::{ContactId, IncidentId, OrderId};
use iassistance_domain::privacy::{Disclosures, Handed, Incident, LegalOrder, Recipient};
use iassistance_domain::tenant::TenantCtx;

use super::handle::newest;
use super::{MemoryStore, Result};
use crate::error::StorageError;
use crate::leaving::{INCIDENTS_MAX, Leaving, ORDERS_MAX};

/// Of one tenant.
#[derive(Default)]
pub(super) struct LeavingData {
    pub(super) disclosures: BTreeMap<ContactId, Disclosures>,
    orders: BTreeMap<OrderId, LegalOrder>,
}

impl LeavingData {
    pub(super) fn records(&self) -> usize {
        self.disclosures.len() + self.orders.len()
    }
}

#[async_trait]
impl Leaving for MemoryStore {
    async fn disclose(
        &self,
        tenant: TenantCtx,
        contact: ContactId,
        to: Recipient,
        what: Handed,
    ) -> Result<()> {
        let now = self.0.clock.now();
        let mut state = self.0.open()?;
        let data = state.data(tenant)?;
        if !data.contacts.contains_key(&contact) {
            return Err(StorageError::NotFound("contact"));
        }
        data.leaving.disclosures.entry(contact).or_default().note(to, what, now);
        Ok(())
    }

    async fn disclosures(&self, tenant: TenantCtx, contact: ContactId) -> Result<Disclosures> {
        Ok(self.0.open()?.data(tenant)?.leaving.disclosures.get(&contact).cloned().unwrap_or_default())
    }

    async fn put_order(&self, tenant: TenantCtx, order: LegalOrder) -> Result<()> {
        let mut state = self.0.open()?;
        let orders = &mut state.data(tenant)?.leaving.orders;
        if !orders.contains_key(&order.id) && orders.len() >= ORDERS_MAX {
            return Err(StorageError::Full { what: "orders of authorities", most: ORDERS_MAX });
        }
        orders.insert(order.id, order);
        Ok(())
    }

    async fn order(&self, tenant: TenantCtx, id: OrderId) -> Result<Option<LegalOrder>> {
        Ok(self.0.open()?.data(tenant)?.leaving.orders.get(&id).cloned())
    }

    async fn orders(&self, tenant: TenantCtx) -> Result<Vec<LegalOrder>> {
        Ok(self.0.open()?.data(tenant)?.leaving.orders.values().cloned().collect())
    }

    async fn put_incident(&self, incident: Incident) -> Result<()> {
        let incidents = &mut self.0.open()?.incidents;
        if !incidents.contains_key(&incident.id) && incidents.len() >= INCIDENTS_MAX {
            return Err(StorageError::Full { what: "incidents", most: INCIDENTS_MAX });
        }
        incidents.insert(incident.id, incident);
        Ok(())
    }

    async fn incident(&self, id: IncidentId) -> Result<Option<Incident>> {
        Ok(self.0.open()?.incidents.get(&id).cloned())
    }

    async fn incidents(&self, before: Option<IncidentId>, limit: usize) -> Result<Vec<Incident>> {
        let state = self.0.open()?;
        let rows = state.incidents.iter().map(|(id, incident)| (*id, incident));
        Ok(newest(rows, before.as_ref(), limit))
    }
}
