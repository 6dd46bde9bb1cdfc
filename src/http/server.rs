//! The HTTP server: routes, limits at the door, headers that every answer has.

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use actix_web::body::MessageBody;
use actix_web::dev::{Server, ServerHandle, ServiceRequest, ServiceResponse};
use actix_web::middleware::{DefaultHeaders, Next, from_fn};
use actix_web::{App as WebApp, HttpServer, web};

use super::{Problem, State, deletion, health, live, openapi, v1, webhook};

/// A server that listens.
pub struct Listening {
    /// Where.
    pub address: SocketAddr,
    /// Ends it.
    pub handle: ServerHandle,
    /// Runs until it is ended.
    pub server: Server,
    /// The same door: while it is held, whoever knocks between two servers waits instead of being refused.
    pub door: TcpListener,
}

/// Why the server could not listen.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {source}; choose another with --set server.port=… or end what holds it")]
pub struct CannotListen {
    /// Where.
    pub(super) address: String,
    /// What the system says.
    pub(super) source: std::io::Error,
}

/// Binds the configured address and begins to serve. Port 0 takes a free one.
pub fn listen(state: State) -> Result<Listening, CannotListen> {
    let settings = &state.app.settings.server;
    let address = format!("{}:{}", settings.bind, settings.port);
    let cannot = |source| CannotListen { address, source };
    let listener = TcpListener::bind((settings.bind.as_str(), settings.port)).map_err(cannot)?;
    listen_at(state, listener)
}

/// Begins to serve at a door that is open already.
pub fn listen_at(state: State, listener: TcpListener) -> Result<Listening, CannotListen> {
    let settings = state.app.settings.server.clone();
    let address = format!("{}:{}", settings.bind, settings.port);
    let cannot = |source| CannotListen { address: address.clone(), source };
    let door = listener.try_clone().map_err(cannot)?;
    let bound = listener.local_addr().map_err(cannot)?;
    let json_bytes_max = settings.json_body_bytes_max;
    let workers = match settings.workers {
        0 => std::thread::available_parallelism().map_or(2, std::num::NonZero::get),
        workers => workers,
    };
    let server = HttpServer::new(move || {
        let headers = DefaultHeaders::new()
            .add(("X-Content-Type-Options", "nosniff"))
            .add(("X-Frame-Options", "DENY"))
            .add(("Referrer-Policy", "no-referrer"))
            .add(("Cache-Control", "no-store"))
            .add(("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"));
        WebApp::new()
            .app_data(web::Data::new(state.clone()))
            .app_data(web::PayloadConfig::new(json_bytes_max))
            .wrap(from_fn(observe))
            .wrap(headers)
            .configure(webhook::configure)
            .configure(deletion::configure)
            .configure(health::configure)
            .configure(openapi::configure)
            .configure(live::configure)
            .service(web::scope("/v1").configure(v1::configure))
            .default_service(web::to(async || -> Result<&'static str, Problem> { Err(Problem::not_found()) }))
    })
    .workers(workers)
    .max_connections(settings.connections_max.div_ceil(workers))
    .client_request_timeout(Duration::from_millis(settings.head_deadline_ms))
    .client_disconnect_timeout(Duration::from_millis(settings.head_deadline_ms))
    .keep_alive(Duration::from_millis(settings.keep_alive_ms))
    .shutdown_timeout(settings.shutdown_ms.div_ceil(1_000))
    .disable_signals()
    .listen(listener)
    .map_err(|source| CannotListen { address, source })?
    .run();
    Ok(Listening { address: bound, handle: server.handle(), server, door })
}

/// Counts and times every request by its route's pattern: a path may hold an id, a pattern cannot.
async fn observe(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let started = std::time::Instant::now();
    let answered = next.call(request).await;
    let (route, status) = match &answered {
        Ok(response) => (response.request().match_pattern(), response.status().as_u16()),
        Err(error) => (None, error.as_response_error().status_code().as_u16()),
    };
    let route = route.unwrap_or_else(|| "none".to_owned());
    let seconds = started.elapsed().as_secs_f64();
    tracing::debug!(route, status, seconds, "a request was answered");
    metrics::histogram!("iassistance_http_seconds", "route" => route, "status" => status.to_string())
        .record(seconds);
    answered
}
