//! What the assistant costs: sums by the day, and what a contact or a conversation cost.

use actix_web::web;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use iassistance_domain::budget::{Budgets, Cost, Day};
use iassistance_domain::id::{ContactId, ConversationId};

use super::input::Query;
use super::tenants::InTenant;
use super::view::Problems;
use crate::http::auth::{Allowed, acts};
use crate::http::{Problem, State};

/// Of what.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct SpendingQuery {
    /// How many days, today being one.
    #[param(minimum = 1, maximum = 62, default = 7)]
    days: Option<u64>,
    /// What this contact cost today, too.
    #[param(value_type = Option<String>)]
    contact: Option<ContactId>,
    /// What this conversation cost so far, too.
    #[param(value_type = Option<String>)]
    conversation: Option<ConversationId>,
}

/// A day's sum.
#[derive(Serialize, ToSchema)]
#[schema(as = DaySpending)]
pub struct DayView {
    /// The day, in UTC.
    #[schema(example = "2026-11-24")]
    day: String,
    /// What was spent on it, with what is set aside for calls under way.
    spent: Cost,
}

/// What was spent, in millionths of the currency.
#[derive(Serialize, ToSchema)]
#[schema(as = Spending)]
pub struct SpendingView {
    /// That of the platform's price table.
    #[schema(example = "USD")]
    currency: String,
    /// The days, newest first.
    days: Vec<DayView>,
    /// What the contact cost today; `null` where none was asked for.
    contact: Option<Cost>,
    /// What the conversation cost so far; `null` where none was asked for.
    conversation: Option<Cost>,
    /// What may be spent; `null` is no limit.
    budgets: Budgets,
}

/// What was spent
///
/// By the price table of the platform's configuration; calls of models without a price count nothing.
#[utoipa::path(get, path = "/tenants/{tenant}/spending", tag = "assistant", operation_id = "show_spending",
    params(InTenant, SpendingQuery), responses((status = 200, body = SpendingView), Problems))]
pub async fn show(
    state: web::Data<State>,
    allowed: Allowed<acts::SeeSpending>,
    path: web::Path<InTenant>,
    query: Query<SpendingQuery>,
) -> Result<web::Json<SpendingView>, Problem> {
    let ctx = allowed.ctx(path.tenant)?;
    let count @ 1..=62 = query.days.unwrap_or(7) else {
        return Err(Problem::invalid("`days` must be 1 to 62"));
    };
    let store = state.app.store.tenant(ctx).await?;
    let today = Day::of(state.clock().now());
    let mut days = Vec::new();
    for back in 0..count {
        let day = Day(today.0.saturating_sub(back));
        days.push(DayView { day: day.to_string(), spent: store.spent(day).await? });
    }
    let contact = match query.contact {
        Some(contact) => Some(store.spent_on_contact(contact, today).await?),
        None => None,
    };
    let conversation = match query.conversation {
        Some(conversation) => Some(store.spent_in(conversation).await?),
        None => None,
    };
    let budgets = state.app.engine.assistant(ctx).await?.settings.budgets;
    let currency = state.app.settings.prices.currency.clone();
    Ok(web::Json(SpendingView { currency, days, contact, conversation, budgets }))
}
