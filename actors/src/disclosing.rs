//! What leaves for others about somebody is in their ledger before it leaves: each request to a model's server, each
//! call of a tool, each event to the tenant's systems. What cannot be written down does not leave.

use std::sync::Arc;

use async_trait::async_trait;
use futures::FutureExt;
use futures::stream::{self, BoxStream, StreamExt};
use tokio_util::sync::CancellationToken;
use url::Url;

use iassistance_assistant::error::GenerateError;
use iassistance_assistant::generate::{Chunk, Generator, ModelServer, Prompt};
use iassistance_assistant::services::{Audio, Embedded, Services, Verdict};
use iassistance_assistant::tools::http::{HttpCall, HttpCalled, HttpCaller, HttpProblem};
use iassistance_domain::id::{ContactId, TenantId};
use iassistance_domain::privacy::{Handed, Recipient, RecipientKind};
use iassistance_domain::tenant::TenantCtx;
use iassistance_domain::{Clock, Pii};
use iassistance_storage::{StorageError, Store};

use crate::settings::EngineParts;

/// How often a line is tried when the store does not answer, and the pause between, milliseconds.
const TRIES_MAX: u32 = 5;
const RETRY_MS: u64 = 200;
/// Why something did not leave.
const UNWRITTEN: &str = "what leaves could not be written down in the contact's ledger";

/// One contact's ledger. Clones are the same.
#[derive(Clone)]
pub(crate) struct Ledger {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    tenant: TenantCtx,
    contact: ContactId,
}

impl Ledger {
    pub(crate) fn of(parts: &EngineParts, tenant: TenantId, contact: ContactId) -> Self {
        Self {
            store: Arc::clone(&parts.store),
            clock: Arc::clone(&parts.clock),
            tenant: TenantCtx::platform(tenant),
            contact,
        }
    }

    /// Writes down that something is about to leave.
    pub(crate) async fn note(&self, to: Recipient, what: Handed) -> Result<(), StorageError> {
        let mut tries = 1;
        loop {
            let leaving = self.store.leaving();
            match leaving.disclose(self.tenant, self.contact, to.clone(), what).await {
                Err(error) if error.is_transient() && tries < TRIES_MAX => {
                    tries += 1;
                    self.clock.sleep_millis(RETRY_MS).await;
                }
                Err(error) => {
                    let (tenant, kind) = (self.tenant.tenant(), to.kind.name());
                    tracing::error!(%tenant, kind, %error, "what was to leave is not on a contact's ledger: it stays");
                    return Err(error);
                }
                Ok(()) => return Ok(()),
            }
        }
    }

    async fn note_at(&self, kind: RecipientKind, url: &Url, what: Handed) -> Result<(), StorageError> {
        self.note(Recipient::at(kind, url.host_str().unwrap_or_default()), what).await
    }

    async fn note_model(&self, server: &ModelServer, what: Handed) -> Result<(), GenerateError> {
        let noted = self.note_at(RecipientKind::Model, &server.base_url, what).await;
        noted.map_err(|_| GenerateError::NotAsked { reason: UNWRITTEN })
    }

    /// The model, asked about this contact.
    pub(crate) fn generator(&self, model: &Arc<dyn Generator>) -> Arc<dyn Generator> {
        Arc::new(Noting { ledger: self.clone(), to: Arc::clone(model) })
    }

    /// What the model's server does besides, about this contact.
    pub(crate) fn services(&self, services: &Arc<dyn Services>) -> Arc<dyn Services> {
        Arc::new(Noting { ledger: self.clone(), to: Arc::clone(services) })
    }

    /// Tools, called about this contact.
    pub(crate) fn tools(&self, tools: &Arc<dyn HttpCaller>) -> Arc<dyn HttpCaller> {
        Arc::new(Noting { ledger: self.clone(), to: Arc::clone(tools) })
    }
}

/// A way out, with the ledger of whom it is about.
struct Noting<T: ?Sized> {
    ledger: Ledger,
    to: Arc<T>,
}

impl Generator for Noting<dyn Generator> {
    fn generate(
        &self,
        server: &ModelServer,
        prompt: &Prompt,
        cancel: CancellationToken,
    ) -> BoxStream<'static, Chunk> {
        let (ledger, asked) = (self.ledger.clone(), server.clone());
        // Nothing is sent before its chunks are asked for.
        let chunks = self.to.generate(server, prompt, cancel);
        let noted = async move {
            match ledger.note_model(&asked, Handed::Conversation).await {
                Ok(()) => chunks,
                Err(error) => stream::iter([Chunk::Failed(error)]).boxed(),
            }
        };
        noted.flatten_stream().boxed()
    }
}

#[async_trait]
impl Services for Noting<dyn Services> {
    async fn embed(&self, server: &ModelServer, texts: Vec<Pii<String>>) -> Result<Embedded, GenerateError> {
        self.ledger.note_model(server, Handed::Conversation).await?;
        self.to.embed(server, texts).await
    }

    async fn transcribe(&self, server: &ModelServer, audio: Audio) -> Result<Pii<String>, GenerateError> {
        self.ledger.note_model(server, Handed::Recording).await?;
        self.to.transcribe(server, audio).await
    }

    async fn moderate(
        &self,
        server: &ModelServer,
        texts: Vec<Pii<String>>,
    ) -> Result<Verdict, GenerateError> {
        self.ledger.note_model(server, Handed::Conversation).await?;
        self.to.moderate(server, texts).await
    }
}

#[async_trait]
impl HttpCaller for Noting<dyn HttpCaller> {
    async fn call(&self, call: HttpCall<'_>) -> HttpCalled {
        // What stands in its place in the address may be the model's; the host is the tenant's own word.
        let host = host_of(&call.tool.url);
        let noted = self.ledger.note(Recipient::at(RecipientKind::Tool, host), Handed::ToolInput).await;
        if noted.is_err() {
            return HttpCalled { tries: 0, answer: Err(HttpProblem::Refused(UNWRITTEN.to_owned())) };
        }
        self.to.call(call).await
    }
}

/// The host of an address, empty where it has none.
pub(crate) fn host_of(url: &str) -> String {
    Url::parse(url).ok().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default()
}
