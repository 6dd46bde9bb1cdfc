//! How many turns may wait for a model at once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use iassistance_domain::id::TenantId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Slots for turns, so many in all and so many per tenant. Who waits is served in order; a tenant
/// waits for its own limit first, so that however much it asks, it has no more than that many turns
/// in the common queue.
#[derive(Clone)]
pub struct Slots {
    turns_per_tenant_max: usize,
    all: Arc<Semaphore>,
    tenants: Arc<Mutex<HashMap<TenantId, Share>>>,
}

/// A tenant's own slots, as long as anybody has or wants one.
struct Share {
    slots: Arc<Semaphore>,
    users: usize,
}

/// A slot. It is free again when this is dropped.
#[must_use = "the slot is free again when this is dropped"]
pub struct SlotGuard {
    // Dropped in this order: the tenant's share is put away last.
    _all: Option<OwnedSemaphorePermit>,
    _own: Option<OwnedSemaphorePermit>,
    _use: Use,
}

/// Keeps a tenant's share in the map.
struct Use {
    tenant: TenantId,
    tenants: Arc<Mutex<HashMap<TenantId, Share>>>,
}

impl Drop for Use {
    fn drop(&mut self) {
        let mut tenants = lock(&self.tenants);
        if let Some(share) = tenants.get_mut(&self.tenant) {
            share.users -= 1;
            if share.users == 0 {
                tenants.remove(&self.tenant);
            }
        }
    }
}

impl Slots {
    /// `turns_max` slots in all and `turns_per_tenant_max` for each tenant; at least one of each.
    pub fn new(turns_max: usize, turns_per_tenant_max: usize) -> Self {
        let bounded = |slots: usize| slots.clamp(1, Semaphore::MAX_PERMITS);
        Self {
            turns_per_tenant_max: bounded(turns_per_tenant_max),
            all: Arc::new(Semaphore::new(bounded(turns_max))),
            tenants: Arc::default(),
        }
    }

    /// Waits for a slot. Dropping the future gives up the place in the queue.
    pub async fn acquire(&self, tenant: TenantId) -> SlotGuard {
        let (slots, of_use) = self.enter(tenant);
        // Only a closed semaphore refuses, and nobody closes these.
        let own = slots.acquire_owned().await.ok();
        let all = Arc::clone(&self.all).acquire_owned().await.ok();
        SlotGuard { _all: all, _own: own, _use: of_use }
    }

    /// How many slots are taken.
    pub fn taken(&self) -> usize {
        let tenants = lock(&self.tenants);
        tenants.values().map(|share| self.turns_per_tenant_max - share.slots.available_permits()).sum()
    }

    /// How many tenants have or want a slot.
    pub fn tenants(&self) -> usize {
        lock(&self.tenants).len()
    }

    fn enter(&self, tenant: TenantId) -> (Arc<Semaphore>, Use) {
        let mut tenants = lock(&self.tenants);
        let share = tenants.entry(tenant).or_insert_with(|| Share {
            slots: Arc::new(Semaphore::new(self.turns_per_tenant_max)),
            users: 0,
        });
        share.users += 1;
        (Arc::clone(&share.slots), Use { tenant, tenants: Arc::clone(&self.tenants) })
    }
}

fn lock(tenants: &Mutex<HashMap<TenantId, Share>>) -> MutexGuard<'_, HashMap<TenantId, Share>> {
    tenants.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn tenant(number: u8) -> TenantId {
        TenantId::from_bytes([number; 16])
    }

    #[test]
    fn a_tenant_has_no_more_than_its_own_and_none_has_more_than_all() {
        let slots = Slots::new(3, 2);
        let first = slots.acquire(tenant(1)).now_or_never();
        let second = slots.acquire(tenant(1)).now_or_never();
        assert!(first.is_some() && second.is_some());
        let mut third = Box::pin(slots.acquire(tenant(1)));
        assert!(third.as_mut().now_or_never().is_none(), "the tenant's own limit");
        let other = slots.acquire(tenant(2)).now_or_never();
        assert!(other.is_some(), "another tenant is not held up by the first one's queue");
        assert!(slots.acquire(tenant(3)).now_or_never().is_none(), "the limit in all");
        drop(second);
        assert!(third.as_mut().now_or_never().is_some());
    }

    #[test]
    fn those_who_wait_are_served_in_order() {
        let slots = Slots::new(1, 1);
        let held = slots.acquire(tenant(1)).now_or_never();
        let (mut second, mut third) =
            (Box::pin(slots.acquire(tenant(2))), Box::pin(slots.acquire(tenant(3))));
        assert!(second.as_mut().now_or_never().is_none());
        assert!(third.as_mut().now_or_never().is_none());
        drop(held);
        assert!(third.as_mut().now_or_never().is_none());
        assert!(second.as_mut().now_or_never().is_some());
        assert!(third.as_mut().now_or_never().is_some());
    }

    #[test]
    fn nothing_is_kept_of_a_tenant_that_has_none_and_wants_none() {
        let slots = Slots::new(1, 1);
        let held = slots.acquire(tenant(1)).now_or_never();
        let mut given_up = Box::pin(slots.acquire(tenant(2)));
        assert!(given_up.as_mut().now_or_never().is_none());
        assert_eq!(slots.tenants(), 2);
        drop(given_up);
        drop(held);
        assert_eq!((slots.tenants(), slots.taken()), (0, 0));
    }
}
