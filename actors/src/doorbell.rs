//! What waits at a tenant's door while its actor is busy, or gone.

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use iassistance_domain::id::ConversationId;

/// How many conversations are remembered by name; beyond it the store is asked.
const READY_MAX: usize = 16_384;

/// Rung conversations of one tenant. It outlives the tenant's actor, so a panic there forgets
/// nothing; and the store knows all of it, so losing this costs time alone.
#[derive(Default)]
pub struct Doorbell {
    state: Mutex<State>,
    seats: AtomicUsize,
}

/// A place in memory for one of a tenant's conversations; free again when dropped.
pub struct MemorySeat(Arc<Doorbell>);

impl Drop for MemorySeat {
    fn drop(&mut self) {
        self.0.seats.fetch_sub(1, Ordering::Relaxed);
    }
}

#[derive(Default)]
struct State {
    ready: VecDeque<ConversationId>,
    known: HashSet<ConversationId>,
    overflowed: bool,
    panicked: Vec<ConversationId>,
    quarantined: BTreeSet<ConversationId>,
}

/// What was waiting.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    /// Conversations to wake, in the order of ringing.
    pub ready: Vec<ConversationId>,
    /// Conversations whose actor panicked since last time.
    pub panicked: Vec<ConversationId>,
    /// Whether more rang than was remembered: the store has to be asked.
    pub overflowed: bool,
}

impl Doorbell {
    /// Remembers that a conversation has letters; once, however often it rings.
    pub fn ring(&self, conversation: ConversationId) {
        let mut state = self.lock();
        if state.known.contains(&conversation) {
            return;
        }
        if state.ready.len() >= READY_MAX {
            state.overflowed = true;
            return;
        }
        state.known.insert(conversation);
        state.ready.push_back(conversation);
    }

    /// Asks for a look into the store for everything that is unfinished.
    pub fn ring_all(&self) {
        self.lock().overflowed = true;
    }

    /// Remembers that a conversation's actor panicked.
    pub fn panicked(&self, conversation: ConversationId) {
        self.lock().panicked.push(conversation);
    }

    /// Takes at most `limit` rung conversations, and all other news.
    pub fn take(&self, limit: usize) -> Waiting {
        let mut state = self.lock();
        let count = limit.min(state.ready.len());
        let ready: Vec<_> = state.ready.drain(..count).collect();
        for conversation in &ready {
            state.known.remove(conversation);
        }
        Waiting {
            ready,
            panicked: std::mem::take(&mut state.panicked),
            overflowed: std::mem::take(&mut state.overflowed),
        }
    }

    /// Whether anything waits.
    pub fn is_silent(&self) -> bool {
        let state = self.lock();
        state.ready.is_empty() && state.panicked.is_empty() && !state.overflowed
    }

    /// Notes whether a conversation is held for a person.
    pub fn set_quarantined(&self, conversation: ConversationId, held: bool) {
        let mut state = self.lock();
        if held {
            state.quarantined.insert(conversation);
        } else {
            state.quarantined.remove(&conversation);
        }
    }

    /// A place in memory for one more of this tenant's conversations, if fewer than `most` are there.
    pub fn take_seat(self: &Arc<Self>, most: usize) -> Option<MemorySeat> {
        let more = |taken| (taken < most).then_some(taken + 1);
        self.seats.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        Some(MemorySeat(Arc::clone(self)))
    }

    /// How many of this tenant's conversations are in memory.
    pub fn seats_taken(&self) -> usize {
        self.seats.load(Ordering::Relaxed)
    }

    /// Whether a conversation is held for a person.
    pub fn is_quarantined(&self, conversation: ConversationId) -> bool {
        self.lock().quarantined.contains(&conversation)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conversation(n: u16) -> ConversationId {
        let mut bytes = [0; 16];
        bytes[..2].copy_from_slice(&n.to_be_bytes());
        ConversationId::from_bytes(bytes)
    }

    #[test]
    fn a_conversation_waits_once_and_in_order() {
        let bell = Doorbell::default();
        for n in [2, 1, 2, 3] {
            bell.ring(conversation(n));
        }
        assert_eq!(bell.take(2).ready, [conversation(2), conversation(1)]);
        bell.ring(conversation(2));
        assert_eq!(bell.take(9).ready, [conversation(3), conversation(2)]);
        assert!(bell.is_silent());
    }

    #[test]
    fn what_is_too_much_to_remember_is_looked_up_instead() {
        let bell = Doorbell::default();
        for n in 0..=u16::try_from(READY_MAX).unwrap() {
            bell.ring(conversation(n));
        }
        let waiting = bell.take(usize::MAX);
        assert_eq!(waiting.ready.len(), READY_MAX);
        assert!(waiting.overflowed);
        assert!(!bell.take(1).overflowed);
    }
}
