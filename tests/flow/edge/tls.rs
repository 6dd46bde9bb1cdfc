//! TLS of our own: what is served inside it, and that the door holds all the same.

use std::path::Path;
use std::sync::Arc;

use futures::{SinkExt, StreamExt};
use iassistance_domain::Clock;
use reqwest::tls::Version;
use reqwest::{Certificate, Client};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use super::assert_guarded;
use crate::harness::{Flow, Options, log, within};

const LIVE: &str = "GET /health/live HTTP/1.1\r\nhost: localhost\r\n\r\n";
/// `server.pace_window_ms`.
const WINDOW_MS: u64 = 5_000;
/// How often the files are looked at.
const LOOK_MS: u64 = 10_000;

/// Where a certificate and its key lie.
struct Files(tempfile::TempDir);

impl Files {
    fn new() -> (Self, Certificate) {
        let files = Self(tempfile::tempdir().unwrap());
        let certificate = files.renew();
        (files, certificate)
    }

    /// Puts a new pair there.
    fn renew(&self) -> Certificate {
        let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(self.path().join("chain.pem"), pair.cert.pem()).unwrap();
        std::fs::write(self.path().join("key.pem"), pair.signing_key.serialize_pem()).unwrap();
        Certificate::from_pem(pair.cert.pem().as_bytes()).unwrap()
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    async fn flow(&self, settings: &[&'static str]) -> Flow {
        let leak = |text: String| -> &'static str { Box::leak(text.into_boxed_str()) };
        let own = [
            leak(format!("server.tls_certificate={}", self.path().join("chain.pem").display())),
            leak(format!("server.tls_key={}", self.path().join("key.pem").display())),
        ];
        Flow::with(Options { settings: [&own, settings].concat(), ..Options::default() }).await
    }
}

/// A client that believes this certificate alone, with no connection yet.
fn client(flow: &Flow, certificate: &Certificate, highest: Option<Version>) -> Client {
    #[expect(clippy::disallowed_methods, reason = "the test's own client")]
    let builder = Client::builder().no_proxy().resolve("localhost", flow.address);
    let builder = builder.tls_certs_only([certificate.clone()]);
    match highest {
        Some(version) => builder.tls_version_max(version),
        None => builder,
    }
    .build()
    .unwrap()
}

fn url(flow: &Flow, path: &str) -> String {
    format!("https://localhost:{}{path}", flow.address.port())
}

/// A connection, greeted.
async fn connected(files: &Files, stream: TcpStream) -> TlsStream<TcpStream> {
    greeted(files, stream).await.unwrap()
}

async fn greeted(files: &Files, stream: TcpStream) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(files.path().join("chain.pem")).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_root_certificates(roots).with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    within("the greeting", TlsConnector::from(Arc::new(config)).connect(name, stream)).await
}

async fn plain(flow: &Flow) -> TcpStream {
    TcpStream::connect(flow.address).await.unwrap()
}

/// Everything that comes until the connection has ended, however it ends.
async fn rest(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> Vec<u8> {
    let mut read = Vec::new();
    within("the end", async { while stream.read_buf(&mut read).await.is_ok_and(|count| count > 0) {} }).await;
    read
}

async fn head(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> String {
    let mut read = Vec::new();
    within("an answer", async {
        while !read.windows(4).any(|end| end == b"\r\n\r\n") {
            if stream.read_buf(&mut read).await.unwrap_or(0) == 0 {
                break;
            }
        }
    })
    .await;
    String::from_utf8_lossy(&read).into_owned()
}

#[actix::test]
async fn https_is_spoken_and_nothing_older_or_plainer() {
    let (files, certificate) = Files::new();
    let flow = files.flow(&[]).await;
    for highest in [None, Some(Version::TLS_1_2)] {
        let client = client(&flow, &certificate, highest);
        let answer = within("an answer", client.get(url(&flow, "/health/live")).send()).await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.version()), (200, reqwest::Version::HTTP_11));
        assert_eq!(answer.headers()["strict-transport-security"], "max-age=31536000");
        assert_guarded(&answer, "an answer by https");
    }
    let mut stream = plain(&flow).await;
    stream.write_all(LIVE.as_bytes()).await.unwrap();
    let said = String::from_utf8_lossy(&rest(&mut stream).await).into_owned();
    assert!(!said.contains("HTTP"), "{said}");
    // A greeting of TLS 1.1: its version 3.2, two of its ciphers, nothing else.
    let mut hello = vec![22, 3, 1, 0, 47, 1, 0, 0, 43, 3, 2];
    hello.extend([7; 32]);
    hello.extend([0, 0, 4, 0xc0, 0x13, 0, 0x2f, 1, 0]);
    let mut stream = plain(&flow).await;
    stream.write_all(&hello).await.unwrap();
    let said = rest(&mut stream).await;
    assert!(said.starts_with(&[21]) && said.len() < 10, "an alert and nothing else: {said:?}");
    flow.finish().await;
}

#[actix::test]
async fn a_renewed_certificate_is_shown_and_a_broken_one_is_not() {
    let (files, first) = Files::new();
    let flow = files.flow(&[]).await;
    let shows = async |certificate: &Certificate| {
        let client = client(&flow, certificate, None);
        within("an answer", client.get(url(&flow, "/health/live")).send()).await.is_ok()
    };
    assert!(shows(&first).await);
    let second = files.renew();
    assert!(shows(&first).await && !shows(&second).await, "it is looked at every ten seconds");
    flow.clock.advance_millis(LOOK_MS);
    assert!(shows(&second).await && !shows(&first).await);
    std::fs::write(files.path().join("key.pem"), "what a full disk leaves").unwrap();
    flow.clock.advance_millis(LOOK_MS);
    assert!(shows(&second).await);
    assert!(log().contains("the TLS certificate that was shown so far is kept"));
    let third = files.renew();
    flow.clock.advance_millis(LOOK_MS);
    assert!(shows(&third).await && !shows(&second).await);
    flow.finish().await;
}

#[actix::test]
async fn slow_clients_are_cut_off_inside_tls_too() {
    let (files, certificate) = Files::new();
    let flow = files.flow(&["server.head_deadline_ms=300"]).await;
    // Before it has greeted, and in the middle of a head, also of a later one.
    let mut silent = plain(&flow).await;
    silent.write_all(&[22, 3]).await.unwrap();
    let (mut first, mut later) =
        (connected(&files, plain(&flow).await).await, connected(&files, plain(&flow).await).await);
    later.write_all(LIVE.as_bytes()).await.unwrap();
    assert!(head(&mut later).await.starts_with("HTTP/1.1 200"));
    for stream in [&mut first, &mut later] {
        stream.write_all(b"GET /health/live HTTP/1.1\r\nhost: lo").await.unwrap();
        stream.flush().await.unwrap();
    }
    let good = client(&flow, &certificate, None);
    let live = url(&flow, "/health/live");
    assert_eq!(within("an answer", good.get(&live).send()).await.unwrap().status(), 200);
    flow.sleeps_for(300).await;
    flow.clock.advance_millis(300);
    assert_eq!(rest(&mut silent).await, b"");
    for stream in [&mut first, &mut later] {
        let said = String::from_utf8_lossy(&rest(stream).await).into_owned();
        assert!(!said.contains("HTTP/1.1 200"), "{said}");
    }
    flow.finish().await;
}

#[actix::test]
async fn slow_readers_are_cut_off_inside_tls_too() {
    let (files, certificate) = Files::new();
    let flow = files.flow(&[]).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    let mut slow = connected(&files, socket.connect(flow.address).await.unwrap()).await;
    let count = 200;
    slow.write_all("GET /openapi.json HTTP/1.1\r\nhost: localhost\r\n\r\n".repeat(count).as_bytes())
        .await
        .unwrap();
    slow.flush().await.unwrap();
    flow.sleeps_for(WINDOW_MS).await;
    let good = client(&flow, &certificate, None);
    let mut whole = 0;
    // What the system still takes for it counts in the first window, and nothing does in the last.
    for _ in 0..3 {
        flow.clock.advance_millis(WINDOW_MS);
        // The one thread that serves has been at it by then.
        let answer = within("an answer", good.get(url(&flow, "/openapi.json")).send()).await.unwrap();
        whole = answer.bytes().await.unwrap().len();
    }
    let got = rest(&mut slow).await.len();
    assert!(got < count * whole, "{got} bytes came of {count} answers of {whole}");
    flow.finish().await;
}

#[actix::test]
async fn an_address_has_as_many_connections_inside_tls() {
    let (files, _) = Files::new();
    let flow = files.flow(&["server.connections_per_address_max=2"]).await;
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut stream = connected(&files, plain(&flow).await).await;
        stream.write_all(LIVE.as_bytes()).await.unwrap();
        assert!(head(&mut stream).await.starts_with("HTTP/1.1 200"));
        held.push(stream);
    }
    assert_eq!(rest(&mut plain(&flow).await).await, b"", "without a word: nothing was greeted");
    drop(held.pop());
    let served = async { while greeted(&files, plain(&flow).await).await.is_err() {} };
    within("room", served).await;
    flow.finish().await;
}

#[actix::test]
async fn the_feed_is_watched_by_ticket_inside_tls_until_its_key_is_revoked() {
    let (files, certificate) = Files::new();
    let flow = files.flow(&[]).await;
    let good = client(&flow, &certificate, None);
    let path = format!("/v1/tenants/{}/live-tickets", flow.tenants[0]);
    let issue = async || -> String {
        let asked = good.post(url(&flow, &path)).bearer_auth(&flow.key).send();
        let ticket: Value = within("a ticket", asked).await.unwrap().json().await.unwrap();
        ticket["ticket"].as_str().unwrap().to_owned()
    };
    let open = async |ticket: &str| {
        let mut request = "wss://localhost/v1/live".into_client_request().unwrap();
        let offered = format!("iassistance.live.v1, ticket.{ticket}");
        request.headers_mut().insert("sec-websocket-protocol", offered.parse().unwrap());
        let stream = connected(&files, plain(&flow).await).await;
        Box::pin(within("the socket", client_async(request, stream))).await.map(|(socket, _)| socket)
    };
    let (ticket, unused) = (issue().await, issue().await);
    let mut socket = open(&ticket).await.unwrap();
    assert!(open(&ticket).await.is_err(), "once");
    let subscribe = |tenant| json!({ "type": "subscribe", "tenant": tenant }).to_string();
    let mut told = async |said: Option<String>| -> Value {
        if let Some(said) = said {
            socket.send(Message::text(said)).await.unwrap();
        }
        loop {
            if let Message::Text(text) = within("a frame", socket.next()).await.unwrap().unwrap() {
                return serde_json::from_str(&text).unwrap();
            }
        }
    };
    assert_eq!(told(Some(subscribe(flow.tenants[1]))).await["code"], "not_found", "another tenant's");
    assert_eq!(told(Some(subscribe(flow.tenants[0]))).await["type"], "subscribed");
    let mut key = flow.app.store.api_keys().await.unwrap().remove(0);
    key.revoked_at = Some(flow.clock.now());
    flow.app.store.put_api_key(key).await.unwrap();
    // No time passes between that and the goodbye.
    assert_eq!(told(None).await["type"], "bye");
    assert!(open(&unused).await.is_err(), "a ticket ends with what asked for it");
    flow.finish().await;
}
