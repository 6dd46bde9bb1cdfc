//! Files of the content store, brought to Meta before the message that names them.
//!
//! Meta: Cloud API, "Media": `POST /{phone number id}/media`; Messenger Platform, "Attachment upload
//! API": `POST /{page id}/message_attachments`. Instagram has no such call.

use bytes::Bytes;
use iassistance_domain::Pii;
use iassistance_domain::channel::{Channel, ChannelKind};
use iassistance_domain::content::{Media, MediaSource};
use iassistance_domain::delivery::ProblemClass;
use iassistance_domain::pii::Deliver;
use reqwest::Method;
use reqwest::multipart::{Form, Part};
use serde_json::json;

use crate::limits::{Rules, essence};
use crate::page::send::attachment_type;
use crate::send::{MediaBytes, MediaShelf, SendError, ShelfError, uncoded};
use crate::usage::Usage;

use super::{GraphSender, Payload, sending_id};

/// What a file is called that has no name.
const NAMELESS: &str = "file";

impl GraphSender {
    /// Uploads a file that is in the content store, and puts Meta's id of it in its place.
    pub(super) async fn uploaded(
        &self,
        channel: &Channel,
        media: &mut Media,
        attempts: u32,
        shelf: &dyn MediaShelf,
        usage: &mut Usage,
    ) -> Result<(), SendError> {
        let MediaSource::Stored { id, .. } = media.source else { return Ok(()) };
        let file = shelf.open(id).await.map_err(|error| match error {
            ShelfError::Missing => SendError::refused(error.to_string()),
            ShelfError::Unavailable => SendError::Retryable {
                after_ms: None,
                problem: uncoded(ProblemClass::Transient, error.to_string()),
            },
        })?;
        let kind = channel.kind();
        let bytes = u64::try_from(file.bytes.len()).unwrap_or(u64::MAX);
        Rules(kind).file(media.kind, Some(&file.mime), Some(bytes))?;
        media.filename = media.filename.take().or_else(|| file.filename.clone());
        let form = form(kind, media, file, bytes)?;
        let place = match kind {
            ChannelKind::Whatsapp => "media",
            ChannelKind::Messenger | ChannelKind::Instagram => "message_attachments",
        };
        let url = self.url(channel, &[sending_id(channel), place])?;
        let answer = self.channel_call(channel, Method::POST, url, Payload::Form(form)).await?;
        usage.clone_from(&answer.usage);
        let id = answer.file_id(kind.into(), attempts)?;
        media.source = MediaSource::Meta { id: Some(Pii::new(id)), url: None };
        Ok(())
    }
}

fn form(kind: ChannelKind, media: &Media, file: MediaBytes, bytes: u64) -> Result<Form, SendError> {
    let mime = essence(&file.mime);
    let name = media.filename.as_ref().map_or(NAMELESS, |name| &**name.reveal(Deliver));
    let part = part(file.bytes, bytes).file_name(name.to_owned());
    let part = part.mime_str(&mime).map_err(|_| {
        SendError::refused("the file's type is not one: store it again with its type, such as image/png")
    })?;
    Ok(match kind {
        ChannelKind::Whatsapp => {
            Form::new().text("messaging_product", "whatsapp").text("type", mime).part("file", part)
        }
        ChannelKind::Messenger | ChannelKind::Instagram => {
            let payload = json!({"is_reusable": true});
            let message = json!({"attachment": {"type": attachment_type(media.kind), "payload": payload}});
            Form::new().text("message", message.to_string()).part("filedata", part)
        }
    })
}

fn part(file: Bytes, bytes: u64) -> Part {
    Part::stream_with_length(file, bytes)
}
