//! The driver: every tenant's people write at even distances, over connections of their own.

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
use tokio::sync::broadcast;
use tokio::time::{MissedTickBehavior, interval_at, sleep};

use crate::support::wire::{answered, signed};
use crate::support::{PHONE_NUMBER_ID, message, messages_webhook};
use crate::watch::{Turn, Watch, text_of};

/// Connections of each tenant, and of the one that floods.
const CONNECTIONS: usize = 4;
const CONNECTIONS_OF_FLOOD: usize = 64;
/// Contacts of each tenant for each message a second that it gets: nobody writes so often that their own
/// limit holds them back.
const CONTACTS_PER_RATE: f64 = 20.0;
/// Above the numbers of the tenants, who do not write to themselves.
const FIRST_CONTACT: u64 = 200_000;
/// How long the last answers may take: the flood's leave at the rate of its number.
const ANSWERED_WITHIN: Duration = Duration::from_mins(10);

/// Writes to a server, and sees what becomes of it.
pub struct Driver {
    runtime: Runtime,
    address: SocketAddr,
    path: String,
    /// The tenants' numbers; the first one's is that of the flood.
    numbers: Vec<String>,
    next: Cell<u64>,
    watch: RefCell<Watch>,
    moments: broadcast::Receiver<Moment>,
}

/// What a phase came to.
pub struct Phase {
    /// The turns of the tenants that do not flood.
    pub others: Vec<Turn>,
    /// Those of the one that does.
    pub loud: Vec<Turn>,
    /// How many of its webhooks were refused.
    pub refused: usize,
}

/// The numbers of a tenant's messages that were acknowledged, and how many were not.
#[derive(Default)]
struct Written {
    acknowledged: Vec<u64>,
    refused: usize,
}

impl Driver {
    pub fn new(
        address: SocketAddr,
        path: String,
        numbers: Vec<String>,
        moments: broadcast::Receiver<Moment>,
    ) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self { runtime, address, path, numbers, next: Cell::new(0), watch: RefCell::default(), moments }
    }

    /// Every tenant at `rate` messages a second, the first at `times` that, for so long; then until all are
    /// answered.
    pub fn run(&mut self, rate: f64, times: f64, time: Duration) -> Phase {
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
        let working = async {
            let tenants = (0..this.numbers.len()).map(|tenant| {
                let (rate, connections) = if tenant == 0 && times > 1.0 {
                    (rate * times, CONNECTIONS_OF_FLOOD)
                } else {
                    (rate, CONNECTIONS)
                };
                this.tenant(tenant, rate, connections, time)
            });
            let written = join_all(tenants).await;
            this.all_answered().await;
            written
        };
        let written = self.runtime.block_on(async {
            match select(Box::pin(working), Box::pin(watching)).await {
                Either::Left((written, _)) => written,
                Either::Right((never, _)) => never,
            }
        });
        self.moments = moments;
        let watch = self.watch.borrow();
        let turns = |written: &[Written]| -> Vec<Turn> {
            let numbers = written.iter().flat_map(|written| &written.acknowledged);
            numbers.map(|number| watch.turn(*number).clone()).collect()
        };
        assert!(written[1..].iter().all(|written| written.refused == 0), "the others are never refused");
        Phase { others: turns(&written[1..]), loud: turns(&written[..1]), refused: written[0].refused }
    }

    /// Every message that was acknowledged was answered exactly once; how many there were.
    pub fn answered_once(&self) -> usize {
        self.watch.borrow().answered_once()
    }

    async fn all_answered(&self) {
        let since = Instant::now();
        let mut said = 0;
        loop {
            let waiting = self.watch.borrow().waiting();
            if waiting == 0 {
                return;
            }
            let seconds = since.elapsed().as_secs();
            if seconds >= said + 5 {
                said = seconds;
                eprintln!("  {waiting} wait for their answer");
            }
            assert!(since.elapsed() < ANSWERED_WITHIN, "{waiting} messages are not answered");
            sleep(Duration::from_millis(50)).await;
        }
    }

    async fn tenant(&self, tenant: usize, rate: f64, connections: usize, time: Duration) -> Written {
        let until = Instant::now() + time;
        let streams = join_all((0..connections).map(|_| TcpStream::connect(self.address))).await;
        let free = RefCell::new(streams.into_iter().map(Result::unwrap).collect::<VecDeque<_>>());
        let period = Duration::from_secs_f64(1.0 / rate);
        // Not all tenants at once: the wait of one moment would count for each of them.
        let begin = period.mul_f64(tenant as f64 / self.numbers.len() as f64);
        let mut tick = interval_at((Instant::now() + begin).into(), period);
        tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "some thousands")]
        let contacts = (rate * CONTACTS_PER_RATE).ceil() as u64;
        let (mut written, mut posting) = (Written::default(), FuturesUnordered::new());
        let take = |written: &mut Written, posted: Option<(u64, bool)>| match posted {
            Some((number, true)) => written.acknowledged.push(number),
            Some((_, false)) => written.refused += 1,
            None => {}
        };
        let mut count = 0;
        while Instant::now() < until {
            tokio::select! {
                _ = tick.tick() => {
                    while free.borrow().is_empty() {
                        let posted = posting.next().await;
                        take(&mut written, posted);
                    }
                    let stream = free.borrow_mut().pop_front();
                    let (free, contact) = (&free, FIRST_CONTACT + tenant as u64 * 500_000 + count % contacts);
                    count += 1;
                    posting.push(async move {
                        let mut stream = stream.expect("a connection is free");
                        let posted = self.post(&mut stream, tenant, contact).await;
                        free.borrow_mut().push_back(stream);
                        posted
                    });
                }
                Some(posted) = posting.next() => take(&mut written, Some(posted)),
            }
        }
        while let Some(posted) = posting.next().await {
            take(&mut written, Some(posted));
        }
        written
    }

    /// Posts a message; its number, and whether it was acknowledged.
    async fn post(&self, stream: &mut TcpStream, tenant: usize, contact: u64) -> (u64, bool) {
        let number = self.next.get();
        self.next.set(number + 1);
        let mut said = message(number, contact, &text_of(number));
        // What was written long ago is not answered.
        said["timestamp"] = (SystemClock.now().as_millis() / 1_000).to_string().into();
        let body = String::from_utf8(messages_webhook(contact, &[said])).expect("a webhook is text");
        let body = body.replace(PHONE_NUMBER_ID, &self.numbers[tenant]).into_bytes();
        let mut request = Vec::with_capacity(body.len() + 512);
        signed(&self.path, &body, &mut request);
        // Nobody waits for its answer by itself.
        drop(self.watch.borrow_mut().posted(number));
        stream.write_all(&request).await.expect("the server takes requests");
        let status = answered(stream, &mut Vec::with_capacity(1_024)).await;
        match status {
            200 => self.watch.borrow_mut().acknowledged(number),
            503 => self.watch.borrow_mut().refused(number),
            status => panic!("a good webhook was answered by {status}"),
        }
        (number, status == 200)
    }
}
