//! Messages: those of end users, and what the business wrote elsewhere.

use std::borrow::Cow;

use iassistance_domain::Pii;
use iassistance_domain::channel::ChannelAddress;
use iassistance_domain::contact::ContactIdentity;
use iassistance_domain::content::{Content, Context, Forwarded, Referral};
use iassistance_domain::inbound::{Arrival, InboundKind};
use iassistance_domain::message::Elsewhere;

use super::content::{self, Text, Unread};
use super::people::People;
use super::{Value, identity};
use crate::json::{Element, Scalar, shape};
use crate::moment::moment;
use crate::parse::{Reading, dotted, joined, kept, pii};

shape! {
    pub(super) struct Message<'a> {
        id: Scalar<'a>,
        from: Scalar<'a>,
        from_user_id: Scalar<'a>,
        to: Scalar<'a>,
        to_user_id: Scalar<'a>,
        timestamp: Scalar<'a>,
        kind as "type": Scalar<'a>,
        text: Element<'a, Text<'a>>,
        context: Scalar<'a>,
        referral: Scalar<'a>,
        group_id: Scalar<'a>,
    }
}

shape! {
    struct Reaction<'a> { message_id: Scalar<'a>, emoji: Scalar<'a> }
}

shape! {
    /// Meta: `system` messages. `new_wa_id` is the older name of `wa_id`.
    struct System<'a> {
        kind as "type": Scalar<'a>,
        wa_id: Scalar<'a>,
        new_wa_id: Scalar<'a>,
        user_id: Scalar<'a>,
        previous_user_id: Scalar<'a>,
    }
}

shape! {
    struct Refers<'a> {
        id: Scalar<'a>,
        forwarded: Scalar<'a>,
        frequently_forwarded: Scalar<'a>,
        referred_product: Scalar<'a>,
    }
}

shape! {
    struct Came<'a> {
        source_type: Scalar<'a>,
        source_id: Scalar<'a>,
        source_url: Scalar<'a>,
        headline: Scalar<'a>,
        ctwa_clid: Scalar<'a>,
        welcome_message: Scalar<'a>,
    }
}

impl<'a> Message<'a> {
    /// What it says in the form that its type names.
    fn payload(&self, word: &str, raw: Scalar<'a>) -> Scalar<'a> {
        if word == "text" { self.text.raw } else { raw.member(word) }
    }

    /// Texts were read with the message: nearly all are texts.
    fn content(&self, word: &str, payload: Scalar<'a>, raw: Scalar<'a>) -> Result<Content, Unread> {
        match (word, self.text.object()) {
            ("text", Some(text)) => text.content(),
            _ => content::read(word, payload, raw),
        }
    }

    pub(super) fn recipient(&self) -> Option<ContactIdentity> {
        identity(self.to, self.to_user_id)
    }

    pub(super) fn is_to_somebody(&self) -> bool {
        self.to.id().is_some() || self.to_user_id.id().is_some()
    }
}

/// Reads what end users wrote.
pub(super) fn received(
    reading: &mut Reading,
    channel: Option<&ChannelAddress>,
    value: &Value<'_>,
    arrival: Arrival,
) {
    let people = People::of(value);
    for element in reading.each(&value.messages) {
        let from = element.object().map(|message| people.sender(message));
        one(reading, channel, element, from.unwrap_or_default(), arrival, "m:");
    }
}

/// Reads what one end user wrote.
pub(super) fn one<'a>(
    reading: &mut Reading,
    channel: Option<&ChannelAddress>,
    element: &Element<'a, Message<'a>>,
    (from, profile_name): (Option<ContactIdentity>, Option<Pii<String>>),
    arrival: Arrival,
    key: &str,
) {
    let raw = element.raw;
    let Some((message, id)) = element.object().and_then(|message| Some((message, message.id.id()?))) else {
        return reading.keep(channel, "message.unreadable", from, raw.get());
    };
    let kind = if message.group_id.is_some() {
        kept("message.group".to_owned(), from, raw.get())
    } else {
        kind_of(message, raw, &id, from, profile_name, arrival)
    };
    reading.push(channel, joined(key, &id), moment(message.timestamp, reading.now), kind);
}

fn kind_of<'a>(
    message: &Message<'a>,
    raw: Scalar<'a>,
    id: &str,
    from: Option<ContactIdentity>,
    profile_name: Option<Pii<String>>,
    arrival: Arrival,
) -> InboundKind {
    let keep = |kind: &str, contact| kept(dotted(&format!("message.{kind}")), contact, raw.get());
    let word = message.kind.id().unwrap_or(Cow::Borrowed("untyped"));
    let payload = message.payload(&word, raw);
    if let Some(kind) = change(&word, payload, from.as_ref()) {
        return kind;
    }
    let Some(from) = from else {
        return keep("no_sender", None);
    };
    match &*word {
        "edit" | "revoke" => keep(&format!("{word}.unreadable"), Some(from)),
        "reaction" => {
            reaction(payload, &from, false).unwrap_or_else(|| keep("reaction.unreadable", Some(from)))
        }
        "system" => system(message, payload).unwrap_or_else(|kind| keep(&kind, Some(from))),
        _ => match message.content(&word, payload, raw) {
            Ok(content) => InboundKind::MessageReceived {
                provider_id: Pii::new(id.to_owned()),
                from,
                profile_name,
                content,
                context: context(message.context),
                referral: referral(message.referral),
                arrival,
            },
            Err(Unread::Unreadable) => keep(&format!("{word}.unreadable"), Some(from)),
            Err(Unread::Unknown(what)) => keep(&what, Some(from)),
        },
    }
}

/// Reads what the business wrote elsewhere, to `to` where the message itself does not say to whom.
pub(super) fn echo<'a>(
    reading: &mut Reading,
    channel: Option<&ChannelAddress>,
    element: &Element<'a, Message<'a>>,
    to: Option<ContactIdentity>,
    through: &Elsewhere,
    arrival: Arrival,
    key: &str,
) {
    let raw = element.raw;
    let to = element.object().and_then(Message::recipient).or(to);
    let Some((message, id)) = element.object().and_then(|message| Some((message, message.id.id()?))) else {
        return reading.keep(channel, "echo.unreadable", to, raw.get());
    };
    let word = message.kind.id().unwrap_or(Cow::Borrowed("untyped"));
    let payload = message.payload(&word, raw);
    let keep = |kind: &str, contact| kept(dotted(&format!("echo.{kind}")), contact, raw.get());
    let kind = match (change(&word, payload, to.as_ref()), to) {
        (Some(kind), _) => kind,
        (None, None) => keep("no_recipient", None),
        (None, Some(to)) if message.group_id.is_some() => keep("group", Some(to)),
        (None, Some(to)) => match &*word {
            "edit" | "revoke" | "system" => keep(&word, Some(to)),
            "reaction" => {
                reaction(payload, &to, true).unwrap_or_else(|| keep("reaction.unreadable", Some(to)))
            }
            _ => InboundKind::EchoReceived {
                provider_id: Pii::new(id.clone().into_owned()),
                to,
                message: None,
                content: content::read_anyhow(&word, payload, raw),
                context: context(message.context),
                through: through.clone(),
                arrival,
            },
        },
    };
    reading.push(channel, joined(key, &id), moment(message.timestamp, reading.now), kind);
}

/// A message that changes another one, or takes it back: it needs no sender.
fn change(word: &str, payload: Scalar<'_>, contact: Option<&ContactIdentity>) -> Option<InboundKind> {
    let original = || pii(payload.member("original_message_id"));
    match word {
        "revoke" => Some(InboundKind::MessageRemoved { provider_id: original()?, contact: contact.cloned() }),
        "edit" => {
            let raw = payload.member("message");
            let content = raw.member("type").id().map(|word| {
                let payload = raw.member(&word);
                content::read_anyhow(&word, payload, raw)
            });
            Some(InboundKind::MessageEdited { provider_id: original()?, contact: contact.cloned(), content })
        }
        _ => None,
    }
}

/// No emoji, or an empty one, takes the reaction back.
fn reaction(payload: Scalar<'_>, contact: &ContactIdentity, by_business: bool) -> Option<InboundKind> {
    let Reaction { message_id, emoji } = payload.object()?;
    Some(InboundKind::Reacted {
        provider_id: pii(message_id)?,
        contact: contact.clone(),
        by_business,
        emoji: pii(emoji),
    })
}

/// Somebody has another number or id. Whom a change introduces besides is who they are now, so only
/// the message's own ids say who they were.
fn system(message: &Message<'_>, payload: Scalar<'_>) -> Result<InboundKind, String> {
    let system: System<'_> = payload.object().ok_or("system.unreadable")?;
    let word = system.kind.id().unwrap_or(Cow::Borrowed("unreadable"));
    let was = if system.previous_user_id.is_some() { system.previous_user_id } else { message.from_user_id };
    let (from, to) = match &*word {
        "user_changed_number" | "user_changed_user_id" => {
            let wa_id = if system.wa_id.is_some() { system.wa_id } else { system.new_wa_id };
            (identity(message.from, was), identity(wa_id, system.user_id))
        }
        _ => (None, None),
    };
    match (from, to) {
        (Some(from), Some(to)) if from != to => Ok(InboundKind::IdentityChanged { from, to }),
        _ => Err(format!("system.{word}")),
    }
}

fn context(said: Scalar<'_>) -> Option<Box<Context>> {
    let said: Refers<'_> = said.object()?;
    let forwarded = match (said.frequently_forwarded.is("true"), said.forwarded.is("true")) {
        (true, _) => Some(Forwarded::Often),
        (false, true) => Some(Forwarded::Once),
        (false, false) => None,
    };
    let product = pii(said.referred_product.member("product_retailer_id"));
    Context { reply_to: pii(said.id), forwarded, product, story: None }.if_any()
}

fn referral(said: Scalar<'_>) -> Option<Box<Referral>> {
    let said: Came<'_> = said.object()?;
    let referral = Referral {
        source: said.source_type.owned(),
        source_id: said.source_id.owned(),
        url: said.source_url.owned(),
        headline: said.headline.owned(),
        click: pii(said.ctwa_clid),
        greeting: said.welcome_message.member("text").owned(),
        ..Referral::default()
    };
    (referral != Referral::default()).then(|| Box::new(referral))
}
