//! The lines of a script that are about the model and the tenant's tool server.

use serde_json::Value;

use crate::core::Core;
use crate::model_script::{ModelScript, Objection, ScriptedAnswer, ScriptedTranscript};
use crate::tool_server::StandIn;

/// What a line tells the model or the tool server.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Told {
    /// An answer, which comes before those of earlier lines.
    Answer(ScriptedAnswer),
    /// What is said in recordings.
    Hears(String),
    /// What moderation objects to.
    Objects(String),
    /// All that the model was told is forgotten.
    Forget,
    /// There is such a tool.
    Tool { name: String, tool: StandIn },
    /// There is no such tool.
    NoTool { name: String },
}

/// What is counted; all but open streams since the script began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Counted {
    /// Requests for chat completions.
    Chats,
    /// Streams that the server under test let go.
    Cuts,
    /// Streams that are open now.
    Streams,
    /// Calls of a tool.
    Calls(String),
}

const MODEL: &str = "write `model says: answer`, `model when <words> says: answer`, `model when <words> calls <tool> {…} says: answer`, \
                     `model {…}` as one of /sim/answers, `model hears: words`, `model objects to <words>` or `model forgets`";
const TOOL: &str = "write `tool <name> answers: text`, `tool <name> answers {…}`, `tool <name> is {…}` as one of /sim/tools, or `tool <name> is gone`";
const CATEGORY: &str = "harassment";

pub(crate) fn model(rest: &str) -> Result<Told, &'static str> {
    if rest == "forgets" {
        return Ok(Told::Forget);
    }
    if rest.starts_with('{') {
        return serde_json::from_str(rest).map(Told::Answer).map_err(|_| MODEL);
    }
    let words =
        |text: &str| Some(text.trim()).filter(|text| !text.is_empty()).map(str::to_owned).ok_or(MODEL);
    if let Some(text) = rest.strip_prefix("hears:") {
        return Ok(Told::Hears(words(text)?));
    }
    if let Some(text) = rest.strip_prefix("objects to ") {
        return Ok(Told::Objects(words(text)?));
    }
    let (when, then) = match rest.strip_prefix("when ") {
        Some(rest) => {
            let ends = [rest.find(" says:"), rest.find(" calls ")];
            let end = ends.into_iter().flatten().min().ok_or(MODEL)?;
            let (when, then) = rest.split_at(end);
            (words(when)?, then)
        }
        None => (String::new(), rest),
    };
    answer(ScriptedAnswer::says(&when, ""), then).map(Told::Answer)
}

/// `calls <tool> {…}`, as often as wanted, then `says: answer`.
fn answer(mut scripted: ScriptedAnswer, mut rest: &str) -> Result<ScriptedAnswer, &'static str> {
    loop {
        rest = rest.trim_start();
        if let Some(text) = rest.strip_prefix("says:") {
            text.trim().replace("\\n", "\n").clone_into(&mut scripted.answer);
            return if scripted.answer.is_empty() { Err(MODEL) } else { Ok(scripted) };
        }
        let call = rest.strip_prefix("calls ").ok_or(MODEL)?.trim_start();
        let (name, from) = call.split_once(' ').ok_or(MODEL)?;
        let mut values = serde_json::Deserializer::from_str(from).into_iter::<Value>();
        let arguments = values.next().and_then(Result::ok).ok_or(MODEL)?;
        rest = from.get(values.byte_offset()..).unwrap_or_default();
        scripted = scripted.calling(name, arguments);
    }
}

pub(crate) fn tool(rest: &str) -> Result<Told, &'static str> {
    let (name, rest) = rest.split_once(' ').ok_or(TOOL)?;
    let (name, rest) = (name.to_owned(), rest.trim());
    if rest == "is gone" {
        return Ok(Told::NoTool { name });
    }
    if let Some(tool) = rest.strip_prefix("is ") {
        return serde_json::from_str(tool).map(|tool| Told::Tool { name, tool }).map_err(|_| TOOL);
    }
    let body = if let Some(text) = rest.strip_prefix("answers:") {
        Value::String(text.trim().to_owned())
    } else {
        serde_json::from_str(rest.strip_prefix("answers ").ok_or(TOOL)?).map_err(|_| TOOL)?
    };
    Ok(Told::Tool { name, tool: StandIn::answering(body) })
}

/// What comes after `expect`, if it is about the model or a tool.
pub(crate) fn counted(rest: &str) -> Option<(Counted, u64)> {
    let (what, count) = rest.rsplit_once(' ')?;
    let what = match what.trim() {
        "chats" => Counted::Chats,
        "cuts" => Counted::Cuts,
        "streams" => Counted::Streams,
        what => Counted::Calls(what.strip_prefix("calls ")?.trim().to_owned()),
    };
    Some((what, count.parse().ok()?))
}

impl Told {
    /// Tells it.
    pub fn tell(&self, core: &Core) -> Result<(), String> {
        match self.clone() {
            Self::Answer(answer) => core.model.change_script(|script| script.answers.insert(0, answer)),
            Self::Hears(text) => {
                let heard = ScriptedTranscript { when_contains: String::new(), text };
                core.model.change_script(|script| script.transcripts.insert(0, heard));
            }
            Self::Objects(words) => {
                let objection = Objection { when_contains: words, category: CATEGORY.to_owned() };
                core.model.change_script(|script| script.objections.insert(0, objection));
            }
            Self::Forget => core.model.change_script(|script| *script = ModelScript::default()),
            Self::Tool { name, tool } => core.tools.set(&name, tool).map_err(|error| error.to_string())?,
            Self::NoTool { name } => {
                if !core.tools.remove(&name) {
                    return Err(format!("there is no tool {name}"));
                }
            }
        }
        Ok(())
    }
}

impl Counted {
    /// How many there are now, since the start of the simulator.
    pub fn now(&self, core: &Core) -> u64 {
        match self {
            Self::Chats => core.model.counters().requests,
            Self::Cuts => core.model.counters().streams_cut_by_client,
            Self::Streams => core.model.counters().streams_open,
            Self::Calls(tool) => core.tools.count(tool),
        }
    }

    /// Whether what was there before the script does not count.
    pub fn since_the_beginning(&self) -> bool {
        *self != Self::Streams
    }
}

impl std::fmt::Display for Counted {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Chats => formatter.write_str("chats"),
            Self::Cuts => formatter.write_str("streams that were cut"),
            Self::Streams => formatter.write_str("open streams"),
            Self::Calls(tool) => write!(formatter, "calls of {tool}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn lines_about_the_model_are_read() {
        let says = |when: &str, answer: &str| ScriptedAnswer::says(when, answer);
        for (line, told) in [
            ("says: always \\n this", Told::Answer(says("", "always \n this"))),
            ("when my order says: soon: really", Told::Answer(says("my order", "soon: really"))),
            (
                "when order calls status {\"id\": \"a b\"} says: it is {result}",
                Told::Answer(says("order", "it is {result}").calling("status", json!({"id": "a b"}))),
            ),
            (
                "calls one {} calls two \"no json\" says: done",
                Told::Answer(says("", "done").calling("one", json!({})).calling("two", json!("no json"))),
            ),
            ("{\"when_contains\": \"x\", \"answer\": \"y\"}", Told::Answer(says("x", "y"))),
            ("hears: good morning", Told::Hears("good morning".into())),
            ("objects to bad words", Told::Objects("bad words".into())),
            ("forgets", Told::Forget),
        ] {
            assert_eq!(model(line), Ok(told), "{line}");
        }
        for line in
            ["", "when x", "when says: x", "when x calls y", "when x calls y {} ", "says:", "hears:", "{}"]
        {
            assert!(model(line).is_err(), "{line}");
        }
    }

    #[test]
    fn lines_about_tools_are_read() {
        let answers = |body| Told::Tool { name: "order".into(), tool: StandIn::answering(body) };
        assert_eq!(tool("order answers: sent"), Ok(answers(json!("sent"))));
        assert_eq!(tool("order answers {\"state\": \"sent\"}"), Ok(answers(json!({"state": "sent"}))));
        assert_eq!(tool("order is gone"), Ok(Told::NoTool { name: "order".into() }));
        assert!(matches!(tool("order is {\"answers\": [{\"status\": 503}]}"), Ok(Told::Tool { .. })));
        for line in ["", "order", "order answers", "order answers x", "order is {\"answer\": 1}"] {
            assert!(tool(line).is_err(), "{line}");
        }
        assert_eq!(counted("calls order 2"), Some((Counted::Calls("order".into()), 2)));
        assert_eq!(counted("cuts 1"), Some((Counted::Cuts, 1)));
        assert_eq!(counted("calls 2"), None);
        assert_eq!(counted("chats x"), None);
    }
}
