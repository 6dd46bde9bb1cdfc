//! Erasing people: asked for here, carried out by the keeper, proven by a receipt.

use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use iassistance_domain::audit::AuditEntry;
use iassistance_domain::id::{ContactId, DeletionId, ErasureId, HoldId, TenantId};
use iassistance_domain::privacy::rights::RightKind;
use iassistance_domain::privacy::{Erasure, ErasureGround, ErasureState, Finality, Receipt};
use iassistance_domain::{Pii, Timestamp};

use super::audit::ActorView;
use super::contacts::InContact;
use super::input::{Body, Query};
use super::page::{self, Page};
use super::tenants::InTenant;
use super::view::Problems;
use crate::http::auth::{Allowed, acts};
use crate::http::{Problem, State};
use crate::keeping::KeepingError;

const GROUND_CHARS_MAX: usize = 1_000;
/// So long an answer waits for an erasure; a longer one goes on without it.
const WAIT_MS: u64 = 5_000;
const RETRY_S: u32 = 30;

/// Which erasure.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct InErasure {
    /// The tenant.
    #[param(value_type = String)]
    tenant: TenantId,
    /// The erasure.
    #[param(value_type = String, example = "era_0199a8a2c4007b3e8f5d6c1b2a390817")]
    erasure: ErasureId,
}

/// Why somebody is to be erased.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewErasure {
    /// As the audit log keeps it; 1 to 1,000 characters, and nothing about the person.
    #[schema(example = "They asked for it by mail; file 12.")]
    ground: String,
}

/// How far an erasure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ErasureStage {
    /// It is under way, and goes on by itself.
    Begun,
    /// All is gone that no legal hold keeps; the rest goes when that is released.
    Held,
    /// All is gone from what is served, with the key.
    Erased,
    /// What wrapped the key is destroyed too: no old byte of it opens any more.
    Final,
}

impl From<ErasureState> for ErasureStage {
    fn from(state: ErasureState) -> Self {
        match state {
            ErasureState::Begun => Self::Begun,
            ErasureState::Held { .. } => Self::Held,
            ErasureState::Erased { .. } => Self::Erased,
            ErasureState::Final { .. } => Self::Final,
        }
    }
}

/// One person's data on its way out: ids alone.
#[derive(Serialize, ToSchema)]
#[schema(as = Erasure)]
pub struct ErasureView {
    /// Its id.
    #[schema(value_type = String, example = "era_0199a8a2c4007b3e8f5d6c1b2a390817")]
    id: ErasureId,
    /// Whom it was asked about.
    #[schema(value_type = String)]
    contact: ContactId,
    /// All contacts who proved to be that person: all of them go.
    #[schema(value_type = Vec<String>)]
    contacts: Vec<ContactId>,
    /// `asked`, `meta` (which passed it on), `retention` (they were silent for the period) or `restored` (a
    /// backup had brought them back).
    why: &'static str,
    /// Who took it up, where it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<ActorView>,
    /// Meta's request, where it passed one on.
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    deletion: Option<DeletionId>,
    /// When it was asked for.
    #[schema(value_type = i64)]
    asked_at: Timestamp,
    /// When it must be final.
    #[schema(value_type = i64)]
    due_at: Timestamp,
    /// How far it is.
    state: ErasureStage,
    /// The legal hold that keeps the rest.
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    hold: Option<HoldId>,
    /// When all was gone from what is served.
    #[schema(value_type = Option<i64>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    erased_at: Option<Timestamp>,
    /// When it became final.
    #[schema(value_type = Option<i64>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    final_at: Option<Timestamp>,
    /// How final that is.
    #[serde(skip_serializing_if = "Option::is_none")]
    finality: Option<Finality>,
    /// What was destroyed, place by place, and what remains until when.
    receipt: Receipt,
}

impl From<Erasure> for ErasureView {
    fn from(erasure: Erasure) -> Self {
        let (why, by, deletion) = match erasure.ground {
            ErasureGround::Asked { by } => ("asked", Some(by.into()), None),
            ErasureGround::Meta { deletion } => ("meta", None, Some(deletion)),
            ErasureGround::Retention => ("retention", None, None),
            ErasureGround::Restored => ("restored", None, None),
        };
        let (hold, erased_at, final_at, finality) = match erasure.state {
            ErasureState::Begun => (None, None, None, None),
            ErasureState::Held { hold, .. } => (Some(hold), None, None, None),
            ErasureState::Erased { at } => (None, Some(at), None, None),
            ErasureState::Final { erased_at, at, finality } => {
                (None, Some(erased_at), Some(at), Some(finality))
            }
        };
        Self {
            id: erasure.id,
            contact: erasure.contact,
            contacts: erasure.contacts,
            why,
            by,
            deletion,
            asked_at: erasure.asked_at,
            due_at: erasure.due_at,
            state: erasure.state.into(),
            hold,
            erased_at,
            final_at,
            finality,
            receipt: erasure.receipt,
        }
    }
}

/// Erase a person
///
/// All contacts who proved to be that person go: what was said, files, summaries, execution records, what waited,
/// their key. What a legal hold covers stays until that is released. 200 when it is gone from what is served, 202
/// when that takes longer: it goes on by itself, and `GET` shows how far it is. Asked again before it is final, it
/// is the same one. There is no way back.
#[utoipa::path(post, path = "/tenants/{tenant}/contacts/{contact}/erasure", tag = "privacy",
    operation_id = "erase_contact", params(InContact), request_body = NewErasure,
    responses((status = 200, description = "It is gone", body = ErasureView),
        (status = 202, description = "It is under way", body = ErasureView), Problems))]
pub async fn erase(
    state: web::Data<State>,
    allowed: Allowed<acts::EraseSubject>,
    path: web::Path<InContact>,
    body: Body<NewErasure>,
) -> Result<HttpResponse, Problem> {
    let (ctx, contact) = (allowed.ctx(path.tenant)?, path.contact);
    let ground = body.value.ground.trim();
    if ground.is_empty() || ground.chars().count() > GROUND_CHARS_MAX {
        return Err(Problem::invalid("`ground` must have 1 to 1,000 characters"));
    }
    let keeping = state.app.store.keeping();
    let under_way = keeping.unfinished_erasures(ctx).await?;
    let is_known = under_way.iter().any(|erasure| erasure.contacts.contains(&contact));
    if !is_known && keeping.person(ctx, contact).await?.contacts.is_empty() {
        return Err(Problem::not_found());
    }
    let entry = allowed.entry("contact.erasure_asked").on(&contact);
    allowed.record(AuditEntry { reason: Some(Pii::new(ground.to_owned())), ..entry }).await?;
    let asked = ErasureGround::Asked { by: allowed.access().actor(allowed.principal()) };
    let (law, in_force) = state.app.registrar.law();
    let due_at = law.due(in_force, RightKind::Delete, state.clock().now()).at;
    let erasure = state.app.keeper.erase_soon(ctx.tenant(), contact, asked, due_at, WAIT_MS).await?;
    let is_under_way = erasure.state == ErasureState::Begun;
    let mut answer = if is_under_way { HttpResponse::Accepted() } else { HttpResponse::Ok() };
    Ok(answer.json(ErasureView::from(erasure)))
}

/// Which erasures.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct ErasuresQuery {
    /// `next` of the page before; nothing for the first.
    cursor: Option<String>,
    /// How many items at most.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<usize>,
    /// Only those that are so far.
    #[param(inline)]
    state: Option<ErasureStage>,
}

/// Erasures, newest first
#[utoipa::path(get, path = "/tenants/{tenant}/erasures", tag = "privacy", operation_id = "list_erasures",
    params(InTenant, ErasuresQuery), responses((status = 200, body = Page<ErasureView>), Problems))]
pub async fn list(
    state: web::Data<State>,
    allowed: Allowed<acts::SeeErasures>,
    path: web::Path<InTenant>,
    query: Query<ErasuresQuery>,
) -> Result<web::Json<Page<ErasureView>>, Problem> {
    let ctx = allowed.ctx(path.tenant)?;
    let (before, limit) = (page::cursor(query.cursor.as_deref())?, page::limit(query.limit)?);
    let wants = |erasure: &Erasure| query.state.is_none_or(|wanted| wanted == erasure.state.into());
    let keeping = state.app.store.keeping();
    let fetch = async |before, limit| Ok(keeping.erasures(ctx, before, limit).await?);
    let page = page::scan(before, limit, |erasure: &Erasure| erasure.id, wants, fetch).await?;
    Ok(web::Json(page.map(ErasureView::from)))
}

/// One erasure, with its receipt
#[utoipa::path(get, path = "/tenants/{tenant}/erasures/{erasure}", tag = "privacy",
    operation_id = "show_erasure", params(InErasure), responses((status = 200, body = ErasureView), Problems))]
pub async fn show(
    state: web::Data<State>,
    allowed: Allowed<acts::SeeErasures>,
    path: web::Path<InErasure>,
) -> Result<web::Json<ErasureView>, Problem> {
    let ctx = allowed.ctx(path.tenant)?;
    let erasure = state.app.store.keeping().erasure(ctx, path.erasure).await?;
    Ok(web::Json(erasure.ok_or_else(Problem::not_found)?.into()))
}

impl From<KeepingError> for Problem {
    fn from(error: KeepingError) -> Self {
        match error {
            KeepingError::Storage(error) => error.into(),
            KeepingError::Content(error) => error.into(),
            KeepingError::NoSuchContact | KeepingError::NoSuchHold | KeepingError::NoSuchKind => {
                Self::not_found()
            }
            KeepingError::Retention(_) | KeepingError::Hold(_) | KeepingError::InWhich => {
                Self::invalid(error.to_string())
            }
            KeepingError::Held(_) => Self::conflict(error.to_string()),
            KeepingError::Busy => Self::unavailable(RETRY_S, error.to_string()),
            KeepingError::List(_)
            | KeepingError::Vault(_)
            | KeepingError::KeyCopy { .. }
            | KeepingError::Sign(_)
            | KeepingError::Export(_) => {
                tracing::error!(%error, "what keeps data could not do what was asked");
                Self::internal()
            }
        }
    }
}
