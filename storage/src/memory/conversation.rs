//! One step of a conversation, and facts beside it.

use iassistance_domain::Timestamp;
use iassistance_domain::conversation::{Conversation, Epoch};
use iassistance_domain::event::{EventKind, EventSeq};
use iassistance_domain::id::{ChannelId, ConversationId, MessageId};
use iassistance_domain::message::Message;

use super::Result;
use super::tenant::{Known, TenantData};
use crate::commit::{ConversationCommit, SummaryChange};
use crate::error::StorageError;
use crate::rules::{TURNS_UNSAID_MAX, carry_over, first_turn_after, forget_words, is_ours, may_cover, note};

impl TenantData {
    /// Writes one step; of a turn, if its epoch still holds.
    pub(super) fn commit(
        &mut self,
        commit: ConversationCommit,
        turn: Option<Epoch>,
        now: Timestamp,
    ) -> Result<EventSeq> {
        let id = commit.conversation.id;
        let stored = self.conversations.get_mut(&id).ok_or(StorageError::NotFound("conversation"))?;
        let overtaken = turn.is_some_and(|epoch| epoch != stored.conversation.epoch());
        if stored.revision != commit.revision || overtaken {
            return Err(StorageError::Stale);
        }
        let (channel, contact) = (stored.conversation.channel, stored.conversation.contact);
        stored.busy = commit.conversation.is_busy();
        stored.conversation = as_stored(&commit.conversation)?;
        stored.revision += 1;
        for seq in commit.acknowledge {
            self.inbox.remove(&(id, seq));
        }
        for mut message in commit.messages {
            if let Some(before) = self.messages.get(&(id, message.id)) {
                carry_over(&mut message, before.clone());
            }
            self.put_message(channel, message, now);
        }
        for (message_id, report, provider_id) in commit.deliveries {
            let Some(message) = self.messages.get_mut(&(id, message_id)) else { continue };
            let Some(delivery) = &mut message.delivery else { continue };
            delivery.advance(&report);
            if provider_id.is_some() {
                let message = Message { provider_id, ..message.clone() };
                self.put_message(channel, message, now);
            }
        }
        self.outbox.retain(|(of, _), entry| *of != id || !commit.outbox_done.contains(&entry.message));
        for entry in commit.outbox {
            self.outbox_order += 1;
            self.outbox.insert((id, self.outbox_order), entry);
        }
        for mut turn in commit.turns {
            if self.unsaid_since(id, turn.started_at) {
                forget_words(&mut turn);
            }
            self.turns.insert((id, turn.id), turn);
        }
        self.dead_letters.extend(commit.dead_letters.into_iter().map(|letter| (letter.id, letter)));
        if let Some(contact) = self.contacts.get_mut(&contact) {
            let mut facts = commit.attributes;
            facts.retain(|(name, _)| !contact.standing.is_corrected(name));
            note(&mut contact.attributes, facts);
        }
        self.change_summary(id, commit.summary);
        for event in commit.events {
            self.record(Some(id), event, now);
        }
        Ok(self.publish())
    }

    fn change_summary(&mut self, id: ConversationId, change: Option<SummaryChange>) {
        match change {
            Some(SummaryChange::Put(summary)) if !self.unsaid_since(id, summary.made_at) => {
                self.summaries.insert(id, summary);
            }
            Some(SummaryChange::Drop) => drop(self.summaries.remove(&id)),
            Some(SummaryChange::Put(_)) | None => {}
        }
    }

    /// Whether a message of a conversation was taken back at this moment or later.
    fn unsaid_since(&self, id: ConversationId, at: Timestamp) -> bool {
        self.unsaid.get(&id).is_some_and(|unsaid_at| *unsaid_at >= at)
    }

    /// A message that says something is taken back: a summary that may tell of it goes, and none that was
    /// made before now comes any more; turns that may have read it lose their words.
    pub(super) fn unsay(&mut self, place: (ConversationId, MessageId), now: Timestamp) {
        let Some(message) = self.messages.get(&place).filter(|message| message.removed_at.is_none()) else {
            return;
        };
        self.unsaid.entry(place.0).and_modify(|at| *at = now.max(*at)).or_insert(now);
        if let Some(summary) = self.summaries.get(&place.0) {
            let until = self.messages.get(&(place.0, summary.until)).map(|until| until.sent_at);
            if may_cover(summary, until, message) {
                self.summaries.remove(&place.0);
            }
        }
        let first = (place.0, first_turn_after(place.1));
        let later = self.turns.range_mut(first..).take_while(|((id, _), _)| *id == place.0);
        for (_, turn) in later.take(TURNS_UNSAID_MAX) {
            forget_words(turn);
        }
    }

    /// Puts a message, which can be found by Meta's id from now on; one that was taken back by it says
    /// nothing.
    fn put_message(&mut self, channel: ChannelId, mut message: Message, now: Timestamp) {
        let place = (message.conversation, message.id);
        let known = Known { conversation: place.0, message: place.1, ours: is_ours(&message) };
        let provider_id = message.provider_id.clone();
        let address = provider_id.map(|provider_id| (channel, provider_id));
        if let Some((_, at)) = address.as_ref().and_then(|address| self.tombstones.get(address)) {
            message.remove(*at);
        }
        if message.removed_at.is_some() {
            self.unsay(place, now);
        }
        self.messages.insert(place, message);
        if let Some((channel, provider_id)) = address {
            self.know(channel, &provider_id, known);
        }
    }

    pub(super) fn append(
        &mut self,
        conversation: Option<ConversationId>,
        events: Vec<EventKind>,
        now: Timestamp,
    ) -> Result<EventSeq> {
        if conversation.is_some_and(|id| !self.conversations.contains_key(&id)) {
            return Err(StorageError::NotFound("conversation"));
        }
        for event in events {
            self.record(conversation, event, now);
        }
        Ok(self.publish())
    }
}

/// A conversation without what is not stored of it: the settings it was told.
fn as_stored(conversation: &Conversation) -> Result<Conversation> {
    serde_json::to_value(conversation)
        .and_then(serde_json::from_value)
        .map_err(|_| StorageError::Damaged { kind: "conversation" })
}
