//! What is spent: three sums, on the tenant's day, on the contact's, in the conversation. Money that is
//! set aside is in them already, so that a crash spends it and nothing need be found out afterwards.

use iassistance_domain::Timestamp;
use iassistance_domain::budget::{Budgets, Cost, Day, Reservation};
use iassistance_domain::id::{ContactId, ConversationId, TurnId};

use super::keys::{self, Key, RESERVATION, SPENT_CONTACT, SPENT_DAY, number_in};
use super::space::{Page, Read, Result, Space};
use super::tx::{Owner, Tx};
use crate::limits::{RESERVED_DAYS, SUMS_KEPT_DAYS};
use crate::rules::{grant, kept_limits};

impl Tx<'_> {
    pub(super) fn reserve(
        &mut self,
        reservation: Reservation,
        least: Cost,
        budgets: &Budgets,
    ) -> Result<Option<Cost>> {
        let key = keys::reservation(reservation.turn);
        // What the turn has set aside already stays in the sums: it is spent.
        self.remove(&key)?;
        let sums = sums(reservation.conversation, reservation.contact, reservation.day);
        let mut spent = [Cost::default(); 3];
        for (spent, sum) in spent.iter_mut().zip(&sums) {
            *spent = self.get(sum)?.unwrap_or_default();
        }
        let [tenant, contact, conversation] = kept_limits(budgets);
        let limits = [(tenant, spent[0]), (contact, spent[1]), (conversation, spent[2])];
        let Some(amount) = grant(reservation.amount, least, limits) else { return Ok(None) };
        for (spent, sum) in spent.iter().zip(&sums) {
            self.put(sum, Owner::Tenant, &spent.plus(amount))?;
        }
        self.put(&key, Owner::Tenant, &Reservation { amount, ..reservation })?;
        Ok(Some(amount))
    }

    pub(super) fn settle_reservation(&mut self, turn: TurnId, spent: Cost) -> Result<()> {
        let key = keys::reservation(turn);
        let Some(reserved) = self.get(&key)? else { return Ok(()) };
        self.remove(&key)?;
        if reserved.amount == spent {
            return Ok(());
        }
        for sum in sums(reserved.conversation, reserved.contact, reserved.day) {
            let held = self.get(&sum)?.unwrap_or_default();
            self.put(&sum, Owner::Tenant, &held.minus(reserved.amount).plus(spent))?;
        }
        Ok(())
    }

    pub(super) fn spend(
        &mut self,
        conversation: ConversationId,
        contact: ContactId,
        day: Day,
        amount: Cost,
    ) -> Result<()> {
        for sum in sums(conversation, contact, day) {
            let spent = self.get(&sum)?.unwrap_or_default();
            self.put(&sum, Owner::Tenant, &spent.plus(amount))?;
        }
        Ok(())
    }

    /// Removes at most `limit` old sums of each kind; says whether there may be more.
    pub(super) fn forget_sums(&mut self, now: Timestamp, limit: usize) -> Result<bool> {
        let oldest = Day::of(now).0.saturating_sub(SUMS_KEPT_DAYS);
        let mut more = false;
        for prefix in [SPENT_DAY.key(), SPENT_CONTACT.key()] {
            let mut rows = self.rows(prefix.bytes(), limit)?;
            rows.retain(|(key, _)| number_in(key, 1).is_none_or(|day| day < oldest));
            for (key, _) in &rows {
                self.remove_row(key)?;
            }
            more |= rows.len() == limit;
        }
        Ok(more)
    }

    /// Removes these reservations, whose money is spent.
    pub(super) fn forget_reservations(&mut self, turns: &[TurnId], now: Timestamp) -> Result<()> {
        for turn in turns {
            let key = keys::reservation(*turn);
            // It may have been made anew since it was looked for.
            if self.get_readable(&key)?.is_some_and(|reserved| is_forsaken(&reserved, now)) {
                self.remove(&key)?;
            }
        }
        Ok(())
    }
}

impl Space {
    /// The reservations that nobody will settle any more. There are few, each of a running turn or of a
    /// crash. Blocking.
    pub(super) fn forsaken_reservations(&self, now: Timestamp) -> Result<Vec<TurnId>> {
        let mut reserved = self.list(&RESERVATION.key(), Page::First, usize::MAX)?;
        reserved.retain(|(_, reserved)| is_forsaken(reserved, now));
        Ok(reserved.into_iter().map(|(_, reserved)| reserved.turn).collect())
    }
}

fn is_forsaken(reserved: &Reservation, now: Timestamp) -> bool {
    reserved.day.0.saturating_add(RESERVED_DAYS) < Day::of(now).0
}

/// The tenant's day, the contact's, the conversation.
fn sums(conversation: ConversationId, contact: ContactId, day: Day) -> [Key<Cost>; 3] {
    [keys::spent(day), keys::spent_on(contact, day), keys::spent_in(conversation)]
}
