//! The audit log: each entry sealed, and linked to the one before by a hash over what is sealed.
//!
//! An entry is sealed with a key of the chain's own, which like a contact's is wrapped by the tenant's and
//! wrapped anew when that turns: what is sealed never changes, so neither do the hashes. Around it is the
//! record, sealed as all are.

use async_trait::async_trait;
use tokio::sync::watch;

use iassistance_domain::Timestamp;
use iassistance_domain::access::{AccessOf, AccessRecord};
use iassistance_domain::audit::{AuditEntry, Checkpoint, SealedAudit};
use iassistance_domain::id::{AccessId, ContactId, TenantId};
use iassistance_vault::KeyRef;

use super::keys::{self, AUDIT, AUDIT_ENTRY, AUDIT_HEAD, AuditHead, CHECKPOINT, Key};
use super::space::{Page, Read, Result, Space, seal};
use super::tx::{Owner, Tx};
use super::{SledStore, blocking};
use crate::error::StorageError;
use crate::trail::{Trail, link};

/// What stands in a contact's place for the key of a chain: no contact has it, for it is no `UUIDv7`.
pub(super) const CHAIN_KEY: ContactId = ContactId::from_bytes(*b"the audit chain.");

/// Where an entry is sealed for.
pub(super) fn entry_key(seq: u64) -> Key<AuditEntry> {
    AUDIT_ENTRY.key().number(seq)
}

impl Tx<'_> {
    fn append_audit(&mut self, entry: AuditEntry) -> Result<u64> {
        let head = self.audit_head()?;
        let (seq, previous) = head.map_or((1, [0; 32]), |head| (head.seq + 1, head.hash));
        if !self.has(&keys::subject_key(CHAIN_KEY))? {
            self.new_subject_key(CHAIN_KEY)?;
        }
        let space = self.space;
        let subject = self.subject_key(CHAIN_KEY)?;
        let entry = AuditEntry { seq, ..entry };
        let sealed =
            seal(&space.vault, &space.name, &entry_key(seq), KeyRef::Subject(&subject), &entry)?.to_vec();
        let hash = link(space.id, seq, &previous, &sealed);
        self.put(&keys::audit(seq), Owner::Tenant, &SealedAudit { seq, sealed, previous, hash })?;
        self.put(&AUDIT_HEAD.key(), Owner::Tenant, &AuditHead { seq, hash })?;
        Ok(seq)
    }

    fn audit_head(&self) -> Result<Option<AuditHead>> {
        match self.get_readable(&AUDIT_HEAD.key())? {
            Some(head) => Ok(Some(head)),
            // It is written with every entry: where it was lost, the last entry that is stored is the last.
            None => self.space.audit_head(),
        }
    }
}

impl Space {
    /// The head as the entries tell it.
    fn audit_head(&self) -> Result<Option<AuditHead>> {
        let Some((key, sealed)) = self.rows(AUDIT.key().bytes(), Page::Last, 1)?.pop() else {
            return Ok(None);
        };
        let last = self.open_record(AUDIT, &key, &sealed)?;
        Ok(Some(AuditHead { seq: last.seq, hash: last.hash }))
    }

    fn opened(&self, sealed: Vec<SealedAudit>) -> Result<Vec<AuditEntry>> {
        let mut entries = Vec::with_capacity(sealed.len());
        for SealedAudit { seq, sealed, .. } in sealed {
            match self.open_record(AUDIT_ENTRY, entry_key(seq).bytes(), &sealed) {
                Ok(entry) => entries.push(entry),
                Err(StorageError::Damaged { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(entries)
    }
}

impl SledStore {
    async fn chain(
        &self,
        chain: Option<TenantId>,
        after: Option<u64>,
        before: Option<u64>,
        limit: usize,
    ) -> Result<(std::sync::Arc<Space>, Vec<SealedAudit>)> {
        self.0.writer.health()?;
        let space = self.0.tree(chain).await?;
        blocking(move || {
            let at = after.or(before).map(keys::audit);
            let page = match &at {
                Some(at) if after.is_some() => Page::After(at.bytes()),
                Some(at) => Page::Before(at.bytes()),
                None => Page::Last,
            };
            let rows = space.list(&AUDIT.key(), page, limit)?;
            Ok((space, rows.into_iter().map(|(_, sealed)| sealed).collect()))
        })
        .await
    }
}

#[async_trait]
impl Trail for SledStore {
    async fn append_audit(&self, chain: Option<TenantId>, entry: AuditEntry) -> Result<u64> {
        let space = self.0.tree(chain).await?;
        let seq = self.0.writer.write(&space, move |tx| tx.append_audit(entry)).await?;
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
        let (space, sealed) = self.chain(chain, None, before, limit).await?;
        space.opened(sealed)
    }

    async fn audit_after(
        &self,
        chain: Option<TenantId>,
        after: u64,
        limit: usize,
    ) -> Result<Vec<AuditEntry>> {
        let (space, sealed) = self.chain(chain, Some(after), None, limit).await?;
        space.opened(sealed)
    }

    async fn sealed_audit(
        &self,
        chain: Option<TenantId>,
        after: u64,
        limit: usize,
    ) -> Result<Vec<SealedAudit>> {
        self.chain(chain, Some(after), None, limit).await.map(|(_, sealed)| sealed)
    }

    async fn audit_head(&self, chain: Option<TenantId>) -> Result<Option<(u64, [u8; 32])>> {
        self.0.writer.health()?;
        let space = self.0.tree(chain).await?;
        let head = match space.get_readable(&AUDIT_HEAD.key())? {
            Some(head) => Some(head),
            None => space.audit_head()?,
        };
        Ok(head.map(|head| (head.seq, head.hash)))
    }

    async fn put_checkpoint(&self, checkpoint: Checkpoint) -> Result<()> {
        let space = self.0.tree(checkpoint.tenant).await?;
        let put = move |tx: &mut Tx<'_>| {
            let key = CHECKPOINT.key().number(checkpoint.seq).moment(checkpoint.at);
            tx.put(&key, Owner::Tenant, &checkpoint)
        };
        self.0.writer.write(&space, put).await
    }

    async fn checkpoints(
        &self,
        chain: Option<TenantId>,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<Checkpoint>> {
        self.0.writer.health()?;
        let space = self.0.tree(chain).await?;
        blocking(move || {
            let before = before.map(|seq| CHECKPOINT.key().number(seq));
            let page = before.as_ref().map_or(Page::Last, |before| Page::Before(before.bytes()));
            let found = space.list(&CHECKPOINT.key(), page, limit)?;
            Ok(found.into_iter().map(|(_, checkpoint)| checkpoint).collect())
        })
        .await
    }

    async fn append_access(&self, records: Vec<AccessRecord>) -> Result<()> {
        self.0.append_access(records).await
    }

    async fn access(
        &self,
        of: AccessOf,
        before: Option<AccessId>,
        limit: usize,
    ) -> Result<Vec<AccessRecord>> {
        self.0.access(of, before, limit).await
    }

    async fn shorten_access(&self, older_than: Timestamp) -> Result<usize> {
        self.0.shorten_access(older_than).await
    }

    async fn remove_access(&self, older_than: Timestamp) -> Result<usize> {
        self.0.remove_access(older_than).await
    }
}
