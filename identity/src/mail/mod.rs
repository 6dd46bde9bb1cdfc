//! Mails to the people who work here: what they say, how they wait, and how they leave.
//!
//! A mail is handed to the [`Mailer`], which never waits: who asks for a link learns nothing from the time
//! that it takes. The [`Postman`] puts it into the [`Outbox`], delivers it, and tries again what did not arrive:
//! later and later, for as long as it is of use and a day at most. What a restart interrupts goes on after it; a
//! mail may come twice. What a mail says, and to whom, is in no log.

mod letter;
mod post;

use std::sync::Arc;

use iassistance_config::MailSettings;
use iassistance_domain::account::Language;
use iassistance_domain::clock::BoxFuture;
use iassistance_domain::id::MailId;
use iassistance_domain::{Clock, Entropy, Pii, Timestamp};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

pub use iassistance_domain::mail::Mail;

pub use letter::Letter;
pub use post::{FilePost, Post, PostError, SmtpPost, post};

/// Pauses between tries grow up to this, milliseconds.
const PAUSE_MS_MAX: u64 = 3_600_000;

/// Mails that wait cannot be kept or read.
#[derive(Debug, thiserror::Error)]
#[error("mails that wait cannot be kept: {0}")]
pub struct OutboxError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// Keeps mails until they are delivered, over a restart.
pub trait Outbox: Send + Sync + 'static {
    /// Those that are kept, oldest first, at most `limit`.
    fn kept(&self, limit: usize) -> BoxFuture<'_, Result<Vec<Mail>, OutboxError>>;
    /// Keeps one, or replaces it.
    fn keep(&self, mail: Mail) -> BoxFuture<'_, Result<(), OutboxError>>;
    /// Forgets one.
    fn forget(&self, id: MailId) -> BoxFuture<'_, Result<(), OutboxError>>;
    /// Has it known that one was given up after so many tries.
    fn give_up(&self, id: MailId, attempts: u32) -> BoxFuture<'_, ()>;
}

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
    give_up_ms: u64,
}

impl Mailer {
    /// A mailer for the platform of that name, and who keeps its mails in `outbox` and delivers them by `post`.
    pub fn new(
        settings: &MailSettings,
        platform: &str,
        (outbox, post): (Arc<dyn Outbox>, Arc<dyn Post>),
        clock: &Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> (Self, Postman) {
        let (queue, letters) = mpsc::channel(settings.queue_max.max(1));
        let give_up_ms = settings.give_up_hours.saturating_mul(3_600_000);
        let mailer = Self { queue, platform: platform.into(), clock: Arc::clone(clock), entropy, give_up_ms };
        let postman = Postman {
            letters,
            outbox,
            post,
            clock: Arc::clone(clock),
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
        let (subject, text) = letter.write(to, &self.platform);
        let at = self.clock.now();
        let lasts_ms = letter.lasts_ms().map_or(self.give_up_ms, |lasts_ms| lasts_ms.min(self.give_up_ms));
        let mail = Mail {
            id: MailId::new(at, &*self.entropy),
            email: to.email.clone(),
            name: to.name.clone(),
            language: to.language,
            subject,
            text: Pii::new(text),
            at,
            until: at.plus_millis(lasts_ms),
            attempts: 0,
            next_at: at,
        };
        self.queue.try_send(mail).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => MailError::Full,
            mpsc::error::TrySendError::Closed(_) => MailError::Closed,
        })
    }
}

/// Delivers mails, and those that did not arrive again.
pub struct Postman {
    letters: mpsc::Receiver<Mail>,
    outbox: Arc<dyn Outbox>,
    post: Arc<dyn Post>,
    clock: Arc<dyn Clock>,
    retry_ms: u64,
    waiting_max: usize,
    waiting: Vec<Mail>,
}

impl Postman {
    /// Delivers what a former life left and what comes, until it is to stop or the last [`Mailer`] is gone. What
    /// waits then is in the outbox.
    pub async fn run(mut self, stopping: CancellationToken) {
        match self.outbox.kept(self.waiting_max).await {
            Ok(kept) => self.waiting = kept,
            Err(error) => tracing::error!(%error, "mails of before are delivered after the next start"),
        }
        loop {
            let due = self.waiting.iter().map(|mail| mail.next_at).min().unwrap_or(Timestamp::MAX);
            let sleep = self.clock.sleep_until(due);
            tokio::select! {
                biased;
                () = stopping.cancelled() => break,
                () = sleep, if due < Timestamp::MAX => self.try_again(&stopping).await,
                mail = self.letters.recv() => match mail {
                    Some(mail) => {
                        self.keep(&mail).await;
                        self.deliver(mail, &stopping).await;
                    }
                    None => break,
                },
            }
        }
        self.letters.close();
        while let Ok(mail) = self.letters.try_recv() {
            self.keep(&mail).await;
        }
    }

    /// One that cannot be kept is delivered all the same, unless a restart comes before.
    async fn keep(&self, mail: &Mail) {
        if let Err(error) = self.outbox.keep(mail.clone()).await {
            tracing::error!(%error, mail = %mail.id, "a restart would lose this mail");
        }
    }

    async fn try_again(&mut self, stopping: &CancellationToken) {
        let now = self.clock.now();
        let (due, later) = std::mem::take(&mut self.waiting).into_iter().partition(|it| it.next_at <= now);
        self.waiting = later;
        let due: Vec<Mail> = due;
        for mail in due {
            self.deliver(mail, stopping).await;
        }
    }

    async fn deliver(&mut self, mut mail: Mail, stopping: &CancellationToken) {
        if mail.until <= self.clock.now() {
            return self.give_up(&mail).await;
        }
        // Interrupted, it is in the outbox still, and may have arrived.
        let Some(delivered) = stopping.run_until_cancelled(self.post.deliver(&mail)).await else { return };
        let Err(error) = delivered else { return self.forget(mail.id).await };
        mail.attempts = mail.attempts.saturating_add(1);
        let doubled = self.retry_ms.saturating_mul(1 << (mail.attempts - 1).min(20));
        mail.next_at = self.clock.now().plus_millis(doubled.min(PAUSE_MS_MAX));
        let again = !error.permanent && mail.next_at < mail.until && self.waiting.len() < self.waiting_max;
        tracing::warn!(%error, mail = %mail.id, attempts = mail.attempts, again, "a mail was not delivered");
        if again {
            self.keep(&mail).await;
            self.waiting.push(mail);
        } else {
            self.give_up(&mail).await;
        }
    }

    async fn give_up(&self, mail: &Mail) {
        tracing::error!(mail = %mail.id, attempts = mail.attempts, "a mail was given up");
        self.outbox.give_up(mail.id, mail.attempts).await;
        self.forget(mail.id).await;
    }

    async fn forget(&self, id: MailId) {
        if let Err(error) = self.outbox.forget(id).await {
            tracing::error!(%error, mail = %id, "after a restart this mail would come once more");
        }
    }
}

#[cfg(test)]
#[path = "../mail_tests.rs"]
mod tests;
