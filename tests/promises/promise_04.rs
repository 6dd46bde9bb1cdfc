//! Operational data: each class that a tenant chooses a period for is seen in its export, in an erasure and in a
//! sweep.

use std::collections::{BTreeMap, BTreeSet};

use iassistance_domain::audit::{Actor, AuditEntry};
use iassistance_domain::id::{ContactId, HoldId};
use iassistance_domain::privacy::{Class, ErasureGround, HoldScope, LegalHold, Place as Where, Retention};
use iassistance_domain::subscription::{Delivery, Subscription, SubscriptionState};
use iassistance_domain::tenant::TenantCtx;
use iassistance_domain::{Pii, event::EventSeq, id::SubscriptionId};

use crate::book::Proof;
use crate::folder::{Place, close, keeper};
use crate::people::{of, tenant_of, tenants, writes};

const DAY_MS: u64 = 24 * 3_600_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn promise_04() {
    let proof = Proof::of(4);
    let mut place = Place::new();
    let vaulted = place.open();
    tenants(&vaulted, 1).await;
    let mut people = Vec::new();
    for number in 0..4 {
        people.push(writes(&vaulted, 1, number * 10).await);
    }
    let store = of(&vaulted, 1).await;
    let subscription = SubscriptionId::from_bytes([5; 16]);
    let subscribed = Subscription {
        id: subscription,
        url: Pii::new("https://example.org/hook".to_owned()),
        kinds: vec!["*".to_owned()],
        secrets: Vec::new(),
        state: SubscriptionState::Active,
        created_at: vaulted.clock.now(),
        description: String::new(),
    };
    store.hooks().put_subscription(subscribed).await.unwrap();
    let deliveries = people.iter().enumerate().map(|(seq, it)| {
        Delivery::new(subscription, EventSeq(seq as u64 + 1), Some(it.conversation), vaulted.clock.now())
    });
    store.hooks().take_up(subscription, deliveries.collect(), EventSeq(9)).await.unwrap();

    let keeper = keeper(&vaulted);
    let hold = LegalHold {
        id: HoldId::from_bytes([1; 16]),
        norm: "a norm".to_owned(),
        // Nobody whom this is about.
        scope: HoldScope { contact: Some(ContactId::from_bytes([9; 16])), classes: Vec::new() },
        document: Pii::new("a file".to_owned()),
        review_at: vaulted.clock.now().plus_millis(DAY_MS),
        made_by: Actor::CommandLine,
        made_at: vaulted.clock.now(),
        released: None,
    };
    let entry = AuditEntry::new(vaulted.clock.now(), Actor::CommandLine, "hold.laid").on(&hold.id);
    vaulted.store.trail().append_audit(Some(tenant_of(1)), entry.of(tenant_of(1))).await.unwrap();
    keeper.lay_hold(tenant_of(1), hold).await.unwrap();
    let exported = keeper.export_tenant(tenant_of(1), &place.folder.join("export")).await.unwrap();
    let text = std::fs::read_to_string(place.folder.join("export/records.jsonl")).unwrap();
    let kinds = ["contact", "conversation", "message", "turn", "summary", "event", "dead_letter", "webhook"];
    for kind in kinds.into_iter().chain(["retention", "legal_hold", "audit_entry"]) {
        assert!(text.contains(&format!("\"kind\":\"{kind}\"")), "{kind} is not in the export");
    }
    assert!(people.iter().all(|it| text.contains(&it.secret)));
    assert!(!text.contains("EAA-access-token"), "a token is in the export");
    assert_eq!(exported.files, people.len() as u64);

    let ground = ErasureGround::Asked { by: Actor::CommandLine };
    let due = vaulted.clock.now().plus_millis(5 * DAY_MS);
    let erasure = keeper.erase(tenant_of(1), people[0].contact, ground, due).await.unwrap();
    let places = [Where::Contacts, Where::Messages, Where::Executions, Where::Webhooks, Where::DeadLetters];
    assert!(places.iter().all(|place| erasure.receipt.count(*place) > 0), "{:?}", erasure.receipt);

    let days: BTreeMap<_, _> = Class::CHOSEN.iter().map(|class| (*class, 30)).collect();
    keeper.choose_periods(tenant_of(1), Retention { days }).await.unwrap();
    place.clock.advance_millis(29 * DAY_MS);
    keeper.round().await;
    let ctx = TenantCtx::platform(tenant_of(1));
    let sweeps = vaulted.store.keeping().sweeps(ctx).await.unwrap();
    let early: Vec<_> = sweeps.iter().filter(|sweep| sweep.removed > 0).collect();
    assert!(early.is_empty(), "{early:?} went early");
    place.clock.advance_millis(2 * DAY_MS);
    for class in
        [Class::Message, Class::Execution, Class::Event, Class::Webhook, Class::DeadLetter, Class::Contact]
    {
        let sweep = keeper.sweep_class(tenant_of(1), class).await.unwrap();
        assert!(sweep.removed > 0, "{class} was not swept: {sweep:?}");
    }
    let swept: BTreeSet<_> =
        vaulted.store.keeping().sweeps(ctx).await.unwrap().into_iter().map(|sweep| sweep.class).collect();
    assert_eq!(swept, Class::CHOSEN.into_iter().collect());
    for somebody in &people {
        assert!(store.contact(somebody.contact).await.unwrap().is_none());
    }
    drop(store);
    close(vaulted).await;
    proof.kept(format!("{} records exported; {} classes swept, none early", exported.records, swept.len()));
}
