//! Who waits for the writing thread, and who of them goes next.
//!
//! What somebody outside waits for goes first: acknowledgements, commands, reports. Steps that read
//! letters give way, because they lose nothing by it: the letters that come meanwhile are read by one
//! step, and cost less than a step each. They are never starved: a share of what is written is theirs,
//! and one that has waited too long goes whatever else waits.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// For so many urgent ones, one of the patient goes: a quarter of all is theirs, if so many wait.
const URGENT_PER_PATIENT: usize = 3;
/// So many of the patient go at least when none of the urgent is there: a group costs a sync in any case.
const PATIENT_ALONE: usize = 8;
/// For so long after an urgent one was taken others are expected: those who are answered come again.
const EXPECTED: Duration = Duration::from_millis(50);
/// After so long the patient go with the next group. It is less than the pause in which the assistant
/// waits for a contact's next message, so it is nothing that a contact could notice.
const PATIENCE: Duration = Duration::from_secs(1);

/// Whether somebody outside waits for a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Urgency {
    /// Somebody does.
    Urgent,
    /// Nobody does, and waiting makes it cheaper.
    Patient,
}

/// Why something was not put into the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// So many of its urgency wait already.
    Full,
    /// Nothing is taken any more.
    Closed,
}

/// The line that all stand in, in any thread.
pub(super) struct Line<T> {
    waiting: Mutex<Waiting<T>>,
    came: Condvar,
    length_max: usize,
    group_max: usize,
}

impl<T> Line<T> {
    /// A line in which at most `length_max` of each urgency wait, taken at most `group_max` at a time (or
    /// two, so that each urgency has a place).
    pub(super) fn new(length_max: usize, group_max: usize) -> Self {
        let waiting = Mutex::new(Waiting::new());
        Self { waiting, came: Condvar::new(), length_max, group_max: group_max.max(2) }
    }

    /// Puts something at the end of the line.
    pub(super) fn push(&self, urgency: Urgency, item: T) -> Result<(), Refused> {
        let mut waiting = self.lock();
        waiting.push(urgency, item, self.length_max, Instant::now())?;
        drop(waiting);
        self.came.notify_one();
        Ok(())
    }

    /// Waits until somebody is there and takes the next group, with how many wait behind it. Nothing once
    /// the line is closed and empty.
    pub(super) fn take(&self) -> Option<(Vec<T>, usize)> {
        let open_and_empty = |waiting: &mut Waiting<T>| waiting.is_empty() && !waiting.closed;
        let waiting = self.came.wait_while(self.lock(), open_and_empty);
        let mut waiting = waiting.unwrap_or_else(PoisonError::into_inner);
        let group = waiting.take(self.group_max, Instant::now());
        let behind = waiting.urgent.len() + waiting.patient.len();
        (!group.is_empty()).then_some((group, behind))
    }

    /// Lets nobody in any more; those who wait are still taken.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.came.notify_one();
    }

    /// Sends all away who wait, for nobody takes them any more.
    pub(super) fn abandon(&self) {
        let mut waiting = self.lock();
        waiting.closed = true;
        let left = (std::mem::take(&mut waiting.urgent), std::mem::take(&mut waiting.patient));
        drop(waiting);
        // Dropped without the lock: what is dropped may tell somebody.
        drop(left);
    }

    fn lock(&self) -> MutexGuard<'_, Waiting<T>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Waiting<T> {
    urgent: VecDeque<T>,
    patient: VecDeque<(Instant, T)>,
    closed: bool,
    /// How many urgent ones were taken for which none of the patient went yet.
    owed: usize,
    /// When an urgent one was taken last.
    urgent_at: Option<Instant>,
}

impl<T> Waiting<T> {
    fn new() -> Self {
        let (urgent, patient) = (VecDeque::new(), VecDeque::new());
        Self { urgent, patient, closed: false, owed: 0, urgent_at: None }
    }

    fn is_empty(&self) -> bool {
        self.urgent.is_empty() && self.patient.is_empty()
    }

    fn push(&mut self, urgency: Urgency, item: T, length_max: usize, now: Instant) -> Result<(), Refused> {
        let length = match urgency {
            Urgency::Urgent => self.urgent.len(),
            Urgency::Patient => self.patient.len(),
        };
        if self.closed {
            return Err(Refused::Closed);
        }
        if length >= length_max {
            return Err(Refused::Full);
        }
        match urgency {
            Urgency::Urgent => self.urgent.push_back(item),
            Urgency::Patient => self.patient.push_back((now, item)),
        }
        Ok(())
    }

    /// The next group, at most `group_max`: the urgent first, in their order, then the patient.
    fn take(&mut self, group_max: usize, now: Instant) -> Vec<T> {
        let is_late = |since: &Instant| now.saturating_duration_since(*since) >= PATIENCE;
        let late = self.patient.iter().take(group_max).take_while(|(since, _)| is_late(since)).count();
        let is_urgent = !self.urgent.is_empty();
        if is_urgent {
            self.urgent_at = Some(now);
        }
        let is_expected = |at: Instant| now.saturating_duration_since(at) < EXPECTED;
        let due = if self.urgent_at.is_some_and(is_expected) {
            let served = self.owed + self.urgent.len().min(group_max);
            let least = if is_urgent { 1 } else { PATIENT_ALONE };
            (served / URGENT_PER_PATIENT).max(late).max(least)
        } else {
            group_max
        };
        // Those who are late leave half of a group to the urgent.
        let patient_max = if is_urgent { group_max / 2 } else { group_max };
        let patient = due.min(patient_max).min(self.patient.len());
        let urgent = self.urgent.len().min(group_max - patient);
        let owed = (self.owed + urgent).saturating_sub(patient * URGENT_PER_PATIENT);
        // What nobody was there to claim is not kept for later.
        self.owed = if self.patient.len() > patient { owed.min(group_max) } else { 0 };
        let mut group = Vec::with_capacity(urgent + patient);
        group.extend(self.urgent.drain(..urgent));
        group.extend(self.patient.drain(..patient).map(|(_, item)| item));
        group
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;

    use super::Urgency::{Patient, Urgent};
    use super::*;

    fn waiting(urgent: u32, patient: u32, since: Instant) -> Waiting<(Urgency, u32)> {
        let mut waiting = Waiting::new();
        for (urgency, count) in [(Patient, patient), (Urgent, urgent)] {
            for number in 0..count {
                waiting.push(urgency, (urgency, number), usize::MAX, since).unwrap();
            }
        }
        waiting
    }

    /// How many of each are in a group, after a look at their order.
    fn counted(group: &[(Urgency, u32)]) -> (usize, usize) {
        let urgent = group.iter().take_while(|(urgency, _)| *urgency == Urgent).count();
        let (first, rest) = group.split_at(urgent);
        assert!(rest.iter().all(|(urgency, _)| *urgency == Patient), "the urgent come first");
        assert!(first.is_sorted_by_key(|(_, number)| number) && rest.is_sorted_by_key(|(_, number)| number));
        (urgent, rest.len())
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
        for number in 0..5 {
            line.push(Urgent, (Urgent, number), usize::MAX, now).unwrap();
        }
        assert_eq!(counted(&line.take(512, now)), (5, 1));
        for number in 5..9 {
            line.push(Urgent, (Urgent, number), usize::MAX, now).unwrap();
        }
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
        for number in 50..100 {
            mixed.push(Patient, (Patient, number), usize::MAX, late).unwrap();
        }
        assert_eq!(counted(&mixed.take(512, late)), (30, 50), "those who came later wait on");
    }

    #[test]
    fn a_full_line_refuses_each_by_itself() {
        let line = Line::new(2, 8);
        for urgency in [Patient, Urgent] {
            assert_eq!((line.push(urgency, 1), line.push(urgency, 2)), (Ok(()), Ok(())));
            assert_eq!(line.push(urgency, 3), Err(Refused::Full));
        }
        assert_eq!(line.take(), Some((vec![1, 2, 1], 1)), "and how many wait on");
        line.close();
        assert_eq!(line.push(Urgent, 4), Err(Refused::Closed));
        assert_eq!(line.take(), Some((vec![2], 0)), "who waited is taken");
        assert_eq!(line.take(), None);
    }

    #[test]
    fn whoever_takes_waits_until_somebody_comes() {
        let line = Arc::new(Line::new(8, 8));
        let taker = thread::spawn({
            let line = Arc::clone(&line);
            move || (line.take(), line.take())
        });
        line.push(Patient, 1).unwrap();
        line.close();
        assert_eq!(taker.join().unwrap(), (Some((vec![1], 0)), None));
        let abandoned: Line<u32> = Line::new(8, 8);
        abandoned.push(Urgent, 1).unwrap();
        abandoned.abandon();
        assert_eq!(abandoned.take(), None);
        assert_eq!(abandoned.push(Urgent, 1), Err(Refused::Closed));
    }
}
