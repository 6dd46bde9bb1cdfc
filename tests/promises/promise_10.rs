//! An order of an authority is answered within its scope, recorded, and the client is told unless that is barred.

use std::collections::BTreeSet;

use iassistance_domain::audit::AuditResult;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::book::Proof;
use crate::harness::{Flow, NUMBERS, SignedIn, within};
use crate::products::flying;

async fn lines(flow: &Flow, who: &SignedIn, path: &str, asked: &Value) -> (StatusCode, Vec<Value>) {
    let request = flow
        .http
        .post(format!("http://{}/v1{path}", flow.address))
        .header("cookie", &who.cookie)
        .header("origin", format!("http://{}", flow.address))
        .header(iassistance::http::cookies::CSRF_HEADER, &who.csrf)
        .json(asked);
    let answer = within("an answer", request.send()).await.unwrap();
    let status = answer.status();
    let text = answer.text().await.unwrap();
    (status, text.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

#[actix::test]
async fn promise_10() {
    let proof = Proof::of(10);
    let flow = Flow::with(flying(&[])).await;
    let tenant = flow.tenants[0];
    for number in 0..6 {
        flow.says(&format!("54911{number:08}"), NUMBERS[0], &format!("words of {number}"));
        flow.sends(number + 1).await;
    }
    flow.quiet(0).await;
    let store = flow.store(0).await;
    let conversations = store.conversations(None, 100).await.unwrap();
    let named: Vec<_> = conversations.iter().take(2).map(|found| found.contact).collect();
    let (one, other) = (flow.sign_in(true, &[]).await, flow.sign_in(true, &[]).await);
    let admin = flow.admin().await;
    let orders = format!("/tenants/{tenant}/orders");
    let until = 4_000_000_000_000_i64;
    let scope = json!({ "contacts": named, "classes": ["message"], "from": 0, "until": until });
    let order = |may_tell: bool| {
        json!({ "authority": "Juzgado Federal 3", "reference": "FRO 1/2026", "document": "folder 17",
            "scope": scope, "may_tell": may_tell })
    };
    // Only the platform's owners have to do with them, and the one who enters it does not approve it.
    assert_eq!(flow.api_as(&admin, "POST", &orders, Some(order(true))).await.0, StatusCode::FORBIDDEN);
    let (status, entered) = flow.api_as(&one, "POST", &orders, Some(order(true))).await;
    assert_eq!(status, StatusCode::CREATED, "{entered}");
    let path = format!("{orders}/{}", entered["id"].as_str().unwrap());
    let answer = format!("{path}/answer");
    assert_eq!(lines(&flow, &one, &answer, &scope).await.0, StatusCode::CONFLICT, "nobody approved it yet");
    assert_eq!(flow.api_as(&one, "POST", &format!("{path}/approve"), None).await.0, StatusCode::CONFLICT);
    assert_eq!(flow.count(0, "order.received").await, 0);
    let (status, approved) = flow.api_as(&other, "POST", &format!("{path}/approve"), None).await;
    assert_eq!(status, StatusCode::OK, "{approved}");
    assert!(approved["told_at"].is_i64(), "{approved}");
    assert_eq!(flow.event_named(0, "order.received").await["authority"], "Juzgado Federal 3");

    // What is handed over is what the scope names, neither more nor less.
    let (status, handed) = lines(&flow, &one, &answer, &scope).await;
    assert_eq!(status, StatusCode::OK);
    let mut expected = BTreeSet::new();
    for conversation in conversations.iter().filter(|found| named.contains(&found.contact)) {
        for message in store.messages(conversation.id, None, 100).await.unwrap() {
            expected.insert(message.id.to_string());
        }
    }
    let got: BTreeSet<String> =
        handed.iter().map(|line| line["record"]["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(got, expected);
    assert!(handed.iter().all(|line| line["kind"] == "message"));

    // Beyond it nothing is, and each try is on the record.
    let everybody = json!({ "contacts": [], "classes": ["message"], "from": 0, "until": until });
    let another =
        json!({ "contacts": [conversations[5].contact], "classes": ["message"], "from": 0, "until": until });
    let more = json!({ "contacts": named, "classes": ["message", "contact"], "from": 0, "until": until });
    let later = json!({ "contacts": named, "classes": ["message"], "from": 0, "until": until + 1 });
    let beyond = [everybody, another, more, later];
    for asked in &beyond {
        let (status, body) = lines(&flow, &one, &answer, asked).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{body:?}");
    }
    let audit = flow.app.store.trail().audit(Some(tenant), None, 100).await.unwrap();
    let of = |result| audit.iter().filter(|it| it.act == "order.answered" && it.result == result).count();
    assert_eq!((of(AuditResult::Allowed), of(AuditResult::Refused)), (1, beyond.len() + 1));
    for contact in &named {
        let ledger = flow.app.store.leaving().disclosures(flow.ctx(), *contact).await.unwrap();
        assert!(ledger.lines.iter().any(|line| line.to.host == "Juzgado Federal 3"));
    }

    // Where it is barred, nothing that the client sees tells of it, until the bar is lifted.
    let (_, barred) = flow.api_as(&one, "POST", &orders, Some(order(false))).await;
    let path = format!("{orders}/{}", barred["id"].as_str().unwrap());
    assert_eq!(flow.api_as(&other, "POST", &format!("{path}/approve"), None).await.0, StatusCode::OK);
    assert_eq!(lines(&flow, &other, &format!("{path}/answer"), &scope).await.0, StatusCode::OK);
    let (_, log) = flow.api_as(&admin, "GET", &format!("/tenants/{tenant}/audit"), None).await;
    assert!(!log.to_string().contains(barred["id"].as_str().unwrap()), "{log}");
    assert_eq!(flow.count(0, "order.received").await, 1);
    assert_eq!(flow.api_as(&admin, "GET", &orders, None).await.0, StatusCode::FORBIDDEN);
    assert_eq!(flow.api_as(&one, "POST", &format!("{path}/tell"), None).await.0, StatusCode::OK);
    assert_eq!(flow.count(0, "order.received").await, 2);
    flow.finish().await;
    proof.kept(format!(
        "{} messages in scope handed over, {} tries beyond it refused and on record; the client told of 2 orders, of one only once the bar was lifted",
        expected.len(),
        beyond.len()
    ));
}
