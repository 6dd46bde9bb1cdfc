//! A tenant's outgoing webhooks: subscribe, change, pause, test, rotate the secret.

use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use iassistance_domain::event::EventKind;
use iassistance_domain::id::{SubscriptionId, TenantId};
use iassistance_domain::subscription::{EVERY_KIND, SECRETS_MAX, Subscription, SubscriptionState};
use iassistance_domain::tenant::TenantCtx;
use iassistance_domain::{Pii, Timestamp};
use iassistance_hooks::new_secret;

use super::input::{self, Body, Query};
use super::page::Page;
use super::tag::{self, IfMatch, IfNoneMatch};
use super::tenants::InTenant;
use super::view::Problems;
use crate::http::auth::{Allowed, acts};
use crate::http::idempotency::{Created, Once};
use crate::http::{Problem, State};

const KINDS_MAX: usize = 100;

/// Which webhook.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct InWebhook {
    /// The tenant.
    #[param(value_type = String)]
    pub tenant: TenantId,
    /// The webhook.
    #[param(value_type = String, example = "hok_0199a8a2c4007b3e8f5d6c1b2a390817")]
    pub webhook: SubscriptionId,
}

/// A webhook, without its secrets.
#[derive(Serialize, ToSchema)]
#[schema(as = Webhook)]
pub struct WebhookView {
    /// Its id.
    #[schema(value_type = String, example = "hok_0199a8a2c4007b3e8f5d6c1b2a390817")]
    id: SubscriptionId,
    /// Where events go.
    #[schema(value_type = String, example = "https://shop.example/hooks/iassistance")]
    url: Pii<String>,
    /// Kinds of events that it gets; `*` for all.
    #[schema(example = json!(["message.received", "conversation.assigned"]))]
    kinds: Vec<String>,
    /// What people call it.
    description: String,
    /// Whether it is served: `active`; `paused` by its owner, or because its receiver took nothing for too
    /// long; `failing` while its receiver takes nothing.
    state: SubscriptionState,
    /// Whether two secrets sign, while one takes the other's place.
    rotating: bool,
    /// When it was made.
    #[schema(value_type = i64)]
    created_at: Timestamp,
}

impl From<Subscription> for WebhookView {
    fn from(subscription: Subscription) -> Self {
        Self {
            id: subscription.id,
            url: subscription.url,
            kinds: subscription.kinds,
            description: subscription.description,
            state: subscription.state,
            rotating: subscription.secrets.len() > 1,
            created_at: subscription.created_at,
        }
    }
}

/// A webhook as it is to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "url": "https://shop.example/hooks/iassistance", "kinds": ["message.received"], "description": "Orders",
}))]
pub struct WebhookForm {
    /// Where events go: https on port 443, 4443, 8443 or 9443 of a public host.
    #[schema(example = "https://shop.example/hooks/iassistance")]
    url: String,
    /// Kinds of events that it gets, as their `type` says; `["*"]` for all. 1 to 100.
    #[schema(example = json!(["message.received", "conversation.assigned"]))]
    kinds: Vec<String>,
    /// What people call it; at most 120 characters.
    #[serde(default)]
    description: String,
    /// Whether nothing is sent for now; events wait.
    #[serde(default)]
    paused: bool,
}

/// A webhook and its new secret, which is shown here and never again.
#[derive(Serialize, ToSchema)]
pub struct NewWebhookView {
    /// The webhook as it is listed.
    webhook: WebhookView,
    /// What proves that an event comes from here: `whsec_…`, as Standard Webhooks has it.
    secret: String,
}

/// What a test came to.
#[derive(Serialize, ToSchema)]
pub struct WebhookTest {
    /// Whether the receiver took the event.
    taken: bool,
    /// The HTTP status by which it took it.
    status: Option<u16>,
    /// Why it did not, in words.
    problem: Option<String>,
    /// How long it took, milliseconds.
    ms: u64,
}

/// What was asked for, checked.
struct Checked {
    url: Pii<String>,
    kinds: Vec<String>,
    description: String,
    paused: bool,
}

impl WebhookForm {
    fn check(self, state: &State) -> Result<Checked, Problem> {
        let Self { url, mut kinds, description, paused } = self;
        state.app.engine.check_hook(&url).map_err(|problem| Problem::invalid(problem.to_string()))?;
        kinds.sort_unstable();
        kinds.dedup();
        if !(1..=KINDS_MAX).contains(&kinds.len()) {
            return Err(Problem::invalid("`kinds` must name 1 to 100 kinds of events, or be [\"*\"]"));
        }
        let is_kind = |kind: &str| kind == EVERY_KIND || EventKind::NAMES.contains(&kind);
        if !kinds.iter().all(|kind| is_kind(kind)) {
            let rule = "`kinds` names a kind of event that there is not: see `type` in the list of events";
            return Err(Problem::invalid(rule));
        }
        let description = match description.trim() {
            "" => String::new(),
            text => input::name("description", text)?,
        };
        Ok(Checked { url: Pii::new(url), kinds, description, paused })
    }
}

/// What people set of a webhook, for its tag.
fn set(webhook: &Subscription) -> impl Serialize + '_ {
    let is_paused = webhook.state == SubscriptionState::Paused;
    (&webhook.url, &webhook.kinds, &webhook.description, &webhook.secrets, is_paused)
}

/// A webhook with its tag.
fn shown(state: &State, webhook: &Subscription) -> Result<(String, WebhookView), Problem> {
    let view = WebhookView::from(webhook.clone());
    tag::whole(state, &set(webhook), view)
}

/// The webhook, if it is the tenant's.
pub(super) async fn found(
    state: &State,
    ctx: TenantCtx,
    id: SubscriptionId,
) -> Result<Subscription, Problem> {
    let store = state.app.store.tenant(ctx).await?;
    store.hooks().subscription(id).await?.ok_or_else(Problem::not_found)
}

/// Which webhooks.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct WebhooksQuery {
    /// `next` of the page before; nothing for the first.
    cursor: Option<String>,
    /// How many items at most.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<usize>,
    /// Only those in this state.
    #[param(inline)]
    state: Option<SubscriptionState>,
}

/// Webhooks of a tenant
#[utoipa::path(get, path = "/tenants/{tenant}/webhooks", tag = "webhooks out",
    operation_id = "list_webhooks", params(InTenant, WebhooksQuery),
    responses((status = 200, body = Page<WebhookView>), Problems))]
pub async fn list(
    state: web::Data<State>,
    allowed: Allowed<acts::ManageHooks>,
    path: web::Path<InTenant>,
    query: Query<WebhooksQuery>,
) -> Result<web::Json<Page<WebhookView>>, Problem> {
    let store = state.app.store.tenant(allowed.ctx(path.tenant)?).await?;
    let mut all = store.hooks().subscriptions().await?;
    all.retain(|subscription| query.state.is_none_or(|wanted| subscription.state == wanted));
    let page = Page::of_all(query.cursor.as_deref(), query.limit, all, |subscription| subscription.id)?;
    Ok(web::Json(page.map(WebhookView::from)))
}

/// Subscribe to events
///
/// Events from now on are sent to the address, each at least once, those of a conversation in their order,
/// signed as [Standard Webhooks](https://www.standardwebhooks.com) has it. An event that comes again has the
/// same `webhook-id`. What is not taken (2xx) is tried again for three days. The secret is shown once. It is
/// not kept for a repetition, so that one with the same `Idempotency-Key` is a conflict.
#[utoipa::path(post, path = "/tenants/{tenant}/webhooks", tag = "webhooks out",
    operation_id = "create_webhook", params(InTenant), request_body = WebhookForm,
    responses((status = 201, body = NewWebhookView), Problems))]
pub async fn create(
    state: web::Data<State>,
    allowed: Allowed<acts::ManageHooks>,
    path: web::Path<InTenant>,
    once: Once,
    body: Body<WebhookForm>,
) -> Result<HttpResponse, Problem> {
    let ctx = allowed.ctx(path.tenant)?;
    let form = body.value.check(&state)?;
    once.run(&state, &body.raw, async {
        let (engine, now) = (&state.app.engine, state.clock().now());
        let secret = new_secret(&**engine.entropy());
        let subscription = Subscription {
            id: SubscriptionId::new(now, &**engine.entropy()),
            url: form.url,
            kinds: form.kinds,
            secrets: vec![secret.clone()],
            state: if form.paused { SubscriptionState::Paused } else { SubscriptionState::Active },
            created_at: now,
            description: form.description,
        };
        allowed.record(allowed.entry("webhook.created").on(&subscription.id)).await?;
        engine.subscribe(ctx, subscription.clone()).await?;
        let at = format!("/v1/tenants/{}/webhooks/{}", ctx.tenant(), subscription.id);
        let shown = NewWebhookView { webhook: subscription.into(), secret: secret.expose().to_owned() };
        Ok(Created::at(at, &shown)?.shown_once())
    })
    .await
}

/// One webhook
#[utoipa::path(get, path = "/tenants/{tenant}/webhooks/{webhook}", tag = "webhooks out",
    operation_id = "show_webhook", params(InWebhook), responses((status = 200, body = WebhookView), Problems))]
pub async fn show(
    state: web::Data<State>,
    allowed: Allowed<acts::ManageHooks>,
    path: web::Path<InWebhook>,
    has: IfNoneMatch,
) -> Result<HttpResponse, Problem> {
    let found = found(&state, allowed.ctx(path.tenant)?, path.webhook).await?;
    let (tag, view) = shown(&state, &found)?;
    Ok(has.show(&tag, &view))
}

/// Change a webhook, pause it or resume it
///
/// What waits is sent to the new address. Resuming tries everything that waits at once.
#[utoipa::path(put, path = "/tenants/{tenant}/webhooks/{webhook}", tag = "webhooks out",
    operation_id = "change_webhook", params(InWebhook), request_body = WebhookForm,
    responses((status = 200, body = WebhookView), Problems))]
pub async fn change(
    state: web::Data<State>,
    allowed: Allowed<acts::ManageHooks>,
    path: web::Path<InWebhook>,
    seen: IfMatch,
    body: Body<WebhookForm>,
) -> Result<HttpResponse, Problem> {
    let ctx = allowed.ctx(path.tenant)?;
    let form = body.value.check(&state)?;
    let _alone = state.changing.lock().await;
    seen.check_set(&state, &set(&found(&state, ctx, path.webhook).await?))?;
    allowed.record(allowed.entry("webhook.changed").on(&path.webhook)).await?;
    let changed = state.app.engine.change_subscription(ctx, path.webhook, |subscription| {
        subscription.url = form.url;
        subscription.kinds = form.kinds;
        subscription.description = form.description;
        subscription.state = match (form.paused, subscription.state) {
            (true, _) => SubscriptionState::Paused,
            (false, SubscriptionState::Paused) => SubscriptionState::Active,
            (false, as_it_is) => as_it_is,
        };
    });
    let changed = changed.await?.ok_or_else(Problem::not_found)?;
    let (tag, view) = shown(&state, &changed)?;
    Ok(tag::tagged(&tag, &view))
}

/// Remove a webhook
///
/// With everything that waits for it.
#[utoipa::path(delete, path = "/tenants/{tenant}/webhooks/{webhook}", tag = "webhooks out",
    operation_id = "remove_webhook", params(InWebhook),
    responses((status = 204, description = "It is gone"), Problems))]
pub async fn remove(
    state: web::Data<State>,
    allowed: Allowed<acts::ManageHooks>,
    path: web::Path<InWebhook>,
) -> Result<HttpResponse, Problem> {
    let ctx = allowed.ctx(path.tenant)?;
    found(&state, ctx, path.webhook).await?;
    allowed.record(allowed.entry("webhook.removed").on(&path.webhook)).await?;
    state.app.engine.unsubscribe(ctx, path.webhook).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Send a test event
///
/// An event of the type `webhook.test` is sent now and once, also while the webhook is paused; the answer
/// says what the receiver said.
#[utoipa::path(post, path = "/tenants/{tenant}/webhooks/{webhook}/test", tag = "webhooks out",
    operation_id = "test_webhook", params(InWebhook), responses((status = 200, body = WebhookTest), Problems))]
pub async fn test(
    state: web::Data<State>,
    allowed: Allowed<acts::ManageHooks>,
    path: web::Path<InWebhook>,
) -> Result<web::Json<WebhookTest>, Problem> {
    let ctx = allowed.ctx(path.tenant)?;
    found(&state, ctx, path.webhook).await?;
    allowed.record(allowed.entry("webhook.tested").on(&path.webhook)).await?;
    let tested = state.app.engine.test_hook(ctx, path.webhook).await?.ok_or_else(Problem::not_found)?;
    Ok(web::Json(WebhookTest {
        taken: tested.result.is_ok(),
        status: tested.result.as_ref().ok().copied(),
        problem: tested.result.err().map(|problem| problem.to_string()),
        ms: tested.ms,
    }))
}

/// Rotate a webhook's secret
///
/// From now on a new secret signs, and the former one beside it, until it is dropped or the secret is rotated
/// again. The new one is shown once.
#[utoipa::path(post, path = "/tenants/{tenant}/webhooks/{webhook}/secret", tag = "webhooks out",
    operation_id = "rotate_webhook_secret", params(InWebhook),
    responses((status = 200, body = NewWebhookView), Problems))]
pub async fn rotate(
    state: web::Data<State>,
    allowed: Allowed<acts::ManageHooks>,
    path: web::Path<InWebhook>,
) -> Result<web::Json<NewWebhookView>, Problem> {
    let ctx = allowed.ctx(path.tenant)?;
    found(&state, ctx, path.webhook).await?;
    let _alone = state.changing.lock().await;
    allowed.record(allowed.entry("webhook.secret_rotated").on(&path.webhook)).await?;
    let secret = new_secret(&**state.app.engine.entropy());
    let newest = secret.clone();
    let rotate = |subscription: &mut Subscription| {
        subscription.secrets.insert(0, newest);
        subscription.secrets.truncate(SECRETS_MAX);
    };
    let changed = state.app.engine.change_subscription(ctx, path.webhook, rotate).await?;
    let webhook = WebhookView::from(changed.ok_or_else(Problem::not_found)?);
    Ok(web::Json(NewWebhookView { webhook, secret: secret.expose().to_owned() }))
}

/// Drop a webhook's former secret
///
/// Only the newest one signs from now on; without a former one nothing changes.
#[utoipa::path(delete, path = "/tenants/{tenant}/webhooks/{webhook}/secret", tag = "webhooks out",
    operation_id = "drop_former_webhook_secret", params(InWebhook),
    responses((status = 200, body = WebhookView), Problems))]
pub async fn drop_former(
    state: web::Data<State>,
    allowed: Allowed<acts::ManageHooks>,
    path: web::Path<InWebhook>,
) -> Result<web::Json<WebhookView>, Problem> {
    let ctx = allowed.ctx(path.tenant)?;
    found(&state, ctx, path.webhook).await?;
    allowed.record(allowed.entry("webhook.former_secret_dropped").on(&path.webhook)).await?;
    let drop_former = |subscription: &mut Subscription| subscription.secrets.truncate(1);
    let changed = state.app.engine.change_subscription(ctx, path.webhook, drop_former).await?;
    Ok(web::Json(changed.ok_or_else(Problem::not_found)?.into()))
}
