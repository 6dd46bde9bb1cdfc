//! Whether the server lives, whether it takes work, and what it counts.

use actix_web::{HttpResponse, web};

use super::{Problem, State};

/// Adds the routes.
pub fn configure(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/health/live").route(web::get().to(live)))
        .service(web::resource("/health/ready").route(web::get().to(ready)))
        .service(web::resource("/metrics").route(web::get().to(metrics)));
}

async fn live() -> HttpResponse {
    HttpResponse::Ok().json(serde_json::json!({ "status": "live" }))
}

/// Not ready means: nothing is acknowledged, and why.
async fn ready(state: web::Data<State>) -> Result<HttpResponse, Problem> {
    if state.draining.is_cancelled() {
        return Err(Problem::unavailable(5, "draining: the server is about to stop"));
    }
    match state.app.store.health() {
        Ok(()) => Ok(HttpResponse::Ok().json(serde_json::json!({ "status": "ready" }))),
        Err(error) => Err(Problem::unavailable(30, error.to_string())),
    }
}

async fn metrics(state: web::Data<State>) -> HttpResponse {
    #[expect(clippy::cast_precision_loss, reason = "gauges of small counts")]
    {
        metrics::gauge!("iassistance_conversations_live").set(state.app.engine.live_conversations() as f64);
        metrics::gauge!("iassistance_tasks_live").set(state.app.engine.live_tasks() as f64);
        metrics::gauge!("iassistance_sockets_live").set(state.sockets.open() as f64);
    }
    HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(state.metrics.render())
}
