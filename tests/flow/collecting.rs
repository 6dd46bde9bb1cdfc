//! The collecting window: who writes in pieces gets one answer, and sees when they are read.

use iassistance_assistant::scripted::Behaviour;
use iassistance_domain::Clock;
use iassistance_domain::assistant::AssistantSettings;
use iassistance_simulator::act::GivenFile;
use iassistance_simulator::faults::{ModelFault, Rule};
use iassistance_simulator::{Act, Faults, MediaKind, ModelEndpoint};
use serde_json::{Value, json};

use crate::harness::{Flow, NUMBERS, Options, within};
use crate::products::{DAY_MS, PAGE, flying};

const QUIET_MS: u64 = 1_500;
const CAP_MS: u64 = 20_000;

fn collecting(settings: &mut AssistantSettings) {
    settings.quiet_ms = QUIET_MS;
    settings.cap_ms = CAP_MS;
}

async fn start(settings: &[&'static str], model: Option<Vec<Behaviour>>) -> Flow {
    let flow = Flow::with(Options { model, ..flying(settings) }).await;
    flow.configure(collecting).await;
    flow
}

/// Somebody writes, and it is taken in.
async fn write(flow: &Flow, account: &str, text: &str) {
    flow.says("ana", account, text);
    flow.event(0, |event| event["type"] == "message.received" && event["message"]["content"]["body"] == text)
        .await;
}

/// Moves the clock to a moment before which no turn may begin; one begins then.
async fn begins_after(flow: &Flow, ms: u64, earlier_turns: usize) {
    let due = flow.clock.now().plus_millis(ms);
    flow.clock.advance_millis(ms - 1);
    flow.settled().await;
    assert_eq!(flow.count(0, "turn.started").await, earlier_turns, "it is waited for {ms} ms");
    flow.clock.advance_millis(1);
    let begun = async || flow.count(0, "turn.started").await > earlier_turns;
    within("the turn", async {
        while !begun().await {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let conversation = flow.store(0).await.conversations(None, 1).await.unwrap().remove(0).id;
    assert_eq!(turns(flow, conversation).await[0]["started_at"], json!(due.as_millis()));
}

/// The execution records of a conversation as REST tells them, newest first.
async fn turns(flow: &Flow, conversation: impl std::fmt::Display) -> Vec<Value> {
    let path = format!("/tenants/{}/conversations/{conversation}/turns", flow.tenants[0]);
    let (status, page) = flow.api("GET", &path, None).await;
    assert_eq!(status, 200, "{page}");
    page["items"].as_array().unwrap().clone()
}

#[actix::test]
async fn ten_messages_in_three_seconds_get_one_reply_that_saw_all_ten() {
    for account in [NUMBERS[0], PAGE] {
        let flow = start(&[], None).await;
        for n in 0..10 {
            write(&flow, account, &format!("This is wish number {n} of mine.")).await;
            flow.clock.advance_millis(300);
        }
        assert_eq!(flow.simulator.chats().len(), 0, "nothing is asked while they write");
        begins_after(&flow, QUIET_MS - 300, 0).await;
        flow.sends(1).await;
        flow.still().await;
        flow.clock.advance_millis(60_000);
        flow.still().await;
        flow.sends(1).await;
        let chats = flow.simulator.chats();
        assert_eq!(chats.len(), 1);
        let reply = flow.simulator.all_sends().remove(0).text;
        for read in [&chats[0].said, &reply] {
            let places: Vec<_> = (0..10).map(|n| read.find(&format!("wish number {n} of mine"))).collect();
            assert!(places.iter().all(Option::is_some) && places.is_sorted(), "all, in order: {read}");
        }
        let turns = turns(&flow, flow.conversation(0).await).await;
        assert_eq!((turns.len(), &turns[0]["window_end"]), (1, &json!("quiet")));
        assert_eq!(turns[0]["covers"].as_array().unwrap().len(), 10);
        let waited =
            turns[0]["started_at"].as_i64().unwrap() - turns[0]["window_opened_at"].as_i64().unwrap();
        assert_eq!(waited, 2_700 + 1_500);
        flow.finish().await;
    }
}

#[actix::test]
async fn who_never_stops_writing_is_answered_at_the_cap() {
    let flow = start(&[], Some(vec![Behaviour::Hang])).await;
    for n in 0..20 {
        write(&flow, NUMBERS[0], &format!("And this is wish number {n}.")).await;
        flow.settled().await;
        assert_eq!(flow.count(0, "turn.started").await, 0);
        flow.clock.advance_millis(1_000);
    }
    flow.event_named(0, "turn.started").await;
    let turn = turns(&flow, flow.conversation(0).await).await.remove(0);
    assert_eq!((&turn["window_end"], turn["covers"].as_array().unwrap().len()), (&json!("cap"), 20));
    let waited = turn["started_at"].as_i64().unwrap() - turn["window_opened_at"].as_i64().unwrap();
    assert_eq!(waited, 20_000);
    flow.model.follow([Behaviour::Echo]);
    write(&flow, NUMBERS[0], "That is all of it.").await;
    flow.clock.advance_millis(QUIET_MS);
    flow.sends(1).await;
    flow.still().await;
    flow.finish().await;
}

#[actix::test]
async fn a_fragment_is_waited_for_longer_and_its_end_shortens_the_wait() {
    let flow = start(&[], Some(vec![Behaviour::Echo])).await;
    write(&flow, NUMBERS[0], "Hola, buenas tardes").await;
    begins_after(&flow, 3 * QUIET_MS, 0).await;
    flow.sends(1).await;
    flow.still().await;
    write(&flow, NUMBERS[0], "cuánto sale el envío?").await;
    begins_after(&flow, QUIET_MS, 1).await;
    flow.sends(2).await;
    flow.still().await;
    write(&flow, NUMBERS[0], "quiero la azul y").await;
    flow.clock.advance_millis(1_000);
    write(&flow, NUMBERS[0], "la roja también, por favor.").await;
    begins_after(&flow, QUIET_MS, 2).await;
    flow.sends(3).await;
    let covers = turns(&flow, flow.conversation(0).await).await[0]["covers"].as_array().unwrap().len();
    assert_eq!(covers, 2);
    flow.still().await;
    flow.finish().await;
}

#[actix::test]
async fn where_there_is_no_window_every_message_is_answered_at_once() {
    let flow = Flow::with(Options { model: Some(vec![Behaviour::Echo]), ..flying(&[]) }).await;
    for (sent, text) in ["hola", "quiero una y", "¿cuánto sale?"].into_iter().enumerate() {
        let now = flow.clock.now();
        write(&flow, NUMBERS[0], text).await;
        flow.sends(sent + 1).await;
        let turn = turns(&flow, flow.conversation(0).await).await.remove(0);
        assert_eq!(turn["window_end"], "off");
        assert_eq!((&turn["window_opened_at"], &turn["started_at"]), (&json!(now), &json!(now)));
        flow.still().await;
    }
    flow.finish().await;
}

/// The next recording is not understood at once, besides what else goes wrong with the model.
fn deaf(flow: &Flow, besides: Option<ModelFault>) {
    let refuse = ModelFault::Refuse { status: 503, retry_after_s: None }.at(ModelEndpoint::Transcriptions);
    let once = |fault| Rule { fault, next: 1, per_mille: 0 };
    let model = [refuse].into_iter().chain(besides).map(once).collect();
    flow.simulator.set_faults(Faults { model, ..Faults::default() }).unwrap();
}

fn voice(flow: &Flow, account: &str, words: &str) {
    let given = GivenFile { caption: words.into(), ..GivenFile::sample(MediaKind::Voice) };
    flow.act("ana", account, Act::File(given));
}

async fn transcriptions(flow: &Flow, count: u64) {
    within("the recording", flow.simulator.until(|state| state.model.transcriptions >= count)).await;
}

#[actix::test]
async fn a_voice_note_is_waited_for_until_it_is_understood() {
    for account in [NUMBERS[0], PAGE] {
        let flow = start(&["model.retry_ms=5000"], None).await;
        flow.configure(|settings| {
            collecting(settings);
            settings.cap_ms = 4_000;
            settings.media_cap_ms = 60_000;
        })
        .await;
        deaf(&flow, None);
        voice(&flow, account, "Do you open on Sunday?");
        transcriptions(&flow, 1).await;
        flow.sleeps_for(10_000).await;
        flow.clock.advance_millis(9_999);
        flow.settled().await;
        assert_eq!(flow.count(0, "turn.started").await, 0, "the window's own cap is long over");
        flow.clock.advance_millis(1);
        flow.event_named(0, "media.settled").await;
        flow.sends(1).await;
        let chats = flow.simulator.chats();
        assert_eq!(chats.len(), 1);
        assert!(chats[0].said.contains("as it was heard:] [simulated] Do you open on Sunday?"));
        flow.still().await;
        flow.finish().await;
    }
}

#[actix::test]
async fn a_voice_note_that_is_understood_late_begins_the_answer_anew() {
    let flow = start(&["model.retry_ms=5000"], None).await;
    flow.configure(|settings| {
        collecting(settings);
        settings.cap_ms = 4_000;
        settings.media_cap_ms = 8_000;
    })
    .await;
    deaf(&flow, Some(ModelFault::Hang));
    voice(&flow, NUMBERS[0], "Do you open on Sunday?");
    transcriptions(&flow, 1).await;
    begins_after(&flow, 8_000, 0).await;
    within("the model", flow.simulator.until(|state| state.model.streams_open == 1)).await;
    let sent = async || !flow.simulator.all_sends().is_empty();
    flow.pass_until("the recording", 500, DAY_MS, sent).await;
    flow.sends(1).await;
    flow.still().await;
    let chats = flow.simulator.chats();
    let heard: Vec<_> = chats.iter().map(|chat| chat.said.contains("Do you open on Sunday?")).collect();
    assert_eq!(heard, [false, true]);
    let turns = turns(&flow, flow.conversation(0).await).await;
    let ends: Vec<_> = turns.iter().map(|turn| (&turn["end"], &turn["window_end"])).collect();
    assert_eq!(ends, [(&json!("answered"), &json!("cap")), (&json!("superseded"), &json!("cap"))]);
    assert!(flow.was_sent("Do you open on Sunday?"));
    flow.finish().await;
}

#[actix::test]
async fn messages_are_read_when_the_answer_begins_and_typing_is_shown_while_it_is_thought_of() {
    for account in [NUMBERS[0], PAGE] {
        let flow =
            start(&[], Some(vec![Behaviour::SayAfter { ms: 45_000, text: "Here it is.".into() }])).await;
        let shown = || {
            let counters = flow.simulator.state().counters;
            (counters.messages_read, counters.typing_indicators)
        };
        let typing = async |times: u64| {
            within("typing", flow.simulator.until(|state| state.counters.typing_indicators >= times)).await;
        };
        for n in 0..3 {
            write(&flow, account, &format!("This is wish number {n} of mine.")).await;
            flow.clock.advance_millis(500);
        }
        flow.settled().await;
        assert_eq!(shown(), (0, 0), "nobody reads while they write");
        begins_after(&flow, 1_000, 0).await;
        typing(1).await;
        assert_eq!(shown(), (3, 1));
        for times in 2..=3 {
            // It would vanish after 20 or 25 seconds.
            flow.sleeps_for(19_000).await;
            flow.clock.advance_millis(18_999);
            flow.settled().await;
            assert_eq!(shown(), (3, times - 1));
            flow.clock.advance_millis(1);
            typing(times).await;
        }
        flow.clock.advance_millis(7_000);
        flow.sends(1).await;
        flow.still().await;
        flow.clock.advance_millis(100_000);
        flow.still().await;
        assert_eq!(shown(), (3, 3), "nobody types after the answer");

        // What a person reads, they read themselves.
        let conversation = flow.conversation(0).await;
        flow.app.engine.take_over(flow.ctx(), conversation, "Bea".into()).await.unwrap();
        write(&flow, account, "Is anybody there?").await;
        flow.clock.advance_millis(100_000);
        flow.still().await;
        assert_eq!(shown(), (3, 3));
        flow.finish().await;
    }
}
