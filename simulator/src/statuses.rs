//! What becomes of an accepted send: sent, delivered and read, or failed, told by webhooks.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::contacts::Contact;
use crate::core::{Core, FeedEvent};
use crate::faults;
use crate::graph::WINDOW_DETAILS;
use crate::graph_error::GraphError;
use crate::settings::Number;
use crate::webhook;
use crate::world::{Tick, TranscriptItem};

const OUTSIDE_WINDOW: u32 = 131_047;

/// Lets the statuses of a send follow in their time; outside the window it fails instead.
pub(crate) fn follow(core: &Arc<Core>, number: Number, contact: Contact, item: TranscriptItem, open: bool) {
    let shared = Arc::clone(core);
    core.tasks.spawn("statuses", async move {
        let delays = shared.settings.statuses;
        pause(&shared, delays.sent_ms).await;
        if !open {
            tell(&shared, &number, &contact, &item, Tick::Failed);
            return;
        }
        tell(&shared, &number, &contact, &item, Tick::Sent);
        pause(&shared, delays.delivered_ms).await;
        tell(&shared, &number, &contact, &item, Tick::Delivered);
        if let Some(read_ms) = delays.read_ms {
            pause(&shared, read_ms).await;
            tell(&shared, &number, &contact, &item, Tick::Read);
        }
    });
}

async fn pause(core: &Core, millis: u64) {
    if millis > 0 {
        core.clock.sleep_millis(millis).await;
    }
}

fn tell(core: &Arc<Core>, number: &Number, contact: &Contact, item: &TranscriptItem, tick: Tick) {
    let word = match tick {
        Tick::Failed => "failed",
        Tick::Read => "read",
        Tick::Delivered => "delivered",
        Tick::Sent | Tick::Accepted => "sent",
    };
    let dropped = faults::happens(core.faults().webhooks.drop_statuses_per_mille, &core.entropy);
    {
        let mut world = core.world();
        *world.counters.statuses.entry(if dropped { "dropped" } else { word }).or_default() += 1;
        let error_code = (tick == Tick::Failed).then_some(OUTSIDE_WINDOW);
        if let Some(wa_id) = world.tick(&item.wamid, tick, error_code) {
            core.publish(FeedEvent::Tick { contact: wa_id, wamid: item.wamid.clone(), tick });
        }
    }
    if !dropped {
        let status = status(core, contact, item, word);
        let value = webhook::value(number, &json!({ "statuses": [status] }));
        webhook::emit(core, number, &value, None);
    }
}

/// One element of `statuses` (Meta: Cloud API, status messages webhook).
fn status(core: &Core, contact: &Contact, item: &TranscriptItem, word: &str) -> Value {
    let mut status = json!({
        "id": item.wamid,
        "status": word,
        "timestamp": webhook::seconds(core.clock.now()),
        "recipient_user_id": contact.user_id,
    });
    if !contact.hides_number {
        status["recipient_id"] = json!(contact.wa_id);
    }
    if let Some(opaque) = &item.opaque {
        status["biz_opaque_callback_data"] = json!(opaque);
    }
    if word == "failed" {
        status["errors"] = json!([GraphError::in_status(OUTSIDE_WINDOW, WINDOW_DETAILS)]);
    } else {
        status["pricing"] = json!({"billable": false, "pricing_model": "PMP",
                                   "type": "free_customer_service", "category": "service"});
    }
    status
}
