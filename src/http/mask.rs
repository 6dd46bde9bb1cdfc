//! What viewers see: that something was said, when and by whom, and not what.
//!
//! Everything is made unrecognisable but what is known to be harmless: identifiers of ours, moments, kinds and
//! states. A field that is new is hidden until it is named here.

use serde::Serialize;
use serde_json::Value;

use super::Problem;

/// What stands in place of what is hidden.
pub const HIDDEN: &str = "•••";

/// Fields that say nothing of what people are called, where they are reached or what they write.
const HARMLESS: &[&str] = &[
    "id",
    "seq",
    "at",
    "type",
    "tenant",
    "conversation",
    "contact",
    "channel",
    "kind",
    "message",
    "turn",
    "holder",
    "since",
    "by",
    "through",
    "control",
    "epoch",
    "floor",
    "opened_at",
    "last_message_at",
    "window_ends_at",
    "follow_up_at",
    "opted_out",
    "sent_at",
    "recorded_at",
    "edited_at",
    "removed_at",
    "occurred_at",
    "started_at",
    "ended_at",
    "status",
    "state",
    "delivery",
    "outcome",
    "dead_letter",
    "work",
    "replayed_at",
    "next",
    "latest",
    "items",
    "version",
    "merged",
    "covers",
    "sent",
    "attempts",
    "reply_to",
    "input_tokens",
    "output_tokens",
    "cost",
    "ms",
    "actor",
    "mailbox",
    "code",
    "arrival",
    "order",
    "after_seq",
    "from_seq",
    "to_seq",
    "expires_at",
    "accepted_at",
    "created_at",
    "frame",
    "event",
    "grant",
    "account",
    "mark",
    "right",
    "due_at",
    "percent",
];

/// Fields within which only the form is shown.
const WRITTEN: &[&str] = &["content", "context", "referral", "attributes", "summary"];

/// The same, as JSON, with what is not harmless hidden.
///
/// # Errors
/// [`Problem`] 500 where it is no JSON.
pub fn value<T: Serialize>(shown: &T) -> Result<Value, Problem> {
    let mut value = serde_json::to_value(shown).map_err(|error| {
        tracing::error!(%error, "an answer could not be written as JSON");
        Problem::internal()
    })?;
    hide(&mut value, true, HARMLESS);
    Ok(value)
}

/// A frame of the live feed, with what is not harmless hidden.
pub fn frame(json: &str) -> String {
    match serde_json::from_str::<Value>(json) {
        Ok(mut value) => {
            hide(&mut value, true, HARMLESS);
            value.to_string()
        }
        Err(_) => "{}".to_owned(),
    }
}

fn hide(value: &mut Value, harmless: bool, known: &[&str]) {
    match value {
        Value::String(text) if !harmless => HIDDEN.clone_into(text),
        Value::Number(_) if !harmless => *value = HIDDEN.into(),
        Value::Null | Value::Bool(_) | Value::String(_) | Value::Number(_) => {}
        Value::Array(items) => items.iter_mut().for_each(|item| hide(item, harmless, known)),
        Value::Object(fields) => {
            for (name, field) in fields {
                // Inside, names may be as people chose them.
                let known = if WRITTEN.contains(&name.as_str()) { &["type"] } else { known };
                hide(field, known.contains(&name.as_str()), known);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_people_write_and_are_called_is_hidden_and_what_happened_is_not() {
        let event = json!({
            "seq": 7, "type": "message.received", "at": 5, "conversation": "cnv_1",
            "message": {
                "id": "msg_1", "author": { "by": "operator", "name": "Ada" },
                "content": { "type": "text", "body": "my number is 5" },
                "place": { "latitude": 1.5, "name": "home" }, "reactions": ["+", "-"],
            },
        });
        let shown = value(&event).ok().unwrap();
        assert_eq!(
            shown,
            json!({
                "seq": 7, "type": "message.received", "at": 5, "conversation": "cnv_1",
                "message": {
                    "id": "msg_1", "author": { "by": "operator", "name": "•••" },
                    "content": { "type": "text", "body": "•••" },
                    "place": { "latitude": "•••", "name": "•••" }, "reactions": ["•••", "•••"],
                },
            })
        );
        assert_eq!(frame(&event.to_string()), shown.to_string());
        assert_eq!(frame("not json"), "{}");
    }
}
