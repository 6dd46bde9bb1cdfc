//! The machine's clock.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use iassistance_domain::clock::BoxFuture;
use iassistance_domain::{Clock, Timestamp};

/// The longest sleep in one piece, in milliseconds: how late a sleeper may be when the machine's
/// clock is set forward.
const SLEEP_MS_MAX: u64 = 60_000;

/// The time of the machine. Sleeps on the tokio runtime of whoever polls.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        #[expect(clippy::disallowed_methods, reason = "the clock that everybody else asks")]
        let now = SystemTime::now();
        match now.duration_since(UNIX_EPOCH) {
            Ok(since) => Timestamp::EPOCH.plus_millis(millis(since)),
            Err(before) => Timestamp::EPOCH.minus_millis(millis(before.duration())),
        }
    }

    fn sleep_until(&self, at: Timestamp) -> BoxFuture<'static, ()> {
        let clock = *self;
        Box::pin(async move {
            loop {
                let left = at.millis_since(clock.now());
                if left == 0 {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(left.min(SLEEP_MS_MAX))).await;
            }
        })
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn time_has_passed_when_a_sleep_ends() {
        let clock = SystemClock;
        let at = clock.now().plus_millis(2);
        clock.sleep_until(at).await;
        assert!(clock.now() >= at);
        assert!(at > Timestamp::from_secs(1_700_000_000), "the machine's clock is set");
    }

    #[tokio::test]
    async fn a_moment_in_the_past_is_not_waited_for() {
        let mut sleep = SystemClock.sleep_until(Timestamp::EPOCH);
        assert!(futures::poll!(&mut sleep).is_ready());
    }
}
