//! Requests to delete what is stored about somebody, as Meta passes them on.
//!
//! Meta: "Data Deletion Request Callback": the person is named by an app-scoped id, which is that of
//! somebody who signed in to the Meta app: mostly the one who connected a channel.

use serde::{Deserialize, Serialize};

use crate::Mapped;
use crate::Timestamp;
use crate::id::{DeletionId, MetaAppId};

/// A request to delete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[data(purpose = "rights", basis = "obligation", keep = "proof")]
pub struct Deletion {
    /// Its identifier, and the code by which its progress is looked up.
    #[data(id)]
    pub id: DeletionId,
    /// The app through which it came.
    #[data(id)]
    pub meta_app: MetaAppId,
    /// When it came.
    #[data(operational)]
    pub requested_at: Timestamp,
    /// How far it is.
    #[data(parts)]
    pub state: DeletionState,
}

/// How far a deletion is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[data(part)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum DeletionState {
    /// It is under way.
    Begun,
    /// What there was is deleted.
    Done {
        /// When.
        #[data(operational)]
        at: Timestamp,
        /// How many channels were connected with that person's sign-in; their tokens are gone.
        #[data(operational)]
        channels: u32,
    },
}
