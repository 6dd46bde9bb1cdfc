//! Erasures and legal holds by REST.

use iassistance::http::auth;
use iassistance_assistant::scripted::Behaviour;
use iassistance_domain::conversation::Conversation;
use iassistance_domain::key::Scope;
use iassistance_domain::{Clock, Timestamp};
use iassistance_simulator::Act;
use iassistance_vault::SystemEntropy;
use serde_json::{Value, json};

use crate::harness::{Flow, NUMBERS, Options, within};
use crate::products::{DAY_MS, flying};

fn answering() -> Options {
    Options { model: Some(vec![Behaviour::Echo]), ..flying(&[]) }
}

impl Flow {
    /// Somebody wrote, and was answered.
    async fn talked(&self) -> Conversation {
        self.says("ana", NUMBERS[0], "my order is 4410");
        self.sends(1).await;
        self.still().await;
        self.conversation_on(NUMBERS[0]).await
    }

    /// A key of the first tenant.
    async fn key_with(&self, scope: Scope) -> String {
        let tenant = Some(self.tenants[0]);
        let minted =
            auth::mint(&self.app.keyring, &SystemEntropy, &self.clock, "k".into(), tenant, vec![scope], None);
        let (key, plain) = minted.unwrap();
        self.app.store.put_api_key(key).await.unwrap();
        plain.expose().to_owned()
    }

    fn of_tenant(&self, rest: &str) -> String {
        format!("/tenants/{}{rest}", self.tenants[0])
    }

    /// An erasure, once it is so far.
    async fn erasure_in(&self, id: &str, state: &str) -> Value {
        let key = self.key_with(Scope::Dsar).await;
        within("the erasure", async {
            loop {
                let (status, erasure) =
                    self.api_with_key(&key, "GET", &self.of_tenant(&format!("/erasures/{id}")), None).await;
                assert_eq!(status, 200, "{erasure}");
                if erasure["state"] == state {
                    return erasure;
                }
                tokio::task::yield_now().await;
            }
        })
        .await
    }
}

fn remains(erasure: &Value) -> Vec<&str> {
    let remains = erasure["receipt"]["remains"].as_array().unwrap().iter();
    remains.filter_map(|remains| remains["what"]["kind"].as_str()).collect()
}

#[actix::test]
async fn who_asked_for_silence_is_erased_and_not_written_to_first() {
    let flow = Flow::with(answering()).await;
    let (status, _) = flow.channel_api("POST", NUMBERS[0], "/test", None).await;
    assert_eq!(status, 200, "the templates are known");
    let first = flow.talked().await;
    flow.says("ana", NUMBERS[0], "baja");
    flow.event_named(0, "contact.opted_out").await;
    flow.still().await;
    let path = flow.of_tenant(&format!("/contacts/{}/erasure", first.contact));
    let ground = json!({ "ground": "They asked for it; file 12." });
    let (status, refused) = flow.api("POST", &path, Some(ground.clone())).await;
    assert_eq!((status.as_u16(), &refused["code"]), (403, &json!("forbidden")), "it needs the scope");
    let admin = flow.admin().await;
    let (status, erasure) = flow.api_as(&admin, "POST", &path, Some(ground.clone())).await;
    assert_eq!((status.as_u16(), &erasure["state"]), (200, &json!("erased")), "{erasure}");
    assert_eq!((&erasure["why"], &erasure["by"]["who"]), (&json!("asked"), &json!("account")));
    assert_eq!(remains(&erasure), ["key_epoch", "key_copies", "marks", "suppression", "ids"]);
    let (status, again) = flow.api_as(&admin, "POST", &path, Some(ground.clone())).await;
    assert_eq!((status.as_u16(), &again), (200, &erasure), "it is the same one");
    let (_, listed) = flow.api_as(&admin, "GET", &flow.of_tenant("/erasures?state=erased"), None).await;
    assert_eq!(listed["items"], json!([erasure]));
    let audit = flow.of_tenant("/audit?act=contact.erasure_asked");
    let (_, audit) = flow.api_as(&admin, "GET", &audit, None).await;
    assert_eq!(audit["items"][0]["reason"], "They asked for it; file 12.");
    assert_eq!(audit["items"][0]["object"], first.contact.to_string());
    let done = flow.of_tenant("/audit?act=contact.erased");
    let (_, done) = flow.api_as(&admin, "GET", &done, None).await;
    assert_eq!(done["items"][0]["object"], first.contact.to_string(), "it is on the record when it is begun");

    // The business writes to them on its own phone: they are somebody new, who refuses all the same.
    flow.act("ana", NUMBERS[0], Act::OwnerText { text: "We have news".into() });
    flow.event_named(0, "message.echoed").await;
    flow.still().await;
    let again = flow.conversation_on(NUMBERS[0]).await;
    assert!(again.contact != first.contact && again.opted_out());
    let offer = json!({ "content": { "type": "template", "name": "weekly_offer", "language": "en_US" } });
    let (status, refused) = flow.reply(again.id, offer).await;
    assert_eq!((status.as_u16(), &refused["code"]), (409, &json!("conflict")), "{refused}");
    flow.says("ana", NUMBERS[0], "is it ready?");
    flow.still().await;
    assert!(!flow.conversation_on(NUMBERS[0]).await.opted_out(), "who writes again may be answered");

    let count = flow.app.keeper.make_final(flow.tenants[0]).await.unwrap();
    assert_eq!(count, 1);
    let done = flow.erasure_in(erasure["id"].as_str().unwrap(), "final").await;
    assert_eq!(done["finality"], "local");
    let (status, _) = flow.api_as(&flow.admin().await, "POST", &path, Some(ground)).await;
    assert_eq!(status, 404, "nobody is there any more");
    assert!(!remains(&done).contains(&"key_epoch") && remains(&done).contains(&"suppression"));
    flow.finish().await;
}

#[actix::test]
async fn what_a_hold_covers_stays_until_it_is_released() {
    let flow = Flow::with(answering()).await;
    let talk = flow.talked().await;
    let admin = flow.admin().await;
    let (now, review_at) = (flow.clock.now(), flow.clock.now().plus_millis(90 * DAY_MS));
    let form = |review_at: Timestamp| {
        json!({
            "norm": "Ley 25.326 art. 16.5", "contact": talk.contact, "classes": ["message"],
            "proven_by": "Court file 12/2026", "review_at": review_at,
        })
    };
    let holds = flow.of_tenant("/holds");
    let (status, refused) = flow.api_as(&admin, "POST", &holds, Some(form(now))).await;
    assert_eq!((status.as_u16(), &refused["code"]), (422, &json!("invalid")), "{refused}");
    let (status, hold) = flow.api_as(&admin, "POST", &holds, Some(form(review_at))).await;
    assert_eq!((status.as_u16(), &hold["released_at"]), (201, &Value::Null), "{hold}");

    let key = flow.key_with(Scope::Dsar).await;
    let path = flow.of_tenant(&format!("/contacts/{}/erasure", talk.contact));
    let ground = json!({ "ground": "They asked for it." });
    let (status, erasure) = flow.api_with_key(&key, "POST", &path, Some(ground)).await;
    assert_eq!((status.as_u16(), &erasure["state"]), (200, &json!("held")), "{erasure}");
    assert_eq!((&erasure["hold"], &erasure["by"]["who"]), (&hold["id"], &json!("key")));
    let messages = flow.of_tenant(&format!("/conversations/{}/messages", talk.id));
    let (_, kept) = flow.api("GET", &messages, None).await;
    assert_eq!(kept["items"].as_array().unwrap().len(), 2, "{kept}");
    let turns = flow.of_tenant(&format!("/conversations/{}/turns", talk.id));
    let (_, gone) = flow.api("GET", &turns, None).await;
    assert_eq!(gone["items"], json!([]), "the hold does not cover these");

    let one = format!("{holds}/{}", hold["id"].as_str().unwrap());
    let (status, released) = flow.api_as(&admin, "DELETE", &one, None).await;
    assert_eq!((status.as_u16(), &released["released_by"]["who"]), (200, &json!("account")), "{released}");
    let again = flow.api_as(&admin, "DELETE", &one, None).await;
    assert_eq!((again.0.as_u16(), again.1), (200, released.clone()), "released is released");
    flow.erasure_in(erasure["id"].as_str().unwrap(), "erased").await;
    assert_eq!(flow.api("GET", &messages, None).await.0, 404);
    let (_, listed) = flow.api_as(&admin, "GET", &format!("{holds}?in_force=false"), None).await;
    assert_eq!(listed["items"], json!([released]));
    flow.finish().await;
}
