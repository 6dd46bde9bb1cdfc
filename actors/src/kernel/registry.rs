//! Actors by key: activated when first spoken to, forgotten when they end.

use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use actix::{Actor, Context};
use dashmap::DashMap;
use dashmap::mapref::entry::Entry;

use super::arbiters::Arbiters;
use super::life::{Ended, LifeGuard};
use super::mailbox::{Mailbox, Unstarted};
use super::panics;

/// The limits of a [`Registry`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RegistryLimits {
    /// Actors alive at a time.
    pub actors_max: usize,
    /// Messages that wait or are being handled, per actor.
    pub mailbox_max: u32,
}

/// The live actors of one kind. Clones are the same registry.
///
/// An actor must not hold its own registry: they would keep each other alive. What it needs of it is
/// in its [`LifeGuard`].
pub struct Registry<K, A: Actor> {
    inner: Arc<Inner<K, A>>,
}

struct Inner<K, A: Actor> {
    name: &'static str,
    limits: RegistryLimits,
    arbiters: Arc<Arbiters>,
    slots: DashMap<K, Slot<A>>,
    live: AtomicUsize,
    incarnations: AtomicU64,
    on_end: Box<dyn Fn(Ended<K>) + Send + Sync>,
}

struct Slot<A: Actor> {
    incarnation: u64,
    mailbox: Mailbox<A>,
}

/// No room for another actor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "{actors_max} {name} actors are alive, which is the limit: wait until some are passivated, or raise it"
)]
pub struct RegistryFull {
    /// The kind of actor.
    pub name: &'static str,
    /// The limit.
    pub actors_max: usize,
}

/// What became of a wish to passivate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passivated {
    /// It accepts nothing more, and ends when the last clone of its mailbox is gone.
    Done,
    /// A message waits or is being handled: it stays.
    Busy,
    /// That incarnation is not there any more; a later one was left alone.
    Gone,
}

impl<K, A: Actor> Clone for Registry<K, A> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

impl<K, A> Registry<K, A>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    A: Actor<Context = Context<A>>,
{
    /// A registry of actors called `name` in logs and metrics. `on_end` hears of every end after the
    /// actor has been forgotten here, on the actor's thread: it must be short and must not panic.
    pub fn new(
        name: &'static str,
        limits: RegistryLimits,
        arbiters: Arc<Arbiters>,
        on_end: impl Fn(Ended<K>) + Send + Sync + 'static,
    ) -> Self {
        Self {
            inner: Arc::new(Inner {
                name,
                limits,
                arbiters,
                slots: DashMap::new(),
                live: AtomicUsize::new(0),
                incarnations: AtomicU64::new(0),
                on_end: Box::new(on_end),
            }),
        }
    }

    /// The mailbox of `key`'s actor, if it is alive.
    pub fn get(&self, key: &K) -> Option<Mailbox<A>> {
        let slot = self.inner.slots.get(key)?;
        (!slot.mailbox.is_closed()).then(|| slot.mailbox.clone())
    }

    /// The mailbox of `key`'s actor, which is activated if it is not alive: `make` runs on the key's
    /// arbiter, once however many ask at the same time. The actor may end at any moment, so that the
    /// mailbox can be closed by the time it is used: ask again then.
    ///
    /// # Errors
    /// [`RegistryFull`] when it would be one actor too many.
    pub fn get_or_activate(
        &self,
        key: &K,
        make: impl FnOnce(LifeGuard<K>) -> A + Send + 'static,
    ) -> Result<Mailbox<A>, RegistryFull> {
        if let Some(mailbox) = self.get(key) {
            return Ok(mailbox);
        }
        let (mailbox, unstarted, incarnation) = match self.inner.slots.entry(key.clone()) {
            Entry::Occupied(mut occupied) => {
                if !occupied.get().mailbox.is_closed() {
                    return Ok(occupied.get().mailbox.clone());
                }
                let (slot, unstarted) = self.inner.slot();
                let activated = (slot.mailbox.clone(), unstarted, slot.incarnation);
                occupied.insert(slot);
                activated
            }
            Entry::Vacant(vacant) => {
                self.inner.reserve()?;
                let (slot, unstarted) = self.inner.slot();
                let activated = (slot.mailbox.clone(), unstarted, slot.incarnation);
                vacant.insert(slot);
                activated
            }
        };
        // Outside the map's lock: on an arbiter that has stopped, the end is told right here.
        let inner = Arc::downgrade(&self.inner);
        let on_end = move |ended| {
            if let Some(inner) = inner.upgrade() {
                inner.ended(ended);
            }
        };
        unstarted.start(&self.inner.arbiters.of(key), key.clone(), incarnation, on_end, make);
        Ok(mailbox)
    }

    /// Shuts and forgets `key`'s actor if it is still this `incarnation` and no message is with it.
    /// It ends when the last clone of its mailbox is gone, so this is for actors that do nothing
    /// unasked; one with timers of its own retires by [`LifeGuard::retire`].
    pub fn passivate(&self, key: &K, incarnation: u64) -> Passivated {
        let mut outcome = Passivated::Gone;
        let removed = self.inner.slots.remove_if(key, |_, slot| {
            if slot.incarnation != incarnation {
                return false;
            }
            let retired = slot.mailbox.retire();
            outcome = if retired { Passivated::Done } else { Passivated::Busy };
            retired
        });
        if removed.is_some() {
            self.inner.release();
        }
        outcome
    }

    /// The incarnation of `key`'s actor, if it is alive.
    pub fn incarnation(&self, key: &K) -> Option<u64> {
        let slot = self.inner.slots.get(key)?;
        (!slot.mailbox.is_closed()).then_some(slot.incarnation)
    }

    /// The keys of the actors here, as of some moment during the call.
    pub fn keys(&self) -> Vec<K> {
        self.inner.slots.iter().map(|slot| slot.key().clone()).collect()
    }

    /// The threads that these actors run on.
    pub fn arbiters(&self) -> &Arbiters {
        &self.inner.arbiters
    }

    /// How many actors are here.
    pub fn len(&self) -> usize {
        self.inner.live.load(Ordering::Relaxed)
    }

    /// Whether none is here.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<K, A> Inner<K, A>
where
    K: Hash + Eq,
    A: Actor<Context = Context<A>>,
{
    fn slot(&self) -> (Slot<A>, Unstarted<A>) {
        let (mailbox, unstarted) = Mailbox::unstarted(self.limits.mailbox_max);
        let incarnation = self.incarnations.fetch_add(1, Ordering::Relaxed) + 1;
        (Slot { incarnation, mailbox }, unstarted)
    }

    fn reserve(&self) -> Result<(), RegistryFull> {
        let actors_max = self.limits.actors_max;
        self.live
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |live| {
                (live < actors_max).then_some(live + 1)
            })
            .map_err(|_| RegistryFull { name: self.name, actors_max })?;
        metrics::gauge!("iassistance_actors_live", "kind" => self.name).increment(1.0);
        Ok(())
    }

    fn release(&self) {
        self.live.fetch_sub(1, Ordering::Relaxed);
        metrics::gauge!("iassistance_actors_live", "kind" => self.name).decrement(1.0);
    }

    fn ended(&self, ended: Ended<K>) {
        let same = |_: &K, slot: &Slot<A>| slot.incarnation == ended.incarnation;
        if self.slots.remove_if(&ended.key, same).is_some() {
            self.release();
        }
        if ended.panicked {
            panics::note(self.name);
        }
        (self.on_end)(ended);
    }
}
