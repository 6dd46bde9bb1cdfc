//! The Graph API of WhatsApp's Cloud API, as far as the server uses it.

use std::sync::Arc;

use hyper::StatusCode;
use iassistance_domain::Timestamp;
use serde_json::{Value, json};

use crate::contacts::Contact;
use crate::core::{Core, FeedEvent};
use crate::faults::SendFault;
use crate::graph_error::GraphError;
use crate::graph_request::{GraphRequest, Recipient, SendText, parse};
use crate::server::{Call, Reply, json_reply, truncated_reply};
use crate::settings::{Number, OutsideWindow};
use crate::statuses;
use crate::world::{Direction, Tick, TranscriptItem, World};

/// How long after a contact's last message anything but a template may be sent (Meta: "customer service window").
const WINDOW_MS: u64 = 24 * 3_600_000;
pub(crate) const WINDOW_DETAILS: &str = "Message failed to send because more than 24 hours have passed since the customer last replied to this number.";

/// `GET /{version}/{phone_number_id}`: what the number is.
pub(crate) fn number(core: &Core, call: &Call, id: &str) -> Reply {
    match authorise(core, call, id) {
        Ok(number) => json_reply(
            StatusCode::OK,
            &json!({
                "id": number.phone_number_id,
                "display_phone_number": number.display_phone_number,
                "verified_name": number.verified_name,
                "quality_rating": "GREEN",
            }),
        ),
        Err(error) => error.reply(core),
    }
}

/// `GET /{version}/debug_token?input_token=`: whether a token is good.
pub(crate) fn debug_token(core: &Core, call: &Call) -> Reply {
    let known = |token: &str| core.settings.numbers.iter().any(|number| number.access_token == token);
    if !call.bearer().is_some_and(known) {
        return GraphError::invalid_token().reply(core);
    }
    let valid = call.query("input_token").is_some_and(|token| known(&token));
    let scopes = ["whatsapp_business_management", "whatsapp_business_messaging"];
    json_reply(
        StatusCode::OK,
        &json!({"data": {"is_valid": valid, "type": "SYSTEM_USER", "expires_at": 0, "scopes": scopes}}),
    )
}

/// Whatever else is asked of Graph.
pub(crate) fn unknown(core: &Core, id: &str) -> Reply {
    GraphError::unknown_object(id).reply(core)
}

/// `POST /{version}/{phone_number_id}/messages`: sends, or marks as read.
pub(crate) fn messages(core: &Arc<Core>, call: &Call, id: &str) -> Reply {
    let asked = authorise(core, call, id).and_then(|number| {
        if !call.header("content-type").starts_with("application/json") {
            return Err(GraphError::param("The request body must be application/json."));
        }
        Ok((number, parse(&call.body)?))
    });
    let result = match asked {
        Ok((number, GraphRequest::Read { message_id, typing })) => {
            mark_read(core, number, &message_id, typing)
        }
        Ok((number, GraphRequest::Send(send))) => return answer_send(core, number, send),
        Err(error) => Err(error),
    };
    match result {
        Ok(value) => json_reply(StatusCode::OK, &value),
        Err(error) => refuse(core, &error),
    }
}

/// The number, if the token may use it.
fn authorise<'a>(core: &'a Core, call: &Call, id: &str) -> Result<&'a Number, GraphError> {
    let token = call.bearer().ok_or_else(GraphError::invalid_token)?;
    if !core.settings.numbers.iter().any(|number| number.access_token == token) {
        return Err(GraphError::invalid_token());
    }
    let number = core.number(id).filter(|number| number.access_token == token);
    number.ok_or_else(|| GraphError::unknown_object(id))
}

fn refuse(core: &Core, error: &GraphError) -> Reply {
    *core.world().counters.sends_refused.entry(error.code).or_default() += 1;
    core.changed();
    error.reply(core)
}

fn mark_read(core: &Core, number: &Number, message_id: &str, typing: bool) -> Result<Value, GraphError> {
    let mut world = core.world();
    let (contact, turned) = world.mark_read(&number.phone_number_id, message_id).ok_or_else(|| {
        GraphError::bad_value("Param message_id is not a message that this number received.")
    })?;
    for wamid in turned {
        core.publish(FeedEvent::Tick { contact: contact.clone(), wamid, tick: Tick::Read });
    }
    if typing {
        world.counters.typing_indicators += 1;
        core.publish(FeedEvent::Typing { contact });
    }
    Ok(json!({"success": true}))
}

/// A well-formed send: the fault that is due has its way, else it is accepted or refused.
fn answer_send(core: &Arc<Core>, number: &Number, send: SendText) -> Reply {
    let fault = core.send_fault();
    match fault {
        Some(SendFault::Refuse { status, code }) => {
            let details = "[simulated] a fault that was asked for";
            return refuse(core, &GraphError::with_status(status, code, details));
        }
        Some(SendFault::Hang { accepted: false }) => return Reply::Hang,
        Some(SendFault::Cut { accepted: false }) => return Reply::Cut,
        _ => {}
    }
    let value = match accept(core, number, send) {
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

/// Accepts a send and lets its statuses follow.
fn accept(core: &Arc<Core>, number: &Number, send: SendText) -> Result<Value, GraphError> {
    if core.webhooks.is_full() {
        return Err(GraphError::coded(131_016, "[simulated] too many webhooks wait for the callback"));
    }
    let now = core.clock.now();
    let mut world = core.world();
    let contact = recipient(core, &mut world, number, &send.recipient)?;
    take_rates(core, &mut world, number, &contact, now)?;
    let anyway = core.settings.outside_window == OutsideWindow::Delivered;
    let open = anyway || in_window(&world, number, &contact, now);
    if !open && core.settings.outside_window == OutsideWindow::RefusedAtOnce {
        return Err(GraphError::coded(131_047, WINDOW_DETAILS));
    }
    let item = TranscriptItem {
        wamid: core.new_wamid(&contact, Direction::ToContact),
        phone_number_id: number.phone_number_id.clone(),
        direction: Direction::ToContact,
        at: now,
        text: send.body,
        tick: Tick::Accepted,
        quoting: send.quoting,
        opaque: send.opaque,
        error_code: None,
    };
    world.keep(&contact.wa_id, item.clone());
    drop(world);
    core.publish(FeedEvent::Message { contact: contact.wa_id.clone(), message: item.clone() });
    let answered = match send.recipient {
        Recipient::Phone { input, .. } => json!({"input": input, "wa_id": contact.wa_id}),
        Recipient::User(user) => json!({"input": user, "user_id": contact.user_id}),
    };
    let value = json!({
        "messaging_product": "whatsapp",
        "contacts": [answered],
        "messages": [{"id": item.wamid}],
    });
    statuses::follow(core, number.clone(), contact, item, open);
    Ok(value)
}

/// The contact that a send is for. A number that never wrote becomes one, so that the phone page shows it.
fn recipient(core: &Core, world: &mut World, number: &Number, to: &Recipient) -> Result<Contact, GraphError> {
    let unknown = || GraphError::bad_value("Param recipient is not a user of this business portfolio.");
    let wa_id = match to {
        Recipient::User(user) => world.contacts.find(user).ok_or_else(unknown)?,
        Recipient::Phone { digits, .. } => {
            if crate::contacts::phone_digits(&number.display_phone_number).as_ref() == Some(digits) {
                return Err(GraphError::coded(131_021, "The sender and the recipient are the same number."));
            }
            let full = |_| GraphError::coded(131_016, "[simulated] no room for another contact");
            let (wa_id, added) = world.find_or_add(digits).map_err(full)?;
            if let Some(entry) = world.contacts.get(&wa_id).filter(|_| added) {
                core.publish(FeedEvent::Contact { contact: entry.contact.clone() });
            }
            wa_id
        }
    };
    world.contacts.get(&wa_id).map(|entry| entry.contact.clone()).ok_or_else(unknown)
}

fn take_rates(
    core: &Core,
    world: &mut World,
    number: &Number,
    contact: &Contact,
    now: Timestamp,
) -> Result<(), GraphError> {
    let limits = core.settings.limits;
    let id = &number.phone_number_id;
    let every_us = 1_000_000_u64.checked_div(limits.number_per_second).unwrap_or(0);
    let rate = world.number_rates.entry(id.clone()).or_default();
    if !rate.take(now, every_us, limits.number_per_second) {
        return Err(GraphError::coded(130_429, "Cloud API message throughput has been reached."));
    }
    let Some(entry) = world.contacts.get_mut(&contact.wa_id) else { return Ok(()) };
    if !entry.pairs.entry(id.clone()).or_default().take(now, limits) {
        let details =
            "Too many messages sent from this phone number to the same phone number in a short period.";
        return Err(GraphError::coded(131_056, details));
    }
    Ok(())
}

fn in_window(world: &World, number: &Number, contact: &Contact, now: Timestamp) -> bool {
    let entry = world.contacts.get(&contact.wa_id);
    let last = entry.and_then(|entry| entry.pairs.get(&number.phone_number_id)?.last_inbound);
    last.is_some_and(|last| now.millis_since(last) < WINDOW_MS)
}
