//! Errors as problem documents (RFC 9457).

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;
use utoipa::ToSchema;

use iassistance_actors::conversation::CommandError;
use iassistance_actors::knowledge::KnowledgeError;
use iassistance_domain::channel::MessageTemplate;
use iassistance_storage::StorageError;

/// What went wrong, for people and programs.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Problem {
    /// A stable name of the kind of problem: `urn:iassistance:problem:not_found`.
    #[serde(rename = "type")]
    kind: String,
    /// The kind in words.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// The stable code by itself: `not_found`.
    code: &'static str,
    /// What was wrong here, and what to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    /// The templates that may be sent instead, where a window is closed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[expect(clippy::box_collection, reason = "a refusal is returned by value everywhere and is kept small")]
    templates: Option<Box<Vec<MessageTemplate>>>,
    #[serde(skip)]
    retry_after_s: Option<u32>,
    #[serde(skip)]
    allow: Option<Box<str>>,
    /// Whether what was asked for may have taken effect all the same.
    #[serde(skip)]
    uncertain: bool,
}

impl Problem {
    fn new(status: StatusCode, code: &'static str, title: &'static str) -> Self {
        let kind = format!("urn:iassistance:problem:{code}");
        Self {
            kind,
            title,
            status: status.as_u16(),
            code,
            detail: None,
            templates: None,
            retry_after_s: None,
            allow: None,
            uncertain: false,
        }
    }

    /// Says what was wrong here.
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// 400: the request cannot be understood.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", "The request cannot be understood").detail(detail)
    }

    /// 422: a value is not what it must be.
    pub fn invalid(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", "A value is not what it must be")
            .detail(detail)
    }

    /// 401: no credential, or one that does not work. It does not say which.
    pub fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", "A working credential is needed")
    }

    /// 403: the credential does not allow this.
    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", "The credential does not allow this").detail(detail)
    }

    /// 403: another page than ours asks for it in somebody's session.
    pub fn forged(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forged", "The request does not come from our own page")
            .detail(detail)
    }

    /// 403: it needs a proof anew of who asks.
    pub fn step_up_needed() -> Self {
        Self::new(StatusCode::FORBIDDEN, "step_up_needed", "It needs a proof anew of who you are")
            .detail("prove it at `/v1/auth/step-up`, then repeat the request within ten minutes")
    }

    /// 403: a second factor must be added or given first.
    pub fn second_factor_needed() -> Self {
        Self::new(StatusCode::FORBIDDEN, "second_factor_needed", "A second factor is needed")
            .detail("who administers has one: add an authenticator or a passkey at `/v1/auth`, then go on")
    }

    /// 403: it needs a grant that a second owner consents to.
    pub fn break_glass_needed() -> Self {
        Self::new(StatusCode::FORBIDDEN, "break_glass_needed", "A break-glass grant is needed")
            .detail("ask for one at `/v1/tenants/{tenant}/break-glass`; another owner consents, and the tenant sees it")
    }

    /// 403: what was given does not prove who it is.
    pub fn wrong_credentials(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "wrong_credentials", "It does not prove who you are").detail(detail)
    }

    /// 429: too many tries.
    pub fn too_many(retry_after_s: u32, detail: impl Into<String>) -> Self {
        let mut problem =
            Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many", "Too many tries").detail(detail);
        problem.retry_after_s = Some(retry_after_s);
        problem
    }

    /// Its stable code.
    pub const fn code(&self) -> &'static str {
        self.code
    }

    /// 429: more requests than somebody may send.
    pub fn rate_limited(retry_after_s: u32) -> Self {
        let mut problem = Self::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", "Too many requests")
            .detail("see the header RateLimit, and come again after Retry-After seconds");
        problem.retry_after_s = Some(retry_after_s);
        problem
    }

    /// 400: JSON within JSON, deeper than anything that is understood.
    pub fn too_deep(depth_max: usize) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "too_deep", "The body is nested too deeply")
            .detail(format!("at most {depth_max} arrays and objects within each other are accepted"))
    }

    /// Whether it says that somebody may not, rather than that something failed.
    pub const fn is_refusal(&self) -> bool {
        matches!(self.status, 401 | 403 | 404)
    }

    /// 404: there is no such thing, or it is another tenant's; the answer is the same.
    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "There is no such thing")
    }

    /// 405: the thing is there, but not for this method; `methods` are those that it has.
    pub fn method_not_allowed(methods: &[&str]) -> Self {
        let allow = methods.join(", ").to_uppercase();
        let mut problem =
            Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "It does not have this method")
                .detail(format!("it has {allow}"));
        problem.allow = Some(allow.into_boxed_str());
        problem
    }

    /// 415: the body is not JSON.
    pub fn not_json() -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not_json", "The body must be JSON")
            .detail("send it with `Content-Type: application/json`")
    }

    /// 415: what came is of a type that is not read.
    pub fn unsupported_type(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_type",
            "What came is of a type that is not read",
        )
        .detail(detail)
    }

    /// 422: the `Idempotency-Key` belongs to another request.
    pub fn idempotency_mismatch() -> Self {
        Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "idempotency_mismatch",
            "The Idempotency-Key belongs to another request",
        )
        .detail("it was used with another body or another address: use a new one for every new request")
    }

    /// 409: something else has it, or it changed meanwhile.
    pub fn conflict(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "conflict", "It conflicts with what is there").detail(detail)
    }

    /// 412: it changed since it was read.
    pub fn precondition_failed(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::PRECONDITION_FAILED, "changed", "It changed since it was read").detail(detail)
    }

    /// 413: the body is too large.
    pub fn too_large(bytes_max: usize) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", "The body is too large")
            .detail(format!("at most {bytes_max} bytes are accepted"))
    }

    /// 431: the head is too large.
    pub fn head_too_large(bytes_max: usize) -> Self {
        Self::new(
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            "head_too_large",
            "The head of the request is too large",
        )
        .detail(format!("at most {bytes_max} bytes of address and headers are accepted"))
    }

    /// 431: there are too many headers.
    pub fn too_many_headers(headers_max: usize) -> Self {
        Self::new(
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            "too_many_headers",
            "There are too many headers",
        )
        .detail(format!("at most {headers_max} headers are accepted"))
    }

    /// 408: the body took too long to arrive.
    pub fn too_slow() -> Self {
        Self::new(StatusCode::REQUEST_TIMEOUT, "too_slow", "The body took too long to arrive")
    }

    /// 503: not now; nothing was promised.
    pub fn unavailable(retry_after_s: u32, detail: impl Into<String>) -> Self {
        let mut problem =
            Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "Not now: nothing was accepted")
                .detail(detail);
        problem.retry_after_s = Some(retry_after_s);
        problem
    }

    /// 500: our fault.
    pub fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "Something failed here; it has been logged")
            .uncertain()
    }

    /// What was asked for may have taken effect all the same.
    fn uncertain(mut self) -> Self {
        self.uncertain = true;
        self
    }

    /// Whether what was asked for may have taken effect all the same, so that repeating it could do
    /// it twice.
    pub const fn is_uncertain(&self) -> bool {
        self.uncertain
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.title)
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status_code());
        if let Some(seconds) = self.retry_after_s {
            response.insert_header((header::RETRY_AFTER, HeaderValue::from(seconds)));
        }
        if let Some(methods) = &self.allow {
            response.insert_header((header::ALLOW, &**methods));
        }
        if self.status == 401 {
            response.insert_header((header::WWW_AUTHENTICATE, "Bearer"));
        }
        response.content_type("application/problem+json").json(self)
    }
}

impl From<StorageError> for Problem {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::NoSuchTenant(_) | StorageError::NotFound(_) => Self::not_found(),
            StorageError::Conflict(what) => Self::conflict(format!("{what} is taken already")),
            StorageError::Full { .. } => Self::conflict(error.to_string()),
            StorageError::Stale => Self::precondition_failed("read it again and repeat the change"),
            StorageError::Backlog { .. }
            | StorageError::Crowded { .. }
            | StorageError::Overloaded
            | StorageError::NoRoom { .. } => Self::unavailable(5, error.to_string()),
            StorageError::Closed => Self::unavailable(5, "the server is stopping"),
            StorageError::Disk { .. } => {
                tracing::error!(%error, "storage failed");
                Self::unavailable(30, "the store cannot write: see /health/ready").uncertain()
            }
            StorageError::Damaged { .. } | StorageError::NewerRecord { .. } => {
                tracing::error!(%error, "a record could not be read");
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "damaged", "A record cannot be read")
                    .detail("who runs the platform finds out more by `iassistance doctor`")
            }
            StorageError::Vault(_) | StorageError::Open(_) => {
                tracing::error!(%error, "a record could not be read");
                Self::internal()
            }
        }
    }
}

impl From<KnowledgeError> for Problem {
    fn from(error: KnowledgeError) -> Self {
        match error {
            KnowledgeError::BadTitle | KnowledgeError::Empty => Self::invalid(error.to_string()),
            KnowledgeError::BadType(_) => Self::unsupported_type(error.to_string()),
            KnowledgeError::TooLarge { max, .. } => Self::too_large(max),
            KnowledgeError::TooMany(_) | KnowledgeError::There(_) => Self::conflict(error.to_string()),
            KnowledgeError::NotFound => Self::not_found(),
            KnowledgeError::Search(why) => Self::unavailable(5, why),
            KnowledgeError::Content(error) => error.into(),
            KnowledgeError::Storage(error) => error.into(),
        }
    }
}

impl From<CommandError> for Problem {
    fn from(error: CommandError) -> Self {
        match error {
            CommandError::NotFound(_) => Self::not_found(),
            CommandError::WindowClosed { ref templates } => {
                let (detail, templates) = (error.to_string(), templates.clone());
                let mut problem = Self::new(
                    StatusCode::CONFLICT,
                    "window_closed",
                    "The channel's answering window is closed",
                )
                .detail(detail);
                problem.templates = (!templates.is_empty()).then(|| Box::new(templates));
                problem
            }
            CommandError::NotCarried(detail) => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "not_carried", "The channel does not carry this")
                    .detail(detail)
            }
            CommandError::BadNote => Self::invalid(error.to_string()),
            CommandError::MarketingRefused
            | CommandError::OtherApp
            | CommandError::Replayed
            | CommandError::Quarantined => Self::conflict(error.to_string()),
            // A conversation that did not answer may have committed before it failed.
            CommandError::Busy => Self::unavailable(1, error.to_string()).uncertain(),
            CommandError::Stopping => Self::unavailable(1, error.to_string()),
            CommandError::Storage(error) => error.into(),
        }
    }
}
