//! The one thread that writes: it takes what waits, puts it together, makes it durable once, and
//! then answers all of it.

use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use ::sled::Db;
use tokio::sync::{oneshot, watch};

use iassistance_domain::Clock;
use iassistance_domain::event::EventSeq;

use super::changes::Changes;
use super::copy;
use super::files::Files;
use super::generation::Home;
use super::line::{Line, LineLimits, Refused, Urgency};
use super::live::{Live, leak};
use super::open::failed;
use super::rewrite::Rewriter;
use super::room::Room;
use super::space::{MOVING, Result, Space, SpaceId};
use super::tx::{Afterwards, Overlay, Tx};
use crate::error::StorageError;

/// Puts a write into the group and gives back what tells its waiter how it went.
type Job = Box<dyn FnOnce(&mut Group) -> Answer + Send>;
type Answer = Box<dyn FnOnce(&Result<()>) + Send>;

/// The way to the writing thread.
pub(super) struct Writer {
    line: Arc<Line<SpaceId, Job>>,
    health: Arc<Health>,
    room: Arc<Room>,
    ended: watch::Receiver<bool>,
}

/// A disk that takes longer than this to write a group is taken for broken, until it has.
const STALLED: Duration = Duration::from_secs(30);
/// A write that brings a group to so many rows is the last of it: everybody in a group waits for all of it, and who
/// reads has the first of a large number of writes while the next are made.
const GROUP_ROWS: usize = 512;
/// How often it is looked whether it has.
const LOOK_MS: u64 = 1_000;

/// Whether what is written becomes durable.
pub(super) struct Health {
    home: Home,
    closed: AtomicBool,
    broken: OnceLock<StorageError>,
    began: Instant,
    /// Since when a group is being written, milliseconds after the beginning and one more; 0 for none.
    busy_since: AtomicU64,
}

impl Health {
    pub(super) fn new(home: Home) -> Self {
        let (closed, broken) = (AtomicBool::new(false), OnceLock::new());
        Self { home, closed, broken, began: Instant::now(), busy_since: AtomicU64::new(0) }
    }

    /// Nothing while writes are durable, otherwise why they are not.
    pub(super) fn check(&self) -> Result<()> {
        match self.broken.get() {
            Some(broken) => Err(broken.clone()),
            None if self.closed.load(Ordering::Acquire) => Err(StorageError::Closed),
            None if self.busy_for() >= STALLED => {
                let reason = format!("it has not answered for {} seconds", STALLED.as_secs());
                Err(StorageError::Disk { doing: "writing", reason })
            }
            None => Ok(()),
        }
    }

    /// For how long a group has been being written.
    pub(super) fn busy_for(&self) -> Duration {
        match self.busy_since.load(Ordering::Acquire) {
            0 => Duration::ZERO,
            since => self.began.elapsed().saturating_sub(Duration::from_millis(since - 1)),
        }
    }

    fn set_busy(&self, is_busy: bool) {
        let now = || u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX - 1);
        self.busy_since.store(if is_busy { now() + 1 } else { 0 }, Ordering::Release);
    }

    /// Nothing is acknowledged any more, and the database is not touched again. Leaves word of it in the
    /// folder, for whoever opens it next.
    pub(super) fn fail(&self, error: &StorageError, db: Option<&Db>) {
        tracing::error!(%error, "a write did not become durable; nothing is acknowledged any more");
        // A first failure stands; there is no second, for nothing is written after it.
        let _first = self.broken.set(error.clone());
        if let Some(db) = db {
            leak(db);
        }
        if let Err(error) = self.home.suspect() {
            tracing::warn!(%error, "nor could it be noted in the store's folder");
        }
    }
}

/// What the writing thread works with.
pub(super) struct Parts {
    pub(super) live: Arc<Live>,
    pub(super) home: Home,
    pub(super) health: Arc<Health>,
    pub(super) room: Arc<Room>,
    pub(super) rewriter: Arc<Rewriter>,
    pub(super) changes: Arc<Changes>,
}

/// A way to the writing thread for what nobody waits for. It keeps nothing from ending.
#[derive(Clone)]
pub(super) struct ByTheWay(Weak<Line<SpaceId, Job>>);

impl ByTheWay {
    /// Puts a write into the line; says whether there was room. It may be left out at the end.
    pub(super) fn write(
        &self,
        space: Arc<Space>,
        work: impl FnOnce(&mut Tx<'_>) -> Result<()> + Send + 'static,
    ) -> bool {
        let Some(line) = self.0.upgrade() else { return false };
        let owner = space.id;
        let job: Job = Box::new(move |group| {
            if let Err(error) = group.run(&space, work) {
                tracing::warn!(%error, "what is done by the way could not be written");
            }
            Box::new(|_| ())
        });
        line.push(Urgency::Patient, owner, job).is_ok()
    }
}

/// Writes that are made durable together.
#[derive(Default)]
pub(super) struct Group {
    spaces: HashMap<SpaceId, (Arc<Space>, Overlay)>,
    /// Records that its writes put and removed.
    rows: usize,
    afterwards: Vec<Afterwards>,
    new_trees: Vec<Vec<u8>>,
    /// The disk took no write that reading came with.
    unwritten: Option<StorageError>,
}

impl Group {
    /// Runs a write on top of the group; if it refuses, the group is as it was.
    fn run<R>(&mut self, space: &Arc<Space>, work: impl FnOnce(&mut Tx<'_>) -> Result<R>) -> Result<R> {
        let (_, below) = self.spaces.entry(space.id).or_insert_with(|| (Arc::clone(space), Overlay::new()));
        let mut tx = Tx::new(space, below);
        let answer = match work(&mut tx) {
            Ok(answer) => answer,
            Err(error) => {
                if matches!(error, StorageError::Disk { doing: MOVING, .. }) {
                    self.unwritten = Some(error.clone());
                }
                return Err(error);
            }
        };
        let Tx { counters, overlay, afterwards, new_trees, .. } = tx;
        self.rows += overlay.len();
        below.extend(overlay);
        let latest = EventSeq(counters.event);
        if space.count(counters).event != latest.0 {
            let space = Arc::clone(space);
            self.afterwards.push(Box::new(move || {
                space.latest_event.send_replace(latest);
            }));
        }
        self.afterwards.extend(afterwards);
        self.new_trees.extend(new_trees);
        Ok(answer)
    }

    fn changes_nothing(&self) -> bool {
        self.new_trees.is_empty() && self.spaces.values().all(|(_, overlay)| overlay.is_empty())
    }
}

impl Writer {
    /// Starts the thread.
    pub(super) fn start(parts: Parts, limits: LineLimits) -> Result<Self> {
        let line = Arc::new(Line::new(limits));
        let (health, room) = (Arc::clone(&parts.health), Arc::clone(&parts.room));
        let (end, ended) = watch::channel(false);
        let mut thread = Thread { parts, line: Arc::clone(&line) };
        thread::Builder::new()
            .name("storage-writer".to_owned())
            .spawn(move || {
                thread.run();
                drop(thread);
                end.send_replace(true);
            })
            .map_err(failed("starting the writing thread"))?;
        Ok(Self { line, health, room, ended })
    }

    /// Runs `work` on a tree in the writing thread and returns once what it changed is durable.
    pub(super) async fn write<R: Send + 'static>(
        &self,
        space: &Arc<Space>,
        work: impl FnOnce(&mut Tx<'_>) -> Result<R> + Send + 'static,
    ) -> Result<R> {
        self.write_as(Urgency::Urgent, space, work).await
    }

    /// The same for what nobody outside may be waiting for.
    pub(super) async fn write_as<R: Send + 'static>(
        &self,
        urgency: Urgency,
        space: &Arc<Space>,
        work: impl FnOnce(&mut Tx<'_>) -> Result<R> + Send + 'static,
    ) -> Result<R> {
        let (answer, answered) = oneshot::channel();
        let (owner, space) = (space.id, Arc::clone(space));
        let job: Job = Box::new(move |group| {
            let result = group.run(&space, work);
            Box::new(move |durable| {
                // Whoever asked may have gone; what was written stays written.
                let _gone = answer.send(durable.clone().and(result));
            })
        });
        self.health()?;
        self.room.for_work()?;
        self.line.push(urgency, owner, job).map_err(|refused| match refused {
            Refused::Full | Refused::Share => StorageError::Overloaded,
            Refused::Closed => StorageError::Closed,
        })?;
        answered.await.unwrap_or_else(|_| Err(self.health().err().unwrap_or(StorageError::Closed)))
    }

    /// A way for what nobody waits for.
    pub(super) fn by_the_way(&self) -> ByTheWay {
        ByTheWay(Arc::downgrade(&self.line))
    }

    /// Nothing while writes are durable, otherwise why they are not.
    pub(super) fn health(&self) -> Result<()> {
        self.health.check()
    }

    /// Takes no more writes, and returns when those that wait are written; says whether they are: a disk that
    /// does not answer is not waited for.
    pub(super) async fn close(&self, clock: &dyn Clock) -> bool {
        self.health.closed.store(true, Ordering::Release);
        self.line.close();
        let mut ended = self.ended.clone();
        let stalled = async {
            while self.health.busy_for() < STALLED {
                clock.sleep_millis(LOOK_MS).await;
            }
        };
        tokio::select! {
            // An error means that the thread has gone, which is what is waited for.
            _ = ended.wait_for(|ended| *ended) => true,
            () = stalled => false,
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // The thread ends also where nobody said goodbye.
        self.line.close();
    }
}

struct Thread {
    parts: Parts,
    line: Arc<Line<SpaceId, Job>>,
}

impl Drop for Thread {
    fn drop(&mut self) {
        // Also when it panics: a waiter whose job is dropped asks for the reason.
        self.line.abandon();
    }
}

impl Thread {
    fn run(&mut self) {
        while let Some((jobs, behind)) = self.line.take() {
            metrics::gauge!("iassistance_storage_queue").set(measure(behind));
            let mut jobs = VecDeque::from(jobs);
            while !jobs.is_empty() {
                self.write(&mut jobs);
            }
        }
    }

    /// Writes a group of the first of these, as many as are put together.
    fn write(&mut self, jobs: &mut VecDeque<Job>) {
        if self.parts.health.broken.get().is_some() {
            // Dropping a job tells its waiter, who asks for the reason.
            jobs.clear();
            return;
        }
        let started = Instant::now();
        self.parts.health.set_busy(true);
        // sled and what runs here may panic; after that nobody knows what is applied.
        let mut answers = Vec::with_capacity(jobs.len());
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let mut group = Group::default();
            while group.rows < GROUP_ROWS
                && let Some(job) = jobs.pop_front()
            {
                answers.push(job(&mut group));
            }
            metrics::histogram!("iassistance_storage_group_size").record(measure(answers.len()));
            // Flushing what was not written would wait for ever.
            group.unwritten.take().map_or(Ok(()), Err)?;
            self.make_durable(&group)?;
            group.afterwards.into_iter().for_each(|act| act());
            Ok(())
        }));
        let panicked =
            || StorageError::Disk { doing: "writing", reason: "the writing thread panicked".to_owned() };
        let durable = outcome.unwrap_or_else(|_| Err(panicked()));
        if let Err(error) = &durable {
            let database = self.parts.live.database().ok();
            self.parts.health.fail(error, database.as_ref().map(|(db, _)| db));
        }
        self.parts.health.set_busy(false);
        metrics::histogram!("iassistance_storage_commit_seconds").record(started.elapsed().as_secs_f64());
        for answer in answers {
            answer(&durable);
        }
    }

    /// Applies a group, one batch for each tree, and syncs it. A group without changes has read
    /// nothing but what is durable already.
    fn make_durable(&mut self, group: &Group) -> Result<()> {
        if group.changes_nothing() {
            return Ok(());
        }
        let (db, files) = self.apply(group)?;
        let started = Instant::now();
        self.parts.home.disk.flush(&db).map_err(failed("writing"))?;
        let mut files = files.lock().unwrap_or_else(PoisonError::into_inner);
        files.sync(!group.new_trees.is_empty()).map_err(failed("syncing"))?;
        metrics::histogram!("iassistance_storage_sync_seconds").record(started.elapsed().as_secs_f64());
        self.parts.changes.record(group.spaces.values());
        Ok(())
    }

    /// Applies a group to the database in use, and to the one that is being written in its place. Gives
    /// back what has to be synced.
    fn apply(&self, group: &Group) -> Result<(Db, Arc<Mutex<Files>>)> {
        let Parts { live, home, health, room, rewriter, .. } = &self.parts;
        let mut current = live.lock();
        if let Some(broken) = health.broken.get() {
            // By a rewrite that ended badly just now.
            return Err(broken.clone());
        }
        let current = current.as_mut().ok_or(StorageError::Closed)?;
        for name in &group.new_trees {
            home.disk.apply(|| current.db.open_tree(name)).map_err(failed("creating a tree"))?;
            if let Some(copy) = &mut current.copy {
                copy.mirror_tree(name);
            }
        }
        for (space, overlay) in group.spaces.values().filter(|(_, overlay)| !overlay.is_empty()) {
            let (tree, batch) = (space.tree()?, copy::batch(overlay));
            space.apply(|| home.disk.apply(|| tree.apply_batch(batch.clone()))).map_err(failed("writing"))?;
            let mirrored =
                current.copy.as_mut().map_or(Ok(()), |copy| copy.mirror(&space.tree_name(), overlay));
            if let Err(error) = mirrored {
                tracing::warn!(%error, "the store is not rewritten: the new database does not take what is written");
                current.copy = None;
            }
            let bytes = overlay
                .iter()
                .map(|(key, change)| key.len() + change.as_ref().map_or(0, |sealed| sealed.len()));
            let bytes = bytes.sum::<usize>() as u64;
            room.wrote(bytes);
            rewriter.wrote(overlay.len() as u64, bytes);
        }
        Ok((current.db.clone(), Arc::clone(&current.files)))
    }
}

/// A count, as metrics want it.
fn measure(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}
