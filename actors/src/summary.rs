//! Sums up what is too old to be read whole, after a turn and beside everything else.

use std::sync::Arc;

use iassistance_assistant::summary::{Summarised, Summarising, summarise};
use iassistance_domain::Pii;
use iassistance_domain::assistant::AssistantSettingsVersion;
use iassistance_domain::content::Content;
use iassistance_domain::id::{ContactId, TurnId};
use iassistance_domain::message::Message;
use iassistance_domain::summary::Summary;
use iassistance_domain::turn::Attempt;
use iassistance_storage::{StorageError, TenantStore};

use crate::conversation::{ConversationKey, FinishSummary, MadeSummary};
use crate::disclosing::Ledger;
use crate::engine::Shared;
use crate::money::TurnPurse;

/// How many messages are read for a summary; of a longer conversation without one the oldest are left
/// out.
const MESSAGES_MAX: usize = 256;
/// How many of the newest messages are left as they are, at least.
const KEEP_MIN: usize = 4;

/// The work on one summary.
pub(crate) struct Work {
    pub(crate) key: ConversationKey,
    pub(crate) store: Arc<dyn TenantStore>,
    pub(crate) assistant: Arc<AssistantSettingsVersion>,
    pub(crate) contact: ContactId,
    /// The turn that did not fit.
    pub(crate) turn: TurnId,
    /// How many of the newest messages are left as they are.
    pub(crate) keep: usize,
}

impl Work {
    /// Begins it; the conversation is told what came of it.
    pub(crate) fn start(self, shared: &Arc<Shared>) {
        let (weak, stopping) = (Arc::downgrade(shared), shared.dispatcher.stopping());
        shared.tasks.spawn("turn.summary", async move {
            let Some(shared) = weak.upgrade() else { return };
            // What a stopping server leaves is made after a later turn.
            let slot = stopping.run_until_cancelled(shared.slots.acquire(self.key.tenant)).await;
            let Some(_slot) = slot else { return };
            let (attempts, made) = self.run(&shared).await;
            shared.deliver(self.key, FinishSummary { turn: self.turn, attempts, made }).await;
        });
    }

    async fn run(&self, shared: &Shared) -> (Vec<Attempt>, Option<MadeSummary>) {
        let read_at = shared.parts.clock.now();
        let (former, messages) = match self.read().await {
            Ok((former, messages)) if !messages.is_empty() => (former, messages),
            Ok(_) => return (Vec::new(), None),
            Err(error) => {
                tracing::warn!(tenant = %self.key.tenant, %error, "what is to be summed up could not be read");
                return (Vec::new(), None);
            }
        };
        let Some(until) = messages.iter().map(|message| message.id).max() else { return (Vec::new(), None) };
        let (text, attempts) = self.write(shared, former.as_ref(), &messages).await;
        let made = text.map(|text| MadeSummary {
            of: messages.iter().map(|message| (message.id, message.edited_at)).collect(),
            after: former.as_ref().map(|former| (former.until, former.made_at)),
            summary: Summary {
                text,
                until,
                messages: former.map_or(0, |former| former.messages) + messages.len(),
                model: shared.settings.model_server(&self.assistant.settings).model,
                made_at: read_at,
            },
        });
        (attempts, made)
    }

    /// The summary that there is, and what is to be added to it, oldest first.
    async fn read(&self) -> Result<(Option<Summary>, Vec<Message>), StorageError> {
        let former = self.store.summary(self.key.conversation).await?;
        let mut messages = self.store.messages(self.key.conversation, None, MESSAGES_MAX).await?;
        if let Some(former) = &former {
            messages.retain(|message| message.id > former.until);
        }
        let keep = self.keep.max(KEEP_MIN).min(messages.len());
        let mut older = messages.split_off(keep);
        older.retain(|message| !matches!(message.content, Content::Removed | Content::Note { .. }));
        older.reverse();
        Ok((former, older))
    }

    async fn write(
        &self,
        shared: &Shared,
        former: Option<&Summary>,
        messages: &[Message],
    ) -> (Option<Pii<String>>, Vec<Attempt>) {
        let parts = &shared.parts;
        let settings = &self.assistant.settings;
        let purse = TurnPurse::new(
            Arc::clone(&self.store),
            Arc::clone(&parts.clock),
            settings.budgets,
            (self.turn, self.key.conversation, self.contact),
        );
        let server = shared.settings.model_server(settings);
        let generator = Ledger::of(parts, self.key.tenant, self.contact).generator(&parts.generator);
        let cancel = shared.dispatcher.stopping();
        let asking = Summarising {
            generator: &*generator,
            server: &server,
            purse: &purse,
            prices: &shared.prices,
            clock: &*parts.clock,
            cancel: &cancel,
            turn_ms: shared.settings.model.turn_ms,
            prompt_tokens_max: settings.prompt_tokens_max,
            safety_identifier: self.store.safety_identifier(self.contact),
        };
        let Summarised { text, attempt } = summarise(asking, former, messages).await;
        let attempt = attempt.map(|attempt| Attempt { round: 0, ..attempt });
        purse.close(attempt.as_ref().and_then(|attempt| attempt.cost).unwrap_or_default()).await;
        let text = text.unwrap_or_else(|error| {
            let ConversationKey { tenant, conversation } = self.key;
            tracing::warn!(%tenant, %conversation, %error, "a conversation could not be summed up; it is tried again after a later turn");
            None
        });
        (text, attempt.into_iter().collect())
    }
}
