//! Channels: a tenant's connected numbers, pages and accounts. Their tokens go in and never come out.

use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use iassistance_actors::watch::ProbeError;
use iassistance_channels::send::{Check, ProbeReport};
use iassistance_domain::Timestamp;
use iassistance_domain::channel::{Channel, ChannelHealth, ChannelKind, Connection, MessageTemplate};
use iassistance_domain::event::EventKind;
use iassistance_domain::id::{ChannelId, MetaAppId, TenantId};
use iassistance_domain::tenant::TenantCtx;
use iassistance_storage::TenantStore;

use super::input::{self, Body, Query};
use super::page::Page;
use super::tag::{self, IfMatch, IfNoneMatch};
use super::tenants::InTenant;
use super::view::Problems;
use crate::http::auth::{Allowed, acts};
use crate::http::idempotency::{Created, Once};
use crate::http::{Problem, State};

/// Which channel.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct InChannel {
    /// The tenant.
    #[param(value_type = String)]
    tenant: TenantId,
    /// The channel.
    #[param(value_type = String, example = "chn_0199a8a2c4007b3e8f5d6c1b2a390817")]
    channel: ChannelId,
}

/// A connected number, page or account, without its token.
#[derive(Serialize, ToSchema)]
#[schema(as = Channel)]
pub struct ChannelView {
    /// Its id.
    #[schema(value_type = String, example = "chn_0199a8a2c4007b3e8f5d6c1b2a390817")]
    id: ChannelId,
    /// The Meta app whose webhooks carry its events.
    #[schema(value_type = String)]
    meta_app: MetaAppId,
    /// The product: `whatsapp`, `messenger` or `instagram`.
    #[schema(value_type = String, example = "whatsapp")]
    kind: ChannelKind,
    /// How it reaches Meta.
    connection: Connection,
    /// Meta's id of it: the `phone_number_id`, the Page id or the Instagram account's id.
    external_id: String,
    /// What people call it.
    name: String,
    /// How it is, since when and why.
    health: ChannelHealth,
    /// Whether there is a token for its sends.
    has_access_token: bool,
    /// When it was connected.
    #[schema(value_type = i64)]
    created_at: Timestamp,
}

impl From<Channel> for ChannelView {
    fn from(channel: Channel) -> Self {
        Self {
            id: channel.id,
            meta_app: channel.meta_app,
            kind: channel.kind(),
            connection: channel.connection,
            external_id: channel.external_id,
            name: channel.name,
            health: channel.health,
            has_access_token: !channel.access_token.is_empty(),
            created_at: channel.created_at,
        }
    }
}

/// A channel to be connected.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewChannel {
    /// How it reaches Meta: `{"via":"cloud_api","account_id":"…"}`, `{"via":"page"}`,
    /// `{"via":"instagram_page","page_id":"…"}` or `{"via":"instagram_login"}`.
    connection: Connection,
    /// Meta's id of it: the `phone_number_id`, the Page id or the Instagram account's id; 1 to 32
    /// digits.
    #[schema(example = "106540352242922")]
    external_id: String,
    /// What people call it, for instance the number as displayed; 1 to 120 characters.
    name: String,
    /// The bearer token for its calls. Never shown again.
    access_token: String,
    /// The Meta app through which it is connected.
    #[schema(value_type = String)]
    meta_app: MetaAppId,
}

/// What changes of a channel; what is left out stays as it is.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChannelChange {
    /// What people call it; 1 to 120 characters.
    name: Option<String>,
    /// The bearer token for its calls. The channel is tested with it at once.
    access_token: Option<String>,
    /// The other ids that belong to it; of the same product as before.
    connection: Option<Connection>,
}

/// What a test with Meta found.
#[derive(Serialize, ToSchema)]
pub struct TestedChannel {
    /// The channel, with its health by this test.
    channel: ChannelView,
    /// Each check.
    checks: Vec<CheckView>,
}

/// One check of a channel.
#[derive(Serialize, ToSchema)]
#[schema(as = ChannelCheck)]
pub struct CheckView {
    /// What was looked at: `token`, `permissions`, `number`, `subscription`.
    name: String,
    /// Whether nothing is wrong with it.
    ok: bool,
    /// What was found and, where it is not well, what to do.
    detail: String,
}

impl From<Check> for CheckView {
    fn from(check: Check) -> Self {
        Self { name: check.name.to_owned(), ok: check.ok, detail: check.detail }
    }
}

/// A message template of a channel.
#[derive(Serialize, ToSchema)]
pub struct Templates {
    /// All that are known.
    items: Vec<MessageTemplate>,
}

/// The ids in a connection are Meta's.
fn connection(connection: Connection) -> Result<Connection, Problem> {
    let digits = |field, id: Option<String>| id.map(|id| input::digits(field, id)).transpose();
    Ok(match connection {
        Connection::CloudApi { account_id, number } => Connection::CloudApi {
            account_id: digits("account_id", account_id)?,
            number: digits("number", number)?,
        },
        Connection::Page => Connection::Page,
        Connection::InstagramPage { page_id } => {
            Connection::InstagramPage { page_id: input::digits("page_id", page_id)? }
        }
        Connection::InstagramLogin { user_id } => {
            Connection::InstagramLogin { user_id: digits("user_id", user_id)? }
        }
    })
}

async fn put(state: &State, store: &dyn TenantStore, channel: Channel) -> Result<ChannelView, Problem> {
    let id = channel.id;
    state.app.store.put_channel(channel.clone()).await?;
    store.append(None, vec![EventKind::ChannelConnected { channel: id }]).await?;
    tracing::info!(tenant = %channel.tenant, channel = %id, "a channel was connected or changed");
    Ok(channel.into())
}

/// What people set of a channel, for its tag.
fn set(channel: &Channel) -> impl Serialize + '_ {
    (&channel.name, &channel.connection, &channel.access_token)
}

/// A channel with its tag.
fn shown(state: &State, channel: &Channel) -> Result<(String, ChannelView), Problem> {
    let view = ChannelView::from(channel.clone());
    tag::whole(state, &set(channel), view)
}

/// Tests a channel and shows what came out.
async fn tested(
    state: &State,
    ctx: TenantCtx,
    store: &dyn TenantStore,
    id: ChannelId,
) -> Result<TestedChannel, Problem> {
    let ProbeReport { checks, .. } = state.app.engine.probe(ctx, id).await?;
    let channel = store.channel(id).await?.ok_or_else(Problem::not_found)?;
    Ok(TestedChannel { channel: channel.into(), checks: checks.into_iter().map(CheckView::from).collect() })
}

impl From<ProbeError> for Problem {
    fn from(error: ProbeError) -> Self {
        match error {
            ProbeError::NotFound => Self::not_found(),
            ProbeError::NoMetaApp => Self::conflict(error.to_string()),
            ProbeError::Storage(error) => error.into(),
        }
    }
}

/// Which channels.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct ChannelsQuery {
    /// `next` of the page before; nothing for the first.
    cursor: Option<String>,
    /// How many items at most.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<usize>,
    /// Only those of this product: `whatsapp`, `messenger` or `instagram`.
    #[param(value_type = Option<String>, example = "whatsapp", pattern = "^(whatsapp|messenger|instagram)$")]
    kind: Option<ChannelKind>,
    /// Only those that came through this Meta app.
    #[param(value_type = Option<String>)]
    meta_app: Option<MetaAppId>,
}

/// Channels of a tenant
#[utoipa::path(get, path = "/tenants/{tenant}/channels", tag = "channels", operation_id = "list_channels",
    params(InTenant, ChannelsQuery), responses((status = 200, body = Page<ChannelView>), Problems))]
pub async fn list(
    state: web::Data<State>,
    allowed: Allowed<acts::SeeSetUp>,
    path: web::Path<InTenant>,
    query: Query<ChannelsQuery>,
) -> Result<web::Json<Page<ChannelView>>, Problem> {
    let mut channels = state.app.store.tenant(allowed.ctx(path.tenant)?).await?.channels().await?;
    channels.retain(|channel| {
        query.kind.is_none_or(|kind| channel.kind() == kind)
            && query.meta_app.is_none_or(|app| channel.meta_app == app)
    });
    let page = Page::of_all(query.cursor.as_deref(), query.limit, channels, |channel| channel.id)?;
    Ok(web::Json(page.map(ChannelView::from)))
}

/// Connect a channel
///
/// It is tested with Meta at once: its token and permissions, the subscription to its webhooks, its
/// state. What is not well is said in words, and the channel is kept all the same.
#[utoipa::path(post, path = "/tenants/{tenant}/channels", tag = "channels", operation_id = "connect_channel",
    params(InTenant), request_body = NewChannel,
    responses((status = 201, body = TestedChannel), Problems))]
pub async fn connect(
    state: web::Data<State>,
    allowed: Allowed<acts::ConnectChannel>,
    path: web::Path<InTenant>,
    once: Once,
    body: Body<NewChannel>,
) -> Result<HttpResponse, Problem> {
    let ctx = allowed.ctx(path.tenant)?;
    let store = state.app.store.tenant(ctx).await?;
    let Body { value: new, raw } = body;
    let name = input::name("name", &new.name)?;
    let external_id = input::digits("external_id", new.external_id)?;
    let access_token = input::secret("access_token", new.access_token)?;
    let connection = connection(new.connection)?;
    once.run(&state, &raw, async {
        if state.app.store.meta_app(new.meta_app).await?.is_none() {
            return Err(Problem::invalid("`meta_app` must be the id of a Meta app that is registered here"));
        }
        let now = state.clock().now();
        let channel = Channel {
            id: ChannelId::new(now, &**state.app.engine.entropy()),
            tenant: ctx.tenant(),
            meta_app: new.meta_app,
            connection,
            external_id,
            name,
            access_token,
            token_owner: None,
            health: ChannelHealth::connecting(now),
            created_at: now,
        };
        let (id, location) = (channel.id, format!("/v1/tenants/{}/channels/{}", channel.tenant, channel.id));
        allowed.record(allowed.entry("channel.connected").on(&id)).await?;
        put(&state, &*store, channel).await?;
        Created::at(location, &tested(&state, ctx, &*store, id).await?)
    })
    .await
}

/// One channel
#[utoipa::path(get, path = "/tenants/{tenant}/channels/{channel}", tag = "channels",
    operation_id = "show_channel", params(InChannel), responses((status = 200, body = ChannelView), Problems))]
pub async fn show(
    state: web::Data<State>,
    allowed: Allowed<acts::SeeSetUp>,
    path: web::Path<InChannel>,
    has: IfNoneMatch,
) -> Result<HttpResponse, Problem> {
    let store = state.app.store.tenant(allowed.ctx(path.tenant)?).await?;
    let channel = store.channel(path.channel).await?.ok_or_else(Problem::not_found)?;
    let (tag, view) = shown(&state, &channel)?;
    Ok(has.show(&tag, &view))
}

/// Change a channel's name, token or ids
#[utoipa::path(put, path = "/tenants/{tenant}/channels/{channel}", tag = "channels",
    operation_id = "change_channel", params(InChannel), request_body = ChannelChange,
    responses((status = 200, body = ChannelView), Problems))]
pub async fn change(
    state: web::Data<State>,
    allowed: Allowed<acts::ConnectChannel>,
    path: web::Path<InChannel>,
    seen: IfMatch,
    body: Body<ChannelChange>,
) -> Result<HttpResponse, Problem> {
    let ctx = allowed.ctx(path.tenant)?;
    let store = state.app.store.tenant(ctx).await?;
    let alone = state.changing.lock().await;
    let mut channel = store.channel(path.channel).await?.ok_or_else(Problem::not_found)?;
    seen.check_set(&state, &set(&channel))?;
    let mut retest = false;
    if let Some(name) = body.value.name {
        channel.name = input::name("name", &name)?;
    }
    if let Some(token) = body.value.access_token {
        channel.access_token = input::secret("access_token", token)?;
        channel.health = ChannelHealth::connecting(state.clock().now());
        retest = true;
    }
    if let Some(new) = body.value.connection {
        if new.kind() != channel.kind() {
            return Err(Problem::invalid(
                "`connection` must be of the same product: connect another channel for another",
            ));
        }
        channel.connection = connection(new)?;
        retest = true;
    }
    allowed.record(allowed.entry("channel.changed").on(&path.channel)).await?;
    put(&state, &*store, channel).await?;
    drop(alone);
    if retest {
        tested(&state, ctx, &*store, path.channel).await?;
        state.app.engine.resume(ctx.tenant());
    }
    let channel = store.channel(path.channel).await?.ok_or_else(Problem::not_found)?;
    let (tag, view) = shown(&state, &channel)?;
    Ok(tag::tagged(&tag, &view))
}

/// Take a channel off
///
/// Nothing is sent or received on it any more and its token is forgotten; what was said on it stays.
#[utoipa::path(delete, path = "/tenants/{tenant}/channels/{channel}", tag = "channels",
    operation_id = "disconnect_channel", params(InChannel), responses((status = 204), Problems))]
pub async fn disconnect(
    state: web::Data<State>,
    allowed: Allowed<acts::ConnectChannel>,
    path: web::Path<InChannel>,
) -> Result<HttpResponse, Problem> {
    let ctx = allowed.ctx(path.tenant)?;
    let store = state.app.store.tenant(ctx).await?;
    store.channel(path.channel).await?.ok_or_else(Problem::not_found)?;
    allowed.record(allowed.entry("channel.removed").on(&path.channel)).await?;
    if !state.app.store.remove_channel(ctx, path.channel).await? {
        return Err(Problem::not_found());
    }
    let reason = "it was taken off".to_owned();
    store.append(None, vec![EventKind::ChannelDisconnected { channel: path.channel, reason }]).await?;
    tracing::info!(tenant = %ctx.tenant(), channel = %path.channel, "a channel was taken off");
    Ok(HttpResponse::NoContent().finish())
}

/// Test a channel with Meta
///
/// Token, permissions, subscription and state; each check says what it found and what to do.
#[utoipa::path(post, path = "/tenants/{tenant}/channels/{channel}/test", tag = "channels",
    operation_id = "test_channel", params(InChannel),
    responses((status = 200, body = TestedChannel), Problems))]
pub async fn test(
    state: web::Data<State>,
    allowed: Allowed<acts::ConnectChannel>,
    path: web::Path<InChannel>,
) -> Result<web::Json<TestedChannel>, Problem> {
    let ctx = allowed.ctx(path.tenant)?;
    let store = state.app.store.tenant(ctx).await?;
    store.channel(path.channel).await?.ok_or_else(Problem::not_found)?;
    allowed.record(allowed.entry("channel.tested").on(&path.channel)).await?;
    Ok(web::Json(tested(&state, ctx, &*store, path.channel).await?))
}

/// Subscribe the app to a channel's webhooks
///
/// Then the channel is tested again.
#[utoipa::path(post, path = "/tenants/{tenant}/channels/{channel}/subscribe", tag = "channels",
    operation_id = "subscribe_channel", params(InChannel),
    responses((status = 200, body = TestedChannel), Problems))]
pub async fn subscribe(
    state: web::Data<State>,
    allowed: Allowed<acts::ConnectChannel>,
    path: web::Path<InChannel>,
) -> Result<web::Json<TestedChannel>, Problem> {
    let ctx = allowed.ctx(path.tenant)?;
    let store = state.app.store.tenant(ctx).await?;
    let channel = store.channel(path.channel).await?.ok_or_else(Problem::not_found)?;
    allowed.record(allowed.entry("channel.subscribed").on(&path.channel)).await?;
    if let Err(problem) = state.app.engine.sender().subscribe(&channel).await {
        return Err(Problem::conflict(format!("Meta did not subscribe the app: {}", problem.title)));
    }
    Ok(web::Json(tested(&state, ctx, &*store, path.channel).await?))
}

/// Message templates of a channel, as Meta last told of them
#[utoipa::path(get, path = "/tenants/{tenant}/channels/{channel}/templates", tag = "channels",
    operation_id = "list_templates", params(InChannel), responses((status = 200, body = Templates), Problems))]
pub async fn templates(
    state: web::Data<State>,
    allowed: Allowed<acts::SeeSetUp>,
    path: web::Path<InChannel>,
) -> Result<web::Json<Templates>, Problem> {
    let store = state.app.store.tenant(allowed.ctx(path.tenant)?).await?;
    store.channel(path.channel).await?.ok_or_else(Problem::not_found)?;
    Ok(web::Json(Templates { items: store.templates(path.channel).await? }))
}
