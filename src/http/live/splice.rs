//! Frames that are packed already, among those that the websocket crate packs.
//!
//! The crate packs every frame anew for every socket, from a queue of single messages. What all who watch a tenant are
//! sent is the same bytes, and packed once for all of them. So that it comes in its place, the crate is given a mark
//! for it, and where the mark comes out it is put in.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::mem;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use actix_web::body::{BodySize, MessageBody};
use bytes::{Buf, Bytes};

use super::intake::{body_bytes, head_bytes};

/// What the crate is given, in a binary frame, which this server sends for nothing else.
pub(super) const MARK: Bytes = Bytes::new();
/// As which it comes out: the last frame of a message, binary, of no bytes (RFC 6455, 5.2).
const MARK_FRAME: [u8; 2] = [0x82, 0];

/// What is to be put in, in the order of the marks.
#[derive(Clone, Default)]
pub(super) struct Packs(Rc<RefCell<VecDeque<Bytes>>>);

impl Packs {
    /// Before its mark is given to the crate.
    pub(super) fn push(&self, packed: Bytes) {
        self.0.borrow_mut().push_back(packed);
    }

    fn next(&self) -> Option<Bytes> {
        self.0.borrow_mut().pop_front()
    }
}

/// The bytes of whole frames that the crate gives out, with what is put in.
pub(super) struct Spliced<B> {
    body: B,
    packs: Packs,
    /// What it gave out and was not passed on yet.
    chunk: Bytes,
    /// What is put in before that.
    packed: Option<Bytes>,
}

impl<B> Spliced<B> {
    pub(super) fn new(body: B, packs: Packs) -> Self {
        Self { body, packs, chunk: Bytes::new(), packed: None }
    }

    /// What goes out next of what is there.
    fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(packed) = self.packed.take().filter(|packed| !packed.is_empty()) {
                return Some(packed);
            }
            if self.chunk.is_empty() {
                return None;
            }
            let own = match mark_in(&self.chunk) {
                Some(at) => {
                    let own = self.chunk.split_to(at);
                    self.chunk.advance(MARK_FRAME.len());
                    self.packed = self.packs.next();
                    own
                }
                None => mem::take(&mut self.chunk),
            };
            if !own.is_empty() {
                return Some(own);
            }
        }
    }
}

/// Where in these whole frames the first mark is.
fn mark_in(frames: &[u8]) -> Option<usize> {
    let mut at = 0;
    while let Some(frame) = frames.get(at..).filter(|frame| !frame.is_empty()) {
        if frame.starts_with(&MARK_FRAME) {
            return Some(at);
        }
        let head = head_bytes(frame);
        at += head + usize::try_from(body_bytes(frame.get(..head)?)).ok()?;
    }
    None
}

impl<B: MessageBody + Unpin> MessageBody for Spliced<B> {
    type Error = B::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        loop {
            if let Some(next) = self.next() {
                return Poll::Ready(Some(Ok(next)));
            }
            match ready!(Pin::new(&mut self.body).poll_next(context)) {
                Some(Ok(chunk)) => self.chunk = chunk,
                ended => return Poll::Ready(ended),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use actix_http::ws::{OpCode, Parser};
    use actix_web::body::{self, BodyStream};
    use bytes::BytesMut;
    use futures::stream;

    use super::*;

    fn frame(bytes: &mut BytesMut, kind: OpCode, payload: &[u8]) {
        Parser::write_message(bytes, payload, kind, true, false);
    }

    #[actix_web::test]
    async fn what_is_packed_already_comes_where_its_mark_was() {
        let packs = Packs::default();
        let (mut chunks, mut wanted) = (Vec::new(), Vec::new());
        // Marks alone, first, last, and two in a row; frames of each kind of length between them.
        for (number, lengths) in [&[][..], &[1, 70_000], &[126], &[0, 125, 300, 65_536]].iter().enumerate() {
            let mut chunk = BytesMut::new();
            for marks in 0..=lengths.len() {
                for _ in 0..=number % 2 {
                    let packed = Bytes::from(format!("packed {number} {marks}"));
                    frame(&mut chunk, OpCode::Binary, &MARK);
                    wanted.extend_from_slice(&packed);
                    packs.push(packed);
                }
                if let Some(length) = lengths.get(marks) {
                    // A text may look like a mark.
                    let mut own = BytesMut::new();
                    frame(&mut own, OpCode::Text, &MARK_FRAME.repeat(*length)[..*length]);
                    frame(&mut own, OpCode::Ping, &MARK_FRAME);
                    wanted.extend_from_slice(&own);
                    chunk.extend_from_slice(&own);
                }
            }
            chunks.push(Ok::<_, std::io::Error>(chunk.freeze()));
        }
        let crate_s = Box::pin(BodyStream::new(stream::iter(chunks)));
        let sent = body::to_bytes(Spliced::new(crate_s, packs)).await;
        assert_eq!(sent.unwrap(), wanted);
    }
}
