//! The doors: webhook ingress, administration by REST, live monitoring by websocket.

pub mod auth;
pub mod body;
pub mod closed;
pub mod deletion;
pub mod health;
pub mod idempotency;
pub mod live;
pub mod openapi;
pub mod problem;
pub mod recent;
pub mod server;
pub mod tickets;
pub mod v1;
pub mod webhook;

pub use problem::Problem;

use iassistance_domain::Clock;
use std::sync::Arc;

use crate::app::App;
use crate::telemetry::Metrics;

/// What every handler may use.
#[derive(Clone)]
pub struct State {
    /// The application.
    pub app: App,
    /// Tickets for the websocket.
    pub tickets: Arc<tickets::Tickets>,
    /// Answers to requests that may be repeated.
    pub idempotency: idempotency::Idempotency,
    /// Bodies in memory.
    pub bodies: body::InFlight,
    /// Open websockets.
    pub sockets: live::Sockets,
    /// Held while a draft of settings is changed by who has seen it: one at a time.
    pub drafts: Arc<tokio::sync::Mutex<()>>,
    /// What `/metrics` shows.
    pub metrics: Metrics,
}

impl State {
    /// What the handlers of one server share.
    pub fn new(app: App, metrics: Metrics) -> Self {
        let tickets = tickets::Tickets::new(app.settings.live.ticket_ms);
        let bodies = body::InFlight::new(app.settings.server.webhook_bytes_in_flight_max);
        let sockets = live::Sockets::new(&app.settings.live);
        let idempotency = idempotency::Idempotency::default();
        Self {
            app,
            tickets: Arc::new(tickets),
            idempotency,
            bodies,
            sockets,
            drafts: Arc::default(),
            metrics,
        }
    }

    /// Time.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        self.app.engine.clock()
    }
}
