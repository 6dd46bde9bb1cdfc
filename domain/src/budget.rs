//! Money: what tokens cost, and how much may be spent.

use serde::{Deserialize, Serialize};

use crate::Mapped;
use crate::Timestamp;
use crate::id::{ContactId, ConversationId, TurnId};
use crate::turn::Usage;

const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

/// An amount in millionths of the price table's currency.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, Mapped,
)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(transparent)]
pub struct Cost(pub u64);

impl Cost {
    /// More than anything costs.
    pub const MAX: Self = Self(u64::MAX);

    /// Both together.
    pub const fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// What is left of it; never below nothing.
    pub const fn minus(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

/// What a model's tokens cost, in thousandths of a [`Cost`] for each: a price of 0.40 per million
/// tokens is 400.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, Mapped)]
#[data(part)]
pub struct Price {
    /// A token of the prompt.
    #[data(operational)]
    pub input: u64,
    /// A token of the answer.
    #[data(operational)]
    pub output: u64,
}

impl Price {
    /// What this usage costs, rounded up.
    pub const fn of(&self, usage: Usage) -> Cost {
        let input = self.input.saturating_mul(usage.input_tokens);
        let output = self.output.saturating_mul(usage.output_tokens);
        Cost(input.saturating_add(output).div_ceil(1_000))
    }
}

/// What happens where no answer of the model's can be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, Mapped)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Instead {
    /// The fallback text is sent.
    #[default]
    Text,
    /// The conversation waits for a person, and the contact is told so.
    Human,
    /// Nothing is said; the event log tells.
    Silence,
}

/// How much may be spent; nothing is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, Mapped)]
#[data(part)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Budgets {
    /// By one turn.
    #[data(money)]
    pub turn: Option<Cost>,
    /// On one contact in a day.
    #[data(money)]
    pub contact_day: Option<Cost>,
    /// On one conversation, ever.
    #[data(money)]
    pub conversation: Option<Cost>,
    /// By the whole tenant in a day.
    #[data(money)]
    pub tenant_day: Option<Cost>,
    /// What happens at a limit.
    #[data(money)]
    pub at_limit: Instead,
}

impl Budgets {
    /// Whether there is any limit that is kept over several turns.
    pub const fn is_kept(&self) -> bool {
        self.contact_day.is_some() || self.conversation.is_some() || self.tenant_day.is_some()
    }
}

/// A day, counted in UTC since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Mapped)]
#[serde(transparent)]
pub struct Day(pub u64);

impl Day {
    /// The day of a moment; the first for anything before 1970.
    pub const fn of(at: Timestamp) -> Self {
        let days = at.as_millis().div_euclid(DAY_MS);
        Self(if days < 0 { 0 } else { days.cast_unsigned() })
    }
}

/// As `2026-11-24`.
impl std::fmt::Display for Day {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let span = i64::try_from(self.0).map(|days| jiff::Span::new().try_days(days));
        let date = span
            .ok()
            .and_then(Result::ok)
            .and_then(|span| jiff::civil::date(1970, 1, 1).checked_add(span).ok());
        match date {
            Some(date) => write!(f, "{date}"),
            None => write!(f, "day {}", self.0),
        }
    }
}

/// Money that is set aside before a call is made, so that calls made at once cannot spend the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[data(purpose = "operate", basis = "contract", keep = "spending")]
pub struct Reservation {
    /// For which turn.
    #[data(id)]
    pub turn: TurnId,
    /// In which conversation.
    #[data(id)]
    pub conversation: ConversationId,
    /// On whom.
    #[data(id)]
    pub contact: ContactId,
    /// On which day.
    #[data(operational)]
    pub day: Day,
    /// How much.
    #[data(money)]
    pub amount: Cost,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_reads_as_a_date() {
        assert_eq!(Day(0).to_string(), "1970-01-01");
        assert_eq!(Day::of(Timestamp::from_secs(1_795_478_400)).to_string(), "2026-11-24");
        assert_eq!(Day(u64::MAX).to_string(), "day 18446744073709551615");
    }
}
