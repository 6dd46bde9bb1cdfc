//! What is to be said, in messages that a channel carries.

use iassistance_domain::Pii;
use iassistance_domain::channel::ChannelKind;
use iassistance_domain::content::{Content, Frame, Media, MediaKind};
use iassistance_domain::pii::Deliver;

use crate::forms::carried;
use crate::limits::{INSTAGRAM_IMAGES_MAX, Limit, WHATSAPP_CAPTION_CHARS_MAX};

/// The content as messages that the channel carries, one send each and never none: in a form that it
/// has; several files one by one (pictures on Instagram together), with a caption of its own where
/// none can stand below them; a text that is too long divided, after a paragraph, a line or a word
/// where there is one, and never inside what a person sees as one character.
pub fn pieces(kind: ChannelKind, content: Content) -> Vec<Content> {
    parts(kind, content).into_iter().flat_map(|part| texts(kind, carried(kind, part))).collect()
}

fn texts(kind: ChannelKind, content: Content) -> Vec<Content> {
    let limit = Limit::of_text(kind);
    let Content::Text { body, preview } = &content else { return vec![content] };
    if limit.holds(body.reveal(Deliver)) {
        return vec![content];
    }
    let divided = divide(body.reveal(Deliver), limit).into_iter();
    let divided = divided.map(|text| Content::Text { body: Pii::new(text.to_owned()), preview: *preview });
    let divided: Vec<_> = divided.collect();
    if divided.is_empty() { vec![content] } else { divided }
}

/// What needs messages of its own, apart.
fn parts(kind: ChannelKind, content: Content) -> Vec<Content> {
    match content {
        Content::Media { items, caption } if !items.is_empty() => files(kind, items, caption),
        content => match without_picture(kind, content) {
            (Some(picture), rest) => vec![Content::Media { items: vec![picture], caption: None }, rest],
            (None, whole) => vec![whole],
        },
    }
}

fn files(kind: ChannelKind, items: Vec<Media>, caption: Option<Pii<String>>) -> Vec<Content> {
    let mut caption = caption.filter(|caption| !caption.reveal(Deliver).trim().is_empty());
    let mut messages: Vec<Content> = Vec::new();
    for item in items {
        let picture = |media: &Media| media.kind == MediaKind::Image;
        if kind == ChannelKind::Instagram
            && picture(&item)
            && let Some(Content::Media { items, .. }) = messages.last_mut()
            && items.len() < INSTAGRAM_IMAGES_MAX
            && items.iter().all(picture)
        {
            items.push(item);
            continue;
        }
        let below = kind == ChannelKind::Whatsapp && takes_caption(item.kind);
        let own = caption.take_if(|caption| {
            below && Limit::Chars(WHATSAPP_CAPTION_CHARS_MAX).holds(caption.reveal(Deliver))
        });
        messages.push(Content::Media { items: vec![item], caption: own });
    }
    messages.extend(caption.map(|body| Content::Text { body, preview: false }));
    messages
}

/// Whether something can be written below such a file on `WhatsApp`.
pub(crate) const fn takes_caption(kind: MediaKind) -> bool {
    matches!(kind, MediaKind::Image | MediaKind::Video | MediaKind::Document)
}

/// Takes away the picture above an interactive text where the product has no place for it.
fn without_picture(kind: ChannelKind, mut content: Content) -> (Option<Media>, Content) {
    let on_whatsapp = kind == ChannelKind::Whatsapp;
    let frame: Option<&mut Frame> = match &mut content {
        Content::Buttons { frame, .. } | Content::Link { frame, .. } if !on_whatsapp => Some(frame),
        Content::List { frame, .. } => Some(frame),
        _ => None,
    };
    (frame.and_then(|frame| frame.header_media.take()), content)
}

fn divide(mut text: &str, limit: Limit) -> Vec<&str> {
    let mut pieces = Vec::new();
    while !limit.holds(text) {
        let end = limit.end(text);
        let head = &text[..end];
        // A break in the first half would make a piece for little.
        let at = ["\n\n", "\n", " "]
            .into_iter()
            .find_map(|mark| head.rfind(mark).map(|at| at + mark.len()).filter(|at| *at > end / 2))
            .unwrap_or(end);
        pieces.push(text[..at].trim_end());
        text = text[at..].trim_start();
    }
    if !text.is_empty() {
        pieces.push(text);
    }
    pieces.retain(|piece| !piece.is_empty());
    pieces
}

#[cfg(test)]
#[path = "pieces_tests.rs"]
mod tests;
