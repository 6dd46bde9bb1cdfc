//! Rehearsals: what an assistant would say, with nobody hearing of it. The same effort as a turn's, but
//! tools that change something are not called, and nothing is written but what it costs.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use iassistance_assistant::tools::http::{HttpCaller, Rehearsing};
use iassistance_assistant::words::words;
use iassistance_domain::Pii;
use iassistance_domain::assistant::AssistantSettings;
use iassistance_domain::budget::{Budgets, Cost};
use iassistance_domain::channel::ChannelKind;
use iassistance_domain::content::Content;
use iassistance_domain::conversation::TurnOutcome;
use iassistance_domain::golden::Answered;
use iassistance_domain::id::{ContactId, ConversationId, MessageId, TurnId};
use iassistance_domain::message::{Author, Message};
use iassistance_domain::pii::TenantView;
use iassistance_domain::summary::Summary;
use iassistance_domain::tenant::TenantCtx;
use iassistance_domain::turn::{TurnRecord, TurnWork, Usage};
use iassistance_storage::{StorageError, TenantStore};

use crate::effort::{Case, Context, HISTORY_MAX, Means, place};
use crate::engine::Engine;
use crate::knowledge::Library;
use crate::money::TurnPurse;
use crate::settings::EngineParts;

/// How long the channel lets an answer leave, as a rehearsal supposes, milliseconds.
const WINDOW_MS: u64 = 24 * 60 * 60 * 1_000;
/// What stands for a contact that there is not.
const NOBODY: ContactId = ContactId::from_bytes([0; 16]);
const NOWHERE: ConversationId = ConversationId::from_bytes([0; 16]);

/// What is rehearsed. Holds personal data, so it has no `Debug`.
pub struct Rehearsal {
    /// The product of the channel.
    pub kind: ChannelKind,
    /// What was said before, oldest first.
    pub history: Vec<Message>,
    /// What was said before the history.
    pub summary: Option<Summary>,
    /// What is to be answered, in order.
    pub covers: Vec<Message>,
    /// What is noted about the contact.
    pub attributes: BTreeMap<String, Pii<String>>,
    /// Whether people of the business are there; by its hours now, if nothing is said.
    pub people_there: Option<bool>,
}

/// What came of a rehearsal. Holds personal data, so it has no `Debug`.
pub struct Rehearsed {
    /// What would be said.
    pub text: Option<Pii<String>>,
    /// The tools that were called, in order.
    pub tools: Vec<String>,
    /// Whether a person was asked for.
    pub handed_over: bool,
    /// What was used.
    pub usage: Usage,
    /// What that costs by the price table.
    pub cost: Cost,
    /// How long it took, milliseconds.
    pub ms: u64,
    /// Why there is no answer of the model's, where there is none.
    pub problem: Option<String>,
    /// Everything that was done.
    pub work: TurnWork,
}

impl Rehearsal {
    /// One question, without anything before it.
    pub fn of_question(kind: ChannelKind, question: Pii<String>, parts: &EngineParts) -> Self {
        let now = parts.clock.now();
        let id = MessageId::new(now, &*parts.entropy);
        let content = Content::Text { body: question, preview: false };
        let covers = vec![Message::new(id, NOWHERE, Author::Contact, content, now)];
        Self {
            kind,
            history: Vec::new(),
            summary: None,
            covers,
            attributes: BTreeMap::new(),
            people_there: None,
        }
    }

    /// A turn as it was: the messages that it answered, and what had been said before them. Nothing
    /// where it answered none that are still there.
    pub async fn of_turn(
        store: &dyn TenantStore,
        kind: ChannelKind,
        record: &TurnRecord,
    ) -> Result<Option<Self>, StorageError> {
        let mut covers = Vec::with_capacity(record.covers.len());
        for id in &record.covers {
            let message = store.message(record.conversation, *id).await?;
            covers.extend(message.filter(|message| message.removed_at.is_none()));
        }
        let Some(first) = covers.iter().map(|message| message.id).min() else { return Ok(None) };
        let mut history = store.messages(record.conversation, Some(first), HISTORY_MAX).await?;
        history.sort_by_key(place);
        // A summary of what came later would give the answer away.
        let summary = store.summary(record.conversation).await?.filter(|summary| summary.until < first);
        Ok(Some(Self { kind, history, summary, covers, attributes: BTreeMap::new(), people_there: None }))
    }
}

impl Rehearsed {
    /// What traits of golden questions are held against.
    pub fn answered(&self) -> Answered<'_> {
        Answered {
            text: self.text.as_ref().map_or("", |text| text.reveal(TenantView).as_str()),
            tools: &self.tools,
            handed_over: self.handed_over,
        }
    }
}

impl Engine {
    /// Rehearses with these settings, which need not be those that count. It waits for a slot like a
    /// turn.
    pub async fn rehearse(
        &self,
        ctx: TenantCtx,
        settings: &AssistantSettings,
        rehearsal: Rehearsal,
    ) -> Result<Rehearsed, StorageError> {
        let (shared, settings) = (Arc::clone(&self.shared), settings.clone());
        let cancel = shared.dispatcher.stopping().child_token();
        // Whoever asks and goes away ends it; but what it cost is still written down.
        let _asking = cancel.clone().drop_guard();
        let (tell, told) = oneshot::channel();
        self.shared.tasks.spawn("rehearsal", async move {
            let Some(_slot) = cancel.run_until_cancelled(shared.slots.acquire(ctx.tenant())).await else {
                return;
            };
            let means = Means { http: unplugged(&shared.parts), ..shared.means() };
            let made = rehearse(&means, &shared.library, ctx, &settings, rehearsal, &cancel).await;
            // Nobody may be waiting any more.
            drop(tell.send(made));
        });
        told.await.unwrap_or(Err(StorageError::Closed))
    }
}

async fn rehearse(
    means: &Means<'_>,
    library: &Arc<Library>,
    ctx: TenantCtx,
    settings: &AssistantSettings,
    rehearsal: Rehearsal,
    cancel: &CancellationToken,
) -> Result<Rehearsed, StorageError> {
    let (parts, tenant) = (means.parts, ctx.tenant());
    let store = parts.store.tenant(ctx).await?;
    let started_at = parts.clock.now();
    let turn = TurnId::new(started_at, &*parts.entropy);
    let Rehearsal { kind, history, summary, covers, attributes, people_there } = rehearsal;
    let mut context = Context { history, covers, summary, attributes, ..Context::default() };
    context.read_images(parts, tenant, settings).await;
    let looks_up = settings.built_in.knowledge;
    let knowledge = if looks_up { library.open(tenant, &store, settings).await? } else { None };
    let is_open = || settings.hours.as_ref().is_none_or(|hours| hours.closed_since(started_at).is_none());
    let case = Case {
        tenant,
        turn,
        kind,
        assistant: settings,
        context: &context,
        follow_up: None,
        window_until: started_at.plus_millis(WINDOW_MS),
        people_there: people_there.unwrap_or_else(is_open),
        safety_identifier: store.safety_identifier(NOBODY),
        knowledge,
    };
    // It is paid for like any other answer; but nobody's conversation is to pay for it.
    let budgets = Budgets { contact_day: None, conversation: None, ..settings.budgets };
    let clock = Arc::clone(&parts.clock);
    let purse = TurnPurse::new(Arc::clone(&store), clock, budgets, (turn, NOWHERE, NOBODY));
    let effort = case.make(means, &purse, cancel, &mut |_| {}).await;
    purse.close(effort.work.cost()).await;
    let ms = parts.clock.now().millis_since(started_at);
    Ok(rehearsed(effort.outcome.as_ref(), effort.work, ms))
}

/// Tools that change something are not called.
fn unplugged(parts: &EngineParts) -> Arc<dyn HttpCaller> {
    Arc::new(Rehearsing(Arc::clone(&parts.http)))
}

fn rehearsed(outcome: Option<&TurnOutcome>, work: TurnWork, ms: u64) -> Rehearsed {
    let said = |content: &Content| words(content).map(Pii::new);
    let last_problem = || {
        let attempt = work.attempts.last().and_then(|attempt| attempt.problem.clone());
        work.problem.clone().or(attempt)
    };
    let (text, handed_over, problem) = match outcome {
        Some(TurnOutcome::Reply { content, .. }) => (said(content), false, None),
        Some(TurnOutcome::HandOver { notice, .. }) => (notice.as_ref().and_then(said), true, None),
        Some(TurnOutcome::Failed { fallback }) => (fallback.as_ref().and_then(said), false, last_problem()),
        Some(TurnOutcome::OverBudget { fallback }) => {
            (fallback.as_ref().and_then(said), false, Some("the budget is spent".to_owned()))
        }
        Some(TurnOutcome::Objected { fallback }) => {
            (fallback.as_ref().and_then(said), false, Some("moderation objected".to_owned()))
        }
        Some(TurnOutcome::Closed { .. } | TurnOutcome::Empty) => (None, false, None),
        None => (None, false, Some("cancelled".to_owned())),
    };
    Rehearsed {
        text,
        tools: work.tool_calls.iter().map(|call| call.name.clone()).collect(),
        handed_over,
        usage: work.usage(),
        cost: work.cost(),
        ms,
        problem,
        work,
    }
}
