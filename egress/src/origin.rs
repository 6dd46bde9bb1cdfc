//! Scheme, host and port: what an address is listed by.

use std::fmt;

use url::{Host, Url};

/// Where an address leads. Two addresses lead to the same place when their origins are equal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Origin {
    plain: bool,
    host: Host,
    port: u16,
}

/// Why an address may not be called at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadOrigin {
    /// It is not a web address.
    #[error("is not an https address with a host")]
    NotWeb,
    /// It would carry what is sent in the clear over a network.
    #[error("is plain http, which is only for servers on this machine: use https")]
    Plain,
    /// It would carry what is sent in the clear, and is not one that the operator lists.
    #[error("is plain http: use https")]
    PlainTool,
    /// It carries a user name or a password.
    #[error("holds a user name or password: remove it")]
    Userinfo,
}

impl Origin {
    /// Where `url` leads; refuses what is neither https nor plain http on this machine.
    pub(crate) fn of(url: &Url) -> Result<Self, BadOrigin> {
        let origin = Self::anywhere(url)?;
        if origin.plain && !is_loopback(&origin.host) {
            return Err(BadOrigin::Plain);
        }
        Ok(origin)
    }

    /// Where `url` leads, be it in the clear; refuses what is neither https nor http.
    pub(crate) fn anywhere(url: &Url) -> Result<Self, BadOrigin> {
        if !url.username().is_empty() || url.password().is_some() {
            return Err(BadOrigin::Userinfo);
        }
        let plain = match url.scheme() {
            "https" => false,
            "http" => true,
            _ => return Err(BadOrigin::NotWeb),
        };
        let host = url.host().ok_or(BadOrigin::NotWeb)?.to_owned();
        let port = url.port_or_known_default().ok_or(BadOrigin::NotWeb)?;
        Ok(Self { plain, host, port })
    }

    /// `https://host:443`, if that is a bare host name.
    pub(crate) fn https(host: &str) -> Option<Self> {
        let host = Host::parse(host).ok()?;
        Some(Self { plain: false, host, port: 443 })
    }

    /// Its host.
    pub(crate) fn host(&self) -> String {
        self.host.to_string()
    }

    /// Its host, as it was read.
    pub(crate) const fn host_ref(&self) -> &Host {
        &self.host
    }

    /// Its port.
    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    /// Whether it is https on its ordinary port.
    pub(crate) const fn is_secure_default(&self) -> bool {
        !self.plain && self.port == 443
    }

    /// Whether it is spoken to without TLS, on this machine.
    pub(crate) const fn is_plain(&self) -> bool {
        self.plain
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.plain { "http" } else { "https" };
        write!(f, "{scheme}://{}:{}", self.host, self.port)
    }
}

fn is_loopback(host: &Host) -> bool {
    match host {
        Host::Domain(name) => name == "localhost",
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    }
}
