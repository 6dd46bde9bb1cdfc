//! The book of the promises: which there are, and how the last run of each test ended.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use iassistance_actors::kernel::SystemClock;
use iassistance_domain::Clock;
use serde::{Deserialize, Serialize};

static WRITING: Mutex<()> = Mutex::new(());

#[derive(Deserialize)]
pub struct Book {
    pub promise: Vec<Promise>,
}

#[derive(Deserialize)]
pub struct Promise {
    pub number: u8,
    pub text: String,
    #[serde(default)]
    pub awaited: bool,
}

#[derive(Serialize, Deserialize)]
struct Run {
    test: String,
    result: String,
    at: String,
    counts: String,
}

pub fn book() -> Book {
    toml::from_str(include_str!("../../docs/promises.toml")).unwrap()
}

fn file() -> PathBuf {
    let asked = std::env::var_os("IASSISTANCE_PROMISES");
    let usual = || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/target/promises.json"));
    asked.map_or_else(usual, PathBuf::from)
}

/// Writes down how a test ended, when it is dropped.
pub struct Proof {
    number: u8,
    counts: String,
    kept: bool,
}

impl Proof {
    pub fn of(number: u8) -> Self {
        Self { number, counts: String::new(), kept: false }
    }

    /// The promise is kept: with these counts.
    pub fn kept(mut self, counts: impl Into<String>) {
        self.counts = counts.into();
        self.kept = true;
    }
}

impl Drop for Proof {
    fn drop(&mut self) {
        let _one = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
        let path = file();
        let before = std::fs::read(&path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let mut runs: BTreeMap<String, Run> = before.unwrap_or_default();
        let result = if self.kept { "kept" } else { "broken" };
        let run = Run {
            test: format!("promise_{:02}", self.number),
            result: result.to_owned(),
            at: SystemClock.now().to_rfc3339(),
            counts: std::mem::take(&mut self.counts),
        };
        runs.insert(format!("{:02}", self.number), run);
        let written = serde_json::to_vec_pretty(&runs).map(|bytes| std::fs::write(&path, bytes));
        if !std::thread::panicking() {
            written.unwrap().unwrap();
        }
    }
}

#[test]
fn every_promise_has_its_test_or_says_that_it_is_awaited() {
    let tests: Vec<u8> = include_str!("main.rs")
        .lines()
        .filter_map(|line| line.strip_prefix("mod promise_")?.strip_suffix(';')?.parse().ok())
        .collect();
    let book = book();
    let numbers: Vec<u8> = book.promise.iter().map(|promise| promise.number).collect();
    assert_eq!(numbers, (1..=25).collect::<Vec<_>>(), "25 promises, in their order");
    for promise in &book.promise {
        assert!(!promise.text.trim().is_empty(), "promise {}", promise.number);
        assert_eq!(promise.awaited, !tests.contains(&promise.number), "promise {}", promise.number);
    }
}
