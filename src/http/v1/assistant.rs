//! The assistant's settings: one document with a version, changed only by who has seen it.

use actix_web::http::header::{ETAG, IF_MATCH};
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use iassistance_domain::Timestamp;
use iassistance_domain::assistant::AssistantSettingsVersion;

use super::input::Body;
use super::settings_form::{NewAssistant, SettingsView};
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

/// What is in `If-Match`, without its quotes, if the request says; `*` is anything.
pub fn if_match(request: &HttpRequest) -> Result<Option<&str>, Problem> {
    let Some(value) = request.headers().get(IF_MATCH) else { return Ok(None) };
    let text = value.to_str().unwrap_or_default().trim();
    if text == "*" {
        return Ok(None);
    }
    let tag = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    tag.filter(|tag| !tag.is_empty()).map(Some).ok_or_else(bad_tag)
}

/// The version that a change is made on, if the request says.
pub fn expected(request: &HttpRequest) -> Result<Option<u64>, Problem> {
    if_match(request)?.map(|tag| tag.parse().map_err(|_| bad_tag())).transpose()
}

fn bad_tag() -> Problem {
    Problem::bad_request("If-Match must be the ETag as it was given, for instance \"3\"")
}

fn answer(stored: AssistantSettingsVersion) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((ETAG, format!("\"{}\"", stored.version)))
        .json(AssistantView::from(stored))
}

/// The assistant's settings
#[utoipa::path(get, path = "/tenants/{tenant}/assistant", tag = "assistant", operation_id = "show_assistant",
    params(InTenant), responses((status = 200, body = AssistantView,
        headers(("ETag" = String, description = "The version, for `If-Match`"))), Problems))]
pub async fn show(
    state: web::Data<State>,
    allowed: Allowed<acts::SeeSetUp>,
    path: web::Path<InTenant>,
) -> Result<HttpResponse, Problem> {
    let stored = state.app.engine.assistant(allowed.ctx(path.tenant)?).await?;
    Ok(answer((*stored).clone()))
}

/// Change the assistant's settings
///
/// They count at once, as a new version; turns that run keep theirs. With `If-Match`, only if nobody
/// changed them meanwhile. To try settings first, save them as a draft.
#[utoipa::path(put, path = "/tenants/{tenant}/assistant", tag = "assistant", operation_id = "change_assistant",
    params(InTenant, ("If-Match" = Option<String>, Header, description = "The `ETag` that was read: 412 if it changed")),
    request_body = NewAssistant, responses((status = 200, body = AssistantView,
        headers(("ETag" = String, description = "The new version"))), Problems))]
pub async fn change(
    state: web::Data<State>,
    request: HttpRequest,
    allowed: Allowed<acts::EditAssistant>,
    path: web::Path<InTenant>,
    body: Body<NewAssistant>,
) -> Result<HttpResponse, Problem> {
    let ctx = allowed.ctx(path.tenant)?;
    let expected = expected(&request)?;
    let former = state.app.engine.assistant(ctx).await?;
    let settings = body.value.over(&former.settings, &state.app.egress)?;
    allowed.record(allowed.entry("settings.published").with("former_version", &former.version)).await?;
    // What is kept of the former settings must still be there when the new ones are stored.
    let stored = state.app.engine.put_assistant(ctx, settings, expected.or(Some(former.version))).await?;
    tracing::info!(tenant = %ctx.tenant(), version = stored.version, "the assistant's settings were changed");
    Ok(answer(stored))
}

#[cfg(test)]
mod tests {
    use actix_web::ResponseError;
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn if_match_takes_what_etag_gave() {
        let read = |value: &str| {
            let request = TestRequest::default().insert_header((IF_MATCH, value)).to_http_request();
            expected(&request).map_err(|problem| problem.status_code().as_u16())
        };
        assert_eq!(read("\"3\""), Ok(Some(3)));
        assert_eq!(read("*"), Ok(None));
        for wrong in ["3", "\"\"", "W/\"3\"", "\"-1\""] {
            assert_eq!(read(wrong), Err(400), "{wrong}");
        }
        assert_eq!(expected(&TestRequest::default().to_http_request()).ok(), Some(None));
    }
}
