//! Settings of who signs in, and of the mails they get. What each means is said in `default.toml`.

use std::path::PathBuf;

use serde::Deserialize;
use url::{Host, Url};

use crate::{Secret, Settings, rules::Rule};

/// Who signs in, and how.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdentitySettings {
    /// What mails and authenticators call this platform.
    pub name: String,
    /// Passwords that are hashed at once.
    pub hash_concurrency: usize,
    /// Passwords that may wait for that; more are told to try again.
    pub hash_queue_max: usize,
    /// Tries to sign in from one address at once.
    pub address_burst: u32,
    /// And then one in this time, milliseconds.
    pub address_interval_ms: u64,
    /// Tries for one account from devices that it has not signed in on, at once.
    pub account_burst: u32,
    /// And then one in this time, milliseconds.
    pub account_interval_ms: u64,
    /// Second factors of one account that may be tried at once.
    pub second_factor_burst: u32,
    /// And then one in this time, milliseconds.
    pub second_factor_interval_ms: u64,
    /// Mails that one address may be sent because somebody asked for it, at once.
    pub mail_burst: u32,
    /// And then one in this time, milliseconds.
    pub mail_interval_ms: u64,
    /// The Supabase project whose users may sign in here; empty is none.
    pub supabase_url: String,
    /// The audience that its tokens must name.
    pub supabase_audience: String,
    /// Its publishable key, to ask whether an address is confirmed.
    pub supabase_key: Secret,
}

impl IdentitySettings {
    /// The Supabase project's address, if there is one.
    pub fn supabase(&self) -> Option<Url> {
        Url::parse(&self.supabase_url).ok()
    }
}

/// How mails leave.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MailSettings {
    /// Where mails go.
    pub transport: MailTransport,
    /// Whom they come from.
    pub from: String,
    /// Where "file" and "log" put them.
    pub folder: PathBuf,
    /// The mail server.
    pub smtp_host: String,
    /// Its port.
    pub smtp_port: u16,
    /// How the connection is secured.
    pub smtp_security: SmtpSecurity,
    /// Whom to sign in as; empty is nobody.
    pub smtp_user: String,
    /// With which password.
    pub smtp_password: Secret,
    /// How long one delivery may take, milliseconds.
    pub timeout_ms: u64,
    /// Mails that may wait to be delivered.
    pub queue_max: usize,
    /// A mail is given up so long after it was written, hours.
    pub give_up_hours: u64,
    /// The pause before the second try, milliseconds; it doubles.
    pub retry_ms: u64,
}

/// Where mails go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MailTransport {
    /// To a mail server.
    Smtp,
    /// Into files.
    File,
    /// Into files, and the log says that one was written and where.
    Log,
}

/// How the connection to the mail server is secured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SmtpSecurity {
    /// TLS from the first byte.
    Tls,
    /// TLS after STARTTLS, which must succeed.
    Starttls,
    /// None: only for a server on this machine.
    Plain,
}

impl Settings {
    pub(crate) fn rules_of_identity(&self) -> [Rule; 9] {
        let identity = &self.identity;
        let counts = [
            identity.address_burst,
            identity.account_burst,
            identity.second_factor_burst,
            identity.mail_burst,
        ];
        let times = [
            identity.address_interval_ms,
            identity.account_interval_ms,
            identity.second_factor_interval_ms,
            identity.mail_interval_ms,
        ];
        let intervals = 1..=86_400_000;
        [
            (
                (1..=64).contains(&identity.name.chars().count())
                    && !identity.name.chars().any(|c| c.is_control() || c == ':'),
                "identity.name",
                "must have 1 to 64 characters and no colon: authenticators show it",
            ),
            ((1..=64).contains(&identity.hash_concurrency), "identity.hash_concurrency", "must be 1 to 64"),
            (identity.hash_queue_max <= 10_000, "identity.hash_queue_max", "must be at most 10000"),
            (
                counts.iter().all(|count| (1..=1_000).contains(count)),
                "identity.address_burst",
                "and the other bursts of [identity] must be 1 to 1000",
            ),
            (
                times.iter().all(|time| intervals.contains(time)),
                "identity.address_interval_ms",
                "and the other intervals of [identity] must be 1 to 86400000",
            ),
            (
                identity.supabase_url.is_empty() || identity.supabase().is_some_and(|url| is_safe(&url)),
                "identity.supabase_url",
                "must be empty or the project's address, like https://abcd.supabase.co (plain http only on this machine)",
            ),
            (
                identity.supabase_url.is_empty() || !identity.supabase_audience.is_empty(),
                "identity.supabase_audience",
                "must name the audience of the tokens: `authenticated`, unless the project says otherwise",
            ),
            self.mail.server_rule(),
            (
                self.mail.from.contains('@')
                    && self.mail.timeout_ms > 0
                    && (1..=100_000).contains(&self.mail.queue_max)
                    && (1..=168).contains(&self.mail.give_up_hours),
                "mail.from",
                "must be an address; mail.timeout_ms at least 1, mail.queue_max 1 to 100000, mail.give_up_hours 1 to 168",
            ),
        ]
    }
}

impl MailSettings {
    fn server_rule(&self) -> Rule {
        let server = self.transport != MailTransport::Smtp
            || (!self.smtp_host.is_empty()
                && self.smtp_port != 0
                && (self.smtp_security != SmtpSecurity::Plain || is_here(&self.smtp_host)));
        (
            server,
            "mail.smtp_host",
            "must name the mail server, with mail.smtp_port; mail.smtp_security = \"plain\" is only for a server on this machine",
        )
    }
}

/// https, or http on this machine.
fn is_safe(url: &Url) -> bool {
    let plain = url.username().is_empty() && url.password().is_none() && url.query().is_none();
    plain
        && match url.scheme() {
            "https" => url.host().is_some(),
            "http" => url.host_str().is_some_and(is_here),
            _ => false,
        }
}

pub(crate) fn is_here(host: &str) -> bool {
    match Host::parse(host) {
        Ok(Host::Domain(name)) => name == "localhost",
        Ok(Host::Ipv4(address)) => address.is_loopback(),
        Ok(Host::Ipv6(address)) => address.is_loopback(),
        Err(_) => false,
    }
}
