//! Outgoing webhooks.

use iassistance_domain::channel::StoredSecret;
use iassistance_domain::event::{EventKind, EventSeq};
use iassistance_domain::id::{DeliveryId, SubscriptionId};
use iassistance_domain::subscription::{Delivery, DeliveryState, Subscription, SubscriptionState};
use iassistance_domain::{Pii, Timestamp};
use iassistance_storage::{Hooks, StorageError};

use crate::support::*;

pub fn subscription_id(number: u8) -> SubscriptionId {
    SubscriptionId::from_bytes([number; 16])
}

pub fn subscription(number: u8) -> Subscription {
    Subscription {
        id: subscription_id(number),
        url: Pii::new("https://example.com/hook".to_owned()),
        kinds: vec!["*".to_owned()],
        secrets: vec![StoredSecret::new("whsec_c2VjcmV0")],
        state: SubscriptionState::Active,
        created_at: START,
        description: String::new(),
    }
}

fn delivery(of: u8, seq: u64) -> Delivery {
    Delivery {
        id: DeliveryId::of(subscription_id(of), seq),
        subscription: subscription_id(of),
        event: EventSeq(seq),
        conversation: None,
        attempts: 0,
        created_at: START.plus_millis(seq),
        next_at: START.plus_millis(seq),
        first_tried_at: None,
        last_problem: None,
        state: DeliveryState::Waiting,
    }
}

fn seqs(deliveries: &[Delivery]) -> Vec<u64> {
    deliveries.iter().map(|delivery| delivery.event.0).collect()
}

async fn due(hooks: &dyn Hooks, at: Timestamp) -> Vec<u64> {
    seqs(&hooks.due_deliveries(at, 9).await.unwrap())
}

pub async fn a_subscription_begins_with_what_comes(mut world: World) {
    let tenant = world.tenant(1).await;
    let event = EventKind::SettingsChanged { version: 1 };
    let latest = tenant.append(None, vec![event.clone(), event]).await.unwrap();
    let hooks = tenant.hooks();
    hooks.put_subscription(subscription(1)).await.unwrap();
    assert_eq!(hooks.subscription_cursor(subscription_id(1)).await.unwrap(), Some(latest));
    assert_eq!(hooks.subscription_cursor(subscription_id(2)).await.unwrap(), None);
    let paused = Subscription { state: SubscriptionState::Paused, ..subscription(1) };
    hooks.put_subscription(paused.clone()).await.unwrap();
    drop(tenant);
    world.reopen().await;
    let tenant = world.open_tenant(1).await;
    let hooks = tenant.hooks();
    assert!(hooks.subscriptions().await.unwrap() == [paused.clone()]);
    assert!(hooks.subscription(subscription_id(1)).await.unwrap() == Some(paused));
    for number in 2..=50 {
        hooks.put_subscription(subscription(number)).await.unwrap();
    }
    let full = hooks.put_subscription(subscription(51)).await;
    assert!(matches!(full, Err(StorageError::Full { most: 50, .. })));
    hooks.put_subscription(subscription(50)).await.unwrap();
}

pub async fn an_event_is_taken_up_once(mut world: World) {
    let tenant = world.tenant(1).await;
    let hooks = tenant.hooks();
    let id = subscription_id(1);
    hooks.put_subscription(subscription(1)).await.unwrap();
    hooks.put_subscription(subscription(2)).await.unwrap();
    hooks.take_up(id, vec![delivery(1, 11), delivery(1, 12)], EventSeq(12)).await.unwrap();
    let tried = Delivery { attempts: 1, next_at: START.plus_millis(50), ..delivery(1, 11) };
    hooks.put_delivery(tried.clone()).await.unwrap();
    hooks.take_up(id, vec![delivery(1, 11), delivery(1, 13)], EventSeq(11)).await.unwrap();
    drop(tenant);
    world.reopen().await;
    let tenant = world.open_tenant(1).await;
    let hooks = tenant.hooks();
    assert_eq!(hooks.subscription_cursor(id).await.unwrap(), Some(EventSeq(12)), "it never goes back");
    assert_eq!(hooks.delivery(id, tried.id).await.unwrap(), Some(tried), "it stays as it is");
    assert_eq!(seqs(&hooks.deliveries(id, None, None, 9).await.unwrap()), [13, 12, 11]);
    assert!(hooks.deliveries(subscription_id(2), None, None, 9).await.unwrap().is_empty());
    let gone = hooks.take_up(subscription_id(3), vec![delivery(3, 1)], EventSeq(1)).await;
    assert!(matches!(gone, Err(StorageError::NotFound("subscription"))));
    let gone = hooks.put_delivery(delivery(1, 99)).await;
    assert!(matches!(gone, Err(StorageError::NotFound("delivery"))));
}

pub async fn what_is_due_is_found(world: World) {
    let tenant = world.tenant(1).await;
    let hooks = tenant.hooks();
    let id = subscription_id(1);
    hooks.put_subscription(subscription(1)).await.unwrap();
    hooks.put_subscription(subscription(2)).await.unwrap();
    let four = vec![delivery(1, 11), delivery(1, 12), delivery(1, 13), delivery(1, 14)];
    hooks.take_up(id, four, EventSeq(14)).await.unwrap();
    hooks.take_up(subscription_id(2), vec![delivery(2, 10)], EventSeq(14)).await.unwrap();
    let at = |millis: u64| START.plus_millis(millis);
    assert_eq!(due(hooks, at(9)).await, [0; 0]);
    assert_eq!(due(hooks, at(12)).await, [10, 11, 12]);
    assert_eq!(hooks.due_deliveries(at(99), 2).await.unwrap().len(), 2);
    let arrived = |seq| Delivery { state: DeliveryState::Delivered, ..delivery(1, seq) };
    let dead = Delivery { state: DeliveryState::Dead, attempts: 9, ..delivery(1, 13) };
    hooks.put_delivery(Delivery { next_at: at(60), ..delivery(1, 11) }).await.unwrap();
    hooks.put_delivery(arrived(12)).await.unwrap();
    hooks.put_delivery(arrived(14)).await.unwrap();
    hooks.put_delivery(dead.clone()).await.unwrap();
    assert_eq!(due(hooks, at(59)).await, [10]);
    assert_eq!(due(hooks, at(60)).await, [10, 11]);
    assert_eq!(
        hooks.deliveries(id, Some(DeliveryState::Dead), None, 9).await.unwrap(),
        std::slice::from_ref(&dead)
    );
    let delivered = Some(DeliveryState::Delivered);
    assert_eq!(seqs(&hooks.deliveries(id, delivered, None, 9).await.unwrap()), [14, 12]);
    assert_eq!(seqs(&hooks.deliveries(id, delivered, Some(delivery(1, 14).id), 9).await.unwrap()), [12]);
    hooks
        .put_delivery(Delivery { state: DeliveryState::Waiting, next_at: at(70), ..dead.clone() })
        .await
        .unwrap();
    assert_eq!(due(hooks, at(99)).await, [10, 11, 13], "a dead one was replayed");
    let forget = async |state, before| hooks.forget_deliveries(state, before).await.unwrap();
    assert_eq!(forget(DeliveryState::Delivered, at(14)).await, 1, "only what arrived goes");
    assert_eq!(seqs(&hooks.deliveries(id, None, None, 9).await.unwrap()), [14, 13, 11]);
    assert_eq!(forget(DeliveryState::Dead, at(99)).await, 0, "it waits again");
    assert_eq!(forget(DeliveryState::Waiting, at(99)).await, 0, "what waits stays");
    hooks.put_delivery(dead).await.unwrap();
    assert_eq!(forget(DeliveryState::Dead, at(99)).await, 1, "given up, it goes by its age");
    assert_eq!(seqs(&hooks.deliveries(id, None, None, 9).await.unwrap()), [14, 11]);
    assert!(hooks.remove_subscription(id).await.unwrap());
    assert!(!hooks.remove_subscription(id).await.unwrap());
    assert_eq!(due(hooks, at(99)).await, [10], "its deliveries go with it");
    assert!(hooks.deliveries(id, None, None, 9).await.unwrap().is_empty());
    assert_eq!(hooks.subscription_cursor(id).await.unwrap(), None);
}
