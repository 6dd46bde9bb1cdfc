//! Scripts that tell the model and the tool server what to do, and expect things of them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use iassistance_simulator::{Script, Simulator};
use serde_json::{Value, json};

use crate::model::{ask, request};
use crate::model_tools::{offering, told};
use crate::services::transcribe;
use crate::support::{MODEL_KEY, Receiver, call, graph, open, settings, soon, start, text_to};

const SCRIPT: &str = "\
model when order calls order_status {\"id\": \"7\"} says: It is {result}
model when refund says: We give it back
tool order_status answers {\"state\": \"sent\"}
model hears: good morning
model objects to pineapple
expect chats 2
expect calls order_status 1
faults {\"model\": [{\"fault\": {\"kind\": \"hang\"}, \"next\": 1}]}
expect chats 3
expect streams 1
expect cuts 1
expect streams 0
tool order_status is gone
model forgets
expect chats 4
";

/// The server under test, as far as this script needs one.
async fn server(simulator: &Simulator) {
    let bearer = format!("Bearer {MODEL_KEY}");
    let headers = [("authorization", bearer.as_str())];
    let (words, _, _) = told(&ask(simulator, &offering(&["x"], "a refund")).await.unwrap());
    assert_eq!(words, "[simulated] We give it back");
    let (_, calls, _) = told(&ask(simulator, &offering(&["x"], "my order")).await.unwrap());
    assert_eq!((calls[0].1.as_str(), calls[0].2.as_str()), ("order_status", "{\"id\":\"7\"}"));
    let bad = json!({"input": "Pineapple"}).to_string();
    let verdict = soon(call(simulator, "POST", "/v1/moderations", &headers, bad)).await.unwrap().json();
    assert_eq!(verdict["results"][0]["flagged"], json!(true));
    let called = soon(call(simulator, "GET", "/tools/order_status?id=7", &[], "")).await.unwrap();
    assert_eq!(called.json(), json!({"state": "sent"}));
    while simulator.faults().model.is_empty() {
        tokio::task::yield_now().await;
    }
    let path = "/v1/chat/completions";
    let hangs = soon(open(simulator, "POST", path, &headers, request(true).to_string())).await.unwrap();
    soon(simulator.until(|state| state.model.streams_open == 1)).await;
    // The script has to see it, too.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    drop(hangs);
    while soon(call(simulator, "GET", "/tools/order_status", &[], "")).await.unwrap().status != 404 {}
    let (words, _, _) = told(&ask(simulator, &request(true)).await.unwrap());
    assert_eq!(words, "[simulated] You said: tell me more");
}

#[tokio::test]
async fn a_script_tells_the_model_and_the_tools_and_counts() {
    let (simulator, _clock) = start(settings()).await;
    // What was there before does not count.
    ask(&simulator, &request(true)).await.unwrap();
    let script = Script::parse(SCRIPT).unwrap();
    let (outcome, ()) =
        soon(async { tokio::join!(simulator.play(&script, 5_000), server(&simulator)) }).await;
    assert!(outcome.passed(), "{:?}", outcome.failure);
    assert_eq!(outcome.steps_done, 15);
}

#[tokio::test]
async fn what_does_not_come_is_told() {
    let (simulator, clock) = start(settings()).await;
    let script = Script::parse("tool a answers: x\nexpect calls a 1").unwrap();
    let time = async {
        while iassistance_domain::ManualClock::next_due(&clock).is_none() {
            tokio::task::yield_now().await;
        }
        clock.advance_millis(400);
    };
    let (outcome, ()) = soon(async { tokio::join!(simulator.play(&script, 400), time) }).await;
    let failure = outcome.failure.unwrap();
    assert_eq!((failure.line, failure.reason.as_str()), (2, "expected 1 calls of a, there were 0"));
    let script = Script::parse("tool a is gone\ntool a is gone").unwrap();
    let failure = simulator.play(&script, 400).await.failure.unwrap();
    assert_eq!((failure.line, failure.reason.as_str()), (2, "there is no tool a"));
}

#[tokio::test]
async fn the_assistants_script_plays() {
    let (simulator, _clock) = start(settings()).await;
    let mut receiver = Receiver::start([]).await;
    simulator.set_callback(&receiver.url).unwrap();
    let script = Script::parse(include_str!("../../../scripts/assistant.chat")).unwrap();
    let answers = async {
        loop {
            let message = receiver.next().await.value()["messages"][0].clone();
            if message.is_object() {
                answer(&simulator, &message).await;
            }
        }
    };
    let outcome = soon(async {
        tokio::select! {
            outcome = simulator.play(&script, 5_000) => outcome,
            () = answers => unreachable!("it answers for ever"),
        }
    });
    let outcome = outcome.await;
    assert_eq!((outcome.failure, outcome.replies), (None, 5));
    assert_eq!(simulator.state().model.requests, 7);
}

/// Answers as the sandbox's assistant does: what it is sent goes to the model, which is asked again when it fails.
async fn answer(simulator: &Simulator, message: &Value) {
    let file = async |kind: &str| {
        let id = message[kind]["id"].as_str().unwrap();
        soon(call(simulator, "GET", &format!("/sim/media/{id}"), &[], "")).await.unwrap().body
    };
    let mut body = request(true);
    body["messages"][0]["content"] = match message["type"].as_str() {
        Some("text") => message["text"]["body"].clone(),
        Some("audio") => {
            let heard =
                transcribe(simulator, "voice.ogg", &file("audio").await, &[("model", "whisper-1")]).await;
            heard.json()["text"].clone()
        }
        _ => {
            let url = format!("data:image/png;base64,{}", STANDARD.encode(file("image").await));
            json!([{"type": "image_url", "image_url": {"url": url}},
                   {"type": "text", "text": message["image"]["caption"]}])
        }
    };
    let answer = loop {
        match ask(simulator, &body).await {
            Ok(answer) if answer.status == 200 => break answer,
            _ => {}
        }
    };
    graph(simulator, &text_to(message["from"].as_str().unwrap(), &told(&answer).0)).await.unwrap();
}
