//! One step of a conversation, and facts beside it.

use iassistance_domain::Timestamp;
use iassistance_domain::conversation::{Conversation, Epoch};
use iassistance_domain::event::{EventKind, EventSeq};
use iassistance_domain::id::ConversationId;

use super::Result;
use super::tenant::TenantData;
use crate::commit::ConversationCommit;
use crate::error::StorageError;

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
        let channel = stored.conversation.channel;
        stored.conversation = as_stored(&commit.conversation)?;
        stored.revision += 1;
        for seq in commit.acknowledge {
            self.inbox.remove(&(id, seq));
        }
        for message in commit.messages {
            let (message_id, provider_id) = (message.id, message.provider_id.clone());
            self.messages.insert((id, message_id), message);
            if let Some(provider_id) = provider_id {
                self.know(channel, &provider_id, (id, message_id));
            }
        }
        for (message_id, report, provider_id) in commit.deliveries {
            let Some(message) = self.messages.get_mut(&(id, message_id)) else { continue };
            let Some(delivery) = &mut message.delivery else { continue };
            delivery.advance(&report);
            if let Some(provider_id) = provider_id {
                message.provider_id = Some(provider_id.clone());
                self.know(channel, &provider_id, (id, message_id));
            }
        }
        self.outbox.retain(|(of, _), entry| *of != id || !commit.outbox_done.contains(&entry.message));
        for entry in commit.outbox {
            self.outbox_order += 1;
            self.outbox.insert((id, self.outbox_order), entry);
        }
        self.turns.extend(commit.turns.into_iter().map(|turn| ((id, turn.id), turn)));
        self.dead_letters.extend(commit.dead_letters.into_iter().map(|letter| (letter.id, letter)));
        for event in commit.events {
            self.record(Some(id), event, now);
        }
        Ok(self.publish())
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
