//! Every kind of record and its key: kind byte ‖ big-endian parts.
//!
//! | kind | tree | key after the kind byte | record |
//! |---|---|---|---|
//! | 1 subject key | tenant | contact | the contact's key, wrapped |
//! | 2 contact | tenant | contact | [`Contact`] |
//! | 3 address | tenant | channel ‖ hash of part and value | [`Addressee`] |
//! | 4 conversation | tenant | conversation | [`StoredConversation`]; read in part, a [`Fence`] |
//! | 5 | | | retired: the fence was apart from its conversation |
//! | 6 busy | tenant | conversation | nothing: it is there or not |
//! | 7 inbox | tenant | conversation ‖ seq | [`StoredLetter`] |
//! | 8 outbox | tenant | conversation ‖ order ‖ message | [`OutboxEntry`] |
//! | 9 message | tenant | conversation ‖ message | [`Message`] |
//! | 10 message's home | tenant | message that goes out | [`Home`] |
//! | 11 provider id | tenant | hash of channel and id | [`Known`] |
//! | 12 parked | tenant | hash of channel and id ‖ seq | [`Parked`] |
//! | 13 parked since | tenant | moment ‖ seq ‖ hash | nothing |
//! | 14 dedup | tenant | hash of channel and key | when it was set |
//! | 15 | | | retired: dedup keys by their moment |
//! | 16 turn | tenant | conversation ‖ turn | [`TurnRecord`] |
//! | 17 dead letter | tenant | dead letter | [`DeadLetter`] |
//! | 18 event | tenant | seq | [`Event`] |
//! | 19 assistant | tenant | version | [`AssistantSettingsVersion`] |
//! | 20 tombstone | tenant | hash of channel and id | when the message of this id was taken back |
//! | 21 tombstone since | tenant | moment ‖ hash | nothing |
//! | 22 templates | tenant | channel | [`MessageTemplate`]s |
//! | 23 assistant's draft | tenant | nothing: there is one | [`AssistantDraft`] |
//! | 24 summary | tenant | conversation | [`StoredSummary`] |
//! | 25 document | tenant | document | [`StoredDocument`] |
//! | 26 passage | tenant | document ‖ edition ‖ place | [`StoredPassage`] |
//! | 27 golden question | tenant | golden question | [`GoldenQuestion`] |
//! | 28 reservation | tenant | turn | [`Reservation`] |
//! | 29 spent in a day | tenant | day | [`Cost`] |
//! | 30 spent on a contact | tenant | day ‖ contact | [`Cost`] |
//! | 31 spent in a conversation | tenant | conversation | [`Cost`] |
//! | 32 set aside | both | the key of a record that did not open | when, and the record as it was |
//! | 33 upgrade | both | nothing: there is one | [`Upgrading`] |
//! | 34 closed | platform | nothing: there is one | how often the store was closed in good order |
//! | 35 suppression | tenant | channel ‖ hash of part and value | [`Suppression`] |
//! | 40 audit | both | seq | [`SealedAudit`] |
//! | 41 audit's head | both | nothing: there is one | [`AuditHead`] |
//! | 42 checkpoint | both | seq ‖ moment | [`Checkpoint`] |
//! | 43 break-glass | tenant | grant | [`BreakGlass`] |
//! | 44 subscription | tenant | subscription | [`Subscription`] |
//! | 45 subscription's cursor | tenant | subscription | the seq of an event |
//! | 46 delivery | tenant | subscription ‖ delivery | [`Delivery`] |
//! | 47 delivery due | tenant | moment ‖ subscription ‖ delivery | nothing |
//! | 48 delivery by state | tenant | subscription ‖ state ‖ delivery | nothing |
//! | 49 answer | both | hash of a request's key | [`StoredAnswer`] |
//! | 50 answer's turn | both | number | [`AnswerTurn`] |
//! | 51 answers' ends | both | nothing: there is one | [`AnswerEnds`] |
//! | 52 erasure | tenant | erasure | [`Erasure`] |
//! | 53 hold | tenant | hold | [`LegalHold`] |
//! | 54 retention | tenant | nothing: there is one | [`Retention`] |
//! | 55 sweep | tenant | class | [`SweepRecord`] |
//! | 56 epoch | tenant | nothing: there is one | [`Turning`] |
//! | 60 disclosures | tenant | contact | [`Disclosures`] |
//! | 61 order | tenant | order | [`LegalOrder`] |
//! | 62 kept webhook | tenant | the seq of an event | nothing |
//! | 64 tenant | platform | tenant | [`Tenant`] |
//! | 65 Meta app | platform | app | [`MetaApp`] |
//! | 66 channel | platform | tenant ‖ channel | [`Channel`], sealed with the tenant's key |
//! | 67 channel address | platform | hash of a channel's own address | [`ChannelOwner`] |
//! | 68 API key | platform | key | [`ApiKey`] |
//! | 69 unrouted | platform | seq ‖ hash | [`Unrouted`] |
//! | 70 unrouted seen | platform | hash of address and key | nothing |
//! | 71 deletion | platform | deletion | [`Deletion`] |
//! | 72 certificate | platform | tenant | [`DestructionCertificate`] |
//! | 75 incident | platform | incident | [`Incident`] |
//! | 80 account | platform | account | [`Account`] |
//! | 81 account by e-mail | platform | hash of the address | an account |
//! | 82 account by subject | platform | hash of the subject | an account |
//! | 83 member | platform | kind of place ‖ place ‖ account | nothing |
//! | 84 session | platform | account ‖ session | [`Session`] |
//! | 85 session by hash | platform | hash of the token's hash | [`SessionHome`] |
//! | 86 agency | platform | agency | [`Agency`] |
//! | 87 invitation | platform | invitation | [`Invitation`] |
//! | 88 invitation by hash | platform | hash of the token's hash | an invitation |
//! | 89 invited | platform | kind of place ‖ place ‖ invitation | nothing |
//! | 90 token | platform | account ‖ kind | [`Token`] |
//! | 91 token by hash | platform | hash of kind and the token's hash | an account |
//! | 92 access | platform | request | [`AccessRecord`] |
//! | 93 access of an account | platform | account ‖ request | nothing |
//! | 94 access to a tenant | platform | tenant ‖ request | nothing |
//! | 95 access shortened | platform | nothing: there is one | the last request whose address was shortened |
//!
//! A number is never used for another kind; one that is retired stays in this table. A record's
//! schema goes up when its JSON changes so that older ones must be read differently; with it comes an
//! [`Upgrade`], which makes the present JSON of an older one. A record of a later schema is refused and
//! left alone. Schema 1 of conversations and of dedup keys was never released and is not read: all
//! released versions write what is in this table.
//!
//! What a store costs is mostly how many records a message touches, so there is one record for each thing
//! that is asked for, and none beside it: a message whose dedup key is Meta's id is known by record 11
//! alone, only what goes out has a home, and dedup keys are swept by walking them.
//!
//! Nothing personal is in a key: phone numbers, Meta's ids and dedup texts are there as hashes that
//! only the tenant's key makes.

use std::marker::PhantomData;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use iassistance_domain::Mapped;
use iassistance_domain::Timestamp;
use iassistance_domain::access::AccessRecord;
use iassistance_domain::account::{Account, MemberOf};
use iassistance_domain::agency::Agency;
use iassistance_domain::answer::StoredAnswer;
use iassistance_domain::assistant::{AssistantDraft, AssistantSettingsVersion};
use iassistance_domain::audit::{AuditEntry, Checkpoint, SealedAudit};
use iassistance_domain::break_glass::BreakGlass;
use iassistance_domain::budget::{Cost, Day, Reservation};
use iassistance_domain::channel::{AddressScope, Channel, ChannelAddress, MessageTemplate, MetaApp};
use iassistance_domain::contact::Contact;
use iassistance_domain::conversation::{Conversation, Epoch};
use iassistance_domain::deletion::Deletion;
use iassistance_domain::event::{DeadLetter, Event, EventSeq};
use iassistance_domain::golden::GoldenQuestion;
use iassistance_domain::id::{
    AccessId, AccountId, AgencyId, ApiKeyId, BreakGlassId, ChannelId, ContactId, ConversationId,
    DeadLetterId, DeletionId, DeliveryId, DocumentId, ErasureId, GoldenId, HoldId, IncidentId, InvitationId,
    MessageId, MetaAppId, OrderId, SessionId, SubscriptionId, TenantId, TurnId,
};
use iassistance_domain::inbound::InboundEvent;
use iassistance_domain::invitation::{Invitation, Token, TokenKind};
use iassistance_domain::key::ApiKey;
use iassistance_domain::map::Shape;
use iassistance_domain::message::Message;
use iassistance_domain::outbox::OutboxEntry;
use iassistance_domain::privacy::{
    Class, DestructionCertificate, Disclosures, Erasure, Incident, LegalHold, LegalOrder, Retention,
    Suppression, SweepRecord,
};
use iassistance_domain::session::Session;
use iassistance_domain::subscription::{Delivery, DeliveryState, Subscription};
use iassistance_domain::summary::Summary;
use iassistance_domain::tenant::Tenant;
use iassistance_domain::turn::TurnRecord;

use super::epoch::Turning;
use super::knowledge::{StoredDocument, StoredPassage};
use super::upgrade::Upgrading;
use crate::commit::Letter;

/// Bytes of a keyed hash in a key: two of 2^64 records agree by chance.
pub(super) const HASH_BYTES: usize = 16;
/// The longest key: kind ‖ id ‖ number ‖ id.
const KEY_BYTES_MAX: usize = 1 + 16 + 8 + 16;

pub(super) type Hash = [u8; HASH_BYTES];

/// Makes the present JSON of a record of an older schema, and of nothing else: the same for the same.
/// Nothing where that schema was never released, or the record does not have it.
pub(super) type Upgrade = fn(schema: u16, record: Value) -> Option<Value>;

/// A kind of record, and what its records hold.
pub(super) struct Kind<T> {
    pub(super) code: u8,
    pub(super) name: &'static str,
    pub(super) schema: u16,
    pub(super) upgrade: Option<Upgrade>,
    holds: PhantomData<fn() -> T>,
}

impl<T> Clone for Kind<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Kind<T> {}

impl<T> Kind<T> {
    const fn new(code: u8, name: &'static str, schema: u16) -> Self {
        Self { code, name, schema, upgrade: None, holds: PhantomData }
    }

    /// The same kind in a later schema, with what makes it of older ones.
    #[cfg(test)]
    pub(super) const fn later(self, schema: u16, upgrade: Upgrade) -> Self {
        Self { schema, upgrade: Some(upgrade), ..self }
    }

    /// The beginning of every key of this kind.
    pub(super) fn key(self) -> Key<T> {
        let mut bytes = [0; KEY_BYTES_MAX];
        bytes[0] = self.code;
        Key { kind: self, bytes, length: 1 }
    }
}

impl<T> Kind<T> {
    /// The key that these bytes are, if they are one of this kind.
    pub(super) fn at(self, key: &[u8]) -> Option<Key<T>> {
        let rest = key.strip_prefix(&[self.code])?;
        (key.len() <= KEY_BYTES_MAX).then(|| self.key().with(rest))
    }
}

/// A key, or the beginning of the keys of some records.
pub(super) struct Key<T> {
    pub(super) kind: Kind<T>,
    bytes: [u8; KEY_BYTES_MAX],
    length: usize,
}

impl<T> Clone for Key<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Key<T> {}

impl<T> Key<T> {
    fn with(mut self, part: &[u8]) -> Self {
        let end = self.length + part.len();
        self.bytes[self.length..end].copy_from_slice(part);
        self.length = end;
        self
    }

    /// With an id or a hash.
    pub(super) fn id(self, id: [u8; 16]) -> Self {
        self.with(&id)
    }

    /// With a number.
    pub(super) fn number(self, number: u64) -> Self {
        self.with(&number.to_be_bytes())
    }

    /// With a moment; earlier ones sort first, those before 1970 too.
    pub(super) fn moment(self, at: Timestamp) -> Self {
        self.number(at.as_millis().cast_unsigned() ^ (1 << 63))
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// The 16 bytes that stand `at` in a key.
pub(super) fn id_in(key: &[u8], at: usize) -> Option<[u8; 16]> {
    key.get(at..).and_then(|rest| rest.first_chunk()).copied()
}

/// The number that stands `at` in a key.
pub(super) fn number_in(key: &[u8], at: usize) -> Option<u64> {
    key.get(at..).and_then(|rest| rest.first_chunk()).map(|bytes| u64::from_be_bytes(*bytes))
}

/// The moment that stands `at` in a key.
pub(super) fn moment_in(key: &[u8], at: usize) -> Option<Timestamp> {
    number_in(key, at).map(|number| Timestamp::from_millis((number ^ (1 << 63)).cast_signed()))
}

/// What is known of a kind, whatever its records hold.
#[derive(Clone, Copy)]
pub(super) struct AnyKind {
    pub(super) code: u8,
    pub(super) name: &'static str,
    pub(super) schema: u16,
    pub(super) upgrade: Option<Upgrade>,
    /// Whether this is a record of it, in its present schema.
    pub(super) holds: fn(&[u8]) -> bool,
    /// What they are made of.
    pub(super) shape: fn() -> Shape,
}

impl AnyKind {
    pub(super) const fn of<T: DeserializeOwned + Mapped>(kind: Kind<T>) -> Self {
        let Kind { code, name, schema, upgrade, .. } = kind;
        let holds = |record: &[u8]| serde_json::from_slice::<T>(record).is_ok();
        Self { code, name, schema, upgrade, holds, shape: T::shape }
    }
}

/// A line may end in `, upgrade function`: what reads its older schemas.
macro_rules! kinds {
    ($($constant:ident: $record:ty = $code:literal, $name:literal, schema $schema:literal
        $(, upgrade $upgrade:path)?;)*) => {
        $(pub(super) const $constant: Kind<$record> = Kind {
            $(upgrade: Some($upgrade),)?
            ..Kind::new($code, $name, $schema)
        };)*

        /// All kinds whose records are sealed JSON.
        pub(super) const KINDS: &[AnyKind] = &[$(AnyKind::of($constant)),*];
    };
}

/// A subject key's code: its records are wrapped keys, not JSON.
pub(super) const SUBJECT_KEY: Kind<Vec<u8>> = Kind::new(1, "subject_key", 1);
/// What is set aside: records as they were, not JSON.
pub(super) const SET_ASIDE: Kind<Vec<u8>> = Kind::new(32, "set_aside", 1);
/// A conversation's record, read in part.
const FENCE: Kind<Fence> = Kind {
    code: CONVERSATION.code,
    name: CONVERSATION.name,
    schema: CONVERSATION.schema,
    upgrade: CONVERSATION.upgrade,
    holds: PhantomData,
};

/// What is sealed inside an [`AUDIT`] record, for its key.
pub(super) const AUDIT_ENTRY: Kind<AuditEntry> = Kind::new(AUDIT.code, "audit_entry", 1);

/// The kind of this key's record, if it is sealed JSON of a kind that is known.
pub(super) fn kind_of(key: &[u8]) -> Option<&'static AnyKind> {
    let code = *key.first()?;
    KINDS.iter().find(|kind| kind.code == code)
}

/// What the kind of this key's record is called.
pub(super) fn kind_name(key: &[u8]) -> &'static str {
    match key.first() {
        Some(&code) if code == SUBJECT_KEY.code => SUBJECT_KEY.name,
        Some(&code) if code == SET_ASIDE.code => SET_ASIDE.name,
        _ => kind_of(key).map_or("unknown", |kind| kind.name),
    }
}

/// Where the record of a key is set aside.
pub(super) fn aside(key: &[u8]) -> Vec<u8> {
    [&[SET_ASIDE.code], key].concat()
}

/// The conversation that a record belongs to, where its key tells.
pub(super) fn conversation_in(key: &[u8]) -> Option<ConversationId> {
    const OF_CONVERSATIONS: [u8; 8] = [
        CONVERSATION.code,
        BUSY.code,
        INBOX.code,
        OUTBOX.code,
        MESSAGE.code,
        TURN.code,
        SUMMARY.code,
        SPENT_CONVERSATION.code,
    ];
    let code = key.first()?;
    OF_CONVERSATIONS.contains(code).then(|| id_in(key, 1).map(ConversationId::from_bytes))?
}

kinds! {
    CONTACT: Contact = 2, "contact", schema 1;
    ADDRESS: Addressee = 3, "address", schema 1;
    CONVERSATION: StoredConversation = 4, "conversation", schema 2;
    BUSY: () = 6, "busy", schema 1;
    INBOX: StoredLetter = 7, "inbox", schema 1;
    OUTBOX: OutboxEntry = 8, "outbox", schema 1;
    MESSAGE: Message = 9, "message", schema 1;
    HOME: Home = 10, "message_home", schema 1;
    PROVIDER: Known = 11, "provider_id", schema 1;
    PARKED: Parked = 12, "parked", schema 1;
    PARKED_SINCE: () = 13, "parked_since", schema 1;
    DEDUP: Timestamp = 14, "dedup", schema 2;
    TURN: TurnRecord = 16, "turn", schema 1;
    DEAD_LETTER: DeadLetter = 17, "dead_letter", schema 1;
    EVENT: Event = 18, "event", schema 1;
    ASSISTANT: AssistantSettingsVersion = 19, "assistant", schema 1;
    TOMBSTONE: Timestamp = 20, "tombstone", schema 1;
    TOMBSTONE_SINCE: () = 21, "tombstone_since", schema 1;
    TEMPLATES: Vec<MessageTemplate> = 22, "templates", schema 1;
    ASSISTANT_DRAFT: AssistantDraft = 23, "assistant_draft", schema 1;
    SUMMARY: StoredSummary = 24, "summary", schema 1;
    DOCUMENT: StoredDocument = 25, "document", schema 1;
    PASSAGE: StoredPassage = 26, "passage", schema 1;
    GOLDEN: GoldenQuestion = 27, "golden_question", schema 1;
    RESERVATION: Reservation = 28, "reservation", schema 1;
    SPENT_DAY: Cost = 29, "spent_in_a_day", schema 1;
    SPENT_CONTACT: Cost = 30, "spent_on_a_contact", schema 1;
    SPENT_CONVERSATION: Cost = 31, "spent_in_a_conversation", schema 1;
    ERASURE: Erasure = 52, "erasure", schema 1;
    HOLD: LegalHold = 53, "hold", schema 1;
    RETENTION: Retention = 54, "retention", schema 1;
    SWEEP: SweepRecord = 55, "sweep", schema 1;
    EPOCH: Turning = 56, "epoch", schema 1;
    DISCLOSURES: Disclosures = 60, "disclosures", schema 1;
    ORDER: LegalOrder = 61, "order", schema 1;
    INCIDENT: Incident = 75, "incident", schema 1;
    KEPT_RAW: () = 62, "kept_webhook", schema 1;
    CERTIFICATE: DestructionCertificate = 72, "certificate", schema 1;
    UPGRADING: Upgrading = 33, "upgrade", schema 1;
    CLOSED: u64 = 34, "closed", schema 1;
    SUPPRESSION: Suppression = 35, "suppression", schema 1;
    AUDIT: SealedAudit = 40, "audit", schema 1;
    AUDIT_HEAD: AuditHead = 41, "audit_head", schema 1;
    CHECKPOINT: Checkpoint = 42, "checkpoint", schema 1;
    BREAK_GLASS: BreakGlass = 43, "break_glass", schema 1;
    SUBSCRIPTION: Subscription = 44, "subscription", schema 1;
    SUBSCRIPTION_CURSOR: EventSeq = 45, "subscription_cursor", schema 1;
    DELIVERY: Delivery = 46, "delivery", schema 1;
    DELIVERY_DUE: () = 47, "delivery_due", schema 1;
    DELIVERY_STATE: () = 48, "delivery_by_state", schema 1;
    ANSWER: StoredAnswer = 49, "answer", schema 1;
    ANSWER_TURN: AnswerTurn = 50, "answer_turn", schema 1;
    ANSWER_ENDS: AnswerEnds = 51, "answer_ends", schema 1;
    TENANT: Tenant = 64, "tenant", schema 1;
    META_APP: MetaApp = 65, "meta_app", schema 1;
    CHANNEL: Channel = 66, "channel", schema 1;
    CHANNEL_ADDRESS: ChannelOwner = 67, "channel_address", schema 1;
    API_KEY: ApiKey = 68, "api_key", schema 1;
    UNROUTED: Unrouted = 69, "unrouted", schema 1;
    UNROUTED_SEEN: () = 70, "unrouted_seen", schema 1;
    DELETION: Deletion = 71, "deletion", schema 1;
    ACCOUNT: Account = 80, "account", schema 1;
    ACCOUNT_EMAIL: AccountId = 81, "account_by_email", schema 1;
    ACCOUNT_SUBJECT: AccountId = 82, "account_by_subject", schema 1;
    MEMBER: () = 83, "member", schema 1;
    SESSION: Session = 84, "session", schema 1;
    SESSION_HASH: SessionHome = 85, "session_by_hash", schema 1;
    AGENCY: Agency = 86, "agency", schema 1;
    INVITATION: Invitation = 87, "invitation", schema 1;
    INVITATION_HASH: InvitationId = 88, "invitation_by_hash", schema 1;
    INVITED: () = 89, "invited", schema 1;
    TOKEN: Token = 90, "token", schema 1;
    TOKEN_HASH: AccountId = 91, "token_by_hash", schema 1;
    ACCESS: AccessRecord = 92, "access", schema 1;
    ACCESS_OF_ACCOUNT: () = 93, "access_of_an_account", schema 1;
    ACCESS_OF_TENANT: () = 94, "access_to_a_tenant", schema 1;
    ACCESS_SHORTENED: AccessId = 95, "access_shortened", schema 1;
}

/// The kinds whose records say no more than that they are there.
pub(super) const MARKS: [Kind<()>; 11] = [
    BUSY,
    KEPT_RAW,
    PARKED_SINCE,
    TOMBSTONE_SINCE,
    UNROUTED_SEEN,
    MEMBER,
    INVITED,
    ACCESS_OF_ACCOUNT,
    ACCESS_OF_TENANT,
    DELIVERY_DUE,
    DELIVERY_STATE,
];

/// Whose address it is.
#[derive(Clone, Copy, PartialEq, Serialize, Deserialize, Mapped)]
#[data(purpose = "deliver", basis = "contract", keep = "contact")]
pub(super) struct Addressee {
    #[data(id)]
    pub(super) contact: ContactId,
    #[data(id)]
    pub(super) conversation: ConversationId,
}

/// A conversation at rest.
#[derive(Serialize, Deserialize, Mapped)]
#[data(purpose = "deliver", basis = "contract", keep = "contact")]
pub(super) struct StoredConversation {
    #[data(operational)]
    pub(super) revision: u64,
    #[data(parts)]
    pub(super) conversation: Conversation,
}

/// What decides about a conversation's writes and sends: of its record that much is read, fast.
#[derive(Clone, Copy, Deserialize)]
pub(super) struct Fence {
    pub(super) revision: u64,
    #[serde(rename = "conversation")]
    pub(super) state: FenceState,
}

/// The part of a [`Fence`] that is the conversation's own.
#[derive(Clone, Copy, Deserialize)]
pub(super) struct FenceState {
    pub(super) epoch: Epoch,
    pub(super) floor: Epoch,
    pub(super) channel: ChannelId,
    pub(super) contact: ContactId,
}

/// Where a message is.
#[derive(Clone, Copy, PartialEq, Serialize, Deserialize, Mapped)]
#[data(purpose = "deliver", basis = "contract", keep = "message")]
pub(super) struct Home {
    #[data(id)]
    pub(super) conversation: ConversationId,
    #[data(id)]
    pub(super) channel: ChannelId,
    #[data(id)]
    pub(super) contact: ContactId,
}

/// The message that Meta's id stands for.
#[derive(Clone, Copy, PartialEq, Serialize, Deserialize, Mapped)]
#[data(purpose = "deliver", basis = "contract", keep = "mark")]
pub(super) struct Known {
    #[data(id)]
    pub(super) message: MessageId,
    #[data(id)]
    pub(super) conversation: ConversationId,
    #[data(id)]
    pub(super) contact: ContactId,
    /// Whether it goes out through us. What was taken for another's gives way to ours.
    #[data(operational)]
    pub(super) ours: bool,
}

/// A letter at rest.
#[derive(Serialize, Deserialize, Mapped)]
#[data(purpose = "deliver", basis = "contract", keep = "message")]
pub(super) struct StoredLetter {
    #[data(operational)]
    pub(super) accepted_at: Timestamp,
    #[data(parts)]
    pub(super) letter: Letter,
}

/// A status or an edit whose message is not known.
#[derive(Serialize, Deserialize, Mapped)]
#[data(purpose = "deliver", basis = "contract", keep = "mark")]
pub(super) struct Parked {
    #[data(operational)]
    pub(super) accepted_at: Timestamp,
    #[data(parts)]
    pub(super) event: InboundEvent,
}

/// What a conversation was about, and when a message of it was last taken back.
#[derive(Default, Serialize, Deserialize, Mapped)]
#[data(purpose = "reply", basis = "contract", keep = "message")]
pub(super) struct StoredSummary {
    #[data(parts)]
    pub(super) summary: Option<Summary>,
    #[data(operational)]
    pub(super) unsaid_at: Option<Timestamp>,
}

/// Whose channel has an address.
#[derive(Clone, Copy, Serialize, Deserialize, Mapped)]
#[data(purpose = "deliver", basis = "contract", keep = "setting")]
pub(super) struct ChannelOwner {
    #[data(id)]
    pub(super) tenant: TenantId,
    #[data(id)]
    pub(super) channel: ChannelId,
}

/// An event of an address that nobody connected.
#[derive(Serialize, Deserialize, Mapped)]
#[data(purpose = "operate", basis = "interest", keep = "unrouted")]
pub(super) struct Unrouted {
    #[data(operational)]
    pub(super) at: Timestamp,
    #[data(technical)]
    pub(super) external_id: String,
    #[data(parts)]
    pub(super) event: InboundEvent,
}

/// Where a chain ends.
#[derive(Clone, Copy, Serialize, Deserialize, Mapped)]
#[data(purpose = "operate", basis = "obligation", keep = "audit")]
pub(super) struct AuditHead {
    #[data(operational)]
    pub(super) seq: u64,
    #[data(operational)]
    pub(super) hash: [u8; 32],
}

/// Which answer is the next to be dropped.
#[derive(Clone, Copy, Serialize, Deserialize, Mapped)]
#[data(purpose = "operate", basis = "contract", keep = "answer")]
pub(super) struct AnswerTurn {
    #[data(operational)]
    pub(super) hash: Hash,
    #[data(operational)]
    pub(super) at: Timestamp,
}

/// The numbers of the oldest turn and of the next.
#[derive(Clone, Copy, Default, Serialize, Deserialize, Mapped)]
#[data(purpose = "operate", basis = "contract", keep = "answer")]
pub(super) struct AnswerEnds {
    #[data(operational)]
    pub(super) first: u64,
    #[data(operational)]
    pub(super) next: u64,
}

/// Where a session is.
#[derive(Clone, Copy, Serialize, Deserialize, Mapped)]
#[data(purpose = "sign_in", basis = "contract", keep = "account")]
pub(super) struct SessionHome {
    #[data(id)]
    pub(super) account: AccountId,
    #[data(id)]
    pub(super) session: SessionId,
}

macro_rules! keys_of_one_id {
    ($($name:ident($id:ty) -> $record:ty = $kind:ident;)*) => {$(
        pub(super) fn $name(id: $id) -> Key<$record> {
            $kind.key().id(id.to_bytes())
        }
    )*};
}

keys_of_one_id! {
    subject_key(ContactId) -> Vec<u8> = SUBJECT_KEY;
    contact(ContactId) -> Contact = CONTACT;
    conversation(ConversationId) -> StoredConversation = CONVERSATION;
    fence(ConversationId) -> Fence = FENCE;
    busy(ConversationId) -> () = BUSY;
    letters(ConversationId) -> StoredLetter = INBOX;
    outbox(ConversationId) -> OutboxEntry = OUTBOX;
    messages(ConversationId) -> Message = MESSAGE;
    home(MessageId) -> Home = HOME;
    turns(ConversationId) -> TurnRecord = TURN;
    templates(ChannelId) -> Vec<MessageTemplate> = TEMPLATES;
    summary(ConversationId) -> StoredSummary = SUMMARY;
    document(DocumentId) -> StoredDocument = DOCUMENT;
    passages(DocumentId) -> StoredPassage = PASSAGE;
    golden(GoldenId) -> GoldenQuestion = GOLDEN;
    reservation(TurnId) -> Reservation = RESERVATION;
    spent_in(ConversationId) -> Cost = SPENT_CONVERSATION;
    dead_letter(DeadLetterId) -> DeadLetter = DEAD_LETTER;
    tenant(TenantId) -> Tenant = TENANT;
    meta_app(MetaAppId) -> MetaApp = META_APP;
    channels(TenantId) -> Channel = CHANNEL;
    api_key(ApiKeyId) -> ApiKey = API_KEY;
    deletion(DeletionId) -> Deletion = DELETION;
    account(AccountId) -> Account = ACCOUNT;
    sessions(AccountId) -> Session = SESSION;
    agency(AgencyId) -> Agency = AGENCY;
    invitation(InvitationId) -> Invitation = INVITATION;
    break_glass(BreakGlassId) -> BreakGlass = BREAK_GLASS;
    subscription(SubscriptionId) -> Subscription = SUBSCRIPTION;
    subscription_cursor(SubscriptionId) -> EventSeq = SUBSCRIPTION_CURSOR;
    deliveries(SubscriptionId) -> Delivery = DELIVERY;
    erasure(ErasureId) -> Erasure = ERASURE;
    disclosures(ContactId) -> Disclosures = DISCLOSURES;
    order(OrderId) -> LegalOrder = ORDER;
    incident(IncidentId) -> Incident = INCIDENT;
    hold(HoldId) -> LegalHold = HOLD;
    certificate(TenantId) -> DestructionCertificate = CERTIFICATE;
    access(AccessId) -> AccessRecord = ACCESS;
    access_of_account(AccountId) -> () = ACCESS_OF_ACCOUNT;
    access_of_tenant(TenantId) -> () = ACCESS_OF_TENANT;
}

pub(super) fn letter(conversation: ConversationId, seq: u64) -> Key<StoredLetter> {
    letters(conversation).number(seq)
}

pub(super) fn outbox_entry(conversation: ConversationId, order: u64, message: MessageId) -> Key<OutboxEntry> {
    outbox(conversation).number(order).id(message.to_bytes())
}

pub(super) fn message(conversation: ConversationId, id: MessageId) -> Key<Message> {
    messages(conversation).id(id.to_bytes())
}

pub(super) fn turn(conversation: ConversationId, id: TurnId) -> Key<TurnRecord> {
    turns(conversation).id(id.to_bytes())
}

pub(super) fn assistant(version: u64) -> Key<AssistantSettingsVersion> {
    ASSISTANT.key().number(version)
}

pub(super) fn passage(document: DocumentId, edition: u64, place: u32) -> Key<StoredPassage> {
    passages(document).number(edition).number(place.into())
}

pub(super) fn spent(day: Day) -> Key<Cost> {
    SPENT_DAY.key().number(day.0)
}

pub(super) fn spent_on(contact: ContactId, day: Day) -> Key<Cost> {
    SPENT_CONTACT.key().number(day.0).id(contact.to_bytes())
}

pub(super) fn event(seq: u64) -> Key<Event> {
    EVENT.key().number(seq)
}

pub(super) fn channel(tenant: TenantId, id: ChannelId) -> Key<Channel> {
    channels(tenant).id(id.to_bytes())
}

pub(super) fn session(account: AccountId, id: SessionId) -> Key<Session> {
    sessions(account).id(id.to_bytes())
}

pub(super) fn token(account: AccountId, kind: TokenKind) -> Key<Token> {
    let kind = match kind {
        TokenKind::PasswordReset => 1,
        TokenKind::EmailChange => 2,
    };
    TOKEN.key().id(account.to_bytes()).number(kind)
}

/// Of a kind whose keys begin with a place.
pub(super) fn of_place<T>(kind: Kind<T>, place: MemberOf) -> Key<T> {
    match place {
        MemberOf::Agency(agency) => kind.key().number(1).id(agency.to_bytes()),
        MemberOf::Tenant(tenant) => kind.key().number(2).id(tenant.to_bytes()),
    }
}

pub(super) fn sweep(class: Class) -> Key<SweepRecord> {
    let place = Class::ALL.iter().position(|known| *known == class).unwrap_or_default();
    SWEEP.key().number(place as u64)
}

pub(super) fn audit(seq: u64) -> Key<SealedAudit> {
    AUDIT.key().number(seq)
}

pub(super) fn delivery(subscription: SubscriptionId, id: DeliveryId) -> Key<Delivery> {
    deliveries(subscription).id(id.to_bytes())
}

pub(super) fn deliveries_in(subscription: SubscriptionId, state: DeliveryState) -> Key<()> {
    let state = match state {
        DeliveryState::Waiting => 1,
        DeliveryState::Delivered => 2,
        DeliveryState::Dead => 3,
    };
    DELIVERY_STATE.key().id(subscription.to_bytes()).number(state)
}

/// What is hashed for a webhook's address.
pub(super) fn address_text(address: &ChannelAddress) -> String {
    let scope = match address.scope {
        AddressScope::Channel => "channel",
        AddressScope::Account => "account",
    };
    format!("{}/{scope}/{}", address.kind.name(), address.external_id)
}

#[cfg(test)]
mod tests {
    use iassistance_domain::conversation::Input;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn keys_sort_as_what_they_are_made_of(a: (i64, u64), b: (i64, u64)) {
            let key = |(at, seq): (i64, u64)| {
                PARKED_SINCE.key().moment(Timestamp::from_millis(at)).number(seq).bytes().to_vec()
            };
            prop_assert_eq!(key(a).cmp(&key(b)), a.cmp(&b));
            prop_assert_eq!(moment_in(&key(a), 1), Some(Timestamp::from_millis(a.0)));
            prop_assert_eq!(number_in(&key(a), 9), Some(a.1));
        }

        #[test]
        fn what_is_in_a_key_can_be_read_again(conversation: [u8; 16], order: u64, message: [u8; 16]) {
            let conversation = ConversationId::from_bytes(conversation);
            let key = outbox_entry(conversation, order, MessageId::from_bytes(message));
            prop_assert_eq!(id_in(key.bytes(), 1), Some(conversation.to_bytes()));
            prop_assert_eq!(number_in(key.bytes(), 17), Some(order));
            prop_assert_eq!(id_in(key.bytes(), 25), Some(message));
            prop_assert!(key.bytes().starts_with(outbox(conversation).bytes()));
        }
    }

    #[test]
    fn a_fence_is_read_from_its_conversations_record() {
        let (channel, contact) = (ChannelId::from_bytes([1; 16]), ContactId::from_bytes([2; 16]));
        let id = ConversationId::from_bytes([3; 16]);
        let mut conversation = Conversation::open(id, channel, contact, Timestamp::from_millis(4));
        conversation.apply(Input::TakenOver { operator: "Ada".to_owned() }, Timestamp::from_millis(5));
        let (epoch, floor) = (conversation.epoch(), conversation.floor());
        let record = serde_json::to_vec(&StoredConversation { revision: 6, conversation }).unwrap();
        let fence: Fence = serde_json::from_slice(&record).unwrap();
        assert_eq!(fence.revision, 6);
        assert_eq!((fence.state.epoch, fence.state.floor), (epoch, floor));
        assert!(floor > Epoch(0) && (fence.state.channel, fence.state.contact) == (channel, contact));
    }

    #[test]
    fn a_key_that_is_cut_short_has_no_parts() {
        assert_eq!(id_in(&[1, 2, 3], 1), None);
        assert_eq!(number_in(&[1], 5), None);
    }
}
