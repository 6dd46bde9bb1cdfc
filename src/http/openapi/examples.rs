//! Examples: what a schema does not give itself is made of its fields' names and types.

use serde_json::{Map, Value, json};

/// Schemas within schemas that are followed.
const DEPTH_MAX: usize = 16;

/// A moment that stands for any.
const MOMENT: u64 = 1_790_000_000_000;

/// What identifiers begin with, by the name of what holds them.
pub const PREFIXES: [(&str, &str); 36] = [
    ("incident", "inc"),
    ("order", "ord"),
    ("tenant", "ten"),
    ("meta_app", "app"),
    ("channel", "chn"),
    ("contact", "con"),
    ("conversation", "cnv"),
    ("message", "msg"),
    ("turn", "trn"),
    ("dead_letter", "ded"),
    ("media", "med"),
    ("key", "key"),
    ("deletion", "del"),
    ("document", "doc"),
    ("golden", "gld"),
    ("backup", "bak"),
    ("check", "chk"),
    ("account", "acc"),
    ("agency", "agy"),
    ("session", "ses"),
    ("device", "dev"),
    ("passkey", "pky"),
    ("invitation", "inv"),
    ("grant", "brk"),
    ("webhook", "hok"),
    ("delivery", "dlv"),
    ("erasure", "era"),
    ("hold", "hld"),
    ("destroyed", "ten"),
    ("reply_to", "msg"),
    ("base", "bak"),
    ("asked_by", "acc"),
    ("approved_by", "acc"),
    ("rotated_to", "key"),
    ("case", "cas"),
    ("intake", "rqs"),
];

/// An identifier with this prefix.
pub fn id(prefix: &str) -> String {
    format!("{prefix}_0199a8a2c4007b3e8f5d6c1b2a390817")
}

/// What a text of this name may be.
fn text(name: &str) -> String {
    if let Some((_, prefix)) = PREFIXES.iter().find(|(known, _)| *known == name) {
        return id(prefix);
    }
    match name {
        "name" | "operator" | "title" | "profile_name" => "Ada",
        "email" => "ada@example.com",
        "url" | "base_url" => "https://shop.example/hook",
        "cursor" | "next" => "cnv_0199a8a2c4007b3e8f5d6c1b2a390817",
        "networks" => "203.0.113.0/24",
        "address" | "last_used_from" => "203.0.113.7",
        "agent" => "Firefox on Linux",
        "model" => "gpt-5-mini",
        "method" => "GET",
        "hash" | "prompt_sha256" => "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "secret" => "shown once",
        "mime" => "image/png",
        "language" | "languages" => "en",
        "type" => "urn:iassistance:problem:not_found",
        "code" => "not_found",
        "password" | "new" | "current" => "correct horse battery staple",
        "external_id" | "app_id" | "account_id" | "page_id" | "user_id" | "number" | "wa_id" => {
            "106540352242922"
        }
        "reason" | "problem" | "detail" | "description" => "in words",
        "question" => "When do you open?",
        "object" => "key_0199a8a2c4007b3e8f5d6c1b2a390817",
        "route" => "/v1/tenants/{tenant}/events",
        "body" | "summary" => "We open at nine.",
        _ => "text",
    }
    .to_owned()
}

fn number(name: &str, schema: &Value) -> Value {
    let is_moment = name.ends_with("_at")
        || name.ends_with("until")
        || matches!(name, "at" | "since" | "from" | "not_before");
    if is_moment {
        return json!(MOMENT);
    }
    if name == "status" {
        return json!(404);
    }
    let least = schema["minimum"].as_u64().unwrap_or(0);
    json!(least.max(1))
}

/// An example of a schema, which is the field `name` of another.
pub fn of(schemas: &Map<String, Value>, schema: &Value, name: &str) -> Value {
    made(schemas, schema, name, 0)
}

fn made(schemas: &Map<String, Value>, schema: &Value, name: &str, depth: usize) -> Value {
    if let Some(given) = given(schema) {
        return given;
    }
    if depth > DEPTH_MAX {
        return Value::Null;
    }
    if let Some(of) = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
        return schemas.get(of).map_or(Value::Null, |schema| made(schemas, schema, name, depth + 1));
    }
    if let Some(parts) = schema["allOf"].as_array() {
        let mut whole = Map::new();
        for part in parts {
            if let Value::Object(fields) = made(schemas, part, name, depth + 1) {
                whole.extend(fields);
            }
        }
        return Value::Object(whole);
    }
    for either in ["oneOf", "anyOf"] {
        if let Some(ways) = schema[either].as_array() {
            let way = ways.iter().find(|way| way["type"] != "null");
            return way.map_or(Value::Null, |way| made(schemas, way, name, depth + 1));
        }
    }
    match kind(schema) {
        "object" => object(schemas, schema, name, depth),
        "array" => json!([made(schemas, &schema["items"], name, depth + 1)]),
        "string" => json!(text(name)),
        "integer" => number(name, schema),
        "number" => json!(0.5),
        "boolean" => json!(true),
        _ => Value::Null,
    }
}

fn given(schema: &Value) -> Option<Value> {
    let first = |list: &Value| list.as_array().and_then(|list| list.first()).cloned();
    let said = schema.get("example").cloned().or_else(|| first(&schema["examples"]));
    said.or_else(|| schema.get("const").cloned()).or_else(|| first(&schema["enum"]))
}

/// The type of a schema: of several the first that is not null.
fn kind(schema: &Value) -> &str {
    match &schema["type"] {
        Value::String(kind) => kind,
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).find(|it| *it != "null").unwrap_or(""),
        _ if schema["properties"].is_object() => "object",
        _ => "",
    }
}

fn object(schemas: &Map<String, Value>, schema: &Value, name: &str, depth: usize) -> Value {
    let mut whole = Map::new();
    for (field, of) in schema["properties"].as_object().into_iter().flatten() {
        whole.insert(field.clone(), made(schemas, of, field, depth + 1));
    }
    let rest = &schema["additionalProperties"];
    if whole.is_empty() && rest.is_object() {
        whole.insert("size".to_owned(), made(schemas, rest, name, depth + 1));
    }
    Value::Object(whole)
}
