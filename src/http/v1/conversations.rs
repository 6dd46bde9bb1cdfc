//! Conversations: what was said, and why each reply was what it was.

use std::collections::BTreeMap;
use std::sync::Arc;

use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use iassistance_actors::conversation::{ConversationKey, Snapshot};
use iassistance_domain::Timestamp;
use iassistance_domain::channel::ChannelKind;
use iassistance_domain::contact::Contact;
use iassistance_domain::conversation::{Control, Conversation};
use iassistance_domain::delivery::DeliveryProblem;
use iassistance_domain::id::{ChannelId, ContactId, ConversationId, TenantId, TurnId};
use iassistance_domain::pii::TenantView;
use iassistance_storage::TenantStore;

use super::page::{self, Page, PageQuery};
use super::tenants::InTenant;
use super::turn_view::TurnView;
use super::view::{ControlView, MessageView, Problems};
use crate::http::auth::{Access, Allowed, acts};
use crate::http::{Problem, State};

/// Conversations that are looked at for one page of those in certain hands, and at once.
const SCANNED_MAX: usize = 2_000;
const SCANNED_AT_ONCE: usize = 200;

/// Which conversation.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct InConversation {
    /// The tenant.
    #[param(value_type = String)]
    pub tenant: TenantId,
    /// The conversation.
    #[param(value_type = String, example = "cnv_0199a8a2c4007b3e8f5d6c1b2a390817")]
    pub conversation: ConversationId,
}

/// Which turn.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct InTurn {
    /// The tenant.
    #[param(value_type = String)]
    tenant: TenantId,
    /// The conversation.
    #[param(value_type = String)]
    conversation: ConversationId,
    /// The turn.
    #[param(value_type = String, example = "trn_0199a8a2c4007b3e8f5d6c1b2a390817")]
    turn: TurnId,
}

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
}

impl From<Contact> for ContactView {
    fn from(contact: Contact) -> Self {
        Self {
            id: contact.id,
            profile_name: contact.profile_name.map(|name| name.into_inner(TenantView)),
            wa_id: contact.identity.wa_id.map(|id| id.into_inner(TenantView)),
            user_id: contact.identity.user_id.map(|id| id.into_inner(TenantView)),
            scoped_id: contact.identity.scoped_id.map(|id| id.into_inner(TenantView)),
            merged: contact.merged,
            attributes: contact
                .attributes
                .into_iter()
                .map(|(name, value)| (name, value.into_inner(TenantView)))
                .collect(),
        }
    }
}

/// The exchange of one contact on one channel.
#[derive(Serialize, ToSchema)]
#[schema(as = Conversation)]
pub struct ConversationView {
    /// Its id.
    #[schema(value_type = String, example = "cnv_0199a8a2c4007b3e8f5d6c1b2a390817")]
    id: ConversationId,
    /// The channel.
    #[schema(value_type = String)]
    channel: ChannelId,
    /// The channel's product: `whatsapp`, `messenger` or `instagram`.
    #[schema(value_type = String, example = "whatsapp")]
    kind: ChannelKind,
    /// The latest message; `null` where there is none.
    last_message: Option<Box<MessageView>>,
    /// The end user; `null` once they were erased.
    contact: Option<ContactView>,
    /// When it was opened.
    #[schema(value_type = i64)]
    opened_at: Timestamp,
    /// Who answers.
    control: ControlView,
    /// To whom of the people it is given.
    assigned: Option<String>,
    /// Counts what ended the validity of earlier words.
    epoch: u64,
    /// The turn that runs.
    #[schema(value_type = Option<String>)]
    running_turn: Option<TurnId>,
    /// When the contact last wrote.
    #[schema(value_type = Option<i64>)]
    last_inbound_at: Option<Timestamp>,
    /// Until when the channel lets a reply leave; `null` before the contact did anything.
    #[schema(value_type = Option<i64>)]
    window_until: Option<Timestamp>,
    /// Until when it lets a person's reply leave, which may be longer.
    #[schema(value_type = Option<i64>)]
    human_window_until: Option<Timestamp>,
    /// Until when the contact refuses advertising, if they do.
    #[schema(value_type = Option<i64>)]
    marketing_refused_until: Option<Timestamp>,
    /// Why the contact cannot be reached, if so; whatever they do next changes that.
    unreachable: Option<DeliveryProblem>,
    /// Whether the contact asked for silence and wrote nothing since.
    opted_out: bool,
    /// When the assistant means to come back by itself.
    #[schema(value_type = Option<i64>)]
    follow_up_at: Option<Timestamp>,
}

/// Whose hands a conversation is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = Holder)]
pub enum Holder {
    /// The assistant's.
    Assistant,
    /// A person's.
    Operator,
    /// Nobody's: it waits for a person.
    Waiting,
    /// Another app's.
    OtherApp,
}

impl Holder {
    const fn holds(self, conversation: &Conversation) -> bool {
        matches!(
            (self, conversation.control()),
            (Self::Assistant, Control::Assistant)
                | (Self::Operator, Control::Operator { .. })
                | (Self::Waiting, Control::Waiting { .. })
                | (Self::OtherApp, Control::OtherApp { .. })
        )
    }
}

/// Which conversations.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct ConversationsQuery {
    /// `next` of the page before; nothing for the first.
    cursor: Option<String>,
    /// How many items at most.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<usize>,
    /// Only those in these hands. A page may then have fewer items than there are, even none: go on
    /// while there is a `next`.
    #[param(inline)]
    control: Option<Holder>,
    /// Only those that are given to this person.
    assigned: Option<String>,
}

/// What a conversation's actor shows of itself.
#[derive(Serialize, ToSchema)]
pub struct SnapshotView {
    /// The actor's state; `null` when it is put away, as it is while there is nothing to do.
    actor: Option<ActorView>,
}

/// The state of a conversation's actor.
#[derive(Serialize, ToSchema)]
#[schema(as = Actor)]
pub struct ActorView {
    /// Which of the conversation's actors this is since the server started.
    incarnation: u64,
    /// Who answers.
    control: ControlView,
    /// The turn that runs.
    #[schema(value_type = Option<String>)]
    turn: Option<TurnId>,
    /// The revision of the stored state.
    revision: u64,
}

impl From<Snapshot> for ActorView {
    fn from(snapshot: Snapshot) -> Self {
        Self {
            incarnation: snapshot.incarnation,
            control: (&snapshot.control).into(),
            turn: snapshot.turn,
            revision: snapshot.revision,
        }
    }
}

async fn view(
    state: &State,
    store: &dyn TenantStore,
    conversation: &Conversation,
) -> Result<ConversationView, Problem> {
    let last_inbound_at = conversation.last_inbound_at();
    let opened = |until: Timestamp| (until > Timestamp::EPOCH).then_some(until);
    let kind = match store.channel(conversation.channel).await? {
        Some(channel) => channel.kind(),
        None => ChannelKind::Whatsapp,
    };
    let window = conversation.window_by(&state.app.engine.window_policy(kind));
    Ok(ConversationView {
        id: conversation.id,
        channel: conversation.channel,
        kind,
        last_message: store.messages(conversation.id, None, 1).await?.pop().map(|it| Box::new(it.into())),
        contact: store.contact(conversation.contact).await?.map(ContactView::from),
        opened_at: conversation.opened_at,
        control: conversation.control().into(),
        epoch: conversation.epoch().0,
        running_turn: conversation.running_turn().map(|turn| turn.id),
        last_inbound_at,
        window_until: opened(window.free_until),
        human_window_until: opened(window.human_until),
        marketing_refused_until: conversation.marketing_refused_until(),
        unreachable: conversation.unreachable().cloned(),
        assigned: conversation.assigned().map(str::to_owned),
        opted_out: conversation.opted_out(),
        follow_up_at: conversation.follow_up_at(),
    })
}

/// The conversation, which is there, and the store that holds it.
async fn found(
    state: &State,
    allowed: &Allowed<acts::ReadContent>,
    path: &InConversation,
) -> Result<(Arc<dyn TenantStore>, Conversation), Problem> {
    let store = state.app.store.tenant(allowed.ctx(path.tenant)?).await?;
    let (conversation, _) = store.conversation(path.conversation).await?.ok_or_else(Problem::not_found)?;
    if allowed.access().sees(&conversation) { Ok((store, conversation)) } else { Err(Problem::not_found()) }
}

impl ConversationsQuery {
    fn wants(&self, access: &Access, conversation: &Conversation) -> bool {
        let held = self.control.is_none_or(|holder| holder.holds(conversation));
        access.sees(conversation)
            && held
            && self.assigned.as_deref().is_none_or(|name| conversation.assigned() == Some(name))
    }

    /// The page; at most [`SCANNED_MAX`] conversations are looked at for it.
    async fn page(&self, store: &dyn TenantStore, access: &Access) -> Result<Page<Conversation>, Problem> {
        let (mut before, limit) = (page::cursor(self.cursor.as_deref())?, page::limit(self.limit)?);
        if self.control.is_none() && self.assigned.is_none() && !access.is_limited() {
            return Ok(Page::cut(store.conversations(before, limit + 1).await?, limit, |found| found.id));
        }
        let mut items = Vec::new();
        for _ in 0..SCANNED_MAX / SCANNED_AT_ONCE {
            let found = store.conversations(before, SCANNED_AT_ONCE).await?;
            let last = found.len() < SCANNED_AT_ONCE;
            for conversation in found {
                before = Some(conversation.id);
                if self.wants(access, &conversation) {
                    items.push(conversation);
                    if items.len() == limit {
                        return Ok(Page { items, next: before.map(|id| id.to_string()) });
                    }
                }
            }
            if last {
                return Ok(Page { items, next: None });
            }
        }
        Ok(Page { items, next: before.map(|id| id.to_string()) })
    }
}

/// Conversations, newest first
///
/// With `control=waiting` those that wait for a person; the events `control.changed` tell of each as it
/// happens.
#[utoipa::path(get, path = "/tenants/{tenant}/conversations", tag = "conversations",
    operation_id = "list_conversations", params(InTenant, ConversationsQuery),
    responses((status = 200, body = Page<ConversationView>), Problems))]
pub async fn list(
    state: web::Data<State>,
    allowed: Allowed<acts::ReadContent>,
    path: web::Path<InTenant>,
    query: web::Query<ConversationsQuery>,
) -> Result<HttpResponse, Problem> {
    let store = state.app.store.tenant(allowed.ctx(path.tenant)?).await?;
    let page = query.page(&*store, allowed.access()).await?;
    let mut items = Vec::with_capacity(page.items.len());
    for conversation in &page.items {
        items.push(view(&state, &*store, conversation).await?);
    }
    allowed.access().show(&Page { items, next: page.next })
}

/// One conversation
#[utoipa::path(get, path = "/tenants/{tenant}/conversations/{conversation}", tag = "conversations",
    operation_id = "show_conversation", params(InConversation),
    responses((status = 200, body = ConversationView), Problems))]
pub async fn show(
    state: web::Data<State>,
    allowed: Allowed<acts::ReadContent>,
    path: web::Path<InConversation>,
) -> Result<HttpResponse, Problem> {
    let (store, conversation) = found(&state, &allowed, &path).await?;
    allowed.access().show(&view(&state, &*store, &conversation).await?)
}

/// Messages of a conversation, newest first
#[utoipa::path(get, path = "/tenants/{tenant}/conversations/{conversation}/messages", tag = "conversations",
    operation_id = "list_messages", params(InConversation, PageQuery),
    responses((status = 200, body = Page<MessageView>), Problems))]
pub async fn messages(
    state: web::Data<State>,
    allowed: Allowed<acts::ReadContent>,
    path: web::Path<InConversation>,
    query: web::Query<PageQuery>,
) -> Result<HttpResponse, Problem> {
    let (before, limit) = query.read()?;
    let (store, conversation) = found(&state, &allowed, &path).await?;
    let messages = store.messages(conversation.id, before, limit + 1).await?;
    allowed.access().show(&Page::cut(messages, limit, |message| message.id).map(MessageView::from))
}

/// Turns of a conversation, newest first
///
/// Each is the explanation of one effort to answer: what it covered, which models were asked and how
/// often, which tools were called, what was looked up, what it used and cost, why it ended.
#[utoipa::path(get, path = "/tenants/{tenant}/conversations/{conversation}/turns", tag = "conversations",
    operation_id = "list_turns", params(InConversation, PageQuery),
    responses((status = 200, body = Page<TurnView>), Problems))]
pub async fn turns(
    state: web::Data<State>,
    allowed: Allowed<acts::ReadContent>,
    path: web::Path<InConversation>,
    query: web::Query<PageQuery>,
) -> Result<HttpResponse, Problem> {
    let (before, limit) = query.read()?;
    let (store, conversation) = found(&state, &allowed, &path).await?;
    let turns = store.turns(conversation.id, before, limit + 1).await?;
    allowed.access().show(&Page::cut(turns, limit, |turn| turn.id).map(TurnView::from))
}

/// One turn
#[utoipa::path(get, path = "/tenants/{tenant}/conversations/{conversation}/turns/{turn}", tag = "conversations",
    operation_id = "show_turn", params(InTurn), responses((status = 200, body = TurnView), Problems))]
pub async fn turn(
    state: web::Data<State>,
    allowed: Allowed<acts::ReadContent>,
    path: web::Path<InTurn>,
) -> Result<HttpResponse, Problem> {
    let store = state.app.store.tenant(allowed.ctx(path.tenant)?).await?;
    allowed.access().must_see(&*store, path.conversation).await?;
    let turn = store.turn(path.conversation, path.turn).await?.ok_or_else(Problem::not_found)?;
    allowed.access().show(&TurnView::from(turn))
}

/// What the conversation's actor is doing
#[utoipa::path(get, path = "/tenants/{tenant}/conversations/{conversation}/snapshot", tag = "conversations",
    operation_id = "show_actor", params(InConversation),
    responses((status = 200, body = SnapshotView), Problems))]
pub async fn snapshot(
    state: web::Data<State>,
    allowed: Allowed<acts::ReadContent>,
    path: web::Path<InConversation>,
) -> Result<HttpResponse, Problem> {
    let ctx = allowed.ctx(path.tenant)?;
    let (_, conversation) = found(&state, &allowed, &path).await?;
    let key = ConversationKey { tenant: ctx.tenant(), conversation: conversation.id };
    let actor = state.app.engine.show(key).await.map(ActorView::from);
    allowed.access().show(&SnapshotView { actor })
}
