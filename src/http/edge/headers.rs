//! Headers that every answer has, whoever asks for what.

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::web;

use crate::http::door::Door;

/// What a page may do that says nothing else: nothing.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);
/// What no page of ours uses; passkeys are for our own pages.
const PERMISSIONS: HeaderValue = HeaderValue::from_static(
    "accelerometer=(), autoplay=(), camera=(), display-capture=(), encrypted-media=(), fullscreen=(), geolocation=(), \
     gyroscope=(), magnetometer=(), microphone=(), midi=(), payment=(), publickey-credentials-create=(self), \
     publickey-credentials-get=(self), screen-wake-lock=(), usb=(), xr-spatial-tracking=()",
);
/// A year by https alone, after it was seen once.
const STRICT: HeaderValue = HeaderValue::from_static("max-age=31536000");

/// Those that a route may say otherwise.
const DEFAULTS: [(HeaderName, HeaderValue); 3] = [
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
];
/// Those that are the same everywhere.
const ALWAYS: [(HeaderName, HeaderValue); 5] = [
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (header::CROSS_ORIGIN_OPENER_POLICY, HeaderValue::from_static("same-origin")),
    (header::CROSS_ORIGIN_RESOURCE_POLICY, HeaderValue::from_static("same-origin")),
    (header::PERMISSIONS_POLICY, PERMISSIONS),
];

/// Adds them to what is answered. The application has its door among its data.
pub async fn add(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let door = request.app_data::<web::Data<Door>>();
    let is_https = door.is_some_and(|door| door.is_https(request.request()));
    let mut answered = next.call(request).await?;
    put(answered.headers_mut(), is_https);
    Ok(answered)
}

fn put(headers: &mut HeaderMap, is_https: bool) {
    for (name, value) in ALWAYS {
        headers.insert(name, value);
    }
    for (name, value) in DEFAULTS {
        if !headers.contains_key(&name) {
            headers.insert(name, value);
        }
    }
    if is_https {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, STRICT);
    }
}
