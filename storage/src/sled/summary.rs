//! What was made of messages: summaries, and the words in execution records. It goes with them.

use iassistance_domain::Timestamp;
use iassistance_domain::id::{ContactId, ConversationId};
use iassistance_domain::message::Message;
use iassistance_domain::turn::TurnRecord;

use super::keys;
use super::space::{Read, Result};
use super::tx::{Owner, Tx};
use crate::commit::SummaryChange;
use crate::rules::{TURNS_UNSAID_MAX, first_turn_after, forget_words, may_cover};

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

    /// Puts an execution record; without words, where a message was taken back since the turn began.
    pub(super) fn put_turn(&mut self, mut turn: TurnRecord, contact: ContactId) -> Result<()> {
        let stored = self.get_readable(&keys::summary(turn.conversation))?;
        if stored.and_then(|stored| stored.unsaid_at).is_some_and(|at| at >= turn.started_at) {
            forget_words(&mut turn);
        }
        // What was given to tools may be the contact's words: it is sealed as those are.
        self.put(&keys::turn(turn.conversation, turn.id), Owner::Contact(contact), &turn)
    }

    /// A message is taken back: a summary that may tell of it goes, and none that was made before now
    /// comes any more; turns that may have read it lose their words.
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
        self.put(&key, Owner::Contact(contact), &stored)?;
        let prefix = keys::turns(message.conversation);
        let first = keys::turn(message.conversation, first_turn_after(message.id));
        let rows = self.rows_from(first.bytes(), prefix.bytes(), TURNS_UNSAID_MAX)?;
        let mut turns = Vec::with_capacity(rows.len());
        self.open_all(prefix.kind, rows, &mut turns)?;
        for (_, mut turn) in turns {
            if forget_words(&mut turn) {
                let key = keys::turn(message.conversation, turn.id);
                self.put(&key, Owner::Contact(contact), &turn)?;
            }
        }
        Ok(())
    }
}
