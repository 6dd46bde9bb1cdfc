//! The files of messages: fetched from Meta at once, since their addresses live for minutes, then
//! listened to or read for the assistant, and destroyed when their message is taken back. A conversation
//! remembers what is to be done, so that a crash only delays it.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use tokio_util::sync::{CancellationToken, DropGuard};

use iassistance_assistant::documents;
use iassistance_assistant::error::GenerateError;
use iassistance_assistant::services::Audio;
use iassistance_channels::send::{FetchError, Fetched};
use iassistance_domain::Pii;
use iassistance_domain::assistant::AssistantSettings;
use iassistance_domain::channel::Channel;
use iassistance_domain::content::{Media, MediaKind, MediaSource};
use iassistance_domain::conversation::Conversation;
use iassistance_domain::id::{ChannelId, ContactId, MediaId, MessageId};
use iassistance_domain::pii::{Deliver, Reply};
use iassistance_domain::privacy::{Handed, Recipient, RecipientKind};
use iassistance_storage::content::{ContentError, ContentOwner};
use iassistance_storage::{StorageError, TenantStore};

use crate::conversation::{ConversationKey, FinishDestruction, FinishMedia, SettledFile};
use crate::disclosing::Ledger;
use crate::engine::Shared;

/// The largest document of a contact that is read, bytes, and how much of its text is kept, characters.
const DOCUMENT_BYTES_MAX: usize = 10 << 20;
const DOCUMENT_CHARACTERS_MAX: usize = 40_000;

/// What a conversation is doing about files. Dropping it ends all of that.
#[derive(Default)]
pub(crate) struct MediaWork {
    fetching: BTreeMap<MessageId, DropGuard>,
    destroying: BTreeMap<MediaId, DropGuard>,
}

impl MediaWork {
    /// Whether anything is under way.
    pub(crate) fn is_under_way(&self) -> bool {
        !self.fetching.is_empty() || !self.destroying.is_empty()
    }

    /// Begins what the conversation remembers and nobody has begun; ends what it does not want any more.
    pub(crate) fn begin(
        &mut self,
        shared: &Arc<Shared>,
        key: ConversationKey,
        store: &Arc<dyn TenantStore>,
        conversation: &Conversation,
    ) {
        self.fetching.retain(|message, _| conversation.pending_media().contains(message));
        for message in conversation.pending_media() {
            self.fetching.entry(*message).or_insert_with(|| {
                let cancel = CancellationToken::new();
                let fetch = Fetch {
                    key,
                    message: *message,
                    channel: conversation.channel,
                    contact: conversation.contact,
                    store: Arc::clone(store),
                };
                fetch.start(shared, cancel.clone());
                cancel.drop_guard()
            });
        }
        for media in conversation.condemned_media() {
            self.destroying.entry(*media).or_insert_with(|| {
                let cancel = CancellationToken::new();
                destroy(shared, key, *media, cancel.clone());
                cancel.drop_guard()
            });
        }
    }

    /// The fetching for a message has ended.
    pub(crate) fn ended(&mut self, message: MessageId) {
        self.fetching.remove(&message);
    }

    /// A file is destroyed.
    pub(crate) fn destroyed(&mut self, media: MediaId) {
        self.destroying.remove(&media);
    }
}

/// Destroys a file, however long that takes.
fn destroy(shared: &Arc<Shared>, key: ConversationKey, media: MediaId, cancel: CancellationToken) {
    let (weak, stopping) = (Arc::downgrade(shared), shared.dispatcher.stopping());
    shared.tasks.spawn("media.destroy", async move {
        let work = async {
            loop {
                let shared = weak.upgrade()?;
                match shared.parts.content.delete(key.tenant, media).await {
                    Ok(_) => return Some(shared),
                    Err(error) => {
                        tracing::warn!(tenant = %key.tenant, %media, %error, "a file could not be destroyed; it is tried again");
                    }
                }
                let (clock, pause_ms) = (Arc::clone(&shared.parts.clock), shared.settings.dispatch.retry_max_ms);
                drop(shared);
                clock.sleep_millis(pause_ms).await;
            }
        };
        let Some(Some(Some(shared))) = stopping.run_until_cancelled(cancel.run_until_cancelled(work)).await
        else {
            return;
        };
        if let Some(mailbox) = shared.live_conversation(key) {
            // Closed: its successor destroys it again, which is harmless.
            drop(mailbox.send(FinishDestruction(media)).await);
        }
    });
}

/// The fetching of one message's files.
struct Fetch {
    key: ConversationKey,
    message: MessageId,
    channel: ChannelId,
    contact: ContactId,
    store: Arc<dyn TenantStore>,
}

/// Why a try did not bring a file.
enum Failed {
    /// Another may.
    ForNow(String),
    /// None will.
    ForGood(String),
}

impl From<StorageError> for Failed {
    fn from(error: StorageError) -> Self {
        Self::ForNow(error.to_string())
    }
}

impl From<FetchError> for Failed {
    fn from(error: FetchError) -> Self {
        match error {
            FetchError::Retryable { reason, .. } => Self::ForNow(reason),
            FetchError::Gone { reason } | FetchError::Refused { reason } => Self::ForGood(reason),
        }
    }
}

impl From<ContentError> for Failed {
    fn from(error: ContentError) -> Self {
        Self::ForNow(error.to_string())
    }
}

impl Fetch {
    fn start(self, shared: &Arc<Shared>, cancel: CancellationToken) {
        let (weak, stopping) = (Arc::downgrade(shared), shared.dispatcher.stopping());
        shared.tasks.spawn("media.fetch", async move {
            let Some(shared) = weak.upgrade() else { return };
            let work = stopping.run_until_cancelled(cancel.run_until_cancelled(self.run(&shared)));
            let Some(Some(files)) = work.await else { return };
            if let Some(mailbox) = shared.live_conversation(self.key) {
                // Closed: its successor fetches them again.
                drop(mailbox.send(FinishMedia { message: self.message, files }).await);
            }
        });
    }

    async fn run(&self, shared: &Shared) -> Vec<SettledFile> {
        let message = loop {
            match self.store.message(self.key.conversation, self.message).await {
                Ok(Some(message)) => break message,
                Ok(None) => return Vec::new(),
                Err(error) => {
                    tracing::warn!(tenant = %self.key.tenant, %error, "a message's files could not be looked up; it is tried again");
                    shared.parts.clock.sleep_millis(shared.settings.dispatch.retry_ms).await;
                }
            }
        };
        let mut files = Vec::new();
        for (index, media) in message.content.media().iter().enumerate() {
            if matches!(media.source, MediaSource::Meta { .. }) {
                let (source, bytes) = self.settle(shared, media).await;
                let text = match bytes {
                    Some((mime, bytes)) => self.text(shared, media, mime, bytes).await,
                    None => None,
                };
                files.push(SettledFile { index, source, text });
            }
        }
        files
    }

    /// Fetches one file, in several tries.
    async fn settle(&self, shared: &Shared, media: &Media) -> (MediaSource, Option<(String, Bytes)>) {
        let settings = &shared.settings;
        let mut attempt = 0;
        loop {
            attempt += 1;
            let (outcome, reason) = match self.try_once(shared, media).await {
                Ok((id, length, file)) => {
                    metrics::counter!("iassistance_media_total", "outcome" => "stored").increment(1);
                    return (MediaSource::Stored { id, bytes: length }, Some(file));
                }
                Err(Failed::ForNow(reason)) if attempt < settings.media.fetch_attempts_max => {
                    tracing::debug!(tenant = %self.key.tenant, message = %self.message, reason, "a file could not be fetched; it is tried again");
                    let pause_ms = settings.dispatch.retry_ms << attempt.min(10);
                    shared.parts.clock.sleep_millis(pause_ms.min(settings.dispatch.retry_max_ms)).await;
                    continue;
                }
                Err(Failed::ForNow(reason)) => ("failed", reason),
                Err(Failed::ForGood(reason)) => ("refused", reason),
            };
            metrics::counter!("iassistance_media_total", "outcome" => outcome).increment(1);
            tracing::warn!(tenant = %self.key.tenant, message = %self.message, reason, "a file was given up");
            return (MediaSource::Missing { reason }, None);
        }
    }

    /// What is said or written in a file, if the assistant is to know of it and it can be had.
    async fn text(&self, shared: &Shared, media: &Media, mime: String, bytes: Bytes) -> Option<Pii<String>> {
        let assistant = shared.assistant(self.key.tenant, &*self.store).await.ok()?;
        let settings = Some(&assistant.settings).filter(|settings| settings.enabled)?;
        match media.kind {
            MediaKind::Voice | MediaKind::Audio if settings.context.voice => {
                self.listen(shared, settings, Audio { mime, bytes }).await
            }
            MediaKind::Document if settings.context.documents => read_document(mime, bytes).await,
            _ => None,
        }
    }

    /// Has a recording written down, in several tries.
    async fn listen(
        &self,
        shared: &Shared,
        settings: &AssistantSettings,
        audio: Audio,
    ) -> Option<Pii<String>> {
        let platform = &shared.settings.model;
        let server = shared.settings.service_server(settings, &platform.transcription_model)?;
        let _slot = shared.slots.acquire(self.key.tenant).await;
        let ledger = Ledger::of(&shared.parts, self.key.tenant, self.contact);
        let services = ledger.services(&shared.parts.services);
        for attempt in 1.. {
            let written = tokio::select! {
                written = services.transcribe(&server, audio.clone()) => written,
                () = shared.parts.clock.sleep_millis(platform.attempt_ms) => {
                    Err(GenerateError::DeadlineAttempt { ms: platform.attempt_ms })
                }
            };
            let reason = match written {
                Ok(text) => {
                    metrics::counter!("iassistance_transcriptions_total", "outcome" => "done").increment(1);
                    return Some(text).filter(|text| !text.reveal(Reply).trim().is_empty());
                }
                Err(error) if error.is_retryable() && attempt < platform.attempts_max => {
                    let pause_ms =
                        (platform.retry_ms << attempt.min(6)).max(error.retry_after_ms().unwrap_or(0));
                    shared.parts.clock.sleep_millis(pause_ms).await;
                    continue;
                }
                Err(error) => error,
            };
            metrics::counter!("iassistance_transcriptions_total", "outcome" => "failed").increment(1);
            tracing::warn!(tenant = %self.key.tenant, message = %self.message, %reason, "a recording could not be written down");
            break;
        }
        None
    }

    async fn try_once(
        &self,
        shared: &Shared,
        media: &Media,
    ) -> Result<(MediaId, u64, (String, Bytes)), Failed> {
        let Ok(_permit) = shared.fetches.acquire().await else {
            return Err(Failed::ForNow("the server is stopping".to_owned()));
        };
        let channel: Channel = self
            .store
            .channel(self.channel)
            .await?
            .ok_or_else(|| Failed::ForGood("the channel is not connected any more".to_owned()))?;
        let Fetched { mime, bytes, filename } = shared.parts.sender.fetch(&channel, media).await?;
        let id = MediaId::new(shared.parts.clock.now(), &*shared.parts.entropy);
        let filename = filename.as_ref().map(|name| name.reveal(Deliver).as_str());
        let owner = ContentOwner::Contact(self.contact);
        let content = &shared.parts.content;
        if let Some(host) = shared.settings.media.bucket_host() {
            let to = Recipient::at(RecipientKind::Files, host);
            Ledger::of(&shared.parts, self.key.tenant, self.contact).note(to, Handed::File).await?;
        }
        let stored = content.put_bytes(self.key.tenant, owner, id, &mime, filename, bytes.clone()).await?;
        Ok((id, stored.bytes, (mime, bytes)))
    }
}

/// The text of a document, if it is of a kind that can be read.
async fn read_document(mime: String, bytes: Bytes) -> Option<Pii<String>> {
    if bytes.len() > DOCUMENT_BYTES_MAX {
        return None;
    }
    let read = move || documents::text_of(&mime, &bytes, DOCUMENT_CHARACTERS_MAX);
    match tokio::task::spawn_blocking(read).await {
        Ok(Ok(text)) => Some(Pii::new(text)).filter(|text| !text.reveal(Reply).trim().is_empty()),
        Ok(Err(unreadable)) => {
            tracing::debug!(%unreadable, "a document could not be read");
            None
        }
        Err(_) => None,
    }
}
