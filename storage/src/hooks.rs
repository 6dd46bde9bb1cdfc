//! What is kept of a tenant's outgoing webhooks.

use async_trait::async_trait;

use iassistance_domain::Timestamp;
use iassistance_domain::event::EventSeq;
use iassistance_domain::id::{DeliveryId, SubscriptionId};
use iassistance_domain::subscription::{Delivery, DeliveryState, Subscription};

use crate::error::StorageError;

type Result<T> = std::result::Result<T, StorageError>;

/// A tenant's outgoing webhooks. Every command is durable when it returns.
#[async_trait]
pub trait Hooks: Send + Sync {
    /// Creates or replaces a subscription. A new one begins after the latest event there is. `Full` when
    /// there are 50 others.
    async fn put_subscription(&self, subscription: Subscription) -> Result<()>;
    /// All subscriptions, oldest first.
    async fn subscriptions(&self) -> Result<Vec<Subscription>>;
    /// One subscription.
    async fn subscription(&self, id: SubscriptionId) -> Result<Option<Subscription>>;
    /// Removes a subscription with its deliveries; says whether it was there.
    async fn remove_subscription(&self, id: SubscriptionId) -> Result<bool>;

    /// The last event that was taken up for a subscription.
    async fn subscription_cursor(&self, id: SubscriptionId) -> Result<Option<EventSeq>>;
    /// Takes events up, up to and with `cursor`, in one write: these are their deliveries. One that is there
    /// already stays as it is, and the cursor never goes back. `NotFound` when the subscription is gone.
    async fn take_up(&self, id: SubscriptionId, deliveries: Vec<Delivery>, cursor: EventSeq) -> Result<()>;
    /// Replaces a delivery. `NotFound` when it is not there any more.
    async fn put_delivery(&self, delivery: Delivery) -> Result<()>;
    /// One delivery.
    async fn delivery(&self, subscription: SubscriptionId, id: DeliveryId) -> Result<Option<Delivery>>;
    /// Deliveries of a subscription, those of the newest events first, before `before` (without itself); in
    /// one state alone where one is given.
    async fn deliveries(
        &self,
        subscription: SubscriptionId,
        state: Option<DeliveryState>,
        before: Option<DeliveryId>,
        limit: usize,
    ) -> Result<Vec<Delivery>>;
    /// Deliveries that wait and whose time has come, the longest due first.
    async fn due_deliveries(&self, now: Timestamp, limit: usize) -> Result<Vec<Delivery>>;
    /// Removes deliveries in this state, of events that were taken up before this moment, at most 1,000; says
    /// how many. Those that wait are not removed: nothing happens.
    async fn forget_deliveries(&self, state: DeliveryState, before: Timestamp) -> Result<usize>;
}
