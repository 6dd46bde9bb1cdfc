//! What became of a webhook's events, and trying them again.

use actix_web::web;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use iassistance_domain::Timestamp;
use iassistance_domain::id::{ConversationId, DeliveryId, SubscriptionId, TenantId};
use iassistance_domain::subscription::{Delivery, DeliveryState};

use super::input::{Body, Query};
use super::page::{self, Page};
use super::view::Problems;
use super::webhooks::{InWebhook, found};
use crate::http::auth::{Allowed, acts};
use crate::http::{Problem, State};

/// Which deliveries.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct DeliveriesQuery {
    /// Only those that are so far: `waiting`, `delivered` or `dead`.
    #[param(inline)]
    state: Option<DeliveryState>,
    /// `next` of the page before; nothing for the first.
    cursor: Option<String>,
    /// How many items at most.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<usize>,
}

/// One event on its way to one receiver.
#[derive(Serialize, ToSchema)]
#[schema(as = WebhookDelivery)]
pub struct DeliveryView {
    /// Its id.
    #[schema(value_type = String, example = "dlv_00000000000000118f5d6c1b2a390817")]
    id: DeliveryId,
    /// The `webhook-id` that the receiver sees, the same at every try.
    webhook_id: String,
    /// The `seq` of the event.
    event: u64,
    /// The conversation that it is about: its events go in order.
    #[schema(value_type = Option<String>)]
    conversation: Option<ConversationId>,
    /// How far it is.
    state: DeliveryState,
    /// How often it was tried.
    attempts: u32,
    /// When it was taken up.
    #[schema(value_type = i64)]
    created_at: Timestamp,
    /// When it is tried next, or was last.
    #[schema(value_type = i64)]
    next_at: Timestamp,
    /// Why the last try failed.
    problem: Option<String>,
}

impl From<Delivery> for DeliveryView {
    fn from(delivery: Delivery) -> Self {
        Self {
            id: delivery.id,
            webhook_id: delivery.webhook_id(),
            event: delivery.event.0,
            conversation: delivery.conversation,
            state: delivery.state,
            attempts: delivery.attempts,
            created_at: delivery.created_at,
            next_at: delivery.next_at,
            problem: delivery.last_problem,
        }
    }
}

/// What is to be tried again: one of both.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[schema(example = json!({ "dead": true }))]
pub struct Replay {
    /// One delivery, wherever it stands.
    #[schema(value_type = Option<String>)]
    #[serde(default)]
    delivery: Option<DeliveryId>,
    /// The newest 1,000 that were given up.
    #[serde(default)]
    dead: bool,
}

/// How many are tried again.
#[derive(Serialize, ToSchema)]
pub struct Replayed {
    /// So many.
    replayed: usize,
}

/// What became of a webhook's events, newest first
///
/// Those that arrived are shown for 30 days, if the platform says nothing else.
#[utoipa::path(get, path = "/tenants/{tenant}/webhooks/{webhook}/deliveries", tag = "webhooks out",
    operation_id = "list_webhook_deliveries", params(InWebhook, DeliveriesQuery),
    responses((status = 200, body = Page<DeliveryView>), Problems))]
pub async fn list(
    state: web::Data<State>,
    allowed: Allowed<acts::ManageHooks>,
    path: web::Path<InWebhook>,
    query: Query<DeliveriesQuery>,
) -> Result<web::Json<Page<DeliveryView>>, Problem> {
    let (before, limit) = (page::cursor(query.cursor.as_deref())?, page::limit(query.limit)?);
    let ctx = allowed.ctx(path.tenant)?;
    found(&state, ctx, path.webhook).await?;
    let store = state.app.store.tenant(ctx).await?;
    let found = store.hooks().deliveries(path.webhook, query.state, before, limit + 1).await?;
    Ok(web::Json(Page::cut(found, limit, |delivery| delivery.id).map(DeliveryView::from)))
}

/// Which delivery.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct InDelivery {
    /// The tenant.
    #[param(value_type = String)]
    tenant: TenantId,
    /// The webhook.
    #[param(value_type = String, example = "hok_0199a8a2c4007b3e8f5d6c1b2a390817")]
    webhook: SubscriptionId,
    /// The delivery.
    #[param(value_type = String, example = "dlv_00000000000000118f5d6c1b2a390817")]
    delivery: DeliveryId,
}

/// What became of one event
#[utoipa::path(get, path = "/tenants/{tenant}/webhooks/{webhook}/deliveries/{delivery}", tag = "webhooks out",
    operation_id = "show_webhook_delivery", params(InDelivery),
    responses((status = 200, body = DeliveryView), Problems))]
pub async fn show(
    state: web::Data<State>,
    allowed: Allowed<acts::ManageHooks>,
    path: web::Path<InDelivery>,
) -> Result<web::Json<DeliveryView>, Problem> {
    let store = state.app.store.tenant(allowed.ctx(path.tenant)?).await?;
    let delivery = store.hooks().delivery(path.webhook, path.delivery).await?;
    Ok(web::Json(delivery.ok_or_else(Problem::not_found)?.into()))
}

/// Try events again
///
/// They are tried as if for the first time, with the `webhook-id` that they had.
#[utoipa::path(post, path = "/tenants/{tenant}/webhooks/{webhook}/replay", tag = "webhooks out",
    operation_id = "replay_webhook", params(InWebhook), request_body = Replay,
    responses((status = 200, body = Replayed), Problems))]
pub async fn replay(
    state: web::Data<State>,
    allowed: Allowed<acts::ManageHooks>,
    path: web::Path<InWebhook>,
    body: Body<Replay>,
) -> Result<web::Json<Replayed>, Problem> {
    let (ctx, engine) = (allowed.ctx(path.tenant)?, &state.app.engine);
    found(&state, ctx, path.webhook).await?;
    allowed.record(allowed.entry("webhook.replayed").on(&path.webhook)).await?;
    let replayed = match body.value {
        Replay { delivery: Some(id), dead: false } => {
            let replayed = engine.replay_delivery(ctx, path.webhook, id).await?;
            replayed.map(|_| 1).ok_or_else(Problem::not_found)?
        }
        Replay { delivery: None, dead: true } => engine.replay_dead(ctx, path.webhook).await?,
        _ => return Err(Problem::invalid("give `delivery`, or `dead` as true, and not both")),
    };
    Ok(web::Json(Replayed { replayed }))
}
