//! The door itself: how much of it one address may have, and how slow its clients may be.

mod addresses;
mod forwarded;
mod heads;
mod pace;
mod stream;
mod wire;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::http::header::HOST;
use actix_web::rt::net::TcpStream;
use iassistance_config::ServerSettings;
use iassistance_domain::Clock;
use ipnet::IpNet;
use tokio::io::AsyncWriteExt;
use tokio_rustls::TlsAcceptor;

use self::stream::{Counted, Stream};
use super::edge::tls::Tls;

pub use self::addresses::{Address, AddressBytes, Addresses, Seat};
pub use self::pace::Pace;
pub use self::wire::Wire;

/// What is said to an address that has too many connections, whatever it wants: its request is not read.
const TOO_MANY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 10\r\nconnection: close\r\n\
    content-type: application/problem+json\r\nx-content-type-options: nosniff\r\ncache-control: no-store\r\n\
    content-length: 152\r\n\r\n\
    {\"type\":\"urn:iassistance:problem:unavailable\",\"title\":\"Not now: nothing was accepted\",\
    \"status\":503,\"code\":\"unavailable\",\"detail\":\"too many connections\"}";

/// Lets connections in, and knows whose requests are.
#[derive(Clone)]
pub struct Door {
    addresses: Addresses,
    proxies: Arc<[IpNet]>,
    has_tls: bool,
    public_url: Arc<str>,
    pace: Pace,
    head_deadline_ms: u64,
    clock: Arc<dyn Clock>,
}

impl Door {
    /// A door that nobody has gone through yet.
    pub fn new(settings: &ServerSettings, clock: Arc<dyn Clock>) -> Self {
        // An address has at most half of the memory for bodies: there is always room for another.
        let bytes_max = settings.webhook_bytes_in_flight_max / 2;
        Self {
            addresses: Addresses::new(settings.connections_per_address_max, bytes_max),
            proxies: settings.trusted_proxies.as_slice().into(),
            has_tls: settings.has_tls(),
            public_url: settings.public_url.trim_end_matches('/').into(),
            pace: Pace::of(settings),
            head_deadline_ms: settings.head_deadline_ms,
            clock,
        }
    }

    /// How slow a client may be.
    pub fn pace(&self) -> Pace {
        self.pace
    }

    /// Lets a connection in, or sends it away: because its address has too many, or because it does not come to
    /// speak TLS, where that is spoken, as fast as a head has to come.
    pub async fn admit(&self, mut stream: TcpStream, tls: Option<&Tls>) -> Option<Wire> {
        // All come from a proxy: their requests are counted by the address that it names.
        let direct = stream.peer_addr().ok().filter(|peer| !self.is_proxy(*peer));
        let seat = match direct.map(|peer| self.addresses.take_seat(Address::of(peer.ip()))) {
            Some(None) => {
                if tls.is_none() {
                    // A new connection has room for so little; if it has gone, it need not be told.
                    drop(stream.write_all(TOO_MANY).await);
                }
                drop(stream.shutdown().await);
                return None;
            }
            Some(seat) => seat,
            None => None,
        };
        let stream = match tls {
            None => Stream::Plain(Counted::new(stream)),
            Some(tls) => self.greet(Counted::new(stream), tls).await?,
        };
        Some(Wire::new(stream, seat, self.pace, self.head_deadline_ms, Arc::clone(&self.clock)))
    }

    async fn greet(&self, stream: Counted, tls: &Tls) -> Option<Stream> {
        let acceptor = TlsAcceptor::from(tls.shown().await);
        tokio::select! {
            greeted = acceptor.accept(stream) => match greeted {
                Ok(stream) => Some(Stream::Tls(Box::new(stream))),
                Err(error) => {
                    metrics::counter!("iassistance_tls_refused_total").increment(1);
                    tracing::debug!(%error, "a connection did not come to speak TLS");
                    None
                }
            },
            () = self.clock.sleep_millis(self.head_deadline_ms) => {
                metrics::counter!("iassistance_limited_total", "limit" => "slow_tls").increment(1);
                None
            }
        }
    }

    /// A place for a request among those of its address, where it comes through a proxy; the outer `None`
    /// when there are too many.
    pub fn admit_request(&self, request: &HttpRequest) -> Option<Option<Seat>> {
        if !request.peer_addr().is_some_and(|peer| self.is_proxy(peer)) {
            return Some(None);
        }
        match self.address(request) {
            Some(address) => self.addresses.take_seat(address).map(Some),
            None => Some(None),
        }
    }

    /// Whose a request is.
    pub fn address(&self, request: &HttpRequest) -> Option<Address> {
        self.ip(request).map(Address::of)
    }

    /// Whose a request is, whole: for keys that are bound to networks, and for the record. It is who connected
    /// to us, or who a trusted proxy says that it is; what such a one says badly counts as the proxy's own.
    pub fn ip(&self, request: &HttpRequest) -> Option<IpAddr> {
        let peer = request.peer_addr()?;
        let named =
            self.is_proxy(peer).then(|| forwarded::client(request.headers(), &self.proxies)).flatten();
        Some(named.unwrap_or_else(|| peer.ip().to_canonical()))
    }

    /// Whether it came by https: to this server itself, or to a trusted proxy.
    pub fn is_https(&self, request: &HttpRequest) -> bool {
        let proxied = || request.peer_addr().is_some_and(|peer| self.is_proxy(peer));
        self.has_tls || (proxied() && forwarded::is_https(request.headers()))
    }

    /// Where this server is reached, without a slash at its end: as the settings say, or else as it was asked.
    pub fn own_url(&self, request: &HttpRequest) -> String {
        if !self.public_url.is_empty() {
            return self.public_url.to_string();
        }
        let host = request.headers().get(HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
        let scheme = if self.is_https(request) { "https" } else { "http" };
        format!("{scheme}://{host}")
    }

    fn is_proxy(&self, peer: SocketAddr) -> bool {
        forwarded::is_of(&self.proxies, peer.ip().to_canonical())
    }

    /// The count of what addresses have.
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;
    use iassistance_actors::kernel::SystemClock;
    use iassistance_config::Sources;

    use super::*;

    fn door(proxies: &[&str]) -> Door {
        let mut settings = Sources::default().settings().unwrap().server;
        settings.trusted_proxies = proxies.iter().map(|network| network.parse().unwrap()).collect();
        settings.connections_per_address_max = 1;
        Door::new(&settings, Arc::new(SystemClock))
    }

    fn request(headers: &[(&str, &str)]) -> HttpRequest {
        let request = TestRequest::default().peer_addr("10.0.0.1:99".parse().unwrap());
        headers.iter().fold(request, |request, header| request.append_header(*header)).to_http_request()
    }

    fn forwarded(value: &str) -> HttpRequest {
        request(&[("x-forwarded-for", value), ("x-forwarded-proto", "https")])
    }

    #[test]
    fn a_proxy_is_believed_and_nobody_else() {
        let (own, proxied) = (door(&["10.0.0.2/32"]), door(&["10.0.0.0/30"]));
        let ip = |text: &str| Some(text.parse().unwrap());
        assert_eq!(own.ip(&forwarded("9.9.9.9")), ip("10.0.0.1"), "who says so itself is not believed");
        assert_eq!(proxied.ip(&forwarded("9.9.9.9")), ip("9.9.9.9"));
        assert_eq!(proxied.ip(&forwarded("nonsense")), ip("10.0.0.1"));
        assert_eq!(proxied.ip(&request(&[])), ip("10.0.0.1"));
        assert!(proxied.is_https(&forwarded("9.9.9.9")) && !own.is_https(&forwarded("9.9.9.9")));
        assert!(!proxied.is_https(&request(&[])));
        assert_eq!(own.own_url(&request(&[("host", "a.example")])), "http://a.example");
        let by_https = request(&[("host", "a.example"), ("x-forwarded-proto", "https")]);
        assert_eq!(proxied.own_url(&by_https), "https://a.example");
    }

    #[test]
    fn requests_are_counted_where_they_come_through_a_proxy() {
        let (own, proxied) = (door(&[]), door(&["10.0.0.1/32"]));
        let one = forwarded("9.9.9.9");
        let seat = proxied.admit_request(&one);
        assert!(matches!(seat, Some(Some(_))));
        assert!(proxied.admit_request(&one).is_none(), "its address has one already");
        assert!(proxied.admit_request(&forwarded("8.8.8.8")).is_some());
        drop(seat);
        assert!(proxied.admit_request(&one).is_some());
        let kept = (own.admit_request(&one), own.admit_request(&one));
        assert!(matches!(kept, (Some(None), Some(None))));
    }

    #[test]
    fn the_refusal_is_whole() {
        let text = str::from_utf8(TOO_MANY).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.ends_with(&format!("content-length: {}", body.len())), "{}", body.len());
        assert!(serde_json::from_str::<serde_json::Value>(body).is_ok());
    }
}
