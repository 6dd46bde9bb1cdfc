//! One step of a conversation, and facts beside it.

use iassistance_domain::assistant::{AssistantSettings, AssistantSettingsVersion};
use iassistance_domain::conversation::{Conversation, Epoch};
use iassistance_domain::delivery::Delivery;
use iassistance_domain::event::{DeadLetter, EventKind, EventSeq};
use iassistance_domain::id::{ContactId, ConversationId, MessageId};
use iassistance_domain::message::Message;
use iassistance_domain::{Pii, Timestamp};

use super::keys::{self, ASSISTANT, Fence, FenceState, Home, Key, Known, StoredConversation};
use super::provider::provider_hash;
use super::space::{Read, Result};
use super::tx::{Owner, Tx};
use crate::commit::ConversationCommit;
use crate::error::StorageError;
use crate::rules::{carry_over, is_ours};

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
            self.put_message(message, id, &state)?;
        }
        for (message, report, provider_id) in commit.deliveries {
            self.advance((id, message), &report, provider_id, &state)?;
        }
        for message in commit.outbox_done {
            self.remove_from_outbox(id, message)?;
        }
        for entry in commit.outbox {
            self.append_to_outbox(id, state.contact, &entry)?;
        }
        for turn in commit.turns {
            self.put(&keys::turn(id, turn.id), Owner::Tenant, &turn)?;
        }
        for letter in commit.dead_letters {
            self.put(&keys::dead_letter(letter.id), Owner::Tenant, &letter)?;
        }
        self.record_all(Some((id, state.contact)), commit.events, now)
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
    ) -> Result<()> {
        let key = keys::message(conversation, message.id);
        match self.get_readable(&key)? {
            Some(before) => carry_over(&mut message, before),
            // A message that came in is asked for by Meta's id alone.
            None if is_ours(&message.author) => {
                let home = Home { conversation, channel: of.channel, contact: of.contact };
                self.put(&keys::home(message.id), Owner::Tenant, &home)?;
            }
            None => {}
        }
        self.put_named(&key, message, of)
    }

    /// Puts a message, which can be found by Meta's id from now on and says nothing if it was taken
    /// back by it.
    fn put_named(&mut self, key: &Key<Message>, mut message: Message, of: &FenceState) -> Result<()> {
        let owner = Owner::Contact(of.contact);
        let Some(provider_id) = &message.provider_id else { return self.put(key, owner, &message) };
        let hash = provider_hash(self.space, of.channel, provider_id);
        if let Some(at) = self.removed_at(hash)? {
            message.remove(at);
        }
        self.put(key, owner, &message)?;
        let (conversation, ours) = (message.conversation, is_ours(&message.author));
        self.know(hash, Known { message: message.id, conversation, contact: of.contact, ours })
    }

    /// Takes a report on a message of ours into account.
    fn advance(
        &mut self,
        (conversation, id): (ConversationId, MessageId),
        report: &Delivery,
        provider_id: Option<Pii<String>>,
        of: &FenceState,
    ) -> Result<()> {
        let key = keys::message(conversation, id);
        let Some(mut message) = self.get(&key)? else { return Ok(()) };
        let Some(delivery) = &mut message.delivery else { return Ok(()) };
        let moved = delivery.advance(report);
        if provider_id.is_some() {
            message.provider_id = provider_id;
            return self.put_named(&key, message, of);
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

    /// Puts a dead letter and the event that tells of it.
    pub(super) fn put_dead_letter(
        &mut self,
        letter: &DeadLetter,
        event: EventKind,
        now: Timestamp,
    ) -> Result<()> {
        self.append(Some(letter.conversation), vec![event], now)?;
        self.put(&keys::dead_letter(letter.id), Owner::Tenant, letter)
    }

    /// Stores the next version of the assistant's settings, and the fact in the log.
    pub(super) fn put_assistant(
        &mut self,
        settings: AssistantSettings,
        expected: Option<u64>,
        now: Timestamp,
    ) -> Result<AssistantSettingsVersion> {
        if expected.is_some_and(|expected| expected != self.counters.settings) {
            return Err(StorageError::Stale);
        }
        self.counters.settings += 1;
        let version = AssistantSettingsVersion { version: self.counters.settings, settings };
        self.put(&ASSISTANT.key().number(version.version), Owner::Tenant, &version)?;
        self.record(None, EventKind::SettingsChanged { version: version.version }, now)?;
        Ok(version)
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
