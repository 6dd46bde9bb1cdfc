//! A disk that dies at a failpoint, and what is found on it afterwards.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use iassistance_storage::sled::disk::{Disk, Step};

use crate::chance::Chance;
use crate::life::Dead;

const PAGE: usize = 4_096;

/// How a life ends, and so what is left of what it wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The process is killed: all that it wrote is there.
    Kill,
    /// The power goes: only what was synced is there.
    Power,
    /// The power goes while the disk writes: of what was not synced, some pages are there.
    Torn,
}

/// The disk of one life. It syncs nothing for real: what would be lasting is remembered instead.
pub struct SimDisk {
    state: Mutex<State>,
    dead: Arc<Dead>,
}

#[derive(Default)]
struct State {
    /// After how many more failpoints it dies.
    dies_in: Option<u64>,
    /// The content of files as it was last synced, by inode.
    synced: BTreeMap<u64, Vec<u8>>,
    /// The files of folders as they were last synced: names and inodes.
    listed: BTreeMap<PathBuf, BTreeMap<PathBuf, u64>>,
    /// What was lasting under names that other files were given since, which is not lasting yet.
    covered: BTreeMap<PathBuf, Vec<u8>>,
    points: u64,
}

impl SimDisk {
    pub fn new(dead: Arc<Dead>) -> Self {
        Self { state: Mutex::default(), dead }
    }

    /// What a life finds in its folder is lasting.
    pub fn find(&self, folder: &Path) {
        let mut names = BTreeMap::new();
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let inode = fs::metadata(&path).unwrap().ino();
            if path.is_dir() {
                self.find(&path);
            } else {
                let content = fs::read(&path).unwrap();
                self.state().synced.insert(inode, content);
            }
            names.insert(path, inode);
        }
        self.state().listed.insert(folder.to_owned(), names);
    }

    /// Has it die at a failpoint; 0 is the next one.
    pub fn die_in(&self, points: u64) {
        self.state().dies_in = Some(points);
    }

    /// Has it not die any more.
    pub fn live_on(&self) {
        self.state().dies_in = None;
    }

    /// How many failpoints it came to.
    pub fn points(&self) -> u64 {
        self.state().points
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// A failpoint: before or after something becomes lasting.
    fn point(&self, state: &mut State) -> io::Result<()> {
        if let Some(left) = &mut state.dies_in {
            if *left == 0 {
                self.dead.die();
            }
            *left = left.saturating_sub(1);
        }
        if self.dead.is_dead() {
            return Err(io::Error::other("the machine is off"));
        }
        state.points += 1;
        Ok(())
    }

    /// Writes into `target` what is found of `folder` by the next life.
    pub fn leave(&self, folder: &Path, target: &Path, ending: Ending, chance: &Chance) {
        fs::create_dir_all(target).unwrap();
        let mut entries: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        entries.sort();
        for path in entries {
            let target = target.join(path.file_name().unwrap());
            if path.is_dir() {
                self.leave(&path, &target, ending, chance);
            } else if let Some(content) = self.left(&path, ending, chance) {
                fs::write(&target, content).unwrap();
                fs::set_permissions(target, fs::metadata(&path).unwrap().permissions()).unwrap();
            }
        }
    }

    /// What is found of a file; nothing if it is not found.
    fn left(&self, path: &Path, ending: Ending, chance: &Chance) -> Option<Vec<u8>> {
        let (now, inode) = (fs::read(path).unwrap(), fs::metadata(path).unwrap().ino());
        let state = self.state();
        // The database makes its snapshots lasting itself, and the vault the keyring.
        let name = path.file_name().unwrap().to_string_lossy();
        let is_lasting = name.starts_with("snap.") || name.starts_with("keyring");
        if ending == Ending::Kill || is_lasting {
            return Some(now);
        }
        let is_listed =
            state.listed.get(path.parent().unwrap()).is_none_or(|names| names.get(path) == Some(&inode));
        if !is_listed && (ending == Ending::Power || chance.happens(500)) {
            return state.covered.get(path).cloned();
        }
        let synced = state.synced.get(&inode).cloned().unwrap_or_default();
        if ending == Ending::Power || synced == now {
            return Some(synced);
        }
        Some(torn(synced, &now, chance))
    }
}

/// Of each page that differs, one or the other.
fn torn(synced: Vec<u8>, now: &[u8], chance: &Chance) -> Vec<u8> {
    let mut left = synced;
    if now.len() > left.len() && chance.happens(500) {
        left.resize(now.len(), 0);
    }
    for (page, new) in left.chunks_mut(PAGE).zip(now.chunks(PAGE)) {
        if page.len() == new.len() && page != new && chance.happens(500) {
            page.copy_from_slice(new);
        }
    }
    left
}

impl Disk for SimDisk {
    fn run(&self, step: Step<'_>, work: &mut dyn FnMut() -> io::Result<()>) -> io::Result<()> {
        let mut state = self.state();
        self.point(&mut state)?;
        match step {
            Step::SyncData(path) => {
                let inode = fs::metadata(path)?.ino();
                state.synced.insert(inode, fs::read(path)?);
            }
            Step::SyncDir(path) => {
                let mut names = BTreeMap::new();
                for entry in fs::read_dir(path)? {
                    let entry = entry?;
                    names.insert(entry.path(), entry.metadata()?.ino());
                }
                state.covered.retain(|covered, _| covered.parent() != Some(path));
                state.listed.insert(path.to_owned(), names);
            }
            Step::Rename(_, to) => {
                let former = fs::metadata(to).ok().and_then(|file| state.synced.get(&file.ino()).cloned());
                if let Some(former) = former {
                    state.covered.entry(to.to_owned()).or_insert(former);
                }
                work()?;
            }
            _ => work()?,
        }
        self.point(&mut state)
    }
}
