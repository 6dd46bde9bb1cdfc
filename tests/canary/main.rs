//! Twenty tenants with a canary in each record, and all who work with them doing whatever there is to do, in
//! their own place and in others': no canary comes out where its owner's people alone may see it. Not in an
//! answer, an event, a log or a metric; nor in what receivers of webhooks, the model and mails get.
//!
//! A sequence is a few requests of a few who ask. Everything is decided by one number; a seed that fails
//! prints the command that plays it again. `IASSISTANCE_SEED` plays that one alone;
//! `IASSISTANCE_SEQUENCES` says how many sequences, from `IASSISTANCE_SEED_FROM` on.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that fails has to say so")]

mod acts;
mod askers;
#[expect(dead_code, reason = "the simulation draws in more ways")]
#[path = "../simulation/chance.rs"]
mod chance;
mod ears;
mod marks;
mod play;
mod world;

use std::time::Instant;

use serde_json::json;

use crate::play::{Tally, play};

/// Sequences that are played without further ado.
const SEQUENCES: u64 = 600;
/// Sequences in one world.
const OF_A_WORLD: u64 = 300;
/// Every so many worlds one is on disk.
const ON_DISK_EVERY: u64 = 10;

fn number(name: &str) -> Option<u64> {
    #[expect(clippy::disallowed_methods, reason = "how a test is told what to do")]
    let value = std::env::var(name).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{name} must be a number, and is {value}")))
}

#[test]
fn no_canary_comes_out_where_it_does_not_belong() {
    let one = number("IASSISTANCE_SEED");
    let from = one.or_else(|| number("IASSISTANCE_SEED_FROM")).unwrap_or(1);
    let sequences = number("IASSISTANCE_SEQUENCES").unwrap_or(SEQUENCES);
    let worlds = if one.is_some() { 1 } else { sequences.div_ceil(OF_A_WORLD) };
    let (started, mut tally, mut failed) = (Instant::now(), Tally::default(), Vec::new());
    for seed in from..from + worlds {
        let on_disk = seed % ON_DISK_EVERY == 2;
        let length = OF_A_WORLD.min(sequences - (seed - from) * OF_A_WORLD);
        let played = actix::System::new().block_on(async move {
            tokio::task::LocalSet::new().run_until(Box::pin(play(seed, length, on_disk))).await
        });
        match played {
            Ok(played) => tally.add(&played),
            Err(wrong) => {
                failed.push(seed);
                println!("seed {seed}: {wrong}");
                println!("    play it again: scripts/canaries --seed {seed}");
            }
        }
        if (seed - from + 1).is_multiple_of(25) {
            println!("{} of {worlds} worlds, {} failed", seed - from + 1, failed.len());
        }
    }
    let seconds = started.elapsed().as_secs();
    println!("{}", json!({ "worlds": worlds, "failed": failed, "seconds": seconds, "played": tally.json() }));
    assert!(failed.is_empty(), "seeds failed: {failed:?}");
    assert!(one.is_some() || tally.is_worth_something(), "nothing was shown: {}", tally.json());
}
