//! Reading a file as it comes, each part opened before anything of it is handed out.

use bytes::{Bytes, BytesMut};
use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt, TryStreamExt};
use object_store::{GetResult, GetResultPayload};
use tokio_util::io::ReaderStream;

use iassistance_domain::id::MediaId;
use iassistance_vault::ContentKey;

use super::Result;
use super::error::{ContentError, failed, from_io};
use super::format::{FRAME_BYTES, Frames, Head, Label};

/// A stored file from its first byte on.
pub(super) struct Reader {
    media: MediaId,
    size: u64,
    source: BoxStream<'static, object_store::Result<Bytes>>,
    held: BytesMut,
}

impl Reader {
    pub(super) fn new(found: GetResult, media: MediaId) -> Self {
        let size = found.meta.size;
        let source = match found.payload {
            // In steps of a frame: its own stream goes in much smaller ones.
            GetResultPayload::File(file, _) => {
                ReaderStream::with_capacity(tokio::fs::File::from_std(file), FRAME_BYTES)
                    .map_err(from_io)
                    .boxed()
            }
            GetResultPayload::Stream(stream) => stream,
        };
        Self { media, size, source, held: BytesMut::new() }
    }

    /// Reads the head.
    pub(super) async fn head(&mut self) -> Result<Head> {
        let bytes = self.take(Head::BYTES).await?;
        Head::read(&bytes).ok_or_else(|| self.damaged())
    }

    /// Reads and opens the label; with it is known which frames must follow.
    pub(super) async fn label(&mut self, head: &Head, key: &ContentKey) -> Result<(Label, Frames)> {
        let sealed = self.take(head.label_len).await?;
        let label = head.open_label(self.media, key, &sealed);
        let label = label.inspect_err(|error| self.tell(error))?;
        let rest = self.size.checked_sub((Head::BYTES + head.label_len) as u64);
        let frames = rest.and_then(|rest| Frames::of(&label, rest)).ok_or_else(|| self.damaged())?;
        Ok((label, frames))
    }

    /// The frames, opened. Ends with an error at the first that does not open.
    pub(super) fn frames(
        self,
        head: Head,
        key: ContentKey,
        frames: Frames,
    ) -> impl Stream<Item = Result<Bytes>> + Send + 'static {
        stream::try_unfold((self, 0), move |(mut reader, index)| {
            let key = key.clone();
            async move {
                let Some((kind, sealed_len)) = frames.frame(index) else { return Ok(None) };
                let sealed = reader.take(sealed_len).await?;
                let opened = key.open(head.part(reader.media, kind), &sealed);
                let opened = opened.map_err(|_| reader.damaged())?;
                Ok(Some((Bytes::from_owner(opened), (reader, index + 1))))
            }
        })
        // An empty file has a frame and no bytes.
        .try_filter(|bytes| std::future::ready(!bytes.is_empty()))
    }

    async fn take(&mut self, length: usize) -> Result<BytesMut> {
        while self.held.len() < length {
            match self.source.next().await {
                Some(Ok(bytes)) => self.held.extend_from_slice(&bytes),
                Some(Err(error)) => return Err(failed("reading a file", &error)),
                None => return Err(self.damaged()),
            }
        }
        Ok(self.held.split_to(length))
    }

    fn damaged(&self) -> ContentError {
        let error = ContentError::Damaged { media: self.media };
        self.tell(&error);
        error
    }

    fn tell(&self, error: &ContentError) {
        metrics::counter!("iassistance_content_damaged_total").increment(1);
        tracing::error!(media = %self.media, %error, "a file does not open");
    }
}
