//! What is remembered for a while and within bounds: live tickets, answers to repeated requests.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::Hash;

use iassistance_domain::Timestamp;

/// How much is remembered, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// How long an entry is good for, milliseconds.
    pub keep_ms: u64,
    /// Entries in all.
    pub entries_max: usize,
    /// Entries of one owner: nobody can push out what belongs to another before this is reached.
    pub per_owner_max: usize,
}

/// A map whose entries end after a fixed time. When it is full, the oldest entry goes first: the
/// owner's own once they have their share.
pub struct Recent<O, K, V> {
    bounds: Bounds,
    entries: HashMap<K, Entry<O, V>>,
    order: BTreeMap<u64, (Timestamp, K)>,
    owned: HashMap<O, BTreeSet<u64>>,
    next: u64,
}

struct Entry<O, V> {
    number: u64,
    ends_at: Timestamp,
    owner: O,
    value: V,
}

impl<O: Copy + Eq + Hash, K: Clone + Eq + Hash, V> Recent<O, K, V> {
    /// Remembers nothing yet.
    pub fn new(bounds: Bounds) -> Self {
        Self { bounds, entries: HashMap::new(), order: BTreeMap::new(), owned: HashMap::new(), next: 0 }
    }

    /// Remembers `value` from `now` on, in the place of what was there; says when it ends.
    pub fn insert(&mut self, now: Timestamp, owner: O, key: K, value: V) -> Timestamp {
        self.remove(&key);
        self.make_room(now, &owner);
        let (number, ends_at) = (self.next, now.plus_millis(self.bounds.keep_ms));
        self.next += 1;
        self.order.insert(number, (ends_at, key.clone()));
        self.owned.entry(owner).or_default().insert(number);
        self.entries.insert(key, Entry { number, ends_at, owner, value });
        ends_at
    }

    /// What is remembered under `key` and has not ended.
    pub fn get_mut(&mut self, now: Timestamp, key: &K) -> Option<&mut V> {
        self.entries.get_mut(key).filter(|entry| now < entry.ends_at).map(|entry| &mut entry.value)
    }

    /// Forgets what is under `key`; gives it back if it had not ended.
    pub fn take(&mut self, now: Timestamp, key: &K) -> Option<V> {
        self.remove(key).filter(|entry| now < entry.ends_at).map(|entry| entry.value)
    }

    /// How many entries are kept, ended ones among them.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing is kept.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn make_room(&mut self, now: Timestamp, owner: &O) {
        while let Some((_, key)) = self
            .order
            .first_key_value()
            .map(|(_, oldest)| oldest.clone())
            .filter(|(ends_at, _)| *ends_at <= now || self.entries.len() >= self.bounds.entries_max)
        {
            self.remove(&key);
        }
        while let Some(oldest) = self
            .owned
            .get(owner)
            .and_then(|mine| mine.first().copied().filter(|_| mine.len() >= self.bounds.per_owner_max))
        {
            match self.order.get(&oldest).map(|(_, key)| key.clone()) {
                Some(key) => drop(self.remove(&key)),
                None => break,
            }
        }
    }

    fn remove(&mut self, key: &K) -> Option<Entry<O, V>> {
        let entry = self.entries.remove(key)?;
        self.order.remove(&entry.number);
        if let Some(mine) = self.owned.get_mut(&entry.owner) {
            mine.remove(&entry.number);
            if mine.is_empty() {
                self.owned.remove(&entry.owner);
            }
        }
        Some(entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recent(entries_max: usize, per_owner_max: usize) -> Recent<u8, u8, &'static str> {
        Recent::new(Bounds { keep_ms: 100, entries_max, per_owner_max })
    }

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn an_entry_ends_to_the_millisecond() {
        let mut recent = recent(10, 10);
        assert_eq!(recent.insert(at(0), 1, 1, "a"), at(100));
        assert_eq!(recent.get_mut(at(99), &1).copied(), Some("a"));
        assert_eq!(recent.get_mut(at(100), &1), None);
        assert_eq!(recent.take(at(100), &1), None);
        assert!(recent.is_empty());
    }

    #[test]
    fn one_owner_pushes_out_only_their_own() {
        let mut recent = recent(10, 2);
        recent.insert(at(0), 1, 10, "other");
        for key in 20..25 {
            recent.insert(at(1), 2, key, "mine");
        }
        assert_eq!(recent.len(), 3);
        assert!(recent.get_mut(at(2), &10).is_some());
        assert!(recent.get_mut(at(2), &22).is_none());
        assert!(recent.get_mut(at(2), &23).is_some() && recent.get_mut(at(2), &24).is_some());
    }

    #[test]
    fn the_whole_is_bounded_and_what_ended_goes_first() {
        let mut recent = recent(3, 3);
        for key in 0..5 {
            recent.insert(at(i64::from(key)), key, key, "x");
        }
        assert_eq!(recent.len(), 3);
        recent.insert(at(150), 9, 9, "later");
        assert_eq!(recent.len(), 1);
        assert_eq!((recent.order.len(), recent.owned.len()), (1, 1));
    }

    #[test]
    fn the_same_key_is_kept_once() {
        let mut recent = recent(3, 3);
        recent.insert(at(0), 1, 1, "a");
        recent.insert(at(50), 1, 1, "b");
        assert_eq!((recent.len(), recent.order.len()), (1, 1));
        assert_eq!(recent.take(at(120), &1), Some("b"));
    }
}
