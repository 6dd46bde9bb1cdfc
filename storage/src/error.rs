//! Why storage refused.

use iassistance_domain::id::TenantId;

/// Why storage refused, and whether trying again can help.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StorageError {
    /// The tenant has more unprocessed work than it may have.
    #[error("the tenant's inbox holds {entries} entries, its limit: try again later")]
    Backlog {
        /// How many entries wait.
        entries: u64,
    },
    /// More writes wait than may wait.
    #[error("more writes are waiting than may wait: try again later")]
    Overloaded,
    /// There is no such tenant.
    #[error("there is no tenant {0}")]
    NoSuchTenant(TenantId),
    /// There is nothing of that name.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// Another tenant, or another record, has it already.
    #[error("{0} is taken already")]
    Conflict(&'static str),
    /// The conversation was changed since it was loaded: load it and decide again.
    #[error("the conversation has changed since it was loaded")]
    Stale,
    /// A record does not open with its key: it was damaged, or belongs elsewhere.
    #[error("a record of kind `{kind}` is damaged; run `iassistance doctor`")]
    Damaged {
        /// Which kind of record.
        kind: &'static str,
    },
    /// The disk failed. Nothing is acknowledged until the server is started anew.
    #[error("the disk failed while {doing}: {reason}; nothing is acknowledged any more, mend the disk and start again")]
    Disk {
        /// What was being done.
        doing: &'static str,
        /// What the system says.
        reason: String,
    },
    /// Keys could not be had.
    #[error("{0}")]
    Vault(String),
    /// The store is closing.
    #[error("the store is closing")]
    Closed,
}

impl StorageError {
    /// Whether the same command may succeed later without anybody doing anything.
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::Backlog { .. } | Self::Overloaded | Self::Stale | Self::Closed)
    }
}
