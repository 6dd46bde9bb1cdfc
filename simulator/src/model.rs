//! A model with OpenAI's interface (OpenAI: API reference, chat completions). Every answer says that it is simulated.

use std::sync::Arc;

use hyper::StatusCode;
use serde_json::{Value, json};

use crate::core::Core;
use crate::faults::ModelFault;
use crate::model_answer::compose;
use crate::model_messages::without_images;
use crate::model_record::{ChatSeen, ModelEndpoint, OpenStream};
use crate::model_refusal::{Refusal, authorise};
use crate::model_request::{ChatRequest, MODEL_ID, parse};
use crate::model_stream::{stream_steps, whole_steps};
use crate::moments::Happened;
use crate::server::{Call, Reply, json_reply, play, respond};

const STREAM: &str = "text/event-stream; charset=utf-8";
const JSON: &str = "application/json; charset=utf-8";

/// `GET /v1/models`.
pub(crate) fn models(core: &Core, call: &Call) -> Reply {
    if let Err(refusal) = authorise(core, call) {
        return refusal.reply(core);
    }
    let model = json!({"id": MODEL_ID, "object": "model", "created": 0, "owned_by": "iassistance-simulator"});
    json_reply(StatusCode::OK, &json!({"object": "list", "data": [model]}))
}

/// `POST /v1/chat/completions`.
pub(crate) fn completions(core: &Arc<Core>, call: &Call) -> Reply {
    core.model.asked(ModelEndpoint::Chat);
    core.changed();
    let read = authorise(core, call).and_then(|()| {
        let body = serde_json::from_slice::<Value>(&call.body).map_err(|_| Refusal::no_json())?;
        Ok((parse(&body)?, body))
    });
    let (request, body) = match read {
        Ok(read) => read,
        Err(refusal) => return refusal.reply(core),
    };
    let chat = remember(core, &request, body, call.body.len());
    core.moments.tell(|| Happened::ChatAsked { chat, said: request.exchange.said.clone() });
    let fault = core.model_fault(ModelEndpoint::Chat, &request.model);
    if let Some(refusal) = fault.as_ref().and_then(Refusal::of_fault) {
        return refusal.reply(core);
    }
    answer(core, &request, fault.as_ref(), chat)
}

fn answer(core: &Arc<Core>, request: &ChatRequest, fault: Option<&ModelFault>, chat: u64) -> Reply {
    let answer = compose(core, request, fault);
    let (steps, content_type) = if request.stream {
        (stream_steps(core, &answer, request.include_usage, fault), STREAM)
    } else {
        (whole_steps(core, &answer, fault), JSON)
    };
    let open = OpenStream::begin(core, chat);
    let body = play(core, steps, move |events| open.cut(events));
    Reply::Answer(respond(StatusCode::OK, content_type, body))
}

/// Keeps a request for whoever asks what the model was told; its number.
fn remember(core: &Core, request: &ChatRequest, mut body: Value, bytes: usize) -> u64 {
    let exchange = &request.exchange;
    let bytes = if exchange.images > 0 {
        without_images(&mut body);
        body.to_string().len()
    } else {
        bytes
    };
    let chat = ChatSeen {
        number: 0,
        at: core.clock.now(),
        model: request.model.clone(),
        said: exchange.said.clone(),
        tools: request.tools.iter().map(|tool| tool.name.clone()).collect(),
        results: exchange.results.iter().map(|(_, text)| text.clone()).collect(),
        images: exchange.images,
        body,
    };
    core.model.saw(chat, bytes)
}
