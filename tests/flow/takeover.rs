//! Nothing that the assistant says leaves once a takeover is acknowledged, whatever it came between.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use futures::stream::{self, StreamExt};
use iassistance_actors::hub::Batch;
use iassistance_assistant::scripted::Behaviour;
use iassistance_domain::event::EventSeq;
use iassistance_domain::id::ConversationId;
use iassistance_domain::{Clock, Entropy, SeededEntropy};
use iassistance_simulator::faults::{Rule, SendFault};
use iassistance_simulator::{Act, Faults};
use iassistance_storage::StorageError;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::faulty::Act as StoreAct;
use crate::harness::{Flow, NUMBERS, Options, within};
use crate::products::flying;

const SCHEDULES: usize = 1_000;
const AT_ONCE: usize = 40;
const SEED: u64 = 0x0074_616b_656f;
const QUIET_MS: u64 = 60;
/// About what the slowest turns take, the window before them included.
const SLOW_TURN_MS: u64 = 800;

/// When in a turn a person takes over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Moment {
    /// While the contact's messages are collected.
    Collecting,
    /// While the model speaks.
    Tokens,
    /// When the reply is committed and the dispatcher has not taken it up.
    Committed,
    /// When the dispatcher takes it up, and then while it is sent.
    Sending,
    /// At any time.
    Any,
}

const MOMENTS: [Moment; 5] =
    [Moment::Collecting, Moment::Tokens, Moment::Committed, Moment::Sending, Moment::Any];

/// One schedule: when exactly, and what comes after it.
#[derive(Debug, Clone, Copy)]
struct Plan {
    moment: Moment,
    /// How long after the moment began: in turns of whoever else has something to do, or, where it may
    /// be at any time, in hundredths of what a slow turn takes.
    later: u64,
    /// How slowly the model speaks, milliseconds for a word.
    word_ms: u64,
    writes_again: bool,
}

impl Plan {
    fn all() -> Vec<Self> {
        let entropy = SeededEntropy::new(SEED);
        let plan = |_| Self {
            moment: one_of(&MOMENTS, &entropy),
            later: entropy.up_to(100),
            word_ms: one_of(&[1, 5, 40], &entropy),
            writes_again: entropy.up_to(2) == 0,
        };
        (0..SCHEDULES).map(plan).collect()
    }
}

fn one_of<T: Copy>(all: &[T], entropy: &SeededEntropy) -> T {
    all[usize::try_from(entropy.up_to(all.len() as u64 - 1)).unwrap()]
}

/// How far a schedule is.
#[derive(Debug, Clone, Copy, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each comes by itself")]
struct Seen {
    conversation: Option<ConversationId>,
    speaks: bool,
    taken_up: bool,
    settled: bool,
    /// The reply is kept from being taken up.
    held: bool,
}

/// How far every schedule is, for whoever waits for that.
#[derive(Default)]
struct Board {
    seen: Vec<Seen>,
    of: BTreeMap<ConversationId, usize>,
}

#[derive(Clone)]
struct Watched(Arc<Mutex<Board>>, watch::Sender<()>);

impl Watched {
    fn new() -> Self {
        let board = Board { seen: vec![Seen::default(); SCHEDULES], of: BTreeMap::new() };
        Self(Arc::new(Mutex::new(board)), watch::Sender::new(()))
    }

    fn note(&self, number: usize, change: impl FnOnce(&mut Seen)) {
        change(&mut self.0.lock().unwrap().seen[number]);
        self.1.send_replace(());
    }

    fn seen(&self, number: usize) -> Seen {
        self.0.lock().unwrap().seen[number]
    }

    async fn until(&self, number: usize, wanted: impl Fn(Seen) -> bool) -> Seen {
        let mut changes = self.1.subscribe();
        within("a schedule's moment", async {
            loop {
                changes.mark_unchanged();
                let seen = self.seen(number);
                if wanted(seen) {
                    return seen;
                }
                changes.changed().await.unwrap();
            }
        })
        .await
    }

    /// Before the dispatcher takes a reply up: some are kept until a person has taken over, and those
    /// whose schedule is not known yet are as well.
    fn may_be_taken_up(&self, conversation: ConversationId, plans: &[Plan]) -> Result<(), StorageError> {
        let number = self.0.lock().unwrap().of.get(&conversation).copied();
        let Some(number) = number else { return Err(StorageError::Overloaded) };
        let held = plans[number].moment == Moment::Committed && self.seen(number).held;
        self.note(number, |seen| seen.taken_up = true);
        if held { Err(StorageError::Overloaded) } else { Ok(()) }
    }

    fn is_settled(&self, conversation: ConversationId) {
        let number = self.0.lock().unwrap().of.get(&conversation).copied();
        if let Some(number) = number {
            self.note(number, |seen| seen.settled = true);
        }
    }

    /// Learns from the log which conversation is whose.
    async fn read_log(&self, flow: &Flow) {
        let store = flow.store(0).await;
        let mut log = flow.app.engine.hub().subscribe(flow.tenants[0], store, Some(EventSeq(0)));
        loop {
            let Batch::Events(frames) = log.next(256).await.unwrap() else { continue };
            for frame in frames.iter() {
                let frame: Value = serde_json::from_str(&frame.json).unwrap();
                let words = frame["event"]["message"]["content"]["body"].as_str().unwrap_or_default();
                if let (Some(number), Some(conversation)) = (number_in(words), frame.conversation()) {
                    self.0.lock().unwrap().of.insert(conversation, number);
                    self.note(number, |seen| seen.conversation = Some(conversation));
                }
            }
        }
    }
}

trait Framed {
    fn conversation(&self) -> Option<ConversationId>;
}

impl Framed for Value {
    fn conversation(&self) -> Option<ConversationId> {
        self["event"]["conversation"].as_str()?.parse().ok()
    }
}

/// The number of the schedule that a contact's words name.
fn number_in(words: &str) -> Option<usize> {
    words.strip_prefix("This is schedule ")?.trim_end_matches('.').parse().ok()
}

fn name(number: usize) -> String {
    format!("contact {number}")
}

async fn turns_of_others(turns: u64) {
    for _ in 0..turns {
        tokio::task::yield_now().await;
    }
}

/// What a takeover met.
struct Met {
    /// What was sent to the contact when it was acknowledged.
    sent: usize,
    /// Whether the reply had been taken up and not settled when it was asked for.
    in_hand: bool,
}

async fn play(flow: &Flow, watched: &Watched, number: usize, plan: Plan) -> Met {
    let contact = name(number);
    flow.simulator.say(&contact, &format!("This is schedule {number}.")).unwrap();
    let seen = watched.until(number, |seen| seen.conversation.is_some()).await;
    match plan.moment {
        Moment::Collecting => {}
        Moment::Any => flow.clock.sleep_millis(plan.later * SLOW_TURN_MS / 100).await,
        Moment::Tokens => drop(watched.until(number, |seen| seen.speaks).await),
        Moment::Committed | Moment::Sending => drop(watched.until(number, |seen| seen.taken_up).await),
    }
    if matches!(plan.moment, Moment::Tokens | Moment::Committed | Moment::Sending) {
        turns_of_others(plan.later).await;
    }
    let Seen { taken_up, settled, .. } = watched.seen(number);
    let conversation = seen.conversation.unwrap();
    flow.app.engine.take_over(flow.ctx(), conversation, "Bea".into()).await.unwrap();
    let sent = flow.simulator.sends(&contact).len();
    watched.note(number, |seen| seen.held = false);
    if plan.writes_again {
        flow.simulator.say(&contact, "Is anybody there?").unwrap();
    }
    Met { sent, in_hand: taken_up && !settled }
}

#[actix::test]
async fn a_thousand_takeovers_at_every_moment_of_a_turn_and_not_one_word_after_them() {
    let plans = Arc::new(Plan::all());
    let watched = Watched::new();
    for (number, plan) in plans.iter().enumerate() {
        watched.note(number, |seen| seen.held = plan.moment == Moment::Committed);
    }
    let (hook_watched, hook_plans) = (watched.clone(), Arc::clone(&plans));
    let hook = move |act: StoreAct| match (act.name, act.conversation) {
        ("begin_dispatch", Some(conversation)) => hook_watched.may_be_taken_up(conversation, &hook_plans),
        ("settle", Some(conversation)) => {
            hook_watched.is_settled(conversation);
            Ok(())
        }
        _ => Ok(()),
    };
    let (model_watched, model_plans) = (watched.clone(), Arc::clone(&plans));
    let speak = Behaviour::doing(move |call| {
        let number = number_in(call.last_words()).unwrap();
        model_watched.note(number, |seen| seen.speaks = true);
        let text = format!("I answer to number {number} with quite a few words, one after another.");
        Behaviour::SaySlowly { ms: model_plans[number].word_ms, text }
    });
    let failing = Options::failing(hook);
    let options = Options { wrap_store: failing.wrap_store, model: Some(vec![speak]), ..flying(&[]) };
    let flow = Flow::with(options).await;
    flow.configure(|settings| {
        settings.quiet_ms = QUIET_MS;
        settings.cap_ms = QUIET_MS;
    })
    .await;

    let played = stream::iter(plans.iter().copied().enumerate())
        .map(|(number, plan)| play(&flow, &watched, number, plan))
        .buffered(AT_ONCE);
    let all = async {
        tokio::select! {
            met = played.collect::<Vec<Met>>() => met,
            () = watched.read_log(&flow) => unreachable!("the log has no end"),
        }
    };
    let met = flow.while_time_flies(all).await;
    // Whatever still wants to leave has all the time that it takes.
    for _ in 0..20 {
        flow.clock.advance_millis(1_000);
        flow.settled().await;
    }
    flow.still().await;
    for (number, (plan, met)) in plans.iter().zip(&met).enumerate() {
        let after = flow.simulator.sends(&name(number)).len();
        assert_eq!(after, met.sent, "schedule {number}, {plan:?}: words left after the takeover");
    }
    assert_every_moment_was_met(&flow, &met).await;
    flow.finish().await;
}

/// The schedules ended in every way that there is.
async fn assert_every_moment_was_met(flow: &Flow, met: &[Met]) {
    let (mut cut_short, mut withdrawn) = (0, 0);
    for event in flow.events(0).await {
        cut_short += usize::from(event["end"] == "taken_over");
        withdrawn += usize::from(event["reason"] == "control_changed");
    }
    let sent = met.iter().filter(|met| met.sent > 0).count();
    let sending = met.iter().filter(|met| met.sent > 0 && met.in_hand).count();
    let never_begun = SCHEDULES - cut_short - withdrawn - sent;
    let counts = format!(
        "no turn yet {never_begun}, turn cut short {cut_short}, reply withdrawn {withdrawn}, \
         sent {sent}, in the middle of it {sending}"
    );
    assert!([never_begun, cut_short, withdrawn, sent, sending].iter().all(|count| *count >= 50), "{counts}");
}

#[actix::test]
async fn a_takeover_during_a_send_is_acknowledged_when_that_send_is_settled() {
    let flow = Flow::with(Options {
        settings: vec!["meta.send_timeout_ms=10000"],
        model: Some(vec![Behaviour::Echo]),
        ..Options::default()
    })
    .await;
    let hang = Rule { fault: SendFault::Hang { accepted: true }, next: 1, per_mille: 0 };
    flow.simulator.set_faults(Faults { sends: vec![hang], ..Faults::default() }).unwrap();
    flow.simulator.say("ana", "Are you open?").unwrap();
    flow.sends(1).await;
    let conversation = flow.conversation(0).await;
    let mut takeover = Box::pin(flow.app.engine.take_over(flow.ctx(), conversation, "Bea".into()));
    let committed = flow.event_named(0, "control.changed");
    tokio::select! {
        biased;
        _ = &mut takeover => panic!("it is still being sent"),
        changed = committed => assert_eq!(changed["control"]["holder"], "operator"),
    }
    flow.simulator.say("ana", "Hello?").unwrap();
    tokio::select! {
        biased;
        _ = &mut takeover => panic!("it is still being sent"),
        () = flow.settled() => {}
    }
    flow.clock.advance_millis(10_001);
    within("the acknowledgement", takeover).await.unwrap();
    flow.quiet(0).await;
    flow.clock.advance_millis(600_000);
    flow.quiet(0).await;
    flow.sends(1).await;
    flow.finish().await;
}

#[actix::test]
async fn a_word_from_the_owner_s_own_phone_is_a_takeover() {
    let flow = Flow::with(Options { model: Some(vec![Behaviour::Hang]), ..flying(&[]) }).await;
    flow.configure(|settings| {
        settings.people.handback_minutes = Some(30);
        settings.disclosure.enabled = true;
        settings.disclosure.text = "A machine answers.".into();
    })
    .await;
    flow.says("ana", NUMBERS[0], "I want two of the blue ones.");
    within("the model", async {
        while flow.model.open() == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    flow.act("ana", NUMBERS[0], Act::OwnerText { text: "I keep two for you.".into() });
    let changed = flow.event_named(0, "control.changed").await;
    assert_eq!(
        (&changed["control"]["holder"], &changed["control"]["name"]),
        (&json!("operator"), &json!("the owner's phone"))
    );
    flow.model_let_go(1).await;
    assert_eq!(flow.event_named(0, "turn.ended").await["end"], "taken_over");

    // Whoever says something stays in control for half an hour more.
    flow.clock.advance_millis(20 * 60_000);
    let last = flow.act("ana", NUMBERS[0], Act::OwnerText { text: "Until six.".into() });
    flow.message_called(0, &last).await;
    let acted = flow.clock.now();
    flow.says("ana", NUMBERS[0], "And are you open on Sunday?");
    flow.event(0, |event| event["message"]["content"]["body"] == "And are you open on Sunday?").await;
    flow.settled().await;
    flow.clock.advance_millis(30 * 60_000 - 1);
    flow.settled().await;
    assert_eq!(flow.simulator.all_sends().len(), 0);
    flow.model.follow([Behaviour::Say("On Sunday we are closed.".into())]);
    flow.clock.advance_millis(1);
    flow.sends(1).await;
    let back = flow.event(0, |event| event["control"]["holder"] == "assistant").await;
    assert_eq!(back["at"], json!(acted.plus_millis(30 * 60_000)));
    assert_eq!(flow.simulator.all_sends()[0].text, "A machine answers.\n\nOn Sunday we are closed.");
    let read: Vec<_> = flow.model.calls().pop().unwrap().messages.into_iter().map(|(_, text)| text).collect();
    assert_eq!(
        read[1..],
        [
            "I want two of the blue ones.",
            "[human colleague] I keep two for you.",
            "[human colleague] Until six.",
            "And are you open on Sunday?",
        ]
    );
    flow.still().await;
    flow.finish().await;
}
