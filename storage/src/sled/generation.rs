//! The store's folder: its format, and which of the databases in it is the one in use.
//!
//! ```text
//! FORMAT      the format of the whole: an earlier version leaves the folder alone
//! LOCK        one process at a time
//! CURRENT     the name of the folder whose database is in use
//! gen-1/ …    databases: one, and while it is rewritten the next one
//! CLOSED      which end in good order was the last
//! UNSYNCED    is there after a disk failed: what the files say may not be on the disk
//! ```
//!
//! A database that is written is only used once `CURRENT` names it, and `CURRENT` changes in one step.
//! So whatever interrupts a rewrite or the move from format 1, the next start knows what counts.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::disk::Disk;
use super::files;
use super::open::failed;
use super::space::Result;
use crate::error::{OpenProblem, StorageError};

/// The format of the store as a whole. It goes up when an earlier version could not read it.
///
/// 1. The database lay in the folder itself.
/// 2. It lies in a folder of its own that `CURRENT` names.
const FORMAT: u32 = 2;
const FORMAT_FILE: &str = "FORMAT";
const CURRENT: &str = "CURRENT";
const UNSYNCED: &str = "UNSYNCED";
/// Ends the names of files that are not whole yet.
const DRAFT: &str = ".draft";
const FOLDER: &str = "gen-";

/// A store's folder, which nobody else has open.
#[derive(Clone)]
pub(super) struct Home {
    pub(super) folder: PathBuf,
    pub(super) disk: Arc<dyn Disk>,
}

impl Home {
    /// Reads the format, or writes it where nothing is yet, and finds the generation in use. A store of
    /// an earlier format becomes one of this format.
    pub(super) fn prepare(&self) -> Result<u64> {
        self.check_format()?;
        let current = match self.current()? {
            Some(current) => current,
            None => self.adopt()?,
        };
        self.remove_others(current)?;
        Ok(current)
    }

    /// The folder of a generation.
    pub(super) fn generation(&self, number: u64) -> PathBuf {
        self.folder.join(format!("{FOLDER}{number}"))
    }

    /// Makes a generation the one in use. When this fails, nobody knows which is.
    pub(super) fn switch(&self, number: u64) -> io::Result<()> {
        self.replace(CURRENT, &format!("{FOLDER}{number}\n"))
    }

    /// Leaves word that what the files say may not be on the disk.
    pub(super) fn suspect(&self) -> io::Result<()> {
        self.replace(UNSYNCED, "a disk failed: what is read here may be in memory only\n")
    }

    pub(super) fn is_suspect(&self) -> bool {
        self.folder.join(UNSYNCED).exists()
    }

    /// Takes the word back: everything was written anew.
    pub(super) fn trust(&self) -> io::Result<()> {
        self.disk.remove(&self.folder.join(UNSYNCED))?;
        self.disk.sync_dir(&self.folder)
    }

    /// Copies the database in use, as the system has it, into a new generation, durably, and puts that in
    /// its place. Its snapshots stay behind: the log tells all. Whoever still has the old files open in this
    /// process holds nothing up.
    pub(super) fn write_anew(&self, number: u64) -> Result<u64> {
        let doing = "writing the store anew after a disk failed";
        let (old, new) = (self.generation(number), self.generation(number + 1));
        let needed = files::bytes_of(&old).map_err(failed(doing))?;
        let free = self.disk.free_bytes(&self.folder).unwrap_or(u64::MAX);
        if free < needed {
            return Err(StorageError::NoRoom { free, needed });
        }
        tracing::warn!(bytes = needed, "a disk failed before: the store is written anew before it is served");
        let write = || {
            let copied = [(old.clone(), new.clone()), (old.join("blobs"), new.join("blobs"))];
            for (old, new) in &copied {
                self.disk.create_dir(new)?;
                for name in names(old)?.iter().filter(|name| !name.starts_with("snap.")) {
                    if old.join(name).is_file() {
                        self.disk.copy(&old.join(name), &new.join(name))?;
                    }
                }
            }
            self.disk.sync_dir(&copied[1].1)?;
            self.disk.sync_dir(&new)?;
            self.disk.sync_dir(&self.folder)?;
            self.switch(number + 1)?;
            self.trust()
        };
        write().map_err(failed(doing))?;
        self.remove_others(number + 1)?;
        Ok(number + 1)
    }

    /// Writes a small file in one step: it is there whole, or as it was before.
    pub(super) fn replace(&self, name: &str, content: &str) -> io::Result<()> {
        let draft = self.folder.join(format!("{name}{DRAFT}"));
        self.disk.write(&draft, content)?;
        self.disk.rename(&draft, &self.folder.join(name))?;
        self.disk.sync_dir(&self.folder)
    }

    fn check_format(&self) -> Result<()> {
        let path = || self.folder.clone();
        let foreign = |reason: &str| OpenProblem::Foreign { path: path(), reason: reason.to_owned() }.into();
        match fs::read_to_string(self.folder.join(FORMAT_FILE)) {
            Ok(text) => match text.trim().parse::<u32>() {
                Ok(found) if found > FORMAT => {
                    Err(OpenProblem::Newer { path: path(), found, known: FORMAT }.into())
                }
                Ok(FORMAT) => Ok(()),
                // First, so that a version that knows no generations never sees a folder without a database.
                Ok(1) => self.write_format(),
                _ => Err(foreign("its file FORMAT holds no number of a format")),
            },
            Err(error) if error.kind() == ErrorKind::NotFound => {
                if ["db", CURRENT].iter().any(|name| self.folder.join(name).exists()) {
                    return Err(foreign("it has a database and no file FORMAT"));
                }
                self.write_format()
            }
            Err(error) if error.kind() == ErrorKind::InvalidData => {
                Err(foreign("its file FORMAT is no text"))
            }
            Err(error) => Err(failed("reading the store's format")(error)),
        }
    }

    fn write_format(&self) -> Result<()> {
        let write = || {
            self.replace(FORMAT_FILE, &format!("{FORMAT}\n"))?;
            let above = self.folder.parent().filter(|parent| parent.is_dir());
            above.map_or(Ok(()), |parent| self.disk.sync_dir(parent))
        };
        write().map_err(failed("writing the store's format"))
    }

    /// The generation that is named as the one in use.
    fn current(&self) -> Result<Option<u64>> {
        match fs::read_to_string(self.folder.join(CURRENT)) {
            Ok(text) => match number_of(text.trim()).filter(|number| self.generation(*number).is_dir()) {
                Some(number) => Ok(Some(number)),
                None => Err(OpenProblem::Foreign {
                    path: self.folder.clone(),
                    reason: "its file CURRENT names no folder that is there".to_owned(),
                }
                .into()),
            },
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed("reading which database is in use")(error)),
        }
    }

    /// Makes the first generation of what lies in the folder itself: the database of format 1, what is
    /// left of it when that was interrupted before, or nothing yet.
    fn adopt(&self) -> Result<u64> {
        const FIRST: u64 = 1;
        let present = self.generations()?;
        if present.iter().any(|number| *number != FIRST) {
            return Err(OpenProblem::Foreign {
                path: self.folder.clone(),
                reason: "its file CURRENT, which names the database in use, is missing".to_owned(),
            }
            .into());
        }
        let first = self.generation(FIRST);
        let adopt = || {
            self.disk.create_dir(&first)?;
            let mut moved = 0_usize;
            for name in names(&self.folder)? {
                if ["db", "conf", "blobs"].contains(&&*name) || name.starts_with("snap.") {
                    self.disk.rename(&self.folder.join(&name), &first.join(&name))?;
                    moved += 1;
                }
            }
            self.disk.sync_dir(&first)?;
            self.switch(FIRST)?;
            Ok(moved)
        };
        let moved = adopt().map_err(failed("giving the database a folder of its own"))?;
        if moved > 0 {
            tracing::info!("the store has format {FORMAT} now: earlier versions do not open it any more");
        }
        Ok(FIRST)
    }

    /// Removes what an interrupted rewrite left.
    fn remove_others(&self, current: u64) -> Result<()> {
        let others = self.generations()?.into_iter().filter(|number| *number != current);
        let others = others.map(|number| self.generation(number));
        let drafts = names(&self.folder).map_err(failed("looking into the store's folder"))?;
        let drafts = drafts.into_iter().filter(|name| name.ends_with(DRAFT));
        let drafts = drafts.map(|name| self.folder.join(name));
        for left in others.chain(drafts) {
            self.disk.remove(&left).map_err(failed("removing what was not finished"))?;
            tracing::info!(path = %left.display(), "removed what an interrupted rewrite left");
        }
        Ok(())
    }

    fn generations(&self) -> Result<Vec<u64>> {
        let names = names(&self.folder).map_err(failed("looking into the store's folder"))?;
        Ok(names.iter().filter_map(|name| number_of(name)).collect())
    }
}

fn number_of(name: &str) -> Option<u64> {
    name.strip_prefix(FOLDER)?.parse().ok()
}

/// What is in a folder. A name that is no text is none of ours.
fn names(folder: &Path) -> io::Result<Vec<String>> {
    let names = fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name().into_string().ok()));
    names.filter_map(io::Result::transpose).collect()
}

#[cfg(test)]
mod tests {
    use super::super::disk::SystemDisk;
    use super::*;

    fn home() -> (tempfile::TempDir, Home) {
        let folder = tempfile::tempdir().unwrap();
        let home = Home { folder: folder.path().to_owned(), disk: Arc::new(SystemDisk) };
        (folder, home)
    }

    #[test]
    fn a_new_folder_begins_with_the_first_generation() {
        let (_kept, home) = home();
        assert_eq!(home.prepare().unwrap(), 1);
        assert_eq!(fs::read_to_string(home.folder.join("FORMAT")).unwrap(), "2\n");
        assert_eq!(fs::read_to_string(home.folder.join("CURRENT")).unwrap(), "gen-1\n");
        assert_eq!(home.prepare().unwrap(), 1, "and stays there");
    }

    #[test]
    fn what_counts_is_what_current_names() {
        let (_kept, home) = home();
        home.prepare().unwrap();
        for number in [2, 3] {
            fs::create_dir(home.generation(number)).unwrap();
        }
        fs::write(home.folder.join("CURRENT.draft"), "gen-3").unwrap();
        assert_eq!(home.prepare().unwrap(), 1);
        assert_eq!(home.generations().unwrap(), [1], "what was not finished is gone");
        fs::create_dir(home.generation(2)).unwrap();
        home.switch(2).unwrap();
        assert_eq!(home.prepare().unwrap(), 2);
        assert_eq!(home.generations().unwrap(), [2]);
    }

    #[test]
    fn a_folder_that_does_not_say_what_counts_is_left_alone() {
        let (_kept, home) = home();
        home.prepare().unwrap();
        fs::create_dir(home.generation(2)).unwrap();
        fs::remove_file(home.folder.join("CURRENT")).unwrap();
        let refused = home.prepare().unwrap_err();
        assert!(matches!(refused, StorageError::Open(OpenProblem::Foreign { .. })), "{refused}");
        fs::write(home.folder.join("CURRENT"), "gen-7").unwrap();
        let refused = home.prepare().unwrap_err();
        assert!(matches!(refused, StorageError::Open(OpenProblem::Foreign { .. })), "{refused}");
        assert!(home.generation(1).is_dir() && home.generation(2).is_dir());
    }

    #[test]
    fn the_first_format_is_moved_wherever_that_was_interrupted() {
        let files = ["db", "conf", "snap.1", "blobs/7"];
        for moved in 0..=files.len() {
            let (_kept, home) = home();
            fs::write(home.folder.join("FORMAT"), if moved == 0 { "1\n" } else { "2\n" }).unwrap();
            for folder in ["blobs", "gen-1/blobs"] {
                if moved > 0 || folder == "blobs" {
                    fs::create_dir_all(home.folder.join(folder)).unwrap();
                }
            }
            if moved > 0 {
                fs::remove_dir(home.folder.join(if moved == files.len() { "blobs" } else { "gen-1/blobs" }))
                    .unwrap();
            }
            for (index, name) in files.iter().enumerate() {
                let path = if index < moved { format!("gen-1/{name}") } else { (*name).to_owned() };
                fs::write(home.folder.join(path), name).unwrap();
            }
            assert_eq!(home.prepare().unwrap(), 1);
            for name in files {
                assert_eq!(fs::read_to_string(home.generation(1).join(name)).unwrap(), name);
                assert!(!home.folder.join(name).exists());
            }
        }
    }
}
