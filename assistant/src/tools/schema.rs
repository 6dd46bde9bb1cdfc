//! JSON Schema of what tools are given and of what they answer.
//!
//! Schemas come from tenants and values from models and outside servers, so neither may cost much:
//! a schema is bounded, points to nothing outside and not to itself, and its patterns are matched in
//! linear time.

use jsonschema::{PatternOptions, Validator};
use serde_json::Value;

/// How long a schema may be as JSON, bytes.
pub const SCHEMA_BYTES_MAX: usize = 32_768;
/// How deep it may be nested, with every reference followed.
const DEPTH_MAX: usize = 32;
/// How many parts it may have, with every reference followed.
const PARTS_MAX: usize = 10_000;
const PATTERN_BYTES_MAX: usize = 1 << 20;
/// Keywords by which a schema would name itself or others; none of them is needed here.
const NAMING: [&str; 7] =
    ["$id", "$anchor", "$dynamicRef", "$dynamicAnchor", "$recursiveRef", "$recursiveAnchor", "$vocabulary"];
/// Keywords beside which it is not known that `properties` names all that there are.
const OPEN: [&str; 9] = [
    "additionalProperties",
    "unevaluatedProperties",
    "patternProperties",
    "$ref",
    "allOf",
    "anyOf",
    "oneOf",
    "if",
    "dependentSchemas",
];

/// Why a schema is not taken, and what would do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadSchema {
    /// It is too long.
    #[error("is longer than {SCHEMA_BYTES_MAX} bytes of JSON: shorten it")]
    TooLong,
    /// It is too deep, too large, or refers to itself.
    #[error("is nested too deeply or refers to itself: write it out, without recursion")]
    TooDeep,
    /// It refers to something that is not in it.
    #[error("refers to `{0}`: only what is in the same schema can be referred to, like `#/$defs/date`")]
    Reference(String),
    /// It names itself.
    #[error("has the keyword `{0}`, which is not taken here: remove it")]
    Keyword(&'static str),
    /// Arguments are an object.
    #[error("must describe an object: `\"type\": \"object\"`")]
    NotAnObject,
    /// It is not JSON Schema.
    #[error("is not valid JSON Schema at `{0}` (patterns have neither look-around nor back-references)")]
    Invalid(String),
}

/// What does not fit a schema. It names places and rules, never a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misfit {
    /// The place in the value, for the one who made it; empty for the whole.
    pub place: String,
    /// The rule in the schema.
    pub rule: String,
    /// What is wrong, with `it` for the value.
    pub words: String,
}

/// A schema, ready to be checked against.
#[derive(Debug)]
pub struct Schema(Validator);

impl Schema {
    /// For the arguments of a tool: an object; where it lists properties and says nothing of others,
    /// there are no others.
    pub fn of_arguments(schema: &Value) -> Result<Self, BadSchema> {
        if schema.get("type").and_then(Value::as_str) != Some("object") {
            return Err(BadSchema::NotAnObject);
        }
        Self::of_answer(&closed(schema))
    }

    /// For the answer of a tool: anything.
    pub fn of_answer(schema: &Value) -> Result<Self, BadSchema> {
        check_bounds(schema)?;
        let options = jsonschema::options()
            .offline()
            .should_validate_formats(true)
            .should_ignore_unknown_formats(true)
            .with_pattern_options(
                PatternOptions::regex().size_limit(PATTERN_BYTES_MAX).dfa_size_limit(PATTERN_BYTES_MAX),
            );
        let validator =
            options.build(schema).map_err(|error| BadSchema::Invalid(error.instance_path().to_string()))?;
        Ok(Self(validator))
    }

    /// Whether a value fits; where it does not, the first thing that is wrong.
    pub fn check(&self, value: &Value) -> Result<(), Misfit> {
        self.0.validate(value).map_err(|error| Misfit {
            place: error.instance_path().to_string(),
            rule: error.schema_path().to_string(),
            words: error.masked_with("it").to_string(),
        })
    }
}

/// The schema as the model is told it, and as it is checked: nothing that it does not name is taken.
pub fn closed(schema: &Value) -> Value {
    let mut schema = schema.clone();
    if let Some(keywords) = schema.as_object_mut()
        && !OPEN.iter().any(|keyword| keywords.contains_key(*keyword))
    {
        keywords.entry("properties").or_insert_with(|| Value::Object(serde_json::Map::new()));
        keywords.insert("additionalProperties".to_owned(), Value::Bool(false));
    }
    schema
}

fn check_bounds(schema: &Value) -> Result<(), BadSchema> {
    // Its length is known from its text, which is as long to write as it is to walk.
    if serde_json::to_vec(schema).map_or(usize::MAX, |text| text.len()) > SCHEMA_BYTES_MAX {
        return Err(BadSchema::TooLong);
    }
    let mut parts = 0;
    walk(schema, schema, 0, &mut parts)
}

fn walk(root: &Value, part: &Value, depth: usize, parts: &mut usize) -> Result<(), BadSchema> {
    *parts += 1;
    if depth > DEPTH_MAX || *parts > PARTS_MAX {
        return Err(BadSchema::TooDeep);
    }
    match part {
        Value::Array(items) => items.iter().try_for_each(|item| walk(root, item, depth + 1, parts)),
        Value::Object(keywords) => {
            if let Some(found) =
                NAMING.into_iter().find(|name| keywords.get(*name).is_some_and(|value| !value.is_object()))
            {
                return Err(BadSchema::Keyword(found));
            }
            if let Some(target) = keywords.get("$ref").and_then(Value::as_str) {
                let refused = || BadSchema::Reference(target.chars().take(200).collect());
                let pointer = target.strip_prefix('#').ok_or_else(refused)?;
                walk(root, root.pointer(pointer).ok_or_else(refused)?, depth + 1, parts)?;
            }
            keywords.values().try_for_each(|value| walk(root, value, depth + 1, parts))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
#[path = "schema_tests.rs"]
mod tests;
