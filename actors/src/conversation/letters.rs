//! What a letter means for a conversation: the messages that it changes and what it tells the state
//! machine.

use iassistance_assistant::words::words;
use iassistance_channels::errors::{AfterStatus, ThrottleScope, after_status};
use iassistance_domain::collecting::looks_like_fragment;
use iassistance_domain::content::{Content, MediaSource};
use iassistance_domain::conversation::Input;
use iassistance_domain::delivery::{Delivery, DeliveryProblem, DeliveryStatus, ProblemClass};
use iassistance_domain::event::EventKind;
use iassistance_domain::id::MessageId;
use iassistance_domain::inbound::{Arrival, InboundEvent, InboundKind, SeenMark, ThreadChange};
use iassistance_domain::message::{Author, Message};
use iassistance_domain::opt_out::{self, OptOut};
use iassistance_domain::outbox::SendOutcome;
use iassistance_domain::pii::Reply;
use iassistance_domain::window::Opening;
use iassistance_domain::{Pii, Timestamp};
use iassistance_storage::{InboxEntry, Letter, SendReport, StorageError};

use super::step::Step;

/// How many messages one report of what was seen covers at most.
const SEEN_MAX: usize = 100;
/// How long a contact is spared advertising that Meta chose not to deliver, milliseconds.
const SPARED_MS: u64 = 24 * 60 * 60 * 1_000;
/// How often a message leaves again at most, and after how long; each time twice as long, milliseconds.
const AGAIN_MAX: u8 = 4;
const AGAIN_MS: u64 = 5_000;
const PAIR_MS: u64 = 6_000;
const THROTTLED_MS: u64 = 60_000;
/// Meta: Cloud API, error 131049: one of the few that are about advertising and pass.
const NOT_DELIVERED_BY_CHOICE: i64 = 131_049;

impl Step {
    /// Takes a letter into account; it is acknowledged by this step's write.
    pub(super) async fn read(&mut self, entry: InboxEntry) -> Result<(), StorageError> {
        self.acknowledge(entry.seq);
        match entry.letter {
            Letter::Inbound { message, event } => self.read_event(message, event, entry.accepted_at).await,
            Letter::Dispatched(report) => self.read_report(report).await,
        }
    }

    async fn read_event(
        &mut self,
        known: Option<MessageId>,
        event: InboundEvent,
        accepted_at: Timestamp,
    ) -> Result<(), StorageError> {
        let InboundEvent { occurred_at: at, kind, .. } = event;
        match (kind, known) {
            (kind @ (InboundKind::MessageReceived { .. } | InboundKind::EchoReceived { .. }), Some(id)) => {
                self.read_message(id, kind, at, accepted_at).await?;
            }
            (InboundKind::MessageEdited { content, .. }, Some(id)) => self.read_edit(id, content, at).await?,
            (InboundKind::MessageRemoved { .. }, Some(id)) => self.read_removal(id, at).await?,
            (InboundKind::Reacted { by_business, emoji, .. }, message) => {
                self.read_reaction(message, !by_business, emoji, at).await?;
            }
            (InboundKind::StatusChanged { provider_id, delivery, .. }, Some(id)) => {
                self.read_status(id, provider_id, delivery).await?;
            }
            (InboundKind::SeenUpTo { up_to, status, .. }, message) => {
                self.read_seen(message, &up_to, Delivery::new(status, at)).await?;
            }
            (InboundKind::ContactActed { what, referral, opens_window, raw, .. }, _) => {
                self.tell(EventKind::ContactActed { what, raw });
                let opens = match referral {
                    Some(referral) if referral.is_ad() => Opening::Ad,
                    _ if opens_window => Opening::Ordinary,
                    _ => Opening::Nothing,
                };
                self.decide(Input::ContactActed { at, opens });
            }
            (InboundKind::MarketingChanged { allowed, .. }, _) => {
                let until = (!allowed).then_some(Timestamp::MAX);
                self.decide(Input::MarketingRefused { until });
            }
            (InboundKind::ThreadControlChanged { change, owner, .. }, _) => self.read_control(change, owner),
            (InboundKind::Kept { kind, raw, .. }, _) => {
                let channel = self.channel();
                self.tell(EventKind::WebhookKept { kind, channel, raw });
            }
            // A report or a change without its message is not put into an inbox.
            _ => tracing::warn!(conversation = %self.conversation(), "a letter of no use was acknowledged"),
        }
        Ok(())
    }

    async fn read_message(
        &mut self,
        id: MessageId,
        kind: InboundKind,
        at: Timestamp,
        accepted_at: Timestamp,
    ) -> Result<(), StorageError> {
        let (author, provider_id, content, context, referral, arrival) = match kind {
            InboundKind::MessageReceived { provider_id, content, context, referral, arrival, .. } => {
                (Author::Contact, provider_id, content, context, referral, arrival)
            }
            InboundKind::EchoReceived { provider_id, content, context, through, arrival, .. } => {
                (Author::Business { through }, provider_id, content, context, None, arrival)
            }
            _ => return Ok(()),
        };
        let opens = match (&content, arrival, &referral) {
            (Content::Comment { .. }, _, _) | (_, Arrival::Imported, _) => Opening::Nothing,
            (_, _, Some(referral)) if referral.is_ad() => Opening::Ad,
            _ => Opening::Ordinary,
        };
        let mut message = Message {
            context,
            referral,
            recorded_at: accepted_at,
            provider_id: Some(provider_id),
            ..Message::new(id, self.conversation(), author, content, at)
        };
        if message.content == Content::Removed {
            message.remove(accepted_at);
        }
        if arrival == Arrival::Standby {
            self.decide(Input::ThreadLost);
        }
        let answer = arrival == Arrival::Live && message.content.is_answerable();
        self.await_media(&message);
        match message.author.clone() {
            Author::Business { through } => {
                message.delivery = Some(Delivery::new(DeliveryStatus::Sent, at));
                self.tell(EventKind::MessageEchoed { message: message.clone(), arrival });
                self.put_message(message);
                if arrival == Arrival::Live {
                    self.decide(Input::BusinessWrote { through: through.name().to_owned() });
                }
            }
            _ => {
                let wants_silence = answer && self.wants_silence(&message).await?;
                let fragment = looks_like_fragment(&message.content);
                let answer = answer && !wants_silence;
                self.tell(EventKind::MessageReceived { message: message.clone(), arrival });
                self.put_message(message);
                self.decide(Input::MessageReceived { message: id, sent_at: at, answer, fragment, opens });
                if wants_silence {
                    self.decide(Input::OptedOut);
                }
            }
        }
        Ok(())
    }

    /// Whether a message asks for silence, and is no answer to what was asked.
    async fn wants_silence(&self, message: &Message) -> Result<bool, StorageError> {
        let Content::Text { body, .. } = &message.content else { return Ok(false) };
        let own = &self.assistant().settings.people.opt_out_words;
        let word = match opt_out::asked(body.reveal(Reply), own) {
            None => return Ok(false),
            Some(OptOut::Surely) => return Ok(true),
            Some(OptOut::Unless { word }) => word,
        };
        let last = self.outbound_before(message.sent_at, 1).await?.into_iter().next();
        let said = last.and_then(|last| words(&last.content));
        Ok(!said.is_some_and(|said| opt_out::offers(&said, word)))
    }

    /// Remembers the files that are still at Meta.
    fn await_media(&mut self, message: &Message) {
        let is_at_meta = |source: &MediaSource| matches!(source, MediaSource::Meta { .. });
        if message.content.media().iter().any(|media| is_at_meta(&media.source)) {
            self.set_pending_media(message.id, true);
        }
    }

    async fn read_edit(
        &mut self,
        id: MessageId,
        content: Option<Content>,
        at: Timestamp,
    ) -> Result<(), StorageError> {
        let Some(mut message) = self.message(id).await? else { return Ok(()) };
        // Edits may come in any order: an older one changes nothing.
        if message.removed_at.is_some() || message.edited_at.is_some_and(|edited| edited > at) {
            return Ok(());
        }
        message.edited_at = Some(at);
        if let Some(content) = content {
            self.condemn_media(&message);
            message.content = content;
            self.await_media(&message);
        }
        let by_contact = message.is_inbound();
        self.tell(EventKind::MessageEdited { message: message.clone() });
        self.put_message(message);
        if by_contact {
            self.decide(Input::MessageEdited { message: id });
        }
        Ok(())
    }

    async fn read_removal(&mut self, id: MessageId, at: Timestamp) -> Result<(), StorageError> {
        let Some(mut message) = self.message(id).await? else { return Ok(()) };
        self.condemn_media(&message);
        let by_contact = message.is_inbound();
        message.remove(at);
        self.strip_events(id);
        self.tell(EventKind::MessageRemoved { message: id });
        self.put_message(message);
        if by_contact {
            self.decide(Input::MessageRemoved { message: id });
        }
        Ok(())
    }

    async fn read_reaction(
        &mut self,
        id: Option<MessageId>,
        by_contact: bool,
        emoji: Option<Pii<String>>,
        at: Timestamp,
    ) -> Result<(), StorageError> {
        let message = match id {
            Some(id) => self.message(id).await?,
            None => None,
        };
        let known = message.as_ref().map(|message| message.id);
        if let Some(mut message) = message
            && message.react(by_contact, emoji.clone())
        {
            self.put_message(message);
        }
        self.tell(EventKind::MessageReacted { message: known, by_contact, emoji });
        if by_contact {
            self.decide(Input::ContactActed { at, opens: Opening::Ordinary });
        }
        Ok(())
    }

    async fn read_status(
        &mut self,
        id: MessageId,
        provider_id: Pii<String>,
        delivery: Delivery,
    ) -> Result<(), StorageError> {
        self.name_message(id, provider_id);
        if let Some(problem) = delivery.problem.clone() {
            self.take_problem(&problem);
            if self.send_again(id, &problem).await? {
                return Ok(());
            }
        }
        let known = self.report(id, delivery).await?;
        // What the channel reports on has left: whatever was not known of it is settled.
        if known.is_some_and(|known| known.status <= DeliveryStatus::Unknown) {
            self.leave_outbox(id);
        }
        Ok(())
    }

    /// Everything that went out up to a mark was delivered, or read.
    async fn read_seen(
        &mut self,
        id: Option<MessageId>,
        up_to: &SeenMark,
        delivery: Delivery,
    ) -> Result<(), StorageError> {
        let until = match (up_to, id) {
            (SeenMark::Moment { at }, _) => Some(*at),
            (SeenMark::Message { .. }, Some(id)) => self.message(id).await?.map(|message| message.sent_at),
            (SeenMark::Message { .. }, None) => None,
        };
        let Some(until) = until else { return Ok(()) };
        for message in self.outbound_before(until, SEEN_MAX).await? {
            // What is only known to be older than the mark may have failed, or never have left.
            let known = message.delivery.as_ref().map(|known| known.status);
            let arrived = matches!(known, Some(DeliveryStatus::Sent | DeliveryStatus::Delivered));
            if arrived && known < Some(delivery.status) {
                self.report(message.id, delivery.clone()).await?;
            }
        }
        Ok(())
    }

    fn read_control(&mut self, change: ThreadChange, owner: Option<String>) {
        let ours = self.app_id();
        match change {
            ThreadChange::Requested => self.tell(EventKind::ThreadRequested { app_id: owner }),
            // Meta tells of a pass whoever gets the conversation, and of a taking whoever loses it
            // (Messenger Platform, "Handover protocol"); the owner's id decides where it is named.
            ThreadChange::Passed if owner.is_none() || ours.is_none() || owner == ours => {
                self.decide(Input::ThreadRegained);
            }
            ThreadChange::Taken if owner.is_some() && owner == ours => self.decide(Input::ThreadRegained),
            ThreadChange::Passed | ThreadChange::Taken => self.decide(Input::ThreadLost),
        }
    }

    async fn read_report(&mut self, report: SendReport) -> Result<(), StorageError> {
        let SendReport { message, at, outcome } = report;
        let (status, problem) = match outcome {
            SendOutcome::Sent { provider_id } => {
                self.name_message(message, provider_id);
                (DeliveryStatus::Sent, None)
            }
            SendOutcome::Postponed { not_before, problem, .. } => {
                self.tell(EventKind::MessagePostponed { message, not_before, reason: problem.title });
                return Ok(());
            }
            SendOutcome::Refused { problem } => {
                self.take_problem(&problem);
                (DeliveryStatus::Failed, Some(problem))
            }
            SendOutcome::Unknown => (DeliveryStatus::Unknown, None),
            SendOutcome::Withdrawn { reason } => {
                self.tell(EventKind::MessageWithdrawn { message, reason });
                (DeliveryStatus::Withdrawn, None)
            }
        };
        self.report(message, Delivery { problem, ..Delivery::new(status, at) }).await?;
        Ok(())
    }

    /// What a problem with one message says about the contact and the conversation.
    fn take_problem(&mut self, problem: &DeliveryProblem) {
        match problem.class {
            ProblemClass::Recipient => self.decide(Input::Unreachable { problem: problem.clone() }),
            ProblemClass::OptOut => self.decide(Input::MarketingRefused { until: Some(Timestamp::MAX) }),
            ProblemClass::Drop if problem.code == NOT_DELIVERED_BY_CHOICE => {
                let until = Some(self.now().plus_millis(SPARED_MS));
                self.decide(Input::MarketingRefused { until });
            }
            ProblemClass::ThreadControl => self.decide(Input::ThreadLost),
            // The whole channel is concerned.
            ProblemClass::Auth | ProblemClass::AccountBlock => self.warn(problem.clone()),
            _ => {}
        }
    }

    /// Sends a message again that the channel accepted and then gave up, where that is known to be
    /// harmless and may help. Says whether it did.
    async fn send_again(&mut self, id: MessageId, problem: &DeliveryProblem) -> Result<bool, StorageError> {
        let (after_ms, times_max) = match after_status(problem) {
            AfterStatus::Again => (AGAIN_MS, AGAIN_MAX),
            AfterStatus::Once => (AGAIN_MS, 1),
            AfterStatus::Wait(ThrottleScope::Pair) => (PAIR_MS, AGAIN_MAX),
            AfterStatus::Wait(_) => (THROTTLED_MS, AGAIN_MAX),
            AfterStatus::Stay => return Ok(false),
        };
        let Some(message) = self.message(id).await? else { return Ok(false) };
        let decided = |known: &Delivery| known.status > DeliveryStatus::Sent;
        if message.resent >= times_max || message.delivery.as_ref().is_none_or(decided) {
            return Ok(false);
        }
        self.handed_over().await;
        self.leave_outbox(id);
        let not_before = self.now().plus_millis(after_ms << message.resent.min(16));
        self.tell(EventKind::MessagePostponed { message: id, not_before, reason: problem.title.clone() });
        self.resend(Message { resent: message.resent + 1, ..message }, not_before);
        Ok(true)
    }
}
