//! Durable work out to the channels: one lane per conversation, so that its messages leave in order
//! and one at a time; lanes run side by side within the numbers' and pairs' limits.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use futures::future::select;
use tokio::sync::{Mutex, Notify};
use tokio_util::sync::CancellationToken;

use iassistance_assistant::slots::Slots;
use iassistance_channels::SendError;
use iassistance_channels::errors::ThrottleScope;
use iassistance_channels::usage::Pause;
use iassistance_config::{DispatchSettings, UnknownPolicy};
use iassistance_domain::Timestamp;
use iassistance_domain::assistant::UnknownSends;
use iassistance_domain::channel::{Channel, Connection};
use iassistance_domain::delivery::{DeliveryProblem, ProblemClass};
use iassistance_domain::id::{ChannelId, ContactId, MessageId, MetaAppId, TenantId};
use iassistance_domain::outbox::{OutboxEntry, OutboxState, SendOutcome};
use iassistance_storage::store::Dispatch;
use iassistance_storage::{SendReport, StorageError, TenantStore};

use crate::conversation::ConversationKey;
use crate::engine::Shared;
use crate::kernel::{Limited, Limiter, Rate, RateError};
use crate::settings::{EngineParts, EngineSettings};
use crate::shelf::Shelf;
use crate::stage::Stage;
use crate::watch;

/// How many keys a limiter remembers; a key that is not remembered has a full burst.
const LIMITER_KEYS_MAX: usize = 100_000;
/// How long a lane waits before it tries the store again, milliseconds.
const STORE_RETRY_MS: u64 = 1_000;
/// How long a lane waits before it looks again whether its channel sends, milliseconds. It is also
/// rung when the channel is mended.
const HELD_MS: u64 = 60_000;
/// What share of a number's rate is kept for people, percent: their words do not queue behind the
/// assistant's.
const KEPT_FOR_PEOPLE_PERCENT: u32 = 10;
/// What Meta raises a number's rate to (Meta: Cloud API, "Throughput").
const RAISED_SENDS_PER_S: u32 = 1_000;
/// What a number sends that is also used on a phone (Meta: Cloud API, "Coexistence").
const SHARED_SENDS_PER_S: u32 = 20;

/// All lanes.
pub(crate) struct Dispatcher {
    settings: DispatchSettings,
    lanes: DashMap<ConversationKey, Arc<Lane>>,
    sends: Slots,
    sends_of_people: Slots,
    numbers: Numbers,
    pairs: Limiter<(ChannelId, ContactId)>,
    paused: DashMap<Paused, Timestamp>,
    /// Lanes that look at their outbox or send, rather than wait.
    at_work: AtomicUsize,
    started_at: Timestamp,
    stopping: CancellationToken,
}

/// What waits when Meta says that it was called too often, or is about to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Paused {
    /// Everything of a Meta app.
    App(MetaAppId),
    /// Everything of a business account, by Meta's id of it.
    Account(String),
    /// Everything of a channel.
    Channel(ChannelId),
}

impl Paused {
    /// What a channel's sends wait for.
    fn of(channel: &Channel) -> impl Iterator<Item = Self> {
        [ThrottleScope::App, ThrottleScope::Account, ThrottleScope::Number]
            .into_iter()
            .map(|scope| Self::at(scope, channel))
    }

    fn at(scope: ThrottleScope, channel: &Channel) -> Self {
        match (scope, &channel.connection) {
            (ThrottleScope::App, _) => Self::App(channel.meta_app),
            (ThrottleScope::Account, Connection::CloudApi { account_id: Some(id), .. }) => {
                Self::Account(id.clone())
            }
            _ => Self::Channel(channel.id),
        }
    }
}

/// What each number, page or account may send: the configured rate, or the one that Meta gave it.
struct Numbers {
    ordinary: Tier,
    raised: Tier,
    shared: Tier,
}

/// A rate for all, of which a part is kept for people.
struct Tier {
    all: Limiter<ChannelId>,
    assistants: Limiter<ChannelId>,
}

impl Tier {
    fn new(per_second: u32, parts: &EngineParts) -> Result<Self, RateError> {
        let kept = per_second * KEPT_FOR_PEOPLE_PERCENT / 100;
        let limiter = |per: u32| {
            let rate = Rate { per, period_ms: 1_000, burst: per };
            Limiter::new(rate, LIMITER_KEYS_MAX, Arc::clone(&parts.clock))
        };
        Ok(Self { all: limiter(per_second)?, assistants: limiter((per_second - kept).max(1))? })
    }
}

impl Numbers {
    fn new(per_second: u32, parts: &EngineParts) -> Result<Self, RateError> {
        Ok(Self {
            ordinary: Tier::new(per_second, parts)?,
            raised: Tier::new(RAISED_SENDS_PER_S.max(per_second), parts)?,
            shared: Tier::new(SHARED_SENDS_PER_S.min(per_second), parts)?,
        })
    }

    fn check(&self, channel: &Channel, by_person: bool) -> Result<(), Limited> {
        let tier = match channel.health.sends_per_s {
            Some(rate) if rate >= RAISED_SENDS_PER_S => &self.raised,
            Some(rate) if rate <= SHARED_SENDS_PER_S => &self.shared,
            _ => &self.ordinary,
        };
        if !by_person {
            tier.assistants.check(&channel.id)?;
        }
        tier.all.check(&channel.id)
    }
}

#[derive(Default)]
struct Lane {
    rung: AtomicBool,
    bell: Notify,
    /// Held from taking a message up until it is settled.
    in_hand: Mutex<()>,
}

/// What a lane does next.
enum Next {
    Again,
    WaitUntil(Timestamp),
    Done,
}

impl Dispatcher {
    pub(crate) fn new(settings: &EngineSettings, parts: &EngineParts) -> Result<Self, RateError> {
        let limits = &settings.limits;
        let slots = || Slots::new(settings.dispatch.concurrency, settings.dispatch.concurrency_per_tenant);
        let pairs = Rate { per: 1, period_ms: limits.pair_interval_ms, burst: limits.pair_burst };
        Ok(Self {
            settings: settings.dispatch.clone(),
            lanes: DashMap::new(),
            sends: slots(),
            sends_of_people: slots(),
            numbers: Numbers::new(limits.number_sends_per_s, parts)?,
            pairs: Limiter::new(pairs, LIMITER_KEYS_MAX, Arc::clone(&parts.clock))?,
            paused: DashMap::new(),
            at_work: AtomicUsize::new(0),
            started_at: parts.clock.now(),
            stopping: CancellationToken::new(),
        })
    }

    /// Cancelled when the engine stops: nothing new is taken up from then on.
    pub(crate) fn stopping(&self) -> CancellationToken {
        self.stopping.clone()
    }

    pub(crate) fn close(&self) {
        self.stopping.cancel();
    }

    /// Whether nothing is being sent or about to be: what waits for a time, waits.
    pub(crate) fn is_idle(&self) -> bool {
        // A lane that begins to work says so before it is no longer rung: asked in this order, one of
        // the two shows.
        !self.lanes.iter().any(|lane| lane.rung.load(Ordering::SeqCst))
            && self.at_work.load(Ordering::SeqCst) == 0
    }

    /// Says that a conversation has work in the outbox, or news about it.
    pub(crate) fn ring(&self, shared: &Arc<Shared>, key: ConversationKey) {
        if self.stopping.is_cancelled() {
            return;
        }
        let lane = match self.lanes.entry(key) {
            Entry::Occupied(lane) => Arc::clone(lane.get()),
            Entry::Vacant(vacant) => {
                let lane = Arc::clone(&vacant.insert(Arc::default()));
                let (shared, lane_of_task) = (Arc::clone(shared), Arc::clone(&lane));
                let tasks = shared.tasks.clone();
                tasks.spawn("dispatch.lane", async move {
                    let _leaving =
                        Leaving { shared: Arc::clone(&shared), key, lane: Arc::clone(&lane_of_task) };
                    shared.dispatcher.run(&shared, key, &lane_of_task).await;
                });
                lane
            }
        };
        lane.rung.store(true, Ordering::SeqCst);
        lane.bell.notify_one();
    }

    /// Says to every lane of a tenant that there is news: a channel of it was mended.
    pub(crate) fn ring_tenant(&self, tenant: TenantId) {
        for lane in &self.lanes {
            if lane.key().tenant == tenant {
                lane.rung.store(true, Ordering::SeqCst);
                lane.bell.notify_one();
            }
        }
    }

    /// Resolves when no message of this conversation is being sent.
    pub(crate) async fn in_hand_settled(&self, key: ConversationKey) {
        let lane = self.lanes.get(&key).map(|lane| Arc::clone(&lane));
        if let Some(lane) = lane {
            drop(lane.in_hand.lock().await);
        }
    }

    async fn run(&self, shared: &Arc<Shared>, key: ConversationKey, lane: &Arc<Lane>) {
        loop {
            let at_work = AtWork::begin(&self.at_work);
            lane.rung.store(false, Ordering::SeqCst);
            let next = match self.step(shared, key, lane).await {
                Ok(next) => next,
                Err(error) => {
                    tracing::warn!(tenant = %key.tenant, conversation = %key.conversation, %error, "the outbox could not be read or settled; it is tried again");
                    Next::WaitUntil(shared.parts.clock.now().plus_millis(STORE_RETRY_MS))
                }
            };
            drop(at_work);
            if self.stopping.is_cancelled() {
                return;
            }
            match next {
                Next::Again => {}
                Next::WaitUntil(at) => {
                    let (time, bell) = (shared.parts.clock.sleep_until(at), pin!(lane.bell.notified()));
                    let wait = select(time, bell);
                    if self.stopping.run_until_cancelled(wait).await.is_none() {
                        return;
                    }
                }
                Next::Done => {
                    // Under the map's lock: whoever rings after this starts a new lane.
                    let silent = |_: &ConversationKey, there: &Arc<Lane>| {
                        Arc::ptr_eq(there, lane) && !lane.rung.load(Ordering::SeqCst)
                    };
                    if self.lanes.remove_if(&key, silent).is_some() {
                        return;
                    }
                }
            }
        }
    }

    /// Looks at the head of the outbox, and sends it if it may leave now.
    async fn step(
        &self,
        shared: &Arc<Shared>,
        key: ConversationKey,
        lane: &Lane,
    ) -> Result<Next, StorageError> {
        let store = shared.tenant_store(key.tenant).await?;
        let Some(head) = store.outbox(key.conversation).await?.into_iter().next() else {
            return Ok(Next::Done);
        };
        let now = shared.parts.clock.now();
        match head.state {
            OutboxState::Waiting { not_before } if not_before > now => {
                return Ok(Next::WaitUntil(not_before));
            }
            OutboxState::Waiting { .. } => {}
            // Nobody is handing it over now, since this lane is the one that would: the process ended
            // in between, and whether it left is not known.
            OutboxState::Dispatching { .. } => {
                return self.settle(shared, key, &*store, head.message, SendOutcome::Unknown).await;
            }
            OutboxState::Unknown { since } => {
                // While nothing ran here the channel could not report: that time does not count.
                let until = since.max(self.started_at).plus_millis(self.settings.unknown_ms);
                if now < until {
                    return Ok(Next::WaitUntil(until));
                }
                // What was accepted and not read yet may be the report.
                if !store.inbox(key.conversation, 1).await?.is_empty() {
                    return Ok(Next::WaitUntil(now.plus_millis(STORE_RETRY_MS)));
                }
                return self.give_up_waiting(shared, key, &*store, &head, now).await;
            }
        }
        let Some(channel) = store.channel(head.channel).await? else {
            let problem = DeliveryProblem {
                class: ProblemClass::Auth,
                code: 0,
                title: "the channel is not connected any more: connect it and replay".to_owned(),
            };
            return self.settle(shared, key, &*store, head.message, SendOutcome::Refused { problem }).await;
        };
        // What may not leave any more is withdrawn by `begin_dispatch`, whatever holds the channel.
        if now <= head.window_until {
            let held = if channel.health.state.sends() {
                self.may_send(&channel, &head, now)
            } else {
                Err(Limited { until: now.plus_millis(HELD_MS).min(head.window_until.plus_millis(1)) })
            };
            if let Err(limited) = held {
                return Ok(Next::WaitUntil(limited.until.max(now.plus_millis(1))));
            }
        }
        let sends = if head.by_person { &self.sends_of_people } else { &self.sends };
        let _slot = sends.acquire(key.tenant).await;
        let _in_hand = lane.in_hand.lock().await;
        if self.stopping.is_cancelled() {
            return Ok(Next::Done);
        }
        match store.begin_dispatch(key.conversation).await? {
            Dispatch::Go(entry) => {
                let outcome = self.send(shared, key.tenant, &channel, &entry).await;
                self.settle(shared, key, &*store, entry.message, outcome).await
            }
            Dispatch::Withdraw(message, reason) => {
                self.settle(shared, key, &*store, message, SendOutcome::Withdrawn { reason }).await
            }
            Dispatch::NotYet(_) | Dispatch::Empty => Ok(Next::Again),
        }
    }

    fn may_send(&self, channel: &Channel, entry: &OutboxEntry, now: Timestamp) -> Result<(), Limited> {
        for paused in Paused::of(channel) {
            if let Some(until) = self.paused.get(&paused).map(|until| *until) {
                if until > now {
                    return Err(Limited { until });
                }
                self.paused.remove_if(&paused, |_, until| *until <= now);
            }
        }
        let limited = |limit: &'static str| {
            move |limited| {
                metrics::counter!("iassistance_limited_total", "limit" => limit).increment(1);
                limited
            }
        };
        self.pairs.check(&(entry.channel, entry.contact)).map_err(limited("pair"))?;
        self.numbers.check(channel, entry.by_person).map_err(limited("number"))
    }

    fn pause(&self, shared: &Shared, scope: ThrottleScope, channel: &Channel, wait_ms: u64) {
        let until = shared.parts.clock.now().plus_millis(wait_ms);
        let mut pause = self.paused.entry(Paused::at(scope, channel)).or_insert(until);
        *pause = (*pause).max(until);
    }

    async fn send(
        &self,
        shared: &Arc<Shared>,
        tenant: TenantId,
        channel: &Channel,
        entry: &OutboxEntry,
    ) -> SendOutcome {
        let shelf = Shelf { content: &shared.parts.content, tenant };
        let now = shared.parts.clock.now();
        let send = shared.parts.sender.send(channel, entry, now, &shelf);
        let attempt = Stage::Dispatch.observe(send).await;
        if let Some(Pause { scope, wait_ms }) = attempt.usage.pause() {
            self.pause(shared, scope, channel, wait_ms);
        }
        let (outcome, name) = match attempt.outcome {
            Ok(sent) => (SendOutcome::Sent { provider_id: sent.provider_id }, "sent"),
            Err(SendError::Retryable { after_ms, problem }) => {
                (self.postponed(shared, entry, after_ms, problem), "postponed")
            }
            Err(SendError::Throttled { scope, wait_ms, problem }) => {
                if scope != ThrottleScope::Pair {
                    self.pause(shared, scope, channel, wait_ms);
                }
                (self.postponed(shared, entry, Some(wait_ms), problem), "throttled")
            }
            // Not this message is at fault: it waits until the channel is mended.
            Err(SendError::Permanent { problem })
                if matches!(problem.class, ProblemClass::Auth | ProblemClass::AccountBlock) =>
            {
                watch::trouble_now(shared, tenant, channel.id, &problem).await;
                (SendOutcome::Postponed { not_before: now, uncounted: true, problem }, "held")
            }
            Err(SendError::Permanent { problem }) => (SendOutcome::Refused { problem }, "refused"),
            Err(SendError::Unknown { .. }) => (SendOutcome::Unknown, "unknown"),
        };
        metrics::counter!("iassistance_sends_total", "outcome" => name).increment(1);
        outcome
    }

    /// Later, or not at all after too many tries.
    fn postponed(
        &self,
        shared: &Shared,
        entry: &OutboxEntry,
        after_ms: Option<u64>,
        problem: DeliveryProblem,
    ) -> SendOutcome {
        if entry.attempts >= self.settings.attempts_max {
            return SendOutcome::Refused { problem };
        }
        let doubled = 1_u64 << entry.attempts.saturating_sub(1).min(20);
        let pause_ms = self.settings.retry_ms.saturating_mul(doubled).min(self.settings.retry_max_ms);
        let jittered_ms = pause_ms / 2 + shared.parts.entropy.up_to(pause_ms / 2);
        let not_before = shared.parts.clock.now().plus_millis(after_ms.unwrap_or(0).max(jittered_ms));
        SendOutcome::Postponed { not_before, uncounted: false, problem }
    }

    /// The channel never told what became of a send.
    async fn give_up_waiting(
        &self,
        shared: &Arc<Shared>,
        key: ConversationKey,
        store: &dyn TenantStore,
        head: &OutboxEntry,
        now: Timestamp,
    ) -> Result<Next, StorageError> {
        let choice = shared.assistant(key.tenant, store).await?.settings.unknown_sends;
        let platforms = match self.settings.unknown_policy {
            UnknownPolicy::Hold => UnknownSends::Hold,
            UnknownPolicy::Resend => UnknownSends::Resend,
        };
        let problem = |class, title: &str| DeliveryProblem { class, code: 0, title: title.to_owned() };
        // A channel that never tells would be sent the same for as long as its window is open.
        let again =
            choice.unwrap_or(platforms) == UnknownSends::Resend && head.attempts < self.settings.attempts_max;
        let (outcome, name) = if again {
            let title =
                "no answer came and the channel never reported: it is sent again, as the settings say";
            let problem = problem(ProblemClass::Transient, title);
            (SendOutcome::Postponed { not_before: now, uncounted: false, problem }, "resent")
        } else {
            let title = "no answer came and the channel never reported: look whether it arrived, then replay or leave it";
            (SendOutcome::Refused { problem: problem(ProblemClass::Request, title) }, "held")
        };
        metrics::counter!("iassistance_unknown_sends_total", "resolved" => name).increment(1);
        self.settle(shared, key, store, head.message, outcome).await
    }

    async fn settle(
        &self,
        shared: &Arc<Shared>,
        key: ConversationKey,
        store: &dyn TenantStore,
        message: MessageId,
        outcome: SendOutcome,
    ) -> Result<Next, StorageError> {
        let report = SendReport { message, at: shared.parts.clock.now(), outcome };
        // What happened has happened: it is written down also while the engine stops.
        while let Err(error) = Stage::Settle.observe(store.settle(key.conversation, report.clone())).await {
            if !error.is_transient() || matches!(error, StorageError::Closed) {
                return Err(error);
            }
            shared.parts.clock.sleep_millis(STORE_RETRY_MS).await;
        }
        shared.doorbell(key.tenant).ring(key.conversation);
        shared.wake_tenant(key.tenant);
        Ok(Next::Again)
    }
}

/// A lane at work in the count, until dropped.
struct AtWork<'a>(&'a AtomicUsize);

impl<'a> AtWork<'a> {
    fn begin(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count)
    }
}

impl Drop for AtWork<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Takes a lane off the map when its task ends, also by a panic.
struct Leaving {
    shared: Arc<Shared>,
    key: ConversationKey,
    lane: Arc<Lane>,
}

impl Drop for Leaving {
    fn drop(&mut self) {
        self.shared.dispatcher.lanes.remove_if(&self.key, |_, lane| Arc::ptr_eq(lane, &self.lane));
    }
}
