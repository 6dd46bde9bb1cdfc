//! What is sent to `WhatsApp`.
//!
//! Meta: Cloud API, messages: `POST /{phone number id}/messages`.

use iassistance_domain::Pii;
use iassistance_domain::message::Content;
use iassistance_domain::outbox::OutboxEntry;
use iassistance_domain::pii::Deliver;
use serde::Serialize;
use serde_json::json;

use crate::pieces::TEXT_CHARS_MAX;
use crate::send::SendError;

#[derive(Serialize)]
struct Outgoing<'a> {
    messaging_product: &'static str,
    recipient_type: &'static str,
    #[serde(flatten)]
    to: Recipient<'a>,
    #[serde(rename = "type")]
    kind: &'static str,
    text: Text<'a>,
    biz_opaque_callback_data: String,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Recipient<'a> {
    /// A phone number with its `+`.
    To(String),
    /// A business-scoped user id.
    Recipient(&'a str),
}

#[derive(Serialize)]
struct Text<'a> {
    preview_url: bool,
    body: &'a str,
}

/// The request for `entry`. Our own id travels with it and comes back with every status.
pub(crate) fn message(entry: &OutboxEntry) -> Result<String, SendError> {
    let Content::Text { body } = &entry.content else {
        return Err(SendError::refused(
            "this version cannot send this kind of content on WhatsApp: update it",
        ));
    };
    let body = body.reveal(Deliver);
    if body.trim().is_empty() {
        return Err(SendError::refused("the text is empty, which WhatsApp does not take: write something"));
    }
    let chars = body.chars().count();
    if chars > TEXT_CHARS_MAX {
        return Err(SendError::refused(format!(
            "the text has {chars} characters and WhatsApp takes {TEXT_CHARS_MAX}: shorten or split it"
        )));
    }
    let to = match (&entry.to.wa_id, &entry.to.user_id) {
        (Some(wa_id), _) => Recipient::To(format!("+{}", wa_id.reveal(Deliver).trim_start_matches('+'))),
        (None, Some(user_id)) => Recipient::Recipient(user_id.reveal(Deliver)),
        (None, None) => {
            return Err(SendError::refused("the contact has no WhatsApp address: wait until they write"));
        }
    };
    let request = Outgoing {
        messaging_product: "whatsapp",
        recipient_type: "individual",
        to,
        kind: "text",
        text: Text { preview_url: false, body },
        biz_opaque_callback_data: entry.message.to_string(),
    };
    serde_json::to_string(&request)
        .map_err(|_| SendError::refused("the text cannot be written as JSON: change it"))
}

/// The request that marks a message as read, and shows that an answer is being typed.
pub(crate) fn read_mark(provider_id: &Pii<String>, typing: bool) -> String {
    let mut request = json!({
        "messaging_product": "whatsapp",
        "status": "read",
        "message_id": provider_id.reveal(Deliver),
    });
    if typing {
        request["typing_indicator"] = json!({"type": "text"});
    }
    request.to_string()
}
