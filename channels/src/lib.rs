//! Meta's channels: verify, parse, send, classify errors.
//!
//! [`signature::verify`] proves that Meta sent a webhook, [`parse()`] turns it into the domain's
//! events, a [`Sender`] hands messages over, and [`errors`] says what Meta's codes mean. What the
//! products share is here; each has a module of its own.

pub mod errors;
mod forms;
mod graph;
mod json;
pub mod limits;
mod moment;
mod page;
pub mod parse;
mod pieces;
mod render;
#[cfg(test)]
mod samples;
pub mod send;
pub mod signature;
pub mod signed_request;
pub mod usage;
pub mod verification;
mod whatsapp;

pub use graph::{GraphSender, GraphSettings};
pub use parse::{Parsed, parse, read};
pub use pieces::pieces;
pub use render::check;
pub use send::{Attempt, MediaShelf, SendError, Sender, Sent};
