//! The actor kernel: what every actor of ours stands on, over actix.
//!
//! actix gives single-threaded actors and cheap addresses. Three things it does not give, and this
//! module does:
//!
//! * **A mailbox with an exact bound.** An actix address adds a slot with every clone, and some of
//!   its ways of sending ignore the bound. A [`Mailbox`] gives out a [`Permit`] with every message,
//!   which is kept until the message has been handled: of capacity N, at most N messages wait or are
//!   being handled, however many clones there are.
//! * **News of a panic.** An actor whose handler panics is gone without a word; nothing restarts it.
//!   A [`LifeGuard`] held as a field of the actor shuts the mailbox and tells the parent, and a
//!   [`Guardian`] decides: restart after a backoff, or quarantine.
//! * **Actors by key.** A [`Registry`] activates an actor when it is first spoken to, exactly once
//!   under races, and forgets it when it ends.
//!
//! # An actor
//!
//! ```
//! use actix::{Actor, ActorContext, AtomicResponse, Context, Handler, Message, WrapFuture};
//! use iassistance_actors::kernel::{LifeGuard, Permitted};
//!
//! struct Conversation {
//!     life: LifeGuard<u64>,
//! }
//!
//! impl Actor for Conversation {
//!     type Context = Context<Self>;
//! }
//!
//! #[derive(Message)]
//! #[rtype(result = "()")]
//! struct Wake;
//!
//! // Work that waits for something: the actor takes no other message until it is done, and the
//! // permit goes with the future.
//! impl Handler<Permitted<Wake>> for Conversation {
//!     type Result = AtomicResponse<Self, ()>;
//!
//!     fn handle(&mut self, Permitted { message: Wake, permit }: Permitted<Wake>, _: &mut Self::Context) -> Self::Result {
//!         permit.exclusively(async { /* read the inbox, apply, commit */ }.into_actor(self))
//!     }
//! }
//!
//! #[derive(Message)]
//! #[rtype(result = "()")]
//! struct Rest;
//!
//! // A timer's message to oneself holds no permit, so it comes as it is. `retire` shuts the mailbox
//! // only if no message is in it; the stop in the same handler leaves no moment with two writers.
//! impl Handler<Rest> for Conversation {
//!     type Result = ();
//!
//!     fn handle(&mut self, _: Rest, context: &mut Self::Context) {
//!         if self.life.retire() {
//!             context.stop();
//!         }
//!     }
//! }
//! ```
//!
//! # What an actor must keep to
//!
//! * It holds its [`LifeGuard`] as a field for as long as it lives.
//! * It waits inside a handler with [`Permit::exclusively`] or [`Permit::alongside`], never with a bare
//!   `ResponseFuture`: actix runs that one outside the actor, where a panic ends the answer and
//!   nobody is told.
//! * Its `stopping` and `stopped` do not panic: after a panic of a handler they are run during the
//!   unwinding, and a second panic there ends the process.

mod arbiters;
mod background;
mod clock;
mod guardian;
mod life;
mod limiter;
mod mailbox;
pub mod panics;
mod registry;
mod spawn;
#[cfg(test)]
mod tests;

pub use arbiters::{Arbiters, ArbitersError};
pub use background::Background;
pub use clock::SystemClock;
pub use guardian::{Guardian, RestartPolicy, Standing, Verdict};
pub use life::{Ended, LifeGuard};
pub use limiter::{DirectLimiter, GovernorClock, Limited, Limiter, Rate, RateError};
pub use mailbox::{AskError, Mailbox, Permit, Permitted, Refused, Unstarted};
pub use registry::{Passivated, Registry, RegistryFull, RegistryLimits};
pub use spawn::{Outcome, StillRunning, TaskHandle, Tasks};
