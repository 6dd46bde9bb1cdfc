//! How an answer goes out: token by token, or whole; and how it goes wrong on the way.

use serde_json::{Value, json};

use crate::core::Core;
use crate::faults::ModelFault;
use crate::model_answer::{Answer, Piece};
use crate::server::Step;

/// One event of the stream.
fn chunk(answer: &Answer, choices: &Value, usage: Option<&Value>) -> String {
    let mut chunk = json!({
        "id": answer.id,
        "object": "chat.completion.chunk",
        "created": answer.created,
        "model": answer.model,
        "service_tier": "default",
        "system_fingerprint": "fp_simulated",
        "choices": choices,
    });
    if let Some(usage) = usage {
        chunk["usage"] = usage.clone();
    }
    format!("data: {chunk}\n\n")
}

fn delta(delta: &Value, finish: Option<&str>) -> Value {
    json!([{"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish}])
}

/// A piece as OpenAI streams it: of a call its id and name come first, then its arguments bit by bit.
fn delta_of(piece: &Piece) -> Value {
    match piece {
        Piece::Text(text) => json!({ "content": text }),
        Piece::Call { index, id, name } => json!({"tool_calls": [
            {"index": index, "id": id, "type": "function", "function": {"name": name, "arguments": ""}}]}),
        Piece::Arguments { index, text } => {
            json!({"tool_calls": [{"index": index, "function": {"arguments": text}}]})
        }
    }
}

fn token_gap_ms(core: &Core, fault: Option<&ModelFault>) -> u64 {
    match fault {
        Some(ModelFault::Slow { token_ms }) => *token_ms,
        _ => 1_000_u64.checked_div(core.settings.model.tokens_per_second).unwrap_or(0),
    }
}

/// What ends an answer early, and after how many tokens.
fn broken_off(fault: Option<&ModelFault>) -> Option<(usize, Step)> {
    match fault? {
        ModelFault::Cut { after_tokens } => Some((*after_tokens, Step::Cut)),
        ModelFault::Stall { after_tokens } => Some((*after_tokens, Step::Hang)),
        ModelFault::Error { after_tokens, code } => {
            let error = json!({"error": {"message": "[simulated] a fault that was asked for", "type": "server_error",
                                         "param": null, "code": code}});
            Some((*after_tokens, Step::send(0, format!("data: {error}\n\n"))))
        }
        _ => None,
    }
}

pub(crate) fn stream_steps(
    core: &Core,
    answer: &Answer,
    include_usage: bool,
    fault: Option<&ModelFault>,
) -> Vec<Step> {
    let no_usage = include_usage.then_some(Value::Null);
    let no_usage = no_usage.as_ref();
    let think_ms = core.settings.model.think_ms;
    let gap_ms = token_gap_ms(core, fault);
    match fault {
        Some(ModelFault::Hang) => return vec![Step::Hang],
        Some(ModelFault::Garbage) => {
            return vec![Step::send(think_ms, "data: {\"id\": simulated garbage\n\n: ?\n\ndata\n\n")];
        }
        _ => {}
    }
    let begins =
        if matches!(answer.pieces.first(), Some(Piece::Call { .. })) { Value::Null } else { json!("") };
    let opening = delta(&json!({"role": "assistant", "content": begins, "refusal": null}), None);
    let mut steps = vec![Step::send(think_ms, chunk(answer, &opening, no_usage))];
    let broken_off = broken_off(fault);
    let sent = broken_off.as_ref().map_or(usize::MAX, |(after_tokens, _)| *after_tokens);
    for (count, piece) in answer.pieces.iter().take(sent).enumerate() {
        let after_ms = if count == 0 { 0 } else { gap_ms };
        steps.push(Step::send(after_ms, chunk(answer, &delta(&delta_of(piece), None), no_usage)));
    }
    if let Some((_, end)) = broken_off {
        steps.push(end);
        return steps;
    }
    steps.push(Step::send(0, chunk(answer, &delta(&json!({}), Some(answer.finish)), no_usage)));
    if include_usage && !matches!(fault, Some(ModelFault::NoUsage)) {
        steps.push(Step::send(0, chunk(answer, &json!([]), Some(&answer.usage()))));
    }
    steps.push(Step::send(0, "data: [DONE]\n\n"));
    steps
}

pub(crate) fn whole_steps(core: &Core, answer: &Answer, fault: Option<&ModelFault>) -> Vec<Step> {
    let gaps = answer.pieces.len().saturating_sub(1) as u64;
    let thought_ms = token_gap_ms(core, fault).saturating_mul(gaps);
    let after_ms = core.settings.model.think_ms.saturating_add(thought_ms);
    let mut whole = json!({
        "id": answer.id,
        "object": "chat.completion",
        "created": answer.created,
        "model": answer.model,
        "service_tier": "default",
        "system_fingerprint": "fp_simulated",
        "choices": [{"index": 0, "message": answer.message(), "logprobs": null, "finish_reason": answer.finish}],
    });
    if !matches!(fault, Some(ModelFault::NoUsage)) {
        whole["usage"] = answer.usage();
    }
    let whole = whole.to_string();
    let half = || whole.chars().take(whole.chars().count() / 2).collect::<String>();
    match fault {
        Some(ModelFault::Hang) => vec![Step::Hang],
        Some(ModelFault::Garbage) => vec![Step::send(after_ms, "<html>simulated garbage</html>")],
        Some(ModelFault::Cut { .. } | ModelFault::Error { .. }) => {
            vec![Step::send(after_ms, half()), Step::Cut]
        }
        Some(ModelFault::Stall { .. }) => vec![Step::send(after_ms, half()), Step::Hang],
        _ => vec![Step::send(after_ms, whole)],
    }
}
