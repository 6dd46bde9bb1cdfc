//! Incidents: what was reached, who is to be told by when, and that they were.

use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use iassistance_domain::account::Language;
use iassistance_domain::id::{IncidentId, TenantId};
use iassistance_domain::pii::Rights;
use iassistance_domain::privacy::{Incident, IncidentFacts, IncidentScope, Party, Suspect};
use iassistance_domain::{Pii, Timestamp};

use super::audit::ActorView;
use super::input::{Body, Query};
use super::page::{Page, PageQuery};
use super::view::Problems;
use crate::http::auth::{Allowed, acts};
use crate::http::idempotency::{Created, Once};
use crate::http::{Problem, State};
use crate::incidents::{Draft, IncidentError, NewIncident, dossier, drafts};

impl From<IncidentError> for Problem {
    fn from(error: IncidentError) -> Self {
        use iassistance_domain::privacy::IncidentProblem as Wrong;
        match error {
            IncidentError::NoSuchIncident => Self::not_found(),
            IncidentError::Storage(error) => error.into(),
            IncidentError::Problem(wrong @ (Wrong::Closed | Wrong::Untold | Wrong::ToldAlready)) => {
                Self::conflict(wrong.to_string())
            }
            error => Self::invalid(error.to_string()),
        }
    }
}

/// Which incident.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct InIncident {
    /// The incident.
    #[param(value_type = String, example = "inc_0199a8a2c4007b3e8f5d6c1b2a390817")]
    incident: IncidentId,
}

/// What is known of an incident.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "title": "A key was stolen.", "suspects": [{ "kind": "address", "address": "203.0.113.7" }],
    "from": 1_790_000_000_000_i64, "until": 1_790_086_400_000_i64,
    "facts": { "what_happened": "A key was used from an address that is not ours." }
}))]
pub struct IncidentInput {
    /// What it is called; 1 to 200 characters.
    #[schema(example = "A key was stolen.")]
    title: String,
    /// When it was known: the clocks run from there. Now, if nothing is said; of an incident that is open it is not
    /// changed any more.
    #[schema(value_type = Option<i64>)]
    known_at: Option<Timestamp>,
    /// What may have been misused; at most 50.
    #[serde(default)]
    #[schema(example = json!([{ "kind": "address", "address": "203.0.113.7" }]))]
    suspects: Vec<Suspect>,
    /// Since when.
    #[schema(value_type = i64)]
    from: Timestamp,
    /// Until when.
    #[schema(value_type = i64)]
    until: Timestamp,
    /// What is known.
    #[serde(default)]
    facts: IncidentFacts,
}

impl IncidentInput {
    fn read(self, now: Timestamp) -> NewIncident {
        let Self { title, known_at, suspects, from, until, facts } = self;
        let known_at = known_at.unwrap_or(now);
        NewIncident { title: Pii::new(title), known_at, suspects, from, until, facts }
    }
}

/// A clock of an incident.
#[derive(Serialize, ToSchema)]
#[schema(as = IncidentDuty)]
pub struct DutyView {
    /// Who is to be told.
    party: Party,
    /// Until when.
    #[schema(value_type = i64)]
    due_at: Timestamp,
    /// When they were.
    #[schema(value_type = Option<i64>)]
    told_at: Option<Timestamp>,
    /// By whom.
    told_by: Option<ActorView>,
    /// What proves it.
    proof: Option<String>,
}

/// An incident.
#[derive(Serialize, ToSchema)]
#[schema(as = Incident)]
pub struct IncidentView {
    /// Its id.
    #[schema(value_type = String)]
    id: IncidentId,
    /// What it is called.
    title: String,
    /// When it was known.
    #[schema(value_type = i64)]
    known_at: Timestamp,
    /// When it was opened here.
    #[schema(value_type = i64)]
    opened_at: Timestamp,
    /// By whom.
    opened_by: ActorView,
    /// What may have been misused.
    suspects: Vec<Suspect>,
    /// Since when.
    #[schema(value_type = i64)]
    from: Timestamp,
    /// Until when.
    #[schema(value_type = i64)]
    until: Timestamp,
    /// What is known.
    facts: IncidentFacts,
    /// Whose data was reached, once it was looked up.
    scope: Option<IncidentScope>,
    /// Who is to be told by when.
    duties: Vec<DutyView>,
    /// When it was closed.
    #[schema(value_type = Option<i64>)]
    closed_at: Option<Timestamp>,
}

impl From<Incident> for IncidentView {
    fn from(incident: Incident) -> Self {
        let duties = incident.duties.into_iter().map(|duty| {
            let told = duty.told;
            DutyView {
                party: duty.party,
                due_at: duty.due_at,
                told_at: told.as_ref().map(|told| told.at),
                told_by: told.as_ref().map(|told| told.by.into()),
                proof: told.map(|told| told.proof.into_inner(Rights)),
            }
        });
        Self {
            id: incident.id,
            title: incident.title.into_inner(Rights),
            known_at: incident.known_at,
            opened_at: incident.opened_at,
            opened_by: incident.opened_by.into(),
            suspects: incident.suspects,
            from: incident.from,
            until: incident.until,
            facts: incident.facts,
            scope: incident.scope,
            duties: duties.collect(),
            closed_at: incident.closed_at,
        }
    }
}

/// Incidents, newest first
#[utoipa::path(get, path = "/incidents", tag = "incidents", operation_id = "list_incidents", params(PageQuery),
    responses((status = 200, body = Page<IncidentView>), Problems))]
pub async fn list(
    state: web::Data<State>,
    _allowed: Allowed<acts::RotateKeys>,
    query: Query<PageQuery>,
) -> Result<web::Json<Page<IncidentView>>, Problem> {
    let (before, limit) = query.read::<IncidentId>()?;
    let found = state.app.store.leaving().incidents(before, limit + 1).await?;
    Ok(web::Json(Page::cut(found, limit, |incident| incident.id).map(IncidentView::from)))
}

/// Open an incident
///
/// Its clocks run from when it was known. Whoever owns the platform is reminded at 50, 80 and 100 % of each.
#[utoipa::path(post, path = "/incidents", tag = "incidents", operation_id = "open_incident",
    request_body = IncidentInput, responses((status = 201, body = IncidentView), Problems))]
pub async fn open(
    state: web::Data<State>,
    allowed: Allowed<acts::RotateKeys>,
    once: Once,
    body: Body<IncidentInput>,
) -> Result<HttpResponse, Problem> {
    let Body { value, raw } = body;
    let by = allowed.access().actor(allowed.principal());
    once.run(&state, &raw, async {
        let incident = state.app.incidents.open(value.read(state.clock().now()), by).await?;
        Created::at(format!("/v1/incidents/{}", incident.id), &IncidentView::from(incident))
    })
    .await
}

/// One incident
#[utoipa::path(get, path = "/incidents/{incident}", tag = "incidents", operation_id = "show_incident",
    params(InIncident), responses((status = 200, body = IncidentView), Problems))]
pub async fn show(
    state: web::Data<State>,
    _allowed: Allowed<acts::RotateKeys>,
    path: web::Path<InIncident>,
) -> Result<web::Json<IncidentView>, Problem> {
    Ok(web::Json(state.app.incidents.incident(path.incident).await?.into()))
}

/// Write down what is known of an incident by now
#[utoipa::path(put, path = "/incidents/{incident}", tag = "incidents", operation_id = "change_incident",
    params(InIncident), request_body = IncidentInput, responses((status = 200, body = IncidentView), Problems))]
pub async fn change(
    state: web::Data<State>,
    allowed: Allowed<acts::RotateKeys>,
    path: web::Path<InIncident>,
    body: Body<IncidentInput>,
) -> Result<web::Json<IncidentView>, Problem> {
    let by = allowed.access().actor(allowed.principal());
    let new = body.value.read(state.clock().now());
    Ok(web::Json(state.app.incidents.amend(path.incident, new, by).await?.into()))
}

/// Look up whose data was reached
///
/// The access log is read for what may have been misused, in the incident's period: the ids of every answer are in it.
#[utoipa::path(post, path = "/incidents/{incident}/scope", tag = "incidents", operation_id = "scope_incident",
    params(InIncident), responses((status = 200, body = IncidentView), Problems))]
pub async fn scope(
    state: web::Data<State>,
    allowed: Allowed<acts::RotateKeys>,
    path: web::Path<InIncident>,
) -> Result<web::Json<IncidentView>, Problem> {
    let by = allowed.access().actor(allowed.principal());
    Ok(web::Json(state.app.incidents.look_up(path.incident, by).await?.into()))
}

/// A letter to one party.
#[derive(Serialize, ToSchema)]
#[schema(as = IncidentDraft)]
pub struct DraftView {
    /// To whom: `meta`, `clients`, `authority` or `people`.
    party: &'static str,
    /// To which client, if to one.
    #[schema(value_type = Option<String>)]
    tenant: Option<TenantId>,
    /// Its subject.
    subject: String,
    /// What it says.
    text: String,
}

/// In which language.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct DraftsQuery {
    /// `es`, `pt` or `en`; Spanish, if nothing is said.
    #[param(inline)]
    language: Option<Language>,
}

/// Letters to each party, to be read and sent by a person
#[utoipa::path(get, path = "/incidents/{incident}/drafts", tag = "incidents", operation_id = "draft_incident",
    params(InIncident, DraftsQuery), responses((status = 200, body = Vec<DraftView>), Problems))]
pub async fn draft(
    state: web::Data<State>,
    _allowed: Allowed<acts::RotateKeys>,
    path: web::Path<InIncident>,
    query: Query<DraftsQuery>,
) -> Result<web::Json<Vec<DraftView>>, Problem> {
    let incident = state.app.incidents.incident(path.incident).await?;
    let view = |draft: Draft| {
        let Draft { party, tenant, subject, text } = draft;
        DraftView { party, tenant, subject, text }
    };
    let all = drafts(&incident, query.language.unwrap_or(Language::Es));
    Ok(web::Json(all.into_iter().map(view).collect()))
}

/// The file for the authority
#[utoipa::path(get, path = "/incidents/{incident}/dossier", tag = "incidents", operation_id = "show_dossier",
    params(InIncident), responses((status = 200, body = Object), Problems))]
pub async fn file(
    state: web::Data<State>,
    _allowed: Allowed<acts::RotateKeys>,
    path: web::Path<InIncident>,
) -> Result<HttpResponse, Problem> {
    let incident = state.app.incidents.incident(path.incident).await?;
    Ok(HttpResponse::Ok().json(dossier(&incident)))
}

/// That a party was told.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ToldInput {
    /// Who.
    party: Party,
    /// What proves it, and where that is kept; 1 to 1,000 characters.
    #[schema(example = "Mail of 12:40, folder incidents/42.")]
    proof: String,
}

/// Mark a party as told, with the proof
#[utoipa::path(post, path = "/incidents/{incident}/told", tag = "incidents", operation_id = "note_told",
    params(InIncident), request_body = ToldInput, responses((status = 200, body = IncidentView), Problems))]
pub async fn told(
    state: web::Data<State>,
    allowed: Allowed<acts::RotateKeys>,
    path: web::Path<InIncident>,
    body: Body<ToldInput>,
) -> Result<web::Json<IncidentView>, Problem> {
    let by = allowed.access().actor(allowed.principal());
    let ToldInput { party, proof } = body.value;
    Ok(web::Json(state.app.incidents.tell(path.incident, party, Pii::new(proof), by).await?.into()))
}

/// Close an incident
///
/// Once everybody was told.
#[utoipa::path(post, path = "/incidents/{incident}/close", tag = "incidents", operation_id = "close_incident",
    params(InIncident), responses((status = 200, body = IncidentView), Problems))]
pub async fn close(
    state: web::Data<State>,
    allowed: Allowed<acts::RotateKeys>,
    path: web::Path<InIncident>,
) -> Result<web::Json<IncidentView>, Problem> {
    let by = allowed.access().actor(allowed.principal());
    Ok(web::Json(state.app.incidents.close(path.incident, by).await?.into()))
}
