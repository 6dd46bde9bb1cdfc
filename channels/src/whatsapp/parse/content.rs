//! What a message says, by its type. Meta: Cloud API, webhooks, "messages".

use iassistance_domain::Pii;
use iassistance_domain::content::{
    CardPhone, ContactCard, Content, Media, MediaKind, MediaSource, OrderItem, Place, SelectionKind,
};

use crate::json::{List, Object, Scalar, shape};
use crate::moment;
use crate::parse::{dotted, pii};

/// Why a message could not be read.
pub(super) enum Unread {
    /// Its type is known, and what should be there is not, or is something else.
    Unreadable,
    /// Of a type that is not known here, which is this.
    Unknown(String),
}

/// Reads a message of type `word` that says `payload` and is written `raw`.
pub(super) fn read(word: &str, payload: Scalar<'_>, raw: Scalar<'_>) -> Result<Content, Unread> {
    let content = match word {
        "text" => {
            return payload.object().ok_or(Unread::Unreadable).and_then(|text: Text<'_>| text.content());
        }
        "image" => media(MediaKind::Image, payload),
        "video" => media(MediaKind::Video, payload),
        "audio" => media(MediaKind::Audio, payload),
        "voice" => media(MediaKind::Voice, payload),
        "document" => media(MediaKind::Document, payload),
        "sticker" => media(MediaKind::Sticker, payload),
        "location" => location(payload),
        "contacts" => contacts(payload),
        "interactive" => return interactive(payload),
        "button" => selection(SelectionKind::TemplateButton, payload, "text", "payload"),
        "order" => order(payload),
        // The last is what media of old conversations come as (Meta: `history`): their files come
        // later or never.
        "unsupported" | "unknown" | "media_placeholder" => Some(unsupported(word, payload, raw)),
        _ => return Err(Unread::Unknown(word.to_owned())),
    };
    content.ok_or(Unread::Unreadable)
}

/// The same, where there is a message whatever it says.
pub(super) fn read_anyhow(word: &str, payload: Scalar<'_>, raw: Scalar<'_>) -> Content {
    match read(word, payload, raw) {
        Ok(content) => content,
        Err(Unread::Unreadable) => Content::Unsupported { what: dotted(word), code: None },
        Err(Unread::Unknown(what)) => Content::Unsupported { what: dotted(&what), code: None },
    }
}

shape! {
    pub(super) struct Text<'a> { body: Scalar<'a> }
}

impl Text<'_> {
    pub(super) fn content(&self) -> Result<Content, Unread> {
        let body = self.body.text().ok_or(Unread::Unreadable)?;
        Ok(if body.trim_start().is_empty() { Content::Empty } else { Content::text(body) })
    }
}

shape! {
    struct File<'a> {
        id: Scalar<'a>,
        url: Scalar<'a>,
        mime_type: Scalar<'a>,
        sha256: Scalar<'a>,
        filename: Scalar<'a>,
        caption: Scalar<'a>,
        voice: Scalar<'a>,
    }
}

fn media(kind: MediaKind, payload: Scalar<'_>) -> Option<Content> {
    let file: File<'_> = payload.object()?;
    let (id, url) = (pii(file.id), pii(file.url));
    if id.is_none() && url.is_none() {
        return None;
    }
    let kind = if kind == MediaKind::Audio && file.voice.is("true") { MediaKind::Voice } else { kind };
    let item = Media {
        kind,
        mime: file.mime_type.owned(),
        filename: pii(file.filename),
        sha256: file.sha256.owned(),
        source: MediaSource::Meta { id, url },
        text: None,
    };
    Some(Content::Media { items: vec![item], caption: pii(file.caption) })
}

shape! {
    struct Spot<'a> {
        latitude: Scalar<'a>,
        longitude: Scalar<'a>,
        name: Scalar<'a>,
        address: Scalar<'a>,
        url: Scalar<'a>,
    }
}

fn location(payload: Scalar<'_>) -> Option<Content> {
    let spot: Spot<'_> = payload.object()?;
    Some(Content::Location(Place {
        latitude: Pii::new(spot.latitude.number()?),
        longitude: Pii::new(spot.longitude.number()?),
        name: pii(spot.name),
        address: pii(spot.address),
        url: pii(spot.url),
    }))
}

shape! {
    struct Card<'a> {
        name: Object<CardName<'a>>,
        org: Scalar<'a>,
        phones: List<'a, Object<Phone<'a>>>,
        emails: List<'a>,
        urls: List<'a>,
        addresses: List<'a, Object<Address<'a>>>,
        birthday: Scalar<'a>,
    }
}

shape! {
    struct CardName<'a> { formatted_name: Scalar<'a>, first_name: Scalar<'a>, last_name: Scalar<'a> }
}

shape! {
    struct Phone<'a> { phone: Scalar<'a>, wa_id: Scalar<'a>, kind as "type": Scalar<'a> }
}

shape! {
    struct Address<'a> {
        street: Scalar<'a>,
        zip: Scalar<'a>,
        city: Scalar<'a>,
        state: Scalar<'a>,
        country: Scalar<'a>,
        country_code: Scalar<'a>,
    }
}

fn contacts(payload: Scalar<'_>) -> Option<Content> {
    let list: List<'_, Object<Card<'_>>> = payload.list();
    let cards: Vec<_> = list.iter().filter_map(|card| card.0.as_ref()).map(card).collect();
    (!cards.is_empty()).then_some(Content::Contacts { cards })
}

fn card(card: &Card<'_>) -> ContactCard {
    let named = |list: &List<'_>, name: &str| list.iter().filter_map(|item| pii(item.member(name))).collect();
    let (formatted, first, last) = card.name.0.as_ref().map_or((None, None, None), |name| {
        (name.formatted_name.owned(), name.first_name.owned(), name.last_name.owned())
    });
    let name = formatted.unwrap_or_else(|| {
        let parts: Vec<&str> = [&first, &last].into_iter().flatten().map(String::as_str).collect();
        parts.join(" ")
    });
    let phones = card.phones.iter().filter_map(|phone| phone.0.as_ref()).filter_map(|phone| {
        let (number, wa_id) = (phone.phone.owned(), phone.wa_id.owned());
        let shown = number.or_else(|| wa_id.clone())?;
        Some(CardPhone { phone: Pii::new(shown), wa_id: wa_id.map(Pii::new), kind: phone.kind.owned() })
    });
    ContactCard {
        name: Pii::new(name),
        first_name: first.map(Pii::new),
        last_name: last.map(Pii::new),
        company: pii(card.org.member("company")),
        phones: phones.collect(),
        emails: named(&card.emails, "email"),
        urls: named(&card.urls, "url"),
        addresses: card.addresses.iter().filter_map(|address| line(address.0.as_ref()?)).collect(),
        birthday: pii(card.birthday),
    }
}

/// An address on one line.
fn line(address: &Address<'_>) -> Option<Pii<String>> {
    let country = if address.country.is_some() { address.country } else { address.country_code };
    let parts = [address.street, address.zip, address.city, address.state, country];
    let parts: Vec<_> = parts.into_iter().filter_map(Scalar::id).collect();
    (!parts.is_empty()).then(|| Pii::new(parts.join(", ")))
}

fn interactive(payload: Scalar<'_>) -> Result<Content, Unread> {
    let word = payload.member("type").id().ok_or(Unread::Unreadable)?;
    let answer = payload.member(&word);
    let content = match &*word {
        "button_reply" => selection(SelectionKind::Button, answer, "title", "id"),
        "list_reply" => selection(SelectionKind::List, answer, "title", "id"),
        "nfm_reply" => form(answer),
        "call_permission_reply" => call_permission(answer),
        _ => return Err(Unread::Unknown(format!("interactive.{word}"))),
    };
    content.ok_or(Unread::Unreadable)
}

fn selection(of: SelectionKind, said: Scalar<'_>, title: &str, id: &str) -> Option<Content> {
    let (title, id) = (said.member(title).owned(), said.member(id).owned());
    let shown = title.or_else(|| id.clone())?;
    let description = pii(said.member("description"));
    Some(Content::Selection { of, title: Pii::new(shown), id: id.map(Pii::new), description })
}

shape! {
    struct Form<'a> { name: Scalar<'a>, body: Scalar<'a>, response_json: Scalar<'a> }
}

/// The answers come as JSON inside a string; an object is taken as it is.
fn form(said: Scalar<'_>) -> Option<Content> {
    let form: Form<'_> = said.object()?;
    let answers = match form.response_json.owned() {
        Some(answers) => answers,
        None if form.response_json.get().starts_with('{') => form.response_json.get().to_owned(),
        None => return None,
    };
    Some(Content::FlowResponse { name: form.name.owned(), body: pii(form.body), answers: Pii::new(answers) })
}

shape! {
    struct CallPermission<'a> {
        response: Scalar<'a>,
        is_permanent: Scalar<'a>,
        expiration_timestamp: Scalar<'a>,
    }
}

fn call_permission(said: Scalar<'_>) -> Option<Content> {
    let said: CallPermission<'_> = said.object()?;
    let granted = said.response.id()?.eq_ignore_ascii_case("accept");
    let ends = granted && !said.is_permanent.is("true");
    let until = if ends { moment::any(said.expiration_timestamp) } else { None };
    Some(Content::CallPermission { granted, until })
}

shape! {
    struct Order<'a> { catalog_id: Scalar<'a>, text: Scalar<'a>, product_items: List<'a, Object<Item<'a>>> }
}

shape! {
    struct Item<'a> {
        product_retailer_id: Scalar<'a>,
        quantity: Scalar<'a>,
        item_price: Scalar<'a>,
        currency: Scalar<'a>,
    }
}

fn order(payload: Scalar<'_>) -> Option<Content> {
    let order: Order<'_> = payload.object()?;
    let item = |item: &Object<Item<'_>>| {
        let item = item.0.as_ref()?;
        Some(OrderItem {
            id: pii(item.product_retailer_id)?,
            quantity: pii(item.quantity).unwrap_or_else(|| Pii::new("1".to_owned())),
            price: pii(item.item_price),
            currency: item.currency.owned(),
        })
    };
    let items: Vec<_> = order.product_items.iter().filter_map(item).collect();
    let (catalog, note) = (order.catalog_id.owned(), pii(order.text));
    (!items.is_empty()).then_some(Content::Order { catalog, note, items })
}

fn unsupported(word: &str, payload: Scalar<'_>, raw: Scalar<'_>) -> Content {
    let errors: List<'_> = raw.member("errors").list();
    let code = errors.iter().find_map(|error| error.member("code").integer());
    let what = payload.member("type").id();
    Content::Unsupported { what: dotted(what.as_deref().unwrap_or(word)), code }
}
