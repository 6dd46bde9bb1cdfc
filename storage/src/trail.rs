//! What is on the record: the audit log, a chain for each tenant and one for the platform, and the access
//! log.

use async_trait::async_trait;
use sha2::{Digest, Sha256};
use tokio::sync::watch;

use iassistance_domain::Timestamp;
use iassistance_domain::access::{AccessOf, AccessRecord};
use iassistance_domain::audit::{AuditEntry, Checkpoint, SealedAudit};
use iassistance_domain::id::{AccessId, TenantId};

use crate::error::StorageError;

type Result<T> = std::result::Result<T, StorageError>;

/// What every hash of a chain begins with.
const LABEL: &[u8] = b"iassistance audit v1";

/// The hash of an entry: SHA-256 of the label, the chain (0 and 16 zeros for the platform's, 1 and the
/// tenant's id otherwise), the place (8 bytes, big-endian), the hash before and what is sealed.
pub fn link(chain: Option<TenantId>, seq: u64, previous: &[u8; 32], sealed: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(LABEL);
    hash.update([u8::from(chain.is_some())]);
    hash.update(chain.map_or([0; 16], TenantId::to_bytes));
    hash.update(seq.to_be_bytes());
    hash.update(previous);
    hash.update(sealed);
    hash.finalize().into()
}

/// What is on the record. A chain is a tenant's, or, without one, the platform's. Every command is durable
/// when it returns.
#[async_trait]
pub trait Trail: Send + Sync {
    /// Appends an entry to a chain and gives back its place; the one in the entry does not count.
    async fn append_audit(&self, chain: Option<TenantId>, entry: AuditEntry) -> Result<u64>;
    /// How many entries were appended to all chains since the store was opened, now and whenever that changes.
    fn audited(&self) -> watch::Receiver<u64>;
    /// Entries of a chain, newest first, those before `before` (without itself). One that does not open is
    /// left out here, but not in [`sealed_audit`](Self::sealed_audit).
    async fn audit(
        &self,
        chain: Option<TenantId>,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<AuditEntry>>;
    /// Entries of a chain after a place, oldest first.
    async fn audit_after(&self, chain: Option<TenantId>, after: u64, limit: usize)
    -> Result<Vec<AuditEntry>>;
    /// Entries of a chain after a place as they are sealed, oldest first: for verifying and for export. What
    /// is missing is missing here too.
    async fn sealed_audit(
        &self,
        chain: Option<TenantId>,
        after: u64,
        limit: usize,
    ) -> Result<Vec<SealedAudit>>;
    /// The place and the hash of the last entry, as the next one will be linked to it; none in a chain
    /// without entries.
    async fn audit_head(&self, chain: Option<TenantId>) -> Result<Option<(u64, [u8; 32])>>;
    /// Keeps a checkpoint, in its chain.
    async fn put_checkpoint(&self, checkpoint: Checkpoint) -> Result<()>;
    /// Checkpoints of a chain, newest first, those of a place before `before`.
    async fn checkpoints(
        &self,
        chain: Option<TenantId>,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<Checkpoint>>;

    /// Keeps requests on the record, all in one write.
    async fn append_access(&self, records: Vec<AccessRecord>) -> Result<()>;
    /// Requests, newest first, those before `before`.
    async fn access(&self, of: AccessOf, before: Option<AccessId>, limit: usize)
    -> Result<Vec<AccessRecord>>;
    /// Shortens the addresses of the oldest 1,000 requests that came before this moment and are whole; says
    /// how many it went through: when it is none, all are done.
    async fn shorten_access(&self, older_than: Timestamp) -> Result<usize>;
    /// Removes the oldest 1,000 requests that came before this moment; says how many.
    async fn remove_access(&self, older_than: Timestamp) -> Result<usize>;
}
