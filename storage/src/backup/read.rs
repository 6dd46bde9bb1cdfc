//! Reading backups: which there are, whether one is whole, and what is in it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use futures::{StreamExt, TryStreamExt, stream};

use iassistance_domain::Timestamp;
use iassistance_domain::id::{BackupId, TenantId};

use super::chunk::{self, Entry};
use super::error::BackupError;
use super::manifest::{BackupKind, FOLDER, Manifest, file_of};
use super::media::{self, KnownFile, MediaKey};
use super::place::Place;
use super::seal::Identity;

/// Manifests that are read at once.
const READS_AT_ONCE: usize = 8;
/// What belongs to no backup is removed when it is older: another process may be writing it.
const FORSAKEN_MS: u64 = 24 * 60 * 60 * 1_000;

/// The manifests of a place, in memory once they were read: they never change.
pub(super) struct Index {
    place: Place,
    read: Mutex<BTreeMap<String, (Arc<Manifest>, String)>>,
}

impl Index {
    pub(super) fn new(place: Place) -> Self {
        Self { place, read: Mutex::default() }
    }

    /// All manifests with their hashes, newest first, and the names of those that cannot be read.
    async fn all(&self) -> Result<(Vec<(Arc<Manifest>, String)>, Vec<String>), BackupError> {
        let listed = self.place.list(FOLDER).await?;
        let names: HashSet<String> = listed.into_iter().map(|file| file.name).collect();
        let missing: Vec<String> = {
            let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
            read.retain(|name, _| names.contains(name));
            names.iter().filter(|name| !read.contains_key(*name)).cloned().collect()
        };
        let place = &self.place;
        let mut fetched = stream::iter(missing)
            .map(|name| async move {
                let manifest = match place.get(&name).await {
                    Ok(bytes) => Manifest::read(&name, &bytes),
                    Err(error) => Err(error),
                };
                (name, manifest)
            })
            .buffer_unordered(READS_AT_ONCE);
        let mut unreadable = Vec::new();
        while let Some((name, manifest)) = fetched.next().await {
            match manifest {
                Ok((manifest, hash)) => {
                    let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
                    read.insert(name, (Arc::new(manifest), hash));
                }
                // It was removed since it was listed.
                Err(BackupError::Missing { .. }) => {}
                Err(error @ BackupError::Place { .. }) => return Err(error),
                Err(error) => {
                    tracing::warn!(%error, "a backup cannot be read");
                    unreadable.push(name);
                }
            }
        }
        drop(fetched);
        let read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<_> = read.values().cloned().collect();
        all.sort_by_key(|(manifest, _)| std::cmp::Reverse(manifest.id));
        Ok((all, unreadable))
    }

    pub(super) async fn list(&self) -> Result<(Vec<Arc<Manifest>>, Vec<String>), BackupError> {
        let (all, unreadable) = self.all().await?;
        Ok((all.into_iter().map(|(manifest, _)| manifest).collect(), unreadable))
    }

    /// The files of messages that are there and that a list names.
    pub(super) async fn media(&self) -> Result<HashMap<MediaKey, KnownFile>, BackupError> {
        let sizes: HashMap<_, _> =
            self.place.list("media").await?.into_iter().map(|file| (file.name, file.bytes)).collect();
        let mut known = HashMap::new();
        for (manifest, _) in self.all().await?.0 {
            // A list that is damaged names nothing: its files are copied again.
            for (key, file) in media_of(&self.place, &manifest).await.unwrap_or_default() {
                if sizes.get(&media::name(key.0, key.1)) == Some(&file.bytes) {
                    known.entry(key).or_insert(file);
                }
            }
        }
        Ok(known)
    }

    /// Removes all but the newest `keep` bases with what follows them, and what belongs to none. Those of
    /// one tenant alone stay.
    pub(super) async fn prune(
        &self,
        keep: usize,
        now: Timestamp,
        known: &mut HashMap<MediaKey, KnownFile>,
    ) -> Result<(), BackupError> {
        let (all, unreadable) = self.all().await?;
        let whole = all.iter().filter(|(manifest, _)| manifest.tenant.is_none());
        let bases = whole.filter(|(manifest, _)| manifest.kind == BackupKind::Base);
        let kept: HashSet<BackupId> = bases.take(keep).map(|(manifest, _)| manifest.id).collect();
        let (stay, go): (Vec<_>, Vec<_>) = all
            .iter()
            .map(|(manifest, _)| manifest)
            .partition(|manifest| manifest.tenant.is_some() || kept.contains(&manifest.base));
        for manifest in &go {
            // The manifest first: what is left of it is no backup any more.
            self.place.remove(&file_of(manifest.id)).await?;
        }
        let mut files: HashSet<String> = HashSet::new();
        for manifest in &stay {
            files.extend(manifest.chunks.iter().chain(&manifest.media).map(|file| file.file.clone()));
            for ((tenant, id), _) in media_of(&self.place, manifest).await? {
                files.insert(media::name(tenant, id));
            }
        }
        let gone: HashSet<String> = go.iter().map(|manifest| manifest.id.to_string()).collect();
        for folder in ["chunks", "media"] {
            // What a manifest that cannot be read needs is not known: everything may be.
            let sure = unreadable.is_empty();
            for listed in self.place.list(folder).await? {
                let of_gone = listed
                    .name
                    .strip_prefix("chunks/")
                    .and_then(|name| name.split_once('-'))
                    .is_some_and(|(id, _)| gone.contains(id));
                let forsaken = sure && now.millis_since(listed.written_at) > FORSAKEN_MS;
                let of_media = sure && folder == "media" && !gone.is_empty();
                if !files.contains(&listed.name) && (of_gone || forsaken || of_media) {
                    self.place.remove(&listed.name).await?;
                    if let Some(key) = media::key_of(&listed.name) {
                        known.remove(&key);
                    }
                }
            }
        }
        Ok(())
    }
}

async fn media_of(place: &Place, manifest: &Manifest) -> Result<Vec<(MediaKey, KnownFile)>, BackupError> {
    let Some(list) = &manifest.media else { return Ok(Vec::new()) };
    media::read_list(&list.file, &place.get_verified(&list.file, &list.sha256).await?)
}

/// Which backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Which {
    /// The newest.
    #[default]
    Latest,
    /// This one.
    Id(BackupId),
    /// The newest that is not younger than this moment.
    At(Timestamp),
}

/// What was found to be whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Verified {
    /// Backups that it goes back to, with itself.
    pub backups: u64,
    /// Files that were read and compared.
    pub files: u64,
    /// Records that were opened, and marks of those that are gone; none without an identity.
    pub records: u64,
}

/// A place with what opens its backups.
pub struct Source {
    place: Place,
    index: Index,
}

/// A backup with all that it goes back to, oldest first.
pub struct Chain(pub(super) Vec<Arc<Manifest>>);

impl Chain {
    /// The one that was asked for.
    pub fn tip(&self) -> Option<&Manifest> {
        self.0.last().map(|manifest| &**manifest)
    }
}

impl Source {
    /// Backups at `place`.
    pub fn new(place: Place) -> Self {
        Self { index: Index::new(place.clone()), place }
    }

    /// The backups that are there, newest first, and the names of manifests that cannot be read.
    pub async fn list(&self) -> Result<(Vec<Arc<Manifest>>, Vec<String>), BackupError> {
        self.index.list().await
    }

    /// The backup that is meant, with all that it goes back to; one of a tenant alone where it is named by
    /// its id.
    ///
    /// # Errors
    /// As [`chain`](Self::chain).
    pub async fn chain_of_any(&self, which: Which) -> Result<Chain, BackupError> {
        let tenant = match which {
            Which::Id(id) => {
                let (all, _) = self.index.all().await?;
                all.iter().find(|(manifest, _)| manifest.id == id).and_then(|(manifest, _)| manifest.tenant)
            }
            Which::Latest | Which::At(_) => None,
        };
        self.chain(which, tenant).await
    }

    /// The backup that is meant, with all that it goes back to: of the whole store, or, where `tenant` is
    /// named, of that tenant alone too.
    ///
    /// # Errors
    /// [`BackupError::NotFound`]; [`BackupError::Missing`] when one that it goes back to is not there.
    pub async fn chain(&self, which: Which, tenant: Option<TenantId>) -> Result<Chain, BackupError> {
        let (all, unreadable) = self.index.all().await?;
        let named = match which {
            Which::Id(id) => Some(file_of(id)),
            Which::Latest | Which::At(_) => None,
        };
        if let Some(file) = unreadable.iter().find(|file| named.as_ref() == Some(file)) {
            // Read once more, to say what is wrong with it.
            Manifest::read(file, &self.place.get(file).await?)?;
        }
        let fits = |manifest: &Manifest| match which {
            Which::Latest => true,
            Which::Id(id) => manifest.id == id,
            Which::At(at) => manifest.at <= at,
        };
        let meant = all
            .iter()
            .find(|(manifest, _)| fits(manifest) && (manifest.tenant.is_none() || manifest.tenant == tenant));
        let (mut current, _) = meant.cloned().ok_or_else(|| {
            BackupError::NotFound(match which {
                Which::Latest => format!("{} holds none", self.place.text()),
                Which::Id(id) => format!("{} holds none of the id {id}", self.place.text()),
                Which::At(_) => format!("{} holds none so old", self.place.text()),
            })
        })?;
        let mut chain = vec![Arc::clone(&current)];
        while let Some(link) = current.previous.clone() {
            let file = file_of(link.id);
            let before = all.iter().find(|(manifest, _)| manifest.id == link.id);
            let (before, hash) = before.ok_or_else(|| BackupError::Missing { file: file.clone() })?;
            if *hash != link.sha256 {
                let reason = format!("is not the one that {} follows", current.id);
                return Err(BackupError::Damaged { file, reason });
            }
            current = Arc::clone(before);
            chain.push(Arc::clone(&current));
        }
        chain.reverse();
        Ok(Chain(chain))
    }

    /// Reads every file of a backup and of those that it goes back to and compares its hash; with an
    /// identity it opens them and counts what is in them. `progress` hears of files and bytes.
    pub async fn verify(
        &self,
        chain: &Chain,
        identity: Option<&Identity>,
        progress: &(dyn Fn(u64, u64) + Sync),
    ) -> Result<Verified, BackupError> {
        let mut found = Verified { backups: chain.0.len() as u64, ..Verified::default() };
        let mut bytes = 0;
        if let Some(identity) = identity {
            found.records = self.each(chain, identity, &mut |_| Ok(())).await?;
        }
        for manifest in &chain.0 {
            for file in manifest.chunks.iter().chain(&manifest.media) {
                self.place.verify(&file.file, &file.sha256).await?;
                found.files += 1;
                bytes += file.bytes;
                progress(found.files, bytes);
            }
        }
        for ((tenant, id), file) in self.media(chain).await? {
            self.place.verify(&media::name(tenant, id), &file.hash()).await?;
            found.files += 1;
            bytes += file.bytes;
            progress(found.files, bytes);
        }
        Ok(found)
    }

    /// Hands every record of a chain out, in the order in which they count; gives their number. Nothing of
    /// a file that is damaged is handed out.
    pub(super) async fn each(
        &self,
        chain: &Chain,
        identity: &Identity,
        each: &mut (dyn FnMut(Entry<'_>) -> Result<(), BackupError> + Send),
    ) -> Result<u64, BackupError> {
        let mut records = 0;
        for manifest in &chain.0 {
            for (number, file) in (1..).zip(&manifest.chunks) {
                let sealed = self.place.get_verified(&file.file, &file.sha256).await?;
                let opened = identity.open(&file.file, &manifest.recipients, &sealed)?;
                drop(sealed);
                let read = chunk::read(&file.file, manifest.id, number, &opened, each)?;
                if read != file.entries {
                    let reason = format!("holds {read} records and not {}", file.entries);
                    return Err(BackupError::Damaged { file: file.file.clone(), reason });
                }
                records += read;
            }
        }
        Ok(records)
    }

    /// The files of messages of a chain.
    pub(super) async fn media(&self, chain: &Chain) -> Result<BTreeMap<MediaKey, KnownFile>, BackupError> {
        let each = stream::iter(&chain.0).then(|manifest| media_of(&self.place, manifest));
        let lists: Vec<_> = each.try_collect().await?;
        Ok(lists.into_iter().flatten().collect())
    }

    /// A file of a message as the content store has it.
    pub(super) async fn media_file(
        &self,
        chain: &Chain,
        (tenant, id): MediaKey,
        file: &KnownFile,
        identity: &Identity,
    ) -> Result<Vec<u8>, BackupError> {
        let name = media::name(tenant, id);
        let sealed = self.place.get_verified(&name, &file.hash()).await?;
        let recipients = chain.tip().map(|tip| tip.recipients.clone()).unwrap_or_default();
        identity.open(&name, &recipients, &sealed)
    }
}
