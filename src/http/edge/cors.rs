//! Pages of other origins that may use `/v1`: those that the settings list, and nobody else.
//!
//! To a browser, an answer without these headers is one that a page of another origin must not see. What such a
//! page may do is not decided here: sessions are guarded by `cookies::check_page`, which knows the same list.

use actix_web::HttpResponse;
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{self, HeaderMap, HeaderValue};
use actix_web::middleware::Next;
use actix_web::web;

use super::rates::is_of_api;
use crate::http::State;

/// Until when a browser need not ask anew, seconds.
const MAX_AGE: HeaderValue = HeaderValue::from_static("600");
const METHODS: HeaderValue = HeaderValue::from_static("GET, POST, PUT, DELETE");
const HEADERS: HeaderValue = HeaderValue::from_static(
    "authorization, content-type, idempotency-key, if-match, if-none-match, x-csrf-token",
);
/// What a page may read of an answer besides what every page may.
const EXPOSED: HeaderValue = HeaderValue::from_static(
    "content-disposition, etag, idempotency-replayed, location, ratelimit, ratelimit-policy, retry-after",
);
const TRUE: HeaderValue = HeaderValue::from_static("true");

/// Whether pages of this origin may use the interface in somebody's session.
pub fn is_listed(state: &State, origin: &[u8]) -> bool {
    state.app.settings.server.cors_origins.iter().any(|listed| listed.as_bytes() == origin)
}

/// Answers what browsers ask before they send a request for a page of another origin, and says of every answer
/// whether such a page may see it.
pub async fn share(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let state = request.app_data::<web::Data<State>>().cloned();
    let Some(state) =
        state.filter(|state| !state.app.settings.server.cors_origins.is_empty() && is_of_api(&request))
    else {
        return Ok(next.call(request).await?.map_into_left_body());
    };
    let mut origins = request.headers().get_all(header::ORIGIN).cloned();
    let origin = origins.next().filter(|origin| is_listed(&state, origin.as_bytes()));
    let origin = origin.filter(|_| origins.next().is_none());
    drop(origins);
    let asks = request.method() == Method::OPTIONS
        && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let mut answered = match &origin {
        Some(_) if asks => {
            let mut allowed = HttpResponse::NoContent();
            allowed
                .insert_header((header::ACCESS_CONTROL_ALLOW_METHODS, METHODS))
                .insert_header((header::ACCESS_CONTROL_ALLOW_HEADERS, HEADERS))
                .insert_header((header::ACCESS_CONTROL_MAX_AGE, MAX_AGE));
            request.into_response(allowed.finish()).map_into_right_body()
        }
        _ => next.call(request).await?.map_into_left_body(),
    };
    put(answered.headers_mut(), origin);
    Ok(answered)
}

fn put(headers: &mut HeaderMap, origin: Option<HeaderValue>) {
    headers.append(header::VARY, HeaderValue::from_static("Origin"));
    if let Some(origin) = origin {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, TRUE);
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    }
}
