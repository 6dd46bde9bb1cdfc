//! The engine: the parts that the actors work with, and what the doors may ask of them.

use std::pin::pin;
use std::sync::{Arc, Weak};

use dashmap::{DashMap, DashSet};
use futures::future::select;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use iassistance_assistant::breaker::Breakers;
use iassistance_assistant::money::Prices;
use iassistance_assistant::slots::Slots;
use iassistance_channels::Sender;
use iassistance_domain::assistant::AssistantSettingsVersion;
use iassistance_domain::id::{ConversationId, TenantId};
use iassistance_domain::tenant::TenantCtx;
use iassistance_domain::{Clock, Entropy};
use iassistance_storage::content::ContentStore;
use iassistance_storage::{StorageError, Store, TenantStore};

use crate::checks::Checks;
use crate::conversation::{ConversationActor, ConversationKey, Rest};
use crate::dispatcher::Dispatcher;
use crate::doorbell::Doorbell;
use crate::effort::Means;
use crate::hooks::Couriers;
use crate::hub::Hub;
use crate::kernel::{
    Arbiters, ArbitersError, Ended, Limiter, Mailbox, Permitted, Rate, RateError, Refused, Registry,
    RegistryFull, RegistryLimits, StillRunning, Tasks,
};
use crate::knowledge::Library;
use crate::settings::{EngineParts, EngineSettings};
use crate::tenant::{TenantActor, Wake};
use crate::turn;

/// Why the engine could not be started.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// Threads could not be had.
    #[error(transparent)]
    Arbiters(#[from] ArbitersError),
    /// A rate in the settings cannot be kept.
    #[error(transparent)]
    Rate(#[from] RateError),
}

/// The running actors. Cheap to clone; [`Engine::stop`] ends it.
#[derive(Clone)]
pub struct Engine {
    pub(crate) shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) settings: EngineSettings,
    pub(crate) parts: EngineParts,
    pub(crate) tasks: Tasks,
    pub(crate) slots: Slots,
    /// Cancelled when the server is about to stop: no turn begins any more.
    pub(crate) draining: CancellationToken,
    pub(crate) dispatcher: Dispatcher,
    pub(crate) hub: Hub,
    pub(crate) hooks: Couriers,
    /// How many files are fetched at once.
    pub(crate) fetches: Semaphore,
    pub(crate) breakers: Breakers,
    pub(crate) prices: Prices,
    pub(crate) library: Arc<Library>,
    pub(crate) turn_limiter: Limiter<ConversationKey>,
    pub(crate) step_limiter: Limiter<TenantId>,
    tenants: Registry<TenantId, TenantActor>,
    pub(crate) conversations: Registry<ConversationKey, ConversationActor>,
    pub(crate) doorbells: DashMap<TenantId, Arc<Doorbell>>,
    /// Tenants whose data is being replaced: none of their conversations is activated.
    pub(crate) held: DashSet<TenantId>,
    /// Conversations whose contact is being erased: they are not activated.
    pub(crate) held_conversations: DashSet<ConversationKey>,
    pub(crate) assistants: DashMap<TenantId, Arc<AssistantSettingsVersion>>,
    pub(crate) checks: Checks,
    own: Weak<Shared>,
}

/// How often a draining engine looks whether something is still under way, milliseconds.
const DRAIN_LOOK_MS: u64 = 20;
/// How many keys a limiter remembers; a key that is not remembered has a full burst.
const LIMITER_KEYS_MAX: usize = 100_000;

impl Engine {
    /// Starts the engine. Needs an actix system on this thread. Nothing is woken yet: see
    /// [`Engine::recover`].
    pub fn start(settings: EngineSettings, parts: EngineParts) -> Result<Self, EngineError> {
        let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        let arbiters = Arc::new(Arbiters::new(match settings.actors.arbiters {
            0 => cores,
            count => count,
        })?);
        let limits = &settings.limits;
        let turn_rate = Rate {
            per: limits.conversation_turns_per_min,
            period_ms: 60_000,
            burst: limits.conversation_burst,
        };
        let step_rate = Rate { per: limits.tenant_steps_per_s, period_ms: 1_000, burst: limits.tenant_burst };
        let turn_limiter = Limiter::new(turn_rate, LIMITER_KEYS_MAX, Arc::clone(&parts.clock))?;
        let step_limiter = Limiter::new(step_rate, LIMITER_KEYS_MAX, Arc::clone(&parts.clock))?;
        let dispatcher = Dispatcher::new(&settings, &parts)?;
        let tasks = Tasks::new();
        let hub = Hub::new(settings.live.tail_events, tasks.clone());
        let hooks = Couriers::new(&settings.hooks);
        let slots = Slots::new(settings.model.turns_max, settings.model.turns_per_tenant_max);
        let shared = Arc::new_cyclic(|own: &Weak<Shared>| {
            let tenant_limits = RegistryLimits {
                actors_max: usize::MAX,
                mailbox_max: bounded(settings.actors.tenant_mailbox),
            };
            let conversation_limits = RegistryLimits {
                actors_max: settings.actors.conversations_max,
                mailbox_max: bounded(settings.actors.conversation_mailbox),
            };
            let (for_tenants, for_conversations) = (own.clone(), own.clone());
            Shared {
                tenants: Registry::new(
                    "tenant",
                    tenant_limits,
                    Arc::clone(&arbiters),
                    move |ended: Ended<TenantId>| {
                        let shared = if ended.panicked { for_tenants.upgrade() } else { None };
                        if let Some(shared) = shared {
                            shared.restart_tenant(ended.key);
                        }
                    },
                ),
                conversations: Registry::new(
                    "conversation",
                    conversation_limits,
                    arbiters,
                    move |ended: Ended<ConversationKey>| {
                        let shared = if ended.panicked { for_conversations.upgrade() } else { None };
                        if let Some(shared) = shared {
                            shared.doorbell(ended.key.tenant).panicked(ended.key.conversation);
                            shared.wake_tenant(ended.key.tenant);
                        }
                    },
                ),
                fetches: Semaphore::new(settings.media.fetch_concurrency),
                breakers: Breakers::new(settings.breaker_policy(), Arc::clone(&parts.clock)),
                prices: settings.price_table(),
                library: Arc::new(Library::new(&settings, &parts)),
                settings,
                parts,
                tasks,
                slots,
                draining: CancellationToken::new(),
                dispatcher,
                hub,
                hooks,
                turn_limiter,
                step_limiter,
                doorbells: DashMap::new(),
                held: DashSet::new(),
                held_conversations: DashSet::new(),
                assistants: DashMap::new(),
                checks: Checks::default(),
                own: own.clone(),
            }
        });
        Ok(Self { shared })
    }

    /// The store.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.shared.parts.store
    }

    /// Time, as the engine sees it.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.shared.parts.clock
    }

    /// Chance, as the engine has it.
    pub fn entropy(&self) -> &Arc<dyn Entropy> {
        &self.shared.parts.entropy
    }

    /// The live feed.
    pub fn hub(&self) -> &Hub {
        &self.shared.hub
    }

    /// Wakes these conversations: they have letters.
    pub fn ring(&self, tenant: TenantId, conversations: &[ConversationId]) {
        let bell = self.shared.doorbell(tenant);
        for conversation in conversations {
            bell.ring(*conversation);
        }
        self.shared.wake_tenant(tenant);
    }

    /// How many conversations are in memory.
    pub fn live_conversations(&self) -> usize {
        self.shared.conversations.len()
    }

    /// How many tenants have one of the model's slots, or wait for one.
    pub fn tenants_at_the_model(&self) -> usize {
        self.shared.slots.tenants()
    }

    /// How many tasks (turns, sends, timers) run.
    pub fn live_tasks(&self) -> usize {
        self.shared.tasks.len()
    }

    /// The way out to the channels.
    pub fn sender(&self) -> &Arc<dyn Sender> {
        &self.shared.parts.sender
    }

    /// The files of messages.
    pub fn content(&self) -> &ContentStore {
        &self.shared.parts.content
    }

    /// Puts away every conversation that has had nothing to do for `idle_ms`.
    pub fn passivate_idle(&self) {
        self.shared.passivate_idle();
    }

    /// Ends the live feeds alone: all who watch are told. For a door to call before it waits for its
    /// connections to end.
    pub fn close_live(&self) {
        self.shared.hub.close();
    }

    /// Lets what is under way come to its end, for at most `limit_ms`, and begins nothing new: turns that
    /// are being answered are finished and their replies sent; turns that wait are parked, and so is
    /// everything after the limit. What is parked goes on at the next start. Returns whether everything
    /// that was under way has ended. [`Engine::stop`] follows.
    pub async fn drain(&self, limit_ms: u64) -> bool {
        let (shared, clock) = (&self.shared, &self.shared.parts.clock);
        shared.draining.cancel();
        let end = clock.now().plus_millis(limit_ms);
        while shared.tasks.running().contains_key(turn::TASK) || !shared.dispatcher.is_idle() {
            if clock.now() >= end {
                return false;
            }
            clock.sleep_millis(DRAIN_LOOK_MS).await;
        }
        true
    }

    /// Stops: no new work is begun, sends in hand are waited for, for at most `limit_ms`. What is not
    /// finished goes on at the next start.
    pub async fn stop(&self, limit_ms: u64) -> Result<(), StillRunning> {
        self.shared.dispatcher.close();
        self.shared.hub.close();
        for mailbox in self.shared.mailboxes() {
            // A full mailbox is left: its actor ends with its arbiter, and the inbox keeps its work.
            drop(mailbox.try_send(Rest { at_once: true }));
        }
        let clock = &*self.shared.parts.clock;
        let limit = clock.sleep_millis(limit_ms);
        let closed = self.shared.tasks.close(clock, limit_ms).await;
        // What the tasks told their conversations at their end is in mailboxes still.
        select(pin!(self.shared.conversations_drained()), limit).await;
        closed
    }
}

impl Shared {
    pub(crate) fn doorbell(&self, tenant: TenantId) -> Arc<Doorbell> {
        Arc::clone(&self.doorbells.entry(tenant).or_default())
    }

    pub(crate) fn wake_tenant(&self, tenant: TenantId) {
        // A mailbox closes between being had and being used when its actor ends just then; the next
        // one is fresh. Whatever is not delivered stays at the door, and the sweep rings again.
        for _ in 0..3 {
            match self.tenant(tenant).map(|mailbox| mailbox.try_send(Wake)) {
                Ok(Err(Refused::Closed(_))) => {}
                Ok(Ok(()) | Err(Refused::Full(_))) | Err(_) => return,
            }
        }
    }

    fn tenant(&self, tenant: TenantId) -> Result<Mailbox<TenantActor>, RegistryFull> {
        let own = self.own.clone();
        self.tenants.get_or_activate(&tenant, move |life| TenantActor::new(life, own))
    }

    pub(crate) fn tell_tenant<M>(&self, tenant: TenantId, message: M) -> bool
    where
        TenantActor: actix::Handler<Permitted<M>>,
        M: actix::Message + Send + 'static,
        M::Result: Send,
    {
        self.tenant(tenant).is_ok_and(|mailbox| mailbox.try_send(message).is_ok())
    }

    fn restart_tenant(&self, tenant: TenantId) {
        let (own, pause) = (self.own.clone(), self.settings.actors.restart_pause_ms);
        let sleep = self.parts.clock.sleep_millis(pause);
        // The end is told on an arbiter's thread, which has a runtime.
        self.tasks.spawn("tenant.restart", async move {
            sleep.await;
            if let Some(shared) = own.upgrade() {
                shared.doorbell(tenant).ring_all();
                shared.wake_tenant(tenant);
            }
        });
    }

    /// The mailbox of a conversation, activated if need be.
    pub(crate) fn conversation(
        &self,
        key: ConversationKey,
    ) -> Result<Mailbox<ConversationActor>, RegistryFull> {
        if self.held.contains(&key.tenant) || self.held_conversations.contains(&key) {
            // Whoever is refused tries again, as when there is no room.
            return Err(RegistryFull { name: "held tenant's conversation", actors_max: 0 });
        }
        if let Some(mailbox) = self.conversations.get(&key) {
            return Ok(mailbox);
        }
        let (own, most) = (self.own.clone(), self.settings.actors.conversations_per_tenant_max);
        let seat = self.doorbell(key.tenant).take_seat(most).ok_or_else(|| {
            metrics::counter!("iassistance_limited_total", "limit" => "tenant_conversations").increment(1);
            RegistryFull { name: "conversation of this tenant", actors_max: most }
        })?;
        self.conversations.get_or_activate(&key, move |life| ConversationActor::new(life, own, seat))
    }

    /// The mailbox of a conversation that is in memory.
    pub(crate) fn live_conversation(&self, key: ConversationKey) -> Option<Mailbox<ConversationActor>> {
        self.conversations.get(&key)
    }

    /// Tells a conversation, in memory or not, what work beside it came to. One that is held for a person
    /// is not told: it is not to run.
    pub(crate) async fn deliver<M>(&self, key: ConversationKey, mut message: M)
    where
        ConversationActor: actix::Handler<Permitted<M>>,
        M: actix::Message + Send + 'static,
        M::Result: Send,
    {
        // Closed: it has just ended, and the next try activates its successor.
        for _ in 0..3 {
            if self.doorbell(key.tenant).is_quarantined(key.conversation) {
                return;
            }
            let Ok(mailbox) = self.conversation(key) else { return };
            match mailbox.send(message).await {
                Ok(()) => return,
                Err(refused) => message = refused.into_message(),
            }
        }
    }

    /// Whether memory for conversations runs short, or what of it this tenant may have, so that idle ones
    /// should go at once.
    pub(crate) fn is_crowded(&self, tenant: TenantId) -> bool {
        let (all, own) = (self.conversations.len(), self.doorbell(tenant).seats_taken());
        let is_near = |taken, max| taken >= max - max / 10;
        let actors = &self.settings.actors;
        is_near(all, actors.conversations_max) || is_near(own, actors.conversations_per_tenant_max)
    }

    /// The mailboxes of the conversations in memory.
    fn mailboxes(&self) -> impl Iterator<Item = Mailbox<ConversationActor>> {
        self.conversations.keys().into_iter().filter_map(|key| self.conversations.get(&key))
    }

    async fn conversations_drained(&self) {
        for mailbox in self.mailboxes() {
            mailbox.drained().await;
        }
    }

    pub(crate) fn passivate_idle(&self) {
        for mailbox in self.mailboxes() {
            // Full means that it is not idle.
            drop(mailbox.try_send(Rest { at_once: false }));
        }
    }

    /// What the platform has for an effort to answer.
    pub(crate) fn means(&self) -> Means<'_> {
        Means {
            settings: &self.settings,
            parts: &self.parts,
            breakers: &self.breakers,
            prices: &self.prices,
            http: Arc::clone(&self.parts.http),
            generator: Arc::clone(&self.parts.generator),
            services: Arc::clone(&self.parts.services),
        }
    }

    pub(crate) async fn tenant_store(&self, tenant: TenantId) -> Result<Arc<dyn TenantStore>, StorageError> {
        self.parts.store.tenant(TenantCtx::platform(tenant)).await
    }
}

/// The places of a mailbox in which this many messages may wait: one more is being handled. So a full
/// one always has a message that comes to its turn after whatever was rung before.
fn bounded(mailbox: usize) -> u32 {
    u32::try_from(mailbox).unwrap_or(u32::MAX).saturating_add(1)
}
