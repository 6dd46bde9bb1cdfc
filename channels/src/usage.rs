//! How much of Meta's limits is used, as every answer says in its headers.
//!
//! Meta: Graph API, "Rate limiting": `X-App-Usage: {"call_count":28,"total_time":25,
//! "total_cputime":25}` and `X-Business-Use-Case-Usage: {"<id>":[{"type":"messenger",
//! "call_count":95,…,"estimated_time_to_regain_access":0}]}`; percent, and minutes.

use serde_json::{Map, Value};

use crate::errors::ThrottleScope;

/// From this share of a limit on, percent, its calls slow down.
pub const SLOW_DOWN_PERCENT: u8 = 80;
/// How many business accounts of an answer are kept; Meta names 32 at most.
const BUSINESSES_MAX: usize = 32;
/// How long to wait at [`SLOW_DOWN_PERCENT`], milliseconds, and how much longer for each percent.
const PAUSE_MS: u64 = 1_000;
const PAUSE_PER_PERCENT_MS: u64 = 3_000;
/// The longest wait that is taken from a header, minutes.
const REGAIN_MAX_MIN: f64 = 24.0 * 60.0;
const MINUTE_MS: f64 = 60_000.0;

/// How much of Meta's limits is used.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Usage {
    /// Of the app's limit, percent: the highest of calls, time and processor time. May be over 100.
    pub app_percent: u8,
    /// Of the limits of business accounts, pages and Instagram accounts.
    pub businesses: Vec<BusinessUsage>,
}

/// How much of a business account's limit for one product is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BusinessUsage {
    /// Meta's id of the account.
    pub id: String,
    /// Meta's word for the product: `messenger`, `instagram`, `whatsapp_business_management`.
    pub kind: String,
    /// Percent, the highest of calls, time and processor time. May be over 100.
    pub percent: u8,
    /// How long until calls are taken again, milliseconds; 0 while they are.
    pub regain_ms: u64,
}

/// That calls should slow down before Meta refuses them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pause {
    /// What waits.
    pub scope: ThrottleScope,
    /// How long, milliseconds.
    pub wait_ms: u64,
}

impl Usage {
    /// From the two headers, as far as they can be read.
    pub(crate) fn read(app: Option<&str>, businesses: Option<&str>) -> Self {
        let app_percent = app.and_then(members).map_or(0, |app| percent(&app));
        let mut usage = Self { app_percent, businesses: Vec::new() };
        for (id, limits) in businesses.and_then(members).unwrap_or_default() {
            for limit in limits.as_array().into_iter().flatten().filter_map(Value::as_object) {
                let kind = limit.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
                let minutes = number(limit, "estimated_time_to_regain_access").min(REGAIN_MAX_MIN);
                let regain_ms = whole(minutes * MINUTE_MS);
                let business = BusinessUsage { id: id.clone(), kind, percent: percent(limit), regain_ms };
                if usage.businesses.len() < BUSINESSES_MAX {
                    usage.businesses.push(business);
                }
            }
        }
        usage
    }

    /// Whether calls should wait, and for how long: the longer the closer a limit is, and all of the
    /// app's calls if its own limit is.
    pub fn pause(&self) -> Option<Pause> {
        let app_ms = wait_ms(self.app_percent);
        let account_ms = self
            .businesses
            .iter()
            .filter_map(|business| match business.regain_ms {
                0 => wait_ms(business.percent),
                regain_ms => Some(regain_ms),
            })
            .max();
        match (app_ms, account_ms) {
            (Some(wait_ms), _) => Some(Pause { scope: ThrottleScope::App, wait_ms }),
            (None, Some(wait_ms)) => Some(Pause { scope: ThrottleScope::Account, wait_ms }),
            (None, None) => None,
        }
    }

    /// How long until Meta takes calls again, milliseconds, where it says that it takes none.
    pub fn regain_ms(&self) -> Option<u64> {
        self.businesses.iter().map(|business| business.regain_ms).max().filter(|ms| *ms > 0)
    }
}

fn wait_ms(percent: u8) -> Option<u64> {
    let over = percent.checked_sub(SLOW_DOWN_PERCENT)?;
    Some(PAUSE_MS + PAUSE_PER_PERCENT_MS * u64::from(over))
}

fn members(header: &str) -> Option<Map<String, Value>> {
    serde_json::from_str(header).ok()
}

fn percent(limit: &Map<String, Value>) -> u8 {
    let highest = ["call_count", "total_cputime", "total_time"].map(|name| number(limit, name));
    let highest = highest.into_iter().fold(0.0, f64::max);
    u8::try_from(whole(highest)).unwrap_or(u8::MAX)
}

/// A number, or 0 for what is none.
fn number(limit: &Map<String, Value>, name: &str) -> f64 {
    match limit.get(name) {
        Some(Value::Number(number)) => number.as_f64().unwrap_or_default(),
        Some(Value::String(text)) => {
            text.trim().parse().ok().filter(|f: &f64| f.is_finite()).unwrap_or_default()
        }
        _ => 0.0,
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it saturates, as it should")]
const fn whole(number: f64) -> u64 {
    number.ceil() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const APP: &str = r#"{"call_count":28,"total_time":81.2,"total_cputime":"25"}"#;

    #[test]
    fn headers_are_read() {
        let businesses = r#"{"112":[{"type":"messenger","call_count":95,"total_cputime":20,"total_time":20,
            "estimated_time_to_regain_access":19},{"type":"instagram"}],"7":null,"8":[1]}"#;
        let usage = Usage::read(Some(APP), Some(businesses));
        assert_eq!(usage.app_percent, 82);
        let first = BusinessUsage {
            id: "112".to_owned(),
            kind: "messenger".to_owned(),
            percent: 95,
            regain_ms: 1_140_000,
        };
        assert_eq!(usage.businesses.len(), 2);
        assert_eq!(usage.businesses[0], first);
        assert_eq!(usage.regain_ms(), Some(1_140_000));
    }

    #[test]
    fn what_cannot_be_read_says_nothing() {
        for odd in ["", "null", "[]", "{", r#"{"call_count":"many"}"#, r#"{"call_count":-5}"#] {
            assert_eq!(Usage::read(Some(odd), Some(odd)), Usage::default(), "{odd}");
        }
        assert_eq!(Usage::read(Some(r#"{"call_count":1e99}"#), None).app_percent, 255);
    }

    #[test]
    fn calls_slow_down_before_the_limit() {
        let app = |percent| Usage { app_percent: percent, businesses: Vec::new() };
        assert_eq!(app(79).pause(), None);
        assert_eq!(app(80).pause(), Some(Pause { scope: ThrottleScope::App, wait_ms: 1_000 }));
        assert_eq!(app(100).pause(), Some(Pause { scope: ThrottleScope::App, wait_ms: 61_000 }));
        let business = |percent, regain_ms| Usage {
            app_percent: 0,
            businesses: vec![BusinessUsage { id: String::new(), kind: String::new(), percent, regain_ms }],
        };
        assert_eq!(business(79, 0).pause(), None);
        assert_eq!(business(90, 0).pause(), Some(Pause { scope: ThrottleScope::Account, wait_ms: 31_000 }));
        assert_eq!(
            business(3, 60_000).pause(),
            Some(Pause { scope: ThrottleScope::Account, wait_ms: 60_000 })
        );
    }
}
