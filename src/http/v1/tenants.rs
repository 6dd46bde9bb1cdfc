//! Tenants: list, create, show.

use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use iassistance_domain::Timestamp;
use iassistance_domain::id::TenantId;
use iassistance_domain::tenant::Tenant;

use super::input::{self, Body};
use super::page::{Page, PageQuery};
use super::view::Problems;
use crate::http::auth::{Allowed, Platform, SetUp};
use crate::http::idempotency::{Created, Once};
use crate::http::{Problem, State};

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
}

impl From<Tenant> for TenantView {
    fn from(tenant: Tenant) -> Self {
        Self { id: tenant.id, name: tenant.name, created_at: tenant.created_at }
    }
}

/// A tenant to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewTenant {
    /// What people call it; 1 to 120 characters.
    #[schema(example = "Bakery Ada")]
    name: String,
}

/// Tenants that the key may see
///
/// All of them for a key of the platform; for a tenant's key its own.
#[utoipa::path(get, path = "/tenants", tag = "tenants", operation_id = "list_tenants",
    params(PageQuery), responses((status = 200, body = Page<TenantView>), Problems))]
pub async fn list(
    state: web::Data<State>,
    allowed: Allowed<SetUp>,
    query: web::Query<PageQuery>,
) -> Result<web::Json<Page<TenantView>>, Problem> {
    let mut tenants = state.app.store.tenants().await?;
    tenants.retain(|tenant| allowed.caller().tenant().is_none_or(|own| own == tenant.id));
    Ok(web::Json(query.of_all(tenants, |tenant| tenant.id)?.map(TenantView::from)))
}

/// Create a tenant
#[utoipa::path(post, path = "/tenants", tag = "tenants", operation_id = "create_tenant",
    params(super::IdempotencyKey), request_body = NewTenant,
    responses((status = 201, body = TenantView), Problems))]
pub async fn create(
    state: web::Data<State>,
    _allowed: Allowed<Platform>,
    once: Once,
    body: Body<NewTenant>,
) -> Result<HttpResponse, Problem> {
    let name = input::name("name", &body.value.name)?;
    once.run(&state, &body.raw, async {
        let now = state.clock().now();
        let tenant = Tenant::new(TenantId::new(now, &**state.app.engine.entropy()), name, now);
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
    allowed: Allowed<SetUp>,
    path: web::Path<InTenant>,
) -> Result<web::Json<TenantView>, Problem> {
    let id = allowed.ctx(path.tenant)?.tenant();
    let tenant = state.app.store.tenants().await?.into_iter().find(|tenant| tenant.id == id);
    Ok(web::Json(tenant.ok_or_else(Problem::not_found)?.into()))
}
