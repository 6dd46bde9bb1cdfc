//! Opening the database, with the guards that kill and power-cut trials have shown to be needed.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use ::sled::{Config, Db, Error};

use super::disk::Disk;
use super::space::Result;
use crate::error::{OpenProblem, StorageError};

/// The format of the store as a whole. It goes up when an earlier version could not read it.
const FORMAT: u32 = 1;
const FORMAT_FILE: &str = "FORMAT";
const LOCK_FILE: &str = "LOCK";
/// sled lets go of its file a moment after it was closed: its threads hold it.
const RELEASE_MAX: Duration = Duration::from_secs(5);
const RELEASE_POLL: Duration = Duration::from_millis(5);

/// The database, and what keeps others out while it is open.
pub(super) struct Opened {
    pub(super) db: Db,
    pub(super) lock: File,
}

/// Opens the database in `folder`, or creates it. Blocking.
///
/// 1. One process at a time: a lock on the folder.
/// 2. A folder that a later version or another program wrote is left alone.
/// 3. `*.generating` is removed: a snapshot that a kill cut short; the next open would take it for
///    a whole one.
/// 4. If the database still reports corruption, its snapshots are removed and the log is read from
///    its beginning. If that fails too, nothing more is touched.
///
/// Blobs that nothing refers to any more stay: sled removes those that it knows to be stale itself,
/// and for the others nothing outside of it can tell.
pub(super) fn open(folder: &Path, cache_bytes: u64, disk: &dyn Disk) -> Result<Opened> {
    let doing = "opening the store";
    fs::create_dir_all(folder).map_err(failed(doing))?;
    let lock = lock(folder)?;
    check_format(folder, disk)?;
    remove(folder, "removed a snapshot that was cut short", |name| name.ends_with(".generating"))?;
    let db = match open_database(folder, cache_bytes) {
        Ok(db) => db,
        Err(Refusal::Other(error)) => return Err(error),
        Err(Refusal::Corruption(first)) => {
            tracing::warn!(reason = first, "the database reports corruption; trying without its snapshots");
            remove(folder, "removed a snapshot", |name| name.starts_with("snap."))?;
            open_database(folder, cache_bytes).map_err(|refusal| match refusal {
                Refusal::Other(error) => error,
                Refusal::Corruption(reason) => {
                    OpenProblem::Corrupt { path: folder.to_owned(), reason }.into()
                }
            })?
        }
    };
    Ok(Opened { db, lock })
}

fn lock(folder: &Path) -> Result<File> {
    let lock = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(folder.join(LOCK_FILE))
        .map_err(failed("locking the store"))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(OpenProblem::InUse { path: folder.to_owned() }.into()),
        Err(TryLockError::Error(error)) => Err(failed("locking the store")(error)),
    }
}

/// Reads the folder's format, or writes it where nothing is yet.
fn check_format(folder: &Path, disk: &dyn Disk) -> Result<()> {
    let doing = "reading the store's format";
    let foreign =
        |reason: &str| OpenProblem::Foreign { path: folder.to_owned(), reason: reason.to_owned() }.into();
    let path = folder.join(FORMAT_FILE);
    match fs::read_to_string(&path) {
        Ok(text) => match text.trim().parse::<u32>() {
            Ok(found) if found > FORMAT => {
                Err(OpenProblem::Newer { path: folder.to_owned(), found, known: FORMAT }.into())
            }
            Ok(FORMAT) => Ok(()),
            _ => Err(foreign("its file FORMAT holds no number of a format")),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if folder.join("db").exists() {
                return Err(foreign("it has a database and no file FORMAT"));
            }
            write_format(folder, &path, disk).map_err(failed("writing the store's format"))
        }
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            Err(foreign("its file FORMAT is no text"))
        }
        Err(error) => Err(failed(doing)(error)),
    }
}

fn write_format(folder: &Path, path: &Path, disk: &dyn Disk) -> io::Result<()> {
    // Under another name first: a FORMAT that is there is whole.
    let draft = folder.join("FORMAT.draft");
    let mut file = File::create(&draft)?;
    writeln!(file, "{FORMAT}")?;
    disk.sync_data(&file)?;
    fs::rename(draft, path)?;
    disk.sync_dir(folder)?;
    folder.parent().filter(|parent| parent.is_dir()).map_or(Ok(()), |parent| disk.sync_dir(parent))
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
