//! The model: streaming, usage, promises, faults and clients that leave.

use http_body_util::BodyExt as _;
use iassistance_simulator::faults::{ModelFault, Rule};
use iassistance_simulator::{Faults, MODEL_ID, ScriptedAnswer, Simulator};
use serde_json::{Value, json};

use crate::support::{Answer, MODEL_KEY, call, open, settings, soon, start};

const PATH: &str = "/v1/chat/completions";

pub fn request(stream: bool) -> Value {
    let mut body = json!({"model": MODEL_ID, "store": false, "stream": stream,
                          "messages": [{"role": "user", "content": "tell me more"}]});
    if stream {
        body["stream_options"] = json!({"include_usage": true});
    }
    body
}

pub async fn ask(simulator: &Simulator, body: &Value) -> Result<Answer, hyper::Error> {
    let bearer = format!("Bearer {MODEL_KEY}");
    soon(call(simulator, "POST", PATH, &[("authorization", &bearer)], body.to_string())).await
}

/// The events of a stream, without the mark at its end.
pub fn events(answer: &Answer) -> Vec<Value> {
    let text = answer.text();
    let mut lines: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
    assert_eq!(lines.pop(), Some("[DONE]"));
    lines.into_iter().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn an_answer_streams_in_openais_form_with_its_usage() {
    let (simulator, _clock) = start(settings()).await;
    let answer = ask(&simulator, &request(true)).await.unwrap();
    assert_eq!(answer.status, 200);
    assert!(answer.headers["content-type"].to_str().unwrap().starts_with("text/event-stream"));
    let events = events(&answer);
    let text: String =
        events.iter().filter_map(|event| event["choices"][0]["delta"]["content"].as_str()).collect();
    assert_eq!(text, "[simulated] You said: tell me more");
    let (usage, rest) = events.split_last().unwrap();
    assert_eq!(usage["choices"], json!([]));
    assert_eq!(usage["usage"]["completion_tokens"], json!(6));
    assert!(rest.iter().all(|event| event["usage"].is_null() && event["object"] == "chat.completion.chunk"));
    assert_eq!(rest.last().unwrap()["choices"][0]["finish_reason"], json!("stop"));
    assert_eq!(simulator.state().model.streams_cut_by_client, 0);
}

#[tokio::test]
async fn a_whole_answer_is_scripted_labelled_and_cut_to_its_tokens() {
    let (simulator, _clock) = start(settings()).await;
    let scripted = ScriptedAnswer::says("MORE", "there is no more");
    simulator.set_answers(vec![scripted]);
    let mut body = request(false);
    body["max_completion_tokens"] = json!(3);
    let json = ask(&simulator, &body).await.unwrap().json();
    assert_eq!(json["choices"][0]["message"]["content"], json!("[simulated] there is "));
    assert_eq!(json["choices"][0]["finish_reason"], json!("length"));
    assert_eq!(json["usage"]["completion_tokens"], json!(3));
}

#[tokio::test]
async fn the_key_and_the_promises_are_asked_for() {
    let (simulator, _clock) = start(settings()).await;
    let wrong = [("authorization", "Bearer wrong")];
    let refused = soon(call(&simulator, "POST", PATH, &wrong, request(true).to_string())).await.unwrap();
    assert_eq!((refused.status, refused.json()["error"]["code"].as_str()), (401, Some("invalid_api_key")));
    let models = soon(call(&simulator, "GET", "/v1/models", &[], String::new())).await.unwrap();
    assert_eq!(models.status, 401);
    let mut body = request(true);
    body["store"] = json!(true);
    let refused = ask(&simulator, &body).await.unwrap();
    assert_eq!((refused.status, refused.json()["error"]["param"].as_str()), (400, Some("store")));
    assert_eq!(simulator.state().model.refused, 3);
}

#[tokio::test]
async fn a_client_that_leaves_is_noticed_while_tokens_wait() {
    let mut with = settings();
    with.model.think_ms = 100;
    with.model.tokens_per_second = 10;
    let (simulator, clock) = start(with).await;
    let bearer = format!("Bearer {MODEL_KEY}");
    let headers = [("authorization", bearer.as_str())];
    let stream = soon(open(&simulator, "POST", PATH, &headers, request(true).to_string())).await.unwrap();
    let mut body = stream.into_body();
    clock.advance_millis(100);
    let first = soon(body.frame()).await.unwrap().unwrap().into_data().unwrap();
    assert!(first.starts_with(b"data: "));
    assert_eq!(simulator.state().model.streams_cut_by_client, 0);
    drop(body);
    soon(simulator.until(|state| state.model.streams_cut_by_client == 1)).await;
}

pub fn fault(fault: ModelFault) -> Faults {
    Faults { model: vec![Rule { fault, next: 1, per_mille: 0 }], ..Faults::default() }
}

#[tokio::test]
async fn faults_refuse_cut_garble_and_hang() {
    let (simulator, _clock) = start(settings()).await;
    simulator.set_faults(fault(ModelFault::Refuse { status: 429, retry_after_s: Some(2) })).unwrap();
    let refused = ask(&simulator, &request(true)).await.unwrap();
    assert_eq!((refused.status, refused.headers["retry-after"].to_str().unwrap()), (429, "2"));
    assert_eq!(refused.json()["error"]["code"], json!("rate_limit_exceeded"));

    for stream in [true, false] {
        simulator.set_faults(fault(ModelFault::Cut { after_tokens: 2 })).unwrap();
        assert!(ask(&simulator, &request(stream)).await.is_err());
        simulator.set_faults(fault(ModelFault::Garbage)).unwrap();
        let garbage = ask(&simulator, &request(stream)).await.unwrap();
        assert_eq!(garbage.status, 200);
        assert!(serde_json::from_slice::<Value>(&garbage.body).is_err());
        assert!(!garbage.text().contains("[DONE]"));
    }
    assert_eq!(simulator.state().model.streams_cut_by_client, 0, "it was not the client who cut");

    simulator.set_faults(fault(ModelFault::Hang)).unwrap();
    let bearer = format!("Bearer {MODEL_KEY}");
    let headers = [("authorization", bearer.as_str())];
    let hangs = soon(open(&simulator, "POST", PATH, &headers, request(true).to_string())).await.unwrap();
    drop(hangs);
    soon(simulator.until(|state| state.model.streams_cut_by_client == 1)).await;
    assert_eq!(ask(&simulator, &request(true)).await.unwrap().status, 200);
}
