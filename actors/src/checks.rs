//! Examinations of the store while the server runs: one at a time, in the background, with their progress.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use iassistance_domain::Timestamp;
use iassistance_domain::id::CheckId;
use iassistance_storage::{Examination, Findings, Progress};

use crate::engine::Engine;

/// How many examinations are remembered; they do not outlast the process.
const REMEMBERED_MAX: usize = 16;

/// An examination of the store.
#[derive(Debug, Clone)]
pub struct Check {
    /// Its id.
    pub id: CheckId,
    /// Whether it mends.
    pub repair: bool,
    /// Whether it puts back what opens again.
    pub put_back: bool,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended, if it did.
    pub ended_at: Option<Timestamp>,
    /// How far it is.
    pub progress: Progress,
    /// What it came to, or why it did not end.
    pub came_to: Option<Result<Arc<Findings>, String>>,
}

/// One runs already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the store is being examined already ({0}): wait until that has ended")]
pub struct CheckRuns(pub CheckId);

/// The examinations since the process began, the latest last.
#[derive(Clone, Default)]
pub(crate) struct Checks(Arc<Mutex<VecDeque<Check>>>);

impl Checks {
    fn lock(&self) -> MutexGuard<'_, VecDeque<Check>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, id: CheckId, act: impl FnOnce(&mut Check)) {
        if let Some(check) = self.lock().iter_mut().find(|check| check.id == id) {
            act(check);
        }
    }
}

/// Says that an examination ended, also where its task was ended before.
struct Ending {
    checks: Checks,
    id: CheckId,
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.checks.change(self.id, |check| {
            check.came_to.get_or_insert_with(|| Err("it was ended before its end: begin another".to_owned()));
        });
    }
}

impl Engine {
    /// Begins to examine the store, with the files of messages. What is found is told by [`Engine::check`].
    ///
    /// # Errors
    /// [`CheckRuns`] while another is under way.
    pub fn begin_check(&self, repair: bool, put_back: bool) -> Result<Check, CheckRuns> {
        let checks = self.shared.checks.clone();
        let mut known = checks.lock();
        if let Some(running) = known.iter().find(|check| check.came_to.is_none()) {
            return Err(CheckRuns(running.id));
        }
        let now = self.clock().now();
        let check = Check {
            id: CheckId::new(now, &**self.entropy()),
            repair,
            put_back,
            started_at: now,
            ended_at: None,
            progress: Progress::default(),
            came_to: None,
        };
        known.push_back(check.clone());
        let excess = known.len().saturating_sub(REMEMBERED_MAX);
        known.drain(..excess);
        drop(known);

        let (store, clock) = (Arc::clone(self.store()), Arc::clone(self.clock()));
        let how = Examination { repair, put_back, files: Some(self.content().clone()) };
        let (id, stopping) = (check.id, self.shared.dispatcher.stopping());
        let ending = Ending { checks: checks.clone(), id };
        self.shared.tasks.spawn("store.check", async move {
            let _ending = ending;
            let tell = |progress| checks.change(id, |check| check.progress = progress);
            let examined = stopping.run_until_cancelled(store.examine(&how, &tell)).await;
            let came_to = match examined {
                Some(Ok(found)) => {
                    tracing::info!(check = %id, findings = found.total, "the store was examined");
                    Ok(Arc::new(found))
                }
                Some(Err(error)) => Err(error.to_string()),
                None => Err("the server stops".to_owned()),
            };
            checks.change(id, |check| {
                check.ended_at = Some(clock.now());
                check.came_to = Some(came_to);
            });
        });
        Ok(check)
    }

    /// One of the latest examinations.
    pub fn check(&self, id: CheckId) -> Option<Check> {
        self.shared.checks.lock().iter().find(|check| check.id == id).cloned()
    }

    /// The latest examinations, newest first.
    pub fn checks(&self) -> Vec<Check> {
        self.shared.checks.lock().iter().rev().cloned().collect()
    }
}
