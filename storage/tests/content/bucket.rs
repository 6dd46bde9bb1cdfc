//! A small server that speaks as much S3 as the content store needs.

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_RANGE, ETAG, LAST_MODIFIED, RANGE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use iassistance_egress::{Egress, EgressSettings};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

const WHEN: &str = "Tue, 24 Nov 2026 00:00:00 GMT";

/// The server; it ends when dropped.
pub struct Bucket {
    port: u16,
    state: Arc<Mutex<State>>,
    _server: JoinSet<()>,
}

#[derive(Default)]
struct State {
    objects: BTreeMap<String, Bytes>,
    uploads: HashMap<String, BTreeMap<u32, Bytes>>,
    seen: Vec<String>,
    refuses: Option<u16>,
}

impl Bucket {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(Mutex::new(State::default()));
        let mut server = JoinSet::new();
        let shared = Arc::clone(&state);
        server.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                let state = Arc::clone(&shared);
                let service = service_fn(move |request| answer(Arc::clone(&state), request));
                connections.spawn(async move {
                    let _ended = http1::Builder::new().serve_connection(TokioIo::new(socket), service).await;
                });
            }
        });
        Self { port, state, _server: server }
    }

    pub fn address(&self) -> String {
        format!("http://127.0.0.1:{}/storage/v1/s3", self.port)
    }

    /// The requests so far: method, path and query.
    pub fn seen(&self) -> Vec<String> {
        self.state.lock().unwrap().seen.clone()
    }

    /// Uploads in parts that are neither finished nor taken back.
    pub fn uploads_open(&self) -> usize {
        self.state.lock().unwrap().uploads.len()
    }

    /// From now on every request gets this status.
    pub fn refuse(&self, status: u16) {
        self.state.lock().unwrap().refuses = Some(status);
    }
}

async fn answer(
    state: Arc<Mutex<State>>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let mut state = state.lock().unwrap();
    state.seen.push(format!("{} {}", head.method, head.uri));
    let signed = head
        .headers
        .get(AUTHORIZATION)
        .is_some_and(|value| value.to_str().unwrap().starts_with("AWS4-HMAC-SHA256 Credential=key/"));
    let refused = state.refuses.or((!signed).then_some(403));
    if let Some(status) = refused {
        let body = "<Error><Code>Refused</Code><Key>private</Key></Error>";
        return Ok(status_of(status, Bytes::from_static(body.as_bytes())));
    }
    let Some(path) = head.uri.path().strip_prefix("/storage/v1/s3/files") else {
        return Ok(status_of(404, Bytes::new()));
    };
    let key = path.trim_start_matches('/').to_owned();
    let query: HashMap<String, String> =
        url::form_urlencoded::parse(head.uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
    let range = head.headers.get(RANGE).map(|range| range.to_str().unwrap().to_owned());
    Ok(state.act(&head.method, key, &query, range.as_deref(), body))
}

impl State {
    fn act(
        &mut self,
        method: &Method,
        key: String,
        query: &HashMap<String, String>,
        range: Option<&str>,
        body: Bytes,
    ) -> Response<Full<Bytes>> {
        let upload = query.get("uploadId");
        match (method.as_str(), upload) {
            ("GET", None) if key.is_empty() => self.list(&query["prefix"]),
            ("GET" | "HEAD", None) => self.get(&key, range),
            ("PUT", None) => {
                self.objects.insert(key, body);
                etag(status_of(200, Bytes::new()))
            }
            ("DELETE", None) => {
                self.objects.remove(&key);
                status_of(204, Bytes::new())
            }
            ("POST", None) if query.contains_key("uploads") => {
                let id = format!("u{}", self.seen.len());
                self.uploads.insert(id.clone(), BTreeMap::new());
                let xml = format!(
                    "<InitiateMultipartUploadResult><UploadId>{id}</UploadId></InitiateMultipartUploadResult>"
                );
                status_of(200, xml.into())
            }
            ("PUT", Some(upload)) => {
                let parts = self.uploads.get_mut(upload).unwrap();
                parts.insert(query["partNumber"].parse().unwrap(), body);
                etag(status_of(200, Bytes::new()))
            }
            ("POST", Some(upload)) => {
                let parts: Vec<Bytes> = self.uploads.remove(upload).unwrap().into_values().collect();
                let (_, all_but_last) = parts.split_last().unwrap();
                assert!(all_but_last.iter().all(|part| part.len() >= 5 << 20), "S3 takes no smaller part");
                self.objects.insert(key, parts.concat().into());
                let xml = "<CompleteMultipartUploadResult><ETag>\"e\"</ETag></CompleteMultipartUploadResult>";
                status_of(200, xml.into())
            }
            ("DELETE", Some(upload)) => {
                self.uploads.remove(upload);
                status_of(204, Bytes::new())
            }
            _ => status_of(405, Bytes::new()),
        }
    }

    fn get(&self, key: &str, range: Option<&str>) -> Response<Full<Bytes>> {
        let Some(bytes) = self.objects.get(key) else { return status_of(404, Bytes::new()) };
        let mut response = match range.and_then(|range| range.strip_prefix("bytes=")?.split_once('-')) {
            None => status_of(200, bytes.clone()),
            Some((from, to)) => {
                let (from, to): (usize, usize) = (from.parse().unwrap(), to.parse().unwrap());
                let to = (to + 1).min(bytes.len());
                let mut part = status_of(206, bytes.slice(from..to));
                let said = format!("bytes {from}-{}/{}", to - 1, bytes.len());
                part.headers_mut().insert(CONTENT_RANGE, said.parse().unwrap());
                part
            }
        };
        response.headers_mut().insert(LAST_MODIFIED, WHEN.parse().unwrap());
        etag(response)
    }

    fn list(&self, prefix: &str) -> Response<Full<Bytes>> {
        let found = self.objects.iter().filter(|(key, _)| key.starts_with(prefix));
        let row = |(key, bytes): (&String, &Bytes)| {
            format!(
                "<Contents><Key>{key}</Key><LastModified>2026-11-24T00:00:00.000Z</LastModified>\
                 <ETag>\"e\"</ETag><Size>{}</Size></Contents>",
                bytes.len()
            )
        };
        let rows: Vec<String> = found.map(row).collect();
        let rows = rows.concat();
        status_of(200, format!("<ListBucketResult>{rows}</ListBucketResult>").into())
    }
}

fn status_of(status: u16, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response
}

fn etag(mut response: Response<Full<Bytes>>) -> Response<Full<Bytes>> {
    response.headers_mut().insert(ETAG, "\"e\"".parse().unwrap());
    response
}

/// What reaches nobody but who is listed.
pub fn egress() -> Egress {
    let url = |text: &str| text.parse().unwrap();
    Egress::new(&EgressSettings {
        graph: url("https://graph.facebook.com"),
        instagram: url("https://graph.instagram.com"),
        media_domains: Vec::new(),
        model: url("https://models.example"),
        model_hosts: Vec::new(),
        tool_private_hosts: Vec::new(),
        connect_timeout_ms: 1_000,
        read_timeout_ms: 5_000,
    })
    .unwrap()
}
