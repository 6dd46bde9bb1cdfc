//! The tools that a chat completion offers (OpenAI: function calling).

use serde_json::{Map, Value, json};

use crate::model_refusal::Refusal;

const TOOLS_MAX: usize = 128;
const NAME_CHARS_MAX: usize = 64;
const DESCRIPTION_CHARS_MAX: usize = 1_024;
/// How deep made-up arguments go.
const DEPTH_MAX: u32 = 5;

/// A tool that is offered.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct OfferedTool {
    pub name: String,
    parameters: Value,
}

/// Whether tools are to be called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ToolChoice {
    Auto,
    None,
    Required,
    Named(String),
}

impl OfferedTool {
    /// Arguments that fit its schema, as far as simple ones can.
    pub fn made_up(&self) -> Value {
        made_up(&self.parameters, 0)
    }
}

fn made_up(schema: &Value, depth: u32) -> Value {
    if let Some(first) = schema["enum"].as_array().and_then(|values| values.first()) {
        return first.clone();
    }
    if let Some(constant) = schema.get("const").or_else(|| schema.get("default")) {
        return constant.clone();
    }
    let kind = match &schema["type"] {
        Value::Array(kinds) => kinds.first().and_then(Value::as_str),
        kind => kind.as_str(),
    };
    match kind {
        Some("string") => {
            let least = schema["minLength"].as_u64().map_or(0, |least| usize::try_from(least).unwrap_or(0));
            let most = schema["maxLength"].as_u64().map_or(9, |most| usize::try_from(most).unwrap_or(9));
            Value::String("simulated".chars().cycle().take(9.clamp(least, most.max(least))).collect())
        }
        Some("integer") => schema.get("minimum").cloned().unwrap_or_else(|| json!(1)),
        Some("number") => schema.get("minimum").cloned().unwrap_or_else(|| json!(1.0)),
        Some("boolean") => json!(true),
        Some("null") => Value::Null,
        Some("array") if depth < DEPTH_MAX => {
            let least = schema["minItems"].as_u64().unwrap_or(1).min(10);
            Value::Array((0..least).map(|_| made_up(&schema["items"], depth + 1)).collect())
        }
        Some("array") => json!([]),
        _ if depth < DEPTH_MAX => {
            let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
            let each = required.map(|key| (key.to_owned(), made_up(&schema["properties"][key], depth + 1)));
            Value::Object(each.collect::<Map<_, _>>())
        }
        _ => json!({}),
    }
}

pub(crate) fn read_tools(tools: Option<&Value>) -> Result<Vec<OfferedTool>, Refusal> {
    let Some(tools) = tools else { return Ok(Vec::new()) };
    let tools =
        tools.as_array().ok_or_else(|| Refusal::bad("tools", "invalid_type", "It must be an array."))?;
    if tools.is_empty() {
        return Err(Refusal::bad("tools", "empty_array", "Invalid 'tools': empty array."));
    }
    if tools.len() > TOOLS_MAX {
        return Err(Refusal::bad("tools", "array_above_max_length", "At most 128 tools are taken."));
    }
    let mut offered: Vec<OfferedTool> = Vec::with_capacity(tools.len());
    for (index, tool) in tools.iter().enumerate() {
        let tool = read_tool(tool, &format!("tools[{index}]"))?;
        if offered.iter().any(|other| other.name == tool.name) {
            let message = "[simulated] two tools have the same name";
            return Err(Refusal::invalid(&format!("tools[{index}].function.name"), message));
        }
        offered.push(tool);
    }
    Ok(offered)
}

fn read_tool(tool: &Value, at: &str) -> Result<OfferedTool, Refusal> {
    if tool["type"] != "function" {
        return Err(Refusal::invalid(&format!("{at}.type"), "Supported values are: 'function'."));
    }
    let at = format!("{at}.function");
    let function = tool["function"].as_object().ok_or_else(|| Refusal::missing(&at))?;
    let known = ["name", "description", "parameters", "strict"];
    if let Some(key) = function.keys().find(|key| !known.contains(&key.as_str())) {
        let param = format!("{at}.{key}");
        return Err(Refusal::bad(&param, "unknown_parameter", &format!("Unknown parameter: '{param}'.")));
    }
    let name = function.get("name").and_then(Value::as_str);
    let name = name.ok_or_else(|| Refusal::missing(&format!("{at}.name")))?;
    let plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-');
    if name.is_empty() || name.len() > NAME_CHARS_MAX || !name.chars().all(plain) {
        let message = format!(
            "Invalid '{at}.name': string does not match pattern. Expected '^[a-zA-Z0-9_-]+$', at most 64 characters."
        );
        return Err(Refusal::invalid(&format!("{at}.name"), &message));
    }
    match function.get("description") {
        None => {}
        Some(Value::String(text)) if text.chars().count() <= DESCRIPTION_CHARS_MAX => {}
        Some(_) => {
            let message = "It is a string of at most 1024 characters.";
            return Err(Refusal::bad(&format!("{at}.description"), "string_above_max_length", message));
        }
    }
    let parameters = function.get("parameters").cloned().unwrap_or_else(|| json!({"type": "object"}));
    let bad = |message: &str| {
        let message = format!("Invalid schema for function '{name}': {message}");
        Refusal::bad(&format!("{at}.parameters"), "invalid_function_parameters", &message)
    };
    if parameters["type"] != "object" {
        return Err(bad("schema must be a JSON Schema of 'type: \"object\"'."));
    }
    match function.get("strict") {
        None | Some(Value::Null | Value::Bool(false)) => {}
        Some(Value::Bool(true)) => check_strict(&parameters, 0).map_err(bad)?,
        Some(_) => return Err(Refusal::bad(&format!("{at}.strict"), "invalid_type", "It is a boolean.")),
    }
    Ok(OfferedTool { name: name.to_owned(), parameters })
}

/// A strict schema leaves nothing open (OpenAI: structured outputs, supported schemas).
fn check_strict(schema: &Value, depth: u32) -> Result<(), &'static str> {
    if depth > 10 {
        return Err("there are at most 10 levels of nesting.");
    }
    if let Some(properties) = schema["properties"].as_object() {
        let required = schema["required"].as_array();
        let is_required = |key: &String| required.is_some_and(|list| list.iter().any(|name| name == key));
        if !properties.keys().all(is_required) {
            return Err("'required' is required to be supplied and to include every key in properties.");
        }
        for property in properties.values() {
            check_strict(property, depth + 1)?;
        }
    }
    if schema["type"] == "object" && schema["additionalProperties"] != Value::Bool(false) {
        return Err("'additionalProperties' is required to be supplied and to be false.");
    }
    if schema["items"].is_object() { check_strict(&schema["items"], depth + 1) } else { Ok(()) }
}

pub(crate) fn read_choice(choice: Option<&Value>, tools: &[OfferedTool]) -> Result<ToolChoice, Refusal> {
    let Some(choice) = choice else { return Ok(ToolChoice::Auto) };
    if tools.is_empty() {
        let message =
            "Invalid value for 'tool_choice': 'tool_choice' is only allowed when 'tools' are specified.";
        return Err(Refusal::invalid("tool_choice", message));
    }
    match choice {
        Value::String(word) if word == "auto" => Ok(ToolChoice::Auto),
        Value::String(word) if word == "none" => Ok(ToolChoice::None),
        Value::String(word) if word == "required" => Ok(ToolChoice::Required),
        Value::Object(_) if choice["type"] == "function" => {
            let name = choice["function"]["name"].as_str().unwrap_or_default();
            if tools.iter().any(|tool| tool.name == name) {
                return Ok(ToolChoice::Named(name.to_owned()));
            }
            let message = "Invalid value for 'tool_choice': the tool was not found in the list of tools.";
            Err(Refusal::invalid("tool_choice", message))
        }
        _ => Err(Refusal::invalid("tool_choice", "Supported values are: 'none', 'auto' and 'required'.")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tool(name: &str, parameters: &Value) -> Value {
        json!({"type": "function", "function": {"name": name, "description": "x", "parameters": parameters}})
    }

    #[test]
    fn tools_are_read_and_arguments_made_up() {
        let parameters = json!({"type": "object", "required": ["id", "kind", "count", "lines"], "properties": {
            "id": {"type": "string", "maxLength": 4}, "kind": {"enum": ["b", "c"]}, "other": {"type": "string"},
            "count": {"type": ["integer", "null"], "minimum": 3},
            "lines": {"type": "array", "items": {"type": "object", "required": ["x"],
                                                 "properties": {"x": {"type": "boolean"}}}}}});
        let tools = read_tools(Some(&json!([tool("order", &parameters)]))).unwrap();
        let made = json!({"id": "simu", "kind": "b", "count": 3, "lines": [{"x": true}]});
        assert_eq!(tools[0].made_up(), made);
        let named = json!({"type": "function", "function": {"name": "order"}});
        assert_eq!(read_choice(Some(&named), &tools), Ok(ToolChoice::Named("order".into())));
        assert_eq!(read_choice(Some(&json!("none")), &tools), Ok(ToolChoice::None));
    }

    #[test]
    fn malformed_tools_are_refused() {
        let object = json!({"type": "object"});
        let mut strict = tool("x", &json!({"type": "object", "properties": {"a": {"type": "string"}}}));
        strict["function"]["strict"] = json!(true);
        let mut more = tool("x", &object);
        more["function"]["retries"] = json!(1);
        for (tools, code) in [
            (json!({}), "invalid_type"),
            (json!([]), "empty_array"),
            (json!([{"type": "web_search"}]), "invalid_value"),
            (json!([tool("", &object)]), "invalid_value"),
            (json!([tool("a b", &object)]), "invalid_value"),
            (json!([tool(&"a".repeat(65), &object)]), "invalid_value"),
            (json!([tool("a", &object), tool("a", &object)]), "invalid_value"),
            (json!([tool("a", &json!({"type": "string"}))]), "invalid_function_parameters"),
            (json!([strict]), "invalid_function_parameters"),
            (json!([more]), "unknown_parameter"),
        ] {
            assert_eq!(read_tools(Some(&tools)).unwrap_err().code, code, "{tools}");
        }
        let tools = read_tools(Some(&json!([tool("a", &object)]))).unwrap();
        for choice in [json!("always"), json!({"type": "function", "function": {"name": "b"}})] {
            assert!(read_choice(Some(&choice), &tools).is_err(), "{choice}");
        }
    }
}
