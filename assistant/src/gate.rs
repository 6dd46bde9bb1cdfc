//! What a request to the model's server may say: the last thing that looks at it before it leaves, whoever made
//! it. What is not on the list does not leave.
//!
//! The text of messages is the contact's and the tenant's own, and goes where they wrote it. Everything beside it
//! is closed: a chat says `store: false`, and who is meant is a keyed hash (OpenAI: API reference, chat
//! completions, `store`, `safety_identifier`). No request has a field in which a name, a number or an id of ours
//! could stand.

use serde_json::Value;

use crate::error::GenerateError;

/// The longest keyed hash.
const IDENTIFIER_BYTES_MAX: usize = 64;

const CHAT: [&str; 9] = [
    "messages",
    "model",
    "store",
    "safety_identifier",
    "max_completion_tokens",
    "temperature",
    "tools",
    "stream",
    "stream_options",
];
const MESSAGE: [&str; 4] = ["role", "content", "tool_calls", "tool_call_id"];
const EMBEDDING: [&str; 3] = ["model", "input", "encoding_format"];
const MODERATION: [&str; 2] = ["model", "input"];

/// Whether a request of this path with this body may leave. A body that is no JSON is a recording, whose form is
/// fixed where it is made.
pub(crate) fn check(path: &str, body: Option<&[u8]>) -> Result<(), GenerateError> {
    let refused = |reason| Err(GenerateError::NotAsked { reason });
    let json = body.map(serde_json::from_slice::<Value>);
    let (allowed, chat): (&[&str], bool) = match path.rsplit_once('/').map(|(_, last)| last) {
        Some("completions") => (&CHAT, true),
        Some("embeddings") => (&EMBEDDING, false),
        Some("moderations") => (&MODERATION, false),
        Some("transcriptions") if body.is_none() => return Ok(()),
        _ => return refused("requests of this kind do not leave"),
    };
    let Some(Ok(Value::Object(body))) = json else {
        return refused("a request that is no JSON does not leave");
    };
    if body.keys().any(|field| !allowed.contains(&field.as_str())) {
        return refused("a request with a field beyond those that are known does not leave");
    }
    if !chat {
        return Ok(());
    }
    if body.get("store") != Some(&Value::Bool(false)) {
        return refused("a request that does not say `store: false` does not leave");
    }
    let hash = body.get("safety_identifier").and_then(Value::as_str).unwrap_or_default();
    let is_hash = hash.len() <= IDENTIFIER_BYTES_MAX
        && hash.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    if !is_hash {
        return refused("a request that says who is meant otherwise than by a hash does not leave");
    }
    let messages = body.get("messages").and_then(Value::as_array);
    let strange = |message: &Value| {
        message.as_object().is_none_or(|of| of.keys().any(|field| !MESSAGE.contains(&field.as_str())))
    };
    if messages.is_none_or(|messages| messages.iter().any(strange)) {
        return refused("a message with a field beyond those that are known does not leave");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(path: &str, body: &Value) -> Result<(), GenerateError> {
        check(path, Some(body.to_string().as_bytes()))
    }

    fn chat() -> Value {
        json!({
            "model": "m", "store": false, "safety_identifier": "hash", "stream": true,
            "messages": [{ "role": "user", "content": "hola" }],
        })
    }

    #[test]
    fn what_is_made_here_leaves() {
        assert_eq!(of("/v1/chat/completions", &chat()), Ok(()));
        let input = json!({ "model": "m", "input": ["hola"] });
        assert_eq!(of("/v1/embeddings", &input), Ok(()));
        assert_eq!(of("/openai/v1/moderations", &input), Ok(()));
        assert_eq!(check("/v1/audio/transcriptions", None), Ok(()));
    }

    #[test]
    fn nothing_else_does() {
        let with = |path: &str, value: Value| {
            let mut body = chat();
            match body.pointer_mut(path) {
                Some(place) => *place = value,
                None => {
                    body.as_object_mut().unwrap().insert(path[1..].to_owned(), value);
                }
            }
            body
        };
        for body in [
            with("/store", json!(true)),
            with("/store", Value::Null),
            with("/user", json!("+5491123456789")),
            with("/metadata", json!({ "name": "Ada" })),
            with("/safety_identifier", json!("+54 9 11 2345 6789")),
            with("/safety_identifier", json!("Ada Lovelace")),
            with("/messages", json!([{ "role": "user", "name": "Ada", "content": "hola" }])),
            with("/messages", json!("hola")),
            with("/prompt_cache_key", json!("con_1")),
        ] {
            assert!(of("/v1/chat/completions", &body).is_err(), "{body}");
        }
        let mut bare = chat();
        bare.as_object_mut().unwrap().remove("store");
        assert!(of("/v1/chat/completions", &bare).is_err());
        assert!(of("/v1/embeddings", &json!({ "model": "m", "input": "x", "user": "Ada" })).is_err());
        assert!(of("/v1/responses", &chat()).is_err() && of("/v1/files", &chat()).is_err());
        assert!(check("/v1/chat/completions", None).is_err());
        assert!(check("/v1/audio/transcriptions", Some(b"{}")).is_err());
    }
}
