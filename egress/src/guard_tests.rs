use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::{Destination, Egress, EgressSettings};

/// Names whose addresses a test decides; each time a name is asked for, the next answer comes, and
/// the last one goes on.
#[derive(Default)]
struct Names {
    answers: Mutex<BTreeMap<String, Vec<Vec<IpAddr>>>>,
    asked: AtomicUsize,
}

impl Names {
    fn of(answers: &[(&str, &[&[&str]])]) -> Arc<Self> {
        let parse = |addresses: &&[&str]| addresses.iter().map(|text| text.parse().unwrap()).collect();
        let answers = answers
            .iter()
            .map(|(name, answers)| ((*name).to_owned(), answers.iter().map(parse).collect()))
            .collect();
        Arc::new(Self { answers: Mutex::new(answers), asked: AtomicUsize::new(0) })
    }
}

impl Lookup for Names {
    fn look_up(&self, name: String) -> Looking {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let mut answers = self.answers.lock().unwrap();
        let answer = match answers.get_mut(&name) {
            None => Err(io::Error::other("no such name")),
            Some(left) if left.len() > 1 => Ok(left.remove(0)),
            Some(last) => Ok(last[0].clone()),
        };
        Box::pin(async move { answer })
    }
}

fn url(text: &str) -> Url {
    Url::parse(text).unwrap()
}

fn egress(private_hosts: &[&str], names: &Arc<Names>) -> Egress {
    let settings = EgressSettings {
        graph: url("https://graph.facebook.com"),
        instagram: url("https://graph.instagram.com"),
        media_domains: Vec::new(),
        model: url("https://models.example"),
        model_hosts: Vec::new(),
        tool_private_hosts: private_hosts.iter().map(|host| (*host).to_owned()).collect(),
        connect_timeout_ms: 5_000,
        read_timeout_ms: 5_000,
    };
    let lookup: Arc<dyn Lookup> = Arc::<Names>::clone(names);
    Egress::new(&settings).unwrap().with_lookup(lookup)
}

fn may(egress: &Egress, address: &str) -> bool {
    egress.client_for(Destination::Tool, &url(address)).is_ok()
}

#[test]
fn only_the_public_network_is_public() {
    let private = [
        "0.0.0.0",
        "0.255.255.255",
        "10.0.0.0",
        "10.255.255.255",
        "100.64.0.0",
        "100.100.100.200",
        "100.127.255.255",
        "127.0.0.1",
        "127.255.255.255",
        "168.63.129.16",
        "169.254.0.1",
        "169.254.169.254",
        "172.16.0.0",
        "172.31.255.255",
        "192.0.0.1",
        "192.0.0.192",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.0.1",
        "192.168.255.255",
        "198.18.0.0",
        "198.19.255.255",
        "198.51.100.7",
        "203.0.113.255",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:8.8.8.8",
        "::ffff:0:8.8.8.8",
        "64:ff9b::8.8.8.8",
        "64:ff9b::10.0.0.1",
        "64:ff9b:1::1",
        "100::1",
        "2001::1",
        "2001:2::1",
        "2001:10::1",
        "2001:20::1",
        "2001:db8::1",
        "2002:7f00:1::1",
        "2002:808:808::1",
        "3fff::1",
        "4000::1",
        "5f00::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "febf::1",
        "fec0::1",
        "ff02::1",
        "ffff::1",
    ];
    for address in private {
        assert!(!is_public(address.parse().unwrap()), "{address}");
    }
    let public = [
        "1.1.1.1",
        "8.8.8.8",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "126.255.255.255",
        "128.0.0.0",
        "168.63.129.15",
        "168.63.129.17",
        "169.253.255.255",
        "169.255.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "192.0.1.0",
        "192.0.3.0",
        "192.167.255.255",
        "192.169.0.0",
        "198.17.255.255",
        "198.20.0.0",
        "203.0.112.255",
        "203.0.114.0",
        "223.255.255.255",
        "2001:200::1",
        "2001:4860:4860::8888",
        "2001:db7::1",
        "2001:db9::1",
        "2003::1",
        "2606:4700::1111",
        "2a00:1450::1",
        "3ffe::1",
    ];
    for address in public {
        assert!(is_public(address.parse().unwrap()), "{address}");
    }
}

#[test]
fn whatever_way_a_private_address_is_written_it_is_refused() {
    let egress = egress(&[], &Names::of(&[]));
    for host in [
        "127.0.0.1",
        "127.0.0.1.",
        "127.1",
        "127.0.1",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0X7F.0.0.1",
        "0177.0.0.1",
        "017700000001",
        "0",
        "0x0",
        "10.1",
        "0xa9fea9fe",
        "2852039166",
        "0251.0376.0251.0376",
        "169.254.169.254",
        "1２7.0.0.1",
        "①②⑦.0.0.1",
        "127。0。0。1",
        "%31%32%37.0.0.1",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[0:0:0:0:0:ffff:a00:1]",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "[fe80::1]",
        "[fd00:ec2::254]",
        "[ff02::1]",
        "3232235777",
    ] {
        let address = format!("https://{host}/hook");
        assert!(!may(&egress, &address), "{address}");
    }
    for host in
        ["8.8.8.8", "134744072", "0x08080808", "[2606:4700::1111]", "crm.example", "xn--caf-dma.example"]
    {
        let address = format!("https://{host}/hook");
        assert!(may(&egress, &address), "{address}");
    }
}

#[test]
fn only_https_on_few_ports_without_a_user() {
    let egress = egress(&[], &Names::of(&[]));
    for address in [
        "http://crm.example/",
        "ftp://crm.example/",
        "file:///etc/passwd",
        "gopher://crm.example/",
        "https://user@crm.example/",
        "https://user:word@crm.example/",
        "https://crm.example:22/",
        "https://crm.example:80/",
        "https://crm.example:6379/",
        "https://8.8.8.8:25/",
        "data:text/plain,x",
    ] {
        assert!(!may(&egress, address), "{address}");
    }
    for port in PORTS {
        assert!(may(&egress, &format!("https://crm.example:{port}/")));
    }
    // The way of tools is no way for others.
    assert!(egress.client_for(Destination::Model, &url("https://crm.example/")).is_err());
    assert!(egress.client_for(Destination::Media, &url("https://crm.example/")).is_err());
}

#[tokio::test]
async fn a_name_that_leads_inside_is_not_connected_to() {
    let names = Names::of(&[
        ("loop.example", &[&["127.0.0.1"]]),
        ("mixed.example", &[&["8.8.8.8", "10.0.0.5"]]),
        ("six.example", &[&["2606:4700::1111", "::1"]]),
        ("mapped.example", &[&["::ffff:169.254.169.254"]]),
        ("localhost", &[&["127.0.0.1", "::1"]]),
    ]);
    let egress = egress(&[], &names);
    for host in ["loop.example", "mixed.example", "six.example", "mapped.example", "localhost", "LOCALHOST"] {
        let address = url(&format!("https://{host}/hook?number=15550199001"));
        let client = egress.client_for(Destination::Tool, &address).unwrap();
        let error = client.get(address).send().await.unwrap_err();
        let refusal = not_public(&error).unwrap();
        assert_eq!(refusal.host, host.to_lowercase());
        assert!(!refusal.to_string().contains("15550199001"));
    }
    let unknown = url("https://nowhere.example/");
    let error =
        egress.client_for(Destination::Tool, &unknown).unwrap().get(unknown).send().await.unwrap_err();
    assert!(not_public(&error).is_none());
}

#[tokio::test]
async fn what_was_checked_is_what_is_connected_to_even_if_the_name_changes() {
    let names = Names::of(&[("rebind.example", &[&["8.8.8.8", "1.1.1.1"], &["127.0.0.1"]])]);
    let checked = Checked { lookup: Arc::<Names>::clone(&names) as Arc<dyn Lookup>, private: Vec::new() };
    let name = || "rebind.example".parse::<Name>().unwrap();
    let first: Vec<_> = checked.resolve(name()).await.unwrap().collect();
    assert_eq!(first, ["8.8.8.8:0".parse().unwrap(), "1.1.1.1:0".parse().unwrap()]);
    // Asked again for another connection, it is checked again.
    let second = checked.resolve(name()).await.err().unwrap();
    assert_eq!(second.downcast_ref::<NotPublic>().unwrap().host, "rebind.example");
    assert_eq!(names.asked.load(Ordering::SeqCst), 2);
}

/// A server on this machine that says `answer` to each request, and counts its connections.
async fn serve(answer: &'static str) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (port, connections) = (listener.local_addr().unwrap().port(), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&connections);
    #[expect(clippy::disallowed_methods, reason = "ends with the test's runtime")]
    tokio::spawn(async move {
        loop {
            let (mut connection, _) = listener.accept().await.unwrap();
            count.fetch_add(1, Ordering::SeqCst);
            let mut buffer = [0; 4_096];
            while connection.read(&mut buffer).await.is_ok_and(|read| read > 0) {
                connection.write_all(answer.as_bytes()).await.unwrap();
            }
        }
    });
    (port, connections)
}

#[tokio::test]
async fn a_listed_host_is_reached_at_the_address_that_its_name_was_resolved_to() {
    let (port, connections) = serve("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    let names = Names::of(&[("crm.internal", &[&["127.0.0.1"], &["203.0.113.1"]])]);
    let egress = egress(&[&format!("crm.internal:{port}")], &names);
    let address = url(&format!("http://crm.internal:{port}/"));
    for _ in 0..3 {
        let client = egress.client_for(Destination::Tool, &address).unwrap();
        assert_eq!(client.get(address.clone()).send().await.unwrap().text().await.unwrap(), "ok");
    }
    // Resolved once for one connection: nobody else asks.
    assert_eq!(names.asked.load(Ordering::SeqCst), 1);
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let (inside, reached) = serve("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nsecret").await;
    let target =
        format!("HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:{inside}/\r\ncontent-length: 0\r\n\r\n");
    let (port, _) = serve(Box::leak(target.into_boxed_str())).await;
    let egress = egress(&[&format!("127.0.0.1:{port}")], &Names::of(&[]));
    let address = url(&format!("http://127.0.0.1:{port}/"));
    let client = egress.client_for(Destination::Tool, &address).unwrap();
    assert_eq!(client.get(address).send().await.unwrap().status(), 302);
    assert_eq!(reached.load(Ordering::SeqCst), 0);
    assert!(!may(&egress, &format!("http://127.0.0.1:{inside}/")));
}

#[tokio::test]
async fn the_list_opens_what_is_on_it_and_nothing_else() {
    let names = Names::of(&[("other.internal", &[&["10.0.0.9"]]), ("crm.internal", &[&["10.0.0.5"]])]);
    let egress = egress(&["crm.internal", "10.0.0.5:8080", "[fd00::5]:8080", "LOCALHOST"], &names);
    for address in [
        "http://crm.internal/",
        "https://crm.internal:6000/",
        "http://10.0.0.5:8080/",
        "https://10.0.0.5:8080/",
        "http://[fd00::5]:8080/",
        "http://localhost:3000/",
        "http://CRM.internal/",
    ] {
        assert!(may(&egress, address), "{address}");
    }
    for address in [
        "http://10.0.0.5/",
        "https://10.0.0.5/",
        "http://10.0.0.6:8080/",
        "http://[fd00::5]/",
        "http://[fd00::6]:8080/",
        "http://crm.internal.evil.example/",
        "http://user@crm.internal/",
        "http://127.0.0.1:3000/",
    ] {
        assert!(!may(&egress, address), "{address}");
    }
    let checked = Checked { lookup: names, private: vec!["crm.internal".to_owned()] };
    assert!(checked.resolve("crm.internal".parse().unwrap()).await.is_ok());
    assert!(checked.resolve("other.internal".parse().unwrap()).await.is_err());
}

#[test]
fn a_listed_host_is_a_host_and_perhaps_a_port() {
    let parsed = |text: &str| PrivateHost::parse(text).ok().map(|host| (host.host.to_string(), host.port));
    assert_eq!(parsed("crm.internal"), Some(("crm.internal".to_owned(), None)));
    assert_eq!(parsed("CRM.internal:81"), Some(("crm.internal".to_owned(), Some(81))));
    assert_eq!(parsed("10.0.0.5:81"), Some(("10.0.0.5".to_owned(), Some(81))));
    assert_eq!(parsed("[fd00::5]"), Some(("[fd00::5]".to_owned(), None)));
    assert_eq!(parsed("[fd00::5]:81"), Some(("[fd00::5]".to_owned(), Some(81))));
    for bad in [
        "",
        ":81",
        "http://crm.internal",
        "crm.internal/",
        "crm.internal:0",
        "crm.internal:x",
        "fd00::5",
        "crm.internal:99999",
        "a@crm.internal",
        "crm internal",
        "crm.internal:81:82",
        "*",
    ] {
        assert_eq!(parsed(bad), None, "{bad}");
    }
}

#[tokio::test]
async fn no_more_addresses_than_enough_are_tried() {
    let many: Vec<_> = (0..100).map(|last| format!("8.8.4.{last}")).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    let lookup = Names::of(&[("many.example", &[&many])]);
    let checked = Checked { lookup, private: Vec::new() };
    let addresses = checked.resolve("many.example".parse().unwrap()).await.unwrap();
    assert_eq!(addresses.count(), ADDRESSES_MAX);
}

/// Addresses all over the blocks that are not public, many of each.
fn inside() -> Vec<Ipv4Addr> {
    let of = |(block, bits): &(Ipv4Addr, u32)| {
        let (first, size) = (block.to_bits(), 1_u64 << (32 - bits));
        (0..8_u64).map(move |place| {
            let within = u32::try_from(size * place / 8 + size.saturating_sub(1) % 7).unwrap_or_default();
            Ipv4Addr::from_bits(first | (within & u32::try_from(size - 1).unwrap_or(u32::MAX)))
        })
    };
    NOT_PUBLIC_V4.iter().flat_map(of).collect()
}

/// The ways in which an address can be written that URLs know.
fn spellings(address: Ipv4Addr) -> Vec<String> {
    let ([a, b, c, d], bits) = (address.octets(), address.to_bits());
    let (high, low) = (bits >> 16, bits & 0xffff);
    let wide: String = address
        .to_string()
        .chars()
        .map(|it| it.to_digit(10).and_then(|digit| char::from_u32('０' as u32 + digit)).unwrap_or('。'))
        .collect();
    let escaped = address.to_string().bytes().fold(String::new(), |text, byte| format!("{text}%{byte:02x}"));
    vec![
        address.to_string(),
        format!("{address}."),
        bits.to_string(),
        format!("{bits:#x}"),
        format!("0{bits:o}"),
        format!("{a}.{}", bits & 0xff_ffff),
        format!("{a}.{b}.{low}"),
        format!("{a:#x}.{b:#x}.{c:#x}.{d:#x}"),
        format!("0{a:o}.0{b:o}.0{c:o}.0{d:o}"),
        format!("{a:#X}.0{b:o}.{low}"),
        wide,
        escaped,
        format!("[::ffff:{address}]"),
        format!("[::{high:x}:{low:x}]"),
        format!("[0:0:0:0:0:FFFF:{high:X}:{low:X}]"),
        format!("[64:ff9b::{address}]"),
        format!("[2002:{high:x}:{low:x}::1]"),
    ]
}

#[test]
fn no_way_to_write_an_address_leads_inside() {
    let egress = egress(&[], &Names::of(&[]));
    let (mut tried, mut allowed) = (0, Vec::new());
    for host in inside().into_iter().flat_map(spellings) {
        let Ok(address) = Url::parse(&format!("https://{host}/hook")) else { continue };
        tried += 1;
        if egress.client_for(Destination::Tool, &address).is_ok() {
            allowed.push(host);
        }
    }
    println!("{tried} addresses tried, {} allowed", allowed.len());
    assert!(tried > 1_000, "{tried}");
    assert_eq!(allowed, Vec::<String>::new());
}

/// Each name leads outside when it is looked up first, and inside from then on.
#[derive(Default)]
struct Rebinding(Mutex<BTreeMap<String, usize>>);

impl Lookup for Rebinding {
    fn look_up(&self, name: String) -> Looking {
        let mut asked = self.0.lock().unwrap();
        let times = asked.entry(name).or_default();
        *times += 1;
        let inside = if times.is_multiple_of(2) { "127.0.0.1" } else { "::ffff:127.0.0.1" };
        let answer = if *times == 1 { "8.8.8.8" } else { inside };
        Box::pin(async move { Ok(vec![answer.parse().unwrap()]) })
    }
}

#[tokio::test]
async fn no_name_that_changes_where_it_leads_is_followed_inside() {
    const NAMES: usize = 1_000;
    let (port, reached) = serve("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nsecret").await;
    let lookup = Arc::new(Rebinding::default());
    let names = Arc::new(Checked { lookup: Arc::<Rebinding>::clone(&lookup), private: Vec::new() });
    let patience = Patience { connect: Duration::from_secs(5), read: Duration::from_secs(5) };
    let client = crate::client(patience, false, Some(Arc::clone(&names))).unwrap();
    for number in 0..NAMES {
        let name = format!("n{number}.rebind.example");
        let checked: Vec<_> = names.resolve(name.parse().unwrap()).await.unwrap().collect();
        assert_eq!(checked, ["8.8.8.8:0".parse().unwrap()]);
        for _ in 0..2 {
            let called = client.get(url(&format!("http://{name}:{port}/"))).send().await;
            let refused = called.as_ref().err().and_then(|error| not_public(error));
            assert_eq!(reached.load(Ordering::SeqCst), 0, "{name} was followed inside");
            assert_eq!(refused.map(|refused| refused.host.clone()), Some(name.clone()));
        }
    }
    println!("{NAMES} names led inside, 0 connections");
}
