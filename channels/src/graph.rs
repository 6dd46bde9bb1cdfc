//! The Graph API over HTTP: one call, and what is known after it.
//!
//! Meta: Graph API, "Handling errors": `{error: {message, type, code, error_subcode, is_transient}}`.
//! There is no idempotency key, so everything turns on one question: can the message have left?

mod account;
mod answer;
mod fetch;
mod probe;
mod upload;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use iassistance_domain::channel::{Channel, ChannelKind, Connection, MessageTemplate, MetaApp};
use iassistance_domain::contact::ContactIdentity;
use iassistance_domain::content::Media;
use iassistance_domain::delivery::{DeliveryProblem, ProblemClass};
use iassistance_domain::outbox::OutboxEntry;
use iassistance_domain::{Pii, Timestamp};
use iassistance_egress::{Destination, Egress};
use reqwest::Method;
use reqwest::header::CONTENT_TYPE;
use reqwest::multipart::Form;
use serde_json::Value;
use url::Url;

use crate::forms::carried;
use crate::render::{files, render, suppose_uploaded};
use crate::send::{
    Attempt, FetchError, Fetched, FreshToken, MediaShelf, ProbeReport, SendError, Sender, Sent, uncoded,
};
use crate::usage::Usage;
use crate::{page, whatsapp};

use self::answer::Answer;

/// Where the Graph API is, and how patiently it is called.
#[derive(Debug, Clone)]
pub struct GraphSettings {
    /// The base address.
    pub graph: Url,
    /// The base address for accounts that are connected by Instagram Login.
    pub instagram: Url,
    /// The version: `v24.0`.
    pub version: String,
    /// How long a call may take, milliseconds: more than a connection may take to be made.
    pub timeout_ms: u64,
    /// How long fetching or uploading a file may take, milliseconds.
    pub media_timeout_ms: u64,
    /// The largest file that is fetched, bytes.
    pub file_bytes_max: u64,
}

/// Sends through the Graph API.
#[derive(Clone)]
pub struct GraphSender {
    egress: Egress,
    settings: Arc<GraphSettings>,
}

/// A call of the Graph API.
struct Call<'a> {
    method: Method,
    destination: Destination,
    url: Url,
    token: &'a str,
    payload: Payload,
    timeout_ms: u64,
}

/// What a call carries.
enum Payload {
    Nothing,
    Json(Value),
    Form(Form),
}

impl GraphSender {
    /// A sender that calls what `settings` name, through `egress`.
    pub fn new(egress: Egress, settings: GraphSettings) -> Self {
        Self { egress, settings: Arc::new(settings) }
    }

    /// Where a channel's calls go.
    fn host(&self, channel: &Channel) -> (Destination, &Url) {
        match channel.connection {
            Connection::InstagramLogin { .. } => (Destination::Instagram, &self.settings.instagram),
            _ => (Destination::Graph, &self.settings.graph),
        }
    }

    /// The address of these parts, below the version.
    fn url(&self, channel: &Channel, parts: &[&str]) -> Result<Url, SendError> {
        let (_, base) = self.host(channel);
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        if parts.iter().any(|part| part.is_empty() || !part.bytes().all(plain)) {
            return Err(SendError::refused(
                "the channel's id at Meta is not one: copy it from Meta's dashboard again",
            ));
        }
        below(base, std::iter::once(&*self.settings.version).chain(parts.iter().copied()))
    }

    async fn call(&self, call: Call<'_>) -> Result<Answer, SendError> {
        let client = self
            .egress
            .client_for(call.destination, &call.url)
            .map_err(|error| SendError::refused(error.to_string()))?;
        if call.token.is_empty() {
            let title = "the channel has no access token: enter one";
            return Err(SendError::Permanent { problem: uncoded(ProblemClass::Auth, title) });
        }
        let request = client
            .request(call.method, call.url)
            .timeout(Duration::from_millis(call.timeout_ms))
            .bearer_auth(call.token);
        let request = match call.payload {
            Payload::Nothing => request,
            Payload::Json(body) => request.header(CONTENT_TYPE, "application/json").body(body.to_string()),
            Payload::Form(form) => request.multipart(form),
        };
        let response = request.send().await.map_err(|error| without_answer(&error))?;
        Ok(Answer::read(response).await)
    }

    /// A call for a channel, with its token.
    async fn channel_call(
        &self,
        channel: &Channel,
        method: Method,
        url: Url,
        payload: Payload,
    ) -> Result<Answer, SendError> {
        let timeout_ms = match payload {
            Payload::Form(_) => self.settings.media_timeout_ms,
            _ => self.settings.timeout_ms,
        };
        let (destination, _) = self.host(channel);
        let token = channel.access_token.expose();
        self.call(Call { method, destination, url, token, payload, timeout_ms }).await
    }

    /// `POST /{version}/{sending id}/messages`.
    async fn post(&self, channel: &Channel, body: Value) -> Result<Answer, SendError> {
        let url = self.url(channel, &[sending_id(channel), "messages"])?;
        self.channel_call(channel, Method::POST, url, Payload::Json(body)).await
    }

    /// What a question about a channel is answered with. It can always be asked again.
    async fn get(&self, channel: &Channel, url: Url) -> Result<Value, SendError> {
        let answer = self.channel_call(channel, Method::GET, url, Payload::Nothing).await;
        let answer = answer.map_err(SendError::repeatable)?;
        answer.value(channel.kind().into()).map_err(SendError::repeatable)
    }

    /// Sends, and keeps what the answers say about limits.
    async fn hand_over(
        &self,
        channel: &Channel,
        entry: &OutboxEntry,
        now: Timestamp,
        shelf: &dyn MediaShelf,
        usage: &mut Usage,
    ) -> Result<Sent, SendError> {
        let kind = channel.kind();
        let mut entry = entry.clone();
        entry.content = carried(kind, entry.content);
        // Nothing is uploaded for a message that would be refused.
        let mut supposed = entry.clone();
        suppose_uploaded(kind, &mut supposed.content)?;
        render(kind, &supposed, now)?;
        let attempts = entry.attempts;
        for media in files(&mut entry.content) {
            let uploaded = self.uploaded(channel, media, attempts, shelf, usage).await;
            uploaded.map_err(SendError::repeatable)?;
        }
        let body = render(kind, &entry, now)?;
        let answer = self.post(channel, body).await?;
        usage.clone_from(&answer.usage);
        answer.sent(kind.into(), &entry)
    }
}

#[async_trait]
impl Sender for GraphSender {
    async fn send(
        &self,
        channel: &Channel,
        entry: &OutboxEntry,
        now: Timestamp,
        shelf: &dyn MediaShelf,
    ) -> Attempt {
        let mut usage = Usage::default();
        let outcome = self.hand_over(channel, entry, now, shelf, &mut usage).await;
        Attempt { outcome, usage }
    }

    async fn mark_read(
        &self,
        channel: &Channel,
        contact: &ContactIdentity,
        provider_id: &Pii<String>,
        typing: bool,
    ) -> Result<(), SendError> {
        let kind = channel.kind();
        if kind == ChannelKind::Whatsapp {
            let answer = self.post(channel, whatsapp::send::read_mark(provider_id, typing)).await?;
            return answer.accepted(kind.into());
        }
        let actions: &[&str] = if typing { &["mark_seen", "typing_on"] } else { &["mark_seen"] };
        for action in actions {
            let answer = self.post(channel, page::send::action(kind, contact, action)?).await?;
            answer.accepted(kind.into())?;
        }
        Ok(())
    }

    async fn fetch(&self, channel: &Channel, media: &Media) -> Result<Fetched, FetchError> {
        self.fetched(channel, media).await
    }

    async fn probe(&self, channel: &Channel, app: &MetaApp) -> ProbeReport {
        self.probed(channel, app).await
    }

    async fn subscribe(&self, channel: &Channel) -> Result<(), DeliveryProblem> {
        self.subscribed(channel).await.map_err(SendError::into_problem)
    }

    async fn templates(&self, channel: &Channel) -> Result<Vec<MessageTemplate>, DeliveryProblem> {
        self.all_templates(channel).await.map_err(SendError::into_problem)
    }

    async fn refresh_token(&self, channel: &Channel) -> Result<FreshToken, DeliveryProblem> {
        self.refreshed(channel).await.map_err(SendError::into_problem)
    }
}

/// The id that sends for a channel.
fn sending_id(channel: &Channel) -> &str {
    match &channel.connection {
        Connection::InstagramPage { page_id } => page_id,
        Connection::InstagramLogin { user_id: Some(user_id) } => user_id,
        _ => &channel.external_id,
    }
}

/// The address of `parts` below `base`.
fn below<'a>(base: &Url, parts: impl Iterator<Item = &'a str>) -> Result<Url, SendError> {
    let mut url = base.clone();
    match url.path_segments_mut() {
        Ok(mut path) => path.pop_if_empty().extend(parts),
        Err(()) => {
            return Err(SendError::refused("the Graph API's base address takes no path: correct it"));
        }
    };
    Ok(url)
}

/// What is known when there is no answer at all.
fn without_answer(error: &reqwest::Error) -> SendError {
    if error.is_builder() {
        return SendError::refused(
            "the send cannot be put together: check the access token for stray characters",
        );
    }
    if error.is_connect() {
        let title = "no connection to the Graph API: check this server's network and name resolution";
        return SendError::Retryable { after_ms: None, problem: uncoded(ProblemClass::Transient, title) };
    }
    let title = "the Graph API did not answer: the message may or may not have left";
    SendError::Unknown { problem: uncoded(ProblemClass::Transient, title) }
}

#[cfg(test)]
mod tests;
