//! Rights cases as REST shows them, and what it takes for them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use iassistance_domain::id::{CaseId, ContactId, ConversationId, ErasureId};
use iassistance_domain::pii::TenantView;
use iassistance_domain::privacy::rights::{
    CaseState, CaseStep, Challenge, Consent, ConsentKind, ContactVersion, Mark, Opened, Proof, RefusalGround,
    RightKind, RightsCase, Told,
};
use iassistance_domain::{Pii, Timestamp};

use crate::http::Problem;
use crate::rights::{Act, RightsError};

/// A code that was sent, without what it is.
#[derive(Serialize, ToSchema)]
#[schema(as = RightsCode)]
pub struct CodeView {
    /// When it was made.
    #[schema(value_type = i64)]
    made_at: Timestamp,
    /// Until when it counts.
    #[schema(value_type = i64)]
    expires_at: Timestamp,
    /// How many tries are left.
    tries_left: u8,
    /// Why it could not be sent, if so: the person writes first, or a document is checked.
    not_sent: Option<String>,
}

impl From<Challenge> for CodeView {
    fn from(it: Challenge) -> Self {
        Self {
            made_at: it.made_at,
            expires_at: it.expires_at,
            tries_left: it.tries_left,
            not_sent: it.not_sent,
        }
    }
}

/// What somebody asked about their own data.
#[derive(Serialize, ToSchema)]
#[schema(as = RightsCase)]
pub struct CaseView {
    /// Its id.
    #[schema(value_type = String, example = "cas_0199a8a2c4007b3e8f5d6c1b2a390817")]
    id: CaseId,
    /// What was asked.
    right: RightKind,
    /// About whom.
    #[schema(value_type = String)]
    contact: ContactId,
    /// Their conversation.
    #[schema(value_type = String)]
    conversation: ConversationId,
    /// How it came about.
    opened: Opened,
    /// When: the law's time runs from here.
    #[schema(value_type = i64)]
    received_at: Timestamp,
    /// When it was proven who asks.
    #[schema(value_type = Option<i64>)]
    verified_at: Option<Timestamp>,
    /// How.
    proof: Option<Proof>,
    /// The code that was sent last.
    code: Option<CodeView>,
    /// Until when it must be answered.
    #[schema(value_type = i64)]
    due_at: Timestamp,
    /// By which law.
    law: String,
    /// Whether that has passed.
    overdue: bool,
    /// How far it is: `received`, `verified`, `answered`, `refused`, `withdrawn` or `lapsed`.
    #[schema(example = "verified")]
    state: String,
    /// When it ended.
    #[schema(value_type = Option<i64>)]
    ended_at: Option<Timestamp>,
    /// Why it is not done, if so.
    ground: Option<RefusalGround>,
    /// What the person was told.
    text: Option<String>,
    /// Whether the same was answered to them not long ago.
    repeated: bool,
    /// The erasure that it led to.
    #[schema(value_type = Option<String>)]
    erasure: Option<ErasureId>,
    /// Who is to be told of what was done, and was.
    told: Vec<Told>,
    /// What was done, oldest first.
    steps: Vec<CaseStep>,
}

impl CaseView {
    /// As it is at a moment.
    pub fn of(case: RightsCase, now: Timestamp) -> Self {
        let overdue = case.state.is_open() && now > case.due_at;
        let state = case.state.name().to_owned();
        let (ended_at, ground, text) = match case.state {
            CaseState::Received | CaseState::Verified => (None, None, None),
            CaseState::Answered { at, text } => (Some(at), None, text),
            CaseState::Refused { at, ground, text } => (Some(at), Some(ground), Some(text)),
            CaseState::Withdrawn { at } | CaseState::Lapsed { at } => (Some(at), None, None),
        };
        Self {
            id: case.id,
            right: case.kind,
            contact: case.contact,
            conversation: case.conversation,
            opened: case.opened,
            received_at: case.received_at,
            verified_at: case.verified_at,
            proof: case.proof,
            code: case.challenge.map(CodeView::from),
            due_at: case.due_at,
            law: case.law,
            overdue,
            state,
            ended_at,
            ground,
            text: text.map(|text| text.into_inner(TenantView)),
            repeated: case.repeated,
            erasure: case.erasure,
            told: case.told,
            steps: case.steps,
        }
    }

    /// Without what people were told: for who sees that something was, and not what.
    #[must_use]
    pub fn without_words(self) -> Self {
        Self { text: None, ..self }
    }
}

/// How a case comes about.
#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = CaseOpening)]
pub enum How {
    /// The person asked.
    Staff,
    /// Nobody asked: an error was noticed. The law's time runs from now on.
    Noticed,
}

/// A case to be opened.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewCase {
    /// About whom.
    #[schema(value_type = String, example = "con_0199a8a2c4007b3e8f5d6c1b2a390817")]
    pub contact: ContactId,
    /// What is asked.
    pub right: RightKind,
    /// How it came about.
    pub how: How,
}

/// What is to be done with a case.
#[derive(Deserialize, ToSchema)]
#[serde(tag = "step", rename_all = "snake_case", deny_unknown_fields)]
#[schema(example = json!({ "step": "correct", "fields": { "profile_name": "Ada Lovelace", "city": null } }))]
pub enum NewStep {
    /// Send a code to the person, on the channel on which they write. Its window counts.
    SendCode {},
    /// A document was seen that proves who they are. Only that is kept.
    SeeDocument {
        /// What kind of document; 1 to 300 characters, no number.
        kind: String,
    },
    /// Correct what is known of them: fields by name, `profile_name` or the name of a note; `null` takes it away.
    Correct {
        /// The fields.
        #[schema(value_type = Object)]
        fields: BTreeMap<String, Option<String>>,
    },
    /// How the record is kept while it is in dispute.
    Dispute {
        /// Shown with that said of it, or not at all.
        mark: Mark,
    },
    /// Keep what is known of them from all but who exports it, or no longer.
    Restrict {
        /// Whether it is so.
        confidential: bool,
    },
    /// No machine answers them any more, or one may again.
    RefuseAssistant {
        /// Whether they refuse.
        refused: bool,
    },
    /// Erase all that there is of them, but for what a legal hold keeps.
    Erase {},
    /// It is done.
    Answer {
        /// What they are told; 1 to 4,000 characters.
        text: Option<String>,
    },
    /// It is not done.
    Refuse {
        /// Why.
        ground: RefusalGround,
        /// What they are told; 1 to 4,000 characters.
        text: String,
    },
    /// They took it back.
    Withdraw {},
    /// It takes longer, where the laws in force let it.
    Extend {},
    /// A recipient was told by hand.
    Told {
        /// Who, as the case names them.
        recipient: String,
        /// How, and when: what proves it; 1 to 300 characters.
        proof: String,
    },
}

impl From<NewStep> for Act {
    fn from(step: NewStep) -> Self {
        match step {
            NewStep::SendCode {} => Self::SendCode,
            NewStep::SeeDocument { kind } => Self::SeeDocument(kind),
            NewStep::Correct { fields } => {
                Self::Correct(fields.into_iter().map(|(name, value)| (name, value.map(Pii::new))).collect())
            }
            NewStep::Dispute { mark } => Self::Dispute(mark),
            NewStep::Restrict { confidential } => Self::Restrict(confidential),
            NewStep::RefuseAssistant { refused } => Self::RefuseAssistant(refused),
            NewStep::Erase {} => Self::Erase,
            NewStep::Answer { text } => Self::Answer(text.map(Pii::new)),
            NewStep::Refuse { ground, text } => Self::Refuse(ground, Pii::new(text)),
            NewStep::Withdraw {} => Self::Withdraw,
            NewStep::Extend {} => Self::Extend,
            NewStep::Told { recipient, proof } => Self::Told(recipient, proof),
        }
    }
}

/// What somebody agreed to or refused.
#[derive(Serialize, ToSchema)]
#[schema(as = Consent)]
pub struct ConsentView {
    /// When.
    #[schema(value_type = i64)]
    at: Timestamp,
    /// What.
    kind: ConsentKind,
    /// The place in the log of the event that told of it.
    seq: u64,
}

impl From<Consent> for ConsentView {
    fn from(consent: Consent) -> Self {
        Self { at: consent.at, kind: consent.kind, seq: consent.seq }
    }
}

/// A field of a contact, as it was and as it is since it was corrected.
#[derive(Serialize, ToSchema)]
#[schema(as = Correction)]
pub struct CorrectionView {
    /// Which correction of this contact, from 1.
    version: u64,
    /// When.
    #[schema(value_type = i64)]
    at: Timestamp,
    /// For which case.
    #[schema(value_type = Option<String>)]
    case: Option<CaseId>,
    /// Which field.
    field: String,
    /// What it said.
    before: Option<String>,
    /// What it says.
    after: Option<String>,
}

impl From<ContactVersion> for CorrectionView {
    fn from(it: ContactVersion) -> Self {
        Self {
            version: it.version,
            at: it.at,
            case: it.case,
            field: it.field,
            before: it.before.map(|text| text.into_inner(TenantView)),
            after: it.after.map(|text| text.into_inner(TenantView)),
        }
    }
}

impl From<RightsError> for Problem {
    fn from(error: RightsError) -> Self {
        match error {
            RightsError::Storage(error) => error.into(),
            RightsError::NoSuchCase => Self::not_found(),
            RightsError::NotSent(error) => error.into(),
            RightsError::Case(_)
            | RightsError::Codes
            | RightsError::NoExtension
            | RightsError::NoSuchContact
            | RightsError::NoSuchRecipient(_) => Self::conflict(error.to_string()),
            RightsError::Amendment(_) | RightsError::Note { .. } => Self::invalid(error.to_string()),
            RightsError::Offline => Self::unavailable(30, error.to_string()),
            RightsError::Content(error) => error.into(),
            RightsError::Keeping(error) => error.into(),
            RightsError::Write(error) => {
                tracing::error!(error, "what is held about somebody could not be written");
                Self::internal()
            }
        }
    }
}
