//! Requests are on record with address and device; addresses are shortened after a month, and all of it is gone after a
//! year.

use iassistance_domain::Clock;
use iassistance_domain::access::{AccessOf, AccessRecord};
use iassistance_domain::pii::SignIn;

use crate::book::Proof;
use crate::harness::{Flow, START, within};
use crate::products::flying;
use crate::size;

const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

async fn kept(flow: &Flow) -> Vec<AccessRecord> {
    flow.app.store.trail().access(AccessOf::All, None, 100_000).await.unwrap()
}

#[actix::test]
async fn promise_06() {
    let proof = Proof::of(6);
    let requests = size("IASSISTANCE_REQUESTS", 1_000);
    let flow = Flow::with(flying(&[])).await;
    let admin = flow.admin().await;
    for number in 0..requests {
        let path = format!("/tenants/{}", flow.tenants[0]);
        let (status, _) = match number % 3 {
            0 => flow.api_as(&admin, "GET", &path, None).await,
            1 => flow.api("GET", &path, None).await,
            _ => flow.api_with_key("nothing", "GET", &path, None).await,
        };
        assert_eq!(status.as_u16(), if number % 3 == 2 { 401 } else { 200 });
    }
    within("every request on the record", async {
        while kept(&flow).await.len() < requests {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let all = kept(&flow).await;
    assert_eq!(all.len(), requests, "one record for each request, and none beside");
    assert!(all.iter().all(|record| record.address.reveal(SignIn) == "127.0.0.1"));
    let of_person = all.iter().filter(|record| record.account() == Some(admin.account));
    assert_eq!(of_person.filter(|record| record.session.is_some()).count(), requests.div_ceil(3));
    flow.clock.advance_millis(31 * DAY_MS);
    within("shortened addresses", async {
        while !kept(&flow).await.iter().all(|it| it.address.reveal(SignIn) == "127.0.0.0/24") {
            flow.clock.advance_millis(DAY_MS / 24);
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(kept(&flow).await.len(), requests);
    assert!(flow.clock.now() < START.plus_millis(365 * DAY_MS));
    flow.clock.advance_to(START.plus_millis(366 * DAY_MS));
    within("the end of a year", async {
        while !kept(&flow).await.is_empty() {
            flow.clock.advance_millis(DAY_MS / 24);
            tokio::task::yield_now().await;
        }
    })
    .await;
    flow.finish().await;
    proof.kept(format!(
        "{requests} requests, {requests} records; networks after 31 days, nothing after a year"
    ));
}
