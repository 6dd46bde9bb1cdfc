//! The book: everything that was said, what the stand-in saw of it, and what the tenants' logs say. From
//! that the judgement comes.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Instant;

use iassistance_simulator::{Happened, Moment};
use serde_json::Value;

/// Digits of a message's number, so that none is part of another; a telephone number has more.
const DIGITS: usize = 9;
/// Conversations that were lately written in, from which operators choose.
const RECENT_MAX: usize = 200;

/// Something that a person or an operator said.
struct Said {
    at: Instant,
    by: Speaker,
    /// Accepted sends that say it or answer it.
    sends: u32,
    /// In which conversation the log has it, and how often.
    conversation: Option<String>,
    logged: u32,
    /// Its place in the log.
    seq: u64,
    /// The last turn that was to answer it.
    turn: Option<String>,
}

enum Speaker {
    /// A contact, by their number; their messages of the same burst may be answered in any order.
    Person {
        who: String,
        burst: u64,
    },
    Operator,
}

/// What the log says of a conversation.
#[derive(Default)]
struct Conversation {
    tenant: usize,
    holder: String,
    /// The places in the log of what operators said.
    operator_said: Vec<u64>,
}

#[derive(Default)]
struct Turn {
    end: Option<String>,
    /// Its reply was withdrawn or failed, and the log says so.
    undelivered: bool,
}

#[derive(Default)]
pub struct Book {
    said: HashMap<u64, Said>,
    numbers: u64,
    by_message: HashMap<String, u64>,
    conversations: HashMap<String, Conversation>,
    recent: VecDeque<String>,
    turns: HashMap<String, Turn>,
    /// Which turn wrote which message.
    replies: HashMap<String, String>,
    /// The last burst of each person that was answered.
    answered: HashMap<String, u64>,
    out_of_order: Vec<u64>,
    spoken_over: Vec<u64>,
    /// How often each kind of event was in the logs; of statuses, each status.
    pub events: BTreeMap<String, u64>,
    pub dead_letters: BTreeMap<String, u64>,
    /// From a message to the send that answers it, microseconds.
    pub answer_us: Vec<u32>,
    /// From a webhook to its 200, microseconds.
    pub taken_us: Vec<u32>,
}

/// What became of everything that was said.
#[derive(Debug, Default)]
pub struct Verdict {
    /// Messages of people, and words of operators.
    pub said: usize,
    /// Answered by the assistant; or said to the person, of an operator's words.
    pub answered: usize,
    /// Left to a person, who wrote after it.
    pub by_people: usize,
    /// Without an answer, and the log says so: the turn failed, or its reply did not leave.
    pub told: usize,
    /// Of which nobody knows anything.
    pub lost: Vec<u64>,
    pub doubled: Vec<u64>,
    /// Not in a log exactly once.
    pub misrecorded: Vec<u64>,
    /// Answered after a later burst of the same person.
    pub out_of_order: Vec<u64>,
    /// Events in the log by which the assistant spoke while a person had control.
    pub spoken_over: Vec<u64>,
}

impl Verdict {
    pub fn is_good(&self) -> bool {
        let wrong = [&self.lost, &self.doubled, &self.misrecorded, &self.out_of_order, &self.spoken_over];
        self.answered > 0 && wrong.iter().all(|wrong| wrong.is_empty())
    }
}

/// The numbers of the messages that a text repeats.
fn numbers_in(text: &str) -> impl Iterator<Item = u64> {
    let runs = text.split(|c: char| !c.is_ascii_digit());
    runs.filter(|run| run.len() == DIGITS).filter_map(|run| run.parse().ok())
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn micros_since(since: Instant, now: Instant) -> u32 {
    u32::try_from(now.saturating_duration_since(since).as_micros()).unwrap_or(u32::MAX)
}

impl Book {
    /// Somebody is about to write: the number of what they say, and its words.
    pub fn says(&mut self, who: &str, burst: u64) -> (u64, String) {
        let number = self.keeps(Speaker::Person { who: who.to_owned(), burst });
        (number, format!("Please keep the blue ones for me, my number is {number:0DIGITS$}."))
    }

    /// The same of an operator.
    pub fn operator_says(&mut self) -> (u64, String) {
        let number = self.keeps(Speaker::Operator);
        (number, format!("I will see to it myself, this is {number:0DIGITS$}."))
    }

    fn keeps(&mut self, by: Speaker) -> u64 {
        self.numbers += 1;
        let (at, conversation, turn) = (Instant::now(), None, None);
        self.said.insert(self.numbers, Said { at, by, sends: 0, conversation, logged: 0, seq: 0, turn });
        self.numbers
    }

    /// It could not be said after all.
    pub fn never_said(&mut self, number: u64) {
        self.said.remove(&number);
    }

    /// What the stand-in saw.
    pub fn takes(&mut self, moment: &Moment) {
        match &moment.what {
            Happened::WebhookTaken { micros } => {
                self.taken_us.push(u32::try_from(*micros).unwrap_or(u32::MAX));
            }
            Happened::SendAccepted { text, .. } => {
                for number in numbers_in(text) {
                    self.sent(number, moment.instant);
                }
            }
            Happened::ChatAsked { .. } | Happened::ChatEnded { .. } => {}
        }
    }

    fn sent(&mut self, number: u64, now: Instant) {
        let Some(said) = self.said.get_mut(&number) else { return };
        said.sends += 1;
        let Speaker::Person { who, burst } = &said.by else { return };
        if said.sends > 1 {
            return;
        }
        self.answer_us.push(micros_since(said.at, now));
        let latest = self.answered.entry(who.clone()).or_default();
        if burst < latest {
            self.out_of_order.push(number);
        }
        *latest = (*burst).max(*latest);
    }

    /// An event of a tenant's log.
    pub fn reads(&mut self, tenant: usize, seq: u64, event: &Value) {
        let kind = text(&event["type"]);
        *self.events.entry(kind.to_owned()).or_default() += 1;
        let conversation = text(&event["conversation"]).to_owned();
        match kind {
            "message.received" => {
                self.heard(tenant, &conversation);
                self.records(seq, &conversation, &event["message"]);
            }
            "message.queued" => self.queued(seq, &conversation, &event["message"]),
            "message.status_changed" => {
                let status = text(&event["delivery"]["status"]);
                *self.events.entry(format!("{kind} {status}")).or_default() += 1;
                if status == "failed" {
                    self.undelivered(text(&event["message"]));
                }
            }
            "message.withdrawn" => self.undelivered(text(&event["message"])),
            "turn.started" => {
                let turn = text(&event["turn"]);
                self.turns.insert(turn.to_owned(), Turn::default());
                for message in event["covers"].as_array().into_iter().flatten() {
                    let number = self.by_message.get(text(message));
                    if let Some(said) = number.and_then(|number| self.said.get_mut(number)) {
                        said.turn = Some(turn.to_owned());
                    }
                }
            }
            "turn.ended" => {
                let turn = self.turns.entry(text(&event["turn"]).to_owned()).or_default();
                turn.end = Some(text(&event["end"]).to_owned());
            }
            "control.changed" => {
                let holder = &mut self.conversations.entry(conversation).or_default().holder;
                text(&event["control"]["holder"]).clone_into(holder);
            }
            "dead_letter.added" => {
                *self.dead_letters.entry(text(&event["reason"]).to_owned()).or_default() += 1;
            }
            _ => {}
        }
    }

    fn heard(&mut self, tenant: usize, conversation: &str) {
        self.conversations.entry(conversation.to_owned()).or_default().tenant = tenant;
        self.recent.push_back(conversation.to_owned());
        if self.recent.len() > RECENT_MAX {
            self.recent.pop_front();
        }
    }

    fn records(&mut self, seq: u64, conversation: &str, message: &Value) {
        for number in numbers_in(text(&message["content"]["body"])) {
            self.by_message.insert(text(&message["id"]).to_owned(), number);
            if let Some(said) = self.said.get_mut(&number) {
                said.logged += 1;
                said.conversation = Some(conversation.to_owned());
                said.seq = seq;
            }
        }
    }

    fn queued(&mut self, seq: u64, conversation: &str, message: &Value) {
        let author = &message["author"];
        let known = self.conversations.entry(conversation.to_owned()).or_default();
        if author["by"] == "operator" {
            known.operator_said.push(seq);
            self.records(seq, conversation, message);
        } else if author["by"] == "assistant" {
            if known.holder == "operator" {
                self.spoken_over.push(seq);
            }
            self.replies.insert(text(&message["id"]).to_owned(), text(&author["turn"]).to_owned());
        }
    }

    fn undelivered(&mut self, message: &str) {
        if let Some(turn) = self.replies.get(message).and_then(|turn| self.turns.get_mut(turn)) {
            turn.undelivered = true;
        }
    }

    /// A tenant's conversation that is nobody's and waits for a person, or else one of those that were
    /// lately written in.
    pub fn choose(&self, tenant: usize, draw: impl Fn(u64) -> u64) -> Option<String> {
        let of_tenant = |id: &&String| self.conversations.get(*id).is_some_and(|one| one.tenant == tenant);
        if let Some(waiting) = self.held(tenant).next() {
            return Some(waiting);
        }
        let recent: Vec<&String> = self.recent.iter().filter(of_tenant).collect();
        let last = (recent.len() as u64).checked_sub(1)?;
        recent.get(usize::try_from(draw(last)).ok()?).map(|id| (*id).clone())
    }

    /// A tenant's conversations in which the assistant does not answer.
    pub fn held(&self, tenant: usize) -> impl Iterator<Item = String> {
        let held = move |one: &Conversation| {
            one.tenant == tenant && !matches!(one.holder.as_str(), "" | "assistant")
        };
        self.conversations.iter().filter(move |(_, one)| held(one)).map(|(id, _)| id.clone())
    }

    /// What became of it all, as far as is known now.
    pub fn judge(&self) -> Verdict {
        let mut verdict = Verdict {
            said: self.said.len(),
            out_of_order: self.out_of_order.clone(),
            spoken_over: self.spoken_over.clone(),
            ..Verdict::default()
        };
        for (number, said) in &self.said {
            if said.logged != 1 {
                verdict.misrecorded.push(*number);
            }
            match said.sends {
                0 if self.is_told(said) => verdict.told += 1,
                0 if self.is_left_to_people(said) => verdict.by_people += 1,
                0 => verdict.lost.push(*number),
                1 => verdict.answered += 1,
                _ => verdict.doubled.push(*number),
            }
        }
        verdict
    }

    /// The log says that it is not answered.
    fn is_told(&self, said: &Said) -> bool {
        let turn = said.turn.as_ref().and_then(|turn| self.turns.get(turn));
        turn.is_some_and(|turn| match turn.end.as_deref() {
            Some("answered") => turn.undelivered,
            Some("failed" | "empty" | "objected" | "closed" | "handed_over" | "over_budget") => true,
            _ => false,
        })
    }

    /// An operator wrote in the conversation afterwards.
    fn is_left_to_people(&self, said: &Said) -> bool {
        let answered = |turn: &Turn| turn.end.as_deref() == Some("answered");
        let turn = said.turn.as_ref().and_then(|turn| self.turns.get(turn));
        let conversation = said.conversation.as_ref().and_then(|id| self.conversations.get(id));
        matches!(said.by, Speaker::Person { .. })
            && !turn.is_some_and(answered)
            && conversation.is_some_and(|one| one.operator_said.last().is_some_and(|seq| *seq > said.seq))
    }
}
