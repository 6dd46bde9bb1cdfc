//! Tenants: list, create, show, change, suspend, close.

use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use iassistance_domain::audit::AuditEntry;
use iassistance_domain::id::{AgencyId, TenantId};
use iassistance_domain::tenant::{Tenant, TenantCtx, TenantState};
use iassistance_domain::{Pii, Timestamp};

use super::input::{self, Body, Query};
use super::page::Page;
use super::tag::{self, IfMatch, IfNoneMatch};
use super::view::Problems;
use crate::http::auth::{Allowed, Person, Principal, acts};
use crate::http::idempotency::{Created, Once};
use crate::http::{Problem, State, access};

/// Which tenant.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct InTenant {
    /// The tenant.
    #[param(value_type = String, example = "ten_0199a8a2c4007b3e8f5d6c1b2a390817")]
    pub tenant: TenantId,
}

/// A client of the platform.
#[derive(Serialize, ToSchema)]
#[schema(as = Tenant)]
pub struct TenantView {
    /// Its id.
    #[schema(value_type = String, example = "ten_0199a8a2c4007b3e8f5d6c1b2a390817")]
    id: TenantId,
    /// What people call it.
    name: String,
    /// When it was created.
    #[schema(value_type = i64)]
    created_at: Timestamp,
    /// The agency that runs it, if one does.
    #[schema(value_type = Option<String>)]
    agency: Option<AgencyId>,
    /// `active`, `suspended` (what comes in is kept, and nobody answers) or `closed` (no address leads to it).
    state: &'static str,
    /// Since when it is not active.
    #[schema(value_type = Option<i64>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<Timestamp>,
    /// Why it is suspended.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// Whether its agency may read what people write.
    agency_reads: bool,
}

impl From<Tenant> for TenantView {
    fn from(tenant: Tenant) -> Self {
        let state = tenant.state.name();
        let (since, reason) = match tenant.state {
            TenantState::Active => (None, None),
            TenantState::Suspended { since, reason } => (Some(since), Some(reason)),
            TenantState::Closed { since } => (Some(since), None),
        };
        let Tenant { id, name, created_at, agency, agency_reads, .. } = tenant;
        Self { id, name, created_at, agency, state, since, reason, agency_reads }
    }
}

/// A tenant to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewTenant {
    /// What people call it; 1 to 120 characters.
    #[schema(example = "Bakery Ada")]
    name: String,
    /// The agency that runs it. For an agency's people one of their own, which may be left out where they
    /// have but one.
    #[schema(value_type = Option<String>)]
    agency: Option<AgencyId>,
}

/// What changes of a tenant; what is left out stays as it is.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TenantChange {
    /// What people call it; 1 to 120 characters.
    name: Option<String>,
}

/// Why a tenant is suspended.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Suspension {
    /// In words that its people are shown; 1 to 120 characters.
    #[schema(example = "The invoice of May is open.")]
    reason: String,
}

/// Whether an agency may read along.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AgencyReading {
    /// Whether it may.
    allowed: bool,
}

/// Which tenants.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct TenantsQuery {
    /// `next` of the page before; nothing for the first.
    cursor: Option<String>,
    /// How many items at most.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<usize>,
    /// Only those in this state.
    #[param(inline)]
    state: Option<StateFilter>,
    /// Only those of this agency.
    #[param(value_type = Option<String>)]
    agency: Option<AgencyId>,
}

/// The state of a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StateFilter {
    /// It is served.
    Active,
    /// What comes in is kept, and nobody answers.
    Suspended,
    /// No address leads to it.
    Closed,
}

impl StateFilter {
    const fn is(self, state: &TenantState) -> bool {
        matches!(
            (self, state),
            (Self::Active, TenantState::Active)
                | (Self::Suspended, TenantState::Suspended { .. })
                | (Self::Closed, TenantState::Closed { .. })
        )
    }
}

/// Tenants that you may see
///
/// All of them for an owner or a key of the platform; for others those of their agencies and those that they
/// belong to.
#[utoipa::path(get, path = "/tenants", tag = "tenants", operation_id = "list_tenants",
    params(TenantsQuery), responses((status = 200, body = Page<TenantView>), Problems))]
pub async fn list(
    state: web::Data<State>,
    allowed: Allowed<acts::ListTenants>,
    query: Query<TenantsQuery>,
) -> Result<web::Json<Page<TenantView>>, Problem> {
    let mut tenants = state.app.store.tenants().await?;
    if let Principal::Person(person) = allowed.principal()
        && !person.account.owner
    {
        let agencies = access::active_agencies(&state, person).await?;
        let belongs = |id| person.tenants().any(|own| own == id);
        let runs = |agency: Option<AgencyId>| agency.is_some_and(|agency| agencies.contains(&agency));
        tenants.retain(|tenant| belongs(tenant.id) || runs(tenant.agency));
    }
    tenants.retain(|tenant| {
        query.state.is_none_or(|wanted| wanted.is(&tenant.state))
            && query.agency.is_none_or(|agency| tenant.agency == Some(agency))
    });
    let page = Page::of_all(query.cursor.as_deref(), query.limit, tenants, |tenant| tenant.id)?;
    Ok(web::Json(page.map(TenantView::from)))
}

/// Create a tenant
#[utoipa::path(post, path = "/tenants", tag = "tenants", operation_id = "create_tenant",
    request_body = NewTenant,
    responses((status = 201, body = TenantView), Problems))]
pub async fn create(
    state: web::Data<State>,
    allowed: Allowed<acts::CreateTenant>,
    once: Once,
    body: Body<NewTenant>,
) -> Result<HttpResponse, Problem> {
    let name = input::name("name", &body.value.name)?;
    let agency = agency_of_new(&state, allowed.person()?, body.value.agency).await?;
    once.run(&state, &body.raw, async {
        let now = state.clock().now();
        let id = TenantId::new(now, &**state.app.engine.entropy());
        let tenant = Tenant { agency, ..Tenant::new(id, name, now) };
        // It has no log of its own yet.
        let mut entry = allowed.entry("tenant.created").on(&id);
        if let Some(agency) = agency {
            entry = entry.with("agency", &agency);
        }
        allowed.record(entry).await?;
        state.app.store.create_tenant(tenant.clone()).await?;
        tracing::info!(tenant = %tenant.id, "a tenant was created");
        Created::at(format!("/v1/tenants/{}", tenant.id), &TenantView::from(tenant))
    })
    .await
}

/// One tenant
#[utoipa::path(get, path = "/tenants/{tenant}", tag = "tenants", operation_id = "show_tenant",
    params(InTenant), responses((status = 200, body = TenantView), Problems))]
pub async fn show(
    state: web::Data<State>,
    allowed: Allowed<acts::SeeSetUp>,
    path: web::Path<InTenant>,
    has: IfNoneMatch,
) -> Result<HttpResponse, Problem> {
    let tenant = record(&state, allowed.ctx(path.tenant)?).await?;
    Ok(has.show(&tag::of(&state, &tenant)?, &TenantView::from(tenant)))
}

pub(super) async fn record(state: &State, ctx: TenantCtx) -> Result<Tenant, Problem> {
    state.app.store.people().tenant_record(ctx.tenant()).await?.ok_or_else(Problem::not_found)
}

/// A tenant's record, which is still the one that was seen.
async fn seen_record(state: &State, ctx: TenantCtx, seen: &IfMatch) -> Result<Tenant, Problem> {
    let tenant = record(state, ctx).await?;
    seen.check(&tag::of(state, &tenant)?)?;
    Ok(tenant)
}

/// The agency of a new tenant.
async fn agency_of_new(
    state: &State,
    person: &Person,
    asked: Option<AgencyId>,
) -> Result<Option<AgencyId>, Problem> {
    let unknown = || Problem::invalid("`agency` must be the id of an agency that you may act for");
    if person.account.owner {
        return match asked {
            Some(id) if state.app.store.people().agency(id).await?.is_none() => Err(unknown()),
            asked => Ok(asked),
        };
    }
    let own = access::active_agencies(state, person).await?;
    match (asked, &own[..]) {
        (None, [only]) => Ok(Some(*only)),
        (Some(asked), own) if own.contains(&asked) => Ok(Some(asked)),
        _ => Err(unknown()),
    }
}

/// Keeps a tenant's record as it is now, and shows it.
async fn put(state: &State, tenant: Tenant) -> Result<HttpResponse, Problem> {
    state.app.store.people().put_tenant(tenant.clone()).await?;
    Ok(tag::tagged(&tag::of(state, &tenant)?, &TenantView::from(tenant)))
}

/// Change a tenant's name
#[utoipa::path(put, path = "/tenants/{tenant}", tag = "tenants", operation_id = "change_tenant",
    params(InTenant), request_body = TenantChange, responses((status = 200, body = TenantView), Problems))]
pub async fn change(
    state: web::Data<State>,
    allowed: Allowed<acts::ChangeTenant>,
    path: web::Path<InTenant>,
    seen: IfMatch,
    body: Body<TenantChange>,
) -> Result<HttpResponse, Problem> {
    let _alone = state.changing.lock().await;
    let mut tenant = seen_record(&state, allowed.ctx(path.tenant)?, &seen).await?;
    if let Some(name) = &body.value.name {
        tenant.name = input::name("name", name)?;
    }
    allowed.record(allowed.entry("tenant.changed").on(&tenant.id).with("fields", &"name")).await?;
    put(&state, tenant).await
}

/// Suspend a tenant
///
/// What comes in is accepted and kept; neither the assistant nor a person answers until it goes on.
#[utoipa::path(post, path = "/tenants/{tenant}/suspend", tag = "tenants", operation_id = "suspend_tenant",
    params(InTenant), request_body = Suspension, responses((status = 200, body = TenantView), Problems))]
pub async fn suspend(
    state: web::Data<State>,
    allowed: Allowed<acts::SuspendTenant>,
    path: web::Path<InTenant>,
    body: Body<Suspension>,
) -> Result<HttpResponse, Problem> {
    let reason = input::name("reason", &body.value.reason)?;
    let since = state.clock().now();
    let _alone = state.changing.lock().await;
    let mut tenant = record(&state, allowed.ctx(path.tenant)?).await?;
    let entry = allowed.entry("tenant.suspended").on(&tenant.id);
    allowed.record(AuditEntry { reason: Some(Pii::new(reason.clone())), ..entry }).await?;
    tenant.state = TenantState::Suspended { since, reason };
    put(&state, tenant).await
}

/// Have a tenant go on
///
/// One that was suspended or closed is served again. What came in while it was suspended is there; nobody
/// answers it by itself.
#[utoipa::path(post, path = "/tenants/{tenant}/resume", tag = "tenants", operation_id = "resume_tenant",
    params(InTenant), responses((status = 200, body = TenantView), Problems))]
pub async fn resume(
    state: web::Data<State>,
    allowed: Allowed<acts::SuspendTenant>,
    path: web::Path<InTenant>,
) -> Result<HttpResponse, Problem> {
    let _alone = state.changing.lock().await;
    let mut tenant = record(&state, allowed.ctx(path.tenant)?).await?;
    allowed.record(allowed.entry("tenant.resumed").on(&tenant.id)).await?;
    tenant.state = TenantState::Active;
    put(&state, tenant).await
}

/// Close a tenant
///
/// No address leads to it any more: what comes for it is not kept for it. What is there stays.
#[utoipa::path(post, path = "/tenants/{tenant}/close", tag = "tenants", operation_id = "close_tenant",
    params(InTenant), responses((status = 200, body = TenantView), Problems))]
pub async fn close(
    state: web::Data<State>,
    allowed: Allowed<acts::SuspendTenant>,
    path: web::Path<InTenant>,
) -> Result<HttpResponse, Problem> {
    let _alone = state.changing.lock().await;
    let mut tenant = record(&state, allowed.ctx(path.tenant)?).await?;
    allowed.record(allowed.entry("tenant.closed").on(&tenant.id)).await?;
    tenant.state = TenantState::Closed { since: state.clock().now() };
    put(&state, tenant).await
}

/// Let the tenant's agency read what people write, or no longer
#[utoipa::path(put, path = "/tenants/{tenant}/agency-reading", tag = "tenants",
    operation_id = "set_agency_reading", params(InTenant), request_body = AgencyReading,
    responses((status = 200, body = TenantView), Problems))]
pub async fn agency_reading(
    state: web::Data<State>,
    allowed: Allowed<acts::GrantAgencyReading>,
    path: web::Path<InTenant>,
    seen: IfMatch,
    body: Body<AgencyReading>,
) -> Result<HttpResponse, Problem> {
    let _alone = state.changing.lock().await;
    let mut tenant = seen_record(&state, allowed.ctx(path.tenant)?, &seen).await?;
    let reads = body.value.allowed;
    allowed.record(allowed.entry("tenant.agency_reading").on(&tenant.id).with("allowed", &reads)).await?;
    tenant.agency_reads = reads;
    put(&state, tenant).await
}
