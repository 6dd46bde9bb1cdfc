//! What people ask about their own data, while everything runs: a code that comes back in the conversation, a window
//! that lets nothing leave, and an assistant that is refused.

use iassistance::http::auth;
use iassistance_assistant::scripted::Behaviour;
use iassistance_domain::content::Content;
use iassistance_domain::key::Scope;
use iassistance_domain::message::Message;
use iassistance_domain::pii::Rights;
use iassistance_vault::SystemEntropy;
use serde_json::{Value, json};

use crate::harness::{Flow, NUMBERS, Options, messages, within};
use crate::products::{DAY_MS, flying};

const PERSON: &str = "15550199011";
const AT: i64 = 1_790_000_100;

struct Scene {
    flow: Flow,
    key: String,
    base: String,
    contact: String,
}

impl Scene {
    /// Somebody wrote, and was answered.
    async fn set(model: Vec<Behaviour>) -> Self {
        Self::with(model, &[]).await
    }

    /// The same with these settings.
    async fn with(model: Vec<Behaviour>, settings: &[&'static str]) -> Self {
        let flow = Flow::with(Options { model: Some(model), ..flying(settings) }).await;
        flow.post(messages(NUMBERS[0], PERSON, &[("wamid.r1", AT, "my order is 4410")])).await;
        flow.sends(1).await;
        flow.quiet(0).await;
        let tenant = Some(flow.tenants[0]);
        let scopes = vec![Scope::Dsar];
        let minted =
            auth::mint(&flow.app.keyring, &SystemEntropy, &flow.clock, "k".into(), tenant, scopes, None);
        let (key, plain) = minted.unwrap();
        flow.app.store.put_api_key(key).await.unwrap();
        let store = flow.store(0).await;
        let (conversation, _) = store.conversation(flow.conversation(0).await).await.unwrap().unwrap();
        let base = format!("/tenants/{}/rights", flow.tenants[0]);
        Self { flow, key: plain.expose().to_owned(), base, contact: conversation.contact.to_string() }
    }

    async fn opened(&self, right: &str) -> String {
        let body = json!({ "contact": self.contact, "right": right, "how": "staff" });
        let (status, case) = self.flow.api_with_key(&self.key, "POST", &self.base, Some(body)).await;
        assert_eq!(status, 201, "{case}");
        case["id"].as_str().unwrap().to_owned()
    }

    async fn step(&self, case: &str, body: Value) -> (u16, Value) {
        let path = format!("{}/{case}/steps", self.base);
        let (status, answer) = self.flow.api_with_key(&self.key, "POST", &path, Some(body)).await;
        (status.as_u16(), answer)
    }

    async fn case(&self, case: &str) -> Value {
        self.flow.api_with_key(&self.key, "GET", &format!("{}/{case}", self.base), None).await.1
    }

    /// The code in what was sent. Messages of one moment are in no order.
    async fn code(&self) -> String {
        let store = self.flow.store(0).await;
        let messages = store.messages(self.flow.conversation(0).await, None, 50).await.unwrap();
        let first_word = |message: Message| match message.content {
            Content::Text { body, .. } => body.reveal(Rights).split(' ').next().map(str::to_owned),
            _ => None,
        };
        let is_code = |word: &String| word.len() == 8 && word.bytes().all(|byte| byte.is_ascii_digit());
        messages.into_iter().filter_map(first_word).find(is_code).unwrap()
    }
}

#[actix::test]
async fn a_code_comes_back_in_the_conversation() {
    let scene = Scene::set(vec![Behaviour::Echo]).await;
    let case = scene.opened("access").await;
    let (status, shown) = scene.step(&case, json!({ "step": "send_code" })).await;
    assert_eq!(status, 200, "{shown}");
    scene.flow.sends(2).await;
    let code = scene.code().await;
    assert!(!scene.case(&case).await.to_string().contains(&code), "it is shown to nobody here");
    let wrong = if code == "00000000" { "00000001" } else { "00000000" };
    let said = [("wamid.r2", AT + 10, wrong), ("wamid.r3", AT + 11, &*code)];
    for (number, (id, at, text)) in said.into_iter().enumerate() {
        scene.flow.post(messages(NUMBERS[0], PERSON, &[(id, at, text)])).await;
        scene.flow.sends(3 + number).await;
        scene.flow.quiet(0).await;
        scene.flow.app.registrar.look_for_codes().await;
        let state = if number == 0 { "received" } else { "verified" };
        assert_eq!(scene.case(&case).await["state"], state, "{text}");
    }
    assert_eq!(scene.case(&case).await["proof"], json!({ "by": "code", "on_page": false }));
    let (status, _) = scene.step(&case, json!({ "step": "send_code" })).await;
    assert_eq!(status, 409, "it is proven");
    scene.flow.finish().await;
}

#[actix::test]
async fn a_code_is_awaited_after_a_restart_and_nothing_is_tried_twice() {
    let settings = ["rights.code_tries=2"];
    let scene = Scene::with(vec![Behaviour::Echo], &settings).await;
    let case = scene.opened("access").await;
    assert_eq!(scene.step(&case, json!({ "step": "send_code" })).await.0, 200);
    scene.flow.sends(2).await;
    let code = scene.code().await;
    let wrong = if code == "00000000" { "00000001" } else { "00000000" };
    scene.flow.post(messages(NUMBERS[0], PERSON, &[("wamid.r2", AT + 10, wrong)])).await;
    scene.flow.sends(3).await;
    scene.flow.quiet(0).await;
    scene.flow.app.registrar.look_for_codes().await;
    assert_eq!(scene.case(&case).await["code"]["tries_left"], 1);

    let Scene { flow, key, base, contact } = scene;
    let folder = Some(flow.finish().await);
    let again = Options { folder, later_ms: 60_000, model: Some(vec![Behaviour::Echo]), ..flying(&settings) };
    let scene = Scene { flow: Flow::with(again).await, key, base, contact };
    scene.flow.post(messages(NUMBERS[0], PERSON, &[("wamid.r3", AT + 70, &*code)])).await;
    scene.flow.sends(1).await;
    scene.flow.quiet(0).await;
    within("the code to be found", async {
        while scene.case(&case).await["state"] != "verified" {
            scene.flow.app.registrar.look_for_codes().await;
        }
    })
    .await;
    assert_eq!(scene.case(&case).await["proof"], json!({ "by": "code", "on_page": false }));
    scene.flow.finish().await;
}

#[actix::test]
async fn nobody_is_sent_more_codes_in_a_day_because_the_server_was_restarted() {
    let settings = ["rights.codes_per_day=2"];
    let scene = Scene::with(vec![Behaviour::Echo], &settings).await;
    let cases = [scene.opened("access").await, scene.opened("rectify").await];
    assert_eq!(scene.step(&cases[0], json!({ "step": "send_code" })).await.0, 200);
    scene.flow.sends(2).await;

    let Scene { flow, key, base, contact } = scene;
    let folder = Some(flow.finish().await);
    let again = Options { folder, later_ms: 60_000, ..flying(&settings) };
    let scene = Scene { flow: Flow::with(again).await, key, base, contact };
    scene.flow.app.registrar.remember().await;
    assert_eq!(scene.step(&cases[1], json!({ "step": "send_code" })).await.0, 200, "the second");
    let (status, problem) = scene.step(&cases[0], json!({ "step": "send_code" })).await;
    assert_eq!(status, 409, "{problem}");
    assert!(problem["detail"].as_str().is_some_and(|why| why.contains("as many codes")), "{problem}");
    scene.flow.clock.advance_millis(DAY_MS);
    let (_, problem) = scene.step(&cases[0], json!({ "step": "send_code" })).await;
    assert_eq!(problem["code"], "window_closed", "a day later only the channel refuses: {problem}");
    scene.flow.finish().await;
}

#[actix::test]
async fn where_the_window_is_closed_no_code_leaves_and_the_case_says_so() {
    let scene = Scene::set(vec![Behaviour::Echo]).await;
    let case = scene.opened("delete").await;
    scene.flow.clock.advance_millis(2 * DAY_MS);
    let (status, problem) = scene.step(&case, json!({ "step": "send_code" })).await;
    assert_eq!((status, problem["code"].as_str()), (409, Some("window_closed")));
    let shown = scene.case(&case).await;
    assert!(shown["code"]["not_sent"].as_str().is_some_and(|why| why.contains("too long ago")), "{shown}");
    assert_eq!(scene.flow.simulator.all_sends().len(), 1);
    scene.flow.finish().await;
}

#[actix::test]
async fn who_refuses_a_machine_is_answered_by_none() {
    let scene = Scene::set(vec![Behaviour::Echo]).await;
    let case = scene.opened("object").await;
    assert_eq!(scene.step(&case, json!({ "step": "see_document", "kind": "DNI" })).await.0, 200);
    let (status, shown) = scene.step(&case, json!({ "step": "refuse_assistant", "refused": true })).await;
    assert_eq!(status, 200, "{shown}");
    assert_eq!(scene.step(&case, json!({ "step": "answer", "text": "Done." })).await.0, 200);
    let flow = &scene.flow;
    let base = format!("/tenants/{}/conversations/{}", flow.tenants[0], flow.conversation(0).await);
    let (_, conversation) = flow.api("GET", &base, None).await;
    assert_eq!(conversation["control"]["reason"], "refused");
    assert_eq!(conversation["contact"]["standing"]["objected"], true);
    flow.api("POST", &format!("{base}/handback"), None).await;
    flow.post(messages(NUMBERS[0], PERSON, &[("wamid.r4", AT + 20, "are you there?")])).await;
    flow.event(0, |event| event["type"] == "message.received" && event["seq"].as_u64() > Some(6)).await;
    flow.quiet(0).await;
    assert_eq!(flow.simulator.all_sends().len(), 1, "nothing is said by a machine");
    let person = json!({ "operator": "Eva", "text": "I am Eva." });
    assert_eq!(flow.api("POST", &format!("{base}/messages"), Some(person)).await.0, 201);
    flow.sends(2).await;
    flow.quiet(0).await;
    scene.flow.finish().await;
}
