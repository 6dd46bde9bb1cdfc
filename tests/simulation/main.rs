//! The whole engine in one process, played from a seed: people write, Meta has bad days, machines die
//! at failpoints and come back with what their disk had made lasting, and whatever was promised holds.
//!
//! Everything is decided by one number. A seed that fails prints the command that plays it again.
//! `IASSISTANCE_SEED` plays that one alone; `IASSISTANCE_SEEDS` says how many, from
//! `IASSISTANCE_SEED_FROM` on.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test that fails has to say so"
)]

mod chance;
mod disk;
#[path = "../flow/faulty.rs"]
mod faulty;
mod life;
mod meta;
mod model;
mod people;
mod play;
mod verdict;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::chance::Chance;
use crate::meta::Counts;
use crate::play::{Play, Tally};
use crate::verdict::Endings;

const SEEDS: u64 = 200;
const STEPS: (u64, u64) = (15, 40);
/// How many seeds are played at once.
const SIDE_BY_SIDE: u64 = 2;

/// How long a seed may take before it is taken for hanging.
const HANGS_AFTER: Duration = Duration::from_secs(60);

/// What came of a seed.
struct Played {
    tally: Tally,
    counts: Counts,
    endings: Endings,
    trace: Vec<String>,
}

/// Plays a seed to its end; or what was wrong, and what had happened.
async fn play(seed: u64) -> Result<Played, (String, Vec<String>)> {
    let mut play = Play::set_up(seed).await.map_err(|wrong| (wrong, Vec::new()))?;
    let steps = Chance::of(seed, "length").between(STEPS.0, STEPS.1);
    let ended = async {
        for _ in 0..steps {
            play.step().await?;
        }
        play.come_to_rest().await?;
        play.judge().await
    };
    // Real time: a seed takes a second or two.
    let ended = tokio::time::timeout(HANGS_AFTER, ended).await;
    let ended = ended.unwrap_or_else(|_| Err(format!("hangs: it is not done after {HANGS_AFTER:?}")));
    let (trace, counts) = {
        let state = play.around.world.state();
        (state.trace.clone(), state.counts.clone())
    };
    let tally = play.tally.borrow().clone();
    if let Some(life) = play.life.take() {
        life.dead.die();
        life.store.close().await;
        let _aborted = life.engine.stop(0).await;
    }
    match ended {
        Ok(endings) => Ok(Played { tally, counts, endings, trace }),
        Err(wrong) => Err((wrong, trace)),
    }
}

/// The same on a thread and in an actix system of its own.
fn played(seed: u64) -> Result<Played, (String, Vec<String>)> {
    let whole = catch_unwind(AssertUnwindSafe(|| actix::System::new().block_on(play(seed))));
    whole.unwrap_or_else(|panic| {
        let said = panic.downcast_ref::<String>().cloned();
        let said = said.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Err((format!("it panicked: {}", said.unwrap_or_default()), Vec::new()))
    })
}

fn number(name: &str) -> Option<u64> {
    #[expect(clippy::disallowed_methods, reason = "how a test is told what to do")]
    let value = std::env::var(name).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{name} must be a number, and is {value}")))
}

#[derive(Default)]
struct Sum {
    seeds: u64,
    failed: Vec<u64>,
    tally: Tally,
    counts: Counts,
    endings: Endings,
}

impl Sum {
    fn add(&mut self, seed: u64, played: Result<Played, (String, Vec<String>)>) {
        self.seeds += 1;
        match played {
            Ok(Played { tally, counts, endings, .. }) => {
                self.tally.add(&tally);
                self.counts.add(&counts);
                self.endings.add(&endings);
            }
            Err((wrong, trace)) => {
                self.failed.push(seed);
                println!("seed {seed}: {wrong}");
                for line in trace.iter().rev().take(40).rev() {
                    println!("    {line}");
                }
                println!("    play it again: scripts/simulate --seed {seed}");
            }
        }
    }
}

macro_rules! sums {
    ($($kind:ty { $($field:ident),* })*) => {$(
        impl $kind {
            fn add(&mut self, other: &Self) {
                $(self.$field += other.$field;)*
            }

            fn json(&self) -> serde_json::Value {
                json!({ $(stringify!($field): self.$field),* })
            }
        }
    )*};
}

sums! {
    Tally { steps, messages, kills, power_cuts, restarts, points, stillborn, commands, dropped_accepts }
    Counts {
        webhooks, repeated, delayed, unanswered, statuses_dropped, sends, accepted, cut_before, cut_after, late,
        never, refused, failed_later
    }
    Endings { answered, told, by_people, silenced, too_late, resolved, held, resent }
}

#[test]
fn whatever_is_promised_holds_for_every_seed() {
    let one = number("IASSISTANCE_SEED");
    let from = one.or_else(|| number("IASSISTANCE_SEED_FROM")).unwrap_or(1);
    let seeds = if one.is_some() { 1 } else { number("IASSISTANCE_SEEDS").unwrap_or(SEEDS) };
    if one.is_some() {
        let _set = tracing_subscriber::fmt().with_max_level(tracing::Level::INFO).with_ansi(false).try_init();
    }
    let (next, sum, started) = (AtomicU64::new(from), Mutex::new(Sum::default()), Instant::now());
    thread::scope(|scope| {
        for _ in 0..SIDE_BY_SIDE.min(seeds) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= from + seeds {
                        return;
                    }
                    let played = played(seed);
                    let mut sum = sum.lock().unwrap_or_else(PoisonError::into_inner);
                    if let (Some(_), Ok(played)) = (one, &played) {
                        played.trace.iter().for_each(|line| println!("    {line}"));
                    }
                    sum.add(seed, played);
                    if sum.seeds.is_multiple_of(25) {
                        println!("{} of {seeds} seeds, {} failed", sum.seeds, sum.failed.len());
                    }
                }
            });
        }
    });
    let sum = sum.into_inner().unwrap_or_else(PoisonError::into_inner);
    let line = json!({
        "seeds": sum.seeds,
        "failed": sum.failed,
        "seconds": started.elapsed().as_secs(),
        "played": sum.tally.json(),
        "meta": sum.counts.json(),
        "ended": sum.endings.json(),
    });
    println!("{line}");
    assert!(sum.failed.is_empty(), "seeds failed: {:?}", sum.failed);
}
