//! A disk that fails at one step, in one way.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::SystemTime;

use iassistance_storage::sled::disk::{Disk, Step};

/// In which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The step is not done, and fails.
    Refused,
    /// The step is done, and fails all the same.
    DoneAndFailed,
    /// The process ends after the step, which is before the next one: files are as the system has them.
    Kill,
    /// The power fails after the step: what was not synced is lost.
    PowerCut,
}

pub const FAULTS: [Fault; 4] = [Fault::Refused, Fault::DoneAndFailed, Fault::Kill, Fault::PowerCut];

/// Does what the machine's disk does, but waits for nothing.
pub struct NoWait;

impl Disk for NoWait {
    fn run(&self, step: Step<'_>, work: &mut dyn FnMut() -> io::Result<()>) -> io::Result<()> {
        if matches!(step, Step::SyncData(_) | Step::SyncDir(_)) { Ok(()) } else { work() }
    }
}

/// Waits for nothing either, but for its test: a rewrite is held where it flushes its copy.
#[derive(Default)]
pub struct Held {
    gate: Mutex<Option<(Sender<()>, Receiver<()>)>>,
}

impl Held {
    /// Holds the next rewrite: the first end tells that it is held, the second lets it go on.
    pub fn hold(&self) -> (Receiver<()>, Sender<()>) {
        let ((tell, told), (go, gone)) = (channel(), channel());
        *self.gate.lock().unwrap() = Some((tell, gone));
        (told, go)
    }
}

impl Disk for Held {
    fn run(&self, step: Step<'_>, work: &mut dyn FnMut() -> io::Result<()>) -> io::Result<()> {
        let rewrites = thread::current().name() == Some("storage-rewriter");
        if step == Step::Flush
            && rewrites
            && let Some((tell, go)) = self.gate.lock().unwrap().take()
        {
            tell.send(()).unwrap();
            go.recv().unwrap();
        }
        NoWait.run(step, work)
    }
}

/// Does what the machine's disk does (but does not wait for it), up to a step.
pub struct Faulty {
    /// The store's folder, and where what is left of it after a kill or a power cut goes.
    store: PathBuf,
    left: PathBuf,
    fault: Option<(usize, Fault)>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    steps: usize,
    ended: bool,
    /// What is on the disk for certain.
    contents: HashMap<Inode, Vec<u8>>,
    folders: HashMap<Inode, Vec<(String, Inode, bool)>>,
}

type Inode = (u64, SystemTime);

impl Faulty {
    pub fn new(store: PathBuf, left: PathBuf, fault: Option<(usize, Fault)>) -> Self {
        Self { store, left, fault, state: Mutex::default() }
    }

    /// How many steps were asked for.
    pub fn steps(&self) -> usize {
        self.state.lock().unwrap().steps
    }

    /// Whether it came to the fault.
    pub fn failed(&self) -> bool {
        self.fault.is_some_and(|(at, _)| self.steps() > at)
    }

    fn kill(&self) {
        copy(&self.store, &self.left);
    }
}

impl Disk for Faulty {
    fn run(&self, step: Step<'_>, work: &mut dyn FnMut() -> io::Result<()>) -> io::Result<()> {
        // One step at a time, so that a moment is one for all threads.
        let mut state = self.state.lock().unwrap();
        let number = state.steps;
        state.steps += 1;
        let gone = || Err(io::Error::other("the process has ended"));
        if state.ended {
            return gone();
        }
        let mut act = || match step {
            Step::SyncData(path) => state.sync_data(path),
            Step::SyncDir(path) => state.sync_dir(path),
            _ => work(),
        };
        let Some((_, fault)) = self.fault.filter(|(at, _)| *at == number) else { return act() };
        let failed = || Err(io::Error::from_raw_os_error(5));
        match fault {
            Fault::Refused => failed(),
            Fault::DoneAndFailed => act().and_then(|()| failed()),
            Fault::Kill => {
                act()?;
                self.kill();
                state.ended = true;
                gone()
            }
            Fault::PowerCut => {
                act()?;
                fs::create_dir_all(&self.left)?;
                state.rebuild(inode(&self.store)?, &self.left)?;
                state.ended = true;
                gone()
            }
        }
    }
}

impl State {
    fn sync_data(&mut self, path: &Path) -> io::Result<()> {
        self.contents.insert(inode(path)?, fs::read(path)?);
        Ok(())
    }

    fn sync_dir(&mut self, path: &Path) -> io::Result<()> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            // Some come and go by themselves.
            let Ok(inode) = inode(&entry.path()) else { continue };
            let name = entry.file_name().into_string().unwrap();
            entries.push((name, inode, entry.path().is_dir()));
        }
        self.folders.insert(inode(path)?, entries);
        Ok(())
    }

    /// Makes what is on the disk for certain.
    fn rebuild(&self, folder: Inode, to: &Path) -> io::Result<()> {
        for (name, inode, is_folder) in self.folders.get(&folder).into_iter().flatten() {
            let to = to.join(name);
            if *is_folder {
                fs::create_dir(&to)?;
                self.rebuild(*inode, &to)?;
            } else {
                fs::write(to, self.contents.get(inode).map_or(&[][..], |content| content))?;
            }
        }
        Ok(())
    }
}

fn inode(path: &Path) -> io::Result<Inode> {
    let file = fs::metadata(path)?;
    // Numbers are given again.
    Ok((file.ino(), file.created().unwrap_or(SystemTime::UNIX_EPOCH)))
}

pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.path().is_dir() {
            copy(&entry.path(), &to.join(entry.file_name()));
        } else {
            // Some come and go by themselves.
            let _gone = fs::copy(entry.path(), to.join(entry.file_name()));
        }
    }
}
