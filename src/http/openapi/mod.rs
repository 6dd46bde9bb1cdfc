//! The OpenAPI document, at `/openapi.json`, and a page to read it, at `/docs`.
//!
//! What is under `/v1` comes of the table of routes there; the few doors beside it are described here.

use std::sync::LazyLock;

use actix_web::http::header::{CONTENT_SECURITY_POLICY, ContentType, ETAG};
use actix_web::{HttpResponse, web};
use serde_json::Value;
use utoipa::openapi::OpenApi as Document;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};

use super::{Problem, State, cookies, v1};

mod codes;
mod complete;
mod examples;
mod flatten;
#[cfg(test)]
mod tests;

/// The page takes everything from this server, and talks to nobody else.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'";

#[derive(OpenApi)]
#[openapi(
    info(
        title = "IAssistance",
        description = "A conversational infrastructure platform for WhatsApp, Instagram and Messenger.\n\n\
            Moments are milliseconds since the Unix epoch. Lists come in pages: pass `next` as `cursor` until it \
            is `null`. Unknown fields are refused. Every refusal is a problem document (RFC 9457) whose `code` is \
            stable. What belongs to another tenant is answered as what is not there: 404.",
        license(name = "MIT OR Apache-2.0")
    ),
    nest((path = "/v1", api = v1::Documented)),
    paths(
        confirm_webhook,
        receive_webhook,
        request_deletion,
        deauthorize,
        show_deletion,
        open_live,
        is_live,
        is_ready,
        show_metrics,
        show_document,
        show_security_contact,
        show_feed,
        show_notice,
        show_providers,
        list_subprocessors,
        show_processing_record
    ),
    components(schemas(Problem)),
    security(("key" = []), ("session" = [])),
    modifiers(&Credentials)
)]
struct Described;

struct Credentials;

impl Modify for Credentials {
    fn modify(&self, document: &mut Document) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .bearer_format("iak_…")
            .description(Some("An API key: `Authorization: Bearer iak_…`"))
            .build();
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("key", SecurityScheme::Http(scheme));
        let about =
            "The cookie of a session, by `/v1/auth/sign-in`. Changes need `Origin` and `X-CSRF-Token` too";
        let cookie = ApiKeyValue::with_description(cookies::SESSION, about);
        components.add_security_scheme("session", SecurityScheme::ApiKey(ApiKey::Cookie(cookie)));
    }
}

/// The whole document.
pub fn document() -> Value {
    let mut document = serde_json::to_value(Described::openapi()).unwrap_or_default();
    complete::complete(&mut document);
    document
}

/// The document as text: what a reader at the terminal gets.
pub fn pretty() -> String {
    format!("{:#}", document())
}

/// Adds the document and the page.
pub fn configure(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/openapi.json").route(web::get().to(json)))
        .service(web::resource("/asyncapi.json").route(web::get().to(feed)))
        .service(web::resource("/docs").route(web::get().to(page)))
        .service(web::resource("/docs/page.js").route(web::get().to(script)))
        .service(web::resource("/docs/page.css").route(web::get().to(style)));
}

async fn json(state: web::Data<State>, has: v1::IfNoneMatch) -> HttpResponse {
    static JSON: LazyLock<String> = LazyLock::new(|| document().to_string());
    // It changes with the program alone.
    let tag = hex::encode(&state.app.keyring.hash_secret("tag", JSON.as_bytes())[..12]);
    if has.names(&tag) {
        return v1::unchanged(&tag);
    }
    HttpResponse::Ok()
        .insert_header((ETAG, format!("\"{tag}\"")))
        .content_type(ContentType::json())
        .body(JSON.as_str())
}

/// The live feed, described as `AsyncAPI` does.
pub const FEED: &str = include_str!("docs/asyncapi.json");

async fn feed() -> HttpResponse {
    HttpResponse::Ok().content_type(ContentType::json()).body(FEED)
}

async fn page() -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CONTENT_SECURITY_POLICY, PAGE_POLICY))
        .content_type(ContentType::html())
        .body(include_str!("docs/page.html"))
}

async fn script() -> HttpResponse {
    HttpResponse::Ok().content_type("text/javascript; charset=utf-8").body(include_str!("docs/page.js"))
}

async fn style() -> HttpResponse {
    HttpResponse::Ok().content_type("text/css; charset=utf-8").body(include_str!("docs/page.css"))
}

/// Describes a door whose handler is elsewhere.
macro_rules! door {
    ($(#[$attribute:meta])* $name:ident) => {
        $(#[$attribute])*
        #[expect(dead_code, reason = "it only carries the description; the handler is in a file of its own")]
        fn $name() {}
    };
}

door! {
    /// Meta verifies the webhook's address
    #[utoipa::path(get, path = "/webhooks/meta/{meta_app}", tag = "webhooks", security(()), params(
        ("meta_app" = String, Path, description = "The Meta app"),
        ("hub.mode" = String, Query, description = "`subscribe`", max_length = 32),
        ("hub.verify_token" = String, Query, description = "The Meta app's verify token", max_length = 4_096),
        ("hub.challenge" = String, Query, description = "What is to be repeated", max_length = 1_024)),
        responses((status = 200, description = "The challenge", body = String, content_type = "text/plain"),
            v1::Problems))]
    confirm_webhook
}
door! {
    /// Meta reports events
    ///
    /// 200 only when they are on stable storage; 401 for a bad signature; 503 when nothing was kept, so
    /// that Meta repeats them.
    #[utoipa::path(post, path = "/webhooks/meta/{meta_app}", tag = "webhooks", security(()), params(
        ("meta_app" = String, Path, description = "The Meta app"),
        ("X-Hub-Signature-256" = String, Header, description = "`sha256=` and the HMAC of the raw body",
            pattern = "^sha256=[0-9a-f]{64}$")),
        request_body(content = Object, content_type = "application/json"),
        responses((status = 200, description = "Kept"), v1::Problems))]
    receive_webhook
}
door! {
    /// Meta passes on a request to delete
    ///
    /// The form holds a `signed_request`. The tokens that the person's sign-in gave are forgotten; the
    /// answer names the page that tells how far it is.
    #[utoipa::path(post, path = "/webhooks/meta/{meta_app}/data-deletion", tag = "webhooks", security(()),
        params(("meta_app" = String, Path, description = "The Meta app")),
        request_body(content = Object, content_type = "application/x-www-form-urlencoded"),
        responses((status = 200, description = "`{url, confirmation_code}`", body = Object), v1::Problems))]
    request_deletion
}
door! {
    /// Meta reports that somebody took the app's rights back
    #[utoipa::path(post, path = "/webhooks/meta/{meta_app}/deauthorize", tag = "webhooks", security(()),
        params(("meta_app" = String, Path, description = "The Meta app")),
        request_body(content = Object, content_type = "application/x-www-form-urlencoded"),
        responses((status = 200, description = "Their channels are expired"), v1::Problems))]
    deauthorize
}
door! {
    /// How far a deletion is, as a page for people
    #[utoipa::path(get, path = "/deletions/{code}", tag = "webhooks", security(()),
        params(("code" = String, Path, description = "The confirmation code", max_length = 64)),
        responses((status = 200, body = String, content_type = "text/html"), v1::Problems))]
    show_deletion
}
door! {
    /// The live feed, a websocket
    ///
    /// Subprotocol `iassistance.live.v1`. Signed in by API key, by a session, or by a ticket that is offered as the
    /// subprotocol `ticket.<ticket>`. Client frames: `subscribe {tenant, conversation?, after_seq?,
    /// tokens?}`, `unsubscribe {tenant, conversation?}`, `ping`. Server frames: `subscribed`,
    /// `unsubscribed`, `event {seq, tenant, event}`, `lagged {tenant, from, to}`, `pong`,
    /// `error {code, detail}`, `bye {reason, retry_ms?, resume?}`; and for who asked for `tokens`, in no log and without a
    /// number, `turn.token` and `turn.tool` while a turn is being written.
    #[utoipa::path(get, path = "/v1/live", tag = "events", operation_id = "open_live",
        security(("key" = []), ("session" = []), ()),
        responses((status = 101, description = "The socket is open"), v1::Problems))]
    open_live
}
door! {
    /// Whether the process lives
    #[utoipa::path(get, path = "/health/live", tag = "health", security(()),
        responses((status = 200, description = "It does")))]
    is_live
}
door! {
    /// Whether work is taken
    #[utoipa::path(get, path = "/health/ready", tag = "health", security(()),
        responses((status = 200, description = "It is"), v1::Problems))]
    is_ready
}
door! {
    /// Metrics in Prometheus's text form
    #[utoipa::path(get, path = "/metrics", tag = "health", security(()),
        responses((status = 200, body = String, content_type = "text/plain")))]
    show_metrics
}
door! {
    /// This document
    #[utoipa::path(get, path = "/openapi.json", tag = "health", security(()),
        responses((status = 200, body = Object)))]
    show_document
}
door! {
    /// Where to report a vulnerability (RFC 9116)
    #[utoipa::path(get, path = "/.well-known/security.txt", tag = "health", security(()),
        responses((status = 200, body = String, content_type = "text/plain"), v1::Problems))]
    show_security_contact
}
door! {
    /// The privacy notice, a page for people
    #[utoipa::path(get, path = "/privacy", tag = "health", security(()),
        params(("lang" = Option<String>, Query, description = "`es`, `pt` or `en`; anything else counts as nothing",
            pattern = "^")),
        responses((status = 200, body = String, content_type = "text/html"), v1::Problems))]
    show_notice
}
door! {
    /// The providers that get personal data, a page for people
    #[utoipa::path(get, path = "/privacy/subprocessors", tag = "health", security(()),
        params(("lang" = Option<String>, Query, description = "`es`, `pt` or `en`; anything else counts as nothing",
            pattern = "^")),
        responses((status = 200, body = String, content_type = "text/html"), v1::Problems))]
    show_providers
}
door! {
    /// The providers that get personal data
    ///
    /// Those that this server's settings make use of: purpose, data, country, region, transfer mechanism and the date
    /// of the agreement.
    #[utoipa::path(get, path = "/v1/privacy/subprocessors", tag = "health", security(()),
        responses((status = 200, description = "`{version, updated, providers}`", body = Object), v1::Problems))]
    list_subprocessors
}
door! {
    /// The record of processing
    ///
    /// Made of the data map: what is kept of each kind of record, what for, on which legal basis and for how long.
    #[utoipa::path(get, path = "/v1/privacy/processing-record", tag = "health", security(()),
        responses((status = 200, description = "`{operator, address, contact, processings}`", body = Object)))]
    show_processing_record
}
door! {
    /// The protocol of the live feed
    #[utoipa::path(get, path = "/asyncapi.json", tag = "health", security(()),
        responses((status = 200, body = Object)))]
    show_feed
}
