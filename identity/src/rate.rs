//! A rate for each of many, in a fixed amount of memory.

use std::hash::{BuildHasher, Hash, RandomState};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::clock::Clock as GovernorClock;
use governor::middleware::StateInformationMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed, StateStore};
use governor::{Quota, RateLimiter};
use iassistance_domain::{Clock, Timestamp};

const NANOS_PER_MS: u64 = 1_000_000;
const DAY_MS: u64 = 86_400_000;

/// Too much. Nothing was counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many tries: try again later")]
pub struct Throttled {
    /// When the next is allowed, if nobody else takes it.
    pub until: Timestamp,
}

/// One rate for each key, in a fixed number of places, without remembering the keys. A restart forgets what was taken.
///
/// A key has a place in either of two rows, by two hashes that nobody can foresee; it is refused when both places
/// refuse. So nothing has to be forgotten to make room, which would give tries back to whoever floods the rows, and
/// who shares one place with somebody busy still has the other. With 10,000 busy keys one in 170 that are quiet
/// shares both places of two rows of 2^17.
pub struct Rate {
    burst: u32,
    interval_ms: u64,
    rows: [RateLimiter<usize, Places, OurClock, StateInformationMiddleware>; 2],
    hashers: [RandomState; 2],
    places: usize,
}

impl Rate {
    /// `burst` at once and then one in `interval_ms`, at least 1 and at most a day each. `places` of 8 bytes in each
    /// row, at least 1.
    pub fn new(burst: NonZeroU32, interval_ms: u64, places: usize, clock: Arc<dyn Clock>) -> Self {
        let interval_ms = interval_ms.clamp(1, DAY_MS);
        let quota = Quota::with_period(Duration::from_millis(interval_ms))
            .unwrap_or_else(|| Quota::per_second(NonZeroU32::MIN))
            .allow_burst(burst);
        let clock = OurClock { base: clock.now(), clock };
        let places = places.max(1);
        let row = || RateLimiter::new(quota, Places::new(places), clock.clone());
        let hashers = [RandomState::new(), RandomState::new()];
        Self { burst: burst.get(), interval_ms, rows: [row(), row()], hashers, places }
    }

    /// How many at once.
    pub const fn burst(&self) -> u32 {
        self.burst
    }

    /// How long it takes until so many may be taken again, milliseconds.
    pub const fn ms_for(&self, count: u32) -> u64 {
        self.interval_ms * count as u64
    }

    /// Takes one for `key`, and says how many it could take now.
    ///
    /// # Errors
    /// [`Throttled`] with the moment to try again.
    pub fn take(&self, key: &(impl Hash + ?Sized)) -> Result<u32, Throttled> {
        let (mut left, mut until) = (None, Timestamp::MAX);
        for (row, hasher) in self.rows.iter().zip(&self.hashers) {
            let place = usize::try_from(hasher.hash_one(key)).unwrap_or_default() % self.places;
            match row.check_key(&place) {
                Ok(snapshot) => left = left.max(Some(snapshot.remaining_burst_capacity())),
                Err(refused) => until = until.min(row.clock().moment(refused.earliest_possible())),
            }
        }
        left.map(|left| left.min(self.burst)).ok_or(Throttled { until })
    }
}

/// Our clock as governor wants it: the time since it was made.
#[derive(Clone)]
struct OurClock {
    clock: Arc<dyn Clock>,
    base: Timestamp,
}

impl OurClock {
    fn moment(&self, instant: Nanos) -> Timestamp {
        self.base.plus_millis(instant.as_u64().div_ceil(NANOS_PER_MS))
    }
}

impl GovernorClock for OurClock {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        Nanos::new(self.clock.now().millis_since(self.base).saturating_mul(NANOS_PER_MS))
    }
}

/// The state of each place.
struct Places(Box<[InMemoryState]>);

impl Places {
    fn new(places: usize) -> Self {
        Self((0..places).map(|_| InMemoryState::default()).collect())
    }
}

impl StateStore for Places {
    type Key = usize;

    fn measure_and_replace<T, F, E>(&self, place: &usize, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        self.0[*place % self.0.len()].measure_and_replace(&NotKeyed::NonKey, decide)
    }
}
