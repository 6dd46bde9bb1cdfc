//! What is another's, against what is not there: how long each takes to be refused.
//!
//! The routes of the server in this process, over the store on disk, asked by programs and people of one
//! tenant for another tenant, and in their own tenant for things of another. Each pair is asked in turn, in an
//! order drawn by chance; what counts are the ratios of the medians and of the 99th percentiles. Every pair of
//! answers must be the same to the letter, otherwise there is no result.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    dead_code,
    reason = "a bench that fails has no result, and it borrows more than it needs"
)]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a bench prints what it found")]
#![allow(
    clippy::cast_precision_loss,
    reason = "nanoseconds of requests are far below what a float holds exactly"
)]

#[path = "../../tests/canary/askers.rs"]
mod askers;
#[path = "../../tests/simulation/chance.rs"]
mod chance;
#[path = "../../tests/canary/ears.rs"]
mod ears;
#[path = "../../tests/canary/marks.rs"]
mod marks;
#[path = "../../tests/canary/world.rs"]
mod world;

use std::rc::Rc;
use std::time::Instant;

use actix_web::body::MessageBody;
use actix_web::dev::{Service, ServiceResponse};
use actix_web::http::Method;
use actix_web::test::{self, TestRequest};
use iassistance::http::server;
use iassistance_channels::signature::sign;
use iassistance_domain::id::ConversationId;
use iassistance_domain::tenant::TenantCtx;
use serde_json::{Value, json};

use crate::askers::Known;
use crate::chance::Chance;
use crate::marks::Mark;
use crate::world::{Answer, SECRET, World, dialled, send};

/// Asked of each kind before anything is measured: what is put on the record of refusals is by then.
const WARM_UP: usize = 200;

/// What is asked for twice: another's, and none that there is.
struct Case {
    name: &'static str,
    asker: usize,
    method: &'static str,
    foreign: String,
    absent: String,
    body: Option<Value>,
}

fn main() {
    let samples = samples();
    actix::System::new().block_on(async move {
        tokio::task::LocalSet::new().run_until(Box::pin(measure(samples))).await;
    });
}

fn samples() -> usize {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    match (arguments.next().as_deref(), arguments.next()) {
        (None, _) => 4_000,
        (Some("--samples"), Some(number)) => number.parse().expect("--samples takes a number"),
        (Some(other), _) => panic!("unknown option {other} (known: --samples N)"),
    }
}

async fn measure(samples: usize) {
    let mut number = 0;
    let mut world = World::open(1, true, |owner, sort| {
        number += 1;
        Mark { owner, sort, number }
    })
    .await;
    let service = Rc::new(test::init_service(server::routes(&world.state)).await);
    let cases = cases(&mut world, &service).await;
    let chance = Chance::of(1, "order");
    let mut results = Vec::new();
    for case in &cases {
        let (mut foreign, mut absent) = (Vec::new(), Vec::new());
        for round in 0..WARM_UP + samples {
            let first = chance.happens(500);
            for is_foreign in [first, !first] {
                let path = if is_foreign { &case.foreign } else { &case.absent };
                let request = request(&world, case, path);
                let started = Instant::now();
                let answer = send(&service, request).await;
                let took = started.elapsed().as_nanos() as f64;
                assert_eq!(answer.status, 404, "{}: {path}", case.name);
                if round == 0 {
                    let other = if is_foreign { &case.absent } else { &case.foreign };
                    let other = send(&service, self::request(&world, case, other)).await;
                    assert!(other.whole == answer.whole, "{}: the answers differ", case.name);
                }
                if round >= WARM_UP {
                    if is_foreign { foreign.push(took) } else { absent.push(took) }
                }
            }
        }
        results.push(compared(case.name, foreign, absent));
    }
    world.close().await;
    println!("{}", json!({ "bench": "absence", "samples": samples, "cases": results }));
}

fn compared(name: &str, mut foreign: Vec<f64>, mut absent: Vec<f64>) -> Value {
    foreign.sort_by(f64::total_cmp);
    absent.sort_by(f64::total_cmp);
    let at = |sorted: &[f64], per_mille: usize| sorted[(sorted.len() - 1) * per_mille / 1_000];
    let ratio = |per_mille| (at(&foreign, per_mille) / at(&absent, per_mille) * 1_000.0).round() / 1_000.0;
    let micros = |nanos: f64| (nanos / 100.0).round() / 10.0;
    let result = json!({
        "case": name, "foreign_p50_us": micros(at(&foreign, 500)), "absent_p50_us": micros(at(&absent, 500)),
        "ratio_p50": ratio(500), "ratio_p99": ratio(990),
    });
    eprintln!("{result}");
    result
}

fn request(world: &World, case: &Case, path: &str) -> TestRequest {
    let mut request = TestRequest::with_uri(path)
        .method(Method::from_bytes(case.method.as_bytes()).unwrap())
        .insert_header(("Host", "desk.test"));
    for header in world.headers(case.asker) {
        request = request.insert_header(header);
    }
    match &case.body {
        Some(body) => request.set_json(body),
        None => request,
    }
}

async fn cases<S, B>(world: &mut World, service: &Rc<S>) -> Vec<Case>
where
    S: Service<actix_http::Request, Response = ServiceResponse<B>, Error = actix_web::Error>,
    B: MessageBody,
{
    let tenants: Vec<String> = world.places.tenants.iter().map(ToString::to_string).collect();
    let find = |name: &str| world.askers.iter().position(|asker| asker.name == name).unwrap();
    let (key, operator) = (find("key `read` of tenant 0"), find("Operator of tenant 0"));
    let (admin, agency) = (find("TenantAdmin of tenant 0"), find("agency 0"));
    let other_admin = find("TenantAdmin of tenant 12");
    for asker in [operator, admin, agency, other_admin] {
        world.admit(asker).await;
    }
    let nobody = format!("ten_{}", "e".repeat(32));
    let none = |sort: &str| format!("{sort}_{}", "e".repeat(32));
    let own = |rest: &str| format!("/v1/tenants/{}/{rest}", tenants[0]);
    let of = |tenant: &str| format!("/v1/tenants/{tenant}/conversations");
    let their_conversation = conversation(world, service, 12).await;
    let Known::Account(their_account) = world.askers[other_admin].known else { unreachable!() };
    let create = async |path: &str, body: Value| -> Value {
        let case = Case {
            name: "set-up",
            asker: other_admin,
            method: "POST",
            foreign: String::new(),
            absent: String::new(),
            body: Some(body),
        };
        let path = format!("/v1/tenants/{}/{path}", tenants[12]);
        let answer: Answer = send(service, request(world, &case, &path)).await;
        assert_eq!(answer.status, 201, "{}", String::from_utf8_lossy(&answer.body));
        serde_json::from_slice(&answer.body).unwrap()
    };
    let their_key = create("keys", json!({ "name": "k", "scopes": ["read"] })).await;
    let invite = json!({ "email": "a@example.com", "name": "A", "role": "viewer" });
    let their_invitation = create("invitations", invite).await;
    let case =
        |name, asker, method, foreign, absent| Case { name, asker, method, foreign, absent, body: None };
    vec![
        case("a key, another tenant", key, "GET", of(&tenants[12]), of(&nobody)),
        case("an operator, another tenant", operator, "GET", of(&tenants[12]), of(&nobody)),
        case("an agency, another's tenant", agency, "GET", of(&tenants[12]), of(&nobody)),
        case(
            "another's conversation",
            operator,
            "GET",
            own(&format!("conversations/{their_conversation}")),
            own(&format!("conversations/{}", none("cnv"))),
        ),
        case(
            "another's key",
            admin,
            "DELETE",
            own(&format!("keys/{}", their_key["key"]["id"].as_str().unwrap())),
            own(&format!("keys/{}", none("key"))),
        ),
        case(
            "another's invitation",
            admin,
            "DELETE",
            own(&format!("invitations/{}", their_invitation["id"].as_str().unwrap())),
            own(&format!("invitations/{}", none("inv"))),
        ),
        Case {
            body: Some(json!({ "role": "viewer" })),
            ..case(
                "another's member",
                admin,
                "PUT",
                own(&format!("members/{their_account}")),
                own(&format!("members/{}", none("acc"))),
            )
        },
    ]
}

/// A conversation of a tenant, to whom somebody writes.
async fn conversation<S, B>(world: &World, service: &Rc<S>, tenant: u8) -> ConversationId
where
    S: Service<actix_http::Request, Response = ServiceResponse<B>, Error = actix_web::Error>,
    B: MessageBody,
{
    let value = json!({
        "messaging_product": "whatsapp",
        "metadata": { "display_phone_number": "15550100001", "phone_number_id": dialled(tenant) },
        "contacts": [{ "profile": { "name": "Ana" }, "wa_id": "15550199001" }],
        "messages": [{
            "from": "15550199001", "id": "wamid.1", "timestamp": "1790000000", "type": "text",
            "text": { "body": "hello" },
        }],
    });
    let body = json!({
        "object": "whatsapp_business_account",
        "entry": [{ "id": "1", "changes": [{ "field": "messages", "value": value }] }],
    });
    let body = body.to_string().into_bytes();
    let request = TestRequest::post()
        .uri(&format!("/webhooks/meta/{}", world.meta_app))
        .insert_header(("Content-Type", "application/json"))
        .insert_header(("x-hub-signature-256", sign(SECRET.as_bytes(), &body)))
        .set_payload(body);
    assert_eq!(send(service, request).await.status, 200);
    let ctx = TenantCtx::platform(world.places.tenants[usize::from(tenant)]);
    let store = world.app.store.tenant(ctx).await.unwrap();
    store.conversations(None, 1).await.unwrap()[0].id
}
