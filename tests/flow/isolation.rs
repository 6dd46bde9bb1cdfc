//! Invariant 6: tenancy.

use iassistance_channels::signature::sign;
use iassistance_domain::channel::{MetaApp, StoredSecret};
use iassistance_domain::id::MetaAppId;
use iassistance_vault::SystemEntropy;
use serde_json::json;

use crate::harness::{Flow, NUMBERS, START, messages, within};

#[actix::test]
async fn two_tenants_with_the_same_person_share_nothing() {
    let flow = Flow::start().await;
    for number in NUMBERS {
        flow.simulator.say_to(number, "ana", &format!("hello {number}")).unwrap();
    }
    flow.sends(2).await;
    flow.quiet(0).await;
    flow.quiet(1).await;
    let (mut contacts, mut identifiers) = (Vec::new(), Vec::new());
    for tenant in 0..2 {
        let store = flow.store(tenant).await;
        let conversation = store.conversations(None, 10).await.unwrap().remove(0);
        identifiers.push(store.safety_identifier(conversation.contact));
        contacts.push(conversation.contact);
        let words = serde_json::to_string(&flow.events(tenant).await).unwrap();
        assert!(
            words.contains(NUMBERS[tenant]) && !words.contains(&format!("hello {}", NUMBERS[1 - tenant]))
        );
    }
    assert_ne!(contacts[0], contacts[1]);
    assert_ne!(identifiers[0], identifiers[1]);
    let sent = flow.simulator.all_sends();
    assert!(sent.iter().all(|send| send.text.contains(&send.phone_number_id)), "each answered by its own");
    flow.finish().await;
}

#[actix::test]
async fn another_tenants_things_are_as_absent_as_absent_ones() {
    let flow = Flow::start().await;
    flow.simulator.say_to(NUMBERS[1], "ana", "secret of the other").unwrap();
    flow.sends(1).await;
    let conversation = flow.conversation(1).await;
    let foreign = [
        format!("/tenants/{}/conversations", flow.tenants[1]),
        format!("/tenants/{}/conversations/{conversation}", flow.tenants[1]),
        format!("/tenants/{}/conversations/{conversation}/messages", flow.tenants[0]),
        format!("/tenants/{}/events", flow.tenants[1]),
        "/tenants/ten_00000000000000000000000000000000/events".to_owned(),
    ];
    let mut bodies = Vec::new();
    for path in &foreign {
        let (status, body) = flow.api("GET", path, None).await;
        assert_eq!(status, 404, "{path}: {body}");
        bodies.push(body);
    }
    assert!(bodies.windows(2).all(|pair| pair[0] == pair[1]), "the answers are alike: {bodies:?}");
    let path = format!("/tenants/{}/conversations/{conversation}/takeover", flow.tenants[1]);
    assert_eq!(flow.api("POST", &path, Some(json!({ "operator": "Mallory" }))).await.0, 404);
    flow.finish().await;
}

#[actix::test]
async fn an_unknown_number_is_acknowledged_kept_and_touches_no_tenant() {
    let flow = Flow::start().await;
    let before = (flow.events(0).await.len(), flow.events(1).await.len());
    let answer =
        flow.post(messages("999999999999999", "15550199001", &[("wamid.x", 1_790_000_000, "whose?")])).await;
    assert_eq!(answer.status(), 200);
    assert_eq!((flow.events(0).await.len(), flow.events(1).await.len()), before);
    let kept = flow.app.store.unrouted(10).await.unwrap();
    assert_eq!(kept.len(), 1);
    assert_eq!(kept[0].1, "999999999999999");
    flow.finish().await;
}

#[actix::test]
async fn one_webhook_of_two_tenants_goes_to_both() {
    let flow = Flow::start().await;
    let value = |number: &str, id: &str| {
        let body = messages(number, "15550199001", &[(id, 1_790_000_000, number)]);
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        body["entry"][0].clone()
    };
    let both = json!({
        "object": "whatsapp_business_account",
        "entry": [value(NUMBERS[0], "wamid.1"), value(NUMBERS[1], "wamid.2")],
    });
    assert_eq!(flow.post(both.to_string()).await.status(), 200);
    flow.sends(2).await;
    flow.event(1, |event| event["message"]["content"]["body"] == NUMBERS[1]).await;
    flow.finish().await;
}

#[actix::test]
async fn an_app_speaks_for_its_own_channels_alone() {
    let flow = Flow::start().await;
    let other = MetaApp {
        id: MetaAppId::new(START, &SystemEntropy),
        app_id: None,
        name: "another".into(),
        secrets: vec![StoredSecret::new("another-secret")],
        verify_token: StoredSecret::new("t"),
        created_at: START,
    };
    flow.app.store.put_meta_app(other.clone()).await.unwrap();
    let body = messages(NUMBERS[0], "15550199001", &[("wamid.x", 1_790_000_000, "I am not your app")]);
    let url = format!("http://{}/webhooks/meta/{}", flow.address, other.id);
    let signature = sign(b"another-secret", &body);
    let request = flow.http.post(url).header("x-hub-signature-256", signature).body(body);
    assert_eq!(within("an answer", request.send()).await.unwrap().status(), 200);
    assert_eq!(flow.count(0, "message.received").await, 0);
    assert_eq!(flow.app.store.unrouted(10).await.unwrap().len(), 1);
    flow.finish().await;
}
