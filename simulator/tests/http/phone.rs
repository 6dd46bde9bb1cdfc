//! The control API and the phone page.

use http_body_util::BodyExt as _;
use serde_json::json;

use crate::support::{ANA, call, get, graph, open, post, settings, soon, start, text_to};

#[tokio::test]
async fn the_page_has_a_strict_policy_and_nothing_from_outside() {
    let (simulator, _clock) = start(settings()).await;
    for path in ["/sim/phone", "/sim/phone.css", "/sim/phone.js", "/sim/cards.js", "/sim/phone.svg"] {
        let asset = get(&simulator, path).await;
        assert_eq!(asset.status, 200, "{path}");
        let policy = asset.headers["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        let text = asset.text().replace("http://www.w3.org/2000/svg", "");
        for outside in
            ["http:", "https:", "//cdn", "@import", "url(", "innerHTML", "<style", "onclick", "style="]
        {
            assert!(!text.contains(outside), "{path} has {outside}");
        }
    }
    let page = get(&simulator, "/sim/phone").await.text();
    assert!(page.contains("Simulated phone") && page.contains("nothing leaves this machine"));
    assert_eq!(page.matches("<script").count(), page.matches("<script src=\"/sim/").count());
    let home = get(&simulator, "/").await;
    assert_eq!((home.status, home.headers["location"].to_str().unwrap()), (307, "/sim/phone"));
}

#[tokio::test]
async fn other_pages_and_other_names_are_kept_out() {
    let (simulator, _clock) = start(settings()).await;
    let say = json!({"contact": "ana", "text": "hi"}).to_string();
    let own = format!("http://{}", simulator.address());
    for (headers, status) in [
        ([("origin", "https://evil.example"), ("x", "y")], 403),
        ([("origin", "null"), ("x", "y")], 403),
        ([("origin", own.as_str()), ("x", "y")], 200),
    ] {
        let answer = soon(call(&simulator, "POST", "/sim/say", &headers, say.clone())).await.unwrap();
        assert_eq!(answer.status, status);
    }
    assert_eq!(simulator.state().counters.inbound_messages, 1);
}

#[tokio::test]
async fn the_control_api_tells_what_happened_and_refuses_nonsense() {
    let (simulator, _clock) = start(settings()).await;
    let ana = post(&simulator, "/sim/contacts", &json!({"name": "Ana", "wa_id": ANA})).await.json();
    assert_eq!(ana["wa_id"], json!(ANA));
    let said = post(&simulator, "/sim/say", &json!({"contact": "Ana", "text": "hello"})).await.json();
    graph(&simulator, &text_to(ANA, "a")).await.unwrap();
    graph(&simulator, &text_to(ANA, "b")).await.unwrap();
    graph(&simulator, &text_to(ANA, "a")).await.unwrap();
    let transcript = get(&simulator, "/sim/transcript?contact=Ana").await.json();
    assert_eq!(transcript[0]["wamid"], said["wamid"]);
    assert_eq!(transcript.as_array().map(Vec::len), Some(4));
    let sends = get(&simulator, &format!("/sim/sends?contact={ANA}")).await.json();
    let texts: Vec<&str> =
        sends["sends"].as_array().unwrap().iter().filter_map(|s| s["text"].as_str()).collect();
    assert_eq!(texts, ["a", "b", "a"]);
    assert_eq!(sends["texts"][0], json!({"to": ANA, "text": "a", "accepted": 2}));
    let state = get(&simulator, "/sim/state").await.json();
    assert_eq!((&state["sends_accepted"], &state["repeated_texts"]), (&json!(3), &json!(1)));
    let faults = json!({"webhooks": {"delay_ms": 5}});
    assert_eq!(post(&simulator, "/sim/faults", &faults).await.status, 200);
    assert_eq!(get(&simulator, "/sim/faults").await.json()["webhooks"]["delay_ms"], json!(5));
    let secrets = get(&simulator, "/sim/numbers").await.text();
    assert!(!secrets.contains(crate::support::TOKEN));

    for (path, body) in [
        ("/sim/say", json!({"contact": "Ana"})),
        ("/sim/say", json!({"contact": "Ana", "text": ""})),
        ("/sim/say", json!({"contact": "Ana", "text": "x", "number": "1"})),
        ("/sim/contacts", json!({"name": "Ben", "wa_id": ANA})),
        ("/sim/faults", json!({"webhook": {}})),
        ("/sim/callback", json!({"url": "http://10.0.0.1/"})),
    ] {
        let refused = post(&simulator, path, &body).await;
        assert_eq!(refused.status, 400, "{path} {body}");
        assert!(refused.json()["error"].is_string());
    }
    assert_eq!(get(&simulator, "/sim/transcript?contact=nobody").await.status, 400);
    assert_eq!(get(&simulator, "/nothing/here").await.status, 404);
}

#[tokio::test]
async fn the_page_is_told_what_happens_as_it_happens() {
    let (simulator, _clock) = start(settings()).await;
    let events = soon(open(&simulator, "GET", "/sim/events", &[], String::new())).await.unwrap();
    let mut body = events.into_body();
    let hello = soon(body.frame()).await.unwrap().unwrap().into_data().unwrap();
    assert!(hello.starts_with(b":"));
    let wamid = simulator.say("ana", "hi").unwrap();
    let mark = json!({"messaging_product": "whatsapp", "status": "read", "message_id": wamid,
                      "typing_indicator": {"type": "text"}});
    graph(&simulator, &mark).await.unwrap();
    let mut kinds = Vec::new();
    let mut text = String::new();
    while kinds.len() < 4 {
        let data = soon(body.frame()).await.unwrap().unwrap().into_data().unwrap();
        text.push_str(std::str::from_utf8(&data).unwrap());
        let lines = text.lines().filter_map(|line| line.strip_prefix("data: "));
        let events = lines.map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        kinds = events.map(|event| event["kind"].as_str().unwrap().to_owned()).collect();
    }
    assert_eq!(kinds, ["contact", "message", "tick", "typing"]);
}
