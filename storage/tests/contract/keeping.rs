//! How data goes: people, what is over its period, tenants.

use iassistance_domain::audit::Actor;
use iassistance_domain::conversation::Input;
use iassistance_domain::delivery::DeliveryStatus;
use iassistance_domain::event::{DeadLetter, DeadWork, EventKind, EventSeq};
use iassistance_domain::id::{ContactId, DeadLetterId, HoldId};
use iassistance_domain::message::Elsewhere;
use iassistance_domain::privacy::{Class, HoldScope, LegalHold, Place, Retention, SweepRecord};
use iassistance_domain::subscription::Delivery;
use iassistance_domain::tenant::TenantCtx;
use iassistance_domain::{Clock, Pii, SeededEntropy};
use iassistance_storage::keeping::Person;
use iassistance_storage::{StorageError, SummaryChange, TenantStore};

use crate::hooks::{subscription, subscription_id};
use crate::support::*;

const DAY_MS: u64 = 24 * 3_600_000;

fn ctx() -> TenantCtx {
    TenantCtx::platform(tenant_id(1))
}

/// Somebody wrote and was answered.
async fn talk(world: &World, tenant: &dyn TenantStore, from: &str, text: &str) -> ContactId {
    let event = known_by_id(wrote(identity(from), Some("Ada"), text));
    let id = tenant.accept(channel_id(1), &[event]).await.unwrap().conversations[0];
    let mut commit = handled(tenant, id).await;
    let contact = commit.conversation.contact;
    let last = commit.messages.last().unwrap().id;
    commit.turns.push(turn(id, 1, world.now()));
    commit.summary = Some(SummaryChange::Put(summary(last, world.now())));
    tenant.commit(commit).await.unwrap();
    contact
}

fn hold(world: &World, contact: Option<ContactId>, classes: Vec<Class>) -> LegalHold {
    LegalHold {
        id: HoldId::from_bytes([3; 16]),
        norm: "a norm".to_owned(),
        scope: HoldScope { contact, classes },
        document: Pii::new("a document".to_owned()),
        review_at: world.now().plus_millis(DAY_MS),
        made_by: Actor::CommandLine,
        made_at: world.now(),
        released: None,
    }
}

pub async fn a_person_goes_and_nobody_else(world: World) {
    let tenant = world.tenant(1).await;
    let ada = talk(&world, &*tenant, "549", "hello from Ada").await;
    let bob = talk(&world, &*tenant, "550", "hello from Bob").await;
    let keeping = world.store.keeping();
    let person = keeping.person(ctx(), ada).await.unwrap();
    assert_eq!(person.contacts, [ada]);
    let conversation = person.conversations[0];
    let raw = kept(None, "raw 549 text");
    tenant.accept(channel_id(1), &[raw, kept(None, "of nobody")]).await.unwrap();
    let counts = keeping.erase(ctx(), person, Vec::new()).await.unwrap();
    for (place, count) in [
        (Place::SubjectKey, 1),
        (Place::Contacts, 2),
        (Place::Conversations, 1),
        (Place::Messages, 1),
        (Place::Executions, 1),
        (Place::Summaries, 1),
        (Place::Events, 1),
    ] {
        assert_eq!(counts.get(&place), Some(&count), "{place:?} of {counts:?}");
    }
    assert!(tenant.contact(ada).await.unwrap().is_none());
    assert!(tenant.conversation(conversation).await.unwrap().is_none());
    assert!(tenant.messages(conversation, None, 9).await.unwrap().is_empty());
    assert!(tenant.summary(conversation).await.unwrap().is_none());
    assert!(keeping.person(ctx(), ada).await.unwrap() == Person::default());
    let bobs = keeping.person(ctx(), bob).await.unwrap();
    assert_eq!(tenant.messages(bobs.conversations[0], None, 9).await.unwrap().len(), 1);

    let log = tenant.events(EventSeq::default(), 99).await.unwrap();
    let latest = tenant.latest_event().borrow().0;
    assert_eq!(log.len() as u64, latest, "no number is missing");
    assert!(log.iter().all(|event| event.contact != Some(ada)));
    assert!(log.iter().any(|event| event.kind == EventKind::EventErased));
    assert!(log.iter().any(|event| event.kind == EventKind::ContactErased { erased: ada }));
    let raws = log.iter().filter(|event| matches!(event.kind, EventKind::WebhookKept { .. })).count();
    assert_eq!(raws, 1, "what speaks of nobody stays");

    let again = known_by_id(wrote(identity("549"), None, "hello from Ada"));
    let late = status("wamid.hello from Ada", None, DeliveryStatus::Read);
    let accepted = tenant.accept(channel_id(1), &[again, late]).await.unwrap();
    assert!(!accepted.new[0], "a repetition brings nobody back");
    assert!(accepted.conversations.is_empty());
    let new = known_by_id(wrote(identity("549"), None, "hello again"));
    let accepted = tenant.accept(channel_id(1), &[new]).await.unwrap();
    assert_ne!(accepted.conversations[0], conversation, "who writes again is somebody new");
}

pub async fn what_is_kept_of_a_person_stays(world: World) {
    let tenant = world.tenant(1).await;
    let ada = talk(&world, &*tenant, "549", "hello").await;
    let keeping = world.store.keeping();
    let person = keeping.person(ctx(), ada).await.unwrap();
    let conversation = person.conversations[0];
    keeping.erase(ctx(), person.clone(), vec![Class::Message]).await.unwrap();
    assert_eq!(tenant.messages(conversation, None, 9).await.unwrap().len(), 1);
    assert!(tenant.turns(conversation, None, 9).await.unwrap().is_empty());
    assert!(tenant.contact(ada).await.unwrap().is_some(), "whose they are is kept with them");
    keeping.erase(ctx(), person, Vec::new()).await.unwrap();
    assert!(tenant.messages(conversation, None, 9).await.unwrap().is_empty());
    assert!(tenant.contact(ada).await.unwrap().is_none());
}

pub async fn who_refused_messages_is_not_written_to_first_after_all_else_is_gone(world: World) {
    let tenant = world.tenant(1).await;
    let keeping = world.store.keeping();
    // Ada asked for silence, Bob refused advertising until then, Eve for a time that is over, Dan nothing.
    let later = world.now().plus_millis(9 * DAY_MS);
    let refusals = [
        ("549", vec![Input::OptedOut]),
        ("550", vec![Input::MarketingRefused { until: Some(later) }]),
        ("551", vec![Input::MarketingRefused { until: Some(world.now()) }]),
        ("552", Vec::new()),
    ];
    for (from, inputs) in refusals {
        let contact = talk(&world, &*tenant, from, &format!("hello from {from}")).await;
        let person = keeping.person(ctx(), contact).await.unwrap();
        let mut commit = step(&*tenant, person.conversations[0]).await;
        for input in inputs {
            commit.conversation.apply(input, world.now());
        }
        tenant.commit(commit).await.unwrap();
        keeping.erase(ctx(), person, Vec::new()).await.unwrap();
    }
    keeping.turn_epoch(ctx(), &|| Ok(())).await.unwrap();
    // The business writes to each on its own phone: so there is a conversation again.
    for (from, silence, until) in
        [("549", true, None), ("550", false, Some(later)), ("551", false, None), ("552", false, None)]
    {
        let before = tenant.latest_event().borrow().0;
        let echo = echo(identity(from), &format!("to {from}"), "Are you there?", None, Elsewhere::Phone);
        let id = tenant.accept(channel_id(1), &[echo]).await.unwrap().conversations[0];
        let (conversation, _) = tenant.conversation(id).await.unwrap().unwrap();
        assert_eq!(conversation.opted_out(), silence, "{from}");
        assert_eq!(conversation.marketing_refused_until(), until, "{from}");
        let told = tenant.events(EventSeq(before), 9).await.unwrap();
        let told: Vec<_> = told.iter().map(|event| event.kind.name()).collect();
        assert_eq!(told.contains(&"contact.opted_out"), silence, "{from}: {told:?}");
        assert_eq!(told.contains(&"contact.marketing_changed"), until.is_some(), "{from}: {told:?}");
    }
    // From now on their conversation knows: when they write again they are answered, and nothing else is kept.
    let person = tenant.conversations(None, 9).await.unwrap();
    let bob = person.iter().find(|it| it.marketing_refused_until().is_some()).unwrap();
    let mut commit = step(&*tenant, bob.id).await;
    commit.conversation.apply(Input::MarketingRefused { until: None }, world.now());
    tenant.commit(commit).await.unwrap();
    let bobs = keeping.person(ctx(), bob.contact).await.unwrap();
    keeping.erase(ctx(), bobs, Vec::new()).await.unwrap();
    let again = tenant.accept(channel_id(1), &[wrote(identity("550"), None, "again")]).await.unwrap();
    let (again, _) = tenant.conversation(again.conversations[0]).await.unwrap().unwrap();
    assert_eq!(again.marketing_refused_until(), None);
}

pub async fn a_turn_of_the_epoch_leaves_all_readable(world: World) {
    let tenant = world.tenant(1).await;
    let ada = talk(&world, &*tenant, "549", "hello").await;
    let bob = talk(&world, &*tenant, "550", "hello too").await;
    let keeping = world.store.keeping();
    let person = keeping.person(ctx(), ada).await.unwrap();
    keeping.erase(ctx(), person, Vec::new()).await.unwrap();
    let latest = tenant.latest_event().borrow().0;
    keeping.turn_epoch(ctx(), &|| Ok(())).await.unwrap();
    assert!(!keeping.is_turning(ctx()).await.unwrap());
    let bobs = keeping.person(ctx(), bob).await.unwrap();
    assert_eq!(tenant.messages(bobs.conversations[0], None, 9).await.unwrap().len(), 1);
    assert_eq!(tenant.channels().await.unwrap().len(), 1);
    let log = tenant.events(EventSeq::default(), 99).await.unwrap();
    assert_eq!(log.last().unwrap().seq.0, latest);
    assert!(log.iter().all(|event| event.kind != EventKind::EventUnreadable));
    assert!(log.iter().any(|event| event.contact == Some(bob)));
    let event = known_by_id(wrote(identity("550"), None, "after"));
    assert_eq!(tenant.accept(channel_id(1), &[event]).await.unwrap().conversations, bobs.conversations);
}

pub async fn a_turn_that_is_refused_goes_on_later(world: World) {
    let tenant = world.tenant(1).await;
    let ada = talk(&world, &*tenant, "549", "hello").await;
    let keeping = world.store.keeping();
    let refused = keeping.turn_epoch(ctx(), &|| Err(StorageError::Closed)).await;
    assert!(refused.is_err());
    assert!(tenant.contact(ada).await.unwrap().is_some());
    keeping.turn_epoch(ctx(), &|| Ok(())).await.unwrap();
    assert!(!keeping.is_turning(ctx()).await.unwrap());
    assert!(tenant.contact(ada).await.unwrap().is_some());
}

pub async fn what_is_over_its_period_goes(world: World) {
    let tenant = world.tenant(1).await;
    let ada = talk(&world, &*tenant, "549", "old").await;
    let bob = talk(&world, &*tenant, "550", "old too").await;
    let keeping = world.store.keeping();
    let of = |contact| async move { keeping.person(ctx(), contact).await.unwrap().conversations[0] };
    let (adas, bobs) = (of(ada).await, of(bob).await);
    let old = world.now();
    world.clock.advance_millis(10 * DAY_MS);
    let young = known_by_id(wrote(identity("549"), None, "young"));
    tenant.accept(channel_id(1), &[young]).await.unwrap();
    tenant.commit(handled(&*tenant, adas).await).await.unwrap();
    let before = old.plus_millis(DAY_MS);
    let holds = vec![hold(&world, Some(bob), vec![Class::Message])];
    let swept = keeping.sweep(ctx(), Class::Message, before, holds.clone(), None).await.unwrap();
    assert_eq!((swept.held, tenant.messages(adas, None, 9).await.unwrap().len()), (1, 1));
    assert!(swept.removed >= 1);
    assert_eq!(tenant.messages(bobs, None, 9).await.unwrap().len(), 1, "it is held");
    assert!(tenant.summary(adas).await.unwrap().is_none(), "it told of what went");
    keeping.sweep(ctx(), Class::Message, before, Vec::new(), None).await.unwrap();
    assert!(tenant.messages(bobs, None, 9).await.unwrap().is_empty());

    let latest = tenant.latest_event().borrow().0;
    let swept = keeping.sweep(ctx(), Class::Event, before, Vec::new(), None).await.unwrap();
    assert!(swept.removed > 0);
    let log = tenant.events(EventSeq::default(), 99).await.unwrap();
    assert!(log.iter().all(|event| event.at >= before || event.kind == EventKind::EventErased));
    assert_eq!(log.last().unwrap().seq.0, latest);
    let (silent, _) = keeping.silent_contacts(ctx(), before, None, 99).await.unwrap();
    assert_eq!(silent, [bob]);
}

pub async fn a_hold_on_somebody_keeps_what_was_given_up_and_what_is_on_its_way(world: World) {
    let tenant = world.tenant(1).await;
    let id = subscription_id(1);
    tenant.hooks().put_subscription(subscription(1)).await.unwrap();
    let (mut contacts, mut deliveries) = (Vec::new(), Vec::new());
    for (number, from) in [(1, "549"), (2, "550")] {
        let contact = talk(&world, &*tenant, from, &format!("hello from {from}")).await;
        let conversation = world.store.keeping().person(ctx(), contact).await.unwrap().conversations[0];
        let mut commit = step(&*tenant, conversation).await;
        commit.dead_letters = vec![DeadLetter {
            id: DeadLetterId::new(world.now(), &SeededEntropy::new(number)),
            conversation,
            work: DeadWork::Conversation,
            reason: "failed".to_owned(),
            at: world.now(),
            replayed_at: None,
        }];
        tenant.commit(commit).await.unwrap();
        contacts.push(contact);
        let event = EventSeq(number);
        deliveries.push(Delivery::new(id, event, Some(conversation), world.now()));
    }
    tenant.hooks().take_up(id, deliveries, EventSeq(2)).await.unwrap();
    let before = world.now().plus_millis(DAY_MS);
    for class in [Class::DeadLetter, Class::Webhook] {
        for (hold_on, held) in [(vec![contacts[1]], 1), (contacts.clone(), 1), (Vec::new(), 0)] {
            let holds = hold_on.iter().map(|contact| hold(&world, Some(*contact), vec![class])).collect();
            let swept = world.store.keeping().sweep(ctx(), class, before, holds, None).await.unwrap();
            // What is not held goes the first time, what is held once nothing holds it.
            let removed = u64::from(hold_on.len() < 2);
            assert_eq!((swept.removed, swept.held), (removed, held), "{class} with holds on {hold_on:?}");
        }
    }
}

pub async fn what_is_chosen_and_proven_is_kept(world: World) {
    world.tenant(1).await;
    let keeping = world.store.keeping();
    assert_eq!(keeping.retention(ctx()).await.unwrap(), Retention::default());
    let chosen = Retention { days: [(Class::Message, 30)].into() };
    keeping.put_retention(ctx(), chosen.clone()).await.unwrap();
    assert_eq!(keeping.retention(ctx()).await.unwrap(), chosen);
    let sweep = |removed| SweepRecord {
        class: Class::Message,
        at: world.now(),
        before: world.now(),
        removed,
        files: 0,
        held: 0,
    };
    keeping.put_sweep(ctx(), sweep(1)).await.unwrap();
    keeping.put_sweep(ctx(), sweep(2)).await.unwrap();
    assert_eq!(keeping.sweeps(ctx()).await.unwrap(), [sweep(2)]);
    let laid = hold(&world, None, Vec::new());
    keeping.put_hold(ctx(), laid.clone()).await.unwrap();
    assert!(keeping.holds(ctx()).await.unwrap() == [laid.clone()]);
    assert!(keeping.hold(ctx(), laid.id).await.unwrap() == Some(laid));
    assert!(world.clock.now() == world.now());
}

pub async fn a_tenant_is_destroyed(world: World) {
    let tenant = world.tenant(1).await;
    let other = world.tenant(2).await;
    talk(&world, &*tenant, "549", "hello").await;
    drop(tenant);
    let keeping = world.store.keeping();
    let counts = keeping.destroy_tenant(tenant_id(1)).await.unwrap();
    assert_eq!(counts.get(&Place::TenantKeys), Some(&1));
    assert!(matches!(world.store.tenant(ctx()).await, Err(StorageError::NoSuchTenant(_))));
    assert_eq!(world.store.tenants().await.unwrap().len(), 1);
    assert!(world.store.routes(&address(1)).is_empty());
    assert_eq!(other.channels().await.unwrap().len(), 1);
    keeping.destroy_tenant(tenant_id(1)).await.unwrap();
}
