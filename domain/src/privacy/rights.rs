//! What people may ask about their own data, and a case of it: who asked, how that was proven, when it is due,
//! what was done. [`RightsCase::take`] decides; it knows no storage and no network.

mod proof;
mod standing;

use serde::{Deserialize, Serialize};

pub use proof::{Challenge, Intake, Proof, Proven, Tried};
pub use standing::{
    Amendment, AmendmentProblem, Consent, ConsentKind, ContactVersion, FIELD_NAME_CHARS_MAX, Mark,
    NAME_FIELD, Standing, VALUE_CHARS_MAX,
};

use crate::Mapped;
use crate::audit::Actor;
use crate::id::{CaseId, ContactId, ConversationId, ErasureId, IntakeId};
use crate::{Pii, Timestamp};

/// Characters of what a person is told: an answer, a refusal.
pub const TEXT_CHARS_MAX: usize = 4_000;
/// Characters of a note: which document was seen, how a recipient was told.
pub const NOTE_CHARS_MAX: usize = 300;
/// Steps that a case keeps.
pub const STEPS_MAX: usize = 200;
/// Shares of the time at which somebody is told that it passes, per cent.
pub const ALERTS: [u8; 3] = [50, 80, 100];

/// What a person may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Mapped)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum RightKind {
    /// To get all that is held about them.
    Access,
    /// That what is wrong be corrected.
    Rectify,
    /// That what is out of date be brought up to date.
    Update,
    /// That it be erased.
    Delete,
    /// That it be kept from all but a few.
    Confidential,
    /// That it not be used for what is but a legitimate interest: here, that no machine answers them.
    Object,
}

impl RightKind {
    /// All there are.
    pub const ALL: [Self; 6] =
        [Self::Access, Self::Rectify, Self::Update, Self::Delete, Self::Confidential, Self::Object];

    /// Its name, as in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Access => "access",
            Self::Rectify => "rectify",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Confidential => "confidential",
            Self::Object => "object",
        }
    }

    /// The one of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Whether the law obliges to act on it without being asked, once the error is noticed.
    pub const fn may_be_noticed(self) -> bool {
        !matches!(self, Self::Access | Self::Object)
    }

    /// Whether what is stored is in dispute until it is decided (art. 16.6).
    pub const fn disputes(self) -> bool {
        matches!(self, Self::Rectify | Self::Update | Self::Delete)
    }
}

/// How a case came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[data(part)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(as = CaseOpened))]
#[serde(tag = "how", rename_all = "snake_case")]
pub enum Opened {
    /// The person asked on the public page.
    Page {
        /// By this request.
        #[cfg_attr(feature = "schema", schema(value_type = String))]
        #[data(id)]
        intake: IntakeId,
    },
    /// The person asked the client, whose people took it down.
    Staff {
        /// Who.
        #[cfg_attr(feature = "schema", schema(value_type = Object))]
        #[data(parts)]
        by: Actor,
    },
    /// Nobody asked: the error was noticed, which starts the clock too.
    Noticed {
        /// By whom.
        #[cfg_attr(feature = "schema", schema(value_type = Object))]
        #[data(parts)]
        by: Actor,
    },
}

/// Why something that was asked is not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum RefusalGround {
    /// It was not proven who asks.
    Identity,
    /// A law demands that it be kept.
    DutyToKeep,
    /// It would harm the rights of others.
    OthersRights,
    /// What is stored is right.
    NotWrong,
    /// Nothing is held.
    NothingHeld,
    /// What it is used for is needed for the service that was agreed, not a mere interest.
    NeededForService,
}

/// How far a case is.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[data(part)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum CaseState {
    /// It came in; who asks is not proven.
    Received,
    /// Who asks is proven, or nobody has to prove anything: it is to be done.
    Verified,
    /// It was done, and the person told.
    Answered {
        /// When.
        #[data(operational)]
        at: Timestamp,
        /// What they were told.
        #[data(content)]
        text: Option<Pii<String>>,
    },
    /// It is not done.
    Refused {
        /// When that was decided.
        #[data(operational)]
        at: Timestamp,
        /// Why.
        #[data(operational)]
        ground: RefusalGround,
        /// What the person was told.
        #[data(content)]
        text: Pii<String>,
    },
    /// They took it back.
    Withdrawn {
        /// When.
        #[data(operational)]
        at: Timestamp,
    },
    /// Nobody proved anything for so long that it lapsed.
    Lapsed {
        /// When.
        #[data(operational)]
        at: Timestamp,
    },
}

impl CaseState {
    /// Its name, as in JSON.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::Verified => "verified",
            Self::Answered { .. } => "answered",
            Self::Refused { .. } => "refused",
            Self::Withdrawn { .. } => "withdrawn",
            Self::Lapsed { .. } => "lapsed",
        }
    }

    /// Whether it is not over.
    pub const fn is_open(&self) -> bool {
        matches!(self, Self::Received | Self::Verified)
    }
}

/// Who got what was corrected or erased since, and that they were told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[data(part)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(as = RecipientTold))]
pub struct Told {
    /// Who: `meta`, `model` and its host, `webhook hok_…`.
    #[data(operational)]
    pub recipient: String,
    /// Until when they are to be told.
    #[cfg_attr(feature = "schema", schema(value_type = i64))]
    #[data(operational)]
    pub due_at: Timestamp,
    /// When they were.
    #[cfg_attr(feature = "schema", schema(value_type = Option<i64>))]
    #[serde(default)]
    #[data(operational)]
    pub told_at: Option<Timestamp>,
    /// What proves it: the event that was delivered, or a note of who told them.
    #[serde(default)]
    #[data(operational)]
    pub proof: Option<String>,
}

/// A step of a case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[data(part)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct CaseStep {
    /// When.
    #[cfg_attr(feature = "schema", schema(value_type = i64))]
    #[data(operational)]
    pub at: Timestamp,
    /// Who.
    #[cfg_attr(feature = "schema", schema(value_type = Object))]
    #[data(parts)]
    pub by: Actor,
    /// What: a code that stays (`opened`, `code_sent`, `verified`, …).
    #[data(operational)]
    pub what: String,
}

/// What somebody asked about their own data.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[data(purpose = "rights", basis = "obligation", keep = "proof")]
pub struct RightsCase {
    /// Its identifier.
    #[data(id)]
    pub id: CaseId,
    /// Counts its changes, so that none undoes another.
    #[data(operational)]
    pub revision: u64,
    /// What.
    #[data(operational)]
    pub kind: RightKind,
    /// About whom.
    #[data(id)]
    pub contact: ContactId,
    /// Their conversation.
    #[data(id)]
    pub conversation: ConversationId,
    /// How it came about.
    #[data(parts)]
    pub opened: Opened,
    /// When: the law's clock runs from here.
    #[data(operational)]
    pub received_at: Timestamp,
    /// When it was proven who asks.
    #[data(operational)]
    pub verified_at: Option<Timestamp>,
    /// How.
    #[data(parts)]
    pub proof: Option<Proof>,
    /// The code that was sent last.
    #[data(parts)]
    pub challenge: Option<Challenge>,
    /// Until when it must be answered.
    #[data(operational)]
    pub due_at: Timestamp,
    /// By which profile of law.
    #[data(operational)]
    pub law: String,
    /// How far it is.
    #[data(parts)]
    pub state: CaseState,
    /// Whether the same was answered within the law's interval: that is told, and no reason to refuse by itself.
    #[serde(default)]
    #[data(operational)]
    pub repeated: bool,
    /// The erasure that it led to.
    #[serde(default)]
    #[data(id)]
    pub erasure: Option<ErasureId>,
    /// Who is to be told of what was done.
    #[serde(default)]
    #[data(parts)]
    pub told: Vec<Told>,
    /// The last alert that was given, per cent of the time.
    #[serde(default)]
    #[data(operational)]
    pub alerted: u8,
    /// What was done, oldest first.
    #[data(parts)]
    pub steps: Vec<CaseStep>,
}

/// What may be done with a case.
#[derive(Clone, PartialEq, Eq)]
pub enum CaseAct {
    /// It is proven who asks.
    Verify(Proof),
    /// A code is sent.
    Challenge(Challenge),
    /// What is stored was amended.
    Amend,
    /// Whose data it is was erased.
    Erase(ErasureId),
    /// It was done, and the person is told this.
    Answer(Option<Pii<String>>),
    /// It is not done, and the person is told why.
    Refuse(RefusalGround, Pii<String>),
    /// They took it back.
    Withdraw,
    /// Nobody proved anything.
    Lapse,
    /// It is due later.
    Extend(Timestamp),
}

/// Why something is not done with a case.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CaseProblem {
    /// It is over.
    #[error("the case is over: it was {0}")]
    Over(&'static str),
    /// It is not proven who asks.
    #[error("it is not proven who asks: send a code, or check a document, first")]
    NotVerified,
    /// It was proven before.
    #[error("it was proven before who asks")]
    VerifiedBefore,
    /// Nobody asked, so nobody proves anything.
    #[error("nobody asked: the error was noticed, and nobody has to prove anything")]
    NobodyAsked,
    /// That is not what was asked.
    #[error("the case is about `{0}`, which this does not answer")]
    OtherKind(&'static str),
    /// It is not done before it is answered.
    #[error("what was asked is not done yet: do it, or refuse it with a ground")]
    NotDone,
    /// It says nothing, or too much.
    #[error("tell the person why, in 1 to {TEXT_CHARS_MAX} characters")]
    Text,
    /// It cannot be noticed.
    #[error("only what is wrong, out of date or not to be held is noticed: a person asks for the rest")]
    NotNoticed,
}

impl RightsCase {
    /// Whether it may be done.
    pub const fn is_verified(&self) -> bool {
        self.verified_at.is_some() || matches!(self.opened, Opened::Noticed { .. })
    }

    /// Whether a code was sent that may come back at this moment.
    pub fn awaits_code(&self, now: Timestamp) -> bool {
        let may_come = |code: &Challenge| code.not_sent.is_none() && code.is_open(now);
        self.state.is_open() && !self.is_verified() && self.challenge.as_ref().is_some_and(may_come)
    }

    /// Whether what is stored is in dispute by it: proven, and not decided.
    pub const fn disputes(&self) -> bool {
        self.kind.disputes() && matches!(self.state, CaseState::Verified)
    }

    /// Does something with it: all of it, or nothing.
    ///
    /// # Errors
    /// [`CaseProblem`]
    pub fn take(&mut self, act: CaseAct, by: Actor, now: Timestamp) -> Result<(), CaseProblem> {
        if !self.state.is_open() {
            return Err(CaseProblem::Over(self.state.name()));
        }
        let noticed = matches!(self.opened, Opened::Noticed { .. });
        let what = match act {
            CaseAct::Verify(_) | CaseAct::Challenge(_) if noticed => return Err(CaseProblem::NobodyAsked),
            CaseAct::Verify(_) | CaseAct::Challenge(_) if self.verified_at.is_some() => {
                return Err(CaseProblem::VerifiedBefore);
            }
            CaseAct::Verify(proof) => {
                (self.verified_at, self.proof, self.challenge) = (Some(now), Some(proof), None);
                self.state = CaseState::Verified;
                "verified"
            }
            CaseAct::Challenge(challenge) => {
                self.challenge = Some(challenge);
                "code_made"
            }
            CaseAct::Amend | CaseAct::Erase(_) | CaseAct::Answer(_) if !self.is_verified() => {
                return Err(CaseProblem::NotVerified);
            }
            CaseAct::Amend => match self.kind {
                RightKind::Access | RightKind::Delete => {
                    return Err(CaseProblem::OtherKind(self.kind.name()));
                }
                _ => "amended",
            },
            CaseAct::Erase(erasure) if self.kind == RightKind::Delete => {
                self.erasure = Some(erasure);
                "erased"
            }
            CaseAct::Erase(_) => return Err(CaseProblem::OtherKind(self.kind.name())),
            CaseAct::Answer(text) => {
                if !self.is_done() {
                    return Err(CaseProblem::NotDone);
                }
                check_text(text.as_ref(), true)?;
                self.state = CaseState::Answered { at: now, text };
                "answered"
            }
            CaseAct::Refuse(ground, text) => {
                check_text(Some(&text), false)?;
                self.state = CaseState::Refused { at: now, ground, text };
                "refused"
            }
            CaseAct::Withdraw => {
                self.state = CaseState::Withdrawn { at: now };
                "withdrawn"
            }
            CaseAct::Lapse => {
                self.state = CaseState::Lapsed { at: now };
                "lapsed"
            }
            CaseAct::Extend(until) => {
                self.due_at = self.due_at.max(until);
                "extended"
            }
        };
        if !self.state.is_open() {
            self.challenge = None;
        }
        self.note(by, what, now);
        Ok(())
    }

    /// Writes a step down. The oldest but the first go where there are too many.
    pub fn note(&mut self, by: Actor, what: &str, now: Timestamp) {
        if self.steps.len() >= STEPS_MAX {
            self.steps.remove(1);
        }
        self.steps.push(CaseStep { at: now, by, what: what.to_owned() });
    }

    /// Whether what was asked was done: access is done by answering.
    fn is_done(&self) -> bool {
        match self.kind {
            RightKind::Access => true,
            RightKind::Delete => self.erasure.is_some(),
            _ => self.steps.iter().any(|step| step.what == "amended"),
        }
    }

    /// The alert that is to be given now, if one is.
    pub fn alert(&self, now: Timestamp) -> Option<u8> {
        if !self.state.is_open() {
            return None;
        }
        let whole = self.due_at.millis_since(self.received_at).max(1);
        let passed = now.millis_since(self.received_at);
        let reached = |percent: &u8| u128::from(passed) * 100 >= u128::from(whole) * u128::from(*percent);
        ALERTS.into_iter().filter(reached).max().filter(|percent| *percent > self.alerted)
    }

    /// Recipients who were not told and should be.
    pub fn untold(&self) -> impl Iterator<Item = &Told> {
        self.told.iter().filter(|told| told.told_at.is_none())
    }
}

fn check_text(text: Option<&Pii<String>>, may_be_none: bool) -> Result<(), CaseProblem> {
    let Some(text) = text else { return if may_be_none { Ok(()) } else { Err(CaseProblem::Text) } };
    let text = text.reveal(crate::pii::Rights);
    let fits = !text.trim().is_empty() && text.chars().nth(TEXT_CHARS_MAX).is_none();
    if fits { Ok(()) } else { Err(CaseProblem::Text) }
}

#[cfg(test)]
#[path = "rights_tests.rs"]
mod tests;
