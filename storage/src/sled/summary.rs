//! Summaries, which go with what they were made of.

use iassistance_domain::Timestamp;
use iassistance_domain::id::{ContactId, ConversationId};
use iassistance_domain::message::Message;

use super::keys;
use super::space::{Read, Result};
use super::tx::{Owner, Tx};
use crate::commit::SummaryChange;
use crate::rules::may_cover;

impl Tx<'_> {
    pub(super) fn change_summary(
        &mut self,
        conversation: ConversationId,
        contact: ContactId,
        change: SummaryChange,
    ) -> Result<()> {
        let key = keys::summary(conversation);
        let mut stored = self.get_readable(&key)?.unwrap_or_default();
        match change {
            SummaryChange::Put(summary) if stored.unsaid_at.is_some_and(|at| at >= summary.made_at) => {
                return Ok(());
            }
            SummaryChange::Put(summary) => stored.summary = Some(summary),
            SummaryChange::Drop if stored.summary.is_none() => return Ok(()),
            SummaryChange::Drop => stored.summary = None,
        }
        self.put(&key, Owner::Contact(contact), &stored)
    }

    /// A message is taken back: a summary that may tell of it goes, and none that was made before now
    /// comes any more.
    pub(super) fn unsay(&mut self, message: &Message, contact: ContactId, now: Timestamp) -> Result<()> {
        let key = keys::summary(message.conversation);
        let mut stored = self.get_readable(&key)?.unwrap_or_default();
        if let Some(summary) = &stored.summary {
            let until = self.get_readable(&keys::message(message.conversation, summary.until))?;
            if may_cover(summary, until.map(|until| until.sent_at), message) {
                stored.summary = None;
            }
        }
        stored.unsaid_at = stored.unsaid_at.max(Some(now));
        self.put(&key, Owner::Contact(contact), &stored)
    }
}
