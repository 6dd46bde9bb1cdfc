//! The two traits that every backend fulfils; one contract suite runs on all of them.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::watch;

use iassistance_domain::assistant::{AssistantDraft, AssistantSettings, AssistantSettingsVersion};
use iassistance_domain::budget::{Budgets, Cost, Day, Reservation};
use iassistance_domain::channel::{Channel, ChannelAddress, ChannelHealth, MessageTemplate, MetaApp, Route};
use iassistance_domain::contact::Contact;
use iassistance_domain::conversation::Conversation;
use iassistance_domain::deletion::Deletion;
use iassistance_domain::event::{DeadLetter, Event, EventKind, EventSeq};
use iassistance_domain::golden::GoldenQuestion;
use iassistance_domain::id::{
    ApiKeyId, ChannelId, ContactId, ConversationId, DeadLetterId, DeletionId, DocumentId, GoldenId,
    MessageId, MetaAppId, TenantId, TurnId,
};
use iassistance_domain::inbound::InboundEvent;
use iassistance_domain::key::ApiKey;
use iassistance_domain::knowledge::{Document, Passage};
use iassistance_domain::message::Message;
use iassistance_domain::outbox::{OutboxEntry, WithdrawnReason};
use iassistance_domain::summary::Summary;
use iassistance_domain::tenant::{Tenant, TenantCtx};
use iassistance_domain::turn::TurnRecord;
use iassistance_domain::{Pii, Timestamp};
use iassistance_vault::ContentKey;

use crate::commit::{Accepted, ConversationCommit, InboxEntry, SendReport, TurnCommit};
use crate::content::ContentOwner;
use crate::error::StorageError;
use crate::findings::{Examination, Findings, Progress, SetAside};
use crate::hooks::Hooks;
use crate::keeping::Keeping;
use crate::leaving::Leaving;
use crate::people::People;
use crate::rights::Rights;
use crate::trail::Trail;

type Result<T> = std::result::Result<T, StorageError>;

/// What belongs to no tenant, and the door to what belongs to one.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// The people and programs that work with the platform.
    fn people(&self) -> &dyn People;
    /// What is on the record.
    fn trail(&self) -> &dyn Trail;
    /// What is kept of how data goes.
    fn keeping(&self) -> &dyn Keeping;
    /// What people asked about their own data.
    fn rights(&self) -> &dyn Rights;
    /// What is kept of data that leaves.
    fn leaving(&self) -> &dyn Leaving;

    /// Creates a tenant with its keys and its tree.
    async fn create_tenant(&self, tenant: Tenant) -> Result<()>;
    /// All tenants, oldest first.
    async fn tenants(&self) -> Result<Vec<Tenant>>;
    /// The data of one tenant. Fails with `NoSuchTenant` for an unknown one.
    async fn tenant(&self, tenant: TenantCtx) -> Result<Arc<dyn TenantStore>>;

    /// Creates or replaces a Meta app.
    async fn put_meta_app(&self, app: MetaApp) -> Result<()>;
    /// A Meta app. From memory: it is asked for by every webhook.
    async fn meta_app(&self, id: MetaAppId) -> Result<Option<MetaApp>>;
    /// All Meta apps, oldest first.
    async fn meta_apps(&self) -> Result<Vec<MetaApp>>;

    /// Connects a channel, or replaces all of one of the same id. `Conflict` when another channel has
    /// its own address; a business account's may be several channels'. The directory answers for all
    /// its addresses when this returns.
    async fn put_channel(&self, channel: Channel) -> Result<()>;
    /// Changes nothing but how a channel is, so that it undoes nothing that was changed meanwhile.
    /// `NotFound` when the tenant has no such channel.
    async fn set_channel_health(&self, tenant: TenantCtx, id: ChannelId, health: ChannelHealth)
    -> Result<()>;
    /// Takes a channel off, with its addresses and templates; its conversations stay. Says whether the
    /// tenant had it.
    async fn remove_channel(&self, tenant: TenantCtx, id: ChannelId) -> Result<bool>;
    /// The channels of all tenants that were connected through a Meta app, oldest first.
    async fn channels_of_app(&self, meta_app: MetaAppId) -> Result<Vec<Channel>>;
    /// Whose this address is, oldest first: one channel at most for a channel's own, any number for a
    /// business account's. Answers from memory: it is asked for every webhook element. There is no
    /// default: an unknown address is nobody's, and so is one of a tenant that is closed.
    fn routes(&self, address: &ChannelAddress) -> Vec<Route>;

    /// Creates or replaces a request to delete.
    async fn put_deletion(&self, deletion: Deletion) -> Result<()>;
    /// A request to delete.
    async fn deletion(&self, id: DeletionId) -> Result<Option<Deletion>>;

    /// Creates or replaces an API key.
    async fn put_api_key(&self, key: ApiKey) -> Result<()>;
    /// An API key.
    async fn api_key(&self, id: ApiKeyId) -> Result<Option<ApiKey>>;
    /// An API key of this tenant, or (`None`) of the platform. Another's is refused unopened, by the same work as
    /// one that is not there: who asks for it learns nothing from the time that it takes.
    async fn api_key_of(&self, of: Option<TenantId>, id: ApiKeyId) -> Result<Option<ApiKey>>;
    /// All API keys, oldest first.
    async fn api_keys(&self) -> Result<Vec<ApiKey>>;

    /// Keeps, sealed, what an authentic webhook said about an address that nobody connected. Bounded:
    /// beyond `unrouted_max` the oldest are dropped. An event that is kept already is not kept again.
    /// What was not raw text is kept as JSON.
    async fn keep_unrouted(&self, address: Option<ChannelAddress>, event: InboundEvent) -> Result<()>;
    /// What is kept so, newest first, at most `limit`: when, the external id, the kind, the raw text.
    async fn unrouted(&self, limit: usize) -> Result<Vec<(Timestamp, String, String, Pii<String>)>>;

    /// Removes dedup keys that were set before this moment, in all tenants, and before it parked
    /// statuses and edits and the marks of messages that were taken back; says how many dedup keys.
    /// A message whose dedup key is its id has none: it is known by that id for ever. Sums of days that
    /// are more than 400 days past go with them, and reservations that nobody settled in two days.
    async fn forget_dedup_before(&self, before: Timestamp) -> Result<u64>;
    /// Nothing while writes are durable; otherwise why they are not.
    fn health(&self) -> std::result::Result<(), StorageError>;
    /// Ends all writing in good order. Later commands fail with `Closed`.
    async fn close(&self);
    /// Examines the whole store: every record opens and is of a schema that is known, what it refers to is
    /// there, indexes and counts agree; and repairs it, if that is asked for. Others go on meanwhile: what
    /// looks wrong while something is being written is looked at again before it is told of. Takes some
    /// memory for a page of records, however many there are.
    async fn examine(
        &self,
        examination: &Examination,
        progress: &(dyn Fn(Progress) + Sync),
    ) -> Result<Findings>;
    /// Records that were set aside, of a tenant or (`None`) of the platform, in the order of their keys, from
    /// after that one on, at most `limit`.
    async fn set_aside(
        &self,
        tenant: Option<TenantCtx>,
        after: Option<String>,
        limit: usize,
    ) -> Result<Vec<SetAside>>;
    /// Brings records of older schemas to the present one, and returns how many. They are readable before
    /// that too. What is interrupted goes on where it was; where nothing is left to do, nothing is read.
    async fn upgrade_records(&self) -> Result<u64>;
    /// Examines the store and changes nothing; calls `progress(tenant number, records so far)` now and then;
    /// returns how many records opened and a line for each finding that means that something is lost.
    async fn check(&self, progress: &(dyn Fn(usize, u64) + Sync)) -> Result<(u64, Vec<String>)> {
        let tell = |step: Progress| progress(step.tenant, step.records);
        let found = self.examine(&Examination::default(), &tell).await?;
        let unmended = found.findings.iter().filter(|finding| finding.is_unmended());
        Ok((found.records, unmended.map(ToString::to_string).collect()))
    }
}

/// What is to be done with the entry at the head of a conversation's outbox.
#[derive(Clone, PartialEq, Eq)]
pub enum Dispatch {
    /// It is marked as being handed over, durably: hand it over now and report.
    Go(Box<OutboxEntry>),
    /// It may not leave any more: report it withdrawn.
    Withdraw(MessageId, WithdrawnReason),
    /// It waits until this moment, or is being reconciled since then.
    NotYet(Box<OutboxEntry>),
    /// Nothing waits.
    Empty,
}

/// One tenant's data.
#[async_trait]
pub trait TenantStore: Send + Sync + 'static {
    /// Takes webhook events of one channel in, each once. Most become a letter in the inbox of a
    /// conversation; a contact who is new gets an id, a key and a conversation. From then on a message
    /// is found by Meta's id, and one that is known by it already is a duplicate.
    ///
    /// * A message, or the business's own from elsewhere, is given an id. An echo of what we sent is a
    ///   report that it was sent, whether it names our message, is known by Meta's id, or (where the
    ///   channel names neither) says what an entry says that may have left.
    /// * A status, an edit and a removal go to their message's conversation. A status finds it by our
    ///   id, if that message went out on this channel, or by Meta's. One that does not find it, and an
    ///   edit that does not, is parked: a letter in the write that makes Meta's id known.
    /// * A removal leaves a mark whether its message is known or not: content of that message that
    ///   waits in the inbox or comes later, or with a commit that was decided before, is not kept.
    /// * An identity with two parts that name two contacts shows that they are one person: the older
    ///   one goes on, all later events are theirs, and the other's unread letters stay where they are.
    /// * What Meta says of the channel itself, and `Kept` events without a contact, go straight into
    ///   the event log.
    ///
    /// Fails with `Backlog`, having promised nothing, when the inbox is full, and with `NotFound` when
    /// the channel is not this tenant's, or the tenant is closed.
    async fn accept(&self, channel: ChannelId, events: &[InboundEvent]) -> Result<Accepted>;
    /// The oldest letters of a conversation, at most `limit`.
    async fn inbox(&self, conversation: ConversationId, limit: usize) -> Result<Vec<InboxEntry>>;
    /// Conversations with letters, with something under way or with work in the outbox, in id order
    /// after `after`, at most `limit`: what must be woken after a restart.
    async fn unfinished(&self, after: Option<ConversationId>, limit: usize) -> Result<Vec<ConversationId>>;

    /// A conversation and its revision.
    async fn conversation(&self, id: ConversationId) -> Result<Option<(Conversation, u64)>>;
    /// Writes one step of a conversation. Returns the place of its last event (or of the latest
    /// event there is when it has none). What was parked for messages whose id becomes known by it is
    /// letters in the inbox afterwards. A message that is there already is replaced, but how far it
    /// got does not go back and what was taken back stays so. A delivery of a message that is not
    /// there, or that came in, is left out.
    async fn commit(&self, commit: ConversationCommit) -> Result<EventSeq>;
    /// Writes the end of a turn, if its epoch still holds.
    async fn commit_turn(&self, commit: TurnCommit) -> Result<EventSeq>;
    /// Appends facts to the log that belong to no step of a conversation.
    async fn append(&self, conversation: Option<ConversationId>, events: Vec<EventKind>) -> Result<EventSeq>;

    /// Takes the head of a conversation's outbox up: one write that checks the epoch floor and the
    /// window and marks the entry as being handed over, and notes it in the contact's ledger of disclosures. An entry that may have left already (it is
    /// being handed over, or its outcome is unknown) is never withdrawn.
    async fn begin_dispatch(&self, conversation: ConversationId) -> Result<Dispatch>;
    /// Records how handing over ended and leaves a letter in the conversation's inbox, in one write.
    /// The entry leaves the outbox, waits again (`Postponed`; the try does not count if it says so), or
    /// is `Unknown`. A report on an entry that is gone does nothing.
    async fn settle(&self, conversation: ConversationId, report: SendReport) -> Result<()>;
    /// Outbox entries of a conversation, in order.
    async fn outbox(&self, conversation: ConversationId) -> Result<Vec<OutboxEntry>>;

    /// A contact.
    async fn contact(&self, id: ContactId) -> Result<Option<Contact>>;
    /// A keyed hash that stands for a contact towards the model's operator: 43 characters, the same
    /// for the same contact, unlinkable between tenants.
    fn safety_identifier(&self, id: ContactId) -> String;
    /// Conversations, newest first, those before `before` (without itself), as all lists here.
    async fn conversations(&self, before: Option<ConversationId>, limit: usize) -> Result<Vec<Conversation>>;
    /// Messages of a conversation, newest first, from `before` on.
    async fn messages(
        &self,
        conversation: ConversationId,
        before: Option<MessageId>,
        limit: usize,
    ) -> Result<Vec<Message>>;
    /// Messages that go out and were written at `at` or before, newest first, at most `limit`, of the
    /// conversation's latest 200 messages.
    async fn outbound_before(
        &self,
        conversation: ConversationId,
        at: Timestamp,
        limit: usize,
    ) -> Result<Vec<Message>>;
    /// One message.
    async fn message(&self, conversation: ConversationId, id: MessageId) -> Result<Option<Message>>;
    /// Execution records of a conversation, newest first, from `before` on.
    async fn turns(
        &self,
        conversation: ConversationId,
        before: Option<TurnId>,
        limit: usize,
    ) -> Result<Vec<TurnRecord>>;
    /// One execution record.
    async fn turn(&self, conversation: ConversationId, id: TurnId) -> Result<Option<TurnRecord>>;
    /// Dead letters, newest first, from `before` on.
    async fn dead_letters(&self, before: Option<DeadLetterId>, limit: usize) -> Result<Vec<DeadLetter>>;
    /// One dead letter.
    async fn dead_letter(&self, id: DeadLetterId) -> Result<Option<DeadLetter>>;
    /// Creates or changes a dead letter outside a step of its conversation (whose actor failed), with
    /// the event that tells of it.
    async fn put_dead_letter(&self, letter: DeadLetter, event: EventKind) -> Result<()>;
    /// Events after `after`, oldest first, at most `limit`. The log keeps no contents: a message in an
    /// event is shown as it is now, or, where it is not there any more, by its id, author and times.
    async fn events(&self, after: EventSeq, limit: usize) -> Result<Vec<Event>>;
    /// The place of the latest event, now and whenever it changes (after it is durable).
    fn latest_event(&self) -> watch::Receiver<EventSeq>;

    /// Channels, oldest first.
    async fn channels(&self) -> Result<Vec<Channel>>;
    /// One channel.
    async fn channel(&self, id: ChannelId) -> Result<Option<Channel>>;
    /// Replaces what is known of the templates that a channel may send; none removes it. `NotFound`
    /// when the channel is not this tenant's.
    async fn put_templates(&self, channel: ChannelId, templates: Vec<MessageTemplate>) -> Result<()>;
    /// The templates that a channel may send, as they were put.
    async fn templates(&self, channel: ChannelId) -> Result<Vec<MessageTemplate>>;
    /// The summary of a conversation, if there is one. When a message that it may tell of is taken back,
    /// it goes in the same write, and the turns since that message lose the words in their records: what
    /// they gave to tools, and why they asked for a person.
    async fn summary(&self, conversation: ConversationId) -> Result<Option<Summary>>;

    /// The assistant's settings, if any were ever stored.
    async fn assistant(&self) -> Result<Option<AssistantSettingsVersion>>;
    /// The settings as they were in a version. The newest 200 are kept.
    async fn assistant_version(&self, version: u64) -> Result<Option<AssistantSettingsVersion>>;
    /// Versions of the settings, newest first, from `before` on.
    async fn assistant_versions(
        &self,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<AssistantSettingsVersion>>;
    /// Publishes new settings as the next version, with the event that tells of it. A draft stays.
    /// `Stale` when `expected` is given and is not the version that counts now.
    async fn put_assistant(
        &self,
        settings: AssistantSettings,
        expected: Option<u64>,
    ) -> Result<AssistantSettingsVersion>;
    /// The draft, if there is one.
    async fn assistant_draft(&self) -> Result<Option<AssistantDraft>>;
    /// Saves settings as the draft, in place of a former one, based on the version that counts now.
    async fn put_assistant_draft(&self, settings: AssistantSettings) -> Result<AssistantDraft>;
    /// Throws the draft away; says whether there was one.
    async fn discard_assistant_draft(&self) -> Result<bool>;
    /// Publishes the draft as the next version, with the event that tells of it; there is none
    /// afterwards. `NotFound` without a draft; `Stale` when it is based on another version than the one
    /// that counts now, or `expected` is given and is another.
    async fn publish_assistant_draft(&self, expected: Option<u64>) -> Result<AssistantSettingsVersion>;
    /// Publishes the settings of a former version as the next one. `NotFound` when that one is not
    /// kept; `Stale` as with [`put_assistant`](Self::put_assistant).
    async fn roll_back_assistant(
        &self,
        version: u64,
        expected: Option<u64>,
    ) -> Result<AssistantSettingsVersion>;

    /// Sets money aside for a turn, durably, before it is spent: as much of `reservation.amount` as each
    /// of the limits that are kept over several turns leaves over, if that is at least `least`, and
    /// nothing otherwise. What is set aside counts as spent until it is settled, also if that never
    /// comes: one that the same turn has already is spent in full.
    async fn reserve(&self, reservation: Reservation, least: Cost, budgets: Budgets) -> Result<Option<Cost>>;
    /// Replaces what was set aside for a turn by what it spent of it (or, by a little, beyond it).
    /// Does nothing where nothing is set aside.
    async fn settle_reservation(&self, turn: TurnId, spent: Cost) -> Result<()>;
    /// Counts what was spent without a reservation.
    async fn spend(
        &self,
        conversation: ConversationId,
        contact: ContactId,
        day: Day,
        amount: Cost,
    ) -> Result<()>;
    /// What the tenant spent in a day; what is set aside counts. Days are kept for 400 days.
    async fn spent(&self, day: Day) -> Result<Cost>;
    /// What was spent on a contact in a day, likewise.
    async fn spent_on_contact(&self, contact: ContactId, day: Day) -> Result<Cost>;
    /// What was ever spent in a conversation, likewise.
    async fn spent_in(&self, conversation: ConversationId) -> Result<Cost>;

    /// Adds or changes a document, with the event that tells of it. A document begins as `Indexing`:
    /// `NotFound` for one that is not there and is in another state, as it was removed meanwhile. `Full`
    /// when there are 500 others.
    async fn put_document(&self, document: Document) -> Result<()>;
    /// Documents, oldest first.
    async fn documents(&self) -> Result<Vec<Document>>;
    /// One document.
    async fn document(&self, id: DocumentId) -> Result<Option<Document>>;
    /// Replaces all passages of a document by these: whoever reads sees all of the former ones or all of
    /// the new ones. `NotFound` when it is not there; `Full` when the tenant would have more than 20,000.
    async fn put_passages(&self, document: DocumentId, passages: Vec<Passage>) -> Result<()>;
    /// All passages of all documents, by document (the oldest first) and place.
    async fn passages(&self) -> Result<Vec<Passage>>;
    /// Removes a document with its passages, with the event that tells of it; says whether it was there.
    async fn remove_document(&self, id: DocumentId) -> Result<bool>;

    /// Creates or replaces a golden question. `Full` when there are 500 others.
    async fn put_golden(&self, question: GoldenQuestion) -> Result<()>;
    /// All golden questions, oldest first.
    async fn golden(&self) -> Result<Vec<GoldenQuestion>>;
    /// Removes a golden question; says whether it was there.
    async fn remove_golden(&self, id: GoldenId) -> Result<bool>;

    /// The key that seals an owner's files; the tenant's own is made at first use. Fails with
    /// `NotFound` for a contact who is not known or was erased.
    async fn content_key(&self, owner: ContentOwner) -> Result<ContentKey>;

    /// Its outgoing webhooks.
    fn hooks(&self) -> &dyn Hooks;
}
