//! Records that were set aside because they do not open. What they hold is never shown.

use actix_web::web;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use iassistance_domain::Timestamp;
use iassistance_domain::tenant::TenantCtx;
use iassistance_storage::{SetAside, StorageError};

use super::input::Query;
use super::page;
use super::tenants::InTenant;
use super::view::Problems;
use crate::http::auth::{Allowed, acts};
use crate::http::{Problem, State};

/// Which part of the list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct QuarantineQuery {
    /// `next` of the page before; nothing for the first.
    cursor: Option<String>,
    /// How many items at most.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<usize>,
}

/// A record that was set aside.
#[derive(Serialize, ToSchema)]
pub struct QuarantinedRecord {
    /// Its kind: `message`, `turn`, …
    kind: String,
    /// The key that it had, in hexadecimal.
    key: String,
    /// Its length, sealed, bytes.
    bytes: u64,
    /// When it was set aside.
    #[schema(value_type = i64)]
    at: Timestamp,
}

impl From<SetAside> for QuarantinedRecord {
    fn from(record: SetAside) -> Self {
        Self { kind: record.kind, key: record.key, bytes: record.bytes, at: record.at }
    }
}

/// A tenant's records that were set aside
///
/// They do not open, and are out of the way of everything else. They can be put back by an examination,
/// once what was wrong is right again.
#[utoipa::path(get, path = "/tenants/{tenant}/quarantine", tag = "checks", operation_id = "list_quarantine",
    params(InTenant, QuarantineQuery),
    responses((status = 200, body = page::Page<QuarantinedRecord>), Problems))]
pub async fn of_tenant(
    state: web::Data<State>,
    allowed: Allowed<acts::SeeSetUp>,
    path: web::Path<InTenant>,
    query: Query<QuarantineQuery>,
) -> Result<web::Json<page::Page<QuarantinedRecord>>, Problem> {
    list(&state, Some(allowed.ctx(path.tenant)?), query.into_inner()).await
}

/// The platform's records that were set aside
#[utoipa::path(get, path = "/quarantine", tag = "checks", operation_id = "list_platform_quarantine",
    params(QuarantineQuery), responses((status = 200, body = page::Page<QuarantinedRecord>), Problems))]
pub async fn of_platform(
    state: web::Data<State>,
    _allowed: Allowed<acts::OperatePlatform>,
    query: Query<QuarantineQuery>,
) -> Result<web::Json<page::Page<QuarantinedRecord>>, Problem> {
    list(&state, None, query.into_inner()).await
}

async fn list(
    state: &State,
    tenant: Option<TenantCtx>,
    query: QuarantineQuery,
) -> Result<web::Json<page::Page<QuarantinedRecord>>, Problem> {
    let limit = page::limit(query.limit)?;
    let listed = state.app.store.set_aside(tenant, page::cursor(query.cursor.as_deref())?, limit + 1).await;
    let records = listed.map_err(|error| match error {
        StorageError::NotFound("record") => {
            Problem::invalid("`cursor` must be `next` of the page before, as it was")
        }
        other => other.into(),
    })?;
    Ok(web::Json(page::Page::cut(records, limit, |record| record.key.clone()).map(QuarantinedRecord::from)))
}
