//! What a folder of files needs beside reading and writing: nobody else may look into it, and nothing
//! unfinished stays in it.

use std::collections::HashSet;
use std::fs::{self, DirBuilder, File, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use tokio::sync::Mutex;

use iassistance_domain::id::{MediaId, TenantId};

use super::Result;
use super::error::{ContentError, failed, from_io};

const PRIVATE_FOLDER: u32 = 0o700;
const PRIVATE_FILE: u32 = 0o600;
/// Stands in the name of a file that is being written, before a number.
const UNFINISHED: u8 = b'#';

/// The folder in which each tenant has one of its own.
pub(super) struct Folder {
    path: PathBuf,
    /// Whose folders are there for certain, also after a power cut.
    prepared: Mutex<HashSet<TenantId>>,
}

impl Folder {
    /// Opens the folder, or creates it, and removes what a crash left unfinished. Blocking.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let unusable = |source| ContentError::Folder { path: path.to_owned(), source };
        if !path.is_dir() {
            create(path).map_err(unusable)?;
        }
        let left = remove_unfinished(path).map_err(unusable)?;
        if left > 0 {
            tracing::warn!(files = left, "removed files that were being written when the process ended");
        }
        Ok(Self { path: path.to_owned(), prepared: Mutex::default() })
    }

    /// The files in it; what is written there is synced with its folder before it counts.
    pub(super) fn objects(&self) -> Result<Arc<dyn ObjectStore>> {
        let objects = LocalFileSystem::new_with_prefix(&self.path);
        Ok(Arc::new(objects.map_err(|error| failed("opening the folder", &error))?.with_fsync(true)))
    }

    /// Makes the tenant's folder, if it is not there.
    pub(super) async fn prepare(&self, tenant: TenantId) -> Result<()> {
        let mut prepared = self.prepared.lock().await;
        if prepared.contains(&tenant) {
            return Ok(());
        }
        let (all, own) = (self.path.clone(), self.of(tenant));
        blocking("making a tenant's folder", move || {
            match DirBuilder::new().mode(PRIVATE_FOLDER).create(&own) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
                // One that was there already may be from a process that ended before this.
                _ => sync(&all),
            }
        })
        .await?;
        prepared.insert(tenant);
        Ok(())
    }

    /// Lets nobody else read a file that was stored. (Before, the folder's own mode did.)
    pub(super) async fn make_private(&self, tenant: TenantId, id: MediaId) -> Result<()> {
        let file = self.of(tenant).join(id.to_string());
        blocking("closing a file to others", move || {
            fs::set_permissions(&file, Permissions::from_mode(PRIVATE_FILE))
        })
        .await
    }

    /// Makes lasting what was removed.
    pub(super) async fn sync(&self, tenant: TenantId) -> Result<()> {
        let own = self.of(tenant);
        blocking("syncing a tenant's folder", move || sync(&own)).await
    }

    fn of(&self, tenant: TenantId) -> PathBuf {
        self.path.join(tenant.to_string())
    }
}

/// Makes the folder and those above it that are missing, and makes them lasting.
pub(crate) fn create(folder: &Path) -> io::Result<()> {
    let missing: Vec<&Path> = folder.ancestors().take_while(|path| !holder(path).is_dir()).collect();
    DirBuilder::new().recursive(true).mode(PRIVATE_FOLDER).create(folder)?;
    sync(holder(folder))?;
    missing.into_iter().try_for_each(|made| sync(holder(holder(made))))
}

/// The folder in which a path is.
fn holder(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

fn remove_unfinished(folder: &Path) -> io::Result<u64> {
    let mut removed = 0;
    for own in fs::read_dir(folder)? {
        let own = own?;
        let is_tenants = own.file_name().to_str().is_some_and(|name| name.parse::<TenantId>().is_ok());
        if !is_tenants || !own.file_type()?.is_dir() {
            continue;
        }
        for file in fs::read_dir(own.path())? {
            let file = file?;
            if file.file_name().as_encoded_bytes().contains(&UNFINISHED) {
                fs::remove_file(file.path())?;
                removed += 1;
            }
        }
    }
    Ok(removed)
}

async fn blocking(doing: &'static str, work: impl FnOnce() -> io::Result<()> + Send + 'static) -> Result<()> {
    let ended = tokio::task::spawn_blocking(work).await;
    let ended = ended.unwrap_or_else(|_| Err(io::Error::other("the task panicked or was stopped")));
    ended.map_err(|error| failed(doing, &from_io(error)))
}
