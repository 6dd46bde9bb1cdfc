//! Buttons, lists, links, forms and requests for a place.
//!
//! Meta: Cloud API, "Interactive reply buttons messages", "Interactive list messages", "Interactive
//! Call-to-Action URL button messages", "Sending a flow", "Location request messages".

use iassistance_domain::Pii;
use iassistance_domain::content::{Choice, Content, Frame, MediaKind, Section};
use iassistance_domain::delivery::DeliveryProblem;
use iassistance_domain::pii::Deliver;
use serde_json::{Value, json};

use crate::limits::{
    WHATSAPP_BODY_CHARS_MAX, WHATSAPP_BUTTON_CHARS_MAX, WHATSAPP_BUTTON_ID_CHARS_MAX, WHATSAPP_BUTTONS_MAX,
    WHATSAPP_FRAME_CHARS_MAX, WHATSAPP_LIST_BODY_CHARS_MAX, WHATSAPP_ROW_CHARS_MAX,
    WHATSAPP_ROW_DESCRIPTION_CHARS_MAX, WHATSAPP_ROW_ID_CHARS_MAX, WHATSAPP_ROWS_MAX, WHATSAPP_SECTIONS_MAX,
    web_address,
};
use crate::render::not_sendable;
use crate::send::refused;
use crate::whatsapp::send::{RULES, file, object_of};

/// The object under `interactive`.
pub(super) fn object(content: &Content) -> Result<Value, DeliveryProblem> {
    match content {
        Content::Buttons { frame, body, buttons } => {
            let action = json!({"buttons": reply_buttons(buttons)?});
            framed("button", frame, body, WHATSAPP_BODY_CHARS_MAX, action)
        }
        Content::List { frame, body, button, sections } => {
            if frame.header_media.is_some() {
                return Err(refused(
                    "a list on WhatsApp has no picture above it: send the picture by itself",
                ));
            }
            RULES.chars("the text that opens the list", button, WHATSAPP_BUTTON_CHARS_MAX)?;
            let action = json!({"button": button, "sections": list(sections)?});
            framed("list", frame, body, WHATSAPP_LIST_BODY_CHARS_MAX, action)
        }
        Content::Link { frame, body, title, url } => {
            RULES.chars("the text on the button", title, WHATSAPP_BUTTON_CHARS_MAX)?;
            web_address("the address behind the button", url)?;
            let parameters = json!({"display_text": title, "url": url});
            let action = json!({"name": "cta_url", "parameters": parameters});
            framed("cta_url", frame, body, WHATSAPP_BODY_CHARS_MAX, action)
        }
        Content::Flow { frame, body, flow_id, token, title, screen } => {
            for (what, text) in
                [("the flow's id", flow_id), ("the flow's token", token), ("the text on the button", title)]
            {
                RULES.chars(what, text, WHATSAPP_BODY_CHARS_MAX)?;
            }
            let action =
                json!({"name": "flow", "parameters": flow(flow_id, token, title, screen.as_deref())});
            framed("flow", frame, body, WHATSAPP_BODY_CHARS_MAX, action)
        }
        Content::LocationRequest { body } => {
            let action = json!({"name": "send_location"});
            framed("location_request_message", &Frame::default(), body, WHATSAPP_BODY_CHARS_MAX, action)
        }
        other => Err(not_sendable(other)),
    }
}

fn framed(
    kind: &str,
    frame: &Frame,
    body: &Pii<String>,
    body_chars_max: usize,
    action: Value,
) -> Result<Value, DeliveryProblem> {
    let body = body.reveal(Deliver);
    RULES.chars("the text", body, body_chars_max)?;
    let footer = match &frame.footer {
        Some(footer) => {
            RULES.chars("the footer", footer.reveal(Deliver), WHATSAPP_FRAME_CHARS_MAX)?;
            Some(json!({"text": footer.reveal(Deliver)}))
        }
        None => None,
    };
    Ok(object_of([
        ("type", Some(json!(kind))),
        ("header", header(frame)?),
        ("body", Some(json!({"text": body}))),
        ("footer", footer),
        ("action", Some(action)),
    ]))
}

fn header(frame: &Frame) -> Result<Option<Value>, DeliveryProblem> {
    match (&frame.header_media, &frame.header) {
        (Some(_), Some(_)) => {
            Err(refused("a message has a text or a picture above it, not both: leave one out"))
        }
        (Some(media), None) => {
            if !matches!(media.kind, MediaKind::Image | MediaKind::Video | MediaKind::Document) {
                return Err(refused(
                    "only a picture, a video or a document can stand above a text: choose one",
                ));
            }
            let (kind, object) = file(media)?;
            Ok(Some(json!({"type": kind, kind: object})))
        }
        (None, Some(text)) => {
            RULES.chars("the header", text.reveal(Deliver), WHATSAPP_FRAME_CHARS_MAX)?;
            Ok(Some(json!({"type": "text", "text": text.reveal(Deliver)})))
        }
        (None, None) => Ok(None),
    }
}

fn reply_buttons(buttons: &[Choice]) -> Result<Vec<Value>, DeliveryProblem> {
    RULES.count("buttons", buttons.len(), WHATSAPP_BUTTONS_MAX)?;
    RULES.distinct("buttons' ids", buttons.iter().map(|button| &*button.id))?;
    RULES.distinct("buttons", buttons.iter().map(|button| &*button.title))?;
    let numbered = buttons.iter().zip(1..);
    numbered
        .map(|(Choice { id, title, .. }, number)| {
            RULES.chars(format_args!("button {number}"), title, WHATSAPP_BUTTON_CHARS_MAX)?;
            RULES.chars(format_args!("the id of button {number}"), id, WHATSAPP_BUTTON_ID_CHARS_MAX)?;
            Ok(json!({"type": "reply", "reply": {"id": id, "title": title}}))
        })
        .collect()
}

fn list(sections: &[Section]) -> Result<Vec<Value>, DeliveryProblem> {
    RULES.count("parts of the list", sections.len(), WHATSAPP_SECTIONS_MAX)?;
    let rows = || sections.iter().flat_map(|section| &section.rows);
    RULES.count("lines of the list", rows().count(), WHATSAPP_ROWS_MAX)?;
    RULES.distinct("lines' ids", rows().map(|row| &*row.id))?;
    let mut number = 0;
    let mut rendered = Vec::with_capacity(sections.len());
    for (section, part) in sections.iter().zip(1..) {
        match &section.title {
            Some(title) => {
                RULES.chars(format_args!("the title of part {part}"), title, WHATSAPP_ROW_CHARS_MAX)?;
            }
            None if sections.len() > 1 => {
                return Err(refused(format!(
                    "part {part} of the list has no title, which several parts need"
                )));
            }
            None => {}
        }
        RULES.count(&format!("lines in part {part} of the list"), section.rows.len(), WHATSAPP_ROWS_MAX)?;
        let rows = section.rows.iter().map(|choice| {
            number += 1;
            row(choice, number)
        });
        rendered.push(object_of([
            ("title", section.title.as_ref().map(|title| json!(title))),
            ("rows", Some(Value::Array(rows.collect::<Result<_, _>>()?))),
        ]));
    }
    Ok(rendered)
}

fn row(row: &Choice, number: usize) -> Result<Value, DeliveryProblem> {
    RULES.chars(format_args!("line {number}"), &row.title, WHATSAPP_ROW_CHARS_MAX)?;
    RULES.chars(format_args!("the id of line {number}"), &row.id, WHATSAPP_ROW_ID_CHARS_MAX)?;
    if let Some(description) = &row.description {
        let what = format_args!("the description of line {number}");
        RULES.chars(what, description, WHATSAPP_ROW_DESCRIPTION_CHARS_MAX)?;
    }
    Ok(object_of([
        ("id", Some(json!(row.id))),
        ("title", Some(json!(row.title))),
        ("description", row.description.as_ref().map(|description| json!(description))),
    ]))
}

fn flow(id: &str, token: &str, title: &str, screen: Option<&str>) -> Value {
    let action = if screen.is_some() { "navigate" } else { "data_exchange" };
    object_of([
        ("flow_message_version", Some(json!("3"))),
        ("flow_id", Some(json!(id))),
        ("flow_token", Some(json!(token))),
        ("flow_cta", Some(json!(title))),
        ("flow_action", Some(json!(action))),
        ("flow_action_payload", screen.map(|screen| json!({"screen": screen}))),
    ])
}
