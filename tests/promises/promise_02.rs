//! Clients answer for their own end users: a client with a credential of its own shows, hands out, corrects and erases
//! what it holds, and who runs the platform can do none of it for them unseen.

use iassistance::http::public::notice::LEGEND;
use iassistance_domain::key::Scope;
use serde_json::{Value, json};

use crate::book::Proof;
use crate::people::{of, phone, secret};
use crate::served::{Ask, Served, id_of, until};
use crate::support::{channel_id, identity, known_by_id, wrote};

#[actix_web::test]
async fn promise_02() {
    let proof = Proof::of(2);
    let served = Served::open(3, &[]).await;
    let own = served.key(Some(id_of(1)), &[Scope::Read, Scope::Dsar]).await;
    let foreign = served.key(Some(id_of(2)), &[Scope::Read, Scope::Dsar]).await;
    let platform = served.key(None, &[Scope::Platform]).await;
    let store = of(&served.vaulted, 1).await;
    let conversation = served.conversation(1, 0).await;
    let contact = store.conversation(conversation).await.unwrap().unwrap().0.contact;
    let base = format!("/v1/tenants/{}", id_of(1));
    let ask = async |key: &str, method: &str, path: &str, json: Option<Value>| {
        let answer = served.ask(method, &format!("{base}{path}"), Ask { key, json, ..Ask::default() }).await;
        (answer.status.as_u16(), answer)
    };
    let mut refused = 1;

    // What it tells its end users is drafted for it.
    let (status, notice) = ask(&own, "GET", "/notice?lang=es", None).await;
    assert_eq!(status, 200, "{}", notice.text);
    assert!(notice.json()["text"].as_str().unwrap().contains(LEGEND));
    assert_eq!(ask(&foreign, "GET", "/notice?lang=es", None).await.0, 404);

    // What they agreed to or refused is on the record.
    let silence = known_by_id(wrote(identity(&phone(1, 0)), None, "BAJA"));
    store.accept(channel_id(1), &[silence]).await.unwrap();
    served.app.engine.ring(id_of(1), &[conversation]);
    let consents = format!("/contacts/{contact}/consents");
    until("the refusal", async || ask(&own, "GET", &consents, None).await.1.text.contains("opted_out")).await;

    let new = json!({ "contact": contact.to_string(), "right": "access", "how": "staff" });
    for (key, status) in [(&foreign, 404), (&platform, 403)] {
        assert_eq!(ask(key, "POST", "/rights", Some(new.clone())).await.0, status);
        assert_eq!(ask(key, "GET", &consents, None).await.0, status);
        refused += 2;
    }
    let (status, case) = ask(&own, "POST", "/rights", Some(new)).await;
    assert_eq!(status, 201, "{}", case.text);
    let case = case.json()["id"].as_str().unwrap().to_owned();
    let data = format!("/rights/{case}/data");
    for (key, status) in [(&foreign, 404), (&platform, 403)] {
        assert_eq!(ask(key, "GET", &data, None).await.0, status);
        refused += 1;
    }
    let (status, handed) = ask(&own, "GET", &data, None).await;
    assert_eq!(status, 200);
    assert!(handed.text.contains(&format!("words {}", secret(1, 0))) && !handed.text.contains(&secret(1, 1)));
    let (status, page) = ask(&own, "GET", &format!("{data}?form=html&lang=en"), None).await;
    assert_eq!(status, 200);
    assert!(page.text.contains("<h2 id=\"messages\">Messages</h2>"));
    let steps = format!("/rights/{case}/steps");
    let seen = json!({ "step": "see_document", "kind": "passport" });
    assert_eq!(ask(&own, "POST", &steps, Some(seen)).await.0, 200);
    assert_eq!(ask(&own, "POST", &steps, Some(json!({ "step": "answer" }))).await.0, 200);

    // Erased, by the client alone.
    let new = json!({ "contact": contact.to_string(), "right": "delete", "how": "staff" });
    let case = ask(&own, "POST", "/rights", Some(new)).await.1.json()["id"].as_str().unwrap().to_owned();
    let steps = format!("/rights/{case}/steps");
    assert_eq!(ask(&own, "POST", &steps, Some(json!({ "step": "erase" }))).await.0, 409, "it is not proven");
    for body in [json!({ "step": "see_document", "kind": "passport" }), json!({ "step": "erase" })] {
        for (key, status) in [(&foreign, 404), (&platform, 403)] {
            assert_eq!(ask(key, "POST", &steps, Some(body.clone())).await.0, status);
            refused += 1;
        }
        let (status, answer) = ask(&own, "POST", &steps, Some(body)).await;
        assert_eq!(status, 200, "{}", answer.text);
    }
    let (status, done) =
        ask(&own, "POST", &steps, Some(json!({ "step": "answer", "text": "It is gone." }))).await;
    assert_eq!(status, 200, "{}", done.text);
    assert!(done.json()["erasure"].as_str().is_some_and(|id| id.starts_with("era_")));
    assert_eq!(ask(&own, "GET", &format!("/contacts/{contact}"), None).await.0, 404);
    assert!(!ask(&own, "GET", "/events", None).await.1.text.contains(&secret(1, 0)));
    // Who runs the platform sees that there are cases and when they are due, for that is theirs to keep.
    for (sought, found) in
        [("due=over", 2), ("state=answered", 2), ("state=answered&right=delete", 1), ("state=received", 0)]
    {
        let listed = ask(&own, "GET", &format!("/rights?{sought}"), None).await.1.json();
        assert_eq!(listed["items"].as_array().unwrap().len(), found, "{sought}");
    }
    served.close().await;
    proof.kept(format!(
        "export, consents, notice and erasure by the client; {refused} requests of others refused"
    ));
}
