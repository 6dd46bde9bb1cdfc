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

mod load;
mod restarts;
mod system;
mod verdict;

use std::cell::Cell;
use std::time::{Duration, Instant};

use futures::future::join_all;
use iassistance_domain::{Entropy, SeededEntropy};
use reqwest::Client;

use crate::load::Person;
use crate::system::{Listened, System, UNKNOWN_MS};
use crate::verdict::Verdict;

const KILLS: u64 = 50;
const PEOPLE: usize = 40;
/// A third of the lives end while the server starts; the others this long after it listens.
const STARTING_MS_MAX: u64 = 150;
const LISTENING_MS_MAX: u64 = 2_000;
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

    let (over, mut lives) = (Cell::new(false), Lives::default());
    let talk = join_all(people.iter_mut().map(|person| person.talk(&system, &over)));
    let (_, mut last) = futures::join!(talk, async {
        for _ in 0..kills {
            lives.live(&system, &entropy).await;
        }
        over.set(true);
        lives.replies = system.state().await["sends_accepted"].as_u64().unwrap();
        let (server, listened) = system.serve().listened().await;
        lives.slowest = lives.slowest.max(listened);
        system.hurry().await;
        server
    });

    let verdict = answered(&system, &people).await;
    let said: u32 = people.iter().map(Person::said).sum();
    let mut cut_sends = 0;
    for tenant in &system.tenants {
        let events = system.events(tenant).await;
        let seqs: Vec<_> = events.iter().filter_map(|event| event["seq"].as_u64()).collect();
        assert!(seqs.iter().copied().eq(1..=events.len() as u64), "the log has no gap");
        cut_sends += events.iter().filter(|event| event["delivery"]["status"] == "unknown").count();
        let dead = system.dead_letters(tenant).await;
        assert!(dead.is_empty(), "dead letters: {dead:#?}");
    }
    println!(
        "crash: {kills} kills, {} of them before it listened, {cut_sends} sends cut short; {said} messages acknowledged, \
         {} replies ({} of them between the kills); {} lost, {} doubled, {} out of order; slowest start {} ms",
        lives.ended_starting,
        verdict.replies,
        lives.replies,
        verdict.lost.len(),
        verdict.doubled.len(),
        verdict.out_of_order.len(),
        lives.slowest.as_millis(),
    );
    assert!(verdict.is_good(), "{verdict:#?}");
    assert_eq!(system.state().await["duplicates"], 0, "sends that were repeated");
    assert!(lives.replies >= kills / 5, "too little happened between the kills to show anything");
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

/// What was seen of the server's lives.
#[derive(Default)]
struct Lives {
    ended_starting: u64,
    replies: u64,
    slowest: Duration,
}

impl Lives {
    /// One life of the server, ended by `kill -9` at a random moment.
    async fn live(&mut self, system: &System, entropy: &SeededEntropy) {
        let while_starting = entropy.up_to(2) == 0;
        let most = if while_starting { STARTING_MS_MAX } else { LISTENING_MS_MAX };
        let moment = Duration::from_millis(entropy.up_to(most));
        let mut starting = system.serve();
        let mut server = if while_starting {
            match tokio::time::timeout(moment, starting.listens()).await {
                Ok(listened) => self.slowest = self.slowest.max(listened),
                Err(_) => self.ended_starting += 1,
            }
            starting.server
        } else {
            let (server, listened): (_, Listened) = starting.listened().await;
            self.slowest = self.slowest.max(listened);
            // Meta's next try of what waits may be far off: lives are short here.
            system.hurry().await;
            tokio::time::sleep(moment).await;
            server
        };
        server.kill().await;
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
                 IASSISTANCE_SEED={seed} cargo test --test crash -- --ignored --nocapture"
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
