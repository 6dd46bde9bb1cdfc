//! What belongs to no tenant, and that tenants share nothing.

use iassistance_domain::Pii;
use iassistance_domain::assistant::AssistantSettings;
use iassistance_domain::delivery::DeliveryStatus;
use iassistance_domain::event::EventSeq;
use iassistance_domain::id::{ApiKeyId, ContactId, MetaAppId};
use iassistance_domain::key::{ApiKey, Scope};
use iassistance_domain::tenant::TenantCtx;
use iassistance_storage::StorageError;

use crate::support::*;

pub async fn platform_records(world: World) {
    let store = &world.store;
    store.create_tenant(tenant(2)).await.unwrap();
    store.create_tenant(tenant(1)).await.unwrap();
    assert!(matches!(store.create_tenant(tenant(1)).await, Err(StorageError::Conflict("tenant"))));
    assert_eq!(store.tenants().await.unwrap(), [tenant(1), tenant(2)]);
    store.put_meta_app(meta_app(1)).await.unwrap();
    let mut renamed = meta_app(1);
    "renamed".clone_into(&mut renamed.name);
    store.put_meta_app(renamed.clone()).await.unwrap();
    assert_eq!(store.meta_app(renamed.id).await.unwrap(), Some(renamed.clone()));
    assert_eq!(store.meta_app(MetaAppId::from_bytes([3; 16])).await.unwrap(), None);
    assert_eq!(store.meta_apps().await.unwrap(), [renamed]);
    let key = ApiKey {
        id: ApiKeyId::from_bytes([5; 16]),
        name: "k".to_owned(),
        tenant: None,
        scopes: vec![Scope::Platform],
        hash: "00".to_owned(),
        created_at: START,
        expires_at: None,
        revoked_at: None,
    };
    store.put_api_key(key.clone()).await.unwrap();
    assert_eq!(store.api_key(key.id).await.unwrap(), Some(key.clone()));
    assert_eq!(store.api_keys().await.unwrap(), [key]);
    assert!(store.health().is_ok());
}

pub async fn channels_are_routed_and_their_addresses_are_unique(world: World) {
    let one = world.tenant(1).await;
    let two = world.tenant(2).await;
    let route = world.store.route(&address(1)).unwrap();
    assert_eq!((route.tenant, route.channel), (tenant_id(1), channel_id(1)));
    assert_eq!(world.store.route(&address(9)), None, "an unknown address is nobody's");

    let mut stolen = channel(2);
    stolen.external_id = channel(1).external_id;
    let refused = world.store.put_channel(stolen.clone()).await;
    assert!(matches!(refused, Err(StorageError::Conflict("channel address"))));
    stolen.id = channel_id(7);
    assert!(matches!(world.store.put_channel(stolen).await, Err(StorageError::Conflict("channel address"))));
    let mut foreign = channel(1);
    foreign.tenant = tenant_id(2);
    assert!(matches!(world.store.put_channel(foreign).await, Err(StorageError::Conflict("channel"))));
    let mut nobodys = channel(8);
    nobodys.tenant = tenant_id(8);
    assert!(matches!(world.store.put_channel(nobodys).await, Err(StorageError::NoSuchTenant(_))));

    let mut moved = channel(1);
    "100009".clone_into(&mut moved.external_id);
    world.store.put_channel(moved.clone()).await.unwrap();
    assert_eq!(world.store.route(&address(1)), None);
    assert_eq!(world.store.route(&address(9)).map(|route| route.channel), Some(channel_id(1)));
    let mut taken_over = channel(2);
    taken_over.external_id = channel(1).external_id;
    world.store.put_channel(taken_over).await.unwrap();
    assert_eq!(world.store.route(&address(1)).map(|route| route.tenant), Some(tenant_id(2)));

    assert_eq!(one.channels().await.unwrap(), [moved.clone()]);
    assert_eq!(one.channel(channel_id(1)).await.unwrap(), Some(moved));
    assert_eq!(two.channel(channel_id(1)).await.unwrap(), None, "another tenant's");
}

pub async fn tenants_share_nothing(world: World) {
    let (one, two) = (world.tenant(1).await, world.tenant(2).await);
    let stranger = TenantCtx::authenticated(tenant_id(3));
    assert!(
        matches!(world.store.tenant(stranger).await.err(), Some(StorageError::NoSuchTenant(id)) if id == tenant_id(3))
    );
    let mine = hear(&*one, 1, "5491100000001", "hello").await;
    let theirs = hear(&*two, 2, "5491100000001", "hello").await;
    assert_ne!(mine, theirs);
    assert!(two.conversation(mine).await.unwrap().is_none());
    assert!(two.inbox(mine, 9).await.unwrap().is_empty());
    let contact = one.conversation(mine).await.unwrap().unwrap().0.contact;
    assert!(two.contact(contact).await.unwrap().is_none());
    queue(&*one, mine, &[message_id(1)], None).await;
    assert!(two.message(mine, message_id(1)).await.unwrap().is_none());
    assert!(two.outbox(mine).await.unwrap().is_empty());
    assert_eq!(two.events(EventSeq(0), 100).await.unwrap().len(), 1, "its own opening alone");
    let foreign_channel = two.accept(channel_id(1), &[wrote(identity("549"), None, "x")]).await;
    assert!(matches!(foreign_channel, Err(StorageError::NotFound("channel"))));
    let guessed = status("wamid.none", Some(message_id(1)), DeliveryStatus::Read);
    let accepted = two.accept(channel_id(2), &[guessed]).await.unwrap();
    assert!(accepted.conversations.is_empty(), "another tenant's message id means nothing");
    let commit = step(&*one, mine).await;
    assert!(matches!(two.commit(commit).await, Err(StorageError::NotFound("conversation"))));
}

pub async fn unrouted_events_are_bounded(mut world: World) {
    for number in 0..6 {
        world.clock.advance_millis(1);
        for _ in 0..2 {
            let event = kept(None, &format!("raw {number}"));
            world.store.keep_unrouted(Some(address(9)), event).await.unwrap();
        }
    }
    world.reopen().await;
    let event = wrote(identity("549"), None, "text");
    world.store.keep_unrouted(None, event.clone()).await.unwrap();
    world.store.keep_unrouted(Some(address(9)), event).await.unwrap();
    let shown = world.store.unrouted(9).await.unwrap();
    let labels: Vec<_> =
        shown.iter().map(|(_, external_id, kind, _)| (external_id.as_str(), kind.as_str())).collect();
    let image = ("100009", "message.image");
    assert_eq!(labels, [("100009", "message"), ("", "message"), image, image]);
    assert!(shown[2].3 == Pii::new("raw 5".to_owned()) && shown[2].0 == START.plus_millis(6));
    assert_eq!(world.store.unrouted(1).await.unwrap().len(), 1);
}

pub async fn safety_identifiers(world: World) {
    let (one, two) = (world.tenant(1).await, world.tenant(2).await);
    let contact = |number: u8| ContactId::from_bytes([number; 16]);
    let name = one.safety_identifier(contact(1));
    assert_eq!(name.len(), 43);
    assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'));
    assert_eq!(one.safety_identifier(contact(1)), name);
    assert_ne!(one.safety_identifier(contact(2)), name);
    assert_ne!(two.safety_identifier(contact(1)), name);
}

pub async fn settings_have_versions(world: World) {
    let tenant = world.tenant(1).await;
    assert_eq!(tenant.assistant().await.unwrap(), None);
    let settings = |task: &str| AssistantSettings {
        enabled: true,
        task: task.to_owned(),
        instructions: String::new(),
        model: None,
        temperature: Some(0.5),
        base_url: None,
        api_key: None,
        quiet_ms: 0,
        cap_ms: 0,
        output_tokens_max: 1,
        prompt_tokens_max: 500,
        fallback_text: String::new(),
    };
    assert_eq!(tenant.put_assistant(settings("a"), None).await.unwrap().version, 1);
    assert_eq!(tenant.put_assistant(settings("b"), Some(1)).await.unwrap().version, 2);
    assert!(matches!(tenant.put_assistant(settings("c"), Some(1)).await, Err(StorageError::Stale)));
    let latest = tenant.assistant().await.unwrap().unwrap();
    assert_eq!((latest.version, latest.settings), (2, settings("b")));
    let events = tenant.events(EventSeq(0), 10).await.unwrap();
    assert!(events.iter().all(|event| event.kind.name() == "settings.changed") && events.len() == 2);
}

pub async fn a_closed_store_refuses(world: World) {
    let tenant = world.tenant(1).await;
    let id = hear(&*tenant, 1, "549", "hello").await;
    world.store.close().await;
    let refused = tenant.accept(channel_id(1), &[wrote(identity("549"), None, "x")]).await;
    assert!(matches!(refused, Err(StorageError::Closed)));
    assert!(matches!(tenant.inbox(id, 1).await, Err(StorageError::Closed)));
    assert!(matches!(world.store.tenants().await, Err(StorageError::Closed)));
    assert!(matches!(world.store.health(), Err(StorageError::Closed)));
    world.store.close().await;
}

pub async fn every_record_is_checked(world: World) {
    let tenant = world.tenant(1).await;
    world.tenant(2).await;
    world.store.put_meta_app(meta_app(1)).await.unwrap();
    let id = hear(&*tenant, 1, "549", "hello").await;
    tenant.accept(channel_id(1), &[status("wamid.x", None, DeliveryStatus::Sent)]).await.unwrap();
    queue(&*tenant, id, &[message_id(1)], None).await;
    let steps = std::sync::Mutex::new(Vec::new());
    let progress = |tenant: usize, records: u64| steps.lock().unwrap().push((tenant, records));
    let (records, bad) = world.store.check(&progress).await.unwrap();
    assert!(bad.is_empty());
    assert!(records > 10);
    let steps = steps.into_inner().unwrap();
    assert!(steps.is_sorted() && steps.last() == Some(&(2, records)));
}
