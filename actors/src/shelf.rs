//! The files that go out, handed to a sender.

use async_trait::async_trait;

use iassistance_channels::send::{MediaBytes, MediaShelf, ShelfError};
use iassistance_domain::id::{MediaId, TenantId};
use iassistance_storage::content::{ContentError, ContentStore};

/// One tenant's files.
pub(crate) struct Shelf<'a> {
    pub(crate) content: &'a ContentStore,
    pub(crate) tenant: TenantId,
}

#[async_trait]
impl MediaShelf for Shelf<'_> {
    async fn open(&self, media: MediaId) -> Result<MediaBytes, ShelfError> {
        let unavailable = |error: ContentError| {
            tracing::warn!(tenant = %self.tenant, %media, %error, "a file that is to be sent could not be read");
            ShelfError::Unavailable
        };
        let file = self.content.get(self.tenant, media).await.map_err(unavailable)?;
        let file = file.ok_or(ShelfError::Missing)?;
        let (mime, filename) = (file.mime.clone(), file.filename.clone());
        let bytes = file.read().await.map_err(unavailable)?;
        Ok(MediaBytes { mime, filename, bytes: bytes.into() })
    }
}
