//! Data is kept as long as necessary: by the clock, day after day, nothing goes before its period is over and
//! nothing stays longer than a day beyond it.

use std::collections::BTreeMap;

use iassistance_domain::Timestamp;
use iassistance_domain::id::MessageId;
use iassistance_domain::privacy::{Class, Retention};

use crate::book::Proof;
use crate::folder::{Place, close, keeper};
use crate::people::{of, tenant_of, tenants, writes};
use crate::size;
use crate::support::step;

const DAY_MS: u64 = 24 * 3_600_000;
const PEOPLE: usize = 6;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn promise_14() {
    let proof = Proof::of(14);
    let (simulated, period) = (size("IASSISTANCE_RETENTION_DAYS", 80), 20_u32);
    let mut place = Place::new();
    let vaulted = place.open();
    tenants(&vaulted, 1).await;
    let store = of(&vaulted, 1).await;
    let mut people = Vec::new();
    for number in 0..PEOPLE {
        people.push(writes(&vaulted, 1, number).await);
    }
    let keeper = keeper(&vaulted);
    let days = BTreeMap::from([(Class::Message, period), (Class::Execution, period)]);
    keeper.choose_periods(tenant_of(1), Retention { days }).await.unwrap();
    let mut written: BTreeMap<MessageId, (usize, Timestamp)> = BTreeMap::new();
    let (mut early, mut late, mut gone) = (0, 0, 0);
    for day in 0..simulated {
        place.clock.advance_millis(DAY_MS / 2 + (day as u64 * 7_919) % (DAY_MS / 2));
        let now = vaulted.clock.now();
        let who = day % PEOPLE;
        let id = people[who].conversation;
        let mut commit = step(&*store, id).await;
        let message = MessageId::new(now, &*vaulted.entropy);
        commit.messages.push(crate::support::outgoing(&commit.conversation, message, None));
        store.commit(commit).await.unwrap();
        written.insert(message, (who, now));
        keeper.round().await;
        let mut checked = Vec::new();
        for (message, (who, at)) in &written {
            let is_there = store.message(people[*who].conversation, *message).await.unwrap().is_some();
            let age = now.millis_since(*at);
            let whole = u64::from(period) * DAY_MS;
            early += usize::from(!is_there && age < whole);
            late += usize::from(is_there && age > whole + DAY_MS);
            if !is_there {
                checked.push(*message);
            }
        }
        gone += checked.len();
        for message in checked {
            written.remove(&message);
        }
    }
    assert_eq!((early, late), (0, 0), "early, later than a day");
    assert!(gone > simulated / 4, "{gone}");
    drop(store);
    close(vaulted).await;
    proof
        .kept(format!("{simulated} steps of up to a day: {gone} messages went, 0 early, 0 later than a day"));
}
