//! A stop in good order: what is in hand is finished, what waits is parked, nothing is lost or doubled.

use iassistance_assistant::scripted::Behaviour;

use crate::harness::{Flow, NUMBERS, Options, messages, within};

fn patient(model: Behaviour) -> Options {
    let settings = vec![
        "model.turns_max=1",
        "model.first_token_ms=86400000",
        "model.attempt_ms=86400000",
        "model.turn_ms=86400000",
    ];
    Options { settings, model: Some(vec![model]), ..Options::default() }
}

/// Two people write; the first one's turn is at the model, the second one's waits for it.
async fn one_in_hand_and_one_that_waits(flow: &Flow) {
    for (contact, words) in [("15550199001", "first"), ("15550199002", "second")] {
        let id = format!("wamid.{words}");
        let body = messages(NUMBERS[0], contact, &[(&id, 1_790_000_000, words)]);
        assert_eq!(flow.post(body).await.status(), 200);
        flow.event(0, |event| event["type"] == "turn.started").await;
        flow.settled().await;
    }
    within("the call of the model", async {
        while flow.model.calls().is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    flow.settled().await;
    assert_eq!(flow.model.calls().len(), 1);
}

#[actix::test]
async fn a_turn_in_hand_is_finished_and_one_that_waits_goes_on_at_the_next_start() {
    let slow = Behaviour::doing(|call| Behaviour::SayAfter { ms: 1_000, text: call.last_words().to_owned() });
    let mut flow = Flow::with(patient(slow)).await;
    one_in_hand_and_one_that_waits(&flow).await;
    assert!(flow.while_time_flies(flow.app.engine.drain(60_000)).await, "all that was in hand has ended");
    flow.sends(1).await;
    assert!(flow.simulator.all_sends()[0].text.contains("first"));
    // A webhook that still comes in is taken in, and begins nothing.
    let late = messages(NUMBERS[0], "15550199003", &[("wamid.late", 1_790_000_000, "third")]);
    assert_eq!(flow.post(late).await.status(), 200);
    flow.settled().await;
    assert_eq!(flow.model.calls().len(), 1);
    let folder = flow.end().await;
    drop(flow);
    let flow = Flow::with(Options { folder: Some(folder), ..Options::default() }).await;
    flow.sends(2).await;
    flow.quiet(0).await;
    let mut said: Vec<_> = flow.simulator.all_sends().into_iter().map(|send| send.text).collect();
    said.sort();
    assert!(said[0].contains("second") && said[1].contains("third"), "each once: {said:?}");
    flow.finish().await;
}

#[actix::test]
async fn what_takes_longer_than_there_is_time_for_is_parked() {
    let mut flow = Flow::with(patient(Behaviour::Hang)).await;
    one_in_hand_and_one_that_waits(&flow).await;
    assert!(!flow.while_time_flies(flow.app.engine.drain(2_000)).await, "the model never answers");
    let folder = flow.end().await;
    drop(flow);
    let flow = Flow::with(Options { folder: Some(folder), later_ms: 10_000, ..Options::default() }).await;
    flow.sends(2).await;
    flow.finish().await;
}

#[actix::test]
async fn a_server_that_drains_says_so() {
    let flow = Flow::start().await;
    let ready = async || {
        let answer = flow.http.get(format!("http://{}/health/ready", flow.address)).send().await.unwrap();
        (answer.status().as_u16(), answer.headers().contains_key("retry-after"), answer.text().await.unwrap())
    };
    assert_eq!(ready().await.0, 200);
    flow.draining.cancel();
    let (status, retries, text) = ready().await;
    assert!((status, retries) == (503, true) && text.contains("draining"), "{status} {text}");
    flow.finish().await;
}
