//! Who waits for the writing thread, and who of them goes next.
//!
//! What somebody outside waits for goes first: acknowledgements, commands, reports. Steps that read
//! letters give way, because they lose nothing by it: the letters that come meanwhile are read by one
//! step, and cost less than a step each. They are never starved: a share of what is written is theirs,
//! and one that has waited too long goes whatever else waits.
//!
//! Among those of the same urgency the tenants take turns, one write each. However much one of them
//! brings, it has a bounded part of the line, and while others are there it makes no group so large
//! that they would feel it.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
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
/// While others are there, one has at most this part of a group: a group takes as long as what is in it,
/// and everybody waits for it.
const PART_OF_GROUP: usize = 16;
/// For so long after somebody else came others are there.
const OTHERS: Duration = Duration::from_secs(1);

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
    /// So many of its urgency wait already that are the same tenant's.
    Share,
    /// Nothing is taken any more.
    Closed,
}

/// How long a line may get.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::struct_field_names, reason = "a limit is named with its kind last")]
pub(super) struct LineLimits {
    /// How many of each urgency may wait.
    pub(super) length_max: usize,
    /// How many of them may be one tenant's.
    pub(super) share_max: usize,
    /// How many are taken at a time; at least two, so that each urgency has a place.
    pub(super) group_max: usize,
}

/// The line that all stand in, in any thread. `K` says whose something is.
pub(super) struct Line<K, T> {
    waiting: Mutex<Waiting<K, T>>,
    came: Condvar,
    limits: LineLimits,
}

impl<K: Copy + Eq + Hash, T> Line<K, T> {
    /// A line with nobody in it.
    pub(super) fn new(limits: LineLimits) -> Self {
        let limits = LineLimits { group_max: limits.group_max.max(2), ..limits };
        Self { waiting: Mutex::new(Waiting::new()), came: Condvar::new(), limits }
    }

    /// Puts something of `owner`'s at the end of the line.
    pub(super) fn push(&self, urgency: Urgency, owner: K, item: T) -> Result<(), Refused> {
        let mut waiting = self.lock();
        waiting.push(urgency, owner, item, self.limits, Instant::now())?;
        drop(waiting);
        self.came.notify_one();
        Ok(())
    }

    /// Waits until somebody is there and takes the next group, with how many wait behind it. Nothing once
    /// the line is closed and empty.
    pub(super) fn take(&self) -> Option<(Vec<T>, usize)> {
        let open_and_empty = |waiting: &mut Waiting<K, T>| waiting.is_empty() && !waiting.closed;
        let waiting = self.came.wait_while(self.lock(), open_and_empty);
        let mut waiting = waiting.unwrap_or_else(PoisonError::into_inner);
        let group = waiting.take(self.limits.group_max, Instant::now());
        let behind = waiting.urgent.len + waiting.patient.len;
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

    fn lock(&self) -> MutexGuard<'_, Waiting<K, T>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Those of one urgency: each owner's in their order, and the owners in turn.
struct Queue<K, T> {
    owners: HashMap<K, VecDeque<(Instant, T)>>,
    turns: VecDeque<K>,
    len: usize,
}

impl<K, T> Default for Queue<K, T> {
    fn default() -> Self {
        Self { owners: HashMap::new(), turns: VecDeque::new(), len: 0 }
    }
}

impl<K: Copy + Eq + Hash, T> Queue<K, T> {
    fn push(&mut self, owner: K, item: T, limits: LineLimits, now: Instant) -> Result<(), Refused> {
        if self.len >= limits.length_max {
            return Err(Refused::Full);
        }
        let own = self.owners.entry(owner).or_default();
        if own.len() >= limits.share_max {
            return Err(Refused::Share);
        }
        if own.is_empty() {
            self.turns.push_back(owner);
        }
        own.push_back((now, item));
        self.len += 1;
        Ok(())
    }

    /// Whose turn it is gives one and goes to the end, until there are `count`; none gives more than
    /// `each_max`. How many were taken.
    fn take(&mut self, count: usize, each_max: usize, group: &mut Vec<T>) -> usize {
        let mut taken = 0;
        let mut given: HashMap<K, usize> = HashMap::new();
        // Those who have given what they may keep their place for the next group.
        let mut done = VecDeque::new();
        while taken < count
            && let Some(owner) = self.turns.pop_front()
        {
            let given = given.entry(owner).or_default();
            if *given >= each_max {
                done.push_back(owner);
                continue;
            }
            let Some(own) = self.owners.get_mut(&owner) else { continue };
            group.extend(own.pop_front().map(|(_, item)| item));
            *given += 1;
            taken += 1;
            if own.is_empty() {
                self.owners.remove(&owner);
            } else {
                self.turns.push_back(owner);
            }
        }
        self.turns.append(&mut done);
        self.len -= taken;
        taken
    }

    /// How many could be taken if none gives more than `each_max`.
    fn ready(&self, each_max: usize) -> usize {
        self.owners.values().map(|own| own.len().min(each_max)).sum()
    }

    /// How many have waited for too long; those beyond `most` are not counted.
    fn late(&self, most: usize, now: Instant) -> usize {
        let is_late = |since: &Instant| now.saturating_duration_since(*since) >= PATIENCE;
        let late = self.owners.values().flat_map(|own| own.iter().take_while(|(since, _)| is_late(since)));
        late.take(most).count()
    }
}

struct Waiting<K, T> {
    urgent: Queue<K, T>,
    patient: Queue<K, T>,
    closed: bool,
    /// How many urgent ones were taken for which none of the patient went yet.
    owed: usize,
    /// When an urgent one was taken last.
    urgent_at: Option<Instant>,
    /// Whose came last, and when one came last that was not the same one's as the one before.
    latest: Option<K>,
    others_at: Option<Instant>,
}

impl<K: Copy + Eq + Hash, T> Waiting<K, T> {
    fn new() -> Self {
        Self {
            urgent: Queue::default(),
            patient: Queue::default(),
            closed: false,
            owed: 0,
            urgent_at: None,
            latest: None,
            others_at: None,
        }
    }

    fn is_empty(&self) -> bool {
        self.urgent.len + self.patient.len == 0
    }

    fn push(
        &mut self,
        urgency: Urgency,
        owner: K,
        item: T,
        limits: LineLimits,
        now: Instant,
    ) -> Result<(), Refused> {
        if self.closed {
            return Err(Refused::Closed);
        }
        if self.latest.replace(owner).is_some_and(|latest| latest != owner) {
            self.others_at = Some(now);
        }
        match urgency {
            Urgency::Urgent => self.urgent.push(owner, item, limits, now),
            Urgency::Patient => self.patient.push(owner, item, limits, now),
        }
    }

    /// The next group, at most `group_max`: the urgent first, then the patient, each owner's in their
    /// order.
    fn take(&mut self, group_max: usize, now: Instant) -> Vec<T> {
        let within = |at: Instant, time: Duration| now.saturating_duration_since(at) < time;
        let are_others = self.others_at.is_some_and(|at| within(at, OTHERS));
        let each_max = if are_others { (group_max / PART_OF_GROUP).max(1) } else { group_max };
        let late = self.patient.late(group_max, now);
        let (urgent_ready, patient_ready) = (self.urgent.ready(each_max), self.patient.ready(each_max));
        let is_urgent = urgent_ready > 0;
        if is_urgent {
            self.urgent_at = Some(now);
        }
        let due = if self.urgent_at.is_some_and(|at| within(at, EXPECTED)) {
            let served = self.owed + urgent_ready.min(group_max);
            let least = if is_urgent { 1 } else { PATIENT_ALONE };
            (served / URGENT_PER_PATIENT).max(late).max(least)
        } else {
            group_max
        };
        // Those who are late leave half of a group to the urgent.
        let patient_max = if is_urgent { group_max / 2 } else { group_max };
        let patient = due.min(patient_max).min(patient_ready);
        let urgent = urgent_ready.min(group_max - patient);
        let owed = (self.owed + urgent).saturating_sub(patient * URGENT_PER_PATIENT);
        let mut group = Vec::with_capacity(urgent + patient);
        self.urgent.take(urgent, each_max, &mut group);
        self.patient.take(patient, each_max, &mut group);
        // What nobody was there to claim is not kept for later.
        self.owed = if self.patient.len > 0 { owed.min(group_max) } else { 0 };
        group
    }
}

#[cfg(test)]
#[path = "line_tests.rs"]
mod tests;
