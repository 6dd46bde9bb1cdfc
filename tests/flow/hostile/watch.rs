//! Who looks at everything that came of it.

use std::collections::{BTreeMap, BTreeSet};

use iassistance_domain::conversation::Control;
use iassistance_domain::event::EventSeq;
use iassistance_domain::id::TurnId;
use iassistance_domain::message::Author;
use iassistance_domain::pii::Reply;
use iassistance_domain::tool::ToolOutcome;
use iassistance_domain::turn::{TurnEnd, TurnRecord};
use serde_json::{Value, json};

use super::{CALLS_MAX, NUMBERS, ONLY_THE_SECONDS, PEOPLE, Person, TOOLS, key};
use crate::harness::Flow;

/// A mark that was found.
pub struct Found {
    pub tenant: usize,
    pub who: String,
    pub what: String,
}

/// The whole marks in a text.
pub fn found(text: &str) -> Vec<Found> {
    let whole = |rest: &str| {
        let mut parts = rest.splitn(4, '/');
        let tenant = parts.next()?.parse().ok()?;
        let (who, what) = (parts.next()?.to_owned(), parts.next()?.to_owned());
        // What was cut within its last part is a mark all the same.
        (tenant < 2 && (who == "all" || PEOPLE.contains(&&*who))).then_some(Found { tenant, who, what })
    };
    text.match_indices("MRK/").filter_map(|(at, _)| whole(&text[at + 4..])).collect()
}

/// Asserts that a text holds nothing but what a person, or their tenant, has.
fn own(text: &str, person: &Person, place: &str) {
    for Found { tenant, who, what } in found(text) {
        let is_own = tenant == person.tenant && (who == "all" || who == person.name);
        let whose = format!("{} of {}", person.name, person.tenant);
        assert!(is_own && what != "key", "{place} of {whose} has {tenant}/{who}/{what}: {text}");
    }
}

/// Calls that came to a tenant's tool server, by turn and tool.
type Came = BTreeMap<(TurnId, String), u64>;

pub struct Watch {
    people: Vec<Person>,
    seen: u64,
    came: Came,
    before: Vec<Value>,
}

/// What a tenant has that no conversation may change.
async fn fixed(flow: &Flow, tenant: usize) -> Value {
    let store = flow.store(tenant).await;
    let version = store.assistant().await.unwrap().unwrap().version;
    let draft = store.assistant_draft().await.unwrap().is_some();
    let documents = store.documents().await.unwrap();
    let channels = store.channels().await.unwrap();
    let channels: Vec<String> = channels.iter().map(|channel| channel.id.to_string()).collect();
    let conversations = store.conversations(None, 100).await.unwrap();
    let mut conversations: Vec<String> = conversations.iter().map(|one| one.id.to_string()).collect();
    conversations.sort();
    let keys = flow.app.store.api_keys().await.unwrap().len();
    json!([version, draft, documents, channels, conversations, keys])
}

impl Watch {
    pub async fn begin(flow: &Flow, people: Vec<Person>) -> Self {
        let before = vec![fixed(flow, 0).await, fixed(flow, 1).await];
        Self { people, seen: 0, came: Came::new(), before }
    }

    /// Looks at what came to the tool servers since the last time.
    pub fn tool_calls(&mut self, flow: &Flow) {
        let names = (0..2).flat_map(|tenant| {
            TOOLS
                .iter()
                .chain(&[ONLY_THE_SECONDS])
                .map(move |tool| (tenant, *tool, format!("t{tenant}_{tool}")))
        });
        let (mut fresh, from) = (0, self.seen);
        for (tenant, tool, name) in names {
            for call in flow.simulator.tool_calls(&name).into_iter().filter(|call| call.number > from) {
                assert!(tenant == 1 || tool != ONLY_THE_SECONDS, "the first tenant has no such tool");
                assert_eq!((call.status, &*call.method), (200, "POST"), "{call:?}");
                assert_eq!(call.headers["x-shop-key"], key(tenant), "each with its own key");
                assert!(call.query.is_empty(), "{call:?}");
                let body: Value = serde_json::from_str(&call.body).unwrap();
                arguments_are_its_own(tenant, &body);
                let turn = &call.headers["idempotency-key"];
                let turn: TurnId = turn.split('-').next().unwrap().parse().unwrap();
                *self.came.entry((turn, tool.to_owned())).or_default() += 1;
                self.seen = self.seen.max(call.number);
                fresh += 1;
            }
        }
        assert_eq!(from + fresh, self.seen, "every call was looked at, and none went elsewhere");
    }

    /// Looks at everything that is left; what was seen, in numbers.
    pub async fn end(mut self, flow: &Flow) -> Value {
        self.tool_calls(flow);
        assert_eq!(flow.simulator.state().counters.sends_refused.len(), 0);
        for tenant in 0..2 {
            let now = fixed(flow, tenant).await;
            assert_eq!(now, self.before[tenant], "settings, documents, channels and people are as they were");
        }
        let mut counts = Counts::default();
        for person in &self.people {
            let turns =
                flow.store(person.tenant).await.turns(person.conversation, None, 10_000).await.unwrap();
            for turn in &turns {
                counts.turns += 1;
                turn_keeps_to_rules(turn, person, &mut self.came, &mut counts);
            }
        }
        assert!(
            self.came.is_empty(),
            "each call that came is on the record of its own turn: {:?}",
            self.came
        );
        for person in &self.people {
            person_is_left_alone(flow, person, &mut counts).await;
        }
        self.sends(flow, &mut counts);
        self.events(flow, &mut counts).await;
        assert_eq!(counts.dead_letters, counts.failed);
        json!({
            "turns": counts.turns, "calls": counts.calls, "refused": counts.refused, "invalid": counts.invalid,
            "citations": counts.citations, "noted": counts.noted, "sends": counts.sends, "events": counts.events,
            "handed_over": counts.handed_over, "choices": counts.choices, "follow_ups": counts.follow_ups,
            "failed": counts.failed,
        })
    }

    fn sends(&self, flow: &Flow, counts: &mut Counts) {
        for send in flow.simulator.all_sends() {
            let tenant = NUMBERS.iter().position(|number| *number == send.phone_number_id).unwrap();
            let to = self.people.iter().find(|person| person.tenant == tenant && person.wa_id == send.to);
            assert!(to.is_some(), "it goes to somebody who wrote to this tenant");
            let to = to.unwrap();
            let text = format!("{} {}", send.text, json!(send.shown));
            own(&text, to, "a send");
            assert!(!send.text.trim_start().starts_with("[human colleague]"), "{}", send.text);
            assert!(tenant == 0 || send.shown.choices.is_empty(), "the second tenant allows no choices");
            counts.choices += u64::from(!send.shown.choices.is_empty());
            counts.sends += 1;
        }
    }

    async fn events(&self, flow: &Flow, counts: &mut Counts) {
        let allowed = [
            "settings.changed",
            "knowledge.changed",
            "channel.connected",
            "conversation.opened",
            "message.received",
            "turn.started",
            "turn.ended",
            "message.queued",
            "message.status_changed",
            "control.changed",
            // Of turns in which the model called tools where there were none.
            "dead_letter.added",
        ];
        let of_the_first = ["contact.attributes_changed", "follow_up.scheduled"];
        for tenant in 0..2 {
            let store = flow.store(tenant).await;
            let mut after = EventSeq(0);
            loop {
                let events = store.events(after, 1_000).await.unwrap();
                let Some(last) = events.last() else { break };
                after = last.seq;
                for event in events {
                    let name = event.kind.name();
                    let is_allowed = allowed.contains(&name) || (tenant == 0 && of_the_first.contains(&name));
                    assert!(is_allowed, "{name} of {tenant}");
                    counts.events += 1;
                    counts.follow_ups += u64::from(name == "follow_up.scheduled");
                    counts.dead_letters += u64::from(name == "dead_letter.added");
                    let text = serde_json::to_string(&event).unwrap();
                    match event.conversation {
                        Some(id) => {
                            let person = self.people.iter().find(|person| person.conversation == id).unwrap();
                            assert_eq!(person.tenant, tenant);
                            own(&text, person, name);
                        }
                        None => assert!(found(&text).is_empty(), "{text}"),
                    }
                }
            }
        }
    }
}

#[derive(Default)]
struct Counts {
    turns: u64,
    calls: u64,
    refused: u64,
    invalid: u64,
    citations: u64,
    noted: u64,
    sends: u64,
    events: u64,
    handed_over: u64,
    choices: u64,
    follow_ups: u64,
    failed: u64,
    dead_letters: u64,
}

/// What a tenant's assistant may have done: the first has all, the second neither notes, offers nor comes
/// back.
fn given(tenant: usize) -> Vec<&'static str> {
    let mut given = TOOLS.to_vec();
    given.extend(["search_knowledge", "handover_to_human"]);
    match tenant {
        0 => given.extend(["set_contact_attribute", "send_buttons", "send_list", "schedule_follow_up"]),
        _ => given.push(ONLY_THE_SECONDS),
    }
    given
}

/// What names a turn's calls: the first message that it answers.
fn key_of(turn: &TurnRecord) -> TurnId {
    turn.covers.first().map_or(turn.id, |first| TurnId::from_bytes(first.to_bytes()))
}

fn turn_keeps_to_rules(turn: &TurnRecord, person: &Person, came: &mut Came, counts: &mut Counts) {
    let whose = format!("a turn of {} of {}", person.name, person.tenant);
    assert!(turn.ended_at.is_some(), "{whose} has not ended");
    let end = turn.end.unwrap();
    match end {
        TurnEnd::Answered | TurnEnd::Empty => {}
        TurnEnd::HandedOver => counts.handed_over += 1,
        // Without tools it called tools: a turn that broke would have no attempts.
        TurnEnd::Failed => {
            // Round 0 is a summary's.
            let mut tries = turn.work.attempts.iter().rev().filter(|attempt| attempt.round > 0);
            let problem = tries.next().and_then(|last| last.problem.clone());
            let calls = problem.as_ref().is_some_and(|problem| problem.contains("tool"));
            assert!(calls, "{whose} broke: {problem:?}");
            counts.failed += 1;
        }
        other => panic!("{whose} ended so: {}", other.name()),
    }
    let given = given(person.tenant);
    let mut read_in: Option<u32> = None;
    let mut sent: BTreeMap<String, u64> = BTreeMap::new();
    let rounds = turn.work.tool_calls.iter().map(|call| call.round).max().unwrap_or(0);
    assert!(rounds <= 20, "{whose} had {rounds} rounds");
    let carried_out = turn.work.tool_calls.iter().filter(|call| call.outcome == ToolOutcome::Done).count();
    assert!(carried_out <= CALLS_MAX, "{whose} did {carried_out} things");
    for call in &turn.work.tool_calls {
        own(call.arguments.reveal(Reply), person, "a record");
        let name = &*call.name;
        match call.outcome {
            ToolOutcome::Refused => counts.refused += 1,
            ToolOutcome::Invalid => counts.invalid += 1,
            _ => {}
        }
        if call.tries > 0 {
            *sent.entry(name.to_owned()).or_default() += u64::from(call.tries);
        }
        if call.outcome != ToolOutcome::Done {
            assert!(call.tries == 0 || call.outcome == ToolOutcome::Failed, "{whose}: {name}");
            continue;
        }
        counts.calls += 1;
        assert!(given.contains(&name), "{whose} did {name}");
        let changes =
            ["cancel", ONLY_THE_SECONDS, "set_contact_attribute", "schedule_follow_up"].contains(&name);
        let after = read_in.is_some_and(|round| call.round > round);
        assert!(!(changes && after), "{whose} did {name} after an outside server was read");
        // The business's own word is `price`; all others are outside servers.
        if call.tries > 0 && name != "price" {
            read_in.get_or_insert(call.round);
        }
    }
    for (name, times) in sent {
        assert_eq!(came.remove(&(key_of(turn), name.clone())), Some(times), "{whose}: {name}");
    }
    for citation in &turn.work.citations {
        assert_eq!(citation.title, "Hours");
        counts.citations += 1;
    }
}

async fn person_is_left_alone(flow: &Flow, person: &Person, counts: &mut Counts) {
    let store = flow.store(person.tenant).await;
    let (conversation, _) = store.conversation(person.conversation).await.unwrap().unwrap();
    assert!(conversation.running_turn().is_none());
    assert!(*conversation.control() == Control::Assistant);
    assert!(conversation.follow_up_at().is_none() && conversation.assigned().is_none());
    assert!(store.outbox(person.conversation).await.unwrap().is_empty());
    assert!(store.inbox(person.conversation, 10).await.unwrap().is_empty());
    let contact = store.contact(conversation.contact).await.unwrap().unwrap();
    assert!(person.tenant == 0 || contact.attributes.is_empty(), "the second tenant notes nothing");
    for (name, value) in &contact.attributes {
        assert!(["city", "conversation", "tenant_id", "admin"].contains(&&**name), "{name}");
        own(value.reveal(Reply), person, "a note");
        counts.noted += 1;
    }
    let messages = store.messages(person.conversation, None, 10_000).await.unwrap();
    for message in messages {
        assert!(matches!(message.author, Author::Contact | Author::Assistant { .. }));
        own(&serde_json::to_string(&message).unwrap(), person, "a message");
    }
    if let Some(summary) = store.summary(person.conversation).await.unwrap() {
        own(summary.text.reveal(Reply), person, "a summary");
    }
    // Documents: those that were cited are the tenant's own.
    let own: Vec<String> = store.documents().await.unwrap().iter().map(|one| one.id.to_string()).collect();
    for turn in store.turns(person.conversation, None, 10_000).await.unwrap() {
        assert!(turn.work.citations.iter().all(|citation| own.contains(&citation.document.to_string())));
    }
}

/// What a tool was given is of its form and of its own tenant.
fn arguments_are_its_own(tenant: usize, body: &Value) {
    let object = body.as_object().unwrap();
    assert!(object.keys().all(|name| name == "order" || name == "note"), "{body}");
    let order = object["order"].as_str().unwrap();
    let (letter, number) = order.split_once('-').unwrap();
    assert!(letter.len() == 1 && number.len() <= 4 && number.parse::<u32>().is_ok(), "{order}");
    let note = object.get("note").map_or("", |note| note.as_str().unwrap());
    assert!(note.chars().count() <= 200);
    let marks = found(note);
    let names: BTreeSet<&str> = marks.iter().map(|mark| &*mark.who).filter(|who| *who != "all").collect();
    assert!(names.len() <= 1, "two people in one call: {note}");
    assert!(marks.iter().all(|mark| mark.tenant == tenant && mark.what != "key"), "{note}");
}
