//! What a service does beside the actors: its tasks, and the word that ends them.

use std::future::Future;

use iassistance_domain::Clock;
use tokio_util::sync::CancellationToken;

use super::spawn::{StillRunning, TaskHandle, Tasks};

/// The work of one service. Clones are the same.
#[derive(Clone, Default)]
pub struct Background {
    tasks: Tasks,
    stopping: CancellationToken,
}

impl Background {
    /// No work yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Does what goes on until it is told to stop: it ends at the point where it waits then. The name as in
    /// [`Tasks::spawn`].
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn run<F>(&self, name: &'static str, work: F) -> TaskHandle
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let until_stopped = self.stopping.clone().run_until_cancelled_owned(work);
        self.tasks.spawn(name, async {
            until_stopped.await;
        })
    }

    /// Does what is not to be left half done: a stop waits for its end.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn spawn<F>(&self, name: &'static str, work: F) -> TaskHandle
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.tasks.spawn(name, work)
    }

    /// The word itself, for work that has something to finish when it comes.
    pub fn stopping(&self) -> CancellationToken {
        self.stopping.clone()
    }

    /// Ends what runs, and waits for it and for what was spawned, for at most `limit_ms`; then it is aborted, as is
    /// what is begun later.
    ///
    /// # Errors
    /// [`StillRunning`], with their names, when some had to be aborted.
    pub async fn stop(&self, clock: &dyn Clock, limit_ms: u64) -> Result<(), StillRunning> {
        self.stopping.cancel();
        self.tasks.close(clock, limit_ms).await
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use futures::FutureExt;
    use iassistance_domain::{ManualClock, Timestamp};
    use tokio::sync::oneshot;

    use super::*;
    use crate::kernel::Outcome;

    #[tokio::test]
    async fn a_stop_ends_what_runs_and_waits_for_what_was_spawned() {
        let (background, clock) = (Background::new(), ManualClock::at(Timestamp::EPOCH));
        let round = background.run("round", pending());
        let (end, ended) = oneshot::channel::<()>();
        let half_done = background.spawn("half done", ended.map(|_| ()));
        let heard = background.spawn("heard", background.stopping().cancelled_owned());
        let mut stop = Box::pin(background.stop(&clock, 100));
        assert!(futures::poll!(&mut stop).is_pending());
        assert_eq!(round.outcome().await, Outcome::Finished);
        assert_eq!(heard.outcome().await, Outcome::Finished);
        assert!(!half_done.is_finished() && futures::poll!(&mut stop).is_pending());
        end.send(()).unwrap();
        assert_eq!(stop.await, Ok(()));
        assert_eq!(half_done.outcome().await, Outcome::Finished);
        assert_eq!(background.run("late", pending()).outcome().await, Outcome::Finished, "it does not begin");
    }

    #[tokio::test]
    async fn what_does_not_end_is_named_and_aborted() {
        let (background, clock) = (Background::new(), ManualClock::at(Timestamp::EPOCH));
        let stuck = background.spawn("stuck", pending());
        let mut stop = Box::pin(background.stop(&clock, 100));
        assert!(futures::poll!(&mut stop).is_pending());
        clock.advance_millis(100);
        let error = stop.await.unwrap_err();
        assert_eq!(error.to_string(), "tasks that did not end in time were aborted: stuck (1)");
        assert_eq!(stuck.outcome().await, Outcome::Aborted);
    }
}
