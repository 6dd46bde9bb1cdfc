//! Records of older schemas: read as they are now, and written so for good by a walk in the background.
//!
//! The walk goes through a tree once for each table of kinds: where it is, and for which table, is a
//! record in the tree itself, written with the records that it stands behind. So it may be interrupted
//! anywhere, and a start after it has ended reads nothing.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use iassistance_domain::id::TenantId;
use iassistance_vault::{KeyRef, Keyring, Opened, Place, peek_schema, subject_of};

use super::keys::{AnyKind, TENANT, UPGRADING, Upgrade, id_in};
use super::line::Urgency;
use super::quarantine::{hex, unhex};
use super::space::{Page, Read, Result, Space, Unopened, unseal, vault_error};
use super::tx::{Owner, Tx};
use super::verify::vault_of;
use super::{Core, blocking};
use crate::error::StorageError;

/// Records that are looked at for one write.
const STEP_ROWS: usize = 256;

/// How far a tree is.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Upgrading {
    /// For which schemas: of each kind that has older ones, its code and the present one.
    to: Vec<(u8, u16)>,
    /// All records up to this key are of those; nothing when all are.
    after: Option<String>,
}

/// The present JSON of a record of an older schema.
pub(super) fn present(
    schema: u16,
    upgrade: Option<Upgrade>,
    opened: &Opened,
) -> std::result::Result<Value, Unopened> {
    if opened.schema > schema {
        return Err(Unopened::Newer(opened.schema));
    }
    let record = serde_json::from_slice(&opened.plaintext).map_err(|_| Unopened::Unreadable)?;
    upgrade.and_then(|upgrade| upgrade(opened.schema, record)).ok_or(Unopened::Unreadable)
}

impl Core {
    /// Brings all records to the present schemas; how many were not.
    pub(super) async fn upgrade_records(self: &Arc<Self>, kinds: &'static [AnyKind]) -> Result<u64> {
        self.writer.health()?;
        if kinds.iter().all(|kind| kind.upgrade.is_none()) {
            return Ok(0);
        }
        let mut upgraded = self.upgrade_space(&self.platform, kinds).await?;
        let platform = Arc::clone(&self.platform);
        let rows = blocking(move || platform.rows(TENANT.key().bytes(), Page::First, usize::MAX)).await?;
        for tenant in rows.iter().filter_map(|(key, _)| id_in(key, 1)).map(TenantId::from_bytes) {
            match self.space(tenant).await {
                Ok(space) => upgraded += self.upgrade_space(&space, kinds).await?,
                Err(StorageError::NoSuchTenant(_) | StorageError::Damaged { .. }) => {
                    tracing::warn!(%tenant, "a tenant's records could not be upgraded: nothing of it opens");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(upgraded)
    }

    async fn upgrade_space(&self, space: &Arc<Space>, kinds: &'static [AnyKind]) -> Result<u64> {
        let to: Vec<_> =
            kinds.iter().filter(|kind| kind.upgrade.is_some()).map(|kind| (kind.code, kind.schema)).collect();
        let known: Option<Upgrading> = space.get_readable(&UPGRADING.key())?;
        let mut after = match known {
            Some(known) if known.to == to => match known.after {
                Some(after) => unhex(&after),
                None => return Ok(0),
            },
            _ => None,
        };
        let mut upgraded = 0;
        loop {
            let (reader, from) = (Arc::clone(space), after.clone());
            let (old, end) = blocking(move || reader.old_records(from.as_deref(), kinds)).await?;
            let place = Upgrading { to: to.clone(), after: end.as_deref().map(hex) };
            let keyring = Arc::clone(&self.keyring);
            let write = move |tx: &mut Tx<'_>| {
                let mut count = 0;
                for key in &old {
                    count += u64::from(tx.upgrade(&keyring, key, kinds)?);
                }
                tx.put(&UPGRADING.key(), Owner::Tenant, &place)?;
                Ok(count)
            };
            upgraded += self.writer.write_as(Urgency::Patient, space, write).await?;
            after = end;
            if after.is_none() {
                return Ok(upgraded);
            }
        }
    }
}

impl Space {
    /// Of the next rows those of an older schema that can be read; and the last row, if there are more.
    #[expect(clippy::type_complexity, reason = "it is taken apart where it is made")]
    fn old_records(
        &self,
        after: Option<&[u8]>,
        kinds: &[AnyKind],
    ) -> Result<(Vec<Vec<u8>>, Option<Vec<u8>>)> {
        let rows = self.rows(&[], after.map_or(Page::First, Page::After), STEP_ROWS)?;
        let last = rows.last().filter(|_| rows.len() == STEP_ROWS).map(|(key, _)| key.to_vec());
        let is_old = |key: &[u8], sealed: &[u8]| older(kinds, key, sealed).is_some();
        let old = rows.iter().filter(|(key, sealed)| is_old(key, sealed)).map(|(key, _)| key.to_vec());
        Ok((old.collect(), last))
    }
}

/// The kind of a record that says that it is of an older schema.
fn older<'a>(kinds: &'a [AnyKind], key: &[u8], sealed: &[u8]) -> Option<&'a AnyKind> {
    let kind = kinds.iter().find(|kind| key.first() == Some(&kind.code))?;
    (kind.upgrade.is_some() && peek_schema(sealed)? < kind.schema).then_some(kind)
}

impl Tx<'_> {
    /// Writes a record in its present schema, with the key that seals it now. One that does not open is
    /// left, for the doctor.
    fn upgrade(&mut self, keyring: &Keyring, key: &[u8], kinds: &[AnyKind]) -> Result<bool> {
        let Some(sealed) = self.sealed(key)? else { return Ok(false) };
        let Some(kind) = older(kinds, key, &sealed) else { return Ok(false) };
        let subject = subject_of(&sealed).map(|contact| self.subject_key(contact)).transpose();
        let Ok(subject) = subject else { return Ok(false) };
        let key_ref = subject.as_deref().map_or(KeyRef::Tenant, KeyRef::Subject);
        let vault = vault_of(self.space, keyring, key)?;
        let place = Place { tree: &self.space.name, key, schema: kind.schema };
        let record = unseal(&vault, place, key_ref, &sealed)
            .and_then(|opened| present(kind.schema, kind.upgrade, &opened));
        let Some(record) = record.ok().and_then(|record| serde_json::to_vec(&record).ok()) else {
            return Ok(false);
        };
        if !(kind.holds)(&record) {
            tracing::error!(kind = kind.name, "a record of an older schema makes none of the present one");
            return Ok(false);
        }
        let sealed = vault.seal(place, key_ref, &record).map_err(vault_error)?;
        self.overlay.insert(key.into(), Some(sealed.into()));
        Ok(true)
    }
}
