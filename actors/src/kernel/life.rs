//! The drop guard that tells a parent how its actor ended.

use std::sync::Arc;

use super::mailbox::Room;

/// The news of an actor's end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended<K> {
    /// Whose.
    pub key: K,
    /// Which of those that have borne this key.
    pub incarnation: u64,
    /// Whether a panic ended it: in a handler, in something it waited for, or while it was made.
    pub panicked: bool,
}

/// Held by an actor as a field: when the actor is dropped, however it ended, the mailbox is shut and
/// the parent is told, in this order, so that who hears the news finds no mailbox that still accepts.
///
/// The parent is told on the actor's thread, after a panic during the unwinding: what it does there
/// must be short and must not panic.
pub struct LifeGuard<K: Clone> {
    key: K,
    incarnation: u64,
    room: Arc<Room>,
    on_end: Option<Box<dyn FnOnce(Ended<K>) + Send>>,
}

impl<K: Clone> LifeGuard<K> {
    pub(super) fn new(
        key: K,
        incarnation: u64,
        room: Arc<Room>,
        on_end: impl FnOnce(Ended<K>) + Send + 'static,
    ) -> Self {
        Self { key, incarnation, room, on_end: Some(Box::new(on_end)) }
    }

    /// The actor's key.
    pub fn key(&self) -> &K {
        &self.key
    }

    /// Which of those that have borne this key; each later one has a greater number.
    pub fn incarnation(&self) -> u64 {
        self.incarnation
    }

    /// Shuts the mailbox if no message waits in it or is being handled, and says whether it is shut.
    ///
    /// If so, the actor stops in the same handler (`context.stop()`). Whoever wants it after that gets
    /// a new one; of the same registry it begins on the same thread, hence after this one. If not, a
    /// message is there: the actor stays. A handler that holds a [`Permit`](super::Permit) drops it
    /// first.
    pub fn retire(&self) -> bool {
        self.room.close_if_idle()
    }
}

impl<K: Clone> Drop for LifeGuard<K> {
    fn drop(&mut self) {
        self.room.close();
        if let Some(on_end) = self.on_end.take() {
            on_end(Ended {
                key: self.key.clone(),
                incarnation: self.incarnation,
                panicked: std::thread::panicking(),
            });
        }
    }
}
