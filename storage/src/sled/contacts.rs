//! Who the people are that webhooks name, and who of them are one.

use std::collections::BTreeMap;

use iassistance_domain::contact::{Contact, ContactIdentity};
use iassistance_domain::conversation::Conversation;
use iassistance_domain::event::EventKind;
use iassistance_domain::id::{ChannelId, ContactId, ConversationId};
use iassistance_domain::pii::Deliver;
use iassistance_domain::privacy::Suppression;
use iassistance_domain::{Pii, Timestamp};

use super::accept::{Circumstances, Place};
use super::keys::{self, ADDRESS, Addressee, Key, SUPPRESSION, StoredConversation};
use super::space::{Read, Result, Space};
use super::tx::{Owner, Tx};
use crate::rules::{note, suppressed};

impl Tx<'_> {
    /// The conversation of a contact, who is made known if they are new.
    pub(super) fn contact_of(
        &mut self,
        around: &Circumstances<'_>,
        identity: &ContactIdentity,
        profile_name: Option<&Pii<String>>,
    ) -> Result<Place> {
        match self.known_contact(around, identity, profile_name)? {
            Some(place) => Ok(place),
            None => self.open_conversation(around, identity, profile_name),
        }
    }

    /// The conversation of a contact, if they are known; what is new about them is remembered.
    pub(super) fn known_contact(
        &mut self,
        around: &Circumstances<'_>,
        identity: &ContactIdentity,
        profile_name: Option<&Pii<String>>,
    ) -> Result<Option<Place>> {
        let people = self.addressees(around.channel, identity)?;
        if let [Some(who), others @ ..] = &people[..]
            && others.iter().all(|other| *other == Some(*who))
            && let Some(contact) = self.get_readable(&keys::contact(who.contact))?
            && contact.identity == *identity
            && (profile_name.is_none() || profile_name == contact.profile_name.as_ref())
        {
            // Nearly always: nothing is new, and nothing is looked up twice.
            return Ok(Some((contact.conversation, contact.id)));
        }
        let people = oldest_first(people);
        Ok(self.unite(around, &people, identity, profile_name)?.map(|(place, _)| place))
    }

    /// Those whom the parts of an identity name, oldest first.
    pub(super) fn named(&self, channel: ChannelId, identity: &ContactIdentity) -> Result<Vec<Addressee>> {
        self.addressees(channel, identity).map(oldest_first)
    }

    /// Whom each part of an identity names, if anybody.
    fn addressees(&self, channel: ChannelId, identity: &ContactIdentity) -> Result<Vec<Option<Addressee>>> {
        let addressee = |(part, value)| {
            let addressee = self.get_readable(&address(self.space, channel, part, value))?;
            Ok(addressee.filter(|addressee: &Addressee| self.is_reachable(addressee.contact)))
        };
        identity.parts().map(addressee).collect()
    }

    /// Makes one of all whom an identity names: the oldest goes on, known from now on by what was
    /// said and by what else the others were known by. Who goes on, and whether their identity
    /// changed.
    fn unite(
        &mut self,
        around: &Circumstances<'_>,
        people: &[Addressee],
        said: &ContactIdentity,
        profile_name: Option<&Pii<String>>,
    ) -> Result<Option<(Place, bool)>> {
        let mut contacts: Vec<Contact> = Vec::with_capacity(people.len());
        for who in people {
            contacts.extend(self.get_readable(&keys::contact(who.contact))?);
        }
        let Some((before, others)) = contacts.split_first() else {
            let Some(who) = people.first() else { return Ok(None) };
            // What is known of them was lost: it begins anew with what is said now.
            self.put_contact(around, *who, said, profile_name)?;
            return Ok(Some(((who.conversation, who.contact), false)));
        };
        let mut contact = before.clone();
        let place = (contact.conversation, contact.id);
        contact.identity = said.clone();
        for (part, value) in contacts.iter().flat_map(|contact| contact.identity.parts()) {
            contact.identity.part_mut(part).get_or_insert_with(|| value.clone());
        }
        for former in contacts.iter().flat_map(|contact| contact.identity.parts()) {
            // A number that was given up may become somebody else's.
            if !contact.identity.parts().any(|kept| kept == former) {
                self.remove(&address(self.space, around.channel, former.0, former.1))?;
            }
        }
        let addressee = Addressee { contact: contact.id, conversation: contact.conversation };
        for (part, value) in contact.identity.parts() {
            let key = address(self.space, around.channel, part, value);
            if self.get_readable(&key)? != Some(addressee) {
                self.put(&key, Owner::Tenant, &addressee)?;
            }
        }
        for other in others {
            contact.merged.push(other.id);
            for (name, value) in &other.attributes {
                if !contact.attributes.contains_key(name) {
                    note(&mut contact.attributes, [(name.clone(), value.clone())]);
                }
            }
            let merged = EventKind::ContactMerged { merged: other.id, conversation: other.conversation };
            self.record(Some(place), merged, around.now)?;
        }
        let names = std::iter::once(profile_name.cloned())
            .chain(contacts.iter().map(|contact| contact.profile_name.clone()));
        contact.profile_name = names.flatten().next();
        if contact != *before {
            self.put(&keys::contact(contact.id), Owner::Contact(contact.id), &contact)?;
        }
        Ok(Some((place, contact.identity != before.identity)))
    }

    /// A contact is known by something else from now on.
    pub(super) fn change_identity(
        &mut self,
        around: &Circumstances<'_>,
        from: &ContactIdentity,
        to: &ContactIdentity,
    ) -> Result<()> {
        let mut people = self.named(around.channel, from)?;
        let arrived = self.named(around.channel, to)?;
        if people.is_empty() {
            // Whoever was not known by what they were is known by what they are.
            return match arrived.first() {
                Some(_) => Ok(()),
                None => self.open_conversation(around, to, None).map(drop),
            };
        }
        let mut said = to.clone();
        for who in &arrived {
            let Some(contact) = self.get_readable(&keys::contact(who.contact))? else { continue };
            for (part, value) in contact.identity.parts() {
                said.part_mut(part).get_or_insert_with(|| value.clone());
            }
        }
        people.extend(arrived);
        people.sort_by_key(|addressee| addressee.contact);
        people.dedup();
        match self.unite(around, &people, &said, None)? {
            Some((place, true)) => self.record(Some(place), EventKind::ContactIdentityChanged, around.now),
            _ => Ok(()),
        }
    }

    /// A contact of whom nothing is known but what is said now.
    fn put_contact(
        &mut self,
        around: &Circumstances<'_>,
        who: Addressee,
        said: &ContactIdentity,
        profile_name: Option<&Pii<String>>,
    ) -> Result<()> {
        let contact = Contact {
            id: who.contact,
            channel: around.channel,
            conversation: who.conversation,
            identity: said.clone(),
            profile_name: profile_name.cloned(),
            merged: Vec::new(),
            attributes: BTreeMap::new(),
            created_at: around.now,
        };
        self.put(&keys::contact(who.contact), Owner::Contact(who.contact), &contact)
    }

    /// A new contact with a key and a conversation.
    fn open_conversation(
        &mut self,
        around: &Circumstances<'_>,
        identity: &ContactIdentity,
        profile_name: Option<&Pii<String>>,
    ) -> Result<Place> {
        let (now, channel) = (around.now, around.channel);
        let id = ContactId::new(now, around.entropy);
        let conversation = ConversationId::new(now, around.entropy);
        let owner = Owner::Contact(id);
        self.new_subject_key(id)?;
        for (part, value) in identity.parts() {
            let key = address(self.space, channel, part, value);
            self.put(&key, Owner::Tenant, &Addressee { contact: id, conversation })?;
        }
        self.put_contact(around, Addressee { contact: id, conversation }, identity, profile_name)?;
        let place = (conversation, id);
        let mut opened = Conversation::open(conversation, channel, id, now);
        let event = EventKind::ConversationOpened { channel, profile_name: profile_name.cloned() };
        self.record(Some(place), event, now)?;
        if let Some(suppression) = self.take_suppression(channel, identity)? {
            opened = opened.suppressed(&suppression);
            for told in suppressed(&suppression) {
                self.record(Some(place), told, now)?;
            }
        }
        let stored = StoredConversation { revision: 0, conversation: opened };
        self.put(&keys::conversation(conversation), owner, &stored)?;
        Ok(place)
    }

    /// Keeps of somebody who is erased that they refused messages, if they did.
    pub(super) fn keep_suppression(
        &mut self,
        contact: &Contact,
        refused: Option<Suppression>,
        now: Timestamp,
    ) -> Result<()> {
        let stored = self.get_readable(&keys::conversation(contact.conversation))?;
        let said = stored.and_then(|stored| Suppression::of(&stored.conversation, now));
        for (part, value) in contact.identity.parts() {
            let key = suppression(self.space, contact.channel, part, value);
            let before = self.get_readable(&key)?;
            if let Some(kept) = Suppression::together(said.into_iter().chain(refused).chain(before)) {
                self.put(&key, Owner::Tenant, &kept)?;
            }
        }
        Ok(())
    }

    /// What somebody had refused before they were erased: from now on their conversation knows.
    fn take_suppression(
        &mut self,
        channel: ChannelId,
        identity: &ContactIdentity,
    ) -> Result<Option<Suppression>> {
        let mut known = Vec::new();
        for (part, value) in identity.parts() {
            let key = suppression(self.space, channel, part, value);
            if let Some(kept) = self.get_readable(&key)? {
                self.remove(&key)?;
                known.push(kept);
            }
        }
        Ok(Suppression::together(known))
    }
}

fn oldest_first(named: Vec<Option<Addressee>>) -> Vec<Addressee> {
    let mut people: Vec<_> = named.into_iter().flatten().collect();
    people.sort_by_key(|addressee| addressee.contact);
    people.dedup();
    people
}

/// Where it is written down whom a part of an identity names.
pub(super) fn address(space: &Space, channel: ChannelId, part: &str, value: &Pii<String>) -> Key<Addressee> {
    let hash = space.hash("address", &[part.as_bytes(), b"/", value.reveal(Deliver).as_bytes()]);
    ADDRESS.key().id(channel.to_bytes()).id(hash)
}

/// Where it is written down what somebody of whom nothing else is left refused.
fn suppression(space: &Space, channel: ChannelId, part: &str, value: &Pii<String>) -> Key<Suppression> {
    let hash = space.hash("suppression", &[part.as_bytes(), b"/", value.reveal(Deliver).as_bytes()]);
    SUPPRESSION.key().id(channel.to_bytes()).id(hash)
}
