//! Where backups are: a folder, or a bucket that speaks S3. A file appears whole or not at all, and is
//! on stable storage when it was put.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use object_store::buffered::BufWriter;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use sha2::{Digest, Sha256};

use iassistance_config::{BackupSettings, MediaSettings};
use iassistance_domain::Timestamp;
use iassistance_egress::Egress;

use super::error::{BackupError, place, unreadable};
use super::manifest::{FOLDER, sha256};
use crate::ContentError;
use crate::content::bucket;
use crate::content::folder::create;

/// The folders in which files of backups lie. In each of them there are only files.
const FOLDERS: [&str; 3] = [FOLDER, "chunks", "media"];
/// A file that is read whole has at most so many bytes: manifests and lists are smaller.
const READ_BYTES_MAX: u64 = 1 << 30;
/// As the smallest part that S3 takes.
const UPLOAD_BYTES: usize = 5 << 20;

/// Where backups are. Clones are the same place.
#[derive(Clone)]
pub struct Place {
    objects: Arc<dyn ObjectStore>,
    prefix: Path,
    text: Arc<str>,
}

/// A file that is there.
pub(super) struct Listed {
    pub(super) name: String,
    pub(super) bytes: u64,
    pub(super) written_at: Timestamp,
}

impl Place {
    /// The place that `to` names: a folder, which is created, or `s3://bucket/prefix`, reached through
    /// `egress` with what `settings` says of the bucket. Nothing is asked of a bucket yet. Blocking.
    ///
    /// # Errors
    /// [`BackupError::Settings`], [`BackupError::Folder`].
    pub fn open(to: &str, settings: &BackupSettings, egress: &Egress) -> Result<Self, BackupError> {
        let Some(bucket) = to.strip_prefix("s3://") else { return Self::folder(to) };
        let (bucket, prefix) = bucket.split_once('/').unwrap_or((bucket, ""));
        if bucket.is_empty() {
            return Err(BackupError::Settings(format!("`{to}` names no bucket: write s3://bucket/prefix")));
        }
        let prefix = Path::parse(prefix)
            .map_err(|error| BackupError::Settings(format!("`{to}` is no place: {error}")))?;
        let settings = MediaSettings {
            folder: PathBuf::new(),
            s3_bucket: bucket.to_owned(),
            s3_endpoint: settings.s3_endpoint.clone(),
            s3_region: settings.s3_region.clone(),
            s3_access_key_id: settings.s3_access_key_id.clone(),
            s3_secret_access_key: settings.s3_secret_access_key.clone(),
            file_bytes_max: u64::MAX,
            fetch_concurrency: 0,
            fetch_attempts_max: 0,
            fetch_timeout_ms: 0,
        };
        let objects = bucket::open(&settings, egress).map_err(|error| match error {
            // The bucket of the backups has settings of the same names, of its own.
            ContentError::Settings { key, rule } => {
                BackupError::Settings(format!("`{}` {rule}", key.replacen("media.", "backup.", 1)))
            }
            other => BackupError::Content(other),
        })?;
        Ok(Self { objects, prefix, text: to.into() })
    }

    /// A folder, which is created with those above it and closed to others. Blocking.
    ///
    /// # Errors
    /// [`BackupError::Settings`], [`BackupError::Folder`].
    pub fn folder(to: &str) -> Result<Self, BackupError> {
        if to.is_empty() {
            let text = "name a place for the backups: a folder or s3://bucket/prefix (backup.to)";
            return Err(BackupError::Settings(text.to_owned()));
        }
        let path = PathBuf::from(to);
        let unusable = |reason: String| BackupError::Folder { path: path.clone(), reason };
        for folder in FOLDERS.map(|folder| path.join(folder)) {
            if !folder.is_dir() {
                create(&folder).map_err(|error| unusable(error.to_string()))?;
            }
        }
        let objects = LocalFileSystem::new_with_prefix(&path).map_err(|error| unusable(error.to_string()))?;
        // Who made the folders may have ended before they were lasting.
        File::open(&path)
            .and_then(|folder| folder.sync_all())
            .map_err(|error| unusable(error.to_string()))?;
        Ok(Self { objects: Arc::new(objects.with_fsync(true)), prefix: Path::default(), text: to.into() })
    }

    /// A place over objects of any kind: for tests that make them fail.
    pub fn over(objects: Arc<dyn ObjectStore>) -> Self {
        Self { objects, prefix: Path::default(), text: "objects".into() }
    }

    /// What it is called.
    pub fn text(&self) -> &str {
        &self.text
    }

    fn path(&self, name: &str) -> Path {
        self.prefix.parts().chain(Path::from(name).parts()).collect()
    }

    pub(super) async fn put(&self, name: &str, bytes: Vec<u8>) -> Result<(), BackupError> {
        self.objects.put(&self.path(name), bytes.into()).await.map_err(place("writing a backup")).map(drop)
    }

    /// A writer for a file that is too large for memory. It is there once the writer was shut down.
    pub(super) fn writer(&self, name: &str) -> BufWriter {
        BufWriter::with_capacity(Arc::clone(&self.objects), self.path(name), UPLOAD_BYTES)
            .with_max_concurrency(1)
    }

    pub(super) async fn get(&self, name: &str) -> Result<Bytes, BackupError> {
        let found = self.objects.get(&self.path(name)).await.map_err(unreadable(name))?;
        if found.meta.size > READ_BYTES_MAX {
            let reason = format!("has more than {READ_BYTES_MAX} bytes");
            return Err(BackupError::Damaged { file: name.to_owned(), reason });
        }
        found.bytes().await.map_err(unreadable(name))
    }

    /// A file that must have this hash.
    pub(super) async fn get_verified(&self, name: &str, hash: &str) -> Result<Bytes, BackupError> {
        let bytes = self.get(name).await?;
        if sha256(&bytes) == hash { Ok(bytes) } else { Err(altered(name)) }
    }

    /// Reads a file, of any size, and compares its hash.
    pub(super) async fn verify(&self, name: &str, hash: &str) -> Result<(), BackupError> {
        let found = self.objects.get(&self.path(name)).await.map_err(unreadable(name))?;
        let hashed = found.into_stream().map_err(unreadable(name)).try_fold(
            Sha256::new(),
            |mut sum, bytes| async move {
                sum.update(&bytes);
                Ok(sum)
            },
        );
        if hex::encode(hashed.await?.finalize()) == hash { Ok(()) } else { Err(altered(name)) }
    }

    /// The files of a folder, in no order.
    pub(super) async fn list(&self, folder: &str) -> Result<Vec<Listed>, BackupError> {
        let found = self.objects.list(Some(&self.path(folder)));
        let named = found.map_ok(|found| {
            let name = format!("{folder}/{}", found.location.filename().unwrap_or_default());
            let written_at = Timestamp::from_millis(found.last_modified.timestamp_millis());
            Listed { name, bytes: found.size, written_at }
        });
        named.boxed().try_collect().await.map_err(place("listing the backups"))
    }

    /// Removes a file; one that is not there is no error.
    pub(super) async fn remove(&self, name: &str) -> Result<(), BackupError> {
        match self.objects.delete(&self.path(name)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(place("removing an old backup")(error)),
        }
    }
}

fn altered(name: &str) -> BackupError {
    let reason = "was altered or cut short: its SHA-256 is not that of the manifest".to_owned();
    BackupError::Damaged { file: name.to_owned(), reason }
}
