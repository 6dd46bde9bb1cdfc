//! Backups of the running server, by the clock and when asked for, and one tenant put back from them.

use iassistance_actors::hub::Batch;
use iassistance_assistant::scripted::Behaviour;
use iassistance_domain::event::EventSeq;
use iassistance_storage::backup::new_identity;
use reqwest::StatusCode;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{Flow, NUMBERS, Options, messages, within};

/// A flow with a place for backups, and what opens them.
struct Kept {
    flow: Flow,
    platform: String,
    identity: String,
    folder: TempDir,
}

impl Kept {
    async fn start(model: Vec<Behaviour>, every_minutes: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (secret, recipient) = new_identity();
        let identity = folder.path().join("identity");
        std::fs::write(&identity, secret.expose()).unwrap();
        let settings = [
            format!("backup.to={}", folder.path().join("backups").display()),
            format!("backup.recipients=[\"{recipient}\"]"),
            format!("backup.every_minutes={every_minutes}"),
        ];
        let settings = settings.map(|setting| &*setting.leak()).to_vec();
        let flow = Flow::with(Options { settings, model: Some(model), ..Options::default() }).await;
        let platform = flow.platform_key().await;
        let identity = identity.display().to_string();
        Self { flow, platform, identity, folder }
    }

    async fn ask(&self, method: &str, path: &str, body: Option<Value>) -> (StatusCode, Value) {
        self.flow.api_with_key(&self.platform, method, path, body).await
    }

    /// Waits until so many backups are listed; they, newest first.
    async fn listed(&self, count: usize) -> Vec<Value> {
        within("a backup", async {
            loop {
                let (status, list) = self.ask("GET", "/backups", None).await;
                assert_eq!((status, &list["failure"]), (StatusCode::OK, &Value::Null));
                let items = list["items"].as_array().unwrap().clone();
                if items.len() >= count && list["busy"] == false {
                    assert_eq!(items.len(), count);
                    return items;
                }
                tokio::task::yield_now().await;
            }
        })
        .await
    }

    async fn backup(&self, count: usize) -> Vec<Value> {
        // Those of one moment have no order.
        self.flow.clock.advance_millis(1);
        let (status, _) = self.ask("POST", "/backups", None).await;
        assert_eq!(status, StatusCode::ACCEPTED);
        self.listed(count).await
    }

    async fn restore(&self, body: Value) -> (StatusCode, Value) {
        self.ask("POST", &format!("/tenants/{}/restore", self.flow.tenants[0]), Some(body)).await
    }

    async fn says(&self, number: usize, wamid: &str, words: &str) {
        let at = iassistance_domain::Clock::now(&self.flow.clock).as_millis() / 1_000;
        let body = messages(NUMBERS[number], "5491155550000", &[(wamid, at, words)]);
        assert_eq!(self.flow.post(body).await.status(), 200);
    }

    async fn words(&self, tenant: usize) -> usize {
        let store = self.flow.store(tenant).await;
        match store.conversations(None, 10).await.unwrap().first() {
            Some(conversation) => store.messages(conversation.id, None, 100).await.unwrap().len(),
            None => 0,
        }
    }
}

#[actix_web::test]
async fn one_tenant_is_put_back_and_goes_on_while_the_others_never_stopped() {
    let kept = Kept::start(vec![Behaviour::Echo; 6], 0).await;
    let flow = &kept.flow;
    kept.says(0, "wamid.1", "one").await;
    kept.says(1, "wamid.2", "of another").await;
    flow.sends(2).await;
    flow.quiet(0).await;
    flow.quiet(1).await;
    let first = kept.backup(1).await;
    assert_eq!(first[0]["kind"], "base");
    assert!(first[0]["verified_at"].as_i64().unwrap() >= first[0]["at"].as_i64().unwrap());
    let then = kept.words(0).await;

    kept.says(0, "wamid.3", "two").await;
    kept.says(1, "wamid.4", "of another, later").await;
    flow.sends(4).await;
    flow.quiet(0).await;
    flow.quiet(1).await;
    let both = kept.backup(2).await;
    assert_eq!((&both[0]["kind"], &both[0]["base"]), (&json!("increment"), &first[0]["id"]));
    let (now, others) = (kept.words(0).await, kept.words(1).await);
    assert_eq!(now, then + 2);

    let mut watching = {
        let store = flow.store(0).await;
        flow.app.engine.hub().subscribe(flow.tenants[0], store, None)
    };
    let body = json!({ "backup": first[0]["id"], "identity_file": kept.identity });
    let (status, restored) = kept.restore(body).await;
    assert_eq!(status, StatusCode::OK, "{restored}");
    assert_eq!((&restored["backup"], &restored["created"]), (&first[0]["id"], &json!(false)));
    let told = within("who watches to be told", watching.next(64)).await.unwrap();
    assert!(matches!(told, Batch::Closed), "its log is another");
    assert_eq!((kept.words(0).await, kept.words(1).await), (then, others), "the other tenant is as it was");

    // It goes on from there, and Meta repeats what it does not know any more.
    kept.says(0, "wamid.3", "two").await;
    flow.sends(5).await;
    flow.quiet(0).await;
    assert_eq!(kept.words(0).await, now);
    let events = flow.events(0).await;
    let seqs: Vec<_> = events.iter().map(|event| event["seq"].as_u64().unwrap()).collect();
    assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>(), "the log has no gap");
    let third = kept.backup(3).await;
    assert_eq!(third[0]["kind"], "increment", "what was put back is a change like any other");
    let Kept { mut flow, folder, .. } = kept;
    flow.forgive_duplicates();
    flow.finish().await;
    drop(folder);
}

/// A turn is under way when its conversation is put back to before it: nothing of it is said.
#[actix_web::test]
async fn a_turn_under_way_stands_aside() {
    let kept = Kept::start(vec![Behaviour::Hang, Behaviour::Echo], 0).await;
    let flow = &kept.flow;
    kept.backup(1).await;
    kept.says(0, "wamid.1", "never answered").await;
    flow.event_named(0, "turn.started").await;
    assert_eq!(flow.app.engine.live_conversations(), 1);
    let (status, restored) = kept.restore(json!({ "identity_file": kept.identity })).await;
    assert_eq!(status, StatusCode::OK, "{restored}");
    assert_eq!(kept.words(0).await, 0);
    flow.quiet(0).await;
    kept.says(0, "wamid.2", "answered").await;
    flow.sends(1).await;
    let store = flow.store(0).await;
    assert_eq!(store.conversations(None, 10).await.unwrap().len(), 1);
    assert!(store.events(EventSeq(0), 100).await.unwrap().len() > 2);
    drop(store);
    let Kept { flow, folder, .. } = kept;
    flow.finish().await;
    drop(folder);
}

#[actix_web::test]
async fn the_clock_makes_backups_and_refusals_say_what_to_do() {
    let kept = Kept::start(vec![Behaviour::Echo; 2], 5).await;
    let flow = &kept.flow;
    kept.says(0, "wamid.1", "one").await;
    flow.sends(1).await;
    flow.quiet(0).await;
    assert!(kept.listed(0).await.is_empty(), "not at the start");
    for count in 1..=2 {
        flow.clock.advance_millis(5 * 60_000);
        kept.listed(count).await;
    }
    let refused = |answer: (StatusCode, Value), status: u16, words: &str| {
        assert_eq!(answer.0, status, "{}", answer.1);
        let detail = answer.1["detail"].as_str().unwrap_or_default().to_owned();
        assert!(detail.contains(words), "{detail}");
    };
    refused(kept.restore(json!({})).await, 422, "backup.identity_file");
    let nowhere = json!({ "identity_file": "/nowhere/identity" });
    refused(kept.restore(nowhere).await, 422, "/nowhere/identity");
    let (secret, _) = new_identity();
    let other = kept.folder.path().join("other");
    std::fs::write(&other, secret.expose()).unwrap();
    refused(kept.restore(json!({ "identity_file": other })).await, 422, "was made for age1");
    let early = json!({ "identity_file": kept.identity, "at": 1 });
    refused(kept.restore(early).await, 404, "none so old");
    let own = flow.api("POST", &format!("/tenants/{}/restore", flow.tenants[0]), Some(json!({}))).await;
    refused(own, 403, "platform");
    refused(flow.api("GET", "/backups", None).await, 403, "platform");
    assert_eq!(kept.words(0).await, 2, "nothing was changed by that");
    let Kept { flow, folder, .. } = kept;
    flow.finish().await;
    drop(folder);
}
