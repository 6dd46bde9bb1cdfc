//! The HTTP server: routes, limits at the door, headers that every answer has.

use std::net::{SocketAddr, TcpListener};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_http::HttpService;
use actix_http::error::DispatchError;
use actix_service::{IntoServiceFactory, ServiceFactoryExt, map_config};
use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{
    AppConfig, Server, ServerHandle, ServiceFactory, ServiceRequest, ServiceResponse, fn_service,
};
use actix_web::middleware::{DefaultHeaders, Next, from_fn};
use actix_web::rt::net::TcpStream;
use actix_web::{App as WebApp, web};
use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use super::door::Seat;
use super::{Problem, State, deletion, health, live, openapi, promises, seen, v1, webhook};

/// A server that listens.
pub struct Listening {
    /// Where.
    pub address: SocketAddr,
    /// To be cancelled when it is going to be ended: it says that it is not ready for anything new.
    pub draining: CancellationToken,
    closing: CancellationToken,
    /// Ends it.
    pub handle: ServerHandle,
    /// Runs until it is ended.
    pub server: Server,
    /// The same door: while it is held, whoever knocks between two servers waits instead of being refused.
    pub listener: TcpListener,
}

impl Listening {
    /// What ends it.
    pub fn closing(&self) -> Closing {
        Closing {
            draining: self.draining.clone(),
            sent_home: self.closing.clone(),
            handle: self.handle.clone(),
        }
    }
}

/// Ends a server in good order.
pub struct Closing {
    draining: CancellationToken,
    sent_home: CancellationToken,
    handle: ServerHandle,
}

impl Closing {
    /// From now on it says that it is not ready for anything new.
    pub fn announce(&self) {
        self.draining.cancel();
    }

    /// Nobody new is let in, connections without a request are closed, and requests in hand are finished.
    pub async fn close(&self) {
        self.sent_home.cancel();
        self.handle.stop(true).await;
    }
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
    let same = listener.try_clone().map_err(cannot)?;
    let bound = listener.local_addr().map_err(cannot)?;
    let workers = match settings.workers {
        0 => std::thread::available_parallelism().map_or(2, std::num::NonZero::get),
        workers => workers,
    };
    let (draining, timed) = (state.draining.clone(), settings.clone());
    let closing = CancellationToken::new();
    let signal = closing.clone();
    let builder = Server::build()
        .workers(workers)
        .max_concurrent_connections(settings.connections_max.div_ceil(workers))
        // What is left of the time is for the engine.
        .shutdown_timeout((settings.shutdown_ms / 4 * 3).div_ceil(1_000))
        .disable_signals();
    let server = builder
        .listen("http", listener, move || {
            let (door, closing) = (state.door.clone(), signal.clone());
            let admit = fn_service(move |stream: TcpStream| {
                let (door, peer) = (door.clone(), stream.peer_addr().ok());
                async move { door.admit(stream).await.map(|wire| (wire, peer)).ok_or_else(sent_away) }
            });
            let app = routes(&state).into_factory().map_err(|error| error.error_response());
            let http = HttpService::build()
                .client_request_timeout(Duration::from_millis(timed.head_deadline_ms))
                .client_disconnect_timeout(Duration::from_millis(timed.head_deadline_ms))
                .keep_alive(Duration::from_millis(timed.keep_alive_ms))
                .local_addr(bound)
                // Connections that are kept for later are closed when the server stops.
                .graceful_shutdown_signal(move || closing.clone().cancelled_owned())
                .h1(map_config(app, |()| AppConfig::default()));
            admit.and_then(http)
        })
        .map_err(|source| CannotListen { address, source })?
        .run();
    Ok(Listening { address: bound, draining, closing, handle: server.handle(), server, listener: same })
}

/// What a connection ends with that was not let in: it has had its answer.
fn sent_away() -> DispatchError {
    DispatchError::Io(std::io::Error::other("too many connections of one address"))
}

/// The routes, with what every request goes through.
fn routes(
    state: &State,
) -> WebApp<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<impl MessageBody + use<>>,
        Error = actix_web::Error,
        InitError = (),
    > + use<>,
> {
    let headers = DefaultHeaders::new()
        .add(("X-Content-Type-Options", "nosniff"))
        .add(("X-Frame-Options", "DENY"))
        .add(("Referrer-Policy", "no-referrer"))
        .add(("Cache-Control", "no-store"))
        .add(("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"));
    WebApp::new()
        .app_data(web::Data::new(state.clone()))
        .app_data(web::PayloadConfig::new(state.app.settings.server.json_body_bytes_max))
        .wrap(from_fn(admit_request))
        .wrap(from_fn(seen::note))
        .wrap(from_fn(observe))
        .wrap(headers)
        .configure(webhook::configure)
        .configure(deletion::configure)
        .configure(health::configure)
        .configure(promises::configure)
        .configure(openapi::configure)
        .configure(live::configure)
        .service(web::scope("/v1").configure(v1::configure))
        .default_service(web::to(async || -> Result<&'static str, Problem> { Err(Problem::not_found()) }))
}

/// Refuses heads that are too large and, behind a proxy, addresses that have too many requests under way.
async fn admit_request(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let Some(state) = request.app_data::<web::Data<State>>().cloned() else {
        return Err(Problem::internal().into());
    };
    let bytes_max = state.app.settings.server.head_bytes_max;
    let headers = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 4);
    if request.path().len() + request.query_string().len() + headers.sum::<usize>() > bytes_max {
        return Ok(request.error_response(Problem::head_too_large(bytes_max)));
    }
    let Some(seat) = state.door.admit_request(request.request()) else {
        return Ok(request.error_response(Problem::unavailable(10, "too many requests of one address")));
    };
    let answered = next.call(request).await?;
    Ok(answered.map_body(|_, body| match seat {
        Some(seat) => BoxBody::new(Seated { body: body.boxed(), _seat: seat }),
        None => body.boxed(),
    }))
}

/// An answer that keeps the place of its request until it is out.
struct Seated {
    body: BoxBody,
    _seat: Seat,
}

impl MessageBody for Seated {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.body).poll_next(context)
    }
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
