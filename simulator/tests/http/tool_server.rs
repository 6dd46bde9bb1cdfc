//! A tenant's own tool server: what it takes, what it answers, what it remembers.

use iassistance_simulator::{Simulator, StandIn, ToolAnswer, ToolHeader};
use serde_json::{Value, json};

use crate::support::{Answer, call, get, open, post, settings, soon, start};

const JSON: (&str, &str) = ("content-type", "application/json");

async fn tool(simulator: &Simulator, headers: &[(&str, &str)], body: &Value) -> Result<Answer, hyper::Error> {
    soon(call(simulator, "POST", "/tools/order", headers, body.to_string())).await
}

#[tokio::test]
async fn a_call_is_recorded_and_answered_as_told() {
    let (simulator, _clock) = start(settings()).await;
    assert_eq!(get(&simulator, "/tools/order").await.status, 404);
    simulator.set_tool("order", StandIn::answering(json!({"state": "sent"}))).unwrap();
    assert!(simulator.tool_url("order").ends_with("/tools/order"));
    let headers = [JSON, ("idempotency-key", "turn-1"), ("x-secret", "s")];
    let answer = tool(&simulator, &headers, &json!({"id": "7"})).await.unwrap();
    assert_eq!((answer.status, answer.json()), (200, json!({"state": "sent"})));
    assert_eq!(answer.headers["x-simulated"], "iassistance");
    assert_eq!(get(&simulator, "/tools/order?id=a%20b&x=1").await.status, 200);
    let calls = simulator.tool_calls("order");
    // The first call came before there was such a tool.
    assert_eq!(calls.iter().map(|call| call.status).collect::<Vec<_>>(), [404, 200, 200]);
    assert_eq!((calls[1].method.as_str(), calls[1].body.as_str()), ("POST", "{\"id\":\"7\"}"));
    assert_eq!(calls[1].headers["x-secret"], "s");
    assert_eq!((calls[2].query["id"].as_str(), calls[2].query["x"].as_str()), ("a b", "1"));
    tool(&simulator, &headers, &json!({})).await.unwrap();
    let counters = simulator.state().tools;
    assert_eq!((counters.calls, counters.refused, counters.repeated), (4, 1, 1));
    let told = get(&simulator, "/sim/calls?tool=order").await.json();
    assert_eq!((told.as_array().map(Vec::len), &told[3]["number"]), (Some(4), &json!(4)));
    assert_eq!(get(&simulator, "/sim/calls?tool=other").await.json(), json!([]));
}

#[tokio::test]
async fn what_is_no_proper_call_is_refused() {
    let (simulator, _clock) = start(settings()).await;
    let secret = ToolHeader { name: "Authorization".into(), value: "Bearer s".into() };
    let strict = StandIn { method: Some("POST".into()), secret: Some(secret), ..StandIn::default() };
    simulator.set_tool("order", strict).unwrap();
    let right = ("authorization", "Bearer s");
    for (method, headers, body, status) in [
        ("POST", vec![JSON, right], "{}", 200),
        ("POST", vec![JSON], "{}", 401),
        ("POST", vec![JSON, ("authorization", "Bearer t")], "{}", 401),
        ("GET", vec![right], "", 405),
        ("PUT", vec![JSON, right], "{}", 405),
        ("POST", vec![right], "{}", 415),
        ("POST", vec![JSON, right], "[]", 400),
        ("POST", vec![JSON, right], "{", 400),
    ] {
        let answer = soon(call(&simulator, method, "/tools/order", &headers, body)).await.unwrap();
        assert_eq!(answer.status, status, "{method} {headers:?} {body}");
    }
    simulator.set_tool("order", StandIn::default()).unwrap();
    let answer = soon(call(&simulator, "GET", "/tools/order", &[], "{}")).await.unwrap();
    assert_eq!(answer.status, 400, "a get has no body");
}

#[tokio::test]
async fn answers_come_in_order_late_large_elsewhere_or_not_at_all() {
    let (simulator, clock) = start(settings()).await;
    let answers = [
        json!({"status": 503, "retry_after_s": 3, "body": "busy"}),
        json!({"status": 302, "redirect": "http://169.254.169.254/latest"}),
        json!({"bytes": 100_000, "body": {"a": 1}}),
        json!({"content_type": "text/html", "body": "<p>"}),
        json!({"cut": true}),
        json!({"delay_ms": 5_000, "body": "late"}),
        json!({"hang": true}),
    ];
    let told = post(&simulator, "/sim/tools", &json!({"order": {"answers": answers}})).await;
    assert_eq!(told.json()["order"]["answers"][0]["status"], json!(503));
    let next = || tool(&simulator, &[JSON], &Value::Null);
    assert_eq!(next().await.unwrap().status, 400, "a refused call takes no answer");
    let body = json!({});
    let next = || tool(&simulator, &[JSON], &body);
    let busy = next().await.unwrap();
    assert_eq!(
        (busy.status, busy.headers["retry-after"].to_str().unwrap(), busy.text().as_str()),
        (503, "3", "busy")
    );
    let moved = next().await.unwrap();
    assert_eq!(
        (moved.status, moved.headers["location"].to_str().unwrap()),
        (302, "http://169.254.169.254/latest")
    );
    let large = next().await.unwrap();
    assert_eq!((large.body.len(), large.json()), (100_000, json!({"a": 1})));
    assert_eq!(next().await.unwrap().headers["content-type"], "text/html");
    assert!(next().await.is_err());

    let late = async {
        let answer = next().await;
        answer.unwrap().text()
    };
    let time = async {
        soon(simulator.until(|state| state.tools.calls == 7)).await;
        while iassistance_domain::ManualClock::next_due(&clock).is_none() {
            tokio::task::yield_now().await;
        }
        clock.advance_millis(5_000);
    };
    assert_eq!(tokio::join!(late, time).0, "late");
    let hung = open(&simulator, "POST", "/tools/order", &[JSON], "{}");
    let over = simulator.until(|state| state.tools.calls == 8);
    tokio::select! {
        _ = hung => panic!("it never answers"),
        _ = soon(over) => {}
    }
}

#[tokio::test]
async fn senseless_tools_are_refused_and_a_tool_can_go() {
    let (simulator, _clock) = start(settings()).await;
    for tools in [
        json!({"a b": {}}),
        json!({"a": {"method": "PUT"}}),
        json!({"a": {"answers": [{"status": 199}]}}),
        json!({"a": {"answers": [{"bytes": 100_000_000}]}}),
        json!({"a": {"answers": [{"redirect": "a\nb"}]}}),
        json!({"a": {"answer": {}}}),
        json!([]),
    ] {
        assert_eq!(post(&simulator, "/sim/tools", &tools).await.status, 400, "{tools}");
    }
    simulator.set_tool("a", StandIn::with([ToolAnswer::status(500), ToolAnswer::of(json!(1))])).unwrap();
    assert_eq!(get(&simulator, "/sim/tools").await.json()["a"]["answers"][1]["body"], json!(1));
    let gone = soon(call(&simulator, "DELETE", "/sim/tools/a", &[], "")).await.unwrap().json();
    assert_eq!(gone, json!({"removed": true}));
    assert!(!simulator.remove_tool("a"));
    assert_eq!(get(&simulator, "/tools/a").await.status, 404);
}
