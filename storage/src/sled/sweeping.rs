//! What goes because its period is over, a part at a time.

use std::sync::Arc;

use iassistance_domain::Timestamp;
use iassistance_domain::id::{ContactId, ConversationId, MediaId, MessageId, moment_of};
use iassistance_domain::privacy::{Class, LegalHold, Place};

use super::erasing::{Counts, Gone, gone};
use super::hooks::indexes;
use super::keys::{
    self, CONVERSATION, DEAD_LETTER, DELIVERY, EVENT, KEPT_RAW, StoredConversation, id_in, number_in,
};
use super::space::{Page, Read, Result, Space};
use super::verify::files_of;
use super::{Core, blocking};
use crate::keeping::{Swept, SweptFrom};

/// Records that go in one write at most.
const STEP_ROWS: usize = 256;
/// Conversations that are looked through for one part of a sweep.
const CONVERSATIONS: usize = 256;

/// Due records of one part of a sweep.
#[derive(Default)]
struct Due {
    gone: Vec<Gone>,
    files: Vec<MediaId>,
    held: u64,
    next: Option<SweptFrom>,
}

struct Look<'a> {
    class: Class,
    before: Timestamp,
    holds: &'a [LegalHold],
}

impl Look<'_> {
    fn is_held(&self, contact: ContactId) -> bool {
        self.holds.iter().any(|hold| hold.covers(contact, self.class))
    }

    /// Whether a hold keeps what is of nobody in particular.
    fn holds_all(&self) -> bool {
        self.holds.iter().any(|hold| hold.covers_all(self.class))
    }

    /// Whether a hold may keep what is of somebody, where it is not known of whom.
    fn may_hold(&self) -> bool {
        self.holds.iter().any(|hold| hold.covers_class(self.class))
    }
}

impl Space {
    fn due(&self, look: &Look<'_>, from: SweptFrom) -> Result<Due> {
        match (look.class, from) {
            (Class::Message | Class::Execution, SweptFrom::Conversation(after)) => {
                self.due_of_talk(look, after)
            }
            (Class::Message | Class::Execution, _) => self.due_of_talk(look, None),
            (Class::Event, SweptFrom::Seq(after)) => self.due_events(look, after),
            (Class::Event, _) => self.due_events(look, 0),
            (Class::Webhook, SweptFrom::Key(after)) => self.due_deliveries_of_class(look, Some(&after)),
            (Class::Webhook, _) => self.due_deliveries_of_class(look, None),
            (Class::DeadLetter, _) => self.due_dead_letters(look),
            _ => Ok(Due::default()),
        }
    }

    /// Messages with their files and summaries, or execution records, of the next conversations. Each one's are
    /// in the order of time: as soon as one is young, the rest is.
    fn due_of_talk(&self, look: &Look<'_>, after: Option<ConversationId>) -> Result<Due> {
        let after = after.map(keys::conversation);
        let page = after.as_ref().map_or(Page::First, |after| Page::After(after.bytes()));
        let rows = self.rows(CONVERSATION.key().bytes(), page, CONVERSATIONS)?;
        let mut due = Due::default();
        for (key, _) in &rows {
            let Some(id) = id_in(key, 1).map(ConversationId::from_bytes) else { continue };
            self.due_in(look, id, &mut due)?;
            due.next = Some(SweptFrom::Conversation(Some(id)));
            if due.gone.len() >= STEP_ROWS {
                // The same conversation may have more: it is looked through again.
                let before = rows.iter().take_while(|(other, _)| other < key).last();
                let before = before.and_then(|(key, _)| id_in(key, 1)).map(ConversationId::from_bytes);
                due.next = Some(SweptFrom::Conversation(before.or_else(|| {
                    after.as_ref().and_then(|key| id_in(key.bytes(), 1)).map(ConversationId::from_bytes)
                })));
                return Ok(due);
            }
        }
        if rows.len() < CONVERSATIONS {
            due.next = None;
        }
        Ok(due)
    }

    fn due_in(&self, look: &Look<'_>, id: ConversationId, due: &mut Due) -> Result<()> {
        let (prefix, place) = match look.class {
            Class::Message => (keys::messages(id).bytes().to_vec(), Place::Messages),
            _ => (keys::turns(id).bytes().to_vec(), Place::Executions),
        };
        let rows = self.rows(&prefix, Page::First, STEP_ROWS - due.gone.len())?;
        let is_due = |key: &[u8]| id_in(key, 17).is_none_or(|id| moment_of(id) < look.before);
        let mut old = rows.iter().take_while(|(key, _)| is_due(key)).peekable();
        if old.peek().is_none() {
            return Ok(());
        }
        // One whose record does not open is told of elsewhere, and its messages are not looked at.
        let Some(fence) = self.get_readable(&keys::fence(id))? else { return Ok(()) };
        let is_held = look.is_held(fence.state.contact);
        for (key, sealed) in old {
            if is_held {
                due.held += 1;
                continue;
            }
            due.files.extend(files_of(self, key, sealed));
            due.gone.push(gone(self, Some(fence.state.channel), place, key, sealed));
        }
        if place == Place::Messages && !is_held {
            // It tells of what goes. What is left is summed up anew when it is needed.
            due.gone.push(Gone::row(Place::Summaries, keys::summary(id).bytes()));
        }
        Ok(())
    }

    fn due_events(&self, look: &Look<'_>, after: u64) -> Result<Due> {
        let mut due = Due::default();
        let rows = self.rows(EVENT.key().bytes(), Page::After(keys::event(after).bytes()), STEP_ROWS)?;
        let (count, mut last) = (rows.len(), after);
        for (key, sealed) in rows {
            let seq = number_in(&key, 1).unwrap_or_default();
            let opened = self.try_open(EVENT, &key, &sealed);
            if opened.as_ref().is_ok_and(|event| event.at >= look.before) {
                return Ok(due);
            }
            last = seq;
            // One that does not open says no moment: it is left to the doctor, or to the turn of the epoch.
            let Ok(event) = opened else { continue };
            let is_held = event.contact.map_or(look.holds_all(), |of| look.is_held(of));
            if is_held {
                due.held += 1;
                continue;
            }
            let mut gone = Gone::row(Place::Events, &key);
            gone.beside.push(KEPT_RAW.key().number(seq).bytes().to_vec());
            due.gone.push(gone);
        }
        due.next = (count == STEP_ROWS).then_some(SweptFrom::Seq(last));
        Ok(due)
    }

    fn due_deliveries_of_class(&self, look: &Look<'_>, after: Option<&[u8]>) -> Result<Due> {
        let mut due = Due::default();
        let page = after.map_or(Page::First, Page::After);
        let rows = self.rows(DELIVERY.key().bytes(), page, STEP_ROWS)?;
        let is_last = rows.len() < STEP_ROWS;
        for (key, sealed) in &rows {
            let Ok(delivery) = self.try_open(DELIVERY, key, sealed) else { continue };
            if delivery.created_at >= look.before {
                continue;
            }
            if self.keeps(look, delivery.conversation)? {
                due.held += 1;
                continue;
            }
            let mut gone = Gone::row(Place::Webhooks, key);
            gone.beside.extend(indexes(&delivery).map(|index| index.bytes().to_vec()));
            due.gone.push(gone);
        }
        due.next = (!is_last).then(|| rows.last().map(|(key, _)| SweptFrom::Key(key.to_vec()))).flatten();
        Ok(due)
    }

    fn due_dead_letters(&self, look: &Look<'_>) -> Result<Due> {
        let mut due = Due::default();
        for (key, sealed) in self.rows(DEAD_LETTER.key().bytes(), Page::First, usize::MAX)? {
            if id_in(&key, 1).is_some_and(|id| moment_of(id) >= look.before) {
                break;
            }
            // One that does not open does not say whose it is.
            let is_held = match self.try_open(DEAD_LETTER, &key, &sealed) {
                Ok(letter) => self.keeps(look, Some(letter.conversation))?,
                Err(_) => look.may_hold(),
            };
            if is_held { due.held += 1 } else { due.gone.push(Gone::row(Place::DeadLetters, &key)) }
        }
        Ok(due)
    }

    /// Whether a hold keeps what belongs to a conversation, or to none.
    fn keeps(&self, look: &Look<'_>, conversation: Option<ConversationId>) -> Result<bool> {
        let Some(id) = conversation.filter(|_| !look.holds.is_empty()) else { return Ok(look.holds_all()) };
        let fence = self.get_readable(&keys::fence(id))?;
        Ok(fence.map_or_else(|| look.may_hold(), |fence| look.is_held(fence.state.contact)))
    }

    /// Contacts in whose conversation nothing was said since a moment, of the next conversations. Blocking.
    pub(super) fn silent(
        &self,
        before: Timestamp,
        after: Option<ConversationId>,
        limit: usize,
    ) -> Result<(Vec<ContactId>, Option<ConversationId>)> {
        let after = after.map(keys::conversation);
        let page = after.as_ref().map_or(Page::First, |after| Page::After(after.bytes()));
        let rows = self.rows(CONVERSATION.key().bytes(), page, limit)?;
        let next = rows.last().filter(|_| rows.len() == limit).and_then(|(key, _)| id_in(key, 1));
        let mut silent = Vec::new();
        for (key, sealed) in rows {
            let Ok(StoredConversation { conversation, .. }) = self.try_open(CONVERSATION, &key, &sealed)
            else {
                continue;
            };
            let last = self.rows(keys::messages(conversation.id).bytes(), Page::Last, 1)?.pop();
            let last = last.and_then(|(key, _)| id_in(&key, 17)).map(MessageId::from_bytes);
            if conversation.heard_at(last) < before && !conversation.is_busy() {
                silent.push(conversation.contact);
            }
        }
        Ok((silent, next.map(ConversationId::from_bytes)))
    }
}

impl Core {
    /// One part of a sweep.
    pub(super) async fn sweep_class(
        &self,
        space: &Arc<Space>,
        class: Class,
        before: Timestamp,
        holds: Vec<LegalHold>,
        from: SweptFrom,
    ) -> Result<Swept> {
        let reader = Arc::clone(space);
        let due = blocking(move || reader.due(&Look { class, before, holds: &holds }, from)).await?;
        let Due { mut gone, files, held, next } = due;
        let (mut counts, now) = (Counts::new(), self.clock.now());
        while !gone.is_empty() {
            let rest = gone.split_off(gone.len().min(STEP_ROWS));
            self.remove(space, std::mem::replace(&mut gone, rest), now, &mut counts).await?;
        }
        counts.remove(&Place::Summaries);
        Ok(Swept { removed: counts.values().sum(), files, held, next })
    }
}
