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
use tokio_util::sync::CancellationToken;

use super::{Failure, Output};
use crate::app::{App, AppParts};
use crate::http::server::Listening;
use crate::register::Register;
use crate::serving::{News, Serving, wind_down};
use crate::telemetry::Metrics;

/// The app secret of the bare ingress. It keeps nothing, so there is nothing to protect.
const BARE_SECRET: &str = "bare-ingress";
const STOPPING: &str =
    "Stopping: work in hand is finished, the rest goes on at the next start. Once more ends it at once.";
/// What the process ends with when it is asked to stop while it stops.
const ENDED_AT_ONCE: i32 = 130;

pub fn run(settings: Settings, sources: &Sources, output: &Output) -> Result<(), Failure> {
    Register::check_start(&settings)?;
    actix::System::new().block_on(async {
        let metrics = Metrics::install()?;
        let serving =
            Serving { settings, root_key: sources.root_key(), parts: Arc::new(AppParts::default), metrics };
        let tell = |news: News<'_>| {
            match news {
                News::RootKey(path) => output.root_key_created(Some(path)),
                News::Listening(address) => {
                    let address = format!("http://{address}");
                    let json = serde_json::json!({ "listening": address });
                    return output
                        .answer(&format!("Listening on {address}"), &json)
                        .map_err(std::io::Error::other);
                }
                News::Stopping => output.note(STOPPING),
            }
            Ok(())
        };
        unless_asked_twice(output, async |asked| {
            let asked = async {
                asked.cancelled().await;
                Ok(())
            };
            Ok(serving.run(asked, tell).await?)
        })
        .await
    })
}

/// Serves until `ended` resolves or the process is asked to stop, then ends in good order.
pub async fn serve_until(
    app: &App,
    listening: Listening,
    ended: impl Future<Output = ()>,
    output: &Output,
) -> Result<(), Failure> {
    unless_asked_twice(output, async |asked| {
        let closing = listening.closing();
        let Listening { server, listener, .. } = listening;
        drop(listener);
        let end = async {
            tokio::select! {
                () = ended => {}
                () = asked.cancelled() => output.note(STOPPING),
            }
            wind_down(app, closing).await;
        };
        let (served, ()) = tokio::join!(server, end);
        Ok(served?)
    })
    .await
}

/// Runs `work`, which is told by the token when the process is asked to stop. Asked once more, the process
/// ends at once.
async fn unless_asked_twice(
    output: &Output,
    work: impl AsyncFnOnce(CancellationToken) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let asked = CancellationToken::new();
    let twice = async {
        stop_signal().await?;
        asked.cancel();
        stop_signal().await
    };
    tokio::select! {
        done = work(asked.clone()) => done,
        twice = twice => {
            twice?;
            output.note("Ended at once.");
            std::process::exit(ENDED_AT_ONCE)
        }
    }
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
