//! One step of a conversation: what was read and decided, gathered into one atomic write.

use std::collections::BTreeMap;
use std::sync::Arc;

use iassistance_channels::pieces;
use iassistance_domain::conversation::{Control, Conversation, Effect, Epoch, Input, RunningTurn};
use iassistance_domain::delivery::{Delivery, DeliveryProblem, DeliveryStatus};
use iassistance_domain::event::{DeadLetter, DeadWork, EventKind};
use iassistance_domain::id::{DeadLetterId, MessageId, TurnId};
use iassistance_domain::inbound::{InboundEvent, InboundKind};
use iassistance_domain::message::{Author, Content, Message};
use iassistance_domain::outbox::{OutboxEntry, OutboxState, SendOutcome};
use iassistance_domain::turn::{TurnEnd, TurnRecord};
use iassistance_domain::{Pii, Timestamp};
use iassistance_storage::{
    ConversationCommit, InboxEntry, Letter, SendReport, StorageError, TenantStore, TurnCommit,
};

use super::core::Loaded;
use super::{ConversationKey, FinishTurn};
use crate::engine::Shared;

/// Gathers what a step writes. Nothing of it counts before [`Step::commit`].
pub(super) struct Step {
    shared: Arc<Shared>,
    key: ConversationKey,
    store: Arc<dyn TenantStore>,
    now: Timestamp,
    before: Conversation,
    settings_version: u64,
    commit: ConversationCommit,
    operator: Option<String>,
    known: BTreeMap<MessageId, Delivery>,
    provider_ids: BTreeMap<MessageId, Pii<String>>,
    turns: BTreeMap<TurnId, TurnRecord>,
    ended: Vec<(TurnId, TurnEnd)>,
    says: Vec<Saying>,
    turn_epoch: Option<Epoch>,
    start: Option<RunningTurn>,
    wake_at: Option<Timestamp>,
    dispatch: bool,
}

/// A message of ours that this step commits.
struct Saying {
    id: MessageId,
    content: Content,
    author: Author,
    turn: Option<(TurnId, Epoch)>,
}

/// What is to be done after the write.
pub(super) struct Committed {
    pub(super) conversation: Conversation,
    pub(super) revision: u64,
    pub(super) start: Option<RunningTurn>,
    pub(super) wake_at: Option<Timestamp>,
    pub(super) dispatch: bool,
}

impl Step {
    pub(super) fn new(shared: &Arc<Shared>, key: ConversationKey, loaded: &Loaded) -> Self {
        Self {
            shared: Arc::clone(shared),
            key,
            store: Arc::clone(&loaded.store),
            now: shared.parts.clock.now(),
            before: loaded.conversation.clone(),
            settings_version: loaded.assistant.version,
            commit: ConversationCommit::new(loaded.conversation.clone(), loaded.revision),
            operator: None,
            known: BTreeMap::new(),
            provider_ids: BTreeMap::new(),
            turns: BTreeMap::new(),
            ended: Vec::new(),
            says: Vec::new(),
            turn_epoch: None,
            start: None,
            wake_at: None,
            dispatch: false,
        }
    }

    /// Takes a letter into account; it is acknowledged by this step's write.
    pub(super) async fn read(&mut self, entry: InboxEntry) -> Result<(), StorageError> {
        self.commit.acknowledge.push(entry.seq);
        match entry.letter {
            Letter::Inbound { message, event } => self.read_event(message, event, entry.accepted_at).await,
            Letter::Dispatched(report) => self.read_report(report).await,
        }
    }

    async fn read_event(
        &mut self,
        message: Option<MessageId>,
        event: InboundEvent,
        accepted_at: Timestamp,
    ) -> Result<(), StorageError> {
        let InboundEvent { occurred_at, kind, .. } = event;
        match (kind, message) {
            (InboundKind::MessageReceived { provider_id, content, .. }, Some(id)) => {
                let message = Message {
                    id,
                    conversation: self.key.conversation,
                    author: Author::Contact,
                    content,
                    sent_at: occurred_at,
                    recorded_at: accepted_at,
                    provider_id: Some(provider_id),
                    delivery: None,
                };
                self.tell(EventKind::MessageReceived { message: message.clone() });
                self.commit.messages.push(message);
                self.decide(Input::MessageReceived { message: id, sent_at: occurred_at });
            }
            (InboundKind::StatusChanged { provider_id, message: Some(id), delivery, .. }, _) => {
                self.provider_ids.insert(id, provider_id);
                let known = self.report(id, delivery).await?;
                // What the channel reports on has left: whatever was not known of it is settled.
                if known.is_some_and(|known| known.status <= DeliveryStatus::Unknown) {
                    self.commit.outbox_done.push(id);
                    self.dispatch = true;
                }
            }
            (InboundKind::Kept { kind, raw, .. }, _) => {
                let channel = self.commit.conversation.channel;
                self.tell(EventKind::WebhookKept { kind, channel, raw });
            }
            // A message without an id, or a status without one, is not put into an inbox.
            _ => tracing::warn!(conversation = %self.key.conversation, "a letter of no use was acknowledged"),
        }
        Ok(())
    }

    async fn read_report(&mut self, report: SendReport) -> Result<(), StorageError> {
        let SendReport { message, at, outcome } = report;
        let (status, problem) = match outcome {
            SendOutcome::Sent { provider_id } => {
                self.provider_ids.insert(message, provider_id);
                (DeliveryStatus::Sent, None)
            }
            SendOutcome::Postponed { not_before, problem } => {
                self.tell(EventKind::MessagePostponed { message, not_before, reason: problem.title });
                return Ok(());
            }
            SendOutcome::Refused { problem } => (DeliveryStatus::Failed, Some(problem)),
            SendOutcome::Unknown => (DeliveryStatus::Unknown, None),
            SendOutcome::Withdrawn { reason } => {
                self.tell(EventKind::MessageWithdrawn { message, reason });
                (DeliveryStatus::Withdrawn, None)
            }
        };
        self.report(message, Delivery { status, at, problem }).await?;
        Ok(())
    }

    /// Takes a report on a message of ours into account; returns what was known of it before.
    async fn report(
        &mut self,
        message: MessageId,
        reported: Delivery,
    ) -> Result<Option<Delivery>, StorageError> {
        let known = match self.known.get(&message) {
            Some(known) => Some(known.clone()),
            None => {
                self.store.message(self.key.conversation, message).await?.and_then(|message| message.delivery)
            }
        };
        if let Some(known) = known.clone() {
            self.known.insert(message, known.clone());
            self.decide(Input::DeliveryReported { message, known, reported });
        }
        Ok(known)
    }

    /// From here on, what is said is said by this person.
    pub(super) fn speak_as(&mut self, operator: String) {
        self.operator = Some(operator);
    }

    /// Adds a fact to the log.
    pub(super) fn tell(&mut self, event: EventKind) {
        self.commit.events.push(event);
    }

    /// Writes a dead letter.
    pub(super) fn put_dead_letter(&mut self, letter: DeadLetter) {
        self.commit.dead_letters.push(letter);
    }

    /// Says again, as a new message, what did not leave.
    pub(super) fn say_again(&mut self, lost: Message) {
        let id = MessageId::new(self.now, &*self.shared.parts.entropy);
        self.says.push(Saying { id, content: lost.content, author: lost.author, turn: None });
    }

    /// The last message that this step commits.
    pub(super) fn last_message(&self) -> Option<MessageId> {
        self.says.last().map(|saying| saying.id)
    }

    /// Tells the conversation something and gathers what follows.
    pub(super) fn decide(&mut self, input: Input) {
        for effect in self.commit.conversation.apply(input, self.now) {
            match effect {
                Effect::StartTurn(turn) => self.begin_turn(turn),
                Effect::CancelTurn { turn, end } => {
                    self.start.take_if(|start| start.id == turn);
                    self.end_turn(turn, end);
                }
                Effect::EndTurn { turn, end } => {
                    self.turn_epoch = self.before.running_turn().map(|running| running.epoch);
                    self.end_turn(turn, end);
                }
                Effect::Send { content, turn } => self.say(content, turn),
                Effect::RecordDelivery { message, delivery } => self.record_delivery(message, delivery),
                Effect::ChangeControl { control } => {
                    let epoch = self.commit.conversation.epoch();
                    self.tell(EventKind::ControlChanged { control, epoch });
                }
                Effect::WakeAt(at) => self.wake_at = Some(at),
            }
        }
    }

    fn begin_turn(&mut self, turn: RunningTurn) {
        // After a restart the same turn begins again; it is recorded and told of already.
        if self.before.running_turn().is_none_or(|before| before.id != turn.id) {
            let covers = turn.covers.clone();
            self.tell(EventKind::TurnStarted { turn: turn.id, epoch: turn.epoch, covers: covers.clone() });
            let record = TurnRecord {
                id: turn.id,
                conversation: self.key.conversation,
                epoch: turn.epoch,
                covers,
                window_opened_at: turn.window_opened_at,
                started_at: turn.started_at,
                prompt_sha256: None,
                history_messages: 0,
                settings_version: self.settings_version,
                attempts: Vec::new(),
                ended_at: None,
                end: None,
                sent: Vec::new(),
            };
            self.turns.insert(turn.id, record);
        }
        self.start = Some(turn);
    }

    fn end_turn(&mut self, turn: TurnId, end: TurnEnd) {
        let usage = self.turns.get(&turn).map(TurnRecord::usage).unwrap_or_default();
        self.tell(EventKind::TurnEnded { turn, end, usage });
        self.ended.push((turn, end));
        metrics::counter!("iassistance_turns_total", "end" => end_name(end)).increment(1);
        if end == TurnEnd::Failed {
            let reason =
                "the assistant could not answer: see the turn's attempts; a replay lets it try again";
            self.give_up(DeadWork::Turn { turn }, reason.to_owned());
        }
    }

    fn give_up(&mut self, work: DeadWork, reason: String) {
        let id = DeadLetterId::new(self.now, &*self.shared.parts.entropy);
        self.tell(EventKind::DeadLetterAdded { dead_letter: id, reason: reason.clone() });
        let conversation = self.key.conversation;
        self.put_dead_letter(DeadLetter { id, conversation, work, reason, at: self.now, replayed_at: None });
    }

    fn say(&mut self, content: Content, turn: Option<(TurnId, Epoch)>) {
        let author = match (turn, &self.operator, self.commit.conversation.control()) {
            (Some((turn, _)), _, _) => Author::Assistant { turn },
            (None, Some(name), _) | (None, None, Control::Operator { name, .. }) => {
                Author::Operator { name: name.clone() }
            }
            (None, None, Control::Assistant) => Author::Operator { name: "operator".into() },
        };
        for content in pieces(content) {
            let place = self.says.len() as u64;
            let id = MessageId::in_order(self.now, place, &*self.shared.parts.entropy);
            if let Some(record) = turn.and_then(|(turn, _)| self.turns.get_mut(&turn)) {
                record.sent.push(id);
            }
            self.says.push(Saying { id, content, author: author.clone(), turn });
        }
    }

    fn record_delivery(&mut self, message: MessageId, delivery: Delivery) {
        self.known.insert(message, delivery.clone());
        self.tell(EventKind::MessageStatusChanged { message, delivery: delivery.clone() });
        if delivery.status == DeliveryStatus::Failed {
            let reason = |problem: &DeliveryProblem| format!("{} (code {})", problem.title, problem.code);
            let reason =
                delivery.problem.as_ref().map_or_else(|| "the channel gave no reason".into(), reason);
            self.give_up(DeadWork::Send { message }, reason);
        }
        let provider_id = self.provider_ids.get(&message).cloned();
        self.commit.deliveries.push((message, delivery, provider_id));
    }

    /// Takes the end of a turn into account. What was paid for is recorded also when the turn was
    /// cancelled meanwhile.
    pub(super) async fn finish_turn(&mut self, finished: FinishTurn) -> Result<(), StorageError> {
        let Some(mut record) = self.store.turn(self.key.conversation, finished.turn).await? else {
            return Ok(());
        };
        record.attempts.extend(finished.attempts);
        record.prompt_sha256 = finished.prompt_sha256.or(record.prompt_sha256);
        record.history_messages = record.history_messages.max(finished.history_messages);
        self.turns.insert(record.id, record);
        if let Some(outcome) = finished.outcome {
            self.decide(Input::TurnFinished { turn: finished.turn, outcome });
        }
        Ok(())
    }

    /// Writes everything, in one piece.
    pub(super) async fn commit(mut self) -> Result<Committed, StorageError> {
        self.close_turns().await?;
        self.commit_sayings().await?;
        self.commit.turns = self.turns.into_values().collect();
        let (mut revision, conversation) = (self.commit.revision, self.commit.conversation.clone());
        let silent = self.commit.acknowledge.is_empty()
            && self.commit.events.is_empty()
            && self.commit.turns.is_empty()
            && self.commit.dead_letters.is_empty()
            && conversation == self.before;
        if !silent {
            match self.turn_epoch {
                Some(epoch) => self.store.commit_turn(TurnCommit { epoch, commit: self.commit }).await?,
                None => self.store.commit(self.commit).await?,
            };
            revision += 1;
        }
        let Self { start, wake_at, dispatch, .. } = self;
        Ok(Committed { conversation, revision, start, wake_at, dispatch })
    }

    async fn close_turns(&mut self) -> Result<(), StorageError> {
        for (turn, end) in std::mem::take(&mut self.ended) {
            if !self.turns.contains_key(&turn)
                && let Some(record) = self.store.turn(self.key.conversation, turn).await?
            {
                self.turns.insert(turn, record);
            }
            if let Some(record) = self.turns.get_mut(&turn) {
                record.end = Some(end);
                record.ended_at = Some(self.now);
            }
        }
        Ok(())
    }

    async fn commit_sayings(&mut self) -> Result<(), StorageError> {
        if self.says.is_empty() {
            return Ok(());
        }
        let (contact_id, channel) = (self.commit.conversation.contact, self.commit.conversation.channel);
        let contact = self.store.contact(contact_id).await?.ok_or(StorageError::NotFound("contact"))?;
        let window_until = self.commit.conversation.window_until();
        for Saying { id, content, author, turn } in std::mem::take(&mut self.says) {
            let message = Message {
                id,
                conversation: self.key.conversation,
                author,
                content: content.clone(),
                sent_at: self.now,
                recorded_at: self.now,
                provider_id: None,
                delivery: Some(Delivery::queued(self.now)),
            };
            self.tell(EventKind::MessageQueued { message: message.clone() });
            self.commit.messages.push(message);
            self.commit.outbox.push(OutboxEntry {
                message: id,
                conversation: self.key.conversation,
                contact: contact_id,
                channel,
                to: contact.identity.clone(),
                content,
                epoch: turn.map(|(_, epoch)| epoch),
                window_until,
                attempts: 0,
                state: OutboxState::Waiting { not_before: self.now },
                queued_at: self.now,
            });
        }
        self.dispatch = true;
        Ok(())
    }
}

const fn end_name(end: TurnEnd) -> &'static str {
    match end {
        TurnEnd::Answered => "answered",
        TurnEnd::Empty => "empty",
        TurnEnd::Superseded => "superseded",
        TurnEnd::TakenOver => "taken_over",
        TurnEnd::Failed => "failed",
        TurnEnd::WindowClosed => "window_closed",
    }
}
