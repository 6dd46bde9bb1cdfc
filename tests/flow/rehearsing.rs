//! Rehearsals: what the assistant would say by other settings or with another model. Nothing of it is
//! sent, nothing but its cost is written, and no tool that changes something is called.

use std::process::Command;

use iassistance_domain::budget::{Budgets, Cost};
use iassistance_domain::tool::{HttpTool, ToolMethod};
use iassistance_simulator::{ScriptedAnswer, StandIn};
use serde_json::{Value, json};

use crate::harness::{Flow, Options, within};
use crate::trials::{ONE_A_TOKEN, configure, ended, sent};

const HERE: &str = "tools.private_hosts=[\"127.0.0.1\"]";

fn tool(flow: &Flow, name: &str, side_effects: bool) -> HttpTool {
    HttpTool {
        name: name.into(),
        description: format!("The {name}."),
        method: ToolMethod::Post,
        url: flow.simulator.tool_url(name),
        parameters: json!({ "type": "object" }),
        answer: None,
        secret: None,
        timeout_ms: 5_000,
        repeatable: false,
        side_effects,
        after_untrusted: true,
        trusted: true,
    }
}

/// A shop that has answered one question with its tools, and a question that needs a person.
async fn shop() -> Flow {
    let settings = vec![ONE_A_TOKEN, HERE];
    let flow = Flow::with(Options { settings, ..Options::default() }).await;
    configure(&flow, 0, |settings| {
        settings.tools = vec![tool(&flow, "order", true), tool(&flow, "stock", false)];
        settings.built_in.attributes = true;
    })
    .await;
    flow.simulator.set_tool("order", StandIn::answering(json!({ "ordered": true }))).unwrap();
    flow.simulator.set_tool("stock", StandIn::answering(json!({ "left": 3 }))).unwrap();
    let ordering = ScriptedAnswer::says("order", "Ordered, it comes on Monday.")
        .calling("stock", json!({}))
        .calling("order", json!({}))
        .calling("set_contact_attribute", json!({ "name": "size", "value": "42" }));
    let bluntly = ScriptedAnswer::says("order", "We have no shoes.").of_model("simulated-2");
    flow.simulator.set_answers(vec![bluntly, ordering]);
    flow.simulator.say("ana", "I want to order shoes.").unwrap();
    flow.sends(1).await;
    ended(&flow, 0, 1).await;
    // The last that Meta reports of the answer.
    flow.event(0, |event| event["delivery"]["status"] == "read").await;
    flow.quiet(0).await;
    assert_eq!((flow.simulator.tool_calls("order").len(), flow.simulator.tool_calls("stock").len()), (1, 1));
    flow
}

/// Everything that a rehearsal must leave as it is.
async fn all(flow: &Flow) -> (Vec<Value>, Vec<String>, usize, String) {
    let conversation = flow.conversation(0).await;
    let store = flow.store(0).await;
    let turns = store.turns(conversation, None, 100).await.unwrap();
    let contact = store.conversation(conversation).await.unwrap().unwrap().0.contact;
    let contact = serde_json::to_string(&store.contact(contact).await.unwrap()).unwrap();
    (flow.events(0).await, sent(flow), turns.len(), contact)
}

async fn spent(flow: &Flow) -> u64 {
    let path = format!("/tenants/{}/spending?days=1", flow.tenants[0]);
    flow.api("GET", &path, None).await.1["days"][0]["spent"].as_u64().unwrap()
}

async fn rehearse(flow: &Flow, body: Value) -> Value {
    let path = format!("/tenants/{}/rehearsals", flow.tenants[0]);
    let (status, body) = flow.api("POST", &path, Some(body)).await;
    assert_eq!(status, 200, "{body}");
    body
}

#[actix::test]
async fn a_rehearsal_answers_with_tools_and_leaves_everything_as_it_is() {
    let flow = shop().await;
    let (before, paid) = (all(&flow).await, spent(&flow).await);
    let said = rehearse(&flow, json!({ "question": "I want to order shoes." })).await;
    assert_eq!(said["text"], "[simulated] Ordered, it comes on Monday.");
    assert_eq!(said["tools"], json!(["stock", "order", "set_contact_attribute"]));
    assert_eq!((&said["handed_over"], &said["problem"]), (&json!(false), &Value::Null));
    // What only looks is asked, what changes something is not.
    assert_eq!((flow.simulator.tool_calls("order").len(), flow.simulator.tool_calls("stock").len()), (1, 2));
    let cost = said["cost"].as_u64().unwrap();
    assert!(
        cost > 0 && said["input_tokens"].as_u64().unwrap() + said["output_tokens"].as_u64().unwrap() == cost
    );
    assert_eq!(spent(&flow).await, paid + cost, "it is paid for");

    // By another model, after what was said before, by settings that do not count.
    let by = json!({ "model": "simulated-2" });
    let said = rehearse(&flow, json!({ "question": "I want to order shoes.", "by": by })).await;
    assert_eq!((&said["text"], &said["tools"]), (&json!("[simulated] We have no shoes."), &json!([])));
    let history = json!([{ "by": "contact", "text": "Hello" }, { "by": "operator", "text": "I am Bea." }]);
    rehearse(&flow, json!({ "question": "Who are you?", "history": history })).await;
    let asked = flow.simulator.chats().pop().unwrap().body["messages"].to_string();
    assert!(
        asked.contains("Hello") && asked.contains("I am Bea.") && asked.contains("Who are you?"),
        "{asked}"
    );
    assert!(all(&flow).await == before);
    flow.finish().await;
}

#[actix::test]
async fn a_rehearsal_keeps_to_its_tenants_budget() {
    let flow = shop().await;
    let before = spent(&flow).await;
    configure(&flow, 0, |settings| {
        settings.budgets = Budgets { tenant_day: Some(Cost(before)), ..Budgets::default() }
    })
    .await;
    let requests = flow.simulator.state().model.requests;
    let said = rehearse(&flow, json!({ "question": "Are you open?" })).await;
    assert_eq!((&said["problem"], &said["cost"]), (&json!("the budget is spent"), &json!(0)), "{said}");
    assert_eq!((flow.simulator.state().model.requests, spent(&flow).await), (requests, before));
    flow.finish().await;
}

async fn golden(flow: &Flow, question: &str, expect: Value) {
    // They are in the order of their moments.
    flow.clock.advance_millis(1);
    let path = format!("/tenants/{}/golden", flow.tenants[0]);
    let (status, body) =
        flow.api("POST", &path, Some(json!({ "question": question, "expect": expect }))).await;
    assert_eq!(status, 201, "{body}");
}

/// Three questions: the second one fails, the third with another model.
async fn three_golden_questions(flow: &Flow) {
    golden(
        flow,
        "Are you open?",
        json!({ "contains": ["are you open"], "lacks": ["sorry"], "hands_over": false }),
    )
    .await;
    golden(flow, "Do you sell hats?", json!({ "contains": ["straw hats"], "characters_max": 10 })).await;
    golden(flow, "I want to order shoes.", json!({ "calls": "order", "contains": ["monday"] })).await;
}

#[actix::test]
async fn golden_questions_are_graded_by_their_traits() {
    let flow = shop().await;
    three_golden_questions(&flow).await;
    let (before, paid) = (all(&flow).await, spent(&flow).await);
    let run = async |by: Value| {
        let path = format!("/tenants/{}/golden/run", flow.tenants[0]);
        let (status, body) = flow.api("POST", &path, Some(json!({ "by": by }))).await;
        assert_eq!(status, 200, "{body}");
        body
    };
    let graded = run(json!({})).await;
    let passed: Vec<_> =
        graded["items"].as_array().unwrap().iter().map(|item| item["passed"].as_bool().unwrap()).collect();
    assert_eq!(
        (passed, &graded["passed"], &graded["failed"]),
        (vec![true, false, true], &json!(2), &json!(1))
    );
    let missing = graded["items"][1]["missing"].to_string();
    assert!(missing.contains("lacks \\\"straw hats\\\"") && missing.contains("more than 10"), "{missing}");
    let sum = &graded["sum"];
    assert_eq!((&sum["count"], &sum["problems"]), (&json!(3), &json!(0)));
    assert_eq!(spent(&flow).await, paid + sum["cost"].as_u64().unwrap());

    let other = run(json!({ "model": "simulated-2" })).await;
    let missing = &other["items"][2]["missing"];
    assert_eq!(
        (&other["passed"], missing),
        (&json!(1), &json!(["lacks \"monday\"", "did not call `order`"]))
    );
    assert!(all(&flow).await == before, "nothing is written and nothing sent");
    assert_eq!(flow.simulator.tool_calls("order").len(), 1);
    flow.finish().await;
}

/// Runs the command on a folder while the simulator goes on; its lines, and whether it was content.
async fn replay(flow: &Flow, folder: &std::path::Path, arguments: &[&str]) -> (Vec<Value>, bool) {
    let tenant = flow.tenants[0].to_string();
    let mut command = Command::new(env!("CARGO_BIN_EXE_iassistance"));
    command.env_clear().current_dir(folder).env("IASSISTANCE_ROOT_KEY", "7c".repeat(31) + "01");
    let at = |name: &str| folder.join(name).display().to_string();
    let settings = [
        format!("storage.path={}", at("store")),
        format!("vault.keyring_file={}", at("keyring.json")),
        format!("media.folder={}", at("media")),
        format!("meta.graph_base_url={}", flow.simulator.graph_url()),
        format!("model.base_url={}", flow.simulator.model_url()),
        "model.api_key=flow-model-key".to_owned(),
        "model.model=simulated-1".to_owned(),
        ONE_A_TOKEN.to_owned(),
        HERE.to_owned(),
    ];
    for setting in settings {
        command.args(["--set", &setting]);
    }
    command.args(["--json", "replay", "--tenant", &tenant]).args(arguments);
    let run = tokio::task::spawn_blocking(move || command.output().unwrap());
    let output = within("the command", run).await.unwrap();
    let lines = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(!lines.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    (lines, output.status.success())
}

#[actix::test]
async fn replay_lays_what_was_said_beside_what_would_be_said_and_says_what_it_costs() {
    let mut flow = shop().await;
    three_golden_questions(&flow).await;
    flow.simulator.say("ana", "Are you open?").unwrap();
    flow.sends(2).await;
    ended(&flow, 0, 2).await;
    flow.quiet(0).await;
    let (events, sends) = (flow.events(0).await.len(), sent(&flow));
    let orders = flow.simulator.tool_calls("order").len();
    // Its own keyring and store stay locked by this process.
    let folder = flow.end().await.copy();

    // The same again: the newest turn first, with what it had read before.
    let (lines, content) = replay(&flow, &folder.path, &[]).await;
    assert!(content && lines.len() == 3, "{lines:?}");
    let order = &lines[1]["compared"];
    assert_eq!(order["asked"], "I want to order shoes.");
    assert_eq!(
        (&order["then"]["text"], &order["likeness"], &order["differences"]),
        (&order["now"]["text"], &json!(100), &json!([]))
    );
    assert_eq!(order["then"]["tools"], order["now"]["tools"]);
    let sum = &lines[2]["sum"];
    assert_eq!((&sum["turns"], &sum["differing"], &sum["gone"]), (&json!(2), &json!(0), &json!(0)));
    for side in ["then", "now"] {
        let tokens =
            sum[side]["input_tokens"].as_u64().unwrap() + sum[side]["output_tokens"].as_u64().unwrap();
        assert!(sum[side]["cost"] == tokens && tokens > 0 && sum[side]["ms"].is_u64(), "{sum}");
    }

    // Another model: what differs is told besides its words.
    let (lines, content) = replay(&flow, &folder.path, &["--model", "simulated-2", "--limit", "5"]).await;
    let order = &lines[1]["compared"];
    assert!(content);
    assert_eq!(order["now"]["text"], "[simulated] We have no shoes.");
    assert!(order["likeness"].as_u64() < Some(60), "{order}");
    assert_eq!(order["differences"], json!(["tools: stock, order, set_contact_attribute → none"]));
    assert!(order["now"]["cost"].as_u64() < order["then"]["cost"].as_u64(), "{order}");
    assert_eq!(lines[2]["sum"]["differing"], 1);

    // Golden questions, by the settings that count and by others.
    let (lines, content) = replay(&flow, &folder.path, &["--golden", "--model", "simulated-2"]).await;
    assert!(!content, "one of them fails");
    let sum = &lines[3]["sum"];
    assert_eq!(
        (&sum["questions"], &sum["counting"]["passed"], &sum["tried"]["passed"]),
        (&json!(3), &json!(2), &json!(1))
    );
    let third = &lines[2]["graded"];
    assert_eq!((&third["counting"]["passed"], &third["tried"]["passed"]), (&json!(true), &json!(false)));

    // Nothing was sent and no tool that changes something was called; the store has what it had.
    assert_eq!((sent(&flow), flow.simulator.tool_calls("order").len()), (sends, orders));
    assert!(flow.simulator.tool_calls("stock").len() > 1);
    drop(flow);
    let settings = vec![ONE_A_TOKEN, HERE];
    let flow =
        Flow::with(Options { folder: Some(folder), settings, later_ms: 1_000, ..Options::default() }).await;
    assert_eq!(flow.events(0).await.len(), events);
    let conversation = flow.conversation(0).await;
    assert_eq!(flow.store(0).await.turns(conversation, None, 100).await.unwrap().len(), 2);
    assert_eq!(flow.simulator.all_sends().len(), 0);
    flow.finish().await;
}
