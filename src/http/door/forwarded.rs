//! What the proxies before this server say of a request.
//!
//! Each proxy adds what it saw to the end of `X-Forwarded-For`, so the list is read from there, over the proxies
//! that are trusted, to the first address that is none: what stands before it was said by the client. `Forwarded`
//! (RFC 7239) is not read: a proxy that writes the one passes on whatever a client wrote into the other.

use std::net::{IpAddr, SocketAddr};

use actix_web::http::header::HeaderMap;
use ipnet::IpNet;

const FOR: &str = "x-forwarded-for";
const PROTO: &str = "x-forwarded-proto";
/// So many proxies are looked over at most.
const HOPS_MAX: usize = 16;

/// Whether it is one of these networks'.
pub(super) fn is_of(networks: &[IpNet], ip: IpAddr) -> bool {
    networks.iter().any(|network| network.contains(&ip))
}

/// Where a request comes from that a trusted proxy hands on; nothing where the header does not say it.
pub(super) fn client(headers: &HeaderMap, trusted: &[IpNet]) -> Option<IpAddr> {
    let lines: Vec<_> = headers.get_all(FOR).collect();
    let mut farthest = None;
    let hops = lines.iter().rev().flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
    for hop in hops.take(HOPS_MAX) {
        let ip = address(hop)?;
        if !is_of(trusted, ip) {
            return Some(ip);
        }
        farthest = Some(ip);
    }
    // All of them are ours: it comes from inside.
    farthest
}

/// Whether the nearest proxy says that it was asked by https.
pub(super) fn is_https(headers: &HeaderMap) -> bool {
    let last = headers.get_all(PROTO).last().and_then(|line| line.to_str().ok());
    let last = last.and_then(|line| line.rsplit(',').next()).unwrap_or_default();
    last.trim().eq_ignore_ascii_case("https")
}

/// An address as proxies write it: alone, in brackets, or with a port.
fn address(text: &[u8]) -> Option<IpAddr> {
    let text = str::from_utf8(text).ok()?.trim();
    let alone = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let ip =
        alone.parse::<IpAddr>().or_else(|_| text.parse::<SocketAddr>().map(|socket| socket.ip())).ok()?;
    Some(ip.to_canonical())
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{HeaderName, HeaderValue};

    use super::*;

    fn headers(name: &'static str, lines: &[&[u8]]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(HeaderName::from_static(name), HeaderValue::from_bytes(line).unwrap());
        }
        headers
    }

    fn told(lines: &[&str]) -> Option<String> {
        let trusted = ["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        let lines: Vec<_> = lines.iter().map(|line| line.as_bytes()).collect();
        client(&headers(FOR, &lines), &trusted).map(|ip| ip.to_string())
    }

    #[test]
    fn it_is_read_from_the_end_over_our_own_proxies() {
        for (lines, expected) in [
            (&["9.9.9.9"][..], "9.9.9.9"),
            (&["1.1.1.1, 2.2.2.2 ,3.3.3.3"], "3.3.3.3"),
            (&["1.1.1.1, 2.2.2.2, 10.0.0.7"], "2.2.2.2"),
            (&["1.1.1.1", "2.2.2.2,10.1.1.1", "fd00::5"], "2.2.2.2"),
            (&["10.0.0.9, 10.0.0.7"], "10.0.0.9"),
            (&["2.2.2.2:4711"], "2.2.2.2"),
            (&["2001:db8::1"], "2001:db8::1"),
            (&["[2001:db8::1]"], "2001:db8::1"),
            (&["[2001:db8::1]:443"], "2001:db8::1"),
            (&["::ffff:2.2.2.2"], "2.2.2.2"),
            (&["2.2.2.2, ::ffff:10.0.0.7"], "2.2.2.2"),
            (&["nonsense, 2.2.2.2"], "2.2.2.2"),
        ] {
            assert_eq!(told(lines).as_deref(), Some(expected), "{lines:?}");
        }
    }

    #[test]
    fn what_is_no_list_of_addresses_says_nothing() {
        let endless = format!("2.2.2.2{}", ", 10.0.0.1".repeat(40));
        for lines in [
            &[][..],
            &[""],
            &[","],
            &["2.2.2.2,"],
            &["2.2.2.2, unknown"],
            &["2.2.2.2, 10.0.0.1, _hidden"],
            &["999.1.1.1"],
            &["[2001:db8::1"],
            &["2001:db8::1]:443"],
            &["2.2.2.2:x"],
        ] {
            assert_eq!(told(lines), None, "{lines:?}");
        }
        assert_eq!(told(&[&endless]).as_deref(), Some("10.0.0.1"), "not farther than it may");
        let bytes = headers(FOR, &[b"\xff\xfe, 2.2.2.2", b"\x80"]);
        assert_eq!(client(&bytes, &[]), None);
    }

    #[test]
    fn the_nearest_proxy_says_how_it_was_asked() {
        for (lines, expected) in [
            (&[&b"https"[..]][..], true),
            (&[b"HTTPS"], true),
            (&[b"http, https"], true),
            (&[b"https", b"http"], false),
            (&[b"https, http"], false),
            (&[b"\xff"], false),
            (&[], false),
        ] {
            assert_eq!(is_https(&headers(PROTO, lines)), expected, "{lines:?}");
        }
    }
}
