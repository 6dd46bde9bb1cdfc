//! The conversation decides: [`Conversation::apply`] takes an input and says what is to be done.
//! It knows no runtime, no storage and no network; the actor loads, applies, performs, commits.

mod told;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::Mapped;
use crate::Timestamp;
use crate::delivery::{Delivery, DeliveryProblem, DeliveryStatus};
use crate::id::{ChannelId, ContactId, ConversationId, MediaId, MessageId, TurnId, moment_of};
use crate::message::Content;
use crate::privacy::Suppression;
use crate::turn::{TurnEnd, WindowEnd};
use crate::window::{Opening, Window, WindowPolicy};

pub use told::{Control, Effect, FollowUp, HandoverReason, Input, TurnOutcome, TurnPolicy};

/// How many unanswered messages a turn may cover; older ones stay in the history.
pub const WAITING_MAX: usize = 256;
/// How many answered messages are remembered against a repetition.
const ANSWERED_MAX: usize = 32;
/// How many times longer a contact must be quiet after what looks like a fragment.
const FRAGMENT_FACTOR: u64 = 3;

/// Counts what ended the validity of earlier words: every turn, cancellation and change of control.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, Mapped,
)]
#[serde(transparent)]
pub struct Epoch(pub u64);

/// A turn that has begun and not ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[data(part)]
pub struct RunningTurn {
    /// The turn.
    #[data(id)]
    pub id: TurnId,
    /// Its epoch.
    #[data(operational)]
    pub epoch: Epoch,
    /// What it answers, in the order of writing.
    #[data(id)]
    pub covers: Vec<MessageId>,
    /// When the collecting window before it opened.
    #[data(operational)]
    pub window_opened_at: Timestamp,
    /// Why that window closed.
    #[serde(default)]
    #[data(operational)]
    pub window_end: WindowEnd,
    /// What the assistant comes back for by itself, where nobody wrote.
    #[serde(default)]
    #[data(parts)]
    pub follow_up: Option<FollowUp>,
    /// When it began.
    #[data(operational)]
    pub started_at: Timestamp,
    #[data(parts)]
    waiting: BTreeSet<Waiting>,
}

/// An unanswered message. Sorts by when it was written, not by when it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, Mapped)]
#[data(part)]
struct Waiting {
    #[data(operational)]
    sent_at: Timestamp,
    #[data(id)]
    message: MessageId,
    #[serde(default)]
    #[data(operational)]
    fragment: bool,
}

fn has(waiting: &BTreeSet<Waiting>, sent_at: Timestamp, message: MessageId) -> bool {
    let any = |fragment| Waiting { sent_at, message, fragment };
    waiting.contains(&any(false)) || waiting.contains(&any(true))
}

/// The exchange of one contact on one channel: what is unanswered, who answers, what is under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[data(part)]
pub struct Conversation {
    /// Its identifier.
    #[data(id)]
    pub id: ConversationId,
    /// The channel.
    #[data(id)]
    pub channel: ChannelId,
    /// The contact.
    #[data(id)]
    pub contact: ContactId,
    /// When it was opened.
    #[data(operational)]
    pub opened_at: Timestamp,
    #[data(parts)]
    control: Control,
    #[data(operational)]
    epoch: Epoch,
    #[data(operational)]
    floor: Epoch,
    #[data(operational)]
    last_inbound_at: Option<Timestamp>,
    #[serde(default)]
    #[data(operational)]
    acted_at: Option<Timestamp>,
    #[serde(default)]
    #[data(operational)]
    ad_at: Option<Timestamp>,
    #[serde(default)]
    #[data(operational)]
    marketing_refused_until: Option<Timestamp>,
    #[serde(default)]
    #[data(parts)]
    unreachable: Option<DeliveryProblem>,
    #[serde(default)]
    #[data(id)]
    pending_media: BTreeSet<MessageId>,
    #[serde(default)]
    #[data(id)]
    condemned_media: BTreeSet<MediaId>,
    #[data(parts)]
    waiting: BTreeSet<Waiting>,
    #[data(operational)]
    window_opened_at: Option<Timestamp>,
    #[data(operational)]
    quiet_until: Option<Timestamp>,
    #[data(parts)]
    turn: Option<RunningTurn>,
    #[data(id)]
    answered: BTreeSet<MessageId>,
    #[serde(default)]
    #[data(id)]
    last_covers: Vec<MessageId>,
    #[serde(default)]
    #[data(account)]
    assigned: Option<String>,
    #[serde(default)]
    #[data(operational)]
    person_acted_at: Option<Timestamp>,
    #[serde(default)]
    #[data(operational)]
    disclosed_at: Option<Timestamp>,
    #[serde(default)]
    #[data(id)]
    disclosed_in: Option<MessageId>,
    #[serde(default)]
    #[data(operational)]
    said_at: Option<Timestamp>,
    #[serde(default)]
    #[data(operational)]
    closed_said_at: Option<Timestamp>,
    #[serde(default)]
    #[data(operational)]
    opted_out: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[data(operational)]
    refuses_assistant: bool,
    #[serde(default)]
    #[data(parts)]
    follow_up: Option<FollowUp>,
    #[serde(skip)]
    policy: TurnPolicy,
}

impl Conversation {
    /// A conversation in which nothing has been said.
    pub fn open(id: ConversationId, channel: ChannelId, contact: ContactId, now: Timestamp) -> Self {
        Self {
            id,
            channel,
            contact,
            opened_at: now,
            control: Control::default(),
            epoch: Epoch::default(),
            floor: Epoch::default(),
            last_inbound_at: None,
            acted_at: None,
            ad_at: None,
            marketing_refused_until: None,
            unreachable: None,
            pending_media: BTreeSet::new(),
            condemned_media: BTreeSet::new(),
            waiting: BTreeSet::new(),
            window_opened_at: None,
            quiet_until: None,
            turn: None,
            answered: BTreeSet::new(),
            last_covers: Vec::new(),
            assigned: None,
            person_acted_at: None,
            disclosed_at: None,
            disclosed_in: None,
            said_at: None,
            closed_said_at: None,
            opted_out: false,
            refuses_assistant: false,
            follow_up: None,
            policy: TurnPolicy::default(),
        }
    }

    /// One with somebody who refused messages before everything of them was erased.
    #[must_use]
    pub fn suppressed(mut self, by: &Suppression) -> Self {
        self.opted_out = by.silence;
        self.marketing_refused_until = by.no_marketing_until;
        self
    }

    /// Who answers.
    pub const fn control(&self) -> &Control {
        &self.control
    }

    /// The present epoch: a turn of another one has lost its say.
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The lowest epoch whose committed words may still leave.
    pub const fn floor(&self) -> Epoch {
        self.floor
    }

    /// The turn that has begun and not ended.
    pub const fn running_turn(&self) -> Option<&RunningTurn> {
        self.turn.as_ref()
    }

    /// When the contact last wrote, as the channel says.
    pub const fn last_inbound_at(&self) -> Option<Timestamp> {
        self.last_inbound_at
    }

    /// Since when nothing was said in it, given its last message: from then on its contact is silent.
    pub fn heard_at(&self, last: Option<MessageId>) -> Timestamp {
        last.map(|id| moment_of(id.to_bytes())).max(self.last_inbound_at).unwrap_or(self.opened_at)
    }

    /// Sets what is not stored with the conversation, after loading it. Unlike
    /// [`Input::PolicyChanged`] it decides nothing.
    pub fn set_policy(&mut self, policy: TurnPolicy) {
        self.policy = policy;
    }

    /// Until when the channel lets an answer leave; the beginning of time before the contact did
    /// anything.
    pub fn window(&self) -> Window {
        self.window_by(&self.policy.window)
    }

    /// The same by another policy: what is read from a store has none of its own.
    pub fn window_by(&self, policy: &WindowPolicy) -> Window {
        let after = |at: Option<Timestamp>, ms| at.map_or(Timestamp::EPOCH, |at| at.plus_millis(ms));
        let WindowPolicy { free_ms, ad_ms, human_ms, .. } = *policy;
        let free_until = after(self.acted_at, free_ms).max(after(self.ad_at, ad_ms));
        Window { free_until, human_until: free_until.max(after(self.acted_at, human_ms)) }
    }

    /// How long one private answer to a public comment may take, milliseconds.
    pub const fn comment_ms(&self) -> u64 {
        self.policy.window.comment_ms
    }

    /// Until when the contact refuses advertising, if they do.
    pub const fn marketing_refused_until(&self) -> Option<Timestamp> {
        self.marketing_refused_until
    }

    /// Why the contact cannot be reached, if so.
    pub const fn unreachable(&self) -> Option<&DeliveryProblem> {
        self.unreachable.as_ref()
    }

    /// To whom of the people the conversation is given.
    pub fn assigned(&self) -> Option<&str> {
        self.assigned.as_deref()
    }

    /// Whether the contact asked for silence and wrote nothing since.
    pub const fn opted_out(&self) -> bool {
        self.opted_out
    }

    /// Whether the contact refuses to be answered by a machine.
    pub const fn refuses_assistant(&self) -> bool {
        self.refuses_assistant
    }

    /// When the assistant means to come back by itself.
    pub fn follow_up_at(&self) -> Option<Timestamp> {
        self.follow_up.as_ref().map(|follow_up| follow_up.at)
    }

    /// Remembers the message in which it was said that a machine speaks: if it never leaves, that was
    /// never said.
    pub const fn set_disclosed_in(&mut self, message: MessageId) {
        self.disclosed_in = Some(message);
    }

    /// Messages whose files are still fetched or listened to: they are waited for, within the cap.
    pub const fn pending_media(&self) -> &BTreeSet<MessageId> {
        &self.pending_media
    }

    /// Remembers that a message has files to be fetched, or that it has none any more.
    pub fn set_pending_media(&mut self, message: MessageId, pending: bool) {
        if pending {
            self.pending_media.insert(message);
        } else {
            self.pending_media.remove(&message);
        }
    }

    /// Files of messages that were taken back, and that are still in the content store.
    pub const fn condemned_media(&self) -> &BTreeSet<MediaId> {
        &self.condemned_media
    }

    /// Remembers that a file is to be destroyed, or that it is.
    pub fn set_condemned_media(&mut self, media: MediaId, condemned: bool) {
        if condemned {
            self.condemned_media.insert(media);
        } else {
            self.condemned_media.remove(&media);
        }
    }

    /// Whether something is to be done without any further input: it must be loaded after a restart.
    pub fn is_busy(&self) -> bool {
        self.turn.is_some()
            || self.quiet_until.is_some()
            || self.follow_up.is_some()
            || self.handback_at().is_some()
            || !self.pending_media.is_empty()
            || !self.condemned_media.is_empty()
    }

    /// Decides. The same inputs give the same state in any order and however often they are
    /// repeated, and no message is ever covered by two turns that both answer.
    pub fn apply(&mut self, input: Input, now: Timestamp) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.decide(input, now, &mut effects);
        if let Some(at) = self.next_moment(now) {
            effects.push(Effect::WakeAt(at));
        }
        effects
    }

    fn decide(&mut self, input: Input, now: Timestamp, effects: &mut Vec<Effect>) {
        match input {
            Input::PolicyChanged(policy) => {
                self.policy = policy;
                self.collect(now, effects);
            }
            Input::MessageReceived { message, sent_at, answer, fragment, opens } => {
                self.last_inbound_at = self.last_inbound_at.max(Some(sent_at));
                self.act(sent_at, opens);
                if answer {
                    self.regain(now, effects);
                    self.receive(Waiting { sent_at, message, fragment }, now, effects);
                }
            }
            Input::ContactActed { at, opens } => self.act(at, opens),
            Input::MessageEdited { message } => {
                if self.is_being_answered(message) {
                    self.cancel(TurnEnd::Superseded, effects);
                    self.hold_back(now);
                    self.collect(now, effects);
                }
            }
            Input::MediaSettled { message } => self.settle_media(message, now, effects),
            Input::MessageRemoved { message } => self.forget_message(message, now, effects),
            Input::OptedOut => self.opt_out(effects),
            Input::BusinessWrote { through } => {
                self.silence(effects);
                self.person_acted_at = Some(now);
                if matches!(self.control, Control::Assistant | Control::Waiting { .. }) {
                    let control = Control::Operator { name: through, since: now };
                    self.change_control(control, effects);
                }
                self.floor = self.epoch;
            }
            Input::ThreadLost => self.lose_thread(now, effects),
            Input::ThreadRegained => {
                self.regain(now, effects);
                self.collect(now, effects);
            }
            Input::MarketingRefused { until } => {
                let longer = until.is_none() || until > self.marketing_refused_until;
                self.marketing_refused_until = if longer { until } else { self.marketing_refused_until };
            }
            Input::Unreachable { problem } => self.unreachable = Some(problem),
            Input::DeliveryReported { message, mut known, reported } => {
                if known.advance(&reported) {
                    self.take_back_disclosure(message, &known);
                    effects.push(Effect::RecordDelivery { message, delivery: known });
                }
            }
            Input::TimePassed => self.pass_time(now, effects),
            Input::Resumed => match &self.turn {
                Some(turn) => effects.push(Effect::StartTurn(turn.clone())),
                None => self.pass_time(now, effects),
            },
            Input::TurnFinished { turn, outcome } => self.finish(turn, outcome, now, effects),
            Input::TakenOver { operator } => self.take_over(operator, now, effects),
            Input::HandedBack => self.hand_back(now, effects),
            Input::AssistantRefused { refused } => self.refuse_assistant(refused, now, effects),
            Input::Assigned { operator } => {
                if self.assigned != operator {
                    self.assigned.clone_from(&operator);
                    effects.push(Effect::Assign { operator });
                }
            }
            Input::OperatorWrote { draft } => {
                self.silence(effects);
                self.person_acted_at = Some(now);
                effects.push(Effect::Send { draft, turn: None, disclose: false });
            }
            Input::OperatorSigned { draft } => {
                self.person_acted_at = Some(now);
                effects.push(Effect::Send { draft, turn: None, disclose: false });
            }
            Input::AnswerAgain { messages } => {
                for (message, sent_at) in messages {
                    self.answered.remove(&message);
                    self.receive(Waiting { sent_at, message, fragment: false }, now, effects);
                }
            }
        }
    }

    fn settle_media(&mut self, message: MessageId, now: Timestamp, effects: &mut Vec<Effect>) {
        let was_awaited = self.awaits_media();
        self.pending_media.remove(&message);
        if was_awaited && !self.awaits_media() {
            self.hold_back(now);
        }
        self.collect(now, effects);
    }

    fn opt_out(&mut self, effects: &mut Vec<Effect>) {
        self.cancel(TurnEnd::OptedOut, effects);
        self.epoch.0 += 1;
        self.floor = self.epoch;
        self.settle_waiting();
        self.plan(None, effects);
        if !self.opted_out {
            self.opted_out = true;
            effects.push(Effect::OptOut);
        }
    }

    /// From now on a person answers, or the assistant may again.
    fn refuse_assistant(&mut self, refused: bool, now: Timestamp, effects: &mut Vec<Effect>) {
        if self.refuses_assistant == refused {
            return;
        }
        self.refuses_assistant = refused;
        effects.push(Effect::RefuseAssistant { refused });
        if refused {
            self.cancel(TurnEnd::TakenOver, effects);
            self.quiet_until = None;
            self.plan(None, effects);
            if self.control == Control::Assistant {
                let reason = HandoverReason::Refused;
                self.change_control(Control::Waiting { since: now, reason }, effects);
            }
            self.floor = self.epoch;
        } else {
            self.hold_back(now);
            self.collect(now, effects);
        }
    }

    fn lose_thread(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        if self.control == Control::Assistant {
            self.cancel(TurnEnd::TakenOver, effects);
            self.quiet_until = None;
            self.change_control(Control::OtherApp { since: now }, effects);
            self.floor = self.epoch;
        }
    }

    fn take_over(&mut self, operator: String, now: Timestamp, effects: &mut Vec<Effect>) {
        self.cancel(TurnEnd::TakenOver, effects);
        self.quiet_until = None;
        self.person_acted_at = Some(now);
        self.plan(None, effects);
        self.change_control(Control::Operator { name: operator, since: now }, effects);
        self.floor = self.epoch;
    }

    /// The next moment at which something happens by itself, as far as is known.
    fn next_moment(&self, now: Timestamp) -> Option<Timestamp> {
        let collecting = self.quiet_until.filter(|_| self.may_answer() && !self.waiting.is_empty());
        let collecting = collecting.filter(|_| self.turn.is_none());
        // A turn whose words could not leave any more is ended then, not when it is done.
        let window_end = self.turn.as_ref().map(|_| self.window().free_until.plus_millis(1));
        let follow_up = self.follow_up_at().filter(|_| self.turn.is_none() && self.may_answer());
        let moments = [collecting, window_end, self.handback_at(), follow_up];
        moments.into_iter().flatten().map(|at| at.max(now)).min()
    }

    /// When the assistant answers again although nobody gave control back.
    fn handback_at(&self) -> Option<Timestamp> {
        let Control::Operator { since, .. } = &self.control else { return None };
        if self.refuses_assistant {
            return None;
        }
        let active = self.person_acted_at.map_or(*since, |at| at.max(*since));
        self.policy.handback_ms.map(|ms| active.plus_millis(ms))
    }

    fn pass_time(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        if self.handback_at().is_some_and(|at| at <= now) {
            self.hand_back(now, effects);
        }
        if self.turn.is_some() && now > self.window().free_until {
            self.cancel(TurnEnd::WindowClosed, effects);
            self.settle_waiting();
        }
        self.collect(now, effects);
        self.follow_up(now, effects);
    }

    fn hand_back(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        if self.control != Control::Assistant && !self.refuses_assistant {
            self.change_control(Control::Assistant, effects);
            self.hold_back(now);
            self.collect(now, effects);
        }
    }

    /// Begins the turn that was planned, if its time has come and nothing else is to be answered.
    fn follow_up(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        let idle = self.turn.is_none() && self.waiting.is_empty() && self.may_answer();
        let Some(planned) = self.follow_up.take_if(|planned| idle && planned.at <= now) else { return };
        effects.push(Effect::PlanFollowUp(None));
        if now <= self.window().free_until {
            self.begin(BTreeSet::new(), now, WindowEnd::FollowUp, Some(planned), now, effects);
        }
    }

    fn plan(&mut self, follow_up: Option<FollowUp>, effects: &mut Vec<Effect>) {
        if self.follow_up != follow_up {
            self.follow_up = follow_up;
            effects.push(Effect::PlanFollowUp(self.follow_up_at()));
        }
    }

    fn receive(&mut self, waiting: Waiting, now: Timestamp, effects: &mut Vec<Effect>) {
        let Waiting { sent_at, message, .. } = waiting;
        let covered = self.turn.as_ref().is_some_and(|turn| has(&turn.waiting, sent_at, message));
        if covered || self.answered.contains(&message) || has(&self.waiting, sent_at, message) {
            return;
        }
        self.waiting.insert(waiting);
        self.opted_out = false;
        self.plan(None, effects);
        self.cancel(TurnEnd::Superseded, effects);
        while self.waiting.len() > WAITING_MAX {
            self.waiting.pop_first();
        }
        self.hold_back(now);
        self.collect(now, effects);
    }

    /// The contact did something towards the business.
    fn act(&mut self, at: Timestamp, opens: Opening) {
        if opens > Opening::Nothing {
            self.acted_at = self.acted_at.max(Some(at));
            self.unreachable = None;
        }
        if opens == Opening::Ad {
            self.ad_at = self.ad_at.max(Some(at));
        }
    }

    /// What is written to this app shows that the conversation is its again.
    fn regain(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        if matches!(self.control, Control::OtherApp { .. }) {
            let waiting = Control::Waiting { since: now, reason: HandoverReason::Refused };
            let control = if self.refuses_assistant { waiting } else { Control::Assistant };
            self.change_control(control, effects);
            self.hold_back(now);
        }
    }

    /// A person wrote: what runs ends, and what waited is answered.
    fn silence(&mut self, effects: &mut Vec<Effect>) {
        self.cancel(TurnEnd::TakenOver, effects);
        self.plan(None, effects);
        self.settle_waiting();
    }

    /// What waits is not to be answered any more.
    fn settle_waiting(&mut self) {
        let settled = std::mem::take(&mut self.waiting);
        self.remember(settled.into_iter().map(|waiting| waiting.message));
        self.stop_collecting();
    }

    fn is_being_answered(&self, message: MessageId) -> bool {
        self.turn.as_ref().is_some_and(|turn| turn.covers.contains(&message))
    }

    /// A message was taken back: it waits no more, and nothing that was thought of with it leaves.
    fn forget_message(&mut self, message: MessageId, now: Timestamp, effects: &mut Vec<Effect>) {
        self.pending_media.remove(&message);
        let running = self.turn.is_some();
        if running {
            self.cancel(TurnEnd::Superseded, effects);
        }
        // What answers it alone and has not left yet need not leave.
        if self.last_covers.iter().eq([&message]) {
            self.epoch.0 += 1;
            self.floor = self.epoch;
        }
        self.waiting.retain(|waiting| waiting.message != message);
        self.remember([message]);
        if self.waiting.is_empty() {
            self.stop_collecting();
        } else if running {
            self.hold_back(now);
            self.collect(now, effects);
        }
    }

    /// Opens the collecting window, or prolongs it up to its cap: by less after what looks finished,
    /// by more after a fragment, and to the cap while files are still fetched or listened to.
    fn hold_back(&mut self, now: Timestamp) {
        let Some(last) = self.waiting.last() else { return };
        let quiet_ms = self.policy.quiet_ms * if last.fragment { FRAGMENT_FACTOR } else { 1 };
        let opened = *self.window_opened_at.get_or_insert(now);
        if self.may_answer() {
            let cap = self.cap(opened);
            let quiet = if self.awaits_media() { cap } else { now.plus_millis(quiet_ms) };
            self.quiet_until = Some(quiet.min(cap));
        }
    }

    /// When a window that opened then closes at the latest.
    fn cap(&self, opened: Timestamp) -> Timestamp {
        let media_ms = if self.awaits_media() { self.policy.media_cap_ms } else { 0 };
        opened.plus_millis(self.policy.cap_ms.max(self.policy.quiet_ms).max(media_ms))
    }

    fn awaits_media(&self) -> bool {
        !self.pending_media.is_empty()
            && self.waiting.iter().any(|waiting| self.pending_media.contains(&waiting.message))
    }

    fn may_answer(&self) -> bool {
        self.policy.enabled && self.control == Control::Assistant && !self.refuses_assistant
    }

    /// Begins a turn when the window has closed.
    fn collect(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        if self.turn.is_some() || self.waiting.is_empty() || !self.may_answer() {
            return;
        }
        let until = *self.quiet_until.get_or_insert(now);
        if now < until {
            return;
        }
        let window_opened_at = self.window_opened_at.unwrap_or(now);
        let window_end = match self.policy {
            // Nothing else lets it begin while files are waited for.
            _ if self.awaits_media() => WindowEnd::Cap,
            TurnPolicy { quiet_ms: 0, cap_ms: 0, .. } => WindowEnd::Off,
            _ if until >= self.cap(window_opened_at) => WindowEnd::Cap,
            _ => WindowEnd::Quiet,
        };
        self.stop_collecting();
        let waiting = std::mem::take(&mut self.waiting);
        self.begin(waiting, window_opened_at, window_end, None, now, effects);
        if now > self.window().free_until {
            // Too late to be answered. The log tells, by a turn that ends as it begins.
            self.cancel(TurnEnd::WindowClosed, effects);
            self.settle_waiting();
        }
    }

    fn begin(
        &mut self,
        waiting: BTreeSet<Waiting>,
        window_opened_at: Timestamp,
        window_end: WindowEnd,
        follow_up: Option<FollowUp>,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        self.epoch.0 += 1;
        let turn = RunningTurn {
            id: TurnId::of(self.id, self.epoch.0, now),
            epoch: self.epoch,
            covers: waiting.iter().map(|waiting| waiting.message).collect(),
            window_opened_at,
            window_end,
            follow_up,
            started_at: now,
            waiting,
        };
        effects.push(Effect::StartTurn(turn.clone()));
        self.turn = Some(turn);
    }

    fn stop_collecting(&mut self) {
        self.window_opened_at = None;
        self.quiet_until = None;
    }

    /// Ends the running turn without an answer; what it covered waits again.
    fn cancel(&mut self, end: TurnEnd, effects: &mut Vec<Effect>) {
        if let Some(turn) = self.turn.take() {
            self.epoch.0 += 1;
            if !turn.waiting.is_empty() {
                self.window_opened_at = Some(turn.window_opened_at);
            }
            self.waiting.extend(turn.waiting);
            effects.push(Effect::CancelTurn { turn: turn.id, end });
        }
    }

    fn finish(&mut self, id: TurnId, outcome: TurnOutcome, now: Timestamp, effects: &mut Vec<Effect>) {
        let Some(turn) = self.turn.take_if(|turn| turn.id == id) else { return };
        self.remember(turn.covers.iter().copied());
        self.last_covers.clone_from(&turn.covers);
        let open = now <= self.window().free_until;
        let (content, end) = match outcome {
            _ if !open => (None, TurnEnd::WindowClosed),
            TurnOutcome::Reply { content, follow_up } => {
                self.plan(follow_up, effects);
                (Some(content), TurnEnd::Answered)
            }
            TurnOutcome::Empty => (None, TurnEnd::Empty),
            TurnOutcome::Failed { fallback } => (fallback, TurnEnd::Failed),
            TurnOutcome::OverBudget { fallback } => (fallback, TurnEnd::OverBudget),
            TurnOutcome::Objected { fallback } => (fallback, TurnEnd::Objected),
            TurnOutcome::Closed { since, notice } => {
                let said = self.closed_said_at.is_some_and(|at| at >= since);
                let notice = notice.filter(|_| !said);
                self.closed_said_at = notice.as_ref().map(|_| now).or(self.closed_said_at);
                (notice, TurnEnd::Closed)
            }
            TurnOutcome::HandOver { reason, notice } => {
                self.say(notice, &turn, now, effects);
                self.plan(None, effects);
                effects.push(Effect::EndTurn { turn: id, end: TurnEnd::HandedOver });
                return self.change_control(Control::Waiting { since: now, reason }, effects);
            }
        };
        self.say(content, &turn, now, effects);
        effects.push(Effect::EndTurn { turn: id, end });
    }

    fn say(
        &mut self,
        content: Option<Content>,
        turn: &RunningTurn,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        let Some(content) = content else { return };
        let lapsed = |at: Timestamp| {
            self.policy.disclosure_lapse_ms.is_some_and(|lapse_ms| now.millis_since(at) >= lapse_ms)
        };
        let disclose =
            self.policy.disclose && (self.disclosed_at.is_none() || self.said_at.is_none_or(lapsed));
        if disclose {
            self.disclosed_at = Some(now);
        }
        self.said_at = Some(now);
        effects.push(Effect::Send { draft: content.into(), turn: Some((turn.id, turn.epoch)), disclose });
    }

    /// What never arrived was never said.
    fn take_back_disclosure(&mut self, message: MessageId, delivery: &Delivery) {
        let lost = matches!(delivery.status, DeliveryStatus::Withdrawn | DeliveryStatus::Failed);
        if lost && self.disclosed_in == Some(message) {
            self.disclosed_in = None;
            self.disclosed_at = None;
        }
    }

    fn change_control(&mut self, control: Control, effects: &mut Vec<Effect>) {
        self.epoch.0 += 1;
        if control == Control::Assistant {
            self.disclosed_at = None;
        }
        self.control = control.clone();
        effects.push(Effect::ChangeControl { control });
    }

    fn remember(&mut self, answered: impl IntoIterator<Item = MessageId>) {
        self.answered.extend(answered);
        while self.answered.len() > ANSWERED_MAX {
            self.answered.pop_first();
        }
    }
}

#[cfg(test)]
#[path = "conversation_tests.rs"]
mod tests;
