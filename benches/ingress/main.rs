//! The ingress under load: how many durable acknowledgements a second there are, as a share of what
//! the same binary's bare handler answers in the same run, and what bounds them.
//!
//! Two servers run, each in a process of its own; they are loaded in turn (bare, durable, bare, …) with
//! the same signed requests, so that a noisy machine is as noisy for both. After every durable round
//! the server is given time to apply what it accepted, so that it takes nothing from the next bare
//! round. In the end the server is killed, its store is opened, and every acknowledged message must be
//! in the log exactly once: otherwise there is no result.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a bench that fails has no result"
)]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a bench prints what it found")]
#![allow(clippy::cast_precision_loss, reason = "counts are far below what a float holds exactly")]

#[path = "../support/mod.rs"]
mod support;

mod check;
mod load;

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use load::{Pool, Tally};
use support::rounded;
use support::server::{self, Cost, Server};

/// Contacts that write, so that conversations spread.
const CONTACTS: u64 = 2_000;
/// Connections of each level.
const LEVELS: [usize; 3] = [1, 64, 256];
/// What is aimed at: the share at this level.
const AIMED_AT: usize = 64;
/// Requests that are made ready for a round at least and at most.
const POOL: (usize, usize) = (20_000, 120_000);

struct Options {
    rounds: usize,
    seconds: u64,
    levels: Vec<usize>,
}

/// What all rounds of one server at one level came to.
#[derive(Default)]
struct Side {
    tally: Tally,
    cost: Cost,
    driver_cpu: f64,
    settled: Duration,
    rates: Vec<f64>,
}

fn main() {
    let options = options();
    let folder = support::folder();
    let set_up = server::set_up(folder.path(), "", "");
    let mut bare = Server::bare();
    let mut durable = Server::durable(folder.path());
    let mut source = Source { next: 0, path: format!("/webhooks/meta/{}", set_up.meta_app), pool: POOL.0 };
    let mut acknowledged = Vec::new();

    eprintln!("warming up: {CONTACTS} contacts write for the first time");
    let pool = source.pool(usize::try_from(CONTACTS).unwrap());
    let warm = load::run(durable.address, &pool, 64, Duration::from_mins(2), false);
    assert_eq!(warm.acknowledged.len() as u64, CONTACTS, "every first message is acknowledged");
    acknowledged.extend(&warm.acknowledged);
    durable.settle();
    load::run(bare.address, &pool, 64, Duration::from_secs(1), true);

    let mut levels = BTreeMap::new();
    for connections in &options.levels {
        let (mut without, mut with) = (Side::default(), Side::default());
        for round in 1..=options.rounds {
            let pool = source.pool(source.pool);
            let time = Duration::from_secs(options.seconds);
            without.add(&mut bare, &pool, *connections, time, true);
            with.add(&mut durable, &pool, *connections, time, false);
            source.expect(with.tally.rate(), options.seconds);
            let (bare, durable) = (without.rates[round - 1], with.rates[round - 1]);
            eprintln!(
                "{connections} connections, round {round} of {}: bare {bare:.0}/s, durable {durable:.0}/s, {:.1} %",
                options.rounds,
                100.0 * durable / bare
            );
        }
        acknowledged.extend(&with.tally.acknowledged);
        let share = 100.0 * with.tally.rate() / without.tally.rate();
        let level =
            json!({ "share_percent": rounded(share), "bare": without.report(), "durable": with.report() });
        levels.insert(*connections, level);
    }
    bare.kill();
    durable.kill();
    eprintln!(
        "checking {} acknowledged messages in the store of the server that was killed",
        acknowledged.len()
    );
    let checked = check::acknowledged(folder.path(), &set_up, &acknowledged);
    let share = levels.get(&AIMED_AT).map(|level| level["share_percent"].clone());
    let result = json!({
        "bench": "ingress",
        "connections": levels,
        "share_percent": share,
        "acknowledged": acknowledged.len(),
        "in_the_log_once": checked,
        "cores": std::thread::available_parallelism().map_or(0, std::num::NonZero::get),
    });
    println!("{result}");
}

/// `--rounds N --seconds N --connections 1,64,256`; what `cargo bench` adds is passed over.
fn options() -> Options {
    let mut options = Options { rounds: 3, seconds: 3, levels: LEVELS.to_vec() };
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    while let Some(name) = arguments.next() {
        let value = arguments.next().unwrap_or_else(|| panic!("{name} takes a value"));
        let number = |text: &str| text.parse::<u64>().unwrap_or_else(|_| panic!("{name} takes numbers"));
        match name.as_str() {
            "--rounds" => options.rounds = usize::try_from(number(&value)).unwrap(),
            "--seconds" => options.seconds = number(&value),
            "--connections" => {
                options.levels =
                    value.split(',').map(|text| usize::try_from(number(text)).unwrap()).collect();
            }
            _ => panic!("unknown option {name} (known: --rounds, --seconds, --connections)"),
        }
    }
    options
}

/// Where requests come from: no two carry the same message.
struct Source {
    next: u64,
    path: String,
    pool: usize,
}

impl Source {
    fn pool(&mut self, count: usize) -> Pool {
        let from = self.next;
        self.next += count as u64;
        Pool::new(&self.path, CONTACTS, from..self.next)
    }

    /// Makes the next pool large enough for what was seen, with room to spare.
    fn expect(&mut self, rate: f64, seconds: u64) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate of requests")]
        let expected = (rate * seconds as f64 * 1.5) as usize;
        self.pool = expected.clamp(POOL.0, POOL.1);
    }
}

impl Side {
    fn add(&mut self, server: &mut Server, pool: &Pool, connections: usize, time: Duration, again: bool) {
        let (before, driver) = (server.cost(), server::own_cpu());
        let tally = load::run(server.address, pool, connections, time, again);
        self.driver_cpu += server::own_cpu() - driver;
        self.cost.add(&server.cost().since(&before));
        self.rates.push(tally.rate());
        self.tally.add(tally);
        self.settled += server.settle();
    }

    fn report(&self) -> Value {
        let (seconds, count) = (self.tally.took.as_secs_f64(), self.tally.acknowledged.len() as f64);
        let per = |total: f64| rounded(total * 1e6 / count);
        json!({
            "per_second": rounded(self.tally.rate()),
            "rounds": self.rates.iter().map(|rate| rounded(*rate)).collect::<Vec<_>>(),
            "p50_ms": self.tally.percentile(50),
            "p99_ms": self.tally.percentile(99),
            "refused": self.tally.refused,
            "driver_cpu_us_per_request": per(self.driver_cpu),
            "server": self.cost.report(seconds, count),
            "settled_after_s": rounded(self.settled.as_secs_f64()),
        })
    }
}
