//! What a simulator is started with, and what can go wrong with it.

use crate::accounts::{Account, App};
use crate::faults::Faults;
use crate::model_script::ModelSettings;
use crate::templates::{self, Template};

/// How a simulator behaves. Times are milliseconds; the defaults are Meta's where Meta has one.
///
/// It has no `Debug`: it holds the secrets that the server under test is configured with.
#[derive(Clone)]
pub struct SimulatorSettings {
    /// The port on 127.0.0.1; 0 takes a free one.
    pub port: u16,
    /// What all chance (message ids, shuffles, faults by chance) is drawn from.
    pub seed: u64,
    /// The WhatsApp numbers that businesses own here.
    pub numbers: Vec<Number>,
    /// The other accounts, of any product; more can be added later. At least one number or account is needed.
    pub accounts: Vec<Account>,
    /// The templates that each WhatsApp Business Account has.
    pub templates: Vec<Template>,
    /// Meta's id of the simulated app, digits.
    pub app_id: String,
    /// The Meta app's secret, with which webhooks are signed.
    pub app_secret: String,
    /// Other Meta apps, which accounts may name.
    pub apps: Vec<App>,
    /// The token that the callback's verification carries.
    pub verify_token: String,
    /// Where webhooks go; can be set later. Only `http` on this machine.
    pub callback_url: Option<String>,
    /// The key that the model asks for as its bearer token.
    pub model_key: String,
    /// When the statuses of an accepted send are told.
    pub statuses: StatusDelays,
    /// How webhooks are delivered.
    pub webhooks: WebhookSettings,
    /// The rates that sends are held to.
    pub limits: Limits,
    /// How fast the model is and what it says.
    pub model: ModelSettings,
    /// How a send outside the 24 hour window is refused.
    pub outside_window: OutsideWindow,
    /// What goes wrong on purpose from the start.
    pub faults: Faults,
}

impl Default for SimulatorSettings {
    /// Everything but `numbers` or `accounts`, `app_secret`, `verify_token` and `model_key`, which must be given.
    fn default() -> Self {
        Self {
            port: 0,
            seed: 1,
            numbers: Vec::new(),
            accounts: Vec::new(),
            templates: templates::seeded(),
            app_id: "1000000001".to_owned(),
            apps: Vec::new(),
            app_secret: String::new(),
            verify_token: String::new(),
            callback_url: None,
            model_key: String::new(),
            statuses: StatusDelays::default(),
            webhooks: WebhookSettings::default(),
            limits: Limits::default(),
            model: ModelSettings::default(),
            outside_window: OutsideWindow::default(),
            faults: Faults::default(),
        }
    }
}

/// A business's WhatsApp number.
#[derive(Clone)]
pub struct Number {
    /// What the Graph API calls the number; digits.
    pub phone_number_id: String,
    /// The WhatsApp Business Account that owns it; digits.
    pub waba_id: String,
    /// The number itself, as people write it, for example `+1 555-010-0001`.
    pub display_phone_number: String,
    /// The name that contacts see.
    pub verified_name: String,
    /// The bearer token that may send from it.
    pub access_token: String,
}

/// When the statuses of an accepted send follow, each counted from the one before.
#[derive(Debug, Clone, Copy)]
pub struct StatusDelays {
    /// From acceptance to `sent` (or `failed`).
    pub sent_ms: u64,
    /// From `sent` to `delivered`.
    pub delivered_ms: u64,
    /// From `delivered` to `read`; `None`: the contact never opens the chat.
    pub read_ms: Option<u64>,
}

impl Default for StatusDelays {
    fn default() -> Self {
        Self { sent_ms: 0, delivered_ms: 0, read_ms: Some(0) }
    }
}

/// How webhooks are delivered.
#[derive(Debug, Clone, Copy)]
pub struct WebhookSettings {
    /// The pause before the first retry; it doubles each time, with up to a quarter added by chance.
    pub first_retry_ms: u64,
    /// The longest pause between retries.
    pub retry_ms_max: u64,
    /// When a webhook is given up (Meta: Cloud API webhooks, "up to 7 days").
    pub give_up_ms: u64,
    /// How long an answer is waited for.
    pub answer_ms_max: u64,
    /// How many deliveries are on the wire at once.
    pub concurrent_max: usize,
    /// How many webhooks may wait; beyond it sends get 131016 and contacts cannot write.
    pub pending_max: u64,
}

impl Default for WebhookSettings {
    fn default() -> Self {
        Self {
            first_retry_ms: 500,
            retry_ms_max: 60_000,
            give_up_ms: 7 * 24 * 3_600_000,
            answer_ms_max: 10_000,
            concurrent_max: 32,
            pending_max: 100_000,
        }
    }
}

/// The rates that sends are held to (Meta: Cloud API, throughput and pair rate limits).
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Between a number and a contact one message per this many milliseconds; 0 lifts the limit.
    pub pair_every_ms: u64,
    /// How many of those may be borrowed in a burst.
    pub pair_burst: u64,
    /// Messages per second of one number; 0 lifts the limit.
    pub number_per_second: u64,
    /// Messages per second of one Page or Instagram account; 0 lifts the limit (Meta: Messenger, rate limits).
    pub page_per_second: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { pair_every_ms: 6_000, pair_burst: 45, number_per_second: 80, page_per_second: 300 }
    }
}

/// How a send outside the 24 hour window is refused with 131047: Meta does both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OutsideWindow {
    /// Accepted, then a `failed` status follows.
    #[default]
    FailedLater,
    /// Refused at once.
    RefusedAtOnce,
    /// Delivered all the same: for webhooks that somebody else posts, whose messages are not known here.
    Delivered,
}

/// Why the simulator did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum SimulatorError {
    /// The port is taken or may not be used.
    #[error("cannot listen on 127.0.0.1:{port}: {source}; choose another port, or 0 for a free one")]
    Bind {
        /// The port that was asked for.
        port: u16,
        /// What the system said.
        source: std::io::Error,
    },
    /// The settings cannot work.
    #[error("simulator settings: {0}")]
    Settings(&'static str),
    /// The callback is not on this machine.
    #[error("the callback must be an http address on this machine, such as http://127.0.0.1:8080/webhooks")]
    CallbackNotLocal,
    /// No callback has been set.
    #[error("no callback is set: set one before asking for its verification")]
    NoCallback,
    /// The callback did not answer as Meta asks of it.
    #[error("the callback did not echo the challenge (http status {status}): check the verify token")]
    CallbackNotVerified {
        /// What it answered; 0 when there was no answer.
        status: u16,
    },
    /// There is no such number.
    #[error("no number has that phone_number_id: choose one of those the simulator was started with")]
    UnknownNumber,
    /// There is no such account.
    #[error("no account has that id, product or name: choose one of those at /sim/accounts, or add it there")]
    UnknownAccount,
    /// No Meta app has that id.
    #[error("no app has that app_id: start the simulator with it")]
    UnknownApp,
    /// There is no such message in that conversation.
    #[error("that message is not one of this person's with this account")]
    UnknownMessage,
    /// The message offers no such choice.
    #[error("that message offers no such choice")]
    UnknownChoice,
    /// The act cannot be done.
    #[error("{0}")]
    Act(&'static str),
    /// A contact's name or number cannot be used.
    #[error(
        "a contact needs a name of 1 to 64 characters and, if given, a number of 7 to 15 digits of its own"
    )]
    BadContact,
    /// The simulator knows as many contacts as it may.
    #[error("the simulator keeps at most {max} contacts: start a new one")]
    ContactsFull {
        /// How many it may know.
        max: usize,
    },
    /// WhatsApp does not carry such a text.
    #[error("a message has 1 to {max} characters")]
    TextLength {
        /// The longest, in characters.
        max: usize,
    },
    /// Too many webhooks wait.
    #[error("too many webhooks wait for the callback: is the server running and answering 200?")]
    Backlog,
    /// A tool that makes no sense.
    #[error("tools: {0}")]
    Tool(&'static str),
    /// Faults that make no sense.
    #[error("faults: {0}")]
    Faults(&'static str),
}

impl SimulatorSettings {
    pub(crate) fn check(&self) -> Result<(), SimulatorError> {
        let bad = |reason| Err(SimulatorError::Settings(reason));
        if self.numbers.is_empty() && self.accounts.is_empty() {
            return bad("at least one number or account is needed");
        }
        if self.app_secret.is_empty() || self.verify_token.is_empty() || self.model_key.is_empty() {
            return bad("app_secret, verify_token and model_key must not be empty");
        }
        if self.app_id.is_empty()
            || self.apps.iter().any(|app| app.secret.is_empty() || app.app_id.is_empty())
        {
            return bad("each app needs an id and a secret");
        }
        if self.webhooks.concurrent_max == 0 || self.webhooks.first_retry_ms == 0 {
            return bad("webhooks.concurrent_max and webhooks.first_retry_ms must be above 0");
        }
        self.faults.check()
    }
}
