//! Lists come in pages: `{items, next}`, where `next` is the cursor of the following page.

use std::fmt::Display;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use iassistance_domain::Timestamp;

use crate::http::Problem;

const LIMIT_DEFAULT: usize = 50;
const LIMIT_MAX: usize = 200;
/// No cursor is longer, in bytes.
const CURSOR_BYTES_MAX: usize = 200;

/// Which part of a list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct PageQuery {
    /// `next` of the page before; nothing for the first.
    cursor: Option<String>,
    /// How many items at most.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<usize>,
}

/// A part of a list.
#[derive(Serialize, ToSchema)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// The cursor of the page after this one; `null` when this is the last.
    pub next: Option<String>,
}

/// How many items are asked for.
pub fn limit(asked: Option<usize>) -> Result<usize, Problem> {
    match asked.unwrap_or(LIMIT_DEFAULT) {
        limit @ 1..=LIMIT_MAX => Ok(limit),
        _ => Err(Problem::invalid("`limit` must be 1 to 200")),
    }
}

/// Where the page begins.
pub fn cursor<C: FromStr>(given: Option<&str>) -> Result<Option<C>, Problem> {
    let bad = || Problem::invalid("`cursor` must be `next` of the page before, as it was");
    let parse = |text: &str| {
        let fits = (1..=CURSOR_BYTES_MAX).contains(&text.len());
        text.parse().ok().filter(|_| fits).ok_or_else(bad)
    };
    given.map(parse).transpose()
}

/// Records that are looked at for one page of those that are wanted, and at once.
const SCANNED_MAX: usize = 2_000;
const SCANNED_AT_ONCE: usize = 200;

/// A page of those records that are wanted, newest first or oldest first as `fetch` gives them: it gets where to
/// begin and how many. At most 2,000 records are looked at for a page, so that it may have fewer items than there
/// are, even none, and a `next` all the same.
pub async fn scan<T, C: Copy + Display>(
    mut after: Option<C>,
    limit: usize,
    id: impl Fn(&T) -> C,
    wants: impl Fn(&T) -> bool,
    fetch: impl AsyncFn(Option<C>, usize) -> Result<Vec<T>, Problem>,
) -> Result<Page<T>, Problem> {
    let (mut items, mut scanned) = (Vec::new(), 0);
    // Mostly the first are wanted.
    let mut at_once = limit + 1;
    while scanned < SCANNED_MAX {
        let found = fetch(after, at_once).await?;
        let is_last = found.len() < at_once;
        scanned += found.len();
        at_once = SCANNED_AT_ONCE;
        let mut found = found.into_iter().peekable();
        while let Some(record) = found.next() {
            after = Some(id(&record));
            if !wants(&record) {
                continue;
            }
            items.push(record);
            if items.len() == limit {
                let more = !is_last || found.peek().is_some();
                return Ok(Page { items, next: after.filter(|_| more).map(|id| id.to_string()) });
            }
        }
        if is_last {
            return Ok(Page { items, next: None });
        }
    }
    Ok(Page { items, next: after.map(|id| id.to_string()) })
}

/// Refuses moments before there were any.
pub fn period(from: Option<Timestamp>, until: Option<Timestamp>) -> Result<(), Problem> {
    let sound = |at: Option<Timestamp>| at.is_none_or(|at| at >= Timestamp::EPOCH);
    if sound(from) && sound(until) {
        Ok(())
    } else {
        Err(Problem::invalid("`from` and `until` must be milliseconds since the Unix epoch, from 0 on"))
    }
}

/// Refuses a filter of more characters than anything that it could find has.
pub fn words(name: &str, value: Option<&str>, chars_max: usize) -> Result<(), Problem> {
    if value.is_some_and(|value| value.chars().count() > chars_max) {
        return Err(Problem::invalid(format!("`{name}` must have at most {chars_max} characters")));
    }
    Ok(())
}

/// Whether a moment lies in what is asked for.
pub fn within(at: Timestamp, from: Option<Timestamp>, until: Option<Timestamp>) -> bool {
    from.is_none_or(|from| at >= from) && until.is_none_or(|until| at < until)
}

impl PageQuery {
    /// The cursor, and how many items are asked for.
    pub fn read<C: FromStr>(&self) -> Result<(Option<C>, usize), Problem> {
        Ok((cursor(self.cursor.as_deref())?, limit(self.limit)?))
    }

    /// A page of a whole list, which is put in the order of its ids: oldest first.
    pub fn of_all<T, C: FromStr + Ord + Copy + Display>(
        &self,
        all: Vec<T>,
        id: impl Fn(&T) -> C,
    ) -> Result<Page<T>, Problem> {
        Page::of_all(self.cursor.as_deref(), self.limit, all, id)
    }
}

impl<T> Page<T> {
    /// A page of a whole list, which is put in the order of its ids: oldest first.
    pub fn of_all<C: FromStr + Ord + Copy + Display>(
        after: Option<&str>,
        asked: Option<usize>,
        mut all: Vec<T>,
        id: impl Fn(&T) -> C,
    ) -> Result<Self, Problem> {
        let (after, limit) = (cursor::<C>(after)?, limit(asked)?);
        all.retain(|item| after.is_none_or(|after| id(item) > after));
        all.sort_by_key(&id);
        all.truncate(limit + 1);
        Ok(Self::cut(all, limit, id))
    }

    /// The page of what was read with one item more than `limit`, to know whether there are more.
    pub fn cut<C: Display>(mut items: Vec<T>, limit: usize, id: impl Fn(&T) -> C) -> Self {
        let more = items.len() > limit;
        items.truncate(limit);
        let next = items.last().filter(|_| more).map(|last| id(last).to_string());
        Self { items, next }
    }

    /// The same page, shown otherwise.
    pub fn map<U>(self, show: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(show).collect(), next: self.next }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(cursor: Option<&str>, limit: Option<usize>) -> PageQuery {
        PageQuery { cursor: cursor.map(str::to_owned), limit }
    }

    #[test]
    fn pages_cover_a_list_without_gap_or_repetition() {
        let all = || (0..7_u32).rev().collect::<Vec<_>>();
        let (mut cursor, mut seen) = (None::<String>, Vec::new());
        loop {
            let page = query(cursor.as_deref(), Some(3)).of_all(all(), |item| *item).ok().unwrap();
            seen.extend(page.items);
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(seen, (0..7).collect::<Vec<_>>());
    }

    #[test]
    fn a_page_that_is_just_full_is_the_last() {
        let page = query(None, Some(2)).of_all(vec![1_u32, 2], |item| *item).ok().unwrap();
        assert_eq!((page.items, page.next), (vec![1, 2], None));
    }

    #[test]
    fn no_moment_is_before_the_first() {
        let at = |millis| Some(Timestamp::from_millis(millis));
        assert!(period(None, None).is_ok() && period(at(0), at(7)).is_ok());
        assert!(period(at(-1), None).is_err() && period(None, at(-1)).is_err());
        assert!(within(Timestamp::EPOCH, at(0), at(1)) && !within(Timestamp::EPOCH, None, at(0)));
    }

    #[test]
    fn limits_and_cursors_out_of_range_are_refused() {
        assert!(query(None, Some(0)).read::<u32>().is_err());
        assert!(query(None, Some(201)).read::<u32>().is_err());
        assert!(query(Some("x"), None).read::<u32>().is_err());
        for empty_or_long in [String::new(), "1".repeat(CURSOR_BYTES_MAX + 1)] {
            assert!(query(Some(&empty_or_long), None).read::<String>().is_err());
        }
        assert_eq!(query(Some("7"), None).read::<u32>().ok(), Some((Some(7), 50)));
    }

    #[actix_web::test]
    async fn what_is_wanted_is_found_page_by_page_and_a_page_looks_at_so_many() {
        let all: Vec<u32> = (1..=5_000).collect();
        let fetch = async |after: Option<u32>, limit| {
            let from = after.unwrap_or(0) as usize;
            Ok(all.iter().copied().skip(from).take(limit).collect())
        };
        let (mut after, mut seen, mut pages) = (None, Vec::new(), 0);
        loop {
            let page = scan(after, 3, |item| *item, |item| item % 900 == 0, &fetch).await.ok().unwrap();
            seen.extend(page.items);
            pages += 1;
            match page.next {
                Some(next) => after = next.parse().ok(),
                None => break,
            }
        }
        assert_eq!((seen, pages), (vec![900, 1_800, 2_700, 3_600, 4_500], 3));
        let last = scan(Some(4_997), 3, |item| *item, |_| true, &fetch).await.ok().unwrap();
        assert_eq!((last.items, last.next), (vec![4_998, 4_999, 5_000], None));
    }
}
