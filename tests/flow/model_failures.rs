//! A model that fails, in every way that models do: something is said, once, and the record tells what
//! was tried.

use iassistance_actors::hub::Batch;
use iassistance_domain::budget::Instead;
use iassistance_simulator::faults::ModelFault;
use iassistance_simulator::{ModelEndpoint, Objection};
use serde_json::{Value, json};

use crate::harness::{Flow, Options, within};
use crate::trials::{
    FALLBACK, NOTES_ALONE, always, at_work, configure, each, ended, fail, next, passed, problems, record,
    refusing, sent,
};

const FIRST_TOKEN_MS: u64 = 20_000;

/// Asks the one question of a test.
fn ask(flow: &Flow) {
    flow.simulator.say("ana", "Are you open?").unwrap();
}

/// The one turn, which came to nothing: the fallback was said, once, and somebody can see why.
async fn failed(flow: &mut Flow) -> Value {
    flow.quiet(0).await;
    assert_eq!(sent(flow), [FALLBACK]);
    let turn = record(flow).await;
    assert_eq!(turn["end"], "failed", "{turn}");
    flow.event_named(0, "dead_letter.added").await;
    flow.forgive_dead_letters(1);
    turn
}

/// The one turn, which was answered in spite of all.
async fn answered(flow: &Flow) -> Value {
    flow.quiet(0).await;
    let texts = sent(flow);
    assert!(texts.len() == 1 && texts[0].starts_with("[simulated] You said: Are you open?"), "{texts:?}");
    let turn = record(flow).await;
    assert_eq!(turn["end"], "answered", "{turn}");
    turn
}

/// A flow in which nothing is waited for between two attempts.
async fn hasty(turn_ms: &'static str) -> Flow {
    let settings = vec!["model.retry_ms=0", turn_ms];
    Flow::with(Options { settings, ..Options::default() }).await
}

#[actix::test]
async fn a_model_that_never_answers() {
    let mut flow = hasty("model.turn_ms=120000").await;
    fail(&flow, vec![always(ModelFault::Hang)]);
    ask(&flow);
    for attempt in 1..=3 {
        at_work(&flow, attempt).await;
        flow.clock.advance_millis(FIRST_TOKEN_MS);
    }
    ended(&flow, 0, 1).await;
    let turn = failed(&mut flow).await;
    problems(&turn["attempts"], &["within 20000 ms"; 3]);
    for attempt in turn["attempts"].as_array().unwrap() {
        let ms = attempt["ended_at"].as_i64().unwrap() - attempt["started_at"].as_i64().unwrap();
        assert_eq!((ms, &attempt["first_token_ms"]), (20_000, &Value::Null), "{attempt}");
    }
    let streams = flow.simulator.until(|state| state.model.streams_open == 0);
    assert_eq!(within("the streams' end", streams).await.model.streams_cut_by_client, 3);
    flow.finish().await;
}

#[actix::test]
async fn a_model_that_falls_silent_in_the_middle() {
    let mut flow = hasty("model.turn_ms=100000").await;
    fail(&flow, vec![always(ModelFault::Stall { after_tokens: 3 })]);
    let mut whispers = flow.app.engine.hub().subscribe(flow.tenants[0], flow.store(0).await, None);
    whispers.listen(true);
    ask(&flow);
    for attempt_ms in [60_000, 40_000] {
        within("three tokens", async {
            let mut heard = 0;
            while heard < 3 {
                heard += usize::from(matches!(whispers.next(64).await, Ok(Batch::Whisper(_))));
            }
        })
        .await;
        flow.clock.advance_millis(attempt_ms);
    }
    ended(&flow, 0, 1).await;
    let turn = failed(&mut flow).await;
    problems(&turn["attempts"], &["within 60000 ms (`attempt_ms`", "within 100000 ms (`turn_ms`"]);
    let attempts = turn["attempts"].as_array().unwrap();
    assert!(
        attempts.iter().all(|attempt| attempt["usage"]["output_tokens"].as_u64() > Some(3)),
        "{attempts:?}"
    );
    flow.finish().await;
}

#[actix::test]
async fn a_model_that_answers_garbage() {
    let mut flow = Flow::start().await;
    fail(&flow, vec![always(ModelFault::Garbage)]);
    ask(&flow);
    passed(&flow, 0, 1).await;
    let turn = failed(&mut flow).await;
    problems(&turn["attempts"], &["does not answer as OpenAI's"; 3]);
    flow.finish().await;
}

#[actix::test]
async fn a_model_that_breaks_off_in_the_middle() {
    let mut flow = Flow::start().await;
    fail(&flow, vec![always(ModelFault::Cut { after_tokens: 4 })]);
    ask(&flow);
    passed(&flow, 0, 1).await;
    let turn = failed(&mut flow).await;
    problems(&turn["attempts"], &["broke off in the middle"; 3]);
    assert!(each(&turn["attempts"], "first_token_ms").iter().all(Value::is_u64), "{turn}");
    flow.finish().await;

    // Once is not for ever: of the half answer nothing is said.
    let flow = Flow::start().await;
    fail(&flow, vec![next(ModelFault::Cut { after_tokens: 4 }, 1), next(ModelFault::Garbage, 1)]);
    ask(&flow);
    passed(&flow, 0, 1).await;
    let turn = answered(&flow).await;
    problems(&turn["attempts"], &["broke off", "does not answer as OpenAI's", ""]);
    flow.finish().await;
}

#[actix::test]
async fn a_model_that_calls_tools_that_there_are_not() {
    let mut flow = Flow::start().await;
    configure(&flow, 0, |settings| (settings.built_in, settings.tool_rounds_max) = (NOTES_ALONE, 2)).await;
    fail(&flow, vec![always(ModelFault::UnknownTool { name: "wire_money".into() })]);
    ask(&flow);
    passed(&flow, 0, 1).await;
    let turn = failed(&mut flow).await;
    // Two rounds, and one without tools, in which it has nothing to say either.
    assert_eq!(each(&turn["attempts"], "round"), [1, 2, 3].map(Value::from));
    problems(&turn["attempts"], &["", "", "called tools although there were none"]);
    assert_eq!(each(&turn["tool_calls"], "name"), ["wire_money", "wire_money"].map(Value::from));
    assert_eq!(each(&turn["tool_calls"], "outcome"), ["invalid", "invalid"].map(Value::from));
    assert_eq!(each(&turn["tool_calls"], "tries"), [0, 0].map(Value::from));
    flow.finish().await;

    // Told that there is no such tool, another model thinks again.
    let flow = Flow::start().await;
    configure(&flow, 0, |settings| settings.built_in = NOTES_ALONE).await;
    fail(
        &flow,
        vec![
            next(ModelFault::UnknownTool { name: "wire_money".into() }, 1),
            next(ModelFault::BadArguments, 1),
        ],
    );
    ask(&flow);
    passed(&flow, 0, 1).await;
    flow.quiet(0).await;
    let turn = record(&flow).await;
    assert_eq!(turn["end"], "answered");
    assert_eq!(each(&turn["tool_calls"], "name"), ["wire_money", "set_contact_attribute"].map(Value::from));
    assert_eq!(each(&turn["tool_calls"], "outcome"), ["invalid", "invalid"].map(Value::from));
    assert_eq!(sent(&flow).len(), 1);
    flow.finish().await;
}

#[actix::test]
async fn a_model_that_calls_tools_for_ever() {
    let flow = Flow::start().await;
    configure(&flow, 0, |settings| (settings.built_in, settings.tool_rounds_max) = (NOTES_ALONE, 3)).await;
    fail(&flow, vec![always(ModelFault::ToolsForEver)]);
    ask(&flow);
    passed(&flow, 0, 1).await;
    flow.quiet(0).await;
    let turn = record(&flow).await;
    assert_eq!(turn["end"], "answered", "without tools it had to speak: {turn}");
    assert_eq!(each(&turn["attempts"], "round"), [1, 2, 3, 4].map(Value::from));
    assert_eq!(each(&turn["tool_calls"], "round"), [1, 2, 3].map(Value::from));
    let offered: Vec<usize> = flow.simulator.chats().iter().map(|chat| chat.tools.len()).collect();
    assert_eq!(offered, [1, 1, 1, 0]);
    assert_eq!(sent(&flow).len(), 1);
    flow.finish().await;
}

#[actix::test]
async fn a_server_that_asks_for_patience_is_asked_again_when_it_says_and_not_before() {
    let flow = Flow::start().await;
    fail(&flow, vec![next(ModelFault::Refuse { status: 429, retry_after_s: Some(7) }, 1)]);
    ask(&flow);
    within("the refusal", flow.simulator.until(|state| state.model.refused == 1)).await;
    // It sleeps when its sleep can be seen.
    let due = within("the pause", async {
        loop {
            flow.quiet_now(0).await;
            match flow.clock.next_due() {
                Some(due) => break due,
                None => tokio::task::yield_now().await,
            }
        }
    });
    let _due = due.await;
    flow.clock.advance_millis(6_999);
    flow.quiet_now(0).await;
    assert_eq!(flow.simulator.state().model.requests, 1);
    passed(&flow, 0, 1).await;
    let turn = answered(&flow).await;
    problems(&turn["attempts"], &["takes no more requests just now", ""]);
    let attempts = turn["attempts"].as_array().unwrap();
    let waited = attempts[1]["started_at"].as_i64().unwrap() - attempts[0]["ended_at"].as_i64().unwrap();
    assert!((7_000..8_000).contains(&waited), "{waited}");
    assert_eq!(attempts[0]["usage"]["input_tokens"], 0, "what was refused is not paid for");
    flow.finish().await;
}

#[actix::test]
async fn nobody_waits_for_a_server_that_asks_for_too_much_patience() {
    let mut flow = Flow::start().await;
    fail(&flow, vec![always(ModelFault::Refuse { status: 429, retry_after_s: Some(600) })]);
    ask(&flow);
    ended(&flow, 0, 1).await;
    let turn = failed(&mut flow).await;
    problems(&turn["attempts"], &["takes no more requests just now"]);
    flow.finish().await;
}

#[actix::test]
async fn what_cannot_pass_is_not_tried_again() {
    for (fault, words) in [
        (ModelFault::NoCredit, "no credit"),
        (refusing(401), "did not accept the key"),
        (refusing(404), "refused the request (HTTP 404"),
        (ModelFault::Filter, "withheld the answer"),
    ] {
        let mut flow = Flow::start().await;
        fail(&flow, vec![always(fault)]);
        ask(&flow);
        ended(&flow, 0, 1).await;
        let turn = failed(&mut flow).await;
        problems(&turn["attempts"], &[words]);
        flow.finish().await;
    }
}

#[actix::test]
async fn a_whole_turn_has_a_deadline() {
    let mut flow = hasty("model.turn_ms=30000").await;
    configure(&flow, 0, |settings| settings.fallback_models = vec!["simulated-2".into()]).await;
    fail(&flow, vec![always(ModelFault::Hang)]);
    ask(&flow);
    at_work(&flow, 1).await;
    flow.clock.advance_millis(FIRST_TOKEN_MS);
    at_work(&flow, 2).await;
    flow.clock.advance_millis(10_000);
    ended(&flow, 0, 1).await;
    let turn = failed(&mut flow).await;
    // No other model is asked when the time is over.
    problems(&turn["attempts"], &["within 20000 ms", "within 30000 ms (`turn_ms`"]);
    let ms = turn["ended_at"].as_i64().unwrap() - turn["started_at"].as_i64().unwrap();
    assert_eq!(ms, 30_000);
    flow.finish().await;
}

#[actix::test]
async fn where_no_answer_can_be_had_a_person_is_asked_for_or_nothing_is_said() {
    let flow = Flow::start().await;
    configure(&flow, 0, |settings| settings.on_failure = Instead::Human).await;
    fail(&flow, vec![always(refusing(401))]);
    ask(&flow);
    ended(&flow, 0, 1).await;
    flow.quiet(0).await;
    let turn = record(&flow).await;
    assert_eq!(
        (&turn["end"], &turn["control"]["holder"], &turn["control"]["reason"]),
        (&json!("handed_over"), &json!("waiting"), &json!("failed")),
    );
    problems(&turn["attempts"], &["did not accept the key"]);
    let texts = sent(&flow);
    assert!(texts.len() == 1 && texts[0] != FALLBACK, "{texts:?}");
    // Nobody talks over the person who is waited for.
    let seen = flow.events(0).await.len() as u64;
    ask(&flow);
    flow.event_after(0, seen, |event| event["type"] == "message.received").await;
    flow.quiet(0).await;
    assert_eq!((sent(&flow).len(), flow.simulator.state().model.requests), (1, 1));
    flow.finish().await;

    let mut flow = Flow::start().await;
    configure(&flow, 0, |settings| settings.on_failure = Instead::Silence).await;
    fail(&flow, vec![always(refusing(401))]);
    ask(&flow);
    let told = flow.event_named(0, "turn.ended").await;
    flow.quiet(0).await;
    assert_eq!((told["end"].as_str(), sent(&flow).len()), (Some("failed"), 0));
    flow.forgive_dead_letters(1);
    flow.finish().await;
}

fn objecting(flow: &Flow) {
    let objection =
        |words: &str, category: &str| Objection { when_contains: words.into(), category: category.into() };
    flow.simulator.set_objections(vec![objection("grenade", "violence")]);
}

#[actix::test]
async fn what_moderation_objects_to_is_neither_read_by_a_model_nor_sent() {
    let flow = Flow::start().await;
    objecting(&flow);
    configure(&flow, 0, |settings| settings.moderation.before = true).await;
    flow.simulator.say("ana", "Do you sell a grenade?").unwrap();
    ended(&flow, 0, 1).await;
    flow.quiet(0).await;
    let turn = record(&flow).await;
    assert_eq!((&turn["end"], &turn["attempts"]), (&json!("objected"), &json!([])));
    let judged =
        json!([{ "of_answer": false, "objects": true, "categories": ["violence"], "problem": null }]);
    assert_eq!(turn["judgements"], judged);
    let state = flow.simulator.state().model;
    assert_eq!((state.requests, state.moderations, sent(&flow)), (0, 1, vec![FALLBACK.to_owned()]));
    flow.finish().await;

    // The simulated model repeats what it is told: here only its answer is looked at.
    let flow = Flow::start().await;
    objecting(&flow);
    configure(&flow, 0, |settings| {
        settings.moderation.after = true;
        settings.moderation.on_objection = Instead::Human;
    })
    .await;
    flow.simulator.say("ana", "Are you open?").unwrap();
    flow.sends(1).await;
    flow.simulator.say("ana", "Do you sell a grenade?").unwrap();
    ended(&flow, 0, 2).await;
    flow.quiet(0).await;
    let turn = record(&flow).await;
    assert_eq!(
        (&turn["end"], &turn["control"]["reason"]),
        (&json!("handed_over"), &json!("objected")),
        "{turn}"
    );
    assert_eq!(
        (&turn["judgements"][0]["of_answer"], &turn["judgements"][0]["objects"]),
        (&json!(true), &json!(true))
    );
    assert!(
        sent(&flow).len() == 2 && sent(&flow).iter().all(|text| !text.contains("grenade")),
        "{:?}",
        sent(&flow)
    );
    flow.finish().await;
}

#[actix::test]
async fn what_moderation_cannot_look_at_is_not_sent() {
    let mut flow = Flow::start().await;
    configure(&flow, 0, |settings| settings.moderation.after = true).await;
    fail(&flow, vec![always(refusing(503).at(ModelEndpoint::Moderations))]);
    ask(&flow);
    passed(&flow, 0, 1).await;
    let turn = failed(&mut flow).await;
    problems(&turn["attempts"], &[""]);
    problems(&turn["judgements"], &["HTTP 503"]);
    assert_eq!(flow.simulator.state().model.moderations, 3);
    flow.finish().await;
}
