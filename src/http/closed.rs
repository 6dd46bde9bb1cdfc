//! The door while the store is mended: it is open, and says that nothing is taken in, and why.

use std::net::TcpListener;
use std::sync::{Arc, PoisonError, RwLock};

use actix_web::dev::ServerHandle;
use actix_web::middleware::from_fn;
use actix_web::{App as WebApp, HttpResponse, web};
use iassistance_config::ServerSettings;
use iassistance_domain::Clock;
use tokio_util::sync::CancellationToken;

use super::Problem;
use super::door::Door;
use super::edge::headers;
use super::edge::tls::Tls;
use super::server::{CannotListen, WayIn};
use crate::telemetry::Metrics;

/// When whoever was sent away may come again, seconds.
const AGAIN_S: u32 = 5;

/// Why nothing is taken in; may change while the door is closed.
#[derive(Clone)]
pub struct Reason(Arc<RwLock<String>>);

impl Reason {
    /// A reason, for those who run the server.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Arc::new(RwLock::new(text.into())))
    }

    /// Another one. Says whether it is.
    pub fn set(&self, text: String) -> bool {
        let mut reason = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let is_other = *reason != text;
        *reason = text;
        is_other
    }

    fn text(&self) -> String {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What the answers are made of.
#[derive(Clone)]
struct Closed {
    reason: Reason,
    metrics: Metrics,
}

/// Answers 503 to whoever comes, until the handle ends it. Who comes in is as limited as ever.
pub fn close_door(
    listener: TcpListener,
    settings: &ServerSettings,
    clock: Arc<dyn Clock>,
    tls: Option<Tls>,
    reason: Reason,
    metrics: Metrics,
) -> Result<(actix_web::dev::Server, ServerHandle), CannotListen> {
    let address = listener.local_addr().map(|address| address.to_string()).unwrap_or_default();
    let (closed, door) = (Closed { reason, metrics }, Door::new(settings, clock));
    let way_in =
        WayIn { door: door.clone(), tls, closing: CancellationToken::new(), workers: 1, shutdown_s: 1 };
    let app = move || {
        WebApp::new()
            .app_data(web::Data::new(closed.clone()))
            .app_data(web::Data::new(door.clone()))
            .wrap(from_fn(headers::add))
            .route("/health/live", web::get().to(live))
            .route("/health/ready", web::get().to(ready))
            .route("/metrics", web::get().to(metrics_of))
            .default_service(web::to(refuse))
    };
    let server = way_in.open(listener, settings, app);
    let server = server.map_err(|source| CannotListen::Address { address, source })?;
    let handle = server.handle();
    Ok((server, handle))
}

async fn live() -> HttpResponse {
    HttpResponse::Ok().json(serde_json::json!({ "status": "live" }))
}

async fn ready(closed: web::Data<Closed>) -> Result<HttpResponse, Problem> {
    Err(Problem::unavailable(AGAIN_S, closed.reason.text()))
}

async fn metrics_of(closed: web::Data<Closed>) -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(closed.metrics.render())
}

async fn refuse() -> Result<HttpResponse, Problem> {
    Err(Problem::unavailable(AGAIN_S, "the store cannot write: see /health/ready"))
}
