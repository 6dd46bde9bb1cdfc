//! For how long what is kept, and what went because its period was over.

use std::collections::BTreeMap;

use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use iassistance_domain::Timestamp;
use iassistance_domain::id::{ConversationId, TenantId};
use iassistance_domain::privacy::{Class, Retention, SweepRecord};
use iassistance_domain::tenant::TenantCtx;

use super::input::{Body, Query};
use super::tag::{self, IfMatch, IfNoneMatch};
use super::tenants::InTenant;
use super::view::Problems;
use crate::http::auth::{Allowed, acts};
use crate::http::{Problem, State};
use crate::keeping::Explanation;

const MINUTE_MS: u64 = 60 * 1_000;
const DAY_MS: u64 = 24 * 60 * MINUTE_MS;

/// The latest sweep of a class: what went because its period was over.
#[derive(Serialize, ToSchema)]
#[schema(as = Sweep)]
pub struct SweepView {
    /// When it ended.
    #[schema(value_type = i64)]
    at: Timestamp,
    /// What was older than this went.
    #[schema(value_type = i64)]
    before: Timestamp,
    /// How many records.
    removed: u64,
    /// How many files of messages.
    files: u64,
    /// How many were due and stayed, for a legal hold.
    held: u64,
}

impl From<SweepRecord> for SweepView {
    fn from(sweep: SweepRecord) -> Self {
        let SweepRecord { at, before, removed, files, held, .. } = sweep;
        Self { at, before, removed, files, held }
    }
}

/// A class for which the tenant chooses a period.
#[derive(Serialize, ToSchema)]
pub struct ClassPeriod {
    /// Which.
    class: Class,
    /// For how many days it is kept now.
    days: u32,
    /// What the tenant chose; `null` where the platform's default counts.
    chosen: Option<u32>,
    /// The fewest days that may be chosen: nothing goes earlier.
    floor: u32,
    /// The most: nothing stays longer, and no more than a day beyond its period.
    ceiling: u32,
    /// What counts where nothing is chosen.
    default: u32,
    /// From when on the period counts, in words.
    rule: &'static str,
    /// What is older than this goes with the next sweep, but for what a legal hold covers.
    #[schema(value_type = i64)]
    goes_before: Timestamp,
    /// When it is swept next, at the latest; a quarter of an hour may come to it.
    #[schema(value_type = i64)]
    swept_by: Timestamp,
    /// The latest sweep; `null` before the first.
    last_sweep: Option<SweepView>,
}

/// A class that is kept by a rule of the platform.
#[derive(Serialize, ToSchema)]
pub struct ClassRule {
    /// Which.
    class: Class,
    /// How long, in words.
    rule: &'static str,
}

/// For how long what is kept.
#[derive(Serialize, ToSchema)]
#[schema(as = Retention)]
pub struct RetentionView {
    /// What the tenant chooses.
    chosen: Vec<ClassPeriod>,
    /// What goes by a rule.
    by_rule: Vec<ClassRule>,
    /// How often what is over its period is removed, minutes.
    swept_every_minutes: u64,
}

/// Periods as they are to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "days": { "message": 180, "execution": 90 } }))]
pub struct RetentionForm {
    /// Days by class: `contact`, `message`, `execution`, `event`, `webhook`, `dead_letter`. A class that is left
    /// out is kept for the platform's default.
    #[schema(value_type = BTreeMap<String, u32>)]
    days: BTreeMap<Class, u32>,
}

async fn shown(
    state: &State,
    ctx: TenantCtx,
    chosen: &Retention,
) -> Result<(String, RetentionView), Problem> {
    let rules = state.app.keeper.rules();
    let mut sweeps = state.app.store.keeping().sweeps(ctx).await?;
    let mut last = |class: Class| {
        let at = sweeps.iter().position(|sweep| sweep.class == class)?;
        Some(sweeps.swap_remove(at).into())
    };
    let periods = rules.all().map(|(class, bounds)| ClassPeriod {
        class,
        days: rules.days(chosen, class).unwrap_or(bounds.default),
        chosen: chosen.days.get(&class).copied(),
        floor: bounds.floor,
        ceiling: bounds.ceiling,
        default: bounds.default,
        rule: class.rule(),
        goes_before: Timestamp::EPOCH,
        swept_by: Timestamp::EPOCH,
        last_sweep: last(class),
    });
    let periods = periods.collect();
    let by_rule = Class::ALL.into_iter().filter(|class| !class.is_chosen());
    let by_rule = by_rule.map(|class| ClassRule { class, rule: class.rule() }).collect();
    let swept_every_minutes = state.app.settings.retention.sweep_minutes;
    let view = RetentionView { chosen: periods, by_rule, swept_every_minutes };
    let (tag, mut view) = tag::whole(state, chosen, view)?;
    // Time alone is no change.
    let now = state.clock().now();
    for period in &mut view.chosen {
        period.goes_before = now.minus_millis(u64::from(period.days) * DAY_MS);
        let every = swept_every_minutes.saturating_mul(MINUTE_MS);
        period.swept_by = period.last_sweep.as_ref().map_or(now, |sweep| sweep.at.plus_millis(every));
    }
    Ok((tag, view))
}

/// For how long what is kept
///
/// The periods that the tenant chose, with the platform's floor and ceiling and the latest sweep of each class;
/// and the rules by which the rest goes.
#[utoipa::path(get, path = "/tenants/{tenant}/retention", tag = "privacy", operation_id = "show_retention",
    params(InTenant), responses((status = 200, body = RetentionView), Problems))]
pub async fn show(
    state: web::Data<State>,
    allowed: Allowed<acts::SeeSetUp>,
    path: web::Path<InTenant>,
    has: IfNoneMatch,
) -> Result<HttpResponse, Problem> {
    let ctx = allowed.ctx(path.tenant)?;
    let chosen = state.app.store.keeping().retention(ctx).await?;
    let (tag, view) = shown(&state, ctx, &chosen).await?;
    Ok(has.show(&tag, &view))
}

/// Choose for how long what is kept
///
/// All periods at once. What is over a shorter period goes with the next sweep, and does not come back.
#[utoipa::path(put, path = "/tenants/{tenant}/retention", tag = "privacy", operation_id = "change_retention",
    params(InTenant), request_body = RetentionForm,
    responses((status = 200, body = RetentionView), Problems))]
pub async fn change(
    state: web::Data<State>,
    allowed: Allowed<acts::EditAssistant>,
    path: web::Path<InTenant>,
    seen: IfMatch,
    body: Body<RetentionForm>,
) -> Result<HttpResponse, Problem> {
    let ctx = allowed.ctx(path.tenant)?;
    let chosen = Retention { days: body.value.days };
    let rules = state.app.keeper.rules();
    rules.check(&chosen).map_err(|problem| Problem::invalid(problem.to_string()))?;
    let _alone = state.changing.lock().await;
    let before = state.app.store.keeping().retention(ctx).await?;
    seen.check_set(&state, &before)?;
    let mut entry = allowed.entry("retention.changed").on(&ctx.tenant());
    for (class, days) in &chosen.days {
        entry = entry.with(class.name(), days);
    }
    allowed.record(entry).await?;
    state.app.keeper.choose_periods(ctx.tenant(), chosen.clone()).await?;
    let (tag, view) = shown(&state, ctx, &chosen).await?;
    Ok(tag::tagged(&tag, &view))
}

/// What is to be explained.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct InExplained {
    /// The tenant.
    #[param(value_type = String)]
    tenant: TenantId,
    /// The id of anything that is kept.
    #[param(pattern = "^[a-z]{3}_[0-9a-f]{32}$", example = "cnv_0199a8a2c4007b3e8f5d6c1b2a390817")]
    id: String,
}

/// Where it is.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct ExplainQuery {
    /// The conversation of a message, a turn or a file.
    #[param(value_type = Option<String>)]
    conversation: Option<ConversationId>,
}

/// Why something is still there, and until when
///
/// For contacts, conversations, messages, turns, files, deliveries and dead letters: from when on the period counts,
/// when it is over, and which legal holds keep it all the same. Who was erased is told of by the erasure. Of what goes
/// by a rule of the platform the rule is told, whether there is such a thing or not.
#[utoipa::path(get, path = "/tenants/{tenant}/retention/{id}", tag = "privacy", operation_id = "explain_retention",
    params(InExplained, ExplainQuery), responses((status = 200, body = Explanation), Problems))]
pub async fn explain(
    state: web::Data<State>,
    allowed: Allowed<acts::LegalHold>,
    path: web::Path<InExplained>,
    query: Query<ExplainQuery>,
) -> Result<web::Json<Explanation>, Problem> {
    let ctx = allowed.ctx(path.tenant)?;
    let found = state.app.keeper.explain(ctx.tenant(), &path.id, query.conversation).await?;
    found.map(web::Json).ok_or_else(Problem::not_found)
}
