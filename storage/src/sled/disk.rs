//! The disk beneath the store: the one value through which everything goes that makes data lasting.
//!
//! Each step is given to [`Disk::run`] as a value, so that a disk of a test can refuse it, do it and say
//! that it failed, or do nothing from some moment on, as after a crash. What the database itself writes
//! between these steps stays between it and the system.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use ::sled::{Db, Error};

/// A step that makes data lasting, or leads there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step<'a> {
    /// The database takes a change: a batch of records, or a new tree.
    Apply,
    /// The database writes out what it took.
    Flush,
    /// A file's content is made lasting.
    SyncData(&'a Path),
    /// A folder's list of files is made lasting.
    SyncDir(&'a Path),
    /// A file is written, not lasting yet.
    Write(&'a Path),
    /// A folder is created.
    CreateDir(&'a Path),
    /// A file or a folder gets another name.
    Rename(&'a Path, &'a Path),
    /// A file, or a folder with all that is in it, is removed.
    Remove(&'a Path),
    /// The keyring gets a new tenant's keys, lasting when it returns.
    Keyring,
}

/// How the disk is told to make things lasting. Blocking. What is not written anew is what the machine
/// does.
pub trait Disk: Send + Sync + 'static {
    /// Does a step: `work` does it on the machine's disk, and says how it went.
    fn run(&self, step: Step<'_>, work: &mut dyn FnMut() -> io::Result<()>) -> io::Result<()> {
        let _ = step;
        work()
    }

    /// How many bytes the volume of this path has left for this process.
    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        let volume = rustix::fs::statvfs(path)?;
        Ok(volume.f_bavail.saturating_mul(volume.f_frsize))
    }
}

/// The machine's own disk.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemDisk;

impl Disk for SystemDisk {}

/// A probe is so large that it does not fit where no file does.
const PROBE_BYTES: usize = 256 * 1_024;
const PROBE: &str = "PROBE.draft";

/// Whether a folder's disk makes things lasting: writes a file, syncs it, reads it back and removes it.
/// Blocking.
pub fn probe(folder: &Path, disk: &dyn Disk) -> io::Result<()> {
    let (path, content) = (folder.join(PROBE), "probe of the disk\n".repeat(PROBE_BYTES / 18));
    fs::create_dir_all(folder)?;
    let written = disk.write(&path, &content).and_then(|()| disk.sync_dir(folder));
    let read = written.and_then(|()| fs::read(&path));
    let removed = disk.remove(&path);
    if read? != content.as_bytes() {
        return Err(io::Error::other("what was written is not what is read back"));
    }
    removed?;
    disk.sync_dir(folder)
}

/// The steps by name.
impl dyn Disk {
    /// Runs a step that gives something back.
    pub(super) fn run_for<R>(
        &self,
        step: Step<'_>,
        mut work: impl FnMut() -> io::Result<R>,
    ) -> io::Result<R> {
        let mut done = None;
        self.run(step, &mut || {
            done = Some(work()?);
            Ok(())
        })?;
        done.ok_or_else(|| io::Error::other("the disk did not do what it said it had done"))
    }

    /// Lets a database take a change.
    pub(super) fn apply<R>(&self, mut change: impl FnMut() -> ::sled::Result<R>) -> io::Result<R> {
        self.run_for(Step::Apply, || change().map_err(from_sled))
    }

    /// Lets a database write out what it took.
    pub(super) fn flush(&self, db: &Db) -> io::Result<()> {
        self.run(Step::Flush, &mut || db.flush().map(drop).map_err(from_sled))
    }

    /// Makes the content of a file that is open lasting.
    pub(super) fn sync_file(&self, file: &File, path: &Path) -> io::Result<()> {
        self.run(Step::SyncData(path), &mut || file.sync_data())
    }

    /// Makes the content of a file lasting.
    pub(super) fn sync_data(&self, path: &Path) -> io::Result<()> {
        self.sync_file(&File::open(path)?, path)
    }

    /// Makes a folder's list of files lasting.
    pub(super) fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.run(Step::SyncDir(path), &mut || File::open(path)?.sync_all())
    }

    /// Creates a folder, if it is not there.
    pub(super) fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.run(Step::CreateDir(path), &mut || fs::create_dir_all(path))
    }

    pub(super) fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.run(Step::Rename(from, to), &mut || fs::rename(from, to))
    }

    /// Removes a file, or a folder with all that is in it. It may be gone already.
    pub(super) fn remove(&self, path: &Path) -> io::Result<()> {
        let mut remove = || if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
        match self.run(Step::Remove(path), &mut remove) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    /// Copies a file, its content lasting; its name is not yet.
    pub(super) fn copy(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.run(Step::Write(to), &mut || fs::copy(from, to).map(drop))?;
        self.sync_data(to)
    }

    /// Writes a small file whole, its content lasting; its name is not yet.
    pub(super) fn write(&self, path: &Path, content: &str) -> io::Result<()> {
        let mut write = || {
            let mut file = File::create(path)?;
            file.write_all(content.as_bytes())?;
            Ok(file)
        };
        let file = self.run_for(Step::Write(path), &mut write)?;
        self.sync_file(&file, path)
    }
}

fn from_sled(error: Error) -> io::Error {
    match error {
        Error::Io(error) => error,
        other => io::Error::other(other),
    }
}
