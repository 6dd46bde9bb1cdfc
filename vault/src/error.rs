//! What can go wrong, and what to do about it.

use std::io;
use std::path::{Path, PathBuf};

use iassistance_domain::id::TenantId;

/// Why the vault refused. No message holds a key, a contact's id or anything that was sealed.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// The keyring is whole, but was made with another root key.
    #[error(
        "the root key does not fit the keyring: give the one it was made or last rotated with \
         (IASSISTANCE_ROOT_KEY or the root key file)"
    )]
    WrongRootKey,
    /// The root key fits, but the keyring's content was altered or cut short.
    #[error("the keyring is damaged ({what}): restore the keyring file from its backup")]
    Damaged {
        /// Which part.
        what: String,
    },
    /// The keyring was written by a later version.
    #[error(
        "the keyring has format {found}, which this version does not know: start the version that wrote it"
    )]
    UnknownFormat {
        /// The format that the file names.
        found: u32,
    },
    /// The keyring has no key of this tenant.
    #[error("the keyring has no key of {0}: it was never created or has been destroyed")]
    NoSuchTenant(TenantId),
    /// There is a store, but no keyring for it.
    #[error(
        "the store exists but its keyring {} does not: restore the keyring file from its backup \
         (new keys could not open what is stored)",
        path.display()
    )]
    KeyringMissing {
        /// Where the keyring should be.
        path: PathBuf,
    },
    /// Another process has the keyring open.
    #[error("{} is in use by another process: stop that one first", path.display())]
    InUse {
        /// The file that is in use.
        path: PathBuf,
    },
    /// Sealed bytes that this tenant's key did not seal for this place.
    #[error(
        "what is stored in `{place}` is not authentic: it was altered, cut short, or put there from another \
         place; restore it from a backup"
    )]
    NotAuthentic {
        /// The tree, or what kind of thing it is.
        place: String,
    },
    /// The record needs another key than the one it was to be opened or sealed with.
    #[error("the key does not fit what is in `{place}`: take the key of the contact that `subject_of` names")]
    WrongKey {
        /// The tree, or what kind of thing it is.
        place: String,
    },
    /// Sealed under an epoch that is not, or no longer, in the keyring.
    #[error(
        "sealed under key epoch {epoch}, which the keyring does not hold: the epoch was retired and the data \
         with it, or the keyring is older than the store and must be restored from a later backup"
    )]
    UnknownEpoch {
        /// The epoch.
        epoch: u32,
    },
    /// The newest epoch cannot be retired.
    #[error("key epoch {epoch} is the newest one: rotate to a new epoch before retiring it")]
    EpochInUse {
        /// The epoch.
        epoch: u32,
    },
    /// More than the cipher can seal at once.
    #[error("{bytes} bytes are too many for one record: split it")]
    TooLong {
        /// The size of the plaintext.
        bytes: usize,
    },
    /// A file or folder could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which one.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Text that is not a root key.
    #[error(
        "not a root key: expected 32 random bytes as 64 hexadecimal digits or as base64; \
         make one with `openssl rand -hex 32`"
    )]
    BadRootKeyText,
    /// A file that does not hold a root key.
    #[error(
        "{} does not hold a root key: put back the file with the key (32 bytes as 64 hexadecimal digits or as \
         base64)",
        path.display()
    )]
    BadRootKeyFile {
        /// The file.
        path: PathBuf,
    },
    /// Others than its owner may read a file that holds keys.
    #[error(
        "{} is open to others than its owner (mode {mode:04o}): run `chmod 600 {}`, and if others may have \
         read it, change the key",
        path.display(),
        path.display()
    )]
    PermissionsTooOpen {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
}

impl VaultError {
    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { path: path.to_owned(), source }
    }

    pub(crate) fn damaged(what: impl Into<String>) -> Self {
        Self::Damaged { what: what.into() }
    }
}
