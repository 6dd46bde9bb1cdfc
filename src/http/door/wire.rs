//! A connection that does not wait for ever for its client.
//!
//! The server's own deadlines are for the first head and for bodies. What goes out waits until the client
//! takes it, and a client that takes nothing, or a byte now and then, would hold its connection and its answer
//! as long as it likes: so it has to keep the pace while anything waits to go out. And on a connection that is
//! kept every later head has its deadline too, from its first byte on. Where there is TLS, heads are those inside
//! it; the pace is that of what leaves the machine.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures::future::BoxFuture;
use iassistance_domain::Clock;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::addresses::Seat;
use super::heads::Heads;
use super::pace::{Pace, Patience};
use super::stream::Stream;

/// A client's connection.
pub struct Wire {
    stream: Stream,
    pace: Pace,
    clock: Arc<dyn Clock>,
    /// While something waits to go out; and what the client had taken when it was looked at last.
    waiting: Option<(Patience, u64)>,
    heads: Heads,
    head_deadline_ms: u64,
    /// While a head has begun and not ended.
    deadline: Option<BoxFuture<'static, ()>>,
    _seat: Option<Seat>,
}

impl Wire {
    pub(super) fn new(
        stream: Stream,
        seat: Option<Seat>,
        pace: Pace,
        head_deadline_ms: u64,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let heads = Heads::default();
        Self { stream, pace, clock, waiting: None, heads, head_deadline_ms, deadline: None, _seat: seat }
    }

    /// Ready when the client takes what waits for it too slowly.
    fn poll_too_slow(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        let Self { stream, pace, clock, waiting, .. } = self;
        let taken = stream.taken();
        let (patience, before) = waiting.get_or_insert_with(|| (pace.begin(&**clock), taken));
        patience.progress(taken - *before);
        *before = taken;
        ready!(patience.poll_ended(&**clock, context));
        metrics::counter!("iassistance_limited_total", "limit" => "slow_reader").increment(1);
        Poll::Ready(io::Error::new(io::ErrorKind::TimedOut, "the client takes its answer too slowly"))
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        if polled.is_ready() {
            self.heads.came(&buffer.filled()[before..]);
        }
        if !self.heads.is_within() {
            self.deadline = None;
            return polled;
        }
        let Self { clock, head_deadline_ms, deadline, .. } = &mut *self;
        let deadline = deadline.get_or_insert_with(|| clock.sleep_millis(*head_deadline_ms));
        if polled.is_pending() && deadline.as_mut().poll(context).is_ready() {
            metrics::counter!("iassistance_limited_total", "limit" => "slow_head").increment(1);
            // As if the client had ended it.
            return Poll::Ready(Ok(()));
        }
        polled
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.heads.goes(bytes);
        match Pin::new(&mut self.stream).poll_write(context, bytes) {
            Poll::Pending => self.poll_too_slow(context).map(Err),
            written => written,
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The server flushes when it has written all that it had.
        self.heads.gone();
        match Pin::new(&mut self.stream).poll_flush(context) {
            Poll::Pending => self.poll_too_slow(context).map(Err),
            flushed @ Poll::Ready(_) => {
                self.waiting = None;
                flushed
            }
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
