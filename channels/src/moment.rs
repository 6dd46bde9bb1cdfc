//! The moments that Meta names, in all the ways in which it writes them.

use iassistance_domain::Timestamp;

use crate::json::Scalar;

/// Numbers from here on are milliseconds: as seconds they would lie beyond the year 5000, and as
/// milliseconds they begin in 1973.
const MILLIS_FROM: i64 = 100_000_000_000;
/// Nothing that Meta tells of happened before 2009.
const EARLIEST: Timestamp = Timestamp::from_secs(1_230_768_000);

/// When something happened: seconds (Meta: Cloud API, messages), milliseconds or RFC 3339, as a
/// string or a number. A message is never dropped for its clock: what is missing, cannot be read,
/// or lies before 2009 or after `now` becomes `now`.
pub(crate) fn moment(said: Scalar<'_>, now: Timestamp) -> Timestamp {
    past(said, now).unwrap_or(now)
}

/// The same, or nothing where Meta says nothing usable.
pub(crate) fn past(said: Scalar<'_>, now: Timestamp) -> Option<Timestamp> {
    any(said).filter(|moment| (EARLIEST..=now).contains(moment))
}

/// A moment that may well lie in the future.
pub(crate) fn any(said: Scalar<'_>) -> Option<Timestamp> {
    let text = said.text()?;
    let text = text.trim();
    let whole = |text: &str| text.parse::<i64>().ok();
    let number = whole(text).or_else(|| whole(text.split_once('.')?.0));
    match number {
        Some(number) if number >= MILLIS_FROM => Some(Timestamp::from_millis(number)),
        Some(number) => Some(Timestamp::from_secs(number)),
        None => rfc3339(text),
    }
}

/// `2026-09-21T14:13:20Z`, with a fraction of a second and another offset if need be.
fn rfc3339(text: &str) -> Option<Timestamp> {
    let (date, rest) = text.split_at_checked(10)?;
    let (time, rest) = rest.strip_prefix(['T', 't', ' '])?.split_at_checked(8)?;
    let [year, month, day] = three(date, '-')?;
    let [hour, minute, second] = three(time, ':')?;
    let offset = rest.trim_start_matches(|c: char| c == '.' || c.is_ascii_digit());
    let offset_s = match offset.as_bytes().first()? {
        b'Z' | b'z' if offset.len() == 1 => 0,
        sign @ (b'+' | b'-') => {
            let [hours, minutes] = two(&offset[1..])?;
            let seconds = hours * 3_600 + minutes * 60;
            if *sign == b'+' { seconds } else { -seconds }
        }
        _ => return None,
    };
    let days = days_from_epoch(year, month, day);
    let seconds = days * 86_400 + hour * 3_600 + minute * 60 + second - offset_s;
    let valid =
        (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60 && second <= 60;
    valid.then(|| Timestamp::from_secs(seconds))
}

fn three(text: &str, separator: char) -> Option<[i64; 3]> {
    let mut parts = text.split(separator).map(digits);
    let found = [parts.next()??, parts.next()??, parts.next()??];
    parts.next().is_none().then_some(found)
}

fn two(text: &str) -> Option<[i64; 2]> {
    let (hours, minutes) = text.split_once(':').or_else(|| text.split_at_checked(2))?;
    Some([digits(hours)?, digits(minutes)?])
}

/// A number of at most four digits, so that nothing computed from a few of them overflows.
fn digits(text: &str) -> Option<i64> {
    let plain = (1..=4).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

/// Days from 1970-01-01 to a day of the Gregorian calendar. Counts years from March, so that the
/// leap day is the last day of its year.
const fn days_from_epoch(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Cursor;

    const NOW: Timestamp = Timestamp::from_secs(1_790_000_100);

    fn read(json: &str) -> Timestamp {
        moment(Cursor::new(json).value(), NOW)
    }

    #[test]
    fn every_way_of_writing_a_moment_is_read() {
        let moment = Timestamp::from_secs(1_790_000_000);
        for json in [
            "\"1790000000\"",
            "1790000000",
            "\" 1790000000 \"",
            "\"1790000000000\"",
            "1790000000000",
            "1790000000.75",
            "\"2026-09-21T14:13:20Z\"",
            "\"2026-09-21T14:13:20.123Z\"",
            "\"2026-09-21T16:13:20+02:00\"",
            "\"2026-09-21T09:13:20-0500\"",
        ] {
            assert_eq!(read(json), moment, "{json}");
        }
        assert_eq!(read("1790000000123"), Timestamp::from_millis(1_790_000_000_123));
        assert_eq!(read("\"2012-02-29T00:00:00Z\""), Timestamp::from_secs(1_330_473_600));
    }

    #[test]
    fn what_cannot_be_is_now() {
        for json in [
            "null",
            "\"\"",
            "\"soon\"",
            "\"0\"",
            "-1",
            "\"-1\"",
            "4102444800",
            "1e300",
            "[]",
            "{}",
            "true",
            "99999999999999999999",
            "\"2026-13-21T14:13:20Z\"",
            "\"2026-09-21\"",
            "\"2026-09-21T14:13:20\"",
            "\"\\ud83d\"",
            "\"2026-09-21T14:13:2\u{e9}Z\"",
            "\"2026-09-21T14:13:20+\u{e9}\"",
        ] {
            assert_eq!(read(json), NOW, "{json}");
        }
        assert_eq!(moment(Scalar::default(), NOW), NOW);
    }

    #[test]
    fn some_moments_may_lie_ahead() {
        let said = Cursor::new("1790600000").value();
        assert_eq!(any(said), Some(Timestamp::from_secs(1_790_600_000)));
        assert_eq!(past(said, NOW), None);
    }
}
