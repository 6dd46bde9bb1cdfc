//! The content store, in memory, in a folder and in a bucket.

#![allow(clippy::unwrap_used, reason = "helpers of tests are not seen as tests")]

mod bucket;
mod damage;
mod keys;
mod s3;

use std::collections::HashMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use proptest::prelude::{ProptestConfig, proptest};
use tempfile::TempDir;

use iassistance_config::{MediaSettings, Secret};
use iassistance_domain::id::{ContactId, MediaId, TenantId};
use iassistance_domain::pii::Rights;
use iassistance_domain::{SeededEntropy, Timestamp};
use iassistance_storage::content::KeyHolder;
use iassistance_storage::{ContentError, ContentOwner, ContentStore, StorageError};
use iassistance_vault::ContentKey;

use bucket::egress;

const FRAME: usize = 64 << 10;
/// What each frame has beside what it holds: a nonce and a tag.
const OVERHEAD: usize = 24 + 16;
const MAX: u64 = 6 << 20;
const ONE: TenantId = TenantId::from_bytes([1; 16]);
const TWO: TenantId = TenantId::from_bytes([2; 16]);
const ADA_ID: ContactId = ContactId::from_bytes([7; 16]);
const ADA: ContentOwner = ContentOwner::Contact(ADA_ID);
const BOB: ContentOwner = ContentOwner::Contact(ContactId::from_bytes([8; 16]));

fn media(number: u8) -> MediaId {
    MediaId::from_bytes([number; 16])
}

/// Keys that can be destroyed and exchanged.
#[derive(Clone, Default)]
struct Ring(Arc<Mutex<HashMap<(TenantId, ContentOwner), ContentKey>>>);

impl Ring {
    fn with(owners: &[(TenantId, ContentOwner)]) -> Self {
        let ring = Self::default();
        for (number, (tenant, owner)) in owners.iter().enumerate() {
            ring.renew(*tenant, *owner, number as u64);
        }
        ring
    }

    fn renew(&self, tenant: TenantId, owner: ContentOwner, seed: u64) {
        let key = ContentKey::fleeting(tenant, Arc::new(SeededEntropy::new(seed)));
        self.0.lock().unwrap().insert((tenant, owner), key);
    }

    fn destroy(&self, tenant: TenantId, owner: ContentOwner) {
        self.0.lock().unwrap().remove(&(tenant, owner));
    }
}

#[async_trait]
impl KeyHolder for Ring {
    async fn content_key(&self, tenant: TenantId, owner: ContentOwner) -> Result<ContentKey, StorageError> {
        let found = self.0.lock().unwrap().get(&(tenant, owner)).cloned();
        found.ok_or(StorageError::NotFound("contact's key"))
    }
}

fn ring() -> Ring {
    Ring::with(&[
        (ONE, ContentOwner::Tenant),
        (ONE, ADA),
        (ONE, BOB),
        (TWO, ADA),
        (TWO, ContentOwner::Tenant),
    ])
}

fn settings(folder: &Path) -> MediaSettings {
    MediaSettings {
        folder: folder.to_owned(),
        s3_bucket: String::new(),
        s3_endpoint: String::new(),
        s3_region: String::new(),
        s3_access_key_id: String::new(),
        s3_secret_access_key: Secret::new(""),
        file_bytes_max: MAX,
        fetch_concurrency: 1,
        fetch_attempts_max: 1,
        fetch_timeout_ms: 1,
    }
}

/// A store in a folder of its own.
struct Room {
    folder: TempDir,
    ring: Ring,
    store: ContentStore,
}

impl Room {
    fn new() -> Self {
        let (folder, ring) = (tempfile::tempdir().unwrap(), ring());
        let store = open(&folder.path().join("media"), &ring);
        Self { folder, ring, store }
    }

    fn file(&self, tenant: TenantId, id: MediaId) -> PathBuf {
        self.folder.path().join("media").join(tenant.to_string()).join(id.to_string())
    }

    /// Every file that is there, also what is unfinished.
    fn files(&self) -> Vec<PathBuf> {
        all_files(&self.folder.path().join("media"))
    }
}

fn open(folder: &Path, ring: &Ring) -> ContentStore {
    ContentStore::open(&settings(folder), &egress(), ring.clone()).unwrap()
}

fn all_files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { all_files(&path) } else { vec![path] }).collect()
}

fn content(length: usize) -> Bytes {
    // 251 is prime: no two frames are alike.
    let pattern: Vec<u8> = (0..=250).collect();
    let mut bytes = pattern.repeat(length / 251 + 1);
    bytes.truncate(length);
    bytes.into()
}

async fn put(
    store: &ContentStore,
    owner: ContentOwner,
    id: MediaId,
    bytes: Bytes,
) -> Result<u64, ContentError> {
    let name = Some("Ada's passport.pdf");
    Ok(store.put_bytes(ONE, owner, id, "application/pdf", name, bytes).await?.bytes)
}

async fn read(store: &ContentStore, tenant: TenantId, id: MediaId) -> Result<Vec<u8>, ContentError> {
    store.get(tenant, id).await?.unwrap().read().await
}

async fn ids(store: &ContentStore, tenant: TenantId) -> Vec<MediaId> {
    let mut ids: Vec<_> = store.list(tenant).map_ok(|entry| entry.id).try_collect().await.unwrap();
    ids.sort_unstable();
    ids
}

/// What every store must do, wherever it keeps the files.
async fn keeps_files(store: &ContentStore) {
    for (number, length) in
        [0, 1, FRAME - 1, FRAME, FRAME + 1, 3 * FRAME, (5 << 20) - 1, (5 << 20) + 17].into_iter().enumerate()
    {
        let id = media(u8::try_from(number).unwrap() + 10);
        let bytes = content(length);
        assert_eq!(put(store, ADA, id, bytes.clone()).await.unwrap(), length as u64);
        let opened = store.get(ONE, id).await.unwrap().unwrap();
        assert_eq!(
            (opened.owner, opened.mime.as_str(), opened.bytes_len),
            (ADA, "application/pdf", length as u64)
        );
        assert_eq!(opened.filename.clone().unwrap().reveal(Rights), "Ada's passport.pdf");
        assert!(opened.read().await.unwrap() == bytes, "{length} bytes");
    }
    assert!(store.get(ONE, media(1)).await.unwrap().is_none());
    assert!(store.get(TWO, media(10)).await.unwrap().is_none());
    assert_eq!(ids(store, TWO).await, []);

    let again = content(100);
    put(store, BOB, media(10), again.clone()).await.unwrap();
    assert!(read(store, ONE, media(10)).await.unwrap() == again, "a file is replaced by one of its id");

    let whole = stream::iter([Ok::<_, ContentError>(content(9))]);
    store.put(TWO, ContentOwner::Tenant, media(10), "image/png", None, whole).await.unwrap();
    let uploaded = store.get(TWO, media(10)).await.unwrap().unwrap();
    assert!(uploaded.owner == ContentOwner::Tenant && uploaded.filename.is_none());

    let listed: Vec<_> = store.list(ONE).try_collect().await.unwrap();
    assert_eq!(listed.len(), 8);
    assert!(listed.iter().all(|entry| entry.stored_at > Timestamp::EPOCH && entry.bytes_stored > 0));

    assert!(store.delete(ONE, media(11)).await.unwrap());
    assert!(!store.delete(ONE, media(11)).await.unwrap());
    assert!(store.get(ONE, media(11)).await.unwrap().is_none());
    assert_eq!(store.delete_of_contact(ONE, ADA_ID).await.unwrap(), 6);
    assert_eq!(ids(store, ONE).await, [media(10)], "Bob's file stays");
    assert_eq!(store.delete_of_tenant(ONE).await.unwrap(), 1);
    assert_eq!(ids(store, ONE).await, []);
    assert_eq!(ids(store, TWO).await, [media(10)]);
}

/// Nothing of a file that failed may be there.
async fn refuses_whole(store: &ContentStore) {
    let limit = usize::try_from(MAX).unwrap();
    assert_eq!(put(store, ADA, media(1), content(limit)).await.unwrap(), MAX);
    for length in [limit + 1, 2 * limit] {
        let error = put(store, ADA, media(2), content(length)).await.unwrap_err();
        assert!(matches!(error, ContentError::TooLarge { bytes_max: MAX }));
        assert!(error.to_string().contains("6291456"), "{error}");
    }
    for sound in [1, 90] {
        let pieces = (0..sound).map(|_| Ok(content(FRAME + 1))).chain([Err("the line was cut")]);
        let ended = store.put(ONE, ADA, media(2), "image/png", None, stream::iter(pieces)).await;
        assert!(matches!(ended, Err(ContentError::Source(_))));
    }
    let name = "a".repeat(20_000);
    let long = store.put_bytes(ONE, ADA, media(2), "image/png", Some(&name), Bytes::new()).await;
    assert!(matches!(long, Err(ContentError::LabelTooLong { .. })));
    assert!(store.get(ONE, media(2)).await.unwrap().is_none());
    assert_eq!(ids(store, ONE).await, [media(1)]);
}

#[tokio::test]
async fn a_store_in_memory_keeps_files() {
    keeps_files(&ContentStore::memory(MAX, ring())).await;
    refuses_whole(&ContentStore::memory(MAX, ring())).await;
}

#[tokio::test]
async fn a_folder_keeps_files() {
    keeps_files(&Room::new().store).await;
    let room = Room::new();
    refuses_whole(&room.store).await;
    assert_eq!(room.files(), [room.file(ONE, media(1))], "nothing else is left");
}

#[tokio::test]
async fn another_tenant_and_another_key_open_nothing() {
    let room = Room::new();
    put(&room.store, ADA, media(1), content(10)).await.unwrap();
    let sealed = std::fs::read(room.file(ONE, media(1))).unwrap();
    room.store.put_bytes(TWO, ADA, media(2), "image/png", None, content(10)).await.unwrap();
    std::fs::write(room.file(TWO, media(1)), sealed).unwrap();
    assert!(
        matches!(room.store.get(TWO, media(1)).await, Err(ContentError::WrongKey { media: id }) if id == media(1))
    );
    room.ring.renew(ONE, ADA, 99);
    let wrong = room.store.get(ONE, media(1)).await.map(drop).unwrap_err();
    assert!(matches!(wrong, ContentError::WrongKey { .. }) && !wrong.is_transient());
}

#[tokio::test]
async fn with_the_contacts_key_the_file_is_gone() {
    let room = Room::new();
    put(&room.store, ADA, media(1), content(10)).await.unwrap();
    put(&room.store, BOB, media(2), content(10)).await.unwrap();
    room.ring.destroy(ONE, ADA);
    assert!(
        matches!(room.store.get(ONE, media(1)).await, Err(ContentError::KeyGone { media: id }) if id == media(1))
    );
    let late = put(&room.store, ADA, media(3), content(10)).await;
    assert!(matches!(late, Err(ContentError::KeyGone { .. })), "nothing is stored for who was erased");
    assert!(read(&room.store, ONE, media(2)).await.is_ok());
    assert_eq!(room.store.delete_of_contact(ONE, ADA_ID).await.unwrap(), 1, "it can still be removed");
}

#[tokio::test]
async fn a_put_that_is_dropped_leaves_nothing_to_be_seen() {
    let room = Room::new();
    put(&room.store, ADA, media(1), content(10)).await.unwrap();
    let pieces =
        stream::iter((0..90).map(|_| Ok::<_, ContentError>(content(FRAME)))).chain(stream::pending());
    let mut put = Box::pin(room.store.put(ONE, ADA, media(2), "image/png", None, pieces));
    let unfinished = || room.files().len() - 1;
    while unfinished() == 0 {
        assert!(futures::poll!(&mut put).is_pending());
        tokio::task::yield_now().await;
    }
    assert_eq!(ids(&room.store, ONE).await, [media(1)]);
    assert!(room.store.get(ONE, media(2)).await.unwrap().is_none());
    drop(put);
    while unfinished() > 0 {
        tokio::task::yield_now().await;
    }
    assert!(room.store.get(ONE, media(2)).await.unwrap().is_none());
}

#[tokio::test]
async fn what_a_crash_left_unfinished_is_removed() {
    let room = Room::new();
    put(&room.store, ADA, media(1), content(10)).await.unwrap();
    let left = room.file(ONE, media(2)).with_extension("");
    std::fs::write(format!("{}#1", left.display()), "half").unwrap();
    let foreign = room.folder.path().join("media/notes#1");
    std::fs::write(&foreign, "not ours").unwrap();
    let store = open(&room.folder.path().join("media"), &room.ring);
    assert_eq!(ids(&store, ONE).await, [media(1)]);
    let mut files = room.files();
    files.sort_unstable();
    assert_eq!(files, [foreign, room.file(ONE, media(1))]);
    assert!(read(&store, ONE, media(1)).await.is_ok());
}

#[tokio::test]
async fn nobody_else_may_look_into_the_folder() {
    let room = Room::new();
    put(&room.store, ADA, media(1), content(10)).await.unwrap();
    put(&room.store, ADA, media(2), content((5 << 20) + 1)).await.unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let small = room.file(ONE, media(1));
    assert_eq!(mode(&small), 0o600);
    assert_eq!(mode(&room.file(ONE, media(2))), 0o600);
    assert_eq!(mode(small.parent().unwrap()), 0o700);
    assert_eq!(mode(&room.folder.path().join("media")), 0o700);
}

#[test]
fn a_folder_is_made_with_those_above_it() {
    let folder = tempfile::tempdir().unwrap();
    let deep = folder.path().join("a/b/media");
    drop(open(&deep, &ring()));
    drop(open(&deep, &ring()));
    assert!(deep.is_dir());
}

#[test]
fn a_folder_that_cannot_be_used_is_named() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let refused = ContentStore::open(&settings(&file.path().join("media")), &egress(), ring());
    let Err(error) = refused else { panic!("a file is no folder") };
    assert!(error.to_string().contains(&file.path().display().to_string()), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn any_size_in_any_pieces_comes_back(pieces in proptest::collection::vec(0..100_000_usize, 0..8)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let store = ContentStore::memory(MAX, ring());
            let pieces: Vec<Bytes> = pieces.into_iter().map(content).collect();
            let whole = pieces.concat();
            let source = stream::iter(pieces.into_iter().map(Ok::<_, ContentError>));
            let stored = store.put(ONE, ADA, media(1), "image/png", None, source).await.unwrap();
            assert_eq!(stored.bytes, whole.len() as u64);
            let listed: Vec<_> = store.list(ONE).try_collect().await.unwrap();
            let frames = whole.len().div_ceil(FRAME).max(1);
            let least = (whole.len() + frames * OVERHEAD) as u64;
            assert!((least..least + 200).contains(&listed[0].bytes_stored));
            assert!(read(&store, ONE, media(1)).await.unwrap() == whole);
        });
    }
}
