//! From what is to be said to the call that says it, purely.

use iassistance_domain::channel::ChannelKind;
use iassistance_domain::content::{Content, Frame, Media, MediaSource, TemplateParameter};
use iassistance_domain::delivery::DeliveryProblem;
use iassistance_domain::outbox::OutboxEntry;
use iassistance_domain::pii::Deliver;
use iassistance_domain::{Pii, Timestamp};
use serde_json::Value;

use crate::limits::{Rules, web_address};
use crate::pieces::pieces;
use crate::send::refused;
use crate::{page, whatsapp};

/// Whether this channel would carry `content`, perhaps in another form or in [`pieces`]: what is
/// refused here would be refused by the send. Files at addresses of their own are not looked at.
pub fn check(kind: ChannelKind, content: &Content) -> Result<(), DeliveryProblem> {
    for mut piece in pieces(kind, content.clone()) {
        suppose_uploaded(kind, &mut piece)?;
        match kind {
            ChannelKind::Whatsapp => whatsapp::send::check(&piece)?,
            ChannelKind::Messenger | ChannelKind::Instagram => page::send::check(kind, &piece)?,
        }
    }
    Ok(())
}

/// The body of the one call that sends `entry`, whose files are at Meta or at addresses of their own
/// and whose content is in a form of the channel.
pub(crate) fn render(
    kind: ChannelKind,
    entry: &OutboxEntry,
    now: Timestamp,
) -> Result<Value, DeliveryProblem> {
    match kind {
        ChannelKind::Whatsapp => whatsapp::send::message(entry),
        ChannelKind::Messenger | ChannelKind::Instagram => page::send::message(kind, entry, now),
    }
}

/// Its files, wherever in it they are.
pub(crate) fn files(content: &mut Content) -> Vec<&mut Media> {
    match content {
        Content::Media { items, .. } => items.iter_mut().collect(),
        Content::Buttons { frame, .. }
        | Content::List { frame, .. }
        | Content::Link { frame, .. }
        | Content::Flow { frame, .. } => frame.header_media.iter_mut().collect(),
        Content::Template(template) => {
            let parameters = template.components.iter_mut().flat_map(|component| &mut component.parameters);
            let media = |parameter| match parameter {
                &mut TemplateParameter::Media { ref mut media } => Some(media),
                _ => None,
            };
            parameters.filter_map(media).collect()
        }
        _ => Vec::new(),
    }
}

/// As if the files of the content store had been uploaded; refuses those that would not be taken.
pub(crate) fn suppose_uploaded(kind: ChannelKind, content: &mut Content) -> Result<(), DeliveryProblem> {
    for media in files(content) {
        if let MediaSource::Stored { bytes, .. } = media.source {
            if kind == ChannelKind::Instagram {
                return Err(refused("Instagram takes files only by a public address: give a link"));
            }
            Rules(kind).file(media.kind, media.mime.as_deref(), Some(bytes))?;
            media.source = MediaSource::Meta { id: Some(Pii::new("0".to_owned())), url: None };
        }
    }
    Ok(())
}

/// From where Meta takes a file.
#[derive(Clone, Copy)]
pub(crate) enum Place<'a> {
    /// It has it.
    Id(&'a str),
    /// It fetches it.
    Link(&'a str),
}

/// From where Meta takes `media`, once that is known to be of a type that the product takes.
pub(crate) fn place(rules: Rules, media: &Media) -> Result<Place<'_>, DeliveryProblem> {
    let name = media.kind.name();
    rules.file(media.kind, media.mime.as_deref(), None)?;
    match &media.source {
        MediaSource::Link { url } => {
            let url = url.reveal(Deliver);
            web_address(format_args!("the address of the {name}"), url)?;
            Ok(Place::Link(url))
        }
        MediaSource::Meta { id: Some(id), .. } if !id.reveal(Deliver).is_empty() => {
            Ok(Place::Id(id.reveal(Deliver)))
        }
        MediaSource::Meta { .. } => {
            Err(refused(format!("the {name} has an address that lives for minutes only: store it first")))
        }
        MediaSource::Stored { .. } => {
            Err(refused(format!("the {name} was not uploaded: please report this")))
        }
        MediaSource::Missing { .. } => Err(refused(format!("the {name} is not to be had: choose another"))),
    }
}

/// A text with what stands above and below it, for a product that has no place for these.
pub(crate) fn framed(frame: &Frame, body: &str) -> String {
    let above = frame.header.as_ref().map(|text| &**text.reveal(Deliver));
    let below = frame.footer.as_ref().map(|text| &**text.reveal(Deliver));
    let parts = [above, Some(body), below].into_iter().flatten();
    parts.filter(|part| !part.trim().is_empty()).collect::<Vec<_>>().join("\n\n")
}

/// What only comes in.
pub(crate) fn not_sendable(content: &Content) -> DeliveryProblem {
    refused(format!("a message of type {} only comes in and cannot be sent: send another", content.name()))
}

#[cfg(test)]
#[path = "render_tests.rs"]
mod tests;
