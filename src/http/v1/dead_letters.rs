//! Dead letters: work that was given up, and another try.

use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use iassistance_domain::Timestamp;
use iassistance_domain::event::{DeadLetter, DeadWork};
use iassistance_domain::id::{ConversationId, DeadLetterId, MessageId, TenantId, TurnId};

use super::page::{Page, PageQuery};
use super::tenants::InTenant;
use super::view::Problems;
use crate::http::auth::{Allowed, acts};
use crate::http::{Problem, State, mask};

/// Which dead letter.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct InDeadLetter {
    /// The tenant.
    #[param(value_type = String)]
    tenant: TenantId,
    /// The dead letter.
    #[param(value_type = String, example = "ded_0199a8a2c4007b3e8f5d6c1b2a390817")]
    dead_letter: DeadLetterId,
}

/// What was given up.
#[derive(Serialize, ToSchema)]
#[serde(tag = "work", rename_all = "snake_case")]
#[schema(as = DeadWork)]
pub enum DeadWorkView {
    /// A conversation that failed again and again; what came in waits untouched.
    Conversation,
    /// A message that its channel refused, or whose fate nobody knows.
    Send {
        /// The message.
        #[schema(value_type = String)]
        message: MessageId,
    },
    /// A turn without an answer.
    Turn {
        /// The turn.
        #[schema(value_type = String)]
        turn: TurnId,
    },
}

/// Work that was given up.
#[derive(Serialize, ToSchema)]
#[schema(as = DeadLetter)]
pub struct DeadLetterView {
    /// Its id.
    #[schema(value_type = String, example = "ded_0199a8a2c4007b3e8f5d6c1b2a390817")]
    id: DeadLetterId,
    /// The conversation.
    #[schema(value_type = String)]
    conversation: ConversationId,
    /// What was given up.
    work: DeadWorkView,
    /// Why.
    reason: String,
    /// When.
    #[schema(value_type = i64)]
    at: Timestamp,
    /// When it was tried again, if it was.
    #[schema(value_type = Option<i64>)]
    replayed_at: Option<Timestamp>,
}

impl From<DeadLetter> for DeadLetterView {
    fn from(letter: DeadLetter) -> Self {
        Self {
            id: letter.id,
            conversation: letter.conversation,
            work: match letter.work {
                DeadWork::Conversation => DeadWorkView::Conversation,
                DeadWork::Send { message } => DeadWorkView::Send { message },
                DeadWork::Turn { turn } => DeadWorkView::Turn { turn },
            },
            reason: letter.reason,
            at: letter.at,
            replayed_at: letter.replayed_at,
        }
    }
}

/// Dead letters, newest first
#[utoipa::path(get, path = "/tenants/{tenant}/dead-letters", tag = "dead letters",
    operation_id = "list_dead_letters", params(InTenant, PageQuery),
    responses((status = 200, body = Page<DeadLetterView>), Problems))]
pub async fn list(
    state: web::Data<State>,
    allowed: Allowed<acts::SeeDeadLetters>,
    path: web::Path<InTenant>,
    query: web::Query<PageQuery>,
) -> Result<HttpResponse, Problem> {
    let (before, limit) = query.read()?;
    let store = state.app.store.tenant(allowed.ctx(path.tenant)?).await?;
    let letters = store.dead_letters(before, limit + 1).await?;
    let Page { items, next } = Page::cut(letters, limit, |letter| letter.id);
    let (access, mut shown) = (allowed.access(), Vec::new());
    for letter in items {
        match access.must_see(&*store, letter.conversation).await {
            Err(problem) if problem.is_refusal() => continue,
            other => other?,
        }
        let mut letter = DeadLetterView::from(letter);
        if access.is_metadata() {
            mask::HIDDEN.clone_into(&mut letter.reason);
        }
        shown.push(letter);
    }
    access.show(&Page { items: shown, next })
}

/// Try again what was given up
///
/// Once for each: a repetition is a conflict.
#[utoipa::path(post, path = "/tenants/{tenant}/dead-letters/{dead_letter}/replay", tag = "dead letters",
    operation_id = "replay_dead_letter", params(InDeadLetter),
    responses((status = 200, body = DeadLetterView), Problems))]
pub async fn replay(
    state: web::Data<State>,
    allowed: Allowed<acts::ReplayDeadLetter>,
    path: web::Path<InDeadLetter>,
) -> Result<web::Json<DeadLetterView>, Problem> {
    let ctx = allowed.ctx(path.tenant)?;
    let store = state.app.store.tenant(ctx).await?;
    let letter = store.dead_letter(path.dead_letter).await?.ok_or_else(Problem::not_found)?;
    allowed.access().must_see(&*store, letter.conversation).await?;
    allowed.record(allowed.entry("dead_letter.replayed").on(&letter.id)).await?;
    let letter = state.app.engine.replay(ctx, path.dead_letter).await?;
    tracing::info!(tenant = %ctx.tenant(), dead_letter = %letter.id, "a dead letter was replayed");
    Ok(web::Json(letter.into()))
}
