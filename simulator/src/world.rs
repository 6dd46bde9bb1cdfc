//! What the simulator remembers: contacts, their messages and what was counted. All in memory, all bounded.

use std::collections::{BTreeMap, HashMap, VecDeque};

use iassistance_domain::Timestamp;
use serde::Serialize;

use crate::accounts::Account;
use crate::contacts::{Contact, Contacts, NewContact, Pair, Rate};
use crate::shown::{Shown, ShownKind};

/// How many messages a simulator keeps; the oldest go first.
pub const MESSAGES_MAX: usize = 100_000;
const COMMENTS_MAX: usize = 10_000;

/// Which way a message went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// The contact wrote it.
    FromContact,
    /// A business sent it.
    ToContact,
}

/// Who made a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Author {
    /// The contact.
    Contact,
    /// The server under test, through the Graph API.
    App,
    /// The business's owner, on their phone or in the Page's inbox.
    Owner,
}

/// The mark beside a message. Of a contact's own: sent, taken by the server (200), marked as read by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Tick {
    /// Accepted, no status yet.
    Accepted,
    /// One tick.
    Sent,
    /// Two ticks.
    Delivered,
    /// Two blue ticks.
    Read,
    /// It never arrived.
    Failed,
}

/// One message of a transcript.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TranscriptItem {
    /// Meta's name for the message: a wamid, or the mid of Messenger and Instagram.
    pub wamid: String,
    /// The business's account: the `phone_number_id` of a number, the id of a Page or Instagram account.
    pub phone_number_id: String,
    /// Which way it went.
    pub direction: Direction,
    /// Who made it.
    pub author: Author,
    /// When it was written or accepted.
    pub at: Timestamp,
    /// Its text.
    pub text: String,
    /// How far it got.
    pub tick: Tick,
    /// The message that it quotes.
    pub quoting: Option<String>,
    /// The `biz_opaque_callback_data` of a send, or the `metadata` of Messenger.
    pub opaque: Option<String>,
    /// The Graph code with which it failed.
    pub error_code: Option<u32>,
    /// How it is shown.
    pub shown: Shown,
    /// The contact's reaction to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contact_reaction: Option<String>,
    /// The business's reaction to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub business_reaction: Option<String>,
    /// How often its words were changed.
    pub edits: u32,
    /// It was taken back; its words are gone.
    pub removed: bool,
}

impl TranscriptItem {
    /// A text that was just made; the rest is filled in where it differs.
    pub(crate) fn new(account: &str, author: Author, at: Timestamp, text: String) -> Self {
        let from_contact = author == Author::Contact;
        Self {
            wamid: String::new(),
            phone_number_id: account.to_owned(),
            direction: if from_contact { Direction::FromContact } else { Direction::ToContact },
            author,
            at,
            text,
            tick: Tick::Sent,
            quoting: None,
            opaque: None,
            error_code: None,
            shown: Shown::default(),
            contact_reaction: None,
            business_reaction: None,
            edits: 0,
            removed: false,
        }
    }
}

/// A send that was accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AcceptedSend {
    /// When.
    pub at: Timestamp,
    /// The business's account: the `phone_number_id` of a number, the id of a Page or Instagram account.
    pub phone_number_id: String,
    /// The contact's number.
    pub to: String,
    /// The text: what was written, a caption, a title, or the emoji of a reaction.
    pub text: String,
    /// How it is shown.
    pub shown: Shown,
    /// The `biz_opaque_callback_data`, or the `metadata` of Messenger.
    pub opaque: Option<String>,
    /// The message that it quotes.
    pub quoting: Option<String>,
    /// The id that the sender was (or, with a fault, was not) told.
    pub wamid: String,
}

/// What was counted since the start.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Counters {
    /// Messages that contacts wrote.
    pub inbound_messages: u64,
    /// Sends that were accepted.
    pub sends_accepted: u64,
    /// Sends that were refused, by Graph code.
    pub sends_refused: BTreeMap<u32, u64>,
    /// Accepted sends whose `biz_opaque_callback_data` that contact had been sent before.
    pub duplicates: u64,
    /// Accepted sends whose text that contact had been sent before.
    pub repeated_texts: u64,
    /// Messages that the server marked as read (a mark covers the earlier ones too).
    pub messages_read: u64,
    /// Typing indicators that the server showed.
    pub typing_indicators: u64,
    /// Status webhooks, by status; `dropped` counts those that a fault swallowed.
    pub statuses: BTreeMap<&'static str, u64>,
    /// Typing, seen and reaction actions on Messenger and Instagram.
    pub sender_actions: u64,
    /// Faults that happened, to sends, media and the model.
    pub faults: u64,
}

/// A message and whose it is.
pub(crate) struct Message {
    pub wa_id: String,
    pub item: TranscriptItem,
}

/// A public comment, which may be answered in private once.
pub(crate) struct Comment {
    pub wa_id: String,
    pub account: String,
    pub at: Timestamp,
    pub answered: bool,
}

/// The comments of the last days.
#[derive(Default)]
pub(crate) struct Comments {
    by_id: HashMap<String, Comment>,
    in_order: VecDeque<String>,
}

impl Comments {
    pub fn keep(&mut self, id: String, comment: Comment) {
        if self.in_order.len() >= COMMENTS_MAX
            && let Some(oldest) = self.in_order.pop_front()
        {
            self.by_id.remove(&oldest);
        }
        self.in_order.push_back(id.clone());
        self.by_id.insert(id, comment);
    }

    pub fn get_mut(&mut self, id: &str) -> Option<&mut Comment> {
        self.by_id.get_mut(id)
    }

    pub fn get(&self, id: &str) -> Option<&Comment> {
        self.by_id.get(id)
    }
}

/// Everything that is remembered.
#[derive(Default)]
pub(crate) struct World {
    pub contacts: Contacts,
    pub counters: Counters,
    pub number_rates: HashMap<String, Rate>,
    pub comments: Comments,
    messages: VecDeque<Message>,
    first: u64,
    by_wamid: HashMap<String, u64>,
}

impl World {
    /// The contact of this name, number or user id, added if there is none.
    pub fn find_or_add(&mut self, who: &str) -> Result<(String, bool), crate::SimulatorError> {
        if let Some(found) = self.contacts.find(who) {
            return Ok((found, false));
        }
        let wa_id = crate::contacts::phone_digits(who);
        let contact = self.contacts.add(NewContact { name: who.to_owned(), wa_id, hides_number: false })?;
        Ok((contact.wa_id, true))
    }

    /// The contact moves to another number, with all that was said.
    pub fn renumber(&mut self, wa_id: &str, new: &str) -> Result<Contact, crate::SimulatorError> {
        let contact = self.contacts.renumber(wa_id, new)?;
        for message in self.messages.iter_mut().filter(|message| message.wa_id == wa_id) {
            message.wa_id.clone_from(&contact.wa_id);
        }
        Ok(contact)
    }

    /// How many messages are kept now.
    pub fn messages_kept(&self) -> usize {
        self.messages.len()
    }

    /// Keeps a message of a contact that is known; the oldest of all goes when there are too many.
    pub fn keep(&mut self, wa_id: &str, item: TranscriptItem) {
        if self.messages.len() >= MESSAGES_MAX {
            self.forget_oldest();
        }
        let seq = self.first + self.messages.len() as u64;
        let Some(entry) = self.contacts.get_mut(wa_id) else { return };
        entry.messages.push_back(seq);
        match item.author {
            Author::Contact => {
                self.counters.inbound_messages += 1;
                // A public comment is no message: it opens nothing.
                if item.shown.kind != ShownKind::Comment {
                    entry.pairs.entry(item.phone_number_id.clone()).or_default().last_inbound = Some(item.at);
                }
            }
            Author::Owner => {}
            Author::App => {
                self.counters.sends_accepted += 1;
                let texts = entry.texts.entry(item.text.clone()).or_default();
                self.counters.repeated_texts += u64::from(*texts > 0);
                *texts += 1;
                if let Some(opaque) = &item.opaque {
                    let seen = entry.opaques.entry(opaque.clone()).or_default();
                    self.counters.duplicates += u64::from(*seen > 0);
                    *seen += 1;
                }
            }
        }
        self.by_wamid.insert(item.wamid.clone(), seq);
        self.messages.push_back(Message { wa_id: wa_id.to_owned(), item });
    }

    fn forget_oldest(&mut self) {
        let Some(oldest) = self.messages.pop_front() else { return };
        self.first += 1;
        self.by_wamid.remove(&oldest.item.wamid);
        let Some(entry) = self.contacts.get_mut(&oldest.wa_id) else { return };
        entry.messages.pop_front();
        if oldest.item.author == Author::App {
            count_down(&mut entry.texts, &oldest.item.text);
            if let Some(opaque) = &oldest.item.opaque {
                count_down(&mut entry.opaques, opaque);
            }
        }
    }

    fn at(&self, seq: u64) -> Option<&Message> {
        self.messages.get(usize::try_from(seq.checked_sub(self.first)?).ok()?)
    }

    fn at_mut(&mut self, seq: u64) -> Option<&mut Message> {
        self.messages.get_mut(usize::try_from(seq.checked_sub(self.first)?).ok()?)
    }

    /// A message that is still kept.
    pub fn message(&self, wamid: &str) -> Option<&Message> {
        self.at(*self.by_wamid.get(wamid)?)
    }

    pub fn message_mut(&mut self, wamid: &str) -> Option<&mut Message> {
        let seq = *self.by_wamid.get(wamid)?;
        self.at_mut(seq)
    }

    /// A contact's message with an account, by id; `last` is the newest that fits.
    pub fn find_message(
        &self,
        wa_id: &str,
        account: &str,
        wamid: &str,
        fits: impl Fn(&TranscriptItem) -> bool,
    ) -> Option<&TranscriptItem> {
        if wamid != "last" {
            let message = self.message(wamid)?;
            let theirs = message.wa_id == wa_id && message.item.phone_number_id == account;
            return theirs.then_some(&message.item);
        }
        let seqs = self.contacts.get(wa_id)?.messages.iter().rev();
        let items = seqs.filter_map(|seq| self.at(*seq)).map(|message| &message.item);
        items.filter(|item| item.phone_number_id == account).find(|item| fits(item))
    }

    /// What lies between a contact and an account.
    pub fn pair(&self, wa_id: &str, account: &Account) -> Option<&Pair> {
        self.contacts.get(wa_id)?.pairs.get(account.id())
    }

    pub fn pair_mut(&mut self, wa_id: &str, account: &Account) -> Option<&mut Pair> {
        let entry = self.contacts.get_mut(wa_id)?;
        Some(entry.pairs.entry(account.id().to_owned()).or_default())
    }

    /// The contact's id with a Page or Instagram account, made at the first meeting.
    pub fn scoped_id(&mut self, wa_id: &str, account: &Account) -> Option<String> {
        if let Some(known) = self.pair(wa_id, account).and_then(|pair| pair.scoped_id.clone()) {
            return Some(known);
        }
        let made = self.contacts.make_up_scoped(wa_id, account.product());
        self.pair_mut(wa_id, account)?.scoped_id = Some(made.clone());
        Some(made)
    }

    /// Moves a message's tick on, never back; the contact's number when that changed something.
    pub fn tick(&mut self, wamid: &str, tick: Tick, error_code: Option<u32>) -> Option<String> {
        let seq = *self.by_wamid.get(wamid)?;
        let message = self.at_mut(seq)?;
        if message.item.tick >= tick {
            return None;
        }
        message.item.tick = tick;
        message.item.error_code = error_code;
        Some(message.wa_id.clone())
    }

    /// Marks an inbound message of that number and the earlier ones as read (Meta: "mark messages as read").
    /// Answers the contact and the wamids that turned blue, or nothing when there is no such message.
    pub fn mark_read(&mut self, phone_number_id: &str, wamid: &str) -> Option<(String, Vec<String>)> {
        let seq = *self.by_wamid.get(wamid)?;
        let marked = self.at(seq)?;
        let inbound = |item: &TranscriptItem| {
            item.direction == Direction::FromContact && item.phone_number_id == phone_number_id
        };
        if !inbound(&marked.item) {
            return None;
        }
        let wa_id = marked.wa_id.clone();
        // What was read before was read with all that came before it.
        let unread = |seq: &u64| {
            self.at(*seq).is_some_and(|other| !(inbound(&other.item) && other.item.tick == Tick::Read))
        };
        let kept = &self.contacts.get(&wa_id)?.messages;
        let earlier = kept.iter().rev().copied().skip_while(|other| *other > seq).take_while(unread);
        let earlier: Vec<u64> = earlier.collect();
        let mut turned = Vec::new();
        for other in earlier {
            if let Some(message) = self.at_mut(other).filter(|message| inbound(&message.item)) {
                message.item.tick = Tick::Read;
                turned.push(message.item.wamid.clone());
            }
        }
        self.counters.messages_read += turned.len() as u64;
        Some((wa_id, turned))
    }

    /// A contact's messages, oldest first.
    pub fn transcript(&self, wa_id: &str) -> Vec<TranscriptItem> {
        self.newest(wa_id, usize::MAX)
    }

    /// So many of a contact's newest messages, oldest first.
    pub fn newest(&self, wa_id: &str, count: usize) -> Vec<TranscriptItem> {
        let Some(entry) = self.contacts.get(wa_id) else { return Vec::new() };
        let older = entry.messages.len().saturating_sub(count);
        let newest = entry.messages.iter().skip(older).filter_map(|seq| self.at(*seq));
        newest.map(|message| message.item.clone()).collect()
    }

    /// The accepted sends that are still kept, oldest first: those to one contact, or all.
    pub fn sends(&self, wa_id: Option<&str>) -> Vec<AcceptedSend> {
        let accepted = |message: &Message| {
            (message.item.author == Author::App).then(|| AcceptedSend {
                at: message.item.at,
                phone_number_id: message.item.phone_number_id.clone(),
                to: message.wa_id.clone(),
                text: message.item.text.clone(),
                shown: message.item.shown.clone(),
                opaque: message.item.opaque.clone(),
                quoting: message.item.quoting.clone(),
                wamid: message.item.wamid.clone(),
            })
        };
        let Some(wa_id) = wa_id else { return self.messages.iter().filter_map(accepted).collect() };
        let Some(entry) = self.contacts.get(wa_id) else { return Vec::new() };
        entry.messages.iter().filter_map(|seq| self.at(*seq)).filter_map(accepted).collect()
    }
}

fn count_down(counts: &mut HashMap<String, u64>, key: &str) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(n: usize, direction: Direction) -> TranscriptItem {
        let author = if direction == Direction::ToContact { Author::App } else { Author::Contact };
        TranscriptItem {
            wamid: format!("w{n}"),
            opaque: Some(format!("o{n}")),
            ..TranscriptItem::new("1", author, Timestamp::EPOCH, format!("t{n}"))
        }
    }

    #[test]
    fn the_oldest_messages_are_forgotten_whole() {
        let mut world = World::default();
        let (ana, added) = world.find_or_add("ana").unwrap();
        assert!(added);
        for n in 0..MESSAGES_MAX + 2 {
            world.keep(&ana, item(n, Direction::ToContact));
        }
        assert_eq!(world.messages_kept(), MESSAGES_MAX);
        assert_eq!(world.sends(Some(&ana)).first().map(|send| send.wamid.clone()), Some("w2".into()));
        assert_eq!(world.tick("w1", Tick::Read, None), None);
        let entry = world.contacts.get(&ana).unwrap();
        assert_eq!((entry.texts.len(), entry.opaques.len()), (MESSAGES_MAX, MESSAGES_MAX));
        assert_eq!(world.counters.sends_accepted, MESSAGES_MAX as u64 + 2);
    }

    #[test]
    fn reading_a_message_reads_the_earlier_ones_and_ticks_never_go_back() {
        let mut world = World::default();
        let (ana, _) = world.find_or_add("ana").unwrap();
        for n in 0..4 {
            world.keep(&ana, item(n, Direction::FromContact));
        }
        assert_eq!(world.mark_read("1", "w2").map(|(_, turned)| turned.len()), Some(3));
        assert_eq!(world.mark_read("1", "w3").map(|(_, turned)| turned.len()), Some(1));
        assert!(world.mark_read("2", "w3").is_none());
        assert_eq!(world.tick("w0", Tick::Delivered, None), None);
        assert!(world.transcript(&ana).iter().all(|item| item.tick == Tick::Read));
    }
}
