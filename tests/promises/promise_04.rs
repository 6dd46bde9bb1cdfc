//! Operational data: each class that a tenant chooses a period for is seen in its export, in an erasure and in a
//! sweep.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use iassistance::app::Vaulted;
use iassistance_actors::settings::default_assistant;
use iassistance_domain::audit::{Actor, AuditEntry};
use iassistance_domain::channel::StoredSecret;
use iassistance_domain::golden::{GoldenQuestion, Traits};
use iassistance_domain::id::{ContactId, GoldenId, HoldId};
use iassistance_domain::privacy::{Class, ErasureGround, HoldScope, LegalHold, Place as Where, Retention};
use iassistance_domain::subscription::{Delivery, Subscription, SubscriptionState};
use iassistance_domain::tenant::TenantCtx;
use iassistance_domain::{Pii, event::EventSeq, id::SubscriptionId};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::book::Proof;
use crate::folder::{Place, close, keeper};
use crate::people::{Somebody, of, tenant_of, tenants, writes};

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
        secrets: vec![StoredSecret::new("whsec_aG9vaw==")],
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
    store.put_golden(question()).await.unwrap();
    let settings = default_assistant(&vaulted.settings.assistant);
    store.put_assistant(settings.clone(), None).await.unwrap();
    store.put_assistant(settings, None).await.unwrap();
    let exported = exported_whole(&vaulted, &place.folder.join("export"), &people).await;

    let ground = ErasureGround::Asked { by: Actor::CommandLine };
    let due = vaulted.clock.now().plus_millis(5 * DAY_MS);
    let erasure = keeper.erase(tenant_of(1), people[0].contact, ground, due).await.unwrap();
    let places = [Where::Contacts, Where::Messages, Where::Executions, Where::Webhooks, Where::DeadLetters];
    assert!(places.iter().all(|place| erasure.receipt.count(*place) > 0), "{:?}", erasure.receipt);

    exported_whole(&vaulted, &place.folder.join("export after an erasure"), &people[1..]).await;

    let days: BTreeMap<_, _> = Class::CHOSEN.iter().map(|class| (*class, 30)).collect();
    keeper.choose_periods(tenant_of(1), Retention { days }).await.unwrap();
    place.clock.advance_millis(29 * DAY_MS);
    keeper.round().await;
    let ctx = TenantCtx::platform(tenant_of(1));
    let sweeps = vaulted.store.keeping().sweeps(ctx).await.unwrap();
    exported_whole(&vaulted, &place.folder.join("export after a sweep"), &people[1..]).await;
    let early: Vec<_> = sweeps.iter().filter(|sweep| sweep.removed > 0).collect();
    assert!(early.is_empty(), "{early:?} went early");
    place.clock.advance_millis(2 * DAY_MS);
    for class in
        [Class::Message, Class::Execution, Class::Event, Class::Webhook, Class::DeadLetter, Class::Contact]
    {
        let sweep = keeper.sweep_class(tenant_of(1), class).await.unwrap();
        assert!(sweep.removed > 0, "{class} was not swept: {sweep:?}");
        let files = if class == Class::Message { people.len() as u64 - 1 } else { 0 };
        assert_eq!(sweep.files, files, "files go with their messages");
    }
    let swept: BTreeSet<_> =
        vaulted.store.keeping().sweeps(ctx).await.unwrap().into_iter().map(|sweep| sweep.class).collect();
    assert_eq!(swept, Class::CHOSEN.into_iter().collect());
    for somebody in &people {
        assert!(store.contact(somebody.contact).await.unwrap().is_none());
        let file = vaulted.content.get(tenant_of(1), somebody.file.unwrap()).await;
        assert!(matches!(file, Ok(None)), "a file is left");
    }
    drop(store);
    close(vaulted).await;
    proof.kept(format!("{exported} records exported; {} classes swept, none early", swept.len()));
}

fn question() -> GoldenQuestion {
    let expect = Traits { contains: vec!["Monday".to_owned()], ..Traits::default() };
    GoldenQuestion { id: GoldenId::from_bytes([3; 16]), question: "When?".to_owned(), expect }
}

/// What a tenant has, counted in the store kind by kind.
async fn held(vaulted: &Vaulted) -> BTreeMap<&'static str, usize> {
    let (store, ctx) = (of(vaulted, 1).await, TenantCtx::platform(tenant_of(1)));
    let keeping = vaulted.store.keeping();
    let conversations = store.conversations(None, usize::MAX).await.unwrap();
    let mut held = BTreeMap::from([
        ("tenant", 1),
        ("retention", 1),
        ("contact", conversations.len()),
        ("conversation", conversations.len()),
        ("channel", store.channels().await.unwrap().len()),
        ("assistant", store.assistant_versions(None, usize::MAX).await.unwrap().len()),
        ("golden_question", store.golden().await.unwrap().len()),
        ("webhook", store.hooks().subscriptions().await.unwrap().len()),
        ("event", store.events(EventSeq::default(), usize::MAX).await.unwrap().len()),
        ("dead_letter", store.dead_letters(None, usize::MAX).await.unwrap().len()),
        (
            "audit_entry",
            vaulted.store.trail().audit(Some(tenant_of(1)), None, usize::MAX).await.unwrap().len(),
        ),
        ("legal_hold", keeping.holds(ctx).await.unwrap().len()),
        ("sweep", keeping.sweeps(ctx).await.unwrap().len()),
        ("erasure", keeping.erasures(ctx, None, usize::MAX).await.unwrap().len()),
    ]);
    for conversation in conversations {
        let mut add = |kind, count| *held.entry(kind).or_default() += count;
        add("message", store.messages(conversation.id, None, usize::MAX).await.unwrap().len());
        add("turn", store.turns(conversation.id, None, usize::MAX).await.unwrap().len());
        add("summary", usize::from(store.summary(conversation.id).await.unwrap().is_some()));
    }
    held.retain(|_, count| *count > 0);
    held
}

/// The export has each record that there is, and nothing else; the files as they are; no secret; and its hash is
/// that of what is on the disk. How many records.
async fn exported_whole(vaulted: &Vaulted, to: &Path, people: &[Somebody]) -> u64 {
    let held = held(vaulted).await;
    let exported = keeper(vaulted).export_tenant(tenant_of(1), to).await.unwrap();
    let text = std::fs::read_to_string(to.join("records.jsonl")).unwrap();
    let mut got: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in text.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        got.entry(line["kind"].as_str().unwrap().to_owned()).or_default().insert(line["record"].to_string());
    }
    let got: BTreeMap<&str, usize> =
        got.iter().map(|(kind, records)| (kind.as_str(), records.len())).collect();
    assert_eq!(got, held, "what is exported is what is held");
    assert_eq!(exported.records, held.values().sum::<usize>() as u64);
    assert_eq!(exported.sha256, hex::encode(Sha256::digest(text.as_bytes())), "the hash of the export");
    assert!(people.iter().all(|it| text.contains(&it.secret)));
    for secret in ["EAA-access-token", "whsec_aG9vaw=="] {
        assert!(!text.contains(secret), "{secret} is in the export");
    }
    for somebody in people {
        let file = std::fs::read(to.join("files").join(somebody.file.unwrap().to_string())).unwrap();
        assert_eq!(file, format!("picture {} ", somebody.secret).repeat(300).into_bytes());
    }
    assert_eq!(exported.files, people.len() as u64);
    exported.records
}
