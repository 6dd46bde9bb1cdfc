//! Deletion is subject to legal duties to keep: what a hold covers stays, what it does not goes, and what it covered
//! goes when it is released.

use iassistance::keeping::KeepingError;
use iassistance_domain::Pii;
use iassistance_domain::audit::Actor;
use iassistance_domain::event::EventSeq;
use iassistance_domain::id::{HoldId, SubscriptionId};
use iassistance_domain::privacy::{Class, ErasureGround, ErasureState, HoldScope, LegalHold, Remainder};
use iassistance_domain::subscription::{Delivery, Subscription, SubscriptionState};
use iassistance_domain::tenant::TenantCtx;

use crate::book::Proof;
use crate::folder::{Place, close, copy, keeper};
use crate::people::{of, readable, tenant_of, tenants, writes};
use crate::size;

const DAY_MS: u64 = 24 * 3_600_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn promise_15() {
    let proof = Proof::of(15);
    let cases = size("IASSISTANCE_HOLDS", 60);
    let mut place = Place::new();
    let vaulted = place.open();
    tenants(&vaulted, 1).await;
    let (ctx, keeper) = (TenantCtx::platform(tenant_of(1)), keeper(&vaulted));
    let now = vaulted.clock.now();
    let mut people = Vec::new();
    for number in 0..cases {
        let somebody = writes(&vaulted, 1, number).await;
        // A third is not held, a third is held whole, a third in its messages alone.
        let classes = match number % 3 {
            0 => None,
            1 => Some(Vec::new()),
            _ => Some(vec![Class::Message]),
        };
        let mut hold = None;
        if let Some(classes) = classes {
            let laid = LegalHold {
                id: HoldId::new(now, &*vaulted.entropy),
                norm: "Ley 25.326 art. 16.5".to_owned(),
                scope: HoldScope { contact: Some(somebody.contact), classes },
                document: Pii::new("file 12/2026, kept at the court".to_owned()),
                review_at: now.plus_millis(90 * DAY_MS),
                made_by: Actor::CommandLine,
                made_at: now,
                released: None,
            };
            hold = Some(keeper.lay_hold(tenant_of(1), laid).await.unwrap().id);
        }
        people.push((somebody, hold));
    }
    let ground = ErasureGround::Asked { by: Actor::CommandLine };
    for (somebody, hold) in &people {
        let erasure =
            keeper.erase(tenant_of(1), somebody.contact, ground, now.plus_millis(5 * DAY_MS)).await.unwrap();
        assert_eq!(matches!(erasure.state, ErasureState::Held { .. }), hold.is_some());
        let named = |it: &iassistance_domain::privacy::Remains| matches!(it.what, Remainder::Hold { .. });
        assert_eq!(
            erasure.receipt.remains.iter().any(named),
            hold.is_some(),
            "the receipt says what is kept"
        );
    }
    let store = of(&vaulted, 1).await;
    let (mut held, mut gone) = (0, 0);
    for (number, (somebody, _)) in people.iter().enumerate() {
        let text = readable(&*store, somebody).await;
        let has = |word: &str| text.contains(&format!("{word} {}", somebody.secret));
        match number % 3 {
            0 => assert!(!text.contains(&somebody.secret), "it is not held and stayed"),
            1 => assert!(has("words") && has("wants") && has("town"), "it is held and went"),
            _ => assert!(has("words") && !has("wants"), "messages stay, the rest goes"),
        }
        if number % 3 == 0 { gone += 1 } else { held += 1 }
    }
    // A hold keeps it also when nobody asks any more: by the clock.
    place.clock.advance_millis(2_000 * DAY_MS);
    keeper.round().await;
    for (somebody, _) in people.iter().skip(1).step_by(3) {
        let text = readable(&*store, somebody).await;
        assert!(text.contains(&format!("words {}", somebody.secret)), "a sweep took what is held");
    }
    for (_, hold) in &people {
        if let Some(hold) = hold {
            keeper.release_hold(tenant_of(1), *hold, Actor::CommandLine).await.unwrap();
        }
    }
    for (somebody, _) in &people {
        assert!(!readable(&*store, somebody).await.contains(&somebody.secret), "it was released and stayed");
    }
    keeper.make_final(tenant_of(1)).await.unwrap();
    assert_eq!(vaulted.store.keeping().unfinished_erasures(ctx).await.unwrap(), []);
    drop(store);
    close(vaulted).await;
    what_a_hold_kept_comes_back_alone().await;
    let kept = a_hold_on_everybody_keeps_all().await;
    proof.kept(format!(
        "{cases} cases: {gone} unheld gone at once, {held} held kept and gone when released; {kept} records kept by a hold on everybody, and the tenant with them"
    ));
}

/// A backup from before the hold and the erasure: what was held is held again, and nothing else is back.
async fn what_a_hold_kept_comes_back_alone() {
    let mut place = Place::new();
    let vaulted = place.open();
    tenants(&vaulted, 1).await;
    let somebody = writes(&vaulted, 1, 20).await;
    close(vaulted).await;
    let before = tempfile::tempdir().unwrap();
    copy(&place.folder, before.path());
    let vaulted = place.open();
    let now = vaulted.clock.now();
    let hold = LegalHold {
        id: HoldId::new(now, &*vaulted.entropy),
        norm: "Ley 25.326 art. 16.5".to_owned(),
        scope: HoldScope { contact: Some(somebody.contact), classes: vec![Class::Message] },
        document: Pii::new("file 12/2026, kept at the court".to_owned()),
        review_at: now.plus_millis(90 * DAY_MS),
        made_by: Actor::CommandLine,
        made_at: now,
        released: None,
    };
    keeper(&vaulted).lay_hold(tenant_of(1), hold).await.unwrap();
    let ground = ErasureGround::Asked { by: Actor::CommandLine };
    keeper(&vaulted).erase(tenant_of(1), somebody.contact, ground, now.plus_millis(DAY_MS)).await.unwrap();
    assert_eq!(keeper(&vaulted).replay(None).await.unwrap(), 0, "it is as the list says");
    close(vaulted).await;
    std::fs::copy(place.folder.join("erasures.json"), before.path().join("erasures.json")).unwrap();
    let vaulted = place.at(before.path().to_owned()).open();
    let (keeper, store) = (keeper(&vaulted), of(&vaulted, 1).await);
    assert!(readable(&*store, &somebody).await.contains(&format!("wants {}", somebody.secret)), "it is back");
    for again in [1, 0] {
        assert_eq!(keeper.replay(None).await.unwrap(), again);
        let text = readable(&*store, &somebody).await;
        assert!(text.contains(&format!("words {}", somebody.secret)), "what was held went");
        assert!(!text.contains(&format!("wants {}", somebody.secret)), "what was not held is back");
    }
    let holds = vaulted.store.keeping().holds(TenantCtx::platform(tenant_of(1))).await.unwrap();
    assert_eq!((holds.len(), holds[0].made_by), (1, Actor::Platform));
    keeper.release_hold(tenant_of(1), holds[0].id, Actor::CommandLine).await.unwrap();
    assert!(!readable(&*store, &somebody).await.contains(&somebody.secret), "it was released and stayed");
    drop(store);
    close(vaulted).await;
}

/// What is of nobody in particular is held too: what waits for the tenant's systems, what was given up, the log. How
/// many records that is.
async fn a_hold_on_everybody_keeps_all() -> u64 {
    let mut place = Place::new();
    let vaulted = place.open();
    tenants(&vaulted, 1).await;
    let (keeper, now) = (keeper(&vaulted), vaulted.clock.now());
    let somebody = writes(&vaulted, 1, 10).await;
    let store = of(&vaulted, 1).await;
    let subscription = Subscription {
        id: SubscriptionId::from_bytes([5; 16]),
        url: Pii::new("https://example.org/hook".to_owned()),
        kinds: vec!["*".to_owned()],
        secrets: Vec::new(),
        state: SubscriptionState::Active,
        created_at: now,
        description: String::new(),
    };
    let id = subscription.id;
    store.hooks().put_subscription(subscription).await.unwrap();
    let delivery = Delivery::new(id, EventSeq(1), Some(somebody.conversation), now);
    store.hooks().take_up(id, vec![delivery], EventSeq(1)).await.unwrap();
    let laid = LegalHold {
        id: HoldId::new(now, &*vaulted.entropy),
        norm: "Ley 25.326 art. 16.5".to_owned(),
        scope: HoldScope { contact: None, classes: Vec::new() },
        document: Pii::new("file 13/2026, kept at the court".to_owned()),
        review_at: now.plus_millis(90 * DAY_MS),
        made_by: Actor::CommandLine,
        made_at: now,
        released: None,
    };
    let laid = keeper.lay_hold(tenant_of(1), laid).await.unwrap();
    place.clock.advance_millis(4_000 * DAY_MS);
    let mut kept = 0;
    for class in Class::CHOSEN {
        let swept = keeper.sweep_class(tenant_of(1), class).await.unwrap();
        assert_eq!(swept.removed, 0, "{class} is held and went");
        assert!(swept.held > 0, "{class}");
        kept += swept.held;
    }
    let destroyed = keeper.destroy_tenant(tenant_of(1), Actor::CommandLine, None).await;
    assert!(matches!(destroyed, Err(KeepingError::Held(hold)) if hold == laid.id), "the tenant is held");
    assert!(readable(&*store, &somebody).await.contains(&somebody.secret), "it is held and went");
    keeper.release_hold(tenant_of(1), laid.id, Actor::CommandLine).await.unwrap();
    // Contacts last: all that is theirs goes with them.
    for class in Class::CHOSEN.into_iter().rev() {
        let swept = keeper.sweep_class(tenant_of(1), class).await.unwrap();
        assert!(swept.removed > 0 && swept.held == 0, "{class} was released and stayed");
    }
    drop(store);
    close(vaulted).await;
    kept
}
