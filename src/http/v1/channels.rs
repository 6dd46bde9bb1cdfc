//! Channels: a tenant's connected numbers. Their tokens go in and never come out.

use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use iassistance_domain::Timestamp;
use iassistance_domain::channel::{Channel, ChannelKind};
use iassistance_domain::event::EventKind;
use iassistance_domain::id::{ChannelId, MetaAppId, TenantId};
use iassistance_storage::TenantStore;

use super::input::{self, Body};
use super::page::{Page, PageQuery};
use super::tenants::InTenant;
use super::view::Problems;
use crate::http::auth::{Allowed, Manage, SetUp};
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

/// A connected number, without its token.
#[derive(Serialize, ToSchema)]
#[schema(as = Channel)]
pub struct ChannelView {
    /// Its id.
    #[schema(value_type = String, example = "chn_0199a8a2c4007b3e8f5d6c1b2a390817")]
    id: ChannelId,
    /// The Meta app whose webhooks carry its events.
    #[schema(value_type = String)]
    meta_app: MetaAppId,
    /// The product: `whatsapp`.
    #[schema(value_type = String, example = "whatsapp")]
    kind: ChannelKind,
    /// Meta's id of it; for `WhatsApp` the `phone_number_id`.
    external_id: String,
    /// What people call it.
    name: String,
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
            kind: channel.kind,
            external_id: channel.external_id,
            name: channel.name,
            has_access_token: !channel.access_token.is_empty(),
            created_at: channel.created_at,
        }
    }
}

/// A channel to be connected.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewChannel {
    /// The product: `whatsapp`.
    #[schema(value_type = String, example = "whatsapp")]
    kind: ChannelKind,
    /// Meta's id of it: for `WhatsApp` the `phone_number_id`, 1 to 32 digits.
    #[schema(example = "106540352242922")]
    external_id: String,
    /// What people call it, for instance the number as displayed; 1 to 120 characters.
    name: String,
    /// The bearer token for its sends. Never shown again.
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
    /// The bearer token for its sends.
    access_token: Option<String>,
}

fn external_id(text: String) -> Result<String, Problem> {
    let fits = (1..=32).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    if fits {
        Ok(text)
    } else {
        Err(Problem::invalid("`external_id` must be the phone_number_id: 1 to 32 digits"))
    }
}

async fn put(state: &State, store: &dyn TenantStore, channel: Channel) -> Result<ChannelView, Problem> {
    let id = channel.id;
    state.app.store.put_channel(channel.clone()).await?;
    store.append(None, vec![EventKind::ChannelConnected { channel: id }]).await?;
    tracing::info!(tenant = %channel.tenant, channel = %id, "a channel was connected or changed");
    Ok(channel.into())
}

/// Channels of a tenant
#[utoipa::path(get, path = "/tenants/{tenant}/channels", tag = "channels", operation_id = "list_channels",
    params(InTenant, PageQuery), responses((status = 200, body = Page<ChannelView>), Problems))]
pub async fn list(
    state: web::Data<State>,
    allowed: Allowed<SetUp>,
    path: web::Path<InTenant>,
    query: web::Query<PageQuery>,
) -> Result<web::Json<Page<ChannelView>>, Problem> {
    let channels = state.app.store.tenant(allowed.ctx(path.tenant)?).await?.channels().await?;
    Ok(web::Json(query.of_all(channels, |channel| channel.id)?.map(ChannelView::from)))
}

/// Connect a channel
#[utoipa::path(post, path = "/tenants/{tenant}/channels", tag = "channels", operation_id = "connect_channel",
    params(InTenant, super::IdempotencyKey), request_body = NewChannel,
    responses((status = 201, body = ChannelView), Problems))]
pub async fn connect(
    state: web::Data<State>,
    allowed: Allowed<Manage>,
    path: web::Path<InTenant>,
    once: Once,
    body: Body<NewChannel>,
) -> Result<HttpResponse, Problem> {
    let ctx = allowed.ctx(path.tenant)?;
    let store = state.app.store.tenant(ctx).await?;
    let Body { value: new, raw } = body;
    let name = input::name("name", &new.name)?;
    let (external_id, access_token) =
        (external_id(new.external_id)?, input::secret("access_token", new.access_token)?);
    once.run(&state, &raw, async {
        if state.app.store.meta_app(new.meta_app).await?.is_none() {
            return Err(Problem::invalid("`meta_app` must be the id of a Meta app that is registered here"));
        }
        let now = state.clock().now();
        let channel = Channel {
            id: ChannelId::new(now, &**state.app.engine.entropy()),
            tenant: ctx.tenant(),
            meta_app: new.meta_app,
            kind: new.kind,
            external_id,
            name,
            access_token,
            created_at: now,
        };
        let location = format!("/v1/tenants/{}/channels/{}", channel.tenant, channel.id);
        Created::at(location, &put(&state, &*store, channel).await?)
    })
    .await
}

/// One channel
#[utoipa::path(get, path = "/tenants/{tenant}/channels/{channel}", tag = "channels",
    operation_id = "show_channel", params(InChannel), responses((status = 200, body = ChannelView), Problems))]
pub async fn show(
    state: web::Data<State>,
    allowed: Allowed<SetUp>,
    path: web::Path<InChannel>,
) -> Result<web::Json<ChannelView>, Problem> {
    let store = state.app.store.tenant(allowed.ctx(path.tenant)?).await?;
    Ok(web::Json(store.channel(path.channel).await?.ok_or_else(Problem::not_found)?.into()))
}

/// Change a channel's name or token
#[utoipa::path(put, path = "/tenants/{tenant}/channels/{channel}", tag = "channels",
    operation_id = "change_channel", params(InChannel), request_body = ChannelChange,
    responses((status = 200, body = ChannelView), Problems))]
pub async fn change(
    state: web::Data<State>,
    allowed: Allowed<Manage>,
    path: web::Path<InChannel>,
    body: Body<ChannelChange>,
) -> Result<web::Json<ChannelView>, Problem> {
    let store = state.app.store.tenant(allowed.ctx(path.tenant)?).await?;
    let mut channel = store.channel(path.channel).await?.ok_or_else(Problem::not_found)?;
    if let Some(name) = body.value.name {
        channel.name = input::name("name", &name)?;
    }
    if let Some(token) = body.value.access_token {
        channel.access_token = input::secret("access_token", token)?;
    }
    Ok(web::Json(put(&state, &*store, channel).await?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phone_number_id_is_digits() {
        assert_eq!(external_id("106540352242922".to_owned()).ok().as_deref(), Some("106540352242922"));
        for wrong in ["", "+49 170", "١٢٣", &"1".repeat(33)] {
            assert!(external_id(wrong.to_owned()).is_err());
        }
    }
}
