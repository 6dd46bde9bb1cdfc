//! What of a conversation the model reads: a bounded history, a summary of the rest, pictures, what was
//! said in recordings, what is written in documents.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use iassistance_assistant::generate::Role;
use iassistance_assistant::scripted::{Behaviour, Call};
use iassistance_assistant::tokens::TokenCounter;
use iassistance_domain::assistant::{AssistantSettings, ContextSettings};
use iassistance_domain::id::ConversationId;
use iassistance_domain::pii::Reply;
use iassistance_simulator::act::GivenFile;
use iassistance_simulator::faults::{ModelFault, Rule};
use iassistance_simulator::{Act, Faults, MediaKind, ModelEndpoint, ScriptedAnswer};
use serde_json::{Value, json};

use crate::harness::{Flow, NUMBERS, Options, assistant, within};
use crate::products::{DAY_MS, INSTAGRAM, PAGE, flying};
use crate::turning::{each, holds};

/// What the summary of a script says, and what it is told from.
const SUMMARY: &str = "Ana wants three blue chairs (summary-7415)";
const PROMPT_TOKENS_MAX: u32 = 1_200;

fn is_for_a_summary(call: &Call) -> bool {
    call.messages[0].1.contains("Write a summary of the conversation")
}

fn tokens(call: &Call) -> usize {
    call.messages.iter().map(|(_, text)| TokenCounter::count(text)).sum()
}

/// About a hundred tokens.
fn long(name: &str) -> String {
    format!("{name}: {}", "the blue chair by the window, please. ".repeat(12))
}

/// A flow in which little fits into a prompt.
async fn tight(summary: bool, model: Behaviour) -> Flow {
    let flow = Flow::with(Options { model: Some(vec![model]), ..flying(&[]) }).await;
    let context = ContextSettings { summary, ..ContextSettings::default() };
    flow.settle(0, AssistantSettings { prompt_tokens_max: PROMPT_TOKENS_MAX, context, ..assistant() }).await;
    flow
}

/// What a model does that sums up where it is to.
fn summing_up() -> Behaviour {
    Behaviour::doing(|call| {
        let words = if is_for_a_summary(call) { SUMMARY } else { "fine" };
        Behaviour::Say(words.into())
    })
}

/// Says so much, one after the other, that it does not fit; the messages' ids at Meta.
async fn chat(flow: &Flow, from: usize, to: usize) -> Vec<String> {
    let mut said = Vec::new();
    for number in from..to {
        said.push(flow.simulator.say("ana", &long(&format!("message {number}"))).unwrap());
        flow.turns_ended(0, number + 1).await;
        flow.still().await;
        flow.clock.advance_millis(1_000);
    }
    said
}

async fn summary(flow: &Flow, conversation: ConversationId) -> Option<String> {
    let summary = flow.store(0).await.summary(conversation).await.unwrap();
    summary.map(|summary| summary.text.reveal(Reply).clone())
}

#[actix::test]
async fn history_is_bounded_in_tokens_and_the_oldest_goes_first() {
    let flow = tight(false, Behaviour::Say("fine".into())).await;
    chat(&flow, 0, 16).await;
    let calls = flow.model.calls();
    assert_eq!(calls.len(), 16, "and nothing was summed up");
    for (number, call) in calls.iter().enumerate() {
        assert!(tokens(call) <= PROMPT_TOKENS_MAX as usize, "{number}");
        let said = call.messages.iter().filter(|(role, _)| *role == Role::User);
        let said: Vec<&str> = said.map(|(_, text)| text.split(':').next().unwrap()).collect();
        let newest: Vec<String> = (0..=number).map(|number| format!("message {number}")).collect();
        assert_eq!(said, newest[newest.len() - said.len()..], "the newest, without a gap");
    }
    let read = calls[15].messages.len() - 2;
    assert!((2..30).contains(&read), "{read}");
    let turn = flow.last_turn().await;
    assert_eq!(turn["history_messages"], read, "{turn}");
    assert_eq!(turn["summary_until"], Value::Null);
    assert_eq!(summary(&flow, flow.conversation(0).await).await, None);
    flow.finish().await;
}

#[actix::test]
async fn what_is_too_old_is_summed_up_read_and_gone_when_it_is_taken_back() {
    let flow = tight(true, summing_up()).await;
    let said = chat(&flow, 0, 20).await;
    let conversation = flow.conversation(0).await;
    assert_eq!(summary(&flow, conversation).await.as_deref(), Some(SUMMARY));
    let stored = flow.store(0).await.summary(conversation).await.unwrap().unwrap();
    // It goes on where it ended.
    let calls = flow.model.calls();
    let asked: Vec<&Call> = calls.iter().filter(|call| is_for_a_summary(call)).collect();
    assert!(asked.len() > 1, "{}", asked.len());
    assert!(asked[0].messages.last().unwrap().1.contains("Customer: message 0"));
    assert!(asked[1].messages.iter().any(|(_, text)| text.contains(SUMMARY)), "what was summed up before");
    assert!(asked[1].messages.iter().all(|(_, text)| !text.contains("message 0:")), "and is not read again");
    assert!(calls.iter().all(|call| tokens(call) <= PROMPT_TOKENS_MAX as usize));
    // It is read in place of what it covers, in the contact's role, and recorded with its cost.
    let last = calls.iter().rfind(|call| !is_for_a_summary(call)).unwrap();
    let notes = &last.messages[1];
    assert!(notes.0 == Role::User && notes.1.contains(SUMMARY), "{}", notes.1);
    let turns = flow.turns_of(conversation).await;
    assert!(turns[0]["summary_until"].is_string(), "{}", turns[0]);
    assert_eq!(turns[0]["prompt_sha256"].as_str().unwrap().len(), 64);
    let summed_up =
        |turn: &&Value| turn["attempts"].as_array().unwrap().iter().any(|try_| try_["round"] == 0);
    assert_eq!(turns.iter().filter(summed_up).count(), asked.len(), "each is on the record of its turn");
    assert!(stored.messages >= 4 && stored.until < flow.message_called(0, &said[19]).await.1.id);
    // On disk there is nothing of it to be read.
    let folder = &flow.folder.as_ref().unwrap().path;
    assert!(!holds(folder, b"summary-7415") && !holds(folder, b"blue chair"));

    flow.act("ana", NUMBERS[0], Act::TakeBack { of: said[0].clone() });
    flow.event_named(0, "message.removed").await;
    flow.still().await;
    assert_eq!(summary(&flow, conversation).await, None, "what it was made of is gone, and so is it");
    let before = flow.model.calls().len();
    flow.simulator.say("ana", "and now?").unwrap();
    flow.turns_ended(0, 21).await;
    let call = flow.model.calls().remove(before);
    assert!(call.messages.iter().all(|(_, text)| !text.contains(SUMMARY) && !text.contains("message 0:")));
    flow.still().await;
    // The next one is made of what is left.
    let again = flow.model.calls().into_iter().skip(before).find(is_for_a_summary).unwrap();
    assert!(again.messages.iter().all(|(_, text)| !text.contains("message 0:") && !text.contains(SUMMARY)));
    flow.finish().await;
}

#[actix::test]
async fn a_summary_that_is_being_written_when_its_source_is_taken_back_is_not_kept() {
    let slow = Behaviour::doing(|call| {
        if is_for_a_summary(call) {
            Behaviour::SayAfter { ms: 60_000, text: SUMMARY.into() }
        } else {
            Behaviour::Say("fine".into())
        }
    });
    let flow = tight(true, slow).await;
    let mut said = Vec::new();
    within("a summary to be begun", async {
        while flow.model.open() == 0 {
            said.push(flow.simulator.say("ana", &long(&format!("message {}", said.len()))).unwrap());
            flow.turns_ended(0, said.len()).await;
            flow.still().await;
        }
    })
    .await;
    let conversation = flow.conversation(0).await;
    flow.act("ana", NUMBERS[0], Act::TakeBack { of: said[0].clone() });
    flow.event_named(0, "message.removed").await;
    flow.still().await;
    assert_eq!(flow.model.open(), 1, "it is still being written");
    flow.pass_until("the summary", 10_000, 600_000, async || flow.model.open() == 0).await;
    flow.still().await;
    assert_eq!(summary(&flow, conversation).await, None);
    // What it cost is written down after it has come back, which nobody else waits for.
    within("it to be on the record as paid for", async {
        while !flow.turns_of(conversation).await.iter().any(|turn| turn["attempts"][1]["round"] == 0) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    flow.finish().await;
}

/// A flow with the simulated model, which waits for files.
async fn seeing(change: impl FnOnce(&mut AssistantSettings)) -> Flow {
    let flow = Flow::with(flying(&[])).await;
    let mut settings = AssistantSettings { media_cap_ms: 20_000, ..assistant() };
    change(&mut settings);
    flow.settle(0, settings).await;
    flow
}

fn given(media: MediaKind, mime: &str, bytes: &[u8]) -> Act {
    let bytes = Some(BASE64_STANDARD.encode(bytes));
    Act::File(GivenFile { mime: Some(mime.into()), bytes, ..GivenFile::sample(media) })
}

/// The parts of the last message of what the model was asked last.
fn last_parts(flow: &Flow) -> Value {
    flow.last_chat().body["messages"].as_array().unwrap().last().unwrap()["content"].clone()
}

#[actix::test]
async fn a_picture_is_shown_to_the_model_as_a_picture() {
    for account in [NUMBERS[0], PAGE, INSTAGRAM] {
        let flow = seeing(|_| {}).await;
        flow.simulator.set_answers(vec![ScriptedAnswer::says("", "I see {images} picture(s)")]);
        flow.act("ana", account, Act::File(GivenFile::sample(MediaKind::Image)));
        flow.sent("I see 1 picture(s)").await;
        let parts = last_parts(&flow);
        let kinds: Vec<&Value> = each(&parts, "type");
        assert!(kinds.contains(&&json!("image_url")), "{account}: {parts}");
        let url =
            parts.as_array().unwrap().iter().find_map(|part| part["image_url"]["url"].as_str()).unwrap();
        assert!(url.starts_with("data:image/png;base64,"), "{url}");
        assert_eq!(flow.last_turn().await["images"], 1);
        assert_eq!(flow.simulator.chats().len(), 1, "{account}: it was waited for");
        // It is still before the model's eyes when they go on about it.
        flow.says("ana", account, "how much is it?");
        flow.turns_ended(0, 2).await;
        assert_eq!(flow.last_chat().images, 1);
        flow.still().await;
        flow.finish().await;
    }
    let flow = seeing(|settings| settings.context.images = false).await;
    flow.act("ana", NUMBERS[0], Act::File(GivenFile::sample(MediaKind::Image)));
    flow.sends(1).await;
    assert_eq!(flow.last_chat().images, 0, "unless the tenant does not want that");
    assert!(last_parts(&flow).to_string().contains("[image]"));
    flow.still().await;
    flow.finish().await;
}

fn voice(words: &str) -> Act {
    Act::File(GivenFile { caption: words.into(), ..GivenFile::sample(MediaKind::Voice) })
}

#[actix::test]
async fn a_voice_note_is_written_down_before_the_turn() {
    for account in [NUMBERS[0], PAGE, INSTAGRAM] {
        let flow = seeing(|_| {}).await;
        let mid = flow.act("ana", account, voice("do you have a table for six?"));
        flow.sends(1).await;
        let parts = last_parts(&flow).to_string();
        assert!(parts.contains("as it was heard:] [simulated] do you have a table for six?"), "{parts}");
        let (_, message) = flow.message_called(0, &mid).await;
        let said = message.content.media()[0].text.as_ref().unwrap().reveal(Reply);
        assert!(said.contains("a table for six"), "it is kept with the message: {said}");
        flow.still().await;
        assert_eq!(flow.count(0, "turn.started").await, 1, "{account}: the turn waited for it");
        assert_eq!(flow.simulator.state().model.transcriptions, 1);
        flow.finish().await;
    }
    let flow = seeing(|settings| settings.context.voice = false).await;
    flow.act("ana", NUMBERS[0], voice("do you have a table for six?"));
    flow.sends(1).await;
    assert!(last_parts(&flow).to_string().contains("[voice]"), "{}", last_parts(&flow));
    assert_eq!(flow.simulator.state().model.transcriptions, 0);
    flow.still().await;
    flow.finish().await;
}

#[actix::test]
async fn a_voice_note_that_cannot_be_written_down_is_answered_all_the_same() {
    for (fault, tries) in [
        (ModelFault::Refuse { status: 400, retry_after_s: None }, 1),
        (ModelFault::Refuse { status: 503, retry_after_s: None }, 3),
        (ModelFault::Garbage, 3),
    ] {
        let flow = seeing(|_| {}).await;
        let rule = Rule { fault: fault.at(ModelEndpoint::Transcriptions), next: 100, per_mille: 0 };
        flow.simulator.set_faults(Faults { model: vec![rule], ..Faults::default() }).unwrap();
        flow.act("ana", NUMBERS[0], voice("hello"));
        flow.pass_until("an answer", 100, DAY_MS, async || !flow.simulator.chats().is_empty()).await;
        flow.sends(1).await;
        flow.pass_until("the last try", 100, DAY_MS, async || flow.quiet_now(0).await).await;
        assert!(last_parts(&flow).to_string().contains("[voice]"), "{}", last_parts(&flow));
        flow.still().await;
        assert!(flow.simulator.state().model.transcriptions <= tries);
        assert_eq!(flow.count(0, "turn.started").await, 1);
        flow.finish().await;
    }
}

#[actix::test]
async fn a_voice_note_is_not_waited_for_for_ever() {
    let mut flow = seeing(|settings| (settings.quiet_ms, settings.cap_ms) = (1_000, 2_000)).await;
    let rule = Rule { fault: ModelFault::Hang.at(ModelEndpoint::Transcriptions), next: 1, per_mille: 0 };
    flow.simulator.set_faults(Faults { model: vec![rule], ..Faults::default() }).unwrap();
    flow.act("ana", NUMBERS[0], voice("hello"));
    within("the model's ear", flow.simulator.until(|state| state.model.transcriptions == 1)).await;
    flow.quiet_now(0).await;
    flow.clock.advance_millis(19_999);
    flow.quiet_now(0).await;
    assert_eq!((flow.count(0, "turn.started").await, flow.simulator.chats().len()), (0, 0));
    flow.clock.advance_millis(1);
    flow.sends(1).await;
    assert!(last_parts(&flow).to_string().contains("[voice]"), "{}", last_parts(&flow));
    assert_eq!(flow.last_turn().await["window_end"], "cap");
    // It is still listened to.
    flow.end().await;
}

#[actix::test]
async fn what_is_written_in_a_document_is_read() {
    let flow = seeing(|_| {}).await;
    let cases: [(&str, Act, &str); 2] = [
        ("plain", given(MediaKind::Document, "text/plain", b"Soup 5 euros, bread 2 euros"), "bread 2 euros"),
        ("pdf", Act::File(GivenFile::sample(MediaKind::Document)), "A simulated document"),
    ];
    for (number, (kind, act, words)) in cases.into_iter().enumerate() {
        let at = flow.now_at().await;
        flow.act("ana", NUMBERS[0], act);
        let settled = flow.event_after(0, at, |event| event["type"] == "media.settled").await;
        flow.sends(number + 1).await;
        let parts = last_parts(&flow).to_string();
        assert!(parts.contains(words), "{kind}: {parts} {settled}");
        assert!(parts.contains("its text:]"), "{kind}: {parts} {settled}");
        assert!(parts.contains("[end of the document]"), "{kind}: {parts}");
        flow.still().await;
    }
    let settings = ContextSettings { documents: false, ..ContextSettings::default() };
    flow.settle(0, AssistantSettings { media_cap_ms: 20_000, context: settings, ..assistant() }).await;
    flow.act("bea", NUMBERS[0], given(MediaKind::Document, "text/plain", b"Soup 9 euros"));
    flow.sends(3).await;
    assert!(!last_parts(&flow).to_string().contains("Soup 9"), "{}", last_parts(&flow));
    flow.still().await;
    flow.finish().await;
}
