//! Outgoing webhooks: subscriptions, how far the log was taken up for each, and deliveries.

use std::sync::Arc;

use async_trait::async_trait;

use iassistance_domain::Timestamp;
use iassistance_domain::event::EventSeq;
use iassistance_domain::id::{DeliveryId, SubscriptionId};
use iassistance_domain::subscription::{Delivery, DeliveryState, Subscription};

use super::keys::{self, DELIVERY, DELIVERY_DUE, Key, SUBSCRIPTION, id_in, moment_in};
use super::line::Urgency;
use super::space::{Page, Read, Result, Space};
use super::tenant::SledTenant;
use super::tx::{Owner, Tx};
use super::{Core, blocking};
use crate::error::StorageError;
use crate::hooks::Hooks;
use crate::limits::{LOG_ROWS, SUBSCRIPTIONS_MAX};

/// The rows by which a delivery is found, beside its record.
pub(super) fn indexes(delivery: &Delivery) -> impl Iterator<Item = Key<()>> {
    let Delivery { id, subscription, next_at, state, .. } = delivery;
    let by_state = keys::deliveries_in(*subscription, *state).id(id.to_bytes());
    let due = DELIVERY_DUE.key().moment(*next_at).id(subscription.to_bytes()).id(id.to_bytes());
    std::iter::once(by_state).chain((*state == DeliveryState::Waiting).then_some(due))
}

impl Tx<'_> {
    fn put_subscription(&mut self, subscription: &Subscription) -> Result<()> {
        let key = keys::subscription(subscription.id);
        if !self.has(&key)? {
            if self.rows(SUBSCRIPTION.key().bytes(), SUBSCRIPTIONS_MAX)?.len() == SUBSCRIPTIONS_MAX {
                return Err(StorageError::Full { what: "subscriptions", most: SUBSCRIPTIONS_MAX });
            }
            let latest = EventSeq(self.counters.event);
            self.put(&keys::subscription_cursor(subscription.id), Owner::Tenant, &latest)?;
        }
        self.put(&key, Owner::Tenant, subscription)
    }

    fn take_up(&mut self, id: SubscriptionId, deliveries: &[Delivery], cursor: EventSeq) -> Result<()> {
        if !self.has(&keys::subscription(id))? {
            return Err(StorageError::NotFound("subscription"));
        }
        for delivery in deliveries.iter().filter(|delivery| delivery.subscription == id) {
            let key = keys::delivery(id, delivery.id);
            if !self.has(&key)? {
                self.put(&key, Owner::Tenant, delivery)?;
                for index in indexes(delivery) {
                    self.put(&index, Owner::Tenant, &())?;
                }
            }
        }
        let key = keys::subscription_cursor(id);
        let before = self.get_readable(&key)?.unwrap_or_default();
        if cursor > before { self.put(&key, Owner::Tenant, &cursor) } else { Ok(()) }
    }

    fn put_delivery(&mut self, delivery: &Delivery) -> Result<()> {
        let key = keys::delivery(delivery.subscription, delivery.id);
        let before = self.get(&key)?.ok_or(StorageError::NotFound("delivery"))?;
        for index in indexes(&before) {
            self.remove(&index)?;
        }
        for index in indexes(delivery) {
            self.put(&index, Owner::Tenant, &())?;
        }
        self.put(&key, Owner::Tenant, delivery)
    }

    /// Removes the first deliveries of a subscription that is gone; says whether there may be more.
    fn forget_subscription(&mut self, id: SubscriptionId) -> Result<bool> {
        if self.has(&keys::subscription(id))? {
            return Ok(false);
        }
        self.remove(&keys::subscription_cursor(id))?;
        let rows = self.rows(keys::deliveries(id).bytes(), LOG_ROWS)?;
        let more = rows.len() == LOG_ROWS;
        for (key, sealed) in rows {
            let delivery = self.open_record(DELIVERY, &key, &sealed);
            if let Ok(delivery) = delivery {
                for index in indexes(&delivery) {
                    self.remove(&index)?;
                }
            }
            self.remove_row(&key)?;
        }
        Ok(more)
    }

    fn forget_deliveries(
        &mut self,
        state: DeliveryState,
        over: &[(SubscriptionId, DeliveryId)],
    ) -> Result<usize> {
        let mut forgotten = 0;
        for (subscription, id) in over {
            let key = keys::delivery(*subscription, *id);
            let Some(delivery) = self.get_readable(&key)? else { continue };
            // It may have been replayed since it was looked for.
            if delivery.state == state {
                for index in indexes(&delivery) {
                    self.remove(&index)?;
                }
                self.remove(&key)?;
                forgotten += 1;
            }
        }
        Ok(forgotten)
    }
}

impl Space {
    /// Deliveries whose time has come. An index row whose delivery is gone is passed over. Blocking.
    fn due_deliveries(&self, now: Timestamp, limit: usize) -> Result<Vec<Delivery>> {
        let mut due = Vec::new();
        let mut last: Option<::sled::IVec> = None;
        while due.len() < limit {
            let page = last.as_ref().map_or(Page::First, |last| Page::After(last));
            let wanted = limit - due.len();
            let rows = self.rows(DELIVERY_DUE.key().bytes(), page, wanted)?;
            let ended = rows.len() < wanted;
            for (key, _) in &rows {
                if moment_in(key, 1).is_some_and(|at| at > now) {
                    return Ok(due);
                }
                let (Some(subscription), Some(id)) = (id_in(key, 9), id_in(key, 25)) else { continue };
                let key = DELIVERY.key().id(subscription).id(id);
                due.extend(self.get_readable(&key)?);
            }
            last = rows.last().map(|(key, _)| key.clone());
            if ended {
                break;
            }
        }
        Ok(due)
    }

    /// Deliveries that were over long ago, by what they came to. Blocking.
    fn long_over(
        &self,
        state: DeliveryState,
        before: Timestamp,
    ) -> Result<Vec<(SubscriptionId, DeliveryId)>> {
        let mut found = Vec::new();
        for (_, subscription) in self.list(&SUBSCRIPTION.key(), Page::First, usize::MAX)? {
            let id = subscription.id;
            let prefix = keys::deliveries_in(id, state);
            for (key, _) in self.rows(prefix.bytes(), Page::First, LOG_ROWS - found.len())? {
                let Some(delivery) = id_in(&key, prefix.bytes().len()).map(DeliveryId::from_bytes) else {
                    continue;
                };
                // They are in the order of the log: those behind it are younger.
                match self.get_readable(&keys::delivery(id, delivery))? {
                    Some(over) if over.created_at >= before => break,
                    _ => found.push((id, delivery)),
                }
            }
        }
        Ok(found)
    }

    /// Subscriptions that are gone and left deliveries. Seeks from one to the next. Blocking.
    fn forsaken_subscriptions(&self) -> Result<Vec<SubscriptionId>> {
        let mut found = Vec::new();
        let mut last: Option<[u8; 16]> = None;
        loop {
            let above = last.map(|id| [&[DELIVERY.code][..], &id, &[u8::MAX; 17]].concat());
            let page = above.as_deref().map_or(Page::First, Page::After);
            let row = self.rows(DELIVERY.key().bytes(), page, 1)?.pop();
            let Some(id) = row.and_then(|(key, _)| id_in(&key, 1)) else { return Ok(found) };
            let subscription = SubscriptionId::from_bytes(id);
            if !self.has(&keys::subscription(subscription))? {
                found.push(subscription);
            }
            last = Some(id);
        }
    }
}

impl Core {
    async fn forget_subscription(&self, space: &Arc<Space>, id: SubscriptionId) -> Result<()> {
        let forget = move |tx: &mut Tx<'_>| tx.forget_subscription(id);
        while self.writer.write_as(Urgency::Patient, space, forget).await? {}
        Ok(())
    }

    /// Removes what a crash left of subscriptions that were removed, and answers that are a day past.
    pub(super) async fn sweep_hooks(&self, space: &Arc<Space>) -> Result<()> {
        let reader = Arc::clone(space);
        for id in blocking(move || reader.forsaken_subscriptions()).await? {
            self.forget_subscription(space, id).await?;
        }
        let now = self.clock.now();
        let forget = move |tx: &mut Tx<'_>| tx.forget_answers(Some(now));
        while self.writer.write_as(Urgency::Patient, space, forget).await? > 0 {}
        Ok(())
    }
}

#[async_trait]
impl Hooks for SledTenant {
    async fn put_subscription(&self, subscription: Subscription) -> Result<()> {
        self.write(move |tx| tx.put_subscription(&subscription)).await
    }

    async fn subscriptions(&self) -> Result<Vec<Subscription>> {
        let all = self.first(SUBSCRIPTION.key(), usize::MAX).await?;
        Ok(all.into_iter().map(|(_, subscription)| subscription).collect())
    }

    async fn subscription(&self, id: SubscriptionId) -> Result<Option<Subscription>> {
        self.one(&keys::subscription(id))
    }

    async fn remove_subscription(&self, id: SubscriptionId) -> Result<bool> {
        let removed = self.write(move |tx| tx.remove(&keys::subscription(id))).await?;
        self.core.forget_subscription(&self.space, id).await?;
        Ok(removed)
    }

    async fn subscription_cursor(&self, id: SubscriptionId) -> Result<Option<EventSeq>> {
        self.one(&keys::subscription_cursor(id))
    }

    async fn take_up(&self, id: SubscriptionId, deliveries: Vec<Delivery>, cursor: EventSeq) -> Result<()> {
        let take_up = move |tx: &mut Tx<'_>| tx.take_up(id, &deliveries, cursor);
        self.core.writer.write_as(Urgency::Patient, &self.space, take_up).await
    }

    async fn put_delivery(&self, delivery: Delivery) -> Result<()> {
        let put = move |tx: &mut Tx<'_>| tx.put_delivery(&delivery);
        self.core.writer.write_as(Urgency::Patient, &self.space, put).await
    }

    async fn delivery(&self, subscription: SubscriptionId, id: DeliveryId) -> Result<Option<Delivery>> {
        self.one(&keys::delivery(subscription, id))
    }

    async fn deliveries(
        &self,
        subscription: SubscriptionId,
        state: Option<DeliveryState>,
        before: Option<DeliveryId>,
        limit: usize,
    ) -> Result<Vec<Delivery>> {
        let Some(state) = state else {
            let before = before.map(|id| keys::delivery(subscription, id));
            return self.newest(keys::deliveries(subscription), before, limit).await;
        };
        self.scan(move |space| {
            let index = keys::deliveries_in(subscription, state);
            let record = |id| keys::deliveries(subscription).id(id);
            space.through(&index, before.map(DeliveryId::to_bytes), limit, record)
        })
        .await
    }

    async fn due_deliveries(&self, now: Timestamp, limit: usize) -> Result<Vec<Delivery>> {
        self.scan(move |space| space.due_deliveries(now, limit)).await
    }

    async fn forget_deliveries(&self, state: DeliveryState, before: Timestamp) -> Result<usize> {
        if state == DeliveryState::Waiting {
            return Ok(0);
        }
        let over = self.scan(move |space| space.long_over(state, before)).await?;
        if over.is_empty() {
            return Ok(0);
        }
        let forget = move |tx: &mut Tx<'_>| tx.forget_deliveries(state, &over);
        self.core.writer.write_as(Urgency::Patient, &self.space, forget).await
    }
}
