//! The people of a tenant, of an agency and of the platform: who belongs, as what, and who is invited.

use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use iassistance_domain::Timestamp;
use iassistance_domain::account::{Account, AccountState, MemberOf, Membership, Role};
use iassistance_domain::id::{AccountId, AgencyId, TenantId};
use iassistance_domain::pii::TenantView;

use super::agencies::InAgency;
use super::input::{Body, Query};
use super::page::{self, Page};
use super::tag::{self, IfMatch, IfNoneMatch};
use super::tenants::InTenant;
use super::view::Problems;
use crate::http::auth::{Allowed, Right, acts};
use crate::http::{Problem, State};

/// Which member of a tenant.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct InMember {
    /// The tenant.
    #[param(value_type = String)]
    tenant: TenantId,
    /// Their account.
    #[param(value_type = String, example = "acc_0199a8a2c4007b3e8f5d6c1b2a390817")]
    account: AccountId,
}

/// Which member of an agency.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct InAgencyMember {
    /// The agency.
    #[param(value_type = String)]
    agency: AgencyId,
    /// Their account.
    #[param(value_type = String, example = "acc_0199a8a2c4007b3e8f5d6c1b2a390817")]
    account: AccountId,
}

/// Somebody who belongs to a place.
#[derive(Serialize, ToSchema)]
#[schema(as = Member)]
pub struct MemberView {
    /// Their account.
    #[schema(value_type = String, example = "acc_0199a8a2c4007b3e8f5d6c1b2a390817")]
    account: AccountId,
    /// Their address.
    email: String,
    /// What they are called.
    name: String,
    /// As what they belong.
    role: Role,
    /// Whether they see and act on conversations that are assigned to them alone.
    assigned_only: bool,
    /// Since when.
    #[schema(value_type = i64)]
    since: Timestamp,
    /// Whether they have a second factor.
    second_factor: bool,
    /// Whether they may sign in.
    state: AccountState,
    /// When they last signed in.
    #[schema(value_type = Option<i64>)]
    signed_in_at: Option<Timestamp>,
}

impl MemberView {
    fn of(account: &Account, place: MemberOf) -> Option<Self> {
        let Membership { role, assigned_only, since, .. } = account.membership(place)?.clone();
        Some(Self {
            account: account.id,
            email: account.email.reveal(TenantView).clone(),
            name: account.name.reveal(TenantView).clone(),
            role,
            assigned_only,
            since,
            second_factor: account.second_factors.any(),
            state: account.state,
            signed_in_at: account.signed_in_at,
        })
    }
}

/// What somebody is from now on.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MemberChange {
    /// `tenant_admin`, `operator` or `viewer`.
    pub(super) role: Role,
    /// Operators and viewers: whether they see and act on conversations that are assigned to them alone.
    #[serde(default)]
    pub(super) assigned_only: bool,
}

/// A role that a place has.
pub(super) fn membership(
    of: MemberOf,
    role: Role,
    assigned_only: bool,
    since: Timestamp,
) -> Result<Membership, Problem> {
    let membership = Membership { of, role, assigned_only, since };
    if !membership.is_sound() {
        return Err(Problem::invalid("`role`: people of a tenant are tenant_admin, operator or viewer"));
    }
    if assigned_only && !matches!(role, Role::Operator | Role::Viewer) {
        return Err(Problem::invalid("`assigned_only`: only operators and viewers can be limited so"));
    }
    Ok(membership)
}

/// Which members.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct MembersQuery {
    /// `next` of the page before; nothing for the first.
    cursor: Option<String>,
    /// How many items at most.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<usize>,
    /// Only those who belong as this.
    #[param(inline)]
    role: Option<Role>,
    /// Only those who may sign in, or may not.
    #[param(inline)]
    state: Option<AccountState>,
}

async fn members(state: &State, place: MemberOf, query: &MembersQuery) -> Result<Page<MemberView>, Problem> {
    let (before, limit) = (page::cursor(query.cursor.as_deref())?, page::limit(query.limit)?);
    let people = state.app.store.people();
    let wants = |account: &Account| {
        let role = account.membership(place).map(|held| held.role);
        query.role.is_none_or(|wanted| role == Some(wanted))
            && query.state.is_none_or(|wanted| account.state == wanted)
    };
    let fetch = async |before, limit| Ok(people.accounts(before, limit, Some(place)).await?);
    let found = page::scan(before, limit, |account: &Account| account.id, wants, fetch).await?;
    let Page { items, next } = found;
    Ok(Page { items: items.iter().filter_map(|account| MemberView::of(account, place)).collect(), next })
}

/// An account that belongs to the place.
async fn member(state: &State, place: MemberOf, id: AccountId) -> Result<Account, Problem> {
    state.app.store.people().member(place, id).await?.ok_or_else(Problem::not_found)
}

/// Somebody who belongs to a place, with their tag.
fn shown(state: &State, account: &Account, place: MemberOf) -> Result<(String, MemberView), Problem> {
    let view = MemberView::of(account, place).ok_or_else(Problem::not_found)?;
    tag::whole(state, &account.membership(place), view)
}

/// Nobody changes what they are themselves: a slip would lock a place.
pub(super) fn must_be_another<R: Right>(allowed: &Allowed<R>, account: AccountId) -> Result<(), Problem> {
    if allowed.person()?.account.id == account {
        return Err(Problem::conflict("nobody changes their own role: have another administrator do it"));
    }
    Ok(())
}

async fn remove<R: Right>(
    state: &State,
    allowed: &Allowed<R>,
    place: MemberOf,
    id: AccountId,
) -> Result<HttpResponse, Problem> {
    let mut account = member(state, place, id).await?;
    must_be_another(allowed, id)?;
    allowed.record(allowed.entry("member.removed").on(&id)).await?;
    account.memberships.retain(|membership| membership.of != place);
    state.app.store.people().put_account(account.clone(), account.revision).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// The people of a tenant, newest first
#[utoipa::path(get, path = "/tenants/{tenant}/members", tag = "people", operation_id = "list_members",
    params(InTenant, MembersQuery), responses((status = 200, body = Page<MemberView>), Problems))]
pub async fn list(
    state: web::Data<State>,
    allowed: Allowed<acts::SeePeople>,
    path: web::Path<InTenant>,
    query: Query<MembersQuery>,
) -> Result<web::Json<Page<MemberView>>, Problem> {
    let place = MemberOf::Tenant(allowed.ctx(path.tenant)?.tenant());
    Ok(web::Json(members(&state, place, &query).await?))
}

/// One of the people of a tenant
#[utoipa::path(get, path = "/tenants/{tenant}/members/{account}", tag = "people", operation_id = "show_member",
    params(InMember), responses((status = 200, body = MemberView), Problems))]
pub async fn show(
    state: web::Data<State>,
    allowed: Allowed<acts::SeePeople>,
    path: web::Path<InMember>,
    has: IfNoneMatch,
) -> Result<HttpResponse, Problem> {
    let place = MemberOf::Tenant(allowed.ctx(path.tenant)?.tenant());
    let (tag, view) = shown(&state, &member(&state, place, path.account).await?, place)?;
    Ok(has.show(&tag, &view))
}

/// Change what somebody is in a tenant
///
/// It counts within a second, also for what they have open.
#[utoipa::path(put, path = "/tenants/{tenant}/members/{account}", tag = "people",
    operation_id = "change_member", params(InMember), request_body = MemberChange,
    responses((status = 200, body = MemberView), Problems))]
pub async fn change(
    state: web::Data<State>,
    allowed: Allowed<acts::ManagePeople>,
    path: web::Path<InMember>,
    seen: IfMatch,
    body: Body<MemberChange>,
) -> Result<HttpResponse, Problem> {
    let place = MemberOf::Tenant(allowed.ctx(path.tenant)?.tenant());
    let mut account = member(&state, place, path.account).await?;
    must_be_another(&allowed, path.account)?;
    seen.check_set(&state, &account.membership(place))?;
    let MemberChange { role, assigned_only } = body.value;
    let since = account.membership(place).map_or_else(|| state.clock().now(), |held| held.since);
    let membership = membership(place, role, assigned_only, since)?;
    let entry = allowed.entry("member.changed").on(&account.id).with("role", &role.name());
    allowed.record(entry.with("assigned_only", &assigned_only)).await?;
    account.memberships.retain(|held| held.of != place);
    account.memberships.push(membership);
    state.app.store.people().put_account(account.clone(), account.revision).await?;
    let (tag, view) = shown(&state, &account, place)?;
    Ok(tag::tagged(&tag, &view))
}

/// Let somebody go from a tenant
///
/// Their account stays, and where else they belong.
#[utoipa::path(delete, path = "/tenants/{tenant}/members/{account}", tag = "people",
    operation_id = "remove_member", params(InMember),
    responses((status = 204, description = "They do not belong any more"), Problems))]
pub async fn remove_from_tenant(
    state: web::Data<State>,
    allowed: Allowed<acts::ManagePeople>,
    path: web::Path<InMember>,
) -> Result<HttpResponse, Problem> {
    let place = MemberOf::Tenant(allowed.ctx(path.tenant)?.tenant());
    remove(&state, &allowed, place, path.account).await
}

/// The people of an agency, newest first
#[utoipa::path(get, path = "/agencies/{agency}/members", tag = "agencies", operation_id = "list_agency_members",
    params(InAgency, MembersQuery), responses((status = 200, body = Page<MemberView>), Problems))]
pub async fn of_agency(
    state: web::Data<State>,
    _allowed: Allowed<acts::ManageAgencyPeople>,
    path: web::Path<InAgency>,
    query: Query<MembersQuery>,
) -> Result<web::Json<Page<MemberView>>, Problem> {
    Ok(web::Json(members(&state, MemberOf::Agency(path.agency), &query).await?))
}

/// One of the people of an agency
#[utoipa::path(get, path = "/agencies/{agency}/members/{account}", tag = "agencies",
    operation_id = "show_agency_member", params(InAgencyMember),
    responses((status = 200, body = MemberView), Problems))]
pub async fn show_of_agency(
    state: web::Data<State>,
    _allowed: Allowed<acts::ManageAgencyPeople>,
    path: web::Path<InAgencyMember>,
) -> Result<web::Json<MemberView>, Problem> {
    let place = MemberOf::Agency(path.agency);
    let account = member(&state, place, path.account).await?;
    Ok(web::Json(MemberView::of(&account, place).ok_or_else(Problem::not_found)?))
}

/// Let somebody go from an agency
#[utoipa::path(delete, path = "/agencies/{agency}/members/{account}", tag = "agencies",
    operation_id = "remove_agency_member", params(InAgencyMember),
    responses((status = 204, description = "They do not belong any more"), Problems))]
pub async fn remove_from_agency(
    state: web::Data<State>,
    allowed: Allowed<acts::ManageAgencyPeople>,
    path: web::Path<InAgencyMember>,
) -> Result<HttpResponse, Problem> {
    remove(&state, &allowed, MemberOf::Agency(path.agency), path.account).await
}
