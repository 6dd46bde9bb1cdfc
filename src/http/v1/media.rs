//! The files of messages: handed to those who may read the conversation, and taken for sending.

use actix_web::http::header::{
    CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, X_CONTENT_TYPE_OPTIONS,
};
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use futures::{StreamExt, stream};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use utoipa::{IntoParams, ToSchema};

use iassistance_domain::content::MediaSource;
use iassistance_domain::id::{ConversationId, MediaId, MessageId, TenantId};
use iassistance_domain::pii::TenantView;
use iassistance_storage::content::{ContentError, ContentOwner};

use super::input::Query;
use super::tenants::InTenant;
use super::view::Problems;
use crate::http::auth::{Allowed, acts};
use crate::http::{Problem, State};

/// The longest name of a file, in characters.
const NAME_CHARS_MAX: usize = 240;
/// The longest type of a file, bytes.
const MIME_BYTES_MAX: usize = 127;

/// How many pieces of an upload wait to be stored.
const PIECES_MAX: usize = 4;

/// A body that ended before its time.
#[derive(Debug, thiserror::Error)]
#[error("the body broke off")]
struct BrokeOff;

/// Which file of which message.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct InFile {
    /// The tenant.
    #[param(value_type = String)]
    tenant: TenantId,
    /// The conversation.
    #[param(value_type = String)]
    conversation: ConversationId,
    /// The message.
    #[param(value_type = String, example = "msg_0199a8a2c4007b3e8f5d6c1b2a390817")]
    message: MessageId,
    /// The file's place in the message, from 0.
    place: usize,
}

/// What a file to be sent is called.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct UploadQuery {
    /// What the contact sees as its name; 1 to 240 characters without a slash.
    #[param(max_length = 240)]
    filename: Option<String>,
}

/// A file that was taken.
#[derive(Serialize, ToSchema)]
pub struct UploadView {
    /// Its id: send it as `{"type":"media","items":[{"kind":"image","mime":"image/png",
    /// "source":{"at":"stored","id":"med_…","bytes":1234}}]}`.
    #[schema(value_type = String)]
    id: MediaId,
    /// Its length, bytes.
    bytes: u64,
    /// Its type.
    mime: String,
}

/// A file of a message
///
/// It is always handed out as an attachment under its own type, never to be shown in place.
#[utoipa::path(get,
    path = "/tenants/{tenant}/conversations/{conversation}/messages/{message}/files/{place}",
    tag = "conversations", operation_id = "download_file", params(InFile),
    responses((status = 200, content_type = "application/octet-stream", body = Vec<u8>), Problems))]
pub async fn of_message(
    state: web::Data<State>,
    allowed: Allowed<acts::ReadContent>,
    path: web::Path<InFile>,
) -> Result<HttpResponse, Problem> {
    let ctx = allowed.ctx(path.tenant)?;
    if allowed.access().is_masked() {
        return Err(Problem::forbidden("viewers do not see what people send"));
    }
    let store = state.app.store.tenant(ctx).await?;
    allowed.access().must_see(&*store, path.conversation).await?;
    let message = store.message(path.conversation, path.message).await?.ok_or_else(Problem::not_found)?;
    let media = message.content.media().get(path.place).ok_or_else(Problem::not_found)?;
    let id = match &media.source {
        MediaSource::Stored { id, .. } => *id,
        MediaSource::Meta { .. } => {
            return Err(Problem::unavailable(2, "the file is still being fetched from Meta"));
        }
        MediaSource::Missing { reason } => {
            return Err(Problem::not_found().detail(format!("the file could not be had: {reason}")));
        }
        MediaSource::Link { .. } => {
            return Err(Problem::not_found().detail("the file is not here: it was sent by a public address"));
        }
    };
    let file = state.app.engine.content().get(ctx.tenant(), id).await?.ok_or_else(Problem::not_found)?;
    let mime = HeaderValue::from_str(&file.mime)
        .unwrap_or_else(|_| HeaderValue::from_static("application/octet-stream"));
    Ok(HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, mime))
        .insert_header((CONTENT_LENGTH, file.bytes_len))
        .insert_header((X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")))
        .insert_header((
            CONTENT_DISPOSITION,
            disposition(file.filename.as_ref().map(|name| name.reveal(TenantView).as_str())),
        ))
        .streaming(file.stream))
}

/// `attachment`, with the name in UTF-8 (RFC 6266, RFC 8187).
fn disposition(filename: Option<&str>) -> String {
    let Some(name) = filename else { return "attachment".to_owned() };
    let mut encoded = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            encoded.push_str(&hex::encode_upper([byte]));
        }
    }
    format!("attachment; filename*=UTF-8''{encoded}")
}

/// Take a file for sending
///
/// The body is the file itself, with its type in `Content-Type`.
#[utoipa::path(post, path = "/tenants/{tenant}/media", tag = "operators", operation_id = "upload_file",
    params(InTenant, UploadQuery),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 201, body = UploadView), Problems))]
pub async fn upload(
    state: web::Data<State>,
    allowed: Allowed<acts::Send>,
    path: web::Path<InTenant>,
    query: Query<UploadQuery>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    let ctx = allowed.ctx(path.tenant)?;
    let mime = mime(&request)?;
    let filename = query.into_inner().filename.map(filename).transpose()?;
    let engine = &state.app.engine;
    let id = MediaId::new(state.clock().now(), &**engine.entropy());
    allowed.record(allowed.entry("file.taken").on(&id)).await?;
    // The body belongs to this thread and the store does not: what comes in is passed on piece by
    // piece, and no faster than it is stored.
    let (pieces, passed_on) = mpsc::channel(PIECES_MAX);
    let pump = async move {
        let mut payload = payload;
        while let Some(piece) = payload.next().await {
            if pieces.send(piece.map_err(|_| BrokeOff)).await.is_err() {
                return;
            }
        }
    };
    let passed_on = stream::unfold(passed_on, async |mut passed_on| {
        passed_on.recv().await.map(|piece: Result<Bytes, BrokeOff>| (piece, passed_on))
    });
    let content = engine.content();
    let put = content.put(ctx.tenant(), ContentOwner::Tenant, id, &mime, filename.as_deref(), passed_on);
    let ((), stored) = futures::join!(pump, put);
    let stored = stored?;
    Ok(HttpResponse::Created().json(UploadView { id, bytes: stored.bytes, mime }))
}

fn mime(request: &HttpRequest) -> Result<String, Problem> {
    let value = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/+-.;= ".contains(c);
    let fits = value.len() <= MIME_BYTES_MAX && value.contains('/') && value.chars().all(plain);
    if !fits {
        return Err(Problem::bad_request("say the file's type in `Content-Type`, for instance `image/png`"));
    }
    Ok(value.to_ascii_lowercase())
}

fn filename(text: String) -> Result<String, Problem> {
    let fits = (1..=NAME_CHARS_MAX).contains(&text.chars().count())
        && !text.chars().any(|c| c.is_control() || c == '/' || c == '\\');
    if fits {
        Ok(text)
    } else {
        Err(Problem::invalid("`filename` must have 1 to 240 characters, without slashes"))
    }
}

impl From<ContentError> for Problem {
    fn from(error: ContentError) -> Self {
        match error {
            ContentError::TooLarge { bytes_max } => {
                Self::too_large(usize::try_from(bytes_max).unwrap_or(usize::MAX))
            }
            ContentError::KeyGone { .. } => Self::not_found(),
            ContentError::LabelTooLong { .. } => Self::invalid(error.to_string()),
            ContentError::Source(_) => Self::bad_request("the file broke off: send it again"),
            error => {
                tracing::error!(%error, "the content store failed");
                Self::unavailable(30, "the file cannot be stored or read just now")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_files_name_is_never_more_than_a_name() {
        assert_eq!(disposition(None), "attachment");
        assert_eq!(disposition(Some("a b.pdf")), "attachment; filename*=UTF-8''a%20b.pdf");
        assert_eq!(disposition(Some("\"\r\nX: é")), "attachment; filename*=UTF-8''%22%0D%0AX%3A%20%C3%A9");
        for wrong in ["", "a/b", "a\\b", "a\nb", &"x".repeat(241)] {
            assert!(filename(wrong.to_owned()).is_err());
        }
    }
}
