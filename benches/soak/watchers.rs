//! Who watches a tenant live: one who keeps up, one who reads slowly for a while, one whose connection
//! ends again and again. Each must see every event once, in its order.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use iassistance_domain::{Entropy, SeededEntropy};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};
use tokio_util::sync::CancellationToken;

use crate::book::Book;
use crate::place::{Place, Tenant};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// How somebody watches.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// Reads at once.
    Quick,
    /// Reads a frame now and then for a while, then at once.
    Slow,
    /// Connects anew every few seconds, and goes on at the number.
    Restless,
}

/// How long a slow reader is slow, and then quick; its pause between frames.
const SLOW_FOR: Duration = Duration::from_secs(20);
const SLOW_PAUSE: Duration = Duration::from_millis(60);
const CONNECTED_MS_MAX: u64 = 8_000;
const AGAIN_AFTER: Duration = Duration::from_millis(200);

/// What a watcher saw.
pub struct Watcher<'a> {
    place: &'a Place,
    tenant: usize,
    manner: Manner,
    /// The number of the last event.
    pub last: Cell<u64>,
    pub missed: Cell<u64>,
    pub repeated: Cell<u64>,
    pub lagged: Cell<u64>,
    pub connected: Cell<u64>,
}

impl<'a> Watcher<'a> {
    pub fn new(place: &'a Place, tenant: usize, manner: Manner) -> Self {
        let count = Cell::default;
        let (last, missed, repeated, lagged, connected) = (count(), count(), count(), count(), count());
        Self { place, tenant, manner, last, missed, repeated, lagged, connected }
    }

    fn tenant(&self) -> &'a Tenant {
        &self.place.tenants[self.tenant]
    }

    /// Watches until it is closed. The one who keeps up writes into the book what it sees; the slow one
    /// is slow until it is over.
    pub async fn watch(
        &self,
        book: &RefCell<Book>,
        seed: u64,
        over: &CancellationToken,
        closed: &CancellationToken,
    ) {
        let entropy = SeededEntropy::new(seed);
        while !closed.is_cancelled() {
            let connected = async {
                match self.connect().await {
                    Ok(socket) => self.read(socket, book, &entropy, over).await,
                    Err(_) => tokio::time::sleep(AGAIN_AFTER).await,
                }
            };
            closed.run_until_cancelled(connected).await;
        }
    }

    async fn connect(&self) -> Result<Socket, tokio_tungstenite::tungstenite::Error> {
        let url = format!("ws://{}/v1/live", self.place.server.address);
        let mut request = url.into_client_request()?;
        let bearer = format!("Bearer {}", self.tenant().key);
        request.headers_mut().insert("authorization", bearer.parse().expect("a key is plain text"));
        let (mut socket, _) = connect_async(request).await?;
        let subscribe =
            json!({ "type": "subscribe", "tenant": self.tenant().id, "after_seq": self.last.get() });
        socket.send(Message::text(subscribe.to_string())).await?;
        self.connected.set(self.connected.get() + 1);
        Ok(socket)
    }

    /// Reads until the connection ends, or this reader has had enough of it.
    async fn read(
        &self,
        mut socket: Socket,
        book: &RefCell<Book>,
        entropy: &SeededEntropy,
        over: &CancellationToken,
    ) {
        let began = Instant::now();
        let enough = match self.manner {
            Manner::Restless => Duration::from_millis(entropy.up_to(CONNECTED_MS_MAX)),
            _ => Duration::MAX,
        };
        while let Some(left) = enough.checked_sub(began.elapsed()) {
            let Ok(frame) = tokio::time::timeout(left, socket.next()).await else { break };
            let Some(Ok(frame)) = frame else { return };
            if let Message::Text(text) = frame {
                self.see(&text, book);
            }
            let slow = (began.elapsed().as_secs() / SLOW_FOR.as_secs()).is_multiple_of(2);
            if self.manner == Manner::Slow && slow && !over.is_cancelled() {
                tokio::time::sleep(SLOW_PAUSE).await;
            }
        }
        // Half of them say goodbye.
        if entropy.up_to(1) == 0 {
            drop(socket.close(None).await);
        }
    }

    fn see(&self, text: &str, book: &RefCell<Book>) {
        let frame: Value = serde_json::from_str(text).expect("frames are json");
        match frame["type"].as_str() {
            Some("event") => {}
            Some("lagged") => return self.lagged.set(self.lagged.get() + 1),
            Some("error") => panic!("a watcher was refused: {text}"),
            _ => return,
        }
        let (seq, last) = (frame["seq"].as_u64().expect("events have numbers"), self.last.get());
        if seq <= last {
            return self.repeated.set(self.repeated.get() + 1);
        }
        self.missed.set(self.missed.get() + (seq - last - 1));
        self.last.set(seq);
        if self.manner == Manner::Quick {
            book.borrow_mut().reads(self.tenant, seq, &frame["event"]);
        }
    }
}
