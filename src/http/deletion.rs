//! What Meta asks of a platform about the people who signed in to its app: delete what is stored about
//! somebody, and take note that somebody took the app's rights back.
//!
//! Meta: "Data Deletion Request Callback": a form with a `signed_request`, answered by an address at
//! which the request's progress is told in plain words, and by a code. The person is named by an
//! app-scoped id: mostly whoever connected a channel, never an end user who chats.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use url::form_urlencoded;

use iassistance_channels::signed_request;
use iassistance_domain::channel::{ChannelHealth, ChannelState, MetaApp, StoredSecret};
use iassistance_domain::deletion::{Deletion, DeletionState};
use iassistance_domain::event::EventKind;
use iassistance_domain::id::{DeletionId, MetaAppId};
use iassistance_domain::tenant::TenantCtx;
use iassistance_storage::StorageError;

use super::public::{Speaks, Words};
use super::{Problem, State, body};

/// Largest form that Meta sends, bytes.
const FORM_BYTES_MAX: usize = 16 * 1024;

/// Adds the callbacks and the page.
pub fn configure(config: &mut web::ServiceConfig) {
    config
        .service(
            web::resource("/webhooks/meta/{meta_app}/data-deletion").route(web::post().to(request_deletion)),
        )
        .service(web::resource("/webhooks/meta/{meta_app}/deauthorize").route(web::post().to(deauthorize)))
        .service(web::resource("/deletions/{code}").route(web::get().to(progress)));
}

/// What Meta wants to hear.
#[derive(Serialize)]
struct Confirmed {
    url: String,
    confirmation_code: String,
}

async fn verified(
    state: &State,
    path: &str,
    request: &HttpRequest,
    payload: web::Payload,
) -> Result<(MetaApp, StoredSecret), Problem> {
    let id: MetaAppId = path.parse().map_err(|_| Problem::not_found())?;
    let app = state.app.store.meta_app(id).await?.ok_or_else(Problem::not_found)?;
    let (clock, deadline_ms) = (&**state.clock(), state.app.settings.server.body_deadline_ms);
    let (form, _held) =
        body::read(request, payload, &state.bodies, FORM_BYTES_MAX, deadline_ms, clock).await?;
    let field = form_urlencoded::parse(&form).find(|(name, _)| name == "signed_request");
    let (_, field) = field.ok_or_else(|| Problem::bad_request("expected a form with a `signed_request`"))?;
    let signed = signed_request::verify(&app.secrets, &field).map_err(|reason| {
        tracing::warn!(meta_app = %app.id, %reason, "a signed request was rejected");
        Problem::unauthorized()
    })?;
    Ok((app, signed.user_id))
}

async fn request_deletion(
    state: web::Data<State>,
    path: web::Path<String>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<web::Json<Confirmed>, Problem> {
    let (app, person) = verified(&state, &path, &request, payload).await?;
    let now = state.clock().now();
    let id = DeletionId::new(now, &**state.app.engine.entropy());
    let begun = Deletion { id, meta_app: app.id, requested_at: now, state: DeletionState::Begun };
    state.app.store.put_deletion(begun.clone()).await?;
    let channels = revoke(&state, &app, &person, Some(id)).await?;
    let at = state.clock().now();
    state.app.store.put_deletion(Deletion { state: DeletionState::Done { at, channels }, ..begun }).await?;
    tracing::info!(meta_app = %app.id, deletion = %id, channels, "a request to delete was carried out");
    let url = format!("{}/deletions/{id}", state.door.own_url(&request));
    Ok(web::Json(Confirmed { url, confirmation_code: id.to_string() }))
}

async fn deauthorize(
    state: web::Data<State>,
    path: web::Path<String>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    let (app, person) = verified(&state, &path, &request, payload).await?;
    let channels = revoke(&state, &app, &person, None).await?;
    tracing::info!(meta_app = %app.id, channels, "somebody took the app's rights back");
    Ok(HttpResponse::Ok().finish())
}

/// Forgets the tokens that are a person's, and who it was; their channels send nothing any more.
/// Returns how many there were.
async fn revoke(
    state: &State,
    app: &MetaApp,
    person: &StoredSecret,
    deletion: Option<DeletionId>,
) -> Result<u32, StorageError> {
    let mut revoked = 0;
    for mut channel in state.app.store.channels_of_app(app.id).await? {
        if channel.token_owner.as_ref() != Some(person) {
            continue;
        }
        let (id, tenant) = (channel.id, channel.tenant);
        let reason = "whoever connected it took the app's rights back at Meta: connect it with a new token";
        let health =
            channel.health.turned(ChannelState::Expired, Some(reason.to_owned()), state.clock().now());
        channel.health = ChannelHealth { token_expires_at: None, ..health };
        channel.access_token = StoredSecret::new("");
        channel.token_owner = None;
        let health = channel.health.clone();
        state.app.store.put_channel(channel).await?;
        let changed = EventKind::ChannelHealthChanged { channel: id, health };
        let requested = deletion.map(|deletion| EventKind::DeletionRequested { deletion });
        let events = std::iter::once(changed).chain(requested).collect();
        state.app.store.tenant(TenantCtx::platform(tenant)).await?.append(None, events).await?;
        revoked += 1;
    }
    Ok(revoked)
}

const TITLE: Words = Words::new("Solicitud de eliminación", "Solicitação de exclusão", "Deletion request");
const CODE: Words = Words::new("Código de confirmación", "Código de confirmação", "Confirmation code");
const BEGUN: Words = Words::new(
    "Recibimos su solicitud y la estamos llevando a cabo.",
    "Recebemos sua solicitação e ela está em andamento.",
    "Your request was received and is being carried out.",
);
const NOTHING: Words = Words::new(
    "Su solicitud se cumplió. No había nada guardado bajo su inicio de sesión.",
    "Sua solicitação foi cumprida. Nada estava guardado sob o seu login.",
    "Your request was carried out. Nothing was stored under your sign-in.",
);
const DONE: Words = Words::new(
    "Su solicitud se cumplió. Se eliminaron el acceso que su inicio de sesión había dado a este servicio y la nota \
     de que era suyo. Los mensajes que las empresas intercambiaron con sus clientes pertenecen a esas empresas: \
     pida a la empresa con la que habló que elimine los suyos.",
    "Sua solicitação foi cumprida. O acesso que o seu login tinha dado a este serviço e a nota de que era seu foram \
     excluídos. As mensagens que as empresas trocaram com seus clientes pertencem a essas empresas: peça à empresa \
     com a qual você falou que exclua as suas.",
    "Your request was carried out. The access that your sign-in had given to this service, and the note that it was \
     yours, are deleted. Messages that businesses exchanged with their customers belong to those businesses: ask the \
     business that you wrote with to delete yours.",
);

/// The page that Meta shows to the person.
async fn progress(
    state: web::Data<State>,
    path: web::Path<String>,
    speaks: Speaks,
) -> Result<HttpResponse, Problem> {
    let id: DeletionId = path.parse().map_err(|_| Problem::not_found())?;
    let deletion = state.app.store.deletion(id).await?.ok_or_else(Problem::not_found)?;
    let found = match deletion.state {
        DeletionState::Begun => BEGUN,
        DeletionState::Done { channels: 0, .. } => NOTHING,
        DeletionState::Done { .. } => DONE,
    };
    let mut page = state.page(speaks, &format!("/deletions/{id}"), TITLE);
    page.notice(found.to(speaks.0)).facts([(CODE.to(speaks.0), id.to_string().as_str())]);
    Ok(page.respond())
}
