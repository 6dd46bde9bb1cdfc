//! Settings. `default.toml` is the manual: embedded, commented, and read first; a file, the
//! environment and flags lie over it. This is the one room that reads the environment.

mod edge;
mod hooks;
mod identity;
mod privacy;
mod retention;
mod rights;
mod rules;
mod secret;
mod settings;
mod trail;
mod turns;

pub use hooks::HookSettings;
pub use identity::{IdentitySettings, MailSettings, MailTransport, SmtpSecurity};
pub use privacy::{IncidentHourSettings, PrivacySettings, UsedFor};
pub use retention::{ClassDays, RetentionSettings};
pub use rights::{LAW, RightsSettings};
pub use secret::Secret;
pub use settings::{
    ActorSettings, AssistantDefaults, Backend, BackupSettings, DispatchSettings, LimitSettings, LiveSettings,
    LogFormat, LogSettings, MediaSettings, MetaSettings, ModelSettings, ServerSettings, Settings,
    StorageSettings, UnknownPolicy, VaultSettings, WindowSettings,
};
pub use trail::{AccessSettings, AuditSettings};
pub use turns::{KnowledgeSettings, ModelPrice, PriceSettings, ToolSettings};

use std::path::{Path, PathBuf};

use toml::{Table, Value};

/// Every setting with its default and what it means.
pub const DEFAULTS: &str = include_str!("../default.toml");
/// The register of providers that comes with the program.
pub const SUBPROCESSORS: &str = include_str!("../subprocessors.toml");

/// Why settings could not be had: where, what, and what would do.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file could not be read.
    #[error("cannot read {path}: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A file is not TOML.
    #[error("{origin} is not TOML: {reason}")]
    NotToml {
        /// The file, variable or flag.
        origin: String,
        /// Where it goes wrong.
        reason: String,
    },
    /// A key is unknown or has a value of the wrong kind.
    #[error("{reason} (in {origin}; every key is listed by `iassistance config`)")]
    BadKey {
        /// Where it stands.
        origin: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A value is out of its range.
    #[error("`{key}` {rule}")]
    OutOfRange {
        /// The key.
        key: &'static str,
        /// What it must be.
        rule: &'static str,
    },
}

/// What lies over the defaults, lowest first: a file, the environment, flags.
#[derive(Debug, Default, Clone)]
pub struct Sources {
    /// The file that was asked for; it must exist. Without one `iassistance.toml` is read if there.
    pub file: Option<PathBuf>,
    /// `section.key=value` from the command line.
    pub flags: Vec<String>,
    /// The environment.
    pub environment: Vec<(String, String)>,
}

impl Sources {
    /// The process's own environment, with the file and the flags of its command line.
    pub fn of_process(file: Option<PathBuf>, flags: Vec<String>) -> Self {
        Self { file, flags, environment: std::env::vars().collect() }
    }

    /// A variable of the environment; empty ones count as absent.
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.environment
            .iter()
            .find(|(key, value)| key == name && !value.is_empty())
            .map(|(_, value)| value.as_str())
    }

    /// The root key, where the environment has it (`IASSISTANCE_ROOT_KEY`).
    pub fn root_key(&self) -> Option<Secret> {
        self.variable("IASSISTANCE_ROOT_KEY").map(Secret::new)
    }

    /// The settings that all of this makes.
    pub fn settings(&self) -> Result<Settings, ConfigError> {
        let mut table = parse(DEFAULTS, "default.toml")?;
        let local = Path::new("iassistance.toml");
        let file = self.file.clone().or_else(|| local.exists().then(|| local.to_path_buf()));
        if let Some(path) = file {
            let text = std::fs::read_to_string(&path)
                .map_err(|source| ConfigError::Unreadable { path: path.clone(), source })?;
            let origin = path.display().to_string();
            merge(&mut table, parse(&text, &origin)?, &origin)?;
        }
        for (name, value) in &self.environment {
            if let Some(key) = name.strip_prefix("IASSISTANCE__") {
                merge(&mut table, single(&key.to_lowercase().replace("__", "."), value, name)?, name)?;
            }
        }
        if let Some(port) = self.variable("PORT") {
            merge(&mut table, single("server.port", port, "PORT")?, "PORT")?;
        }
        for flag in &self.flags {
            let origin = format!("--set {flag}");
            let bad = || ConfigError::BadKey {
                origin: origin.clone(),
                reason: "expected section.key=value".into(),
            };
            let (key, value) = flag.split_once('=').ok_or_else(bad)?;
            merge(&mut table, single(key.trim(), value.trim(), &origin)?, &origin)?;
        }
        let settings: Settings =
            Value::Table(table).try_into().map_err(|error: toml::de::Error| ConfigError::BadKey {
                origin: "the settings as a whole".into(),
                reason: error.message().to_owned(),
            })?;
        settings.validate()?;
        Ok(settings)
    }
}

fn parse(text: &str, origin: &str) -> Result<Table, ConfigError> {
    text.parse::<Table>().map_err(|error| ConfigError::NotToml {
        origin: origin.to_owned(),
        reason: error.message().to_owned(),
    })
}

/// A table with one value in it. The text is taken as TOML where it is TOML, else as a string.
fn single(key: &str, text: &str, origin: &str) -> Result<Table, ConfigError> {
    let bad =
        || ConfigError::BadKey { origin: origin.to_owned(), reason: format!("`{key}` is not section.key") };
    let (section, name) = key.split_once('.').ok_or_else(bad)?;
    let value = format!("value = {text}")
        .parse::<Table>()
        .ok()
        .and_then(|mut table| table.remove("value"))
        .unwrap_or_else(|| Value::String(text.to_owned()));
    Ok(Table::from_iter([(section.to_owned(), Value::Table(Table::from_iter([(name.to_owned(), value)])))]))
}

/// Lays `over` on `base`. What the defaults do not have is an error; so is another kind of value.
fn merge(base: &mut Table, over: Table, origin: &str) -> Result<(), ConfigError> {
    let bad = |reason: String| ConfigError::BadKey { origin: origin.to_owned(), reason };
    for (section, values) in over {
        let target = base
            .get_mut(&section)
            .and_then(Value::as_table_mut)
            .ok_or_else(|| bad(format!("there is no section `{section}`")))?;
        let Value::Table(values) = values else { return Err(bad(format!("`{section}` is a section"))) };
        for (key, value) in values {
            // Models have whatever names their servers give them.
            if section == "prices" && !target.contains_key(&key) {
                target.insert(key, value);
                continue;
            }
            let old =
                target.get_mut(&key).ok_or_else(|| bad(format!("there is no setting `{section}.{key}`")))?;
            *old = fit(old, value).map_err(|kind| bad(format!("`{section}.{key}` must be {kind}")))?;
        }
    }
    Ok(())
}

/// `value` as the kind of value that `old` is, or the name of that kind. The environment and flags
/// have no kinds of their own: `8080` is also a text there, and `1` a number with a fraction.
fn fit(old: &Value, value: Value) -> Result<Value, &'static str> {
    match (old, value) {
        (Value::String(_), value @ Value::String(_))
        | (Value::Integer(_), value @ Value::Integer(_))
        | (Value::Boolean(_), value @ Value::Boolean(_))
        | (Value::Array(_), value @ Value::Array(_))
        | (Value::Float(_), value @ Value::Float(_))
        | (Value::Table(_), value @ Value::Table(_)) => Ok(value),
        (Value::String(_), value @ (Value::Integer(_) | Value::Float(_) | Value::Boolean(_))) => {
            Ok(Value::String(value.to_string()))
        }
        #[expect(clippy::cast_precision_loss, reason = "settings with a fraction are small")]
        (Value::Float(_), Value::Integer(number)) => Ok(Value::Float(number as f64)),
        (Value::String(_), _) => Err("a text"),
        (Value::Integer(_), _) => Err("a whole number"),
        (Value::Boolean(_), _) => Err("true or false"),
        (Value::Float(_), _) => Err("a number"),
        (Value::Table(_), _) => Err("a table like { input = 0.40, output = 1.60 }"),
        _ => Err("a list"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(environment: &[(&str, &str)], flags: &[&str]) -> Result<Settings, ConfigError> {
        let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        Sources {
            file: None,
            flags: flags.iter().map(ToString::to_string).collect(),
            environment: environment.iter().map(owned).collect(),
        }
        .settings()
    }

    #[test]
    fn the_manual_is_a_valid_configuration() {
        let settings = with(&[], &[]).unwrap();
        assert_eq!(settings.server.webhook_body_bytes_max, 3 * 1024 * 1024);
        assert_eq!(settings.dispatch.unknown_policy, UnknownPolicy::Hold);
    }

    #[test]
    fn later_sources_win() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "[server]\nport = 1\nbind = \"::1\"\n").unwrap();
        let sources = Sources {
            file: Some(file.path().into()),
            flags: vec!["server.port=4".into()],
            environment: vec![
                ("IASSISTANCE__SERVER__PORT".into(), "2".into()),
                ("PORT".into(), "3".into()),
                ("IASSISTANCE__MODEL__API_KEY".into(), "12345".into()),
            ],
        };
        let settings = sources.settings().unwrap();
        assert_eq!((settings.server.port, settings.server.bind.as_str()), (4, "::1"));
        assert_eq!(settings.model.api_key.expose(), "12345");
        assert!(!format!("{settings:?}").contains("12345"));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let message = |result: Result<Settings, ConfigError>| result.unwrap_err().to_string();
        assert!(
            message(with(&[("IASSISTANCE__SERVER__PROT", "1")], &[])).contains("no setting `server.prot`")
        );
        assert!(message(with(&[], &["nowhere.x=1"])).contains("no section `nowhere`"));
        assert!(message(with(&[("PORT", "eighty")], &[])).contains("`server.port` must be a whole number"));
        assert!(message(with(&[], &["storage.dedup_days=3"])).contains("at least 8"));
        assert!(message(with(&[], &["port"])).contains("expected section.key=value"));
    }

    #[test]
    fn any_model_may_have_a_price() {
        let settings = with(&[], &["prices.my-model.v2={ input = 1, output = 2.5 }"]).unwrap();
        let price = settings.prices.models["my-model.v2"];
        assert_eq!((price.input_thousandths(), price.output_thousandths()), (1_000, 2_500));
        assert_eq!(settings.prices.models["gpt-4.1-mini"].input_thousandths(), 400);
        assert_eq!(settings.prices.others, None);
        let settings = with(&[], &["prices.others={ input = 0.0001, output = 0 }"]).unwrap();
        let price = settings.prices.others.unwrap();
        assert_eq!((price.input_thousandths(), price.output_thousandths()), (1, 0));
        assert!(!settings.prices.models.contains_key("others"));
    }

    #[test]
    fn prices_and_hosts_that_mean_nothing_are_refused() {
        let message = |flag: &str| with(&[], &[flag]).unwrap_err().to_string();
        assert!(message("prices.gpt-5={ input = -1, output = 2 }").contains("`prices`"));
        assert!(message("prices.gpt-5=2").contains("must be a table like"));
        assert!(message("prices.mine={ input = 1 }").contains("output"));
        assert!(message("prices.mine={ input = 1, output = 2, cached = 1 }").contains("cached"));
        for host in ["https://crm.internal", "crm.internal/x", "me@crm.internal", ""] {
            let refusal = message(&format!("tools.private_hosts=[\"{host}\"]"));
            assert!(refusal.contains("tools.private_hosts"), "{host}: {refusal}");
        }
        assert!(message("hooks.private_hosts=[\"https://crm.internal\"]").contains("hooks.private_hosts"));
        assert!(message("hooks.waiting_max=0").contains("hooks.waiting_max"));
        assert!(message("hooks.timeout_ms=100").contains("hooks.timeout_ms"));
        let hosts = with(&[], &["tools.private_hosts=[\"crm.internal:8080\", \"[::1]:9\", \"10.0.0.7\"]"]);
        assert_eq!(hosts.unwrap().tools.private_hosts.len(), 3);
        assert!(message("model.turn_ms=0").contains("model.turn_ms"));
        assert!(message("knowledge.documents_max=501").contains("1 to 500"));
        assert!(message("assistant.tool_rounds_max=0").contains("1 to 20"));
    }

    #[test]
    fn a_bucket_without_an_address_is_at_amazons_of_its_region() {
        let hosts = |flags: &[&str]| -> Vec<String> {
            let buckets = [UsedFor::Files, UsedFor::Backups];
            let all = with(&[], flags).unwrap().destinations();
            all.into_iter().filter(|(what, _)| buckets.contains(what)).map(|(_, host)| host).collect()
        };
        let files = ["media.s3_bucket=files", "media.s3_region=eu-west-1"];
        let backups =
            ["backup.to=s3://backups", "backup.recipients=[\"age1x\"]", "backup.s3_region=sa-east-1"];
        assert_eq!(hosts(&files), ["s3.eu-west-1.amazonaws.com"]);
        assert_eq!(hosts(&backups), ["s3.sa-east-1.amazonaws.com"]);
        assert_eq!(
            hosts(&[backups[0], backups[1], "backup.s3_endpoint=https://s3.example/x"]),
            ["s3.example"]
        );
        assert!(hosts(&["backup.s3_region=sa-east-1"]).is_empty(), "nothing goes to a bucket");
    }

    #[test]
    fn who_signs_in_and_how_mails_leave_is_checked() {
        let settings = with(&[("IASSISTANCE__MAIL__SMTP_PASSWORD", "1234")], &[]).unwrap();
        assert_eq!(settings.identity.supabase(), None);
        assert!(!format!("{settings:?}").contains("1234"));
        for (flag, named) in [
            ("identity.name=a:b", "identity.name"),
            ("identity.hash_concurrency=0", "identity.hash_concurrency"),
            ("identity.account_burst=0", "identity.address_burst"),
            ("identity.mail_interval_ms=0", "identity.address_interval_ms"),
            ("identity.supabase_url=http://abcd.supabase.co", "identity.supabase_url"),
            ("identity.supabase_url=https://me@abcd.supabase.co", "identity.supabase_url"),
            ("mail.transport=smtp", "mail.smtp_host"),
            ("mail.transport=pigeon", "pigeon"),
            ("mail.from=nobody", "mail.from"),
        ] {
            let refusal = with(&[], &[flag]).unwrap_err().to_string();
            assert!(refusal.contains(named), "{flag}: {refusal}");
        }
        let plain = |host: &str| {
            let host = format!("mail.smtp_host={host}");
            with(&[], &["mail.transport=smtp", "mail.smtp_security=plain", &host])
        };
        assert!(plain("mail.example").is_err());
        assert!(plain("127.0.0.1").is_ok());
        assert!(with(&[], &["identity.supabase_url=http://127.0.0.1:54321"]).is_ok());
        assert!(with(&[], &["identity.supabase_url=https://abcd.supabase.co"]).is_ok());
    }

    #[test]
    fn a_plain_door_to_the_outside_is_refused() {
        let open = "server.bind=0.0.0.0";
        let refusal = with(&[], &[open]).unwrap_err().to_string();
        assert!(
            refusal.contains("server.trusted_proxies") && refusal.contains("tls_certificate"),
            "{refusal}"
        );
        assert!(with(&[], &[open, "server.trusted_proxies=[\"100.64.0.0/10\"]"]).is_ok());
        assert!(with(&[], &[open, "server.tls_certificate=a.pem", "server.tls_key=b.pem"]).is_ok());
    }

    #[test]
    fn the_door_to_the_network_is_checked() {
        for (flag, named) in [
            ("server.tls_certificate=a.pem", "set both"),
            ("server.tls_key=b.pem", "set both"),
            ("server.trusted_proxies=[\"proxy\"]", "proxy is no network"),
            ("server.trusted_proxies=[\"0.0.0.0/0\"]", "everybody"),
            ("server.trusted_proxies=[\"::/0\"]", "everybody"),
            ("server.cors_origins=[\"*\"]", "server.cors_origins"),
            ("server.cors_origins=[\"https://Desk.example\"]", "server.cors_origins"),
            ("server.cors_origins=[\"https://desk.example/\"]", "server.cors_origins"),
            ("server.cors_origins=[\"null\"]", "server.cors_origins"),
            ("server.security_contact=me@example.org", "mailto:"),
            ("server.security_contact=http://example.org", "mailto:"),
            ("server.rate_key_interval_ms=0", "rate_"),
            ("server.rate_session_burst=1000001", "rate_"),
        ] {
            let refusal = with(&[], &[flag]).unwrap_err().to_string();
            assert!(refusal.contains(named), "{flag}: {refusal}");
        }
        let proxies =
            with(&[], &["server.trusted_proxies=[\"10.1.2.3\", \"10.9.9.9/8\", \"fd00::1\"]"]).unwrap();
        let proxies: Vec<_> = proxies.server.trusted_proxies.iter().map(ToString::to_string).collect();
        assert_eq!(proxies, ["10.1.2.3/32", "10.0.0.0/8", "fd00::1/128"]);
        let origins = "server.cors_origins=[\"https://desk.example\", \"http://127.0.0.1:3000\"]";
        assert_eq!(with(&[], &[origins]).unwrap().server.cors_origins.len(), 2);
        for contact in ["mailto:security@example.org", "https://example.org/report", "tel:+54-341-0000000"] {
            assert!(with(&[], &[&format!("server.security_contact={contact}")]).is_ok(), "{contact}");
        }
    }
}
