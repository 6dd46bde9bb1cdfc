//! Taking in what webhooks say.

use iassistance_domain::contact::{Contact, ContactIdentity};
use iassistance_domain::conversation::Conversation;
use iassistance_domain::event::EventKind;
use iassistance_domain::id::{ChannelId, ContactId, ConversationId, MessageId};
use iassistance_domain::inbound::{InboundEvent, InboundKind};
use iassistance_domain::{Pii, Timestamp};

use super::tenant::{Parked, Stored, TenantData, naming};
use super::{Result, Shared};
use crate::commit::{Accepted, Letter};
use crate::error::StorageError;
use crate::store::described;

impl TenantData {
    pub(super) fn accept(
        &mut self,
        shared: &Shared,
        channel: ChannelId,
        events: &[InboundEvent],
    ) -> Result<Accepted> {
        let entries = self.inbox.len() as u64;
        if entries >= shared.limits.inbox_entries_max {
            return Err(StorageError::Backlog { entries });
        }
        let now = shared.clock.now();
        let mut accepted = Accepted::default();
        for event in events {
            let is_new = !self.dedup.contains_key(&(channel, event.dedup.clone()));
            accepted.new.push(is_new);
            if !is_new {
                continue;
            }
            self.dedup.insert((channel, event.dedup.clone()), now);
            if let Some(conversation) = self.take_in(shared, channel, event, now)
                && !accepted.conversations.contains(&conversation)
            {
                accepted.conversations.push(conversation);
            }
        }
        self.publish();
        Ok(accepted)
    }

    /// Takes one new event in; the conversation that got a letter by it, if one did.
    fn take_in(
        &mut self,
        shared: &Shared,
        channel: ChannelId,
        event: &InboundEvent,
        now: Timestamp,
    ) -> Option<ConversationId> {
        let mut event = event.clone();
        let (conversation, message) = match &event.kind {
            InboundKind::MessageReceived { from, profile_name, .. } => {
                let conversation = self.contact_of(shared, channel, from, profile_name.as_ref(), now);
                (conversation, Some(MessageId::in_order(now, self.inbox_seq, &*shared.entropy)))
            }
            InboundKind::StatusChanged { provider_id, message, .. } => {
                let Some((conversation, ours)) = self.message_of(channel, *message, provider_id) else {
                    let provider_id = provider_id.clone();
                    self.parked.push(Parked { accepted_at: now, channel, provider_id, event });
                    if self.parked.len() as u64 > shared.limits.parked_max {
                        self.parked.remove(0);
                    }
                    self.record(None, EventKind::StatusParked { channel }, now);
                    return None;
                };
                event = naming(event, ours);
                (conversation, None)
            }
            InboundKind::Kept { contact: Some(contact), .. } => {
                (self.contact_of(shared, channel, contact, None, now), None)
            }
            _ => {
                let (kind, raw) = described(&event);
                self.record(None, EventKind::WebhookKept { kind, channel, raw }, now);
                return None;
            }
        };
        self.put_letter(conversation, now, Letter::Inbound { message, event });
        Some(conversation)
    }

    /// The message that a status is about: ours by the id that came back, if it went out on this
    /// channel, or else by Meta's id.
    fn message_of(
        &self,
        channel: ChannelId,
        ours: Option<MessageId>,
        provider_id: &Pii<String>,
    ) -> Option<(ConversationId, MessageId)> {
        let by_ours = ours.and_then(|ours| {
            let mut of_this_channel = self.messages.keys().filter(|(id, _)| {
                self.conversations.get(id).is_some_and(|stored| stored.conversation.channel == channel)
            });
            of_this_channel.find(|(_, message)| *message == ours).copied()
        });
        by_ours.or_else(|| self.provider_ids.get(&(channel, provider_id.clone())).copied())
    }

    /// The conversation of a contact, who is made known if they are new.
    fn contact_of(
        &mut self,
        shared: &Shared,
        channel: ChannelId,
        identity: &ContactIdentity,
        profile_name: Option<&Pii<String>>,
        now: Timestamp,
    ) -> ConversationId {
        let known: Vec<_> = identity
            .parts()
            .map(|(part, value)| (part, value, self.addresses.get(&(channel, part, value.clone())).copied()))
            .collect();
        let Some(id) = known.iter().find_map(|(_, _, contact)| *contact) else {
            return self.open(shared, channel, identity, profile_name, now);
        };
        let Some(contact) = self.contacts.get_mut(&id) else {
            return self.open(shared, channel, identity, profile_name, now);
        };
        for (part, value, owner) in known {
            if owner.is_some() {
                continue;
            }
            let place = match part {
                "wa_id" => &mut contact.identity.wa_id,
                _ => &mut contact.identity.user_id,
            };
            if let Some(former) = place.replace(value.clone()) {
                self.addresses.remove(&(channel, part, former));
            }
            self.addresses.insert((channel, part, value.clone()), id);
        }
        if profile_name.is_some() {
            contact.profile_name = profile_name.cloned();
        }
        contact.conversation
    }

    fn open(
        &mut self,
        shared: &Shared,
        channel: ChannelId,
        identity: &ContactIdentity,
        profile_name: Option<&Pii<String>>,
        now: Timestamp,
    ) -> ConversationId {
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
                created_at: now,
            },
        );
        let conversation = Conversation::open(id, channel, contact, now);
        self.conversations.insert(id, Stored { conversation, revision: 0 });
        self.record(
            Some(id),
            EventKind::ConversationOpened { channel, profile_name: profile_name.cloned() },
            now,
        );
        id
    }
}
