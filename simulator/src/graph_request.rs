//! What a `POST /{version}/{phone_number_id}/messages` asks for, read as strictly as Meta reads it.
//!
//! Stricter than Meta in one thing: a key that it does not know is refused, so that a misspelt one is found.

use serde_json::{Map, Value};

use crate::contacts::phone_digits;
use crate::core::TEXT_CHARS_MAX;
use crate::graph_error::GraphError;

const OPAQUE_CHARS_MAX: usize = 512;
const KEYS: [&str; 10] = [
    "messaging_product",
    "recipient_type",
    "to",
    "recipient",
    "type",
    "text",
    "context",
    "biz_opaque_callback_data",
    "status",
    "message_id",
];
/// What Meta takes and the simulator does not yet.
const OTHER_TYPES: [&str; 10] = [
    "audio",
    "contacts",
    "document",
    "image",
    "interactive",
    "location",
    "reaction",
    "sticker",
    "template",
    "video",
];

/// A well-formed request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum GraphRequest {
    /// Marks an inbound message as read, perhaps with a typing indicator.
    Read { message_id: String, typing: bool },
    /// Sends a text.
    Send(SendText),
}

/// A text to send.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SendText {
    pub recipient: Recipient,
    pub body: String,
    pub opaque: Option<String>,
    pub quoting: Option<String>,
}

/// Whom it goes to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Recipient {
    /// A phone number: as it was written, and its digits.
    Phone { input: String, digits: String },
    /// A business-scoped user id.
    User(String),
}

pub(crate) fn parse(body: &[u8]) -> Result<GraphRequest, GraphError> {
    let value: Value =
        serde_json::from_slice(body).map_err(|_| GraphError::param("The request body is not valid JSON."))?;
    let Value::Object(body) = value else {
        return Err(GraphError::param("The request body must be a JSON object."));
    };
    match body.get("messaging_product").and_then(Value::as_str) {
        Some("whatsapp") => {}
        Some(_) => return Err(GraphError::param("Param messaging_product must be one of {WHATSAPP}")),
        None => return Err(GraphError::param("The parameter messaging_product is required.")),
    }
    if body.contains_key("status") { parse_read(&body) } else { parse_send(&body).map(GraphRequest::Send) }
}

fn parse_read(body: &Map<String, Value>) -> Result<GraphRequest, GraphError> {
    only(body, &["messaging_product", "status", "message_id", "typing_indicator"], "")?;
    if body.get("status").and_then(Value::as_str) != Some("read") {
        return Err(GraphError::param("Param status must be one of {READ}"));
    }
    let message_id = body.get("message_id").and_then(Value::as_str).filter(|id| !id.is_empty());
    let message_id = message_id.ok_or_else(|| GraphError::param("The parameter message_id is required."))?;
    let typing = match body.get("typing_indicator") {
        None => false,
        Some(indicator) if indicator.get("type").and_then(Value::as_str) == Some("text") => true,
        Some(_) => return Err(GraphError::param("Param typing_indicator['type'] must be one of {TEXT}")),
    };
    Ok(GraphRequest::Read { message_id: message_id.to_owned(), typing })
}

fn parse_send(body: &Map<String, Value>) -> Result<SendText, GraphError> {
    let kind = body.get("type").and_then(Value::as_str);
    let kind = kind.ok_or_else(|| GraphError::missing("Parameter 'type' is mandatory for this request."))?;
    if OTHER_TYPES.contains(&kind) {
        return Err(GraphError::unsupported_type(kind));
    }
    if kind != "text" {
        return Err(GraphError::bad_value("Param type is not a known message type."));
    }
    only(body, &KEYS, "")?;
    if !matches!(body.get("recipient_type").map(Value::as_str), None | Some(Some("individual"))) {
        return Err(GraphError::bad_value("Param recipient_type must be 'individual' here."));
    }
    Ok(SendText {
        recipient: parse_recipient(body)?,
        body: parse_text(body)?,
        opaque: parse_opaque(body)?,
        quoting: parse_context(body)?,
    })
}

/// `to` goes before `recipient` when both are there (Meta: business-scoped user ids).
fn parse_recipient(body: &Map<String, Value>) -> Result<Recipient, GraphError> {
    if let Some(to) = body.get("to") {
        let input = to.as_str().unwrap_or_default();
        let digits = phone_digits(input);
        let digits = digits.ok_or_else(|| GraphError::bad_value("Param to is not a phone number."))?;
        return Ok(Recipient::Phone { input: input.to_owned(), digits });
    }
    match body.get("recipient").map(Value::as_str) {
        Some(Some(user)) if user.contains('.') => Ok(Recipient::User(user.to_owned())),
        Some(_) => Err(GraphError::bad_value("Param recipient is not a business-scoped user id.")),
        None => Err(GraphError::param("The parameter to is required.")),
    }
}

fn parse_text(body: &Map<String, Value>) -> Result<String, GraphError> {
    let Some(text) = body.get("text").and_then(Value::as_object) else {
        return Err(GraphError::missing("Parameter 'text' is mandatory for type 'text'."));
    };
    only(text, &["body", "preview_url"], "text")?;
    if !text.get("preview_url").is_none_or(Value::is_boolean) {
        return Err(GraphError::param("Param text['preview_url'] must be a boolean."));
    }
    let body = text.get("body").and_then(Value::as_str).unwrap_or_default();
    if body.trim().is_empty() {
        return Err(GraphError::param("The parameter text['body'] is required."));
    }
    if body.chars().count() > TEXT_CHARS_MAX {
        return Err(GraphError::param("Param text['body'] must be at most 4096 characters long."));
    }
    Ok(body.to_owned())
}

fn parse_opaque(body: &Map<String, Value>) -> Result<Option<String>, GraphError> {
    match body.get("biz_opaque_callback_data") {
        None => Ok(None),
        Some(Value::String(data)) if data.chars().count() <= OPAQUE_CHARS_MAX => Ok(Some(data.clone())),
        Some(_) => Err(GraphError::bad_value(
            "Param biz_opaque_callback_data must be a string of at most 512 characters.",
        )),
    }
}

fn parse_context(body: &Map<String, Value>) -> Result<Option<String>, GraphError> {
    let Some(context) = body.get("context") else { return Ok(None) };
    match context.get("message_id").and_then(Value::as_str) {
        Some(id) if id.starts_with("wamid.") => Ok(Some(id.to_owned())),
        _ => Err(GraphError::bad_value("Param context['message_id'] is not a message id.")),
    }
}

/// Refuses keys that are not among `known`.
fn only(map: &Map<String, Value>, known: &[&str], of: &str) -> Result<(), GraphError> {
    match map.keys().find(|key| !known.contains(&key.as_str())) {
        Some(key) if of.is_empty() => Err(GraphError::param(&format!("Unexpected key \"{key}\""))),
        Some(key) => Err(GraphError::param(&format!("Unexpected key \"{key}\" on param \"{of}\""))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn text() -> Value {
        json!({"messaging_product": "whatsapp", "recipient_type": "individual", "to": "+1 555-019-9001",
               "type": "text", "text": {"preview_url": false, "body": "hello"},
               "context": {"message_id": "wamid.IN1"}, "biz_opaque_callback_data": "t1:42"})
    }

    fn code(value: &Value) -> u32 {
        parse(value.to_string().as_bytes()).map_or_else(|error| error.code, |_| 0)
    }

    #[test]
    fn a_whole_text_is_read() {
        let Ok(GraphRequest::Send(send)) = parse(text().to_string().as_bytes()) else { panic!("refused") };
        let digits = "15550199001".to_owned();
        assert_eq!(send.recipient, Recipient::Phone { input: "+1 555-019-9001".into(), digits });
        assert_eq!((send.body.as_str(), send.opaque.as_deref()), ("hello", Some("t1:42")));
        assert_eq!(send.quoting.as_deref(), Some("wamid.IN1"));
    }

    #[test]
    fn each_malformed_part_is_refused_with_its_code() {
        let long = "x".repeat(4_097);
        let table = [
            ("messaging_product", Value::Null, 100),
            ("messaging_product", json!("messenger"), 100),
            ("to", json!("not a number"), 131_009),
            ("to", json!(15_550_199_001_u64), 131_009),
            ("type", Value::Null, 131_008),
            ("type", json!("telegram"), 131_009),
            ("type", json!("image"), 131_051),
            ("type", json!("template"), 131_051),
            ("text", Value::Null, 131_008),
            ("text", json!({"body": ""}), 100),
            ("text", json!({"body": " \n"}), 100),
            ("text", json!({"body": long}), 100),
            ("text", json!({"body": "x", "bdy": "y"}), 100),
            ("text", json!({"body": "x", "preview_url": "yes"}), 100),
            ("recipient_type", json!("group"), 131_009),
            ("context", json!({"message_id": "1"}), 131_009),
            ("biz_opaque_callback_data", json!(42), 131_009),
            ("biz_opaque_callback_data", json!("x".repeat(513)), 131_009),
            ("biz_opaque_calback_data", json!("misspelt"), 100),
        ];
        for (key, value, expected) in table {
            let mut request = text();
            match value {
                Value::Null => drop(request.as_object_mut().unwrap().remove(key)),
                value => request[key] = value,
            }
            assert_eq!(code(&request), expected, "{key} in {request}");
        }
        let mut nobody = text();
        nobody.as_object_mut().unwrap().remove("to");
        assert_eq!(code(&nobody), 100);
        nobody["recipient"] = json!("US.EXAMPLEUSER1");
        assert_eq!(code(&nobody), 0);
        assert_eq!(code(&json!([])), 100);
    }

    #[test]
    fn read_marks_are_read_with_and_without_typing() {
        let mark = json!({"messaging_product": "whatsapp", "status": "read", "message_id": "wamid.IN1"});
        let Ok(read) = parse(mark.to_string().as_bytes()) else { panic!("refused") };
        assert_eq!(read, GraphRequest::Read { message_id: "wamid.IN1".into(), typing: false });
        let mut typing = mark.clone();
        typing["typing_indicator"] = json!({"type": "text"});
        let Ok(read) = parse(typing.to_string().as_bytes()) else { panic!("refused") };
        assert_eq!(read, GraphRequest::Read { message_id: "wamid.IN1".into(), typing: true });
        typing["typing_indicator"] = json!({"type": "voice"});
        assert_eq!(code(&typing), 100);
        assert_eq!(code(&json!({"messaging_product": "whatsapp", "status": "seen", "message_id": "x"})), 100);
        assert_eq!(code(&json!({"messaging_product": "whatsapp", "status": "read"})), 100);
    }
}
