//! What happened when, by a clock that nobody moves: for whoever measures a server from outside.

use std::sync::OnceLock;
use std::time::Instant;

use tokio::sync::broadcast;

/// How many moments wait for who reads them; older ones are lost to them.
const MOMENTS_MAX: usize = 65_536;

/// Something that happened, and when.
#[derive(Debug, Clone)]
pub struct Moment {
    /// When.
    pub instant: Instant,
    /// What.
    pub what: Happened,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Happened {
    /// The model was asked: the request has been read.
    ChatAsked {
        /// The chat's [`crate::ChatSeen::number`].
        chat: u64,
        /// What the user said since the assistant's last answer.
        said: String,
    },
    /// The answer of a chat has been handed out, or its client has let it go.
    ChatEnded {
        /// The chat's number.
        chat: u64,
    },
    /// A send was accepted: its request has been read.
    SendAccepted {
        /// The contact's number.
        to: String,
        /// The text.
        text: String,
    },
    /// A webhook got its 200.
    WebhookTaken {
        /// How long the try took that got it, microseconds.
        micros: u64,
    },
}

/// Whoever listens. Until somebody does, it costs nothing.
#[derive(Default)]
pub(crate) struct Moments(OnceLock<broadcast::Sender<Moment>>);

impl Moments {
    pub fn listen(&self) -> broadcast::Receiver<Moment> {
        self.0.get_or_init(|| broadcast::Sender::new(MOMENTS_MAX)).subscribe()
    }

    pub fn tell(&self, what: impl FnOnce() -> Happened) {
        if let Some(listeners) = self.0.get() {
            let instant = Instant::now();
            // Who listened may have gone.
            listeners.send(Moment { instant, what: what() }).ok();
        }
    }
}
