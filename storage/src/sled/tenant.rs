//! The door to one tenant's data.

use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;
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

use super::accept::Circumstances;
use super::channels::open_channel;
use super::erasing::is_of_erased;
use super::keys::{
    self, ASSISTANT, ASSISTANT_DRAFT, BUSY, CONVERSATION, DEAD_LETTER, EVENT, GOLDEN, INBOX, Key, OUTBOX,
    id_in, number_in,
};
use super::line::Urgency;
use super::space::{Page, Read, Result, Space, vault_error};
use super::tx::{Owner, Tx};
use super::{Core, blocking};
use crate::commit::{Accepted, ConversationCommit, InboxEntry, SendReport, TurnCommit};
use crate::content::ContentOwner;
use crate::error::StorageError;
use crate::hooks::Hooks;
use crate::rules::OUTBOUND_SCAN_MAX;
use crate::store::{Dispatch, TenantStore};

pub(super) struct SledTenant {
    pub(super) core: Arc<Core>,
    pub(super) id: TenantId,
    pub(super) space: Arc<Space>,
}

impl SledTenant {
    pub(super) async fn write<R: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Tx<'_>) -> Result<R> + Send + 'static,
    ) -> Result<R> {
        self.core.writer.write(&self.space, work).await
    }

    /// A write that is told the time at which it is made.
    async fn write_at<R: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Tx<'_>, Timestamp) -> Result<R> + Send + 'static,
    ) -> Result<R> {
        let clock = Arc::clone(&self.core.clock);
        self.write(move |tx| work(tx, clock.now())).await
    }

    pub(super) fn one<T: DeserializeOwned>(&self, key: &Key<T>) -> Result<Option<T>> {
        self.core.writer.health()?;
        self.space.get(key)
    }

    /// Refuses a channel that is not this tenant's.
    fn must_have(&self, channel: ChannelId) -> Result<()> {
        self.core.writer.health()?;
        let owner = self.core.directory().owner(channel);
        if owner == Some(self.id) { Ok(()) } else { Err(StorageError::NotFound("channel")) }
    }

    pub(super) async fn scan<R: Send + 'static>(
        &self,
        read: impl FnOnce(&Space) -> Result<R> + Send + 'static,
    ) -> Result<R> {
        self.core.writer.health()?;
        let space = Arc::clone(&self.space);
        blocking(move || read(&space)).await
    }

    /// The first records with this prefix, at most `limit`: at once where they are few and no group is being
    /// applied, for going to the pool and back costs more than reading them.
    pub(super) async fn first<T: DeserializeOwned + Send + 'static>(
        &self,
        prefix: Key<T>,
        limit: usize,
    ) -> Result<Vec<(::sled::IVec, T)>> {
        self.core.writer.health()?;
        if let Some(rows) = self.space.few_rows(prefix.bytes(), limit)? {
            let mut found = Vec::with_capacity(rows.len());
            let shown = rows.len();
            self.space.open_all(prefix.kind, rows, &mut found)?;
            // Where one did not open, there may be another behind it.
            if found.len() == shown || shown < limit {
                return Ok(found);
            }
        }
        self.scan(move |space| space.list(&prefix, Page::First, limit)).await
    }

    /// Records downwards from the one at `before`, without itself.
    pub(super) async fn newest<T: DeserializeOwned + Send + 'static>(
        &self,
        prefix: Key<T>,
        before: Option<Key<T>>,
        limit: usize,
    ) -> Result<Vec<T>> {
        self.scan(move |space| {
            let page = before.as_ref().map_or(Page::Last, |before| Page::Before(before.bytes()));
            Ok(space.list(&prefix, page, limit)?.into_iter().map(|(_, record)| record).collect())
        })
        .await
    }
}

/// The conversations that have a record of one of `kinds`, in order after `after`. Seeks from one to
/// the next, so a conversation with many letters costs no more than one with one.
fn having(
    space: &Space,
    kinds: [u8; 3],
    after: Option<ConversationId>,
    limit: usize,
) -> Result<Vec<ConversationId>> {
    let next = |kind: u8, after: Option<ConversationId>| -> Result<Option<ConversationId>> {
        // Above every key of that conversation: the longest is kind ‖ id ‖ number ‖ id.
        let above = after.map(|id| [&[kind][..], &id.to_bytes(), &[u8::MAX; 25]].concat());
        let page = above.as_deref().map_or(Page::First, Page::After);
        let row = space.rows(&[kind], page, 1)?.pop();
        Ok(row.and_then(|(key, _)| id_in(&key, 1)).map(ConversationId::from_bytes))
    };
    let mut heads = [None; 3];
    for (head, kind) in heads.iter_mut().zip(kinds) {
        *head = next(kind, after)?;
    }
    let mut found = Vec::new();
    while found.len() < limit {
        let Some(first) = heads.iter().flatten().min().copied() else { break };
        found.push(first);
        for (head, kind) in heads.iter_mut().zip(kinds) {
            if *head == Some(first) {
                *head = next(kind, Some(first))?;
            }
        }
    }
    Ok(found)
}

impl Space {
    /// The log after a place, up to another. Where an event does not open, or is not there any more, there
    /// is one that says so: whoever counts along misses none, and sees that there was one. What is gone before
    /// the first that is there is not told of.
    fn events(&self, after: EventSeq, latest: EventSeq, limit: usize) -> Result<Vec<Event>> {
        let rows = self.rows(EVENT.key().bytes(), Page::After(keys::event(after.0).bytes()), limit)?;
        let first = rows.first().and_then(|(key, _)| number_in(key, 1));
        let from = after.0.saturating_add(1);
        let from = match first {
            Some(first) if first > from && self.is_first_event(first)? => first,
            _ => from,
        };
        let mut rows = rows.into_iter().peekable();
        let mut events: Vec<Event> = Vec::with_capacity(limit);
        for seq in (from..=latest.0).take(limit) {
            let row = rows.next_if(|(key, _)| number_in(key, 1) == Some(seq));
            // When it was, its neighbour knows about.
            let at = events.last().map(|event| event.at).unwrap_or_default();
            let instead = |kind| Event { seq: EventSeq(seq), at, conversation: None, contact: None, kind };
            let event = match row {
                Some((_, sealed)) if is_of_erased(self, &sealed)? => instead(EventKind::EventErased),
                Some((key, sealed)) => match self.open_record(EVENT, &key, &sealed) {
                    Ok(event) => self.with_words(event)?,
                    Err(StorageError::Damaged { .. } | StorageError::NewerRecord { .. }) => {
                        instead(EventKind::EventUnreadable)
                    }
                    Err(error) => return Err(error),
                },
                None => instead(EventKind::EventUnreadable),
            };
            events.push(event);
        }
        Ok(events)
    }

    /// Whether nothing of the log is there before this event.
    fn is_first_event(&self, seq: u64) -> Result<bool> {
        let first = self.rows(EVENT.key().bytes(), Page::First, 1)?;
        let aside = self.rows(&keys::aside(EVENT.key().bytes()), Page::First, 1)?;
        let is_before = |key: Option<u64>| key.is_some_and(|key| key < seq);
        let first = first.first().and_then(|(key, _)| number_in(key, 1));
        Ok(!is_before(first) && !is_before(aside.first().and_then(|(key, _)| number_in(key, 2))))
    }

    /// An event with the message that it carries as that is now.
    fn with_words(&self, mut event: Event) -> Result<Event> {
        if let Some(message) = event.kind.message_mut() {
            match self.get_readable(&keys::message(message.conversation, message.id)) {
                Ok(Some(present)) => *message = present,
                Ok(None) | Err(StorageError::NewerRecord { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(event)
    }
}

#[async_trait]
impl TenantStore for SledTenant {
    async fn accept(&self, channel: ChannelId, events: &[InboundEvent]) -> Result<Accepted> {
        self.core.room.for_new()?;
        self.must_have(channel)?;
        if self.core.is_closed(self.id) {
            return Err(StorageError::NotFound("channel"));
        }
        let (core, events) = (Arc::clone(&self.core), events.to_vec());
        self.write_at(move |tx, now| {
            let around = Circumstances { limits: &core.limits, entropy: &*core.entropy, now, channel };
            tx.accept(&around, events)
        })
        .await
    }

    async fn inbox(&self, conversation: ConversationId, limit: usize) -> Result<Vec<InboxEntry>> {
        let letters = self.first(keys::letters(conversation), limit).await?;
        let entry = |(key, stored): (::sled::IVec, keys::StoredLetter)| InboxEntry {
            seq: number_in(&key, 17).unwrap_or_default(),
            accepted_at: stored.accepted_at,
            letter: stored.letter,
        };
        Ok(letters.into_iter().map(entry).collect())
    }

    async fn unfinished(&self, after: Option<ConversationId>, limit: usize) -> Result<Vec<ConversationId>> {
        self.scan(move |space| having(space, [BUSY.code, INBOX.code, OUTBOX.code], after, limit)).await
    }

    async fn conversation(&self, id: ConversationId) -> Result<Option<(Conversation, u64)>> {
        let stored = self.one(&keys::conversation(id))?;
        Ok(stored.map(|stored| (stored.conversation, stored.revision)))
    }

    async fn commit(&self, commit: ConversationCommit) -> Result<EventSeq> {
        // A step that reads letters gets cheaper with each letter that comes while it waits.
        let urgency = if commit.acknowledge.is_empty() { Urgency::Urgent } else { Urgency::Patient };
        let clock = Arc::clone(&self.core.clock);
        let write = move |tx: &mut Tx<'_>| tx.commit(commit, None, clock.now());
        self.core.writer.write_as(urgency, &self.space, write).await
    }

    async fn commit_turn(&self, commit: TurnCommit) -> Result<EventSeq> {
        self.write_at(move |tx, now| tx.commit(commit.commit, Some(commit.epoch), now)).await
    }

    async fn append(&self, conversation: Option<ConversationId>, events: Vec<EventKind>) -> Result<EventSeq> {
        self.write_at(move |tx, now| tx.append(conversation, events, now)).await
    }

    async fn begin_dispatch(&self, conversation: ConversationId) -> Result<Dispatch> {
        self.write_at(move |tx, now| tx.begin_dispatch(conversation, now)).await
    }

    async fn settle(&self, conversation: ConversationId, report: SendReport) -> Result<()> {
        self.write_at(move |tx, now| tx.settle(conversation, report, now)).await
    }

    async fn outbox(&self, conversation: ConversationId) -> Result<Vec<OutboxEntry>> {
        let entries = self.first(keys::outbox(conversation), usize::MAX).await?;
        Ok(entries.into_iter().map(|(_, entry)| entry).collect())
    }

    async fn contact(&self, id: ContactId) -> Result<Option<Contact>> {
        self.one(&keys::contact(id))
    }

    fn safety_identifier(&self, id: ContactId) -> String {
        URL_SAFE_NO_PAD.encode(self.space.vault.hash("safety identifier", &id.to_bytes()))
    }

    async fn conversations(&self, before: Option<ConversationId>, limit: usize) -> Result<Vec<Conversation>> {
        let newest = self.newest(CONVERSATION.key(), before.map(keys::conversation), limit).await?;
        Ok(newest.into_iter().map(|stored| stored.conversation).collect())
    }

    async fn messages(
        &self,
        conversation: ConversationId,
        before: Option<MessageId>,
        limit: usize,
    ) -> Result<Vec<Message>> {
        let before = before.map(|id| keys::message(conversation, id));
        self.newest(keys::messages(conversation), before, limit).await
    }

    async fn outbound_before(
        &self,
        conversation: ConversationId,
        at: Timestamp,
        limit: usize,
    ) -> Result<Vec<Message>> {
        let mut messages = self.newest(keys::messages(conversation), None, OUTBOUND_SCAN_MAX).await?;
        messages.retain(|message: &Message| message.delivery.is_some() && message.sent_at <= at);
        messages.truncate(limit);
        Ok(messages)
    }

    async fn message(&self, conversation: ConversationId, id: MessageId) -> Result<Option<Message>> {
        self.one(&keys::message(conversation, id))
    }

    async fn turns(
        &self,
        conversation: ConversationId,
        before: Option<TurnId>,
        limit: usize,
    ) -> Result<Vec<TurnRecord>> {
        let before = before.map(|id| keys::turn(conversation, id));
        self.newest(keys::turns(conversation), before, limit).await
    }

    async fn turn(&self, conversation: ConversationId, id: TurnId) -> Result<Option<TurnRecord>> {
        self.one(&keys::turn(conversation, id))
    }

    async fn dead_letters(&self, before: Option<DeadLetterId>, limit: usize) -> Result<Vec<DeadLetter>> {
        self.newest(DEAD_LETTER.key(), before.map(keys::dead_letter), limit).await
    }

    async fn dead_letter(&self, id: DeadLetterId) -> Result<Option<DeadLetter>> {
        self.one(&keys::dead_letter(id))
    }

    async fn put_dead_letter(&self, letter: DeadLetter, event: EventKind) -> Result<()> {
        self.write_at(move |tx, now| tx.put_dead_letter(&letter, event, now)).await
    }

    async fn events(&self, after: EventSeq, limit: usize) -> Result<Vec<Event>> {
        // What is not durable yet is not told: its place may be another event's after a crash.
        let latest = *self.space.latest_event.borrow();
        let limit = limit.min(usize::try_from(latest.0.saturating_sub(after.0)).unwrap_or(usize::MAX));
        self.scan(move |space| space.events(after, latest, limit)).await
    }

    fn latest_event(&self) -> watch::Receiver<EventSeq> {
        self.space.latest_event.subscribe()
    }

    async fn channels(&self) -> Result<Vec<Channel>> {
        self.core.writer.health()?;
        let (platform, vault, id) = (Arc::clone(&self.core.platform), self.space.vault.clone(), self.id);
        blocking(move || {
            let rows = platform.rows(keys::channels(id).bytes(), Page::First, usize::MAX)?;
            Ok(rows.iter().filter_map(|(key, sealed)| open_channel(&vault, key, sealed).ok()).collect())
        })
        .await
    }

    async fn channel(&self, id: ChannelId) -> Result<Option<Channel>> {
        self.core.writer.health()?;
        let key = keys::channel(self.id, id);
        let Some(sealed) = self.core.platform.sealed(key.bytes())? else { return Ok(None) };
        open_channel(&self.space.vault, key.bytes(), &sealed).map(Some)
    }

    async fn put_templates(&self, channel: ChannelId, templates: Vec<MessageTemplate>) -> Result<()> {
        self.must_have(channel)?;
        let key = keys::templates(channel);
        self.write(move |tx| {
            if templates.is_empty() {
                return tx.remove(&key).map(drop);
            }
            tx.put(&key, Owner::Tenant, &templates)
        })
        .await
    }

    async fn templates(&self, channel: ChannelId) -> Result<Vec<MessageTemplate>> {
        self.one(&keys::templates(channel)).map(Option::unwrap_or_default)
    }

    async fn summary(&self, conversation: ConversationId) -> Result<Option<Summary>> {
        self.core.writer.health()?;
        // One that does not open is made anew.
        let stored = self.space.get_readable(&keys::summary(conversation))?;
        Ok(stored.and_then(|stored| stored.summary))
    }

    async fn assistant(&self) -> Result<Option<AssistantSettingsVersion>> {
        Ok(self.newest(ASSISTANT.key(), None, 1).await?.pop())
    }

    async fn assistant_version(&self, version: u64) -> Result<Option<AssistantSettingsVersion>> {
        self.one(&keys::assistant(version))
    }

    async fn assistant_versions(
        &self,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<AssistantSettingsVersion>> {
        self.newest(ASSISTANT.key(), before.map(keys::assistant), limit).await
    }

    async fn put_assistant(
        &self,
        settings: AssistantSettings,
        expected: Option<u64>,
    ) -> Result<AssistantSettingsVersion> {
        self.core.room.for_new()?;
        self.write_at(move |tx, now| tx.put_assistant(settings, expected, now)).await
    }

    async fn assistant_draft(&self) -> Result<Option<AssistantDraft>> {
        self.one(&ASSISTANT_DRAFT.key())
    }

    async fn put_assistant_draft(&self, settings: AssistantSettings) -> Result<AssistantDraft> {
        self.core.room.for_new()?;
        self.write_at(move |tx, now| tx.put_draft(settings, now)).await
    }

    async fn discard_assistant_draft(&self) -> Result<bool> {
        self.write(move |tx| tx.remove(&ASSISTANT_DRAFT.key())).await
    }

    async fn publish_assistant_draft(&self, expected: Option<u64>) -> Result<AssistantSettingsVersion> {
        self.write_at(move |tx, now| tx.publish_draft(expected, now)).await
    }

    async fn roll_back_assistant(
        &self,
        version: u64,
        expected: Option<u64>,
    ) -> Result<AssistantSettingsVersion> {
        self.write_at(move |tx, now| tx.roll_back(version, expected, now)).await
    }

    async fn reserve(&self, reservation: Reservation, least: Cost, budgets: Budgets) -> Result<Option<Cost>> {
        self.write(move |tx| tx.reserve(reservation, least, &budgets)).await
    }

    async fn settle_reservation(&self, turn: TurnId, spent: Cost) -> Result<()> {
        self.write(move |tx| tx.settle_reservation(turn, spent)).await
    }

    async fn spend(
        &self,
        conversation: ConversationId,
        contact: ContactId,
        day: Day,
        amount: Cost,
    ) -> Result<()> {
        if amount == Cost::default() {
            return self.core.writer.health();
        }
        let spend = move |tx: &mut Tx<'_>| tx.spend(conversation, contact, day, amount);
        self.core.writer.write_as(Urgency::Patient, &self.space, spend).await
    }

    async fn spent(&self, day: Day) -> Result<Cost> {
        self.one(&keys::spent(day)).map(Option::unwrap_or_default)
    }

    async fn spent_on_contact(&self, contact: ContactId, day: Day) -> Result<Cost> {
        self.one(&keys::spent_on(contact, day)).map(Option::unwrap_or_default)
    }

    async fn spent_in(&self, conversation: ConversationId) -> Result<Cost> {
        self.one(&keys::spent_in(conversation)).map(Option::unwrap_or_default)
    }

    async fn put_document(&self, document: Document) -> Result<()> {
        self.core.room.for_new()?;
        self.write_at(move |tx, now| tx.put_document(document, now)).await
    }

    async fn documents(&self) -> Result<Vec<Document>> {
        self.scan(Space::documents).await
    }

    async fn document(&self, id: DocumentId) -> Result<Option<Document>> {
        Ok(self.one(&keys::document(id))?.map(|stored| stored.document))
    }

    async fn put_passages(&self, document: DocumentId, passages: Vec<Passage>) -> Result<()> {
        self.core.writer.put_passages(&self.space, document, passages).await
    }

    async fn passages(&self) -> Result<Vec<Passage>> {
        self.scan(Space::passages).await
    }

    async fn remove_document(&self, id: DocumentId) -> Result<bool> {
        let removed = self.write_at(move |tx, now| tx.remove_document(id, now)).await?;
        self.core.writer.forget_passages(&self.space, id).await?;
        Ok(removed)
    }

    async fn put_golden(&self, question: GoldenQuestion) -> Result<()> {
        self.core.room.for_new()?;
        self.write(move |tx| tx.put_golden(&question)).await
    }

    async fn golden(&self) -> Result<Vec<GoldenQuestion>> {
        let questions = self.scan(|space| space.list(&GOLDEN.key(), Page::First, usize::MAX)).await?;
        Ok(questions.into_iter().map(|(_, question)| question).collect())
    }

    async fn remove_golden(&self, id: GoldenId) -> Result<bool> {
        self.write(move |tx| tx.remove(&keys::golden(id))).await
    }

    async fn content_key(&self, owner: ContentOwner) -> Result<ContentKey> {
        self.core.writer.health()?;
        // The tenant's own files have a key like a contact's, so that an epoch may end and the files
        // stay as they are.
        let subject = match owner {
            ContentOwner::Contact(contact) => contact,
            ContentOwner::Tenant => ContactId::from_bytes(self.id.to_bytes()),
        };
        // Looked up each time: the cache may still have a key that was destroyed.
        if !self.space.has(&keys::subject_key(subject))? {
            if owner != ContentOwner::Tenant {
                return Err(StorageError::NotFound("contact's key"));
            }
            let make = move |tx: &mut Tx<'_>| {
                if tx.has(&keys::subject_key(subject))? { Ok(()) } else { tx.new_subject_key(subject) }
            };
            self.write(make).await?;
        }
        let key = self.space.subject_key(subject)?;
        self.space.vault.content_key(&key).map_err(vault_error)
    }

    fn hooks(&self) -> &dyn Hooks {
        self
    }
}
