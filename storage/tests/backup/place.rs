//! A place for backups that stops after so many steps, as a process does that is killed.

use std::fmt;
use std::path::Path as Folder;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use async_trait::async_trait;
use futures::stream::{self, BoxStream, StreamExt};
use iassistance_storage::backup::Place;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

/// A folder of which nothing more comes, and into which nothing more goes, when its steps are used up.
#[derive(Debug)]
pub struct Killed {
    inner: LocalFileSystem,
    steps: Arc<AtomicI64>,
}

impl Killed {
    pub fn after(folder: &Folder, steps: i64) -> (Place, Arc<AtomicI64>) {
        Place::folder(folder.to_str().unwrap()).unwrap();
        let left = Arc::new(AtomicI64::new(steps));
        let inner = LocalFileSystem::new_with_prefix(folder).unwrap();
        (Place::over(Arc::new(Self { inner, steps: Arc::clone(&left) })), left)
    }

    fn step(&self) -> Result<()> {
        if self.steps.fetch_sub(1, Ordering::SeqCst) > 0 {
            return Ok(());
        }
        Err(Error::Generic { store: "killed", source: "the process was killed".into() })
    }
}

impl fmt::Display for Killed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Killed")
    }
}

#[async_trait]
impl ObjectStore for Killed {
    async fn put_opts(&self, at: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.step()?;
        let put = self.inner.put_opts(at, payload, options).await;
        // It is there, and nobody hears of it.
        self.step()?;
        put
    }

    async fn put_multipart_opts(
        &self,
        at: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.step()?;
        self.inner.put_multipart_opts(at, options).await
    }

    async fn get_opts(&self, at: &Path, options: GetOptions) -> Result<GetResult> {
        self.step()?;
        self.inner.get_opts(at, options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        match self.step() {
            Ok(()) => self.inner.delete_stream(locations),
            Err(error) => stream::iter([Err(error)]).boxed(),
        }
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        match self.step() {
            Ok(()) => self.inner.list(prefix),
            Err(error) => stream::iter([Err(error)]).boxed(),
        }
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.step()?;
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.step()?;
        self.inner.copy_opts(from, to, options).await
    }
}
