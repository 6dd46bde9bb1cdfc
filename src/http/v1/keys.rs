//! API keys of a tenant: list, create, revoke. A key is shown once, when it is created.

use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use iassistance_domain::Timestamp;
use iassistance_domain::id::{ApiKeyId, TenantId};
use iassistance_domain::key::{ApiKey, Scope};

use super::input::{self, Body};
use super::page::{Page, PageQuery};
use super::tenants::InTenant;
use super::view::Problems;
use crate::http::auth::{self, Allowed, Manage};
use crate::http::idempotency::{Created, Once};
use crate::http::{Problem, State};

/// Which key.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct InKey {
    /// The tenant.
    #[param(value_type = String)]
    tenant: TenantId,
    /// The key.
    #[param(value_type = String, example = "key_0199a8a2c4007b3e8f5d6c1b2a390817")]
    key: ApiKeyId,
}

/// An API key, without its secret.
#[derive(Serialize, ToSchema)]
#[schema(as = ApiKey)]
pub struct KeyView {
    /// Its id.
    #[schema(value_type = String, example = "key_0199a8a2c4007b3e8f5d6c1b2a390817")]
    id: ApiKeyId,
    /// What people call it.
    name: String,
    /// What it may do: `read`, `operate`, `manage`.
    #[schema(value_type = Vec<String>)]
    scopes: Vec<Scope>,
    /// When it was made.
    #[schema(value_type = i64)]
    created_at: Timestamp,
    /// When it stops working, if ever.
    #[schema(value_type = Option<i64>)]
    expires_at: Option<Timestamp>,
    /// When it was revoked, if it was.
    #[schema(value_type = Option<i64>)]
    revoked_at: Option<Timestamp>,
}

impl From<ApiKey> for KeyView {
    fn from(key: ApiKey) -> Self {
        Self {
            id: key.id,
            name: key.name,
            scopes: key.scopes,
            created_at: key.created_at,
            expires_at: key.expires_at,
            revoked_at: key.revoked_at,
        }
    }
}

/// An API key to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewKey {
    /// What people call it; 1 to 120 characters.
    #[schema(example = "desk")]
    name: String,
    /// What it may do: `read`, `operate`, `manage`; only what the caller's own key may do.
    #[schema(value_type = Vec<String>, example = json!(["read"]))]
    scopes: Vec<Scope>,
    /// When it stops working; never if left out.
    #[schema(value_type = Option<i64>)]
    expires_at: Option<Timestamp>,
}

/// A new API key. Its secret is shown here and never again.
#[derive(Serialize, ToSchema)]
pub struct NewKeyView {
    /// The key as it is listed.
    key: KeyView,
    /// The key as it is used: `Authorization: Bearer iak_…`.
    secret: String,
}

/// API keys of a tenant
#[utoipa::path(get, path = "/tenants/{tenant}/keys", tag = "keys", operation_id = "list_keys",
    params(InTenant, PageQuery), responses((status = 200, body = Page<KeyView>), Problems))]
pub async fn list(
    state: web::Data<State>,
    allowed: Allowed<Manage>,
    path: web::Path<InTenant>,
    query: web::Query<PageQuery>,
) -> Result<web::Json<Page<KeyView>>, Problem> {
    let ctx = allowed.ctx(path.tenant)?;
    state.app.store.tenant(ctx).await?;
    let mut keys = state.app.store.api_keys().await?;
    keys.retain(|key| key.tenant == Some(ctx.tenant()));
    Ok(web::Json(query.of_all(keys, |key| key.id)?.map(KeyView::from)))
}

/// Create an API key
///
/// The secret is shown once. It is not kept, so a repetition with the same `Idempotency-Key` is a
/// conflict and not the first answer.
#[utoipa::path(post, path = "/tenants/{tenant}/keys", tag = "keys", operation_id = "create_key",
    params(InTenant, super::IdempotencyKey), request_body = NewKey,
    responses((status = 201, body = NewKeyView), Problems))]
pub async fn create(
    state: web::Data<State>,
    allowed: Allowed<Manage>,
    path: web::Path<InTenant>,
    once: Once,
    body: Body<NewKey>,
) -> Result<HttpResponse, Problem> {
    let ctx = allowed.ctx(path.tenant)?;
    state.app.store.tenant(ctx).await?;
    let Body { value: NewKey { name, mut scopes, expires_at }, raw } = body;
    let name = input::name("name", &name)?;
    scopes.sort_unstable();
    scopes.dedup();
    if let Some(scope) = scopes.iter().find(|scope| !allowed.caller().may_hand_out(**scope)) {
        let name = scope.name();
        return Err(Problem::forbidden(format!(
            "your own key may not do `{name}`, so it cannot hand it out"
        )));
    }
    once.run(&state, &raw, async {
        let (entropy, clock) = (&**state.app.engine.entropy(), &**state.clock());
        let minted =
            auth::mint(&state.app.keyring, entropy, clock, name, Some(ctx.tenant()), scopes, expires_at);
        let (key, plain) = minted.map_err(|error| Problem::invalid(error.to_string()))?;
        state.app.store.put_api_key(key.clone()).await?;
        tracing::info!(tenant = %ctx.tenant(), key = %key.id, by = %allowed.caller().key(), "a key was created");
        let shown = NewKeyView { key: key.into(), secret: plain.expose().to_owned() };
        Ok(Created::at(None, &shown)?.shown_once())
    })
    .await
}

/// Revoke an API key
///
/// It stops working at once; to revoke it again changes nothing.
#[utoipa::path(delete, path = "/tenants/{tenant}/keys/{key}", tag = "keys", operation_id = "revoke_key",
    params(InKey), responses((status = 204, description = "It does not work any more"), Problems))]
pub async fn revoke(
    state: web::Data<State>,
    allowed: Allowed<Manage>,
    path: web::Path<InKey>,
) -> Result<HttpResponse, Problem> {
    let ctx = allowed.ctx(path.tenant)?;
    let found = state.app.store.api_key(path.key).await?;
    let mut key = found.filter(|key| key.tenant == Some(ctx.tenant())).ok_or_else(Problem::not_found)?;
    if key.revoked_at.is_none() {
        key.revoked_at = Some(state.clock().now());
        state.app.store.put_api_key(key).await?;
        tracing::info!(tenant = %ctx.tenant(), key = %path.key, by = %allowed.caller().key(), "a key was revoked");
    }
    Ok(HttpResponse::NoContent().finish())
}
