//! When people are there.

use jiff::civil::{Date, Time, Weekday};
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::Mapped;
use crate::Timestamp;

/// A part of a week in which people are there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[data(part)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct OpenTime {
    /// The day: 1 is Monday, 7 is Sunday.
    #[data(setting)]
    pub day: i8,
    /// From when: `09:00`.
    #[data(setting)]
    pub from: String,
    /// Until when, itself not: `18:00`; `24:00` is the end of the day.
    #[data(setting)]
    pub until: String,
}

/// When people are there, and what is said when they are not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[data(part)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct BusinessHours {
    /// The time zone, by its IANA name: `America/Argentina/Buenos_Aires`.
    #[data(setting)]
    pub time_zone: String,
    /// The week; at most 50 parts.
    #[data(parts)]
    pub week: Vec<OpenTime>,
    /// Days on which nobody is there, as `2026-12-25`; at most 400.
    #[serde(default)]
    #[data(setting)]
    pub holidays: Vec<String>,
    /// What is said to who asks for a person outside these hours; at most 1,000 characters.
    #[data(setting)]
    pub closed_text: String,
    /// Whether the assistant answers outside these hours; if not, it says `closed_text`, once for
    /// each time that nobody is there.
    #[serde(default = "yes")]
    #[data(setting)]
    pub assistant_when_closed: bool,
}

const fn yes() -> bool {
    true
}

/// How far back the beginning of a closed time is looked for, days.
const LOOK_BACK_DAYS: i64 = 14;

impl BusinessHours {
    /// What is wrong with them, if anything.
    pub fn problem(&self) -> Option<&'static str> {
        if TimeZone::get(&self.time_zone).is_err() {
            return Some("time_zone must be an IANA name like America/Argentina/Buenos_Aires");
        }
        let good = |open: &OpenTime| {
            (1..=7).contains(&open.day)
                && matches!((minutes(&open.from), minutes(&open.until)), (Some(from), Some(until)) if from < until)
        };
        if self.week.len() > 50 || !self.week.iter().all(good) {
            return Some(
                "week must have at most 50 parts, each with a day of 1 to 7 and times like 09:00 in order",
            );
        }
        if self.holidays.len() > 400 || self.holidays.iter().any(|day| day.parse::<Date>().is_err()) {
            return Some("holidays must be at most 400 days like 2026-12-25");
        }
        (self.closed_text.chars().count() > 1_000).then_some("closed_text must have at most 1,000 characters")
    }

    /// Since when nobody is there, if nobody is; a fortnight at most is looked back. A time zone that
    /// is not known counts as UTC.
    pub fn closed_since(&self, now: Timestamp) -> Option<Timestamp> {
        let zone = TimeZone::get(&self.time_zone).unwrap_or(TimeZone::UTC);
        let instant = jiff::Timestamp::from_millisecond(now.as_millis()).ok()?;
        let local = zone.to_datetime(instant);
        let (today, minute) = (local.date(), minute_of(local.time()));
        if self.open_on(today).any(|(from, until)| (from..until).contains(&minute)) {
            return None;
        }
        let ended = (0..LOOK_BACK_DAYS).find_map(|back| {
            let date = today.checked_sub(jiff::Span::new().days(back)).ok()?;
            let ends = self.open_on(date).map(|(_, until)| until);
            let last = ends.filter(|until| back > 0 || *until <= minute).max()?;
            let midnight = date.to_datetime(Time::midnight()).to_zoned(zone.clone()).ok()?;
            midnight.checked_add(jiff::Span::new().minutes(i64::from(last))).ok()
        });
        let since = ended.map_or(i64::MIN, |zoned| zoned.timestamp().as_millisecond());
        Some(Timestamp::from_millis(since.max(0)))
    }

    /// The open times of a day, in minutes.
    fn open_on(&self, date: Date) -> impl Iterator<Item = (u32, u32)> {
        let holiday = self.holidays.iter().any(|day| day.parse::<Date>().is_ok_and(|day| day == date));
        let weekday = Weekday::to_monday_one_offset(date.weekday());
        self.week
            .iter()
            .filter(move |open| !holiday && open.day == weekday)
            .filter_map(|open| Some((minutes(&open.from)?, minutes(&open.until)?)))
    }
}

fn minute_of(time: Time) -> u32 {
    let (hour, minute) = (time.hour(), time.minute());
    u32::from(hour.unsigned_abs()) * 60 + u32::from(minute.unsigned_abs())
}

/// `09:30` in minutes; `24:00` is the end of the day.
fn minutes(text: &str) -> Option<u32> {
    let (hour, minute) = text.split_once(':')?;
    if hour.len() != 2 || minute.len() != 2 {
        return None;
    }
    let (hour, minute): (u32, u32) = (hour.parse().ok()?, minute.parse().ok()?);
    let total = hour * 60 + minute;
    (minute < 60 && total <= 24 * 60).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hours() -> BusinessHours {
        let open = |day: i8| OpenTime { day, from: "09:00".into(), until: "18:00".into() };
        BusinessHours {
            time_zone: "America/Argentina/Buenos_Aires".into(),
            week: (1..=5).map(open).collect(),
            holidays: vec!["2026-12-25".into()],
            closed_text: "We are back soon.".into(),
            assistant_when_closed: true,
        }
    }

    fn at(text: &str) -> Timestamp {
        Timestamp::from_millis(text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
    }

    #[test]
    fn people_are_there_by_the_clock_of_their_own_place() {
        let hours = hours();
        assert_eq!(hours.problem(), None);
        // Buenos Aires is three hours behind UTC. 24 November 2026 is a Tuesday.
        assert_eq!(hours.closed_since(at("2026-11-24T12:00:00Z")), None);
        assert_eq!(hours.closed_since(at("2026-11-24T20:59:59Z")), None);
        assert_eq!(hours.closed_since(at("2026-11-24T21:00:00Z")), Some(at("2026-11-24T21:00:00Z")));
        assert_eq!(hours.closed_since(at("2026-11-25T11:59:00Z")), Some(at("2026-11-24T21:00:00Z")));
    }

    #[test]
    fn weekends_and_holidays_are_one_closed_time_with_the_evening_before() {
        let hours = hours();
        let friday_evening = at("2026-11-27T21:00:00Z");
        assert_eq!(hours.closed_since(at("2026-11-29T15:00:00Z")), Some(friday_evening));
        assert_eq!(hours.closed_since(at("2026-12-25T15:00:00Z")), Some(at("2026-12-24T21:00:00Z")));
        assert_eq!(hours.closed_since(at("2026-12-28T12:00:00Z")), None);
        let never = BusinessHours { week: Vec::new(), ..hours };
        assert_eq!(never.closed_since(friday_evening), Some(Timestamp::EPOCH));
    }

    #[test]
    fn what_cannot_be_kept_is_refused() {
        let bad = |change: fn(&mut BusinessHours)| {
            let mut hours = hours();
            change(&mut hours);
            hours.problem()
        };
        assert!(bad(|hours| hours.time_zone = "Mars/Olympus".into()).is_some());
        assert!(bad(|hours| hours.week[0].day = 0).is_some());
        assert!(bad(|hours| hours.week[0].until = "08:00".into()).is_some());
        assert!(bad(|hours| hours.week[0].from = "9".into()).is_some());
        assert!(bad(|hours| hours.holidays.push("Christmas".into())).is_some());
        assert!(bad(|hours| hours.week[0].until = "24:00".into()).is_none());
    }
}
