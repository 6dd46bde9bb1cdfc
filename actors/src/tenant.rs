//! A tenant admits its conversations: within its rate, past its quarantine, back after a panic.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Weak};

use actix::{Actor, ActorFuture, ActorFutureExt, AtomicResponse, Context, Handler, Message, WrapFuture};

use iassistance_domain::Timestamp;
use iassistance_domain::event::{DeadLetter, DeadWork, EventKind};
use iassistance_domain::id::{ConversationId, DeadLetterId, TenantId};
use iassistance_storage::StorageError;

use crate::conversation::{ConversationKey, Knock};
use crate::engine::Shared;
use crate::kernel::{Guardian, LifeGuard, Permitted, Refused, RestartPolicy, Standing, Verdict};
use crate::stage::Stage;

/// How many conversations one waking admits before other messages get their turn.
const ADMIT_MAX: usize = 128;
/// How long a conversation waits that found no room, milliseconds.
const NO_ROOM_MS: u64 = 200;
/// Conversations whose panics are remembered.
const GUARDED_MAX: usize = 10_000;

/// Something waits at the door.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Wake;

/// A conversation that was quarantined may run again.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Release(pub ConversationId);

/// A conversation cannot go on before a person has looked.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Hold {
    /// Which.
    pub conversation: ConversationId,
    /// Why, and what to do.
    pub reason: String,
}

/// The actor of one tenant.
pub struct TenantActor {
    life: LifeGuard<TenantId>,
    shared: Weak<Shared>,
    desk: Option<Desk>,
}

/// What the actor keeps; it travels with each step and comes back at its end.
struct Desk {
    guardian: Guardian<ConversationId>,
    delayed: BTreeMap<Timestamp, BTreeSet<ConversationId>>,
    look: Look,
    timer: Option<Timestamp>,
    loaded: bool,
}

/// A look into the store for everything that is unfinished, a page at a time.
enum Look {
    /// None is under way.
    Done,
    /// The next page begins after this conversation, or at the first.
    After(Option<ConversationId>),
}

impl TenantActor {
    pub(crate) fn new(life: LifeGuard<TenantId>, shared: Weak<Shared>) -> Self {
        Self { life, shared, desk: None }
    }

    /// A step with the desk. Awaited exclusively, so that no other message is handled meanwhile.
    fn step<F>(&mut self, step: F) -> impl ActorFuture<Self, Output = ()> + use<F>
    where
        F: AsyncFnOnce(&Arc<Shared>, TenantId, &mut Desk) + 'static,
    {
        let (shared, tenant) = (self.shared.upgrade(), *self.life.key());
        let desk = self.desk.take();
        let work = async move {
            let shared = shared?;
            let mut desk = desk.unwrap_or_else(|| Desk::new(&shared));
            step(&shared, tenant, &mut desk).await;
            Some(desk)
        };
        work.into_actor(self).map(|desk, actor: &mut Self, _| actor.desk = desk)
    }
}

/// What is kept here is not true any more: the tenant's data was replaced.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Forget;

impl Handler<Permitted<Forget>> for TenantActor {
    type Result = ();

    fn handle(&mut self, _: Permitted<Forget>, _: &mut Context<Self>) {
        self.desk = None;
    }
}

impl Actor for TenantActor {
    type Context = Context<Self>;
}

impl Handler<Permitted<Wake>> for TenantActor {
    type Result = AtomicResponse<Self, ()>;

    fn handle(&mut self, message: Permitted<Wake>, _: &mut Context<Self>) -> Self::Result {
        message
            .permit
            .exclusively(self.step(async |shared, tenant, desk: &mut Desk| desk.admit(shared, tenant).await))
    }
}

impl Handler<Permitted<Release>> for TenantActor {
    type Result = AtomicResponse<Self, ()>;

    fn handle(&mut self, message: Permitted<Release>, _: &mut Context<Self>) -> Self::Result {
        let conversation = message.message.0;
        let step = self.step(async move |shared, tenant, desk: &mut Desk| {
            desk.guardian.release(&conversation);
            let bell = shared.doorbell(tenant);
            bell.set_quarantined(conversation, false);
            bell.ring(conversation);
            desk.admit(shared, tenant).await;
        });
        message.permit.exclusively(step)
    }
}

impl Handler<Permitted<Hold>> for TenantActor {
    type Result = AtomicResponse<Self, ()>;

    fn handle(&mut self, message: Permitted<Hold>, _: &mut Context<Self>) -> Self::Result {
        let Permitted { message: Hold { conversation, reason }, permit } = message;
        let step = self.step(async move |shared, tenant, desk: &mut Desk| {
            let now = shared.parts.clock.now();
            desk.guardian.quarantine(&conversation, now);
            if let Err(error) = desk.hold(shared, tenant, conversation, now, reason).await {
                tracing::warn!(%tenant, %conversation, %error, "a conversation could not be held; it is tried again");
                desk.guardian.release(&conversation);
                shared.doorbell(tenant).set_quarantined(conversation, false);
                let at = now.plus_millis(shared.settings.actors.restart_pause_max_ms.max(1));
                desk.delayed.entry(at).or_default().insert(conversation);
                desk.wake_at(shared, tenant, at);
            }
        });
        permit.exclusively(step)
    }
}

impl Desk {
    fn new(shared: &Shared) -> Self {
        let actors = &shared.settings.actors;
        let policy = RestartPolicy {
            restarts_max: actors.restarts_max,
            window_ms: actors.restart_window_ms,
            backoff_min_ms: actors.restart_pause_ms,
            backoff_max_ms: actors.restart_pause_max_ms,
            keys_max: GUARDED_MAX,
        };
        Self {
            guardian: Guardian::new(policy, Arc::clone(&shared.parts.entropy)),
            delayed: BTreeMap::new(),
            look: Look::Done,
            timer: None,
            loaded: false,
        }
    }

    /// Admits what waits at the door, then what the store says is unfinished.
    async fn admit(&mut self, shared: &Arc<Shared>, tenant: TenantId) {
        let now = shared.parts.clock.now();
        if let Err(error) = Stage::Admit.observe(self.try_admit(shared, tenant, now)).await {
            tracing::warn!(%tenant, %error, "a tenant could not be admitted; it is tried again");
            shared.doorbell(tenant).ring_all();
            self.wake_at(shared, tenant, now.plus_millis(shared.settings.actors.restart_pause_ms.max(1)));
        }
    }

    async fn try_admit(
        &mut self,
        shared: &Arc<Shared>,
        tenant: TenantId,
        now: Timestamp,
    ) -> Result<(), StorageError> {
        self.load(shared, tenant, now).await?;
        let bell = shared.doorbell(tenant);
        let waiting = bell.take(ADMIT_MAX);
        for conversation in waiting.panicked {
            self.panicked(shared, tenant, conversation, now).await?;
        }
        if waiting.overflowed {
            self.look = Look::After(None);
        }
        let later = self.delayed.split_off(&now.plus_millis(1));
        let due = std::mem::replace(&mut self.delayed, later);
        let mut ready: Vec<_> = due.into_values().flatten().chain(waiting.ready).collect();
        if ready.is_empty() {
            ready = self.look(shared, tenant).await?;
        }
        for conversation in ready {
            self.knock(shared, tenant, conversation, now);
        }
        if self.timer.is_some_and(|at| at <= now) {
            self.timer = None;
        }
        if let Some(next) = self.delayed.keys().next() {
            self.wake_at(shared, tenant, *next);
        }
        if !bell.is_silent() || matches!(self.look, Look::After(_)) {
            shared.wake_tenant(tenant);
        }
        Ok(())
    }

    /// What was in force before: conversations that wait for a person.
    async fn load(&mut self, shared: &Shared, tenant: TenantId, now: Timestamp) -> Result<(), StorageError> {
        if self.loaded {
            return Ok(());
        }
        let (store, mut before) = (shared.tenant_store(tenant).await?, None);
        loop {
            let letters = store.dead_letters(before, ADMIT_MAX).await?;
            for letter in &letters {
                if letter.work == DeadWork::Conversation && letter.replayed_at.is_none() {
                    self.guardian.quarantine(&letter.conversation, now);
                    shared.doorbell(tenant).set_quarantined(letter.conversation, true);
                }
            }
            match letters.last() {
                Some(last) if letters.len() == ADMIT_MAX => before = Some(last.id),
                _ => break,
            }
        }
        self.loaded = true;
        Ok(())
    }

    /// The next page of what the store says is unfinished.
    async fn look(&mut self, shared: &Shared, tenant: TenantId) -> Result<Vec<ConversationId>, StorageError> {
        let Look::After(after) = self.look else { return Ok(Vec::new()) };
        let page = shared.tenant_store(tenant).await?.unfinished(after, ADMIT_MAX).await?;
        self.look = if page.len() == ADMIT_MAX { Look::After(page.last().copied()) } else { Look::Done };
        Ok(page)
    }

    fn knock(&mut self, shared: &Shared, tenant: TenantId, conversation: ConversationId, now: Timestamp) {
        let not_before = match self.guardian.standing(&conversation, now) {
            Standing::Quarantined => return,
            Standing::Waiting { until } => Some(until),
            Standing::Free => shared.step_limiter.check(&tenant).err().map(|limited| {
                metrics::counter!("iassistance_limited_total", "limit" => "tenant_steps").increment(1);
                limited.until
            }),
        };
        let not_before = not_before.or_else(|| {
            let key = ConversationKey { tenant, conversation };
            // Closed: it has just ended, and the next try activates its successor. Full: what waits
            // there need not make it read its inbox, so it is rung again later.
            for _ in 0..3 {
                match shared.conversation(key).map(|mailbox| mailbox.try_send(Knock)) {
                    Ok(Ok(())) => return None,
                    Ok(Err(Refused::Full(_))) => break,
                    Ok(Err(Refused::Closed(_))) => {}
                    Err(full) => {
                        tracing::warn!(%tenant, %full, "a conversation waits for room");
                        break;
                    }
                }
            }
            Some(now.plus_millis(NO_ROOM_MS))
        });
        if let Some(at) = not_before {
            self.delayed.entry(at.max(now.plus_millis(1))).or_default().insert(conversation);
        }
    }

    async fn panicked(
        &mut self,
        shared: &Shared,
        tenant: TenantId,
        conversation: ConversationId,
        now: Timestamp,
    ) -> Result<(), StorageError> {
        match self.guardian.panicked(&conversation, now) {
            Verdict::Restart { after_ms } => {
                tracing::warn!(%tenant, %conversation, after_ms, "a conversation failed and is restarted");
                self.delayed.entry(now.plus_millis(after_ms.max(1))).or_default().insert(conversation);
            }
            Verdict::Quarantine => {
                let reason =
                    "the conversation failed again and again; its inbox waits, and a replay lets it run";
                self.hold(shared, tenant, conversation, now, reason.to_owned()).await?;
            }
        }
        Ok(())
    }

    /// Holds a conversation for a person, who is told by a dead letter.
    async fn hold(
        &mut self,
        shared: &Shared,
        tenant: TenantId,
        conversation: ConversationId,
        now: Timestamp,
        reason: String,
    ) -> Result<(), StorageError> {
        if shared.doorbell(tenant).is_quarantined(conversation) {
            return Ok(());
        }
        let id = DeadLetterId::new(now, &*shared.parts.entropy);
        tracing::error!(%tenant, %conversation, dead_letter = %id, "a conversation cannot go on and is held");
        let work = DeadWork::Conversation;
        let letter = DeadLetter { id, conversation, work, reason, at: now, replayed_at: None };
        shared.doorbell(tenant).set_quarantined(conversation, true);
        let event = EventKind::ConversationQuarantined { dead_letter: id };
        shared.tenant_store(tenant).await?.put_dead_letter(letter, event).await?;
        Ok(())
    }

    fn wake_at(&mut self, shared: &Arc<Shared>, tenant: TenantId, at: Timestamp) {
        if self.timer.is_some_and(|timer| timer <= at) {
            return;
        }
        self.timer = Some(at);
        let (sleep, weak) = (shared.parts.clock.sleep_until(at), Arc::downgrade(shared));
        let stopping = shared.dispatcher.stopping();
        shared.tasks.spawn("tenant.timer", async move {
            if stopping.run_until_cancelled(sleep).await.is_some()
                && let Some(shared) = weak.upgrade()
            {
                shared.wake_tenant(tenant);
            }
        });
    }
}
