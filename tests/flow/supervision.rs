//! A conversation that fails comes back by itself; its neighbours do not notice.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use iassistance_assistant::scripted::Behaviour;
use iassistance_domain::id::ConversationId;
use serde_json::{Value, json};

use crate::harness::{Flow, Options, within};

/// Which conversations panic when they read their inbox, and how many times more.
type Panics = Arc<Mutex<HashMap<ConversationId, u32>>>;

async fn panicking() -> (Flow, Panics) {
    let panics = Panics::default();
    let planned = Arc::clone(&panics);
    let options = Options::failing(move |act| {
        let due = act.name == "inbox"
            && act.conversation.is_some_and(|conversation| {
                let mut planned = planned.lock().unwrap();
                planned.get_mut(&conversation).filter(|left| **left > 0).map(|left| *left -= 1).is_some()
            });
        assert!(!due, "planned");
        Ok(())
    });
    (Flow::with(options).await, panics)
}

async fn conversation_of(flow: &Flow, words: &str) -> ConversationId {
    let event = flow.event(0, |event| event["message"]["content"]["body"] == words).await;
    event["conversation"].as_str().unwrap().parse().unwrap()
}

#[actix::test]
async fn a_panic_in_one_conversation_loses_nothing_and_disturbs_nobody() {
    let (flow, panics) = panicking().await;
    flow.simulator.say("ana", "first of ana").unwrap();
    flow.simulator.say("bruno", "first of bruno").unwrap();
    flow.sends(2).await;
    // Until the last report of each has come: otherwise that is what panics.
    within("the reports", async {
        let is_read = |event: &&Value| event["delivery"]["status"] == "read";
        while flow.events(0).await.iter().filter(is_read).count() < 2 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    flow.quiet(0).await;
    let ana = conversation_of(&flow, "first of ana").await;
    panics.lock().unwrap().insert(ana, 2);
    flow.simulator.say("ana", "second of ana").unwrap();
    flow.simulator.say("bruno", "second of bruno").unwrap();
    flow.sends(3).await;
    assert!(flow.simulator.all_sends()[2].text.contains("second of bruno"), "the neighbour did not wait");
    // The restarts wait on the clock.
    flow.while_time_flies(flow.sends(4)).await;
    assert!(flow.simulator.sends("ana")[1].text.contains("second of ana"));
    flow.finish().await;
}

#[actix::test]
async fn a_conversation_that_fails_every_time_is_held_with_a_dead_letter_and_released_by_a_person() {
    let (mut flow, panics) = panicking().await;
    flow.simulator.say("ana", "first of ana").unwrap();
    flow.sends(1).await;
    flow.quiet(0).await;
    let ana = conversation_of(&flow, "first of ana").await;
    panics.lock().unwrap().insert(ana, u32::MAX);
    flow.simulator.say("ana", "second of ana").unwrap();
    within("the quarantine", async {
        while flow.count(0, "conversation.quarantined").await == 0 {
            flow.clock.advance_millis(50);
        }
    })
    .await;
    flow.simulator.say("bruno", "I do not mind").unwrap();
    flow.sends(2).await;
    let path = format!("/tenants/{}/conversations/{ana}/takeover", flow.tenants[0]);
    assert_eq!(flow.api("POST", &path, Some(json!({ "operator": "Bea" }))).await.0, 409);
    panics.lock().unwrap().clear();
    let dead =
        flow.event_named(0, "conversation.quarantined").await["dead_letter"].as_str().unwrap().to_owned();
    let (status, body) =
        flow.api("POST", &format!("/tenants/{}/dead-letters/{dead}/replay", flow.tenants[0]), None).await;
    assert!(status.is_success(), "{status} {body}");
    flow.sends(3).await;
    assert!(flow.simulator.sends("ana")[1].text.contains("second of ana"), "nothing was lost");
    flow.forgive_dead_letters(1);
    flow.finish().await;
}

#[actix::test]
async fn a_model_that_panics_costs_its_turn_and_the_contact_is_told() {
    let model = vec![Behaviour::Panic, Behaviour::Echo];
    let mut flow = Flow::with(Options { model: Some(model), ..Options::default() }).await;
    flow.simulator.say("ana", "hello").unwrap();
    flow.sends(1).await;
    assert_eq!(flow.simulator.all_sends()[0].text, "Sorry, not now.");
    let dead = flow.event_named(0, "dead_letter.added").await["dead_letter"].as_str().unwrap().to_owned();
    let path = format!("/tenants/{}/dead-letters/{dead}/replay", flow.tenants[0]);
    assert!(flow.api("POST", &path, None).await.0.is_success());
    flow.sends(2).await;
    assert_eq!(flow.simulator.all_sends()[1].text, "hello");
    flow.forgive_dead_letters(1);
    flow.finish().await;
}

#[actix::test]
async fn idle_conversations_are_put_away_and_come_back() {
    let flow = Flow::start().await;
    flow.simulator.say("ana", "hello").unwrap();
    flow.event(0, |event| event["delivery"]["status"] == "read").await;
    flow.quiet(0).await;
    within("passivation", async {
        while flow.app.engine.live_conversations() > 0 {
            flow.clock.advance_millis(60_000);
            flow.app.engine.passivate_idle();
            tokio::task::yield_now().await;
        }
    })
    .await;
    flow.simulator.say("ana", "me again").unwrap();
    flow.sends(2).await;
    flow.finish().await;
}
