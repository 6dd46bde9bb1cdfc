//! One step of a conversation: what was read and decided, gathered into one atomic write.

mod endings;

use std::collections::BTreeMap;
use std::sync::Arc;

use iassistance_channels::pieces;
use iassistance_domain::assistant::AssistantSettingsVersion;
use iassistance_domain::channel::ChannelKind;
use iassistance_domain::content::{Content, Context};
use iassistance_domain::conversation::{Control, Conversation, Effect, Epoch, Input, RunningTurn};
use iassistance_domain::delivery::{Delivery, DeliveryProblem, DeliveryStatus};
use iassistance_domain::event::{DeadLetter, DeadWork, EventKind};
use iassistance_domain::id::{ChannelId, ConversationId, DeadLetterId, MediaId, MessageId, TurnId};
use iassistance_domain::message::{Author, Message};
use iassistance_domain::outbox::{Draft, OutboxEntry, OutboxState, ReplyTo};
use iassistance_domain::pii::Reply;
use iassistance_domain::turn::{TurnEnd, TurnRecord, TurnWork};
use iassistance_domain::{Pii, Timestamp};
use iassistance_storage::{ConversationCommit, StorageError, TenantStore, TurnCommit};

use super::ConversationKey;
use super::core::Loaded;
use crate::engine::Shared;
use crate::phrasing::disclosure;

/// How long a template may wait to leave: Meta lets it wait as long itself, milliseconds.
const TEMPLATE_MS: u64 = 30 * 24 * 60 * 60 * 1_000;

/// Gathers what a step writes. Nothing of it counts before [`Step::commit`].
pub(super) struct Step {
    shared: Arc<Shared>,
    key: ConversationKey,
    store: Arc<dyn TenantStore>,
    now: Timestamp,
    before: Conversation,
    kind: ChannelKind,
    app_id: Option<String>,
    assistant: Arc<AssistantSettingsVersion>,
    commit: ConversationCommit,
    operator: Option<String>,
    /// The settings that the turn began with whose words these are, where others count by now.
    began_with: Option<AssistantSettingsVersion>,
    messages: BTreeMap<MessageId, Message>,
    again: Vec<(MessageId, Timestamp)>,
    warnings: Vec<DeliveryProblem>,
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
    draft: Draft,
    author: Author,
    turn: Option<(TurnId, Epoch)>,
}

/// What is to be done after the write.
pub(super) struct Committed {
    pub(super) conversation: Conversation,
    pub(super) revision: u64,
    pub(super) start: Option<RunningTurn>,
    /// Whether that one had begun before.
    pub(super) again: bool,
    pub(super) wake_at: Option<Timestamp>,
    pub(super) dispatch: bool,
    pub(super) warnings: Vec<DeliveryProblem>,
}

impl Step {
    /// Boxed: it goes through many hands, and is large.
    pub(super) fn new(shared: &Arc<Shared>, key: ConversationKey, loaded: &Loaded) -> Box<Self> {
        Box::new(Self {
            shared: Arc::clone(shared),
            key,
            store: Arc::clone(&loaded.store),
            now: shared.parts.clock.now(),
            before: loaded.conversation.clone(),
            kind: loaded.kind,
            app_id: loaded.app_id.clone(),
            assistant: Arc::clone(&loaded.assistant),
            commit: ConversationCommit::new(loaded.conversation.clone(), loaded.revision),
            operator: None,
            began_with: None,
            messages: BTreeMap::new(),
            again: Vec::new(),
            warnings: Vec::new(),
            known: BTreeMap::new(),
            provider_ids: BTreeMap::new(),
            turns: BTreeMap::new(),
            ended: Vec::new(),
            says: Vec::new(),
            turn_epoch: None,
            start: None,
            wake_at: None,
            dispatch: false,
        })
    }

    /// The conversation.
    pub(super) const fn conversation(&self) -> ConversationId {
        self.key.conversation
    }

    /// The channel.
    pub(super) const fn channel(&self) -> ChannelId {
        self.commit.conversation.channel
    }

    /// Meta's id of the app that the channel is connected through, where it is known.
    pub(super) fn app_id(&self) -> Option<String> {
        self.app_id.clone()
    }

    /// The assistant's settings.
    pub(super) fn assistant(&self) -> &AssistantSettingsVersion {
        &self.assistant
    }

    /// The moment of this step.
    pub(super) const fn now(&self) -> Timestamp {
        self.now
    }

    /// A letter is gone with this step's write.
    pub(super) fn acknowledge(&mut self, seq: u64) {
        self.commit.acknowledge.push(seq);
    }

    /// A message, as this step has left it.
    pub(super) async fn message(&self, id: MessageId) -> Result<Option<Message>, StorageError> {
        match self.messages.get(&id) {
            Some(message) => Ok(Some(message.clone())),
            None => self.store.message(self.key.conversation, id).await,
        }
    }

    /// Writes a message, new or changed.
    pub(super) fn put_message(&mut self, message: Message) {
        self.messages.insert(message.id, message);
    }

    /// What went out until a moment, newest first.
    pub(super) async fn outbound_before(
        &self,
        until: Timestamp,
        limit: usize,
    ) -> Result<Vec<Message>, StorageError> {
        self.store.outbound_before(self.key.conversation, until, limit).await
    }

    /// From now on the message is known by Meta's id.
    pub(super) fn name_message(&mut self, message: MessageId, provider_id: Pii<String>) {
        self.provider_ids.insert(message, provider_id);
    }

    /// A message has left, whatever was not known of it.
    pub(super) fn leave_outbox(&mut self, message: MessageId) {
        self.commit.outbox_done.push(message);
        self.dispatch = true;
    }

    /// Remembers that a message has files to be fetched, or that it has none any more.
    pub(super) fn set_pending_media(&mut self, message: MessageId, pending: bool) {
        self.commit.conversation.set_pending_media(message, pending);
    }

    /// The files of a message that is taken back or changed are to be destroyed.
    pub(super) fn condemn_media(&mut self, message: &Message) {
        self.commit.conversation.set_pending_media(message.id, false);
        message
            .content
            .media()
            .iter()
            .filter_map(|media| media.source.stored())
            .for_each(|file| self.condemn(file));
    }

    /// A file is to be destroyed.
    pub(super) fn condemn(&mut self, file: MediaId) {
        self.commit.conversation.set_condemned_media(file, true);
    }

    /// A file is destroyed.
    pub(super) fn absolve_media(&mut self, media: MediaId) {
        self.commit.conversation.set_condemned_media(media, false);
    }

    /// What this step already said of a message's content is not said.
    pub(super) fn strip_events(&mut self, id: MessageId) {
        for event in &mut self.commit.events {
            if let Some(message) = event.message_mut()
                && message.id == id
            {
                message.remove(self.now);
            }
        }
    }

    /// The whole channel has this problem; it is looked into after the write.
    pub(super) fn warn(&mut self, problem: DeliveryProblem) {
        self.warnings.push(problem);
    }

    /// Resolves when nothing of this conversation is being handed over: a report of the channel may be
    /// here before its answer is.
    pub(super) async fn handed_over(&self) {
        self.shared.dispatcher.in_hand_settled(self.key).await;
    }

    /// A message that was accepted and given up waits to leave again.
    pub(super) fn resend(&mut self, message: Message, not_before: Timestamp) {
        self.again.push((message.id, not_before));
        self.put_message(message);
    }

    /// Takes a report on a message of ours into account; returns what was known of it before.
    pub(super) async fn report(
        &mut self,
        message: MessageId,
        reported: Delivery,
    ) -> Result<Option<Delivery>, StorageError> {
        let known = match self.known.get(&message) {
            Some(known) => Some(known.clone()),
            None => self.message(message).await?.and_then(|message| message.delivery),
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
        let reply_to = lost.context.and_then(|context| context.reply_to);
        let reply_to = reply_to.map(|provider_id| ReplyTo::Message { provider_id });
        let draft = Draft { content: lost.content, reply_to };
        self.says.push(Saying { id, draft, author: lost.author, turn: None });
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
                Effect::Send { draft, turn, disclose } => self.say(draft, turn, disclose),
                Effect::RecordDelivery { message, delivery } => self.record_delivery(message, delivery),
                Effect::ChangeControl { control } => {
                    let epoch = self.commit.conversation.epoch();
                    self.tell(EventKind::ControlChanged { control, epoch });
                }
                Effect::Assign { operator } => {
                    let before = self.before.assigned().map(str::to_owned);
                    self.tell(EventKind::ConversationAssigned { operator, before });
                }
                Effect::OptOut => self.tell(EventKind::ContactOptedOut),
                Effect::RefuseAssistant { refused } => self.tell(EventKind::AssistantRefused { refused }),
                Effect::PlanFollowUp(at) => self.tell(EventKind::FollowUpScheduled { at }),
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
                window_end: turn.window_end,
                started_at: turn.started_at,
                settings_version: self.assistant.version,
                work: TurnWork::default(),
                ended_at: None,
                end: None,
                control: None,
                disclosed: false,
                sent: Vec::new(),
            };
            self.turns.insert(turn.id, record);
        }
        self.start = Some(turn);
    }

    fn end_turn(&mut self, turn: TurnId, end: TurnEnd) {
        let record = self.turns.get(&turn);
        let (usage, cost) = record.map(|it| (it.work.usage(), it.work.cost())).unwrap_or_default();
        let first_word_ms = record.and_then(TurnRecord::first_word_ms);
        self.tell(EventKind::TurnEnded { turn, end, usage, cost, first_word_ms });
        self.ended.push((turn, end));
        metrics::counter!("iassistance_turns_total", "end" => end.name()).increment(1);
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

    fn say(&mut self, draft: Draft, turn: Option<(TurnId, Epoch)>, disclose: bool) {
        let author = match (turn, &self.operator, self.commit.conversation.control()) {
            (Some((turn, _)), _, _) => Author::Assistant { turn },
            (None, Some(name), _) | (None, None, Control::Operator { name, .. }) => {
                Author::Operator { name: name.clone() }
            }
            (None, None, _) => Author::Operator { name: "operator".into() },
        };
        let mut reply_to = draft.reply_to;
        let disclosed = turn.filter(|_| disclose).map(|(turn, _)| turn);
        let contents = match disclosed {
            Some(_) => {
                let assistant = self.began_with.as_ref().unwrap_or(&self.assistant);
                saying_first(disclosure(&assistant.settings), draft.content)
            }
            None => vec![draft.content],
        };
        let first = self.says.len();
        for content in contents.into_iter().flat_map(|content| pieces(self.kind, content)) {
            let place = self.says.len() as u64;
            let id = MessageId::in_order(self.now, place, &*self.shared.parts.entropy);
            if let Some(record) = turn.and_then(|(turn, _)| self.turns.get_mut(&turn)) {
                record.sent.push(id);
            }
            let draft = Draft { content, reply_to: reply_to.take() };
            self.says.push(Saying { id, draft, author: author.clone(), turn });
        }
        if let (Some(turn), Some(saying)) = (disclosed, self.says.get(first)) {
            self.commit.conversation.set_disclosed_in(saying.id);
            if let Some(record) = self.turns.get_mut(&turn) {
                record.disclosed = true;
            }
            self.tell(EventKind::AssistantDisclosed { turn });
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

    /// Writes everything, in one piece.
    pub(super) async fn commit(mut self: Box<Self>) -> Result<Committed, StorageError> {
        self.close_turns().await?;
        self.commit_sayings().await?;
        self.tell_of_the_contact();
        self.commit.messages.extend(std::mem::take(&mut self.messages).into_values());
        self.commit.turns = self.turns.into_values().collect();
        let (mut revision, conversation) = (self.commit.revision, self.commit.conversation.clone());
        let silent = self.commit.acknowledge.is_empty()
            && self.commit.events.is_empty()
            && self.commit.turns.is_empty()
            && self.commit.dead_letters.is_empty()
            && self.commit.summary.is_none()
            && conversation == self.before;
        if !silent {
            match self.turn_epoch {
                Some(epoch) => self.store.commit_turn(TurnCommit { epoch, commit: self.commit }).await?,
                None => self.store.commit(self.commit).await?,
            };
            revision += 1;
        }
        let Self { start, wake_at, dispatch, warnings, before, .. } = *self;
        let ran = before.running_turn().map(|turn| turn.id);
        let again = start.as_ref().is_some_and(|turn| Some(turn.id) == ran);
        Ok(Committed { conversation, revision, start, again, wake_at, dispatch, warnings })
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
                record.control = Some(self.commit.conversation.control().clone());
            }
        }
        Ok(())
    }

    /// What the step changed about reaching the contact is told.
    fn tell_of_the_contact(&mut self) {
        let after = &self.commit.conversation;
        let refused = after.marketing_refused_until().is_some();
        let marketing = (refused != self.before.marketing_refused_until().is_some())
            .then_some(EventKind::ContactMarketingChanged { allowed: !refused });
        let problem = after.unreachable().cloned();
        let reachability = (problem.is_some() != self.before.unreachable().is_some())
            .then_some(EventKind::ContactReachabilityChanged { problem });
        self.commit.events.extend(marketing.into_iter().chain(reachability));
    }

    async fn commit_sayings(&mut self) -> Result<(), StorageError> {
        if self.says.is_empty() && self.again.is_empty() {
            return Ok(());
        }
        for Saying { id, draft, author, turn } in std::mem::take(&mut self.says) {
            let mut message = Message {
                delivery: Some(Delivery::queued(self.now)),
                ..Message::new(id, self.key.conversation, author, draft.content, self.now)
            };
            if let Some(ReplyTo::Message { provider_id }) = &draft.reply_to {
                let context = Context { reply_to: Some(provider_id.clone()), ..Context::default() };
                message.context = context.if_any();
            }
            self.tell(EventKind::MessageQueued { message: message.clone() });
            let entry = self.entry(&message, draft.reply_to, self.now).await?;
            self.commit.outbox.push(OutboxEntry { epoch: turn.map(|(_, epoch)| epoch), ..entry });
            self.put_message(message);
        }
        for (id, not_before) in std::mem::take(&mut self.again) {
            let Some(message) = self.message(id).await? else { continue };
            let reply_to = message.context.as_ref().and_then(|context| context.reply_to.clone());
            let reply_to = reply_to.map(|provider_id| ReplyTo::Message { provider_id });
            let entry = self.entry(&message, reply_to, not_before).await?;
            // What the assistant said counts by when it said it: somebody may have taken over since.
            let epoch = match message.author {
                Author::Assistant { turn } => {
                    let said = self.store.turn(self.key.conversation, turn).await?;
                    Some(said.map(|turn| turn.epoch).unwrap_or_default())
                }
                _ => None,
            };
            self.commit.outbox.push(OutboxEntry { epoch, ..entry });
        }
        self.dispatch = true;
        Ok(())
    }

    /// A message as work for the dispatcher.
    async fn entry(
        &self,
        message: &Message,
        reply_to: Option<ReplyTo>,
        not_before: Timestamp,
    ) -> Result<OutboxEntry, StorageError> {
        let conversation = &self.commit.conversation;
        let contact = self.store.contact(conversation.contact).await?;
        let contact = contact.ok_or(StorageError::NotFound("contact"))?;
        let by_person = matches!(message.author, Author::Operator { .. });
        let window = conversation.window();
        let (free_until, window_until) = match (&message.content, &reply_to) {
            (Content::Template(_), _) => {
                let until = self.now.plus_millis(TEMPLATE_MS);
                (until, until)
            }
            (_, Some(ReplyTo::Comment { .. })) => {
                let until = self.now.plus_millis(conversation.comment_ms());
                (until, until)
            }
            _ => (window.free_until, window.until(by_person)),
        };
        Ok(OutboxEntry {
            message: message.id,
            conversation: self.key.conversation,
            contact: conversation.contact,
            channel: conversation.channel,
            to: contact.identity,
            content: message.content.clone(),
            reply_to,
            epoch: None,
            by_person,
            free_until,
            window_until,
            attempts: 0,
            state: OutboxState::Waiting { not_before },
            queued_at: self.now,
        })
    }
}

/// What is said first, and then the rest: in one message where that is a text.
fn saying_first(first: String, content: Content) -> Vec<Content> {
    match content {
        Content::Text { body, preview } => {
            let body = Pii::new(format!("{first}\n\n{}", body.reveal(Reply)));
            vec![Content::Text { body, preview }]
        }
        content => vec![Content::text(first), content],
    }
}
