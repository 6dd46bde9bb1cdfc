//! What is on the record: the audit log with its proof, and every request.

use std::io::BufReader;

use iassistance_assistant::scripted::Behaviour;
use iassistance_domain::Clock;
use iassistance_domain::access::{AccessOf, AccessRecord};
use iassistance_domain::account::{MemberOf, Role};
use iassistance_domain::audit::{Actor, AuditEntry, AuditResult, Checkpoint};
use iassistance_domain::id::TenantId;
use iassistance_domain::pii::SignIn;
use iassistance_storage::chain::{check_exported, check_stored};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::harness::{Flow, NUMBERS, Options, START, SignedIn, within};
use crate::products::flying;

const HOUR_MS: u64 = 60 * 60 * 1_000;
const DAY_MS: u64 = 24 * HOUR_MS;

/// The requests that are kept, oldest first.
async fn kept(flow: &Flow, of: AccessOf) -> Vec<AccessRecord> {
    let mut all = flow.app.store.trail().access(of, None, 5_000).await.unwrap();
    all.reverse();
    all
}

/// Waits until so many requests are kept.
async fn until_kept(flow: &Flow, of: AccessOf, count: usize) -> Vec<AccessRecord> {
    within("the access log", async {
        loop {
            let all = kept(flow, of).await;
            if all.len() >= count {
                return all;
            }
            tokio::task::yield_now().await;
        }
    })
    .await
}

async fn export(flow: &Flow, who: &SignedIn, path: &str) -> String {
    let url = format!("http://{}/v1{path}", flow.address);
    let response = flow.http.get(url).header("cookie", &who.cookie).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    response.text().await.unwrap()
}

#[actix::test]
async fn what_needed_a_right_is_vouched_for_and_checked_without_the_platform() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("checkpoints.ndjson");
    let named: &'static str = format!("audit.checkpoints_file={}", file.display()).leak();
    let flow = Flow::with(Options { settings: vec![named], ..Options::default() }).await;
    let tenant = flow.tenants[0];
    let admin = flow.admin().await;
    let form = json!({ "url": "https://shop.example/hook", "kinds": ["*"], "paused": true });
    let hooks = format!("/tenants/{tenant}/webhooks");
    let (status, created) = flow.api("POST", &hooks, Some(form)).await;
    assert_eq!(status, StatusCode::CREATED, "{created}");
    let id = created["webhook"]["id"].as_str().unwrap();
    let (_, log) = flow.api_as(&admin, "GET", &format!("/tenants/{tenant}/audit"), None).await;
    let newest = &log["items"][0];
    assert_eq!((&newest["act"], &newest["object"]), (&json!("webhook.created"), &json!(id)), "{log}");
    assert_eq!((&newest["actor"]["who"], &newest["result"]), (&json!("key"), &json!("allowed")));
    assert!(newest["address"].is_string());
    // Who runs the platform sees that it was, and not what.
    let owner = flow.sign_in(true, &[]).await;
    let (_, seen) = flow.api_as(&owner, "GET", &format!("/tenants/{tenant}/audit"), None).await;
    assert_eq!(seen["items"][0]["act"], "webhook.created");
    assert!(seen["items"][0]["address"].is_null() && seen["items"][0]["object"].is_null(), "{seen}");

    // A minute after something came it is vouched for, here and in the file.
    let trail = flow.app.store.trail();
    assert!(trail.checkpoints(Some(tenant), None, 9).await.unwrap().is_empty());
    within("the notary to wait", async {
        while flow.clock.next_due().is_none_or(|due| due > flow.clock.now().plus_millis(60_000)) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    flow.clock.advance_millis(60_000);
    let made = within("a checkpoint", async {
        loop {
            if let Some(made) = trail.checkpoints(Some(tenant), None, 9).await.unwrap().pop() {
                return made;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    let written = std::fs::read_to_string(&file).unwrap();
    let outside: Vec<Checkpoint> = written.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(outside.contains(&made));
    let verifier = flow.app.notary.verifier();
    let verdict = check_stored(trail, Some(tenant), verifier, &outside).await.unwrap();
    assert!(verdict.is_sound() && verdict.entries == verdict.vouched_to, "{verdict:?}");

    // The export is whole, and every line of it counts.
    let path = format!("/tenants/{tenant}/audit/export");
    let text = export(&flow, &admin, &path).await;
    let check = |text: &str| check_exported(BufReader::new(text.as_bytes()), verifier).unwrap();
    let verdict = check(&text);
    assert!(verdict.is_sound(), "{verdict:?}");
    assert_eq!((verdict.tenant, verdict.vouched_to), (Some(tenant), verdict.entries));
    assert!(verdict.entries >= 2, "its own export is on the record too");
    for left_out in 1..text.lines().count() {
        let others = text.lines().enumerate().filter(|(number, _)| *number != left_out);
        let cut = others.map(|(_, line)| line).collect::<Vec<_>>().join("\n");
        let line: Value = serde_json::from_str(text.lines().nth(left_out).unwrap()).unwrap();
        let newest = line["line"] == "checkpoint" && line["seq"] != verdict.entries;
        assert!(!check(&cut).is_sound() || newest, "without {line}");
    }
    assert!(!text.contains("webhook.created") && !text.contains(id), "sealed");
    let platform = export(&flow, &owner, "/audit/export").await;
    assert!(check(&platform).is_sound());
    assert_eq!(flow.api_as(&admin, "GET", "/audit", None).await.0, StatusCode::FORBIDDEN);
    let shown = format!("/tenants/{tenant}/audit/checkpoints");
    let (_, checkpoints) = flow.api_as(&admin, "GET", &shown, None).await;
    assert_eq!(checkpoints["items"][0]["key"], verifier.to_string());
    let theirs = format!("/tenants/{}/audit", flow.tenants[1]);
    assert_eq!(flow.api_as(&admin, "GET", &theirs, None).await.0, StatusCode::NOT_FOUND);
    flow.finish().await;
}

#[actix::test]
async fn a_thousand_requests_are_a_thousand_records() {
    let flow = Flow::start().await;
    let url = format!("http://{}/v1/tenants/{}/channels?limit=1", flow.address, flow.tenants[0]);
    let asks = (0..20).map(|number| {
        let (http, url, key) = (flow.http.clone(), url.clone(), flow.key.clone());
        async move {
            for _ in 0..50 {
                let request = http.get(&url).header("user-agent", format!("walker/{number}"));
                assert_eq!(request.bearer_auth(&key).send().await.unwrap().status(), 200);
            }
        }
    });
    within("a thousand answers", futures::future::join_all(asks)).await;
    let all = until_kept(&flow, AccessOf::Tenant(flow.tenants[0]), 1_000).await;
    assert_eq!(all.len(), 1_000);
    for record in &all {
        assert_eq!((record.method.as_str(), record.status), ("GET", 200));
        assert_eq!(record.route, "/v1/tenants/{tenant}/channels", "a pattern, and nothing of the query");
        assert_eq!(record.address.reveal(SignIn), "127.0.0.1");
        assert!(record.agent.starts_with("walker/"), "{}", record.agent);
        assert!(matches!(record.who, Some(iassistance_domain::audit::Actor::Key { .. })));
    }
    assert_eq!(kept(&flow, AccessOf::All).await.len(), 1_000, "and nothing else was asked");
    flow.finish().await;
}

#[actix::test]
async fn requests_are_shown_to_whom_they_concern_and_grow_old() {
    let settings = vec!["actors.sweep_ms=3600000", "meta.channel_test_hours=0"];
    let flow = Flow::with(Options { settings, ..Options::default() }).await;
    let (tenant, admin) = (flow.tenants[0], flow.admin().await);
    let operator = flow.sign_in(false, &[(MemberOf::Tenant(tenant), Role::Operator)]).await;
    // Refused ones too, and those of nobody.
    let path = format!("/tenants/{tenant}/access-log");
    assert_eq!(flow.api_as(&operator, "GET", &path, None).await.0, StatusCode::FORBIDDEN);
    flow.clock.advance_millis(1);
    let nobody = flow.http.get(format!("http://{}/v1/tenants/{tenant}", flow.address)).send().await.unwrap();
    assert_eq!(nobody.status(), StatusCode::UNAUTHORIZED);
    flow.clock.advance_millis(1);
    let wrong = flow.http.get(format!("http://{}/no/such/{tenant}", flow.address)).send().await.unwrap();
    assert_eq!(wrong.status(), StatusCode::NOT_FOUND);
    until_kept(&flow, AccessOf::All, 3).await;
    let (status, shown) = flow.api_as(&admin, "GET", &path, None).await;
    assert_eq!(status, StatusCode::OK);
    let statuses: Vec<_> = shown["items"].as_array().unwrap().iter().map(|it| &it["status"]).collect();
    assert_eq!(statuses, [401, 403], "{shown}");
    assert_eq!(shown["items"][1]["who"]["account"], operator.account.to_string());
    assert!(shown["items"][0]["who"].is_null());
    let (_, own) = flow.api_as(&operator, "GET", "/me/access-log", None).await;
    assert_eq!(own["items"].as_array().unwrap().len(), 1, "{own}");
    assert_eq!(own["items"][0]["address"], "127.0.0.1");
    // Whoever does not belong there leaves nothing in another tenant's.
    let theirs = format!("/tenants/{}/access-log", flow.tenants[1]);
    assert_eq!(flow.api_as(&admin, "GET", &theirs, None).await.0, StatusCode::NOT_FOUND);
    let everybody = until_kept(&flow, AccessOf::All, 6).await;
    assert!(kept(&flow, AccessOf::Tenant(flow.tenants[1])).await.is_empty());
    assert!(everybody.iter().any(|record| record.route == "none" && record.status == 404));
    assert!(!everybody.iter().any(|record| record.route.contains(&tenant.to_string())));
    let owner = flow.sign_in(true, &[]).await;
    let (_, all) = flow.api_as(&owner, "GET", "/access-log", None).await;
    assert!(all["items"].as_array().unwrap().len() >= 5, "{all}");
    assert_eq!(flow.api_as(&admin, "GET", "/access-log", None).await.0, StatusCode::FORBIDDEN);

    // After a month only the network is left, after a year nothing.
    let all = until_kept(&flow, AccessOf::All, 8).await.len();
    assert_eq!(all, 8);
    flow.clock.advance_millis(31 * DAY_MS);
    within("shortened addresses", async {
        loop {
            let now = kept(&flow, AccessOf::All).await;
            if now.len() == all && now.iter().all(|it| it.address.reveal(SignIn) == "127.0.0.0/24") {
                return;
            }
            // Whenever the sweep comes to look at the clock.
            flow.clock.advance_millis(HOUR_MS);
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(flow.clock.now() < START.plus_millis(365 * DAY_MS));
    flow.clock.advance_to(START.plus_millis(365 * DAY_MS));
    within("the end of a year", async {
        while !kept(&flow, AccessOf::All).await.is_empty() {
            flow.clock.advance_millis(HOUR_MS);
            tokio::task::yield_now().await;
        }
    })
    .await;
    flow.finish().await;
}

/// The entries of a log, oldest first: what, and by which account.
async fn audited(flow: &Flow, chain: Option<TenantId>) -> Vec<AuditEntry> {
    let mut all = flow.app.store.trail().audit(chain, None, 500).await.unwrap();
    all.reverse();
    all
}

#[actix::test]
async fn who_is_refused_is_on_the_record_and_cannot_flood_it() {
    let flow = Flow::start().await;
    let [own, other] = flow.tenants;
    let operator = flow.sign_in(false, &[(MemberOf::Tenant(own), Role::Operator)]).await;
    for _ in 0..30 {
        let (status, _) = flow.api_as(&operator, "GET", &format!("/tenants/{own}/audit"), None).await;
        assert_eq!(status, StatusCode::FORBIDDEN);
    }
    let refused = |all: Vec<AuditEntry>| -> Vec<AuditEntry> {
        all.into_iter().filter(|entry| entry.act == "refused").collect()
    };
    let noted = refused(audited(&flow, Some(own)).await);
    assert_eq!(noted.len(), 20);
    let by = Actor::Account { account: operator.account };
    assert!(noted.iter().all(|entry| (entry.actor, entry.result) == (by, AuditResult::Refused)));
    assert_eq!(noted[0].details["route"], "/v1/tenants/{tenant}/audit");
    // Whoever does not belong there leaves nothing there: another's place is told of like none.
    let stranger = flow.sign_in(false, &[(MemberOf::Tenant(own), Role::Viewer)]).await;
    let nobody = TenantId::from_bytes([0xEE; 16]);
    for tenant in [other, nobody] {
        let path = format!("/tenants/{tenant}/channels");
        assert_eq!(flow.api_as(&stranger, "GET", &path, None).await.0, StatusCode::NOT_FOUND);
    }
    assert!(audited(&flow, Some(other)).await.is_empty());
    let noted = refused(audited(&flow, None).await);
    let about: Vec<_> = noted.iter().map(|entry| entry.object.clone().unwrap()).collect();
    assert_eq!(about, [other.to_string(), nobody.to_string()]);
    // What a proof anew would open is no refusal.
    let admin = flow.admin().await;
    flow.clock.advance_millis(11 * 60_000);
    let form = json!({ "name": "k", "scopes": ["read"] });
    let (status, answer) = flow.api_as(&admin, "POST", &format!("/tenants/{own}/keys"), Some(form)).await;
    assert_eq!((status, &answer["code"]), (StatusCode::FORBIDDEN, &json!("step_up_needed")));
    assert_eq!(refused(audited(&flow, Some(own)).await).len(), 20);
    flow.finish().await;
}

#[actix::test]
async fn what_operators_do_is_on_the_record_by_who_did_it() {
    let flow = Flow::with(Options { model: Some(vec![Behaviour::Echo]), ..flying(&[]) }).await;
    flow.simulator.say_to(NUMBERS[0], "ana", "hello").unwrap();
    flow.sends(1).await;
    flow.quiet(0).await;
    let (tenant, id) = (flow.tenants[0], flow.conversation(0).await);
    let operator = flow.sign_in(false, &[(MemberOf::Tenant(tenant), Role::Operator)]).await;
    let base = format!("/tenants/{tenant}/conversations/{id}");
    for (what, body) in [
        ("takeover", json!({})),
        ("messages", json!({ "text": "I am here." })),
        ("notes", json!({ "text": "She wants the blue one." })),
        ("assign", json!({ "account": operator.account })),
        ("handback", json!({})),
    ] {
        let (status, answer) = flow.api_as(&operator, "POST", &format!("{base}/{what}"), Some(body)).await;
        assert!(status.is_success(), "{what}: {answer}");
    }
    let absent = format!("/tenants/{tenant}/conversations/cnv_{}/takeover", "0".repeat(32));
    assert_eq!(flow.api_as(&operator, "POST", &absent, Some(json!({}))).await.0, StatusCode::NOT_FOUND);
    let all = audited(&flow, Some(tenant)).await;
    let acts: Vec<_> = all.iter().map(|entry| entry.act.as_str()).collect();
    let wanted = [
        "conversation.taken_over",
        "message.sent",
        "note.added",
        "conversation.assigned",
        "conversation.handed_back",
    ];
    assert_eq!(acts, wanted);
    let by = Actor::Account { account: operator.account };
    for entry in &all {
        assert_eq!((entry.actor, entry.object.as_deref()), (by, Some(&*id.to_string())), "{}", entry.act);
        assert!(!serde_json::to_string(entry).unwrap().contains("blue"), "nothing that somebody wrote");
    }
    flow.sends(2).await;
    flow.finish().await;
}

#[actix::test]
async fn what_has_weight_is_vouched_for_at_once_and_a_stop_leaves_nothing_open() {
    let flow = Flow::start().await;
    let (tenant, admin) = (flow.tenants[0], flow.admin().await);
    let trail = flow.app.store.trail();
    let form = json!({ "name": "k", "scopes": ["read"] });
    let keys = format!("/tenants/{tenant}/keys");
    assert_eq!(flow.api_as(&admin, "POST", &keys, Some(form)).await.0, StatusCode::CREATED);
    // No time passes.
    within("a checkpoint", async {
        while trail.checkpoints(Some(tenant), None, 9).await.unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let name = json!({ "name": "Bakery" });
    let (status, _) = flow.api_as(&admin, "PUT", &format!("/tenants/{tenant}"), Some(name)).await;
    assert_eq!(status, StatusCode::OK);
    let verdict = async || check_stored(trail, Some(tenant), flow.app.notary.verifier(), &[]).await.unwrap();
    let before = verdict().await;
    assert_eq!((before.entries, before.vouched_to), (2, 1), "of no weight: a while later");
    flow.app.notary.stop(1_000).await.unwrap();
    let after = verdict().await;
    assert!(after.is_sound() && after.vouched_to == after.entries, "{after:?}");
    flow.finish().await;
}
