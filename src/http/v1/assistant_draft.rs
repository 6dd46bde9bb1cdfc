//! Settings that are not in force: saved, looked at, tried, and published or thrown away.

use actix_web::{HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use iassistance_domain::Timestamp;
use iassistance_domain::assistant::AssistantDraft;
use iassistance_domain::tenant::TenantCtx;

use super::assistant::AssistantView;
use super::input::Body;
use super::settings_form::{NewAssistant, SettingsView};
use super::tag::{self, IfMatch, IfNoneMatch};
use super::tenants::InTenant;
use super::view::Problems;
use crate::http::auth::{Allowed, acts};
use crate::http::idempotency::{Created, Once};
use crate::http::{Problem, State};

/// Settings that are not in force.
#[derive(Serialize, ToSchema)]
#[schema(as = AssistantDraft)]
pub struct DraftView {
    /// The version that they were made from; publishing is refused (412) when another counts by then.
    based_on: u64,
    /// When they were saved.
    #[schema(value_type = i64)]
    saved_at: Timestamp,
    /// What they say.
    #[serde(flatten)]
    settings: SettingsView,
}

impl From<AssistantDraft> for DraftView {
    fn from(draft: AssistantDraft) -> Self {
        let AssistantDraft { settings, based_on, saved_at } = draft;
        Self { based_on, saved_at, settings: settings.into() }
    }
}

fn answer(state: &State, draft: AssistantDraft) -> Result<HttpResponse, Problem> {
    Ok(tag::tagged(&tag::of(state, &draft)?, &DraftView::from(draft)))
}

/// The draft there is, which must be the one that `If-Match` names, if it names one.
async fn current(state: &State, ctx: TenantCtx, seen: &IfMatch) -> Result<Option<AssistantDraft>, Problem> {
    let draft = state.app.store.tenant(ctx).await?.assistant_draft().await?;
    if let Some(expected) = seen.tag() {
        let there = draft.as_ref().map(|draft| tag::of(state, draft)).transpose()?;
        if there.as_deref() != Some(expected) {
            return Err(Problem::precondition_failed(
                "the draft was changed, published or thrown away meanwhile: read it again",
            ));
        }
    }
    Ok(draft)
}

/// The draft of the assistant's settings
#[utoipa::path(get, path = "/tenants/{tenant}/assistant/draft", tag = "assistant", operation_id = "show_draft",
    params(InTenant), responses((status = 200, body = DraftView), Problems))]
pub async fn show(
    state: web::Data<State>,
    allowed: Allowed<acts::SeeSetUp>,
    path: web::Path<InTenant>,
    has: IfNoneMatch,
) -> Result<HttpResponse, Problem> {
    let store = state.app.store.tenant(allowed.ctx(path.tenant)?).await?;
    let draft = store.assistant_draft().await?.ok_or_else(Problem::not_found)?;
    Ok(has.show(&tag::of(&state, &draft)?, &DraftView::from(draft)))
}

/// Save settings as the draft
///
/// Nothing of it counts until it is published. There is one draft; it is made from the version that
/// counts now. Secrets that are left out are those of the former draft, or of that version.
#[utoipa::path(put, path = "/tenants/{tenant}/assistant/draft", tag = "assistant", operation_id = "save_draft",
    params(InTenant),
    request_body = NewAssistant, responses((status = 200, body = DraftView), Problems))]
pub async fn save(
    state: web::Data<State>,
    allowed: Allowed<acts::EditAssistant>,
    path: web::Path<InTenant>,
    seen: IfMatch,
    body: Body<NewAssistant>,
) -> Result<HttpResponse, Problem> {
    let ctx = allowed.ctx(path.tenant)?;
    let _alone = state.changing.lock().await;
    let former = match current(&state, ctx, &seen).await? {
        Some(draft) => draft.settings,
        None => state.app.engine.assistant(ctx).await?.settings.clone(),
    };
    let settings = body.value.over(&former, &state.app.egress)?;
    allowed.record(allowed.entry("settings.drafted")).await?;
    let draft = state.app.engine.save_assistant_draft(ctx, settings).await?;
    answer(&state, draft)
}

/// Throw the draft away
#[utoipa::path(delete, path = "/tenants/{tenant}/assistant/draft", tag = "assistant",
    operation_id = "discard_draft",
    params(InTenant),
    responses((status = 204, description = "There is none any more"), Problems))]
pub async fn discard(
    state: web::Data<State>,
    allowed: Allowed<acts::EditAssistant>,
    path: web::Path<InTenant>,
    seen: IfMatch,
) -> Result<HttpResponse, Problem> {
    let ctx = allowed.ctx(path.tenant)?;
    let _alone = state.changing.lock().await;
    current(&state, ctx, &seen).await?;
    allowed.record(allowed.entry("settings.draft_discarded")).await?;
    state.app.engine.discard_assistant_draft(ctx).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Publish the draft
///
/// Its settings count from now on, as a new version; turns that run keep theirs. Refused (412) when
/// the settings were changed since the draft was made.
#[utoipa::path(post, path = "/tenants/{tenant}/assistant/draft/publish", tag = "assistant",
    operation_id = "publish_draft",
    params(InTenant),
    responses((status = 201, body = AssistantView), Problems))]
pub async fn publish(
    state: web::Data<State>,
    allowed: Allowed<acts::EditAssistant>,
    path: web::Path<InTenant>,
    seen: IfMatch,
    once: Once,
) -> Result<HttpResponse, Problem> {
    let ctx = allowed.ctx(path.tenant)?;
    once.run(&state, &[], async {
        let _alone = state.changing.lock().await;
        let draft = current(&state, ctx, &seen).await?.ok_or_else(Problem::not_found)?;
        allowed.record(allowed.entry("settings.published").with("former_version", &draft.based_on)).await?;
        let stored = state.app.engine.publish_assistant_draft(ctx, Some(draft.based_on)).await?;
        let version = stored.version;
        tracing::info!(tenant = %ctx.tenant(), version, "a draft of the assistant's settings was published");
        let location = format!("/v1/tenants/{}/assistant/versions/{version}", ctx.tenant());
        Created::at(location, &AssistantView::from(stored))
    })
    .await
}
