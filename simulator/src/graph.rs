//! The Graph API, as far as the server uses it: which path does what, and who may ask.

use std::sync::Arc;

use hyper::header::HeaderValue;
use hyper::{Method, StatusCode};
use serde_json::{Value, json};

use crate::accounts::{Account, TokenKind};
use crate::core::Core;
use crate::faults::SendFault;
use crate::graph_error::GraphError;
use crate::server::{Call, Reply, json_reply, truncated_reply};
use crate::statuses::Failure;
use crate::{graph_admin, graph_media, graph_objects, graph_social, graph_whatsapp};

const FAULT_DETAILS: &str = "[simulated] a fault that was asked for";

/// Everything under `/{version}/`, and what Instagram answers without a version.
pub(crate) fn route(core: &Arc<Core>, call: &Call, path: &[&str]) -> Reply {
    let get = call.head.method == Method::GET;
    let post = call.head.method == Method::POST;
    let reply = match path {
        ["debug_token"] if get => answer(core, debug_token(core, call)),
        ["refresh_access_token"] if get => answer(core, graph_admin::refresh(core, call)),
        [node, "messages"] if post => messages(core, call, node),
        [node, "media"] if post => graph_media::upload(core, call, node),
        [node, "message_attachments"] if post => graph_media::attach(core, call, node),
        [node, "message_templates"] if get => answer(core, graph_admin::templates(core, call, node)),
        [node, "phone_numbers"] if get => answer(core, graph_admin::phone_numbers(core, call, node)),
        [app, "subscriptions"] if get => answer(core, graph_admin::subscriptions(core, call, app)),
        [node, "subscribed_apps"] => answer(core, graph_admin::subscribed_apps(core, call, node)),
        [node, action] if post && action.ends_with("_thread_control") => {
            answer(core, graph_admin::thread_control(core, call, node, action))
        }
        [node] if get => graph_objects::object(core, call, node),
        [node] if call.head.method == Method::DELETE => graph_media::delete(core, call, node),
        _ => GraphError::unknown_object(&path.join("/")).reply(core),
    };
    with_usage(core, call, path.first().copied().unwrap_or_default(), reply)
}

pub(crate) fn answer(core: &Core, result: Result<Value, GraphError>) -> Reply {
    match result {
        Ok(value) => json_reply(StatusCode::OK, &value),
        Err(error) => error.reply(core),
    }
}

/// Adds the usage headers that were asked for.
fn with_usage(core: &Core, call: &Call, node: &str, reply: Reply) -> Reply {
    let usage = core.faults().usage.clone();
    let Reply::Answer(mut response) = reply else { return reply };
    if let Some(app) = usage.app
        && let Ok(header) = HeaderValue::from_str(&json!(app).to_string())
    {
        response.headers_mut().insert("x-app-usage", header);
    }
    let owners = core.accounts().owners(call.bearer(), node, core.clock.now()).unwrap_or_default();
    if let (Some(business), Some(account)) = (usage.business, owners.first())
        && let Ok(header) = HeaderValue::from_str(&json!({account.usage_id(): [business]}).to_string())
    {
        response.headers_mut().insert("x-business-use-case-usage", header);
    }
    Reply::Answer(response)
}

/// `GET /{version}/debug_token?input_token=`: whether a token is good, of whom it is and what it may do.
fn debug_token(core: &Core, call: &Call) -> Result<Value, GraphError> {
    let now = core.clock.now();
    let accounts = core.accounts();
    let app_token = format!("{}|{}", core.settings.app_id, core.settings.app_secret);
    if call.bearer() != Some(app_token.as_str()) {
        accounts.token(call.bearer(), now)?;
    }
    let Some(token) = call.query("input_token").and_then(|input| accounts.inspect(&input)) else {
        let error = json!({"code": 190, "message": "Invalid OAuth access token."});
        return Ok(json!({"data": {"is_valid": false, "error": error, "scopes": []}}));
    };
    let (kind, scopes): (_, &[&str]) = match token.kind {
        TokenKind::System => {
            ("SYSTEM_USER", &["whatsapp_business_management", "whatsapp_business_messaging"])
        }
        TokenKind::Page => {
            const PAGE: [&str; 5] = [
                "pages_messaging",
                "pages_manage_metadata",
                "pages_show_list",
                "instagram_basic",
                "instagram_manage_messages",
            ];
            ("PAGE", &PAGE)
        }
        TokenKind::Instagram => ("USER", &["instagram_business_basic", "instagram_business_manage_messages"]),
    };
    let expires_at = token.expires_at.map_or(0, |end| end.as_millis().div_euclid(1_000));
    let account = token.accounts.first();
    let mut data = json!({
        "app_id": account.map_or(core.settings.app_id.as_str(), |account| core.app_id(account)),
        "application": "Simulated app",
        "is_valid": token.expires_at.is_none_or(|end| end > now),
        "type": kind,
        "issued_at": token.issued_at.as_millis().div_euclid(1_000),
        "expires_at": expires_at,
        "data_access_expires_at": 0,
        "scopes": scopes,
        "user_id": graph_objects::OWNER_ID,
    });
    if let Some(page) = account.filter(|_| token.kind == TokenKind::Page) {
        data["profile_id"] = json!(page.id());
    }
    Ok(json!({ "data": data }))
}

/// `POST /{version}/{node}/messages`: sends, marks as read, shows typing.
fn messages(core: &Arc<Core>, call: &Call, node: &str) -> Reply {
    let senders = core.accounts().senders(call.bearer(), node, core.clock.now());
    let senders = match senders.and_then(|senders| is_json(call).map(|()| senders)) {
        Ok(senders) => senders,
        Err(error) => return refuse(core, &error),
    };
    match senders.first() {
        Some(account) if account.is_whatsapp() => graph_whatsapp::messages(core, account, &call.body),
        Some(_) => graph_social::messages(core, &senders, &call.body),
        None => refuse(core, &GraphError::unknown_object(node)),
    }
}

fn is_json(call: &Call) -> Result<(), GraphError> {
    if call.header("content-type").starts_with("application/json") {
        return Ok(());
    }
    Err(GraphError::param("The request body must be application/json."))
}

/// Answers with a refusal, counted.
pub(crate) fn refuse(core: &Core, error: &GraphError) -> Reply {
    *core.world().counters.sends_refused.entry(error.code).or_default() += 1;
    core.changed();
    error.reply(core)
}

/// A well-formed send: the fault that is due has its way, else it is accepted or refused.
pub(crate) fn send(
    core: &Core,
    account: &Account,
    accept: impl FnOnce(Option<Failure>) -> Result<Value, GraphError>,
) -> Reply {
    let fault = core.send_fault(account);
    let mut failure = None;
    match &fault {
        Some(SendFault::Refuse { status, code }) => {
            return refuse(core, &GraphError::with_status(*status, *code, FAULT_DETAILS));
        }
        Some(SendFault::Error { code, later: true, .. }) => {
            failure = Some(Failure { code: *code, details: FAULT_DETAILS });
        }
        Some(SendFault::Error { code, subcode, status, .. }) => {
            return refuse(core, &GraphError::asked_for(account.is_whatsapp(), *status, *code, *subcode));
        }
        Some(SendFault::Hang { accepted: false }) => return Reply::Hang,
        Some(SendFault::Cut { accepted: false }) => return Reply::Cut,
        _ => {}
    }
    let value = match accept(failure) {
        Ok(value) => value,
        Err(error) => return refuse(core, &error),
    };
    match fault {
        Some(SendFault::Hang { .. }) => Reply::Hang,
        Some(SendFault::Cut { .. }) => Reply::Cut,
        Some(SendFault::Truncate) => truncated_reply(core, &value),
        _ => json_reply(StatusCode::OK, &value),
    }
}
