//! One step of a conversation, and facts beside it.

use iassistance_domain::conversation::{Conversation, Epoch};
use iassistance_domain::delivery::Delivery;
use iassistance_domain::event::{DeadLetter, EventKind, EventSeq};
use iassistance_domain::id::{ContactId, ConversationId, MessageId};
use iassistance_domain::message::Message;
use iassistance_domain::{Pii, Timestamp};

use super::keys::{self, Fence, FenceState, Home, Key, Known, StoredConversation, aside};
use super::provider::provider_hash;
use super::space::{Read, Result};
use super::tx::{Owner, Tx};
use crate::commit::ConversationCommit;
use crate::error::StorageError;
use crate::rules::{carry_over, is_ours, note};

impl Tx<'_> {
    /// Writes one step; of a turn, if its epoch still holds.
    pub(super) fn commit(
        &mut self,
        commit: ConversationCommit,
        turn: Option<Epoch>,
        now: Timestamp,
    ) -> Result<EventSeq> {
        let id = commit.conversation.id;
        let fence = self.fence(id)?;
        if fence.revision != commit.revision || turn.is_some_and(|epoch| epoch != fence.state.epoch) {
            return Err(StorageError::Stale);
        }
        let Fence { revision, state } = fence;
        self.put_state(commit.conversation, revision + 1, state.contact)?;
        for seq in commit.acknowledge {
            if self.remove(&keys::letter(id, seq))? {
                self.counters.letters = self.counters.letters.saturating_sub(1);
            }
        }
        for message in commit.messages {
            self.put_message(message, id, &state, now)?;
        }
        for (message, report, provider_id) in commit.deliveries {
            self.advance((id, message), &report, provider_id, &state, now)?;
        }
        for message in commit.outbox_done {
            self.remove_from_outbox(id, message)?;
        }
        for entry in commit.outbox {
            self.append_to_outbox(id, state.contact, &entry)?;
        }
        for turn in commit.turns {
            self.put_turn(turn, state.contact)?;
        }
        for letter in commit.dead_letters {
            self.put(&keys::dead_letter(letter.id), Owner::Tenant, &letter)?;
        }
        self.note(state.contact, commit.attributes)?;
        if let Some(change) = commit.summary {
            self.change_summary(id, state.contact, change)?;
        }
        self.record_all(Some((id, state.contact)), commit.events, now)
    }

    /// Notes facts about a contact. One whose record does not open cannot be told of.
    fn note(&mut self, id: ContactId, mut facts: Vec<(String, Pii<String>)>) -> Result<()> {
        if facts.is_empty() {
            return Ok(());
        }
        let key = keys::contact(id);
        let Some(mut contact) = self.get_readable(&key)? else { return Ok(()) };
        facts.retain(|(name, _)| !contact.standing.is_corrected(name));
        note(&mut contact.attributes, facts);
        self.put(&key, Owner::Contact(id), &contact)
    }

    fn put_state(&mut self, conversation: Conversation, revision: u64, contact: ContactId) -> Result<()> {
        let (id, is_busy) = (conversation.id, conversation.is_busy());
        let stored = StoredConversation { revision, conversation };
        self.put(&keys::conversation(id), Owner::Contact(contact), &stored)?;
        let busy = keys::busy(id);
        match (is_busy, self.has(&busy)?) {
            (true, false) => self.put(&busy, Owner::Tenant, &()),
            (false, true) => self.remove(&busy).map(drop),
            _ => Ok(()),
        }
    }

    /// Puts a message, new or changed.
    fn put_message(
        &mut self,
        mut message: Message,
        conversation: ConversationId,
        of: &FenceState,
        now: Timestamp,
    ) -> Result<()> {
        let key = keys::message(conversation, message.id);
        let mut was_said = false;
        match self.get_readable(&key)? {
            Some(before) => {
                was_said = before.removed_at.is_none();
                carry_over(&mut message, before);
            }
            // A message that came in is asked for by Meta's id alone.
            None if is_ours(&message) => {
                let home = Home { conversation, channel: of.channel, contact: of.contact };
                self.put(&keys::home(message.id), Owner::Tenant, &home)?;
            }
            None => {}
        }
        self.put_named(&key, message, of, was_said.then_some(now))
    }

    /// Puts a message, which can be found by Meta's id from now on and says nothing if it was taken
    /// back by it. One that said something until now takes what was made of
    /// that with it.
    fn put_named(
        &mut self,
        key: &Key<Message>,
        mut message: Message,
        of: &FenceState,
        said_until: Option<Timestamp>,
    ) -> Result<()> {
        let hash = message.provider_id.as_ref().map(|id| provider_hash(self.space, of.channel, id));
        if let Some(hash) = hash
            && let Some(at) = self.removed_at(hash)?
        {
            message.remove(at);
        }
        self.put(key, Owner::Contact(of.contact), &message)?;
        if let Some(now) = said_until.filter(|_| message.removed_at.is_some()) {
            self.unsay(&message, of.contact, now)?;
        }
        let Some(hash) = hash else { return Ok(()) };
        let (conversation, ours) = (message.conversation, is_ours(&message));
        self.know(hash, Known { message: message.id, conversation, contact: of.contact, ours })
    }

    /// Takes a report on a message of ours into account.
    fn advance(
        &mut self,
        (conversation, id): (ConversationId, MessageId),
        report: &Delivery,
        provider_id: Option<Pii<String>>,
        of: &FenceState,
        now: Timestamp,
    ) -> Result<()> {
        let key = keys::message(conversation, id);
        let Some(mut message) = self.get(&key)? else { return Ok(()) };
        let Some(delivery) = &mut message.delivery else { return Ok(()) };
        let moved = delivery.advance(report);
        if provider_id.is_some() {
            message.provider_id = provider_id;
            let said_until = message.removed_at.is_none().then_some(now);
            return self.put_named(&key, message, of, said_until);
        }
        if moved { self.put(&key, Owner::Contact(of.contact), &message) } else { Ok(()) }
    }

    /// Appends facts that belong to no step of a conversation.
    pub(super) fn append(
        &mut self,
        conversation: Option<ConversationId>,
        events: Vec<EventKind>,
        now: Timestamp,
    ) -> Result<EventSeq> {
        let about = match conversation {
            Some(id) => Some((id, self.fence(id)?.state.contact)),
            None => None,
        };
        self.record_all(about, events, now)
    }

    /// Puts a dead letter and the event that tells of it; also of a conversation whose own record does not
    /// open, or was set aside for that.
    pub(super) fn put_dead_letter(
        &mut self,
        letter: &DeadLetter,
        event: EventKind,
        now: Timestamp,
    ) -> Result<()> {
        let key = keys::fence(letter.conversation);
        let contact = match self.fence(letter.conversation) {
            Ok(fence) => Some(fence.state.contact),
            Err(StorageError::Damaged { .. } | StorageError::NewerRecord { .. }) => None,
            Err(StorageError::NotFound(_)) if self.sealed(&aside(key.bytes()))?.is_some() => None,
            Err(error) => return Err(error),
        };
        self.record_of(Some(letter.conversation), contact, event, now)?;
        self.put(&keys::dead_letter(letter.id), Owner::Tenant, letter)
    }

    pub(super) fn fence(&self, id: ConversationId) -> Result<Fence> {
        self.get(&keys::fence(id))?.ok_or(StorageError::NotFound("conversation"))
    }

    fn record_all(
        &mut self,
        about: Option<(ConversationId, ContactId)>,
        events: Vec<EventKind>,
        now: Timestamp,
    ) -> Result<EventSeq> {
        for event in events {
            self.record(about, event, now)?;
        }
        Ok(EventSeq(self.counters.event))
    }
}
