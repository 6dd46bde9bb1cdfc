//! What is measured at intervals.

use std::cell::RefCell;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::book::Book;
use crate::figures::{Series, percentile_ms};
use crate::place::Place;

const MIB: f64 = 1_048_576.0;
/// What the live data is called in the server's own measures.
const LIVE: &str = "iassistance_storage_live_bytes";

/// The database keeps a list of its pages in memory: with records as they are here, so much for each byte that is alive,
/// at most (docs/reliability/soak.md). What grows beyond that is what is looked for.
const LIST_OF_PAGES: f64 = 0.25;

/// The server over time.
#[derive(Default)]
pub struct Measures {
    memory: Series,
    store: Series,
    /// As the server measures it, if it does.
    live: Series,
    media: Series,
}

impl Measures {
    /// Measures until it is over, and tells of each time.
    pub async fn of(place: &Place, book: &RefCell<Book>, every: Duration, over: &CancellationToken) -> Self {
        let (mut measures, began) = (Self::default(), Instant::now());
        let (mut taken, mut answered) = (0, 0);
        while over.run_until_cancelled(tokio::time::sleep(every)).await.is_some() {
            let line = measures.look(place, began.elapsed().as_secs_f64() / 60.0);
            let book = book.borrow();
            let verdict = book.judge();
            eprintln!(
                "{line}  200 {}  answer {}  said {} answered {} waiting {}",
                latencies(&book.taken_us[taken..]),
                latencies(&book.answer_us[answered..]),
                verdict.said,
                verdict.answered,
                verdict.lost.len(),
            );
            (taken, answered) = (book.taken_us.len(), book.answer_us.len());
        }
        measures
    }

    fn look(&mut self, place: &Place, minute: f64) -> String {
        let gauges = place.server.gauges();
        let folder = place.folder.path();
        let resident = place.server.resident().expect("the server runs") as f64;
        let store = on_disk(&folder.join("store")) as f64;
        let media = on_disk(&folder.join("media")) as f64;
        self.memory.push(minute, resident);
        self.store.push(minute, store);
        self.media.push(minute, media);
        let live = gauges.get(LIVE).copied();
        if let Some(live) = live {
            self.live.push(minute, live);
        }
        let gauge = |name: &str| gauges.get(name).copied().unwrap_or_default();
        format!(
            "{minute:>5.1} min  memory {:.1} MiB  store {:.1} MiB{}  media {:.1} MiB  {} conversations  {} tasks  \
             {} sockets",
            resident / MIB,
            store / MIB,
            live.map_or_else(String::new, |live| format!(" (live {:.1})", live / MIB)),
            media / MIB,
            gauge("iassistance_conversations_live"),
            gauge("iassistance_tasks_live"),
            gauge("iassistance_sockets_live"),
        )
    }

    /// By how much memory grew beyond the list of the store's pages, percent; nothing when it was too short to tell.
    pub fn growth_percent(&self) -> Option<f64> {
        self.memory.without(LIST_OF_PAGES, &self.live).growth_percent()
    }

    pub fn report(&self) -> Value {
        let rounded = |figure: Option<f64>| figure.map(crate::support::rounded);
        json!({
            "memory": self.memory.report(),
            "memory_growth_percent": rounded(self.memory.growth_percent()),
            "memory_growth_beyond_the_list_of_pages_percent": rounded(self.growth_percent()),
            "memory_growth_per_live_byte": rounded(self.memory.growth_per_byte(&self.live)),
            "store": self.store.report(),
            "live": self.live.report(),
            "media": self.media.report(),
        })
    }
}

/// 50th and 99th percentile, in words.
fn latencies(micros: &[u32]) -> String {
    format!("{:.1}/{:.1} ms", percentile_ms(50, micros), percentile_ms(99, micros))
}

/// Bytes that a folder takes on the disk, without the holes in its files.
fn on_disk(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let each = entries.filter_map(|entry| {
        let metadata = entry.metadata().ok()?;
        Some(if metadata.is_dir() { on_disk(&entry.path()) } else { metadata.blocks() * 512 })
    });
    each.sum()
}
