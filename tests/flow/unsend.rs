//! What a contact takes back is nowhere any more: before, while and after it is answered.

use std::path::Path;
use std::sync::Arc;

use futures::StreamExt;
use iassistance_actors::hub::Batch;
use iassistance_assistant::scripted::Behaviour;
use iassistance_domain::event::EventSeq;
use iassistance_domain::id::ConversationId;
use iassistance_simulator::act::GivenFile;
use iassistance_simulator::faults::{Rule, SendFault};
use iassistance_simulator::{Act, Faults, MediaKind};
use serde_json::{Value, json};

use crate::harness::{Flow, NUMBERS, Options, messages, within};
use crate::products::{CHANNELS, INSTAGRAM, PAGE, event_of, flying};

const WORDS: &str = "my-secret-order-9731";

fn saying(model: Vec<Behaviour>) -> Options {
    Options { model: Some(model), ..flying(&[]) }
}

fn with_words(text: &str) -> bool {
    text.contains(WORDS)
}

/// Looks everywhere for what was taken back.
async fn assert_gone(flow: &Flow, conversation: ConversationId) {
    let store = flow.store(0).await;
    let base = format!("/tenants/{}", flow.tenants[0]);
    for path in [
        format!("{base}/conversations"),
        format!("{base}/conversations/{conversation}"),
        format!("{base}/conversations/{conversation}/messages"),
        format!("{base}/conversations/{conversation}/snapshot"),
        format!("{base}/conversations/{conversation}/turns"),
        format!("{base}/events"),
        format!("{base}/dead-letters"),
    ] {
        let (status, body) = flow.api("GET", &path, None).await;
        assert!(status.is_success(), "{path}: {status} {body}");
        assert!(!with_words(&body.to_string()), "{path}: {body}");
    }
    let messages = store.messages(conversation, None, 100).await.unwrap();
    assert!(!with_words(&serde_json::to_string(&messages).unwrap()));
    assert!(messages.iter().any(|message| message.removed_at.is_some()), "a mark of it stays");
    let letters = store.inbox(conversation, 100).await.unwrap();
    assert!(letters.is_empty(), "nothing waits in the inbox");
    assert!(store.outbox(conversation).await.unwrap().is_empty());
    let latest = store.latest_event().borrow().0;
    let mut live = flow.app.engine.hub().subscribe(flow.tenants[0], Arc::clone(&store), Some(EventSeq(0)));
    within("the live feed", async {
        while live.position().0 < latest {
            if let Batch::Events(frames) = live.next(64).await.unwrap() {
                assert!(frames.iter().all(|frame| !with_words(&frame.json)), "{}", frames.len());
            }
        }
    })
    .await;
    assert!(flow.simulator.all_sends().iter().all(|send| !with_words(&send.text)));
}

async fn model_is_asked(flow: &Flow) {
    within("the model", async {
        while flow.model.open() == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// How each product says something, and how it says that it is taken back.
fn said_and_taken_back(account: &str, id: &str, at: i64) -> (Vec<u8>, Vec<u8>) {
    if account == NUMBERS[0] {
        let said = messages(account, "15550199001", &[(id, at, WORDS)]);
        let mut back: Value = serde_json::from_slice(&said).unwrap();
        back["entry"][0]["changes"][0]["value"]["messages"] = json!([{
            "from": "15550199001", "id": format!("{id}.back"), "timestamp": (at + 1).to_string(),
            "type": "revoke", "revoke": { "original_message_id": id },
        }]);
        return (said, back.to_string().into_bytes());
    }
    let event = |said: Value| event_of(account, "910000000000077", at * 1_000, &json!({ "message": said }));
    (event(json!({ "mid": id, "text": WORDS })), event(json!({ "mid": id, "is_deleted": true })))
}

#[actix::test]
async fn what_is_taken_back_before_it_comes_is_never_there() {
    let flow = Flow::with(saying(vec![Behaviour::Say("fine".into())])).await;
    for account in CHANNELS {
        let (said, back) = said_and_taken_back(account, &format!("mid.{account}"), 1_790_000_000);
        assert_eq!(flow.post(back.clone()).await.status(), 200);
        assert_eq!(flow.post(said.clone()).await.status(), 200);
        assert_eq!(flow.post(back).await.status(), 200);
        assert_eq!(flow.post(said).await.status(), 200);
    }
    flow.quiet(0).await;
    for account in CHANNELS {
        assert_gone(&flow, flow.conversation_on(account).await.id).await;
    }
    assert_eq!((flow.model.calls().len(), flow.count(0, "turn.started").await), (0, 0));
    flow.finish().await;
}

#[actix::test]
async fn what_is_taken_back_while_it_is_answered_ends_the_turn_and_nothing_is_said() {
    for (number, account) in CHANNELS.into_iter().enumerate() {
        let flow = Flow::with(saying(vec![Behaviour::Hang])).await;
        let mid = flow.says("ana", account, WORDS);
        let (conversation, message) = flow.message_called(0, &mid).await;
        flow.event_named(0, "turn.started").await;
        model_is_asked(&flow).await;
        flow.act("ana", account, Act::TakeBack { of: mid });
        flow.event(0, |event| event["message"] == json!(message.id) && event["type"] == "message.removed")
            .await;
        let ended = flow.event_named(0, "turn.ended").await;
        assert_eq!(ended["end"], "superseded", "{account}");
        flow.model_let_go(1).await;
        flow.still().await;
        assert_gone(&flow, conversation).await;
        assert_eq!(flow.simulator.all_sends().len(), 0);
        if number == 0 {
            // What comes next is answered, without it.
            flow.model.follow([Behaviour::Say("fine".into())]);
            flow.says("ana", account, "something else");
            flow.sent("fine").await;
            let last = flow.model.calls().pop().unwrap();
            assert!(last.messages.iter().all(|(_, text)| !with_words(text)), "{:?}", last.messages);
            flow.still().await;
        }
        flow.finish().await;
    }
}

#[actix::test]
async fn what_is_taken_back_after_it_was_answered_is_gone_and_later_turns_do_not_know_it() {
    let flow = Flow::with(saying(vec![Behaviour::Say("fine".into())])).await;
    for (number, account) in CHANNELS.into_iter().enumerate() {
        let mid = flow.says("ana", account, WORDS);
        let (conversation, message) = flow.message_called(0, &mid).await;
        flow.sends(2 * number + 1).await;
        flow.still().await;
        flow.act("ana", account, Act::TakeBack { of: mid });
        flow.event(0, |event| event["message"] == json!(message.id) && event["type"] == "message.removed")
            .await;
        flow.still().await;
        assert_gone(&flow, conversation).await;
        flow.says("ana", account, "and now?");
        flow.sends(2 * number + 2).await;
        let last = flow.model.calls().pop().unwrap();
        assert!(last.messages.len() > 1 && last.messages.iter().all(|(_, text)| !with_words(text)));
        flow.still().await;
    }
    flow.finish().await;
}

#[actix::test]
async fn a_reply_that_waits_for_its_channel_does_not_leave_when_its_question_is_taken_back() {
    let flow = Flow::with(saying(vec![Behaviour::Say("fine".into())])).await;
    for account in CHANNELS {
        let at = flow.now_at().await;
        flow.simulator.set_faults(crate::products::refusing(account, 2, None, false)).unwrap();
        let mid = flow.says("ana", account, WORDS);
        let (conversation, _) = flow.message_called(at, &mid).await;
        flow.event_after(0, at, |event| event["type"] == "message.postponed").await;
        flow.act("ana", account, Act::TakeBack { of: mid });
        flow.event_after(0, at, |event| event["type"] == "message.removed").await;
        flow.clock.advance_millis(600_000);
        let withdrawn = flow.event_after(0, at, |event| event["type"] == "message.withdrawn").await;
        assert_eq!(withdrawn["reason"], "control_changed", "{account}");
        flow.still().await;
        assert_gone(&flow, conversation).await;
    }
    assert_eq!(flow.simulator.all_sends().len(), 0);
    flow.finish().await;
}

/// The files that lie in the content store's folder.
fn files(folder: &Path) -> usize {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    entries
        .map(|entry| {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() { files(&entry.path()) } else { 1 }
        })
        .sum()
}

async fn stored(flow: &Flow) -> usize {
    flow.app.engine.content().list(flow.tenants[0]).count().await
}

fn image() -> Act {
    Act::File(GivenFile::sample(MediaKind::Image))
}

#[actix::test]
async fn the_files_of_what_is_taken_back_are_destroyed() {
    let flow = Flow::with(saying(vec![Behaviour::Say("fine".into())])).await;
    let folder = flow.folder.as_ref().unwrap().path.join("media");
    for account in [NUMBERS[0], PAGE, INSTAGRAM] {
        let at = flow.now_at().await;
        let mid = flow.act("ana", account, image());
        let settled = flow.event_after(0, at, |event| event["type"] == "media.settled").await;
        assert_eq!(settled["message"]["content"]["items"][0]["source"]["at"], "stored", "{settled}");
        assert_eq!(stored(&flow).await, 1, "{account}");
        flow.still().await;
        flow.act("ana", account, Act::TakeBack { of: mid });
        flow.event_after(0, at, |event| event["type"] == "message.removed").await;
        flow.still().await;
        assert_eq!((stored(&flow).await, files(&folder)), (0, 0), "{account}");
    }
    flow.finish().await;
}

#[actix::test]
async fn a_file_that_is_being_fetched_when_its_message_is_taken_back_is_not_kept() {
    let flow = Flow::with(saying(vec![Behaviour::Say("fine".into())])).await;
    let folder = flow.folder.as_ref().unwrap().path.join("media");
    let hang = Rule { fault: SendFault::Hang { accepted: false }, next: 1, per_mille: 0 };
    flow.simulator.set_faults(Faults { media: vec![hang], ..Faults::default() }).unwrap();
    let mid = flow.act("ana", NUMBERS[0], image());
    within("the fetch", flow.simulator.until(|state| state.counters.faults == 1)).await;
    let (conversation, _) = flow.message_called(0, &mid).await;
    flow.act("ana", NUMBERS[0], Act::TakeBack { of: mid });
    flow.event_named(0, "message.removed").await;
    flow.still().await;
    let (conversation, _) = flow.store(0).await.conversation(conversation).await.unwrap().unwrap();
    assert!(conversation.pending_media().is_empty() && conversation.condemned_media().is_empty());
    assert_eq!((stored(&flow).await, files(&folder)), (0, 0));
    flow.finish().await;
}
