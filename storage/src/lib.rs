//! What is kept: semantic stores over two backends, `memory` (the oracle) and `sled` (the default).
//!
//! A [`Store`] holds what belongs to no tenant and opens a [`TenantStore`] for a
//! [`TenantCtx`](iassistance_domain::tenant::TenantCtx); nothing of a tenant can be reached another
//! way. Every command is durable when it returns. The files of messages are too large for the backends: a
//! [`ContentStore`] keeps them in a folder or a bucket.

pub mod backup;
pub mod chain;
pub mod commit;
pub mod content;
pub mod error;
pub mod findings;
pub mod hooks;
pub mod keeping;
pub mod leaving;
mod limits;
pub mod memory;
pub mod people;
pub mod rights;
mod rules;
pub mod sled;
pub mod store;
pub mod trail;

pub use commit::{Accepted, ConversationCommit, InboxEntry, Letter, SendReport, SummaryChange, TurnCommit};
pub use content::{ContentError, ContentOwner, ContentStore};
pub use error::{OpenProblem, StorageError};
pub use findings::{Examination, Finding, Findings, Outcome, Problem, Progress, SetAside};
pub use hooks::Hooks;
pub use keeping::Keeping;
pub use leaving::Leaving;
pub use limits::Limits;
pub use memory::MemoryStore;
pub use people::{People, Revocation};
pub use rights::Rights;
pub use sled::{SledOptions, SledStore};
pub use store::{Dispatch, Store, TenantStore};
pub use trail::Trail;
