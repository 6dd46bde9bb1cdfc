//! Bodies with a bound in size, in time and, over all requests, in memory.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

use actix_web::http::header::CONTENT_LENGTH;
use actix_web::{HttpRequest, web};
use bytes::{Bytes, BytesMut};
use futures::Stream;

use iassistance_domain::Clock;

use super::Problem;
use super::door::{AddressBytes, Door};

/// Bytes of bodies in memory, over all requests.
#[derive(Clone)]
pub struct InFlight {
    bytes: Arc<AtomicUsize>,
    bytes_max: usize,
    door: Door,
}

/// A part of the memory for bodies; free again when dropped.
pub struct Held {
    bytes: usize,
    in_flight: InFlight,
    of_address: Option<AddressBytes>,
}

impl InFlight {
    /// Room for this many bytes, of which each address may have what the door says.
    pub fn new(bytes_max: usize, door: Door) -> Self {
        Self { bytes: Arc::default(), bytes_max, door }
    }

    fn hold(&self, request: &HttpRequest) -> Held {
        let of_address = self.door.address(request).map(|address| self.door.addresses().bytes(address));
        Held { bytes: 0, in_flight: self.clone(), of_address }
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
        if self.of_address.as_mut().is_some_and(|bytes| !bytes.grow(by)) {
            metrics::counter!("iassistance_limited_total", "limit" => "address_bytes").increment(1);
            return Err(Problem::unavailable(2, "too many bodies of one address are being received"));
        }
        Ok(())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.in_flight.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// What came of waiting for the next part of a body.
enum Next {
    Part(Bytes),
    Broken,
    End,
    TooSlow,
}

/// Reads a body of at most `bytes_max` bytes that must be whole within `deadline_ms` and keep the pace until
/// then. The memory stays counted until the returned guard is dropped.
pub async fn read(
    request: &HttpRequest,
    payload: web::Payload,
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
    let mut held = in_flight.hold(request);
    let (mut payload, mut deadline) = (pin!(payload), clock.sleep_millis(deadline_ms));
    let mut patience = in_flight.door.pace().begin(clock);
    // What is announced is not allocated at once: it may never come.
    let mut body = BytesMut::with_capacity(announced.unwrap_or(0).min(16 * 1024));
    loop {
        let next = poll_fn(|context| {
            // What has arrived counts, however late it is looked at.
            if let Poll::Ready(next) = payload.as_mut().poll_next(context) {
                return Poll::Ready(match next {
                    Some(Ok(part)) => Next::Part(part),
                    Some(Err(_)) => Next::Broken,
                    None => Next::End,
                });
            }
            let is_late =
                deadline.as_mut().poll(context).is_ready() || patience.poll_ended(clock, context).is_ready();
            if is_late { Poll::Ready(Next::TooSlow) } else { Poll::Pending }
        });
        match next.await {
            Next::Part(part) => {
                if body.len() + part.len() > bytes_max {
                    return Err(Problem::too_large(bytes_max));
                }
                held.grow(part.len())?;
                patience.progress(part.len() as u64);
                body.extend_from_slice(&part);
            }
            Next::Broken => return Err(Problem::bad_request("the body broke off")),
            Next::End => return Ok((body.freeze(), held)),
            Next::TooSlow => {
                metrics::counter!("iassistance_limited_total", "limit" => "slow_body").increment(1);
                return Err(Problem::too_slow());
            }
        }
    }
}

/// How many arrays and objects may be within each other in a body of JSON.
pub const DEPTH_MAX: usize = 64;

/// Whether a body is nested deeper than [`DEPTH_MAX`], told from its brackets outside of strings: before anything
/// of it is built.
pub fn is_too_deep(json: &[u8]) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in json {
        match (in_string, byte) {
            (true, _) if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (_, b'"') => in_string = !in_string,
            (false, b'[' | b'{') => depth += 1,
            (false, b']' | b'}') => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEPTH_MAX {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nested(depth: usize) -> String {
        format!("{}1{}", "[".repeat(depth), "]".repeat(depth))
    }

    #[test]
    fn depth_is_told_from_brackets_and_not_from_strings() {
        assert!(!is_too_deep(nested(64).as_bytes()) && is_too_deep(nested(65).as_bytes()));
        assert!(is_too_deep(format!("{{\"a\":{}", nested(64)).as_bytes()));
        let flat = format!("[{}]", vec![nested(3); 100].join(","));
        assert!(!is_too_deep(flat.as_bytes()));
        let said = "[".repeat(200);
        assert!(!is_too_deep(format!("[\"{said}\\\"{said}\\\\\"]").as_bytes()));
        assert!(is_too_deep(format!("[\"\\\\\",{said}").as_bytes()));
    }
}
