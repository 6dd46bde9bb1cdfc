//! Who goes when, by counts.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;

use super::Urgency::{Patient, Urgent};
use super::*;

type Item = (Urgency, u8, u32);

const ROOMY: LineLimits = LineLimits { length_max: usize::MAX, share_max: usize::MAX, group_max: 512 };

/// So many of each urgency, all of one owner's.
fn waiting(urgent: u32, patient: u32, since: Instant) -> Waiting<u8, Item> {
    let mut waiting = Waiting::new();
    for (urgency, count) in [(Patient, patient), (Urgent, urgent)] {
        add(&mut waiting, urgency, 1, 0..count, since);
    }
    waiting
}

fn add(
    waiting: &mut Waiting<u8, Item>,
    urgency: Urgency,
    owner: u8,
    numbers: std::ops::Range<u32>,
    now: Instant,
) {
    for number in numbers {
        waiting.push(urgency, owner, (urgency, owner, number), ROOMY, now).unwrap();
    }
}

/// How many of each urgency are in a group, after a look at their order.
fn counted(group: &[Item]) -> (usize, usize) {
    let urgent = group.iter().take_while(|(urgency, ..)| *urgency == Urgent).count();
    let (first, rest) = group.split_at(urgent);
    assert!(rest.iter().all(|(urgency, ..)| *urgency == Patient), "the urgent come first");
    for part in [first, rest] {
        for owner in 0..=u8::MAX {
            let own = part.iter().filter(|(_, whose, _)| *whose == owner);
            assert!(own.is_sorted_by_key(|(.., number)| number), "each owner's in their order");
        }
    }
    (urgent, rest.len())
}

/// How many of each owner are in a group.
fn by_owner(group: &[Item]) -> BTreeMap<u8, usize> {
    let mut owners = BTreeMap::new();
    for (_, owner, _) in group {
        *owners.entry(*owner).or_default() += 1;
    }
    owners
}

#[test]
fn the_patient_have_their_share() {
    let now = Instant::now();
    assert_eq!(counted(&waiting(30, 100, now).take(512, now)), (30, 10));
    assert_eq!(counted(&waiting(1, 100, now).take(512, now)), (1, 1), "never none");
    assert_eq!(counted(&waiting(30, 4, now).take(512, now)), (30, 4));
    assert_eq!(counted(&waiting(0, 100, now).take(512, now)), (0, 100), "all, when nobody else waits");
    assert_eq!(counted(&waiting(100, 0, now).take(512, now)), (100, 0));
}

#[test]
fn those_who_are_answered_come_again() {
    let now = Instant::now();
    let mut line = waiting(30, 100, now);
    assert_eq!(counted(&line.take(512, now)), (30, 10));
    assert_eq!(counted(&line.take(512, now)), (0, 8), "the urgent are on their way back");
    add(&mut line, Urgent, 1, 0..5, now);
    assert_eq!(counted(&line.take(512, now)), (5, 1));
    add(&mut line, Urgent, 1, 5..9, now);
    assert_eq!(counted(&line.take(512, now)), (4, 2), "what was owed is paid");
    assert_eq!(counted(&line.take(512, now)), (0, 8));
    assert_eq!(counted(&line.take(512, now + EXPECTED)), (0, 71), "nobody came");
}

#[test]
fn a_group_is_no_larger_than_it_may_be() {
    let now = Instant::now();
    assert_eq!(counted(&waiting(100, 100, now).take(40, now)), (27, 13));
    assert_eq!(counted(&waiting(0, 100, now).take(40, now)), (0, 40));
    assert_eq!(counted(&waiting(100, 0, now).take(40, now)), (40, 0));
    assert_eq!(counted(&waiting(9, 9, now).take(2, now)), (1, 1));
}

#[test]
fn who_has_waited_too_long_goes_but_leaves_half() {
    let now = Instant::now();
    let late = now + PATIENCE;
    assert_eq!(counted(&waiting(30, 100, now).take(512, late)), (30, 100));
    assert_eq!(counted(&waiting(100, 100, now).take(40, late)), (20, 20));
    let mut mixed = waiting(30, 50, now);
    add(&mut mixed, Patient, 1, 50..100, late);
    assert_eq!(counted(&mixed.take(512, late)), (30, 50), "those who came later wait on");
}

#[test]
fn a_tenant_that_floods_makes_nobody_else_wait() {
    let now = Instant::now();
    let mut line = waiting(1_000, 1_000, now);
    for owner in 2..=10 {
        add(&mut line, Urgent, owner, 0..10, now);
        add(&mut line, Patient, owner, 0..1, now);
    }
    let group = line.take(512, now);
    counted(&group);
    let owners = by_owner(&group);
    for owner in 2..=10 {
        assert_eq!(owners[&owner], 11, "everything of who brings little goes with the next group");
    }
    let part = 512 / PART_OF_GROUP;
    assert!((part..=2 * part).contains(&owners[&1]), "{} of the flood", owners[&1]);
    // Nobody else has anything more, but was there just now: a group stays short.
    let next = line.take(512, now);
    assert!(by_owner(&next)[&1] <= 2 * part);
    // Alone, it has all of it.
    let alone = line.take(512, now + OTHERS);
    assert_eq!(by_owner(&alone), BTreeMap::from([(1, 512)]));
}

#[test]
fn those_who_flood_together_have_the_same() {
    let now = Instant::now();
    let mut line = waiting(0, 0, now);
    for owner in 1..=4 {
        add(&mut line, Urgent, owner, 0..500, now);
    }
    let mut sums = BTreeMap::new();
    for _ in 0..10 {
        for (owner, count) in by_owner(&line.take(30, now)) {
            *sums.entry(owner).or_insert(0) += count;
        }
    }
    assert_eq!(sums.len(), 4);
    assert_eq!(sums.values().max(), sums.values().min(), "{sums:?}");
}

#[test]
fn one_tenant_does_not_fill_the_line() {
    let line = Line::new(LineLimits { length_max: 5, share_max: 3, group_max: 8 });
    for _ in 0..3 {
        assert_eq!(line.push(Urgent, 1, 'f'), Ok(()));
    }
    assert_eq!(line.push(Urgent, 1, 'f'), Err(Refused::Share));
    assert_eq!((line.push(Urgent, 2, 'a'), line.push(Urgent, 3, 'b')), (Ok(()), Ok(())));
    assert_eq!(line.push(Urgent, 4, 'c'), Err(Refused::Full));
    assert_eq!(line.push(Patient, 1, 'p'), Ok(()), "each urgency by itself");
}

#[test]
fn a_full_line_refuses_each_by_itself() {
    let line = Line::new(LineLimits { length_max: 2, share_max: 2, group_max: 8 });
    for urgency in [Patient, Urgent] {
        assert_eq!((line.push(urgency, 1, 1), line.push(urgency, 1, 2)), (Ok(()), Ok(())));
        assert_eq!(line.push(urgency, 1, 3), Err(Refused::Full));
    }
    assert_eq!(line.take(), Some((vec![1, 2, 1], 1)), "and how many wait on");
    line.close();
    assert_eq!(line.push(Urgent, 1, 4), Err(Refused::Closed));
    assert_eq!(line.take(), Some((vec![2], 0)), "who waited is taken");
    assert_eq!(line.take(), None);
}

#[test]
fn whoever_takes_waits_until_somebody_comes() {
    let limits = LineLimits { length_max: 8, share_max: 8, group_max: 8 };
    let line = Arc::new(Line::new(limits));
    let taker = thread::spawn({
        let line = Arc::clone(&line);
        move || (line.take(), line.take())
    });
    line.push(Patient, 1, 1).unwrap();
    line.close();
    assert_eq!(taker.join().unwrap(), (Some((vec![1], 0)), None));
    let abandoned: Line<u8, u32> = Line::new(limits);
    abandoned.push(Urgent, 1, 1).unwrap();
    abandoned.abandon();
    assert_eq!(abandoned.take(), None);
    assert_eq!(abandoned.push(Urgent, 1, 1), Err(Refused::Closed));
}
