//! Hours in a server's life: people write on all three products, operators take over, dashboards watch
//! fast, slowly and with connections that end, and all the while something goes wrong on purpose, at
//! Meta, at the model and on the way. At intervals it tells what the server takes: memory, disk, time.
//!
//! The release server runs in a process of its own, with its own limits; the stand-ins are in this one.
//! In the end everybody stops, faults end, and it is waited until nothing happens any more. Then every
//! message must have been answered exactly once, or left to a person who wrote, or the log says why it
//! was not; every watcher must have seen every event of the log exactly once; and no event may have the
//! assistant speak while a person had control. Otherwise there is no result. The judgement is the
//! book's ([`book`]).
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

mod book;
mod desk;
mod figures;
mod measures;
mod people;
mod place;
mod watchers;
mod weather;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::{Duration, Instant};

use futures::future::{join, join_all};
use reqwest::Client;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use book::{Book, Verdict};
use desk::{Desk, Done};
use figures::percentile_ms;
use measures::Measures;
use place::{Place, TENANTS, UNKNOWN_MS};
use support::rounded;
use support::server::told;
use watchers::{Manner, Watcher};

/// How long it may take in the end until nothing happens any more.
const SETTLED_WITHIN: Duration = Duration::from_mins(3);
const LOOK: Duration = Duration::from_millis(500);
/// By how much memory may have grown, beside what the store's own growth costs, when it was measured for so long:
/// percent and minutes.
const GROWTH_PERCENT_MAX: f64 = 10.0;
const GROWTH_SHOWS_AFTER: f64 = 20.0;

struct Options {
    minutes: f64,
    every: Duration,
    people: usize,
    seed: u64,
}

/// What a soak came to.
struct Outcome {
    verdict: Verdict,
    measures: Measures,
    done: Vec<Done>,
    weathers: BTreeMap<&'static str, u64>,
    settled: Duration,
}

fn main() {
    let options = options();
    weather::check();
    // One thread beside the driver's: stand-ins must not be what a reply waits for.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let mut place = Place::new(&runtime, options.seed);
    eprintln!(
        "{} people, {TENANTS} tenants, {} minutes; --seed {} for the same faults again",
        options.people, options.minutes, options.seed
    );
    let book = RefCell::new(Book::default());
    let watchers: Vec<Watcher> = (0..TENANTS)
        .flat_map(|tenant| [Manner::Quick, Manner::Slow, Manner::Restless].map(|manner| (tenant, manner)))
        .map(|(tenant, manner)| Watcher::new(&place, tenant, manner))
        .collect();
    let driver = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let outcome = driver.block_on(soak(&place, &options, &book, &watchers));
    let watched = watched(&watchers);
    let result = result(&place, &options, &book.borrow(), &outcome, &watched);
    drop(watchers);
    place.server.kill();
    let checked = told(place.folder.path(), "-", &["doctor"]);
    assert_eq!(
        checked["findings"],
        json!([]),
        "every record opens, and everything agrees, after the server was killed"
    );
    println!("{result}");
    assert!(outcome.verdict.is_good(), "{:#?}", outcome.verdict);
    assert_eq!(result["sends_repeated"], 0, "no send was repeated that had been accepted");
    for wrong in ["missed", "repeated", "behind"] {
        assert_eq!(watched[wrong], 0, "every watcher saw every event once");
    }
    assert_eq!(result["panics"], 0.0, "nothing panicked");
    let grown = outcome.measures.growth_percent().filter(|_| options.minutes >= GROWTH_SHOWS_AFTER);
    assert!(
        grown.is_none_or(|grown| grown < GROWTH_PERCENT_MAX),
        "memory grew by more than {GROWTH_PERCENT_MAX} % beyond the list of the store's pages"
    );
}

async fn soak(place: &Place, options: &Options, book: &RefCell<Book>, watchers: &[Watcher<'_>]) -> Outcome {
    let (over, closed) = (CancellationToken::new(), CancellationToken::new());
    #[expect(clippy::disallowed_methods, reason = "the driver's own client, on this machine alone")]
    let http = Client::builder().no_proxy().timeout(Duration::from_secs(20)).build().unwrap();
    let desks: Vec<_> = (0..TENANTS).map(|tenant| Desk { place, book, http: &http, tenant }).collect();
    let seeds = |part: u64| options.seed.wrapping_add(part << 32);

    let people = (0..options.people).map(|index| people::live(index, place, book, seeds(1), &over));
    let working = (2..).zip(&desks).map(|(part, desk)| desk.works(seeds(part), &over));
    let watching = (100..).zip(watchers).map(|(part, one)| one.watch(book, seeds(part), &over, &closed));
    let mut moments = place.simulator.moments();
    let noting = async {
        while let Some(moment) = closed.run_until_cancelled(moments.recv()).await {
            book.borrow_mut().takes(&moment.expect("no moment is missed"));
        }
    };
    let ending = async {
        tokio::time::sleep(Duration::from_secs_f64(options.minutes * 60.0)).await;
        over.cancel();
    };
    let lasting = async {
        let everybody = join(join_all(people), join_all(working));
        let weather = weather::changes(place, seeds(0), &over);
        let ((_, mut done), weathers) = join(everybody, weather).await;
        let (verdict, settled) = settled(place, book, &desks, &mut done, watchers).await;
        closed.cancel();
        (verdict, done, weathers, settled)
    };
    let measuring = Measures::of(place, book, options.every, &over);
    let (_, (), (), measures, (verdict, done, weathers, settled)) =
        futures::join!(join_all(watching), noting, ending, measuring, lasting);
    Outcome { verdict, measures, done, weathers, settled }
}

/// Waits until nothing happens any more and nothing is left that somebody has to do; how long it took.
async fn settled(
    place: &Place,
    book: &RefCell<Book>,
    desks: &[Desk<'_>],
    done: &mut [Done],
    watchers: &[Watcher<'_>],
) -> (Verdict, Duration) {
    eprintln!("everybody stops; waiting until nothing happens any more");
    let (began, mut quiet_since, mut before) = (Instant::now(), Instant::now(), None);
    // What is not known to have left is sent again after this time: a doubled send shows by then.
    let long = Duration::from_millis(2 * UNKNOWN_MS + 3_000);
    loop {
        let mut cleared = 0;
        for (desk, done) in desks.iter().zip(&mut *done) {
            cleared += desk.clears(done).await;
        }
        let state = place.simulator.state();
        let busy = state.webhooks.pending + state.model.streams_open > 0 || cleared > 0;
        let now = (state.counters.sends_accepted, state.webhooks.created);
        if busy || before != Some(now) {
            (before, quiet_since) = (Some(now), Instant::now());
        }
        let verdict = book.borrow().judge();
        let late = began.elapsed() > SETTLED_WITHIN;
        let read = watched(watchers)["behind"] == 0;
        if late || (quiet_since.elapsed() > long && verdict.lost.is_empty() && read) {
            return (verdict, quiet_since - began);
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// What the watchers saw together.
fn watched(watchers: &[Watcher<'_>]) -> Value {
    let sum = |of: fn(&Watcher) -> u64| watchers.iter().map(of).sum::<u64>();
    let of_tenants = watchers.chunks(watchers.len() / TENANTS);
    let latest = |one: &[Watcher]| one.iter().map(|watcher| watcher.last.get()).max().unwrap_or_default();
    let behind: u64 =
        of_tenants.map(|one| one.iter().map(|watcher| latest(one) - watcher.last.get()).sum::<u64>()).sum();
    json!({
        "sockets": watchers.len(),
        "connected": sum(|watcher| watcher.connected.get()),
        "events": sum(|watcher| watcher.last.get()),
        "missed": sum(|watcher| watcher.missed.get()),
        "repeated": sum(|watcher| watcher.repeated.get()),
        "behind": behind,
        "told_lagged": sum(|watcher| watcher.lagged.get()),
    })
}

fn result(place: &Place, options: &Options, book: &Book, outcome: &Outcome, watched: &Value) -> Value {
    let Outcome { verdict, measures, done, weathers, settled } = outcome;
    let (state, gauges) = (place.simulator.state(), place.server.gauges());
    let done = |of: fn(&Done) -> u64| done.iter().map(of).sum::<u64>();
    let panics = gauges.iter().filter(|(name, _)| name.starts_with("iassistance_panics_total"));
    let panics = panics.fold(0.0, |sum, (_, count)| sum + count);
    let latency = |micros: &[u32]| {
        let of = |percent| rounded(percentile_ms(percent, micros));
        json!({ "count": micros.len(), "p50_ms": of(50), "p99_ms": of(99), "max_ms": of(100) })
    };
    json!({
        "bench": "soak",
        "minutes": options.minutes,
        "people": options.people,
        "seed": options.seed,
        "said": verdict.said,
        "answered_once": verdict.answered,
        "left_to_people": verdict.by_people,
        "told_in_the_log": verdict.told,
        "lost": verdict.lost.len(),
        "doubled": verdict.doubled.len(),
        "misrecorded": verdict.misrecorded.len(),
        "out_of_order": verdict.out_of_order.len(),
        "spoken_over": verdict.spoken_over.len(),
        "sends_accepted": state.counters.sends_accepted,
        "sends_repeated": state.counters.duplicates,
        "faults": state.counters.faults,
        "weathers": weathers,
        "webhooks": { "made": state.webhooks.created, "tries": state.webhooks.attempts },
        "operators": { "takeovers": done(|one| one.takeovers), "words": done(|one| one.words),
                       "notes": done(|one| one.notes), "tried_again": done(|one| one.refused) },
        "watchers": watched,
        "events": book.events,
        "dead_letters": book.dead_letters,
        "panics": panics,
        "webhook_to_200": latency(&book.taken_us),
        "message_to_answer": latency(&book.answer_us),
        "settled_after_s": rounded(settled.as_secs_f64()),
        "measures": measures.report(),
        "cores": std::thread::available_parallelism().map_or(0, std::num::NonZero::get),
    })
}

/// `--minutes N --every-seconds N --people N --seed N`; what `cargo bench` adds is passed over.
fn options() -> Options {
    let mut options = Options { minutes: 30.0, every: Duration::from_secs(15), people: 240, seed: 1 };
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    while let Some(name) = arguments.next() {
        match name.as_str() {
            "--minutes" => options.minutes = number(&name, arguments.next()),
            "--every-seconds" => options.every = Duration::from_secs(number(&name, arguments.next())),
            "--people" => options.people = number(&name, arguments.next()),
            "--seed" => options.seed = number(&name, arguments.next()),
            _ => panic!("unknown option {name} (known: --minutes, --every-seconds, --people, --seed)"),
        }
    }
    let sensible = options.minutes > 0.0 && !options.every.is_zero() && (1..=1_000).contains(&options.people);
    assert!(sensible, "nothing comes of nothing; and there are at most 1,000 people");
    options
}

fn number<T: FromStr>(name: &str, value: Option<String>) -> T {
    value.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("{name} takes a number"))
}
