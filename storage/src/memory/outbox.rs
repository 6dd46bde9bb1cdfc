//! Work on its way out.

use iassistance_domain::Timestamp;
use iassistance_domain::id::{ConversationId, MessageId};
use iassistance_domain::outbox::{OutboxEntry, OutboxState, SendOutcome, WithdrawnReason};

use iassistance_domain::privacy::{Handed, Recipient};

use super::tenant::{Known, TenantData};
use crate::commit::{Letter, SendReport};
use crate::rules::settle;
use crate::store::Dispatch;

impl TenantData {
    fn entry(&mut self, id: ConversationId, message: MessageId) -> Option<(u64, &mut OutboxEntry)> {
        let mut of_conversation = self.outbox.range_mut((id, 0)..=(id, u64::MAX));
        of_conversation.find(|(_, entry)| entry.message == message).map(|((_, order), entry)| (*order, entry))
    }

    pub(super) fn begin_dispatch(&mut self, id: ConversationId, now: Timestamp) -> Dispatch {
        let whose = self.conversations.get(&id).map(|stored| stored.conversation.contact);
        let floor = self.conversations.get(&id).map(|stored| stored.conversation.floor()).unwrap_or_default();
        let Some((_, entry)) = self.outbox.range_mut((id, 0)..=(id, u64::MAX)).next() else {
            return Dispatch::Empty;
        };
        let OutboxState::Waiting { not_before } = entry.state else {
            return Dispatch::NotYet(Box::new(entry.clone()));
        };
        if entry.epoch.is_some_and(|epoch| epoch < floor) {
            return Dispatch::Withdraw(entry.message, WithdrawnReason::ControlChanged);
        }
        if now > entry.window_until {
            return Dispatch::Withdraw(entry.message, WithdrawnReason::WindowClosed);
        }
        if now < not_before {
            return Dispatch::NotYet(Box::new(entry.clone()));
        }
        entry.attempts = entry.attempts.saturating_add(1);
        entry.state = OutboxState::Dispatching { since: now };
        let entry = entry.clone();
        if let Some(contact) = whose {
            let ledger = self.leaving.disclosures.entry(contact).or_default();
            ledger.note(Recipient::META, Handed::Message, now);
        }
        Dispatch::Go(Box::new(entry))
    }

    pub(super) fn settle(&mut self, id: ConversationId, report: SendReport, now: Timestamp) {
        let Some((order, entry)) = self.entry(id, report.message) else { return };
        let channel = entry.channel;
        if !settle(entry, &report.outcome, report.at) {
            self.outbox.remove(&(id, order));
        }
        let message = report.message;
        let sent = match &report.outcome {
            SendOutcome::Sent { provider_id } => Some(provider_id.clone()),
            _ => None,
        };
        self.put_letter(id, now, Letter::Dispatched(report));
        if let Some(provider_id) = sent {
            self.know(channel, &provider_id, Known { conversation: id, message, ours: true });
        }
    }
}
