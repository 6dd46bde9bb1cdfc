//! Bodies with a bound in size, in time and, over all requests, in memory.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use actix_web::http::header::CONTENT_LENGTH;
use actix_web::{HttpRequest, web};
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use futures::future::{Either, select};

use iassistance_domain::Clock;

use super::Problem;

/// Bytes of webhook bodies in memory, over all requests.
#[derive(Clone)]
pub struct InFlight {
    bytes: Arc<AtomicUsize>,
    bytes_max: usize,
}

/// A part of the memory for bodies; free again when dropped.
pub struct Held {
    bytes: usize,
    in_flight: InFlight,
}

impl InFlight {
    /// Room for this many bytes.
    pub fn new(bytes_max: usize) -> Self {
        Self { bytes: Arc::default(), bytes_max }
    }

    fn hold(&self) -> Held {
        Held { bytes: 0, in_flight: self.clone() }
    }
}

impl Held {
    fn grow(&mut self, by: usize) -> Result<(), Problem> {
        let before = self.in_flight.bytes.fetch_add(by, Ordering::Relaxed);
        self.bytes += by;
        if before + by > self.in_flight.bytes_max {
            metrics::counter!("iassistance_limited_total", "limit" => "webhook_bytes").increment(1);
            return Err(Problem::unavailable(2, "too many bodies are being received"));
        }
        Ok(())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.in_flight.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Reads a body of at most `bytes_max` bytes that must be whole within `deadline_ms`. The memory
/// stays counted until the returned guard is dropped.
pub async fn read(
    request: &HttpRequest,
    mut payload: web::Payload,
    in_flight: &InFlight,
    bytes_max: usize,
    deadline_ms: u64,
    clock: &dyn Clock,
) -> Result<(Bytes, Held), Problem> {
    let announced =
        request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > bytes_max) {
        return Err(Problem::too_large(bytes_max));
    }
    let mut held = in_flight.hold();
    let mut deadline = pin!(clock.sleep_millis(deadline_ms));
    // What is announced is not allocated at once: it may never come.
    let mut body = BytesMut::with_capacity(announced.unwrap_or(0).min(16 * 1024));
    loop {
        match select(payload.next(), &mut deadline).await {
            Either::Left((Some(Ok(chunk)), _)) => {
                if body.len() + chunk.len() > bytes_max {
                    return Err(Problem::too_large(bytes_max));
                }
                held.grow(chunk.len())?;
                body.extend_from_slice(&chunk);
            }
            Either::Left((Some(Err(_)), _)) => return Err(Problem::bad_request("the body broke off")),
            Either::Left((None, _)) => return Ok((body.freeze(), held)),
            Either::Right(_) => return Err(Problem::too_slow()),
        }
    }
}
