//! Work on its way out.

use ::sled::IVec;

use iassistance_domain::Timestamp;
use iassistance_domain::id::{ContactId, ConversationId, MessageId};
use iassistance_domain::outbox::{OutboxEntry, OutboxState, SendOutcome, WithdrawnReason};

use iassistance_domain::privacy::{Handed, Recipient};

use super::keys::{self, Key, Known, id_in, number_in};
use super::provider::provider_hash;
use super::space::{Read, Result};
use super::tx::{Owner, Tx};
use crate::commit::{Letter, SendReport};
use crate::rules::settle;
use crate::store::Dispatch;

impl Tx<'_> {
    /// Puts an entry at the end of a conversation's outbox.
    pub(super) fn append_to_outbox(
        &mut self,
        conversation: ConversationId,
        contact: ContactId,
        entry: &OutboxEntry,
    ) -> Result<()> {
        self.counters.order += 1;
        let key = keys::outbox_entry(conversation, self.counters.order, entry.message);
        self.put(&key, Owner::Contact(contact), entry)
    }

    pub(super) fn remove_from_outbox(
        &mut self,
        conversation: ConversationId,
        message: MessageId,
    ) -> Result<()> {
        match self.outbox_key(conversation, message)? {
            Some(key) => self.remove(&key).map(drop),
            None => Ok(()),
        }
    }

    /// The key of a message's entry: its end names the message, so no entry is opened to find it.
    fn outbox_key(
        &self,
        conversation: ConversationId,
        message: MessageId,
    ) -> Result<Option<Key<OutboxEntry>>> {
        let rows = self.rows(keys::outbox(conversation).bytes(), usize::MAX)?;
        let ours = rows.iter().find(|(key, _)| id_in(key, 25) == Some(message.to_bytes()));
        let order = ours.and_then(|(key, _)| number_in(key, 17));
        Ok(order.map(|order| keys::outbox_entry(conversation, order, message)))
    }

    fn outbox_entry(
        &self,
        conversation: ConversationId,
        message: MessageId,
    ) -> Result<Option<(Key<OutboxEntry>, OutboxEntry)>> {
        let Some(key) = self.outbox_key(conversation, message)? else { return Ok(None) };
        Ok(self.get(&key)?.map(|entry| (key, entry)))
    }

    /// The first entry that opens. One that does not can never be sent and holds nothing up.
    fn head(&self, conversation: ConversationId) -> Result<Option<(IVec, OutboxEntry)>> {
        let prefix = keys::outbox(conversation);
        let mut head = self.list(&prefix, 1)?;
        if head.is_empty() && !self.rows(prefix.bytes(), 1)?.is_empty() {
            head = self.list(&prefix, usize::MAX)?;
        }
        Ok(head.into_iter().next())
    }

    pub(super) fn begin_dispatch(
        &mut self,
        conversation: ConversationId,
        now: Timestamp,
    ) -> Result<Dispatch> {
        let Some((key, mut entry)) = self.head(conversation)? else { return Ok(Dispatch::Empty) };
        let OutboxState::Waiting { not_before } = entry.state else {
            return Ok(Dispatch::NotYet(Box::new(entry)));
        };
        let fence = self.fence(conversation)?;
        if entry.epoch.is_some_and(|epoch| epoch < fence.state.floor) {
            return Ok(Dispatch::Withdraw(entry.message, WithdrawnReason::ControlChanged));
        }
        if now > entry.window_until {
            return Ok(Dispatch::Withdraw(entry.message, WithdrawnReason::WindowClosed));
        }
        if now < not_before {
            return Ok(Dispatch::NotYet(Box::new(entry)));
        }
        entry.attempts = entry.attempts.saturating_add(1);
        entry.state = OutboxState::Dispatching { since: now };
        let order = number_in(&key, 17).unwrap_or_default();
        let key = keys::outbox_entry(conversation, order, entry.message);
        self.put(&key, Owner::Contact(fence.state.contact), &entry)?;
        self.disclose(fence.state.contact, Recipient::META, Handed::Message, now)?;
        Ok(Dispatch::Go(Box::new(entry)))
    }

    pub(super) fn settle(
        &mut self,
        conversation: ConversationId,
        report: SendReport,
        now: Timestamp,
    ) -> Result<()> {
        let Some((key, mut entry)) = self.outbox_entry(conversation, report.message)? else { return Ok(()) };
        let contact = self.fence(conversation)?.state.contact;
        if settle(&mut entry, &report.outcome, report.at) {
            self.put(&key, Owner::Contact(contact), &entry)?;
        } else {
            self.remove(&key)?;
        }
        let message = report.message;
        let sent = match &report.outcome {
            SendOutcome::Sent { provider_id } => Some(provider_id.clone()),
            _ => None,
        };
        self.put_letter((conversation, contact), now, Letter::Dispatched(report))?;
        match sent {
            Some(provider_id) => {
                let hash = provider_hash(self.space, entry.channel, &provider_id);
                self.know(hash, Known { message, conversation, contact, ours: true })
            }
            None => Ok(()),
        }
    }
}
