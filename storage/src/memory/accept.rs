//! Taking in what webhooks say.

use std::collections::hash_map::Entry;

use iassistance_domain::contact::ContactIdentity;
use iassistance_domain::content::Content;
use iassistance_domain::delivery::{Delivery, DeliveryStatus};
use iassistance_domain::event::EventKind;
use iassistance_domain::id::{ChannelId, ConversationId, MessageId};
use iassistance_domain::inbound::{InboundEvent, InboundKind, SeenMark};
use iassistance_domain::{Pii, Timestamp};

use super::Shared;
use super::tenant::{Known, Parked, TenantData, about};
use crate::commit::{Accepted, Letter};
use crate::rules::{described, is_echo_of, is_ours, known_by_id, may_be_ours, unsay};

/// What accepting needs beside the data.
#[derive(Clone, Copy)]
pub(super) struct Around<'a> {
    pub(super) shared: &'a Shared,
    pub(super) channel: ChannelId,
    pub(super) now: Timestamp,
}

/// Whether an event was new, and the conversation that got a letter by it.
type Taken = (bool, Option<ConversationId>);

const NOTHING: Taken = (true, None);
const REPEATED: Taken = (false, None);

impl TenantData {
    pub(super) fn accept(
        &mut self,
        shared: &Shared,
        channel: ChannelId,
        events: &[InboundEvent],
    ) -> Accepted {
        let around = Around { shared, channel, now: shared.clock.now() };
        let mut accepted = Accepted::default();
        for event in events {
            let is_repeated = known_by_id(event).is_none()
                && match self.dedup.entry((channel, event.dedup.clone())) {
                    Entry::Occupied(_) => true,
                    Entry::Vacant(unseen) => {
                        unseen.insert(around.now);
                        false
                    }
                };
            let (new, told) = if is_repeated { REPEATED } else { self.take_in(around, event.clone()) };
            accepted.new.push(new);
            accepted.conversations.extend(told.filter(|id| !accepted.conversations.contains(id)));
        }
        self.publish();
        accepted
    }

    fn take_in(&mut self, around: Around<'_>, event: InboundEvent) -> Taken {
        match &event.kind {
            InboundKind::MessageReceived { provider_id, from, profile_name, .. } => {
                let erased = self.erased.contains_key(&(around.channel, provider_id.clone()));
                if erased || self.by_id(around.channel, provider_id).is_some() {
                    return REPEATED;
                }
                let conversation = self.contact_of(around, from, profile_name.as_ref());
                let provider_id = provider_id.clone();
                self.take_message(around, conversation, &provider_id, event)
            }
            InboundKind::EchoReceived { .. } => self.take_echo(around, event),
            InboundKind::StatusChanged { provider_id, message, .. } => {
                let known = message.and_then(|id| self.ours(around.channel, id));
                let known = known.or_else(|| self.by_id(around.channel, provider_id));
                if known.is_none() && self.erased.contains_key(&(around.channel, provider_id.clone())) {
                    return NOTHING;
                }
                if known.is_none() {
                    self.record(None, EventKind::StatusParked { channel: around.channel }, around.now);
                }
                self.tell_or_park(around, known, &provider_id.clone(), event)
            }
            InboundKind::MessageEdited { provider_id, .. } => {
                let key = (around.channel, provider_id.clone());
                if self.tombstones.contains_key(&key) || self.erased.contains_key(&key) {
                    return NOTHING;
                }
                let known = self.by_id(around.channel, provider_id);
                self.tell_or_park(around, known, &provider_id.clone(), event)
            }
            InboundKind::MessageRemoved { provider_id, .. } => {
                self.take_back(around, provider_id, event.occurred_at);
                match self.by_id(around.channel, provider_id) {
                    Some(known) => self.tell(around, known.conversation, Some(known), event),
                    None => NOTHING,
                }
            }
            InboundKind::IdentityChanged { from, to } => {
                self.change_identity(around, from, to);
                NOTHING
            }
            _ => self.take_of_contact(around, event),
        }
    }

    /// What is about a contact, or about nobody.
    fn take_of_contact(&mut self, around: Around<'_>, event: InboundEvent) -> Taken {
        let (contact, name) = match &event.kind {
            InboundKind::ContactActed { contact, profile_name, .. } => (contact, profile_name.clone()),
            InboundKind::Reacted { contact, .. }
            | InboundKind::SeenUpTo { contact, .. }
            | InboundKind::MarketingChanged { contact, .. }
            | InboundKind::ThreadControlChanged { contact, .. }
            | InboundKind::Kept { contact: Some(contact), .. } => (contact, None),
            InboundKind::Noticed(notice) => {
                let noticed = EventKind::ChannelNoticed { channel: around.channel, notice: notice.clone() };
                self.record(None, noticed, around.now);
                return NOTHING;
            }
            _ => {
                let (kind, raw) = described(&event);
                let kept = EventKind::WebhookKept { kind, channel: around.channel, raw };
                self.record(None, kept, around.now);
                return NOTHING;
            }
        };
        let about = match &event.kind {
            InboundKind::Reacted { provider_id, .. }
            | InboundKind::SeenUpTo { up_to: SeenMark::Message { provider_id }, .. } => {
                self.by_id(around.channel, provider_id)
            }
            _ => None,
        };
        let known = self.known_contact(around, contact, name.as_ref());
        match (known, &event.kind) {
            (Some(conversation), _) => self.tell(around, conversation, about, event),
            (None, InboundKind::SeenUpTo { .. }) => NOTHING,
            (None, _) => {
                let conversation = self.contact_of(around, contact, name.as_ref());
                self.tell(around, conversation, about, event)
            }
        }
    }

    fn by_id(&self, channel: ChannelId, provider_id: &Pii<String>) -> Option<Known> {
        self.provider_ids.get(&(channel, provider_id.clone())).copied()
    }

    /// A letter to a conversation, about a message if one is known.
    fn tell(
        &mut self,
        around: Around<'_>,
        conversation: ConversationId,
        about: Option<Known>,
        event: InboundEvent,
    ) -> Taken {
        let message = about.map(|known| known.message);
        self.put_letter(conversation, around.now, Letter::Inbound { message, event });
        (true, Some(conversation))
    }

    /// A letter to the conversation of the message that it is about, now or once that is known.
    fn tell_or_park(
        &mut self,
        around: Around<'_>,
        known: Option<Known>,
        provider_id: &Pii<String>,
        event: InboundEvent,
    ) -> Taken {
        if let Some(known) = known {
            self.put_letter(known.conversation, around.now, about(known.message, event));
            return (true, Some(known.conversation));
        }
        self.parked.push(Parked {
            accepted_at: around.now,
            channel: around.channel,
            provider_id: provider_id.clone(),
            event,
        });
        if self.parked.len() as u64 > around.shared.limits.parked_max {
            self.parked.remove(0);
        }
        NOTHING
    }

    /// A message that did not go out through us.
    fn take_message(
        &mut self,
        around: Around<'_>,
        conversation: ConversationId,
        provider_id: &Pii<String>,
        mut event: InboundEvent,
    ) -> Taken {
        if self.tombstones.contains_key(&(around.channel, provider_id.clone())) {
            unsay(&mut event.kind, provider_id);
        }
        let message = MessageId::in_order(around.now, self.inbox_seq, &*around.shared.entropy);
        self.put_letter(conversation, around.now, Letter::Inbound { message: Some(message), event });
        self.know(around.channel, provider_id, Known { conversation, message, ours: false });
        (true, Some(conversation))
    }

    /// What the business wrote: through us, or elsewhere.
    fn take_echo(&mut self, around: Around<'_>, event: InboundEvent) -> Taken {
        let InboundKind::EchoReceived { provider_id, to, message, content, through, .. } = &event.kind else {
            return NOTHING;
        };
        let provider_id = provider_id.clone();
        let by_our_id = message.and_then(|id| self.ours(around.channel, id));
        let by_its_id = self.by_id(around.channel, &provider_id);
        if by_our_id.is_none() && by_its_id.is_some_and(|known| !known.ours) {
            return REPEATED;
        }
        let silent = message.is_none() && may_be_ours(through);
        let by_what_it_says = || silent.then(|| self.under_way(around.channel, to, content)).flatten();
        let Some(ours) = by_our_id.or(by_its_id).or_else(by_what_it_says) else {
            let conversation = self.contact_of(around, to, None);
            return self.take_message(around, conversation, &provider_id, event);
        };
        let sent = InboundKind::StatusChanged {
            provider_id: provider_id.clone(),
            message: Some(ours.message),
            recipient: Some(to.clone()),
            delivery: Delivery::new(DeliveryStatus::Sent, event.occurred_at),
        };
        let letter = about(ours.message, InboundEvent { kind: sent, ..event });
        self.put_letter(ours.conversation, around.now, letter);
        self.know(around.channel, &provider_id, ours);
        (true, Some(ours.conversation))
    }

    /// The message of ours to this contact that may have left and says the same.
    fn under_way(&self, channel: ChannelId, to: &ContactIdentity, echo: &Content) -> Option<Known> {
        let people = self.named(channel, to);
        let conversations = people.iter().filter_map(|id| self.contacts.get(id)).map(|it| it.conversation);
        conversations.into_iter().find_map(|conversation| {
            let mut entries = self.outbox.range((conversation, 0)..=(conversation, u64::MAX));
            let (_, entry) = entries.find(|(_, entry)| is_echo_of(entry, echo))?;
            Some(Known { conversation, message: entry.message, ours: true })
        })
    }

    /// A message that went out on this channel, by our own id.
    fn ours(&self, channel: ChannelId, id: MessageId) -> Option<Known> {
        let is_here = |of: &ConversationId| {
            self.conversations.get(of).is_some_and(|stored| stored.conversation.channel == channel)
        };
        let mut found = self
            .messages
            .iter()
            .filter(|((of, message), stored)| *message == id && is_here(of) && is_ours(stored));
        found.next().map(|((conversation, message), _)| Known {
            conversation: *conversation,
            message: *message,
            ours: true,
        })
    }

    /// A message was taken back: what waits to be read says nothing of it any more.
    fn take_back(&mut self, around: Around<'_>, provider_id: &Pii<String>, at: Timestamp) {
        let key = (around.channel, provider_id.clone());
        self.tombstones.entry(key.clone()).or_insert((around.now, at));
        self.parked.retain(|parked| {
            let is_edit = matches!(parked.event.kind, InboundKind::MessageEdited { .. });
            !is_edit || parked.channel != around.channel || parked.provider_id != *provider_id
        });
        if let Some(known) = self.provider_ids.get(&key).copied() {
            self.unsay((known.conversation, known.message), around.now);
            let letters = (known.conversation, 0)..=(known.conversation, u64::MAX);
            for (_, entry) in self.inbox.range_mut(letters) {
                if let Letter::Inbound { event, .. } = &mut entry.letter {
                    unsay(&mut event.kind, provider_id);
                }
            }
        }
    }
}
