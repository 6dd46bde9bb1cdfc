//! Both backends behind one face, and short words for what tests put into them.
#![allow(dead_code, missing_docs, reason = "each test binary uses its part of this")]
#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use iassistance_domain::channel::{Channel, ChannelAddress, ChannelKind, MetaApp, StoredSecret};
use iassistance_domain::contact::ContactIdentity;
use iassistance_domain::conversation::{Conversation, Epoch, Input, TurnPolicy};
use iassistance_domain::delivery::{Delivery, DeliveryStatus};
use iassistance_domain::id::{ChannelId, ConversationId, MessageId, MetaAppId, TenantId};
use iassistance_domain::inbound::{InboundEvent, InboundKind};
use iassistance_domain::message::{Author, Content, Message};
use iassistance_domain::outbox::{OutboxEntry, OutboxState, SendOutcome};
use iassistance_domain::tenant::{Tenant, TenantCtx};
use iassistance_domain::{Clock, ManualClock, Pii, SeededEntropy, Timestamp};
use iassistance_storage::sled::disk::{Disk, SystemDisk};
use iassistance_storage::{
    ConversationCommit, InboxEntry, Letter, Limits, MemoryStore, SendReport, SledOptions, SledStore,
    StorageError, Store, TenantStore,
};
use iassistance_vault::{Keyring, RootKey, SystemEntropy};
use tempfile::TempDir;

pub const START: Timestamp = Timestamp::from_millis(1_790_000_000_000);

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
    Limits { inbox_entries_max: 200, parked_max: 5, unrouted_max: 4, ..Limits::default() }
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
        let root = RootKey::from_text(&"0123456789abcdef".repeat(4)).unwrap();
        let keyring_file = folder.join("keyring");
        let exists = keyring_file.exists();
        let keyring = Keyring::open(&keyring_file, &root, exists, Arc::new(SystemEntropy)).unwrap();
        let home = Home { folder: folder.to_owned(), keyring: Arc::new(keyring), _kept: None };
        let (clock, entropy) = (ManualClock::at(START), Arc::new(SeededEntropy::new(7)));
        let store = open(&home, &limits, disk, &clock, &entropy).unwrap();
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
        let home = self.home.as_ref().unwrap();
        open(home, &self.limits, Arc::new(SystemDisk), &self.clock, &self.entropy)
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub async fn tenant(&self, number: u8) -> Arc<dyn TenantStore> {
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
    clock: &ManualClock,
    entropy: &Arc<SeededEntropy>,
) -> Result<SledStore, StorageError> {
    let options = SledOptions { path: home.path(), limits: limits.clone(), disk };
    SledStore::open(options, home.keyring.clone(), Arc::new(clock.clone()), entropy.clone())
}

pub fn tenant_id(number: u8) -> TenantId {
    TenantId::from_bytes([number; 16])
}

pub fn channel_id(number: u8) -> ChannelId {
    ChannelId::from_bytes([number; 16])
}

pub fn message_id(number: u64) -> MessageId {
    let mut bytes = [9; 16];
    bytes[8..].copy_from_slice(&number.to_be_bytes());
    MessageId::from_bytes(bytes)
}

pub fn tenant(number: u8) -> Tenant {
    Tenant { id: tenant_id(number), name: format!("tenant {number}"), created_at: START }
}

/// Each tenant's channel has its number, and its address is made of it.
pub fn channel(number: u8) -> Channel {
    Channel {
        id: channel_id(number),
        tenant: tenant_id(number),
        meta_app: MetaAppId::from_bytes([1; 16]),
        kind: ChannelKind::Whatsapp,
        external_id: format!("10000{number}"),
        name: "a number".to_owned(),
        access_token: StoredSecret::new("EAA-access-token"),
        created_at: START,
    }
}

pub fn address(number: u8) -> ChannelAddress {
    ChannelAddress { kind: ChannelKind::Whatsapp, external_id: format!("10000{number}") }
}

pub fn meta_app(number: u8) -> MetaApp {
    MetaApp {
        id: MetaAppId::from_bytes([number; 16]),
        name: "app".to_owned(),
        secrets: vec![StoredSecret::new("app-secret-text")],
        verify_token: StoredSecret::new("verify-token-text"),
        created_at: START,
    }
}

pub fn identity(wa_id: &str) -> ContactIdentity {
    ContactIdentity::new(Some(wa_id.to_owned()), None).unwrap()
}

pub fn both(wa_id: &str, user_id: &str) -> ContactIdentity {
    let said = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    ContactIdentity::new(said(wa_id), said(user_id)).unwrap()
}

/// A message; its text serves as its dedup key and, after `wamid.`, as Meta's id.
pub fn wrote(from: ContactIdentity, name: Option<&str>, text: &str) -> InboundEvent {
    InboundEvent {
        dedup: Pii::new(format!("message {text}")),
        occurred_at: START,
        kind: InboundKind::MessageReceived {
            provider_id: Pii::new(format!("wamid.{text}")),
            from,
            profile_name: name.map(|name| Pii::new(name.to_owned())),
            content: Content::text(text),
        },
    }
}

pub fn delivery(status: DeliveryStatus) -> Delivery {
    Delivery { status, at: START, problem: None }
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
            InboundKind::MessageReceived { content: Content::Text { body }, .. } => {
                body.reveal(iassistance_domain::pii::TenantView).clone()
            }
            InboundKind::StatusChanged { message, delivery, .. } => {
                format!("status:{}:{:?}", message.unwrap(), delivery.status)
            }
            InboundKind::Kept { raw, .. } => {
                format!("kept:{}", raw.reveal(iassistance_domain::pii::TenantView))
            }
            _ => "unknown".to_owned(),
        },
    };
    letters.iter().map(text).collect()
}

pub fn outgoing(conversation: &Conversation, id: MessageId, provider_id: Option<&str>) -> Message {
    Message {
        id,
        conversation: conversation.id,
        author: Author::Operator { name: "op".to_owned() },
        content: Content::text("an answer"),
        sent_at: START,
        recorded_at: START,
        provider_id: provider_id.map(|id| Pii::new(id.to_owned())),
        delivery: Some(Delivery::queued(START)),
    }
}

pub fn entry(conversation: &Conversation, message: MessageId, epoch: Option<u64>) -> OutboxEntry {
    OutboxEntry {
        message,
        conversation: conversation.id,
        contact: conversation.contact,
        channel: conversation.channel,
        to: identity("5491100000000"),
        content: Content::text("an answer"),
        epoch: epoch.map(Epoch),
        window_until: START.plus_millis(60_000),
        attempts: 0,
        state: OutboxState::Waiting { not_before: START },
        queued_at: START,
    }
}

/// Accepts one message and gives the conversation that it opened or belongs to.
pub async fn hear(tenant: &dyn TenantStore, number: u8, from: &str, text: &str) -> ConversationId {
    let accepted = tenant.accept(channel_id(number), &[wrote(identity(from), None, text)]).await.unwrap();
    accepted.conversations[0]
}

/// A commit on what is stored now.
pub async fn step(tenant: &dyn TenantStore, id: ConversationId) -> ConversationCommit {
    let (conversation, revision) = tenant.conversation(id).await.unwrap().unwrap();
    ConversationCommit::new(conversation, revision)
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
    conversation.apply(Input::MessageReceived { message: message_id(1), sent_at: now }, now);
}

/// The report of a send that went well.
pub fn sent(message: MessageId, provider_id: &str, at: Timestamp) -> SendReport {
    SendReport { message, at, outcome: SendOutcome::Sent { provider_id: Pii::new(provider_id.to_owned()) } }
}
