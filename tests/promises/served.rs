//! The whole application at its doors, without a socket: over a store on disk, on a clock that moves when told.

use std::sync::Arc;

use actix_web::body::MessageBody;
use actix_web::dev::ServiceResponse;
use actix_web::http::{Method, StatusCode, header};
use actix_web::test;
use iassistance::app::{App, AppParts, Vaulted};
use iassistance::http::{State, auth, server};
use iassistance::telemetry::Metrics;
use iassistance_assistant::scripted::Scripted;
use iassistance_config::{Secret, Settings, Sources};
use iassistance_domain::id::{ConversationId, TenantId};
use iassistance_domain::key::Scope;
use iassistance_domain::message::Message;
use iassistance_domain::pii::Rights;
use iassistance_domain::tenant::TenantCtx;
use iassistance_domain::{ManualClock, SeededEntropy};
use iassistance_vault::SystemEntropy;
use serde_json::Value;

use crate::people::{first, of, phone, tenants};
use crate::support::{START, channel_id, identity, tenant_id};

pub struct Served {
    pub clock: ManualClock,
    pub vaulted: Vaulted,
    pub app: App,
    pub state: State,
    _folder: tempfile::TempDir,
}

pub struct Answer {
    pub status: StatusCode,
    pub location: String,
    pub cookie: Option<String>,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("{}: {}", self.status, self.text))
    }
}

/// What is asked of it.
#[derive(Default)]
pub struct Ask<'a> {
    pub key: &'a str,
    pub cookie: &'a str,
    pub json: Option<Value>,
    pub form: &'a [(&'a str, &'a str)],
}

fn settings(folder: &std::path::Path, flags: &[&str]) -> Settings {
    let of = |name: &str| folder.join(name).display().to_string();
    let own = [
        format!("storage.path={}", of("store")),
        format!("vault.keyring_file={}", of("keyring.json")),
        format!("vault.root_key_file={}", of("root.key")),
        format!("media.folder={}", of("media")),
        format!("mail.folder={}", of("mail")),
        "actors.arbiters=1".to_owned(),
        "server.public_url=https://desk.test".to_owned(),
        // Nobody answers there.
        "meta.graph_base_url=http://127.0.0.1:1".to_owned(),
        "meta.instagram_base_url=http://127.0.0.1:1".to_owned(),
    ];
    let flags = own.into_iter().chain(flags.iter().map(|flag| (*flag).to_owned())).collect();
    Sources { file: None, flags, environment: Vec::new() }.settings().unwrap()
}

impl Served {
    /// With so many people in each of two tenants, who wrote: it is taken up when it starts.
    pub async fn open(people: usize, flags: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = ManualClock::at(START);
        let mut parts = AppParts {
            clock: Some(Arc::new(clock.clone())),
            entropy: Some(Arc::new(SeededEntropy::new(77))),
            ..AppParts::default()
        };
        let key = Secret::new("7c".repeat(31) + "01");
        let vaulted = Vaulted::open(settings(folder.path(), flags), Some(&key), &mut parts).unwrap();
        tenants(&vaulted, 2).await;
        for tenant in [1, 2] {
            let store = of(&vaulted, tenant).await;
            for number in 0..people {
                store.accept(channel_id(tenant), &[first(tenant, number)]).await.unwrap();
            }
        }
        let model = Scripted::new(Arc::new(clock.clone()), []);
        parts.generator = Some(Arc::new(model.clone()));
        parts.services = Some(Arc::new(model));
        let app = App::start(&vaulted, parts).await.unwrap();
        let state = State::new(app.clone(), Metrics::install().unwrap());
        let served = Self { clock, vaulted, app, state, _folder: folder };
        for tenant in [1, 2] {
            let store = of(&served.vaulted, tenant).await;
            until("what was written is taken up", async || {
                store
                    .conversations(None, 1_000)
                    .await
                    .unwrap()
                    .iter()
                    .all(|it| it.last_inbound_at().is_some())
            })
            .await;
        }
        served
    }

    /// The conversation of somebody.
    pub async fn conversation(&self, tenant: u8, number: usize) -> ConversationId {
        let (ctx, rights) = (TenantCtx::platform(tenant_id(tenant)), self.vaulted.store.rights());
        let named = identity(&phone(tenant, number));
        let contact = rights.contact_at(ctx, channel_id(tenant), named).await.unwrap().unwrap();
        of(&self.vaulted, tenant).await.contact(contact).await.unwrap().unwrap().conversation
    }

    pub async fn key(&self, tenant: Option<TenantId>, scopes: &[Scope]) -> String {
        let (key, plain) = auth::mint(
            &self.app.keyring,
            &SystemEntropy,
            &self.clock,
            "test".to_owned(),
            tenant,
            scopes.to_vec(),
            None,
        )
        .unwrap();
        self.app.store.put_api_key(key).await.unwrap();
        plain.expose().to_owned()
    }

    pub async fn ask(&self, method: &str, path: &str, ask: Ask<'_>) -> Answer {
        let service = test::init_service(server::routes(&self.state)).await;
        let mut request = test::TestRequest::with_uri(path)
            .method(Method::from_bytes(method.as_bytes()).unwrap())
            .peer_addr("192.0.2.7:4000".parse().unwrap())
            .insert_header((header::HOST, "desk.test"));
        if !ask.key.is_empty() {
            request = request.insert_header((header::AUTHORIZATION, format!("Bearer {}", ask.key)));
        }
        if !ask.cookie.is_empty() {
            request = request.insert_header((header::COOKIE, ask.cookie));
        }
        if let Some(json) = ask.json {
            request = request.set_json(json);
        } else if !ask.form.is_empty() {
            request = request.set_form(ask.form);
        }
        answer(test::call_service(&service, request.to_request()).await).await
    }

    /// Messages to somebody that have a code in them, and the codes. Those of one moment are in no order.
    pub async fn codes(&self, tenant: u8, conversation: ConversationId) -> Vec<(Message, String)> {
        let store = of(&self.vaulted, tenant).await;
        let messages = store.messages(conversation, None, 50).await.unwrap();
        let code = |message: Message| {
            let iassistance_domain::content::Content::Text { body, .. } = &message.content else {
                return None;
            };
            let code = body.reveal(Rights).split(' ').next().unwrap_or_default().to_owned();
            let is_code = code.len() == 8 && code.bytes().all(|byte| byte.is_ascii_digit());
            is_code.then_some((message, code))
        };
        messages.into_iter().filter_map(code).collect()
    }

    pub async fn close(self) {
        self.app.stop().await.unwrap();
    }
}

async fn answer(response: ServiceResponse<impl MessageBody + 'static>) -> Answer {
    let status = response.status();
    let of = |name: header::HeaderName| {
        response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
    };
    let (location, cookie) = (of(header::LOCATION).unwrap_or_default(), of(header::SET_COOKIE));
    let cookie = cookie.and_then(|cookie| cookie.split(';').next().map(str::to_owned));
    let bytes = test::read_body(response).await;
    Answer { status, location, cookie, text: String::from_utf8_lossy(&bytes).into_owned() }
}

/// Goes on as soon as something is so.
pub async fn until(what: &str, so: impl AsyncFn() -> bool) {
    let waits = async {
        while !so().await {
            tokio::task::yield_now().await;
        }
    };
    let waited = tokio::time::timeout(std::time::Duration::from_secs(60), waits).await;
    assert!(waited.is_ok(), "waited in vain: {what}");
}

pub fn id_of(tenant: u8) -> TenantId {
    tenant_id(tenant)
}
