//! What every backend decides alike, in one place each.

use std::collections::BTreeMap;

use iassistance_domain::budget::{Budgets, Cost};
use iassistance_domain::contact::ContactIdentity;
use iassistance_domain::content::Content;
use iassistance_domain::event::EventKind;
use iassistance_domain::id::{MOMENT_BYTES, MessageId, TurnId};
use iassistance_domain::inbound::{InboundEvent, InboundKind};
use iassistance_domain::message::{Author, Elsewhere, Message};
use iassistance_domain::outbox::{OutboxEntry, OutboxState, SendOutcome};
use iassistance_domain::pii::Deliver;
use iassistance_domain::privacy::Suppression;
use iassistance_domain::summary::Summary;
use iassistance_domain::turn::TurnRecord;
use iassistance_domain::{Pii, Timestamp};

use crate::limits::ATTRIBUTES_MAX;

/// How many messages are looked at for those that went out before a moment.
pub(crate) const OUTBOUND_SCAN_MAX: usize = 200;

/// How many turns lose their words when a message is taken back: those that began next after it.
pub(crate) const TURNS_UNSAID_MAX: usize = 200;

/// What a message's dedup key begins with; its id follows.
const MESSAGE_DEDUP: &str = "m:";

/// Settles an entry by how handing it over ended; says whether it stays in the outbox.
pub(crate) fn settle(entry: &mut OutboxEntry, outcome: &SendOutcome, at: Timestamp) -> bool {
    match outcome {
        SendOutcome::Sent { .. } | SendOutcome::Refused { .. } | SendOutcome::Withdrawn { .. } => false,
        SendOutcome::Postponed { not_before, uncounted, .. } => {
            entry.attempts = entry.attempts.saturating_sub(u32::from(*uncounted));
            entry.state = OutboxState::Waiting { not_before: *not_before };
            true
        }
        SendOutcome::Unknown => {
            entry.state = OutboxState::Unknown { since: at };
            true
        }
    }
}

/// Meta's id of the message that an event is, where that alone tells whether it was taken in before: a
/// message is known by its id for ever, so that a dedup key that says nothing else is not kept beside it.
pub(crate) fn known_by_id(event: &InboundEvent) -> Option<&Pii<String>> {
    match &event.kind {
        InboundKind::MessageReceived { provider_id, .. } => {
            let said = event.dedup.reveal(Deliver).strip_prefix(MESSAGE_DEDUP);
            (said == Some(provider_id.reveal(Deliver).as_str())).then_some(provider_id)
        }
        _ => None,
    }
}

/// What the log tells of somebody who comes back and had refused messages before they were erased.
pub(crate) fn suppressed(by: &Suppression) -> impl Iterator<Item = EventKind> + use<> {
    let silence = by.silence.then_some(EventKind::ContactOptedOut);
    let marketing = by.no_marketing_until.map(|_| EventKind::ContactMarketingChanged { allowed: false });
    silence.into_iter().chain(marketing)
}

/// Whom an event names, where it names one.
pub(crate) const fn names_of(kind: &InboundKind) -> Option<&ContactIdentity> {
    match kind {
        InboundKind::MessageReceived { from: it, .. }
        | InboundKind::EchoReceived { to: it, .. }
        | InboundKind::Reacted { contact: it, .. }
        | InboundKind::SeenUpTo { contact: it, .. }
        | InboundKind::ContactActed { contact: it, .. }
        | InboundKind::MarketingChanged { contact: it, .. }
        | InboundKind::IdentityChanged { from: it, .. }
        | InboundKind::ThreadControlChanged { contact: it, .. } => Some(it),
        InboundKind::MessageEdited { contact: it, .. }
        | InboundKind::MessageRemoved { contact: it, .. }
        | InboundKind::StatusChanged { recipient: it, .. }
        | InboundKind::Kept { contact: it, .. } => it.as_ref(),
        _ => None,
    }
}

/// How an unrouted event is shown: its kind and its text.
pub(crate) fn described(event: &InboundEvent) -> (String, Pii<String>) {
    let kind = match &event.kind {
        InboundKind::Kept { kind, raw, .. } => return (kind.clone(), raw.clone()),
        InboundKind::MessageReceived { .. } => "message",
        InboundKind::StatusChanged { .. } => "status",
        other => other.name(),
    };
    (kind.to_owned(), serde_json::to_string(event).unwrap_or_default().into())
}

/// Leaves of a message what the log keeps: which it is, whose and when. What it says is stored in one
/// place, its own record, so that what is taken back is gone.
pub(crate) fn strip(message: &mut Message) {
    message.content = Content::Empty;
    message.context = None;
    message.referral = None;
    message.reactions = Vec::new();
    message.provider_id = None;
    message.delivery = None;
}

/// Takes the content out of what was said about the message of this id of Meta's. Says whether it was
/// about that one's content.
pub(crate) fn unsay(kind: &mut InboundKind, removed: &Pii<String>) -> bool {
    match kind {
        InboundKind::MessageReceived { provider_id, content, context, referral, .. }
            if provider_id == removed =>
        {
            (*content, *context, *referral) = (Content::Removed, None, None);
            true
        }
        InboundKind::EchoReceived { provider_id, content, context, .. } if provider_id == removed => {
            (*content, *context) = (Content::Removed, None);
            true
        }
        InboundKind::MessageEdited { provider_id, content, .. } if provider_id == removed => {
            *content = None;
            true
        }
        _ => false,
    }
}

/// What a message becomes when it is put where an earlier version of it is: nothing that is known
/// of it is lost, and what was taken back stays so.
pub(crate) fn carry_over(message: &mut Message, before: Message) {
    if let Some(mut delivery) = before.delivery {
        if let Some(reported) = &message.delivery {
            delivery.advance(reported);
        }
        message.delivery = Some(delivery);
    }
    if message.provider_id.is_none() {
        message.provider_id = before.provider_id;
    }
    if let Some(at) = before.removed_at {
        message.remove(at);
    }
}

/// Whether a message goes out through us. A note never leaves.
pub(crate) const fn is_ours(message: &Message) -> bool {
    matches!(message.author, Author::Assistant { .. } | Author::Operator { .. })
        && !matches!(message.content, Content::Note { .. })
}

/// Notes facts about a contact.
pub(crate) fn note(
    known: &mut BTreeMap<String, Pii<String>>,
    facts: impl IntoIterator<Item = (String, Pii<String>)>,
) {
    for (name, value) in facts {
        if known.len() < ATTRIBUTES_MAX || known.contains_key(&name) {
            known.insert(name, value);
        }
    }
}

/// Whether a summary may tell of a message, by the order of ids or by that of writing; `until` is when
/// the last message that it covers was written.
pub(crate) fn may_cover(summary: &Summary, until: Option<Timestamp>, message: &Message) -> bool {
    message.id <= summary.until || until.is_none_or(|until| message.sent_at <= until)
}

/// The first turn, in the order of ids, that may have read a message.
pub(crate) fn first_turn_after(message: MessageId) -> TurnId {
    let mut first = message.to_bytes();
    first[MOMENT_BYTES..].fill(0);
    TurnId::from_bytes(first)
}

/// Takes out of an execution record what may be anybody's words: what tools were given, and why a
/// person was asked for. Says whether there were any.
pub(crate) fn forget_words(turn: &mut TurnRecord) -> bool {
    let mut had = turn.work.handover_reason.take().is_some();
    for call in &mut turn.work.tool_calls {
        had |= !call.arguments.reveal(Deliver).is_empty();
        call.arguments = Pii::new(String::new());
    }
    had
}

/// How much of `amount` may be set aside, given what each limit's sum is already; nothing when that is
/// less than `least`.
pub(crate) fn grant(amount: Cost, least: Cost, limits: [(Option<Cost>, Cost); 3]) -> Option<Cost> {
    let left = limits.into_iter().filter_map(|(limit, spent)| limit.map(|limit| limit.minus(spent)));
    let granted = left.fold(amount, Cost::min);
    (granted >= least).then_some(granted)
}

/// The limits that are kept over several turns: on the tenant's day, the contact's, the conversation.
pub(crate) const fn kept_limits(budgets: &Budgets) -> [Option<Cost>; 3] {
    [budgets.tenant_day, budgets.contact_day, budgets.conversation]
}

/// Whether an echo may be of something that this app sent although it does not say so: Instagram
/// gives back neither our id nor the app's.
pub(crate) const fn may_be_ours(through: &Elsewhere) -> bool {
    matches!(through, Elsewhere::Unnamed | Elsewhere::App { app_id: None })
}

/// Whether an echo says what an entry says that may have left.
pub(crate) fn is_echo_of(entry: &OutboxEntry, echo: &Content) -> bool {
    let may_have_left = matches!(entry.state, OutboxState::Dispatching { .. } | OutboxState::Unknown { .. });
    let said = |text: &Pii<String>| text.reveal(Deliver).trim().to_owned();
    may_have_left
        && match (&entry.content, echo) {
            (
                Content::Text { body, .. } | Content::QuickReplies { body, .. },
                Content::Text { body: echoed, .. },
            ) => said(body) == said(echoed),
            (sent, echoed) => sent.name() == echoed.name(),
        }
}
