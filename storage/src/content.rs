//! The content store: the files of messages (images, voice notes, documents), sealed and outside the
//! database, in a folder or in a bucket that speaks S3.
//!
//! A file lies at `<tenant>/<media>`: ids alone, its type and name are sealed inside. It is written
//! and read frame by frame ([`format`]), appears whole or not at all, and is on stable storage when
//! [`ContentStore::put`] returns. A contact's files are sealed with a key that comes of the contact's
//! own: when that is destroyed, nothing opens them any more, wherever copies of them are.

pub(crate) mod bucket;
mod error;
pub(crate) mod folder;
mod format;
mod reader;

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt, TryStreamExt};
use object_store::buffered::BufWriter;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use tokio::io::AsyncWriteExt;

use iassistance_config::MediaSettings;
use iassistance_domain::id::{ContactId, MediaId, TenantId};
use iassistance_domain::tenant::TenantCtx;
use iassistance_domain::{Pii, Timestamp};
use iassistance_egress::Egress;
use iassistance_vault::ContentKey;

pub use error::ContentError;

use crate::{StorageError, Store};
use error::{BoxError, failed, from_io};
use folder::Folder;
use format::{Head, Label, Sealer};
use reader::Reader;

type Result<T> = std::result::Result<T, ContentError>;

/// Smaller files are written by one request, larger ones in parts of this size, which is the
/// smallest that S3 takes (AWS: "Amazon S3 multipart upload limits").
const UPLOAD_BYTES: usize = 5 << 20;
/// After so many frames others get their turn on the thread.
const FRAMES_AT_ONCE: u32 = 16;
/// How many files are looked into at once, when one looks for a contact's.
const LOOKS_AT_ONCE: usize = 8;

/// Whose key seals a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ContentOwner {
    /// The tenant's: what its operators uploaded.
    Tenant,
    /// A contact's: what they sent, and what was sent to them.
    Contact(ContactId),
}

/// Who has the keys of files: every [`Store`] does.
#[async_trait]
pub trait KeyHolder: Send + Sync + 'static {
    /// The key that seals an owner's files; `NotFound` when it is gone or never was.
    async fn content_key(
        &self,
        tenant: TenantId,
        owner: ContentOwner,
    ) -> std::result::Result<ContentKey, StorageError>;
    /// Whether anything new may be written to this machine's disk.
    fn room(&self) -> std::result::Result<(), StorageError> {
        Ok(())
    }
}

#[async_trait]
impl KeyHolder for Arc<dyn Store> {
    async fn content_key(
        &self,
        tenant: TenantId,
        owner: ContentOwner,
    ) -> std::result::Result<ContentKey, StorageError> {
        self.tenant(TenantCtx::platform(tenant)).await?.content_key(owner).await
    }

    fn room(&self) -> std::result::Result<(), StorageError> {
        self.health()
    }
}

/// A file that was stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredMedia {
    /// How long it is.
    pub bytes: u64,
}

/// A file that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListedMedia {
    /// Which.
    pub id: MediaId,
    /// What it takes in the store, somewhat more than it is long.
    pub bytes_stored: u64,
    /// When it was stored. A file is stored before the message that refers to it: whoever removes
    /// what nothing refers to leaves young ones alone.
    pub stored_at: Timestamp,
}

/// A file that is being read.
pub struct OpenedMedia {
    /// Whose key sealed it.
    pub owner: ContentOwner,
    /// Its type.
    pub mime: String,
    /// The name that its sender gave it.
    pub filename: Option<Pii<String>>,
    /// How long it is. Certain when the stream has ended without an error.
    pub bytes_len: u64,
    /// Its bytes, each frame verified before it is handed out.
    pub stream: BoxStream<'static, Result<Bytes>>,
}

impl OpenedMedia {
    /// All of its bytes, for files that are known to be small.
    pub async fn read(self) -> Result<Vec<u8>> {
        let mut room = Vec::new();
        let length = usize::try_from(self.bytes_len).unwrap_or(usize::MAX);
        room.try_reserve_exact(length).map_err(|error| ContentError::Failed {
            doing: "making room for a file in memory",
            reason: error.to_string(),
        })?;
        self.stream
            .try_fold(room, |mut all, bytes| async move {
                all.extend_from_slice(&bytes);
                Ok(all)
            })
            .await
    }
}

/// Where the files of messages are kept. Clones are the same store.
#[derive(Clone)]
pub struct ContentStore(Arc<Inner>);

struct Inner {
    objects: Arc<dyn ObjectStore>,
    /// What a folder needs beside; a bucket does not.
    folder: Option<Folder>,
    keys: Arc<dyn KeyHolder>,
    file_bytes_max: u64,
}

impl ContentStore {
    /// Opens the store that the settings name: the bucket, if there is one, else the folder, which is
    /// created. Blocks while it tidies the folder. A bucket is reached through `egress`, and nothing
    /// is asked of it yet.
    ///
    /// # Errors
    /// [`ContentError::Settings`], [`ContentError::Folder`].
    pub fn open(settings: &MediaSettings, egress: &Egress, keys: impl KeyHolder) -> Result<Self> {
        if settings.s3_bucket.is_empty() {
            let folder = Folder::open(&settings.folder)?;
            let objects = folder.objects()?;
            return Ok(Self::over(objects, Some(folder), keys, settings.file_bytes_max));
        }
        Ok(Self::over(bucket::open(settings, egress)?, None, keys, settings.file_bytes_max))
    }

    /// A store in memory, which keeps nothing after the process ends.
    pub fn memory(file_bytes_max: u64, keys: impl KeyHolder) -> Self {
        Self::over(Arc::new(InMemory::new()), None, keys, file_bytes_max)
    }

    /// A folder whose files are put back as they were stored; it has no keys to open one. Blocking.
    pub(crate) fn raw_folder(path: &std::path::Path) -> Result<Self> {
        struct NoKeys;
        #[async_trait]
        impl KeyHolder for NoKeys {
            async fn content_key(
                &self,
                _: TenantId,
                _: ContentOwner,
            ) -> std::result::Result<ContentKey, StorageError> {
                Err(StorageError::NotFound("key"))
            }
        }
        let folder = Folder::open(path)?;
        let objects = folder.objects()?;
        Ok(Self::over(objects, Some(folder), NoKeys, u64::MAX))
    }

    fn over(
        objects: Arc<dyn ObjectStore>,
        folder: Option<Folder>,
        keys: impl KeyHolder,
        file_bytes_max: u64,
    ) -> Self {
        Self(Arc::new(Inner { objects, folder, keys: Arc::new(keys), file_bytes_max }))
    }

    /// Stores a file; one that has this id already is replaced. Takes about 10 MiB of memory, however
    /// large the file is. When this returns it is on stable
    /// storage; when it fails, or is dropped before, nothing of it is there. A bucket may keep the
    /// unseen parts of what was dropped: let it delete incomplete uploads after a day.
    ///
    /// # Errors
    /// [`ContentError::TooLarge`], [`ContentError::LabelTooLong`], [`ContentError::NoSpace`],
    /// [`ContentError::KeyGone`], [`ContentError::Source`] when `bytes` fails.
    pub async fn put<S, E>(
        &self,
        tenant: TenantId,
        owner: ContentOwner,
        id: MediaId,
        mime: &str,
        filename: Option<&str>,
        bytes: S,
    ) -> Result<StoredMedia>
    where
        S: Stream<Item = std::result::Result<Bytes, E>> + Send,
        E: Into<BoxError>,
    {
        let started = Instant::now();
        if self.0.folder.is_some() {
            self.0.keys.room().map_err(ContentError::Keys)?;
        }
        let key = self.key(tenant, owner, id).await?;
        let filename = filename.map(|name| Pii::new(name.to_owned()));
        let label = Label::new(mime.to_owned(), filename);
        let (sealer, head) = Sealer::begin(key, id, owner, &label)?;
        if let Some(folder) = &self.0.folder {
            folder.prepare(tenant).await?;
        }
        let path = path_of(tenant, id);
        let mut writer =
            BufWriter::with_capacity(Arc::clone(&self.0.objects), path, UPLOAD_BYTES).with_max_concurrency(1);
        let written = match self.fill(&mut writer, sealer, head, bytes).await {
            Ok(written) => written,
            Err(error) => {
                if writer.abort().await.is_err() {
                    tracing::warn!(media = %id, "what was written of a file that failed could not be removed");
                }
                return Err(error);
            }
        };
        writer.shutdown().await.map_err(|error| failed("finishing a file", &from_io(error)))?;
        if let Some(folder) = &self.0.folder {
            folder.make_private(tenant, id).await?;
        }
        count("put", written);
        took("put", started);
        Ok(StoredMedia { bytes: written })
    }

    /// Stores a file that is in memory.
    pub async fn put_bytes(
        &self,
        tenant: TenantId,
        owner: ContentOwner,
        id: MediaId,
        mime: &str,
        filename: Option<&str>,
        bytes: Bytes,
    ) -> Result<StoredMedia> {
        let whole = stream::iter([Ok::<_, ContentError>(bytes)]);
        self.put(tenant, owner, id, mime, filename, whole).await
    }

    /// Opens a file; `None` if there is none of this id. Its type and name are verified, its bytes as
    /// they are read.
    ///
    /// # Errors
    /// [`ContentError::Damaged`] (also from the stream), [`ContentError::WrongKey`],
    /// [`ContentError::KeyGone`].
    pub async fn get(&self, tenant: TenantId, id: MediaId) -> Result<Option<OpenedMedia>> {
        let started = Instant::now();
        let found = match self.0.objects.get(&path_of(tenant, id)).await {
            Ok(found) => found,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(failed("opening a file", &error)),
        };
        let mut reader = Reader::new(found, id);
        let head = reader.head().await?;
        let key = self.key(tenant, head.owner, id).await?;
        let (label, frames) = reader.label(&head, &key).await?;
        let bytes_len = frames.bytes_len;
        let stream = reader.frames(head, key, frames).inspect_ok(|bytes| count("get", bytes.len() as u64));
        took("get", started);
        let Label { mime, filename, .. } = label;
        Ok(Some(OpenedMedia { owner: head.owner, mime, filename, bytes_len, stream: stream.boxed() }))
    }

    /// Whether there is a file of this id. Nothing of it is read.
    pub async fn has(&self, tenant: TenantId, id: MediaId) -> Result<bool> {
        match self.0.objects.head(&path_of(tenant, id)).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(failed("looking for a file", &error)),
        }
    }

    /// Removes a file; says whether there was one.
    pub async fn delete(&self, tenant: TenantId, id: MediaId) -> Result<bool> {
        let path = path_of(tenant, id);
        let removed = match self.0.objects.head(&path).await {
            Ok(_) => self.0.objects.delete(&path).await,
            Err(error) => Err(error),
        };
        match removed {
            Ok(()) => {}
            Err(object_store::Error::NotFound { .. }) => return Ok(false),
            Err(error) => return Err(failed("removing a file", &error)),
        }
        if let Some(folder) = &self.0.folder {
            folder.sync(tenant).await?;
        }
        Ok(true)
    }

    /// Removes the files of a contact; says how many. Looks into every file of the tenant for whose it
    /// is, so it takes a while where there are many: destroying the contact's key is what counts.
    pub async fn delete_of_contact(&self, tenant: TenantId, contact: ContactId) -> Result<u64> {
        self.delete_those(tenant, Some(ContentOwner::Contact(contact))).await
    }

    /// Removes the files that any of these contacts has; says how many. Looks into every file of the tenant.
    pub async fn delete_of_contacts(&self, tenant: TenantId, contacts: &[ContactId]) -> Result<u64> {
        self.delete_where(
            tenant,
            |owner| matches!(owner, Some(ContentOwner::Contact(contact)) if contacts.contains(&contact)),
        )
        .await
    }

    /// Removes all files of a tenant; says how many.
    pub async fn delete_of_tenant(&self, tenant: TenantId) -> Result<u64> {
        self.delete_those(tenant, None).await
    }

    /// The files of a tenant, in no order.
    pub fn list(&self, tenant: TenantId) -> BoxStream<'static, Result<ListedMedia>> {
        let entry = |found: object_store::Result<object_store::ObjectMeta>| match found {
            // What is called otherwise is none of ours.
            Ok(found) => found.location.filename().and_then(|name| name.parse().ok()).map(|id| {
                let stored_at = Timestamp::from_millis(found.last_modified.timestamp_millis());
                Ok(ListedMedia { id, bytes_stored: found.size, stored_at })
            }),
            Err(error) => Some(Err(failed("listing the files", &error))),
        };
        let all = self.0.objects.list(Some(&Path::from(tenant.to_string())));
        all.filter_map(move |found| std::future::ready(entry(found))).boxed()
    }
}

impl ContentStore {
    /// A file as it is stored, for a backup.
    pub(crate) async fn sealed(
        &self,
        tenant: TenantId,
        id: MediaId,
    ) -> Result<Option<BoxStream<'static, Result<Bytes>>>> {
        match self.0.objects.get(&path_of(tenant, id)).await {
            Ok(found) => {
                Ok(Some(found.into_stream().map_err(|error| failed("reading a file", &error)).boxed()))
            }
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(failed("opening a file", &error)),
        }
    }

    /// Puts a file back as it was stored. What was altered meanwhile will not open.
    pub(crate) async fn put_sealed(&self, tenant: TenantId, id: MediaId, sealed: Bytes) -> Result<()> {
        if let Some(folder) = &self.0.folder {
            folder.prepare(tenant).await?;
        }
        let put = self.0.objects.put(&path_of(tenant, id), sealed.into()).await;
        put.map_err(|error| failed("putting a file back", &error))?;
        match &self.0.folder {
            Some(folder) => folder.make_private(tenant, id).await,
            None => Ok(()),
        }
    }

    async fn key(&self, tenant: TenantId, owner: ContentOwner, id: MediaId) -> Result<ContentKey> {
        match self.0.keys.content_key(tenant, owner).await {
            Err(StorageError::NotFound(_)) => Err(ContentError::KeyGone { media: id }),
            other => Ok(other?),
        }
    }

    /// Seals all of `bytes` into the writer; gives their number.
    async fn fill<S, E>(
        &self,
        writer: &mut BufWriter,
        mut sealer: Sealer,
        head: Bytes,
        bytes: S,
    ) -> Result<u64>
    where
        S: Stream<Item = std::result::Result<Bytes, E>> + Send,
        E: Into<BoxError>,
    {
        let broken = |error: object_store::Error| failed("writing a file", &error);
        let bytes_max = self.0.file_bytes_max;
        let (mut written, mut frames) = (0_u64, 0_u32);
        writer.put(head).await.map_err(broken)?;
        let mut bytes = std::pin::pin!(bytes);
        while let Some(piece) = bytes.next().await {
            let mut piece = piece.map_err(|error| ContentError::Source(error.into()))?;
            written = written.saturating_add(piece.len() as u64);
            if written > bytes_max {
                return Err(ContentError::TooLarge { bytes_max });
            }
            while let Some(frame) = sealer.fill(&mut piece)? {
                writer.put(frame).await.map_err(broken)?;
                frames += 1;
                if frames.is_multiple_of(FRAMES_AT_ONCE) {
                    tokio::task::yield_now().await;
                }
            }
        }
        writer.put(sealer.finish()?).await.map_err(broken)?;
        Ok(written)
    }

    async fn delete_those(&self, tenant: TenantId, owner: Option<ContentOwner>) -> Result<u64> {
        match owner {
            Some(_) => self.delete_where(tenant, |of| of == owner).await,
            None => self.delete_where(tenant, |_| true).await,
        }
    }

    async fn delete_where(
        &self,
        tenant: TenantId,
        goes: impl Fn(Option<ContentOwner>) -> bool + Sync,
    ) -> Result<u64> {
        let goes = &goes;
        let each = self.list(tenant).map(|entry| {
            let store = self.clone();
            async move {
                let id = entry?.id;
                if !goes(store.owner_of(tenant, id).await?) {
                    return Ok(false);
                }
                store.delete(tenant, id).await
            }
        });
        each.buffer_unordered(LOOKS_AT_ONCE)
            .try_fold(0, |count, removed| async move { Ok(count + u64::from(removed)) })
            .await
    }

    /// Whose a file says it is; nothing for what is no file of ours, or gone.
    async fn owner_of(&self, tenant: TenantId, id: MediaId) -> Result<Option<ContentOwner>> {
        match self.0.objects.get_range(&path_of(tenant, id), 0..Head::BYTES as u64).await {
            Ok(bytes) => Ok(Head::read(&bytes).map(|head| head.owner)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(failed("looking into a file", &error)),
        }
    }
}

/// What is sealed with a file, beside its bytes.
pub(crate) fn label_shape() -> iassistance_domain::map::Shape {
    <Label as iassistance_domain::map::Mapped>::shape()
}

fn path_of(tenant: TenantId, id: MediaId) -> Path {
    Path::from_iter([tenant.to_string(), id.to_string()])
}

fn count(op: &'static str, bytes: u64) {
    metrics::counter!("iassistance_content_bytes_total", "op" => op).increment(bytes);
}

/// A put is over when the file is on stable storage, a get has begun when its first bytes can be read.
fn took(op: &'static str, started: Instant) {
    metrics::histogram!("iassistance_content_seconds", "op" => op).record(started.elapsed().as_secs_f64());
}
