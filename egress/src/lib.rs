//! The only way out of the process: one client with a closed list of destinations.
//!
//! What the process may call is decided once, from the settings, and checked for every address:
//! the origins of the Graph API, the hosts of Meta's media, the origin of the model server, the
//! model hosts that tenants may name, for the one who keeps files the origin of their bucket, and for the one
//! who looks at sign-ins that of the users' server.
//! Everything is https, except that a server on this machine may be spoken to in plain http. Nothing
//! is redirected, no cookie is kept, and no proxy is taken from the environment.
//!
//! Tools and webhooks are called at addresses that tenants name. They cannot be listed, so they are
//! guarded: see [`not_public`], [`Destination::Tool`] and [`Destination::Hook`].

mod guard;
mod origin;

use std::sync::Arc;
use std::time::Duration;

use url::Url;

use crate::guard::{Checked, Guard};
use crate::origin::Origin;

pub use crate::guard::{Looking, Lookup, NotPublic, SystemLookup, is_public, not_public};
pub use crate::origin::BadOrigin;

/// Shorter than servers keep theirs: a call that meets a connection just being closed has an
/// unknown outcome.
const IDLE: Duration = Duration::from_secs(20);
const IDLE_PER_HOST_MAX: usize = 64;
const KEEPALIVE: Duration = Duration::from_secs(30);

/// What may be called, and how patiently.
#[derive(Debug, Clone)]
pub struct EgressSettings {
    /// The Graph API; only its origin counts here.
    pub graph: Url,
    /// The Graph API of Instagram Login; only its origin counts here.
    pub instagram: Url,
    /// The domains from which Meta hands media out, themselves and all below them, over https and
    /// port 443. The Graph APIs' own origins may hand media out too.
    pub media_domains: Vec<String>,
    /// The model server; only its origin counts here.
    pub model: Url,
    /// Further hosts on which a model may be called, over https and port 443.
    pub model_hosts: Vec<String>,
    /// Hosts that tools may reach although they are private, over plain http too: `host` for any
    /// port, or `host:port`.
    pub tool_private_hosts: Vec<String>,
    /// How long a connection may take to be made, milliseconds. Keep it below every timeout of a
    /// whole call: only then is it known that a call which ends so was never sent.
    pub connect_timeout_ms: u64,
    /// How long an answer may stand still, milliseconds: until its head, and between its parts.
    pub read_timeout_ms: u64,
}

/// What a call is for; each has its own list of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Destination {
    /// Meta's Graph API.
    Graph,
    /// Meta's Graph API for accounts connected by Instagram Login.
    Instagram,
    /// A file that Meta hands out, at an address that came in a webhook or an answer.
    Media,
    /// A model server.
    Model,
    /// The bucket in which the files of messages are kept.
    Files,
    /// The server of the users who may sign in: its public keys, and whose address is confirmed.
    Auth,
    /// A tool's server, at an address that a tenant named: https on 443, 4443, 8443 or 9443, and
    /// public wherever it is resolved to, unless the operator lists the host.
    Tool,
    /// The receiver of a tenant's webhooks, at an address that it named: guarded as a tool's, with a list of
    /// private hosts of its own.
    Hook,
}

impl Destination {
    /// Its name in logs and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Graph => "graph",
            Self::Instagram => "instagram",
            Self::Media => "media",
            Self::Model => "model",
            Self::Files => "files",
            Self::Auth => "auth",
            Self::Tool => "tool",
            Self::Hook => "hook",
        }
    }
}

/// Why nothing is sent there. Names hosts, never a path, a query or a user.
#[derive(Debug, thiserror::Error)]
pub enum EgressError {
    /// A configured address cannot be one.
    #[error("the {destination} address {reason}", destination = destination.name())]
    BadBase {
        /// Whose.
        destination: Destination,
        /// What is wrong and what would do.
        reason: BadOrigin,
    },
    /// A configured host is not one.
    #[error("`{host}` is not a host name: write it without scheme, port and path, like `api.openai.com`")]
    BadHost {
        /// As configured.
        host: String,
    },
    /// The address of a call cannot be one.
    #[error("this {destination} address {reason}", destination = destination.name())]
    BadAddress {
        /// For what.
        destination: Destination,
        /// What is wrong and what would do.
        reason: BadOrigin,
    },
    /// The address of a call is not on the list.
    #[error(
        "{origin} is not among the {destination} addresses that may be called: add its host to the settings or use one of theirs",
        destination = destination.name()
    )]
    NotListed {
        /// For what.
        destination: Destination,
        /// Scheme, host and port.
        origin: String,
    },
    /// A private host that may be called is not one.
    #[error(
        "`{host}` is not a host: write it without scheme and path, like `crm.internal` or `10.0.0.5:8080`"
    )]
    BadPrivateHost {
        /// As configured.
        host: String,
    },
    /// The address that a tenant named cannot be one.
    #[error("the {whose} address {reason}")]
    BadGuarded {
        /// Whose it is.
        whose: &'static str,
        /// What is wrong and what would do.
        reason: BadOrigin,
    },
    /// Nothing that a tenant named is called on this port.
    #[error("the {whose} port {port} is not one that may be called: use 443, 4443, 8443 or 9443")]
    BadGuardedPort {
        /// Whose address it is in.
        whose: &'static str,
        /// The port.
        port: u16,
    },
    /// The address that a tenant named is not public.
    #[error("the {whose} host {refused}")]
    NotPublic {
        /// Whose it is.
        whose: &'static str,
        /// The host.
        refused: NotPublic,
    },
    /// The HTTP client could not be made.
    #[error("the HTTP client cannot start (are the system's root certificates installed?): {0}")]
    Client(reqwest::Error),
}

/// The outbound client. Clones share its connections.
#[derive(Clone)]
pub struct Egress {
    secure: reqwest::Client,
    /// For a server on this machine; there is none unless the settings name one.
    local: Option<reqwest::Client>,
    graph: Origin,
    instagram: Origin,
    media_domains: Vec<String>,
    models: Vec<Origin>,
    files: Option<Origin>,
    auth: Option<Origin>,
    guard: Guard,
    hooks: Option<Guard>,
    patience: Patience,
}

#[derive(Clone, Copy)]
struct Patience {
    connect: Duration,
    read: Duration,
}

impl Egress {
    /// A client that may call what `settings` name and nothing else.
    pub fn new(settings: &EgressSettings) -> Result<Self, EgressError> {
        let base =
            |destination, url| Origin::of(url).map_err(|reason| EgressError::BadBase { destination, reason });
        let patience = Patience {
            connect: Duration::from_millis(settings.connect_timeout_ms),
            read: Duration::from_millis(settings.read_timeout_ms),
        };
        let graph = base(Destination::Graph, &settings.graph)?;
        let mut models = vec![base(Destination::Model, &settings.model)?];
        for host in &settings.model_hosts {
            let listed = Origin::https(host).ok_or_else(|| EgressError::BadHost { host: host.clone() })?;
            models.push(listed);
        }
        let instagram = base(Destination::Instagram, &settings.instagram)?;
        let mut media_domains = Vec::new();
        for domain in &settings.media_domains {
            let listed =
                Origin::https(domain).ok_or_else(|| EgressError::BadHost { host: domain.clone() })?;
            media_domains.push(listed.host());
        }
        let guard =
            Guard::new("tool's", &settings.tool_private_hosts, Arc::new(SystemLookup), patience, client)?;
        let plain = graph.is_plain() || instagram.is_plain() || models.iter().any(Origin::is_plain);
        Ok(Self {
            secure: client(patience, true, None)?,
            local: if plain { Some(client(patience, false, None)?) } else { None },
            graph,
            instagram,
            media_domains,
            models,
            files: None,
            auth: None,
            guard,
            hooks: None,
            patience,
        })
    }

    /// This client for the one who keeps the files of messages: it may also call the bucket at
    /// `address`, of which only the origin counts.
    pub fn with_files(&self, address: &Url) -> Result<Self, EgressError> {
        let (files, local) = self.further(Destination::Files, address)?;
        Ok(Self { local, files: Some(files), ..self.clone() })
    }

    /// This client for the one who looks at sign-ins: it may also call the server of the users at
    /// `address`, of which only the origin counts.
    pub fn with_auth(&self, address: &Url) -> Result<Self, EgressError> {
        let (auth, local) = self.further(Destination::Auth, address)?;
        Ok(Self { local, auth: Some(auth), ..self.clone() })
    }

    /// This client for the one who delivers webhooks: it may also call receivers that tenants name, and
    /// of those that are not public the ones that the operator lists, as for tools.
    pub fn with_hooks(&self, private_hosts: &[String]) -> Result<Self, EgressError> {
        let hooks = Guard::new("webhook's", private_hosts, Arc::new(SystemLookup), self.patience, client)?;
        Ok(Self { hooks: Some(hooks), ..self.clone() })
    }

    /// One more origin, and the client for servers on this machine if it needs that.
    fn further(
        &self,
        destination: Destination,
        address: &Url,
    ) -> Result<(Origin, Option<reqwest::Client>), EgressError> {
        let origin = Origin::of(address).map_err(|reason| EgressError::BadBase { destination, reason })?;
        let local = match &self.local {
            None if origin.is_plain() => Some(client(self.patience, false, None)?),
            local => local.clone(),
        };
        Ok((origin, local))
    }

    /// This client with another resolver for the names of tools and receivers.
    pub fn with_lookup(&self, lookup: Arc<dyn Lookup>) -> Self {
        let hooks = self.hooks.as_ref().map(|hooks| hooks.with_lookup(Arc::clone(&lookup)));
        Self { guard: self.guard.with_lookup(lookup), hooks, ..self.clone() }
    }

    /// The client for a call of `url`, if that is on the list of `destination`.
    pub fn client_for(&self, destination: Destination, url: &Url) -> Result<&reqwest::Client, EgressError> {
        match (destination, &self.hooks) {
            (Destination::Tool, _) => return self.guard.client_for(url),
            (Destination::Hook, Some(hooks)) => return hooks.client_for(url),
            _ => {}
        }
        let origin = Origin::of(url).map_err(|reason| EgressError::BadAddress { destination, reason })?;
        let listed = match destination {
            Destination::Graph => origin == self.graph,
            Destination::Instagram => origin == self.instagram,
            Destination::Media => self.hands_media_out(&origin),
            Destination::Model => self.models.contains(&origin),
            Destination::Files => self.files.as_ref() == Some(&origin),
            Destination::Auth => self.auth.as_ref() == Some(&origin),
            Destination::Tool | Destination::Hook => false,
        };
        let client = if origin.is_plain() { self.local.as_ref() } else { Some(&self.secure) };
        client
            .filter(|_| listed)
            .ok_or_else(|| EgressError::NotListed { destination, origin: origin.to_string() })
    }
}

impl Egress {
    fn hands_media_out(&self, origin: &Origin) -> bool {
        let below = |domain: &String| {
            let host = origin.host();
            let prefix = host.strip_suffix(domain.as_str());
            origin.is_secure_default()
                && prefix.is_some_and(|prefix| prefix.is_empty() || prefix.ends_with('.'))
        };
        *origin == self.graph || *origin == self.instagram || self.media_domains.iter().any(below)
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place where an outbound HTTP client is made")]
fn client(
    patience: Patience,
    https_only: bool,
    names: Option<Arc<Checked>>,
) -> Result<reqwest::Client, EgressError> {
    let builder = reqwest::Client::builder();
    let builder = match names {
        Some(names) => builder.dns_resolver(names),
        None => builder,
    };
    builder
        .user_agent(concat!("IAssistance/", env!("CARGO_PKG_VERSION")))
        .https_only(https_only)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .no_proxy()
        .connect_timeout(patience.connect)
        .read_timeout(patience.read)
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(IDLE_PER_HOST_MAX)
        .tcp_keepalive(KEEPALIVE)
        .build()
        .map_err(|error| EgressError::Client(error.without_url()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    fn settings(graph: &str, model: &str) -> EgressSettings {
        EgressSettings {
            graph: url(graph),
            instagram: url("https://graph.instagram.com"),
            media_domains: vec!["fbcdn.net".to_owned()],
            model: url(model),
            model_hosts: vec!["models.example".to_owned(), "API.OpenAI.com".to_owned()],
            tool_private_hosts: Vec::new(),
            connect_timeout_ms: 1_000,
            read_timeout_ms: 5_000,
        }
    }

    fn refusal(egress: &Egress, destination: Destination, address: &str) -> String {
        egress.client_for(destination, &url(address)).map(drop).unwrap_err().to_string()
    }

    #[test]
    fn only_what_is_listed_is_called() {
        let egress =
            Egress::new(&settings("https://graph.facebook.com", "https://llm.example:8443/v1")).unwrap();
        let allowed = [
            (Destination::Graph, "https://graph.facebook.com/v24.0/1/messages"),
            (Destination::Graph, "https://graph.facebook.com:443/"),
            (Destination::Instagram, "https://graph.instagram.com/v24.0/1/messages"),
            (Destination::Media, "https://scontent.xx.fbcdn.net/i.jpg?oh=1"),
            (Destination::Media, "https://fbcdn.net/i.jpg"),
            (Destination::Media, "https://graph.facebook.com/i.jpg"),
            (Destination::Model, "https://llm.example:8443/v1/chat/completions"),
            (Destination::Model, "https://models.example/v1"),
            (Destination::Model, "https://api.openai.com/v1"),
        ];
        for (destination, address) in allowed {
            assert!(egress.client_for(destination, &url(address)).is_ok(), "{address}");
        }
        let refused = [
            (Destination::Graph, "https://graph.facebook.com:8443/"),
            (Destination::Graph, "https://graph.facebook.com.evil.example/"),
            (Destination::Graph, "https://models.example/"),
            (Destination::Graph, "https://graph.instagram.com/"),
            (Destination::Instagram, "https://graph.facebook.com/"),
            (Destination::Media, "https://evilfbcdn.net/i.jpg"),
            (Destination::Media, "https://fbcdn.net.evil.example/i.jpg"),
            (Destination::Media, "https://scontent.fbcdn.net:8443/i.jpg"),
            (Destination::Media, "http://scontent.fbcdn.net/i.jpg"),
            (Destination::Media, "https://a@scontent.fbcdn.net/i.jpg"),
            (Destination::Media, "https://169.254.169.254/latest"),
            (Destination::Media, "http://127.0.0.1:1/i.jpg"),
            (Destination::Media, "https://models.example/i.jpg"),
            (Destination::Model, "https://graph.facebook.com/"),
            (Destination::Model, "https://models.example:8443/"),
            (Destination::Model, "https://llm.example/"),
            (Destination::Model, "http://127.0.0.1:9000/"),
            (Destination::Model, "http://models.example/"),
            (Destination::Model, "https://user:word@models.example/"),
            (Destination::Model, "file:///etc/passwd"),
            (Destination::Model, "https://169.254.169.254/latest"),
        ];
        for (destination, address) in refused {
            assert!(egress.client_for(destination, &url(address)).is_err(), "{address}");
        }
    }

    #[test]
    fn a_server_on_this_machine_may_be_plain() {
        for base in ["http://127.0.0.1:9000", "http://localhost:9000", "http://[::1]:9000"] {
            let egress = Egress::new(&settings(base, &format!("{base}/v1"))).unwrap();
            assert!(egress.client_for(Destination::Graph, &url(&format!("{base}/v24.0"))).is_ok());
            assert!(egress.client_for(Destination::Model, &url(&format!("{base}/v1"))).is_ok());
            assert!(egress.client_for(Destination::Graph, &url("http://127.0.0.1:9001/")).is_err());
        }
    }

    #[test]
    fn the_bucket_is_called_by_the_one_who_keeps_files_alone() {
        let everybody =
            Egress::new(&settings("https://graph.facebook.com", "https://models.example")).unwrap();
        let keeper = everybody.with_files(&url("https://files.example/storage/v1/s3")).unwrap();
        let object = "https://files.example/storage/v1/s3/bucket/ten_1/med_1";
        assert!(keeper.client_for(Destination::Files, &url(object)).is_ok());
        assert!(everybody.client_for(Destination::Files, &url(object)).is_err());
        assert!(keeper.client_for(Destination::Model, &url(object)).is_err());
        assert!(keeper.client_for(Destination::Files, &url("https://graph.facebook.com/")).is_err());
        assert!(everybody.with_files(&url("http://files.example/")).is_err());
        let local = everybody.with_files(&url("http://127.0.0.1:9000/")).unwrap();
        assert!(local.client_for(Destination::Files, &url("http://127.0.0.1:9000/bucket")).is_ok());
    }

    #[test]
    fn the_server_of_the_users_is_called_by_the_one_who_looks_at_sign_ins_alone() {
        let everybody =
            Egress::new(&settings("https://graph.facebook.com", "https://models.example")).unwrap();
        let looking = everybody.with_auth(&url("https://abcd.supabase.co")).unwrap();
        let keys = "https://abcd.supabase.co/auth/v1/.well-known/jwks.json";
        assert!(looking.client_for(Destination::Auth, &url(keys)).is_ok());
        assert!(looking.client_for(Destination::Auth, &url("https://evil.supabase.co/")).is_err());
        assert!(looking.client_for(Destination::Files, &url(keys)).is_err());
        assert!(everybody.client_for(Destination::Auth, &url(keys)).is_err());
        assert!(everybody.with_auth(&url("http://abcd.supabase.co/")).is_err());
    }

    #[test]
    fn receivers_are_called_by_the_one_who_delivers_webhooks_alone_and_guarded() {
        let everybody =
            Egress::new(&settings("https://graph.facebook.com", "https://models.example")).unwrap();
        let courier = everybody.with_hooks(&["127.0.0.1:9000".to_owned()]).unwrap();
        let may =
            |egress: &Egress, address: &str| egress.client_for(Destination::Hook, &url(address)).is_ok();
        assert!(may(&courier, "https://shop.example/hook") && may(&courier, "http://127.0.0.1:9000/hook"));
        assert!(!may(&everybody, "https://shop.example/hook"));
        for address in [
            "http://shop.example/hook",
            "http://127.0.0.1:9001/hook",
            "https://127.0.0.1/hook",
            "https://169.254.169.254/latest",
            "https://[::1]/hook",
            "https://10.0.0.1/hook",
            "https://2130706433/hook",
            "https://me@shop.example/hook",
            "https://shop.example:22/hook",
            "ftp://shop.example/hook",
        ] {
            assert!(!may(&courier, address), "{address}");
        }
        let plain = refusal(&courier, Destination::Hook, "http://shop.example/hook");
        assert_eq!(plain, "the webhook's address is plain http: use https");
        let tool = url("http://127.0.0.1:9000/hook");
        assert!(courier.client_for(Destination::Tool, &tool).is_err(), "each has a list of its own");
        assert!(everybody.with_hooks(&["https://shop.example".to_owned()]).is_err());
    }

    #[test]
    fn settings_that_would_leak_are_refused() {
        let good = "https://graph.facebook.com";
        for bad in [
            "http://graph.facebook.com",
            "http://127.0.0.1.evil.example",
            "https://a:b@c.example",
            "ftp://x.example",
        ] {
            assert!(Egress::new(&settings(bad, good)).is_err(), "{bad}");
            assert!(Egress::new(&settings(good, bad)).is_err(), "{bad}");
        }
        for host in ["", "https://x.example", "x.example:8443", "x.example/path", "a@x.example", "x example"]
        {
            let bad = EgressSettings { model_hosts: vec![host.to_owned()], ..settings(good, good) };
            assert!(Egress::new(&bad).is_err(), "{host}");
        }
    }

    #[test]
    fn a_refusal_names_the_host_and_nothing_else_of_the_address() {
        let egress = Egress::new(&settings("https://graph.facebook.com", "https://models.example")).unwrap();
        let listed = refusal(&egress, Destination::Model, "https://other.example/private?number=15550199001");
        assert_eq!(
            listed,
            "https://other.example:443 is not among the model addresses that may be called: \
             add its host to the settings or use one of theirs"
        );
        let user =
            refusal(&egress, Destination::Graph, "https://15550199001:word@graph.facebook.com/private");
        assert_eq!(user, "this graph address holds a user name or password: remove it");
    }
}
