//! The messages of a chat completion: who speaks when, what tools answered, what is shown.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use crate::model_refusal::Refusal;

const MESSAGES_MAX: usize = 2_048;
const CALLS_MAX: usize = 128;
const NAME_CHARS_MAX: usize = 64;
/// OpenAI: images and vision.
const IMAGE_BYTES_MAX: usize = 20 * 1024 * 1024;
const KEYS: [&str; 6] = ["role", "content", "name", "tool_calls", "tool_call_id", "refusal"];

/// What was said since the assistant's last answer, and how much there is in all. An assistant's message that calls
/// tools is no answer yet.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Exchange {
    /// What the user said, line by line.
    pub said: String,
    /// How many images came with it.
    pub shown: usize,
    /// What tools answered: their names, and the texts.
    pub results: Vec<(String, String)>,
    /// How many times tools were called.
    pub rounds: usize,
    /// The same of the whole request.
    pub images: usize,
    pub messages: usize,
    pub chars: usize,
}

impl Exchange {
    /// Whether a tool was called already.
    pub fn called(&self, name: &str) -> bool {
        self.results.iter().any(|(tool, _)| tool == name)
    }
}

/// A message's text and its images.
#[derive(Default)]
struct Said {
    text: String,
    images: usize,
}

pub(crate) fn read_messages(messages: Option<&Value>) -> Result<Exchange, Refusal> {
    let messages = messages.and_then(Value::as_array).filter(|messages| !messages.is_empty());
    let messages = messages.ok_or_else(|| Refusal::missing("messages"))?;
    if messages.len() > MESSAGES_MAX {
        return Err(Refusal::bad("messages", "array_above_max_length", "There are too many messages."));
    }
    let mut exchange = Exchange::default();
    let mut said = Vec::new();
    // The calls that wait for their answers: ids and tools.
    let mut open: Vec<(String, String)> = Vec::new();
    for (index, message) in messages.iter().enumerate() {
        let at = format!("messages[{index}]");
        let message = message.as_object().ok_or_else(|| Refusal::invalid(&at, "A message is an object."))?;
        check_keys(message, &at)?;
        let role = message.get("role").and_then(Value::as_str);
        let role = role.ok_or_else(|| Refusal::missing(&format!("{at}.role")))?;
        if role != "tool" {
            all_answered(&open, &at)?;
        }
        let content = read_content(message, role, &at)?;
        exchange.chars += content.text.chars().count();
        exchange.images += content.images;
        match role {
            "system" | "developer" => {}
            "user" => {
                exchange.shown += content.images;
                said.push(content.text);
            }
            "assistant" => match read_calls(message, &at)? {
                Some(calls) => {
                    exchange.rounds += 1;
                    open = calls;
                }
                None => {
                    said.clear();
                    exchange =
                        Exchange { chars: exchange.chars, images: exchange.images, ..Exchange::default() };
                }
            },
            "tool" => {
                let tool = answered(&mut open, message, &at)?;
                exchange.results.push((tool, content.text));
            }
            _ => {
                return Err(Refusal::invalid(
                    &format!("{at}.role"),
                    "A message has a 'role' that is not known.",
                ));
            }
        }
    }
    all_answered(&open, "messages")?;
    exchange.said = said.join("\n");
    exchange.messages = messages.len();
    Ok(exchange)
}

fn check_keys(message: &Map<String, Value>, at: &str) -> Result<(), Refusal> {
    if let Some(key) = message.keys().find(|key| !KEYS.contains(&key.as_str())) {
        let param = format!("{at}.{key}");
        return Err(Refusal::bad(&param, "unknown_parameter", &format!("Unknown parameter: '{param}'.")));
    }
    let role = message.get("role").and_then(Value::as_str).unwrap_or_default();
    for (key, only) in [("tool_calls", "assistant"), ("refusal", "assistant"), ("tool_call_id", "tool")] {
        if message.contains_key(key) && role != only {
            let param = format!("{at}.{key}");
            return Err(Refusal::invalid(
                &param,
                &format!("Only a message of the role '{only}' has '{key}'."),
            ));
        }
    }
    let fits = |name: &str| {
        let bad = |letter: char| letter.is_whitespace() || "<|\\/>".contains(letter);
        (1..=NAME_CHARS_MAX).contains(&name.chars().count()) && !name.contains(bad)
    };
    match message.get("name") {
        None => Ok(()),
        Some(Value::String(name)) if fits(name) => Ok(()),
        Some(_) => {
            let message = "Invalid 'name': string does not match pattern. Expected '^[^\\s<|\\\\/>]+$'.";
            Err(Refusal::invalid(&format!("{at}.name"), message))
        }
    }
}

/// Every call has to be answered before anything else is said.
fn all_answered(open: &[(String, String)], at: &str) -> Result<(), Refusal> {
    if open.is_empty() {
        return Ok(());
    }
    let ids: Vec<&str> = open.iter().map(|(id, _)| id.as_str()).collect();
    let message = format!(
        "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. \
         The following tool_call_ids did not have response messages: {}",
        ids.join(", ")
    );
    Err(Refusal::invalid(at, &message))
}

/// The tool whose call this message answers.
fn answered(
    open: &mut Vec<(String, String)>,
    message: &Map<String, Value>,
    at: &str,
) -> Result<String, Refusal> {
    let id = message.get("tool_call_id").and_then(Value::as_str);
    let id = id.ok_or_else(|| Refusal::missing(&format!("{at}.tool_call_id")))?;
    let place = open.iter().position(|(open, _)| open == id);
    let place = place.ok_or_else(|| {
        let message = "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with \
                       'tool_calls'.";
        Refusal::invalid(&format!("{at}.role"), message)
    })?;
    Ok(open.remove(place).1)
}

/// The calls of an assistant's message, ids and tools; nothing when it makes none.
fn read_calls(message: &Map<String, Value>, at: &str) -> Result<Option<Vec<(String, String)>>, Refusal> {
    let Some(calls) = message.get("tool_calls") else { return Ok(None) };
    let at = format!("{at}.tool_calls");
    let calls = calls.as_array().filter(|calls| !calls.is_empty());
    let calls = calls.ok_or_else(|| Refusal::bad(&at, "empty_array", "It must be an array with items."))?;
    if calls.len() > CALLS_MAX {
        return Err(Refusal::bad(&at, "array_above_max_length", "There are too many calls."));
    }
    let mut read: Vec<(String, String)> = Vec::with_capacity(calls.len());
    for (index, call) in calls.iter().enumerate() {
        let at = format!("{at}[{index}]");
        let text = |value: &Value| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        let (id, name) = (text(&call["id"]), text(&call["function"]["name"]));
        let (Some(id), Some(name)) = (id, name) else {
            return Err(Refusal::missing(&format!("{at}.id and .function.name")));
        };
        if call["type"] != "function" {
            return Err(Refusal::invalid(&format!("{at}.type"), "The type of a call is 'function'."));
        }
        if !call["function"]["arguments"].is_string() {
            let param = format!("{at}.function.arguments");
            return Err(Refusal::bad(&param, "invalid_type", "The arguments of a call are a string."));
        }
        if read.iter().any(|(other, _)| *other == id) {
            return Err(Refusal::invalid(&format!("{at}.id"), "Two calls have the same 'id'."));
        }
        read.push((id, name));
    }
    Ok(Some(read))
}

fn read_content(message: &Map<String, Value>, role: &str, at: &str) -> Result<Said, Refusal> {
    let at = format!("{at}.content");
    match message.get("content") {
        Some(Value::String(text)) => Ok(Said { text: text.clone(), images: 0 }),
        Some(Value::Array(parts)) if !parts.is_empty() => {
            let mut said = Said::default();
            let mut texts = Vec::new();
            for (index, part) in parts.iter().enumerate() {
                let at = format!("{at}[{index}]");
                match (part["type"].as_str(), role) {
                    (Some("text"), _) => {
                        let text = part["text"].as_str();
                        texts.push(text.ok_or_else(|| Refusal::missing(&format!("{at}.text")))?);
                    }
                    (Some("image_url"), "user") => {
                        check_image(&part["image_url"], &format!("{at}.image_url"))?;
                        said.images += 1;
                    }
                    (Some("image_url"), _) => {
                        let message = "Image URLs are only allowed for messages with role 'user', but this message \
                                       has another.";
                        return Err(Refusal::invalid(&at, message));
                    }
                    (Some("input_audio" | "file"), "user") => return Err(Refusal::unsupported(&at)),
                    _ => {
                        return Err(Refusal::invalid(
                            &format!("{at}.type"),
                            "The type of a part is not known.",
                        ));
                    }
                }
            }
            said.text = texts.join(" ");
            Ok(said)
        }
        None | Some(Value::Null) if role == "assistant" && message.contains_key("tool_calls") => {
            Ok(Said::default())
        }
        _ => {
            let message = format!("Invalid value for 'content': expected a string or parts at '{at}'.");
            Err(Refusal::bad(&at, "invalid_type", &message))
        }
    }
}

/// Images come inside the request: the simulator fetches nothing.
fn check_image(image: &Value, at: &str) -> Result<(), Refusal> {
    let url = image["url"].as_str().ok_or_else(|| Refusal::missing(&format!("{at}.url")))?;
    if !matches!(image.get("detail").map(Value::as_str), None | Some(Some("auto" | "low" | "high"))) {
        return Err(Refusal::invalid(&format!("{at}.detail"), "It is 'auto', 'low' or 'high'."));
    }
    let Some(rest) = url.strip_prefix("data:") else {
        let message = "[simulated] the simulator fetches nothing: images come as data: URLs";
        return Err(Refusal::bad(at, "invalid_image_url", message));
    };
    let bad = |message: &str| Refusal::bad(at, "invalid_image_format", message);
    let (mime, data) =
        rest.split_once(";base64,").ok_or_else(|| bad("Expected a base64-encoded data URL."))?;
    let bytes = STANDARD.decode(data).map_err(|_| bad("The image data is not valid base64."))?;
    if bytes.len() > IMAGE_BYTES_MAX {
        return Err(bad("The image is larger than 20 MB."));
    }
    let real = image_type(&bytes).ok_or_else(|| {
        bad("You uploaded an unsupported image. Please make sure your image has one of the following formats: \
             ['png', 'jpeg', 'gif', 'webp'].")
    })?;
    if real == mime {
        Ok(())
    } else {
        Err(bad("[simulated] the image is not of the type that its URL says."))
    }
}

/// What an image is, by its first bytes.
fn image_type(bytes: &[u8]) -> Option<&'static str> {
    if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
        return Some("image/png");
    }
    if bytes.starts_with(b"\xff\xd8\xff") {
        return Some("image/jpeg");
    }
    if bytes.starts_with(b"GIF87a") || bytes.starts_with(b"GIF89a") {
        return Some("image/gif");
    }
    (bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP")).then_some("image/webp")
}

/// Leaves the bytes of images out of a request, so that it can be kept.
pub(crate) fn without_images(body: &mut Value) {
    let messages = body["messages"].as_array_mut().into_iter().flatten();
    for part in messages.filter_map(|message| message["content"].as_array_mut()).flatten() {
        let Some(url) = part.pointer_mut("/image_url/url") else { continue };
        let short = url.as_str().and_then(|text| text.split_once(";base64,"));
        if let Some((kind, data)) = short {
            *url = Value::String(format!("{kind};base64,({} characters)", data.len()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const PNG: &str = "data:image/png;base64,iVBORw0KGgo=";

    fn call(id: &str, name: &str) -> Value {
        json!({"id": id, "type": "function", "function": {"name": name, "arguments": "{}"}})
    }

    fn read(messages: &Value) -> Result<Exchange, Refusal> {
        read_messages(Some(messages))
    }

    fn picture(url: &str) -> Value {
        json!([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}])
    }

    #[test]
    fn an_exchange_goes_on_through_its_calls_and_ends_with_an_answer() {
        let before = [
            json!({"role": "user", "content": "old"}),
            json!({"role": "assistant", "content": null, "tool_calls": [call("a", "one")]}),
            json!({"role": "tool", "tool_call_id": "a", "content": "old result"}),
            json!({"role": "assistant", "content": "old answer"}),
        ];
        let now = [
            json!({"role": "user", "content": "new"}),
            json!({"role": "assistant", "content": "wait", "tool_calls": [call("a", "one"), call("b", "two")]}),
            json!({"role": "tool", "tool_call_id": "b", "content": [{"type": "text", "text": "second"}]}),
            json!({"role": "tool", "tool_call_id": "a", "content": "first"}),
        ];
        let exchange = read(&json!([&before[..], &now[..]].concat())).unwrap();
        let pair = |tool: &str, text: &str| (tool.to_owned(), text.to_owned());
        assert_eq!(exchange.results, [pair("two", "second"), pair("one", "first")]);
        assert_eq!((exchange.said.as_str(), exchange.rounds, exchange.messages), ("new", 1, 8));
    }

    #[test]
    fn images_are_counted_when_they_are_images() {
        assert_eq!(read(&picture(PNG)).unwrap().images, 1);
        for (url, code) in [
            ("https://example.com/a.png", "invalid_image_url"),
            ("data:image/png,abc", "invalid_image_format"),
            ("data:image/png;base64,%", "invalid_image_format"),
            ("data:image/png;base64,AAAA", "invalid_image_format"),
            ("data:image/jpeg;base64,iVBORw0KGgo=", "invalid_image_format"),
        ] {
            assert_eq!(read(&picture(url)).unwrap_err().code, code, "{url}");
        }
        let mut body = json!({ "messages": picture(PNG) });
        without_images(&mut body);
        let kept = &body["messages"][0]["content"][0]["image_url"]["url"];
        assert_eq!(kept, "data:image/png;base64,(12 characters)");
    }

    #[test]
    fn calls_and_answers_have_to_match() {
        let calls = json!({"role": "assistant", "tool_calls": [call("a", "one")]});
        let answer = |id: &str| json!({"role": "tool", "tool_call_id": id, "content": "x"});
        let user = json!({"role": "user", "content": "x"});
        for (messages, words) in [
            (json!([user, calls]), "did not have response messages: a"),
            (json!([user, calls, user]), "did not have response messages: a"),
            (json!([user, answer("a")]), "must be a response to a preceeding message"),
            (json!([user, calls, answer("b")]), "must be a response to a preceeding message"),
            (json!([user, calls, answer("a"), answer("a")]), "must be a response to a preceeding message"),
            (json!([user, {"role": "assistant", "content": null}]), "expected a string or parts"),
            (json!([user, {"role": "assistant", "tool_calls": []}]), "It must be an array with items"),
            (json!([{"role": "user", "content": "x", "tool_calls": [call("a", "one")]}]), "Only a message"),
            (json!([{"role": "user", "content": "x", "name": "two words"}]), "Invalid 'name'"),
            (json!([{"role": "user", "content": "x", "nmae": "x"}]), "Unknown parameter"),
        ] {
            let refused = read(&messages).unwrap_err();
            assert!(refused.message.contains(words), "{words}: {}", refused.message);
        }
    }
}
