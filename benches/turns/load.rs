//! The driver: people who write over connections that are kept alive, all on this thread.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::future::{Either, join_all, select};
use futures::stream::FuturesUnordered;
use iassistance_actors::kernel::SystemClock;
use iassistance_domain::Clock;
use iassistance_simulator::Moment;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::sync::{broadcast, oneshot};
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::support::wire::{answered, signed};
use crate::support::{message, messages_webhook};
use crate::watch::{Turn, Watch, text_of};

/// How long an answer may take before the bench gives up.
const ANSWERED_WITHIN: Duration = Duration::from_mins(1);
/// Connections of a load that comes at even distances.
const CONNECTIONS: usize = 64;

/// Writes to a server, and sees what becomes of it.
pub struct Driver {
    runtime: Runtime,
    address: SocketAddr,
    path: String,
    contacts: u64,
    next: Cell<u64>,
    watch: RefCell<Watch>,
    moments: broadcast::Receiver<Moment>,
}

/// What a round came to.
pub struct Round {
    /// Every message of it, all answered.
    pub turns: Vec<Turn>,
    /// How many were answered while it lasted.
    pub finished: usize,
    /// How long messages were written.
    pub took: Duration,
    /// Until the last was answered.
    pub whole: Duration,
    /// Messages that were written later than they should have been, as no connection was free.
    pub late: usize,
}

/// A message that waits for its answer.
struct Asked {
    number: u64,
    told: oneshot::Receiver<()>,
}

impl Asked {
    async fn answer(self) {
        let told = timeout(ANSWERED_WITHIN, self.told).await;
        assert!(told.is_ok_and(|told| told.is_ok()), "message {} is answered within a minute", self.number);
    }
}

impl Driver {
    pub fn new(
        address: SocketAddr,
        path: String,
        contacts: u64,
        moments: broadcast::Receiver<Moment>,
    ) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self { runtime, address, path, contacts, next: Cell::new(0), watch: RefCell::default(), moments }
    }

    /// So many messages, so many of them at once.
    pub fn at_once(&mut self, in_flight: usize, messages: usize) {
        let until = self.next.get() + messages as u64;
        self.people(in_flight, |driver| driver.next.get() < until);
    }

    /// As many as can be within this time: each writes again when they are answered.
    pub fn saturate(&mut self, in_flight: usize, time: Duration) -> Round {
        let (first, started) = (self.next.get(), Instant::now());
        let until = started + time;
        self.people(in_flight, |_| Instant::now() < until);
        self.round(first, started, until, 0)
    }

    fn people(&mut self, in_flight: usize, goes_on: impl Fn(&Self) -> bool) {
        self.watching(async |driver| {
            let streams = join_all((0..in_flight).map(|_| TcpStream::connect(driver.address))).await;
            let people = streams.into_iter().map(async |stream| {
                let mut stream = stream.unwrap();
                stream.set_nodelay(true).unwrap();
                while goes_on(driver) {
                    driver.ask(&mut stream).await.answer().await;
                }
            });
            join_all(people).await;
        });
    }

    /// At so many a second, whether or not the former were answered.
    pub fn evenly(&mut self, per_second: f64, time: Duration) -> Round {
        let (first, started) = (self.next.get(), Instant::now());
        let until = started + time;
        let late = Cell::new(0);
        self.watching(async |driver| {
            let streams = join_all((0..CONNECTIONS).map(|_| TcpStream::connect(driver.address))).await;
            // In turn: the server closes a connection that says nothing for long.
            let free = RefCell::new(streams.into_iter().map(Result::unwrap).collect::<VecDeque<_>>());
            let mut tick = interval(Duration::from_secs_f64(1.0 / per_second));
            tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
            let mut posting = FuturesUnordered::new();
            let mut answers = FuturesUnordered::new();
            while Instant::now() < until {
                tokio::select! {
                    _ = tick.tick() => {
                        while free.borrow().is_empty() {
                            late.set(late.get() + 1);
                            answers.extend(posting.next().await.map(Asked::answer));
                        }
                        let stream = free.borrow_mut().pop_front();
                        let free = &free;
                        posting.push(async move {
                            let mut stream = stream.expect("a connection is free");
                            let asked = driver.ask(&mut stream).await;
                            free.borrow_mut().push_back(stream);
                            asked
                        });
                    }
                    Some(asked) = posting.next() => answers.push(asked.answer()),
                    Some(()) = answers.next() => {}
                }
            }
            while let Some(asked) = posting.next().await {
                answers.push(asked.answer());
            }
            while answers.next().await.is_some() {}
        });
        self.round(first, started, until, late.get())
    }

    /// Every message that was written was answered exactly once; how many there were.
    pub fn answered_once(&self) -> usize {
        self.watch.borrow().answered_once()
    }

    fn round(&self, first: u64, started: Instant, until: Instant, late: usize) -> Round {
        let turns = self.watch.borrow().of(first..self.next.get());
        let finished = turns.iter().filter(|turn| turn.sent.is_some_and(|sent| sent <= until)).count();
        Round { turns, finished, took: until - started, whole: started.elapsed(), late }
    }

    /// Posts a message, which is acknowledged.
    async fn ask(&self, stream: &mut TcpStream) -> Asked {
        let number = self.next.get();
        self.next.set(number + 1);
        let contact = number % self.contacts;
        let mut written = message(number, contact, &text_of(number));
        // What was written long ago is not answered.
        written["timestamp"] = (SystemClock.now().as_millis() / 1_000).to_string().into();
        let body = messages_webhook(contact, &[written]);
        let mut request = Vec::with_capacity(body.len() + 512);
        signed(&self.path, &body, &mut request);
        let told = self.watch.borrow_mut().posted(number);
        stream.write_all(&request).await.expect("the server takes requests");
        let mut answer = Vec::with_capacity(1_024);
        assert_eq!(answered(stream, &mut answer).await, 200, "message {number} is acknowledged");
        self.watch.borrow_mut().acknowledged(number);
        Asked { number, told }
    }

    /// Does something while every moment is taken note of.
    fn watching(&mut self, work: impl AsyncFnOnce(&Self)) {
        // Taken out, so that the rest of it can be lent.
        let mut moments = self.moments.resubscribe();
        std::mem::swap(&mut moments, &mut self.moments);
        let this = &*self;
        let watching = async {
            loop {
                let moment = moments.recv().await.expect("no moment is missed");
                this.watch.borrow_mut().take(moment);
            }
        };
        self.runtime.block_on(async {
            match select(Box::pin(work(this)), Box::pin(watching)).await {
                Either::Left(((), _)) => {}
                Either::Right((never, _)) => never,
            }
        });
        self.moments = moments;
    }
}
