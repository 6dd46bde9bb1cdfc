//! How a store knows that the end of its log is there.
//!
//! The database takes a damaged end of its log for a write that was cut short, and is then as it was
//! before: whole, and without what came last. So the last write of a store that is closed in good order is a
//! number, and a file beside the database has the same. Whoever finds the file ahead of the record knows
//! that something that was acknowledged is gone. What was written since the last such end is not covered.

use std::fs;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Core;
use super::generation::Home;
use super::keys::CLOSED;
use super::space::{Read, Result, Space};
use super::tx::{Owner, Tx};

const CLOSED_FILE: &str = "CLOSED";

/// The number of the last good end, by the file beside the database.
pub(super) struct Closings {
    home: Home,
    by_file: AtomicU64,
}

impl Closings {
    /// Reads the file. One that cannot be read says nothing.
    pub(super) fn open(home: Home) -> Self {
        let text = fs::read_to_string(home.folder.join(CLOSED_FILE)).unwrap_or_default();
        let by_file = text.trim().parse().unwrap_or_default();
        Self { home, by_file: AtomicU64::new(by_file) }
    }

    /// Whether the end of the log is not there that was there when the store was closed.
    pub(super) fn end_is_lost(&self, platform: &Space) -> Result<bool> {
        let stored = platform.get_readable(&CLOSED.key())?.unwrap_or_default();
        Ok(stored < self.by_file.load(Ordering::Relaxed))
    }

    fn write(&self, number: u64) -> io::Result<()> {
        self.home.replace(CLOSED_FILE, &format!("{number}\n"))?;
        self.by_file.store(number, Ordering::Relaxed);
        Ok(())
    }
}

impl Core {
    /// Ends in good order: the last write says so, in the database and then beside it. Where an end was lost
    /// before, that stays to be seen until somebody has the store repaired.
    pub(super) async fn mark_closed(&self) {
        match self.closings.end_is_lost(&self.platform) {
            Ok(false) => {}
            Ok(true) | Err(_) => return,
        }
        if let Ok(number) = self.count_closing().await
            && let Err(error) = self.closings.write(number)
        {
            tracing::warn!(%error, "that the store was closed in good order could not be written down");
        }
    }

    /// Takes the end of the log for what it is.
    pub(super) async fn accept_end(&self) -> Result<()> {
        self.count_closing().await.map(drop)
    }

    async fn count_closing(&self) -> Result<u64> {
        let least = self.closings.by_file.load(Ordering::Relaxed);
        let count = move |tx: &mut Tx<'_>| {
            let number = tx.get_readable(&CLOSED.key())?.unwrap_or_default().max(least) + 1;
            tx.put(&CLOSED.key(), Owner::Tenant, &number)?;
            Ok(number)
        };
        self.writer.write(&self.platform, count).await
    }
}
