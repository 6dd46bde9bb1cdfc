//! The three products: the accounts that the tenants have of each, and what is done with them.

use std::fs;
use std::time::Duration;

use iassistance::http::auth;
use iassistance_domain::Clock;
use iassistance_domain::assistant::AssistantSettings;
use iassistance_domain::channel::{Channel, ChannelHealth, ChannelState, Connection};
use iassistance_domain::conversation::Conversation;
use iassistance_domain::id::{ChannelId, ConversationId, MessageId};
use iassistance_domain::key::Scope;
use iassistance_domain::message::Message;
use iassistance_domain::tenant::TenantCtx;
use iassistance_simulator::faults::{Rule, SendFault};
use iassistance_simulator::{Account, AccountKind, Act, Deed, EventShape, Faults, SimulatorSettings};
use iassistance_vault::SystemEntropy;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::harness::{Flow, NUMBERS, Options, assistant, within};

pub const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures");
/// Meta's id of the app; the simulator's and the fixtures' own.
pub const APP: &str = "1000000001";
pub const WABA: &str = "100000000000001";
pub const PAGE: &str = "900000000000001";
pub const INSTAGRAM: &str = "17840000000000001";
pub const INSTAGRAM_USER: &str = "27840000000000001";
pub const INSTAGRAM_BY_PAGE: &str = "17840000000000002";
/// Pages of the second tenant, and a fixture's.
pub const OTHER_PAGE: &str = "900000000000002";
const LINKED_PAGE: &str = "900000000000003";
pub const PAGE_TOKEN: &str = "flow-page-token";
pub const INSTAGRAM_TOKEN: &str = "flow-instagram-token";

/// The first tenant's channels, by Meta's id.
pub const CHANNELS: [&str; 4] = [NUMBERS[0], PAGE, INSTAGRAM, INSTAGRAM_BY_PAGE];
pub const HOUR_MS: u64 = 60 * 60 * 1_000;
pub const DAY_MS: u64 = 24 * HOUR_MS;

/// Settings under which time may fly without anybody being taken for late or told to wait.
pub const FLYING: [&str; 11] = [
    "model.first_token_ms=864000000",
    "model.attempt_ms=864000000",
    "model.turn_ms=864000000",
    "meta.send_timeout_ms=864000000",
    "meta.channel_test_hours=0",
    "actors.sweep_ms=86400000",
    "limits.conversation_burst=10000",
    "limits.pair_burst=10000",
    "limits.number_sends_per_s=10000",
    "limits.tenant_burst=100000",
    "limits.conversation_turns_per_min=10000",
];

/// A simulator that waits for answers as long as time flies.
pub fn patient(simulated: &mut SimulatorSettings) {
    simulated.webhooks.answer_ms_max = 30 * DAY_MS;
}

/// A flow in which time may fly, with these settings besides.
pub fn flying(settings: &[&'static str]) -> Options {
    let settings = FLYING.iter().chain(settings).copied().collect();
    Options { settings, simulator: Some(patient), ..Options::default() }
}

/// The accounts of Messenger and Instagram that the simulator has.
pub fn accounts() -> Vec<Account> {
    let account = |kind: AccountKind, name: &str, token: &str| Account {
        kind,
        name: name.into(),
        access_token: token.into(),
        app_id: None,
        shape: EventShape::Messaging,
    };
    let page = |id: &str| AccountKind::Messenger { page_id: id.into() };
    let login = AccountKind::InstagramLogin { ig_id: INSTAGRAM.into(), user_id: INSTAGRAM_USER.into() };
    let linked = AccountKind::InstagramPage { ig_id: INSTAGRAM_BY_PAGE.into(), page_id: LINKED_PAGE.into() };
    vec![
        account(page(PAGE), "Shop page", PAGE_TOKEN),
        account(login, "shop", INSTAGRAM_TOKEN),
        account(linked, "shop.linked", "flow-linked-token"),
        account(page(OTHER_PAGE), "Other page", "flow-other-page-token"),
    ]
}

/// Every channel: whose, its id, how it is connected, its token.
pub fn channels() -> Vec<(usize, &'static str, Connection, &'static str)> {
    let number = |account_id| Connection::CloudApi { account_id, number: None };
    let login = Connection::InstagramLogin { user_id: Some(INSTAGRAM_USER.into()) };
    let linked = Connection::InstagramPage { page_id: LINKED_PAGE.into() };
    vec![
        (0, NUMBERS[0], number(Some(WABA.into())), "flow-access-token"),
        (1, NUMBERS[1], number(None), "flow-access-token"),
        (0, PAGE, Connection::Page, PAGE_TOKEN),
        (0, INSTAGRAM, login, INSTAGRAM_TOKEN),
        (0, INSTAGRAM_BY_PAGE, linked, "flow-linked-token"),
        (1, OTHER_PAGE, Connection::Page, "flow-other-page-token"),
    ]
}

/// The token of a channel.
pub fn token(account: &str) -> &'static str {
    channels().into_iter().find(|channel| channel.1 == account).unwrap().3
}

/// The sample payloads of a product: name and body, by name.
pub fn fixtures(product: &str) -> Vec<(String, Vec<u8>)> {
    let files = fs::read_dir(format!("{FIXTURES}/{product}")).unwrap().map(|file| file.unwrap().path());
    let mut fixtures: Vec<_> = files
        .map(|path| {
            (format!("{product}/{}", path.file_stem().unwrap().to_str().unwrap()), fs::read(path).unwrap())
        })
        .collect();
    fixtures.sort();
    assert!(fixtures.len() > 25, "{product}");
    fixtures
}

/// One send on this account (or product) is refused so.
pub fn refusing(on: &str, code: u32, subcode: Option<u32>, later: bool) -> Faults {
    let fault = SendFault::Error { on: Some(on.into()), code, subcode, status: None, later };
    Faults { sends: vec![Rule { fault, next: 1, per_mille: 0 }], ..Faults::default() }
}

/// A webhook with one event of a page or account: who, when (milliseconds), what.
pub fn event_of(account: &str, from: &str, at: i64, said: &Value) -> Vec<u8> {
    let object = if account.starts_with("178") { "instagram" } else { "page" };
    let mut event = json!({ "sender": { "id": from }, "recipient": { "id": account }, "timestamp": at });
    event.as_object_mut().unwrap().extend(said.as_object().unwrap().clone());
    json!({ "object": object, "entry": [{ "id": account, "time": at, "messaging": [event] }] })
        .to_string()
        .into_bytes()
}

impl Flow {
    /// Does something as a contact or an owner; Meta's id of the message, if there is one.
    pub fn act(&self, who: &str, account: &str, act: Act) -> String {
        self.simulator.act(Deed::of(who, Some(account), act)).unwrap().wamid.unwrap_or_default()
    }

    /// A contact writes.
    pub fn says(&self, who: &str, account: &str, text: &str) -> String {
        self.act(who, account, Act::Text { text: text.into() })
    }

    /// Meta says something of an account.
    pub fn meta(&self, account: &str, act: Act) {
        self.simulator.act(Deed::of_meta(Some(account), act)).unwrap();
    }

    /// The place of the latest event of the first tenant.
    pub async fn now_at(&self) -> u64 {
        self.store(0).await.latest_event().borrow().0
    }

    /// A channel of the first tenant.
    pub async fn channel(&self, account: &str) -> Channel {
        let channels = self.store(0).await.channels().await.unwrap();
        channels.into_iter().find(|channel| channel.external_id == account).unwrap()
    }

    pub async fn channel_id(&self, account: &str) -> ChannelId {
        self.channel(account).await.id
    }

    /// Makes a channel well again, as a person does at Meta.
    pub async fn mend(&self, account: &str) {
        let channel = self.channel(account).await;
        let health = ChannelHealth { state: ChannelState::Live, reason: None, ..channel.health };
        self.app.store.set_channel_health(self.ctx(), channel.id, health).await.unwrap();
        self.app.engine.resume(self.tenants[0]);
    }

    /// Lets the assistants say nothing.
    pub async fn hush(&self) {
        for tenant in self.tenants {
            let quiet = AssistantSettings { enabled: false, ..assistant() };
            let ctx = TenantCtx::platform(tenant);
            self.app.engine.put_assistant(ctx, quiet, None).await.unwrap();
        }
    }

    /// The newest conversation on a channel of the first tenant.
    pub async fn conversation_on(&self, account: &str) -> Conversation {
        let channel = self.channel_id(account).await;
        let all = self.store(0).await.conversations(None, 1_000).await.unwrap();
        all.into_iter().find(|conversation| conversation.channel == channel).unwrap()
    }

    /// The message that Meta calls so, once it is known.
    pub async fn message_called(&self, seq: u64, provider_id: &str) -> (ConversationId, Message) {
        let named = |event: &Value| event["message"]["provider_id"] == provider_id;
        let event = self.event_after(0, seq, named).await;
        let conversation = event["conversation"].as_str().unwrap().parse().unwrap();
        let id: MessageId = event["message"]["id"].as_str().unwrap().parse().unwrap();
        (conversation, self.store(0).await.message(conversation, id).await.unwrap().unwrap())
    }

    /// A person's reply, over REST.
    pub async fn reply(&self, conversation: ConversationId, mut body: Value) -> (StatusCode, Value) {
        body["operator"] = json!("Bea");
        let path = format!("/tenants/{}/conversations/{conversation}/messages", self.tenants[0]);
        self.api("POST", &path, Some(body)).await
    }

    /// The same, which must be taken; its id.
    pub async fn replied(&self, conversation: ConversationId, body: Value) -> MessageId {
        let (status, answer) = self.reply(conversation, body.clone()).await;
        assert_eq!(status, 201, "{body}: {answer}");
        answer["message"].as_str().unwrap().parse().unwrap()
    }

    /// What the channel API says of a channel.
    pub async fn channel_api(
        &self,
        method: &str,
        account: &str,
        tail: &str,
        body: Option<Value>,
    ) -> (StatusCode, Value) {
        let id = self.channel_id(account).await;
        let path = format!("/tenants/{}/channels/{id}{tail}", self.tenants[0]);
        self.api_as(&self.admin().await, method, &path, body).await
    }

    /// Waits until no webhook is under way and nothing of the first tenant is unfinished.
    pub async fn still(&self) {
        within("webhooks", async {
            loop {
                // One that met a clock that flew waits for its next try.
                let none = self.simulator.until(|state| state.webhooks.pending == 0);
                if tokio::time::timeout(Duration::from_millis(300), none).await.is_err() {
                    self.simulator.retry_now();
                }
                self.quiet(0).await;
                if self.simulator.state().webhooks.pending == 0 {
                    return;
                }
            }
        })
        .await;
    }

    /// Moves the clock a little at a time, until `done`; `limit_ms` are too much.
    pub async fn pass_until(&self, what: &str, step_ms: u64, limit_ms: u64, done: impl AsyncFn() -> bool) {
        let end = self.clock.now().plus_millis(limit_ms);
        within(what, async {
            loop {
                // A look at the store takes as long as work needs to get a step further.
                let _quiet = self.quiet_now(0).await;
                if done().await {
                    return;
                }
                assert!(self.clock.now() < end, "{limit_ms} ms passed in vain for {what}");
                self.clock.advance_millis(step_ms);
            }
        })
        .await;
    }

    /// How often something with these words was sent.
    pub fn times_sent(&self, words: &str) -> usize {
        self.simulator.all_sends().iter().filter(|send| send.text.contains(words)).count()
    }

    /// Whether something with these words was sent.
    pub fn was_sent(&self, words: &str) -> bool {
        self.times_sent(words) > 0
    }

    /// Waits until something with these words was sent.
    pub async fn sent(&self, words: &str) {
        within(words, async {
            while !self.was_sent(words) {
                self.simulator.until(|_| self.was_sent(words)).await;
            }
        })
        .await;
    }

    /// A new key of a tenant.
    pub async fn key_of(&self, tenant: usize, scope: Scope) -> String {
        let (entropy, keys) = (&SystemEntropy, &self.app.keyring);
        let whose = Some(self.tenants[tenant]);
        let (key, plain) =
            auth::mint(keys, entropy, &self.clock, "another".into(), whose, vec![scope], None).unwrap();
        self.app.store.put_api_key(key).await.unwrap();
        plain.expose().to_owned()
    }

    /// Posts a form to one of Meta's callbacks.
    pub async fn post_form(&self, path: &str, form: &[(&str, &str)]) -> reqwest::Response {
        let body: String = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let url = format!("http://{}{path}", self.address);
        let request =
            self.http.post(url).header("content-type", "application/x-www-form-urlencoded").body(body);
        within("an answer", request.send()).await.unwrap()
    }
}
