//! The door itself: how much of it one address may have, and how slow its clients may be.

mod addresses;
mod heads;
mod pace;
mod wire;

use std::net::IpAddr;
use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::rt::net::TcpStream;
use iassistance_config::ServerSettings;
use iassistance_domain::Clock;
use tokio::io::AsyncWriteExt;

pub use self::addresses::{Address, AddressBytes, Addresses, Seat};
pub use self::pace::Pace;
pub use self::wire::Wire;

/// What is said to an address that has too many connections, whatever it wants: its request is not read.
const TOO_MANY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 10\r\nconnection: close\r\n\
    content-type: application/problem+json\r\ncontent-length: 152\r\n\r\n\
    {\"type\":\"urn:iassistance:problem:unavailable\",\"title\":\"Not now: nothing was accepted\",\
    \"status\":503,\"code\":\"unavailable\",\"detail\":\"too many connections\"}";

/// Lets connections in, and knows whose requests are.
#[derive(Clone)]
pub struct Door {
    addresses: Addresses,
    behind_proxy: bool,
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
            behind_proxy: settings.behind_proxy,
            pace: Pace::of(settings),
            head_deadline_ms: settings.head_deadline_ms,
            clock,
        }
    }

    /// How slow a client may be.
    pub fn pace(&self) -> Pace {
        self.pace
    }

    /// Lets a connection in, or sends it away because its address has too many.
    pub async fn admit(&self, mut stream: TcpStream) -> Option<Wire> {
        let peer = stream.peer_addr().ok().filter(|_| !self.behind_proxy);
        let seat = match peer.map(|peer| self.addresses.take_seat(Address::of(peer.ip()))) {
            Some(None) => {
                // A new connection has room for so little; if it has gone, it need not be told.
                drop(stream.write_all(TOO_MANY).await);
                drop(stream.shutdown().await);
                return None;
            }
            Some(seat) => seat,
            // All come from the proxy: their requests are counted by the address that it names.
            None => None,
        };
        Some(Wire::new(stream, seat, self.pace, self.head_deadline_ms, Arc::clone(&self.clock)))
    }

    /// A place for a request among those of its address, where they come through a proxy; the outer `None`
    /// when there are too many.
    pub fn admit_request(&self, request: &HttpRequest) -> Option<Option<Seat>> {
        match self.address(request).filter(|_| self.behind_proxy) {
            Some(address) => self.addresses.take_seat(address).map(Some),
            None => Some(None),
        }
    }

    /// Whose a request is.
    pub fn address(&self, request: &HttpRequest) -> Option<Address> {
        self.ip(request).map(Address::of)
    }

    /// Whose a request is, whole: for keys that are bound to networks, and for the record.
    pub fn ip(&self, request: &HttpRequest) -> Option<IpAddr> {
        if self.behind_proxy {
            // The last one is what our proxy saw; whatever stands before it was said by the client.
            let named = request.headers().get_all("x-forwarded-for").last()?.to_str().ok()?;
            return named.rsplit(',').next()?.trim().parse().ok();
        }
        request.peer_addr().map(|peer| peer.ip())
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

    fn door(behind_proxy: bool) -> Door {
        let mut settings = Sources::default().settings().unwrap().server;
        settings.behind_proxy = behind_proxy;
        settings.connections_per_address_max = 1;
        Door::new(&settings, Arc::new(SystemClock))
    }

    fn request(forwarded: &[&str]) -> HttpRequest {
        let peer = "10.0.0.1:99".parse().unwrap();
        let request = TestRequest::default().peer_addr(peer);
        forwarded
            .iter()
            .fold(request, |request, value| request.append_header(("x-forwarded-for", *value)))
            .to_http_request()
    }

    #[test]
    fn the_trusted_header_counts_behind_a_proxy_alone() {
        let (own, proxied) = (door(false), door(true));
        let of = |text: &str| Some(Address::of(text.parse().unwrap()));
        assert_eq!(own.address(&request(&["9.9.9.9"])), of("10.0.0.1"), "who says so itself is not believed");
        assert_eq!(proxied.address(&request(&["9.9.9.9"])), of("9.9.9.9"));
        assert_eq!(proxied.address(&request(&["1.1.1.1, 2.2.2.2 ,3.3.3.3"])), of("3.3.3.3"));
        assert_eq!(proxied.address(&request(&["1.1.1.1", "4.4.4.4"])), of("4.4.4.4"));
        assert_eq!(proxied.address(&request(&["nonsense"])), None);
    }

    #[test]
    fn requests_are_counted_behind_a_proxy_alone() {
        let (own, proxied) = (door(false), door(true));
        let one = request(&["9.9.9.9"]);
        let seat = proxied.admit_request(&one);
        assert!(matches!(seat, Some(Some(_))));
        assert!(proxied.admit_request(&one).is_none(), "its address has one already");
        assert!(proxied.admit_request(&request(&["8.8.8.8"])).is_some());
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
