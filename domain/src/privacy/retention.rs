//! For how long what is kept.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Mapped;
use crate::Timestamp;

/// A class of data: what is kept together and goes together. Every stored field names its class in the data
/// map; which of them a tenant may choose a period for says [`Class::is_chosen`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Mapped)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Who end users are: what they are known by, their name, what was noted about them. Goes when they have
    /// been silent for the period, with all else of them.
    Contact,
    /// What was written in both directions, with files, summaries and what is on its way.
    Message,
    /// Execution records of the assistant's turns.
    Execution,
    /// The tenant's log of events.
    Event,
    /// Copies of events on their way to the tenant's own systems.
    Webhook,
    /// Work that was given up.
    DeadLetter,
    /// Sums of money, without words.
    Spending,
    /// Marks that keep repetitions of Meta's webhooks out.
    Mark,
    /// Answers to requests that may be repeated.
    Answer,
    /// Webhooks for addresses that nobody connected.
    Unrouted,
    /// How a tenant has set the platform up: channels, assistant, knowledge, webhooks.
    Setting,
    /// Accounts, sessions, invitations and agencies of the people who work with the platform.
    Account,
    /// The access log.
    Access,
    /// The audit log.
    Audit,
    /// Proof of how the law was kept: erasures, holds, sweeps, certificates.
    Proof,
    /// What the store needs for itself and what is about nobody.
    Upkeep,
}

impl Class {
    /// All there are.
    pub const ALL: [Self; 16] = [
        Self::Contact,
        Self::Message,
        Self::Execution,
        Self::Event,
        Self::Webhook,
        Self::DeadLetter,
        Self::Spending,
        Self::Mark,
        Self::Answer,
        Self::Unrouted,
        Self::Setting,
        Self::Account,
        Self::Access,
        Self::Audit,
        Self::Proof,
        Self::Upkeep,
    ];
    /// Those for which a tenant chooses a period, within the platform's bounds.
    pub const CHOSEN: [Self; 6] =
        [Self::Contact, Self::Message, Self::Execution, Self::Event, Self::Webhook, Self::DeadLetter];

    /// Whether a tenant chooses a period for it.
    pub fn is_chosen(self) -> bool {
        Self::CHOSEN.contains(&self)
    }

    /// Its name, as in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Contact => "contact",
            Self::Message => "message",
            Self::Execution => "execution",
            Self::Event => "event",
            Self::Webhook => "webhook",
            Self::DeadLetter => "dead_letter",
            Self::Spending => "spending",
            Self::Mark => "mark",
            Self::Answer => "answer",
            Self::Unrouted => "unrouted",
            Self::Setting => "setting",
            Self::Account => "account",
            Self::Access => "access",
            Self::Audit => "audit",
            Self::Proof => "proof",
            Self::Upkeep => "upkeep",
        }
    }

    /// The class of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.name() == name)
    }

    /// For how long it is kept, in words: where the period is not the tenant's choice, the rule.
    pub const fn rule(self) -> &'static str {
        match self {
            Self::Contact => "as long as the contact writes, and the tenant's period after that",
            Self::Message | Self::Execution | Self::Event | Self::Webhook | Self::DeadLetter => {
                "the tenant's period, within the platform's floor and ceiling"
            }
            Self::Spending => "400 days",
            Self::Mark => "storage.dedup_days; marks of messages that are there, as long as those",
            Self::Answer => "24 hours",
            Self::Unrouted => "the newest storage.unrouted_max",
            Self::Account => "as long as the account is there; sessions end by themselves",
            Self::Access => "access.kept_days; addresses are shortened after access.whole_days",
            Self::Setting | Self::Audit => {
                "as long as the tenant is served, and retention.closed_days after that"
            }
            Self::Proof => "as long as the tenant is served; certificates of destruction stay",
            Self::Upkeep => "as long as the store needs it",
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What the platform allows for a class, days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ClassBounds {
    /// Nothing goes earlier than that.
    pub floor: u32,
    /// Nothing stays longer than that.
    pub ceiling: u32,
    /// What counts where a tenant chose nothing.
    pub default: u32,
}

/// The platform's bounds for each class that tenants choose for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetentionRules(BTreeMap<Class, ClassBounds>);

/// What is wrong with periods.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RetentionProblem {
    /// No period may be chosen for it.
    #[error("no period can be chosen for `{0}`: it is kept by a rule of the platform")]
    NotChosen(Class),
    /// It is outside the platform's bounds.
    #[error("`{class}` must be kept for {floor} to {ceiling} days, and {days} is not among them")]
    OutOfBounds {
        /// Of which class.
        class: Class,
        /// What was asked.
        days: u32,
        /// The fewest.
        floor: u32,
        /// The most.
        ceiling: u32,
    },
}

impl RetentionRules {
    /// The bounds of each class; one without a line is kept for 1 to 1,825 days.
    pub fn new(bounds: impl IntoIterator<Item = (Class, ClassBounds)>) -> Self {
        let mut all: BTreeMap<_, _> = Class::CHOSEN
            .iter()
            .map(|class| (*class, ClassBounds { floor: 1, ceiling: 1_825, default: 1_825 }))
            .collect();
        all.extend(bounds.into_iter().filter(|(class, _)| class.is_chosen()));
        Self(all)
    }

    /// The bounds of a class, if tenants choose for it.
    pub fn bounds(&self, class: Class) -> Option<ClassBounds> {
        self.0.get(&class).copied()
    }

    /// All bounds, by class.
    pub fn all(&self) -> impl Iterator<Item = (Class, ClassBounds)> {
        self.0.iter().map(|(class, bounds)| (*class, *bounds))
    }

    /// For how many days a tenant's data of a class is kept; what was chosen under other bounds is brought
    /// within these. Nothing for a class that has no period.
    pub fn days(&self, chosen: &Retention, class: Class) -> Option<u32> {
        let bounds = self.bounds(class)?;
        let days = chosen.days.get(&class).copied().unwrap_or(bounds.default);
        Some(days.clamp(bounds.floor, bounds.ceiling))
    }

    /// Whether a tenant may choose so.
    ///
    /// # Errors
    /// [`RetentionProblem`]
    pub fn check(&self, chosen: &Retention) -> Result<(), RetentionProblem> {
        for (&class, &days) in &chosen.days {
            let ClassBounds { floor, ceiling, .. } =
                self.bounds(class).ok_or(RetentionProblem::NotChosen(class))?;
            if !(floor..=ceiling).contains(&days) {
                return Err(RetentionProblem::OutOfBounds { class, days, floor, ceiling });
            }
        }
        Ok(())
    }
}

impl Default for RetentionRules {
    fn default() -> Self {
        Self::new([])
    }
}

/// What a tenant chose: for how many days each class is kept.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, Mapped)]
#[data(purpose = "rights", basis = "obligation", keep = "setting")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Retention {
    /// Days, by class; a class that is not named is kept as the platform does.
    #[serde(default)]
    #[data(operational)]
    pub days: BTreeMap<Class, u32>,
}

/// Proof of a sweep: what went because its period was over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[data(purpose = "rights", basis = "obligation", keep = "proof")]
pub struct SweepRecord {
    /// Of which class.
    #[data(operational)]
    pub class: Class,
    /// When it ended.
    #[data(operational)]
    pub at: Timestamp,
    /// What was older than this went.
    #[data(operational)]
    pub before: Timestamp,
    /// How many records.
    #[data(operational)]
    pub removed: u64,
    /// How many files of messages.
    #[data(operational)]
    pub files: u64,
    /// How many were due and stayed, for a legal hold.
    #[data(operational)]
    pub held: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_stays_within_the_bounds() {
        let rules =
            RetentionRules::new([(Class::Message, ClassBounds { floor: 7, ceiling: 90, default: 30 })]);
        let chosen = |days| Retention { days: BTreeMap::from([(Class::Message, days)]) };
        assert_eq!(rules.days(&Retention::default(), Class::Message), Some(30));
        for (days, counts) in [(1, 7), (7, 7), (60, 60), (400, 90)] {
            assert_eq!(rules.days(&chosen(days), Class::Message), Some(counts));
            assert_eq!(rules.check(&chosen(days)).is_ok(), days == counts, "{days}");
        }
        assert_eq!(rules.days(&chosen(9), Class::Audit), None);
        let audit = Retention { days: BTreeMap::from([(Class::Audit, 9)]) };
        assert_eq!(rules.check(&audit), Err(RetentionProblem::NotChosen(Class::Audit)));
    }

    #[test]
    fn every_class_is_known_by_its_name() {
        for class in Class::ALL {
            assert_eq!(Class::from_name(class.name()), Some(class));
            assert_eq!(serde_json::to_value(class).unwrap(), class.name());
        }
    }
}
