//! Who signed in and asked for what they may not do is on the record, as often as it is of use.
//!
//! Where they belong, it is on the log of that place; where they do not, on the platform's: nobody learns of
//! strangers, and a place that is there is told of like one that is not. So many of one account are put there
//! in an hour, and so many of all: the next that is says how many there were besides.

use std::sync::{Mutex, PoisonError};

use iassistance_domain::audit::{AuditEntry, AuditResult};
use iassistance_domain::id::AccountId;
use iassistance_domain::{Pii, Timestamp};

use super::access::{Asked, Place};
use super::principal::Principal;
use super::recent::{Bounds, Recent};
use super::{Problem, State, auth};

/// How long they are counted together, milliseconds.
const WINDOW_MS: u64 = 3_600_000;
/// So many of one account are put on the record in that time, and so many of all accounts.
const OF_ONE_MAX: u32 = 20;
const OF_ALL_MAX: u32 = 2_000;
/// So many accounts are counted at once, for a week; the one that was longest ago is forgotten.
const COUNTED: Bounds = Bounds { keep_ms: 7 * 24 * WINDOW_MS, entries_max: 10_000, per_owner_max: 10_000 };

/// Counts them.
pub struct Refusals(Mutex<Counts>);

struct Counts {
    of_one: Recent<(), AccountId, Count>,
    all: u32,
    all_since: Timestamp,
}

struct Count {
    since: Timestamp,
    noted: u32,
    /// Since the last that was put on the record.
    passed_over: u32,
}

impl Default for Refusals {
    fn default() -> Self {
        let of_one = Recent::new(COUNTED);
        Self(Mutex::new(Counts { of_one, all: 0, all_since: Timestamp::EPOCH }))
    }
}

impl Refusals {
    /// Counts one of this account. Gives how many were passed over since the last one, if this one is to be put
    /// on the record.
    fn count(&self, account: AccountId, now: Timestamp) -> Option<u32> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if now.millis_since(counts.all_since) >= WINDOW_MS {
            (counts.all, counts.all_since) = (0, now);
        }
        let room = counts.all < OF_ALL_MAX;
        if counts.of_one.get_mut(now, &account).is_none() {
            counts.of_one.insert(now, (), account, Count { since: now, noted: 0, passed_over: 0 });
        }
        let count = counts.of_one.get_mut(now, &account)?;
        if now.millis_since(count.since) >= WINDOW_MS {
            (count.noted, count.since) = (0, now);
        }
        if room && count.noted < OF_ONE_MAX {
            count.noted += 1;
            let passed_over = std::mem::take(&mut count.passed_over);
            counts.all += 1;
            return Some(passed_over);
        }
        count.passed_over = count.passed_over.saturating_add(1);
        None
    }
}

/// What was refused.
pub struct Refused<'a> {
    /// To whom.
    pub principal: &'a Principal,
    /// What they wanted.
    pub asked: Asked,
    /// By which route.
    pub route: String,
    /// From where.
    pub address: Option<Pii<String>>,
}

/// Puts it on the record that somebody was refused what they may not do. A proof that is to be given anew, or a
/// second factor, is not such a refusal. It is refused whether it can be put there or not.
pub async fn note(state: &State, refused: Refused<'_>, problem: &Problem) {
    let Principal::Person(person) = refused.principal else { return };
    let Refused { asked, route, address, principal } = refused;
    let belongs = match problem.code() {
        "forbidden" | "break_glass_needed" => true,
        "not_found" => false,
        _ => return,
    };
    let now = state.clock().now();
    let Some(passed_over) = state.refusals.count(person.account.id, now) else {
        metrics::counter!("iassistance_limited_total", "limit" => "refusals").increment(1);
        return;
    };
    let mut entry = AuditEntry { address, ..AuditEntry::new(now, principal.actor(), "refused") };
    entry.result = AuditResult::Refused;
    entry = entry.with("right", &format!("{:?}", asked.act)).with("route", &route);
    if passed_over > 0 {
        entry = entry.with("not_noted", &passed_over);
    }
    entry = match asked.place {
        Place::Tenant(tenant) if belongs => entry.of(tenant),
        Place::Tenant(tenant) => entry.on(&tenant),
        Place::Agency(agency) => entry.on(&agency),
        Place::Platform => entry,
    };
    // What is wrong with the store was told of by who found it.
    drop(auth::record(state, entry).await);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_of_one_and_of_all_are_noted_and_the_rest_counted() {
        let (refusals, now) = (Refusals::default(), Timestamp::from_secs(1_000));
        let account = |number: u8| AccountId::from_bytes([number; 16]);
        for _ in 0..OF_ONE_MAX {
            assert_eq!(refusals.count(account(1), now), Some(0));
        }
        assert_eq!(refusals.count(account(1), now), None);
        assert_eq!(refusals.count(account(2), now), Some(0), "another's are not one's own");
        let later = now.plus_millis(WINDOW_MS);
        assert_eq!(refusals.count(account(1), later), Some(1), "the one that was passed over");
        for number in 0..200_u8 {
            for _ in 0..OF_ONE_MAX {
                refusals.count(account(number), later);
            }
        }
        assert_eq!(refusals.count(account(250), later), None, "all together");
    }
}
