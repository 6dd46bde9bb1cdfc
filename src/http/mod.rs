//! The doors: webhook ingress, administration by REST, live monitoring by websocket.

pub mod access;
pub mod acts;
pub mod api_keys;
pub mod auth;
pub mod body;
pub mod closed;
pub mod cookies;
pub mod deletion;
pub mod door;
pub mod edge;
pub mod feed;
pub mod health;
pub mod idempotency;
pub mod links;
pub mod live;
pub mod mask;
#[cfg(feature = "dashboard")]
pub mod monitor;
pub mod openapi;
pub mod principal;
pub mod problem;
mod promises;
pub mod public;
pub mod reads;
pub mod recent;
pub mod refusals;
pub mod seen;
pub mod server;
pub mod sessions;
pub mod tickets;
pub mod v1;
pub mod webhook;

pub use problem::Problem;

use iassistance_domain::Clock;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

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
    /// Who has yet to give a second factor.
    pub pending: Arc<sessions::Pending>,
    /// Links that sign somebody in, once.
    pub links: Arc<sessions::Links>,
    /// Bodies in memory.
    pub bodies: body::InFlight,
    /// How many refusals are on the record.
    pub refusals: Arc<refusals::Refusals>,
    /// Who comes in.
    pub door: door::Door,
    /// How many requests somebody may send.
    pub rates: Arc<edge::rates::Rates>,
    /// Cancelled when the server is about to stop: it is not ready for anything new.
    pub draining: CancellationToken,
    /// Open websockets.
    pub sockets: live::Sockets,
    /// Held while settings are read, compared with what was seen and written: one at a time.
    pub changing: Arc<tokio::sync::Mutex<()>>,
    /// Exports under way.
    pub exports: Arc<tokio::sync::Semaphore>,
    /// What `/metrics` shows.
    pub metrics: Metrics,
}

impl State {
    /// What the handlers of one server share.
    pub fn new(app: App, metrics: Metrics) -> Self {
        let tickets = tickets::Tickets::new(app.settings.live.ticket_ms);
        let door = door::Door::new(&app.settings.server, Arc::clone(app.engine.clock()));
        let rates =
            Arc::new(edge::rates::Rates::new(&app.settings.server, &app.settings.rights, app.engine.clock()));
        let bodies = body::InFlight::new(app.settings.server.webhook_bytes_in_flight_max, door.clone());
        let sockets = live::Sockets::new(&app.settings.live);
        let idempotency = idempotency::Idempotency::default();
        Self {
            app,
            tickets: Arc::new(tickets),
            idempotency,
            pending: Arc::default(),
            links: Arc::default(),
            bodies,
            refusals: Arc::default(),
            door,
            rates,
            draining: CancellationToken::new(),
            sockets,
            changing: Arc::default(),
            exports: Arc::new(tokio::sync::Semaphore::new(v1::EXPORTS_MAX)),
            metrics,
        }
    }

    /// Time.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        self.app.engine.clock()
    }
}
