//! `iassistance serve`, and the bare ingress that the bench compares it with.

use std::future::Future;
use std::sync::Arc;

use actix_web::http::header::HeaderValue;
use actix_web::{HttpResponse, HttpServer, web};
use iassistance_actors::kernel::SystemClock;
use iassistance_channels::{parse, signature};
use iassistance_config::{Settings, Sources};
use iassistance_domain::Clock;
use iassistance_domain::channel::StoredSecret;
use tokio::signal::unix::{SignalKind, signal};

use super::{Failure, Output};
use crate::app::{App, AppParts, Vaulted};
use crate::http::State;
use crate::http::server::{self, Listening};
use crate::telemetry::Metrics;

/// The app secret of the bare ingress. It keeps nothing, so there is nothing to protect.
const BARE_SECRET: &str = "bare-ingress";
/// What the process ends with when it is asked to stop while it stops.
const ENDED_AT_ONCE: i32 = 130;

pub fn run(settings: Settings, sources: &Sources, output: &Output) -> Result<(), Failure> {
    actix::System::new().block_on(async {
        let mut parts = AppParts::default();
        let vaulted = Vaulted::open(settings, sources.root_key().as_ref(), &mut parts)?;
        output.root_key_created(vaulted.root_key_created.as_deref());
        let app = App::start(&vaulted, parts).await?;
        let listening = server::listen(State::new(app.clone(), Metrics::install()?))?;
        let address = format!("http://{}", listening.address);
        output.answer(&format!("Listening on {address}"), &serde_json::json!({ "listening": address }))?;
        serve_until(&app, listening, stop_signal(), output).await
    })
}

/// Serves until `asked` resolves, then stops in good order within `server.shutdown_ms`: nothing new comes in,
/// who watches is sent away with the place to go on at, requests and turns in hand are finished, and the
/// store is closed. What is not finished goes on at the next start. Another signal meanwhile ends the process
/// at once, which loses nothing either: it is what a kill is.
pub async fn serve_until(
    app: &App,
    listening: Listening,
    asked: impl Future<Output = Result<(), Failure>>,
    output: &Output,
) -> Result<(), Failure> {
    let (draining, close) = (listening.draining.clone(), listening.closer());
    let stop = async {
        let asked = asked.await;
        output.note("Stopping: work in hand is finished, the rest goes on at the next start. Once more ends it at once.");
        draining.cancel();
        let notice_ms = app.settings.server.drain_notice_ms;
        if notice_ms > 0 {
            app.engine.clock().sleep_millis(notice_ms).await;
        }
        // A live connection ends by no request: it would be waited for in vain.
        app.engine.close_live();
        let stop = async {
            let drain_ms = app.settings.server.shutdown_ms / 4 * 3;
            let (drained, ()) = tokio::join!(app.engine.drain(drain_ms), close);
            if !drained {
                tracing::warn!(
                    "turns or sends took longer than there was time for; they go on at the next start"
                );
            }
            if let Err(late) = app.stop().await {
                tracing::warn!(%late, "not everything ended in time; it goes on at the next start");
            }
        };
        tokio::select! {
            () = stop => asked,
            again = stop_signal() => {
                again?;
                output.note("Ended at once.");
                std::process::exit(ENDED_AT_ONCE)
            }
        }
    };
    let (served, asked) = tokio::join!(listening.server, stop);
    served?;
    asked
}

/// Resolves when the process is asked to stop.
pub async fn stop_signal() -> Result<(), Failure> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

/// The same server without anything behind it: HMAC and parsing, then 200.
pub fn bare(settings: &Settings, output: &Output) -> Result<(), Failure> {
    let (bind, port) = (settings.server.bind.clone(), settings.server.port);
    let bytes_max = settings.server.webhook_body_bytes_max;
    let workers = match settings.server.workers {
        0 => std::thread::available_parallelism().map_or(2, std::num::NonZero::get),
        workers => workers,
    };
    actix::System::new().block_on(async {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let server = HttpServer::new(move || {
            let clock = Arc::clone(&clock);
            let receive = move |request: actix_web::HttpRequest, body: bytes::Bytes| {
                let now = clock.now();
                async move {
                    let header = request.headers().get("x-hub-signature-256").map(HeaderValue::as_bytes);
                    match signature::verify(&[StoredSecret::new(BARE_SECRET)], header, body) {
                        Ok(verified) => {
                            std::hint::black_box(parse(verified, now));
                            HttpResponse::Ok().finish()
                        }
                        Err(_) => HttpResponse::Unauthorized().finish(),
                    }
                }
            };
            actix_web::App::new()
                .app_data(web::PayloadConfig::new(bytes_max))
                .route("/webhooks/meta/{meta_app}", web::post().to(receive))
        })
        .workers(workers)
        .bind((bind.as_str(), port))?;
        for address in server.addrs() {
            let address = format!("http://{address}");
            output
                .answer(&format!("Listening on {address}"), &serde_json::json!({ "listening": address }))?;
        }
        server.run().await?;
        Ok(())
    })
}
