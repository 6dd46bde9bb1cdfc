//! What one tenant has, in plain structures.

use std::collections::{BTreeMap, HashMap, HashSet};

use tokio::sync::watch;

use iassistance_domain::assistant::{AssistantDraft, AssistantSettingsVersion};
use iassistance_domain::channel::MessageTemplate;
use iassistance_domain::contact::Contact;
use iassistance_domain::conversation::Conversation;
use iassistance_domain::event::{DeadLetter, Event, EventKind, EventSeq};
use iassistance_domain::golden::GoldenQuestion;
use iassistance_domain::id::{
    ChannelId, ContactId, ConversationId, DeadLetterId, DocumentId, GoldenId, MessageId, TurnId,
};
use iassistance_domain::inbound::{InboundEvent, InboundKind};
use iassistance_domain::knowledge::{Document, Passage};
use iassistance_domain::message::Message;
use iassistance_domain::outbox::OutboxEntry;
use iassistance_domain::privacy::Suppression;
use iassistance_domain::summary::Summary;
use iassistance_domain::turn::TurnRecord;
use iassistance_domain::{Pii, Timestamp};
use iassistance_vault::ContentKey;

use super::hooks::HooksData;
use super::keeping::KeepingData;
use super::leaving::LeavingData;
use super::money::Money;
use crate::commit::{InboxEntry, Letter};
use crate::content::ContentOwner;
use crate::rules::strip;

/// A status or an edit whose message is not known.
#[derive(Clone)]
pub(super) struct Parked {
    pub(super) accepted_at: Timestamp,
    pub(super) channel: ChannelId,
    pub(super) provider_id: Pii<String>,
    pub(super) event: InboundEvent,
}

/// The message that one of Meta's ids stands for.
#[derive(Clone, Copy)]
pub(super) struct Known {
    pub(super) conversation: ConversationId,
    pub(super) message: MessageId,
    /// Whether it goes out through us.
    pub(super) ours: bool,
}

/// A conversation as it is stored.
#[derive(Clone)]
pub(super) struct Stored {
    pub(super) conversation: Conversation,
    pub(super) revision: u64,
    /// Whether something was under way in it when it was stored.
    pub(super) busy: bool,
}

#[derive(Default)]
pub(super) struct TenantData {
    pub(super) dedup: HashMap<(ChannelId, Pii<String>), Timestamp>,
    pub(super) addresses: HashMap<(ChannelId, &'static str, Pii<String>), ContactId>,
    pub(super) contacts: BTreeMap<ContactId, Contact>,
    pub(super) safety: HashMap<ContactId, String>,
    pub(super) content_keys: HashMap<ContentOwner, ContentKey>,
    pub(super) conversations: BTreeMap<ConversationId, Stored>,
    pub(super) inbox: BTreeMap<(ConversationId, u64), InboxEntry>,
    pub(super) inbox_seq: u64,
    pub(super) parked: Vec<Parked>,
    pub(super) outbox: BTreeMap<(ConversationId, u64), OutboxEntry>,
    pub(super) outbox_order: u64,
    pub(super) messages: BTreeMap<(ConversationId, MessageId), Message>,
    pub(super) provider_ids: HashMap<(ChannelId, Pii<String>), Known>,
    /// Messages that were taken back: since when that is known, and when it was.
    pub(super) tombstones: HashMap<(ChannelId, Pii<String>), (Timestamp, Timestamp)>,
    pub(super) templates: BTreeMap<ChannelId, Vec<MessageTemplate>>,
    pub(super) turns: BTreeMap<(ConversationId, TurnId), TurnRecord>,
    pub(super) dead_letters: BTreeMap<DeadLetterId, DeadLetter>,
    pub(super) events: Vec<Event>,
    pub(super) latest: watch::Sender<EventSeq>,
    pub(super) settings: BTreeMap<u64, AssistantSettingsVersion>,
    pub(super) draft: Option<AssistantDraft>,
    pub(super) hooks: HooksData,
    pub(super) summaries: BTreeMap<ConversationId, Summary>,
    /// When a message of a conversation was last taken back.
    pub(super) unsaid: HashMap<ConversationId, Timestamp>,
    pub(super) money: Money,
    /// Documents with their passages by place.
    pub(super) documents: BTreeMap<DocumentId, (Document, BTreeMap<u32, Passage>)>,
    pub(super) golden: BTreeMap<GoldenId, GoldenQuestion>,
    pub(super) keeping: KeepingData,
    pub(super) leaving: LeavingData,
    /// What those refused of whom nothing else is left.
    pub(super) suppressed: HashMap<(ChannelId, &'static str, Pii<String>), Suppression>,
    /// Messages that were erased, by Meta's ids: since when.
    pub(super) erased: HashMap<(ChannelId, Pii<String>), Timestamp>,
    /// How many events at the beginning of the log are not told of any more.
    pub(super) forgotten: usize,
}

impl TenantData {
    pub(super) fn put_letter(
        &mut self,
        conversation: ConversationId,
        accepted_at: Timestamp,
        letter: Letter,
    ) {
        self.inbox_seq += 1;
        let entry = InboxEntry { seq: self.inbox_seq, accepted_at, letter };
        self.inbox.insert((conversation, self.inbox_seq), entry);
    }

    /// Appends a fact, without the contents of messages; a conversation's fact is about its contact.
    pub(super) fn record(
        &mut self,
        conversation: Option<ConversationId>,
        mut kind: EventKind,
        at: Timestamp,
    ) {
        if let Some(message) = kind.message_mut() {
            strip(message);
        }
        let contact =
            conversation.and_then(|id| self.conversations.get(&id)).map(|stored| stored.conversation.contact);
        self.events.push(Event {
            seq: EventSeq(self.events.len() as u64 + 1),
            at,
            conversation,
            contact,
            kind,
        });
    }

    /// Tells those who watch the log.
    pub(super) fn publish(&self) -> EventSeq {
        let latest = EventSeq(self.events.len() as u64);
        if *self.latest.borrow() != latest {
            self.latest.send_replace(latest);
        }
        latest
    }

    /// From now on a message can be found by Meta's id; what was parked for it arrives.
    pub(super) fn know(&mut self, channel: ChannelId, provider_id: &Pii<String>, known: Known) {
        let entry = self.provider_ids.entry((channel, provider_id.clone())).or_insert(known);
        // What was taken for another's gives way to ours, and not the other way round.
        if known.ours || !entry.ours {
            *entry = known;
        }
        let Known { conversation, message, .. } = *entry;
        let (mine, others): (Vec<_>, Vec<_>) = std::mem::take(&mut self.parked)
            .into_iter()
            .partition(|parked| parked.channel == channel && parked.provider_id == *provider_id);
        self.parked = others;
        for parked in mine {
            self.put_letter(conversation, parked.accepted_at, about(message, parked.event));
        }
    }

    pub(super) fn unfinished(&self) -> HashSet<ConversationId> {
        let busy = self.conversations.iter().filter(|(_, stored)| stored.busy);
        let letters = self.inbox.keys().chain(self.outbox.keys()).map(|(id, _)| *id);
        busy.map(|(id, _)| *id).chain(letters).collect()
    }

    pub(super) fn records(&self) -> u64 {
        let counts = [
            self.dedup.len(),
            self.addresses.len(),
            self.contacts.len(),
            self.conversations.len(),
            self.inbox.len(),
            self.parked.len(),
            self.outbox.len(),
            self.messages.len(),
            self.provider_ids.len(),
            self.tombstones.len(),
            self.templates.len(),
            self.turns.len(),
            self.dead_letters.len(),
            self.events.len(),
            self.settings.len(),
            usize::from(self.draft.is_some()),
            self.summaries.len(),
            self.money.records(),
            self.documents.len(),
            self.documents.values().map(|(_, passages)| passages.len()).sum(),
            self.golden.len(),
            self.keeping.records(),
            self.leaving.records(),
            self.suppressed.len(),
        ];
        counts.iter().map(|count| *count as u64).sum()
    }
}

/// A letter about a message; a status itself says too which one it is about.
pub(super) fn about(known: MessageId, mut event: InboundEvent) -> Letter {
    if let InboundKind::StatusChanged { message, .. } = &mut event.kind {
        *message = Some(known);
    }
    Letter::Inbound { message: Some(known), event }
}
