//! The files of one open database, made lasting before anything is acknowledged.
//!
//! sled's own `flush` ends in `sync_file_range`, which does not reach stable storage. So after it,
//! the database's file is synced here, and so are new files of large records (`blobs/`) with their
//! folder.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::disk::Disk;

/// A folder's listing is complete only if its time had stood still for this long before it was
/// taken: two changes within one tick of the file system's clock leave the same time.
const TICK: Duration = Duration::from_millis(100);

/// The files of one open database.
pub(super) struct Files {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    db: File,
    db_path: PathBuf,
    blobs: Blobs,
    retired: bool,
}

struct Blobs {
    folder: PathBuf,
    synced: HashSet<OsString>,
    changed_at: Option<SystemTime>,
    first_seen: Instant,
    settled: bool,
}

impl Files {
    /// The files of the database in `folder`, which is open. All of them are synced.
    pub(super) fn open(disk: Arc<dyn Disk>, folder: &Path) -> io::Result<Self> {
        let blobs = Blobs {
            folder: folder.join("blobs"),
            synced: HashSet::new(),
            changed_at: None,
            first_seen: Instant::now(),
            settled: false,
        };
        let db_path = folder.join("db");
        let db = File::open(&db_path)?;
        let mut files = Self { disk, folder: folder.to_owned(), db, db_path, blobs, retired: false };
        files.disk.sync_data(&folder.join("conf"))?;
        files.sync(true)?;
        Ok(files)
    }

    /// Makes lasting what the database has written; with `folders`, also that its files are there.
    pub(super) fn sync(&mut self, folders: bool) -> io::Result<()> {
        if self.retired {
            return Ok(());
        }
        let new_blobs = self.blobs.sync_new(&*self.disk)?;
        if new_blobs || folders {
            self.disk.sync_dir(&self.blobs.folder)?;
        }
        // Always by the same handle: one that is opened later is not told of an earlier failure.
        self.disk.sync_file(&self.db, &self.db_path)?;
        if folders {
            self.disk.sync_dir(&self.folder)?;
        }
        Ok(())
    }

    /// Another database has taken their place, and has all that was written to this one, durably: there is
    /// nothing to sync any more, and they may be removed.
    pub(super) fn retire(&mut self) {
        self.retired = true;
    }
}

/// How large the files of the database in a folder are, all together, bytes.
pub(super) fn bytes_of(folder: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for folder in [folder, &folder.join("blobs")] {
        for entry in fs::read_dir(folder)? {
            match entry?.metadata() {
                Ok(file) if file.is_file() => bytes += file.len(),
                Ok(_) => {}
                // sled removes blobs and snapshots when it likes to.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(bytes)
}

impl Blobs {
    /// Syncs the files that came since the last call; says whether there were any. Costs one look at
    /// the folder's time while nothing changes.
    fn sync_new(&mut self, disk: &dyn Disk) -> io::Result<bool> {
        let changed_at = Some(fs::metadata(&self.folder)?.modified()?);
        if changed_at != self.changed_at {
            self.changed_at = changed_at;
            self.first_seen = Instant::now();
            self.settled = false;
        }
        if self.settled {
            return Ok(false);
        }
        self.settled = self.first_seen.elapsed() >= TICK;
        let mut present = HashSet::with_capacity(self.synced.len());
        let mut new = false;
        for entry in fs::read_dir(&self.folder)? {
            let name = entry?.file_name();
            if !self.synced.contains(&name) {
                match disk.sync_data(&self.folder.join(&name)) {
                    Ok(()) => {}
                    // Replaced already, by a record that this sync makes lasting as well.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    Err(error) => return Err(error),
                }
                new = true;
            }
            present.insert(name);
        }
        self.synced = present;
        Ok(new)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::super::disk::Step;
    use super::*;

    #[derive(Default)]
    struct Counting {
        files: AtomicUsize,
        folders: AtomicUsize,
    }

    impl Disk for Counting {
        fn run(&self, step: Step<'_>, work: &mut dyn FnMut() -> io::Result<()>) -> io::Result<()> {
            match step {
                Step::SyncData(_) => self.files.fetch_add(1, Ordering::Relaxed),
                Step::SyncDir(_) => self.folders.fetch_add(1, Ordering::Relaxed),
                _ => return work(),
            };
            Ok(())
        }
    }

    #[test]
    fn a_new_blob_is_synced_once_and_its_folder_with_it() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("blobs")).unwrap();
        for name in ["db", "conf", "blobs/1"] {
            fs::write(folder.path().join(name), "x").unwrap();
        }
        let disk = Arc::new(Counting::default());
        let counts = || (disk.files.swap(0, Ordering::Relaxed), disk.folders.swap(0, Ordering::Relaxed));
        let mut files = Files::open(Arc::clone(&disk) as _, folder.path()).unwrap();
        assert_eq!(counts(), (3, 2), "conf, blob and db; both folders");
        files.sync(false).unwrap();
        assert_eq!(counts(), (1, 0), "nothing but db");
        fs::write(folder.path().join("blobs/2"), "x").unwrap();
        files.sync(false).unwrap();
        assert_eq!(counts(), (2, 1), "the new blob, db; the blobs' folder");
        fs::remove_file(folder.path().join("blobs/1")).unwrap();
        files.sync(true).unwrap();
        assert_eq!(counts(), (1, 2), "db; both folders");
    }
}
