//! Calls of tools, put together from the pieces in which they are streamed.

use serde::Deserialize;

use crate::tools::ToolCall;

/// How many calls one answer may ask for; more are not heard.
const CALLS_MAX: usize = 32;
const ID_BYTES_MAX: usize = 128;
const NAME_BYTES_MAX: usize = 256;

/// A piece of a call (OpenAI: chat completions, streaming, `delta.tool_calls`).
#[derive(Deserialize)]
pub(crate) struct CallDelta {
    #[serde(default)]
    index: Option<usize>,
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    function: Option<FunctionDelta>,
}

#[derive(Deserialize)]
struct FunctionDelta {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    arguments: Option<String>,
}

impl CallDelta {
    /// How long it is, for the limit of the whole answer.
    pub(crate) fn bytes(&self) -> usize {
        let length = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let function = self.function.as_ref();
        length(&self.id) + function.map_or(0, |function| length(&function.name) + length(&function.arguments))
    }
}

/// Calls as far as they have come.
#[derive(Default)]
pub(crate) struct Calls(Vec<Call>);

struct Call {
    index: Option<usize>,
    id: String,
    name: String,
    arguments: String,
}

impl Calls {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes a piece. It belongs to the call of its index; where servers give none, or the same one to
    /// every call, a new id begins a new call and anything else belongs to the last.
    pub(crate) fn take(&mut self, delta: CallDelta) {
        let CallDelta { index, id, function } = delta;
        let FunctionDelta { name, arguments } =
            function.unwrap_or(FunctionDelta { name: None, arguments: None });
        let id = id.filter(|id| !id.is_empty());
        let known = self.0.iter().rposition(|call| {
            let same_place = index.is_none() || call.index == index;
            same_place && id.as_ref().is_none_or(|id| call.id.is_empty() || call.id == *id)
        });
        let place = known.unwrap_or(self.0.len());
        if place >= CALLS_MAX {
            return;
        }
        if known.is_none() {
            self.0.push(Call { index, id: String::new(), name: String::new(), arguments: String::new() });
        }
        let Some(call) = self.0.get_mut(place) else { return };
        if let Some(id) = id {
            call.id = id;
        }
        call.name.push_str(&name.unwrap_or_default());
        call.name.truncate(call.name.floor_char_boundary(NAME_BYTES_MAX));
        call.arguments.push_str(&arguments.unwrap_or_default());
    }

    /// The calls, each with an id of its own: it ties an answer to its call.
    pub(crate) fn finish(self) -> Vec<ToolCall> {
        let mut calls: Vec<ToolCall> = Vec::with_capacity(self.0.len());
        for (place, Call { id, name, arguments, .. }) in self.0.into_iter().enumerate() {
            let good = !id.is_empty() && id.len() <= ID_BYTES_MAX && calls.iter().all(|call| call.id != id);
            let id = if good { id } else { format!("call_{place}") };
            calls.push(ToolCall { id, name, arguments: arguments.into() });
        }
        calls
    }
}

#[cfg(test)]
mod tests {
    use iassistance_domain::pii::Reply;
    use serde_json::{Value, json};

    use super::*;

    fn finished(deltas: &[Value]) -> Vec<(String, String, String)> {
        let mut calls = Calls::default();
        for delta in deltas {
            calls.take(serde_json::from_value(delta.clone()).unwrap());
        }
        let calls = calls.finish().into_iter();
        calls.map(|call| (call.id, call.name, call.arguments.into_inner(Reply))).collect()
    }

    fn call(id: &str, name: &str, arguments: &str) -> (String, String, String) {
        (id.to_owned(), name.to_owned(), arguments.to_owned())
    }

    #[test]
    fn pieces_of_calls_that_are_mixed_are_put_together() {
        let deltas = [
            json!({ "index": 0, "id": "a", "type": "function", "function": { "name": "look", "arguments": "" } }),
            json!({ "index": 1, "id": "b", "function": { "name": "note", "arguments": "{\"x\"" } }),
            json!({ "index": 0, "function": { "arguments": "{\"q\":" } }),
            json!({ "index": 1, "function": { "arguments": ":1}" } }),
            json!({ "index": 0, "function": { "arguments": "\"bread\"}" } }),
        ];
        assert_eq!(
            finished(&deltas),
            [call("a", "look", "{\"q\":\"bread\"}"), call("b", "note", "{\"x\":1}")]
        );
    }

    #[test]
    fn servers_that_number_badly_are_understood() {
        let one = json!({ "index": 0, "id": "a", "function": { "name": "look", "arguments": "{}" } });
        let two = json!({ "index": 0, "id": "b", "function": { "name": "note", "arguments": "{}" } });
        assert_eq!(finished(&[one, two]), [call("a", "look", "{}"), call("b", "note", "{}")]);
        let bare = [json!({ "function": { "name": "look" } }), json!({ "function": { "arguments": "{}" } })];
        assert_eq!(finished(&bare), [call("call_0", "look", "{}")]);
        assert_eq!(finished(&[json!({ "id": null })]), [call("call_0", "", "")]);
    }

    #[test]
    fn calls_have_a_limit_and_ids_of_their_own() {
        let deltas: Vec<_> = (0..1_000).map(|index| json!({ "index": index, "id": "same" })).collect();
        let calls = finished(&deltas);
        assert_eq!(calls.len(), CALLS_MAX);
        let mut ids: Vec<_> = calls.iter().map(|(id, _, _)| id).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), CALLS_MAX);
        let long = json!({ "id": "x".repeat(500), "function": { "name": "é".repeat(500) } });
        let (id, name, _) = finished(&[long]).remove(0);
        assert_eq!((id.as_str(), name.len()), ("call_0", NAME_BYTES_MAX));
    }
}
