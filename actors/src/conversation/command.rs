//! What people ask of a conversation: control, replies, another try.

use actix::Message;

use iassistance_channels::{check, pieces};
use iassistance_domain::channel::MessageTemplate;
use iassistance_domain::content::Content;
use iassistance_domain::conversation::{Control, Epoch, Input};
use iassistance_domain::event::{DeadLetter, DeadWork, EventKind};
use iassistance_domain::id::{ConversationId, DeadLetterId, MessageId};
use iassistance_domain::message::Message as Stored;
use iassistance_domain::outbox::{Draft, ReplyTo};
use iassistance_domain::pii::TenantView;
use iassistance_domain::tenant::TenantCtx;
use iassistance_domain::{Pii, Timestamp};
use iassistance_storage::StorageError;

use super::ConversationKey;
use super::core::{Core, Loaded};
use super::step::Step;
use crate::engine::{Engine, Shared};
use crate::kernel::{AskError, Refused};
use crate::tenant::Release;

/// What a person asks of a conversation. Answered after it is committed.
#[derive(Message, Clone)]
#[rtype(result = "Result<Done, CommandError>")]
pub enum Command {
    /// Take control.
    TakeOver {
        /// Who.
        operator: String,
    },
    /// Give control back to the assistant.
    HandBack,
    /// Answer as a person.
    Reply {
        /// Who.
        operator: String,
        /// What.
        content: Content,
        /// The message that it answers, reacts to or, for a public comment, answers in private.
        reply_to: Option<MessageId>,
    },
    /// Try again what was given up.
    Replay(DeadLetterId),
    /// Give the conversation to one of the people, or to none.
    Assign {
        /// To whom.
        operator: Option<String>,
    },
    /// From now on no machine answers the contact, or one may again.
    RefuseAssistant {
        /// Whether they refuse.
        refused: bool,
    },
    /// Tell the contact something that is no answer: control and what is under way stay as they are.
    Notify {
        /// By which name.
        by: String,
        /// What.
        content: Content,
    },
    /// Write something for the other people.
    Note {
        /// Who.
        operator: String,
        /// What.
        body: Pii<String>,
    },
}

/// The longest note, characters.
pub const NOTE_CHARACTERS_MAX: usize = 4_096;

/// What a command led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// Who answers now.
    pub control: Control,
    /// The epoch now.
    pub epoch: Epoch,
    /// The message that was committed, if one was.
    pub message: Option<MessageId>,
}

/// Why a command was not obeyed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CommandError {
    /// There is no such thing in this tenant.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// The channel's answering window has closed.
    #[error(
        "the contact's last message is too long ago: the channel lets no free text leave until they write again{}",
        offered(templates)
    )]
    WindowClosed {
        /// The templates that may be sent instead.
        templates: Vec<MessageTemplate>,
    },
    /// The channel does not carry this content.
    #[error("{0}")]
    NotCarried(String),
    /// The contact refuses advertising.
    #[error("the contact refuses advertising: a template of another category may be sent")]
    MarketingRefused,
    /// Another app has the conversation.
    #[error("another app has this conversation at Meta: wait until it gives it back, or take it there")]
    OtherApp,
    /// A note says nothing, or too much.
    #[error("a note has 1 to 4,096 characters")]
    BadNote,
    /// It was tried again before.
    #[error("this dead letter was replayed before")]
    Replayed,
    /// The conversation is held after repeated failures.
    #[error("the conversation is held after repeated failures: replay its dead letter first")]
    Quarantined,
    /// It cannot be said now.
    #[error("the conversation is busy or failed just now: try again")]
    Busy,
    /// The server is stopping.
    #[error("the server is stopping: try again")]
    Stopping,
    /// Storage refused.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl Core {
    pub(super) async fn obey(&mut self, command: Command) -> Result<Done, CommandError> {
        let shared = self.shared().ok_or(CommandError::Stopping)?;
        // What waits in the inbox came first.
        self.read_letters().await;
        self.load(&shared).await?;
        let loaded = self.loaded().ok_or(CommandError::NotFound("conversation"))?;
        let mut step = Step::new(&shared, self.key(), loaded);
        let mut noted = None;
        match command {
            Command::TakeOver { operator } => step.decide(Input::TakenOver { operator }),
            Command::HandBack => step.decide(Input::HandedBack),
            Command::Reply { operator, content, reply_to } => {
                let draft = permitted(loaded, shared.parts.clock.now(), content, reply_to).await?;
                let waits = matches!(loaded.conversation.control(), Control::Waiting { .. });
                if waits && !matches!(draft.content, Content::Reaction { .. }) {
                    // Who answers somebody that waits for a person is that person.
                    step.decide(Input::TakenOver { operator: operator.clone() });
                }
                step.speak_as(operator);
                step.decide(match &draft.content {
                    Content::Reaction { .. } => Input::OperatorSigned { draft },
                    _ => Input::OperatorWrote { draft },
                });
            }
            Command::Replay(id) => replay(&shared, loaded, &mut step, id).await?,
            Command::Assign { operator } => step.decide(Input::Assigned { operator }),
            Command::RefuseAssistant { refused } => step.decide(Input::AssistantRefused { refused }),
            Command::Notify { by, content } => {
                let draft = permitted(loaded, shared.parts.clock.now(), content, None).await?;
                step.speak_as(by);
                step.decide(Input::OperatorSigned { draft });
            }
            Command::Note { operator, body } => noted = Some(step.note(operator, body)),
        }
        let message = noted.or_else(|| step.last_message());
        if let Err(error) = self.finish(&shared, step).await {
            self.forget();
            return Err(error.into());
        }
        let loaded = self.loaded().ok_or(CommandError::Busy)?;
        Ok(Done {
            control: loaded.conversation.control().clone(),
            epoch: loaded.conversation.epoch(),
            message,
        })
    }
}

/// The templates that an error offers, in words.
fn offered(templates: &[MessageTemplate]) -> String {
    if templates.is_empty() {
        return String::new();
    }
    let names: Vec<String> =
        templates.iter().map(|template| format!("{} ({})", template.name, template.language)).collect();
    format!("; these templates may be sent: {}", names.join(", "))
}

/// What a person wants to say, if the channel, its window and the contact let it leave.
async fn permitted(
    loaded: &Loaded,
    now: Timestamp,
    content: Content,
    reply_to: Option<MessageId>,
) -> Result<Draft, CommandError> {
    let conversation = &loaded.conversation;
    if matches!(conversation.control(), Control::OtherApp { .. }) {
        return Err(CommandError::OtherApp);
    }
    let answered = match reply_to {
        Some(id) => {
            let found = loaded.store.message(conversation.id, id).await?;
            Some(found.ok_or(CommandError::NotFound("message"))?)
        }
        None => None,
    };
    let draft = pointed(content, answered.as_ref())?;
    check(loaded.kind, &draft.content).map_err(|problem| CommandError::NotCarried(problem.title))?;
    let templates = loaded.store.templates(conversation.channel).await?;
    match (&draft.content, &draft.reply_to) {
        (Content::Template(template), _) => {
            let known = templates
                .iter()
                .find(|known| known.name == template.name && known.language == template.language);
            let refused = conversation.marketing_refused_until().is_some_and(|until| now < until);
            // Who asked for silence is spared advertising as well.
            let refused = refused || conversation.opted_out();
            if refused && known.is_some_and(MessageTemplate::is_marketing) {
                return Err(CommandError::MarketingRefused);
            }
        }
        (_, Some(ReplyTo::Comment { .. })) => {
            // Meta takes one private answer to a comment, and no second.
            if pieces(loaded.kind, draft.content.clone()).len() > 1 {
                let title = "a comment is answered by one message, and this would be several: shorten it";
                return Err(CommandError::NotCarried(title.to_owned()));
            }
            let written = answered.map_or(Timestamp::EPOCH, |comment| comment.sent_at);
            if now > written.plus_millis(conversation.comment_ms()) {
                return Err(CommandError::WindowClosed { templates: Vec::new() });
            }
        }
        _ if now > conversation.window().human_until => {
            let templates = templates.into_iter().filter(MessageTemplate::is_approved).collect();
            return Err(CommandError::WindowClosed { templates });
        }
        _ => {}
    }
    Ok(draft)
}

/// The draft with what it points at as Meta knows it.
fn pointed(content: Content, answered: Option<&Stored>) -> Result<Draft, CommandError> {
    let Some(answered) = answered else {
        return match content {
            Content::Reaction { .. } => {
                Err(CommandError::NotCarried("a reaction needs the message that it is put on".to_owned()))
            }
            content => Ok(content.into()),
        };
    };
    let unknown =
        || CommandError::NotCarried("Meta's id of the message is not known yet: try again".to_owned());
    let provider_id = || answered.provider_id.clone().ok_or_else(unknown);
    Ok(match (content, &answered.content) {
        (Content::Reaction { emoji, .. }, _) => Content::Reaction { target: provider_id()?, emoji }.into(),
        (content, Content::Comment { id, .. }) => {
            Draft { content, reply_to: Some(ReplyTo::Comment { id: id.clone() }) }
        }
        (content, _) => Draft { content, reply_to: Some(ReplyTo::Message { provider_id: provider_id()? }) },
    })
}

async fn replay(
    shared: &Shared,
    loaded: &Loaded,
    step: &mut Step,
    id: DeadLetterId,
) -> Result<(), CommandError> {
    let mut letter = loaded.store.dead_letter(id).await?.ok_or(CommandError::NotFound("dead letter"))?;
    if letter.replayed_at.is_some() {
        return Err(CommandError::Replayed);
    }
    let now = shared.parts.clock.now();
    let conversation = letter.conversation;
    match letter.work {
        DeadWork::Conversation => step.tell(EventKind::ConversationReleased { dead_letter: letter.id }),
        DeadWork::Send { message } => {
            let lost = loaded.store.message(conversation, message).await?;
            let lost = lost.ok_or(CommandError::NotFound("message"))?;
            let is_template = matches!(lost.content, Content::Template(_));
            if !is_template && now > loaded.conversation.window().free_until {
                return Err(CommandError::WindowClosed { templates: Vec::new() });
            }
            step.say_again(lost);
        }
        DeadWork::Turn { turn } => {
            let record =
                loaded.store.turn(conversation, turn).await?.ok_or(CommandError::NotFound("turn"))?;
            let mut messages = Vec::with_capacity(record.covers.len());
            for id in record.covers {
                if let Some(message) = loaded.store.message(conversation, id).await? {
                    messages.push((id, message.sent_at));
                }
            }
            step.decide(Input::AnswerAgain { messages });
        }
    }
    step.tell(EventKind::DeadLetterReplayed { dead_letter: letter.id });
    letter.replayed_at = Some(now);
    step.put_dead_letter(letter);
    Ok(())
}

impl Engine {
    /// Takes control of a conversation for a person. When this returns, no word of the assistant
    /// leaves any more: what was being sent has been settled, the rest is withdrawn.
    pub async fn take_over(
        &self,
        ctx: TenantCtx,
        conversation: ConversationId,
        operator: String,
    ) -> Result<Done, CommandError> {
        let done = self.command(ctx, conversation, Command::TakeOver { operator }).await?;
        let key = ConversationKey { tenant: ctx.tenant(), conversation };
        self.shared.dispatcher.in_hand_settled(key).await;
        Ok(done)
    }

    /// Gives control back to the assistant.
    pub async fn hand_back(
        &self,
        ctx: TenantCtx,
        conversation: ConversationId,
    ) -> Result<Done, CommandError> {
        self.command(ctx, conversation, Command::HandBack).await
    }

    /// Answers as a person; the message is committed to the outbox when this returns.
    pub async fn reply(
        &self,
        ctx: TenantCtx,
        conversation: ConversationId,
        operator: String,
        content: Content,
        reply_to: Option<MessageId>,
    ) -> Result<Done, CommandError> {
        self.command(ctx, conversation, Command::Reply { operator, content, reply_to }).await
    }

    /// Gives a conversation to one of the people, or to none. Who answers stays as it is.
    pub async fn assign(
        &self,
        ctx: TenantCtx,
        conversation: ConversationId,
        operator: Option<String>,
    ) -> Result<Done, CommandError> {
        self.command(ctx, conversation, Command::Assign { operator }).await
    }

    /// From now on no machine answers the contact of a conversation, or one may again.
    pub async fn refuse_assistant(
        &self,
        ctx: TenantCtx,
        conversation: ConversationId,
        refused: bool,
    ) -> Result<Done, CommandError> {
        let done = self.command(ctx, conversation, Command::RefuseAssistant { refused }).await?;
        let key = ConversationKey { tenant: ctx.tenant(), conversation };
        self.shared.dispatcher.in_hand_settled(key).await;
        Ok(done)
    }

    /// Tells the contact something that answers nothing; the message is committed to the outbox when this
    /// returns. The channel's window counts, as for a person's reply.
    pub async fn notify(
        &self,
        ctx: TenantCtx,
        conversation: ConversationId,
        by: String,
        content: Content,
    ) -> Result<Done, CommandError> {
        self.command(ctx, conversation, Command::Notify { by, content }).await
    }

    /// Writes something for the other people; the contact and the model never see it.
    pub async fn note(
        &self,
        ctx: TenantCtx,
        conversation: ConversationId,
        operator: String,
        body: Pii<String>,
    ) -> Result<Done, CommandError> {
        let text = body.reveal(TenantView).trim();
        if text.is_empty() || text.chars().nth(NOTE_CHARACTERS_MAX).is_some() {
            return Err(CommandError::BadNote);
        }
        self.command(ctx, conversation, Command::Note { operator, body }).await
    }

    /// Tries again what was given up; once.
    pub async fn replay(&self, ctx: TenantCtx, id: DeadLetterId) -> Result<DeadLetter, CommandError> {
        let store = self.shared.parts.store.tenant(ctx).await?;
        let letter = store.dead_letter(id).await?.ok_or(CommandError::NotFound("dead letter"))?;
        if letter.replayed_at.is_some() {
            return Err(CommandError::Replayed);
        }
        let conversation = letter.conversation;
        if letter.work == DeadWork::Conversation {
            self.shared.doorbell(ctx.tenant()).set_quarantined(conversation, false);
            if !self.shared.tell_tenant(ctx.tenant(), Release(conversation)) {
                return Err(CommandError::Busy);
            }
        }
        self.command(ctx, conversation, Command::Replay(id)).await?;
        store.dead_letter(id).await?.ok_or(CommandError::NotFound("dead letter"))
    }

    async fn command(
        &self,
        ctx: TenantCtx,
        conversation: ConversationId,
        command: Command,
    ) -> Result<Done, CommandError> {
        let tenant = ctx.tenant();
        let store = self.shared.parts.store.tenant(ctx).await?;
        if store.conversation(conversation).await?.is_none() {
            return Err(CommandError::NotFound("conversation"));
        }
        if self.shared.doorbell(tenant).is_quarantined(conversation) {
            return Err(CommandError::Quarantined);
        }
        let key = ConversationKey { tenant, conversation };
        let mailbox = self.shared.conversation(key).map_err(|_| CommandError::Busy)?;
        mailbox.ask(command).await.map_err(|error| match error {
            AskError::Closed | AskError::Unanswered => CommandError::Busy,
        })?
    }

    /// The state of a conversation's actor, if it is in memory.
    pub async fn show(&self, key: ConversationKey) -> Option<super::Snapshot> {
        self.shared.live_conversation(key)?.ask(super::Show).await.ok().flatten()
    }

    /// Knocks at a conversation that is in memory; says whether there was one with room.
    pub fn knock(&self, key: ConversationKey) -> bool {
        let mailbox = self.shared.live_conversation(key);
        mailbox.is_some_and(|mailbox| {
            !matches!(mailbox.try_send(super::Knock), Err(Refused::Closed(_) | Refused::Full(_)))
        })
    }
}
