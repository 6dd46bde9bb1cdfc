//! The door to one tenant's data.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::watch;

use iassistance_domain::Timestamp;
use iassistance_domain::assistant::{AssistantDraft, AssistantSettings, AssistantSettingsVersion};
use iassistance_domain::budget::{Budgets, Cost, Day, Reservation};
use iassistance_domain::channel::{Channel, MessageTemplate};
use iassistance_domain::contact::Contact;
use iassistance_domain::conversation::Conversation;
use iassistance_domain::event::{DeadLetter, Event, EventKind, EventSeq};
use iassistance_domain::golden::GoldenQuestion;
use iassistance_domain::id::{
    ChannelId, ContactId, ConversationId, DeadLetterId, DocumentId, GoldenId, MessageId, TenantId, TurnId,
};
use iassistance_domain::inbound::InboundEvent;
use iassistance_domain::knowledge::{Document, Passage};
use iassistance_domain::message::Message;
use iassistance_domain::outbox::OutboxEntry;
use iassistance_domain::summary::Summary;
use iassistance_domain::turn::TurnRecord;
use iassistance_vault::ContentKey;

use super::tenant::TenantData;
use super::{Result, Shared};
use crate::commit::{Accepted, ConversationCommit, InboxEntry, SendReport, TurnCommit};
use crate::content::ContentOwner;
use crate::error::StorageError;
use crate::hooks::Hooks;
use crate::rules::OUTBOUND_SCAN_MAX;
use crate::store::{Dispatch, TenantStore};

pub(super) struct MemoryTenant {
    pub(super) shared: Arc<Shared>,
    pub(super) id: TenantId,
}

impl MemoryTenant {
    pub(super) fn with<T>(&self, act: impl FnOnce(&mut TenantData) -> T) -> Result<T> {
        self.with_or(true, act)
    }

    fn with_or<T>(&self, unless_closed: bool, act: impl FnOnce(&mut TenantData) -> T) -> Result<T> {
        let mut state = if unless_closed { self.shared.open()? } else { self.shared.lock() };
        let (_, data) = state.tenants.get_mut(&self.id).ok_or(StorageError::NoSuchTenant(self.id))?;
        Ok(act(data))
    }

    /// Refuses a channel that is not this tenant's.
    fn with_channel<T>(&self, channel: ChannelId, act: impl FnOnce(&mut TenantData) -> T) -> Result<T> {
        let mut state = self.shared.open()?;
        if state.channels.get(&channel).is_none_or(|channel| channel.tenant != self.id) {
            return Err(StorageError::NotFound("channel"));
        }
        let (_, data) = state.tenants.get_mut(&self.id).ok_or(StorageError::NoSuchTenant(self.id))?;
        Ok(act(data))
    }

    fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }
}

/// The last of `rows` whose key is below `before`, newest first.
pub(super) fn newest<'a, K: Ord + 'a, V: Clone + 'a>(
    rows: impl DoubleEndedIterator<Item = (K, &'a V)>,
    before: Option<&K>,
    limit: usize,
) -> Vec<V> {
    let below = rows.rev().filter(|(key, _)| before.is_none_or(|before| key < before));
    below.take(limit).map(|(_, value)| value.clone()).collect()
}

#[async_trait]
impl TenantStore for MemoryTenant {
    async fn accept(&self, channel: ChannelId, events: &[InboundEvent]) -> Result<Accepted> {
        if self.shared.open()?.is_closed(self.id) {
            return Err(StorageError::NotFound("channel"));
        }
        self.with_channel(channel, |_| ())?;
        self.shared.open()?.room_for_letters(&self.shared.limits, self.id)?;
        self.with_channel(channel, |data| data.accept(&self.shared, channel, events))
    }

    async fn inbox(&self, conversation: ConversationId, limit: usize) -> Result<Vec<InboxEntry>> {
        self.with(|data| {
            let letters = data.inbox.range((conversation, 0)..=(conversation, u64::MAX));
            letters.take(limit).map(|(_, entry)| entry.clone()).collect()
        })
    }

    async fn unfinished(&self, after: Option<ConversationId>, limit: usize) -> Result<Vec<ConversationId>> {
        self.with(|data| {
            let mut ids: Vec<_> = data.unfinished().into_iter().filter(|id| Some(*id) > after).collect();
            ids.sort_unstable();
            ids.truncate(limit);
            ids
        })
    }

    async fn conversation(&self, id: ConversationId) -> Result<Option<(Conversation, u64)>> {
        self.with(|data| {
            data.conversations.get(&id).map(|stored| (stored.conversation.clone(), stored.revision))
        })
    }

    async fn commit(&self, commit: ConversationCommit) -> Result<EventSeq> {
        self.with(|data| data.commit(commit, None, self.now()))?
    }

    async fn commit_turn(&self, commit: TurnCommit) -> Result<EventSeq> {
        self.with(|data| data.commit(commit.commit, Some(commit.epoch), self.now()))?
    }

    async fn append(&self, conversation: Option<ConversationId>, events: Vec<EventKind>) -> Result<EventSeq> {
        self.with(|data| data.append(conversation, events, self.now()))?
    }

    async fn begin_dispatch(&self, conversation: ConversationId) -> Result<Dispatch> {
        self.with(|data| data.begin_dispatch(conversation, self.now()))
    }

    async fn settle(&self, conversation: ConversationId, report: SendReport) -> Result<()> {
        self.with(|data| data.settle(conversation, report, self.now()))
    }

    async fn outbox(&self, conversation: ConversationId) -> Result<Vec<OutboxEntry>> {
        self.with(|data| {
            let entries = data.outbox.range((conversation, 0)..=(conversation, u64::MAX));
            entries.map(|(_, entry)| entry.clone()).collect()
        })
    }

    async fn contact(&self, id: ContactId) -> Result<Option<Contact>> {
        self.with(|data| data.contacts.get(&id).cloned())
    }

    fn safety_identifier(&self, id: ContactId) -> String {
        let chance = || {
            const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
            let mut bytes = [0; 43];
            self.shared.entropy.fill(&mut bytes);
            bytes.iter().map(|byte| char::from(ALPHABET[usize::from(byte % 64)])).collect()
        };
        let known = self.with_or(false, |data| data.safety.entry(id).or_insert_with(chance).clone());
        known.unwrap_or_default()
    }

    async fn conversations(&self, before: Option<ConversationId>, limit: usize) -> Result<Vec<Conversation>> {
        self.with(|data| {
            let rows = data.conversations.iter().map(|(id, stored)| (*id, &stored.conversation));
            newest(rows, before.as_ref(), limit)
        })
    }

    async fn messages(
        &self,
        conversation: ConversationId,
        before: Option<MessageId>,
        limit: usize,
    ) -> Result<Vec<Message>> {
        self.with(|data| {
            let rows = data.messages.iter().filter(|((id, _), _)| *id == conversation);
            newest(rows.map(|((_, id), message)| (*id, message)), before.as_ref(), limit)
        })
    }

    async fn outbound_before(
        &self,
        conversation: ConversationId,
        at: Timestamp,
        limit: usize,
    ) -> Result<Vec<Message>> {
        let latest = self.messages(conversation, None, OUTBOUND_SCAN_MAX).await?;
        let went_out = latest.into_iter().filter(|it| it.delivery.is_some() && it.sent_at <= at);
        Ok(went_out.take(limit).collect())
    }

    async fn message(&self, conversation: ConversationId, id: MessageId) -> Result<Option<Message>> {
        self.with(|data| data.messages.get(&(conversation, id)).cloned())
    }

    async fn turns(
        &self,
        conversation: ConversationId,
        before: Option<TurnId>,
        limit: usize,
    ) -> Result<Vec<TurnRecord>> {
        self.with(|data| {
            let rows = data.turns.iter().filter(|((id, _), _)| *id == conversation);
            newest(rows.map(|((_, id), turn)| (*id, turn)), before.as_ref(), limit)
        })
    }

    async fn turn(&self, conversation: ConversationId, id: TurnId) -> Result<Option<TurnRecord>> {
        self.with(|data| data.turns.get(&(conversation, id)).cloned())
    }

    async fn dead_letters(&self, before: Option<DeadLetterId>, limit: usize) -> Result<Vec<DeadLetter>> {
        self.with(|data| {
            newest(data.dead_letters.iter().map(|(id, letter)| (*id, letter)), before.as_ref(), limit)
        })
    }

    async fn dead_letter(&self, id: DeadLetterId) -> Result<Option<DeadLetter>> {
        self.with(|data| data.dead_letters.get(&id).cloned())
    }

    async fn put_dead_letter(&self, letter: DeadLetter, event: EventKind) -> Result<()> {
        self.with(|data| {
            data.append(Some(letter.conversation), vec![event], self.now())?;
            data.dead_letters.insert(letter.id, letter);
            Ok(())
        })?
    }

    async fn events(&self, after: EventSeq, limit: usize) -> Result<Vec<Event>> {
        self.with(|data| {
            let present = |mut event: Event| {
                if let Some(message) = event.kind.message_mut()
                    && let Some(stored) = data.messages.get(&(message.conversation, message.id))
                {
                    message.clone_from(stored);
                }
                event
            };
            data.events
                .iter()
                .skip(data.forgotten)
                .filter(|event| event.seq > after)
                .take(limit)
                .cloned()
                .map(present)
                .collect()
        })
    }

    fn latest_event(&self) -> watch::Receiver<EventSeq> {
        let receiver = self.with_or(false, |data| data.latest.subscribe());
        receiver.unwrap_or_else(|_| watch::channel(EventSeq::default()).1)
    }

    async fn channels(&self) -> Result<Vec<Channel>> {
        let state = self.shared.open()?;
        Ok(state.channels.values().filter(|channel| channel.tenant == self.id).cloned().collect())
    }

    async fn channel(&self, id: ChannelId) -> Result<Option<Channel>> {
        let state = self.shared.open()?;
        Ok(state.channels.get(&id).filter(|channel| channel.tenant == self.id).cloned())
    }

    async fn put_templates(&self, channel: ChannelId, templates: Vec<MessageTemplate>) -> Result<()> {
        self.with_channel(channel, |data| {
            data.templates.insert(channel, templates);
            data.templates.retain(|_, templates| !templates.is_empty());
        })
    }

    async fn templates(&self, channel: ChannelId) -> Result<Vec<MessageTemplate>> {
        self.with(|data| data.templates.get(&channel).cloned().unwrap_or_default())
    }

    async fn summary(&self, conversation: ConversationId) -> Result<Option<Summary>> {
        self.with(|data| data.summaries.get(&conversation).cloned())
    }

    async fn assistant(&self) -> Result<Option<AssistantSettingsVersion>> {
        self.with(|data| data.settings.last_key_value().map(|(_, version)| version.clone()))
    }

    async fn assistant_version(&self, version: u64) -> Result<Option<AssistantSettingsVersion>> {
        self.with(|data| data.settings.get(&version).cloned())
    }

    async fn assistant_versions(
        &self,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<AssistantSettingsVersion>> {
        self.with(|data| {
            newest(data.settings.iter().map(|(number, version)| (*number, version)), before.as_ref(), limit)
        })
    }

    async fn put_assistant(
        &self,
        settings: AssistantSettings,
        expected: Option<u64>,
    ) -> Result<AssistantSettingsVersion> {
        self.with(|data| data.publish_settings(settings, &[expected], None, self.now()))?
    }

    async fn assistant_draft(&self) -> Result<Option<AssistantDraft>> {
        self.with(|data| data.draft.clone())
    }

    async fn put_assistant_draft(&self, settings: AssistantSettings) -> Result<AssistantDraft> {
        self.with(|data| {
            let draft = AssistantDraft { settings, based_on: data.settings_version(), saved_at: self.now() };
            data.draft.insert(draft).clone()
        })
    }

    async fn discard_assistant_draft(&self) -> Result<bool> {
        self.with(|data| data.draft.take().is_some())
    }

    async fn publish_assistant_draft(&self, expected: Option<u64>) -> Result<AssistantSettingsVersion> {
        self.with(|data| data.publish_draft(expected, self.now()))?
    }

    async fn roll_back_assistant(
        &self,
        version: u64,
        expected: Option<u64>,
    ) -> Result<AssistantSettingsVersion> {
        self.with(|data| {
            let former = data.settings.get(&version).cloned().ok_or(StorageError::NotFound("version"))?;
            data.publish_settings(former.settings, &[expected], Some(version), self.now())
        })?
    }

    async fn reserve(&self, reservation: Reservation, least: Cost, budgets: Budgets) -> Result<Option<Cost>> {
        self.with(|data| data.money.reserve(reservation, least, &budgets))
    }

    async fn settle_reservation(&self, turn: TurnId, spent: Cost) -> Result<()> {
        self.with(|data| data.money.settle(turn, spent))
    }

    async fn spend(
        &self,
        conversation: ConversationId,
        contact: ContactId,
        day: Day,
        amount: Cost,
    ) -> Result<()> {
        self.with(|data| data.money.spend(conversation, contact, day, amount))
    }

    async fn spent(&self, day: Day) -> Result<Cost> {
        self.with(|data| data.money.spent(day))
    }

    async fn spent_on_contact(&self, contact: ContactId, day: Day) -> Result<Cost> {
        self.with(|data| data.money.spent_on(contact, day))
    }

    async fn spent_in(&self, conversation: ConversationId) -> Result<Cost> {
        self.with(|data| data.money.spent_in(conversation))
    }

    async fn put_document(&self, document: Document) -> Result<()> {
        self.with(|data| data.put_document(document, self.now()))?
    }

    async fn documents(&self) -> Result<Vec<Document>> {
        self.with(|data| data.documents.values().map(|(document, _)| document.clone()).collect())
    }

    async fn document(&self, id: DocumentId) -> Result<Option<Document>> {
        self.with(|data| data.documents.get(&id).map(|(document, _)| document.clone()))
    }

    async fn put_passages(&self, document: DocumentId, passages: Vec<Passage>) -> Result<()> {
        self.with(|data| data.put_passages(document, passages))?
    }

    async fn passages(&self) -> Result<Vec<Passage>> {
        self.with(|data| {
            data.documents.values().flat_map(|(_, passages)| passages.values()).cloned().collect()
        })
    }

    async fn remove_document(&self, id: DocumentId) -> Result<bool> {
        self.with(|data| data.remove_document(id, self.now()))
    }

    async fn put_golden(&self, question: GoldenQuestion) -> Result<()> {
        self.with(|data| data.put_golden(question))?
    }

    async fn golden(&self) -> Result<Vec<GoldenQuestion>> {
        self.with(|data| data.golden.values().cloned().collect())
    }

    async fn remove_golden(&self, id: GoldenId) -> Result<bool> {
        self.with(|data| data.golden.remove(&id).is_some())
    }

    async fn content_key(&self, owner: ContentOwner) -> Result<ContentKey> {
        let chance = || ContentKey::fleeting(self.id, Arc::clone(&self.shared.entropy));
        self.with(|data| match owner {
            ContentOwner::Contact(id) if !data.contacts.contains_key(&id) => {
                data.content_keys.remove(&owner);
                Err(StorageError::NotFound("contact's key"))
            }
            _ => Ok(data.content_keys.entry(owner).or_insert_with(chance).clone()),
        })?
    }

    fn hooks(&self) -> &dyn Hooks {
        self
    }
}
