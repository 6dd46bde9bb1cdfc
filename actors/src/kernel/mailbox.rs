//! The only way in to an actor, with an exact bound.

use std::sync::{Arc, Mutex, PoisonError};

use actix::dev::ToEnvelope;
use actix::dev::channel::{AddressReceiver, AddressSender, channel};
use actix::prelude::SendError;
use actix::{
    Actor, ActorFuture, ActorFutureExt, ArbiterHandle, AtomicResponse, Context, Handler, Message,
    ResponseActFuture,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError};

use super::life::{Ended, LifeGuard};

/// The handle of an actor. Clones share one bound.
///
/// What was accepted is not yet handled: an actor that ends takes the messages in its mailbox with
/// it. A message is therefore a doorbell, and the work it speaks of is kept elsewhere.
pub struct Mailbox<A: Actor> {
    // Not an `Addr`, whose `do_send` drops a message silently where this one gives it back.
    sender: AddressSender<A>,
    room: Arc<Room>,
}

impl<A: Actor> Clone for Mailbox<A> {
    fn clone(&self) -> Self {
        Self { sender: self.sender.clone(), room: Arc::clone(&self.room) }
    }
}

impl<A: Actor<Context = Context<A>>> Mailbox<A> {
    /// A mailbox for at most `capacity` messages (0 is taken as 1), and the actor's end of it.
    /// Messages may be sent before the actor has been started.
    pub fn unstarted(capacity: u32) -> (Self, Unstarted<A>) {
        // 0 is "no bound" to actix: the permits are the bound, and no sender is ever parked.
        let (sender, receiver) = channel(0);
        let room = Arc::new(Room::new(capacity));
        (Self { sender, room: Arc::clone(&room) }, Unstarted { receiver, room })
    }
}

impl<A: Actor> Mailbox<A> {
    /// Sends if there is room now, and gives the message back if there is not.
    ///
    /// With a capacity of 2 or more and handlers that run one at a time, `Full` says that at least
    /// one message has not begun to be handled: for a doorbell it is as good as sent.
    ///
    /// # Errors
    /// [`Refused::Full`] when the bound is reached, [`Refused::Closed`] when the actor has ended.
    pub fn try_send<M>(&self, message: M) -> Result<(), Refused<M>>
    where
        A: Handler<Permitted<M>>,
        A::Context: ToEnvelope<A, Permitted<M>>,
        M: Message + Send + 'static,
        M::Result: Send,
    {
        match self.room.try_take() {
            Ok(permit) => self.deliver(Permitted { message, permit }),
            Err(TryAcquireError::NoPermits) => Err(Refused::Full(message)),
            Err(TryAcquireError::Closed) => Err(Refused::Closed(message)),
        }
    }

    /// Sends as soon as there is room; whoever waited longest goes first. Dropping the future before
    /// it resolves sends nothing.
    ///
    /// # Errors
    /// [`Refused::Closed`] when the actor has ended, also while waiting; never [`Refused::Full`].
    pub async fn send<M>(&self, message: M) -> Result<(), Refused<M>>
    where
        A: Handler<Permitted<M>>,
        A::Context: ToEnvelope<A, Permitted<M>>,
        M: Message + Send + 'static,
        M::Result: Send,
    {
        match self.room.take().await {
            Some(permit) => self.deliver(Permitted { message, permit }),
            None => Err(Refused::Closed(message)),
        }
    }

    /// Waits for room, sends, and waits for the answer. Has no deadline of its own. Dropping the
    /// future before the actor has begun with the message withdraws it.
    ///
    /// # Errors
    /// [`AskError::Closed`] when nothing was delivered, [`AskError::Unanswered`] when it was and the
    /// actor then ended or panicked.
    pub async fn ask<M>(&self, message: M) -> Result<M::Result, AskError>
    where
        A: Handler<Permitted<M>>,
        A::Context: ToEnvelope<A, Permitted<M>>,
        M: Message + Send + 'static,
        M::Result: Send,
    {
        let permit = self.room.take().await.ok_or(AskError::Closed)?;
        // The channel beneath has no bound, so the only reason it can refuse is that it is closed.
        let answer = self.sender.send(Permitted { message, permit }).map_err(|_| AskError::Closed)?;
        answer.await.map_err(|_| AskError::Unanswered)
    }

    /// Waits until every message that is in it has been handled, or the actor has ended.
    pub async fn drained(&self) {
        // Closed means that it has ended.
        drop(self.room.places.acquire_many(self.room.capacity).await);
    }

    /// Whether the actor has ended, or is about to and accepts nothing more.
    pub fn is_closed(&self) -> bool {
        self.room.is_closed() || !self.sender.connected()
    }

    /// Messages that wait or are being handled, of at most [`Mailbox::capacity`].
    pub fn occupied(&self) -> u32 {
        self.room.occupied()
    }

    /// The bound: how many messages may wait or be handled at a time.
    pub fn capacity(&self) -> u32 {
        self.room.capacity
    }

    /// Shuts the mailbox if no message is in it.
    pub(super) fn retire(&self) -> bool {
        self.room.close_if_idle()
    }

    fn deliver<M>(&self, message: Permitted<M>) -> Result<(), Refused<M>>
    where
        A: Handler<Permitted<M>>,
        A::Context: ToEnvelope<A, Permitted<M>>,
        M: Message + Send + 'static,
        M::Result: Send,
    {
        self.sender.do_send(message).map_err(|error| match error {
            SendError::Full(refused) => Refused::Full(refused.message),
            SendError::Closed(refused) => Refused::Closed(refused.message),
        })
    }
}

/// A message on its way, with the place it takes in the mailbox. What actors handle:
/// `impl Handler<Permitted<Wake>> for …`.
pub struct Permitted<M> {
    /// The message.
    pub message: M,
    /// Its place in the mailbox, free again when this is dropped. A handler that is done when it
    /// returns leaves it alone; one that waits hands it to [`Permit::exclusively`] or
    /// [`Permit::alongside`].
    pub permit: Permit,
}

impl<M: Message> Message for Permitted<M> {
    type Result = M::Result;
}

/// A place in a mailbox. Free again when dropped.
pub struct Permit {
    _place: OwnedSemaphorePermit,
}

impl Permit {
    /// The answer of a handler that waits: the actor takes no other message until `future` is done,
    /// and the place stays taken until then, or until the actor ends.
    pub fn exclusively<A, T>(self, future: impl ActorFuture<A, Output = T> + 'static) -> AtomicResponse<A, T>
    where
        A: Actor,
        T: 'static,
    {
        AtomicResponse::new(self.alongside(future))
    }

    /// As [`Permit::exclusively`], but the actor goes on with other messages meanwhile.
    pub fn alongside<A, T>(self, future: impl ActorFuture<A, Output = T> + 'static) -> ResponseActFuture<A, T>
    where
        A: Actor,
        T: 'static,
    {
        Box::pin(future.map(move |answer, _, _| {
            drop(self);
            answer
        }))
    }
}

/// A message that was not accepted; it comes back with the reason.
#[derive(thiserror::Error, PartialEq, Eq)]
pub enum Refused<M> {
    /// The bound is reached: try later, or leave it if a doorbell rings already.
    #[error("the mailbox is full")]
    Full(M),
    /// The actor has ended: ask the registry for its successor.
    #[error("the mailbox is closed")]
    Closed(M),
}

impl<M> Refused<M> {
    /// The message.
    pub fn into_message(self) -> M {
        match self {
            Self::Full(message) | Self::Closed(message) => message,
        }
    }
}

// By hand, without the message: it may hold personal data.
impl<M> std::fmt::Debug for Refused<M> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Full(_) => "Full(..)",
            Self::Closed(_) => "Closed(..)",
        })
    }
}

/// Why a question has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// The actor had ended before the message was delivered: nothing has happened.
    #[error("the actor had ended before it could be asked")]
    Closed,
    /// The message was delivered, and the actor ended or panicked without an answer: how far it came
    /// is not known.
    #[error("the actor ended before it answered")]
    Unanswered,
}

/// The actor's end of a mailbox, until the actor is started. Dropping it closes the mailbox.
#[must_use = "the actor does not live before it is started"]
pub struct Unstarted<A: Actor> {
    receiver: AddressReceiver<A>,
    room: Arc<Room>,
}

impl<A: Actor<Context = Context<A>>> Unstarted<A> {
    /// Makes the actor on `arbiter`'s thread and runs it there. `make` is handed the [`LifeGuard`]
    /// that the actor keeps as a field; `on_end` hears when that is dropped, also when `make` panics
    /// or the arbiter has stopped already.
    pub fn start<K: Clone + Send + 'static>(
        self,
        arbiter: &ArbiterHandle,
        key: K,
        incarnation: u64,
        on_end: impl FnOnce(Ended<K>) + Send + 'static,
        make: impl FnOnce(LifeGuard<K>) -> A + Send + 'static,
    ) {
        let Self { receiver, room } = self;
        let life = LifeGuard::new(key, incarnation, room, on_end);
        arbiter.spawn_fn(move || {
            let context = Context::with_receiver(receiver);
            let actor = make(life);
            #[expect(
                clippy::disallowed_methods,
                reason = "the one place where an actor begins to run; its life guard tells of its end"
            )]
            actix_rt::spawn(context.into_future(actor));
        });
    }
}

/// The places of a mailbox.
pub(super) struct Room {
    capacity: u32,
    places: Arc<Semaphore>,
    // Held from taking every place until closing, so that nobody reads "full" out of it.
    retiring: Mutex<()>,
}

impl Room {
    fn new(capacity: u32) -> Self {
        let capacity = capacity.max(1);
        Self { capacity, places: Arc::new(Semaphore::new(capacity as usize)), retiring: Mutex::new(()) }
    }

    fn try_take(&self) -> Result<Permit, TryAcquireError> {
        Arc::clone(&self.places)
            .try_acquire_owned()
            .or_else(|error| match error {
                TryAcquireError::NoPermits => {
                    let _retired = self.retiring.lock().unwrap_or_else(PoisonError::into_inner);
                    Arc::clone(&self.places).try_acquire_owned()
                }
                TryAcquireError::Closed => Err(error),
            })
            .map(|place| Permit { _place: place })
    }

    async fn take(&self) -> Option<Permit> {
        let place = Arc::clone(&self.places).acquire_owned().await.ok()?;
        Some(Permit { _place: place })
    }

    fn is_closed(&self) -> bool {
        self.places.is_closed()
    }

    fn occupied(&self) -> u32 {
        let free = u32::try_from(self.places.available_permits()).unwrap_or(self.capacity);
        self.capacity.saturating_sub(free)
    }

    pub(super) fn close(&self) {
        self.places.close();
    }

    /// Closes if no place is taken, and says whether it is closed now.
    pub(super) fn close_if_idle(&self) -> bool {
        let _retiring = self.retiring.lock().unwrap_or_else(PoisonError::into_inner);
        match self.places.try_acquire_many(self.capacity) {
            Ok(_every_place) => {
                self.places.close();
                true
            }
            Err(TryAcquireError::Closed) => true,
            Err(TryAcquireError::NoPermits) => false,
        }
    }
}
