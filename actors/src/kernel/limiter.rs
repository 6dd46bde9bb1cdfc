//! Rate limiters (governor's GCRA) that run on our clock.

use std::collections::hash_map::RandomState;
use std::hash::Hash;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use governor::clock::Clock as ClockOfGovernor;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::keyed::{DashMapStateStore, ShrinkableKeyedStateStore};
use governor::state::{InMemoryState, NotKeyed, StateStore};
use governor::{NotUntil, Quota, RateLimiter};
use iassistance_domain::{Clock, Timestamp};

const NANOS_PER_MS: u64 = 1_000_000;

/// The least time between two prunings of a full limiter, in milliseconds: each looks at every key.
const PRUNE_MS_MIN: u64 = 100;

/// How much is allowed: `per` in every `period_ms`, spread evenly, and up to `burst` at once after a
/// time of quiet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many in a period; at least 1.
    pub per: u32,
    /// The period, in milliseconds; at least 1.
    pub period_ms: u64,
    /// How many at once; at least 1.
    pub burst: u32,
}

/// A rate that means nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RateError {
    /// A part of it is 0.
    #[error("a rate needs at least 1 each of per, period_ms and burst")]
    Zero,
    /// It is finer than a nanosecond each, or a full burst takes more than 500 years to come back.
    #[error("a rate of {per} in {period_ms} ms with a burst of {burst} is out of range")]
    Range {
        /// [`Rate::per`].
        per: u32,
        /// [`Rate::period_ms`].
        period_ms: u64,
        /// [`Rate::burst`].
        burst: u32,
    },
}

impl Rate {
    fn quota(self) -> Result<Quota, RateError> {
        let Self { per, period_ms, burst } = self;
        let range = RateError::Range { per, period_ms, burst };
        let burst = NonZeroU32::new(burst).ok_or(RateError::Zero)?;
        if per == 0 || period_ms == 0 {
            return Err(RateError::Zero);
        }
        let interval = period_ms.checked_mul(NANOS_PER_MS).ok_or(range)? / u64::from(per);
        // Half the range is left for the time that has passed.
        interval.checked_mul(u64::from(burst.get())).filter(|whole| *whole < u64::MAX / 2).ok_or(range)?;
        let quota = Quota::with_period(Duration::from_nanos(interval)).ok_or(range)?;
        Ok(quota.allow_burst(burst))
    }
}

/// Too much. Nothing was counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the rate limit is reached")]
pub struct Limited {
    /// When the next is allowed, if nobody else takes it.
    pub until: Timestamp,
}

/// Our clock as governor wants it: the time since the limiter was made. A clock that goes back stands
/// still.
#[derive(Clone)]
pub struct GovernorClock {
    clock: Arc<dyn Clock>,
    base: Timestamp,
}

impl GovernorClock {
    /// Counts from now.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let base = clock.now();
        Self { clock, base }
    }

    /// The moment of `instant`, rounded up, so that it has been reached at the moment given.
    fn timestamp(&self, instant: Nanos) -> Timestamp {
        self.base.plus_millis(instant.as_u64().div_ceil(NANOS_PER_MS))
    }

    fn limited(&self, not_until: &NotUntil<Nanos>) -> Limited {
        Limited { until: self.timestamp(not_until.earliest_possible()) }
    }
}

impl ClockOfGovernor for GovernorClock {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        Nanos::new(self.clock.now().millis_since(self.base).saturating_mul(NANOS_PER_MS))
    }
}

/// One rate for everything.
pub struct DirectLimiter {
    gcra: RateLimiter<NotKeyed, InMemoryState, GovernorClock, NoOpMiddleware<Nanos>>,
}

impl DirectLimiter {
    /// A limiter that has allowed nothing yet.
    ///
    /// # Errors
    /// [`RateError`] when the rate means nothing.
    pub fn new(rate: Rate, clock: Arc<dyn Clock>) -> Result<Self, RateError> {
        let gcra = RateLimiter::direct_with_clock(rate.quota()?, GovernorClock::new(clock));
        Ok(Self { gcra })
    }

    /// Takes one, if it is allowed now.
    ///
    /// # Errors
    /// [`Limited`] with the moment to try again.
    pub fn check(&self) -> Result<(), Limited> {
        self.gcra.check().map_err(|not_until| self.gcra.clock().limited(&not_until))
    }
}

/// One rate for each key: a tenant, a conversation, a channel number, a pair of number and contact.
pub struct Limiter<K: Hash + Eq + Clone> {
    gcra: RateLimiter<K, Keys<K>, GovernorClock, NoOpMiddleware<Nanos>>,
    keys: Keys<K>,
    keys_max: usize,
    prune_every_ms: u64,
    pruned_at: AtomicI64,
}

impl<K: Hash + Eq + Clone> Limiter<K> {
    /// A limiter that has allowed nothing yet and remembers at most about `keys_max` keys: those whose
    /// rate is used up in part.
    ///
    /// # Errors
    /// [`RateError`] when the rate means nothing.
    pub fn new(rate: Rate, keys_max: usize, clock: Arc<dyn Clock>) -> Result<Self, RateError> {
        let quota = rate.quota()?;
        let keys = Keys(Arc::new(DashMapStateStore::with_hasher(RandomState::new())));
        let interval_ms = u64::try_from(quota.replenish_interval().as_millis()).unwrap_or(u64::MAX);
        Ok(Self {
            gcra: RateLimiter::new(quota, keys.clone(), GovernorClock::new(clock)),
            keys,
            keys_max,
            prune_every_ms: interval_ms.max(PRUNE_MS_MIN),
            pruned_at: AtomicI64::new(i64::MIN),
        })
    }

    /// Takes one for `key`, if it is allowed now.
    ///
    /// # Errors
    /// [`Limited`] with the moment to try again; also for a new key while as many keys as are
    /// remembered are in use.
    pub fn check(&self, key: &K) -> Result<(), Limited> {
        if !self.keys.0.contains_key(key) && self.keys.0.len() >= self.keys_max {
            self.make_room()?;
        }
        self.gcra.check_key(key).map_err(|not_until| self.gcra.clock().limited(&not_until))
    }

    /// How many keys are remembered.
    pub fn len(&self) -> usize {
        self.keys.0.len()
    }

    /// Whether no key is remembered.
    pub fn is_empty(&self) -> bool {
        self.keys.0.is_empty()
    }

    /// Forgets keys that are as good as new, not more often than they can become so.
    fn make_room(&self) -> Result<(), Limited> {
        let now = self.gcra.clock().clock.now();
        let pruned_at = self.pruned_at.load(Ordering::Relaxed);
        let next = Timestamp::from_millis(pruned_at).plus_millis(self.prune_every_ms);
        if now < next {
            return Err(Limited { until: next });
        }
        let mine =
            self.pruned_at.compare_exchange(pruned_at, now.as_millis(), Ordering::Relaxed, Ordering::Relaxed);
        if mine.is_ok() {
            self.gcra.retain_recent();
        }
        if self.keys.0.len() < self.keys_max {
            return Ok(());
        }
        Err(Limited { until: now.plus_millis(self.prune_every_ms) })
    }
}

/// The keys' state, which the limiter shares with the rate limiter inside it.
struct Keys<K: Hash + Eq + Clone>(Arc<DashMapStateStore<K, RandomState>>);

impl<K: Hash + Eq + Clone> Clone for Keys<K> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K: Hash + Eq + Clone> StateStore for Keys<K> {
    type Key = K;

    fn measure_and_replace<T, F, E>(&self, key: &K, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        self.0.measure_and_replace(key, decide)
    }
}

impl<K: Hash + Eq + Clone> ShrinkableKeyedStateStore<K> for Keys<K> {
    fn retain_recent(&self, drop_below: Nanos) {
        ShrinkableKeyedStateStore::retain_recent(self.0.as_ref(), drop_below);
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use iassistance_domain::ManualClock;

    use super::*;

    /// WhatsApp's limit for one pair of number and contact.
    const PAIR: Rate = Rate { per: 1, period_ms: 6_000, burst: 45 };

    fn start() -> (ManualClock, Arc<dyn Clock>) {
        let clock = ManualClock::at(Timestamp::from_secs(1_700_000_000));
        (clock.clone(), Arc::new(clock))
    }

    #[test]
    fn a_pair_gets_its_burst_and_then_one_each_six_seconds() {
        let (manual, clock) = start();
        let limiter = Limiter::new(PAIR, 10, clock).unwrap();
        for _ in 0..45 {
            assert_eq!(limiter.check(&"a"), Ok(()));
        }
        let until = manual.now().plus_millis(6_000);
        assert_eq!(limiter.check(&"a"), Err(Limited { until }));
        assert_eq!(limiter.check(&"b"), Ok(()), "one pair's limit touches no other");

        manual.advance_millis(5_999);
        assert_eq!(limiter.check(&"a"), Err(Limited { until }));
        manual.advance_millis(1);
        assert_eq!(limiter.check(&"a"), Ok(()));
        assert_eq!(limiter.check(&"a"), Err(Limited { until: until.plus_millis(6_000) }));

        manual.advance_millis(45 * 6_000);
        assert_eq!((0..100).filter(|_| limiter.check(&"a").is_ok()).count(), 45);
    }

    #[test]
    fn the_moment_given_is_rounded_up() {
        let (manual, clock) = start();
        let limiter = DirectLimiter::new(Rate { per: 3, period_ms: 10, burst: 1 }, clock).unwrap();
        assert_eq!(limiter.check(), Ok(()));
        let limited = limiter.check().unwrap_err();
        assert_eq!(limited.until, manual.now().plus_millis(4));
        manual.advance_to(limited.until);
        assert_eq!(limiter.check(), Ok(()));
    }

    #[test]
    fn keys_are_bounded_and_those_as_good_as_new_make_room() {
        let (manual, clock) = start();
        let limiter = Limiter::new(Rate { per: 1, period_ms: 1_000, burst: 2 }, 2, clock).unwrap();
        assert_eq!(limiter.check(&1), Ok(()));
        assert_eq!(limiter.check(&2), Ok(()));
        let until = manual.now().plus_millis(1_000);
        assert_eq!(limiter.check(&3), Err(Limited { until }));
        assert_eq!(limiter.check(&1), Ok(()), "a known key goes on");
        assert_eq!(limiter.len(), 2);

        manual.advance_millis(500);
        assert_eq!(limiter.check(&3), Err(Limited { until }), "pruned a moment ago");
        manual.advance_millis(1_500);
        assert_eq!(limiter.check(&3), Ok(()), "key 2 is as good as new");
        assert_eq!(limiter.len(), 2);
    }

    #[test]
    fn a_rate_that_means_nothing_is_refused() {
        let (_, clock) = start();
        for rate in [Rate { per: 0, ..PAIR }, Rate { period_ms: 0, ..PAIR }, Rate { burst: 0, ..PAIR }] {
            assert_eq!(DirectLimiter::new(rate, Arc::clone(&clock)).err(), Some(RateError::Zero));
        }
        for rate in [
            Rate { period_ms: u64::MAX, ..PAIR },
            Rate { burst: u32::MAX, period_ms: 1_000_000_000, ..PAIR },
            Rate { per: 2_000_000, period_ms: 1, burst: 1 },
        ] {
            assert!(matches!(
                DirectLimiter::new(rate, Arc::clone(&clock)).err(),
                Some(RateError::Range { .. })
            ));
        }
    }
}
