//! What people ask about their own data: cases, what is done with them, and what is handed out.

use actix_web::http::header::{CONTENT_DISPOSITION, ContentType};
use actix_web::{HttpResponse, web};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use iassistance_domain::Timestamp;
use iassistance_domain::id::{CaseId, ContactId, TenantId};
use iassistance_domain::privacy::rights::{CaseState, Opened, RightKind, RightsCase};

use super::contacts::{self, InContact};
use super::input::{self, Body, Query};
use super::page::{self, Page};
use super::rights_view::{CaseView, ConsentView, CorrectionView, How, NewCase, NewStep};
use super::tenants::InTenant;
use super::view::Problems;
use crate::http::auth::{Allowed, acts};
use crate::http::idempotency::{Created, Once};
use crate::http::public::{Speaks, data_page};
use crate::http::{Problem, State};
use crate::rights::RightsError;

/// Which case.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct InCase {
    /// The tenant.
    #[param(value_type = String)]
    tenant: TenantId,
    /// The case.
    #[param(value_type = String, example = "cas_0199a8a2c4007b3e8f5d6c1b2a390817")]
    case: CaseId,
}

/// How a case stands to its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = DueFilter)]
pub enum DueFilter {
    /// It is not over, and its time has passed.
    Overdue,
    /// It is not over, and half of its time has passed.
    Soon,
    /// It is not over.
    Open,
    /// It is over.
    Over,
}

impl DueFilter {
    fn is(self, case: &RightsCase, now: Timestamp) -> bool {
        let open = case.state.is_open();
        let whole = case.due_at.millis_since(case.received_at);
        match self {
            Self::Overdue => open && now > case.due_at,
            Self::Soon => open && now.millis_since(case.received_at) >= whole / 2,
            Self::Open => open,
            Self::Over => !open,
        }
    }
}

/// How far a case is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CaseStage {
    /// It is not proven who asks.
    Received,
    /// It is to be done.
    Verified,
    /// It was done.
    Answered,
    /// It was not, with a ground.
    Refused,
    /// It was taken back.
    Withdrawn,
    /// Nobody proved anything for too long.
    Lapsed,
}

impl From<&CaseState> for CaseStage {
    fn from(state: &CaseState) -> Self {
        match state {
            CaseState::Received => Self::Received,
            CaseState::Verified => Self::Verified,
            CaseState::Answered { .. } => Self::Answered,
            CaseState::Refused { .. } => Self::Refused,
            CaseState::Withdrawn { .. } => Self::Withdrawn,
            CaseState::Lapsed { .. } => Self::Lapsed,
        }
    }
}

/// Which cases.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct CasesQuery {
    /// `next` of the page before; nothing for the first.
    cursor: Option<String>,
    /// How many items at most.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<usize>,
    /// Only those that stand so to their time.
    #[param(inline)]
    due: Option<DueFilter>,
    /// Only those that are so far.
    #[param(inline)]
    state: Option<CaseStage>,
    /// Only those about this.
    #[param(inline)]
    right: Option<RightKind>,
    /// Only those about this contact.
    #[param(value_type = Option<String>)]
    contact: Option<ContactId>,
}

/// In which form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DataForm {
    /// For programs.
    #[default]
    Json,
    /// To be read.
    Html,
}

/// In which form and language.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct DataQuery {
    /// JSON, or a page to be read.
    #[param(inline)]
    #[serde(default)]
    form: DataForm,
    /// In which language codes are explained: `es`, `pt` or `en`.
    #[param(max_length = 2, example = "es")]
    lang: Option<String>,
}

/// What people asked about their own data, newest first
#[utoipa::path(get, path = "/tenants/{tenant}/rights", tag = "rights", operation_id = "list_rights",
    params(InTenant, CasesQuery), responses((status = 200, body = Page<CaseView>), Problems))]
pub async fn list(
    state: web::Data<State>,
    allowed: Allowed<acts::SeeRights>,
    path: web::Path<InTenant>,
    query: Query<CasesQuery>,
) -> Result<web::Json<Page<CaseView>>, Problem> {
    let (before, limit) = (page::cursor(query.cursor.as_deref())?, page::limit(query.limit)?);
    let (ctx, now) = (allowed.ctx(path.tenant)?, state.clock().now());
    let rights = state.app.store.rights();
    let wants = |case: &RightsCase| {
        query.due.is_none_or(|due| due.is(case, now))
            && query.state.is_none_or(|stage| stage == CaseStage::from(&case.state))
            && query.right.is_none_or(|right| case.kind == right)
            && query.contact.is_none_or(|contact| case.contact == contact)
    };
    let fetch = async |before, limit| Ok(rights.cases(ctx, before, limit).await?);
    let page = page::scan(before, limit, |case: &RightsCase| case.id, wants, fetch).await?;
    let is_metadata = allowed.access().is_metadata();
    Ok(web::Json(page.map(|case| shown(case, now, is_metadata))))
}

fn shown(case: RightsCase, now: Timestamp, is_metadata: bool) -> CaseView {
    let view = CaseView::of(case, now);
    if is_metadata { view.without_words() } else { view }
}

/// Open a case
///
/// For somebody who asked, or for an error that was noticed. The law's time runs from now on.
#[utoipa::path(post, path = "/tenants/{tenant}/rights", tag = "rights", operation_id = "open_right",
    params(InTenant), request_body = NewCase, responses((status = 201, body = CaseView), Problems))]
pub async fn open(
    state: web::Data<State>,
    allowed: Allowed<acts::ServeRights>,
    path: web::Path<InTenant>,
    once: Once,
    body: Body<NewCase>,
) -> Result<HttpResponse, Problem> {
    let tenant = allowed.ctx(path.tenant)?.tenant();
    let Body { value: NewCase { contact, right, how }, raw } = body;
    once.run(&state, &raw, async {
        let by = allowed.access().actor(allowed.principal());
        let opened = match how {
            How::Staff => Opened::Staff { by },
            How::Noticed => Opened::Noticed { by },
        };
        let case = match state.app.registrar.open(tenant, contact, right, opened).await {
            Err(RightsError::NoSuchContact) => {
                return Err(Problem::invalid("`contact`: one of the tenant's contacts"));
            }
            other => other?,
        };
        let location = format!("/v1/tenants/{tenant}/rights/{}", case.id);
        Created::at(Some(location), &CaseView::of(case, state.clock().now()))
    })
    .await
}

/// One case
#[utoipa::path(get, path = "/tenants/{tenant}/rights/{case}", tag = "rights", operation_id = "show_right",
    params(InCase), responses((status = 200, body = CaseView), Problems))]
pub async fn show(
    state: web::Data<State>,
    allowed: Allowed<acts::SeeRights>,
    path: web::Path<InCase>,
) -> Result<web::Json<CaseView>, Problem> {
    let tenant = allowed.ctx(path.tenant)?.tenant();
    let case = state.app.registrar.case(tenant, path.case).await?;
    Ok(web::Json(shown(case, state.clock().now(), allowed.access().is_metadata())))
}

/// Do something with a case
///
/// Nothing is done for who did not prove who they are, and nothing is answered that was not done.
#[utoipa::path(post, path = "/tenants/{tenant}/rights/{case}/steps", tag = "rights",
    operation_id = "step_right",
    params(InCase), request_body = NewStep, responses((status = 200, body = CaseView), Problems))]
pub async fn step(
    state: web::Data<State>,
    allowed: Allowed<acts::ServeRights>,
    path: web::Path<InCase>,
    body: Body<NewStep>,
) -> Result<web::Json<CaseView>, Problem> {
    let tenant = allowed.ctx(path.tenant)?.tenant();
    let by = allowed.access().actor(allowed.principal());
    let case = state.app.registrar.act(tenant, path.case, body.value.into(), by).await?;
    Ok(web::Json(CaseView::of(case, state.clock().now())))
}

/// All that is held about the person of a case
///
/// As JSON, or as a page to be read, with what codes mean and who got data. Nothing of anybody else is in it. It is
/// theirs: hand it to nobody who did not prove who they are.
#[utoipa::path(get, path = "/tenants/{tenant}/rights/{case}/data", tag = "rights",
    operation_id = "show_right_data",
    params(InCase, DataQuery), responses((status = 200, body = Object), Problems))]
pub async fn data(
    state: web::Data<State>,
    allowed: Allowed<acts::ExportSubject>,
    path: web::Path<InCase>,
    query: Query<DataQuery>,
) -> Result<HttpResponse, Problem> {
    let tenant = allowed.ctx(path.tenant)?.tenant();
    let language = input::language(query.lang.as_deref())?;
    let case = state.app.registrar.case(tenant, path.case).await?;
    allowed.record(allowed.entry("subject.exported").on(&case.contact).with("case", &case.id)).await?;
    let bundle = match state.app.registrar.bundle(tenant, case.contact, language).await {
        Err(RightsError::NoSuchContact) => return Err(Problem::not_found()),
        other => other?,
    };
    let mut answer = HttpResponse::Ok();
    if query.form == DataForm::Html {
        let html = data_page(&state, Speaks(language), &bundle).html();
        return Ok(answer.content_type(ContentType::html()).body(html));
    }
    let name = format!("attachment; filename=\"{}.json\"", case.id);
    Ok(answer.insert_header((CONTENT_DISPOSITION, name)).json(bundle.json()))
}

/// What a contact agreed to or refused, oldest first
#[utoipa::path(get, path = "/tenants/{tenant}/contacts/{contact}/consents", tag = "rights",
    operation_id = "list_consents", params(InContact), responses((status = 200, body = Vec<ConsentView>), Problems))]
pub async fn consents(
    state: web::Data<State>,
    allowed: Allowed<acts::ReadContent>,
    path: web::Path<InContact>,
) -> Result<HttpResponse, Problem> {
    let (ctx, _) = contacts::seen(&state, &allowed, &path).await?;
    let found = state.app.store.rights().consents(ctx, path.contact).await?;
    allowed.access().show(&found.into_iter().map(ConsentView::from).collect::<Vec<_>>())
}

/// What was corrected of a contact, oldest first
#[utoipa::path(get, path = "/tenants/{tenant}/contacts/{contact}/corrections", tag = "rights",
    operation_id = "list_corrections", params(InContact),
    responses((status = 200, body = Vec<CorrectionView>), Problems))]
pub async fn corrections(
    state: web::Data<State>,
    allowed: Allowed<acts::ReadContent>,
    path: web::Path<InContact>,
) -> Result<HttpResponse, Problem> {
    let (ctx, contact) = contacts::seen(&state, &allowed, &path).await?;
    if !contact.standing.may_be_used() {
        return Err(Problem::not_found());
    }
    let found = state.app.store.rights().contact_versions(ctx, path.contact).await?;
    allowed.access().show(&found.into_iter().map(CorrectionView::from).collect::<Vec<_>>())
}
