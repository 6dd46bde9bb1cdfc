//! What goes: people, what is over its period, tenants.

use std::collections::BTreeMap;

use iassistance_domain::Timestamp;
use iassistance_domain::contact::ContactIdentity;
use iassistance_domain::event::EventKind;
use iassistance_domain::id::{ContactId, ConversationId, moment_of};
use iassistance_domain::pii::Deliver;
use iassistance_domain::privacy::{Class, LegalHold, Place};

use super::tenant::TenantData;
use crate::keeping::{Person, Swept};
use crate::rules::names_of;

type Counts = BTreeMap<Place, u64>;

/// Takes out of a map what goes, and counts it.
macro_rules! take {
    ($counts:expr, $place:expr, $map:expr, $goes:expr) => {{
        let before = $map.len();
        $map.retain(|key, value| !$goes(key, &*value));
        *$counts.entry($place).or_default() += (before - $map.len()) as u64;
    }};
}

impl TenantData {
    pub(super) fn person(&self, contact: ContactId) -> Person {
        let mut person = Person::default();
        let mut wanted = vec![contact];
        while let Some(id) = wanted.pop() {
            let Some(known) = self.contacts.get(&id).filter(|_| !person.contacts.contains(&id)) else {
                continue;
            };
            person.contacts.push(id);
            person.conversations.push(known.conversation);
            wanted.extend(&known.merged);
            for (part, value) in known.identity.parts() {
                wanted.extend(self.addresses.get(&(known.channel, part, value.clone())));
            }
        }
        for ((conversation, _), message) in &self.messages {
            if person.conversations.contains(conversation) {
                person.files.extend(message.content.media().iter().filter_map(|media| media.source.stored()));
            }
        }
        person
    }

    pub(super) fn erase(&mut self, person: &Person, keep: &[Class], now: Timestamp) -> Counts {
        let mut counts = Counts::new();
        let goes = |class: Class| !keep.contains(&class);
        let talk = |id: &ConversationId| person.conversations.contains(id);
        if goes(Class::Message) {
            self.erase_words(person, now, &mut counts);
        }
        if goes(Class::Execution) {
            take!(counts, Place::Executions, self.turns, |(id, _): &(ConversationId, _), _: &_| talk(id));
        }
        if goes(Class::DeadLetter) {
            take!(
                counts,
                Place::DeadLetters,
                self.dead_letters,
                |_: &_, letter: &iassistance_domain::event::DeadLetter| { talk(&letter.conversation) }
            );
        }
        if goes(Class::Webhook) {
            let removed = self.hooks.forget_of(&person.conversations);
            *counts.entry(Place::Webhooks).or_default() += removed;
        }
        if goes(Class::Contact) {
            *counts.entry(Place::Spending).or_default() +=
                self.money.forget_of(&person.contacts, &person.conversations);
        }
        if keep.is_empty() {
            self.erase_who(person, now, &mut counts);
        }
        counts.retain(|_, count| *count > 0);
        counts
    }

    fn erase_words(&mut self, person: &Person, now: Timestamp, counts: &mut Counts) {
        let talk = |id: &ConversationId| person.conversations.contains(id);
        // What keeps Meta's repetitions out stays for as long as other marks.
        let known = std::mem::take(&mut self.provider_ids);
        for ((channel, id), known) in known {
            if talk(&known.conversation) {
                self.erased.insert((channel, id), now);
            } else {
                self.provider_ids.insert((channel, id), known);
            }
        }
        take!(counts, Place::Inbox, self.inbox, |(id, _): &(ConversationId, u64), _: &_| talk(id));
        take!(counts, Place::Outbox, self.outbox, |(id, _): &(ConversationId, u64), _: &_| talk(id));
        take!(counts, Place::Messages, self.messages, |(id, _): &(ConversationId, _), _: &_| talk(id));
        take!(counts, Place::Summaries, self.summaries, |id: &ConversationId, _: &_| talk(id));
        let identities: Vec<_> = person
            .contacts
            .iter()
            .filter_map(|id| self.contacts.get(id))
            .map(|it| it.identity.clone())
            .collect();
        let parked = self.parked.len();
        self.parked.retain(|parked| {
            let named = names_of(&parked.event.kind);
            !named.is_some_and(|named| {
                named.parts().any(|part| identities.iter().any(|it| it.parts().any(|own| own == part)))
            })
        });
        *counts.entry(Place::Parked).or_default() += (parked - self.parked.len()) as u64;
        let mut kept = 0;
        for event in &mut self.events {
            let EventKind::WebhookKept { raw, .. } = &event.kind else { continue };
            let raw = raw.reveal(Deliver);
            let names = identities
                .iter()
                .flat_map(ContactIdentity::parts)
                .any(|(_, value)| raw.contains(value.reveal(Deliver).as_str()));
            if event.contact.is_none() && names {
                event.kind = EventKind::EventErased;
                kept += 1;
            }
        }
        *counts.entry(Place::Events).or_default() += kept;
    }

    fn erase_who(&mut self, person: &Person, now: Timestamp, counts: &mut Counts) {
        for contact in &person.contacts {
            self.keep_suppression(*contact, person.refused, now);
        }
        take!(counts, Place::Contacts, self.addresses, |_: &_, contact: &ContactId| person
            .contacts
            .contains(contact));
        take!(counts, Place::Disclosures, self.leaving.disclosures, |id: &ContactId, _: &_| {
            person.contacts.contains(id)
        });
        take!(counts, Place::Contacts, self.contacts, |id: &ContactId, _: &_| person.contacts.contains(id));
        take!(counts, Place::Conversations, self.conversations, |id: &ConversationId, _: &_| {
            person.conversations.contains(id)
        });
        *counts.entry(Place::Contacts).or_default() += self.rights.forget_of(&person.contacts);
        self.unsaid.retain(|id, _| !person.conversations.contains(id));
        for contact in &person.contacts {
            self.safety.remove(contact);
            self.content_keys.remove(&crate::content::ContentOwner::Contact(*contact));
            *counts.entry(Place::SubjectKey).or_default() += 1;
        }
        for event in &mut self.events {
            if event.contact.is_some_and(|contact| person.contacts.contains(&contact)) {
                *event = iassistance_domain::event::Event {
                    conversation: None,
                    contact: None,
                    kind: EventKind::EventErased,
                    ..event.clone()
                };
            }
        }
        for (place, contact) in person.contacts.iter().enumerate() {
            let conversation = person.conversations.get(place).copied();
            self.record(conversation, EventKind::ContactErased { erased: *contact }, now);
        }
        self.publish();
    }

    pub(super) fn sweep(&mut self, class: Class, before: Timestamp, holds: &[LegalHold]) -> Swept {
        let mut swept = Swept::default();
        let of: BTreeMap<_, _> =
            self.conversations.iter().map(|(id, stored)| (*id, stored.conversation.contact)).collect();
        let is_held = |id: &ConversationId| {
            of.get(id).is_some_and(|contact| holds.iter().any(|hold| hold.covers(*contact, class)))
        };
        let all_held = holds.iter().any(|hold| hold.covers_all(class));
        let keeps = |id: Option<ConversationId>| id.map_or(all_held, |id| is_held(&id));
        match class {
            Class::Message => self.sweep_messages(before, &is_held, &mut swept),
            Class::Execution => self.turns.retain(|(id, turn), _| {
                let due = moment_of(turn.to_bytes()) < before;
                swept.keeps(due, is_held(id))
            }),
            Class::DeadLetter => self.dead_letters.retain(|id, letter| {
                let due = moment_of(id.to_bytes()) < before;
                swept.keeps(due, keeps(Some(letter.conversation)))
            }),
            Class::Webhook => swept = self.hooks.sweep(before, keeps),
            Class::Event => self.sweep_events(before, holds, all_held, &mut swept),
            _ => {}
        }
        swept
    }

    fn sweep_messages(
        &mut self,
        before: Timestamp,
        is_held: &dyn Fn(&ConversationId) -> bool,
        swept: &mut Swept,
    ) {
        let mut gone = Vec::new();
        self.messages.retain(|(id, message), record| {
            let keeps = swept.keeps(moment_of(message.to_bytes()) < before, is_held(id));
            if !keeps {
                swept.files.extend(record.content.media().iter().filter_map(|media| media.source.stored()));
                gone.push((*id, *message));
            }
            keeps
        });
        let gone: std::collections::BTreeSet<_> = gone.into_iter().collect();
        self.provider_ids.retain(|_, known| !gone.contains(&(known.conversation, known.message)));
        self.summaries.retain(|id, _| !gone.iter().any(|(of, _)| of == id));
    }

    fn sweep_events(&mut self, before: Timestamp, holds: &[LegalHold], all_held: bool, swept: &mut Swept) {
        let last = self.events.len();
        let due = self.events.iter().take_while(|event| event.at < before).count();
        for (place, event) in self.events.iter_mut().take(due).enumerate() {
            let held = match event.contact {
                Some(contact) => holds.iter().any(|hold| hold.covers(contact, Class::Event)),
                None => all_held,
            };
            if held {
                swept.held += 1;
            } else if event.kind != EventKind::EventErased {
                event.kind = EventKind::EventErased;
                (event.contact, event.conversation) = (None, None);
                swept.removed += 1;
            }
            if place + 1 == last {
                break;
            }
        }
        // Those at the beginning that say nothing any more are not told of.
        let erased = |event: &iassistance_domain::event::Event| event.kind == EventKind::EventErased;
        self.forgotten =
            self.events.iter().take(last.saturating_sub(1)).take_while(|event| erased(event)).count();
    }

    pub(super) fn silent(&self, before: Timestamp) -> Vec<ContactId> {
        let silent = self.conversations.values().filter(|stored| {
            let id = stored.conversation.id;
            let last = self.messages.keys().filter(|(of, _)| *of == id).map(|(_, message)| *message).max();
            stored.conversation.heard_at(last) < before && !stored.busy
        });
        silent.map(|stored| stored.conversation.contact).collect()
    }
}

impl Swept {
    /// Counts a record; says whether it stays.
    pub(crate) const fn keeps(&mut self, due: bool, held: bool) -> bool {
        if due && held {
            self.held += 1;
        } else if due {
            self.removed += 1;
        }
        !due || held
    }
}
