//! API keys of a tenant and of the platform: list, create, rotate, revoke. A key is shown once, when it is created.

use std::net::IpAddr;

use actix_web::{HttpResponse, web};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use iassistance_domain::Timestamp;
use iassistance_domain::id::{ApiKeyId, TenantId};
use iassistance_domain::key::{ApiKey, NETWORKS_MAX, Scope};

use super::input::{self, Body, Query};
use super::page::Page;
use super::tag::{self, IfMatch, IfNoneMatch};
use super::tenants::InTenant;
use super::view::Problems;
use crate::http::auth::{self, Allowed, PlainKey, Right, acts};
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
    /// What it may do: `read`, `operate`, `manage`, `dsar`, `audit`; `platform` for the platform's own.
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
    /// From which networks it may be used (CIDR); from anywhere when there are none.
    #[schema(value_type = Vec<String>)]
    networks: Vec<IpNet>,
    /// When it was last used, to the minute.
    #[schema(value_type = Option<i64>)]
    last_used_at: Option<Timestamp>,
    /// From which address that was.
    #[schema(value_type = Option<String>)]
    last_used_from: Option<IpAddr>,
    /// The key that takes its place, if it was rotated.
    #[schema(value_type = Option<String>)]
    rotated_to: Option<ApiKeyId>,
    /// Until when it works beside that one.
    #[schema(value_type = Option<i64>)]
    overlap_until: Option<Timestamp>,
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
            networks: key.networks,
            last_used_at: key.last_used_at,
            last_used_from: key.last_used_from,
            rotated_to: key.rotated_to,
            overlap_until: key.overlap_until,
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
    /// What it may do: `read`, `operate`, `manage`, `dsar`, `audit`; only what you may do yourself.
    #[schema(value_type = Vec<String>, example = json!(["read"]))]
    scopes: Vec<Scope>,
    /// When it stops working; never if left out.
    #[schema(value_type = Option<i64>)]
    expires_at: Option<Timestamp>,
    /// From which networks it may be used (CIDR, at most 50); from anywhere if left out.
    #[schema(value_type = Vec<String>, example = json!(["203.0.113.0/24"]))]
    #[serde(default)]
    networks: Vec<IpNet>,
}

/// How a key is rotated.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Rotation {
    /// For how many hours the former key works beside the new one, 0 to 720.
    #[schema(example = 24)]
    overlap_hours: u64,
}

/// A key of the platform to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPlatformKey {
    /// What people call it; 1 to 120 characters.
    #[schema(example = "backups")]
    name: String,
    /// When it stops working; never if left out.
    #[schema(value_type = Option<i64>)]
    expires_at: Option<Timestamp>,
    /// From which networks it may be used (CIDR, at most 50); from anywhere if left out.
    #[schema(value_type = Vec<String>)]
    #[serde(default)]
    networks: Vec<IpNet>,
}

/// Which key of the platform.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct InPlatformKey {
    /// The key.
    #[param(value_type = String, example = "key_0199a8a2c4007b3e8f5d6c1b2a390817")]
    key: ApiKeyId,
}

/// A new API key. Its secret is shown here and never again.
#[derive(Serialize, ToSchema)]
pub struct NewKeyView {
    /// The key as it is listed.
    key: KeyView,
    /// The key as it is used: `Authorization: Bearer iak_…`.
    secret: String,
}

/// Hours that a rotated key may work beside the new one.
const OVERLAP_HOURS_MAX: u64 = 720;
const HOUR_MS: u64 = 60 * 60 * 1_000;

/// What is to be minted.
struct Wanted {
    name: String,
    tenant: Option<TenantId>,
    scopes: Vec<Scope>,
    expires_at: Option<Timestamp>,
    networks: Vec<IpNet>,
}

/// A new key, not kept yet, and its secret.
fn minted(state: &State, wanted: Wanted) -> Result<(ApiKey, PlainKey), Problem> {
    let Wanted { name, tenant, scopes, expires_at, networks } = wanted;
    if networks.len() > NETWORKS_MAX {
        return Err(Problem::invalid(format!("`networks`: at most {NETWORKS_MAX}")));
    }
    let (entropy, clock) = (&**state.app.engine.entropy(), &**state.clock());
    let minted = auth::mint(&state.app.keyring, entropy, clock, name, tenant, scopes, expires_at);
    let (key, plain) = minted.map_err(|error| Problem::invalid(error.to_string()))?;
    Ok((ApiKey { networks, ..key }, plain))
}

/// Keeps a new key, on the record first, and shows its secret this once.
async fn keep<R: Right>(
    state: &State,
    allowed: &Allowed<R>,
    act: &str,
    (key, plain): (ApiKey, PlainKey),
) -> Result<Created, Problem> {
    let scopes = key.scopes.iter().map(|scope| scope.name()).collect::<Vec<_>>().join(" ");
    allowed.record(allowed.entry(act).on(&key.id).with("scopes", &scopes)).await?;
    state.app.store.put_api_key(key.clone()).await?;
    tracing::info!(key = %key.id, "a key was created");
    let shown = NewKeyView { key: key.into(), secret: plain.expose().to_owned() };
    Ok(Created::at(None, &shown)?.shown_once())
}

async fn owned(state: &State, tenant: Option<TenantId>, id: ApiKeyId) -> Result<ApiKey, Problem> {
    state.app.store.api_key_of(tenant, id).await?.ok_or_else(Problem::not_found)
}

async fn end<R: Right>(
    state: &State,
    allowed: &Allowed<R>,
    mut key: ApiKey,
) -> Result<HttpResponse, Problem> {
    if key.revoked_at.is_none() {
        allowed.record(allowed.entry("key.revoked").on(&key.id)).await?;
        key.revoked_at = Some(state.clock().now());
        tracing::info!(key = %key.id, "a key was revoked");
        state.app.store.put_api_key(key).await?;
    }
    Ok(HttpResponse::NoContent().finish())
}

/// Nobody hands out what they may not do.
async fn may_hand_out<R: Right>(allowed: &Allowed<R>, scopes: &[Scope]) -> Result<(), Problem> {
    for scope in scopes {
        if !allowed.may_hand_out(*scope).await? {
            let name = scope.name();
            let detail = format!("you may not do `{name}` yourself, so you cannot hand it out");
            return Err(Problem::forbidden(detail));
        }
    }
    Ok(())
}

/// Which keys.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct KeysQuery {
    /// `next` of the page before; nothing for the first.
    cursor: Option<String>,
    /// How many items at most.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<usize>,
    /// Only those that work at this moment, or do not.
    works: Option<bool>,
}

fn listed(state: &State, mut keys: Vec<ApiKey>, query: &KeysQuery) -> Result<Page<KeyView>, Problem> {
    let now = state.clock().now();
    keys.retain(|key| query.works.is_none_or(|works| key.is_live(now) == works));
    Ok(Page::of_all(query.cursor.as_deref(), query.limit, keys, |key| key.id)?.map(KeyView::from))
}

/// API keys of a tenant
#[utoipa::path(get, path = "/tenants/{tenant}/keys", tag = "keys", operation_id = "list_keys",
    params(InTenant, KeysQuery), responses((status = 200, body = Page<KeyView>), Problems))]
pub async fn list(
    state: web::Data<State>,
    allowed: Allowed<acts::ManageKeys>,
    path: web::Path<InTenant>,
    query: Query<KeysQuery>,
) -> Result<web::Json<Page<KeyView>>, Problem> {
    let tenant = allowed.ctx(path.tenant)?.tenant();
    let mut keys = state.app.store.api_keys().await?;
    keys.retain(|key| key.tenant == Some(tenant));
    Ok(web::Json(listed(&state, keys, &query)?))
}

/// Create an API key
///
/// The secret is shown once. It is not kept, so a repetition with the same `Idempotency-Key` is a
/// conflict and not the first answer.
#[utoipa::path(post, path = "/tenants/{tenant}/keys", tag = "keys", operation_id = "create_key",
    params(InTenant), request_body = NewKey,
    responses((status = 201, body = NewKeyView), Problems))]
pub async fn create(
    state: web::Data<State>,
    allowed: Allowed<acts::ManageKeys>,
    path: web::Path<InTenant>,
    once: Once,
    body: Body<NewKey>,
) -> Result<HttpResponse, Problem> {
    let tenant = Some(allowed.ctx(path.tenant)?.tenant());
    let Body { value: NewKey { name, mut scopes, expires_at, networks }, raw } = body;
    let name = input::name("name", &name)?;
    scopes.sort_unstable();
    scopes.dedup();
    may_hand_out(&allowed, &scopes).await?;
    once.run(&state, &raw, async {
        let wanted = Wanted { name, tenant, scopes, expires_at, networks };
        keep(&state, &allowed, "key.created", minted(&state, wanted)?).await
    })
    .await
}

/// One API key
#[utoipa::path(get, path = "/tenants/{tenant}/keys/{key}", tag = "keys", operation_id = "show_key",
    params(InKey), responses((status = 200, body = KeyView), Problems))]
pub async fn show(
    state: web::Data<State>,
    allowed: Allowed<acts::ManageKeys>,
    path: web::Path<InKey>,
    has: IfNoneMatch,
) -> Result<HttpResponse, Problem> {
    let tenant = Some(allowed.ctx(path.tenant)?.tenant());
    let (tag, view) = shown(&state, &owned(&state, tenant, path.key).await?)?;
    Ok(has.show(&tag, &view))
}

/// What changes of a key; what is left out stays as it is. What it may do does not change: rotate it, or make
/// another.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyChange {
    /// What people call it; 1 to 120 characters.
    #[schema(example = "desk in Lima")]
    name: Option<String>,
    /// From which networks it may be used (CIDR, at most 50); from anywhere if empty.
    #[schema(value_type = Option<Vec<String>>, example = json!(["203.0.113.0/24"]))]
    networks: Option<Vec<IpNet>>,
}

/// What people set of a key, for its tag.
fn set(key: &ApiKey) -> impl serde::Serialize + '_ {
    (&key.name, &key.networks, key.expires_at, key.revoked_at)
}

/// A key with its tag.
fn shown(state: &State, key: &ApiKey) -> Result<(String, KeyView), Problem> {
    tag::whole(state, &set(key), KeyView::from(key.clone()))
}

/// Change a key's name, or from where it may be used
#[utoipa::path(put, path = "/tenants/{tenant}/keys/{key}", tag = "keys", operation_id = "change_key",
    params(InKey), request_body = KeyChange, responses((status = 200, body = KeyView), Problems))]
pub async fn change(
    state: web::Data<State>,
    allowed: Allowed<acts::ManageKeys>,
    path: web::Path<InKey>,
    seen: IfMatch,
    body: Body<KeyChange>,
) -> Result<HttpResponse, Problem> {
    let tenant = Some(allowed.ctx(path.tenant)?.tenant());
    let _alone = state.changing.lock().await;
    let mut key = owned(&state, tenant, path.key).await?;
    may_hand_out(&allowed, &key.scopes).await?;
    seen.check_set(&state, &set(&key))?;
    if let Some(name) = &body.value.name {
        key.name = input::name("name", name)?;
    }
    if let Some(networks) = body.value.networks {
        if networks.len() > NETWORKS_MAX {
            return Err(Problem::invalid(format!("`networks`: at most {NETWORKS_MAX}")));
        }
        key.networks = networks;
    }
    allowed.record(allowed.entry("key.changed").on(&key.id)).await?;
    state.app.store.put_api_key(key.clone()).await?;
    let (tag, view) = shown(&state, &key)?;
    Ok(tag::tagged(&tag, &view))
}

/// Rotate an API key
///
/// A new key with the same rights takes its place; its secret is shown once. The former one works beside it
/// for as long as is said, and not after that.
#[utoipa::path(post, path = "/tenants/{tenant}/keys/{key}/rotate", tag = "keys", operation_id = "rotate_key",
    params(InKey), request_body = Rotation,
    responses((status = 201, body = NewKeyView), Problems))]
pub async fn rotate(
    state: web::Data<State>,
    allowed: Allowed<acts::ManageKeys>,
    path: web::Path<InKey>,
    once: Once,
    body: Body<Rotation>,
) -> Result<HttpResponse, Problem> {
    let tenant = Some(allowed.ctx(path.tenant)?.tenant());
    let former = owned(&state, tenant, path.key).await?;
    let hours = body.value.overlap_hours;
    if hours > OVERLAP_HOURS_MAX {
        return Err(Problem::invalid("`overlap_hours` must be 0 to 720"));
    }
    let now = state.clock().now();
    if !former.is_live(now) || former.rotated_to.is_some() {
        return Err(Problem::conflict("the key has ended or was rotated already: create another"));
    }
    may_hand_out(&allowed, &former.scopes).await?;
    once.run(&state, &body.raw, async {
        let ApiKey { name, scopes, expires_at, networks, .. } = former.clone();
        let new = minted(&state, Wanted { name, tenant, scopes, expires_at, networks })?;
        let (rotated_to, until) = (Some(new.0.id), now.plus_millis(hours * HOUR_MS));
        let created = keep(&state, &allowed, "key.rotated", new).await?;
        let former = ApiKey { rotated_to, overlap_until: Some(until), ..former };
        state.app.store.put_api_key(former).await?;
        Ok(created)
    })
    .await
}

/// Revoke an API key
///
/// It stops working at once, and what it holds open is closed within a second; to revoke it again changes
/// nothing.
#[utoipa::path(delete, path = "/tenants/{tenant}/keys/{key}", tag = "keys", operation_id = "revoke_key",
    params(InKey), responses((status = 204, description = "It does not work any more"), Problems))]
pub async fn revoke(
    state: web::Data<State>,
    allowed: Allowed<acts::ManageKeys>,
    path: web::Path<InKey>,
) -> Result<HttpResponse, Problem> {
    let tenant = Some(allowed.ctx(path.tenant)?.tenant());
    let key = owned(&state, tenant, path.key).await?;
    end(&state, &allowed, key).await
}

/// API keys of the platform
#[utoipa::path(get, path = "/keys", tag = "keys", operation_id = "list_platform_keys", params(KeysQuery),
    responses((status = 200, body = Page<KeyView>), Problems))]
pub async fn list_of_platform(
    state: web::Data<State>,
    _allowed: Allowed<acts::ManagePlatformKeys>,
    query: Query<KeysQuery>,
) -> Result<web::Json<Page<KeyView>>, Problem> {
    let mut keys = state.app.store.api_keys().await?;
    keys.retain(|key| key.tenant.is_none());
    Ok(web::Json(listed(&state, keys, &query)?))
}

/// One API key of the platform
#[utoipa::path(get, path = "/keys/{key}", tag = "keys", operation_id = "show_platform_key",
    params(InPlatformKey), responses((status = 200, body = KeyView), Problems))]
pub async fn show_of_platform(
    state: web::Data<State>,
    _allowed: Allowed<acts::ManagePlatformKeys>,
    path: web::Path<InPlatformKey>,
) -> Result<web::Json<KeyView>, Problem> {
    Ok(web::Json(owned(&state, None, path.key).await?.into()))
}

/// Create an API key of the platform
///
/// It has the scope `platform`, and reads no content. The secret is shown once.
#[utoipa::path(post, path = "/keys", tag = "keys", operation_id = "create_platform_key",
    request_body = NewPlatformKey,
    responses((status = 201, body = NewKeyView), Problems))]
pub async fn create_of_platform(
    state: web::Data<State>,
    allowed: Allowed<acts::ManagePlatformKeys>,
    once: Once,
    body: Body<NewPlatformKey>,
) -> Result<HttpResponse, Problem> {
    let Body { value: NewPlatformKey { name, expires_at, networks }, raw } = body;
    let name = input::name("name", &name)?;
    once.run(&state, &raw, async {
        let scopes = vec![Scope::Platform];
        let wanted = Wanted { name, tenant: None, scopes, expires_at, networks };
        keep(&state, &allowed, "key.created", minted(&state, wanted)?).await
    })
    .await
}

/// Revoke an API key of the platform
#[utoipa::path(delete, path = "/keys/{key}", tag = "keys", operation_id = "revoke_platform_key",
    params(InPlatformKey), responses((status = 204, description = "It does not work any more"), Problems))]
pub async fn revoke_of_platform(
    state: web::Data<State>,
    allowed: Allowed<acts::ManagePlatformKeys>,
    path: web::Path<InPlatformKey>,
) -> Result<HttpResponse, Problem> {
    let key = owned(&state, None, path.key).await?;
    end(&state, &allowed, key).await
}
