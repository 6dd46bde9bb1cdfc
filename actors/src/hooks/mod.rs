//! Outgoing webhooks: a tenant's events, from its log to the receivers that it named.
//!
//! The log is the queue: how far it was taken up for each receiver is a number in the store, and what was
//! taken up is a record there until the receiver has it. Each is sent at least once; one that is sent again
//! has the same id. A conversation's events go in order, one after the other.

mod attempt;
mod courier;
mod queue;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use dashmap::mapref::entry::Entry;
use dashmap::{DashMap, DashSet};
use futures::StreamExt;
use futures::stream;
use tokio::sync::Mutex;

use iassistance_assistant::slots::Slots;
use iassistance_config::HookSettings;
use iassistance_domain::Timestamp;
use iassistance_domain::id::{DeliveryId, SubscriptionId, TenantId};
use iassistance_domain::pii::TenantView;
use iassistance_domain::subscription::{Delivery, DeliveryState, Subscription};
use iassistance_domain::tenant::TenantCtx;
use iassistance_hooks::{HookCall, HookProblem};
use iassistance_storage::{StorageError, TenantStore};

use crate::engine::{Engine, Shared};
use courier::{Bell, Courier};

/// How many deliveries are replayed at once.
pub const REPLAY_MAX: usize = 1_000;
/// Writes of a replay that wait at once: they share a sync.
const REPLAY_WRITES: usize = 64;
const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

/// All couriers.
pub(crate) struct Couriers {
    bells: DashMap<TenantId, Arc<Bell>>,
    /// Tenants whose courier panicked.
    lost: DashSet<TenantId>,
    slots: Slots,
    /// Held while a subscription is changed: one reads what another wrote.
    changing: Mutex<()>,
}

impl Couriers {
    pub(crate) fn new(settings: &HookSettings) -> Self {
        Self {
            bells: DashMap::new(),
            lost: DashSet::new(),
            slots: Slots::new(settings.concurrency, settings.concurrency_per_tenant),
            changing: Mutex::default(),
        }
    }

    /// Says that there is news of a tenant's subscriptions or of what waits for them.
    pub(crate) fn ring(&self, shared: &Arc<Shared>, tenant: TenantId, waiting: Vec<Delivery>) {
        if shared.dispatcher.stopping().is_cancelled() {
            return;
        }
        let bell = match self.bells.entry(tenant) {
            Entry::Occupied(bell) => Arc::clone(bell.get()),
            Entry::Vacant(vacant) => {
                let bell = Arc::clone(&vacant.insert(Arc::default()));
                let (shared, own) = (Arc::clone(shared), Arc::clone(&bell));
                let tasks = shared.tasks.clone();
                tasks.spawn("hooks.courier", async move {
                    let mut leaving = Leaving { shared, tenant, bell: own, ended: false };
                    leaving.run().await;
                });
                bell
            }
        };
        bell.tell(waiting);
        bell.rung.store(true, Ordering::SeqCst);
        bell.notify.notify_one();
    }

    /// Has a tenant's courier begin anew: its data is another.
    pub(crate) fn begin_anew(&self, shared: &Arc<Shared>, tenant: TenantId) {
        if let Some(bell) = self.bells.get(&tenant) {
            bell.again.store(true, Ordering::SeqCst);
        }
        self.ring(shared, tenant, Vec::new());
    }

    /// Changes a subscription, on what is stored now; nothing when it is gone.
    async fn change(
        &self,
        store: &dyn TenantStore,
        id: SubscriptionId,
        change: impl FnOnce(&mut Subscription),
    ) -> Result<Option<Subscription>, StorageError> {
        let _one_at_a_time = self.changing.lock().await;
        let Some(mut subscription) = store.hooks().subscription(id).await? else { return Ok(None) };
        let before = subscription.clone();
        change(&mut subscription);
        if subscription != before {
            store.hooks().put_subscription(subscription.clone()).await?;
        }
        Ok(Some(subscription))
    }
}

/// A courier's task. However it ends, it leaves the map, and after a panic the next sweep begins another.
struct Leaving {
    shared: Arc<Shared>,
    tenant: TenantId,
    bell: Arc<Bell>,
    ended: bool,
}

impl Leaving {
    async fn run(&mut self) {
        let (shared, tenant, bell) = (&self.shared, self.tenant, &self.bell);
        let stopping = shared.dispatcher.stopping();
        loop {
            let served = match Courier::new(Arc::clone(shared), tenant, Arc::clone(bell)).await {
                Ok(mut courier) => courier.serve().await,
                Err(error) => Err(error),
            };
            match served {
                Ok(()) if stopping.is_cancelled() || shared.draining.is_cancelled() => break,
                Ok(()) => {
                    // Under the map's lock: whoever rings after this begins another.
                    let silent = |_: &TenantId, there: &Arc<Bell>| {
                        Arc::ptr_eq(there, bell) && !bell.rung.load(Ordering::SeqCst)
                    };
                    if shared.hooks.bells.remove_if(&tenant, silent).is_some() {
                        break;
                    }
                }
                Err(StorageError::Closed | StorageError::NoSuchTenant(_)) => break,
                Err(error) => {
                    tracing::warn!(%tenant, %error, "a tenant's webhooks could not be read or written; they are tried again");
                    if stopping.run_until_cancelled(Courier::rest(shared)).await.is_none() {
                        break;
                    }
                }
            }
        }
        self.ended = true;
    }
}

impl Drop for Leaving {
    fn drop(&mut self) {
        let hooks = &self.shared.hooks;
        hooks.bells.remove_if(&self.tenant, |_, bell| Arc::ptr_eq(bell, &self.bell));
        if !self.ended {
            hooks.lost.insert(self.tenant);
        }
    }
}

/// What a test of a receiver came to.
#[derive(Debug, Clone)]
pub struct Tested {
    /// By which HTTP status it took the event, or why it did not.
    pub result: Result<u16, HookProblem>,
    /// How long that took, milliseconds.
    pub ms: u64,
}

impl Engine {
    /// Whether a webhook may go to this address.
    ///
    /// # Errors
    /// With what would do.
    pub fn check_hook(&self, url: &str) -> Result<(), HookProblem> {
        self.shared.parts.hooks.check(url)
    }

    /// Subscribes to events from now on.
    pub async fn subscribe(&self, ctx: TenantCtx, subscription: Subscription) -> Result<(), StorageError> {
        let store = self.store().tenant(ctx).await?;
        store.hooks().put_subscription(subscription).await?;
        self.shared.hooks.ring(&self.shared, ctx.tenant(), Vec::new());
        Ok(())
    }

    /// Changes a subscription; nothing when there is none.
    pub async fn change_subscription(
        &self,
        ctx: TenantCtx,
        id: SubscriptionId,
        change: impl FnOnce(&mut Subscription),
    ) -> Result<Option<Subscription>, StorageError> {
        let store = self.store().tenant(ctx).await?;
        let changed = self.shared.hooks.change(&*store, id, change).await?;
        self.shared.hooks.ring(&self.shared, ctx.tenant(), Vec::new());
        Ok(changed)
    }

    /// Removes a subscription with its deliveries; says whether there was one. One that is under way may
    /// still arrive.
    pub async fn unsubscribe(&self, ctx: TenantCtx, id: SubscriptionId) -> Result<bool, StorageError> {
        let store = self.store().tenant(ctx).await?;
        let removed = {
            let _one_at_a_time = self.shared.hooks.changing.lock().await;
            store.hooks().remove_subscription(id).await?
        };
        self.shared.hooks.ring(&self.shared, ctx.tenant(), Vec::new());
        Ok(removed)
    }

    /// Sends a receiver an event of the kind `webhook.test`, which is in no log, also while it is paused;
    /// nothing when there is no such subscription.
    pub async fn test_hook(
        &self,
        ctx: TenantCtx,
        id: SubscriptionId,
    ) -> Result<Option<Tested>, StorageError> {
        let (tenant, clock) = (ctx.tenant(), self.clock());
        let store = self.store().tenant(ctx).await?;
        let Some(subscription) = store.hooks().subscription(id).await? else { return Ok(None) };
        let _slot = self.shared.hooks.slots.acquire(tenant).await;
        let now = clock.now();
        let body = serde_json::json!({
            "type": "webhook.test",
            "timestamp": now.to_rfc3339(),
            "tenant": tenant,
            "data": { "type": "webhook.test", "at": now, "webhook": id },
        })
        .to_string();
        let call = HookCall {
            url: subscription.url.reveal(TenantView),
            secrets: &subscription.secrets,
            id: &DeliveryId::new(now, &**self.entropy()).to_string(),
            body: body.as_bytes(),
        };
        let result = self.shared.parts.hooks.call(call).await;
        Ok(Some(Tested { result, ms: clock.now().millis_since(now) }))
    }

    /// Has one delivery tried again from the beginning, wherever it stands; nothing when there is none.
    pub async fn replay_delivery(
        &self,
        ctx: TenantCtx,
        subscription: SubscriptionId,
        id: DeliveryId,
    ) -> Result<Option<Delivery>, StorageError> {
        let store = self.store().tenant(ctx).await?;
        let Some(delivery) = store.hooks().delivery(subscription, id).await? else { return Ok(None) };
        let replayed = self.try_again(ctx, &*store, vec![delivery]).await?;
        Ok(replayed.into_iter().next())
    }

    /// Has the newest deliveries that were given up tried again, at most [`REPLAY_MAX`]; says how many.
    pub async fn replay_dead(
        &self,
        ctx: TenantCtx,
        subscription: SubscriptionId,
    ) -> Result<usize, StorageError> {
        let store = self.store().tenant(ctx).await?;
        let state = Some(DeliveryState::Dead);
        let dead = store.hooks().deliveries(subscription, state, None, REPLAY_MAX).await?;
        self.try_again(ctx, &*store, dead).await.map(|replayed| replayed.len())
    }

    async fn try_again(
        &self,
        ctx: TenantCtx,
        store: &dyn TenantStore,
        deliveries: Vec<Delivery>,
    ) -> Result<Vec<Delivery>, StorageError> {
        let now = self.clock().now();
        let again = |delivery: Delivery| Delivery {
            state: DeliveryState::Waiting,
            attempts: 0,
            first_tried_at: None,
            next_at: now,
            ..delivery
        };
        let writes = deliveries.into_iter().map(again).map(|delivery| async move {
            store.hooks().put_delivery(delivery.clone()).await.map(|()| delivery)
        });
        let written: Vec<_> = stream::iter(writes).buffer_unordered(REPLAY_WRITES).collect().await;
        let (mut replayed, mut failed) = (Vec::new(), None);
        for one in written {
            match one {
                Ok(delivery) => replayed.push(delivery),
                // It was removed meanwhile.
                Err(StorageError::NotFound(_)) => {}
                Err(error) => failed = Some(error),
            }
        }
        self.shared.hooks.ring(&self.shared, ctx.tenant(), replayed.clone());
        failed.map_or(Ok(replayed), Err)
    }

    /// Begins to serve the receivers of all tenants.
    pub(crate) fn resume_hooks(&self, tenants: Vec<TenantId>) {
        let shared = Arc::clone(&self.shared);
        let stopping = shared.dispatcher.stopping();
        self.shared.tasks.spawn("hooks.resume", async move {
            for tenant in tenants {
                if stopping.is_cancelled() {
                    return;
                }
                // Where that cannot be read, the courier tries on.
                if shared.has_receivers(tenant).await.unwrap_or(true) {
                    shared.hooks.ring(&shared, tenant, Vec::new());
                }
            }
        });
    }
}

impl Shared {
    async fn has_receivers(&self, tenant: TenantId) -> Result<bool, StorageError> {
        Ok(!self.tenant_store(tenant).await?.hooks().subscriptions().await?.is_empty())
    }

    /// Begins couriers anew that failed.
    pub(crate) fn find_lost_couriers(self: &Arc<Self>) {
        let lost: Vec<_> = self.hooks.lost.iter().map(|tenant| *tenant).collect();
        for tenant in lost {
            self.hooks.lost.remove(&tenant);
            self.hooks.ring(self, tenant, Vec::new());
        }
    }

    /// Removes what arrived, or was given up, long ago.
    pub(crate) async fn forget_deliveries(&self, tenant: TenantId, now: Timestamp) {
        let hooks = &self.settings.hooks;
        let over = [(DeliveryState::Delivered, hooks.kept_days), (DeliveryState::Dead, hooks.dead_days)];
        let forget = async {
            let store = self.tenant_store(tenant).await?;
            for (state, days) in over {
                let before = now.minus_millis(days.saturating_mul(DAY_MS));
                while store.hooks().forget_deliveries(state, before).await? > 0 {}
            }
            Ok::<_, StorageError>(())
        };
        if let Err(error) = forget.await {
            tracing::warn!(%tenant, %error, "deliveries of long ago could not be removed; the next day's sweep tries again");
        }
    }
}
