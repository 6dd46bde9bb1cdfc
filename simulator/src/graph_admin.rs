//! The rest of the Graph API: templates, numbers, subscriptions, thread control, renewal of tokens.

use std::sync::Arc;

use hyper::Method;
use serde_json::{Value, json};

use crate::accounts::{Account, INSTAGRAM_TOKEN_MS};
use crate::core::Core;
use crate::fields::{Dialect, Fields};
use crate::graph_error::GraphError;
use crate::graph_objects::number_fields;
use crate::graph_request::object;
use crate::server::Call;

const PAGE_MAX: usize = 100;
const PAGE_USUAL: usize = 25;
/// The fields that a Page's or an Instagram account's app can be subscribed to (Meta: webhooks).
const FIELDS: [&str; 22] = [
    "messages",
    "message_echoes",
    "message_edits",
    "message_reactions",
    "message_reads",
    "message_deliveries",
    "messaging_postbacks",
    "messaging_referrals",
    "messaging_referral",
    "messaging_optins",
    "messaging_handovers",
    "messaging_handover",
    "messaging_seen",
    "messaging_policy_enforcement",
    "messaging_feedback",
    "messaging_account_linking",
    "standby",
    "feed",
    "comments",
    "live_comments",
    "mentions",
    "response_feedback",
];

/// `GET /refresh_access_token?grant_type=ig_refresh_token`, the token as bearer or in the query.
pub(crate) fn refresh(core: &Core, call: &Call) -> Result<Value, GraphError> {
    if call.query("grant_type").as_deref() != Some("ig_refresh_token") {
        return Err(GraphError::param("Param grant_type must be ig_refresh_token"));
    }
    let given = call.query("access_token").or_else(|| call.bearer().map(str::to_owned));
    let old = given.ok_or_else(GraphError::invalid_token)?;
    let new = format!("{}.{}", old.split('.').next().unwrap_or_default(), core.new_trace());
    core.accounts().renew(&old, new.clone(), core.clock.now())?;
    let permissions = "instagram_business_basic,instagram_business_manage_messages";
    Ok(json!({"access_token": new, "token_type": "bearer", "expires_in": INSTAGRAM_TOKEN_MS / 1_000,
              "permissions": permissions}))
}

fn owners(core: &Core, call: &Call, node: &str) -> Result<Vec<Arc<Account>>, GraphError> {
    core.accounts().owners(call.bearer(), node, core.clock.now())
}

fn check_waba(core: &Core, call: &Call, node: &str) -> Result<Vec<Arc<Account>>, GraphError> {
    let mut found = owners(core, call, node)?;
    found.retain(|account| account.waba_id() == Some(node));
    if found.is_empty() { Err(GraphError::unknown_object(node)) } else { Ok(found) }
}

/// Cuts a list into pages as Graph does: `limit`, `after` and a cursor that says nothing.
fn paged(core: &Core, call: &Call, path: &str, all: Vec<Value>) -> Result<Value, GraphError> {
    let limit = call.query("limit").map(|limit| limit.parse::<usize>());
    let limit = limit.transpose().map_err(|_| GraphError::param("Param limit must be a number"))?;
    let limit = limit.unwrap_or(PAGE_USUAL).clamp(1, PAGE_MAX);
    let from = match call.query("after") {
        None => 0,
        Some(after) => {
            let from = after.strip_prefix("after").and_then(|from| from.parse::<usize>().ok());
            from.ok_or_else(|| GraphError::param("Invalid cursors values"))?
        }
    };
    let total = all.len();
    let data: Vec<Value> = all.into_iter().skip(from).take(limit).collect();
    let end = from + data.len();
    let mut answer = json!({"data": data, "paging": {"cursors": {"before": format!("after{from}"), "after": format!("after{end}")}}});
    if end < total {
        answer["paging"]["next"] =
            json!(format!("{}/{path}?limit={limit}&after=after{end}", core.base_url()));
    }
    Ok(answer)
}

/// `GET /{waba}/message_templates[?name=&status=&language=&limit=&after=]`.
pub(crate) fn templates(core: &Core, call: &Call, node: &str) -> Result<Value, GraphError> {
    check_waba(core, call, node)?;
    let fits = |field: &str, value: &str| call.query(field).is_none_or(|wanted| wanted == value);
    let all = core.with_templates(node, |all| {
        let listed = all.iter().enumerate().filter(|(_, one)| {
            fits("name", &one.name) && fits("status", &one.status) && fits("language", &one.language)
        });
        listed.map(|(index, one)| one.listed(index)).collect()
    });
    paged(core, call, call.head.uri.path().trim_start_matches('/'), all)
}

/// `GET /{waba}/phone_numbers`.
pub(crate) fn phone_numbers(core: &Core, call: &Call, node: &str) -> Result<Value, GraphError> {
    let all = check_waba(core, call, node)?.iter().map(|account| number_fields(account)).collect();
    paged(core, call, call.head.uri.path().trim_start_matches('/'), all)
}

/// `GET /{app id}/subscriptions`: where the app's webhooks go, asked by the app for itself.
pub(crate) fn subscriptions(core: &Core, call: &Call, app: &str) -> Result<Value, GraphError> {
    let token = format!("{}|{}", core.settings.app_id, core.settings.app_secret);
    if app != core.settings.app_id || call.bearer() != Some(token.as_str()) {
        return Err(GraphError::unknown_object(app));
    }
    let webhook = |object: &str| {
        let callback = core.webhooks.callback(None)?;
        Some(json!({"object": object, "callback_url": callback.as_str(), "active": true, "fields": []}))
    };
    let products = ["whatsapp_business_account", "page", "instagram"];
    Ok(json!({"data": products.into_iter().filter_map(webhook).collect::<Vec<_>>()}))
}

/// `GET`, `POST` and `DELETE /{waba, page or account}/subscribed_apps`.
pub(crate) fn subscribed_apps(core: &Core, call: &Call, node: &str) -> Result<Value, GraphError> {
    let accounts = owners(core, call, node)?;
    let Some(account) = accounts.first() else { return Err(GraphError::unknown_object(node)) };
    let whatsapp = account.is_whatsapp();
    if whatsapp && account.waba_id() != Some(node) {
        return Err(GraphError::unknown_object(node));
    }
    match call.head.method {
        Method::GET if whatsapp => {
            let api = json!({"id": core.app_id(account), "name": "Simulated app", "link": core.base_url()});
            Ok(json!({"data": [{"whatsapp_business_api_data": api}]}))
        }
        Method::GET => {
            let fields = core.with_subscriptions(|all| all.get(account.id()).cloned());
            let fields = fields.unwrap_or_else(|| FIELDS.map(str::to_owned).to_vec());
            Ok(
                json!({"data": [{"id": core.app_id(account), "name": "Simulated app", "subscribed_fields": fields}]}),
            )
        }
        Method::POST if whatsapp => Ok(json!({"success": true})),
        Method::POST => {
            let fields = asked_fields(call)?;
            core.with_subscriptions(|all| {
                for account in &accounts {
                    all.insert(account.id().to_owned(), fields.clone());
                }
            });
            Ok(json!({"success": true}))
        }
        Method::DELETE => {
            core.with_subscriptions(|all| {
                for account in &accounts {
                    all.insert(account.id().to_owned(), Vec::new());
                }
            });
            Ok(json!({"success": true}))
        }
        _ => Err(GraphError::unknown_object(node)),
    }
}

/// `subscribed_fields` of the query, of a form or of a JSON body: words with commas between them, or a list.
fn asked_fields(call: &Call) -> Result<Vec<String>, GraphError> {
    let text = call.query("subscribed_fields").or_else(|| {
        let mut pairs = url::form_urlencoded::parse(&call.body);
        pairs.find(|(key, _)| key == "subscribed_fields").map(|(_, value)| value.into_owned())
    });
    let fields: Vec<String> = match text {
        Some(text) => text.split(',').map(|field| field.trim().to_owned()).collect(),
        None => {
            match serde_json::from_slice::<Value>(&call.body).unwrap_or_default().get("subscribed_fields") {
                Some(Value::String(text)) => text.split(',').map(|field| field.trim().to_owned()).collect(),
                Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
                _ => Vec::new(),
            }
        }
    };
    if fields.is_empty() {
        return Err(GraphError::param("The parameter subscribed_fields is required"));
    }
    if let Some(unknown) = fields.iter().find(|field| !FIELDS.contains(&field.as_str())) {
        return Err(GraphError::param(&format!("Param subscribed_fields has no '{unknown}'")));
    }
    Ok(fields)
}

/// `POST /{page or account}/{take,pass,request,release}_thread_control` (Meta: Messenger, handover).
pub(crate) fn thread_control(
    core: &Core,
    call: &Call,
    node: &str,
    action: &str,
) -> Result<Value, GraphError> {
    let senders = core.accounts().senders(call.bearer(), node, core.clock.now())?;
    let body = object(&call.body)?;
    let body = Fields::root(&body, Dialect::Social);
    body.only(&["recipient", "target_app_id", "metadata"])?;
    let id = body.need_object("recipient")?.need("id", 100)?;
    let mut world = core.world();
    let unknown = || GraphError::social(100, Some(2_018_001), "No matching user found");
    let wa_id = world.contacts.find(id).ok_or_else(unknown)?;
    let theirs = |account: &&Arc<Account>| {
        world.pair(&wa_id, account).is_some_and(|pair| pair.scoped_id.as_deref() == Some(id))
    };
    let account = senders.iter().find(theirs).cloned().ok_or_else(unknown)?;
    let pair = world.pair_mut(&wa_id, &account).ok_or_else(unknown)?;
    match action {
        "take_thread_control" => pair.held_by = None,
        "pass_thread_control" => {
            let target =
                body.get("target_app_id").map(|id| id.as_str().map_or_else(|| id.to_string(), str::to_owned));
            pair.held_by = Some(target.ok_or_else(|| body.missing("target_app_id"))?);
        }
        "request_thread_control" | "release_thread_control" => {}
        _ => return Err(GraphError::unknown_object(node)),
    }
    drop(world);
    core.changed();
    Ok(json!({"success": true}))
}
