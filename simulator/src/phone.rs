//! The phone: a page to chat from, with nothing from outside and no script in the page itself.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use futures::stream;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::StatusCode;
use hyper::body::Frame;
use hyper::header::{CONTENT_SECURITY_POLICY, HeaderValue};
use tokio::sync::broadcast::error::RecvError;

use crate::core::{Core, FeedEvent};
use crate::server::{Reply, full, respond};

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'";
/// What the product's own pages have too.
const GUARDS: [(&str, &str); 5] = [
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    (
        "permissions-policy",
        "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
    ),
    ("referrer-policy", "no-referrer"),
    ("x-frame-options", "DENY"),
];
/// A comment that keeps the stream open and finds pages that are gone.
const BEAT_MS: u64 = 15_000;

pub(crate) fn page() -> Reply {
    asset("text/html; charset=utf-8", include_str!("assets/phone.html"))
}

pub(crate) fn style() -> Reply {
    asset("text/css; charset=utf-8", include_str!("assets/phone.css"))
}

pub(crate) fn program() -> Reply {
    asset("text/javascript; charset=utf-8", include_str!("assets/phone.js"))
}

pub(crate) fn cards() -> Reply {
    asset("text/javascript; charset=utf-8", include_str!("assets/cards.js"))
}

pub(crate) fn icon() -> Reply {
    asset("image/svg+xml", include_str!("assets/phone.svg"))
}

fn asset(content_type: &'static str, text: &'static str) -> Reply {
    let mut response = respond(StatusCode::OK, content_type, full(Bytes::from_static(text.as_bytes())));
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    for (name, value) in GUARDS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    Reply::Answer(response)
}

/// `GET /sim/events`: what happens, as server-sent events, until the page is closed.
pub(crate) fn events(core: &Arc<Core>) -> Reply {
    let state = (core.feed(), Arc::clone(&core.clock), true);
    let frames = stream::unfold(state, |(mut feed, clock, first)| async move {
        let text = if first {
            // Something at once, so that the page knows that it is connected.
            ": connected\n\n".to_owned()
        } else {
            tokio::select! {
                event = feed.recv() => match event {
                    Ok(event) => line(&event)?,
                    Err(RecvError::Lagged(_)) => line(&FeedEvent::Resync)?,
                    Err(RecvError::Closed) => return None,
                },
                () = clock.sleep_millis(BEAT_MS) => ": beat\n\n".to_owned(),
            }
        };
        Some((Ok::<_, Infallible>(Frame::data(Bytes::from(text))), (feed, clock, false)))
    });
    let body = StreamBody::new(frames).map_err(|never| match never {}).boxed_unsync();
    Reply::Answer(respond(StatusCode::OK, "text/event-stream; charset=utf-8", body))
}

fn line(event: &FeedEvent) -> Option<String> {
    serde_json::to_string(event).ok().map(|json| format!("data: {json}\n\n"))
}
