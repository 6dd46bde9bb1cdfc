//! What a channel has no form for, in a form that it has.

use std::fmt::Write;

use iassistance_domain::Pii;
use iassistance_domain::channel::ChannelKind;
use iassistance_domain::content::{Choice, ContactCard, Content, Frame, Place, Section};
use iassistance_domain::pii::Deliver;

use crate::limits::{PAGE_BUTTONS_MAX, WHATSAPP_BUTTONS_MAX};
use crate::render::framed;
use crate::{page, whatsapp};

/// The content as the channel carries it. Choices become numbered lines where the product has no
/// buttons for them, so that a person can answer with the number; places and cards become text.
/// What has no other form stays, and is refused by the send.
pub(crate) fn carried(kind: ChannelKind, content: Content) -> Content {
    match kind {
        ChannelKind::Whatsapp => on_whatsapp(content),
        ChannelKind::Messenger | ChannelKind::Instagram => on_page(kind, content),
    }
}

fn on_whatsapp(content: Content) -> Content {
    match content {
        Content::QuickReplies { body, replies } if replies.len() <= WHATSAPP_BUTTONS_MAX => {
            let buttons = Content::Buttons { frame: Frame::default(), body, buttons: replies };
            if whatsapp::send::check(&buttons).is_ok() { buttons } else { in_text(&buttons) }
        }
        Content::QuickReplies { .. } | Content::Heart => in_text(&content),
        other => other,
    }
}

fn on_page(kind: ChannelKind, content: Content) -> Content {
    let fits = match &content {
        Content::Buttons { buttons, .. } => {
            buttons.len() <= PAGE_BUTTONS_MAX && page::send::check(kind, &content).is_ok()
        }
        Content::Link { .. } => page::send::check(kind, &content).is_ok(),
        Content::List { .. } | Content::Location(_) | Content::Contacts { .. } => false,
        Content::Heart => kind == ChannelKind::Instagram,
        _ => true,
    };
    if fits { content } else { in_text(&content) }
}

/// The same in words. What cannot be said in words stays as it is.
fn in_text(content: &Content) -> Content {
    let (text, preview) = match content {
        Content::Buttons { frame, body, buttons } => {
            (framed(frame, &chosen(body, [(None, &**buttons)])), false)
        }
        Content::QuickReplies { body, replies } => (chosen(body, [(None, &**replies)]), false),
        Content::List { frame, body, sections, .. } => {
            let parts = sections.iter().map(|Section { title, rows }| (title.as_deref(), &**rows));
            (framed(frame, &chosen(body, parts)), false)
        }
        Content::Link { frame, body, title, url } => {
            (framed(frame, &format!("{}\n\n{title}: {url}", body.reveal(Deliver))), true)
        }
        Content::Location(place) => (placed(place), true),
        Content::Contacts { cards } => (cards.iter().map(card).collect::<Vec<_>>().join("\n\n"), false),
        Content::Heart => ("❤️".to_owned(), false),
        other => return other.clone(),
    };
    Content::Text { body: Pii::new(text), preview }
}

/// A text and numbered lines to choose from; the numbers run on over the parts.
fn chosen<'a>(
    body: &Pii<String>,
    parts: impl IntoIterator<Item = (Option<&'a str>, &'a [Choice])>,
) -> String {
    let (mut text, mut number) = (body.reveal(Deliver).clone(), 0);
    for (title, choices) in parts {
        text.push('\n');
        if let Some(title) = title {
            let _ = write!(text, "\n{title}");
        }
        for choice in choices {
            number += 1;
            let _ = write!(text, "\n{number}. {}", choice.title);
            if let Some(description) = &choice.description {
                let _ = write!(text, " – {description}");
            }
        }
    }
    text
}

fn placed(place: &Place) -> String {
    let named = [&place.name, &place.address].into_iter().flatten().map(|text| text.reveal(Deliver).clone());
    let map = match &place.url {
        Some(url) => url.reveal(Deliver).clone(),
        None => format!(
            "https://maps.google.com/?q={},{}",
            place.latitude.reveal(Deliver),
            place.longitude.reveal(Deliver)
        ),
    };
    named.chain([map]).collect::<Vec<_>>().join("\n")
}

fn card(card: &ContactCard) -> String {
    let phones = card.phones.iter().map(|phone| &phone.phone);
    let parts = [&card.name].into_iter().chain(&card.company).chain(phones);
    let parts = parts.chain(&card.emails).chain(&card.addresses).chain(&card.urls);
    parts.map(|part| &**part.reveal(Deliver)).filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n")
}
