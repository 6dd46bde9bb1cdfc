//! Dead letters: work that was given up, and another try.

use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use iassistance_domain::Timestamp;
use iassistance_domain::event::{DeadLetter, DeadWork};
use iassistance_domain::id::{ConversationId, DeadLetterId, MessageId, TenantId, TurnId};

use super::input::Query;
use super::page::{self, Page};
use super::tenants::InTenant;
use super::view::Problems;
use crate::http::auth::{Access, Allowed, acts};
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

/// Which dead letters.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct DeadLettersQuery {
    /// `next` of the page before; nothing for the first.
    cursor: Option<String>,
    /// How many items at most.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<usize>,
    /// Only those of this conversation.
    #[param(value_type = Option<String>)]
    conversation: Option<ConversationId>,
    /// Only those that were tried again, or were not.
    replayed: Option<bool>,
}

/// Dead letters, newest first
#[utoipa::path(get, path = "/tenants/{tenant}/dead-letters", tag = "dead letters",
    operation_id = "list_dead_letters", params(InTenant, DeadLettersQuery),
    responses((status = 200, body = Page<DeadLetterView>), Problems))]
pub async fn list(
    state: web::Data<State>,
    allowed: Allowed<acts::SeeDeadLetters>,
    path: web::Path<InTenant>,
    query: Query<DeadLettersQuery>,
) -> Result<HttpResponse, Problem> {
    let (before, limit) = (page::cursor(query.cursor.as_deref())?, page::limit(query.limit)?);
    let store = state.app.store.tenant(allowed.ctx(path.tenant)?).await?;
    let wants = |letter: &DeadLetter| {
        query.conversation.is_none_or(|wanted| letter.conversation == wanted)
            && query.replayed.is_none_or(|replayed| letter.replayed_at.is_some() == replayed)
    };
    let fetch = async |before, limit| Ok(store.dead_letters(before, limit).await?);
    let page = page::scan(before, limit, |letter: &DeadLetter| letter.id, wants, fetch).await?;
    let Page { items, next } = page;
    let (access, mut shown) = (allowed.access(), Vec::new());
    for letter in items {
        match access.must_see(&*store, letter.conversation).await {
            Err(problem) if problem.is_refusal() => continue,
            other => other?,
        }
        shown.push(seen(access, letter));
    }
    access.show(&Page { items: shown, next })
}

/// A dead letter as far as somebody sees it.
fn seen(access: &Access, letter: DeadLetter) -> DeadLetterView {
    let mut letter = DeadLetterView::from(letter);
    if access.is_metadata() {
        mask::HIDDEN.clone_into(&mut letter.reason);
    }
    letter
}

/// One dead letter
#[utoipa::path(get, path = "/tenants/{tenant}/dead-letters/{dead_letter}", tag = "dead letters",
    operation_id = "show_dead_letter", params(InDeadLetter),
    responses((status = 200, body = DeadLetterView), Problems))]
pub async fn show(
    state: web::Data<State>,
    allowed: Allowed<acts::SeeDeadLetters>,
    path: web::Path<InDeadLetter>,
) -> Result<HttpResponse, Problem> {
    let store = state.app.store.tenant(allowed.ctx(path.tenant)?).await?;
    let letter = store.dead_letter(path.dead_letter).await?.ok_or_else(Problem::not_found)?;
    allowed.access().must_see(&*store, letter.conversation).await?;
    allowed.access().show(&seen(allowed.access(), letter))
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
