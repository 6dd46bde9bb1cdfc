//! Small files that hold keys: read only if private, replaced whole and durably.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::VaultError;

const PRIVATE: u32 = 0o600;

/// The file's bytes; `None` if there is no such file. Refused if others than its owner may use it, or if it
/// is larger than `bytes_max`.
pub(crate) fn read_private(path: &Path, bytes_max: u64) -> Result<Option<Zeroizing<Vec<u8>>>, VaultError> {
    let io = || VaultError::io(path);
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io()(error)),
    };
    let metadata = file.metadata().map_err(io())?;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(VaultError::PermissionsTooOpen { path: path.to_owned(), mode });
    }
    if metadata.len() > bytes_max {
        return Err(io()(ErrorKind::FileTooLarge.into()));
    }
    // Room for all of it at once: a buffer that moved would leave a copy behind.
    let capacity = usize::try_from(metadata.len()).unwrap_or_default() + 1;
    let mut bytes = Zeroizing::new(Vec::with_capacity(capacity));
    file.take(bytes_max).read_to_end(&mut bytes).map_err(io())?;
    Ok(Some(bytes))
}

/// Puts `bytes` in the file's place, mode 0600. After a crash the file is whole, the former or the new one; on
/// return the new one is on stable storage.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<(), VaultError> {
    let temporary = temporary(path);
    remove_leftover(path)?;
    let write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(PRIVATE).open(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    write().map_err(VaultError::io(&temporary))?;
    fs::rename(&temporary, path).map_err(VaultError::io(path))?;
    let folder = folder(path);
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(VaultError::io(folder))
}

/// Removes what a crash in [`replace`] left; tells whether there was something.
pub(crate) fn remove_leftover(path: &Path) -> Result<bool, VaultError> {
    let temporary = temporary(path);
    match fs::remove_file(&temporary) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(VaultError::io(&temporary)(error)),
    }
}

/// Keeps other processes from changing the file, until dropped (also by a crash). The lock is a file beside
/// it, since the file itself is replaced.
pub(crate) fn lock(path: &Path) -> Result<File, VaultError> {
    let lock = beside(path, "", ".lock");
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(PRIVATE)
        .open(&lock)
        .map_err(VaultError::io(&lock))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(VaultError::InUse { path: path.to_owned() }),
        Err(TryLockError::Error(error)) => Err(VaultError::io(&lock)(error)),
    }
}

pub(crate) fn temporary(path: &Path) -> PathBuf {
    beside(path, ".", ".tmp")
}

fn beside(path: &Path, before: &str, after: &str) -> PathBuf {
    let mut name = OsString::from(before);
    name.push(path.file_name().unwrap_or_default());
    name.push(after);
    path.with_file_name(name)
}

fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}
