//! The envelopes in which the products' webhooks arrive.

use iassistance_domain::Timestamp;
use serde_json::{Value, json};

use crate::accounts::{Account, AccountKind, EventShape};
use crate::contacts::{Contact, phone_digits};

/// Seconds as WhatsApp writes them: in a string.
pub(crate) fn seconds(at: Timestamp) -> String {
    at.as_millis().div_euclid(1_000).to_string()
}

/// One change of a WhatsApp Business Account.
pub(crate) fn change(account: &Account, field: &str, value: &Value) -> Value {
    let id = account.waba_id().unwrap_or_default();
    json!({
        "object": "whatsapp_business_account",
        "entry": [{"id": id, "changes": [{"field": field, "value": value}]}],
    })
}

/// The `value` of a change that concerns one number, with what it tells of.
pub(crate) fn number_value(account: &Account, told: &Value) -> Value {
    let shown = match &account.kind {
        AccountKind::Whatsapp { display_phone_number, .. } => phone_digits(display_phone_number),
        _ => None,
    };
    let mut value = json!({
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": shown, "phone_number_id": account.id()},
    });
    if let (Some(value), Some(told)) = (value.as_object_mut(), told.as_object()) {
        value.extend(told.clone());
    }
    value
}

/// A contact as WhatsApp tells of them; whose number is hidden has a user name.
pub(crate) fn profile(contact: &Contact) -> Value {
    let mut profile = json!({"profile": {"name": contact.name}, "user_id": contact.user_id});
    if contact.hides_number {
        profile["profile"]["username"] = json!(username(contact));
    } else {
        profile["wa_id"] = json!(contact.wa_id);
    }
    profile
}

/// A user name for a contact.
pub(crate) fn username(contact: &Contact) -> String {
    contact.name.to_lowercase().replace(' ', ".")
}

/// The head of a WhatsApp message from a contact.
pub(crate) fn from_contact(contact: &Contact, wamid: &str, at: Timestamp) -> Value {
    let mut message = json!({"from_user_id": contact.user_id, "id": wamid, "timestamp": seconds(at)});
    if !contact.hides_number {
        message["from"] = json!(contact.wa_id);
    }
    message
}

/// Where an event of Messenger or Instagram stands in its envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// `messaging[]`, or `changes[]` of an account that has that shape.
    Messaging,
    /// `standby[]`: another app has the conversation.
    Standby,
}

const fn object(account: &Account) -> &'static str {
    if account.is_instagram() { "instagram" } else { "page" }
}

/// An event of Messenger or Instagram. `field` is what it is subscribed to by.
pub(crate) fn event(account: &Account, field: &str, at: Timestamp, place: Place, event: &Value) -> Value {
    let millis = at.as_millis();
    let entry = match place {
        Place::Standby => json!({"id": account.id(), "time": millis, "standby": [event]}),
        Place::Messaging if account.is_instagram() && account.shape == EventShape::Changes => {
            json!({"id": account.id(), "time": millis, "changes": [{"field": field, "value": event}]})
        }
        Place::Messaging => json!({"id": account.id(), "time": millis, "messaging": [event]}),
    };
    json!({"object": object(account), "entry": [entry]})
}

/// A change of a Page or Instagram account, such as a comment; its time is in seconds.
pub(crate) fn page_change(account: &Account, field: &str, at: Timestamp, value: &Value) -> Value {
    let time = at.as_millis().div_euclid(1_000);
    json!({"object": object(account),
           "entry": [{"id": account.id(), "time": time, "changes": [{"field": field, "value": value}]}]})
}
