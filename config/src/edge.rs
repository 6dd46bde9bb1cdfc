//! What the settings of the door to the network must keep to.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::de::{Deserialize, Deserializer, Error};
use url::Url;

use crate::ServerSettings;
use crate::rules::Rule;

/// Networks as they are written: `10.0.0.0/8`, or one address alone.
pub(crate) fn networks<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<IpNet>, D::Error> {
    let written = Vec::<String>::deserialize(deserializer)?;
    let network = |text: String| {
        let alone = text.parse::<IpAddr>().map(|ip| IpNet::from(ip.to_canonical()));
        alone.or_else(|_| text.parse::<IpNet>()).map(|network| network.trunc()).map_err(|_| {
            D::Error::custom(format!("server.trusted_proxies: {text} is no network such as 10.0.0.0/8"))
        })
    };
    written.into_iter().map(network).collect()
}

impl ServerSettings {
    /// Whether this server speaks TLS itself.
    pub fn has_tls(&self) -> bool {
        !self.tls_certificate.as_os_str().is_empty()
    }

    pub(crate) fn rules(&self) -> [Rule; 7] {
        let loopback = self.bind == "localhost"
            || self.bind.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        let intervals =
            [self.rate_address_interval_ms, self.rate_key_interval_ms, self.rate_session_interval_ms];
        [
            (
                self.has_tls() != self.tls_key.as_os_str().is_empty(),
                "server.tls_key",
                "goes with server.tls_certificate: set both, or neither",
            ),
            (
                loopback || self.has_tls() || !self.trusted_proxies.is_empty(),
                "server.bind",
                "is reachable from outside without TLS: set server.tls_certificate and server.tls_key; or put a \
                 proxy that ends TLS before it and name its addresses in server.trusted_proxies; or bind to 127.0.0.1",
            ),
            (
                self.trusted_proxies.iter().all(|network| network.prefix_len() > 0),
                "server.trusted_proxies",
                "must not be everybody: whoever is trusted says where a request comes from",
            ),
            (
                self.cors_origins.iter().all(|origin| is_origin(origin)),
                "server.cors_origins",
                "must be whole origins in lower case, without a path, such as \"https://desk.example.org\"",
            ),
            (
                self.security_contact.is_empty() || is_contact(&self.security_contact),
                "server.security_contact",
                "must be an address with its scheme: mailto:…, https://… or tel:…",
            ),
            (
                intervals.iter().all(|ms| (1..=3_600_000).contains(ms)),
                "server.rate_address_interval_ms",
                "and the other rate_…_interval_ms must be 1 to 3600000",
            ),
            (
                [self.rate_address_burst, self.rate_key_burst, self.rate_session_burst]
                    .iter()
                    .all(|burst| *burst <= 1_000_000),
                "server.rate_address_burst",
                "and the other rate_…_burst must be at most 1000000; 0 is no limit",
            ),
        ]
    }
}

/// Whether a browser would say it so in `Origin`.
fn is_origin(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| {
        ["http", "https"].contains(&url.scheme()) && url.origin().ascii_serialization() == text
    })
}

/// RFC 9116, 2.5.3: a URI; web pages by https alone.
fn is_contact(text: &str) -> bool {
    let plain = text.bytes().all(|byte| byte.is_ascii_graphic());
    plain && Url::parse(text).is_ok_and(|url| ["https", "mailto", "tel"].contains(&url.scheme()))
}
