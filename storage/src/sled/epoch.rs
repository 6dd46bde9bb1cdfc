//! Turning a tenant's key epoch: what makes an erasure final.
//!
//! A record that was deleted leaves its bytes in the database's file, wrapped keys among them. So the tenant
//! gets a new key, which wraps every key that lives and seals every record of the tenant's own; then the former
//! one is destroyed, and what was wrapped by it alone is gone wherever its bytes are. The walk also removes what
//! erased contacts left in the log.
//!
//! How far the walk is, is a record, written with each of its steps: what interrupts it, it goes on there.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use iassistance_domain::event::EventKind;
use iassistance_domain::id::{ContactId, TenantId};
use iassistance_domain::privacy::Place as Where;
use iassistance_vault::{Place, epoch_of, subject_of, wrapped_epoch};

use super::disk::Step;
use super::erasing::{Counts, Gone, is_of_erased};
use super::hooks::indexes;
use super::keys::{self, DELIVERY, EPOCH, EVENT, PROVIDER, SET_ASIDE, SUBJECT_KEY, id_in};
use super::line::Urgency;
use super::open::failed;
use super::quarantine::{hex, unframe, unhex};
use super::space::{Page, Read, Result, Space, vault_error};
use super::tx::{Owner, Tx};
use super::{Core, SledStore, blocking};
use crate::keeping::Turned;

/// Records that are looked at for one write.
const STEP_ROWS: usize = 512;

/// How far the turn of an epoch is.
#[derive(Default, Serialize, Deserialize, iassistance_domain::Mapped)]
#[data(purpose = "operate", basis = "obligation", keep = "upkeep")]
pub(super) struct Turning {
    /// To this epoch.
    #[data(technical)]
    to: u32,
    /// All records up to this key are of it; from the beginning, if of none.
    #[data(technical)]
    after: Option<String>,
}

/// What a step of the walk does to a row.
enum Change {
    /// It is as it was, sealed or wrapped anew.
    Anew(Vec<u8>),
    /// It is of somebody who was erased.
    Gone(Gone),
}

impl Space {
    /// Of the next rows those that change, each with what it was; and the last row, if there are more. Blocking.
    #[expect(clippy::type_complexity, reason = "it is taken apart where it is made")]
    fn to_turn(
        &self,
        after: Option<&[u8]>,
        to: u32,
    ) -> Result<(Vec<(::sled::IVec, ::sled::IVec, Change)>, Option<Vec<u8>>)> {
        let page = after.map_or(Page::First, Page::After);
        let rows = self.rows(&[], page, STEP_ROWS)?;
        let end = (rows.len() == STEP_ROWS).then(|| rows.last().map(|(key, _)| key.to_vec())).flatten();
        let mut changes = Vec::new();
        for (key, sealed) in rows {
            if let Some(change) = self.turned(&key, &sealed, to)? {
                changes.push((key, sealed, change));
            }
        }
        Ok((changes, end))
    }

    fn turned(&self, key: &[u8], sealed: &[u8], to: u32) -> Result<Option<Change>> {
        let vault = &self.vault;
        match key.first() {
            Some(&code) if code == SUBJECT_KEY.code => {
                let Some(contact) = id_in(key, 1).map(ContactId::from_bytes) else { return Ok(None) };
                if wrapped_epoch(sealed) == Some(to) {
                    return Ok(None);
                }
                // One that does not unwrap is damaged: that is told where it is looked for.
                Ok(vault.rewrap_subject_key(contact, sealed).ok().map(Change::Anew))
            }
            Some(&code) if code == SET_ASIDE.code => self.turned_aside(key, sealed, to),
            Some(&code) if is_of_erased(self, sealed)? => {
                let place = if code == EVENT.code { Where::Events } else { Where::Messages };
                Ok(Some(Change::Gone(Gone::row(place, key))))
            }
            Some(&code) if self.is_forsaken(code, key, sealed)? => {
                let place = match code {
                    code if code == DELIVERY.code => Where::Webhooks,
                    code if code == EVENT.code => Where::Events,
                    _ => Where::Messages,
                };
                let mut gone = Gone::row(place, key);
                if place == Where::Webhooks
                    && let Ok(delivery) = self.try_open(DELIVERY, key, sealed)
                {
                    gone.beside.extend(indexes(&delivery).map(|index| index.bytes().to_vec()));
                }
                if code == PROVIDER.code {
                    gone.mark = id_in(key, 1);
                }
                Ok(Some(Change::Gone(gone)))
            }
            _ if subject_of(sealed).is_some() || epoch_of(sealed) == Some(to) => Ok(None),
            _ => {
                let place = Place { tree: &self.name, key, schema: 0 };
                Ok(vault.reseal(place, sealed).ok().flatten().map(Change::Anew))
            }
        }
    }

    /// What no contact's key sealed, and is of a conversation that is gone: events on their way, what the log says
    /// about the conversation's records, and what led to messages that did not open when they went.
    fn is_forsaken(&self, code: u8, key: &[u8], sealed: &[u8]) -> Result<bool> {
        let conversation = match code {
            code if code == DELIVERY.code => {
                self.try_open(DELIVERY, key, sealed).ok().and_then(|delivery| delivery.conversation)
            }
            code if code == EVENT.code && subject_of(sealed).is_none() => {
                let event = self.try_open(EVENT, key, sealed).ok();
                // That somebody was erased stays.
                let event = event.filter(|event| !matches!(event.kind, EventKind::ContactErased { .. }));
                event.and_then(|event| event.conversation)
            }
            code if code == PROVIDER.code => {
                self.try_open(PROVIDER, key, sealed).ok().map(|known| known.conversation)
            }
            _ => None,
        };
        let Some(id) = conversation else { return Ok(false) };
        Ok(!self.has(&keys::conversation(id))?
            && self.sealed(&keys::aside(keys::conversation(id).bytes()))?.is_none())
    }

    /// What is set aside is sealed for the place where it was.
    fn turned_aside(&self, key: &[u8], framed: &[u8], to: u32) -> Result<Option<Change>> {
        let (Some(own), Some((_, sealed))) = (key.get(1..), unframe(framed)) else { return Ok(None) };
        if is_of_erased(self, sealed)? {
            return Ok(Some(Change::Gone(Gone::row(Where::Quarantine, key))));
        }
        let frame = &framed[..framed.len() - sealed.len()];
        let anew = if own.first() == Some(&SUBJECT_KEY.code) {
            let contact = id_in(own, 1).map(ContactId::from_bytes);
            contact.and_then(|contact| self.vault.rewrap_subject_key(contact, sealed).ok())
        } else if subject_of(sealed).is_some() || epoch_of(sealed) == Some(to) {
            None
        } else {
            self.vault.reseal(Place { tree: &self.name, key: own, schema: 0 }, sealed).ok().flatten()
        };
        Ok(anew.map(|anew| Change::Anew([frame, &anew].concat())))
    }
}

impl Core {
    /// Turns the epoch of a tenant's keys, and destroys the former ones. `before_retiring` is asked just before
    /// that: what still needs the former keys is made then.
    pub(super) async fn turn_epoch(
        &self,
        space: &Arc<Space>,
        tenant: TenantId,
        before_retiring: &(dyn Fn() -> Result<()> + Sync),
    ) -> Result<Turned> {
        let mut turning: Turning = match space.get_readable(&EPOCH.key())? {
            Some(turning) => turning,
            None => self.begin_turning(space, tenant).await?,
        };
        let mut turned = Turned { epoch: turning.to, ..Turned::default() };
        loop {
            let (reader, from, to) = (Arc::clone(space), turning.after.clone(), turning.to);
            let read = move || reader.to_turn(from.as_deref().and_then(unhex).as_deref(), to);
            let (changes, end) = blocking(read).await?;
            turning.after = end.as_deref().map(hex);
            let (after, now) = (turning.after.clone(), self.clock.now());
            let write = move |tx: &mut Tx<'_>| {
                let step = tx.turn(changes, now)?;
                tx.put(&EPOCH.key(), Owner::Tenant, &Turning { to, after })?;
                Ok(step)
            };
            turned.add(&self.writer.write_as(Urgency::Patient, space, write).await?);
            if turning.after.is_none() {
                break;
            }
        }
        self.turn_channels(space, tenant).await?;
        before_retiring()?;
        let (keyring, disk, to) = (Arc::clone(&self.keyring), Arc::clone(&self.home.disk), turning.to);
        let retire = move || {
            let mut retired = Ok(());
            let done = disk.run(Step::Keyring, &mut || {
                retired = keyring.retire_epochs_before(tenant, to).map_err(vault_error);
                Ok(())
            });
            done.map_err(failed("destroying a tenant's former keys")).and(retired)
        };
        blocking(retire).await?;
        space.contact_keys.forget_shredded(space.id);
        self.writer.write(space, |tx: &mut Tx<'_>| tx.remove(&EPOCH.key())).await?;
        Ok(turned)
    }

    async fn begin_turning(&self, space: &Arc<Space>, tenant: TenantId) -> Result<Turning> {
        let (keyring, disk) = (Arc::clone(&self.keyring), Arc::clone(&self.home.disk));
        let rotate = move || {
            let mut made = Ok(0);
            let kept = disk.run(Step::Keyring, &mut || {
                made = keyring.rotate_tenant_epoch(tenant).map_err(vault_error);
                Ok(())
            });
            kept.map_err(failed("keeping a tenant's new key")).and(made)
        };
        let to = blocking(rotate).await?;
        // When this is durable, so is everything that was sealed with the former key before.
        let begin = move |tx: &mut Tx<'_>| tx.put(&EPOCH.key(), Owner::Tenant, &Turning { to, after: None });
        self.writer.write(space, begin).await?;
        Ok(Turning { to, after: None })
    }

    /// The tenant's channels are with the platform, sealed with the tenant's keys.
    async fn turn_channels(&self, space: &Arc<Space>, tenant: TenantId) -> Result<()> {
        let vault = space.vault.clone();
        let turn = move |tx: &mut Tx<'_>| {
            for (key, sealed) in tx.rows(keys::channels(tenant).bytes(), usize::MAX)? {
                let place = Place { tree: &tx.space.name, key: &key, schema: 0 };
                if let Some(anew) = vault.reseal(place, &sealed).ok().flatten() {
                    tx.overlay.insert(key, Some(anew.into()));
                }
            }
            Ok(())
        };
        self.writer.write(&self.platform, turn).await
    }
}

impl Tx<'_> {
    /// Makes the changes to those rows that are still as they were; the others were written since, with the
    /// new key.
    fn turn(
        &mut self,
        changes: Vec<(::sled::IVec, ::sled::IVec, Change)>,
        now: iassistance_domain::Timestamp,
    ) -> Result<Turned> {
        let (mut turned, mut counts) = (Turned::default(), Counts::new());
        for (key, was, change) in changes {
            if self.sealed(&key)?.as_ref() != Some(&was) {
                continue;
            }
            match change {
                Change::Anew(anew) => {
                    if key.first() == Some(&SUBJECT_KEY.code) {
                        turned.rewrapped += 1;
                    } else {
                        turned.resealed += 1;
                    }
                    self.overlay.insert(key, Some(anew.into()));
                }
                Change::Gone(gone) => self.remove_all(&[gone], now, &mut counts)?,
            }
        }
        turned.removed = counts.values().sum();
        Ok(turned)
    }
}

impl SledStore {
    /// How many keys of each epoch a tenant has: for tests of what a turn leaves.
    pub fn epochs(&self, tenant: TenantId) -> Result<Vec<u32>> {
        self.0.keyring.tenant(tenant).map(|vault| vault.epochs()).map_err(vault_error)
    }
}
