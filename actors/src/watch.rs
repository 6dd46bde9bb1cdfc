//! The health of channels: what sends, webhooks and tests say about it, what it means for sending, and
//! who is told.

use std::sync::Arc;

use iassistance_channels::Sender;
use iassistance_channels::send::ProbeReport;
use iassistance_domain::Timestamp;
use iassistance_domain::channel::{Channel, ChannelHealth, ChannelKind, ChannelState, Connection, Notice};
use iassistance_domain::delivery::{DeliveryProblem, ProblemClass};
use iassistance_domain::event::EventKind;
use iassistance_domain::id::{ChannelId, TenantId};
use iassistance_domain::tenant::TenantCtx;
use iassistance_storage::{StorageError, Store};

use crate::engine::{Engine, Shared};

const HOUR_MS: u64 = 60 * 60 * 1_000;
const DAY_MS: u64 = 24 * HOUR_MS;

/// Why a channel could not be tested or set up.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// There is no such channel.
    #[error("there is no such channel")]
    NotFound,
    /// The Meta app through which it was connected is gone.
    #[error("the channel's Meta app is not registered any more: register it, or connect the channel again")]
    NoMetaApp,
    /// Storage refused.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Looks into a problem that concerns a whole channel, when there is time.
pub(crate) fn trouble(shared: &Arc<Shared>, tenant: TenantId, channel: ChannelId, problem: DeliveryProblem) {
    let weak = Arc::downgrade(shared);
    shared.tasks.spawn("channel.trouble", async move {
        if let Some(shared) = weak.upgrade() {
            trouble_now(&shared, tenant, channel, &problem).await;
        }
    });
}

/// A send was refused for what is wrong with the whole channel: nothing is sent until that is mended.
pub(crate) async fn trouble_now(
    shared: &Shared,
    tenant: TenantId,
    channel: ChannelId,
    problem: &DeliveryProblem,
) {
    let state = match problem.class {
        ProblemClass::Auth => ChannelState::Expired,
        ProblemClass::AccountBlock => ChannelState::Blocked,
        _ => return,
    };
    let reason = format!("{} (code {})", problem.title, problem.code);
    let (watcher, ctx) = (shared.watcher(), TenantCtx::platform(tenant));
    let now = watcher.now;
    let change = watcher.change_health(ctx, channel, |health| health.turned(state, Some(reason), now));
    if let Err(error) = change.await {
        tracing::warn!(%tenant, %channel, %error, "a channel's trouble could not be written down");
    }
}

/// What testing and judging channels needs; a command has it without a running engine.
pub struct Watcher<'a> {
    /// Where channels are kept.
    pub store: &'a dyn Store,
    /// The way out to Meta.
    pub sender: &'a dyn Sender,
    /// The time.
    pub now: Timestamp,
    /// How long before its end a token is told of, milliseconds.
    pub token_notice_ms: u64,
}

/// A channel's state before and after a change.
type Change = Option<(ChannelState, ChannelState)>;

impl Watcher<'_> {
    /// Tests a channel with Meta: its token, its permissions, its subscription. Writes down what came
    /// out, in words, and what it means for sending.
    pub async fn test(&self, ctx: TenantCtx, id: ChannelId) -> Result<ProbeReport, ProbeError> {
        self.test_and_compare(ctx, id).await.map(|(report, _)| report)
    }

    async fn test_and_compare(
        &self,
        ctx: TenantCtx,
        id: ChannelId,
    ) -> Result<(ProbeReport, Change), ProbeError> {
        let store = self.store.tenant(ctx).await?;
        let channel = store.channel(id).await?.ok_or(ProbeError::NotFound)?;
        let app = self.store.meta_app(channel.meta_app).await?.ok_or(ProbeError::NoMetaApp)?;
        let report = self.sender.probe(&channel, &app).await;
        self.learn(&channel, &report).await?;
        let sends = report.state.is_some_and(ChannelState::sends);
        if sends && channel.kind() == ChannelKind::Whatsapp {
            self.refresh_templates(ctx, id).await?;
        }
        let tells_ends = !matches!(channel.connection, Connection::InstagramLogin { .. });
        let change = self.change_health(ctx, id, |health| self.tested(health, &report, tells_ends)).await?;
        Ok((report, change))
    }

    /// A channel's health by a test.
    fn tested(&self, health: &ChannelHealth, report: &ProbeReport, tells_ends: bool) -> ChannelHealth {
        let Some(state) = report.state else { return health.clone() };
        // Meta does not say when a token of Instagram Login ends: what its renewal said counts.
        let ends = report.token_expires_at.or(health.token_expires_at.filter(|_| !tells_ends));
        let ends_soon = ends
            .filter(|ends| *ends <= self.now.plus_millis(self.token_notice_ms))
            .map(|ends| ends.millis_since(self.now) / DAY_MS);
        let (state, reason) = match (state, report.reason(), ends_soon) {
            (ChannelState::Live, None, Some(days)) => {
                let reason = format!("its token ends in {days} days: connect it with a new one before");
                (ChannelState::Degraded, Some(reason))
            }
            (state, reason, _) => (state, reason),
        };
        ChannelHealth {
            tested_at: Some(self.now),
            token_expires_at: ends,
            sends_per_s: report.sends_per_s.or(health.sends_per_s),
            ..health.turned(state, reason, self.now)
        }
    }

    /// Keeps what a test found out about a channel beside its health.
    async fn learn(&self, channel: &Channel, report: &ProbeReport) -> Result<(), StorageError> {
        let mut learned = channel.clone();
        if let Connection::CloudApi { account_id, number } = &mut learned.connection {
            *account_id = account_id.take().or_else(|| report.account_id.clone());
            *number = report.number.clone().or_else(|| number.take());
        }
        if let Connection::InstagramLogin { user_id } = &mut learned.connection {
            *user_id = report.user_id.clone().or_else(|| user_id.take());
        }
        learned.token_owner = report.token_owner.clone().or(learned.token_owner);
        if learned != *channel {
            self.store.put_channel(learned).await?;
        }
        Ok(())
    }

    /// Asks Meta for a channel's templates and keeps them. What cannot be had leaves the old ones.
    async fn refresh_templates(&self, ctx: TenantCtx, id: ChannelId) -> Result<(), StorageError> {
        let store = self.store.tenant(ctx).await?;
        let channel = store.channel(id).await?.ok_or(StorageError::NotFound("channel"))?;
        match self.sender.templates(&channel).await {
            Ok(templates) => store.put_templates(id, templates).await,
            Err(problem) => {
                tracing::info!(channel = %id, code = problem.code, reason = problem.title, "the channel's templates could not be had");
                Ok(())
            }
        }
    }

    /// Changes a channel's health and tells of it; says what it was and is, if it changed.
    async fn change_health(
        &self,
        ctx: TenantCtx,
        id: ChannelId,
        change: impl FnOnce(&ChannelHealth) -> ChannelHealth,
    ) -> Result<Change, StorageError> {
        let store = self.store.tenant(ctx).await?;
        let channel = store.channel(id).await?.ok_or(StorageError::NotFound("channel"))?;
        let health = change(&channel.health);
        if health == channel.health {
            return Ok(None);
        }
        self.store.set_channel_health(ctx, id, health.clone()).await?;
        let (before, after) = (channel.health.state, health.state);
        if before != after {
            let (tenant, reason) = (ctx.tenant(), health.reason.as_deref().unwrap_or_default());
            tracing::warn!(%tenant, channel = %id, before = before.name(), after = after.name(), reason, "a channel's health changed");
            metrics::counter!("iassistance_channel_changes_total", "state" => after.name()).increment(1);
        }
        if before != after || health.reason != channel.health.reason {
            store.append(None, vec![EventKind::ChannelHealthChanged { channel: id, health }]).await?;
        }
        Ok(Some((before, after)))
    }
}

impl Shared {
    fn watcher(&self) -> Watcher<'_> {
        Watcher {
            store: &*self.parts.store,
            sender: &*self.parts.sender,
            now: self.parts.clock.now(),
            token_notice_ms: self.settings.meta.token_notice_days * DAY_MS,
        }
    }

    /// What waited for a channel goes on when it sends again.
    fn follow(&self, tenant: TenantId, change: Change) {
        if change.is_some_and(|(before, after)| after.sends() && !before.sends()) {
            self.resume(tenant);
        }
    }

    fn resume(&self, tenant: TenantId) {
        self.dispatcher.ring_tenant(tenant);
        self.doorbell(tenant).ring_all();
        self.wake_tenant(tenant);
    }
}

impl Engine {
    /// Tests a channel with Meta, as [`Watcher::test`] does; what waited for it goes on when it is well.
    pub async fn probe(&self, ctx: TenantCtx, id: ChannelId) -> Result<ProbeReport, ProbeError> {
        let (report, change) = self.shared.watcher().test_and_compare(ctx, id).await?;
        self.shared.follow(ctx.tenant(), change);
        Ok(report)
    }

    /// Says that a person changed a channel: what waited for it looks again whether it may leave.
    pub fn resume(&self, tenant: TenantId) {
        self.shared.resume(tenant);
    }

    /// Takes to heart what Meta said about a channel. Repeating it changes nothing.
    pub(crate) async fn heed(
        &self,
        tenant: TenantId,
        id: ChannelId,
        notice: &Notice,
    ) -> Result<(), StorageError> {
        let store = self.shared.tenant_store(tenant).await?;
        let Some(channel) = store.channel(id).await? else { return Ok(()) };
        match notice {
            Notice::Template { name, language, what, value, .. } => {
                let mut templates = store.templates(id).await?;
                let ours = templates
                    .iter_mut()
                    .find(|template| template.name == *name && template.language == *language);
                match (ours, what.as_str()) {
                    (Some(template), "status") => template.status.clone_from(value),
                    (Some(template), "category") => template.category.clone_from(value),
                    _ => return Ok(()),
                }
                store.put_templates(id, templates).await
            }
            Notice::History { .. } => Ok(()),
            notice => {
                let (watcher, ctx) = (self.shared.watcher(), TenantCtx::platform(tenant));
                let now = watcher.now;
                let change =
                    watcher.change_health(ctx, id, |health| heeded(health, &channel.connection, notice, now));
                self.shared.follow(tenant, change.await?);
                Ok(())
            }
        }
    }

    /// Tests every channel whose last test is too old, and renews tokens that would end soon.
    pub(crate) async fn look_after_channels(&self) {
        let (meta, now) = (&self.shared.settings.meta, self.clock().now());
        let tenants = match self.store().tenants().await {
            Ok(tenants) if meta.channel_test_hours > 0 => tenants,
            Ok(_) => return,
            Err(error) => {
                tracing::warn!(%error, "the channels could not be looked after; the next sweep tries again");
                return;
            }
        };
        for tenant in tenants {
            let ctx = TenantCtx::platform(tenant.id);
            let Ok(store) = self.store().tenant(ctx).await else { continue };
            for channel in store.channels().await.unwrap_or_default() {
                let since = channel.health.tested_at.map_or(u64::MAX, |at| now.millis_since(at));
                if since < meta.channel_test_hours * HOUR_MS {
                    continue;
                }
                self.renew(&channel).await;
                if let Err(error) = self.probe(ctx, channel.id).await {
                    tracing::warn!(tenant = %tenant.id, channel = %channel.id, %error, "a channel could not be tested");
                }
            }
        }
    }

    /// Renews a token of Instagram Login that would end soon, or of which nobody knows when it ends:
    /// its renewal tells. Meta renews one that is a day old.
    async fn renew(&self, channel: &Channel) {
        let notice_ms = self.shared.settings.meta.token_notice_days * DAY_MS;
        let ends = channel.health.token_expires_at;
        let soon = ends.is_none_or(|ends| ends <= self.clock().now().plus_millis(notice_ms));
        if !soon || !matches!(channel.connection, Connection::InstagramLogin { .. }) {
            return;
        }
        match self.shared.parts.sender.refresh_token(channel).await {
            Ok(fresh) => {
                let ends = self.clock().now().plus_millis(fresh.lives_ms);
                let health = ChannelHealth { token_expires_at: Some(ends), ..channel.health.clone() };
                let renewed = Channel { access_token: fresh.token, health, ..channel.clone() };
                if let Err(error) = self.store().put_channel(renewed).await {
                    tracing::warn!(channel = %channel.id, %error, "a renewed token could not be kept");
                }
            }
            Err(problem) => {
                tracing::warn!(channel = %channel.id, code = problem.code, reason = problem.title, "a token could not be renewed");
            }
        }
    }
}

/// How a channel is after a notice.
fn heeded(health: &ChannelHealth, connection: &Connection, notice: &Notice, now: Timestamp) -> ChannelHealth {
    let turned = |state, reason: &str| health.turned(state, Some(reason.to_owned()), now);
    let well = || match health.state {
        // An ended token is not mended by what Meta says about quality.
        ChannelState::Expired => health.clone(),
        _ => health.turned(ChannelState::Live, None, now),
    };
    match notice {
        Notice::Account { event } => match event.as_str() {
            "DISABLED_UPDATE" | "ACCOUNT_DELETED" => turned(
                ChannelState::Blocked,
                "Meta disabled or deleted the business account: see WhatsApp Manager",
            ),
            "PARTNER_REMOVED" | "PARTNER_APP_UNINSTALLED" => turned(
                ChannelState::Expired,
                "the business took the app's access away: connect the channel again",
            ),
            "ACCOUNT_RESTRICTION" | "ACCOUNT_VIOLATION" => turned(
                ChannelState::Degraded,
                "Meta restricts the business account for a breach of its policy: see WhatsApp Manager",
            ),
            "ACCOUNT_REINSTATED" | "VERIFIED_ACCOUNT" => well(),
            _ => health.clone(),
        },
        Notice::Quality { event, number, .. } => {
            let ours = match (connection, number) {
                (Connection::CloudApi { number: Some(ours), .. }, Some(named)) => ours == named,
                // Which of the account's numbers this channel is was not learned yet.
                (_, Some(_)) => false,
                (_, None) => true,
            };
            match event.as_str() {
                _ if !ours => health.clone(),
                "FLAGGED" => turned(
                    ChannelState::Degraded,
                    "many people block or report this number: send less and better, or Meta limits it",
                ),
                "UNFLAGGED" => well(),
                "THROUGHPUT_UPGRADE" => ChannelHealth { sends_per_s: Some(1_000), ..health.clone() },
                _ => health.clone(),
            }
        }
        Notice::Policy { action, reason } => {
            let because = reason.as_deref().unwrap_or("no reason is given");
            match action.as_str() {
                "block" => turned(
                    ChannelState::Blocked,
                    &format!("Meta blocks the page's messages ({because}): see its quality page"),
                ),
                "warning" => turned(ChannelState::Degraded, &format!("Meta warns the page ({because})")),
                "unblock" => well(),
                _ => health.clone(),
            }
        }
        _ => health.clone(),
    }
}
