//! What the law gives time for: profiles of law, calendars of holidays, and when something is due. All of it is
//! data (`config/law.toml`); nothing here knows a country.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::{Date, Weekday};
use jiff::{Span, ToSpan};
use serde::{Deserialize, Deserializer, Serialize};

use super::rights::RightKind;
use crate::Timestamp;

const DAY_MS: i64 = 24 * 60 * 60 * 1_000;
const MINUTE_MS: i64 = 60 * 1_000;
/// The longest period, in its own unit.
const PERIOD_MAX: u16 = 400;
/// The farthest from UTC that a clock is, minutes.
const OFFSET_MINUTES_MAX: i32 = 14 * 60;
/// Days that are looked through for one business day at most: no calendar has more holidays in a row.
const SEARCH_DAYS_MAX: u32 = 800;

/// How long something may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Period {
    /// Consecutive days.
    Days(u16),
    /// Days that are no weekend and no holiday.
    BusinessDays(u16),
    /// Months: to the day of the same number, or the last that the month has.
    Months(u16),
}

/// One law's periods.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// What settings call it.
    pub name: String,
    /// Which law, for people.
    pub law: String,
    /// By whose clock a day ends, minutes from UTC.
    pub offset_minutes: i32,
    /// Whose holidays count; none if not said.
    #[serde(default)]
    pub calendar: Option<String>,
    /// For access.
    pub access: Period,
    /// For everything else that a person may ask.
    pub others: Period,
    /// For telling those who got what was corrected or erased since, from when it was.
    pub tell_recipients: Period,
    /// By how much a period may be made longer; not at all if not said.
    #[serde(default)]
    pub extension: Option<Period>,
}

/// A holiday that was moved, taken away or added, for one year.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// Where it was; nothing where one was added.
    #[serde(default, deserialize_with = "date_text")]
    pub from: Option<Date>,
    /// Where it is; nothing where it was taken away.
    #[serde(default, deserialize_with = "date_text")]
    pub to: Option<Date>,
    /// By what.
    pub norm: String,
}

/// A country's holidays.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calendar {
    /// Years for which what was decided for one year alone is in here.
    pub known: Vec<i16>,
    /// Month and day, as `12-25`.
    pub fixed: Vec<String>,
    /// Days from Easter Sunday.
    #[serde(default)]
    pub easter: Vec<i32>,
    /// Month and day; moved to a Monday where they fall within the week.
    #[serde(default)]
    pub movable: Vec<String>,
    /// What was decided for one year alone.
    #[serde(default)]
    pub change: Vec<Change>,
}

/// The laws that there are.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Law {
    /// Their periods.
    pub profile: Vec<Profile>,
    /// The holidays that they name.
    #[serde(default)]
    pub calendar: BTreeMap<String, Calendar>,
}

/// Why something is due, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// Its last moment.
    pub at: Timestamp,
    /// By which profile.
    pub by: String,
}

/// What is wrong with the laws.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LawProblem {
    /// No profile, or one twice.
    #[error("each profile needs a name of its own, and there must be one: `{0}`")]
    Profile(String),
    /// A profile that is in force is not there.
    #[error("there is no profile `{0}`")]
    Unknown(String),
    /// A calendar is named and is not there.
    #[error("profile `{profile}`: there is no calendar `{calendar}`")]
    NoCalendar {
        /// Which profile.
        profile: String,
        /// Which calendar.
        calendar: String,
    },
    /// A period is none.
    #[error("profile `{0}`: a period is 1 to {PERIOD_MAX}, an offset at most {OFFSET_MINUTES_MAX} minutes")]
    Period(String),
    /// A day of a calendar is none.
    #[error("calendar `{calendar}`: `{day}` is no month and day as `12-25`")]
    Day {
        /// Which calendar.
        calendar: String,
        /// Which day.
        day: String,
    },
    /// Nothing is left of a week.
    #[error("calendar `{0}`: a change says neither from where nor to where")]
    Change(String),
}

impl Period {
    const fn count(self) -> u16 {
        match self {
            Self::Days(count) | Self::BusinessDays(count) | Self::Months(count) => count,
        }
    }
}

impl Law {
    /// Whether they can be kept to, with these profiles in force.
    ///
    /// # Errors
    /// [`LawProblem`]
    pub fn check(&self, in_force: &[String]) -> Result<(), LawProblem> {
        let mut names = BTreeSet::new();
        for profile in &self.profile {
            if profile.name.is_empty() || !names.insert(profile.name.as_str()) {
                return Err(LawProblem::Profile(profile.name.clone()));
            }
            profile.check(&self.calendar)?;
        }
        if in_force.is_empty() {
            return Err(LawProblem::Profile(String::new()));
        }
        if let Some(unknown) = in_force.iter().find(|name| !names.contains(name.as_str())) {
            return Err(LawProblem::Unknown(unknown.clone()));
        }
        self.calendar.iter().try_for_each(|(name, calendar)| calendar.check(name))
    }

    /// When what somebody asked for at a moment is due: by the profile in force that wants it first.
    pub fn due(&self, in_force: &[String], right: RightKind, from: Timestamp) -> Due {
        self.earliest(in_force, from, |profile| match right {
            RightKind::Access => profile.access,
            _ => profile.others,
        })
    }

    /// When recipients must have been told of what was done at a moment.
    pub fn tell_due(&self, in_force: &[String], from: Timestamp) -> Due {
        self.earliest(in_force, from, |profile| profile.tell_recipients)
    }

    /// When it is due once it was made longer; nothing where no profile that wants it first lets it be.
    pub fn extended(&self, in_force: &[String], right: RightKind, from: Timestamp) -> Option<Due> {
        let before = self.due(in_force, right, from);
        let ends = self.in_force(in_force).map(|profile| {
            let period = if right == RightKind::Access { profile.access } else { profile.others };
            let end = self.end(profile, from, period);
            let at = profile.extension.map_or(end, |extension| self.end(profile, end, extension));
            Due { at, by: profile.name.clone() }
        });
        ends.min_by_key(|due| due.at).filter(|due| due.at > before.at)
    }

    fn in_force<'a>(&'a self, names: &'a [String]) -> impl Iterator<Item = &'a Profile> {
        self.profile.iter().filter(|profile| names.contains(&profile.name))
    }

    fn earliest(&self, in_force: &[String], from: Timestamp, period: impl Fn(&Profile) -> Period) -> Due {
        let ends = self
            .in_force(in_force)
            .map(|profile| Due { at: self.end(profile, from, period(profile)), by: profile.name.clone() });
        // Without a profile nothing gives time.
        ends.min_by_key(|due| due.at).unwrap_or(Due { at: from, by: String::new() })
    }

    /// The last moment of a period that begins then. Beyond the calendar, days are counted plainly.
    fn end(&self, profile: &Profile, from: Timestamp, period: Period) -> Timestamp {
        let calendar = profile.calendar.as_ref().and_then(|name| self.calendar.get(name));
        let offset = i64::from(profile.offset_minutes) * MINUTE_MS;
        let local = from.as_millis().saturating_add(offset);
        let day = local.div_euclid(DAY_MS);
        let last = match (date_of(day), period) {
            (Some(date), Period::BusinessDays(count)) => {
                business_days(calendar, date, count).and_then(day_of)
            }
            (Some(date), Period::Months(count)) => {
                date.checked_add(Span::new().months(i32::from(count))).ok().and_then(day_of)
            }
            _ => Some(day + i64::from(period.count())),
        };
        let last = last.unwrap_or(day + i64::from(period.count()));
        Timestamp::from_millis((last + 1).saturating_mul(DAY_MS).saturating_sub(offset).saturating_sub(1))
    }
}

impl Profile {
    fn check(&self, calendars: &BTreeMap<String, Calendar>) -> Result<(), LawProblem> {
        if let Some(calendar) = self.calendar.as_ref().filter(|name| !calendars.contains_key(*name)) {
            return Err(LawProblem::NoCalendar { profile: self.name.clone(), calendar: calendar.clone() });
        }
        let periods = [Some(self.access), Some(self.others), Some(self.tell_recipients), self.extension];
        let sound = periods.into_iter().flatten().all(|period| (1..=PERIOD_MAX).contains(&period.count()));
        if sound && self.offset_minutes.abs() <= OFFSET_MINUTES_MAX {
            Ok(())
        } else {
            Err(LawProblem::Period(self.name.clone()))
        }
    }
}

impl Calendar {
    fn check(&self, name: &str) -> Result<(), LawProblem> {
        let bad = self.fixed.iter().chain(&self.movable).find(|day| month_and_day(day).is_none());
        if let Some(day) = bad {
            return Err(LawProblem::Day { calendar: name.to_owned(), day: day.clone() });
        }
        if self.change.iter().any(|change| change.from.is_none() && change.to.is_none()) {
            return Err(LawProblem::Change(name.to_owned()));
        }
        Ok(())
    }

    /// The holidays of a year, those that were moved into it or out of it by what was decided too.
    pub fn holidays(&self, year: i16) -> BTreeSet<Date> {
        let on = |day: &String| {
            let (month, day) = month_and_day(day)?;
            Date::new(year, month, day).ok()
        };
        let mut days: BTreeSet<Date> = self.fixed.iter().filter_map(on).collect();
        if let Some(easter) = easter(year) {
            days.extend(self.easter.iter().filter_map(|from| easter.checked_add(from.days()).ok()));
        }
        days.extend(self.movable.iter().filter_map(on).filter_map(moved));
        for change in &self.change {
            if let Some(from) = change.from {
                days.remove(&from);
            }
            days.extend(change.to.filter(|to| to.year() == year));
        }
        days
    }

    /// Whether people work on a day.
    pub fn is_business_day(&self, date: Date) -> bool {
        !is_weekend(date) && !self.holidays(date.year()).contains(&date)
    }
}

fn is_weekend(date: Date) -> bool {
    matches!(date.weekday(), Weekday::Saturday | Weekday::Sunday)
}

/// The date that is so many business days after another. The holidays of a year are made once.
fn business_days(calendar: Option<&Calendar>, from: Date, count: u16) -> Option<Date> {
    let mut holidays: BTreeMap<i16, BTreeSet<Date>> = BTreeMap::new();
    let (mut date, mut left) = (from, count);
    for _ in 0..SEARCH_DAYS_MAX.max(u32::from(count) * 3) {
        if left == 0 {
            return Some(date);
        }
        date = date.tomorrow().ok()?;
        let is_holiday = calendar.is_some_and(|calendar| {
            holidays.entry(date.year()).or_insert_with(|| calendar.holidays(date.year())).contains(&date)
        });
        if !is_weekend(date) && !is_holiday {
            left -= 1;
        }
    }
    None
}

/// Where a movable holiday is: on the Monday before, or after, where it falls within the week.
fn moved(date: Date) -> Option<Date> {
    let days = match date.weekday() {
        Weekday::Tuesday => -1,
        Weekday::Wednesday => -2,
        Weekday::Thursday => 4,
        Weekday::Friday => 3,
        _ => 0,
    };
    date.checked_add(days.days()).ok()
}

/// Easter Sunday by the Gregorian calendar (the anonymous algorithm, Nature 1876).
fn easter(year: i16) -> Option<Date> {
    let y = i32::from(year);
    let (golden, century, rest) = (y % 19, y / 100, y % 100);
    let lifted = (century - (century + 8) / 25 + 1) / 3;
    let epact = (19 * golden + century - century / 4 - lifted + 15) % 30;
    let weekday = (32 + 2 * (century % 4) + 2 * (rest / 4) - epact - rest % 4) % 7;
    let late = (golden + 11 * epact + 22 * weekday) / 451;
    let days = epact + weekday - 7 * late + 114;
    let (month, day) = (i8::try_from(days / 31).ok()?, i8::try_from(days % 31 + 1).ok()?);
    Date::new(year, month, day).ok()
}

/// A date as `2025-10-12`.
fn date_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Date>, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map(Some).map_err(serde::de::Error::custom)
}

fn month_and_day(text: &str) -> Option<(i8, i8)> {
    let (month, day) = text.split_once('-')?;
    let (month, day): (i8, i8) = (month.parse().ok()?, day.parse().ok()?);
    // A leap year has every day that any year has.
    Date::new(2024, month, day).is_ok().then_some((month, day))
}

/// The date of a day, counted from 1970-01-01.
fn date_of(day: i64) -> Option<Date> {
    Date::constant(1970, 1, 1).checked_add(Span::new().try_days(day).ok()?).ok()
}

fn day_of(date: Date) -> Option<i64> {
    let since = date.since((jiff::Unit::Day, Date::constant(1970, 1, 1))).ok()?;
    Some(since.get_days().into())
}

#[cfg(test)]
#[path = "law_tests.rs"]
mod tests;
