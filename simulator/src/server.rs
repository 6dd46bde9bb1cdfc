//! The HTTP server: plain hyper, so that it can hang and cut connections on purpose.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use futures::stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, Limited, StreamBody};
use hyper::body::{Frame as BodyFrame, Incoming};
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use hyper::http::request::Parts;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::core::Core;
use crate::media::FILE_BYTES_MAX;
use crate::model_audio::RECORDING_BYTES_MAX;
use crate::{control, graph, graph_media, model, model_audio, model_services, tool_server};

const BODY_BYTES_MAX: usize = 1024 * 1024;
/// Bodies of the control API: files may be in them, in base64.
const CONTROL_BYTES_MAX: usize = 36 * 1024 * 1024;
/// Chats may have images in them (OpenAI: images and vision, 50 MB in all).
const CHAT_BYTES_MAX: usize = 50 * 1024 * 1024;
const CONNECTIONS_MAX: usize = 1_024;

/// The connection is to be closed as if something had cut it.
#[derive(Debug, thiserror::Error)]
#[error("the connection was cut on purpose")]
pub(crate) struct Cut;

pub(crate) type Body = UnsyncBoxBody<Bytes, Cut>;

/// What a request gets.
pub(crate) enum Reply {
    /// An answer.
    Answer(Response<Body>),
    /// Nothing, for as long as the client waits.
    Hang,
    /// A closed connection.
    Cut,
}

/// A request that was read in full.
pub(crate) struct Call {
    pub head: Parts,
    pub body: Bytes,
}

impl Call {
    /// A header's text, empty when it is absent or no text.
    pub fn header(&self, name: &str) -> &str {
        self.head.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The bearer token, if one was sent.
    pub fn bearer(&self) -> Option<&str> {
        self.header("authorization").strip_prefix("Bearer ").filter(|token| !token.is_empty())
    }

    /// A parameter of the query.
    pub fn query(&self, name: &str) -> Option<String> {
        let query = self.head.uri.query().unwrap_or_default();
        let mut pairs = url::form_urlencoded::parse(query.as_bytes());
        pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    }
}

/// Takes connections until the simulator stops.
pub(crate) async fn serve(core: Arc<Core>, listener: TcpListener) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "the simulator could not take a connection");
                core.clock.sleep_millis(100).await;
                continue;
            }
        };
        // Answers go out in pieces: without this each waits until the one before was confirmed, 40 ms.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection sends late");
        }
        let shared = Arc::clone(&core);
        core.tasks.spawn("connection", async move {
            let service = service_fn(move |request| answer(Arc::clone(&shared), request));
            let mut server = http1::Builder::new();
            server.timer(TokioTimer::new());
            if let Err(error) = server.serve_connection(TokioIo::new(stream), service).await {
                tracing::debug!(%error, "a connection ended early");
            }
            drop(slot);
        });
    }
}

async fn answer(core: Arc<Core>, request: Request<Incoming>) -> Result<Response<Body>, Cut> {
    let (head, body) = request.into_parts();
    let reply = match Limited::new(body, bytes_max(head.uri.path())).collect().await {
        Ok(body) => route(&core, Call { head, body: body.to_bytes() }).await,
        Err(_) => json_reply(StatusCode::PAYLOAD_TOO_LARGE, &json!({"error": "the body is too large"})),
    };
    match reply {
        Reply::Answer(response) => Ok(response),
        Reply::Hang => std::future::pending().await,
        Reply::Cut => Err(Cut),
    }
}

/// The largest body that a path takes.
fn bytes_max(path: &str) -> usize {
    if path == "/v1/chat/completions" {
        CHAT_BYTES_MAX
    } else if path.starts_with("/v1/") {
        RECORDING_BYTES_MAX + BODY_BYTES_MAX
    } else if path.ends_with("/media") || path.ends_with("/message_attachments") {
        FILE_BYTES_MAX + BODY_BYTES_MAX
    } else if path.starts_with("/sim/") {
        CONTROL_BYTES_MAX
    } else {
        BODY_BYTES_MAX
    }
}

async fn route(core: &Arc<Core>, call: Call) -> Reply {
    let path = call.head.uri.path().to_owned();
    let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
    let get = call.head.method == Method::GET;
    let post = call.head.method == Method::POST;
    match segments.as_slice() {
        [""] if get => redirect("/sim/phone"),
        ["sim", rest @ ..] => control::route(core, &call, rest).await,
        ["v1", "chat", "completions"] if post => model::completions(core, &call),
        ["v1", "embeddings"] if post => model_services::embeddings(core, &call),
        ["v1", "moderations"] if post => model_services::moderations(core, &call),
        ["v1", "audio", "transcriptions"] if post => model_audio::transcriptions(core, &call),
        ["v1", "models"] if get => model::models(core, &call),
        ["tools", name] => tool_server::answer(core, &call, name).await,
        ["media", id] if get => graph_media::download(core, &call, id, true),
        ["cdn", id] if get => graph_media::download(core, &call, id, false),
        ["refresh_access_token"] => graph::route(core, &call, &segments),
        [version, rest @ ..] if is_version(version) => graph::route(core, &call, rest),
        _ => not_found(),
    }
}

/// Graph versions are `v` and two numbers, such as `v23.0`.
fn is_version(segment: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let parts = segment.strip_prefix('v').and_then(|rest| rest.split_once('.'));
    parts.is_some_and(|(major, minor)| digits(major) && digits(minor))
}

pub(crate) fn not_found() -> Reply {
    json_reply(StatusCode::NOT_FOUND, &json!({"error": "the simulator has nothing at this path"}))
}

fn redirect(to: &'static str) -> Reply {
    let mut response = Response::new(full(Bytes::new()));
    *response.status_mut() = StatusCode::TEMPORARY_REDIRECT;
    response.headers_mut().insert("location", HeaderValue::from_static(to));
    Reply::Answer(response)
}

pub(crate) fn json_reply(status: StatusCode, value: &Value) -> Reply {
    Reply::Answer(respond(status, "application/json; charset=utf-8", full(Bytes::from(value.to_string()))))
}

pub(crate) fn respond(status: StatusCode, content_type: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert("x-simulated", HeaderValue::from_static("iassistance"));
    headers.insert("cache-control", HeaderValue::from_static("no-store"));
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    response
}

pub(crate) fn full(bytes: Bytes) -> Body {
    Full::new(bytes).map_err(|never: Infallible| match never {}).boxed_unsync()
}

/// A 200 that promises all of `value` and breaks off in the middle.
pub(crate) fn truncated_reply(core: &Core, value: &Value) -> Reply {
    let whole = Bytes::from(value.to_string());
    let frames = vec![Step::send(0, whole.slice(..whole.len() / 2)), Step::Cut];
    let mut response = respond(StatusCode::OK, "application/json; charset=utf-8", play(core, frames, |_| {}));
    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(whole.len()));
    Reply::Answer(response)
}

/// One step of a body that is sent piece by piece.
pub(crate) enum Step {
    /// Waits, then sends.
    Send { after_ms: u64, bytes: Bytes },
    /// Waits for ever.
    Hang,
    /// Cuts the connection.
    Cut,
}

impl Step {
    pub fn send(after_ms: u64, bytes: impl Into<Bytes>) -> Self {
        Self::Send { after_ms, bytes: bytes.into() }
    }
}

/// Calls back when it is dropped before the last step: the client went away.
struct Watch<F: FnOnce(usize)> {
    gone: Option<F>,
    /// How many steps were done.
    done: usize,
}

impl<F: FnOnce(usize)> Drop for Watch<F> {
    fn drop(&mut self) {
        if let Some(gone) = self.gone.take() {
            gone(self.done);
        }
    }
}

/// A body that plays these steps; `gone` is called if the client leaves before the last, with how many were done.
pub(crate) fn play(core: &Core, steps: Vec<Step>, gone: impl FnOnce(usize) + Send + 'static) -> Body {
    let clock = Arc::clone(&core.clock);
    let state = (steps.into_iter(), Watch { gone: Some(gone), done: 0 });
    let frames = stream::unfold(state, move |(mut steps, mut watch)| {
        let clock = Arc::clone(&clock);
        async move {
            let step = steps.next()?;
            let frame = match step {
                Step::Send { after_ms, bytes } => {
                    if after_ms > 0 {
                        clock.sleep_millis(after_ms).await;
                    }
                    Ok(BodyFrame::data(bytes))
                }
                Step::Hang => std::future::pending().await,
                Step::Cut => {
                    watch.gone = None;
                    // hyper writes out what it holds when a body is not ready, and not when it fails.
                    tokio::task::yield_now().await;
                    Err(Cut)
                }
            };
            watch.done += 1;
            if steps.len() == 0 {
                watch.gone = None;
            }
            Some((frame, (steps, watch)))
        }
    });
    StreamBody::new(frames).boxed_unsync()
}
