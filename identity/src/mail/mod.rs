//! Mails to the people who work here: what they say, how they wait, and how they leave.
//!
//! A mail is handed to the [`Mailer`], which never waits: who asks for a link learns nothing from the time
//! that it takes. The [`Postman`] delivers what waits, in memory; a restart forgets what was not delivered
//! yet, and whoever needed it asks again. What a mail says, and to whom, is in no log.

mod letter;
mod post;

use std::sync::Arc;

use iassistance_config::MailSettings;
use iassistance_domain::account::Language;
use iassistance_domain::{Clock, Entropy, Pii, Timestamp};
use tokio::sync::mpsc;

pub use letter::Letter;
pub use post::{FilePost, Post, PostError, SmtpPost, post};

/// Pauses between tries grow up to this, milliseconds.
const PAUSE_MS_MAX: u64 = 3_600_000;

/// Whom a mail is for.
#[derive(Clone)]
pub struct Recipient {
    /// Their address.
    pub email: Pii<String>,
    /// What they are called.
    pub name: Pii<String>,
    /// What they read.
    pub language: Language,
}

/// A mail, ready to go.
pub struct Mail {
    /// To whom.
    pub to: Recipient,
    /// Its subject.
    pub subject: String,
    /// What it says.
    pub text: String,
    /// When it was written.
    pub at: Timestamp,
    /// What tells it from others.
    pub id: String,
}

/// Mails cannot be taken now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MailError {
    /// As many as may wait do.
    #[error("too many mails wait to be delivered: try again in a moment")]
    Full,
    /// The server is stopping.
    #[error("mails are not delivered any more: the server is stopping")]
    Closed,
}

/// Takes mails. Clones share the queue.
#[derive(Clone)]
pub struct Mailer {
    queue: mpsc::Sender<Mail>,
    platform: Arc<str>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

impl Mailer {
    /// A mailer for the platform of that name, and who delivers its mails by `post`.
    pub fn new(
        settings: &MailSettings,
        platform: &str,
        post: Arc<dyn Post>,
        clock: &Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> (Self, Postman) {
        let (queue, letters) = mpsc::channel(settings.queue_max.max(1));
        let mailer = Self { queue, platform: platform.into(), clock: Arc::clone(clock), entropy };
        let postman = Postman {
            letters,
            post,
            clock: Arc::clone(clock),
            attempts_max: settings.attempts_max,
            retry_ms: settings.retry_ms,
            waiting_max: settings.queue_max,
            waiting: Vec::new(),
        };
        (mailer, postman)
    }

    /// Writes a letter to somebody and puts it into the queue.
    ///
    /// # Errors
    /// [`MailError`]
    pub fn send(&self, to: &Recipient, letter: &Letter<'_>) -> Result<(), MailError> {
        let mut random = [0; 16];
        self.entropy.fill(&mut random);
        let (subject, text) = letter.write(to, &self.platform);
        let mail = Mail { to: to.clone(), subject, text, at: self.clock.now(), id: hex::encode(random) };
        self.queue.try_send(mail).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => MailError::Full,
            mpsc::error::TrySendError::Closed(_) => MailError::Closed,
        })
    }
}

/// Delivers mails, and those that did not arrive again.
pub struct Postman {
    letters: mpsc::Receiver<Mail>,
    post: Arc<dyn Post>,
    clock: Arc<dyn Clock>,
    attempts_max: u32,
    retry_ms: u64,
    waiting_max: usize,
    waiting: Vec<Waiting>,
}

struct Waiting {
    mail: Mail,
    attempts: u32,
    next_at: Timestamp,
}

impl Postman {
    /// Delivers until the last [`Mailer`] is gone; then what waits in the queue is tried once more.
    pub async fn run(mut self) {
        loop {
            let due = self.waiting.iter().map(|waiting| waiting.next_at).min().unwrap_or(Timestamp::MAX);
            let sleep = self.clock.sleep_until(due);
            tokio::select! {
                biased;
                () = sleep, if due < Timestamp::MAX => self.try_again().await,
                mail = self.letters.recv() => match mail {
                    Some(mail) => self.deliver(Waiting { mail, attempts: 0, next_at: Timestamp::MAX }).await,
                    None => return,
                },
            }
        }
    }

    async fn try_again(&mut self) {
        let now = self.clock.now();
        let (due, later) = std::mem::take(&mut self.waiting).into_iter().partition(|w| w.next_at <= now);
        self.waiting = later;
        let due: Vec<Waiting> = due;
        for waiting in due {
            self.deliver(waiting).await;
        }
    }

    async fn deliver(&mut self, mut waiting: Waiting) {
        waiting.attempts += 1;
        let Err(error) = self.post.deliver(&waiting.mail).await else { return };
        let again =
            !error.permanent && waiting.attempts < self.attempts_max && self.waiting.len() < self.waiting_max;
        tracing::warn!(%error, attempts = waiting.attempts, again, "a mail was not delivered");
        if again {
            let doubled = self.retry_ms.saturating_mul(1 << (waiting.attempts - 1).min(20));
            waiting.next_at = self.clock.now().plus_millis(doubled.min(PAUSE_MS_MAX));
            self.waiting.push(waiting);
        }
    }
}

#[cfg(test)]
#[path = "../mail_tests.rs"]
mod tests;
