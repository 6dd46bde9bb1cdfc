//! What ends a running turn ends it at once: the model's connection is let go, what it cost is on
//! record, and nothing of the stale draft leaves.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use futures::stream::{self, StreamExt};
use iassistance_actors::hub::Batch;
use iassistance_assistant::scripted::Behaviour;
use iassistance_domain::event::EventSeq;
use iassistance_domain::turn::TurnEnd;
use iassistance_domain::{Clock, Entropy, SeededEntropy};
use iassistance_simulator::Faults;
use iassistance_simulator::faults::{ModelFault, Rule};
use serde_json::{Value, json};

use crate::harness::{Flow, Options, within};
use crate::products::{DAY_MS, flying};

/// How soon the model's server sees that nobody listens any more.
const AT_ONCE: Duration = Duration::from_millis(100);

/// By the middle one: other tests run at the same time, and may hold one up.
fn assert_at_once(mut waits: Vec<Duration>) {
    waits.sort();
    assert!(waits[waits.len() / 2] < AT_ONCE, "{waits:?}");
}

/// The next answer stops in its middle and goes on no more.
fn stall(flow: &Flow) {
    let rule = Rule { fault: ModelFault::Stall { after_tokens: 3 }, next: 1, per_mille: 0 };
    flow.simulator.set_faults(Faults { model: vec![rule], ..Faults::default() }).unwrap();
}

/// A turn whose answer has begun to come and hangs; its events come after what is returned.
async fn begun(flow: &Flow, words: &str) -> u64 {
    stall(flow);
    let at = flow.now_at().await;
    let store = flow.store(0).await;
    let mut watching = flow.app.engine.hub().subscribe(flow.tenants[0], store, Some(EventSeq(at)));
    watching.listen(true);
    flow.simulator.say("ana", words).unwrap();
    within("the first words", async {
        loop {
            match watching.next(64).await.unwrap() {
                Batch::Whisper(whisper) if whisper.json.contains("turn.token") => return,
                Batch::Closed => panic!("the hub closed"),
                _ => {}
            }
        }
    })
    .await;
    at
}

impl Flow {
    /// The end of the turn that began after this, and how long after its commit the stream was cut.
    async fn ended_after(&self, at: u64, cuts: usize) -> (Value, Duration) {
        let ended = self.event_after(0, at, |event| event["type"] == "turn.ended").await;
        let seen = Instant::now();
        within("the cut", self.simulator.until(|state| state.model.streams_cut_by_client > cuts as u64))
            .await;
        let cut = self.simulator.stream_cuts()[cuts];
        assert!(cut.events > 0);
        (ended, cut.instant.saturating_duration_since(seen))
    }

    async fn record_of(&self, ended: &Value) -> Value {
        let (tenant, turn) = (self.tenants[0], ended["turn"].as_str().unwrap());
        let conversation = ended["conversation"].as_str().unwrap();
        let path = format!("/tenants/{tenant}/conversations/{conversation}/turns/{turn}");
        // What was paid for is written down when the attempt has ended, which may be a moment later.
        within("the record", async {
            loop {
                let (status, record) = self.api("GET", &path, None).await;
                assert_eq!(status, 200, "{record}");
                if !record["attempts"].as_array().unwrap().is_empty() {
                    return record;
                }
            }
        })
        .await
    }
}

#[actix::test]
async fn a_message_during_the_answer_cuts_the_stream_within_a_tenth_of_a_second_and_one_reply_answers_both() {
    let flow = Flow::with(flying(&[])).await;
    let mut waits = Vec::new();
    for round in 0..10 {
        let at = begun(&flow, &format!("I want {round} of them.")).await;
        flow.simulator.say("ana", &format!("No, {round} and one more.")).unwrap();
        let (ended, late) = flow.ended_after(at, round).await;
        assert_eq!(ended["end"], "superseded");
        waits.push(late);
        flow.sends(round + 1).await;
        let reply = flow.simulator.all_sends().pop().unwrap().text;
        for words in [format!("I want {round} of them."), format!("No, {round} and one more.")] {
            assert!(reply.contains(&words), "{reply}");
        }
        let record = flow.record_of(&ended).await;
        assert_eq!(record["sent"], json!([]));
        assert!(record["usage"]["input_tokens"].as_u64() > Some(0), "{record}");
        assert!(record["usage"]["output_tokens"].as_u64() > Some(0), "{record}");
        flow.still().await;
    }
    assert_at_once(waits);
    flow.sends(10).await;
    flow.finish().await;
}

/// How many contacts write twice, and how many at once.
const CONTACTS: usize = 200;
const AT_A_TIME: usize = 40;

#[actix::test]
async fn whenever_the_second_message_comes_each_is_answered_once_and_no_stale_draft_leaves() {
    let speak = Behaviour::doing(|call| {
        let text = format!("I answer to this with some words: {}", call.last_words());
        Behaviour::SaySlowly { ms: 20, text }
    });
    let flow = Flow::with(Options { model: Some(vec![speak]), ..flying(&[]) }).await;
    let entropy = SeededEntropy::new(0x5e_c0_4d);
    let later: Vec<u64> = (0..CONTACTS).map(|_| entropy.up_to(500)).collect();
    let write = async |(number, later): (usize, u64)| {
        let contact = format!("contact {number}");
        flow.simulator.say(&contact, &format!("This is one of {number}.")).unwrap();
        flow.clock.sleep_millis(later).await;
        if number % 5 == 0 {
            within("the first reply", flow.simulator.until(|_| !flow.simulator.sends(&contact).is_empty()))
                .await;
        }
        flow.simulator.say(&contact, &format!("This is two of {number}.")).unwrap();
    };
    let all = stream::iter(later.into_iter().enumerate()).map(write).buffer_unordered(AT_A_TIME);
    flow.while_time_flies(all.collect::<Vec<()>>()).await;
    flow.while_time_flies(flow.still()).await;
    let store = flow.store(0).await;
    let (mut superseded, mut in_time) = (0, 0);
    let conversations = store.conversations(None, 2 * CONTACTS).await.unwrap();
    assert_eq!(conversations.len(), CONTACTS);
    for conversation in conversations {
        let turns = store.turns(conversation.id, None, 10).await.unwrap();
        let (answered, others): (Vec<_>, Vec<_>) =
            turns.iter().partition(|turn| turn.end == Some(TurnEnd::Answered));
        assert!(others.iter().all(|turn| turn.end == Some(TurnEnd::Superseded) && turn.sent.is_empty()));
        assert!(answered.iter().all(|turn| turn.sent.len() == 1));
        let covered: Vec<_> = answered.iter().flat_map(|turn| turn.covers.clone()).collect();
        assert_eq!(covered.iter().collect::<BTreeSet<_>>().len(), covered.len(), "answered once");
        assert_eq!(covered.len(), 2, "answered");
        superseded += others.len();
        in_time += usize::from(answered.len() == 2);
    }
    assert!(superseded >= 50 && in_time >= 20, "superseded {superseded}, answered before {in_time}");
    assert_eq!(flow.simulator.all_sends().len(), CONTACTS + in_time);
    flow.finish().await;
}

#[actix::test]
async fn a_takeover_silence_asked_for_and_a_closed_window_cut_the_stream_as_well() {
    let flow = Flow::with(flying(&[])).await;
    let at = begun(&flow, "One, please.").await;
    let conversation = flow.conversation(0).await;
    flow.app.engine.take_over(flow.ctx(), conversation, "Bea".into()).await.unwrap();
    let (ended, late) = flow.ended_after(at, 0).await;
    assert_eq!(ended["end"], "taken_over");
    let mut waits = vec![late];
    flow.replied(conversation, json!({ "text": "One it is." })).await;
    flow.app.engine.hand_back(flow.ctx(), conversation).await.unwrap();
    flow.still().await;

    let at = begun(&flow, "And another one.").await;
    flow.simulator.say("ana", "STOP").unwrap();
    let (ended, late) = flow.ended_after(at, 1).await;
    assert_eq!(ended["end"], "opted_out");
    waits.push(late);
    flow.event_after(0, at, |event| event["type"] == "contact.opted_out").await;
    flow.still().await;

    let at = begun(&flow, "I have thought about it.").await;
    flow.clock.advance_millis(DAY_MS + 1_000);
    let (ended, late) = flow.ended_after(at, 2).await;
    assert_eq!(ended["end"], "window_closed");
    waits.push(late);
    assert_at_once(waits);
    flow.still().await;
    flow.sends(1).await;
    assert_eq!(flow.simulator.all_sends()[0].text, "One it is.");
    flow.finish().await;
}

#[actix::test]
async fn what_was_opted_out_of_stays_silent_until_they_write_again() {
    let flow = Flow::with(Options { ..flying(&[]) }).await;
    flow.configure(|settings| settings.people.opt_out_words = vec!["déjame en paz".into()]).await;
    for word in ["Baja", "DEJAME EN PAZ!", "sair"] {
        flow.simulator.say("ana", word).unwrap();
        flow.event(0, |event| event["message"]["content"]["body"] == word).await;
    }
    flow.still().await;
    assert_eq!((flow.simulator.all_sends().len(), flow.simulator.chats().len()), (0, 0));
    assert_eq!(flow.count(0, "contact.opted_out").await, 1);
    flow.simulator.say("ana", "Where is my parcel?").unwrap();
    flow.sends(1).await;
    flow.still().await;
    flow.finish().await;
}
