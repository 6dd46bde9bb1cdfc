//! The one thread that writes: it takes what waits, puts it together, makes it durable once, and
//! then answers all of it.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::thread;
use std::time::Instant;

use ::sled::{Batch, Db};
use tokio::sync::{oneshot, watch};

use iassistance_domain::event::EventSeq;

use super::disk::Files;
use super::space::{Result, Space, SpaceId, broken};
use super::tx::{Afterwards, Overlay, Tx};
use crate::error::StorageError;

/// Puts a write into the group and gives back what tells its waiter how it went.
type Job = Box<dyn FnOnce(&mut Group) -> Answer + Send>;
type Answer = Box<dyn FnOnce(&Result<()>) + Send>;

/// The way to the writing thread.
pub(super) struct Writer {
    queue: RwLock<Option<SyncSender<Job>>>,
    shared: Arc<Shared>,
    ended: watch::Receiver<bool>,
}

#[derive(Default)]
struct Shared {
    waiting: AtomicUsize,
    closed: AtomicBool,
    broken: OnceLock<StorageError>,
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
    /// Starts the thread. `queue_max` writes may wait; `group_max` share a sync at most.
    pub(super) fn start(db: Db, files: Files, queue_max: usize, group_max: usize) -> Result<Self> {
        let (queue, jobs) = sync_channel(queue_max);
        let shared = Arc::new(Shared::default());
        let (end, ended) = watch::channel(false);
        let thread = Thread { db, files, group_max, shared: Arc::clone(&shared) };
        thread::Builder::new()
            .name("storage-writer".to_owned())
            .spawn(move || {
                thread.run(&jobs);
                // The queue goes before the news, so that whoever hears them finds nothing left.
                drop(jobs);
                end.send_replace(true);
            })
            .map_err(|error| StorageError::Disk {
                doing: "starting the writing thread",
                reason: error.to_string(),
            })?;
        Ok(Self { queue: RwLock::new(Some(queue)), shared, ended })
    }

    /// Runs `work` on a tree in the writing thread and returns once what it changed is durable.
    pub(super) async fn write<R: Send + 'static>(
        &self,
        space: &Arc<Space>,
        work: impl FnOnce(&mut Tx<'_>) -> Result<R> + Send + 'static,
    ) -> Result<R> {
        let (answer, answered) = oneshot::channel();
        let space = Arc::clone(space);
        self.enqueue(Box::new(move |group| {
            let result = group.run(&space, work);
            Box::new(move |durable| {
                // Whoever asked may have gone; what was written stays written.
                let _gone = answer.send(durable.clone().and(result));
            })
        }))?;
        answered.await.unwrap_or_else(|_| Err(self.health().err().unwrap_or(StorageError::Closed)))
    }

    fn enqueue(&self, job: Job) -> Result<()> {
        self.health()?;
        let queue = self.queue.read().unwrap_or_else(PoisonError::into_inner);
        let queue = queue.as_ref().ok_or(StorageError::Closed)?;
        // Counted before it is there to be taken, so that the count never falls below zero.
        self.shared.waiting.fetch_add(1, Ordering::Relaxed);
        queue.try_send(job).map_err(|refused| {
            self.shared.waiting.fetch_sub(1, Ordering::Relaxed);
            match refused {
                TrySendError::Full(_) => StorageError::Overloaded,
                TrySendError::Disconnected(_) => StorageError::Closed,
            }
        })
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
        self.queue.write().unwrap_or_else(PoisonError::into_inner).take();
        let mut ended = self.ended.clone();
        // An error means that the thread has gone, which is what is waited for.
        let _gone = ended.wait_for(|ended| *ended).await;
    }
}

struct Thread {
    db: Db,
    files: Files,
    group_max: usize,
    shared: Arc<Shared>,
}

impl Thread {
    fn run(mut self, jobs: &Receiver<Job>) {
        while let Ok(first) = jobs.recv() {
            let mut taken = vec![first];
            while taken.len() < self.group_max {
                match jobs.try_recv() {
                    Ok(job) => taken.push(job),
                    Err(_) => break,
                }
            }
            let waiting = self.shared.waiting.fetch_sub(taken.len(), Ordering::Relaxed) - taken.len();
            metrics::gauge!("iassistance_storage_queue").set(measure(waiting));
            self.write(taken);
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
        self.db.flush().map_err(broken("writing"))?;
        self.files
            .sync(!group.new_trees.is_empty())
            .map_err(|error| StorageError::Disk { doing: "syncing", reason: error.to_string() })
    }
}

/// A count, as metrics want it.
fn measure(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}
