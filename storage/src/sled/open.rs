//! Opening the database, with the guards that kill and power-cut trials have shown to be needed.

use std::fs::{self, File, TryLockError};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use ::sled::{Config, Db, Error};

use super::files::Files;
use super::generation::Home;
use super::live::{Current, leak};
use super::space::{PLATFORM, Result};
use crate::error::{OpenProblem, StorageError};

const LOCK_FILE: &str = "LOCK";
/// sled lets go of its file a moment after it was closed: its threads hold it.
const RELEASE_MAX: Duration = Duration::from_secs(5);
/// And the lock on the folder is let go with the last thread of a store.
const LOCK_MAX: Duration = Duration::from_millis(500);
const RELEASE_POLL: Duration = Duration::from_millis(5);
/// Opens the database in use, or creates it. Blocking.
///
/// 1. One process at a time: a lock on the folder.
/// 2. A folder that a later version or another program wrote is left alone; one of an earlier format
///    is brought to this one.
/// 3. What `CURRENT` names is the database; others were not finished, and are removed.
/// 4. `*.generating` is removed: a snapshot that a kill cut short; the next open would take it for
///    a whole one.
/// 5. If the database still reports corruption, its snapshots are removed and the log is read from
///    its beginning. If that fails too, nothing more is touched.
/// 6. What its files say is made lasting. After a disk has failed (`suspect`, or its mark in the folder)
///    a sync of the same files proves nothing: the system may take what it could not write for written.
///    Then all of it is written anew first, into another generation.
///
/// Blobs that nothing refers to any more stay: sled removes those that it knows to be stale itself,
/// and for the others nothing outside of it can tell. A rewrite leaves them behind.
pub(super) fn open(home: &Home, cache_bytes: u64, suspect: bool) -> Result<Current> {
    fs::create_dir_all(&home.folder).map_err(failed("opening the store"))?;
    let lock = lock(&home.folder)?;
    let mut number = home.prepare()?;
    if suspect || home.is_suspect() {
        number = home.write_anew(number)?;
    }
    let folder = home.generation(number);
    let db = open_guarded(&folder, cache_bytes)?;
    let opened = home.disk.apply(|| db.open_tree(PLATFORM)).and_then(|_| home.disk.flush(&db));
    let files = opened.map_err(failed("opening the platform's tree")).and_then(|()| files_of(home, &folder));
    let files = files.inspect_err(|_| {
        leak(&db);
        if let Err(error) = home.suspect() {
            tracing::warn!(%error, "that the disk failed could not be noted in the store's folder");
        }
    })?;
    Ok(Current { number, db, files: Arc::new(Mutex::new(files)), copy: None, _lock: lock })
}

/// Creates the database of a new generation, empty. What is in its folder goes.
pub(super) fn create(home: &Home, number: u64, cache_bytes: u64) -> Result<(Db, Files)> {
    let folder = home.generation(number);
    let doing = "creating a new database";
    home.disk.remove(&folder).map_err(failed(doing))?;
    home.disk.create_dir(&folder).map_err(failed(doing))?;
    let db = open_guarded(&folder, cache_bytes)?;
    Ok((db, files_of(home, &folder)?))
}

fn files_of(home: &Home, folder: &Path) -> Result<Files> {
    Files::open(Arc::clone(&home.disk), folder).map_err(failed("syncing the store that was opened"))
}

/// Makes lasting what a database was given.
pub(super) fn flush(home: &Home, db: &Db, files: &mut Files) -> io::Result<()> {
    home.disk.flush(db)?;
    files.sync(true)
}

fn lock(folder: &Path) -> Result<File> {
    let lock = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(folder.join(LOCK_FILE))
        .map_err(failed("locking the store"))?;
    let since = Instant::now();
    loop {
        match lock.try_lock() {
            Ok(()) => return Ok(lock),
            // A thread of a store of this process that was given up may hold it for a moment more.
            Err(TryLockError::WouldBlock) if since.elapsed() < LOCK_MAX => thread::sleep(RELEASE_POLL),
            Err(TryLockError::WouldBlock) => {
                return Err(OpenProblem::InUse { path: folder.to_owned() }.into());
            }
            Err(TryLockError::Error(error)) => return Err(failed("locking the store")(error)),
        }
    }
}

/// Opens the database in a folder with the guards.
fn open_guarded(folder: &Path, cache_bytes: u64) -> Result<Db> {
    remove(folder, "removed a snapshot that was cut short", |name| name.ends_with(".generating"))?;
    match open_database(folder, cache_bytes) {
        Ok(db) => Ok(db),
        Err(Refusal::Other(error)) => Err(error),
        Err(Refusal::Corruption(first)) => {
            tracing::warn!(reason = first, "the database reports corruption; trying without its snapshots");
            remove(folder, "removed a snapshot", |name| name.starts_with("snap."))?;
            open_database(folder, cache_bytes).map_err(|refusal| match refusal {
                Refusal::Other(error) => error,
                Refusal::Corruption(reason) => {
                    OpenProblem::Corrupt { path: folder.parent().unwrap_or(folder).to_owned(), reason }.into()
                }
            })
        }
    }
}

fn remove(folder: &Path, what: &'static str, is_meant: impl Fn(&str) -> bool) -> Result<()> {
    let doing = "removing a snapshot";
    let found: io::Result<Vec<PathBuf>> = fs::read_dir(folder)
        .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.path())).collect());
    for path in found.map_err(failed(doing))? {
        if path.file_name().and_then(|name| name.to_str()).is_some_and(&is_meant) {
            fs::remove_file(&path).map_err(failed(doing))?;
            tracing::warn!(file = %path.display(), what);
        }
    }
    Ok(())
}

enum Refusal {
    Corruption(String),
    Other(StorageError),
}

fn open_database(folder: &Path, cache_bytes: u64) -> std::result::Result<Db, Refusal> {
    // Its `mode` is left out: nothing in 0.34 reads it.
    let config = Config::new().path(folder).cache_capacity(cache_bytes).flush_every_ms(None);
    let started = Instant::now();
    loop {
        // sled panics on some kinds of damage.
        let outcome = catch_unwind(AssertUnwindSafe(|| config.open()));
        return match outcome {
            Ok(Ok(db)) => Ok(db),
            Ok(Err(Error::Io(error))) => {
                if error.to_string().contains("could not acquire lock") && started.elapsed() < RELEASE_MAX {
                    thread::sleep(RELEASE_POLL);
                    continue;
                }
                Err(Refusal::Other(failed("opening the database")(error)))
            }
            Ok(Err(error)) => Err(Refusal::Corruption(error.to_string())),
            Err(_) => Err(Refusal::Corruption("the database panicked".to_owned())),
        };
    }
}

/// What storage says when the file system fails.
pub(super) fn failed(doing: &'static str) -> impl Fn(io::Error) -> StorageError {
    move |error| StorageError::Disk { doing, reason: error.to_string() }
}
