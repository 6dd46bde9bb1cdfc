//! The Graph API's error envelope (Meta: Cloud API, error codes).

use hyper::StatusCode;
use serde_json::{Value, json};

use crate::core::Core;
use crate::server::{Reply, json_reply};

/// A refusal as Meta words it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GraphError {
    pub status: u16,
    pub code: u32,
    subcode: Option<u32>,
    kind: &'static str,
    message: String,
    details: Option<String>,
}

/// What Meta calls a code.
pub(crate) const fn title(code: u32) -> &'static str {
    match code {
        1 => "API Unknown",
        2 => "API Service",
        4 => "API Too Many Calls",
        10 => "Permission Denied",
        100 => "Invalid parameter",
        190 => "Access token has expired",
        368 => "Temporarily blocked for policies violations",
        613 => "Calls exceeded the rate limit",
        80007 => "Rate limit issues",
        130_429 => "Rate limit hit",
        130_472 => "User's number is part of an experiment",
        131_005 => "Access denied",
        131_008 => "Required parameter is missing",
        33 | 131_009 => "Parameter value is not valid",
        131_016 => "Service unavailable",
        131_021 => "Recipient cannot be sender",
        131_026 => "Message undeliverable",
        131_031 => "Account has been locked",
        131_042 => "Business eligibility payment issue",
        131_047 => "Re-engagement message",
        131_048 => "Spam rate limit hit",
        131_049 => "Meta chose not to deliver",
        131_051 => "Unsupported message type",
        131_056 => "(Business Account, Consumer Account) pair rate limit hit",
        131_057 => "Account in maintenance mode",
        133_010 => "Phone number not registered",
        _ => "Something went wrong",
    }
}

/// The HTTP status that goes with a code.
const fn status(code: u32) -> u16 {
    match code {
        0 | 190 => 401,
        10 | 200..=299 | 368 | 131_005 | 131_031 => 403,
        3 | 131_000 | 131_016 | 131_057 => 500,
        2 | 133_004 => 503,
        613 => 429,
        _ => 400,
    }
}

impl GraphError {
    /// A refusal with the code's own title and HTTP status.
    pub fn coded(code: u32, details: &str) -> Self {
        Self::with_status(status(code), code, details)
    }

    /// A refusal with an HTTP status of choice.
    pub fn with_status(status: u16, code: u32, details: &str) -> Self {
        Self {
            status,
            code,
            subcode: None,
            kind: "OAuthException",
            message: format!("(#{code}) {}", title(code)),
            details: Some(details.to_owned()),
        }
    }

    /// 100: a parameter that Graph itself refuses.
    pub fn param(message: &str) -> Self {
        let message = format!("(#100) {message}");
        Self { status: 400, code: 100, subcode: None, kind: "OAuthException", message, details: None }
    }

    /// 131008: something mandatory is not there.
    pub fn missing(details: &str) -> Self {
        Self::coded(131_008, details)
    }

    /// 131009: something is there and cannot be.
    pub fn bad_value(details: &str) -> Self {
        Self::coded(131_009, details)
    }

    /// 131051: a message type that Meta takes and the simulator does not.
    pub fn unsupported_type(kind: &str) -> Self {
        Self::coded(131_051, &format!("[simulated] the simulator takes text only, not '{kind}'"))
    }

    /// 190: no token, or none that is known.
    pub fn invalid_token() -> Self {
        Self {
            status: 401,
            code: 190,
            subcode: None,
            kind: "OAuthException",
            message: "Invalid OAuth access token - Cannot parse access token".to_owned(),
            details: None,
        }
    }

    /// 100/33: an object that is not there, or not this token's.
    pub fn unknown_object(id: &str) -> Self {
        Self {
            status: 400,
            code: 100,
            subcode: Some(33),
            kind: "GraphMethodException",
            message: format!(
                "Unsupported request. Object with ID '{id}' does not exist, cannot be loaded due to missing \
                 permissions, or does not support this operation."
            ),
            details: None,
        }
    }

    /// The envelope, under a trace id.
    pub fn reply(&self, core: &Core) -> Reply {
        let mut error = json!({
            "message": self.message,
            "type": self.kind,
            "code": self.code,
            "fbtrace_id": core.new_trace(),
        });
        if let Some(subcode) = self.subcode {
            error["error_subcode"] = json!(subcode);
        }
        if let Some(details) = &self.details {
            error["error_data"] = json!({"messaging_product": "whatsapp", "details": details});
        }
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::BAD_REQUEST);
        json_reply(status, &json!({"error": error}))
    }

    /// The element of `errors` in a `failed` status.
    pub fn in_status(code: u32, details: &str) -> Value {
        json!({"code": code, "title": title(code), "message": title(code), "error_data": {"details": details},
               "href": "https://developers.facebook.com/docs/whatsapp/cloud-api/support/error-codes/"})
    }
}
