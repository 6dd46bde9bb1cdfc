//! Scripts that tell the model and the tool server what to do, and expect things of them.

use iassistance_simulator::{Script, Simulator};
use serde_json::json;

use crate::model::{ask, request};
use crate::model_tools::{offering, told};
use crate::support::{MODEL_KEY, call, open, settings, soon, start};

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
