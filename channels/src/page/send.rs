//! What is sent to Messenger and Instagram.
//!
//! Meta: Messenger Platform, "Send API"; Instagram Platform, "Send messages":
//! `POST /{page or account id}/messages`.

use iassistance_domain::channel::ChannelKind;
use iassistance_domain::contact::ContactIdentity;
use iassistance_domain::content::{Card, CardButton, Choice, Content, Media, MediaKind};
use iassistance_domain::delivery::{DeliveryProblem, ProblemClass};
use iassistance_domain::outbox::{OutboxEntry, ReplyTo};
use iassistance_domain::pii::Deliver;
use iassistance_domain::{Pii, Timestamp};
use serde_json::{Value, json};

use crate::limits::{
    INSTAGRAM_IMAGES_MAX, Limit, PAGE_BUTTON_CHARS_MAX, PAGE_BUTTON_TEXT_CHARS_MAX, PAGE_BUTTONS_MAX,
    PAGE_CARD_CHARS_MAX, PAGE_CARDS_MAX, PAGE_PAYLOAD_CHARS_MAX, PAGE_QUICK_REPLIES_MAX, Rules, web_address,
};
use crate::render::{self, framed, not_sendable};
use crate::send::{refused, uncoded};

/// The request for `entry` at `now`. On Messenger our own id travels with it as `metadata` and comes
/// back with the echo. After the time for free answers only what a person wrote leaves, marked so.
pub(crate) fn message(
    kind: ChannelKind,
    entry: &OutboxEntry,
    now: Timestamp,
) -> Result<Value, DeliveryProblem> {
    if let Content::Reaction { target, emoji } = &entry.content {
        in_time(entry, now)?;
        return reaction(kind, &recipient(kind, &entry.to)?, target, emoji.as_deref());
    }
    let mut message = object(kind, &entry.content)?;
    if kind == ChannelKind::Messenger {
        message["metadata"] = json!(entry.message.to_string());
    }
    // A comment is answered once and in its own time; no kind of message is named.
    if let Some(ReplyTo::Comment { id }) = &entry.reply_to {
        let recipient = json!({"comment_id": id.reveal(Deliver)});
        return Ok(json!({"recipient": recipient, "message": message}));
    }
    let mut request = json!({"recipient": recipient(kind, &entry.to)?, "message": message});
    if let Some(ReplyTo::Message { provider_id }) = &entry.reply_to {
        request["reply_to"] = json!({"mid": provider_id.reveal(Deliver)});
    }
    if in_time(entry, now)? {
        if kind == ChannelKind::Messenger {
            request["messaging_type"] = json!("RESPONSE");
        }
    } else {
        // Meta: "Human agent": seven days, and only for what a person wrote.
        request["messaging_type"] = json!("MESSAGE_TAG");
        request["tag"] = json!("HUMAN_AGENT");
    }
    Ok(request)
}

/// Whether free answers may leave; if not, whoever is no person is refused.
fn in_time(entry: &OutboxEntry, now: Timestamp) -> Result<bool, DeliveryProblem> {
    if now <= entry.free_until {
        return Ok(true);
    }
    if entry.by_person {
        return Ok(false);
    }
    let title = "the time for answers is over: wait until the contact writes, or let a person answer";
    Err(uncoded(ProblemClass::Window, title))
}

/// Whether such a content can be sent.
pub(crate) fn check(kind: ChannelKind, content: &Content) -> Result<(), DeliveryProblem> {
    match content {
        Content::Reaction { emoji: Some(emoji), .. } => reaction_name(kind, emoji).map(drop),
        Content::Reaction { emoji: None, .. } => Ok(()),
        other => object(kind, other).map(drop),
    }
}

/// The request for a sign to the contact: `mark_seen`, `typing_on`. It goes alone.
pub(crate) fn action(
    kind: ChannelKind,
    contact: &ContactIdentity,
    action: &str,
) -> Result<Value, DeliveryProblem> {
    Ok(json!({"recipient": recipient(kind, contact)?, "sender_action": action}))
}

fn recipient(kind: ChannelKind, contact: &ContactIdentity) -> Result<Value, DeliveryProblem> {
    match &contact.scoped_id {
        Some(id) => Ok(json!({"id": id.reveal(Deliver)})),
        None => Err(refused(format!("the contact has no {kind} address: wait until they write"))),
    }
}

fn reaction(
    kind: ChannelKind,
    recipient: &Value,
    target: &Pii<String>,
    emoji: Option<&str>,
) -> Result<Value, DeliveryProblem> {
    let target = target.reveal(Deliver);
    Ok(match emoji {
        Some(emoji) => json!({
            "recipient": recipient,
            "sender_action": "react",
            "payload": {"message_id": target, "reaction": reaction_name(kind, emoji)?},
        }),
        None => {
            json!({"recipient": recipient, "sender_action": "unreact", "payload": {"message_id": target}})
        }
    })
}

/// Meta's name of a reaction (Messenger Platform, "Webhooks", reactions).
fn reaction_name(kind: ChannelKind, emoji: &str) -> Result<&'static str, DeliveryProblem> {
    const NAMES: [(&str, &str); 7] = [
        ("love", "❤"),
        ("smile", "😆"),
        ("wow", "😮"),
        ("sad", "😢"),
        ("angry", "😠"),
        ("like", "👍"),
        ("dislike", "👎"),
    ];
    let bare = emoji.trim_end_matches('\u{fe0f}');
    let known = NAMES.iter().find(|(name, sign)| *name == emoji || *sign == bare);
    known.map(|(name, _)| *name).ok_or_else(|| {
        let names = NAMES.map(|(name, _)| name).join(", ");
        refused(format!("{kind} takes a reaction by its name, one of {names}: choose one of these"))
    })
}

/// The object under `message`.
fn object(kind: ChannelKind, content: &Content) -> Result<Value, DeliveryProblem> {
    let rules = Rules(kind);
    match content {
        Content::Text { body, .. } => {
            rules.text("the text", body.reveal(Deliver), Limit::of_text(kind))?;
            Ok(json!({"text": body.reveal(Deliver)}))
        }
        Content::Media { items, caption } => {
            if caption.is_some() {
                return Err(refused(format!("{kind} shows no text below a file: send the text by itself")));
            }
            files(rules, items)
        }
        Content::QuickReplies { body, replies } => {
            rules.text("the text", body.reveal(Deliver), Limit::of_text(kind))?;
            let replies = quick_replies(rules, replies)?;
            Ok(json!({"text": body.reveal(Deliver), "quick_replies": replies}))
        }
        Content::Buttons { frame, body, buttons } => {
            rules.count("buttons", buttons.len(), PAGE_BUTTONS_MAX)?;
            let numbered = buttons.iter().zip(1..);
            let buttons = numbered.map(|(button, number)| postback(rules, button, number));
            let buttons: Vec<Value> = buttons.collect::<Result<_, _>>()?;
            button_template(rules, &framed(frame, body.reveal(Deliver)), &buttons)
        }
        Content::Link { frame, body, title, url } => {
            let button = web_url(rules, title, url, 1)?;
            button_template(rules, &framed(frame, body.reveal(Deliver)), &[button])
        }
        Content::Cards { cards } => {
            rules.count("cards", cards.len(), PAGE_CARDS_MAX)?;
            let cards = cards.iter().zip(1..).map(|(each, number)| card(rules, each, number));
            let elements = Value::Array(cards.collect::<Result<_, _>>()?);
            Ok(template(&json!({"template_type": "generic", "elements": elements})))
        }
        Content::Heart if kind == ChannelKind::Instagram => Ok(json!({"attachment": {"type": "like_heart"}})),
        other => Err(no_form(kind, other)),
    }
}

/// Why there is no such message on these products.
fn no_form(kind: ChannelKind, content: &Content) -> DeliveryProblem {
    match content {
        Content::Template(_) => {
            refused(format!("{kind} has no templates: they are for WhatsApp; send a text"))
        }
        Content::Flow { .. } => refused(format!("{kind} has no flows: send a text with a link to a form")),
        Content::LocationRequest { .. } => {
            refused(format!("{kind} cannot ask for a place: ask for the address in words"))
        }
        Content::List { .. } | Content::Location(_) | Content::Contacts { .. } | Content::Heart => {
            refused(format!("{kind} has no such form: please report this"))
        }
        other => not_sendable(other),
    }
}

fn files(rules: Rules, items: &[Media]) -> Result<Value, DeliveryProblem> {
    match items {
        [] => Err(refused("there is no file in the message: add one")),
        [media] => Ok(json!({"attachment": attachment(rules, media)?})),
        several if rules.0 == ChannelKind::Instagram => {
            if several.iter().any(|media| media.kind != MediaKind::Image) {
                return Err(refused(
                    "Instagram takes several files together only if all are pictures: send them one by one",
                ));
            }
            rules.count("pictures", several.len(), INSTAGRAM_IMAGES_MAX)?;
            let attachments = several.iter().map(|media| attachment(rules, media));
            Ok(json!({"attachments": attachments.collect::<Result<Vec<_>, _>>()?}))
        }
        _ => Err(refused("Messenger takes one file per message: send them one by one")),
    }
}

/// Meta's word for a kind of file.
pub(crate) const fn attachment_type(kind: MediaKind) -> &'static str {
    match kind {
        MediaKind::Image | MediaKind::Sticker => "image",
        MediaKind::Video => "video",
        MediaKind::Audio | MediaKind::Voice => "audio",
        MediaKind::Document => "file",
    }
}

fn attachment(rules: Rules, media: &Media) -> Result<Value, DeliveryProblem> {
    let payload = match render::place(rules, media)? {
        render::Place::Id(id) => json!({"attachment_id": id}),
        render::Place::Link(url) if rules.0 == ChannelKind::Messenger => {
            json!({"url": url, "is_reusable": true})
        }
        render::Place::Link(url) => json!({"url": url}),
    };
    Ok(json!({"type": attachment_type(media.kind), "payload": payload}))
}

fn quick_replies(rules: Rules, replies: &[Choice]) -> Result<Vec<Value>, DeliveryProblem> {
    rules.count("suggestions", replies.len(), PAGE_QUICK_REPLIES_MAX)?;
    let numbered = replies.iter().zip(1..);
    numbered
        .map(|(Choice { id, title, .. }, number)| {
            rules.chars(format_args!("suggestion {number}"), title, PAGE_BUTTON_CHARS_MAX)?;
            rules.chars(format_args!("the id of suggestion {number}"), id, PAGE_PAYLOAD_CHARS_MAX)?;
            Ok(json!({"content_type": "text", "title": title, "payload": id}))
        })
        .collect()
}

fn postback(rules: Rules, button: &Choice, number: usize) -> Result<Value, DeliveryProblem> {
    rules.chars(format_args!("button {number}"), &button.title, PAGE_BUTTON_CHARS_MAX)?;
    rules.chars(format_args!("the id of button {number}"), &button.id, PAGE_PAYLOAD_CHARS_MAX)?;
    Ok(json!({"type": "postback", "title": button.title, "payload": button.id}))
}

fn web_url(rules: Rules, title: &str, url: &str, number: usize) -> Result<Value, DeliveryProblem> {
    rules.chars(format_args!("button {number}"), title, PAGE_BUTTON_CHARS_MAX)?;
    web_address(format_args!("the address behind button {number}"), url)?;
    Ok(json!({"type": "web_url", "title": title, "url": url}))
}

fn button_template(rules: Rules, text: &str, buttons: &[Value]) -> Result<Value, DeliveryProblem> {
    rules.chars("the text above the buttons", text, PAGE_BUTTON_TEXT_CHARS_MAX)?;
    Ok(template(&json!({"template_type": "button", "text": text, "buttons": buttons})))
}

fn template(payload: &Value) -> Value {
    json!({"attachment": {"type": "template", "payload": payload}})
}

fn card(rules: Rules, card: &Card, number: usize) -> Result<Value, DeliveryProblem> {
    let title = card.title.reveal(Deliver);
    rules.chars(format_args!("the title of card {number}"), title, PAGE_CARD_CHARS_MAX)?;
    let mut element = json!({"title": title});
    if let Some(subtitle) = &card.subtitle {
        let subtitle = subtitle.reveal(Deliver);
        rules.chars(format_args!("the subtitle of card {number}"), subtitle, PAGE_CARD_CHARS_MAX)?;
        element["subtitle"] = json!(subtitle);
    }
    if let Some(image_url) = &card.image_url {
        web_address(format_args!("the address of the picture of card {number}"), image_url)?;
        element["image_url"] = json!(image_url);
    }
    if !card.buttons.is_empty() {
        rules.count(&format!("buttons on card {number}"), card.buttons.len(), PAGE_BUTTONS_MAX)?;
        let buttons = card.buttons.iter().zip(1..).map(|(button, number)| match button {
            CardButton::Choose(choice) => postback(rules, choice, number),
            CardButton::Open { title, url } => web_url(rules, title, url, number),
        });
        element["buttons"] = Value::Array(buttons.collect::<Result<_, _>>()?);
    } else if card.subtitle.is_none() && card.image_url.is_none() {
        // Meta: Messenger Platform, "Generic template": a title alone is not enough.
        return Err(refused(format!(
            "card {number} has only a title: add a second line, a picture or a button"
        )));
    }
    Ok(element)
}
