//! What is spent and what is set aside, each for itself.

use std::collections::HashMap;

use iassistance_domain::Timestamp;
use iassistance_domain::budget::{Budgets, Cost, Day, Reservation};
use iassistance_domain::id::{ContactId, ConversationId, TurnId};

use crate::limits::{RESERVED_DAYS, SUMS_KEPT_DAYS};
use crate::rules::{grant, kept_limits};

/// Something was spent, or is set aside.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Purpose {
    Tenant(Day),
    Contact(ContactId, Day),
    Conversation(ConversationId),
}

#[derive(Default)]
pub(super) struct Money {
    spent: HashMap<Purpose, Cost>,
    reserved: HashMap<TurnId, Reservation>,
}

fn purposes(conversation: ConversationId, contact: ContactId, day: Day) -> [Purpose; 3] {
    [Purpose::Tenant(day), Purpose::Contact(contact, day), Purpose::Conversation(conversation)]
}

impl Money {
    /// Forgets what was spent on these; the tenant's sums stay. Says how many sums and reservations.
    pub(super) fn forget_of(&mut self, contacts: &[ContactId], conversations: &[ConversationId]) -> u64 {
        let goes = |purpose: &Purpose| match purpose {
            Purpose::Tenant(_) => false,
            Purpose::Contact(contact, _) => contacts.contains(contact),
            Purpose::Conversation(conversation) => conversations.contains(conversation),
        };
        let before = self.spent.len();
        self.spent.retain(|purpose, _| !goes(purpose));
        let mut gone = (before - self.spent.len()) as u64;
        for reserved in self.reserved.extract_if(|_, it| contacts.contains(&it.contact)).collect::<Vec<_>>() {
            // It counts as spent, as it does where nobody settles it.
            let sum = self.spent.entry(Purpose::Tenant(reserved.1.day)).or_default();
            *sum = sum.plus(reserved.1.amount);
            gone += 1;
        }
        gone
    }

    /// What is spent and set aside for a purpose.
    fn sum(&self, purpose: Purpose) -> Cost {
        let of = |reserved: &&Reservation| {
            purposes(reserved.conversation, reserved.contact, reserved.day).contains(&purpose)
        };
        let spent = self.spent.get(&purpose).copied().unwrap_or_default();
        self.reserved.values().filter(of).map(|reserved| reserved.amount).fold(spent, Cost::plus)
    }

    pub(super) fn reserve(
        &mut self,
        reservation: Reservation,
        least: Cost,
        budgets: &Budgets,
    ) -> Option<Cost> {
        let Reservation { turn, conversation, contact, day, amount } = reservation;
        if let Some(former) = self.reserved.get(&turn) {
            self.settle(turn, former.amount);
        }
        let [a, b, c] = purposes(conversation, contact, day).map(|purpose| self.sum(purpose));
        let [tenant_day, contact_day, ever] = kept_limits(budgets);
        let granted = grant(amount, least, [(tenant_day, a), (contact_day, b), (ever, c)])?;
        self.reserved.insert(turn, Reservation { amount: granted, ..reservation });
        Some(granted)
    }

    pub(super) fn settle(&mut self, turn: TurnId, spent: Cost) {
        if let Some(Reservation { conversation, contact, day, .. }) = self.reserved.remove(&turn) {
            self.spend(conversation, contact, day, spent);
        }
    }

    pub(super) fn spend(&mut self, conversation: ConversationId, contact: ContactId, day: Day, amount: Cost) {
        for purpose in purposes(conversation, contact, day) {
            let spent = self.spent.entry(purpose).or_default();
            *spent = spent.plus(amount);
        }
    }

    pub(super) fn spent(&self, day: Day) -> Cost {
        self.sum(Purpose::Tenant(day))
    }

    pub(super) fn spent_on(&self, contact: ContactId, day: Day) -> Cost {
        self.sum(Purpose::Contact(contact, day))
    }

    pub(super) fn spent_in(&self, conversation: ConversationId) -> Cost {
        self.sum(Purpose::Conversation(conversation))
    }

    /// What nobody settles any more is spent; days that are long past are forgotten.
    pub(super) fn forget(&mut self, now: Timestamp) {
        let today = Day::of(now).0;
        let forsaken = |reserved: &&Reservation| reserved.day.0.saturating_add(RESERVED_DAYS) < today;
        let forsaken: Vec<_> = self.reserved.values().filter(forsaken).copied().collect();
        for reserved in forsaken {
            self.settle(reserved.turn, reserved.amount);
        }
        self.spent.retain(|purpose, _| match purpose {
            Purpose::Tenant(day) | Purpose::Contact(_, day) => day.0 >= today.saturating_sub(SUMS_KEPT_DAYS),
            Purpose::Conversation(_) => true,
        });
    }

    pub(super) fn records(&self) -> usize {
        self.spent.len() + self.reserved.len()
    }
}
