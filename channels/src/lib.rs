//! Meta's channels: verify, parse, send, classify errors.
//!
//! [`signature::verify`] proves that Meta sent a webhook, [`parse()`] turns it into the domain's
//! events, a [`Sender`] hands messages over, and [`errors`] says what Meta's codes mean. What the
//! products share is here; each has a module of its own.

pub mod errors;
mod graph;
mod json;
mod moment;
mod page;
pub mod parse;
mod pieces;
pub mod send;
pub mod signature;
pub mod verification;
mod whatsapp;

pub use graph::GraphSender;
pub use parse::{Parsed, parse};
pub use pieces::{TEXT_CHARS_MAX, pieces};
pub use send::{SendError, Sender, Sent};
