//! What a conversation has under way beside its messages: what waits to leave, and its summary.

use actix_web::{HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use iassistance_domain::Timestamp;
use iassistance_domain::id::MessageId;
use iassistance_domain::outbox::{OutboxEntry, OutboxState};
use iassistance_domain::pii::TenantView;
use iassistance_domain::summary::Summary;

use super::conversations::{InConversation, found};
use super::view::Problems;
use crate::http::auth::{Allowed, acts};
use crate::http::{Problem, State};

/// Where a message that waits to leave stands.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum WaitingState {
    /// It waits.
    Waiting,
    /// It is being handed over.
    Dispatching,
    /// It was handed over and no answer came: it is reconciled by what the channel reports.
    Unknown,
}

/// A message that waits to leave.
#[derive(Serialize, ToSchema)]
#[schema(as = Outgoing)]
pub struct OutgoingView {
    /// The message, as it stands among the others.
    #[schema(value_type = String, example = "msg_0199a8a2c4007b3e8f5d6c1b2a390817")]
    message: MessageId,
    /// Where it stands.
    state: WaitingState,
    /// Since when, or, while it waits, until when at least.
    #[schema(value_type = i64)]
    at: Timestamp,
    /// How many times it was handed over.
    attempts: u32,
    /// After this moment it may not leave: the channel's answering window has closed.
    #[schema(value_type = i64)]
    expires_at: Timestamp,
    /// When it was committed.
    #[schema(value_type = i64)]
    created_at: Timestamp,
}

impl From<OutboxEntry> for OutgoingView {
    fn from(entry: OutboxEntry) -> Self {
        let (state, at) = match entry.state {
            OutboxState::Waiting { not_before } => (WaitingState::Waiting, not_before),
            OutboxState::Dispatching { since } => (WaitingState::Dispatching, since),
            OutboxState::Unknown { since } => (WaitingState::Unknown, since),
        };
        Self {
            message: entry.message,
            state,
            at,
            attempts: entry.attempts,
            expires_at: entry.window_until,
            created_at: entry.queued_at,
        }
    }
}

/// What waits to leave.
#[derive(Serialize, ToSchema)]
#[schema(as = Outbox)]
pub struct OutboxView {
    /// In the order in which it leaves.
    items: Vec<OutgoingView>,
}

/// What a conversation was about, where it is too long to be read whole.
#[derive(Serialize, ToSchema)]
#[schema(as = Summary)]
pub struct SummaryView {
    /// In a few sentences.
    summary: String,
    /// The last message that it covers.
    #[schema(value_type = String)]
    message: MessageId,
    /// How many messages it covers.
    messages: usize,
    /// The model that wrote it.
    model: String,
    /// When.
    #[schema(value_type = i64)]
    at: Timestamp,
}

impl From<Summary> for SummaryView {
    fn from(summary: Summary) -> Self {
        Self {
            summary: summary.text.into_inner(TenantView),
            message: summary.until,
            messages: summary.messages,
            model: summary.model,
            at: summary.made_at,
        }
    }
}

/// What waits to leave a conversation, in order
#[utoipa::path(get, path = "/tenants/{tenant}/conversations/{conversation}/outbox", tag = "conversations",
    operation_id = "show_outbox", params(InConversation),
    responses((status = 200, body = OutboxView), Problems))]
pub async fn outbox(
    state: web::Data<State>,
    allowed: Allowed<acts::ReadContent>,
    path: web::Path<InConversation>,
) -> Result<HttpResponse, Problem> {
    let (store, conversation) = found(&state, &allowed, &path).await?;
    let items = store.outbox(conversation.id).await?.into_iter().map(OutgoingView::from).collect();
    allowed.access().show(&OutboxView { items })
}

/// The summary of a conversation, which the model reads instead of what is long past
///
/// Short conversations have none.
#[utoipa::path(get, path = "/tenants/{tenant}/conversations/{conversation}/summary", tag = "conversations",
    operation_id = "show_summary", params(InConversation),
    responses((status = 200, body = SummaryView), Problems))]
pub async fn summary(
    state: web::Data<State>,
    allowed: Allowed<acts::ReadContent>,
    path: web::Path<InConversation>,
) -> Result<HttpResponse, Problem> {
    let (store, conversation) = found(&state, &allowed, &path).await?;
    let summary = store.summary(conversation.id).await?.ok_or_else(Problem::not_found)?;
    allowed.access().show(&SummaryView::from(summary))
}
