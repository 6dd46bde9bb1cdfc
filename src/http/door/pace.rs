//! How slow a client may be: whoever sends or takes too little while it is waited for is cut off, since
//! it holds a connection and memory that others need.

use std::task::{Context, Poll};

use futures::future::BoxFuture;
use iassistance_config::ServerSettings;
use iassistance_domain::{Clock, Timestamp};

/// The least that a client must get done, on average over each window.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    bytes_per_s_min: u64,
    window_ms: u64,
}

/// A wait for a client, from its beginning to its end.
pub struct Patience {
    pace: Pace,
    since: Timestamp,
    bytes: u64,
    timer: BoxFuture<'static, ()>,
}

impl Pace {
    /// By the settings.
    pub fn of(settings: &ServerSettings) -> Self {
        Self { bytes_per_s_min: settings.bytes_per_s_min, window_ms: settings.pace_window_ms }
    }

    /// Begins to wait for a client.
    pub fn begin(self, clock: &dyn Clock) -> Patience {
        let timer = clock.sleep_millis(self.window_ms);
        Patience { pace: self, since: clock.now(), bytes: 0, timer }
    }
}

impl Patience {
    /// The client got so much done.
    pub fn progress(&mut self, bytes: u64) {
        self.bytes = self.bytes.saturating_add(bytes);
    }

    /// Ready when a window has ended in which it got too little done.
    pub fn poll_ended(&mut self, clock: &dyn Clock, context: &mut Context<'_>) -> Poll<()> {
        while self.timer.as_mut().poll(context).is_ready() {
            let now = clock.now();
            let least = self.pace.bytes_per_s_min.saturating_mul(now.millis_since(self.since)) / 1_000;
            if self.bytes < least {
                return Poll::Ready(());
            }
            (self.since, self.bytes) = (now, 0);
            // At least a millisecond, so that it is not asked for ever at one moment.
            self.timer = clock.sleep_millis(self.pace.window_ms.max(1));
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use futures::task::noop_waker;
    use iassistance_domain::ManualClock;

    use super::*;

    #[test]
    fn who_keeps_the_pace_goes_on_and_who_does_not_is_given_up() {
        let (clock, waker) = (ManualClock::at(Timestamp::EPOCH), noop_waker());
        let mut context = Context::from_waker(&waker);
        let pace = Pace { bytes_per_s_min: 100, window_ms: 2_000 };
        let mut patience = pace.begin(&clock);
        for _ in 0..5 {
            patience.progress(200);
            clock.advance_millis(2_000);
            assert!(patience.poll_ended(&clock, &mut context).is_pending(), "exactly what it must");
        }
        patience.progress(199);
        clock.advance_millis(1_999);
        assert!(patience.poll_ended(&clock, &mut context).is_pending(), "the window is not over");
        clock.advance_millis(1);
        assert!(patience.poll_ended(&clock, &mut context).is_ready());
    }
}
