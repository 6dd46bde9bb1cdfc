//! Which records changed since the last backup: their keys, in memory.
//!
//! The writing thread adds the keys of every group after it is durable; a backup takes them. Whoever
//! takes them in the writing thread has exactly those of the groups before, so that a copy of their
//! records is the state of one moment.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ::sled::IVec;

use super::space::{Space, SpaceId};
use super::tx::Overlay;

/// What a key costs beside its bytes, about.
const KEY_OVERHEAD_BYTES: usize = 48;

/// The keys that changed. Remembers nothing until it is told to begin.
#[derive(Default)]
pub(super) struct Changes(Mutex<State>);

#[derive(Default)]
struct State {
    keys: Option<Keys>,
    bytes_max: usize,
    /// How often it began: what was taken before is not put back into what came after.
    age: u64,
}

/// Keys by the tree that they are in.
#[derive(Default)]
struct Keys {
    spaces: HashMap<SpaceId, (Arc<Space>, BTreeSet<IVec>)>,
    bytes: usize,
}

/// Keys that were taken.
pub(crate) struct Taken {
    keys: Keys,
    age: u64,
}

impl Changes {
    /// Remembers what changes from now on, and nothing of before. With more than `bytes_max` of keys it
    /// gives up until it begins again.
    pub(super) fn begin(&self, bytes_max: usize) {
        let mut state = self.lock();
        *state = State { keys: Some(Keys::default()), bytes_max, age: state.age + 1 };
    }

    /// Adds what a group changed, which is durable.
    pub(super) fn record<'a>(&self, group: impl Iterator<Item = &'a (Arc<Space>, Overlay)>) {
        let mut state = self.lock();
        let bytes_max = state.bytes_max;
        let Some(keys) = &mut state.keys else { return };
        for (space, overlay) in group.filter(|(_, overlay)| !overlay.is_empty()) {
            keys.add(space, overlay.keys());
        }
        if keys.bytes > bytes_max {
            tracing::info!("more changed than is kept in mind for a backup: the next one is a base");
            state.keys = None;
        }
    }

    /// Takes what changed since it began or was taken last; nothing when that is not known.
    pub(super) fn take(&self) -> Option<Taken> {
        let mut state = self.lock();
        let keys = std::mem::take(state.keys.as_mut()?);
        Some(Taken { keys, age: state.age })
    }

    /// Puts back what was taken for a backup that failed.
    pub(super) fn put_back(&self, taken: &Taken) {
        let mut state = self.lock();
        let fits = state.age == taken.age;
        if let Some(keys) = state.keys.as_mut().filter(|_| fits) {
            for (space, its) in taken.keys.spaces.values() {
                keys.add(space, its.iter());
            }
        }
    }

    /// Whether it is known what changed.
    pub(super) fn is_known(&self) -> bool {
        self.lock().keys.is_some()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Keys {
    fn add<'a>(&mut self, space: &Arc<Space>, keys: impl Iterator<Item = &'a IVec>) {
        let (_, known) = self.spaces.entry(space.id).or_insert_with(|| (Arc::clone(space), BTreeSet::new()));
        for key in keys {
            if known.insert(key.clone()) {
                self.bytes += key.len() + KEY_OVERHEAD_BYTES;
            }
        }
    }
}

impl Taken {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.keys.spaces.values().map(|(_, keys)| keys.len()).sum()
    }

    /// The keys, tree by tree.
    pub(super) fn spaces(&self) -> impl Iterator<Item = (&Arc<Space>, &BTreeSet<IVec>)> {
        self.keys.spaces.values().map(|(space, keys)| (space, keys))
    }

    /// All of both. What was taken before this is older and of the same age, or is left out.
    pub(crate) fn and(mut self, other: Self) -> Self {
        if self.age != other.age {
            return other;
        }
        for (space, keys) in other.keys.spaces.values() {
            self.keys.add(space, keys.iter());
        }
        self
    }
}
