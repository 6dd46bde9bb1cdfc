//! Orders of authorities about a tenant's data: the platform's owners enter, approve and answer them.

use actix_web::http::header::CONTENT_TYPE;
use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use iassistance_domain::id::{OrderId, TenantId};
use iassistance_domain::pii::Rights;
use iassistance_domain::privacy::{LegalOrder, OrderProblem, OrderScope, OrderStep};
use iassistance_domain::{Pii, Timestamp};

use super::audit::ActorView;
use super::input::Body;
use super::tenants::InTenant;
use super::view::Problems;
use crate::http::auth::{Allowed, acts};
use crate::http::idempotency::{Created, Once};
use crate::http::{Problem, State};
use crate::orders::{NewOrder, OrderError};

impl From<OrderError> for Problem {
    fn from(error: OrderError) -> Self {
        use OrderProblem as Wrong;
        match error {
            OrderError::NoSuchOrder => Self::not_found(),
            OrderError::Storage(error) => error.into(),
            OrderError::Json(_) => Self::internal(),
            OrderError::Problem(Wrong::OutOfScope) => Self::forbidden(Wrong::OutOfScope.to_string()),
            OrderError::Problem(
                wrong @ (Wrong::SamePerson | Wrong::Approved | Wrong::NotApproved | Wrong::TooOften),
            ) => Self::conflict(wrong.to_string()),
            error @ (OrderError::NotToTell | OrderError::TooLarge) => Self::conflict(error.to_string()),
            error @ OrderError::Problem(_) => Self::invalid(error.to_string()),
        }
    }
}

/// Which order.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct InOrder {
    /// The tenant.
    #[param(value_type = String)]
    tenant: TenantId,
    /// The order.
    #[param(value_type = String, example = "ord_0199a8a2c4007b3e8f5d6c1b2a390817")]
    order: OrderId,
}

/// An order to be entered.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "authority": "Juzgado Federal N° 3 de Rosario", "reference": "FRO 12345/2026, oficio del 2 de marzo",
    "document": "Folder legal/2026/17.", "may_tell": true,
    "scope": {
        "contacts": ["con_0199a8a2c4007b3e8f5d6c1b2a390817"], "classes": ["message"],
        "from": 1_790_000_000_000_i64, "until": 1_790_086_400_000_i64
    }
}))]
pub struct OrderInput {
    /// Who ordered it; 1 to 200 characters.
    #[schema(example = "Juzgado Federal N° 3 de Rosario")]
    authority: String,
    /// Its file, norm and date; 1 to 200 characters.
    #[schema(example = "FRO 12345/2026, oficio del 2 de marzo")]
    reference: String,
    /// The document, and where it is kept; 1 to 1,000 characters.
    #[schema(example = "Folder legal/2026/17.")]
    document: String,
    /// What it covers: nothing beyond it is handed over.
    scope: OrderScope,
    /// Whether the client may be told.
    may_tell: bool,
}

/// Who did something about an order, and when.
#[derive(Serialize, ToSchema)]
#[schema(as = OrderStep)]
pub struct StepView {
    /// When.
    #[schema(value_type = i64)]
    at: Timestamp,
    /// Who.
    by: ActorView,
}

impl From<OrderStep> for StepView {
    fn from(step: OrderStep) -> Self {
        Self { at: step.at, by: step.by.into() }
    }
}

/// What was handed over.
#[derive(Serialize, ToSchema)]
#[schema(as = OrderAnswer)]
pub struct AnswerView {
    /// When and by whom.
    step: StepView,
    /// What was asked for.
    scope: OrderScope,
    /// How many records.
    records: u64,
    /// SHA-256 of what was handed over, in hexadecimal.
    sha256: String,
}

/// An order of an authority.
#[derive(Serialize, ToSchema)]
#[schema(as = LegalOrder)]
pub struct OrderView {
    /// Its id.
    #[schema(value_type = String)]
    id: OrderId,
    /// Who ordered it.
    authority: String,
    /// Its file, norm and date.
    reference: String,
    /// The document, and where it is kept.
    document: String,
    /// What it covers.
    scope: OrderScope,
    /// Whether the client may be told.
    may_tell: bool,
    /// Who entered it.
    entered: StepView,
    /// Who approved it.
    approved: Option<StepView>,
    /// When the client was told.
    #[schema(value_type = Option<i64>)]
    told_at: Option<Timestamp>,
    /// What was handed over.
    answers: Vec<AnswerView>,
}

impl From<LegalOrder> for OrderView {
    fn from(order: LegalOrder) -> Self {
        let answers = order.answers.into_iter().map(|answer| AnswerView {
            step: answer.step.into(),
            scope: answer.scope,
            records: answer.records,
            sha256: answer.sha256,
        });
        Self {
            id: order.id,
            authority: order.authority,
            reference: order.reference,
            document: order.document.into_inner(Rights),
            scope: order.scope,
            may_tell: order.may_tell,
            entered: order.entered.into(),
            approved: order.approved.map(StepView::from),
            told_at: order.told_at,
            answers: answers.collect(),
        }
    }
}

/// Orders of authorities about a tenant's data, oldest first
#[utoipa::path(get, path = "/tenants/{tenant}/orders", tag = "orders", operation_id = "list_orders",
    params(InTenant), responses((status = 200, body = Vec<OrderView>), Problems))]
pub async fn list(
    state: web::Data<State>,
    allowed: Allowed<acts::AnswerOrders>,
    path: web::Path<InTenant>,
) -> Result<web::Json<Vec<OrderView>>, Problem> {
    let found = state.app.store.leaving().orders(allowed.ctx(path.tenant)?).await?;
    Ok(web::Json(found.into_iter().map(OrderView::from).collect()))
}

/// Enter an order
///
/// Nothing is handed over before another owner approves it.
#[utoipa::path(post, path = "/tenants/{tenant}/orders", tag = "orders", operation_id = "enter_order",
    params(InTenant), request_body = OrderInput, responses((status = 201, body = OrderView), Problems))]
pub async fn enter(
    state: web::Data<State>,
    allowed: Allowed<acts::AnswerOrders>,
    path: web::Path<InTenant>,
    once: Once,
    body: Body<OrderInput>,
) -> Result<HttpResponse, Problem> {
    let tenant = allowed.ctx(path.tenant)?.tenant();
    let Body { value: OrderInput { authority, reference, document, scope, may_tell }, raw } = body;
    let by = allowed.access().actor(allowed.principal());
    once.run(&state, &raw, async {
        let new = NewOrder { authority, reference, document: Pii::new(document), scope, may_tell };
        let order = state.app.orders.enter(tenant, new, by).await?;
        Created::at(format!("/v1/tenants/{tenant}/orders/{}", order.id), &OrderView::from(order))
    })
    .await
}

/// One order
#[utoipa::path(get, path = "/tenants/{tenant}/orders/{order}", tag = "orders", operation_id = "show_order",
    params(InOrder), responses((status = 200, body = OrderView), Problems))]
pub async fn show(
    state: web::Data<State>,
    allowed: Allowed<acts::AnswerOrders>,
    path: web::Path<InOrder>,
) -> Result<web::Json<OrderView>, Problem> {
    let tenant = allowed.ctx(path.tenant)?.tenant();
    Ok(web::Json(state.app.orders.order(tenant, path.order).await?.into()))
}

/// Approve an order that another owner entered
///
/// The client is told of it, unless that is barred.
#[utoipa::path(post, path = "/tenants/{tenant}/orders/{order}/approve", tag = "orders",
    operation_id = "approve_order", params(InOrder), responses((status = 200, body = OrderView), Problems))]
pub async fn approve(
    state: web::Data<State>,
    allowed: Allowed<acts::AnswerOrders>,
    path: web::Path<InOrder>,
) -> Result<web::Json<OrderView>, Problem> {
    let tenant = allowed.ctx(path.tenant)?.tenant();
    let by = allowed.access().actor(allowed.principal());
    Ok(web::Json(state.app.orders.approve(tenant, path.order, by).await?.into()))
}

/// Tell the client of an order of which it was barred to tell until now
#[utoipa::path(post, path = "/tenants/{tenant}/orders/{order}/tell", tag = "orders", operation_id = "tell_order",
    params(InOrder), responses((status = 200, body = OrderView), Problems))]
pub async fn tell(
    state: web::Data<State>,
    allowed: Allowed<acts::AnswerOrders>,
    path: web::Path<InOrder>,
) -> Result<web::Json<OrderView>, Problem> {
    let tenant = allowed.ctx(path.tenant)?.tenant();
    let by = allowed.access().actor(allowed.principal());
    Ok(web::Json(state.app.orders.tell(tenant, path.order, by).await?.into()))
}

/// Hand over what an order covers, or a part of it
///
/// JSON records, one a line. What goes beyond the order's scope is refused whole, and that is on the record.
#[utoipa::path(post, path = "/tenants/{tenant}/orders/{order}/answer", tag = "orders",
    operation_id = "answer_order", params(InOrder), request_body = OrderScope,
    responses((status = 200, body = String, content_type = "application/x-ndjson"), Problems))]
pub async fn answer(
    state: web::Data<State>,
    allowed: Allowed<acts::AnswerOrders>,
    path: web::Path<InOrder>,
    body: Body<OrderScope>,
) -> Result<HttpResponse, Problem> {
    let tenant = allowed.ctx(path.tenant)?.tenant();
    let by = allowed.access().actor(allowed.principal());
    let (_, lines) = state.app.orders.answer(tenant, path.order, body.value, by).await?;
    Ok(HttpResponse::Ok().insert_header((CONTENT_TYPE, "application/x-ndjson")).body(lines))
}
