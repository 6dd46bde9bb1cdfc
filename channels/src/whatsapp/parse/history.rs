//! Old conversations of a number that was used by phone before. Meta: Cloud API, `history`.

use iassistance_domain::channel::{ChannelAddress, Notice};
use iassistance_domain::contact::ContactIdentity;
use iassistance_domain::inbound::{Arrival, InboundKind};
use iassistance_domain::message::Elsewhere;

use super::{Message, Value, identity, message};
use crate::json::{Cursor, Element, List, Read, Scalar};
use crate::parse::{Reading, hashed};

/// Meta: the business does not hand its conversations over.
const DECLINED: i64 = 2_593_109;

pub(super) fn read(reading: &mut Reading, channel: Option<&ChannelAddress>, value: &Value<'_>) {
    for chunk in reading.each(&value.history) {
        chunk.member("threads").cursor().elements(|cursor| thread(reading, channel, value, cursor));
        let kind = InboundKind::Noticed(progress(*chunk));
        reading.push(channel, hashed("n:history", &[chunk.get()]), reading.now, kind);
    }
    // The files of what came before as a placeholder, under the same ids.
    for element in reading.each(&value.messages) {
        old(reading, channel, value, element, None, "h:");
    }
}

/// The exchange with one contact, whose number is its id: thousands of messages, so that they are
/// taken one by one.
fn thread<'a>(
    reading: &mut Reading,
    channel: Option<&ChannelAddress>,
    value: &Value<'a>,
    cursor: &mut Cursor<'a>,
) {
    let (id, context) = (cursor.find("id"), cursor.find("context"));
    let wa_id = if id.is_some() { id } else { context.member("wa_id") };
    let contact = identity(wa_id, context.member("user_id"));
    cursor.members(|name, cursor| {
        if name == "messages" {
            cursor.elements(|cursor| {
                old(reading, channel, value, &Element::of(cursor), contact.as_ref(), "m:");
            });
        }
    });
}

/// The business's own say to whom they went, or come from its number.
fn old<'a>(
    reading: &mut Reading,
    channel: Option<&ChannelAddress>,
    value: &Value<'a>,
    element: &Element<'a, Message<'a>>,
    contact: Option<&ContactIdentity>,
    key: &str,
) {
    let own = |message: &Message<'a>| message.is_to_somebody() || value.is_own(message.from);
    if element.object().is_some_and(own) {
        let to = contact.cloned();
        return message::echo(reading, channel, element, to, &Elsewhere::Phone, Arrival::Imported, key);
    }
    let said = element.object().and_then(|message| identity(message.from, message.from_user_id));
    let from = (said.or_else(|| contact.cloned()), None);
    message::one(reading, channel, element, from, Arrival::Imported, key);
}

fn progress(chunk: Scalar<'_>) -> Notice {
    let said = chunk.member("metadata").member("progress").integer();
    let progress = said.and_then(|percent| u8::try_from(percent.clamp(0, 100)).ok());
    let errors: List<'_> = chunk.member("errors").list();
    let problem = errors.iter().next().map(|error| match error.member("code").integer() {
        Some(DECLINED) => "the business does not hand its old conversations over".to_owned(),
        Some(code) => format!("WhatsApp does not hand the old conversations over (code {code})"),
        None => "WhatsApp does not hand the old conversations over and does not say why".to_owned(),
    });
    Notice::History { progress, problem }
}
