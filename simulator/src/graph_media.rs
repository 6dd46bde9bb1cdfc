//! Files in the Graph API: uploads, look-ups, downloads, deletion; and the addresses at which files lie.

use hyper::StatusCode;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use iassistance_domain::channel::ChannelKind;
use serde_json::{Value, json};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::accounts::Account;
use crate::core::Core;
use crate::faults::SendFault;
use crate::fields::{Dialect, Fields};
use crate::graph_error::GraphError;
use crate::graph_request::object;
use crate::media::{
    ATTACHMENT_URL_MS, Described, File, Origin, URL_MS, admits, attachment_bytes_max, kind_of, ticket,
    whatsapp_rule,
};
use crate::multipart::{self, Part};
use crate::server::{Call, Reply, full, json_reply, respond};
use crate::shown::{MediaKind, ShownMedia};
use crate::social_request::parse_file;

impl Core {
    /// What WhatsApp says of a file: an address that lives five minutes.
    pub fn describe(&self, id: &str, file: &File) -> Described {
        let query = ticket(id, self.clock.now().plus_millis(URL_MS), self.settings.seed);
        Described {
            url: format!("{}/media/{id}?{query}", self.base_url()),
            mime_type: file.mime.clone(),
            sha256: hex::encode(file.sha256()),
            file_size: file.bytes.len(),
        }
    }

    /// A file as it stands in a message of WhatsApp, which writes the digest in base64.
    pub fn inbound_media(&self, id: &str, file: &File) -> Value {
        let described = self.describe(id, file);
        json!({"id": id, "mime_type": described.mime_type, "sha256": STANDARD.encode(file.sha256()),
               "url": described.url})
    }

    /// Where an attachment of Messenger or Instagram lies.
    pub fn media_url(&self, media: &ShownMedia) -> String {
        let Some(id) = &media.id else { return media.link.clone().unwrap_or_default() };
        let now = self.clock.now();
        let link = self.files().get(id, now).and_then(|file| file.link.clone());
        link.unwrap_or_else(|| {
            let query = ticket(id, now.plus_millis(ATTACHMENT_URL_MS), self.settings.seed);
            format!("{}/cdn/{id}?{query}", self.base_url())
        })
    }
}

/// The fault that is due for a call about a file, if it decides the answer.
fn fault(core: &Core, account: &Account) -> Option<Reply> {
    let whatsapp = account.is_whatsapp();
    match core.media_fault(account)? {
        SendFault::Refuse { status, code } => {
            Some(GraphError::asked_for(whatsapp, Some(status), code, None).reply(core))
        }
        SendFault::Error { code, subcode, status, .. } => {
            Some(GraphError::asked_for(whatsapp, status, code, subcode).reply(core))
        }
        SendFault::Hang { .. } => Some(Reply::Hang),
        SendFault::Cut { .. } | SendFault::Truncate => Some(Reply::Cut),
    }
}

fn part<'a>(parts: &'a [Part], name: &str) -> Option<&'a Part> {
    parts.iter().find(|part| part.name == name)
}

fn field(parts: &[Part], name: &str) -> Option<String> {
    part(parts, name).map(|part| String::from_utf8_lossy(&part.body).into_owned())
}

/// `POST /{version}/{phone_number_id}/media`.
pub(crate) fn upload(core: &Core, call: &Call, node: &str) -> Reply {
    let now = core.clock.now();
    let senders = core.accounts().senders(call.bearer(), node, now);
    let account = match senders.map(|senders| senders.into_iter().find(|account| account.is_whatsapp())) {
        Ok(Some(account)) => account,
        Ok(None) => return GraphError::unknown_object(node).reply(core),
        Err(error) => return error.reply(core),
    };
    if let Some(reply) = fault(core, &account) {
        return reply;
    }
    match read_upload(core, call, &account) {
        Ok(file) => {
            let id = core.files().keep(file);
            core.changed();
            json_reply(StatusCode::OK, &json!({ "id": id }))
        }
        Err(error) => error.reply(core),
    }
}

fn read_upload(core: &Core, call: &Call, account: &Account) -> Result<File, GraphError> {
    let parts = multipart::parse(call.header("content-type"), &call.body);
    let parts = parts.ok_or_else(|| GraphError::param("The request body must be multipart/form-data."))?;
    if field(&parts, "messaging_product").as_deref() != Some("whatsapp") {
        return Err(GraphError::param("The parameter messaging_product is required."));
    }
    let file = part(&parts, "file").filter(|file| file.filename.is_some());
    let file = file.ok_or_else(|| GraphError::param("The parameter file is required."))?;
    let mime = field(&parts, "type").or_else(|| file.content_type.clone()).unwrap_or_default();
    let Some(rule) = whatsapp_rule(&mime) else {
        return Err(GraphError::param(&format!(
            "Param file must be a file of a supported type, not '{mime}'"
        )));
    };
    if file.body.is_empty() || file.body.len() > rule.bytes_max {
        let details = format!("File of {} bytes: 1 to {} are taken.", file.body.len(), rule.bytes_max);
        return Err(GraphError::coded(131_053, &details));
    }
    Ok(File {
        kind: rule.kind,
        mime,
        bytes: file.body.clone(),
        name: file.filename.clone(),
        account: account.id().to_owned(),
        origin: Origin::Upload,
        link: None,
        at: core.clock.now(),
    })
}

/// `POST /{version}/{page or account}/message_attachments`, by address or with the file itself.
pub(crate) fn attach(core: &Core, call: &Call, node: &str) -> Reply {
    let senders = core.accounts().senders(call.bearer(), node, core.clock.now());
    let senders = match senders {
        Ok(senders) => senders,
        Err(error) => return error.reply(core),
    };
    // A Page has two: the query tells which.
    let wanted = match call.query("platform").as_deref() {
        Some("instagram") => ChannelKind::Instagram,
        _ => ChannelKind::Messenger,
    };
    let account = senders.iter().find(|account| account.product() == wanted).or_else(|| senders.first());
    let Some(account) = account.filter(|account| !account.is_whatsapp()) else {
        return GraphError::unknown_object(node).reply(core);
    };
    if let Some(reply) = fault(core, account) {
        return reply;
    }
    match read_attachment(core, call, account) {
        Ok(file) => {
            let id = core.files().keep(file);
            core.changed();
            json_reply(StatusCode::OK, &json!({ "attachment_id": id }))
        }
        Err(error) => error.reply(core),
    }
}

fn read_attachment(core: &Core, call: &Call, account: &Account) -> Result<File, GraphError> {
    let form = multipart::parse(call.header("content-type"), &call.body);
    let body = match &form {
        Some(parts) => {
            let message = field(parts, "message").and_then(|text| serde_json::from_str(&text).ok());
            let message: Value =
                message.ok_or_else(|| GraphError::param("The parameter message is required."))?;
            object(json!({ "message": message }).to_string().as_bytes())?
        }
        None => object(&call.body)?,
    };
    let body = Fields::root(&body, Dialect::Social);
    body.only(&["message", "platform"])?;
    let attachment = body.need_object("message")?.need_object("attachment")?;
    attachment.only(&["type", "payload"])?;
    let kind = match attachment.one_of("type", &["image", "audio", "video", "file"])? {
        "image" => MediaKind::Image,
        "audio" => MediaKind::Audio,
        "video" => MediaKind::Video,
        _ => MediaKind::Document,
    };
    let mut file = File {
        kind,
        mime: String::new(),
        bytes: bytes::Bytes::new(),
        name: None,
        account: account.id().to_owned(),
        origin: Origin::Attachment,
        link: None,
        at: core.clock.now(),
    };
    let Some(parts) = &form else {
        file.link = parse_file(&attachment.need_object("payload")?, kind)?.0.link;
        if file.link.is_none() {
            return Err(attachment.missing("url"));
        }
        return Ok(file);
    };
    let data =
        part(parts, "filedata").ok_or_else(|| GraphError::param("The parameter filedata is required."))?;
    file.mime = data.content_type.clone().unwrap_or_default();
    if kind != MediaKind::Document && kind_of(&file.mime).social() != kind.social() {
        return Err(GraphError::social(100, Some(2_018_047), "Attachment type does not match the file"));
    }
    if data.body.is_empty() || data.body.len() > attachment_bytes_max(account.is_instagram(), kind) {
        return Err(GraphError::social(100, Some(2_018_109), "Attachment size exceeds allowable limit"));
    }
    file.bytes = data.body.clone();
    file.name.clone_from(&data.filename);
    Ok(file)
}

/// The file of this id, if the token may see it.
fn visible(core: &Core, call: &Call, id: &str) -> Result<Option<File>, GraphError> {
    let now = core.clock.now();
    let accounts = core.accounts();
    accounts.token(call.bearer(), now)?;
    let Some(file) = core.files().get(id, now).cloned() else { return Ok(None) };
    // Ids of files are WhatsApp's; attachments of the others are not looked up.
    let owners = accounts.owners(call.bearer(), &file.account, now).unwrap_or_default();
    let mine = owners.iter().any(|owner| owner.is_whatsapp() && owner.id() == file.account);
    Ok(mine.then_some(file))
}

/// `GET /{version}/{media_id}[?phone_number_id=]`; nothing when the id is none of a file.
pub(crate) fn look_up(core: &Core, call: &Call, id: &str) -> Option<Reply> {
    let file = match visible(core, call, id) {
        Ok(file) => file?,
        Err(error) => return Some(error.reply(core)),
    };
    if call.query("phone_number_id").is_some_and(|number| number != file.account) {
        return Some(GraphError::unknown_object(id).reply(core));
    }
    if let Some(account) = core.accounts().get(&file.account).cloned()
        && let Some(reply) = fault(core, &account)
    {
        return Some(reply);
    }
    Some(json_reply(StatusCode::OK, &core.describe(id, &file).answer(id)))
}

/// `DELETE /{version}/{media_id}`.
pub(crate) fn delete(core: &Core, call: &Call, id: &str) -> Reply {
    match visible(core, call, id) {
        Ok(Some(_)) => {
            core.files().remove(id);
            json_reply(StatusCode::OK, &json!({"success": true}))
        }
        Ok(None) => GraphError::unknown_object(id).reply(core),
        Err(error) => error.reply(core),
    }
}

/// `GET /media/{id}?ext=&hash=`, which wants the token, and `GET /cdn/{id}?ext=&hash=`, which does not.
pub(crate) fn download(core: &Core, call: &Call, id: &str, with_token: bool) -> Reply {
    let (now, query) = (core.clock.now(), |name| call.query(name).unwrap_or_default());
    let nothing = || {
        json_reply(StatusCode::NOT_FOUND, &json!({"error": "there is nothing at this address (any more)"}))
    };
    if with_token && !matches!(visible(core, call, id), Ok(Some(_))) {
        return match visible(core, call, id) {
            Err(error) => error.reply(core),
            Ok(_) => nothing(),
        };
    }
    if !admits(id, &query("ext"), &query("hash"), core.settings.seed, now) {
        return nothing();
    }
    let Some(file) = core.files().get(id, now).cloned() else { return nothing() };
    if let Some(account) = core.accounts().get(&file.account).cloned()
        && let Some(reply) = fault(core, &account)
    {
        return reply;
    }
    serve(&file)
}

/// A file's bytes; a page that shows them runs nothing of them.
pub(crate) fn serve(file: &File) -> Reply {
    let mut response = respond(StatusCode::OK, "application/octet-stream", full(file.bytes.clone()));
    let headers = response.headers_mut();
    if let Ok(mime) = HeaderValue::from_str(&file.mime) {
        headers.insert(CONTENT_TYPE, mime);
    }
    headers.insert("content-security-policy", HeaderValue::from_static("default-src 'none'; sandbox"));
    Reply::Answer(response)
}
