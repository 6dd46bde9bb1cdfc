//! The words and decisions of IAssistance, pure: no runtime, no storage, no network.
//!
//! A conversation decides by [`conversation::Conversation::apply`]; everything else here is the
//! vocabulary that the other rooms share.

extern crate self as iassistance_domain;

pub mod access;
pub mod account;
pub mod agency;
pub mod answer;
pub mod assistant;
pub mod audit;
pub mod break_glass;
pub mod budget;
pub mod channel;
pub mod clock;
pub mod collecting;
pub mod contact;
pub mod content;
pub mod conversation;
pub mod deletion;
pub mod delivery;
pub mod entropy;
pub mod event;
mod fold;
pub mod golden;
pub mod hours;
pub mod id;
pub mod inbound;
pub mod invitation;
pub mod key;
pub mod knowledge;
pub mod mail;
pub mod map;
pub mod message;
pub mod opt_out;
pub mod outbox;
pub mod permission;
pub mod pii;
pub mod privacy;
#[cfg(feature = "schema")]
mod schema;
pub mod session;
pub mod subscription;
pub mod summary;
pub mod tenant;
pub mod tool;
pub mod turn;
pub mod window;

pub use clock::{Clock, ManualClock, Timestamp};
pub use entropy::{Entropy, SeededEntropy};
pub use iassistance_mapping::Mapped;
pub use map::Mapped;
pub use pii::Pii;
