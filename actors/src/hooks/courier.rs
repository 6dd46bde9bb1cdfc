//! The courier of one tenant: takes events up from its log for each receiver, and has them handed over.
//!
//! What it keeps is what the store says, in the order in which it is to be tried. Losing it costs time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use tokio::sync::{Notify, watch};

use iassistance_domain::Timestamp;
use iassistance_domain::event::{EventKind, EventSeq};
use iassistance_domain::id::{SubscriptionId, TenantId};
use iassistance_domain::subscription::{Delivery, DeliveryState, Subscription, SubscriptionState};
use iassistance_hooks::HookProblem;
use iassistance_storage::{StorageError, TenantStore};

use super::attempt::{Attempted, Came, STORE_RETRY_MS, attempt};
use super::queue::Queue;
use crate::engine::Shared;

/// How many events, or deliveries, are read at once.
const PAGE: usize = 256;
/// So far a cursor may be ahead of the stored one where nothing was to be delivered in between.
const UNSTORED_MAX: u64 = 1_024;
const HOUR_MS: u64 = 60 * 60 * 1_000;

/// By what a courier is told of news.
#[derive(Default)]
pub(super) struct Bell {
    pub rung: AtomicBool,
    pub again: AtomicBool,
    pub notify: Notify,
    news: Mutex<Vec<Delivery>>,
}

impl Bell {
    /// Tells of deliveries that wait again.
    pub fn tell(&self, deliveries: Vec<Delivery>) {
        self.news.lock().unwrap_or_else(PoisonError::into_inner).extend(deliveries);
    }

    fn take(&self) -> Vec<Delivery> {
        std::mem::take(&mut *self.news.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A receiver: what waits for it, and how far the log was read for it.
struct Receiver {
    subscription: Subscription,
    queue: Queue,
    cursor: EventSeq,
    stored: EventSeq,
}

impl Receiver {
    fn is_served(&self) -> bool {
        self.subscription.state != SubscriptionState::Paused
    }

    /// How many may be under way to it at once.
    fn most(&self, per_tenant: usize) -> usize {
        match (self.is_served(), self.queue.is_failing()) {
            (false, _) => 0,
            (true, true) => 1,
            (true, false) => per_tenant,
        }
    }
}

/// The courier of one tenant.
pub(super) struct Courier {
    shared: Arc<Shared>,
    tenant: TenantId,
    bell: Arc<Bell>,
    store: Arc<dyn TenantStore>,
    latest: watch::Receiver<EventSeq>,
    receivers: BTreeMap<SubscriptionId, Receiver>,
    under_way: FuturesUnordered<BoxFuture<'static, Attempted>>,
}

impl Courier {
    /// A courier that knows of nothing yet.
    pub async fn new(shared: Arc<Shared>, tenant: TenantId, bell: Arc<Bell>) -> Result<Self, StorageError> {
        let store = shared.tenant_store(tenant).await?;
        let latest = store.latest_event();
        let (receivers, under_way) = (BTreeMap::new(), FuturesUnordered::new());
        Ok(Self { shared, tenant, bell, store, latest, receivers, under_way })
    }

    /// Serves until the tenant has no receivers, its data is another, or the engine stops: what is under
    /// way then is still finished.
    pub async fn serve(&mut self) -> Result<(), StorageError> {
        let (draining, stopping) = (self.shared.draining.clone(), self.shared.dispatcher.stopping());
        self.bell.rung.store(true, Ordering::SeqCst);
        loop {
            if draining.is_cancelled() || stopping.is_cancelled() {
                while let Some(attempted) = self.under_way.next().await {
                    self.settle(attempted).await?;
                }
                return Ok(());
            }
            if self.bell.again.swap(false, Ordering::SeqCst) {
                return Ok(());
            }
            if self.bell.rung.swap(false, Ordering::SeqCst) {
                self.look().await?;
                if self.receivers.is_empty() {
                    return Ok(());
                }
            }
            self.latest.borrow_and_update();
            let more = self.take_up().await?;
            self.begin();
            let pause = match (more, self.next_at()) {
                (true, _) => self.shared.parts.clock.sleep_millis(0),
                (false, Some(at)) => self.shared.parts.clock.sleep_until(at),
                (false, None) => Box::pin(std::future::pending()),
            };
            let bell = Arc::clone(&self.bell);
            let attempted = tokio::select! {
                biased;
                Some(attempted) = self.under_way.next(), if !self.under_way.is_empty() => Some(attempted),
                () = bell.notify.notified() => None,
                changed = self.latest.changed() => {
                    if changed.is_err() {
                        return Ok(());
                    }
                    None
                }
                () = pause => None,
                () = draining.cancelled() => None,
                () = stopping.cancelled() => None,
            };
            if let Some(attempted) = attempted {
                self.settle(attempted).await?;
            }
        }
    }

    /// Looks at the subscriptions as they are, and takes in what waits again.
    async fn look(&mut self) -> Result<(), StorageError> {
        let now = self.shared.parts.clock.now();
        let mut before = std::mem::take(&mut self.receivers);
        for subscription in self.store.hooks().subscriptions().await? {
            let receiver = match before.remove(&subscription.id) {
                Some(mut known) => {
                    let was_served = known.is_served();
                    known.subscription = subscription;
                    if known.is_served() && !was_served {
                        known.queue.hurry(now);
                    }
                    known
                }
                None => load(&*self.store, subscription).await?,
            };
            self.receivers.insert(receiver.subscription.id, receiver);
        }
        for delivery in self.bell.take() {
            if let Some(receiver) = self.receivers.get_mut(&delivery.subscription) {
                receiver.queue.add(delivery.conversation, delivery.id, delivery.next_at);
            }
        }
        Ok(())
    }

    /// Takes the next events up for each receiver that has room; says whether there are more.
    async fn take_up(&mut self) -> Result<bool, StorageError> {
        let latest = *self.latest.borrow();
        let now = self.shared.parts.clock.now();
        let share = (self.shared.settings.hooks.waiting_max / self.receivers.len().max(1)).max(1);
        let (mut more, mut gone) = (false, Vec::new());
        for (id, receiver) in &mut self.receivers {
            let room = share.saturating_sub(receiver.queue.waiting()).min(PAGE);
            if !receiver.is_served() || receiver.cursor >= latest {
                continue;
            }
            if room == 0 {
                metrics::counter!("iassistance_limited_total", "limit" => "hooks_waiting").increment(1);
                continue;
            }
            let events = self.store.events(receiver.cursor, room).await?;
            let Some(last) = events.last().map(|event| event.seq) else { continue };
            let wanted = events.iter().filter(|event| receiver.subscription.wants(event.kind.name()));
            let taken: Vec<_> =
                wanted.map(|event| Delivery::new(*id, event.seq, event.conversation, now)).collect();
            if !taken.is_empty() || last.0 - receiver.stored.0 >= UNSTORED_MAX {
                match self.store.hooks().take_up(*id, taken.clone(), last).await {
                    Err(StorageError::NotFound(_)) => {
                        gone.push(*id);
                        continue;
                    }
                    taken => taken?,
                }
                receiver.stored = last;
            }
            for delivery in &taken {
                receiver.queue.add(delivery.conversation, delivery.id, delivery.next_at);
            }
            receiver.cursor = last;
            more |= last < latest;
        }
        for id in gone {
            self.receivers.remove(&id);
        }
        Ok(more)
    }

    /// Begins as many tries as may be under way: the next one is always of the receiver with the fewest.
    fn begin(&mut self) {
        if self.shared.held.contains(&self.tenant) {
            return;
        }
        let now = self.shared.parts.clock.now();
        let per_tenant = self.shared.settings.hooks.concurrency_per_tenant;
        while self.under_way.len() < per_tenant {
            let may_begin = |receiver: &&mut Receiver| {
                let due = receiver.queue.next_at().is_some_and(|at| at <= now);
                due && receiver.queue.in_flight() < receiver.most(per_tenant)
            };
            let ready = self.receivers.values_mut().filter(may_begin);
            let Some(receiver) = ready.min_by_key(|receiver| receiver.queue.in_flight()) else { return };
            let Some((id, lane)) = receiver.queue.take(now) else { return };
            let (shared, store) = (Arc::clone(&self.shared), Arc::clone(&self.store));
            let what = (receiver.subscription.id, id, lane);
            self.under_way.push(Box::pin(attempt(shared, self.tenant, store, what)));
        }
    }

    /// When something more can be begun, if nothing else happens before.
    fn next_at(&self) -> Option<Timestamp> {
        let per_tenant = self.shared.settings.hooks.concurrency_per_tenant;
        if self.under_way.len() >= per_tenant {
            return None;
        }
        let idle = self.receivers.values().filter(|it| it.queue.in_flight() < it.most(per_tenant));
        idle.filter_map(|it| it.queue.next_at()).min()
    }

    async fn settle(&mut self, attempted: Attempted) -> Result<(), StorageError> {
        let Attempted { subscription, lane, id, came } = attempted;
        let now = self.shared.parts.clock.now();
        let Some(receiver) = self.receivers.get_mut(&subscription) else { return Ok(()) };
        let result = match came {
            Came::Nothing => {
                receiver.queue.done(lane, id, None);
                return Ok(());
            }
            Came::Later(at) => {
                receiver.queue.done(lane, id, Some(at));
                return Ok(());
            }
            Came::Tried { again, result } => {
                receiver.queue.done(lane, id, again);
                result
            }
        };
        let state = receiver.subscription.state;
        let next = match result {
            Ok(()) => {
                receiver.queue.succeeded();
                matches!(state, SubscriptionState::Failing { .. }).then_some(SubscriptionState::Active)
            }
            Err(problem) => {
                let since = receiver.queue.failed(now);
                let pause_ms = self.shared.settings.hooks.pause_hours.saturating_mul(HOUR_MS);
                let for_long = |since| pause_ms > 0 && now.millis_since(since) >= pause_ms;
                if problem == HookProblem::Gone || since.is_some_and(for_long) {
                    return self.pause(subscription, &problem).await;
                }
                let failing = since.map(|since| SubscriptionState::Failing { since });
                failing.filter(|_| state == SubscriptionState::Active)
            }
        };
        match next {
            Some(next) => self.turn(subscription, next).await,
            None => Ok(()),
        }
    }

    /// Stops serving a receiver until somebody resumes it, and tells of it.
    async fn pause(&mut self, id: SubscriptionId, problem: &HookProblem) -> Result<(), StorageError> {
        let reason = match problem {
            HookProblem::Gone => problem.to_string(),
            _ => format!("the receiver took nothing for too long: {problem}"),
        };
        tracing::warn!(tenant = %self.tenant, webhook = %id, reason, "a webhook is paused");
        // Told first: a crash in between tells twice rather than never.
        self.store.append(None, vec![EventKind::WebhookPaused { webhook: id, reason }]).await?;
        self.turn(id, SubscriptionState::Paused).await
    }

    /// Changes how a receiver stands, unless its owner paused it meanwhile.
    async fn turn(&mut self, id: SubscriptionId, next: SubscriptionState) -> Result<(), StorageError> {
        let turn = |subscription: &mut Subscription| {
            if subscription.state != SubscriptionState::Paused {
                subscription.state = next;
            }
        };
        let changed = self.shared.hooks.change(&*self.store, id, turn).await?;
        if let (Some(changed), Some(receiver)) = (changed, self.receivers.get_mut(&id)) {
            receiver.subscription = changed;
        }
        Ok(())
    }

    /// How long until the store is asked again after it failed.
    pub async fn rest(shared: &Shared) {
        shared.parts.clock.sleep_millis(STORE_RETRY_MS).await;
    }
}

/// A receiver, with everything that waits for it.
async fn load(store: &dyn TenantStore, subscription: Subscription) -> Result<Receiver, StorageError> {
    let (hooks, id) = (store.hooks(), subscription.id);
    let since = match subscription.state {
        SubscriptionState::Failing { since } => Some(since),
        _ => None,
    };
    let (mut queue, mut before) = (Queue::failing(since), None);
    loop {
        let page = hooks.deliveries(id, Some(DeliveryState::Waiting), before, PAGE).await?;
        for delivery in &page {
            queue.add(delivery.conversation, delivery.id, delivery.next_at);
        }
        match page.last() {
            Some(last) if page.len() == PAGE => before = Some(last.id),
            _ => break,
        }
    }
    let cursor = hooks.subscription_cursor(id).await?.unwrap_or_default();
    Ok(Receiver { subscription, queue, cursor, stored: cursor })
}
