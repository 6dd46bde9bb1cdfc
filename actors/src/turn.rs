//! One effort of the assistant to answer.

use std::collections::HashSet;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt;
use tokio_util::sync::CancellationToken;

use iassistance_assistant::answer::{AnswerPolicy, answer};
use iassistance_assistant::prompt::{Prompt, PromptInput};
use iassistance_domain::assistant::AssistantSettingsVersion;
use iassistance_domain::content::Content;
use iassistance_domain::conversation::{RunningTurn, TurnOutcome};
use iassistance_domain::id::{ChannelId, ContactId, MessageId};
use iassistance_domain::message::Message;
use iassistance_storage::{StorageError, TenantStore};

use crate::conversation::{ConversationKey, FinishTurn, LoadedTurn};
use crate::engine::Shared;
use crate::kernel::panics;
use crate::stage::Stage;

/// The longest history that is looked at; what fits of it is the prompt's own bound.
const HISTORY_MAX: usize = 64;
/// How long a turn waits before it looks again when the store did not answer, milliseconds.
const STORE_RETRY_MS: u64 = 1_000;

struct Turn {
    key: ConversationKey,
    running: RunningTurn,
    contact: ContactId,
    channel: ChannelId,
    store: Arc<dyn TenantStore>,
    assistant: Arc<AssistantSettingsVersion>,
}

/// Starts a turn; it tells its conversation when it ends. Cancelling ends the model's stream at once.
pub(crate) fn start(
    shared: &Arc<Shared>,
    key: ConversationKey,
    loaded: LoadedTurn,
    running: RunningTurn,
    cancel: CancellationToken,
) {
    let LoadedTurn { store, contact, channel, assistant } = loaded;
    let turn = Turn { key, running, contact, channel, store, assistant };
    let (weak, stopping) = (Arc::downgrade(shared), shared.dispatcher.stopping());
    shared.tasks.spawn("turn", async move {
        let Some(shared) = weak.upgrade() else { return };
        // A stopping server leaves the turn as it is: it begins again at the next start.
        let run = AssertUnwindSafe(turn.run(&shared, cancel)).catch_unwind();
        let Some(finished) = stopping.run_until_cancelled(run).await else { return };
        // What fails so fails again: the contact is told, and a person may have it tried again.
        let finished = finished.unwrap_or_else(|_message| {
            panics::note("turn");
            FinishTurn { outcome: Some(turn.failed()), ..turn.unfinished() }
        });
        if let Some(mailbox) = shared.live_conversation(key) {
            // Closed: its successor finds the turn unfinished and begins it again.
            drop(mailbox.send(finished).await);
        }
    });
}

impl Turn {
    async fn run(&self, shared: &Shared, cancel: CancellationToken) -> FinishTurn {
        let mut finished = self.unfinished();
        if cancel.run_until_cancelled(self.admitted(shared)).await.is_none() {
            return finished;
        }
        let Some(_slot) = cancel.run_until_cancelled(shared.slots.acquire(self.key.tenant)).await else {
            return finished;
        };
        let Some(prompt) = cancel.run_until_cancelled(self.prompt(shared)).await else { return finished };
        finished.prompt_sha256 = Some(prompt.sha256());
        finished.history_messages = prompt.history_messages;
        let server = shared.model_server(&self.assistant.settings);
        let model = &shared.settings.model;
        let policy = AnswerPolicy { attempts_max: model.attempts_max, retry_ms: model.retry_ms };
        let mut unheard = |_: &str| {};
        let answered = answer(
            &*shared.parts.generator,
            &server,
            &prompt,
            policy,
            &*shared.parts.clock,
            &*shared.parts.entropy,
            &cancel,
            &mut unheard,
        );
        let answered = Stage::Generate.observe(answered).await;
        finished.attempts = answered.attempts;
        if !cancel.is_cancelled() {
            finished.outcome = Some(match (answered.text, answered.error) {
                (Some(text), None) => TurnOutcome::Reply(Content::text(text)),
                (None, None) => TurnOutcome::Empty,
                (_, Some(error)) => {
                    let ConversationKey { tenant, conversation } = self.key;
                    tracing::warn!(%tenant, %conversation, turn = %self.running.id, %error, "no answer could be had");
                    self.failed()
                }
            });
        }
        finished
    }

    const fn unfinished(&self) -> FinishTurn {
        FinishTurn {
            turn: self.running.id,
            outcome: None,
            attempts: Vec::new(),
            prompt_sha256: None,
            history_messages: 0,
        }
    }

    fn failed(&self) -> TurnOutcome {
        let text = self.assistant.settings.fallback_text.trim();
        TurnOutcome::Failed { fallback: (!text.is_empty()).then(|| Content::text(text)) }
    }

    /// Waits until the conversation's rate lets another turn begin.
    async fn admitted(&self, shared: &Shared) {
        while let Err(limited) = shared.turn_limiter.check(&self.key) {
            metrics::counter!("iassistance_limited_total", "limit" => "conversation_turns").increment(1);
            let at = limited.until.max(shared.parts.clock.now().plus_millis(1));
            shared.parts.clock.sleep_until(at).await;
        }
    }

    async fn prompt(&self, shared: &Shared) -> Prompt {
        loop {
            match self.read().await {
                Ok((history, covers)) => {
                    self.show_reading(shared, &covers);
                    return Prompt::build(&PromptInput {
                        settings: &self.assistant.settings,
                        history: &history,
                        covers: &covers,
                        safety_identifier: self.store.safety_identifier(self.contact),
                    });
                }
                Err(error) => {
                    let ConversationKey { tenant, conversation } = self.key;
                    tracing::warn!(%tenant, %conversation, %error, "the history could not be read; it is tried again");
                    shared.parts.clock.sleep_millis(STORE_RETRY_MS).await;
                }
            }
        }
    }

    /// Shows the contact that they are read and that an answer is on its way. It is a courtesy: what
    /// becomes of it changes nothing, so it is not waited for.
    fn show_reading(&self, shared: &Shared, covers: &[Message]) {
        let Some(provider_id) = covers.last().and_then(|message| message.provider_id.clone()) else { return };
        let (store, sender) = (Arc::clone(&self.store), Arc::clone(&shared.parts.sender));
        let (channel, contact) = (self.channel, self.contact);
        shared.tasks.spawn("turn.reading", async move {
            if let Ok(Some(channel)) = store.channel(channel).await
                && channel.health.state.sends()
                && let Ok(Some(contact)) = store.contact(contact).await
                && let Err(error) = sender.mark_read(&channel, &contact.identity, &provider_id, true).await
            {
                tracing::debug!(%error, "a message could not be marked as read");
            }
        });
    }

    /// The history without what this turn answers, oldest first, and what it answers.
    async fn read(&self) -> Result<(Vec<Message>, Vec<Message>), StorageError> {
        let conversation = self.key.conversation;
        let mut recent =
            self.store.messages(conversation, None, HISTORY_MAX + self.running.covers.len()).await?;
        recent.sort_by_key(|message| (message.sent_at, message.id));
        let covered: HashSet<MessageId> = self.running.covers.iter().copied().collect();
        let (mut covers, history): (Vec<_>, Vec<_>) =
            recent.into_iter().partition(|message| covered.contains(&message.id));
        if covers.len() < covered.len() {
            let found: HashSet<MessageId> = covers.iter().map(|message| message.id).collect();
            for id in covered.difference(&found) {
                covers.extend(self.store.message(conversation, *id).await?);
            }
            covers.sort_by_key(|message| (message.sent_at, message.id));
        }
        Ok((history, covers))
    }
}
