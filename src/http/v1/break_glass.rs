//! Break-glass: an owner of the platform looks into a tenant's content, with a reason, another owner's consent
//! and an end. The tenant sees it at once, in its log and by mail.

use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use iassistance_domain::account::{MemberOf, Role};
use iassistance_domain::audit::AuditEntry;
use iassistance_domain::break_glass::{BreakGlass, MINUTES_MAX, REASON_CHARS_MAX};
use iassistance_domain::event::EventKind;
use iassistance_domain::id::{AccountId, BreakGlassId, TenantId};
use iassistance_domain::pii::TenantView;
use iassistance_domain::tenant::TenantCtx;
use iassistance_domain::{Pii, Timestamp};
use iassistance_identity::mail::Letter;

use super::input::{Body, Query};
use super::page::{self, Page};
use super::tenants::InTenant;
use super::view::Problems;
use crate::http::auth::{Allowed, acts};
use crate::http::idempotency::{Created, Once};
use crate::http::{Problem, State};
use crate::identity::recipient;

/// Members of a tenant that are told by mail, at most.
const TOLD_MAX: usize = 200;

/// Which grant.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct InGrant {
    /// The tenant.
    #[param(value_type = String)]
    tenant: TenantId,
    /// The grant.
    #[param(value_type = String, example = "brk_0199a8a2c4007b3e8f5d6c1b2a390817")]
    grant: BreakGlassId,
}

/// A look that is asked for.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewBreakGlass {
    /// Why; 1 to 1,000 characters. The tenant reads it.
    #[schema(example = "Incident 42: messages arrive twice.")]
    reason: String,
    /// For how many minutes, 1 to 60.
    #[schema(example = 30)]
    minutes: u32,
}

/// A look of the platform's owner into a tenant's content.
#[derive(Serialize, ToSchema)]
#[schema(as = BreakGlass)]
pub struct BreakGlassView {
    /// Its id.
    #[schema(value_type = String, example = "brk_0199a8a2c4007b3e8f5d6c1b2a390817")]
    id: BreakGlassId,
    /// Who wants to look.
    #[schema(value_type = String)]
    asked_by: AccountId,
    /// Why.
    reason: String,
    /// When they asked.
    #[schema(value_type = i64)]
    asked_at: Timestamp,
    /// Who consented.
    #[schema(value_type = Option<String>)]
    approved_by: Option<AccountId>,
    /// For how many minutes.
    minutes: u32,
    /// When it was opened.
    #[schema(value_type = Option<i64>)]
    opened_at: Option<Timestamp>,
    /// When it ends by itself.
    #[schema(value_type = Option<i64>)]
    ends_at: Option<Timestamp>,
    /// When somebody ended or refused it.
    #[schema(value_type = Option<i64>)]
    ended_at: Option<Timestamp>,
}

impl From<BreakGlass> for BreakGlassView {
    fn from(grant: BreakGlass) -> Self {
        Self {
            id: grant.id,
            asked_by: grant.asked_by,
            reason: grant.reason.into_inner(TenantView),
            asked_at: grant.asked_at,
            approved_by: grant.approved_by,
            minutes: grant.minutes,
            opened_at: grant.opened_at,
            ends_at: grant.ends_at,
            ended_at: grant.ended_at,
        }
    }
}

/// Writes to those who administer the tenant.
async fn tell(state: &State, ctx: TenantCtx, grant: &BreakGlass, opened: bool) -> Result<(), Problem> {
    let people = state.app.store.people();
    let place = MemberOf::Tenant(ctx.tenant());
    let record = people.tenant_record(ctx.tenant()).await?.ok_or_else(Problem::not_found)?;
    let link = state.app.identity.link(&format!("/t/{}/break-glass", ctx.tenant()), "");
    for member in people.accounts(None, TOLD_MAX, Some(place)).await? {
        if member.is_active() && member.membership(place).is_some_and(|it| it.role == Role::TenantAdmin) {
            let letter = Letter::BreakGlass {
                tenant: &record.name,
                reason: &grant.reason,
                minutes: grant.minutes.into(),
                opened,
                link: &link,
            };
            state.app.identity.write(&recipient(&member), &letter);
        }
    }
    Ok(())
}

async fn found(state: &State, ctx: TenantCtx, id: BreakGlassId) -> Result<BreakGlass, Problem> {
    state.app.store.people().break_glass(ctx, id).await?.ok_or_else(Problem::not_found)
}

/// Which looks.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct LooksQuery {
    /// `next` of the page before; nothing for the first.
    cursor: Option<String>,
    /// How many items at most.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<usize>,
    /// Only those that are over, or are not: refused, ended, or past their time.
    over: Option<bool>,
}

/// Looks of the platform's owners into the tenant, newest first
#[utoipa::path(get, path = "/tenants/{tenant}/break-glass", tag = "break-glass",
    operation_id = "list_break_glass", params(InTenant, LooksQuery),
    responses((status = 200, body = Page<BreakGlassView>), Problems))]
pub async fn list(
    state: web::Data<State>,
    allowed: Allowed<acts::SeeBreakGlass>,
    path: web::Path<InTenant>,
    query: Query<LooksQuery>,
) -> Result<web::Json<Page<BreakGlassView>>, Problem> {
    let (before, limit) = (page::cursor(query.cursor.as_deref())?, page::limit(query.limit)?);
    let (ctx, now) = (allowed.ctx(path.tenant)?, state.clock().now());
    let people = state.app.store.people();
    let is_over =
        |grant: &BreakGlass| grant.ended_at.is_some() || grant.ends_at.is_some_and(|ends_at| now >= ends_at);
    let wants = |grant: &BreakGlass| query.over.is_none_or(|over| is_over(grant) == over);
    let fetch = async |before, limit| Ok(people.break_glasses(ctx, before, limit).await?);
    let page = page::scan(before, limit, |grant: &BreakGlass| grant.id, wants, fetch).await?;
    Ok(web::Json(page.map(BreakGlassView::from)))
}

/// One look
#[utoipa::path(get, path = "/tenants/{tenant}/break-glass/{grant}", tag = "break-glass",
    operation_id = "show_break_glass", params(InGrant),
    responses((status = 200, body = BreakGlassView), Problems))]
pub async fn show(
    state: web::Data<State>,
    allowed: Allowed<acts::SeeBreakGlass>,
    path: web::Path<InGrant>,
) -> Result<web::Json<BreakGlassView>, Problem> {
    Ok(web::Json(found(&state, allowed.ctx(path.tenant)?, path.grant).await?.into()))
}

/// Ask to look into a tenant's content
///
/// Another owner consents to it within a day, or nobody looks. The tenant is told at once.
#[utoipa::path(post, path = "/tenants/{tenant}/break-glass", tag = "break-glass",
    operation_id = "ask_break_glass", params(InTenant), request_body = NewBreakGlass,
    responses((status = 201, body = BreakGlassView), Problems))]
pub async fn ask(
    state: web::Data<State>,
    allowed: Allowed<acts::AskBreakGlass>,
    path: web::Path<InTenant>,
    once: Once,
    body: Body<NewBreakGlass>,
) -> Result<HttpResponse, Problem> {
    let ctx = allowed.ctx(path.tenant)?;
    let Body { value: NewBreakGlass { reason, minutes }, raw } = body;
    let reason = reason.trim().to_owned();
    if reason.is_empty() || reason.chars().count() > REASON_CHARS_MAX {
        return Err(Problem::invalid("`reason` must have 1 to 1,000 characters"));
    }
    if !(1..=MINUTES_MAX).contains(&minutes) {
        return Err(Problem::invalid("`minutes` must be 1 to 60"));
    }
    once.run(&state, &raw, async {
        let (account, now) = (allowed.person()?.account.id, state.clock().now());
        let grant = BreakGlass {
            id: BreakGlassId::new(now, &**state.app.engine.entropy()),
            tenant: ctx.tenant(),
            asked_by: account,
            reason: Pii::new(reason),
            asked_at: now,
            approved_by: None,
            minutes,
            opened_at: None,
            ends_at: None,
            ended_at: None,
        };
        let entry = allowed.entry("break_glass.asked").on(&grant.id).with("minutes", &minutes);
        allowed.record(AuditEntry { reason: Some(grant.reason.clone()), ..entry }).await?;
        let event =
            EventKind::BreakGlassAsked { grant: grant.id, account, reason: grant.reason.clone(), minutes };
        state.app.store.people().put_break_glass(ctx, grant.clone(), event).await?;
        tell(&state, ctx, &grant, false).await?;
        Created::at(None, &BreakGlassView::from(grant))
    })
    .await
}

/// Consent to another owner's look
///
/// It is open from now on, for as long as was asked. Nobody consents to their own.
#[utoipa::path(post, path = "/tenants/{tenant}/break-glass/{grant}/approve", tag = "break-glass",
    operation_id = "approve_break_glass", params(InGrant),
    responses((status = 200, body = BreakGlassView), Problems))]
pub async fn approve(
    state: web::Data<State>,
    allowed: Allowed<acts::AskBreakGlass>,
    path: web::Path<InGrant>,
) -> Result<web::Json<BreakGlassView>, Problem> {
    let ctx = allowed.ctx(path.tenant)?;
    let grant = found(&state, ctx, path.grant).await?;
    let (account, now) = (allowed.person()?.account.id, state.clock().now());
    let refused = || Problem::conflict("it is over, or your own: another owner consents within a day");
    let opened = grant.opened(account, now).ok_or_else(refused)?;
    allowed.record(allowed.entry("break_glass.opened").on(&opened.id)).await?;
    let event = EventKind::BreakGlassOpened {
        grant: opened.id,
        account: opened.asked_by,
        approved_by: account,
        ends_at: opened.ends_at.unwrap_or(now),
    };
    state.app.store.people().put_break_glass(ctx, opened.clone(), event).await?;
    tell(&state, ctx, &opened, true).await?;
    Ok(web::Json(opened.into()))
}

/// End a look, or refuse it
#[utoipa::path(post, path = "/tenants/{tenant}/break-glass/{grant}/end", tag = "break-glass",
    operation_id = "end_break_glass", params(InGrant),
    responses((status = 200, body = BreakGlassView), Problems))]
pub async fn end(
    state: web::Data<State>,
    allowed: Allowed<acts::EndBreakGlass>,
    path: web::Path<InGrant>,
) -> Result<web::Json<BreakGlassView>, Problem> {
    let ctx = allowed.ctx(path.tenant)?;
    let mut grant = found(&state, ctx, path.grant).await?;
    if grant.ended_at.is_none() {
        allowed.record(allowed.entry("break_glass.ended").on(&grant.id)).await?;
        grant.ended_at = Some(state.clock().now());
        let event = EventKind::BreakGlassEnded { grant: grant.id };
        state.app.store.people().put_break_glass(ctx, grant.clone(), event).await?;
    }
    Ok(web::Json(grant.into()))
}
