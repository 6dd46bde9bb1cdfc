//! Bodies that routes take, as the OpenAPI document gives them.

use serde_json::{Value, json};

/// A body for a route of `/v1`; an empty one where it takes none.
pub fn of(document: &Value, method: &str, path: &str) -> Option<Value> {
    if method == "get" {
        return None;
    }
    let body = &document["paths"][format!("/v1{path}")][method]["requestBody"]["content"]["application/json"];
    let named = body["schema"]["$ref"].as_str().and_then(|name| name.rsplit('/').next());
    let schema = named.map_or(&body["schema"], |name| &document["components"]["schemas"][name]);
    let examples = [&schema["example"], &schema["examples"][0], &body["example"]];
    Some(examples.into_iter().find(|example| !example.is_null()).cloned().unwrap_or_else(|| json!({})))
}
