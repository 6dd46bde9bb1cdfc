//! Why storage refused.

use std::path::PathBuf;

use iassistance_domain::id::TenantId;

const MIB: u64 = 1_024 * 1_024;

/// Why storage refused, and whether trying again can help.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StorageError {
    /// The tenant has more unprocessed work than it may have.
    #[error("the tenant's inbox holds {entries} entries, its limit: try again later")]
    Backlog {
        /// How many entries wait.
        entries: u64,
    },
    /// All tenants together have more unprocessed work than there may be.
    #[error("the inboxes of all tenants hold {entries} entries, their limit together: try again later")]
    Crowded {
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
    /// There are as many of them as there may be.
    #[error("there may be at most {most} {what}: remove some first")]
    Full {
        /// Of what.
        what: &'static str,
        /// How many there may be.
        most: usize,
    },
    /// What this was decided on was changed since it was loaded: load it and decide again.
    #[error("what this was decided on has changed since it was loaded")]
    Stale,
    /// A record does not open with its key: it was damaged, or belongs elsewhere.
    #[error("a record of kind `{kind}` is damaged; run `iassistance doctor`")]
    Damaged {
        /// Which kind of record.
        kind: &'static str,
    },
    /// A later version wrote a record. It is left as it is.
    #[error(
        "a record of kind `{kind}` is of schema {found} and this version knows up to {known}: start the version \
         that wrote it"
    )]
    NewerRecord {
        /// Which kind of record.
        kind: &'static str,
        /// The schema that it has.
        found: u16,
        /// The latest schema of that kind that this version knows.
        known: u16,
    },
    /// The disk is nearly full. It goes on by itself when there is room again.
    #[error(
        "the disk has {} MiB left and {} MiB must be free: remove something or give it more room; it goes on by itself then",
        free / MIB,
        needed / MIB
    )]
    NoRoom {
        /// What is free, bytes.
        free: u64,
        /// What must be free for what was asked, bytes.
        needed: u64,
    },
    /// The disk failed. Nothing is acknowledged until the store is opened anew, and all of it is written
    /// anew then.
    #[error(
        "the disk failed while {doing}: {reason}; nothing is acknowledged any more until the disk is mended and the \
         store is opened anew"
    )]
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
    /// The store could not be opened.
    #[error(transparent)]
    Open(#[from] OpenProblem),
}

/// Why a store could not be opened. Nothing was changed but what the message says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenProblem {
    /// Another process has it open.
    #[error("{} is in use by another process: stop that one first, or give this one a folder of its own", path.display())]
    InUse {
        /// The store's folder.
        path: PathBuf,
    },
    /// A later version wrote it.
    #[error(
        "{} has store format {found} and this version knows up to {known}: start the version that wrote it",
        path.display()
    )]
    Newer {
        /// The store's folder.
        path: PathBuf,
        /// The format that it has.
        found: u32,
        /// The latest format that this version knows.
        known: u32,
    },
    /// The folder holds something, but not a store of this program.
    #[error("{} is no store of this program ({reason}): name another folder, or restore it from a backup", path.display())]
    Foreign {
        /// The folder.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The database refuses to open, without its snapshots too.
    #[error(
        "the database in {} does not open, neither with its snapshots nor without them ({reason}); its data was \
         left as it is: move the folder away and run `iassistance restore` with the latest backup",
        path.display()
    )]
    Corrupt {
        /// The store's folder.
        path: PathBuf,
        /// What the database says.
        reason: String,
    },
    /// The keys open nothing that is stored.
    #[error(
        "the keyring does not fit the store in {}: none of its {records} tenant records opens; give the keyring \
         that belongs to it, or restore it from its backup",
        path.display()
    )]
    WrongKeyring {
        /// The store's folder.
        path: PathBuf,
        /// How many records were tried.
        records: usize,
    },
}

impl StorageError {
    /// Whether the same command may succeed later without anybody doing anything.
    pub const fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Backlog { .. }
                | Self::Crowded { .. }
                | Self::Overloaded
                | Self::NoRoom { .. }
                | Self::Stale
                | Self::Closed
        )
    }
}
