//! The Graph API: what it accepts, what it refuses, and what goes wrong on purpose.

use iassistance_simulator::faults::{Rule, SendFault};
use iassistance_simulator::{Faults, Limits, OutsideWindow, Tick};
use serde_json::{Value, json};

use crate::support::{
    ANA, NUMBER, OTHER_NUMBER, OTHER_TOKEN, Receiver, TOKEN, call, graph, settings, soon, start, text_to,
};

fn code(answer: &Value) -> u64 {
    answer["error"]["code"].as_u64().unwrap_or(0)
}

#[tokio::test]
async fn each_refusal_has_metas_code_status_and_envelope() {
    let (simulator, _clock) = start(settings()).await;
    simulator.say(ANA, "hi").unwrap();
    let path = format!("/v23.0/{NUMBER}/messages");
    let good = format!("Bearer {TOKEN}");
    let other = format!("Bearer {OTHER_TOKEN}");
    let long = text_to(ANA, &"x".repeat(4_097));
    let mut opaque = text_to(ANA, "x");
    opaque["biz_opaque_callback_data"] = json!("x".repeat(513));
    let mut image = text_to(ANA, "x");
    image["type"] = json!("pin");
    let mut odd = text_to(ANA, "x");
    odd["type"] = json!("telepathy");
    let read = json!({"messaging_product": "whatsapp", "status": "read", "message_id": "wamid.NONE"});
    let mut stranger = text_to(ANA, "x");
    stranger.as_object_mut().unwrap().remove("to");
    stranger["recipient"] = json!("US.NOBODY");
    let table = [
        (path.as_str(), "", text_to(ANA, "x"), 401, 190),
        (path.as_str(), "Bearer wrong", text_to(ANA, "x"), 401, 190),
        (path.as_str(), other.as_str(), text_to(ANA, "x"), 400, 100),
        ("/v23.0/999/messages", good.as_str(), text_to(ANA, "x"), 400, 100),
        (path.as_str(), good.as_str(), json!({}), 400, 100),
        (path.as_str(), good.as_str(), text_to(ANA, ""), 400, 100),
        (path.as_str(), good.as_str(), long, 400, 100),
        (path.as_str(), good.as_str(), opaque, 400, 131_009),
        (path.as_str(), good.as_str(), text_to("+1 (555) 010-0001", "x"), 400, 131_021),
        (path.as_str(), good.as_str(), image, 400, 131_051),
        (path.as_str(), good.as_str(), odd, 400, 131_009),
        (path.as_str(), good.as_str(), read, 400, 131_009),
        (path.as_str(), good.as_str(), stranger, 400, 131_009),
    ];
    for (path, token, body, status, expected) in table {
        let headers = [("authorization", token), ("content-type", "application/json")];
        let answer = soon(call(&simulator, "POST", path, &headers, body.to_string())).await.unwrap();
        let json = answer.json();
        assert_eq!((answer.status, code(&json)), (status, expected), "{body}");
        assert!(json["error"]["fbtrace_id"].is_string() && json["error"]["type"].is_string());
    }
    let headers = [("authorization", good.as_str())];
    let answer =
        soon(call(&simulator, "POST", &path, &headers, text_to(ANA, "x").to_string())).await.unwrap();
    assert_eq!((answer.status, code(&answer.json())), (400, 100), "a body that is not declared as json");
    assert!(simulator.sends(ANA).is_empty());
    assert_eq!(simulator.state().counters.sends_refused.values().sum::<u64>(), 14);
    simulator.stop().await;
}

#[tokio::test]
async fn an_unknown_object_has_the_subcode_33() {
    let (simulator, _clock) = start(settings()).await;
    let bearer = format!("Bearer {TOKEN}");
    let headers = [("authorization", bearer.as_str())];
    let missing = soon(call(&simulator, "GET", "/v23.0/999", &headers, String::new())).await.unwrap();
    assert_eq!(missing.json()["error"]["error_subcode"], json!(33));
    let foreign = format!("/v23.0/{OTHER_NUMBER}");
    let foreign = soon(call(&simulator, "GET", &foreign, &headers, String::new())).await.unwrap();
    assert_eq!(foreign.json()["error"]["error_subcode"], json!(33));
    let own =
        soon(call(&simulator, "GET", &format!("/v23.0/{NUMBER}"), &headers, String::new())).await.unwrap();
    assert_eq!(own.json()["display_phone_number"], json!("+1 555-010-0001"));
    assert_eq!(own.json()["id"], json!(NUMBER));
}

#[tokio::test]
async fn a_send_is_accepted_and_its_statuses_follow_with_our_data() {
    let (simulator, _clock) = start(settings()).await;
    let mut receiver = Receiver::start([]).await;
    simulator.set_callback(&receiver.url).unwrap();
    let inbound = simulator.say(ANA, "hi").unwrap();
    let mut body = text_to("+1 555 019 9001", "hello");
    body["biz_opaque_callback_data"] = json!("t1:42");
    body["context"] = json!({"message_id": inbound});
    let answer = graph(&simulator, &body).await.unwrap();
    assert_eq!(answer.status, 200);
    let json = answer.json();
    assert_eq!(json["contacts"][0], json!({"input": "+1 555 019 9001", "wa_id": ANA}));
    let wamid = json["messages"][0]["id"].as_str().unwrap().to_owned();
    assert!(wamid.starts_with("wamid."));
    let mut words = Vec::new();
    for _ in 0..4 {
        let arrived = receiver.next().await;
        let Some(word) = arrived.status() else { continue };
        let status = arrived.value()["statuses"][0].clone();
        assert_eq!(status["id"], json!(wamid));
        assert_eq!(status["biz_opaque_callback_data"], json!("t1:42"));
        assert_eq!(status["recipient_id"], json!(ANA));
        assert_eq!(status["timestamp"], json!("1790000000"));
        assert_eq!(status["pricing"]["pricing_model"], json!("PMP"));
        words.push(word);
    }
    words.sort();
    assert_eq!(words, ["delivered", "read", "sent"]);
    let sends = simulator.sends(ANA);
    assert_eq!(sends.len(), 1);
    assert_eq!((sends[0].text.as_str(), sends[0].opaque.as_deref()), ("hello", Some("t1:42")));
    assert_eq!(sends[0].quoting.as_deref(), Some(inbound.as_str()));
    graph(&simulator, &body).await.unwrap();
    let counters = simulator.state().counters;
    assert_eq!((counters.sends_accepted, counters.duplicates, counters.repeated_texts), (2, 1, 1));
}

#[tokio::test]
async fn a_username_contact_is_reached_by_user_id_alone() {
    let (simulator, _clock) = start(settings()).await;
    let mut receiver = Receiver::start([]).await;
    simulator.set_callback(&receiver.url).unwrap();
    let new = serde_json::from_value(json!({"name": "Ada", "hides_number": true})).unwrap();
    let ada = simulator.add_contact(new).unwrap();
    simulator.say("Ada", "hi").unwrap();
    let inbound = receiver.next().await.value();
    assert_eq!(inbound["messages"][0]["from_user_id"], json!(ada.user_id));
    assert!(inbound["messages"][0].get("from").is_none() && inbound["contacts"][0].get("wa_id").is_none());
    assert!(!inbound.to_string().contains(&format!("\"{}\"", ada.wa_id)));
    let mut body = text_to("x", "hello");
    body.as_object_mut().unwrap().remove("to");
    body["recipient"] = json!(ada.user_id);
    let answer = graph(&simulator, &body).await.unwrap();
    assert_eq!(answer.json()["contacts"][0]["user_id"], json!(ada.user_id));
    let status = receiver.next().await.value();
    assert_eq!(status["statuses"][0]["recipient_user_id"], json!(ada.user_id));
    assert!(status["statuses"][0].get("recipient_id").is_none());
}

#[tokio::test]
async fn outside_the_window_a_send_fails_later_or_at_once() {
    let (simulator, clock) = start(settings()).await;
    let mut receiver = Receiver::start([]).await;
    simulator.set_callback(&receiver.url).unwrap();
    simulator.say(ANA, "hi").unwrap();
    receiver.next().await;
    clock.advance_millis(24 * 3_600_000);
    let answer = graph(&simulator, &text_to(ANA, "late")).await.unwrap();
    assert_eq!(answer.status, 200);
    let failed = receiver.next().await.value();
    assert_eq!(failed["statuses"][0]["status"], json!("failed"));
    assert_eq!(failed["statuses"][0]["errors"][0]["code"], json!(131_047));
    let last = simulator.transcript(ANA).pop().unwrap();
    assert_eq!((last.tick, last.error_code), (Tick::Failed, Some(131_047)));

    let at_once = OutsideWindow::RefusedAtOnce;
    let (strict, _clock) =
        start(iassistance_simulator::SimulatorSettings { outside_window: at_once, ..settings() }).await;
    let answer = graph(&strict, &text_to(ANA, "never wrote")).await.unwrap();
    assert_eq!((answer.status, code(&answer.json())), (400, 131_047));
}

#[tokio::test]
async fn the_pair_and_the_number_have_their_rates() {
    let (simulator, clock) = start(settings()).await;
    simulator.say(ANA, "hi").unwrap();
    for _ in 0..45 {
        assert_eq!(graph(&simulator, &text_to(ANA, "x")).await.unwrap().status, 200);
    }
    let answer = graph(&simulator, &text_to(ANA, "x")).await.unwrap();
    assert_eq!((answer.status, code(&answer.json())), (400, 131_056));
    clock.advance_millis(6_000);
    assert_eq!(graph(&simulator, &text_to(ANA, "x")).await.unwrap().status, 200);

    let limits = Limits { number_per_second: 2, ..Limits::default() };
    let (slow, clock) = start(iassistance_simulator::SimulatorSettings { limits, ..settings() }).await;
    for to in ["15550199002", "15550199003"] {
        assert_eq!(graph(&slow, &text_to(to, "x")).await.unwrap().status, 200);
    }
    let answer = graph(&slow, &text_to("15550199004", "x")).await.unwrap();
    assert_eq!((answer.status, code(&answer.json())), (400, 130_429));
    clock.advance_millis(500);
    assert_eq!(graph(&slow, &text_to("15550199004", "x")).await.unwrap().status, 200);
}

#[tokio::test]
async fn a_read_mark_turns_this_and_the_earlier_messages_blue() {
    let (simulator, _clock) = start(settings()).await;
    simulator.say(ANA, "one").unwrap();
    let second = simulator.say(ANA, "two").unwrap();
    simulator.say(ANA, "three").unwrap();
    let mark = json!({"messaging_product": "whatsapp", "status": "read", "message_id": second,
                      "typing_indicator": {"type": "text"}});
    let answer = graph(&simulator, &mark).await.unwrap();
    assert_eq!(answer.json(), json!({"success": true}));
    let ticks: Vec<Tick> = simulator.transcript(ANA).iter().map(|item| item.tick).collect();
    assert_eq!(ticks, [Tick::Read, Tick::Read, Tick::Sent]);
    let counters = simulator.state().counters;
    assert_eq!((counters.messages_read, counters.typing_indicators), (2, 1));
}

fn fault(fault: SendFault) -> Faults {
    Faults { sends: vec![Rule { fault, next: 1, per_mille: 0 }], ..Faults::default() }
}

#[tokio::test]
async fn faults_refuse_or_cut_a_send_before_or_after_acceptance() {
    let (simulator, _clock) = start(settings()).await;
    simulator.say(ANA, "hi").unwrap();
    let send = text_to(ANA, "x");

    simulator.set_faults(fault(SendFault::Refuse { status: 500, code: 131_000 })).unwrap();
    let answer = graph(&simulator, &send).await.unwrap();
    assert_eq!((answer.status, code(&answer.json())), (500, 131_000));

    simulator.set_faults(fault(SendFault::Cut { accepted: false })).unwrap();
    assert!(graph(&simulator, &send).await.is_err());
    assert_eq!(simulator.sends(ANA).len(), 0);

    simulator.set_faults(fault(SendFault::Cut { accepted: true })).unwrap();
    assert!(graph(&simulator, &send).await.is_err());
    assert_eq!(simulator.sends(ANA).len(), 1);

    simulator.set_faults(fault(SendFault::Truncate)).unwrap();
    let headers = [("authorization", "Bearer example-token"), ("content-type", "application/json")];
    let path = format!("/v23.0/{NUMBER}/messages");
    let cut =
        soon(crate::support::open(&simulator, "POST", &path, &headers, send.to_string())).await.unwrap();
    assert_eq!(cut.status().as_u16(), 200);
    assert!(soon(http_body_util::BodyExt::collect(cut.into_body())).await.is_err());
    assert_eq!(simulator.sends(ANA).len(), 2);

    assert_eq!(graph(&simulator, &send).await.unwrap().status, 200, "a fault that was counted off is over");
    assert_eq!(simulator.state().counters.faults, 4);
    soon(simulator.until(|state| state.counters.statuses.get("sent") == Some(&3))).await;
}

#[tokio::test]
async fn a_hanging_send_is_accepted_or_not_as_asked() {
    let (simulator, _clock) = start(settings()).await;
    simulator.say(ANA, "hi").unwrap();
    for (accepted, sends) in [(false, 0), (true, 1)] {
        simulator.set_faults(fault(SendFault::Hang { accepted })).unwrap();
        let faults = simulator.state().counters.faults;
        let body = text_to(ANA, "x");
        tokio::select! {
            _ = graph(&simulator, &body) => panic!("it should hang"),
            _ = soon(simulator.until(|state| {
                state.counters.faults > faults && state.counters.sends_accepted == sends
            })) => {}
        }
        assert_eq!(simulator.sends(ANA).len() as u64, sends);
    }
}
