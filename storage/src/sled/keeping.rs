//! What is kept of how data goes.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde::Serialize;

use iassistance_domain::Timestamp;
use iassistance_domain::id::{ContactId, ConversationId, ErasureId, HoldId, TenantId};
use iassistance_domain::privacy::{
    Class, DestructionCertificate, Erasure, HOLDS_MAX, LegalHold, Place, Retention, SweepRecord,
};
use iassistance_domain::tenant::TenantCtx;

use super::keys::{self, CERTIFICATE, EPOCH, ERASURE, HOLD, Key, RETENTION, SWEEP};
use super::space::{Page, Read, Result};
use super::tx::{Owner, Tx};
use super::{SledStore, blocking};
use crate::error::StorageError;
use crate::keeping::{Keeping, MapScan, Person, Swept, SweptFrom, Turned};

impl SledStore {
    async fn keep<T: Serialize + Send + Sync + 'static>(
        &self,
        tenant: TenantCtx,
        key: Key<T>,
        record: T,
    ) -> Result<()> {
        let space = self.0.space(tenant.tenant()).await?;
        self.0.writer.write(&space, move |tx| tx.put(&key, Owner::Tenant, &record)).await
    }
}

#[async_trait]
impl Keeping for SledStore {
    async fn put_erasure(&self, tenant: TenantCtx, erasure: Erasure) -> Result<()> {
        self.keep(tenant, keys::erasure(erasure.id), erasure).await
    }

    async fn erasure(&self, tenant: TenantCtx, id: ErasureId) -> Result<Option<Erasure>> {
        self.0.space(tenant.tenant()).await?.get(&keys::erasure(id))
    }

    async fn erasures(
        &self,
        tenant: TenantCtx,
        before: Option<ErasureId>,
        limit: usize,
    ) -> Result<Vec<Erasure>> {
        let space = self.0.space(tenant.tenant()).await?;
        blocking(move || {
            let before = before.map(keys::erasure);
            let page = before.as_ref().map_or(Page::Last, |before| Page::Before(before.bytes()));
            let found = space.list(&ERASURE.key(), page, limit)?;
            Ok(found.into_iter().map(|(_, erasure)| erasure).collect())
        })
        .await
    }

    async fn unfinished_erasures(&self, tenant: TenantCtx) -> Result<Vec<Erasure>> {
        let space = self.0.space(tenant.tenant()).await?;
        blocking(move || {
            let found = space.list(&ERASURE.key(), Page::First, usize::MAX)?;
            let unfinished = found.into_iter().map(|(_, erasure): (_, Erasure)| erasure);
            Ok(unfinished.filter(|erasure| !erasure.state.is_final()).collect())
        })
        .await
    }

    async fn put_hold(&self, tenant: TenantCtx, hold: LegalHold) -> Result<()> {
        let space = self.0.space(tenant.tenant()).await?;
        let put = move |tx: &mut Tx<'_>| {
            let others = tx.list(&HOLD.key(), usize::MAX)?;
            let in_force = |(_, other): &&(_, LegalHold)| other.id != hold.id && other.released.is_none();
            if hold.released.is_none() && others.iter().filter(in_force).count() >= HOLDS_MAX {
                return Err(StorageError::Full { what: "legal holds", most: HOLDS_MAX });
            }
            tx.put(&keys::hold(hold.id), Owner::Tenant, &hold)
        };
        self.0.writer.write(&space, put).await
    }

    async fn hold(&self, tenant: TenantCtx, id: HoldId) -> Result<Option<LegalHold>> {
        self.0.space(tenant.tenant()).await?.get(&keys::hold(id))
    }

    async fn holds(&self, tenant: TenantCtx) -> Result<Vec<LegalHold>> {
        let space = self.0.space(tenant.tenant()).await?;
        blocking(move || {
            let found = space.list(&HOLD.key(), Page::First, usize::MAX)?;
            Ok(found.into_iter().map(|(_, hold)| hold).collect())
        })
        .await
    }

    async fn retention(&self, tenant: TenantCtx) -> Result<Retention> {
        Ok(self.0.space(tenant.tenant()).await?.get(&RETENTION.key())?.unwrap_or_default())
    }

    async fn put_retention(&self, tenant: TenantCtx, retention: Retention) -> Result<()> {
        self.keep(tenant, RETENTION.key(), retention).await
    }

    async fn put_sweep(&self, tenant: TenantCtx, sweep: SweepRecord) -> Result<()> {
        self.keep(tenant, keys::sweep(sweep.class), sweep).await
    }

    async fn sweeps(&self, tenant: TenantCtx) -> Result<Vec<SweepRecord>> {
        let space = self.0.space(tenant.tenant()).await?;
        blocking(move || {
            let found = space.list(&SWEEP.key(), Page::First, usize::MAX)?;
            Ok(found.into_iter().map(|(_, sweep)| sweep).collect())
        })
        .await
    }

    async fn person(&self, tenant: TenantCtx, contact: ContactId) -> Result<Person> {
        let space = self.0.space(tenant.tenant()).await?;
        blocking(move || space.person(contact)).await
    }

    async fn erase(
        &self,
        tenant: TenantCtx,
        person: Person,
        keep: Vec<Class>,
    ) -> Result<BTreeMap<Place, u64>> {
        let space = self.0.space(tenant.tenant()).await?;
        self.0.erase(&space, person, keep).await
    }

    async fn turn_epoch(
        &self,
        tenant: TenantCtx,
        before_retiring: &(dyn Fn() -> Result<()> + Sync),
    ) -> Result<Turned> {
        let space = self.0.space(tenant.tenant()).await?;
        self.0.turn_epoch(&space, tenant.tenant(), before_retiring).await
    }

    async fn is_turning(&self, tenant: TenantCtx) -> Result<bool> {
        let space = self.0.space(tenant.tenant()).await?;
        Ok(space.vault.epochs().len() > 1 || space.has(&EPOCH.key())?)
    }

    async fn sweep(
        &self,
        tenant: TenantCtx,
        class: Class,
        before: Timestamp,
        holds: Vec<LegalHold>,
        from: Option<SweptFrom>,
    ) -> Result<Swept> {
        let space = self.0.space(tenant.tenant()).await?;
        let from = from.unwrap_or(SweptFrom::Conversation(None));
        self.0.sweep_class(&space, class, before, holds, from).await
    }

    async fn silent_contacts(
        &self,
        tenant: TenantCtx,
        before: Timestamp,
        after: Option<ConversationId>,
        limit: usize,
    ) -> Result<(Vec<ContactId>, Option<ConversationId>)> {
        let space = self.0.space(tenant.tenant()).await?;
        blocking(move || space.silent(before, after, limit)).await
    }

    async fn destroy_tenant(&self, tenant: TenantId) -> Result<BTreeMap<Place, u64>> {
        self.0.destroy_tenant(tenant).await
    }

    async fn scan_map(&self) -> Result<MapScan> {
        self.0.scan_map().await
    }

    async fn put_certificate(&self, certificate: DestructionCertificate) -> Result<()> {
        let put = move |tx: &mut Tx<'_>| {
            tx.put(&keys::certificate(certificate.tenant), Owner::Tenant, &certificate)
        };
        self.0.writer.write(&self.0.platform, put).await
    }

    async fn certificate(&self, tenant: TenantId) -> Result<Option<DestructionCertificate>> {
        self.0.one(&keys::certificate(tenant))
    }

    async fn certificates(&self) -> Result<Vec<DestructionCertificate>> {
        self.0.all(CERTIFICATE.key()).await
    }
}
