//! Rectification: what is wrong is corrected for good, version by version; while it is disputed that is seen wherever
//! the record is shown; and those who got it hear of it.

use iassistance_domain::Pii;
use iassistance_domain::channel::StoredSecret;
use iassistance_domain::event::{EventKind, EventSeq};
use iassistance_domain::id::{ContactId, ConversationId, SubscriptionId};
use iassistance_domain::key::Scope;
use iassistance_domain::privacy::{Handed, Recipient};
use iassistance_domain::subscription::{Delivery, DeliveryState, Subscription, SubscriptionState};
use iassistance_domain::tenant::TenantCtx;
use iassistance_domain::{Clock, pii::Rights};
use serde_json::{Value, json};

use crate::book::Proof;
use crate::people::{of, phone, secret};
use crate::served::{Ask, Served, id_of};
use crate::support::{START, channel_id, identity, known_by_id, step, wrote};

const HOOK: SubscriptionId = SubscriptionId::from_bytes([5; 16]);

struct Scene {
    served: Served,
    contact: ContactId,
    conversation: ConversationId,
    key: String,
    paths: usize,
}

impl Scene {
    async fn set() -> Self {
        let served = Served::open(2, &[]).await;
        let conversation = served.conversation(1, 0).await;
        let store = of(&served.vaulted, 1).await;
        let contact = store.conversation(conversation).await.unwrap().unwrap().0.contact;
        let subscription = Subscription {
            id: HOOK,
            // It is paused: nothing leaves in this test but what the test says.
            url: Pii::new("https://crm.test/hook".to_owned()),
            kinds: vec!["privacy.correct".to_owned()],
            secrets: vec![StoredSecret::new("whsec_dGVzdA==")],
            state: SubscriptionState::Paused,
            created_at: START,
            description: String::new(),
        };
        store.hooks().put_subscription(subscription).await.unwrap();
        let ctx = TenantCtx::platform(id_of(1));
        let ledger = served.vaulted.store.leaving();
        ledger.disclose(ctx, contact, Recipient::META, Handed::Message).await.unwrap();
        let scopes = [Scope::Read, Scope::Dsar];
        let key = served.key(Some(id_of(1)), &scopes).await;
        Self { served, contact, conversation, key, paths: 0 }
    }

    async fn get(&self, path: &str) -> String {
        let path = format!("/v1/tenants/{}{path}", id_of(1));
        let answer = self.served.ask("GET", &path, Ask { key: &self.key, ..Ask::default() }).await;
        assert!(answer.status.is_success(), "{path}: {} {}", answer.status, answer.text);
        answer.text
    }

    async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        let path = format!("/v1/tenants/{}{path}", id_of(1));
        let ask = Ask { key: &self.key, json: Some(body), ..Ask::default() };
        let answer = self.served.ask("POST", &path, ask).await;
        (answer.status.as_u16(), answer.json())
    }

    async fn step(&self, case: &str, body: Value) -> Value {
        let (status, case) = self.post(&format!("/rights/{case}/steps"), body).await;
        assert_eq!(status, 200, "{case}");
        case
    }

    /// Everything that shows a contact, by where it does.
    async fn shown(&mut self) -> Vec<(String, String)> {
        let mut shown = Vec::new();
        for path in [
            format!("/contacts/{}", self.contact),
            "/contacts".to_owned(),
            format!("/conversations/{}", self.conversation),
            "/conversations".to_owned(),
            "/export/contacts".to_owned(),
            "/export/conversations".to_owned(),
        ] {
            let text = self.get(&path).await;
            shown.push((path, self.own(&text)));
        }
        let bundle = self.served.app.registrar.bundle(
            id_of(1),
            self.contact,
            iassistance_domain::account::Language::En,
        );
        let bundle = bundle.await.unwrap().json();
        shown.push(("what the person gets".to_owned(), bundle["contacts"].to_string()));
        self.paths = shown.len();
        shown
    }

    /// Of a list or an export, what is about this contact.
    fn own(&self, text: &str) -> String {
        let id = self.contact.to_string();
        let about = |value: &&Value| value.to_string().contains(&format!("\"id\":\"{id}\""));
        let mut own = Vec::new();
        for line in text.lines() {
            let value: Value = serde_json::from_str(line).unwrap();
            match value["items"].as_array() {
                Some(items) => own.extend(items.iter().filter(about).cloned()),
                None => own.extend(Some(value).filter(|value| about(&value))),
            }
        }
        assert_eq!(own.len(), 1, "{text}");
        own[0].to_string()
    }
}

#[actix_web::test]
async fn promise_21() {
    let proof = Proof::of(21);
    let mut scene = Scene::set().await;
    let (contact, wrong) = (scene.contact, format!("name {}", secret(1, 0)));
    for (path, text) in scene.shown().await {
        assert!(text.contains(&wrong) && !text.contains("under_review"), "{path}: {text}");
    }
    let new = json!({ "contact": contact.to_string(), "right": "rectify", "how": "staff" });
    let (status, case) = scene.post("/rights", new).await;
    assert_eq!((status, case["state"].as_str()), (201, Some("received")));
    let id = case["id"].as_str().unwrap().to_owned();
    let early = json!({ "step": "correct", "fields": { "profile_name": "x" } });
    let (status, _) = scene.post(&format!("/rights/{id}/steps"), early).await;
    assert_eq!(status, 409, "nothing is corrected for who proved nothing");
    scene.step(&id, json!({ "step": "see_document", "kind": "DNI" })).await;
    for (path, text) in scene.shown().await {
        assert!(text.contains("under_review") && text.contains(&wrong), "{path}: {text}");
    }
    scene.step(&id, json!({ "step": "dispute", "mark": "blocked" })).await;
    for (path, text) in scene.shown().await {
        let is_the_persons = path.starts_with("what");
        assert!(text.contains("\"blocked\"") && text.contains(&wrong) == is_the_persons, "{path}: {text}");
    }
    let fields = json!({ "profile_name": "Ada Lovelace", "city": "Rosario" });
    let case = scene.step(&id, json!({ "step": "correct", "fields": fields })).await;
    let recipients: Vec<_> =
        case["told"].as_array().unwrap().iter().map(|it| it["recipient"].clone()).collect();
    assert!(recipients.contains(&json!("meta")) && recipients.contains(&json!(format!("webhook {HOOK}"))));

    what_is_corrected_stays(&scene).await;
    recipients_are_told(&scene, &id, &case).await;

    scene.step(&id, json!({ "step": "answer", "text": "It is corrected." })).await;
    for (path, text) in scene.shown().await {
        assert!(!text.contains("under_review") && !text.contains("\"blocked\""), "{path}: {text}");
        assert!(text.contains("Ada Lovelace") && !text.contains(&wrong), "{path}: {text}");
    }
    let corrections = scene.get(&format!("/contacts/{contact}/corrections")).await;
    let corrections: Value = serde_json::from_str(&corrections).unwrap();
    assert_eq!(corrections.as_array().unwrap().len(), 2);
    assert!(corrections.to_string().contains(&wrong), "what it said before is kept");
    the_log_tells(&scene).await;
    let paths = scene.paths;
    scene.served.close().await;
    proof.kept(format!(
        "{paths} ways to read, each in 4 states; 2 fields, corrected for good; 2 recipients told"
    ));
}

/// Neither the channel nor the assistant brings back what was corrected.
async fn what_is_corrected_stays(scene: &Scene) {
    let store = of(&scene.served.vaulted, 1).await;
    let name = format!("name {}", secret(1, 0));
    let again = known_by_id(wrote(identity(&phone(1, 0)), Some(&name), "again"));
    store.accept(channel_id(1), &[again]).await.unwrap();
    scene.served.app.engine.ring(id_of(1), &[scene.conversation]);
    crate::served::until("the letter is read", async || {
        store.inbox(scene.conversation, 9).await.unwrap().is_empty()
    })
    .await;
    loop {
        let mut commit = step(&*store, scene.conversation).await;
        commit.attributes.push(("city".to_owned(), Pii::new("Madrid".to_owned())));
        commit.attributes.push(("pet".to_owned(), Pii::new("a cat".to_owned())));
        if store.commit(commit).await.is_ok() {
            break;
        }
    }
    let contact = store.contact(scene.contact).await.unwrap().unwrap();
    assert_eq!(contact.profile_name.unwrap().reveal(Rights), "Ada Lovelace");
    assert_eq!(contact.attributes["city"].reveal(Rights), "Rosario");
    assert_eq!(contact.attributes["pet"].reveal(Rights), "a cat", "what was not corrected may be noted");
}

async fn recipients_are_told(scene: &Scene, id: &str, case: &Value) {
    let due = case["told"][0]["due_at"].as_i64().unwrap();
    assert!(due > scene.served.clock.now().as_millis(), "there is a time for it");
    let told = json!({ "step": "told", "recipient": "meta", "proof": "form of Meta, 12 March" });
    scene.step(id, told.clone()).await;
    let (status, _) = scene.post(&format!("/rights/{id}/steps"), told).await;
    assert_eq!(status, 409, "once");
    // The client's own system takes the event: its delivery is the proof.
    let store = of(&scene.served.vaulted, 1).await;
    let events = store.events(EventSeq::default(), usize::MAX).await.unwrap();
    let event = events.iter().find(|it| matches!(it.kind, EventKind::PrivacyCorrect { .. })).unwrap();
    let mut delivery = Delivery::new(HOOK, event.seq, event.conversation, scene.served.clock.now());
    delivery.state = DeliveryState::Delivered;
    store.hooks().take_up(HOOK, vec![delivery], event.seq).await.unwrap();
    scene.served.app.registrar.round().await;
    let shown: Value = serde_json::from_str(&scene.get(&format!("/rights/{id}")).await).unwrap();
    for told in shown["told"].as_array().unwrap() {
        let awaited = told["recipient"] == "meta" || told["recipient"] == format!("webhook {HOOK}");
        assert_eq!(awaited, !told["told_at"].is_null(), "{told}");
    }
}

async fn the_log_tells(scene: &Scene) {
    let store = of(&scene.served.vaulted, 1).await;
    let events = store.events(EventSeq::default(), usize::MAX).await.unwrap();
    let count = |name: &str| events.iter().filter(|event| event.kind.name() == name).count();
    assert_eq!(count("contact.standing_changed"), 4, "under review, blocked, corrected, decided");
    assert_eq!(count("privacy.correct"), 1);
}
