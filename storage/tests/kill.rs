//! Killed in the middle of writing, again and again: nothing that was acknowledged is lost, and the
//! store opens.

#![allow(clippy::unwrap_used, reason = "helpers of tests are not seen as tests")]

mod support;

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use iassistance_domain::budget::{Budgets, Cost, Day};
use iassistance_domain::inbound::InboundEvent;
use iassistance_storage::sled::disk::SystemDisk;
use iassistance_storage::{Limits, TenantStore};
use support::*;

const CYCLES: u64 = 12;
const WRITERS: u64 = 4;
/// Cycles do not use each other's numbers.
const NUMBERS: u64 = 1_000_000;

fn world(folder: &Path, seed: u64) -> World {
    let limits = Limits { inbox_entries_max: 1_000_000, ..Limits::default() };
    World::sled_by_chance(folder, limits, Arc::new(SystemDisk), seed)
}

fn event(number: u64) -> InboundEvent {
    wrote(identity(&format!("549{}", number % 10)), Some("Ada"), &number.to_string())
}

/// Accepts, commits and sends for ever, and says each number whose writes were acknowledged.
async fn write_for_ever(tenant: Arc<dyn TenantStore>, from: u64) {
    for number in (from..).step_by(usize::try_from(WRITERS).unwrap()) {
        let accepted = tenant.accept(channel_id(1), &[event(number)]).await.unwrap();
        let id = accepted.conversations[0];
        let mut commit = step(&*tenant, id).await;
        commit.messages.push(outgoing(&commit.conversation, message_id(number), None));
        // Another writer may have been faster; what counts here is what was acknowledged.
        let said = if tenant.commit(commit).await.is_ok() { "both" } else { "accepted" };
        let of = reservation(number, 1, 7, 2);
        assert_eq!(tenant.reserve(of, of.amount, Budgets::default()).await.unwrap(), Some(of.amount));
        if number % 2 == 0 {
            tenant.settle_reservation(of.turn, Cost(1)).await.unwrap();
        }
        let mut out = io::stdout().lock();
        writeln!(out, "\nack {number} {id} {said}").unwrap();
        out.flush().unwrap();
    }
}

/// What the other test runs in a process of its own, to kill it.
#[test]
#[ignore = "writes until it is killed; the other test runs it"]
fn victim() {
    let mut lines = io::stdin().lock().lines().map(Result::unwrap);
    let (folder, from) = (lines.next().unwrap(), lines.next().unwrap().parse::<u64>().unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let tenant = world(Path::new(&folder), from).open_tenant(1).await;
        let writers = (0..WRITERS).map(|writer| write_for_ever(Arc::clone(&tenant), from + writer));
        futures::future::join_all(writers).await;
    });
}

/// Runs the victim until it has acknowledged `acks` numbers, and kills it. What it had said.
fn run_and_kill(folder: &Path, from: u64, acks: u64) -> Vec<(u64, String, bool)> {
    let mut victim = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "victim", "--nocapture"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdin = victim.stdin.take().unwrap();
    writeln!(stdin, "{}\n{from}", folder.display()).unwrap();
    let mut said = Vec::new();
    for line in BufReader::new(victim.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        let Some(ack) = line.strip_prefix("ack ") else { continue };
        let mut words = ack.split(' ');
        let number = words.next().unwrap().parse().unwrap();
        said.push((number, words.next().unwrap().to_owned(), words.next() == Some("both")));
        if said.len() as u64 == acks {
            victim.kill().unwrap();
        }
    }
    victim.wait().unwrap();
    said
}

#[tokio::test]
async fn nothing_acknowledged_is_lost_by_kills() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = world(folder.path(), NUMBERS - 1);
    drop(first.tenant(1).await);
    first.shut().await;
    drop(first);
    let mut acknowledged = Vec::new();
    for cycle in 0..CYCLES {
        let said = run_and_kill(folder.path(), cycle * NUMBERS, 3 + cycle * 7);
        assert!(said.len() as u64 >= 3 + cycle * 7);
        acknowledged.extend(said);
    }
    let world = world(folder.path(), NUMBERS - 1);
    let tenant = world.open_tenant(1).await;
    let least: u64 = acknowledged.iter().map(|(number, ..)| 1 + number % 2).sum();
    assert!(tenant.spent(Day(7)).await.unwrap() >= Cost(least), "what was set aside is spent");
    let mut letters = HashMap::new();
    for (number, conversation, committed) in acknowledged {
        let id = conversation.parse().unwrap();
        let again = tenant.accept(channel_id(1), &[event(number)]).await.unwrap();
        assert_eq!(again.new, [false], "{number}");
        if let Entry::Vacant(unread) = letters.entry(id) {
            unread.insert(HashSet::<_>::from_iter(told(&tenant.inbox(id, usize::MAX).await.unwrap())));
        }
        assert!(letters[&id].contains(&number.to_string()), "the letter of {number}");
        let message = tenant.message(id, message_id(number)).await.unwrap();
        assert!(message.is_some() || !committed, "the message of {number}");
    }
    let bad = unsound(&*world.store).await;
    assert!(bad.is_empty(), "{bad:?}");
}
