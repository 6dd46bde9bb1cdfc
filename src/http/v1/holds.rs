//! Legal holds: what must be kept although somebody asked that it go, or its period is over.

use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use iassistance_domain::id::{ContactId, HoldId, TenantId};
use iassistance_domain::pii::TenantView;
use iassistance_domain::privacy::{Class, HoldScope, LegalHold};
use iassistance_domain::tenant::TenantCtx;
use iassistance_domain::{Pii, Timestamp};

use super::audit::ActorView;
use super::input::{Body, Query};
use super::page::Page;
use super::tenants::InTenant;
use super::view::Problems;
use crate::http::auth::{Allowed, acts};
use crate::http::idempotency::{Created, Once};
use crate::http::{Problem, State};

/// Which hold.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct InHold {
    /// The tenant.
    #[param(value_type = String)]
    tenant: TenantId,
    /// The hold.
    #[param(value_type = String, example = "hld_0199a8a2c4007b3e8f5d6c1b2a390817")]
    hold: HoldId,
}

/// A duty to keep.
#[derive(Serialize, ToSchema)]
#[schema(as = LegalHold)]
pub struct HoldView {
    /// Its id.
    #[schema(value_type = String, example = "hld_0199a8a2c4007b3e8f5d6c1b2a390817")]
    id: HoldId,
    /// The norm that demands it.
    #[schema(example = "Ley 25.326 art. 16.5")]
    norm: String,
    /// Whose data it covers; everybody's, if `null`.
    #[schema(value_type = Option<String>)]
    contact: Option<ContactId>,
    /// Which classes of it; all, if none is named.
    classes: Vec<Class>,
    /// What proves it, and where that is kept.
    proven_by: String,
    /// When somebody must look whether it still stands. It stays in force until it is released.
    #[schema(value_type = i64)]
    review_at: Timestamp,
    /// Whether that moment is past.
    review_due: bool,
    /// Who laid it.
    made_by: ActorView,
    /// When.
    #[schema(value_type = i64)]
    made_at: Timestamp,
    /// When it was released; in force until then.
    #[schema(value_type = Option<i64>)]
    released_at: Option<Timestamp>,
    /// Who released it.
    #[serde(skip_serializing_if = "Option::is_none")]
    released_by: Option<ActorView>,
}

impl HoldView {
    fn of(hold: LegalHold, now: Timestamp) -> Self {
        Self {
            review_due: hold.is_due_for_review(now),
            id: hold.id,
            norm: hold.norm,
            contact: hold.scope.contact,
            classes: hold.scope.classes,
            proven_by: hold.document.into_inner(TenantView),
            review_at: hold.review_at,
            made_by: hold.made_by.into(),
            made_at: hold.made_at,
            released_at: hold.released.map(|released| released.at),
            released_by: hold.released.map(|released| released.by.into()),
        }
    }
}

/// A hold to be laid.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewHold {
    /// The norm that demands it: 1 to 300 characters.
    #[schema(example = "Ley 25.326 art. 16.5")]
    norm: String,
    /// Of one contact alone; of everybody, if left out.
    #[schema(value_type = Option<String>)]
    contact: Option<ContactId>,
    /// Of these classes alone: `contact`, `message`, `execution`, `event`, `webhook`, `dead_letter`; of all, if
    /// left out.
    #[serde(default)]
    classes: Vec<Class>,
    /// What proves it, and where that is kept: 1 to 1,000 characters.
    #[schema(example = "Court file 12/2026, in the safe of the legal department.")]
    proven_by: String,
    /// When somebody must look whether it still stands; later than now.
    #[schema(value_type = i64, example = 1_798_761_600_000_u64)]
    review_at: Timestamp,
}

impl NewHold {
    async fn check(&mut self, state: &State, ctx: TenantCtx) -> Result<(), Problem> {
        if let Some(contact) = self.contact {
            let known = state.app.store.tenant(ctx).await?.contact(contact).await?;
            known.ok_or_else(|| Problem::invalid("`contact`: there is no such contact"))?;
        }
        if !self.classes.iter().all(|class| class.is_chosen()) {
            let chosen = Class::CHOSEN.map(Class::name).join(", ");
            return Err(Problem::invalid(format!("`classes` must be of: {chosen}")));
        }
        self.classes.sort_unstable();
        self.classes.dedup();
        Ok(())
    }
}

/// Which holds.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct HoldsQuery {
    /// `next` of the page before; nothing for the first.
    cursor: Option<String>,
    /// How many items at most.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<usize>,
    /// Only those that are in force, or were released.
    in_force: Option<bool>,
}

/// Legal holds on a tenant's data, oldest first
#[utoipa::path(get, path = "/tenants/{tenant}/holds", tag = "privacy", operation_id = "list_holds",
    params(InTenant, HoldsQuery), responses((status = 200, body = Page<HoldView>), Problems))]
pub async fn list(
    state: web::Data<State>,
    allowed: Allowed<acts::LegalHold>,
    path: web::Path<InTenant>,
    query: Query<HoldsQuery>,
) -> Result<web::Json<Page<HoldView>>, Problem> {
    let mut holds = state.app.store.keeping().holds(allowed.ctx(path.tenant)?).await?;
    holds.retain(|hold| query.in_force.is_none_or(|wanted| hold.released.is_none() == wanted));
    let page = Page::of_all(query.cursor.as_deref(), query.limit, holds, |hold| hold.id)?;
    let now = state.clock().now();
    Ok(web::Json(page.map(|hold| HoldView::of(hold, now))))
}

/// One legal hold
#[utoipa::path(get, path = "/tenants/{tenant}/holds/{hold}", tag = "privacy", operation_id = "show_hold",
    params(InHold), responses((status = 200, body = HoldView), Problems))]
pub async fn show(
    state: web::Data<State>,
    allowed: Allowed<acts::LegalHold>,
    path: web::Path<InHold>,
) -> Result<web::Json<HoldView>, Problem> {
    let hold = state.app.store.keeping().hold(allowed.ctx(path.tenant)?, path.hold).await?;
    Ok(web::Json(HoldView::of(hold.ok_or_else(Problem::not_found)?, state.clock().now())))
}

/// Lay a legal hold
///
/// From now on no erasure and no sweep takes what it covers. At most 500 are in force at once.
#[utoipa::path(post, path = "/tenants/{tenant}/holds", tag = "privacy", operation_id = "lay_hold",
    params(InTenant), request_body = NewHold, responses((status = 201, body = HoldView), Problems))]
pub async fn lay(
    state: web::Data<State>,
    allowed: Allowed<acts::LegalHold>,
    path: web::Path<InTenant>,
    once: Once,
    body: Body<NewHold>,
) -> Result<HttpResponse, Problem> {
    let ctx = allowed.ctx(path.tenant)?;
    let Body { value: mut form, raw } = body;
    form.check(&state, ctx).await?;
    once.run(&state, &raw, async {
        let now = state.clock().now();
        let proven_by = form.proven_by.trim().to_owned();
        let hold = LegalHold {
            id: HoldId::new(now, &**state.app.engine.entropy()),
            norm: form.norm.trim().to_owned(),
            scope: HoldScope { contact: form.contact, classes: form.classes },
            document: Pii::new(proven_by.clone()),
            review_at: form.review_at,
            made_by: allowed.access().actor(allowed.principal()),
            made_at: now,
            released: None,
        };
        hold.check(proven_by.chars().count()).map_err(|problem| Problem::invalid(problem.to_string()))?;
        allowed.record(allowed.entry("hold.laid").on(&hold.id).with("norm", &hold.norm)).await?;
        let hold = state.app.keeper.lay_hold(ctx.tenant(), hold).await?;
        let at = format!("/v1/tenants/{}/holds/{}", ctx.tenant(), hold.id);
        Created::at(at, &HoldView::of(hold, now))
    })
    .await
}

/// Release a legal hold
///
/// What it kept and somebody had asked to be erased goes from now on, and so does what is over its period. The
/// hold stays on the list, as proof.
#[utoipa::path(delete, path = "/tenants/{tenant}/holds/{hold}", tag = "privacy",
    operation_id = "release_hold", params(InHold), responses((status = 200, body = HoldView), Problems))]
pub async fn release(
    state: web::Data<State>,
    allowed: Allowed<acts::LegalHold>,
    path: web::Path<InHold>,
) -> Result<web::Json<HoldView>, Problem> {
    let (ctx, now) = (allowed.ctx(path.tenant)?, state.clock().now());
    let known = state.app.store.keeping().hold(ctx, path.hold).await?.ok_or_else(Problem::not_found)?;
    if known.released.is_some() {
        return Ok(web::Json(HoldView::of(known, now)));
    }
    allowed.record(allowed.entry("hold.released").on(&known.id)).await?;
    let by = allowed.access().actor(allowed.principal());
    let hold = state.app.keeper.release_hold_soon(ctx.tenant(), known.id, by).await?;
    Ok(web::Json(HoldView::of(hold, now)))
}
