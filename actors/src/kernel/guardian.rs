//! Whether an actor that panicked is started again: a decision, without a runtime.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::Arc;

use iassistance_domain::{Entropy, Timestamp};

/// How often and how fast actors are restarted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestartPolicy {
    /// Restarts within [`RestartPolicy::window_ms`]; one panic more is quarantine.
    pub restarts_max: u32,
    /// The window, in milliseconds.
    pub window_ms: u64,
    /// The wait before the first restart, in milliseconds; doubles with each further panic in the
    /// window. Half of a wait is chance, so that many do not restart at once.
    pub backoff_min_ms: u64,
    /// The longest wait, in milliseconds.
    pub backoff_max_ms: u64,
    /// How many keys are remembered. Beyond it the one is forgotten whose panic is longest ago, those
    /// in quarantine last.
    pub keys_max: usize,
}

/// What is to be done about a panic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Start it again after this many milliseconds.
    Restart {
        /// The wait, in milliseconds.
        after_ms: u64,
    },
    /// Do not start it again: it panics too often. Write the dead letter and the event.
    Quarantine,
}

/// Whether a key may be activated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Yes.
    Free,
    /// Not before this moment: it has just panicked.
    Waiting {
        /// When it may.
        until: Timestamp,
    },
    /// Not until somebody releases it.
    Quarantined,
}

/// Remembers panics by key and decides.
pub struct Guardian<K> {
    policy: RestartPolicy,
    entropy: Arc<dyn Entropy>,
    records: HashMap<K, Record>,
}

#[derive(Default)]
struct Record {
    // At most `restarts_max` + 1, the oldest first.
    panics: VecDeque<Timestamp>,
    standing: Option<Standing>,
}

impl Record {
    fn is_quarantined(&self) -> bool {
        self.standing == Some(Standing::Quarantined)
    }
}

impl<K: Hash + Eq + Clone> Guardian<K> {
    /// A guardian that has seen nothing yet.
    pub fn new(policy: RestartPolicy, entropy: Arc<dyn Entropy>) -> Self {
        Self { policy, entropy, records: HashMap::new() }
    }

    /// `key`'s actor panicked at `now`: what is to be done.
    pub fn panicked(&mut self, key: &K, now: Timestamp) -> Verdict {
        if !self.records.contains_key(key) {
            self.make_room(now);
        }
        let window_start = now.minus_millis(self.policy.window_ms);
        let record = self.records.entry(key.clone()).or_default();
        if record.is_quarantined() {
            return Verdict::Quarantine;
        }
        record.panics.retain(|at| *at > window_start);
        record.panics.push_back(now);
        let panics = u32::try_from(record.panics.len()).unwrap_or(u32::MAX);
        if panics > self.policy.restarts_max {
            record.standing = Some(Standing::Quarantined);
            return Verdict::Quarantine;
        }
        let after_ms = backoff_ms(&self.policy, panics, self.entropy.as_ref());
        record.standing = Some(Standing::Waiting { until: now.plus_millis(after_ms) });
        Verdict::Restart { after_ms }
    }

    /// Whether `key` may be activated at `now`: also when something else than the restart asks for it.
    pub fn standing(&self, key: &K, now: Timestamp) -> Standing {
        match self.records.get(key).and_then(|record| record.standing) {
            Some(Standing::Waiting { until }) if until <= now => Standing::Free,
            Some(standing) => standing,
            None => Standing::Free,
        }
    }

    /// Puts `key` in quarantine without a panic: what was in force before the process started.
    pub fn quarantine(&mut self, key: &K, now: Timestamp) {
        if !self.records.contains_key(key) {
            self.make_room(now);
        }
        let record = self.records.entry(key.clone()).or_default();
        record.standing = Some(Standing::Quarantined);
        record.panics.push_back(now);
        record.panics.truncate(self.policy.restarts_max as usize + 1);
    }

    /// Forgets what is known of `key`: an operator releases it. Says whether it was in quarantine.
    pub fn release(&mut self, key: &K) -> bool {
        self.records.remove(key).is_some_and(|record| record.is_quarantined())
    }

    /// How many keys are remembered.
    pub fn remembered(&self) -> usize {
        self.records.len()
    }

    /// Leaves room for one more key.
    fn make_room(&mut self, now: Timestamp) {
        if self.records.len() < self.policy.keys_max {
            return;
        }
        let window_start = now.minus_millis(self.policy.window_ms);
        self.records.retain(|_, record| {
            record.is_quarantined() || record.panics.back().is_some_and(|last| *last > window_start)
        });
        while !self.records.is_empty() && self.records.len() >= self.policy.keys_max {
            let first_to_go = self
                .records
                .iter()
                .min_by_key(|(_, record)| (record.is_quarantined(), record.panics.back().copied()))
                .map(|(key, _)| key.clone());
            if let Some(key) = first_to_go {
                self.records.remove(&key);
            }
        }
    }
}

/// The wait before restart number `restart` (from 1): doubling, with the upper half by chance.
fn backoff_ms(policy: &RestartPolicy, restart: u32, entropy: &dyn Entropy) -> u64 {
    let doublings = restart.saturating_sub(1).min(63);
    let whole = policy.backoff_min_ms.saturating_mul(1 << doublings).min(policy.backoff_max_ms);
    let half = whole / 2;
    whole - half + entropy.up_to(half)
}

#[cfg(test)]
mod tests {
    use iassistance_domain::SeededEntropy;

    use super::*;

    const POLICY: RestartPolicy = RestartPolicy {
        restarts_max: 3,
        window_ms: 60_000,
        backoff_min_ms: 100,
        backoff_max_ms: 300,
        keys_max: 2,
    };

    fn guardian(policy: RestartPolicy) -> Guardian<u32> {
        Guardian::new(policy, Arc::new(SeededEntropy::new(1)))
    }

    fn after_ms(verdict: Verdict) -> u64 {
        match verdict {
            Verdict::Restart { after_ms } => after_ms,
            Verdict::Quarantine => panic!("quarantined"),
        }
    }

    #[test]
    fn one_panic_more_than_the_limit_is_quarantine_until_released() {
        let mut guardian = guardian(POLICY);
        let now = Timestamp::from_secs(1_000);
        for _ in 0..3 {
            assert_ne!(guardian.panicked(&1, now), Verdict::Quarantine);
        }
        assert_eq!(guardian.panicked(&1, now), Verdict::Quarantine);
        assert_eq!(guardian.standing(&1, now.plus_millis(1_000_000)), Standing::Quarantined);
        assert_eq!(guardian.panicked(&1, now.plus_millis(1_000_000)), Verdict::Quarantine);
        assert_eq!(guardian.standing(&2, now), Standing::Free, "one key's panics touch no other");

        assert!(guardian.release(&1));
        assert_eq!(guardian.standing(&1, now), Standing::Free);
        assert_ne!(guardian.panicked(&1, now), Verdict::Quarantine);
    }

    #[test]
    fn panics_outside_the_window_do_not_count() {
        let mut guardian = guardian(POLICY);
        let mut now = Timestamp::EPOCH;
        for _ in 0..20 {
            assert!(after_ms(guardian.panicked(&1, now)) <= 100, "each is the first in its window");
            now = now.plus_millis(60_000);
        }
    }

    #[test]
    fn the_wait_doubles_to_its_maximum_and_half_of_it_is_chance() {
        let mut guardian = guardian(RestartPolicy { restarts_max: 200, ..POLICY });
        let now = Timestamp::EPOCH;
        let waits: Vec<u64> = (0..100).map(|_| after_ms(guardian.panicked(&1, now))).collect();
        assert!((50..=100).contains(&waits[0]));
        assert!((100..=200).contains(&waits[1]));
        assert!(waits[2..].iter().all(|wait| (150..=300).contains(wait)));
        assert!(waits[2..].iter().any(|wait| *wait != waits[2]));
    }

    #[test]
    fn a_key_may_not_be_activated_while_it_waits() {
        let mut guardian = guardian(POLICY);
        let now = Timestamp::from_secs(5);
        let until = now.plus_millis(after_ms(guardian.panicked(&1, now)));
        assert_eq!(guardian.standing(&1, now), Standing::Waiting { until });
        assert_eq!(guardian.standing(&1, until), Standing::Free);
    }

    #[test]
    fn memory_is_bounded_and_quarantine_is_forgotten_last() {
        let mut guardian = guardian(POLICY);
        let now = Timestamp::from_secs(5);
        guardian.quarantine(&0, now);
        for key in 1..1_000 {
            guardian.panicked(&key, now.plus_millis(u64::from(key)));
            assert!(guardian.remembered() <= 2);
        }
        assert_eq!(guardian.standing(&0, now), Standing::Quarantined);
        assert_eq!(guardian.standing(&998, now), Standing::Free);
        assert_ne!(guardian.standing(&999, now), Standing::Free);
    }
}
