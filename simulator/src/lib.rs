//! A strict local stand-in for Meta's Graph API, an OpenAI-compatible model and a phone to chat from.
//!
//! It listens on 127.0.0.1 alone and calls nothing but a callback on this machine: nothing leaves it. The server under
//! test need not share its process, and may be killed: webhooks wait and are retried until they get a 200.
//!
//! | path | what |
//! |---|---|
//! | `/{version}/…` | the Graph API of WhatsApp, Messenger and Instagram: `{node}/messages`, `{node}/media`, `{node}/message_attachments`, `{node}/message_templates`, `{node}/phone_numbers`, `{node}/subscribed_apps`, `{node}/{take,pass,request,release}_thread_control`, `{node}?fields=`, `me`, `debug_token`, `refresh_access_token` |
//! | `GET /refresh_access_token` | renews a token of Instagram Login |
//! | `GET /media/{id}`, `GET /cdn/{id}` | files, as WhatsApp (with the token, for five minutes) and as the others hand them out |
//! | `POST /v1/chat/completions`, `GET /v1/models` | the models: `simulated-1` and whatever else begins with `simulated-`; with function tools, images, streams |
//! | `POST /v1/embeddings`, `POST /v1/audio/transcriptions`, `POST /v1/moderations` | what else a model server does |
//! | `GET\|POST /tools/{name}` | a tenant's own tool server |
//! | `GET /sim/phone` | the phone page |
//! | `GET /sim/events` | what happens, as server-sent events |
//! | `GET /sim/state`, `/sim/accounts`, `/sim/numbers`, `/sim/contacts`, `/sim/transcript?contact=[&newest=]`, `/sim/sends[?contact=]` | what happened |
//! | `POST /sim/contacts {name, wa_id?, hides_number?}` | a new contact |
//! | `POST /sim/accounts {kind, name, access_token, app_id?, shape?, …ids}` | a new account: `whatsapp` (`phone_number_id`, `waba_id`, `display_phone_number`), `messenger` (`page_id`), `instagram_page` (`ig_id`, `page_id`) or `instagram_login` (`ig_id`, `user_id`) |
//! | `POST /sim/say {contact, text, number?, quoting?}` | a contact writes; `number` is any account's id, product or name |
//! | `POST /sim/act {contact?, account?, act: {kind, …}, quoting?, came_from_ad?, forwarded?}` | a contact, an owner or Meta does something, see [`mod@act`] |
//! | `GET /sim/media/{id}` | a file's bytes |
//! | `GET\|POST /sim/faults` | what goes wrong on purpose, see [`faults`] |
//! | `POST /sim/answers [{when_contains, answer, model?, rounds?: [{says?, calls: [{name, arguments}]}]}]` | what the model says, and which tools it calls before, see [`ScriptedAnswer`] |
//! | `POST /sim/transcripts [{when_contains?, text}]`, `POST /sim/objections [{when_contains, category}]` | what it hears in recordings, and what moderation objects to |
//! | `GET /sim/chats`, `GET /sim/cuts` | the newest chats that it was asked for, and the streams that the client let go |
//! | `GET\|POST /sim/tools {name: {answers?: [{status?, body?, content_type?, delay_ms?, bytes?, redirect?, retry_after_s?, hang?, cut?}], method?, secret?}}` | the tools that there are, see [`StandIn`] |
//! | `DELETE /sim/tools/{name}`, `GET /sim/calls[?tool=]` | one tool less; the newest calls |
//! | `POST /sim/callback {url, app_id?, verify?}` | where webhooks go |
//! | `POST /sim/retry` | retry waiting webhooks at once |
//! | `POST /sim/script[?limit_ms=]` | play a script, see [`script`] |

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use iassistance_domain::Clock;
use tokio::net::TcpListener;
use tokio::sync::broadcast;

mod accounts;
pub mod act;
mod callback;
mod contacts;
mod control;
mod core;
mod envelope;
pub mod faults;
mod fields;
mod fold;
mod graph;
mod graph_admin;
mod graph_codes;
mod graph_error;
mod graph_interactive;
mod graph_media;
mod graph_objects;
mod graph_request;
mod graph_social;
mod graph_whatsapp;
mod media;
mod model;
mod model_answer;
mod model_audio;
mod model_faults;
mod model_improvise;
mod model_messages;
mod model_record;
mod model_refusal;
mod model_request;
mod model_script;
mod model_services;
mod model_stream;
mod model_tools;
mod moments;
mod multipart;
mod phone;
mod report;
mod scene;
mod scene_meta;
mod scene_social;
mod scene_whatsapp;
pub mod script;
mod script_line;
mod script_model;
mod server;
mod settings;
mod shown;
mod social_request;
mod statuses;
mod templates;
mod tool_server;
mod webhook;
mod world;

pub use accounts::{ACCOUNTS_MAX, Account, AccountKind, App, EventShape};
pub use act::{Act, Deed, Done};
pub use contacts::{CONTACTS_MAX, Contact, NewContact};
pub use faults::Faults;
pub use model_answer::LABEL;
pub use model_record::{ChatSeen, ModelCounters, ModelEndpoint, StreamCut};
pub use model_request::{MODEL_ID, MODEL_PREFIX};
pub use model_script::{ModelSettings, Objection, Round, ScriptedAnswer, ScriptedCall, ScriptedTranscript};
pub use moments::{Happened, Moment};
pub use report::State;
pub use script::{Script, ScriptError, ScriptOutcome};
pub use settings::{
    Limits, Number, OutsideWindow, SimulatorError, SimulatorSettings, StatusDelays, WebhookSettings,
};
pub use shown::{Card, Choice, ChoiceKind, MediaKind, Shown, ShownKind, ShownMedia};
pub use templates::{Template, TemplateButton, TemplateHeader, seeded as seeded_templates};
pub use tool_server::{StandIn, ToolAnswer, ToolCallSeen, ToolCounters, ToolHeader};
pub use webhook::WebhookCounters;
pub use world::{AcceptedSend, Author, Counters, Direction, MESSAGES_MAX, Tick, TranscriptItem};

/// A running simulator. Dropping it stops it; [`Simulator::stop`] also waits until it has.
pub struct Simulator {
    core: Arc<core::Core>,
    address: SocketAddr,
}

impl Simulator {
    /// Starts a simulator on 127.0.0.1, in the tokio runtime that this is called from.
    ///
    /// # Errors
    /// When the settings cannot work or the port cannot be had.
    pub async fn start(settings: SimulatorSettings, clock: Arc<dyn Clock>) -> Result<Self, SimulatorError> {
        let port = settings.port;
        let core = Arc::new(core::Core::new(settings, clock)?);
        let bind = |source| SimulatorError::Bind { port, source };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.map_err(bind)?;
        let address = listener.local_addr().map_err(bind)?;
        core.set_address(address);
        core.tasks.spawn("server", server::serve(Arc::clone(&core), listener));
        Ok(Self { core, address })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The base address of the Graph API; the server adds `/{version}/…`.
    pub fn graph_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What `meta.instagram_base_url` is set to: the base address of Instagram Login's own Graph API. It is the same
    /// address as [`Simulator::graph_url`]: which of Meta's two hosts is meant is told by the token. A token of Instagram
    /// Login opens its own account's paths and no Page's, and the other way round; each gets 190 where Meta's other host
    /// would not know it.
    pub fn instagram_url(&self) -> String {
        self.graph_url()
    }

    /// The base address of the model.
    pub fn model_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// The phone page.
    pub fn phone_url(&self) -> String {
        format!("http://{}/sim/phone", self.address)
    }

    /// Ends every connection and task, and waits until they are gone. What waited to be delivered is lost.
    pub async fn stop(self) {
        self.core.tasks.end().await;
    }

    /// Sends webhooks there from now on, those that wait at once.
    ///
    /// # Errors
    /// When it is not plain `http` on this machine.
    pub fn set_callback(&self, url: &str) -> Result<(), SimulatorError> {
        self.core.webhooks.set_callback(None, url)?;
        self.core.changed();
        Ok(())
    }

    /// Where the server's monitor is, for a link on the phone. The first that was said stays.
    pub fn set_monitor(&self, url: &str) {
        self.core.set_monitor(url);
    }

    /// The same, for the webhooks of another app.
    ///
    /// # Errors
    /// When there is no such app, or it is not plain `http` on this machine.
    pub fn set_callback_of(&self, app_id: &str, url: &str) -> Result<(), SimulatorError> {
        if !self.core.settings.apps.iter().any(|app| app.app_id == app_id) {
            return Err(SimulatorError::UnknownApp);
        }
        self.core.webhooks.set_callback(Some(app_id), url)?;
        self.core.changed();
        Ok(())
    }

    /// Adds an account.
    ///
    /// # Errors
    /// When its ids or its token cannot be used, or its app is not known.
    pub fn add_account(&self, account: Account) -> Result<(), SimulatorError> {
        self.core.add_account(account).map(drop)
    }

    /// Does something as a contact, an owner or Meta.
    ///
    /// # Errors
    /// When the account, the message or the choice is not known, or the product has no such thing.
    pub fn act(&self, deed: Deed) -> Result<Done, SimulatorError> {
        scene::play(&self.core, deed)
    }

    /// The id by which a contact is known to a Page or an Instagram account, once they have met.
    pub fn scoped_id(&self, contact: &str, account: &str) -> Option<String> {
        let account = self.core.account(Some(account)).ok()?;
        let world = self.core.world();
        let wa_id = world.contacts.find(contact)?;
        world.pair(&wa_id, &account)?.scoped_id.clone()
    }

    /// Asks the callback to echo a challenge, as Meta does before it sends anything.
    ///
    /// # Errors
    /// When there is no callback or it does not echo.
    pub async fn verify_callback(&self) -> Result<(), SimulatorError> {
        control::verify(&self.core).await
    }

    /// Retries at once what waits for its next retry: for when the server is known to be back.
    pub fn retry_now(&self) {
        self.core.webhooks.hurry();
    }

    /// Adds a contact.
    ///
    /// # Errors
    /// When the name or number cannot be used, or there are too many contacts.
    pub fn add_contact(&self, new: NewContact) -> Result<Contact, SimulatorError> {
        let contact = self.core.world().contacts.add(new)?;
        self.core.publish(core::FeedEvent::Contact { contact: contact.clone() });
        Ok(contact)
    }

    /// All contacts, in the order in which they came.
    pub fn contacts(&self) -> Vec<Contact> {
        report::contacts(&self.core)
    }

    /// A contact (by name, number or user id; added when not known) writes to the first number. Answers the wamid.
    ///
    /// # Errors
    /// When the text is empty or too long, or there are too many contacts or waiting webhooks.
    pub fn say(&self, contact: &str, text: &str) -> Result<String, SimulatorError> {
        self.core.say(contact, None, text, None)
    }

    /// The same, to the number with this `phone_number_id`.
    ///
    /// # Errors
    /// As [`Simulator::say`], and when there is no such number.
    pub fn say_to(&self, phone_number_id: &str, contact: &str, text: &str) -> Result<String, SimulatorError> {
        self.core.say(contact, Some(phone_number_id), text, None)
    }

    /// A contact's messages in both directions, oldest first; empty when there is no such contact.
    pub fn transcript(&self, contact: &str) -> Vec<TranscriptItem> {
        let world = self.core.world();
        world.contacts.find(contact).map(|wa_id| world.transcript(&wa_id)).unwrap_or_default()
    }

    /// The accepted sends to a contact, in the order of acceptance.
    pub fn sends(&self, contact: &str) -> Vec<AcceptedSend> {
        let world = self.core.world();
        world.contacts.find(contact).map(|wa_id| world.sends(Some(&wa_id))).unwrap_or_default()
    }

    /// The accepted sends to everyone, in the order of acceptance.
    pub fn all_sends(&self) -> Vec<AcceptedSend> {
        self.core.world().sends(None)
    }

    /// What happened since the start.
    pub fn state(&self) -> State {
        report::state(&self.core)
    }

    /// Waits until the state is as wanted; for ever if it never is, so bound it by a timeout.
    pub async fn until(&self, wanted: impl Fn(&State) -> bool) -> State {
        let mut changes = self.core.changes();
        loop {
            changes.mark_unchanged();
            let state = self.state();
            // The sender lives in `self.core`, so waiting cannot fail.
            if wanted(&state) || changes.changed().await.is_err() {
                return state;
            }
        }
    }

    /// The faults of the moment, with what is left of those that are counted.
    pub fn faults(&self) -> Faults {
        self.core.faults().clone()
    }

    /// Sets all that goes wrong on purpose from now on; the default is nothing.
    ///
    /// # Errors
    /// When a number is out of its range.
    pub fn set_faults(&self, faults: Faults) -> Result<(), SimulatorError> {
        self.core.set_faults(faults)
    }

    /// Sets what the model says to certain words.
    pub fn set_answers(&self, answers: Vec<ScriptedAnswer>) {
        self.core.model.change_script(|script| script.answers = answers);
    }

    /// Sets what is said in certain recordings.
    pub fn set_transcripts(&self, transcripts: Vec<ScriptedTranscript>) {
        self.core.model.change_script(|script| script.transcripts = transcripts);
    }

    /// Sets what moderation objects to, besides plain threats.
    pub fn set_objections(&self, objections: Vec<Objection>) {
        self.core.model.change_script(|script| script.objections = objections);
    }

    /// The newest well-formed chats, oldest first: at most 1,000 of them and 32 MB.
    pub fn chats(&self) -> Vec<ChatSeen> {
        self.core.model.chats()
    }

    /// The newest streams that the client let go, oldest first: at most 10,000.
    pub fn stream_cuts(&self) -> Vec<StreamCut> {
        self.core.model.cuts()
    }

    /// What happens from now on, with the moment of each by a clock that nobody moves. Who falls 65,536
    /// of them behind loses some.
    pub fn moments(&self) -> broadcast::Receiver<Moment> {
        self.core.moments.listen()
    }

    /// Where a tool of the tenant's tool server is.
    pub fn tool_url(&self, name: &str) -> String {
        format!("http://{}/tools/{name}", self.address)
    }

    /// Has a tool at the tenant's tool server from now on; one of the same name is replaced.
    ///
    /// # Errors
    /// When its name or an answer cannot be, or there are too many.
    pub fn set_tool(&self, name: &str, tool: StandIn) -> Result<(), SimulatorError> {
        self.core.tools.set(name, tool)
    }

    /// Has a tool no more; whether there was one.
    pub fn remove_tool(&self, name: &str) -> bool {
        self.core.tools.remove(name)
    }

    /// The newest calls of a tool, oldest first: at most 1,000 of all tools together.
    pub fn tool_calls(&self, name: &str) -> Vec<ToolCallSeen> {
        self.core.tools.calls(Some(name))
    }

    /// Plays a script; each expectation waits for `limit_ms` milliseconds at most.
    pub async fn play(&self, script: &Script, limit_ms: u64) -> ScriptOutcome {
        script::run(&self.core, script, limit_ms).await
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.core.tasks.stop.cancel();
    }
}
