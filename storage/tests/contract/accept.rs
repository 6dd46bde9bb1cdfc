//! Taking in what webhooks say.

use iassistance_domain::Pii;
use iassistance_domain::delivery::DeliveryStatus;
use iassistance_domain::event::{EventKind, EventSeq};
use iassistance_domain::message::Elsewhere;
use iassistance_storage::{Dispatch, Letter, StorageError};

use crate::support::*;

pub async fn an_event_takes_effect_once(world: World) {
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
    assert!(messages_of(&letters).is_sorted(), "messages of one instant sort as they came");
}

pub async fn an_event_is_new_again_once_forgotten(world: World) {
    let tenant = world.tenant(1).await;
    let other = world.tenant(2).await;
    hear(&*tenant, 1, "549", "hello").await;
    tenant.accept(channel_id(1), &[kept(None, "early")]).await.unwrap();
    hear(&*other, 2, "549", "hello").await;
    world.clock.advance_millis(1_000);
    tenant.accept(channel_id(1), &[kept(None, "late")]).await.unwrap();
    assert_eq!(world.store.forget_dedup_before(START).await.unwrap(), 0);
    assert_eq!(world.store.forget_dedup_before(world.now()).await.unwrap(), 3, "of both tenants");
    let events = [kept(None, "early"), kept(None, "late"), wrote(identity("549"), None, "hello")];
    let again = tenant.accept(channel_id(1), &events).await.unwrap();
    assert_eq!(again.new, [true, false, false], "a message is known by Meta's id for ever");
}

pub async fn a_message_is_new_once_by_its_id(world: World) {
    let tenant = world.tenant(1).await;
    let message = |text: &str| known_by_id(wrote(identity("549"), None, text));
    let mut echoed = echo(identity("549"), "a", "echoed", None, Elsewhere::Phone);
    echoed.dedup = message("a").dedup;
    let events = [message("a"), message("b"), message("a"), echoed];
    let accepted = tenant.accept(channel_id(1), &events).await.unwrap();
    assert_eq!(accepted.new, [true, true, false, false]);
    world.clock.advance_millis(1_000);
    assert_eq!(world.store.forget_dedup_before(world.now()).await.unwrap(), 1, "of the echo alone");
    let again = tenant.accept(channel_id(1), &[message("b"), message("a"), message("c")]).await.unwrap();
    assert_eq!(again.new, [false, false, true]);
    assert_eq!(told(&tenant.inbox(accepted.conversations[0], 9).await.unwrap()), ["a", "b", "c"]);
}

pub async fn kept_events(world: World) {
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

pub async fn a_status_finds_its_message(world: World) {
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
    let letters = tenant.inbox(id, 9).await.unwrap();
    let named = |number, stage| format!("status:{}:{stage}", message_id(number));
    assert_eq!(told(&letters), [named(1, "Sent"), named(2, "Sent"), named(1, "Delivered")]);
    assert_eq!(messages_of(&letters), [1, 2, 1].map(message_id).map(Some));

    let elsewhere = [
        status("wamid.one", None, DeliveryStatus::Read),
        status("wamid.two", Some(message_id(2)), DeliveryStatus::Read),
    ];
    let accepted = tenant.accept(channel_id(5), &elsewhere).await.unwrap();
    assert!(accepted.conversations.is_empty(), "another channel does not speak for this message");
}

pub async fn a_status_waits_for_its_message(world: World) {
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

pub async fn parked_statuses_are_bounded_by_number_and_age(world: World) {
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

pub async fn too_many_letters_in_all_refuse_who_has_many(mut world: World) {
    let tenants = [world.tenant(1).await, world.tenant(2).await, world.tenant(3).await];
    let some = |from: u32, count: u32| -> Vec<_> {
        (from..from + count).map(|number| wrote(identity("549"), None, &number.to_string())).collect()
    };
    tenants[0].accept(channel_id(1), &some(0, 160)).await.unwrap();
    let id = tenants[1].accept(channel_id(2), &some(0, 100)).await.unwrap().conversations[0];
    drop(tenants);
    world.reopen().await;
    let tenants = [world.open_tenant(1).await, world.open_tenant(2).await, world.open_tenant(3).await];
    for (tenant, channel) in [(&tenants[0], 1), (&tenants[1], 2)] {
        let refused = tenant.accept(channel_id(channel), &some(500, 1)).await;
        assert!(matches!(refused, Err(StorageError::Crowded { entries: 260 })), "{refused:?}");
    }
    hear(&*tenants[2], 3, "549", "who has nothing is heard").await;
    // Two that are read make room for one: the third tenant's is one more.
    for _ in 0..2 {
        let mut commit = step(&*tenants[1], id).await;
        commit.acknowledge.push(tenants[1].inbox(id, 1).await.unwrap()[0].seq);
        tenants[1].commit(commit).await.unwrap();
    }
    assert_eq!(tenants[0].accept(channel_id(1), &some(500, 1)).await.unwrap().new, [true]);
}

pub async fn a_full_inbox_refuses(mut world: World) {
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
