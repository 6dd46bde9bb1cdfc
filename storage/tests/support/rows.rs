//! What is in a store's folder, seen and changed without the store.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use iassistance_domain::id::ContactId;
use iassistance_vault::{KeyRef, Place, SubjectKey, TenantVault, subject_of};
use serde_json::Value;

use super::{World, tenant_id};

pub fn files_of(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files_of(&path) } else { vec![path] }).collect()
}

/// Closes the store and changes records of one kind with sled itself.
pub async fn damage(world: &mut World, tree: &[u8], kind: u8, change: impl Fn(&mut Vec<u8>)) -> usize {
    with_rows(world, tree, &[kind], |_, value| change(value)).await
}

/// Closes the store and goes through the records of a tree with sled itself.
pub async fn with_rows(
    world: &mut World,
    tree: &[u8],
    prefix: &[u8],
    act: impl Fn(&[u8], &mut Vec<u8>),
) -> usize {
    world.shut().await;
    let db = open(world);
    let tree = db.open_tree(tree).unwrap();
    let mut changed = 0;
    for row in tree.scan_prefix(prefix) {
        let (key, value) = row.unwrap();
        let mut value = value.to_vec();
        act(&key, &mut value);
        tree.insert(key, value).unwrap();
        changed += 1;
    }
    db.flush().unwrap();
    changed
}

/// Closes the store and takes the records out of a tree whose keys begin so.
pub async fn take_rows(world: &mut World, tree: &[u8], prefix: &[u8]) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let rows = rows_of(world, tree, prefix).await;
    let db = open(world);
    let tree = db.open_tree(tree).unwrap();
    for key in rows.keys() {
        tree.remove(key).unwrap();
    }
    db.flush().unwrap();
    rows
}

/// Closes the store and gives the records of a tree whose keys begin so, as they are stored.
pub async fn rows_of(world: &mut World, tree: &[u8], prefix: &[u8]) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let rows = Mutex::new(BTreeMap::new());
    with_rows(world, tree, prefix, |key, value| {
        rows.lock().unwrap().insert(key.to_vec(), value.clone());
    })
    .await;
    rows.into_inner().unwrap()
}

pub fn flip_last(value: &mut [u8]) {
    *value.last_mut().unwrap() ^= 1;
}

/// A tenant's records as they are stored, and what opens them. The store is closed.
pub struct Sealed {
    pub rows: BTreeMap<Vec<u8>, Vec<u8>>,
    pub vault: TenantVault,
    tree: String,
}

impl Sealed {
    pub async fn of(world: &mut World, tenant: u8) -> Self {
        let keyring = Arc::clone(&world.home.as_ref().unwrap().keyring);
        let rows = Mutex::new(BTreeMap::new());
        with_rows(world, &[tenant; 16], &[], |key, value| {
            rows.lock().unwrap().insert(key.to_vec(), value.clone());
        })
        .await;
        let vault = keyring.tenant(tenant_id(tenant)).unwrap();
        Self { rows: rows.into_inner().unwrap(), vault, tree: tenant_id(tenant).to_string() }
    }

    fn subject(&self, contact: ContactId) -> SubjectKey {
        let wrapped = &self.rows[&[&[1][..], &contact.to_bytes()].concat()];
        self.vault.unwrap_subject_key(contact, wrapped).unwrap()
    }

    pub fn open(&self, key: &[u8]) -> Vec<u8> {
        let sealed = &self.rows[key];
        let subject = subject_of(sealed).map(|contact| self.subject(contact));
        let key_ref = subject.as_ref().map_or(KeyRef::Tenant, KeyRef::Subject);
        self.vault
            .open(Place { tree: &self.tree, key, schema: 0 }, key_ref, sealed)
            .unwrap()
            .plaintext
            .to_vec()
    }

    /// Seals a record with the key of the contact, or the tenant's.
    pub fn seal(&self, key: &[u8], schema: u16, contact: Option<ContactId>, record: &Value) -> Vec<u8> {
        let subject = contact.map(|contact| self.subject(contact));
        let key_ref = subject.as_ref().map_or(KeyRef::Tenant, KeyRef::Subject);
        let plaintext = serde_json::to_vec(record).unwrap();
        self.vault.seal(Place { tree: &self.tree, key, schema }, key_ref, &plaintext).unwrap()
    }

    /// The keys of one kind.
    pub fn keys(&self, kind: u8) -> Vec<Vec<u8>> {
        self.rows.keys().filter(|key| key[0] == kind).cloned().collect()
    }
}

/// Closes the store and puts records.
pub async fn put_rows(world: &mut World, tenant: u8, rows: &BTreeMap<Vec<u8>, Vec<u8>>) {
    world.shut().await;
    let db = open(world);
    let tree = db.open_tree([tenant; 16]).unwrap();
    for (key, value) in rows {
        tree.insert(&key[..], &value[..]).unwrap();
    }
    db.flush().unwrap();
}

/// Every record of a tenant, opened.
pub async fn plaintexts(world: &mut World, tenant: u8) -> Vec<Vec<u8>> {
    let sealed = Sealed::of(world, tenant).await;
    sealed.rows.keys().filter(|key| key[0] != 1).map(|key| sealed.open(key)).collect()
}

/// Where the database of a store is that is in use.
pub fn database_folder(store: &Path) -> PathBuf {
    store.join(fs::read_to_string(store.join("CURRENT")).unwrap().trim())
}

/// The database of a store that was closed.
fn open(world: &World) -> sled::Db {
    let folder = database_folder(&world.home.as_ref().unwrap().path());
    loop {
        match sled::Config::new().path(&folder).open() {
            Err(sled::Error::Io(_)) => std::thread::yield_now(),
            opened => break opened.unwrap(),
        }
    }
}
