//! What is sent to `WhatsApp`.
//!
//! Meta: Cloud API, messages: `POST /{phone number id}/messages`.

use iassistance_domain::Pii;
use iassistance_domain::channel::ChannelKind;
use iassistance_domain::contact::ContactIdentity;
use iassistance_domain::content::{ContactCard, Content, Media, MediaKind, Place};
use iassistance_domain::delivery::DeliveryProblem;
use iassistance_domain::outbox::{OutboxEntry, ReplyTo};
use iassistance_domain::pii::Deliver;
use serde_json::{Map, Value, json};

use crate::limits::{Limit, Rules, WHATSAPP_CAPTION_CHARS_MAX};
use crate::pieces::takes_caption;
use crate::render::{self, not_sendable};
use crate::send::refused;
use crate::whatsapp::{interactive, template};

pub(super) const RULES: Rules = Rules(ChannelKind::Whatsapp);

/// The request for `entry`. Our own id travels with it and comes back with every status.
pub(crate) fn message(entry: &OutboxEntry) -> Result<Value, DeliveryProblem> {
    let (kind, object) = object(&entry.content)?;
    let (key, address) = recipient(&entry.to)?;
    let mut request = json!({
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        key: address,
        "type": kind,
        kind: object,
        "biz_opaque_callback_data": entry.message.to_string(),
    });
    match &entry.reply_to {
        // A reaction names its message itself.
        Some(ReplyTo::Message { provider_id }) if kind != "reaction" => {
            request["context"] = json!({"message_id": provider_id.reveal(Deliver)});
        }
        Some(ReplyTo::Comment { .. }) => {
            return Err(refused("WhatsApp has no comments: send the message by itself"));
        }
        _ => {}
    }
    Ok(request)
}

/// Whether such a content can be sent.
pub(crate) fn check(content: &Content) -> Result<(), DeliveryProblem> {
    object(content).map(drop)
}

/// The request that marks a message as read, and shows that an answer is being typed.
pub(crate) fn read_mark(provider_id: &Pii<String>, typing: bool) -> Value {
    let mut request = json!({
        "messaging_product": "whatsapp",
        "status": "read",
        "message_id": provider_id.reveal(Deliver),
    });
    if typing {
        request["typing_indicator"] = json!({"type": "text"});
    }
    request
}

/// A phone number with its `+`, or a business-scoped user id.
fn recipient(to: &ContactIdentity) -> Result<(&'static str, String), DeliveryProblem> {
    match (&to.wa_id, &to.user_id) {
        (Some(wa_id), _) => Ok(("to", format!("+{}", wa_id.reveal(Deliver).trim_start_matches('+')))),
        (None, Some(user_id)) => Ok(("recipient", user_id.reveal(Deliver).clone())),
        (None, None) => Err(refused("the contact has no WhatsApp address: wait until they write")),
    }
}

/// The type of the message, and the object under that name.
fn object(content: &Content) -> Result<(&'static str, Value), DeliveryProblem> {
    match content {
        Content::Text { body, preview } => {
            let body = body.reveal(Deliver);
            RULES.text("the text", body, Limit::of_text(ChannelKind::Whatsapp))?;
            Ok(("text", json!({"preview_url": preview, "body": body})))
        }
        Content::Media { items, caption } => match &**items {
            [media] => captioned(media, caption.as_ref()),
            [] => Err(refused("there is no file in the message: add one")),
            _ => Err(refused("WhatsApp takes one file per message: send them one by one")),
        },
        Content::Location(place) => Ok(("location", location(place)?)),
        Content::Contacts { cards } => {
            if cards.is_empty() {
                return Err(refused("there is no contact in the message: add one"));
            }
            Ok(("contacts", cards.iter().map(card).collect::<Result<_, _>>()?))
        }
        Content::Reaction { target, emoji } => {
            let emoji = emoji.as_deref().unwrap_or_default();
            Ok(("reaction", json!({"message_id": target.reveal(Deliver), "emoji": emoji})))
        }
        Content::Template(template) => Ok(("template", template::object(template)?)),
        Content::Buttons { .. }
        | Content::List { .. }
        | Content::Link { .. }
        | Content::Flow { .. }
        | Content::LocationRequest { .. } => Ok(("interactive", interactive::object(content)?)),
        Content::Cards { .. } => {
            Err(refused("WhatsApp has no cards beside each other: send a list, or pictures with a text each"))
        }
        Content::QuickReplies { .. } | Content::Heart => {
            Err(refused("WhatsApp has no such form: please report this"))
        }
        other => Err(not_sendable(other)),
    }
}

fn captioned(media: &Media, caption: Option<&Pii<String>>) -> Result<(&'static str, Value), DeliveryProblem> {
    let (kind, mut object) = file(media)?;
    if let Some(caption) = caption {
        if !takes_caption(media.kind) {
            let name = media.kind.name();
            return Err(refused(format!("WhatsApp shows no text below {name}: send the text by itself")));
        }
        let caption = caption.reveal(Deliver);
        RULES.chars("the caption", caption, WHATSAPP_CAPTION_CHARS_MAX)?;
        object.insert("caption".to_owned(), json!(caption));
    }
    Ok((kind, Value::Object(object)))
}

/// A file under the name of its type, as messages, headers and templates hold it.
pub(super) fn file(media: &Media) -> Result<(&'static str, Map<String, Value>), DeliveryProblem> {
    let kind = match media.kind {
        MediaKind::Image => "image",
        MediaKind::Video => "video",
        MediaKind::Audio | MediaKind::Voice => "audio",
        MediaKind::Document => "document",
        MediaKind::Sticker => "sticker",
    };
    let (key, value) = match render::place(RULES, media)? {
        render::Place::Id(id) => ("id", id),
        render::Place::Link(link) => ("link", link),
    };
    let mut object = Map::from_iter([(key.to_owned(), json!(value))]);
    match (media.kind, &media.filename) {
        (MediaKind::Document, Some(filename)) => {
            object.insert("filename".to_owned(), json!(filename.reveal(Deliver)));
        }
        // Meta: Cloud API, "Audio messages", "Voice messages".
        (MediaKind::Voice, _) => {
            object.insert("voice".to_owned(), json!(true));
        }
        _ => {}
    }
    Ok((kind, object))
}

pub(super) fn location(place: &Place) -> Result<Value, DeliveryProblem> {
    let degrees = |text: &Pii<String>, max: f64| {
        text.reveal(Deliver).trim().parse().is_ok_and(|degrees: f64| degrees.abs() <= max)
    };
    if !degrees(&place.latitude, 90.0) || !degrees(&place.longitude, 180.0) {
        return Err(refused(
            "the place is not on the map: latitude is a number from -90 to 90, longitude from -180 to 180",
        ));
    }
    let latitude = place.latitude.reveal(Deliver).trim();
    let longitude = place.longitude.reveal(Deliver).trim();
    Ok(object_of([
        ("latitude", Some(json!(latitude))),
        ("longitude", Some(json!(longitude))),
        ("name", said(place.name.as_ref())),
        ("address", said(place.address.as_ref())),
    ]))
}

/// Meta: Cloud API, "Contacts messages": the formatted name and one other part of it are required.
fn card(card: &ContactCard) -> Result<Value, DeliveryProblem> {
    let name = card.name.reveal(Deliver);
    if name.trim().is_empty() {
        return Err(refused("a contact has no name, which WhatsApp does not take: give one"));
    }
    let first = card.first_name.as_ref();
    let any = first.or((card.last_name.is_none()).then_some(&card.name));
    let phones: Vec<Value> = card
        .phones
        .iter()
        .map(|phone| {
            object_of([
                ("phone", Some(json!(phone.phone.reveal(Deliver)))),
                ("type", phone.kind.as_ref().map(|kind| json!(kind))),
                ("wa_id", said(phone.wa_id.as_ref())),
            ])
        })
        .collect();
    let each = |key: &str, texts: &[Pii<String>]| {
        let texts = texts.iter().map(|text| json!({key: text.reveal(Deliver)}));
        texts.collect::<Vec<_>>()
    };
    Ok(object_of([
        (
            "name",
            Some(object_of([
                ("formatted_name", Some(json!(name))),
                ("first_name", said(any)),
                ("last_name", said(card.last_name.as_ref())),
            ])),
        ),
        ("org", card.company.as_ref().map(|company| json!({"company": company.reveal(Deliver)}))),
        ("phones", some(phones)),
        ("emails", some(each("email", &card.emails))),
        ("urls", some(each("url", &card.urls))),
        ("addresses", some(each("street", &card.addresses))),
        ("birthday", said(card.birthday.as_ref())),
    ]))
}

fn said(text: Option<&Pii<String>>) -> Option<Value> {
    text.map(|text| json!(text.reveal(Deliver)))
}

fn some(list: Vec<Value>) -> Option<Value> {
    (!list.is_empty()).then_some(Value::Array(list))
}

/// An object of those members that are there.
pub(super) fn object_of<const N: usize>(members: [(&str, Option<Value>); N]) -> Value {
    let there = members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(there.collect())
}
