//! What the parts of the simulator share.

use std::collections::HashMap;
use std::future::Future;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::FutureExt as _;
use iassistance_domain::{Clock, Entropy as _, SeededEntropy};
use serde::Serialize;
use tokio::sync::{broadcast, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::accounts::{Account, Accounts};
use crate::act::{Act, Deed};
use crate::contacts::Contact;
use crate::faults::{self, Faults, ModelFault, SendFault};
use crate::media::Files;
use crate::model_record::{Model, ModelEndpoint};
use crate::moments::Moments;
use crate::scene;
use crate::settings::{SimulatorError, SimulatorSettings};
use crate::templates::Template;
use crate::tool_server::ToolServer;
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
        message: Box<TranscriptItem>,
    },
    Tick {
        contact: String,
        wamid: String,
        tick: Tick,
    },
    Typing {
        contact: String,
        on: bool,
    },
    Account {
        account: serde_json::Value,
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
    pub tools: ToolServer,
    pub moments: Moments,
    pub tasks: Tasks,
    accounts: Mutex<Accounts>,
    files: Mutex<Files>,
    /// By business account.
    templates: Mutex<HashMap<String, Vec<Template>>>,
    /// Which fields an account's app is subscribed to; all if it never said.
    subscriptions: Mutex<HashMap<String, Vec<String>>>,
    /// Where it listens, once it does.
    address: OnceLock<SocketAddr>,
    /// Where the server's monitor is, where it has one.
    monitor: OnceLock<String>,
    world: Mutex<World>,
    faults: Mutex<Faults>,
    feed: broadcast::Sender<FeedEvent>,
    changes: watch::Sender<u64>,
}

impl Core {
    pub fn new(settings: SimulatorSettings, clock: Arc<dyn Clock>) -> Result<Self, SimulatorError> {
        settings.check()?;
        let mut accounts = Accounts::default();
        let numbers = settings.numbers.iter().cloned().map(Account::from);
        for account in numbers.chain(settings.accounts.iter().cloned()) {
            known_app(&settings, &account)?;
            accounts.add(account, clock.now())?;
        }
        let own = settings.callback_url.iter().map(|url| (None, url.clone()));
        let apps = settings.apps.iter();
        let others = apps.filter_map(|app| Some((Some(app.app_id.clone()), app.callback_url.clone()?)));
        Ok(Self {
            clock,
            entropy: SeededEntropy::new(settings.seed),
            webhooks: Outgoing::new(settings.webhooks, own.chain(others))?,
            model: Model::new(&settings.model),
            tools: ToolServer::default(),
            moments: Moments::default(),
            tasks: Tasks::default(),
            accounts: Mutex::new(accounts),
            files: Mutex::default(),
            templates: Mutex::default(),
            subscriptions: Mutex::default(),
            address: OnceLock::new(),
            monitor: OnceLock::new(),
            world: Mutex::default(),
            faults: Mutex::new(settings.faults.clone()),
            feed: broadcast::Sender::new(FEED_EVENTS_MAX),
            changes: watch::Sender::new(0),
            settings,
        })
    }

    /// Where the server's monitor is: the phone leads there. The first that was said stays.
    pub fn set_monitor(&self, url: &str) {
        _ = self.monitor.set(url.to_owned());
    }

    pub fn monitor(&self) -> Option<&str> {
        self.monitor.get().map(String::as_str)
    }

    pub fn accounts(&self) -> MutexGuard<'_, Accounts> {
        lock(&self.accounts)
    }

    pub fn files(&self) -> MutexGuard<'_, Files> {
        lock(&self.files)
    }

    /// Adds an account, and tells the phone page.
    pub fn add_account(&self, account: Account) -> Result<Arc<Account>, SimulatorError> {
        known_app(&self.settings, &account)?;
        let account = self.accounts().add(account, self.clock.now())?;
        self.publish(FeedEvent::Account { account: account.public() });
        Ok(account)
    }

    /// Works on the templates of a business account.
    pub fn with_templates<T>(&self, waba: &str, work: impl FnOnce(&mut Vec<Template>) -> T) -> T {
        let mut all = lock(&self.templates);
        work(all.entry(waba.to_owned()).or_insert_with(|| self.settings.templates.clone()))
    }

    /// Works on what an account's app is subscribed to.
    pub fn with_subscriptions<T>(&self, work: impl FnOnce(&mut HashMap<String, Vec<String>>) -> T) -> T {
        work(&mut lock(&self.subscriptions))
    }

    /// Whether an account's app hears of a field.
    pub fn hears(&self, account: &Account, field: &str) -> bool {
        self.with_subscriptions(|all| {
            all.get(account.id()).is_none_or(|fields| fields.iter().any(|known| known == field))
        })
    }

    /// What webhooks of an app are signed with.
    pub fn secret(&self, app: Option<&str>) -> &str {
        let other = app.and_then(|id| self.settings.apps.iter().find(|app| app.app_id == id));
        other.map_or(&self.settings.app_secret, |app| &app.secret)
    }

    /// The id of the app that an account was connected through.
    pub fn app_id<'a>(&'a self, account: &'a Account) -> &'a str {
        account.app_id.as_deref().unwrap_or(&self.settings.app_id)
    }

    pub fn set_address(&self, address: SocketAddr) {
        // Set once, at the start.
        self.address.set(address).ok();
    }

    /// Where it is reached.
    pub fn base_url(&self) -> String {
        self.address.get().map(|address| format!("http://{address}")).unwrap_or_default()
    }

    pub fn world(&self) -> MutexGuard<'_, World> {
        lock(&self.world)
    }

    pub fn faults(&self) -> MutexGuard<'_, Faults> {
        lock(&self.faults)
    }

    pub fn set_faults(&self, new: Faults) -> Result<(), SimulatorError> {
        new.check()?;
        *self.faults() = new;
        self.changed();
        Ok(())
    }

    /// The fault that is due for this send, counted.
    pub fn send_fault(&self, account: &Account) -> Option<SendFault> {
        let fits = |fault: &SendFault| fault.is_for(account.id(), account.product().name());
        let due = faults::due(&mut self.faults().sends, &self.entropy, fits)?;
        self.count_fault();
        Some(due)
    }

    /// The fault that is due for this call about a file, counted.
    pub fn media_fault(&self, account: &Account) -> Option<SendFault> {
        let fits = |fault: &SendFault| fault.is_for(account.id(), account.product().name());
        let due = faults::due(&mut self.faults().media, &self.entropy, fits)?;
        self.count_fault();
        Some(due)
    }

    /// The fault that is due for this request to the model, counted.
    pub fn model_fault(&self, endpoint: ModelEndpoint, model: &str) -> Option<ModelFault> {
        let fits = |fault: &ModelFault| fault.is_for(endpoint, model);
        let due = faults::due(&mut self.faults().model, &self.entropy, fits)?;
        self.count_fault();
        Some(due.itself())
    }

    fn count_fault(&self) {
        self.world().counters.faults += 1;
        self.changed();
    }

    /// The account of this id, product or name; the first when none is named.
    pub fn account(&self, named: Option<&str>) -> Result<Arc<Account>, SimulatorError> {
        let accounts = self.accounts();
        let found = match named {
            Some(name) => accounts.named(name),
            None => accounts.all().first(),
        };
        found.cloned().ok_or(SimulatorError::UnknownAccount)
    }

    /// A contact writes to a number (or any account), the first one when none is named; the message's wamid.
    pub fn say(
        self: &Arc<Self>,
        who: &str,
        number: Option<&str>,
        text: &str,
        quoting: Option<String>,
    ) -> Result<String, SimulatorError> {
        if number.is_some_and(|id| self.accounts().named(id).is_none()) {
            return Err(SimulatorError::UnknownNumber);
        }
        let act = Act::Text { text: text.to_owned() };
        let done = scene::play(self, Deed { quoting, ..Deed::of(who, number, act) })?;
        Ok(done.wamid.unwrap_or_default())
    }

    /// A contact moves to another number; the phone page loads everything again.
    pub fn renumber(&self, wa_id: &str, new: &str) -> Result<Contact, SimulatorError> {
        let contact = self.world().renumber(wa_id, new)?;
        self.publish(FeedEvent::Resync);
        Ok(contact)
    }

    /// An id of a message of Messenger or Instagram.
    pub fn new_mid(&self, account: &Account) -> String {
        let mut unique = [0; 24];
        self.entropy.fill(&mut unique);
        let moment = self.clock.now().as_millis().to_be_bytes();
        unique[..6].copy_from_slice(&moment[2..]);
        let text = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(unique);
        if account.is_instagram() { format!("aWdf{text}") } else { format!("m_{text}") }
    }

    /// An id of an object that is no message: digits, as Meta makes them.
    pub fn new_object_id(&self, prefix: u64) -> String {
        format!("{prefix}{:013}", self.entropy.up_to(9_999_999_999_999))
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

/// Refuses an account of an app that there is not.
fn known_app(settings: &SimulatorSettings, account: &Account) -> Result<(), SimulatorError> {
    let Some(id) = &account.app_id else { return Ok(()) };
    let known = *id == settings.app_id || settings.apps.iter().any(|app| app.app_id == *id);
    if known { Ok(()) } else { Err(SimulatorError::UnknownApp) }
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
