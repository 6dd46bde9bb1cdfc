//! How what is known of a contact stands: corrected, in dispute, confidential, not for the assistant; and what they
//! agreed to or refused.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::Mapped;
use crate::audit::Actor;
use crate::contact::Contact;
use crate::id::{CaseId, ContactId};
use crate::{Pii, Timestamp};

/// What a contact's own name is called among the fields that can be corrected. Every other name is that of a note.
pub const NAME_FIELD: &str = "profile_name";
/// Characters of a field's name.
pub const FIELD_NAME_CHARS_MAX: usize = 80;
/// Characters of a field's value.
pub const VALUE_CHARS_MAX: usize = 1_000;
/// Fields that are amended at once.
const FIELDS_MAX: usize = 20;
/// Notes that a contact may have, whoever writes them.
const NOTES_MAX: usize = 50;

/// How a record that is in dispute is kept (Ley 25.326, art. 16.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Mark {
    /// It is shown and used, with this said of it wherever it is shown.
    UnderReview,
    /// It is neither shown nor used until it is decided.
    Blocked,
}

/// How what is known of a contact stands.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, Mapped)]
#[data(part)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Standing {
    /// That it is in dispute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[data(operational)]
    pub mark: Option<Mark>,
    /// That it is for administrators alone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[data(operational)]
    pub confidential: bool,
    /// That they refuse to be answered by a machine.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[data(operational)]
    pub objected: bool,
    /// Names of what they had corrected: nothing else changes it any more.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    #[data(operational)]
    pub corrected: BTreeSet<String>,
}

impl Standing {
    /// Whether nothing is said of it.
    pub fn is_plain(&self) -> bool {
        *self == Self::default()
    }

    /// Whether they had this corrected: nothing else changes it then.
    pub fn is_corrected(&self, field: &str) -> bool {
        self.corrected.contains(field)
    }

    /// What is known of somebody who proved to be the same person is as strictly kept.
    pub fn join(&mut self, other: &Self) {
        let strictness =
            |mark: Option<Mark>| mark.map_or(0, |mark| if mark == Mark::Blocked { 2 } else { 1 });
        if strictness(other.mark) > strictness(self.mark) {
            self.mark = other.mark;
        }
        self.confidential |= other.confidential;
        self.objected |= other.objected;
        self.corrected.extend(other.corrected.iter().cloned());
    }

    /// Whether the assistant may read what was noted about them.
    pub const fn may_be_used(&self) -> bool {
        !matches!(self.mark, Some(Mark::Blocked)) && !self.confidential
    }
}

/// A change of what is known of a contact.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Amendment {
    /// Fields, by name, with what they say from now on; nothing for what is to go.
    pub fields: Vec<(String, Option<Pii<String>>)>,
    /// The mark, if it changes.
    pub mark: Option<Option<Mark>>,
    /// Whether it is for administrators alone, if that changes.
    pub confidential: Option<bool>,
    /// Whether they refuse a machine, if that changes.
    pub objected: Option<bool>,
}

/// What is wrong with an amendment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AmendmentProblem {
    /// It changes nothing, or too much.
    #[error("name 1 to {FIELDS_MAX} fields")]
    Fields,
    /// A name is none.
    #[error("a field's name has 1 to {FIELD_NAME_CHARS_MAX} characters, all on one line")]
    Name,
    /// A value is none.
    #[error("a field's value has 1 to {VALUE_CHARS_MAX} characters; `null` takes it away")]
    Value,
    /// There would be too many.
    #[error("a contact has at most {NOTES_MAX} notes")]
    Full,
}

/// A field of a contact, as it was before it was corrected and as it is after.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[data(purpose = "rights", basis = "obligation", keep = "contact")]
pub struct ContactVersion {
    /// Which version of this contact it is, from 1.
    #[data(operational)]
    pub version: u64,
    /// When it was corrected.
    #[data(operational)]
    pub at: Timestamp,
    /// By whom.
    #[data(parts)]
    pub by: Actor,
    /// For which case.
    #[data(id)]
    pub case: Option<CaseId>,
    /// Which field.
    #[data(operational)]
    pub field: String,
    /// What it said.
    #[data(identity)]
    pub before: Option<Pii<String>>,
    /// What it says.
    #[data(identity)]
    pub after: Option<Pii<String>>,
}

impl Amendment {
    /// Whether it can be made.
    ///
    /// # Errors
    /// [`AmendmentProblem`]
    pub fn check(&self, contact: &Contact) -> Result<(), AmendmentProblem> {
        if self.fields.len() > FIELDS_MAX {
            return Err(AmendmentProblem::Fields);
        }
        let mut notes: BTreeSet<&str> = contact.attributes.keys().map(String::as_str).collect();
        for (name, value) in &self.fields {
            let fits = (1..=FIELD_NAME_CHARS_MAX).contains(&name.chars().count());
            if !fits || name.chars().any(char::is_control) || name.trim() != name {
                return Err(AmendmentProblem::Name);
            }
            if let Some(value) = value {
                let value = value.reveal(crate::pii::Rights);
                if value.trim().is_empty() || value.chars().nth(VALUE_CHARS_MAX).is_some() {
                    return Err(AmendmentProblem::Value);
                }
                if name != NAME_FIELD {
                    notes.insert(name);
                }
            }
        }
        if notes.len() > NOTES_MAX { Err(AmendmentProblem::Full) } else { Ok(()) }
    }
}

impl Contact {
    /// Changes what is known of them, and says what each corrected field said before. `first` is the number of the
    /// first of these versions.
    pub fn amend(
        &mut self,
        amendment: &Amendment,
        by: Actor,
        case: Option<CaseId>,
        first: u64,
        now: Timestamp,
    ) -> Vec<ContactVersion> {
        let mut versions = Vec::new();
        for (name, after) in &amendment.fields {
            let before = if name == NAME_FIELD {
                std::mem::replace(&mut self.profile_name, after.clone())
            } else {
                match after {
                    Some(value) => self.attributes.insert(name.clone(), value.clone()),
                    None => self.attributes.remove(name),
                }
            };
            self.standing.corrected.insert(name.clone());
            let version = first + versions.len() as u64;
            let (field, after) = (name.clone(), after.clone());
            versions.push(ContactVersion { version, at: now, by, case, field, before, after });
        }
        if let Some(mark) = amendment.mark {
            self.standing.mark = mark;
        }
        self.standing.confidential = amendment.confidential.unwrap_or(self.standing.confidential);
        self.standing.objected = amendment.objected.unwrap_or(self.standing.objected);
        versions
    }
}

/// What somebody agreed to, or refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ConsentKind {
    /// They asked for silence.
    OptedOut,
    /// They asked to be written to.
    OptedIn,
    /// They allow advertising.
    MarketingAllowed,
    /// They refuse it.
    MarketingRefused,
    /// They refuse to be answered by a machine.
    AssistantRefused,
    /// They allow it again.
    AssistantAllowed,
}

/// That somebody agreed to something, or refused it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[data(purpose = "rights", basis = "obligation", keep = "contact")]
pub struct Consent {
    /// Who.
    #[data(id)]
    pub contact: ContactId,
    /// The place in the log of the event that told of it.
    #[data(operational)]
    pub seq: u64,
    /// When.
    #[data(operational)]
    pub at: Timestamp,
    /// What.
    #[data(operational)]
    pub kind: ConsentKind,
}

impl ConsentKind {
    /// What an event says of it, if it says anything.
    pub fn of(event: &crate::event::EventKind) -> Option<Self> {
        use crate::event::EventKind;
        Some(match event {
            EventKind::ContactOptedOut => Self::OptedOut,
            EventKind::ContactActed { what, .. } if what == "optin" => Self::OptedIn,
            EventKind::ContactMarketingChanged { allowed: true } => Self::MarketingAllowed,
            EventKind::ContactMarketingChanged { allowed: false } => Self::MarketingRefused,
            EventKind::AssistantRefused { refused: true } => Self::AssistantRefused,
            EventKind::AssistantRefused { refused: false } => Self::AssistantAllowed,
            _ => return None,
        })
    }
}
