//! The stages of a message's way: one verb each, the same in function, span, metric and event names.

use std::future::Future;
use std::time::Instant;

use tracing::{Instrument, Span, debug_span};

/// A stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// A webhook's signature is checked.
    Verify,
    /// Its body becomes events.
    Parse,
    /// They are taken into the durable inbox.
    Accept,
    /// A tenant wakes its conversations.
    Admit,
    /// A conversation reads its letters and decides.
    Apply,
    /// The model writes.
    Generate,
    /// What was decided is written.
    Commit,
    /// A message is handed to its channel.
    Dispatch,
    /// What became of that is written down.
    Settle,
    /// Events go to those who watch.
    Publish,
}

impl Stage {
    /// The histogram of its durations, in seconds; its count is how often it was gone through.
    pub const fn metric(self) -> &'static str {
        match self {
            Self::Verify => "iassistance_verify_seconds",
            Self::Parse => "iassistance_parse_seconds",
            Self::Accept => "iassistance_accept_seconds",
            Self::Admit => "iassistance_admit_seconds",
            Self::Apply => "iassistance_apply_seconds",
            Self::Generate => "iassistance_generate_seconds",
            Self::Commit => "iassistance_commit_seconds",
            Self::Dispatch => "iassistance_dispatch_seconds",
            Self::Settle => "iassistance_settle_seconds",
            Self::Publish => "iassistance_publish_seconds",
        }
    }

    fn span(self) -> Span {
        match self {
            Self::Verify => debug_span!("verify"),
            Self::Parse => debug_span!("parse"),
            Self::Accept => debug_span!("accept"),
            Self::Admit => debug_span!("admit"),
            Self::Apply => debug_span!("apply"),
            Self::Generate => debug_span!("generate"),
            Self::Commit => debug_span!("commit"),
            Self::Dispatch => debug_span!("dispatch"),
            Self::Settle => debug_span!("settle"),
            Self::Publish => debug_span!("publish"),
        }
    }

    /// Goes through the stage at once, in its span, and measures it.
    pub fn run<T>(self, work: impl FnOnce() -> T) -> T {
        let started = Instant::now();
        let done = self.span().in_scope(work);
        self.record(started);
        done
    }

    /// Goes through the stage in its span, and measures it from the first poll to the end.
    pub async fn observe<T>(self, work: impl Future<Output = T>) -> T {
        let started = Instant::now();
        let done = work.instrument(self.span()).await;
        self.record(started);
        done
    }

    fn record(self, started: Instant) {
        metrics::histogram!(self.metric()).record(started.elapsed().as_secs_f64());
    }
}
