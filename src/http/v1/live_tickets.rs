//! Tickets that open the live feed.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use iassistance_domain::Timestamp;

use super::tenants::InTenant;
use super::view::Problems;
use crate::http::auth::{Allowed, acts};
use crate::http::{Problem, State, cookies};

/// A ticket: it opens one socket at `/v1/live`, once.
#[derive(Serialize, ToSchema)]
pub struct TicketView {
    /// To be offered as the subprotocol `ticket.<it>`.
    ticket: String,
    /// When it is void.
    #[schema(value_type = i64)]
    expires_at: Timestamp,
}

/// A ticket for the live feed
///
/// It is for one tenant and whoever asked for it, with this key or in this session: when that ends, so does what it
/// opened. A page of an origin that may not open the feed gets none.
#[utoipa::path(post, path = "/tenants/{tenant}/live-tickets", tag = "events", operation_id = "issue_live_ticket",
    params(InTenant), responses((status = 201, body = TicketView), Problems))]
pub async fn issue(
    state: web::Data<State>,
    allowed: Allowed<acts::WatchLive>,
    path: web::Path<InTenant>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    // Also with a key: a page that may not watch gets no ticket for it either.
    cookies::check_origin(&state, &request, false)?;
    let ctx = allowed.ctx(path.tenant)?;
    state.app.store.tenant(ctx).await?;
    let now = state.clock().now();
    let ticket =
        state.tickets.issue(ctx, allowed.principal().credential(), now, &**state.app.engine.entropy());
    let expires_at = now.plus_millis(state.app.settings.live.ticket_ms);
    Ok(HttpResponse::Created().json(TicketView { ticket, expires_at }))
}
