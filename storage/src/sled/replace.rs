//! Putting records back as they were stored: into a new store, or in place of one tenant's.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io;
use std::path::Path;
use std::sync::{Arc, PoisonError};

use ::sled::{Batch, Db, Tree};

use iassistance_domain::Timestamp;
use iassistance_domain::channel::Channel;
use iassistance_domain::id::{ApiKeyId, TenantId};
use iassistance_domain::outbox::OutboxState;

use super::audit::CHAIN_KEY;
use super::channels::open_channel;
use super::disk::Disk;
use super::generation::Home;
use super::keys::{
    self, API_KEY, AUDIT, AUDIT_HEAD, CHANNEL, CHECKPOINT, Key, OUTBOX, TENANT, id_in, number_in,
};
use super::live::Current;
use super::open;
use super::space::{Counters, PLATFORM, Page, Read, Result, SpaceId, broken, vault_error};
use super::tx::{Owner, Tx};
use super::{Core, SledStore, blocking};
use crate::error::StorageError;

/// So many bytes are applied at once.
const BATCH_BYTES: usize = 4 << 20;
/// Keys that are looked at at once.
const PAGE_ROWS: usize = 1_000;
/// Says in a store's folder that it was restored and has not been opened since.
const RESTORED_FILE: &str = "RESTORED";
const CACHE_BYTES: u64 = 64 << 20;

/// A store in the making, which nobody else can open yet.
pub(crate) struct NewStore {
    home: Home,
    current: Current,
    trees: HashMap<SpaceId, (Tree, Batch)>,
    bytes: usize,
}

impl NewStore {
    /// A store in a folder that is not there yet. Blocking.
    pub(crate) fn create(path: &Path, disk: Arc<dyn Disk>) -> Result<Self> {
        let home = Home { folder: path.to_owned(), disk };
        let current = open::open(&home, CACHE_BYTES, false)?;
        Ok(Self { home, current, trees: HashMap::new(), bytes: 0 })
    }

    /// Puts a record, or removes it. Later ones count.
    pub(crate) fn add(&mut self, space: SpaceId, key: &[u8], sealed: Option<&[u8]>) -> Result<()> {
        let (_, batch) = tree_of(&self.current.db, &mut self.trees, space)?;
        match sealed {
            Some(sealed) => batch.insert(key, sealed),
            None => batch.remove(key),
        }
        self.bytes += key.len() + sealed.map_or(0, <[u8]>::len);
        if self.bytes >= BATCH_BYTES { self.apply() } else { Ok(()) }
    }

    fn apply(&mut self) -> Result<()> {
        for (tree, batch) in self.trees.values_mut() {
            tree.apply_batch(std::mem::take(batch)).map_err(broken("writing"))?;
        }
        self.bytes = 0;
        Ok(())
    }

    /// Makes all of it lasting and closes it; gives the number of its records.
    pub(crate) fn finish(mut self) -> Result<u64> {
        self.apply()?;
        let (platform, _) = tree_of(&self.current.db, &mut self.trees, None)?;
        let tenants = platform.scan_prefix(TENANT.key().bytes()).keys();
        let tenants: ::sled::Result<Vec<_>> = tenants.collect();
        for key in tenants.map_err(broken("reading"))? {
            // One without a record has a tree all the same: opening it would create it unsynced.
            if let Some(id) = id_in(&key, 1) {
                tree_of(&self.current.db, &mut self.trees, Some(TenantId::from_bytes(id)))?;
            }
        }
        let records = self.trees.values().map(|(tree, _)| tree.len() as u64).sum();
        let finish = || {
            self.home.disk.flush(&self.current.db)?;
            self.home.disk.write(&self.home.folder.join(RESTORED_FILE), "")?;
            self.home.disk.sync_dir(&self.home.folder)?;
            self.current.files.lock().unwrap_or_else(PoisonError::into_inner).sync(true)
        };
        finish().map_err(open::failed("syncing the store that was restored"))?;
        Ok(records)
    }
}

fn tree_of<'a>(
    db: &Db,
    trees: &'a mut HashMap<SpaceId, (Tree, Batch)>,
    space: SpaceId,
) -> Result<&'a mut (Tree, Batch)> {
    use std::collections::hash_map::Entry;
    match trees.entry(space) {
        Entry::Occupied(there) => Ok(there.into_mut()),
        Entry::Vacant(vacant) => {
            let name = space.map_or_else(|| PLATFORM.as_bytes().to_vec(), |id| id.to_bytes().to_vec());
            let tree = db.open_tree(name).map_err(broken("creating a tree"))?;
            Ok(vacant.insert((tree, Batch::default())))
        }
    }
}

/// One tenant's records as they were stored, in memory.
pub(crate) struct TenantRecords {
    pub(crate) tenant: TenantId,
    /// Those of its own tree.
    pub(crate) own: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Those of the platform that are about it.
    pub(crate) platform: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// What came of putting a tenant back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Replaced {
    /// Records that it has now.
    pub records: u64,
    /// Whether it was not there any more.
    pub created: bool,
    /// Channels that it had lost and has again.
    pub channels: u64,
    /// Channels that it had lost and whose address is another's now.
    pub channels_taken: u64,
    /// Messages that waited to be sent and may have left since: they are looked after as such.
    pub held: u64,
}

/// The key of the record that has the key of the audit log.
fn chain_key() -> Key<Vec<u8>> {
    keys::subject_key(CHAIN_KEY)
}

fn is_on_record(key: &[u8]) -> bool {
    let of_log = |code: u8| [AUDIT.code, AUDIT_HEAD.code, CHECKPOINT.code].contains(&code);
    key.first().is_some_and(|code| of_log(*code)) || key == chain_key().bytes()
}

impl Tx<'_> {
    /// Removes every record of the tree and puts these, in one write; gives how many wait to be sent.
    /// What is on the audit log stays there: no restore takes it back.
    fn replace_all(&mut self, mut records: BTreeMap<Vec<u8>, Vec<u8>>, now: Timestamp) -> Result<u64> {
        let mut on_record = self.rows(AUDIT.key().bytes(), usize::MAX)?;
        if !on_record.is_empty() {
            for prefix in [AUDIT_HEAD.key().bytes(), CHECKPOINT.key().bytes(), chain_key().bytes()] {
                on_record.extend(self.rows(prefix, usize::MAX)?);
            }
        }
        let mut last: Option<::sled::IVec> = None;
        loop {
            let page = last.as_ref().map_or(Page::First, |key| Page::After(key));
            let rows = self.space.rows(&[], page, PAGE_ROWS)?;
            let Some((key, _)) = rows.last() else { break };
            last = Some(key.clone());
            self.overlay.extend(rows.into_iter().map(|(key, _)| (key, None)));
        }
        // Those of the writes before it in its group, which are not in the tree yet.
        let pending: Vec<_> = self.rows(&[], usize::MAX)?.into_iter().map(|(key, _)| (key, None)).collect();
        self.overlay.extend(pending);
        if !on_record.is_empty() {
            records.retain(|key, _| !is_on_record(key));
            self.overlay.extend(on_record.into_iter().map(|(key, sealed)| (key, Some(sealed))));
        }
        let mut counters = Counters::default();
        for key in records.keys() {
            counters.see(key);
        }
        self.counters = counters;
        let records = records.into_iter().map(|(key, sealed)| (key.into(), Some(sealed.into())));
        self.overlay.extend(records);
        self.doubt_outbox(now)
    }

    /// Says of every message that waits to be sent that it may have left: what was restored does not
    /// know. Nothing is sent twice by that; it is reconciled, and then the tenant's choice counts.
    fn doubt_outbox(&mut self, now: Timestamp) -> Result<u64> {
        let mut held = 0;
        for (key, mut entry) in self.list(&OUTBOX.key(), usize::MAX)? {
            if matches!(entry.state, OutboxState::Unknown { .. }) {
                continue;
            }
            entry.state = OutboxState::Unknown { since: now };
            let order = number_in(&key, 17).unwrap_or_default();
            let key = keys::outbox_entry(entry.conversation, order, entry.message);
            self.put(&key, Owner::Contact(entry.contact), &entry)?;
            held += 1;
        }
        Ok(held)
    }
}

/// Whether the store in a folder was restored and has not been served since.
pub fn was_restored(folder: &Path) -> bool {
    folder.join(RESTORED_FILE).exists()
}

impl SledStore {
    /// Replaces all that a tenant has by these records, in one write. What the platform has of it now (its
    /// name, channels, API keys) stays, and what is missing of that comes back. One that is not there any
    /// more is created, if it has keys.
    pub(crate) async fn replace_tenant(&self, records: TenantRecords) -> Result<Replaced> {
        let core = &self.0;
        let TenantRecords { tenant, own, platform } = records;
        core.keyring.tenant(tenant).map_err(vault_error)?;
        let mut replaced = Replaced { records: own.len() as u64, ..Replaced::default() };
        if !core.platform.has(&keys::tenant(tenant))? {
            core.recreate(tenant, &platform).await?;
            replaced.created = true;
        }
        let space = core.space(tenant).await?;
        let now = core.clock.now();
        replaced.held = core.writer.write(&space, move |tx| tx.replace_all(own, now)).await?;
        let (mut lost, mut keys) = (Vec::new(), Vec::new());
        for (key, sealed) in platform {
            match key.first() {
                Some(&code) if code == CHANNEL.code => lost.push((key, sealed)),
                Some(&code) if code == API_KEY.code => keys.push((key, sealed)),
                _ => {}
            }
        }
        for (key, sealed) in lost {
            match core.put_back_channel(tenant, &key, &sealed).await? {
                Some(true) => replaced.channels += 1,
                Some(false) => replaced.channels_taken += 1,
                None => {}
            }
        }
        let homes = Arc::clone(&core.key_homes);
        let put = move |tx: &mut Tx<'_>| {
            let mut back = Vec::new();
            for (key, sealed) in keys {
                if tx.sealed(&key)?.is_none() {
                    back.extend(id_in(&key, 1).map(|id| (ApiKeyId::from_bytes(id), Some(tenant))));
                    tx.overlay.insert(key.into(), Some(sealed.into()));
                }
            }
            tx.afterwards.push(Box::new(move || {
                homes.write().unwrap_or_else(PoisonError::into_inner).extend(back);
            }));
            Ok(())
        };
        core.writer.write(&core.platform, put).await?;
        Ok(replaced)
    }

    /// Where the store was restored since it was opened last, says of every message that waits to be sent
    /// that it may have left, and gives their number; nothing otherwise. Before anything is sent.
    pub async fn settle_restored(&self) -> Result<Option<u64>> {
        let core = &self.0;
        let mark = core.home.folder.join(RESTORED_FILE);
        if !mark.exists() {
            return Ok(None);
        }
        let mut held = 0;
        for tenant in self.readable_tenants().await? {
            let space = core.space(tenant).await?;
            let now = core.clock.now();
            held += core.writer.write(&space, move |tx| tx.doubt_outbox(now)).await?;
        }
        blocking(move || match fs::remove_file(mark) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(open::failed("closing a restore")(error))
            }
            _ => Ok(()),
        })
        .await?;
        Ok(Some(held))
    }
}

impl Core {
    async fn recreate(&self, tenant: TenantId, platform: &BTreeMap<Vec<u8>, Vec<u8>>) -> Result<()> {
        let key = keys::tenant(tenant).bytes().to_vec();
        let sealed = platform.get(&key).cloned().ok_or(StorageError::NoSuchTenant(tenant))?;
        let trees = Arc::clone(&self.trees);
        let (reader, records) = (Arc::clone(&self.platform), Arc::clone(&self.tenant_records));
        let create = move |tx: &mut Tx<'_>| {
            let name = tenant.to_bytes().to_vec();
            tx.new_trees.push(name.clone());
            tx.overlay.insert(key.into(), Some(sealed.into()));
            tx.afterwards.push(Box::new(move || {
                trees.write().unwrap_or_else(PoisonError::into_inner).insert(name);
                match reader.get(&keys::tenant(tenant)) {
                    Ok(Some(record)) => {
                        records.write().unwrap_or_else(PoisonError::into_inner).insert(tenant, record);
                    }
                    Ok(None) => {}
                    Err(error) => tracing::error!(%tenant, %error, "a tenant's record could not be read"),
                }
            }));
            Ok(())
        };
        self.writer.write(&self.platform, create).await
    }

    /// Connects a channel again that the tenant has no more; says whether its address was free, and
    /// nothing of one that is there or does not open.
    async fn put_back_channel(&self, tenant: TenantId, key: &[u8], sealed: &[u8]) -> Result<Option<bool>> {
        if self.platform.sealed(key)?.is_some() {
            return Ok(None);
        }
        let vault = self.keyring.tenant(tenant).map_err(vault_error)?;
        let channel: Channel = match open_channel(&vault, key, sealed) {
            Ok(channel) => channel,
            Err(error) => {
                tracing::warn!(%tenant, %error, "a channel of the backup does not open and is left out");
                return Ok(None);
            }
        };
        match self.put_channel(channel).await {
            Ok(()) => Ok(Some(true)),
            Err(StorageError::Conflict(_)) => Ok(Some(false)),
            Err(error) => Err(error),
        }
    }
}
