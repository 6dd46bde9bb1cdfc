//! `iassistance restore`: a store out of a backup, in a new folder.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use serde_json::json;

use iassistance_config::{Settings, Sources};
use iassistance_domain::id::TenantId;
use iassistance_storage::backup::{Identity, Source, Target};
use iassistance_vault::{Keyring, SystemEntropy};

use super::backup::{Chosen, From};
use super::{Failure, Output, root_key};

/// Restores a backup into a new folder: `store` and `media` in it. Start the server on them with the keyring
/// that belongs to it. One tenant is restored into a running server by `POST /v1/tenants/…/restore`.
#[derive(Args)]
pub struct Arguments {
    #[command(flatten)]
    from: From,
    #[command(flatten)]
    which: Chosen,
    /// The file of the age identity.
    #[arg(long, value_name = "FILE")]
    identity: PathBuf,
    /// The folder: there must be no `store` and no `media` in it.
    #[arg(long, value_name = "FOLDER")]
    to: PathBuf,
    /// One tenant alone; needs the keyring. What it shares with others is not in it: `doctor` says of its
    /// channels that their Meta app is missing.
    #[arg(long)]
    tenant: Option<TenantId>,
    /// Without the files of messages, where those are still there.
    #[arg(long)]
    without_media: bool,
}

pub fn run(
    settings: &Settings,
    sources: &Sources,
    arguments: &Arguments,
    output: &Output,
) -> Result<(), Failure> {
    let keyring = match arguments.tenant {
        Some(_) => {
            let root = root_key::present(settings, sources)?;
            let file = &settings.vault.keyring_file;
            Some(Keyring::open(file, &root, true, Arc::new(SystemEntropy))?)
        }
        None => None,
    };
    let source = Source::new(arguments.from.open(settings)?);
    let identity = Identity::load(&arguments.identity)?;
    let target = Target {
        store: arguments.to.join("store"),
        media: (!arguments.without_media).then(|| arguments.to.join("media")),
    };
    let progress = |records: u64| {
        if records.is_multiple_of(100_000) {
            output.note(&format!("{records} records"));
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let chain = source.chain(arguments.which.which(), arguments.tenant).await?;
        let only = arguments.tenant.zip(keyring.as_ref());
        let restored = source.restore(&chain, &identity, &target, only, &progress).await?;
        let tip = chain.tip().ok_or("the backup is empty")?;
        let text = format!(
            "Restored {} as of {}: {} records, {} files of messages. Start with storage.path={} and \
             media.folder={}, and the keyring that belongs to it; `doctor` tells whether all of it opens.",
            tip.id,
            tip.at.to_rfc3339(),
            restored.records,
            restored.media,
            target.store.display(),
            target.media.as_ref().unwrap_or(&settings.media.folder).display(),
        );
        let shown = json!({
            "backup": tip.id, "at": tip.at, "records": restored.records, "media": restored.media,
            "store": target.store, "media_folder": target.media,
        });
        output.answer(&text, &shown)
    })
}
