//! Webhooks: their form, their signature, their retries and what is done to them on purpose.

use iassistance_domain::{Clock as _, ManualClock, Timestamp};
use iassistance_simulator::faults::{Shuffle, WebhookFaults};
use iassistance_simulator::{Faults, Script, SimulatorError, Tick};
use serde_json::{Value, json};

use crate::support::{ANA, NUMBER, Receiver, SECRET, graph, settings, soon, start, text_to};

fn webhooks(webhooks: WebhookFaults) -> Faults {
    Faults { webhooks, ..Faults::default() }
}

#[tokio::test]
async fn a_message_arrives_signed_and_escaped_as_meta_does() {
    let (simulator, _clock) = start(settings()).await;
    let mut receiver = Receiver::start([]).await;
    simulator.set_callback(&receiver.url).unwrap();
    simulator.verify_callback().await.unwrap();
    let text = "äöå a/b me@x 🙂";
    let wamid = simulator.say(ANA, text).unwrap();
    let arrived = receiver.next().await;
    assert_eq!(arrived.signature, iassistance_channels::signature::sign(SECRET.as_bytes(), &arrived.body));
    let wire = std::str::from_utf8(&arrived.body).unwrap();
    assert!(wire.is_ascii());
    assert!(wire.contains("\\u00e4\\u00f6\\u00e5 a\\/b me\\u0040x \\ud83d\\ude42"), "{wire}");
    let whole: Value = serde_json::from_str(wire).unwrap();
    let user_id = format!("US.SIMULATED{ANA}");
    let expected = json!({"object": "whatsapp_business_account", "entry": [{"id": "100000000000001", "changes": [{
        "field": "messages",
        "value": {
            "messaging_product": "whatsapp",
            "metadata": {"display_phone_number": "15550100001", "phone_number_id": NUMBER},
            "contacts": [{"profile": {"name": ANA}, "wa_id": ANA, "user_id": user_id}],
            "messages": [{"from": ANA, "from_user_id": user_id, "id": wamid, "timestamp": "1790000000",
                          "type": "text", "text": {"body": text}}],
        },
    }]}]});
    assert_eq!(whole, expected);
    soon(simulator.until(|state| state.webhooks.acknowledged == 1)).await;
    assert_eq!(simulator.transcript(ANA)[0].tick, Tick::Delivered);
}

#[tokio::test]
async fn a_webhook_is_retried_with_growing_pauses_until_200() {
    let (simulator, clock) = start(settings()).await;
    let mut receiver = Receiver::start([500, 301, 404, 200]).await;
    simulator.set_callback(&receiver.url).unwrap();
    simulator.say(ANA, "hi").unwrap();
    let mut bodies = Vec::new();
    for (tries, pause_ms) in [(1, 500), (2, 1_000), (3, 2_000)] {
        bodies.push(receiver.next().await.body);
        let due = soon(next_due(&clock)).await;
        let waits = due.millis_since(clock.now());
        assert!((pause_ms..=pause_ms + pause_ms / 4).contains(&waits), "pause {waits} after try {tries}");
        assert_eq!(simulator.state().webhooks.acknowledged, 0);
        clock.advance_to(due);
    }
    bodies.push(receiver.next().await.body);
    let state = soon(simulator.until(|state| state.webhooks.pending == 0)).await;
    assert_eq!((state.webhooks.attempts, state.webhooks.acknowledged), (4, 1));
    assert!(bodies.windows(2).all(|pair| pair[0] == pair[1]));
}

/// When the retry is due; what waits for an answer to a try is longer.
async fn next_due(clock: &ManualClock) -> Timestamp {
    loop {
        let now = clock.now();
        match clock.next_due() {
            Some(due) if due.millis_since(now) < 10_000 => return due,
            _ => tokio::task::yield_now().await,
        }
    }
}

#[tokio::test]
async fn webhooks_wait_for_a_callback_and_are_given_up_in_the_end() {
    let mut with = settings();
    with.webhooks.give_up_ms = 1_000;
    let (simulator, clock) = start(with).await;
    assert!(matches!(simulator.verify_callback().await, Err(SimulatorError::NoCallback)));
    simulator.say(ANA, "hi").unwrap();
    let due = soon(next_due(&clock)).await;
    clock.advance_to(due);
    let mut receiver = Receiver::start([]).await;
    simulator.set_callback(&receiver.url).unwrap();
    assert_eq!(receiver.next().await.value()["messages"][0]["text"]["body"], json!("hi"));

    let mut lonely = settings();
    lonely.webhooks.give_up_ms = 1_500;
    let (lonely, clock) = start(lonely).await;
    lonely.say(ANA, "hi").unwrap();
    for _ in 0..2 {
        let due = soon(next_due(&clock)).await;
        clock.advance_to(due);
    }
    let state = soon(lonely.until(|state| state.webhooks.given_up == 1)).await;
    assert_eq!(state.webhooks.pending, 0);
}

#[tokio::test]
async fn only_a_callback_on_this_machine_that_knows_the_token_is_taken() {
    let mut with = settings();
    with.verify_token = "another".into();
    let (simulator, _clock) = start(with).await;
    assert!(matches!(simulator.set_callback("http://example.com/"), Err(SimulatorError::CallbackNotLocal)));
    let receiver = Receiver::start([]).await;
    simulator.set_callback(&receiver.url).unwrap();
    let refused = soon(simulator.verify_callback()).await;
    assert!(matches!(refused, Err(SimulatorError::CallbackNotVerified { status: 200 })));
}

#[tokio::test]
async fn extra_deliveries_and_delays_happen_as_asked() {
    let (simulator, clock) = start(settings()).await;
    let mut receiver = Receiver::start([]).await;
    simulator.set_callback(&receiver.url).unwrap();
    simulator.set_faults(webhooks(WebhookFaults { extra_deliveries: 2, ..Default::default() })).unwrap();
    simulator.say(ANA, "thrice").unwrap();
    let first = receiver.next().await;
    for _ in 0..2 {
        assert_eq!(receiver.next().await.body, first.body);
    }
    simulator.set_faults(webhooks(WebhookFaults { delay_ms: 700, ..Default::default() })).unwrap();
    simulator.say(ANA, "late").unwrap();
    let due = soon(next_due(&clock)).await;
    assert_eq!(due.millis_since(clock.now()), 700);
    assert!(receiver.arrived.try_recv().is_err());
    clock.advance_to(due);
    assert_eq!(receiver.next().await.value()["messages"][0]["text"]["body"], json!("late"));
}

#[tokio::test]
async fn a_shuffle_holds_events_and_lets_them_go_in_another_order() {
    let mut with = settings();
    with.webhooks.concurrent_max = 1;
    with.faults.webhooks.shuffle = Some(Shuffle { events_max: 8, hold_ms: 300 });
    let (simulator, clock) = start(with).await;
    let mut receiver = Receiver::start([]).await;
    simulator.set_callback(&receiver.url).unwrap();
    for n in 0..8 {
        simulator.say(ANA, &n.to_string()).unwrap();
    }
    let mut order = Vec::new();
    for _ in 0..8 {
        order.push(receiver.next().await.value()["messages"][0]["text"]["body"].as_str().unwrap().to_owned());
    }
    let mut sorted = order.clone();
    sorted.sort();
    assert_ne!(order, sorted);
    assert_eq!(sorted.concat(), "01234567");
    simulator.say(ANA, "alone").unwrap();
    assert!(receiver.arrived.try_recv().is_err());
    let due = soon(next_due(&clock)).await;
    clock.advance_to(due);
    assert_eq!(receiver.next().await.value()["messages"][0]["text"]["body"], json!("alone"));
}

#[tokio::test]
async fn dropped_statuses_are_counted_and_not_told() {
    let (simulator, _clock) = start(settings()).await;
    simulator.say(ANA, "hi").unwrap();
    let drop = WebhookFaults { drop_statuses_per_mille: 1_000, ..Default::default() };
    simulator.set_faults(webhooks(drop)).unwrap();
    graph(&simulator, &text_to(ANA, "x")).await.unwrap();
    let state = soon(simulator.until(|state| state.counters.statuses.get("dropped") == Some(&3))).await;
    assert_eq!(state.webhooks.created, 1, "the inbound message alone");
}

#[tokio::test]
async fn a_script_plays_both_sides_and_names_the_line_that_failed() {
    let (simulator, _clock) = start(settings()).await;
    let mut receiver = Receiver::start([]).await;
    simulator.set_callback(&receiver.url).unwrap();
    let script =
        Script::parse("ana: Hello\nana < YOU SAID\nexpect replies 1\nana: again\nana < more").unwrap();
    let answers = async {
        for (said, reply) in [("Hello", "you said hello"), ("again", "less")] {
            while receiver.next().await.value()["messages"][0]["text"]["body"] != json!(said) {}
            let to = simulator.contacts()[0].wa_id.clone();
            graph(&simulator, &text_to(&to, reply)).await.unwrap();
        }
    };
    let (outcome, ()) = soon(async { tokio::join!(simulator.play(&script, 5_000), answers) }).await;
    assert_eq!((outcome.steps_done, outcome.replies, outcome.passed()), (4, 2, false));
    let failure = outcome.failure.unwrap();
    assert_eq!(failure.line, 5);
    assert!(failure.reason.contains("does not contain \"more\"") && failure.reason.contains("less"));
}

#[tokio::test]
async fn a_script_whose_reply_never_comes_fails_at_its_limit() {
    let (simulator, clock) = start(settings()).await;
    let script = Script::parse("ana: Hello\nana < anything").unwrap();
    let time = async {
        soon(simulator.until(|state| state.counters.inbound_messages == 1)).await;
        while clock.next_due() != Some(Timestamp::from_millis(1_790_000_000_400)) {
            tokio::task::yield_now().await;
        }
        clock.advance_millis(400);
    };
    let (outcome, ()) = soon(async { tokio::join!(simulator.play(&script, 400), time) }).await;
    assert_eq!(outcome.took_ms, 400);
    assert!(outcome.failure.unwrap().reason.contains("no reply to ana came within 400 ms"));
}
