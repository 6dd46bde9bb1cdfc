//! Changes: comments in public, and events of a conversation that come this way.

use iassistance_domain::Pii;
use iassistance_domain::channel::ChannelKind;
use iassistance_domain::contact::ContactIdentity;
use iassistance_domain::content::Content;
use iassistance_domain::inbound::{Arrival, InboundKind};

use super::{Entry, event};
use crate::json::{Object, Scalar, shape};
use crate::parse::{Reading, hashed, joined, pii};

shape! {
    /// Meta: Instagram, `comments`; Pages, `feed`.
    struct Comment<'a> {
        id: Scalar<'a>,
        comment_id: Scalar<'a>,
        item: Scalar<'a>,
        verb: Scalar<'a>,
        from: Object<Writer<'a>>,
        text: Scalar<'a>,
        message: Scalar<'a>,
        media: Scalar<'a>,
        post_id: Scalar<'a>,
        created_time: Scalar<'a>,
        timestamp: Scalar<'a>,
    }
}

shape! {
    struct Writer<'a> { id: Scalar<'a>, name: Scalar<'a>, username: Scalar<'a> }
}

pub(super) fn read<'a>(
    reading: &mut Reading,
    entry: &Entry<'a>,
    field: Scalar<'a>,
    value: Scalar<'a>,
    raw: Scalar<'a>,
) {
    let address = entry.address.as_ref();
    let Some(field) = field.id() else {
        return reading.keep(address, &entry.kind("change"), None, raw.get());
    };
    let is_comment = match &*field {
        "comments" | "live_comments" => true,
        "feed" => value.member("item").is("comment"),
        _ if event::is_one(value) => {
            let arrival = if field == "standby" { Arrival::Standby } else { Arrival::Live };
            return event::read(reading, entry, arrival, &mut value.cursor());
        }
        _ => false,
    };
    if !is_comment {
        return reading.keep(address, &entry.kind(&field), None, raw.get());
    }
    if comment(reading, entry, value).is_none() {
        reading.keep(address, &entry.kind(&format!("{field}.unreadable")), None, raw.get());
    }
}

fn comment(reading: &mut Reading, entry: &Entry<'_>, value: Scalar<'_>) -> Option<()> {
    let said: Comment<'_> = value.object()?;
    let address = entry.address.as_ref();
    let id = said.comment_id.id().or_else(|| said.id.id())?;
    let verb = said.verb.id();
    let provider_id = joined("comment:", &id);
    let writer = said.from.0.as_ref();
    let from = writer.and_then(|writer| ContactIdentity::scoped(writer.id.owned()));
    let at = entry.moment(first(said.created_time, said.timestamp), reading.now);
    match verb.as_deref() {
        None | Some("add" | "edit" | "edited") => {}
        Some("remove" | "delete") => {
            let dedup = joined("d:", &provider_id);
            let provider_id = Pii::new(provider_id);
            reading.push(address, dedup, at, InboundKind::MessageRemoved { provider_id, contact: from });
            return Some(());
        }
        Some(other) => {
            reading.keep(address, &format!("comment.{other}"), from, value.get());
            return Some(());
        }
    }
    if writer.and_then(|writer| writer.id.id()).is_some_and(|id| entry.is_itself(&id)) {
        reading.keep(address, "comment.self", None, value.get());
        return Some(());
    }
    let Some(from) = from else {
        reading.keep(address, "comment.no_sender", None, value.get());
        return Some(());
    };
    let text = pii(first(said.text, said.message)).unwrap_or_default();
    let post = match entry.kind {
        ChannelKind::Instagram => said.media.member("id").owned(),
        _ => said.post_id.owned(),
    };
    let content = Content::Comment { id: Pii::new(id.into_owned()), text, post };
    if verb.is_some_and(|verb| verb != "add") {
        let dedup = hashed("e", &[&provider_id, value.get()]);
        let (provider_id, content) = (Pii::new(provider_id), Some(content));
        let kind = InboundKind::MessageEdited { provider_id, contact: Some(from), content };
        reading.push(address, dedup, at, kind);
        return Some(());
    }
    let profile_name = writer.and_then(|writer| pii(writer.name).or_else(|| pii(writer.username)));
    let dedup = joined("m:", &provider_id);
    let kind = InboundKind::MessageReceived {
        provider_id: Pii::new(provider_id),
        from,
        profile_name,
        content,
        context: None,
        referral: None,
        arrival: Arrival::Live,
    };
    reading.push(address, dedup, at, kind);
    Some(())
}

fn first<'a>(told: Scalar<'a>, otherwise: Scalar<'a>) -> Scalar<'a> {
    if told.is_some() { told } else { otherwise }
}
