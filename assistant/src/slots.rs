//! How much may be under way at once: so many in all and so many per tenant.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use iassistance_domain::id::TenantId;
use tokio::sync::oneshot;

/// Slots for turns, or for sends. A tenant has no more than its own number of them. Where all are taken,
/// the next that is free goes to the tenant that has fewest, and among equals to the one that has waited
/// longest; within a tenant it goes in order. So however many tenants ask for all they may have, one that
/// asks for little is next.
#[derive(Clone)]
pub struct Slots {
    state: Arc<Mutex<State>>,
}

/// A slot. It is free again when this is dropped.
#[must_use = "the slot is free again when this is dropped"]
pub struct SlotGuard {
    tenant: TenantId,
    state: Arc<Mutex<State>>,
}

struct State {
    all_max: usize,
    per_tenant_max: usize,
    taken: usize,
    numbers: u64,
    /// As long as they have or want a slot.
    tenants: HashMap<TenantId, Share>,
    /// The tenants that may have one more: by how many they have, then by when they came to want it.
    next: BTreeSet<(usize, u64, TenantId)>,
}

#[derive(Default)]
struct Share {
    taken: usize,
    /// Who waits, by the number given when they came.
    waiting: BTreeMap<u64, oneshot::Sender<SlotGuard>>,
    /// Its place in `next`.
    place: Option<(usize, u64)>,
}

/// A place in the queue, given up when dropped.
struct Place {
    tenant: TenantId,
    number: u64,
    state: Arc<Mutex<State>>,
}

impl Slots {
    /// `all_max` slots in all and `per_tenant_max` for each tenant; at least one of each.
    pub fn new(all_max: usize, per_tenant_max: usize) -> Self {
        let state = State {
            all_max: all_max.max(1),
            per_tenant_max: per_tenant_max.max(1),
            taken: 0,
            numbers: 0,
            tenants: HashMap::new(),
            next: BTreeSet::new(),
        };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// Waits for a slot. Dropping the future gives up the place in the queue.
    pub async fn acquire(&self, tenant: TenantId) -> SlotGuard {
        let (_place, granted) = self.enter(tenant);
        give_out(&self.state);
        match granted.await {
            Ok(slot) => slot,
            // A sender goes only by sending, or with its place, which is still here.
            Err(_) => std::future::pending().await,
        }
    }

    /// How many slots are taken.
    pub fn taken(&self) -> usize {
        lock(&self.state).taken
    }

    /// How many tenants have or want a slot.
    pub fn tenants(&self) -> usize {
        lock(&self.state).tenants.len()
    }

    fn enter(&self, tenant: TenantId) -> (Place, oneshot::Receiver<SlotGuard>) {
        let (sender, granted) = oneshot::channel();
        let mut state = lock(&self.state);
        state.numbers += 1;
        let number = state.numbers;
        state.tenants.entry(tenant).or_default().waiting.insert(number, sender);
        state.stand(tenant);
        (Place { tenant, number, state: Arc::clone(&self.state) }, granted)
    }
}

impl State {
    /// Puts a tenant where it belongs among those who may have one more.
    fn stand(&mut self, tenant: TenantId) {
        let Some(share) = self.tenants.get_mut(&tenant) else { return };
        let first = share.waiting.keys().next().copied();
        let place = first.filter(|_| share.taken < self.per_tenant_max).map(|first| (share.taken, first));
        if let Some((taken, first)) = std::mem::replace(&mut share.place, place) {
            self.next.remove(&(taken, first, tenant));
        }
        if let Some((taken, first)) = place {
            self.next.insert((taken, first, tenant));
        } else if share.taken == 0 && share.waiting.is_empty() {
            self.tenants.remove(&tenant);
        }
    }

    /// Takes a slot for whose turn it is, if one is free and anybody waits.
    fn grant(&mut self) -> Option<(TenantId, oneshot::Sender<SlotGuard>)> {
        if self.taken >= self.all_max {
            return None;
        }
        let (_, _, tenant) = *self.next.first()?;
        let share = self.tenants.get_mut(&tenant)?;
        let (_, waiter) = share.waiting.pop_first()?;
        share.taken += 1;
        self.taken += 1;
        self.stand(tenant);
        Some((tenant, waiter))
    }
}

/// Gives free slots to those whose turn it is.
fn give_out(state: &Arc<Mutex<State>>) {
    loop {
        // Sent without the lock: who has gone meanwhile gives the slot back at once.
        let Some((tenant, waiter)) = lock(state).grant() else { return };
        drop(waiter.send(SlotGuard { tenant, state: Arc::clone(state) }));
    }
}

impl Drop for SlotGuard {
    fn drop(&mut self) {
        let mut state = lock(&self.state);
        state.taken -= 1;
        if let Some(share) = state.tenants.get_mut(&self.tenant) {
            share.taken -= 1;
        }
        state.stand(self.tenant);
        drop(state);
        give_out(&self.state);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = lock(&self.state);
        if let Some(share) = state.tenants.get_mut(&self.tenant) {
            share.waiting.remove(&self.number);
        }
        state.stand(self.tenant);
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
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
    fn who_asks_for_little_is_next_however_many_ask_for_all() {
        let slots = Slots::new(8, 4);
        let mut held: Vec<_> =
            (0..8).filter_map(|n| slots.acquire(tenant(1 + n % 2)).now_or_never()).collect();
        assert_eq!((held.len(), slots.taken()), (8, 8));
        let mut crowd: Vec<_> = (0..250).map(|n| Box::pin(slots.acquire(tenant(1 + n % 3)))).collect();
        assert!(crowd.iter_mut().all(|waiter| waiter.as_mut().now_or_never().is_none()));
        let mut late = Box::pin(slots.acquire(tenant(9)));
        assert!(late.as_mut().now_or_never().is_none());
        // The first free one goes to the third tenant, which has none and came before; the next to the last.
        held.pop();
        assert!(late.as_mut().now_or_never().is_none());
        held.pop();
        assert!(late.as_mut().now_or_never().is_some(), "behind 250 that wait, it is the second to go");
    }

    #[test]
    fn a_slot_for_who_has_gone_goes_on_to_the_next() {
        let slots = Slots::new(1, 1);
        let held = slots.acquire(tenant(1)).now_or_never();
        let (mut gone, mut next) = (Box::pin(slots.acquire(tenant(2))), Box::pin(slots.acquire(tenant(3))));
        assert!(gone.as_mut().now_or_never().is_none() && next.as_mut().now_or_never().is_none());
        drop(held);
        // It was given the slot and never looked.
        assert_eq!(slots.taken(), 1);
        drop(gone);
        assert!(next.as_mut().now_or_never().is_some());
        assert_eq!((slots.tenants(), slots.taken()), (0, 0));
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
