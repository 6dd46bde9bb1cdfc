//! Addresses that tenants name: only what is public may be reached by them.
//!
//! A name says nothing about where it leads: that is decided when it is resolved. So it is resolved
//! here, every address that comes of it is checked, and the connection is made to the very addresses
//! that were checked; nobody resolves the name a second time. Where one of them is not public, none
//! is used.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

use crate::origin::Origin;
use crate::{EgressError, Patience};

/// The ports on which a public host may be called.
const PORTS: [u16; 4] = [443, 4_443, 8_443, 9_443];
/// How many addresses of a name are tried at most.
const ADDRESSES_MAX: usize = 16;

/// What an asked resolver has to say, later.
pub type Looking = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>>;

/// Where the addresses of a name come from.
pub trait Lookup: Send + Sync + 'static {
    /// All addresses of `name`.
    fn look_up(&self, name: String) -> Looking;
}

/// The resolver of the operating system.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemLookup;

impl Lookup for SystemLookup {
    fn look_up(&self, name: String) -> Looking {
        Box::pin(async move {
            let addresses = tokio::net::lookup_host((name, 0)).await?;
            Ok(addresses.map(|address| address.ip()).take(ADDRESSES_MAX + 1).collect())
        })
    }
}

/// Why a connection to a host was not even tried.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{host}` leads to an address that is not public: only public hosts are called, and others only where the platform's operator lists them"
)]
pub struct NotPublic {
    /// The host.
    pub host: String,
}

/// Whether it was the guard that ended a call: looks for its word among the causes of `error`.
pub fn not_public<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a NotPublic> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        cause = error.source();
    }
    None
}

/// A host that the operator lets calls reach, whatever its addresses are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PrivateHost {
    host: Host,
    port: Option<u16>,
}

impl PrivateHost {
    /// `host` (any port) or `host:port`.
    pub(crate) fn parse(text: &str) -> Result<Self, EgressError> {
        let bad = || EgressError::BadPrivateHost { host: text.to_owned() };
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !host.ends_with(':') && (!host.contains(':') || host.ends_with(']')) => {
                let port = port.parse().ok().filter(|port| *port != 0);
                (host, Some(port.ok_or_else(bad)?))
            }
            _ => (text, None),
        };
        let host = Host::parse(host).ok().filter(|_| !host.contains('*')).ok_or_else(bad)?;
        Ok(Self { host, port })
    }

    fn is(&self, host: &Host, port: u16) -> bool {
        self.host == *host && self.port.is_none_or(|own| own == port)
    }
}

/// How a client is made: whether for https alone, and by whom names are resolved.
type Make = fn(Patience, bool, Option<Arc<Checked>>) -> Result<reqwest::Client, EgressError>;

/// Clients for addresses that tenants name. Each is made when it is first needed: it reads the
/// system's root certificates, and many a platform has no tools.
#[derive(Clone)]
pub(crate) struct Guard {
    /// Whose addresses they are, for refusals.
    whose: &'static str,
    public: Arc<OnceLock<reqwest::Client>>,
    listed: Arc<OnceLock<reqwest::Client>>,
    private_hosts: Arc<[PrivateHost]>,
    lookup: Arc<dyn Lookup>,
    patience: Patience,
    make: Make,
}

impl Guard {
    pub(crate) fn new(
        whose: &'static str,
        private_hosts: &[String],
        lookup: Arc<dyn Lookup>,
        patience: Patience,
        make: Make,
    ) -> Result<Self, EgressError> {
        let hosts =
            private_hosts.iter().map(|host| PrivateHost::parse(host)).collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            whose,
            public: Arc::default(),
            listed: Arc::default(),
            private_hosts: hosts.into(),
            lookup,
            patience,
            make,
        })
    }

    /// This guard with another resolver.
    pub(crate) fn with_lookup(&self, lookup: Arc<dyn Lookup>) -> Self {
        Self { public: Arc::default(), listed: Arc::default(), lookup, ..self.clone() }
    }

    fn public(&self) -> Result<&reqwest::Client, EgressError> {
        self.made(&self.public, true, Vec::new)
    }

    /// The client for the hosts of the list and no others.
    fn listed(&self) -> Result<&reqwest::Client, EgressError> {
        let name = |host: &PrivateHost| match &host.host {
            Host::Domain(name) => Some(name.clone()),
            Host::Ipv4(_) | Host::Ipv6(_) => None,
        };
        self.made(&self.listed, false, || self.private_hosts.iter().filter_map(name).collect())
    }

    fn made<'a>(
        &self,
        client: &'a OnceLock<reqwest::Client>,
        https_only: bool,
        private: impl FnOnce() -> Vec<String>,
    ) -> Result<&'a reqwest::Client, EgressError> {
        if let Some(client) = client.get() {
            return Ok(client);
        }
        let names = Checked { lookup: Arc::clone(&self.lookup), private: private() };
        let made = (self.make)(self.patience, https_only, Some(Arc::new(names)))?;
        Ok(client.get_or_init(|| made))
    }

    /// The client for a call of `url`.
    pub(crate) fn client_for(&self, url: &Url) -> Result<&reqwest::Client, EgressError> {
        let whose = self.whose;
        let origin = Origin::anywhere(url).map_err(|reason| EgressError::BadGuarded { whose, reason })?;
        let (host, port) = (origin.host_ref(), origin.port());
        if self.private_hosts.iter().any(|listed| listed.is(host, port)) {
            return self.listed();
        }
        if origin.is_plain() {
            return Err(EgressError::BadGuarded { whose, reason: crate::BadOrigin::PlainTool });
        }
        if !PORTS.contains(&port) {
            return Err(EgressError::BadGuardedPort { whose, port });
        }
        let address = match host {
            Host::Ipv4(address) => Some(IpAddr::V4(*address)),
            Host::Ipv6(address) => Some(IpAddr::V6(*address)),
            Host::Domain(_) => None,
        };
        match address {
            Some(address) if !is_public(address) => {
                Err(EgressError::NotPublic { whose, refused: refused(host) })
            }
            _ => self.public(),
        }
    }
}

fn refused(host: &Host) -> NotPublic {
    NotPublic { host: host.to_string() }
}

/// Resolves names and lets only checked addresses out.
pub(crate) struct Checked {
    lookup: Arc<dyn Lookup>,
    /// Names whose addresses may be any: of a client for these names alone.
    private: Vec<String>,
}

impl fmt::Debug for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Checked").field("private", &self.private).finish_non_exhaustive()
    }
}

impl Resolve for Checked {
    fn resolve(&self, name: Name) -> Resolving {
        let host = name.as_str().to_owned();
        let looking = self.lookup.look_up(host.clone());
        let any = self.private.contains(&host);
        Box::pin(async move {
            let addresses = looking.await?;
            if !addresses.iter().all(|address| any || is_public(*address)) {
                return Err(NotPublic { host }.into());
            }
            let addresses: Vec<_> = addresses.into_iter().take(ADDRESSES_MAX).collect();
            let addresses = addresses.into_iter().map(|address| SocketAddr::new(address, 0));
            Ok(Box::new(addresses) as Addrs)
        })
    }
}

/// Blocks of IPv4 that are not of the public network, or of which no good can come: this network,
/// private, shared (CGNAT), loopback, link-local (with the metadata of clouds), protocol assignments,
/// documentation, 6to4 relays, benchmarks, multicast and reserved with broadcast (RFC 6890 and its
/// registry), and the one public address at which a cloud keeps its metadata (Azure).
const NOT_PUBLIC_V4: [(Ipv4Addr, u32); 16] = [
    (Ipv4Addr::UNSPECIFIED, 8),
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    (Ipv4Addr::new(168, 63, 129, 16), 32),
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    (Ipv4Addr::new(192, 88, 99, 0), 24),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    (Ipv4Addr::new(224, 0, 0, 0), 4),
    (Ipv4Addr::new(240, 0, 0, 0), 4),
];

/// The part of IPv6 that is given out to networks. Everything else is refused with it: loopback,
/// mapped and translated IPv4 (also NAT64), unique local, link-local, multicast.
const GLOBAL_V6: (Ipv6Addr, u32) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);
/// What of that is not public all the same: protocol assignments with Teredo, documentation, 6to4.
const NOT_PUBLIC_V6: [(Ipv6Addr, u32); 4] = [
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),
];

/// Whether an address is one of the public network.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            let within = |(block, bits): &(Ipv4Addr, u32)| {
                (address.to_bits() ^ block.to_bits()).leading_zeros() >= *bits
            };
            !NOT_PUBLIC_V4.iter().any(within)
        }
        IpAddr::V6(address) => {
            let within = |(block, bits): &(Ipv6Addr, u32)| {
                (address.to_bits() ^ block.to_bits()).leading_zeros() >= *bits
            };
            within(&GLOBAL_V6) && !NOT_PUBLIC_V6.iter().any(within)
        }
    }
}

#[cfg(test)]
#[path = "guard_tests.rs"]
mod tests;
