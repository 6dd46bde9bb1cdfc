//! Sends whose answer never came: resolved by what the channel tells, or else as the tenant chose, and
//! told of in the log either way.

use iassistance_assistant::scripted::Behaviour;
use iassistance_domain::assistant::UnknownSends;
use iassistance_simulator::Faults;
use iassistance_simulator::faults::{Rule, SendFault};
use serde_json::Value;

use crate::harness::{Flow, NUMBERS, Options};
use crate::products::{HOUR_MS, INSTAGRAM, PAGE, flying};

/// One of each product.
const ACCOUNTS: [&str; 3] = [NUMBERS[0], PAGE, INSTAGRAM];
/// How long the channel's reports are waited for, milliseconds.
const UNKNOWN_MS: u64 = 600_000;

const BEFORE: SendFault = SendFault::Cut { accepted: false };
/// Accepted, and the connection goes in the middle of the answer, or before it.
const ACCEPTED: [SendFault; 2] = [SendFault::Truncate, SendFault::Cut { accepted: true }];

async fn start(settings: &[&'static str], choice: Option<UnknownSends>) -> Flow {
    let flow = Flow::with(Options { model: Some(vec![Behaviour::Echo]), ..flying(settings) }).await;
    flow.configure(|settings| settings.unknown_sends = choice).await;
    flow
}

/// Somebody writes, and the connection over which they are answered is cut; the place in the log before.
async fn cut(flow: &Flow, account: &str, words: &str, fault: SendFault, is_told: bool) -> u64 {
    let at = flow.now_at().await;
    let mut faults = Faults { sends: vec![Rule { fault, next: 1, per_mille: 0 }], ..Faults::default() };
    faults.webhooks.drop_statuses_per_mille = if is_told { 0 } else { 1_000 };
    flow.simulator.set_faults(faults).unwrap();
    flow.says("ana", account, words);
    at
}

/// Waits until it is known that nothing is known of it, and then for as long as it is waited for.
async fn wait_in_vain(flow: &Flow, at: u64) {
    flow.event_after(0, at, |event| event["delivery"]["status"] == "unknown").await;
    flow.settled().await;
    flow.clock.advance_millis(UNKNOWN_MS);
}

fn is(name: &'static str) -> impl Fn(&Value) -> bool {
    move |event| event["type"] == name
}

#[actix::test]
async fn what_was_accepted_is_resolved_by_what_the_channel_tells() {
    let flow = start(&[], Some(UnknownSends::Resend)).await;
    for account in ACCOUNTS {
        for (number, fault) in ACCEPTED.into_iter().enumerate() {
            let words = format!("cut {number} on {account}");
            let at = cut(&flow, account, &words, fault, true).await;
            flow.event_after(0, at, |event| event["delivery"]["status"] == "sent").await;
            flow.still().await;
            flow.clock.advance_millis(HOUR_MS);
            flow.still().await;
            assert_eq!(flow.times_sent(&words), 1, "{words}");
        }
    }
    assert_eq!(flow.count(0, "message.postponed").await, 0);
    flow.finish().await;
}

#[actix::test]
async fn a_tenant_that_holds_is_asked_and_nothing_is_sent_again() {
    let mut flow = start(&["dispatch.unknown_policy=resend"], Some(UnknownSends::Hold)).await;
    for account in ACCOUNTS {
        let words = format!("cut before on {account}");
        let at = cut(&flow, account, &words, BEFORE, true).await;
        wait_in_vain(&flow, at).await;
        let dead = flow.event_after(0, at, is("dead_letter.added")).await;
        assert!(dead["reason"].as_str().unwrap().contains("look whether it arrived"), "{dead}");
        assert_eq!(flow.times_sent(&words), 0, "{words}");
    }
    let at = cut(&flow, NUMBERS[0], "accepted and never told of", ACCEPTED[1].clone(), false).await;
    wait_in_vain(&flow, at).await;
    flow.event_after(0, at, is("dead_letter.added")).await;
    assert_eq!(flow.times_sent("accepted and never told of"), 1);
    flow.forgive_dead_letters(4);
    flow.finish().await;
}

#[actix::test]
async fn a_tenant_that_resends_gets_it_sent_and_the_log_tells() {
    let mut flow = start(&[], Some(UnknownSends::Resend)).await;
    for account in ACCOUNTS {
        let words = format!("cut before on {account}");
        let at = cut(&flow, account, &words, BEFORE, true).await;
        wait_in_vain(&flow, at).await;
        let told = flow.event_after(0, at, is("message.postponed")).await;
        assert!(told["reason"].as_str().unwrap().contains("sent again"), "{told}");
        flow.sent(&words).await;
        flow.still().await;
        assert_eq!(flow.times_sent(&words), 1, "{words}");
    }
    let at = cut(&flow, NUMBERS[0], "accepted and never told of", ACCEPTED[1].clone(), false).await;
    wait_in_vain(&flow, at).await;
    flow.event_after(0, at, is("message.postponed")).await;
    flow.event_after(0, at, |event| event["delivery"]["status"] == "sent").await;
    assert_eq!(flow.times_sent("accepted and never told of"), 2, "the choice's price");
    flow.forgive_duplicates();
    flow.finish().await;
}

#[actix::test]
async fn who_chose_nothing_has_the_platforms_choice() {
    let flow = start(&["dispatch.unknown_policy=resend"], None).await;
    let at = cut(&flow, NUMBERS[0], "by default", BEFORE, true).await;
    wait_in_vain(&flow, at).await;
    flow.sent("by default").await;
    flow.still().await;
    flow.finish().await;
}

#[actix::test]
async fn a_channel_that_never_answers_is_not_sent_the_same_for_ever() {
    let mut flow = start(&["dispatch.attempts_max=3"], Some(UnknownSends::Resend)).await;
    let always = Rule { fault: BEFORE, next: 3, per_mille: 1_000 };
    flow.simulator.set_faults(Faults { sends: vec![always], ..Faults::default() }).unwrap();
    flow.says("ana", NUMBERS[0], "anybody?");
    wait_in_vain(&flow, 0).await;
    let is_dead = async || flow.count(0, "dead_letter.added").await == 1;
    flow.pass_until("a dead letter", 10_000, 4 * UNKNOWN_MS, is_dead).await;
    assert_eq!(flow.count(0, "message.postponed").await, 2);
    flow.forgive_dead_letters(1);
    flow.finish().await;
}
