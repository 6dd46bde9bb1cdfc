//! The execution record: why each reply was what it was, by REST; and what is seen while it is made.

use iassistance_assistant::scripted::Behaviour;
use iassistance_domain::tool::{HttpTool, ToolMethod};
use iassistance_simulator::{ScriptedAnswer, StandIn};
use serde_json::{Value, json};

use crate::harness::{Flow, Options, within};
use crate::live::Live;
use crate::products::flying;
use crate::trials::{ONE_A_TOKEN, configure, each, ended, passed, record, whole_records};

fn stock(flow: &Flow) -> HttpTool {
    HttpTool {
        name: "stock".into(),
        description: "How many there are of a thing.".into(),
        method: ToolMethod::Get,
        url: flow.simulator.tool_url("stock"),
        parameters: json!({
            "type": "object", "properties": { "thing": { "type": "string" } }, "required": ["thing"],
        }),
        answer: None,
        secret: None,
        timeout_ms: 30_000,
        repeatable: true,
        side_effects: false,
        after_untrusted: false,
        trusted: true,
    }
}

#[actix::test]
async fn the_record_of_a_turn_tells_everything_by_rest() {
    let options = flying(&[ONE_A_TOKEN, "tools.private_hosts=[\"127.0.0.1\"]"]);
    let flow = Flow::with(options).await;
    configure(&flow, 0, |settings| {
        settings.tools = vec![stock(&flow)];
        (settings.quiet_ms, settings.cap_ms) = (1_000, 5_000);
        settings.moderation.after = true;
    })
    .await;
    let version =
        flow.event(0, |event| event["type"] == "settings.changed" && event["version"] == 2).await["version"]
            .clone();
    flow.simulator.set_tool("stock", StandIn::answering(json!({ "left": 3 }))).unwrap();
    let answer =
        ScriptedAnswer::says("shoes", "There are: {result}").calling("stock", json!({ "thing": "shoes" }));
    flow.simulator.set_answers(vec![answer]);

    flow.simulator.say("ana", "Good morning.").unwrap();
    passed(&flow, 0, 1).await;
    flow.quiet(0).await;
    flow.simulator.say("ana", "How many").unwrap();
    let second = flow.event(0, |event| event["message"]["content"]["body"] == "How many").await;
    flow.clock.advance_millis(300);
    flow.simulator.say("ana", "shoes are there?").unwrap();
    flow.event(0, |event| event["message"]["content"]["body"] == "shoes are there?").await;
    passed(&flow, 0, 2).await;
    flow.sends(2).await;
    flow.quiet(0).await;

    let conversation = flow.conversation(0).await;
    let turn = record(&flow).await;
    let path = format!("/tenants/{}/conversations/{conversation}", flow.tenants[0]);
    let id = turn["id"].as_str().unwrap();
    let (status, alone) = flow.api("GET", &format!("{path}/turns/{id}"), None).await;
    assert_eq!((status.as_u16(), &alone), (200, &turn));

    // The window and what it gathered.
    let at = |part: &str| turn[part].as_i64().unwrap();
    assert_eq!((&turn["window_end"], &turn["window_opened_at"]), (&json!("quiet"), &second["at"]));
    assert!(
        at("started_at") - at("window_opened_at") >= 1_300 && at("ended_at") >= at("started_at"),
        "{turn}"
    );
    let messages = flow.api("GET", &format!("{path}/messages"), None).await.1["items"].clone();
    let inbound = |body: &str| {
        let items = messages.as_array().unwrap();
        items.iter().find(|message| message["content"]["body"] == body).unwrap()["id"].clone()
    };
    assert_eq!(turn["covers"], json!([inbound("How many"), inbound("shoes are there?")]));

    // What it read, by which rules, and who had control.
    assert_eq!((&turn["history_messages"], &turn["settings_version"]), (&json!(2), &version));
    assert!(turn["prompt_sha256"].as_str().unwrap().len() == 64, "{turn}");
    assert_eq!(turn["control"], json!({ "holder": "assistant" }));
    assert!(turn["epoch"].is_u64() && turn["summary_until"].is_null() && turn["images"] == 0, "{turn}");

    // Each attempt and each call of a tool.
    assert_eq!(each(&turn["attempts"], "model"), ["simulated-1", "simulated-1"].map(Value::from));
    assert_eq!(each(&turn["attempts"], "round"), [1, 2].map(Value::from));
    for attempt in turn["attempts"].as_array().unwrap() {
        let cost = attempt["usage"]["input_tokens"].as_u64().unwrap()
            + attempt["usage"]["output_tokens"].as_u64().unwrap();
        assert_eq!(attempt["cost"], cost, "{attempt}");
        assert!(
            attempt["started_at"].as_i64() <= attempt["ended_at"].as_i64()
                && attempt["first_token_ms"].is_u64()
        );
        assert!(attempt["problem"].is_null(), "{attempt}");
    }
    let call = &turn["tool_calls"][0];
    let told =
        ["name", "round", "arguments", "tries", "outcome", "problem", "answer_bytes"].map(|part| &call[part]);
    let expected = json!(["stock", 1, "{\"thing\":\"shoes\"}", 1, "done", null, 10]);
    assert_eq!(json!(told), expected);
    assert!(
        call["started_at"].as_i64() <= call["ended_at"].as_i64()
            && call["started_at"].as_i64() >= turn["started_at"].as_i64()
    );
    assert_eq!(
        turn["judgements"],
        json!([{ "of_answer": true, "objects": false, "categories": [], "problem": null }])
    );

    // What it cost, why it ended and what it sent.
    let sum = |part: &str| {
        each(&turn["attempts"], "usage").iter().map(|usage| usage[part].as_u64().unwrap()).sum::<u64>()
    };
    assert_eq!(
        turn["usage"],
        json!({ "input_tokens": sum("input_tokens"), "output_tokens": sum("output_tokens") })
    );
    assert_eq!(turn["cost"], sum("input_tokens") + sum("output_tokens"));
    assert_eq!(
        (&turn["end"], &turn["problem"], &turn["disclosed"]),
        (&json!("answered"), &Value::Null, &json!(false))
    );
    let reply = messages.as_array().unwrap().iter().find(|message| message["author"]["turn"] == id).unwrap();
    assert_eq!(turn["sent"], json!([reply["id"]]));
    assert_eq!(reply["content"]["body"], "[simulated] There are: {\"left\":3}");
    flow.finish().await;
}

#[actix::test]
async fn the_record_of_a_turn_that_was_ended_tells_by_whom() {
    let slowly = Behaviour::SaySlowly { ms: 1_000, text: "one two three".into() };
    let flow = Flow::with(Options { model: Some(vec![slowly.clone(), slowly]), ..flying(&[]) }).await;
    let at_work = async |calls: usize| {
        within("the model", async {
            while flow.model.calls().len() < calls {
                tokio::task::yield_now().await;
            }
        })
        .await;
    };
    flow.simulator.say("ana", "Are you open?").unwrap();
    at_work(1).await;
    flow.simulator.say("ana", "On Sunday.").unwrap();
    at_work(2).await;
    let conversation = flow.conversation(0).await;
    flow.app.engine.take_over(flow.ctx(), conversation, "Bea".into()).await.unwrap();
    ended(&flow, 0, 2).await;
    flow.quiet(0).await;
    let turns = whole_records(&flow, conversation).await;
    let ends: Vec<&Value> = turns.iter().map(|turn| &turn["end"]).collect();
    assert_eq!(ends, ["superseded", "taken_over"]);
    assert_eq!(turns[0]["control"]["holder"], "assistant");
    assert_eq!(
        (&turns[1]["control"]["holder"], &turns[1]["control"]["name"]),
        (&json!("operator"), &json!("Bea"))
    );
    assert!(turns[0]["epoch"].as_u64() < turns[1]["epoch"].as_u64());
    assert_eq!(
        (&turns[0]["covers"][0], turns[1]["covers"].as_array().unwrap().len()),
        (&turns[1]["covers"][0], 2)
    );
    for turn in &turns {
        assert!(
            turn["sent"] == json!([])
                && turn["ended_at"].is_i64()
                && turn["attempts"][0]["problem"] == "cancelled",
            "{turn}"
        );
        assert!(
            turn["usage"]["input_tokens"].as_u64() > Some(0),
            "what was read by then is on the record: {turn}"
        );
    }
    flow.finish().await;
}

/// What a turn of the assistant is, that calls a tool and then answers.
fn noting() -> Vec<Behaviour> {
    let note = Behaviour::call("set_contact_attribute", "{\"name\":\"size\",\"value\":\"42\"}");
    vec![note, Behaviour::Say("Yes, until nine.".into())]
}

#[actix::test]
async fn what_a_turn_does_is_seen_while_it_does_it_by_those_who_ask_and_nobody_else() {
    let flow = Flow::with(Options { model: Some(noting()), ..Options::default() }).await;
    configure(&flow, 0, |settings| settings.built_in.attributes = true).await;
    let (mut plain, mut curious, mut stranger) =
        (Live::with_key(&flow).await, Live::with_key(&flow).await, Live::with_key(&flow).await);
    plain.watch(&flow, None).await;
    let asking = json!({ "type": "subscribe", "tenant": flow.tenants[0], "tokens": true });
    assert_eq!(curious.subscribe(asking).await["type"], "subscribed");
    // Of another conversation nothing is heard.
    let other = iassistance_domain::id::ConversationId::from_bytes([7; 16]).to_string();
    let elsewhere =
        json!({ "type": "subscribe", "tenant": flow.tenants[0], "conversation": other, "tokens": true });
    assert_eq!(stranger.subscribe(elsewhere).await["type"], "subscribed");
    flow.simulator.say("ana", "Are you open?").unwrap();
    flow.sends(1).await;
    flow.quiet(0).await;

    let (mut whispers, mut events) = (Vec::new(), Vec::new());
    while !events.iter().any(|event: &Value| event["type"] == "turn.ended") {
        let frame = curious.frame().await;
        match frame["type"].as_str().unwrap() {
            "event" => events.push(frame["event"].clone()),
            _ => whispers.push(frame),
        }
    }
    let turn = record(&flow).await;
    for whisper in &whispers {
        assert_eq!(
            (&whisper["turn"], &whisper["conversation"]),
            (&turn["id"], &turn["conversation"]),
            "{whisper}"
        );
        assert!(whisper.get("seq").is_none(), "it is in no log: {whisper}");
    }
    let (tools, tokens): (Vec<_>, Vec<_>) =
        whispers.into_iter().partition(|whisper| whisper["type"] == "turn.tool");
    let called: Vec<_> =
        tools.iter().map(|tool| (tool["name"].as_str().unwrap(), tool["outcome"].clone())).collect();
    assert_eq!(called, [("set_contact_attribute", Value::Null), ("set_contact_attribute", json!("done"))]);
    let mut text = String::new();
    for token in &tokens {
        assert_eq!(
            (&token["type"], token["at"].as_u64()),
            (&json!("turn.token"), Some(text.chars().count() as u64))
        );
        text.push_str(token["text"].as_str().unwrap());
    }
    assert!(tokens.len() >= 3 && text == "Yes, until nine.", "{tokens:?}");

    // Who did not ask for it sees the same events and nothing of it.
    for socket in [&mut plain, &mut stranger] {
        socket.say(json!({ "type": "ping" }).to_string()).await;
    }
    let mut seen = Vec::new();
    loop {
        let frame = plain.frame().await;
        match frame["type"].as_str().unwrap() {
            "event" => seen.push(frame["event"].clone()),
            "pong" => break,
            other => panic!("{other}"),
        }
    }
    assert_eq!(stranger.frame().await["type"], "pong");
    assert!(events.iter().all(|event| seen.contains(event)), "{seen:?}");
    let log = flow.events(0).await;
    assert!(log.iter().all(|event| event["type"] != "turn.token" && event["type"] != "turn.tool"));
    flow.finish().await;
}

#[actix::test]
async fn an_attempt_that_broke_off_is_taken_back_in_what_is_seen() {
    let broken = Behaviour::SayThenFail {
        text: "No, we".into(),
        error: iassistance_assistant::error::GenerateError::Cut,
    };
    let settings = vec!["model.retry_ms=0"];
    let model = Some(vec![broken, Behaviour::Say("Yes.".into())]);
    let flow = Flow::with(Options { settings, model, ..Options::default() }).await;
    let mut live = Live::with_key(&flow).await;
    let asking = json!({ "type": "subscribe", "tenant": flow.tenants[0], "tokens": true });
    live.subscribe(asking).await;
    flow.simulator.say("ana", "Are you open?").unwrap();
    flow.sends(1).await;
    let mut shown = String::new();
    let mut began = Vec::new();
    while shown != "Yes." {
        let frame = live.frame().await;
        if frame["type"] == "turn.token" {
            let at = usize::try_from(frame["at"].as_u64().unwrap()).unwrap();
            if at == 0 {
                began.push(std::mem::take(&mut shown));
            }
            assert_eq!(at, shown.len());
            shown.push_str(frame["text"].as_str().unwrap());
        }
    }
    assert_eq!(began, ["", "No, we"]);
    flow.finish().await;
}
