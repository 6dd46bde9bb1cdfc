//! The settings of what is told to people about their data.

use std::path::PathBuf;

use serde::Deserialize;

use crate::Settings;
use crate::identity::{MailTransport, is_here};
use crate::rules::Rule;
use crate::settings::bucket_host;

/// What is told to people about their data, and to whom an incident is told by when.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrivacySettings {
    /// Who runs this platform: the name that the notice gives.
    pub operator: String,
    /// Their address.
    pub address: String,
    /// Where people write to about their data: `mailto:…` or `https://…`.
    pub contact: String,
    /// Whose machines it runs on: a name of the register of providers, or "own".
    pub hosted_by: String,
    /// The register of providers; empty: the one that comes with the program.
    pub subprocessors_file: PathBuf,
    /// A trial without anybody's real data: it starts although what the law wants told is not complete.
    pub trial: bool,
    /// For how long the model's provider keeps what it is sent, days; 0 with zero data retention.
    pub model_keeps_days: u32,
    /// How long each party may wait to be told of an incident.
    pub incident_hours: IncidentHourSettings,
}

/// How long each party may wait to be told of an incident, hours from when it was known.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IncidentHourSettings {
    /// Meta.
    pub meta: u32,
    /// Clients.
    pub clients: u32,
    /// The authority.
    pub authority: u32,
    /// The people.
    pub people: u32,
}

/// What a provider is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum UsedFor {
    /// Carrying messages.
    Channels,
    /// Answering.
    Model,
    /// Keeping files.
    Files,
    /// Keeping backups.
    Backups,
    /// Mails.
    Mail,
    /// Signing in.
    SignIn,
}

impl UsedFor {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Channels => "channels",
            Self::Model => "model",
            Self::Files => "files",
            Self::Backups => "backups",
            Self::Mail => "mail",
            Self::SignIn => "sign_in",
        }
    }
}

impl Settings {
    /// The hosts outside of this machine that this server hands personal data to, with what for: what it may call
    /// (`egress`), and its mail server. Tools and receivers of webhooks are the tenants' own systems.
    pub fn destinations(&self) -> Vec<(UsedFor, String)> {
        let host = |url: &url::Url| url.host_str().unwrap_or_default().to_owned();
        let mut all = vec![
            (UsedFor::Channels, host(&self.meta.graph_base_url)),
            (UsedFor::Channels, host(&self.meta.instagram_base_url)),
            (UsedFor::Model, host(&self.model.base_url)),
        ];
        all.extend(self.meta.media_domains.iter().map(|domain| (UsedFor::Channels, domain.clone())));
        all.extend(self.model.hosts.iter().map(|host| (UsedFor::Model, host.clone())));
        all.extend(self.media.bucket_host().map(|host| (UsedFor::Files, host)));
        if self.backup.to.starts_with("s3://") {
            all.push((UsedFor::Backups, bucket_host(&self.backup.s3_endpoint, &self.backup.s3_region)));
        }
        if self.mail.transport == MailTransport::Smtp {
            all.push((UsedFor::Mail, self.mail.smtp_host.clone()));
        }
        all.extend(self.identity.supabase().map(|url| (UsedFor::SignIn, host(&url))));
        all.retain(|(_, host)| !is_here(host));
        all.sort();
        all.dedup();
        all
    }

    /// Whether others than this machine can reach this server: then what the law wants told must be complete.
    pub fn serves_others(&self) -> bool {
        let server = &self.server;
        let elsewhere = !is_here(server.bind.trim_matches(['[', ']'])) && server.bind != "::1";
        elsewhere || !server.trusted_proxies.is_empty() || server.public_url.starts_with("https://")
    }

    pub(crate) fn rules_of_privacy(&self) -> [Rule; 2] {
        let privacy = &self.privacy;
        let hours = privacy.incident_hours;
        let all = [hours.meta, hours.clients, hours.authority, hours.people];
        let contact = &privacy.contact;
        [
            (
                contact.is_empty() || contact.starts_with("mailto:") || contact.starts_with("https://"),
                "privacy.contact",
                "must be empty, or begin with mailto: or https://",
            ),
            (
                all.iter().all(|hours| (1..=720).contains(hours)) && privacy.model_keeps_days <= 3_650,
                "privacy.incident_hours",
                "must be 1 to 720 hours each, and privacy.model_keeps_days at most 3650",
            ),
        ]
    }
}
