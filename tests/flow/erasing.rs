//! A person is erased while everything runs.

use std::sync::Arc;

use iassistance_actors::hub::Batch;
use iassistance_assistant::scripted::Behaviour;
use iassistance_domain::audit::Actor;
use iassistance_domain::event::EventSeq;
use iassistance_domain::privacy::{ErasureGround, ErasureState};

use crate::harness::{Flow, NUMBERS, Options, messages, within};
use crate::products::flying;

const WORDS: &str = "my-secret-order-4410";
const DAY_MS: u64 = 24 * 3_600_000;

fn ground() -> ErasureGround {
    ErasureGround::Asked { by: Actor::CommandLine }
}

#[actix::test]
async fn who_is_erased_is_shown_nowhere_and_may_write_again() {
    let model = vec![Behaviour::Say("Hello.".into()), Behaviour::Say("Hello again.".into())];
    let flow = Flow::with(Options { model: Some(model), ..flying(&[]) }).await;
    let store = flow.store(0).await;
    // Somebody watches: what is said is in memory for all who come later.
    let mut watching = flow.app.engine.hub().subscribe(flow.tenants[0], Arc::clone(&store), None);
    let before = watching.position();
    flow.post(messages(NUMBERS[0], "15550199001", &[("wamid.e1", 1_790_000_100, WORDS)])).await;
    flow.sends(1).await;
    flow.quiet(0).await;
    within("the words", async {
        while !matches!(watching.next(1).await.unwrap(), Batch::Events(frames) if frames[0].json.contains(WORDS)) {}
    })
    .await;
    let first = flow.conversation(0).await;
    let (conversation, _) = store.conversation(first).await.unwrap().unwrap();
    let due = flow.app.engine.clock().now().plus_millis(5 * DAY_MS);
    let keeper = &flow.app.keeper;
    let erasure = keeper.erase(flow.tenants[0], conversation.contact, ground(), due).await.unwrap();
    assert!(matches!(erasure.state, ErasureState::Erased { .. }));

    let base = format!("/tenants/{}", flow.tenants[0]);
    let (status, _) = flow.api("GET", &format!("{base}/conversations/{first}"), None).await;
    assert_eq!(status, 404);
    for path in ["conversations", "events", "dead-letters"] {
        let (status, body) = flow.api("GET", &format!("{base}/{path}"), None).await;
        assert!(status.is_success() && !body.to_string().contains(WORDS), "{path}: {body}");
    }
    let latest = store.latest_event().borrow().0;
    // Who begins where the first watcher did is shown it from memory, who begins at the beginning from the log.
    for from in [before, EventSeq(0)] {
        let mut live = flow.app.engine.hub().subscribe(flow.tenants[0], Arc::clone(&store), Some(from));
        within("the live feed", async {
            while live.position().0 < latest {
                if let Batch::Events(frames) = live.next(64).await.unwrap() {
                    assert!(frames.iter().all(|frame| !frame.json.contains(WORDS)));
                }
            }
        })
        .await;
    }
    drop(watching);

    // Meta repeats what it told: nobody is known again by it. Who writes anew is somebody new.
    flow.post(messages(NUMBERS[0], "15550199001", &[("wamid.e1", 1_790_000_100, WORDS)])).await;
    flow.post(messages(NUMBERS[0], "15550199001", &[("wamid.e2", 1_790_000_200, "hello")])).await;
    flow.sends(2).await;
    flow.quiet(0).await;
    let conversations = store.conversations(None, 9).await.unwrap();
    assert_eq!(conversations.len(), 1);
    assert_ne!(conversations[0].id, first);
    assert_ne!(conversations[0].contact, conversation.contact);
    keeper.make_final(flow.tenants[0]).await.unwrap();
    assert_eq!(store.messages(conversations[0].id, None, 9).await.unwrap().len(), 2);
    flow.finish().await;
}

#[actix::test]
async fn a_turn_that_is_under_way_says_nothing_to_who_is_erased() {
    let flow = Flow::with(Options { model: Some(vec![Behaviour::Hang]), ..flying(&[]) }).await;
    flow.post(messages(NUMBERS[0], "15550199002", &[("wamid.e3", 1_790_000_100, WORDS)])).await;
    within("the model", async {
        while flow.model.open() == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let first = flow.conversation(0).await;
    let store = flow.store(0).await;
    let (conversation, _) = store.conversation(first).await.unwrap().unwrap();
    let due = flow.app.engine.clock().now().plus_millis(5 * DAY_MS);
    flow.app.keeper.erase(flow.tenants[0], conversation.contact, ground(), due).await.unwrap();
    within("the model is let go of", async {
        while flow.model.open() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    flow.quiet(0).await;
    assert!(flow.simulator.all_sends().is_empty());
    assert!(store.conversations(None, 9).await.unwrap().is_empty());
    flow.finish().await;
}
