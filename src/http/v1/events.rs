//! The tenant's log.

use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use iassistance_domain::event::{Event, EventSeq};

use super::page;
use super::tenants::InTenant;
use super::view::Problems;
use crate::http::auth::{Allowed, acts};
use crate::http::{Problem, State, feed};

/// Which part of the log.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct EventsQuery {
    /// The `seq` after which to begin; 0 for the beginning.
    #[param(default = 0)]
    after: Option<u64>,
    /// How many events at most.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<usize>,
}

/// A part of the log, oldest first.
#[derive(Serialize, ToSchema)]
pub struct EventsPage {
    /// Facts: each has `seq`, `at`, `type` (`message.received`, `turn.ended`, …), mostly
    /// `conversation` and `contact`, and what belongs to its type. New types and fields may be added.
    #[schema(value_type = Vec<Object>)]
    items: Vec<Event>,
    /// `after` for the following part; `null` when this is the end for now.
    next: Option<u64>,
    /// The `seq` of the latest event there is.
    latest: u64,
}

/// Events after a place in the log
///
/// Who sees but the conversations that are assigned to them gets the events of those: fewer than `limit`, or
/// none, and still a `next` where the log goes on.
#[utoipa::path(get, path = "/tenants/{tenant}/events", tag = "events", operation_id = "list_events",
    params(InTenant, EventsQuery), responses((status = 200, body = EventsPage), Problems))]
pub async fn list(
    state: web::Data<State>,
    allowed: Allowed<acts::ReadContent>,
    path: web::Path<InTenant>,
    query: web::Query<EventsQuery>,
) -> Result<HttpResponse, Problem> {
    let limit = page::limit(query.limit)?;
    let store = state.app.store.tenant(allowed.ctx(path.tenant)?).await?;
    let latest = store.latest_event().borrow().0;
    let found = store.events(EventSeq(query.after.unwrap_or(0)), limit).await?;
    let last = found.last().map(|event| event.seq.0);
    let items = feed::events(allowed.access(), &*store, found).await?;
    allowed.access().show(&EventsPage { items, next: last.filter(|last| *last < latest), latest })
}
