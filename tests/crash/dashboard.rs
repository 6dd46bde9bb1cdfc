//! Who watches a tenant while the server dies: it connects anew and goes on at its number.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_util::sync::CancellationToken;

use crate::system::{System, Tenant};

/// How soon it tries to connect again.
const AGAIN_AFTER: Duration = Duration::from_millis(20);
/// A frame that does not come within this will not: the server died without a word.
const SILENT_MAX: Duration = Duration::from_secs(5);

/// One dashboard, of one tenant.
#[derive(Default)]
pub struct Dashboard {
    /// What was shown, by its number.
    shown: RefCell<HashMap<u64, String>>,
    last: Cell<u64>,
    pub connected: Cell<u64>,
    /// Numbers that were passed over.
    pub missed: Cell<u64>,
    /// Events that were shown a second time.
    pub repeated: Cell<u64>,
    /// Events that had been shown and of which a later life of the server did not know.
    pub taken_back: Cell<u64>,
}

/// What an event is told by: nothing of it changes later.
fn mark(event: &Value) -> String {
    format!("{} {} {}", event["type"], event["at"], event["conversation"])
}

fn add(count: &Cell<u64>, more: u64) {
    count.set(count.get() + more);
}

impl Dashboard {
    /// Watches until it is closed.
    pub async fn watch(&self, system: &System, tenant: &Tenant, closed: &CancellationToken) {
        let watching = async {
            loop {
                // It ends with the server.
                drop(self.watch_a_life(system, tenant).await);
                tokio::time::sleep(AGAIN_AFTER).await;
            }
        };
        closed.run_until_cancelled(watching).await;
    }

    async fn watch_a_life(&self, system: &System, tenant: &Tenant) -> Result<(), Error> {
        let mut request = system.live_url().into_client_request()?;
        request.headers_mut().insert("authorization", tenant.bearer().parse().unwrap());
        let (mut socket, _) = connect_async(request).await?;
        let subscribe = json!({ "type": "subscribe", "tenant": tenant.id, "after_seq": self.last.get() });
        socket.send(Message::text(subscribe.to_string())).await?;
        add(&self.connected, 1);
        while let Ok(Some(frame)) = tokio::time::timeout(SILENT_MAX, socket.next()).await {
            if let Message::Text(text) = frame? {
                self.see(&serde_json::from_str(&text).expect("frames are json"));
            }
        }
        Ok(())
    }

    fn see(&self, frame: &Value) {
        let last = self.last.get();
        match frame["type"].as_str() {
            // It goes on where it can: before our number, if the log does not reach so far.
            Some("subscribed") => {
                let after = frame["after_seq"].as_u64().unwrap();
                add(&self.taken_back, last.saturating_sub(after));
            }
            Some("event") => {
                let seq = frame["seq"].as_u64().unwrap();
                if seq <= last {
                    return add(&self.repeated, 1);
                }
                add(&self.missed, seq - last - 1);
                self.last.set(seq);
                self.shown.borrow_mut().insert(seq, mark(&frame["event"]));
            }
            Some("error") => panic!("a dashboard was refused: {frame}"),
            _ => {}
        }
    }

    /// How many events were shown.
    pub fn events(&self) -> usize {
        self.shown.borrow().len()
    }

    /// Whether all of the log has been shown, as it is.
    pub fn shows(&self, log: &[Value]) -> bool {
        let shown = self.shown.borrow();
        let seq = |event: &Value| event["seq"].as_u64().unwrap_or_default();
        shown.len() == log.len() && log.iter().all(|event| shown.get(&seq(event)) == Some(&mark(event)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(seq: u64, kind: &str) -> Value {
        json!({ "type": "event", "seq": seq, "event": { "seq": seq, "type": kind, "at": 1 } })
    }

    #[test]
    fn gaps_repetitions_and_what_is_taken_back_are_seen() {
        let dashboard = Dashboard::default();
        for frame in [event(1, "a"), event(2, "b"), event(2, "b"), event(5, "c")] {
            dashboard.see(&frame);
        }
        dashboard.see(&json!({ "type": "subscribed", "after_seq": 4 }));
        let seen = [&dashboard.repeated, &dashboard.missed, &dashboard.taken_back].map(Cell::get);
        assert_eq!((seen, dashboard.events()), ([1, 2, 1], 3));
    }

    #[test]
    fn what_is_shown_is_what_is_in_the_log() {
        let dashboard = Dashboard::default();
        dashboard.see(&event(1, "a"));
        let log = |kinds: &[&str]| -> Vec<Value> {
            kinds.iter().zip(1..).map(|(kind, seq)| event(seq, kind)["event"].clone()).collect()
        };
        assert!(dashboard.shows(&log(&["a"])));
        assert!(!dashboard.shows(&log(&["b"])));
        assert!(!dashboard.shows(&log(&["a", "b"])));
    }
}
