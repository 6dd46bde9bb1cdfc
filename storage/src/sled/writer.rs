//! The one thread that writes: it takes what waits, puts it together, makes it durable once, and
//! then answers all of it.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, Weak};
use std::thread;
use std::time::Instant;

use ::sled::{Batch, Db};
use tokio::sync::{oneshot, watch};

use iassistance_domain::event::EventSeq;

use super::disk::Files;
use super::line::{Line, Refused, Urgency};
use super::space::{Result, Space, SpaceId, broken};
use super::tx::{Afterwards, Overlay, Tx};
use crate::error::StorageError;

/// Puts a write into the group and gives back what tells its waiter how it went.
type Job = Box<dyn FnOnce(&mut Group) -> Answer + Send>;
type Answer = Box<dyn FnOnce(&Result<()>) + Send>;

/// The way to the writing thread.
pub(super) struct Writer {
    line: Arc<Line<Job>>,
    shared: Arc<Shared>,
    ended: watch::Receiver<bool>,
}

#[derive(Default)]
struct Shared {
    closed: AtomicBool,
    broken: OnceLock<StorageError>,
}

/// A way to the writing thread for what nobody waits for. It keeps nothing from ending.
#[derive(Clone)]
pub(super) struct ByTheWay(Weak<Line<Job>>);

impl ByTheWay {
    /// Puts a write into the line; says whether there was room. It may be left out at the end.
    pub(super) fn write(
        &self,
        space: Arc<Space>,
        work: impl FnOnce(&mut Tx<'_>) -> Result<()> + Send + 'static,
    ) -> bool {
        let Some(line) = self.0.upgrade() else { return false };
        let job: Job = Box::new(move |group| {
            if let Err(error) = group.run(&space, work) {
                tracing::warn!(%error, "what is done by the way could not be written");
            }
            Box::new(|_| ())
        });
        line.push(Urgency::Patient, job).is_ok()
    }
}

/// Writes that are made durable together.
#[derive(Default)]
pub(super) struct Group {
    spaces: HashMap<SpaceId, (Arc<Space>, Overlay)>,
    afterwards: Vec<Afterwards>,
    new_trees: Vec<Vec<u8>>,
}

impl Group {
    /// Runs a write on top of the group; if it refuses, the group is as it was.
    fn run<R>(&mut self, space: &Arc<Space>, work: impl FnOnce(&mut Tx<'_>) -> Result<R>) -> Result<R> {
        let (_, below) = self.spaces.entry(space.id).or_insert_with(|| (Arc::clone(space), Overlay::new()));
        let mut tx = Tx::new(space, below);
        let answer = work(&mut tx)?;
        let Tx { counters, overlay, afterwards, new_trees, .. } = tx;
        below.extend(overlay);
        let latest = EventSeq(counters.event);
        if std::mem::replace(&mut *space.counters(), counters).event != latest.0 {
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
    /// Starts the thread. `queue_max` writes of each urgency may wait; `group_max` share a sync at most.
    pub(super) fn start(db: Db, files: Files, queue_max: usize, group_max: usize) -> Result<Self> {
        let line = Arc::new(Line::new(queue_max, group_max));
        let shared = Arc::new(Shared::default());
        let (end, ended) = watch::channel(false);
        let mut thread = Thread { db, files, line: Arc::clone(&line), shared: Arc::clone(&shared) };
        thread::Builder::new()
            .name("storage-writer".to_owned())
            .spawn(move || {
                thread.run();
                // The database goes before the news, so that whoever hears them finds nothing left.
                drop(thread);
                end.send_replace(true);
            })
            .map_err(|error| StorageError::Disk {
                doing: "starting the writing thread",
                reason: error.to_string(),
            })?;
        Ok(Self { line, shared, ended })
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
        let space = Arc::clone(space);
        let job: Job = Box::new(move |group| {
            let result = group.run(&space, work);
            Box::new(move |durable| {
                // Whoever asked may have gone; what was written stays written.
                let _gone = answer.send(durable.clone().and(result));
            })
        });
        self.health()?;
        self.line.push(urgency, job).map_err(|refused| match refused {
            Refused::Full => StorageError::Overloaded,
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
        match self.shared.broken.get() {
            Some(broken) => Err(broken.clone()),
            None if self.shared.closed.load(Ordering::Acquire) => Err(StorageError::Closed),
            None => Ok(()),
        }
    }

    /// Takes no more writes, and returns when those that wait are written.
    pub(super) async fn close(&self) {
        self.shared.closed.store(true, Ordering::Release);
        self.line.close();
        let mut ended = self.ended.clone();
        // An error means that the thread has gone, which is what is waited for.
        let _gone = ended.wait_for(|ended| *ended).await;
    }
}

struct Thread {
    db: Db,
    files: Files,
    line: Arc<Line<Job>>,
    shared: Arc<Shared>,
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
            self.write(jobs);
        }
    }

    fn write(&mut self, jobs: Vec<Job>) {
        if self.shared.broken.get().is_some() {
            // Dropping a job tells its waiter, who asks for the reason.
            return;
        }
        let started = Instant::now();
        metrics::histogram!("iassistance_storage_group_size").record(measure(jobs.len()));
        // sled and what runs here may panic; after that nobody knows what is applied.
        let mut answers = Vec::with_capacity(jobs.len());
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let mut group = Group::default();
            answers.extend(jobs.into_iter().map(|job| job(&mut group)));
            self.make_durable(&group)?;
            group.afterwards.into_iter().for_each(|act| act());
            Ok(())
        }));
        let panicked =
            || StorageError::Disk { doing: "writing", reason: "the writing thread panicked".to_owned() };
        let durable = outcome.unwrap_or_else(|_| Err(panicked()));
        if let Err(error) = &durable {
            tracing::error!(%error, "a write did not become durable; nothing is acknowledged any more");
            // A first failure stands; there is no second, for nothing is written after it.
            let _first = self.shared.broken.set(error.clone());
        }
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
        for name in &group.new_trees {
            self.db.open_tree(name).map_err(broken("creating a tree"))?;
        }
        for (space, overlay) in group.spaces.values().filter(|(_, overlay)| !overlay.is_empty()) {
            let mut batch = Batch::default();
            for (key, change) in overlay {
                match change {
                    Some(sealed) => batch.insert(key, sealed),
                    None => batch.remove(key),
                }
            }
            let _whole = space.whole.write().unwrap_or_else(PoisonError::into_inner);
            space.tree.apply_batch(batch).map_err(broken("writing"))?;
        }
        let started = Instant::now();
        self.db.flush().map_err(broken("writing"))?;
        self.files
            .sync(!group.new_trees.is_empty())
            .map_err(|error| StorageError::Disk { doing: "syncing", reason: error.to_string() })?;
        metrics::histogram!("iassistance_storage_sync_seconds").record(started.elapsed().as_secs_f64());
        Ok(())
    }
}

/// A count, as metrics want it.
fn measure(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}
