//! Why a backup, or restoring one, failed.

use std::path::PathBuf;

use iassistance_domain::id::{BackupId, TenantId};

use crate::{ContentError, StorageError};

/// Why a backup, or restoring one, failed. A backup that failed is not listed and harms no other.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// A setting or an argument cannot be right.
    #[error("{0}")]
    Settings(String),
    /// Another backup is being made.
    #[error("a backup is being made already: wait until it has ended")]
    Busy,
    /// The place of the backups failed.
    #[error("the place of the backups failed while {doing}: {reason}")]
    Place {
        /// What was being done.
        doing: &'static str,
        /// What the system or the bucket says.
        reason: String,
    },
    /// A file of a backup is not there.
    #[error(
        "the backup is not whole: its file `{file}` is missing; restore another one, or an earlier moment"
    )]
    Missing {
        /// Its name.
        file: String,
    },
    /// A file of a backup is not what was written.
    #[error("the backup is damaged: its file `{file}` {reason}; restore another one, or an earlier moment")]
    Damaged {
        /// Its name.
        file: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The identity does not open it.
    #[error(
        "the identity does not open `{file}`: it was made for {}; give the identity of one of them",
        recipients.join(", ")
    )]
    WrongIdentity {
        /// The file that was tried.
        file: String,
        /// For whom it was made.
        recipients: Vec<String>,
    },
    /// A later version wrote it.
    #[error(
        "the backup {id} has format {found} and this version knows up to {known}: use the version that wrote it"
    )]
    Newer {
        /// The backup.
        id: BackupId,
        /// Its format.
        found: u32,
        /// The latest that this version knows.
        known: u32,
    },
    /// There is none.
    #[error("there is no such backup: {0}")]
    NotFound(String),
    /// There is no room for what is restored.
    #[error("{} is there already: name a folder without a store", path.display())]
    Exists {
        /// What is there.
        path: PathBuf,
    },
    /// A folder could not be written.
    #[error("cannot write {}: {reason}", path.display())]
    Folder {
        /// The folder or file.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// Too much for the running server.
    #[error(
        "the tenant's records are more than {bytes_max} bytes (backup.tenant_bytes_max): restore it to a new \
         folder, or raise the setting"
    )]
    TooLarge {
        /// The limit.
        bytes_max: usize,
    },
    /// The tenant's keys are not there.
    #[error("the keyring has no keys of {0}: restore the keyring that belongs to the backup first")]
    NoKeys(TenantId),
    /// The tenant's conversations do not stand aside.
    #[error(
        "the conversations of {0} did not stand aside in time, or it is being restored already: try again"
    )]
    Running(TenantId),
    /// More changed during the backup than can be kept in mind.
    #[error("more changed while the backup was made than backup.changed_bytes_max allows: raise it")]
    TooMuchChanged,
    /// The store failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The files of messages failed.
    #[error(transparent)]
    Content(#[from] ContentError),
}

/// What is said when the place of the backups fails.
pub(super) fn place(doing: &'static str) -> impl Fn(object_store::Error) -> BackupError {
    move |error| BackupError::Place { doing, reason: reason_of(&error) }
}

/// What is said when a file of a backup cannot be read.
pub(super) fn unreadable(file: &str) -> impl Fn(object_store::Error) -> BackupError + '_ {
    move |error| match error {
        object_store::Error::NotFound { .. } => BackupError::Missing { file: file.to_owned() },
        error => BackupError::Place { doing: "reading a backup", reason: reason_of(&error) },
    }
}

/// The innermost reason: those around it repeat addresses and paths.
fn reason_of(error: &object_store::Error) -> String {
    let mut inner: &dyn std::error::Error = error;
    while let Some(next) = inner.source() {
        inner = next;
    }
    inner.to_string().chars().take(200).collect()
}
