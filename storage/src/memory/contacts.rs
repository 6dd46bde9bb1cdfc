//! Who the people are that webhooks name, and who of them are one.

use std::collections::{BTreeMap, BTreeSet};

use iassistance_domain::contact::{Contact, ContactIdentity};
use iassistance_domain::conversation::Conversation;
use iassistance_domain::event::EventKind;
use iassistance_domain::id::{ChannelId, ContactId, ConversationId};
use iassistance_domain::privacy::Suppression;
use iassistance_domain::{Pii, Timestamp};

use super::accept::Around;
use super::tenant::{Stored, TenantData};
use crate::rules::{note, suppressed};

impl TenantData {
    /// The conversation of a contact, who is made known if they are new.
    pub(super) fn contact_of(
        &mut self,
        around: Around<'_>,
        identity: &ContactIdentity,
        profile_name: Option<&Pii<String>>,
    ) -> ConversationId {
        let known = self.known_contact(around, identity, profile_name);
        known.unwrap_or_else(|| self.open(around, identity, profile_name))
    }

    /// The conversation of a contact, if they are known; what is new about them is remembered.
    pub(super) fn known_contact(
        &mut self,
        around: Around<'_>,
        identity: &ContactIdentity,
        profile_name: Option<&Pii<String>>,
    ) -> Option<ConversationId> {
        let people = self.named(around.channel, identity);
        self.unite(around, &people, identity, profile_name)
    }

    /// Those whom the parts of an identity name.
    pub(super) fn named(&self, channel: ChannelId, identity: &ContactIdentity) -> BTreeSet<ContactId> {
        let addresses = identity.parts().map(|(part, value)| (channel, part, value.clone()));
        addresses.filter_map(|address| self.addresses.get(&address).copied()).collect()
    }

    /// Makes one of several people: the oldest goes on and has all addresses. Where they differ, what
    /// was said last counts.
    fn unite(
        &mut self,
        around: Around<'_>,
        people: &BTreeSet<ContactId>,
        said: &ContactIdentity,
        profile_name: Option<&Pii<String>>,
    ) -> Option<ConversationId> {
        let mut known: Vec<Contact> = people.iter().filter_map(|id| self.contacts.get(id).cloned()).collect();
        let mut identity = said.clone();
        for (part, value) in known.iter().flat_map(|contact| contact.identity.parts()) {
            let place = identity.part_mut(part);
            if place.is_none() {
                *place = Some(value.clone());
            }
        }
        let former_name = known.iter().find_map(|contact| contact.profile_name.clone());
        let name = profile_name.cloned().or(former_name);
        let merged = known.split_off(1.min(known.len()));
        let mut survivor = known.pop()?;
        survivor.profile_name = name;
        if !merged.is_empty() || survivor.identity != identity {
            self.addresses
                .retain(|(channel, ..), owner| *channel != around.channel || !people.contains(owner));
            for (part, value) in identity.parts() {
                self.addresses.insert((around.channel, part, value.clone()), survivor.id);
            }
        }
        survivor.identity = identity;
        for other in merged {
            survivor.merged.push(other.id);
            let mut facts = other.attributes;
            facts.retain(|name, _| !survivor.attributes.contains_key(name));
            note(&mut survivor.attributes, facts);
            let kind = EventKind::ContactMerged { merged: other.id, conversation: other.conversation };
            self.record(Some(survivor.conversation), kind, around.now);
        }
        let conversation = survivor.conversation;
        self.contacts.insert(survivor.id, survivor);
        Some(conversation)
    }

    /// A contact is known by something else from now on.
    pub(super) fn change_identity(
        &mut self,
        around: Around<'_>,
        from: &ContactIdentity,
        to: &ContactIdentity,
    ) {
        let (left, arrived) = (self.named(around.channel, from), self.named(around.channel, to));
        if left.is_empty() {
            if arrived.is_empty() {
                self.open(around, to, None);
            }
            return;
        }
        let mut said = to.clone();
        for contact in arrived.iter().filter_map(|id| self.contacts.get(id)) {
            for (part, value) in contact.identity.parts() {
                said.part_mut(part).get_or_insert_with(|| value.clone());
            }
        }
        let people: BTreeSet<_> = left.union(&arrived).copied().collect();
        let before = people.first().and_then(|id| self.contacts.get(id)).map(|it| it.identity.clone());
        let conversation = self.unite(around, &people, &said, None);
        let after = people.first().and_then(|id| self.contacts.get(id)).map(|it| it.identity.clone());
        if before != after {
            self.record(conversation, EventKind::ContactIdentityChanged, around.now);
        }
    }

    fn open(
        &mut self,
        around: Around<'_>,
        identity: &ContactIdentity,
        profile_name: Option<&Pii<String>>,
    ) -> ConversationId {
        let Around { shared, channel, now } = around;
        let contact = ContactId::new(now, &*shared.entropy);
        let id = ConversationId::new(now, &*shared.entropy);
        for (part, value) in identity.parts() {
            self.addresses.insert((channel, part, value.clone()), contact);
        }
        self.contacts.insert(
            contact,
            Contact {
                id: contact,
                channel,
                conversation: id,
                identity: identity.clone(),
                profile_name: profile_name.cloned(),
                merged: Vec::new(),
                attributes: BTreeMap::new(),
                created_at: now,
            },
        );
        let mut conversation = Conversation::open(id, channel, contact, now);
        let suppression = self.take_suppression(channel, identity);
        if let Some(suppression) = &suppression {
            conversation = conversation.suppressed(suppression);
        }
        self.conversations.insert(id, Stored { conversation, revision: 0, busy: false });
        let opened = EventKind::ConversationOpened { channel, profile_name: profile_name.cloned() };
        self.record(Some(id), opened, now);
        for told in suppression.iter().flat_map(suppressed) {
            self.record(Some(id), told, now);
        }
        id
    }

    /// Keeps of somebody who is erased that they refused messages, if they did.
    pub(super) fn keep_suppression(
        &mut self,
        contact: ContactId,
        refused: Option<Suppression>,
        now: Timestamp,
    ) {
        let Some(contact) = self.contacts.get(&contact) else { return };
        let stored = self.conversations.get(&contact.conversation);
        let said = stored.and_then(|stored| Suppression::of(&stored.conversation, now));
        for (part, value) in contact.identity.parts() {
            let place = (contact.channel, part, value.clone());
            let before = self.suppressed.get(&place).copied();
            if let Some(kept) = Suppression::together(said.into_iter().chain(refused).chain(before)) {
                self.suppressed.insert(place, kept);
            }
        }
    }

    /// What somebody had refused before they were erased: from now on their conversation knows.
    fn take_suppression(&mut self, channel: ChannelId, identity: &ContactIdentity) -> Option<Suppression> {
        let parts = identity.parts().map(|(part, value)| (channel, part, value.clone()));
        let kept: Vec<_> = parts.filter_map(|place| self.suppressed.remove(&place)).collect();
        Suppression::together(kept)
    }
}
