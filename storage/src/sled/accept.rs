//! Taking in what webhooks say.

use iassistance_domain::contact::{Contact, ContactIdentity};
use iassistance_domain::conversation::Conversation;
use iassistance_domain::event::EventKind;
use iassistance_domain::id::{ChannelId, ContactId, ConversationId, MessageId};
use iassistance_domain::inbound::{InboundEvent, InboundKind};
use iassistance_domain::pii::Deliver;
use iassistance_domain::{Entropy, Pii, Timestamp};

use super::keys::{
    self, ADDRESS, Addressee, DEDUP, DEDUP_SINCE, Fence, Hash, Key, Known, PARKED, PARKED_SINCE, PROVIDER,
    Parked, StoredLetter, id_in, moment_in, number_in,
};
use super::space::{Read, Result, Space};
use super::tx::{Owner, Tx};
use crate::Limits;
use crate::commit::{Accepted, Letter};
use crate::error::StorageError;
use crate::store::described;

/// What accepting needs beside the tree.
pub(super) struct Circumstances<'a> {
    pub(super) limits: &'a Limits,
    pub(super) entropy: &'a dyn Entropy,
    pub(super) now: Timestamp,
    pub(super) channel: ChannelId,
}

/// A conversation and its contact.
type Place = (ConversationId, ContactId);

impl Tx<'_> {
    /// Takes events in, each once.
    pub(super) fn accept(&mut self, around: &Circumstances<'_>, events: &[InboundEvent]) -> Result<Accepted> {
        let entries = self.counters.letters;
        if entries >= around.limits.inbox_entries_max {
            return Err(StorageError::Backlog { entries });
        }
        let mut accepted = Accepted { new: Vec::with_capacity(events.len()), conversations: Vec::new() };
        for event in events {
            let text = event.dedup.reveal(Deliver).as_bytes();
            let hash = self.space.hash("dedup", &[&around.channel.to_bytes(), text]);
            let seen = DEDUP.key().id(hash);
            let is_new = !self.has(&seen)?;
            accepted.new.push(is_new);
            if !is_new {
                continue;
            }
            self.put(&seen, Owner::Tenant, &())?;
            self.put(&DEDUP_SINCE.key().moment(around.now).id(hash), Owner::Tenant, &())?;
            if let Some(conversation) = self.take_in(around, event)?
                && !accepted.conversations.contains(&conversation)
            {
                accepted.conversations.push(conversation);
            }
        }
        Ok(accepted)
    }

    /// Takes one new event in; the conversation that got a letter by it, if one did.
    fn take_in(
        &mut self,
        around: &Circumstances<'_>,
        event: &InboundEvent,
    ) -> Result<Option<ConversationId>> {
        let mut event = event.clone();
        let (place, message) = match &event.kind {
            InboundKind::MessageReceived { from, profile_name, .. } => {
                let place = self.contact_of(around, from, profile_name.as_ref())?;
                (place, Some(MessageId::in_order(around.now, self.counters.seq, around.entropy)))
            }
            InboundKind::StatusChanged { provider_id, message, .. } => {
                let Some(known) = self.message_of(around.channel, *message, provider_id)? else {
                    let hash = provider_hash(self.space, around.channel, provider_id);
                    self.park(around, hash, event)?;
                    return Ok(None);
                };
                event = naming(event, known.message);
                ((known.conversation, known.contact), None)
            }
            InboundKind::Kept { contact: Some(contact), .. } => {
                (self.contact_of(around, contact, None)?, None)
            }
            _ => {
                let (kind, raw) = described(&event);
                let kept = EventKind::WebhookKept { kind, channel: around.channel, raw };
                self.record(None, kept, around.now)?;
                return Ok(None);
            }
        };
        self.put_letter(place, around.now, Letter::Inbound { message, event })?;
        Ok(Some(place.0))
    }

    /// Puts a letter at the end of a conversation's inbox.
    pub(super) fn put_letter(
        &mut self,
        (conversation, contact): Place,
        accepted_at: Timestamp,
        letter: Letter,
    ) -> Result<()> {
        self.counters.seq += 1;
        self.counters.letters += 1;
        let key = keys::letter(conversation, self.counters.seq);
        self.put(&key, Owner::Contact(contact), &StoredLetter { accepted_at, letter })
    }

    /// The conversation of a contact, who is made known if they are new.
    fn contact_of(
        &mut self,
        around: &Circumstances<'_>,
        identity: &ContactIdentity,
        profile_name: Option<&Pii<String>>,
    ) -> Result<Place> {
        let mut found = None;
        let mut unknown = Vec::new();
        for (part, value) in identity.parts() {
            let key = address(self.space, around.channel, part, value);
            let addressee = self.get_readable(&key)?;
            match addressee.filter(|addressee| self.is_reachable(addressee.contact)) {
                Some(addressee) => found = found.or(Some(addressee)),
                None => unknown.push((part, value, key)),
            }
        }
        let Some(addressee) = found else { return self.open_conversation(around, identity, profile_name) };
        let place = (addressee.conversation, addressee.contact);
        let contact_key = keys::contact(addressee.contact);
        // Their letters arrive also while the record of themselves does not open.
        let Some(mut contact) = self.get_readable(&contact_key)? else { return Ok(place) };
        let renamed = profile_name.is_some() && contact.profile_name.as_ref() != profile_name;
        if !renamed && unknown.is_empty() {
            return Ok(place);
        }
        for (part, value, key) in unknown {
            let known_as = match part {
                "wa_id" => &mut contact.identity.wa_id,
                _ => &mut contact.identity.user_id,
            };
            // A number that was given up may become somebody else's.
            if let Some(former) = known_as.replace(value.clone()) {
                self.remove(&address(self.space, around.channel, part, &former))?;
            }
            self.put(&key, Owner::Tenant, &addressee)?;
        }
        if renamed {
            contact.profile_name = profile_name.cloned();
        }
        self.put(&contact_key, Owner::Contact(addressee.contact), &contact)?;
        Ok(place)
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
        let contact = Contact {
            id,
            channel,
            conversation,
            identity: identity.clone(),
            profile_name: profile_name.cloned(),
            created_at: now,
        };
        self.put(&keys::contact(id), owner, &contact)?;
        let opened = Conversation::open(conversation, channel, id, now);
        let fence = Fence { revision: 0, epoch: opened.epoch(), floor: opened.floor(), channel, contact: id };
        self.put(&keys::conversation(conversation), owner, &opened)?;
        self.put(&keys::fence(conversation), Owner::Tenant, &fence)?;
        let event = EventKind::ConversationOpened { channel, profile_name: profile_name.cloned() };
        self.record(Some((conversation, id)), event, now)?;
        Ok((conversation, id))
    }

    /// The message that a status is about: ours by the id that came back, if it went out on this
    /// channel, or else by Meta's id.
    fn message_of(
        &self,
        channel: ChannelId,
        ours: Option<MessageId>,
        provider_id: &Pii<String>,
    ) -> Result<Option<Known>> {
        if let Some(message) = ours
            && let Some(home) = self.get_readable(&keys::home(message))?
            && home.channel == channel
            && self.is_reachable(home.contact)
        {
            return Ok(Some(Known { message, conversation: home.conversation, contact: home.contact }));
        }
        let known = self.get_readable(&PROVIDER.key().id(provider_hash(self.space, channel, provider_id)))?;
        Ok(known.filter(|known| self.is_reachable(known.contact)))
    }

    /// Whether a contact's letters can be sealed. One whose key is gone or damaged cannot be written
    /// to any more: that must not keep others' events, in the same webhook, from being accepted.
    fn is_reachable(&self, contact: ContactId) -> bool {
        self.subject_key(contact).is_ok()
    }

    /// Keeps a status until its message is known.
    fn park(&mut self, around: &Circumstances<'_>, hash: Hash, event: InboundEvent) -> Result<()> {
        self.counters.seq += 1;
        self.counters.parked += 1;
        let seq = self.counters.seq;
        let parked = Parked { accepted_at: around.now, event };
        self.put(&PARKED.key().id(hash).number(seq), Owner::Tenant, &parked)?;
        self.put(&PARKED_SINCE.key().moment(around.now).number(seq).id(hash), Owner::Tenant, &())?;
        while self.counters.parked > around.limits.parked_max {
            let Some((oldest, _)) = self.rows(PARKED_SINCE.key().bytes(), 1)?.pop() else { break };
            self.unpark(&oldest)?;
        }
        self.record(None, EventKind::StatusParked { channel: around.channel }, around.now)
    }

    /// Removes what is parked, by the key that tells since when.
    fn unpark(&mut self, since: &[u8]) -> Result<()> {
        if let (Some(seq), Some(hash)) = (number_in(since, 9), id_in(since, 17)) {
            self.remove(&PARKED.key().id(hash).number(seq))?;
        }
        self.remove_row(since)?;
        self.counters.parked = self.counters.parked.saturating_sub(1);
        Ok(())
    }

    /// From now on a message can be found by Meta's id; what was parked for it arrives.
    pub(super) fn know(&mut self, channel: ChannelId, provider_id: &Pii<String>, known: Known) -> Result<()> {
        let hash = provider_hash(self.space, channel, provider_id);
        let key = PROVIDER.key().id(hash);
        if self.get_readable(&key)? != Some(known) {
            self.put(&key, Owner::Tenant, &known)?;
        }
        if self.counters.parked == 0 {
            return Ok(());
        }
        let waiting = PARKED.key().id(hash);
        for (key, parked) in self.list(&waiting, usize::MAX)? {
            let seq = number_in(&key, 17).unwrap_or_default();
            self.unpark(PARKED_SINCE.key().moment(parked.accepted_at).number(seq).id(hash).bytes())?;
            let event = naming(parked.event, known.message);
            let letter = Letter::Inbound { message: None, event };
            self.put_letter((known.conversation, known.contact), parked.accepted_at, letter)?;
        }
        Ok(())
    }

    /// Removes at most `limit` dedup keys and as many parked statuses from before a moment; says how
    /// many dedup keys, and whether there may be more.
    pub(super) fn forget_before(&mut self, before: Timestamp, limit: usize) -> Result<(u64, bool)> {
        let is_old = |(key, _): &super::space::Row| moment_in(key, 1).is_none_or(|at| at < before);
        let mut dedup = self.rows(DEDUP_SINCE.key().bytes(), limit)?;
        let mut parked = self.rows(PARKED_SINCE.key().bytes(), limit)?;
        dedup.retain(is_old);
        parked.retain(is_old);
        for (since, _) in &dedup {
            if let Some(hash) = id_in(since, 9) {
                self.remove(&DEDUP.key().id(hash))?;
            }
            self.remove_row(since)?;
        }
        for (since, _) in &parked {
            self.unpark(since)?;
        }
        Ok((dedup.len() as u64, dedup.len() == limit || parked.len() == limit))
    }
}

fn address(space: &Space, channel: ChannelId, part: &str, value: &Pii<String>) -> Key<Addressee> {
    let hash = space.hash("address", &[part.as_bytes(), b"/", value.reveal(Deliver).as_bytes()]);
    ADDRESS.key().id(channel.to_bytes()).id(hash)
}

fn provider_hash(space: &Space, channel: ChannelId, provider_id: &Pii<String>) -> Hash {
    space.hash("provider id", &[&channel.to_bytes(), provider_id.reveal(Deliver).as_bytes()])
}

/// A status, saying which message of ours it is about.
fn naming(mut event: InboundEvent, ours: MessageId) -> InboundEvent {
    if let InboundKind::StatusChanged { message, .. } = &mut event.kind {
        *message = Some(ours);
    }
    event
}
