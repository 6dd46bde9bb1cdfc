//! What belongs to no tenant, and the door to what belongs to one.

use std::sync::{Arc, PoisonError};

use ::sled::IVec;
use async_trait::async_trait;
use serde::Serialize;
use serde::de::DeserializeOwned;

use iassistance_domain::channel::{Channel, ChannelAddress, ChannelHealth, MetaApp, Route};
use iassistance_domain::deletion::Deletion;
use iassistance_domain::id::{ApiKeyId, ChannelId, DeletionId, MetaAppId, TenantId};
use iassistance_domain::inbound::InboundEvent;
use iassistance_domain::key::ApiKey;
use iassistance_domain::pii::Deliver;
use iassistance_domain::tenant::{Tenant, TenantCtx};
use iassistance_domain::{Pii, Timestamp};

use super::disk::Step;
use super::keys::{self, API_KEY, KINDS, Key, META_APP, TENANT, UNROUTED, UNROUTED_SEEN, Unrouted, id_in};
use super::open::failed;
use super::quarantine::unhex;
use super::space::{Page, Read, Result, Space, vault_error};
use super::tenant::SledTenant;
use super::tx::{Owner, Tx};
use super::{Core, SledStore, blocking};
use crate::error::StorageError;
use crate::findings::{Examination, Findings, Progress, SetAside};
use crate::keeping::Keeping;
use crate::leaving::Leaving;
use crate::people::People;
use crate::rights::Rights;
use crate::rules::described;
use crate::store::{Store, TenantStore};
use crate::trail::Trail;

/// Dedup keys that are removed in one write at most, so that others are not held up.
const FORGET_ROWS: usize = 1_000;

impl Tx<'_> {
    fn create_tenant(&mut self, tenant: &Tenant) -> Result<()> {
        let key = keys::tenant(tenant.id);
        if self.has(&key)? {
            return Err(StorageError::Conflict("tenant"));
        }
        self.new_trees.push(tenant.id.to_bytes().to_vec());
        self.put(&key, Owner::Tenant, tenant)
    }

    fn keep_unrouted(
        &mut self,
        address: Option<&ChannelAddress>,
        event: InboundEvent,
        unrouted_max: u64,
        at: Timestamp,
    ) -> Result<()> {
        let address_text = address.map(keys::address_text).unwrap_or_default();
        let dedup = event.dedup.reveal(Deliver).as_bytes();
        let hash = self.space.hash("unrouted", &[address_text.as_bytes(), b"\0", dedup]);
        let seen = UNROUTED_SEEN.key().id(hash);
        if self.has(&seen)? {
            return Ok(());
        }
        self.counters.seq += 1;
        self.counters.unrouted += 1;
        let external_id = address.map(|address| address.external_id.clone()).unwrap_or_default();
        self.put(&seen, Owner::Tenant, &())?;
        let key = UNROUTED.key().number(self.counters.seq).id(hash);
        self.put(&key, Owner::Tenant, &Unrouted { at, external_id, event })?;
        while self.counters.unrouted > unrouted_max {
            let Some((oldest, _)) = self.rows(UNROUTED.key().bytes(), 1)?.pop() else { break };
            if let Some(hash) = id_in(&oldest, 9) {
                self.remove(&UNROUTED_SEEN.key().id(hash))?;
            }
            self.remove_row(&oldest)?;
            self.counters.unrouted -= 1;
        }
        Ok(())
    }
}

impl Core {
    /// All records of a kind that the platform has, oldest first.
    pub(super) async fn all<T: DeserializeOwned + Send + 'static>(&self, prefix: Key<T>) -> Result<Vec<T>> {
        self.list(prefix, Page::First, usize::MAX).await
    }

    async fn list<T: DeserializeOwned + Send + 'static>(
        &self,
        prefix: Key<T>,
        page: Page<'static>,
        limit: usize,
    ) -> Result<Vec<T>> {
        self.writer.health()?;
        let platform = Arc::clone(&self.platform);
        let records = blocking(move || platform.list(&prefix, page, limit)).await?;
        Ok(records.into_iter().map(|(_, record): (IVec, T)| record).collect())
    }

    pub(super) fn one<T: DeserializeOwned>(&self, key: &Key<T>) -> Result<Option<T>> {
        self.writer.health()?;
        self.platform.get(key)
    }

    /// Removes sums of long past days, reservations that nobody settles any more, and what a crash left of
    /// removed documents.
    async fn sweep(&self, space: &Arc<Space>) -> Result<()> {
        let now = self.clock.now();
        let forget = move |tx: &mut Tx<'_>| tx.forget_sums(now, FORGET_ROWS);
        while self.writer.write(space, forget).await? {}
        let reader = Arc::clone(space);
        let read = move || Ok((reader.forsaken_reservations(now)?, reader.forsaken_passages()?));
        let (turns, documents) = blocking(read).await?;
        if !turns.is_empty() {
            self.writer.write(space, move |tx| tx.forget_reservations(&turns, now)).await?;
        }
        for document in documents {
            self.writer.forget_passages(space, document).await?;
        }
        Ok(())
    }

    async fn put<T: Serialize + Send + Sync + 'static>(&self, key: Key<T>, record: T) -> Result<()> {
        self.writer.write(&self.platform, move |tx| tx.put(&key, Owner::Tenant, &record)).await
    }
}

#[async_trait]
impl Store for SledStore {
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
        let core = Arc::clone(&self.0);
        core.writer.health()?;
        core.room.for_new()?;
        let id = tenant.id;
        if core.platform.has(&keys::tenant(id))? {
            return Err(StorageError::Conflict("tenant"));
        }
        let keyring = Arc::clone(&core.keyring);
        let disk = Arc::clone(&core.home.disk);
        let keys = move || {
            let mut made = Ok(());
            let kept = disk.run(Step::Keyring, &mut || {
                made = keyring.create_tenant(id).map(drop).map_err(vault_error);
                Ok(())
            });
            kept.map_err(failed("keeping a tenant's keys")).and(made)
        };
        blocking(keys).await?;
        let trees = Arc::clone(&core.trees);
        let records = Arc::clone(&core.tenant_records);
        let create = move |tx: &mut Tx<'_>| {
            tx.create_tenant(&tenant)?;
            tx.afterwards.push(Box::new(move || {
                trees.write().unwrap_or_else(PoisonError::into_inner).insert(id.to_bytes().to_vec());
                records.write().unwrap_or_else(PoisonError::into_inner).insert(id, tenant);
            }));
            Ok(())
        };
        core.writer.write(&core.platform, create).await
    }

    async fn tenants(&self) -> Result<Vec<Tenant>> {
        self.0.all(TENANT.key()).await
    }

    async fn tenant(&self, tenant: TenantCtx) -> Result<Arc<dyn TenantStore>> {
        let id = tenant.tenant();
        let space = self.0.space(id).await?;
        Ok(Arc::new(SledTenant { core: Arc::clone(&self.0), id, space }))
    }

    async fn put_meta_app(&self, app: MetaApp) -> Result<()> {
        self.0.room.for_new()?;
        let apps = Arc::clone(&self.0.meta_apps);
        let put = move |tx: &mut Tx<'_>| {
            tx.put(&keys::meta_app(app.id), Owner::Tenant, &app)?;
            tx.afterwards.push(Box::new(move || {
                apps.write().unwrap_or_else(PoisonError::into_inner).insert(app.id, app);
            }));
            Ok(())
        };
        self.0.writer.write(&self.0.platform, put).await
    }

    async fn meta_app(&self, id: MetaAppId) -> Result<Option<MetaApp>> {
        self.0.writer.health()?;
        if let Some(app) = self.0.meta_apps.read().unwrap_or_else(PoisonError::into_inner).get(&id) {
            return Ok(Some(app.clone()));
        }
        // It is not there, or does not open: that is told.
        self.0.one(&keys::meta_app(id))
    }

    async fn meta_apps(&self) -> Result<Vec<MetaApp>> {
        self.0.all(META_APP.key()).await
    }

    async fn put_channel(&self, channel: Channel) -> Result<()> {
        self.0.room.for_new()?;
        self.0.put_channel(channel).await
    }

    async fn set_channel_health(
        &self,
        tenant: TenantCtx,
        id: ChannelId,
        health: ChannelHealth,
    ) -> Result<()> {
        self.0.set_channel_health(tenant.tenant(), id, health).await
    }

    async fn remove_channel(&self, tenant: TenantCtx, id: ChannelId) -> Result<bool> {
        self.0.remove_channel(tenant.tenant(), id).await
    }

    async fn channels_of_app(&self, meta_app: MetaAppId) -> Result<Vec<Channel>> {
        self.0.channels_of_app(meta_app).await
    }

    fn routes(&self, address: &ChannelAddress) -> Vec<Route> {
        let mut routes = self.0.directory().routes(address);
        routes.retain(|route| !self.0.is_closed(route.tenant));
        routes
    }

    async fn put_deletion(&self, deletion: Deletion) -> Result<()> {
        self.0.put(keys::deletion(deletion.id), deletion).await
    }

    async fn deletion(&self, id: DeletionId) -> Result<Option<Deletion>> {
        self.0.one(&keys::deletion(id))
    }

    async fn put_api_key(&self, key: ApiKey) -> Result<()> {
        self.0.room.for_new()?;
        let homes = Arc::clone(&self.0.key_homes);
        self.0.write(move |tx, revocations| tx.put_api_key(&key, homes, revocations)).await
    }

    async fn api_key(&self, id: ApiKeyId) -> Result<Option<ApiKey>> {
        self.0.one(&keys::api_key(id))
    }

    async fn api_key_of(&self, of: Option<TenantId>, id: ApiKeyId) -> Result<Option<ApiKey>> {
        self.0.writer.health()?;
        let home = self.0.key_homes.read().unwrap_or_else(PoisonError::into_inner).get(&id).copied();
        if home == Some(of) { self.0.platform.get(&keys::api_key(id)) } else { Ok(None) }
    }

    async fn api_keys(&self) -> Result<Vec<ApiKey>> {
        self.0.all(API_KEY.key()).await
    }

    async fn keep_unrouted(&self, address: Option<ChannelAddress>, event: InboundEvent) -> Result<()> {
        self.0.room.for_new()?;
        let core = Arc::clone(&self.0);
        let keep = move |tx: &mut Tx<'_>| {
            tx.keep_unrouted(address.as_ref(), event, core.limits.unrouted_max, core.clock.now())
        };
        self.0.writer.write(&self.0.platform, keep).await
    }

    async fn unrouted(&self, limit: usize) -> Result<Vec<(Timestamp, String, String, Pii<String>)>> {
        let kept = self.0.list(UNROUTED.key(), Page::Last, limit).await?;
        let shown = kept.into_iter().map(|kept| {
            let (kind, text) = described(&kept.event);
            (kept.at, kept.external_id, kind, text)
        });
        Ok(shown.collect())
    }

    async fn forget_dedup_before(&self, before: Timestamp) -> Result<u64> {
        let mut forgotten = 0;
        for tenant in self.tenants().await? {
            let space = self.0.space(tenant.id).await?;
            let mut after = None;
            loop {
                let reader = Arc::clone(&space);
                let (old, last) = blocking(move || reader.old_dedup(before, after, FORGET_ROWS)).await?;
                if !old.is_empty() {
                    let forget = move |tx: &mut Tx<'_>| tx.forget_dedup(&old, before);
                    forgotten += self.0.writer.write(&space, forget).await?;
                }
                after = last;
                if after.is_none() {
                    break;
                }
            }
            let forget = move |tx: &mut Tx<'_>| tx.forget_before(before, FORGET_ROWS);
            while self.0.writer.write(&space, forget).await? {}
            self.0.sweep(&space).await?;
            self.0.sweep_hooks(&space).await?;
        }
        self.0.sweep_people().await?;
        Ok(forgotten)
    }

    fn health(&self) -> Result<()> {
        self.0.writer.health()?;
        self.0.room.for_new()
    }

    async fn close(&self) {
        self.0.mark_closed().await;
        if !self.0.writer.close(&*self.0.clock).await {
            tracing::error!("the disk does not answer: the database stays open until the process ends");
            return;
        }
        self.0.rewriter.close().await;
        let live = Arc::clone(&self.0.live);
        let let_go = move || {
            live.close();
            Ok(())
        };
        if let Err(error) = blocking(let_go).await {
            tracing::error!(%error, "the database was not closed in good order");
        }
    }

    async fn examine(
        &self,
        examination: &Examination,
        progress: &(dyn Fn(Progress) + Sync),
    ) -> Result<Findings> {
        self.0.examine(examination, progress).await
    }

    async fn set_aside(
        &self,
        tenant: Option<TenantCtx>,
        after: Option<String>,
        limit: usize,
    ) -> Result<Vec<SetAside>> {
        self.0.writer.health()?;
        let space = match tenant {
            Some(tenant) => self.0.space(tenant.tenant()).await?,
            None => Arc::clone(&self.0.platform),
        };
        let after = after.as_deref().map(|key| unhex(key).ok_or(StorageError::NotFound("record")));
        let after = after.transpose()?;
        blocking(move || space.list_set_aside(after.as_deref(), limit)).await
    }

    async fn upgrade_records(&self) -> Result<u64> {
        self.0.upgrade_records(KINDS).await
    }
}
