//! What a `POST /{version}/{phone_number_id}/messages` asks for, read as strictly as Meta reads it.

use serde_json::{Map, Value};

use crate::contacts::phone_digits;
use crate::core::TEXT_CHARS_MAX;
use crate::fields::{Dialect, Fields};
use crate::graph_error::GraphError;
use crate::graph_interactive;
use crate::shown::{MediaKind, Shown, ShownKind};
use crate::templates::TemplateCall;

const OPAQUE_CHARS_MAX: usize = 512;
const CAPTION_CHARS_MAX: usize = 1_024;
const KEYS: [&str; 7] =
    ["messaging_product", "recipient_type", "to", "recipient", "type", "context", "biz_opaque_callback_data"];
const TYPES: [&str; 11] = [
    "text",
    "image",
    "video",
    "audio",
    "document",
    "sticker",
    "location",
    "contacts",
    "interactive",
    "template",
    "reaction",
];
/// What Meta takes and the simulator does not.
const OTHER_TYPES: [&str; 3] = ["order", "group", "pin"];

/// A well-formed request.
pub(crate) enum GraphRequest {
    /// Marks an inbound message as read, perhaps with a typing indicator.
    Read { message_id: String, typing: bool },
    /// Sends a message.
    Send(Box<SendMessage>),
}

/// A message to send.
pub(crate) struct SendMessage {
    pub recipient: Recipient,
    pub content: Outbound,
    pub opaque: Option<String>,
    pub quoting: Option<String>,
}

/// What is sent, before the simulator has looked up what it names.
pub(crate) enum Outbound {
    /// Words and what stands around them.
    Message { text: String, shown: Shown },
    /// A template.
    Template(TemplateCall),
    /// A reaction; without an emoji it is taken back.
    Reaction { to: String, emoji: Option<String> },
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
    let body = object(body)?;
    match body.get("messaging_product").and_then(Value::as_str) {
        Some("whatsapp") => {}
        Some(_) => return Err(GraphError::param("Param messaging_product must be one of {WHATSAPP}")),
        None => return Err(GraphError::param("The parameter messaging_product is required.")),
    }
    if body.contains_key("status") {
        return parse_read(&body);
    }
    parse_send(&body).map(|send| GraphRequest::Send(Box::new(send)))
}

/// The object that a body is.
pub(crate) fn object(body: &[u8]) -> Result<Map<String, Value>, GraphError> {
    match serde_json::from_slice(body) {
        Ok(Value::Object(body)) => Ok(body),
        Ok(_) => Err(GraphError::param("The request body must be a JSON object.")),
        Err(_) => Err(GraphError::param("The request body is not valid JSON.")),
    }
}

fn parse_read(body: &Map<String, Value>) -> Result<GraphRequest, GraphError> {
    let fields = Fields::root(body, Dialect::Whatsapp);
    fields.only(&["messaging_product", "status", "message_id", "typing_indicator"])?;
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

fn parse_send(body: &Map<String, Value>) -> Result<SendMessage, GraphError> {
    let kind = body.get("type").and_then(Value::as_str);
    let kind = kind.ok_or_else(|| GraphError::missing("Parameter 'type' is mandatory for this request."))?;
    if OTHER_TYPES.contains(&kind) {
        return Err(GraphError::unsupported_type(kind));
    }
    let Some(kind) = TYPES.into_iter().find(|known| *known == kind) else {
        return Err(GraphError::bad_value("Param type is not a known message type."));
    };
    let fields = Fields::root(body, Dialect::Whatsapp);
    let mut known = KEYS.to_vec();
    known.push(kind);
    fields.only(&known)?;
    if !matches!(body.get("recipient_type").map(Value::as_str), None | Some(Some("individual"))) {
        return Err(GraphError::bad_value("Param recipient_type must be 'individual' here."));
    }
    Ok(SendMessage {
        recipient: parse_recipient(body)?,
        content: parse_content(&fields, kind)?,
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

fn parse_content(body: &Fields<'_>, kind: &'static str) -> Result<Outbound, GraphError> {
    if kind == "contacts" {
        return parse_contacts(body);
    }
    let part = body.object(kind).ok().flatten();
    let part = part
        .ok_or_else(|| GraphError::missing(&format!("Parameter '{kind}' is mandatory for type '{kind}'.")))?;
    match kind {
        "text" => parse_text(&part),
        "template" => TemplateCall::parse(&part).map(Outbound::Template),
        "interactive" => graph_interactive::parse(&part),
        "location" => parse_location(&part),
        "reaction" => {
            part.only(&["message_id", "emoji"])?;
            let to = part.need("message_id", 1_000)?.to_owned();
            let emoji = part.optional("emoji", 20)?.ok_or_else(|| part.missing("emoji"))?;
            Ok(Outbound::Reaction { to, emoji: (!emoji.is_empty()).then(|| emoji.to_owned()) })
        }
        _ => parse_media(&part, kind),
    }
}

fn parse_text(text: &Fields<'_>) -> Result<Outbound, GraphError> {
    text.only(&["body", "preview_url"])?;
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
    Ok(Outbound::Message { text: body.to_owned(), shown: Shown::default() })
}

/// Meta: Cloud API, media messages: audio and stickers have no caption, documents a name.
fn parse_media(part: &Fields<'_>, kind: &str) -> Result<Outbound, GraphError> {
    let (kind, known): (_, &[&str]) = match kind {
        "image" => (MediaKind::Image, &["id", "link", "caption"]),
        "video" => (MediaKind::Video, &["id", "link", "caption"]),
        "document" => (MediaKind::Document, &["id", "link", "caption", "filename"]),
        "audio" => (MediaKind::Audio, &["id", "link", "voice"]),
        _ => (MediaKind::Sticker, &["id", "link"]),
    };
    part.only(known)?;
    let caption = part.optional("caption", CAPTION_CHARS_MAX)?.unwrap_or_default().to_owned();
    let shown = Shown { media: vec![part.media(kind)?], ..Shown::of(ShownKind::Media) };
    Ok(Outbound::Message { text: caption, shown })
}

fn parse_location(part: &Fields<'_>) -> Result<Outbound, GraphError> {
    part.only(&["latitude", "longitude", "name", "address"])?;
    let (latitude, longitude) =
        (part.number("latitude", -90.0..=90.0)?, part.number("longitude", -180.0..=180.0)?);
    let words = [part.optional("name", 1_000)?, part.optional("address", 1_000)?];
    let words: Vec<&str> = words.into_iter().flatten().collect();
    let footer = Some(format!("{latitude}, {longitude}"));
    Ok(Outbound::Message {
        text: words.join(", "),
        shown: Shown { footer, ..Shown::of(ShownKind::Location) },
    })
}

fn parse_contacts(body: &Fields<'_>) -> Result<Outbound, GraphError> {
    const KNOWN: [&str; 7] = ["name", "phones", "emails", "org", "urls", "addresses", "birthday"];
    let mut lines = Vec::new();
    for card in body.list("contacts", 257)? {
        card.only(&KNOWN)?;
        let name = card.need_object("name")?;
        let mut line = name.need("formatted_name", 1_000)?.to_owned();
        let parts = ["first_name", "last_name", "middle_name", "suffix", "prefix"];
        if !parts.iter().any(|part| name.has(part)) {
            return Err(name.missing("first_name"));
        }
        for phone in card.list_or_empty("phones", 100)? {
            phone.only(&["phone", "type", "wa_id"])?;
            line.push(' ');
            line.push_str(phone.need("phone", 50)?);
        }
        lines.push(line);
    }
    Ok(Outbound::Message { text: lines.join("\n"), shown: Shown::of(ShownKind::Contacts) })
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
        assert!(matches!(&send.content, Outbound::Message { text, .. } if text == "hello"));
        assert_eq!(send.opaque.as_deref(), Some("t1:42"));
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
            ("type", json!("image"), 100),
            ("type", json!("pin"), 131_051),
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
        let read = |value: &Value| match parse(value.to_string().as_bytes()) {
            Ok(GraphRequest::Read { message_id, typing }) => (message_id, typing),
            _ => panic!("refused"),
        };
        assert_eq!(read(&mark), ("wamid.IN1".to_owned(), false));
        let mut typing = mark.clone();
        typing["typing_indicator"] = json!({"type": "text"});
        assert_eq!(read(&typing), ("wamid.IN1".to_owned(), true));
        typing["typing_indicator"] = json!({"type": "voice"});
        assert_eq!(code(&typing), 100);
        assert_eq!(code(&json!({"messaging_product": "whatsapp", "status": "seen", "message_id": "x"})), 100);
        assert_eq!(code(&json!({"messaging_product": "whatsapp", "status": "read"})), 100);
    }
}
