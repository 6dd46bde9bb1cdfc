//! Meta's terms are kept: what a person takes back is gone, and requests to delete are answered.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use iassistance_channels::signature::sign;
use iassistance_domain::channel::{Channel, StoredSecret};
use iassistance_domain::content::Content;
use iassistance_simulator::Act;
use serde_json::{Value, json};

use crate::book::Proof;
use crate::folder::files;
use crate::harness::{Flow, SECRET, within};
use crate::products::{PAGE, flying};

const PERSON: &str = "10220000000000001";

fn signed_request(person: &str, secret: &str) -> String {
    let payload = json!({ "algorithm": "HMAC-SHA256", "issued_at": 1_790_000_000, "user_id": person });
    let payload = BASE64_URL_SAFE_NO_PAD.encode(payload.to_string());
    let signature = sign(secret.as_bytes(), payload.as_bytes());
    let signature = hex::decode(signature.trim_start_matches("sha256=")).unwrap();
    format!("{}.{payload}", BASE64_URL_SAFE_NO_PAD.encode(signature))
}

const FORM: &str = "application/x-www-form-urlencoded";

fn form(request: &str) -> String {
    url::form_urlencoded::Serializer::new(String::new()).append_pair("signed_request", request).finish()
}

async fn ask(flow: &Flow, request: &str) -> (u16, Value) {
    let url = format!("http://{}/webhooks/meta/{}/data-deletion", flow.address, flow.meta_app);
    let answer =
        within("an answer", flow.http.post(url).header("content-type", FORM).body(form(request)).send())
            .await
            .unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap_or_default())
}

#[actix::test]
async fn promise_12() {
    let proof = Proof::of(12);
    let flow = Flow::with(flying(&[])).await;
    // What is taken back is gone: from what is served, and from what is stored in the clear or not.
    let word = "zq7takenbackzq7";
    let id = flow.says("ana", PAGE, &format!("my secret is {word}"));
    flow.sends(1).await;
    flow.quiet(0).await;
    let conversation = flow.conversation(0).await;
    flow.act("ana", PAGE, Act::TakeBack { of: id });
    flow.event_named(0, "message.removed").await;
    flow.quiet(0).await;
    let messages = flow.store(0).await.messages(conversation, None, 10).await.unwrap();
    assert!(messages.iter().any(|message| matches!(message.content, Content::Removed)));
    let path = format!("/tenants/{}/conversations/{conversation}", flow.tenants[0]);
    for shown in [
        format!("{path}/messages"),
        format!("{path}/snapshot"),
        format!("/tenants/{}/events", flow.tenants[0]),
    ] {
        let (status, shown) = flow.api("GET", &shown, None).await;
        assert!(
            status.is_success()
                && !shown["items"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .any(|item| { item["author"]["by"] == "contact" && item.to_string().contains(word) }),
            "{shown}"
        );
    }
    files(&flow.folder.as_ref().unwrap().path, |path, bytes| {
        assert!(memchr::memmem::find(bytes, word.as_bytes()).is_none(), "{}", path.display());
    });

    // A request to delete is carried out, answered, and told of in three languages; nobody forges one.
    let channel = flow.channel(PAGE).await;
    let owned = Channel { token_owner: Some(StoredSecret::new(PERSON)), ..channel.clone() };
    flow.app.store.put_channel(owned).await.unwrap();
    assert_eq!(ask(&flow, &signed_request(PERSON, "not the secret")).await.0, 401);
    let token = || async { flow.store(0).await.channel(channel.id).await.unwrap().unwrap().access_token };
    assert!(!token().await.is_empty());
    let mut codes = Vec::new();
    for _ in 0..2 {
        let (status, confirmed) = ask(&flow, &signed_request(PERSON, SECRET)).await;
        assert_eq!(status, 200, "{confirmed}");
        codes.push(confirmed["confirmation_code"].as_str().unwrap().to_owned());
        for language in ["es", "pt", "en"] {
            let url = format!("{}?lang={language}", confirmed["url"].as_str().unwrap());
            let page = within("the page", flow.http.get(url).send()).await.unwrap();
            let page = page.text().await.unwrap();
            assert!(page.contains(&codes[codes.len() - 1]) && !page.contains(PERSON), "{page}");
            assert!(page.contains(&format!("<html lang=\"{language}\">")));
        }
    }
    assert!(token().await.is_empty(), "what their sign-in gave is forgotten");
    let unknown = ask(&flow, &signed_request("999", SECRET)).await;
    assert_eq!(unknown.0, 200, "whoever asks for whomever is answered alike");
    flow.finish().await;
    proof.kept("a message taken back, in no answer and no file; 3 requests to delete answered, told of in 3 languages; a forged one refused");
}
