use serde_json::json;

use super::*;

fn of(schema: &Value) -> Schema {
    Schema::of_arguments(schema).unwrap()
}

fn refusal(schema: &Value) -> BadSchema {
    Schema::of_answer(schema).unwrap_err()
}

#[test]
fn values_are_checked_and_places_are_named() {
    let schema = of(&json!({
        "type": "object",
        "properties": {
            "order": { "type": "string", "pattern": "^[A-Z]{2}[0-9]+$" },
            "when": { "type": "string", "format": "date" },
            "items": { "type": "array", "items": { "$ref": "#/$defs/item" }, "maxItems": 2 },
        },
        "required": ["order"],
        "$defs": { "item": { "type": "object", "properties": { "count": { "type": "integer", "minimum": 1 } } } },
    }));
    for good in [
        json!({ "order": "AB1" }),
        json!({ "order": "AB1", "when": "2026-11-29", "items": [{ "count": 1 }, {}] }),
    ] {
        assert_eq!(schema.check(&good), Ok(()), "{good}");
    }
    for (bad, place, rule) in [
        (json!({}), "", "/required"),
        (json!({ "order": 5 }), "/order", "/properties/order/type"),
        (json!({ "order": "ab1" }), "/order", "/properties/order/pattern"),
        (json!({ "order": "AB1", "when": "tomorrow" }), "/when", "/properties/when/format"),
        (json!({ "order": "AB1", "items": [{ "count": 0 }] }), "/items/0/count", "minimum"),
        (json!({ "order": "AB1", "items": [1, 2, 3] }), "/items", ""),
        (json!({ "order": "AB1", "tenant": "ten_other" }), "", "/additionalProperties"),
        (json!("AB1"), "", "/type"),
        (json!(null), "", "/type"),
    ] {
        let misfit = schema.check(&bad).unwrap_err();
        assert!(misfit.place.starts_with(place), "{bad}: {misfit:?}");
        assert!(misfit.rule.contains(rule), "{bad}: {misfit:?}");
    }
}

#[test]
fn a_misfit_does_not_repeat_the_value() {
    let schema = of(&json!({ "type": "object", "properties": { "a": { "enum": ["x"] } } }));
    let misfit = schema.check(&json!({ "a": "4111-1111" })).unwrap_err();
    assert!(!format!("{misfit:?}").contains("4111"), "{misfit:?}");
}

#[test]
fn nothing_is_taken_that_a_schema_does_not_name_unless_it_says_so() {
    let given = json!({ "other": 1 });
    for closed in [json!({ "type": "object" }), json!({ "type": "object", "properties": { "a": {} } })] {
        assert!(of(&closed).check(&given).is_err(), "{closed}");
    }
    for open in [
        json!({ "type": "object", "additionalProperties": true }),
        json!({ "type": "object", "properties": {}, "additionalProperties": { "type": "integer" } }),
        json!({ "type": "object", "patternProperties": { "^o": {} } }),
        json!({ "type": "object", "allOf": [{ "properties": { "other": {} } }] }),
    ] {
        assert!(of(&open).check(&given).is_ok(), "{open}");
    }
    let told = closed(&json!({ "type": "object", "properties": { "a": {} } }));
    assert_eq!(told, json!({ "type": "object", "properties": { "a": {} }, "additionalProperties": false }));
}

#[test]
fn arguments_are_an_object() {
    for bad in
        [json!({}), json!({ "type": "string" }), json!({ "type": ["object", "null"] }), json!(true), json!(5)]
    {
        assert_eq!(Schema::of_arguments(&bad).unwrap_err(), BadSchema::NotAnObject, "{bad}");
    }
}

#[test]
fn nothing_outside_is_referred_to() {
    for target in [
        "https://evil.example/schema.json",
        "http://127.0.0.1/",
        "file:///etc/passwd",
        "other.json",
        "#/nowhere",
        "#name",
        "urn:x",
    ] {
        let schema = json!({ "properties": { "a": { "$ref": target } } });
        assert_eq!(refusal(&schema), BadSchema::Reference(target.to_owned()));
    }
    for keyword in ["$id", "$anchor", "$dynamicRef", "$recursiveRef", "$dynamicAnchor"] {
        assert!(matches!(refusal(&json!({ keyword: "#x" })), BadSchema::Keyword(_)), "{keyword}");
    }
    // A property may be called so.
    assert!(Schema::of_answer(&json!({ "properties": { "$id": { "type": "string" } } })).is_ok());
    assert!(Schema::of_answer(&json!({ "$schema": "http://json-schema.org/draft-07/schema#" })).is_ok());
    assert!(Schema::of_answer(&json!({ "$schema": "https://evil.example/draft" })).is_err());
}

#[test]
fn recursion_and_bombs_are_refused() {
    assert_eq!(refusal(&json!({ "$ref": "#" })), BadSchema::TooDeep);
    assert_eq!(refusal(&json!({ "allOf": [{ "$ref": "#" }] })), BadSchema::TooDeep);
    let turning = json!({ "$ref": "#/$defs/a", "$defs": { "a": { "$ref": "#/$defs/b" }, "b": { "$ref": "#/$defs/a" } } });
    assert_eq!(refusal(&turning), BadSchema::TooDeep);
    // Ten times ten times ten …
    let mut defs = serde_json::Map::new();
    defs.insert("d0".to_owned(), json!({ "type": "string" }));
    for level in 1..10 {
        let reference = json!({ "$ref": format!("#/$defs/d{}", level - 1) });
        defs.insert(format!("d{level}"), json!({ "allOf": vec![reference; 10] }));
    }
    assert_eq!(refusal(&json!({ "$ref": "#/$defs/d9", "$defs": defs })), BadSchema::TooDeep);
    let deep = (0..100).fold(json!({}), |inner, _| json!({ "not": inner }));
    assert_eq!(refusal(&deep), BadSchema::TooDeep);
    assert_eq!(refusal(&json!({ "description": "x".repeat(SCHEMA_BYTES_MAX) })), BadSchema::TooLong);
}

#[test]
fn patterns_take_linear_time() {
    let schema = of(&json!({ "type": "object", "properties": { "a": { "pattern": "^(a+)+$" } } }));
    assert!(schema.check(&json!({ "a": format!("{}!", "a".repeat(30_000)) })).is_err());
    for pattern in ["(?=a)b", "(a)\\1", "(", "a{1000}{1000}{1000}"] {
        let bad = json!({ "type": "object", "properties": { "a": { "pattern": pattern } } });
        assert!(matches!(refusal(&bad), BadSchema::Invalid(_)), "{pattern}");
    }
}
