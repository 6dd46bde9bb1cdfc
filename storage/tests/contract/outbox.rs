//! Work on its way out.

use iassistance_domain::Pii;
use iassistance_domain::conversation::{Epoch, Input};
use iassistance_domain::delivery::{DeliveryProblem, DeliveryStatus, ProblemClass};
use iassistance_domain::outbox::{OutboxState, SendOutcome, WithdrawnReason};
use iassistance_storage::{Dispatch, Letter, SendReport};

use crate::support::*;

fn problem(code: i64, title: &str) -> DeliveryProblem {
    DeliveryProblem { class: ProblemClass::Request, code, title: title.to_owned() }
}

pub async fn the_outbox_keeps_its_order(world: World) {
    let tenant = world.tenant(1).await;
    let id = hear(&*tenant, 1, "549", "hello").await;
    let order = [message_id(5), message_id(2), message_id(9), message_id(1)];
    queue(&*tenant, id, &order[..2], None).await;
    queue(&*tenant, id, &order[2..], None).await;
    let waiting: Vec<_> = tenant.outbox(id).await.unwrap().iter().map(|entry| entry.message).collect();
    assert_eq!(waiting, order);
    for message in order {
        let Dispatch::Go(entry) = tenant.begin_dispatch(id).await.unwrap() else { unreachable!("it waits") };
        assert_eq!(entry.message, message);
        assert_eq!((entry.attempts, entry.state), (1, OutboxState::Dispatching { since: START }));
        let Dispatch::NotYet(again) = tenant.begin_dispatch(id).await.unwrap() else {
            unreachable!("it is out")
        };
        assert!(again == entry, "one at a time");
        tenant.settle(id, sent(message, "wamid.x", START)).await.unwrap();
    }
    assert!(tenant.begin_dispatch(id).await.unwrap() == Dispatch::Empty);
    queue(&*tenant, id, &[message_id(11), message_id(12)], None).await;
    let mut commit = step(&*tenant, id).await;
    commit.outbox_done = vec![message_id(11), message_id(404)];
    tenant.commit(commit).await.unwrap();
    assert_eq!(tenant.outbox(id).await.unwrap().len(), 1);
}

pub async fn dispatch_checks_floor_window_and_time(world: World) {
    let tenant = world.tenant(1).await;
    let id = hear(&*tenant, 1, "549", "hello").await;
    let mut commit = step(&*tenant, id).await;
    let mut later = entry(&commit.conversation, message_id(1), Some(1));
    later.state = OutboxState::Waiting { not_before: START.plus_millis(500) };
    commit.outbox = vec![later, entry(&commit.conversation, message_id(2), None)];
    tenant.commit(commit).await.unwrap();
    assert!(
        matches!(tenant.begin_dispatch(id).await.unwrap(), Dispatch::NotYet(entry) if entry.attempts == 0)
    );
    world.clock.advance_millis(500);

    let mut taken = step(&*tenant, id).await;
    for _ in 0..2 {
        taken.conversation.apply(Input::TakenOver { operator: "op".to_owned() }, world.now());
    }
    assert!(taken.conversation.floor() > Epoch(1));
    tenant.commit(taken).await.unwrap();
    let overtaken = Dispatch::Withdraw(message_id(1), WithdrawnReason::ControlChanged);
    assert!(tenant.begin_dispatch(id).await.unwrap() == overtaken);
    assert!(tenant.begin_dispatch(id).await.unwrap() == overtaken, "until that is reported");
    let outcome = SendOutcome::Withdrawn { reason: WithdrawnReason::ControlChanged };
    let report = SendReport { message: message_id(1), at: world.now(), outcome };
    tenant.settle(id, report).await.unwrap();

    assert!(
        matches!(tenant.begin_dispatch(id).await.unwrap(), Dispatch::Go(entry) if entry.message == message_id(2))
    );
    world.clock.advance_millis(60_000);
    assert!(matches!(tenant.begin_dispatch(id).await.unwrap(), Dispatch::NotYet(_)), "it may have left");
    let problem = problem(1, "busy");
    let outcome = SendOutcome::Postponed { not_before: world.now(), uncounted: false, problem };
    tenant.settle(id, SendReport { message: message_id(2), at: world.now(), outcome }).await.unwrap();
    let closed = Dispatch::Withdraw(message_id(2), WithdrawnReason::WindowClosed);
    assert!(tenant.begin_dispatch(id).await.unwrap() == closed);
}

pub async fn every_outcome_settles(world: World) {
    let tenant = world.tenant(1).await;
    let id = hear(&*tenant, 1, "549", "hello").await;
    let problem = || problem(131_047, "re-engagement");
    let later = START.plus_millis(10);
    let cases = [
        (SendOutcome::Sent { provider_id: Pii::new("wamid.s".to_owned()) }, None),
        (
            SendOutcome::Postponed { not_before: later, uncounted: false, problem: problem() },
            Some(OutboxState::Waiting { not_before: later }),
        ),
        (SendOutcome::Refused { problem: problem() }, None),
        (SendOutcome::Unknown, Some(OutboxState::Unknown { since: later })),
        (SendOutcome::Withdrawn { reason: WithdrawnReason::WindowClosed }, None),
    ];
    for (number, (outcome, state)) in (1..).zip(cases) {
        let message = message_id(number);
        queue(&*tenant, id, &[message], None).await;
        assert!(matches!(tenant.begin_dispatch(id).await.unwrap(), Dispatch::Go(_)));
        let report = SendReport { message, at: later, outcome };
        tenant.settle(id, report.clone()).await.unwrap();
        let stays: Vec<_> = tenant.outbox(id).await.unwrap().iter().map(|entry| entry.state).collect();
        assert_eq!(stays, Vec::from_iter(state));
        let letters = tenant.inbox(id, 99).await.unwrap();
        assert!(letters.last().is_some_and(|entry| entry.letter == Letter::Dispatched(report.clone())));
        let mut commit = step(&*tenant, id).await;
        commit.outbox_done = vec![message];
        tenant.commit(commit).await.unwrap();
        tenant.settle(id, report).await.unwrap();
        assert_eq!(
            tenant.inbox(id, 99).await.unwrap().len(),
            letters.len(),
            "an entry that is gone leaves no letter"
        );
    }
    let accepted =
        tenant.accept(channel_id(1), &[status("wamid.s", None, DeliveryStatus::Read)]).await.unwrap();
    assert_eq!(accepted.conversations, [id], "what was sent is known by Meta's id at once");
}

pub async fn a_try_that_does_not_count(world: World) {
    let tenant = world.tenant(1).await;
    let id = hear(&*tenant, 1, "549", "hello").await;
    queue(&*tenant, id, &[message_id(1)], None).await;
    let postpone = async |uncounted| {
        let outcome = SendOutcome::Postponed { not_before: START, uncounted, problem: problem(4, "held") };
        let report = SendReport { message: message_id(1), at: START, outcome };
        tenant.settle(id, report).await.unwrap();
        tenant.outbox(id).await.unwrap()[0].attempts
    };
    tenant.begin_dispatch(id).await.unwrap();
    assert_eq!(postpone(true).await, 0);
    tenant.begin_dispatch(id).await.unwrap();
    assert_eq!(postpone(false).await, 1);
    tenant.begin_dispatch(id).await.unwrap();
    assert_eq!(postpone(true).await, 1);
    assert_eq!((postpone(true).await, postpone(true).await), (0, 0), "never below none");
}
