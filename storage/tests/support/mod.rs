//! Both backends behind one face, and short words for what tests put into them.
#![allow(dead_code, missing_docs, reason = "each test binary uses its part of this")]
#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

pub mod furnish;
mod furnish_keeping;
mod furnish_people;
pub mod furnish_rights;
pub mod rows;
mod samples;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use iassistance_domain::assistant::AssistantSettings;
use iassistance_domain::budget::{Cost, Day, Reservation};
use iassistance_domain::channel::{Channel, ChannelAddress, ChannelKind};
use iassistance_domain::contact::ContactIdentity;
use iassistance_domain::conversation::{Conversation, Input, TurnPolicy};
use iassistance_domain::delivery::{Delivery, DeliveryStatus};
use iassistance_domain::event::EventKind;
use iassistance_domain::golden::{GoldenQuestion, Traits};
use iassistance_domain::id::{ContactId, ConversationId, DocumentId, GoldenId, MessageId, TurnId};
use iassistance_domain::inbound::{Arrival, InboundEvent, InboundKind};
use iassistance_domain::knowledge::{Document, DocumentState, Passage};
use iassistance_domain::message::{Author, Content, Elsewhere, Message};
use iassistance_domain::outbox::SendOutcome;
use iassistance_domain::pii::TenantView;
use iassistance_domain::tenant::TenantCtx;
use iassistance_domain::turn::TurnRecord;
use iassistance_domain::window::Opening;
use iassistance_domain::{Clock, ManualClock, Pii, SeededEntropy, Timestamp};
use iassistance_storage::sled::disk::{Disk, SystemDisk};
use iassistance_storage::{
    ConversationCommit, Examination, InboxEntry, Letter, Limits, MemoryStore, Problem, SendReport,
    SledOptions, SledStore, StorageError, Store, TenantStore,
};
use iassistance_vault::{Keyring, RootKey, SystemEntropy};
use tempfile::TempDir;

pub use samples::*;

pub struct World {
    pub clock: ManualClock,
    pub store: Arc<dyn Store>,
    pub limits: Limits,
    entropy: Arc<SeededEntropy>,
    pub home: Option<Home>,
}

/// Where a store on sled lives.
pub struct Home {
    pub folder: PathBuf,
    pub keyring: Arc<Keyring>,
    _kept: Option<TempDir>,
}

impl Home {
    pub fn path(&self) -> PathBuf {
        self.folder.join("store")
    }
}

pub fn small_limits() -> Limits {
    Limits { inbox_entries_max: 200, letters_max: 260, parked_max: 5, unrouted_max: 4, ..Limits::default() }
}

impl World {
    pub fn memory() -> Self {
        Self::memory_with(small_limits())
    }

    pub fn memory_with(limits: Limits) -> Self {
        let (clock, entropy) = (ManualClock::at(START), Arc::new(SeededEntropy::new(7)));
        let store = MemoryStore::new(limits.clone(), Arc::new(clock.clone()), entropy.clone());
        Self { clock, store: Arc::new(store), limits, entropy, home: None }
    }

    pub fn sled() -> Self {
        Self::sled_with(small_limits(), Arc::new(SystemDisk))
    }

    pub fn sled_with(limits: Limits, disk: Arc<dyn Disk>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let world = Self::sled_in(folder.path(), limits, disk);
        let home = world.home.map(|home| Home { _kept: Some(folder), ..home });
        Self { home, ..world }
    }

    /// A store in a folder that may have one already.
    pub fn sled_in(folder: &Path, limits: Limits, disk: Arc<dyn Disk>) -> Self {
        Self::sled_by_chance(folder, limits, disk, 7)
    }

    /// A store in a folder that has one, if it opens.
    pub fn open_in(folder: &Path, limits: Limits) -> Result<Self, StorageError> {
        let root = RootKey::from_text(&"0123456789abcdef".repeat(4)).unwrap();
        let keyring = Keyring::open(&folder.join("keyring"), &root, true, Arc::new(SystemEntropy)).unwrap();
        let home = Home { folder: folder.to_owned(), keyring: Arc::new(keyring), _kept: None };
        let (clock, entropy) = (ManualClock::at(START), Arc::new(SeededEntropy::new(8)));
        let store = open(&home, &limits, Arc::new(SystemDisk), false, &clock, &entropy)?;
        Ok(Self { clock, store: Arc::new(store), limits, entropy, home: Some(home) })
    }

    /// The same with a chance of its own: processes that follow each other on one store must not give
    /// the same ids again.
    pub fn sled_by_chance(folder: &Path, limits: Limits, disk: Arc<dyn Disk>, seed: u64) -> Self {
        let root = RootKey::from_text(&"0123456789abcdef".repeat(4)).unwrap();
        let keyring_file = folder.join("keyring");
        let exists = keyring_file.exists();
        let keyring = Keyring::open(&keyring_file, &root, exists, Arc::new(SystemEntropy)).unwrap();
        let home = Home { folder: folder.to_owned(), keyring: Arc::new(keyring), _kept: None };
        let (clock, entropy) = (ManualClock::at(START), Arc::new(SeededEntropy::new(seed)));
        let store = open(&home, &limits, disk, false, &clock, &entropy).unwrap();
        Self { clock, store: Arc::new(store), limits, entropy, home: Some(home) }
    }

    /// Closes the store and lets go of it; one in memory stays as it is. Handles that tests hold must
    /// be dropped before.
    pub async fn shut(&mut self) {
        if self.home.is_some() {
            self.store.close().await;
            let clock = Arc::new(self.clock.clone());
            self.store = Arc::new(MemoryStore::new(self.limits.clone(), clock, self.entropy.clone()));
        }
    }

    /// Closes the store and opens it again.
    pub async fn reopen(&mut self) {
        self.shut().await;
        if self.home.is_some() {
            self.store = Arc::new(self.open_again().unwrap());
        }
    }

    pub fn open_again(&self) -> Result<SledStore, StorageError> {
        self.open_on(Arc::new(SystemDisk))
    }

    pub fn open_on(&self, disk: Arc<dyn Disk>) -> Result<SledStore, StorageError> {
        open(self.home.as_ref().unwrap(), &self.limits, disk, false, &self.clock, &self.entropy)
    }

    /// As a server does whose disk has failed.
    pub fn open_suspect(&self) -> Result<SledStore, StorageError> {
        let disk = Arc::new(SystemDisk);
        open(self.home.as_ref().unwrap(), &self.limits, disk, true, &self.clock, &self.entropy)
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub async fn tenant(&self, number: u8) -> Arc<dyn TenantStore> {
        // Each channel is of this app.
        self.store.put_meta_app(meta_app(1)).await.unwrap();
        self.store.create_tenant(tenant(number)).await.unwrap();
        self.store.put_channel(channel(number)).await.unwrap();
        self.open_tenant(number).await
    }

    pub async fn open_tenant(&self, number: u8) -> Arc<dyn TenantStore> {
        self.store.tenant(TenantCtx::platform(tenant_id(number))).await.unwrap()
    }
}

fn open(
    home: &Home,
    limits: &Limits,
    disk: Arc<dyn Disk>,
    suspect: bool,
    clock: &ManualClock,
    entropy: &Arc<SeededEntropy>,
) -> Result<SledStore, StorageError> {
    let options = SledOptions { path: home.path(), limits: limits.clone(), disk, suspect };
    SledStore::open(options, home.keyring.clone(), Arc::new(clock.clone()), entropy.clone())
}

pub fn address(number: u8) -> ChannelAddress {
    ChannelAddress::channel(ChannelKind::Whatsapp, format!("10000{number}"))
}

pub fn both(wa_id: &str, user_id: &str) -> ContactIdentity {
    let said = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    ContactIdentity::new(said(wa_id), said(user_id)).unwrap()
}

/// What the business wrote; its text serves as its dedup key and, after `wamid.`, as Meta's id.
pub fn echo(
    to: ContactIdentity,
    text: &str,
    content: &str,
    message: Option<MessageId>,
    through: Elsewhere,
) -> InboundEvent {
    InboundEvent {
        dedup: Pii::new(format!("echo {text}")),
        occurred_at: START,
        kind: InboundKind::EchoReceived {
            provider_id: Pii::new(format!("wamid.{text}")),
            to,
            message,
            content: Content::text(content),
            context: None,
            through,
            arrival: Arrival::Live,
        },
    }
}

/// The message of this id says something else now; a number tells one change from another.
pub fn edited(provider_id: &str, number: u8, content: &str) -> InboundEvent {
    InboundEvent {
        dedup: Pii::new(format!("edit {provider_id} {number}")),
        occurred_at: START,
        kind: InboundKind::MessageEdited {
            provider_id: Pii::new(provider_id.to_owned()),
            contact: None,
            content: Some(Content::text(content)),
        },
    }
}

/// The message of this id was taken back; a number tells one report of it from another.
pub fn removed(provider_id: &str, number: u8) -> InboundEvent {
    InboundEvent {
        dedup: Pii::new(format!("removal {provider_id} {number}")),
        occurred_at: START.plus_millis(7),
        kind: InboundKind::MessageRemoved { provider_id: Pii::new(provider_id.to_owned()), contact: None },
    }
}

/// Something that is known by its kind and this text.
pub fn said(text: &str, kind: InboundKind) -> InboundEvent {
    InboundEvent { dedup: Pii::new(format!("{} {text}", kind.name())), occurred_at: START, kind }
}

pub fn reacted(provider_id: &str, contact: ContactIdentity, emoji: &str) -> InboundEvent {
    let kind = InboundKind::Reacted {
        provider_id: Pii::new(provider_id.to_owned()),
        contact,
        by_business: false,
        emoji: Some(Pii::new(emoji.to_owned())),
    };
    said(&format!("{provider_id} {emoji}"), kind)
}

pub fn renamed(from: ContactIdentity, to: ContactIdentity, text: &str) -> InboundEvent {
    said(text, InboundKind::IdentityChanged { from, to })
}

pub fn delivery(status: DeliveryStatus) -> Delivery {
    Delivery::new(status, START)
}

pub fn status(provider_id: &str, message: Option<MessageId>, status: DeliveryStatus) -> InboundEvent {
    InboundEvent {
        dedup: Pii::new(format!("status {provider_id} {status:?}")),
        occurred_at: START,
        kind: InboundKind::StatusChanged {
            provider_id: Pii::new(provider_id.to_owned()),
            message,
            recipient: None,
            delivery: delivery(status),
        },
    }
}

pub fn kept(contact: Option<ContactIdentity>, text: &str) -> InboundEvent {
    InboundEvent {
        dedup: Pii::new(format!("kept {text}")),
        occurred_at: START,
        kind: InboundKind::Kept { kind: "message.image".to_owned(), contact, raw: Pii::new(text.to_owned()) },
    }
}

/// What the texts of a conversation's letters are, in order; statuses as `status:<ours>:<stage>`.
pub fn told(letters: &[InboxEntry]) -> Vec<String> {
    let text = |entry: &InboxEntry| match &entry.letter {
        Letter::Dispatched(report) => format!("dispatched:{}", report.message),
        Letter::Inbound { event, .. } => match &event.kind {
            InboundKind::MessageReceived { content, .. } => words(content),
            InboundKind::EchoReceived { content, .. } => format!("echo:{}", words(content)),
            InboundKind::MessageEdited { content, .. } => {
                format!("edited:{}", content.as_ref().map_or("-".to_owned(), words))
            }
            InboundKind::StatusChanged { message, delivery, .. } => {
                format!("status:{}:{:?}", message.unwrap(), delivery.status)
            }
            InboundKind::Kept { raw, .. } => {
                format!("kept:{}", raw.reveal(TenantView))
            }
            other => other.name().to_owned(),
        },
    };
    letters.iter().map(text).collect()
}

/// The text of a content, or its name.
pub fn words(content: &Content) -> String {
    match content {
        Content::Text { body, .. } => body.reveal(TenantView).clone(),
        other => other.name().to_owned(),
    }
}

/// The message that each letter is or is about.
pub fn messages_of(letters: &[InboxEntry]) -> Vec<Option<MessageId>> {
    let message = |entry: &InboxEntry| match entry.letter {
        Letter::Inbound { message, .. } => message,
        Letter::Dispatched(_) => None,
    };
    letters.iter().map(message).collect()
}

/// What a conversation's actor makes of the letters that wait, as far as storage is concerned: new
/// and changed messages, and the events that carry them. Not committed.
pub async fn handled(tenant: &dyn TenantStore, id: ConversationId) -> ConversationCommit {
    let mut commit = step(tenant, id).await;
    for entry in tenant.inbox(id, 1_000).await.unwrap() {
        commit.acknowledge.push(entry.seq);
        let Letter::Inbound { message: Some(message), event } = entry.letter else { continue };
        let here = commit.messages.iter().position(|known| known.id == message);
        let known = match here {
            Some(at) => Some(commit.messages.remove(at)),
            None => tenant.message(id, message).await.unwrap(),
        };
        let new = |author, content, provider_id| {
            let message = Message::new(message, id, author, content, event.occurred_at);
            Message { provider_id: Some(provider_id), ..message }
        };
        match (event.kind, known) {
            (InboundKind::MessageReceived { provider_id, content, context, arrival, .. }, _) => {
                let message = Message { context, ..new(Author::Contact, content, provider_id) };
                commit.events.push(EventKind::MessageReceived { message: message.clone(), arrival });
                commit.messages.push(message);
            }
            (InboundKind::EchoReceived { provider_id, content, through, arrival, .. }, _) => {
                let message = new(Author::Business { through }, content, provider_id);
                commit.events.push(EventKind::MessageEchoed { message: message.clone(), arrival });
                commit.messages.push(message);
            }
            (InboundKind::MessageEdited { content: Some(content), .. }, Some(mut message)) => {
                message.content = content;
                message.edited_at = Some(event.occurred_at);
                commit.events.push(EventKind::MessageEdited { message: message.clone() });
                commit.messages.push(message);
            }
            (InboundKind::MessageRemoved { .. }, Some(mut message)) => {
                message.remove(event.occurred_at);
                commit.events.push(EventKind::MessageRemoved { message: message.id });
                commit.messages.push(message);
            }
            (InboundKind::Reacted { emoji, .. }, Some(mut message)) => {
                message.react(true, emoji);
                commit.messages.push(message);
            }
            (_, known) => commit.messages.extend(known),
        }
    }
    commit
}

/// Accepts one message and gives the conversation that it opened or belongs to.
pub async fn hear(tenant: &dyn TenantStore, number: u8, from: &str, text: &str) -> ConversationId {
    let accepted = tenant.accept(channel_id(number), &[wrote(identity(from), None, text)]).await.unwrap();
    accepted.conversations[0]
}

/// How many records open, and a line for each that does not. What tests put is not always whole: a turn may
/// cover a message that nobody wrote.
pub async fn unopened(store: &dyn Store) -> (u64, Vec<String>) {
    let found = store.examine(&Examination::default(), &|_| {}).await.unwrap();
    let unopened = found.findings.iter().filter(|finding| finding.problem == Problem::DoesNotOpen);
    (found.records, unopened.map(ToString::to_string).collect())
}

/// A line for each finding but for what is missing, likewise: whatever was put, records open and indexes agree.
pub async fn unsound(store: &dyn Store) -> Vec<String> {
    let found = store.examine(&Examination::default(), &|_| {}).await.unwrap();
    let unsound = found.findings.iter().filter(|finding| !matches!(finding.problem, Problem::Missing { .. }));
    unsound.map(ToString::to_string).collect()
}

/// Commits messages of ours with their outbox entries.
pub async fn queue(tenant: &dyn TenantStore, id: ConversationId, messages: &[MessageId], epoch: Option<u64>) {
    let mut commit = step(tenant, id).await;
    for message in messages {
        commit.messages.push(outgoing(&commit.conversation, *message, None));
        commit.outbox.push(entry(&commit.conversation, *message, epoch));
    }
    tenant.commit(commit).await.unwrap();
}

/// Lets the conversation begin a turn on a message, if the assistant has control and none is running.
pub fn begin_turn(conversation: &mut Conversation, now: Timestamp) {
    let policy = TurnPolicy { enabled: true, ..TurnPolicy::default() };
    conversation.apply(Input::PolicyChanged(policy), now);
    receive(conversation, message_id(1), now);
}

/// Lets the conversation begin a turn on this message.
pub fn begin_turn_on(conversation: &mut Conversation, message: MessageId) {
    let policy = TurnPolicy { enabled: true, ..TurnPolicy::default() };
    conversation.apply(Input::PolicyChanged(policy), START);
    receive(conversation, message, START);
}

fn receive(conversation: &mut Conversation, message: MessageId, now: Timestamp) {
    let opens = Opening::Ordinary;
    let received = Input::MessageReceived { message, sent_at: now, answer: true, fragment: false, opens };
    conversation.apply(received, now);
}

/// Settings that differ by their task.
pub fn settings(task: &str) -> AssistantSettings {
    serde_json::from_value(serde_json::json!({
        "enabled": true,
        "task": task,
        "instructions": "",
        "model": null,
        "temperature": 0.5,
        "base_url": null,
        "quiet_ms": 0,
        "cap_ms": 0,
        "output_tokens_max": 1,
        "prompt_tokens_max": 500,
        "fallback_text": "",
    }))
    .unwrap()
}

pub fn document_id(number: u8) -> DocumentId {
    DocumentId::from_bytes([number; 16])
}

pub fn document(number: u8, state: DocumentState) -> Document {
    Document {
        id: document_id(number),
        title: "Prices of the house".to_owned(),
        mime: "text/plain".to_owned(),
        bytes: 5,
        sha256: "00".to_owned(),
        added_at: START,
        state,
    }
}

/// So many passages of a document, whose text and meaning have a number.
pub fn passages(number: u8, count: u32, edition: u16) -> Vec<Passage> {
    let passage = |place| Passage {
        document: document_id(number),
        place,
        text: format!("words of passage {place} in {edition}"),
        embedding: vec![0.1, -1.5e-8, f32::from(edition)],
        embedding_model: Some("e".to_owned()),
    };
    (0..count).map(passage).collect()
}

pub fn golden(number: u8, question: &str) -> GoldenQuestion {
    let expect = Traits { contains: vec!["Monday".to_owned()], ..Traits::default() };
    GoldenQuestion { id: GoldenId::from_bytes([number; 16]), question: question.to_owned(), expect }
}

/// Money for a turn of this number, in the conversation and on the contact of another.
pub fn reservation(turn: u64, whom: u8, day: u64, amount: u64) -> Reservation {
    let mut bytes = [4; 16];
    bytes[8..].copy_from_slice(&turn.to_be_bytes());
    Reservation {
        turn: TurnId::from_bytes(bytes),
        conversation: ConversationId::from_bytes([whom; 16]),
        contact: ContactId::from_bytes([whom; 16]),
        day: Day(day),
        amount: Cost(amount),
    }
}

/// The report of a send that went well.
pub fn sent(message: MessageId, provider_id: &str, at: Timestamp) -> SendReport {
    SendReport { message, at, outcome: SendOutcome::Sent { provider_id: Pii::new(provider_id.to_owned()) } }
}
