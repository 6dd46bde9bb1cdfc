//! Legal holds: what must be kept although somebody asked that it go, or its period is over.

use serde::{Deserialize, Serialize};

use super::retention::Class;
use crate::Mapped;
use crate::audit::Actor;
use crate::id::{ContactId, HoldId};
use crate::{Pii, Timestamp};

/// Holds that a tenant may have in force.
pub const HOLDS_MAX: usize = 500;
/// Characters of a norm.
pub const NORM_CHARS_MAX: usize = 300;
/// Characters of what names the document.
pub const DOCUMENT_CHARS_MAX: usize = 1_000;

/// What a legal hold covers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, Mapped)]
#[data(part)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct HoldScope {
    /// Whose data; of everybody, if of nobody in particular.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>))]
    #[data(id)]
    pub contact: Option<ContactId>,
    /// Which classes of it; all, if none is named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[data(operational)]
    pub classes: Vec<Class>,
}

/// A duty to keep.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[data(purpose = "rights", basis = "obligation", keep = "proof")]
pub struct LegalHold {
    /// Its identifier.
    #[data(id)]
    pub id: HoldId,
    /// The norm that demands it: `Ley 25.326 art. 16.5`, a court and its file.
    #[data(operational)]
    pub norm: String,
    /// What it covers.
    #[data(parts)]
    pub scope: HoldScope,
    /// What proves it, and where it is kept: the proof that Meta's terms ask for.
    #[data(account)]
    pub document: Pii<String>,
    /// When somebody must look whether it still stands. It stays in force until it is released.
    #[data(operational)]
    pub review_at: Timestamp,
    /// Who laid it.
    #[data(parts)]
    pub made_by: Actor,
    /// When.
    #[data(operational)]
    pub made_at: Timestamp,
    /// That it was released; in force until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[data(parts)]
    pub released: Option<HoldRelease>,
}

/// That a hold ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[data(part)]
pub struct HoldRelease {
    /// When.
    #[data(operational)]
    pub at: Timestamp,
    /// Who released it.
    #[data(parts)]
    pub by: Actor,
}

/// What is wrong with a hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HoldProblem {
    /// It names no norm.
    #[error("name the norm that demands it, in 1 to {NORM_CHARS_MAX} characters")]
    Norm,
    /// It names no document.
    #[error("name the document that proves it and where it is kept, in 1 to {DOCUMENT_CHARS_MAX} characters")]
    Document,
    /// It is to be reviewed before it is made.
    #[error("the date of review must be later than now")]
    Review,
}

impl LegalHold {
    /// Whether it says what it must.
    ///
    /// # Errors
    /// [`HoldProblem`]
    pub fn check(&self, document_chars: usize) -> Result<(), HoldProblem> {
        if self.norm.trim().is_empty() || self.norm.chars().count() > NORM_CHARS_MAX {
            return Err(HoldProblem::Norm);
        }
        if !(1..=DOCUMENT_CHARS_MAX).contains(&document_chars) {
            return Err(HoldProblem::Document);
        }
        if self.review_at <= self.made_at { Err(HoldProblem::Review) } else { Ok(()) }
    }

    /// Whether it keeps data of this class of this contact.
    pub fn covers(&self, contact: ContactId, class: Class) -> bool {
        self.covers_class(class) && self.scope.contact.is_none_or(|held| held == contact)
    }

    /// Whether it keeps data of this class that is of nobody in particular.
    pub fn covers_all(&self, class: Class) -> bool {
        self.covers_class(class) && self.scope.contact.is_none()
    }

    /// Whether it keeps data of this class of anybody.
    pub fn covers_class(&self, class: Class) -> bool {
        self.released.is_none() && (self.scope.classes.is_empty() || self.scope.classes.contains(&class))
    }

    /// Whether somebody should look at it.
    pub fn is_due_for_review(&self, now: Timestamp) -> bool {
        self.released.is_none() && self.review_at <= now
    }
}
