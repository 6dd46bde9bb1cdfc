//! What the model does besides chatting: embeddings and moderation (OpenAI: API reference).
//!
//! A text's vector is made of its words and their beginnings, so that texts that share words are near each other. What
//! moderation objects to are the words that it was told of, and a few plain threats.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::StatusCode;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use crate::core::Core;
use crate::faults::ModelFault;
use crate::fold::words;
use crate::model_record::ModelEndpoint;
use crate::model_refusal::{Refusal, authorise};
use crate::model_request::is_model;
use crate::model_script::Objection;
use crate::server::{Call, Reply, json_reply};

const INPUTS_MAX: usize = 2_048;
/// Of one text and of all together (OpenAI: create embeddings), at four characters each.
const INPUT_TOKENS_MAX: usize = 8_192;
const ALL_TOKENS_MAX: usize = 300_000;
/// How long a vector is, by the model; those of the simulator's own are short.
const EMBEDDERS: [(&str, usize); 3] =
    [("text-embedding-3-small", 1_536), ("text-embedding-3-large", 3_072), ("text-embedding-ada-002", 1_536)];
const OWN_DIMENSIONS: usize = 256;
/// How long a word's beginning is: what it shares with its other forms.
const STEM_CHARS: usize = 5;
const MODERATORS: [&str; 4] = [
    "omni-moderation-latest",
    "omni-moderation-2024-09-26",
    "text-moderation-latest",
    "text-moderation-stable",
];
/// OpenAI: moderation, categories.
const CATEGORIES: [&str; 13] = [
    "harassment",
    "harassment/threatening",
    "hate",
    "hate/threatening",
    "illicit",
    "illicit/violent",
    "self-harm",
    "self-harm/intent",
    "self-harm/instructions",
    "sexual",
    "sexual/minors",
    "violence",
    "violence/graphic",
];
/// What is objected to without being told.
const THREATS: [(&str, &str); 6] = [
    ("i will kill you", "harassment/threatening"),
    ("te voy a matar", "harassment/threatening"),
    ("vou te matar", "harassment/threatening"),
    ("i want to kill myself", "self-harm/intent"),
    ("me quiero suicidar", "self-harm/intent"),
    ("quero me matar", "self-harm/intent"),
];

/// The fault that is due, if it decides the answer of a service.
pub(crate) fn faulty(core: &Core, endpoint: ModelEndpoint, model: &str) -> Option<Reply> {
    let fault = core.model_fault(endpoint, model)?;
    if let Some(refusal) = Refusal::of_fault(&fault) {
        return Some(refusal.reply(core));
    }
    match fault {
        ModelFault::Hang => Some(Reply::Hang),
        ModelFault::Cut { .. } => Some(Reply::Cut),
        ModelFault::Garbage => Some(json_reply(StatusCode::OK, &json!({"simulated": "garbage"}))),
        _ => None,
    }
}

/// A JSON request to a service: whom it asks, and its keys.
fn read<'a>(
    body: &'a Value,
    known: &[&str],
    names: &[&str],
) -> Result<(&'a str, &'a Map<String, Value>), Refusal> {
    let map = body.as_object().ok_or_else(Refusal::no_json)?;
    if map.contains_key("user") {
        return Err(Refusal::promise("user", "'user' must not be sent"));
    }
    if let Some(key) = map.keys().find(|key| !known.contains(&key.as_str())) {
        return Err(Refusal::bad(key, "unknown_parameter", &format!("Unknown parameter: '{key}'.")));
    }
    let model = map.get("model").and_then(Value::as_str).ok_or_else(|| Refusal::missing("model"))?;
    if !is_model(model) && !names.contains(&model) {
        return Err(Refusal::no_model(model));
    }
    Ok((model, map))
}

/// The texts of `input`: one, or a list of them.
fn inputs(input: Option<&Value>) -> Result<Vec<&str>, Refusal> {
    let bad = |message: &str| Refusal::bad("input", "invalid_value", message);
    let texts = match input {
        None => return Err(Refusal::missing("input")),
        Some(Value::String(text)) => vec![text.as_str()],
        Some(Value::Array(texts)) => {
            let texts: Option<Vec<&str>> = texts.iter().map(Value::as_str).collect();
            texts.ok_or_else(|| bad("[simulated] 'input' is a string or a list of strings here"))?
        }
        Some(_) => return Err(bad("'input' is a string or a list of strings.")),
    };
    if texts.is_empty() || texts.len() > INPUTS_MAX {
        return Err(bad("'input' must have 1 to 2048 items."));
    }
    if texts.iter().any(|text| text.is_empty()) {
        return Err(bad("'input' cannot be an empty string."));
    }
    Ok(texts)
}

fn tokens(text: &str) -> usize {
    text.chars().count().div_ceil(4)
}

/// `POST /v1/embeddings`.
pub(crate) fn embeddings(core: &Arc<Core>, call: &Call) -> Reply {
    core.model.asked(ModelEndpoint::Embeddings);
    core.changed();
    let body = match authorise(core, call).and_then(|()| json_of(call)) {
        Ok(body) => body,
        Err(refusal) => return refusal.reply(core),
    };
    let embedded = embed(core, &body);
    embedded.unwrap_or_else(|refusal| refusal.reply(core))
}

fn json_of(call: &Call) -> Result<Value, Refusal> {
    serde_json::from_slice(&call.body).map_err(|_| Refusal::no_json())
}

fn embed(core: &Core, body: &Value) -> Result<Reply, Refusal> {
    let names = EMBEDDERS.map(|(name, _)| name);
    let (model, map) = read(body, &["model", "input", "encoding_format", "dimensions"], &names)?;
    let whole = EMBEDDERS.iter().find(|(name, _)| *name == model).map_or(OWN_DIMENSIONS, |(_, whole)| *whole);
    let length = match map.get("dimensions") {
        None => whole,
        Some(_) if model == "text-embedding-ada-002" => {
            return Err(Refusal::invalid("dimensions", "This model does not support specifying dimensions."));
        }
        Some(given) => {
            let given = given.as_u64().and_then(|given| usize::try_from(given).ok());
            given.filter(|given| (1..=whole).contains(given)).ok_or_else(|| {
                Refusal::invalid("dimensions", &format!("It must be an integer of 1 to {whole}."))
            })?
        }
    };
    let base64 = match map.get("encoding_format").map(Value::as_str) {
        None | Some(Some("float")) => false,
        Some(Some("base64")) => true,
        Some(_) => return Err(Refusal::invalid("encoding_format", "It is 'float' or 'base64'.")),
    };
    let texts = inputs(map.get("input"))?;
    if texts.iter().any(|text| tokens(text) > INPUT_TOKENS_MAX) {
        let message = "This model's maximum context length is 8192 tokens: reduce your prompt.";
        return Err(Refusal::invalid("input", message));
    }
    let used: usize = texts.iter().map(|text| tokens(text)).sum();
    if used > ALL_TOKENS_MAX {
        return Err(Refusal::invalid("input", "At most 300000 tokens are taken in one request."));
    }
    if let Some(reply) = faulty(core, ModelEndpoint::Embeddings, model) {
        return Ok(reply);
    }
    let data = texts.iter().enumerate().map(|(index, text)| {
        let vector = vector(text, length);
        let embedding = if base64 {
            let bytes: Vec<u8> = vector.iter().flat_map(|number| number.to_le_bytes()).collect();
            json!(STANDARD.encode(bytes))
        } else {
            json!(vector)
        };
        json!({"object": "embedding", "index": index, "embedding": embedding})
    });
    let data: Vec<Value> = data.collect();
    let answer = json!({"object": "list", "data": data, "model": model,
                        "usage": {"prompt_tokens": used, "total_tokens": used}});
    Ok(json_reply(StatusCode::OK, &answer))
}

/// Where a text points: each of its words, and each beginning of one, adds to one place. Of length 1.
fn vector(text: &str, length: usize) -> Vec<f32> {
    let mut vector = vec![0.0_f32; length];
    let mut add = |feature: &str, weight: f32| {
        let digest = Sha256::digest(feature.as_bytes());
        let number = digest.iter().take(8).fold(0_u64, |number, byte| (number << 8) | u64::from(*byte));
        let place = usize::try_from(number % length.max(1) as u64).unwrap_or(0);
        if let Some(number) = vector.get_mut(place) {
            *number += weight;
        }
    };
    let heard = words(text);
    for word in &heard {
        // Short words are in every text.
        let weight = if word.chars().count() <= 3 { 0.2 } else { 1.0 };
        let stem: String = word.chars().take(STEM_CHARS).collect();
        add(&format!("word {word}"), weight);
        add(&format!("stem {stem}"), weight);
    }
    if heard.is_empty() {
        add(text, 1.0);
    }
    let norm = vector.iter().map(|number| number * number).sum::<f32>().sqrt();
    if norm > 0.0 {
        for number in &mut vector {
            *number /= norm;
        }
    }
    vector
}

/// `POST /v1/moderations`.
pub(crate) fn moderations(core: &Arc<Core>, call: &Call) -> Reply {
    core.model.asked(ModelEndpoint::Moderations);
    core.changed();
    let body = match authorise(core, call).and_then(|()| json_of(call)) {
        Ok(body) => body,
        Err(refusal) => return refusal.reply(core),
    };
    let moderated = moderate(core, body);
    moderated.unwrap_or_else(|refusal| refusal.reply(core))
}

fn moderate(core: &Core, mut body: Value) -> Result<Reply, Refusal> {
    if let Some(map) = body.as_object_mut() {
        map.entry("model").or_insert_with(|| json!("omni-moderation-latest"));
    }
    let (model, map) = read(&body, &["model", "input"], &MODERATORS)?;
    let texts = match map.get("input") {
        Some(Value::Array(parts)) if parts.iter().any(Value::is_object) => parts_of(parts)?,
        input => inputs(input)?,
    };
    if let Some(reply) = faulty(core, ModelEndpoint::Moderations, model) {
        return Ok(reply);
    }
    let script = core.model.script();
    let results: Vec<Value> = texts.iter().map(|text| verdict(text, &script.objections)).collect();
    let id = format!("modr-{}", core.new_trace());
    Ok(json_reply(StatusCode::OK, &json!({"id": id, "model": model, "results": results})))
}

/// Parts make one input; the simulator reads those that are text.
fn parts_of(parts: &[Value]) -> Result<Vec<&str>, Refusal> {
    let texts = parts.iter().map(|part| match part["type"].as_str() {
        Some("text") => part["text"].as_str().ok_or_else(|| Refusal::missing("input.text")),
        _ => Err(Refusal::unsupported("input.image_url")),
    });
    texts.collect()
}

fn verdict(text: &str, objections: &[Objection]) -> Value {
    let line = words(text).join(" ");
    let lower = text.to_lowercase();
    let threats = THREATS.iter().filter(|(words, _)| line.contains(words)).map(|(_, category)| *category);
    let told = objections.iter().filter(|objection| lower.contains(&objection.when_contains.to_lowercase()));
    let found: Vec<&str> = threats.chain(told.map(|objection| objection.category.as_str())).collect();
    let all = CATEGORIES.into_iter().chain(found.iter().copied());
    let (mut flags, mut scores, mut inputs) = (Map::new(), Map::new(), Map::new());
    for category in all {
        let flagged = found.contains(&category);
        flags.insert(category.to_owned(), json!(flagged));
        scores.insert(category.to_owned(), json!(if flagged { 0.98 } else { 0.0001 }));
        inputs.insert(category.to_owned(), json!(["text"]));
    }
    json!({"flagged": !found.is_empty(), "categories": flags, "category_scores": scores,
           "category_applied_input_types": inputs})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nearness(one: &str, other: &str) -> f32 {
        let (one, other) = (vector(one, OWN_DIMENSIONS), vector(other, OWN_DIMENSIONS));
        one.iter().zip(&other).map(|(one, other)| one * other).sum()
    }

    #[test]
    fn texts_that_share_words_are_near() {
        let asked = "¿Cuál es el horario de apertura?";
        assert!(nearness(asked, asked) > 0.999);
        let right = nearness(asked, "Horarios de apertura de la tienda: de 9 a 18");
        let wrong = nearness(asked, "Las devoluciones se aceptan en 30 días");
        assert!(right > 0.4 && right > wrong + 0.3, "{right} {wrong}");
        assert!((vector("?!", 8).iter().map(|number| number * number).sum::<f32>() - 1.0).abs() < 1e-5);
    }

    #[test]
    fn threats_and_what_was_told_are_objected_to() {
        assert_eq!(verdict("¡Te voy a MATAR!", &[])["categories"]["harassment/threatening"], json!(true));
        assert_eq!(verdict("hola", &[])["flagged"], json!(false));
        let told = Objection { when_contains: "Rival".into(), category: "illicit".into() };
        let verdict = verdict("buy at the rival's", &[told]);
        assert_eq!((&verdict["flagged"], &verdict["categories"]["illicit"]), (&json!(true), &json!(true)));
    }
}
