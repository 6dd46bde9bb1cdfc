//! Invariants 2 and 5: one writer, and never over a person.

use iassistance_assistant::scripted::Behaviour;
use iassistance_simulator::Faults;
use iassistance_simulator::faults::{Rule, SendFault};
use serde_json::json;

use crate::harness::{Flow, NUMBERS, Options, messages, within};
use crate::products::refusing;

fn hanging() -> Options {
    Options { model: Some(vec![Behaviour::Hang]), ..Options::default() }
}

#[actix::test]
async fn a_takeover_during_generation_ends_the_stream_and_nothing_is_said() {
    let flow = Flow::with(hanging()).await;
    flow.simulator.say("ana", "hello").unwrap();
    flow.event_named(0, "turn.started").await;
    within("the model", async {
        while flow.model.open() == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let conversation = flow.conversation(0).await;
    flow.app.engine.take_over(flow.ctx(), conversation, "Bea".into()).await.unwrap();
    flow.model_let_go(1).await;
    flow.model.follow([Behaviour::Echo]);
    flow.simulator.say("ana", "anybody?").unwrap();
    flow.event(0, |event| event["message"]["content"]["body"] == "anybody?").await;
    flow.quiet(0).await;
    assert_eq!(flow.simulator.all_sends().len(), 0);
    flow.app.engine.hand_back(flow.ctx(), conversation).await.unwrap();
    flow.sends(1).await;
    flow.finish().await;
}

#[actix::test]
async fn a_reply_that_waits_in_the_outbox_is_withdrawn_by_a_takeover() {
    let flow = Flow::start().await;
    let refuse = SendFault::Refuse { status: 500, code: 131_000 };
    let faults = Faults { sends: vec![Rule { fault: refuse, next: 1, per_mille: 0 }], ..Faults::default() };
    flow.simulator.set_faults(faults).unwrap();
    flow.simulator.say("ana", "hello").unwrap();
    flow.event_named(0, "message.postponed").await;
    let conversation = flow.conversation(0).await;
    flow.app.engine.take_over(flow.ctx(), conversation, "Bea".into()).await.unwrap();
    flow.clock.advance_millis(60_000);
    let withdrawn = flow.event_named(0, "message.withdrawn").await;
    assert_eq!(withdrawn["reason"], "control_changed");
    assert_eq!(flow.simulator.all_sends().len(), 0);
    flow.finish().await;
}

#[actix::test]
async fn a_newer_message_supersedes_the_turn_and_one_reply_answers_both() {
    let model = vec![Behaviour::Hang, Behaviour::Echo];
    let flow = Flow::with(Options { model: Some(model), ..Options::default() }).await;
    flow.simulator.say("ana", "I want two").unwrap();
    flow.event_named(0, "turn.started").await;
    within("the model", async {
        while flow.model.open() == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    flow.simulator.say("ana", "no, three").unwrap();
    flow.sends(1).await;
    flow.model_let_go(1).await;
    let ended = flow.event(0, |event| event["end"] == "superseded").await;
    assert_eq!(ended["type"], "turn.ended");
    let calls = flow.model.calls();
    let words: Vec<&str> = calls[1].messages.iter().rev().take(2).map(|(_, text)| text.as_str()).collect();
    assert_eq!(words, ["no, three", "I want two"]);
    flow.finish().await;
}

#[actix::test]
async fn no_word_leaves_after_the_window_has_closed() {
    let flow = Flow::start().await;
    let refuse = SendFault::Refuse { status: 500, code: 131_000 };
    let faults = Faults { sends: vec![Rule { fault: refuse, next: 1, per_mille: 0 }], ..Faults::default() };
    flow.simulator.set_faults(faults).unwrap();
    flow.simulator.say("ana", "hello").unwrap();
    flow.event_named(0, "message.postponed").await;
    flow.clock.advance_millis(25 * 60 * 60 * 1_000);
    let withdrawn = flow.event_named(0, "message.withdrawn").await;
    assert_eq!(withdrawn["reason"], "window_closed");
    assert_eq!(flow.simulator.all_sends().len(), 0);
    let conversation = flow.conversation(0).await;
    let path = format!("/tenants/{}/conversations/{conversation}/messages", flow.tenants[0]);
    let (status, body) =
        flow.api("POST", &path, Some(json!({ "operator": "Bea", "text": "still there?" }))).await;
    assert_eq!(status, 409, "{body}");
    assert!(body["detail"].as_str().unwrap().contains("too long ago"));
    flow.finish().await;
}

#[actix::test]
async fn many_hands_at_once_are_written_one_after_another() {
    let flow =
        Flow::with(Options { settings: vec!["actors.conversation_mailbox=4"], ..Options::default() }).await;
    flow.simulator.say("ana", "hello").unwrap();
    flow.sends(1).await;
    let conversation = flow.conversation(0).await;
    let before = flow.store(0).await.conversation(conversation).await.unwrap().unwrap().0.epoch();
    let commands = (0..40_usize).map(|n| {
        let (engine, ctx) = (flow.app.engine.clone(), flow.ctx());
        async move {
            match n % 2 {
                0 => engine.take_over(ctx, conversation, format!("operator {n}")).await,
                _ => engine.hand_back(ctx, conversation).await,
            }
        }
    });
    let said = (0..20).map(|n| {
        let (id, text) = (format!("wamid.{n}"), format!("message {n}"));
        let body = messages(NUMBERS[0], "15550199009", &[(&id, 1_790_000_000 + n, &text)]);
        flow.post(body)
    });
    let (commands, answers) =
        tokio::join!(futures::future::join_all(commands), futures::future::join_all(said));
    assert!(answers.iter().all(|answer| answer.status() == 200));
    let epochs: Vec<u64> = commands.into_iter().map(|done| done.unwrap().epoch.0).collect();
    assert!(epochs.iter().max().unwrap() - before.0 >= 20, "every takeover counted: {epochs:?}");
    flow.app.engine.hand_back(flow.ctx(), conversation).await.unwrap();
    flow.quiet(0).await;
    assert_eq!(flow.count(0, "message.received").await, 21);
    flow.finish().await;
}

#[actix::test]
async fn what_the_channel_gives_up_after_a_takeover_is_not_said_again() {
    let flow = Flow::start().await;
    let mut faults = refusing("whatsapp", 131_016, None, true);
    faults.webhooks.delay_ms = 60_000;
    flow.simulator.set_faults(faults).unwrap();
    flow.post(messages(NUMBERS[0], "15550199001", &[("wamid.1", 1_790_000_000, "hello")])).await;
    flow.sends(1).await;
    flow.quiet(0).await;
    let conversation = flow.conversation(0).await;
    flow.app.engine.take_over(flow.ctx(), conversation, "Bea".into()).await.unwrap();
    let withdrawn = async || flow.count(0, "message.withdrawn").await == 1;
    flow.pass_until("it to be withdrawn", 1_000, 200_000, withdrawn).await;
    assert_eq!(flow.count(0, "message.postponed").await, 1, "it was given up, and was to leave again");
    assert_eq!(flow.simulator.all_sends().len(), 1);
    flow.finish().await;
}
