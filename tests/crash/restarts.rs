//! Restarts in good order under load: each life is asked to stop while people write, ends with 0 within its
//! time, and the next one goes on. Nothing is lost, doubled or out of order, and no send is cut short.

use std::cell::Cell;
use std::time::{Duration, Instant};

use futures::future::join_all;
use iassistance_domain::{Entropy, SeededEntropy};
use reqwest::Client;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::load::Person;
use crate::system::{Server, System};
use crate::{answered, number, random};

const RESTARTS: u64 = 20;
const PEOPLE: usize = 40;
/// How long a life lasts at most after it listens.
const LIFE_MS_MAX: u64 = 1_500;
/// `server.shutdown_ms`, and something for the process to end.
const STOPPED_WITHIN: Duration = Duration::from_secs(12);

#[tokio::test]
#[ignore = "needs the release binary and a minute or two; scripts/test runs it"]
async fn rolling_restarts() {
    let restarts = number("IASSISTANCE_RESTARTS").unwrap_or(RESTARTS);
    let seed = number("IASSISTANCE_SEED").unwrap_or_else(random);
    println!("restarts: again with IASSISTANCE_RESTARTS={restarts} IASSISTANCE_SEED={seed}");
    let entropy = SeededEntropy::new(seed);
    let system = System::set_up(client(), seed, &entropy).await;
    let mut people: Vec<_> = (0..PEOPLE).map(|index| Person::new(index, seed)).collect();
    let (over, mut slowest) = (Cell::new(false), Duration::ZERO);
    let talk = join_all(people.iter_mut().map(|person| person.talk(&system, &over)));
    let (_, (mut last, between)) = futures::join!(talk, async {
        for _ in 0..restarts {
            let (mut server, _) = system.serve().listened().await;
            system.hurry().await;
            tokio::time::sleep(Duration::from_millis(entropy.up_to(LIFE_MS_MAX))).await;
            let asked = Instant::now();
            server.ask_to_stop().await;
            slowest = slowest.max(asked.elapsed());
        }
        over.set(true);
        let between = system.state().await["sends_accepted"].as_u64().unwrap();
        let (server, _) = system.serve().listened().await;
        system.hurry().await;
        (server, between)
    });

    let verdict = answered(&system, &people).await;
    let said: u32 = people.iter().map(Person::said).sum();
    let mut cut_sends = 0;
    for tenant in &system.tenants {
        let events = system.events(tenant).await;
        cut_sends += events.iter().filter(|event| event["delivery"]["status"] == "unknown").count();
        let dead = system.dead_letters(tenant).await;
        assert!(dead.is_empty(), "dead letters: {dead:#?}");
    }
    println!(
        "restarts: {restarts} stops in good order, slowest {} ms; {said} messages acknowledged, {} replies ({between} \
         of them between the stops); {} lost, {} doubled, {} out of order, {cut_sends} sends cut short",
        slowest.as_millis(),
        verdict.replies,
        verdict.lost.len(),
        verdict.doubled.len(),
        verdict.out_of_order.len(),
    );
    assert!(verdict.is_good(), "{verdict:#?}");
    assert_eq!(system.state().await["duplicates"], 0, "sends that were repeated");
    assert_eq!(cut_sends, 0, "a stop waits for sends in hand");
    assert!(slowest <= STOPPED_WITHIN, "a stop took {slowest:?}");
    assert!(between >= restarts / 2, "too little happened between the stops to show anything");
    last.ask_to_stop().await;
    system.doctor().await;
}

#[tokio::test]
#[ignore = "needs the release binary; scripts/test runs it"]
async fn a_second_signal_ends_it_at_once() {
    let seed = random();
    let system = System::set_up(client(), seed, &SeededEntropy::new(seed)).await;
    let (mut server, _) = system.serve().listened().await;
    // A body that does not come: the stop waits for it.
    let address = system.webhook_url.strip_prefix("http://").unwrap();
    let (host, path) = address.split_once('/').unwrap();
    let mut slow = TcpStream::connect(host).await.unwrap();
    let head =
        format!("POST /{path} HTTP/1.1\r\nhost: {host}\r\nexpect: 100-continue\r\ncontent-length: 9\r\n\r\n");
    slow.write_all(head.as_bytes()).await.unwrap();
    // It is being read when the server says that it may come.
    assert!(slow.read(&mut [0; 64]).await.unwrap() > 0);
    let asked = Instant::now();
    server.signal("TERM").await;
    closed(host).await;
    server.signal("INT").await;
    assert_eq!(ended(&mut server).await, Some(130));
    assert!(asked.elapsed() < Duration::from_secs(4), "it did not wait for the body");
}

fn client() -> Client {
    #[expect(clippy::disallowed_methods, reason = "the test's own client, on this machine alone")]
    Client::builder().no_proxy().timeout(Duration::from_secs(10)).build().unwrap()
}

/// Waits until nobody new is let in: the first signal has been heard.
async fn closed(host: &str) {
    while TcpStream::connect(host).await.is_ok() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn ended(server: &mut Server) -> Option<i32> {
    tokio::time::timeout(STOPPED_WITHIN, server.status()).await.expect("it ends").code()
}
