//! What signing in is put together of: passwords, throttles, passkeys, the users of Supabase, and mails.

use std::sync::Arc;

use iassistance_actors::kernel::{Background, StillRunning};
use iassistance_config::Settings;
use iassistance_domain::account::Account;
use iassistance_domain::audit::{Actor, AuditEntry, AuditResult};
use iassistance_domain::clock::BoxFuture;
use iassistance_domain::id::MailId;
use iassistance_domain::{Clock, Entropy};
use iassistance_egress::{Egress, EgressError};
use iassistance_identity::mail::{
    Letter, Mail, Mailer, Outbox, OutboxError, PostError, Postman, Recipient, post,
};
use iassistance_identity::passkeys::Passkeys;
use iassistance_identity::passwords::Passwords;
use iassistance_identity::supabase::Supabase;
use iassistance_identity::throttle::Throttles;
use iassistance_storage::Store;
use iassistance_vault::Keyring;
use url::Url;

/// Why nobody could sign in.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// Mails cannot leave by what the settings say.
    #[error(transparent)]
    Mail(#[from] PostError),
    /// Links of mails would lead nowhere.
    #[error("links to this server cannot be made: {0}; set server.public_url")]
    Links(#[from] url::ParseError),
    /// The Supabase project cannot be called.
    #[error(transparent)]
    Egress(#[from] EgressError),
}

/// What signing in needs.
pub struct Identity {
    /// Hashes passwords, a few at once.
    pub passwords: Passwords,
    /// Before every try.
    pub throttles: Throttles,
    /// Passkeys, where the server has a name that they can be bound to.
    pub passkeys: Option<Passkeys>,
    /// The Supabase project, where one is set.
    pub supabase: Option<Supabase>,
    mailer: Mailer,
    links: Url,
    clock: Arc<dyn Clock>,
    background: Background,
}

impl Identity {
    /// Puts it together, and begins to deliver mails.
    ///
    /// # Errors
    /// [`IdentityError`] for settings that cannot be used.
    pub fn start(
        settings: &Settings,
        keyring: &Arc<Keyring>,
        store: &Arc<dyn Store>,
        egress: &Egress,
        clock: &Arc<dyn Clock>,
        entropy: &Arc<dyn Entropy>,
    ) -> Result<Self, IdentityError> {
        let named = &settings.identity;
        let public = Url::parse(&settings.server.public_url).ok();
        // Without a name of its own this machine's links lead to itself.
        let here = || format!("http://localhost:{}", settings.server.port);
        let links = public.clone().map_or_else(|| Url::parse(&here()), Ok)?;
        let passkeys = public.and_then(|url| {
            let made = Passkeys::new(&url, &named.name, Arc::clone(clock), Arc::clone(entropy));
            made.inspect_err(|error| tracing::warn!(%error, "there are no passkeys here")).ok()
        });
        let outbox = Arc::new(StoredOutbox { store: Arc::clone(store), clock: Arc::clone(clock) });
        let ways = (outbox as Arc<dyn Outbox>, post(&settings.mail)?);
        let (mailer, postman) = Mailer::new(&settings.mail, &named.name, ways, clock, Arc::clone(entropy));
        let identity = Self {
            passwords: Passwords::new(named, Arc::clone(keyring), Arc::clone(entropy)),
            throttles: Throttles::new(named, clock),
            passkeys,
            supabase: Supabase::new(named, egress, Arc::clone(clock))?,
            mailer,
            links,
            clock: Arc::clone(clock),
            background: Background::new(),
        };
        identity.deliver(postman);
        Ok(identity)
    }

    fn deliver(&self, postman: Postman) {
        self.background.spawn("mail", postman.run(self.background.stopping()));
    }

    /// Writes to somebody. Whoever asked for it is not told whether it could be queued.
    pub fn write(&self, to: &Recipient, letter: &Letter<'_>) {
        if let Err(error) = self.mailer.send(to, letter) {
            tracing::warn!(%error, "a mail was not taken");
        }
    }

    /// Does what nobody who asked waits for. A stop waits for it.
    pub fn aside(&self, name: &'static str, work: impl Future<Output = ()> + Send + 'static) {
        self.background.spawn(name, work);
    }

    /// A page of ours, with a token where no log sees it: behind the `#`.
    pub fn link(&self, page: &str, token: &str) -> Url {
        let mut link = self.links.clone();
        link.set_path(page);
        link.set_fragment((!token.is_empty()).then(|| format!("token={token}")).as_deref());
        link
    }

    /// Ends the delivery of mails. What waits goes on at the next start.
    ///
    /// # Errors
    /// [`StillRunning`]
    pub async fn stop(&self, limit_ms: u64) -> Result<(), StillRunning> {
        self.background.stop(&*self.clock, limit_ms).await
    }
}

/// Mails that wait, in the store.
struct StoredOutbox {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
}

impl Outbox for StoredOutbox {
    fn kept(&self, limit: usize) -> BoxFuture<'_, Result<Vec<Mail>, OutboxError>> {
        Box::pin(async move { self.store.people().mails(limit).await.map_err(unkept) })
    }

    fn keep(&self, mail: Mail) -> BoxFuture<'_, Result<(), OutboxError>> {
        Box::pin(async move { self.store.people().put_mail(mail).await.map_err(unkept) })
    }

    fn forget(&self, id: MailId) -> BoxFuture<'_, Result<(), OutboxError>> {
        Box::pin(async move { self.store.people().remove_mail(id).await.map(drop).map_err(unkept) })
    }

    fn give_up(&self, id: MailId, attempts: u32) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let mut entry = AuditEntry::new(self.clock.now(), Actor::Platform, "mail.given_up").on(&id);
            entry.result = AuditResult::Failed;
            let entry = entry.with("attempts", &attempts);
            metrics::counter!("iassistance_mails_given_up_total").increment(1);
            if let Err(error) = self.store.trail().append_audit(None, entry).await {
                tracing::error!(%error, "that a mail was given up is not on the record");
            }
        })
    }
}

fn unkept(error: iassistance_storage::StorageError) -> OutboxError {
    OutboxError(Box::new(error))
}

/// Whom a mail to the owner of an account is for.
pub fn recipient(account: &Account) -> Recipient {
    Recipient { email: account.email.clone(), name: account.name.clone(), language: account.language }
}
