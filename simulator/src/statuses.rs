//! What becomes of an accepted send: sent, delivered and read, or failed, told by webhooks.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::accounts::Account;
use crate::contacts::Contact;
use crate::core::{Core, FeedEvent};
use crate::envelope::{self, Place};
use crate::faults;
use crate::graph_error::GraphError;
use crate::webhook;
use crate::world::{Tick, TranscriptItem};

/// Why a send fails after it was accepted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Failure {
    pub code: u32,
    pub details: &'static str,
}

/// An accepted send and what its statuses tell of.
#[derive(Clone)]
pub(crate) struct Followed {
    pub account: Arc<Account>,
    pub contact: Contact,
    pub item: TranscriptItem,
    /// WhatsApp: what the conversation is charged as.
    pub category: &'static str,
}

/// Lets the statuses of a send follow in their time.
pub(crate) fn follow(core: &Arc<Core>, send: Followed, failure: Option<Failure>) {
    let shared = Arc::clone(core);
    core.tasks.spawn("statuses", async move {
        let delays = shared.settings.statuses;
        pause(&shared, delays.sent_ms).await;
        if let Some(failure) = failure {
            tell(&shared, &send, Tick::Failed, Some(failure));
            return;
        }
        tell(&shared, &send, Tick::Sent, None);
        pause(&shared, delays.delivered_ms).await;
        tell(&shared, &send, Tick::Delivered, None);
        if let Some(read_ms) = delays.read_ms {
            pause(&shared, read_ms).await;
            tell(&shared, &send, Tick::Read, None);
        }
    });
}

async fn pause(core: &Core, millis: u64) {
    if millis > 0 {
        core.clock.sleep_millis(millis).await;
    }
}

const fn word(tick: Tick) -> &'static str {
    match tick {
        Tick::Failed => "failed",
        Tick::Read => "read",
        Tick::Delivered => "delivered",
        Tick::Sent | Tick::Accepted => "sent",
    }
}

fn tell(core: &Arc<Core>, send: &Followed, tick: Tick, failure: Option<Failure>) {
    let dropped = faults::happens(core.faults().webhooks.drop_statuses_per_mille, &core.entropy);
    {
        let mut world = core.world();
        *world.counters.statuses.entry(if dropped { "dropped" } else { word(tick) }).or_default() += 1;
        if let Some(wa_id) = world.tick(&send.item.wamid, tick, failure.map(|failure| failure.code)) {
            core.publish(FeedEvent::Tick { contact: wa_id, wamid: send.item.wamid.clone(), tick });
        }
    }
    if dropped {
        return;
    }
    if send.account.is_whatsapp() {
        let errors = failure.map(|failure| GraphError::in_status(failure.code, failure.details));
        emit_status(core, send, word(tick), errors);
    } else {
        tell_social(core, send, tick);
    }
}

/// One status webhook of WhatsApp.
pub(crate) fn emit_status(core: &Arc<Core>, send: &Followed, word: &str, error: Option<Value>) {
    let value =
        envelope::number_value(&send.account, &json!({"statuses": [status(core, send, word, error)]}));
    webhook::emit(core, &send.account, &envelope::change(&send.account, "messages", &value), None);
}

/// One element of `statuses` (Meta: Cloud API, status messages webhook).
fn status(core: &Core, send: &Followed, word: &str, error: Option<Value>) -> Value {
    let Followed { contact, item, .. } = send;
    let mut status = json!({
        "id": item.wamid,
        "status": word,
        "timestamp": envelope::seconds(core.clock.now()),
        "recipient_user_id": contact.user_id,
    });
    if !contact.hides_number {
        status["recipient_id"] = json!(contact.wa_id);
    }
    if let Some(opaque) = &item.opaque {
        status["biz_opaque_callback_data"] = json!(opaque);
    }
    if word == "failed" {
        status["errors"] = json!(error.into_iter().collect::<Vec<_>>());
    } else if word != "played" {
        let free = send.category == "service";
        let kind = if free { "free_customer_service" } else { "regular" };
        status["pricing"] = json!({"billable": !free, "pricing_model": "PMP", "type": kind,
                                   "category": send.category});
    }
    status
}

/// Messenger tells the echo, the delivery and the reading; Instagram the echo and the reading.
fn tell_social(core: &Arc<Core>, send: &Followed, tick: Tick) {
    let Followed { account, contact, item, .. } = send;
    let instagram = account.is_instagram();
    let now = core.clock.now();
    match tick {
        Tick::Sent => {
            let app = (!instagram).then(|| core.app_id(account));
            echo(core, account, contact, item, app);
        }
        Tick::Delivered if !instagram => {
            let told = json!({"delivery": {"mids": [item.wamid], "watermark": now.as_millis()}});
            social(core, account, contact, "message_deliveries", told);
        }
        Tick::Read => {
            social(core, account, contact, read_field(account), read(account, item, now.as_millis()));
        }
        _ => {}
    }
}

pub(crate) const fn read_field(account: &Account) -> &'static str {
    if account.is_instagram() { "messaging_seen" } else { "message_reads" }
}

/// Messenger says up to when, Instagram which message.
pub(crate) fn read(account: &Account, item: &TranscriptItem, watermark: i64) -> Value {
    if account.is_instagram() {
        json!({"read": {"mid": item.wamid}})
    } else {
        json!({"read": {"watermark": watermark}})
    }
}

/// An event of a contact on Messenger or Instagram.
pub(crate) fn social(core: &Arc<Core>, account: &Account, contact: &Contact, field: &str, told: Value) {
    let Some(id) = core.world().scoped_id(&contact.wa_id, account) else { return };
    let now = core.clock.now();
    let mut event =
        json!({"sender": {"id": id}, "recipient": {"id": account.id()}, "timestamp": now.as_millis()});
    if let (Some(event), Value::Object(told)) = (event.as_object_mut(), told) {
        event.extend(told);
    }
    if core.hears(account, field) {
        let whole = envelope::event(account, field, now, Place::Messaging, &event);
        webhook::emit(core, account, &whole, None);
    }
}

/// What the business wrote comes back: on Messenger with the app that did it and our metadata, on Instagram inside
/// `messages` and without both (Meta: message echoes).
pub(crate) fn echo(
    core: &Arc<Core>,
    account: &Account,
    contact: &Contact,
    item: &TranscriptItem,
    app: Option<&str>,
) {
    let Some(id) = core.world().scoped_id(&contact.wa_id, account) else { return };
    let mut message = json!({"mid": item.wamid, "is_echo": true});
    if !item.text.is_empty() {
        message["text"] = json!(item.text);
    }
    let media = item.shown.media.iter();
    let attachments: Vec<Value> = media
        .map(|media| {
            let url = core.media_url(media);
            json!({"type": media.kind.social(), "payload": {"url": url}})
        })
        .collect();
    if !attachments.is_empty() {
        message["attachments"] = json!(attachments);
    }
    if !account.is_instagram() {
        if let Some(app) = app.and_then(|app| app.parse::<u64>().ok()) {
            message["app_id"] = json!(app);
        }
        if let Some(metadata) = &item.opaque {
            message["metadata"] = json!(metadata);
        }
    }
    emit_echo(core, account, &id, &message);
}

/// An echo of any shape: sender and recipient are swapped.
pub(crate) fn emit_echo(core: &Arc<Core>, account: &Account, to: &str, message: &Value) {
    let now = core.clock.now();
    let event = json!({"sender": {"id": account.id()}, "recipient": {"id": to}, "timestamp": now.as_millis(),
                       "message": message});
    let field = if account.is_instagram() { "messages" } else { "message_echoes" };
    if core.hears(account, field) {
        webhook::emit(core, account, &envelope::event(account, field, now, Place::Messaging, &event), None);
    }
}
