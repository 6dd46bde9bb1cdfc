//! Records of older schemas: read as they are now, and written so for good by a walk in the background.
//!
//! The walk goes through a tree once for each table of kinds: where it is, and for which table, is a
//! record in the tree itself, written with the records that it stands behind. So it may be interrupted
//! anywhere, and a start after it has ended reads nothing.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use iassistance_domain::Mapped;
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
#[derive(Default, Serialize, Deserialize, Mapped)]
#[data(purpose = "operate", basis = "interest", keep = "upkeep")]
pub(super) struct Upgrading {
    /// For which schemas: of each kind that has older ones, its code and the present one.
    #[data(operational)]
    to: Vec<(u8, u16)>,
    /// All records up to this key are of those; nothing when all are.
    #[data(operational)]
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

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use iassistance_domain::golden::{GoldenQuestion, Traits};
    use iassistance_domain::id::GoldenId;
    use iassistance_domain::tenant::Tenant;
    use iassistance_domain::{ManualClock, SeededEntropy, Timestamp};
    use iassistance_vault::{Keyring, RootKey, SystemEntropy};
    use serde_json::json;

    use super::super::keys::{self, GOLDEN};
    use super::super::{SledOptions, SledStore};
    use super::*;
    use crate::{Limits, Store};

    /// More than two steps of the walk.
    const QUESTIONS: u8 = 250;
    const TENANTS: u8 = 3;

    /// Schema 3 says again what is asked; schema 2 was never released.
    fn in_schema_3(schema: u16, mut record: Value) -> Option<Value> {
        let asked = record.get("question")?.as_str()?.to_owned();
        record["question"] = json!(format!("{asked} {asked}"));
        (schema == 1).then_some(record)
    }

    static LATER: [AnyKind; 1] = [AnyKind::of(GOLDEN.later(3, in_schema_3))];

    struct Home {
        folder: tempfile::TempDir,
        keyring: Arc<Keyring>,
    }

    impl Home {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let root = RootKey::from_text(&"0123456789abcdef".repeat(4)).unwrap();
            let file = folder.path().join("keyring");
            let keyring = Arc::new(Keyring::open(&file, &root, false, Arc::new(SystemEntropy)).unwrap());
            Self { folder, keyring }
        }

        fn open(&self) -> SledStore {
            let options = SledOptions::new(self.folder.path().join("store"), Limits::default());
            let clock = Arc::new(ManualClock::at(Timestamp::EPOCH));
            SledStore::open(options, Arc::clone(&self.keyring), clock, Arc::new(SeededEntropy::new(3)))
                .unwrap()
        }
    }

    fn id(number: u8) -> TenantId {
        TenantId::from_bytes([number; 16])
    }

    async fn filled(store: &SledStore) {
        for number in 1..=TENANTS {
            let tenant = Tenant::new(id(number), "t".to_owned(), Timestamp::EPOCH);
            store.create_tenant(tenant).await.unwrap();
            let space = store.0.space(id(number)).await.unwrap();
            let put = |tx: &mut Tx<'_>| {
                for question in 0..QUESTIONS {
                    let id = GoldenId::from_bytes([question; 16]);
                    let question =
                        GoldenQuestion { id, question: "When?".to_owned(), expect: Traits::default() };
                    tx.put(&keys::golden(id), Owner::Tenant, &question)?;
                }
                Ok(())
            };
            store.0.writer.write(&space, put).await.unwrap();
        }
    }

    /// How many questions of a tenant are of each schema, and that all read as the later one.
    async fn schemas(store: &SledStore, number: u8) -> (usize, usize) {
        let space = store.0.space(id(number)).await.unwrap();
        let rows = space.rows(GOLDEN.key().bytes(), Page::First, usize::MAX).unwrap();
        for (key, sealed) in &rows {
            let read = space.try_open(GOLDEN.later(3, in_schema_3), key, sealed).unwrap();
            assert_eq!(read.question, "When? When?");
        }
        let of = |schema: u16| rows.iter().filter(|(_, sealed)| peek_schema(sealed) == Some(schema)).count();
        (of(1), of(3))
    }

    #[tokio::test]
    async fn older_records_are_read_and_written_anew_once_wherever_it_is_interrupted() {
        let home = Home::new();
        let mut store = home.open();
        filled(&store).await;
        assert_eq!(schemas(&store, 1).await, (QUESTIONS.into(), 0), "they can be read before that");
        let mut starts = 0;
        loop {
            starts += 1;
            {
                let mut upgrading = pin!(store.0.upgrade_records(&LATER));
                // Interrupted after some of its steps: a few more each time.
                let mut polls = 0;
                let ended = std::future::poll_fn(|context| {
                    polls += 1;
                    match upgrading.as_mut().poll(context) {
                        Poll::Pending if polls > starts => Poll::Ready(None),
                        other => other.map(Some),
                    }
                })
                .await;
                if let Some(upgraded) = ended {
                    upgraded.unwrap();
                    break;
                }
            }
            store.close().await;
            drop(store);
            store = home.open();
        }
        assert!(starts > 2, "{starts}");
        for number in 1..=TENANTS {
            assert_eq!(schemas(&store, number).await, (0, QUESTIONS.into()));
        }
        // Where nothing is left to do, nothing is read: its first look already knows.
        assert_eq!(store.0.upgrade_records(&LATER).await.unwrap(), 0);
        let nothing = pin!(store.0.upgrade_records(&[])).poll(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(nothing, Poll::Ready(Ok(0))));
    }

    #[tokio::test]
    async fn a_schema_that_was_never_released_and_a_later_one_are_left_alone() {
        let home = Home::new();
        let store = home.open();
        filled(&store).await;
        let space = store.0.space(id(1)).await.unwrap();
        for (number, schema) in [(0, 2), (1, 4)] {
            let key = keys::golden(GoldenId::from_bytes([number; 16]));
            let place = Place { tree: &space.name, key: key.bytes(), schema };
            let sealed = space.vault.seal(place, KeyRef::Tenant, b"{}").unwrap();
            let put = move |tx: &mut Tx<'_>| {
                tx.put_sealed(&key, sealed);
                Ok(())
            };
            store.0.writer.write(&space, put).await.unwrap();
        }
        let upgraded = store.0.upgrade_records(&LATER).await.unwrap();
        assert_eq!(upgraded, u64::from(TENANTS) * u64::from(QUESTIONS) - 2);
        let read = |number: u8| {
            let key = keys::golden(GoldenId::from_bytes([number; 16]));
            let sealed = space.sealed(key.bytes()).unwrap().unwrap();
            space.try_open(GOLDEN.later(3, in_schema_3), key.bytes(), &sealed).err()
        };
        assert!(matches!(read(0), Some(Unopened::Unreadable)));
        assert!(matches!(read(1), Some(Unopened::Newer(4))));
    }
}
