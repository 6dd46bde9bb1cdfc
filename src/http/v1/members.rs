//! The people of a tenant, of an agency and of the platform: who belongs, as what, and who is invited.

use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use iassistance_domain::account::{Account, AccountState, MemberOf, Membership, Role};
use iassistance_domain::id::{AccountId, AgencyId, TenantId};
use iassistance_domain::pii::TenantView;
use iassistance_domain::{Timestamp, account::MEMBERSHIPS_MAX};

use super::agencies::InAgency;
use super::input::Body;
use super::page::{Page, PageQuery};
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

async fn members(state: &State, place: MemberOf, query: &PageQuery) -> Result<Page<MemberView>, Problem> {
    let (before, limit) = query.read::<AccountId>()?;
    let found = state.app.store.people().accounts(before, limit + 1, Some(place)).await?;
    let Page { items, next } = Page::cut(found, limit, |account| account.id);
    Ok(Page { items: items.iter().filter_map(|account| MemberView::of(account, place)).collect(), next })
}

/// An account that belongs to the place.
async fn member(state: &State, place: MemberOf, id: AccountId) -> Result<Account, Problem> {
    let account = state.app.store.people().account(id).await?;
    account.filter(|account| account.membership(place).is_some()).ok_or_else(Problem::not_found)
}

/// Nobody changes what they are themselves: a slip would lock a place.
fn must_be_another<R: Right>(allowed: &Allowed<R>, account: AccountId) -> Result<(), Problem> {
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
    params(InTenant, PageQuery), responses((status = 200, body = Page<MemberView>), Problems))]
pub async fn list(
    state: web::Data<State>,
    allowed: Allowed<acts::SeePeople>,
    path: web::Path<InTenant>,
    query: web::Query<PageQuery>,
) -> Result<web::Json<Page<MemberView>>, Problem> {
    let place = MemberOf::Tenant(allowed.ctx(path.tenant)?.tenant());
    Ok(web::Json(members(&state, place, &query).await?))
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
    body: Body<MemberChange>,
) -> Result<web::Json<MemberView>, Problem> {
    let place = MemberOf::Tenant(allowed.ctx(path.tenant)?.tenant());
    let mut account = member(&state, place, path.account).await?;
    must_be_another(&allowed, path.account)?;
    let MemberChange { role, assigned_only } = body.value;
    let since = account.membership(place).map_or_else(|| state.clock().now(), |held| held.since);
    let membership = membership(place, role, assigned_only, since)?;
    let entry = allowed.entry("member.changed").on(&account.id).with("role", &role.name());
    allowed.record(entry.with("assigned_only", &assigned_only)).await?;
    account.memberships.retain(|held| held.of != place);
    account.memberships.push(membership);
    state.app.store.people().put_account(account.clone(), account.revision).await?;
    Ok(web::Json(MemberView::of(&account, place).ok_or_else(Problem::not_found)?))
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
    params(InAgency, PageQuery), responses((status = 200, body = Page<MemberView>), Problems))]
pub async fn of_agency(
    state: web::Data<State>,
    _allowed: Allowed<acts::ManageAgencyPeople>,
    path: web::Path<InAgency>,
    query: web::Query<PageQuery>,
) -> Result<web::Json<Page<MemberView>>, Problem> {
    Ok(web::Json(members(&state, MemberOf::Agency(path.agency), &query).await?))
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

/// An account, as owners of the platform see it: where it belongs, not what it does there.
#[derive(Serialize, ToSchema)]
#[schema(as = Account)]
pub struct AccountView {
    /// Its id.
    #[schema(value_type = String, example = "acc_0199a8a2c4007b3e8f5d6c1b2a390817")]
    id: AccountId,
    /// Its address.
    email: String,
    /// What its owner is called.
    name: String,
    /// Whether it owns the platform.
    owner: bool,
    /// Where it belongs.
    memberships: Vec<super::me::MembershipView>,
    /// Whether it has a second factor.
    second_factor: bool,
    /// Whether it may sign in.
    state: AccountState,
    /// When it was made.
    #[schema(value_type = i64)]
    created_at: Timestamp,
    /// When it was last signed in to.
    #[schema(value_type = Option<i64>)]
    signed_in_at: Option<Timestamp>,
}

impl From<&Account> for AccountView {
    fn from(account: &Account) -> Self {
        Self {
            id: account.id,
            email: account.email.reveal(TenantView).clone(),
            name: account.name.reveal(TenantView).clone(),
            owner: account.owner,
            memberships: account.memberships.iter().take(MEMBERSHIPS_MAX).map(Into::into).collect(),
            second_factor: account.second_factors.any(),
            state: account.state,
            created_at: account.created_at,
            signed_in_at: account.signed_in_at,
        }
    }
}

/// Which account.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct InAccount {
    /// The account.
    #[param(value_type = String, example = "acc_0199a8a2c4007b3e8f5d6c1b2a390817")]
    account: AccountId,
}

/// What becomes of an account; what is left out stays as it is.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AccountChange {
    /// Whether it may sign in. When it may not any more, its sessions end.
    state: Option<AccountState>,
    /// Whether it owns the platform.
    owner: Option<bool>,
}

/// All accounts, newest first
#[utoipa::path(get, path = "/accounts", tag = "people", operation_id = "list_accounts", params(PageQuery),
    responses((status = 200, body = Page<AccountView>), Problems))]
pub async fn accounts(
    state: web::Data<State>,
    _allowed: Allowed<acts::ManageOwners>,
    query: web::Query<PageQuery>,
) -> Result<web::Json<Page<AccountView>>, Problem> {
    let (before, limit) = query.read::<AccountId>()?;
    let found = state.app.store.people().accounts(before, limit + 1, None).await?;
    Ok(web::Json(Page::cut(found, limit, |account| account.id).map(|account| AccountView::from(&account))))
}

/// Disable an account, enable it, or change whether it owns the platform
#[utoipa::path(put, path = "/accounts/{account}", tag = "people", operation_id = "change_account",
    params(InAccount), request_body = AccountChange,
    responses((status = 200, body = AccountView), Problems))]
pub async fn change_account(
    state: web::Data<State>,
    allowed: Allowed<acts::ManageOwners>,
    path: web::Path<InAccount>,
    body: Body<AccountChange>,
) -> Result<web::Json<AccountView>, Problem> {
    let people = state.app.store.people();
    let mut account = people.account(path.account).await?.ok_or_else(Problem::not_found)?;
    must_be_another(&allowed, path.account)?;
    account.state = body.value.state.unwrap_or(account.state);
    account.owner = body.value.owner.unwrap_or(account.owner);
    let state_name = if account.is_active() { "active" } else { "disabled" };
    let entry = allowed.entry("account.changed").on(&account.id).with("state", &state_name);
    allowed.record(entry.with("owner", &account.owner)).await?;
    people.put_account(account.clone(), account.revision).await?;
    if !account.is_active() {
        people.remove_sessions_of(account.id, None).await?;
    }
    Ok(web::Json(AccountView::from(&account)))
}
