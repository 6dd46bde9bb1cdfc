//! A connection that does not wait for ever for a client that does not read.
//!
//! The server's own deadlines are for what comes in. What goes out waits until the client takes it, and a
//! client that takes nothing, or a byte now and then, would hold its connection and its answer as long as it
//! likes. So it has to keep the pace while anything waits to go out.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use actix_web::rt::net::TcpStream;
use iassistance_domain::Clock;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::addresses::Seat;
use super::pace::{Pace, Patience};

/// A client's connection.
pub struct Wire {
    stream: TcpStream,
    pace: Pace,
    clock: Arc<dyn Clock>,
    /// While something waits to go out.
    waiting: Option<Patience>,
    _seat: Option<Seat>,
}

impl Wire {
    pub(super) fn new(stream: TcpStream, seat: Option<Seat>, pace: Pace, clock: Arc<dyn Clock>) -> Self {
        Self { stream, pace, clock, waiting: None, _seat: seat }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let Self { stream, pace, clock, waiting, .. } = &mut *self;
        if let Poll::Ready(written) = Pin::new(stream).poll_write(context, bytes) {
            if let (Some(waiting), Ok(written)) = (waiting, &written) {
                waiting.progress(*written);
            }
            return Poll::Ready(written);
        }
        let waiting = waiting.get_or_insert_with(|| pace.begin(&**clock));
        ready!(waiting.poll_ended(&**clock, context));
        metrics::counter!("iassistance_limited_total", "limit" => "slow_reader").increment(1);
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client takes its answer too slowly")))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The server flushes when it has written all that it had.
        self.waiting = None;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
