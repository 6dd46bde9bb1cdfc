//! What is on the record, and what leaves for others.
//!
//! Nothing of the audit log is made anew: what does not agree there is evidence, and stays as it is.

use iassistance_domain::id::{DeliveryId, SubscriptionId};

use super::super::audit::entry_key;
use super::super::hooks;
use super::super::keys::{
    self, AUDIT, AUDIT_ENTRY, AUDIT_HEAD, BREAK_GLASS, CERTIFICATE, CHECKPOINT, DELIVERY, DELIVERY_DUE,
    DELIVERY_STATE, ERASURE, HOLD, SUBSCRIPTION, SUBSCRIPTION_CURSOR, id_in, number_in,
};
use super::super::space::{Read, Result};
use super::{Found, Look, Mend};
use crate::findings::Problem;
use crate::trail::link;

impl<R: Read> Look<'_, R> {
    pub(super) fn of_record(&mut self, code: u8) -> Result<()> {
        match code {
            _ if code == AUDIT_HEAD.code => self.audit_head(),
            _ if code == CHECKPOINT.code => self.checkpoint(),
            _ if code == BREAK_GLASS.code => {
                let found = self.open(BREAK_GLASS)?;
                self.must_be_at(found.map(|grant| grant.id.to_bytes()), 1);
                Ok(())
            }
            _ if code == SUBSCRIPTION.code => {
                let Some(subscription) = self.open(SUBSCRIPTION)? else { return Ok(()) };
                self.must_be_at(Some(subscription.id.to_bytes()), 1);
                self.must_have(keys::subscription_cursor(subscription.id).bytes(), "place in the log")
            }
            _ if code == SUBSCRIPTION_CURSOR.code => {
                self.by_itself()?;
                self.of_subscription()
            }
            _ if code == DELIVERY.code => self.delivery(),
            _ if code == DELIVERY_DUE.code => self.delivery_index(9, 25),
            _ if code == DELIVERY_STATE.code => self.delivery_index(1, 25),
            _ if code == ERASURE.code => {
                let found = self.open(ERASURE)?;
                self.must_be_at(found.map(|erasure| erasure.id.to_bytes()), 1);
                Ok(())
            }
            _ if code == HOLD.code => {
                let found = self.open(HOLD)?;
                self.must_be_at(found.map(|hold| hold.id.to_bytes()), 1);
                Ok(())
            }
            _ if code == CERTIFICATE.code => {
                let found = self.open(CERTIFICATE)?;
                self.must_be_at(found.map(|certificate| certificate.tenant.to_bytes()), 1);
                Ok(())
            }
            _ => self.by_itself(),
        }
    }

    pub(super) fn audit(&mut self) -> Result<()> {
        let Some(sealed) = self.open(AUDIT)? else { return Ok(()) };
        if number_in(self.key, 1) != Some(sealed.seq) {
            self.tell(Problem::Misplaced, Mend::Nothing);
        }
        if self.reader.try_open(AUDIT_ENTRY, entry_key(sealed.seq).bytes(), &sealed.sealed).is_err() {
            self.tell(Problem::DoesNotOpen, Mend::SetAside);
        }
        let chain = self.reader.space().id;
        if link(chain, sealed.seq, &sealed.previous, &sealed.sealed) != sealed.hash {
            self.disagrees("own hash", Mend::Nothing);
        }
        let before = match sealed.seq.checked_sub(1).filter(|before| *before > 0) {
            Some(before) => self.find(&keys::audit(before))?,
            None => return Ok(()),
        };
        match before {
            Found::Whole(before) if before.hash == sealed.previous => {}
            // That is told where it is.
            Found::Unreadable | Found::Newer | Found::Aside => {}
            Found::Whole(_) | Found::Absent => self.disagrees("predecessor in the audit log", Mend::Nothing),
        }
        Ok(())
    }

    fn audit_head(&mut self) -> Result<()> {
        let Some(head) = self.open(AUDIT_HEAD)? else { return Ok(()) };
        match self.find(&keys::audit(head.seq))? {
            Found::Whole(last) if last.hash == head.hash => {}
            Found::Unreadable | Found::Newer | Found::Aside => {}
            Found::Whole(_) | Found::Absent => self.disagrees("last entry of the audit log", Mend::Nothing),
        }
        Ok(())
    }

    fn checkpoint(&mut self) -> Result<()> {
        let Some(checkpoint) = self.open(CHECKPOINT)? else { return Ok(()) };
        match self.find(&keys::audit(checkpoint.seq))? {
            Found::Whole(entry) if entry.hash == checkpoint.hash => {}
            Found::Unreadable | Found::Newer | Found::Aside => {}
            Found::Whole(_) | Found::Absent => self.disagrees("entry of the audit log", Mend::Nothing),
        }
        Ok(())
    }

    /// What a subscription that is gone left counts for nothing.
    fn of_subscription(&mut self) -> Result<()> {
        let Some(id) = id_in(self.key, 1).map(SubscriptionId::from_bytes) else { return Ok(()) };
        if !self.is_there(keys::subscription(id).bytes())? {
            self.tell(Problem::Leftover, Mend::Drop(self.key.to_vec()));
        }
        Ok(())
    }

    fn delivery(&mut self) -> Result<()> {
        let Some(delivery) = self.open(DELIVERY)? else { return Ok(()) };
        self.must_be_at(Some(delivery.subscription.to_bytes()), 1);
        self.must_be_at(Some(delivery.id.to_bytes()), 17);
        for index in hooks::indexes(&delivery) {
            self.must_be_marked(&index, "place among deliveries")?;
        }
        self.of_subscription()
    }

    /// A row by which a delivery is found; where in its key the subscription and the delivery stand.
    fn delivery_index(&mut self, subscription: usize, delivery: usize) -> Result<()> {
        self.by_itself()?;
        let (subscription, delivery) = (id_in(self.key, subscription), id_in(self.key, delivery));
        let (Some(subscription), Some(delivery)) = (subscription, delivery) else { return Ok(()) };
        let key = keys::delivery(SubscriptionId::from_bytes(subscription), DeliveryId::from_bytes(delivery));
        let found = match self.find(&key)? {
            Found::Whole(delivery) => hooks::indexes(&delivery).any(|index| index.bytes() == self.key),
            Found::Absent => false,
            Found::Unreadable | Found::Newer | Found::Aside => true,
        };
        if !found {
            self.disagrees("delivery", Mend::Drop(self.key.to_vec()));
        }
        Ok(())
    }
}
