//! The settings of how long data is kept.

use serde::Deserialize;

/// What the platform allows for a class of data, days.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassDays {
    /// Nothing goes earlier.
    pub floor: u32,
    /// Nothing stays longer.
    pub ceiling: u32,
    /// What counts where a tenant chose nothing.
    pub default: u32,
}

impl ClassDays {
    /// Whether they can be kept to.
    pub(crate) fn are_sound(self) -> bool {
        self.floor >= 1
            && self.floor <= self.default
            && self.default <= self.ceiling
            && self.ceiling <= 36_500
    }
}

/// How long data is kept.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetentionSettings {
    /// Contacts who have been silent.
    pub contact: ClassDays,
    /// Messages, with files and summaries.
    pub message: ClassDays,
    /// Execution records.
    pub execution: ClassDays,
    /// The log of events.
    pub event: ClassDays,
    /// Events on their way to tenants' systems.
    pub webhook: ClassDays,
    /// Work that was given up.
    pub dead_letter: ClassDays,
    /// A tenant that was closed is destroyed after so many days.
    pub closed_days: u32,
    /// How often what is over its period is removed, minutes.
    pub sweep_minutes: u64,
    /// So long after an erasure the tenant's keys are turned at the latest, minutes; and always a day before the
    /// legal deadline.
    pub keys_turn_minutes: u64,
}
