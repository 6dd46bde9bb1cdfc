//! Invariant 7: everything has a limit, and at a limit things wait or are refused; none is lost.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use iassistance_domain::Clock;
use iassistance_simulator::SimulatorSettings;
use iassistance_storage::StorageError;
use serde_json::json;

use crate::harness::{Flow, NUMBERS, Options, messages, within};

/// Settings under which time may fly without anybody being taken for late: the model, the channel,
/// or this server by the channel.
fn with(settings: &[&'static str]) -> Options {
    patient(Options::default(), settings)
}

fn patient(options: Options, settings: &[&'static str]) -> Options {
    let mut all = vec![
        "model.first_token_ms=86400000",
        "model.attempt_ms=86400000",
        "model.turn_ms=86400000",
        "meta.send_timeout_ms=86400000",
    ];
    all.extend(settings);
    let simulator =
        |simulated: &mut SimulatorSettings| simulated.webhooks.answer_ms_max = 24 * 60 * 60 * 1_000;
    Options { settings: all, simulator: Some(simulator), ..options }
}

/// Moves the clock a little at a time, until `done`; two hours are too much.
async fn while_time_passes(flow: &Flow, what: &str, step_ms: u64, done: impl AsyncFn() -> bool) {
    let end = flow.clock.now().plus_millis(2 * 60 * 60 * 1_000);
    within(what, async {
        while !done().await {
            assert!(flow.clock.now() < end, "two hours passed in vain for {what}");
            flow.clock.advance_millis(step_ms);
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// Lets time pass until all of these words have been answered.
async fn answered(flow: &Flow, words: &[String], step_ms: u64) {
    let all = async || {
        // A look at the store takes as long as work needs to get a step further.
        let _quiet = flow.quiet_now(0).await;
        let sent = flow.simulator.all_sends();
        words.iter().all(|words| sent.iter().any(|send| send.text.contains(words.as_str())))
    };
    while_time_passes(flow, "all answers", step_ms, all).await;
}

/// Lets time pass until every webhook has come and a tenant has nothing unfinished.
async fn settled(flow: &Flow, tenant: usize, step_ms: u64) {
    let all = async || flow.quiet_now(tenant).await && flow.simulator.state().webhooks.pending == 0;
    while_time_passes(flow, "the rest", step_ms, all).await;
}

#[actix::test]
async fn with_room_for_one_in_every_mailbox_all_is_answered() {
    let flow = Flow::with(with(&[
        "actors.tenant_mailbox=1",
        "actors.conversation_mailbox=1",
        // What was forgotten would stay so.
        "actors.sweep_ms=86400000",
        "limits.conversation_burst=1000",
        "limits.pair_burst=1000",
        "limits.number_sends_per_s=1000",
    ]))
    .await;
    let contact = |n: usize| format!("155501991{:02}", n % 20);
    let posts = (0..200_usize).map(|n| {
        let (id, text) = (format!("wamid.{n}"), format!("message {n}."));
        let at = 1_789_999_000 + i64::try_from(n).unwrap();
        flow.post(messages(NUMBERS[0], &contact(n), &[(&id, at, &text)]))
    });
    for answer in futures::future::join_all(posts).await {
        assert_eq!(answer.status(), 200);
    }
    let last: Vec<String> = (180..200).map(|n| format!("message {n}.")).collect();
    answered(&flow, &last, 200).await;
    flow.quiet(0).await;
    assert_eq!(flow.count(0, "message.received").await, 200);
    let turns: BTreeSet<String> = flow
        .events(0)
        .await
        .iter()
        .filter(|event| event["type"] == "turn.started")
        .flat_map(|event| event["covers"].as_array().unwrap().clone())
        .map(|message| message.as_str().unwrap().to_owned())
        .collect();
    assert_eq!(turns.len(), 200, "every message was answered by a turn");
    flow.finish().await;
}

#[actix::test]
async fn a_full_inbox_refuses_before_it_promises_and_takes_more_when_there_is_room() {
    let stuck = Arc::new(AtomicBool::new(true));
    let switch = Arc::clone(&stuck);
    let options = Options::failing(move |act| {
        if act.name == "inbox" && switch.load(Ordering::Relaxed) {
            return Err(StorageError::Overloaded);
        }
        Ok(())
    });
    let flow = Flow::with(patient(options, &["storage.inbox_entries_max=3"])).await;
    let body = |n: i64| {
        let (id, text) = (format!("wamid.{n}"), format!("message {n}."));
        messages(NUMBERS[0], &format!("1555019910{n}"), &[(&id, 1_790_000_000 + n, &text)])
    };
    for n in 0..3 {
        assert_eq!(flow.post(body(n)).await.status(), 200);
    }
    let before = flow.events(0).await.len();
    for _ in 0..3 {
        let refused = flow.post(body(3)).await;
        assert_eq!(refused.status(), 503);
        assert!(refused.headers().contains_key("retry-after"));
    }
    assert_eq!(flow.events(0).await.len(), before, "nothing of it was taken in");
    // The other tenant does not notice.
    let other = messages(NUMBERS[1], "15550199109", &[("wamid.o", 1_790_000_000, "other")]);
    assert_eq!(flow.post(other).await.status(), 200);
    stuck.store(false, Ordering::Relaxed);
    answered(&flow, &(0..3).map(|n| format!("message {n}.")).collect::<Vec<_>>(), 200).await;
    // What the channel tells of the answers takes room, too.
    settled(&flow, 0, 200).await;
    assert_eq!(flow.post(body(3)).await.status(), 200);
    answered(&flow, &["message 3.".to_owned(), "other".to_owned()], 200).await;
    flow.finish().await;
}

#[actix::test]
async fn more_conversations_than_there_is_room_for_take_turns() {
    let flow = Flow::with(with(&["actors.conversations_max=2"])).await;
    for n in 0..6 {
        let (id, text) = (format!("wamid.{n}"), format!("message {n}."));
        let body = messages(NUMBERS[0], &format!("1555019910{n}"), &[(&id, 1_790_000_000, &text)]);
        assert_eq!(flow.post(body).await.status(), 200);
        assert!(flow.app.engine.live_conversations() <= 2);
    }
    answered(&flow, &(0..6).map(|n| format!("message {n}.")).collect::<Vec<_>>(), 1_000).await;
    assert!(flow.app.engine.live_conversations() <= 2);
    settled(&flow, 0, 1_000).await;
    flow.finish().await;
}

#[actix::test]
async fn a_tenant_beyond_its_rate_waits_and_all_are_answered() {
    let flow = Flow::with(with(&["limits.tenant_steps_per_s=1", "limits.tenant_burst=1"])).await;
    for n in 0..5 {
        let (id, text) = (format!("wamid.{n}"), format!("message {n}."));
        let body = messages(NUMBERS[0], &format!("1555019910{n}"), &[(&id, 1_790_000_000, &text)]);
        assert_eq!(flow.post(body).await.status(), 200);
    }
    flow.sends(1).await;
    // The neighbour has a rate of its own.
    let other = messages(NUMBERS[1], "15550199109", &[("wamid.o", 1_790_000_000, "other")]);
    flow.post(other).await;
    flow.sends(2).await;
    answered(&flow, &(0..5).map(|n| format!("message {n}.")).collect::<Vec<_>>(), 250).await;
    settled(&flow, 0, 250).await;
    settled(&flow, 1, 250).await;
    flow.finish().await;
}

#[actix::test]
async fn messages_to_one_person_keep_their_distance_and_all_leave() {
    let flow = Flow::with(with(&["limits.pair_interval_ms=6000", "limits.pair_burst=1"])).await;
    flow.simulator.say("ana", "hello").unwrap();
    flow.sends(1).await;
    let conversation = flow.conversation(0).await;
    let path = format!("/tenants/{}/conversations/{conversation}/messages", flow.tenants[0]);
    for text in ["one", "two"] {
        let (status, body) = flow.api("POST", &path, Some(json!({ "operator": "Bea", "text": text }))).await;
        assert_eq!(status, 201, "{body}");
    }
    // Another person does not wait for it.
    flow.simulator.say("bruno", "and me?").unwrap();
    flow.sends(2).await;
    flow.clock.advance_millis(5_999);
    flow.sends(2).await;
    flow.clock.advance_millis(1);
    flow.sends(3).await;
    flow.clock.advance_millis(6_000);
    flow.sends(4).await;
    let to_ana: Vec<String> = flow.simulator.sends("ana").into_iter().map(|send| send.text).collect();
    assert_eq!(to_ana[1..], ["one", "two"]);
    flow.finish().await;
}

#[actix::test]
async fn bodies_beyond_the_memory_for_them_are_sent_away_to_come_again() {
    let flow = Flow::with(with(&["server.webhook_bytes_in_flight_max=2000"])).await;
    let long = "x".repeat(4_000);
    let refused = flow.post(messages(NUMBERS[0], "15550199001", &[("wamid.1", 1_790_000_000, &long)])).await;
    assert_eq!(refused.status(), 503);
    assert!(refused.headers().contains_key("retry-after"));
    assert_eq!(flow.count(0, "message.received").await, 0);
    // What was refused does not stay in the count.
    for n in 0..3 {
        let id = format!("wamid.{n}");
        let body = messages(NUMBERS[0], "15550199001", &[(&id, 1_790_000_000, "short")]);
        assert_eq!(flow.post(body).await.status(), 200);
    }
    flow.quiet(0).await;
    assert_eq!(flow.count(0, "message.received").await, 3);
    flow.finish().await;
}

#[actix::test]
async fn administrative_bodies_are_bounded_and_their_faults_are_named() {
    let flow = Flow::with(with(&["server.json_body_bytes_max=2000"])).await;
    let url = format!("http://{}/v1/tenants/{}/assistant", flow.address, flow.tenants[0]);
    let put = async |body: String, kind: &str| {
        let request = flow.http.put(&url).bearer_auth(&flow.key).header("content-type", kind).body(body);
        let answered = within("an answer", request.send()).await.unwrap();
        assert_eq!(answered.headers()["content-type"], "application/problem+json");
        let status = answered.status().as_u16();
        (status, answered.text().await.unwrap())
    };
    let json = "application/json";
    let cases = [
        (put("x".repeat(2_001), json).await, 413, "2000 bytes"),
        (put("{\n  \"enabled\": tru".into(), json).await, 400, "line 2"),
        (put(String::new(), json).await, 400, "line 1"),
        (put("{\"enabled\":true}".into(), "text/plain").await, 415, "application/json"),
        (put("{\"enabled\":true,\"tusk\":\"x\"}".into(), json).await, 422, "unknown field `tusk`"),
        (put("{\"enabled\":true}".into(), json).await, 422, "missing field `task`"),
        (put("{\"enabled\":\"hush\"}".into(), json).await, 422, "expected a boolean"),
        (put("[1]".into(), json).await, 422, "does not fit"),
    ];
    for ((status, text), wanted, words) in cases {
        assert_eq!(status, wanted, "{text}");
        assert!(text.contains(words) && !text.contains("hush"), "{words}: {text}");
        let problem: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(problem["status"], wanted);
        assert!(problem["type"].as_str().unwrap().starts_with("urn:iassistance:problem:"));
    }
    flow.finish().await;
}
