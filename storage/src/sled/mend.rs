//! Making good what an examination found: in the write in which it was looked at again.

use iassistance_domain::Timestamp;

use super::keys::{
    self, DEDUP, Key, MARKS, PARKED_SINCE, PROVIDER, TOMBSTONE, TOMBSTONE_SINCE, aside, id_in,
};
use super::quarantine::Around;
use super::space::{Read, Result};
use super::tx::{Owner, Tx};
use super::verify::Mend;
use crate::findings::Outcome;

impl Tx<'_> {
    /// Mends a record, or what stands for it elsewhere.
    pub(super) fn mend(&mut self, around: &Around, key: &[u8], mend: Mend) -> Result<Outcome> {
        match mend {
            Mend::Nothing => return Ok(Outcome::Left),
            Mend::SetAside => {
                if let Some(sealed) = self.sealed(key)? {
                    self.set_aside(around, key, &sealed)?;
                }
                return Ok(Outcome::SetAside);
            }
            Mend::Renew => self.renew(key, around.now)?,
            Mend::Drop(row) => self.remove_row(&row).map(drop)?,
            Mend::Unpark => self.unpark(key)?,
            Mend::ForgetPassages(document) => self.forget_passages(document).map(drop)?,
            Mend::Mark(row) => self.mark(&row)?,
            Mend::Since(hash) => {
                self.put(&TOMBSTONE_SINCE.key().moment(around.now).id(hash), Owner::Tenant, &())?;
            }
            Mend::Home(message, home) => self.put_index(&keys::home(message), &home)?,
            Mend::Known(hash, known) => self.put_index(&PROVIDER.key().id(hash), &known)?,
            Mend::Addressee(key, addressee) => self.put_index(&key, &addressee)?,
            Mend::ChannelOwner(key, owner) => self.put_index(&key, &owner)?,
            Mend::Account(key, account) => self.put_index(&key, &account)?,
            Mend::Session(key, home) => self.put_index(&key, &home)?,
            Mend::Invitation(key, invitation) => self.put_index(&key, &invitation)?,
        }
        Ok(Outcome::Mended)
    }

    /// An index that is made anew is in the place of the one that was set aside.
    fn put_index<T: serde::Serialize>(&mut self, key: &Key<T>, record: &T) -> Result<()> {
        self.remove_row(&aside(key.bytes()))?;
        self.put(key, Owner::Tenant, record)
    }

    /// What counts by being there, or since when it is.
    fn renew(&mut self, key: &[u8], now: Timestamp) -> Result<()> {
        match (key.first(), id_in(key, 1)) {
            (Some(&code), Some(hash)) if code == DEDUP.code => {
                self.put(&DEDUP.key().id(hash), Owner::Tenant, &now)
            }
            (Some(&code), Some(hash)) if code == TOMBSTONE.code => {
                self.put(&TOMBSTONE.key().id(hash), Owner::Tenant, &now)
            }
            _ => self.mark(key),
        }
    }

    fn mark(&mut self, row: &[u8]) -> Result<()> {
        let Some(key) = MARKS.into_iter().find_map(|kind| kind.at(row)) else { return Ok(()) };
        if key.kind.code == PARKED_SINCE.code && self.sealed(row)?.is_none() {
            self.counters.parked += 1;
        }
        self.put(&key, Owner::Tenant, &())
    }
}
