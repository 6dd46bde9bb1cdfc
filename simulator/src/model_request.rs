//! What a chat completion asks for, and the promises that the server makes about its requests.

use serde_json::Value;

/// The one model there is.
pub const MODEL_ID: &str = "simulated-1";
const SAFETY_IDENTIFIER_CHARS_MAX: usize = 64;

/// A well-formed request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ChatRequest {
    /// What the user said since the assistant's last message, line by line.
    pub said: String,
    pub stream: bool,
    pub include_usage: bool,
    pub tokens_max: Option<usize>,
    /// About how many tokens the messages have.
    pub prompt_tokens: usize,
}

/// A refusal as OpenAI words it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub status: u16,
    pub code: &'static str,
    pub param: Option<&'static str>,
    pub message: String,
}

fn bad(param: &'static str, code: &'static str, message: &str) -> Refusal {
    Refusal { status: 400, code, param: Some(param), message: message.to_owned() }
}

pub(crate) fn parse(body: &[u8]) -> Result<ChatRequest, Refusal> {
    let body: Value = serde_json::from_slice(body).map_err(|_| Refusal {
        status: 400,
        code: "invalid_json",
        param: None,
        message: "We could not parse the JSON body of your request.".to_owned(),
    })?;
    check_promises(&body)?;
    match body["model"].as_str() {
        Some(MODEL_ID) => {}
        Some(_) => {
            let message = format!("The model does not exist; the simulator has '{MODEL_ID}' alone.");
            return Err(Refusal { status: 404, ..bad("model", "model_not_found", &message) });
        }
        None => return Err(bad("model", "missing_required_parameter", "you must provide a model parameter")),
    }
    if !matches!(body.get("n").map(Value::as_u64), None | Some(Some(1))) {
        return Err(bad("n", "unsupported_value", "[simulated] the simulator makes one choice"));
    }
    let messages = body["messages"].as_array().filter(|messages| !messages.is_empty());
    let messages =
        messages.ok_or_else(|| bad("messages", "missing_required_parameter", "Missing 'messages'."))?;
    let tokens_max =
        body.get("max_completion_tokens").or_else(|| body.get("max_tokens")).and_then(Value::as_u64);
    let mut said = Vec::new();
    let mut prompt_chars = 0;
    for message in messages {
        let role = message["role"].as_str();
        let role = role.ok_or_else(|| bad("messages", "invalid_value", "Each message needs a 'role'."))?;
        let text = text_of(&message["content"]);
        prompt_chars += text.chars().count();
        match role {
            "assistant" => said.clear(),
            "user" => said.push(text),
            "system" | "developer" | "tool" => {}
            _ => return Err(bad("messages", "invalid_value", "A message has a 'role' that is not known.")),
        }
    }
    Ok(ChatRequest {
        said: said.join("\n"),
        stream: body["stream"].as_bool().unwrap_or(false),
        include_usage: body["stream_options"]["include_usage"].as_bool().unwrap_or(false),
        tokens_max: tokens_max.map(|tokens| usize::try_from(tokens).unwrap_or(usize::MAX)),
        prompt_tokens: prompt_chars.div_ceil(4) + 3 * messages.len(),
    })
}

/// The server promises not to have its requests stored, and to name people by a short digest alone.
fn check_promises(body: &Value) -> Result<(), Refusal> {
    if body["store"] != Value::Bool(false) {
        return Err(bad("store", "promise_broken", "[simulated] 'store' must be there and false"));
    }
    if body.get("user").is_some() {
        return Err(bad("user", "promise_broken", "[simulated] 'user' must not be sent"));
    }
    match body.get("safety_identifier") {
        None => Ok(()),
        Some(Value::String(text)) if text.chars().count() <= SAFETY_IDENTIFIER_CHARS_MAX => Ok(()),
        Some(_) => {
            let message = "'safety_identifier' must be a string of at most 64 characters";
            Err(bad("safety_identifier", "string_above_max_length", message))
        }
    }
}

/// The text of a message's content: a string, or parts of which some are text.
fn text_of(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => {
            parts.iter().filter_map(|part| part["text"].as_str()).collect::<Vec<_>>().join(" ")
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn request() -> Value {
        json!({"model": MODEL_ID, "store": false, "stream": true, "stream_options": {"include_usage": true},
               "messages": [{"role": "system", "content": "Be kind."},
                            {"role": "user", "content": "before"},
                            {"role": "assistant", "content": "yes"},
                            {"role": "user", "content": "one"},
                            {"role": "user", "content": [{"type": "text", "text": "two"}]}]})
    }

    #[test]
    fn the_words_since_the_last_answer_are_taken() {
        let parsed = parse(request().to_string().as_bytes()).unwrap();
        assert_eq!(parsed.said, "one\ntwo");
        assert!(parsed.stream && parsed.include_usage);
        assert_eq!(parsed.tokens_max, None);
    }

    #[test]
    fn broken_promises_and_malformed_requests_are_refused() {
        let table = [
            ("store", json!(null), "promise_broken"),
            ("store", json!(true), "promise_broken"),
            ("user", json!("ana"), "promise_broken"),
            ("safety_identifier", json!("x".repeat(65)), "string_above_max_length"),
            ("safety_identifier", json!(7), "string_above_max_length"),
            ("model", json!("gpt-5"), "model_not_found"),
            ("model", json!(null), "missing_required_parameter"),
            ("messages", json!([]), "missing_required_parameter"),
            ("messages", json!([{"content": "x"}]), "invalid_value"),
            ("messages", json!([{"role": "robot", "content": "x"}]), "invalid_value"),
            ("n", json!(2), "unsupported_value"),
        ];
        for (key, value, code) in table {
            let mut request = request();
            request[key] = value;
            let refused = parse(request.to_string().as_bytes()).unwrap_err();
            assert_eq!(refused.code, code, "{key}");
        }
        assert_eq!(parse(b"{").unwrap_err().code, "invalid_json");
        let mut absent = request();
        absent.as_object_mut().unwrap().remove("store");
        assert_eq!(parse(absent.to_string().as_bytes()).unwrap_err().code, "promise_broken");
    }
}
