//! Erasing people: all records that are theirs go, a part at a time so that others' writes come between,
//! and in the last write their keys, and what leads to them.
//!
//! Until that last write everything is found again from who they are, so an erasure that was interrupted is
//! simply begun anew. What their keys sealed and no walk through the tenant's records is worth (their events in
//! the log) cannot be opened from then on, and goes when the key epoch is turned.

use std::collections::BTreeMap;
use std::sync::Arc;

use iassistance_domain::Timestamp;
use iassistance_domain::contact::ContactIdentity;
use iassistance_domain::event::{Event, EventKind, EventSeq};
use iassistance_domain::id::{ChannelId, ContactId, ConversationId, MediaId};
use iassistance_domain::inbound::{InboundEvent, InboundKind};
use iassistance_domain::pii::Deliver;
use iassistance_domain::privacy::{Class, Place};
use iassistance_domain::subscription::DeliveryState;
use iassistance_vault::subject_of;

use super::contacts::address;
use super::hooks::indexes;
use super::keys::{
    self, ANSWER, DEAD_LETTER, DEDUP, EVENT, Hash, INBOX, KEPT_RAW, MESSAGE, PARKED, PROVIDER, RESERVATION,
    SET_ASIDE, SUBSCRIPTION, aside, conversation_in, id_in, number_in,
};
use super::line::Urgency;
use super::provider::{parked_since, provider_hash};
use super::quarantine::unframe;
use super::space::{Page, Read, Result, Space};
use super::tx::{Owner, Tx};
use super::verify::files_of;
use super::{Core, blocking};
use crate::commit::Letter;
use crate::keeping::Person;
use crate::rules::names_of;

/// Records that go in one write at most.
const STEP_ROWS: usize = 256;
/// Days back for which sums of what was spent on a contact are kept.
const SUM_DAYS: u64 = crate::limits::SUMS_KEPT_DAYS + 1;

/// A record that goes, with what leads to it.
pub(super) struct Gone {
    pub(super) place: Place,
    pub(super) key: Vec<u8>,
    /// Index rows that go with it.
    pub(super) beside: Vec<Vec<u8>>,
    /// What keeps Meta's repetitions of it out, once it is gone.
    pub(super) mark: Option<Hash>,
}

impl Gone {
    pub(super) fn row(place: Place, key: &[u8]) -> Self {
        Self { place, key: key.to_vec(), beside: Vec::new(), mark: None }
    }
}

/// What of a conversation goes with which class, and where that is.
const OF_TALK: [(Class, Place); 7] = [
    (Class::Message, Place::Inbox),
    (Class::Message, Place::Outbox),
    (Class::Message, Place::Messages),
    (Class::Message, Place::Summaries),
    (Class::Execution, Place::Executions),
    (Class::Contact, Place::Spending),
    (Class::Contact, Place::Conversations),
];

/// The beginning of the keys of what a conversation has at a place; of its own record nothing, which goes last.
fn prefix(place: Place, id: ConversationId) -> Option<Vec<u8>> {
    Some(match place {
        Place::Inbox => keys::letters(id).bytes().to_vec(),
        Place::Outbox => keys::outbox(id).bytes().to_vec(),
        Place::Messages => keys::messages(id).bytes().to_vec(),
        Place::Summaries => keys::summary(id).bytes().to_vec(),
        Place::Executions => keys::turns(id).bytes().to_vec(),
        Place::Spending => keys::spent_in(id).bytes().to_vec(),
        Place::Conversations => keys::busy(id).bytes().to_vec(),
        _ => return None,
    })
}

/// A record of a conversation, with what leads to it.
pub(super) fn gone<R: Read>(
    reader: &R,
    channel: Option<ChannelId>,
    place: Place,
    key: &[u8],
    sealed: &[u8],
) -> Gone {
    let mut gone = Gone::row(place, key);
    let provider_id = match key.first() {
        Some(&code) if code == MESSAGE.code => {
            if let Some(id) = id_in(key, 17) {
                gone.beside
                    .push(keys::home(iassistance_domain::id::MessageId::from_bytes(id)).bytes().to_vec());
            }
            reader.try_open(MESSAGE, key, sealed).ok().and_then(|message| message.provider_id)
        }
        Some(&code) if code == INBOX.code => match reader.try_open(INBOX, key, sealed).map(|it| it.letter) {
            Ok(Letter::Inbound { event, .. }) => match event.kind {
                InboundKind::MessageReceived { provider_id, .. }
                | InboundKind::EchoReceived { provider_id, .. } => Some(provider_id),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    };
    if let (Some(channel), Some(provider_id)) = (channel, provider_id) {
        let hash = provider_hash(reader.space(), channel, &provider_id);
        gone.beside.push(PROVIDER.key().id(hash).bytes().to_vec());
        gone.mark = Some(hash);
    }
    gone
}

/// Who people are, as far as it is known before they go.
struct Known {
    identities: Vec<(ChannelId, ContactIdentity)>,
    channels: BTreeMap<ConversationId, ChannelId>,
}

impl Space {
    /// All who proved to be the same person as this contact, with their conversations and files. Blocking.
    pub(super) fn person(&self, contact: ContactId) -> Result<Person> {
        let mut person = Person::default();
        let mut wanted = vec![contact];
        while let Some(id) = wanted.pop() {
            if person.contacts.contains(&id) {
                continue;
            }
            let known = self.get_readable(&keys::contact(id))?;
            if known.is_some() || self.has(&keys::subject_key(id))? {
                person.contacts.push(id);
            }
            let Some(known) = known else { continue };
            person.conversations.push(known.conversation);
            wanted.extend(&known.merged);
            for (part, value) in known.identity.parts() {
                let whose = self.get_readable(&address(self, known.channel, part, value))?;
                wanted.extend(whose.map(|whose| whose.contact));
            }
        }
        for id in &person.conversations {
            person.files.extend(self.files_in(*id)?);
        }
        Ok(person)
    }

    fn files_in(&self, conversation: ConversationId) -> Result<Vec<MediaId>> {
        let prefix = keys::messages(conversation);
        let (mut files, mut last) = (Vec::new(), None::<::sled::IVec>);
        loop {
            let page = last.as_ref().map_or(Page::First, |last| Page::After(last));
            let rows = self.rows(prefix.bytes(), page, STEP_ROWS)?;
            for (key, sealed) in &rows {
                files.extend(files_of(self, key, sealed));
            }
            match rows.last() {
                Some((key, _)) if rows.len() == STEP_ROWS => last = Some(key.clone()),
                _ => return Ok(files),
            }
        }
    }

    fn known(&self, person: &Person) -> Result<Known> {
        let mut known = Known { identities: Vec::new(), channels: BTreeMap::new() };
        for id in &person.contacts {
            let Some(contact) = self.get_readable(&keys::contact(*id))? else { continue };
            known.channels.insert(contact.conversation, contact.channel);
            known.identities.push((contact.channel, contact.identity));
        }
        Ok(known)
    }

    /// The next records of their conversations. Blocking.
    fn next_of_talk(&self, person: &Person, keep: &[Class]) -> Result<Vec<Gone>> {
        let known = self.known(person)?;
        let mut found = Vec::new();
        for id in &person.conversations {
            let channel = known.channels.get(id).copied();
            for (_, place) in OF_TALK.iter().filter(|(class, _)| !keep.contains(class)) {
                let Some(prefix) = prefix(*place, *id) else { continue };
                for (key, sealed) in self.rows(&prefix, Page::First, STEP_ROWS - found.len())? {
                    found.push(gone(self, channel, *place, &key, &sealed));
                }
                if found.len() >= STEP_ROWS {
                    return Ok(found);
                }
            }
        }
        Ok(found)
    }

    /// What of theirs is beside their conversations. Blocking.
    fn beside_talk(&self, person: &Person, keep: &[Class], now: Timestamp) -> Result<Vec<Gone>> {
        let known = self.known(person)?;
        let mut found = Vec::new();
        let goes = |class| !keep.contains(&class);
        if goes(Class::DeadLetter) {
            self.dead_letters_of(person, &mut found)?;
        }
        if goes(Class::Contact) {
            self.money_of(person, now, &mut found)?;
        }
        if goes(Class::Message) {
            self.answers_of(person, &mut found)?;
            self.parked_of(&known, &mut found)?;
            self.kept_of(&known, &mut found)?;
        }
        if goes(Class::Webhook) {
            self.deliveries_of(person, &mut found)?;
        }
        if keep.is_empty() {
            self.aside_of(person, &mut found)?;
        }
        Ok(found)
    }

    fn dead_letters_of(&self, person: &Person, found: &mut Vec<Gone>) -> Result<()> {
        for (key, letter) in self.list(&DEAD_LETTER.key(), Page::First, usize::MAX)? {
            if person.conversations.contains(&letter.conversation) {
                found.push(Gone::row(Place::DeadLetters, &key));
            }
        }
        Ok(())
    }

    fn money_of(&self, person: &Person, now: Timestamp, found: &mut Vec<Gone>) -> Result<()> {
        for (key, reserved) in self.list(&RESERVATION.key(), Page::First, usize::MAX)? {
            if person.contacts.contains(&reserved.contact) {
                found.push(Gone::row(Place::Spending, &key));
            }
        }
        let today = iassistance_domain::budget::Day::of(now).0;
        for contact in &person.contacts {
            for day in today.saturating_sub(SUM_DAYS)..=today.saturating_add(1) {
                let key = keys::spent_on(*contact, iassistance_domain::budget::Day(day));
                if self.has(&key)? {
                    found.push(Gone::row(Place::Spending, key.bytes()));
                }
            }
        }
        Ok(())
    }

    /// What was answered to requests about them: found by the ids in it.
    fn answers_of(&self, person: &Person, found: &mut Vec<Gone>) -> Result<()> {
        let ids: Vec<String> = person.contacts.iter().map(ToString::to_string).collect();
        let ids: Vec<String> =
            ids.into_iter().chain(person.conversations.iter().map(ToString::to_string)).collect();
        for (key, answer) in self.list(&ANSWER.key(), Page::First, usize::MAX)? {
            let body = answer.body.as_ref().map_or("", |body| body.reveal(Deliver).as_str());
            let location = answer.location.as_deref().unwrap_or_default();
            if ids.iter().any(|id| body.contains(id.as_str()) || location.contains(id.as_str())) {
                found.push(Gone::row(Place::Answers, &key));
            }
        }
        Ok(())
    }

    /// Reports that wait for a message and name them.
    fn parked_of(&self, known: &Known, found: &mut Vec<Gone>) -> Result<()> {
        if self.counters().parked == 0 {
            return Ok(());
        }
        for (key, parked) in self.list(&PARKED.key(), Page::First, usize::MAX)? {
            if names(known, &parked.event)
                && let Some(hash) = id_in(&key, 1)
            {
                let mut gone = Gone::row(Place::Parked, &key);
                gone.beside.push(parked_since(&key, hash, &parked));
                found.push(gone);
            }
        }
        Ok(())
    }

    /// Webhooks that were kept as they came, in the log, and speak of them.
    fn kept_of(&self, known: &Known, found: &mut Vec<Gone>) -> Result<()> {
        for (mark, _) in self.rows(KEPT_RAW.key().bytes(), Page::First, usize::MAX)? {
            let Some(seq) = number_in(&mark, 1) else { continue };
            let key = keys::event(seq);
            let Some(event) = self.get_readable(&key)? else { continue };
            let EventKind::WebhookKept { raw, .. } = &event.kind else { continue };
            let raw = raw.reveal(Deliver);
            let speaks = known
                .identities
                .iter()
                .flat_map(|(_, identity)| identity.parts())
                .any(|(_, value)| raw.contains(value.reveal(Deliver).as_str()));
            if speaks {
                let mut gone = Gone::row(Place::Events, key.bytes());
                gone.beside.push(mark.to_vec());
                found.push(gone);
            }
        }
        Ok(())
    }

    /// Events of theirs that wait to be sent to the tenant's systems. Those that arrived hold ids alone, and go
    /// when the epoch is turned.
    fn deliveries_of(&self, person: &Person, found: &mut Vec<Gone>) -> Result<()> {
        for (_, subscription) in self.list(&SUBSCRIPTION.key(), Page::First, usize::MAX)? {
            for state in [DeliveryState::Waiting, DeliveryState::Dead] {
                let index = keys::deliveries_in(subscription.id, state);
                let record = |id| keys::deliveries(subscription.id).id(id);
                for delivery in self.through(&index, None, usize::MAX, record)? {
                    if delivery.conversation.is_some_and(|id| person.conversations.contains(&id)) {
                        let key = keys::delivery(subscription.id, delivery.id);
                        let mut gone = Gone::row(Place::Webhooks, key.bytes());
                        gone.beside.extend(indexes(&delivery).map(|index| index.bytes().to_vec()));
                        found.push(gone);
                    }
                }
            }
        }
        Ok(())
    }

    /// What was set aside of theirs: by whose key sealed it, or by its own key.
    fn aside_of(&self, person: &Person, found: &mut Vec<Gone>) -> Result<()> {
        for (key, framed) in self.rows(&[SET_ASIDE.code], Page::First, usize::MAX)? {
            let sealed_by = unframe(&framed).and_then(|(_, sealed)| subject_of(sealed));
            let own = key.get(1..).unwrap_or_default();
            let of_talk = conversation_in(own).is_some_and(|id| person.conversations.contains(&id));
            let of_contact = [keys::CONTACT.code, keys::SUBJECT_KEY.code].contains(own.first().unwrap_or(&0))
                && id_in(own, 1).is_some_and(|id| person.contacts.contains(&ContactId::from_bytes(id)));
            if of_talk || of_contact || sealed_by.is_some_and(|by| person.contacts.contains(&by)) {
                found.push(Gone::row(Place::Quarantine, &key));
            }
        }
        Ok(())
    }
}

fn names(known: &Known, event: &InboundEvent) -> bool {
    names_of(&event.kind).is_some_and(|named| {
        named
            .parts()
            .any(|part| known.identities.iter().any(|(_, identity)| identity.parts().any(|it| it == part)))
    })
}

/// How many went, by place.
pub(super) type Counts = BTreeMap<Place, u64>;

impl Tx<'_> {
    /// Removes records with what leads to them.
    pub(super) fn remove_all(&mut self, gone: &[Gone], now: Timestamp, counts: &mut Counts) -> Result<()> {
        for Gone { place, key, beside, mark } in gone {
            let is_event = key.first() == Some(&EVENT.code);
            let was_there = if is_event { self.erase_event(key)? } else { self.remove_row(key)? };
            if was_there {
                *counts.entry(*place).or_default() += 1;
                match key.first() {
                    Some(&code) if code == INBOX.code => {
                        self.counters.letters = self.counters.letters.saturating_sub(1);
                    }
                    Some(&code) if code == PARKED.code => {
                        self.counters.parked = self.counters.parked.saturating_sub(1);
                    }
                    _ => {}
                }
            }
            for row in beside {
                self.remove_row(row)?;
                self.remove_row(&aside(row))?;
            }
            if self.remove_row(&aside(key))? {
                *counts.entry(Place::Quarantine).or_default() += 1;
            }
            if let Some(hash) = mark {
                self.put(&DEDUP.key().id(*hash), Owner::Tenant, &now)?;
            }
        }
        Ok(())
    }

    /// Takes out what an event says. Its place stays, for a number that is missing in the log shows damage; but the
    /// first of the log goes, unless it is the last too: its number is not given away again. Says whether it said
    /// anything.
    fn erase_event(&mut self, key: &[u8]) -> Result<bool> {
        let Some(sealed) = self.sealed(key)? else { return Ok(false) };
        let seq = number_in(key, 1).unwrap_or_default();
        let first = self.rows(EVENT.key().bytes(), 1)?;
        if seq != self.counters.event && first.first().is_some_and(|(first, _)| **first == *key) {
            return self.remove_row(key);
        }
        let opened = self.try_open(EVENT, key, &sealed).ok();
        if opened.as_ref().is_some_and(|event| event.kind == EventKind::EventErased) {
            return Ok(false);
        }
        let at = match opened {
            Some(event) => event.at,
            // Its neighbour knows about when it was; before the first nothing is younger.
            None => self
                .get_readable(&keys::event(seq.saturating_sub(1)))?
                .map_or(Timestamp::EPOCH, |event| event.at),
        };
        let kind = EventKind::EventErased;
        let erased = Event { seq: EventSeq(seq), at, conversation: None, contact: None, kind };
        self.put(&keys::event(seq), Owner::Tenant, &erased)?;
        Ok(true)
    }

    /// The last write: what came meanwhile, what leads to them, their keys, and the event that tells of it. Of
    /// what they refused a keyed hash stays.
    fn finish_erasure(&mut self, person: &Person, now: Timestamp) -> Result<Counts> {
        let mut counts = Counts::new();
        for id in &person.contacts {
            let contact = self.get_readable(&keys::contact(*id))?;
            let Some(contact) = contact else { continue };
            self.keep_suppression(&contact, person.refused, now)?;
            for (_, place) in OF_TALK {
                let Some(prefix) = prefix(place, contact.conversation) else { continue };
                let rows = self.rows(&prefix, usize::MAX)?;
                let reader: &Self = self;
                let late: Vec<_> = rows
                    .iter()
                    .map(|(key, row)| gone(reader, Some(contact.channel), place, key, row))
                    .collect();
                self.remove_all(&late, now, &mut counts)?;
            }
            for (part, value) in contact.identity.parts() {
                let key = address(self.space, contact.channel, part, value);
                let whose = self.get_readable(&key)?;
                if whose.is_none_or(|whose| person.contacts.contains(&whose.contact)) {
                    self.remove_all(&[Gone::row(Place::Contacts, key.bytes())], now, &mut counts)?;
                }
            }
        }
        let mut gone = Vec::new();
        for id in &person.conversations {
            gone.push(Gone::row(Place::Conversations, keys::conversation(*id).bytes()));
        }
        for id in &person.contacts {
            gone.push(Gone::row(Place::Disclosures, keys::disclosures(*id).bytes()));
            gone.push(Gone::row(Place::Contacts, keys::contact(*id).bytes()));
            gone.push(Gone::row(Place::SubjectKey, keys::subject_key(*id).bytes()));
        }
        self.remove_all(&gone, now, &mut counts)?;
        let (space, shredded) = (Arc::clone(self.space), person.contacts.clone());
        self.afterwards.push(Box::new(move || {
            for contact in shredded {
                space.contact_keys.shred((space.id, contact));
            }
        }));
        for (place, contact) in person.contacts.iter().enumerate() {
            let conversation = person.conversations.get(place).copied();
            self.record_of(conversation, None, EventKind::ContactErased { erased: *contact }, now)?;
        }
        Ok(counts)
    }
}

impl Core {
    /// Erases people, but for the classes that are kept. How many records went, by place.
    pub(super) async fn erase(&self, space: &Arc<Space>, person: Person, keep: Vec<Class>) -> Result<Counts> {
        let (person, keep) = (Arc::new(person), Arc::new(keep));
        let now = self.clock.now();
        let mut counts = Counts::new();
        loop {
            let (reader, who, kept) = (Arc::clone(space), Arc::clone(&person), Arc::clone(&keep));
            let next = blocking(move || reader.next_of_talk(&who, &kept)).await?;
            if next.is_empty() {
                break;
            }
            self.remove(space, next, now, &mut counts).await?;
        }
        let (reader, who, kept) = (Arc::clone(space), Arc::clone(&person), Arc::clone(&keep));
        let mut beside = blocking(move || reader.beside_talk(&who, &kept, now)).await?;
        while !beside.is_empty() {
            let rest = beside.split_off(beside.len().min(STEP_ROWS));
            self.remove(space, std::mem::replace(&mut beside, rest), now, &mut counts).await?;
        }
        if keep.is_empty() {
            let last = move |tx: &mut Tx<'_>| tx.finish_erasure(&person, now);
            add(&mut counts, self.writer.write(space, last).await?);
        }
        Ok(counts)
    }

    pub(super) async fn remove(
        &self,
        space: &Arc<Space>,
        gone: Vec<Gone>,
        now: Timestamp,
        counts: &mut Counts,
    ) -> Result<()> {
        let remove = move |tx: &mut Tx<'_>| {
            let mut counts = Counts::new();
            tx.remove_all(&gone, now, &mut counts)?;
            Ok(counts)
        };
        add(counts, self.writer.write_as(Urgency::Patient, space, remove).await?);
        Ok(())
    }
}

pub(super) fn add(counts: &mut Counts, more: Counts) {
    for (place, count) in more {
        *counts.entry(place).or_default() += count;
    }
}

/// Whether a record was sealed with the key of somebody who was erased: neither that is there nor who they are.
/// A key that was lost or set aside is no erasure.
pub(super) fn is_of_erased<R: Read>(reader: &R, sealed: &[u8]) -> Result<bool> {
    let Some(contact) = subject_of(sealed) else { return Ok(false) };
    for key in [keys::subject_key(contact).bytes(), keys::contact(contact).bytes()] {
        if reader.sealed(key)?.is_some() || reader.sealed(&aside(key))?.is_some() {
            return Ok(false);
        }
    }
    Ok(true)
}
