//! All that a tenant has, in a file that it can take along: one JSON record a line, then its files beside it.

use std::io::Write;
use std::path::Path;

use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use iassistance_domain::event::EventSeq;
use iassistance_domain::id::TenantId;
use iassistance_domain::tenant::TenantCtx;
use iassistance_storage::TenantStore;

use super::{Keeper, KeepingError, Result};

const PAGE: usize = 200;
/// Under which names secrets are stored in settings.
const SECRETS: [&str; 4] = ["api_key", "secret", "secrets", "access_token"];

/// What was exported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Exported {
    /// Records.
    pub records: u64,
    /// Files of messages.
    pub files: u64,
    /// SHA-256 of the file of records, in hexadecimal.
    pub sha256: String,
}

struct Out<W> {
    to: W,
    hash: Sha256,
    records: u64,
}

impl<W: Write> Out<W> {
    fn put(&mut self, kind: &str, record: &impl Serialize) -> Result<()> {
        let mut record =
            serde_json::to_value(record).map_err(|error| KeepingError::Export(error.to_string()))?;
        without_secrets(&mut record);
        let line = format!("{}\n", json!({ "kind": kind, "record": record }));
        self.hash.update(line.as_bytes());
        self.records += 1;
        self.to.write_all(line.as_bytes()).map_err(failed)
    }

    fn all<T: Serialize>(&mut self, kind: &str, records: &[T]) -> Result<()> {
        records.iter().try_for_each(|record| self.put(kind, record))
    }
}

/// Takes out what a secret is stored under.
fn without_secrets(value: &mut Value) {
    match value {
        Value::Object(entries) => {
            entries.retain(|name, _| !SECRETS.contains(&name.as_str()));
            entries.values_mut().for_each(without_secrets);
        }
        Value::Array(items) => items.iter_mut().for_each(without_secrets),
        _ => {}
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is handed to `map_err`")]
fn failed(error: std::io::Error) -> KeepingError {
    KeepingError::Export(error.to_string())
}

impl Keeper {
    /// Writes all that a tenant has into a new folder: `records.jsonl`, and its files under `files`, each by its
    /// id. Access tokens and other secrets are left out.
    ///
    /// # Errors
    /// [`KeepingError::Export`], also where the folder is there already, and what the store or the files say.
    pub async fn export_tenant(&self, tenant: TenantId, folder: &Path) -> Result<Exported> {
        if folder.exists() {
            return Err(KeepingError::Export(format!(
                "{} is there already: name a new folder",
                folder.display()
            )));
        }
        std::fs::create_dir_all(folder.join("files")).map_err(failed)?;
        let to =
            std::io::BufWriter::new(std::fs::File::create(folder.join("records.jsonl")).map_err(failed)?);
        let mut out = Out { to, hash: Sha256::new(), records: 0 };
        let store = self.0.store.tenant(TenantCtx::platform(tenant)).await?;
        if let Some(record) = self.0.store.people().tenant_record(tenant).await? {
            out.put("tenant", &record)?;
        }
        self.set_up(&*store, &mut out).await?;
        let files = self.talk(tenant, &*store, &mut out, folder).await?;
        self.log(&*store, &mut out).await?;
        self.proofs(tenant, &*store, &mut out).await?;
        out.to.flush().map_err(failed)?;
        out.to.get_ref().sync_all().map_err(failed)?;
        Ok(Exported { records: out.records, files, sha256: hex::encode(out.hash.finalize()) })
    }

    async fn set_up<W: Write>(&self, store: &dyn TenantStore, out: &mut Out<W>) -> Result<()> {
        for channel in store.channels().await? {
            let addresses: Vec<_> = channel
                .addresses()
                .map(|address| json!({ "kind": address.kind.name(), "id": address.external_id }))
                .collect();
            let shown = json!({ "id": channel.id, "name": channel.name, "addresses": addresses });
            out.put("channel", &shown)?;
        }
        out.all("assistant", &store.assistant_versions(None, usize::MAX).await?)?;
        out.all("document", &store.documents().await?)?;
        out.all("golden_question", &store.golden().await?)?;
        out.all("webhook", &store.hooks().subscriptions().await?)
    }

    async fn talk<W: Write>(
        &self,
        tenant: TenantId,
        store: &dyn TenantStore,
        out: &mut Out<W>,
        folder: &Path,
    ) -> Result<u64> {
        let (mut before, mut files) = (None, 0);
        loop {
            let conversations = store.conversations(before, PAGE).await?;
            for conversation in &conversations {
                before = Some(conversation.id);
                if let Some(contact) = store.contact(conversation.contact).await? {
                    out.put("contact", &contact)?;
                }
                out.put("conversation", conversation)?;
                if let Some(summary) = store.summary(conversation.id).await? {
                    out.put("summary", &summary)?;
                }
                let mut last = None;
                loop {
                    let messages = store.messages(conversation.id, last, PAGE).await?;
                    for message in &messages {
                        last = Some(message.id);
                        for media in message.content.media() {
                            if let Some(id) = media.source.stored() {
                                files += u64::from(self.export_file(tenant, id, folder).await?);
                            }
                        }
                    }
                    out.all("message", &messages)?;
                    if messages.len() < PAGE {
                        break;
                    }
                }
                let mut last = None;
                loop {
                    let turns = store.turns(conversation.id, last, PAGE).await?;
                    last = turns.last().map(|turn| turn.id);
                    out.all("turn", &turns)?;
                    if turns.len() < PAGE {
                        break;
                    }
                }
            }
            if conversations.len() < PAGE {
                return Ok(files);
            }
        }
    }

    async fn export_file(
        &self,
        tenant: TenantId,
        id: iassistance_domain::id::MediaId,
        folder: &Path,
    ) -> Result<bool> {
        let Some(opened) = self.0.content.get(tenant, id).await? else { return Ok(false) };
        let bytes = opened.read().await?;
        std::fs::write(folder.join("files").join(id.to_string()), bytes).map_err(failed)?;
        Ok(true)
    }

    /// What was given up, what was done by whom, and how data was kept and went.
    async fn proofs<W: Write>(
        &self,
        tenant: TenantId,
        store: &dyn TenantStore,
        out: &mut Out<W>,
    ) -> Result<()> {
        let mut before = None;
        loop {
            let letters = store.dead_letters(before, PAGE).await?;
            before = letters.last().map(|letter| letter.id);
            out.all("dead_letter", &letters)?;
            if letters.len() < PAGE {
                break;
            }
        }
        let mut before = None;
        loop {
            let entries = self.0.store.trail().audit(Some(tenant), before, PAGE).await?;
            before = entries.last().map(|entry| entry.seq);
            out.all("audit_entry", &entries)?;
            if entries.len() < PAGE {
                break;
            }
        }
        let (ctx, keeping) = (TenantCtx::platform(tenant), self.0.store.keeping());
        out.put("retention", &keeping.retention(ctx).await?)?;
        out.all("sweep", &keeping.sweeps(ctx).await?)?;
        out.all("legal_hold", &keeping.holds(ctx).await?)?;
        let mut before = None;
        loop {
            let erasures = keeping.erasures(ctx, before, PAGE).await?;
            before = erasures.last().map(|erasure| erasure.id);
            out.all("erasure", &erasures)?;
            if erasures.len() < PAGE {
                return Ok(());
            }
        }
    }

    async fn log<W: Write>(&self, store: &dyn TenantStore, out: &mut Out<W>) -> Result<()> {
        let mut after = EventSeq::default();
        loop {
            let events = store.events(after, PAGE).await?;
            let Some(last) = events.last() else { return Ok(()) };
            after = last.seq;
            let events: Vec<Value> = events
                .iter()
                .map(|event| {
                    serde_json::to_value(event).map_err(|error| KeepingError::Export(error.to_string()))
                })
                .collect::<Result<_>>()?;
            out.all("event", &events)?;
        }
    }
}
