//! Meta, as it is on its worse days: it repeats, reorders and delays its webhooks, drops statuses,
//! cuts connections before, during and after it accepted something, answers late or never.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use iassistance_channels::errors::ThrottleScope;
use iassistance_channels::send::{FetchError, Fetched, FreshToken, ProbeReport};
use iassistance_channels::{Attempt, MediaShelf, SendError, Sender, Sent};
use iassistance_domain::channel::{Channel, ChannelKind, MessageTemplate, MetaApp};
use iassistance_domain::contact::ContactIdentity;
use iassistance_domain::content::{Content, Media};
use iassistance_domain::delivery::{DeliveryProblem, ProblemClass};
use iassistance_domain::id::{ConversationId, MessageId};
use iassistance_domain::outbox::OutboxEntry;
use iassistance_domain::pii::Deliver;
use iassistance_domain::{Clock, ManualClock, Pii, Timestamp};
use serde_json::{Value, json};

use crate::chance::Chance;
use crate::life::{Activity, Dead};
use crate::people::{CHANNELS, Contact};

const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 24 * HOUR_MS;
/// How long the server waits for Meta's answer, milliseconds.
pub const ANSWER_MS: u64 = 20_000;

/// A webhook on its way.
#[derive(Clone)]
pub struct Delivery {
    pub number: u64,
    pub body: String,
    /// The messages in it, as they are named here.
    pub tokens: Vec<String>,
    /// Whose messages these are.
    pub contact: Option<usize>,
    /// Which try this is.
    pub tries: u32,
    /// How many more times it is delivered after it was acknowledged.
    pub copies: u32,
}

/// A message that Meta accepted.
#[derive(Clone)]
pub struct Accepted {
    pub message: MessageId,
    pub conversation: ConversationId,
    pub contact: usize,
    pub text: String,
}

/// What was asked of Meta and how that went, for the one who counts.
#[derive(Debug, Default, Clone)]
pub struct Counts {
    pub webhooks: u64,
    pub repeated: u64,
    pub delayed: u64,
    pub unanswered: u64,
    pub statuses_dropped: u64,
    pub sends: u64,
    pub accepted: u64,
    pub cut_before: u64,
    pub cut_after: u64,
    pub late: u64,
    pub never: u64,
    pub refused: u64,
    pub failed_later: u64,
}

#[derive(Default)]
pub struct State {
    pub due: BTreeMap<(Timestamp, u64), Delivery>,
    /// How many webhooks were about each contact, and how many of our messages were accepted.
    webhooks_of: BTreeMap<usize, u64>,
    mids_of: BTreeMap<usize, u64>,
    pub accepted: Vec<Accepted>,
    /// How often each message was handed over.
    handed: BTreeMap<MessageId, u32>,
    /// Messages of which the answer was cut off, or never came.
    pub unknown: BTreeSet<MessageId>,
    /// How often a message was accepted and then given up, so that it may leave again.
    pub given_up: BTreeMap<MessageId, u32>,
    /// How many are under way: of the assistant, and of people, who do not queue behind it.
    in_hand: [usize; 2],
    /// The moments at which each pair was sent something in this life.
    paced: BTreeMap<usize, Vec<Timestamp>>,
    /// Nothing goes wrong any more.
    pub calm: bool,
    /// Contacts with whom a person talks, and those who asked for silence: no word of the assistant
    /// may leave to them.
    pub held: BTreeSet<usize>,
    pub silent: BTreeSet<usize>,
    pub violations: Vec<String>,
    pub trace: Vec<String>,
    pub counts: Counts,
    /// The next send kills the machine: before it was accepted, or after.
    pub deadly: Option<bool>,
}

pub struct World {
    pub seed: u64,
    pub contacts: Vec<Contact>,
    state: Mutex<State>,
}

impl World {
    pub fn new(seed: u64, contacts: Vec<Contact>) -> Self {
        Self { seed, contacts, state: Mutex::default() }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub fn violation(&self, what: String) {
        self.state().violations.push(what);
    }

    /// The contact that a channel knows so.
    pub fn contact(&self, channel: &Channel, to: &ContactIdentity) -> Option<usize> {
        let id = to.parts().next().map(|(_, id)| id.reveal(Deliver).clone())?;
        self.contacts.iter().position(|contact| {
            contact.id == id && CHANNELS[contact.channel].external_id == channel.external_id
        })
    }

    /// A webhook about a contact leaves at `now`, sooner or later; with the names of what they wrote.
    pub fn deliver(&self, now: Timestamp, body: &Value, tokens: Vec<String>, contact: usize) {
        let mut state = self.state();
        let counted = state.webhooks_of.entry(contact).or_default();
        *counted += 1;
        let number = contact as u64 * 1_000_000 + *counted;
        let contact = (!tokens.is_empty()).then_some(contact);
        let chance = Chance::of(self.seed, &format!("webhook {number}"));
        let delay_ms = match chance.weighed(&[(70, 0_u8), (15, 1), (10, 2), (4, 3), (1, 4)]) {
            0 => 0,
            1 => chance.between(1, 5_000),
            2 => chance.between(5_000, 600_000),
            3 => chance.between(600_000, DAY_MS),
            _ => chance.between(DAY_MS, 7 * DAY_MS),
        };
        let delay_ms = if state.calm { 0 } else { delay_ms };
        let copies = u32::try_from(chance.weighed(&[(75, 0), (18, 1), (5, 2), (2, 4)])).unwrap();
        state.counts.webhooks += 1;
        state.counts.repeated += u64::from(copies);
        state.counts.delayed += u64::from(delay_ms > 0);
        let delivery = Delivery { number, body: body.to_string(), tokens, contact, tries: 0, copies };
        state.due.insert((now.plus_millis(delay_ms), number), delivery);
    }

    /// The next webhook that is due.
    pub fn next(&self, now: Timestamp) -> Option<Delivery> {
        let mut state = self.state();
        let first = state.due.first_entry().filter(|first| first.key().0 <= now)?;
        Some(first.remove())
    }

    /// When the next webhook is due.
    pub fn next_at(&self) -> Option<Timestamp> {
        self.state().due.keys().next().map(|(at, _)| *at)
    }

    /// A webhook that was not acknowledged comes again, and one that was may do so, too.
    pub fn again(&self, now: Timestamp, delivery: Delivery, acknowledged: bool) {
        let mut delivery = delivery;
        let mut state = self.state();
        let chance = Chance::of(self.seed, &format!("again {} {}", delivery.number, delivery.tries));
        delivery.tries += 1;
        let wait_ms = if acknowledged {
            if delivery.copies == 0 || state.calm {
                return;
            }
            delivery.copies -= 1;
            chance.weighed(&[(60, 10), (30, 60_000), (10, 2 * HOUR_MS)])
        } else {
            state.counts.unanswered += 1;
            if state.calm { 1_000 } else { 1_000 << delivery.tries.min(12) }
        };
        let key = (now.plus_millis(wait_ms + chance.below(500)), delivery.number);
        state.due.insert(key, delivery);
    }

    fn mid(&self, state: &mut State, contact: usize) -> String {
        let number = state.mids_of.entry(contact).or_default();
        *number += 1;
        format!("{}{}-{contact}-{number}", self.contacts[contact].prefix(), self.seed)
    }

    /// The machine is new: what it knew of its pace is forgotten.
    pub fn new_life(&self) {
        let mut state = self.state();
        (state.in_hand, state.deadly) = ([0; 2], None);
        state.paced.clear();
    }
}

/// The line to Meta of one life.
pub struct Line {
    world: Arc<World>,
    clock: ManualClock,
    dead: Arc<Dead>,
    activity: Arc<Activity>,
}

/// How handing over a message goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Well,
    Late,
    CutBefore,
    CutAfter,
    NeverAnswered { accepted: bool },
    Refused,
    Throttled,
    Forbidden,
}

impl Line {
    pub fn new(world: Arc<World>, clock: ManualClock, dead: &Arc<Dead>, activity: &Arc<Activity>) -> Self {
        Self { world, clock, dead: Arc::clone(dead), activity: Arc::clone(activity) }
    }

    /// What is wrong with that this message is handed over now.
    fn judge(&self, state: &mut State, contact: usize, entry: &OutboxEntry, text: &str) {
        let mut wrong = Vec::new();
        let who = &self.world.contacts[contact];
        // What a person replays is theirs, whoever wrote it.
        let by_assistant = entry.epoch.is_some();
        if by_assistant && (state.held.contains(&contact) || state.silent.contains(&contact)) {
            wrong.push(format!("control: the assistant speaks to {} although it may not: {text}", who.name));
        }
        for token in text.split_whitespace().filter(|word| word.starts_with("t-")) {
            if !token.starts_with(&format!("t-{}-", who.name)) {
                wrong.push(format!("tenancy: {} is told of {token}", who.name));
            }
        }
        if state.in_hand.iter().any(|count| *count > 3) {
            wrong.push(format!("limits: {:?} sends under way at once", state.in_hand));
        }
        let now = self.clock.now();
        let paced = state.paced.entry(contact).or_default();
        paced.push(now);
        // One in 6 s and a burst of 4: counted from any moment on.
        for (index, from) in paced.iter().enumerate() {
            let (sent, time_ms) = ((paced.len() - index) as u64, now.millis_since(*from));
            if sent > 4 + 1 + time_ms / 6_000 {
                wrong.push(format!("limits: {sent} sends to {} in {time_ms} ms", who.name));
                break;
            }
        }
        state.violations.extend(wrong);
    }

    fn fate(&self, state: &State, entry: &OutboxEntry, contact: usize, handed: u32) -> Fate {
        if state.calm {
            return Fate::Well;
        }
        let text = words(&entry.content);
        let purpose = format!("send {contact} {text} {handed}");
        Chance::of(self.world.seed, &purpose).weighed(&[
            (60, Fate::Well),
            (8, Fate::Late),
            (6, Fate::CutBefore),
            (8, Fate::CutAfter),
            (3, Fate::NeverAnswered { accepted: true }),
            (3, Fate::NeverAnswered { accepted: false }),
            (8, Fate::Refused),
            (3, Fate::Throttled),
            (1, Fate::Forbidden),
        ])
    }

    /// Meta accepts a message, and will tell of it.
    fn accept(&self, state: &mut State, contact: usize, entry: &OutboxEntry) -> String {
        let who = &self.world.contacts[contact];
        let mid = self.world.mid(state, contact);
        state.counts.accepted += 1;
        let text = words(&entry.content);
        state.trace.push(format!("accepted for {}: {text}", who.name));
        state.accepted.push(Accepted {
            message: entry.message,
            conversation: entry.conversation,
            contact,
            text,
        });
        mid
    }

    /// Meta tells what became of a message, as far as it does.
    fn report(&self, contact: usize, entry: &OutboxEntry, mid: &str) {
        let (who, now) = (&self.world.contacts[contact], self.clock.now());
        let chance = Chance::of(self.world.seed, &format!("report {mid}"));
        let (calm, text) = (self.world.state().calm, words(&entry.content));
        let fails = !calm && who.kind() == ChannelKind::Whatsapp && chance.happens(30);
        if fails {
            // 131016: the service was overloaded. It was not delivered, and may be sent again.
            let mut state = self.world.state();
            *state.given_up.entry(entry.message).or_default() += 1;
            state.counts.failed_later += 1;
            drop(state);
            return self.world.deliver(now, &who.failed(mid, entry.message, now), Vec::new(), contact);
        }
        for body in who.reports(mid, entry.message, &text, now) {
            if !calm && chance.happens(200) {
                self.world.state().counts.statuses_dropped += 1;
                continue;
            }
            self.world.deliver(now, &body, Vec::new(), contact);
        }
    }

    async fn hand_over(&self, contact: usize, entry: &OutboxEntry) -> Result<Sent, SendError> {
        let (fate, deadly) = {
            let mut state = self.world.state();
            let handed = state.handed.entry(entry.message).or_default();
            *handed += 1;
            let handed = *handed;
            state.counts.sends += 1;
            state.in_hand[usize::from(entry.by_person)] += 1;
            self.judge(&mut state, contact, entry, &words(&entry.content));
            let fate = self.fate(&state, entry, contact, handed);
            let deadly = state.deadly.take();
            state.trace.push(format!("{} gets {fate:?}", self.world.contacts[contact].name));
            (fate, deadly)
        };
        if deadly == Some(false) {
            self.dead.die();
        }
        if self.dead.is_dead() {
            return std::future::pending().await;
        }
        let accepted = !matches!(
            fate,
            Fate::CutBefore
                | Fate::NeverAnswered { accepted: false }
                | Fate::Refused
                | Fate::Throttled
                | Fate::Forbidden
        );
        let mid = accepted.then(|| {
            let mid = self.accept(&mut self.world.state(), contact, entry);
            self.report(contact, entry, &mid);
            mid
        });
        if deadly == Some(true) {
            self.dead.die();
            return std::future::pending().await;
        }
        self.answer(fate, entry, mid).await
    }

    async fn answer(&self, fate: Fate, entry: &OutboxEntry, mid: Option<String>) -> Result<Sent, SendError> {
        let sent = |mid: Option<String>| Ok(Sent { provider_id: Pii::new(mid.unwrap_or_default()) });
        let chance = Chance::of(self.world.seed, &format!("answer {}", words(&entry.content)));
        let problem = |class, title: &str| DeliveryProblem { class, code: 0, title: title.to_owned() };
        let transient = problem(ProblemClass::Transient, "the simulated Meta has a fault");
        let unknown = SendError::Unknown { problem: transient.clone() };
        let count = |count: fn(&mut Counts) -> &mut u64| *count(&mut self.world.state().counts) += 1;
        match fate {
            Fate::Well => sent(mid),
            Fate::Late => {
                count(|counts| &mut counts.late);
                self.clock.sleep_millis(chance.between(1, ANSWER_MS - 1)).await;
                sent(mid)
            }
            Fate::CutBefore | Fate::CutAfter => {
                count(if mid.is_some() {
                    |counts| &mut counts.cut_after
                } else {
                    |counts| &mut counts.cut_before
                });
                self.world.state().unknown.insert(entry.message);
                Err(unknown)
            }
            Fate::NeverAnswered { .. } => {
                count(|counts| &mut counts.never);
                self.world.state().unknown.insert(entry.message);
                self.clock.sleep_millis(ANSWER_MS).await;
                Err(unknown)
            }
            Fate::Refused => {
                count(|counts| &mut counts.refused);
                Err(SendError::Retryable { after_ms: None, problem: transient })
            }
            Fate::Throttled => {
                let problem =
                    problem(ProblemClass::ThrottlePair, "the simulated Meta has enough of this pair");
                Err(SendError::Throttled { scope: ThrottleScope::Pair, wait_ms: 6_000, problem })
            }
            Fate::Forbidden => {
                let problem = problem(ProblemClass::Request, "the simulated Meta does not take this");
                Err(SendError::Permanent { problem })
            }
        }
    }
}

/// What a message says.
pub fn words(content: &Content) -> String {
    match content {
        Content::Text { body, .. } => body.reveal(Deliver).clone(),
        other => other.name().to_owned(),
    }
}

/// Tells when a send ends, also when it is cut off.
struct InHand<'a>(&'a Line, bool);

impl Drop for InHand<'_> {
    fn drop(&mut self) {
        self.0.activity.note();
        let mut state = self.0.world.state();
        let count = &mut state.in_hand[usize::from(self.1)];
        *count = count.saturating_sub(1);
    }
}

#[async_trait]
impl Sender for Line {
    async fn send(
        &self,
        channel: &Channel,
        entry: &OutboxEntry,
        _: Timestamp,
        _: &dyn MediaShelf,
    ) -> Attempt {
        self.activity.note();
        let Some(contact) = self.world.contact(channel, &entry.to) else {
            self.world.violation("tenancy: a message goes to nobody who is known on this channel".into());
            return std::future::pending().await;
        };
        if self.dead.is_dead() {
            return std::future::pending().await;
        }
        let _in_hand = InHand(self, entry.by_person);
        self.hand_over(contact, entry).await.into()
    }

    async fn mark_read(
        &self,
        _: &Channel,
        _: &ContactIdentity,
        _: &Pii<String>,
        _: bool,
    ) -> Result<(), SendError> {
        Ok(())
    }

    async fn fetch(&self, _: &Channel, _: &Media) -> Result<Fetched, FetchError> {
        Err(FetchError::Gone { reason: "there are no files here".into() })
    }

    async fn probe(&self, _: &Channel, _: &MetaApp) -> ProbeReport {
        ProbeReport::default()
    }

    async fn subscribe(&self, _: &Channel) -> Result<(), DeliveryProblem> {
        Ok(())
    }

    async fn templates(&self, _: &Channel) -> Result<Vec<MessageTemplate>, DeliveryProblem> {
        Ok(Vec::new())
    }

    async fn refresh_token(&self, _: &Channel) -> Result<FreshToken, DeliveryProblem> {
        Err(DeliveryProblem { class: ProblemClass::Auth, code: 0, title: "there are no tokens here".into() })
    }
}

/// A webhook of one number: what is in its value besides.
pub fn whatsapp(number: &str, value: &Value) -> Value {
    let mut inside = json!({
        "messaging_product": "whatsapp",
        "metadata": { "display_phone_number": "15550100001", "phone_number_id": number },
    });
    inside.as_object_mut().unwrap().extend(value.as_object().unwrap().clone());
    let changes = json!([{ "field": "messages", "value": inside }]);
    json!({ "object": "whatsapp_business_account", "entry": [{ "id": "100000000000001", "changes": changes }] })
}

/// A webhook of a page or an Instagram account.
pub fn page(account: &str, kind: ChannelKind, events: &[Value]) -> Value {
    let object = if kind == ChannelKind::Instagram { "instagram" } else { "page" };
    json!({ "object": object, "entry": [{ "id": account, "time": 1, "messaging": events }] })
}
