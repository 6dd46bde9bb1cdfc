//! Money: set aside, settled, spent.

use iassistance_domain::budget::{Budgets, Cost, Day, Reservation};
use iassistance_storage::TenantStore;

use crate::support::*;

const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

fn limits(tenant_day: Option<u64>, contact_day: Option<u64>, conversation: Option<u64>) -> Budgets {
    Budgets {
        tenant_day: tenant_day.map(Cost),
        contact_day: contact_day.map(Cost),
        conversation: conversation.map(Cost),
        ..Budgets::default()
    }
}

/// What was spent on the day, on the contact, in the conversation.
async fn spent(tenant: &dyn TenantStore, of: Reservation) -> [u64; 3] {
    [
        tenant.spent(of.day).await.unwrap().0,
        tenant.spent_on_contact(of.contact, of.day).await.unwrap().0,
        tenant.spent_in(of.conversation).await.unwrap().0,
    ]
}

async fn reserve(tenant: &dyn TenantStore, of: Reservation, least: u64, budgets: Budgets) -> Option<u64> {
    tenant.reserve(of, Cost(least), budgets).await.unwrap().map(|granted| granted.0)
}

pub async fn each_limit_bounds_what_is_set_aside(world: World) {
    let tenant = &*world.tenant(1).await;
    let of = |turn, whom| reservation(turn, whom, 7, 100);
    assert_eq!(reserve(tenant, of(1, 1), 1, Budgets::default()).await, Some(100), "no limit");
    assert_eq!(spent(tenant, of(1, 1)).await, [100; 3]);
    assert_eq!(reserve(tenant, of(2, 1), 1, limits(Some(250), Some(500), Some(500))).await, Some(100));
    assert_eq!(reserve(tenant, of(3, 2), 50, limits(Some(250), None, None)).await, Some(50), "what is left");
    assert_eq!(reserve(tenant, of(4, 2), 1, limits(Some(250), None, None)).await, None);
    assert_eq!(spent(tenant, of(4, 2)).await, [250, 50, 50], "nothing was set aside for it");
    assert_eq!(reserve(tenant, of(5, 1), 1, limits(None, Some(230), None)).await, Some(30), "the contact's");
    assert_eq!(reserve(tenant, of(6, 1), 21, limits(None, None, Some(250))).await, None, "too little");
    assert_eq!(reserve(tenant, of(6, 1), 20, limits(None, None, Some(250))).await, Some(20));
    let tomorrow = reservation(7, 1, 8, 100);
    assert_eq!(reserve(tenant, tomorrow, 1, limits(Some(60), Some(60), None)).await, Some(60), "another day");
    assert_eq!(spent(tenant, tomorrow).await, [60, 60, 310]);
    assert_eq!(reserve(tenant, of(8, 3), 0, limits(Some(1), None, None)).await, Some(0), "nothing would do");
    let other = world.tenant(2).await;
    assert_eq!(spent(&*other, of(1, 1)).await, [0; 3]);
}

pub async fn what_was_set_aside_is_settled(mut world: World) {
    let tenant = world.tenant(1).await;
    let day = limits(Some(100), None, None);
    assert_eq!(reserve(&*tenant, reservation(1, 1, 7, 80), 1, day).await, Some(80));
    let turn = reservation(1, 1, 7, 0).turn;
    tenant.settle_reservation(turn, Cost(30)).await.unwrap();
    assert_eq!(spent(&*tenant, reservation(1, 1, 7, 0)).await, [30; 3]);
    for _ in 0..2 {
        tenant.settle_reservation(turn, Cost(99)).await.unwrap();
    }
    assert_eq!(spent(&*tenant, reservation(1, 1, 7, 0)).await, [30; 3], "once");

    assert_eq!(reserve(&*tenant, reservation(1, 1, 7, 60), 1, day).await, Some(60), "another round");
    tenant.settle_reservation(turn, Cost(61)).await.unwrap();
    assert_eq!(spent(&*tenant, reservation(1, 1, 7, 0)).await, [91; 3], "a little beyond it");
    assert_eq!(reserve(&*tenant, reservation(2, 1, 7, 60), 1, day).await, Some(9));
    tenant.settle_reservation(reservation(2, 1, 7, 0).turn, Cost(0)).await.unwrap();
    let (of, amount) = (reservation(3, 2, 7, 0), Cost(5));
    tenant.spend(of.conversation, of.contact, of.day, amount).await.unwrap();
    tenant.spend(of.conversation, of.contact, of.day, Cost(0)).await.unwrap();
    assert_eq!(spent(&*tenant, of).await, [96, 5, 5]);
    tenant.spend(of.conversation, of.contact, of.day, Cost::MAX).await.unwrap();
    assert_eq!(spent(&*tenant, of).await, [u64::MAX; 3], "it does not wrap");
    drop(tenant);
    world.reopen().await;
    assert_eq!(spent(&*world.open_tenant(1).await, reservation(1, 1, 7, 0)).await, [u64::MAX, 91, 91]);
}

pub async fn a_crash_spends_what_was_set_aside(mut world: World) {
    let tenant = world.tenant(1).await;
    let day = limits(Some(100), None, None);
    assert_eq!(reserve(&*tenant, reservation(1, 1, 7, 40), 1, day).await, Some(40));
    assert_eq!(reserve(&*tenant, reservation(2, 2, 7, 40), 1, day).await, Some(40));
    drop(tenant);
    world.reopen().await;
    let tenant = world.open_tenant(1).await;
    assert_eq!(spent(&*tenant, reservation(1, 1, 7, 0)).await, [80, 40, 40]);
    // The turn begins again; what it had is spent, and only what it has now is settled.
    assert_eq!(reserve(&*tenant, reservation(1, 1, 7, 40), 1, day).await, Some(20));
    tenant.settle_reservation(reservation(1, 1, 7, 0).turn, Cost(5)).await.unwrap();
    assert_eq!(spent(&*tenant, reservation(1, 1, 7, 0)).await, [85, 45, 45]);
    // Also where nothing is left for it.
    assert_eq!(reserve(&*tenant, reservation(2, 2, 7, 40), 16, day).await, None);
    tenant.settle_reservation(reservation(2, 2, 7, 0).turn, Cost(0)).await.unwrap();
    assert_eq!(spent(&*tenant, reservation(2, 2, 7, 0)).await, [85, 40, 40]);
}

pub async fn many_at_once_never_get_more_than_there_is(mut world: World) {
    const LIMIT: u64 = 3_500;
    let tenant = world.tenant(1).await;
    let day = limits(Some(LIMIT), None, Some(LIMIT));
    let of = |turn: u64| reservation(turn, u8::try_from(turn % 5).unwrap(), 7, 5 + turn % 11);
    let turn = |number: u64| {
        let tenant = std::sync::Arc::clone(&tenant);
        async move { (number, reserve(&*tenant, of(number), 5, day).await.unwrap_or_default()) }
    };
    let granted = futures::future::join_all((0..500).map(turn)).await;
    let used: u64 = granted.iter().map(|(_, amount)| amount).sum();
    assert!(used <= LIMIT && used > LIMIT - 5, "{used} were set aside");
    assert_eq!(tenant.spent(Day(7)).await.unwrap(), Cost(used));

    // While half of it is given back, others come for it.
    let settled = granted.iter().filter(|(_, amount)| *amount > 0).map(|(number, amount)| {
        let tenant = std::sync::Arc::clone(&tenant);
        async move {
            tenant.settle_reservation(of(*number).turn, Cost(amount / 2)).await.unwrap();
            amount / 2
        }
    });
    let more = futures::future::join_all((500..1_000).map(turn));
    let (settled, more) = futures::future::join(futures::future::join_all(settled), more).await;
    let used = settled.iter().sum::<u64>() + more.iter().map(|(_, amount)| amount).sum::<u64>();
    assert!(used <= LIMIT, "{used} were used");
    assert_eq!(tenant.spent(Day(7)).await.unwrap(), Cost(used));
    drop(tenant);
    world.reopen().await;
    let tenant = world.open_tenant(1).await;
    assert_eq!(tenant.spent(Day(7)).await.unwrap(), Cost(used), "durable");
    let of_all = async {
        let mut sum = 0;
        for whom in 0..5 {
            sum += spent(&*tenant, reservation(1, whom, 7, 0)).await[2];
        }
        sum
    };
    assert_eq!(of_all.await, used);
}

pub async fn long_past_days_are_forgotten(world: World) {
    let tenant = &*world.tenant(1).await;
    let today = Day::of(world.now()).0;
    for (turn, days) in [(1, 401), (2, 400), (3, 3), (4, 2), (5, 0)] {
        let of = reservation(turn, 1, today - days, 10);
        assert_eq!(reserve(tenant, of, 1, Budgets::default()).await, Some(10));
        if days > 300 {
            tenant.settle_reservation(of.turn, Cost(10)).await.unwrap();
        }
    }
    world.store.forget_dedup_before(START).await.unwrap();
    let sums = async |days: u64| spent(tenant, reservation(1, 1, today - days, 0)).await;
    assert_eq!(sums(401).await, [0, 0, 50], "a conversation's sum is for ever");
    assert_eq!((sums(400).await, sums(3).await), ([10, 10, 50], [10, 10, 50]));
    // Nobody settles what was set aside so long ago: it is spent.
    tenant.settle_reservation(reservation(3, 1, 0, 0).turn, Cost(0)).await.unwrap();
    tenant.settle_reservation(reservation(4, 1, 0, 0).turn, Cost(0)).await.unwrap();
    assert_eq!((sums(3).await, sums(2).await), ([10, 10, 40], [0, 0, 40]));
    world.clock.advance_millis(DAY_MS);
    world.store.forget_dedup_before(START).await.unwrap();
    assert_eq!(sums(400).await, [0, 0, 40]);
}
