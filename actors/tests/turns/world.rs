//! A whole engine with nothing outside it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::Semaphore;

use iassistance_actors::settings::default_assistant;
use iassistance_actors::{Engine, EngineParts, EngineSettings};
use iassistance_assistant::scripted::{Behaviour, Scripted};
use iassistance_assistant::tools::http::{HttpCall, HttpCalled, HttpCaller};
use iassistance_channels::send::{FetchError, Fetched, FreshToken, ProbeReport};
use iassistance_channels::{Attempt, MediaShelf, Parsed, SendError, Sender, Sent};
use iassistance_config::{Settings, Sources};
use iassistance_domain::assistant::{AssistantSettings, Disclosure};
use iassistance_domain::channel::{
    Channel, ChannelAddress, ChannelHealth, ChannelKind, Connection, MessageTemplate, MetaApp, StoredSecret,
};
use iassistance_domain::contact::ContactIdentity;
use iassistance_domain::content::{Content, Media};
use iassistance_domain::conversation::Conversation;
use iassistance_domain::delivery::DeliveryProblem;
use iassistance_domain::event::EventSeq;
use iassistance_domain::id::{ChannelId, ConversationId, MetaAppId, TenantId};
use iassistance_domain::inbound::{Arrival, InboundEvent, InboundKind};
use iassistance_domain::message::Message;
use iassistance_domain::outbox::OutboxEntry;
use iassistance_domain::pii::TenantView;
use iassistance_domain::tenant::{Tenant, TenantCtx};
use iassistance_domain::tool::{HttpTool, ToolMethod};
use iassistance_domain::turn::TurnRecord;
use iassistance_domain::{Clock, ManualClock, Pii, SeededEntropy, Timestamp};
use iassistance_hooks::NoHooks;
use iassistance_storage::content::ContentStore;
use iassistance_storage::memory::MemoryStore;
use iassistance_storage::{Limits, Store, TenantStore};

pub const START: Timestamp = Timestamp::from_secs(1_790_000_000);
const NUMBER: &str = "100200300";
const CONTACT: &str = "5491150001111";
const WAIT_MAX: Duration = Duration::from_secs(60);

/// Remembers what it is given; a send can be held up.
pub struct Desk {
    sends: Mutex<Vec<String>>,
    reads: AtomicU64,
    files: Mutex<BTreeMap<String, (String, Bytes)>>,
    /// A place for each send; none holds all of them up.
    pub gate: Semaphore,
}

impl Desk {
    fn new() -> Self {
        Self {
            sends: Mutex::default(),
            reads: AtomicU64::new(0),
            files: Mutex::default(),
            gate: Semaphore::new(1_000_000),
        }
    }

    /// What was sent, in words.
    pub fn said(&self) -> Vec<String> {
        lock(&self.sends).clone()
    }

    pub fn reads(&self) -> u64 {
        self.reads.load(Ordering::SeqCst)
    }

    pub fn holds(&self, id: &str, mime: &str, bytes: impl Into<Bytes>) {
        lock(&self.files).insert(id.to_owned(), (mime.to_owned(), bytes.into()));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[async_trait]
impl Sender for Desk {
    async fn send(&self, _: &Channel, entry: &OutboxEntry, _: Timestamp, _: &dyn MediaShelf) -> Attempt {
        self.gate.acquire().await.unwrap().forget();
        let mut sends = lock(&self.sends);
        let words = iassistance_assistant::words::words(&entry.content).unwrap_or_default();
        sends.push(words);
        let provider_id = Pii::new(format!("out.{}", sends.len()));
        Ok(Sent { provider_id }).into()
    }

    async fn mark_read(
        &self,
        _: &Channel,
        _: &ContactIdentity,
        _: &Pii<String>,
        _: bool,
    ) -> Result<(), SendError> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    async fn fetch(&self, _: &Channel, media: &Media) -> Result<Fetched, FetchError> {
        let iassistance_domain::content::MediaSource::Meta { id: Some(id), .. } = &media.source else {
            return Err(FetchError::Gone { reason: "no id".into() });
        };
        match lock(&self.files).get(id.reveal(TenantView)) {
            Some((mime, bytes)) => Ok(Fetched { mime: mime.clone(), bytes: bytes.clone(), filename: None }),
            None => Err(FetchError::Retryable { after_ms: None, reason: "not yet".into() }),
        }
    }

    async fn probe(&self, _: &Channel, _: &MetaApp) -> ProbeReport {
        ProbeReport::default()
    }

    async fn subscribe(&self, _: &Channel) -> Result<(), DeliveryProblem> {
        Ok(())
    }

    async fn templates(&self, _: &Channel) -> Result<Vec<MessageTemplate>, DeliveryProblem> {
        Ok(Vec::new())
    }

    async fn refresh_token(&self, _: &Channel) -> Result<FreshToken, DeliveryProblem> {
        Err(DeliveryProblem {
            class: iassistance_domain::delivery::ProblemClass::Request,
            code: 0,
            title: "none".into(),
        })
    }
}

/// Answers every tool of a tenant with this.
pub struct Tools(pub Mutex<Vec<String>>);

#[async_trait]
impl HttpCaller for Tools {
    async fn call(&self, call: HttpCall<'_>) -> HttpCalled {
        lock(&self.0).push(call.tool.name.clone());
        HttpCalled { tries: 1, answer: Ok(Pii::new("{\"done\":true}".to_owned())) }
    }
}

impl Tools {
    pub fn called(&self) -> Vec<String> {
        lock(&self.0).clone()
    }
}

pub struct World {
    pub clock: ManualClock,
    pub store: Arc<dyn Store>,
    pub content: ContentStore,
    pub desk: Arc<Desk>,
    pub tools: Arc<Tools>,
    pub model: Scripted,
    pub engine: Engine,
    pub ctx: TenantCtx,
    settings: Settings,
    meta_app: MetaAppId,
    written: AtomicU64,
}

/// What the tests' assistant has: it answers at once and says nothing of itself.
pub fn assistant() -> AssistantSettings {
    let settings = Sources::default().settings().unwrap();
    AssistantSettings {
        enabled: true,
        task: "Answer questions about a shop.".into(),
        quiet_ms: 0,
        cap_ms: 0,
        fallback_text: "Sorry.".into(),
        disclosure: Disclosure { enabled: false, ..Disclosure::default() },
        languages: vec!["en".into()],
        ..default_assistant(&settings.assistant)
    }
}

/// A tool that changes something.
pub fn order_tool() -> HttpTool {
    HttpTool {
        name: "place_order".into(),
        description: "Orders something.".into(),
        method: ToolMethod::Post,
        url: "https://tools.example/order".into(),
        parameters: serde_json::json!({ "type": "object", "properties": {} }),
        answer: None,
        secret: None,
        timeout_ms: 1_000,
        repeatable: false,
        side_effects: true,
        after_untrusted: false,
        trusted: true,
    }
}

/// Runs a test on a system of its own.
pub fn run<F: Future<Output = ()>>(test: impl FnOnce() -> F) {
    actix::System::new().block_on(test());
}

impl World {
    pub async fn with(assistant: AssistantSettings, script: impl IntoIterator<Item = Behaviour>) -> Self {
        Self::of(ChannelKind::Whatsapp, assistant, script, &[]).await
    }

    pub async fn of(
        kind: ChannelKind,
        assistant: AssistantSettings,
        script: impl IntoIterator<Item = Behaviour>,
        flags: &[&str],
    ) -> Self {
        let clock = ManualClock::at(START);
        let entropy = Arc::new(SeededEntropy::new(11));
        let shared: Arc<dyn Clock> = Arc::new(clock.clone());
        let flags = flags.iter().map(ToString::to_string).collect();
        let mut settings = Sources { flags, ..Sources::default() }.settings().unwrap();
        settings.actors.arbiters = 2;
        let store: Arc<dyn Store> =
            Arc::new(MemoryStore::new(Limits::default(), Arc::clone(&shared), Arc::clone(&entropy) as _));
        let content = ContentStore::memory(1 << 24, Arc::clone(&store));
        let tenant = TenantId::new(START, &*entropy);
        let ctx = TenantCtx::platform(tenant);
        store.create_tenant(Tenant::new(tenant, "t".into(), START)).await.unwrap();
        let meta_app = MetaAppId::new(START, &*entropy);
        let app = MetaApp {
            id: meta_app,
            name: "app".into(),
            app_id: Some("1".into()),
            secrets: Vec::new(),
            verify_token: StoredSecret::new("v"),
            created_at: START,
        };
        store.put_meta_app(app).await.unwrap();
        let connection = match kind {
            ChannelKind::Whatsapp => Connection::CloudApi { account_id: None, number: None },
            _ => Connection::Page,
        };
        let channel = Channel {
            id: ChannelId::new(START, &*entropy),
            tenant,
            meta_app,
            connection,
            external_id: NUMBER.into(),
            name: NUMBER.into(),
            access_token: StoredSecret::new("token"),
            token_owner: None,
            health: ChannelHealth::connecting(START),
            created_at: START,
        };
        store.put_channel(channel).await.unwrap();
        store.tenant(ctx).await.unwrap().put_assistant(assistant, None).await.unwrap();
        let model = Scripted::new(Arc::clone(&shared), script);
        let (desk, tools) = (Arc::new(Desk::new()), Arc::new(Tools(Mutex::default())));
        let world = |engine| Self {
            clock: clock.clone(),
            store: Arc::clone(&store),
            content: content.clone(),
            desk: Arc::clone(&desk),
            tools: Arc::clone(&tools),
            model: model.clone(),
            engine,
            ctx,
            settings: settings.clone(),
            meta_app,
            written: AtomicU64::new(0),
        };
        let parts = EngineParts {
            clock: shared,
            entropy,
            store: Arc::clone(&store),
            content: content.clone(),
            sender: Arc::clone(&desk) as _,
            generator: Arc::new(model.clone()),
            services: Arc::new(model.clone()),
            http: Arc::clone(&tools) as _,
            hooks: Arc::new(NoHooks),
        };
        world(Engine::start(EngineSettings::from(&settings), parts).unwrap())
    }

    pub fn parts(&self) -> EngineParts {
        EngineParts {
            clock: Arc::new(self.clock.clone()),
            entropy: Arc::new(SeededEntropy::new(12)),
            store: Arc::clone(&self.store),
            content: self.content.clone(),
            sender: Arc::clone(&self.desk) as _,
            generator: Arc::new(self.model.clone()),
            services: Arc::new(self.model.clone()),
            http: Arc::clone(&self.tools) as _,
            hooks: Arc::new(NoHooks),
        }
    }

    fn engine_settings(&self) -> EngineSettings {
        EngineSettings::from(&self.settings)
    }

    /// Another engine on the same store, as after a restart.
    pub async fn restart(&mut self) {
        self.stop().await;
        self.engine = Engine::start(self.engine_settings(), self.parts()).unwrap();
        self.engine.recover(9).await.unwrap();
    }

    pub async fn tenant(&self) -> Arc<dyn TenantStore> {
        self.store.tenant(self.ctx).await.unwrap()
    }

    /// The contact writes.
    pub async fn write(&self, text: &str) {
        self.send_in(Content::text(text)).await;
    }

    pub async fn send_in(&self, content: Content) {
        let number = self.written.fetch_add(1, Ordering::SeqCst);
        let provider_id = Pii::new(format!("in.{number}"));
        let now = self.clock.now();
        let kind = InboundKind::MessageReceived {
            provider_id: provider_id.clone(),
            from: ContactIdentity::new(Some(CONTACT.into()), None).unwrap(),
            profile_name: None,
            content,
            context: None,
            referral: None,
            arrival: Arrival::Live,
        };
        let dedup = Pii::new(format!("m:in.{number}"));
        self.event(InboundEvent { dedup, occurred_at: now, kind }).await;
    }

    pub async fn event(&self, event: InboundEvent) {
        let kind = self.tenant().await.channels().await.unwrap()[0].kind();
        let address = Some(ChannelAddress::channel(kind, NUMBER.to_owned()));
        self.engine.accept(self.meta_app, vec![Parsed { address, event }]).await.unwrap();
    }

    pub async fn conversation(&self) -> Conversation {
        self.tenant().await.conversations(None, 10).await.unwrap().remove(0)
    }

    pub async fn id(&self) -> ConversationId {
        self.conversation().await.id
    }

    pub async fn turns(&self) -> Vec<TurnRecord> {
        let id = self.id().await;
        let mut turns = self.tenant().await.turns(id, None, 100).await.unwrap();
        turns.reverse();
        turns
    }

    pub async fn messages(&self) -> Vec<Message> {
        let id = self.id().await;
        let mut messages = self.tenant().await.messages(id, None, 1_000).await.unwrap();
        messages.reverse();
        messages
    }

    /// The names of all events so far.
    pub async fn events(&self) -> Vec<&'static str> {
        let events = self.tenant().await.events(EventSeq(0), 10_000).await.unwrap();
        events.iter().map(|event| event.kind.name()).collect()
    }

    /// Waits until this holds; the clock stands still meanwhile.
    pub async fn until<F: Future<Output = bool>>(&self, what: &str, holds: impl Fn() -> F) {
        let started = Instant::now();
        while !holds().await {
            assert!(started.elapsed() < WAIT_MAX, "waited in vain until {what}");
            tokio::task::yield_now().await;
        }
    }

    pub async fn until_said(&self, count: usize) {
        self.until("it is said", || async { self.desk.said().len() >= count }).await;
        self.quiet().await;
        assert_eq!(self.desk.said().len(), count, "and no more: {:?}", self.desk.said());
    }

    /// Waits until nothing is unfinished.
    pub async fn quiet(&self) {
        let tenant = self.tenant().await;
        self.until("nothing is unfinished", || async {
            let first = tenant.unfinished(None, 1).await.unwrap().is_empty();
            first
                && tenant.append(None, Vec::new()).await.is_ok()
                && tenant.unfinished(None, 1).await.unwrap().is_empty()
        })
        .await;
    }

    /// Waits until a model is asked for the n-th time.
    pub async fn until_asked(&self, times: usize) {
        self.until("the model is asked", || async { self.model.calls().len() >= times }).await;
    }

    /// Waits until so many calls were let go of: a cancelled one is by the way, when its task is.
    pub async fn until_abandoned(&self, calls: usize) {
        self.until("a call is let go", || async { self.model.abandoned() >= calls }).await;
        assert_eq!(self.model.abandoned(), calls);
    }

    /// Waits until so many turns have ended and are written down.
    pub async fn until_ended(&self, turns: usize) {
        self.until("turns have ended", || async {
            !self.tenant().await.conversations(None, 1).await.unwrap().is_empty()
                && self.turns().await.iter().filter(|turn| turn.end.is_some()).count() >= turns
        })
        .await;
    }

    pub async fn end(self) {
        self.stop().await;
        self.store.close().await;
    }

    /// Stops the engine; nothing may take longer than a moment of the clock that stands still.
    async fn stop(&self) {
        let stopped = tokio::time::timeout(WAIT_MAX, self.engine.stop(u64::MAX >> 2)).await;
        stopped.unwrap().unwrap();
    }
}
