//! That a machine speaks is said: at the start, after a long silence and after a person, once, in the
//! tenant's words and language, and on the record.

use std::slice;

use iassistance_assistant::scripted::Behaviour;
use iassistance_domain::assistant::AssistantSettings;
use serde_json::{Value, json};

use crate::harness::{Flow, NUMBERS, Options};
use crate::products::{HOUR_MS, flying, refusing};

const WORDS: &str = "A machine answers.";

fn disclosing(settings: &mut AssistantSettings) {
    settings.disclosure.enabled = true;
    settings.disclosure.text = WORDS.into();
    settings.disclosure.lapse_hours = 48;
}

async fn start(model: Vec<Behaviour>) -> Flow {
    let flow = Flow::with(Options { model: Some(model), ..flying(&[]) }).await;
    flow.configure(disclosing).await;
    flow
}

/// What is said to a contact who writes.
async fn answer(flow: &Flow, text: &str) -> Vec<String> {
    let before = flow.simulator.all_sends().len();
    let wamid = flow.says("ana", NUMBERS[0], text);
    flow.message_called(0, &wamid).await;
    flow.still().await;
    flow.clock.advance_millis(1_000);
    flow.simulator.all_sends().into_iter().skip(before).map(|send| send.text).collect()
}

/// Whether each turn disclosed, newest first, as REST tells it.
async fn disclosed(flow: &Flow) -> Vec<bool> {
    let conversation = flow.conversation(0).await;
    let path = format!("/tenants/{}/conversations/{conversation}/turns", flow.tenants[0]);
    let (_, page) = flow.api("GET", &path, None).await;
    page["items"].as_array().unwrap().iter().map(|turn| turn["disclosed"] == json!(true)).collect()
}

#[actix::test]
async fn it_is_said_at_the_start_after_a_long_silence_and_after_a_person() {
    let flow = start(vec![Behaviour::Say("Yes.".into())]).await;
    let first = format!("{WORDS}\n\nYes.");
    assert_eq!(answer(&flow, "Are you open?").await, slice::from_ref(&first));
    assert_eq!(answer(&flow, "And tomorrow?").await, ["Yes."]);
    flow.clock.advance_millis(48 * HOUR_MS - 1_001);
    assert_eq!(answer(&flow, "And on Sunday?").await, ["Yes."], "it has spoken within the time");
    flow.clock.advance_millis(48 * HOUR_MS);
    assert_eq!(answer(&flow, "And today?").await, slice::from_ref(&first));
    let conversation = flow.conversation(0).await;
    flow.app.engine.take_over(flow.ctx(), conversation, "Bea".into()).await.unwrap();
    flow.replied(conversation, json!({ "text": "It is Bea here." })).await;
    flow.app.engine.hand_back(flow.ctx(), conversation).await.unwrap();
    flow.still().await;
    assert_eq!(answer(&flow, "Thank you.").await, [first]);
    assert_eq!(answer(&flow, "Bye.").await, ["Yes."]);
    assert_eq!(disclosed(&flow).await, [false, true, true, false, false, true]);
    let told = flow.events(0).await.into_iter().filter(|event| event["type"] == "assistant.disclosed");
    let told: Vec<Value> = told.collect();
    assert!(told.len() == 3 && told.iter().all(|event| event["turn"].is_string()), "{told:?}");
    flow.finish().await;
}

#[actix::test]
async fn where_the_tenant_has_no_words_the_platform_s_are_said_in_its_language() {
    for (language, words) in [
        ("pt-BR", "Quem responde é o assistente automático desta empresa."),
        ("es-AR", "Te responde el asistente automático de este negocio."),
        ("de", "You are talking to the automated assistant of this business."),
    ] {
        let flow = start(vec![Behaviour::Say("42.".into())]).await;
        flow.configure(|settings| {
            settings.disclosure.enabled = true;
            settings.languages = vec![language.into()];
        })
        .await;
        assert_eq!(answer(&flow, "6 × 7?").await, [format!("{words}\n\n42.")]);
        flow.finish().await;
    }
}

#[actix::test]
async fn it_stands_before_a_choice_and_before_a_fallback() {
    let buttons = json!({ "body": "Which?", "buttons": [{ "title": "Blue" }, { "title": "Red" }] });
    let model = vec![Behaviour::call("send_buttons", &buttons.to_string()), Behaviour::Say(String::new())];
    let flow = start(model).await;
    flow.configure(|settings| {
        disclosing(settings);
        settings.built_in.choices = true;
    })
    .await;
    assert_eq!(answer(&flow, "I want one.").await, [WORDS, "Which?"]);
    assert_eq!(disclosed(&flow).await, [true]);
    flow.finish().await;

    let mut flow = start(vec![Behaviour::Panic]).await;
    assert_eq!(answer(&flow, "Are you open?").await, [format!("{WORDS}\n\nSorry, not now.")]);
    flow.forgive_dead_letters(1);
    flow.finish().await;
}

#[actix::test]
async fn what_never_arrived_was_never_said() {
    let mut flow = start(vec![Behaviour::Say("Yes.".into())]).await;
    flow.simulator.set_faults(refusing("whatsapp", 131_008, None, false)).unwrap();
    assert_eq!(answer(&flow, "Are you open?").await, Vec::<String>::new());
    flow.event(0, |event| event["delivery"]["status"] == "failed").await;
    assert_eq!(answer(&flow, "Hello?").await, [format!("{WORDS}\n\nYes.")]);
    assert_eq!(answer(&flow, "Good.").await, ["Yes."]);
    flow.forgive_dead_letters(1);
    flow.finish().await;
}
