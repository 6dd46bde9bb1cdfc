//! One tree with its keys: reading and sealing, the same for what is stored and for a write that is
//! being put together.

use std::collections::{HashMap, HashSet};
use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, TryLockError};

use ::sled::{IVec, Tree};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::watch;

use iassistance_domain::event::EventSeq;
use iassistance_domain::id::{ContactId, TenantId};
use iassistance_vault::{KeyRef, Opened, Place, SubjectKey, TenantVault, VaultError, subject_of};

use super::keys::{
    self, ASSISTANT, EVENT, HASH_BYTES, Hash, INBOX, Key, Kind, OUTBOX, PARKED_SINCE, SET_ASIDE, UNROUTED,
    number_in,
};
use super::open;
use super::quarantine::Watchman;
use super::upgrade::present;
use crate::error::StorageError;

pub(super) type Result<T> = std::result::Result<T, StorageError>;
/// A key and its sealed record.
pub(super) type Row = (IVec, IVec);

/// So many rows, of so many bytes together, are read where they are asked for.
const FEW_ROWS: usize = 16;
const FEW_BYTES: usize = 64 * 1_024;

/// Whose tree it is: a tenant's, or the platform's.
pub(super) type SpaceId = Option<TenantId>;

/// What the platform's tree is called, on the disk and in seals.
pub(super) const PLATFORM: &str = "platform";

/// How many contacts' keys each half of the cache may hold, and the halves: what was used lately is
/// in the young one; when that is full it becomes the old one, whose keys are forgotten.
pub(super) struct KeyCache {
    half_max: usize,
    halves: Mutex<[KeysInUse; 2]>,
    /// Whose keys were destroyed, until their tenant's epoch is turned: whoever read one just before does not
    /// bring it back.
    shredded: Mutex<HashSet<(SpaceId, ContactId)>>,
}

type KeysInUse = HashMap<(SpaceId, ContactId), Arc<SubjectKey>>;

impl KeyCache {
    pub(super) fn new(keys_max: usize) -> Self {
        Self { half_max: (keys_max / 2).max(1), halves: Mutex::default(), shredded: Mutex::default() }
    }

    fn get(&self, id: &(SpaceId, ContactId)) -> Option<Arc<SubjectKey>> {
        let mut halves = self.halves.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(key) = halves[0].get(id) {
            return Some(Arc::clone(key));
        }
        let key = halves[1].remove(id)?;
        self.insert(&mut halves, *id, &key);
        Some(key)
    }

    fn put(&self, id: (SpaceId, ContactId), key: &Arc<SubjectKey>) {
        let mut halves = self.halves.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.shredded.lock().unwrap_or_else(PoisonError::into_inner).contains(&id) {
            self.insert(&mut halves, id, key);
        }
    }

    /// Forgets a key that was destroyed, for good.
    pub(super) fn shred(&self, id: (SpaceId, ContactId)) {
        let mut halves = self.halves.lock().unwrap_or_else(PoisonError::into_inner);
        self.shredded.lock().unwrap_or_else(PoisonError::into_inner).insert(id);
        for half in &mut *halves {
            half.remove(&id);
        }
    }

    /// Forgets which keys of a tree were destroyed: nothing unwraps them any more.
    pub(super) fn forget_shredded(&self, space: SpaceId) {
        self.shredded.lock().unwrap_or_else(PoisonError::into_inner).retain(|(of, _)| *of != space);
    }

    fn insert(&self, halves: &mut [KeysInUse; 2], id: (SpaceId, ContactId), key: &Arc<SubjectKey>) {
        if halves[0].len() >= self.half_max {
            halves[1] = std::mem::take(&mut halves[0]);
        }
        halves[0].insert(id, Arc::clone(key));
    }
}

/// What counts up in a tree. Restored from its records when it is opened; the writer alone changes it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counters {
    /// The last number given to a letter, a parked status or an unrouted event.
    pub(super) seq: u64,
    /// Letters in all inboxes.
    pub(super) letters: u64,
    /// Statuses that are parked.
    pub(super) parked: u64,
    /// Unrouted events that are kept.
    pub(super) unrouted: u64,
    /// The last place given in an outbox.
    pub(super) order: u64,
    /// The last place in the log.
    pub(super) event: u64,
    /// The version of the assistant's settings.
    pub(super) settings: u64,
}

/// What a tree has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Applied {
    /// Groups that were applied to it since it was opened.
    groups: u64,
    /// What is counted in it.
    pub(super) counters: Counters,
}

/// Letters that nobody has read yet, of all trees that are open.
pub(super) type AllLetters = Arc<AtomicU64>;

/// One tree with the keys of its owner.
pub(super) struct Space {
    pub(super) id: SpaceId,
    /// What a seal calls the tree.
    pub(super) name: String,
    /// Nothing once the store is closed.
    tree: RwLock<Option<Tree>>,
    pub(super) vault: TenantVault,
    pub(super) contact_keys: Arc<KeyCache>,
    /// Held for writing while a group is applied, so that nothing reads half of one. What is counted in
    /// the tree as it is; `counters` are ahead of it by the group in the making.
    pub(super) whole: RwLock<Applied>,
    pub(super) latest_event: watch::Sender<EventSeq>,
    /// Told of records that were altered, by their keys.
    pub(super) watchman: OnceLock<Watchman>,
    counters: Mutex<Counters>,
    all_letters: AllLetters,
}

impl Drop for Space {
    fn drop(&mut self) {
        self.count(Counters::default());
    }
}

impl Space {
    /// Opens a tree that is there, and counts what is in it. Blocking.
    pub(super) fn open(
        id: SpaceId,
        tree: Tree,
        vault: TenantVault,
        contact_keys: Arc<KeyCache>,
        all_letters: AllLetters,
    ) -> Result<Self> {
        let counters = count(&tree)?;
        all_letters.fetch_add(counters.letters, Ordering::Relaxed);
        Ok(Self {
            id,
            name: id.map_or_else(|| PLATFORM.to_owned(), |tenant| tenant.to_string()),
            tree: RwLock::new(Some(tree)),
            vault,
            contact_keys,
            whole: RwLock::new(Applied { groups: 0, counters }),
            latest_event: watch::Sender::new(EventSeq(counters.event)),
            watchman: OnceLock::new(),
            counters: Mutex::new(counters),
            all_letters,
        })
    }

    /// The tree, in the database that is in use. Where several rows are read, it is had while `whole` is
    /// held: from then on no change is applied to it or to another in its place.
    pub(super) fn tree(&self) -> Result<Tree> {
        self.tree.read().unwrap_or_else(PoisonError::into_inner).clone().ok_or(StorageError::Closed)
    }

    /// Goes over to the tree of another database, or to none.
    pub(super) fn follow(&self, tree: Option<Tree>) {
        *self.tree.write().unwrap_or_else(PoisonError::into_inner) = tree;
    }

    /// What the tree is called on the disk.
    pub(super) fn tree_name(&self) -> Vec<u8> {
        self.id.map_or_else(|| PLATFORM.as_bytes().to_vec(), |tenant| tenant.to_bytes().to_vec())
    }

    pub(super) fn counters(&self) -> MutexGuard<'_, Counters> {
        self.counters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts what is counted now in place of what was counted before, and gives that back.
    pub(super) fn count(&self, counters: Counters) -> Counters {
        let before = std::mem::replace(&mut *self.counters(), counters);
        // It wraps where there are fewer than before, and that comes to the same.
        self.all_letters.fetch_add(counters.letters.wrapping_sub(before.letters), Ordering::Relaxed);
        before
    }

    /// Applies a group: nothing reads half of it.
    pub(super) fn apply<E>(
        &self,
        group: impl FnOnce() -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        let mut whole = self.whole.write().unwrap_or_else(PoisonError::into_inner);
        group()?;
        *whole = Applied { groups: whole.groups + 1, counters: *self.counters() };
        Ok(())
    }

    /// What is held as counted, and what is counted now, of the tree as it is at one moment. Blocking.
    pub(super) fn counted(&self) -> Result<(Counters, Counters)> {
        const TRIES: usize = 3;
        let applied = || self.whole.read().unwrap_or_else(PoisonError::into_inner);
        for _ in 0..TRIES {
            let before = *applied();
            let real = count(&self.tree()?)?;
            if *applied() == before {
                return Ok((before.counters, real));
            }
        }
        // Writes come faster than it can be counted: for once they wait.
        let held = applied();
        Ok((held.counters, count(&self.tree()?)?))
    }

    /// Letters that nobody has read yet, of all tenants.
    pub(super) fn all_letters(&self) -> u64 {
        self.all_letters.load(Ordering::Relaxed)
    }

    /// A hash for keys that stands for `parts`, made with this tenant's key.
    pub(super) fn hash(&self, label: &str, parts: &[&[u8]]) -> Hash {
        let hashed = match parts {
            [one] => self.vault.hash(label, one),
            parts => self.vault.hash(label, &parts.concat()),
        };
        let mut short = [0; HASH_BYTES];
        short.copy_from_slice(&hashed[..HASH_BYTES]);
        short
    }

    /// The rows whose keys begin with `prefix`: after `after` upwards, or before `before` downwards;
    /// at most `limit`. None of them belongs to a write that is half applied. Blocking.
    pub(super) fn rows(&self, prefix: &[u8], page: Page<'_>, limit: usize) -> Result<Vec<Row>> {
        let _whole = self.whole.read().unwrap_or_else(PoisonError::into_inner);
        let tree = self.tree()?;
        guarded(|| match page {
            Page::First => tree.scan_prefix(prefix).take(limit).collect(),
            Page::Last => tree.scan_prefix(prefix).rev().take(limit).collect(),
            Page::After(key) => {
                let mut above = key.to_vec();
                above.push(0);
                within(tree.range(above..), prefix).take(limit).collect()
            }
            Page::Before(key) => within(tree.range(..key).rev(), prefix).take(limit).collect(),
        })
    }

    /// The next rows of the whole tree, at most `limit` and somewhat more than `bytes_max`; and whether they
    /// are the last. Blocking.
    pub(super) fn page(
        &self,
        after: Option<&[u8]>,
        limit: usize,
        bytes_max: usize,
    ) -> Result<(Vec<Row>, bool)> {
        let _whole = self.whole.read().unwrap_or_else(PoisonError::into_inner);
        let above = after.map(|key| [key, &[0]].concat()).unwrap_or_default();
        let tree = self.tree()?;
        guarded(|| {
            let (mut rows, mut bytes) = (Vec::new(), 0);
            for row in tree.range(above..) {
                let (key, sealed) = row?;
                bytes += sealed.len();
                rows.push((key, sealed));
                if rows.len() == limit || bytes > bytes_max {
                    return Ok((rows, false));
                }
            }
            Ok((rows, true))
        })
    }

    /// The first rows whose keys begin with `prefix`, at most `limit`, where that takes no longer than a point
    /// read does: nothing when a group is being applied just now, or when they are many or large.
    pub(super) fn few_rows(&self, prefix: &[u8], limit: usize) -> Result<Option<Vec<Row>>> {
        let _whole = match self.whole.try_read() {
            Ok(whole) => whole,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return Ok(None),
        };
        let tree = self.tree()?;
        let (rows, bytes) = guarded(|| {
            let (mut rows, mut bytes) = (Vec::new(), 0);
            for row in tree.scan_prefix(prefix).take(limit.min(FEW_ROWS + 1)) {
                let (key, sealed) = row?;
                bytes += sealed.len();
                rows.push((key, sealed));
            }
            Ok((rows, bytes))
        })?;
        Ok((rows.len() <= FEW_ROWS && bytes <= FEW_BYTES).then_some(rows))
    }

    /// The records whose keys begin with `prefix`, with their keys. Those that do not open are left
    /// out and counted. Blocking.
    pub(super) fn list<T: DeserializeOwned>(
        &self,
        prefix: &Key<T>,
        page: Page<'_>,
        limit: usize,
    ) -> Result<Vec<(IVec, T)>> {
        let upwards = matches!(page, Page::First | Page::After(_));
        let mut found = Vec::new();
        let mut last: Option<IVec> = None;
        while found.len() < limit {
            let wanted = limit - found.len();
            let rest = match &last {
                None => page,
                Some(last) if upwards => Page::After(last),
                Some(last) => Page::Before(last),
            };
            let rows = self.rows(prefix.bytes(), rest, wanted)?;
            let ended = rows.len() < wanted;
            last = rows.last().map(|(key, _)| key.clone());
            self.open_all(prefix.kind, rows, &mut found)?;
            if ended {
                break;
            }
        }
        Ok(found)
    }
}

/// Where a list begins, and which way it goes from there.
#[derive(Clone, Copy)]
pub(super) enum Page<'a> {
    /// At the first, upwards.
    First,
    /// At the last, downwards.
    Last,
    /// After this key, upwards.
    After(&'a [u8]),
    /// Before this key, downwards.
    Before(&'a [u8]),
}

/// The rows while their keys begin with `prefix`.
pub(super) fn within<'a>(
    rows: impl Iterator<Item = ::sled::Result<Row>> + 'a,
    prefix: &'a [u8],
) -> impl Iterator<Item = ::sled::Result<Row>> + 'a {
    rows.take_while(move |row| row.as_ref().map_or(true, |(key, _)| key.starts_with(prefix)))
}

/// What a reader needs: a write that is being put together sees its own changes.
pub(super) trait Read {
    /// The tree and its keys.
    fn space(&self) -> &Space;
    /// The sealed record at a key.
    fn sealed(&self, key: &[u8]) -> Result<Option<IVec>>;
    /// The first rows whose keys begin with `prefix`, at most `limit`.
    fn first_rows(&self, prefix: &[u8], limit: usize) -> Result<Vec<Row>>;

    /// The record at a key.
    fn get<T: DeserializeOwned>(&self, key: &Key<T>) -> Result<Option<T>> {
        let Some(sealed) = self.sealed(key.bytes())? else { return Ok(None) };
        self.open_record(key.kind, key.bytes(), &sealed).map(Some)
    }

    /// The record at a key, or nothing if it does not open: for what can be made anew.
    fn get_readable<T: DeserializeOwned>(&self, key: &Key<T>) -> Result<Option<T>> {
        match self.get(key) {
            Err(StorageError::Damaged { .. }) => Ok(None),
            other => other,
        }
    }

    /// Whether there is a record at a key.
    fn has<T>(&self, key: &Key<T>) -> Result<bool> {
        self.sealed(key.bytes()).map(|sealed| sealed.is_some())
    }

    /// Opens a sealed record. One that does not open is counted and told of.
    fn open_record<T: DeserializeOwned>(&self, kind: Kind<T>, key: &[u8], sealed: &[u8]) -> Result<T> {
        self.try_open(kind, key, sealed).map_err(|unopened| {
            let space = self.space();
            if matches!(unopened, Unopened::Altered | Unopened::Unreadable) {
                metrics::counter!("iassistance_storage_damaged_total", "kind" => kind.name).increment(1);
                tracing::error!(kind = kind.name, tree = space.name, "a record does not open");
            }
            if matches!(unopened, Unopened::Altered)
                && let Some(watchman) = space.watchman.get()
            {
                watchman.tell(key);
            }
            unopened.of(kind)
        })
    }

    /// Opens a sealed record, and nothing follows from it.
    fn try_open<T: DeserializeOwned>(
        &self,
        kind: Kind<T>,
        key: &[u8],
        sealed: &[u8],
    ) -> std::result::Result<T, Unopened> {
        let space = self.space();
        let subject = subject_of(sealed).map(|contact| self.subject_key(contact)).transpose()?;
        let key_ref = subject.as_deref().map_or(KeyRef::Tenant, KeyRef::Subject);
        open(&space.vault, &space.name, kind, key, key_ref, sealed)
    }

    /// Opens rows of one kind. Those that are damaged are left out (and counted).
    fn open_all<T: DeserializeOwned>(
        &self,
        kind: Kind<T>,
        rows: Vec<Row>,
        found: &mut Vec<(IVec, T)>,
    ) -> Result<()> {
        for (key, sealed) in rows {
            match self.open_record(kind, &key, &sealed) {
                Ok(record) => found.push((key, record)),
                Err(StorageError::Damaged { .. } | StorageError::NewerRecord { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// A contact's key.
    fn subject_key(&self, contact: ContactId) -> Result<Arc<SubjectKey>> {
        let space = self.space();
        let id = (space.id, contact);
        if let Some(key) = space.contact_keys.get(&id) {
            return Ok(key);
        }
        let damaged = StorageError::Damaged { kind: keys::SUBJECT_KEY.name };
        let wrapped = self.sealed(keys::subject_key(contact).bytes())?.ok_or_else(|| damaged.clone())?;
        let key = match space.vault.unwrap_subject_key(contact, &wrapped) {
            Ok(key) => Arc::new(key),
            Err(VaultError::NoSuchTenant(tenant)) => return Err(StorageError::NoSuchTenant(tenant)),
            Err(_) => return Err(damaged),
        };
        space.contact_keys.put(id, &key);
        Ok(key)
    }
}

impl Read for Space {
    fn space(&self) -> &Space {
        self
    }

    fn sealed(&self, key: &[u8]) -> Result<Option<IVec>> {
        let tree = self.tree()?;
        guarded(|| tree.get(key))
    }

    fn first_rows(&self, prefix: &[u8], limit: usize) -> Result<Vec<Row>> {
        self.rows(prefix, Page::First, limit)
    }
}

/// Why a record does not open.
#[derive(Debug)]
pub(super) enum Unopened {
    /// It is not what was sealed, or was sealed for another place: it is damaged for certain.
    Altered,
    /// The key that it names is not there, or what it says is nothing that this version reads.
    Unreadable,
    /// A later version wrote it.
    Newer(u16),
    /// Something else is in the way.
    Other(StorageError),
}

impl Unopened {
    /// What is said of a record of this kind.
    pub(super) fn of<T>(self, kind: Kind<T>) -> StorageError {
        match self {
            Self::Altered | Self::Unreadable => StorageError::Damaged { kind: kind.name },
            Self::Newer(found) => StorageError::NewerRecord { kind: kind.name, found, known: kind.schema },
            Self::Other(error) => error,
        }
    }
}

impl From<StorageError> for Unopened {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::Damaged { .. } => Self::Unreadable,
            other => Self::Other(other),
        }
    }
}

/// Opens a record with the key that it needs.
pub(super) fn open<T: DeserializeOwned>(
    vault: &TenantVault,
    tree: &str,
    kind: Kind<T>,
    key: &[u8],
    key_ref: KeyRef<'_>,
    sealed: &[u8],
) -> std::result::Result<T, Unopened> {
    let opened = unseal(vault, Place { tree, key, schema: kind.schema }, key_ref, sealed)?;
    if opened.schema == kind.schema {
        return serde_json::from_slice(&opened.plaintext).map_err(|_| Unopened::Unreadable);
    }
    let record = present(kind.schema, kind.upgrade, &opened)?;
    serde_json::from_value(record).map_err(|_| Unopened::Unreadable)
}

/// Opens the seal alone.
pub(super) fn unseal(
    vault: &TenantVault,
    place: Place<'_>,
    key_ref: KeyRef<'_>,
    sealed: &[u8],
) -> std::result::Result<Opened, Unopened> {
    vault.open(place, key_ref, sealed).map_err(|error| match error {
        VaultError::NoSuchTenant(tenant) => Unopened::Other(StorageError::NoSuchTenant(tenant)),
        VaultError::NotAuthentic { .. } => Unopened::Altered,
        _ => Unopened::Unreadable,
    })
}

/// Seals a record for its key.
pub(super) fn seal<T: Serialize>(
    vault: &TenantVault,
    tree: &str,
    key: &Key<T>,
    key_ref: KeyRef<'_>,
    record: &T,
) -> Result<IVec> {
    let plaintext = serde_json::to_vec(record).map_err(|_| StorageError::Damaged { kind: key.kind.name })?;
    let place = Place { tree, key: key.bytes(), schema: key.kind.schema };
    vault.seal(place, key_ref, &plaintext).map(IVec::from).map_err(vault_error)
}

/// What storage says when keys cannot be had.
pub(super) fn vault_error(error: VaultError) -> StorageError {
    match error {
        VaultError::NoSuchTenant(tenant) => StorageError::NoSuchTenant(tenant),
        other => StorageError::Vault(other.to_string()),
    }
}

/// What storage says when the database fails.
pub(super) fn broken(doing: &'static str) -> impl Fn(::sled::Error) -> StorageError {
    move |error| StorageError::Disk { doing, reason: error.to_string() }
}

impl Counters {
    /// Counts a record, by its key.
    pub(super) fn see(&mut self, key: &[u8]) {
        let number = |at| number_in(key, at).unwrap_or_default();
        match key.first() {
            Some(&code) if code == INBOX.code => {
                self.letters += 1;
                self.seq = self.seq.max(number(17));
            }
            Some(&code) if code == PARKED_SINCE.code => {
                self.parked += 1;
                self.seq = self.seq.max(number(9));
            }
            Some(&code) if code == UNROUTED.code => {
                self.unrouted += 1;
                self.seq = self.seq.max(number(1));
            }
            Some(&code) if code == OUTBOX.code => self.order = self.order.max(number(17)),
            Some(&code) if code == EVENT.code => self.event = self.event.max(number(1)),
            Some(&code) if code == ASSISTANT.code => self.settings = self.settings.max(number(1)),
            // What is set aside had its number, which is not given away again.
            Some(&code) if code == SET_ASIDE.code => match key.get(1) {
                Some(&code) if code == EVENT.code || code == ASSISTANT.code => self.see(&key[1..]),
                _ => {}
            },
            _ => {}
        }
    }
}

/// What the disk failed at when reading came with a write: the database moves what it reads now and then.
pub(super) const MOVING: &str = "moving what was read";

/// Whether only a write can fail so.
fn is_of_writing(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::ReadOnlyFilesystem)
}

/// Reads from the database, which panics on some kinds of damage to its file: whoever reads is told instead.
fn guarded<R>(read: impl FnOnce() -> ::sled::Result<R>) -> Result<R> {
    match catch_unwind(AssertUnwindSafe(read)) {
        Ok(Err(::sled::Error::Io(error))) if is_of_writing(error.kind()) => Err(open::failed(MOVING)(error)),
        Ok(read) => read.map_err(broken("reading")),
        Err(_) => Err(StorageError::Disk {
            doing: "reading",
            reason: "the database panicked: its file is damaged".to_owned(),
        }),
    }
}

fn count(tree: &Tree) -> Result<Counters> {
    let mut counters = Counters::default();
    for prefix in [INBOX.code, PARKED_SINCE.code, UNROUTED.code, OUTBOX.code] {
        for key in tree.scan_prefix([prefix]).keys() {
            counters.see(&key.map_err(broken("counting what is stored"))?);
        }
    }
    for code in [EVENT.code, ASSISTANT.code] {
        for prefix in [&[code][..], &[SET_ASIDE.code, code]] {
            let last = tree.scan_prefix(prefix).next_back().transpose();
            if let Some((key, _)) = last.map_err(broken("counting what is stored"))? {
                counters.see(&key);
            }
        }
    }
    Ok(counters)
}
