//! A store with every kind of record in it, all of whose references resolve.

use std::sync::Arc;

use iassistance_domain::Pii;
use iassistance_domain::budget::{Budgets, Cost, Day, Reservation};
use iassistance_domain::channel::{ChannelHealth, MessageTemplate, MetaApp, StoredSecret};
use iassistance_domain::deletion::{Deletion, DeletionState};
use iassistance_domain::delivery::DeliveryStatus;
use iassistance_domain::event::{DeadLetter, DeadWork, EventKind};
use iassistance_domain::id::{ApiKeyId, ConversationId, DeadLetterId, DeletionId, MessageId, MetaAppId};
use iassistance_domain::inbound::{Arrival, InboundKind};
use iassistance_domain::key::{ApiKey, Scope};
use iassistance_domain::knowledge::DocumentState;
use iassistance_domain::message::{Author, Message};
use iassistance_storage::{ContentOwner, Letter, Store, SummaryChange, TenantStore};

use super::*;

/// Every kind of record that such a store has; but 5 and 15, which are retired, and 56, which is there while the
/// keys are turned.
pub const TENANT_KINDS: [u8; 47] = [
    1, 2, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30,
    31, 35, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 52, 53, 54, 55, 62,
];
pub const PLATFORM_KINDS: [u8; 26] =
    [64, 65, 66, 67, 68, 69, 70, 71, 72, 80, 81, 82, 83, 84, 85, 86, 87, 88, 89, 90, 91, 92, 93, 94, 95, 96];

/// Fills a store: two tenants with all that there is, and the platform.
pub async fn furnish(store: &dyn Store) {
    let app = MetaApp {
        id: MetaAppId::from_bytes([1; 16]),
        name: "app".to_owned(),
        app_id: Some("1".to_owned()),
        secrets: vec![StoredSecret::new("app-secret-text")],
        verify_token: StoredSecret::new("verify-token-text"),
        created_at: START,
    };
    store.put_meta_app(app.clone()).await.unwrap();
    for number in [1, 2] {
        store.create_tenant(tenant(number)).await.unwrap();
        let health = ChannelHealth::connecting(START);
        store.put_channel(Channel { health, ..channel(number) }).await.unwrap();
        let tenant = store.tenant(TenantCtx::platform(tenant_id(number))).await.unwrap();
        furnish_tenant(&*tenant, number).await;
        let key = ApiKey::new(
            ApiKeyId::from_bytes([number; 16]),
            "key".to_owned(),
            Some(tenant_id(number)),
            vec![Scope::Read],
            "00".to_owned(),
            START,
        );
        store.put_api_key(key).await.unwrap();
    }
    store.keep_unrouted(Some(address(9)), kept(None, "nobody's")).await.unwrap();
    let deletion = Deletion {
        id: DeletionId::from_bytes([1; 16]),
        meta_app: app.id,
        requested_at: START,
        state: DeletionState::Begun,
    };
    store.put_deletion(deletion).await.unwrap();
    super::furnish_people::furnish_people(store).await;
    super::furnish_keeping::furnish_keeping(store).await;
}

/// Everything that a tenant may have.
async fn furnish_tenant(tenant: &dyn TenantStore, number: u8) {
    let busy = talk(tenant, number, "549").await;
    talk(tenant, number, "551").await;
    let (mut conversation, _) = tenant.conversation(busy).await.unwrap().unwrap();
    let mut commit = step(tenant, busy).await;
    let message = tenant.messages(busy, None, 9).await.unwrap().pop().unwrap();
    begin_turn_on(&mut conversation, message.id);
    let running = conversation.running_turn().unwrap().id;
    commit.turns.push(TurnRecord { id: running, covers: vec![message.id], ..turn(busy, 1, START) });
    commit.conversation = conversation.clone();
    tenant.commit(commit).await.unwrap();

    let channel = channel_id(number);
    let waiting = [
        wrote(identity("549"), None, "unread"),
        status("wamid.unknown", None, DeliveryStatus::Sent),
        removed("wamid.gone", 1),
    ];
    tenant.accept(channel, &waiting).await.unwrap();
    let template = MessageTemplate {
        name: "hello".to_owned(),
        language: "es".to_owned(),
        category: "UTILITY".to_owned(),
        status: "APPROVED".to_owned(),
        body: "hello {{1}}".to_owned(),
    };
    tenant.put_templates(channel, vec![template]).await.unwrap();
    tenant.put_assistant(settings("a"), None).await.unwrap();
    tenant.put_assistant(settings("b"), None).await.unwrap();
    tenant.put_assistant_draft(settings("c")).await.unwrap();
    tenant.put_document(document(number, DocumentState::Indexing)).await.unwrap();
    tenant.put_passages(document_id(number), passages(number, 3, 1)).await.unwrap();
    tenant.put_golden(golden(number, "When?")).await.unwrap();
    let contact = conversation.contact;
    tenant.spend(busy, contact, Day(7), Cost(3)).await.unwrap();
    let reserved = Reservation { turn: running, conversation: busy, contact, day: Day(7), amount: Cost(5) };
    let budgets = Budgets { tenant_day: Some(Cost(100)), ..Budgets::default() };
    tenant.reserve(reserved, Cost(1), budgets).await.unwrap().unwrap();
    tenant.content_key(ContentOwner::Tenant).await.unwrap();
}

/// A contact wrote, was answered, and an answer waits to leave.
async fn talk(tenant: &dyn TenantStore, number: u8, from: &str) -> ConversationId {
    let id = hear(tenant, number, from, &format!("hello from {from}")).await;
    let mut commit = step(tenant, id).await;
    let mut last = None;
    for letter in tenant.inbox(id, 9).await.unwrap() {
        commit.acknowledge.push(letter.seq);
        let Letter::Inbound { message: Some(message), event } = letter.letter else { continue };
        let InboundKind::MessageReceived { provider_id, content, .. } = event.kind else { continue };
        let message = Message {
            provider_id: Some(provider_id),
            ..Message::new(message, id, Author::Contact, content, event.occurred_at)
        };
        let received = EventKind::MessageReceived { message: message.clone(), arrival: Arrival::Live };
        commit.events.push(received);
        last = Some(message.id);
        commit.messages.push(message);
    }
    let of = |place: u64| message_of(number, from, place);
    let answered = outgoing(&commit.conversation, of(1), Some(&format!("wamid.answer to {from}")));
    let waiting = outgoing(&commit.conversation, of(2), None);
    commit.outbox.push(entry(&commit.conversation, waiting.id, None));
    commit.messages.extend([answered, waiting]);
    commit.attributes.push(("city".to_owned(), Pii::new("Rosario".to_owned())));
    commit.summary = Some(SummaryChange::Put(summary(last.unwrap(), START.plus_millis(1))));
    commit.turns.push(TurnRecord { covers: Vec::from_iter(last), sent: vec![of(1)], ..turn(id, 9, START) });
    let letter = DeadLetter {
        id: DeadLetterId::from_bytes(of(3).to_bytes()),
        conversation: id,
        work: DeadWork::Send { message: of(1) },
        reason: "the channel refused".to_owned(),
        at: START,
        replayed_at: None,
    };
    commit.dead_letters.push(letter);
    tenant.commit(commit).await.unwrap();
    id
}

fn message_of(number: u8, from: &str, place: u64) -> MessageId {
    let mut bytes = [number; 16];
    bytes[4..7].copy_from_slice(from.as_bytes());
    bytes[8..].copy_from_slice(&place.to_be_bytes());
    MessageId::from_bytes(bytes)
}

/// The store that a test of many shares: the same each time it is made.
pub async fn furnished() -> World {
    let world = World::sled();
    furnish(&*world.store).await;
    world
}

/// A store in this folder, furnished and closed: for what is to be kept.
pub async fn furnish_folder(folder: &Path) {
    let mut world = World::sled_in(folder, small_limits(), Arc::new(SystemDisk));
    furnish(&*world.store).await;
    world.shut().await;
}
