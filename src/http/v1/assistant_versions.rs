//! What the assistant's settings were: every version that was published, and the way back to one.

use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use iassistance_domain::Timestamp;
use iassistance_domain::assistant::AssistantSettingsVersion;
use iassistance_domain::id::TenantId;

use super::assistant::AssistantView;
use super::input::{Body, Query};
use super::page::{Page, PageQuery};
use super::tag::IfMatch;
use super::tenants::InTenant;
use super::view::Problems;
use crate::http::auth::{Allowed, acts};
use crate::http::idempotency::{Created, Once};
use crate::http::{Problem, State};

/// Which version.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct InVersion {
    /// The tenant.
    #[param(value_type = String)]
    tenant: TenantId,
    /// The version, from 1.
    version: u64,
}

/// A version, in a list of them.
#[derive(Serialize, ToSchema)]
#[schema(as = AssistantVersion)]
pub struct VersionView {
    /// Its number.
    version: u64,
    /// When it was published.
    #[schema(value_type = Option<i64>)]
    published_at: Option<Timestamp>,
    /// The version whose settings these are again, if they were rolled back to.
    rolled_back_to: Option<u64>,
    /// Whether the assistant answered at all.
    enabled: bool,
    /// The model; `null` for the platform's.
    model: Option<String>,
}

impl From<AssistantSettingsVersion> for VersionView {
    fn from(stored: AssistantSettingsVersion) -> Self {
        Self {
            version: stored.version,
            published_at: stored.published_at,
            rolled_back_to: stored.rolled_back_to,
            enabled: stored.settings.enabled,
            model: stored.settings.model,
        }
    }
}

/// Where to.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RollBack {
    /// The version whose settings are to count again.
    version: u64,
}

/// Versions of the assistant's settings, newest first
///
/// The newest 200 are kept.
#[utoipa::path(get, path = "/tenants/{tenant}/assistant/versions", tag = "assistant",
    operation_id = "list_versions", params(InTenant, PageQuery),
    responses((status = 200, body = Page<VersionView>), Problems))]
pub async fn list(
    state: web::Data<State>,
    allowed: Allowed<acts::SeeSetUp>,
    path: web::Path<InTenant>,
    query: Query<PageQuery>,
) -> Result<web::Json<Page<VersionView>>, Problem> {
    let (before, limit) = query.read()?;
    let store = state.app.store.tenant(allowed.ctx(path.tenant)?).await?;
    let versions = store.assistant_versions(before, limit + 1).await?;
    Ok(web::Json(Page::cut(versions, limit, |stored| stored.version).map(VersionView::from)))
}

/// One version of the assistant's settings
#[utoipa::path(get, path = "/tenants/{tenant}/assistant/versions/{version}", tag = "assistant",
    operation_id = "show_version", params(InVersion),
    responses((status = 200, body = AssistantView), Problems))]
pub async fn show(
    state: web::Data<State>,
    allowed: Allowed<acts::SeeSetUp>,
    path: web::Path<InVersion>,
) -> Result<web::Json<AssistantView>, Problem> {
    let store = state.app.store.tenant(allowed.ctx(path.tenant)?).await?;
    let stored = store.assistant_version(path.version).await?.ok_or_else(Problem::not_found)?;
    Ok(web::Json(stored.into()))
}

/// Go back to a version
///
/// Its settings count from now on, secrets included, as a new version: nothing of what was is lost.
#[utoipa::path(post, path = "/tenants/{tenant}/assistant/rollback", tag = "assistant",
    operation_id = "roll_back",
    params(InTenant),
    request_body = RollBack, responses((status = 201, body = AssistantView), Problems))]
pub async fn roll_back(
    state: web::Data<State>,
    allowed: Allowed<acts::EditAssistant>,
    path: web::Path<InTenant>,
    seen: IfMatch,
    once: Once,
    body: Body<RollBack>,
) -> Result<HttpResponse, Problem> {
    let ctx = allowed.ctx(path.tenant)?;
    let expected = seen.version()?;
    let to = body.value.version;
    once.run(&state, &body.raw, async {
        allowed.record(allowed.entry("settings.rolled_back").with("to_version", &to)).await?;
        let stored = state.app.engine.roll_back_assistant(ctx, to, expected).await?;
        let version = stored.version;
        tracing::info!(tenant = %ctx.tenant(), version, to, "the assistant's settings were rolled back");
        let location = format!("/v1/tenants/{}/assistant/versions/{version}", ctx.tenant());
        Created::at(location, &AssistantView::from(stored))
    })
    .await
}
