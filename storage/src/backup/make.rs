//! Making backups: a base, then increments, each read back before it counts.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use iassistance_config::BackupSettings;
use iassistance_domain::id::{BackupId, MediaId, TenantId};
use iassistance_domain::{Clock, Entropy, Timestamp};
use tokio::sync::TryLockError;

use super::chunk::Chunk;
use super::error::BackupError;
use super::manifest::{BackupFile, BackupKind, FORMAT, Link, Manifest, file_of, sha256};
use super::media::{KnownFile, MediaCopy};
use super::place::Place;
use super::read::Index;
use super::seal::Recipients;
use crate::SledStore;
use crate::content::ContentStore;
use crate::sled::Taken;
use crate::sled::moment::{Copied, LAST_ROWS_MAX, Last};

/// A file of records is ended when it has so many bytes.
const CHUNK_BYTES: usize = 8 << 20;
/// How often what changed meanwhile is read before the rest is read in the writing thread.
const ROUNDS_MAX: u32 = 8;
const HOUR_MS: u64 = 60 * 60 * 1_000;

/// What a backup is made of.
pub struct Parts {
    /// The store.
    pub store: SledStore,
    /// The files of messages.
    pub content: ContentStore,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub entropy: Arc<dyn Entropy>,
}

/// Makes backups of one store at one place, one at a time. Clones are the same.
#[derive(Clone)]
pub struct Backups(Arc<Inner>);

struct Inner {
    parts: Parts,
    place: Place,
    recipients: Recipients,
    base_ms: u64,
    keep: usize,
    changed_bytes_max: usize,
    state: tokio::sync::Mutex<State>,
    index: Index,
    failure: Mutex<Option<(Timestamp, String)>>,
}

#[derive(Default)]
struct State {
    /// What the next increment follows.
    tip: Option<Tip>,
    /// The files of messages that are there already, once they were looked up.
    media: Option<HashMap<(TenantId, MediaId), KnownFile>>,
}

#[derive(Clone)]
struct Tip {
    link: Link,
    base: BackupId,
    base_at: Timestamp,
}

/// A backup in the making.
pub(super) struct Draft<'a> {
    pub(super) place: &'a Place,
    pub(super) recipients: &'a Recipients,
    pub(super) id: BackupId,
    only: Option<TenantId>,
    store: &'a SledStore,
    chunk: Chunk,
    chunks: Vec<BackupFile>,
    /// Everything that was written, to be removed if it fails.
    pub(super) written: Vec<String>,
}

impl Backups {
    /// Backups of the store at `place`, as the settings want them.
    ///
    /// # Errors
    /// [`BackupError::Settings`], when there is no recipient, or one that is none.
    pub fn new(parts: Parts, place: Place, settings: &BackupSettings) -> Result<Self, BackupError> {
        Ok(Self(Arc::new(Inner {
            parts,
            index: Index::new(place.clone()),
            place,
            recipients: Recipients::read(&settings.recipients)?,
            base_ms: settings.base_hours.saturating_mul(HOUR_MS),
            keep: settings.keep,
            changed_bytes_max: settings.changed_bytes_max,
            state: tokio::sync::Mutex::default(),
            failure: Mutex::default(),
        })))
    }

    /// Makes a backup: an increment where it is known what changed since the one before, a base
    /// otherwise and every `backup.base_hours`. When this returns, all of it was read back. Takes about
    /// 30 MiB of memory.
    ///
    /// # Errors
    /// [`BackupError::Busy`] while another is made; others leave those that are there as they were.
    pub async fn make(&self) -> Result<Manifest, BackupError> {
        self.make_of(None).await
    }

    /// The same, with the records of one tenant alone if one is named: a base that none follows.
    pub async fn make_of(&self, only: Option<TenantId>) -> Result<Manifest, BackupError> {
        let inner = &*self.0;
        let mut state = inner.state.try_lock().map_err(|TryLockError { .. }| BackupError::Busy)?;
        let made = inner.make(&mut state, only).await;
        let outcome = if made.is_ok() { "made" } else { "failed" };
        metrics::counter!("iassistance_backups_total", "outcome" => outcome).increment(1);
        let mut failure = inner.failure.lock().unwrap_or_else(PoisonError::into_inner);
        *failure = match &made {
            Ok(_) => None,
            Err(error) => Some((inner.parts.clock.now(), error.to_string())),
        };
        made
    }

    /// Whether one is being made.
    pub fn is_busy(&self) -> bool {
        self.0.state.try_lock().is_err()
    }

    /// When and why the latest try failed, if it did.
    pub fn failure(&self) -> Option<(Timestamp, String)> {
        self.0.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The backups that are there, newest first, and the names of manifests that cannot be read.
    pub async fn list(&self) -> Result<(Vec<Arc<Manifest>>, Vec<String>), BackupError> {
        self.0.index.list().await
    }

    /// Where they are.
    pub fn place(&self) -> &Place {
        &self.0.place
    }
}

impl Inner {
    async fn make(&self, state: &mut State, only: Option<TenantId>) -> Result<Manifest, BackupError> {
        let now = self.parts.clock.now();
        let follows = state.tip.take().filter(|tip| {
            let fresh = now.millis_since(tip.base_at) < self.base_ms;
            fresh && only.is_none() && self.parts.store.knows_changes()
        });
        if state.media.is_none() {
            state.media = Some(self.index.media().await?);
        }
        let known = state.media.get_or_insert_default();
        if let Some(tip) = follows {
            match self.write(known, None, Some(&tip)).await {
                Ok((manifest, hash)) => {
                    let link = Link { id: manifest.id, sha256: hash };
                    state.tip = Some(Tip { link, ..tip });
                    return Ok(manifest);
                }
                // More changed than was kept in mind: then it is a base after all.
                Err(BackupError::TooMuchChanged) => {}
                Err(error) => {
                    state.tip = Some(tip);
                    return Err(error);
                }
            }
        }
        let (manifest, hash) = self.write(known, only, None).await?;
        if only.is_none() {
            let link = Link { id: manifest.id, sha256: hash };
            state.tip = Some(Tip { link, base: manifest.id, base_at: manifest.at });
            if let Err(error) = self.index.prune(self.keep, now, known).await {
                // The backup is whole; the next base tries again.
                tracing::warn!(%error, "old backups could not be removed");
            }
        }
        Ok(manifest)
    }

    /// Writes a backup; what was written of one that fails is removed, as far as that can be done.
    async fn write(
        &self,
        known: &mut HashMap<(TenantId, MediaId), KnownFile>,
        only: Option<TenantId>,
        follows: Option<&Tip>,
    ) -> Result<(Manifest, String), BackupError> {
        let id = BackupId::new(self.parts.clock.now(), &*self.parts.entropy);
        let mut draft = Draft {
            place: &self.place,
            recipients: &self.recipients,
            id,
            only,
            store: &self.parts.store,
            chunk: Chunk::new(id, 1),
            chunks: Vec::new(),
            written: Vec::new(),
        };
        let mut taken = None;
        let written = self.fill(&mut draft, &mut taken, known, follows).await;
        match written {
            Ok((manifest, hash, added)) => {
                known.extend(added);
                Ok((manifest, hash))
            }
            Err(error) => {
                if let Some(taken) = taken {
                    self.parts.store.put_back(&taken);
                }
                // The manifest, which was written last, first.
                for name in draft.written.iter().rev() {
                    if let Err(error) = self.place.remove(name).await {
                        tracing::warn!(%error, "what was written of a backup that failed stays for now");
                        break;
                    }
                }
                Err(error)
            }
        }
    }

    async fn fill(
        &self,
        draft: &mut Draft<'_>,
        taken: &mut Option<Taken>,
        known: &HashMap<(TenantId, MediaId), KnownFile>,
        follows: Option<&Tip>,
    ) -> Result<(Manifest, String, Vec<((TenantId, MediaId), KnownFile)>), BackupError> {
        if follows.is_none() {
            self.parts.store.begin_copy(self.changed_bytes_max);
            self.copy_all(draft).await?;
        }
        let at = self.catch_up(draft, taken).await?;
        draft.end_chunk().await?;
        let media = MediaCopy { content: &self.parts.content, known, all: follows.is_none() };
        let tenants = match draft.only {
            Some(tenant) => vec![tenant],
            None => self.parts.store.readable_tenants().await?,
        };
        let (list, media_bytes, added) = media.copy(draft, tenants).await?;
        for name in &draft.written {
            let hash = draft.chunks.iter().chain(&list).find(|file| file.file == *name);
            let hash = hash.map(|file| file.sha256.as_str());
            let of_media = || added.iter().find(|(id, _)| super::media::name(id.0, id.1) == *name);
            if let Some(hash) = hash.map(str::to_owned).or_else(|| of_media().map(|(_, file)| file.hash())) {
                self.place.verify(name, &hash).await?;
            }
        }
        let manifest = Manifest {
            format: FORMAT,
            id: draft.id,
            kind: if follows.is_some() { BackupKind::Increment } else { BackupKind::Base },
            base: follows.map_or(draft.id, |tip| tip.base),
            previous: follows.map(|tip| tip.link.clone()),
            tenant: draft.only,
            at,
            chunks: std::mem::take(&mut draft.chunks),
            media: list,
            media_bytes,
            recipients: self.recipients.texts(),
            verified_at: self.parts.clock.now(),
        };
        let name = file_of(draft.id);
        // Before it is written: what was put and not confirmed may be there all the same.
        draft.written.push(name.clone());
        self.place.put(&name, manifest.write()?).await?;
        let (read, hash) = Manifest::read(&name, &self.place.get(&name).await?)?;
        if read != manifest {
            let reason = "is not what was written".to_owned();
            return Err(BackupError::Damaged { file: name, reason });
        }
        Ok((manifest, hash, added))
    }

    /// Every record, as it is when its turn comes.
    async fn copy_all(&self, draft: &mut Draft<'_>) -> Result<(), BackupError> {
        let store = &self.parts.store;
        let tenants = match draft.only {
            Some(tenant) => vec![tenant],
            None => store.readable_tenants().await?,
        };
        for space in std::iter::once(None).chain(tenants.into_iter().map(Some)) {
            let mut after = None;
            loop {
                let rows = store.page(space, after).await?;
                let Some((last, _)) = rows.last() else { break };
                after = Some(last.clone());
                for (key, sealed) in &rows {
                    draft.add(space, key, Some(sealed)).await?;
                }
            }
        }
        Ok(())
    }

    /// What changed meanwhile, until it is the state of one moment.
    async fn catch_up(
        &self,
        draft: &mut Draft<'_>,
        all_taken: &mut Option<Taken>,
    ) -> Result<Timestamp, BackupError> {
        let store = &self.parts.store;
        let mut keep = |taken: Taken| {
            let before = all_taken.take();
            *all_taken = Some(match before {
                Some(before) => before.and(taken),
                None => taken,
            });
        };
        for _ in 0..ROUNDS_MAX {
            let taken = store.take_changes().ok_or(BackupError::TooMuchChanged)?;
            let count = taken.len();
            let mut read = 0;
            let copied: Result<(), BackupError> = async {
                while read < count {
                    let records = store.changed(&taken, read).await?;
                    read += records.len();
                    draft.add_all(&records).await?;
                }
                Ok(())
            }
            .await;
            keep(taken);
            copied?;
            if count <= LAST_ROWS_MAX {
                break;
            }
        }
        let Last { taken, records, at } = store.last().await?.ok_or(BackupError::TooMuchChanged)?;
        keep(taken);
        draft.add_all(&records).await?;
        Ok(at)
    }
}

impl Draft<'_> {
    async fn add_all(&mut self, records: &[Copied]) -> Result<(), BackupError> {
        for record in records {
            self.add(record.space, &record.key, record.sealed.as_deref()).await?;
        }
        Ok(())
    }

    async fn add(
        &mut self,
        space: Option<TenantId>,
        key: &[u8],
        sealed: Option<&[u8]>,
    ) -> Result<(), BackupError> {
        if let Some(only) = self.only {
            let its = match (space, sealed) {
                (None, Some(sealed)) => self.store.is_of(only, key, sealed),
                (space, _) => space == Some(only),
            };
            if !its {
                return Ok(());
            }
        }
        self.chunk.add(space, key, sealed)?;
        if self.chunk.bytes.len() >= CHUNK_BYTES { self.end_chunk().await } else { Ok(()) }
    }

    /// Writes the file of records that was being filled, if there are any in it.
    async fn end_chunk(&mut self) -> Result<(), BackupError> {
        if self.chunk.records == 0 {
            return Ok(());
        }
        let number = u32::try_from(self.chunks.len() + 1).unwrap_or(u32::MAX);
        let chunk = std::mem::replace(&mut self.chunk, Chunk::new(self.id, number.saturating_add(1)));
        let recipients = self.recipients.clone();
        let sealed = tokio::task::spawn_blocking(move || recipients.seal(&chunk.bytes)).await;
        let stopped = |_| BackupError::Place { doing: "sealing a file", reason: "it was stopped".to_owned() };
        let sealed = sealed.map_err(stopped)??;
        let name = format!("chunks/{}-{number:06}.age", self.id);
        let file = BackupFile {
            file: name.clone(),
            bytes: sealed.len() as u64,
            sha256: sha256(&sealed),
            entries: chunk.records,
        };
        self.written.push(name.clone());
        self.place.put(&name, sealed).await?;
        self.chunks.push(file);
        Ok(())
    }
}
