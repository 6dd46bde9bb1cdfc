//! The ledger of disclosures: who was handed what about a person, how often, first and last. It is written before
//! something leaves, and goes with the person's key.

use serde::{Deserialize, Serialize};

use crate::Mapped;
use crate::Timestamp;

/// Lines of one person's ledger at most. Hosts come of what tenants set up, so there are few; what is beyond goes
/// under [`OTHERS`].
pub const LINES_MAX: usize = 200;
/// Stands for the hosts that have no line of their own.
pub const OTHERS: &str = "others";

/// What somebody who gets personal data is to the platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Mapped)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[data(part)]
#[serde(rename_all = "snake_case")]
pub enum RecipientKind {
    /// Meta, which carries the messages.
    Meta,
    /// A model's server, such as OpenAI's.
    Model,
    /// Where the files of messages are kept.
    Files,
    /// A tool of the tenant's own.
    Tool,
    /// A system of the tenant's own that gets its events.
    Webhook,
    /// An authority, by an order that the tenant may know of.
    Authority,
}

impl RecipientKind {
    /// Its name, as in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Model => "model",
            Self::Files => "files",
            Self::Tool => "tool",
            Self::Webhook => "webhook",
            Self::Authority => "authority",
        }
    }
}

/// Somebody who gets personal data.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Mapped)]
#[data(part)]
pub struct Recipient {
    /// What they are.
    #[data(operational)]
    pub kind: RecipientKind,
    /// Their host, or an authority's name; empty for Meta.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[data(setting)]
    pub host: String,
}

impl Recipient {
    /// Meta.
    pub const META: Self = Self { kind: RecipientKind::Meta, host: String::new() };

    /// Somebody at a host.
    pub fn at(kind: RecipientKind, host: impl Into<String>) -> Self {
        Self { kind, host: host.into() }
    }
}

/// What was handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Mapped)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[data(part)]
#[serde(rename_all = "snake_case")]
pub enum Handed {
    /// A message to them, with their address on the channel.
    Message,
    /// What was written in the conversation.
    Conversation,
    /// What they said in a recording.
    Recording,
    /// A file of a message.
    File,
    /// What the assistant gave to a tool.
    ToolInput,
    /// An event of the log.
    Event,
    /// What an order of an authority named.
    Order,
}

/// How often something was handed to somebody, first and last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[data(part)]
pub struct Disclosure {
    /// Who got it.
    #[data(parts)]
    pub to: Recipient,
    /// What.
    #[data(operational)]
    pub what: Handed,
    /// How often it left, or was about to.
    #[data(operational)]
    pub count: u64,
    /// When first.
    #[data(operational)]
    pub first_at: Timestamp,
    /// When last.
    #[data(operational)]
    pub last_at: Timestamp,
}

/// One person's ledger.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, Mapped)]
#[data(purpose = "rights", basis = "obligation", keep = "contact")]
pub struct Disclosures {
    /// A line for each recipient and what they got, in the order in which they first did.
    #[data(parts)]
    pub lines: Vec<Disclosure>,
}

impl Disclosures {
    /// Notes that something is about to leave.
    pub fn note(&mut self, to: Recipient, what: Handed, at: Timestamp) {
        self.add(Disclosure { to, what, count: 1, first_at: at, last_at: at });
    }

    /// Takes the lines of another ledger in.
    pub fn merge(&mut self, other: Self) {
        other.lines.into_iter().for_each(|line| self.add(line));
    }

    fn add(&mut self, line: Disclosure) {
        let same = |known: &Disclosure, to: &Recipient| known.to == *to && known.what == line.what;
        let place = self.lines.iter().position(|known| same(known, &line.to));
        let (place, line) = match place {
            None if self.lines.len() >= LINES_MAX => {
                let others = Recipient::at(line.to.kind, OTHERS);
                (self.lines.iter().position(|known| same(known, &others)), Disclosure { to: others, ..line })
            }
            place => (place, line),
        };
        match place.and_then(|place| self.lines.get_mut(place)) {
            Some(known) => {
                known.count = known.count.saturating_add(line.count);
                known.first_at = known.first_at.min(line.first_at);
                known.last_at = known.last_at.max(line.last_at);
            }
            None => self.lines.push(line),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_secs(seconds)
    }

    #[test]
    fn each_recipient_has_a_line_for_what_it_got() {
        let mut ledger = Disclosures::default();
        let model = Recipient::at(RecipientKind::Model, "llm.example");
        ledger.note(Recipient::META, Handed::Message, at(5));
        ledger.note(model.clone(), Handed::Conversation, at(6));
        ledger.note(Recipient::META, Handed::Message, at(9));
        ledger.note(model, Handed::Recording, at(7));
        let counts: Vec<_> = ledger.lines.iter().map(|line| (line.to.kind, line.what, line.count)).collect();
        assert_eq!(
            counts,
            [
                (RecipientKind::Meta, Handed::Message, 2),
                (RecipientKind::Model, Handed::Conversation, 1),
                (RecipientKind::Model, Handed::Recording, 1)
            ]
        );
        assert_eq!((ledger.lines[0].first_at, ledger.lines[0].last_at), (at(5), at(9)));
        let mut both = Disclosures::default();
        both.note(Recipient::META, Handed::Message, at(1));
        both.merge(ledger);
        assert_eq!((both.lines[0].count, both.lines[0].first_at, both.lines[0].last_at), (3, at(1), at(9)));
    }

    #[test]
    fn a_ledger_has_an_end_and_loses_no_count() {
        let mut ledger = Disclosures::default();
        for number in 0..500 {
            ledger.note(
                Recipient::at(RecipientKind::Tool, format!("{number}.example")),
                Handed::ToolInput,
                at(number),
            );
        }
        assert_eq!(ledger.lines.len(), LINES_MAX + 1);
        assert_eq!(ledger.lines.iter().map(|line| line.count).sum::<u64>(), 500);
        assert_eq!(ledger.lines.last().map(|line| (line.to.host.as_str(), line.count)), Some((OTHERS, 300)));
    }
}
