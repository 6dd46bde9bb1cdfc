//! Every sample payload of every product: taken, once, in any order, and answered only where a person
//! wrote something to us.

use std::collections::{BTreeMap, BTreeSet};

use iassistance_assistant::scripted::Behaviour;
use iassistance_domain::Entropy;
use iassistance_domain::SeededEntropy;
use iassistance_domain::event::EventSeq;
use serde_json::{Value, json};

use crate::harness::{Flow, NUMBERS, Options, within};
use crate::products::{CHANNELS, INSTAGRAM, PAGE, fixtures, flying};

fn all() -> Vec<(String, Vec<u8>)> {
    ["whatsapp", "messenger", "instagram"].into_iter().flat_map(fixtures).collect()
}

fn shuffled(seed: u64, mut files: Vec<(String, Vec<u8>)>) -> Vec<(String, Vec<u8>)> {
    let entropy = SeededEntropy::new(seed);
    for last in (1..files.len()).rev() {
        files.swap(last, usize::try_from(entropy.up_to(last as u64)).unwrap());
    }
    files
}

/// Waits until all is done, whatever was said about the channels meanwhile.
async fn settle(flow: &Flow) {
    for account in CHANNELS {
        flow.mend(account).await;
    }
    flow.still().await;
}

/// What is stored, by Meta's ids: ours are random, and their order is that of arrival.
async fn stored(flow: &Flow) -> BTreeMap<String, Value> {
    let mut stored = BTreeMap::new();
    let mut said: BTreeMap<String, u64> = BTreeMap::new();
    for tenant in 0..2 {
        let store = flow.store(tenant).await;
        for conversation in store.conversations(None, 1_000).await.unwrap() {
            for message in store.messages(conversation.id, None, 1_000).await.unwrap() {
                let mut value = serde_json::to_value(&message).unwrap();
                let name = value["provider_id"].as_str().unwrap().to_owned();
                for ours in ["id", "conversation", "recorded_at"] {
                    value.as_object_mut().unwrap().remove(ours);
                }
                // Of what is taken back nothing else is kept; what came later was never changed before.
                if let Some(at) = value.get_mut("removed_at") {
                    *at = json!("then");
                    value.as_object_mut().unwrap().remove("edited_at");
                }
                assert!(stored.insert(format!("{tenant} {name}"), value).is_none(), "{name} is there twice");
            }
        }
        for event in store.events(EventSeq(0), 10_000).await.unwrap() {
            let event = serde_json::to_value(event).unwrap();
            *said.entry(format!("{tenant} {}", event["type"].as_str().unwrap())).or_default() += 1;
        }
    }
    stored.insert("events".into(), json!(said));
    stored.insert("unrouted".into(), json!(flow.app.store.unrouted(1_000).await.unwrap().len()));
    stored
}

async fn posted(files: &[(String, Vec<u8>)]) -> Flow {
    let flow = Flow::with(flying(&[])).await;
    flow.hush().await;
    for (name, body) in files {
        assert_eq!(flow.post(body.clone()).await.status(), 200, "{name}");
    }
    settle(&flow).await;
    flow
}

/// Whether the order of these decides, so that another one rightly gives another state.
fn is_about_order(name: &str) -> bool {
    [
        // Two say different things under one id: the first is what counts.
        "duplicate_wamid",
        // Who somebody is from now on decides where their next message belongs.
        "system_number_change",
        "system_user_changed",
        // Who has the conversation when something is said.
        "thread_control",
        "standby",
        "echo",
        "is_self",
        // What Meta says of a channel says nothing of when.
        "account_update",
        "policy",
        "quality",
        "user_preferences",
    ]
    .iter()
    .any(|part| name.contains(part))
}

#[actix::test]
async fn every_sample_twice_gives_what_it_gives_once() {
    let files = all();
    let flow = posted(&files).await;
    let once = stored(&flow).await;
    assert!(once.len() > 100, "{}", once.len());
    for (name, body) in &files {
        assert_eq!(flow.post(body.clone()).await.status(), 200, "{name}");
    }
    settle(&flow).await;
    let mut twice = stored(&flow).await;
    let mut once = once;
    // What Meta says of a channel is taken to heart whenever it says so.
    for state in [&mut once, &mut twice] {
        let events = state.get_mut("events").unwrap().as_object_mut().unwrap();
        events.retain(|name, _| !name.ends_with("channel.health_changed"));
    }
    for (name, value) in &twice {
        assert_eq!(once.get(name), Some(value), "{name}");
    }
    assert_eq!(once.len(), twice.len());
    assert_eq!(flow.simulator.all_sends().len(), 0);
    flow.finish().await;
}

#[actix::test]
async fn every_sample_in_another_order_gives_the_same() {
    let files: Vec<_> = all().into_iter().filter(|(name, _)| !is_about_order(name)).collect();
    assert!(files.len() > 130, "{}", files.len());
    let flow = posted(&files).await;
    let mut straight = stored(&flow).await;
    flow.finish().await;
    for seed in [11, 12] {
        let flow = posted(&shuffled(seed, files.clone())).await;
        let mut other = stored(&flow).await;
        // That something changed is told only of what was there before; and who proves to be known by
        // two names is one from the beginning, or two until then.
        let changes = ["message.removed", "message.edited", "conversation.opened", "contact.merged"];
        for state in [&mut straight, &mut other] {
            let events = state.get_mut("events").unwrap().as_object_mut().unwrap();
            events.retain(|name, _| !changes.iter().any(|change| name.ends_with(change)));
        }
        for (name, value) in &straight {
            assert_eq!(other.get(name), Some(value), "{name} with seed {seed}");
        }
        assert_eq!(straight.len(), other.len());
        flow.finish().await;
    }
}

#[actix::test]
async fn every_message_is_answered_by_one_turn_at_most_however_it_comes() {
    let mut files = all();
    files.extend(all());
    let files = shuffled(7, files);
    let mut flow =
        Flow::with(Options { model: Some(vec![Behaviour::Say("fine".into())]), ..flying(&[]) }).await;
    for (name, body) in &files {
        assert_eq!(flow.post(body.clone()).await.status(), 200, "{name}");
        for account in CHANNELS {
            // What Meta said about the channels is none of this test's business.
            if !flow.channel(account).await.health.state.sends() {
                flow.mend(account).await;
            }
        }
    }
    settle(&flow).await;
    let mut answered: BTreeMap<String, usize> = BTreeMap::new();
    for tenant in 0..2 {
        let store = flow.store(tenant).await;
        for conversation in store.conversations(None, 1_000).await.unwrap() {
            for turn in store.turns(conversation.id, None, 1_000).await.unwrap() {
                let turn = serde_json::to_value(turn).unwrap();
                if turn["end"] == "superseded" || turn["end"] == "taken_over" {
                    assert_eq!(turn["sent"], json!([]));
                    continue;
                }
                for message in turn["covers"].as_array().unwrap() {
                    *answered.entry(message.to_string()).or_default() += 1;
                }
            }
        }
    }
    assert!(answered.len() > 20, "{}", answered.len());
    assert!(answered.values().all(|turns| *turns == 1), "{answered:?}");
    let mut dead = 0;
    for tenant in 0..2 {
        dead += flow.store(tenant).await.dead_letters(None, 100).await.unwrap().len();
    }
    flow.forgive_dead_letters(dead);
    flow.finish().await;
}

/// What starts no generation, by the names of the samples.
const SILENT: [&str; 30] = [
    "echo",
    "is_self",
    "standby",
    "history",
    "status_",
    "own_read",
    "delivery",
    "reaction",
    "unreact",
    "edit",
    "comment",
    "page_feed",
    "policy",
    "thread_control",
    "is_deleted",
    "revoke",
    "account_",
    "quality",
    "template_",
    "user_preferences",
    "system_",
    "unsupported",
    "empty",
    "whitespace",
    "calls_connect",
    "call_permission",
    "optin",
    "feedback",
    "referral_igme",
    "value_errors",
];

#[actix::test]
async fn what_is_no_message_to_us_starts_no_generation() {
    let flow = Flow::with(Options { model: Some(vec![Behaviour::Say("fine".into())]), ..flying(&[]) }).await;
    // A template that was attached is something that a person sent, whatever its moment.
    let said = |name: &str| name.contains("attachment_template") || name.contains("timestamp");
    let silent = |name: &str| SILENT.iter().any(|part| name.contains(part)) && !said(name);
    let files: Vec<_> = all().into_iter().filter(|(name, _)| silent(name)).collect();
    assert!(files.len() > 70, "{}", files.len());
    for (name, body) in files {
        assert_eq!(flow.post(body).await.status(), 200, "{name}");
        within(&name, flow.quiet(0)).await;
        assert_eq!(flow.model.calls().len(), 0, "{name} asked the model");
        assert_eq!(flow.count(0, "turn.started").await, 0, "{name}");
    }
    assert_eq!(flow.simulator.all_sends().len(), 0);
    flow.finish().await;
}

#[actix::test]
async fn what_a_person_writes_is_answered_on_every_product() {
    for (product, wanted) in [
        ("whatsapp", ["own_image_caption", "own_list_reply", "own_location_full", "own_bsuid_only"]),
        ("messenger", ["own_text", "own_postback", "own_quick_reply", "own_send_cart"]),
        ("instagram", ["own_text", "own_story_reply", "own_quick_reply", "own_attachment_like_heart"]),
    ] {
        let mut flow =
            Flow::with(Options { model: Some(vec![Behaviour::Say("fine".into())]), ..flying(&[]) }).await;
        let files: BTreeMap<_, _> = fixtures(product).into_iter().collect();
        for (number, name) in wanted.into_iter().enumerate() {
            let body = files[&format!("{product}/{name}")].clone();
            assert_eq!(flow.post(body).await.status(), 200, "{name}");
            flow.quiet(0).await;
            assert_eq!(flow.model.calls().len(), number + 1, "{product}/{name}");
        }
        // The simulator does not know whom the samples of pages are from.
        let dead = flow.store(0).await.dead_letters(None, 100).await.unwrap().len();
        flow.forgive_dead_letters(dead);
        flow.finish().await;
    }
}

#[actix::test]
async fn the_siblings_of_a_bad_element_are_kept() {
    let flow = Flow::with(flying(&[])).await;
    flow.hush().await;
    for (account, object, number) in [(PAGE, "page", 0_i64), (INSTAGRAM, "instagram", 1)] {
        let event = |n: i64, message: Value| {
            json!({ "sender": { "id": format!("91000000000010{n}") }, "recipient": { "id": account },
                    "timestamp": 1_790_000_000_000_i64 + n, "message": message })
        };
        let messaging = json!([
            event(1, json!({ "mid": format!("one.{account}"), "text": "one" })),
            7,
            event(2, json!([])),
            event(3, json!({ "mid": { "no": "id" }, "text": 7 })),
            null,
            event(4, json!({ "mid": format!("two.{account}"), "text": "two" })),
        ]);
        let body = json!({ "object": object, "entry": [
            7, { "id": account, "time": 1_790_000_000_000_i64, "messaging": messaging }, null] });
        assert_eq!(flow.post(body.to_string()).await.status(), 200);
        flow.quiet(0).await;
        let received: BTreeSet<String> = flow
            .events(0)
            .await
            .iter()
            .filter(|event| event["type"] == "message.received")
            .map(|event| event["message"]["provider_id"].as_str().unwrap().to_owned())
            .filter(|name| name.ends_with(account))
            .collect();
        assert_eq!(received.len(), 2, "{received:?}");
        assert!(flow.count(0, "webhook.kept").await >= 2 * usize::try_from(number + 1).unwrap());
    }
    flow.finish().await;
}

#[actix::test]
async fn another_tenants_ids_touch_nothing_here() {
    let flow = Flow::with(flying(&[])).await;
    flow.hush().await;
    let files: BTreeMap<_, _> = fixtures("messenger").into_iter().collect();
    assert_eq!(flow.post(files["messenger/own_batch_two_pages"].clone()).await.status(), 200);
    for tenant in 0..2 {
        flow.quiet(tenant).await;
    }
    assert_eq!((flow.count(0, "message.received").await, flow.count(1, "message.received").await), (2, 1));
    let before = (flow.events(0).await.len(), flow.events(1).await.len());
    for strange in ["900000000000099", "17840000000000099", NUMBERS[0]] {
        let body = crate::products::event_of(
            strange,
            "910000000000001",
            1_790_000_000_000,
            &json!({ "message": { "mid": format!("x.{strange}"), "text": "whose?" } }),
        );
        assert_eq!(flow.post(body).await.status(), 200);
    }
    assert_eq!((flow.events(0).await.len(), flow.events(1).await.len()), before);
    assert_eq!(flow.app.store.unrouted(100).await.unwrap().len(), 3);
    flow.finish().await;
}
