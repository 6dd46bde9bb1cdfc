//! Restoring: a whole store into a new folder, or one tenant into the running server.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use iassistance_domain::id::TenantId;
use iassistance_vault::{Keyring, TenantVault};

use super::error::BackupError;
use super::read::{Chain, Source};
use super::seal::Identity;
use crate::SledStore;
use crate::content::ContentStore;
use crate::sled::disk::SystemDisk;
use crate::sled::moment::is_of;
use crate::sled::replace::{NewStore, Replaced, TenantRecords};

/// What was restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Restored {
    /// Records of the store.
    pub records: u64,
    /// Files of messages.
    pub media: u64,
}

/// Where a store is restored to.
pub struct Target {
    /// Its folder, which must not be there.
    pub store: PathBuf,
    /// The folder of the files of messages, which must not be there; nothing where they stay as they are.
    pub media: Option<PathBuf>,
}

impl Source {
    /// Restores a chain into new folders, which appear when they are whole and on stable storage. With a
    /// tenant and the keyring, its records alone. `progress` hears of the records so far.
    ///
    /// # Errors
    /// [`BackupError::Exists`], [`BackupError::WrongIdentity`], and whatever is wrong with a file.
    pub async fn restore(
        &self,
        chain: &Chain,
        identity: &Identity,
        target: &Target,
        only: Option<(TenantId, &Keyring)>,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<Restored, BackupError> {
        for path in std::iter::once(&target.store).chain(&target.media) {
            if path.exists() {
                return Err(BackupError::Exists { path: path.clone() });
            }
        }
        let platform = only.map(|(tenant, keyring)| (tenant, keyring.platform()));
        let draft = draft_of(&target.store);
        clear(&draft)?;
        let mut store = NewStore::create(&draft, Arc::new(SystemDisk))?;
        let mut seen = 0;
        self.each(chain, identity, &mut |entry| {
            seen += 1;
            progress(seen);
            if platform.as_ref().is_none_or(|(tenant, platform)| is_wanted(*tenant, platform, &entry)) {
                store.add(entry.space, entry.key, entry.sealed)?;
            }
            Ok(())
        })
        .await?;
        let records = store.finish()?;
        let media = match &target.media {
            Some(folder) => {
                self.restore_media(chain, identity, folder, only.map(|(tenant, _)| tenant)).await?
            }
            None => 0,
        };
        appear(&draft, &target.store)?;
        Ok(Restored { records, media })
    }

    async fn restore_media(
        &self,
        chain: &Chain,
        identity: &Identity,
        folder: &Path,
        only: Option<TenantId>,
    ) -> Result<u64, BackupError> {
        let draft = draft_of(folder);
        clear(&draft)?;
        let content = ContentStore::raw_folder(&draft)?;
        let mut count = 0;
        for (key, file) in self.media(chain).await? {
            if only.is_none_or(|tenant| tenant == key.0) {
                let sealed = self.media_file(chain, key, &file, identity).await?;
                content.put_sealed(key.0, key.1, Bytes::from(sealed)).await?;
                count += 1;
            }
        }
        appear(&draft, folder)?;
        Ok(count)
    }

    /// Reads one tenant's records and then puts them in the place of those that it has, in one write; then
    /// the files of messages that are missing. Nothing is changed before all records were read. The
    /// tenant's actors must not run meanwhile: see `ready`, which is asked before the write.
    ///
    /// # Errors
    /// [`BackupError::TooLarge`] for more than `bytes_max`, [`BackupError::NoKeys`], what `ready` says, and
    /// whatever is wrong with a file.
    pub async fn restore_tenant(
        &self,
        chain: &Chain,
        identity: &Identity,
        (store, content): (&SledStore, &ContentStore),
        (tenant, bytes_max): (TenantId, usize),
        ready: impl Future<Output = Result<(), BackupError>>,
    ) -> Result<(Replaced, u64), BackupError> {
        if !store.has_keys(tenant) {
            return Err(BackupError::NoKeys(tenant));
        }
        let records = self.tenant_records(chain, identity, store, tenant, bytes_max).await?;
        ready.await?;
        let replaced = store.replace_tenant(records).await?;
        let mut media = 0;
        for (key, file) in self.media(chain).await? {
            if key.0 == tenant && content.sealed(key.0, key.1).await?.is_none() {
                let sealed = self.media_file(chain, key, &file, identity).await?;
                content.put_sealed(key.0, key.1, Bytes::from(sealed)).await?;
                media += 1;
            }
        }
        Ok((replaced, media))
    }

    async fn tenant_records(
        &self,
        chain: &Chain,
        identity: &Identity,
        store: &SledStore,
        tenant: TenantId,
        bytes_max: usize,
    ) -> Result<TenantRecords, BackupError> {
        let (mut own, mut platform) = (BTreeMap::new(), BTreeMap::new());
        let mut bytes = 0;
        self.each(chain, identity, &mut |entry| {
            let records = match (entry.space, entry.sealed) {
                (Some(space), _) if space == tenant => &mut own,
                (None, Some(sealed)) if store.is_of(tenant, entry.key, sealed) => &mut platform,
                (None, None) => &mut platform,
                _ => return Ok(()),
            };
            let size = |sealed: &Vec<u8>| sealed.len() + entry.key.len();
            let former = match entry.sealed {
                Some(sealed) => {
                    bytes += sealed.len() + entry.key.len();
                    records.insert(entry.key.to_vec(), sealed.to_vec())
                }
                None => records.remove(entry.key),
            };
            bytes -= former.as_ref().map_or(0, size);
            if bytes > bytes_max { Err(BackupError::TooLarge { bytes_max }) } else { Ok(()) }
        })
        .await?;
        if own.is_empty() && platform.is_empty() {
            return Err(BackupError::NotFound(format!("it holds nothing of {tenant}")));
        }
        Ok(TenantRecords { tenant, own, platform })
    }
}

fn is_wanted(tenant: TenantId, platform: &TenantVault, entry: &super::chunk::Entry<'_>) -> bool {
    match (entry.space, entry.sealed) {
        (None, Some(sealed)) => is_of(platform, tenant, entry.key, sealed),
        (None, None) => true,
        (Some(space), _) => space == tenant,
    }
}

/// Where a folder is while it is being written.
fn draft_of(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".restoring");
    path.with_file_name(name)
}

/// Removes what a restore left that was cut short, and makes the folder above.
fn clear(draft: &Path) -> Result<(), BackupError> {
    let failed =
        |error: std::io::Error| BackupError::Folder { path: draft.to_owned(), reason: error.to_string() };
    if draft.exists() {
        fs::remove_dir_all(draft).map_err(failed)?;
    }
    match draft.parent().filter(|parent| !parent.as_os_str().is_empty() && !parent.is_dir()) {
        Some(parent) => crate::content::folder::create(parent).map_err(failed),
        None => Ok(()),
    }
}

fn appear(draft: &Path, path: &Path) -> Result<(), BackupError> {
    let failed =
        |error: std::io::Error| BackupError::Folder { path: path.to_owned(), reason: error.to_string() };
    fs::rename(draft, path).map_err(failed)?;
    let above = path.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::File::open(above).and_then(|above| above.sync_all()).map_err(failed)
}
