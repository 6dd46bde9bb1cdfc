//! Invariants 3 and 4: once, and in order.

use iassistance_assistant::scripted::Behaviour;
use iassistance_simulator::Faults;
use iassistance_simulator::faults::{Rule, SendFault};
use serde_json::json;

use crate::harness::{Flow, NUMBERS, Options, messages, within};

fn fault(fault: SendFault) -> Faults {
    Faults { sends: vec![Rule { fault, next: 1, per_mille: 0 }], ..Faults::default() }
}

#[actix::test]
async fn a_message_goes_all_the_way_and_every_step_is_in_the_log() {
    let flow = Flow::start().await;
    flow.simulator.say("ana", "are you open?").unwrap();
    flow.sends(1).await;
    assert!(flow.simulator.sends("ana")[0].text.contains("are you open?"));
    flow.event(0, |event| event["delivery"]["status"] == "read").await;
    let named: Vec<String> =
        flow.events(0).await.iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect();
    let steps = ["settings.changed", "conversation.opened", "message.received", "turn.started", "turn.ended"];
    for step in steps.into_iter().chain(["message.queued", "message.status_changed"]) {
        assert!(named.iter().any(|name| name == step), "{step} is missing in {named:?}");
    }
    let seqs: Vec<u64> = flow.events(0).await.iter().map(|event| event["seq"].as_u64().unwrap()).collect();
    assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>(), "no gap");
    let conversation = flow.conversation(0).await;
    let turn = &flow.store(0).await.turns(conversation, None, 10).await.unwrap()[0];
    assert_eq!(turn.work.attempts.len(), 1);
    assert!(turn.work.prompt_sha256.is_some() && turn.work.usage().output_tokens > 0 && turn.sent.len() == 1);
    flow.finish().await;
}

#[actix::test]
async fn the_same_webhook_fifty_times_and_shuffled_is_one_turn_and_one_reply() {
    let flow =
        Flow::with(Options { settings: vec!["limits.conversation_burst=50"], ..Options::default() }).await;
    let said = [
        ("wamid.a", 1_790_000_000, "one"),
        ("wamid.b", 1_790_000_001, "two"),
        ("wamid.c", 1_790_000_002, "three"),
    ];
    let answers = (0..50).map(|n| {
        let mut said = said;
        said.rotate_left(n % 3);
        flow.post(messages(NUMBERS[0], "15550199001", &said))
    });
    for answer in futures::future::join_all(answers).await {
        assert_eq!(answer.status(), 200);
    }
    flow.sends(1).await;
    flow.quiet(0).await;
    assert_eq!(flow.count(0, "message.received").await, 3);
    let replies = flow.simulator.all_sends();
    assert_eq!(replies.len(), 1, "{replies:?}");
    flow.finish().await;
}

#[actix::test]
async fn a_batch_is_answered_in_the_order_of_writing_not_of_arrival() {
    let flow = Flow::with(Options { model: Some(vec![Behaviour::Echo]), ..Options::default() }).await;
    let said = [
        ("wamid.b", 1_790_000_005, "second"),
        ("wamid.c", 1_790_000_009, "third"),
        ("wamid.a", 1_790_000_001, "first"),
    ];
    flow.post(messages(NUMBERS[0], "15550199001", &said)).await;
    flow.sends(1).await;
    let calls = flow.model.calls();
    let words: Vec<&str> =
        calls.last().unwrap().messages.iter().rev().take(3).map(|(_, text)| text.as_str()).collect();
    assert_eq!(words, ["third", "second", "first"]);
    flow.finish().await;
}

#[actix::test]
async fn replies_leave_in_order_also_when_the_first_is_refused_for_a_while() {
    let flow = Flow::start().await;
    flow.simulator.say("ana", "hello").unwrap();
    flow.sends(1).await;
    let conversation = flow.conversation(0).await;
    flow.api(
        "POST",
        &format!("/tenants/{}/conversations/{conversation}/takeover", flow.tenants[0]),
        Some(json!({ "operator": "Bea" })),
    )
    .await;
    flow.simulator.set_faults(fault(SendFault::Refuse { status: 500, code: 131_000 })).unwrap();
    for text in ["one", "two", "three"] {
        let path = format!("/tenants/{}/conversations/{conversation}/messages", flow.tenants[0]);
        let (status, body) = flow.api("POST", &path, Some(json!({ "operator": "Bea", "text": text }))).await;
        assert!(status.is_success(), "{status} {body}");
    }
    flow.event_named(0, "message.postponed").await;
    flow.clock.advance_millis(10_000);
    flow.sends(4).await;
    let texts: Vec<String> = flow.simulator.all_sends().into_iter().map(|send| send.text).collect();
    assert_eq!(texts[1..], ["one", "two", "three"]);
    flow.finish().await;
}

#[actix::test]
async fn a_send_cut_after_acceptance_is_reconciled_and_not_repeated() {
    let flow = Flow::start().await;
    flow.simulator.set_faults(fault(SendFault::Cut { accepted: true })).unwrap();
    flow.simulator.say("ana", "hello").unwrap();
    flow.event(0, |event| event["delivery"]["status"] == "read").await;
    flow.quiet(0).await;
    flow.clock.advance_millis(3_600_000);
    flow.sends(1).await;
    flow.finish().await;
}

#[actix::test]
async fn a_send_cut_before_acceptance_is_held_for_a_person_and_sent_once_when_they_say_so() {
    let mut flow = Flow::start().await;
    flow.simulator.set_faults(fault(SendFault::Cut { accepted: false })).unwrap();
    flow.simulator.say("ana", "hello").unwrap();
    flow.event(0, |event| event["delivery"]["status"] == "unknown").await;
    assert_eq!(flow.simulator.all_sends().len(), 0);
    flow.clock.advance_millis(600_000);
    let dead = flow.event_named(0, "dead_letter.added").await["dead_letter"].as_str().unwrap().to_owned();
    let (status, body) =
        flow.api("POST", &format!("/tenants/{}/dead-letters/{dead}/replay", flow.tenants[0]), None).await;
    assert!(status.is_success(), "{status} {body}");
    flow.sends(1).await;
    let again =
        flow.api("POST", &format!("/tenants/{}/dead-letters/{dead}/replay", flow.tenants[0]), None).await;
    assert_eq!(again.0, 409);
    flow.forgive_dead_letters(1);
    flow.finish().await;
}

#[actix::test]
async fn time_in_which_nothing_ran_does_not_count_for_a_send_whose_fate_is_unknown() {
    let mut flow = Flow::start().await;
    let mut faults = fault(SendFault::Cut { accepted: true });
    faults.webhooks.drop_statuses_per_mille = 1_000;
    flow.simulator.set_faults(faults).unwrap();
    flow.simulator.say("ana", "hello").unwrap();
    flow.event(0, |event| event["delivery"]["status"] == "unknown").await;
    let sent = flow.simulator.all_sends().remove(0);
    let folder = Some(flow.end().await.copy());

    let settings = vec!["dispatch.unknown_policy=resend"];
    let flow = Flow::with(Options { settings, folder, later_ms: 3_600_000, ..Options::default() }).await;
    let status = json!({
        "id": sent.wamid,
        "status": "delivered",
        "timestamp": "1790000101",
        "recipient_id": sent.to,
        "biz_opaque_callback_data": sent.opaque,
    });
    let value = json!({
        "messaging_product": "whatsapp",
        "metadata": { "display_phone_number": "15550100001", "phone_number_id": NUMBERS[0] },
        "statuses": [status],
    });
    let changes = json!([{ "field": "messages", "value": value }]);
    let webhook =
        json!({ "object": "whatsapp_business_account", "entry": [{ "id": "1", "changes": changes }] });
    assert_eq!(flow.post(webhook.to_string()).await.status(), 200);
    flow.event(0, |event| event["delivery"]["status"] == "delivered").await;
    flow.quiet(0).await;
    flow.clock.advance_millis(600_000);
    flow.quiet(0).await;
    assert_eq!(flow.simulator.all_sends().len(), 0, "it had arrived before, and is not repeated");
    flow.finish().await;
}

#[actix::test]
async fn statuses_late_doubled_and_in_any_order_never_go_back() {
    let flow = Flow::start().await;
    let mut faults = Faults::default();
    faults.webhooks.extra_deliveries = 3;
    flow.simulator.set_faults(faults).unwrap();
    flow.simulator.say("ana", "hello").unwrap();
    flow.event(0, |event| event["delivery"]["status"] == "read").await;
    within("webhooks", flow.simulator.until(|state| state.webhooks.pending == 0)).await;
    flow.quiet(0).await;
    let rank = |event: &serde_json::Value| {
        let order = ["queued", "unknown", "sent", "withdrawn", "failed", "delivered", "read"];
        order.iter().position(|name| event["delivery"]["status"] == **name)
    };
    let seen: Vec<usize> = flow.events(0).await.iter().filter_map(rank).collect();
    assert!(seen.windows(2).all(|pair| pair[0] < pair[1]), "{seen:?}");
    flow.finish().await;
}

#[actix::test]
async fn every_stage_is_measured() {
    let flow = Flow::start().await;
    flow.simulator.say("ana", "hello").unwrap();
    flow.sends(1).await;
    flow.event(0, |event| event["delivery"]["status"] == "read").await;
    let url = format!("http://{}/metrics", flow.address);
    let metrics =
        within("metrics", async { flow.http.get(url).send().await.unwrap().text().await.unwrap() }).await;
    for stage in
        ["verify", "parse", "accept", "admit", "apply", "generate", "commit", "dispatch", "settle", "publish"]
    {
        assert!(metrics.contains(&format!("iassistance_{stage}_seconds_count")), "{stage} in {metrics}");
    }
    flow.finish().await;
}
