//! Messages: what end users write and choose, and what the business wrote elsewhere.

use iassistance_domain::Pii;
use iassistance_domain::channel::ChannelKind;
use iassistance_domain::contact::ContactIdentity;
use iassistance_domain::content::{Content, OrderItem, SelectionKind};
use iassistance_domain::inbound::InboundKind;
use iassistance_domain::message::Elsewhere;

use super::content::{self, Message, referral};
use super::event::Event;
use crate::json::{List, Object, Scalar, shape};
use crate::parse::{Reading, hashed, joined, pii};

/// Messenger's own inbox, as its echoes name it. Meta: "Message echoes".
const INBOX: &str = "26390203743090";

/// Reads a message, of whichever side.
pub(super) fn read(reading: &mut Reading, event: &Event<'_, '_>, message: &Message<'_>) -> Option<()> {
    let mid = message.mid.id()?;
    let provider_id = Pii::new(mid.clone().into_owned());
    let is_echo = message.is_echo.is("true");
    let is_own = is_echo || message.is_self.is("true") || event.is_own();
    let contact = if is_own { event.to() } else { event.contact() };
    if message.is_deleted.is("true") {
        let kind = InboundKind::MessageRemoved { provider_id, contact };
        event.push(reading, joined("d:", &mid), kind);
        return Some(());
    }
    let Some(contact) = contact else {
        let what = if is_own { "message.self" } else { "message.no_sender" };
        event.keep(reading, what);
        return Some(());
    };
    let context = message.context();
    let content = content::read(message);
    let arrival = event.arrival;
    let kind = if is_own {
        InboundKind::EchoReceived {
            provider_id,
            to: contact,
            message: message.metadata.text().and_then(|ours| ours.parse().ok()),
            content,
            context,
            through: through(event.entry.kind, message.app_id),
            arrival,
        }
    } else {
        InboundKind::MessageReceived {
            provider_id,
            from: contact,
            profile_name: None,
            content,
            context,
            referral: referral(message.referral),
            arrival,
        }
    };
    event.push(reading, joined("m:", &mid), kind);
    Some(())
}

/// Instagram names no app.
fn through(kind: ChannelKind, app_id: Scalar<'_>) -> Elsewhere {
    match app_id.owned() {
        Some(id) if id == INBOX => Elsewhere::Inbox,
        Some(id) => Elsewhere::App { app_id: Some(id) },
        None if kind == ChannelKind::Messenger => Elsewhere::App { app_id: None },
        None => Elsewhere::Unnamed,
    }
}

shape! {
    struct Edit<'a> { mid: Scalar<'a>, text: Scalar<'a>, num_edit: Scalar<'a> }
}

/// Instagram tells at times of an edit and not what, nor who made it.
pub(super) fn edited(
    reading: &mut Reading,
    event: &Event<'_, '_>,
    said: Scalar<'_>,
    contact: Option<ContactIdentity>,
) -> Option<()> {
    let edit: Edit<'_> = said.object()?;
    let mid = edit.mid.id()?;
    let number = edit.num_edit.id();
    let times = number.as_deref().unwrap_or_else(|| event.timestamp.get());
    let dedup = ["e:", &mid, ":", times].concat();
    let content = edit.text.text().map(content::text);
    let kind = InboundKind::MessageEdited { provider_id: Pii::new(mid.into_owned()), contact, content };
    event.push(reading, dedup, kind);
    Some(())
}

shape! {
    struct Postback<'a> { mid: Scalar<'a>, title: Scalar<'a>, payload: Scalar<'a>, referral: Scalar<'a> }
}

/// A button, an entry of the menu, an ice breaker. While another app has the conversation it comes
/// without its payload.
pub(super) fn postback(
    reading: &mut Reading,
    event: &Event<'_, '_>,
    said: Scalar<'_>,
    contact: ContactIdentity,
) -> Option<()> {
    let said: Postback<'_> = said.object()?;
    let (title, id) = (said.title.owned(), said.payload.owned());
    let shown = title.or_else(|| id.clone())?;
    let of = SelectionKind::Postback;
    let content = Content::Selection { of, title: Pii::new(shown), id: id.map(Pii::new), description: None };
    let provider_id = match said.mid.owned() {
        Some(mid) => mid,
        None => event.key("postback", &[said.title, said.payload]),
    };
    let kind = InboundKind::MessageReceived {
        provider_id: Pii::new(provider_id.clone()),
        from: contact,
        profile_name: None,
        content,
        context: None,
        referral: referral(said.referral),
        arrival: event.arrival,
    };
    event.push(reading, joined("p:", &provider_id), kind);
    Some(())
}

shape! {
    struct Cart<'a> {
        mid: Scalar<'a>,
        catalog_id: Scalar<'a>,
        note: Scalar<'a>,
        products: List<'a, Object<Product<'a>>>,
    }
}

shape! {
    struct Product<'a> {
        id: Scalar<'a>,
        retailer_id: Scalar<'a>,
        quantity: Scalar<'a>,
        unit_price: Scalar<'a>,
        currency: Scalar<'a>,
    }
}

/// A cart. Meta: Messenger Platform, `send_cart`.
pub(super) fn order(
    reading: &mut Reading,
    event: &Event<'_, '_>,
    said: Scalar<'_>,
    contact: ContactIdentity,
) -> Option<()> {
    let cart: Cart<'_> = said.object()?;
    let item = |product: &Object<Product<'_>>| {
        let product = product.0.as_ref()?;
        Some(OrderItem {
            id: pii(product.retailer_id).or_else(|| pii(product.id))?,
            quantity: pii(product.quantity).unwrap_or_else(|| Pii::new("1".to_owned())),
            price: pii(product.unit_price),
            currency: product.currency.owned(),
        })
    };
    let items: Vec<_> = cart.products.iter().filter_map(item).collect();
    if items.is_empty() {
        return None;
    }
    let provider_id = cart.mid.owned().unwrap_or_else(|| event.key("order", &[said]));
    let dedup = hashed("o", &[&provider_id]);
    let kind = InboundKind::MessageReceived {
        provider_id: Pii::new(provider_id),
        from: contact,
        profile_name: None,
        content: Content::Order { catalog: cart.catalog_id.owned(), note: pii(cart.note), items },
        context: None,
        referral: None,
        arrival: event.arrival,
    };
    event.push(reading, dedup, kind);
    Some(())
}
