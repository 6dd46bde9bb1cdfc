//! A model with OpenAI's interface (OpenAI: API reference, chat completions). Every answer says that it is simulated.

use std::sync::Arc;

use hyper::StatusCode;
use hyper::header::HeaderValue;
use serde_json::{Value, json};

use crate::core::Core;
use crate::faults::ModelFault;
use crate::model_record::{ModelEndpoint, OpenStream};
use crate::model_request::{ChatRequest, MODEL_ID, Refusal, parse};
use crate::server::{Body, Call, Reply, Step, json_reply, play, respond};

/// What every answer of the model begins with.
pub const LABEL: &str = "[simulated]";
const STREAM: &str = "text/event-stream; charset=utf-8";
const JSON: &str = "application/json; charset=utf-8";

/// An answer on its way out.
struct Answer {
    id: String,
    created: i64,
    tokens: Vec<String>,
    finish: &'static str,
    prompt_tokens: usize,
}

/// `GET /v1/models`.
pub(crate) fn models(core: &Core, call: &Call) -> Reply {
    if let Err(refusal) = authorise(core, call) {
        return refuse(core, &refusal, None);
    }
    let model = json!({"id": MODEL_ID, "object": "model", "created": 0, "owned_by": "iassistance-simulator"});
    json_reply(StatusCode::OK, &json!({"object": "list", "data": [model]}))
}

/// `POST /v1/chat/completions`.
pub(crate) fn completions(core: &Arc<Core>, call: &Call) -> Reply {
    core.model.asked(ModelEndpoint::Chat);
    core.changed();
    let request = match authorise(core, call).and_then(|()| parse(&call.body)) {
        Ok(request) => request,
        Err(refusal) => return refuse(core, &refusal, None),
    };
    let fault = core.model_fault(ModelEndpoint::Chat, MODEL_ID);
    if let Some(ModelFault::Refuse { status, retry_after_s }) = fault {
        let code = if status == 429 { "rate_limit_exceeded" } else { "server_error" };
        let message = "[simulated] a fault that was asked for".to_owned();
        return refuse(core, &Refusal { status, code, param: None, message }, retry_after_s);
    }
    let answer = compose(core, &request);
    let (steps, content_type) = if request.stream {
        (stream_steps(core, &answer, request.include_usage, fault.as_ref()), STREAM)
    } else {
        (whole_steps(core, &answer, fault.as_ref()), JSON)
    };
    Reply::Answer(respond(StatusCode::OK, content_type, watched(core, steps)))
}

/// Plays the steps and counts if the client leaves before the last.
fn watched(core: &Arc<Core>, steps: Vec<Step>) -> Body {
    let open = OpenStream::begin(core, 0);
    play(core, steps, move |events| open.cut(events))
}

fn authorise(core: &Core, call: &Call) -> Result<(), Refusal> {
    if call.bearer() == Some(core.settings.model_key.as_str()) {
        return Ok(());
    }
    let message = "Incorrect API key provided.".to_owned();
    Err(Refusal { status: 401, code: "invalid_api_key", param: None, message })
}

fn refuse(core: &Core, refusal: &Refusal, retry_after_s: Option<u64>) -> Reply {
    core.model.refused();
    core.changed();
    let kind = match refusal.status {
        429 => "requests",
        500..=599 => "server_error",
        _ => "invalid_request_error",
    };
    let error = json!({"error": {"message": refusal.message, "type": kind, "param": refusal.param,
                                 "code": refusal.code}});
    let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::BAD_REQUEST);
    let mut reply = json_reply(status, &error);
    if let (Reply::Answer(response), Some(seconds)) = (&mut reply, retry_after_s) {
        response.headers_mut().insert("retry-after", HeaderValue::from(seconds));
    }
    reply
}

/// The first scripted answer whose words were said, or an echo; labelled, and cut to the tokens allowed.
fn compose(core: &Core, request: &ChatRequest) -> Answer {
    let said = request.said.to_lowercase();
    let script = core.model.script();
    let scripted =
        script.answers.iter().find(|scripted| said.contains(&scripted.when_contains.to_lowercase()));
    let text = match scripted {
        Some(scripted) => format!("{LABEL} {}", scripted.answer),
        None => format!("{LABEL} You said: {}", request.said),
    };
    let mut tokens: Vec<String> = text.split_inclusive(char::is_whitespace).map(str::to_owned).collect();
    let allowed = request.tokens_max.unwrap_or(usize::MAX);
    let finish = if tokens.len() > allowed { "length" } else { "stop" };
    tokens.truncate(allowed);
    Answer {
        id: format!("chatcmpl-{}", core.new_trace()),
        created: core.clock.now().as_millis().div_euclid(1_000),
        tokens,
        finish,
        prompt_tokens: request.prompt_tokens,
    }
}

impl Answer {
    fn usage(&self) -> Value {
        let completion = self.tokens.len();
        json!({
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": completion,
            "total_tokens": self.prompt_tokens + completion,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0,
                                          "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0},
        })
    }

    /// One event of the stream.
    fn chunk(&self, choices: &Value, usage: Option<&Value>) -> String {
        let mut chunk = json!({
            "id": self.id,
            "object": "chat.completion.chunk",
            "created": self.created,
            "model": MODEL_ID,
            "service_tier": "default",
            "system_fingerprint": "fp_simulated",
            "choices": choices,
        });
        if let Some(usage) = usage {
            chunk["usage"] = usage.clone();
        }
        format!("data: {chunk}\n\n")
    }
}

fn delta(delta: &Value, finish: Option<&str>) -> Value {
    json!([{"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish}])
}

fn token_gap_ms(core: &Core) -> u64 {
    1_000_u64.checked_div(core.settings.model.tokens_per_second).unwrap_or(0)
}

fn stream_steps(core: &Core, answer: &Answer, include_usage: bool, fault: Option<&ModelFault>) -> Vec<Step> {
    let no_usage = include_usage.then_some(Value::Null);
    let no_usage = no_usage.as_ref();
    let think_ms = core.settings.model.think_ms;
    let gap_ms = token_gap_ms(core);
    match fault {
        Some(ModelFault::Hang) => return vec![Step::Hang],
        Some(ModelFault::Garbage) => {
            return vec![Step::send(think_ms, "data: {\"id\": simulated garbage\n\n: ?\n\ndata\n\n")];
        }
        _ => {}
    }
    let opening = delta(&json!({"role": "assistant", "content": "", "refusal": null}), None);
    let mut steps = vec![Step::send(think_ms, answer.chunk(&opening, no_usage))];
    for (count, token) in answer.tokens.iter().enumerate() {
        if matches!(fault, Some(ModelFault::Cut { after_tokens }) if *after_tokens <= count) {
            steps.push(Step::Cut);
            return steps;
        }
        let chunk = answer.chunk(&delta(&json!({"content": token}), None), no_usage);
        steps.push(Step::send(if count == 0 { 0 } else { gap_ms }, chunk));
    }
    if matches!(fault, Some(ModelFault::Cut { .. })) {
        steps.push(Step::Cut);
        return steps;
    }
    steps.push(Step::send(0, answer.chunk(&delta(&json!({}), Some(answer.finish)), no_usage)));
    if include_usage {
        steps.push(Step::send(0, answer.chunk(&json!([]), Some(&answer.usage()))));
    }
    steps.push(Step::send(0, "data: [DONE]\n\n"));
    steps
}

fn whole_steps(core: &Core, answer: &Answer, fault: Option<&ModelFault>) -> Vec<Step> {
    let gaps = answer.tokens.len().saturating_sub(1) as u64;
    let after_ms = core.settings.model.think_ms.saturating_add(token_gap_ms(core).saturating_mul(gaps));
    let whole = json!({
        "id": answer.id,
        "object": "chat.completion",
        "created": answer.created,
        "model": MODEL_ID,
        "service_tier": "default",
        "system_fingerprint": "fp_simulated",
        "choices": [{
            "index": 0,
            "message": {"role": "assistant", "content": answer.tokens.concat(), "refusal": null, "annotations": []},
            "logprobs": null,
            "finish_reason": answer.finish,
        }],
        "usage": answer.usage(),
    })
    .to_string();
    match fault {
        Some(ModelFault::Hang) => vec![Step::Hang],
        Some(ModelFault::Garbage) => vec![Step::send(after_ms, "<html>simulated garbage</html>")],
        Some(ModelFault::Cut { .. }) => {
            let half: String = whole.chars().take(whole.chars().count() / 2).collect();
            vec![Step::send(after_ms, half), Step::Cut]
        }
        _ => vec![Step::send(after_ms, whole)],
    }
}
