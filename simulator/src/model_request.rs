//! What a chat completion asks for, and the promises that the server makes about its requests.
//!
//! As strict as OpenAI, and in some things stricter: what the simulator does not do is refused, not ignored.

use serde_json::{Map, Value};

use crate::model_messages::{Exchange, read_messages};
use crate::model_refusal::Refusal;
use crate::model_tools::{OfferedTool, ToolChoice, read_choice, read_tools};

/// The model that is always listed; others are those whose names begin with [`MODEL_PREFIX`].
pub const MODEL_ID: &str = "simulated-1";
/// What the name of every chat model begins with.
pub const MODEL_PREFIX: &str = "simulated-";
const MODEL_CHARS_MAX: usize = 64;
const SAFETY_IDENTIFIER_CHARS_MAX: usize = 64;
/// About how many tokens an image has (OpenAI: images and vision, low detail).
const IMAGE_TOKENS: usize = 85;
/// What OpenAI knows (API reference, create chat completion).
const KNOWN: [&str; 31] = [
    "audio",
    "frequency_penalty",
    "logit_bias",
    "logprobs",
    "max_completion_tokens",
    "max_tokens",
    "messages",
    "metadata",
    "modalities",
    "model",
    "n",
    "parallel_tool_calls",
    "prediction",
    "presence_penalty",
    "prompt_cache_key",
    "reasoning_effort",
    "response_format",
    "safety_identifier",
    "seed",
    "service_tier",
    "stop",
    "store",
    "stream",
    "stream_options",
    "temperature",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "user",
    "verbosity",
];
/// What of it the simulator does not do.
const UNSUPPORTED: [&str; 6] = ["audio", "logprobs", "modalities", "prediction", "stop", "top_logprobs"];

/// A well-formed request.
#[derive(Debug, PartialEq)]
pub(crate) struct ChatRequest {
    pub model: String,
    pub exchange: Exchange,
    pub tools: Vec<OfferedTool>,
    pub choice: ToolChoice,
    /// Whether several tools may be called at once.
    pub parallel: bool,
    pub stream: bool,
    pub include_usage: bool,
    pub tokens_max: Option<usize>,
    /// About how many tokens the request has.
    pub prompt_tokens: usize,
}

impl ChatRequest {
    /// Whether an answer may call tools.
    pub fn may_call(&self) -> bool {
        !self.tools.is_empty() && self.choice != ToolChoice::None
    }

    /// The tool of this name, if it is offered.
    pub fn offered(&self, name: &str) -> Option<&OfferedTool> {
        self.tools.iter().find(|tool| self.may_call() && tool.name == name)
    }
}

pub(crate) fn parse(body: &Value) -> Result<ChatRequest, Refusal> {
    let map = body.as_object().ok_or_else(Refusal::no_json)?;
    check_promises(map)?;
    check_keys(map)?;
    let model = match given(map, "model") {
        Some(Value::String(model)) if is_model(model) => model.clone(),
        Some(Value::String(model)) => return Err(Refusal::no_model(model)),
        _ => return Err(Refusal::missing("model")),
    };
    check_numbers(map)?;
    let (stream, include_usage) = read_stream(map)?;
    let tools = read_tools(given(map, "tools"))?;
    let choice = read_choice(given(map, "tool_choice"), &tools)?;
    let parallel = match given(map, "parallel_tool_calls") {
        None => true,
        Some(_) if tools.is_empty() => {
            let message = "'parallel_tool_calls' is only allowed when 'tools' are specified.";
            return Err(Refusal::invalid("parallel_tool_calls", message));
        }
        Some(Value::Bool(parallel)) => *parallel,
        Some(_) => return Err(Refusal::bad("parallel_tool_calls", "invalid_type", "It must be a boolean.")),
    };
    let exchange = read_messages(given(map, "messages"))?;
    let tools_chars = given(map, "tools").map_or(0, |tools| tools.to_string().len());
    Ok(ChatRequest {
        prompt_tokens: (exchange.chars + tools_chars).div_ceil(4)
            + 3 * exchange.messages
            + IMAGE_TOKENS * exchange.images,
        tokens_max: tokens_max(map)?,
        model,
        exchange,
        tools,
        choice,
        parallel,
        stream,
        include_usage,
    })
}

/// A parameter that is there; `null` is none.
fn given<'a>(body: &'a Map<String, Value>, key: &str) -> Option<&'a Value> {
    body.get(key).filter(|value| !value.is_null())
}

/// Whether it is the name of one of the simulator's models.
pub(crate) fn is_model(name: &str) -> bool {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.');
    let rest = name.strip_prefix(MODEL_PREFIX).unwrap_or_default();
    !rest.is_empty() && name.len() <= MODEL_CHARS_MAX && rest.chars().all(plain)
}

/// The server promises not to have its requests stored, and to name people by a short digest alone.
fn check_promises(body: &Map<String, Value>) -> Result<(), Refusal> {
    if body.get("store") != Some(&Value::Bool(false)) {
        return Err(Refusal::promise("store", "'store' must be there and false"));
    }
    if body.contains_key("user") {
        return Err(Refusal::promise("user", "'user' must not be sent"));
    }
    if given(body, "metadata").is_some() {
        let message = "The 'metadata' parameter is only allowed when 'store' is enabled.";
        return Err(Refusal::invalid("metadata", message));
    }
    match given(body, "safety_identifier") {
        None => Ok(()),
        Some(Value::String(text)) if text.chars().count() <= SAFETY_IDENTIFIER_CHARS_MAX => Ok(()),
        Some(_) => {
            let message = "'safety_identifier' must be a string of at most 64 characters";
            Err(Refusal::bad("safety_identifier", "string_above_max_length", message))
        }
    }
}

fn check_keys(body: &Map<String, Value>) -> Result<(), Refusal> {
    if let Some(key) = body.keys().find(|key| !KNOWN.contains(&key.as_str())) {
        let message = format!("Unknown parameter: '{key}'.");
        return Err(Refusal::bad(key, "unknown_parameter", &message));
    }
    if let Some(key) = UNSUPPORTED.into_iter().find(|key| given(body, key).is_some()) {
        return Err(Refusal::unsupported(key));
    }
    match given(body, "response_format").map(|format| &format["type"]) {
        None => Ok(()),
        Some(Value::String(kind)) if kind == "text" => Ok(()),
        Some(_) => Err(Refusal::unsupported("response_format")),
    }
}

fn check_numbers(body: &Map<String, Value>) -> Result<(), Refusal> {
    if !matches!(given(body, "n").map(Value::as_u64), None | Some(Some(1))) {
        let message = "[simulated] the simulator makes one choice";
        return Err(Refusal::bad("n", "unsupported_value", message));
    }
    let ranges = [
        ("temperature", 0.0, 2.0),
        ("top_p", 0.0, 1.0),
        ("frequency_penalty", -2.0, 2.0),
        ("presence_penalty", -2.0, 2.0),
    ];
    for (key, least, most) in ranges {
        let Some(value) = given(body, key) else { continue };
        if !value.as_f64().is_some_and(|number| (least..=most).contains(&number)) {
            let message = format!("Invalid '{key}': a number from {least} to {most} is expected.");
            return Err(Refusal::bad(key, "decimal_out_of_range", &message));
        }
    }
    Ok(())
}

fn tokens_max(body: &Map<String, Value>) -> Result<Option<usize>, Refusal> {
    let given = match (given(body, "max_completion_tokens"), given(body, "max_tokens")) {
        (Some(_), Some(_)) => {
            let message =
                "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.";
            return Err(Refusal::invalid("max_tokens", message));
        }
        (Some(tokens), None) => ("max_completion_tokens", tokens),
        (None, Some(tokens)) => ("max_tokens", tokens),
        (None, None) => return Ok(None),
    };
    let (key, tokens) = given;
    let tokens = tokens.as_u64().filter(|tokens| *tokens > 0);
    let tokens = tokens.ok_or_else(|| {
        let message = format!("Invalid '{key}': integer below minimum value. Expected a value >= 1.");
        Refusal::bad(key, "integer_below_min_value", &message)
    })?;
    Ok(Some(usize::try_from(tokens).unwrap_or(usize::MAX)))
}

/// Whether the answer is streamed, and whether its usage is told.
fn read_stream(body: &Map<String, Value>) -> Result<(bool, bool), Refusal> {
    let stream = match given(body, "stream") {
        None => false,
        Some(Value::Bool(stream)) => *stream,
        Some(_) => return Err(Refusal::bad("stream", "invalid_type", "'stream' must be a boolean.")),
    };
    match given(body, "stream_options") {
        None => Ok((stream, false)),
        Some(_) if !stream => {
            let message = "The 'stream_options' parameter is only allowed when 'stream' is enabled.";
            Err(Refusal::invalid("stream_options", message))
        }
        Some(Value::Object(options)) => {
            let known = ["include_usage", "include_obfuscation"];
            let bad = options.iter().find(|(key, value)| {
                !known.contains(&key.as_str()) || !(value.is_boolean() || value.is_null())
            });
            if let Some((key, _)) = bad {
                let param = format!("stream_options.{key}");
                return Err(Refusal::bad(&param, "unknown_parameter", "It is not known, or no boolean."));
            }
            Ok((stream, options.get("include_usage") == Some(&Value::Bool(true))))
        }
        Some(_) => Err(Refusal::bad("stream_options", "invalid_type", "It must be an object.")),
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
        let parsed = parse(&request()).unwrap();
        assert_eq!(parsed.exchange.said, "one\ntwo");
        assert!(parsed.stream && parsed.include_usage && parsed.parallel);
        assert_eq!(parsed.tokens_max, None);
        let mut other = request();
        other["model"] = json!("simulated-small.2");
        assert_eq!(parse(&other).unwrap().model, "simulated-small.2");
    }

    #[test]
    fn broken_promises_and_malformed_requests_are_refused() {
        let table = [
            ("store", json!(null), "promise_broken"),
            ("store", json!(true), "promise_broken"),
            ("user", json!("ana"), "promise_broken"),
            ("metadata", json!({"contact": "ana"}), "invalid_value"),
            ("safety_identifier", json!("x".repeat(65)), "string_above_max_length"),
            ("safety_identifier", json!(7), "string_above_max_length"),
            ("model", json!("gpt-5"), "model_not_found"),
            ("model", json!("simulated-"), "model_not_found"),
            ("model", json!(null), "missing_required_parameter"),
            ("messages", json!([]), "missing_required_parameter"),
            ("messages", json!([{"content": "x"}]), "missing_required_parameter"),
            ("messages", json!([{"role": "robot", "content": "x"}]), "invalid_value"),
            ("n", json!(2), "unsupported_value"),
            ("temprature", json!(1), "unknown_parameter"),
            ("temperature", json!(2.5), "decimal_out_of_range"),
            ("max_completion_tokens", json!(0), "integer_below_min_value"),
            ("response_format", json!({"type": "json_object"}), "unsupported_parameter"),
            ("stop", json!("x"), "unsupported_parameter"),
            ("stream", json!(false), "invalid_value"),
            ("stream_options", json!({"usage": true}), "unknown_parameter"),
            ("tools", json!([]), "empty_array"),
            ("tool_choice", json!("auto"), "invalid_value"),
            ("parallel_tool_calls", json!(false), "invalid_value"),
        ];
        for (key, value, code) in table {
            let mut request = request();
            request[key] = value;
            let refused = parse(&request).unwrap_err();
            assert_eq!(refused.code, code, "{key}");
        }
        let mut nothing = request();
        for key in ["temperature", "tools", "tool_choice", "n", "stop", "max_tokens"] {
            nothing[key] = json!(null);
        }
        assert!(parse(&nothing).is_ok());
        assert_eq!(parse(&json!([])).unwrap_err().code, "invalid_json");
        let mut absent = request();
        absent.as_object_mut().unwrap().remove("store");
        assert_eq!(parse(&absent).unwrap_err().code, "promise_broken");
        let mut both = request();
        both["max_tokens"] = json!(5);
        both["max_completion_tokens"] = json!(5);
        assert_eq!(parse(&both).unwrap_err().code, "invalid_value");
    }
}
