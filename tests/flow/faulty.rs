//! A store that fails on purpose: every command first asks a hook, which may refuse it or panic.

use std::any::Any;
use std::sync::Arc;

use async_trait::async_trait;
use iassistance_domain::access::{AccessOf, AccessRecord};
use iassistance_domain::assistant::{AssistantDraft, AssistantSettings, AssistantSettingsVersion};
use iassistance_domain::audit::{AuditEntry, Checkpoint, SealedAudit};
use iassistance_domain::budget::{Budgets, Cost, Day, Reservation};
use iassistance_domain::channel::{Channel, ChannelAddress, ChannelHealth, MessageTemplate, MetaApp, Route};
use iassistance_domain::contact::Contact;
use iassistance_domain::conversation::Conversation;
use iassistance_domain::deletion::Deletion;
use iassistance_domain::event::{DeadLetter, Event, EventKind, EventSeq};
use iassistance_domain::golden::GoldenQuestion;
use iassistance_domain::id::{
    AccessId, ApiKeyId, ChannelId, ContactId, ConversationId, DeadLetterId, DeletionId, DocumentId, GoldenId,
    MessageId, MetaAppId, TenantId, TurnId,
};
use iassistance_domain::inbound::InboundEvent;
use iassistance_domain::key::ApiKey;
use iassistance_domain::knowledge::{Document, Passage};
use iassistance_domain::message::Message;
use iassistance_domain::outbox::OutboxEntry;
use iassistance_domain::summary::Summary;
use iassistance_domain::tenant::{Tenant, TenantCtx};
use iassistance_domain::turn::TurnRecord;
use iassistance_domain::{Pii, Timestamp};
use iassistance_storage::Rights;
use iassistance_storage::store::Dispatch;
use iassistance_storage::{
    Accepted, ContentOwner, ConversationCommit, Examination, Findings, Hooks, InboxEntry, Keeping, Leaving,
    People, Progress, SendReport, SetAside, StorageError, Store, TenantStore, Trail, TurnCommit,
};
use iassistance_vault::ContentKey;
use tokio::sync::watch;

type Result<T> = std::result::Result<T, StorageError>;

/// A command that is about to be carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Act {
    /// The method's name.
    pub name: &'static str,
    /// The conversation that it is for, where it is for one.
    pub conversation: Option<ConversationId>,
}

/// Decides whether a command fails. What it gives back is held until the command is done.
pub type Hook = Arc<dyn Fn(Act) -> Result<Held> + Send + Sync>;
pub type Held = Option<Box<dyn Any + Send + Sync>>;

/// A store whose commands may fail.
pub struct FaultyStore {
    pub inner: Arc<dyn Store>,
    pub hook: Hook,
}

struct FaultyTenant {
    inner: Arc<dyn TenantStore>,
    hook: Hook,
}

#[async_trait]
impl Trail for FaultyStore {
    fn audited(&self) -> watch::Receiver<u64> {
        self.inner.trail().audited()
    }
    async fn append_audit(&self, chain: Option<TenantId>, entry: AuditEntry) -> Result<u64> {
        let _held = (self.hook)(Act { name: "append_audit", conversation: None })?;
        self.inner.trail().append_audit(chain, entry).await
    }
    async fn audit(
        &self,
        chain: Option<TenantId>,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<AuditEntry>> {
        self.inner.trail().audit(chain, before, limit).await
    }
    async fn audit_after(
        &self,
        chain: Option<TenantId>,
        after: u64,
        limit: usize,
    ) -> Result<Vec<AuditEntry>> {
        self.inner.trail().audit_after(chain, after, limit).await
    }
    async fn sealed_audit(
        &self,
        chain: Option<TenantId>,
        after: u64,
        limit: usize,
    ) -> Result<Vec<SealedAudit>> {
        self.inner.trail().sealed_audit(chain, after, limit).await
    }
    async fn audit_head(&self, chain: Option<TenantId>) -> Result<Option<(u64, [u8; 32])>> {
        self.inner.trail().audit_head(chain).await
    }
    async fn put_checkpoint(&self, checkpoint: Checkpoint) -> Result<()> {
        self.inner.trail().put_checkpoint(checkpoint).await
    }
    async fn checkpoints(
        &self,
        chain: Option<TenantId>,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<Checkpoint>> {
        self.inner.trail().checkpoints(chain, before, limit).await
    }
    async fn append_access(&self, records: Vec<AccessRecord>) -> Result<()> {
        self.inner.trail().append_access(records).await
    }
    async fn access(
        &self,
        of: AccessOf,
        before: Option<AccessId>,
        limit: usize,
    ) -> Result<Vec<AccessRecord>> {
        self.inner.trail().access(of, before, limit).await
    }
    async fn shorten_access(&self, older_than: Timestamp) -> Result<usize> {
        self.inner.trail().shorten_access(older_than).await
    }
    async fn remove_access(&self, older_than: Timestamp) -> Result<usize> {
        self.inner.trail().remove_access(older_than).await
    }
}

#[async_trait]
impl Store for FaultyStore {
    fn people(&self) -> &dyn People {
        self.inner.people()
    }
    fn trail(&self) -> &dyn Trail {
        self
    }
    fn keeping(&self) -> &dyn Keeping {
        self.inner.keeping()
    }
    fn rights(&self) -> &dyn Rights {
        self.inner.rights()
    }
    fn leaving(&self) -> &dyn Leaving {
        self.inner.leaving()
    }
    async fn create_tenant(&self, tenant: Tenant) -> Result<()> {
        let _held = (self.hook)(Act { name: "create_tenant", conversation: None })?;
        self.inner.create_tenant(tenant).await
    }
    async fn tenants(&self) -> Result<Vec<Tenant>> {
        let _held = (self.hook)(Act { name: "tenants", conversation: None })?;
        self.inner.tenants().await
    }
    async fn tenant(&self, tenant: TenantCtx) -> Result<Arc<dyn TenantStore>> {
        let inner = self.inner.tenant(tenant).await?;
        Ok(Arc::new(FaultyTenant { inner, hook: Arc::clone(&self.hook) }))
    }
    async fn put_meta_app(&self, app: MetaApp) -> Result<()> {
        let _held = (self.hook)(Act { name: "put_meta_app", conversation: None })?;
        self.inner.put_meta_app(app).await
    }
    async fn meta_app(&self, id: MetaAppId) -> Result<Option<MetaApp>> {
        let _held = (self.hook)(Act { name: "meta_app", conversation: None })?;
        self.inner.meta_app(id).await
    }
    async fn meta_apps(&self) -> Result<Vec<MetaApp>> {
        let _held = (self.hook)(Act { name: "meta_apps", conversation: None })?;
        self.inner.meta_apps().await
    }
    async fn put_channel(&self, channel: Channel) -> Result<()> {
        let _held = (self.hook)(Act { name: "put_channel", conversation: None })?;
        self.inner.put_channel(channel).await
    }
    fn routes(&self, address: &ChannelAddress) -> Vec<Route> {
        self.inner.routes(address)
    }
    async fn set_channel_health(&self, ctx: TenantCtx, id: ChannelId, health: ChannelHealth) -> Result<()> {
        let _held = (self.hook)(Act { name: "set_channel_health", conversation: None })?;
        self.inner.set_channel_health(ctx, id, health).await
    }
    async fn remove_channel(&self, ctx: TenantCtx, id: ChannelId) -> Result<bool> {
        let _held = (self.hook)(Act { name: "remove_channel", conversation: None })?;
        self.inner.remove_channel(ctx, id).await
    }
    async fn channels_of_app(&self, app: MetaAppId) -> Result<Vec<Channel>> {
        let _held = (self.hook)(Act { name: "channels_of_app", conversation: None })?;
        self.inner.channels_of_app(app).await
    }
    async fn put_deletion(&self, deletion: Deletion) -> Result<()> {
        let _held = (self.hook)(Act { name: "put_deletion", conversation: None })?;
        self.inner.put_deletion(deletion).await
    }
    async fn deletion(&self, id: DeletionId) -> Result<Option<Deletion>> {
        let _held = (self.hook)(Act { name: "deletion", conversation: None })?;
        self.inner.deletion(id).await
    }
    async fn put_api_key(&self, key: ApiKey) -> Result<()> {
        let _held = (self.hook)(Act { name: "put_api_key", conversation: None })?;
        self.inner.put_api_key(key).await
    }
    async fn api_key(&self, id: ApiKeyId) -> Result<Option<ApiKey>> {
        let _held = (self.hook)(Act { name: "api_key", conversation: None })?;
        self.inner.api_key(id).await
    }
    async fn api_key_of(&self, of: Option<TenantId>, id: ApiKeyId) -> Result<Option<ApiKey>> {
        let _held = (self.hook)(Act { name: "api_key_of", conversation: None })?;
        self.inner.api_key_of(of, id).await
    }
    async fn api_keys(&self) -> Result<Vec<ApiKey>> {
        let _held = (self.hook)(Act { name: "api_keys", conversation: None })?;
        self.inner.api_keys().await
    }
    async fn keep_unrouted(&self, address: Option<ChannelAddress>, event: InboundEvent) -> Result<()> {
        let _held = (self.hook)(Act { name: "keep_unrouted", conversation: None })?;
        self.inner.keep_unrouted(address, event).await
    }
    async fn unrouted(&self, limit: usize) -> Result<Vec<(Timestamp, String, String, Pii<String>)>> {
        let _held = (self.hook)(Act { name: "unrouted", conversation: None })?;
        self.inner.unrouted(limit).await
    }
    async fn forget_dedup_before(&self, before: Timestamp) -> Result<u64> {
        let _held = (self.hook)(Act { name: "forget_dedup_before", conversation: None })?;
        self.inner.forget_dedup_before(before).await
    }
    fn health(&self) -> Result<()> {
        self.inner.health()
    }
    async fn close(&self) {
        self.inner.close().await;
    }
    async fn examine(
        &self,
        examination: &Examination,
        progress: &(dyn Fn(Progress) + Sync),
    ) -> Result<Findings> {
        let _held = (self.hook)(Act { name: "examine", conversation: None })?;
        self.inner.examine(examination, progress).await
    }
    async fn set_aside(
        &self,
        tenant: Option<TenantCtx>,
        after: Option<String>,
        limit: usize,
    ) -> Result<Vec<SetAside>> {
        let _held = (self.hook)(Act { name: "set_aside", conversation: None })?;
        self.inner.set_aside(tenant, after, limit).await
    }
    async fn upgrade_records(&self) -> Result<u64> {
        let _held = (self.hook)(Act { name: "upgrade_records", conversation: None })?;
        self.inner.upgrade_records().await
    }
}

#[async_trait]
impl TenantStore for FaultyTenant {
    async fn accept(&self, channel: ChannelId, events: &[InboundEvent]) -> Result<Accepted> {
        let _held = (self.hook)(Act { name: "accept", conversation: None })?;
        self.inner.accept(channel, events).await
    }
    async fn inbox(&self, conversation: ConversationId, limit: usize) -> Result<Vec<InboxEntry>> {
        let _held = (self.hook)(Act { name: "inbox", conversation: Some(conversation) })?;
        self.inner.inbox(conversation, limit).await
    }
    async fn unfinished(&self, after: Option<ConversationId>, limit: usize) -> Result<Vec<ConversationId>> {
        let _held = (self.hook)(Act { name: "unfinished", conversation: None })?;
        self.inner.unfinished(after, limit).await
    }
    async fn conversation(&self, id: ConversationId) -> Result<Option<(Conversation, u64)>> {
        let _held = (self.hook)(Act { name: "conversation", conversation: Some(id) })?;
        self.inner.conversation(id).await
    }
    async fn commit(&self, commit: ConversationCommit) -> Result<EventSeq> {
        let _held = (self.hook)(Act { name: "commit", conversation: Some(commit.conversation.id) })?;
        self.inner.commit(commit).await
    }
    async fn commit_turn(&self, commit: TurnCommit) -> Result<EventSeq> {
        let _held =
            (self.hook)(Act { name: "commit_turn", conversation: Some(commit.commit.conversation.id) })?;
        self.inner.commit_turn(commit).await
    }
    async fn append(&self, conversation: Option<ConversationId>, events: Vec<EventKind>) -> Result<EventSeq> {
        let _held = (self.hook)(Act { name: "append", conversation: None })?;
        self.inner.append(conversation, events).await
    }
    async fn begin_dispatch(&self, conversation: ConversationId) -> Result<Dispatch> {
        let _held = (self.hook)(Act { name: "begin_dispatch", conversation: Some(conversation) })?;
        self.inner.begin_dispatch(conversation).await
    }
    async fn settle(&self, conversation: ConversationId, report: SendReport) -> Result<()> {
        let _held = (self.hook)(Act { name: "settle", conversation: Some(conversation) })?;
        self.inner.settle(conversation, report).await
    }
    async fn outbox(&self, conversation: ConversationId) -> Result<Vec<OutboxEntry>> {
        let _held = (self.hook)(Act { name: "outbox", conversation: Some(conversation) })?;
        self.inner.outbox(conversation).await
    }
    async fn contact(&self, id: ContactId) -> Result<Option<Contact>> {
        let _held = (self.hook)(Act { name: "contact", conversation: None })?;
        self.inner.contact(id).await
    }
    fn safety_identifier(&self, id: ContactId) -> String {
        self.inner.safety_identifier(id)
    }
    async fn conversations(&self, before: Option<ConversationId>, limit: usize) -> Result<Vec<Conversation>> {
        let _held = (self.hook)(Act { name: "conversations", conversation: None })?;
        self.inner.conversations(before, limit).await
    }
    async fn messages(
        &self,
        conversation: ConversationId,
        before: Option<MessageId>,
        limit: usize,
    ) -> Result<Vec<Message>> {
        let _held = (self.hook)(Act { name: "messages", conversation: Some(conversation) })?;
        self.inner.messages(conversation, before, limit).await
    }
    async fn message(&self, conversation: ConversationId, id: MessageId) -> Result<Option<Message>> {
        let _held = (self.hook)(Act { name: "message", conversation: Some(conversation) })?;
        self.inner.message(conversation, id).await
    }
    async fn turns(
        &self,
        conversation: ConversationId,
        before: Option<TurnId>,
        limit: usize,
    ) -> Result<Vec<TurnRecord>> {
        let _held = (self.hook)(Act { name: "turns", conversation: Some(conversation) })?;
        self.inner.turns(conversation, before, limit).await
    }
    async fn turn(&self, conversation: ConversationId, id: TurnId) -> Result<Option<TurnRecord>> {
        let _held = (self.hook)(Act { name: "turn", conversation: Some(conversation) })?;
        self.inner.turn(conversation, id).await
    }
    async fn dead_letters(&self, before: Option<DeadLetterId>, limit: usize) -> Result<Vec<DeadLetter>> {
        let _held = (self.hook)(Act { name: "dead_letters", conversation: None })?;
        self.inner.dead_letters(before, limit).await
    }
    async fn dead_letter(&self, id: DeadLetterId) -> Result<Option<DeadLetter>> {
        let _held = (self.hook)(Act { name: "dead_letter", conversation: None })?;
        self.inner.dead_letter(id).await
    }
    async fn put_dead_letter(&self, letter: DeadLetter, event: EventKind) -> Result<()> {
        let _held = (self.hook)(Act { name: "put_dead_letter", conversation: None })?;
        self.inner.put_dead_letter(letter, event).await
    }
    async fn events(&self, after: EventSeq, limit: usize) -> Result<Vec<Event>> {
        let _held = (self.hook)(Act { name: "events", conversation: None })?;
        self.inner.events(after, limit).await
    }
    fn latest_event(&self) -> watch::Receiver<EventSeq> {
        self.inner.latest_event()
    }
    async fn channels(&self) -> Result<Vec<Channel>> {
        let _held = (self.hook)(Act { name: "channels", conversation: None })?;
        self.inner.channels().await
    }
    async fn channel(&self, id: ChannelId) -> Result<Option<Channel>> {
        let _held = (self.hook)(Act { name: "channel", conversation: None })?;
        self.inner.channel(id).await
    }
    async fn put_templates(&self, channel: ChannelId, templates: Vec<MessageTemplate>) -> Result<()> {
        let _held = (self.hook)(Act { name: "put_templates", conversation: None })?;
        self.inner.put_templates(channel, templates).await
    }
    async fn templates(&self, channel: ChannelId) -> Result<Vec<MessageTemplate>> {
        let _held = (self.hook)(Act { name: "templates", conversation: None })?;
        self.inner.templates(channel).await
    }
    async fn outbound_before(
        &self,
        conversation: ConversationId,
        at: Timestamp,
        limit: usize,
    ) -> Result<Vec<Message>> {
        let _held = (self.hook)(Act { name: "outbound_before", conversation: Some(conversation) })?;
        self.inner.outbound_before(conversation, at, limit).await
    }
    async fn assistant(&self) -> Result<Option<AssistantSettingsVersion>> {
        let _held = (self.hook)(Act { name: "assistant", conversation: None })?;
        self.inner.assistant().await
    }
    async fn put_assistant(
        &self,
        settings: AssistantSettings,
        expected: Option<u64>,
    ) -> Result<AssistantSettingsVersion> {
        let _held = (self.hook)(Act { name: "put_assistant", conversation: None })?;
        self.inner.put_assistant(settings, expected).await
    }
    async fn summary(&self, conversation: ConversationId) -> Result<Option<Summary>> {
        let _held = (self.hook)(Act { name: "summary", conversation: Some(conversation) })?;
        self.inner.summary(conversation).await
    }
    async fn assistant_version(&self, version: u64) -> Result<Option<AssistantSettingsVersion>> {
        let _held = (self.hook)(Act { name: "assistant_version", conversation: None })?;
        self.inner.assistant_version(version).await
    }
    async fn assistant_versions(
        &self,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<AssistantSettingsVersion>> {
        let _held = (self.hook)(Act { name: "assistant_versions", conversation: None })?;
        self.inner.assistant_versions(before, limit).await
    }
    async fn assistant_draft(&self) -> Result<Option<AssistantDraft>> {
        let _held = (self.hook)(Act { name: "assistant_draft", conversation: None })?;
        self.inner.assistant_draft().await
    }
    async fn put_assistant_draft(&self, settings: AssistantSettings) -> Result<AssistantDraft> {
        let _held = (self.hook)(Act { name: "put_assistant_draft", conversation: None })?;
        self.inner.put_assistant_draft(settings).await
    }
    async fn discard_assistant_draft(&self) -> Result<bool> {
        let _held = (self.hook)(Act { name: "discard_assistant_draft", conversation: None })?;
        self.inner.discard_assistant_draft().await
    }
    async fn publish_assistant_draft(&self, expected: Option<u64>) -> Result<AssistantSettingsVersion> {
        let _held = (self.hook)(Act { name: "publish_assistant_draft", conversation: None })?;
        self.inner.publish_assistant_draft(expected).await
    }
    async fn roll_back_assistant(
        &self,
        version: u64,
        expected: Option<u64>,
    ) -> Result<AssistantSettingsVersion> {
        let _held = (self.hook)(Act { name: "roll_back_assistant", conversation: None })?;
        self.inner.roll_back_assistant(version, expected).await
    }
    async fn reserve(&self, reservation: Reservation, least: Cost, budgets: Budgets) -> Result<Option<Cost>> {
        let _held = (self.hook)(Act { name: "reserve", conversation: Some(reservation.conversation) })?;
        self.inner.reserve(reservation, least, budgets).await
    }
    async fn settle_reservation(&self, turn: TurnId, spent: Cost) -> Result<()> {
        let _held = (self.hook)(Act { name: "settle_reservation", conversation: None })?;
        self.inner.settle_reservation(turn, spent).await
    }
    async fn spend(
        &self,
        conversation: ConversationId,
        contact: ContactId,
        day: Day,
        amount: Cost,
    ) -> Result<()> {
        let _held = (self.hook)(Act { name: "spend", conversation: Some(conversation) })?;
        self.inner.spend(conversation, contact, day, amount).await
    }
    async fn spent(&self, day: Day) -> Result<Cost> {
        let _held = (self.hook)(Act { name: "spent", conversation: None })?;
        self.inner.spent(day).await
    }
    async fn spent_on_contact(&self, contact: ContactId, day: Day) -> Result<Cost> {
        let _held = (self.hook)(Act { name: "spent_on_contact", conversation: None })?;
        self.inner.spent_on_contact(contact, day).await
    }
    async fn spent_in(&self, conversation: ConversationId) -> Result<Cost> {
        let _held = (self.hook)(Act { name: "spent_in", conversation: Some(conversation) })?;
        self.inner.spent_in(conversation).await
    }
    async fn put_document(&self, document: Document) -> Result<()> {
        let _held = (self.hook)(Act { name: "put_document", conversation: None })?;
        self.inner.put_document(document).await
    }
    async fn documents(&self) -> Result<Vec<Document>> {
        let _held = (self.hook)(Act { name: "documents", conversation: None })?;
        self.inner.documents().await
    }
    async fn document(&self, id: DocumentId) -> Result<Option<Document>> {
        let _held = (self.hook)(Act { name: "document", conversation: None })?;
        self.inner.document(id).await
    }
    async fn put_passages(&self, document: DocumentId, passages: Vec<Passage>) -> Result<()> {
        let _held = (self.hook)(Act { name: "put_passages", conversation: None })?;
        self.inner.put_passages(document, passages).await
    }
    async fn passages(&self) -> Result<Vec<Passage>> {
        let _held = (self.hook)(Act { name: "passages", conversation: None })?;
        self.inner.passages().await
    }
    async fn remove_document(&self, id: DocumentId) -> Result<bool> {
        let _held = (self.hook)(Act { name: "remove_document", conversation: None })?;
        self.inner.remove_document(id).await
    }
    async fn put_golden(&self, question: GoldenQuestion) -> Result<()> {
        let _held = (self.hook)(Act { name: "put_golden", conversation: None })?;
        self.inner.put_golden(question).await
    }
    async fn golden(&self) -> Result<Vec<GoldenQuestion>> {
        let _held = (self.hook)(Act { name: "golden", conversation: None })?;
        self.inner.golden().await
    }
    async fn remove_golden(&self, id: GoldenId) -> Result<bool> {
        let _held = (self.hook)(Act { name: "remove_golden", conversation: None })?;
        self.inner.remove_golden(id).await
    }
    async fn content_key(&self, owner: ContentOwner) -> Result<ContentKey> {
        let _held = (self.hook)(Act { name: "content_key", conversation: None })?;
        self.inner.content_key(owner).await
    }
    fn hooks(&self) -> &dyn Hooks {
        self.inner.hooks()
    }
}
