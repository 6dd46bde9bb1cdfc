//! What every backend does.

#![allow(clippy::unwrap_used, reason = "helpers of tests are not seen as tests")]

mod support;

use iassistance_domain::assistant::AssistantSettings;
use iassistance_domain::conversation::{Epoch, Input};
use iassistance_domain::delivery::{DeliveryProblem, DeliveryStatus};
use iassistance_domain::event::{DeadLetter, DeadWork, EventKind, EventSeq};
use iassistance_domain::id::{ApiKeyId, DeadLetterId, MetaAppId, TurnId};
use iassistance_domain::key::{ApiKey, Scope};
use iassistance_domain::outbox::{OutboxState, SendOutcome, WithdrawnReason};
use iassistance_domain::tenant::TenantCtx;
use iassistance_domain::turn::TurnRecord;
use iassistance_domain::{Pii, Timestamp};
use iassistance_storage::{Dispatch, Letter, SendReport, StorageError, TurnCommit};
use support::*;

macro_rules! contract {
    ($($name:ident)*) => {
        mod memory {
            $(#[tokio::test] async fn $name() { super::$name(super::World::memory()).await; })*
        }
        mod sled {
            $(#[tokio::test] async fn $name() { super::$name(super::World::sled()).await; })*
        }
    };
}

contract! {
    platform_records
    channels_are_routed_and_their_addresses_are_unique
    an_event_takes_effect_once
    an_event_is_new_again_once_forgotten
    letters_are_read_in_order_and_acknowledged
    contacts_are_known_by_either_part
    a_profile_name_follows
    tenants_share_nothing
    kept_events
    a_status_finds_its_message
    a_status_waits_for_its_message
    parked_statuses_are_bounded_by_number_and_age
    only_the_revision_that_was_loaded_is_written
    a_turn_commits_only_in_its_epoch
    deliveries_only_advance
    the_outbox_keeps_its_order
    dispatch_checks_floor_window_and_time
    every_outcome_settles
    requeue_and_resend
    what_is_unfinished_is_found
    events_have_no_gaps_and_are_watched
    a_full_inbox_refuses
    lists_are_paged
    settings_have_versions
    dead_letters_and_turns
    unrouted_events_are_bounded
    safety_identifiers
    a_closed_store_refuses
    every_record_is_checked
}

async fn platform_records(world: World) {
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

async fn channels_are_routed_and_their_addresses_are_unique(world: World) {
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

async fn an_event_takes_effect_once(world: World) {
    let tenant = world.tenant(1).await;
    let event = |text: &str| wrote(identity("5491100000001"), None, text);
    let batch = vec![event("a"), event("b"), event("a"), event("c")];
    let first = tenant.accept(channel_id(1), &batch).await.unwrap();
    assert_eq!(first.new, [true, true, false, true]);
    assert_eq!(first.conversations.len(), 1);
    for round in 0..50 {
        let mut again = batch.clone();
        again.rotate_left(round % 4);
        if round % 3 == 0 {
            again.reverse();
        }
        let repeated = tenant.accept(channel_id(1), &again).await.unwrap();
        assert!(repeated.new.iter().all(|new| !new));
        assert!(repeated.conversations.is_empty());
    }
    let letters = tenant.inbox(first.conversations[0], 100).await.unwrap();
    assert_eq!(told(&letters), ["a", "b", "c"]);
}

async fn an_event_is_new_again_once_forgotten(world: World) {
    let tenant = world.tenant(1).await;
    let other = world.tenant(2).await;
    hear(&*tenant, 1, "549", "early").await;
    hear(&*other, 2, "549", "early").await;
    world.clock.advance_millis(1_000);
    hear(&*tenant, 1, "549", "late").await;
    assert_eq!(world.store.forget_dedup_before(START).await.unwrap(), 0);
    assert_eq!(world.store.forget_dedup_before(world.now()).await.unwrap(), 2, "one of each tenant");
    let events = [wrote(identity("549"), None, "early"), wrote(identity("549"), None, "late")];
    assert_eq!(tenant.accept(channel_id(1), &events).await.unwrap().new, [true, false]);
}

async fn letters_are_read_in_order_and_acknowledged(world: World) {
    let tenant = world.tenant(1).await;
    let id = hear(&*tenant, 1, "549", "1").await;
    let other = hear(&*tenant, 1, "550", "other").await;
    for text in 2..=9 {
        assert_eq!(hear(&*tenant, 1, "549", &text.to_string()).await, id);
    }
    let letters = tenant.inbox(id, 3).await.unwrap();
    assert_eq!(told(&letters), ["1", "2", "3"]);
    assert!(letters.iter().all(|letter| letter.accepted_at == START));
    let ids: Vec<_> = letters
        .iter()
        .map(|letter| matches!(letter.letter, Letter::Inbound { message: Some(_), .. }))
        .collect();
    assert_eq!(ids, [true; 3], "each message has an id of its own");

    let mut commit = step(&*tenant, id).await;
    commit.acknowledge = vec![letters[0].seq, letters[2].seq, 999_999];
    tenant.commit(commit).await.unwrap();
    assert_eq!(told(&tenant.inbox(id, 2).await.unwrap()), ["2", "4"]);
    assert_eq!(told(&tenant.inbox(other, 9).await.unwrap()), ["other"]);
}

async fn contacts_are_known_by_either_part(world: World) {
    let tenant = world.tenant(1).await;
    let hear = async |from, text: &str| {
        tenant.accept(channel_id(1), &[wrote(from, None, text)]).await.unwrap().conversations[0]
    };
    let by_number = hear(both("549", ""), "1").await;
    assert_eq!(hear(both("549", "user-a"), "2").await, by_number);
    assert_eq!(hear(both("", "user-a"), "3").await, by_number, "the second part was linked");
    let by_user = hear(both("", "user-b"), "4").await;
    assert_ne!(by_user, by_number);
    assert_eq!(hear(both("549", "user-b"), "5").await, by_number, "the number decides between two");
    assert_eq!(hear(both("", "user-b"), "6").await, by_user, "and nothing is merged");
    assert_eq!(hear(both("550", "user-a"), "7").await, by_number, "a new number of a known user");
    let (conversation, _) = tenant.conversation(by_number).await.unwrap().unwrap();
    let contact = tenant.contact(conversation.contact).await.unwrap().unwrap();
    assert!(contact.identity == both("550", "user-a"));
    assert!(contact.conversation == by_number && contact.channel == channel_id(1));
    assert_ne!(
        hear(both("549", ""), "8").await,
        by_number,
        "the number that was given up is somebody else's"
    );
}

async fn a_profile_name_follows(world: World) {
    let tenant = world.tenant(1).await;
    let hear = async |name, text: &str| {
        let event = wrote(identity("549"), name, text);
        tenant.accept(channel_id(1), &[event]).await.unwrap().conversations[0]
    };
    let id = hear(Some("Ada"), "1").await;
    let (conversation, _) = tenant.conversation(id).await.unwrap().unwrap();
    let name = async || tenant.contact(conversation.contact).await.unwrap().unwrap().profile_name;
    assert!(name().await == Some(Pii::new("Ada".to_owned())));
    hear(None, "2").await;
    assert!(name().await == Some(Pii::new("Ada".to_owned())), "saying nothing changes nothing");
    hear(Some("Ada L."), "3").await;
    assert!(name().await == Some(Pii::new("Ada L.".to_owned())));
}

async fn tenants_share_nothing(world: World) {
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

async fn kept_events(world: World) {
    let tenant = world.tenant(1).await;
    let events = [kept(None, "account"), kept(Some(identity("549")), "image")];
    let accepted = tenant.accept(channel_id(1), &events).await.unwrap();
    assert_eq!(accepted.new, [true, true]);
    let id = accepted.conversations[0];
    let letters = tenant.inbox(id, 9).await.unwrap();
    assert_eq!(told(&letters), ["kept:image"]);
    assert!(matches!(letters[0].letter, Letter::Inbound { message: None, .. }));
    let log = tenant.events(EventSeq(0), 9).await.unwrap();
    assert_eq!(
        log.iter().map(|event| event.kind.name()).collect::<Vec<_>>(),
        ["webhook.kept", "conversation.opened"]
    );
    assert!(log[0].conversation.is_none() && log[0].contact.is_none());
    assert!(matches!(&log[0].kind, EventKind::WebhookKept { kind, channel, raw }
        if kind == "message.image" && *channel == channel_id(1) && *raw == Pii::new("account".to_owned())));
    let contact = tenant.conversation(id).await.unwrap().unwrap().0.contact;
    assert!(log[1].conversation == Some(id) && log[1].contact == Some(contact));
}

async fn a_status_finds_its_message(world: World) {
    let tenant = world.tenant(1).await;
    let mut second = channel(1);
    second.id = channel_id(5);
    "5".clone_into(&mut second.external_id);
    world.store.put_channel(second).await.unwrap();
    let id = hear(&*tenant, 1, "549", "hello").await;
    let mut commit = step(&*tenant, id).await;
    commit.messages.push(outgoing(&commit.conversation, message_id(1), Some("wamid.one")));
    commit.messages.push(outgoing(&commit.conversation, message_id(2), None));
    commit.acknowledge = vec![tenant.inbox(id, 1).await.unwrap()[0].seq];
    tenant.commit(commit).await.unwrap();

    let events = [
        status("wamid.one", None, DeliveryStatus::Sent),
        status("wamid.two", Some(message_id(2)), DeliveryStatus::Sent),
        status("wamid.one", Some(message_id(77)), DeliveryStatus::Delivered),
    ];
    let accepted = tenant.accept(channel_id(1), &events).await.unwrap();
    assert_eq!(accepted.conversations, [id]);
    let letters = told(&tenant.inbox(id, 9).await.unwrap());
    let named = |number, stage| format!("status:{}:{stage}", message_id(number));
    assert_eq!(letters, [named(1, "Sent"), named(2, "Sent"), named(1, "Delivered")]);

    let elsewhere = [
        status("wamid.one", None, DeliveryStatus::Read),
        status("wamid.two", Some(message_id(2)), DeliveryStatus::Read),
    ];
    let accepted = tenant.accept(channel_id(5), &elsewhere).await.unwrap();
    assert!(accepted.conversations.is_empty(), "another channel does not speak for this message");
}

async fn a_status_waits_for_its_message(world: World) {
    let tenant = world.tenant(1).await;
    let id = hear(&*tenant, 1, "549", "hello").await;
    queue(&*tenant, id, &[message_id(1), message_id(2), message_id(3)], None).await;
    let early = [
        status("wamid.one", None, DeliveryStatus::Sent),
        status("wamid.two", None, DeliveryStatus::Sent),
        status("wamid.three", None, DeliveryStatus::Sent),
        status("wamid.one", None, DeliveryStatus::Delivered),
    ];
    let accepted = tenant.accept(channel_id(1), &early).await.unwrap();
    assert_eq!(accepted.new, [true; 4]);
    assert!(accepted.conversations.is_empty());
    let log = tenant.events(EventSeq(1), 9).await.unwrap();
    assert!(log.len() == 4 && log.iter().all(|event| event.kind.name() == "status.parked"));
    let arrived = async || {
        let letters = tenant.inbox(id, 20).await.unwrap();
        told(&letters).into_iter().filter(|text| text.starts_with("status")).collect::<Vec<_>>()
    };
    let named = |number, stage| format!("status:{}:{stage}", message_id(number));

    world.clock.advance_millis(10);
    assert!(matches!(tenant.begin_dispatch(id).await.unwrap(), Dispatch::Go(_)));
    tenant.settle(id, sent(message_id(1), "wamid.one", world.now())).await.unwrap();
    assert_eq!(arrived().await, [named(1, "Sent"), named(1, "Delivered")], "with the report of the send");
    assert_eq!(tenant.inbox(id, 20).await.unwrap()[2].accepted_at, START, "when they came");

    let mut commit = step(&*tenant, id).await;
    commit.deliveries.push((
        message_id(2),
        delivery(DeliveryStatus::Sent),
        Some(Pii::new("wamid.two".to_owned())),
    ));
    commit.messages.push(outgoing(&commit.conversation, message_id(4), Some("wamid.three")));
    tenant.commit(commit).await.unwrap();
    assert_eq!(
        arrived().await[2..],
        [named(4, "Sent"), named(2, "Sent")],
        "with the commit that knows the id"
    );
    let known = tenant.message(id, message_id(2)).await.unwrap().unwrap().provider_id;
    assert!(known == Some(Pii::new("wamid.two".to_owned())));
}

fn sent(message: iassistance_domain::id::MessageId, provider_id: &str, at: Timestamp) -> SendReport {
    SendReport { message, at, outcome: SendOutcome::Sent { provider_id: Pii::new(provider_id.to_owned()) } }
}

async fn parked_statuses_are_bounded_by_number_and_age(world: World) {
    let tenant = world.tenant(1).await;
    let id = hear(&*tenant, 1, "549", "hello").await;
    for number in 0..7 {
        if number == 4 {
            world.clock.advance_millis(1_000);
        }
        let event = status(&format!("wamid.{number}"), None, DeliveryStatus::Sent);
        tenant.accept(channel_id(1), &[event]).await.unwrap();
    }
    // Of seven, five fit: 2 to 6. Then those from before the clock moved go.
    world.store.forget_dedup_before(world.now()).await.unwrap();
    let mut commit = step(&*tenant, id).await;
    for number in 0..7 {
        commit.messages.push(outgoing(
            &commit.conversation,
            message_id(number),
            Some(&format!("wamid.{number}")),
        ));
    }
    tenant.commit(commit).await.unwrap();
    let letters = told(&tenant.inbox(id, 20).await.unwrap());
    let expected: Vec<_> = (4..7).map(|number| format!("status:{}:Sent", message_id(number))).collect();
    assert_eq!(letters[1..], expected);
}

async fn only_the_revision_that_was_loaded_is_written(world: World) {
    let tenant = world.tenant(1).await;
    let id = hear(&*tenant, 1, "549", "hello").await;
    let stale = step(&*tenant, id).await;
    let mut commit = stale.clone();
    commit.conversation.apply(Input::TakenOver { operator: "op".to_owned() }, world.now());
    commit.events.push(EventKind::ChannelConnected { channel: channel_id(1) });
    tenant.commit(commit.clone()).await.unwrap();
    let mut late = stale;
    late.messages.push(outgoing(&late.conversation, message_id(5), None));
    late.acknowledge.push(tenant.inbox(id, 1).await.unwrap()[0].seq);
    assert!(matches!(tenant.commit(late).await, Err(StorageError::Stale)));
    let (stored, revision) = tenant.conversation(id).await.unwrap().unwrap();
    assert_eq!((stored.epoch(), revision), (commit.conversation.epoch(), commit.revision + 1));
    assert!(tenant.message(id, message_id(5)).await.unwrap().is_none(), "nothing of it was written");
    assert_eq!(tenant.inbox(id, 9).await.unwrap().len(), 1);
}

async fn a_turn_commits_only_in_its_epoch(world: World) {
    let tenant = world.tenant(1).await;
    let id = hear(&*tenant, 1, "549", "hello").await;
    let mut begun = step(&*tenant, id).await;
    begin_turn(&mut begun.conversation, world.now());
    assert!(begun.conversation.running_turn().is_some());
    let epoch = begun.conversation.epoch();
    tenant.commit(begun).await.unwrap();
    let reply = async || {
        let mut commit = step(&*tenant, id).await;
        commit.messages.push(outgoing(&commit.conversation, message_id(5), None));
        commit.outbox.push(entry(&commit.conversation, message_id(5), Some(epoch.0)));
        commit
    };
    let turn = TurnCommit { epoch: Epoch(epoch.0 + 1), commit: reply().await };
    assert!(matches!(tenant.commit_turn(turn).await, Err(StorageError::Stale)));
    let late = TurnCommit { epoch, commit: reply().await };
    let mut taken = step(&*tenant, id).await;
    taken.conversation.apply(Input::TakenOver { operator: "op".to_owned() }, world.now());
    tenant.commit(taken).await.unwrap();
    assert!(matches!(tenant.commit_turn(late).await, Err(StorageError::Stale)));
    let loaded_after = TurnCommit { epoch, commit: reply().await };
    assert!(matches!(tenant.commit_turn(loaded_after).await, Err(StorageError::Stale)), "its epoch is over");
    let present = step(&*tenant, id).await.conversation.epoch();
    tenant.commit_turn(TurnCommit { epoch: present, commit: reply().await }).await.unwrap();
    assert_eq!(tenant.outbox(id).await.unwrap().len(), 1);
}

async fn deliveries_only_advance(world: World) {
    let tenant = world.tenant(1).await;
    let id = hear(&*tenant, 1, "549", "hello").await;
    queue(&*tenant, id, &[message_id(1)], None).await;
    let report = async |stage| {
        let mut commit = step(&*tenant, id).await;
        commit.deliveries.push((message_id(1), delivery(stage), None));
        commit.deliveries.push((message_id(99), delivery(stage), Some(Pii::new("wamid.99".to_owned()))));
        tenant.commit(commit).await.unwrap();
        tenant.message(id, message_id(1)).await.unwrap().unwrap().delivery.unwrap().status
    };
    assert_eq!(report(DeliveryStatus::Delivered).await, DeliveryStatus::Delivered);
    assert_eq!(report(DeliveryStatus::Sent).await, DeliveryStatus::Delivered);
    assert_eq!(report(DeliveryStatus::Read).await, DeliveryStatus::Read);
    assert!(tenant.message(id, message_id(99)).await.unwrap().is_none());
}

async fn the_outbox_keeps_its_order(world: World) {
    let tenant = world.tenant(1).await;
    let id = hear(&*tenant, 1, "549", "hello").await;
    let order = [message_id(5), message_id(2), message_id(9), message_id(1)];
    queue(&*tenant, id, &order[..2], None).await;
    queue(&*tenant, id, &order[2..], None).await;
    let waiting: Vec<_> = tenant.outbox(id).await.unwrap().iter().map(|entry| entry.message).collect();
    assert_eq!(waiting, order);
    for message in order {
        let Dispatch::Go(entry) = tenant.begin_dispatch(id).await.unwrap() else { unreachable!("it waits") };
        assert_eq!(entry.message, message);
        assert_eq!((entry.attempts, entry.state), (1, OutboxState::Dispatching { since: START }));
        let Dispatch::NotYet(again) = tenant.begin_dispatch(id).await.unwrap() else {
            unreachable!("it is out")
        };
        assert!(again == entry, "one at a time");
        tenant.settle(id, sent(message, "wamid.x", START)).await.unwrap();
    }
    assert!(tenant.begin_dispatch(id).await.unwrap() == Dispatch::Empty);
    queue(&*tenant, id, &[message_id(11), message_id(12)], None).await;
    let mut commit = step(&*tenant, id).await;
    commit.outbox_done = vec![message_id(11), message_id(404)];
    tenant.commit(commit).await.unwrap();
    assert_eq!(tenant.outbox(id).await.unwrap().len(), 1);
}

async fn dispatch_checks_floor_window_and_time(world: World) {
    let tenant = world.tenant(1).await;
    let id = hear(&*tenant, 1, "549", "hello").await;
    let mut commit = step(&*tenant, id).await;
    let mut later = entry(&commit.conversation, message_id(1), Some(1));
    later.state = OutboxState::Waiting { not_before: START.plus_millis(500) };
    commit.outbox = vec![later, entry(&commit.conversation, message_id(2), None)];
    tenant.commit(commit).await.unwrap();
    assert!(
        matches!(tenant.begin_dispatch(id).await.unwrap(), Dispatch::NotYet(entry) if entry.attempts == 0)
    );
    world.clock.advance_millis(500);

    let mut taken = step(&*tenant, id).await;
    for _ in 0..2 {
        taken.conversation.apply(Input::TakenOver { operator: "op".to_owned() }, world.now());
    }
    assert!(taken.conversation.floor() > Epoch(1));
    tenant.commit(taken).await.unwrap();
    let overtaken = Dispatch::Withdraw(message_id(1), WithdrawnReason::ControlChanged);
    assert!(tenant.begin_dispatch(id).await.unwrap() == overtaken);
    assert!(tenant.begin_dispatch(id).await.unwrap() == overtaken, "until that is reported");
    let outcome = SendOutcome::Withdrawn { reason: WithdrawnReason::ControlChanged };
    let report = SendReport { message: message_id(1), at: world.now(), outcome };
    tenant.settle(id, report).await.unwrap();

    assert!(
        matches!(tenant.begin_dispatch(id).await.unwrap(), Dispatch::Go(entry) if entry.message == message_id(2))
    );
    world.clock.advance_millis(60_000);
    assert!(matches!(tenant.begin_dispatch(id).await.unwrap(), Dispatch::NotYet(_)), "it may have left");
    let problem = DeliveryProblem { code: 1, title: "busy".to_owned() };
    let outcome = SendOutcome::Postponed { not_before: world.now(), problem };
    tenant.settle(id, SendReport { message: message_id(2), at: world.now(), outcome }).await.unwrap();
    let closed = Dispatch::Withdraw(message_id(2), WithdrawnReason::WindowClosed);
    assert!(tenant.begin_dispatch(id).await.unwrap() == closed);
}

async fn every_outcome_settles(world: World) {
    let tenant = world.tenant(1).await;
    let id = hear(&*tenant, 1, "549", "hello").await;
    let problem = || DeliveryProblem { code: 131_047, title: "re-engagement".to_owned() };
    let later = START.plus_millis(10);
    let cases = [
        (SendOutcome::Sent { provider_id: Pii::new("wamid.s".to_owned()) }, None),
        (
            SendOutcome::Postponed { not_before: later, problem: problem() },
            Some(OutboxState::Waiting { not_before: later }),
        ),
        (SendOutcome::Refused { problem: problem() }, None),
        (SendOutcome::Unknown, Some(OutboxState::Unknown { since: later })),
        (SendOutcome::Withdrawn { reason: WithdrawnReason::WindowClosed }, None),
    ];
    for (number, (outcome, state)) in (1..).zip(cases) {
        let message = message_id(number);
        queue(&*tenant, id, &[message], None).await;
        assert!(matches!(tenant.begin_dispatch(id).await.unwrap(), Dispatch::Go(_)));
        let report = SendReport { message, at: later, outcome };
        tenant.settle(id, report.clone()).await.unwrap();
        let stays: Vec<_> = tenant.outbox(id).await.unwrap().iter().map(|entry| entry.state).collect();
        assert_eq!(stays, Vec::from_iter(state));
        let letters = tenant.inbox(id, 99).await.unwrap();
        assert!(letters.last().is_some_and(|entry| entry.letter == Letter::Dispatched(report.clone())));
        let mut commit = step(&*tenant, id).await;
        commit.outbox_done = vec![message];
        tenant.commit(commit).await.unwrap();
        tenant.settle(id, report).await.unwrap();
        assert_eq!(
            tenant.inbox(id, 99).await.unwrap().len(),
            letters.len(),
            "an entry that is gone leaves no letter"
        );
    }
    let accepted =
        tenant.accept(channel_id(1), &[status("wamid.s", None, DeliveryStatus::Read)]).await.unwrap();
    assert_eq!(accepted.conversations, [id], "what was sent is known by Meta's id at once");
}

async fn requeue_and_resend(world: World) {
    let tenant = world.tenant(1).await;
    let id = hear(&*tenant, 1, "549", "hello").await;
    queue(&*tenant, id, &[message_id(1), message_id(2)], None).await;
    let missing = tenant.requeue(id, message_id(3), START).await;
    assert!(matches!(missing, Err(StorageError::NotFound("outbox entry"))));
    tenant.begin_dispatch(id).await.unwrap();
    assert!(matches!(tenant.requeue(id, message_id(1), START).await, Err(StorageError::Stale)), "it is out");
    let unknown = SendReport { message: message_id(1), at: START, outcome: SendOutcome::Unknown };
    tenant.settle(id, unknown).await.unwrap();
    assert!(matches!(tenant.begin_dispatch(id).await.unwrap(), Dispatch::NotYet(_)), "nothing passes it");
    tenant.requeue(id, message_id(1), START.plus_millis(5)).await.unwrap();
    tenant.requeue(id, message_id(1), START).await.unwrap();
    assert!(matches!(tenant.begin_dispatch(id).await.unwrap(), Dispatch::NotYet(_)), "the first word counts");
    world.clock.advance_millis(5);
    assert!(matches!(tenant.begin_dispatch(id).await.unwrap(), Dispatch::Go(entry) if entry.attempts == 2));

    let (conversation, _) = tenant.conversation(id).await.unwrap().unwrap();
    let twice = tenant.resend(entry(&conversation, message_id(2), None)).await;
    assert!(matches!(twice, Err(StorageError::Conflict("outbox entry"))));
    tenant.resend(entry(&conversation, message_id(0), None)).await.unwrap();
    let order: Vec<_> = tenant.outbox(id).await.unwrap().iter().map(|entry| entry.message).collect();
    assert_eq!(order, [message_id(1), message_id(2), message_id(0)]);
    let mut nowhere = entry(&conversation, message_id(4), None);
    nowhere.conversation = iassistance_domain::id::ConversationId::from_bytes([8; 16]);
    assert!(matches!(tenant.resend(nowhere).await, Err(StorageError::NotFound("conversation"))));
}

async fn what_is_unfinished_is_found(mut world: World) {
    let tenant = world.tenant(1).await;
    let mut ids = Vec::new();
    for number in 0..5 {
        world.clock.advance_millis(1);
        ids.push(hear(&*tenant, 1, &format!("54{number}"), &format!("text {number}")).await);
    }
    let read_all = async |tenant: &dyn iassistance_storage::TenantStore, id| {
        let mut commit = step(tenant, id).await;
        commit.acknowledge = tenant.inbox(id, 99).await.unwrap().iter().map(|letter| letter.seq).collect();
        commit
    };
    let now = world.now();
    for (number, id) in ids.iter().enumerate() {
        let mut commit = read_all(&*tenant, *id).await;
        match number {
            0 => begin_turn(&mut commit.conversation, now),
            1 => commit.outbox.push(entry(&commit.conversation, message_id(1), None)),
            2 => commit.acknowledge.clear(),
            _ => {}
        }
        tenant.commit(commit).await.unwrap();
    }
    drop(tenant);
    world.reopen().await;
    let tenant = world.open_tenant(1).await;
    assert_eq!(tenant.unfinished(None, 99).await.unwrap(), ids[..3]);
    assert_eq!(tenant.unfinished(None, 2).await.unwrap(), ids[..2]);
    assert_eq!(tenant.unfinished(Some(ids[1]), 99).await.unwrap(), ids[2..3]);
    assert!(tenant.unfinished(Some(ids[2]), 99).await.unwrap().is_empty());
    let mut commit = step(&*tenant, ids[0]).await;
    commit.conversation.apply(Input::TakenOver { operator: "op".to_owned() }, now);
    tenant.commit(commit).await.unwrap();
    assert_eq!(tenant.unfinished(None, 99).await.unwrap(), ids[1..3], "the turn has ended");
}

async fn events_have_no_gaps_and_are_watched(world: World) {
    let tenant = world.tenant(1).await;
    let mut latest = tenant.latest_event();
    assert_eq!(*latest.borrow_and_update(), EventSeq(0));
    let id = hear(&*tenant, 1, "549", "hello").await;
    assert!(latest.has_changed().unwrap());
    assert_eq!(*latest.borrow_and_update(), EventSeq(1));
    let fact = || EventKind::ChannelConnected { channel: channel_id(1) };
    let mut commit = step(&*tenant, id).await;
    commit.events = vec![fact(), fact()];
    assert_eq!(tenant.commit(commit).await.unwrap(), EventSeq(3));
    assert_eq!(tenant.commit(step(&*tenant, id).await).await.unwrap(), EventSeq(3), "the latest there is");
    assert_eq!(tenant.append(None, vec![fact(), fact()]).await.unwrap(), EventSeq(5));
    assert_eq!(tenant.append(Some(id), vec![fact()]).await.unwrap(), EventSeq(6));
    let nowhere = iassistance_domain::id::ConversationId::from_bytes([8; 16]);
    assert!(matches!(
        tenant.append(Some(nowhere), vec![fact()]).await,
        Err(StorageError::NotFound("conversation"))
    ));
    assert_eq!(*latest.borrow_and_update(), EventSeq(6));
    assert_eq!(*tenant.latest_event().borrow(), EventSeq(6));
    let log = tenant.events(EventSeq(0), 99).await.unwrap();
    assert_eq!(log.iter().map(|event| event.seq.0).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
    assert_eq!(
        log.iter().map(|event| event.conversation.is_some()).collect::<Vec<_>>(),
        [true, true, true, false, false, true]
    );
    assert!(
        log.iter().all(|event| event.at == START && event.contact.is_some() == event.conversation.is_some())
    );
    let some = tenant.events(EventSeq(2), 2).await.unwrap();
    assert_eq!(some.iter().map(|event| event.seq.0).collect::<Vec<_>>(), [3, 4]);
    assert!(tenant.events(EventSeq(6), 9).await.unwrap().is_empty());
    assert!(tenant.events(EventSeq(u64::MAX), 9).await.unwrap().is_empty());
}

async fn a_full_inbox_refuses(mut world: World) {
    let tenant = world.tenant(1).await;
    let other = world.tenant(2).await;
    let events: Vec<_> = (0..200).map(|number| wrote(identity("549"), None, &number.to_string())).collect();
    let id = tenant.accept(channel_id(1), &events).await.unwrap().conversations[0];
    drop((tenant, other));
    world.reopen().await;
    let (tenant, other) = (world.open_tenant(1).await, world.open_tenant(2).await);
    let one_more = [wrote(identity("549"), None, "more")];
    let refused = tenant.accept(channel_id(1), &one_more).await;
    assert!(matches!(refused, Err(StorageError::Backlog { entries: 200 })));
    hear(&*other, 2, "549", "others are not concerned").await;
    let mut commit = step(&*tenant, id).await;
    commit.acknowledge.push(tenant.inbox(id, 1).await.unwrap()[0].seq);
    tenant.commit(commit).await.unwrap();
    assert_eq!(
        tenant.accept(channel_id(1), &one_more).await.unwrap().new,
        [true],
        "it was not promised before"
    );
}

async fn lists_are_paged(world: World) {
    let tenant = world.tenant(1).await;
    let mut ids = Vec::new();
    for number in 0..7 {
        world.clock.advance_millis(1);
        ids.push(hear(&*tenant, 1, &format!("54{number}"), &format!("text {number}")).await);
    }
    let mut seen = Vec::new();
    loop {
        let page = tenant.conversations(seen.last().copied(), 3).await.unwrap();
        if page.is_empty() {
            break;
        }
        seen.extend(page.into_iter().map(|conversation| conversation.id));
    }
    ids.reverse();
    assert_eq!(seen, ids);

    let (mine, other) = (ids[0], ids[1]);
    queue(&*tenant, mine, &[message_id(3), message_id(1), message_id(2)], None).await;
    queue(&*tenant, other, &[message_id(4)], None).await;
    let page = async |before, limit| {
        let messages = tenant.messages(mine, before, limit).await.unwrap();
        messages.into_iter().map(|message| message.id).collect::<Vec<_>>()
    };
    assert_eq!(page(None, 2).await, [message_id(3), message_id(2)]);
    assert_eq!(page(Some(message_id(2)), 2).await, [message_id(1)]);
    assert!(page(Some(message_id(1)), 2).await.is_empty());
    assert!(page(None, 0).await.is_empty());
}

async fn settings_have_versions(world: World) {
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

async fn dead_letters_and_turns(world: World) {
    let tenant = world.tenant(1).await;
    let id = hear(&*tenant, 1, "549", "hello").await;
    let letter = |number: u8| DeadLetter {
        id: DeadLetterId::from_bytes([number; 16]),
        conversation: id,
        work: DeadWork::Conversation,
        reason: "failed".to_owned(),
        at: START,
        replayed_at: None,
    };
    let turn = |number: u8| TurnRecord {
        id: TurnId::from_bytes([number; 16]),
        conversation: id,
        epoch: Epoch(1),
        covers: vec![message_id(1)],
        window_opened_at: START,
        started_at: START,
        prompt_sha256: None,
        history_messages: 0,
        settings_version: 1,
        attempts: Vec::new(),
        ended_at: None,
        end: None,
        sent: Vec::new(),
    };
    let mut commit = step(&*tenant, id).await;
    commit.dead_letters = vec![letter(1), letter(2)];
    commit.turns = vec![turn(1), turn(2)];
    tenant.commit(commit).await.unwrap();
    let mut replayed = letter(1);
    replayed.replayed_at = Some(START);
    let event = EventKind::DeadLetterReplayed { dead_letter: replayed.id };
    tenant.put_dead_letter(replayed.clone(), event).await.unwrap();
    assert_eq!(tenant.dead_letters(None, 9).await.unwrap(), [letter(2), replayed.clone()]);
    assert_eq!(tenant.dead_letters(Some(letter(2).id), 9).await.unwrap(), [replayed.clone()]);
    assert_eq!(tenant.dead_letter(replayed.id).await.unwrap(), Some(replayed));
    let last = tenant.events(EventSeq(1), 9).await.unwrap().pop().unwrap();
    assert!(last.kind.name() == "dead_letter.replayed" && last.conversation == Some(id));

    let mut ended = turn(2);
    ended.ended_at = Some(START);
    let mut commit = step(&*tenant, id).await;
    commit.turns = vec![ended.clone()];
    tenant.commit(commit).await.unwrap();
    assert_eq!(tenant.turns(id, None, 1).await.unwrap(), [ended.clone()]);
    assert_eq!(tenant.turns(id, Some(ended.id), 9).await.unwrap(), [turn(1)]);
    assert_eq!(tenant.turn(id, ended.id).await.unwrap(), Some(ended));
}

async fn unrouted_events_are_bounded(mut world: World) {
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

async fn safety_identifiers(world: World) {
    let (one, two) = (world.tenant(1).await, world.tenant(2).await);
    let contact = |number: u8| iassistance_domain::id::ContactId::from_bytes([number; 16]);
    let name = one.safety_identifier(contact(1));
    assert_eq!(name.len(), 43);
    assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'));
    assert_eq!(one.safety_identifier(contact(1)), name);
    assert_ne!(one.safety_identifier(contact(2)), name);
    assert_ne!(two.safety_identifier(contact(1)), name);
}

async fn a_closed_store_refuses(world: World) {
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

async fn every_record_is_checked(world: World) {
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
