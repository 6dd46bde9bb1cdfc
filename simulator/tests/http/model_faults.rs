//! How the model goes wrong, and what is counted of those who leave.

use http_body_util::BodyExt as _;
use iassistance_simulator::faults::{ModelFault, Rule};
use iassistance_simulator::{Faults, ModelEndpoint, ScriptedAnswer, Simulator};
use serde_json::{Value, json};

use crate::model::{ask, events, fault, request};
use crate::model_tools::{offering, told};
use crate::support::{MODEL_KEY, call, get, open, post, settings, soon, start};

const PATH: &str = "/v1/chat/completions";

async fn with_fault(simulator: &Simulator, wrong: ModelFault, body: &Value) -> crate::support::Answer {
    simulator.set_faults(fault(wrong)).unwrap();
    ask(simulator, body).await.unwrap()
}

#[tokio::test]
async fn tools_are_called_that_are_not_there_wrongly_and_for_ever() {
    let (simulator, _clock) = start(settings()).await;
    let body = offering(&["order"], "hello");
    let unknown = ModelFault::UnknownTool { name: "no_such_tool".into() };
    let (_, calls, _) = told(&with_fault(&simulator, unknown, &body).await);
    assert_eq!(calls[0].1, "no_such_tool");
    let (_, calls, _) = told(&with_fault(&simulator, ModelFault::BadArguments, &body).await);
    assert!(calls[0].1 == "order" && serde_json::from_str::<Value>(&calls[0].2).is_err());

    let always = json!({"model": [{"fault": {"kind": "tools_for_ever"}, "per_mille": 1000}]});
    assert_eq!(post(&simulator, "/sim/faults", &always).await.status, 200);
    for _ in 0..3 {
        let (_, calls, finish) = told(&ask(&simulator, &body).await.unwrap());
        assert_eq!((calls[0].1.as_str(), finish.as_str()), ("order", "tool_calls"));
        assert_eq!(calls[0].2, "{\"id\":\"simulated\"}");
    }
    let (words, calls, _) = told(&ask(&simulator, &request(true)).await.unwrap());
    assert_eq!((words.as_str(), calls.len()), ("[simulated] You said: tell me more", 0));
}

#[tokio::test]
async fn one_model_is_refused_and_another_answers() {
    let (simulator, _clock) = start(settings()).await;
    simulator.set_answers(vec![ScriptedAnswer::says("", "from the other").of_model("simulated-2")]);
    let of_one = ModelFault::Refuse { status: 503, retry_after_s: None }.of_model("simulated-1");
    let rule = Rule { fault: of_one, next: 0, per_mille: 1_000 };
    simulator.set_faults(Faults { model: vec![rule], ..Faults::default() }).unwrap();
    let mut body = request(true);
    for _ in 0..2 {
        assert_eq!(ask(&simulator, &body).await.unwrap().status, 503);
        body["model"] = json!("simulated-2");
        let answer = ask(&simulator, &body).await.unwrap();
        assert!(events(&answer).iter().all(|event| event["model"] == "simulated-2"));
        assert_eq!(told(&answer).0, "[simulated] from the other");
        body["model"] = json!("simulated-1");
    }
    let nested =
        json!({"model": [{"fault": {"kind": "of", "fault": {"kind": "of", "fault": {"kind": "hang"}}}}]});
    assert_eq!(post(&simulator, "/sim/faults", &nested).await.status, 400);
    let long = json!({"model": [{"fault": {"kind": "of", "at": "embeddings", "fault": {"kind": "filter"}}}]});
    assert_eq!(post(&simulator, "/sim/faults", &long).await.status, 400);
}

#[tokio::test]
async fn answers_end_early_late_or_without_their_usage() {
    let (simulator, _clock) = start(settings()).await;
    let body = request(true);
    let refused = with_fault(&simulator, ModelFault::NoCredit, &body).await;
    assert_eq!((refused.status, refused.json()["error"]["code"].as_str()), (429, Some("insufficient_quota")));

    let (words, _, finish) = told(&with_fault(&simulator, ModelFault::Filter, &body).await);
    assert_eq!((words.as_str(), finish.as_str()), ("[simulated] You said: ", "content_filter"));

    let answer = with_fault(&simulator, ModelFault::NoUsage, &body).await;
    assert!(events(&answer).iter().all(|event| event["usage"].is_null()));

    let mut short = body.clone();
    short["max_completion_tokens"] = json!(3);
    let answer = with_fault(&simulator, ModelFault::Long { tokens: 500 }, &short).await;
    assert_eq!(events(&answer).last().unwrap()["usage"]["completion_tokens"], json!(500));

    let broken = ModelFault::Error { after_tokens: 2, code: "rate_limit_exceeded".into() };
    let text = with_fault(&simulator, broken, &body).await.text();
    assert!(text.contains("You ") && !text.contains("said:") && !text.contains("[DONE]"));
    assert!(text.trim_end().lines().last().unwrap().contains("\"code\":\"rate_limit_exceeded\""));
    assert_eq!(simulator.state().model.streams_open, 0);
}

#[tokio::test]
async fn slow_tokens_come_one_by_one_and_a_cut_is_told_with_its_moment() {
    let (simulator, clock) = start(settings()).await;
    simulator.set_faults(fault(ModelFault::Slow { token_ms: 1_000 })).unwrap();
    let bearer = format!("Bearer {MODEL_KEY}");
    let headers = [("authorization", bearer.as_str())];
    let slow = soon(open(&simulator, "POST", PATH, &headers, request(true).to_string())).await.unwrap();
    let mut body = slow.into_body();
    let mut heard = Vec::new();
    // The first token comes at once, the second when the time for it has come.
    while clock.next_due().is_none() {
        tokio::task::yield_now().await;
    }
    clock.advance_millis(1_000);
    while !String::from_utf8_lossy(&heard).contains("You ") {
        let frame = soon(body.frame()).await.unwrap().unwrap();
        heard.extend_from_slice(&frame.into_data().unwrap());
    }
    assert!(!String::from_utf8_lossy(&heard).contains("said:"));
    assert_eq!(simulator.state().model.streams_open, 1);
    simulator.set_faults(fault(ModelFault::Stall { after_tokens: 0 })).unwrap();
    let stalled = soon(open(&simulator, "POST", PATH, &headers, request(true).to_string())).await.unwrap();
    soon(simulator.until(|state| state.model.streams_open == 2)).await;

    let before = std::time::Instant::now();
    drop(body);
    let state = soon(simulator.until(|state| state.model.streams_open == 1)).await;
    assert_eq!((state.model.streams_open_max, state.model.streams_cut_by_client), (2, 1));
    let cuts = simulator.stream_cuts();
    assert_eq!((cuts[0].chat, cuts[0].events), (1, 3));
    assert!(cuts[0].instant >= before);
    assert_eq!(cuts[0].at, iassistance_domain::Clock::now(&clock));
    drop(stalled);
    soon(simulator.until(|state| state.model.streams_open == 0)).await;
    let told = get(&simulator, "/sim/cuts").await.json();
    assert_eq!((&told[1]["chat"], told[1]["after_us"].is_u64()), (&json!(2), true));
}

#[tokio::test]
async fn a_service_has_faults_of_its_own() {
    let (simulator, _clock) = start(settings()).await;
    let rules = [ModelEndpoint::Embeddings, ModelEndpoint::Moderations, ModelEndpoint::Transcriptions];
    let refuse = || ModelFault::Refuse { status: 429, retry_after_s: Some(7) };
    let rules = rules.map(|at| Rule { fault: refuse().at(at), next: 1, per_mille: 0 });
    simulator.set_faults(Faults { model: rules.into(), ..Faults::default() }).unwrap();
    assert_eq!(ask(&simulator, &request(true)).await.unwrap().status, 200);
    let bearer = format!("Bearer {MODEL_KEY}");
    let headers = [("authorization", bearer.as_str())];
    let embed = json!({"model": "simulated-1", "input": "x"}).to_string();
    let refused = soon(call(&simulator, "POST", "/v1/embeddings", &headers, embed.clone())).await.unwrap();
    assert_eq!((refused.status, refused.headers["retry-after"].to_str().unwrap()), (429, "7"));
    let again = soon(call(&simulator, "POST", "/v1/embeddings", &headers, embed.clone())).await.unwrap();
    assert_eq!(again.status, 200);
    simulator.set_faults(fault(ModelFault::Cut { after_tokens: 0 }.at(ModelEndpoint::Embeddings))).unwrap();
    assert!(soon(call(&simulator, "POST", "/v1/embeddings", &headers, embed)).await.is_err());
}
