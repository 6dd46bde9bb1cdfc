//! What came for addresses that nobody connected.

use actix_web::web;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use iassistance_domain::Timestamp;

use super::input::Query;
use super::page;
use super::view::Problems;
use crate::http::auth::{Allowed, acts};
use crate::http::{Problem, State};

/// How many.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct UnroutedQuery {
    /// How many items at most.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<usize>,
}

/// Something that came for an address that nobody connected. What it says is not shown: it belongs to nobody.
#[derive(Serialize, ToSchema)]
#[schema(as = UnroutedEvent)]
pub struct UnroutedView {
    /// When it came.
    #[schema(value_type = i64)]
    at: Timestamp,
    /// Meta's id of the number, the Page or the account.
    #[schema(example = "106540352242922")]
    external_id: String,
    /// What it is.
    #[schema(example = "message.text")]
    kind: String,
}

/// The latest that came so.
#[derive(Serialize, ToSchema)]
pub struct Unrouted {
    /// Newest first.
    items: Vec<UnroutedView>,
}

/// What came for addresses that nobody connected, newest first
#[utoipa::path(get, path = "/unrouted", tag = "meta apps", operation_id = "list_unrouted",
    params(UnroutedQuery), responses((status = 200, body = Unrouted), Problems))]
pub async fn list(
    state: web::Data<State>,
    _allowed: Allowed<acts::OperatePlatform>,
    query: Query<UnroutedQuery>,
) -> Result<web::Json<Unrouted>, Problem> {
    let found = state.app.store.unrouted(page::limit(query.limit)?).await?;
    let items = found.into_iter().map(|(at, external_id, kind, _)| UnroutedView { at, external_id, kind });
    Ok(web::Json(Unrouted { items: items.collect() }))
}
