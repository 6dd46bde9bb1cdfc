//! Time is a parameter: everything that needs it is handed a [`Clock`].

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use serde::{Deserialize, Serialize};

/// A moment: milliseconds since the Unix epoch, UTC. May be negative (before 1970).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The Unix epoch.
    pub const EPOCH: Self = Self(0);
    /// The end of time.
    pub const MAX: Self = Self(i64::MAX);

    /// A moment from milliseconds since the epoch.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// A moment from seconds since the epoch; what does not fit stops at the end of the range.
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(1_000))
    }

    /// Milliseconds since the epoch.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// A moment written as `2026-11-24T09:30:00Z`, with any offset; nothing for other texts.
    pub fn from_rfc3339(text: &str) -> Option<Self> {
        text.parse::<jiff::Timestamp>().ok().map(|at| Self(at.as_millisecond()))
    }

    /// As `2026-11-24T09:30:00Z`; milliseconds where no calendar reaches.
    pub fn to_rfc3339(self) -> String {
        jiff::Timestamp::from_millisecond(self.0).map_or_else(|_| self.0.to_string(), |at| at.to_string())
    }

    /// This moment and `millis` more; stops at the end of the range.
    pub const fn plus_millis(self, millis: u64) -> Self {
        let millis = if millis > i64::MAX as u64 { i64::MAX } else { millis.cast_signed() };
        Self(self.0.saturating_add(millis))
    }

    /// This moment less `millis`; stops at the end of the range.
    pub const fn minus_millis(self, millis: u64) -> Self {
        let millis = if millis > i64::MAX as u64 { i64::MAX } else { millis.cast_signed() };
        Self(self.0.saturating_sub(millis))
    }

    /// Milliseconds since `earlier`; 0 when `earlier` is not earlier.
    pub const fn millis_since(self, earlier: Self) -> u64 {
        let difference = self.0.saturating_sub(earlier.0);
        if difference < 0 { 0 } else { difference.cast_unsigned() }
    }
}

/// A future that is boxed and may move between threads.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Where time comes from. Product code gets the machine's clock, tests a [`ManualClock`].
pub trait Clock: Send + Sync + 'static {
    /// The moment now.
    fn now(&self) -> Timestamp;

    /// Resolves once [`Clock::now`] has reached `at`; at once when it has already.
    fn sleep_until(&self, at: Timestamp) -> BoxFuture<'static, ()>;

    /// Resolves `millis` from now.
    fn sleep_millis(&self, millis: u64) -> BoxFuture<'static, ()> {
        self.sleep_until(self.now().plus_millis(millis))
    }
}

/// A clock that moves only when told: what sleeps on it wakes when it is moved far enough.
#[derive(Clone, Default)]
pub struct ManualClock {
    shared: Arc<Mutex<ManualState>>,
}

#[derive(Default)]
struct ManualState {
    now: Timestamp,
    next_sleeper: u64,
    sleepers: BTreeMap<(Timestamp, u64), Waker>,
}

impl ManualClock {
    /// A clock that stands at `now`.
    pub fn at(now: Timestamp) -> Self {
        let clock = Self::default();
        clock.lock().now = now;
        clock
    }

    /// Moves the clock by `millis` and wakes what was waiting for that.
    pub fn advance_millis(&self, millis: u64) {
        let to = self.lock().now.plus_millis(millis);
        self.advance_to(to);
    }

    /// Moves the clock to `to` (never back) and wakes what was waiting for that.
    pub fn advance_to(&self, to: Timestamp) {
        let due = {
            let mut state = self.lock();
            state.now = state.now.max(to);
            let after_now = (state.now.plus_millis(1), 0);
            let later = state.sleepers.split_off(&after_now);
            std::mem::replace(&mut state.sleepers, later)
        };
        due.into_values().for_each(Waker::wake);
    }

    /// The earliest moment that something sleeps for, if anything does.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.lock().sleepers.keys().next().map(|(at, _)| *at)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, ManualState> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        self.lock().now
    }

    fn sleep_until(&self, at: Timestamp) -> BoxFuture<'static, ()> {
        Box::pin(ManualSleep { clock: self.clone(), at, registered: None })
    }
}

struct ManualSleep {
    clock: ManualClock,
    at: Timestamp,
    registered: Option<(Timestamp, u64)>,
}

impl Future for ManualSleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let mut state = this.clock.lock();
        if state.now >= this.at {
            this.registered = None;
            return Poll::Ready(());
        }
        let key = *this.registered.get_or_insert_with(|| {
            state.next_sleeper += 1;
            (this.at, state.next_sleeper)
        });
        state.sleepers.insert(key, context.waker().clone());
        Poll::Pending
    }
}

impl Drop for ManualSleep {
    fn drop(&mut self) {
        if let Some(key) = self.registered {
            self.clock.lock().sleepers.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_wakes_only_what_is_due() {
        let clock = ManualClock::at(Timestamp::from_secs(10));
        let mut early = clock.sleep_millis(5);
        let mut late = clock.sleep_millis(50);
        let mut context = Context::from_waker(Waker::noop());
        assert!(early.as_mut().poll(&mut context).is_pending());
        assert!(late.as_mut().poll(&mut context).is_pending());
        assert_eq!(clock.next_due(), Some(Timestamp::from_millis(10_005)));
        clock.advance_millis(5);
        assert!(early.as_mut().poll(&mut context).is_ready());
        assert!(late.as_mut().poll(&mut context).is_pending());
        drop(late);
        assert_eq!(clock.next_due(), None);
    }

    #[test]
    fn arithmetic_stops_at_the_ends_of_the_range() {
        let end = Timestamp::from_millis(i64::MAX);
        assert_eq!(end.plus_millis(u64::MAX), end);
        assert_eq!(Timestamp::EPOCH.millis_since(end), 0);
    }
}
