//! One try to hand an event to its receiver, and what it comes to.

use std::sync::Arc;

use serde::Serialize;

use iassistance_config::HookSettings;
use iassistance_domain::event::{Event, EventKind, EventSeq};
use iassistance_domain::id::{DeliveryId, SubscriptionId, TenantId};
use iassistance_domain::pii::TenantView;
use iassistance_domain::privacy::{Handed, Recipient, RecipientKind};
use iassistance_domain::subscription::{Delivery, DeliveryState, Subscription, SubscriptionState};
use iassistance_domain::tenant::TenantState;
use iassistance_domain::{Entropy, Timestamp};
use iassistance_hooks::{HookCall, HookProblem};
use iassistance_storage::{StorageError, TenantStore};

use super::queue::LaneKey;
use crate::disclosing::{Ledger, host_of};
use crate::engine::Shared;

/// How long it is until the store is asked again, milliseconds.
pub(super) const STORE_RETRY_MS: u64 = 1_000;
const HOUR_MS: u64 = 60 * 60 * 1_000;

/// What a receiver gets.
#[derive(Serialize)]
struct Body<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    timestamp: String,
    tenant: TenantId,
    data: &'a Event,
}

/// A try that is over.
pub(super) struct Attempted {
    pub subscription: SubscriptionId,
    pub lane: LaneKey,
    pub id: DeliveryId,
    pub came: Came,
}

/// What a try came to.
pub(super) enum Came {
    /// It was made and written down: until when the delivery waits, if it does, and how the receiver did.
    Tried { again: Option<Timestamp>, result: Result<(), HookProblem> },
    /// There is nothing to try any more.
    Nothing,
    /// Not now; nothing was sent.
    Later(Timestamp),
}

/// The body of a delivery, as it is signed.
pub(super) fn body(tenant: TenantId, event: &Event) -> Result<Vec<u8>, serde_json::Error> {
    let (kind, timestamp) = (event.kind.name(), event.at.to_rfc3339());
    serde_json::to_vec(&Body { kind, timestamp, tenant, data: event })
}

/// Makes one try, within the places that all share, and writes down what came of it.
pub(super) async fn attempt(
    shared: Arc<Shared>,
    tenant: TenantId,
    store: Arc<dyn TenantStore>,
    (subscription, id, lane): (SubscriptionId, DeliveryId, LaneKey),
) -> Attempted {
    let came = match try_once(&shared, tenant, &*store, subscription, id).await {
        Ok(came) => came,
        Err(StorageError::NotFound(_)) => Came::Nothing,
        Err(error) => {
            tracing::warn!(%tenant, delivery = %id, %error, "a webhook's delivery could not be read or written; it is tried again");
            Came::Later(shared.parts.clock.now().plus_millis(STORE_RETRY_MS))
        }
    };
    Attempted { subscription, lane, id, came }
}

async fn try_once(
    shared: &Shared,
    tenant: TenantId,
    store: &dyn TenantStore,
    subscription: SubscriptionId,
    id: DeliveryId,
) -> Result<Came, StorageError> {
    let _slot = shared.hooks.slots.acquire(tenant).await;
    let hooks = store.hooks();
    // Read only now: whoever changed it while this waited is obeyed.
    let Some(subscription) = hooks.subscription(subscription).await? else { return Ok(Came::Nothing) };
    let delivery = hooks.delivery(subscription.id, id).await?;
    let Some(delivery) = delivery.filter(|it| it.state == DeliveryState::Waiting) else {
        return Ok(Came::Nothing);
    };
    if subscription.state == SubscriptionState::Paused {
        return Ok(Came::Later(delivery.next_at));
    }
    let now = shared.parts.clock.now();
    // Nothing leaves for a tenant that is closed.
    let record = shared.parts.store.people().tenant_record(tenant).await?;
    if record.is_some_and(|record| matches!(record.state, TenantState::Closed { .. })) {
        return Ok(Came::Later(now.plus_millis(HOUR_MS)));
    }
    let result = match event_of(store, &delivery, &subscription).await? {
        Some(event) => {
            note(shared, tenant, &subscription, &event).await?;
            hand_over(shared, tenant, &subscription, &delivery, &event).await
        }
        None => return give_up_on(store, delivery, now).await,
    };
    let ended = shared.parts.clock.now();
    let settings = &shared.settings.hooks;
    let settled = settled(delivery, &result, (now, ended), settings, &*shared.parts.entropy);
    let outcome = match settled.state {
        DeliveryState::Delivered => "delivered",
        DeliveryState::Waiting => "failed",
        DeliveryState::Dead => "dead",
    };
    metrics::counter!("iassistance_hook_deliveries_total", "outcome" => outcome).increment(1);
    let again = (settled.state == DeliveryState::Waiting).then_some(settled.next_at);
    write_down(shared, store, settled).await?;
    Ok(Came::Tried { again, result })
}

/// The event as it is now; nothing when it cannot be read any more and the receiver does not want to know.
async fn event_of(
    store: &dyn TenantStore,
    delivery: &Delivery,
    subscription: &Subscription,
) -> Result<Option<Event>, StorageError> {
    let before = EventSeq(delivery.event.0.saturating_sub(1));
    let event = store.events(before, 1).await?.pop().filter(|event| event.seq == delivery.event);
    let is_there = |event: &Event| {
        !matches!(event.kind, EventKind::EventUnreadable) || subscription.wants(event.kind.name())
    };
    Ok(event.filter(is_there))
}

/// What tells of somebody is in their ledger before it leaves.
async fn note(
    shared: &Shared,
    tenant: TenantId,
    subscription: &Subscription,
    event: &Event,
) -> Result<(), StorageError> {
    let Some(contact) = event.contact else { return Ok(()) };
    let host = host_of(subscription.url.reveal(TenantView));
    let to = Recipient::at(RecipientKind::Webhook, host);
    match Ledger::of(&shared.parts, tenant, contact).note(to, Handed::Event).await {
        // They were erased, and the event says nothing of them any more.
        Err(StorageError::NotFound(_)) => Ok(()),
        noted => noted,
    }
}

async fn hand_over(
    shared: &Shared,
    tenant: TenantId,
    subscription: &Subscription,
    delivery: &Delivery,
    event: &Event,
) -> Result<(), HookProblem> {
    let body = body(tenant, event)
        .map_err(|_| HookProblem::Refused("the event could not be written as JSON".to_owned()))?;
    let call = HookCall {
        url: subscription.url.reveal(TenantView),
        secrets: &subscription.secrets,
        id: &delivery.webhook_id(),
        body: &body,
    };
    shared.parts.hooks.call(call).await.map(drop)
}

async fn give_up_on(
    store: &dyn TenantStore,
    delivery: Delivery,
    now: Timestamp,
) -> Result<Came, StorageError> {
    let last_problem = Some("the event cannot be read any more".to_owned());
    let dead = Delivery { state: DeliveryState::Dead, last_problem, next_at: now, ..delivery };
    store.hooks().put_delivery(dead).await?;
    Ok(Came::Nothing)
}

/// What happened has happened: it is written down also while the engine stops.
async fn write_down(
    shared: &Shared,
    store: &dyn TenantStore,
    delivery: Delivery,
) -> Result<(), StorageError> {
    loop {
        match store.hooks().put_delivery(delivery.clone()).await {
            Err(error) if error.is_transient() && !matches!(error, StorageError::Closed) => {
                shared.parts.clock.sleep_millis(STORE_RETRY_MS).await;
            }
            written => return written,
        }
    }
}

/// A delivery after a try that was made and ended at these moments.
fn settled(
    delivery: Delivery,
    result: &Result<(), HookProblem>,
    (began, ended): (Timestamp, Timestamp),
    settings: &HookSettings,
    entropy: &dyn Entropy,
) -> Delivery {
    let attempts = delivery.attempts.saturating_add(1);
    let first = delivery.first_tried_at.unwrap_or(began);
    let tried = Delivery { attempts, first_tried_at: Some(first), next_at: ended, ..delivery };
    let Err(problem) = result else {
        return Delivery { state: DeliveryState::Delivered, last_problem: None, ..tried };
    };
    let last_problem = Some(problem.to_string());
    let end = first.plus_millis(settings.give_up_hours.saturating_mul(HOUR_MS));
    if ended >= end {
        return Delivery { state: DeliveryState::Dead, last_problem, ..tried };
    }
    let doubled = 1_u64 << attempts.saturating_sub(1).min(40);
    let pause = settings.retry_ms.saturating_mul(doubled).min(settings.retry_max_ms);
    let jittered = pause / 2 + entropy.up_to(pause / 2);
    let wanted = match problem {
        HookProblem::Status { after_ms: Some(ms), .. } => (*ms).min(settings.retry_max_ms),
        _ => 0,
    };
    // The last try is made at the very end of its time.
    let next_at = ended.plus_millis(jittered.max(wanted)).min(end);
    Delivery { next_at, last_problem, ..tried }
}

#[cfg(test)]
mod tests {
    use iassistance_config::Sources;
    use iassistance_domain::SeededEntropy;

    use super::*;

    const START: Timestamp = Timestamp::from_secs(1_000_000);

    fn delivery() -> Delivery {
        Delivery::new(SubscriptionId::from_bytes([3; 16]), EventSeq(7), None, START)
    }

    #[test]
    fn a_receiver_is_tried_ever_more_rarely_for_three_days_and_then_no_more() {
        let (settings, entropy) = (Sources::default().settings().unwrap().hooks, SeededEntropy::new(1));
        let refused = Err(HookProblem::Status { status: 500, after_ms: None });
        let (mut it, mut pauses) = (delivery(), Vec::new());
        while it.state == DeliveryState::Waiting {
            let at = it.next_at;
            it = settled(it, &refused, (at, at), &settings, &entropy);
            pauses.push(it.next_at.millis_since(at));
        }
        let end = START.plus_millis(72 * HOUR_MS);
        assert_eq!((it.state, it.next_at), (DeliveryState::Dead, end));
        assert!((2_500..=5_000).contains(&pauses[0]), "{pauses:?}");
        assert!(pauses[1] >= 5_000 && pauses.iter().all(|pause| *pause <= 4 * HOUR_MS));
        assert!((25..60).contains(&it.attempts), "{} tries", it.attempts);
        assert_eq!(it.last_problem.as_deref(), Some("the receiver answered with HTTP 500"));
    }

    #[test]
    fn a_receiver_that_says_when_is_not_asked_before() {
        let (settings, entropy) = (Sources::default().settings().unwrap().hooks, SeededEntropy::new(1));
        let busy = |after_ms| Err(HookProblem::Status { status: 429, after_ms });
        let it = settled(delivery(), &busy(Some(600_000)), (START, START), &settings, &entropy);
        assert_eq!(it.next_at, START.plus_millis(600_000));
        let never = settled(delivery(), &busy(Some(u64::MAX)), (START, START), &settings, &entropy);
        assert_eq!(never.next_at, START.plus_millis(settings.retry_max_ms), "but for longer than it may say");
        let taken = settled(it, &Ok(()), (START, START), &settings, &entropy);
        assert_eq!((taken.state, taken.attempts, taken.last_problem), (DeliveryState::Delivered, 2, None));
    }
}
