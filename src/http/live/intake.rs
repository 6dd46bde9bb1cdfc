//! What a client sends, a frame at a time.
//!
//! The websocket crate takes up everything that has arrived before it looks at the first frame, and a
//! frame as a whole before it looks at its length. A client could fill the memory with one endless
//! frame, or with many small ones. So the ends of frames are found here: nothing of the next frame is
//! handed on before the one before it was handled, and a frame that is announced too long ends it all.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use actix_web::error::PayloadError;
use bytes::{Buf, Bytes};
use futures::Stream;

/// The longest head of a frame (RFC 6455, 5.2): 2 bytes, 8 of length, 4 of mask.
const HEAD_BYTES_MAX: usize = 14;

/// The bytes of whole frames; in between it is pending once, so that what reads it looks at what it
/// has.
pub(super) struct Intake<S> {
    payload: S,
    frame_bytes_max: usize,
    chunk: Bytes,
    place: Place,
    too_large: TooLarge,
}

/// Whether the intake ended because a frame was announced too long.
#[derive(Clone, Default)]
pub(super) struct TooLarge(Rc<Cell<bool>>);

impl TooLarge {
    pub(super) fn is(&self) -> bool {
        self.0.get()
    }
}

/// Where in a frame the next byte is.
enum Place {
    /// In its head, of which these bytes are known.
    Head(usize, [u8; HEAD_BYTES_MAX]),
    /// In its body, of which so much is to come.
    Body(usize),
    /// Behind it.
    End,
}

const BEGIN: Place = Place::Head(0, [0; HEAD_BYTES_MAX]);

/// How long a head is, as far as it can be told from these first bytes.
pub(super) fn head_bytes(head: &[u8]) -> usize {
    let Some(second) = head.get(1) else { return 2 };
    let length = match second & 0x7f {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    2 + length + if second & 0x80 == 0 { 0 } else { 4 }
}

/// How long the body is, by a whole head.
pub(super) fn body_bytes(head: &[u8]) -> u64 {
    let number = |bytes: &[u8]| bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
    match head[1] & 0x7f {
        126 => number(&head[2..4]),
        127 => number(&head[2..10]),
        short => u64::from(short),
    }
}

impl<S> Intake<S> {
    pub(super) fn new(payload: S, frame_bytes_max: usize) -> Self {
        Self { payload, frame_bytes_max, chunk: Bytes::new(), place: BEGIN, too_large: TooLarge::default() }
    }

    pub(super) fn too_large(&self) -> TooLarge {
        self.too_large.clone()
    }

    /// What there is of the present frame; `None` if it is announced too long.
    fn cut(&mut self) -> Option<Bytes> {
        let mut used = 0;
        if let Place::Head(known, head) = &mut self.place {
            while *known < head_bytes(&head[..*known]) {
                let Some(byte) = self.chunk.get(used) else {
                    return Some(std::mem::take(&mut self.chunk));
                };
                head[*known] = *byte;
                *known += 1;
                used += 1;
            }
            let body =
                usize::try_from(body_bytes(head)).ok().filter(|bytes| *bytes <= self.frame_bytes_max)?;
            self.place = Place::Body(body);
        }
        if let Place::Body(left) = &mut self.place {
            let here = (*left).min(self.chunk.len() - used);
            used += here;
            *left -= here;
            if *left == 0 {
                self.place = Place::End;
            }
        }
        Some(self.chunk.split_to(used))
    }
}

impl<S: Stream<Item = Result<Bytes, PayloadError>> + Unpin> Stream for Intake<S> {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if matches!(self.place, Place::End) {
            self.place = BEGIN;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        while !self.chunk.has_remaining() {
            match ready!(Pin::new(&mut self.payload).poll_next(context)) {
                Some(Ok(chunk)) => self.chunk = chunk,
                ended => return Poll::Ready(ended),
            }
        }
        let cut = self.cut();
        if cut.is_none() {
            self.too_large.0.set(true);
        }
        Poll::Ready(Some(cut.ok_or(PayloadError::Overflow)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::stream;
    use futures::task::noop_waker;

    /// The frames that come out of these chunks, and whether it ended by one that was too long.
    fn frames(chunks: Vec<Vec<u8>>, frame_bytes_max: usize) -> (Vec<Vec<u8>>, bool) {
        let payload = stream::iter(chunks.into_iter().map(|chunk| Ok(Bytes::from(chunk))));
        let mut intake = Intake::new(payload, frame_bytes_max);
        let too_large = intake.too_large();
        let (waker, mut frames, mut frame) = (noop_waker(), Vec::new(), Vec::new());
        let mut context = Context::from_waker(&waker);
        loop {
            match Pin::new(&mut intake).poll_next(&mut context) {
                Poll::Ready(Some(Ok(bytes))) => frame.extend_from_slice(&bytes),
                Poll::Pending => frames.push(std::mem::take(&mut frame)),
                Poll::Ready(Some(Err(_)) | None) => break,
            }
        }
        (frames, too_large.is())
    }

    fn frame(bytes: usize) -> Vec<u8> {
        let mut frame = vec![0x81];
        match (u8::try_from(bytes), u16::try_from(bytes)) {
            (Ok(short @ ..126), _) => frame.push(0x80 | short),
            (_, Ok(medium)) => {
                frame.push(0x80 | 0x7E);
                frame.extend(medium.to_be_bytes());
            }
            _ => {
                frame.push(0x80 | 127);
                frame.extend((bytes as u64).to_be_bytes());
            }
        }
        frame.extend([1, 2, 3, 4]);
        frame.resize(frame.len() + bytes, 7);
        frame
    }

    #[test]
    fn frames_are_told_apart_however_they_arrive() {
        let sent = [frame(0), frame(5), frame(125), frame(126), frame(70_000), frame(1)];
        let wire = sent.concat();
        for size in [1, 2, 3, 7, 1_000, wire.len()] {
            let chunks = wire.chunks(size).map(<[u8]>::to_vec).collect();
            assert_eq!(frames(chunks, 70_000), (sent.to_vec(), false), "in chunks of {size}");
        }
    }

    #[test]
    fn a_frame_that_is_announced_too_long_ends_it_before_it_has_come() {
        let small = frame(5);
        let head = [0x81, 0xff, 0, 0, 1, 0, 0, 0, 0, 0, 1, 2, 3, 4].to_vec();
        assert_eq!(frames(vec![[small.clone(), head].concat()], 100), (vec![small], true));
        assert_eq!(frames(vec![frame(101)], 100), (Vec::new(), true));
    }

    #[test]
    fn what_breaks_off_is_handed_on_as_it_is() {
        assert_eq!(frames(vec![frame(5)[..4].to_vec()], 100), (Vec::new(), false));
    }
}
