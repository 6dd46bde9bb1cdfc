mod assistant;
mod described;
mod doors;
mod keeping;
mod knowledge;
mod matrix;

use std::sync::Arc;

use actix_web::http::Method;
use actix_web::{App as WebApp, test, web};
use serde_json::{Value, json};

use iassistance_assistant::scripted::Scripted;
use iassistance_config::{Secret, Sources};
use iassistance_domain::account::{
    Account, AccountState, Language, MemberOf, Membership, Role, SecondFactors, normalised_email,
};
use iassistance_domain::channel::StoredSecret;
use iassistance_domain::id::{AccountId, DeviceId, TenantId};
use iassistance_domain::key::Scope;
use iassistance_domain::tenant::{Tenant, TenantCtx};
use iassistance_domain::{Clock, ManualClock, Pii, Timestamp};
use iassistance_vault::SystemEntropy;

use super::ROUTES;
use crate::app::{App, AppParts, Vaulted};
use crate::http::sessions::{self, Origin};
use crate::http::{State, auth, cookies};
use crate::telemetry::Metrics;

/// The application over the store in memory, on a clock that moves when told.
struct Desk {
    _folder: tempfile::TempDir,
    clock: ManualClock,
    app: App,
    state: State,
    /// Echoes, until it is told otherwise.
    model: Scripted,
    tenants: [TenantId; 2],
}

struct Answer {
    status: u16,
    headers: actix_web::http::header::HeaderMap,
    body: Value,
}

impl Desk {
    async fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let flag = |key: &str, name: &str| format!("{key}={}", folder.path().join(name).display());
        let flags = vec![
            "storage.backend=memory".to_owned(),
            "actors.arbiters=1".to_owned(),
            "server.json_body_bytes_max=2000".to_owned(),
            "server.public_url=https://desk.test".to_owned(),
            // Nobody answers there, and nothing else is asked.
            "meta.graph_base_url=http://127.0.0.1:1".to_owned(),
            "meta.instagram_base_url=http://127.0.0.1:1".to_owned(),
            flag("vault.keyring_file", "keyring.json"),
            flag("media.folder", "media"),
            flag("mail.folder", "mail"),
            flag("vault.root_key_file", "root.key"),
        ];
        let settings = Sources { flags, ..Sources::default() }.settings().unwrap();
        let clock = ManualClock::at(Timestamp::from_secs(1_790_000_000));
        let model = Scripted::new(Arc::new(clock.clone()), []);
        let mut parts = AppParts {
            clock: Some(Arc::new(clock.clone())),
            generator: Some(Arc::new(model.clone())),
            services: Some(Arc::new(model.clone())),
            ..AppParts::default()
        };
        let vaulted =
            Vaulted::open(settings, Some(&Secret::new("0123456789abcdef".repeat(4))), &mut parts).unwrap();
        let app = App::start(&vaulted, parts).await.unwrap();
        let mut tenants = [TenantId::from_bytes([0; 16]); 2];
        for (number, id) in tenants.iter_mut().enumerate() {
            *id = TenantId::new(vaulted.clock.now(), &SystemEntropy);
            let tenant = Tenant::new(*id, format!("Tenant {number}"), vaulted.clock.now());
            app.store.create_tenant(tenant).await.unwrap();
        }
        let state = State::new(app.clone(), Metrics::install().unwrap());
        Self { _folder: folder, clock, app, state, model, tenants }
    }

    async fn key(&self, tenant: Option<TenantId>, scopes: &[Scope]) -> String {
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

    /// Somebody who belongs there, signed in with both factors: what they are known by.
    async fn person(&self, owner: bool, memberships: &[(MemberOf, Role)]) -> String {
        let account = self.account(owner, memberships).await;
        self.session(&account, true).await
    }

    async fn account(&self, owner: bool, memberships: &[(MemberOf, Role)]) -> Account {
        let now = self.clock.now();
        let since = now;
        let member =
            |(of, role): &(MemberOf, Role)| Membership { of: *of, role: *role, assigned_only: false, since };
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
        self.app.store.people().create_account(account.clone()).await.unwrap();
        account
    }

    async fn session(&self, account: &Account, second_factor: bool) -> String {
        let origin = Origin {
            address: Pii::new("203.0.113.7".to_owned()),
            agent: String::new(),
            device: DeviceId::new(self.clock.now(), &SystemEntropy),
        };
        let (people, now) = (self.app.store.people(), self.clock.now());
        let begun = sessions::begin(people, &SystemEntropy, now, account, origin, second_factor).await;
        let (token, session) = begun.unwrap();
        format!("session {} {}", token.expose(), cookies::csrf_token(&self.app.keyring, &session))
    }

    async fn owner(&self) -> String {
        self.person(true, &[]).await
    }

    /// An administrator of a tenant.
    async fn admin(&self, tenant: TenantId) -> String {
        self.person(false, &[(MemberOf::Tenant(tenant), Role::TenantAdmin)]).await
    }

    async fn send(&self, request: test::TestRequest) -> Answer {
        let app = WebApp::new()
            .app_data(web::Data::new(self.state.clone()))
            .service(web::scope("/v1").configure(super::configure));
        let request = request.to_request();
        let (method, path) = (request.method().to_string(), request.uri().to_string());
        let response = test::call_service(&test::init_service(app).await, request).await;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let bytes = test::read_body(response).await;
        let is_lines = headers.get("content-type").is_some_and(|kind| kind == "application/x-ndjson");
        let is_one = !bytes.is_empty() && !is_lines;
        let body = if is_one { serde_json::from_slice(&bytes).unwrap() } else { Value::Null };
        let answer = Answer { status, headers, body };
        described::check(&method, &path, &answer);
        answer
    }

    async fn ask(&self, key: &str, method: &str, path: &str, body: Option<Value>) -> Answer {
        self.ask_with(key, method, path, body, &[]).await
    }

    async fn ask_with(
        &self,
        key: &str,
        method: &str,
        path: &str,
        body: Option<Value>,
        headers: &[(&str, &str)],
    ) -> Answer {
        let mut request = test::TestRequest::with_uri(&format!("/v1{path}"))
            .method(Method::from_bytes(method.to_uppercase().as_bytes()).unwrap());
        if let Some((token, csrf)) = key.strip_prefix("session ").and_then(|it| it.split_once(' ')) {
            request = request
                .insert_header(("Cookie", format!("{}={token}", cookies::SESSION)))
                .insert_header(("Host", "desk.test"))
                .insert_header(("Origin", "https://desk.test"))
                .insert_header((cookies::CSRF_HEADER, csrf));
        } else if !key.is_empty() {
            request = request.insert_header(("Authorization", format!("Bearer {key}")));
        }
        for header in headers {
            request = request.append_header(*header);
        }
        if let Some(body) = body {
            request = request.set_json(body);
        }
        self.send(request).await
    }

    async fn close(self) {
        self.app.stop().await.unwrap();
    }
}

impl Answer {
    fn is_problem(&self, status: u16, code: &str) -> bool {
        let kind = self.headers.get("content-type").and_then(|kind| kind.to_str().ok());
        self.status == status && self.body["code"] == code && kind == Some("application/problem+json")
    }
}

/// A path of the table with something in the place of every parameter.
fn filled(path: &str, tenant: TenantId) -> String {
    let digits = "0".repeat(32);
    path.replace("{tenant}", &tenant.to_string())
        .replace("{meta_app}", &format!("app_{digits}"))
        .replace("{channel}", &format!("chn_{digits}"))
        .replace("{conversation}", &format!("cnv_{digits}"))
        .replace("{message}", &format!("msg_{digits}"))
        .replace("{place}", "0")
        .replace("{turn}", &format!("trn_{digits}"))
        .replace("{document}", &format!("doc_{digits}"))
        .replace("{golden}", &format!("gld_{digits}"))
        .replace("{version}", "1")
        .replace("{dead_letter}", &format!("ded_{digits}"))
        .replace("{key}", &format!("key_{digits}"))
        .replace("{webhook}", &format!("hok_{digits}"))
        .replace("{check}", &format!("chk_{digits}"))
        .replace("{account}", &format!("acc_{digits}"))
        .replace("{invitation}", &format!("inv_{digits}"))
        .replace("{grant}", &format!("brk_{digits}"))
        .replace("{session}", &format!("ses_{digits}"))
        .replace("{contact}", &format!("con_{digits}"))
        .replace("{backup}", &format!("bak_{digits}"))
        .replace("{delivery}", &format!("dlv_{digits}"))
        .replace("{case}", &format!("cas_{digits}"))
        .replace("{kind}", "contacts")
        .replace("{erasure}", &format!("era_{digits}"))
        .replace("{hold}", &format!("hld_{digits}"))
        .replace("{destroyed}", &format!("ten_{digits}"))
        .replace("{passkey}", &format!("pky_{digits}"))
        .replace("{incident}", &format!("inc_{digits}"))
        .replace("{order}", &format!("ord_{digits}"))
}

/// A body that the route takes, where it takes one.
fn body_for(method: &str, path: &str) -> Option<Value> {
    match (method, path.rsplit('/').next().unwrap()) {
        ("post", "rights") => {
            let contact = format!("con_{}", "0".repeat(32));
            Some(json!({ "contact": contact, "right": "access", "how": "staff" }))
        }
        ("post", "steps") => Some(json!({ "step": "withdraw" })),
        ("post", "incidents") | ("put", "{incident}") => Some(json!({ "title": "t", "from": 0, "until": 1 })),
        ("post", "told") => Some(json!({ "party": "meta", "proof": "mail 7" })),
        ("post", "orders") => Some(json!({
            "authority": "a", "reference": "r", "document": "d", "may_tell": true, "scope": order_scope(),
        })),
        ("post", "answer") => Some(order_scope()),
        ("post", "takeover") => Some(json!({ "operator": "Ada" })),
        ("post", "messages") => Some(json!({ "operator": "Ada", "text": "Hello" })),
        ("post", "keys") if path == "/keys" => Some(json!({ "name": "k" })),
        ("post", "keys") => Some(json!({ "name": "k", "scopes": ["manage"] })),
        ("post", "channels") => Some(json!({
            "connection": { "via": "page" }, "external_id": "123", "name": "c", "access_token": "t",
            "meta_app": format!("app_{}", "0".repeat(32)),
        })),
        ("put", "{channel}") => Some(json!({ "name": "c" })),
        ("put", "assistant" | "draft") => Some(assistant()),
        ("post", "rollback") => Some(json!({ "version": 1 })),
        ("post", "assign") => Some(json!({ "operator": null })),
        ("post", "search") => Some(json!({ "words": "Ana" })),
        ("post", "notes") => Some(json!({ "operator": "Ada", "text": "Call her." })),
        ("put", "{golden}") | ("post", "golden") => {
            Some(json!({ "question": "Open?", "expect": { "contains": ["9"] } }))
        }
        ("post", "rehearsals") => Some(json!({ "question": "Open?" })),
        ("post", "rotate") => Some(json!({ "overlap_hours": 1 })),
        ("post", "tenants" | "agencies") => Some(json!({ "name": "New" })),
        ("put", "{account}") if path.contains("/members/") => Some(json!({ "role": "viewer" })),
        ("put", "{key}" | "{meta_app}" | "{tenant}" | "{agency}" | "{account}" | "me")
        | ("post", "run" | "restore" | "checks") => Some(json!({})),
        ("post", "webhooks") | ("put", "{webhook}") => {
            Some(json!({ "url": "https://shop.example/hook", "kinds": ["*"], "paused": true }))
        }
        ("post", "replay") if path.contains("/webhooks/") => Some(json!({ "dead": true })),
        ("post", "suspend") => Some(json!({ "reason": "An invoice is open." })),
        ("put", "agency-reading") => Some(json!({ "allowed": true })),
        ("post", "invitations") if path.starts_with("/tenants") => {
            Some(json!({ "email": "new@example.com", "name": "New", "role": "viewer" }))
        }
        ("post", "invitations") => Some(json!({ "email": "new@example.com", "name": "New" })),
        ("post", "break-glass") => Some(json!({ "reason": "Incident 42.", "minutes": 5 })),
        ("post", "erasure") => Some(json!({ "ground": "They asked for it." })),
        ("post", "holds") => Some(json!({
            "norm": "a norm", "proven_by": "a file", "review_at": 1_798_761_600_000_u64,
        })),
        ("put", "retention") => Some(json!({ "days": { "message": 60 } })),
        ("post", "meta-apps") => Some(json!({ "name": "a", "secrets": ["s"], "verify_token": "t" })),
        ("post", "step-up") => Some(json!({ "password": "not it" })),
        ("put", "password") => Some(json!({ "new": "correct horse battery staple" })),
        ("post", "passkeys") => Some(json!({ "question": "x", "answer": {}, "name": "Laptop" })),
        ("post", "sign-in") if path == "/auth/sign-in" => {
            Some(json!({ "email": "nobody@example.com", "password": "not it" }))
        }
        ("post", "sign-in") => Some(json!({ "question": "x", "answer": {} })),
        ("post", "second-factor") => {
            Some(json!({ "ticket": "x", "proof": { "by": "totp", "code": "000000" } }))
        }
        ("post", "passkey") if path == "/auth/second-factor/passkey" => Some(json!({ "ticket": "x" })),
        ("post", "supabase") => Some(json!({ "access_token": "x" })),
        ("post", "forgotten" | "email") => Some(json!({ "email": "nobody@example.com" })),
        ("post", "confirm") if path == "/auth/email/confirm" => Some(json!({ "token": "x" })),
        ("post", "confirm") => Some(json!({ "code": "000000" })),
        ("post", "reset") => Some(json!({ "token": "x", "password": "correct horse battery staple" })),
        ("post", "accept" | "link") => Some(json!({ "token": "x" })),
        _ => None,
    }
}

fn order_scope() -> Value {
    json!({ "contacts": [], "classes": ["message"], "from": 0, "until": 1 })
}

fn assistant() -> Value {
    json!({
        "enabled": true, "task": "Answer questions about orders.", "instructions": "", "model": null,
        "temperature": 0.2, "base_url": null, "quiet_ms": 0, "cap_ms": 0, "output_tokens_max": 800,
        "prompt_tokens_max": 8000, "fallback_text": "",
    })
}

#[actix_web::test]
async fn nothing_answers_without_a_credential() {
    let desk = Desk::open().await;
    let key = desk.key(Some(desk.tenants[0]), &[Scope::Read]).await;
    let last = if key.ends_with('A') { 'B' } else { 'A' };
    let wrong = format!("{}{last}", &key[..key.len() - 1]);
    let served = ROUTES.iter().flat_map(|(path, methods)| methods.iter().map(move |method| (*method, *path)));
    // Where people sign in nobody has a credential yet; what is there is looked at with the matrix.
    let served = served.filter(|(_, path)| !path.starts_with(super::AUTH));
    for (method, path) in
        served.chain([("get", "/nothing"), ("patch", "/tenants"), ("get", "/tenants/{tenant}/x")])
    {
        for key in ["", "iak_", &wrong] {
            let answer = desk.ask(key, method, &filled(path, desk.tenants[0]), None).await;
            assert!(answer.is_problem(401, "unauthorized"), "{method} {path}: {}", answer.status);
            assert_eq!(answer.headers.get("www-authenticate").unwrap(), "Bearer");
        }
    }
    desk.close().await;
}

#[actix_web::test]
async fn another_tenants_answer_is_that_of_a_tenant_that_is_not_there() {
    let desk = Desk::open().await;
    let key = desk.key(Some(desk.tenants[0]), &[Scope::Read, Scope::Operate, Scope::Manage]).await;
    let nobody = TenantId::from_bytes([0xEE; 16]);
    let under_tenant = ROUTES.iter().filter(|(path, _)| path.contains("{tenant}"));
    for (path, method) in
        under_tenant.flat_map(|(path, methods)| methods.iter().map(move |method| (*path, *method)))
    {
        let body = body_for(method, path);
        let theirs = desk.ask(&key, method, &filled(path, desk.tenants[1]), body.clone()).await;
        let absent = desk.ask(&key, method, &filled(path, nobody), body).await;
        assert!(theirs.is_problem(404, "not_found"), "{method} {path}: {} {}", theirs.status, theirs.body);
        assert_eq!((theirs.status, theirs.body), (absent.status, absent.body), "{method} {path}");
    }
    assert!(desk.ask(&key, "get", "/tenants", None).await.is_problem(403, "forbidden"));
    let admin = desk.admin(desk.tenants[0]).await;
    let listed = desk.ask(&admin, "get", "/tenants", None).await;
    assert_eq!(listed.body["items"].as_array().unwrap().len(), 1);
    assert_eq!(listed.body["items"][0]["id"], desk.tenants[0].to_string());
    desk.close().await;
}

#[actix_web::test]
async fn who_runs_the_platform_sets_up_and_does_not_read_along() {
    let desk = Desk::open().await;
    let (platform, key) = (desk.owner().await, desk.key(None, &[Scope::Platform]).await);
    let tenant = desk.tenants[0];
    for path in ["conversations", "events"] {
        let path = format!("/tenants/{tenant}/{path}");
        assert!(desk.ask(&key, "get", &path, None).await.is_problem(403, "forbidden"), "{path}");
        let asked = desk.ask(&platform, "get", &path, None).await;
        assert!(asked.is_problem(403, "break_glass_needed"), "{path}");
    }
    let ticket = desk.ask(&platform, "post", &format!("/tenants/{tenant}/live-tickets"), None).await;
    assert!(ticket.is_problem(403, "break_glass_needed"));
    let created = desk.ask(&platform, "post", "/tenants", Some(json!({ "name": " Bakery " }))).await;
    assert_eq!((created.status, &created.body["name"]), (201, &json!("Bakery")));
    let location = created.headers.get("location").unwrap().to_str().unwrap().to_owned();
    let shown = desk.ask(&platform, "get", location.strip_prefix("/v1").unwrap(), None).await;
    assert_eq!((shown.status, &shown.body), (200, &created.body));
    let reader = desk.key(None, &[Scope::Platform, Scope::Read]).await;
    assert_eq!(desk.ask(&reader, "get", &format!("/tenants/{tenant}/events"), None).await.status, 403);
    let nobodys =
        desk.ask(&platform, "get", &format!("/tenants/ten_{}/channels", "e".repeat(32)), None).await;
    assert!(nobodys.is_problem(404, "not_found"));
    desk.close().await;
}

#[actix_web::test]
async fn secrets_go_in_and_never_come_out() {
    let desk = Desk::open().await;
    let tenant = desk.tenants[0];
    let (platform, admin) = (desk.owner().await, desk.admin(tenant).await);
    let empty = json!({ "name": "App", "secrets": [""], "verify_token": "v" });
    assert!(desk.ask(&platform, "post", "/meta-apps", Some(empty)).await.is_problem(422, "invalid"));
    let none = json!({ "name": "App", "secrets": [], "verify_token": "v" });
    assert!(desk.ask(&platform, "post", "/meta-apps", Some(none)).await.is_problem(422, "invalid"));
    let new = json!({ "name": "App", "secrets": ["hush-1"], "verify_token": "hush-2" });
    let app = desk.ask(&platform, "post", "/meta-apps", Some(new)).await;
    let id = app.body["id"].as_str().unwrap().to_owned();
    assert_eq!(app.body["webhook_path"], format!("/webhooks/meta/{id}"));
    let rotated = json!({ "secrets": ["hush-3", "hush-1"] });
    let rotated = desk.ask(&platform, "put", &format!("/meta-apps/{id}"), Some(rotated)).await;
    assert_eq!(rotated.body["secrets"], 2);
    let new = json!({
        "connection": { "via": "cloud_api", "account_id": "1" }, "external_id": "123", "name": "Desk",
        "access_token": "hush-4", "meta_app": id,
    });
    let path = format!("/tenants/{tenant}/channels");
    let channel = desk.ask(&admin, "post", &path, Some(new.clone())).await;
    assert_eq!((channel.status, &channel.body["channel"]["has_access_token"]), (201, &json!(true)));
    assert!(desk.ask(&admin, "post", &path, Some(new)).await.is_problem(409, "conflict"));
    let mut settings = assistant();
    settings["api_key"] = json!("hush-5");
    settings["tools"] = json!([{
        "name": "find_order", "description": "Finds an order.", "url": "https://shop.example/orders",
        "parameters": { "type": "object" }, "secret": { "header": "X-Key", "value": "hush-6" },
    }]);
    let settings_path = format!("/tenants/{tenant}/assistant");
    let draft_path = format!("{settings_path}/draft");
    let set = desk.ask(&admin, "put", &settings_path, Some(settings.clone())).await;
    assert_eq!(
        (&set.body["has_api_key"], &set.body["tools"][0]["secret_header"]),
        (&json!(true), &json!("X-Key"))
    );
    let draft = desk.ask(&admin, "put", &draft_path, Some(settings)).await;
    let mut seen = vec![app.body, rotated.body, channel.body, set.body, draft.body];
    let versions = format!("{settings_path}/versions");
    for path in ["/meta-apps".to_owned(), path, settings_path, draft_path, format!("{versions}/1"), versions]
    {
        let listed = desk.ask(&admin, "get", &path, None).await;
        assert_eq!(listed.status, 200);
        seen.push(listed.body);
    }
    assert!(seen.iter().all(|body| !body.to_string().contains("hush")));
    let stored = desk.app.store.meta_apps().await.unwrap();
    assert_eq!(stored[0].secrets.iter().map(StoredSecret::expose).collect::<Vec<_>>(), ["hush-3", "hush-1"]);
    desk.close().await;
}

#[actix_web::test]
async fn settings_are_changed_by_who_has_seen_them() {
    let desk = Desk::open().await;
    let tenant = desk.tenants[0];
    let key = desk.key(Some(tenant), &[Scope::Manage, Scope::Read]).await;
    let path = format!("/tenants/{tenant}/assistant");
    let read = desk.ask(&key, "get", &path, None).await;
    assert_eq!(
        (read.headers.get("etag").unwrap(), &read.body["version"]),
        (&"\"0\"".parse().unwrap(), &json!(0))
    );
    let first = desk.ask_with(&key, "put", &path, Some(assistant()), &[("If-Match", "\"0\"")]).await;
    assert_eq!((first.status, first.headers.get("etag").unwrap().to_str().unwrap()), (200, "\"1\""));
    let stale = desk.ask_with(&key, "put", &path, Some(assistant()), &[("If-Match", "\"0\"")]).await;
    assert!(stale.is_problem(412, "changed"));
    let free = desk.ask(&key, "put", &path, Some(assistant())).await;
    assert_eq!(free.body["version"], 2);
    let events = desk.ask(&key, "get", &format!("/tenants/{tenant}/events?after=0&limit=1"), None).await;
    assert_eq!(events.body["items"][0]["type"], "settings.changed");
    assert_eq!((&events.body["next"], &events.body["latest"]), (&json!(1), &json!(2)));
    let rest = desk.ask(&key, "get", &format!("/tenants/{tenant}/events?after=1"), None).await;
    assert_eq!((rest.body["items"].as_array().unwrap().len(), &rest.body["next"]), (1, &Value::Null));
    desk.close().await;
}

#[actix_web::test]
async fn a_key_is_shown_once_and_works_until_it_is_revoked() {
    let desk = Desk::open().await;
    let tenant = desk.tenants[0];
    let manager = desk.admin(tenant).await;
    let path = format!("/tenants/{tenant}/keys");
    let more = json!({ "name": "k", "scopes": ["platform"] });
    assert!(desk.ask(&manager, "post", &path, Some(more)).await.is_problem(403, "forbidden"));
    let key = desk.key(Some(tenant), &[Scope::Manage, Scope::Read]).await;
    let by_key = json!({ "name": "k", "scopes": ["read"] });
    assert!(desk.ask(&key, "post", &path, Some(by_key)).await.is_problem(403, "forbidden"));
    let none = json!({ "name": "k", "scopes": [] });
    assert!(desk.ask(&manager, "post", &path, Some(none)).await.is_problem(422, "invalid"));
    let new = json!({ "name": "k", "scopes": ["read"] });
    let once = [("Idempotency-Key", "one")];
    let created = desk.ask_with(&manager, "post", &path, Some(new.clone()), &once).await;
    assert_eq!(created.status, 201);
    assert!(desk.ask_with(&manager, "post", &path, Some(new), &once).await.is_problem(409, "conflict"));
    let secret = created.body["secret"].as_str().unwrap();
    let id = created.body["key"]["id"].as_str().unwrap();
    let listed = desk.ask(&manager, "get", &path, None).await;
    assert_eq!(listed.body["items"].as_array().unwrap().len(), 2);
    assert!(!listed.body.to_string().contains("iak_"));
    let read = format!("/tenants/{tenant}/events");
    assert_eq!(desk.ask(secret, "get", &read, None).await.status, 200);
    let other = desk.admin(desk.tenants[1]).await;
    let theirs = format!("/tenants/{}/keys/{id}", desk.tenants[1]);
    assert!(desk.ask(&other, "delete", &theirs, None).await.is_problem(404, "not_found"));
    assert_eq!(desk.ask(&manager, "delete", &format!("{path}/{id}"), None).await.status, 204);
    assert_eq!(desk.ask(&manager, "delete", &format!("{path}/{id}"), None).await.status, 204);
    assert!(desk.ask(secret, "get", &read, None).await.is_problem(401, "unauthorized"));
    desk.close().await;
}

#[actix_web::test]
async fn a_request_that_creates_can_be_repeated() {
    let desk = Desk::open().await;
    let platform = desk.owner().await;
    let create = async |name: &str, key: &str| {
        let body = json!({ "name": name });
        desk.ask_with(&platform, "post", "/tenants", Some(body), &[("Idempotency-Key", key)]).await
    };
    let first = create("A", "k1").await;
    let again = create("A", "k1").await;
    assert_eq!((first.status, &first.body), (201, &again.body));
    assert!(first.headers.get("idempotency-replayed").is_none());
    assert_eq!(again.headers.get("idempotency-replayed").unwrap(), "true");
    assert_eq!(again.headers.get("location"), first.headers.get("location"));
    assert!(create("B", "k1").await.is_problem(422, "idempotency_mismatch"));
    assert_eq!(create("A", "k2").await.status, 201);
    assert!(create("A", &"x".repeat(256)).await.is_problem(400, "bad_request"));
    assert!(create("A", "a b").await.is_problem(400, "bad_request"));
    assert_eq!(desk.app.store.tenants().await.unwrap().len(), 4);
    desk.close().await;
}

#[actix_web::test]
async fn every_refusal_is_a_problem_document() {
    let desk = Desk::open().await;
    let platform = desk.owner().await;
    let ask =
        async |method: &str, path: &str, body: Option<Value>| desk.ask(&platform, method, path, body).await;
    let tenant = desk.tenants[0];
    assert!(ask("get", "/nothing", None).await.is_problem(404, "not_found"));
    assert!(ask("get", "/tenants/ten_x", None).await.is_problem(404, "not_found"));
    let wrong = ask("delete", "/tenants", None).await;
    assert!(wrong.is_problem(405, "method_not_allowed"));
    assert_eq!(wrong.headers.get("allow").unwrap(), "GET, POST");
    assert!(ask("get", "/tenants?limit=0", None).await.is_problem(422, "invalid"));
    assert!(ask("get", "/tenants?limit=x", None).await.is_problem(400, "bad_request"));
    assert!(ask("get", "/tenants?offset=1", None).await.is_problem(400, "bad_request"));
    assert!(ask("get", "/tenants?cursor=x", None).await.is_problem(422, "invalid"));
    assert!(ask("post", "/tenants", None).await.is_problem(415, "not_json"));
    assert!(ask("post", "/tenants", Some(json!({ "nam": "x" }))).await.is_problem(422, "invalid"));
    assert!(
        ask("post", "/tenants", Some(json!({ "name": "x".repeat(2_000) })))
            .await
            .is_problem(413, "too_large")
    );
    let key = desk.key(Some(tenant), &[Scope::Manage]).await;
    let raw = test::TestRequest::put()
        .uri(&format!("/v1/tenants/{tenant}/assistant"))
        .insert_header(("Authorization", format!("Bearer {key}")))
        .insert_header(("Content-Type", "application/json"))
        .set_payload("{");
    assert!(desk.send(raw).await.is_problem(400, "bad_request"));
    let platform = desk.admin(tenant).await;
    let ask =
        async |method: &str, path: &str, body: Option<Value>| desk.ask(&platform, method, path, body).await;
    let absent = filled("/tenants/{tenant}/conversations/{conversation}/messages", tenant);
    assert!(ask("get", &absent, None).await.is_problem(404, "not_found"));
    desk.close().await;
}

#[actix_web::test]
async fn lists_come_in_pages() {
    let desk = Desk::open().await;
    let platform = desk.owner().await;
    let first = desk.ask(&platform, "get", "/tenants?limit=1", None).await;
    let next = first.body["next"].as_str().unwrap();
    let second = desk.ask(&platform, "get", &format!("/tenants?limit=1&cursor={next}"), None).await;
    let ids = [&first, &second].map(|page| page.body["items"][0]["id"].as_str().unwrap().to_owned());
    let mut all = desk.tenants.map(|tenant| tenant.to_string());
    all.sort();
    assert_eq!((ids, &second.body["next"]), (all, &Value::Null));
    desk.close().await;
}

#[actix_web::test]
async fn a_ticket_opens_its_own_tenant() {
    let desk = Desk::open().await;
    let tenant = desk.tenants[0];
    let key = desk.key(Some(tenant), &[Scope::Read]).await;
    let issued = desk.ask(&key, "post", &format!("/tenants/{tenant}/live-tickets"), None).await;
    assert_eq!(issued.status, 201);
    let now = desk.state.clock().now();
    assert_eq!(issued.body["expires_at"], now.plus_millis(30_000).as_millis());
    let ctx = desk.state.tickets.redeem(issued.body["ticket"].as_str().unwrap(), now);
    assert_eq!(ctx.map(|(ctx, _)| ctx.tenant()), Some(tenant));
    desk.close().await;
}
