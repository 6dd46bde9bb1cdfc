//! How mails leave: to a mail server, or into a folder.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use iassistance_config::{MailSettings, MailTransport, SmtpSecurity};
use iassistance_domain::clock::BoxFuture;
use iassistance_domain::pii::Deliver;
use lettre::message::header::ContentType;
use lettre::message::{Mailbox, Message};
use lettre::transport::smtp::authentication::Credentials;
use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor};
use tokio::fs;
use tokio::io::AsyncWriteExt;

use super::Mail;

/// Mails that stay in the folder; the oldest goes first.
const FILES_MAX: usize = 1_000;
const ENDING: &str = ".eml";

/// A mail was not delivered. Says what is wrong, and nothing of the mail.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct PostError {
    /// What is wrong and, where that is known, what to do.
    pub reason: String,
    /// Whether it is no use to try again.
    pub permanent: bool,
}

/// Delivers a mail.
pub trait Post: Send + Sync + 'static {
    /// Delivers `mail`, or says why it could not.
    fn deliver<'a>(&'a self, mail: &'a Mail) -> BoxFuture<'a, Result<(), PostError>>;
}

/// What the settings say.
///
/// # Errors
/// [`PostError`] for settings that nothing can be delivered with.
pub fn post(settings: &MailSettings) -> Result<Arc<dyn Post>, PostError> {
    Ok(match settings.transport {
        MailTransport::Smtp => Arc::new(SmtpPost::new(settings)?),
        MailTransport::File => Arc::new(FilePost::new(settings, false)?),
        MailTransport::Log => Arc::new(FilePost::new(settings, true)?),
    })
}

fn permanent(reason: impl Into<String>) -> PostError {
    PostError { reason: reason.into(), permanent: true }
}

fn sender(settings: &MailSettings) -> Result<Mailbox, PostError> {
    settings.from.parse().map_err(|_| permanent("mail.from is no address: write `Name <name@example.com>`"))
}

/// The mail in the form in which it travels.
fn message(mail: &Mail, from: &Mailbox) -> Result<Message, PostError> {
    let address = mail.email.reveal(Deliver).parse();
    let address = address.map_err(|_| permanent("the recipient's address cannot be written to"))?;
    let name = mail.name.reveal(Deliver).trim();
    let name = (!name.is_empty()).then(|| name.chars().filter(|c| !c.is_control()).take(100).collect());
    let at = UNIX_EPOCH + Duration::from_millis(mail.at.as_millis().max(0).cast_unsigned());
    Message::builder()
        .from(from.clone())
        .to(Mailbox::new(name, address))
        .subject(&mail.subject)
        .date(at)
        .message_id(Some(format!("<{}@{}>", mail.id, from.email.domain())))
        // Nobody's machine answers that somebody is away (RFC 3834).
        .header(AutoSubmitted)
        .header(ContentType::TEXT_PLAIN)
        .body(mail.text.reveal(Deliver).clone())
        .map_err(|_| permanent("the mail cannot be written"))
}

#[derive(Debug, Clone, Copy)]
struct AutoSubmitted;

impl lettre::message::header::Header for AutoSubmitted {
    fn name() -> lettre::message::header::HeaderName {
        lettre::message::header::HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> lettre::message::header::HeaderValue {
        lettre::message::header::HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

/// Hands mails to a server. This is a way out of the process beside `egress`: to the one host that the
/// operator names, under TLS unless it is on this machine (ADR 14).
pub struct SmtpPost {
    from: Mailbox,
    transport: AsyncSmtpTransport<Tokio1Executor>,
}

impl SmtpPost {
    /// The server of the settings.
    ///
    /// # Errors
    /// [`PostError`] for a host or a sender that cannot be one.
    pub fn new(settings: &MailSettings) -> Result<Self, PostError> {
        let host = settings.smtp_host.as_str();
        let unusable = |error: lettre::transport::smtp::Error| permanent(format!("mail.smtp_host: {error}"));
        let builder = match settings.smtp_security {
            SmtpSecurity::Tls => AsyncSmtpTransport::<Tokio1Executor>::relay(host).map_err(unusable)?,
            SmtpSecurity::Starttls => {
                AsyncSmtpTransport::<Tokio1Executor>::starttls_relay(host).map_err(unusable)?
            }
            // The settings allow it on this machine alone.
            SmtpSecurity::Plain => AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host),
        };
        let builder =
            builder.port(settings.smtp_port).timeout(Some(Duration::from_millis(settings.timeout_ms)));
        let builder = if settings.smtp_user.is_empty() {
            builder
        } else {
            let password = settings.smtp_password.expose().to_owned();
            builder.credentials(Credentials::new(settings.smtp_user.clone(), password))
        };
        Ok(Self { from: sender(settings)?, transport: builder.build() })
    }
}

impl Post for SmtpPost {
    fn deliver<'a>(&'a self, mail: &'a Mail) -> BoxFuture<'a, Result<(), PostError>> {
        Box::pin(async move {
            let message = message(mail, &self.from)?;
            match self.transport.send(message).await {
                Ok(_) => Ok(()),
                Err(error) => Err(refusal(&error)),
            }
        })
    }
}

/// What a server's answer may repeat (addresses) is left out: its code says enough.
fn refusal(error: &lettre::transport::smtp::Error) -> PostError {
    let reason = match error.status() {
        Some(code) => format!("the mail server refused it with code {code}"),
        None if error.is_timeout() => "the mail server did not answer in time".to_owned(),
        None if error.is_tls() => {
            "no secure connection to the mail server: check mail.smtp_security, mail.smtp_port and its certificate"
                .to_owned()
        }
        None => "the mail server could not be reached or did not answer as it should".to_owned(),
    };
    PostError { reason, permanent: error.is_permanent() }
}

/// Writes mails into a folder, for a machine without a mail server. Only this user may read them.
pub struct FilePost {
    from: Mailbox,
    folder: PathBuf,
    tell: bool,
}

impl FilePost {
    /// The folder of the settings; `tell`: the log says of each mail where it lies.
    ///
    /// # Errors
    /// [`PostError`] for a sender that cannot be one.
    pub fn new(settings: &MailSettings, tell: bool) -> Result<Self, PostError> {
        Ok(Self { from: sender(settings)?, folder: settings.folder.clone(), tell })
    }

    async fn write(&self, mail: &Mail, bytes: &[u8]) -> std::io::Result<PathBuf> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.folder).await?;
        // The time goes first, so that names sort by it.
        let name = format!("{:015}-{}", mail.at.as_millis().max(0), mail.id);
        let (partial, whole) = (self.folder.join(format!("{name}.part")), self.folder.join(name + ENDING));
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&partial).await?;
        file.write_all(bytes).await?;
        file.sync_all().await?;
        fs::rename(&partial, &whole).await?;
        Ok(whole)
    }
}

impl Post for FilePost {
    fn deliver<'a>(&'a self, mail: &'a Mail) -> BoxFuture<'a, Result<(), PostError>> {
        Box::pin(async move {
            let message = message(mail, &self.from)?;
            let failed = |error: std::io::Error| PostError {
                reason: format!("{}: {error}", self.folder.display()),
                permanent: false,
            };
            let path = self.write(mail, &message.formatted()).await.map_err(failed)?;
            if self.tell {
                tracing::info!(file = %path.display(), "a mail was written");
            }
            make_room(&self.folder).await.map_err(failed)
        })
    }
}

async fn make_room(folder: &Path) -> std::io::Result<()> {
    let mut mails = Vec::new();
    let mut entries = fs::read_dir(folder).await?;
    while let Some(entry) = entries.next_entry().await? {
        if entry.file_name().to_str().is_some_and(|name| name.ends_with(ENDING)) {
            mails.push(entry.path());
        }
    }
    mails.sort_unstable();
    let surplus = mails.len().saturating_sub(FILES_MAX);
    for oldest in &mails[..surplus] {
        fs::remove_file(oldest).await?;
    }
    Ok(())
}
