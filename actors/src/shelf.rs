//! The files that go out, handed to a sender.

use async_trait::async_trait;

use iassistance_channels::send::{MediaBytes, MediaShelf, ShelfError};
use iassistance_domain::id::{MediaId, TenantId};
use iassistance_domain::pii::Deliver;
use iassistance_storage::content::ContentStore;

/// One tenant's files.
pub(crate) struct Shelf<'a> {
    pub(crate) content: &'a ContentStore,
    pub(crate) tenant: TenantId,
}

#[async_trait]
impl MediaShelf for Shelf<'_> {
    async fn open(&self, media: MediaId) -> Result<MediaBytes, ShelfError> {
        let unavailable = |error: iassistance_storage::content::ContentError| {
            ShelfError::Unavailable(error.to_string())
        };
        let file = self.content.get(self.tenant, media).await.map_err(unavailable)?;
        let file = file.ok_or(ShelfError::NotFound)?;
        let (mime, filename) = (file.mime.clone(), file.filename.clone());
        let bytes = file.read().await.map_err(unavailable)?;
        let filename = filename.map(|name| name.into_inner(Deliver));
        Ok(MediaBytes { mime, filename, bytes: bytes.into() })
    }
}
