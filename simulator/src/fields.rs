//! Reads the parts of a request, each with its limit, and says which part was wrong as the product would.
//!
//! Stricter than Meta in one thing: a key that is not known is refused, so that a misspelt one is found.

use serde_json::{Map, Value};

use crate::graph_error::GraphError;
use crate::shown::{MediaKind, ShownMedia};

/// Whose words a refusal is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// 131008 for what is missing, 131009 for what cannot be (Meta: Cloud API, error codes).
    Whatsapp,
    /// 100 for both (Meta: Messenger Platform, error codes).
    Social,
}

/// An object of a request and where it stands.
pub(crate) struct Fields<'a> {
    map: &'a Map<String, Value>,
    at: String,
    dialect: Dialect,
}

impl<'a> Fields<'a> {
    pub fn root(map: &'a Map<String, Value>, dialect: Dialect) -> Self {
        Self { map, at: String::new(), dialect }
    }

    fn name(&self, key: &str) -> String {
        if self.at.is_empty() { key.to_owned() } else { format!("{}['{key}']", self.at) }
    }

    pub fn missing(&self, key: &str) -> GraphError {
        let name = self.name(key);
        match self.dialect {
            Dialect::Whatsapp => GraphError::missing(&format!("The parameter {name} is required.")),
            Dialect::Social => GraphError::social(100, None, &format!("The parameter {name} is required")),
        }
    }

    pub fn bad(&self, key: &str, must: &str) -> GraphError {
        let name = self.name(key);
        match self.dialect {
            Dialect::Whatsapp => GraphError::bad_value(&format!("Param {name} {must}.")),
            Dialect::Social => GraphError::social(100, None, &format!("Param {name} {must}")),
        }
    }

    pub fn get(&self, key: &str) -> Option<&'a Value> {
        self.map.get(key).filter(|value| !value.is_null())
    }

    pub fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// Refuses keys that are not among `known`.
    pub fn only(&self, known: &[&str]) -> Result<(), GraphError> {
        match self.map.keys().find(|key| !known.contains(&key.as_str())) {
            Some(key) if self.at.is_empty() => Err(GraphError::param(&format!("Unexpected key \"{key}\""))),
            Some(key) => {
                Err(GraphError::param(&format!("Unexpected key \"{key}\" on param \"{}\"", self.at)))
            }
            None => Ok(()),
        }
    }

    /// A text of at most `max` characters, if it is there.
    pub fn optional(&self, key: &str, max: usize) -> Result<Option<&'a str>, GraphError> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::String(text)) if text.chars().count() > max => {
                Err(self.bad(key, &format!("must be at most {max} characters long")))
            }
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.bad(key, "must be a string")),
        }
    }

    /// A text of 1 to `max` characters.
    pub fn need(&self, key: &str, max: usize) -> Result<&'a str, GraphError> {
        let text = self.optional(key, max)?.filter(|text| !text.trim().is_empty());
        text.ok_or_else(|| self.missing(key))
    }

    /// One of these words.
    pub fn one_of(&self, key: &str, words: &[&'static str]) -> Result<&'static str, GraphError> {
        let given = self.need(key, 100)?;
        let known = words.iter().find(|word| word.eq_ignore_ascii_case(given));
        known.copied().ok_or_else(|| self.bad(key, &format!("must be one of {{{}}}", words.join(", "))))
    }

    pub fn object(&self, key: &str) -> Result<Option<Self>, GraphError> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Object(map)) => Ok(Some(Self { map, at: self.name(key), dialect: self.dialect })),
            Some(_) => Err(self.bad(key, "must be an object")),
        }
    }

    pub fn need_object(&self, key: &str) -> Result<Self, GraphError> {
        self.object(key)?.ok_or_else(|| self.missing(key))
    }

    /// A list of at most `max` objects; empty when it is not there.
    pub fn list_or_empty(&self, key: &str, max: usize) -> Result<Vec<Self>, GraphError> {
        let items = match self.get(key) {
            None => return Ok(Vec::new()),
            Some(Value::Array(items)) => items,
            Some(_) => return Err(self.bad(key, "must be an array")),
        };
        if items.len() > max {
            return Err(self.bad(key, &format!("must have at most {max} items")));
        }
        let each = items.iter().enumerate().map(|(index, item)| match item {
            Value::Object(map) => {
                Ok(Self { map, at: format!("{}[{index}]", self.name(key)), dialect: self.dialect })
            }
            _ => Err(self.bad(key, "must be an array of objects")),
        });
        each.collect()
    }

    /// A list of 1 to `max` objects.
    pub fn list(&self, key: &str, max: usize) -> Result<Vec<Self>, GraphError> {
        let items = self.list_or_empty(key, max)?;
        if items.is_empty() { Err(self.missing(key)) } else { Ok(items) }
    }

    /// A number, written as one or as text.
    pub fn number(&self, key: &str, range: std::ops::RangeInclusive<f64>) -> Result<f64, GraphError> {
        let value = self.get(key).ok_or_else(|| self.missing(key))?;
        let number = value.as_f64().or_else(|| value.as_str().and_then(|text| text.parse().ok()));
        number.filter(|number| range.contains(number)).ok_or_else(|| self.bad(key, "is out of range"))
    }

    /// A web address.
    pub fn web(&self, key: &str) -> Result<&'a str, GraphError> {
        let text = self.need(key, 2_000)?;
        let web =
            url::Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "https" | "http") && url.has_host());
        if web { Ok(text) } else { Err(self.bad(key, "is not a valid URI")) }
    }

    /// A file by `id` or by `link`: exactly one of them.
    pub fn media(&self, kind: MediaKind) -> Result<ShownMedia, GraphError> {
        let name = self.optional("filename", 240)?.map(str::to_owned);
        match (self.has("id"), self.has("link")) {
            (true, false) => {
                Ok(ShownMedia { kind, id: Some(self.need("id", 100)?.to_owned()), link: None, name })
            }
            (false, true) => {
                Ok(ShownMedia { kind, id: None, link: Some(self.web("link")?.to_owned()), name })
            }
            (false, false) => Err(self.missing("id")),
            (true, true) => Err(self.bad("id", "and link exclude each other")),
        }
    }
}
