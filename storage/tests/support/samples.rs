//! Short words for what tests put into a store: the store's own, and those of the promises.

use iassistance_domain::channel::{Channel, ChannelHealth, Connection, MetaApp, StoredSecret};
use iassistance_domain::contact::ContactIdentity;
use iassistance_domain::conversation::{Conversation, Epoch};
use iassistance_domain::delivery::Delivery;
use iassistance_domain::id::{ChannelId, ConversationId, MessageId, MetaAppId, TenantId, TurnId};
use iassistance_domain::inbound::{Arrival, InboundEvent, InboundKind};
use iassistance_domain::message::{Author, Content, Message};
use iassistance_domain::outbox::{OutboxEntry, OutboxState};
use iassistance_domain::pii::TenantView;
use iassistance_domain::summary::Summary;
use iassistance_domain::tenant::Tenant;
use iassistance_domain::tool::{ToolCallRecord, ToolOutcome};
use iassistance_domain::turn::{TurnRecord, TurnWork, WindowEnd};
use iassistance_domain::{Pii, Timestamp};
use iassistance_storage::{ConversationCommit, TenantStore};

pub const START: Timestamp = Timestamp::from_millis(1_790_000_000_000);

pub fn tenant_id(number: u8) -> TenantId {
    TenantId::from_bytes([number; 16])
}

pub fn channel_id(number: u8) -> ChannelId {
    ChannelId::from_bytes([number; 16])
}

pub fn tenant(number: u8) -> Tenant {
    Tenant::new(tenant_id(number), format!("tenant {number}"), START)
}

/// Each tenant's channel has its number, and its address is made of it.
pub fn channel(number: u8) -> Channel {
    Channel {
        id: channel_id(number),
        tenant: tenant_id(number),
        meta_app: MetaAppId::from_bytes([1; 16]),
        connection: Connection::CloudApi { account_id: None, number: None },
        external_id: format!("10000{number}"),
        name: "a number".to_owned(),
        access_token: StoredSecret::new("EAA-access-token"),
        token_owner: None,
        health: ChannelHealth::connecting(START),
        created_at: START,
    }
}

pub fn meta_app(number: u8) -> MetaApp {
    MetaApp {
        id: MetaAppId::from_bytes([number; 16]),
        name: "app".to_owned(),
        app_id: None,
        secrets: vec![StoredSecret::new("app-secret-text")],
        verify_token: StoredSecret::new("verify-token-text"),
        created_at: START,
    }
}

pub fn identity(wa_id: &str) -> ContactIdentity {
    ContactIdentity::new(Some(wa_id.to_owned()), None).unwrap()
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
            context: None,
            referral: None,
            arrival: Arrival::Live,
        },
    }
}

/// A message with the dedup key that parsing gives it: Meta's id, and nothing else.
pub fn known_by_id(mut event: InboundEvent) -> InboundEvent {
    if let InboundKind::MessageReceived { provider_id, .. } = &event.kind {
        event.dedup = Pii::new(format!("m:{}", provider_id.reveal(TenantView)));
    }
    event
}

pub fn outgoing(conversation: &Conversation, id: MessageId, provider_id: Option<&str>) -> Message {
    let author = Author::Operator { name: "op".to_owned() };
    Message {
        provider_id: provider_id.map(|id| Pii::new(id.to_owned())),
        delivery: Some(Delivery::queued(START)),
        ..Message::new(id, conversation.id, author, Content::text("an answer"), START)
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
        reply_to: None,
        by_person: epoch.is_none(),
        epoch: epoch.map(Epoch),
        free_until: START.plus_millis(60_000),
        window_until: START.plus_millis(60_000),
        attempts: 0,
        state: OutboxState::Waiting { not_before: START },
        queued_at: START,
    }
}

pub fn message_id(number: u64) -> MessageId {
    let mut bytes = [9; 16];
    bytes[8..].copy_from_slice(&number.to_be_bytes());
    MessageId::from_bytes(bytes)
}

/// A commit on what is stored now.
pub async fn step(tenant: &dyn TenantStore, id: ConversationId) -> ConversationCommit {
    let (conversation, revision) = tenant.conversation(id).await.unwrap().unwrap();
    ConversationCommit::new(conversation, revision)
}

/// A turn of this number that began at `at`, and gave a tool words.
pub fn turn(conversation: ConversationId, number: u64, at: Timestamp) -> TurnRecord {
    let call = ToolCallRecord {
        name: "look_up".to_owned(),
        round: 1,
        arguments: Pii::new("words given to a tool".to_owned()),
        started_at: at,
        ended_at: at,
        tries: 1,
        outcome: ToolOutcome::Done,
        problem: None,
        answer_bytes: 2,
    };
    let reason = Some(Pii::new("words about them".to_owned()));
    TurnRecord {
        id: TurnId::of(conversation, number, at),
        conversation,
        epoch: Epoch(1),
        covers: vec![message_id(1)],
        window_opened_at: at,
        window_end: WindowEnd::Quiet,
        started_at: at,
        settings_version: 1,
        work: TurnWork { tool_calls: vec![call], handover_reason: reason, ..TurnWork::default() },
        ended_at: None,
        end: None,
        control: None,
        disclosed: false,
        sent: Vec::new(),
    }
}

/// A summary of what there was up to a message.
pub fn summary(until: MessageId, made_at: Timestamp) -> Summary {
    let text = Pii::new("words of a summary".to_owned());
    Summary { text, until, messages: 2, model: "m".to_owned(), made_at }
}
