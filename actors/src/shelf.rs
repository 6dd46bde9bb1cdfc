//! The files that go out, handed to a sender.

use std::sync::Arc;

use async_trait::async_trait;

use iassistance_channels::send::{MediaBytes, MediaShelf, ShelfError};
use iassistance_domain::id::{MediaId, TenantId};
use iassistance_domain::tenant::TenantCtx;
use iassistance_storage::Store;
use iassistance_storage::content::ContentStore;

/// One tenant's files.
pub(crate) struct Shelf<'a> {
    pub(crate) content: &'a ContentStore,
    pub(crate) store: &'a Arc<dyn Store>,
    pub(crate) tenant: TenantId,
}

#[async_trait]
impl MediaShelf for Shelf<'_> {
    async fn open(&self, media: MediaId) -> Result<MediaBytes, ShelfError> {
        let store = self
            .store
            .tenant(TenantCtx::platform(self.tenant))
            .await
            .map_err(|error| ShelfError::Unavailable(error.to_string()))?;
        let opened = self.content.get(&*store, media).await;
        let opened = opened.map_err(|error| ShelfError::Unavailable(error.to_string()))?;
        let file = opened.ok_or(ShelfError::NotFound)?;
        let (mime, filename) = (file.mime.clone(), file.filename.clone());
        let bytes = file.read_all().await.map_err(|error| ShelfError::Unavailable(error.to_string()))?;
        Ok(MediaBytes { mime, filename, bytes })
    }
}
