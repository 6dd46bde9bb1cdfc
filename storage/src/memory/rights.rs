//! What people asked about their own data.

use std::collections::BTreeMap;

use async_trait::async_trait;

use iassistance_domain::Timestamp;
use iassistance_domain::contact::ContactIdentity;
use iassistance_domain::event::{Event, EventSeq};
use iassistance_domain::id::{CaseId, ChannelId, ContactId, IntakeId};
use iassistance_domain::privacy::rights::{Consent, ConsentKind, ContactVersion, Intake, RightsCase};
use iassistance_domain::tenant::TenantCtx;

use super::handle::newest;
use super::tenant::TenantData;
use super::{MemoryStore, Result};
use crate::error::StorageError;
use crate::rights::{CaseCommit, Rights};

/// Of one tenant.
#[derive(Default)]
pub(super) struct RightsData {
    cases: BTreeMap<CaseId, RightsCase>,
    pub(super) versions: BTreeMap<(ContactId, u64), ContactVersion>,
    pub(super) consents: BTreeMap<(ContactId, u64), Consent>,
}

impl RightsData {
    pub(super) fn records(&self) -> usize {
        self.cases.len() + self.versions.len() + self.consents.len()
    }

    pub(super) fn forget_of(&mut self, contacts: &[ContactId]) -> u64 {
        let before = self.versions.len() + self.consents.len();
        self.versions.retain(|(contact, _), _| !contacts.contains(contact));
        self.consents.retain(|(contact, _), _| !contacts.contains(contact));
        (before - self.versions.len() - self.consents.len()) as u64
    }

    /// Notes what an event says of what somebody agreed to.
    pub(super) fn note(&mut self, event: &Event) {
        if let (Some(contact), Some(kind)) = (event.contact, ConsentKind::of(&event.kind)) {
            let consent = Consent { contact, seq: event.seq.0, at: event.at, kind };
            self.consents.insert((contact, event.seq.0), consent);
        }
    }
}

impl TenantData {
    fn commit_case(&mut self, commit: CaseCommit, now: Timestamp) -> Result<(RightsCase, EventSeq)> {
        let CaseCommit { mut case, amendment, events } = commit;
        let known = self.rights.cases.get(&case.id).map_or(0, |known| known.revision);
        if known != case.revision {
            return Err(StorageError::Stale);
        }
        let contact = case.contact;
        if let Some((amendment, by)) = amendment {
            let of = (contact, 0)..=(contact, u64::MAX);
            let first = self.rights.versions.range(of).next_back().map_or(1, |((_, last), _)| last + 1);
            let known = self.contacts.get_mut(&contact).ok_or(StorageError::NotFound("contact"))?;
            for version in known.amend(&amendment, by, Some(case.id), first, now) {
                self.rights.versions.insert((contact, version.version), version);
            }
        }
        case.revision += 1;
        self.rights.cases.insert(case.id, case.clone());
        let about = self.contacts.get(&contact).map(|contact| contact.conversation);
        for event in events {
            self.record(about, event, now);
        }
        Ok((case, self.publish()))
    }
}

#[async_trait]
impl Rights for MemoryStore {
    async fn commit_case(&self, tenant: TenantCtx, commit: CaseCommit) -> Result<(RightsCase, EventSeq)> {
        let now = self.0.clock.now();
        self.0.open()?.data(tenant)?.commit_case(commit, now)
    }

    async fn case(&self, tenant: TenantCtx, id: CaseId) -> Result<Option<RightsCase>> {
        Ok(self.0.open()?.data(tenant)?.rights.cases.get(&id).cloned())
    }

    async fn cases(
        &self,
        tenant: TenantCtx,
        before: Option<CaseId>,
        limit: usize,
    ) -> Result<Vec<RightsCase>> {
        let mut state = self.0.open()?;
        let rows = state.data(tenant)?.rights.cases.iter().map(|(id, case)| (*id, case));
        Ok(newest(rows, before.as_ref(), limit))
    }

    async fn contact_at(
        &self,
        tenant: TenantCtx,
        channel: ChannelId,
        identity: ContactIdentity,
    ) -> Result<Option<ContactId>> {
        Ok(self.0.open()?.data(tenant)?.named(channel, &identity).into_iter().next())
    }

    async fn contact_versions(&self, tenant: TenantCtx, contact: ContactId) -> Result<Vec<ContactVersion>> {
        let mut state = self.0.open()?;
        let versions = &state.data(tenant)?.rights.versions;
        Ok(versions.range((contact, 0)..=(contact, u64::MAX)).map(|(_, version)| version.clone()).collect())
    }

    async fn consents(&self, tenant: TenantCtx, contact: ContactId) -> Result<Vec<Consent>> {
        let mut state = self.0.open()?;
        let consents = &state.data(tenant)?.rights.consents;
        Ok(consents.range((contact, 0)..=(contact, u64::MAX)).map(|(_, consent)| *consent).collect())
    }

    async fn put_intake(&self, intake: Intake) -> Result<()> {
        self.0.open()?.intakes.insert(intake.id, intake);
        Ok(())
    }

    async fn intake(&self, id: IntakeId) -> Result<Option<Intake>> {
        Ok(self.0.open()?.intakes.get(&id).cloned())
    }

    async fn forget_intakes(&self, before: Timestamp, unproven_before: Timestamp) -> Result<u64> {
        let mut state = self.0.open()?;
        let all = state.intakes.len();
        state.intakes.retain(|_, intake| !intake.is_over(before, unproven_before));
        Ok((all - state.intakes.len()) as u64)
    }
}
