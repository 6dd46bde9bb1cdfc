//! Identifiers: 16 bytes, time-ordered (`UUIDv7`), written with a prefix that says what they name.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::{Builder, Uuid};

use crate::{Entropy, Timestamp};

/// An identifier that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a {what} id: expected `{prefix}_` and 32 hexadecimal digits")]
pub struct BadId {
    /// What the identifier should have named.
    pub what: &'static str,
    /// The prefix that it should have had.
    pub prefix: &'static str,
}

fn time_ordered(now: Timestamp, entropy: &dyn Entropy) -> Uuid {
    let mut random = [0; 10];
    entropy.fill(&mut random);
    Builder::from_unix_timestamp_millis(now.as_millis().max(0).cast_unsigned(), &random).into_uuid()
}

/// Bytes of an id that are its moment.
pub const MOMENT_BYTES: usize = 6;

/// The moment in an id: when what it names came to be, to the millisecond.
pub fn moment_of(id: [u8; 16]) -> Timestamp {
    let mut millis = [0; 8];
    millis[2..].copy_from_slice(&id[..MOMENT_BYTES]);
    Timestamp::from_millis(u64::from_be_bytes(millis).cast_signed())
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// What its text form begins with.
            pub const PREFIX: &'static str = $prefix;

            /// A new one: later ones sort after earlier ones, to the millisecond.
            pub fn new(now: Timestamp, entropy: &dyn Entropy) -> Self {
                Self(time_ordered(now, entropy))
            }

            /// The one with these 16 bytes.
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }

            /// Its 16 bytes, in sorting order.
            pub const fn to_bytes(self) -> [u8; 16] {
                self.0.into_bytes()
            }
        }

        impl crate::map::Mapped for $name {
            fn shape() -> crate::map::Shape {
                crate::map::Shape::Leaf
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "_{}"), self.0.simple())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = BadId;

            fn from_str(text: &str) -> Result<Self, BadId> {
                let bad = BadId { what: stringify!($name), prefix: $prefix };
                let digits = text.strip_prefix(concat!($prefix, "_")).ok_or_else(|| bad.clone())?;
                if digits.len() != 32 {
                    return Err(bad);
                }
                Uuid::try_parse(digits).map(Self).map_err(|_| bad)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}

ids! {
    /// One client of the platform: the unit of isolation, limits and billing.
    TenantId = "ten";
    /// A Meta app: its secrets and verify token.
    MetaAppId = "app";
    /// A tenant's connected number, Page or Instagram account.
    ChannelId = "chn";
    /// An end user, as one tenant knows them.
    ContactId = "con";
    /// The ordered exchange of one contact on one channel.
    ConversationId = "cnv";
    /// One message, in or out.
    MessageId = "msg";
    /// One effort of the assistant to answer.
    TurnId = "trn";
    /// Work that was given up and may be replayed by a person.
    DeadLetterId = "ded";
    /// A file in the content store.
    MediaId = "med";
    /// An API key.
    ApiKeyId = "key";
    /// A request to delete what is stored about somebody, as Meta passes it on.
    DeletionId = "del";
    /// A document that the assistant may look things up in.
    DocumentId = "doc";
    /// A question with expected traits that a tenant keeps.
    GoldenId = "gld";
    /// A backup of the store.
    BackupId = "bak";
    /// An examination of the store.
    CheckId = "chk";
    /// A person who signs in.
    AccountId = "acc";
    /// Who runs many tenants.
    AgencyId = "agy";
    /// One sign-in of an account.
    SessionId = "ses";
    /// A browser that an account signed in with.
    DeviceId = "dev";
    /// A passkey of an account.
    PasskeyId = "pky";
    /// An invitation to become an account, or to belong to one more tenant.
    InvitationId = "inv";
    /// A look of the platform's owner into a tenant's content.
    BreakGlassId = "brk";
    /// A request as the access log keeps it.
    AccessId = "acl";
    /// A tenant's subscription to its own events.
    SubscriptionId = "hok";
    /// One event on its way to one subscription.
    DeliveryId = "dlv";
    /// A mail on its way.
    MailId = "mai";
    /// One person's data on its way out.
    ErasureId = "era";
    /// A duty to keep.
    HoldId = "hld";
    /// What somebody asked about their own data.
    CaseId = "cas";
    /// A request of the public page.
    IntakeId = "rqs";
    /// An order of an authority.
    OrderId = "ord";
    /// Something that got into hands that it was not for.
    IncidentId = "inc";
}

impl MessageId {
    /// One that also sorts by `place` among those of the same millisecond: messages of one webhook
    /// come in the same instant and keep their order. Only the low 18 bits of `place` count.
    pub fn in_order(now: Timestamp, place: u64, entropy: &dyn Entropy) -> Self {
        let mut distinct = [0; 10];
        entropy.fill(&mut distinct);
        let [.., high, middle, low] = place.to_be_bytes();
        // The parts of these bytes that the version and the variant leave: 4, 8 and 6 bits.
        distinct[0] = (high << 2 | middle >> 6) & 0x0F;
        distinct[1] = middle << 2 | low >> 6;
        distinct[2] = low & 0x3F;
        Self(
            Builder::from_unix_timestamp_millis(now.as_millis().max(0).cast_unsigned(), &distinct)
                .into_uuid(),
        )
    }
}

impl TurnId {
    /// The turn that `conversation` began with this number at `now`. A conversation decides without
    /// chance, so the id is made of what it knows: the moment, itself and its own count.
    pub fn of(conversation: ConversationId, number: u64, now: Timestamp) -> Self {
        let mut distinct = [0; 10];
        distinct[..6].copy_from_slice(&conversation.to_bytes()[10..]);
        distinct[6..].copy_from_slice(&number.to_be_bytes()[4..]);
        Self(
            Builder::from_unix_timestamp_millis(now.as_millis().max(0).cast_unsigned(), &distinct)
                .into_uuid(),
        )
    }
}

impl DeliveryId {
    /// The one of the event at `seq` to a subscription: made of both, so that an event that is taken up
    /// again is the same delivery, and in the order of the log.
    pub fn of(subscription: SubscriptionId, seq: u64) -> Self {
        let mut bytes = subscription.to_bytes();
        bytes[..8].copy_from_slice(&seq.to_be_bytes());
        Self(Uuid::from_bytes(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SeededEntropy;

    #[test]
    fn ids_sort_by_time_and_survive_their_text_form() {
        let entropy = SeededEntropy::new(1);
        let first = MessageId::new(Timestamp::from_millis(1_790_000_000_000), &entropy);
        let second = MessageId::new(Timestamp::from_millis(1_790_000_000_001), &entropy);
        assert!(first < second);
        assert_eq!(first.to_string().parse::<MessageId>(), Ok(first));
        assert!(first.to_string().starts_with("msg_"));
    }

    #[test]
    fn messages_of_the_same_instant_keep_their_order() {
        let entropy = SeededEntropy::new(1);
        let ids: Vec<_> = (0..(1 << 18))
            .step_by(37)
            .map(|place| MessageId::in_order(Timestamp::EPOCH, place, &entropy))
            .collect();
        assert!(ids.is_sorted());
    }

    #[test]
    fn another_kind_of_id_is_refused() {
        let entropy = SeededEntropy::new(1);
        let turn = TurnId::new(Timestamp::EPOCH, &entropy).to_string();
        let refusal = turn.parse::<MessageId>().unwrap_err();
        assert_eq!(refusal.to_string(), "not a MessageId id: expected `msg_` and 32 hexadecimal digits");
        assert!("msg_".parse::<MessageId>().is_err());
        assert!("msg_é".parse::<MessageId>().is_err());
    }
}
