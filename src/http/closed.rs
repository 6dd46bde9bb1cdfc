//! The door while the store is mended: it is open, and says that nothing is taken in, and why.

use std::net::TcpListener;
use std::sync::{Arc, PoisonError, RwLock};

use actix_web::dev::ServerHandle;
use actix_web::{App as WebApp, HttpResponse, HttpServer, web};

use super::Problem;
use super::server::CannotListen;
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

/// Answers 503 to whoever comes, until the handle ends it.
pub fn close_door(
    door: TcpListener,
    reason: Reason,
    metrics: Metrics,
) -> Result<(actix_web::dev::Server, ServerHandle), CannotListen> {
    let address = door.local_addr().map(|address| address.to_string()).unwrap_or_default();
    let closed = Closed { reason, metrics };
    let server = HttpServer::new(move || {
        WebApp::new()
            .app_data(web::Data::new(closed.clone()))
            .route("/health/live", web::get().to(live))
            .route("/health/ready", web::get().to(ready))
            .route("/metrics", web::get().to(metrics_of))
            .default_service(web::to(refuse))
    })
    .workers(1)
    .shutdown_timeout(1)
    .disable_signals()
    .listen(door)
    .map_err(|source| CannotListen { address, source })?
    .run();
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
