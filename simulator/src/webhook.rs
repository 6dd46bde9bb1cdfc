//! Webhooks as Meta sends them: the envelope, the wire form, the signature, and deliveries until a 200.
//!
//! Each webhook is delivered by a task of its own, so their order is not kept, as Meta keeps none.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use bytes::Bytes;
use iassistance_domain::Entropy as _;
use serde::Serialize;
use serde_json::Value;
use tokio::sync::{Semaphore, watch};

use crate::accounts::Account;
use crate::callback::{Callback, Connections};
use crate::core::{Core, FeedEvent, lock};
use crate::moments::Happened;
use crate::settings::{SimulatorError, WebhookSettings};
use crate::world::Tick;

/// What was counted of webhooks since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct WebhookCounters {
    /// Webhooks that were made, extra deliveries counted too.
    pub created: u64,
    /// Tries to deliver one.
    pub attempts: u64,
    /// Those that got a 200.
    pub acknowledged: u64,
    /// Those that were given up.
    pub given_up: u64,
    /// Those that still wait.
    pub pending: u64,
}

/// A webhook, ready for the wire.
#[derive(Clone)]
struct Webhook {
    body: Bytes,
    signature: String,
    /// The inbound message in it, whose tick turns when the webhook is taken.
    inbound: Option<String>,
    /// The other Meta app that it is for.
    app: Option<String>,
}

/// All that is on its way to the callback.
pub(crate) struct Outgoing {
    settings: WebhookSettings,
    /// Where webhooks go, by app; the simulator's own has no name.
    callbacks: Mutex<HashMap<Option<String>, Callback>>,
    connections: Connections,
    on_the_wire: Semaphore,
    held: Mutex<Vec<Webhook>>,
    hurry: watch::Sender<()>,
    created: AtomicU64,
    attempts: AtomicU64,
    acknowledged: AtomicU64,
    given_up: AtomicU64,
}

impl Outgoing {
    /// `callbacks`: where webhooks go at first, by app.
    pub fn new(
        settings: WebhookSettings,
        callbacks: impl Iterator<Item = (Option<String>, String)>,
    ) -> Result<Self, SimulatorError> {
        let callbacks = callbacks.map(|(app, url)| Ok((app, Callback::parse(&url)?)));
        Ok(Self {
            settings,
            callbacks: Mutex::new(callbacks.collect::<Result<_, SimulatorError>>()?),
            connections: Connections::new(settings.concurrent_max),
            on_the_wire: Semaphore::new(settings.concurrent_max),
            held: Mutex::default(),
            hurry: watch::Sender::new(()),
            created: AtomicU64::new(0),
            attempts: AtomicU64::new(0),
            acknowledged: AtomicU64::new(0),
            given_up: AtomicU64::new(0),
        })
    }

    /// Where an app's webhooks go: to the simulator's own callback if it has none.
    pub fn callback(&self, app: Option<&str>) -> Option<Callback> {
        let callbacks = lock(&self.callbacks);
        callbacks.get(&app.map(str::to_owned)).or_else(|| callbacks.get(&None)).cloned()
    }

    /// Whether any webhooks go there.
    pub fn calls(&self, to: &Callback) -> bool {
        lock(&self.callbacks).values().any(|callback| callback == to)
    }

    /// Sends an app's webhooks there from now on, those that wait at once.
    pub fn set_callback(&self, app: Option<&str>, url: &str) -> Result<(), SimulatorError> {
        let callback = Callback::parse(url)?;
        lock(&self.callbacks).insert(app.map(str::to_owned), callback);
        self.connections.forget();
        self.hurry();
        Ok(())
    }

    /// Retries at once what waits for its next retry.
    pub fn hurry(&self) {
        self.hurry.send_replace(());
    }

    pub fn counters(&self) -> WebhookCounters {
        let get = |count: &AtomicU64| count.load(Ordering::Acquire);
        let (acknowledged, given_up) = (get(&self.acknowledged), get(&self.given_up));
        let created = get(&self.created);
        let pending = created.saturating_sub(acknowledged).saturating_sub(given_up);
        WebhookCounters { created, attempts: get(&self.attempts), acknowledged, given_up, pending }
    }

    pub fn is_full(&self) -> bool {
        self.counters().pending >= self.settings.pending_max
    }
}

/// Signs a webhook and sets it on its way, as the faults of the moment will have it.
pub(crate) fn emit(core: &Arc<Core>, account: &Account, envelope: &Value, inbound: Option<String>) {
    let body = escape(&envelope.to_string());
    let secret = core.secret(account.app_id.as_deref());
    let signature = iassistance_channels::signature::sign(secret.as_bytes(), body.as_bytes());
    let app = account.app_id.clone();
    let webhook = Webhook { body: Bytes::from(body), signature, inbound, app };
    let faults = core.faults().webhooks.clone();
    for _ in 0..=faults.extra_deliveries {
        core.webhooks.created.fetch_add(1, Ordering::AcqRel);
        match faults.shuffle {
            Some(shuffle) => hold(core, webhook.clone(), shuffle),
            None => launch(core, webhook.clone()),
        }
    }
    core.changed();
}

/// Keeps a webhook until enough are there to be shuffled, or the first has waited.
fn hold(core: &Arc<Core>, webhook: Webhook, shuffle: crate::faults::Shuffle) {
    let count = {
        let mut held = lock(&core.webhooks.held);
        held.push(webhook);
        held.len()
    };
    if count >= shuffle.events_max {
        release(core);
    } else if count == 1 {
        let shared = Arc::clone(core);
        core.tasks.spawn("shuffle", async move {
            shared.clock.sleep_millis(shuffle.hold_ms).await;
            release(&shared);
        });
    }
}

/// Lets all that is held go, in a random order.
fn release(core: &Arc<Core>) {
    let mut held = std::mem::take(&mut *lock(&core.webhooks.held));
    while let Some(last) = held.len().checked_sub(1) {
        let chosen = core.entropy.up_to(last as u64);
        launch(core, held.swap_remove(usize::try_from(chosen).unwrap_or(last)));
    }
}

fn launch(core: &Arc<Core>, webhook: Webhook) {
    let shared = Arc::clone(core);
    core.tasks.spawn("webhook", async move { deliver(&shared, &webhook).await });
}

/// Tries until there is a 200 or the time is up.
async fn deliver(core: &Core, webhook: &Webhook) {
    let outgoing = &core.webhooks;
    let settings = outgoing.settings;
    let delay_ms = core.faults().webhooks.delay_ms;
    if delay_ms > 0 {
        core.clock.sleep_millis(delay_ms).await;
    }
    let give_up = core.clock.now().plus_millis(settings.give_up_ms);
    let mut pause_ms = settings.first_retry_ms;
    loop {
        // Taken before the try, so that a hurry during it is not missed.
        let mut hurry = outgoing.hurry.subscribe();
        if attempt(core, webhook).await {
            break;
        }
        if core.clock.now() >= give_up {
            outgoing.given_up.fetch_add(1, Ordering::AcqRel);
            core.changed();
            tracing::warn!("a simulated webhook was given up");
            return;
        }
        core.changed();
        let jitter_ms = core.entropy.up_to(pause_ms / 4);
        tokio::select! {
            () = core.clock.sleep_millis(pause_ms.saturating_add(jitter_ms)) => {}
            _ = hurry.changed() => {}
        }
        pause_ms = pause_ms.saturating_mul(2).min(settings.retry_ms_max.max(settings.first_retry_ms));
    }
    if let Some(wamid) = &webhook.inbound {
        let ticked = core.world().tick(wamid, Tick::Delivered, None);
        if let Some(contact) = ticked {
            core.publish(FeedEvent::Tick { contact, wamid: wamid.clone(), tick: Tick::Delivered });
        }
    }
    outgoing.acknowledged.fetch_add(1, Ordering::AcqRel);
    core.changed();
}

/// One try; whether it got a 200.
async fn attempt(core: &Core, webhook: &Webhook) -> bool {
    let outgoing = &core.webhooks;
    let Ok(_permit) = outgoing.on_the_wire.acquire().await else { return false };
    let Some(callback) = outgoing.callback(webhook.app.as_deref()) else { return false };
    outgoing.attempts.fetch_add(1, Ordering::AcqRel);
    let posted = outgoing.connections.post(core, &callback, &webhook.body, &webhook.signature);
    let began = Instant::now();
    let taken = tokio::select! {
        status = posted => status == Some(200),
        () = core.clock.sleep_millis(outgoing.settings.answer_ms_max) => false,
    };
    if taken {
        let micros = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        core.moments.tell(|| Happened::WebhookTaken { micros });
    }
    taken
}

/// JSON text as it leaves Meta: ASCII alone, with `/` and `@` escaped too. Outside its strings JSON has none of
/// these, so the text can be rewritten letter by letter.
fn escape(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len() + json.len() / 8);
    for letter in json.chars() {
        match letter {
            '/' => escaped.push_str("\\/"),
            '@' => escaped.push_str("\\u0040"),
            ascii if ascii.is_ascii() && ascii != '\x7f' => escaped.push(ascii),
            other => {
                for unit in other.encode_utf16(&mut [0; 2]) {
                    escaped.push_str("\\u");
                    escaped.push_str(&hex::encode(unit.to_be_bytes()));
                }
            }
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_wire_form_is_ascii_and_means_the_same() {
        let text = json!({"text": "äöå a/b me@x 🙂 \"quoted\" \\u0041 \n \u{7f}"});
        let wire = escape(&text.to_string());
        assert!(wire.is_ascii());
        assert!(wire.contains("\\u00e4\\u00f6\\u00e5 a\\/b me\\u0040x \\ud83d\\ude42"), "{wire}");
        assert_eq!(serde_json::from_str::<Value>(&wire).ok(), Some(text));
    }
}
