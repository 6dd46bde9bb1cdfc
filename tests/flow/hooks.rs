//! Outgoing webhooks, to a real receiver on this machine.

use std::collections::BTreeSet;

use iassistance_domain::channel::StoredSecret;
use iassistance_domain::id::SubscriptionId;
use iassistance_domain::pii::TenantView;
use iassistance_domain::subscription::{Delivery, DeliveryState, Subscription, SubscriptionState};
use iassistance_domain::tenant::TenantCtx;
use iassistance_domain::{Clock, Pii};
use iassistance_hooks::{new_secret, sign};
use iassistance_simulator::{StandIn, ToolAnswer, ToolCallSeen};
use iassistance_vault::SystemEntropy;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::harness::{Flow, NUMBERS, Options, START, messages, within};
use crate::products::flying;

const HERE: &str = "hooks.private_hosts=[\"127.0.0.1\"]";
const ANA: &str = "15550199001";
const BEN: &str = "15550199002";
const HOUR_MS: u64 = 60 * 60 * 1_000;

/// A webhook of the first tenant to the simulator's receiver `shop`.
struct Hook {
    id: SubscriptionId,
    secret: StoredSecret,
    path: String,
}

async fn flow_with(settings: &[&'static str], answers: impl IntoIterator<Item = ToolAnswer>) -> Flow {
    let mut all = vec![HERE];
    all.extend(settings);
    let flow = Flow::with(Options { model: Some(Vec::new()), ..flying(&all) }).await;
    flow.configure(|settings| settings.enabled = false).await;
    flow.simulator.set_tool("shop", StandIn::with(answers)).unwrap();
    flow
}

async fn subscribe(flow: &Flow, kinds: Value) -> Hook {
    let path = format!("/tenants/{}/webhooks", flow.tenants[0]);
    let form = json!({ "url": flow.simulator.tool_url("shop"), "kinds": kinds, "description": "shop" });
    let (status, created) = flow.api("POST", &path, Some(form)).await;
    assert_eq!(status, StatusCode::CREATED, "{created}");
    let id = created["webhook"]["id"].as_str().unwrap().to_owned();
    let secret = StoredSecret::new(created["secret"].as_str().unwrap());
    assert!(secret.expose().starts_with("whsec_"));
    Hook { path: format!("{path}/{id}"), id: id.parse().unwrap(), secret }
}

async fn says(flow: &Flow, from: &str, wamid: &str, text: &str) {
    let at = START.as_millis() / 1_000;
    let body = messages(NUMBERS[0], from, &[(wamid, at, text)]);
    assert_eq!(flow.post(body).await.status(), StatusCode::OK);
}

fn calls(flow: &Flow) -> Vec<ToolCallSeen> {
    flow.simulator.tool_calls("shop")
}

/// Waits until the receiver has had so many calls.
async fn called(flow: &Flow, count: usize) -> Vec<ToolCallSeen> {
    within("calls of the receiver", async {
        while calls(flow).len() < count {
            tokio::task::yield_now().await;
        }
    })
    .await;
    calls(flow)
}

async fn deliveries(flow: &Flow, hook: &Hook) -> Vec<Delivery> {
    let store = flow.store(0).await;
    let mut all = store.hooks().deliveries(hook.id, None, None, 100).await.unwrap();
    all.reverse();
    all
}

/// Waits until the deliveries are so, oldest first.
async fn until(flow: &Flow, hook: &Hook, what: &str, holds: impl Fn(&[Delivery]) -> bool) -> Vec<Delivery> {
    within(what, async {
        loop {
            let all = deliveries(flow, hook).await;
            if holds(&all) {
                return all;
            }
            tokio::task::yield_now().await;
        }
    })
    .await
}

async fn all_arrive(flow: &Flow, hook: &Hook, count: usize) -> Vec<Delivery> {
    let arrived = |all: &[Delivery]| {
        all.len() == count && all.iter().all(|delivery| delivery.state == DeliveryState::Delivered)
    };
    until(flow, hook, "all to arrive", arrived).await
}

async fn state_is(flow: &Flow, hook: &Hook, is: &str) {
    within("the webhook's state", async {
        while flow.api("GET", &hook.path, None).await.1["state"]["is"] != is {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

fn said(call: &ToolCallSeen) -> String {
    let body: Value = serde_json::from_str(&call.body).unwrap();
    body["data"]["message"]["content"]["body"].as_str().unwrap_or_default().to_owned()
}

fn id_of(call: &ToolCallSeen) -> &str {
    &call.headers["webhook-id"]
}

/// The signatures of a call are those of these secrets.
fn is_signed(call: &ToolCallSeen, secrets: &[StoredSecret]) {
    let at: i64 = call.headers["webhook-timestamp"].parse().unwrap();
    assert_eq!(at, call.at.as_millis() / 1_000, "the moment of this try");
    let expected = sign(secrets, id_of(call), at, call.body.as_bytes()).unwrap();
    assert_eq!(call.headers["webhook-signature"], expected);
}

#[actix::test]
async fn events_come_signed_in_order_and_only_those_that_are_wanted() {
    let flow = flow_with(&[], [ToolAnswer::default()]).await;
    let hook = subscribe(&flow, json!(["message.received"])).await;
    for (wamid, text) in [("wamid.1", "one"), ("wamid.2", "two"), ("wamid.3", "three")] {
        says(&flow, ANA, wamid, text).await;
    }
    let seen = called(&flow, 3).await;
    assert_eq!(seen.iter().map(said).collect::<Vec<_>>(), ["one", "two", "three"]);
    assert_eq!(seen.iter().map(id_of).collect::<BTreeSet<_>>().len(), 3);
    for call in &seen {
        is_signed(call, std::slice::from_ref(&hook.secret));
        let body: Value = serde_json::from_str(&call.body).unwrap();
        assert_eq!(body["type"], "message.received");
        assert_eq!(body["tenant"], flow.tenants[0].to_string());
        assert!(body["timestamp"].as_str().unwrap().ends_with('Z'), "{body}");
    }
    let arrived = all_arrive(&flow, &hook, 3).await;
    let ids: Vec<_> = arrived.iter().map(Delivery::webhook_id).collect();
    assert_eq!(ids, seen.iter().map(|call| id_of(call).to_owned()).collect::<Vec<_>>());
    // The secret was shown once, and lies nowhere in the open.
    let (_, list) = flow.api("GET", &format!("/tenants/{}/webhooks", flow.tenants[0]), None).await;
    assert_eq!(list["items"][0]["description"], "shop");
    assert!(!list.to_string().contains("whsec_") && !crate::harness::log().contains(hook.secret.expose()));
    let folder = flow.folder.as_ref().unwrap().path.clone();
    assert!(!crate::turning::holds(&folder, hook.secret.expose().as_bytes()));
    flow.finish().await;
}

#[actix::test]
async fn a_conversation_waits_behind_a_failing_event_and_others_go_on() {
    let flow = flow_with(&[], [ToolAnswer::status(500), ToolAnswer::default()]).await;
    let hook = subscribe(&flow, json!(["message.received"])).await;
    says(&flow, ANA, "wamid.1", "ana one").await;
    until(&flow, &hook, "the failure", |all| all.iter().any(|it| it.attempts == 1)).await;
    says(&flow, ANA, "wamid.2", "ana two").await;
    says(&flow, BEN, "wamid.3", "ben one").await;
    until(&flow, &hook, "ben's to arrive", |all| all.len() == 3 && all[2].state == DeliveryState::Delivered)
        .await;
    assert_eq!(calls(&flow).iter().map(said).collect::<Vec<_>>(), ["ana one", "ben one"]);
    flow.clock.advance_millis(5_000);
    all_arrive(&flow, &hook, 3).await;
    let seen = calls(&flow);
    assert_eq!(seen.iter().map(said).collect::<Vec<_>>(), ["ana one", "ben one", "ana one", "ana two"]);
    assert_eq!(id_of(&seen[0]), id_of(&seen[2]), "a receiver knows it again");
    is_signed(&seen[2], std::slice::from_ref(&hook.secret));
    let (_, shown) = flow.api("GET", &format!("{}/deliveries?limit=2", hook.path), None).await;
    assert_eq!(shown["items"].as_array().unwrap().len(), 2);
    assert!(shown["next"].is_string());
    flow.finish().await;
}

#[actix::test]
async fn what_is_never_taken_is_given_up_and_can_be_replayed() {
    let refusing = ToolAnswer { body: json!("the receiver's own words"), ..ToolAnswer::status(503) };
    let flow = flow_with(&["hooks.give_up_hours=1", "hooks.pause_hours=0"], [refusing]).await;
    let hook = subscribe(&flow, json!(["message.received"])).await;
    says(&flow, ANA, "wamid.1", "one").await;
    let mut tries = 0;
    loop {
        tries += 1;
        let all = until(&flow, &hook, "the next try", |all| all.iter().any(|it| it.attempts == tries)).await;
        if all[0].state == DeliveryState::Dead {
            assert_eq!(all[0].next_at, START.plus_millis(HOUR_MS), "the last try is at the end of the time");
            assert_eq!(all[0].last_problem.as_deref(), Some("the receiver answered with HTTP 503"));
            break;
        }
        flow.clock.advance_to(all[0].next_at);
    }
    assert!((8..20).contains(&tries), "{tries} tries in an hour");
    state_is(&flow, &hook, "failing").await;
    // What comes now goes its own way.
    says(&flow, ANA, "wamid.2", "two").await;
    called(&flow, tries as usize + 1).await;
    let (_, dead) = flow.api("GET", &format!("{}/deliveries?state=dead", hook.path), None).await;
    assert_eq!(dead["items"].as_array().unwrap().len(), 1, "{dead}");
    flow.simulator.set_tool("shop", StandIn::default()).unwrap();
    let replay = format!("{}/replay", hook.path);
    let (status, answer) = flow.api("POST", &replay, Some(json!({ "dead": true }))).await;
    assert_eq!((status, &answer["replayed"]), (StatusCode::OK, &json!(1)));
    until(&flow, &hook, "the replay", |all| all[0].state == DeliveryState::Delivered).await;
    let seen = calls(&flow);
    assert_eq!(id_of(seen.last().unwrap()), id_of(&seen[0]), "it has the id that it had");
    let last = deliveries(&flow, &hook).await.pop().unwrap();
    flow.clock.advance_to(last.next_at.max(flow.clock.now()));
    all_arrive(&flow, &hook, 2).await;
    state_is(&flow, &hook, "active").await;
    // One by one, also what arrived; and nothing that is not there.
    let again = json!({ "delivery": last.id });
    assert_eq!(flow.api("POST", &replay, Some(again)).await.1["replayed"], 1);
    until(&flow, &hook, "the second replay", |all| {
        all[1].state == DeliveryState::Delivered && all[1].attempts == 1
    })
    .await;
    let unknown = json!({ "delivery": "dlv_00000000000000990000000000000000" });
    assert_eq!(flow.api("POST", &replay, Some(unknown)).await.0, StatusCode::NOT_FOUND);
    assert_eq!(flow.api("POST", &replay, Some(json!({}))).await.0, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(!crate::harness::log().contains("the receiver's own words"));
    flow.finish().await;
}

#[actix::test]
async fn what_was_sent_and_not_written_down_is_sent_again_after_a_restart() {
    let hang = ToolAnswer { hang: true, ..ToolAnswer::default() };
    let mut flow = flow_with(&[], [hang]).await;
    let hook = subscribe(&flow, json!(["message.received"])).await;
    says(&flow, ANA, "wamid.1", "one").await;
    let first = called(&flow, 1).await;
    flow.quiet(0).await;
    let killed = flow.folder.as_ref().unwrap().copy();
    flow.end().await;
    drop(flow);
    let options = Options { model: Some(Vec::new()), folder: Some(killed), ..flying(&[HERE]) };
    let flow = Flow::with(options).await;
    let there = deliveries(&flow, &hook).await;
    assert_eq!((there.len(), there[0].webhook_id().as_str()), (1, id_of(&first[0])));
    flow.simulator.set_tool("shop", StandIn::default()).unwrap();
    // Its old address is gone with the receiver of before.
    let form = json!({ "url": flow.simulator.tool_url("shop"), "kinds": ["message.received"] });
    assert_eq!(flow.api("PUT", &hook.path, Some(form)).await.0, StatusCode::OK);
    flow.while_time_flies(all_arrive(&flow, &hook, 1)).await;
    let second = calls(&flow);
    assert_eq!((second.len(), id_of(&second[0])), (1, id_of(&first[0])), "the receiver tells a double by it");
    assert_eq!(said(&second[0]), "one");
    flow.finish().await;
}

#[actix::test]
async fn a_receiver_that_hangs_is_given_up_on_and_holds_no_other_tenant_up() {
    let settings = ["hooks.concurrency=2", "hooks.concurrency_per_tenant=1", "hooks.timeout_ms=1000"];
    let hang = ToolAnswer { hang: true, ..ToolAnswer::default() };
    let flow = flow_with(&settings, [hang]).await;
    let hook = subscribe(&flow, json!(["message.received"])).await;
    flow.simulator.set_tool("other", StandIn::default()).unwrap();
    let other = Subscription {
        id: SubscriptionId::new(START, &SystemEntropy),
        url: Pii::new(flow.simulator.tool_url("other")),
        kinds: vec!["*".to_owned()],
        secrets: vec![new_secret(&SystemEntropy)],
        state: SubscriptionState::Active,
        created_at: START,
        description: String::new(),
    };
    let ctx = TenantCtx::platform(flow.tenants[1]);
    flow.app.engine.subscribe(ctx, other).await.unwrap();
    for (wamid, from) in [("wamid.1", ANA), ("wamid.2", BEN)] {
        says(&flow, from, wamid, "hello").await;
    }
    called(&flow, 1).await;
    let body = messages(NUMBERS[1], ANA, &[("wamid.3", START.as_millis() / 1_000, "there")]);
    assert_eq!(flow.post(body).await.status(), StatusCode::OK);
    within("the other tenant's events", async {
        while !flow.simulator.tool_calls("other").iter().any(|call| call.body.contains("message.received")) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(calls(&flow).len(), 1, "one place is all that a tenant has");
    flow.clock.advance_millis(1_000);
    let tried = until(&flow, &hook, "the end of its time", |all| all[0].attempts == 1).await;
    assert_eq!(tried[0].last_problem.as_deref(), Some("the receiver did not answer within 1000 ms"));
    assert_eq!(called(&flow, 2).await.len(), 2, "then it is the other conversation's turn");
    flow.api("DELETE", &hook.path, None).await;
    flow.clock.advance_millis(1_000);
    flow.finish().await;
}

#[actix::test]
async fn a_receiver_that_takes_nothing_for_long_is_paused_and_told_of_and_can_be_resumed() {
    let flow = flow_with(&["hooks.pause_hours=2"], [ToolAnswer::status(500)]).await;
    let hook = subscribe(&flow, json!(["message.received"])).await;
    says(&flow, ANA, "wamid.1", "one").await;
    within("the pause", async {
        while flow.count(0, "webhook.paused").await == 0 {
            // It is only ahead of the clock when no try is under way.
            let next = deliveries(&flow, &hook).await.first().map_or(START, |delivery| delivery.next_at);
            flow.clock.advance_to(next.max(flow.clock.now()));
            tokio::task::yield_now().await;
        }
    })
    .await;
    let told = flow.event_named(0, "webhook.paused").await;
    assert_eq!(told["webhook"], hook.id.to_string());
    assert!(told["reason"].as_str().unwrap().contains("took nothing for too long"), "{told}");
    state_is(&flow, &hook, "paused").await;
    says(&flow, ANA, "wamid.2", "two").await;
    flow.quiet(0).await;
    let before = calls(&flow).len();
    flow.clock.advance_millis(24 * HOUR_MS);
    flow.settled().await;
    assert_eq!(calls(&flow).len(), before, "nothing is sent, and nothing is lost");
    flow.simulator.set_tool("shop", StandIn::default()).unwrap();
    let form = json!({ "url": flow.simulator.tool_url("shop"), "kinds": ["message.received"] });
    assert_eq!(flow.api("PUT", &hook.path, Some(form)).await.1["state"]["is"], "active");
    all_arrive(&flow, &hook, 2).await;
    // One that says that it is gone is not asked again.
    flow.simulator.set_tool("shop", StandIn::with([ToolAnswer::status(410)])).unwrap();
    says(&flow, ANA, "wamid.3", "three").await;
    state_is(&flow, &hook, "paused").await;
    assert_eq!(flow.count(0, "webhook.paused").await, 2);
    flow.finish().await;
}

#[actix::test]
async fn what_is_taken_up_is_bounded_and_nothing_of_the_rest_is_lost() {
    let answers = [ToolAnswer::status(500), ToolAnswer::default()];
    let flow = flow_with(&["hooks.waiting_max=2"], answers).await;
    let hook = subscribe(&flow, json!(["message.received"])).await;
    says(&flow, ANA, "wamid.0", "0").await;
    until(&flow, &hook, "the failure", |all| all.iter().any(|it| it.attempts == 1)).await;
    for number in 1..6 {
        says(&flow, ANA, &format!("wamid.{number}"), &number.to_string()).await;
    }
    flow.quiet(0).await;
    flow.settled().await;
    assert!(deliveries(&flow, &hook).await.len() <= 2, "the rest waits in the log");
    flow.clock.advance_millis(5_000);
    all_arrive(&flow, &hook, 6).await;
    let said: Vec<_> = calls(&flow).iter().map(said).collect();
    assert_eq!(said, ["0", "0", "1", "2", "3", "4", "5"]);
    flow.finish().await;
}

#[actix::test]
async fn a_secret_is_rotated_with_both_signing_in_between_and_a_test_says_what_came() {
    let flow = flow_with(&[], [ToolAnswer::default(), ToolAnswer::status(404)]).await;
    let hook = subscribe(&flow, json!(["message.received"])).await;
    let secret_path = format!("{}/secret", hook.path);
    let (_, rotated) = flow.api("POST", &secret_path, None).await;
    assert_eq!(rotated["webhook"]["rotating"], true);
    let newest = StoredSecret::new(rotated["secret"].as_str().unwrap());
    let test = format!("{}/test", hook.path);
    let (status, tested) = flow.api("POST", &test, None).await;
    assert_eq!((status, &tested["taken"], &tested["status"]), (StatusCode::OK, &json!(true), &json!(200)));
    assert_eq!(flow.api("DELETE", &secret_path, None).await.1["rotating"], false);
    let (_, refused) = flow.api("POST", &test, None).await;
    assert_eq!(refused["problem"], "the receiver answered with HTTP 404", "{refused}");
    let seen = calls(&flow);
    is_signed(&seen[0], &[newest.clone(), hook.secret.clone()]);
    is_signed(&seen[1], &[newest]);
    assert_eq!(serde_json::from_str::<Value>(&seen[0].body).unwrap()["type"], "webhook.test");
    assert!(deliveries(&flow, &hook).await.is_empty(), "a test is in no log");
    flow.finish().await;
}

#[actix::test]
async fn no_webhook_goes_inside_and_none_is_another_tenants() {
    let flow = flow_with(&[], [ToolAnswer::default()]).await;
    let path = format!("/tenants/{}/webhooks", flow.tenants[0]);
    let form = |url: &str, kinds: Value| Some(json!({ "url": url, "kinds": kinds }));
    for url in [
        "http://shop.example/hook",
        "https://10.0.0.8/hook",
        "https://169.254.169.254/latest/meta-data",
        "https://[::1]/hook",
        "https://0x0a000008/hook",
        "https://me:word@shop.example/hook",
        "https://shop.example:25/hook",
        "file:///etc/passwd",
        "no address",
    ] {
        let (status, refused) = flow.api("POST", &path, form(url, json!(["*"]))).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{url}: {refused}");
    }
    for kinds in [json!([]), json!(["message.recieved"]), json!("*")] {
        let (status, _) = flow.api("POST", &path, form("https://shop.example/", kinds)).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    }
    // A name says nothing about where it leads: that is seen when it is called.
    let (status, created) = flow.api("POST", &path, form("https://localhost/hook", json!(["*"]))).await;
    assert_eq!(status, StatusCode::CREATED);
    let inside = format!("{path}/{}", created["webhook"]["id"].as_str().unwrap());
    let (_, tested) = flow.api("POST", &format!("{inside}/test"), None).await;
    assert!(tested["problem"].as_str().unwrap().contains("is not public"), "{tested}");
    // Another tenant's webhook is not there, by its own tenant's name or by ours.
    let theirs = Subscription {
        id: SubscriptionId::new(START, &SystemEntropy),
        url: Pii::new("https://theirs.example/hook".to_owned()),
        kinds: vec!["*".to_owned()],
        secrets: vec![new_secret(&SystemEntropy)],
        state: SubscriptionState::Paused,
        created_at: START,
        description: "theirs".to_owned(),
    };
    let ctx = TenantCtx::platform(flow.tenants[1]);
    flow.app.engine.subscribe(ctx, theirs.clone()).await.unwrap();
    let routes = [
        ("GET", ""),
        ("PUT", ""),
        ("DELETE", ""),
        ("POST", "/test"),
        ("POST", "/secret"),
        ("DELETE", "/secret"),
        ("GET", "/deliveries"),
        ("POST", "/replay"),
    ];
    for tenant in flow.tenants {
        for (method, end) in routes {
            let path = format!("/tenants/{tenant}/webhooks/{}{end}", theirs.id);
            let body = match (method, end) {
                ("PUT", _) => form("https://mine.example/hook", json!(["*"])),
                (_, "/replay") => Some(json!({ "dead": true })),
                _ => None,
            };
            let (status, answer) = flow.api(method, &path, body).await;
            assert_eq!(status, StatusCode::NOT_FOUND, "{method} {path}: {answer}");
            assert!(!answer.to_string().contains("theirs"));
        }
    }
    let kept = flow.store(1).await.hooks().subscription(theirs.id).await.unwrap().unwrap();
    assert_eq!(kept.url.reveal(TenantView), "https://theirs.example/hook");
    flow.api("DELETE", &inside, None).await;
    flow.finish().await;
}
