//! The audit log and the access log.

use std::collections::{BTreeMap, HashMap};

use async_trait::async_trait;
use tokio::sync::watch;

use iassistance_domain::Timestamp;
use iassistance_domain::access::{AccessOf, AccessRecord};
use iassistance_domain::audit::{AuditEntry, Checkpoint, SealedAudit};
use iassistance_domain::id::{AccessId, TenantId};

use super::handle::newest;
use super::{MemoryStore, Result, State};
use crate::error::StorageError;
use crate::limits::LOG_ROWS;
use crate::trail::{Trail, link};

#[derive(Default)]
struct Chain {
    entries: BTreeMap<u64, (AuditEntry, SealedAudit)>,
    checkpoints: BTreeMap<(u64, Timestamp), Checkpoint>,
}

#[derive(Default)]
pub(super) struct TrailData {
    chains: HashMap<Option<TenantId>, Chain>,
    access: BTreeMap<AccessId, AccessRecord>,
    shortened: Option<AccessId>,
}

impl State {
    fn chain(&mut self, chain: Option<TenantId>) -> Result<&mut Chain> {
        match chain.filter(|tenant| !self.tenants.contains_key(tenant)) {
            Some(nobody) => Err(StorageError::NoSuchTenant(nobody)),
            None => Ok(self.trail.chains.entry(chain).or_default()),
        }
    }
}

#[async_trait]
impl Trail for MemoryStore {
    async fn append_audit(&self, chain: Option<TenantId>, entry: AuditEntry) -> Result<u64> {
        let mut state = self.0.open()?;
        let its = state.chain(chain)?;
        let (seq, previous) =
            its.entries.last_key_value().map_or((1, [0; 32]), |(seq, (_, last))| (seq + 1, last.hash));
        let entry = AuditEntry { seq, ..entry };
        // Nothing is sealed here.
        let sealed = serde_json::to_vec(&entry).map_err(|_| StorageError::Damaged { kind: "audit_entry" })?;
        let hash = link(chain, seq, &previous, &sealed);
        its.entries.insert(seq, (entry, SealedAudit { seq, sealed, previous, hash }));
        self.0.audited.send_modify(|count| *count += 1);
        Ok(seq)
    }

    fn audited(&self) -> watch::Receiver<u64> {
        self.0.audited.subscribe()
    }

    async fn audit(
        &self,
        chain: Option<TenantId>,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<AuditEntry>> {
        let mut state = self.0.open()?;
        let entries = state.chain(chain)?.entries.iter().map(|(seq, (entry, _))| (seq, entry));
        Ok(newest(entries, before.as_ref().as_ref(), limit))
    }

    async fn audit_after(
        &self,
        chain: Option<TenantId>,
        after: u64,
        limit: usize,
    ) -> Result<Vec<AuditEntry>> {
        let mut state = self.0.open()?;
        let entries = state.chain(chain)?.entries.values();
        Ok(entries.map(|(entry, _)| entry).filter(|it| it.seq > after).take(limit).cloned().collect())
    }

    async fn sealed_audit(
        &self,
        chain: Option<TenantId>,
        after: u64,
        limit: usize,
    ) -> Result<Vec<SealedAudit>> {
        let mut state = self.0.open()?;
        let entries = state.chain(chain)?.entries.values();
        Ok(entries.map(|(_, sealed)| sealed).filter(|it| it.seq > after).take(limit).cloned().collect())
    }

    async fn audit_head(&self, chain: Option<TenantId>) -> Result<Option<(u64, [u8; 32])>> {
        let mut state = self.0.open()?;
        let last = state.chain(chain)?.entries.last_key_value();
        Ok(last.map(|(seq, (_, sealed))| (*seq, sealed.hash)))
    }

    async fn put_checkpoint(&self, checkpoint: Checkpoint) -> Result<()> {
        let mut state = self.0.open()?;
        let its = state.chain(checkpoint.tenant)?;
        its.checkpoints.insert((checkpoint.seq, checkpoint.at), checkpoint);
        Ok(())
    }

    async fn checkpoints(
        &self,
        chain: Option<TenantId>,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<Checkpoint>> {
        let mut state = self.0.open()?;
        let earlier = |checkpoint: &&Checkpoint| before.is_none_or(|before| checkpoint.seq < before);
        Ok(state.chain(chain)?.checkpoints.values().rev().filter(earlier).take(limit).cloned().collect())
    }

    async fn append_access(&self, records: Vec<AccessRecord>) -> Result<()> {
        self.0.open()?.trail.access.extend(records.into_iter().map(|record| (record.id, record)));
        Ok(())
    }

    async fn access(
        &self,
        of: AccessOf,
        before: Option<AccessId>,
        limit: usize,
    ) -> Result<Vec<AccessRecord>> {
        let state = self.0.open()?;
        let wanted = state.trail.access.iter().filter(|(_, record)| match of {
            AccessOf::All => true,
            AccessOf::Account(account) => record.account() == Some(account),
            AccessOf::Tenant(tenant) => record.tenant == Some(tenant),
        });
        Ok(newest(wanted, before.as_ref().as_ref(), limit))
    }

    async fn shorten_access(&self, older_than: Timestamp) -> Result<usize> {
        let trail = &mut self.0.open()?.trail;
        let shortened = trail.shortened;
        let old = trail.access.iter_mut().filter(|(id, _)| Some(**id) > shortened).take(LOG_ROWS);
        let mut count = 0;
        for (id, record) in old.take_while(|(_, record)| record.at < older_than) {
            *record = record.clone().shortened();
            trail.shortened = Some(*id);
            count += 1;
        }
        Ok(count)
    }

    async fn remove_access(&self, older_than: Timestamp) -> Result<usize> {
        let access = &mut self.0.open()?.trail.access;
        let mut count = 0;
        while count < LOG_ROWS
            && let Some(oldest) = access.first_entry()
            && oldest.get().at < older_than
        {
            oldest.remove();
            count += 1;
        }
        Ok(count)
    }
}
