//! The machine beside the server: how long a sync of one small file takes on the same disk, and when the server
//! rewrites its store. Without it nobody knows whose a slow acknowledgement is.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::rounded;
use crate::watch::{Turn, percentile};

/// What is appended before each sync: about what a group of writes is.
const APPENDED: [u8; 4_096] = [7; 4_096];
/// Between two syncs: few enough that the server does not feel them.
const EVERY: Duration = Duration::from_millis(50);
/// A sync that takes longer than this is one that who waits for one feels.
const SLOW: Duration = Duration::from_millis(10);

/// One look at the machine.
#[derive(Clone, Copy)]
struct Look {
    at: Instant,
    sync: Duration,
    /// Whether there were two databases: one is written anew into the other.
    rewriting: bool,
}

/// Looks until it is told to end.
pub struct Probe {
    ending: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Look>>,
}

/// What was seen in one phase.
pub struct Seen(Vec<Look>);

impl Probe {
    /// Of the disk that `folder` is on, in which a server's store is.
    pub fn start(folder: &Path) -> Self {
        let ending = Arc::new(AtomicBool::new(false));
        let (told, folder) = (Arc::clone(&ending), folder.to_owned());
        let thread = thread::spawn(move || {
            let (mut file, store) = (File::create(folder.join("probe")).unwrap(), folder.join("store"));
            let mut looks = Vec::new();
            while !told.load(Ordering::Relaxed) {
                file.write_all(&APPENDED).unwrap();
                let at = Instant::now();
                file.sync_data().unwrap();
                looks.push(Look { at, sync: at.elapsed(), rewriting: is_rewriting(&store) });
                thread::sleep(EVERY);
            }
            looks
        });
        Self { ending, thread }
    }

    /// What was seen until this moment.
    pub fn end(self, until: Instant) -> Seen {
        self.ending.store(true, Ordering::Relaxed);
        let looks = self.thread.join().unwrap();
        Seen(looks.into_iter().filter(|look| look.at <= until).collect())
    }
}

fn is_rewriting(store: &Path) -> bool {
    let folders: Vec<PathBuf> = fs::read_dir(store)
        .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
        .unwrap_or_default();
    let is_database = |path: &&PathBuf| {
        path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with("gen-"))
    };
    folders.iter().filter(is_database).count() > 1
}

impl Seen {
    /// The machine's own syncs, and how often the store was being rewritten.
    pub fn report(&self) -> Value {
        let sync = |percent| rounded(self.sync_ms(percent));
        let rewriting = self.0.iter().filter(|look| look.rewriting).count();
        json!({
            "syncs": self.0.len(),
            "sync_p50_ms": sync(50),
            "sync_p99_ms": sync(99),
            "sync_max_ms": sync(100),
            "share_of_time_rewriting": rounded(rewriting as f64 / self.0.len().max(1) as f64),
        })
    }

    /// A percentile of the machine's own syncs.
    pub fn sync_ms(&self, percent: usize) -> f64 {
        percentile(percent, self.0.iter().map(|look| look.sync.as_secs_f64() * 1e3))
    }

    /// Of the slowest hundredth of the acknowledgements: how many waited while the store was rewritten, and while
    /// the machine's own sync was slow. And what the 99th percentile of those outside of rewrites was.
    pub fn blame(&self, turns: &[Turn]) -> Value {
        let wait = |turn: &Turn| turn.acknowledged_ms();
        let limit = percentile(99, turns.iter().map(wait));
        let slowest: Vec<_> = turns.iter().filter(|turn| wait(turn) >= limit).collect();
        let during = |turn: &Turn, what: fn(&Look) -> bool| {
            let (from, to) = (turn.posted_at(), turn.posted_at() + Duration::from_secs_f64(wait(turn) / 1e3));
            self.0.iter().any(|look| look.at < to && look.at + look.sync + EVERY > from && what(look))
        };
        let rewriting = |look: &Look| look.rewriting;
        let slow = |look: &Look| look.sync >= SLOW;
        let count = |what: fn(&Look) -> bool| slowest.iter().filter(|turn| during(turn, what)).count();
        let outside = turns.iter().filter(|turn| !during(turn, rewriting)).map(wait);
        json!({
            "slowest": slowest.len(),
            "while_rewriting": count(rewriting),
            "while_the_machine_synced_slowly": count(slow),
            "acknowledged_p99_ms_outside_of_rewrites": rounded(percentile(99, outside)),
        })
    }
}
