//! Starts the system and checks at the end what a test forgot.

use std::future::Future;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use crate::faulty::{Act, FaultyStore, Hook};
use actix_web::dev::ServerHandle;
use iassistance::app::{App, AppParts, Vaulted, WrapStore};
use iassistance::http::sessions::{self, Origin};
use iassistance::http::{State, auth, cookies, server};
use iassistance::telemetry::Metrics;
use iassistance_actors::hub::Batch;
use iassistance_actors::settings::default_assistant;
use iassistance_assistant::generate::Generator;
use iassistance_assistant::scripted::{Behaviour, Scripted};
use iassistance_assistant::services::Services;
use iassistance_channels::signature::sign;
use iassistance_config::{Secret, Settings, Sources};
use iassistance_domain::account::{
    Account, AccountState, Language, MemberOf, Membership, Role, SecondFactors, normalised_email,
};
use iassistance_domain::assistant::{AssistantSettings, Disclosure};
use iassistance_domain::channel::{Channel, ChannelHealth, MetaApp, StoredSecret};
use iassistance_domain::clock::ManualClock;
use iassistance_domain::event::{DeadLetter, EventSeq};
use iassistance_domain::id::{AccountId, ChannelId, ConversationId, DeviceId, MetaAppId, TenantId};
use iassistance_domain::key::Scope;
use iassistance_domain::tenant::{Tenant, TenantCtx};
use iassistance_domain::{Clock, Pii, SeededEntropy, Timestamp};
use iassistance_simulator::{Limits, Number, OutsideWindow, Simulator, SimulatorSettings, WebhookSettings};
use iassistance_storage::{StorageError, Store, TenantStore};
use iassistance_vault::SystemEntropy;
use reqwest::{Client, Response, StatusCode};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::products;

pub const SECRET: &str = "flow-app-secret";
pub const NUMBERS: [&str; 2] = ["200000000000001", "200000000000002"];
/// A moment shortly after the fixtures' timestamps.
pub const START: Timestamp = Timestamp::from_secs(1_790_000_100);

/// Resolves with `future`, or fails: a test that hangs has to end. Real time, and never waited for
/// when all is well.
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(Duration::from_secs(60), future).await {
        Ok(value) => value,
        Err(_) => panic!("waited in vain for {what}"),
    }
}

/// How a flow differs from the usual.
#[derive(Default)]
pub struct Options {
    pub settings: Vec<&'static str>,
    /// A scripted model; the simulator's if there is none.
    pub model: Option<Vec<Behaviour>>,
    pub wrap_store: Option<WrapStore>,
    pub simulator: Option<fn(&mut SimulatorSettings)>,
    /// An existing folder to open again.
    pub folder: Option<Folder>,
    /// How long after [`START`] it starts, milliseconds.
    pub later_ms: u64,
}

/// A data folder that may outlive a flow.
pub struct Folder {
    _temporary: tempfile::TempDir,
    pub path: PathBuf,
    pub tenants: [TenantId; 2],
    pub meta_app: MetaAppId,
    pub key: String,
}

/// Somebody who signed in: what their browser keeps.
pub struct SignedIn {
    pub cookie: String,
    pub csrf: String,
    pub account: AccountId,
}

pub struct Flow {
    pub clock: ManualClock,
    pub simulator: Simulator,
    pub app: App,
    pub model: Scripted,
    pub address: SocketAddr,
    pub http: Client,
    pub folder: Option<Folder>,
    pub tenants: [TenantId; 2],
    pub meta_app: MetaAppId,
    /// A key of the first tenant.
    pub key: String,
    /// What a stop cancels first.
    pub draining: CancellationToken,
    server: ServerHandle,
    forgiven_dead_letters: usize,
    forgives_duplicates: bool,
    finished: bool,
}

/// The root key of every folder.
pub fn root_key() -> Secret {
    Secret::new("7c".repeat(31) + "01")
}

/// Everything that was logged in this process.
pub fn log() -> String {
    String::from_utf8_lossy(&captured().lock().unwrap()).into_owned()
}

fn captured() -> &'static Mutex<Vec<u8>> {
    static CAPTURED: OnceLock<Mutex<Vec<u8>>> = OnceLock::new();
    CAPTURED.get_or_init(|| {
        struct Capture;
        impl Write for Capture {
            fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
                CAPTURED.get().unwrap().lock().unwrap().extend_from_slice(bytes);
                Ok(bytes.len())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::DEBUG).with_ansi(false);
        let _set = subscriber.with_writer(|| Capture).try_init();
        Mutex::default()
    })
}

/// The default assistant of the flows: it answers at once, and says nothing of itself.
pub fn assistant() -> AssistantSettings {
    let platform = Sources::default().settings().unwrap();
    AssistantSettings {
        enabled: true,
        task: "Answer questions about the shop.".into(),
        instructions: String::new(),
        model: None,
        temperature: None,
        base_url: None,
        api_key: None,
        quiet_ms: 0,
        cap_ms: 0,
        output_tokens_max: 500,
        prompt_tokens_max: 8_000,
        fallback_text: "Sorry, not now.".into(),
        disclosure: Disclosure { enabled: false, ..Disclosure::default() },
        ..default_assistant(&platform.assistant)
    }
}

fn simulated() -> SimulatorSettings {
    let number = |id: &str| Number {
        phone_number_id: id.to_owned(),
        waba_id: "100000000000001".into(),
        display_phone_number: format!("+1 555-010-{}", &id[11..]),
        verified_name: "Shop".into(),
        access_token: "flow-access-token".into(),
    };
    SimulatorSettings {
        numbers: NUMBERS.iter().map(|id| number(id)).collect(),
        accounts: products::accounts(),
        app_secret: SECRET.into(),
        verify_token: "flow-verify-token".into(),
        model_key: "flow-model-key".into(),
        limits: Limits { number_per_second: 0, pair_every_ms: 0, ..Limits::default() },
        outside_window: OutsideWindow::Delivered,
        webhooks: WebhookSettings { first_retry_ms: 100, ..WebhookSettings::default() },
        ..SimulatorSettings::default()
    }
}

impl Options {
    /// A store whose commands first ask this.
    pub fn failing(hook: impl Fn(Act) -> Result<(), StorageError> + Send + Sync + 'static) -> Self {
        let hook: Hook = Arc::new(move |act| hook(act).map(|()| None));
        let wrap = move |inner| -> Arc<dyn Store> { Arc::new(FaultyStore { inner, hook }) };
        Self { wrap_store: Some(Box::new(wrap)), ..Self::default() }
    }
}

impl Folder {
    fn new() -> Self {
        let temporary = tempfile::tempdir().unwrap();
        let entropy = SeededEntropy::new(7);
        Self {
            path: temporary.path().to_path_buf(),
            _temporary: temporary,
            tenants: [TenantId::new(START, &entropy), TenantId::new(START, &entropy)],
            meta_app: MetaAppId::new(START, &entropy),
            key: String::new(),
        }
    }

    /// A copy of what is on disk at this moment: what a machine would find after the power went.
    pub fn copy(&self) -> Self {
        let temporary = tempfile::tempdir().unwrap();
        copy_tree(&self.path, temporary.path());
        Self {
            path: temporary.path().to_path_buf(),
            _temporary: temporary,
            tenants: self.tenants,
            meta_app: self.meta_app,
            key: self.key.clone(),
        }
    }
}

fn copy_tree(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_tree(&entry.path(), &target);
        } else {
            // Lock files come and go.
            let _gone = std::fs::copy(entry.path(), &target);
        }
    }
}

impl Flow {
    pub async fn start() -> Self {
        Self::with(Options::default()).await
    }

    pub async fn with(options: Options) -> Self {
        let _capturing = captured();
        let clock = ManualClock::at(START.plus_millis(options.later_ms));
        let mut simulated = simulated();
        if let Some(change) = options.simulator {
            change(&mut simulated);
        }
        let simulator = Simulator::start(simulated, Arc::new(clock.clone())).await.unwrap();
        let reopened = options.folder.is_some();
        let mut folder = options.folder.unwrap_or_else(Folder::new);
        let settings = settings(&folder.path, &simulator, &options.settings);
        let scripted = options.model.is_some();
        let model = Scripted::new(Arc::new(clock.clone()), options.model.unwrap_or_default());
        let generator = scripted.then(|| Arc::new(model.clone()) as Arc<dyn Generator>);
        let mut parts = AppParts {
            clock: Some(Arc::new(clock.clone())),
            entropy: Some(Arc::new(SystemEntropy)),
            wrap_store: options.wrap_store,
            ..AppParts::default()
        };
        let root = root_key();
        if reopened {
            let_go(&folder.path).await;
        }
        let vaulted = Vaulted::open(settings, Some(&root), &mut parts).unwrap();
        if !reopened {
            folder.key = set_up(&vaulted, &folder).await;
        }
        let services = scripted.then(|| Arc::new(model.clone()) as Arc<dyn Services>);
        let app =
            App::start(&vaulted, AppParts { generator, services, ..AppParts::default() }).await.unwrap();
        drop(vaulted);
        let listening = server::listen(State::new(app.clone(), Metrics::install().unwrap())).unwrap();
        #[expect(clippy::disallowed_methods, reason = "the test's own server")]
        tokio::spawn(listening.server);
        let callback = format!("http://{}/webhooks/meta/{}", listening.address, folder.meta_app);
        simulator.set_callback(&callback).unwrap();
        #[expect(clippy::disallowed_methods, reason = "the test's own client")]
        let http = Client::builder().no_proxy().build().unwrap();
        Self {
            clock,
            simulator,
            app,
            model,
            address: listening.address,
            http,
            tenants: folder.tenants,
            meta_app: folder.meta_app,
            key: folder.key.clone(),
            folder: Some(folder),
            draining: listening.draining,
            server: listening.handle,
            forgiven_dead_letters: 0,
            forgives_duplicates: false,
            finished: false,
        }
    }

    pub async fn store(&self, tenant: usize) -> Arc<dyn TenantStore> {
        self.app.store.tenant(TenantCtx::platform(self.tenants[tenant])).await.unwrap()
    }

    pub fn ctx(&self) -> TenantCtx {
        TenantCtx::platform(self.tenants[0])
    }

    /// Has the first tenant's assistant differ from the usual in this; its version.
    pub async fn configure(&self, change: impl FnOnce(&mut AssistantSettings)) -> u64 {
        let mut settings = assistant();
        change(&mut settings);
        self.app.engine.put_assistant(self.ctx(), settings, None).await.unwrap().version
    }

    /// Waits until something is to happen after this time, and nothing before.
    pub async fn sleeps_for(&self, ms: u64) {
        let due = self.clock.now().plus_millis(ms);
        within("something to wait for", async {
            while self.clock.next_due() != Some(due) {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }

    /// Moves the clock on whenever the writer has had a turn, as long as the work takes.
    pub async fn while_time_flies<T>(&self, work: impl Future<Output = T>) -> T {
        let store = self.store(1).await;
        let ticking = async {
            loop {
                store.append(None, Vec::new()).await.unwrap();
                self.clock.advance_millis(10);
            }
        };
        tokio::select! {
            biased;
            done = work => done,
            () = ticking => unreachable!("it ticks for ever"),
        }
    }

    /// Waits until nobody has anything to do before the clock moves on, as far as that can be seen.
    pub async fn settled(&self) {
        for _ in 0..20 {
            self.store(0).await.append(None, Vec::new()).await.unwrap();
        }
    }

    /// The one conversation of a tenant.
    pub async fn conversation(&self, tenant: usize) -> ConversationId {
        let all = self.store(tenant).await.conversations(None, 10).await.unwrap();
        assert_eq!(all.len(), 1, "exactly one conversation");
        all[0].id
    }

    /// Waits until the simulator has accepted this many sends.
    pub async fn sends(&self, count: usize) {
        within("sends", self.simulator.until(|state| state.counters.sends_accepted >= count as u64)).await;
        assert_eq!(self.simulator.all_sends().len(), count, "and not one more");
    }

    /// Waits until so many calls of the model were let go of: a cancelled one is by the way, when
    /// its task is.
    pub async fn model_let_go(&self, calls: usize) {
        within("a call of the model to be let go", async {
            while self.model.abandoned() < calls {
                tokio::task::yield_now().await;
            }
        })
        .await;
        assert_eq!(self.model.abandoned(), calls);
    }

    /// Waits for an event of a tenant, from the beginning of its log, and returns it.
    pub async fn event(&self, tenant: usize, wanted: impl Fn(&Value) -> bool) -> Value {
        self.event_after(tenant, 0, wanted).await
    }

    /// The same, after this place in the log.
    pub async fn event_after(&self, tenant: usize, seq: u64, wanted: impl Fn(&Value) -> bool) -> Value {
        let store = self.store(tenant).await;
        let mut subscription =
            self.app.engine.hub().subscribe(self.tenants[tenant], store, Some(EventSeq(seq)));
        within("an event", async {
            loop {
                match subscription.next(64).await.unwrap() {
                    Batch::Events(frames) => {
                        for frame in frames.iter() {
                            let frame: Value = serde_json::from_str(&frame.json).unwrap();
                            if wanted(&frame["event"]) {
                                return frame["event"].clone();
                            }
                        }
                    }
                    Batch::Lagged { .. } | Batch::Whisper(_) => {}
                    Batch::Closed => panic!("the hub closed"),
                }
            }
        })
        .await
    }

    pub async fn event_named(&self, tenant: usize, name: &str) -> Value {
        self.event(tenant, |event| event["type"] == name).await
    }

    /// Every event of a tenant so far, by name.
    pub async fn events(&self, tenant: usize) -> Vec<Value> {
        let store = self.store(tenant).await;
        let events = store.events(EventSeq(0), 10_000).await.unwrap();
        events.iter().map(|event| serde_json::to_value(event).unwrap()).collect()
    }

    pub async fn count(&self, tenant: usize, name: &str) -> usize {
        self.events(tenant).await.iter().filter(|event| event["type"] == name).count()
    }

    /// Whether nothing of a tenant is unfinished, and all of it is durable.
    pub async fn quiet_now(&self, tenant: usize) -> bool {
        let store = self.store(tenant).await;
        // What is unfinished is not looked up in one instant: work may change its place meanwhile. So
        // it is asked for twice, with a turn of the writer in between; events are shown after it.
        let first = store.unfinished(None, 1).await.unwrap().is_empty();
        first
            && store.append(None, Vec::new()).await.is_ok()
            && store.unfinished(None, 1).await.unwrap().is_empty()
    }

    /// Waits until nothing of a tenant is unfinished.
    pub async fn quiet(&self, tenant: usize) {
        within("quiet", async {
            while !self.quiet_now(tenant).await {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }

    /// Posts a signed webhook.
    pub async fn post(&self, body: impl Into<Vec<u8>>) -> Response {
        let body = body.into();
        let signature = sign(SECRET.as_bytes(), &body);
        self.post_signed(body, Some(&signature)).await
    }

    pub async fn post_signed(&self, body: Vec<u8>, signature: Option<&str>) -> Response {
        let url = format!("http://{}/webhooks/meta/{}", self.address, self.meta_app);
        let mut request = self.http.post(url).header("content-type", "application/json").body(body);
        if let Some(signature) = signature {
            request = request.header("x-hub-signature-256", signature);
        }
        within("an answer", request.send()).await.unwrap()
    }

    /// Calls the administrative API with the first tenant's key.
    pub async fn api(&self, method: &str, path: &str, body: Option<Value>) -> (StatusCode, Value) {
        self.api_with_key(&self.key, method, path, body).await
    }

    /// The same with another key.
    pub async fn api_with_key(
        &self,
        key: &str,
        method: &str,
        path: &str,
        body: Option<Value>,
    ) -> (StatusCode, Value) {
        let url = format!("http://{}/v1{path}", self.address);
        let mut request = self.http.request(method.parse().unwrap(), url).bearer_auth(key);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = within("an answer", request.send()).await.unwrap();
        let status = response.status();
        (status, response.json().await.unwrap_or(Value::Null))
    }

    /// Somebody signs in, with both factors: an owner of the platform, or who belongs there.
    pub async fn sign_in(&self, owner: bool, memberships: &[(MemberOf, Role)]) -> SignedIn {
        let now = self.clock.now();
        let member = |(of, role): &(MemberOf, Role)| Membership {
            of: *of,
            role: *role,
            assigned_only: false,
            since: now,
        };
        let id = AccountId::new(now, &SystemEntropy);
        let account = Account {
            id,
            email: normalised_email(&format!("{id}@example.com")).unwrap(),
            name: Pii::new("Ada".to_owned()),
            password: None,
            second_factors: SecondFactors::default(),
            owner,
            memberships: memberships.iter().map(member).collect(),
            supabase_subject: None,
            language: Language::En,
            state: AccountState::Active,
            revision: 0,
            created_at: now,
            signed_in_at: None,
        };
        let people = self.app.store.people();
        people.create_account(account.clone()).await.unwrap();
        let origin = Origin {
            address: Pii::new("127.0.0.1".to_owned()),
            agent: String::new(),
            device: DeviceId::new(now, &SystemEntropy),
        };
        let begun = sessions::begin(people, &SystemEntropy, now, &account, origin, true).await;
        let (token, session) = begun.unwrap();
        SignedIn {
            cookie: format!("{}={}", cookies::SESSION, token.expose()),
            csrf: cookies::csrf_token(&self.app.keyring, &session),
            account: id,
        }
    }

    /// An administrator of the first tenant signs in.
    pub async fn admin(&self) -> SignedIn {
        self.sign_in(false, &[(MemberOf::Tenant(self.tenants[0]), Role::TenantAdmin)]).await
    }

    /// Calls the administrative API as somebody who signed in.
    pub async fn api_as(
        &self,
        who: &SignedIn,
        method: &str,
        path: &str,
        body: Option<Value>,
    ) -> (StatusCode, Value) {
        let url = format!("http://{}/v1{path}", self.address);
        let mut request = self
            .http
            .request(method.parse().unwrap(), url)
            .header("cookie", &who.cookie)
            .header("origin", format!("http://{}", self.address))
            .header(cookies::CSRF_HEADER, &who.csrf);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = within("an answer", request.send()).await.unwrap();
        let status = response.status();
        (status, response.json().await.unwrap_or(Value::Null))
    }

    /// A new key of the platform.
    pub async fn platform_key(&self) -> String {
        let scopes = vec![Scope::Platform];
        let minted =
            auth::mint(&self.app.keyring, &SystemEntropy, &self.clock, "platform".into(), None, scopes, None);
        let (key, plain) = minted.unwrap();
        self.app.store.put_api_key(key).await.unwrap();
        plain.expose().to_owned()
    }

    /// Says that the test meant so many dead letters to be there.
    pub fn forgive_dead_letters(&mut self, count: usize) {
        self.forgiven_dead_letters = count;
    }

    /// Says that the test meant what failed after it was accepted to be sent again.
    pub fn forgive_duplicates(&mut self) {
        self.forgives_duplicates = true;
    }

    /// Ends the flow: nothing is unfinished, nothing was given up, every record opens, everything
    /// stops in time.
    pub async fn finish(mut self) -> Folder {
        let mut dead: Vec<DeadLetter> = Vec::new();
        for tenant in 0..2 {
            if self.forgiven_dead_letters == 0 {
                self.quiet(tenant).await;
            }
            dead.extend(self.store(tenant).await.dead_letters(None, 100).await.unwrap());
        }
        assert_eq!(dead.len(), self.forgiven_dead_letters, "dead letters: {dead:?}");
        let duplicates = self.simulator.state().counters.duplicates;
        assert!(duplicates == 0 || self.forgives_duplicates, "nothing is sent twice");
        let (records, damaged) = self.app.store.check(&|_, _| {}).await.unwrap();
        assert!(records > 0);
        assert_eq!(damaged, Vec::<String>::new());
        self.end().await
    }

    /// Ends the flow without the checks, as a crash test needs it.
    pub async fn end(&mut self) -> Folder {
        self.finished = true;
        self.server.stop(false).await;
        // A turn that hangs on purpose may be aborted; everything else ends by itself.
        drop(self.app.stop_within(0).await);
        self.folder.take().unwrap()
    }
}

impl Drop for Flow {
    fn drop(&mut self) {
        assert!(self.finished || std::thread::panicking(), "a flow ends with finish().await");
    }
}

/// Waits until a former life has let the keyring go: a read that was under way outlives its engine a little.
async fn let_go(folder: &Path) {
    let lock = std::fs::File::open(folder.join("keyring.json.lock")).unwrap();
    within("the keyring to be free", async {
        while lock.try_lock().is_err() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

pub fn settings(folder: &Path, simulator: &Simulator, changes: &[&str]) -> Settings {
    let mut flags = vec![
        format!("storage.path={}", folder.join("store").display()),
        format!("vault.keyring_file={}", folder.join("keyring.json").display()),
        format!("media.folder={}", folder.join("media").display()),
        format!("mail.folder={}", folder.join("mail").display()),
        format!("vault.root_key_file={}", folder.join("root.key").display()),
        format!("meta.graph_base_url={}", simulator.graph_url()),
        format!("meta.instagram_base_url={}", simulator.instagram_url()),
        // Nothing leaves this machine, whatever a sample names.
        "meta.media_domains=[\"media.invalid\"]".to_owned(),
        format!("model.base_url={}", simulator.model_url()),
        "model.api_key=flow-model-key".to_owned(),
        "model.model=simulated-1".to_owned(),
        "server.port=0".to_owned(),
        "server.workers=1".to_owned(),
        // Most tests ask much in no time at all; `edge` looks at these.
        "server.rate_address_burst=0".to_owned(),
        "server.rate_key_burst=0".to_owned(),
        "server.rate_session_burst=0".to_owned(),
        "actors.arbiters=2".to_owned(),
    ];
    flags.extend(changes.iter().map(ToString::to_string));
    Sources { file: None, flags, environment: Vec::new() }.settings().unwrap()
}

/// Two tenants with their channels, one Meta app.
async fn set_up(vaulted: &Vaulted, folder: &Folder) -> String {
    let store = &vaulted.store;
    let app = MetaApp {
        id: folder.meta_app,
        app_id: Some(products::APP.into()),
        name: "app".into(),
        secrets: vec![StoredSecret::new(SECRET)],
        verify_token: StoredSecret::new("flow-verify-token"),
        created_at: START,
    };
    store.put_meta_app(app).await.unwrap();
    for (id, number) in folder.tenants.into_iter().zip(NUMBERS) {
        let tenant = Tenant::new(id, format!("tenant of {number}"), START);
        store.create_tenant(tenant).await.unwrap();
        let tenant = store.tenant(TenantCtx::platform(id)).await.unwrap();
        tenant.put_assistant(assistant(), None).await.unwrap();
    }
    for (tenant, external_id, connection, token) in products::channels() {
        let channel = Channel {
            id: ChannelId::new(START, &SystemEntropy),
            tenant: folder.tenants[tenant],
            meta_app: folder.meta_app,
            connection,
            external_id: external_id.into(),
            name: external_id.into(),
            access_token: StoredSecret::new(token),
            token_owner: None,
            health: ChannelHealth::connecting(START),
            created_at: START,
        };
        store.put_channel(channel).await.unwrap();
    }
    let scopes = vec![Scope::Read, Scope::Operate, Scope::Manage];
    let (entropy, clock) = (&SystemEntropy, &*vaulted.clock);
    let minted =
        auth::mint(&vaulted.keyring, entropy, clock, "flow".into(), Some(folder.tenants[0]), scopes, None);
    let (key, plain) = minted.unwrap();
    store.put_api_key(key).await.unwrap();
    plain.expose().to_owned()
}

/// A webhook with text messages of one contact: (wamid, seconds, words).
pub fn messages(number: &str, from: &str, said: &[(&str, i64, &str)]) -> Vec<u8> {
    let message = |(id, at, text): &(&str, i64, &str)| json!({ "from": from, "id": id, "timestamp": at.to_string(), "type": "text", "text": { "body": text } });
    let said: Vec<Value> = said.iter().map(message).collect();
    json!({
        "object": "whatsapp_business_account",
        "entry": [{ "id": "100000000000001", "changes": [{ "field": "messages", "value": {
            "messaging_product": "whatsapp",
            "metadata": { "display_phone_number": "15550100001", "phone_number_id": number },
            "contacts": [{ "profile": { "name": "Ada Example" }, "wa_id": from }],
            "messages": said,
        } }] }]
    })
    .to_string()
    .into_bytes()
}
