//! The assistant's settings: one document with a version, changed only by who has seen it.

use actix_web::{HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use iassistance_domain::Timestamp;
use iassistance_domain::assistant::AssistantSettingsVersion;

use super::input::Body;
use super::settings_form::{NewAssistant, SettingsView};
use super::tag::{self, IfMatch, IfNoneMatch};
use super::tenants::InTenant;
use super::view::Problems;
use crate::http::auth::{Allowed, acts};
use crate::http::{Problem, State};

/// A version of the assistant's settings; that of those which count now is the `ETag` too.
#[derive(Serialize, ToSchema)]
#[schema(as = Assistant)]
pub struct AssistantView {
    /// Counts up with every change; 0 for the platform's defaults.
    version: u64,
    /// When it was published; `null` for the defaults.
    #[schema(value_type = Option<i64>)]
    published_at: Option<Timestamp>,
    /// The version whose settings these are again, if they were rolled back to.
    rolled_back_to: Option<u64>,
    /// What they say.
    #[serde(flatten)]
    settings: SettingsView,
}

impl From<AssistantSettingsVersion> for AssistantView {
    fn from(stored: AssistantSettingsVersion) -> Self {
        let AssistantSettingsVersion { version, settings, published_at, rolled_back_to } = stored;
        Self { version, published_at, rolled_back_to, settings: settings.into() }
    }
}

/// The assistant's settings
#[utoipa::path(get, path = "/tenants/{tenant}/assistant", tag = "assistant", operation_id = "show_assistant",
    params(InTenant), responses((status = 200, body = AssistantView), Problems))]
pub async fn show(
    state: web::Data<State>,
    allowed: Allowed<acts::SeeSetUp>,
    path: web::Path<InTenant>,
    has: IfNoneMatch,
) -> Result<HttpResponse, Problem> {
    let stored = state.app.engine.assistant(allowed.ctx(path.tenant)?).await?;
    Ok(has.show(&stored.version.to_string(), &AssistantView::from((*stored).clone())))
}

/// Change the assistant's settings
///
/// They count at once, as a new version; turns that run keep theirs. To try settings first, save them as a draft.
#[utoipa::path(put, path = "/tenants/{tenant}/assistant", tag = "assistant", operation_id = "change_assistant",
    params(InTenant),
    request_body = NewAssistant, responses((status = 200, body = AssistantView), Problems))]
pub async fn change(
    state: web::Data<State>,
    allowed: Allowed<acts::EditAssistant>,
    path: web::Path<InTenant>,
    seen: IfMatch,
    body: Body<NewAssistant>,
) -> Result<HttpResponse, Problem> {
    let ctx = allowed.ctx(path.tenant)?;
    let expected = seen.version()?;
    let former = state.app.engine.assistant(ctx).await?;
    let settings = body.value.over(&former.settings, &state.app.egress)?;
    allowed.record(allowed.entry("settings.published").with("former_version", &former.version)).await?;
    // What is kept of the former settings must still be there when the new ones are stored.
    let stored = state.app.engine.put_assistant(ctx, settings, expected.or(Some(former.version))).await?;
    tracing::info!(tenant = %ctx.tenant(), version = stored.version, "the assistant's settings were changed");
    Ok(tag::tagged(&stored.version.to_string(), &AssistantView::from(stored)))
}
