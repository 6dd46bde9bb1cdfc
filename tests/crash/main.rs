//! `kill -9` of the release binary at random moments under load. Whatever it had acknowledged is
//! answered in the end, exactly once and in order, and every start after a kill needs no hand.
//!
//! Real processes, real time: `scripts/test` runs it, longer with `--kills N`. A failure says how to
//! play the same moments again.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test that fails has to say so"
)]

mod chores;
mod dashboard;
mod lives;
mod load;
mod restarts;
mod system;
mod verdict;

use std::cell::Cell;
use std::time::{Duration, Instant};

use futures::future::join_all;
use iassistance_domain::{Entropy, SeededEntropy};
use reqwest::Client;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::chores::Chores;
use crate::dashboard::Dashboard;
use crate::lives::Lives;
use crate::load::Person;
use crate::system::{System, UNKNOWN_MS};
use crate::verdict::Verdict;

const KILLS: u64 = 50;
const PEOPLE: usize = 40;
/// How often it is said how far it is.
const SAID_EVERY: u64 = 50;
/// How long the last life may take to answer all that is left.
const ANSWERED_WITHIN: Duration = Duration::from_secs(90);
const POLL: Duration = Duration::from_millis(100);

#[tokio::test]
#[ignore = "needs the release binary and a minute or two; scripts/test runs it"]
async fn kill_cycles() {
    let kills = number("IASSISTANCE_KILLS").unwrap_or(KILLS);
    let seed = number("IASSISTANCE_SEED").unwrap_or_else(random);
    let _hint = Hint { kills, seed };
    let entropy = SeededEntropy::new(seed);
    #[expect(clippy::disallowed_methods, reason = "the test's own client, on this machine alone")]
    let http = Client::builder().no_proxy().timeout(Duration::from_secs(10)).build().unwrap();
    let system = System::set_up(http, seed, &entropy).await;
    let mut people: Vec<_> = (0..PEOPLE).map(|index| Person::new(index, seed)).collect();
    let dashboards: Vec<_> = system.tenants.iter().map(|_| Dashboard::default()).collect();

    let (over, closed) = (Cell::new(false), CancellationToken::new());
    let (mut lives, mut chores) = (Lives::default(), Chores::offered(&system.description().await));
    let watching =
        dashboards.iter().zip(&system.tenants).map(|(one, tenant)| one.watch(&system, tenant, &closed));
    let story = async {
        let talk = join_all(people.iter_mut().map(|person| person.talk(&system, &over)));
        let (_, (last, replies)) = futures::join!(talk, async {
            for life in 1..=kills {
                lives.live(&system, &mut chores, &entropy).await;
                if life.is_multiple_of(SAID_EVERY) {
                    println!("crash: {life} of {kills} kills");
                }
            }
            over.set(true);
            system.simulator("/sim/faults", Some(&json!({}))).await;
            let replies = system.state().await["sends_accepted"].as_u64().unwrap();
            let (server, listened) = system.serve().listened().await;
            lives.slowest = lives.slowest.max(listened);
            system.hurry().await;
            (server, replies)
        });
        let verdict = answered(&system, &people).await;
        closed.cancel();
        (verdict, last, replies)
    };
    let (_, (verdict, mut last, replies)) = futures::join!(join_all(watching), story);

    let said: u32 = people.iter().map(Person::said).sum();
    let (mut cut_sends, mut shown_wrongly) = (0, 0);
    for (tenant, dashboard) in system.tenants.iter().zip(&dashboards) {
        let events = system.events(tenant).await;
        let seqs: Vec<_> = events.iter().filter_map(|event| event["seq"].as_u64()).collect();
        assert!(seqs.iter().copied().eq(1..=events.len() as u64), "the log has no gap");
        cut_sends += events.iter().filter(|event| event["delivery"]["status"] == "unknown").count();
        shown_wrongly += usize::from(!dashboard.shows(&events));
        let dead = system.dead_letters(tenant).await;
        assert!(dead.is_empty(), "dead letters: {dead:#?}");
    }
    println!(
        "crash: {kills} kills, {} of them before it listened, {} while it took up {} unfinished turns, {} later; \
         {cut_sends} sends cut short; {said} messages acknowledged, {} replies ({replies} of them between the \
         kills); {} lost, {} doubled, {} out of order; slowest start {} ms",
        lives.ended_starting,
        lives.ended_recovering,
        lives.unfinished_turns,
        lives.ended_loaded,
        verdict.replies,
        verdict.lost.len(),
        verdict.doubled.len(),
        verdict.out_of_order.len(),
        lives.slowest.as_millis(),
    );
    let all = |of: fn(&Dashboard) -> u64| dashboards.iter().map(of).sum::<u64>();
    let wrong = [all(|one| one.missed.get()), all(|one| one.repeated.get()), all(|one| one.taken_back.get())];
    println!(
        "crash: dashboards connected {} times and were shown {} events; {} missed, {} repeated, {} taken back",
        all(|one| one.connected.get()),
        dashboards.iter().map(Dashboard::events).sum::<usize>(),
        wrong[0],
        wrong[1],
        wrong[2],
    );
    println!(
        "crash: begun beside that: {:?}; of the kills {} came while a backup was made, {} while the store was rewritten",
        chores.begun,
        chores.cut_backups.len(),
        chores.cut_rewrites,
    );
    assert!(verdict.is_good(), "{verdict:#?}");
    assert_eq!(system.state().await["duplicates"], 0, "sends that were repeated");
    assert_eq!((wrong, shown_wrongly), ([0; 3], 0), "dashboards are shown the log, each event once");
    assert!(replies >= kills / 5, "too little happened between the kills to show anything");
    last.ask_to_stop().await;
    system.doctor().await;
}

/// Waits until everything that was said is answered and nothing more happens.
async fn answered(system: &System, people: &[Person]) -> Verdict {
    let (began, mut quiet_since, mut before) = (Instant::now(), Instant::now(), None);
    loop {
        let state = system.state().await;
        let busy = state["webhooks"]["pending"] != 0;
        let now = (state["sends_accepted"].as_u64(), state["webhooks"]["created"].as_u64());
        if busy || before != Some(now) {
            (before, quiet_since) = (Some(now), Instant::now());
        }
        // What is not known to have left is repeated after this time: a doubled send shows by then.
        let quiet = quiet_since.elapsed() > Duration::from_millis(2 * UNKNOWN_MS + 1_000);
        if quiet || began.elapsed() > ANSWERED_WITHIN {
            let verdict = Verdict::of(people, &system.sends().await);
            if verdict.lost.is_empty() || began.elapsed() > ANSWERED_WITHIN {
                return verdict;
            }
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Says how to play the same moments again, if the test fails.
struct Hint {
    kills: u64,
    seed: u64,
}

impl Drop for Hint {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Self { kills, seed } = self;
            println!(
                "again: IASSISTANCE_BINARY=target/release/iassistance IASSISTANCE_KILLS={kills} \
                 IASSISTANCE_SEED={seed} cargo test --test crash kill_cycles -- --ignored --nocapture"
            );
        }
    }
}

fn number(name: &str) -> Option<u64> {
    #[expect(clippy::disallowed_methods, reason = "how long and with which seed is said by scripts/test")]
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is a number, not `{text}`")))
}

fn random() -> u64 {
    let mut bytes = [0; 8];
    iassistance_vault::SystemEntropy.fill(&mut bytes);
    u64::from_le_bytes(bytes)
}
