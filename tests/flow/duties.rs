//! What Meta asks of a platform: to delete on request, and to take note when its rights are taken back.

use iassistance_domain::channel::{Channel, ChannelHealth, Connection, MetaApp, StoredSecret};
use iassistance_domain::id::{ChannelId, MetaAppId};
use iassistance_vault::SystemEntropy;
use serde_json::{Value, json};

use crate::harness::{Flow, START, within};
use crate::products::{FIXTURES, PAGE, flying, token};

const PERSON: &str = "218471";

fn vectors() -> Vec<Value> {
    let file = std::fs::read_to_string(format!("{FIXTURES}/signature/signed_request.json")).unwrap();
    let vectors: Value = serde_json::from_str(&file).unwrap();
    let vectors = vectors["vectors"].as_array().unwrap().clone();
    assert!(vectors.len() >= 9);
    vectors
}

/// An app with the vectors' secret, and two channels through it: one of the vectors' person's, one of
/// somebody else's.
async fn start(vector: &Value, number: usize) -> (Flow, MetaAppId, [ChannelId; 2]) {
    let flow = Flow::with(flying(&[])).await;
    let app = MetaApp {
        id: MetaAppId::new(START, &SystemEntropy),
        app_id: None,
        name: "vectors".into(),
        secrets: vec![StoredSecret::new(vector["secret"].as_str().unwrap())],
        verify_token: StoredSecret::new("token"),
        created_at: START,
    };
    let id = app.id;
    flow.app.store.put_meta_app(app).await.unwrap();
    let mut channels = Vec::new();
    for (place, owner) in [PERSON, "999"].into_iter().enumerate() {
        let channel = Channel {
            id: ChannelId::new(START, &SystemEntropy),
            tenant: flow.tenants[0],
            meta_app: id,
            connection: Connection::Page,
            external_id: format!("9{number}{place}"),
            name: "page".into(),
            access_token: StoredSecret::new("a-token-to-be-forgotten"),
            token_owner: Some(StoredSecret::new(owner)),
            health: ChannelHealth::connecting(START),
            created_at: START,
        };
        channels.push(channel.id);
        flow.app.store.put_channel(channel).await.unwrap();
    }
    (flow, id, [channels[0], channels[1]])
}

async fn is_revoked(flow: &Flow, channel: ChannelId) -> bool {
    let stored = flow.store(0).await.channel(channel).await.unwrap().unwrap();
    let path = format!("/tenants/{}/channels/{channel}", flow.tenants[0]);
    let (status, shown) = flow.api("GET", &path, None).await;
    assert_eq!(status, 200);
    let expired = shown["health"]["state"] == "expired";
    assert_eq!(shown["has_access_token"], json!(!expired));
    assert_eq!((stored.access_token.is_empty(), stored.token_owner.is_none()), (expired, expired));
    expired
}

#[actix::test]
async fn a_request_to_delete_is_carried_out_and_its_page_says_so() {
    for (number, vector) in vectors().into_iter().enumerate() {
        let (flow, app, [theirs, others]) = start(&vector, number).await;
        let form = [("signed_request", vector["form"]["signed_request"].as_str().unwrap())];
        let answer = flow.post_form(&format!("/webhooks/meta/{app}/data-deletion"), &form).await;
        if vector["accept"] != true {
            assert_eq!(answer.status(), 401, "{}", vector["name"]);
            assert!(!is_revoked(&flow, theirs).await, "{}", vector["name"]);
            flow.finish().await;
            continue;
        }
        assert_eq!(answer.status(), 200, "{}", vector["name"]);
        let confirmed: Value = answer.json().await.unwrap();
        let code = confirmed["confirmation_code"].as_str().unwrap();
        let url = confirmed["url"].as_str().unwrap();
        assert!(url.starts_with("http") && url.ends_with(code), "{confirmed}");
        let page = within("the page", flow.http.get(format!("{url}?lang=en")).send()).await.unwrap();
        assert_eq!(page.status(), 200);
        assert!(page.headers()["content-type"].to_str().unwrap().starts_with("text/html"));
        let page = page.text().await.unwrap();
        assert!(page.contains(code) && page.contains("was carried out"), "{page}");
        assert!(!page.contains(PERSON), "nobody is named");
        assert!(is_revoked(&flow, theirs).await && !is_revoked(&flow, others).await);
        flow.event(0, |event| event["type"] == "deletion.requested" || event["deletion"] == code).await;
        let changed = flow.event_named(0, "channel.health_changed").await;
        assert_eq!((&changed["channel"], &changed["health"]["state"]), (&json!(theirs), &json!("expired")));
        // The same request again finds nothing more.
        let again = flow.post_form(&format!("/webhooks/meta/{app}/data-deletion"), &form).await;
        let again: Value = again.json().await.unwrap();
        let url = again["url"].as_str().unwrap();
        let page =
            within("the page", flow.http.get(url).header("accept-language", "pt-BR").send()).await.unwrap();
        assert!(page.text().await.unwrap().contains("Nada estava guardado"));
        flow.finish().await;
    }
}

#[actix::test]
async fn who_takes_the_rights_back_stops_their_channels() {
    let vector = vectors().into_iter().find(|vector| vector["name"] == "no_expires").unwrap();
    let (flow, app, [theirs, others]) = start(&vector, 0).await;
    let path = format!("/webhooks/meta/{app}/deauthorize");
    let form = [("signed_request", vector["form"]["signed_request"].as_str().unwrap())];
    for wrong in [&[][..], &[("signed_request", "a.b")], &[("signed_request", "")]] {
        let status = flow.post_form(&path, wrong).await.status();
        assert!(status.is_client_error(), "{status}");
    }
    assert!(!is_revoked(&flow, theirs).await);
    assert_eq!(flow.post_form(&path, &form).await.status(), 200);
    assert!(is_revoked(&flow, theirs).await && !is_revoked(&flow, others).await);
    assert_eq!(flow.count(0, "deletion.requested").await, 0);
    let elsewhere = format!("/webhooks/meta/{}/deauthorize", flow.meta_app);
    assert_eq!(flow.post_form(&elsewhere, &form).await.status(), 401, "another app's secret proves nothing");
    for unknown in ["/deletions/nothing", "/deletions/del_01a0c451f2a0700080bbc5bcbebd7fa0"] {
        let page = flow.http.get(format!("http://{}{unknown}", flow.address)).send();
        assert_eq!(within("the page", page).await.unwrap().status(), 404);
    }
    flow.finish().await;
}

#[actix::test]
async fn what_waits_for_a_revoked_channel_leaves_when_it_is_connected_anew() {
    let flow = Flow::with(flying(&[])).await;
    flow.hush().await;
    flow.says("ana", PAGE, "hello");
    flow.event_named(0, "message.received").await;
    flow.still().await;
    let channel = flow.channel(PAGE).await;
    let owner = StoredSecret::new(PERSON);
    flow.app.store.put_channel(Channel { token_owner: Some(owner), ..channel.clone() }).await.unwrap();
    let request = signed_request(PERSON);
    let path = format!("/webhooks/meta/{}/deauthorize", flow.meta_app);
    assert_eq!(flow.post_form(&path, &[("signed_request", &request)]).await.status(), 200);
    flow.replied(flow.conversation_on(PAGE).await.id, json!({ "text": "later" })).await;
    flow.event_named(0, "message.queued").await;
    flow.clock.advance_millis(600_000);
    let _look = flow.quiet_now(0).await;
    assert!(!flow.was_sent("later"));
    let body = json!({ "access_token": token(PAGE) });
    let (status, shown) = flow.channel_api("PUT", PAGE, "", Some(body)).await;
    assert_eq!((status.as_u16(), &shown["health"]["state"]), (200, &json!("live")), "{shown}");
    flow.sent("later").await;
    flow.still().await;
    flow.finish().await;
}

/// A signed request of this app's.
pub fn signed_request(person: &str) -> String {
    use base64::Engine;
    use base64::prelude::BASE64_URL_SAFE_NO_PAD;
    let payload = json!({ "algorithm": "HMAC-SHA256", "issued_at": 1_790_000_000, "user_id": person });
    let payload = BASE64_URL_SAFE_NO_PAD.encode(payload.to_string());
    let signature =
        iassistance_channels::signature::sign(crate::harness::SECRET.as_bytes(), payload.as_bytes());
    let signature = hex::decode(signature.trim_start_matches("sha256=")).unwrap();
    format!("{}.{payload}", BASE64_URL_SAFE_NO_PAD.encode(signature))
}
