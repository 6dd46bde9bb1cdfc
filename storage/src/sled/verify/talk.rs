//! What people say: contacts, conversations, and everything that is in one.

use iassistance_domain::event::{DeadWork, EventKind};
use iassistance_domain::id::{ConversationId, MessageId};
use iassistance_domain::inbound::InboundKind;
use iassistance_domain::message::Message;
use iassistance_domain::outbox::OutboxEntry;

use super::super::contacts::address;
use super::super::erasing::is_of_erased;
use super::super::keys::{
    self, ADDRESS, Addressee, CONTACT, CONVERSATION, DEAD_LETTER, EVENT, HOME, Hash, Home, INBOX, KEPT_RAW,
    Known, MESSAGE, OUTBOX, PROVIDER, SUMMARY, TURN, aside, id_in, number_in,
};
use super::super::provider::provider_hash;
use super::super::space::{Read, Result};
use super::{Found, Look, Mend};
use crate::commit::Letter;
use crate::findings::Problem;
use crate::rules::is_ours;

/// Letters that are searched for the one that a message waits in.
const LETTERS_SEARCHED: usize = 1_000;

impl<R: Read> Look<'_, R> {
    pub(super) fn contact(&mut self) -> Result<()> {
        let Some(contact) = self.open(CONTACT)? else { return Ok(()) };
        self.must_be_at(Some(contact.id.to_bytes()), 1);
        self.must_have(keys::subject_key(contact.id).bytes(), "contact's key")?;
        self.must_have_conversation(contact.conversation)?;
        if self.out.merged.contains(&contact.id.to_bytes()) {
            return Ok(());
        }
        let its = Addressee { contact: contact.id, conversation: contact.conversation };
        for (part, value) in contact.identity.parts() {
            let key = address(self.reader.space(), contact.channel, part, value);
            match self.find(&key)? {
                Found::Absent => self.disagrees("address", Mend::Addressee(key, its)),
                Found::Unreadable | Found::Aside if self.out.mending => {
                    self.disagrees("address", Mend::Addressee(key, its));
                }
                // A number that was given up becomes somebody else's.
                _ => {}
            }
        }
        Ok(())
    }

    pub(super) fn address(&mut self) -> Result<()> {
        let Some(addressee) = self.open(ADDRESS)? else { return Ok(()) };
        match self.find(&keys::contact(addressee.contact))? {
            Found::Whole(contact) if contact.conversation != addressee.conversation => {
                let its = Addressee { conversation: contact.conversation, ..addressee };
                let (Some(channel), Some(hash)) = (id_in(self.key, 1), id_in(self.key, 17)) else {
                    return Ok(());
                };
                self.disagrees("contact", Mend::Addressee(ADDRESS.key().id(channel).id(hash), its));
            }
            Found::Absent => self.tell(Problem::Missing { what: "contact".to_owned() }, Mend::SetAside),
            _ => {}
        }
        Ok(())
    }

    pub(super) fn conversation(&mut self) -> Result<()> {
        let Some(stored) = self.open(CONVERSATION)? else { return Ok(()) };
        let conversation = stored.conversation;
        self.must_be_at(Some(conversation.id.to_bytes()), 1);
        match self.find(&keys::contact(conversation.contact))? {
            Found::Absent => self.lacks("contact"),
            Found::Whole(contact) if contact.conversation != conversation.id => {
                self.disagrees("contact", Mend::Nothing);
            }
            _ => {}
        }
        let busy = keys::busy(conversation.id);
        match (conversation.is_busy(), self.reader.has(&busy)?) {
            (true, false) => self.disagrees("mark of work under way", Mend::Mark(busy.bytes().to_vec())),
            (false, true) => self.disagrees("mark of work under way", Mend::Drop(busy.bytes().to_vec())),
            _ => {}
        }
        match conversation.running_turn() {
            Some(turn) => self.must_have(keys::turn(conversation.id, turn.id).bytes(), "turn"),
            None => Ok(()),
        }
    }

    pub(super) fn busy(&mut self) -> Result<()> {
        self.by_itself()?;
        match id_in(self.key, 1).map(ConversationId::from_bytes) {
            Some(id) => self.must_have_conversation(id),
            None => Ok(()),
        }
    }

    pub(super) fn letter(&mut self) -> Result<()> {
        let Some(stored) = self.open(INBOX)? else { return Ok(()) };
        let Some(id) = id_in(self.key, 1).map(ConversationId::from_bytes) else { return Ok(()) };
        self.must_have_conversation(id)?;
        match stored.letter {
            Letter::Dispatched(report) => {
                self.must_have(keys::message(id, report.message).bytes(), "message")
            }
            Letter::Inbound { message: Some(message), event } => {
                let InboundKind::MessageReceived { provider_id, .. } = &event.kind else { return Ok(()) };
                let Some(fence) = self.fence(id)? else { return Ok(()) };
                let hash = provider_hash(self.reader.space(), fence.channel, provider_id);
                let known = Known { message, conversation: id, contact: fence.contact, ours: false };
                self.must_be_known(hash, known)
            }
            Letter::Inbound { .. } => Ok(()),
        }
    }

    /// A message is found by Meta's id.
    pub(super) fn must_be_known(&mut self, hash: Hash, known: Known) -> Result<()> {
        let mend = match self.find(&PROVIDER.key().id(hash))? {
            Found::Absent => true,
            Found::Unreadable | Found::Aside => self.out.mending,
            // Another may have that id: ours goes before what was taken for another's.
            Found::Whole(_) | Found::Newer => false,
        };
        if mend {
            self.disagrees("place by Meta's id", Mend::Known(hash, known));
        }
        Ok(())
    }

    pub(super) fn outbox(&mut self) -> Result<()> {
        let Some(entry) = self.open(OUTBOX)? else { return Ok(()) };
        let OutboxEntry { message, conversation, .. } = entry;
        self.must_be_at(Some(conversation.to_bytes()), 1);
        self.must_be_at(Some(message.to_bytes()), 25);
        self.must_have_conversation(conversation)?;
        self.must_have(keys::message(conversation, message).bytes(), "message")
    }

    pub(super) fn message(&mut self) -> Result<()> {
        let Some(message) = self.open(MESSAGE)? else { return Ok(()) };
        self.must_be_at(Some(message.conversation.to_bytes()), 1);
        self.must_be_at(Some(message.id.to_bytes()), 17);
        self.must_have_conversation(message.conversation)?;
        let Some(fence) = self.fence(message.conversation)? else { return Ok(()) };
        let Message { id, conversation, .. } = message;
        let ours = is_ours(&message);
        if ours {
            let its = Home { conversation, channel: fence.channel, contact: fence.contact };
            match self.find(&keys::home(id))? {
                Found::Absent => self.disagrees("place by its id", Mend::Home(id, its)),
                Found::Unreadable | Found::Aside if self.out.mending => {
                    self.disagrees("place by its id", Mend::Home(id, its));
                }
                Found::Whole(home) if home != its => {
                    self.disagrees("place by its id", Mend::Home(id, its));
                }
                _ => {}
            }
        }
        if let Some(provider_id) = &message.provider_id {
            let hash = provider_hash(self.reader.space(), fence.channel, provider_id);
            self.must_be_known(hash, Known { message: id, conversation, contact: fence.contact, ours })?;
        }
        Ok(())
    }

    pub(super) fn home(&mut self) -> Result<()> {
        let Some(home) = self.open(HOME)? else { return Ok(()) };
        let Some(id) = id_in(self.key, 1).map(MessageId::from_bytes) else { return Ok(()) };
        if !self.is_there(keys::message(home.conversation, id).bytes())? {
            self.tell(Problem::Missing { what: "message".to_owned() }, Mend::SetAside);
        }
        Ok(())
    }

    pub(super) fn provider(&mut self) -> Result<()> {
        let Some(known) = self.open(PROVIDER)? else { return Ok(()) };
        self.must_have_conversation(known.conversation)?;
        if !self.is_there(keys::message(known.conversation, known.message).bytes())?
            && !self.waits_in_letter(known.conversation, known.message)?
        {
            self.lacks("message");
        }
        Ok(())
    }

    /// Whether a message was taken in and is not applied yet. One whose letter was lost says so where that is
    /// set aside; where many wait, it is believed.
    pub(super) fn waits_in_letter(&self, conversation: ConversationId, message: MessageId) -> Result<bool> {
        let lost = aside(keys::letters(conversation).bytes());
        let prefix = keys::letters(conversation);
        if !self.reader.first_rows(&lost, 1)?.is_empty() {
            return Ok(true);
        }
        let letters = self.reader.first_rows(prefix.bytes(), LETTERS_SEARCHED)?;
        let is_its = |stored: &keys::StoredLetter| match &stored.letter {
            Letter::Inbound { message: id, .. } => *id == Some(message),
            Letter::Dispatched(_) => false,
        };
        Ok(letters.len() == LETTERS_SEARCHED
            || letters.iter().any(|(key, sealed)| {
                self.reader.try_open(INBOX, key, sealed).map_or(true, |stored| is_its(&stored))
            }))
    }

    pub(super) fn turn(&mut self) -> Result<()> {
        let Some(turn) = self.open(TURN)? else { return Ok(()) };
        self.must_be_at(Some(turn.conversation.to_bytes()), 1);
        self.must_be_at(Some(turn.id.to_bytes()), 17);
        self.must_have_conversation(turn.conversation)?;
        for message in turn.covers.iter().chain(&turn.sent) {
            self.must_have(keys::message(turn.conversation, *message).bytes(), "message")?;
        }
        Ok(())
    }

    pub(super) fn dead_letter(&mut self) -> Result<()> {
        let Some(letter) = self.open(DEAD_LETTER)? else { return Ok(()) };
        self.must_be_at(Some(letter.id.to_bytes()), 1);
        self.must_have_conversation(letter.conversation)?;
        match letter.work {
            DeadWork::Conversation => Ok(()),
            DeadWork::Send { message } => {
                self.must_have(keys::message(letter.conversation, message).bytes(), "message")
            }
            DeadWork::Turn { turn } => self.must_have(keys::turn(letter.conversation, turn).bytes(), "turn"),
        }
    }

    pub(super) fn event(&mut self) -> Result<()> {
        if is_of_erased(self.reader, self.sealed)? {
            // It goes when the key epoch is turned.
            return Ok(());
        }
        let Some(event) = self.open(EVENT)? else { return Ok(()) };
        if number_in(self.key, 1) != Some(event.seq.0) {
            self.tell(Problem::Misplaced, Mend::SetAside);
        }
        if event.contact.is_none() && matches!(event.kind, EventKind::WebhookKept { .. }) {
            // Who is erased is looked for in it, by this mark.
            let mark = KEPT_RAW.key().number(event.seq.0);
            if self.reader.sealed(mark.bytes())?.is_none() {
                self.disagrees("mark of a kept webhook", Mend::Mark(mark.bytes().to_vec()));
            }
        }
        match event.conversation {
            Some(_) if matches!(event.kind, EventKind::ContactErased { .. }) => Ok(()),
            Some(id) => self.must_have_conversation(id),
            None => Ok(()),
        }
    }

    pub(super) fn kept_raw(&mut self) -> Result<()> {
        self.by_itself()?;
        let Some(seq) = number_in(self.key, 1) else { return Ok(()) };
        let is_kept = match self.find(&keys::event(seq))? {
            Found::Whole(event) => matches!(event.kind, EventKind::WebhookKept { .. }),
            Found::Absent => false,
            Found::Unreadable | Found::Newer | Found::Aside => true,
        };
        if !is_kept {
            self.disagrees("event", Mend::Drop(self.key.to_vec()));
        }
        Ok(())
    }

    pub(super) fn summary(&mut self) -> Result<()> {
        let Some(stored) = self.open(SUMMARY)? else { return Ok(()) };
        let Some(id) = id_in(self.key, 1).map(ConversationId::from_bytes) else { return Ok(()) };
        self.must_have_conversation(id)?;
        match stored.summary {
            Some(summary) => self.must_have(keys::message(id, summary.until).bytes(), "message"),
            None => Ok(()),
        }
    }
}
