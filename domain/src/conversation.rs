//! The conversation decides: [`Conversation::apply`] takes an input and says what is to be done.
//! It knows no runtime, no storage and no network; the actor loads, applies, performs, commits.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::delivery::{Delivery, DeliveryProblem};
use crate::id::{ChannelId, ContactId, ConversationId, MediaId, MessageId, TurnId};
use crate::message::Content;
use crate::outbox::Draft;
use crate::turn::TurnEnd;
use crate::window::{Opening, Window, WindowPolicy};

/// How many unanswered messages a turn may cover; older ones stay in the history.
pub const WAITING_MAX: usize = 256;
/// How many answered messages are remembered against a repetition.
const ANSWERED_MAX: usize = 32;

/// Counts what ended the validity of earlier words: every turn, cancellation and change of control.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(pub u64);

/// Who answers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "holder", rename_all = "snake_case")]
pub enum Control {
    /// The assistant.
    #[default]
    Assistant,
    /// A person.
    Operator {
        /// Who, as the audit trail names them.
        name: String,
        /// Since when.
        since: Timestamp,
    },
    /// Another app, by Meta's routing: until it gives the conversation back, only it may write.
    OtherApp {
        /// Since when.
        since: Timestamp,
    },
}

/// What the tenant's settings and the channel's rules say about answering.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TurnPolicy {
    /// Whether the assistant answers at all.
    pub enabled: bool,
    /// How long the contact must be quiet, milliseconds.
    pub quiet_ms: u64,
    /// The longest that an answer is held back while more comes in, milliseconds.
    pub cap_ms: u64,
    /// How long after what the contact does an answer may leave.
    pub window: WindowPolicy,
}

/// A turn that has begun and not ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunningTurn {
    /// The turn.
    pub id: TurnId,
    /// Its epoch.
    pub epoch: Epoch,
    /// What it answers, in the order of writing.
    pub covers: Vec<MessageId>,
    /// When the collecting window before it opened.
    pub window_opened_at: Timestamp,
    /// When it began.
    pub started_at: Timestamp,
    waiting: BTreeSet<Waiting>,
}

/// An unanswered message. Sorts by when it was written, not by when it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Waiting {
    sent_at: Timestamp,
    message: MessageId,
}

/// What a conversation is told.
#[derive(Clone, PartialEq, Eq)]
pub enum Input {
    /// The settings that count from now on.
    PolicyChanged(TurnPolicy),
    /// The contact wrote.
    MessageReceived {
        /// The message.
        message: MessageId,
        /// When it was written, as the channel says.
        sent_at: Timestamp,
        /// Whether it is to be answered: what is old, cannot be seen or was written to another app
        /// is not.
        answer: bool,
        /// What it lets the business do.
        opens: Opening,
    },
    /// The contact did something that is no message.
    ContactActed {
        /// When.
        at: Timestamp,
        /// What it lets the business do.
        opens: Opening,
    },
    /// The contact changed a message.
    MessageEdited {
        /// The message.
        message: MessageId,
    },
    /// The contact took a message back.
    MessageRemoved {
        /// The message.
        message: MessageId,
    },
    /// The business wrote elsewhere: a person is in the conversation.
    BusinessWrote {
        /// Where, as a name for who has control.
        through: String,
    },
    /// Another app has the conversation now.
    ThreadLost,
    /// This app has the conversation again.
    ThreadRegained,
    /// The contact refuses advertising until a moment (the end of time, if they said so themselves),
    /// or allows it again.
    MarketingRefused {
        /// Until when; nothing when it is allowed.
        until: Option<Timestamp>,
    },
    /// The contact cannot be reached; whatever they do next changes that.
    Unreachable {
        /// Why.
        problem: DeliveryProblem,
    },
    /// The channel, or our own dispatch, reports how far a message of ours got.
    DeliveryReported {
        /// The message.
        message: MessageId,
        /// What was known of it.
        known: Delivery,
        /// What is reported.
        reported: Delivery,
    },
    /// Nothing happened but time.
    TimePassed,
    /// The conversation was loaded; nothing that it had begun is under way any more.
    Resumed,
    /// A turn came to its end.
    TurnFinished {
        /// Which.
        turn: TurnId,
        /// With what.
        outcome: TurnOutcome,
    },
    /// A person takes control.
    TakenOver {
        /// Who.
        operator: String,
    },
    /// A person gives control back to the assistant.
    HandedBack,
    /// A person answers; what waited is thereby answered.
    OperatorWrote {
        /// What they wrote.
        draft: Draft,
    },
    /// A person sends what is no answer: a reaction.
    OperatorSigned {
        /// What they send.
        draft: Draft,
    },
    /// A person has these messages answered again, after a turn that failed.
    AnswerAgain {
        /// The messages, with when they were written.
        messages: Vec<(MessageId, Timestamp)>,
    },
}

/// With what a turn ended.
#[derive(Clone, PartialEq, Eq)]
pub enum TurnOutcome {
    /// A reply.
    Reply(Content),
    /// The model had nothing to say.
    Empty,
    /// No answer could be had; what is said instead, if anything.
    Failed {
        /// The tenant's fallback.
        fallback: Option<Content>,
    },
}

/// What a conversation asks for. Everything here is committed in one write with the new state.
#[derive(Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "it lives for one step, in a list of few")]
pub enum Effect {
    /// Begin (or, after a restart, begin again) this turn.
    StartTurn(RunningTurn),
    /// Stop working on this turn; nothing of it may leave.
    CancelTurn {
        /// Which.
        turn: TurnId,
        /// Why.
        end: TurnEnd,
    },
    /// This turn is over.
    EndTurn {
        /// Which.
        turn: TurnId,
        /// Why.
        end: TurnEnd,
    },
    /// Commit this to the outbox.
    Send {
        /// What is said.
        draft: Draft,
        /// The turn and epoch whose words these are; nothing for a person's.
        turn: Option<(TurnId, Epoch)>,
    },
    /// A message of ours got further.
    RecordDelivery {
        /// Which.
        message: MessageId,
        /// How far.
        delivery: Delivery,
    },
    /// Control is in other hands.
    ChangeControl {
        /// In whose.
        control: Control,
    },
    /// Say that time passed, at this moment.
    WakeAt(Timestamp),
}

/// The exchange of one contact on one channel: what is unanswered, who answers, what is under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conversation {
    /// Its identifier.
    pub id: ConversationId,
    /// The channel.
    pub channel: ChannelId,
    /// The contact.
    pub contact: ContactId,
    /// When it was opened.
    pub opened_at: Timestamp,
    control: Control,
    epoch: Epoch,
    floor: Epoch,
    last_inbound_at: Option<Timestamp>,
    #[serde(default)]
    acted_at: Option<Timestamp>,
    #[serde(default)]
    ad_at: Option<Timestamp>,
    #[serde(default)]
    marketing_refused_until: Option<Timestamp>,
    #[serde(default)]
    unreachable: Option<DeliveryProblem>,
    #[serde(default)]
    pending_media: BTreeSet<MessageId>,
    #[serde(default)]
    condemned_media: BTreeSet<MediaId>,
    waiting: BTreeSet<Waiting>,
    window_opened_at: Option<Timestamp>,
    quiet_until: Option<Timestamp>,
    turn: Option<RunningTurn>,
    answered: BTreeSet<MessageId>,
    #[serde(default)]
    last_covers: Vec<MessageId>,
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
            policy: TurnPolicy::default(),
        }
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

    /// Messages whose files are still at Meta. The conversation only remembers them: what it decides
    /// does not depend on them.
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
            || !self.pending_media.is_empty()
            || !self.condemned_media.is_empty()
    }

    /// Decides. The same inputs give the same state in any order and however often they are
    /// repeated, and no message is ever covered by two turns that both answer.
    pub fn apply(&mut self, input: Input, now: Timestamp) -> Vec<Effect> {
        let mut effects = Vec::new();
        match input {
            Input::PolicyChanged(policy) => {
                self.policy = policy;
                self.collect(now, &mut effects);
            }
            Input::MessageReceived { message, sent_at, answer, opens } => {
                self.last_inbound_at = self.last_inbound_at.max(Some(sent_at));
                self.act(sent_at, opens);
                if answer {
                    self.regain(now, &mut effects);
                    self.receive(message, sent_at, now, &mut effects);
                }
            }
            Input::ContactActed { at, opens } => self.act(at, opens),
            Input::MessageEdited { message } => {
                if self.is_being_answered(message) {
                    self.cancel(TurnEnd::Superseded, &mut effects);
                    self.hold_back(now);
                    self.collect(now, &mut effects);
                }
            }
            Input::MessageRemoved { message } => self.forget_message(message, now, &mut effects),
            Input::BusinessWrote { through } => {
                self.silence(&mut effects);
                if matches!(self.control, Control::Assistant) {
                    let control = Control::Operator { name: through, since: now };
                    self.change_control(control, &mut effects);
                }
                self.floor = self.epoch;
            }
            Input::ThreadLost => {
                if matches!(self.control, Control::Assistant) {
                    self.cancel(TurnEnd::TakenOver, &mut effects);
                    self.quiet_until = None;
                    self.change_control(Control::OtherApp { since: now }, &mut effects);
                    self.floor = self.epoch;
                }
            }
            Input::ThreadRegained => {
                self.regain(now, &mut effects);
                self.collect(now, &mut effects);
            }
            Input::MarketingRefused { until } => {
                let longer = until.is_none() || until > self.marketing_refused_until;
                self.marketing_refused_until = if longer { until } else { self.marketing_refused_until };
            }
            Input::Unreachable { problem } => self.unreachable = Some(problem),
            Input::DeliveryReported { message, mut known, reported } => {
                if known.advance(&reported) {
                    effects.push(Effect::RecordDelivery { message, delivery: known });
                }
            }
            Input::TimePassed => self.collect(now, &mut effects),
            Input::Resumed => match &self.turn {
                Some(turn) => effects.push(Effect::StartTurn(turn.clone())),
                None => self.collect(now, &mut effects),
            },
            Input::TurnFinished { turn, outcome } => self.finish(turn, outcome, now, &mut effects),
            Input::TakenOver { operator } => {
                self.cancel(TurnEnd::TakenOver, &mut effects);
                self.quiet_until = None;
                self.change_control(Control::Operator { name: operator, since: now }, &mut effects);
                self.floor = self.epoch;
            }
            Input::HandedBack => {
                if self.control != Control::Assistant {
                    self.change_control(Control::Assistant, &mut effects);
                    self.hold_back(now);
                    self.collect(now, &mut effects);
                }
            }
            Input::OperatorWrote { draft } => {
                self.silence(&mut effects);
                effects.push(Effect::Send { draft, turn: None });
            }
            Input::OperatorSigned { draft } => effects.push(Effect::Send { draft, turn: None }),
            Input::AnswerAgain { messages } => {
                for (message, sent_at) in messages {
                    self.answered.remove(&message);
                    self.receive(message, sent_at, now, &mut effects);
                }
            }
        }
        effects
    }

    fn receive(&mut self, message: MessageId, sent_at: Timestamp, now: Timestamp, effects: &mut Vec<Effect>) {
        let waiting = Waiting { sent_at, message };
        let covered = self.turn.as_ref().is_some_and(|turn| turn.waiting.contains(&waiting));
        if covered || self.answered.contains(&message) || !self.waiting.insert(waiting) {
            return;
        }
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
            self.change_control(Control::Assistant, effects);
            self.hold_back(now);
        }
    }

    /// A person wrote: what runs ends, and what waited is answered.
    fn silence(&mut self, effects: &mut Vec<Effect>) {
        self.cancel(TurnEnd::TakenOver, effects);
        let answered = std::mem::take(&mut self.waiting);
        self.remember(answered.into_iter().map(|waiting| waiting.message));
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

    /// Opens the collecting window, or prolongs it up to its cap.
    fn hold_back(&mut self, now: Timestamp) {
        if self.waiting.is_empty() {
            return;
        }
        let opened = *self.window_opened_at.get_or_insert(now);
        if self.may_answer() {
            let quiet = now.plus_millis(self.policy.quiet_ms);
            let cap = opened.plus_millis(self.policy.cap_ms.max(self.policy.quiet_ms));
            self.quiet_until = Some(quiet.min(cap));
        }
    }

    fn may_answer(&self) -> bool {
        self.policy.enabled && self.control == Control::Assistant
    }

    /// Begins a turn when the window has closed, or asks to be woken when it will.
    fn collect(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        if self.turn.is_some() || self.waiting.is_empty() || !self.may_answer() {
            return;
        }
        let until = *self.quiet_until.get_or_insert(now);
        if now < until {
            effects.push(Effect::WakeAt(until));
            return;
        }
        let window_opened_at = self.window_opened_at.unwrap_or(now);
        self.stop_collecting();
        let waiting = std::mem::take(&mut self.waiting);
        if now > self.window().free_until {
            self.remember(waiting.into_iter().map(|waiting| waiting.message));
            return;
        }
        self.epoch.0 += 1;
        let turn = RunningTurn {
            id: TurnId::of(self.id, self.epoch.0, now),
            epoch: self.epoch,
            covers: waiting.iter().map(|waiting| waiting.message).collect(),
            window_opened_at,
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
            self.window_opened_at = Some(turn.window_opened_at);
            self.waiting.extend(turn.waiting);
            effects.push(Effect::CancelTurn { turn: turn.id, end });
        }
    }

    fn finish(&mut self, id: TurnId, outcome: TurnOutcome, now: Timestamp, effects: &mut Vec<Effect>) {
        let Some(turn) = self.turn.take_if(|turn| turn.id == id) else { return };
        self.remember(turn.covers.iter().copied());
        self.last_covers.clone_from(&turn.covers);
        let (content, end) = match outcome {
            _ if now > self.window().free_until => (None, TurnEnd::WindowClosed),
            TurnOutcome::Reply(content) => (Some(content), TurnEnd::Answered),
            TurnOutcome::Empty => (None, TurnEnd::Empty),
            TurnOutcome::Failed { fallback } => (fallback, TurnEnd::Failed),
        };
        if let Some(content) = content {
            effects.push(Effect::Send { draft: content.into(), turn: Some((id, turn.epoch)) });
        }
        effects.push(Effect::EndTurn { turn: id, end });
    }

    fn change_control(&mut self, control: Control, effects: &mut Vec<Effect>) {
        self.epoch.0 += 1;
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
