//! What a conversation is told, and what it asks for.

use serde::{Deserialize, Serialize};

use super::{Epoch, RunningTurn};
use crate::Mapped;
use crate::Timestamp;
use crate::delivery::{Delivery, DeliveryProblem};
use crate::id::{MessageId, TurnId};
use crate::message::Content;
use crate::outbox::Draft;
use crate::pii::Pii;
use crate::turn::TurnEnd;
use crate::window::{Opening, WindowPolicy};

/// Who answers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, Mapped)]
#[data(part)]
#[serde(tag = "holder", rename_all = "snake_case")]
pub enum Control {
    /// The assistant.
    #[default]
    Assistant,
    /// A person.
    Operator {
        /// Who, as the audit trail names them.
        #[data(operational)]
        name: String,
        /// Since when.
        #[data(operational)]
        since: Timestamp,
    },
    /// Nobody yet: a person was asked for, and the conversation waits for one.
    Waiting {
        /// Since when.
        #[data(operational)]
        since: Timestamp,
        /// Why.
        #[data(operational)]
        reason: HandoverReason,
    },
    /// Another app, by Meta's routing: until it gives the conversation back, only it may write.
    OtherApp {
        /// Since when.
        #[data(operational)]
        since: Timestamp,
    },
}

/// Why a conversation waits for a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum HandoverReason {
    /// The assistant asked for one; the turn's record says why.
    Asked,
    /// No answer could be had.
    Failed,
    /// The money for answers was spent.
    OverBudget,
    /// Moderation objected.
    Objected,
    /// The contact refuses to be answered by a machine.
    Refused,
}

/// When, and about what, the assistant means to come back by itself.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[data(part)]
pub struct FollowUp {
    /// When.
    #[data(operational)]
    pub at: Timestamp,
    /// About what, in its own words.
    #[data(content)]
    pub about: Pii<String>,
}

/// What it is about is personal and is not shown.
impl std::fmt::Debug for FollowUp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FollowUp").field("at", &self.at).finish_non_exhaustive()
    }
}

/// What the tenant's settings and the channel's rules say about answering.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TurnPolicy {
    /// Whether the assistant answers at all.
    pub enabled: bool,
    /// How long the contact must be quiet, milliseconds.
    pub quiet_ms: u64,
    /// The longest that an answer is held back while more comes in, milliseconds.
    pub cap_ms: u64,
    /// The same while files are still fetched or listened to, milliseconds.
    pub media_cap_ms: u64,
    /// After how long a silence of a person the assistant answers again, milliseconds, if ever.
    pub handback_ms: Option<u64>,
    /// Whether contacts are told that a machine answers.
    pub disclose: bool,
    /// After how long a silence of the assistant they are told again, milliseconds, if ever.
    pub disclosure_lapse_ms: Option<u64>,
    /// How long after what the contact does an answer may leave.
    pub window: WindowPolicy,
}

/// What a conversation is told.
#[derive(Clone, PartialEq, Eq)]
pub enum Input {
    /// The settings that count from now on.
    PolicyChanged(TurnPolicy),
    /// The contact wrote.
    MessageReceived {
        /// The message.
        message: MessageId,
        /// When it was written, as the channel says.
        sent_at: Timestamp,
        /// Whether it is to be answered: what is old, cannot be seen or was written to another app
        /// is not.
        answer: bool,
        /// Whether it looks like a part of something longer.
        fragment: bool,
        /// What it lets the business do.
        opens: Opening,
    },
    /// The contact did something that is no message.
    ContactActed {
        /// When.
        at: Timestamp,
        /// What it lets the business do.
        opens: Opening,
    },
    /// The contact changed a message.
    MessageEdited {
        /// The message.
        message: MessageId,
    },
    /// The files of a message are here, as far as they can be had.
    MediaSettled {
        /// The message.
        message: MessageId,
    },
    /// The contact asked for silence: nothing that is being thought of leaves, and they are not
    /// answered until they write something else.
    OptedOut,
    /// The contact took a message back.
    MessageRemoved {
        /// The message.
        message: MessageId,
    },
    /// The business wrote elsewhere: a person is in the conversation.
    BusinessWrote {
        /// Where, as a name for who has control.
        through: String,
    },
    /// Another app has the conversation now.
    ThreadLost,
    /// This app has the conversation again.
    ThreadRegained,
    /// The contact refuses advertising until a moment (the end of time, if they said so themselves),
    /// or allows it again.
    MarketingRefused {
        /// Until when; nothing when it is allowed.
        until: Option<Timestamp>,
    },
    /// The contact cannot be reached; whatever they do next changes that.
    Unreachable {
        /// Why.
        problem: DeliveryProblem,
    },
    /// The channel, or our own dispatch, reports how far a message of ours got.
    DeliveryReported {
        /// The message.
        message: MessageId,
        /// What was known of it.
        known: Delivery,
        /// What is reported.
        reported: Delivery,
    },
    /// Nothing happened but time.
    TimePassed,
    /// The conversation was loaded; nothing that it had begun is under way any more.
    Resumed,
    /// A turn came to its end.
    TurnFinished {
        /// Which.
        turn: TurnId,
        /// With what.
        outcome: TurnOutcome,
    },
    /// A person takes control.
    TakenOver {
        /// Who.
        operator: String,
    },
    /// A person gives control back to the assistant.
    HandedBack,
    /// The contact refuses to be answered by a machine, or allows it again.
    AssistantRefused {
        /// Whether they refuse.
        refused: bool,
    },
    /// The conversation is given to one of the people, or to none. Who answers stays as it is.
    Assigned {
        /// To whom.
        operator: Option<String>,
    },
    /// A person answers; what waited is thereby answered.
    OperatorWrote {
        /// What they wrote.
        draft: Draft,
    },
    /// A person sends what is no answer: a reaction, a notice.
    OperatorSigned {
        /// What they send.
        draft: Draft,
    },
    /// A person has these messages answered again, after a turn that failed.
    AnswerAgain {
        /// The messages, with when they were written.
        messages: Vec<(MessageId, Timestamp)>,
    },
}

/// With what a turn ended.
#[derive(Clone, PartialEq, Eq)]
pub enum TurnOutcome {
    /// A reply.
    Reply {
        /// What is said.
        content: Content,
        /// When the assistant means to come back.
        follow_up: Option<FollowUp>,
    },
    /// A person is to answer.
    HandOver {
        /// Why.
        reason: HandoverReason,
        /// What is said to the contact.
        notice: Option<Content>,
    },
    /// The money for an answer was spent.
    OverBudget {
        /// What is said instead, if anything.
        fallback: Option<Content>,
    },
    /// Moderation objected.
    Objected {
        /// What is said instead, if anything.
        fallback: Option<Content>,
    },
    /// Nobody is there, and the assistant does not answer then.
    Closed {
        /// Since when.
        since: Timestamp,
        /// What is said, once for each time that nobody is there.
        notice: Option<Content>,
    },
    /// The model had nothing to say.
    Empty,
    /// No answer could be had; what is said instead, if anything.
    Failed {
        /// The tenant's fallback.
        fallback: Option<Content>,
    },
}

/// What a conversation asks for. Everything here is committed in one write with the new state.
#[derive(Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "it lives for one step, in a list of few")]
pub enum Effect {
    /// Begin (or, after a restart, begin again) this turn.
    StartTurn(RunningTurn),
    /// Stop working on this turn; nothing of it may leave.
    CancelTurn {
        /// Which.
        turn: TurnId,
        /// Why.
        end: TurnEnd,
    },
    /// This turn is over.
    EndTurn {
        /// Which.
        turn: TurnId,
        /// Why.
        end: TurnEnd,
    },
    /// Commit this to the outbox.
    Send {
        /// What is said.
        draft: Draft,
        /// The turn and epoch whose words these are; nothing for a person's.
        turn: Option<(TurnId, Epoch)>,
        /// Whether it begins with saying that a machine speaks.
        disclose: bool,
    },
    /// A message of ours got further.
    RecordDelivery {
        /// Which.
        message: MessageId,
        /// How far.
        delivery: Delivery,
    },
    /// Control is in other hands.
    ChangeControl {
        /// In whose.
        control: Control,
    },
    /// The conversation is given to one of the people, or to none.
    Assign {
        /// To whom.
        operator: Option<String>,
    },
    /// The contact asked for silence.
    OptOut,
    /// The contact refuses to be answered by a machine, or allows it again.
    RefuseAssistant {
        /// Whether they refuse.
        refused: bool,
    },
    /// When the assistant means to come back; nothing when it does not any more.
    PlanFollowUp(Option<Timestamp>),
    /// Say that time passed, at this moment. The last one counts.
    WakeAt(Timestamp),
}
