//! How the model refuses: in OpenAI's words and form (OpenAI: API reference, error codes).

use hyper::StatusCode;
use hyper::header::{HeaderValue, RETRY_AFTER};
use serde_json::json;

use crate::core::Core;
use crate::faults::ModelFault;
use crate::server::{Call, Reply, json_reply};

/// A refusal.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub status: u16,
    pub code: &'static str,
    pub param: Option<String>,
    pub message: String,
    pub retry_after_s: Option<u64>,
}

impl Refusal {
    fn new(status: u16, code: &'static str, message: &str) -> Self {
        Self { status, code, param: None, message: message.to_owned(), retry_after_s: None }
    }

    /// A parameter is not as it must be.
    pub fn bad(param: &str, code: &'static str, message: &str) -> Self {
        Self { param: Some(param.to_owned()), ..Self::new(400, code, message) }
    }

    pub fn invalid(param: &str, message: &str) -> Self {
        Self::bad(param, "invalid_value", message)
    }

    pub fn missing(param: &str) -> Self {
        let message = format!("Missing required parameter: '{param}'.");
        Self::bad(param, "missing_required_parameter", &message)
    }

    /// OpenAI has it, the simulator does not.
    pub fn unsupported(param: &str) -> Self {
        let message = format!("[simulated] the simulator does not do '{param}'");
        Self::bad(param, "unsupported_parameter", &message)
    }

    /// The server promised not to.
    pub fn promise(param: &str, message: &str) -> Self {
        Self::bad(param, "promise_broken", &format!("[simulated] {message}"))
    }

    pub fn no_model(asked: &str) -> Self {
        let message = format!(
            "The model `{asked}` does not exist or you do not have access to it. [simulated] models begin with `simulated-`"
        );
        Self { status: 404, ..Self::bad("model", "model_not_found", &message) }
    }

    pub fn no_json() -> Self {
        Self::new(400, "invalid_json", "We could not parse the JSON body of your request.")
    }

    pub fn too_large(message: &str) -> Self {
        Self::new(413, "request_too_large", message)
    }

    /// What a fault refuses with, if it does.
    pub fn of_fault(fault: &ModelFault) -> Option<Self> {
        const ASKED_FOR: &str = "[simulated] a fault that was asked for";
        match fault {
            ModelFault::Refuse { status, retry_after_s } => {
                let code = if *status == 429 { "rate_limit_exceeded" } else { "server_error" };
                Some(Self { retry_after_s: *retry_after_s, ..Self::new(*status, code, ASKED_FOR) })
            }
            ModelFault::NoCredit => Some(Self::new(429, "insufficient_quota", ASKED_FOR)),
            _ => None,
        }
    }

    /// Counts and answers it.
    pub fn reply(self, core: &Core) -> Reply {
        core.model.refused();
        core.changed();
        let kind = match (self.status, self.code) {
            (_, "insufficient_quota") => "insufficient_quota",
            (429, _) => "requests",
            (500..=599, _) => "server_error",
            _ => "invalid_request_error",
        };
        let error = json!({"error": {"message": self.message, "type": kind, "param": self.param,
                                     "code": self.code}});
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::BAD_REQUEST);
        let mut reply = json_reply(status, &error);
        if let (Reply::Answer(response), Some(seconds)) = (&mut reply, self.retry_after_s) {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        reply
    }
}

/// Asks for the key.
pub(crate) fn authorise(core: &Core, call: &Call) -> Result<(), Refusal> {
    if call.bearer() == Some(core.settings.model_key.as_str()) {
        return Ok(());
    }
    Err(Refusal::new(401, "invalid_api_key", "Incorrect API key provided."))
}
