//! What a conversation's actor knows and does; it survives a step, not a panic.

use std::sync::{Arc, Weak};

use tokio_util::sync::{CancellationToken, DropGuard};

use iassistance_domain::Timestamp;
use iassistance_domain::assistant::AssistantSettingsVersion;
use iassistance_domain::channel::ChannelKind;
use iassistance_domain::conversation::{Conversation, Input};
use iassistance_domain::id::{MediaId, MessageId, TurnId};
use iassistance_storage::{InboxEntry, Letter, StorageError, TenantStore};

use super::step::Step;
use super::{
    ConversationKey, FinishDestruction, FinishMedia, FinishSummary, FinishTurn, LoadedTurn, Snapshot,
};
use crate::deeds::Deeds;
use crate::engine::Shared;
use crate::kernel::{Refused, TaskHandle};
use crate::media::MediaWork;
use crate::stage::Stage;
use crate::tenant::Hold;
use crate::{summary, turn, watch};

/// How long until a step that failed is tried again, milliseconds.
const RETRY_MS: u64 = 1_000;
/// How often a step is tried that meets a damaged record: by then it is out of the way, if it may be.
const DAMAGED_MAX: u32 = 5;
/// How often a step is decided anew when the store says that it was stale.
const STALE_MAX: usize = 4;

pub(super) struct Core {
    key: ConversationKey,
    shared: Weak<Shared>,
    loaded: Option<Loaded>,
    turn: Option<LiveTurn>,
    deeds: Deeds,
    media: MediaWork,
    /// Whether a summary is being written.
    summarising: bool,
    timer: Option<Timer>,
    last_active: Timestamp,
    /// Steps that met a damaged record since the last that was committed.
    damaged: u32,
}

/// The conversation as it is stored, with what decides about it.
pub(super) struct Loaded {
    pub(super) store: Arc<dyn TenantStore>,
    pub(super) conversation: Conversation,
    pub(super) revision: u64,
    pub(super) assistant: Arc<AssistantSettingsVersion>,
    /// Whether its tenant is served: neither suspended nor closed.
    served: bool,
    /// The product of its channel.
    pub(super) kind: ChannelKind,
    /// Meta's id of the app that the channel is connected through.
    pub(super) app_id: Option<String>,
}

/// A turn under way. Dropping it ends the model's stream.
struct LiveTurn {
    id: TurnId,
    _cancel: DropGuard,
}

struct Timer {
    at: Timestamp,
    task: TaskHandle,
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Core {
    pub(super) fn new(key: ConversationKey, shared: Weak<Shared>) -> Self {
        Self {
            key,
            shared,
            loaded: None,
            turn: None,
            deeds: Deeds::default(),
            media: MediaWork::default(),
            summarising: false,
            timer: None,
            last_active: Timestamp::default(),
            damaged: 0,
        }
    }

    pub(super) fn key(&self) -> ConversationKey {
        self.key
    }

    pub(super) fn snapshot(&self, incarnation: u64) -> Option<Snapshot> {
        let loaded = self.loaded.as_ref()?;
        Some(Snapshot {
            incarnation,
            control: loaded.conversation.control().clone(),
            turn: loaded.conversation.running_turn().map(|turn| turn.id),
            revision: loaded.revision,
        })
    }

    /// Whether there is nothing to do, and was nothing for long enough.
    pub(super) fn may_rest(&self, at_once: bool) -> bool {
        if self.turn.is_some() || self.timer.is_some() || self.media.is_under_way() {
            return false;
        }
        let Some(shared) = self.shared.upgrade() else { return true };
        let idle_ms = shared.parts.clock.now().millis_since(self.last_active);
        at_once || shared.is_crowded(self.key.tenant) || idle_ms >= shared.settings.actors.idle_ms
    }

    /// Reads the letters and applies them, a bounded number at a time, until there are none; then
    /// says that time passed.
    pub(super) async fn read_letters(&mut self) {
        let Some(shared) = self.shared.upgrade() else { return };
        self.timer = None;
        if let Err(error) = self.try_read(&shared).await {
            self.failed(&shared, &error);
        }
    }

    async fn try_read(&mut self, shared: &Arc<Shared>) -> Result<(), StorageError> {
        let limit = shared.settings.actors.letters_per_step;
        for stale in 0.. {
            self.load(shared).await?;
            let Some(loaded) = &self.loaded else { return self.must_be_idle(shared).await };
            let mut letters = loaded.store.inbox(self.key.conversation, limit).await?;
            let more = letters.len() == limit;
            letters.sort_by_key(|entry| (written_at(entry), entry.seq));
            match self.apply(shared, letters, vec![Input::TimePassed]).await {
                Ok(()) if more => {}
                Ok(()) => break,
                Err(StorageError::Stale) if stale < STALE_MAX => self.forget(),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// A conversation that is not there has no letters; one whose record was set aside may have some.
    async fn must_be_idle(&self, shared: &Arc<Shared>) -> Result<(), StorageError> {
        let store = shared.tenant_store(self.key.tenant).await?;
        let letters = store.inbox(self.key.conversation, 1).await?;
        if letters.is_empty() { Ok(()) } else { Err(StorageError::NotFound("conversation")) }
    }

    /// One step: letters and inputs are applied, what follows is committed, and only then is
    /// anything done about it.
    pub(super) async fn apply(
        &mut self,
        shared: &Arc<Shared>,
        letters: Vec<InboxEntry>,
        inputs: Vec<Input>,
    ) -> Result<(), StorageError> {
        let Some(loaded) = &self.loaded else { return Err(StorageError::NotFound("conversation")) };
        let mut step = Step::new(shared, self.key, loaded);
        let read = async {
            for letter in letters {
                step.read(letter).await?;
            }
            for input in inputs {
                step.decide(input);
            }
            Ok::<_, StorageError>(())
        };
        Stage::Apply.observe(read).await?;
        self.finish(shared, step).await
    }

    /// Commits a step and performs it.
    pub(super) async fn finish(&mut self, shared: &Arc<Shared>, step: Box<Step>) -> Result<(), StorageError> {
        let committed = Stage::Commit.observe(step.commit()).await?;
        self.last_active = shared.parts.clock.now();
        self.damaged = 0;
        let Some(loaded) = &mut self.loaded else { return Ok(()) };
        loaded.conversation = committed.conversation;
        loaded.revision = committed.revision;
        if loaded.conversation.running_turn().map(|turn| turn.id) != self.turn.as_ref().map(|turn| turn.id) {
            self.turn = None;
        }
        if let Some(running) = committed.start {
            let window_until = loaded.conversation.window().free_until;
            let cancel = CancellationToken::new();
            self.turn = Some(LiveTurn { id: running.id, _cancel: cancel.clone().drop_guard() });
            let with = LoadedTurn {
                store: Arc::clone(&loaded.store),
                contact: loaded.conversation.contact,
                channel: loaded.conversation.channel,
                kind: loaded.kind,
                window_until,
                assistant: Arc::clone(&loaded.assistant),
                again: committed.again,
                deeds: self.deeds.clone(),
            };
            turn::start(shared, self.key, with, running, cancel);
        }
        for problem in committed.warnings {
            watch::trouble(shared, self.key.tenant, loaded.conversation.channel, problem);
        }
        self.media.begin(shared, self.key, &loaded.store, &loaded.conversation);
        if committed.dispatch {
            shared.dispatcher.ring(shared, self.key);
        }
        if let Some(at) = committed.wake_at {
            self.wake_at(shared, at);
        }
        Ok(())
    }

    /// The files of a message were fetched, or could not be.
    pub(super) async fn finish_media(&mut self, finished: FinishMedia) {
        let Some(shared) = self.shared.upgrade() else { return };
        self.media.ended(finished.message);
        let step = async {
            self.load(&shared).await?;
            let Some(loaded) = &self.loaded else { return Ok(()) };
            let mut step = Step::new(&shared, self.key, loaded);
            let id = finished.message;
            let files: Vec<_> = finished.files.iter().filter_map(|file| file.source.stored()).collect();
            step.finish_media(finished).await?;
            self.finish(&shared, step).await?;
            self.destroy_if_removed(&shared, id, files).await
        };
        if let Err(error) = step.await {
            self.failed(&shared, &error);
        }
    }

    /// A message may be taken back while its files are written down: the store keeps nothing of it then,
    /// and its files must go as well.
    async fn destroy_if_removed(
        &mut self,
        shared: &Arc<Shared>,
        message: MessageId,
        files: Vec<MediaId>,
    ) -> Result<(), StorageError> {
        let Some(loaded) = &self.loaded else { return Ok(()) };
        let stored = loaded.store.message(self.key.conversation, message).await?;
        let is_removed = stored.is_none_or(|message| message.removed_at.is_some());
        if !is_removed || files.is_empty() {
            return Ok(());
        }
        let mut step = Step::new(shared, self.key, loaded);
        for file in files {
            step.condemn(file);
        }
        self.finish(shared, step).await
    }

    /// A file was destroyed.
    pub(super) async fn finish_destruction(&mut self, finished: FinishDestruction) {
        let Some(shared) = self.shared.upgrade() else { return };
        self.media.destroyed(finished.0);
        let step = async {
            self.load(&shared).await?;
            let Some(loaded) = &self.loaded else { return Ok(()) };
            let mut step = Step::new(&shared, self.key, loaded);
            step.absolve_media(finished.0);
            self.finish(&shared, step).await
        };
        if let Err(error) = step.await {
            self.failed(&shared, &error);
        }
    }

    /// A turn came to its end.
    pub(super) async fn finish_turn(&mut self, finished: FinishTurn) {
        let Some(shared) = self.shared.upgrade() else { return };
        if let Err(error) = self.try_finish_turn(&shared, finished).await {
            self.failed(&shared, &error);
        }
    }

    async fn try_finish_turn(
        &mut self,
        shared: &Arc<Shared>,
        finished: FinishTurn,
    ) -> Result<(), StorageError> {
        if self.turn.as_ref().is_some_and(|turn| turn.id == finished.turn) {
            self.turn = None;
        }
        // A load that finds the turn unfinished begins it again: this one's result is then stale.
        self.load(shared).await?;
        let Some(loaded) = &self.loaded else { return Ok(()) };
        let (turn, keep) = (finished.turn, finished.keep);
        let running = loaded.conversation.running_turn();
        let ends = finished.outcome.is_some() && running.is_some_and(|running| running.id == turn);
        let mut step = Step::new(shared, self.key, loaded);
        step.finish_turn(finished).await?;
        self.finish(shared, step).await?;
        if ends {
            self.deeds.forget();
        }
        if let (Some(keep), Some(loaded), false) = (keep, &self.loaded, self.summarising) {
            self.summarising = true;
            let work = summary::Work {
                key: self.key,
                store: Arc::clone(&loaded.store),
                assistant: Arc::clone(&loaded.assistant),
                contact: loaded.conversation.contact,
                turn,
                keep,
            };
            work.start(shared);
        }
        Ok(())
    }

    /// A summary of what is too old was written, or could not be.
    pub(super) async fn finish_summary(&mut self, finished: FinishSummary) {
        let Some(shared) = self.shared.upgrade() else { return };
        self.summarising = false;
        let step = async {
            self.load(&shared).await?;
            let Some(loaded) = &self.loaded else { return Ok(()) };
            let mut step = Step::new(&shared, self.key, loaded);
            step.finish_summary(finished).await?;
            self.finish(&shared, step).await
        };
        if let Err(error) = step.await {
            self.failed(&shared, &error);
        }
    }

    /// Loads the conversation, if it is not loaded, and takes up what it had begun.
    pub(super) async fn load(&mut self, shared: &Arc<Shared>) -> Result<(), StorageError> {
        let tenant = self.key.tenant;
        if let Some(loaded) = &mut self.loaded {
            let assistant = shared.assistant(tenant, &*loaded.store).await?;
            let served = shared.is_served(tenant).await?;
            if (assistant.version, served) != (loaded.assistant.version, loaded.served) {
                let mut policy = shared.settings.policy(&assistant.settings, loaded.kind);
                policy.enabled &= served;
                (loaded.assistant, loaded.served) = (assistant, served);
                // Takes effect with the next input; it decides nothing by itself that must be stored.
                loaded.conversation.set_policy(policy);
            }
            return Ok(());
        }
        let store = shared.tenant_store(tenant).await?;
        let Some((mut conversation, revision)) = store.conversation(self.key.conversation).await? else {
            return Ok(());
        };
        let assistant = shared.assistant(tenant, &*store).await?;
        let (kind, app_id) = match store.channel(conversation.channel).await? {
            Some(channel) => {
                let app = shared.parts.store.meta_app(channel.meta_app).await?;
                (channel.kind(), app.and_then(|app| app.app_id))
            }
            // Taken off: nothing is sent any more, and the history stays to be read.
            None => (ChannelKind::Whatsapp, None),
        };
        let served = shared.is_served(tenant).await?;
        let mut policy = shared.settings.policy(&assistant.settings, kind);
        policy.enabled &= served;
        conversation.set_policy(policy);
        let outbox = !store.outbox(self.key.conversation).await?.is_empty();
        self.loaded = Some(Loaded { store, conversation, revision, assistant, served, kind, app_id });
        self.apply(shared, Vec::new(), vec![Input::Resumed]).await?;
        if outbox {
            shared.dispatcher.ring(shared, self.key);
        }
        Ok(())
    }

    /// What is loaded, for a command that has loaded it.
    pub(super) fn loaded(&self) -> Option<&Loaded> {
        self.loaded.as_ref()
    }

    pub(super) fn shared(&self) -> Option<Arc<Shared>> {
        self.shared.upgrade()
    }

    /// Drops what is in memory: the store knows better.
    pub(super) fn forget(&mut self) {
        self.loaded = None;
        self.turn = None;
        self.media = MediaWork::default();
    }

    fn failed(&mut self, shared: &Arc<Shared>, error: &StorageError) {
        let ConversationKey { tenant, conversation } = self.key;
        if matches!(error, StorageError::Closed) {
            // The server stops; the letters are read at the next start.
            return self.forget();
        }
        metrics::counter!("iassistance_apply_failures_total").increment(1);
        if let Some(reason) = self.hopeless(error)
            && shared.tell_tenant(tenant, Hold { conversation, reason })
        {
            return self.forget();
        }
        tracing::warn!(%tenant, %conversation, %error, "a step failed and is tried again");
        self.forget();
        self.wake_at(shared, shared.parts.clock.now().plus_millis(RETRY_MS));
    }

    /// Why trying again does not help, if it does not: a person has to look first.
    fn hopeless(&mut self, error: &StorageError) -> Option<String> {
        let gone = "the conversation's own record does not open";
        let what = match error {
            StorageError::Damaged { kind: "conversation" } | StorageError::NotFound("conversation") => {
                gone.to_owned()
            }
            StorageError::NewerRecord { .. } => error.to_string(),
            StorageError::Damaged { kind } => {
                self.damaged += 1;
                if self.damaged < DAMAGED_MAX {
                    return None;
                }
                format!("a record of kind `{kind}` that it needs does not open")
            }
            _ => return None,
        };
        Some(format!(
            "{what}; what comes in waits. Run `iassistance doctor`, have the record back from a backup or put it \
             back, then replay this"
        ))
    }

    fn wake_at(&mut self, shared: &Arc<Shared>, at: Timestamp) {
        if self.timer.as_ref().is_some_and(|timer| timer.at <= at) {
            return;
        }
        let (sleep, key, weak) = (shared.parts.clock.sleep_until(at), self.key, Arc::downgrade(shared));
        let stopping = shared.dispatcher.stopping();
        let task = shared.tasks.spawn("conversation.timer", async move {
            // It may be set for days ahead: a stopping server does not wait for it.
            let Some(()) = stopping.run_until_cancelled(sleep).await else { return };
            let Some(shared) = weak.upgrade() else { return };
            // Closed: its successor looks when it is loaded.
            if let Some(mailbox) = shared.live_conversation(key)
                && let Err(Refused::Full(_)) = mailbox.try_send(super::Knock)
            {
                shared.doorbell(key.tenant).ring(key.conversation);
                shared.wake_tenant(key.tenant);
            }
        });
        self.timer = Some(Timer { at, task });
    }
}

/// When what a letter tells of happened.
fn written_at(entry: &InboxEntry) -> Timestamp {
    match &entry.letter {
        Letter::Inbound { event, .. } => event.occurred_at,
        Letter::Dispatched(report) => report.at,
    }
}
