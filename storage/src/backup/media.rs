//! The files of messages in a backup. They never change, so each is copied once, sealed once more; every
//! base lists all that are there, an increment those that came.

use std::collections::HashMap;

use bytes::Bytes;
use futures::TryStreamExt;
use sha2::{Digest, Sha256};
use tokio::io::AsyncWriteExt;

use iassistance_domain::id::{MediaId, TenantId};

use super::error::BackupError;
use super::make::Draft;
use super::manifest::{BackupFile, sha256};
use super::place::Place;
use super::seal::Recipients;
use crate::content::ContentStore;

/// A file of a message that is at the place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct KnownFile {
    pub(super) bytes: u64,
    sha256: [u8; 32],
}

pub(super) type MediaKey = (TenantId, MediaId);

impl KnownFile {
    pub(super) fn hash(&self) -> String {
        hex::encode(self.sha256)
    }
}

/// What a file of a message is called at the place.
pub(super) fn name(tenant: TenantId, id: MediaId) -> String {
    format!("media/{tenant}.{id}.age")
}

/// Which file of a message has this name.
pub(super) fn key_of(name: &str) -> Option<MediaKey> {
    let (tenant, id) = name.strip_prefix("media/")?.strip_suffix(".age")?.split_once('.')?;
    Some((tenant.parse().ok()?, id.parse().ok()?))
}

/// The line of a list that names it.
fn line((tenant, id): MediaKey, file: &KnownFile) -> String {
    format!("{tenant} {id} {} {}\n", file.bytes, file.hash())
}

/// Reads a list, called `name` in errors.
pub(super) fn read_list(name: &str, bytes: &[u8]) -> Result<Vec<(MediaKey, KnownFile)>, BackupError> {
    let damaged = || BackupError::Damaged { file: name.to_owned(), reason: "is no list of files".to_owned() };
    let text = std::str::from_utf8(bytes).map_err(|_| damaged())?;
    let one = |line: &str| {
        let mut words = line.split(' ');
        let key = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        let bytes = words.next()?.parse().ok()?;
        let mut sha256 = [0; 32];
        hex::decode_to_slice(words.next()?, &mut sha256).ok()?;
        words.next().is_none().then_some((key, KnownFile { bytes, sha256 }))
    };
    text.lines().map(|line| one(line).ok_or_else(damaged)).collect()
}

/// Copies the files of messages.
pub(super) struct MediaCopy<'a> {
    pub(super) content: &'a ContentStore,
    /// Those that are at the place already.
    pub(super) known: &'a HashMap<MediaKey, KnownFile>,
    /// Whether those are listed again.
    pub(super) all: bool,
}

impl MediaCopy<'_> {
    /// Copies those that are new, and writes the list; with the bytes that came with it.
    pub(super) async fn copy(
        &self,
        draft: &mut Draft<'_>,
        tenants: Vec<TenantId>,
    ) -> Result<(Option<BackupFile>, u64, Vec<(MediaKey, KnownFile)>), BackupError> {
        let (mut list, mut entries, mut added) = (String::new(), 0, Vec::new());
        for tenant in tenants {
            let mut found = self.content.list(tenant);
            while let Some(media) = found.try_next().await? {
                let key = (tenant, media.id);
                let file = match self.known.get(&key) {
                    Some(_) if !self.all => continue,
                    Some(file) => *file,
                    None => match self.copy_one(draft, key).await? {
                        Some(file) => {
                            added.push((key, file));
                            file
                        }
                        // It was removed since it was listed.
                        None => continue,
                    },
                };
                list.push_str(&line(key, &file));
                entries += 1;
            }
        }
        let media_bytes = added.iter().map(|(_, file)| file.bytes).sum();
        if entries == 0 {
            return Ok((None, media_bytes, added));
        }
        let name = format!("chunks/{}-media.txt", draft.id);
        let (bytes, hash) = (list.len() as u64, sha256(list.as_bytes()));
        draft.written.push(name.clone());
        draft.place.put(&name, list.into_bytes()).await?;
        Ok((Some(BackupFile { file: name, bytes, sha256: hash, entries }), media_bytes, added))
    }

    async fn copy_one(
        &self,
        draft: &mut Draft<'_>,
        (tenant, id): MediaKey,
    ) -> Result<Option<KnownFile>, BackupError> {
        let Some(stream) = self.content.sealed(tenant, id).await? else { return Ok(None) };
        let name = name(tenant, id);
        draft.written.push(name.clone());
        upload(draft.place, draft.recipients, &name, stream.map_err(BackupError::from)).await.map(Some)
    }
}

/// Seals a file of any size piece by piece, and puts it.
async fn upload(
    place: &Place,
    recipients: &Recipients,
    name: &str,
    stream: impl futures::Stream<Item = Result<Bytes, BackupError>> + Send,
) -> Result<KnownFile, BackupError> {
    let failed =
        |error: std::io::Error| BackupError::Place { doing: "writing a backup", reason: error.to_string() };
    let mut writer = place.writer(name);
    let (mut sum, mut bytes) = (Sha256::new(), 0);
    let filled: Result<(), BackupError> = async {
        let mut sealing = recipients.begin()?;
        let mut stream = std::pin::pin!(stream);
        while let Some(piece) = stream.try_next().await? {
            let sealed = sealing.write(&piece)?;
            sum.update(&sealed);
            bytes += sealed.len() as u64;
            writer.write_all(&sealed).await.map_err(failed)?;
        }
        let end = sealing.finish()?;
        sum.update(&end);
        bytes += end.len() as u64;
        writer.write_all(&end).await.map_err(failed)
    }
    .await;
    if let Err(error) = filled {
        if writer.abort().await.is_err() {
            tracing::warn!("what was written of a file that failed could not be removed");
        }
        return Err(error);
    }
    writer.shutdown().await.map_err(failed)?;
    Ok(KnownFile { bytes, sha256: sum.finalize().into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_as_it_was_written_and_nothing_else_is() {
        let key = (TenantId::from_bytes([1; 16]), MediaId::from_bytes([2; 16]));
        let file = KnownFile { bytes: 77, sha256: [9; 32] };
        let text = line(key, &file);
        assert_eq!(read_list("l", text.as_bytes()).unwrap(), [(key, file)]);
        for bad in ["x\n", &text[..text.len() - 3], &text.replace(" 77 ", " -1 ")] {
            assert!(read_list("l", bad.as_bytes()).is_err(), "{bad}");
        }
        assert_eq!(key_of(&name(key.0, key.1)), Some(key));
    }
}
