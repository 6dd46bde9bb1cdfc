//! One turn of the assistant: what begins it, what ends it, and who hears of it meanwhile.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt;
use tokio_util::sync::{CancellationToken, DropGuard};

use iassistance_assistant::knowledge::Knowledge;
use iassistance_domain::assistant::{AssistantSettings, AssistantSettingsVersion};
use iassistance_domain::conversation::{RunningTurn, TurnOutcome};
use iassistance_domain::turn::TurnWork;
use iassistance_storage::{StorageError, TenantStore};

use crate::conversation::{ConversationKey, FinishTurn, LoadedTurn};
use crate::disclosing::Ledger;
use crate::effort::{Case, Context, Effort, Means, broken};
use crate::engine::Shared;
use crate::kernel::panics;
use crate::money::TurnPurse;
use crate::phrasing;
use crate::reading::Reading;
use crate::whispers::Whispers;

/// What its task is called.
pub(crate) const TASK: &str = "turn";
/// How long a turn waits before it looks again when the store did not answer, milliseconds.
const STORE_RETRY_MS: u64 = 1_000;

struct Turn {
    key: ConversationKey,
    running: RunningTurn,
    loaded: LoadedTurn,
}

/// Starts a turn; it tells its conversation when it ends. Cancelling ends the model's stream at once.
pub(crate) fn start(
    shared: &Arc<Shared>,
    key: ConversationKey,
    loaded: LoadedTurn,
    running: RunningTurn,
    cancel: CancellationToken,
) {
    if shared.draining.is_cancelled() {
        // It is written down that it runs, so the next start begins it.
        return;
    }
    let turn = Turn { key, running, loaded };
    let (weak, stopping) = (Arc::downgrade(shared), shared.dispatcher.stopping());
    shared.tasks.spawn(TASK, async move {
        let Some(shared) = weak.upgrade() else { return };
        let purse = turn.purse(&shared);
        let mut run = Box::pin(AssertUnwindSafe(turn.run(&shared, &purse, &cancel)).catch_unwind());
        let finished = tokio::select! {
            biased;
            finished = &mut run => finished,
            () = stopping.cancelled() => {
                // A stopping server leaves the turn as it is, and it begins again at the next start; but
                // what was paid for until here is written down.
                cancel.cancel();
                run.as_mut().await
            }
        };
        drop(run);
        // What fails so fails again: the contact is told, and a person may have it tried again.
        let finished = finished.unwrap_or_else(|_message| {
            panics::note("turn");
            FinishTurn { outcome: Some(broken(&turn.loaded.assistant.settings)), ..turn.unfinished() }
        });
        purse.close(finished.work.cost()).await;
        shared.deliver(key, finished).await;
    });
}

impl Turn {
    async fn run(&self, shared: &Arc<Shared>, purse: &TurnPurse, cancel: &CancellationToken) -> FinishTurn {
        let cancelled = || self.unfinished();
        // Until the model is asked a server that is about to stop need not wait for it.
        let parked = shared.draining.run_until_cancelled(self.begin(shared));
        let begun = cancel.run_until_cancelled(parked).await.flatten();
        let Some((assistant, mut context, _typing)) = begun else { return cancelled() };
        let settings = &assistant.settings;
        let now = shared.parts.clock.now();
        let closed_since = settings.hours.as_ref().and_then(|hours| hours.closed_since(now));
        let answers = settings.hours.as_ref().is_none_or(|hours| hours.assistant_when_closed);
        if let Some(since) = closed_since.filter(|_| !answers) {
            // Who did not write is not told so.
            let notice = self.running.follow_up.is_none().then(|| phrasing::closed(settings));
            return FinishTurn { outcome: Some(TurnOutcome::Closed { since, notice }), ..self.unfinished() };
        }
        let parked = shared.draining.run_until_cancelled(shared.slots.acquire(self.key.tenant));
        let Some(_slot) = cancel.run_until_cancelled(parked).await.flatten() else { return cancelled() };
        let images = context.read_images(&shared.parts, self.key.tenant, settings);
        if cancel.run_until_cancelled(images).await.is_none() {
            return cancelled();
        }
        let Some(knowledge) = cancel.run_until_cancelled(self.knowledge(shared, settings)).await else {
            return cancelled();
        };
        let effort = Case { knowledge, ..self.case(settings, &context, closed_since.is_none()) };
        let mut whispers = Whispers::new(&shared.hub, self.key, self.running.id);
        let ledger = self.ledger(shared);
        let http = self.loaded.deeds.of(self.running.id, ledger.tools(&shared.parts.http));
        let generator = ledger.generator(&shared.parts.generator);
        let services = ledger.services(&shared.parts.services);
        let means = Means { http, generator, services, ..shared.means() };
        let made = effort.make(&means, purse, cancel, &mut |progress| whispers.tell(&progress)).await;
        let Effort { outcome, work, attributes, keep } = made;
        // What was decided while the answer came in stands above it.
        let outcome = outcome.filter(|_| !cancel.is_cancelled());
        FinishTurn { turn: self.running.id, outcome, work, attributes, keep }
    }

    /// Waits for its turn, reads what it needs, and shows the contact that they are read.
    async fn begin(
        &self,
        shared: &Arc<Shared>,
    ) -> (Arc<AssistantSettingsVersion>, Context, Option<DropGuard>) {
        self.admitted(shared).await;
        loop {
            match self.read().await {
                Ok((assistant, context)) => {
                    let typing = self.show_reading(shared, &context);
                    return (assistant, context, typing);
                }
                Err(error) => {
                    let ConversationKey { tenant, conversation } = self.key;
                    tracing::warn!(%tenant, %conversation, %error, "the history could not be read; it is tried again");
                    shared.parts.clock.sleep_millis(STORE_RETRY_MS).await;
                }
            }
        }
    }

    fn unfinished(&self) -> FinishTurn {
        FinishTurn {
            turn: self.running.id,
            outcome: None,
            work: TurnWork::default(),
            attributes: BTreeMap::new(),
            keep: None,
        }
    }

    fn ledger(&self, shared: &Shared) -> Ledger {
        Ledger::of(&shared.parts, self.key.tenant, self.loaded.contact)
    }

    fn purse(&self, shared: &Shared) -> TurnPurse {
        TurnPurse::new(
            Arc::clone(&self.loaded.store),
            Arc::clone(&shared.parts.clock),
            self.loaded.assistant.settings.budgets,
            (self.running.id, self.key.conversation, self.loaded.contact),
        )
    }

    fn case<'a>(
        &'a self,
        assistant: &'a AssistantSettings,
        context: &'a Context,
        people_there: bool,
    ) -> Case<'a> {
        let LoadedTurn { store, contact, kind, window_until, .. } = &self.loaded;
        Case {
            tenant: self.key.tenant,
            turn: self.running.id,
            kind: *kind,
            assistant,
            context,
            follow_up: self.running.follow_up.as_ref(),
            window_until: *window_until,
            people_there,
            safety_identifier: store.safety_identifier(*contact),
            knowledge: None,
        }
    }

    /// Where things can be looked up. A turn can do without.
    async fn knowledge(&self, shared: &Shared, settings: &AssistantSettings) -> Option<Arc<dyn Knowledge>> {
        if !settings.built_in.knowledge {
            return None;
        }
        let services = self.ledger(shared).services(&shared.parts.services);
        let opened = shared.library.open_by(services, self.key.tenant, &self.loaded.store, settings).await;
        opened.unwrap_or_else(|error| {
            tracing::warn!(tenant = %self.key.tenant, %error, "a turn goes on without the tenant's documents");
            None
        })
    }

    /// Waits until the conversation's rate lets another turn begin.
    async fn admitted(&self, shared: &Shared) {
        while let Err(limited) = shared.turn_limiter.check(&self.key) {
            metrics::counter!("iassistance_limited_total", "limit" => "conversation_turns").increment(1);
            let at = limited.until.max(shared.parts.clock.now().plus_millis(1));
            shared.parts.clock.sleep_until(at).await;
        }
    }

    async fn read(&self) -> Result<(Arc<AssistantSettingsVersion>, Context), StorageError> {
        let store: &dyn TenantStore = &*self.loaded.store;
        let assistant = self.settings(store).await?;
        let (conversation, covers) = (self.key.conversation, &self.running.covers);
        let mut context = Context::read(store, conversation, covers, &assistant.settings).await?;
        let contact = store.contact(self.loaded.contact).await?;
        context.attributes = contact
            .filter(|contact| contact.standing.may_be_used())
            .map(|contact| contact.attributes)
            .unwrap_or_default();
        Ok((assistant, context))
    }

    /// The settings that it began with: others may count by now if it begins again.
    async fn settings(&self, store: &dyn TenantStore) -> Result<Arc<AssistantSettingsVersion>, StorageError> {
        let now = &self.loaded.assistant;
        if self.loaded.again
            && let Some(record) = store.turn(self.key.conversation, self.running.id).await?
            && record.settings_version != now.version
            && let Some(then) = store.assistant_version(record.settings_version).await?
        {
            return Ok(Arc::new(then));
        }
        Ok(Arc::clone(now))
    }

    fn show_reading(&self, shared: &Arc<Shared>, context: &Context) -> Option<DropGuard> {
        let message = context.covers.last().and_then(|message| message.provider_id.clone())?;
        let LoadedTurn { store, channel, contact, .. } = &self.loaded;
        let reading = Reading { store: Arc::clone(store), channel: *channel, contact: *contact, message };
        Some(reading.show(shared))
    }
}
