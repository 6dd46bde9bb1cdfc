//! Outgoing webhooks, as [Standard Webhooks](https://www.standardwebhooks.com) has them: how one is
//! signed, sent and answered. Which are sent, and when, is decided elsewhere.

mod call;
mod signature;

pub use call::{HookCall, HookCaller, HookProblem, HttpHooks, NoHooks};
pub use signature::{BadSecret, ID, SIGNATURE, TIMESTAMP, new_secret, sign};
