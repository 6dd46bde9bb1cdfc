//! The HTTP server: routes, limits at the door, headers that every answer has.

use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_http::HttpService;
use actix_http::error::DispatchError;
use actix_service::{IntoServiceFactory, ServiceFactoryExt, map_config};
use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{
    AppConfig, Server, ServerHandle, ServiceFactory, ServiceRequest, ServiceResponse, fn_service,
};
use actix_web::middleware::{Next, from_fn};
use actix_web::rt::net::TcpStream;
use actix_web::{App as WebApp, web};
use bytes::Bytes;
use iassistance_config::ServerSettings;
use socket2::SockRef;
use tokio_util::sync::CancellationToken;

use super::door::{Door, Seat};
use super::edge::tls::{Tls, TlsError};
use super::edge::{cors, headers, rates, security_txt};
use super::{Problem, State, deletion, health, links, live, openapi, promises, public, seen, v1, webhook};

/// How many headers a request may have. From 97 on the parser refuses it, without a word.
const HEADERS_MAX: usize = 80;

/// What the system keeps for each connection of what is on its way out. It would take megabytes by itself: for who does
/// not read as well, and an answer that it has taken whole is none that anybody here waits with.
const SEND_BUFFER_BYTES: usize = 128 * 1_024;

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
    /// What is shown to whoever wants TLS.
    pub tls: Option<Tls>,
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
pub enum CannotListen {
    /// The address cannot be had.
    #[error(
        "cannot listen on {address}: {source}; choose another with --set server.port=… or end what holds it"
    )]
    Address {
        /// Where.
        address: String,
        /// What the system says.
        source: io::Error,
    },
    /// The certificate or its key cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// Binds the configured address and begins to serve. Port 0 takes a free one.
pub fn listen(state: State) -> Result<Listening, CannotListen> {
    let settings = &state.app.settings.server;
    let tls = Tls::load(settings, Arc::clone(state.clock()))?;
    let address = format!("{}:{}", settings.bind, settings.port);
    let cannot = |source| CannotListen::Address { address, source };
    let listener = door((settings.bind.as_str(), settings.port)).map_err(cannot)?;
    listen_at(state, listener, tls)
}

/// Opens a door. What is said of it is so of every connection that is taken there.
fn door(address: impl ToSocketAddrs) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(address)?;
    let socket = SockRef::from(&listener);
    socket.set_send_buffer_size(SEND_BUFFER_BYTES)?;
    // Otherwise the end of what goes out waits until what went before is confirmed, for which a client may take 40 ms
    // (RFC 896; RFC 1122, 4.2.3.2).
    socket.set_tcp_nodelay(true)?;
    Ok(listener)
}

/// Begins to serve at a door that is open already.
pub fn listen_at(state: State, listener: TcpListener, tls: Option<Tls>) -> Result<Listening, CannotListen> {
    let settings = state.app.settings.server.clone();
    let address = format!("{}:{}", settings.bind, settings.port);
    let cannot = |source| CannotListen::Address { address: address.clone(), source };
    let same = listener.try_clone().map_err(cannot)?;
    let bound = listener.local_addr().map_err(cannot)?;
    let workers = match settings.workers {
        0 => std::thread::available_parallelism().map_or(2, std::num::NonZero::get),
        workers => workers,
    };
    let (draining, closing) = (state.draining.clone(), CancellationToken::new());
    let way_in = WayIn {
        door: state.door.clone(),
        tls: tls.clone(),
        closing: closing.clone(),
        workers,
        // What is left of the time is for the engine.
        shutdown_s: (settings.shutdown_ms / 4 * 3).div_ceil(1_000),
    };
    let server = way_in.open(listener, &settings, move || routes(&state)).map_err(cannot)?;
    Ok(Listening { address: bound, draining, closing, handle: server.handle(), server, listener: same, tls })
}

/// What connections come through, before there is a request.
pub(super) struct WayIn {
    pub(super) door: Door,
    pub(super) tls: Option<Tls>,
    /// When cancelled, connections that are kept for later are closed.
    pub(super) closing: CancellationToken,
    pub(super) workers: usize,
    pub(super) shutdown_s: u64,
}

impl WayIn {
    /// Serves `app` to whoever is let in.
    pub(super) fn open<T, B>(
        self,
        listener: TcpListener,
        settings: &ServerSettings,
        app: impl Fn() -> WebApp<T> + Clone + Send + 'static,
    ) -> io::Result<Server>
    where
        T: ServiceFactory<
                ServiceRequest,
                Config = (),
                Response = ServiceResponse<B>,
                Error = actix_web::Error,
                InitError = (),
            > + 'static,
        B: MessageBody + 'static,
    {
        let Self { door, tls, closing, workers, shutdown_s } = self;
        let bound = listener.local_addr()?;
        let (head_ms, keep_alive_ms) = (settings.head_deadline_ms, settings.keep_alive_ms);
        let builder = Server::build()
            .workers(workers)
            .max_concurrent_connections(settings.connections_max.div_ceil(workers))
            .shutdown_timeout(shutdown_s)
            .disable_signals();
        let builder = builder.listen("http", listener, move || {
            let (door, tls, closing) = (door.clone(), tls.clone(), closing.clone());
            let admit = fn_service(move |stream: TcpStream| {
                let (door, tls, peer) = (door.clone(), tls.clone(), stream.peer_addr().ok());
                async move {
                    let wire = door.admit(stream, tls.as_ref()).await;
                    wire.map(|wire| (wire, peer)).ok_or_else(sent_away)
                }
            });
            let app = app().into_factory().map_err(|error| error.error_response());
            let http = HttpService::build()
                .client_request_timeout(Duration::from_millis(head_ms))
                .client_disconnect_timeout(Duration::from_millis(head_ms))
                .keep_alive(Duration::from_millis(keep_alive_ms))
                .local_addr(bound)
                .graceful_shutdown_signal(move || closing.clone().cancelled_owned())
                .h1(map_config(app, |()| AppConfig::default()));
            admit.and_then(http)
        })?;
        Ok(builder.run())
    }
}

/// What a connection ends with that was not let in: it has had its answer, or can have none.
fn sent_away() -> DispatchError {
    DispatchError::Io(io::Error::other("the connection was not let in"))
}

/// The routes, with what every request goes through.
pub fn routes(
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
    WebApp::new()
        .app_data(web::Data::new(state.clone()))
        .app_data(web::Data::new(state.door.clone()))
        .app_data(web::PayloadConfig::new(state.app.settings.server.json_body_bytes_max))
        .wrap(from_fn(rates::limit))
        .wrap(from_fn(cors::share))
        .wrap(from_fn(admit_request))
        .wrap(from_fn(seen::note))
        .wrap(from_fn(observe))
        .wrap(from_fn(headers::add))
        .configure(webhook::configure)
        .configure(deletion::configure)
        .configure(health::configure)
        .configure(security_txt::configure)
        .configure(promises::configure)
        .configure(public::configure)
        .configure(openapi::configure)
        .configure(links::configure)
        .configure(live::configure)
        .configure(monitor)
        .service(web::scope("/v1").configure(v1::configure))
        .default_service(web::to(async || -> Result<&'static str, Problem> { Err(Problem::not_found()) }))
}

/// The live monitor, where it is built in.
#[cfg(feature = "dashboard")]
fn monitor(config: &mut web::ServiceConfig) {
    super::monitor::configure(config);
}

#[cfg(not(feature = "dashboard"))]
fn monitor(_: &mut web::ServiceConfig) {}

/// Refuses heads that are too large and, behind a proxy, addresses that have too many requests under way.
async fn admit_request(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let Some(state) = request.app_data::<web::Data<State>>().cloned() else {
        return Err(Problem::internal().into());
    };
    if request.headers().len() > HEADERS_MAX {
        return Ok(request.error_response(Problem::too_many_headers(HEADERS_MAX)));
    }
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

    use std::net::TcpStream;

    use super::*;

    #[test]
    fn a_connection_keeps_little_and_sends_at_once() {
        let listener = door(("127.0.0.1", 0)).unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (taken, _) = listener.accept().unwrap();
        let sent_at_once = |stream: &TcpStream| SockRef::from(stream).tcp_nodelay().unwrap();
        assert_eq!([&taken, &client].map(sent_at_once), [true, false]);
        // The system counts twice what it is asked for: its own keeping is in it.
        let kept = SockRef::from(&taken).send_buffer_size().unwrap();
        assert!((SEND_BUFFER_BYTES..=2 * SEND_BUFFER_BYTES).contains(&kept), "{kept} bytes");
    }
}
