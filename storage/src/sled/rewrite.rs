//! Keeps the files small: sled never gives the space of what is deleted back by itself, so when the files
//! have become much larger than what is alive in them, everything is written into a new database, while
//! the store is read and written as ever.
//!
//! ```text
//! copy a piece ▸ let who waits write (to both) ▸ copy a piece … ▸ sync ▸ CURRENT names the new one ▸
//! everybody goes over to it ▸ the old one is removed
//! ```
//!
//! Until `CURRENT` names the new one nothing depends on it: what goes wrong before costs nothing but
//! another try later.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::{oneshot, watch};

use super::copy::{Copy, Counted, trees_of};
use super::files::{self, Files};
use super::generation::Home;
use super::live::{Current, Live, leak};
use super::open::{self, failed};
use super::room::Room;
use super::space::{Result, broken};
use super::writer::Health;
use crate::Limits;
use crate::error::StorageError;

/// After so many rows or bytes that were written a look at the files is taken.
const LOOK_ROWS: u64 = 4_096;
const LOOK_BYTES: (u64, u64) = (64 * 1_024, 4 * 1_024 * 1_024);
/// The part of the smallest files that are rewritten, after which a look is taken.
const LOOK_PART: u64 = 16;
/// How long others may write between two pieces: so many times as long as the piece took, and this at least. Not
/// longer: what is written meanwhile makes the files larger, the new ones beside the old ones.
const PAUSE_TIMES: u32 = 2;
const PAUSE_MIN: Duration = Duration::from_millis(1);
/// So much of a copy is flushed at a time.
const FLUSH_BYTES: u64 = 256 * 1_024;
/// Rows that are counted at a time.
const COUNT_ROWS: usize = 512;
/// What is alive is counted again once the files are too large for what it was and grew by this part, or
/// this part of the rows changed.
const COUNT_GROWN_PART: u64 = 16;
const COUNT_ROWS_PART: u64 = 4;
const COUNT_ROWS_MIN: u64 = 1_000;
/// A database that is large from the beginning is written anew only once it is so much larger again.
const FRESH_FACTOR: f64 = 1.4;
/// One that was written to while it was made is large by that too, and is given so much more room at most: much of it
/// is dead already, but to write everything anew at once would be felt by those who still write as much.
const DISTURBED_FACTOR: f64 = 1.05;
/// How often a writing thread that waits for the database is looked after.
const NUDGE: Duration = Duration::from_secs(2);
/// Wishes that wait.
const ASKED_MAX: usize = 4;

/// What a rewrite came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rewritten {
    /// The files before it, bytes.
    pub before_bytes: u64,
    /// The files after it, bytes.
    pub after_bytes: u64,
    /// What is alive in them: keys and sealed records, bytes.
    pub live_bytes: u64,
    /// How many records these are.
    pub rows: u64,
}

enum Ask {
    Look,
    Now(oneshot::Sender<Result<Rewritten>>),
}

/// The way to the thread that rewrites.
pub(super) struct Rewriter {
    asks: SyncSender<Ask>,
    shared: Arc<Shared>,
    look_bytes: u64,
    ended: watch::Receiver<bool>,
}

#[derive(Default)]
struct Shared {
    ending: AtomicBool,
    /// A look waits already: one more would see the same, and take the place of a wish.
    look_waits: AtomicBool,
    rows_written: AtomicU64,
    rows_looked: AtomicU64,
    bytes_written: AtomicU64,
    bytes_looked: AtomicU64,
}

/// What the thread works with.
pub(super) struct Parts {
    pub(super) live: Arc<Live>,
    pub(super) home: Home,
    pub(super) health: Arc<Health>,
    pub(super) room: Arc<Room>,
    pub(super) limits: Limits,
}

impl Rewriter {
    pub(super) fn start(parts: Parts) -> Result<Self> {
        let (asks, asked) = sync_channel(ASKED_MAX);
        let shared = Arc::new(Shared::default());
        let (end, ended) = watch::channel(false);
        let look_bytes = (parts.limits.rewrite_bytes_min / LOOK_PART).clamp(LOOK_BYTES.0, LOOK_BYTES.1);
        let mut thread = Thread { parts, shared: Arc::clone(&shared), measured: None };
        thread::Builder::new()
            .name("storage-rewriter".to_owned())
            .spawn(move || {
                thread.run(&asked);
                drop(thread);
                end.send_replace(true);
            })
            .map_err(failed("starting the rewriting thread"))?;
        let rewriter = Self { asks, shared, look_bytes, ended };
        rewriter.look();
        Ok(rewriter)
    }

    /// Takes note of what was written; now and then a look at the files follows.
    pub(super) fn wrote(&self, rows: u64, bytes: u64) {
        let shared = &self.shared;
        let rows = shared.rows_written.fetch_add(rows, Ordering::Relaxed) + rows;
        let bytes = shared.bytes_written.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let bytes_unlooked = bytes.saturating_sub(shared.bytes_looked.load(Ordering::Relaxed));
        let rows_unlooked = rows.saturating_sub(shared.rows_looked.load(Ordering::Relaxed));
        if bytes_unlooked >= self.look_bytes || rows_unlooked >= LOOK_ROWS {
            self.look();
        }
    }

    /// Rewrites at once.
    pub(super) async fn rewrite(&self) -> Result<Rewritten> {
        let (answer, answered) = oneshot::channel();
        self.asks.try_send(Ask::Now(answer)).map_err(|_| StorageError::Overloaded)?;
        answered.await.unwrap_or(Err(StorageError::Closed))
    }

    /// Breaks off what is under way, and returns when the thread has ended.
    pub(super) async fn close(&self) {
        self.end();
        let mut ended = self.ended.clone();
        // An error means that the thread has gone, which is what is waited for.
        let _gone = ended.wait_for(|ended| *ended).await;
    }

    fn look(&self) {
        let shared = &self.shared;
        shared.rows_looked.store(shared.rows_written.load(Ordering::Relaxed), Ordering::Relaxed);
        shared.bytes_looked.store(shared.bytes_written.load(Ordering::Relaxed), Ordering::Relaxed);
        if !shared.look_waits.swap(true, Ordering::AcqRel) && self.asks.try_send(Ask::Look).is_err() {
            shared.look_waits.store(false, Ordering::Release);
        }
    }

    fn end(&self) {
        self.shared.ending.store(true, Ordering::Release);
        self.look();
    }
}

impl Drop for Rewriter {
    fn drop(&mut self) {
        self.end();
    }
}

struct Thread {
    parts: Parts,
    shared: Arc<Shared>,
    measured: Option<Measured>,
}

/// What was alive when it was counted last.
struct Measured {
    live: Counted,
    size: u64,
    rows_written: u64,
    /// How large the files were when they were new, without what was written while they were made; 0 where
    /// they have not been written anew yet.
    fresh_bytes: u64,
    /// The same with it.
    made_bytes: u64,
}

impl Thread {
    fn run(&mut self, asked: &Receiver<Ask>) {
        loop {
            let ask = match asked.recv_timeout(NUDGE) {
                Ok(ask) => ask,
                Err(RecvTimeoutError::Timeout) => {
                    self.nudge();
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => return,
            };
            if matches!(ask, Ask::Look) {
                // Before the end is asked for: whoever ends it either finds this look waiting or sends another.
                self.shared.look_waits.swap(false, Ordering::AcqRel);
            }
            if self.shared.ending.load(Ordering::Acquire) {
                return;
            }
            match ask {
                Ask::Look => match self.guarded(Self::look) {
                    Ok(()) | Err(StorageError::Closed) => {}
                    Err(error) => {
                        tracing::warn!(%error, "the store was not rewritten; a later look tries again");
                    }
                },
                Ask::Now(answer) => {
                    let rewritten = self.guarded(|thread| thread.rewrite(None));
                    // Whoever asked may have gone.
                    let _gone = answer.send(rewritten);
                }
            }
        }
    }

    /// sled does not always wake who waits for a write that fails. Another one that flushes does.
    fn nudge(&self) {
        if self.parts.health.busy_for() >= NUDGE
            && let Ok((db, _)) = self.parts.live.database()
            && let Err(error) = self.parts.home.disk.flush(&db)
        {
            tracing::warn!(%error, "the database does not write");
        }
    }

    /// sled may panic; here that costs the new database, and nothing else.
    fn guarded<R>(&mut self, work: impl FnOnce(&mut Self) -> Result<R>) -> Result<R> {
        catch_unwind(AssertUnwindSafe(|| work(self))).unwrap_or_else(|_| {
            self.abandon();
            let reason = "the rewriting thread panicked".to_owned();
            Err(StorageError::Disk { doing: "rewriting the store", reason })
        })
    }

    /// Looks at the files; counts what is alive if they may have become too large, and rewrites if so.
    fn look(&mut self) -> Result<()> {
        let limits = &self.parts.limits;
        let (ratio, min) = (limits.rewrite_ratio, limits.rewrite_bytes_min);
        let size = self.size()?;
        metrics::gauge!("iassistance_storage_file_bytes").set(float(size));
        let rows_written = self.shared.rows_written.load(Ordering::Relaxed);
        if ratio <= 0.0 || size < min || !self.is_unknown(size, rows_written) {
            return Ok(());
        }
        let live = self.count()?;
        metrics::gauge!("iassistance_storage_live_bytes").set(float(live.bytes));
        let (fresh_bytes, made_bytes) =
            self.measured.as_ref().map_or((0, 0), |measured| (measured.fresh_bytes, measured.made_bytes));
        self.measured = Some(Measured { live, size, rows_written, fresh_bytes, made_bytes });
        if self.is_too_large(size) {
            self.rewrite(Some(live))?;
        }
        Ok(())
    }

    fn is_unknown(&self, size: u64, rows_written: u64) -> bool {
        self.measured.as_ref().is_none_or(|measured| {
            let grown = size > measured.size + measured.size / COUNT_GROWN_PART;
            grown && self.is_too_large(size)
                || rows_written - measured.rows_written
                    > (measured.live.rows / COUNT_ROWS_PART).max(COUNT_ROWS_MIN)
        })
    }

    /// Whether the files are too large for what was alive when it was counted last.
    fn is_too_large(&self, size: u64) -> bool {
        self.measured.as_ref().is_some_and(|measured| {
            let allowed = float(measured.live.bytes) * self.parts.limits.rewrite_ratio;
            let fresh = float(measured.fresh_bytes) * FRESH_FACTOR;
            let disturbed = (float(measured.made_bytes) * FRESH_FACTOR).min(allowed * DISTURBED_FACTOR);
            float(size) > allowed.max(fresh).max(disturbed)
        })
    }

    fn size(&self) -> Result<u64> {
        let (_, number) = self.parts.live.database()?;
        let folder = self.parts.home.generation(number);
        files::bytes_of(&folder).map_err(failed("looking at the store's files"))
    }

    fn count(&self) -> Result<Counted> {
        let (db, _) = self.parts.live.database()?;
        let mut counted = Counted::default();
        for name in trees_of(&db) {
            let tree = db.open_tree(name).map_err(broken("counting what is alive"))?;
            let mut began = Instant::now();
            for (number, row) in tree.iter().enumerate() {
                let (key, value) = row.map_err(broken("counting what is alive"))?;
                counted.add(&key, &value);
                if number % COUNT_ROWS == COUNT_ROWS - 1 {
                    self.go_on()?;
                    pause(began);
                    began = Instant::now();
                }
            }
        }
        Ok(counted)
    }

    fn go_on(&self) -> Result<()> {
        if self.shared.ending.load(Ordering::Acquire) {
            return Err(StorageError::Closed);
        }
        self.parts.health.check()
    }

    fn rewrite(&mut self, live: Option<Counted>) -> Result<Rewritten> {
        let Parts { live: shared, home, room, limits, .. } = &self.parts;
        let before_bytes = self.size()?;
        let expected = live.map_or(before_bytes, |live| live.bytes);
        room.for_bytes(expected.saturating_add(expected / 2))?;
        let (_, number) = shared.database()?;
        let bytes_written = self.shared.bytes_written.load(Ordering::Relaxed);
        let begun = open::create(home, number + 1, limits.cache_bytes).and_then(|(new, files)| {
            let mut current = shared.lock();
            let current = current.as_mut().ok_or(StorageError::Closed)?;
            current.copy = Some(Copy::new(Arc::clone(&home.disk), &current.db, new));
            Ok(files)
        });
        let rewritten = begun.and_then(|files| self.copy_all(files));
        let live = match rewritten {
            Ok(live) => live,
            Err(error) => {
                self.abandon();
                return Err(error);
            }
        };
        if let Err(error) = self.parts.home.disk.remove(&self.parts.home.generation(number)) {
            tracing::warn!(%error, "the former database could not be removed; the next start tries again");
        }
        let after_bytes = self.size()?;
        let rows_written = self.shared.rows_written.load(Ordering::Relaxed);
        // What was written meanwhile is in the new files too: they are not large from the beginning for that,
        // and the next look may find them too large at once.
        let meanwhile = self.shared.bytes_written.load(Ordering::Relaxed) - bytes_written;
        let fresh_bytes = after_bytes.saturating_sub(meanwhile);
        self.measured =
            Some(Measured { live, size: fresh_bytes, rows_written, fresh_bytes, made_bytes: after_bytes });
        metrics::counter!("iassistance_storage_rewrites_total").increment(1);
        metrics::gauge!("iassistance_storage_file_bytes").set(float(after_bytes));
        tracing::info!(before_bytes, after_bytes, rows = live.rows, "the store was rewritten");
        Ok(Rewritten { before_bytes, after_bytes, live_bytes: live.bytes, rows: live.rows })
    }

    /// Copies until nothing is left, and puts the new database in the place of the old one.
    fn copy_all(&self, mut files: Files) -> Result<Counted> {
        let doing = "syncing the new database";
        let Parts { live, home, .. } = &self.parts;
        let mut flushed = 0;
        loop {
            self.go_on()?;
            let began = Instant::now();
            let (more, copied, new) = with_copy(live, |copy, db| {
                let more = copy.piece(db)?;
                Ok((more, copy.copied().bytes, copy.new_database().clone()))
            })?;
            metrics::histogram!("iassistance_storage_piece_seconds").record(began.elapsed().as_secs_f64());
            if !more {
                // While others write: the last sync, for which they wait, has little to do.
                open::flush(home, &new, &mut files).inspect_err(|_| leak(&new)).map_err(failed(doing))?;
                break;
            }
            if copied - flushed >= FLUSH_BYTES {
                // Its bytes go to the disk in small parts. A sync would be waited for by whoever syncs meanwhile.
                flushed = copied;
                home.disk.flush(&new).inspect_err(|_| leak(&new)).map_err(failed(doing))?;
            }
            pause(began);
        }
        let began = Instant::now();
        let mut current = live.lock();
        self.go_on()?;
        let current = current.as_mut().ok_or(StorageError::Closed)?;
        let mut copy = current.copy.take().ok_or_else(broken_off)?;
        // Trees that were created in the last moment.
        while copy.piece(&current.db)? {}
        open::flush(home, copy.new_database(), &mut files)
            .inspect_err(|_| copy.fail())
            .map_err(failed(doing))?;
        let switched = self.switch(current, &copy, files).inspect_err(|error| {
            leak(copy.new_database());
            self.parts.health.fail(error, Some(&current.db));
        });
        metrics::histogram!("iassistance_storage_switch_seconds").record(began.elapsed().as_secs_f64());
        switched
    }

    /// Everything is in the new database, durably, and nobody writes. If this fails, nobody knows which
    /// database counts, and nothing may be written any more.
    fn switch(&self, current: &mut Current, copy: &Copy, files: Files) -> Result<Counted> {
        let Parts { live, home, .. } = &self.parts;
        home.switch(current.number + 1).map_err(failed("putting the new database in place"))?;
        live.hand_over(copy.new_database())?;
        current.number += 1;
        current.db = copy.new_database().clone();
        let old = std::mem::replace(&mut current.files, Arc::new(Mutex::new(files)));
        // Whoever is about to sync what it wrote to both finds nothing to do; it is synced already.
        old.lock().unwrap_or_else(PoisonError::into_inner).retire();
        Ok(copy.copied())
    }

    /// Gives the new database up.
    fn abandon(&self) {
        let Parts { live, home, .. } = &self.parts;
        let number = match &mut *live.lock() {
            Some(current) => {
                current.copy = None;
                current.number
            }
            None => return,
        };
        if self.parts.health.check().is_ok()
            && let Err(error) = home.disk.remove(&home.generation(number + 1))
        {
            tracing::warn!(%error, "a database that was not finished could not be removed");
        }
    }
}

/// Lets others go on after what began then.
fn pause(began: Instant) {
    thread::sleep((began.elapsed() * PAUSE_TIMES).max(PAUSE_MIN));
}

fn with_copy<R>(live: &Live, act: impl FnOnce(&mut Copy, &::sled::Db) -> Result<R>) -> Result<R> {
    let mut current = live.lock();
    let Current { copy, db, .. } = current.as_mut().ok_or(StorageError::Closed)?;
    act(copy.as_mut().ok_or_else(broken_off)?, db)
}

/// Whoever writes gave the new database up.
fn broken_off() -> StorageError {
    let reason = "the new database did not take what was written meanwhile".to_owned();
    StorageError::Disk { doing: "rewriting the store", reason }
}

#[expect(clippy::cast_precision_loss, reason = "sizes that are compared and shown roughly")]
fn float(bytes: u64) -> f64 {
    bytes as f64
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

    use super::*;

    #[test]
    fn looks_that_wait_take_no_place_of_a_wish() {
        let (asks, asked) = sync_channel(ASKED_MAX);
        let (_end, ended) = watch::channel(false);
        let rewriter = Rewriter { asks, shared: Arc::default(), look_bytes: 1, ended };
        for _ in 0..10 {
            rewriter.wrote(1, 1);
        }
        for _ in 1..ASKED_MAX {
            rewriter.asks.try_send(Ask::Now(oneshot::channel().0)).unwrap();
        }
        drop(rewriter);
        let looks = asked.iter().filter(|ask| matches!(ask, Ask::Look)).count();
        assert_eq!(looks, 1);
    }
}
