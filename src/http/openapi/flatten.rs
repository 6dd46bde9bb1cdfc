//! Compositions made plain. What is put together of several schemas (`allOf`) is written as the one object that it
//! is, and each form of a tagged union is a schema with a name: generators of clients understand that better than the other.

use serde_json::{Map, Value, json};

/// Compositions within compositions that are followed.
const DEPTH_MAX: usize = 16;

/// Makes every schema plain.
pub fn flatten(schemas: &mut Map<String, Value>) {
    let known = schemas.clone();
    let mut forms = Map::new();
    for (name, schema) in schemas.iter_mut() {
        plain(&known, schema, 0);
        name_forms(name, schema, &known, &mut forms);
    }
    schemas.extend(forms);
}

fn plain(known: &Map<String, Value>, schema: &mut Value, depth: usize) {
    if depth > DEPTH_MAX {
        return;
    }
    if let Some(whole) = composed(known, schema, depth) {
        *schema = whole;
    }
    match schema {
        Value::Object(fields) => fields.values_mut().for_each(|field| plain(known, field, depth + 1)),
        Value::Array(items) => items.iter_mut().for_each(|item| plain(known, item, depth + 1)),
        _ => {}
    }
}

/// The one object, or the union of objects, that an `allOf` comes to; nothing where it is none or comes to neither.
fn composed(known: &Map<String, Value>, schema: &Value, depth: usize) -> Option<Value> {
    let parts = schema.get("allOf")?.as_array()?;
    let mut forms = vec![Map::new()];
    for part in parts {
        let part = resolved(known, part, depth)?;
        let ways = match part.get("oneOf").and_then(Value::as_array) {
            Some(ways) => ways.iter().map(|way| resolved(known, way, depth)).collect::<Option<Vec<_>>>()?,
            None => vec![part],
        };
        let mut next = Vec::new();
        for form in &forms {
            for way in &ways {
                next.push(merged(form, way.as_object()?)?);
            }
        }
        forms = next;
    }
    let mut whole = match &mut forms[..] {
        [only] => std::mem::take(only),
        _ => Map::from_iter([("oneOf".to_owned(), forms.into_iter().map(Value::Object).collect())]),
    };
    for said in ["description", "title", "example", "examples"] {
        if let Some(said_of_all) = schema.get(said) {
            whole.insert(said.to_owned(), said_of_all.clone());
        }
    }
    Some(Value::Object(whole))
}

/// A part itself, not what refers to it, and made plain.
fn resolved(known: &Map<String, Value>, part: &Value, depth: usize) -> Option<Value> {
    if depth > DEPTH_MAX {
        return None;
    }
    let mut part = match part.get("$ref").and_then(Value::as_str).and_then(|path| path.rsplit('/').next()) {
        Some(name) => known.get(name)?.clone(),
        None => part.clone(),
    };
    if let Some(whole) = composed(known, &part, depth + 1) {
        part = whole;
    }
    Some(part)
}

/// Two objects as one; nothing where one of them is no object.
fn merged(one: &Map<String, Value>, other: &Map<String, Value>) -> Option<Map<String, Value>> {
    if other.get("properties").is_none() || other.contains_key("oneOf") {
        return None;
    }
    let mut whole = one.clone();
    whole.insert("type".to_owned(), json!("object"));
    let fields = whole.entry("properties").or_insert_with(|| json!({})).as_object_mut()?;
    fields.extend(other.get("properties")?.as_object()?.clone());
    let required = whole.entry("required").or_insert_with(|| json!([])).as_array_mut()?;
    required.extend(other.get("required").and_then(Value::as_array).cloned().unwrap_or_default());
    for said in ["description", "additionalProperties"] {
        if let Some(value) = other.get(said) {
            whole.entry(said).or_insert_with(|| value.clone());
        }
    }
    Some(whole)
}

/// Names each form of a union of objects by what tells it apart, and makes it a schema of its own.
fn name_forms(of: &str, schema: &mut Value, known: &Map<String, Value>, named: &mut Map<String, Value>) {
    let Some(forms) = schema.get_mut("oneOf").and_then(Value::as_array_mut) else { return };
    for form in forms.iter_mut().filter(|form| form["properties"].is_object()) {
        let tag = form["properties"].as_object().into_iter().flat_map(Map::values).find_map(|field| {
            let only = field["enum"].as_array().filter(|all| all.len() == 1)?;
            only.first()?.as_str().map(pascal)
        });
        let name = tag.map(|tag| format!("{of}{tag}")).filter(|name| !known.contains_key(name));
        if let Some(name) = name {
            let reference = json!({ "$ref": format!("#/components/schemas/{name}") });
            named.insert(name, std::mem::replace(form, reference));
        }
    }
}

fn pascal(text: &str) -> String {
    let words = text.split(['_', '-', '.', ' ']).filter(|word| !word.is_empty());
    let capital = |word: &str| word[..1].to_uppercase() + &word[1..];
    words.map(capital).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_together_is_one_object_or_a_union_of_objects() {
        let place =
            json!({ "type": "object", "properties": { "name": { "type": "string" } }, "required": ["name"] });
        let state = json!({ "oneOf": [
            { "type": "object", "properties": { "state": { "type": "string", "enum": ["ready"] } }, "required": ["state"] },
            { "type": "object", "properties": { "state": { "type": "string", "enum": ["not_yet"] } }, "required": ["state"] },
        ] });
        let both = json!({ "description": "Both.", "allOf": [
            { "$ref": "#/components/schemas/State" }, { "$ref": "#/components/schemas/Place" },
        ] });
        let mut schemas = Map::new();
        schemas.insert("Place".to_owned(), place);
        schemas.insert("State".to_owned(), state);
        schemas.insert("Both".to_owned(), both);
        flatten(&mut schemas);
        let both = &schemas["Both"];
        assert_eq!((&both["description"], both.get("allOf")), (&json!("Both."), None));
        assert_eq!(both["oneOf"][1]["$ref"], "#/components/schemas/BothNotYet");
        assert_eq!(schemas["BothReady"]["required"], json!(["state", "name"]));
        assert!(schemas["BothNotYet"]["properties"]["name"].is_object());
        assert!(schemas["StateReady"]["properties"]["state"].is_object());
    }
}
