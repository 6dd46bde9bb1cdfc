//! One conversation, one writer: the actor loads, applies, performs, commits.

mod command;
mod core;
mod letters;
mod step;

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use actix::{
    Actor, ActorContext, ActorFuture, ActorFutureExt, AtomicResponse, Context, Handler, Message, WrapFuture,
};
use serde::Serialize;

use iassistance_domain::assistant::AssistantSettingsVersion;
use iassistance_domain::channel::ChannelKind;
use iassistance_domain::content::MediaSource;
use iassistance_domain::conversation::{Control, TurnOutcome};
use iassistance_domain::id::{ChannelId, ContactId, ConversationId, MediaId, MessageId, TenantId, TurnId};
use iassistance_domain::summary::Summary;
use iassistance_domain::turn::{Attempt, TurnWork};
use iassistance_domain::{Pii, Timestamp};
use iassistance_storage::TenantStore;

pub use command::{Command, CommandError, Done};

use self::core::Core;
use crate::deeds::Deeds;
use crate::doorbell::MemorySeat;
use crate::engine::Shared;
use crate::kernel::{LifeGuard, Permitted};

/// A conversation of a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ConversationKey {
    /// Whose.
    pub tenant: TenantId,
    /// Which.
    pub conversation: ConversationId,
}

/// There may be letters, or time has passed.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Knock;

/// A turn came to its end.
#[derive(Message)]
#[rtype(result = "()")]
pub struct FinishTurn {
    /// Which.
    pub turn: TurnId,
    /// With what; nothing when it was cancelled.
    pub outcome: Option<TurnOutcome>,
    /// What it did.
    pub work: TurnWork,
    /// What its tools noted about the contact.
    pub attributes: BTreeMap<String, Pii<String>>,
    /// Where there was more history than the model could be shown: how many of the newest messages are
    /// left as they are when the others are summed up.
    pub keep: Option<usize>,
}

/// What is too old to be read whole was summed up, or could not be.
#[derive(Message)]
#[rtype(result = "()")]
pub struct FinishSummary {
    /// After which turn.
    pub turn: TurnId,
    /// The tries.
    pub attempts: Vec<Attempt>,
    /// The summary, if there is one.
    pub made: Option<MadeSummary>,
}

/// A summary, and what it was made of.
pub struct MadeSummary {
    /// It.
    pub summary: Summary,
    /// The one that it goes on from, by its end and its time.
    pub after: Option<(MessageId, Timestamp)>,
    /// The messages that were read for it, with when they had last been changed.
    pub of: Vec<(MessageId, Option<Timestamp>)>,
}

/// The files of a message were fetched and read, or could not be.
#[derive(Message)]
#[rtype(result = "()")]
pub struct FinishMedia {
    /// Which message.
    pub message: MessageId,
    /// What became of each of its files that was at Meta.
    pub files: Vec<SettledFile>,
}

/// What became of a file.
pub struct SettledFile {
    /// Its place in the message.
    pub index: usize,
    /// Where it is now.
    pub source: MediaSource,
    /// What is said or written in it, if it was listened to or read.
    pub text: Option<Pii<String>>,
}

/// A file of a message that was taken back is destroyed.
#[derive(Message)]
#[rtype(result = "()")]
pub struct FinishDestruction(pub MediaId);

/// What a turn needs of the conversation that begins it; it keeps the settings that it began with.
pub(crate) struct LoadedTurn {
    pub(crate) store: Arc<dyn TenantStore>,
    pub(crate) contact: ContactId,
    pub(crate) channel: ChannelId,
    pub(crate) kind: ChannelKind,
    /// Until when the channel lets an answer leave.
    pub(crate) window_until: Timestamp,
    pub(crate) assistant: Arc<AssistantSettingsVersion>,
    /// Whether it had begun before and begins again.
    pub(crate) again: bool,
    /// What turns before it had done that did not come to their end.
    pub(crate) deeds: Deeds,
}

/// Put yourself away if you have nothing to do.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Rest {
    /// Whether it need not have been idle for long.
    pub at_once: bool,
}

/// Put yourself away, whatever you are at: the tenant's data is about to be replaced. What is not
/// committed is not.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Leave;

/// Show your state.
#[derive(Message)]
#[rtype(result = "Option<Snapshot>")]
pub struct Show;

/// The state of a conversation's actor, without anything personal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Snapshot {
    /// Which of the conversation's actors this is since the process started.
    pub incarnation: u64,
    /// Who answers.
    pub control: Control,
    /// The running turn.
    pub turn: Option<TurnId>,
    /// The revision of the stored state.
    pub revision: u64,
}

/// The actor of one conversation.
pub struct ConversationActor {
    life: LifeGuard<ConversationKey>,
    shared: Weak<Shared>,
    core: Option<Box<Core>>,
    _seat: MemorySeat,
}

impl ConversationActor {
    pub(crate) fn new(life: LifeGuard<ConversationKey>, shared: Weak<Shared>, seat: MemorySeat) -> Self {
        Self { life, shared, core: None, _seat: seat }
    }

    /// A step with the core. Awaited exclusively, so that no other message is handled meanwhile; a
    /// panic in it takes the core, and with it everything that was not committed. Its answer is
    /// `None` when the engine has stopped.
    fn step<F, T>(&mut self, step: F) -> impl ActorFuture<Self, Output = Option<T>> + use<F, T>
    where
        F: AsyncFnOnce(&mut Core) -> T + 'static,
        T: 'static,
    {
        let (shared, key) = (self.shared.upgrade(), *self.life.key());
        let core = self.core.take();
        let work = async move {
            let shared: Arc<Shared> = shared?;
            let mut core = core.unwrap_or_else(|| Box::new(Core::new(key, Arc::downgrade(&shared))));
            let answer = step(&mut core).await;
            Some((core, answer))
        };
        work.into_actor(self).map(|done, actor: &mut Self, _| {
            let (core, answer) = done?;
            actor.core = Some(core);
            Some(answer)
        })
    }
}

impl Actor for ConversationActor {
    type Context = Context<Self>;
}

impl Handler<Permitted<Knock>> for ConversationActor {
    type Result = AtomicResponse<Self, ()>;

    fn handle(&mut self, message: Permitted<Knock>, _: &mut Context<Self>) -> Self::Result {
        let step = self.step(async |core: &mut Core| core.read_letters().await);
        message.permit.exclusively(step.map(|_, _, _| ()))
    }
}

impl Handler<Permitted<FinishTurn>> for ConversationActor {
    type Result = AtomicResponse<Self, ()>;

    fn handle(&mut self, message: Permitted<FinishTurn>, _: &mut Context<Self>) -> Self::Result {
        let Permitted { message, permit } = message;
        let step = self.step(async move |core: &mut Core| core.finish_turn(message).await);
        permit.exclusively(step.map(|_, _, _| ()))
    }
}

impl Handler<Permitted<FinishSummary>> for ConversationActor {
    type Result = AtomicResponse<Self, ()>;

    fn handle(&mut self, message: Permitted<FinishSummary>, _: &mut Context<Self>) -> Self::Result {
        let Permitted { message, permit } = message;
        let step = self.step(async move |core: &mut Core| core.finish_summary(message).await);
        permit.exclusively(step.map(|_, _, _| ()))
    }
}

impl Handler<Permitted<FinishMedia>> for ConversationActor {
    type Result = AtomicResponse<Self, ()>;

    fn handle(&mut self, message: Permitted<FinishMedia>, _: &mut Context<Self>) -> Self::Result {
        let Permitted { message, permit } = message;
        let step = self.step(async move |core: &mut Core| core.finish_media(message).await);
        permit.exclusively(step.map(|_, _, _| ()))
    }
}

impl Handler<Permitted<FinishDestruction>> for ConversationActor {
    type Result = AtomicResponse<Self, ()>;

    fn handle(&mut self, message: Permitted<FinishDestruction>, _: &mut Context<Self>) -> Self::Result {
        let Permitted { message, permit } = message;
        let step = self.step(async move |core: &mut Core| core.finish_destruction(message).await);
        permit.exclusively(step.map(|_, _, _| ()))
    }
}

impl Handler<Permitted<Command>> for ConversationActor {
    type Result = AtomicResponse<Self, Result<Done, CommandError>>;

    fn handle(&mut self, message: Permitted<Command>, _: &mut Context<Self>) -> Self::Result {
        let Permitted { message, permit } = message;
        let step = self.step(async move |core: &mut Core| core.obey(message).await);
        permit.exclusively(step.map(|answer, _, _| answer.unwrap_or(Err(CommandError::Stopping))))
    }
}

impl Handler<Permitted<Show>> for ConversationActor {
    type Result = Option<Snapshot>;

    fn handle(&mut self, _: Permitted<Show>, _: &mut Context<Self>) -> Self::Result {
        self.core.as_ref()?.snapshot(self.life.incarnation())
    }
}

impl Handler<Permitted<Rest>> for ConversationActor {
    type Result = ();

    fn handle(&mut self, message: Permitted<Rest>, context: &mut Context<Self>) {
        let Permitted { message: Rest { at_once }, permit } = message;
        drop(permit);
        if self.core.as_ref().is_none_or(|core| core.may_rest(at_once)) && self.life.retire() {
            context.stop();
        }
    }
}

impl Handler<Permitted<Leave>> for ConversationActor {
    type Result = ();

    fn handle(&mut self, message: Permitted<Leave>, context: &mut Context<Self>) {
        drop(message.permit);
        // With it the turn under way and all timers.
        self.core = None;
        if self.life.retire() {
            context.stop();
        }
    }
}
