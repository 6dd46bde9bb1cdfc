//! What the parts of the simulator share.

use std::collections::HashMap;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::FutureExt as _;
use iassistance_domain::{Clock, Entropy as _, SeededEntropy};
use serde::Serialize;
use tokio::sync::{broadcast, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::contacts::Contact;
use crate::faults::{self, Faults};
use crate::model::Model;
use crate::settings::{Number, ScriptedAnswer, SimulatorError, SimulatorSettings};
use crate::webhook::Outgoing;
use crate::world::{Direction, Tick, TranscriptItem, World};

/// How many characters a text message may have (Meta: Cloud API, text messages).
pub(crate) const TEXT_CHARS_MAX: usize = 4_096;
const FEED_EVENTS_MAX: usize = 1_024;

/// What the phone page is told as it happens.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum FeedEvent {
    Contact {
        contact: Contact,
    },
    Message {
        contact: String,
        message: TranscriptItem,
    },
    Tick {
        contact: String,
        wamid: String,
        tick: Tick,
    },
    Typing {
        contact: String,
    },
    /// Some events were missed: load everything again.
    Resync,
}

pub(crate) struct Core {
    pub settings: SimulatorSettings,
    pub clock: Arc<dyn Clock>,
    pub entropy: SeededEntropy,
    pub webhooks: Outgoing,
    pub model: Model,
    pub tasks: Tasks,
    numbers: HashMap<String, Number>,
    world: Mutex<World>,
    faults: Mutex<Faults>,
    answers: Mutex<Arc<Vec<ScriptedAnswer>>>,
    feed: broadcast::Sender<FeedEvent>,
    changes: watch::Sender<u64>,
}

impl Core {
    pub fn new(settings: SimulatorSettings, clock: Arc<dyn Clock>) -> Result<Self, SimulatorError> {
        settings.check()?;
        let numbers = settings.numbers.iter().map(|number| (number.phone_number_id.clone(), number.clone()));
        Ok(Self {
            clock,
            entropy: SeededEntropy::new(settings.seed),
            webhooks: Outgoing::new(settings.webhooks, settings.callback_url.as_deref())?,
            model: Model::default(),
            tasks: Tasks::default(),
            numbers: numbers.collect(),
            world: Mutex::default(),
            faults: Mutex::new(settings.faults.clone()),
            answers: Mutex::new(Arc::new(settings.model.answers.clone())),
            feed: broadcast::Sender::new(FEED_EVENTS_MAX),
            changes: watch::Sender::new(0),
            settings,
        })
    }

    pub fn world(&self) -> MutexGuard<'_, World> {
        lock(&self.world)
    }

    pub fn faults(&self) -> MutexGuard<'_, Faults> {
        lock(&self.faults)
    }

    pub fn answers(&self) -> Arc<Vec<ScriptedAnswer>> {
        Arc::clone(&lock(&self.answers))
    }

    pub fn set_answers(&self, answers: Vec<ScriptedAnswer>) {
        *lock(&self.answers) = Arc::new(answers);
    }

    pub fn set_faults(&self, new: Faults) -> Result<(), SimulatorError> {
        new.check()?;
        *self.faults() = new;
        self.changed();
        Ok(())
    }

    /// The fault that is due for this send, counted.
    pub fn send_fault(&self) -> Option<faults::SendFault> {
        let due = faults::due(&mut self.faults().sends, &self.entropy)?;
        self.world().counters.faults += 1;
        self.changed();
        Some(due)
    }

    /// The fault that is due for this request to the model, counted.
    pub fn model_fault(&self) -> Option<faults::ModelFault> {
        let due = faults::due(&mut self.faults().model, &self.entropy)?;
        self.world().counters.faults += 1;
        self.changed();
        Some(due)
    }

    pub fn number(&self, phone_number_id: &str) -> Option<&Number> {
        self.numbers.get(phone_number_id)
    }

    /// A contact writes to a number, the first one when none is named; the message's wamid.
    pub fn say(
        self: &Arc<Self>,
        who: &str,
        number: Option<&str>,
        text: &str,
        quoting: Option<String>,
    ) -> Result<String, SimulatorError> {
        let number = match number {
            Some(id) => self.number(id),
            None => self.settings.numbers.first(),
        };
        let number = number.ok_or(SimulatorError::UnknownNumber)?;
        if !(1..=TEXT_CHARS_MAX).contains(&text.chars().count()) {
            return Err(SimulatorError::TextLength { max: TEXT_CHARS_MAX });
        }
        if self.webhooks.is_full() {
            return Err(SimulatorError::Backlog);
        }
        let (contact, item) = {
            let mut world = self.world();
            let (wa_id, added) = world.find_or_add(who)?;
            let contact = world.contacts.get(&wa_id).map(|entry| entry.contact.clone());
            let contact = contact.ok_or(SimulatorError::BadContact)?;
            if added {
                self.publish(FeedEvent::Contact { contact: contact.clone() });
            }
            let item = TranscriptItem {
                wamid: self.new_wamid(&contact, Direction::FromContact),
                phone_number_id: number.phone_number_id.clone(),
                direction: Direction::FromContact,
                at: self.clock.now(),
                text: text.to_owned(),
                tick: Tick::Sent,
                quoting,
                opaque: None,
                error_code: None,
            };
            world.keep(&wa_id, item.clone());
            self.publish(FeedEvent::Message { contact: wa_id, message: item.clone() });
            (contact, item)
        };
        let value = crate::webhook::inbound_value(number, &contact, &item);
        crate::webhook::emit(self, number, &value, Some(item.wamid.clone()));
        Ok(item.wamid)
    }

    /// An id as Meta makes them: it embeds whose phone it is about, so it is personal data there too.
    pub fn new_wamid(&self, contact: &Contact, direction: Direction) -> String {
        let whose = if contact.hides_number { &contact.user_id } else { &contact.wa_id };
        let mut unique = [0; 10];
        self.entropy.fill(&mut unique);
        // The moment keeps ids of one seed apart when the simulator is started again.
        let moment = self.clock.now().as_millis().to_be_bytes();
        unique[..6].copy_from_slice(&moment[2..]);
        let mut bytes = vec![0x1c, 0x18, u8::try_from(whose.len()).unwrap_or(u8::MAX)];
        bytes.extend_from_slice(whose.as_bytes());
        bytes.extend_from_slice(&[0x15, 0x02, 0x00]);
        bytes.extend_from_slice(match direction {
            Direction::FromContact => &[0x12, 0x18, 0x14],
            Direction::ToContact => &[0x11, 0x18, 0x14],
        });
        bytes.extend_from_slice(hex::encode_upper(unique).as_bytes());
        bytes.push(0);
        format!("wamid.{}", STANDARD.encode(bytes))
    }

    /// A trace id as Graph answers carry them.
    pub fn new_trace(&self) -> String {
        let mut bytes = [0; 15];
        self.entropy.fill(&mut bytes);
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Tells the phone page, and whoever waits, that something happened.
    pub fn publish(&self, event: FeedEvent) {
        // Nobody listening is no fault.
        self.feed.send(event).ok();
        self.changed();
    }

    /// Wakes whoever waits for a change.
    pub fn changed(&self) {
        self.changes.send_modify(|count| *count = count.wrapping_add(1));
    }

    pub fn feed(&self) -> broadcast::Receiver<FeedEvent> {
        self.feed.subscribe()
    }

    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Every task of the simulator: tracked, ended by one token, and a panic of one is told and kept there.
#[derive(Default)]
pub(crate) struct Tasks {
    tracker: TaskTracker,
    pub stop: CancellationToken,
}

impl Tasks {
    /// Runs `work` until it is done or the simulator stops.
    pub fn spawn(&self, name: &'static str, work: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.tracker.spawn(async move {
            let guarded = AssertUnwindSafe(stop.run_until_cancelled(work)).catch_unwind();
            if guarded.await.is_err() {
                tracing::error!(task = name, "a task of the simulator panicked");
            }
        });
    }

    /// Ends every task and waits until they are gone.
    pub async fn end(&self) {
        self.stop.cancel();
        self.tracker.close();
        self.tracker.wait().await;
    }
}
