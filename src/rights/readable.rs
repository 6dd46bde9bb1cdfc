//! What is held about a person, to be read: each record with its fields, moments as people write them, and codes with
//! what they mean.

use serde_json::Value;

use iassistance_domain::Timestamp;
use iassistance_domain::account::Language;

use super::Bundle;
use super::words::{meaning, section};

/// Fields whose numbers are moments: those that are called so, or end so.
const MOMENTS: [&str; 4] = ["at", "since", "until", "planned_at"];
const MOMENT_ENDS: [&str; 2] = ["_at", "_until"];

/// A part that is shown: its heading, and its records as lines of name and text.
pub struct Shown {
    /// What the part is called in the data.
    pub name: &'static str,
    /// Its heading.
    pub heading: &'static str,
    /// Its records.
    pub records: Vec<Vec<(String, String)>>,
}

/// What is held, to be read. Parts with nothing in them are left out.
pub fn readable(bundle: &Bundle, language: Language) -> Vec<Shown> {
    let shown = bundle.parts.iter().filter(|(_, records)| !records.is_empty()).map(|(name, records)| Shown {
        name,
        heading: section(language, name),
        records: records
            .iter()
            .map(|record| {
                let mut lines = Vec::new();
                flatten(record, String::new(), "", language, &mut lines);
                lines
            })
            .collect(),
    });
    shown.collect()
}

fn flatten(value: &Value, path: String, field: &str, language: Language, lines: &mut Vec<(String, String)>) {
    match value {
        Value::Null => {}
        Value::Object(fields) => {
            for (name, value) in fields {
                let path = if path.is_empty() { name.clone() } else { format!("{path} · {name}") };
                flatten(value, path, name, language, lines);
            }
        }
        Value::Array(items) => {
            for item in items {
                flatten(item, path.clone(), field, language, lines);
            }
        }
        Value::Number(number) if is_moment(field) => {
            let moment = number.as_i64().map(|at| Timestamp::from_millis(at).to_rfc3339());
            lines.push((path, moment.unwrap_or_else(|| number.to_string())));
        }
        Value::String(text) => {
            let means = meaning(language, text).filter(|_| is_coded(field));
            lines.push((path, means.map_or_else(|| text.clone(), |means| format!("{text}: {means}"))));
        }
        other => lines.push((path, other.to_string())),
    }
}

fn is_moment(field: &str) -> bool {
    MOMENTS.contains(&field) || MOMENT_ENDS.iter().any(|end| field.ends_with(end))
}

/// Whether a field's text is a code of ours, and no words of anybody.
fn is_coded(field: &str) -> bool {
    ["by", "holder", "status", "end", "state", "kind", "mark", "name", "code", "right"].contains(&field)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn moments_and_codes_are_said_in_words_and_what_people_wrote_is_left_as_it_is() {
        let record = json!({
            "sent_at": 1_790_000_000_000_i64, "author": { "by": "contact" }, "body": "read", "count": 3, "none": null,
        });
        let bundle = Bundle { parts: vec![("messages", vec![record]), ("files", Vec::new())] };
        let shown = readable(&bundle, Language::En);
        assert_eq!(shown.len(), 1);
        let line =
            |name: &str| shown[0].records[0].iter().find(|(known, _)| known == name).map(|it| it.1.clone());
        assert_eq!(line("sent_at").as_deref(), Some("2026-09-21T14:13:20Z"));
        assert_eq!(line("author · by").as_deref(), Some("contact: You."));
        assert_eq!(line("body").as_deref(), Some("read"));
        assert_eq!((line("count").as_deref(), line("none")), (Some("3"), None));
    }
}
