//! The register of providers: to whom personal data goes, for what, where, and by which agreement. What the settings
//! make use of must be in it, and complete, before a server that others can reach is started.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use iassistance_config::{SUBPROCESSORS, Settings, UsedFor};
use iassistance_domain::Timestamp;
use iassistance_domain::account::Language;
use iassistance_domain::map::Category;

/// What `privacy.hosted_by` says where the machines are the operator's own.
const OWN: &str = "own";
/// A register is no larger, bytes.
const BYTES_MAX: u64 = 1 << 20;

/// The register, as its file has it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Register {
    /// Goes up with every change.
    pub version: u32,
    /// The day of the last change, as `2026-03-01`.
    pub updated: String,
    #[serde(rename = "provider")]
    providers: Vec<Provider>,
}

/// One provider.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provider {
    /// Its legal name.
    pub name: String,
    /// Its hosts, each with all below it.
    pub hosts: Vec<String>,
    /// What it gets, in the words of the data map.
    pub categories: Vec<String>,
    /// The country of its seat, two letters.
    pub country: String,
    /// Where it processes the data.
    pub region: String,
    /// The mechanism by which it may be handed there.
    pub transfer: String,
    /// The date of the agreement, as `2026-03-01`.
    pub agreement: String,
    /// What for.
    pub purpose: Purpose,
}

/// What for, in each language.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Purpose {
    es: String,
    pt: String,
    en: String,
}

impl Purpose {
    /// In one language.
    pub fn to(&self, language: Language) -> &str {
        match language {
            Language::Es => &self.es,
            Language::Pt => &self.pt,
            Language::En => &self.en,
        }
    }
}

/// A provider that the settings make use of.
#[derive(Debug, Clone, Serialize)]
pub struct InUse {
    /// Its legal name.
    pub name: String,
    /// What for, by language.
    pub purpose: [(&'static str, String); 3],
    /// What it is used for: `channels`, `model`, `files`, `backups`, `mail`, `sign_in`, `hosting`.
    pub used_for: Vec<&'static str>,
    /// Hosts that may be called.
    pub hosts: Vec<String>,
    /// What it gets.
    pub categories: Vec<String>,
    /// The country of its seat.
    pub country: String,
    /// Where it processes the data.
    pub region: String,
    /// The mechanism.
    pub transfer: String,
    /// The date of the agreement.
    pub agreement: String,
}

/// Why there is no register.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    /// The file cannot be read.
    #[error("cannot read the register of providers {}: {source}; see `privacy.subprocessors_file`", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// It is not one.
    #[error(
        "the register of providers {origin} is not one: {reason}; take config/subprocessors.toml as a pattern"
    )]
    NotOne {
        /// Which.
        origin: String,
        /// What is wrong.
        reason: String,
    },
    /// What the law wants told is not complete.
    #[error(
        "the server is to be reached by others, and what the law wants told about it is not complete:\n  - {}\nFill it in (`iassistance subprocessors check` looks again), or set privacy.trial = true where no real data is.",
        .0.join("\n  - ")
    )]
    Incomplete(Vec<String>),
}

impl Register {
    /// The register that the settings name, or the one that comes with the program. Blocking.
    ///
    /// # Errors
    /// [`RegisterError::Unreadable`], [`RegisterError::NotOne`]
    pub fn load(settings: &Settings) -> Result<Self, RegisterError> {
        let path = &settings.privacy.subprocessors_file;
        if path.as_os_str().is_empty() {
            return Self::parse(SUBPROCESSORS, "that comes with the program");
        }
        let unreadable = |source| RegisterError::Unreadable { path: path.clone(), source };
        let bytes = std::fs::metadata(path).map_err(unreadable)?.len();
        if bytes > BYTES_MAX {
            return Err(unreadable(std::io::Error::other("it is larger than a mebibyte")));
        }
        Self::parse(&std::fs::read_to_string(path).map_err(unreadable)?, &path.display().to_string())
    }

    fn parse(text: &str, origin: &str) -> Result<Self, RegisterError> {
        let reason = |reason: String| RegisterError::NotOne { origin: origin.to_owned(), reason };
        toml::from_str(text).map_err(|error: toml::de::Error| reason(error.message().to_owned()))
    }

    fn provider_of(&self, host: &str) -> Option<&Provider> {
        let host = host.to_ascii_lowercase();
        let is_below = |domain: &String| {
            host.strip_suffix(domain.to_ascii_lowercase().as_str())
                .is_some_and(|rest| !domain.is_empty() && (rest.is_empty() || rest.ends_with('.')))
        };
        self.providers.iter().find(|provider| provider.hosts.iter().any(is_below))
    }

    /// The providers that the settings make use of, in the order of the register.
    pub fn in_use(&self, settings: &Settings) -> Vec<InUse> {
        let destinations = settings.destinations();
        let used = |provider: &Provider| {
            let own = |(_, host): &&(UsedFor, String)| {
                self.provider_of(host).is_some_and(|known| known.name == provider.name)
            };
            let found: Vec<_> = destinations.iter().filter(own).collect();
            let mut used_for: Vec<_> = found.iter().map(|(what, _)| what.name()).collect();
            used_for.dedup();
            if provider.name == settings.privacy.hosted_by {
                used_for.push("hosting");
            }
            let hosts = found.iter().map(|(_, host)| host.clone()).collect();
            (!used_for.is_empty()).then(|| provider.in_use(used_for, hosts))
        };
        self.providers.iter().filter_map(used).collect()
    }

    /// What is missing of what the law wants told: in the register, and about who runs the platform.
    pub fn lacks(&self, settings: &Settings) -> Vec<String> {
        let privacy = &settings.privacy;
        let mut lacks = Vec::new();
        for (key, value, what) in [
            ("operator", &privacy.operator, "who runs this platform"),
            ("address", &privacy.address, "their address"),
            ("contact", &privacy.contact, "where people write to about their data"),
            (
                "hosted_by",
                &privacy.hosted_by,
                "whose machines it runs on: a name of the register, or \"own\"",
            ),
        ] {
            if value.trim().is_empty() {
                lacks.push(format!("privacy.{key} is blank: {what}"));
            }
        }
        let hosted_by = privacy.hosted_by.trim();
        let is_known = self.providers.iter().any(|provider| provider.name == hosted_by);
        if !hosted_by.is_empty() && hosted_by != OWN && !is_known {
            lacks.push(format!("privacy.hosted_by names `{hosted_by}`, which is on no line of the register"));
        }
        for (what, host) in settings.destinations() {
            if self.provider_of(&host).is_none() {
                let what = what.name();
                lacks.push(format!(
                    "no provider of the register has the host `{host}`, which is used for {what}"
                ));
            }
        }
        if !is_day(&self.updated) {
            lacks.push("the register: `updated` must be a day like 2026-03-01".to_owned());
        }
        for provider in self.in_use(settings) {
            lacks.extend(provider.lacks().into_iter().map(|what| format!("{}: {what}", provider.name)));
        }
        lacks
    }

    /// Whether a server with these settings may start.
    ///
    /// # Errors
    /// [`RegisterError`]
    pub fn check_start(settings: &Settings) -> Result<(), RegisterError> {
        let lacks = Self::load(settings)?.lacks(settings);
        let may = lacks.is_empty() || settings.privacy.trial || !settings.serves_others();
        if may { Ok(()) } else { Err(RegisterError::Incomplete(lacks)) }
    }
}

impl Provider {
    fn in_use(&self, used_for: Vec<&'static str>, hosts: Vec<String>) -> InUse {
        let Purpose { es, pt, en } = self.purpose.clone();
        InUse {
            name: self.name.clone(),
            purpose: [("es", es), ("pt", pt), ("en", en)],
            used_for,
            hosts,
            categories: self.categories.clone(),
            country: self.country.clone(),
            region: self.region.clone(),
            transfer: self.transfer.clone(),
            agreement: self.agreement.clone(),
        }
    }
}

impl InUse {
    /// What it says in one language.
    pub fn purpose_in(&self, language: Language) -> &str {
        let found = self.purpose.iter().find(|(code, _)| *code == language.code());
        found.map_or("", |(_, text)| text.as_str())
    }

    fn lacks(&self) -> Vec<String> {
        let mut lacks = Vec::new();
        let texts = [("region", &self.region), ("transfer", &self.transfer), ("agreement", &self.agreement)];
        for (field, text) in texts {
            if text.trim().is_empty() {
                lacks.push(format!("`{field}` is blank"));
            }
        }
        for (language, text) in &self.purpose {
            if text.trim().is_empty() {
                lacks.push(format!("`purpose.{language}` is blank"));
            }
        }
        if !self.agreement.trim().is_empty() && !is_day(&self.agreement) {
            lacks.push("`agreement` must be a day like 2026-03-01".to_owned());
        }
        if self.country.len() != 2 {
            lacks.push("`country` must be its two letters, like AR".to_owned());
        }
        let is_known = |name: &String| Category::ALL.iter().any(|category| category.name() == name);
        if self.categories.is_empty() || !self.categories.iter().all(is_known) {
            lacks.push("`categories` must name what it gets, in words of the data map".to_owned());
        }
        lacks
    }
}

/// Whether it is a day like `2026-03-01`.
fn is_day(text: &str) -> bool {
    text.len() == 10 && Timestamp::from_rfc3339(&format!("{text}T00:00:00Z")).is_some()
}

#[cfg(test)]
mod tests {
    use iassistance_config::Sources;

    use super::*;

    fn settings(flags: &[&str]) -> Settings {
        let flags = flags.iter().map(ToString::to_string).collect();
        Sources { flags, ..Sources::default() }.settings().unwrap()
    }

    const TOLD: [&str; 4] = [
        "privacy.operator=Ejemplo S.A.",
        "privacy.address=Calle 1, Rosario",
        "privacy.contact=mailto:datos@example.org",
        "privacy.hosted_by=own",
    ];

    #[test]
    fn the_register_that_comes_along_names_what_the_defaults_use_and_leaves_open_what_contracts_say() {
        let settings = settings(&TOLD);
        let register = Register::load(&settings).unwrap();
        let used = register.in_use(&settings);
        let names: Vec<_> = used.iter().map(|provider| provider.name.as_str()).collect();
        assert_eq!(names, ["Meta Platforms, Inc.", "OpenAI, L.L.C."]);
        assert_eq!(
            (used[0].used_for.as_slice(), used[1].used_for.as_slice()),
            (&["channels"][..], &["model"][..])
        );
        let lacks = register.lacks(&settings);
        assert_eq!(lacks.len(), 6, "region, transfer and agreement of two: {lacks:?}");
    }

    #[test]
    fn only_what_is_configured_counts_and_nothing_that_is_may_be_missing() {
        let mut flags = TOLD.to_vec();
        flags.extend([
            "identity.supabase_url=https://abcd.supabase.co",
            "mail.transport=smtp",
            "mail.smtp_host=mail.example.net",
            "model.base_url=https://llm.example.com/v1",
            "privacy.hosted_by=Railway Corporation",
        ]);
        let settings = settings(&flags);
        let register = Register::load(&settings).unwrap();
        let used = register.in_use(&settings);
        let names: Vec<_> = used.iter().map(|provider| provider.name.as_str()).collect();
        assert_eq!(
            names,
            ["Meta Platforms, Inc.", "OpenAI, L.L.C.", "Supabase, Inc.", "Railway Corporation"]
        );
        let lacks = register.lacks(&settings).join("\n");
        assert!(lacks.contains("`mail.example.net`") && lacks.contains("`llm.example.com`"), "{lacks}");
        assert!(!register.provider_of("evil-openai.com").is_some_and(|_| true));
        assert!(register.provider_of("API.OpenAI.com").is_some());
    }

    #[test]
    fn who_serves_others_tells_all_and_a_trial_or_this_machine_need_not() {
        let outside = ["server.bind=0.0.0.0", "server.trusted_proxies=[\"10.0.0.0/8\"]"];
        let refusal = Register::check_start(&settings(&outside)).unwrap_err().to_string();
        for named in ["privacy.operator", "OpenAI, L.L.C.: `agreement` is blank", "privacy.trial"] {
            assert!(refusal.contains(named), "{named}: {refusal}");
        }
        assert!(Register::check_start(&settings(&[])).is_ok(), "this machine alone");
        let trial = [outside[0], outside[1], "privacy.trial=true"];
        assert!(Register::check_start(&settings(&trial)).is_ok());
        assert!(Register::check_start(&settings(&["server.public_url=https://chat.example.org"])).is_err());
    }

    #[test]
    fn a_register_that_is_complete_lets_the_server_start() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let text = SUBPROCESSORS
            .replace("region = \"\"", "region = \"eu\"")
            .replace("transfer = \"\"", "transfer = \"model clauses\"")
            .replace("agreement = \"\"", "agreement = \"2026-03-01\"");
        std::fs::write(file.path(), &text).unwrap();
        let named = format!("privacy.subprocessors_file={}", file.path().display());
        let mut flags = TOLD.to_vec();
        flags.extend(["server.public_url=https://chat.example.org", &named]);
        assert!(Register::check_start(&settings(&flags)).is_ok());
        std::fs::write(file.path(), text.replace("2026-03-01", "2026-13-01")).unwrap();
        assert!(Register::check_start(&settings(&flags)).unwrap_err().to_string().contains("must be a day"));
        std::fs::write(file.path(), "version = 1").unwrap();
        assert!(Register::check_start(&settings(&flags)).unwrap_err().to_string().contains("is not one"));
        std::fs::remove_file(file.path()).unwrap();
        assert!(Register::check_start(&settings(&flags)).unwrap_err().to_string().contains("cannot read"));
    }
}
