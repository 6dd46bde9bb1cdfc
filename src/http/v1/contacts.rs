//! Contacts: the end users, as one tenant knows them.

use std::collections::BTreeMap;

use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use iassistance_domain::Pii;
use iassistance_domain::contact::Contact;
use iassistance_domain::conversation::Conversation;
use iassistance_domain::id::{ChannelId, ContactId, TenantId};
use iassistance_domain::pii::TenantView;
use iassistance_domain::privacy::rights::Standing;
use iassistance_domain::tenant::TenantCtx;

use super::input::Query;
use super::page::{self, Page};
use super::tenants::InTenant;
use super::view::Problems;
use crate::http::auth::{Allowed, Right, acts};
use crate::http::{Problem, State, mask};

/// The end user of a conversation.
#[derive(Serialize, ToSchema)]
#[schema(as = Contact)]
pub struct ContactView {
    /// Their id with this tenant.
    #[schema(value_type = String)]
    id: ContactId,
    /// The name that they gave themselves.
    profile_name: Option<String>,
    /// Their `WhatsApp` id, mostly a phone number.
    wa_id: Option<String>,
    /// Their business-scoped user id.
    user_id: Option<String>,
    /// Their id with the page (Messenger) or the account (Instagram).
    scoped_id: Option<String>,
    /// Others who proved to be the same person.
    #[schema(value_type = Vec<String>)]
    merged: Vec<ContactId>,
    /// Facts that the assistant noted about them, by name.
    attributes: BTreeMap<String, String>,
    /// How what is known of them stands. What is blocked or confidential is hidden above.
    standing: Standing,
}

impl From<Contact> for ContactView {
    fn from(contact: Contact) -> Self {
        let is_hidden = !contact.standing.may_be_used();
        let shown = |text: Pii<String>| {
            if is_hidden { mask::HIDDEN.to_owned() } else { text.into_inner(TenantView) }
        };
        Self {
            id: contact.id,
            profile_name: contact.profile_name.map(shown),
            wa_id: contact.identity.wa_id.map(shown),
            user_id: contact.identity.user_id.map(shown),
            scoped_id: contact.identity.scoped_id.map(shown),
            merged: contact.merged,
            attributes: contact.attributes.into_iter().map(|(name, value)| (name, shown(value))).collect(),
            standing: contact.standing,
        }
    }
}

/// Which contacts.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct ContactsQuery {
    /// `next` of the page before; nothing for the first.
    cursor: Option<String>,
    /// How many items at most.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<usize>,
    /// Only those on this channel.
    #[param(value_type = Option<String>)]
    channel: Option<ChannelId>,
}

/// Which contact.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct InContact {
    /// The tenant.
    #[param(value_type = String)]
    pub tenant: TenantId,
    /// The contact.
    #[param(value_type = String, example = "con_0199a8a2c4007b3e8f5d6c1b2a390817")]
    pub contact: ContactId,
}

/// Contacts, the newest conversations first
///
/// Who was erased is not there any more.
#[utoipa::path(get, path = "/tenants/{tenant}/contacts", tag = "contacts", operation_id = "list_contacts",
    params(InTenant, ContactsQuery), responses((status = 200, body = Page<ContactView>), Problems))]
pub async fn list(
    state: web::Data<State>,
    allowed: Allowed<acts::ReadContent>,
    path: web::Path<InTenant>,
    query: Query<ContactsQuery>,
) -> Result<HttpResponse, Problem> {
    let (before, limit) = (page::cursor(query.cursor.as_deref())?, page::limit(query.limit)?);
    let store = state.app.store.tenant(allowed.ctx(path.tenant)?).await?;
    let wants = |found: &Conversation| {
        allowed.access().sees(found) && query.channel.is_none_or(|channel| found.channel == channel)
    };
    let fetch = async |before, limit| Ok(store.conversations(before, limit).await?);
    let page = page::scan(before, limit, |found: &Conversation| found.id, wants, fetch).await?;
    let mut items = Vec::with_capacity(page.items.len());
    for conversation in &page.items {
        items.extend(store.contact(conversation.contact).await?.map(ContactView::from));
    }
    allowed.access().show(&Page { items, next: page.next })
}

/// A contact that somebody may see, of the tenant that they named.
pub(super) async fn seen<R: Right>(
    state: &State,
    allowed: &Allowed<R>,
    path: &InContact,
) -> Result<(TenantCtx, Contact), Problem> {
    let ctx = allowed.ctx(path.tenant)?;
    let store = state.app.store.tenant(ctx).await?;
    let contact = store.contact(path.contact).await?.ok_or_else(Problem::not_found)?;
    allowed.access().must_see(&*store, contact.conversation).await?;
    Ok((ctx, contact))
}

/// One contact
#[utoipa::path(get, path = "/tenants/{tenant}/contacts/{contact}", tag = "contacts",
    operation_id = "show_contact", params(InContact), responses((status = 200, body = ContactView), Problems))]
pub async fn show(
    state: web::Data<State>,
    allowed: Allowed<acts::ReadContent>,
    path: web::Path<InContact>,
) -> Result<HttpResponse, Problem> {
    let (_, contact) = seen(&state, &allowed, &path).await?;
    allowed.access().show(&ContactView::from(contact))
}
