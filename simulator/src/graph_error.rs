//! The Graph API's error envelope (Meta: Cloud API, error codes).

use hyper::StatusCode;
use serde_json::{Value, json};

use crate::core::Core;
use crate::graph_codes::known;
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
    transient: bool,
}

/// What WhatsApp calls a code.
pub(crate) fn title(code: u32) -> &'static str {
    known(true, code, None).map_or("Something went wrong", |row| row.title)
}

impl GraphError {
    /// A refusal with the code's own title and HTTP status.
    pub fn coded(code: u32, details: &str) -> Self {
        Self::with_status(known(true, code, None).map_or(400, |row| row.status), code, details)
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
            transient: false,
        }
    }

    /// A refusal of Messenger, Instagram or Graph itself, with the HTTP status that goes with it.
    pub fn social(code: u32, subcode: Option<u32>, message: &str) -> Self {
        Self {
            status: known(false, code, subcode).map_or(400, |row| row.status),
            code,
            subcode,
            kind: "OAuthException",
            message: format!("(#{code}) {message}"),
            details: None,
            transient: false,
        }
    }

    /// A refusal that was asked for: whatever is not given is as the product would have it.
    pub fn asked_for(whatsapp: bool, status: Option<u16>, code: u32, subcode: Option<u32>) -> Self {
        let row = known(whatsapp, code, subcode);
        let words = row.map_or("Something went wrong", |row| row.title);
        let details = whatsapp.then(|| "[simulated] a fault that was asked for".to_owned());
        Self {
            status: status.or_else(|| row.map(|row| row.status)).unwrap_or(400),
            code,
            subcode,
            kind: "OAuthException",
            message: format!("(#{code}) {words}"),
            details,
            transient: matches!(code, 1 | 2),
        }
    }

    /// 100: a parameter that Graph itself refuses.
    pub fn param(message: &str) -> Self {
        let message = format!("(#100) {message}");
        Self {
            status: 400,
            code: 100,
            subcode: None,
            kind: "OAuthException",
            message,
            details: None,
            transient: false,
        }
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
        Self::coded(131_051, &format!("[simulated] the simulator does not take '{kind}'"))
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
            transient: false,
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
            transient: false,
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
        if self.transient {
            error["is_transient"] = json!(true);
        }
        if let Some(details) = &self.details {
            error["error_data"] = json!({"messaging_product": "whatsapp", "details": details});
        }
        // An error inside a 200 is seen too.
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::BAD_REQUEST);
        json_reply(status, &json!({"error": error}))
    }

    /// The element of `errors` in a `failed` status.
    pub fn in_status(code: u32, details: &str) -> Value {
        let title = title(code);
        json!({"code": code, "title": title, "message": title, "error_data": {"details": details},
               "href": "https://developers.facebook.com/docs/whatsapp/cloud-api/support/error-codes/"})
    }
}
