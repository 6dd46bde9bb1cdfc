//! A store with its files of messages, a place for its backups, and what compares them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use iassistance_config::{BackupSettings, MediaSettings, Secret, Sources};
use iassistance_domain::SeededEntropy;
use iassistance_domain::id::{MediaId, TenantId};
use iassistance_storage::backup::{
    Backups, Chain, Identity, Manifest, Parts, Place, Source, Target, Which, new_identity,
};
use iassistance_storage::{ContentOwner, ContentStore, SledStore, Store};
use tempfile::TempDir;

use crate::bucket::egress;
use crate::support::*;

/// All records of all trees, as they are stored.
pub type Rows = BTreeMap<(Vec<u8>, Vec<u8>), Vec<u8>>;

pub struct Room {
    pub world: World,
    pub sled: SledStore,
    pub content: ContentStore,
    pub settings: BackupSettings,
    pub identity: Identity,
    pub folder: TempDir,
}

impl Room {
    pub async fn new() -> Self {
        Self::with(small_limits()).await
    }

    pub async fn with(limits: iassistance_storage::Limits) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut world =
            World::sled_in(folder.path(), limits, Arc::new(iassistance_storage::sled::disk::SystemDisk));
        world.shut().await;
        let sled = world.open_again().unwrap();
        world.store = Arc::new(sled.clone());
        let (secret, recipient) = new_identity();
        let settings = BackupSettings {
            recipients: vec![recipient],
            keep: 3,
            ..Sources::default().settings().unwrap().backup
        };
        let identity = Identity::read(&format!("# a comment\n{}\n", secret.expose())).unwrap();
        let content = content(&folder.path().join("media"), &world.store);
        Self { world, sled, content, settings, identity, folder }
    }

    pub fn place_folder(&self) -> PathBuf {
        self.folder.path().join("backups")
    }

    pub fn place(&self) -> Place {
        Place::folder(self.place_folder().to_str().unwrap()).unwrap()
    }

    pub fn backups(&self) -> Backups {
        self.backups_at(self.place())
    }

    pub fn backups_at(&self, place: Place) -> Backups {
        let parts = Parts {
            store: self.sled.clone(),
            content: self.content.clone(),
            clock: Arc::new(self.world.clock.clone()),
            // Not the store's: what is made after a restart must not have the ids of before.
            entropy: Arc::new(iassistance_vault::SystemEntropy),
        };
        Backups::new(parts, place, &self.settings).unwrap()
    }

    /// Makes one, a moment after what was made before.
    pub async fn make(&self, backups: &Backups) -> Manifest {
        self.world.clock.advance_millis(1_000);
        backups.make().await.unwrap()
    }

    pub fn source(&self) -> Source {
        Source::new(self.place())
    }

    pub async fn chain(&self, which: Which) -> Chain {
        self.source().chain(which, None).await.unwrap()
    }

    /// Restores a backup into a new folder with a number; its records.
    pub async fn restored(&self, which: Which, number: u32) -> Rows {
        self.restore(which, number).await.unwrap();
        rows_in(&self.target(number).store)
    }

    pub async fn restore(
        &self,
        which: Which,
        number: u32,
    ) -> Result<iassistance_storage::backup::Restored, iassistance_storage::backup::BackupError> {
        let source = self.source();
        let chain = source.chain(which, None).await?;
        source.restore(&chain, &self.identity, &self.target(number), None, &|_| {}).await
    }

    pub fn target(&self, number: u32) -> Target {
        let folder = self.folder.path().join(format!("restored-{number}"));
        Target { store: folder.join("store"), media: Some(folder.join("media")) }
    }

    /// The records of the store as they are, and the store opened again.
    pub async fn rows(&mut self) -> Rows {
        self.world.shut().await;
        let place =
            std::mem::replace(&mut self.content, ContentStore::memory(1, Arc::clone(&self.world.store)));
        drop(place);
        // Its place is taken by one that holds nothing, so that the folder is free.
        let elsewhere = tempfile::tempdir().unwrap();
        let other = World::sled_in(
            elsewhere.path(),
            small_limits(),
            Arc::new(iassistance_storage::sled::disk::SystemDisk),
        );
        let mut other = other;
        other.shut().await;
        self.sled = other.open_again().unwrap();
        let rows = rows_in(&self.world.home.as_ref().unwrap().path());
        self.sled = self.world.open_again().unwrap();
        self.world.store = Arc::new(self.sled.clone());
        self.content = content(&self.folder.path().join("media"), &self.world.store);
        rows
    }

    /// Stores a file of a message.
    pub async fn keep_file(&self, tenant: u8, number: u8, bytes: &'static [u8]) {
        let (id, bytes) = (MediaId::from_bytes([number; 16]), Bytes::from_static(bytes));
        self.content
            .put_bytes(tenant_id(tenant), ContentOwner::Tenant, id, "text/plain", None, bytes)
            .await
            .unwrap();
    }

    /// Opens a restored store with the keyring of the world.
    pub fn open_restored(&self, number: u32) -> SledStore {
        let home = self.world.home.as_ref().unwrap();
        let options = iassistance_storage::SledOptions::new(self.target(number).store, small_limits());
        let clock = Arc::new(self.world.clock.clone());
        SledStore::open(options, Arc::clone(&home.keyring), clock, Arc::new(SeededEntropy::new(99))).unwrap()
    }
}

pub fn content(folder: &Path, store: &Arc<dyn Store>) -> ContentStore {
    let settings = MediaSettings {
        folder: folder.to_owned(),
        s3_bucket: String::new(),
        s3_endpoint: String::new(),
        s3_region: String::new(),
        s3_access_key_id: String::new(),
        s3_secret_access_key: Secret::default(),
        file_bytes_max: 1 << 20,
        fetch_concurrency: 1,
        fetch_attempts_max: 1,
        fetch_timeout_ms: 1,
    };
    ContentStore::open(&settings, &egress(), Arc::clone(store)).unwrap()
}

/// How often the store was closed, which it writes while it is.
const CLOSED: (&[u8], &[u8]) = (b"platform", &[34]);

/// All records of the store in a folder, which nobody has open, but for the one of its closing.
pub fn rows_in(folder: &Path) -> Rows {
    let folder = rows::database_folder(folder);
    let db = loop {
        match sled::Config::new().path(&folder).open() {
            Err(sled::Error::Io(_)) => std::thread::yield_now(),
            opened => break opened.unwrap(),
        }
    };
    let mut rows = Rows::new();
    for name in db.tree_names().into_iter().filter(|name| *name != b"__sled__default"[..]) {
        for row in &db.open_tree(&name).unwrap() {
            let (key, sealed) = row.unwrap();
            if (&*name, &*key) != CLOSED {
                rows.insert((name.to_vec(), key.to_vec()), sealed.to_vec());
            }
        }
    }
    rows
}

/// Fails with the keys of the records that are not in both, or are not the same in both.
#[track_caller]
pub fn assert_same(left: &Rows, right: &Rows) {
    assert!(!right.is_empty(), "nothing to compare with");
    let keys = left.keys().chain(right.keys()).collect::<std::collections::BTreeSet<_>>();
    let differ = keys.into_iter().filter(|key| left.get(key) != right.get(key));
    let differ = differ.map(|key| (key, left.contains_key(key), right.contains_key(key))).collect::<Vec<_>>();
    assert!(differ.is_empty(), "not the same (in the first, in the second): {differ:?}");
}

pub fn of_tenant(rows: &Rows, tenant: TenantId) -> Rows {
    let its = rows.iter().filter(|((tree, _), _)| tree[..] == tenant.to_bytes());
    its.map(|(key, sealed)| (key.clone(), sealed.clone())).collect()
}
