//! The tenant's log.

use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use iassistance_domain::Timestamp;
use iassistance_domain::event::{Event, EventSeq};
use iassistance_domain::id::{ContactId, ConversationId};

use super::input::Query;
use super::page;
use super::tenants::InTenant;
use super::view::Problems;
use crate::http::auth::{Allowed, acts};
use crate::http::{Problem, State, feed};

const TYPE_CHARS_MAX: usize = 64;

/// Which part of the log.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct EventsQuery {
    /// The `seq` after which to begin; 0 for the beginning.
    #[param(default = 0)]
    after: Option<u64>,
    /// How many events at most.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<usize>,
    /// Only those of this `type`: `message.received`.
    #[param(max_length = 64, example = "message.received")]
    r#type: Option<String>,
    /// Only those about this conversation.
    #[param(value_type = Option<String>)]
    conversation: Option<ConversationId>,
    /// Only those about this contact.
    #[param(value_type = Option<String>)]
    contact: Option<ContactId>,
    /// Only those from this moment on.
    #[param(value_type = Option<i64>, minimum = 0)]
    from: Option<Timestamp>,
    /// Only those before this moment.
    #[param(value_type = Option<i64>, minimum = 0)]
    until: Option<Timestamp>,
}

impl EventsQuery {
    fn wants(&self, event: &Event) -> bool {
        self.r#type.as_deref().is_none_or(|name| event.kind.name() == name)
            && self.conversation.is_none_or(|wanted| event.conversation == Some(wanted))
            && self.contact.is_none_or(|wanted| event.contact == Some(wanted))
            && page::within(event.at, self.from, self.until)
    }
}

/// A part of the log, oldest first.
#[derive(Serialize, ToSchema)]
pub struct EventsPage {
    /// Facts: each has `seq`, `at`, `type` (`message.received`, `turn.ended`, …), mostly
    /// `conversation` and `contact`, and what belongs to its type. New types and fields may be added.
    #[schema(value_type = Vec<Object>)]
    items: Vec<Event>,
    /// `after` for the following part; `null` when this is the end for now.
    next: Option<u64>,
    /// The `seq` of the latest event there is.
    latest: u64,
}

/// Events after a place in the log
///
/// Who sees but the conversations that are assigned to them gets the events of those. A page may have fewer events than
/// `limit`, even none, and a `next` all the same where the log goes on.
#[utoipa::path(get, path = "/tenants/{tenant}/events", tag = "events", operation_id = "list_events",
    params(InTenant, EventsQuery), responses((status = 200, body = EventsPage), Problems))]
pub async fn list(
    state: web::Data<State>,
    allowed: Allowed<acts::ReadContent>,
    path: web::Path<InTenant>,
    query: Query<EventsQuery>,
) -> Result<HttpResponse, Problem> {
    let limit = page::limit(query.limit)?;
    page::period(query.from, query.until)?;
    page::words("type", query.r#type.as_deref(), TYPE_CHARS_MAX)?;
    let store = state.app.store.tenant(allowed.ctx(path.tenant)?).await?;
    let latest = store.latest_event().borrow().0;
    let access = allowed.access();
    // What somebody does not see is passed over like what is not asked for, so that `next` tells nothing of it.
    let fetch = async |after: Option<u64>, limit| {
        let events = store.events(EventSeq(after.unwrap_or(0)), limit).await?;
        Ok(feed::events(access, &*store, events).await?)
    };
    let wants = |(_, seen): &(EventSeq, Option<Event>)| seen.as_ref().is_some_and(|event| query.wants(event));
    let page = page::scan(query.after, limit, |(seq, _)| seq.0, wants, fetch).await?;
    let next = page.next.and_then(|next| next.parse().ok()).filter(|next| *next < latest);
    let items = page.items.into_iter().filter_map(|(_, seen)| seen).collect();
    access.show(&EventsPage { items, next, latest })
}
