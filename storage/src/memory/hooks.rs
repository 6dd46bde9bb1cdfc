//! Outgoing webhooks.

use std::collections::BTreeMap;

use async_trait::async_trait;

use iassistance_domain::Timestamp;
use iassistance_domain::event::EventSeq;
use iassistance_domain::id::{ConversationId, DeliveryId, SubscriptionId};
use iassistance_domain::subscription::{Delivery, DeliveryState, Subscription};

use super::Result;
use super::handle::{MemoryTenant, newest};
use crate::error::StorageError;
use crate::hooks::Hooks;
use crate::keeping::Swept;
use crate::limits::{LOG_ROWS, SUBSCRIPTIONS_MAX};

#[derive(Default)]
pub(super) struct HooksData {
    subscriptions: BTreeMap<SubscriptionId, (Subscription, EventSeq)>,
    deliveries: BTreeMap<(SubscriptionId, DeliveryId), Delivery>,
}

impl HooksData {
    /// Forgets the deliveries that wait or were given up of these conversations; says how many.
    pub(super) fn forget_of(&mut self, conversations: &[ConversationId]) -> u64 {
        let before = self.deliveries.len();
        self.deliveries.retain(|_, delivery| {
            delivery.state == DeliveryState::Delivered
                || !delivery.conversation.is_some_and(|id| conversations.contains(&id))
        });
        (before - self.deliveries.len()) as u64
    }

    /// Forgets what was taken up before a moment.
    pub(super) fn sweep(
        &mut self,
        before: Timestamp,
        is_held: impl Fn(Option<ConversationId>) -> bool,
    ) -> Swept {
        let mut swept = Swept::default();
        self.deliveries
            .retain(|_, delivery| swept.keeps(delivery.created_at < before, is_held(delivery.conversation)));
        swept
    }
}

#[async_trait]
impl Hooks for MemoryTenant {
    async fn put_subscription(&self, subscription: Subscription) -> Result<()> {
        self.with(|data| {
            let latest = *data.latest.borrow();
            let known = &mut data.hooks.subscriptions;
            if let Some((stored, _)) = known.get_mut(&subscription.id) {
                *stored = subscription;
            } else if known.len() >= SUBSCRIPTIONS_MAX {
                return Err(StorageError::Full { what: "subscriptions", most: SUBSCRIPTIONS_MAX });
            } else {
                known.insert(subscription.id, (subscription, latest));
            }
            Ok(())
        })?
    }

    async fn subscriptions(&self) -> Result<Vec<Subscription>> {
        self.with(|data| data.hooks.subscriptions.values().map(|(it, _)| it.clone()).collect())
    }

    async fn subscription(&self, id: SubscriptionId) -> Result<Option<Subscription>> {
        self.with(|data| data.hooks.subscriptions.get(&id).map(|(it, _)| it.clone()))
    }

    async fn remove_subscription(&self, id: SubscriptionId) -> Result<bool> {
        self.with(|data| {
            data.hooks.deliveries.retain(|(subscription, _), _| *subscription != id);
            data.hooks.subscriptions.remove(&id).is_some()
        })
    }

    async fn subscription_cursor(&self, id: SubscriptionId) -> Result<Option<EventSeq>> {
        self.with(|data| data.hooks.subscriptions.get(&id).map(|(_, cursor)| *cursor))
    }

    async fn take_up(&self, id: SubscriptionId, deliveries: Vec<Delivery>, cursor: EventSeq) -> Result<()> {
        self.with(|data| {
            let hooks = &mut data.hooks;
            let (_, known) =
                hooks.subscriptions.get_mut(&id).ok_or(StorageError::NotFound("subscription"))?;
            *known = cursor.max(*known);
            for delivery in deliveries.into_iter().filter(|delivery| delivery.subscription == id) {
                hooks.deliveries.entry((id, delivery.id)).or_insert(delivery);
            }
            Ok(())
        })?
    }

    async fn put_delivery(&self, delivery: Delivery) -> Result<()> {
        self.with(|data| {
            let stored = data.hooks.deliveries.get_mut(&(delivery.subscription, delivery.id));
            *stored.ok_or(StorageError::NotFound("delivery"))? = delivery;
            Ok(())
        })?
    }

    async fn delivery(&self, subscription: SubscriptionId, id: DeliveryId) -> Result<Option<Delivery>> {
        self.with(|data| data.hooks.deliveries.get(&(subscription, id)).cloned())
    }

    async fn deliveries(
        &self,
        subscription: SubscriptionId,
        state: Option<DeliveryState>,
        before: Option<DeliveryId>,
        limit: usize,
    ) -> Result<Vec<Delivery>> {
        self.with(|data| {
            let wanted = data.hooks.deliveries.iter().filter(|((of, _), delivery)| {
                *of == subscription && state.is_none_or(|state| delivery.state == state)
            });
            newest(wanted.map(|((_, id), delivery)| (id, delivery)), before.as_ref().as_ref(), limit)
        })
    }

    async fn due_deliveries(&self, now: Timestamp, limit: usize) -> Result<Vec<Delivery>> {
        self.with(|data| {
            let is_due = |it: &&Delivery| it.state == DeliveryState::Waiting && it.next_at <= now;
            let mut due: Vec<_> = data.hooks.deliveries.values().filter(is_due).cloned().collect();
            due.sort_by_key(|it| (it.next_at, it.subscription, it.id));
            due.truncate(limit);
            due
        })
    }

    async fn forget_deliveries(&self, state: DeliveryState, before: Timestamp) -> Result<usize> {
        if state == DeliveryState::Waiting {
            return Ok(0);
        }
        self.with(|data| {
            let deliveries = &mut data.hooks.deliveries;
            let over = |it: &Delivery| it.state == state && it.created_at < before;
            let forgotten: Vec<_> =
                deliveries.iter().filter(|(_, it)| over(it)).map(|(key, _)| *key).take(LOG_ROWS).collect();
            deliveries.retain(|key, _| !forgotten.contains(key));
            forgotten.len()
        })
    }
}
