//! The assistant's settings: drafted, published, rolled back; a turn that runs keeps what it began with.

use iassistance_assistant::scripted::Behaviour;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::harness::{Flow, NUMBERS, Options, within};
use crate::products::flying;

/// The settings as REST takes them.
fn saying(instructions: &str, fallback: &str) -> Value {
    json!({
        "enabled": true, "task": "Answer questions about the shop.", "instructions": instructions,
        "model": null, "temperature": null, "base_url": null, "quiet_ms": 0, "cap_ms": 0,
        "output_tokens_max": 500, "prompt_tokens_max": 8_000, "fallback_text": fallback,
        "disclosure": { "enabled": true, "text": format!("{instructions} discloses."), "lapse_hours": 0 },
    })
}

impl Flow {
    async fn assistant_api(&self, method: &str, tail: &str, body: Option<Value>) -> (StatusCode, Value) {
        self.api(method, &format!("/tenants/{}/assistant{tail}", self.tenants[0]), body).await
    }

    /// A version is made; its number.
    async fn made(&self, method: &str, tail: &str, body: Option<Value>) -> u64 {
        let (status, answer) = self.assistant_api(method, tail, body).await;
        assert!(status.is_success(), "{tail}: {status} {answer}");
        answer["version"].as_u64().unwrap()
    }

    /// The versions of a conversation's turns, newest first.
    async fn versions_used(&self) -> Vec<u64> {
        let conversation = self.conversation(0).await;
        let path = format!("/tenants/{}/conversations/{conversation}/turns", self.tenants[0]);
        let page = self.api("GET", &path, None).await.1;
        page["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|turn| turn["settings_version"].as_u64().unwrap())
            .collect()
    }

    fn instructions_read(&self, call: usize) -> String {
        let system = self.model.calls()[call].messages[0].1.clone();
        system.rsplit_once("Instructions of the business:\n").unwrap().1.to_owned()
    }
}

async fn asked(flow: &Flow, text: &str, calls: usize) {
    flow.says("ana", NUMBERS[0], text);
    within("the model", async {
        while flow.model.calls().len() < calls {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[actix::test]
async fn a_running_turn_keeps_its_version_while_another_is_drafted_published_and_rolled_back() {
    let slowly = Behaviour::SayAfter { ms: 5_000, text: "Yes.".into() };
    let flow = Flow::with(Options { model: Some(vec![slowly]), ..flying(&[]) }).await;
    let one = flow.made("PUT", "", Some(saying("One", "First."))).await;
    asked(&flow, "Are you open?", 1).await;

    let (status, draft) = flow.assistant_api("PUT", "/draft", Some(saying("Two", "Second."))).await;
    assert_eq!((status.as_u16(), &draft["based_on"]), (200, &json!(one)), "{draft}");
    assert_eq!(flow.assistant_api("GET", "", None).await.1["instructions"], "One");
    let two = flow.made("POST", "/draft/publish", None).await;
    let published =
        flow.event(0, |event| event["type"] == "settings.changed" && event["version"] == two).await;
    assert_eq!((two, &published["version"]), (one + 1, &json!(two)));
    assert_eq!(flow.assistant_api("GET", "", None).await.1["instructions"], "Two");
    flow.sleeps_for(5_000).await;
    flow.clock.advance_millis(5_000);
    flow.sends(1).await;
    flow.still().await;
    assert_eq!(flow.simulator.all_sends()[0].text, "One discloses.\n\nYes.", "as the turn's version says it");

    asked(&flow, "And tomorrow?", 2).await;
    let three = flow.made("POST", "/rollback", Some(json!({ "version": one }))).await;
    assert_eq!(three, two + 1);
    flow.sleeps_for(5_000).await;
    flow.clock.advance_millis(5_000);
    flow.sends(2).await;
    flow.still().await;
    asked(&flow, "And on Sunday?", 3).await;
    flow.sleeps_for(5_000).await;
    flow.clock.advance_millis(5_000);
    flow.sends(3).await;
    flow.still().await;

    assert_eq!(flow.versions_used().await, [three, two, one]);
    let read: Vec<String> = (0..3).map(|call| flow.instructions_read(call)).collect();
    assert_eq!(read, ["One", "Two", "One"]);
    let (_, versions) = flow.assistant_api("GET", "/versions?limit=3", None).await;
    let listed: Vec<_> = versions["items"].as_array().unwrap().iter().collect();
    let rolled = listed.iter().map(|version| (version["version"].clone(), version["rolled_back_to"].clone()));
    assert_eq!(
        rolled.collect::<Vec<_>>(),
        [(json!(three), json!(one)), (json!(two), Value::Null), (json!(one), Value::Null)]
    );
    flow.finish().await;
}

#[actix::test]
async fn a_turn_that_fails_after_a_publication_says_its_own_version_s_words() {
    let settings = vec!["model.turn_ms=3000", "model.first_token_ms=3000"];
    let options = Options { settings, model: Some(vec![Behaviour::Hang]), ..Options::default() };
    let mut flow = Flow::with(options).await;
    flow.made("PUT", "", Some(saying("One", "First."))).await;
    asked(&flow, "Are you open?", 1).await;
    flow.made("PUT", "", Some(saying("Two", "Second."))).await;
    flow.sleeps_for(3_000).await;
    flow.clock.advance_millis(3_000);
    flow.sends(1).await;
    assert_eq!(flow.simulator.all_sends()[0].text, "One discloses.\n\nFirst.");
    flow.forgive_dead_letters(1);
    flow.still().await;
    flow.finish().await;
}
