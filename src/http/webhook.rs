//! The webhook: verify, parse, accept, and only then 200.

use actix_web::http::header::{ContentType, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;

use iassistance_actors::stage::Stage;
use iassistance_channels::signature::{self, Rejected, Verified};
use iassistance_channels::{parse, verification};
use iassistance_domain::channel::MetaApp;
use iassistance_domain::id::MetaAppId;

use super::{Problem, State, body};

const SIGNATURE: &str = "x-hub-signature-256";

/// Adds the webhook's routes.
pub fn configure(config: &mut web::ServiceConfig) {
    config.service(
        web::resource("/webhooks/meta/{meta_app}")
            .route(web::get().to(confirm))
            .route(web::post().to(receive)),
    );
}

async fn meta_app(state: &State, id: &str) -> Result<MetaApp, Problem> {
    let id: MetaAppId = id.parse().map_err(|_| Problem::not_found())?;
    state.app.store.meta_app(id).await?.ok_or_else(Problem::not_found)
}

/// Meta checks that the address is ours: the challenge comes back as it was sent, as plain text.
async fn confirm(
    state: web::Data<State>,
    path: web::Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let app = meta_app(&state, &path).await?;
    match verification::verify_address(&app.verify_token, request.query_string()) {
        Ok(challenge) => Ok(HttpResponse::Ok()
            .content_type(ContentType::plaintext())
            .insert_header((X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")))
            .body(challenge)),
        Err(reason) => {
            tracing::info!(meta_app = %app.id, %reason, "a webhook address was not confirmed");
            Err(Problem::forbidden("the address is not confirmed"))
        }
    }
}

async fn receive(
    state: web::Data<State>,
    path: web::Path<String>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    let server = &state.app.settings.server;
    let limits = (server.webhook_body_bytes_max, server.body_deadline_ms);
    let (body, _held) =
        body::read(&request, payload, &state.bodies, limits.0, limits.1, &**state.clock()).await?;
    let app = meta_app(&state, &path).await?;
    let verified = Stage::Verify.run(|| verify(&app, &request, body))?;
    let now = state.clock().now();
    let elements = Stage::Parse.run(|| parse(verified, now));
    let accepted = Stage::Accept.observe(state.app.engine.accept(app.id, elements)).await;
    match accepted {
        Ok(_) => Ok(HttpResponse::Ok().finish()),
        Err(error) => {
            metrics::counter!("iassistance_accept_refused_total").increment(1);
            tracing::warn!(meta_app = %app.id, %error, "a webhook was not acknowledged; Meta repeats it");
            // Whatever is wrong here is no fault of the sender, who repeats what is answered by 503.
            Err(Problem::unavailable(5, "not accepted: send it again"))
        }
    }
}

/// The answer to a forger is the same whatever was wrong.
fn verify(app: &MetaApp, request: &HttpRequest, body: Bytes) -> Result<Verified, Problem> {
    let mut headers = request.headers().get_all(SIGNATURE);
    let header = headers.next().map(HeaderValue::as_bytes);
    let verified = match headers.next() {
        Some(_) => Err(Rejected::Malformed),
        None => signature::verify(&app.secrets, header, body),
    };
    let outcome = if verified.is_ok() { "ok" } else { "rejected" };
    metrics::counter!("iassistance_verify_total", "outcome" => outcome).increment(1);
    verified.map_err(|reason| {
        tracing::warn!(meta_app = %app.id, %reason, "a webhook's signature was rejected");
        Problem::unauthorized()
    })
}
