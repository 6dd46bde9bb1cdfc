//! What a tenant tells its own end users about their data.

use actix_web::{HttpRequest, web};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use iassistance_domain::account::Language;

use super::input;
use super::input::Query;
use super::tenants::{self, InTenant};
use super::view::Problems;
use crate::http::auth::{Allowed, acts};
use crate::http::public::REQUEST_PATH;
use crate::http::public::clients::{Known, notice};
use crate::http::public::providers::in_use;
use crate::http::{Problem, State};

/// In which language.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct NoticeQuery {
    /// `es`, `pt` or `en`; Spanish, if left out.
    #[param(max_length = 2, example = "es")]
    lang: Option<String>,
}

/// The text of a notice.
#[derive(Serialize, ToSchema)]
#[schema(as = Notice)]
pub struct NoticeView {
    /// In which language it is.
    #[schema(value_type = String, example = "es")]
    language: Language,
    /// The text, as Markdown. What only the tenant can say stands in brackets.
    #[schema(example = "# Aviso de privacidad\n…")]
    text: String,
}

/// The privacy notice for a tenant's end users
///
/// A draft to publish where they find it, made of what counts now: its name, the providers that receive data, the periods
/// that it chose, people's rights, and the words that the authority requires. Its address and contact it adds itself.
#[utoipa::path(get, path = "/tenants/{tenant}/notice", tag = "privacy", operation_id = "draft_notice",
    params(InTenant, NoticeQuery), responses((status = 200, body = NoticeView), Problems))]
pub async fn draft(
    state: web::Data<State>,
    allowed: Allowed<acts::SeeSetUp>,
    path: web::Path<InTenant>,
    query: Query<NoticeQuery>,
    request: HttpRequest,
) -> Result<web::Json<NoticeView>, Problem> {
    let language = input::language(query.lang.as_deref())?;
    let ctx = allowed.ctx(path.tenant)?;
    let settings = &state.app.settings;
    let chosen = state.app.store.keeping().retention(ctx).await?;
    let tenant = tenants::record(&state, ctx).await?;
    let (_, _, providers) = in_use(settings).await?;
    let known = Known {
        name: &tenant.name,
        providers: &providers,
        periods: (state.app.keeper.rules(), &chosen),
        model_keeps_days: settings.privacy.model_keeps_days,
        page: &format!("{}{REQUEST_PATH}", state.door.own_url(&request)),
    };
    Ok(web::Json(NoticeView { language, text: notice(&known, language) }))
}
