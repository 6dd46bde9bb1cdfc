//! Agencies: who runs tenants for others.

use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use iassistance_domain::Timestamp;
use iassistance_domain::agency::{Agency, AgencyState};
use iassistance_domain::id::AgencyId;

use super::input::{self, Body, Query};
use super::page::Page;
use super::tag::{self, IfMatch, IfNoneMatch};
use super::view::Problems;
use crate::http::auth::{Allowed, Principal, acts};
use crate::http::idempotency::{Created, Once};
use crate::http::{Problem, State, access};

/// Which agency.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct InAgency {
    /// The agency.
    #[param(value_type = String, example = "agy_0199a8a2c4007b3e8f5d6c1b2a390817")]
    pub agency: AgencyId,
}

/// An agency.
#[derive(Serialize, ToSchema)]
#[schema(as = Agency)]
pub struct AgencyView {
    /// Its id.
    #[schema(value_type = String, example = "agy_0199a8a2c4007b3e8f5d6c1b2a390817")]
    id: AgencyId,
    /// What people call it.
    name: String,
    /// Whether its people may act.
    state: AgencyState,
    /// When it was created.
    #[schema(value_type = i64)]
    created_at: Timestamp,
}

impl From<Agency> for AgencyView {
    fn from(agency: Agency) -> Self {
        Self { id: agency.id, name: agency.name, state: agency.state, created_at: agency.created_at }
    }
}

/// An agency to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewAgency {
    /// What people call it; 1 to 120 characters.
    #[schema(example = "Studio Ada")]
    name: String,
}

/// What changes of an agency; what is left out stays as it is.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AgencyChange {
    /// What people call it; 1 to 120 characters.
    name: Option<String>,
    /// Whether its people may act. Its tenants are served either way.
    state: Option<AgencyState>,
}

/// Which agencies.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct AgenciesQuery {
    /// `next` of the page before; nothing for the first.
    cursor: Option<String>,
    /// How many items at most.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<usize>,
    /// Only those whose people may act, or may not.
    #[param(inline)]
    state: Option<AgencyState>,
}

/// Agencies that you may see
#[utoipa::path(get, path = "/agencies", tag = "agencies", operation_id = "list_agencies", params(AgenciesQuery),
    responses((status = 200, body = Page<AgencyView>), Problems))]
pub async fn list(
    state: web::Data<State>,
    allowed: Allowed<acts::SeeAgency>,
    query: Query<AgenciesQuery>,
) -> Result<web::Json<Page<AgencyView>>, Problem> {
    let mut agencies = state.app.store.people().agencies().await?;
    if let Principal::Person(person) = allowed.principal()
        && !person.account.owner
    {
        let own = access::active_agencies(&state, person).await?;
        agencies.retain(|agency| own.contains(&agency.id));
    }
    agencies.retain(|agency| query.state.is_none_or(|wanted| agency.state == wanted));
    let page = Page::of_all(query.cursor.as_deref(), query.limit, agencies, |agency| agency.id)?;
    Ok(web::Json(page.map(AgencyView::from)))
}

/// Create an agency
#[utoipa::path(post, path = "/agencies", tag = "agencies", operation_id = "create_agency",
    request_body = NewAgency,
    responses((status = 201, body = AgencyView), Problems))]
pub async fn create(
    state: web::Data<State>,
    allowed: Allowed<acts::ManageAgencies>,
    once: Once,
    body: Body<NewAgency>,
) -> Result<HttpResponse, Problem> {
    let name = input::name("name", &body.value.name)?;
    once.run(&state, &body.raw, async {
        let now = state.clock().now();
        let id = AgencyId::new(now, &**state.app.engine.entropy());
        let agency = Agency { id, name, created_at: now, state: AgencyState::Active };
        allowed.record(allowed.entry("agency.created").on(&id)).await?;
        state.app.store.people().create_agency(agency.clone()).await?;
        Created::at(format!("/v1/agencies/{id}"), &AgencyView::from(agency))
    })
    .await
}

/// One agency
#[utoipa::path(get, path = "/agencies/{agency}", tag = "agencies", operation_id = "show_agency",
    params(InAgency), responses((status = 200, body = AgencyView), Problems))]
pub async fn show(
    state: web::Data<State>,
    _allowed: Allowed<acts::SeeAgency>,
    path: web::Path<InAgency>,
    has: IfNoneMatch,
) -> Result<HttpResponse, Problem> {
    let agency = state.app.store.people().agency(path.agency).await?.ok_or_else(Problem::not_found)?;
    Ok(has.show(&tag::of(&state, &agency)?, &AgencyView::from(agency)))
}

/// Change an agency's name, suspend it, or have it go on
#[utoipa::path(put, path = "/agencies/{agency}", tag = "agencies", operation_id = "change_agency",
    params(InAgency), request_body = AgencyChange, responses((status = 200, body = AgencyView), Problems))]
pub async fn change(
    state: web::Data<State>,
    allowed: Allowed<acts::ManageAgencies>,
    path: web::Path<InAgency>,
    seen: IfMatch,
    body: Body<AgencyChange>,
) -> Result<HttpResponse, Problem> {
    let people = state.app.store.people();
    let _alone = state.changing.lock().await;
    let mut agency = people.agency(path.agency).await?.ok_or_else(Problem::not_found)?;
    seen.check(&tag::of(&state, &agency)?)?;
    if let Some(name) = &body.value.name {
        agency.name = input::name("name", name)?;
    }
    agency.state = body.value.state.unwrap_or(agency.state);
    let is = if agency.state == AgencyState::Active { "active" } else { "suspended" };
    allowed.record(allowed.entry("agency.changed").on(&agency.id).with("state", &is)).await?;
    people.put_agency(agency.clone()).await?;
    Ok(tag::tagged(&tag::of(&state, &agency)?, &AgencyView::from(agency)))
}
