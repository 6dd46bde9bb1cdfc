//! Files that came in, fetched from Meta and from nowhere else.
//!
//! Meta: Cloud API, "Media": `GET /{media id}` answers an address that lives for five minutes and
//! wants the token; Messenger and Instagram give addresses that want none.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use iassistance_domain::channel::{Channel, ChannelKind};
use iassistance_domain::content::{Media, MediaKind, MediaSource};
use iassistance_domain::delivery::ProblemClass;
use iassistance_domain::pii::Deliver;
use iassistance_egress::Destination;
use reqwest::Response;
use reqwest::header::{CONTENT_TYPE, LOCATION};
use serde_json::Value;
use sha2::{Digest, Sha256};
use url::Url;

use crate::limits::essence;
use crate::send::{FetchError, Fetched, SendError};

use super::GraphSender;
use super::answer::retry_after_ms;

/// How many redirections are followed, each to one of Meta's own addresses.
const REDIRECTIONS_MAX: usize = 3;
/// How long to wait when the token or the account stands in the way, milliseconds: a person has to
/// mend that.
const MENDING_MS: u64 = 15 * 60 * 1_000;
/// What is said of a file whose type nobody knows.
const UNKNOWN_TYPE: &str = "application/octet-stream";
/// What is not kept, whatever it is said to be: a browser would run it.
const RUNNABLE: [&str; 6] = [
    "text/html",
    "application/xhtml+xml",
    "image/svg+xml",
    "text/javascript",
    "application/javascript",
    "application/x-javascript",
];

/// Where a file is and what it has to be.
struct Wanted<'a> {
    url: String,
    /// For an address that wants it.
    token: Option<&'a str>,
    kind: MediaKind,
    mime: Option<String>,
    checksums: Vec<[u8; 32]>,
}

impl GraphSender {
    pub(super) async fn fetched(&self, channel: &Channel, media: &Media) -> Result<Fetched, FetchError> {
        let (id, url) = match &media.source {
            MediaSource::Meta { id, url } => (id, url),
            MediaSource::Stored { .. } => return Err(refused("the file is stored already: read it there")),
            MediaSource::Link { .. } => return Err(refused("only what came in from Meta is fetched")),
            MediaSource::Missing { reason } => return Err(FetchError::Gone { reason: reason.clone() }),
        };
        let on_whatsapp = channel.kind() == ChannelKind::Whatsapp;
        let (mime, bytes) = match (id, url) {
            (Some(id), _) if on_whatsapp => self.by_id(channel, media, id.reveal(Deliver)).await?,
            (_, Some(url)) => {
                let token = on_whatsapp.then(|| channel.access_token.expose());
                let wanted = Wanted::new(media, url.reveal(Deliver).clone(), token);
                self.download(wanted).await?
            }
            (_, None) => {
                return Err(FetchError::Gone { reason: "Meta does not say where the file is".to_owned() });
            }
        };
        Ok(Fetched { mime, bytes, filename: media.filename.clone() })
    }

    /// Asks where the file is, and gets it; once more if the address died in between.
    async fn by_id(&self, channel: &Channel, media: &Media, id: &str) -> Result<(String, Bytes), FetchError> {
        let wanted = self.located(channel, media, id).await?;
        match self.download(wanted).await {
            Err(FetchError::Gone { .. }) => self.download(self.located(channel, media, id).await?).await,
            outcome => outcome,
        }
    }

    /// `GET /{media id}?phone_number_id={phone number id}`.
    async fn located<'a>(
        &self,
        channel: &'a Channel,
        media: &Media,
        id: &str,
    ) -> Result<Wanted<'a>, FetchError> {
        let mut url = self.url(channel, &[id]).map_err(|_| refused("Meta's id of the file is not one"))?;
        url.query_pairs_mut().append_pair("phone_number_id", &channel.external_id);
        let found = self.get(channel, url).await.map_err(from_graph)?;
        let text = |name: &str| found.get(name).and_then(Value::as_str);
        let file_bytes = match found.get("file_size") {
            Some(Value::String(text)) => text.parse().ok(),
            Some(other) => other.as_u64(),
            None => None,
        };
        if let Some(bytes) = file_bytes {
            self.fits(bytes)?;
        }
        let Some(address) = text("url") else {
            let reason = "Meta does not say where the file is: it is asked again".to_owned();
            return Err(FetchError::Retryable { after_ms: None, reason });
        };
        let mut wanted = Wanted::new(media, address.to_owned(), Some(channel.access_token.expose()));
        wanted.mime = wanted.mime.or_else(|| text("mime_type").map(essence));
        wanted.checksums.extend(text("sha256").and_then(checksum));
        Ok(wanted)
    }

    fn fits(&self, bytes: u64) -> Result<(), FetchError> {
        let max = self.settings.file_bytes_max;
        if bytes > max {
            return Err(refused(format!("the file is larger than the {max} bytes that are taken here")));
        }
        Ok(())
    }

    async fn download(&self, mut wanted: Wanted<'_>) -> Result<(String, Bytes), FetchError> {
        let mut url = Url::parse(&wanted.url).map_err(|_| refused("the file's address is not one"))?;
        for _ in 0..=REDIRECTIONS_MAX {
            let client = self
                .egress
                .client_for(Destination::Media, &url)
                .map_err(|error| refused(error.to_string()))?;
            let mut request =
                client.get(url.clone()).timeout(Duration::from_millis(self.settings.media_timeout_ms));
            if let Some(token) = wanted.token {
                request = request.bearer_auth(token);
            }
            let response = request.send().await.map_err(|_| broken("the file's server does not answer"))?;
            let status = response.status().as_u16();
            match status {
                200 => return self.read(response, &wanted).await,
                301 | 302 | 303 | 307 | 308 => {
                    let next = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
                    let next = next.and_then(|next| url.join(next).ok());
                    let next = next.ok_or_else(|| refused("the file's address leads nowhere"))?;
                    // A token is for the server to which it was given.
                    wanted.token = wanted.token.filter(|_| next.origin() == url.origin());
                    url = next;
                }
                403 | 404 | 410 => {
                    let reason = "Meta has the file no more, or its address is over: ask for it again";
                    return Err(FetchError::Gone { reason: reason.to_owned() });
                }
                401 => {
                    return Err(mending(
                        "the access token does not open the file: connect the channel again",
                    ));
                }
                408 | 429 | 500.. => {
                    let reason = format!("the file's server answered HTTP {status}: it is tried again");
                    let after_ms = retry_after_ms(response.headers());
                    return Err(FetchError::Retryable { after_ms, reason });
                }
                _ => return Err(refused(format!("the file's server answered HTTP {status}"))),
            }
        }
        Err(refused("the file's address leads from one to the next"))
    }

    async fn read(&self, mut response: Response, wanted: &Wanted<'_>) -> Result<(String, Bytes), FetchError> {
        let said = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).map(essence);
        let mime = mime(wanted, said)?;
        if let Some(bytes) = response.content_length() {
            self.fits(bytes)?;
        }
        let mut file = BytesMut::new();
        while let Some(part) = response.chunk().await.map_err(|_| broken("the file broke off"))? {
            self.fits(u64::try_from(file.len() + part.len()).unwrap_or(u64::MAX))?;
            file.extend_from_slice(&part);
        }
        if file.is_empty() {
            return Err(broken("the file arrived empty"));
        }
        if is_page(&file) {
            return Err(refused(format!("a web page came instead of the {}", wanted.kind.name())));
        }
        if !wanted.checksums.is_empty() {
            let digest: [u8; 32] = Sha256::digest(&file).into();
            if !wanted.checksums.contains(&digest) {
                return Err(broken("the file is not the one that Meta announced"));
            }
        }
        Ok((mime, file.freeze()))
    }
}

impl<'a> Wanted<'a> {
    fn new(media: &Media, url: String, token: Option<&'a str>) -> Self {
        let mime = media.mime.as_deref().map(essence);
        let checksums = media.sha256.as_deref().and_then(checksum).into_iter().collect();
        Self { url, token, kind: media.kind, mime, checksums }
    }
}

/// The type under which a file is kept: what its server says, or else what Meta announced.
fn mime(wanted: &Wanted<'_>, said: Option<String>) -> Result<String, FetchError> {
    let known = |mime: &String| is_type(mime) && mime != UNKNOWN_TYPE;
    let mime = said.filter(known).or_else(|| wanted.mime.clone().filter(known));
    let mime = mime.unwrap_or_else(|| UNKNOWN_TYPE.to_owned());
    let of = |top: &str| mime.starts_with(top);
    let fits = match wanted.kind {
        MediaKind::Image | MediaKind::Sticker => of("image/"),
        MediaKind::Video => of("video/"),
        // Instagram gives voice messages as videos without a picture.
        MediaKind::Audio | MediaKind::Voice => of("audio/") || of("video/") || mime == "application/ogg",
        MediaKind::Document => true,
    };
    if RUNNABLE.contains(&&*mime) || !(fits || mime == UNKNOWN_TYPE) {
        return Err(refused(format!(
            "the file is of type {mime}, which is not taken as {}",
            wanted.kind.name()
        )));
    }
    Ok(mime)
}

/// Whether it has the form of a media type.
fn is_type(mime: &str) -> bool {
    let word = |word: &str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte);
        !word.is_empty() && word.len() <= 80 && word.bytes().all(plain)
    };
    mime.split_once('/').is_some_and(|(top, sub)| word(top) && word(sub))
}

/// Whether a file begins as a web page does, whatever its type says.
fn is_page(file: &[u8]) -> bool {
    let start = file.trim_ascii_start();
    let begins = |mark: &[u8]| start.get(..mark.len()).is_some_and(|start| start.eq_ignore_ascii_case(mark));
    begins(b"<!doctype html") || begins(b"<html")
}

/// A SHA-256 in either of Meta's spellings; nothing for what is none.
fn checksum(text: &str) -> Option<[u8; 32]> {
    let text = text.trim();
    let bytes = hex::decode(text).ok().filter(|bytes| bytes.len() == 32);
    bytes.or_else(|| STANDARD.decode(text).ok())?.try_into().ok()
}

/// What an answer of the Graph API means for a fetch.
fn from_graph(error: SendError) -> FetchError {
    match error {
        SendError::Retryable { after_ms, problem } => {
            FetchError::Retryable { after_ms, reason: problem.title }
        }
        SendError::Throttled { wait_ms, problem, .. } => {
            FetchError::Retryable { after_ms: Some(wait_ms), reason: problem.title }
        }
        SendError::Unknown { problem } => FetchError::Retryable { after_ms: None, reason: problem.title },
        SendError::Permanent { problem } => match problem.class {
            // With subcode 33: no such object.
            ProblemClass::AccountBlock | ProblemClass::Request if matches!(problem.code, 33 | 100) => {
                FetchError::Gone { reason: "Meta has the file no more: ask for it again".to_owned() }
            }
            ProblemClass::Auth | ProblemClass::AccountBlock => mending(problem.title),
            _ => refused(problem.title),
        },
    }
}

fn refused(reason: impl Into<String>) -> FetchError {
    FetchError::Refused { reason: reason.into() }
}

fn broken(what: &str) -> FetchError {
    FetchError::Retryable { after_ms: None, reason: format!("{what}: it is tried again") }
}

fn mending(reason: impl Into<String>) -> FetchError {
    FetchError::Retryable { after_ms: Some(MENDING_MS), reason: reason.into() }
}
