//! Conversations: what was said, and why each reply was what it was.

use std::sync::Arc;

use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use iassistance_actors::conversation::{ConversationKey, Snapshot};
use iassistance_domain::Timestamp;
use iassistance_domain::channel::ChannelKind;
use iassistance_domain::conversation::{Control, Conversation};
use iassistance_domain::delivery::DeliveryProblem;
use iassistance_domain::id::{ChannelId, ContactId, ConversationId, MessageId, TenantId, TurnId};
use iassistance_domain::message::{Author, Message};
use iassistance_domain::turn::{TurnEnd, TurnRecord};
use iassistance_storage::TenantStore;

use super::contacts::ContactView;
use super::input::Query;
use super::page::{self, Page};
use super::tenants::InTenant;
use super::turn_view::TurnView;
use super::view::{ControlView, MessageView, Problems};
use crate::http::auth::{Access, Allowed, acts};
use crate::http::{Problem, State};

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

const ASSIGNED_CHARS_MAX: usize = 120;

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
    /// Only those that are given to this person: an account, or a name.
    #[param(max_length = 120)]
    assigned: Option<String>,
    /// Only those on this channel.
    #[param(value_type = Option<String>)]
    channel: Option<ChannelId>,
    /// Only those of this contact.
    #[param(value_type = Option<String>)]
    contact: Option<ContactId>,
    /// Only those whose contact asked for silence, or did not.
    opted_out: Option<bool>,
    /// Only those whose contact last wrote at this moment or later.
    #[param(value_type = Option<i64>, minimum = 0)]
    from: Option<Timestamp>,
    /// Only those whose contact last wrote before this moment.
    #[param(value_type = Option<i64>, minimum = 0)]
    until: Option<Timestamp>,
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

pub(super) async fn view(
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
pub(super) async fn found(
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
        let wrote = |at| page::within(at, self.from, self.until);
        access.sees(conversation)
            && held
            && self.assigned.as_deref().is_none_or(|name| conversation.assigned() == Some(name))
            && self.channel.is_none_or(|channel| conversation.channel == channel)
            && self.contact.is_none_or(|contact| conversation.contact == contact)
            && self.opted_out.is_none_or(|opted_out| conversation.opted_out() == opted_out)
            && (self.from.or(self.until).is_none() || conversation.last_inbound_at().is_some_and(wrote))
    }

    async fn page(&self, store: &dyn TenantStore, access: &Access) -> Result<Page<Conversation>, Problem> {
        page::period(self.from, self.until)?;
        page::words("assigned", self.assigned.as_deref(), ASSIGNED_CHARS_MAX)?;
        let (before, limit) = (page::cursor(self.cursor.as_deref())?, page::limit(self.limit)?);
        let wants = |conversation: &Conversation| self.wants(access, conversation);
        let fetch = async |before, limit| Ok(store.conversations(before, limit).await?);
        page::scan(before, limit, |found: &Conversation| found.id, wants, fetch).await
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
    query: Query<ConversationsQuery>,
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

/// Which messages.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct MessagesQuery {
    /// `next` of the page before; nothing for the first.
    cursor: Option<String>,
    /// How many items at most.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<usize>,
    /// Only those by these.
    #[param(inline)]
    author: Option<AuthorFilter>,
    /// Only those that were written at this moment or later.
    #[param(value_type = Option<i64>, minimum = 0)]
    from: Option<Timestamp>,
    /// Only those that were written before this moment.
    #[param(value_type = Option<i64>, minimum = 0)]
    until: Option<Timestamp>,
}

/// Who writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AuthorFilter {
    /// The end user.
    Contact,
    /// The assistant.
    Assistant,
    /// A person at the desk.
    Operator,
    /// The business, elsewhere.
    Business,
}

impl AuthorFilter {
    const fn is(self, author: &Author) -> bool {
        matches!(
            (self, author),
            (Self::Contact, Author::Contact)
                | (Self::Assistant, Author::Assistant { .. })
                | (Self::Operator, Author::Operator { .. })
                | (Self::Business, Author::Business { .. })
        )
    }
}

/// Messages of a conversation, newest first
#[utoipa::path(get, path = "/tenants/{tenant}/conversations/{conversation}/messages", tag = "conversations",
    operation_id = "list_messages", params(InConversation, MessagesQuery),
    responses((status = 200, body = Page<MessageView>), Problems))]
pub async fn messages(
    state: web::Data<State>,
    allowed: Allowed<acts::ReadContent>,
    path: web::Path<InConversation>,
    query: Query<MessagesQuery>,
) -> Result<HttpResponse, Problem> {
    page::period(query.from, query.until)?;
    let (before, limit) = (page::cursor(query.cursor.as_deref())?, page::limit(query.limit)?);
    let (store, conversation) = found(&state, &allowed, &path).await?;
    let wants = |message: &Message| {
        query.author.is_none_or(|wanted| wanted.is(&message.author))
            && page::within(message.sent_at, query.from, query.until)
    };
    let fetch = async |before, limit| Ok(store.messages(conversation.id, before, limit).await?);
    let page = page::scan(before, limit, |message: &Message| message.id, wants, fetch).await?;
    allowed.access().show(&page.map(MessageView::from))
}

/// Which message.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct InMessage {
    /// The tenant.
    #[param(value_type = String)]
    tenant: TenantId,
    /// The conversation.
    #[param(value_type = String)]
    conversation: ConversationId,
    /// The message.
    #[param(value_type = String, example = "msg_0199a8a2c4007b3e8f5d6c1b2a390817")]
    message: MessageId,
}

/// One message
#[utoipa::path(get, path = "/tenants/{tenant}/conversations/{conversation}/messages/{message}",
    tag = "conversations", operation_id = "show_message", params(InMessage),
    responses((status = 200, body = MessageView), Problems))]
pub async fn message(
    state: web::Data<State>,
    allowed: Allowed<acts::ReadContent>,
    path: web::Path<InMessage>,
) -> Result<HttpResponse, Problem> {
    let store = state.app.store.tenant(allowed.ctx(path.tenant)?).await?;
    allowed.access().must_see(&*store, path.conversation).await?;
    let message = store.message(path.conversation, path.message).await?.ok_or_else(Problem::not_found)?;
    allowed.access().show(&MessageView::from(message))
}

/// Which turns.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct TurnsQuery {
    /// `next` of the page before; nothing for the first.
    cursor: Option<String>,
    /// How many items at most.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<usize>,
    /// Only those that ended so: `answered`, `failed`, … as `end` says.
    #[param(value_type = Option<String>, max_length = 32, example = "answered")]
    end: Option<TurnEnd>,
}

/// Turns of a conversation, newest first
///
/// Each is the explanation of one effort to answer: what it covered, which models were asked and how
/// often, which tools were called, what was looked up, what it used and cost, why it ended.
#[utoipa::path(get, path = "/tenants/{tenant}/conversations/{conversation}/turns", tag = "conversations",
    operation_id = "list_turns", params(InConversation, TurnsQuery),
    responses((status = 200, body = Page<TurnView>), Problems))]
pub async fn turns(
    state: web::Data<State>,
    allowed: Allowed<acts::ReadContent>,
    path: web::Path<InConversation>,
    query: Query<TurnsQuery>,
) -> Result<HttpResponse, Problem> {
    let (before, limit) = (page::cursor(query.cursor.as_deref())?, page::limit(query.limit)?);
    let (store, conversation) = found(&state, &allowed, &path).await?;
    let wants = |turn: &TurnRecord| query.end.is_none_or(|wanted| turn.end == Some(wanted));
    let fetch = async |before, limit| Ok(store.turns(conversation.id, before, limit).await?);
    let page = page::scan(before, limit, |turn: &TurnRecord| turn.id, wants, fetch).await?;
    allowed.access().show(&page.map(TurnView::from))
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
