//! The threads that actors run on.

use std::hash::{DefaultHasher, Hash, Hasher};

use actix::{Arbiter, System};
use actix_rt::ArbiterHandle;

/// A fixed pool of arbiters. A key always gets the same one, so that two incarnations of an actor
/// never run at the same time. They stop when this is dropped.
pub struct Arbiters {
    arbiters: Vec<Arbiter>,
}

/// Why the pool could not be started.
#[derive(Debug, thiserror::Error)]
pub enum ArbitersError {
    /// There is no actix system on this thread.
    #[error("arbiters need an actix system on the thread that starts them: start one first")]
    NoSystem,
    /// A thread or its runtime could not be made.
    #[error("cannot start arbiter thread {index}: the system refused a thread or its event loop")]
    Thread {
        /// Which one, from 0.
        index: usize,
        /// What the system said.
        source: std::io::Error,
    },
}

impl Arbiters {
    /// Starts `count` threads (0 is taken as 1), each with its own event loop.
    ///
    /// # Errors
    /// [`ArbitersError::NoSystem`] outside an actix system; [`ArbitersError::Thread`] when the
    /// operating system refuses.
    pub fn new(count: usize) -> Result<Self, ArbitersError> {
        if !System::is_registered() {
            return Err(ArbitersError::NoSystem);
        }
        let arbiters = (0..count.max(1))
            .map(|index| Arbiter::try_new().map_err(|source| ArbitersError::Thread { index, source }))
            .collect::<Result<_, _>>()?;
        Ok(Self { arbiters })
    }

    /// The arbiter that `key` belongs to.
    pub fn of<K: Hash + ?Sized>(&self, key: &K) -> ArbiterHandle {
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        let index = usize::try_from(hasher.finish() % self.arbiters.len() as u64).unwrap_or_default();
        self.arbiters[index].handle()
    }

    /// How many threads there are.
    pub fn count(&self) -> usize {
        self.arbiters.len()
    }

    /// Stops every arbiter, which drops its actors, and waits for the threads to end. Blocks: call it
    /// when nothing else is left to do on this thread.
    pub fn join(mut self) {
        for arbiter in std::mem::take(&mut self.arbiters) {
            arbiter.stop();
            // A thread that ended by a panic has ended: what panicked on it was told of elsewhere.
            drop(arbiter.join());
        }
    }
}

impl Drop for Arbiters {
    fn drop(&mut self) {
        for arbiter in &self.arbiters {
            arbiter.stop();
        }
    }
}
