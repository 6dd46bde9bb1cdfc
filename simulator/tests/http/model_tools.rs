//! The model and tools: how calls are streamed, how results come back, what it does when nobody told it; images.

use iassistance_simulator::{Round, ScriptedAnswer, ScriptedCall, Simulator};
use serde_json::{Value, json};

use crate::model::{ask, events, request};
use crate::support::{Answer, get, post, settings, start};

const PNG: &str = "data:image/png;base64,iVBORw0KGgo=";

fn tool(name: &str) -> Value {
    json!({"type": "function", "function": {"name": name, "description": "x",
           "parameters": {"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"]}}})
}

/// A chat with these tools on offer.
pub fn offering(names: &[&str], said: &str) -> Value {
    let mut body = request(true);
    body["tools"] = names.iter().map(|name| tool(name)).collect();
    body["messages"] = json!([{"role": "system", "content": "Be kind."}, {"role": "user", "content": said}]);
    body
}

/// What a stream says: its words, its calls (id, name, arguments) and why it ended.
pub fn told(answer: &Answer) -> (String, Vec<(String, String, String)>, String) {
    let (mut words, mut calls, mut finish) = (String::new(), Vec::new(), String::new());
    for event in events(answer) {
        let choice = &event["choices"][0];
        words.push_str(choice["delta"]["content"].as_str().unwrap_or_default());
        finish.push_str(choice["finish_reason"].as_str().unwrap_or_default());
        for call in choice["delta"]["tool_calls"].as_array().into_iter().flatten() {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let arguments = text(&call["function"]["arguments"]);
            match calls.get_mut(usize::try_from(call["index"].as_u64().unwrap()).unwrap()) {
                None => {
                    assert_eq!((&call["type"], arguments.as_str()), (&json!("function"), ""));
                    calls.push((text(&call["id"]), text(&call["function"]["name"]), String::new()));
                }
                Some((_, _, whole)) => {
                    assert!(call.get("id").is_none() && call["function"].get("name").is_none());
                    whole.push_str(&arguments);
                }
            }
        }
    }
    (words, calls, finish)
}

/// The chat, once these calls were answered so.
fn answered(mut body: Value, calls: &[(String, String, String)], results: &[&str]) -> Value {
    let messages = body["messages"].as_array_mut().unwrap();
    let made: Vec<Value> = calls
        .iter()
        .map(|(id, name, arguments)| {
            json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}})
        })
        .collect();
    messages.push(json!({"role": "assistant", "content": null, "tool_calls": made}));
    for ((id, _, _), result) in calls.iter().zip(results) {
        messages.push(json!({"role": "tool", "tool_call_id": id, "content": result}));
    }
    body
}

async fn ask_well(simulator: &Simulator, body: &Value) -> Answer {
    let answer = ask(simulator, body).await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer
}

#[tokio::test]
async fn scripted_calls_are_streamed_bit_by_bit_and_their_results_quoted() {
    let (simulator, _clock) = start(settings()).await;
    let scripted = ScriptedAnswer::says("ORDER", "It is {result}, after {results} {braces}")
        .calling("find", json!({"id": "a rather long id, to be cut"}))
        .calling("status", json!({"id": "7"}));
    simulator.set_answers(vec![scripted]);
    let body = offering(&["find", "status"], "where is my order");
    let answer = ask_well(&simulator, &body).await;
    let pieces = events(&answer)
        .iter()
        .filter(|event| event["choices"][0]["delta"].get("tool_calls").is_some())
        .count();
    assert!(pieces >= 4, "a name and several bits of arguments: {pieces}");
    let (words, calls, finish) = told(&answer);
    assert_eq!((words.as_str(), finish.as_str(), calls.len()), ("", "tool_calls", 1));
    assert_eq!(
        serde_json::from_str::<Value>(&calls[0].2).unwrap(),
        json!({"id": "a rather long id, to be cut"})
    );

    let body = answered(body, &calls, &["order 7"]);
    let (_, calls, _) = told(&ask_well(&simulator, &body).await);
    assert_eq!((calls[0].1.as_str(), calls[0].2.as_str()), ("status", "{\"id\":\"7\"}"));
    let body = answered(body, &calls, &["sent {said}"]);
    let (words, calls, finish) = told(&ask_well(&simulator, &body).await);
    assert_eq!(words, "[simulated] It is sent {said}, after order 7\nsent {said} {braces}");
    assert_eq!((calls.len(), finish.as_str()), (0, "stop"));

    let chats = simulator.chats();
    assert_eq!(chats.iter().map(|chat| chat.results.len()).collect::<Vec<_>>(), [0, 1, 2]);
    assert!(chats.iter().all(|chat| chat.said == "where is my order" && chat.tools == ["find", "status"]));
    assert_eq!(simulator.state().model.tool_calls, 2);
}

#[tokio::test]
async fn several_tools_are_called_at_once_unless_that_is_forbidden() {
    let (simulator, _clock) = start(settings()).await;
    let call = |name: &str| ScriptedCall { name: name.into(), arguments: json!({"id": name}) };
    let round = Round { says: "One moment.".into(), calls: vec![call("a"), call("b")] };
    let scripted = json!([{"when_contains": "", "answer": "done", "rounds": [round]}]);
    assert_eq!(post(&simulator, "/sim/answers", &scripted).await.status, 200);
    let mut body = offering(&["a", "b"], "go");
    let (words, calls, _) = told(&ask_well(&simulator, &body).await);
    assert_eq!(words, "[simulated] One moment.");
    assert_eq!(calls.iter().map(|call| call.1.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    assert_ne!(calls[0].0, calls[1].0);

    body["parallel_tool_calls"] = json!(false);
    body["stream"] = json!(false);
    body.as_object_mut().unwrap().remove("stream_options");
    let whole = ask_well(&simulator, &body).await.json();
    let message = &whole["choices"][0]["message"];
    assert_eq!(
        (message["tool_calls"].as_array().map(Vec::len), &whole["choices"][0]["finish_reason"]),
        (Some(1), &json!("tool_calls"))
    );
    assert_eq!(message["tool_calls"][0]["function"], json!({"name": "a", "arguments": "{\"id\":\"a\"}"}));

    body["tool_choice"] = json!("none");
    let whole = ask_well(&simulator, &body).await.json();
    assert_eq!(whole["choices"][0]["message"]["content"], json!("[simulated] done"));
    body["tool_choice"] = json!({"type": "function", "function": {"name": "b"}});
    simulator.set_answers(Vec::new());
    let whole = ask_well(&simulator, &body).await.json();
    let made_up = json!({"name": "b", "arguments": "{\"id\":\"simulated\"}"});
    assert_eq!(whole["choices"][0]["message"]["tool_calls"][0]["function"], made_up);
}

#[tokio::test]
async fn left_to_itself_it_hands_over_and_looks_things_up_once() {
    let (simulator, _clock) = start(settings()).await;
    let all = ["handover_to_human", "search_knowledge", "set_contact_attribute"];
    let body = offering(&all, "¿Puedo hablar con una persona?");
    let (_, calls, _) = told(&ask_well(&simulator, &body).await);
    assert_eq!(calls[0].1, "handover_to_human");
    assert!(calls[0].2.contains("[simulated]"));

    let body = offering(&all, "When are you open?");
    let (_, calls, _) = told(&ask_well(&simulator, &body).await);
    assert_eq!(
        (calls[0].1.as_str(), calls[0].2.as_str()),
        ("search_knowledge", "{\"query\":\"When are you open?\"}")
    );
    let body = answered(body, &calls, &["Open from 9 to 18."]);
    let (words, calls, _) = told(&ask_well(&simulator, &body).await);
    assert_eq!(words, "[simulated] You said: When are you open? I found: Open from 9 to 18.");
    assert!(calls.is_empty());

    let (words, calls, _) = told(&ask_well(&simulator, &offering(&["other"], "a person? really")).await);
    assert_eq!((words.as_str(), calls.len()), ("[simulated] You said: a person? really", 0));
}

#[tokio::test]
async fn images_are_seen_counted_and_not_kept() {
    let (simulator, _clock) = start(settings()).await;
    let image = json!({"type": "image_url", "image_url": {"url": PNG, "detail": "low"}});
    let mut body = request(true);
    body["messages"] = json!([{"role": "user", "content": [{"type": "text", "text": "look"}, image, image]}]);
    let (words, _, _) = told(&ask_well(&simulator, &body).await);
    assert_eq!(words, "[simulated] I see 2 images. You said: look");
    let chats = get(&simulator, "/sim/chats").await.json();
    assert_eq!((&chats[0]["images"], simulator.state().model.images), (&json!(2), 2));
    assert!(!chats.to_string().contains("iVBORw0KGgo"));

    body["messages"][0]["content"][1]["image_url"]["url"] = json!("https://example.com/a.png");
    let refused = ask(&simulator, &body).await.unwrap();
    assert_eq!((refused.status, refused.json()["error"]["code"].as_str()), (400, Some("invalid_image_url")));
}

#[tokio::test]
async fn what_openai_would_refuse_is_refused() {
    let (simulator, _clock) = start(settings()).await;
    let call = json!({"id": "c", "type": "function", "function": {"name": "a", "arguments": "{}"}});
    let mut unanswered = offering(&["a"], "go");
    unanswered["messages"] =
        json!([{"role": "user", "content": "go"}, {"role": "assistant", "tool_calls": [call]}]);
    let mut misspelt = request(true);
    misspelt["max_tokns"] = json!(5);
    let mut unknown = request(true);
    unknown["model"] = json!("gpt-4.1-mini");
    for (body, status, param) in [
        (unanswered, 400, "messages"),
        (misspelt, 400, "max_tokns"),
        (unknown, 404, "model"),
        (offering(&["a b"], "go"), 400, "tools[0].function.name"),
    ] {
        let refused = ask(&simulator, &body).await.unwrap();
        assert_eq!((refused.status, refused.json()["error"]["param"].as_str()), (status, Some(param)));
    }
    assert_eq!(simulator.state().model.refused, 4);
    assert!(simulator.chats().is_empty());
}
