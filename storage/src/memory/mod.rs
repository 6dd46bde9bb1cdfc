//! The oracle: plain structures under one lock, nothing sealed, nothing kept after the process ends.
//! It shares nothing with the other backends but the rules that are one by definition, so that the
//! contract suite compares two minds.

mod accept;
mod assistant;
mod contacts;
mod conversation;
mod erasing;
mod handle;
mod hooks;
mod keeping;
mod knowledge;
mod leaving;
mod money;
mod outbox;
mod people;
mod rights;
mod tenant;
mod trail;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tokio::sync::watch;

use iassistance_domain::channel::{AddressScope, Channel, ChannelAddress, ChannelHealth, MetaApp, Route};
use iassistance_domain::deletion::Deletion;
use iassistance_domain::id::{ApiKeyId, ChannelId, DeletionId, IncidentId, IntakeId, MetaAppId, TenantId};
use iassistance_domain::inbound::InboundEvent;
use iassistance_domain::key::ApiKey;
use iassistance_domain::privacy::rights::Intake;
use iassistance_domain::privacy::{DestructionCertificate, Incident};
use iassistance_domain::tenant::{Tenant, TenantCtx};
use iassistance_domain::{Clock, Entropy, Pii, Timestamp};

use crate::Limits;
use crate::error::StorageError;
use crate::findings::{Examination, Findings, Progress, SetAside};
use crate::keeping::Keeping;
use crate::leaving::Leaving;
use crate::people::{People, Revocation};
use crate::rights::Rights;
use crate::rules::described;
use crate::store::{Store, TenantStore};
use crate::trail::Trail;
use handle::MemoryTenant;
use people::PeopleData;
use tenant::TenantData;
use trail::TrailData;

type Result<T> = std::result::Result<T, StorageError>;

/// A store in memory.
#[derive(Clone)]
pub struct MemoryStore(Arc<Shared>);

pub(crate) struct Shared {
    limits: Limits,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    state: Mutex<State>,
    audited: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    closed: bool,
    tenants: BTreeMap<TenantId, (Tenant, TenantData)>,
    meta_apps: BTreeMap<MetaAppId, MetaApp>,
    channels: BTreeMap<ChannelId, Channel>,
    deletions: BTreeMap<DeletionId, Deletion>,
    api_keys: BTreeMap<ApiKeyId, ApiKey>,
    unrouted: VecDeque<(Timestamp, Option<ChannelAddress>, InboundEvent)>,
    people: PeopleData,
    trail: TrailData,
    certificates: BTreeMap<TenantId, DestructionCertificate>,
    intakes: BTreeMap<IntakeId, Intake>,
    incidents: BTreeMap<IncidentId, Incident>,
}

impl State {
    /// A channel of a tenant that there is.
    fn channel(&mut self, tenant: TenantId, id: ChannelId) -> Result<Option<&mut Channel>> {
        if !self.tenants.contains_key(&tenant) {
            return Err(StorageError::NoSuchTenant(tenant));
        }
        Ok(self.channels.get_mut(&id).filter(|channel| channel.tenant == tenant))
    }
}

impl State {
    fn room_for_letters(&self, limits: &Limits, tenant: TenantId) -> Result<()> {
        let letters = |data: &TenantData| data.inbox.len() as u64;
        let own = self.tenants.get(&tenant).map_or(0, |(_, data)| letters(data));
        limits.room_for_letters(own, self.tenants.values().map(|(_, data)| letters(data)).sum())
    }
}

impl MemoryStore {
    /// An empty store.
    pub fn new(limits: Limits, clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Self {
        let audited = watch::Sender::new(0);
        Self(Arc::new(Shared { limits, clock, entropy, state: Mutex::default(), audited }))
    }
}

impl Shared {
    fn open(&self) -> Result<MutexGuard<'_, State>> {
        let state = self.lock();
        if state.closed { Err(StorageError::Closed) } else { Ok(state) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Store for MemoryStore {
    fn people(&self) -> &dyn People {
        self
    }

    fn trail(&self) -> &dyn Trail {
        self
    }

    fn keeping(&self) -> &dyn Keeping {
        self
    }

    fn rights(&self) -> &dyn Rights {
        self
    }

    fn leaving(&self) -> &dyn Leaving {
        self
    }

    async fn create_tenant(&self, tenant: Tenant) -> Result<()> {
        let mut state = self.0.open()?;
        if state.tenants.contains_key(&tenant.id) {
            return Err(StorageError::Conflict("tenant"));
        }
        state.tenants.insert(tenant.id, (tenant, TenantData::default()));
        Ok(())
    }

    async fn tenants(&self) -> Result<Vec<Tenant>> {
        Ok(self.0.open()?.tenants.values().map(|(tenant, _)| tenant.clone()).collect())
    }

    async fn tenant(&self, tenant: TenantCtx) -> Result<Arc<dyn TenantStore>> {
        let id = tenant.tenant();
        if !self.0.open()?.tenants.contains_key(&id) {
            return Err(StorageError::NoSuchTenant(id));
        }
        Ok(Arc::new(MemoryTenant { shared: Arc::clone(&self.0), id }))
    }

    async fn put_meta_app(&self, app: MetaApp) -> Result<()> {
        self.0.open()?.meta_apps.insert(app.id, app);
        Ok(())
    }

    async fn meta_app(&self, id: MetaAppId) -> Result<Option<MetaApp>> {
        Ok(self.0.open()?.meta_apps.get(&id).cloned())
    }

    async fn meta_apps(&self) -> Result<Vec<MetaApp>> {
        Ok(self.0.open()?.meta_apps.values().cloned().collect())
    }

    async fn put_channel(&self, channel: Channel) -> Result<()> {
        let mut state = self.0.open()?;
        if !state.tenants.contains_key(&channel.tenant) {
            return Err(StorageError::NoSuchTenant(channel.tenant));
        }
        if state.channels.get(&channel.id).is_some_and(|known| known.tenant != channel.tenant) {
            return Err(StorageError::Conflict("channel"));
        }
        let own = |channel: &Channel| channel.addresses().find(|it| it.scope == AddressScope::Channel);
        let address = own(&channel);
        if state.channels.values().any(|other| other.id != channel.id && own(other) == address) {
            return Err(StorageError::Conflict("channel address"));
        }
        state.channels.insert(channel.id, channel);
        Ok(())
    }

    async fn set_channel_health(
        &self,
        tenant: TenantCtx,
        id: ChannelId,
        health: ChannelHealth,
    ) -> Result<()> {
        let mut state = self.0.open()?;
        let channel = state.channel(tenant.tenant(), id)?.ok_or(StorageError::NotFound("channel"))?;
        channel.health = health;
        Ok(())
    }

    async fn remove_channel(&self, tenant: TenantCtx, id: ChannelId) -> Result<bool> {
        let mut state = self.0.open()?;
        if state.channel(tenant.tenant(), id)?.is_none() {
            return Ok(false);
        }
        state.channels.remove(&id);
        if let Some((_, data)) = state.tenants.get_mut(&tenant.tenant()) {
            data.templates.remove(&id);
        }
        Ok(true)
    }

    async fn channels_of_app(&self, meta_app: MetaAppId) -> Result<Vec<Channel>> {
        let state = self.0.open()?;
        Ok(state.channels.values().filter(|channel| channel.meta_app == meta_app).cloned().collect())
    }

    fn routes(&self, address: &ChannelAddress) -> Vec<Route> {
        let state = self.0.lock();
        let having = state.channels.values().filter(|channel| channel.addresses().any(|it| it == *address));
        having
            .filter(|channel| !state.is_closed(channel.tenant))
            .map(|channel| Route { tenant: channel.tenant, channel: channel.id, meta_app: channel.meta_app })
            .collect()
    }

    async fn put_deletion(&self, deletion: Deletion) -> Result<()> {
        self.0.open()?.deletions.insert(deletion.id, deletion);
        Ok(())
    }

    async fn deletion(&self, id: DeletionId) -> Result<Option<Deletion>> {
        Ok(self.0.open()?.deletions.get(&id).cloned())
    }

    async fn put_api_key(&self, key: ApiKey) -> Result<()> {
        let mut state = self.0.open()?;
        let id = key.id;
        let before = state.api_keys.insert(id, key.clone());
        if before.is_some_and(|before| key.has_other_rights(&before)) {
            state.people.revoke(Revocation::Key(id));
        }
        Ok(())
    }

    async fn api_key(&self, id: ApiKeyId) -> Result<Option<ApiKey>> {
        Ok(self.0.open()?.api_keys.get(&id).cloned())
    }

    async fn api_key_of(&self, of: Option<TenantId>, id: ApiKeyId) -> Result<Option<ApiKey>> {
        Ok(self.0.open()?.api_keys.get(&id).filter(|key| key.tenant == of).cloned())
    }

    async fn api_keys(&self) -> Result<Vec<ApiKey>> {
        Ok(self.0.open()?.api_keys.values().cloned().collect())
    }

    async fn keep_unrouted(&self, address: Option<ChannelAddress>, event: InboundEvent) -> Result<()> {
        let now = self.0.clock.now();
        let mut state = self.0.open()?;
        if state.unrouted.iter().any(|(_, at, kept)| *at == address && kept.dedup == event.dedup) {
            return Ok(());
        }
        state.unrouted.push_back((now, address, event));
        while state.unrouted.len() as u64 > self.0.limits.unrouted_max {
            state.unrouted.pop_front();
        }
        Ok(())
    }

    async fn unrouted(&self, limit: usize) -> Result<Vec<(Timestamp, String, String, Pii<String>)>> {
        let state = self.0.open()?;
        let newest_first = state.unrouted.iter().rev().take(limit).map(|(at, address, event)| {
            let (kind, text) = described(event);
            (*at, address.as_ref().map(|address| address.external_id.clone()).unwrap_or_default(), kind, text)
        });
        Ok(newest_first.collect())
    }

    async fn forget_dedup_before(&self, before: Timestamp) -> Result<u64> {
        let now = self.0.clock.now();
        let mut state = self.0.open()?;
        let mut forgotten = 0;
        for (_, data) in state.tenants.values_mut() {
            let known = data.dedup.len();
            data.dedup.retain(|_, set_at| *set_at >= before);
            forgotten += (known - data.dedup.len()) as u64;
            data.erased.retain(|_, since| *since >= before);
            data.parked.retain(|parked| parked.accepted_at >= before);
            data.tombstones.retain(|_, (since, _)| *since >= before);
            data.money.forget(now);
        }
        state.people.sweep(now);
        Ok(forgotten)
    }

    fn health(&self) -> Result<()> {
        self.0.open().map(drop)
    }

    async fn close(&self) {
        self.0.lock().closed = true;
    }

    async fn examine(&self, _: &Examination, progress: &(dyn Fn(Progress) + Sync)) -> Result<Findings> {
        let state = self.0.open()?;
        let mut records =
            (state.meta_apps.len() + state.api_keys.len() + state.channels.len() + state.deletions.len())
                as u64;
        let tenants = state.tenants.len();
        for (number, (_, data)) in state.tenants.values().enumerate() {
            records += 1 + data.records();
            progress(Progress { tenant: number + 1, tenants, records });
        }
        Ok(Findings { records, ..Findings::default() })
    }

    /// Nothing in memory is ever damaged.
    async fn set_aside(&self, _: Option<TenantCtx>, _: Option<String>, _: usize) -> Result<Vec<SetAside>> {
        self.0.open().map(|_| Vec::new())
    }

    /// Nothing in memory is of an older version.
    async fn upgrade_records(&self) -> Result<u64> {
        self.0.open().map(|_| 0)
    }
}
