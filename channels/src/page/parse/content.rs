//! What a message says: its text, its attachments, what it refers to.

use std::borrow::Cow;
use std::collections::BTreeSet;

use iassistance_domain::Pii;
use iassistance_domain::content::{
    Content, Context, Media, MediaKind, MediaSource, Place, Referral, SelectionKind,
};

use crate::json::{List, Object, Scalar, shape};
use crate::parse::{dotted, pii};

shape! {
    pub(super) struct Message<'a> {
        mid: Scalar<'a>,
        text: Scalar<'a>,
        attachments: List<'a, Object<Attachment<'a>>>,
        quick_reply: Scalar<'a>,
        reply_to: Scalar<'a>,
        referral: Scalar<'a>,
        is_echo: Scalar<'a>,
        is_self: Scalar<'a>,
        is_deleted: Scalar<'a>,
        is_unsupported: Scalar<'a>,
        app_id: Scalar<'a>,
        metadata: Scalar<'a>,
    }
}

shape! {
    /// Meta puts the address and title into the payload, or beside it.
    pub(super) struct Attachment<'a> {
        kind as "type": Scalar<'a>,
        title: Scalar<'a>,
        url: Scalar<'a>,
        payload: Object<Payload<'a>>,
    }
}

shape! {
    pub(super) struct Payload<'a> {
        url: Scalar<'a>,
        attachment_id: Scalar<'a>,
        sticker_id: Scalar<'a>,
        title: Scalar<'a>,
        coordinates: Scalar<'a>,
        story_media_url: Scalar<'a>,
        product: Scalar<'a>,
        elements: Scalar<'a>,
    }
}

impl Message<'_> {
    pub(super) fn context(&self) -> Option<Box<Context>> {
        let story = self.reply_to.member("story");
        let story = pii(story.member("id")).or_else(|| pii(story.member("url")));
        Context { reply_to: pii(self.reply_to.member("mid")), story, ..Context::default() }.if_any()
    }
}

/// A text, if there is something to see in it.
pub(super) fn text(text: Cow<'_, str>) -> Content {
    if text.trim().is_empty() { Content::Empty } else { Content::text(text) }
}

/// Everything that a message says. Of several things that do not go together the one that matters
/// most counts: files, then a place, then what is shared, then the text.
pub(super) fn read(message: &Message<'_>) -> Content {
    let written = message.text.id();
    if let Some(id) = pii(message.quick_reply.member("payload")) {
        let title = pii(message.text).unwrap_or_else(|| id.clone());
        let of = SelectionKind::QuickReply;
        return Content::Selection { of, title, id: Some(id), description: None };
    }
    if message.attachments.len() == 0
        && let Some(written) = written
    {
        return Content::text(written);
    }
    let attachments = || message.attachments.iter().filter_map(|attachment| attachment.0.as_ref());
    let items = files(attachments());
    if !items.is_empty() {
        return Content::Media { items, caption: pii(message.text) };
    }
    if let Some(place) = attachments().find_map(place) {
        return Content::Location(place);
    }
    if let Some(shared) = attachments().find_map(|attachment| shared(attachment, message.text)) {
        return shared;
    }
    if let Some(written) = written {
        return Content::text(written);
    }
    if message.is_unsupported.is("true") {
        return Content::Unsupported { what: "unsupported".to_owned(), code: None };
    }
    match attachments().find_map(|attachment| attachment.kind.id()).as_deref() {
        Some("like_heart") => Content::Heart,
        Some(word) => Content::Unsupported { what: dotted(word), code: None },
        None if message.attachments.len() > 0 || message.attachments.is_other() => {
            Content::Unsupported { what: "attachment".to_owned(), code: None }
        }
        None => Content::Empty,
    }
}

/// The files. Until August 2026 one sticker came as a sticker and a picture.
fn files<'l, 'a: 'l>(attachments: impl Iterator<Item = &'l Attachment<'a>> + Clone) -> Vec<Media> {
    let key = |attachment: &Attachment<'a>| {
        let payload = attachment.payload.0.as_ref();
        let key = payload.and_then(|payload| payload.sticker_id.id()).or_else(|| attachment.address().id());
        key.map(Cow::into_owned)
    };
    let is_sticker = |attachment: &Attachment<'a>| {
        let payload = attachment.payload.0.as_ref();
        attachment.kind.is("sticker") || payload.is_some_and(|payload| payload.sticker_id.is_some())
    };
    let stickers: BTreeSet<String> =
        attachments.clone().filter(|one| is_sticker(one)).filter_map(key).collect();
    let mut taken = BTreeSet::new();
    let mut items = Vec::new();
    for attachment in attachments {
        let Some(kind) = attachment.media_kind() else { continue };
        let key = key(attachment).filter(|key| stickers.contains(key));
        let kind = if is_sticker(attachment) || key.is_some() { MediaKind::Sticker } else { kind };
        if key.is_none_or(|key| taken.insert(key)) {
            items.push(attachment.media(kind));
        }
    }
    items
}

impl<'a> Attachment<'a> {
    fn media_kind(&self) -> Option<MediaKind> {
        Some(match &*self.kind.id()? {
            "image" => MediaKind::Image,
            "video" => MediaKind::Video,
            "audio" => MediaKind::Audio,
            // Instagram's `media` does not say what it is.
            "file" | "media" => MediaKind::Document,
            "sticker" => MediaKind::Sticker,
            _ => return None,
        })
    }

    fn address(&self) -> Scalar<'a> {
        let payload = self.payload.0.as_ref();
        let inside = payload.map(|payload| [payload.url, payload.story_media_url]).unwrap_or_default();
        let told = [inside[0], inside[1], self.url];
        told.into_iter().find(|url| url.id().is_some()).unwrap_or_default()
    }

    fn media(&self, kind: MediaKind) -> Media {
        let id = self.payload.0.as_ref().and_then(|payload| pii(payload.attachment_id));
        let url = pii(self.address());
        let source = if id.is_none() && url.is_none() {
            MediaSource::Missing { reason: "Meta did not say where it is".to_owned() }
        } else {
            MediaSource::Meta { id, url }
        };
        Media { kind, mime: None, filename: None, sha256: None, source, text: None }
    }
}

fn place(attachment: &Attachment<'_>) -> Option<Place> {
    let coordinates = attachment.payload.0.as_ref()?.coordinates;
    if !attachment.kind.is("location") {
        return None;
    }
    Some(Place {
        latitude: Pii::new(coordinates.member("lat").number()?),
        longitude: Pii::new(coordinates.member("long").number()?),
        name: pii(attachment.title),
        address: None,
        url: pii(attachment.address()),
    })
}

/// Something of the product: what it shows is not stored, so these are never files.
fn shared(attachment: &Attachment<'_>, text: Scalar<'_>) -> Option<Content> {
    let kind = attachment.kind.id()?;
    let known = match &*kind {
        "share"
        | "story_mention"
        | "story"
        | "post"
        | "reel"
        | "fallback"
        | "template"
        | "appointment"
        | "appointment_booking" => true,
        other => other.starts_with("ig_"),
    };
    known.then(|| Content::Shared {
        kind: dotted(&kind),
        title: title(attachment),
        url: pii(attachment.address()),
        text: pii(text),
    })
}

fn title(attachment: &Attachment<'_>) -> Option<Pii<String>> {
    let payload = attachment.payload.0.as_ref();
    let first = |elements: Scalar<'_>| {
        let list: List<'_> = elements.list();
        list.iter().find_map(|element| pii(element.member("title")))
    };
    let inside = payload.and_then(|payload| {
        pii(payload.title)
            .or_else(|| first(payload.elements))
            .or_else(|| first(payload.product.member("elements")))
    });
    inside.or_else(|| pii(attachment.title))
}

shape! {
    struct Came<'a> {
        reference as "ref": Scalar<'a>,
        source: Scalar<'a>,
        ad_id: Scalar<'a>,
        ads_context_data: Scalar<'a>,
        referer_uri: Scalar<'a>,
        product: Scalar<'a>,
        kind as "type": Scalar<'a>,
    }
}

/// What brought somebody here; nothing where there is nothing of it.
pub(super) fn referral(said: Scalar<'_>) -> Option<Box<Referral>> {
    let said: Came<'_> = said.object()?;
    let context = said.ads_context_data;
    let source_id = said.ad_id.owned();
    let by_ad = source_id.is_some().then(|| "ADS".to_owned());
    let product = said.product.member("id").owned();
    let referral = Referral {
        source: said.source.owned().or(by_ad),
        source_id: source_id.or_else(|| context.member("post_id").owned()),
        url: said.referer_uri.owned(),
        headline: context.member("ad_title").owned(),
        reference: pii(said.reference),
        product: product.or_else(|| context.member("product_id").owned()),
        click: None,
        greeting: None,
    };
    let any = referral != Referral::default() || said.kind.is_some();
    any.then(|| Box::new(referral))
}
