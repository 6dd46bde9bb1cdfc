//! The effort to answer, whoever asks for it: a turn, or a rehearsal that nobody hears of.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use iassistance_assistant::answer::{Answer, AnswerEnd, AnswerPolicy, Asking, Progress, answer};
use iassistance_assistant::breaker::Breakers;
use iassistance_assistant::generate::{Generator, Prompt};
use iassistance_assistant::knowledge::Knowledge;
use iassistance_assistant::money::{Prices, Purse};
use iassistance_assistant::prompt::PromptInput;
use iassistance_assistant::services::Services;
use iassistance_assistant::tools::Tools;
use iassistance_assistant::tools::http::HttpCaller;
use iassistance_assistant::tools::toolbox::{Acts, ToolLimits, Toolbox, ToolboxParts};
use iassistance_channels::check;
use iassistance_domain::assistant::AssistantSettings;
use iassistance_domain::budget::Instead;
use iassistance_domain::channel::ChannelKind;
use iassistance_domain::content::{Content, MediaKind};
use iassistance_domain::conversation::{FollowUp, HandoverReason, TurnOutcome};
use iassistance_domain::id::{MediaId, MessageId, TenantId, TurnId};
use iassistance_domain::message::Message;
use iassistance_domain::summary::Summary;
use iassistance_domain::turn::TurnWork;
use iassistance_domain::{Pii, Timestamp};
use iassistance_storage::{StorageError, TenantStore};

use crate::phrasing;
use crate::settings::{EngineParts, EngineSettings};
use crate::stage::Stage;

/// The longest history that is looked at; what fits of it is the prompt's own bound.
pub(crate) const HISTORY_MAX: usize = 64;
/// How many messages must not have had room before they are summed up: it costs a call each time.
const LEFT_OUT_MIN: usize = 4;
/// How many pictures are shown to a model, and how large each may be, bytes.
const IMAGES_MAX: usize = 6;
const IMAGE_BYTES_MAX: u64 = 5 << 20;
/// How far back pictures of the history are shown, messages.
const IMAGES_WITHIN: usize = 8;
/// The types of pictures that models see (OpenAI: "Images and vision").
const IMAGE_TYPES: [&str; 4] = ["image/jpeg", "image/png", "image/webp", "image/gif"];

/// What the platform has for an effort.
pub(crate) struct Means<'a> {
    pub(crate) settings: &'a EngineSettings,
    pub(crate) parts: &'a EngineParts,
    pub(crate) breakers: &'a Breakers,
    pub(crate) prices: &'a Prices,
    pub(crate) http: Arc<dyn HttpCaller>,
    pub(crate) generator: Arc<dyn Generator>,
    pub(crate) services: Arc<dyn Services>,
}

/// What is to be answered, and by which rules.
pub(crate) struct Case<'a> {
    pub(crate) tenant: TenantId,
    pub(crate) turn: TurnId,
    pub(crate) kind: ChannelKind,
    pub(crate) assistant: &'a AssistantSettings,
    pub(crate) context: &'a Context,
    /// What the assistant comes back for by itself, where nobody wrote.
    pub(crate) follow_up: Option<&'a FollowUp>,
    /// Until when the channel lets an answer leave.
    pub(crate) window_until: Timestamp,
    /// Whether people of the business are there.
    pub(crate) people_there: bool,
    pub(crate) safety_identifier: String,
    /// Where things can be looked up, if there is anything.
    pub(crate) knowledge: Option<Arc<dyn Knowledge>>,
}

/// What the model may read of a conversation.
#[derive(Default)]
pub(crate) struct Context {
    /// What was said before, oldest first.
    pub(crate) history: Vec<Message>,
    /// Whether there is more of it than was read, and than the summary covers.
    pub(crate) is_cut: bool,
    /// What is answered, in order.
    pub(crate) covers: Vec<Message>,
    /// What was said before the history.
    pub(crate) summary: Option<Summary>,
    pub(crate) images: BTreeMap<MediaId, (String, Bytes)>,
    pub(crate) attributes: BTreeMap<String, Pii<String>>,
}

/// What came of an effort.
pub(crate) struct Effort {
    /// What it comes to; nothing when it was cancelled.
    pub(crate) outcome: Option<TurnOutcome>,
    pub(crate) work: TurnWork,
    /// What its tools noted about the contact.
    pub(crate) attributes: BTreeMap<String, Pii<String>>,
    /// Where there was more history than the model could be shown: how many of the newest messages are
    /// left as they are when the others are summed up.
    pub(crate) keep: Option<usize>,
}

/// Where a message stands among the others: by when it was written and, of one moment, what came in before
/// what answered it.
pub(crate) fn place(message: &Message) -> (Timestamp, bool, MessageId) {
    (message.sent_at, !message.is_inbound(), message.id)
}

impl Context {
    /// Reads what was said before these messages, and the messages.
    pub(crate) async fn read(
        store: &dyn TenantStore,
        conversation: iassistance_domain::id::ConversationId,
        covered: &[MessageId],
        settings: &AssistantSettings,
    ) -> Result<Self, StorageError> {
        let limit = HISTORY_MAX + covered.len();
        let mut recent = store.messages(conversation, None, limit).await?;
        let is_cut = recent.len() == limit;
        recent.sort_by_key(place);
        let (mut covers, history): (Vec<_>, Vec<_>) =
            recent.into_iter().partition(|message| covered.contains(&message.id));
        if covers.len() < covered.len() {
            for id in covered {
                if !covers.iter().any(|message| message.id == *id) {
                    covers.extend(store.message(conversation, *id).await?);
                }
            }
            covers.sort_by_key(place);
        }
        let summary = if settings.context.summary { store.summary(conversation).await? } else { None };
        // What the summary covers need not be read.
        let reaches = |summary: &Summary| history.iter().any(|message| message.id <= summary.until);
        let is_cut = is_cut && !summary.as_ref().is_some_and(reaches);
        Ok(Self { history, is_cut, covers, summary, ..Self::default() })
    }

    /// Reads the newest pictures that a model can see. One that cannot be had is not shown.
    pub(crate) async fn read_images(
        &mut self,
        parts: &EngineParts,
        tenant: TenantId,
        settings: &AssistantSettings,
    ) {
        if !settings.context.images {
            return;
        }
        let recent = self.history.iter().rev().take(IMAGES_WITHIN);
        let items = self.covers.iter().rev().chain(recent).filter(|message| message.is_inbound());
        let images = items
            .flat_map(|message| message.content.media())
            .filter(|media| media.kind == MediaKind::Image)
            .filter_map(|media| media.source.stored())
            .take(IMAGES_MAX);
        for id in images.collect::<Vec<_>>() {
            match picture(parts, tenant, id).await {
                Ok(Some(picture)) => drop(self.images.insert(id, picture)),
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(%tenant, media = %id, %error, "a picture could not be read and is not shown to the model");
                }
            }
        }
    }
}

async fn picture(
    parts: &EngineParts,
    tenant: TenantId,
    id: MediaId,
) -> Result<Option<(String, Bytes)>, iassistance_storage::content::ContentError> {
    let Some(file) = parts.content.get(tenant, id).await? else { return Ok(None) };
    let mime = file.mime.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if file.bytes_len > IMAGE_BYTES_MAX || !IMAGE_TYPES.contains(&mime.as_str()) {
        return Ok(None);
    }
    Ok(Some((mime, file.read().await?.into())))
}

impl Case<'_> {
    /// Makes the effort. What was used before a cancellation is in its work.
    pub(crate) async fn make(
        self,
        means: &Means<'_>,
        purse: &dyn Purse,
        cancel: &CancellationToken,
        on_progress: &mut (dyn FnMut(Progress<'_>) + Send),
    ) -> Effort {
        let parts = means.parts;
        let mut tools = self.toolbox(means, cancel);
        let prompt = self.prompt(tools.specs());
        let overflows = prompt.history_left_out >= LEFT_OUT_MIN || self.context.is_cut;
        let keep = (overflows && self.assistant.context.summary).then_some(prompt.history_messages / 2);
        let server = means.settings.model_server(self.assistant);
        let asking = Asking {
            generator: &*means.generator,
            services: &*means.services,
            server: &server,
            moderation_model: &means.settings.model.moderation_model,
            fallback_models: &self.assistant.fallback_models,
            policy: self.policy(means.settings),
            breakers: means.breakers,
            tenant: self.tenant,
            purse,
            prices: means.prices,
            tools: &mut tools,
            clock: &*parts.clock,
            entropy: &*parts.entropy,
            cancel,
            on_progress,
        };
        let Answer { mut work, end } = Stage::Generate.observe(answer(asking, prompt)).await;
        let mut acts = tools.acts();
        work.handover_reason = work.handover_reason.or_else(|| acts.handover.clone());
        let attributes = std::mem::take(&mut acts.attributes);
        let outcome = self.outcome(end, acts);
        Effort { outcome, work, attributes, keep }
    }

    fn prompt(&self, tools: Vec<iassistance_assistant::tools::ToolSpec>) -> Prompt {
        let Context { history, covers, summary, images, attributes, .. } = self.context;
        Prompt::build(&PromptInput {
            settings: self.assistant,
            history,
            covers,
            summary: summary.as_ref(),
            images,
            attributes,
            follow_up: self.follow_up,
            tools,
            people_there: self.people_there,
            safety_identifier: self.safety_identifier.clone(),
        })
    }

    fn policy(&self, settings: &EngineSettings) -> AnswerPolicy {
        AnswerPolicy {
            attempts_max: settings.model.attempts_max,
            retry_ms: settings.model.retry_ms,
            turn_ms: settings.model.turn_ms,
            rounds_max: self.assistant.tool_rounds_max,
            moderation: self.assistant.moderation,
            turn_budget: self.assistant.budgets.turn,
        }
    }

    fn outcome(&self, end: AnswerEnd, acts: Acts) -> Option<TurnOutcome> {
        let Acts { handover, choice, follow_up, .. } = acts;
        let hand_over = |reason, said: Option<Content>| TurnOutcome::HandOver {
            reason,
            notice: said.or_else(|| Some(phrasing::waiting(self.assistant, !self.people_there))),
        };
        let instead = |instead, reason, otherwise: fn(Option<Content>) -> TurnOutcome| match instead {
            Instead::Text => otherwise(phrasing::fallback(self.assistant)),
            Instead::Human => hand_over(reason, None),
            Instead::Silence => otherwise(None),
        };
        Some(match end {
            AnswerEnd::Cancelled => return None,
            AnswerEnd::Said(text) if handover.is_some() => {
                hand_over(HandoverReason::Asked, Some(Content::text(text)))
            }
            _ if handover.is_some() => hand_over(HandoverReason::Asked, None),
            AnswerEnd::Said(text) => {
                TurnOutcome::Reply { content: choice.unwrap_or_else(|| Content::text(text)), follow_up }
            }
            AnswerEnd::Nothing | AnswerEnd::Ended => match choice {
                Some(content) => TurnOutcome::Reply { content, follow_up },
                None => TurnOutcome::Empty,
            },
            AnswerEnd::Failed(error) => {
                let (tenant, turn) = (self.tenant, self.turn);
                tracing::warn!(%tenant, %turn, %error, "no answer could be had");
                let failed = |fallback| TurnOutcome::Failed { fallback };
                instead(self.assistant.on_failure, HandoverReason::Failed, failed)
            }
            AnswerEnd::OverBudget => {
                tracing::warn!(tenant = %self.tenant, turn = %self.turn, "the budget for answers is spent");
                let over = |fallback| TurnOutcome::OverBudget { fallback };
                instead(self.assistant.budgets.at_limit, HandoverReason::OverBudget, over)
            }
            AnswerEnd::Objected { .. } => {
                let objected = |fallback| TurnOutcome::Objected { fallback };
                instead(self.assistant.moderation.on_objection, HandoverReason::Objected, objected)
            }
        })
    }

    /// What names the calls of tools: the same for every turn that answers the same first message, so
    /// that a tool's server can tell a call that is made again.
    fn key(&self) -> TurnId {
        self.context.covers.first().map_or(self.turn, |first| TurnId::from_bytes(first.id.to_bytes()))
    }

    fn toolbox(&self, means: &Means<'_>, cancel: &CancellationToken) -> Toolbox {
        let kind = self.kind;
        let mut settings = Cow::Borrowed(self.assistant);
        if self.follow_up.is_some() {
            // Who does not write is not come back to again and again.
            settings.to_mut().built_in.follow_up = false;
        }
        Toolbox::new(ToolboxParts {
            settings: &settings,
            kind,
            knowledge: self.knowledge.clone(),
            http: Arc::clone(&means.http),
            clock: Arc::clone(&means.parts.clock),
            window_until: self.window_until,
            turn: self.key(),
            cancel: cancel.clone(),
            check: Arc::new(move |content| check(kind, content).map_err(|problem| problem.title)),
            limits: ToolLimits {
                calls_max: means.settings.tools.calls_per_turn_max as usize,
                answer_bytes_max: means.settings.tools.answer_bytes_max,
                found_max: means.settings.knowledge.found_max,
            },
        })
    }
}

/// What a turn comes to that failed within itself.
pub(crate) fn broken(settings: &AssistantSettings) -> TurnOutcome {
    match settings.on_failure {
        Instead::Text => TurnOutcome::Failed { fallback: phrasing::fallback(settings) },
        Instead::Human => TurnOutcome::HandOver {
            reason: HandoverReason::Failed,
            notice: Some(phrasing::waiting(settings, false)),
        },
        Instead::Silence => TurnOutcome::Failed { fallback: None },
    }
}
