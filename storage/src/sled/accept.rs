//! Taking in what webhooks say.

use iassistance_domain::contact::ContactIdentity;
use iassistance_domain::content::Content;
use iassistance_domain::delivery::{Delivery, DeliveryStatus};
use iassistance_domain::event::EventKind;
use iassistance_domain::id::{ChannelId, ContactId, ConversationId, MessageId};
use iassistance_domain::inbound::{InboundEvent, InboundKind, SeenMark};
use iassistance_domain::pii::Deliver;
use iassistance_domain::{Entropy, Pii, Timestamp};

use super::keys::{self, DEDUP, Hash, Known, PROVIDER, StoredLetter};
use super::provider::provider_hash;
use super::space::{Read, Result};
use super::tx::{Owner, Tx};
use crate::Limits;
use crate::commit::{Accepted, Letter};
use crate::rules::{described, is_echo_of, known_by_id, may_be_ours, unsay};

/// What accepting needs beside the tree.
pub(super) struct Circumstances<'a> {
    pub(super) limits: &'a Limits,
    pub(super) entropy: &'a dyn Entropy,
    pub(super) now: Timestamp,
    pub(super) channel: ChannelId,
}

/// A conversation and its contact.
pub(super) type Place = (ConversationId, ContactId);

/// What became of an event.
enum Taken {
    /// It is a letter in this conversation's inbox.
    Letter(ConversationId),
    /// It has had its effect, and nobody need be woken for it.
    Done,
    /// It says what is known already.
    Repeated,
}

impl Tx<'_> {
    /// Takes events in, each once.
    pub(super) fn accept(
        &mut self,
        around: &Circumstances<'_>,
        events: Vec<InboundEvent>,
    ) -> Result<Accepted> {
        // Those of the writes before this one in the group are counted already.
        around.limits.room_for_letters(self.counters.letters, self.space.all_letters())?;
        let mut accepted = Accepted { new: Vec::with_capacity(events.len()), conversations: Vec::new() };
        for event in events {
            let taken = if self.is_repeated(around, &event)? {
                Taken::Repeated
            } else {
                self.take_in(around, event)?
            };
            accepted.new.push(!matches!(taken, Taken::Repeated));
            if let Taken::Letter(conversation) = taken
                && !accepted.conversations.contains(&conversation)
            {
                accepted.conversations.push(conversation);
            }
        }
        Ok(accepted)
    }

    /// Whether an event was taken in before. From now on it was.
    fn is_repeated(&mut self, around: &Circumstances<'_>, event: &InboundEvent) -> Result<bool> {
        if let Some(provider_id) = known_by_id(event) {
            // Taking it in makes the id known; that it cannot be read, or its contact not be reached
            // any more, makes the message no newer.
            let hash = provider_hash(self.space, around.channel, provider_id);
            return Ok(self.has(&PROVIDER.key().id(hash))? || self.is_erased(hash)?);
        }
        let text = event.dedup.reveal(Deliver).as_bytes();
        let seen = DEDUP.key().id(self.space.hash("dedup", &[&around.channel.to_bytes(), text]));
        if self.has(&seen)? {
            return Ok(true);
        }
        self.put(&seen, Owner::Tenant, &around.now)?;
        Ok(false)
    }

    /// Takes one new event in.
    fn take_in(&mut self, around: &Circumstances<'_>, event: InboundEvent) -> Result<Taken> {
        let channel = around.channel;
        match &event.kind {
            InboundKind::MessageReceived { provider_id, from, profile_name, .. } => {
                let hash = provider_hash(self.space, channel, provider_id);
                if self.known(hash)?.is_some() {
                    return Ok(Taken::Repeated);
                }
                let place = self.contact_of(around, from, profile_name.as_ref())?;
                let provider_id = provider_id.clone();
                self.take_message(around, place, (hash, &provider_id), event)
            }
            InboundKind::EchoReceived { .. } => self.take_echo(around, event),
            InboundKind::StatusChanged { provider_id, message, .. } => {
                match self.message_of(channel, *message, provider_id)? {
                    Some(known) => self.tell_of(around, &known, event),
                    None => {
                        let hash = provider_hash(self.space, channel, provider_id);
                        if self.is_erased(hash)? {
                            return Ok(Taken::Done);
                        }
                        self.park(around, hash, event)?;
                        self.record(None, EventKind::StatusParked { channel }, around.now)?;
                        Ok(Taken::Done)
                    }
                }
            }
            InboundKind::MessageEdited { provider_id, .. } => {
                let hash = provider_hash(self.space, channel, provider_id);
                if self.removed_at(hash)?.is_some() || self.is_erased(hash)? {
                    return Ok(Taken::Done);
                }
                match self.known(hash)? {
                    Some(known) => self.tell_of(around, &known, event),
                    None => self.park(around, hash, event).map(|()| Taken::Done),
                }
            }
            InboundKind::MessageRemoved { provider_id, .. } => {
                match self.take_back(around, provider_id, event.occurred_at)? {
                    Some(known) => self.tell_of(around, &known, event),
                    None => Ok(Taken::Done),
                }
            }
            InboundKind::IdentityChanged { from, to } => {
                self.change_identity(around, from, to).map(|()| Taken::Done)
            }
            _ => self.take_of_contact(around, event),
        }
    }

    /// Takes in what is about a contact, or about nobody.
    fn take_of_contact(&mut self, around: &Circumstances<'_>, event: InboundEvent) -> Result<Taken> {
        let (place, known) = match &event.kind {
            InboundKind::Reacted { provider_id, contact, .. } => {
                let known = self.message_of(around.channel, None, provider_id)?;
                (self.contact_of(around, contact, None)?, known)
            }
            InboundKind::SeenUpTo { contact, up_to, .. } => {
                // Who is not known has nothing of ours to see.
                let Some(place) = self.known_contact(around, contact, None)? else { return Ok(Taken::Done) };
                let known = match up_to {
                    SeenMark::Message { provider_id } => {
                        self.message_of(around.channel, None, provider_id)?
                    }
                    SeenMark::Moment { .. } => None,
                };
                (place, known)
            }
            InboundKind::ContactActed { contact, profile_name, .. } => {
                (self.contact_of(around, contact, profile_name.as_ref())?, None)
            }
            InboundKind::MarketingChanged { contact, .. }
            | InboundKind::ThreadControlChanged { contact, .. }
            | InboundKind::Kept { contact: Some(contact), .. } => {
                (self.contact_of(around, contact, None)?, None)
            }
            InboundKind::Noticed(notice) => {
                let noticed = EventKind::ChannelNoticed { channel: around.channel, notice: notice.clone() };
                self.record(None, noticed, around.now)?;
                return Ok(Taken::Done);
            }
            _ => {
                let (kind, raw) = described(&event);
                let kept = EventKind::WebhookKept { kind, channel: around.channel, raw };
                self.record(None, kept, around.now)?;
                return Ok(Taken::Done);
            }
        };
        let message = known.map(|known| known.message);
        self.put_letter(place, around.now, Letter::Inbound { message, event })?;
        Ok(Taken::Letter(place.0))
    }

    /// Takes in a message that did not go out through us.
    fn take_message(
        &mut self,
        around: &Circumstances<'_>,
        place: Place,
        (hash, provider_id): (Hash, &Pii<String>),
        mut event: InboundEvent,
    ) -> Result<Taken> {
        if self.removed_at(hash)?.is_some() {
            unsay(&mut event.kind, provider_id);
        }
        let (conversation, contact) = place;
        let message = MessageId::in_order(around.now, self.counters.seq, around.entropy);
        self.put_letter(place, around.now, Letter::Inbound { message: Some(message), event })?;
        self.know(hash, Known { message, conversation, contact, ours: false })?;
        Ok(Taken::Letter(conversation))
    }

    /// Takes in what the business wrote: a report on a message of ours, or one from elsewhere.
    fn take_echo(&mut self, around: &Circumstances<'_>, event: InboundEvent) -> Result<Taken> {
        let InboundKind::EchoReceived { provider_id, to, message, content, through, .. } = &event.kind else {
            return Ok(Taken::Done);
        };
        let channel = around.channel;
        let hash = provider_hash(self.space, channel, provider_id);
        let ours = match self.ours_by_id(channel, *message)? {
            Some(ours) => Some(ours),
            None => match self.known(hash)? {
                Some(known) if !known.ours => return Ok(Taken::Repeated),
                Some(known) => Some(known),
                None if message.is_none() && may_be_ours(through) => self.under_way(channel, to, content)?,
                None => None,
            },
        };
        let provider_id = provider_id.clone();
        let Some(ours) = ours else {
            let place = self.contact_of(around, to, None)?;
            return self.take_message(around, place, (hash, &provider_id), event);
        };
        let kind = InboundKind::StatusChanged {
            provider_id,
            message: Some(ours.message),
            recipient: Some(to.clone()),
            delivery: Delivery::new(DeliveryStatus::Sent, event.occurred_at),
        };
        let taken = self.tell_of(around, &ours, InboundEvent { kind, ..event })?;
        self.know(hash, ours)?;
        Ok(taken)
    }

    /// The message to a contact that may have left and says the same.
    fn under_way(&self, channel: ChannelId, to: &ContactIdentity, echo: &Content) -> Result<Option<Known>> {
        for who in self.named(channel, to)? {
            let entries = self.list(&keys::outbox(who.conversation), usize::MAX)?;
            if let Some((_, entry)) = entries.into_iter().find(|(_, entry)| is_echo_of(entry, echo)) {
                let (conversation, contact) = (who.conversation, who.contact);
                return Ok(Some(Known { message: entry.message, conversation, contact, ours: true }));
            }
        }
        Ok(None)
    }

    /// A letter to the conversation of the message that it is about.
    fn tell_of(&mut self, around: &Circumstances<'_>, known: &Known, event: InboundEvent) -> Result<Taken> {
        self.put_letter((known.conversation, known.contact), around.now, about(known.message, event))?;
        Ok(Taken::Letter(known.conversation))
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

    /// The message that is meant: ours by the id that came back, if one did, or else by Meta's id.
    fn message_of(
        &self,
        channel: ChannelId,
        ours: Option<MessageId>,
        provider_id: &Pii<String>,
    ) -> Result<Option<Known>> {
        match self.ours_by_id(channel, ours)? {
            Some(ours) => Ok(Some(ours)),
            None => self.known(provider_hash(self.space, channel, provider_id)),
        }
    }

    /// A message of ours by the id that came back, if it went out on this channel.
    fn ours_by_id(&self, channel: ChannelId, id: Option<MessageId>) -> Result<Option<Known>> {
        let Some(message) = id else { return Ok(None) };
        let home = self.get_readable(&keys::home(message))?;
        let home = home.filter(|home| home.channel == channel && self.is_reachable(home.contact));
        Ok(home.map(|home| {
            let (conversation, contact) = (home.conversation, home.contact);
            Known { message, conversation, contact, ours: true }
        }))
    }

    /// Whether the message of this id was erased lately: what is still said of it says nothing new.
    fn is_erased(&self, hash: Hash) -> Result<bool> {
        self.has(&DEDUP.key().id(hash))
    }

    /// Whether a contact's letters can be sealed. One whose key is gone or damaged cannot be written
    /// to any more: that must not keep others' events, in the same webhook, from being accepted.
    pub(super) fn is_reachable(&self, contact: ContactId) -> bool {
        self.subject_key(contact).is_ok()
    }
}

/// A letter about a message; a status itself says too which one it is about.
pub(super) fn about(known: MessageId, mut event: InboundEvent) -> Letter {
    if let InboundKind::StatusChanged { message, .. } = &mut event.kind {
        *message = Some(known);
    }
    Letter::Inbound { message: Some(known), event }
}
