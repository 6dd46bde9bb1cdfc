//! The money of turns: set aside before each call where there are budgets, and written down.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use iassistance_assistant::money::Purse;
use iassistance_domain::Clock;
use iassistance_domain::budget::{Budgets, Cost, Day, Reservation};
use iassistance_domain::id::{ContactId, ConversationId, TurnId};
use iassistance_storage::{StorageError, TenantStore};

/// How often a reservation is tried when the store does not answer, and the pause between, milliseconds.
const TRIES_MAX: u32 = 5;
const RETRY_MS: u64 = 500;

/// One turn's way to its tenant's money. What it spends is written down also where nothing limits it.
pub(crate) struct TurnPurse {
    store: Arc<dyn TenantStore>,
    clock: Arc<dyn Clock>,
    budgets: Budgets,
    turn: TurnId,
    conversation: ConversationId,
    contact: ContactId,
    open: Mutex<Open>,
}

/// What is set aside for the call under way.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Open {
    #[default]
    Nothing,
    /// It is being set aside: how much, nobody knows yet.
    Something,
    /// So much.
    Amount(Cost),
}

impl TurnPurse {
    pub(crate) fn new(
        store: Arc<dyn TenantStore>,
        clock: Arc<dyn Clock>,
        budgets: Budgets,
        (turn, conversation, contact): (TurnId, ConversationId, ContactId),
    ) -> Self {
        Self { store, clock, budgets, turn, conversation, contact, open: Mutex::default() }
    }

    /// Writes down what is not written down yet of what was spent in all. A call that never told what
    /// it cost, because its turn failed, cost what was set aside for it.
    pub(crate) async fn close(&self, spent: Cost) {
        let open = *self.lock();
        match open {
            Open::Nothing => {}
            Open::Something => self.settle(Cost::default()).await,
            Open::Amount(amount) => self.settle(amount).await,
        }
        if self.is_unlimited() && spent > Cost::default() {
            let day = Day::of(self.clock.now());
            let spend = || self.store.spend(self.conversation, self.contact, day, spent);
            self.insist("what a turn spent", spend).await;
        }
    }

    /// Has something written down; gives up after some tries, for the turn must end.
    async fn insist<F>(&self, what: &'static str, write: impl Fn() -> F) -> Option<()>
    where
        F: Future<Output = Result<(), StorageError>>,
    {
        for attempt in 1..=TRIES_MAX {
            match write().await {
                Ok(()) => return Some(()),
                Err(error) if attempt == TRIES_MAX || !error.is_transient() => {
                    tracing::error!(turn = %self.turn, %error, what, "money could not be written down");
                    return None;
                }
                Err(_) => self.clock.sleep_millis(RETRY_MS).await,
            }
        }
        None
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Purse for TurnPurse {
    async fn reserve(&self, least: Cost, most: Cost) -> Option<Cost> {
        if self.is_unlimited() {
            return Some(most);
        }
        let reservation = Reservation {
            turn: self.turn,
            conversation: self.conversation,
            contact: self.contact,
            day: Day::of(self.clock.now()),
            amount: most,
        };
        *self.lock() = Open::Something;
        for attempt in 1..=TRIES_MAX {
            match self.store.reserve(reservation, least, self.budgets).await {
                Ok(granted) => {
                    *self.lock() = granted.map_or(Open::Nothing, Open::Amount);
                    return granted;
                }
                // Without knowing what is left, nothing is spent.
                Err(error) if attempt == TRIES_MAX || !error.is_transient() => {
                    tracing::error!(turn = %self.turn, %error, "money could not be set aside");
                    *self.lock() = Open::Nothing;
                    return None;
                }
                Err(_) => self.clock.sleep_millis(RETRY_MS).await,
            }
        }
        None
    }

    async fn settle(&self, spent: Cost) {
        let open = *self.lock();
        if open != Open::Nothing {
            self.insist("the cost of a call", || self.store.settle_reservation(self.turn, spent)).await;
            *self.lock() = Open::Nothing;
        }
    }

    fn is_unlimited(&self) -> bool {
        !self.budgets.is_kept()
    }
}
