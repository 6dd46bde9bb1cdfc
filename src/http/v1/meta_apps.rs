//! Meta apps: what webhooks are signed with. Their secrets go in and never come out.

use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use iassistance_domain::Timestamp;
use iassistance_domain::channel::{ChannelKind, MetaApp, StoredSecret};
use iassistance_domain::id::{ChannelId, MetaAppId, TenantId};

use super::input::{self, Body, Query};
use super::page::{Page, PageQuery};
use super::tag::{self, IfMatch, IfNoneMatch};
use super::view::Problems;
use crate::http::auth::{Allowed, acts};
use crate::http::idempotency::{Created, Once};
use crate::http::{Problem, State};

const SECRETS_MAX: usize = 8;

/// Which Meta app.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct InMetaApp {
    /// The Meta app.
    #[param(value_type = String, example = "app_0199a8a2c4007b3e8f5d6c1b2a390817")]
    meta_app: MetaAppId,
}

/// A Meta app, without its secrets.
#[derive(Serialize, ToSchema)]
#[schema(as = MetaApp)]
pub struct MetaAppView {
    /// Its id here.
    #[schema(value_type = String, example = "app_0199a8a2c4007b3e8f5d6c1b2a390817")]
    id: MetaAppId,
    /// What people call it.
    name: String,
    /// Meta's id of it, where it was given.
    app_id: Option<String>,
    /// How many secrets a webhook may be signed with.
    secrets: usize,
    /// Where Meta sends its webhooks: this server's public address and this path.
    webhook_path: String,
    /// When it was created.
    #[schema(value_type = i64)]
    created_at: Timestamp,
}

impl From<MetaApp> for MetaAppView {
    fn from(app: MetaApp) -> Self {
        Self {
            id: app.id,
            name: app.name,
            app_id: app.app_id,
            secrets: app.secrets.len(),
            webhook_path: format!("/webhooks/meta/{}", app.id),
            created_at: app.created_at,
        }
    }
}

/// A Meta app to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewMetaApp {
    /// What people call it; 1 to 120 characters.
    name: String,
    /// Meta's id of it, 1 to 32 digits: with it tokens are checked to be this app's, and its own sends
    /// and conversations are told from other apps'.
    app_id: Option<String>,
    /// The app secrets that may have signed a webhook, newest first; 1 to 8. Never shown again.
    secrets: Vec<String>,
    /// What Meta repeats when it verifies the webhook's address. Never shown again.
    verify_token: String,
}

/// What changes of a Meta app; what is left out stays as it is.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MetaAppChange {
    /// What people call it; 1 to 120 characters.
    name: Option<String>,
    /// Meta's id of it, 1 to 32 digits.
    app_id: Option<String>,
    /// The app secrets, all of them, newest first; 1 to 8. To rotate one, put the new before the old,
    /// and leave the old out later.
    secrets: Option<Vec<String>>,
    /// What Meta repeats when it verifies the webhook's address.
    verify_token: Option<String>,
}

fn secrets(texts: Vec<String>) -> Result<Vec<StoredSecret>, Problem> {
    if !(1..=SECRETS_MAX).contains(&texts.len()) {
        return Err(Problem::invalid(
            "`secrets` must have 1 to 8 of them: without one no webhook can be verified",
        ));
    }
    texts.into_iter().map(|text| input::secret("secrets", text)).collect()
}

/// All Meta apps
#[utoipa::path(get, path = "/meta-apps", tag = "meta apps", operation_id = "list_meta_apps",
    params(PageQuery), responses((status = 200, body = Page<MetaAppView>), Problems))]
pub async fn list(
    state: web::Data<State>,
    _allowed: Allowed<acts::SeeMetaApps>,
    query: Query<PageQuery>,
) -> Result<web::Json<Page<MetaAppView>>, Problem> {
    let apps = state.app.store.meta_apps().await?;
    Ok(web::Json(query.of_all(apps, |app| app.id)?.map(MetaAppView::from)))
}

/// Register a Meta app
#[utoipa::path(post, path = "/meta-apps", tag = "meta apps", operation_id = "create_meta_app",
    request_body = NewMetaApp,
    responses((status = 201, body = MetaAppView), Problems))]
pub async fn create(
    state: web::Data<State>,
    allowed: Allowed<acts::ManageMetaApps>,
    once: Once,
    body: Body<NewMetaApp>,
) -> Result<HttpResponse, Problem> {
    let Body { value, raw } = body;
    let name = input::name("name", &value.name)?;
    let secrets = secrets(value.secrets)?;
    let app_id = value.app_id.map(|id| input::digits("app_id", id)).transpose()?;
    let verify_token = input::secret("verify_token", value.verify_token)?;
    once.run(&state, &raw, async {
        let now = state.clock().now();
        let id = MetaAppId::new(now, &**state.app.engine.entropy());
        let app = MetaApp { id, name, app_id, secrets, verify_token, created_at: now };
        allowed.record(allowed.entry("meta_app.created").on(&id)).await?;
        state.app.store.put_meta_app(app.clone()).await?;
        tracing::info!(meta_app = %id, "a Meta app was registered");
        Created::at(format!("/v1/meta-apps/{id}"), &MetaAppView::from(app))
    })
    .await
}

/// One Meta app
#[utoipa::path(get, path = "/meta-apps/{meta_app}", tag = "meta apps", operation_id = "show_meta_app",
    params(InMetaApp), responses((status = 200, body = MetaAppView), Problems))]
pub async fn show(
    state: web::Data<State>,
    _allowed: Allowed<acts::SeeMetaApps>,
    path: web::Path<InMetaApp>,
    has: IfNoneMatch,
) -> Result<HttpResponse, Problem> {
    let app = state.app.store.meta_app(path.meta_app).await?.ok_or_else(Problem::not_found)?;
    Ok(has.show(&tag::of(&state, &app)?, &MetaAppView::from(app)))
}

/// A channel that came through a Meta app.
#[derive(Serialize, ToSchema)]
pub struct ChannelOfApp {
    /// The channel.
    #[schema(value_type = String, example = "chn_0199a8a2c4007b3e8f5d6c1b2a390817")]
    id: ChannelId,
    /// Whose it is.
    #[schema(value_type = String)]
    tenant: TenantId,
    /// The product: `whatsapp`, `messenger` or `instagram`.
    #[schema(value_type = String, example = "whatsapp")]
    kind: ChannelKind,
    /// Meta's id of it.
    #[schema(example = "106540352242922")]
    external_id: String,
}

/// The channels of all tenants that came through a Meta app, oldest first
#[utoipa::path(get, path = "/meta-apps/{meta_app}/channels", tag = "meta apps",
    operation_id = "list_channels_of_meta_app", params(InMetaApp, PageQuery),
    responses((status = 200, body = Page<ChannelOfApp>), Problems))]
pub async fn channels(
    state: web::Data<State>,
    _allowed: Allowed<acts::ManageMetaApps>,
    path: web::Path<InMetaApp>,
    query: Query<PageQuery>,
) -> Result<web::Json<Page<ChannelOfApp>>, Problem> {
    state.app.store.meta_app(path.meta_app).await?.ok_or_else(Problem::not_found)?;
    let channels = state.app.store.channels_of_app(path.meta_app).await?;
    let page = query.of_all(channels, |channel| channel.id)?;
    Ok(web::Json(page.map(|channel| ChannelOfApp {
        id: channel.id,
        tenant: channel.tenant,
        kind: channel.kind(),
        external_id: channel.external_id,
    })))
}

/// Change a Meta app, or rotate its secrets
#[utoipa::path(put, path = "/meta-apps/{meta_app}", tag = "meta apps", operation_id = "change_meta_app",
    params(InMetaApp), request_body = MetaAppChange,
    responses((status = 200, body = MetaAppView), Problems))]
pub async fn change(
    state: web::Data<State>,
    allowed: Allowed<acts::ManageMetaApps>,
    path: web::Path<InMetaApp>,
    seen: IfMatch,
    body: Body<MetaAppChange>,
) -> Result<HttpResponse, Problem> {
    let _alone = state.changing.lock().await;
    let mut app = state.app.store.meta_app(path.meta_app).await?.ok_or_else(Problem::not_found)?;
    seen.check(&tag::of(&state, &app)?)?;
    let change = body.value;
    if let Some(name) = change.name {
        app.name = input::name("name", &name)?;
    }
    if let Some(id) = change.app_id {
        app.app_id = Some(input::digits("app_id", id)?);
    }
    if let Some(texts) = change.secrets {
        app.secrets = secrets(texts)?;
    }
    if let Some(token) = change.verify_token {
        app.verify_token = input::secret("verify_token", token)?;
    }
    allowed.record(allowed.entry("meta_app.changed").on(&app.id)).await?;
    state.app.store.put_meta_app(app.clone()).await?;
    tracing::info!(meta_app = %app.id, "a Meta app was changed");
    Ok(tag::tagged(&tag::of(&state, &app)?, &MetaAppView::from(app)))
}
