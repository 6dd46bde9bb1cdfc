//! The model's answer: as it was scripted, as a fault wants it, or made up; labelled, and cut to the tokens allowed.

use serde_json::{Value, json};

use crate::core::Core;
use crate::faults::ModelFault;
use crate::model_improvise::improvise;
use crate::model_request::ChatRequest;
use crate::model_script::{ModelScript, Round, ScriptedAnswer, ScriptedCall};
use crate::model_tools::{OfferedTool, ToolChoice};

/// What every answer of the model begins with.
pub const LABEL: &str = "[simulated]";
/// How long a piece of a call's arguments is.
const PIECE_CHARS: usize = 12;

/// What is sent at once, and counted as a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Piece {
    /// Words.
    Text(String),
    /// A call begins.
    Call { index: usize, id: String, name: String },
    /// Its arguments go on.
    Arguments { index: usize, text: String },
}

/// An answer on its way out.
#[derive(Debug)]
pub(crate) struct Answer {
    pub id: String,
    pub created: i64,
    pub model: String,
    pub pieces: Vec<Piece>,
    pub finish: &'static str,
    pub prompt_tokens: usize,
}

/// Decides what is answered.
pub(crate) fn compose(core: &Core, request: &ChatRequest, fault: Option<&ModelFault>) -> Answer {
    let mut round = match fault.and_then(|fault| of_fault(request, fault)) {
        Some(round) => round,
        None => due(&core.model.script(), request),
    };
    if !request.parallel {
        round.calls.truncate(1);
    }
    let (mut pieces, calls) = pieces(core, &round);
    let allowed = match fault {
        Some(ModelFault::Long { .. }) => usize::MAX,
        _ => request.tokens_max.unwrap_or(usize::MAX),
    };
    let mut finish = if calls > 0 { "tool_calls" } else { "stop" };
    if pieces.len() > allowed {
        finish = "length";
    }
    pieces.truncate(allowed);
    if matches!(fault, Some(ModelFault::Filter)) {
        finish = "content_filter";
        pieces.truncate(pieces.len() / 2);
    }
    core.model.called_tools(calls);
    Answer {
        id: format!("chatcmpl-{}", core.new_trace()),
        created: core.clock.now().as_millis().div_euclid(1_000),
        model: request.model.clone(),
        pieces,
        finish,
        prompt_tokens: request.prompt_tokens,
    }
}

fn calls(name: &str, arguments: Value) -> Round {
    Round { says: String::new(), calls: vec![ScriptedCall { name: name.to_owned(), arguments }] }
}

fn first_offered(request: &ChatRequest) -> Option<&OfferedTool> {
    request.tools.first().filter(|_| request.may_call())
}

/// What a fault makes of the answer, if it changes what is said.
fn of_fault(request: &ChatRequest, fault: &ModelFault) -> Option<Round> {
    match fault {
        ModelFault::UnknownTool { name } => Some(calls(name, json!({}))),
        ModelFault::BadArguments => {
            Some(calls(&first_offered(request)?.name, json!("{\"simulated\": no json")))
        }
        ModelFault::ToolsForEver => {
            let tool = first_offered(request)?;
            Some(calls(&tool.name, tool.made_up()))
        }
        ModelFault::Long { tokens } => {
            let words: Vec<String> = (1..*tokens).map(|count| format!("word{count}")).collect();
            Some(Round { says: words.join(" "), calls: Vec::new() })
        }
        _ => None,
    }
}

/// What is due now: of the first scripted answer whose words were said, or made up.
fn due(script: &ModelScript, request: &ChatRequest) -> Round {
    let said = request.exchange.said.to_lowercase();
    let scripted = script.answers.iter().find(|scripted| {
        scripted.model.as_ref().is_none_or(|model| *model == request.model)
            && said.contains(&scripted.when_contains.to_lowercase())
    });
    let round = scripted.map_or_else(|| improvise(request), |scripted| scripted_round(scripted, request));
    if !round.calls.is_empty() {
        return round;
    }
    match &request.choice {
        ToolChoice::Required => request.tools.first().map_or(round, |tool| calls(&tool.name, tool.made_up())),
        ToolChoice::Named(name) => {
            request.offered(name).map_or(round, |tool| calls(&tool.name, tool.made_up()))
        }
        ToolChoice::Auto | ToolChoice::None => round,
    }
}

fn scripted_round(scripted: &ScriptedAnswer, request: &ChatRequest) -> Round {
    let round = scripted.rounds.get(request.exchange.rounds).filter(|_| request.may_call());
    if let Some(round) = round {
        return round.clone();
    }
    Round { says: filled_in(&scripted.answer, request), calls: Vec::new() }
}

/// The answer with what its places stand for. What is filled in is not read again.
fn filled_in(answer: &str, request: &ChatRequest) -> String {
    let exchange = &request.exchange;
    let mut filled = String::new();
    let mut rest = answer;
    while let Some(start) = rest.find('{') {
        let (before, from) = rest.split_at(start);
        filled.push_str(before);
        let place = from.find('}').and_then(|end| from.get(1..end));
        let value = match place {
            Some("result") => exchange.results.last().map(|(_, text)| text.clone()).unwrap_or_default(),
            Some("results") => {
                let texts: Vec<&str> = exchange.results.iter().map(|(_, text)| text.as_str()).collect();
                texts.join("\n")
            }
            Some("images") => exchange.shown.to_string(),
            Some("said") => exchange.said.clone(),
            _ => {
                filled.push('{');
                rest = from.strip_prefix('{').unwrap_or_default();
                continue;
            }
        };
        filled.push_str(&value);
        rest = from.split_once('}').map_or("", |(_, after)| after);
    }
    filled + rest
}

/// The pieces of an answer, and how many calls are in it.
fn pieces(core: &Core, round: &Round) -> (Vec<Piece>, usize) {
    let mut pieces = Vec::new();
    if !round.says.is_empty() || round.calls.is_empty() {
        let text = format!("{LABEL} {}", round.says);
        pieces.extend(text.split_inclusive(char::is_whitespace).map(|word| Piece::Text(word.to_owned())));
    }
    for (index, call) in round.calls.iter().enumerate() {
        let id = format!("call_{}", core.new_trace());
        pieces.push(Piece::Call { index, id, name: call.name.clone() });
        let arguments = match &call.arguments {
            Value::String(text) => text.clone(),
            arguments => arguments.to_string(),
        };
        let letters: Vec<char> = arguments.chars().collect();
        let texts = letters.chunks(PIECE_CHARS).map(|letters| letters.iter().collect());
        pieces.extend(texts.map(|text| Piece::Arguments { index, text }));
    }
    (pieces, round.calls.len())
}

impl Answer {
    pub fn usage(&self) -> Value {
        let completion = self.pieces.len();
        json!({
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": completion,
            "total_tokens": self.prompt_tokens + completion,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0,
                                          "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0},
        })
    }

    /// The whole message, as it is answered when nothing is streamed.
    pub fn message(&self) -> Value {
        let mut content = String::new();
        let mut calls: Vec<(String, String, String)> = Vec::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => content.push_str(text),
                Piece::Call { id, name, .. } => calls.push((id.clone(), name.clone(), String::new())),
                Piece::Arguments { index, text } => {
                    if let Some((_, _, arguments)) = calls.get_mut(*index) {
                        arguments.push_str(text);
                    }
                }
            }
        }
        let content = if content.is_empty() { Value::Null } else { Value::String(content) };
        let mut message =
            json!({"role": "assistant", "content": content, "refusal": null, "annotations": []});
        if !calls.is_empty() {
            let calls = calls.into_iter().map(|(id, name, arguments)| {
                json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}})
            });
            message["tool_calls"] = calls.collect();
        }
        message
    }
}
