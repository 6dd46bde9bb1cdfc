//! What cannot be read holds its own conversation, and nothing else.

use std::sync::{Arc, Mutex};

use iassistance_domain::id::ConversationId;
use iassistance_storage::StorageError;
use serde_json::json;

use crate::harness::{Flow, Options, within};

/// The conversation whose record does not open.
type Damaged = Arc<Mutex<Option<ConversationId>>>;

async fn damaging(kind: &'static str, act_name: &'static str) -> (Flow, Damaged) {
    let damaged = Damaged::default();
    let planned = Arc::clone(&damaged);
    let options = Options::failing(move |act| {
        let is_it = act.conversation.is_some() && act.conversation == *planned.lock().unwrap();
        if is_it && act.name == act_name { Err(StorageError::Damaged { kind }) } else { Ok(()) }
    });
    (Flow::with(options).await, damaged)
}

async fn is_held_and_released(kind: &'static str, act_name: &'static str) {
    let (mut flow, damaged) = damaging(kind, act_name).await;
    flow.simulator.say("ana", "first of ana").unwrap();
    flow.sends(1).await;
    flow.quiet(0).await;
    let event = flow.event(0, |event| event["message"]["content"]["body"] == "first of ana").await;
    let ana: ConversationId = event["conversation"].as_str().unwrap().parse().unwrap();
    within("passivation", async {
        while flow.app.engine.live_conversations() > 0 {
            flow.clock.advance_millis(60_000);
            flow.app.engine.passivate_idle();
            tokio::task::yield_now().await;
        }
    })
    .await;
    *damaged.lock().unwrap() = Some(ana);
    flow.simulator.say("ana", "second of ana").unwrap();
    within("the holding", async {
        while flow.count(0, "conversation.quarantined").await == 0 {
            flow.clock.advance_millis(100);
        }
    })
    .await;
    flow.simulator.say("bruno", "I do not mind").unwrap();
    flow.sends(2).await;
    let (status, body) = flow.api("GET", &format!("/tenants/{}/dead-letters", flow.tenants[0]), None).await;
    assert!(status.is_success());
    let reason = body["items"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("does not open") && reason.contains("iassistance doctor"), "{reason}");
    *damaged.lock().unwrap() = None;
    let dead =
        flow.event_named(0, "conversation.quarantined").await["dead_letter"].as_str().unwrap().to_owned();
    let path = format!("/tenants/{}/dead-letters/{dead}/replay", flow.tenants[0]);
    let (status, body) = flow.api("POST", &path, None).await;
    assert!(status.is_success(), "{status} {body}");
    flow.sends(3).await;
    assert!(flow.simulator.sends("ana")[1].text.contains("second of ana"), "nothing was lost");
    flow.forgive_dead_letters(1);
    flow.finish().await;
}

#[actix::test]
async fn a_conversation_whose_own_record_does_not_open_is_held() {
    is_held_and_released("conversation", "conversation").await;
}

#[actix::test]
async fn a_conversation_that_needs_a_record_that_stays_damaged_is_held() {
    is_held_and_released("turn", "outbox").await;
}

#[actix::test]
async fn the_store_is_examined_while_it_serves() {
    let flow = Flow::start().await;
    flow.simulator.say("ana", "hello").unwrap();
    let check = flow.app.engine.begin_check(false, false).unwrap();
    let second = flow.app.engine.begin_check(false, false).err().unwrap();
    assert_eq!(second.0, check.id, "one at a time");
    flow.sends(1).await;
    let found = within("the examination", async {
        loop {
            if let Some(came_to) = flow.app.engine.check(check.id).unwrap().came_to {
                break came_to.unwrap();
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!((found.findings.as_slice(), found.unmended), (&[][..], 0));
    let path = format!("/tenants/{}/quarantine", flow.tenants[0]);
    let (status, body) = flow.api("GET", &path, None).await;
    assert_eq!((status.as_u16(), body), (200, json!({ "items": [], "next": null })));
    // Examining the store is for who runs the platform.
    assert_eq!(flow.api("POST", "/checks", Some(json!({}))).await.0.as_u16(), 403);
    assert_eq!(flow.api("GET", "/quarantine", None).await.0.as_u16(), 403);
    flow.finish().await;
}
