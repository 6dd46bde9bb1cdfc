//! The assistant's settings: one document with a version, changed only by who has seen it.

use actix_web::http::header::{ETAG, IF_MATCH};
use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Serialize};
use url::Url;
use utoipa::ToSchema;

use iassistance_domain::assistant::{AssistantSettings, AssistantSettingsVersion};
use iassistance_egress::{Destination, Egress};

use super::input::{self, Body, Given};
use super::tenants::InTenant;
use super::view::Problems;
use crate::http::auth::{Allowed, Manage, SetUp};
use crate::http::{Problem, State};

/// The assistant's settings as they count now; the version is the `ETag` too.
#[derive(Serialize, ToSchema)]
#[schema(as = Assistant)]
pub struct AssistantView {
    /// Counts up with every change; 0 for the platform's defaults.
    version: u64,
    /// Whether it answers at all.
    enabled: bool,
    /// The business task that it is bound to.
    task: String,
    /// How it should answer.
    instructions: String,
    /// The model; `null` for the platform's.
    model: Option<String>,
    /// 0.0 to 2.0; `null` for the model's own.
    temperature: Option<f32>,
    /// The model server; `null` for the platform's.
    base_url: Option<String>,
    /// Whether there is a key of the tenant's own for that server.
    has_api_key: bool,
    /// How long a contact must be quiet before they are answered, milliseconds.
    quiet_ms: u64,
    /// The longest that an answer is held back while more comes in, milliseconds.
    cap_ms: u64,
    /// The longest answer, in tokens.
    output_tokens_max: u32,
    /// The longest prompt, in tokens.
    prompt_tokens_max: u32,
    /// What is sent when no answer could be had.
    fallback_text: String,
}

impl From<&AssistantSettingsVersion> for AssistantView {
    fn from(stored: &AssistantSettingsVersion) -> Self {
        let AssistantSettingsVersion { version, settings } = stored;
        let settings = settings.clone();
        Self {
            version: *version,
            enabled: settings.enabled,
            task: settings.task,
            instructions: settings.instructions,
            model: settings.model,
            temperature: settings.temperature,
            base_url: settings.base_url,
            has_api_key: settings.api_key.is_some(),
            quiet_ms: settings.quiet_ms,
            cap_ms: settings.cap_ms,
            output_tokens_max: settings.output_tokens_max,
            prompt_tokens_max: settings.prompt_tokens_max,
            fallback_text: settings.fallback_text,
        }
    }
}

/// The assistant's settings, whole.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewAssistant {
    /// Whether it answers at all.
    enabled: bool,
    /// The business task that it is bound to, in a sentence; at most 500 characters. Without one it
    /// cannot be enabled.
    task: String,
    /// How it should answer; at most 20,000 characters.
    instructions: String,
    /// The model, as its server names it; `null` for the platform's. At most 120 characters.
    model: Option<String>,
    /// 0.0 to 2.0; `null` for the model's own.
    temperature: Option<f32>,
    /// An OpenAI-compatible server that the platform allows; `null` for the platform's.
    base_url: Option<String>,
    /// The key for that server. Left out, the former stays; `null` removes it. Never shown again.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    api_key: Given<String>,
    /// How long a contact must be quiet before they are answered, milliseconds, 0 to 60,000.
    quiet_ms: u64,
    /// The longest that an answer is held back while more comes in, milliseconds, up to 300,000.
    cap_ms: u64,
    /// The longest answer, in tokens, 1 to 16,000.
    output_tokens_max: u32,
    /// The longest prompt, in tokens, 500 to 1,000,000.
    prompt_tokens_max: u32,
    /// What is sent when no answer could be had; empty: nothing. At most 4,096 characters.
    fallback_text: String,
}

impl NewAssistant {
    /// The settings that these make of the former ones, checked.
    fn over(self, former: &AssistantSettings, egress: &Egress) -> Result<AssistantSettings, Problem> {
        let moved = self.base_url != former.base_url;
        let api_key = match self.api_key {
            Given::Value(key) => Some(input::secret("api_key", key)?),
            Given::Null => None,
            // A key that can be sent somewhere else unseen can be read there.
            Given::Absent if moved && former.api_key.is_some() => {
                return Err(Problem::invalid(
                    "`api_key` must be given again, or be null, when `base_url` changes: the former key was for the \
                     former server",
                ));
            }
            Given::Absent => former.api_key.clone(),
        };
        if let Some(base_url) = &self.base_url {
            check_base_url(base_url, egress)?;
        }
        let settings = AssistantSettings {
            enabled: self.enabled,
            task: self.task,
            instructions: self.instructions,
            model: self.model.map(|model| input::name("model", &model)).transpose()?,
            temperature: self.temperature,
            base_url: self.base_url,
            api_key,
            quiet_ms: self.quiet_ms,
            cap_ms: self.cap_ms,
            output_tokens_max: self.output_tokens_max,
            prompt_tokens_max: self.prompt_tokens_max,
            fallback_text: self.fallback_text,
        };
        settings.validate().map_err(|error| Problem::invalid(error.to_string()))?;
        Ok(settings)
    }
}

fn check_base_url(text: &str, egress: &Egress) -> Result<(), Problem> {
    let url: Url = text
        .parse()
        .map_err(|_| Problem::invalid("`base_url` must be an address like https://api.openai.com/v1"))?;
    if text.len() > 2_000 || url.query().is_some() || url.fragment().is_some() {
        return Err(Problem::invalid(
            "`base_url` must be an address without query and fragment, at most 2,000 characters",
        ));
    }
    let listed = egress.client_for(Destination::Model, &url);
    listed.map(drop).map_err(|error| Problem::invalid(format!("`base_url`: {error}")))
}

/// The version that a change is made on, if the request says; `*` is any.
fn expected(request: &HttpRequest) -> Result<Option<u64>, Problem> {
    let Some(value) = request.headers().get(IF_MATCH) else { return Ok(None) };
    let text = value.to_str().unwrap_or_default().trim();
    if text == "*" {
        return Ok(None);
    }
    let version =
        text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).and_then(|text| text.parse().ok());
    version
        .map(Some)
        .ok_or_else(|| Problem::bad_request("If-Match must be the ETag as it was given, for instance \"3\""))
}

fn answer(stored: &AssistantSettingsVersion) -> HttpResponse {
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
    allowed: Allowed<SetUp>,
    path: web::Path<InTenant>,
) -> Result<HttpResponse, Problem> {
    Ok(answer(&*state.app.engine.assistant(allowed.ctx(path.tenant)?).await?))
}

/// Change the assistant's settings
///
/// Turns that run keep theirs. With `If-Match`, only if nobody changed them meanwhile.
#[utoipa::path(put, path = "/tenants/{tenant}/assistant", tag = "assistant", operation_id = "change_assistant",
    params(InTenant, ("If-Match" = Option<String>, Header, description = "The `ETag` that was read: 412 if it changed")),
    request_body = NewAssistant, responses((status = 200, body = AssistantView,
        headers(("ETag" = String, description = "The new version"))), Problems))]
pub async fn change(
    state: web::Data<State>,
    request: HttpRequest,
    allowed: Allowed<Manage>,
    path: web::Path<InTenant>,
    body: Body<NewAssistant>,
) -> Result<HttpResponse, Problem> {
    let ctx = allowed.ctx(path.tenant)?;
    let expected = expected(&request)?;
    let former = state.app.engine.assistant(ctx).await?;
    let settings = body.value.over(&former.settings, &state.app.egress)?;
    // What is kept of the former settings must still be there when the new ones are stored.
    let stored = state.app.engine.put_assistant(ctx, settings, expected.or(Some(former.version))).await?;
    tracing::info!(tenant = %ctx.tenant(), version = stored.version, "the assistant's settings were changed");
    Ok(answer(&stored))
}

#[cfg(test)]
#[path = "assistant_tests.rs"]
mod tests;
