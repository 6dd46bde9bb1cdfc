mod accounts;
mod fetching;
mod marks;
mod probing;
mod sending;
mod uploading;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread::{self, JoinHandle};

use iassistance_domain::content::Content;
use iassistance_domain::id::MediaId;
use iassistance_egress::EgressSettings;
use serde_json::json;

use super::*;
use crate::samples::{NOW, channel, entry, number};
use crate::send::{MediaBytes, ShelfError};

/// A sender for a Graph API, and an Instagram, at this address.
fn sender(base: &str, timeout_ms: u64) -> GraphSender {
    let graph = Url::parse(base).unwrap();
    let egress = EgressSettings {
        graph: graph.clone(),
        instagram: graph.clone(),
        media_domains: vec!["fbcdn.net".to_owned()],
        model: graph.clone(),
        model_hosts: Vec::new(),
        tool_private_hosts: Vec::new(),
        connect_timeout_ms: 5_000,
        read_timeout_ms: 5_000,
    };
    let settings = GraphSettings {
        instagram: graph.clone(),
        graph,
        version: "v24.0".to_owned(),
        timeout_ms,
        media_timeout_ms: timeout_ms,
        file_bytes_max: 1_000,
    };
    GraphSender::new(Egress::new(&egress).unwrap(), settings)
}

/// A server that answers one request after the other with these bytes, and hangs up after each.
struct Server {
    address: SocketAddr,
    thread: JoinHandle<Vec<String>>,
}

impl Server {
    fn new<A: Into<Vec<u8>>>(answers: impl IntoIterator<Item = A>) -> Self {
        Self::with_base(|_| answers.into_iter().map(Into::into).collect())
    }

    /// The same, where answers name the server itself.
    fn with_base(answers: impl FnOnce(&str) -> Vec<Vec<u8>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let answers = answers(&format!("http://{address}"));
        let thread = thread::spawn(move || {
            let mut requests = Vec::new();
            for answer in answers {
                let (mut stream, _) = listener.accept().unwrap();
                let Some(request) = read_request(&mut stream) else { break };
                stream.write_all(&answer).unwrap();
                requests.push(request);
            }
            requests
        });
        Self { address, thread }
    }

    fn base(&self) -> String {
        format!("http://{}", self.address)
    }

    fn sender(&self) -> GraphSender {
        sender(&self.base(), 10_000)
    }

    /// What was asked, in order.
    fn requests(self) -> Vec<String> {
        // Who waits for a request that never comes is told so by an empty one.
        drop(TcpStream::connect(self.address));
        self.thread.join().unwrap()
    }
}

/// A request with its body; nothing where there is none.
fn read_request(stream: &mut TcpStream) -> Option<String> {
    let (mut request, mut part) = (Vec::new(), [0; 4096]);
    loop {
        if let Some(at) = request.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&request[..at]).to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if request.len() - at - 4 >= length.map_or(0, |length| length.parse().unwrap()) {
                return Some(String::from_utf8_lossy(&request).into_owned());
            }
        }
        let read = stream.read(&mut part).unwrap();
        if read == 0 {
            assert!(request.is_empty(), "the request broke off");
            return None;
        }
        request.extend_from_slice(&part[..read]);
    }
}

/// The first line of a request.
fn line(request: &str) -> &str {
    request.lines().next().unwrap().strip_suffix(" HTTP/1.1").unwrap()
}

/// The body of a request.
fn body(request: &str) -> Value {
    serde_json::from_str(request.split_once("\r\n\r\n").unwrap().1).unwrap()
}

fn http(status: u16, headers: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status} Said\r\nconnection: close\r\n{headers}content-length: {length}\r\n\r\n{body}")
}

fn ok(body: &Value) -> String {
    http(200, "", &body.to_string())
}

fn graph_error(status: u16, code: i64) -> String {
    http(status, "", &json!({"error": {"message": "x", "type": "OAuthException", "code": code}}).to_string())
}

/// A shelf with one file on it, or none.
struct Shelf(Result<MediaBytes, ShelfError>);

#[async_trait]
impl MediaShelf for Shelf {
    async fn open(&self, _: MediaId) -> Result<MediaBytes, ShelfError> {
        self.0.clone()
    }
}

const EMPTY: Shelf = Shelf(Err(ShelfError::Missing));

fn whatsapp_text(text: &str) -> OutboxEntry {
    entry(ChannelKind::Whatsapp, Content::text(text))
}

async fn outcome_of<A: Into<Vec<u8>>>(answer: A, entry: &OutboxEntry) -> Result<Sent, SendError> {
    let server = Server::new([answer]);
    let attempt = server.sender().send(&channel(number()), entry, NOW, &EMPTY).await;
    assert_eq!(server.requests().len(), 1);
    attempt.outcome
}

async fn error_of<A: Into<Vec<u8>>>(answer: A) -> SendError {
    outcome_of(answer, &whatsapp_text("hi")).await.err().unwrap()
}

/// Instagram by itself, with the app-scoped id.
fn instagram_login() -> Channel {
    channel(Connection::InstagramLogin { user_id: Some("17840000000000009".to_owned()) })
}

fn instagram_page() -> Channel {
    channel(Connection::InstagramPage { page_id: "300000000000001".to_owned() })
}
