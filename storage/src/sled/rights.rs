//! What people asked about their own data.

use std::sync::Arc;

use async_trait::async_trait;

use iassistance_domain::Timestamp;
use iassistance_domain::contact::ContactIdentity;
use iassistance_domain::event::EventSeq;
use iassistance_domain::id::{CaseId, ChannelId, ContactId, IntakeId};
use iassistance_domain::privacy::rights::{Consent, ContactVersion, Intake, RightsCase};
use iassistance_domain::tenant::TenantCtx;

use super::keys::{self, CASE, INTAKE};
use super::space::{Page, Read, Result};
use super::tx::{Owner, Tx};
use super::{SledStore, blocking};
use crate::error::StorageError;
use crate::rights::{CaseCommit, Rights};

/// Requests of the public page that are looked at, and go, at once.
const STEP_ROWS: usize = 256;

impl Tx<'_> {
    fn commit_case(&mut self, commit: CaseCommit, now: Timestamp) -> Result<(RightsCase, EventSeq)> {
        let CaseCommit { mut case, amendment, events } = commit;
        let key = keys::case(case.id);
        if self.get(&key)?.map_or(0, |known| known.revision) != case.revision {
            return Err(StorageError::Stale);
        }
        let id = case.contact;
        let mut contact = self.get_readable(&keys::contact(id))?;
        if let Some((amendment, by)) = amendment {
            let known = contact.as_mut().ok_or(StorageError::NotFound("contact"))?;
            let before = self.list(&keys::contact_versions(id), usize::MAX)?;
            let first = before.last().map_or(1, |(_, last)| last.version + 1);
            for version in known.amend(&amendment, by, Some(case.id), first, now) {
                let key = keys::contact_versions(id).number(version.version);
                self.put(&key, Owner::Contact(id), &version)?;
            }
            self.put(&keys::contact(id), Owner::Contact(id), known)?;
        }
        case.revision += 1;
        self.put(&key, Owner::Tenant, &case)?;
        let about = contact.map(|contact| (contact.conversation, id));
        for event in events {
            self.record(about, event, now)?;
        }
        Ok((case, EventSeq(self.counters.event)))
    }
}

#[async_trait]
impl Rights for SledStore {
    async fn commit_case(&self, tenant: TenantCtx, commit: CaseCommit) -> Result<(RightsCase, EventSeq)> {
        let (space, now) = (self.0.space(tenant.tenant()).await?, self.0.clock.now());
        self.0.writer.write(&space, move |tx| tx.commit_case(commit, now)).await
    }

    async fn case(&self, tenant: TenantCtx, id: CaseId) -> Result<Option<RightsCase>> {
        self.0.space(tenant.tenant()).await?.get(&keys::case(id))
    }

    async fn cases(
        &self,
        tenant: TenantCtx,
        before: Option<CaseId>,
        limit: usize,
    ) -> Result<Vec<RightsCase>> {
        let space = self.0.space(tenant.tenant()).await?;
        blocking(move || {
            let before = before.map(keys::case);
            let page = before.as_ref().map_or(Page::Last, |before| Page::Before(before.bytes()));
            Ok(space.list(&CASE.key(), page, limit)?.into_iter().map(|(_, case)| case).collect())
        })
        .await
    }

    async fn contact_at(
        &self,
        tenant: TenantCtx,
        channel: ChannelId,
        identity: ContactIdentity,
    ) -> Result<Option<ContactId>> {
        let space = self.0.space(tenant.tenant()).await?;
        let mut found = None::<ContactId>;
        for (part, value) in identity.parts() {
            let whose = space.get_readable(&super::contacts::address(&space, channel, part, value))?;
            found = whose.map(|whose| whose.contact).into_iter().chain(found).min();
        }
        Ok(found)
    }

    async fn contact_versions(&self, tenant: TenantCtx, contact: ContactId) -> Result<Vec<ContactVersion>> {
        let space = self.0.space(tenant.tenant()).await?;
        blocking(move || {
            let found = space.list(&keys::contact_versions(contact), Page::First, usize::MAX)?;
            Ok(found.into_iter().map(|(_, version)| version).collect())
        })
        .await
    }

    async fn consents(&self, tenant: TenantCtx, contact: ContactId) -> Result<Vec<Consent>> {
        let space = self.0.space(tenant.tenant()).await?;
        blocking(move || {
            let found = space.list(&keys::consents(contact), Page::First, usize::MAX)?;
            Ok(found.into_iter().map(|(_, consent)| consent).collect())
        })
        .await
    }

    async fn put_intake(&self, intake: Intake) -> Result<()> {
        let put = move |tx: &mut Tx<'_>| tx.put(&keys::intake(intake.id), Owner::Tenant, &intake);
        self.0.writer.write(&self.0.platform, put).await
    }

    async fn intake(&self, id: IntakeId) -> Result<Option<Intake>> {
        self.0.one(&keys::intake(id))
    }

    async fn forget_intakes(&self, before: Timestamp, unproven_before: Timestamp) -> Result<u64> {
        let (mut forgotten, mut last) = (0, None::<Vec<u8>>);
        loop {
            let (platform, from) = (Arc::clone(&self.0.platform), last.take());
            let read = move || {
                let page = from.as_ref().map_or(Page::First, |from| Page::After(from));
                platform.list(&INTAKE.key(), page, STEP_ROWS)
            };
            let found = blocking(read).await?;
            last = found.last().map(|(key, _)| key.to_vec()).filter(|_| found.len() == STEP_ROWS);
            let is_over = |intake: &Intake| intake.is_over(before, unproven_before);
            let gone: Vec<_> = found.into_iter().filter(|(_, it)| is_over(it)).map(|(key, _)| key).collect();
            if !gone.is_empty() {
                forgotten += gone.len() as u64;
                let remove =
                    move |tx: &mut Tx<'_>| gone.iter().try_for_each(|key| tx.remove_row(key).map(drop));
                self.0.writer.write(&self.0.platform, remove).await?;
            }
            if last.is_none() {
                return Ok(forgotten);
            }
        }
    }
}
