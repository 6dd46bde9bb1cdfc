//! Twenty tenants of four agencies and of none, with all who work with them, and a canary in each record.

use std::rc::Rc;
use std::sync::Arc;

use actix_web::body::MessageBody;
use actix_web::dev::{Service, ServiceResponse};
use actix_web::test::{self, TestRequest};
use iassistance::app::{App, AppParts, Vaulted};
use iassistance::http::sessions::{self, Origin};
use iassistance::http::{State, auth, cookies, server};
use iassistance::telemetry::Metrics;
use iassistance_actors::settings::default_assistant;
use iassistance_assistant::scripted::{Behaviour, Scripted};
use iassistance_config::{Secret, Settings, Sources};
use iassistance_domain::account::{
    Account, AccountState, Language, MemberOf, Membership, Role, SecondFactors, normalised_email,
};
use iassistance_domain::agency::{Agency, AgencyState};
use iassistance_domain::assistant::{AssistantSettings, Disclosure};
use iassistance_domain::channel::{Channel, ChannelHealth, Connection, MetaApp, StoredSecret};
use iassistance_domain::id::{AccountId, AgencyId, ApiKeyId, ChannelId, DeviceId, MetaAppId, TenantId};
use iassistance_domain::key::Scope;
use iassistance_domain::tenant::{Tenant, TenantCtx, TenantState};
use iassistance_domain::{Clock, Entropy, ManualClock, Pii, SeededEntropy, Timestamp};
use tokio_util::sync::CancellationToken;

use crate::askers::{
    AGENCIES, AGENCIES_COUNT, Asker, JOINT, JOINTS, Known, NOBODY, OWNERS, Places, SHARED, TENANTS,
};
use crate::ears::{Overheard, Receiver};
use crate::marks::{Mark, Sort};

pub const SECRET: &str = "canary-app-secret";
const START: Timestamp = Timestamp::from_secs(1_790_000_100);

/// What is answered to a request.
pub struct Answer {
    pub status: u16,
    /// Its status, headers and body, as one text to be searched.
    pub whole: Vec<u8>,
    pub body: Vec<u8>,
}

/// The whole system, and who works with it.
pub struct World {
    _folder: tempfile::TempDir,
    pub clock: ManualClock,
    pub app: App,
    pub state: State,
    pub places: Places,
    pub meta_app: MetaAppId,
    pub channels: Vec<ChannelId>,
    pub askers: Vec<Asker>,
    /// What the receivers of webhooks got.
    pub delivered: Overheard,
    /// What the model was asked.
    pub prompted: Overheard,
    pub address: std::net::SocketAddr,
    pub folder: std::path::PathBuf,
    entropy: Arc<SeededEntropy>,
    server: actix_web::dev::ServerHandle,
    closing: CancellationToken,
}

fn settings(folder: &std::path::Path, on_disk: bool) -> Settings {
    let flag = |key: &str, name: &str| format!("{key}={}", folder.join(name).display());
    let mut flags = vec![
        "actors.arbiters=1".to_owned(),
        "server.port=0".to_owned(),
        "server.workers=1".to_owned(),
        "server.public_url=https://desk.test".to_owned(),
        "mail.transport=file".to_owned(),
        // What is left of a rate differs from answer to answer.
        "server.rate_address_burst=0".to_owned(),
        "server.rate_key_burst=0".to_owned(),
        "server.rate_session_burst=0".to_owned(),
        // Nobody answers there, and nothing else is asked.
        "meta.graph_base_url=http://127.0.0.1:1".to_owned(),
        "meta.instagram_base_url=http://127.0.0.1:1".to_owned(),
        flag("storage.path", "store"),
        flag("vault.keyring_file", "keyring.json"),
        flag("media.folder", "media"),
        flag("mail.folder", "mail"),
        flag("vault.root_key_file", "root.key"),
    ];
    if !on_disk {
        flags.push("storage.backend=memory".to_owned());
    }
    Sources { flags, ..Sources::default() }.settings().unwrap()
}

/// The assistant that every tenant has at first; the marks stand in what tells it its task.
pub fn assistant(mark: &str) -> AssistantSettings {
    let platform = Sources::default().settings().unwrap();
    AssistantSettings {
        enabled: true,
        task: format!("Answer questions about the shop {mark}."),
        instructions: format!("Be kind to everybody at {mark}."),
        quiet_ms: 0,
        cap_ms: 0,
        fallback_text: format!("Sorry, not now, says {mark}."),
        disclosure: Disclosure { enabled: false, ..Disclosure::default() },
        ..default_assistant(&platform.assistant)
    }
}

/// What a model answers: what it was last told, which it hears with all else that it is told.
fn model(clock: &ManualClock, prompted: &Overheard) -> Scripted {
    let hears = prompted.clone();
    let answer = Behaviour::doing(move |call| {
        let all: Vec<&str> = call.messages.iter().map(|(_, words)| words.as_str()).collect();
        hears.add("the model", all.join("\n").as_bytes());
        let words = call.last_words();
        // Now and then it wants a person, and says why in the contact's words.
        let wants = words.bytes().map(usize::from).sum::<usize>().is_multiple_of(7);
        let has = call.tools.iter().any(|tool| tool.name == "request_human") && call.calls.is_empty();
        if wants && has {
            let reason = serde_json::json!({ "reason": words }).to_string();
            return Behaviour::call("request_human", &reason);
        }
        Behaviour::Echo
    });
    Scripted::new(Arc::new(clock.clone()), [answer])
}

impl World {
    /// All of it, from a seed.
    pub async fn open(seed: u64, on_disk: bool, mut marks: impl FnMut(u8, Sort) -> Mark) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = ManualClock::at(START);
        let entropy = Arc::new(SeededEntropy::new(seed));
        let (delivered, prompted) = (Overheard::default(), Overheard::default());
        let model = model(&clock, &prompted);
        let mut parts = AppParts {
            clock: Some(Arc::new(clock.clone())),
            entropy: Some(Arc::clone(&entropy) as Arc<dyn Entropy>),
            generator: Some(Arc::new(model.clone())),
            services: Some(Arc::new(model)),
            hooks: Some(Arc::new(Receiver(delivered.clone()))),
            ..AppParts::default()
        };
        let root = Secret::new("7c".repeat(31) + "02");
        let vaulted = Vaulted::open(settings(folder.path(), on_disk), Some(&root), &mut parts).unwrap();
        let app = App::start(&vaulted, parts).await.unwrap();
        let state = State::new(app.clone(), Metrics::install().unwrap());
        let listening = server::listen(state.clone()).unwrap();
        tokio::task::spawn_local(listening.server);
        let meta_app = MetaAppId::new(START, &*entropy);
        let mut world = Self {
            folder: folder.path().to_path_buf(),
            _folder: folder,
            clock,
            app,
            state,
            places: Places { tenants: Vec::new(), agencies: Vec::new() },
            meta_app,
            channels: Vec::new(),
            askers: Vec::new(),
            delivered,
            prompted,
            address: listening.address,
            entropy,
            server: listening.handle,
            closing: listening.draining,
        };
        world.furnish(&mut marks).await;
        world
    }

    async fn furnish(&mut self, marks: &mut impl FnMut(u8, Sort) -> Mark) {
        let (store, people) = (Arc::clone(&self.app.store), Arc::clone(&self.app.store));
        let people = people.people();
        let mut name = |owner| marks(owner, Sort::SetUp).text();
        let app = MetaApp {
            id: self.meta_app,
            app_id: None,
            name: name(SHARED),
            secrets: vec![StoredSecret::new(SECRET)],
            verify_token: StoredSecret::new("t"),
            created_at: START,
        };
        store.put_meta_app(app).await.unwrap();
        for number in 0..AGENCIES_COUNT {
            let id = AgencyId::new(START, &*self.entropy);
            let name = name(AGENCIES + number);
            people
                .create_agency(Agency { id, name, created_at: START, state: AgencyState::Active })
                .await
                .unwrap();
            self.places.agencies.push(id);
        }
        for number in 0..TENANTS {
            let id = TenantId::new(START, &*self.entropy);
            self.places.tenants.push(id);
            let agency = self.places.agencies.get(usize::from(number / 4)).copied();
            let tenant =
                Tenant { agency, agency_reads: number % 2 == 0, ..Tenant::new(id, name(number), START) };
            store.create_tenant(tenant).await.unwrap();
            let own = store.tenant(TenantCtx::platform(id)).await.unwrap();
            own.put_assistant(assistant(&name(number)), None).await.unwrap();
            let channel = Channel {
                id: ChannelId::new(START, &*self.entropy),
                tenant: id,
                meta_app: self.meta_app,
                connection: Connection::CloudApi { account_id: None, number: None },
                external_id: dialled(number),
                name: name(number),
                access_token: StoredSecret::new("token"),
                token_owner: None,
                health: ChannelHealth::connecting(START),
                created_at: START,
            };
            self.channels.push(channel.id);
            store.put_channel(channel).await.unwrap();
        }
        self.staff(marks).await;
    }

    async fn staff(&mut self, marks: &mut impl FnMut(u8, Sort) -> Mark) {
        let mut name = |owner| marks(owner, Sort::SetUp).text();
        for number in 0..TENANTS {
            let own = MemberOf::Tenant(self.places.tenants[usize::from(number)]);
            for (role, limited) in [
                (Role::TenantAdmin, false),
                (Role::Operator, false),
                (Role::Operator, true),
                (Role::Viewer, false),
            ] {
                let what = format!("{role:?} of tenant {number}{}", if limited { ", limited" } else { "" });
                let member = Membership { of: own, role, assigned_only: limited, since: START };
                self.join(what, number, vec![number], false, vec![member], name(number)).await;
            }
            for scope in Scope::ALL.into_iter().filter(|scope| *scope != Scope::Platform) {
                self.mint(Some(number), scope, name(number)).await;
            }
        }
        for number in 0..AGENCIES_COUNT {
            let of = MemberOf::Agency(self.places.agencies[usize::from(number)]);
            let member = Membership { of, role: Role::Agency, assigned_only: false, since: START };
            let tenants = (number * 4..number * 4 + 4).collect();
            let home = AGENCIES + number;
            self.join(format!("agency {number}"), home, tenants, false, vec![member], name(home)).await;
        }
        for (home, tenants) in (JOINT..).zip(JOINTS) {
            let roles = tenants.into_iter().zip([Role::Operator, Role::TenantAdmin]);
            let members = roles.map(|(number, role)| {
                let of = MemberOf::Tenant(self.places.tenants[usize::from(number)]);
                Membership { of, role, assigned_only: false, since: START }
            });
            let members = members.collect();
            self.join(format!("of tenants {tenants:?}"), home, tenants.to_vec(), false, members, name(home))
                .await;
        }
        for number in 0..2 {
            self.join(format!("owner {number}"), OWNERS, Vec::new(), true, Vec::new(), name(OWNERS)).await;
        }
        self.mint(None, Scope::Platform, name(OWNERS)).await;
        let credential = String::new();
        let (known, name) = (Known::Nobody, "nobody".to_owned());
        self.askers.push(Asker { known, name, home: NOBODY, tenants: Vec::new(), credential });
    }

    async fn join(
        &mut self,
        what: String,
        home: u8,
        tenants: Vec<u8>,
        owner: bool,
        memberships: Vec<Membership>,
        name: String,
    ) {
        let account = Account {
            id: AccountId::new(START, &*self.entropy),
            email: normalised_email(&format!("{name}@example.com")).unwrap(),
            name: Pii::new(name),
            password: None,
            second_factors: SecondFactors::default(),
            owner,
            memberships,
            supabase_subject: None,
            language: Language::En,
            state: AccountState::Active,
            revision: 0,
            created_at: START,
            signed_in_at: None,
        };
        self.app.store.people().create_account(account.clone()).await.unwrap();
        let known = Known::Account(account.id);
        self.askers.push(Asker { known, name: what, home, tenants, credential: String::new() });
    }

    async fn mint(&mut self, number: Option<u8>, scope: Scope, name: String) {
        let tenant = number.map(|number| self.places.tenants[usize::from(number)]);
        let (id, credential) = self.new_key(tenant, vec![scope], name).await;
        let whose = number.map_or_else(|| "the platform".to_owned(), |number| format!("tenant {number}"));
        self.askers.push(Asker {
            known: Known::Key(id),
            name: format!("key `{}` of {whose}", scope.name()),
            home: number.unwrap_or(OWNERS),
            tenants: number.into_iter().collect(),
            credential,
        });
    }

    async fn new_key(
        &self,
        tenant: Option<TenantId>,
        scopes: Vec<Scope>,
        name: String,
    ) -> (ApiKeyId, String) {
        let minted =
            auth::mint(&self.app.keyring, &*self.entropy, &self.clock, name, tenant, scopes, None).unwrap();
        let (key, plain) = minted;
        let id = key.id;
        self.app.store.put_api_key(key).await.unwrap();
        (id, plain.expose().to_owned())
    }

    /// Has somebody a credential that works, with a fresh proof of who they are.
    pub async fn admit(&mut self, number: usize) {
        let asker = self.askers[number].clone();
        match asker.known {
            Known::Nobody => {}
            Known::Account(id) => {
                let people = self.app.store.people();
                // An owner may have removed them: what they had opens nothing any more.
                let Some(account) = people.account(id).await.unwrap() else { return };
                let now = self.clock.now();
                let origin = Origin {
                    address: Pii::new("203.0.113.7".to_owned()),
                    agent: String::new(),
                    device: DeviceId::new(now, &*self.entropy),
                };
                people.remove_sessions_of(id, None).await.unwrap();
                let begun = sessions::begin(people, &*self.entropy, now, &account, origin, true).await;
                let (token, session) = begun.unwrap();
                let csrf = cookies::csrf_token(&self.app.keyring, &session);
                self.askers[number].credential = format!("session {} {csrf}", token.expose());
            }
            Known::Key(id) => {
                let Some(key) = self.app.store.api_key(id).await.unwrap() else { return };
                let (id, credential) = self.new_key(key.tenant, key.scopes, key.name).await;
                self.askers[number].known = Known::Key(id);
                self.askers[number].credential = credential;
            }
        }
    }

    /// Has a tenant that was suspended or closed be served again.
    pub async fn reopen(&self, tenant: TenantId) {
        let people = self.app.store.people();
        if let Some(record) = people.tenant_record(tenant).await.unwrap()
            && !record.state.answers()
        {
            people.put_tenant(Tenant { state: TenantState::Active, ..record }).await.unwrap();
        }
    }

    /// The headers by which somebody is known.
    pub fn headers(&self, number: usize) -> Vec<(&'static str, String)> {
        let credential = &self.askers[number].credential;
        if let Some((token, csrf)) = credential.strip_prefix("session ").and_then(|it| it.split_once(' ')) {
            return vec![
                ("cookie", format!("{}={token}", cookies::SESSION)),
                ("origin", "https://desk.test".to_owned()),
                (cookies::CSRF_HEADER, csrf.to_owned()),
            ];
        }
        if credential.is_empty() {
            Vec::new()
        } else {
            vec![("authorization", format!("Bearer {credential}"))]
        }
    }

    /// Ends everything.
    pub async fn close(self) {
        self.closing.cancel();
        self.server.stop(false).await;
        let stopping = self.app.stop();
        let clock = self.clock.clone();
        // What waits for the clock is let go of.
        let ticking = async {
            loop {
                clock.advance_millis(1_000);
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            biased;
            _still_running = stopping => {}
            () = ticking => {}
        }
    }
}

/// The number of a tenant's channel.
pub fn dialled(tenant: u8) -> String {
    format!("2000000000{tenant:05}")
}

/// Sends a request to the routes of the server, in this process.
pub async fn send<S, B>(service: &Rc<S>, request: TestRequest) -> Answer
where
    S: Service<actix_http::Request, Response = ServiceResponse<B>, Error = actix_web::Error>,
    B: MessageBody,
{
    let request = request.peer_addr("203.0.113.7:40000".parse().unwrap()).to_request();
    let response = match service.call(request).await {
        Ok(response) => response,
        Err(error) => {
            let response = error.error_response();
            let whole = format!("{:?}", response.headers()).into_bytes();
            return Answer { status: response.status().as_u16(), whole, body: Vec::new() };
        }
    };
    let status = response.status().as_u16();
    let mut whole = Vec::new();
    for (name, value) in response.headers() {
        whole.extend_from_slice(name.as_str().as_bytes());
        whole.extend_from_slice(b": ");
        whole.extend_from_slice(value.as_bytes());
        whole.push(b'\n');
    }
    let body = test::try_read_body(response).await.map(|body| body.to_vec()).unwrap_or_default();
    whole.extend_from_slice(&body);
    Answer { status, whole, body }
}
