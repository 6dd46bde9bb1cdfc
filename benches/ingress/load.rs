//! The driver: many connections on one thread, requests that were made and signed beforehand.

use std::net::SocketAddr;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::future::join_all;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::support::wire::{answered, signed};
use crate::support::{message, messages_webhook};

/// Signed requests, each with a message of its own.
pub struct Pool {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    first: u64,
}

/// What a round came to.
#[derive(Default)]
pub struct Tally {
    /// The numbers of the messages that were answered with 200; of a repeated pool, with repetitions.
    pub acknowledged: Vec<u64>,
    /// Requests that were answered with something else.
    pub refused: usize,
    /// From the first request to the last answer.
    pub took: Duration,
    micros: Vec<u32>,
}

impl Pool {
    pub fn new(path: &str, contacts: u64, numbers: Range<u64>) -> Self {
        let mut pool = Self { bytes: Vec::new(), ends: Vec::new(), first: numbers.start };
        for number in numbers {
            let contact = number % contacts;
            let body =
                messages_webhook(contact, &[message(number, contact, "Do you have it in blue, please?")]);
            signed(path, &body, &mut pool.bytes);
            pool.ends.push(pool.bytes.len());
        }
        pool
    }

    fn get(&self, index: usize) -> &[u8] {
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        &self.bytes[start..self.ends[index]]
    }
}

impl Tally {
    pub fn add(&mut self, other: Self) {
        self.acknowledged.extend(other.acknowledged);
        self.micros.extend(other.micros);
        self.refused += other.refused;
        self.took += other.took;
    }

    /// Acknowledgements per second.
    pub fn rate(&self) -> f64 {
        self.acknowledged.len() as f64 / self.took.as_secs_f64()
    }

    /// Milliseconds within which so many percent of the answers came.
    pub fn percentile(&self, percent: usize) -> f64 {
        let mut micros = self.micros.clone();
        micros.sort_unstable();
        let at = (micros.len() * percent).div_ceil(100).saturating_sub(1);
        micros.get(at).map_or(0.0, |micros| f64::from(*micros) / 1_000.0)
    }
}

/// Loads a server over so many connections that are kept alive; each waits for its answer before its
/// next request. Ends after `time`, or when the pool is used up; with `again` it is begun anew instead.
pub fn run(address: SocketAddr, pool: &Pool, connections: usize, time: Duration, again: bool) -> Tally {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let streams = join_all((0..connections).map(|_| TcpStream::connect(address))).await;
        let next = AtomicUsize::new(0);
        let started = Instant::now();
        let until = started + time;
        let each = streams.into_iter().map(|stream| connection(stream.unwrap(), pool, &next, until, again));
        let mut tally = Tally::default();
        join_all(each).await.into_iter().for_each(|one| tally.add(one));
        tally.took = started.elapsed();
        tally
    })
}

async fn connection(
    mut stream: TcpStream,
    pool: &Pool,
    next: &AtomicUsize,
    until: Instant,
    again: bool,
) -> Tally {
    stream.set_nodelay(true).unwrap();
    let mut tally = Tally::default();
    let mut answer = Vec::with_capacity(4_096);
    loop {
        let began = Instant::now();
        let mut index = next.fetch_add(1, Ordering::Relaxed);
        if again {
            index %= pool.ends.len();
        }
        if began >= until || index >= pool.ends.len() {
            return tally;
        }
        stream.write_all(pool.get(index)).await.expect("the server takes requests");
        if answered(&mut stream, &mut answer).await == 200 {
            tally.acknowledged.push(pool.first + index as u64);
        } else {
            tally.refused += 1;
        }
        tally.micros.push(u32::try_from(began.elapsed().as_micros()).unwrap_or(u32::MAX));
    }
}
