//! The settings of how people's rights over their own data are served.

use std::path::PathBuf;

use serde::Deserialize;

/// The laws that come with the program: profiles and holidays.
pub const LAW: &str = include_str!("../law.toml");

/// How rights are served.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RightsSettings {
    /// Profiles of law that are in force: the earliest moment of any counts.
    pub law: Vec<String>,
    /// A file with the laws, in place of those that come with the program; empty: those.
    pub law_file: PathBuf,
    /// The same asked again within so many days is marked as a repetition.
    pub repeat_days: u32,
    /// Digits of the code that proves who asks.
    pub code_digits: u8,
    /// How long it counts, minutes.
    pub code_minutes: u32,
    /// How often it may be tried.
    pub code_tries: u8,
    /// Codes that are sent to one person in a day, whoever asks.
    pub codes_per_day: u8,
    /// How long the page lets in who proved who they are, minutes.
    pub link_minutes: u32,
    /// A request that nobody proves lapses after so many days.
    pub unproven_days: u32,
    /// Requests of the public page that are taken at once from one network address.
    pub page_burst: u32,
    /// And then one in so many milliseconds.
    pub page_interval_ms: u64,
    /// Requests of the public page that are taken in an hour, from everybody together.
    pub page_per_hour: u32,
}

impl RightsSettings {
    /// Whether codes cannot be guessed, and nothing is without an end.
    pub(crate) fn are_sound(&self) -> bool {
        !self.law.is_empty()
            && (6..=12).contains(&self.code_digits)
            && (1..=60).contains(&self.code_minutes)
            && (1..=10).contains(&self.code_tries)
            && (1..=50).contains(&self.codes_per_day)
            && (1..=120).contains(&self.link_minutes)
            && (1..=365).contains(&self.unproven_days)
            && self.repeat_days <= 3_650
            && self.page_burst >= 1
            && self.page_interval_ms >= 1
            && (1..=100_000).contains(&self.page_per_hour)
    }
}
