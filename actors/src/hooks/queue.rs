//! What waits for one receiver. Events of a conversation go one after the other, by their place in the log;
//! conversations go side by side. Only what is needed to decide is here; the rest is in the store.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use iassistance_domain::Timestamp;
use iassistance_domain::id::{ConversationId, DeliveryId};

/// The events of one conversation, or those of none.
pub(super) type LaneKey = Option<ConversationId>;

/// Failures in a row after which a receiver counts as failing.
const FAILURES_MAX: u32 = 3;

/// What waits for one receiver, and how it does.
#[derive(Default)]
pub(super) struct Queue {
    lanes: HashMap<LaneKey, Lane>,
    /// The first of each lane that is not under way.
    due: BTreeSet<(Timestamp, DeliveryId, LaneKey)>,
    waiting: usize,
    in_flight: usize,
    failures: u32,
    failed_since: Option<Timestamp>,
}

#[derive(Default)]
struct Lane {
    waiting: BTreeMap<DeliveryId, Timestamp>,
    busy: bool,
    /// Its place in `due`.
    standing: Option<(Timestamp, DeliveryId)>,
}

impl Queue {
    /// A queue of a receiver that takes nothing since then, if it does so.
    pub fn failing(since: Option<Timestamp>) -> Self {
        let failures = if since.is_some() { FAILURES_MAX } else { 0 };
        Self { failures, failed_since: since, ..Self::default() }
    }

    /// One more waits; one that does already waits until this moment instead.
    pub fn add(&mut self, lane: LaneKey, id: DeliveryId, next_at: Timestamp) {
        if self.lanes.entry(lane).or_default().waiting.insert(id, next_at).is_none() {
            self.waiting += 1;
        }
        self.stand(lane);
    }

    /// The one whose turn it is, if its time has come. It is under way until [`done`](Self::done).
    pub fn take(&mut self, now: Timestamp) -> Option<(DeliveryId, LaneKey)> {
        let (at, id, key) = *self.due.first()?;
        if at > now {
            return None;
        }
        self.due.pop_first();
        if let Some(lane) = self.lanes.get_mut(&key) {
            (lane.busy, lane.standing) = (true, None);
        }
        self.in_flight += 1;
        Some((id, key))
    }

    /// It is not under way any more: it waits again until this moment, or not at all.
    pub fn done(&mut self, key: LaneKey, id: DeliveryId, again: Option<Timestamp>) {
        self.in_flight = self.in_flight.saturating_sub(1);
        let Some(lane) = self.lanes.get_mut(&key) else { return };
        lane.busy = false;
        match (again, lane.waiting.get_mut(&id)) {
            (Some(at), Some(next_at)) => *next_at = at,
            (None, Some(_)) => {
                lane.waiting.remove(&id);
                self.waiting -= 1;
            }
            (_, None) => {}
        }
        self.stand(key);
    }

    /// Has all that wait be tried from now on.
    pub fn hurry(&mut self, now: Timestamp) {
        (self.failures, self.failed_since) = (0, None);
        let keys: Vec<_> = self.lanes.keys().copied().collect();
        for key in keys {
            if let Some(lane) = self.lanes.get_mut(&key) {
                lane.waiting.values_mut().for_each(|at| *at = (*at).min(now));
            }
            self.stand(key);
        }
    }

    /// Notes that the receiver took one.
    pub fn succeeded(&mut self) {
        (self.failures, self.failed_since) = (0, None);
    }

    /// Notes that it did not; since when it takes nothing, once it counts as failing.
    pub fn failed(&mut self, now: Timestamp) -> Option<Timestamp> {
        self.failures = self.failures.saturating_add(1);
        let since = *self.failed_since.get_or_insert(now);
        self.is_failing().then_some(since)
    }

    /// Whether the receiver takes nothing: then it is tried with one at a time.
    pub const fn is_failing(&self) -> bool {
        self.failures >= FAILURES_MAX
    }

    /// When the next one's time comes.
    pub fn next_at(&self) -> Option<Timestamp> {
        self.due.first().map(|(at, ..)| *at)
    }

    /// How many wait, those under way among them.
    pub const fn waiting(&self) -> usize {
        self.waiting
    }

    /// How many are under way.
    pub const fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Puts a lane where it belongs in `due`.
    fn stand(&mut self, key: LaneKey) {
        let Some(lane) = self.lanes.get_mut(&key) else { return };
        if let Some((at, id)) = lane.standing.take() {
            self.due.remove(&(at, id, key));
        }
        match lane.waiting.first_key_value() {
            Some((id, at)) if !lane.busy => {
                lane.standing = Some((*at, *id));
                self.due.insert((*at, *id, key));
            }
            None if !lane.busy => {
                self.lanes.remove(&key);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use iassistance_domain::id::SubscriptionId;

    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_000);

    fn id(seq: u64) -> DeliveryId {
        DeliveryId::of(SubscriptionId::from_bytes([7; 16]), seq)
    }

    #[expect(clippy::unnecessary_wraps, reason = "a lane may be that of no conversation")]
    fn lane(number: u8) -> LaneKey {
        Some(ConversationId::from_bytes([number; 16]))
    }

    #[test]
    fn later_events_of_a_conversation_wait_behind_a_failing_one_and_others_go_on() {
        let mut queue = Queue::default();
        for (seq, number) in [(2, 1), (1, 1), (3, 2), (4, 1), (5, 2)] {
            queue.add(lane(number), id(seq), NOW);
        }
        assert_eq!(queue.take(NOW), Some((id(1), lane(1))), "by the log, however they came");
        assert_eq!(queue.take(NOW), Some((id(3), lane(2))));
        assert_eq!(queue.take(NOW), None, "one of each conversation");
        let later = NOW.plus_millis(500);
        queue.done(lane(1), id(1), Some(later));
        queue.done(lane(2), id(3), None);
        assert_eq!(queue.take(NOW), Some((id(5), lane(2))), "the other conversation goes on");
        queue.done(lane(2), id(5), None);
        assert_eq!((queue.take(NOW), queue.next_at()), (None, Some(later)));
        assert_eq!(queue.take(later), Some((id(1), lane(1))), "and the first one first again");
        queue.done(lane(1), id(1), None);
        for seq in [2, 4] {
            assert_eq!(queue.take(later), Some((id(seq), lane(1))));
            queue.done(lane(1), id(seq), None);
        }
        assert_eq!((queue.waiting(), queue.in_flight(), queue.next_at()), (0, 0, None));
        assert!(queue.lanes.is_empty(), "nothing is kept of who is done");
    }

    #[test]
    fn what_comes_twice_waits_once() {
        let mut queue = Queue::default();
        queue.add(lane(1), id(1), NOW);
        queue.add(lane(1), id(1), NOW.plus_millis(1));
        assert_eq!((queue.waiting(), queue.take(NOW)), (1, None));
        assert_eq!(queue.take(NOW.plus_millis(1)), Some((id(1), lane(1))));
        queue.add(lane(1), id(1), NOW);
        assert_eq!(queue.take(NOW.plus_millis(1)), None, "it is under way");
        queue.done(lane(1), id(1), None);
        assert_eq!((queue.waiting(), queue.take(NOW.plus_millis(9))), (0, None));
    }

    #[test]
    fn a_receiver_fails_after_some_in_a_row_and_is_well_again_by_one() {
        let mut queue = Queue::default();
        assert_eq!((queue.failed(NOW), queue.failed(NOW.plus_millis(1))), (None, None));
        assert_eq!(queue.failed(NOW.plus_millis(2)), Some(NOW));
        assert!(queue.is_failing());
        queue.succeeded();
        assert!(!queue.is_failing());
        assert_eq!(queue.failed(NOW.plus_millis(3)), None);
        assert!(Queue::failing(Some(NOW)).is_failing(), "a restart forgets nothing");
    }

    #[test]
    fn resuming_tries_all_at_once_again() {
        let mut queue = Queue::failing(Some(NOW));
        queue.add(lane(1), id(1), NOW.plus_millis(9_000));
        queue.add(None, id(2), NOW.plus_millis(9_000));
        assert_eq!(queue.take(NOW), None);
        queue.hurry(NOW);
        assert!(!queue.is_failing());
        assert_eq!((queue.take(NOW), queue.take(NOW)), (Some((id(1), lane(1))), Some((id(2), None))));
    }
}
