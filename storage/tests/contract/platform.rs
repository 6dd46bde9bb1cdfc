//! What belongs to no tenant, and that tenants share nothing.

use iassistance_domain::Pii;
use iassistance_domain::budget::{Budgets, Cost};
use iassistance_domain::channel::{
    Channel, ChannelAddress, ChannelHealth, ChannelKind, ChannelState, Connection, MessageTemplate,
    StoredSecret,
};
use iassistance_domain::deletion::{Deletion, DeletionState};
use iassistance_domain::delivery::DeliveryStatus;
use iassistance_domain::event::EventSeq;
use iassistance_domain::id::{ApiKeyId, ContactId, DeletionId, MetaAppId};
use iassistance_domain::key::{ApiKey, Scope};
use iassistance_domain::knowledge::DocumentState;
use iassistance_domain::tenant::TenantCtx;
use iassistance_storage::{Examination, Problem, Progress, StorageError, SummaryChange};

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
    let id = ApiKeyId::from_bytes([5; 16]);
    let key = ApiKey::new(id, "k".to_owned(), None, vec![Scope::Platform], "00".to_owned(), START);
    store.put_api_key(key.clone()).await.unwrap();
    assert_eq!(store.api_key(key.id).await.unwrap(), Some(key.clone()));
    assert_eq!(store.api_keys().await.unwrap(), [key]);
    let mut deletion = Deletion {
        id: DeletionId::from_bytes([6; 16]),
        meta_app: MetaAppId::from_bytes([1; 16]),
        requested_at: START,
        state: DeletionState::Begun,
    };
    assert_eq!(store.deletion(deletion.id).await.unwrap(), None);
    store.put_deletion(deletion.clone()).await.unwrap();
    deletion.state = DeletionState::Done { at: START, channels: 2 };
    store.put_deletion(deletion.clone()).await.unwrap();
    assert_eq!(store.deletion(deletion.id).await.unwrap(), Some(deletion));
    assert!(store.health().is_ok());
}

pub async fn channels_are_routed_and_their_addresses_are_unique(world: World) {
    let one = world.tenant(1).await;
    let two = world.tenant(2).await;
    let owners = |number| {
        let routes = world.store.routes(&address(number));
        routes.iter().map(|route| (route.tenant, route.channel)).collect::<Vec<_>>()
    };
    assert_eq!(owners(1), [(tenant_id(1), channel_id(1))]);
    assert!(owners(9).is_empty(), "an unknown address is nobody's");

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
    assert!(owners(1).is_empty());
    assert_eq!(owners(9), [(tenant_id(1), channel_id(1))]);
    let mut taken_over = channel(2);
    taken_over.external_id = channel(1).external_id;
    world.store.put_channel(taken_over).await.unwrap();
    assert_eq!(owners(1), [(tenant_id(2), channel_id(2))]);

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
    let others = [status("wamid.x", None, DeliveryStatus::Sent), removed("wamid.y", 1)];
    tenant.accept(channel_id(1), &others).await.unwrap();
    tenant.put_templates(channel_id(1), vec![template("a")]).await.unwrap();
    queue(&*tenant, id, &[message_id(1)], None).await;
    let mut commit = step(&*tenant, id).await;
    commit.summary = Some(SummaryChange::Put(summary(message_id(1), START)));
    commit.turns.push(turn(id, 1, START));
    commit.attributes.push(("city".to_owned(), Pii::new("Rosario".to_owned())));
    tenant.commit(commit).await.unwrap();
    tenant.put_assistant(settings("a"), None).await.unwrap();
    tenant.put_assistant_draft(settings("b")).await.unwrap();
    tenant.put_document(document(1, DocumentState::Indexing)).await.unwrap();
    tenant.put_passages(document_id(1), passages(1, 3, 1)).await.unwrap();
    tenant.put_golden(golden(1, "When?")).await.unwrap();
    let budgets = Budgets { tenant_day: Some(Cost(5)), ..Budgets::default() };
    tenant.reserve(reservation(1, 1, 1, 9), Cost(1), budgets).await.unwrap();
    let steps = std::sync::Mutex::new(Vec::new());
    let progress = |step: Progress| steps.lock().unwrap().push((step.tenant, step.records));
    let found = world.store.examine(&Examination::default(), &progress).await.unwrap();
    let records = found.records;
    assert!(found.findings.iter().all(|finding| finding.problem != Problem::DoesNotOpen));
    assert!(records > 20);
    let steps = steps.into_inner().unwrap();
    assert!(steps.is_sorted() && steps.last() == Some(&(2, records)));
}

/// A tenant's channel of this number, in a business account.
fn in_account(number: u8, owner: u8, account: &str) -> Channel {
    let connection = Connection::CloudApi { account_id: Some(account.to_owned()), number: None };
    Channel { tenant: tenant_id(owner), connection, ..channel(number) }
}

pub async fn an_account_s_address_is_all_its_channels(mut world: World) {
    drop((world.tenant(1).await, world.tenant(2).await));
    let channels = [in_account(2, 2, "waba"), in_account(1, 1, "waba"), in_account(5, 1, "other")];
    for channel in &channels {
        world.store.put_channel(channel.clone()).await.unwrap();
    }
    let of = |world: &World, address: ChannelAddress| {
        world.store.routes(&address).iter().map(|route| route.channel).collect::<Vec<_>>()
    };
    let account = |id: &str| ChannelAddress::account(ChannelKind::Whatsapp, id.to_owned());
    let own = |id: &str| ChannelAddress::channel(ChannelKind::Whatsapp, id.to_owned());
    assert_eq!(of(&world, account("waba")), [channel_id(1), channel_id(2)], "oldest first, of two tenants");
    assert_eq!(of(&world, account("other")), [channel_id(5)]);
    assert!(of(&world, own("waba")).is_empty() && of(&world, account("100001")).is_empty());
    assert_eq!(of(&world, address(1)), [channel_id(1)]);

    world.reopen().await;
    assert_eq!(of(&world, account("waba")), [channel_id(1), channel_id(2)]);
    world.store.put_channel(in_account(2, 2, "other")).await.unwrap();
    assert_eq!(of(&world, account("waba")), [channel_id(1)]);
    assert_eq!(of(&world, account("other")), [channel_id(2), channel_id(5)]);

    let mut through_another = in_account(1, 1, "waba");
    through_another.meta_app = MetaAppId::from_bytes([2; 16]);
    world.store.put_channel(through_another.clone()).await.unwrap();
    let of_app =
        async |number| world.store.channels_of_app(MetaAppId::from_bytes([number; 16])).await.unwrap();
    assert_eq!(of_app(1).await, [in_account(2, 2, "other"), in_account(5, 1, "other")]);
    assert_eq!(of_app(2).await, [through_another.clone()]);
    assert!(of_app(9).await.is_empty());
    assert_eq!(world.store.routes(&address(1))[0].meta_app, through_another.meta_app);
}

pub async fn a_channel_s_health_undoes_nothing(world: World) {
    let tenant = world.tenant(1).await;
    let ctx = TenantCtx::authenticated(tenant_id(1));
    let reason = Some("its token is over".to_owned());
    let health = ChannelHealth::connecting(START).turned(ChannelState::Expired, reason, START.plus_millis(5));
    let mut renewed = channel(1);
    renewed.access_token = StoredSecret::new("another-token");
    world.store.put_channel(renewed.clone()).await.unwrap();
    world.store.set_channel_health(ctx, channel_id(1), health.clone()).await.unwrap();
    renewed.health = health.clone();
    assert_eq!(tenant.channel(channel_id(1)).await.unwrap(), Some(renewed));
    let missing = world.store.set_channel_health(ctx, channel_id(9), health.clone()).await;
    assert!(matches!(missing, Err(StorageError::NotFound("channel"))));
    world.tenant(2).await;
    let foreign = TenantCtx::authenticated(tenant_id(2));
    let refused = world.store.set_channel_health(foreign, channel_id(1), health.clone()).await;
    assert!(matches!(refused, Err(StorageError::NotFound("channel"))));
    let nobody = TenantCtx::authenticated(tenant_id(8));
    let refused = world.store.set_channel_health(nobody, channel_id(1), health).await;
    assert!(matches!(refused, Err(StorageError::NoSuchTenant(_))));
}

pub async fn a_channel_is_removed(mut world: World) {
    let tenant = world.tenant(1).await;
    let ctx = TenantCtx::authenticated(tenant_id(1));
    drop(world.tenant(2).await);
    world.store.put_channel(in_account(1, 1, "waba")).await.unwrap();
    tenant.put_templates(channel_id(1), vec![template("hello")]).await.unwrap();
    let id = hear(&*tenant, 1, "549", "hello").await;
    let foreign = TenantCtx::authenticated(tenant_id(2));
    assert!(!world.store.remove_channel(foreign, channel_id(1)).await.unwrap());
    assert!(world.store.remove_channel(ctx, channel_id(1)).await.unwrap());
    assert!(!world.store.remove_channel(ctx, channel_id(1)).await.unwrap(), "once");
    let account = ChannelAddress::account(ChannelKind::Whatsapp, "waba".to_owned());
    assert!(world.store.routes(&address(1)).is_empty() && world.store.routes(&account).is_empty());
    assert!(tenant.channels().await.unwrap().is_empty());
    assert!(tenant.templates(channel_id(1)).await.unwrap().is_empty());
    assert!(tenant.conversation(id).await.unwrap().is_some(), "conversations stay");
    let gone = tenant.accept(channel_id(1), &[wrote(identity("549"), None, "more")]).await;
    assert!(matches!(gone, Err(StorageError::NotFound("channel"))));
    drop(tenant);
    world.reopen().await;
    assert!(world.store.routes(&address(1)).is_empty());
    let taken_over = Channel { id: channel_id(7), tenant: tenant_id(2), ..channel(1) };
    world.store.put_channel(taken_over).await.unwrap();
    assert_eq!(world.store.routes(&address(1))[0].tenant, tenant_id(2), "its address is free");
}

fn template(name: &str) -> MessageTemplate {
    MessageTemplate {
        name: name.to_owned(),
        language: "pt_BR".to_owned(),
        category: "UTILITY".to_owned(),
        status: "APPROVED".to_owned(),
        body: "Hello {{1}}".to_owned(),
    }
}

pub async fn templates_are_kept_by_channel(world: World) {
    let tenant = world.tenant(1).await;
    assert!(tenant.templates(channel_id(1)).await.unwrap().is_empty());
    let two = vec![template("b"), template("a")];
    tenant.put_templates(channel_id(1), two.clone()).await.unwrap();
    assert_eq!(tenant.templates(channel_id(1)).await.unwrap(), two);
    assert!(tenant.templates(channel_id(2)).await.unwrap().is_empty());
    tenant.put_templates(channel_id(1), vec![template("c")]).await.unwrap();
    assert_eq!(tenant.templates(channel_id(1)).await.unwrap(), [template("c")]);
    let other = world.tenant(2).await;
    let foreign = other.put_templates(channel_id(1), two).await;
    assert!(matches!(foreign, Err(StorageError::NotFound("channel"))));
    tenant.put_templates(channel_id(1), Vec::new()).await.unwrap();
    assert!(tenant.templates(channel_id(1)).await.unwrap().is_empty());
}
