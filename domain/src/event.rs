//! The tenant's log: facts, past tense, in one sequence per tenant.

use serde::{Deserialize, Serialize};

use crate::Mapped;
use crate::budget::Cost;
use crate::channel::{ChannelHealth, Notice};
use crate::conversation::{Control, Epoch};
use crate::delivery::{Delivery, DeliveryProblem};
use crate::id::{
    AccountId, BreakGlassId, CaseId, ChannelId, ContactId, ConversationId, DeadLetterId, DeletionId,
    DocumentId, MessageId, OrderId, SubscriptionId, TurnId,
};
use crate::inbound::Arrival;
use crate::message::Message;
use crate::outbox::WithdrawnReason;
use crate::privacy::rights::{RightKind, Standing};
use crate::turn::{TurnEnd, Usage};
use crate::{Pii, Timestamp};

/// The place of an event in its tenant's log; the first is 1.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, Mapped,
)]
#[serde(transparent)]
pub struct EventSeq(pub u64);

/// A fact in a tenant's log.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[data(purpose = "tenant_view", basis = "contract", keep = "event")]
pub struct Event {
    /// Its place.
    #[data(operational)]
    pub seq: EventSeq,
    /// When it was recorded.
    #[data(operational)]
    pub at: Timestamp,
    /// The conversation that it is about, if it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[data(id)]
    pub conversation: Option<ConversationId>,
    /// The contact whom it is about, if any: it is sealed with their key and erased with them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[data(id)]
    pub contact: Option<ContactId>,
    /// What happened.
    #[serde(flatten)]
    #[data(parts)]
    pub kind: EventKind,
}

/// What happened.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[data(part)]
#[serde(tag = "type")]
#[non_exhaustive]
pub enum EventKind {
    /// A contact wrote for the first time.
    #[serde(rename = "conversation.opened")]
    ConversationOpened {
        /// On which channel.
        #[data(id)]
        channel: ChannelId,
        /// The name that they gave themselves.
        #[data(content)]
        profile_name: Option<Pii<String>>,
    },
    /// A contact wrote.
    #[serde(rename = "message.received")]
    MessageReceived {
        /// What they wrote.
        #[data(parts)]
        message: Message,
        /// On what occasion it came.
        #[serde(default)]
        #[data(operational)]
        arrival: Arrival,
    },
    /// The business wrote elsewhere: on its own phone, in Meta's inbox.
    #[serde(rename = "message.echoed")]
    MessageEchoed {
        /// What it wrote.
        #[data(parts)]
        message: Message,
        /// On what occasion it came.
        #[serde(default)]
        #[data(operational)]
        arrival: Arrival,
    },
    /// Its writer changed a message.
    #[serde(rename = "message.edited")]
    MessageEdited {
        /// The message as it is now.
        #[data(parts)]
        message: Message,
    },
    /// Its writer took a message back; nothing of it is kept.
    #[serde(rename = "message.removed")]
    MessageRemoved {
        /// Which.
        #[data(id)]
        message: MessageId,
    },
    /// Somebody put a sign on a message, or took it off.
    #[serde(rename = "message.reacted")]
    MessageReacted {
        /// Which; nothing when it is not known here.
        #[data(id)]
        message: Option<MessageId>,
        /// Whether the contact did it, or the business.
        #[data(operational)]
        by_contact: bool,
        /// The emoji or the reaction's name; nothing when it was taken off.
        #[data(content)]
        emoji: Option<Pii<String>>,
    },
    /// A file of a message was stored, or could not be had.
    #[serde(rename = "media.settled")]
    MediaSettled {
        /// The message, with what became of its files.
        #[data(parts)]
        message: Message,
    },
    /// A message was committed to the outbox.
    #[serde(rename = "message.queued")]
    MessageQueued {
        /// The message.
        #[data(parts)]
        message: Message,
    },
    /// A message that goes out got further, or failed.
    #[serde(rename = "message.status_changed")]
    MessageStatusChanged {
        /// Which.
        #[data(id)]
        message: MessageId,
        /// How far.
        #[data(parts)]
        delivery: Delivery,
    },
    /// A message that was committed did not leave.
    #[serde(rename = "message.withdrawn")]
    MessageWithdrawn {
        /// Which.
        #[data(id)]
        message: MessageId,
        /// Why.
        #[data(operational)]
        reason: WithdrawnReason,
    },
    /// A try to send did not succeed and is repeated later.
    #[serde(rename = "message.postponed")]
    MessagePostponed {
        /// Which.
        #[data(id)]
        message: MessageId,
        /// Until when.
        #[data(operational)]
        not_before: Timestamp,
        /// Why, in words.
        #[data(operational)]
        reason: String,
    },
    /// The assistant began to answer.
    #[serde(rename = "turn.started")]
    TurnStarted {
        /// The turn.
        #[data(id)]
        turn: TurnId,
        /// Its epoch.
        #[data(operational)]
        epoch: Epoch,
        /// What it answers.
        #[data(id)]
        covers: Vec<MessageId>,
    },
    /// A turn ended.
    #[serde(rename = "turn.ended")]
    TurnEnded {
        /// The turn.
        #[data(id)]
        turn: TurnId,
        /// Why.
        #[data(operational)]
        end: TurnEnd,
        /// What it used.
        #[data(parts)]
        usage: Usage,
        /// What that costs by the price table.
        #[serde(default)]
        #[data(money)]
        cost: Cost,
        /// Milliseconds from its beginning to the first word of its answer; nothing where none came.
        #[serde(default)]
        #[data(operational)]
        first_word_ms: Option<u64>,
    },
    /// The assistant said that a machine speaks.
    #[serde(rename = "assistant.disclosed")]
    AssistantDisclosed {
        /// In which turn.
        #[data(id)]
        turn: TurnId,
    },
    /// A person wrote something for the others.
    #[serde(rename = "note.added")]
    NoteAdded {
        /// The note.
        #[data(parts)]
        message: Message,
    },
    /// A conversation was given to one of the people, or to none.
    #[serde(rename = "conversation.assigned")]
    ConversationAssigned {
        /// To whom.
        #[data(operational)]
        operator: Option<String>,
        /// From whom it was taken: whoever sees but what is theirs learns that it no longer is.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[data(operational)]
        before: Option<String>,
    },
    /// A contact asked for silence.
    #[serde(rename = "contact.opted_out")]
    ContactOptedOut,
    /// The assistant noted facts about a contact.
    #[serde(rename = "contact.attributes_changed")]
    ContactAttributesChanged {
        /// Their names.
        #[data(operational)]
        names: Vec<String>,
    },
    /// The assistant means to come back to a contact, or does not any more.
    #[serde(rename = "follow_up.scheduled")]
    FollowUpScheduled {
        /// When; nothing when it does not any more. An event has an `at` of its own.
        #[serde(rename = "planned_at")]
        #[data(operational)]
        at: Option<Timestamp>,
    },
    /// A contact did something that is no message: came through an ad, called, opted in.
    #[serde(rename = "contact.acted")]
    ContactActed {
        /// What, in dotted words: `referral`, `call`, `optin`, `feedback`.
        #[data(operational)]
        what: String,
        /// The element as it came, where it says more.
        #[data(content)]
        raw: Option<Pii<String>>,
    },
    /// A contact allows or refuses advertising.
    #[serde(rename = "contact.marketing_changed")]
    ContactMarketingChanged {
        /// Whether it is allowed.
        #[data(operational)]
        allowed: bool,
    },
    /// A contact can or cannot be reached.
    #[serde(rename = "contact.reachability_changed")]
    ContactReachabilityChanged {
        /// Why they cannot be reached; nothing when they can again.
        #[data(parts)]
        problem: Option<DeliveryProblem>,
    },
    /// A contact has another number or id.
    #[serde(rename = "contact.identity_changed")]
    ContactIdentityChanged,
    /// Two contacts proved to be one person; new messages of both come to this one's conversation.
    #[serde(rename = "contact.merged")]
    ContactMerged {
        /// The other one.
        #[data(id)]
        merged: ContactId,
        /// Its conversation, which stays as it is. An event has a `conversation` of its own.
        #[serde(rename = "merged_conversation")]
        #[data(id)]
        conversation: ConversationId,
    },
    /// Another app asks for the conversation.
    #[serde(rename = "thread.requested")]
    ThreadRequested {
        /// Meta's id of the app, where it is named.
        #[data(operational)]
        app_id: Option<String>,
    },
    /// Control changed hands.
    #[serde(rename = "control.changed")]
    ControlChanged {
        /// Who has it now.
        #[data(parts)]
        control: Control,
        /// The new epoch.
        #[data(operational)]
        epoch: Epoch,
    },
    /// A webhook said something that this version keeps without acting on it.
    #[serde(rename = "webhook.kept")]
    WebhookKept {
        /// What it is: `message.image`, `account_update`, `unreadable`.
        #[data(operational)]
        kind: String,
        /// The channel that it came through.
        #[data(id)]
        channel: ChannelId,
        /// The element as it came.
        #[data(content)]
        raw: Pii<String>,
    },
    /// A status names a message that is not known (yet); it waits and is matched when it is.
    #[serde(rename = "status.parked")]
    StatusParked {
        /// The channel that it came through.
        #[data(id)]
        channel: ChannelId,
    },
    /// A conversation failed again and again and is held for a person.
    #[serde(rename = "conversation.quarantined")]
    ConversationQuarantined {
        /// What holds its work.
        #[data(id)]
        dead_letter: DeadLetterId,
    },
    /// A conversation that was quarantined works again.
    #[serde(rename = "conversation.released")]
    ConversationReleased {
        /// What held its work.
        #[data(id)]
        dead_letter: DeadLetterId,
    },
    /// Work was given up and waits for a person.
    #[serde(rename = "dead_letter.added")]
    DeadLetterAdded {
        /// It.
        #[data(id)]
        dead_letter: DeadLetterId,
        /// Why, in words.
        #[data(operational)]
        reason: String,
    },
    /// A person had it tried again.
    #[serde(rename = "dead_letter.replayed")]
    DeadLetterReplayed {
        /// It.
        #[data(id)]
        dead_letter: DeadLetterId,
    },
    /// A channel was connected or changed.
    #[serde(rename = "channel.connected")]
    ChannelConnected {
        /// It.
        #[data(id)]
        channel: ChannelId,
    },
    /// A channel is better or worse than it was, or was tested.
    #[serde(rename = "channel.health_changed")]
    ChannelHealthChanged {
        /// It.
        #[data(id)]
        channel: ChannelId,
        /// How it is now.
        #[data(parts)]
        health: ChannelHealth,
    },
    /// A channel was taken off.
    #[serde(rename = "channel.disconnected")]
    ChannelDisconnected {
        /// It.
        #[data(id)]
        channel: ChannelId,
        /// Why, in words.
        #[data(operational)]
        reason: String,
    },
    /// Meta said something about the number, the page or the business account.
    #[serde(rename = "channel.noticed")]
    ChannelNoticed {
        /// The channel.
        #[data(id)]
        channel: ChannelId,
        /// What.
        #[data(parts)]
        notice: Notice,
    },
    /// Meta passed on a request to delete what is stored about somebody.
    #[serde(rename = "deletion.requested")]
    DeletionRequested {
        /// The request.
        #[data(id)]
        deletion: DeletionId,
    },
    /// A document was added, was read, or could not be.
    #[serde(rename = "knowledge.changed")]
    KnowledgeChanged {
        /// It.
        #[data(id)]
        document: DocumentId,
        /// Whether it is gone.
        #[data(operational)]
        removed: bool,
    },
    /// The assistant's settings changed.
    #[serde(rename = "settings.changed")]
    SettingsChanged {
        /// The version that counts from now on.
        #[data(operational)]
        version: u64,
    },
    /// A record did not open and was set aside; what else there is goes on without it.
    #[serde(rename = "record.quarantined")]
    RecordQuarantined {
        /// Its kind: `message`, `turn`, …
        #[data(operational)]
        kind: String,
    },
    /// A record that was set aside opens and is where it was.
    #[serde(rename = "record.restored")]
    RecordRestored {
        /// Its kind.
        #[data(operational)]
        kind: String,
    },
    /// A webhook is not served any more until somebody resumes it: its receiver took nothing for too long,
    /// or said that it is gone.
    #[serde(rename = "webhook.paused")]
    WebhookPaused {
        /// Which.
        #[data(id)]
        webhook: SubscriptionId,
        /// Why, in words.
        #[data(operational)]
        reason: String,
    },
    /// Stands where an event was that does not open any more, or is not there.
    #[serde(rename = "event.unreadable")]
    EventUnreadable,
    /// What stood here is gone: its contact was erased, or its period is over.
    #[serde(rename = "event.erased")]
    EventErased,
    /// All that there was of a contact is gone.
    #[serde(rename = "contact.erased")]
    ContactErased {
        /// Who: an id that stands for nobody any more.
        #[data(id)]
        erased: ContactId,
    },
    /// What is known of a contact is in dispute, is for few, or is so no more.
    #[serde(rename = "contact.standing_changed")]
    ContactStandingChanged {
        /// How it stands now.
        #[data(parts)]
        standing: Standing,
    },
    /// A contact refuses to be answered by a machine, or allows it again.
    #[serde(rename = "assistant.refused")]
    AssistantRefused {
        /// Whether they refuse.
        #[data(operational)]
        refused: bool,
    },
    /// Somebody asked something about their own data, or that got further.
    #[serde(rename = "rights.changed")]
    RightsChanged {
        /// The case.
        #[data(id)]
        case: CaseId,
        /// What they asked.
        #[data(operational)]
        right: RightKind,
        /// How far it is: `received`, `verified`, `answered`, `refused`, `withdrawn`, `lapsed`.
        #[data(operational)]
        state: String,
    },
    /// So much of the time that the law gives for a case is over.
    #[serde(rename = "rights.due")]
    RightsDue {
        /// The case.
        #[data(id)]
        case: CaseId,
        /// What was asked.
        #[data(operational)]
        right: RightKind,
        /// How much, per cent.
        #[data(operational)]
        percent: u8,
        /// When it is due.
        #[data(operational)]
        due_at: Timestamp,
    },
    /// To the tenant's own systems: what they hold of this contact is to be corrected.
    #[serde(rename = "privacy.correct")]
    PrivacyCorrect {
        /// Whom.
        #[data(id)]
        subject: ContactId,
        /// For which case.
        #[data(id)]
        case: CaseId,
        /// Names of the fields.
        #[data(operational)]
        names: Vec<String>,
    },
    /// To the tenant's own systems: what they hold of this contact is to be erased.
    #[serde(rename = "privacy.redact")]
    PrivacyRedact {
        /// Whom: an id that stands for nobody any more.
        #[data(id)]
        subject: ContactId,
        /// For which case.
        #[data(id)]
        case: CaseId,
    },
    /// An authority ordered that data of this tenant be handed over, and the tenant may know it.
    #[serde(rename = "order.received")]
    OrderReceived {
        /// The order.
        #[data(id)]
        order: OrderId,
        /// Who ordered it.
        #[data(operational)]
        authority: String,
        /// Its file, norm and date.
        #[data(operational)]
        reference: String,
    },
    /// The platform's owner asked to look into this tenant's content.
    #[serde(rename = "break_glass.asked")]
    BreakGlassAsked {
        /// The request.
        #[data(id)]
        grant: BreakGlassId,
        /// Who asks.
        #[data(id)]
        account: AccountId,
        /// Why.
        #[data(content)]
        reason: Pii<String>,
        /// For how many minutes.
        #[data(operational)]
        minutes: u32,
    },
    /// A second owner consented: the one who asked may look from now on.
    #[serde(rename = "break_glass.opened")]
    BreakGlassOpened {
        /// The request.
        #[data(id)]
        grant: BreakGlassId,
        /// Who looks.
        #[data(id)]
        account: AccountId,
        /// Who consented.
        #[data(id)]
        approved_by: AccountId,
        /// When it ends by itself.
        #[data(operational)]
        ends_at: Timestamp,
    },
    /// It was ended, or refused.
    #[serde(rename = "break_glass.ended")]
    BreakGlassEnded {
        /// The request.
        #[data(id)]
        grant: BreakGlassId,
    },
}

impl EventKind {
    /// All names there are.
    pub const NAMES: [&str; 55] = [
        "conversation.opened",
        "message.received",
        "message.echoed",
        "message.edited",
        "message.removed",
        "message.reacted",
        "media.settled",
        "message.queued",
        "message.status_changed",
        "message.withdrawn",
        "message.postponed",
        "turn.started",
        "turn.ended",
        "assistant.disclosed",
        "note.added",
        "conversation.assigned",
        "contact.opted_out",
        "contact.attributes_changed",
        "follow_up.scheduled",
        "contact.acted",
        "contact.marketing_changed",
        "contact.reachability_changed",
        "contact.identity_changed",
        "contact.merged",
        "thread.requested",
        "control.changed",
        "webhook.kept",
        "status.parked",
        "conversation.quarantined",
        "conversation.released",
        "dead_letter.added",
        "dead_letter.replayed",
        "channel.connected",
        "channel.health_changed",
        "channel.disconnected",
        "channel.noticed",
        "deletion.requested",
        "knowledge.changed",
        "settings.changed",
        "record.quarantined",
        "record.restored",
        "webhook.paused",
        "event.unreadable",
        "event.erased",
        "contact.erased",
        "contact.standing_changed",
        "assistant.refused",
        "rights.changed",
        "rights.due",
        "privacy.correct",
        "privacy.redact",
        "order.received",
        "break_glass.asked",
        "break_glass.opened",
        "break_glass.ended",
    ];

    /// Its name, as in the `type` field.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::ConversationOpened { .. } => "conversation.opened",
            Self::MessageReceived { .. } => "message.received",
            Self::MessageEchoed { .. } => "message.echoed",
            Self::MessageEdited { .. } => "message.edited",
            Self::MessageRemoved { .. } => "message.removed",
            Self::MessageReacted { .. } => "message.reacted",
            Self::MediaSettled { .. } => "media.settled",
            Self::MessageQueued { .. } => "message.queued",
            Self::MessageStatusChanged { .. } => "message.status_changed",
            Self::MessageWithdrawn { .. } => "message.withdrawn",
            Self::MessagePostponed { .. } => "message.postponed",
            Self::TurnStarted { .. } => "turn.started",
            Self::TurnEnded { .. } => "turn.ended",
            Self::AssistantDisclosed { .. } => "assistant.disclosed",
            Self::NoteAdded { .. } => "note.added",
            Self::ConversationAssigned { .. } => "conversation.assigned",
            Self::ContactOptedOut => "contact.opted_out",
            Self::ContactAttributesChanged { .. } => "contact.attributes_changed",
            Self::FollowUpScheduled { .. } => "follow_up.scheduled",
            Self::ContactActed { .. } => "contact.acted",
            Self::ContactMarketingChanged { .. } => "contact.marketing_changed",
            Self::ContactReachabilityChanged { .. } => "contact.reachability_changed",
            Self::ContactIdentityChanged => "contact.identity_changed",
            Self::ContactMerged { .. } => "contact.merged",
            Self::ThreadRequested { .. } => "thread.requested",
            Self::ControlChanged { .. } => "control.changed",
            Self::WebhookKept { .. } => "webhook.kept",
            Self::StatusParked { .. } => "status.parked",
            Self::ConversationQuarantined { .. } => "conversation.quarantined",
            Self::ConversationReleased { .. } => "conversation.released",
            Self::DeadLetterAdded { .. } => "dead_letter.added",
            Self::DeadLetterReplayed { .. } => "dead_letter.replayed",
            Self::ChannelConnected { .. } => "channel.connected",
            Self::ChannelHealthChanged { .. } => "channel.health_changed",
            Self::ChannelDisconnected { .. } => "channel.disconnected",
            Self::ChannelNoticed { .. } => "channel.noticed",
            Self::DeletionRequested { .. } => "deletion.requested",
            Self::KnowledgeChanged { .. } => "knowledge.changed",
            Self::SettingsChanged { .. } => "settings.changed",
            Self::RecordQuarantined { .. } => "record.quarantined",
            Self::RecordRestored { .. } => "record.restored",
            Self::WebhookPaused { .. } => "webhook.paused",
            Self::EventUnreadable => "event.unreadable",
            Self::EventErased => "event.erased",
            Self::ContactErased { .. } => "contact.erased",
            Self::ContactStandingChanged { .. } => "contact.standing_changed",
            Self::AssistantRefused { .. } => "assistant.refused",
            Self::RightsChanged { .. } => "rights.changed",
            Self::RightsDue { .. } => "rights.due",
            Self::PrivacyCorrect { .. } => "privacy.correct",
            Self::PrivacyRedact { .. } => "privacy.redact",
            Self::OrderReceived { .. } => "order.received",
            Self::BreakGlassAsked { .. } => "break_glass.asked",
            Self::BreakGlassOpened { .. } => "break_glass.opened",
            Self::BreakGlassEnded { .. } => "break_glass.ended",
        }
    }

    /// The message whose content it carries. The log keeps but its id: what a message says is stored
    /// in one place, so that what is taken back is gone.
    pub const fn message_mut(&mut self) -> Option<&mut Message> {
        match self {
            Self::MessageReceived { message, .. }
            | Self::MessageEchoed { message, .. }
            | Self::MessageEdited { message }
            | Self::MediaSettled { message }
            | Self::NoteAdded { message }
            | Self::MessageQueued { message } => Some(message),
            _ => None,
        }
    }
}

/// Work that was given up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[data(purpose = "deliver", basis = "contract", keep = "dead_letter")]
pub struct DeadLetter {
    /// Its identifier.
    #[data(id)]
    pub id: DeadLetterId,
    /// The conversation that it belongs to.
    #[data(id)]
    pub conversation: ConversationId,
    /// What was given up.
    #[data(parts)]
    pub work: DeadWork,
    /// Why, in words that can be shown.
    #[data(operational)]
    pub reason: String,
    /// When.
    #[data(operational)]
    pub at: Timestamp,
    /// When a person had it tried again, if one did.
    #[data(operational)]
    pub replayed_at: Option<Timestamp>,
}

/// What was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[data(part)]
#[serde(tag = "work", rename_all = "snake_case")]
pub enum DeadWork {
    /// A conversation whose actor failed again and again; its inbox waits untouched.
    Conversation,
    /// A message that its channel refused, or whose fate nobody knows.
    Send {
        /// The message.
        #[data(id)]
        message: MessageId,
    },
    /// A turn without an answer.
    Turn {
        /// The turn.
        #[data(id)]
        turn: TurnId,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_among_the_names() {
        let renamed = include_str!("event.rs")
            .lines()
            .filter_map(|line| line.trim().strip_prefix("#[serde(rename = \"")?.strip_suffix("\")]"));
        let renamed: Vec<_> = renamed.filter(|name| name.contains('.')).collect();
        let mut names = EventKind::NAMES.to_vec();
        names.sort_unstable();
        assert!(names.windows(2).all(|two| two[0] != two[1]));
        assert_eq!(names.len(), renamed.len());
        assert!(renamed.iter().all(|name| names.contains(name)), "{renamed:?}");
    }

    #[test]
    fn what_an_event_tells_does_not_hide_what_every_event_has() {
        let (now, later) = (Timestamp::from_secs(1), Timestamp::from_secs(2));
        let kind = EventKind::FollowUpScheduled { at: Some(later) };
        let event = Event { seq: EventSeq(3), at: now, conversation: None, contact: None, kind };
        let json = serde_json::to_string(&event).unwrap();
        let read: Event = serde_json::from_str(&json).unwrap();
        assert!(read == event, "{json}");
    }
}
