//! Who was handed what about a contact.

use actix_web::{HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use iassistance_domain::Timestamp;
use iassistance_domain::id::ContactId;
use iassistance_domain::privacy::{Disclosure, Handed, RecipientKind};

use super::contacts::{self, InContact};
use super::view::Problems;
use crate::http::auth::{Allowed, acts};
use crate::http::{Problem, State};

/// What somebody was handed about a contact.
#[derive(Serialize, ToSchema)]
#[schema(as = DisclosureLine)]
pub struct DisclosureView {
    /// What they are.
    recipient: RecipientKind,
    /// Their host, or an authority's name; nothing for Meta.
    #[schema(example = "api.openai.com")]
    host: Option<String>,
    /// What they were handed.
    what: Handed,
    /// How often it left, or was about to.
    count: u64,
    /// When first.
    #[schema(value_type = i64)]
    first_at: Timestamp,
    /// When last.
    #[schema(value_type = i64)]
    last_at: Timestamp,
}

impl From<Disclosure> for DisclosureView {
    fn from(line: Disclosure) -> Self {
        Self {
            recipient: line.to.kind,
            host: Some(line.to.host).filter(|host| !host.is_empty()),
            what: line.what,
            count: line.count,
            first_at: line.first_at,
            last_at: line.last_at,
        }
    }
}

/// Who was handed what about a contact.
#[derive(Serialize, ToSchema)]
#[schema(as = Disclosures)]
pub struct DisclosuresView {
    /// The contact.
    #[schema(value_type = String)]
    contact: ContactId,
    /// A line for each recipient and what they got.
    items: Vec<DisclosureView>,
    /// Where sealed copies of everything go: the host or folder of the backups, if any are made.
    backups: Option<String>,
}

/// Who was handed what about a contact
///
/// It is written before it leaves, and goes with the contact. Providers are described at
/// `/v1/privacy/subprocessors`; tools and webhooks are the tenant's own systems.
#[utoipa::path(get, path = "/tenants/{tenant}/contacts/{contact}/disclosures", tag = "contacts",
    operation_id = "list_disclosures", params(InContact),
    responses((status = 200, body = DisclosuresView), Problems))]
pub async fn list(
    state: web::Data<State>,
    allowed: Allowed<acts::ReadContent>,
    path: web::Path<InContact>,
) -> Result<HttpResponse, Problem> {
    let (ctx, contact) = contacts::seen(&state, &allowed, &path).await?;
    let ledger = state.app.store.leaving().disclosures(ctx, contact.id).await?;
    let items = ledger.lines.into_iter().map(DisclosureView::from).collect();
    let to = &state.app.settings.backup.to;
    let backups =
        (!to.is_empty()).then(|| if to.starts_with("s3://") { to.clone() } else { "folder".to_owned() });
    allowed.access().show(&DisclosuresView { contact: contact.id, items, backups })
}
