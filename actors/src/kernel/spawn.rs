//! Tasks beside the actors: each has a name, is waited for, and cannot take anything with it.

use std::collections::BTreeMap;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt;
use futures::future::{Either, select};
use iassistance_domain::Clock;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::panics;

/// Starts tasks and waits for them. Clones are the same set.
///
/// Works on a plain tokio runtime and on an arbiter alike; a task runs on the runtime that it was
/// spawned from.
#[derive(Clone, Default)]
pub struct Tasks {
    tracker: TaskTracker,
    abort: CancellationToken,
    live: Arc<Live>,
}

/// How a task ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It came to its end.
    Finished,
    /// It panicked. It has been logged and counted.
    Panicked,
    /// It was aborted, or its runtime shut down.
    Aborted,
}

/// Tasks that were still running at the limit, and were aborted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StillRunning {
    /// How many, by name.
    pub tasks: BTreeMap<&'static str, usize>,
}

impl std::error::Error for StillRunning {}

impl std::fmt::Display for StillRunning {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("tasks that did not end in time were aborted:")?;
        self.tasks.iter().try_for_each(|(name, count)| write!(formatter, " {name} ({count})"))
    }
}

impl Tasks {
    /// No tasks yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs `future` under `name`, which stands in logs and metrics and holds nothing personal. A
    /// panic ends this task alone; it is logged once, by name, and counted in
    /// `iassistance_panics_total{place}`.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn spawn<F>(&self, name: &'static str, future: F) -> TaskHandle
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let abort = self.abort.child_token();
        // The whole is caught, so that a panic while an aborted future is dropped is caught too.
        let caught = AssertUnwindSafe(abort.clone().run_until_cancelled_owned(future)).catch_unwind();
        let counted = Live::count(&self.live, name);
        let task = self.tracker.track_future(async move {
            let outcome = match caught.await {
                Ok(Some(())) => Outcome::Finished,
                Ok(None) => Outcome::Aborted,
                Err(_message) => {
                    panics::note(name);
                    Outcome::Panicked
                }
            };
            drop(counted);
            outcome
        });
        #[expect(
            clippy::disallowed_methods,
            reason = "the one place where tasks begin: named, tracked and caught"
        )]
        let joined = tokio::spawn(task);
        TaskHandle { abort, joined }
    }

    /// How many tasks run.
    pub fn len(&self) -> usize {
        self.tracker.len()
    }

    /// Whether none runs.
    pub fn is_empty(&self) -> bool {
        self.tracker.is_empty()
    }

    /// What runs: how many, by name.
    pub fn running(&self) -> BTreeMap<&'static str, usize> {
        self.live.lock().clone()
    }

    /// Waits until no task runs, for at most `limit_ms`; those that run then are aborted, and so is
    /// what is spawned later. Tell them to end before this: it only waits.
    ///
    /// # Errors
    /// [`StillRunning`], with their names, when some had to be aborted.
    pub async fn close(&self, clock: &dyn Clock, limit_ms: u64) -> Result<(), StillRunning> {
        self.tracker.close();
        match select(pin!(self.tracker.wait()), clock.sleep_millis(limit_ms)).await {
            Either::Left(_) => Ok(()),
            Either::Right(_) => {
                let tasks = self.running();
                self.abort.cancel();
                Err(StillRunning { tasks })
            }
        }
    }
}

/// A spawned task. Dropping this leaves the task running.
pub struct TaskHandle {
    abort: CancellationToken,
    joined: JoinHandle<Outcome>,
}

impl TaskHandle {
    /// Drops the task's future at the point where it waits.
    pub fn abort(&self) {
        self.abort.cancel();
    }

    /// Whether it has ended.
    pub fn is_finished(&self) -> bool {
        self.joined.is_finished()
    }

    /// Waits for the end.
    pub async fn outcome(self) -> Outcome {
        self.joined.await.unwrap_or(Outcome::Aborted)
    }
}

#[derive(Default)]
struct Live(Mutex<BTreeMap<&'static str, usize>>);

impl Live {
    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<&'static str, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(live: &Arc<Self>, name: &'static str) -> Counted {
        *live.lock().entry(name).or_default() += 1;
        Counted { live: Arc::clone(live), name }
    }
}

/// One running task in the count, until dropped.
struct Counted {
    live: Arc<Live>,
    name: &'static str,
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut live = self.live.lock();
        if let Some(count) = live.get_mut(self.name) {
            *count -= 1;
            if *count == 0 {
                live.remove(self.name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use iassistance_domain::{ManualClock, Timestamp};
    use metrics::{
        Counter, CounterFn, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit,
    };

    use super::*;

    #[tokio::test]
    async fn a_task_ends_or_panics_and_is_counted_out() {
        let tasks = Tasks::new();
        let fine = tasks.spawn("fine", async {});
        let broken = tasks.spawn("broken", async {
            tokio::task::yield_now().await;
            panic!("on purpose");
        });
        assert_eq!(tasks.running(), BTreeMap::from([("broken", 1), ("fine", 1)]));
        assert_eq!(fine.outcome().await, Outcome::Finished);
        assert_eq!(broken.outcome().await, Outcome::Panicked);
        assert_eq!((tasks.len(), tasks.running().len()), (0, 0));
    }

    #[actix::test]
    async fn tasks_run_on_an_arbiter_too() {
        let tasks = Tasks::new();
        assert_eq!(tasks.spawn("there", tokio::task::yield_now()).outcome().await, Outcome::Finished);
    }

    #[tokio::test]
    async fn abort_drops_the_future() {
        let tasks = Tasks::new();
        let held = Arc::new(());
        let inside = Arc::clone(&held);
        let task = tasks.spawn("for ever", async move {
            std::future::pending::<()>().await;
            drop(inside);
        });
        assert!(!task.is_finished());
        task.abort();
        assert_eq!(task.outcome().await, Outcome::Aborted);
        assert_eq!(Arc::strong_count(&held), 1);
    }

    #[tokio::test]
    async fn closing_waits_for_what_runs() {
        let (tasks, clock) = (Tasks::new(), ManualClock::at(Timestamp::EPOCH));
        let (end, ended) = tokio::sync::oneshot::channel::<()>();
        tasks.spawn("waits", ended.map(|_| ()));
        let mut close = pin!(tasks.close(&clock, 100));
        assert!(futures::poll!(&mut close).is_pending());
        clock.advance_millis(99);
        assert!(futures::poll!(&mut close).is_pending());
        end.send(()).unwrap();
        assert_eq!(close.await, Ok(()));
    }

    #[tokio::test]
    async fn closing_names_and_aborts_what_does_not_end() {
        let (tasks, clock) = (Tasks::new(), ManualClock::at(Timestamp::EPOCH));
        let stuck = tasks.spawn("stuck", std::future::pending());
        let mut close = pin!(tasks.close(&clock, 100));
        assert!(futures::poll!(&mut close).is_pending());
        clock.advance_millis(100);
        let error = close.await.unwrap_err();
        assert_eq!(error.to_string(), "tasks that did not end in time were aborted: stuck (1)");
        assert_eq!(stuck.outcome().await, Outcome::Aborted);
        assert_eq!(tasks.spawn("late", std::future::pending()).outcome().await, Outcome::Aborted);
    }

    #[test]
    fn a_panic_is_counted_by_place() {
        let counts = Counts::default();
        metrics::with_local_recorder(&counts, || {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async {
                Tasks::new().spawn("broken", async { panic!("on purpose") }).outcome().await
            })
        });
        assert_eq!(*counts.0.lock().unwrap(), ["iassistance_panics_total{place=broken} +1"]);
    }

    #[derive(Default)]
    struct Counts(Arc<Mutex<Vec<String>>>);

    struct Count(String, Arc<Mutex<Vec<String>>>);

    impl CounterFn for Count {
        fn increment(&self, value: u64) {
            self.1.lock().unwrap().push(format!("{} +{value}", self.0));
        }

        fn absolute(&self, _: u64) {}
    }

    impl Recorder for Counts {
        fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

        fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
            let labels: Vec<_> =
                key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
            Counter::from_arc(Arc::new(Count(
                format!("{}{{{}}}", key.name(), labels.join(",")),
                Arc::clone(&self.0),
            )))
        }

        fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
            Gauge::noop()
        }

        fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
            Histogram::noop()
        }
    }
}
