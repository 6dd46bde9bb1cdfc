//! The access log: a record for each request, kept in groups. Answers do not wait for it, unless so many wait
//! to be kept that one more has no room.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio_util::sync::CancellationToken;

use iassistance_actors::kernel::{Background, StillRunning};
use iassistance_config::AccessSettings;
use iassistance_domain::Clock;
use iassistance_domain::access::AccessRecord;
use iassistance_storage::{StorageError, Store};

/// How often a group that could not be kept is tried, and how long it is until then, milliseconds.
const TRIES_MAX: u32 = 5;
const RETRY_MS: u64 = 200;

/// Takes records in. Clones are the same.
#[derive(Clone)]
pub struct AccessLog {
    records: mpsc::Sender<AccessRecord>,
    clock: Arc<dyn Clock>,
    background: Background,
}

/// What keeps them.
struct Keeper {
    records: mpsc::Receiver<AccessRecord>,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    group_max: usize,
    stopping: CancellationToken,
}

impl AccessLog {
    /// Begins to keep records.
    pub fn start(store: Arc<dyn Store>, clock: Arc<dyn Clock>, settings: &AccessSettings) -> Self {
        let (records, received) = mpsc::channel(settings.queue_max);
        let background = Background::new();
        let mut keeper = Keeper {
            records: received,
            store,
            clock: Arc::clone(&clock),
            group_max: settings.group_max,
            stopping: background.stopping(),
        };
        background.spawn("access.keeper", async move { keeper.run().await });
        Self { records, clock, background }
    }

    /// Takes a record in; waits for room when there is none.
    pub async fn note(&self, record: AccessRecord) {
        let record = match self.records.try_send(record) {
            Ok(()) => return,
            Err(TrySendError::Full(record)) => record,
            Err(TrySendError::Closed(_)) => return lost(1, "the server is stopping"),
        };
        metrics::counter!("iassistance_limited_total", "limit" => "access_queue").increment(1);
        if self.records.send(record).await.is_err() {
            lost(1, "the server is stopping");
        }
    }

    /// Keeps what was taken in, and ends.
    pub async fn stop(&self, limit_ms: u64) -> Result<(), StillRunning> {
        self.background.stop(&*self.clock, limit_ms).await
    }
}

impl Keeper {
    async fn run(&mut self) {
        let mut group = Vec::with_capacity(self.group_max);
        loop {
            let stopping = self.stopping.clone();
            let received = self.records.recv_many(&mut group, self.group_max);
            // Closed, it still gives out what was taken in, and then ends.
            match stopping.run_until_cancelled(received).await {
                Some(0) => return,
                Some(_) => self.keep(std::mem::take(&mut group)).await,
                None => {
                    self.records.close();
                    self.stopping = CancellationToken::new();
                }
            }
        }
    }

    async fn keep(&self, group: Vec<AccessRecord>) {
        let mut tries = 0;
        loop {
            tries += 1;
            let error = match self.store.trail().append_access(group.clone()).await {
                Ok(()) => return,
                Err(error) => error,
            };
            let again = error.is_transient() && !matches!(error, StorageError::Closed);
            if !again || tries >= TRIES_MAX || self.records.is_closed() {
                return lost(group.len(), &error.to_string());
            }
            self.clock.sleep_millis(RETRY_MS).await;
        }
    }
}

/// Records that nobody has.
fn lost(count: usize, why: &str) {
    metrics::counter!("iassistance_access_lost_total").increment(count as u64);
    tracing::error!(count, why, "requests could not be kept in the access log");
}
