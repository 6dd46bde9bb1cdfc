//! `iassistance knowledge`: a tenant's documents, on the store itself.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde_json::json;

use iassistance_actors::Engine;
use iassistance_domain::id::{DocumentId, TenantId};
use iassistance_domain::knowledge::{Document, DocumentState};
use iassistance_domain::tenant::TenantCtx;
use iassistance_storage::TenantStore;

use super::{Failure, Output};
use crate::app::Vaulted;

#[derive(Subcommand)]
pub enum KnowledgeCommand {
    /// Adds documents, and reads them: `.txt`, `.md`, `.html` and `.pdf`.
    Add {
        /// Whose.
        #[arg(long)]
        tenant: TenantId,
        /// What people call it; the file's name, if nothing is said. For one file.
        #[arg(long)]
        title: Option<String>,
        /// The documents.
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// Lists the documents, and how far each is.
    List {
        /// Whose.
        #[arg(long)]
        tenant: TenantId,
    },
    /// Removes a document, with everything that was made of it.
    Remove {
        /// Whose.
        #[arg(long)]
        tenant: TenantId,
        /// Which.
        document: DocumentId,
    },
}

pub async fn run(
    vaulted: &Vaulted,
    engine: &Engine,
    command: KnowledgeCommand,
    output: &Output,
) -> Result<(), Failure> {
    match command {
        KnowledgeCommand::Add { tenant, title, files } => {
            if title.is_some() && files.len() > 1 {
                return Err("--title is for one file: without it each is called by its file's name".into());
            }
            let ctx = TenantCtx::platform(tenant);
            let store = vaulted.store.tenant(ctx).await?;
            let mut unread = 0;
            for file in &files {
                let document = add(engine, ctx, title.as_deref(), file).await?;
                output.note(&format!("{}: reading …", file.display()));
                let document = until_read(&*store, document).await?;
                unread += usize::from(matches!(document.state, DocumentState::Failed { .. }));
                let (text, value) = shown(&document);
                output.answer(&text, &value)?;
            }
            if unread > 0 {
                return Err(format!("{unread} of {} could not be read", files.len()).into());
            }
            Ok(())
        }
        KnowledgeCommand::List { tenant } => {
            let mut documents = vaulted.store.tenant(TenantCtx::platform(tenant)).await?.documents().await?;
            documents.sort_by_key(|document| document.id);
            let (lines, values): (Vec<_>, Vec<_>) = documents.iter().map(shown).unzip();
            output.answer(&lines.join("\n"), &values)
        }
        KnowledgeCommand::Remove { tenant, document } => {
            if !engine.remove_document(TenantCtx::platform(tenant), document).await? {
                return Err(format!("there is no document {document}").into());
            }
            output.answer("It is gone, with everything that was made of it.", &json!({ "removed": document }))
        }
    }
}

async fn add(engine: &Engine, ctx: TenantCtx, title: Option<&str>, file: &Path) -> Result<Document, Failure> {
    let mime = mime_of(file).ok_or_else(|| {
        format!("{}: its ending must say what it is: .txt, .md, .html or .pdf", file.display())
    })?;
    let bytes = std::fs::read(file).map_err(|error| format!("cannot read {}: {error}", file.display()))?;
    let name = file.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let added = engine.add_document(ctx, title.unwrap_or(&name), mime, bytes.into()).await;
    added.map_err(|error| format!("{}: {error}", file.display()).into())
}

fn mime_of(file: &Path) -> Option<&'static str> {
    match file.extension()?.to_str()?.to_ascii_lowercase().as_str() {
        "txt" => Some("text/plain"),
        "md" | "markdown" => Some("text/markdown"),
        "html" | "htm" => Some("text/html"),
        "pdf" => Some("application/pdf"),
        _ => None,
    }
}

/// Waits until a document was read, or could not be: the log tells when something changed.
async fn until_read(store: &dyn TenantStore, mut document: Document) -> Result<Document, Failure> {
    let mut latest = store.latest_event();
    while matches!(document.state, DocumentState::Indexing) {
        latest.changed().await?;
        document = store.document(document.id).await?.ok_or("the document was removed meanwhile")?;
    }
    Ok(document)
}

fn shown(document: &Document) -> (String, serde_json::Value) {
    let state = match &document.state {
        DocumentState::Indexing => "is being read".to_owned(),
        DocumentState::Ready { passages, by_meaning } => {
            let by = if *by_meaning { "words and meaning" } else { "words alone" };
            format!("found by {by}, in {passages} passages")
        }
        DocumentState::Failed { reason } => format!("could not be read: {reason}"),
    };
    (format!("{}  {}  {state}", document.id, document.title), json!(document))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_files_ending_says_what_it_is() {
        assert_eq!(mime_of(Path::new("a/Returns.PDF")), Some("application/pdf"));
        assert_eq!(mime_of(Path::new("faq.md")), Some("text/markdown"));
        assert_eq!((mime_of(Path::new("faq")), mime_of(Path::new("faq.docx"))), (None, None));
    }
}
