//! The actors: every tenant and every conversation is one, with its own mailbox and its own limits.
//!
//! The way of a message: [`ingress`] takes it into the durable inbox and rings; the [`tenant`] admits
//! it; the [`conversation`] applies it and commits; a [`turn`] generates the answer; the
//! [`dispatcher`] hands it to the channel and settles; the [`hub`] publishes what happened, and [`hooks`] tells receivers outside. The
//! mailbox is a doorbell, the inbox is the letterbox: losing every actor loses nothing.

mod assistants;
pub mod checks;
pub mod conversation;
mod deeds;
pub mod disclosing;
mod dispatcher;
pub mod doorbell;
mod effort;
pub mod engine;
pub mod hooks;
pub mod hub;
pub mod ingress;
pub mod kernel;
pub mod knowledge;
mod media;
mod money;
mod phrasing;
mod reading;
pub mod recovery;
pub mod rehearsal;
pub mod restoring;
pub mod settings;
mod shelf;
pub mod stage;
mod summary;
pub mod tenant;
pub mod turn;
pub mod watch;
mod whispers;

pub use engine::Engine;
pub use settings::{EngineParts, EngineSettings};
