//! What is kept of how data goes.

use std::collections::BTreeMap;

use async_trait::async_trait;

use iassistance_domain::Timestamp;
use iassistance_domain::id::{ContactId, ConversationId, ErasureId, HoldId, TenantId};
use iassistance_domain::privacy::{
    Class, DestructionCertificate, Erasure, HOLDS_MAX, LegalHold, Place, Retention, SweepRecord,
};
use iassistance_domain::tenant::TenantCtx;

use super::handle::newest;
use super::tenant::TenantData;
use super::{MemoryStore, Result, State};
use crate::error::StorageError;
use crate::keeping::{Keeping, MapScan, Person, Swept, SweptFrom, Turned};

/// Of one tenant.
#[derive(Default)]
pub(super) struct KeepingData {
    erasures: BTreeMap<ErasureId, Erasure>,
    holds: BTreeMap<HoldId, LegalHold>,
    retention: Retention,
    sweeps: BTreeMap<Class, SweepRecord>,
}

impl KeepingData {
    pub(super) fn records(&self) -> usize {
        self.erasures.len()
            + self.holds.len()
            + self.sweeps.len()
            + usize::from(!self.retention.days.is_empty())
    }
}

impl State {
    pub(super) fn data(&mut self, tenant: TenantCtx) -> Result<&mut TenantData> {
        let id = tenant.tenant();
        self.tenants.get_mut(&id).map(|(_, data)| data).ok_or(StorageError::NoSuchTenant(id))
    }
}

#[async_trait]
impl Keeping for MemoryStore {
    async fn put_erasure(&self, tenant: TenantCtx, erasure: Erasure) -> Result<()> {
        self.0.open()?.data(tenant)?.keeping.erasures.insert(erasure.id, erasure);
        Ok(())
    }

    async fn erasure(&self, tenant: TenantCtx, id: ErasureId) -> Result<Option<Erasure>> {
        Ok(self.0.open()?.data(tenant)?.keeping.erasures.get(&id).cloned())
    }

    async fn erasures(
        &self,
        tenant: TenantCtx,
        before: Option<ErasureId>,
        limit: usize,
    ) -> Result<Vec<Erasure>> {
        let mut state = self.0.open()?;
        let rows = state.data(tenant)?.keeping.erasures.iter().map(|(id, erasure)| (*id, erasure));
        Ok(newest(rows, before.as_ref(), limit))
    }

    async fn unfinished_erasures(&self, tenant: TenantCtx) -> Result<Vec<Erasure>> {
        let mut state = self.0.open()?;
        let all = state.data(tenant)?.keeping.erasures.values();
        Ok(all.filter(|erasure| !erasure.state.is_final()).cloned().collect())
    }

    async fn put_hold(&self, tenant: TenantCtx, hold: LegalHold) -> Result<()> {
        let mut state = self.0.open()?;
        let holds = &mut state.data(tenant)?.keeping.holds;
        let others = holds.values().filter(|other| other.id != hold.id && other.released.is_none()).count();
        if hold.released.is_none() && others >= HOLDS_MAX {
            return Err(StorageError::Full { what: "legal holds", most: HOLDS_MAX });
        }
        holds.insert(hold.id, hold);
        Ok(())
    }

    async fn hold(&self, tenant: TenantCtx, id: HoldId) -> Result<Option<LegalHold>> {
        Ok(self.0.open()?.data(tenant)?.keeping.holds.get(&id).cloned())
    }

    async fn holds(&self, tenant: TenantCtx) -> Result<Vec<LegalHold>> {
        Ok(self.0.open()?.data(tenant)?.keeping.holds.values().cloned().collect())
    }

    async fn retention(&self, tenant: TenantCtx) -> Result<Retention> {
        Ok(self.0.open()?.data(tenant)?.keeping.retention.clone())
    }

    async fn put_retention(&self, tenant: TenantCtx, retention: Retention) -> Result<()> {
        self.0.open()?.data(tenant)?.keeping.retention = retention;
        Ok(())
    }

    async fn put_sweep(&self, tenant: TenantCtx, sweep: SweepRecord) -> Result<()> {
        self.0.open()?.data(tenant)?.keeping.sweeps.insert(sweep.class, sweep);
        Ok(())
    }

    async fn sweeps(&self, tenant: TenantCtx) -> Result<Vec<SweepRecord>> {
        Ok(self.0.open()?.data(tenant)?.keeping.sweeps.values().cloned().collect())
    }

    async fn person(&self, tenant: TenantCtx, contact: ContactId) -> Result<Person> {
        Ok(self.0.open()?.data(tenant)?.person(contact))
    }

    async fn erase(
        &self,
        tenant: TenantCtx,
        person: Person,
        keep: Vec<Class>,
    ) -> Result<BTreeMap<Place, u64>> {
        let now = self.0.clock.now();
        let mut state = self.0.open()?;
        let mut counts = state.data(tenant)?.erase(&person, &keep, now);
        if !keep.contains(&Class::Message) {
            let ids: Vec<String> = person.contacts.iter().map(ToString::to_string).collect();
            let talk = person.conversations.iter().map(ToString::to_string);
            let ids: Vec<String> = ids.into_iter().chain(talk).collect();
            let answers = state.people.forget_answers_of(tenant.tenant(), &ids);
            if answers > 0 {
                counts.insert(Place::Answers, answers);
            }
        }
        Ok(counts)
    }

    /// Nothing in memory is sealed.
    async fn turn_epoch(
        &self,
        tenant: TenantCtx,
        before_retiring: &(dyn Fn() -> Result<()> + Sync),
    ) -> Result<Turned> {
        self.0.open()?.data(tenant)?;
        before_retiring()?;
        Ok(Turned::default())
    }

    async fn is_turning(&self, tenant: TenantCtx) -> Result<bool> {
        self.0.open()?.data(tenant).map(|_| false)
    }

    async fn sweep(
        &self,
        tenant: TenantCtx,
        class: Class,
        before: Timestamp,
        holds: Vec<LegalHold>,
        _: Option<SweptFrom>,
    ) -> Result<Swept> {
        Ok(self.0.open()?.data(tenant)?.sweep(class, before, &holds))
    }

    async fn silent_contacts(
        &self,
        tenant: TenantCtx,
        before: Timestamp,
        _: Option<ConversationId>,
        _: usize,
    ) -> Result<(Vec<ContactId>, Option<ConversationId>)> {
        Ok((self.0.open()?.data(tenant)?.silent(before), None))
    }

    async fn destroy_tenant(&self, tenant: TenantId) -> Result<BTreeMap<Place, u64>> {
        let mut state = self.0.open()?;
        let mut counts = BTreeMap::new();
        let before = state.channels.len() + state.api_keys.len();
        state.channels.retain(|_, channel| channel.tenant != tenant);
        state.api_keys.retain(|_, key| key.tenant != Some(tenant));
        counts.insert(Place::Settings, (before - state.channels.len() - state.api_keys.len()) as u64);
        if let Some((_, data)) = state.tenants.remove(&tenant) {
            counts.insert(Place::Contacts, data.contacts.len() as u64);
            counts.insert(Place::Messages, data.messages.len() as u64);
            counts.insert(Place::TenantKeys, 1);
        }
        Ok(counts)
    }

    /// Nothing in memory is a record.
    async fn scan_map(&self) -> Result<MapScan> {
        self.0.open().map(|_| MapScan::default())
    }

    async fn put_certificate(&self, certificate: DestructionCertificate) -> Result<()> {
        self.0.open()?.certificates.insert(certificate.tenant, certificate);
        Ok(())
    }

    async fn certificate(&self, tenant: TenantId) -> Result<Option<DestructionCertificate>> {
        Ok(self.0.open()?.certificates.get(&tenant).cloned())
    }

    async fn certificates(&self) -> Result<Vec<DestructionCertificate>> {
        Ok(self.0.open()?.certificates.values().cloned().collect())
    }
}
