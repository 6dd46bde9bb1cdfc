//! How much room the disk has left, so that nothing is promised that could not be kept.
//!
//! Below a floor nothing new is taken in; what was taken in is worked off meanwhile, until so little is
//! left that the next write might find none.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use iassistance_domain::{Clock, Timestamp};

use super::disk::Disk;
use super::space::Result;
use crate::error::StorageError;

/// How old a look may be.
const LOOK_MS: u64 = 1_000;
/// The part of the floor that nothing is written into at all, and after how much that is written a new
/// look is taken.
const RESERVE_PART: u64 = 16;

/// Watches the volume of a folder.
pub(super) struct Room {
    disk: Arc<dyn Disk>,
    clock: Arc<dyn Clock>,
    folder: PathBuf,
    /// So many bytes must be free; 0 takes no look.
    floor: u64,
    seen: Mutex<Seen>,
}

struct Seen {
    at: Option<Timestamp>,
    free: u64,
    written_since: u64,
    told: bool,
}

impl Room {
    pub(super) fn new(disk: Arc<dyn Disk>, clock: Arc<dyn Clock>, folder: PathBuf, floor: u64) -> Self {
        let seen = Seen { at: None, free: u64::MAX, written_since: 0, told: false };
        Self { disk, clock, folder, floor, seen: Mutex::new(seen) }
    }

    /// Whether anything new may be taken in.
    pub(super) fn for_new(&self) -> Result<()> {
        self.above(self.floor)
    }

    /// Whether what was taken in may be worked off.
    pub(super) fn for_work(&self) -> Result<()> {
        self.above(self.floor / RESERVE_PART)
    }

    /// Whether so much more may be written, and new things taken in afterwards.
    pub(super) fn for_bytes(&self, bytes: u64) -> Result<()> {
        let needed = self.floor.saturating_add(bytes);
        let free = self.disk.free_bytes(&self.folder).unwrap_or(u64::MAX);
        if free < needed { Err(StorageError::NoRoom { free, needed }) } else { Ok(()) }
    }

    /// Takes note of bytes that were written.
    pub(super) fn wrote(&self, bytes: u64) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.written_since = seen.written_since.saturating_add(bytes);
    }

    fn above(&self, needed: u64) -> Result<()> {
        if self.floor == 0 {
            return Ok(());
        }
        let free = self.look();
        if free < needed { Err(StorageError::NoRoom { free, needed }) } else { Ok(()) }
    }

    fn look(&self) -> u64 {
        let now = self.clock.now();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let is_fresh = seen.at.is_some_and(|at| now.millis_since(at) < LOOK_MS)
            && seen.written_since < self.floor / RESERVE_PART;
        if is_fresh {
            return seen.free;
        }
        // A volume that does not tell is written to: the write says what is wrong.
        seen.free = self.disk.free_bytes(&self.folder).unwrap_or(u64::MAX);
        (seen.at, seen.written_since) = (Some(now), 0);
        if seen.told != (seen.free < self.floor) {
            seen.told = !seen.told;
            let (free, floor) = (seen.free, self.floor);
            if seen.told {
                let folder = self.folder.display();
                tracing::error!(free, floor, %folder, "the disk is nearly full: nothing new is taken in");
            } else {
                tracing::info!(free, floor, "there is room on the disk again: new things are taken in");
            }
        }
        seen.free
    }
}
